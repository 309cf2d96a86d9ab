"""A study of 64 runs on one worker and on two, and on a dask cluster of two processes: the same rows to the bit.

The "peer" is ourselves with one worker. Wall-clock, since that is what a second core is for: on a machine that is busy
with something else the second core is not there, and the ratio says so. One study before, so that workers are awake.
"""

from __future__ import annotations

import contextlib
import time

import joblib
import numpy as np

from rlkit import study
from rlkit.papers.martingale_online import online
from rlkit.papers.martingale_td import Config

RUNS = 64


def rows_of(workers: int) -> tuple[list[dict], float]:
    start = time.monotonic()
    rows = study.run(online, [Config(runs=8)], RUNS, cache=None, n_jobs=workers, progress=False)
    return rows, time.monotonic() - start


def same(a: list[dict], b: list[dict]) -> bool:
    return all(x.keys() == y.keys() and all(np.array_equal(x[k], y[k]) for k in x) for x, y in zip(a, b, strict=True))


@contextlib.contextmanager
def cluster():
    from dask.distributed import Client, LocalCluster
    with (LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as two, Client(two),
          joblib.parallel_config(backend="dask")):
        yield


def bench(pairs: int = 5) -> list[dict]:
    """Rows: ratio is the seconds on one worker over those on two, (median, least, most)."""
    rows = []
    for name, place in {"two local workers": contextlib.nullcontext, "a dask cluster of two": cluster}.items():
        took = []
        with place():
            rows_of(2)
            for _ in range(pairs):
                with joblib.parallel_config(backend="loky"):
                    alone, one = rows_of(1)
                together, two = rows_of(2)
                assert same(alone, together), f"{name}: not the rows of one worker"
                took.append((two, one))
        took = np.array(took)
        ratio = took[:, 1] / took[:, 0]
        two, one = np.median(took, 0)
        rows.append(dict(part="study", job=f"{RUNS} runs on {name}, against one worker", ours=float(two),
                         peer=float(one), goal=1.7,
                         ratio=(float(np.median(ratio)), float(ratio.min()), float(ratio.max()))))
    return rows


if __name__ == "__main__":
    for row in bench():
        print(row)
