"""Two numbers about a dataset that tell which offline algorithm it suits: how good it is, and how much it has seen.

Trajectory quality (TQ, `measures.tq`) is the mean return of the data between that of a random and of the best policy;
state-action coverage (SACo, `measures.saco`) counts the different pairs. Behaviour cloning follows TQ; a learner
without constraint needs coverage; constrained learners can live on either. Here in miniature: five ways to collect
the same number of transitions on the frozen grid from one corner.
Source: Schweighofer et al. (2022), A Dataset Perspective on Offline Reinforcement Learning, CoLLAs. Ours: their five
collection schemes on a grid, with tables where they train networks.

Read in this order: `collections`, then `extrapolate`.
"""

from __future__ import annotations

import numpy as np

from rlkit.empirical import model, visits
from rlkit.envs.frozen_grid import World
from rlkit.improve import improve_blindly
from rlkit.mdp import MDP, simulate
from rlkit.trajectories import Dataset

OPTIMISM = 1.0           # first Q of the online learner: no less than any true value, so it tries everything
SPREAD = 0.4             # std of what an unconstrained learner believes of unseen pairs; the expert's return is 0.87


def collections(world: World, m: int, rng: np.random.Generator, horizon: int = 100) -> dict[str, Dataset]:
    """Five datasets of at least m transitions, episode by episode, each at most `horizon` steps.

        random    moves at random              replay   everything a Q-learner saw while it learned, ε from 1 to 0.01
        mixed     80 % random, 20 % expert     noisy    the expert, but a random move with probability 0.2
        expert    the optimal policy
    """
    uniform = np.full_like(world.expert, 1 / world.mdp.A)
    play = lambda pi, m, rng: _play(world.mdp, pi, m, rng, horizon)                # noqa: E731
    rngs = rng.spawn(6)
    return {"random": play(uniform, m, rngs[0]),
            "mixed": Dataset.concat(play(uniform, 0.8 * m, rngs[1]), play(world.expert, 0.2 * m, rngs[2])),
            "replay": q_learning_replay(world.mdp, m, rngs[3], horizon),
            "noisy": play(0.8 * world.expert + 0.2 * uniform, m, rngs[4]),
            "expert": play(world.expert, m, rngs[5])}


def _play(mdp: MDP, pi: np.ndarray, m: float, rng: np.random.Generator, horizon: int) -> Dataset:
    parts, have = [], 0
    while have < m:
        parts.append(Dataset.from_arrays(**simulate(mdp, pi, 200, rng, horizon)._asdict()))
        have += parts[-1].m
    data = Dataset.concat(*parts)
    return data.select(slice(0, int(np.searchsorted(data.starts, m))))             # the first to reach m is the last


def q_learning_replay(mdp: MDP, m: int, rng: np.random.Generator, horizon: int = 100, rate: float = 0.5,
                      gamma: float = 0.99) -> Dataset:
    """All transitions of an online Q-learner, in order: ε falls linearly from 1 to 0.01 over m transitions.

        Q(s, a) ← Q(s, a) + rate · (r + γ max_b Q(s', b) (1 - terminated) - Q(s, a))

    Q starts at 1, an optimist that tries everything; ties go to the first action.
    """
    rows = mdp.P.shape[0] * mdp.A
    goes = [list(zip(np.cumsum(p[p > 0]).tolist(), np.flatnonzero(p).tolist())) for p in mdp.P.reshape(rows, -1)]
    pays = np.broadcast_to(mdp.R[..., None] if mdp.reward is None else mdp.reward, mdp.P.shape).tolist()
    over, q, episodes, total = mdp.terminal.tolist(), [[OPTIMISM] * mdp.A for _ in range(mdp.S)], [], 0
    starts = list(zip(np.cumsum(mdp.start).tolist(), range(mdp.S)))
    draw = lambda cases, u: next((x for c, x in cases if u < c), cases[-1][1])     # noqa: E731
    while total < m:
        s, seen = draw(starts, rng.random()), []
        for t, (explore, which, slide) in enumerate(rng.random((horizon, 3)).tolist()):
            epsilon = 1 - 0.99 * min(1, (total + t) / m)
            a = int(which * mdp.A) if explore < epsilon else q[s].index(max(q[s]))
            s2 = draw(goes[s * mdp.A + a], slide)
            r = pays[s][a][s2]
            q[s][a] += rate * (r + gamma * max(q[s2]) * (not over[s2]) - q[s][a])
            seen.append((s, a, r))
            s = s2
            if over[s]:
                break
        total += len(seen)
        obs, action, reward = zip(*seen)
        episodes.append(dict(obs=(*obs, s), action=action, reward=reward, terminated=over[s], truncated=not over[s]))
    return Dataset.from_episodes(episodes)


def extrapolate(data: Dataset, world: World, guesses: int, rng: np.random.Generator) -> np.ndarray:
    """Policies [guesses, S, A] of Q-learning without constraint: unseen pairs keep random values N(0, 0.4²).

    A stand-in for what a network says of pairs it never saw. The spread matters: near 0.2 almost every dataset is
    solved, at 0.5 most fail.
    """
    mdp = world.mdp
    q0 = rng.normal(0.0, SPREAD, (guesses, mdp.S, mdp.A))
    seen = visits(data, np.ones(data.n), mdp.S, mdp.A) > 0
    return improve_blindly(model(data, np.ones(data.n), mdp.terminal, mdp.A), q0, seen)
