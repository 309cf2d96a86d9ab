"""What `mdp` needs of transitions that are mostly zeros: the same few operations, on scipy.sparse tables.

A table P is [S·A, S], row s·A + a that of the pair (s, a); a chain is [S, S]. Loaded by the first sparse MDP, so that
nobody else waits for scipy. Read `settled`: the one place where many states ask for another way than few.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from scipy.sparse.linalg import splu

SWEEPS, MOST = 20, 1000         # sweeps between two looks at the policy, and in all


def read(P, terminal: np.ndarray, rounding: float) -> sp.csr_array:
    """P as float64 rows that sum to 1, those of terminal states empty; no zeros are stored.  terminal: [S] bool.

    Raises ValueError for what is no probability, and for rows whose sum is off by more than `rounding`.
    """
    P = sp.csr_array(P, dtype=float, copy=True)
    P.sum_duplicates()
    A = P.shape[0] // len(terminal)
    ends, size = np.repeat(terminal, A), np.diff(P.indptr)
    P.data[np.repeat(ends, size)] = 0.0                                   # never read, whatever they say
    for bad, wanted in ((~np.isfinite(P.data), "a finite number"), (P.data < 0, "a probability ≥ 0")):
        if bad.any():
            i = bad.argmax()
            s, a = map(int, divmod(np.searchsorted(P.indptr, i, "right") - 1, A))
            raise ValueError(f"P[{s}, {a}, {P.indices[i]}] is {P.data[i]}, expected {wanted}")
    total = np.where(ends, 1.0, P.sum(1))
    off = np.abs(total - 1)
    if off.max() > rounding:
        s, a = map(int, divmod(off.argmax(), A))
        raise ValueError(f"row [{s}, {a}] of P sums to {total[off.argmax()]:.6g}, expected 1: probabilities; divide by "
                         f"the sum. Row s·A + a, here {off.argmax()}, says where action a leads from s")
    if off.max() > 1e-12:
        P.data /= np.repeat(total, size)
    P.eliminate_zeros()
    return P


def mixed(P: sp.csr_array, pi: np.ndarray) -> sp.csr_array:
    """P_π [S, S] of a policy [S, A]."""
    S, A = pi.shape
    chain = sp.csr_array((pi.ravel(), np.arange(S * A), np.arange(0, S * A + 1, A)), shape=(S, S * A)) @ P
    chain.eliminate_zeros()                                               # of actions that are not taken
    return chain


def sum_over_time(P, r: np.ndarray, gamma: float) -> np.ndarray:
    """(I - γP)^-1 r by a sparse LU.  r: [..., S]."""
    S = P.shape[0]
    lu = splu((sp.eye_array(S) - gamma * P).tocsc(), permc_spec="MMD_AT_PLUS_A",          # an M-matrix: its diagonal is
              diag_pivot_thresh=0.0, options=dict(SymmetricMode=True))                    # safe to divide by, unpivoted
    return lu.solve(r.reshape(-1, S).T).T.reshape(r.shape)


def settled(P: sp.csr_array, R: np.ndarray, gamma: float) -> np.ndarray:
    """The greedy policy [S], as actions, of sweeps v ← max_a (R + γ P v) that go on until it stands still.

    In a grid news travels one cell a sweep, and one cell a round of policy iteration too: sweeps are the cheaper.
    """
    S, A = R.shape
    by_action = np.arange(S * A).reshape(S, A).T.ravel()                  # [A, S]: the largest of A rows is quick
    P, R, action = gamma * P[by_action], R.T.copy(), None
    q = R
    for _ in range(MOST // SWEEPS):
        for _ in range(SWEEPS):
            q = R + (P @ q.max(0)).reshape(A, S)
        before, action = action, q.argmax(0)
        if before is not None and (before == action).all():
            break
    return action


def entries(p: sp.csr_array) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Each nonzero's row, column, value, and the sum of its row up to it, as a share of the row's sum."""
    row = np.repeat(np.arange(p.shape[0]), np.diff(p.indptr))
    upto = np.r_[0.0, np.cumsum(p.data)]
    first, last = upto[p.indptr[row]], upto[p.indptr[row + 1]]
    return row, p.indices.astype(int), p.data, (upto[1:] - first) / (last - first)
