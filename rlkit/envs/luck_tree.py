"""A tree of four trajectories: 100 for a stroke of luck of one in a hundred, 10 for knowing what to do.

Left: with probability p a return of 100, else 0. Right: then one more decision, 10 or 0. Asking for the highest return
in the data means going left, which is worth 1. After figure 1 of Yang et al. (2023), Dichotomy of Control: the shape,
the chance and the 100 are theirs, the 10 is ours. States: 0 root, 1 right, 2 the 100, 3 the 10, 4 nothing.
"""

from __future__ import annotations

import numpy as np

from rlkit.mdp import MDP, to_gymnasium

LEFT, RIGHT = 0, 1
PAYS = (100.0, 10.0, 0.0)                                                 # of states 2, 3 and 4


def luck_tree(p: float = 0.01) -> MDP:
    """The tree as a finite MDP with 5 states and 2 actions.  p in [0, 1]: the stroke of luck, else ValueError."""
    if not 0 <= p <= 1:
        raise ValueError(f"p is {p}, expected a probability in [0, 1]; try p=0.01")
    P = np.zeros((5, 2, 5))
    P[0, LEFT, [2, 4]], P[0, RIGHT, 1] = (p, 1 - p), 1
    P[1, [0, 1], [3, 4]] = 1
    P[2:] = np.eye(5)[2:, None]
    return MDP.paying(P, np.r_[0.0, 0.0, PAYS], start=np.eye(5)[0], terminal=np.arange(5) >= 2)


def env(p: float = 0.01):
    """For Gymnasium: after `import rlkit.envs`, `gymnasium.make("rlkit/LuckTree-v0")`."""
    return to_gymnasium(luck_tree(p))
