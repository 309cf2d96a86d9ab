"""A study that is killed, starved of disk, doubled, or fed damaged files ends with the table of an undisturbed one."""

import builtins
import contextlib
import errno
import functools
import hashlib
import io
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
import warnings
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import joblib
import numpy as np
import pytest

from rlkit import run_files, study

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals and limits of POSIX")
RUNS = 10


@dataclass(frozen=True)
class Config:
    a: int = 0
    log: str = ""                       # a run says there when it begins and when it ends
    pause: float = 0.0                  # seconds
    numbers: int = 10
    dies: str = ""                      # a file: the first process that finds none makes it, and is killed


class Snapshot(NamedTuple):
    x: np.ndarray


def say(cfg, word):
    if cfg.log:
        file = os.open(cfg.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(file, f"{word} {cfg.a} {os.getpid()}\n".encode())
        os.close(file)


def learner(cfg, rng, every=1):
    say(cfg, "begin")
    time.sleep(cfg.pause)
    if cfg.dies:
        with contextlib.suppress(FileExistsError):
            os.close(os.open(cfg.dies, os.O_CREAT | os.O_EXCL))
            os.kill(os.getpid(), signal.SIGKILL)
    yield Snapshot(cfg.a + rng.normal(size=cfg.numbers))
    say(cfg, "end")


def begun(log):
    return Counter(line.split()[1] for line in Path(log).read_text().splitlines() if line.startswith("begin"))


def grid(**rest):
    return [Config(a, **rest) for a in range(RUNS)]


def numbers(rows):
    return [row["x"].tobytes() for row in rows]


@functools.cache
def expected(seed=1, count=10, runs=RUNS):
    """The numbers of an undisturbed study, by numpy alone."""
    return [(a + np.random.default_rng(seed).normal(size=count)).tobytes() for a in range(runs)]


def digest(parts) -> str:
    return hashlib.sha256(b"".join(parts)).hexdigest()


def kept(cache):
    return sorted(Path(cache).rglob("*.npz"))


def leftovers(cache):
    return [p for p in Path(cache).rglob("*") if p.is_file() and p.suffix != ".npz"]


# ---------------------------------------------------------------------------------------------- killed

NUMBERS = 100_000                       # 0.8 MB: a write takes about as long as a run


def script(where, workers):
    """A study as a user runs it; the last line says what came out."""
    configs = [Config(a, f"{where}/log", 0.005, NUMBERS) for a in range(RUNS)]
    rows = study.run(learner, configs, [1], cache=f"{where}/cache", n_jobs=workers, progress=False)
    Path(where, "table").write_text(digest(numbers(rows)))


def serve():
    """Studies in forked processes, which need no time for imports: a line in is a folder, a line out a process."""
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            os.setsid()
            with open(f"{line.strip()}/err", "a") as err:
                os.dup2(err.fileno(), 2)
            try:
                script(line.strip(), 1)
            finally:
                os._exit(0)
        print(pid, flush=True)
        os.waitpid(pid, 0)
        print("over", flush=True)


class Server:
    def __init__(self):
        self.process = subprocess.Popen([sys.executable, __file__, "serve"], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)

    def study(self, where, kill_after=None):
        """Seconds that it took; killed after so many, unless it has ended."""
        self.process.stdin.write(f"{where}\n")
        self.process.stdin.flush()
        pid, start = int(self.process.stdout.readline()), time.monotonic()
        if kill_after is not None:
            time.sleep(kill_after)
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        assert self.process.stdout.readline() == "over\n"
        return time.monotonic() - start


@pytest.fixture(scope="module")
def server():
    server = Server()
    yield server
    server.process.stdin.close()
    server.process.wait()


def phase(where):
    """Where a killed study was: what its log and its files say."""
    lines = (where / "log").read_text().split("\n") if (where / "log").exists() else []
    words = Counter(line.split()[0] for line in lines if line)
    if (where / "table").exists():
        return "after the end"
    if not words:
        return "before the first run"
    if words["begin"] > words["end"]:
        return "in a run"
    return "in a write" if words["end"] > len(kept(where)) else "between runs"


def check_restart(where, again, exactly=True):
    """Only what was unfinished is run again; the table is that of an undisturbed study; nothing is left over."""
    finished = len(kept(where))
    (where / "log").write_text("")
    again()
    assert (where / "table").read_text() == digest(expected(count=NUMBERS))
    if exactly:
        assert sum(begun(where / "log").values()) == RUNS - finished
    assert len(kept(where)) == RUNS and not leftovers(where / "cache")


def test_a_study_killed_at_fifty_random_moments_reruns_only_what_was_unfinished(server, tmp_path, record_property):
    random_moment, phases = random.Random(0), Counter()
    (tmp_path / "whole").mkdir()
    whole = min(server.study(tmp_path / "whole") for _ in range(1))
    for k in range(50):
        where = tmp_path / str(k)
        where.mkdir()
        server.study(where, random_moment.uniform(0, 1.1 * whole))
        phases[phase(where)] += 1
        check_restart(where, lambda where=where: server.study(where))
        assert (where / "err").read_text() == ""
        shutil.rmtree(where)
    record_property("phases", dict(phases))
    print(dict(phases))
    assert sum(phases.values()) == 50 and phases["in a run"] and phases["in a write"]


def start(where):
    return subprocess.Popen([sys.executable, __file__, "script", where, "2"], start_new_session=True,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def gone(group, seconds=60):
    """Whether every process of this group has ended by then."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.05)
    return False


def workers(parent):
    import psutil
    with contextlib.suppress(psutil.NoSuchProcess):
        return [p for p in psutil.Process(parent).children() if "popen_loky" in " ".join(p.cmdline())]
    return []


def kill_one(where, victim, wait):
    """One study on two workers; after `wait` seconds the whole group dies, or the study alone, or one worker."""
    running = start(where)
    time.sleep(wait)
    ended = running.poll() is not None
    if victim == "worker":
        with contextlib.suppress(IndexError, ProcessLookupError):
            os.kill(workers(running.pid)[0].pid, signal.SIGKILL)
    elif victim == "study":
        running.kill()
    elif not ended:
        os.killpg(running.pid, signal.SIGKILL)
    _, err = running.communicate(timeout=120)
    assert gone(running.pid), "a worker outlived its study"
    assert "Traceback" not in err or victim != "worker", err
    return err


def fire(tmp_path, victims, seed):
    moments, phases = random.Random(seed), Counter()
    (tmp_path / "whole").mkdir()
    begin = time.monotonic()
    start(tmp_path / "whole").communicate(timeout=120)
    whole = time.monotonic() - begin
    for k, victim in enumerate(victims):
        where = tmp_path / str(k)
        where.mkdir()
        kill_one(where, victim, moments.uniform(0, 1.1 * whole))
        phases[victim, phase(where)] += 1
        check_restart(where, lambda where=where: start(where).communicate(timeout=120), exactly=victim != "worker")
        shutil.rmtree(where)
    return phases


def test_with_two_workers_the_whole_group_the_study_or_a_worker_may_be_killed(tmp_path):
    assert sum(fire(tmp_path, ["group", "study", "worker"], 0).values()) == 3


@pytest.mark.slow
def test_with_two_workers_fifty_kills_at_random_moments_cost_time_only(tmp_path):
    phases = fire(tmp_path, ["group", "study", "worker", "group", "study"] * 10, 1)
    print(dict(phases))
    assert sum(phases.values()) == 50


# ---------------------------------------------------------------------------------------------- memory ran out

def test_a_worker_killed_in_mid_run_costs_a_warning_and_time(tmp_path):
    configs = grid(log=str(tmp_path / "log"), dies=str(tmp_path / "once"))
    with pytest.warns(UserWarning, match="a worker process was killed, probably because memory ran out.* begin again"):
        rows = study.run(learner, configs, [1], cache=tmp_path / "cache", n_jobs=2, progress=False)
    assert numbers(rows) == expected()
    runs = begun(tmp_path / "log")
    assert len(runs) == RUNS and sum(runs.values()) <= RUNS + 2           # at most what the two were at
    assert not leftovers(tmp_path / "cache")


def test_a_run_that_kills_every_worker_ends_the_study_and_the_others_are_kept(tmp_path):
    configs = [Config(k, str(tmp_path / "log"), dies="always" if k == 3 else "") for k in range(RUNS)]
    with pytest.warns(UserWarning, match="begin again, 2 at once"), \
            pytest.raises(RuntimeError, match="killed again.* [12] of the runs are not finished, first seed 1"):
        study.run(deadly, configs, [1], cache=tmp_path / "cache", n_jobs=2, progress=False)
    assert RUNS - 2 <= len(kept(tmp_path / "cache")) < RUNS               # one beside it may have been under way
    # Two pools, from either end, finish all but the neighbours of the deadly run; each of these may cost two more, and
    # two that finish nothing end the study.
    assert max(begun(tmp_path / "log").values()) <= 2 + 2 * 2 + 2


def deadly(cfg, rng, every=1):
    if cfg.dies:
        os.kill(os.getpid(), signal.SIGKILL)
    yield from learner(cfg, rng, every)


# ---------------------------------------------------------------------------------------------- Ctrl-C

@pytest.mark.parametrize("workers", [1, 2])
def test_ctrl_c_ends_a_study_and_its_workers_at_once_and_it_goes_on_later(tmp_path, workers):
    code = ("import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # behind &
            f"sys.path.insert(0, {str(Path(__file__).parent)!r}); import test_study_under_fire as t\n"
            f"t.study.run(t.learner, t.grid(log={str(tmp_path / 'log')!r}, pause=0.5), [1], n_jobs={workers}, "
            f"cache={str(tmp_path / 'cache')!r})")
    running = subprocess.Popen([sys.executable, "-c", code], start_new_session=True, stderr=subprocess.PIPE, text=True)
    until(lambda: len(kept(tmp_path / "cache")) >= 2)
    os.killpg(running.pid, signal.SIGINT)                                 # as a terminal does: everybody gets it
    _, err = running.communicate(timeout=60)
    assert gone(running.pid, 10) and err.rstrip().endswith("KeyboardInterrupt")
    finished = len(kept(tmp_path / "cache"))
    assert 2 <= finished < RUNS
    (tmp_path / "log").unlink()
    rows = study.run(learner, grid(log=str(tmp_path / "log"), pause=0.5), [1], cache=tmp_path / "cache", n_jobs=2,
                     progress=False)
    assert numbers(rows) == expected() and sum(begun(tmp_path / "log").values()) == RUNS - finished
    assert not leftovers(tmp_path / "cache")


def until(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


# ---------------------------------------------------------------------------------------------- no room

def run_here(cache, configs, warn=None):
    """The study in this process; the texts of its warnings."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        rows = study.run(learner, configs, [1], cache=cache, n_jobs=1, progress=False)
    assert numbers(rows) == expected(runs=len(configs))
    return [str(w.message) for w in caught]


class Disk:
    """Room for so many bytes, of which each file that grows takes its part; then what a full disk says."""

    def __init__(self, room):
        self.room = room

    def open(self, path, mode="r", **rest):
        return io.BufferedWriter(Growing(self, path)) if mode == "wb" else builtins.open(path, mode, **rest)


class Growing(io.FileIO):
    def __init__(self, disk, path):
        super().__init__(path, "w")
        self.disk, self.end = disk, 0

    def write(self, data):
        data, at = memoryview(data).cast("B"), self.tell()
        fits = min(len(data), self.end - at + self.disk.room)             # what is written over needs no room
        self.disk.room -= max(0, at + fits - self.end)
        self.end = max(self.end, at + fits)
        if fits < len(data):
            super().write(data[:fits])
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().write(data)


def test_a_disk_that_is_full_at_any_byte_of_any_file_costs_no_row(tmp_path, monkeypatch):
    configs = [Config(a, str(tmp_path / "log")) for a in range(3)]
    run_here(tmp_path / "whole", configs)
    size = kept(tmp_path / "whole")[0].stat().st_size
    tries = sorted({0, 1, 3 * size - 1, 3 * size, *random.Random(0).sample(range(3 * size), 60)})
    for room in tries:
        cache = tmp_path / str(room)
        with monkeypatch.context() as m:
            m.setattr(run_files, "open", Disk(room).open, raising=False)
            said = run_here(cache, configs)
        there = len(kept(cache))
        assert there == room // size and not leftovers(cache)
        assert len(said) == (there < 3) and all("finished runs cannot be kept ([Errno 28] No space" in s for s in said)
        (tmp_path / "log").unlink(missing_ok=True)
        assert run_here(cache, configs) == []                             # there is room again
        assert sum(begun(tmp_path / "log").values() if there < 3 else [0]) == 3 - there and len(kept(cache)) == 3
        shutil.rmtree(cache)


@pytest.mark.parametrize("step", ["mkdir", "touch", "replace"])
def test_no_room_for_a_folder_a_mark_or_a_name_costs_no_row(tmp_path, monkeypatch, step):
    def full(*args, **rest):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as m:
        m.setattr(*((os, "replace") if step == "replace" else (Path, step)), full)
        said = run_here(tmp_path / "cache", grid())
    assert len(said) == (step != "touch") and not leftovers(tmp_path / "cache")
    assert len(kept(tmp_path / "cache")) == RUNS * (step == "touch")


def test_a_limit_of_the_system_on_the_size_of_files_costs_no_row_and_keeps_what_fits(tmp_path):
    configs = [Config(a, numbers=10 if a % 2 else NUMBERS) for a in range(4)]
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.warns(UserWarning, match=r"cannot be kept \(\[Errno 27\] File too large"):
            rows = study.run(learner, configs, [1], cache=tmp_path, n_jobs=1, progress=False)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert len(kept(tmp_path)) == 2 and not leftovers(tmp_path)
    again = study.run(learner, configs, [1], cache=tmp_path, n_jobs=1, progress=False)
    assert numbers(again) == numbers(rows) and len(kept(tmp_path)) == 4


def test_a_small_disk_that_is_truly_full_costs_no_row(tmp_path):
    """A file system of 64 kB, where the system lets us have one."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", disk], capture_output=True).returncode:
        pytest.skip("only root may mount")
    configs = [Config(a, numbers=2000) for a in range(RUNS)]              # 16 kB each
    try:
        with pytest.warns(UserWarning, match="No space left on device.*the study goes on"):
            rows = study.run(learner, configs, [1], cache=disk / "cache", n_jobs=2, progress=False)
        assert 1 <= len(kept(disk)) <= 3 and not leftovers(disk)
        assert numbers(rows) == expected(count=2000)
    finally:
        subprocess.run(["umount", "-l", disk], check=True)


# ---------------------------------------------------------------------------------------------- two at once

def test_two_studies_at_once_share_the_runs_and_give_the_same_table(tmp_path):
    code = (f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); import test_study_under_fire as t\n"
            f"rows = t.study.run(t.learner, t.grid(log={str(tmp_path / 'log')!r}, pause=0.3), [1], n_jobs=1, "
            f"cache={str(tmp_path / 'cache')!r})\nprint(t.digest(t.numbers(rows)))")
    both = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            for _ in range(2)]
    assert [p.communicate(timeout=120) for p in both] == [(digest(expected()) + "\n", "")] * 2
    assert RUNS <= sum(begun(tmp_path / "log").values()) <= RUNS + 2      # the last one of each may be run by both
    assert len(kept(tmp_path / "cache")) == RUNS and not leftovers(tmp_path / "cache")


def test_a_run_that_another_process_holds_on_to_is_not_waited_for(tmp_path):
    """Another study may be stopped for ever: what it had begun comes last, and is computed here too."""
    study.run(learner, grid(), [1], cache=tmp_path, n_jobs=1, progress=False)
    first = kept(tmp_path)[0]
    first.unlink()
    with run_files.at_work(first):
        assert run_files.taken(first) and run_here(tmp_path, grid()) == []
    assert len(kept(tmp_path)) == RUNS


# ---------------------------------------------------------------------------------------------- damaged

def one_run(cache, **rest):
    configs = [Config(0, **rest)]
    study.run(learner, configs, [1], cache=cache, n_jobs=1, progress=False)
    return configs, kept(cache)[0]


def reported_and_mended(cache, configs, victim, log):
    said = run_here(cache, configs)
    assert len(said) == 1 and str(victim) in said[0] and "damaged" in said[0] and "running it again" in said[0]
    assert sum(begun(log).values()) == 1
    Path(log).unlink()
    assert run_here(cache, configs) == [] and not Path(log).exists()


def test_an_entry_cut_at_any_byte_is_reported_and_run_again(tmp_path):
    log = tmp_path / "log"
    configs, victim = one_run(tmp_path, log=str(log))
    log.unlink()
    whole = victim.read_bytes()
    for cut in [0, 1, len(whole) - 1, *random.Random(0).sample(range(len(whole)), 60)]:
        victim.write_bytes(whole[:cut])
        reported_and_mended(tmp_path, configs, victim, log)


def test_a_bit_flipped_anywhere_is_reported_or_does_not_matter(tmp_path):
    """Some bits say nothing of the content, as the date of a part; all others are found out."""
    _, victim = one_run(tmp_path)
    whole, found = victim.read_bytes(), 0
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for byte in range(len(whole)):
            for bit in random.Random(byte).sample(range(8), 2):
                flipped = bytearray(whole)
                flipped[byte] ^= 1 << bit
                victim.write_bytes(flipped)
                there = run_files.load(victim)
                found += there is None
                assert there is None or (list(there), there["x"].tobytes()) == (["x"], expected()[0])
    assert len(caught) == found > len(whole)                              # of two tries each


class Bomb:
    def __reduce__(self):
        return os.system, (f"touch {Bomb.mark}",)


@pytest.mark.parametrize("what", ["text", "pickle", "npy", "other npz", "object npz", "another run", "a shorter array"])
def test_foreign_content_under_the_right_name_is_reported_and_run_again(tmp_path, what):
    log = tmp_path / "log"
    configs, victim = one_run(tmp_path, log=str(log))
    Bomb.mark = tmp_path / "exploded"
    if what == "another run":
        study.run(learner, [Config(7)], [1], cache=tmp_path, n_jobs=1, progress=False)
        shutil.copy(next(p for p in kept(tmp_path) if p != victim), victim)
    elif what == "a shorter array":
        with np.load(victim) as file:
            parts = dict(file)
        np.savez(victim, **parts | {"kept_x": parts["kept_x"][:-1]})
    elif what == "text":
        victim.write_text("x = 1")
    elif what == "pickle":
        import pickle
        victim.write_bytes(pickle.dumps(Bomb()))
    elif what == "npy":
        with open(victim, "wb") as f:
            np.save(f, np.zeros(3))
    else:
        np.savez(victim, kept_x=np.array([Bomb()], object) if what == "object npz" else np.zeros(10))
    log.unlink()
    reported_and_mended(tmp_path, configs, victim, log)
    assert not Bomb.mark.exists()


def test_a_folder_under_the_name_of_a_run_is_reported_and_the_study_goes_on(tmp_path):
    configs, victim = one_run(tmp_path)
    victim.unlink()
    victim.mkdir()
    said = run_here(tmp_path, configs)
    assert f"{victim} is damaged (IsADirectoryError" in said[0]


# ---------------------------------------------------------------------------------------------- odd places

@pytest.mark.parametrize("where", ["file", "file/below", "learner", "learner/begun"])
def test_a_file_in_the_way_of_the_cache_is_refused_with_its_name(tmp_path, where):
    file = tmp_path / where.removesuffix("/below")
    file.parent.mkdir(exist_ok=True)
    file.write_text("mine")
    cache = tmp_path if where.startswith("learner") else tmp_path / where
    with pytest.raises(ValueError, match=f"but .*{file.name} is a file, expected a folder"):
        study.run(learner, grid(), [1], cache=cache, n_jobs=1, progress=False)
    assert file.read_text() == "mine"


@contextlib.contextmanager
def nobody():
    """Root may write everywhere: be somebody else for a moment."""
    if os.geteuid():
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.mark.parametrize("begin", ["empty", "half full", "not there"])
def test_a_cache_that_may_only_be_read_is_read_and_the_rest_is_computed(begin):
    import tempfile
    with tempfile.TemporaryDirectory() as tmp:                            # pytest's own are closed to others
        cache = Path(tmp, "cache")
        if begin != "not there":
            cache.mkdir()
        if begin == "half full":
            run_here(cache, grid()[:5])
        os.chmod(tmp, 0o555)
        for p in Path(tmp).rglob("*"):
            p.chmod(0o555 if p.is_dir() else 0o444)
        try:
            with nobody():
                said = run_here(cache, grid())
        finally:
            for p in (Path(tmp), *Path(tmp).rglob("*")):
                p.chmod(0o755)
        assert len(said) == 1 and "cannot be kept" in said[0] and "Permission denied" in said[0]
        assert len(kept(tmp)) == 5 * (begin == "half full")


def test_an_entry_that_may_not_be_read_is_reported_and_left_alone(tmp_path, monkeypatch):
    configs, victim = one_run(tmp_path)
    with monkeypatch.context() as m:
        m.setattr(run_files.np, "load", lambda *a, **k: (_ for _ in ()).throw(PermissionError(13, "Permission denied")))
        said = run_here(tmp_path, configs)
    assert "Permission denied" in said[0] and run_here(tmp_path, configs) == []


@pytest.mark.parametrize("name", ["a folder of mine", "Übung «β» 強化学習", "x" * 200, "a'b\"c;$HOME", "-rf"])
def test_a_cache_may_have_any_name(tmp_path, name):
    cache = tmp_path / name
    for workers in (2, 1):
        assert numbers(study.run(learner, grid(), [1], cache=cache, n_jobs=workers, progress=False)) == expected()
    assert len(kept(cache)) == RUNS and kept(cache)[0].is_relative_to(cache)


def test_a_clock_that_goes_backwards_loses_nothing(tmp_path, monkeypatch):
    now, log = time.time(), tmp_path / "log"
    monkeypatch.setattr(time, "time", lambda: now)
    configs = grid(log=str(log))
    for jump in (0, -86_400, -10**9, 10**9):
        monkeypatch.setattr(time, "time", lambda jump=jump: now + jump)
        assert run_here(tmp_path / "cache", configs) == []
    assert sum(begun(log).values()) == RUNS


def test_a_process_of_this_machine_that_is_dead_holds_nothing_whatever_the_clock_says(tmp_path):
    _, first = one_run(tmp_path)
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    mark = first.parent / "begun" / f"{first.stem}.{run_files._host()}-{dead.pid}-0.new"
    mark.touch()
    os.utime(mark, (time.time() + 10**6,) * 2)                            # from the future
    assert not run_files.taken(first)
    run_files.sweep(first.parent)
    assert not mark.exists()


# ---------------------------------------------------------------------------------------------- a cluster

def test_on_a_dask_cluster_a_worker_killed_in_mid_run_costs_time_only(tmp_path):
    distributed = pytest.importorskip("dask.distributed")
    configs = grid(log=str(tmp_path / "log"), dies=str(tmp_path / "once"), pause=0.05)
    with (distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None, silence_logs=50) as two,
          distributed.Client(two), joblib.parallel_config(backend="dask")):
        rows = study.run(learner, configs, [1], cache=tmp_path / "cache", progress=False)
    assert (tmp_path / "once").exists() and numbers(rows) == expected()
    assert len(kept(tmp_path / "cache")) == RUNS and not leftovers(tmp_path / "cache")


if __name__ == "__main__":
    script(sys.argv[2], int(sys.argv[3])) if sys.argv[1] == "script" else serve()
