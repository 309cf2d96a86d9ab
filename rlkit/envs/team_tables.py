"""A table game as R·E copies side by side, for a team learner: the form is that of `rlkit.envs.aloha.AlohaTeams`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rlkit.envs.team_games import TeamGame


class TableTeams:
    """Plays a `TeamGame` whose agents all have equally many actions; each sees what it sees of the state as a one-hot.

    horizon: steps of an episode (a game of one decision has one).  Run r draws from rngs[r].
    """

    def __init__(self, game: TeamGame, rngs: Sequence[np.random.Generator], envs: int, horizon: int = 25):
        if len(set(game.actions)) != 1:
            raise ValueError(f"the agents have {game.actions} actions, expected equally many; pad the table with "
                             "actions that pay as little as the worst")
        self.game, self.rngs, self.envs = game, list(rngs), envs
        self.n, self.actions, self.features = game.n, game.actions[0], max(game.O)
        self.horizon = 1 if game.P is None else horizon
        seen = np.tile(np.arange(game.S), (game.n, 1)) if game.obs is None else game.obs
        self.seen = np.eye(self.features, dtype=np.float32)[np.asarray(seen, int).T]             # [S, n, features]
        self.starts = np.cumsum(game.start)
        if game.P is not None:
            self.next = np.cumsum(game.P, axis=-1)                        # [S, A_0, ..., A_{n-1}, S]

    def reset(self) -> np.ndarray:
        self.u = np.stack([rng.random((self.horizon, self.envs)) for rng in self.rngs], axis=1)  # [T, R, E]
        self.t, self.s = 0, _pick(self.starts, self.u[0])
        return self.seen[self.s]

    def step(self, action: np.ndarray):
        at = (self.s, *np.moveaxis(action, -1, 0))
        reward = self.game.R[at]
        self.t += 1
        over = np.full(reward.shape, self.t == self.horizon)
        if over.flat[0]:
            return self.reset(), reward, over
        self.s = _pick(self.next[at], self.u[self.t])
        return self.seen[self.s], reward, over


def _pick(cumulated: np.ndarray, u: np.ndarray) -> np.ndarray:
    """Index of the interval in which u falls.  cumulated: [S] or [..., S]; u: [...]."""
    return np.minimum((cumulated <= u[..., None]).sum(-1), cumulated.shape[-1] - 1)
