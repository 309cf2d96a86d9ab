"""Finished runs as files: each under a name made of all that determines it, whole or not there at all.

    path = place(folder_of(cache, learner), cfg, seed, every, version)      # …/learner/0123…cdef.npz
    with at_work(path) as new:                  # other studies on this folder see that the run has begun
        save(path, kept, new)
    load(path)                                  # a dict, or None: there is none, or it is damaged, which is said

A file is written beside its place and moved there at once, so a reader sees all of it or nothing, whatever is killed
and when. It is sealed: a digest of its name and of every byte in it tells a damaged file, and another run's under this
name. What a killed process had begun is removed by the next study (`sweep`).
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import secrets
import socket
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path

import joblib
import numpy as np

BEGUN = "begun"                                                 # folder of what is being computed or written


def folder_of(cache: str | Path, learner: Callable) -> Path:
    """Where the runs of this learner are kept.  Raises ValueError if a file is in the way."""
    while isinstance(learner, functools.partial):
        learner = learner.func
    name = getattr(learner, "__qualname__", type(learner).__qualname__)
    folder = Path(cache).resolve() / "".join(c if c.isalnum() else "_" for c in name)
    for part in (folder / BEGUN, folder, *folder.parents):
        if part.is_file():
            raise ValueError(f"cache is {str(cache)!r}, but {part} is a file, expected a folder (it is made where "
                             "there is none); choose another name, or None to keep nothing")
    return folder


def place(folder: Path, cfg, seed: int, every: int | None, version: str) -> Path:
    """The file of a run."""
    settings = [(f.name, joblib.hash(getattr(cfg, f.name))) for f in fields(cfg)]
    kind = type(cfg).__module__, type(cfg).__qualname__
    return folder / (hashlib.sha256(f"{kind} {settings} {seed} {every} {version}".encode()).hexdigest()[:32] + ".npz")


# ------------------------------------------------------------------------------------------------ what has begun

@contextlib.contextmanager
def at_work(path: Path) -> Iterator[Path]:
    """The name to write under, an empty file while the run lasts. No disk to write it on: then nobody sees it."""
    new = path.parent / BEGUN / f"{path.stem}.{_host()}-{os.getpid()}-{secrets.token_hex(4)}.new"
    with contextlib.suppress(OSError):
        new.parent.mkdir(parents=True, exist_ok=True)
        new.touch()
    try:
        yield new
    finally:
        with contextlib.suppress(OSError):
            new.unlink(missing_ok=True)


def taken(path: Path) -> bool:
    """Whether a process that lives is at work on this run."""
    return any(_lives(new) for new in _begun(path.parent) if new.name.startswith(path.stem))


def sweep(folder: Path) -> None:
    """Remove what killed processes had begun."""
    for new in _begun(folder):
        if not _lives(new):
            with contextlib.suppress(OSError):
                new.unlink()


def _begun(folder: Path) -> list[Path]:
    try:
        return [p for p in (folder / BEGUN).iterdir() if p.suffix == ".new"]
    except OSError:
        return []


def _lives(new: Path) -> bool:
    """Whether its process may be alive: on this machine the system knows, of another one only the age speaks."""
    try:
        host, pid, _ = new.name.split(".")[1].split("-")
        if host == _host() and os.name == "posix":
            os.kill(int(pid), 0)                                # signal 0 only asks
            return True
        return time.time() - new.stat().st_mtime < 3600
    except PermissionError:                                     # alive, and somebody else's
        return True
    except (OSError, ValueError, IndexError):
        return False


def _host() -> str:
    return "".join(c if c.isalnum() else "_" for c in socket.gethostname())


# ------------------------------------------------------------------------------------------------ what is finished

def plain(measured: dict) -> dict:
    """What a file can hold; a number comes back as Python's own, whether it was kept or just computed."""
    kept = {}
    for name, value in measured.items():
        array = np.asarray(value)
        if array.dtype.hasobject:
            raise TypeError(f"{name} is a {type(value).__name__}, expected a number, an array or a word; "
                            "let `measure` turn it into these")
        kept[name] = array if array.ndim else array.item()
    return kept


def save(path: Path, kept: dict, new: Path) -> None:
    """Write under `new`, then move to `path`.  Raises OSError where there is no room or no permission."""
    new.parent.mkdir(parents=True, exist_ok=True)
    arrays = {f"kept_{name}": np.asarray(value) for name, value in kept.items()}        # a name may be "file"
    with open(new, "wb") as f:
        np.savez(f, seal=_seal(path, arrays), **arrays)
    os.replace(new, path)


def load(path: Path) -> dict | None:
    """What the file holds; None if there is none, or if it cannot be used, which is said."""
    try:
        with open(path, "rb") as f, np.load(f, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        if arrays.pop("seal").item() != _seal(path, arrays):
            raise ValueError("its seal is not that of its name and content")
        return plain({name.removeprefix("kept_"): value for name, value in arrays.items()})
    except FileNotFoundError:
        return None
    except Exception as e:                                      # whatever zip and numpy make of a file that is none
        warnings.warn(f"{path} is damaged ({type(e).__name__}: {e}): running it again", stacklevel=3)
        if not isinstance(e, (MemoryError, PermissionError)):   # not the file's fault
            with contextlib.suppress(OSError):
                path.unlink()
        return None


def _seal(path: Path, arrays: dict[str, np.ndarray]) -> str:
    digest = hashlib.sha256(path.stem.encode())
    for name, a in sorted(arrays.items()):
        digest.update(f"{name} {a.dtype} {a.shape} ".encode() + a.tobytes())
    return digest.hexdigest()
