"""Martingale policy evaluation: in continuous time a value function is what makes one process a martingale.

A policy is fixed; from its paths we want J(t, x), the discounted reward to come. For a candidate J^θ write

    M_t = e^{-βt} J^θ(t, X_t) + ∫_0^t e^{-βs} r_s ds

J^θ is the value function exactly when M is a martingale: what it does next does not depend on what has been seen, so
E Σ_k ξ_k δ_k = 0 for every *test function* ξ_k of X_0 ... X_k, with the one-step error δ_k = γ J_{k+1} - J_k + r_k Δt.
A linear critic J^θ = base + Φ·θ has δ = u·θ + R, and each choice of ξ is one small linear system:

    ξ_k = Φ_k      CTD(0)          ξ_k = Σ_{j≤k} λ^{t_k - t_j} Φ_j Δt   CTD(λ)          ξ_k = 1        one number
    ξ_k = u_k/Δt   the minimiser of the mean-square TD error (MSTDE) ½ E Σ (δ/Δt)² Δt: not a function of the past
    ξ_k = Φ_{k+1}, or half way: not functions of the past either: Itô's integral is not Stratonovich's

Mean-square TD error looks right and is wrong: as Δt → 0 it measures the noise σ ∂_xJ dW of M, not its drift, and picks
the flattest critic. Read `solve`, then `martingale`, then `Config`, the settings of the chapter. Exact answers are in
`martingale_exact`, learning step by step in `martingale_online`, the chapter's pictures in `martingale_experiment`.
Source: Jia & Zhou (2022), Policy Evaluation and Temporal-Difference Learning in Continuous Time and Space: A
Martingale Approach, JMLR 23(154). The examples are ours.

Axes: K steps, N paths, p features, R runs.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from rlkit.config import check, knob
from rlkit.papers.martingale_exact import TESTS, WORLDS, World, world
from rlkit.paths import Paths

CHUNK = 2**14                             # transitions worked on at once: they stay in the cache, memory stays flat


class Solution(NamedTuple):
    """theta [p] solves A θ + c = 0, A [p, p], c [p] sums over `transitions`."""

    theta: np.ndarray
    A: np.ndarray
    c: np.ndarray
    transitions: int


def solve(paths: Paths | Iterable[Paths], features: Callable, test: str | float = "left", *,
          base: Callable | None = None, beta: float = 0.0, lam: float = 0.5, form: str = "exp",
          reward: str = "left") -> Solution:
    """The critic that satisfies E Σ ξ_k δ_k = 0 on these paths, in closed form:  θ = -(Σ ξ_k u_kᵀ)⁻¹ Σ ξ_k R_k.

        u_k = γ_k Φ_{k+1} - Φ_k,   R_k = γ_k base_{k+1} - base_k + r_k Δt_k,   γ_k = e^{-β Δt_k}

    paths: one, or any number of blocks that need not fit in memory together; steps need not be equal.
    features: (t, x) -> [p, ...]; base: (t, x) -> [...], what the critic says for θ = 0 (None: 0).
    test: "left" CTD(0); "trace" CTD(λ), lam a decay *per unit time*, so λ^Δt a step; "constant", for p = 1; "mstde";
    "ml", least squares of what came on what was promised, e^{-2βt}Δt the weights: needs whole episodes and a critic
    whose features vanish at their end; "mid" and "right", the wrong ends of the step; or a number η in [0, 1], the
    fraction of the step at which ξ looks.
    form: "exp", or "linear" for δ = J' - J + rΔt - βJΔt.  reward: "left" r_kΔt, or "trapezoid" ½(r_k + γ r_{k+1})Δt.
    Raises ValueError for a test that it does not know, "ml" on a critic that is not pinned, and where the conditions
    leave θ open (A is singular), naming the feature to look at.
    """
    _known(test, lam, form, reward)
    total, count, tail = 0.0, 0, None
    for block in [paths] if isinstance(paths, Paths) else paths:
        count += block.m
        if test == "ml":
            total = total + _monte_carlo(block, features, base, beta, form, reward)
            continue
        rows = max(1, CHUNK // block.x.shape[1])
        tail = tail if block.joined else None                             # the trace where the block before ended
        for k in range(0, len(block.t) - 1, rows):
            now = slice(k, k + rows + 1)
            phi, _, v, dt = _increments(block, now, features, base, beta, form, reward)
            if test == "trace":
                xi, tail = _trace(phi, dt, lam, tail, _begins(block, now))
            else:
                xi = _test(test, phi, v, dt)
            p = len(xi)
            total = total + xi.reshape(p, -1) @ v.reshape(p + 1, -1).T                # [p, p+1]: A beside c
    if not count:
        raise ValueError("there are no paths, expected at least one block with a transition")
    A, c = total[:, :-1], total[:, -1]
    return Solution(-np.linalg.solve(_regular(A, test), c), A, c, count)


def double_sampling(x, first, second, features: Callable, dt: float, pay: np.ndarray, *, beta: float = 0.0,
                    t=0.0, base: Callable | None = None) -> np.ndarray:
    """θ [p] that makes E[δ¹ δ²] least, with two independent next states from the same x.

    So noise is never squared and the answer is that of CTD(0); but it has more of it, the more the finer the grid.
    x, first, second: [N] a state and its two successors, which only a simulator that can be reset gives.
    t: time of x.  pay: [N] reward rate at x.
    """
    g = np.exp(-beta * dt)
    phi = features(t, x)
    u1, u2 = (g * features(t + dt, y) - phi for y in (first, second))
    b = (lambda t, x: 0.0) if base is None else base
    R1, R2 = (g * b(t + dt, y) - b(t, x) + pay * dt for y in (first, second))
    A = u1 @ u2.T
    return -np.linalg.solve(_regular(A + A.T, "double sampling"), u1 @ R2 + u2 @ R1)


def martingale(paths: Paths, J: np.ndarray, beta: float = 0.0) -> np.ndarray:
    """M_k = e^{-βt_k} J_k + Σ_{j<k} e^{-βt_j} r_j Δt_j  [K+1, N], time counted from each path's first point.

    J: [K+1, N], any critic's values along the paths. Its mean over paths is flat for the value function.
    Raises ValueError for paths that stand one below the other (starts): take them one at a time.
    """
    if len(paths.starts) > 2:
        raise ValueError(f"{len(paths.starts) - 1} paths stand one below the other, expected side by side")
    fade = np.exp(-beta * (paths.t - paths.t[:1]))
    M = fade * J
    M[1:] += np.cumsum(fade[:-1] * paths.r[:-1] * paths.dt, axis=0)
    return M


def quadratic_variation(M: np.ndarray) -> float:
    """E Σ_k (M_{k+1} - M_k)²: what MSTDE makes small (times 1/2Δt), and the truth does not."""
    return float(np.mean(np.sum(np.diff(M, axis=0) ** 2, axis=0)))


def martingale_loss(M: np.ndarray, dt: np.ndarray) -> float:
    """½ E Σ_k (M_T - M_k)² Δt_k.  Its least value is not 0: the floor is ½ E ∫ t d⟨M⟩."""
    return float(np.mean(np.sum((M[-1] - M[:-1]) ** 2 * dt, axis=0)) / 2)


# ---- the settings of the chapter

OBJECTIVES = ("CTD", "ML", "MSTDE", "double", "GTD", "GTD2", "TDC")


@dataclass(frozen=True)
class Config:
    """World, grid, method and learning; the values are ours, in the spirit of the paper."""

    world: str = knob("brownian", choices=WORLDS, restart=True,
                      says="paid X_T² at the end (brownian), or x² for ever, from rest (ou) or from N(0, 1) (ou-wide)")
    objective: str = knob("MSTDE", choices=OBJECTIVES, restart=True,
                          says="orthogonality (CTD), martingale loss (ML), mean-square TD error (MSTDE), and kin")
    test: str = knob("left", symbol="ξ", choices=("left", "mid", "right", "trace", "constant"), restart=True,
                     says="the test function of CTD, and the end of the step at which it looks")
    dt: float = knob(0.05, 0.005, 0.25, log=True, symbol="Δt", unit="time", above=0, restart=True,
                     says="mesh of the time grid")
    sigma: float = knob(1.0, 0.0, 2.0, symbol="σ", least=0, restart=True, says="noise of the world")
    beta: float = knob(1.0, 0.1, 3.0, symbol="β", unit="1/time", above=0, restart=True,
                       says="discount rate: of the ou worlds; brownian has none")
    kappa: float = knob(1.0, 0.1, 3.0, symbol="κ", unit="1/time", above=0, restart=True,
                        says="pull towards 0 in the ou worlds")
    lam: float = knob(0.5, 0.01, 1.0, log=True, symbol="λ", above=0, most=1,
                      says="decay of the trace per unit time: a step of Δt multiplies by λ^Δt")
    T: float = knob(1.0, 0.5, 20.0, log=True, symbol="T", unit="time", above=0, restart=True,
                    says="length of a path")
    n: int = knob(1000, 50, 4000, log=True, symbol="N", unit="paths", least=2, restart=True, says="sampled paths")
    x0: float = knob(0.0, -2.0, 2.0, symbol="x₀", restart=True, says="where the brownian paths start")
    second: bool = knob(True, symbol="2nd feature", restart=True,
                        says="a constant: without it the critic of the ou worlds cannot be right")
    alpha: float = knob(0.1, 0.01, 2.0, log=True, symbol="α", above=0, step=True, says="step size at the beginning")
    tau: float = knob(40.0, 1.0, 1000.0, log=True, symbol="τ", unit="time", above=0, most=math.inf,
                      says="fall of the step size: as (1 + t/τ)^-0.6; inf leaves it constant")
    scaling: str = knob("α", choices=("α", "α/Δt"), says="whether the step is divided by Δt: it must not be")
    time: float = knob(200.0, 10.0, 2000.0, log=True, unit="time", above=0, restart=True,
                       says="observed time of a learning run")
    chains: int = knob(32, 1, 256, log=True, least=1, restart=True, says="paths watched at once; a step averages them")
    runs: int = knob(16, 1, 32, symbol="R", least=1, restart=True, says="independent learners")
    seed: int = knob(0, 0, 99, least=0, restart=True, says="which random numbers")

    def __post_init__(self):
        check(self)
        if self.dt > self.T:
            raise ValueError(f"dt is {self.dt} and T {self.T}, expected dt ≤ T; try dt={self.T / 10}")
        if self.T / self.dt > 1e6 or self.time / self.dt > 1e8:
            raise ValueError(f"dt is {self.dt}, expected at most 1e6 steps of a path (T = {self.T}) and 1e8 of a run "
                             f"(time = {self.time}); try dt={max(self.T / 1e3, self.time / 1e5):g}")
        if self.objective == "CTD" and self.test == "constant" and self.second:
            raise ValueError("test='constant' is one condition, expected a critic of one feature: second=False")
        if self.world == "brownian" and self.sigma == 0 and self.second:
            raise ValueError("sigma is 0 in the brownian world, where nothing moves and two features cannot be told "
                             "apart; expected second=False, or world='ou-wide' to see σ → 0")

    @property
    def steps(self) -> int:
        """Updates of a learning run."""
        return max(1, round(self.time / self.dt))

    @property
    def method(self) -> tuple[str, float]:
        """(test, lam) of `solve` and `population` with the same answer as the objective; on a task that goes on the
        martingale loss is the trace with λ = e^{-β}."""
        if self.objective == "ML":
            return ("ml", self.lam) if self.world == "brownian" else ("trace", float(np.exp(-self.beta)))
        return {"MSTDE": "mstde", "CTD": self.test}.get(self.objective, "left"), self.lam

    def problem(self) -> World:
        """The world of these settings."""
        return world(self.world, sigma=self.sigma, beta=self.beta, kappa=self.kappa, T=self.T, x0=self.x0,
                     second=self.second)


# ---- the parts of solve


def _increments(b: Paths, now: slice, features, base, beta, form, reward):
    """phi [p, k+1, N], base values [k+1, N] or None, v = (u, R) [p+1, k, N], dt [k, 1 or N]; 0 across a break."""
    t, x, r = b.t[now], b.x[now], b.r[now]
    dt = np.diff(t, axis=0)
    if len(b.starts) > 2:
        breaks = b.starts[1:-1] - 1 - now.start
        breaks = breaks[(breaks >= 0) & (breaks < len(dt))]
        dt[breaks] = 0.0
    g = np.exp(-beta * dt)
    if g.size and (beta * dt).max() > 0.5:
        warnings.warn(f"β Δt is {(beta * dt).max():.2g}, expected ≤ 0.5: the grid is coarse for this discount",
                      stacklevel=3)
    phi = np.asarray(features(t, x), float)
    if phi.ndim < 2 or phi.shape[1:] != r.shape:
        raise ValueError(f"features gave shape {phi.shape}, expected (p, {r.shape[0]}, {r.shape[1]}): np.stack([...]) "
                         "of one array a feature, each of the shape of t + x")
    v = np.empty((len(phi) + 1, *(len(dt), r.shape[1])))
    u, R = v[:-1], v[-1]
    np.multiply(phi[:, 1:], g if form == "exp" else 1.0, out=u)
    u -= phi[:, :-1] if form == "exp" else (1 + beta * dt) * phi[:, :-1]
    np.multiply(r[:-1], dt, out=R)
    if reward == "trapezoid":
        R += g * r[1:] * dt
        R /= 2
    J0 = None
    if base is not None:
        J0 = base(t, x)
        R += g * J0[1:] - J0[:-1] if form == "exp" else J0[1:] - (1 + beta * dt) * J0[:-1]
    if len(b.starts) > 2:
        v[:, breaks] = 0.0
    return phi, J0, v, dt


def _test(test, phi, v, dt):
    """ξ [p, k, N]."""
    if test == "left":
        return phi[:, :-1]
    if test == "constant":
        if len(phi) > 1:
            raise ValueError(f"test='constant' is one condition for {len(phi)} unknowns; give a critic of one feature")
        return np.ones_like(phi[:, :-1])
    if test == "mstde":                                                   # across a break Δt = 0 and v = 0: no part
        return v[:-1] / np.where(dt > 0, dt, 1.0)
    eta = dict(mid=0.5, right=1.0).get(test, test)
    return (1 - eta) * phi[:, :-1] + eta * phi[:, 1:]


def _trace(phi, dt, lam, before, begins):
    """z_k = λ^{Δt_{k-1}} z_{k-1} + Φ_k Δt_k [p, k, N], 0 before each path; and what is left of it after the end."""
    z = phi[:, :-1] * dt
    fade = lam**dt                                                        # [k, 1 or N], over the step that follows
    if before is not None and 0 not in begins:
        z[:, 0] += before
    if z.shape[2] >= 16:                                                  # many paths: step by step
        for k in range(1, z.shape[1]):
            if k not in begins:
                z[:, k] += fade[k - 1] * z[:, k - 1]
    else:                                                                 # one long record: by doubling
        c = np.concatenate([np.zeros((1, fade.shape[1])), fade[:-1]])
        c[list(begins)] = 0.0
        reach = 1
        while reach < len(c) and c.any():
            z[:, reach:] += c[reach:] * z[:, :-reach]
            c[reach:] = c[reach:] * c[:-reach]
            c[:reach] = 0.0
            reach *= 2
    return z, fade[-1] * z[:, -1]


def _begins(b: Paths, now: slice) -> set:
    """Rows of the chunk at which a path begins."""
    starts = b.starts[int(b.joined):-1]
    return set((starts[(starts >= now.start) & (starts < now.stop - 1)] - now.start).tolist())


def _monte_carlo(b: Paths, features, base, beta, form, reward):
    """A beside c [p, p+1] of the weighted least squares of G_k - base_k on Φ_k."""
    if form != "exp" or reward != "left":
        raise ValueError(f"form={form!r} and reward={reward!r} with test='ml', expected the defaults: its returns are "
                         "sums of γ^k r_k Δt")
    total, whole = 0.0, slice(0, len(b.t))
    for columns in np.array_split(np.arange(b.x.shape[1]), max(1, b.m // (8 * CHUNK))):
        if not len(columns):
            continue
        t = b.t if b.t.shape[1] == 1 else b.t[:, columns]
        part = replace(b, t=t, x=b.x[:, columns], r=b.r[:, columns])
        phi, J0, v, dt = _increments(part, whole, features, base, beta, form, reward)
        last = part.starts[1:] - 1
        if np.abs(phi[:, last]).max() > 1e-9 * max(1e-300, np.abs(phi).max()):
            raise ValueError("test='ml' needs features that vanish at the end of each path: what came must not depend "
                             "on θ; on a task that goes on, test='trace' with lam=exp(-beta) is the same condition")
        first = np.repeat(part.starts[:-1], np.diff(part.starts))
        fade = np.exp(-beta * (t - t[first]))                             # [K+1, .] from each path's own beginning
        gain = fade[:-1] * v[-1]                                          # e^{-βt_k} R_k
        togo = np.cumsum(gain[::-1], axis=0)[::-1]                        # Σ_{j≥k} over all rows below
        after = np.concatenate([togo, np.zeros_like(togo[:1])])[np.repeat(last, np.diff(part.starts))[:-1]]
        error = (togo - after) * fade[:-1] * dt                           # γ^{2k} (G_k - base_k) Δt
        left, p = phi[:, :-1], len(phi)
        weighted = left * (fade[:-1] ** 2 * dt)                           # 0 across a break, where Δt is
        A = weighted.reshape(p, -1) @ left.reshape(p, -1).T
        total = total + np.concatenate([-A, (left.reshape(p, -1) @ error.reshape(-1))[:, None]], 1)
    return total


def _known(test, lam, form, reward):
    if not (test in TESTS if isinstance(test, str) else 0 <= test <= 1):
        raise ValueError(f"test is {test!r}, expected one of {', '.join(map(repr, TESTS))}, or a number from 0 to 1")
    if not 0 < lam <= 1:
        raise ValueError(f"lam is {lam}, expected in (0, 1], a decay per unit time; for λ = 0 use test='left'")
    if form not in ("exp", "linear") or reward not in ("left", "trapezoid"):
        raise ValueError(f"form is {form!r} and reward {reward!r}, expected 'exp' or 'linear', 'left' or 'trapezoid'")


def _regular(A, test):
    rows, columns = np.abs(A).max(1), np.abs(A).max(0)
    dead = np.flatnonzero((rows <= 1e-13 * rows.max()) | (columns <= 1e-13 * columns.max()))
    if dead.size or not np.isfinite(A).all() or np.linalg.cond(A / np.sqrt(np.outer(rows, columns))) > 1e12:
        which = f"feature {dead[0]} never changes: " if dead.size else ""
        raise ValueError(f"the conditions of test={test!r} leave θ open, {which}A [{len(A)}, {len(A)}] is singular; "
                         "leave out a feature that is constant (with β = 0) or repeats another, or pin the critic at "
                         "the end")
    return A
