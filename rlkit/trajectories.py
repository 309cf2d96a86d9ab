"""The dataset: whole episodes, laid end to end in flat arrays.

    obs action reward terminated truncated     [M, ...]   one row per transition
    starts                                     [N+1]      episode i is rows starts[i] to starts[i+1]
    final_obs                                  [N, ...]   what was seen after the last transition of each episode
    source, names                              [N]        where episode i comes from: names[source[i]]

An episode ends because it is over (`terminated`: nothing follows, the value is 0) or because the clock stopped it
(`truncated`: more would have followed, so bootstrap). Either flag stands on the last transition of each episode and
nowhere else. A Dataset checks all this when it is made, and refuses what does not fit: nothing is dropped in silence.

Read in this order: `Dataset`, its makers (`from_arrays`, `from_episodes`, `load`, `from_minari`), then `mix`. Episodes
come from an environment by `rollouts.collect`; weighted draws are in `sampling`, what one number can say of a dataset
is in `measures`.
"""

from __future__ import annotations

import json
import math
import os
import threading
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from rlkit import npz
from rlkit.validation import array, check, follow

ARRAYS = ("obs", "action", "reward", "terminated", "truncated", "starts", "final_obs", "source")


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """N episodes of M transitions in all.  Raises TypeError for a wrong dtype, ValueError for the rest.

    obs: [M, ...] numbers.  action: [M] or [M, A] numbers.  reward: [M] float, reward units.
    terminated, truncated: [M] bool.  starts: [N+1] int64, from 0 to M, increasing.  final_obs: [N, ...] as obs.
    source: [N] int64, index into names; zeros by default.
    observation_space, action_space: the Gymnasium spaces, when known; then actions are checked against theirs.
    """

    obs: np.ndarray
    action: np.ndarray
    reward: np.ndarray
    terminated: np.ndarray
    truncated: np.ndarray
    starts: np.ndarray
    final_obs: np.ndarray
    source: np.ndarray | None = None
    names: tuple[str, ...] = ("data",)
    observation_space: object = None
    action_space: object = None

    def __post_init__(self):
        fields = {k: array(getattr(self, k), k) for k in ARRAYS[:-1]}
        no_source = np.zeros(max(fields["starts"].size - 1, 0), np.int64)
        fields["source"] = no_source if self.source is None else array(self.source, "source")
        try:
            fields["names"] = (self.names,) if isinstance(self.names, str) else tuple(self.names)
        except TypeError:
            raise TypeError(f"names is {self.names!r}, expected different words, one per source") from None
        for k, x in fields.items():
            object.__setattr__(self, k, x)                                # frozen: this is how it is set, once
        check(self)

    def __repr__(self) -> str:
        """One line: a notebook shows it where the arrays would fill the page."""
        counts = np.bincount(self.source, minlength=len(self.names))
        sources = ", ".join(f"{name} {k}" for name, k in zip(self.names, counts))
        kinds = ", ".join(f"{k} {x.dtype} {list(x.shape[1:])}" for k, x in (("obs", self.obs), ("action", self.action)))
        return (f"Dataset({self.n} episodes ({sources}), {self.m} transitions, {kinds}, "
                f"returns {self.returns.min():.4g} to {self.returns.max():.4g})")

    # ---- what follows from the arrays

    @property
    def n(self) -> int:
        """N, number of episodes."""
        return len(self.starts) - 1

    @property
    def m(self) -> int:
        """M, number of transitions."""
        return len(self.reward)

    @property
    def lengths(self) -> np.ndarray:
        """[N] T_i, transitions of each episode."""
        return np.diff(self.starts)

    @property
    def returns(self) -> np.ndarray:
        """[N] G_i = Σ_t r_{i,t}: undiscounted, of the rewards as given, summed in float64."""
        return np.add.reduceat(self.reward, self.starts[:-1], dtype=np.float64)

    @property
    def episode(self) -> np.ndarray:
        """[M] index of the episode of each transition."""
        return np.repeat(np.arange(self.n), self.lengths)

    @property
    def first_obs(self) -> np.ndarray:
        """[N, ...] first observation of each episode."""
        return self.obs[self.starts[:-1]]

    @property
    def next_obs(self) -> np.ndarray:
        """[M, ...] observation after each transition; a new array at each call."""
        following = np.concatenate([self.obs[1:], self.final_obs[-1:]])
        following[self.starts[1:] - 1] = self.final_obs
        return following

    # ---- parts of it

    def select(self, idx) -> Dataset:
        """The episodes `idx`, in that order: whole numbers (repeats allowed), a mask [N], or a slice."""
        idx = np.atleast_1d(np.arange(self.n)[idx if np.size(idx) else slice(0)])
        if not len(idx):
            raise ValueError(f"no episode selected of {self.n}, expected at least one: a dataset is never empty")
        lengths = self.lengths[idx]
        starts = np.concatenate([[0], np.cumsum(lengths)])
        rows = np.arange(starts[-1]) + np.repeat(self.starts[idx] - starts[:-1], lengths)
        return replace(self, **{k: getattr(self, k)[rows] for k in ARRAYS[:5]}, starts=starts,
                       final_obs=self.final_obs[idx], source=self.source[idx])

    def cut(self, length: int) -> Dataset:
        """Each episode in segments of `length` transitions (the last may be shorter), truncated where we cut.

        For what trajectory weights lose when trajectories are short: the segments know nothing of each other.
        """
        if length < 1 or length != int(length):
            raise ValueError(f"length is {length}, expected a whole number of transitions ≥ 1")
        steps = np.arange(self.m) - self.starts[self.episode]                          # [M] step within its episode
        first = np.flatnonzero(steps % int(length) == 0)                               # [N'] where a segment begins
        last = np.append(first[1:], self.m) - 1
        truncated = self.truncated.copy()
        truncated[last] |= ~self.terminated[last]
        return replace(self, truncated=truncated, starts=np.append(first, self.m), final_obs=self.next_obs[last],
                       source=self.source[self.episode[first]])

    # ---- makers

    @classmethod
    def from_arrays(cls, obs, action, reward, terminated, truncated=None, *, next_obs=None, starts=None,
                    final_obs=None, **rest) -> Dataset:
        """From flat arrays, as in D4RL files: the flags say where episodes end (or `starts` does).

        truncated: none of them if left out.  next_obs [M, ...] or final_obs [N, ...]: one of the two, for the
        observation after the last transition of each episode.  rest: source, names, observation_space, action_space.
        """
        terminated = array(terminated, "terminated")
        truncated = np.zeros_like(terminated) if truncated is None else array(truncated, "truncated")
        if terminated.shape != truncated.shape or terminated.ndim != 1:
            raise ValueError(f"terminated has shape {terminated.shape} and truncated {truncated.shape}, expected one "
                             "flag per transition in both, [M]")
        if starts is None:
            ends = np.flatnonzero(terminated | truncated) + 1
            if len(terminated) and (len(ends) == 0 or ends[-1] != len(terminated)):
                raise ValueError("the last transition closes no episode, expected it to be terminated or truncated; if "
                                 "the recording stopped there, set truncated[-1] = True")
            starts = np.append(0, ends)
        if (next_obs is None) == (final_obs is None):
            raise ValueError("expected next_obs [M, ...] or final_obs [N, ...], one of the two; where neither was "
                             "recorded and episodes end by termination, final_obs=obs[ends] stands in: it is not used")
        if final_obs is not None:
            return cls(obs, action, reward, terminated, truncated, starts, final_obs, **rest)
        next_obs, starts = array(next_obs, "next_obs"), array(starts, "starts")
        if next_obs.shape[:1] != terminated.shape or not len(next_obs):
            raise ValueError(f"next_obs has shape {next_obs.shape}, expected {len(terminated)} rows, one per "
                             "transition, and at least one")
        final_obs = np.take(next_obs, starts.ravel()[1:] - 1, axis=0, mode="clip")     # bad starts: check tells
        data = cls(obs, action, reward, terminated, truncated, starts, final_obs, **rest)
        follow(data, next_obs)
        return data

    @classmethod
    def from_episodes(cls, episodes: Sequence[dict], *, drop_empty: bool = False, **rest) -> Dataset:
        """From a list of dicts with obs [T+1, ...] (the last is the final one), action [T], reward [T], terminated
        and truncated (one bool about the end, or [T]); optionally `source`, a whole number.

        drop_empty: leave out episodes without a transition, with a warning that counts them; else they are refused.
        """
        parts, empty = [], []
        try:
            episodes = list(episodes)
        except TypeError:
            raise TypeError(f"episodes is a {type(episodes).__name__}, expected a list of dicts") from None
        for i, e in enumerate(episodes):
            if not isinstance(e, Mapping):
                raise TypeError(f"episode {i} is a {type(e).__name__}, expected a dict with obs [T+1, ...], "
                                "action [T], reward [T], terminated, truncated")
            absent = [k for k in ("obs", "action", "reward", "terminated", "truncated") if k not in e]
            if absent:
                raise ValueError(f"episode {i} has no {', '.join(absent)}; expected a dict with obs [T+1, ...], "
                                 "action [T], reward [T], terminated, truncated")
            e = {k: array(v, k, f"episode {i}: ") for k, v in e.items() if k in ARRAYS}
            if e["reward"].ndim != 1:
                raise ValueError(f"episode {i}: reward has shape {e['reward'].shape}, expected [T], one number per "
                                 "transition")
            if "source" in e and e["source"].ndim:
                raise ValueError(f"episode {i}: source has shape {e['source'].shape}, expected one whole number")
            T = len(e["reward"])
            for flag in ("terminated", "truncated"):
                if e[flag].ndim == 0:
                    e[flag] = np.arange(1, T + 1) == np.where(e[flag], T, -1)
            for k, rows in dict(obs=T + 1, action=T, terminated=T, truncated=T).items():
                if e[k].ndim == 0 or len(e[k]) != rows:
                    raise ValueError(f"episode {i}: {k} has shape {e[k].shape}, expected {rows} rows for {T} rewards"
                                     + (" (one more: the observation after the last step)" if k == "obs" else ""))
            (parts if T else empty).append((i, e))
        if empty and not drop_empty:
            raise ValueError(f"episode {empty[0][0]} is empty ({len(empty)} of {len(episodes)} have no transition), "
                             "expected at least one in each; drop_empty=True leaves them out and says how many")
        if not parts:
            raise ValueError(f"no episode in {len(episodes)} given, expected at least one with a transition")
        if empty:
            warnings.warn(f"left out {len(empty)} empty episodes of {len(episodes)}", stacklevel=2)
        first = parts[0][1]
        for i, e in parts:
            for k in ARRAYS[:5]:
                if e[k].shape[1:] != first[k].shape[1:]:
                    raise ValueError(f"episode {i}: one {k} has shape {e[k].shape[1:]}, expected "
                                     f"{first[k].shape[1:]} as in episode {parts[0][0]}")
                if e[k].dtype.kind != first[k].dtype.kind:
                    raise TypeError(f"episode {i}: {k} has dtype {e[k].dtype}, expected {first[k].dtype} as in episode "
                                    f"{parts[0][0]}, or another of its kind: joined they would lose digits")
        if any("source" in e for _, e in parts):
            rest.setdefault("source", [e.get("source", 0) for _, e in parts])
        steps = {k: np.concatenate([e[k] for _, e in parts]) for k in ARRAYS[1:5]}
        obs = np.concatenate([e["obs"] for _, e in parts])                # one dtype for all: then taken apart
        starts = np.cumsum([0] + [len(e["reward"]) for _, e in parts])
        last = starts[1:] + np.arange(len(parts))
        try:
            return cls(obs=np.delete(obs, last, axis=0), **steps, starts=starts, final_obs=obs[last], **rest)
        except (ValueError, TypeError) as e:
            if not empty:
                raise
            raise type(e)(f"{e} (episodes are counted without the {len(empty)} empty ones)") from e

    @classmethod
    def concat(cls, *parts: Dataset) -> Dataset:
        """One dataset after the other; episodes of sources with the same name become one source."""
        for k in ("obs", "action"):
            kinds = {(getattr(d, k).shape[1:], getattr(d, k).dtype.kind) for d in parts}
            if len(kinds) > 1:
                raise ValueError(f"{k} differs in shape or kind between the parts, {kinds}; expected one: data of one "
                                 "world go together")
        names = tuple(dict.fromkeys(name for d in parts for name in d.names))
        joined = {k: np.concatenate([getattr(d, k) for d in parts]) for k in (*ARRAYS[:5], "final_obs")}
        shift = np.cumsum([0] + [d.m for d in parts])
        starts = np.concatenate([[0], *(d.starts[1:] + s for d, s in zip(parts, shift))])
        source = np.concatenate([np.array([names.index(name) for name in d.names])[d.source] for d in parts])
        spaces = {}
        for k in ("observation_space", "action_space"):
            known = [getattr(d, k) for d in parts if getattr(d, k) is not None]
            if any(space != known[0] for space in known):
                raise ValueError(f"the parts have different {k}s: {known}; one dataset has one")
            spaces[k] = known[0] if known else None
        return replace(parts[0], **joined, **spaces, starts=starts, source=source, names=names)

    # ---- files and Minari

    @classmethod
    def from_minari(cls, name_or_path: str | os.PathLike) -> Dataset:
        """A Minari dataset by its id ("D4RL/pen/human-v2") or the folder it lies in; see `minari_files.read`."""
        from rlkit import minari_files
        return minari_files.read(name_or_path)

    def to_minari(self, dataset_id: str, **metadata) -> None:
        """Write as a local Minari dataset; see `minari_files.write`."""
        from rlkit import minari_files
        minari_files.write(self, dataset_id, **metadata)

    def save(self, path: str | os.PathLike) -> None:
        """Write one .npz without pickles, in one step: a reader sees the old file or the whole new one."""
        about = json.dumps(dict(names=self.names, **{k: _space_to_json(getattr(self, k)) for k in SPACES}))
        arrays = {k: getattr(self, k) for k in ARRAYS} | {"about": np.frombuffer(about.encode(), np.uint8)}
        path = Path(path)
        if not path.parent.is_dir():
            raise FileNotFoundError(f"no folder {os.path.abspath(path.parent)}, expected one to write {path.name} in; "
                                    "make it first")
        if path.is_dir():
            raise ValueError(f"{path} is a folder, expected the name of a file, as data.npz")
        temporary = path.with_name(f"{path.name}.{os.getpid()}-{threading.get_ident()}.part")
        try:
            with open(temporary, "wb") as f:
                np.savez(f, **arrays)
                f.flush()
                os.fsync(f.fileno())
            os.replace(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise

    @classmethod
    def load(cls, path: str | os.PathLike) -> Dataset:
        """Read what `save` wrote, bit for bit.  Raises ValueError naming the file if it is damaged or something else,
        FileNotFoundError if there is none."""
        mend = "make or copy it again"
        arrays = npz.read(path, "a dataset written by Dataset.save", mend)
        try:
            about = json.loads(arrays["about"].tobytes().decode())
            spaces = {k: _space_from_json(about[k]) for k in SPACES}
            return cls(**{k: arrays[k] for k in ARRAYS}, **spaces, names=about["names"])
        except Exception as e:
            raise ValueError(f"{os.fspath(path)} cannot be read as a dataset written by Dataset.save: it holds "
                             f"something else ({type(e).__name__}: {e}); {mend}") from e


def mix(good: Dataset, bad: Dataset, sigma: float, size: int, rng: np.random.Generator,
        by: str = "transitions") -> Dataset:
    """A mixed dataset with a share σ of good data; the good episodes come first, whole, with their source kept.

    by="transitions" (the paper's σ): good episodes drawn with replacement until they hold σ·size transitions, then bad
    ones until there are size; the last of each draw may run over, by less than its length.
    by="trajectories": round(σ·size) good episodes and the rest of size bad ones, each used as evenly as can be, so all
    distinct while there are enough.
    sigma: share in [0, 1].  size: transitions or trajectories.  Sources both named "data" become "good" and "bad".
    Source: Hong et al. (2023), data sets of their public code (which goes on until it exceeds σ·size, we until it
    reaches it).
    """
    if not 0 <= sigma <= 1:
        raise ValueError(f"sigma is {sigma}, expected a share in [0, 1], as 0.05 for 5 %")
    if size < 1 or size != int(size):
        raise ValueError(f"size is {size}, expected a whole number of {by} ≥ 1")
    if by not in ("transitions", "trajectories"):
        raise ValueError(f'by is {by!r}, expected "transitions" (the convention of the paper) or "trajectories"')
    if good.names == bad.names == ("data",):
        good, bad = replace(good, names=("good",)), replace(bad, names=("bad",))
    size = int(size)
    if by == "trajectories":
        k = round(sigma * size)
        drawn = [(good, _evenly(good.n, k, rng)), (bad, _evenly(bad.n, size - k, rng))]
    else:
        first = _until(good.lengths, sigma * size, rng)
        drawn = [(good, first), (bad, _until(bad.lengths, size - good.lengths[first].sum(), rng))]
    return Dataset.concat(*(d.select(idx) for d, idx in drawn if len(idx)))


def _until(lengths: np.ndarray, m: float, rng: np.random.Generator) -> np.ndarray:
    """Indices drawn uniformly with replacement until their lengths sum to at least m; none for m ≤ 0."""
    if m <= 0:
        return np.empty(0, np.int64)
    drawn = rng.integers(len(lengths), size=-(-math.ceil(m) // lengths.min()))     # enough even if all are the shortest
    return drawn[: np.searchsorted(np.cumsum(lengths[drawn]), m) + 1]


def _evenly(n: int, k: int, rng: np.random.Generator) -> np.ndarray:
    """k of n indices at random, each ⌊k/n⌋ or ⌈k/n⌉ times."""
    return np.concatenate([rng.permutation(n) for _ in range(-(-k // n))] or [np.empty(0, np.int64)])[:k]


# ---- spaces as JSON, for .npz

SPACES = ("observation_space", "action_space")


def _space_to_json(space):
    if space is None:
        return None
    from minari.serialization import serialize_space
    return serialize_space(space)


def _space_from_json(text):
    if text is None:
        return None
    from minari.serialization import deserialize_space
    return deserialize_space(text)
