"""A real task, watched more and more often: Pendulum-v1 with a fixed controller, re-stepped at smaller and smaller Δt.

The controller swings it up and holds it (`envs.pendulum.expert`). Its value, discounted at β per second, is known from
a long simulation at a fine step; CTD(0) and mean-square TD error learn it from records of 6 s at each Δt, with the same
features. In still air the world has no noise, and both can be right. With gusts of wind there is noise, and the finer
the grid, the flatter the critic of least TD error.

`compare` does all of it; `features` are bumps around the circle of angles and along the speeds.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from rlkit.envs.pendulum import expert
from rlkit.papers.martingale_td import solve
from rlkit.paths import Paths, pendulum

BETA = 1.0                                # 1/s
ANGLES, SPEEDS = np.linspace(-np.pi, np.pi, 10, endpoint=False), np.linspace(-8, 8, 7)        # rad, rad/s


def features(t, x) -> np.ndarray:
    """[71, ...] a bump at each of 10 angles × 7 speeds, and a constant.  x: [..., 2] (θ, θ̇), θ on the circle."""
    around = np.exp(3 * (np.cos(x[..., 0] - ANGLES.reshape(-1, *[1] * (x.ndim - 1))) - 1))              # [10, ...]
    along = np.exp(-0.5 * ((x[..., 1] - SPEEDS.reshape(-1, *[1] * (x.ndim - 1))) / 2.7) ** 2)           # [7, ...]
    bumps = (around[:, None] * along[None]).reshape(-1, *x.shape[:-1])
    return np.concatenate([bumps, np.ones((1, *x.shape[:-1]))])


def starts(n: int, rng: np.random.Generator) -> np.ndarray:
    """n states [n, 2]: any angle, speeds up to 4 rad/s."""
    return rng.uniform((-np.pi, -4.0), (np.pi, 4.0), (n, 2))


def record(dt: float, first: np.ndarray, wind: float, rng: np.random.Generator, horizon: float = 6.0) -> Paths:
    """Records of the controlled pendulum from the states `first` [n, 2], watched every dt seconds."""
    return pendulum(dt, len(first), horizon, rng, wind=wind, controller=expert, start=first)


def truth(first: np.ndarray, wind: float, rng: np.random.Generator, repeats: int = 40,
          dt: float = 0.0025) -> tuple[np.ndarray, np.ndarray]:
    """Value [n] of each state, simulated at a fine step over 8 s (what comes later counts e^-8), and its error [n]."""
    repeats = repeats if wind else 1                                      # in still air one run says all
    p = record(dt, np.repeat(first, repeats, 0), wind, rng, 8.0)
    G = (np.exp(-BETA * p.t[:-1]) * p.r[:-1] * dt).sum(0).reshape(len(first), repeats)
    return G.mean(1), G.std(1) / repeats**0.5


class Comparison(NamedTuple):
    dts: np.ndarray               # [D] s
    rmse: dict[str, np.ndarray]   # "CTD(0)", "MSTDE" -> [D], reward units
    value: np.ndarray             # [n] true values of the held-out states
    error: np.ndarray             # [n] their standard errors
    learned: dict[str, np.ndarray]  # -> [D, n]


def compare(wind: float, seed: int = 0, dts=(0.1, 0.05, 0.02, 0.01), n: int = 300, held: int = 60) -> Comparison:
    """RMSE over `held` new states of both critics, learned from n records at each dt.  wind: rad/s per √s.

    Half a minute or less; the truth takes most of it.
    """
    rng = np.random.default_rng(seed)
    new = starts(held, rng)
    value, error = truth(new, wind, rng)
    learned = {"CTD(0)": [], "MSTDE": []}
    for dt in dts:
        p = record(dt, starts(n, rng), wind, rng)
        for name, test in (("CTD(0)", "left"), ("MSTDE", "mstde")):
            learned[name].append(solve(p, features, test, beta=BETA).theta @ features(0.0, new))
    learned = {name: np.array(v) for name, v in learned.items()}
    return Comparison(np.array(dts), {k: np.sqrt(((v - value) ** 2).mean(1)) for k, v in learned.items()}, value, error,
                      learned)
