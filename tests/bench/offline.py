"""How fast the offline algorithms learn, against d3rlpy on the same data, sizes and thread.

One job is one update with the drawing of its minibatch: obs 11, action 3, batch 256, hidden 64-64, CQL with 4 and with
10 actions from each of its sources. Ours is timed for one run, and for sixteen at once divided by sixteen. Seconds are
of the processor, and the two sides alternate, so that a busy machine slows both; the ratio is the median over the
pairs, with the smallest and the largest beside it. CQL gains least: both sides spend their time in the same matrix
products, those of the critic at 13 or 31 actions a state.
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

from rlkit import offline

PAIRS, SECONDS, GOALS = 7, 0.25, {1: 3.0, 16: 6.0}
F, A, T, N, HIDDEN = 11, 3, 200, 100, 64


def data() -> SimpleNamespace:
    """N episodes of T steps, cut by the clock, of noise: speed does not depend on what it says."""
    rng = np.random.default_rng(0)
    obs, action = rng.normal(size=(N * T, F)).astype(np.float32), rng.uniform(-1, 1, (N * T, A)).astype(np.float32)
    reward, starts = obs[:, 0] + action[:, 0], np.arange(0, N * T + 1, T)
    return SimpleNamespace(obs=obs, action=action, reward=reward, next_obs=np.roll(obs, -1, 0), starts=starts,
                           terminated=np.zeros(N * T, bool), lengths=np.diff(starts),
                           returns=np.add.reduceat(reward, starts[:-1]))


def ours(name: str, d, runs: int):
    """A function that makes ten updates of all runs, as a panel would ask for them, and says so."""
    algorithm, *samples = name.split()
    config = getattr(offline, f"{algorithm.upper()}Config")(
        runs=runs, steps=10**9, batch=256, hidden=HIDDEN, **dict(samples=int(samples[0])) if samples else {})
    learner = getattr(offline, algorithm)(config, d, np.random.default_rng(0), every=10)
    return lambda: 10 * bool(next(learner))


def theirs(name: str, d):
    """A function that draws one minibatch and makes one update, by d3rlpy's public classes, and says so."""
    with contextlib.redirect_stderr(io.StringIO()):                       # it imports gym, which complains at length
        import d3rlpy
        import structlog
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    algorithm, *samples = name.split()
    Config = dict(bc=d3rlpy.algos.BCConfig, td3bc=d3rlpy.algos.TD3PlusBCConfig, iql=d3rlpy.algos.IQLConfig,
                  cql=d3rlpy.algos.CQLConfig)[algorithm]
    size = {f: d3rlpy.models.VectorEncoderFactory(hidden_units=[HIDDEN, HIDDEN])
            for f in vars(Config()) if f.endswith("encoder_factory")}
    timeouts = np.zeros(N * T)
    timeouts[T - 1 :: T] = 1
    buffer = d3rlpy.dataset.MDPDataset(d.obs, d.action, d.reward, np.zeros(N * T), timeouts)
    if samples:                                                           # the same algorithm: no multiplier
        size |= dict(alpha_learning_rate=0.0, n_action_samples=int(samples[0]))
    algo = Config(batch_size=256, **size).create(device="cpu")
    algo.create_impl((F,), A)
    return lambda: bool(algo.update(buffer.sample_transition_batch(256)))


def seconds(update) -> float:
    """CPU seconds of one update, over a stretch of at least SECONDS: time spent waiting for a core does not count."""
    start, n = time.process_time(), 0
    while time.process_time() - start < SECONDS:
        n += update()
    return (time.process_time() - start) / n


def bench() -> list[dict]:
    """Rows (part, job, ours, peer, ratio, low, high, goal); seconds are of one update of one run."""
    threads, d, rows = torch.get_num_threads(), data(), []
    torch.set_num_threads(1)
    try:
        for name in ("bc", "td3bc", "iql", "cql 4", "cql 10"):
            peer = theirs(name, d)
            for runs, goal in GOALS.items():
                mine = ours(name, d, runs)
                mine(), peer()                                            # warm up
                pairs = [(seconds(mine) / runs, seconds(peer)) for _ in range(PAIRS)]
                ratios = [p / m for m, p in pairs]
                rows.append(dict(part="offline", job=f"{name} update, {runs} run{'s' * (runs > 1)}",
                                 ours=median(m for m, _ in pairs), peer=median(p for _, p in pairs),
                                 ratio=median(ratios), low=min(ratios), high=max(ratios), goal=goal))
    finally:
        torch.set_num_threads(threads)
    return rows


if __name__ == "__main__":
    for row in bench():
        print("{job:24s} ours {ours:.2e} s, d3rlpy {peer:.2e} s: {ratio:.1f} times ({low:.1f} to {high:.1f}), "
              "goal {goal:g}".format(**row))
