"""Two arms that pay 1 or nothing: one pays with probability 1 - p, the other with p. How good is a success as advice?

Data come from someone who pulls the good arm with probability p only, the same p. Then good luck on the bad arm is as
frequent as skill, p(1 - p) each: a success says nothing about the arm that was pulled.
States: 0 pull, 1 paid, 2 not paid. Action 0 is the good arm (p < 1/2), action 1 the bad one.
Source of the set-up: Yang et al. (2023), Dichotomy of Control, their Bernoulli bandit.
"""

from __future__ import annotations

import numpy as np

from rlkit.mdp import MDP, to_gymnasium

GOOD, BAD = 0, 1


def lucky_arms(p: float = 0.1) -> MDP:
    """The two arms as a finite MDP with 3 states and 2 actions.  p in [0, 1]: the bad arm's chance, else ValueError."""
    if not 0 <= p <= 1:
        raise ValueError(f"p is {p}, expected a probability in [0, 1]; try p=0.1")
    P = np.zeros((3, 2, 3))
    P[0, GOOD, 1:], P[0, BAD, 1:] = (1 - p, p), (p, 1 - p)
    P[1:, :, 1:] = np.eye(2)[:, None]
    return MDP.paying(P, np.array([0.0, 1.0, 0.0]), start=np.eye(3)[0], terminal=np.arange(3) > 0)


def behaviour(p: float = 0.1) -> np.ndarray:
    """[S, A] the policy of the data: the good arm with probability p."""
    return np.tile([p, 1 - p], (3, 1))


def env(p: float = 0.1):
    """For Gymnasium: after `import rlkit.envs`, `gymnasium.make("rlkit/LuckyArms-v0", p=0.3)`."""
    return to_gymnasium(lucky_arms(p))
