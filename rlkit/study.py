"""Many runs: a grid of settings and seeds, on these cores or on a cluster, cached and resumable.

    rows = study.run(learner, [Config(alpha=a) for a in (0.1, 1.0)], seeds=20)      # a list of dicts, one per run
    study.columns(rows)["ret"]                                                      # [40, R]

The numbers are those of the plain loop  `for cfg in configs: for seed in seeds: [*learner(cfg, default_rng(seed))]`,
bit for bit. By default the runs go to local processes; the same line goes to a cluster, unchanged, inside
`with joblib.parallel_config(backend="dask")` (or "ray"). Finished runs are files in `cache`, named by what determines
them: a study that was killed goes on where it stopped, studies at once on one cache share the runs between them, and a
change of settings or code computes anew.
Read `run`, then `_one`; the files are in `run_files`, what counts as a change of code is in `fingerprint`.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import fields
from pathlib import Path

import joblib
import numpy as np
from joblib.externals.loky.process_executor import TerminatedWorkerError
from joblib.parallel import get_active_backend

from rlkit.fingerprint import fingerprint
from rlkit.run_files import at_work, folder_of, load, place, plain, save, sweep, taken

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
    Raises what a learner raises, with the settings and the seed added; the finished runs are kept. Warns where a kept
    run is damaged (it is run again), where no more can be kept (disk full, folder read-only), and where a worker
    process was killed (its run begins again).
    """
    configs = list(configs)
    seeds = list(range(seeds)) if isinstance(seeds, (int, np.integer)) else [int(s) for s in seeds]
    work = [(cfg, seed) for cfg in configs for seed in seeds]
    paths = [None] * len(work)
    folder = folder_of(cache, learner) if cache is not None else None
    if folder is not None:
        sweep(folder)                                           # what an earlier study left that was killed
        version = {kind: fingerprint(learner, measure, kind) for kind in map(type, configs)}
        paths = [place(folder, cfg, seed, every, version[type(cfg)]) for cfg, seed in work]
    done = {i: kept for i, path in enumerate(paths) if path is not None and (kept := load(path)) is not None}
    show = _bar if progress is True else progress or (lambda done, total: None)
    show(len(done), len(work))
    no_room = False

    def job(i: int, yielding: bool):
        return joblib.delayed(_one)(learner, *work[i], measure, every, paths[i], yielding, i, os.getpid())

    def finished(i: int, measured: dict) -> None:
        nonlocal no_room
        done[i] = measured
        try:
            if paths[i] is not None and not paths[i].exists():  # a worker on another machine has another disk
                with at_work(paths[i]) as new:
                    save(paths[i], measured, new)
        except OSError as e:
            if not no_room:
                warnings.warn(f"finished runs cannot be kept ({e}): the study goes on and gives all its rows, but what "
                              "cannot be kept is computed again if it is stopped; make room, or give a `cache` that "
                              "can be written", stacklevel=4)
            no_room = True
        show(len(done), len(work))

    with _one_thread():
        _all([i for i in range(len(work)) if i not in done], job, finished, n_jobs,
             name=lambda i: f"seed {work[i][1]} of {work[i][0]}")
    if folder is not None:
        sweep(folder)                                           # and what our workers left that were killed
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


def _all(todo: list[int], job: Callable, finished: Callable, n_jobs: int | None, name: Callable) -> None:
    """`finished(i, measured)` for every run i of `todo`, as they come.

    First come the runs that nobody is at, then those that another study had begun: it may never end them.
    A worker that was killed, mostly because memory ran out, takes its pool along: what is unfinished begins again in
    half as many workers, never in this process, from the other end: a run that kills any worker is met last. Two pools
    in turn that finish nothing end the study.
    """
    yielding, backwards, least, fruitless = True, False, 1, 0
    while todo:
        left = set(todo)
        with _parallel(n_jobs, max(least, len(todo))) as (parallel, workers):
            try:
                with _closed(parallel(job(i, yielding) for i in todo)) as results:
                    for i, measured in results:
                        if measured is not None:
                            left.remove(i)
                            finished(i, measured)
                yielding = False
            except TerminatedWorkerError:
                fruitless = fruitless + 1 if len(left) == len(todo) else 0
                if workers <= 2 and fruitless > 1:
                    some = "; ".join(map(name, sorted(left)[:2]))
                    raise RuntimeError(
                        f"a worker process was killed again, probably because memory ran out; {len(left)} of the runs "
                        f"are not finished, first {some}. Those that are finished are in the cache: the same line goes "
                        "on from there; with n_jobs=1 one run at a time has all the memory") from None
                backwards = not backwards
                n_jobs, least = max(2, workers // 2), 2         # joblib runs one at a time in this process
                if left:
                    warnings.warn("a worker process was killed, probably because memory ran out: "
                                  f"{len(left)} runs begin again, {n_jobs} at once", stacklevel=4)
        todo = sorted(left, reverse=backwards)


@contextlib.contextmanager
def _closed(results):
    """An interrupt while the results are read must stop the workers now, not when the generator is collected."""
    try:
        yield results
    finally:
        if hasattr(results, "close"):
            results.close()


def _one(learner, cfg, seed, measure, every, path, yielding, i, home):
    """One run, wherever it happens: its number, and what is kept of it; None if it is left to another study."""
    if os.getpid() != home and "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)
    if path is not None:
        if (kept := load(path)) is not None:                    # another study on this cache was faster
            return i, kept
        if yielding and taken(path):
            return i, None
    with at_work(path) if path is not None else contextlib.nullcontext() as new:
        try:
            more = {} if every is None else {"every": every}
            kept = plain(measure(learner(cfg, rng=np.random.default_rng(seed), **more), cfg))
        except Exception as e:
            e.add_note(f"in the study's run with seed {seed} of {cfg}")
            raise
        if path is not None:
            with contextlib.suppress(OSError):                  # no disk or no room here: the study itself tries too
                save(path, kept, new)
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
    """joblib as the caller has set it up, and how many at once; where nothing is set up, local processes on all cores,
    of one thread each."""
    backend, configured = get_active_backend()
    stream = "generator_unordered" if backend.supports_return_generator else "list"
    if type(backend).__name__ != "LokyBackend":
        yield joblib.Parallel(n_jobs=n_jobs, return_as=stream), None
        return
    workers = max(1, min(joblib.effective_n_jobs(n_jobs or (configured if configured != 1 else -1)), runs))
    with joblib.parallel_config(backend="loky", inner_max_num_threads=1, initializer=_follow, initargs=(os.getpid(),)):
        yield joblib.Parallel(n_jobs=workers, return_as=stream), workers


def _follow(home: int) -> None:
    """A worker ends when its study does: killed, that one cannot say so, and the worker would wait for work."""
    def watch():
        while os.getppid() == home:
            time.sleep(0.3)
        os._exit(1)

    if os.name == "posix":
        threading.Thread(target=watch, daemon=True).start()


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
