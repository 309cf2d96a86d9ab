"""Same seed, same numbers: every learner and every claim, again in this process, in another one, on one thread and two.

`python tests/trust/test_same_seed.py learners` (or claims) prints, as JSON, a digest of all the numbers of each.
"""

import dataclasses
import functools
import hashlib
import json
import sys

import gymnasium
import numpy as np

from rlkit import offline
from rlkit.papers import (
    bayes_net_mappo,
    bayes_net_policy,
    decision_transformer,
    density_ratio_weighting,
    dichotomy_continuous,
    dichotomy_networks,
    dichotomy_of_control,
    entropy_control,
    entropy_language,
    entropy_mechanism,
    martingale_control,
    martingale_online,
    martingale_option,
    martingale_portfolio,
    martingale_td,
    trajectory_weighting,
    weighted_offline,
)
from rlkit.trajectories import Dataset


@functools.cache
def transitions() -> Dataset:
    """Ten episodes of thirty steps, of no meaning."""
    rng = np.random.default_rng(0)
    return Dataset.from_episodes([dict(obs=rng.normal(size=(31, 11)), action=rng.uniform(-1, 1, (30, 3)),
                                       reward=rng.normal(size=30), terminated=False, truncated=True)
                                  for _ in range(10)])


def offline_learner(learn, cfg):
    return lambda rng, every: learn(cfg, transitions(), rng, every)


def settled(learn, cfg):
    return lambda rng, every: learn(cfg, rng, every=every)


def density_ratio(rng, every):
    data = trajectory_weighting.dataset(0.1, n=40)
    return density_ratio_weighting.density_ratio(density_ratio_weighting.Config(steps=6), data, rng, every)


# Few updates, but of the usual width wherever that decides whether a sum is cut into threads.
LEARNERS = {
    "bc": offline_learner(offline.bc, offline.BCConfig(steps=6, runs=2)),
    "td3bc": offline_learner(offline.td3bc, offline.TD3BCConfig(steps=6, runs=2)),
    "iql": offline_learner(offline.iql, offline.IQLConfig(steps=6, runs=2)),
    "cql": offline_learner(offline.cql, offline.CQLConfig(steps=6, runs=2)),
    **{f"weighted_offline, {algorithm}": settled(weighted_offline.weighted_offline, weighted_offline.WeightedConfig(
        algorithm=algorithm, seeds=2, steps=6, size=4000, sigma=0.3, episodes=2))
       for algorithm in ("bc", "iql", "td3bc", "cql")},
    "density_ratio": density_ratio,
    "learn": settled(bayes_net_policy.learn, bayes_net_policy.Config(steps=200)),
    "mappo": settled(bayes_net_mappo.mappo, bayes_net_mappo.Config(steps=4)),
    "compare": settled(bayes_net_mappo.compare, bayes_net_mappo.Config(steps=4)),
    "decision_transformer": settled(decision_transformer.decision_transformer,
                                    decision_transformer.Config(steps=6, games=20)),
    "doc": settled(dichotomy_continuous.doc, dichotomy_continuous.Config(steps=6, games=20)),
    "gaussian": settled(dichotomy_networks.gaussian, dichotomy_networks.GaussianConfig(steps=6)),
    "lake": settled(dichotomy_networks.lake, dichotomy_networks.LakeConfig(steps=6)),
    "lake, MLP": settled(dichotomy_networks.lake, dichotomy_networks.LakeConfig(steps=6, energy="MLP")),
    "dichotomy": settled(dichotomy_of_control.dichotomy, dichotomy_of_control.Config(steps=60)),
    "dichotomy, lake": settled(dichotomy_of_control.dichotomy, dichotomy_of_control.Config(
        world="lake", p=0.5, n=100, steps=30, energy="climbs")),
    "control, CartPole": settled(entropy_control.control, entropy_control.ControlConfig(steps=4)),
    "entropy_language": settled(entropy_language.entropy_language, entropy_language.Config(steps=2)),
    "entropy_language, clip-cov": settled(entropy_language.entropy_language, entropy_language.Config(
        steps=2, method="clip-cov")),
    "mechanism": settled(entropy_mechanism.mechanism, entropy_mechanism.Config(steps=60)),
    "mechanism, sampled": settled(entropy_mechanism.mechanism, entropy_mechanism.Config(samples=8, steps=60)),
    **{f"control, {method}": settled(martingale_control.control, martingale_control.ControlConfig(
        method=method, iterations=2, steps=60)) for method in martingale_control.METHODS},
    **{f"online, {objective}": settled(martingale_online.online, martingale_td.Config(
        world="ou", dt=0.1, time=20.0, objective=objective)) for objective in martingale_td.OBJECTIVES},
    "neural": settled(martingale_online.neural, martingale_online.NeuralConfig(steps=4)),
    "learn_price": settled(martingale_option.learn_price, martingale_option.OptionConfig(steps=20)),
    "portfolio": settled(martingale_portfolio.portfolio, martingale_portfolio.PortfolioConfig(lots=6)),
}


# ---------------------------------------------------------------------------------------------- digests

def feed(h, x) -> None:
    """All the numbers of x, whatever holds them, by their bytes."""
    if isinstance(x, np.ndarray) or hasattr(x, "numpy"):
        x = np.asarray(x)
        h.update(f"{x.dtype}{x.shape}".encode() + x.tobytes())
    elif dataclasses.is_dataclass(x):
        feed(h, [getattr(x, f.name) for f in dataclasses.fields(x)])
    elif isinstance(x, dict):
        feed(h, [*x.items()])
    elif isinstance(x, (tuple, list)):
        h.update(f"{type(x).__name__}{len(x)}".encode())
        for part in x:
            feed(h, part)
    elif x is None or isinstance(x, (bool, int, float, str, np.generic, gymnasium.Space)):
        h.update(repr(x).encode())
    else:
        raise TypeError(f"a snapshot holds a {type(x).__name__}: say here what its numbers are")


def digest(x) -> str:
    h = hashlib.sha256()
    feed(h, x)
    return h.hexdigest()[:16]


def learned(name: str, seed: int = 0, every: int = 3) -> str:
    return digest(list(LEARNERS[name](np.random.default_rng(seed), every)))


if __name__ == "__main__":
    import time

    import torch
    torch.set_num_threads(int(sys.argv[1]))
    out = {}
    for name in LEARNERS:
        if len(sys.argv) > 2 and not name.startswith(sys.argv[2]):
            continue
        t = time.process_time()
        out[name] = learned(name)
        print(name, out[name], round(time.process_time() - t, 2), file=sys.stderr)
    print(json.dumps(out))
