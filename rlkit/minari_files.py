"""Datasets from and to Minari, the shared store of offline data.

    Dataset.from_minari("D4RL/pen/human-v2")       one on this machine, else downloaded
    Dataset.from_minari("some/folder/door-v0")     the folder of one
    data.to_minari("mine/pendulum-v0", author="...", description="...")

Minari keeps its datasets in the folder that MINARI_DATASETS_PATH names, or in ~/.minari/datasets. `minari list local`
shows those on this machine, `minari list remote` those there are.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import warnings
from pathlib import Path

import numpy as np
from gymnasium import spaces

from rlkit.trajectories import Dataset

ARRAYS = (spaces.Box, spaces.Discrete, spaces.MultiDiscrete, spaces.MultiBinary)
MEND = "delete it and download or write it again"
CHECKSUM = "rlkit_checksum"
SQUEEZE = 1100                                                # more than the best that the compression of HDF5 can do


def read(name_or_path: str | os.PathLike, *, drop_empty: bool = False) -> Dataset:
    """A Minari dataset as flat arrays, exactly.

    name_or_path: the id of one, or the folder one lies in (the one that holds `data`, or `data` itself).
    Observations that are a Dict or Tuple of arrays are flattened as `gymnasium.spaces.flatten` does it for the space
    Minari gives (which sorts the names; an environment need not), with a warning that says which part stands where;
    Discrete parts become one-hot. Episodes that end with neither flag are marked truncated, with a warning that counts
    them. The source is the id, unless `write` kept others.
    Raises FileNotFoundError if it is neither here nor to be had, ValueError if it cannot be read or does not fit.

    What `write` wrote carries a checksum, so that any later change is noticed. Minari itself writes none: in data of
    others, a number that has changed on the disk and still is one cannot be told from the right one.
    """
    stored = _open(name_or_path)
    flat = isinstance(stored.observation_space, ARRAYS)
    if not isinstance(stored.action_space, ARRAYS):
        raise ValueError(f"actions of {stored.id} are {stored.action_space}, expected arrays (Box, Discrete, "
                         "MultiDiscrete, MultiBinary): the policies here give one array")
    where = f"the Minari dataset {stored.id} in {stored.storage.data_path}"
    try:
        about = stored.storage.metadata
        labels = [m.get("source", 0) for m in stored.storage.get_episode_metadata(stored.episode_indices)]
        episodes = [dict(obs=e.observations if flat else _flatten(e.observations, stored.observation_space),
                         action=e.actions, reward=e.rewards, source=label,
                         terminated=_flags(e.terminations), truncated=_flags(e.truncations))
                    for e, label in zip(stored, labels)]
        steps = sum(len(e["reward"]) for e in episodes)
        if (len(episodes), steps) != (about["total_episodes"], about["total_steps"]):
            raise ValueError(f"{len(episodes)} episodes of {steps} transitions, expected {about['total_episodes']} of "
                             f"{about['total_steps']} as metadata.json says")
    except NotImplementedError as e:
        raise ValueError(f"observations of {stored.id} hold {e}, expected Box, Discrete or MultiBinary parts") from None
    except Exception as e:
        raise ValueError(f"{where} is damaged ({type(e).__name__}: {e}); {MEND}") from e
    open_end = [e for e in episodes if len(e["reward"]) and not (e["terminated"][-1] or e["truncated"][-1])]
    for e in open_end:
        e["truncated"] = np.append(e["truncated"][:-1], True)
    if open_end:
        warnings.warn(f"{len(open_end)} of {len(episodes)} episodes of {stored.id} end with neither terminated nor "
                      "truncated: marked truncated, the recording stopped there", stacklevel=3)
    if not flat:
        warnings.warn(f"observations of {stored.id} are flattened: {_layout(stored.observation_space)}", stacklevel=3)
    try:
        return Dataset.from_episodes(
            episodes, drop_empty=drop_empty, names=about.get("source_names", (stored.id,)),
            observation_space=stored.observation_space if flat else spaces.flatten_space(stored.observation_space),
            action_space=stored.action_space)
    except (ValueError, TypeError) as e:
        raise type(e)(f"{where}: {e}") from e


def write(data: Dataset, dataset_id: str, **metadata) -> None:
    """Write `data` as the local Minari dataset `dataset_id`, without loss; `read` gives the same arrays again.

    metadata: what minari.create_dataset_from_buffers takes: env (an id, say), author, description, algorithm_name, ...
    Raises ValueError if the spaces are not known, or if there is such a dataset already.
    """
    import minari
    from minari.data_collector import EpisodeBuffer
    from minari.dataset.minari_dataset import parse_dataset_id
    from minari.storage import get_dataset_path

    try:
        parse_dataset_id(dataset_id)
    except Exception:
        raise ValueError(f"the id of the dataset is {dataset_id!r}, expected letters, digits, - and _ and a version, "
                         "as mine/pendulum-v0 (names of two letters at least)") from None
    given = {k: metadata.pop(k, None) or getattr(data, k) for k in ("observation_space", "action_space")}
    if None in given.values() and metadata.get("env") is None:
        raise ValueError("the spaces of the data are not known, expected observation_space and action_space, or "
                         'env="Pendulum-v1", the environment they come from')
    folder = get_dataset_path(dataset_id)
    if folder.exists():
        raise ValueError(f"there is a Minari dataset {dataset_id} already, in {folder}; take another name or version, "
                         f"or delete it: minari delete {dataset_id}")
    buffers = [EpisodeBuffer(observations=np.concatenate([data.obs[a:b], data.final_obs[i:i + 1]]),
                             actions=data.action[a:b], rewards=data.reward[a:b],
                             terminations=data.terminated[a:b], truncations=data.truncated[a:b])
               for i, (a, b) in enumerate(zip(data.starts, data.starts[1:]))]
    try:
        with warnings.catch_warnings():                       # one for each of author, env, ... not given
            warnings.filterwarnings("ignore", message=r".*is (set to )?None")
            written = minari.create_dataset_from_buffers(dataset_id, buffers, jpeg_encoding=False, **given, **metadata)
        written.storage.update_metadata({"source_names": list(data.names)})
        written.storage.update_episode_metadata({"source": int(s)} for s in data.source)
        written.storage.update_metadata({CHECKSUM: _checksum(folder / "data")})
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)             # no half of a dataset
        raise


def _open(name_or_path):
    """The MinariDataset, local or downloaded."""
    import minari
    from minari.storage import get_dataset_path

    path = Path(name_or_path)
    for folder in (path / "data", path, get_dataset_path(str(name_or_path)) / "data"):
        if os.path.lexists(folder / "metadata.json"):
            try:
                _looks_whole(folder)
                return minari.MinariDataset(folder)
            except Exception as e:
                raise ValueError(f"{folder} cannot be read as a Minari dataset ({type(e).__name__}: {e}); expected "
                                 f"metadata.json and the data beside it, as Minari writes them; {MEND}") from e
    if path.is_absolute() or not isinstance(name_or_path, str):
        raise FileNotFoundError(f"no Minari dataset in {path}, expected a folder with data/metadata.json in it")
    try:
        return minari.load_dataset(name_or_path, download=True)
    except Exception as e:
        try:
            here = ", ".join(sorted(minari.list_local_datasets())) or "none"
        except Exception:                                     # one that is damaged must not hide what is missing here
            here = f"see {get_dataset_path()}"
        raise FileNotFoundError(
            f"the Minari dataset {name_or_path} is neither in {get_dataset_path()} nor could it be downloaded "
            f"({type(e).__name__}: {e}). On this machine: {here}. An id has a version, as D4RL/pen/human-v2; "
            'to download, be online and have pip install "minari[hf]"; data elsewhere: set MINARI_DATASETS_PATH, or '
            "give the folder") from e


def _looks_whole(folder: Path) -> None:
    """Refuse, before HDF5 meets it, what would run code, fill the memory or never end; and what has changed."""
    about = json.loads((folder / "metadata.json").read_text(encoding="utf-8"))
    absent = [k for k in ("observation_space", "action_space", "dataset_id", "total_episodes", "total_steps")
              if k not in about]
    if absent:                                                # no spaces: Minari would run the environment
        raise ValueError(f"metadata.json has no {', '.join(absent)}")
    if about["total_episodes"] < 1 or about["total_steps"] < 1:
        raise ValueError("metadata.json says that it has no transition, expected at least one")
    if CHECKSUM in about and about[CHECKSUM] != _checksum(folder):
        raise ValueError("its checksum does not fit: it has changed since it was written. If that was on purpose, take "
                         f"{CHECKSUM} out of metadata.json")
    if (file := folder / "main_data.hdf5").is_file():
        import h5py
        most = SQUEEZE * file.stat().st_size + 2**20
        with h5py.File(file, "r") as f:
            if len(f) != about["total_episodes"]:
                raise ValueError(f"the file has {len(f)} episodes, expected {about['total_episodes']} as "
                                 "metadata.json says")
            f.visititems(lambda name, x: _fits(name, x, most) if isinstance(x, h5py.Dataset) else None)


def _fits(name: str, x, most: int) -> None:
    if x.nbytes > most:
        raise ValueError(f"{name} claims {x.nbytes} bytes, more than the file can hold")


def _checksum(folder: Path) -> str:
    """SHA-256 of all that makes a Dataset: the files beside metadata.json, and what that says of their meaning."""
    about = json.loads((folder / "metadata.json").read_text(encoding="utf-8"))
    keys = ("observation_space", "action_space", "source_names", "total_episodes", "total_steps", "data_format",
            "jpeg_encoding", "dataset_id")
    total = hashlib.sha256(json.dumps({k: about.get(k) for k in keys}, sort_keys=True).encode())
    for path in sorted(p for p in folder.rglob("*") if p.is_file() and p.name != "metadata.json"):
        with open(path, "rb") as f:
            total.update(hashlib.file_digest(f, "sha256").digest())
    return total.hexdigest()


def _flags(x) -> np.ndarray:
    """As bool, where they are 0 and 1; anything else goes on as it is, to be refused with its place."""
    x = np.asarray(x)
    return x.astype(bool) if x.dtype.kind in "iuf" and ((x == 0) | (x == 1)).all() else x


def _flatten(x, space: spaces.Space) -> np.ndarray:
    """[T, ...] parts -> [T, F], each row as gymnasium.spaces.flatten gives it, but all rows at once."""
    if isinstance(space, spaces.Dict):
        return np.concatenate([_flatten(x[k], s) for k, s in space.items()], axis=1)
    if isinstance(space, spaces.Tuple):
        return np.concatenate([_flatten(part, s) for part, s in zip(x, space)], axis=1)
    if isinstance(space, spaces.Discrete):
        return (np.asarray(x)[:, None] == np.arange(space.start, space.start + space.n)).astype(space.dtype)
    if isinstance(space, spaces.Box | spaces.MultiBinary):
        return np.asarray(x, space.dtype).reshape(len(x), -1)
    raise NotImplementedError(str(space))


def _layout(space: spaces.Space) -> str:
    parts = space.items() if isinstance(space, spaces.Dict) else enumerate(space)
    at, words = 0, []
    for name, part in parts:
        width = spaces.flatdim(part)
        words.append(f"{name} in columns {at} to {at + width - 1}")
        at += width
    return ", ".join(words)
