"""Pendulum-v1 of Gymnasium, B of them in one call of NumPy, and a policy that swings it up without any learning.

A rod of length 1 and mass 1 hangs from a hinge; a motor too weak to lift it directly must swing it up and hold it.
Observation (cos θ, sin θ, θ̇) with θ = 0 upright; action: torque u in [-2, 2] N m; reward -(θ² + 0.1 θ̇² + 0.001 u²)
with θ in [-π, π). Episodes are cut by the clock after 200 steps of 0.05 s: always truncated, never terminated.

The same numbers as Gymnasium's own environment, step by step, from the same states. Not copied: pictures (make one
environment, `gymnasium.make("rlkit/Pendulum-v0", render_mode="rgb_array")`: that one is Gymnasium's own).
Read `PendulumVectorEnv.step`, the physics, then `expert`.
"""

from __future__ import annotations

import numpy as np
from gymnasium.spaces import Box
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

DT, MAX_SPEED, MAX_TORQUE = 0.05, 8.0, 2.0                                # s, rad/s, N m
HIGH = np.array([1.0, 1.0, MAX_SPEED], np.float32)


class PendulumVectorEnv(VectorEnv):
    """B pendulums. `state` [B, 2] is (θ, θ̇), rad and rad/s; it may be set between steps."""

    metadata = {"render_modes": [], "autoreset_mode": AutoresetMode.NEXT_STEP}

    def __init__(self, num_envs: int = 1, max_episode_steps: int = 200, g: float = 10.0, render_mode: None = None):
        if render_mode is not None:
            raise ValueError(f"render_mode is {render_mode!r}, expected None: the batch draws no pictures; "
                             "gymnasium.make makes one pendulum that does")
        self.num_envs, self.max_episode_steps, self.g, self.render_mode = num_envs, max_episode_steps, g, None
        self.single_observation_space = Box(-HIGH, HIGH)
        self.single_action_space = Box(-MAX_TORQUE, MAX_TORQUE, (1,))
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.state = np.zeros((num_envs, 2))
        self.steps = np.zeros(num_envs, np.int64)
        self._bounds = np.array([np.pi, 1.0])                             # starts: |θ| ≤ π, |θ̇| ≤ 1

    def reset(self, *, seed: int | None = None, options: dict | None = None):
        """Start again, at a random angle and speed.  options: x_init, y_init, the largest |θ| and |θ̇|, as in
        Gymnasium; reset_mask [B] bool, which of them to start again (by default all)."""
        super().reset(seed=seed)
        options = options or {}
        self._bounds = np.array([options.get("x_init", np.pi), options.get("y_init", 1.0)])
        self._start(options.get("reset_mask", np.ones(self.num_envs, bool)))
        return self._obs(), {}

    def step(self, action: np.ndarray):
        """One step of each; one that was truncated a step ago starts again instead, with reward 0."""
        if np.shape(action) != (self.num_envs, 1):
            raise ValueError(f"action has shape {np.shape(action)}, expected ({self.num_envs}, 1), a torque for each")
        theta, speed = self.state.T                                       # [B] each
        u = np.clip(action, -MAX_TORQUE, MAX_TORQUE)[:, 0]
        reward = -(((theta + np.pi) % (2 * np.pi) - np.pi) ** 2 + 0.1 * speed**2 + 0.001 * u**2)
        speed = np.clip(speed + (1.5 * self.g * np.sin(theta) + 3.0 * u) * DT, -MAX_SPEED, MAX_SPEED)
        again = self.steps >= self.max_episode_steps
        self.state = np.stack([theta + speed * DT, speed], axis=1)
        self.steps += 1
        self._start(again)
        reward[again] = 0.0
        return self._obs(), reward, np.zeros(self.num_envs, bool), self.steps >= self.max_episode_steps, {}

    def _start(self, which: np.ndarray) -> None:
        self.state[which] = self.np_random.uniform(-self._bounds, self._bounds, (int(which.sum()), 2))
        self.steps[which] = 0

    def _obs(self) -> np.ndarray:
        theta, speed = self.state.T
        return np.stack([np.cos(theta), np.sin(theta), speed], axis=1).astype(np.float32)


def expert(obs: np.ndarray, rng: np.random.Generator | None = None) -> np.ndarray:
    """Swing up by energy, then hold by a spring: obs [..., 3] -> torque [..., 1] in [-2, 2].

        E = θ̇²/2 + 15 cos θ - 15,  dE/dt = 3 u θ̇:   u = 2 clip(-E sign θ̇)          drives E to 0, its value upright
        |θ| < 0.5 and |θ̇| < 3:                        u = 2 clip(-4θ - θ̇)            holds it there

    with clip to [-1, 1]. Takes no random number; `rng` is there because `collect` offers one.
    """
    cos, sin, speed = np.moveaxis(np.asarray(obs), -1, 0)
    theta = np.arctan2(sin, cos)
    energy = speed**2 / 2 + 15 * cos - 15
    pump = -energy * np.where(speed >= 0, 1, -1)                          # sign(0) = 1: at rest it must start somewhere
    hold = -(8 * theta + 2 * speed) / 2
    near = (np.abs(theta) < 0.5) & (np.abs(speed) < 3)
    return MAX_TORQUE * np.clip(np.where(near, hold, pump), -1, 1)[..., None].astype(np.float32)


def random(obs: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A torque uniform in [-2, 2], whatever is seen: obs [..., 3] -> [..., 1]."""
    return rng.uniform(-MAX_TORQUE, MAX_TORQUE, (*np.shape(obs)[:-1], 1)).astype(np.float32)
