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

from rlkit.policies import softmax

ALPHAS = (0.1, *(m * 10.0**k for k in range(-1, 4) for m in (2, 5, 10)), np.inf)       # 0.1, 0.2, 0.5, 1, 2, 5, ...
FEW = 5                                                         # trajectories: a policy learns so few by heart


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
    if np.abs(G).max() > 1e150:
        raise ValueError(f"G reaches {np.abs(G).max():.3g}, expected at most 1e150, or its square overflows; give "
                         "rewards in a larger unit")
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
    if limits is not None:
        low, high = (np.broadcast_to(limit, len(columns)) for limit in limits)
    code, size = np.zeros(M, np.int64), 1                                  # a number below `size` for each row
    for j, c in enumerate(columns):
        if c.dtype.kind == "f":
            if bins is None or bins < 1:
                raise ValueError(f"dimension {j} holds real numbers and bins is {bins}, expected how many bins per "
                                 "dimension to count in: the result depends on it, so state it beside the number")
            c = _bin(c, *((low[j], high[j]) if limits is not None else (c.min(), c.max())), bins)
        wide = int(c.max()) - int(c.min()) + 1
        if wide < 2**31:
            c = c.astype(np.int64) if c.dtype.itemsize < 8 else c          # a difference of int8 may not be one
            c = (c - c.min()).astype(np.int64)
        else:
            wide, c = _renumber(c)
        if size * wide > 2**62:
            size, code = _renumber(code)
        code, size = code * wide + c, size * wide
    return len(np.unique(code))


def _renumber(x: np.ndarray) -> tuple[int, np.ndarray]:
    """How many different values x has, and x with them numbered from 0."""
    values, number = np.unique(x, return_inverse=True)
    return len(values), number


def _bin(x: np.ndarray, low: float, high: float, bins: int) -> np.ndarray:
    """0 to bins-1 between low and high (high belongs to the last), -1 below, bins above."""
    width = (float(high) - float(low)) or 1.0
    if not np.isfinite(width):                                            # ±1e308: the same in a larger unit
        return _bin(x / 4, low / 4, high / 4, bins)
    with np.errstate(over="ignore"):                                      # far outside: clipped
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
    found, had = (unique_pairs(d.obs, d.action, bins, limits) for d in (data, reference))
    return found / had


def describe(data, low: float | None = None, high: float | None = None, reference=None,
             bins: int | None = None) -> dict:
    """What to know of a dataset before weighting its trajectories by their returns.

    data: a Dataset.  low, high: returns of a random and of the best policy, for TQ.  reference, bins: for SACo.
    Gives a dict:
      episodes, transitions, sources {name: episodes};  returns, lengths {min, q25, median, mean, q75, max};
      terminated      share of episodes that ended by themselves, not by the clock;
      psv, psv_scaled of the returns, and of the returns scaled to [0, 1] (0 to 4/27 for two-valued ones);
      alpha           suggested temperature: the paper's 0.1, or the next of 0.2, 0.5, 1, ... at which the weights
                      w ∝ exp(Ĝ / α) rest on at least 5 trajectories (half of them, if there are fewer than 10);
      ess, ess_transitions    of those weights, in trajectories and in transitions;
      weighted_return         Σ w G: what the cloned policy would earn from the weighted starts, if nothing is random;
      room            sqrt(PSV · N / ESS): by no weights of this ESS can the mean return rise more;
      tq, weighted_tq, saco   where references are given;
      notes           sentences on what to be careful about.
    """
    G, lengths = _returns(data.returns), data.lengths
    scaled = (G - G.min()) / (np.ptp(G) or 1.0)
    for alpha in ALPHAS:                                                  # ESS rises with alpha, up to N
        w = softmax(scaled / alpha)
        if ess(w) >= min(FEW, (data.n + 1) / 2):
            break
    terminated = data.terminated[data.starts[1:] - 1]
    found = dict(
        episodes=data.n, transitions=data.m,
        sources=dict(zip(data.names, np.bincount(data.source, minlength=len(data.names)).tolist())),
        returns=_five(G), lengths=_five(lengths), terminated=float(terminated.mean()),
        psv=psv(G), psv_scaled=psv(scaled), alpha=float(alpha), ess=ess(w),
        ess_transitions=float((w @ lengths) ** 2 / (w**2 @ lengths)), weighted_return=float(w @ G),
        room=float(np.sqrt(psv(G) * data.n / ess(w))), notes=_notes(G, lengths, terminated, alpha))
    if low is not None or high is not None:
        if low is None or high is None:
            raise ValueError(f"low is {low} and high {high}, expected both reference returns for TQ, or neither")
        found |= dict(tq=tq(G, low, high), weighted_tq=(found["weighted_return"] - low) / (high - low))
    if reference is not None:
        found["saco"] = saco(data, reference, bins)
    return found


def _notes(G, lengths, terminated, alpha) -> list[str]:
    notes = []
    if psv(G) == 0:
        notes.append("all returns are equal: weights by return are uniform and change nothing")
    if alpha > ALPHAS[0]:
        notes.append(f"few trajectories would dominate at the paper's temperature 0.1: {alpha:g} keeps more of them. "
                     "If one return lies far from the rest, look at it; clipping returns to quantiles is a choice")
    cut = lengths[~terminated]
    if len(cut) and np.ptp(cut):
        notes.append(f"{len(cut)} episodes were cut by the clock, after {cut.min()} to {cut.max()} steps: returns of "
                     "unequal time compare badly")
    return notes


def _five(x: np.ndarray) -> dict[str, float]:
    names = ("min", "q25", "median", "q75", "max")
    return dict(zip(names, np.quantile(x, [0, 0.25, 0.5, 0.75, 1]).tolist())) | {"mean": float(x.mean())}


def _returns(G) -> np.ndarray:
    G = np.asarray(G, np.float64)
    if G.ndim == 0 or G.shape[-1] == 0 or not np.isfinite(G).all():
        raise ValueError(f"G of shape {G.shape} is empty or not finite somewhere, expected the returns [N] of at least "
                         "one trajectory")
    return G


def _float(x: np.ndarray):
    return float(x) if np.ndim(x) == 0 else x
