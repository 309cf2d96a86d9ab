"""Trajectory weights under real offline algorithms: uniform, AW and RW, learning side by side.

One batch holds groups of runs that differ in nothing but the weights of the trajectories from which their minibatches
are drawn. Every seed has its own mixed dataset (a share σ of an expert's transitions, the rest at random), the same in
each group, and its own network. Weights may change in mid-run: move α, and the next minibatch is drawn by it.

    for snap in weighted_offline(WeightedConfig(algorithm="bc"), np.random.default_rng(0), every=100):
        snap.score                                      # [G, seeds] 0: as the random policy, 100: as the expert

The algorithms are those of `rlkit.offline`, unchanged. Read `weighted_offline`, then `Draws`.
Source: Hong et al. (2023), Harnessing Mixed Offline Reinforcement Learning Datasets via Trajectory Weighting.

Axes: G groups, M transitions, N trajectories, R = G · seeds runs.
"""

from __future__ import annotations

import math
from collections.abc import Generator
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from rlkit import offline
from rlkit.config import accept, check, knob
from rlkit.envs import mixed
from rlkit.measures import ess
from rlkit.papers.trajectory_weighting import advantages, boltzmann, topk_weights
from rlkit.preparing import preparing
from rlkit.sampling import Sampler, transition_probs
from rlkit.trajectories import Dataset, mix

SCHEMES = ("uniform", "aw", "rw", "topk")
BASE = {"bc": offline.BCConfig(batch=128, loss="nll"), "iql": offline.IQLConfig(batch=128, decay=False),
        "td3bc": offline.TD3BCConfig(batch=128, alpha_bc=1.0), "cql": offline.CQLConfig(batch=64, samples=2)}


@dataclass(frozen=True)
class WeightedConfig:
    algorithm: str = knob("bc", symbol="algorithm", choices=tuple(BASE), restart=True,
                          says="who learns: behaviour cloning, IQL, TD3+BC or CQL")
    alpha: float = knob(0.1, 0.01, 10.0, log=True, symbol="α", least=0, most=math.inf,
                        says="temperature of the weights: small trusts the best trajectories, large is uniform")
    sigma: float = knob(0.05, 0.01, 0.5, log=True, symbol="σ", least=0, most=1, restart=True,
                        says="share of the expert: of the transitions; the others move at random")
    k: float = knob(0.1, 0.01, 1.0, log=True, symbol="k", above=0, most=1, says="share kept by the filter (topk)")
    seeds: int = knob(8, 2, 16, symbol="seeds", least=1, restart=True, says="of each group: datasets and runs")
    steps: int = knob(2000, 500, 10_000, log=True, least=1, restart=True, says="updates")
    size: int = knob(80_000, 10_000, 100_000, log=True, symbol="M", unit="transitions", least=1000, restart=True,
                     says="size: of each dataset")
    task: str = knob("pendulum", choices=tuple(mixed.TASKS), restart=True, says="where the data come from")
    episodes: int = knob(20, 5, 100, least=1, restart=True, says="evaluation episodes of each run")
    schemes: tuple[str, ...] = ("uniform", "aw", "rw")
    max_steps: int | None = None                         # cut episodes of the task here; None: its own limit

    def __post_init__(self):
        check(self)
        object.__setattr__(self, "schemes", tuple(self.schemes) if isinstance(self.schemes, list) else self.schemes)
        if not isinstance(self.max_steps, int | None) or isinstance(self.max_steps, bool):
            raise TypeError(f"max_steps is {self.max_steps!r}, expected a whole number of steps, or None for all")
        if self.max_steps is not None and self.max_steps < 1:
            raise ValueError(f"max_steps is {self.max_steps}, expected ≥ 1, or None for all")
        if not isinstance(self.schemes, tuple) or not all(isinstance(s, str) for s in self.schemes):
            raise TypeError(f"schemes is {self.schemes!r}, expected a tuple of words; try schemes=('uniform', 'aw')")
        if not self.schemes or not set(self.schemes) <= set(SCHEMES):
            raise ValueError(f"schemes is {self.schemes!r}, expected some of {', '.join(map(repr, SCHEMES))}")


class Snapshot(NamedTuple):
    step: int
    score: np.ndarray            # [G, seeds] 100 (J - J_random) / (J_expert - J_random), J a mean over `episodes`
    ess: np.ndarray              # [G] effective number of trajectories, mean over the datasets
    w: np.ndarray                # [G, N] weights in the first dataset
    data: Dataset                # the first dataset
    schemes: tuple[str, ...]     # names of the groups


def weights(data: Dataset, cfg: WeightedConfig) -> np.ndarray:
    """[G, N] weights of the trajectories, one row per scheme of `cfg`; AW's V is linear in the first observation."""
    make = {"uniform": lambda: np.full(data.n, 1 / data.n), "rw": lambda: boltzmann(data.returns, cfg.alpha),
            "aw": lambda: boltzmann(advantages(data.returns, data.first_obs), cfg.alpha),
            "topk": lambda: topk_weights(data.returns, cfg.k)}
    return np.stack([make[scheme]() for scheme in cfg.schemes])


class Draws:
    """Minibatches for R = G · seeds runs from as many datasets as seeds, laid end to end: run (g, k) draws from
    dataset k by the weights of group g."""

    def __init__(self, parts: list[Dataset], w: list[np.ndarray]):
        self.lengths, self.first = [d.lengths for d in parts], np.cumsum([0] + [d.m for d in parts])
        self.samplers = [Sampler(transition_probs(*pair)) for pair in zip(w, self.lengths)]

    def reweight(self, w: list[np.ndarray]) -> None:
        for sampler, *pair in zip(self.samplers, w, self.lengths):
            sampler.reweight(transition_probs(*pair))

    def draw(self, rng: np.random.Generator, n: int) -> np.ndarray:
        idx = np.stack([s.draw(rng, n) + first for s, first in zip(self.samplers, self.first)], axis=1)
        return idx.reshape(-1, n)                                         # [G, seeds, n] -> [R, n]


def weighted_offline(cfg: WeightedConfig, rng: np.random.Generator, every: int = 100,
                     base=None) -> Generator[Snapshot, WeightedConfig | None, None]:
    """Collect, mix, weigh, learn, and evaluate all runs at every snapshot, from the same starts each time.

    base: settings of the algorithm, a Config of `rlkit.offline`; None takes those of `BASE`.
    Live: alpha and k.  The learning itself never depends on `every`: evaluation has a generator of its own.
    """
    of_data, of_learner, of_evaluation = rng.spawn(3)
    parts = _mixes(cfg, of_data)
    w = [weights(d, cfg) for d in parts]
    draws, runs = Draws(parts, w), len(cfg.schemes) * cfg.seeds
    settings = replace(base or BASE[cfg.algorithm], runs=runs, steps=cfg.steps)
    space = parts[0].action_space
    learner = getattr(offline, cfg.algorithm)(settings, Dataset.concat(*parts), of_learner, every, draws,
                                              space.low, space.high)
    starts = int(of_evaluation.integers(2**63))
    for snap in learner:
        J = mixed.evaluate_policy(cfg.task, snap.policy, runs, cfg.episodes, np.random.default_rng(starts),
                                  cfg.max_steps).mean(1)
        score = mixed.score(J, cfg.task, cfg.max_steps).reshape(-1, cfg.seeds)
        answer = yield Snapshot(snap.step, score, np.mean([ess(x) for x in w], axis=0), w[0], parts[0], cfg.schemes)
        if answer is not None and answer != cfg:
            cfg = accept(answer, cfg)
            w = [weights(d, cfg) for d in parts]
            draws.reweight(w)


def _mixes(cfg: WeightedConfig, rng: np.random.Generator) -> list[Dataset]:
    """One mixed dataset per seed, out of one collection: on Pendulum three times what a dataset needs, so that the
    seeds share few episodes; MuJoCo is slow, there every seed draws with replacement from the same ones."""
    pool = 3 * cfg.size if cfg.task == "pendulum" else cfg.size
    good, bad, *_ = mixed.datasets(cfg.task, rng, pool, cfg.sigma, max_steps=cfg.max_steps)
    seeds = preparing(rng.spawn(cfg.seeds), "dataset", of=cfg.seeds)
    return [mix(good, bad, cfg.sigma, cfg.size, r) for r in seeds]
