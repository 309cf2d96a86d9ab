"""A frozen lake, 8 by 8: ten holes, one goal, and a floor that may be slippery.

Small enough to know every value exactly, large enough that a random walker rarely finds the goal. Holes and the goal
end the episode. Each step costs 0.01 and the goal pays 1. A step into a wall stays in place. With probability `slip`
the step goes to one side instead (half left, half right of the intended move). The map is the 8x8 map of Gymnasium's
FrozenLake; our differences: the cost of a step, the starts, and a slip that is a dial.

`starts` says where an episode begins: "uniform" over the 53 free cells, or in the "corner" (0, 0).
`rich=True` adds luck that is none of the policy's doing: half of the starts carry a flag, and the first move of an
episode that starts with the flag pays 1 more, whatever the move. The state is 64·flag + 8·row + column.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from rlkit.mdp import MDP, evaluate, solve, to_gymnasium

SIDE = 8
CELLS = SIDE * SIDE
ACTIONS = ("left", "down", "right", "up")
MOVES = np.array([(0, -1), (1, 0), (0, 1), (-1, 0)])                          # [A, 2] (row, column)
HOLES = ((2, 3), (3, 5), (4, 3), (5, 1), (5, 2), (5, 6), (6, 1), (6, 4), (6, 6), (7, 3))
GOAL = (7, 7)
STEP_COST, PRIZE, LUCK = 0.01, 1.0, 1.0                                       # reward units


@lru_cache(maxsize=64)
def frozen_grid(slip: float = 0.0, starts: str = "uniform", rich: bool = False) -> MDP:
    """The grid as a finite MDP with S = 64 states (128 if rich) and 4 actions (left, down, right, up).

    slip: probability in [0, 1] of leaving to a side; 2/3 is FrozenLake's slippery ice.  starts: "uniform" or "corner".
    The arrays are shared between callers, hence read-only.  Raises ValueError for a slip or starts out of range.
    """
    if not 0 <= slip <= 1:
        raise ValueError(f"slip is {slip}, expected a probability in [0, 1]; try slip=0.1")
    if starts not in ("uniform", "corner"):
        raise ValueError(f"starts is {starts!r}, expected 'uniform' or 'corner'")
    cell = np.arange(CELLS)
    here = np.stack([cell // SIDE, cell % SIDE], axis=-1)                      # [64, 2]
    there = np.clip(here[:, None] + MOVES, 0, SIDE - 1) @ (SIDE, 1)            # [64, A] cell after the intended move
    terminal = np.isin(cell, [SIDE * r + c for r, c in (*HOLES, GOAL)])
    P = np.zeros((CELLS, len(MOVES), CELLS))
    for turn, chance in ((0, 1 - slip), (1, slip / 2), (-1, slip / 2)):
        np.add.at(P, (cell[:, None], np.arange(4), np.roll(there, turn, axis=1)), chance)
    P[terminal] = np.eye(CELLS)[terminal][:, None]                             # the end is absorbing
    reward = np.broadcast_to(np.where(cell == CELLS - 1, PRIZE, 0.0) - STEP_COST, P.shape)      # [64, A, 64] on arrival
    start = ~terminal / (~terminal).sum() if starts == "uniform" else (cell == 0).astype(float)
    if rich:                                                                   # a second copy of the map, left at once
        P, reward = np.concatenate([P, P]), np.concatenate([reward, reward + LUCK])
        P, reward = (np.concatenate([x, np.zeros_like(x)], axis=-1) for x in (P, reward))
        start, terminal = np.concatenate([start, start]) / 2, np.concatenate([terminal, terminal])
    reward = np.where(terminal[:, None, None], 0.0, reward)
    mdp = MDP.paying(P, reward, start, terminal)
    for array in mdp:
        array.flags.writeable = False
    return mdp


def features(state: np.ndarray) -> np.ndarray:
    """(row, column, flag) of each state.  state [...] ints -> [..., 3] floats."""
    flag, cell = np.divmod(np.asarray(state), CELLS)
    return np.stack([cell // SIDE, cell % SIDE, flag], axis=-1).astype(float)


class World(NamedTuple):
    """The grid with what scores refer to."""
    mdp: MDP
    expert: np.ndarray           # [S, A] optimal policy for γ = 0.99
    J_random: float              # expected undiscounted return of moving at random, reward units
    J_expert: float

    def score(self, J):
        """100 · (J - J_random) / (J_expert - J_random): 0 is random, 100 the expert."""
        return 100 * (J - self.J_random) / (self.J_expert - self.J_random)


@lru_cache(maxsize=64)
def world(slip: float = 0.0, starts: str = "uniform", rich: bool = False) -> World:
    """`frozen_grid` with its expert and the two reference returns."""
    mdp = frozen_grid(slip, starts, rich)
    expert = solve(mdp, gamma=0.99)[2]
    expert.flags.writeable = False
    J = expected_return(mdp, np.stack([np.full_like(expert, 1 / mdp.A), expert]))
    return World(mdp, expert, float(J[0]), float(J[1]))


def expected_return(mdp: MDP, pi: np.ndarray, horizon: int = 400) -> np.ndarray:
    """J [...] of pi [..., S, A]: undiscounted, exact, over at most `horizon` steps (who loops is charged for them)."""
    return evaluate(mdp, pi, horizon=horizon) @ mdp.start


def env(slip: float = 0.0, starts: str = "uniform", rich: bool = False):
    """The grid for Gymnasium: after `import rlkit.envs`, `gymnasium.make("rlkit/FrozenGrid-v0", slip=0.1)`."""
    return to_gymnasium(frozen_grid(slip, starts, rich))
