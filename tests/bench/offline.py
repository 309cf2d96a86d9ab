"""How fast the offline algorithms learn, against d3rlpy on the same data, sizes and thread.

One job is one update with the drawing of its minibatch: obs 11, action 3, batch 256, hidden 64-64, CQL with 4 and with
10 actions from each of its sources. Ours is timed for one run, and for sixteen at once divided by sixteen. Seconds are
of the processor, and the two sides alternate, so that a busy machine slows both; the ratio is the median over the
pairs, with the smallest and the largest beside it. CQL gains least: both sides spend their time in the same matrix
products, those of the critic at 13 or 31 actions a state.

With hidden 256-256 every algorithm does. Sixteen runs at once are timed there against d3rlpy, and against the bare
products: those of the update written down, and taken alone on other numbers of the same layout. That ratio is ours over
theirs, what all the rest costs; products that ours takes twice to save memory count once in them.
"""

from __future__ import annotations

import contextlib
import io
import logging
import time
from statistics import median
from types import SimpleNamespace

import numpy as np
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from rlkit import nets, offline

PAIRS, SECONDS, GOALS = 7, 0.25, {1: 3.0, 16: 6.0}
WIDE, WIDE_PAIRS, WIDE_GOAL, PRODUCTS_GOAL = 256, 5, 1.5, "≤ 1.6"
F, A, T, M, HIDDEN = 11, 3, 200, 20_000, 64


def noise(M: int) -> SimpleNamespace:
    """M transitions in episodes of T steps, cut by the clock: speed does not depend on what they say."""
    rng, starts = np.random.default_rng(0), np.arange(0, M + 1, T)
    obs, action = rng.normal(size=(M, F)).astype(np.float32), rng.uniform(-1, 1, (M, A)).astype(np.float32)
    reward = obs[:, 0] + action[:, 0]
    return SimpleNamespace(obs=obs, action=action, reward=reward, next_obs=np.roll(obs, -1, 0), starts=starts,
                           terminated=np.zeros(M, bool), lengths=np.diff(starts),
                           returns=np.add.reduceat(reward, starts[:-1]))


def ours(name: str, d, runs: int, hidden: int = HIDDEN, updates: int = 10):
    """A function that makes some updates of all runs, ten as a panel would ask for them, and says how many."""
    algorithm, *samples = name.split()
    config = getattr(offline, f"{algorithm.upper()}Config")(
        runs=runs, steps=10**6, batch=256, hidden=hidden, **dict(samples=int(samples[0])) if samples else {})
    learner = getattr(offline, algorithm)(config, d, np.random.default_rng(0), every=updates)
    return lambda: updates * bool(next(learner))


def theirs(name: str, d, hidden: int = HIDDEN):
    """A function that draws one minibatch and makes one update, by d3rlpy's public classes, and says so."""
    with contextlib.redirect_stderr(io.StringIO()):                       # it imports gym, which complains at length
        import d3rlpy
        import structlog
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    algorithm, *samples = name.split()
    Config = dict(bc=d3rlpy.algos.BCConfig, td3bc=d3rlpy.algos.TD3PlusBCConfig, iql=d3rlpy.algos.IQLConfig,
                  cql=d3rlpy.algos.CQLConfig)[algorithm]
    size = {f: d3rlpy.models.VectorEncoderFactory(hidden_units=[hidden, hidden])
            for f in vars(Config()) if f.endswith("encoder_factory")}
    timeouts = np.zeros(M)
    timeouts[T - 1 :: T] = 1
    buffer = d3rlpy.dataset.MDPDataset(d.obs, d.action, d.reward, np.zeros(M), timeouts)
    if samples:                                                           # the same algorithm: no multiplier
        size |= dict(alpha_learning_rate=0.0, n_action_samples=int(samples[0]))
    algo = Config(batch_size=256, **size).create(device="cpu")
    algo.create_impl((F,), A)
    return lambda: bool(algo.update(buffer.sample_transition_batch(256)))


class Products(TorchDispatchMode):
    """Writes down the layouts of all that is multiplied while it is on."""

    def __init__(self):
        super().__init__()
        self.layouts = []

    def __torch_dispatch__(self, op, types, args=(), kwargs=None):
        if op is torch.ops.aten.bmm.default:
            self.layouts.append([(x.shape, x.stride()) for x in args])
        return op(*args, **kwargs or {})


def products(name: str, d, runs: int, hidden: int, updates: int = 2):
    """A function that takes the matrix products of some updates, alone, and says of how many."""
    keep, nets.KEEP = nets.KEEP, 2**40                                    # each activation is computed once
    try:
        step = ours(name, d, runs, hidden, updates)
        step()
        with Products() as seen:
            step()
    finally:
        nets.KEEP = keep
    operands = {layout: torch.randn(1 + sum((n - 1) * s for n, s in zip(*layout))).as_strided(*layout)
                for pair in seen.layouts for layout in pair}

    def multiply():
        for a, b in seen.layouts:
            torch.bmm(operands[a], operands[b])
        return updates
    return multiply


def seconds(update) -> float:
    """CPU seconds of one update, over a stretch of at least SECONDS: time spent waiting for a core does not count."""
    start, n = time.process_time(), 0
    while time.process_time() - start < SECONDS:
        n += update()
    return (time.process_time() - start) / n


def row(job: str, pairs: list[tuple[float, float]], goal, inverse: bool = False) -> dict:
    ratios = [m / p if inverse else p / m for m, p in pairs]
    return dict(part="offline", job=job, ours=median(m for m, _ in pairs), peer=median(p for _, p in pairs),
                ratio=median(ratios), low=min(ratios), high=max(ratios), goal=goal)


def wide(d) -> list[dict]:
    """Hidden 256-256, sixteen runs: against d3rlpy and against the bare products, all three in turn."""
    rows = []
    for name in ("bc", "td3bc", "iql", "cql 4"):
        mine, peer, bare = ours(name, d, 16, WIDE, 2), theirs(name, d, WIDE), products(name, d, 16, WIDE)
        mine(), peer(), bare()                                            # warm up
        turns = [(seconds(mine) / 16, seconds(peer), seconds(bare) / 16) for _ in range(WIDE_PAIRS)]
        rows += [row(f"{name} update, hidden {WIDE}, 16 runs", [(m, p) for m, p, _ in turns], WIDE_GOAL),
                 row(f"{name} update, hidden {WIDE}, over its matrix products", [(m, b) for m, _, b in turns],
                     PRODUCTS_GOAL, inverse=True)]
    return rows


def bench() -> list[dict]:
    """Rows (part, job, ours, peer, ratio, low, high, goal); seconds are of one update of one run."""
    threads, d, rows = torch.get_num_threads(), noise(M), []
    torch.set_num_threads(1)
    try:
        for name in ("bc", "td3bc", "iql", "cql 4", "cql 10"):
            peer = theirs(name, d)
            for runs, goal in GOALS.items():
                mine = ours(name, d, runs)
                mine(), peer()                                            # warm up
                pairs = [(seconds(mine) / runs, seconds(peer)) for _ in range(PAIRS)]
                rows.append(row(f"{name} update, {runs} run{'s' * (runs > 1)}", pairs, goal))
        return rows + wide(d)
    finally:
        torch.set_num_threads(threads)


if __name__ == "__main__":
    for line in bench():
        print("{job:48s} ours {ours:.2e} s, peer {peer:.2e} s: {ratio:.1f} times ({low:.1f} to {high:.1f}), "
              "goal {goal}".format(**line))
