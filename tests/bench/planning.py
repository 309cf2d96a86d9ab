"""Planning: 200 random MDPs in one batched call against QuantEcon's one by one; one large grid against its best method.

CPU seconds, so that waiting for a core does not count; the two sides alternate, so that a busy machine slows both.
Each pair is checked: both sides within 1e-8 of each other. Of the peers the quickest method that reaches 1e-8 is timed:
policy iteration for the 200, modified policy iteration (k = 50) for the grid; value iteration takes ten and four times
as long. pymdptoolbox is not timed: it had not solved the grid within a minute. The grid has a price of its own in each
cell: where actions are equally good, QuantEcon's policy iteration may go round in circles.

Why the batch is not five times as quick: one LU factorisation of each MDP and two readings of its table are some 20 ms,
a quarter of what QuantEcon takes, before anything has been searched.
"""

import time

import numpy as np
import quantecon
import scipy.sparse

from rlkit.mdp import MDP, solve

N, S, A, GAMMA, CLOSE = 200, 100, 4, 0.99, 1e-8
HEIGHT, WIDTH = 50, 60


def ours(P, R):
    S = R.shape[-2]
    return solve(MDP(P, R, np.full(S, 1 / S), np.zeros(S, bool)), GAMMA)[0]


def peer(P, R):
    return np.array([quantecon.markov.DiscreteDP(r, p, GAMMA).policy_iteration().v for p, r in zip(P, R)])


def peer_on_grid(P, R):
    s, a = np.divmod(np.arange(R.size), R.shape[1])
    return quantecon.markov.DiscreteDP(R.ravel(), scipy.sparse.csr_matrix(P), GAMMA, s, a).modified_policy_iteration(
        epsilon=CLOSE, k=50, max_iter=10_000).v


def grid(height: int, width: int):
    """P sparse [S·4, S] and R [S, 4]: moves go astray one time in five, each cell has its price, the last one pays."""
    rng, S = np.random.default_rng(1), height * width
    y, x = np.divmod(np.arange(S), width)
    wall = (rng.random(S) < 0.2) & (np.arange(S) < S - 1)
    to = [np.clip(y + dy, 0, height - 1) * width + np.clip(x + dx, 0, width - 1)
          for dy, dx in ((0, 1), (1, 0), (0, -1), (-1, 0))]
    to = [np.where(wall[t], np.arange(S), t) for t in to]
    entries = [(np.full(S, p), 4 * np.arange(S) + a, to[(a + k) % 4])
               for a in range(4) for k, p in ((0, 0.8), (1, 0.1), (3, 0.1))]
    p, row, column = (np.concatenate(x) for x in zip(*entries))
    R = -rng.uniform(0.01, 0.02, (S, 4))
    R[-1] = 1
    return scipy.sparse.csr_array((p, (row, column)), shape=(4 * S, S)), R


def row(job: str, mine, theirs, world, goal: float, pairs: int) -> dict:
    mine(*world), theirs(*world)                                          # QuantEcon compiles on its first call
    seconds = np.empty((pairs, 2))
    for pair in seconds:
        values = []
        for i, plan in enumerate((mine, theirs)):
            start = time.process_time()
            values.append(plan(*world))
            pair[i] = time.process_time() - start
        assert np.abs(values[0] - values[1]).max() < CLOSE
    ratio = seconds[:, 1] / seconds[:, 0]
    one, two = np.median(seconds, 0)
    return dict(part="planning", job=job, ours=float(one), peer=float(two), ratio=float(np.median(ratio)),
                low=float(ratio.min()), high=float(ratio.max()), goal=goal)


def bench(pairs: int = 7) -> list[dict]:
    """Rows (part, job, ours, peer, ratio, low, high, goal); the ratio is the peer's seconds over ours."""
    rng = np.random.default_rng(0)
    many = rng.dirichlet(np.full(S, 0.1), (N, S, A)), rng.normal(size=(N, S, A))
    return [row(f"{N} MDPs to {CLOSE:g}, S={S} A={A} γ={GAMMA}, against QuantEcon", ours, peer, many, 5, pairs),
            row(f"sparse grid to {CLOSE:g}, S={HEIGHT * WIDTH}, against QuantEcon", ours, peer_on_grid,
                grid(HEIGHT, WIDTH), 1, pairs)]


if __name__ == "__main__":
    for r in bench():
        print("{job}: ours {ours:.3f} s, QuantEcon {peer:.3f} s: {ratio:.2f} times ({low:.2f} to {high:.2f}), "
              "goal {goal:g}".format(**r))
