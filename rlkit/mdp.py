"""Finite Markov decision processes, exactly: what a policy is worth, which one is best, where it goes.

An MDP is four arrays. Every function takes the MDP and a policy table `pi[s, a]` and gives an array; leading axes are
a batch of MDPs or policies and broadcast, so that one call answers for a whole grid of settings.

    v = evaluate(mdp, pi, gamma=0.99)           # [..., S]     value of each state
    v, q, pi = solve(mdp, gamma=0.99)           # the best policy
    d = occupancy(mdp, pi, horizon=100)         # [..., S, A]  expected visits
    episodes = simulate(mdp, pi, 200, rng, horizon=100)

Worlds of thousands of states, where each step leads to a few of them, come as one sparse table: `MDP.P` says how.

Axes: S states, A actions, T steps. Read `backup` first, the rest is that one line repeated or inverted.
Source: Puterman (1994), Markov Decision Processes, chapters 4 (finite horizon), 6 (discounted), 7 (undiscounted).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

ROUNDING = 1e-6         # rows of probabilities may be off by this much (float32 tables) and are then rescaled
TIE = 1e-10             # actions within this share of the largest |q| are equally good
SWEEPS = 4              # of value iteration before the first policy is solved: few MDPs then need a second solution
CACHE = 2**21           # bytes of P that are worked on together, so that all but the first reading is quick


class MDP(NamedTuple):
    """A finite MDP, or a batch of them: leading axes of the fields broadcast against each other.

    Entering a terminal state ends the episode: its value is 0, and its rows of P and R are never read.
    Where the pay of (s, a) depends on the state it leads to, `reward` holds it and R its mean; see `paying`.
    P may be a scipy.sparse array [S·A, S] whose row s·A + a is that of (s, a): one MDP, no batch, R in place of reward.
    Every function takes it. Chains, queues and grids of 30 000 states are solved exactly in about a second; worlds
    where everything is a few steps from everything fill the memory, as they would as a dense table.
    """
    P: np.ndarray                       # [..., S, A, S] probability of the next state; rows sum to 1; or sparse
    R: np.ndarray                       # [..., S, A] expected reward of the step
    start: np.ndarray                   # [..., S] probability of the first state
    terminal: np.ndarray                # [..., S] bool
    reward: np.ndarray | None = None    # [..., S, A, S] reward on arrival, where R is only its mean

    @classmethod
    def paying(cls, P, reward, start, terminal) -> MDP:
        """The MDP that pays reward[s, a, s'] on arrival in s':  R[s, a] = Σ_s' P[s, a, s'] reward[s, a, s']."""
        if _sparse(P) or _sparse(reward):
            raise TypeError("paying takes dense tables; with a sparse P give the mean reward: "
                            "MDP(P, R, start, terminal) with R = P.multiply(reward).sum(1).reshape(S, A)")
        P, reward = np.asarray(P, float), np.asarray(reward, float)
        reward = np.broadcast_to(reward, reward.shape[:-3] + P.shape[-3:])
        return cls(P, (P * np.where(P > 0, reward, 0.0)).sum(-1), start, terminal, reward)

    @property
    def S(self) -> int:
        return np.shape(self.P)[-1]

    @property
    def A(self) -> int:
        return np.shape(self.P)[0] // self.S if _sparse(self.P) else np.shape(self.P)[-2]


class Episodes(NamedTuple):
    """N simulated episodes, M transitions in all, one episode after the other."""
    obs: np.ndarray                     # [M] int64 state in which the action was taken
    action: np.ndarray                  # [M] int64
    reward: np.ndarray                  # [M] float64
    terminated: np.ndarray              # [M] bool: the step entered a terminal state
    truncated: np.ndarray               # [M] bool: the step was the last one allowed, and the world went on
    starts: np.ndarray                  # [N+1] int64: episode i is starts[i]:starts[i+1]
    final_obs: np.ndarray               # [N] int64 state after the last step


def backup(mdp: MDP, v: np.ndarray, gamma: float = 1.0) -> np.ndarray:
    """Value of each action when v is the value of what comes next:  q[s, a] = R[s, a] + γ Σ_s' P[s, a, s'] v[s'].

    v: [..., S]; v counts as 0 in terminal states.  Gives [..., S, A], 0 in terminal states.
    """
    mdp, v = _read(mdp), np.asarray(v, float)
    if v.shape[-1:] != (mdp.S,):
        raise ValueError(f"v has shape {v.shape}, expected [..., S] with S={mdp.S}")
    return _backup(mdp, np.where(mdp.terminal, 0.0, v), gamma)


def evaluate(mdp: MDP, pi: np.ndarray, gamma: float = 1.0, horizon: int | None = None, *,
             timed: bool = False) -> np.ndarray:
    """Value of each state under a policy:  v[s] = E[Σ_t γ^t r_t | s_0 = s].

    pi: [..., S, A], rows sum to 1 (rows of terminal states are not read).  gamma: γ in [0, 1].
    horizon: number of steps after which the sum stops; None: never, then (I - γ P_π) v = R_π is solved.
    timed: pi is [T, ..., S, A], one table per step, T = horizon.
    Gives [..., S] in reward units; the expected return of an episode is (start * v).sum(-1).
    Raises ValueError for improper tables, and where γ = 1, horizon is None and pi may never end from some state.
    """
    mdp = _read(mdp)
    pi = _read_policy(pi, mdp, gamma, horizon, timed)
    if horizon is None:
        P, r = _follow(mdp, pi)
        if gamma == 1:
            _must_end(P, mdp.terminal, np.ones_like(mdp.terminal), "this policy")
        return _sum_over_time(P, r, gamma)
    v = np.zeros(mdp.S)
    for t in reversed(range(horizon)):
        if timed or t == horizon - 1:
            P, r = _follow(mdp, pi[t] if timed else pi)
        v = r + gamma * (P @ v[..., None])[..., 0]
    return v


def solve(mdp: MDP, gamma: float = 1.0, horizon: int | None = None, *,
          timed: bool = False) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The best values and a best policy: (v [..., S], q [..., S, A], pi [..., S, A]).

        v[s] = max_a q[s, a],    q = backup(v)

    With a horizon by backward induction, else by policy iteration with exact evaluation.
    pi is deterministic; of equally good actions (up to 1e-10 of the largest |q|) the first is taken.
    horizon: v, q and pi are those of the first step, with all T = horizon steps still to go; the best policy of
    later steps may differ: timed=True gives [T, ..., S], [T, ..., S, A], [T, ..., S, A], one of each per step.
    gamma = 1 without a horizon: the best among the policies that end; of equally good actions the first that
    leads towards an end, so that pi ends too.  Raises ValueError where no policy ends, or where one gains for ever.
    """
    mdp = _read(mdp)
    _read_clock(gamma, horizon, timed)
    if horizon is None:
        return _undiscounted(mdp) if gamma == 1 else _discounted(mdp.P, mdp.R, gamma)
    v, steps = np.zeros(mdp.S), []
    for t in reversed(range(horizon)):
        q = _backup(mdp, v, gamma)
        v = q.max(-1)
        if timed or t == 0:
            steps.append((v, q, _one_hot(_best(q).argmax(-1), mdp.A)))
    return tuple(np.stack(x[::-1]) for x in zip(*steps)) if timed else steps[0]


def occupancy(mdp: MDP, pi: np.ndarray, gamma: float = 1.0, horizon: int | None = None, *,
              timed: bool = False) -> np.ndarray:
    """Expected (discounted) number of times each action is taken in each state, in one episode from `start`.

        d[s, a] = Σ_t γ^t Pr(s_t = s, a_t = a),      J = Σ d R

    Not normalised: at γ = 1 it sums to the expected length of an episode. Nothing is done in terminal states: 0 there.
    Arguments as in `evaluate`.  Gives [..., S, A].
    Raises ValueError as `evaluate` does, but asks only of states that pi can reach that the episode ends.
    """
    mdp = _read(mdp)
    pi = _read_policy(pi, mdp, gamma, horizon, timed)
    if horizon is None:
        P, _ = _follow(mdp, pi)
        reached = _closure(mdp.start > 0, P)
        if gamma == 1:
            _must_end(P, mdp.terminal, reached, "this policy")
        P = P * reached[..., None]                                        # elsewhere I - P could be singular
        d = _sum_over_time(_turned(P), mdp.start, gamma)
        return np.maximum(d, 0.0)[..., None] * pi                         # the solver may leave -1e-17
    now, d = mdp.start, 0.0                                               # now [..., S]: γ^t Pr(s_t = s)
    for t in range(horizon):
        if timed or t == 0:
            pi_t = pi[t] if timed else pi
            P, _ = _follow(mdp, pi_t)
        d = d + now[..., None] * (pi_t if timed else 1.0)                 # pi is 0 where nothing is done any more
        now = gamma * (now[..., None, :] @ P)[..., 0, :]
    return d if timed else d * pi


def simulate(mdp: MDP, pi: np.ndarray, n: int, rng: np.random.Generator, horizon: int, *,
             timed: bool = False) -> Episodes:
    """Play n episodes of at most `horizon` steps, all in lock-step.

    mdp, pi: one MDP and one policy, no batch.  Rewards are those of `mdp.reward` where it is given, else R.
    Gives flat arrays in the order of the episodes: `trajectories.Dataset.from_arrays(**episodes._asdict())`.
    """
    mdp = _read(mdp)
    pi = _read_policy(pi, mdp, 1.0, horizon, timed)
    if horizon is None:
        raise ValueError("horizon is None, expected the most steps an episode may take: some might never end")
    if mdp.P.shape[:-3] + mdp.start.shape[1:] + mdp.terminal.shape[1:] + pi.shape[timed:-2] or mdp.R.ndim != 2:
        raise ValueError(f"simulate takes one MDP and one policy, no batch; got P {mdp.P.shape}, pi {pi.shape}")
    if not isinstance(n, int | np.integer) or n < 1:
        raise ValueError(f"n is {n!r}, expected a number of episodes ≥ 1")
    move = _Rows(mdp.P)
    act = [_Rows(p) for p in pi] if timed else [_Rows(pi)]
    final, live, steps = _Rows(mdp.start[None]).draw(np.zeros(n, int), rng), np.arange(n), []
    for t in range(horizon):
        s = final[live]
        a = act[t if timed else 0].draw(s, rng)
        s2 = move.draw(s * mdp.A + a, rng)
        r = mdp.R[s, a] if mdp.reward is None else mdp.reward[s, a, s2]
        ends = mdp.terminal[s2]
        steps.append((live, s, a, r, ends, ~ends & (t == horizon - 1)))
        final[live] = s2
        live = live[~ends]
        if not live.size:
            break
    episode, *columns = map(np.concatenate, zip(*steps))
    order = np.argsort(episode, kind="stable")                            # stable: time stays in order
    starts = np.r_[0, np.cumsum(np.bincount(episode, minlength=n))]
    return Episodes(*(c[order] for c in columns), starts, final)


def from_gymnasium(env) -> MDP:
    """The MDP of an environment that carries its table, as Gymnasium's toy-text worlds do.

    Reads `env.unwrapped.P[s][a] = [(probability, next state, reward, terminated), ...]` and
    `env.unwrapped.initial_state_distrib`; wrappers, a time limit among them, are not seen: pass it as `horizon`.
    Outcomes of one (s, a) that share the next state but not the reward get their mean reward: values are exact, the
    spread of sampled returns is smaller.  Rows of terminal states come out as staying there for nothing.
    Raises ValueError where there is no table, or a state ends the episode on some visits but not on others.
    """
    world = getattr(env, "unwrapped", env)
    name = getattr(getattr(env, "spec", None), "id", None) or type(world).__name__
    table, start = getattr(world, "P", None), getattr(world, "initial_state_distrib", None)
    if table is None or start is None:
        missing = "P" if table is None else "initial_state_distrib"
        raise ValueError(f"{name} has no table of probabilities: expected env.unwrapped.{missing}, as FrozenLake, "
                         "CliffWalking and Taxi have; of any other world, collect episodes with trajectories.collect")
    if getattr(world, "fickle_passenger", False):
        raise ValueError(f"{name}: a fickle passenger changes destination outside the table; make it with "
                         "fickle_passenger=False")
    S, A = len(table), len(table[0])
    if any(len(table[s]) != A for s in range(S)):
        raise ValueError(f"{name}: states differ in their number of actions, expected {A} in each; give an action that "
                         "is not allowed the effect it has")
    start = np.asarray(start, float)
    rows = [(s, a, *outcome) for s in range(S) for a in range(A) for outcome in table[s][a] if outcome[0] > 0]
    s, a, p, s2, r, ends = map(np.array, zip(*rows))
    ends = ends.astype(bool)
    P, paid = np.zeros((S, A, S)), np.zeros((S, A, S))
    np.add.at(P, (s, a, s2), p)
    np.add.at(paid, (s, a, s2), p * r)
    terminal = np.zeros(S, bool)
    terminal[s2[ends]] = True
    step = np.zeros((S, S), bool)
    step[s[~ends], s2[~ends]] = True
    reached = _closure(start > 0, step)
    mixed = terminal[s2] & ~ends & reached[s] & ~terminal[s]
    if mixed.any():
        i = mixed.argmax()
        raise ValueError(f"{name}: state {s2[i]} ends the episode when entered from elsewhere, not from state {s[i]} "
                         f"by action {a[i]}; expected terminal always or never: give the end a state of its own")
    reward = np.divide(paid, P, out=np.zeros_like(P), where=P > 0)
    P[terminal], reward[terminal] = np.eye(S)[terminal][:, None], 0.0
    mdp = MDP.paying(P, reward, start, terminal)
    low, high = (f(np.where(P > 0, reward, -x), axis=-1) for f, x in ((np.min, -np.inf), (np.max, np.inf)))
    return MDP(P, high, start, terminal) if np.allclose(low, high, rtol=1e-12, atol=0) else mdp


def to_gymnasium(mdp: MDP):
    """A Gymnasium environment with this MDP's dynamics: states and actions are Discrete, the table is `env.P`.

    It has no time limit: `gymnasium.wrappers.TimeLimit(env, horizon)` gives one.  mdp: one MDP, no batch.
    """
    import gymnasium

    mdp = _read(mdp)
    if mdp.P.shape[:-3] or mdp.R.ndim != 2:
        raise ValueError(f"to_gymnasium takes one MDP, got P {mdp.P.shape} and R {mdp.R.shape}; index the batch")
    rows = _Rows(mdp.P)

    def outcomes(s, a):
        if mdp.terminal[s]:
            return [(1.0, s, 0.0, True)]
        to, p = rows.of(s * mdp.A + a)
        pay = np.broadcast_to(mdp.R[s, a], to.shape) if mdp.reward is None else mdp.reward[s, a, to]
        return [(float(p_k), int(k), float(r), bool(mdp.terminal[k])) for k, p_k, r in zip(to, p, pay)]

    class Tabular(gymnasium.Env):
        metadata = {"render_modes": []}
        observation_space = gymnasium.spaces.Discrete(mdp.S)
        action_space = gymnasium.spaces.Discrete(mdp.A)
        P = {s: {a: outcomes(s, a) for a in range(mdp.A)} for s in range(mdp.S)}
        initial_state_distrib = mdp.start

        def reset(self, *, seed=None, options=None):
            super().reset(seed=seed)
            self.s = int(_Rows(mdp.start[None]).draw(np.zeros(1, int), self.np_random)[0])
            return self.s, {}

        def step(self, action):
            if not self.action_space.contains(action):
                raise ValueError(f"action is {action!r}, expected a whole number from 0 to {mdp.A - 1}")
            row = self.P[self.s][int(action)]
            i = min(np.searchsorted(np.cumsum([p for p, *_ in row]), self.np_random.random(), "right"), len(row) - 1)
            _, self.s, r, terminated = row[i]
            return self.s, r, terminated, False, {}

    return Tabular()


class _Rows:
    """The rows of a table of probabilities: draws from them by one binary search, O(log of its size) a draw."""

    def __init__(self, p):
        if _sparse(p):
            from rlkit import sparse
            row, self.value, self.p, total = sparse.entries(p)
        else:
            p = p.reshape(-1, p.shape[-1])
            row, self.value = np.nonzero(p)                               # only what can happen is stored
            self.p, total = p[row, self.value], np.cumsum(p, 1)
            total = (total / np.where(total[:, -1:] > 0, total[:, -1:], 1))[row, self.value]
        self.end = np.searchsorted(row, np.arange(p.shape[0]), "right") - 1               # last entry of each row
        self.cum = row + total                                            # row i: (i, i+1]

    def of(self, i):
        """(value, p): what row i holds."""
        some = slice(self.end[i - 1] + 1 if i else 0, self.end[i] + 1)
        return self.value[some], self.p[some]

    def draw(self, row, rng):
        i = np.searchsorted(self.cum, row + rng.random(len(row)), "right")
        return self.value[np.minimum(i, self.end[row])]                   # row + 0.999… may round up to the next row


def _sparse(P):
    return hasattr(P, "tocsr")                                            # asked without importing scipy


def _turned(P):
    """P with its last two axes exchanged."""
    return P.T if _sparse(P) else P.swapaxes(-1, -2)


def _backup(mdp, v, gamma):
    if _sparse(mdp.P):
        ahead = (mdp.P @ v.reshape(-1, mdp.S).T).T.reshape(*v.shape[:-1], mdp.S * mdp.A)
    else:
        P = mdp.P.reshape(*mdp.P.shape[:-3], -1, mdp.S)                   # [..., S·A, S]: one product, not S small ones
        ahead = (P @ v[..., None])[..., 0]
    return mdp.R + gamma * ahead.reshape(*ahead.shape[:-1], mdp.S, mdp.A)


def _follow(mdp, pi):
    """The Markov chain of a policy: P_π [..., S, S] and R_π [..., S]; rows of terminal states are 0."""
    r = (pi * mdp.R).sum(-1)
    if _sparse(mdp.P):
        from rlkit import sparse
        return sparse.mixed(mdp.P, pi), r
    return (pi[..., None, :] @ mdp.P)[..., 0, :], r


def _sum_over_time(P, r, gamma):
    """Σ_t (γP)^t r = (I - γP)^-1 r.  P: [..., S, S], r: [..., S]."""
    if _sparse(P):
        from rlkit import sparse
        return sparse.sum_over_time(P, r, gamma)
    P = P * -gamma
    s = np.arange(P.shape[-1])
    P[..., s, s] += 1
    return np.linalg.solve(P, r[..., None])[..., 0]


def _best(q):
    """[..., S, A] bool: the actions that are as good as the best."""
    return q >= q.max(-1, keepdims=True) - TIE * np.abs(q).max((-1, -2), keepdims=True)


def _one_hot(action, A):
    return np.eye(A)[action]


def _discounted(P, R, gamma):
    """Policy iteration with γ < 1: v, q and pi of `solve`.  Of a large batch a few MDPs at a time, out of the cache."""
    too_near = ValueError(f"gamma is {gamma!r}: so near 1, float64 cannot tell a good policy from a bad one; "
                          "use gamma=1, or a horizon")
    if gamma > 1 - 1e-7:
        raise too_near
    lead, (S, A) = np.broadcast_shapes(P.shape[:-3], R.shape[:-2]), R.shape[-2:]
    R = np.broadcast_to(R, (*lead, S, A))
    if lead and (size := 8 * S * A * S * math.prod(lead[1:])) * lead[0] > CACHE:          # bytes of each P[i]
        P, step = np.broadcast_to(P, (*lead, S, A, S)), max(1, CACHE // size)
        parts = [_discounted(P[i : i + step] if step > 1 else P[i], R[i : i + step] if step > 1 else R[i], gamma)
                 for i in range(0, lead[0], step)]
        return tuple((np.concatenate if step > 1 else np.stack)(x) for x in zip(*parts))
    R = R.reshape(-1, S, A)                                               # [B, S, A]
    if not _sparse(P):
        P = np.broadcast_to(P, (*lead, S, A, S)).reshape(len(R), S, A, S)
    mdp = MDP(P, R, None, None)
    action, live = _first_policy(mdp, gamma), np.arange(len(R))           # live [L]: the MDPs whose policy may gain yet
    v, q = np.empty(R.shape[:2]), np.empty(R.shape)
    for _ in range(1000):                                                 # each round gains; ten are many
        some = mdp if len(live) == len(R) else MDP(P[live], R[live], None, None)
        v[live] = v_live = _sum_over_time(*_obey(some, action[live]), gamma)
        q[live] = q_live = _backup(some, v_live, gamma)
        gain = q_live.max(-1) - v_live > TIE / A * np.abs(q_live).max((-1, -2))[:, None]
        action[live] = np.where(gain, q_live.argmax(-1), action[live])    # only strict gains move the policy
        live = live[gain.any(-1)]
        if not live.size:
            break
    else:
        raise too_near
    return v.reshape(*lead, S), q.reshape(*lead, S, A), _one_hot(_best(q).argmax(-1), A).reshape(*lead, S, A)


def _first_policy(mdp, gamma):
    """Actions [B, S] to start from: any would do, those after a few sweeps are nearly right and cheap."""
    if _sparse(mdp.P):
        from rlkit import sparse
        return sparse.settled(mdp.P, mdp.R[0], gamma)[None]
    q = mdp.R
    for _ in range(SWEEPS):
        q = _backup(mdp, q.max(-1), gamma)
    return q.argmax(-1)


def _obey(mdp, action):
    """`_follow` of one action [B, S] for each state: rows are copied, nothing is added up."""
    B, S = action.shape
    row = (np.arange(B * S).reshape(B, S) * mdp.A) + action
    P = mdp.P[row[0]] if _sparse(mdp.P) else mdp.P.reshape(-1, S).take(row, 0)
    return P, mdp.R.reshape(-1).take(row)


def _undiscounted(mdp):
    """Policy iteration with γ = 1."""
    # Only strict gains move the policy. So a policy that ends is followed by one that ends, unless the new one
    # has a cycle with positive mean reward; and where nothing gains, v is best among all policies that end.
    pi = np.full(np.broadcast_shapes(mdp.R.shape, (*mdp.P.shape[:-3], 1, 1)), 1 / mdp.A)
    who = "the uniform policy, so every policy,"
    for _ in range(1000):                                                 # each round gains; ten are many
        P, r = _follow(mdp, pi)
        _must_end(P, mdp.terminal, np.ones_like(mdp.terminal), who)
        v = _sum_over_time(P, r, 1.0)
        q = _backup(mdp, v, 1.0)
        gain = q.max(-1) - v > TIE / mdp.A * np.abs(q).max((-1, -2))[..., None]
        if not gain.any():
            break
        pi = np.where(gain[..., None], _one_hot(q.argmax(-1), mdp.A), pi)
        who = "a policy that gains on every round"
    else:
        raise ValueError("after 1000 rounds of policy iteration some state still gains; give a horizon, or gamma < 1")
    best = _best(q)
    action, ends = np.zeros(v.shape, int), np.broadcast_to(mdp.terminal, v.shape)
    possible = MDP(mdp.P > 0, 0.0, None, None)
    for _ in range(mdp.S):                                                # backwards from the ends, one step a round
        nearer = best & (_backup(possible, ends.astype(float), 1.0) > 0)
        new = nearer.any(-1) & ~ends
        if not new.any():
            break
        action, ends = np.where(new, nearer.argmax(-1), action), ends | new
    return v, q, _one_hot(action, mdp.A)


def _closure(seen, P):
    """[..., S] bool: the states that can be reached from `seen` along P [..., S, S]."""
    step = (P > 0).astype(float)
    while True:
        more = seen | ((seen[..., None, :].astype(float) @ step)[..., 0, :] > 0)
        if more.shape == seen.shape and (more == seen).all():
            return more
        seen = more


def _must_end(P, terminal, asked, who):
    ends = _closure(terminal, _turned(P))
    stuck = asked & ~ends
    if stuck.any():
        *batch, s = np.argwhere(stuck)[0]
        where = f"state {s}" + (f" of MDP {tuple(map(int, batch))}" if batch else "")
        raise ValueError(f"from {where} {who} never ends, so its undiscounted value is not defined; "
                         "give a horizon, or gamma < 1")


def _read_clock(gamma, horizon, timed):
    if not 0 <= gamma <= 1:
        raise ValueError(f"gamma is {gamma!r}, expected a discount from 0 to 1")
    if horizon is None:
        if timed:
            raise ValueError("timed=True needs a horizon: one table per step")
    elif isinstance(horizon, bool) or not isinstance(horizon, int | np.integer) or horizon < 1:
        raise ValueError(f"horizon is {horizon!r}, expected a whole number of steps ≥ 1, or None for no limit")


def _read_policy(pi, mdp, gamma, horizon, timed):
    """pi as float64 with rows of terminal states set to 0, or an error that says what is wrong with it."""
    _read_clock(gamma, horizon, timed)
    pi = np.asarray(pi, float)
    want = ("T, " if timed else "") + "..., S, A"
    if pi.ndim < 2 + timed or pi.shape[-2:] != (mdp.S, mdp.A):
        raise ValueError(f"pi has shape {pi.shape}, expected [{want}] with S={mdp.S}, A={mdp.A}; "
                         "for one action per state use np.eye(A)[action]")
    if timed and len(pi) != horizon:
        raise ValueError(f"pi has {len(pi)} steps, expected horizon={horizon}, one table per step")
    if _sparse(mdp.P) and pi.ndim != 2 + timed:
        raise ValueError(f"pi has shape {pi.shape}, expected [{want.replace('..., ', '')}]: a sparse P goes with one "
                         "policy at a time")
    _batch(mdp, pi=pi.shape[timed:-2])
    pi = np.where(mdp.terminal[..., None], 0.0, pi)
    return _rescaled(pi, "pi", mdp.terminal[..., None])


def _read(mdp: MDP) -> MDP:
    """The MDP as float64 with rows of terminal states set to 0, or an error that says what is wrong with it."""
    P = mdp.P if _sparse(mdp.P) else np.asarray(mdp.P, float)
    R, start = (np.asarray(x, float) for x in mdp[1:3])
    terminal, reward = np.asarray(mdp.terminal), mdp.reward
    if _sparse(P):
        if len(P.shape) != 2 or not P.shape[0] or P.shape[0] % P.shape[1]:
            raise ValueError(f"a sparse P has shape {P.shape}, expected [S·A, S]: row s·A + a says where "
                             "action a leads from s")
        S, A = P.shape[1], P.shape[0] // P.shape[1]
    elif P.ndim < 3 or P.shape[-1] != P.shape[-3]:
        raise ValueError(f"P has shape {P.shape}, expected [..., S, A, S]: state, action, next state")
    else:
        S, A = P.shape[-3:-1]
    if terminal.dtype != bool:
        raise TypeError(f"terminal is {terminal.dtype}, expected bool [..., S]; of state numbers make "
                        "np.isin(np.arange(S), numbers)")
    for name, x, want in (("R", R, (S, A)), ("start", start, (S,)), ("terminal", terminal, (S,))):
        if x.shape[x.ndim - len(want):] != want:
            more = "; for a reward that depends on the next state use MDP.paying" if name == "R" else ""
            raise ValueError(f"{name} has shape {x.shape}, expected [..., {', '.join(map(str, want))}] "
                             f"to go with P {P.shape}{more}")
    if reward is not None:
        reward = np.asarray(reward, float)
        if reward.shape[-3:] != (S, A, S):
            raise ValueError(f"reward has shape {reward.shape}, expected [..., {S}, {A}, {S}] to go with P {P.shape}")
    mdp = MDP(P, R, start, terminal, reward)
    _batch(mdp)
    if terminal.any():
        R = np.where(terminal[..., None], 0.0, R)
    if _sparse(P):
        if reward is not None or R.ndim + start.ndim + terminal.ndim != 4:
            raise ValueError("a sparse P goes with one R [S, A], start [S] and terminal [S], without batch axes, and "
                             "without rewards on arrival: give their mean as R")
        from rlkit import sparse
        P = sparse.read(P, terminal, ROUNDING)
    else:
        if terminal.any():
            P = np.where(terminal[..., None, None], 0.0, P)
        P = _rescaled(P, "P", terminal[..., None, None])
    _finite(R, "R")
    start = _rescaled(start, "start", np.False_)
    if (terminal & (start > 0)).any():
        raise ValueError(f"start gives state {np.argwhere(terminal & (start > 0))[0][-1]} a chance, which is terminal: "
                         "such an episode is over before its first action")
    if reward is not None:
        mean = (P * np.where(P > 0, reward, 0.0)).sum(-1)
        if not np.allclose(mean, R, rtol=1e-6, atol=1e-9):                # a NaN is not close to anything
            raise ValueError("R is not the mean of reward; make the MDP with MDP.paying(P, reward, start, terminal)")
    return MDP(P, R, start, terminal, reward)


def _batch(mdp, **more):
    shapes = dict(P=mdp.P.shape[:-3], R=mdp.R.shape[:-2], start=mdp.start.shape[:-1], terminal=mdp.terminal.shape[:-1])
    try:
        np.broadcast_shapes(*shapes.values(), *more.values())
    except ValueError:
        raise ValueError(f"batch axes do not broadcast: {shapes | more}") from None


def _finite(x, name):
    if not np.isfinite(x).all():
        at = tuple(map(int, np.argwhere(~np.isfinite(x))[0]))
        raise ValueError(f"{name}{list(at)} is {x[at]}, expected a finite number")


def _rescaled(p, name, skip):
    """p with rows that sum to 1 exactly, where they did up to rounding; `skip` marks the rows of terminal states."""
    total = p.sum(-1, keepdims=True)
    off = np.abs(np.where(skip, 1.0, total) - 1)
    if p.min() < 0 or not off.max() <= ROUNDING:                          # not: a NaN in p is one in off
        _finite(p, name)
        if (p < 0).any():
            at = tuple(map(int, np.argwhere(p < 0)[0]))
            raise ValueError(f"{name}{list(at)} is {p[at]}, expected a probability ≥ 0")
        at = tuple(map(int, np.argwhere(off > ROUNDING)[0]))[:-1]
        row = f"row {list(at)} of {name}" if at else name
        raise ValueError(f"{row} sums to {total[at + (0,)]:.6g}, expected 1: probabilities; divide by the sum")
    return p / np.where(skip, 1.0, total) if off.max() > 1e-12 else p
