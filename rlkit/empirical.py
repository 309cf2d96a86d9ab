"""What weighted data say of a finite world: how often each pair was seen, who behaves so, and how the world answers.

    visits            c(s, a), weighted counts
    clone             counts -> policy:  π(a|s) = c(s, a) / Σ_b c(s, b)
    weighted_policy   π_w: behaviour cloning of the weighted data, in closed form
    model             the MDP in which that data would be typical

Weights are of trajectories [N] or of transitions [M]; only their proportions matter. Axes: N trajectories,
M transitions, S states, A actions; `data` is a `trajectories.Dataset` whose obs and action are whole numbers.
"""

from __future__ import annotations

import numpy as np

from rlkit.mdp import MDP
from rlkit.trajectories import Dataset


def per_transition(data: Dataset, w: np.ndarray) -> np.ndarray:
    """Weights of trajectories [N] as weights of transitions [M]; those pass through.

    Raises ValueError for others, and for weights that are negative or not finite.
    """
    w = np.asarray(w, np.float64)
    if w.shape not in ((data.n,), (data.m,)):
        raise ValueError(f"w has shape {w.shape}, expected ({data.n},), one weight per trajectory, or ({data.m},), "
                         "one per transition")
    if not (good := (w >= 0) & (w < np.inf)).all():
        i = int(np.argmin(good))
        raise ValueError(f"weight {i} is {w[i]}, expected a finite number ≥ 0: weights are proportions of the data")
    return w if w.shape == (data.m,) else w[data.episode]


def _some(u: np.ndarray) -> np.ndarray:
    """The weights, or an error where they leave nothing of the data."""
    if not u.any():
        raise ValueError(f"all {len(u)} weights are 0, expected one that is positive: no data are left to learn from")
    return u


def visits(data: Dataset, w: np.ndarray, S: int, A: int, gamma: float = 1.0) -> np.ndarray:
    """Weighted (discounted) visits  c(s, a) = Σ_i w_i Σ_t γ^t 1[s_{i,t} = s, a_{i,t} = a].  Gives [S, A]."""
    u = per_transition(data, w)
    if gamma != 1:
        u = u * gamma ** (np.arange(data.m) - data.starts[data.episode])
    return np.bincount(_pairs(data, S, A), u, S * A).reshape(S, A)


def _pairs(data: Dataset, S: int, A: int) -> np.ndarray:
    """[M] each pair (s, a) as one number.  Raises ValueError where the data are of no such world."""
    for name, x, n in (("obs", data.obs, S), ("action", data.action, A), ("final_obs", data.final_obs, S)):
        if x.ndim != 1 or x.dtype.kind not in "iu" or x.min() < 0 or x.max() >= n:
            raise ValueError(f"{name} is {x.dtype} of shape {x.shape}, from {x.min()} to {x.max()}, expected whole "
                             f"numbers [{len(x)}] from 0 to {n - 1}: a table has one cell for each")
    return data.obs.astype(np.int64) * A + data.action.astype(np.int64)   # small dtypes would overflow


def clone(c: np.ndarray) -> np.ndarray:
    """The policy of visit counts:  π(a|s) = c(s, a) / Σ_b c(s, b), uniform where nothing was seen.  [S, A] -> [S, A]"""
    n = c.sum(-1, keepdims=True)
    return np.divide(c, n, out=np.full(c.shape, 1 / c.shape[-1]), where=n > 0)


def weighted_policy(data: Dataset, w: np.ndarray, S: int, A: int, gamma: float = 1.0) -> np.ndarray:
    """π_w [S, A]: the policy that makes the weighted data most likely.

    In a deterministic world where all episodes end, its return from the weighted starts is exactly Σ_i w_i G_i:
    weighted visits balance their flow, since each (s, a) always leads to the same state, so they are the visits of π_w.
    With γ < 1 the same holds of discounted returns.
    """
    return clone(visits(data, _some(np.asarray(w)), S, A, gamma))


def model(data: Dataset, w: np.ndarray, terminal: np.ndarray, A: int) -> MDP:
    """The world as the weighted data show it: weighted frequencies of next states, mean rewards, weighted starts.

    terminal: [S] bool.  Pairs that were never seen stay where they are for nothing.
    In a stochastic world this is not the real one: lucky outcomes are in it too often, for their trajectories weigh
    more. In it the identity of `weighted_policy` holds exactly again, whatever the world.
    """
    S, u = len(terminal), _some(per_transition(data, w))
    at, first = _pairs(data, S, A), data.starts[:-1]                      # at [M]: the pair (s, a) as one number
    n = np.bincount(at, u, S * A)
    seen, total = n > 0, np.where(n > 0, n, 1)
    P = np.bincount(at * S + data.next_obs, u, S * A * S).reshape(S * A, S)
    P = np.where(seen[:, None], P / total[:, None], np.repeat(np.eye(S), A, axis=0))
    R = np.bincount(at, u * data.reward, S * A) / total
    start = np.bincount(data.obs[first], u[first], S) / u[first].sum()
    return MDP(P.reshape(S, A, S), R.reshape(S, A), start, terminal)
