"""Better policies from fixed data, in tables: what an offline algorithm does when nothing blurs it.

Each function takes a model of the data (an `MDP`: the frequencies of next states and the mean rewards that were seen)
and the policy pi_w that behaved there (zero where an action was never taken), and gives a policy that is meant to be
better. They differ in how they keep away from what was never seen, which is the whole subject of offline learning:

    improve_kl        stay near pi_w, at a price λ on the divergence          policy constraints, TD3+BC among them
    improve_iql       an upper expectile over the actions that were seen      IQL
    improve_cql       push down what the data do not support                  CQL
    improve_blindly   trust any value of unseen pairs, random ones included   no constraint: what goes wrong without
    improve_visits    reweigh state-action pairs so that the flow balances    density-ratio weighting

Axes: S states, A actions. All exact or run to a fixed point; no randomness. Read `improve_kl` first.
"""

from __future__ import annotations

import numpy as np

from rlkit import empirical
from rlkit.mdp import MDP, backup, evaluate
from rlkit.trajectories import Dataset

EPISODE = 20.0               # visits of one episode, about: the scale of d_data that λ of `flow_weights` refers to


def improve_kl(model: MDP, pi_w: np.ndarray, lam: float, gamma: float = 0.99, rounds: int = 100) -> np.ndarray:
    """KL-constrained policy iteration:  π(a|s) ∝ π_w(a|s) exp(Q^π(s, a) / λ), repeated until it stands still.

    model: one MDP.  pi_w: [S, A].  lam: λ > 0, reward units; inf gives π_w back, small trusts Q.  Gives pi [S, A].
    Each round maximises Σ_a π Q - λ KL(π | π_w), Q being the value of the last round's policy, without the price.
    Raises ValueError for λ that is not positive.
    """
    if not lam > 0:
        raise ValueError(f"lam is {lam}, expected a price > 0 of leaving the data; try lam=1, or 0.01 for almost none")
    pi = pi_w
    for _ in range(rounds):
        old, q = pi, backup(model, evaluate(model, pi, gamma), gamma)
        pi = tilt(pi_w, q / lam)
        if np.abs(pi - old).max() < 1e-9:
            break
    return pi


def improve_iql(model: MDP, pi_w: np.ndarray, tau: float = 0.7, beta: float = 3.0, clip: float = 100.0,
                gamma: float = 0.99) -> np.ndarray:
    """Implicit Q-learning in a table.

        V(s): the τ-expectile of Q(s, a) over a ~ π_w,  where Σ_a π_w |τ - 1[Q < V]| (Q - V) = 0
        Q = R + γ P V,      π(a|s) ∝ π_w(a|s) min(exp(β (Q - V)), clip)

    Arguments as in `improve_kl`; tau in (0, 1), ½ is the mean; beta: 1 / reward units.  Gives pi [S, A].
    Source: Kostrikov, Nair, Levine (2022).
    """
    ahead, v = _ahead(model, gamma), np.zeros(model.S)
    for _ in range(10_000):
        q = ahead(v)
        weight = pi_w * np.where(q < v[:, None], 1 - tau, tau)
        old, v = v, (weight * q).sum(-1) / weight.sum(-1)
        if np.abs(v - old).max() < 1e-9:
            break
    return tilt(pi_w, np.minimum(beta * (q - v[:, None]), np.log(clip)))


def improve_cql(model: MDP, pi_w: np.ndarray, seen: np.ndarray, c: float, gamma: float = 0.99,
                steps: int = 1000) -> np.ndarray:
    """Conservative Q-learning in a table: gradient steps on, in each state that was seen,

        ½ Σ_a π_w (Q - y)² + c (log Σ_a exp Q - Σ_a π_w Q),      y = R + γ Σ_s' P max_b Q(s', b) held fixed

    seen: [S] bool.  c: strength of the push, reward units; 0 leaves unseen actions at 0.  Other arguments as in
    `improve_kl`.  Gives the greedy policy [S, A], uniform where nothing was seen.
    Source: Kumar et al. (2020), CQL(H); our steps are of size 1 / (1 + c/2) on the whole table: the loss curves no more
    than 1 + c/2, so that none overshoots.
    """
    ahead, q = _ahead(model, gamma), np.zeros_like(pi_w)
    for _ in range(steps):
        y = ahead(q.max(-1))
        q = q - seen[:, None] * (pi_w * (q - y) + c * (tilt(np.ones_like(q), q) - pi_w)) / (1 + c / 2)
    return np.where(seen[:, None], np.eye(model.A)[q.argmax(-1)], 1 / model.A)


def improve_blindly(model: MDP, q0: np.ndarray, seen: np.ndarray, gamma: float = 0.99) -> np.ndarray:
    """Q-learning without any constraint: seen pairs are backed up, unseen ones keep the value they have in q0.

        Q(s, a) ← R + γ Σ_s' P max_b Q(s', b) where (s, a) was seen;      π greedy

    A network would extrapolate to unseen pairs; here the caller says what it extrapolates to.
    q0: [..., S, A], a batch of guesses.  seen: [S, A] bool.  Gives the greedy policy [..., S, A].
    """
    ahead, q = _ahead(model, gamma), q0
    for _ in range(10_000):
        old, q = q, np.where(seen, ahead(q.max(-1)), q0)
        if np.abs(q - old).max() < 1e-9:
            break
    return np.eye(model.A)[q.argmax(-1)]


def improve_visits(model: MDP, d_data: np.ndarray, lam: float, gamma: float = 0.99) -> np.ndarray:
    """Visits d(s, a) that are worth most, at a price λ for leaving those of the data, and that balance their flow.

        max_d  Σ d R - λ KL(d | d_data)      with   Σ_a d(s, a) = start(s) + γ Σ P(s | s', a') d(s', a')
        d = d_data exp((R + γ P ν - ν) / λ),  ν minimises  start · ν + λ Σ d_data exp((R + γ P ν - ν) / λ)

    model: the data's frequencies; `model.start` must lie on seen states.  d_data: [S, A] visits of the data, with a sum
    like that of one episode's visits (only then does λ mean the same everywhere).  lam: λ > 0, reward units.
    Gives d [S, A], unnormalised: scaled to sum 1 it would lose what flows out at the end, and learn to loop.
    Solved by damped Newton steps on ν, from a large λ down to the one asked for.  Source: Hong et al. (2023), the
    exact form of what density-ratio weighting trains; Nachum & Dai (2020) for the dual.
    """
    if not (lam > 0 and np.isfinite(lam)):
        raise ValueError(f"lam is {lam}, expected a finite price > 0 of leaving the data's visits; try lam=0.1")
    seen = (d_data.sum(-1) > 0) & ~model.terminal
    if (blank := (model.start > 0) & ~seen).any():
        raise ValueError(f"an episode may start in state {blank.argmax()}, where there is no data; restrict start to "
                         "seen states and rescale it")
    P = _dense(model)[seen][:, :, seen]                                        # [S', A, S'] the end has ν = 0
    B = gamma * P - np.eye(len(P))[:, None]                                # γ P ν - ν  =  B ν
    B, R, mu, start = B.reshape(-1, len(P)), model.R[seen].ravel(), d_data[seen].ravel(), model.start[seen]
    nu, price = np.zeros(len(P)), max(lam, 1.0)

    def spread(nu, price):
        return mu * np.exp(np.minimum((R + B @ nu) / price, 300.0))

    while True:
        for _ in range(100):
            d = spread(nu, price)
            gradient = start + B.T @ d                                     # the flow that is missing
            if np.abs(gradient).max() < 1e-10:
                break
            H = (B.T * d) @ B / price
            step = np.linalg.solve(H + 1e-12 * np.trace(H) * np.eye(len(H)), gradient)
            f, slope, size = start @ nu + price * d.sum(), gradient @ step, 1.0
            while size > 1e-8 and start @ (nu - size * step) + price * spread(nu - size * step, price).sum() > (
                    f - 1e-4 * size * slope):
                size /= 2
            nu = nu - size * step
        if price == lam:
            break
        price = max(lam, price / 2)
    out = np.zeros_like(d_data, dtype=float)
    out[seen] = spread(nu, lam).reshape(-1, d_data.shape[1])
    return out


def flow_weights(data: Dataset, mdp: MDP, lam: float) -> np.ndarray:
    """Weights [M] of transitions, d(s, a) / d_data(s, a) of `improve_visits`, the largest 1.

    Needs transitions only, no trajectories: the same for whole episodes and for the same data cut to pieces. Where
    episodes truly start is read from `mdp.start` (restricted to states that were seen), nothing else of mdp but
    `terminal`.  lam: λ > 0, reward units, for visits of the data scaled to a sum of 20, about one episode.
    """
    c = empirical.visits(data, np.ones(data.n), mdp.S, mdp.A)
    start = mdp.start * (c.sum(-1) > 0)
    model = empirical.model(data, np.ones(data.n), mdp.terminal, mdp.A)._replace(start=start / start.sum())
    d_data = c * EPISODE / c.sum()
    ratio = np.divide(improve_visits(model, d_data, lam), d_data, out=np.zeros_like(c), where=c > 0)
    return (ratio / ratio.max())[data.obs, data.action]


def _ahead(model: MDP, gamma: float):
    """v -> backup(model, v, gamma), the model checked once and not in each of thousands of rounds.  v: [..., S]."""
    R, go_on = backup(model, np.zeros(model.S)), ~model.terminal
    P = (gamma * _dense(model) * go_on[:, None, None] * go_on).reshape(-1, model.S).T
    return lambda v: R + (v @ P).reshape(*v.shape[:-1], *R.shape)


def _dense(model: MDP) -> np.ndarray:
    """P [S, A, S], also of a sparse model: what follows is a dense system anyway."""
    return model.P.toarray().reshape(model.S, -1, model.S) if hasattr(model.P, "tocsr") else model.P


def tilt(mu: np.ndarray, z: np.ndarray) -> np.ndarray:
    """μ(a) exp(z(a)) / Σ_b μ(b) exp(z(b)) in each row, without overflow.  mu, z: [..., A]; zeros of μ stay zeros."""
    z = np.where(mu > 0, z, -np.inf)
    p = mu * np.exp(z - z.max(-1, keepdims=True))
    return p / p.sum(-1, keepdims=True)
