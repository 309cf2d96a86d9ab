"""Our team worlds for the rest of the ecosystem: PettingZoo's parallel API.

    env = ParallelTeams(lambda rngs, envs: AlohaTeams(Aloha.ring(4), rngs, envs))
    observations, infos = env.reset(seed=0)
    observations, rewards, terminations, truncations, infos = env.step({"agent_0": 1, "agent_1": 0, ...})

One team at a time, through dicts: for other people's algorithms and tools. Ours play the arrays.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from gymnasium.spaces import Box, Discrete
from pettingzoo import ParallelEnv


class ParallelTeams(ParallelEnv):
    """make: (rngs, envs) -> a world in the form of `aloha.AlohaTeams`; every agent is paid the team's reward."""

    metadata = {"name": "rlkit_team_v0", "render_modes": []}
    render_mode = None

    def __init__(self, make: Callable):
        self._make = make
        self._world = make([np.random.default_rng(0)], 1)
        self.possible_agents = [f"agent_{i}" for i in range(self._world.n)]
        self.agents = []
        low, high = -np.inf, np.inf
        self.observation_spaces = {a: Box(low, high, (self._world.features,)) for a in self.possible_agents}
        self.action_spaces = {a: Discrete(self._world.actions) for a in self.possible_agents}
        self._seeds = np.random.default_rng()

    def observation_space(self, agent: str) -> Box:
        return self.observation_spaces[agent]

    def action_space(self, agent: str) -> Discrete:
        return self.action_spaces[agent]

    def reset(self, seed: int | None = None, options: dict | None = None):
        """A new episode.  seed: makes this one and those after it repeatable; None goes on."""
        if seed is not None:
            self._seeds = np.random.default_rng(seed)
        self._world = self._make(self._seeds.spawn(1), 1)
        self.agents = list(self.possible_agents)
        return self._each(self._world.reset()[0, 0]), {a: {} for a in self.agents}

    def step(self, actions: dict):
        if set(actions) != set(self.agents):
            raise ValueError(f"actions for {sorted(actions)}, expected one for each of {self.agents or 'nobody'}"
                             + ("" if self.agents else ": the episode is over, call reset()"))
        obs, reward, over = self._world.step(np.array([[[actions[a] for a in self.agents]]]))
        out = (self._each(obs[0, 0]), dict.fromkeys(self.agents, float(reward[0, 0])),
               dict.fromkeys(self.agents, bool(over[0, 0])), dict.fromkeys(self.agents, False),
               {a: {} for a in self.agents})
        if over[0, 0]:
            self.agents = []
        return out

    def render(self):
        """There is no picture."""

    def _each(self, obs: np.ndarray) -> dict:
        return dict(zip(self.possible_agents, obs))
