"""FrozenLake with its luck as a dial, and data in which the careful are rare: the two arms again, on ice.

The world is Gymnasium's 4x4 FrozenLake, read from the table that the environment carries; `p` is the probability that a
move slips (half to either side), so 2/3 is the usual ice and 0 is dry ground. Each episode is driven by one of two
people: with probability φ by an expert who knows the ice, else by someone hasty who walks the shortest path as if
there were none; both act at random with probability ε a step. Read `lake`, then `collect`.
Source of the set-up: Yang et al. (2023), Dichotomy of Control, who mix noise into one policy (`phi=1`, larger `eps`).
The mixture of two people is ours.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from rlkit.mdp import MDP, from_gymnasium, occupancy, simulate, solve
from rlkit.policies import epsilon_soft
from rlkit.trajectories import Dataset

SIDE, HORIZON = 4, 100
MARKS = {(1, 1): "H", (1, 3): "H", (2, 3): "H", (3, 0): "H", (3, 3): "G"}
ICE = 2 / 3                                                                # slip of the usual FrozenLake


class Lake(NamedTuple):
    """The lake and the two people on it."""
    mdp: MDP
    expert: np.ndarray           # [S, A] best stationary policy on this ice, for γ = 0.99: safe, and in good time
    hasty: np.ndarray            # [S, A] best policy without slipping
    best: float                  # chance to reach the goal in HORIZON steps that no policy beats


@lru_cache(maxsize=32)
def lake(p: float = ICE) -> Lake:
    """Gymnasium's FrozenLake-v1 4x4 with slip p in [0, 1], else ValueError.  Experts are for this p: the one who is
    best on ice walks into walls, and on dry ground never arrives."""
    if not 0 <= p <= 1:
        raise ValueError(f"p is {p}, expected a probability in [0, 1]; try p=2/3")
    mdp, dry = _read(1 - p), _read(1.0)
    best = float(solve(mdp, horizon=HORIZON)[0] @ mdp.start)
    return Lake(mdp, solve(mdp, gamma=0.99)[2], solve(dry, gamma=0.99)[2], best)


def _read(success: float) -> MDP:
    import gymnasium
    return from_gymnasium(gymnasium.make("FrozenLake-v1", is_slippery=True, success_rate=success))


def collect(p: float, n: int, rng: np.random.Generator, phi: float = 0.2, eps: float = 0.2) -> Dataset:
    """n episodes of at most HORIZON steps; `names[source]` says who drove: "hasty" or "expert".

    phi: φ, share of the expert's episodes.  eps: ε, probability of a random move.  Each episode draws its driver.
    """
    world, expert = lake(p), rng.random(n) < phi
    parts = []
    for name, pi, who in (("hasty", world.hasty, ~expert), ("expert", world.expert, expert)):
        if who.any():
            play = simulate(world.mdp, epsilon_soft(pi, eps), int(who.sum()), rng, HORIZON)
            parts.append(Dataset.from_arrays(**play._asdict(), names=(name,)))
    both = Dataset.concat(*parts)
    return both.select(rng.permutation(both.n))


def visits(p: float, pi: np.ndarray) -> np.ndarray:
    """[S] expected visits of an episode under pi [S, A], for a picture."""
    return occupancy(lake(p).mdp, pi, horizon=HORIZON).sum(-1)
