"""Exercises of chapter 1, trajectory weighting: write the weights, predict, choose a temperature, break the method."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np

from rlkit.exercises import Case, Exercise
from rlkit.papers import trajectory_weighting as tw

G = np.array([0.0, 0.5, 0.8, -0.1])


def return_weights(G, alpha):
    span = G.max() - G.min()
    z = (G - G.min()) / (span if span > 0 else 1.0)
    w = np.exp((z - z.max()) / alpha)
    return w / w.sum()


weights = Exercise(
    "Write `return_weights(G, alpha)`: one weight per trajectory from its return, such that the best counts "
    "exp(1/alpha) times the worst. It has to survive every case below.",
    [
        Case("the weights sum to one", (G, 0.1), 1.0, look=np.sum),
        Case("the best counts exp(1/α) times the worst", (G, 0.5), np.exp(2.0), look=lambda w: np.max(w) / np.min(w)),
        Case("α → ∞ is uniform", (G, 1e12), np.full(4, 0.25)),
        Case("α → 0 is the best trajectory alone", (G, 1e-6), np.array([0.0, 0, 1, 0])),
        Case("equal returns give uniform weights", (np.full(4, 7.0), 0.1), np.full(4, 0.25)),
        Case("neither the unit nor the zero of reward matters", (100 * G - 3, 0.1), lambda f: f(G, 0.1)),
        Case("a tiny temperature does not overflow", (1e6 * G, 1e-3), 1.0, look=np.sum),
    ],
    hints=[
        "Rescale the returns to [0, 1] first; what if they are all equal?",
        "exp(1000) is infinite. A softmax does not change when you subtract the largest exponent.",
        "z = (G - min) / (max - min or 1);  w = exp((z - max z) / α);  divide by the sum.",
    ],
    solution=return_weights,
)

winner = Exercise(
    "Half of the starts are rich: the first move pays 1 more, whatever it is. All experts start poor. Which weights "
    'give the better cloned policy at α = 0.1? Answer "RW", "AW" or "the same", before you run it.',
    [Case("which one finds the experts", None, "AW")],
    hints=[
        "What is the return of a random walker with a rich start? And of an expert with a poor one?",
        "RW ranks by return. What would you rank by, to compare two trajectories with different starts?",
    ],
    solution="AW",
    why="A rich random walker returns about 0.9, as much as a poor expert. G - V(s0) takes the luck of the start away.",
)

SEEDS, ALPHAS = range(4), np.geomspace(0.002, 10, 13)


@cache
def learned(alpha: float) -> float:
    """Mean learned return over four datasets (σ = 5 %, AW, λ = 10: nearly cloning), reward units."""
    cfg = tw.Config(alpha=alpha, lam=10.0)
    return float(np.mean([tw.experiment(replace(cfg, seed=k)).J_learned for k in SEEDS]))


def _near_the_top(answer) -> bool:
    alpha, reason = answer
    return learned(float(alpha)) >= max(learned(float(a)) for a in ALPHAS) - 0.02 and str(reason).strip().lower() == "b"


temperature = Exercise(
    "In the panel (preset Paper, λ at 10), find an α at which the learned policy earns the most, and say why it is not "
    'the smallest α. Answer a pair such as (0.5, "a"). (a) small weights underflow; (b) too few trajectories '
    "remain to know what to do in every cell; (c) the constraint λ becomes too loose.",
    [
        Case(
            "α earns within 0.02 of the best, for that reason",
            None,
            "an α near the top of the curve, and the right letter",
            holds=_near_the_top,
        )
    ],
    hints=[
        "Press Play and watch the last bar and the sentence below the picture, over several seeds.",
        "At the smallest α, how many trajectories count? How many cells does the lake have?",
        "Try α between 0.03 and 0.1.",
    ],
    solution=(0.05, "b"),
    why="Σ w G rises to the end, but from the weighted starts only: a policy made of one or two trajectories knows "
    "nothing about the cells they never saw.",
)


def _broken(answer) -> bool:
    safe, prize, chance = (float(x) for x in answer)
    behaviour = 0.5 * (safe + prize * chance)
    _, J, promise = tw.gamble_policy(0.1, safe, prize, chance)
    return 0 <= chance <= 1 and J < behaviour - 0.2 * abs(prize - safe) and promise > behaviour


gamble = Exercise(
    "Break RW: choose (safe, prize, chance) of one decision, behaviour half and half, so that at α = 0.1 the weighted "
    "policy earns less than the behaviour by more than a fifth of |prize - safe|, although its data promise more.",
    [Case("the policy falls while the promise rises", None, "three numbers (safe, prize, chance)", holds=_broken)],
    hints=[
        "RW prefers what returned most. Make that a matter of luck.",
        "The gamble must be worse on average: prize · chance < safe, with prize > safe.",
        "Try a safe payment of 0.6 and a prize of 1, and lower the chance. How rare may luck be and still dominate?",
    ],
    solution=(0.6, 1.0, 0.1),
    why="At α = 0.1 a winner counts exp((1 - 0.6)/0.1) = 55 times a safe trajectory: that outweighs a chance of 0.1, "
    "so the policy gambles, and earns prize · chance.",
)
