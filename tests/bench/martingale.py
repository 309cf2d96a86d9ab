"""Ten million transitions of an Ornstein-Uhlenbeck process, simulated and solved in one call, in blocks.

Beside it the cheapest thing that could be done with as many: drawing the normal numbers alone. The two alternate, so
that a busy machine slows both; the ratio is of CPU times, the median over the pairs with the least and the most.
"""

from __future__ import annotations

import resource
import time

import numpy as np

from rlkit.envs.diffusions import blocks
from rlkit.papers.martingale_exact import world
from rlkit.papers.martingale_td import solve
from rlkit.paths import Paths

N, STEPS, DT = 2000, 5000, 0.05


def ours(test: str):
    """θ of 10⁷ transitions, by the test function `test`; the CPU seconds it took."""
    begin, rng, w = time.process_time(), np.random.default_rng(0), world("ou")
    record = (Paths(t, x, x * x, joined=t[0] > 0) for t, x in blocks(w.process, w.start(N, rng), DT, STEPS, rng))
    theta = solve(record, w.features, test, beta=w.beta, lam=0.3).theta
    return theta, time.process_time() - begin


def normals() -> float:
    """CPU seconds to draw as many normal numbers, into a buffer that stays in the cache."""
    begin, rng, buffer = time.process_time(), np.random.default_rng(0), np.empty(2**15)
    for _ in range(-(-N * STEPS // len(buffer))):
        rng.standard_normal(out=buffer)
    return time.process_time() - begin


def bench(pairs: int = 7) -> list[dict]:
    """Rows: ratio is our time over that of the normals alone, (median, least, most)."""
    rows = []
    for name, test in {"CTD(0)": "left", "CTD(λ)": "trace", "MSTDE": "mstde"}.items():
        ours(test), normals()                                             # warm up
        seconds = np.array([(ours(test)[1], normals()) for _ in range(pairs)])
        ratio = seconds[:, 0] / seconds[:, 1]
        rows.append(dict(part="martingale", job=f"simulate and solve 10⁷ OU transitions, {name}, against the normals",
                         ours=float(np.median(seconds[:, 0])), peer=float(np.median(seconds[:, 1])),
                         ratio=(float(np.median(ratio)), float(ratio.min()), float(ratio.max())), goal="≤ 3",
                         peak_mb=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024))
    return rows


if __name__ == "__main__":
    for row in bench():
        print(row)
