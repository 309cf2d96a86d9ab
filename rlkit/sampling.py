"""Weighted draws: from weights of trajectories to the transitions of a minibatch.

The one point that is easy to get wrong: a weight w_i belongs to every transition of trajectory i and is *not* divided
by the length T_i. A long trajectory then fills more of a batch, and the policy cloned from the batch is exactly the
one of the dataset in which trajectory i stands w_i times. Drawing a trajectory first and a transition of it second
would be w_i / T_i, which favours short trajectories.

Read `transition_probs`, then `Sampler`, which any learner takes: all it needs is `.draw(rng, n)`.
"""

from __future__ import annotations

import numpy as np


def transition_probs(w: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Probability of drawing each transition, from the weights of the trajectories.

        p_{i,t} = w_i / Σ_j T_j w_j           the same for every step t of trajectory i

    w: [N] or [G, N] weights ≥ 0, of any sum.  lengths: [N] whole numbers T_i ≥ 1.  Gives float64 [M] or [G, M] with
    M = Σ T_i, each row summing to 1, in the order of the dataset's transitions.
    Raises ValueError for weights that are negative, not finite, all zero, or not one per trajectory.
    Source: Hong et al. (2023), as their public code draws; one softmax over all transitions.
    """
    w, lengths = np.asarray(w, np.float64), np.asarray(lengths)
    if lengths.ndim != 1 or lengths.dtype.kind not in "iu" or lengths.size == 0 or (lengths < 1).any():
        raise ValueError(f"lengths is {lengths.dtype} of shape {lengths.shape}, expected [N] whole numbers ≥ 1 "
                         "(an empty episode has no transition to draw); use dataset.lengths")
    if w.ndim not in (1, 2) or w.shape[-1] != len(lengths):
        raise ValueError(f"w has shape {w.shape}, expected ({len(lengths)},) or (G, {len(lengths)}): one weight per "
                         "trajectory; weights of transitions go to Sampler as they are")
    _check_weights(w, "trajectory")
    w = w / w.max(axis=-1, keepdims=True)                                 # largest is 1: the sum cannot overflow
    return np.repeat(w / (w * lengths).sum(axis=-1, keepdims=True), lengths, axis=-1)


class Sampler:
    """Draws indices with given probabilities, with replacement, in O(log M) each.

    Remembers the cumulative distribution of each of G groups, and nothing else. Several learners in one batch may draw
    by different weights: group g of a [G, M] sampler serves its share of the runs.
    """

    def __init__(self, p: np.ndarray):
        """p: [M] or [G, M] probabilities (or weights ≥ 0 of any sum: each row is divided by its own)."""
        self._cdf = _cumulative(p)

    def draw(self, rng: np.random.Generator, n: int) -> np.ndarray:
        """n indices into the M items: int64 [n], or [G, n], independent in each group.

        An item of weight zero is never drawn, be it the first or the last: we take the first i with cdf_i > u for u
        uniform in [0, 1), and cdf only rises at items of positive weight.
        """
        cdf = self._cdf                                                   # one read: reweight may come in between
        u = rng.random((*cdf.shape[:-1], n))
        return _first_above(cdf, u) if cdf.ndim == 1 else np.stack([_first_above(c, x) for c, x in zip(cdf, u)])

    def reweight(self, p: np.ndarray) -> None:
        """Take new weights for the same items, at once: a draw in another thread sees the old or the new, never half.

        Raises ValueError if the shape is not the present one, or the weights are not valid (the old ones then stay).
        """
        if np.shape(p) != self._cdf.shape:
            raise ValueError(f"p has shape {np.shape(p)}, expected {self._cdf.shape} as before: a learner in mid-run "
                             "holds the same transitions; for other data make another Sampler")
        self._cdf = _cumulative(p)


def _first_above(cdf: np.ndarray, u: np.ndarray) -> np.ndarray:
    """First i with cdf_i > u, [n]: looked up from the smallest u to the largest, so that neighbours share the cache."""
    order, first = u.argsort(), np.empty(len(u), np.int64)
    first[order] = np.searchsorted(cdf, u[order], side="right")
    return first


def _cumulative(p) -> np.ndarray:
    """Σ_{j≤i} p_j / Σ_j p_j in float64, whatever the dtype of p: float32 would lose small weights among 1e6."""
    p = np.asarray(p)
    if p.ndim not in (1, 2) or p.size == 0 or p.dtype.kind not in "fiub":
        raise ValueError(f"p is {p.dtype} of shape {p.shape}, expected numbers [M] or [G, M]; "
                         "weights of trajectories become it through transition_probs(w, dataset.lengths)")
    _check_weights(p, "item")
    with np.errstate(over="ignore"):
        cdf = np.cumsum(p, axis=-1, dtype=np.float64)
    if not np.isfinite(cdf[..., -1]).all():
        raise ValueError("the weights sum to infinity; take their maximum out first (exp(x - max x), not exp(x))")
    return cdf / cdf[..., -1:]                                            # the last entry is x / x = 1 exactly


def _check_weights(w: np.ndarray, what: str) -> None:
    low, high = w.min(axis=-1), w.max(axis=-1)                            # NaN shows in both
    if not (np.isfinite(low).all() and np.isfinite(high).all() and (low >= 0).all()):
        at = np.argwhere(~(np.isfinite(w) & (w >= 0)))[0]
        raise ValueError(f"the weight of {what} {at[-1]} is {w[tuple(at)]}, expected a finite number ≥ 0")
    if (high == 0).any():
        raise ValueError(f"all {w.shape[-1]} weights are zero, expected one that is positive; for uniform give ones")
