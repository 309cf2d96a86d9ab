"""Many runs: a grid of settings and seeds, on these cores or on a cluster, cached and resumable.

    rows = study.run(learner, [Config(alpha=a) for a in (0.1, 1.0)], seeds=20)      # a list of dicts, one per run
    study.columns(rows)["ret"]                                                      # [40, R]

The numbers are those of the plain loop  `for cfg in configs: for seed in seeds: [*learner(cfg, default_rng(seed))]`,
bit for bit. By default the runs go to local processes; the same line goes to a cluster, unchanged, inside
`with joblib.parallel_config(backend="dask")` (or "ray"). Finished runs are files in `cache`, named by what determines
them: a study that was killed goes on where it stopped, and a change of settings or code computes anew.
Read `run`, then `_one`; what counts as a change of code is in `fingerprint`.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import sys
import time
import warnings
import zipfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import fields
from pathlib import Path

import joblib
import numpy as np
from joblib.parallel import get_active_backend

from rlkit.fingerprint import fingerprint

# ------------------------------------------------------------------------------------------------ what is kept of a run

def last(snapshots: Iterable, cfg) -> dict:
    """The numbers, arrays and words of the last snapshot."""
    snap = None
    for snap in snapshots:                                      # noqa: B007  only the last one is kept
        pass
    return {} if snap is None else _content(snap)


def curve(snapshots: Iterable, cfg) -> dict:
    """The same for every snapshot, stacked: a number becomes [T], an array [R] becomes [T, R]."""
    content = [_content(snap) for snap in snapshots]
    return {name: np.stack([c[name] for c in content]) for name in (content[0] if content else ())}


def _content(snap) -> dict:
    return {k: v for k, v in snap._asdict().items() if isinstance(v, (bool, int, float, str, np.ndarray, np.generic))}


# ------------------------------------------------------------------------------------------------ the study

def run(learner: Callable, configs: Sequence, seeds: int | Sequence[int], *, measure: Callable = last,
        every: int | None = None, cache: str | Path | None = ".rlkit-cache", n_jobs: int | None = None,
        progress: bool | Callable = True) -> list[dict]:
    """One row per (config, seed), in this order: the settings, the seed, and what `measure` kept of the run.

    learner: `learner(cfg, rng, every)`, a generator of snapshots; bind more arguments with functools.partial.
    seeds: whole numbers, or how many: 20 is 0 … 19. A run gets np.random.default_rng(seed).
    measure: `measure(snapshots, cfg)` -> dict of numbers, arrays or words; `last` and `curve` are here.
    cache: folder of the finished runs; None keeps nothing. n_jobs: runs at once; None: all cores.
    progress: True shows a bar in a notebook or a terminal, or a function of (done, total).
    Raises what a learner raises, with the settings and the seed added; the finished runs are kept.
    """
    configs = list(configs)
    seeds = list(range(seeds)) if isinstance(seeds, (int, np.integer)) else [int(s) for s in seeds]
    work = [(cfg, seed) for cfg in configs for seed in seeds]
    version = {kind: fingerprint(learner, measure, kind) for kind in map(type, configs)} if cache is not None else {}
    paths = [_path(cache, learner, cfg, seed, every, version.get(type(cfg))) for cfg, seed in work]
    _sweep(cache, learner)
    done = {}
    for i, path in enumerate(paths):
        if path is not None and (kept := _load(path)) is not None:
            done[i] = kept
    show = _bar if progress is True else progress or (lambda done, total: None)
    show(len(done), len(work))
    todo = [i for i in range(len(work)) if i not in done]
    jobs = (joblib.delayed(_one)(learner, *work[i], measure, every, paths[i], i, os.getpid()) for i in todo)
    with _one_thread(), _parallel(n_jobs, len(todo)) as parallel:
        for i, measured in parallel(jobs):
            if paths[i] is not None and not paths[i].exists():  # a worker on another machine has another disk
                _save(paths[i], measured)
            done[i] = measured
            show(len(done), len(work))
    return [_row(cfg, seed, done[i]) for i, (cfg, seed) in enumerate(work)]


def columns(rows: Sequence[dict]) -> dict[str, np.ndarray]:
    """The same table as one array per column; values of unequal shape make a column of objects."""
    table = {}
    for name in rows[0] if rows else ():
        values = [row[name] for row in rows]
        if len({np.shape(v) for v in values}) > 1:
            table[name] = np.empty(len(values), object)
            table[name][:] = values
        else:
            table[name] = np.array(values)
    return table


def _row(cfg, seed: int, measured: dict) -> dict:
    settings = {f.name: getattr(cfg, f.name) for f in fields(cfg)}
    twice = measured.keys() & (settings.keys() | {"seed"})
    return settings | {"seed": seed} | {f"{k}_measured" if k in twice else k: v for k, v in measured.items()}


def _one(learner, cfg, seed, measure, every, path, i, home):
    """One run, wherever it happens: its number, and what is kept of it."""
    if os.getpid() != home and "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)
    if path is not None and (kept := _load(path)) is not None:  # another study on this cache was faster
        return i, kept
    try:
        more = {} if every is None else {"every": every}
        kept = _plain(measure(learner(cfg, rng=np.random.default_rng(seed), **more), cfg))
    except Exception as e:
        e.add_note(f"in the study's run with seed {seed} of {cfg}")
        raise
    if path is not None:
        with contextlib.suppress(OSError):                      # a worker without this disk: the study itself saves
            _save(path, kept)
    return i, kept


@contextlib.contextmanager
def _one_thread():
    """Small networks run fastest on one thread, and sums over threads are not the same sums."""
    torch = sys.modules.get("torch")
    before = torch.get_num_threads() if torch else 1
    if torch:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        if torch:
            torch.set_num_threads(before)


@contextlib.contextmanager
def _parallel(n_jobs, runs: int):
    """joblib as the caller has set it up; where nothing is set up, processes of one thread each on all cores."""
    backend, configured = get_active_backend()
    stream = "generator_unordered" if backend.supports_return_generator else "list"
    if type(backend).__name__ != "LokyBackend":
        yield joblib.Parallel(n_jobs=n_jobs, return_as=stream)
        return
    wanted = n_jobs or (configured if configured != 1 else -1)
    with joblib.parallel_config(backend="loky", inner_max_num_threads=1):
        yield joblib.Parallel(n_jobs=max(1, min(joblib.effective_n_jobs(wanted), runs)), return_as=stream)


# ------------------------------------------------------------------------------------------------ the cache

def _path(cache, learner, cfg, seed: int, every, version: str | None) -> Path | None:
    """The file of a run: its name says all that determines the run."""
    if cache is None:
        return None
    settings = (type(cfg).__module__, type(cfg).__qualname__, [(f.name, getattr(cfg, f.name)) for f in fields(cfg)])
    key = hashlib.sha256(f"{joblib.hash(settings)} {seed} {every} {version}".encode()).hexdigest()[:32]
    return Path(cache).resolve() / _name(learner) / f"{key}.npz"


def _sweep(cache, learner) -> None:
    """Remove what a killed study left half-written; what is younger may be another study's."""
    if cache is not None:
        for new in (Path(cache) / _name(learner)).glob("*.new"):
            with contextlib.suppress(OSError):
                if time.time() - new.stat().st_mtime > 3600:
                    new.unlink()


def _name(learner) -> str:
    while isinstance(learner, functools.partial):
        learner = learner.func
    name = getattr(learner, "__qualname__", type(learner).__qualname__)
    return "".join(c if c.isalnum() else "_" for c in name)


def _plain(measured: dict) -> dict:
    """What a file can hold; a number comes back as Python's own, whether it was cached or just computed."""
    kept = {}
    for name, value in measured.items():
        array = np.asarray(value)
        if array.dtype.hasobject:
            raise TypeError(f"{name} is a {type(value).__name__}, expected a number, an array or a word; "
                            "let `measure` turn it into these")
        kept[name] = array if array.ndim else array.item()
    return kept


def _save(path: Path, kept: dict) -> None:
    """Written beside its place and moved there at once: a reader sees a whole file or none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_suffix(f".{os.getpid()}-{time.monotonic_ns()}.new")
    try:
        with open(new, "wb") as f:
            np.savez(f, **{f"kept_{name}": value for name, value in kept.items()})      # a name may be "file"
        os.replace(new, path)
    finally:
        new.unlink(missing_ok=True)


def _load(path: Path) -> dict | None:
    """What the file holds; None if there is none, or if it is damaged, which is said."""
    try:
        with np.load(path, allow_pickle=False) as file:         # a zip file: every part has its checksum
            return _plain({name.removeprefix("kept_"): file[name] for name in file.files})
    except FileNotFoundError:
        return None
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile) as e:
        warnings.warn(f"{path} is damaged ({e}): running it again", stacklevel=3)
        path.unlink(missing_ok=True)
        return None


# ------------------------------------------------------------------------------------------------ the bar

def _bar(done: int, total: int) -> None:
    """A bar in the cell's output or on the terminal; elsewhere nothing."""
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    if shell is not None and getattr(shell, "kernel", None):
        from IPython.display import HTML, display
        text = f'<progress max="{total}" value="{done}" aria-label="runs done"></progress> {done} of {total} runs'
        parent = shell.kernel.get_parent()["header"]["msg_id"]  # one bar per running cell, updated in place
        first = _shown.get("cell") != parent
        _shown["cell"] = parent
        display(HTML(text), display_id=f"study-{parent}", update=not first)
    elif sys.stderr is not None and sys.stderr.isatty():
        filled = round(30 * done / max(total, 1))
        sys.stderr.write(f"\r{'█' * filled}{'·' * (30 - filled)} {done} of {total} runs" + "\n" * (done == total))
        sys.stderr.flush()


_shown: dict[str, str] = {}
