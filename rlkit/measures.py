"""What a few numbers can say of a dataset before anyone learns from it.

    ess            how many trajectories (or transitions) a weighting really uses
    psv            how much of the spread of returns lies above the mean: the room that reweighting has
    tq, saco       how good the data are, and how much of the world they have seen
    describe       all of them, for one dataset

Read in that order. PSV belongs to Hong et al. (2023); TQ and SACo to Schweighofer et al. (2022).
"""

from __future__ import annotations

import warnings

import numpy as np


def ess(w: np.ndarray) -> float | np.ndarray:
    """Effective sample size of weights: how many equal weights would have the same concentration.

        ESS = (Σ w)² / Σ w²               n for equal weights, 1 when one has them all

    w: [..., N] weights ≥ 0 of any sum.  Gives a float, or [...] for a batch.
    Raises ValueError for weights that are negative, not finite or all zero.
    """
    w = np.asarray(w, np.float64)
    if w.ndim == 0 or w.shape[-1] == 0 or not np.isfinite(w).all() or (w < 0).any() or not w.max(axis=-1).all():
        raise ValueError(f"w of shape {w.shape} is empty, all zero, negative or not finite somewhere; expected weights "
                         "≥ 0, one of them positive")
    w = w / w.max(axis=-1, keepdims=True)                                 # no square over- or underflows
    return _float(w.sum(axis=-1) ** 2 / (w**2).sum(axis=-1))


def psv(G: np.ndarray, w: np.ndarray | None = None) -> float | np.ndarray:
    """Positive-sided variance of returns.

        PSV = Σ_i w_i (G_i - Ḡ)₊²,   Ḡ = Σ_i w_i G_i,   (x)₊ = max(x, 0)

    G: [..., N] returns, reward units.  w: [..., N] weights, made to sum to 1; uniform if None.  Gives reward units
    squared: to compare tasks, rescale G first. 0 exactly if all returns are equal to 1e-12 of their size.
    For any weights u of effective size ESS:  Σ u_i G_i - Ḡ ≤ sqrt(PSV · N / ESS)  (Cauchy-Schwarz; uniform w).
    Source: Hong et al. (2023).
    """
    G = _returns(G)
    w = np.ones_like(G) if w is None else np.broadcast_to(np.asarray(w, np.float64), G.shape)
    ess(w)                                                                # the same demands on weights
    w = w / w.max(axis=-1, keepdims=True)
    w = w / w.sum(axis=-1, keepdims=True)
    above = np.maximum(G - (w * G).sum(axis=-1, keepdims=True), 0.0)
    equal = np.ptp(G, axis=-1) <= 1e-12 * np.maximum(1.0, np.abs(G).max(axis=-1))
    return _float(np.where(equal, 0.0, (w * above**2).sum(axis=-1)))


def tq(G: np.ndarray, low: float, high: float) -> float:
    """Trajectory quality: the mean return between that of a random policy and the best one known.

        TQ = (Ḡ - G_low) / (G_high - G_low)

    G: [N] returns.  low, high: reference returns, reward units; TQ may be below 0 or above 1.
    Raises ValueError if high ≤ low.  Source: Schweighofer et al. (2022), undiscounted as their code does.
    """
    if not (np.isfinite([low, high]).all() and high > low):
        raise ValueError(f"low is {low} and high {high}, expected two finite returns with high > low: those of a "
                         "random and of the best policy")
    return float((_returns(G).mean() - low) / (high - low))


def unique_pairs(obs: np.ndarray, action: np.ndarray, bins: int | None = None, limits=None) -> int:
    """Number of different state-action pairs, counted exactly.

    obs: [M, ...], action: [M, ...].  Whole numbers count as they are. Real numbers are put in `bins` bins of equal
    width between the limits of their dimension, and one more on each side for what lies outside.
    limits: (low, high), each a number or one per dimension of obs and action flattened and joined; by default the
    smallest and largest value of each dimension here.
    Raises ValueError if there are real numbers and no bins.
    """
    M = len(obs)
    if len(action) != M:
        raise ValueError(f"obs has {M} rows and action {len(action)}, expected one of each per transition")
    columns = [c for x in (obs, action) for c in np.reshape(x, (M, -1)).T]
    low, high = limits if limits is not None else (None, None)
    at = lambda limit, j, default: default if limit is None else np.broadcast_to(limit, len(columns))[j]  # noqa: E731
    code, size = np.zeros(M, np.int64), 1                                  # a number below `size` for each row
    for j, c in enumerate(columns):
        if c.dtype.kind == "f":
            if bins is None or bins < 1:
                raise ValueError(f"dimension {j} holds real numbers and bins is {bins}, expected how many bins per "
                                 "dimension to count in: the result depends on it, so state it beside the number")
            c = _bin(c, at(low, j, c.min()), at(high, j, c.max()), bins)
        values, c = np.unique(c, return_inverse=True)
        if size * len(values) > 2**62:                                     # renumber the pairs there are
            seen, code = np.unique(code, return_inverse=True)
            size = len(seen)
        code, size = code * len(values) + c, size * len(values)
    return len(np.unique(code))


def _bin(x: np.ndarray, low: float, high: float, bins: int) -> np.ndarray:
    """0 to bins-1 between low and high (high belongs to the last), -1 below, bins above."""
    width = (float(high) - float(low)) or 1.0
    k = np.floor((x.astype(np.float64) - low) / width * bins).clip(-1, bins).astype(np.int64)
    return np.where(x == high, bins - 1, k)


def saco(data, reference, bins: int | None = None) -> float:
    """State-action coverage: different pairs in the data over those of a reference of the same size.

        SACo = u(D) / u(D_ref)            may exceed 1

    data, reference: Datasets (the reference is the replay of an online run, say).  bins: for real numbers, as in
    `unique_pairs`, between the limits of the reference.  Warns when the sizes differ by more than a tenth: the count
    grows with the size, so then the ratio says little.
    Source: Schweighofer et al. (2022); exact counts where their code estimates them.
    """
    if abs(data.m - reference.m) > 0.1 * reference.m:
        warnings.warn(f"SACo of {data.m} transitions against {reference.m}: compare datasets of equal size, "
                      "for example select episodes of the larger one", stacklevel=2)
    flat = [np.reshape(x, (reference.m, -1)) for x in (reference.obs, reference.action)]
    limits = tuple(np.concatenate([f(x, axis=0) for x in flat]).astype(np.float64) for f in (np.min, np.max))
    count = lambda d: unique_pairs(d.obs, d.action, bins, limits)          # noqa: E731
    return count(data) / count(reference)


def _returns(G) -> np.ndarray:
    G = np.asarray(G, np.float64)
    if G.ndim == 0 or G.shape[-1] == 0 or not np.isfinite(G).all():
        raise ValueError(f"G of shape {G.shape} is empty or not finite somewhere, expected the returns [N] of at least "
                         "one trajectory")
    return G


def _float(x: np.ndarray):
    return float(x) if np.ndim(x) == 0 else x
