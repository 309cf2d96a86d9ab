"""From an environment and a policy to a dataset: many episodes side by side, each of them whole.

Two things go wrong in most such loops, and both bend the data. Stopping B parallel environments after a fixed number of
steps keeps too many short episodes: here a fixed set of episodes is started, and every one of them is finished. And
vector environments start again by themselves, so that some of their steps are no steps at all: those are left out.
"""

from __future__ import annotations

from collections.abc import Callable

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Discrete, MultiBinary, MultiDiscrete
from gymnasium.vector import AutoresetMode, SyncVectorEnv, VectorEnv
from gymnasium.wrappers import TimeLimit

import rlkit.envs  # noqa: F401  (so that rlkit/Name-v0 is known)
from rlkit.trajectories import Dataset


def collect(env: str | gymnasium.Env | VectorEnv | Callable[[], gymnasium.Env],
            policy: Callable[[np.ndarray, np.random.Generator], np.ndarray], *, rng: np.random.Generator,
            episodes: int | None = None, transitions: int | None = None, num_envs: int = 16,
            max_steps: int | None = None, name: str = "data") -> Dataset:
    """Play a policy in an environment, and keep what happened.

    env: a Gymnasium id (vectorised if it can be), a function that makes an environment, one environment (played alone),
    or a vector environment of any autoreset mode. The last two are the caller's: they are reset, and not closed.
    policy: policy(obs [B, ...], rng) -> action [B, ...], one for each of the B environments side by side.
    episodes: so many whole episodes.  transitions: exactly so many, of whole episodes in the order they were started;
    the last one is cut and marked truncated.  One of the two.
    num_envs: how many play side by side. Those that are through wait, stepping, for the last of all: where steps are
    slow and episodes of very different length, take few.
    max_steps: truncate episodes here at the latest; an environment that never ends by itself needs it.
    rng: the only source of chance: it gives the environments their seed and the policy its numbers.
    name: what this source is called in a mix.

    Raises ValueError if an action is not in the action space (nothing is clipped unseen), or if observations or
    actions are not arrays.
    """
    wanted = transitions if episodes is None else episodes
    if (episodes is None) == (transitions is None) or wanted < 1:
        raise ValueError(f"episodes is {episodes} and transitions {transitions}, expected one of the two, ≥ 1")
    if num_envs < 1 or max_steps is not None and max_steps < 1:
        raise ValueError(f"num_envs is {num_envs} and max_steps is {max_steps}, expected numbers ≥ 1, or None for no "
                         "further limit of steps")
    venv = env if isinstance(env, VectorEnv) else _vectorised(env, min(num_envs, wanted), max_steps)
    spaces = dict(observation_space=venv.single_observation_space, action_space=venv.single_action_space)
    for what, space in spaces.items():
        if not isinstance(space, Box | Discrete | MultiDiscrete | MultiBinary):
            raise ValueError(f"the {what} is {space}, expected arrays (Box, Discrete, MultiDiscrete, MultiBinary); "
                             "wrap it: lambda: gymnasium.wrappers.FlattenObservation(gymnasium.make(id))")
    try:
        rows, final_obs = _play(venv, policy, rng, episodes, transitions, max_steps)
    finally:
        if not isinstance(env, VectorEnv | gymnasium.Env):
            venv.close()
    return Dataset(**_in_order(rows, final_obs, transitions), names=(name,), **spaces)


def _vectorised(env, num_envs: int, max_steps: int | None) -> VectorEnv:
    if isinstance(env, str):
        limit = {}
        if max_steps is not None:
            limit["max_episode_steps"] = min(max_steps, gymnasium.spec(env).max_episode_steps or max_steps)
        return gymnasium.make_vec(env, num_envs=num_envs, **limit)
    if not callable(env) and not isinstance(env, gymnasium.Env):
        raise TypeError(f"env is {env!r}, expected a Gymnasium id, an Env, a VectorEnv or a function that makes an Env")
    make, count = (env, num_envs) if not isinstance(env, gymnasium.Env) else (lambda: env, 1)
    return SyncVectorEnv([(lambda: TimeLimit(make(), max_steps)) if max_steps else make] * count)


def _play(venv: VectorEnv, policy, rng, episodes, transitions, max_steps) -> tuple[list, dict]:
    """B slots side by side, each playing the episode whose number it holds; numbers count episodes as they start.

    Gives rows, one tuple (obs, action, reward, terminated, truncated, number) per step, of the slots that really
    stepped, and final_obs, the last observation by number of episode.
    """
    B, mode = venv.num_envs, venv.metadata.get("autoreset_mode")
    if not isinstance(mode, AutoresetMode):
        raise ValueError(f"{venv} does not say when it starts again, expected metadata['autoreset_mode'] to be one of "
                         f"{', '.join(map(str, AutoresetMode))}")
    most = np.inf if episodes is None else episodes
    number = np.where(np.arange(B) < most, np.arange(B), -1)              # [B] episode in each slot, -1: none, it idles
    started = min(B, most)
    steps = np.zeros(B, np.int64)                                         # [B] of the episode in each slot, so far
    resetting = np.zeros(B, bool)                                         # [B] the next step is a reset, and no step
    rows, final_obs, lengths = [], {}, {}                                 # the last two by number
    head = before = 0                                                     # episodes 0..head-1 are over: `before` steps
    obs = np.array(venv.reset(seed=int(rng.integers(2**31)))[0])
    while (number >= 0).any():
        live = (number >= 0) & ~resetting
        seen = obs[live]
        action = _checked(policy(obs, rng), venv.single_action_space, B)
        obs, reward, terminated, truncated, info = venv.step(action)
        obs = np.array(obs)                                               # a copy: some return one buffer for ever
        done = terminated | truncated
        steps += live
        stopped = live & ~done & (steps == (max_steps or -1))             # by our limit: the environment would go on
        after = obs
        if mode is AutoresetMode.SAME_STEP and done.any():                # obs already begins the next episode
            after = obs.copy()
            after[done] = np.stack([info["final_obs"][b] for b in np.flatnonzero(done)])
        rows.append((seen, action[live], reward[live], terminated[live], (truncated | stopped)[live], number[live]))
        for b in np.flatnonzero(live & (done | stopped)):
            final_obs[int(number[b])], lengths[int(number[b])] = after[b], int(steps[b])
            number[b], steps[b] = (started, 0) if started < most else (-1, 0)
            started += 1
        again = stopped | done if mode is AutoresetMode.DISABLED else stopped
        if again.any():
            obs = _restart(venv, again, obs)
        resetting = done & (mode is AutoresetMode.NEXT_STEP)
        while head in lengths:
            head, before = head + 1, before + lengths[head]
        if transitions is not None and before + steps[number == head].sum() >= transitions:
            break
    return rows, final_obs | {int(k): obs[b] for b, k in enumerate(number) if k >= 0}


def _restart(venv: VectorEnv, which: np.ndarray, obs: np.ndarray) -> np.ndarray:
    """Start some of the environments again, and be sure that the others did not notice."""
    fresh = np.array(venv.reset(options={"reset_mask": which.copy()})[0])
    if not np.array_equal(fresh[~which], obs[~which]):
        raise ValueError(f"{venv} starts all its environments again where some were asked for; give it the limit when "
                         "making it, make_vec(..., max_episode_steps=...), and leave max_steps out")
    return fresh


def _checked(action, space: gymnasium.Space, B: int) -> np.ndarray:
    """The actions in the dtype of their space.  Raises ValueError for one the space does not hold."""
    given = np.asarray(action)
    if given.shape != (B, *space.shape):
        raise ValueError(f"the policy gave actions of shape {given.shape}, expected {(B, *space.shape)}: one for each "
                         f"of {B} environments side by side")
    if not np.can_cast(given.dtype, space.dtype, "same_kind"):
        raise ValueError(f"the policy gave actions of dtype {given.dtype}, expected {space.dtype} for {space}")
    action = given.astype(space.dtype)
    if isinstance(space, Box):
        low, high = space.low, space.high
    elif isinstance(space, MultiBinary):
        low, high = 0, 1
    else:
        low, high = space.start, space.start + (space.n if isinstance(space, Discrete) else space.nvec) - 1
    if not ((action >= low) & (action <= high)).all():                    # NaN is no number between
        b = np.argwhere(~((action >= low) & (action <= high)))[0][0]
        raise ValueError(f"the policy gave action {action[b]}, expected one of {space}; an environment clips it in "
                         "silence and the data would hold what was not done: clip in the policy, np.clip(a, low, high)")
    return action


def _in_order(rows: list, final_obs: dict, transitions: int | None) -> dict:
    """Lay the episodes end to end, in the order they started; cut after `transitions`."""
    obs, action, reward, terminated, truncated, number = (np.concatenate(x) for x in zip(*rows))
    order = np.argsort(number, kind="stable")                             # steps of an episode stay in their order
    data = dict(obs=obs[order], action=action[order], reward=reward[order], terminated=terminated[order],
                truncated=truncated[order])
    starts = np.concatenate([[0], np.cumsum(np.bincount(number))])
    final_obs = np.stack([final_obs[i] for i in range(len(starts) - 1)])
    if transitions is not None:
        n = int(np.searchsorted(starts, transitions))                     # episodes that are, or begin, before the cut
        if transitions < starts[n]:
            final_obs[n - 1] = data["obs"][transitions]
        starts = np.append(starts[:n], transitions)
        data = {k: x[:transitions] for k, x in data.items()}
        data["truncated"][-1] |= not data["terminated"][-1]
        final_obs = final_obs[:n]
    return data | dict(starts=starts, final_obs=final_obs)
