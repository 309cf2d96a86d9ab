"""Teams: what a batch of runs saves. Exact policy gradient on all 25 DAGs of three agents, and MAPPO on small Aloha.

The "peer" is ourselves, one run at a time, doing the same updates. CPU seconds, in turn; the ratio is the peer's over
ours. Of the separate runs a part is timed and multiplied: each does the same work.
"""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import torch

from rlkit.envs.team_games import climbing
from rlkit.papers import bayes_net_exact as exact
from rlkit.papers.bayes_net_graphs import all_dags
from rlkit.papers.bayes_net_mappo import Config, mappo

RUNS, STEPS, ALONE = 100, 20, 5            # runs of a DAG, updates of each, runs that are timed one by one
TEAMS, BATCHES = 16, 5


def gradient(runs: int) -> float:
    """CPU seconds of STEPS updates of `runs` teams on every DAG."""
    game, rng = climbing(3), np.random.default_rng(0)
    start = time.process_time()
    for edges in all_dags(3):
        exact.ascend(game, edges, exact.draw(game, edges, runs, rng), STEPS, 0.1, False)
    return time.process_time() - start


def aloha(runs: int) -> float:
    """CPU seconds of BATCHES batches of `runs` teams that learn their graph; the first batch is not counted."""
    learner = mappo(replace(Config(), runs=runs), np.random.default_rng(0), every=1)
    next(learner)
    start = time.process_time()
    for _ in range(BATCHES):
        next(learner)
    return time.process_time() - start


def row(job: str, ours, peer, goal: float, pairs: int) -> dict:
    took = np.array([(ours(), peer()) for _ in range(pairs)])
    ratio = took[:, 1] / took[:, 0]
    return dict(part="teams", job=job, ours=float(np.median(took[:, 0])), peer=float(np.median(took[:, 1])), goal=goal,
                ratio=(float(np.median(ratio)), float(ratio.min()), float(ratio.max())))


def bench(pairs: int = 5) -> list[dict]:
    torch.set_num_threads(1)
    gradient(1), aloha(1)                                                 # warm up
    return [row(f"exact gradient, 25 DAGs × {RUNS} runs, against one run at a time", lambda: gradient(RUNS),
                lambda: RUNS / ALONE * sum(gradient(1) for _ in range(ALONE)), 20, pairs),
            row(f"MAPPO with a learned graph, {TEAMS} teams, against one at a time", lambda: aloha(TEAMS),
                lambda: TEAMS * aloha(1), 5, pairs)]


if __name__ == "__main__":
    for r in bench():
        print(r)
