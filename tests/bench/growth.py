"""How cost grows: CPU seconds of one unit of work against one size at a time, as the slope of a line in log-log.

`ours` is the slope, `peer` the one expected of the arithmetic: 1 means that twice the size costs twice as much, 0 that
size is free. The ratio is what a size ten times as large costs, over what the expected slope says of it,
10^(slope - expected), with the 95 % interval of the line beside it; the goal 1.25 allows 0.1 in the slope. A slope far
below the expected one says that the small sizes are not worth their overhead: that is what runs in a batch are for.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import torch

from rlkit import offline
from rlkit.stats import loglog_slope

ROUNDS, SECONDS, GOAL = 3, 0.05, "≤ 1.25"
RUNS, WIDTHS, DATA = [1, 2, 4, 8, 16, 32, 64], [32, 64, 128, 256, 512], [1_000, 10_000, 100_000, 1_000_000]
F, A, T = 11, 3, 200


def slope_row(job: str, expected: float, sizes: list[int], unit: Callable[[int], Callable[[], None]]) -> dict:
    """A row of the table.  unit(size) gives the function to time; sizes go in turn, the quickest of ROUNDS counts."""
    calls = [unit(size) for size in sizes]
    seconds = np.min([[cpu_seconds(call) for call in calls] for _ in range(ROUNDS)], 0)
    line = loglog_slope(sizes, seconds)
    ratio, low, high = (10 ** (x - expected) for x in (line.slope, line.low, line.high))
    return dict(part="growth", job=f"{job} {sizes[0]:g} to {sizes[-1]:g}", ours=line.slope, peer=float(expected),
                ratio=ratio, low=low, high=high, goal=GOAL, sizes=sizes, seconds=seconds.tolist())


def cpu_seconds(call) -> float:
    """Of one call, over as many as take SECONDS; once before to warm up."""
    call()
    start, n = time.process_time(), 0
    while (spent := time.process_time() - start) < SECONDS:
        call()
        n += 1
    return spent / n


def noise(M: int) -> SimpleNamespace:
    """M transitions in episodes of T steps, cut by the clock: speed does not depend on what they say."""
    rng, starts = np.random.default_rng(0), np.arange(0, M + 1, T)
    obs, action = rng.normal(size=(M, F)).astype(np.float32), rng.uniform(-1, 1, (M, A)).astype(np.float32)
    return SimpleNamespace(obs=obs, action=action, reward=obs[:, 0], next_obs=np.roll(obs, -1, 0), starts=starts,
                           terminated=np.zeros(M, bool), lengths=np.diff(starts),
                           returns=np.add.reduceat(obs[:, 0], starts[:-1]))


def learners() -> list[dict]:
    """Updates of the offline algorithms, batch 256, two hidden layers: 64 wide, one run, 10,000 transitions, but for
    the size that grows."""
    rows, data = [], {M: noise(M) for M in DATA}
    for name in ("bc", "td3bc", "iql", "cql"):
        def update(runs=1, hidden=64, M=10_000, name=name):
            config = getattr(offline, f"{name.upper()}Config")(runs=runs, hidden=hidden, steps=10**9)
            run = getattr(offline, name)(config, data[M], np.random.default_rng(0), every=2)         # TD3's delay
            return lambda: next(run)
        rows += [slope_row(f"{name}, runs", 1, RUNS, update),
                 slope_row(f"{name}, width", 2, WIDTHS, lambda width, update=update: update(hidden=width)),
                 slope_row(f"{name}, transitions", 0, DATA, lambda M, update=update: update(M=M))]
    return rows


def bench() -> list[dict]:
    torch.set_num_threads(1)
    return learners()


if __name__ == "__main__":
    for row in bench():
        print("{job:32s} slope {ours:.2f}, expected {peer:g}: {ratio:.2f} times ({low:.2f} to {high:.2f}), "
              "goal {goal}".format(**row))
