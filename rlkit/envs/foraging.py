"""Level-Based Foraging, an environment that we did not write, in the form our team learner plays.

Agents on a grid walk to pieces of food and pick them up; a piece marked `coop` needs all of them at once, on its
neighbouring cells, in the same step. Six actions: stay, north, south, west, east, pick up. The team's reward is the
sum of theirs: 1 for an episode in which all food is eaten, which ends it; 50 steps at most.

The worlds are Python objects, stepped one by one: about 7000 steps a second in all, ten times fewer than ours.
Source: Papoudakis et al. (2021), package `lbforaging`.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

import gymnasium
import numpy as np


class ForagingTeams:
    """R·E games side by side, each started again when it is over; the form is that of `aloha.AlohaTeams`.

    name: an id of lbforaging, for instance "Foraging-5x5-2p-1f-coop-v3".  Run r takes its seeds from rngs[r].
    """

    def __init__(self, name: str, rngs: Sequence[np.random.Generator], envs: int):
        import lbforaging  # noqa: F401  here: it registers 1920 names

        logging.getLogger("lbforaging.foraging.environment").setLevel(logging.ERROR)
        make = lambda: gymnasium.make(name, disable_env_checker=True).unwrapped                # noqa: E731
        self.envs, self.games = envs, [[make() for _ in range(envs)] for _ in rngs]
        self.seeds = [[int(s) for s in rng.integers(2**31, size=envs)] for rng in rngs]
        space = self.games[0][0].observation_space
        self.n, self.features, self.horizon = len(space), space[0].shape[0], self.games[0][0]._max_episode_steps
        self.actions = int(self.games[0][0].action_space[0].n)
        self.scale = np.maximum(space[0].high, 1)                         # positions and levels to about [0, 1]

    def reset(self) -> np.ndarray:
        return self._obs([[g.reset(seed=s)[0] for g, s in zip(*row)] for row in zip(self.games, self.seeds)])

    def step(self, action: np.ndarray):
        obs, reward, over = [], np.zeros(action.shape[:2]), np.zeros(action.shape[:2], bool)
        for r, row in enumerate(self.games):
            obs.append([])
            for e, (game, a) in enumerate(zip(row, action[r].tolist())):
                seen, rewards, terminated, truncated, _ = game.step(a)
                reward[r, e], over[r, e] = sum(rewards), terminated or truncated
                obs[-1].append(game.reset()[0] if over[r, e] else seen)
        return self._obs(obs), reward, over

    def _obs(self, obs) -> np.ndarray:
        return (np.array(obs, np.float32) / self.scale).astype(np.float32)
