"""Every Config and every learner of the course, found by looking, and settings so small that a run takes no time."""

import importlib
import inspect
import pkgutil
from dataclasses import fields, is_dataclass

import numpy as np

import rlkit.envs
import rlkit.offline
import rlkit.papers
from rlkit.trajectories import Dataset

SMALL = dict(runs=2, steps=4, lots=4, hidden=4, width=8, layers=1, n=30, envs=2, batch=8, games=4, episodes=2,
             evaluation=6, prompts=4, lessons=1, chains=2, K=4, T=4, Z=2, paths=4, days=4, iterations=2, seeds=2,
             size=1000, max_steps=20, samples=2, f_steps=1, ramp=0, time=0.2, epochs=1)
EXCEPT = {  # where a word means something else, or the small number would not be valid
    "martingale_td.Config": dict(T=0.2, dt=0.05), "martingale_control.ControlConfig": dict(T=1.0, dt=0.25),
    "dichotomy_of_control.Config": dict(n=30.0, K=4.0), "entropy_mechanism.Config": dict(samples=0, K=5, right=2),
    "bayes_net_policy.Config": dict(n=2), "martingale_option.OptionConfig": dict(T=1.0),
    "martingale_portfolio.PortfolioConfig": dict(n=4), "entropy_language.Config": dict(size=4),
}


def modules():
    for package in (rlkit.papers, rlkit.offline, rlkit.envs):
        for m in pkgutil.iter_modules(package.__path__):
            yield importlib.import_module(f"{package.__name__}.{m.name}")


def configs() -> dict[str, type]:
    """"module.Class" -> the class, for each dataclass named *Config."""
    return {f"{m.__name__.split('.')[-1]}.{name}": c for m in modules() for name, c in vars(m).items()
            if name.endswith("Config") and is_dataclass(c) and c.__module__ == m.__name__}


def learners() -> dict[str, tuple]:
    """"module.function" -> (function, its Config), for each generator that takes (cfg, ..., rng, every)."""
    found = {}
    for m in modules():
        where = m.__name__.split(".")[-1]
        for name, f in vars(m).items():
            if inspect.isgeneratorfunction(f) or name == "control":  # it returns one
                p = inspect.signature(f).parameters if callable(f) else {}
                if f.__module__ == m.__name__ and {"cfg", "rng", "every"} <= set(p):
                    found[f"{where}.{name}"] = (f, f.__globals__[p["cfg"].annotation])
    return found


def small(cls, **changes):
    name = f"{cls.__module__.split('.')[-1]}.{cls.__name__}"
    have = {f.name for f in fields(cls)}
    return cls(**{k: v for k, v in (SMALL | EXCEPT.get(name, {})).items() if k in have} | changes)


def start(learner, cfg, rng=None, every=1, data=None):
    """The generator; offline learners get a few transitions to learn from, in whole numbers or real ones."""
    rng = np.random.default_rng(0) if rng is None else rng
    if "data" in inspect.signature(learner).parameters:
        return learner(cfg, DISCRETE if learner.__name__ == "density_ratio" else DATA if data is None else data, rng,
                       every)
    return learner(cfg, rng, every)


def episodes(whole: bool, n: int = 6, length: int = 5, seed: int = 1, **changes) -> Dataset:
    rng, m = np.random.default_rng(seed), n * length
    end = np.arange(m) % length == length - 1
    made = dict(obs=rng.integers(3, size=m) if whole else rng.normal(size=(m, 3)).astype(np.float32),
                action=rng.integers(2, size=m) if whole else rng.uniform(-1, 1, (m, 2)).astype(np.float32),
                reward=rng.normal(size=m), terminated=end, truncated=np.zeros(m, bool),
                final_obs=rng.integers(3, size=n) if whole else rng.normal(size=(n, 3)).astype(np.float32))
    return Dataset.from_arrays(**made | changes)


DATA, DISCRETE = episodes(False), episodes(True)
