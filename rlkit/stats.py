"""What R runs say: a middle, an interval, an order, a rate. The axis of the runs comes first.

Intervals are intervals for the middle, not for the next run, except `median_band`, which shows where the runs lie.
Sources: Efron & Tibshirani (1993), An Introduction to the Bootstrap (percentile interval); Agarwal et al. (2021),
Deep RL at the Edge of the Statistical Precipice (interquartile mean, probability of improvement, strata);
Cui et al. (2025), The Entropy Mechanism of RL (R = -a·e^H + b).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np


class Band(NamedTuple):
    mid: np.ndarray
    low: np.ndarray
    high: np.ndarray


class Slope(NamedTuple):
    """y ≈ factor · x^slope; low, high: interval for the slope."""
    slope: float
    low: float
    high: float
    factor: float


class EntropyLaw(NamedTuple):
    """R ≈ -a·e^H + b, each coefficient with its interval; ceiling = b - a is R at no entropy."""
    a: float
    a_low: float
    a_high: float
    b: float
    b_low: float
    b_high: float
    ceiling: float
    ceiling_low: float
    ceiling_high: float
    rmse: float                                                           # of the points around the curve, units of R

    def at(self, H):
        """R that the law gives for entropy H (nats)."""
        return self.b - self.a * np.exp(H)


def median_band(x: np.ndarray, axis: int = 0, share: float = 0.5) -> Band:
    """Median over the runs and the band that holds the middle `share` of them: 0.5 is the interquartile range.

    x: runs along `axis`.  Gives (mid, low, high) without that axis.  One run: three times that run.
    """
    if not 0 <= share <= 1:
        raise ValueError(f"share is {share!r}, expected a share of the runs from 0 to 1")
    low, mid, high = np.quantile(_numbers(x, "x"), [(1 - share) / 2, 0.5, (1 + share) / 2], axis=axis)
    return Band(mid, low, high)


def iqm(x: np.ndarray, axis: int | None = None) -> np.ndarray:
    """Interquartile mean: the mean of what is left without the lowest and the highest quarter.

    x: runs, or runs by tasks [R, K]; axis None takes all scores together.  Of n scores int(n / 4) go on each side.
    """
    x = _numbers(x, "x")
    x = np.sort(x.ravel() if axis is None else np.moveaxis(x, axis, -1), axis=-1)
    cut = x.shape[-1] // 4
    return x[..., cut:x.shape[-1] - cut].mean(-1)


def bootstrap_ci(x: np.ndarray, rng: np.random.Generator, stat: Callable = np.mean, level: float = 0.95,
                 n: int = 2000, *, strata: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Percentile bootstrap interval of `stat` over runs: (low, high).

    x: [R, ...], at least two runs.  stat: takes [R, ...] resampled runs, gives a number or an array; np.mean takes them
    all together, lambda x: x.mean(0) gives a curve.  n: number of resamples.
    strata: the columns of x [R, K] are tasks, each resampled on its own; else whole rows are drawn together.
    With few runs it is too narrow: of 5 runs a 95 % interval holds the mean in about 84 % of cases (normal scores).
    """
    x = _numbers(x, "x")
    if len(x) < 2:
        raise ValueError(f"x has {len(x)} run, expected at least 2: one run says nothing about the spread")
    if not 0 < level < 1:
        raise ValueError(f"level is {level!r}, expected a share between 0 and 1, such as 0.95")
    if strata and x.ndim != 2:
        raise ValueError(f"x has shape {x.shape}, expected [R, K], runs by tasks, to resample each task on its own")
    draw = rng.integers(len(x), size=(n, *x.shape) if strata else (n, len(x)))
    values = [stat(np.take_along_axis(x, i, 0) if strata else x[i]) for i in draw]
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return low, high


def prob_improve(x: np.ndarray, y: np.ndarray) -> float:
    """Probability that a run of x beats a run of y:  P(X > Y) + P(X = Y) / 2, a mean over tasks.

    x: [Rx] or [Rx, K], y: [Ry] or [Ry, K], runs by tasks.  0.5: no difference.
    """
    x, y = _numbers(x, "x"), _numbers(y, "y")
    if x.ndim > 2 or x.shape[1:] != y.shape[1:]:
        raise ValueError(f"x has shape {x.shape} and y {y.shape}, expected [R] or [R, K] with the same tasks")
    return float(((np.sign(x[:, None] - y[None]) + 1) / 2).mean())


def spearman(x: np.ndarray, y: np.ndarray) -> float:
    """Rank correlation, -1 to 1: the correlation of the ranks, equal values sharing their mean rank.

    x, y: [N].  Raises ValueError where one of them is constant: its order says nothing.
    """
    x, y = _pairs(x, y, 2)
    _differ(x, 2, "x")
    _differ(y, 2, "y")
    return float(np.corrcoef(_ranks(x), _ranks(y))[0, 1])


def loglog_slope(x: np.ndarray, y: np.ndarray, level: float = 0.95) -> Slope:
    """The power in y ≈ factor · x^slope: least squares of log y on log x, with a Student interval.

    x, y: [N] > 0, N ≥ 3.  The interval takes the scatter around the line for noise; a curve that bends, such as an
    error that has not reached its order yet, is narrower than it should be: look at it.
    """
    x, y = _pairs(x, y, 3)
    _differ(x, 2, "x")
    for name, u in (("x", x), ("y", y)):
        if (u <= 0).any():
            raise ValueError(f"{name}[{np.argmax(u <= 0)}] is {u[u <= 0][0]:g}, expected > 0 to take its logarithm; "
                             "leave out points where the error is exactly 0")
    (slope, at), spread, _ = _least_squares(np.stack([np.log(x), np.ones_like(x)], 1), np.log(y), level)
    half = spread([1, 0])
    return Slope(float(slope), float(slope - half), float(slope + half), float(np.exp(at)))


def fit_exp_entropy(H: np.ndarray, R: np.ndarray, level: float = 0.95) -> EntropyLaw:
    """Fit R = -a·e^H + b: what reward is bought with entropy, and the ceiling b - a when none is left.

    H: [N] entropies, nats.  R: [N] rewards.  Least squares, linear in (a, b) once e^H is formed; Student intervals.
    They speak of the scatter around the curve, not of whether the curve is the right one: points of one run follow each
    other, and a fit to the early ones may miss the end by more than its interval.
    Raises ValueError for fewer than 4 points or 3 different entropies, and where a ≤ 0: then R does not fall
    as entropy rises and the law does not describe these points.
    Source: Cui et al. (2025).
    """
    H, R = _pairs(H, R, 4, "HR")
    _differ(H, 3, "H")
    (a, b), spread, rmse = _least_squares(np.stack([-np.exp(H), np.ones_like(H)], 1), R, level)
    if a <= 0:
        raise ValueError(f"the fit gives a = {a:.3g}, expected > 0: R does not fall as entropy rises here, so "
                         "R = -a·e^H + b does not describe these points; fit the part of the run where entropy falls")
    triples = ((c, c - spread(w), c + spread(w)) for c, w in ((a, [1, 0]), (b, [0, 1]), (b - a, [-1, 1])))
    return EntropyLaw(*(float(u) for triple in triples for u in triple), float(rmse))


def _least_squares(X, y, level):
    """Coefficients, half-width of the Student interval of a combination w of them, root mean square error."""
    from scipy.special import stdtrit  # here, not above: slow to import, and scipy.stats takes a second more

    coef, *_ = np.linalg.lstsq(X, y, rcond=None)
    rest = y - X @ coef
    free = len(y) - X.shape[1]
    covariance = np.linalg.inv(X.T @ X) * (rest @ rest) / free
    return coef, lambda w: stdtrit(free, (1 + level) / 2) * np.sqrt(w @ covariance @ w), np.sqrt((rest @ rest) / len(y))


def _ranks(x):
    _, at, count = np.unique(x, return_inverse=True, return_counts=True)
    return (np.cumsum(count) - (count - 1) / 2)[at]


def _numbers(x, name):
    x = np.asarray(x, float)
    if x.ndim == 0 or x.size == 0:
        raise ValueError(f"{name} has shape {x.shape}, expected at least one value")
    if not np.isfinite(x).all():
        at = np.argwhere(~np.isfinite(x))[0].tolist()
        raise ValueError(f"{name}{at} is {x[tuple(at)]}, expected finite numbers; a run that diverged has no middle")
    return x


def _pairs(x, y, least, names="xy"):
    x, y = (_numbers(u, name) for u, name in zip((x, y), names))
    if x.ndim != 1 or x.shape != y.shape:
        raise ValueError(f"{names[0]} has shape {x.shape} and {names[1]} {y.shape}, expected one value of each "
                         "per point, [N]")
    if len(x) < least:
        raise ValueError(f"there are {len(x)} points, expected at least {least}")
    return x, y


def _differ(x, least, name):
    if (n := len(np.unique(x))) < least:
        raise ValueError(f"{name} has {n} different value{'s' * (n > 1)} in {len(x)} points, expected at least {least}")
