"""Two decisions with a lottery between them: the best return is bought by luck, the best policy never plays.

At the start: stay safe, or buy a ticket that wins with probability p. Then, wherever one stands, a good and a bad way
to cash in:      safe 0.5 or 0.2      won 1 or 0      lost 0.1 or 0
Playing is right only for p > 0.4 / 0.9 = 0.444. States: 0 start, 1 safe, 2 won, 3 lost, then one end for each payment
(`PAYS`), so that the state tells what was paid. Action 0: safe, and the good way; 1: the ticket, and the bad way.
"""

from __future__ import annotations

import numpy as np

from rlkit.mdp import MDP, to_gymnasium

SAFE, WON, LOST = 1, 2, 3
PAYS = (0.0, 0.1, 0.2, 0.5, 1.0)                                          # reward units
LEAF = {SAFE: (0.5, 0.2), WON: (1.0, 0.0), LOST: (0.1, 0.0)}              # state -> the good way, the bad way
STATES = 4 + len(PAYS)


def lottery(p: float = 0.1) -> MDP:
    """The lottery as a finite MDP with 9 states and 2 actions.  p in [0, 1]: the ticket wins, else ValueError."""
    if not 0 <= p <= 1:
        raise ValueError(f"p is {p}, expected a probability in [0, 1]; try p=0.1")
    P = np.zeros((STATES, 2, STATES))
    P[0, 0, SAFE], P[0, 1, [WON, LOST]] = 1, (p, 1 - p)
    for s, pays in LEAF.items():
        P[s, [0, 1], [4 + PAYS.index(r) for r in pays]] = 1
    P[4:] = np.eye(STATES)[4:, None]
    return MDP.paying(P, np.r_[np.zeros(4), PAYS], start=np.eye(STATES)[0], terminal=np.arange(STATES) >= 4)


def behaviour(gamble: float = 0.5, bad: float = 0.5) -> np.ndarray:
    """[S, A] the policy of the data: buys a ticket with probability `gamble`, cashes in badly with `bad`."""
    pi = np.tile([1 - bad, bad], (STATES, 1))
    pi[0] = 1 - gamble, gamble
    return pi


def env(p: float = 0.1):
    """For Gymnasium: after `import rlkit.envs`, `gymnasium.make("rlkit/Lottery-v0", p=0.3)`."""
    return to_gymnasium(lottery(p))
