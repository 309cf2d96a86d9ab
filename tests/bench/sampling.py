"""Weighted draws: a minibatch of 256 out of 1e4 to 1e7 transitions, ours, NumPy's and torch's.

NumPy and torch go through all the weights at every batch; ours does so once, when the weights are made, and then looks
each number up in log2 M steps: the ratio grows with M, and the goal is for a million. How our own cost grows stands in
growth.py. "New weights" is the price of a slider moved: weights and a batch.
CPU seconds per batch; the sides alternate, so that a busy machine slows both.
"""

import time

import numpy as np
import torch

from rlkit.sampling import Sampler

BATCH = 256
GOALS = {10_000: 1.0, 100_000: 5.0, 1_000_000: 50.0, 10_000_000: 50.0}


def numpy_choice(rng, p):
    return lambda: rng.choice(p.size, BATCH, p=p)


def torch_sampler(rng, p):
    gen = torch.Generator().manual_seed(0)
    sampler = torch.utils.data.WeightedRandomSampler(torch.from_numpy(p), BATCH, replacement=True, generator=gen)
    return lambda: list(sampler)


def ours(rng, p):
    sampler = Sampler(p)
    return lambda: sampler.draw(rng, BATCH)


def ours_anew(rng, p):
    sampler = Sampler(p)

    def batch():
        sampler.reweight(p)
        return sampler.draw(rng, BATCH)
    return batch


def seconds(call, least=0.02) -> float:
    """CPU seconds of one call, over as many as take `least`."""
    start, calls = time.process_time(), 0
    while (spent := time.process_time() - start) < least:
        call()
        calls += 1
    return spent / calls


def bench(pairs: int = 7) -> list[dict]:
    """Rows (part, job, ours, peer, ratio, low, high, goal); the ratio is the peer's seconds over ours."""
    torch.set_num_threads(1)
    rows = []
    for M in GOALS:
        rng = np.random.default_rng(0)
        p = rng.exponential(size=M)
        p /= p.sum()
        goal = GOALS[M]
        jobs = [("draw", ours, numpy_choice, "NumPy's choice", goal), ("draw", ours, torch_sampler, "torch's", goal),
                ("new weights and draw", ours_anew, numpy_choice, "NumPy's choice", 0.8)]
        for job, mine, theirs, name, goal in jobs:
            a, b = mine(rng, p), theirs(rng, p)
            a(), b()                                                      # once to warm up
            times = np.array([[seconds(a), seconds(b)] for _ in range(pairs)])
            ratio = times[:, 1] / times[:, 0]
            mine_s, theirs_s = np.median(times, 0)
            rows.append(dict(part="sampling", job=f"{job} {BATCH} of {M:.0e}, against {name}", ours=float(mine_s),
                             peer=float(theirs_s), ratio=float(np.median(ratio)), low=float(ratio.min()),
                             high=float(ratio.max()), goal=goal))
    return rows


if __name__ == "__main__":
    for row in bench():
        print("{job}: ours {ours:.2e} s, peer {peer:.2e} s: {ratio:.1f} times ({low:.1f} to {high:.1f}), "
              "goal {goal:g}".format(**row))
