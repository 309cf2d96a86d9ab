"""Planning: the best policies of 200 random MDPs, ours in one batched call, QuantEcon's one by one.

CPU seconds, so that waiting for a core does not count; the two sides alternate, so that a busy machine slows both.
Ours is NumPy, QuantEcon compiles: the goal is to be about as fast.
"""

import time

import numpy as np
import quantecon

from rlkit.mdp import MDP, solve

N, S, A, GAMMA, CLOSE = 200, 100, 4, 0.99, 1e-8


def ours(P, R):
    terminal = np.zeros(S, bool)
    v, _, _ = solve(MDP(P, R, np.full(S, 1 / S), terminal), GAMMA)
    return v


def peer(P, R):
    """Policy iteration is QuantEcon's fastest method that reaches 1e-8 here (also tried: modified policy iteration)."""
    return np.array([quantecon.markov.DiscreteDP(r, p, GAMMA).policy_iteration().v for p, r in zip(P, R)])


def bench(pairs: int = 7) -> list[dict]:
    """Rows (part, job, ours, peer, ratio, low, high, goal); the ratio is QuantEcon's seconds over ours."""
    rng = np.random.default_rng(0)
    P, R = rng.dirichlet(np.full(S, 0.1), (N, S, A)), rng.normal(size=(N, S, A))
    ours(P, R), peer(P, R)                                                # QuantEcon compiles on its first call
    seconds = np.empty((pairs, 2))
    for pair in seconds:
        values = []
        for i, plan in enumerate((ours, peer)):
            start = time.process_time()
            values.append(plan(P, R))
            pair[i] = time.process_time() - start
        assert np.abs(values[0] - values[1]).max() < CLOSE
    ratio = seconds[:, 1] / seconds[:, 0]
    mine, theirs = np.median(seconds, 0)
    return [dict(part="mdp", job=f"{N} random MDPs solved to {CLOSE:g}, S={S} A={A} gamma={GAMMA}, against QuantEcon",
                 ours=float(mine), peer=float(theirs), ratio=float(np.median(ratio)), low=float(ratio.min()),
                 high=float(ratio.max()), goal=0.8)]


if __name__ == "__main__":
    for row in bench():
        print("{job}: ours {ours:.3f} s, QuantEcon {peer:.3f} s: {ratio:.2f} times ({low:.2f} to {high:.2f}), "
              "goal {goal:g}".format(**row))
