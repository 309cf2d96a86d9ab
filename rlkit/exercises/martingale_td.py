"""Exercises of chapter 3, martingale TD: place the test function, break λ, spend a budget, delete a word, steer."""

from __future__ import annotations

from functools import cache

import numpy as np
import torch

from rlkit.envs.diffusions import path
from rlkit.exercises import Case, Exercise
from rlkit.papers.martingale_exact import world
from rlkit.papers.martingale_td import solve
from rlkit.paths import Paths


def limit(eta, beta=1.0, kappa=1.0):
    return 1 / (beta + 2 * kappa * (1 - 2 * eta))


place = Exercise(
    "In the stationary Ornstein-Uhlenbeck world (critic θ₁x² + θ₂, truth θ₁ = 1/(β + 2κ)) let the test "
    "function look at "
    "fraction η of the step: ξ = (1-η) x_k² + η x_{k+1}². Write `limit(eta, beta, kappa)`: what θ₁ tends to as Δt → 0.",
    [
        Case("η = 0 is Itô: the truth", (0.0, 1.0, 1.0), 1 / 3),
        Case("η = ½ is Stratonovich", (0.5, 1.0, 1.0), 1.0),
        Case("η = 1", (1.0, 1.0, 1.0), -1.0),
        Case("η = ¼, β = 0.7, κ = 1.3", (0.25, 0.7, 1.3), 1 / (0.7 + 1.3)),
    ],
    hints=[
        "Write ρ² = 1 - 2κΔ and γ = 1 - βΔ, and keep what is of order Δ.",
        "Cov(ξ, γx_{k+1}² - x_k²) = V[(1-η)(γρ² - 1) + η(γ - ρ²)] with V the variance of x²; Cov(ξ, x_k²Δ) = VΔ.",
        "(1-η)(-(β+2κ)) + η(2κ - β) = -(β + 2κ(1 - 2η)).",
    ],
    solution=limit,
)

per_step = Exercise(
    "Without the constant the test function decides. CTD(λ) with λ = e^{-1} per unit time gives θ = 5/9 on a "
    "fine grid (β = κ "
    "= σ = 1). A colleague multiplies the trace by λ = e^{-1} per *step*. To what number does her answer go as Δt → 0?",
    [Case("the limit", None, 3 / 7, tol=1e-3)],
    hints=[
        "What is the decay per unit time of a trace that loses a factor e at every step of Δt?",
        "ℓ = 1/Δt → ∞: the trace remembers nothing. Which method is that?",
    ],
    solution=3 / 7,
    why="ℓ → ∞ is CTD(0): 3/(3β + 4κ) = 3/7. λ^Δt keeps ℓ = 1 on every grid.",
)

GRIDS = (0.4, 0.2, 0.1, 0.05, 0.02, 0.01)


@cache
def rmse(dt: float, samples: int | None, time: float | None, repeats: int = 60) -> float:
    """Root mean square error of CTD(0)'s θ₁ for a budget of samples, or of observed time, over 20 chains."""
    w, rng, out = world("ou"), np.random.default_rng(0), []
    steps = max(1, round(time / dt / 20)) if time else max(1, samples // 20)
    for _ in range(repeats):
        x = path(w.process, w.start(20, rng), dt, steps, rng)
        out.append(solve(Paths(dt * np.arange(steps + 1), x, x * x), w.features, beta=1.0).theta[0] - 1 / 3)
    return float(np.sqrt(np.mean(np.square(out))))


def _best(samples, time):
    return {dt for dt in GRIDS if rmse(dt, samples, time) <= 1.25 * min(rmse(d, samples, time) for d in GRIDS)}


budget = Exercise(
    "Of Δt = 0.4, 0.2, 0.1, 0.05, 0.02, 0.01 choose the best for CTD(0): first when you may take 4000 samples in all, "
    "however far apart; then when you may watch for 1000 time units in all, however often. Answer a pair (Δt, Δt).",
    [
        Case(
            "close to the least error with 4000 samples",
            None,
            "a Δt within 25 % of the least error",
            look=None,
            holds=lambda a: float(a[0]) in _best(4000, None),
        ),
        Case(
            "close to the least error in 1000 time units",
            None,
            "a Δt within 25 % of the least error",
            holds=lambda a: float(a[1]) in _best(None, 1000.0),
        ),
    ],
    hints=[
        "The bias is Δt/2. The spread is about 0.57/√(observed time): how much time do 4000 samples buy?",
        "With samples fixed, bias Δt/2 meets noise 0.57/√(4000Δt). With time fixed the noise does not fall or "
        "grow with "
        "Δt, but the bias does.",
    ],
    solution=(0.05, 0.01),
)


def mstde_loss(J, J_next, pay):
    return ((J_next - J + pay) ** 2).mean() / 2


def _leaf(*values: float) -> torch.Tensor:
    return torch.tensor(values, requires_grad=True)


def _gradient(loss: torch.Tensor) -> np.ndarray:
    """What the loss sends back to all the values it was made of, sorted; nothing arrives behind a detach."""
    leaves, waiting = [], [loss.grad_fn]
    while waiting:
        node = waiting.pop()
        if hasattr(node, "variable"):
            leaves.append(node.variable)
        waiting += [n for n, _ in getattr(node, "next_functions", ()) if n is not None]
    leaves = {id(x): x for x in leaves}.values()
    return np.sort(np.concatenate([g.numpy() for g in torch.autograd.grad(loss, list(leaves))] or [[]]))


word = Exercise(
    "CTD(0)'s loss in torch is `-(J * (J_next - J + pay).detach()).mean()`. Write `loss(J, J_next, pay)`, "
    "whose gradient "
    "flows through both ends of the step: the mean-square TD error. One word less, one square more.",
    [
        Case("its value", (np.array([1.0, 2.0]), np.array([2.0, 2.5]), np.array([0.0, 0.5])), 0.5),
        Case(
            "its gradient flows through both ends",
            (_leaf(1.0, 2.0), _leaf(2.0, 3.0), torch.tensor([0.0, 0.5])),
            np.array([-0.75, -0.5, 0.5, 0.75]),
            look=_gradient,
        ),
    ],
    hints=["½ mean of δ².", "Nothing is detached."],
    solution=mstde_loss,
)


def top(aa, xa, a, tau):
    return -xa / aa, -a / aa, -tau / aa


def _normal_of(aa, xa, a, tau):
    """By quadrature: mean at x = 0 and 1, and variance, of the density ∝ exp(q/τ)."""
    grid, out = np.linspace(-40, 40, 400_001), []
    for x in (0.0, 1.0):
        q = aa * grid**2 / 2 + (xa * x + a) * grid
        p = np.exp((q - q.max()) / tau)
        mean = (p * grid).sum() / p.sum()
        out += [mean, (p * (grid - mean) ** 2).sum() / p.sum()]
    return out[2] - out[0], out[0], out[1]


steer = Exercise(
    "At a state x the rate learned is q(x, a) = ½ aa a² + xa x a + a_ a + (what has no a), with aa < 0. "
    "The next policy is π ∝ exp(q/τ), a normal N(m₁x + m₀, s). Write `top(aa, xa, a_, tau)` giving (m₁, m₀, s).",
    [
        Case("a plain hill", (-2.0, -1.0, 0.5, 0.1), _normal_of(-2.0, -1.0, 0.5, 0.1), tol=1e-6),
        Case(
            "the ergodic world's own q gives the best policy",
            (-2.822875656, -1.0, -2.0, 0.1),
            (-0.354248688, -0.708497377, 0.035424869),
            tol=1e-7,
        ),
        Case("τ → 0 is the top of the hill", (-1.0, 0.85, 0.0, 0.0), (0.85, 0.0, 0.0)),
    ],
    hints=[
        "Complete the square in a: ½ aa (a - m)² + ….",
        "exp(½ aa (a - m)²/τ) is a normal density: what is its variance?",
    ],
    solution=top,
    why="m = -(xa x + a_)/aa is where ∂q/∂a = 0, and -τ/aa is the variance: a flat q explores, a steep one does not.",
)
