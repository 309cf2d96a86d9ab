"""How cost grows: CPU seconds of one unit of work against one size at a time, as the slope of a line in log-log.

`ours` is the slope, `peer` the one expected of the arithmetic: 1 means that twice the size costs twice as much, 0 that
size is free. The ratio is what a size ten times as large costs, over what the expected slope says of it,
10^(slope - expected), with the 95 % interval of the line beside it; the goal 1.25 allows 0.1 in the slope. A slope far
below the expected one says that the small sizes are not worth their overhead: that is what runs in a batch are for.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "trust"))
import learners as course  # noqa: E402  every learner there is
import planning  # noqa: E402  the grid it is timed on
from offline import noise  # noqa: E402  the data it is timed on

from rlkit import offline
from rlkit.envs.diffusions import blocks
from rlkit.envs.team_games import climbing
from rlkit.mdp import MDP, solve
from rlkit.papers import bayes_net_exact as exact
from rlkit.papers import martingale_td as td
from rlkit.papers.bayes_net_graphs import all_dags
from rlkit.papers.martingale_exact import world
from rlkit.paths import Paths
from rlkit.sampling import Sampler
from rlkit.stats import loglog_slope

ROUNDS, SECONDS, GOAL = 3, 0.05, "≤ 1.25"
FEW = [1, 4, 16]
RUNS, WIDTHS, DATA = [1, 2, 4, 8, 16, 32, 64], [32, 64, 128, 256, 512], [1_000, 10_000, 100_000, 1_000_000]


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


def learners() -> list[dict]:
    """Updates of the offline algorithms, batch 256, two hidden layers: 64 wide, one run, 10,000 transitions, but for
    the size that grows."""
    rows, data = [], {M: noise(M) for M in DATA}
    for name in ("bc", "td3bc", "iql", "cql"):
        def update(runs=1, hidden=64, M=10_000, name=name):
            config = getattr(offline, f"{name.upper()}Config")(runs=runs, hidden=hidden, steps=10**6)
            run = getattr(offline, name)(config, data[M], np.random.default_rng(0), every=2)         # TD3's delay
            return lambda: next(run)
        rows += [slope_row(f"{name}, runs", 1, RUNS, update),
                 slope_row(f"{name}, width", 2, WIDTHS, lambda width, update=update: update(hidden=width)),
                 slope_row(f"{name}, transitions", 0, DATA, lambda M, update=update: update(M=M))]
    return rows


def papers() -> list[dict]:
    """From one snapshot to the next, of each learner of the papers that has runs, in the settings it is shown with."""
    rows = []
    for name, (learner, config) in course.learners().items():
        if learner.__module__.startswith("rlkit.offline") or not hasattr(config(), "runs"):
            continue

        def snapshots(runs, learner=learner, config=config):
            def begin():
                run = course.start(learner, config(runs=runs))
                next(run)
                return run

            def step():
                nonlocal run
                if next(run, None) is None:                               # the run is over
                    run = begin()
            run = begin()
            return step
        rows.append(slope_row(f"{name}, runs", 1, FEW, snapshots))
    return rows


def draws() -> list[dict]:
    """A batch of 256 by weight. A look-up takes log2 M steps: ln(log2 1e7 / log2 1e4) / ln 1e3 = 0.08; memory farther
    away than the cache adds to that."""
    def draw(M):
        rng = np.random.default_rng(0)
        sampler = Sampler(rng.exponential(size=M))
        return lambda: sampler.draw(rng, 256)
    return [slope_row("weighted draw, transitions", 0.08, [10**4, 10**5, 10**6, 10**7], draw)]


def tables() -> list[dict]:
    """Planning against states, the exact team gradient against runs, martingale TD against transitions."""
    def plan(S):
        rng = np.random.default_rng(0)
        P, R = rng.dirichlet(np.full(S, 0.1), (S, 4)), rng.normal(size=(S, 4))
        return lambda: solve(MDP(P, R, np.full(S, 1 / S), np.zeros(S, bool)), 0.99)

    def plan_grid(S):
        P, R = planning.grid(round(S**0.5), round(S**0.5))
        S = len(R)
        return lambda: solve(MDP(P, R, np.full(S, 1 / S), np.zeros(S, bool)), 0.99)

    def teams(runs):
        game, edges = climbing(3), all_dags(3)[-1]
        theta = exact.draw(game, edges, runs, np.random.default_rng(0))
        return lambda: exact.ascend(game, edges, theta, 5, 0.1, False)

    def paths(M):
        w = world("ou")

        def solve_all():
            rng = np.random.default_rng(0)
            parts = (Paths(t, x, x * x, joined=t[0] > 0) for t, x in blocks(w.process, w.start(500, rng), 0.05,
                                                                            M // 500, rng))
            td.solve(parts, w.features, "left", beta=w.beta, lam=0.3)
        return solve_all

    return [slope_row("planning, dense, states", 3, [30, 100, 300, 1000], plan),
            slope_row("planning, sparse grid, states", 1.5, [1_000, 3_000, 10_000, 30_000], plan_grid),
            slope_row("exact team gradient, runs", 1, RUNS, teams),
            slope_row("martingale TD, transitions", 1, [10**4, 10**5, 10**6, 4 * 10**6], paths)]


def bench() -> list[dict]:
    torch.set_num_threads(1)
    return learners() + papers() + draws() + tables()


if __name__ == "__main__":
    for row in bench():
        print("{job:32s} slope {ours:.2f}, expected {peer:g}: {ratio:.2f} times ({low:.2f} to {high:.2f}), "
              "goal {goal}".format(**row))
