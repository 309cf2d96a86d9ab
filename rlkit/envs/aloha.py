"""Slotted Aloha: neighbours share a channel, and each sees its own queue only.

n stations hold queues of packets. In each slot every station sends or waits, all at once. A sender whose neighbours
all wait delivers one packet and the team earns `gain`; a sender with a packet who is not alone keeps it and the team
pays `cost`. A station that sends with an empty queue earns nothing and still jams its neighbours. Then one packet
arrives at each station with probability `arrival`; a full queue drops it. After `slots` slots the episode is over.

    Aloha.clique(3)   every pair are neighbours        Aloha.ring(4)   each has two        Aloha.paper()   10 on a grid

What one station sees cannot tell it whether another is about to send: told what its neighbours chose, it could. The
small worlds are solved exactly by dynamic programming over all (cap+1)^n queues: `best`, `best_product`, `value`.
Read `Aloha.step`, the whole physics; `AlohaTeams` plays R·E copies of it for a learner.
Source: the setting with ten stations is Chen & Zhang (2023); the small ones, with gentler numbers, are ours.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product
from typing import NamedTuple

import numpy as np


class Aloha(NamedTuple):
    """A channel: who hears whom, and what is paid."""

    links: np.ndarray           # [n, n] bool, symmetric: neighbours; no station is its own
    gain: float = 1.0           # reward of a delivered packet
    cost: float = 1.0           # paid by each sender of a packet that collides
    arrival: float = 0.6        # probability of a new packet, per station and slot
    cap: int = 3                # longest queue, packets
    slots: int = 20             # length of an episode

    @classmethod
    def clique(cls, n: int = 3, **more) -> Aloha:
        """Everyone hears everyone: one packet a slot at most."""
        return cls(~np.eye(n, dtype=bool), **more)

    @classmethod
    def ring(cls, n: int = 4, **more) -> Aloha:
        """Station i hears i - 1 and i + 1."""
        gap = np.subtract.outer(np.arange(n), np.arange(n)) % n
        return cls((gap == 1) | (gap == n - 1), **more)

    @classmethod
    def paper(cls) -> Aloha:
        """The ten stations of the paper: a grid of 2 rows of 5, and one link more between 4 and 5; 0.1 and -10."""
        at = np.stack(np.divmod(np.arange(10), 5), axis=1)
        links = np.abs(at[:, None] - at).sum(-1) == 1
        links[4, 5] = links[5, 4] = True
        return cls(links, gain=0.1, cost=10.0, cap=5)

    @property
    def n(self) -> int:
        return len(self.links)

    def send(self, queue: np.ndarray, action: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """A slot up to the arrivals.  queue, action (1 sends): [..., n].  Gives the queue left and the reward [...]."""
        jammed = action.astype(np.float32) @ self.links.astype(np.float32) > 0
        trying = (action == 1) & (queue > 0)
        sent = trying & ~jammed
        reward = self.gain * sent.sum(-1) - self.cost * (trying & jammed).sum(-1)
        return queue - sent, reward

    def step(self, queue: np.ndarray, action: np.ndarray, u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """One slot.  queue, action, u: [..., n], u uniform in [0, 1).  Gives the next queue [..., n], reward [...]."""
        left, reward = self.send(queue, action)
        return np.minimum(left + (u < self.arrival), self.cap), reward


class AlohaTeams:
    """R·E channels side by side, started again after their last slot; each run draws from its own generator.

    The form every world of a team learner has: `n` agents, `actions` and `features` of each, `horizon` steps;
    `reset()` gives obs [R, E, n, features]; `step(action [R, E, n])` gives the next obs, the team's reward [R, E] and
    `over` [R, E]; where a team is over, obs is already the first one of its next episode.
    """

    def __init__(self, spec: Aloha, rngs: Sequence[np.random.Generator], envs: int):
        self.spec, self.rngs, self.envs = spec, list(rngs), envs
        self.n, self.actions, self.features, self.horizon = spec.n, 2, spec.cap + 1, spec.slots
        self.seen = np.eye(spec.cap + 1, dtype=np.float32)

    def reset(self) -> np.ndarray:
        size = (self.horizon, self.envs, self.n)
        self.u = np.stack([rng.random(size, np.float32) for rng in self.rngs], axis=1)           # [T, R, E, n]
        self.t, self.queue = 0, np.ones(self.u.shape[1:], np.int64)
        return self._obs()

    def step(self, action: np.ndarray):
        self.queue, reward = self.spec.step(self.queue, action, self.u[self.t])
        self.t += 1
        over = np.full(reward.shape, self.t == self.horizon)
        return (self.reset() if over.flat[0] else self._obs()), reward, over

    def _obs(self) -> np.ndarray:
        return self.seen[self.queue]


# ---- exact answers

def value(spec: Aloha, rule: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Expected return of an episode under a joint rule, by dynamic programming over all queues.

    rule: queues [S, n] -> actions [..., S, n], S = (cap+1)^n; leading axes are a batch of rules.  Gives [...].
    """
    queue = _queues(spec)
    left, reward = spec.send(queue, np.asarray(rule(queue)))
    at = _index(spec, left)                                               # [..., S]
    v = np.zeros(reward.shape)
    for _ in range(spec.slots):
        v = reward + np.take_along_axis(_arrive(spec, v), at, -1)
    return v[..., _index(spec, np.ones(spec.n, int))]


def best(spec: Aloha) -> float:
    """The most a team that sees all queues can earn: no team does better.  V = max_a r(b, a) + E V'(b')."""
    queue = _queues(spec)
    joint = np.array(list(product((0, 1), repeat=spec.n)))[:, None]       # [2^n, 1, n]
    left, reward = spec.send(queue, joint)
    at = _index(spec, left)                                               # [2^n, S]
    v = np.zeros(len(queue))
    for _ in range(spec.slots):
        v = (reward + _arrive(spec, v)[at]).max(0)
    return float(v[_index(spec, np.ones(spec.n, int))])


def best_product(spec: Aloha, batch: int = 512) -> float:
    """The best of all teams in which each station decides from its own queue, by trying every set of rules.

    A rule says for each queue 1 ... cap whether to send: (2^cap)^n sets of deterministic rules without memory.
    """
    rules = np.array(list(product((0, 1), repeat=spec.cap)))              # [2^cap, cap]
    rules = np.c_[np.zeros(len(rules), int), rules]                       # an empty queue never sends
    sets = np.array(list(product(range(len(rules)), repeat=spec.n)))      # [G, n]
    tops = [value(spec, lambda queue, some=some: rules[some[:, None], queue]).max()
            for some in np.array_split(sets, max(1, len(sets) // batch))]
    return float(max(tops))


def greedy(spec: Aloha, order: Sequence[int]) -> Callable[[np.ndarray], np.ndarray]:
    """The rule of a Bayesian network over neighbours in this order: send iff you have a packet and no earlier
    neighbour sends."""
    def rule(queue):
        action = np.zeros(queue.shape, int)
        for i in order:
            action[..., i] = (queue[..., i] > 0) & ~(action[..., spec.links[i]] > 0).any(-1)
        return action
    return rule


def _queues(spec):
    """[S, n], every state; row s is s written in base cap + 1."""
    return np.array(list(product(range(spec.cap + 1), repeat=spec.n)))


def _index(spec, queue):
    return queue @ (spec.cap + 1) ** np.arange(spec.n)[::-1]


def _arrive(spec, v):
    """E v(queue + arrivals) [..., S], station by station: with probability `arrival` one more, if there is room."""
    more = np.minimum(np.arange(spec.cap + 1) + 1, spec.cap)
    shape, v = v.shape, v.reshape(*v.shape[:-1], *(spec.cap + 1,) * spec.n)
    for axis in range(-spec.n, 0):
        v = (1 - spec.arrival) * v + spec.arrival * v.take(more, axis)
    return v.reshape(shape)
