"""Mixed datasets of real control tasks: good and bad behaviour, their returns, and what a learned policy earns.

    rng = np.random.default_rng(0)
    good, bad, low, high = mixed.datasets("halfcheetah", rng, size=20_000, sigma=0.05, max_steps=100)
    data = trajectories.mix(good, bad, 0.05, 20_000, rng)                # 5 % of the transitions are the expert's
    J = mixed.evaluate_policy("halfcheetah", snap.policy, runs=3, episodes=10, rng=rng, max_steps=100)    # [3, 10]
    mixed.score(J.mean(1), "halfcheetah", max_steps=100)                 # 0: as the random policy, 100: as the expert

On the pendulum the expert is a formula (`pendulum.expert`). On MuJoCo it is a small network trained online by
tools/train_behaviour.py; its weights, and the returns of all policies, lie in behaviours.npz beside this file.
Everything runs in numpy; Gymnasium and MuJoCo are imported when an episode is first played.
"""

from __future__ import annotations

import importlib.util
import math
import warnings
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from rlkit import npz
from rlkit.envs import pendulum
from rlkit.trajectories import Dataset

TASKS = {"pendulum": "rlkit/Pendulum-v0", "halfcheetah": "HalfCheetah-v5"}
HORIZON = {"pendulum": 200, "halfcheetah": 1000}                          # steps; only the clock ends an episode


class Sources(NamedTuple):
    good: Dataset                 # whole episodes of the good policy
    bad: Dataset
    low: float                    # J of the random policy: score 0
    high: float                   # J of the expert: score 100


class Reference(NamedTuple):
    J: float                      # mean return, reward units
    se: float                     # its standard error


def make(task: str):
    """One Gymnasium environment of the task.  Raises ImportError if it needs MuJoCo and that is not installed.

    Without the remark, printed and put in a file for each environment, that the cheetah's model uses an old attribute.
    """
    import gymnasium
    _known(task, "random")
    if task == "pendulum":
        import rlkit.envs  # noqa: F401  (registers it)
        return gymnasium.make(TASKS[task])
    if importlib.util.find_spec("mujoco") is None:
        raise ImportError(f"{TASKS[task]} needs the package mujoco, which is not installed; "
                          'pip install "gymnasium[mujoco]", or take the task "pendulum", which needs nothing')
    import mujoco
    before = mujoco.get_mju_user_warning()
    mujoco.set_mju_user_warning(lambda text: None if "settotalmass" in text else warnings.warn(text, stacklevel=2))
    try:
        return gymnasium.make(TASKS[task])
    finally:
        mujoco.set_mju_user_warning(before)


def behaviour(task: str, name: str) -> Callable[[np.ndarray, np.random.Generator], np.ndarray]:
    """A policy that collects data: policy(obs [..., F], rng) -> action [..., A], float32, in the task's units.

    name: "random" is uniform over the action space, "expert" the best we have; on MuJoCo also "medium", an earlier
    stage of the same training.  expert and medium are deterministic: tanh of a network with ReLU layers.
    """
    _known(task, name)
    if task == "pendulum":
        return {"random": pendulum.random, "expert": pendulum.expert}[name]
    if name == "random":
        size = _weights(task, "expert")[-1][1].size
        return lambda obs, rng: rng.uniform(-1, 1, (*np.shape(obs)[:-1], size)).astype(np.float32)
    return partial(network, _weights(task, name))


def network(layers: list[tuple[np.ndarray, np.ndarray]], obs: np.ndarray, rng=None) -> np.ndarray:
    """tanh(h_L W_L + b_L), h_{l+1} = relu(h_l W_l + b_l), h_0 = obs: a deterministic policy.

    layers: ((W [in, out], b [out]), ...).  obs: [..., F] -> [..., A] in -1..1, float32.
    """
    x = np.asarray(obs, np.float32)
    for W, b in layers[:-1]:
        x = np.maximum(x @ W + b, 0.0)
    W, b = layers[-1]
    return np.tanh(x @ W + b)


@cache
def reference(task: str, name: str, max_steps: int | None = None) -> Reference:
    """What a behaviour policy earns: mean undiscounted return of whole episodes, or of their first `max_steps` steps.

    MuJoCo: as measured on 100 episodes when the weights were stored.  Pendulum: measured here at the first call, on
    4,000 episodes from a generator of its own (0.2 s).
    """
    _known(task, name)
    steps = _steps(task, max_steps)
    if task == "pendulum":
        rng, play = np.random.default_rng(0), behaviour(task, name)
        J = evaluate_policy(task, lambda obs: play(obs, rng), 1, 4000, rng, steps)[0]
        return Reference(float(J.mean()), float(J.std(ddof=1) / J.size**0.5))
    curve, se = (_file()[f"{task}/{name}/{k}"] for k in ("curve", "se"))  # [T] of the first 1, 2, ... steps
    return Reference(float(curve[steps - 1]), float(se[steps - 1]))


def score(J, task: str, max_steps: int | None = None):
    """100 (J - J_random) / (J_expert - J_random): 0 plays as the random policy, 100 as the expert. J: any shape."""
    low, high = (reference(task, name, max_steps).J for name in ("random", "expert"))
    return 100 * (np.asarray(J) - low) / (high - low)


def datasets(task: str, rng: np.random.Generator, size: int, sigma: float | None = None, good: str = "expert",
             bad: str = "random", max_steps: int | None = None) -> Sources:
    """Whole episodes of a good and of a bad policy, for `trajectories.mix`.

    size: transitions wanted of the mix; so many are collected of each.  sigma: the share of good ones it will have, if
    that is known: then only four times as many good ones are collected as it needs. Episodes are drawn with
    replacement, and a small pool has few distinct ones.  max_steps: every episode is truncated here at the latest.
    """
    from rlkit.rollouts import collect
    _known(task, good), _known(task, bad)
    parts = []
    for name, share in ((good, 1.0 if sigma is None else min(4 * sigma, 1.0)), (bad, 1.0)):
        episodes = max(4, math.ceil(share * size / _steps(task, max_steps)))
        parts.append(collect(TASKS[task] if task == "pendulum" else partial(make, task), behaviour(task, name), rng=rng,
                             episodes=episodes, num_envs=min(episodes, 64), max_steps=_steps(task, max_steps),
                             name=name))
    return Sources(*parts, reference(task, "random", max_steps).J, reference(task, "expert", max_steps).J)


def evaluate_policy(task: str, policy: Callable, runs: int, episodes: int, rng: np.random.Generator,
                    max_steps: int | None = None) -> np.ndarray:
    """Undiscounted return [R, episodes] of R policies, all their episodes side by side, starts drawn independently.

    policy: policy(obs [R, B, F]) -> action [R, B, A], as a snapshot gives; for ours, lambda obs: play(obs, rng).
    max_steps: play only so many steps of each episode.  Actions are clipped to the action space, as motors would.
    Cost: MuJoCo takes a free core some 0.07 ms for each step of each episode.
    """
    return rewards(task, policy, runs, episodes, rng, max_steps).sum(0)


def rewards(task: str, policy: Callable, runs: int, episodes: int, rng: np.random.Generator,
            max_steps: int | None = None) -> np.ndarray:
    """The reward of each step, [T, R, episodes]; see `evaluate_policy`."""
    steps, n = _steps(task, max_steps), runs * episodes
    if task == "pendulum":
        envs = [pendulum.PendulumVectorEnv(n)]
        space, obs = envs[0].single_action_space, envs[0].reset(seed=int(rng.integers(2**31)))[0]
    else:
        envs = [make(task) for _ in range(n)]
        space = envs[0].action_space
        obs = np.stack([env.reset(seed=int(seed))[0] for env, seed in zip(envs, rng.integers(2**31, size=n))])
    reward = np.zeros((steps, n))
    for t in range(steps):
        action = np.asarray(policy(obs.reshape(runs, episodes, -1)), np.float32)
        if action.shape != (runs, episodes, *space.shape):
            raise ValueError(f"the policy gave actions of shape {action.shape}, expected "
                             f"{(runs, episodes, *space.shape)}: one per run and episode")
        action = np.clip(action, space.low, space.high).reshape(n, -1)
        if task == "pendulum":
            obs, reward[t], *_ = envs[0].step(action)
        else:
            for i, env in enumerate(envs):
                obs[i], reward[t, i], *_ = env.step(action[i])
    for env in envs:
        env.close()
    return reward.reshape(steps, runs, episodes)


@cache
def _file() -> dict[str, np.ndarray]:
    return npz.read(Path(__file__).with_name("behaviours.npz"), "the stored behaviours", "install rlkit again")


@cache
def _weights(task: str, name: str) -> list[tuple[np.ndarray, np.ndarray]]:
    """The layers of a stored network, ((W [in, out], b [out]), ...)."""
    file, at = _file(), f"{task}/{name}/"
    return [(file[f"{at}W{i}"], file[f"{at}b{i}"]) for i in range(sum(k.startswith(f"{at}W") for k in file))]


def _known(task: str, name: str) -> None:
    if task not in TASKS:
        raise ValueError(f"task is {task!r}, expected one of {', '.join(map(repr, TASKS))}")
    names = ("random", "expert") if task == "pendulum" else ("random", "medium", "expert")
    if name not in names:
        raise ValueError(f"there is no behaviour {name!r} on {task}, expected one of {', '.join(map(repr, names))}")


def _steps(task: str, max_steps: int | None) -> int:
    """Length of an episode that the clock ends."""
    if max_steps is not None and not 1 <= max_steps <= HORIZON[task]:
        raise ValueError(f"max_steps is {max_steps}, expected 1 to {HORIZON[task]} on {task}, or None for all")
    return max_steps or HORIZON[task]
