"""Small worlds for a team: n agents, one shared reward, as tables that every exact formula can read.

    game = climbing(2)                     # one decision: R [1, 3, 3]
    game = coordination(3)                 # a Markov game: P [8, 2, 2, 2, 8]
    game = GAMES["penalty"](n=2, k=30.0)

A `TeamGame` is three tables, and who sees what. Agents are numbered from 0; the joint action (a_0, …, a_{n-1}) is an
index with n axes. A game whose P is None is one joint decision and then over.
Sources: climbing and penalty, Claus & Boutilier (1998); permutations, Fu et al. (2022); Coordination Game, Chen & Zhang
(2023), as their code builds it, with a start law that sums to 1. Chains of games, stag(k) and the packet game are ours.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from rlkit.mdp import MDP, solve

CLIMBING = np.array([[11.0, -30, 0], [-30, 7, 6], [0, 0, 5]])


class TeamGame(NamedTuple):
    """P [S, A_0, …, A_{n-1}, S] probability of the next state (None: the game ends after one joint action);
    R [S, A_0, …, A_{n-1}] expected reward of the team; start [S]; gamma, discount; obs [n, S], what each agent sees
    of a state, a number from 0 (None: everything).
    """

    P: np.ndarray | None
    R: np.ndarray
    start: np.ndarray
    gamma: float = 1.0
    obs: np.ndarray | None = None

    @property
    def n(self) -> int:
        """Agents."""
        return self.R.ndim - 1

    @property
    def S(self) -> int:
        return len(self.R)

    @property
    def actions(self) -> tuple[int, ...]:
        """How many actions each agent has."""
        return self.R.shape[1:]

    @property
    def O(self) -> tuple[int, ...]:  # noqa: E743
        """How many things each agent can observe."""
        return (self.S,) * self.n if self.obs is None else tuple(int(o.max()) + 1 for o in self.obs)


def one_shot(R) -> TeamGame:
    """The game of one joint decision with payoff R [A_0, …, A_{n-1}]."""
    return TeamGame(None, np.asarray(R, float)[None], np.ones(1))


def optimum(game: TeamGame) -> float:
    """What the best team earns that sees the whole state and acts as one: the ceiling of every graph."""
    R = game.R.reshape(game.S, -1)
    if game.P is None:
        return float(game.start @ R.max(1))
    joint = MDP(game.P.reshape(game.S, -1, game.S), R, game.start, np.zeros(game.S, bool))
    return float(game.start @ solve(joint, game.gamma)[0])


def climbing(n: int = 2) -> TeamGame:
    """11 for (0, 0), but -30 for whoever goes there alone; for n > 2 a chain: the mean over the pairs (i, i+1)."""
    a = np.indices((3,) * n)
    return one_shot(np.mean([CLIMBING[a[i], a[i + 1]] for i in range(n - 1)], axis=0))


def penalty(n: int = 2, k: float = 30.0) -> TeamGame:
    """10 if all play 0 or all play 2, 2 if all play 1, -k if a 0 meets a 2, else 0."""
    a = np.indices((3,) * n)
    alike = lambda u: (a == u).all(0)  # noqa: E731
    miss = (a == 0).any(0) & (a == 2).any(0)
    return one_shot(10.0 * (alike(0) | alike(2)) + 2.0 * alike(1) - k * miss)


def stag(n: int = 2, k: float = 10.0) -> TeamGame:
    """10 if all hunt the stag (0), 2 if all hunt the hare (1), -k if they do not agree."""
    a = np.indices((2,) * n)
    return one_shot(np.select([(a == 0).all(0), (a == 1).all(0)], [10.0, 2.0], -float(k)))


def permutation(n: int = 3) -> TeamGame:
    """1 if all n actions differ, else 0: n! solutions, and no agent knows which."""
    a = np.sort(np.indices((n,) * n), axis=0)
    return one_shot((np.diff(a, axis=0) > 0).all(0))


def coordination(n: int = 3, gamma: float = 0.95) -> TeamGame:
    """n bits; each next bit is that agent's action with probability 0.9.

    Paid for the present bits: with a clear majority 3 for zeros and 2 for ones, with a narrow one (difference ≤ 1 for
    two and three agents, 2 for five, 3 for ten) 0 for zeros, 1 for ones. Safe ones are the trap, zeros the prize.
    """
    s = np.array(list(np.ndindex(*(2,) * n)))  # [S, n]
    ones = s.sum(1)
    narrow = np.abs(n - 2 * ones) <= max(1, round(n / 3))
    lead = 2 * ones > n
    pay = np.where(narrow, lead.astype(float), np.where(lead, 2.0, 3.0))
    hit = np.where(s[:, None] == s[None], 0.9, 0.1).prod(-1)  # [joint action, next state]
    P = np.broadcast_to(hit.reshape(1, *(2,) * n, 2**n), (2**n, *(2,) * n, 2**n))
    R = np.broadcast_to(pay.reshape(-1, *(1,) * n), (2**n, *(2,) * n))
    return TeamGame(P, R, np.full(2**n, 2.0**-n), gamma)


def packet(n: int = 2, k: float = 1.0, q: float = 0.6) -> TeamGame:
    """Each agent has a packet with probability q and sees its own only. One sender alone earns 1, a collision costs k
    per sender; sending without a packet is keeping still. Best without edges: one fixed sender, q; with all edges
    1 - (1-q)^n: here a parent's action tells what nobody else can see.
    """
    s = np.array(list(np.ndindex(*(2,) * n)))  # [S, n] who has a packet
    a = np.array(list(np.ndindex(*(2,) * n)))  # [joint, n] who tries to send
    sends = (s[:, None] * a[None]).sum(-1)  # [S, joint]
    R = np.where(sends == 1, 1.0, np.where(sends > 1, -k * sends, 0.0))
    start = np.where(s == 1, q, 1 - q).prod(1)
    return TeamGame(None, R.reshape(len(s), *(2,) * n), start, obs=s.T)


GAMES = {
    "climbing": lambda n, k: climbing(n),
    "penalty": penalty,
    "stag": stag,
    "permutation": lambda n, k: permutation(n),
    "coordination": lambda n, k: coordination(n),
    "packet": packet,
}
