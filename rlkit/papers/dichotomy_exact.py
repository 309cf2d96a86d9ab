"""What a latent of whole episodes says, exactly: how it acts, what it promises and earns, how much luck is in it.

A latent z is anything read off an episode τ after the fact, with probabilities q(z|τ): its return (then this is
return-conditioned learning), its actions, its luck. The data conditioned on z are a policy and a promise,

    π(a|s, z) = Pr(a | s, z),     V(z) = E[R(τ) | z],     earned:  V_M(π_z), the true value of that policy.

The promise is kept where z knows nothing of what chance added: MI(s'; z | s, a) = 0 in every step. And approximately,

    Σ_z p(z) |V(z) - V_M(π_z)| ≤ (R_max - R_min) √(MI / 2),     MI in nats, summed over the steps of an episode.

Read `Records` (the data as sums), `book` (a latent, read off them), `worth`, then `return_code` and `kuhn`: the latent
of return-conditioned learning, and the one that is clean by construction. In these worlds the next state tells the
reward too, so that one MI is that of both; states are Markov, so that (s, a) stands for the whole history.
Source: Yang et al. (2023), Dichotomy of Control; the bound (chain rule, Pinsker, Jensen) is derived here.

Axes: R runs (or any batch, may be absent), N kinds of episodes, Z codes, E kinds of transitions, S states, A actions.
"""

from __future__ import annotations

from itertools import product
from typing import NamedTuple

import numpy as np

from rlkit.mdp import MDP, backup, evaluate

TINY = 1e-300                             # 0 log 0 = 0
ROWS = 128                                # episodes a product: so small that BLAS keeps to one thread


class Records(NamedTuple):
    """Episodes as sums: all that is needed to condition on a latent."""
    weight: np.ndarray                    # [..., N] share of each kind of episode in the data; sums to 1
    count: np.ndarray                     # [..., N, E] how often it makes each transition
    ret: np.ndarray                       # [..., N] its return
    edge: np.ndarray                      # [E, 3] the transitions (s, a, s') that can happen
    mdp: MDP
    horizon: int
    levels: np.ndarray                    # [G] the returns that occur
    n: int = 0                            # episodes in each dataset; 0: exact probabilities


def edges(mdp: MDP) -> np.ndarray:
    """[E, 3] the transitions (s, a, s') that can happen before the end."""
    return np.argwhere((mdp.P > 0) & ~mdp.terminal[:, None, None])


def enumerate_episodes(mdp: MDP, behaviour: np.ndarray, horizon: int) -> Records:
    """Every episode of a small world with its probability under a policy [S, A]: data without sampling error."""
    edge = edges(mdp)
    number = {tuple(e): i for i, e in enumerate(edge.tolist())}
    reward = _paid(mdp)
    done, open_ = [], [(w, (), 0.0, s) for s, w in enumerate(mdp.start) if w > 0]
    for _ in range(horizon):
        grown = [(w * behaviour[s, a] * mdp.P[s, a, k], (*path, number[s, a, k]), G + reward[s, a, k], k)
                 for w, path, G, s in open_ for a in range(mdp.A) for k in range(mdp.S)
                 if behaviour[s, a] * mdp.P[s, a, k] > 0]
        done += [g for g in grown if mdp.terminal[g[3]]]
        open_ = [g for g in grown if not mdp.terminal[g[3]]]
    done += open_
    count = np.array([np.bincount(path, minlength=len(edge)) for _, path, _, _ in done], float)
    ret = np.array([G for _, _, G, _ in done])
    return Records(np.array([w for w, *_ in done]), count, ret, edge, mdp, horizon, np.unique(ret))


def from_episodes(mdp: MDP, data, horizon: int) -> Records:
    """Sampled episodes (a `trajectories.Dataset`, or what `mdp.simulate` gives), each of weight 1/n."""
    edge, n = edges(mdp), len(data.starts) - 1
    number = np.full(mdp.P.shape, -1)
    number[tuple(edge.T)] = np.arange(len(edge))
    episode = np.repeat(np.arange(n), np.diff(data.starts))
    after = np.append(data.obs[1:], 0)
    after[data.starts[1:] - 1] = data.final_obs
    e = number[data.obs, data.action, after]
    if (e < 0).any():
        i = int(np.argmin(e))
        raise ValueError(f"transition {i} goes from state {data.obs[i]} by action {data.action[i]} to {after[i]}, "
                         "which this world cannot do; were the data collected in another one?")
    count = np.bincount(episode * len(edge) + e, minlength=n * len(edge)).reshape(n, -1).astype(float)
    ret = np.add.reduceat(data.reward, data.starts[:-1])
    return Records(np.full(n, 1 / n), count, ret, edge, mdp, horizon, np.unique(ret), n)


def stack(parts: list[Records]) -> Records:
    """Datasets of one world as one batch; a kind of episode that a dataset lacks has weight 0 there."""
    N = max(len(r.weight) for r in parts)
    pad = lambda x: np.concatenate([x, np.repeat(x[:1], N - len(x), 0)])                   # noqa: E731
    weight = np.stack([np.r_[r.weight, np.zeros(N - len(r.weight))] for r in parts])
    return parts[0]._replace(weight=weight, count=np.stack([pad(r.count) for r in parts]),
                             ret=np.stack([pad(r.ret) for r in parts]),
                             levels=np.unique(np.concatenate([r.levels for r in parts])))


# ---- a latent, read off the data


class Book(NamedTuple):
    """The data conditioned on each code: p(z), V(z), π(a|s, z), and what z knows, in nats an episode."""
    p: np.ndarray                         # [..., Z] p(z), share of the data
    V: np.ndarray                         # [..., Z] V(z), the promise
    pi: np.ndarray                        # [..., Z, S, A] (as the data behave where z has none)
    luck: np.ndarray                      # [...] MI(s'; z | s, a), summed over steps: what z must not know
    skill: np.ndarray                     # [...] what z tells of the actions beyond the state: what it is for
    nll: np.ndarray                       # [...] E[-Σ_t log π(a_t | s_t, z)]
    kl: np.ndarray                        # [...] MI(τ; z) = E KL(q(z|τ) || p(z)): all that z knows
    surprise: np.ndarray                  # [...] H(R|z), what is left open of the return
    edge: np.ndarray                      # [..., Z, E] visits of each transition
    ret: np.ndarray                       # [..., Z, G] Pr(R = level, z)


def book(rec: Records, q: np.ndarray) -> Book:
    """Condition the data on a latent.  q: [..., N, Z] q(z|τ), rows sum to 1.

        c_z(s, a, s') = Σ_i w_i q_iz m_i(s, a, s'),    c = Σ_z c_z
        π(a|s, z) = c_z(s, a) / c_z(s)        luck = Σ c_z(s, a, s') log [ c_z(s'|s, a) / c(s'|s, a) ]
    """
    wq = rec.weight[..., None] * q
    p = wq.sum(-2)
    share = np.maximum(p, TINY)
    c = code_visits(rec, wq)                                                               # [..., Z, E]
    g = wq.swapaxes(-1, -2) @ return_code(rec)                                             # [..., Z, G]
    all_c = c.sum(-2, keepdims=True)
    pair, all_pair = pair_visits(rec, c), pair_visits(rec, all_c)
    state, all_state = (x.reshape(*x.shape[:-1], rec.mdp.S, rec.mdp.A).sum(-1) for x in (pair, all_pair))
    conditional = lambda x, y: (x * log(x)).sum((-1, -2)) - (y * log(y)).sum((-1, -2))   # noqa: E731
    nll, nll_blind = -conditional(pair, state), -conditional(all_pair, all_state)
    clone = _policy(rec, all_pair, all_state, 1 / rec.mdp.A)
    return Book(p, (wq * rec.ret[..., None]).sum(-2) / share, _policy(rec, pair, state, clone),
                np.maximum(conditional(c, pair) - conditional(all_c, all_pair), 0.0), nll_blind - nll, nll,
                (wq * (log(q) - log(p)[..., None, :])).sum((-1, -2)), -conditional(g, p[..., None]), c, g)


def code_visits(rec: Records, y: np.ndarray) -> np.ndarray:
    """Σ_i y_iz m_i [..., Z, E], block by block.  y: [..., N, Z]."""
    return sum(y[..., i:i + ROWS, :].swapaxes(-1, -2) @ rec.count[..., i:i + ROWS, :]
               for i in range(0, y.shape[-2], ROWS))


def along_episodes(rec: Records, x: np.ndarray) -> np.ndarray:
    """Σ_e m_i(e) x_z(e) [..., N, Z], block by block.  x: [..., Z, E], what each transition costs."""
    x, N = x.swapaxes(-1, -2), rec.count.shape[-2]
    return np.concatenate([rec.count[..., i:i + ROWS, :] @ x for i in range(0, N, ROWS)], -2)


def pair_visits(rec: Records, c: np.ndarray) -> np.ndarray:
    """Visits of the pairs [..., S·A] out of those of the transitions [..., E]."""
    s, a, _ = rec.edge.T
    return c @ np.eye(rec.mdp.S * rec.mdp.A)[s * rec.mdp.A + a]


def _policy(rec, pair, state, otherwise):
    pair = pair.reshape(*pair.shape[:-1], rec.mdp.S, rec.mdp.A)
    seen = state[..., None] > 1e-12
    return np.where(seen, pair / np.where(seen, state[..., None], 1.0), otherwise)


def log(x):
    """log x, and a finite number for log 0, so that 0 log 0 = 0."""
    return np.log(np.maximum(x, TINY))


def worth(rec: Records, pi: np.ndarray, seen: bool = False) -> np.ndarray:
    """V_M(π) [..., Z]: what policies [..., Z, S, A] truly earn in an episode, by dynamic programming.

    seen: in the world as the data show it, its frequencies in place of its probabilities (what the bound speaks of).
    """
    mdp = rec.mdp
    if seen:
        all_c = code_visits(rec, rec.weight[..., None])[..., 0, :]                         # [..., E]
        pair = pair_visits(rec, all_c)
        s, a, after = rec.edge.T
        P = np.array(np.broadcast_to(mdp.P, (*all_c.shape[:-1], *mdp.P.shape)))
        met = pair[..., s * mdp.A + a]
        P[..., s, a, after] = np.where(met > 0, all_c / np.where(met > 0, met, 1.0), P[..., s, a, after])
        mdp = MDP.paying(P[..., None, :, :, :], _paid(mdp), mdp.start, mdp.terminal)
    return evaluate(mdp, pi, horizon=rec.horizon) @ mdp.start


def _paid(mdp: MDP) -> np.ndarray:
    return np.broadcast_to(mdp.R[..., None], mdp.P.shape) if mdp.reward is None else mdp.reward


def bound(rec: Records, luck: np.ndarray) -> np.ndarray:
    """(R_max - R_min) √(luck / 2): the mean broken promise Σ_z p(z) |V(z) - V_M(π_z)| is no larger."""
    return np.ptp(rec.levels) * np.sqrt(np.maximum(luck, 0.0) / 2)


def chosen(p: np.ndarray, V: np.ndarray, K: float, floor: float = 0.0) -> np.ndarray:
    """Probability [..., Z] that each code is the best of K latents drawn from the prior.

        Pr(j) = F_j^K - F_{j-1}^K,    F the prior's cumulated probability in the order of V

    K: inf takes the best there is.  floor: codes with p(z) ≤ floor are dead, nobody proposes them.
    """
    alive = p > np.minimum(floor, p.max(-1, keepdims=True) / 2)
    prior = np.where(alive, p, 0.0)
    prior = prior / prior.sum(-1, keepdims=True)
    order = np.argsort(np.where(alive, V, -np.inf), -1)
    F = np.minimum(np.cumsum(np.take_along_axis(prior, order, -1), -1), 1.0)
    F[..., -1] = 1.0
    F = F**K                                                                               # 1^inf is 1
    out = np.zeros_like(p)
    np.put_along_axis(out, order, np.diff(F, axis=-1, prepend=0.0), -1)
    return out


# ---- latents that need no learning


def return_code(rec: Records) -> np.ndarray:
    """q(z|τ) = 1[z = R(τ)], [..., N, G]: the latent of return-conditioned learning, one code for each return."""
    return (rec.ret[..., None] == rec.levels).astype(float)


def best_share(rec: Records, share: float) -> np.ndarray:
    """q [..., N, 2]: is the episode among the best `share` of the data (code 1)?  Equal returns share the last places.

    Copying code 1 is the usual rival "x % BC"; its "promise" is the mean return of what it copies.
    """
    better = (rec.weight[..., None, :] * (rec.ret[..., None, :] > rec.ret[..., :, None])).sum(-1)   # [..., N] above it
    same = (rec.weight[..., None, :] * (rec.ret[..., None, :] == rec.ret[..., :, None])).sum(-1)
    top = np.clip((share - better) / np.where(same > 0, same, 1.0), 0.0, 1.0)
    return np.stack([1 - top, top], -1)


def kuhn(rec: Records, behaviour: np.ndarray) -> np.ndarray:
    """A latent that is clean by construction: "which plan was being followed?", one code for each plan.

        q(z|τ) ∝ p(z) 1[τ acts as z does],    p(z) = Π_s π_D(z(s)|s)

    A plan z names an action in every state where there is a choice. Where τ never came, what it would have done there
    is completed at random by the behaviour [S, A]: a latent that says more knows where τ came, which is luck.
    Gives [N, Z]; the number of plans grows like A^S.  Source: Kuhn's theorem, mixtures of plans and behaviour.
    """
    s, a, _ = rec.edge.T
    states = [x for x in np.unique(s) if (behaviour[x] > 0).sum() > 1]
    if rec.mdp.A ** len(states) > 2**16:
        raise ValueError(f"{rec.mdp.A}^{len(states)} plans, expected at most 65 536; this needs a smaller world")
    options = [np.flatnonzero(behaviour[x] > 0) for x in states]
    plans = np.array(list(product(*options)))                                              # [Z, states]
    p = np.prod([behaviour[x, plans[:, k]] for k, x in enumerate(states)], axis=0)
    against = np.zeros((len(plans), len(rec.edge)))                                        # [Z, E] z would not do this
    for k, x in enumerate(states):
        against[:, s == x] = plans[:, [k]] != a[s == x]
    q = p * (rec.count @ against.T == 0)
    return q / q.sum(-1, keepdims=True)


def rcsl(mdp: MDP, behaviour: np.ndarray, g: float, horizon: int) -> np.ndarray:
    """Return-conditioned learning by Bayes, for worlds that pay once, at the end of an episode.

        π(a|s, g) = π_D(a|s) Pr(R = g | s, a) / Pr(R = g | s)

    Pr(R = g | s, a) is the value under π_D of being paid 1 when the end pays g: exact with `horizon` steps to go.
    With R in {0, 1} and g = 1 it is Q_D / V_D: one soft step from the behaviour, whatever the best action is.
    behaviour: [S, A].  Gives [S, A]; where g cannot be had any more, the behaviour.
    """
    hit = np.isclose(_paid(mdp), g) & mdp.terminal                                         # [S, A, S] pays g at the end
    asked = MDP.paying(mdp.P, hit.astype(float), mdp.start, mdp.terminal)
    q = backup(asked, evaluate(asked, behaviour, horizon=max(1, horizon - 1)))
    joint = behaviour * q
    total = joint.sum(-1, keepdims=True)
    return np.where(total > 0, joint / np.where(total > 0, total, 1.0), behaviour)
