"""One decision: a safe payment, or a gamble that is worse on average but now and then pays more.

The smallest world where preferring good trajectories goes wrong: among the best trajectories stand the lucky
gamblers, and copying them copies the gamble, not the luck. States: 0 decide, 1 won, 2 lost, 3 end. Action 0 is safe
(ends at once and pays), action 1 gambles (the prize is paid on leaving `won`; in states 1 and 2 the actions are alike).
"""

from __future__ import annotations

import numpy as np

from rlkit.mdp import MDP, to_gymnasium

SAFE, GAMBLE = 0, 1


def gamble(safe: float = 0.6, prize: float = 1.0, chance: float = 0.3) -> MDP:
    """The gamble as a finite MDP with 4 states and 2 actions.

    safe, prize: payments, reward units.  chance: probability of the prize.
    Raises ValueError for a chance outside [0, 1].
    """
    if not 0 <= chance <= 1:
        raise ValueError(f"chance is {chance}, expected a probability in [0, 1]; try chance=0.3")
    P = np.zeros((4, 2, 4))
    P[0, SAFE, 3] = 1
    P[0, GAMBLE, [1, 2]] = chance, 1 - chance
    P[1:, :, 3] = 1
    R = np.zeros((4, 2))
    R[0, SAFE], R[1] = safe, prize
    return MDP(P, R, start=np.eye(4)[0], terminal=np.arange(4) == 3)


def env(safe: float = 0.6, prize: float = 1.0, chance: float = 0.3):
    """The gamble for Gymnasium: after `import rlkit.envs`, `gymnasium.make("rlkit/Gamble-v0", chance=0.3)`."""
    return to_gymnasium(gamble(safe, prize, chance))
