"""Many runs: the numbers of a plain loop, kept on disk, and safe against whatever ends a study early."""

import functools
import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
import warnings
from dataclasses import dataclass
from typing import NamedTuple

import joblib
import numpy as np
import pytest

from rlkit import study
from rlkit.fingerprint import fingerprint


@dataclass(frozen=True)
class Config:
    drift: float = 0.0
    steps: int = 30
    runs: int = 3
    boom: bool = False


class Snapshot(NamedTuple):
    step: int
    x: np.ndarray               # [R]
    note: str
    policy: object              # what no file can hold is left out


def walk(cfg, rng, every=10, log=None):
    x = np.zeros(cfg.runs)
    for step in range(1, cfg.steps + 1):
        x += cfg.drift + rng.normal(size=cfg.runs)
        if cfg.boom and step == 20:
            raise FloatingPointError("x blew up")
        if step % every == 0:
            yield Snapshot(step, x.copy(), "ok", lambda obs: obs)
    if log is not None:
        with open(log, "a") as f:
            f.write(f"{cfg.drift} ")


def torch_learner(cfg, rng, every=10):
    import torch
    gen = torch.Generator().manual_seed(int(rng.integers(2**31)))
    w = torch.randn(cfg.runs, 64, 64, generator=gen)
    for step in range(1, cfg.steps + 1):
        w = torch.tanh(w @ w.transpose(1, 2) / 8)
        if step % every == 0:
            yield Snapshot(step, w.numpy().copy(), str(torch.get_num_threads()), None)


GRID = [Config(drift=d) for d in (0.0, 0.5)]


def plain_loop(learner, configs, seeds):
    return [[*learner(cfg, np.random.default_rng(seed))][-1] for cfg in configs for seed in range(seeds)]


@pytest.mark.parametrize("learner", [walk, torch_learner])
def test_a_study_gives_the_numbers_of_the_plain_loop_bit_for_bit(learner, tmp_path):
    import torch
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        expected = plain_loop(learner, GRID, 3)
    finally:
        torch.set_num_threads(before)
    for rows in (study.run(learner, GRID, 3, cache=tmp_path, n_jobs=2, progress=False),         # processes
                 study.run(learner, GRID, 3, cache=tmp_path, progress=False),                   # from the cache
                 study.run(learner, GRID, 3, cache=None, n_jobs=1, progress=False)):            # in this process
        assert [(r["drift"], r["seed"]) for r in rows] == [(c.drift, s) for c in GRID for s in range(3)]
        for row, snap in zip(rows, expected):
            assert row["x"].dtype == snap.x.dtype and row["x"].tobytes() == snap.x.tobytes()
            assert row["step"] == 30 and type(row["step"]) is int
            assert row["note"] == (snap.note if learner is walk else "1")                       # one thread each
    assert torch.get_num_threads() == before


def test_a_finished_run_is_not_run_again_and_a_new_setting_is(tmp_path):
    learner = functools.partial(walk, log=tmp_path / "log")
    for configs in (GRID, GRID, [*GRID, Config(drift=2.0)]):
        study.run(learner, configs, [5], cache=tmp_path / "cache", progress=False)
    assert sorted((tmp_path / "log").read_text().split()) == ["0.0", "0.5", "2.0"]


def test_curves_are_kept_whole():
    rows = study.run(walk, GRID, 2, measure=study.curve, every=5, cache=None, n_jobs=1, progress=False)
    table = study.columns(rows)
    assert table["x"].shape == (4, 6, 3) and table["drift"].tolist() == [0, 0, 0.5, 0.5]
    assert table["step"][0].tolist() == [5, 10, 15, 20, 25, 30]


def test_columns_of_unequal_shape_are_objects():
    table = study.columns([dict(x=np.zeros(2)), dict(x=np.zeros(3))])
    assert table["x"].dtype == object and table["x"][1].shape == (3,)
    assert study.columns([]) == {}


def test_a_failing_run_says_which_and_the_finished_ones_are_kept(tmp_path):
    learner = functools.partial(walk, log=tmp_path / "log")
    with pytest.raises(FloatingPointError) as e:
        study.run(learner, [Config(), Config(boom=True)], [0], cache=tmp_path / "c", n_jobs=1, progress=False)
    assert "seed 0" in "".join(e.value.__notes__) and "boom=True" in "".join(e.value.__notes__)
    with pytest.raises(FloatingPointError, match="x blew up") as e:
        study.run(learner, [Config(), Config(boom=True)], [0], cache=tmp_path / "c", n_jobs=2, progress=False)
    assert "boom=True" in "".join(e.value.__notes__)
    assert (tmp_path / "log").read_text().split() == ["0.0"]


def test_what_no_file_can_hold_is_refused_by_name():
    with pytest.raises(TypeError, match="policy is a function, expected a number, an array or a word"):
        study.run(walk, [Config()], 1, measure=lambda snaps, cfg: dict(policy=[*snaps][-1].policy), cache=None,
                  n_jobs=1, progress=False)


@pytest.mark.parametrize("damage", [lambda b: b[: len(b) // 2], lambda b: b"", lambda b: b"not a zip" * 100,
                                    lambda b: b.replace(np.int64(30).tobytes(), np.int64(31).tobytes())],
                         ids=["cut", "empty", "foreign", "one bit"])
def test_a_damaged_entry_is_reported_and_run_again(tmp_path, damage):
    whole = study.run(walk, GRID, 1, cache=tmp_path, n_jobs=1, progress=False)
    victim = sorted(tmp_path.rglob("*.npz"))[0]
    victim.write_bytes(damage(victim.read_bytes()))
    with pytest.warns(UserWarning, match=f"{victim.name} is damaged"):
        again = study.run(walk, GRID, 1, cache=tmp_path, n_jobs=1, progress=False)
    assert [r["x"].tobytes() for r in again] == [r["x"].tobytes() for r in whole]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        study.run(walk, GRID, 1, cache=tmp_path, n_jobs=1, progress=False)


SCRIPT = textwrap.dedent("""
    import json, sys, time
    from dataclasses import dataclass
    from typing import NamedTuple
    from rlkit import study

    @dataclass(frozen=True)
    class Config:
        a: int = 0

    class Snapshot(NamedTuple):
        step: int
        x: float

    def learner(cfg, rng, every=1):
        with open(sys.argv[1] + "/log", "a") as f:
            f.write(f"{cfg.a} ")
        time.sleep(float(sys.argv[2]))
        yield Snapshot(1, cfg.a + float(rng.normal()))

    sys.argv[2:] or sys.argv.append("0")
    rows = study.run(learner, [Config(a) for a in range(8)], [1], cache=sys.argv[1] + "/cache", n_jobs=JOBS)
    print(json.dumps([r["x"] for r in rows]))
""")


def start(tmp_path, pause, jobs=1, name="script.py"):
    script = tmp_path / name
    script.write_text(SCRIPT.replace("JOBS", str(jobs)))
    return subprocess.Popen([sys.executable, script, tmp_path, str(pause)], stdout=subprocess.PIPE, text=True,
                            start_new_session=True, stderr=subprocess.PIPE)


def entries(tmp_path):
    return len(list(tmp_path.rglob("*.npz")))


def test_a_study_that_was_killed_goes_on_where_it_stopped(tmp_path):
    killed = start(tmp_path, pause=0.3)
    deadline = time.monotonic() + 60
    while entries(tmp_path) < 3 and killed.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.communicate()
    kept = entries(tmp_path)
    assert 3 <= kept < 8
    (tmp_path / "log").unlink()
    out, err = start(tmp_path, pause=0).communicate(timeout=60)
    rerun = (tmp_path / "log").read_text().split()
    assert len(rerun) == 8 - kept and "damaged" not in err and err == ""            # nor is a bar written to a file
    assert json.loads(out) == [a + float(np.random.default_rng(1).normal()) for a in range(8)]


def test_two_studies_at_once_on_one_cache_share_their_runs(tmp_path):
    both = [start(tmp_path, pause=0.1), start(tmp_path, pause=0.1)]
    outs = [p.communicate(timeout=60) for p in both]
    assert outs[0][0] == outs[1][0] != "" and all(err == "" for _, err in outs)
    assert entries(tmp_path) == 8 and not list(tmp_path.rglob("*.new"))
    assert 8 <= len((tmp_path / "log").read_text().split()) <= 16


def test_what_a_killed_writer_left_is_removed_when_it_is_old(tmp_path):
    study.run(walk, GRID, 1, cache=tmp_path, n_jobs=1, progress=False)
    begun = tmp_path / "walk" / "begun"
    old, young = begun / "a.elsewhere-1-0.new", begun / "b.elsewhere-1-0.new"
    old.touch(), young.touch()
    os.utime(old, (0, 0))
    study.run(walk, GRID, 1, cache=tmp_path, n_jobs=1, progress=False)
    assert not old.exists() and young.exists()


@pytest.mark.parametrize("streams", [True, False])
def test_a_cluster_takes_the_same_line(tmp_path, streams):
    """Any joblib backend does: here one of threads that counts, with and without results as they come."""
    class Cluster(joblib._parallel_backends.ThreadingBackend):
        supports_return_generator = streams
        jobs = 0

        def submit(self, func, callback=None):
            Cluster.jobs += 1
            return super().submit(func, callback)

    joblib.register_parallel_backend("cluster", Cluster)
    here = study.run(walk, GRID, 3, cache=None, n_jobs=1, progress=False)
    with joblib.parallel_config(backend="cluster", n_jobs=2):
        there = study.run(walk, GRID, 3, cache=tmp_path, progress=False)
    assert Cluster.jobs > 0 and entries(tmp_path) == 6
    assert [r["x"].tobytes() for r in there] == [r["x"].tobytes() for r in here]


def test_progress_counts_to_the_end_and_starts_at_what_is_cached(tmp_path):
    seen = []
    study.run(walk, GRID, 2, cache=tmp_path, n_jobs=1, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(k, 4) for k in range(5)]
    study.run(walk, GRID, 3, cache=tmp_path, n_jobs=1, progress=lambda done, total: seen.append((done, total)))
    assert seen[5:] == [(4, 6), (5, 6), (6, 6)]


def test_threads_of_other_studies_do_not_leave_torch_on_one_thread():
    import torch
    before = torch.get_num_threads()
    with joblib.parallel_config(backend="threading", n_jobs=2):
        workers = [threading.Thread(target=study.run, args=(torch_learner, GRID, 1),
                                    kwargs=dict(cache=None, progress=False)) for _ in range(1)]
        [w.start() for w in workers], [w.join() for w in workers]
    assert torch.get_num_threads() == before


# ---------------------------------------------------------------------------------------------- the fingerprint

def made_in_a_notebook(source, **names):
    scope = {"__name__": "__main__", "np": np, **names}
    exec(compile(source, f"/tmp/cell_{time.monotonic_ns()}.py", "exec"), scope)
    return scope["f"]


def test_moving_or_reformatting_a_cell_changes_nothing():
    a = made_in_a_notebook("def f(x):\n    return x + 1 in {1, 'a', 'b', 3}")
    b = made_in_a_notebook("\n\n\ndef f(x):   # a comment\n\n    return (x + 1) in {1, 'a', 'b', 3}")
    assert fingerprint(a) == fingerprint(b)


def test_whatever_a_function_computes_with_counts():
    base = "k = 2\ndef g(x, n=1):\n    return k * x + n\ndef f(x):\n    return g(x) + sum(g(i) for i in range(3))"
    prints = {fingerprint(made_in_a_notebook(s)) for s in (
        base, base.replace("k = 2", "k = 3"), base.replace("k * x", "k + x"), base.replace("n=1", "n=2"),
        base.replace("range(3)", "range(4)"), base.replace("g(i)", "g(-i)"))}
    assert len(prints) == 6


def test_a_property_of_settings_made_in_a_notebook_counts():
    base = "class f:\n    dt = 0.1\n    @property\n    def n(self):\n        return round(1 / self.dt)"
    variants = [base, base.replace("round", "int"), base.replace("0.1", "0.2")]
    prints = {fingerprint(made_in_a_notebook(s)) for s in variants}
    assert len(prints) == 3


def test_what_a_function_is_bound_to_counts():
    def bound(a):
        return lambda x: x + a
    assert fingerprint(bound(1)) == fingerprint(bound(1)) != fingerprint(bound(2))
    data = [functools.partial(walk, log=np.arange(n)) for n in (3, 3, 4)]
    assert fingerprint(data[0]) == fingerprint(data[1]) != fingerprint(data[2])


def test_the_fingerprint_is_the_same_in_another_process():
    code = "from rlkit.fingerprint import fingerprint; from rlkit.stats import spearman as f; print(fingerprint(f))"
    seeds = [subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True,
                            env={**os.environ, "PYTHONHASHSEED": str(n)}).stdout for n in (1, 2)]
    assert seeds[0] == seeds[1] and len(seeds[0].strip()) == 32


def test_importing_the_study_does_not_import_torch():
    code = "import sys, rlkit.study; print('torch' in sys.modules or 'IPython' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip() == "False"
