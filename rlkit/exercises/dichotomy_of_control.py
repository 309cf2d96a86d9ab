"""Exercises of chapter 2: return-conditioned learning by Bayes, the price of luck, how much data, who wins where."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np

from rlkit.envs import lottery, lucky_arms
from rlkit.exercises import Case, Exercise
from rlkit.papers.dichotomy_exact import rcsl as bayes
from rlkit.papers.dichotomy_of_control import Config, dichotomy


def conditioned(pi_D, chance):
    joint = pi_D * chance
    return joint / joint.sum() if joint.sum() > 0 else pi_D


_p = 0.3
_ARMS, _TICKET = np.array([_p, 1 - _p]), np.array([0.5, 0.5])

posterior = Exercise(
    "The data act by `pi_D` [A] in a state, and after each action the return asked for comes with probability "
    "`chance` [A]. Write `conditioned(pi_D, chance)`: the actions of those who got that return, Pr(a | s, R = g). "
    "Where nobody can get it, behave as the data do.",
    [
        Case("asked for 1 on the arms it is a coin", (_ARMS, np.array([1 - _p, _p])), np.array([0.5, 0.5])),
        Case("asked for 0 on the arms", (_ARMS, np.array([_p, 1 - _p])),
             bayes(lucky_arms.lucky_arms(_p), lucky_arms.behaviour(_p), 0.0, 1)[0]),
        Case("asked for the jackpot of the lottery it buys a ticket", (_TICKET, np.array([0.0, 0.05])),
             bayes(lottery.lottery(0.1), lottery.behaviour(), 1.0, 2)[0]),
        Case("a return that nobody can get leaves the behaviour", (_ARMS, np.zeros(2)), _ARMS),
        Case("an action that was never taken stays so", (np.array([1.0, 0.0]), np.array([0.1, 0.9])),
             np.array([1.0, 0.0])),
    ],
    hints=["Bayes: Pr(a | s, g) = Pr(a | s) Pr(g | s, a) / Pr(g | s).",
           "Pr(g | s) is the sum of the numerator over a."],
    solution=conditioned,
    why="With returns 0 and 1 and g = 1 this is π_D Q_D / V_D: one soft step of improvement from the behaviour. On the "
        "arms the good one pays 1 - p and is pulled p of the time, the bad one p and 1 - p: the products are the same.",
)


@lru_cache(maxsize=64)
def _end(cfg: Config, seed: int = 0):
    return list(dichotomy(cfg, np.random.default_rng(seed), every=10**9))[-1]


def _priced(beta) -> Config:
    return Config(world="lottery", phi=0.5, eps=0.5, lam=3.0, beta=float(beta), steps=500)


price = Exercise(
    "In the lottery z shall foretell the return with λ = 3. Choose the price β of luck: all eight runs must earn 0.5 "
    "and promise it, and β must be at most three times what theory asks for (a needless price squeezes skill out too, "
    "once data are noisy). Answer a number.",
    [
        Case("every run earns 0.5, to 0.01", None, "0.5, eight times",
             holds=lambda beta: bool((np.abs(_end(_priced(beta)).earned - 0.5) < 0.01).all())),
        Case("every promise is kept, to 0.02", None, "promised = earned",
             holds=lambda beta: bool((np.abs(_end(_priced(beta)).promised - _end(_priced(beta)).earned) < 0.02).all())),
        Case("and no more than three times the threshold", None, "β ≤ 9", holds=lambda beta: float(beta) <= 9.0),
    ],
    hints=["A nat of luck lowers H(R|z) by at most one nat, which is worth λ.",
           "So β > λ. Just above, some first guesses still get stuck: give it room, β = 2 λ."],
    solution=6.0,
)

SIZES = (100, 200, 400, 800, 1600)


def gain(n, runs: int = 16) -> tuple[float, float]:
    """Mean over runs of what DoC earns beyond RCSL on the lake with n episodes, and its standard error."""
    s = _end(Config(world="lake", p=2 / 3, lam=10.0, beta=30.0, steps=200, runs=runs, n=float(n)))
    x = s.earned - s.rcsl[:, -1]
    return float(x.mean()), float(x.std(ddof=1) / runs**0.5)


def _wins(n) -> bool:
    mean, error = gain(n)
    return mean - 2 * error > 0.03


data = Exercise(
    "On the lake (β = 30, λ = 10, 16 runs) DoC is to earn at least 0.03 more than RCSL, by two standard errors. What "
    "is the smallest n of 100, 200, 400, 800, 1600 with which it does? `exercise.gain(n)` gives mean and standard "
    "error.",
    [
        Case("one of the five", None, "100, 200, 400, 800 or 1600", holds=lambda n: n in SIZES),
        Case("DoC wins with so many episodes", None, "gain - 2 standard errors > 0.03", holds=_wins),
        Case("and not with half of them", None, "no win at n/2", holds=lambda n: n == 100 or not _wins(n // 2)),
    ],
    hints=["Try the ends first; the larger n takes a few seconds.", "With 100 episodes the lake has seen a dozen "
           "successes: V(z) of eight codes is then mostly luck of the draw, and the best of them is the luckiest."],
    solution=400,
)


def _duel(changes: dict):
    s = _end(replace(Config(world="lake", p=2 / 3, lam=10.0, beta=20.0, steps=200, runs=16), **changes))
    return s.rcsl[:, -1] - s.earned


def _known(changes) -> bool:
    try:
        replace(Config(), **changes)
    except (TypeError, ValueError):
        return False
    return True


def _beats(changes) -> bool:
    x = _duel(changes)
    return bool(x.mean() - 2 * x.std(ddof=1) / len(x) ** 0.5 > 0.02)


rival = Exercise(
    "Build a world where plain RCSL beats DoC. Start from FrozenLake (p = 2/3, λ = 10, β = 20, n = 1000, K = 100) and "
    "answer a dict of settings of `Config` to change, such as `dict(n=500, K=10)`. β must stay above λ, the sign "
    "right, and RCSL must earn 0.02 more by two standard errors of 16 runs.",
    [
        Case("settings of Config, as a dict", None, "a dict of fields of Config and valid values", holds=_known),
        Case("a fair fight: DoC, with β > λ and the right sign", None, "β > λ, method='DoC', wrong_sign=False",
             holds=lambda c: c.get("beta", 20.0) > c.get("lam", 10.0) and c.get("method", "DoC") == "DoC"
             and not c.get("wrong_sign", False) and c.get("runs", 16) == 16 and c.get("steps", 300) >= 200),
        Case("RCSL earns more", None, "RCSL - DoC > 0.02, by two standard errors", holds=_beats),
    ],
    hints=["What does DoC need that RCSL does not? Many proposals, and enough data to tell codes apart.",
           "K = 1: the first latent that is proposed is followed, however little it promises."],
    solution=dict(K=1.0),
    why="With one proposal DoC follows a latent drawn from the prior, and on average that is the behaviour itself. "
        "Other answers: very few episodes, or few negatives for an f that climbs.",
)
