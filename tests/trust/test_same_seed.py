"""Same seed, same numbers: every learner and every claim, again in this process, in another one, on one thread and two.

`python tests/trust/test_same_seed.py learners 2` prints, as JSON, a digest of all the numbers of each on two threads;
`claims` and `quick` for learners: what each claim has measured.
"""

import functools
import importlib
import inspect
import json
import os
import pkgutil
import random
import subprocess
import sys
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from digest import digest

import rlkit.offline
import rlkit.papers
from rlkit import claims, offline
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


def learned(name: str, seed: int = 0, every: int = 3) -> str:
    return digest(list(LEARNERS[name](np.random.default_rng(seed), every)))


def measured(f, seed: int = 0) -> str:
    """A claim's value, expected value, tolerance and verdict, as they stand in the table."""
    return repr(tuple(f(seed)))


# ---------------------------------------------------------------------------------------------- here and elsewhere

CLAIMS = {f"{idea}.{name}": f for idea in claims.ideas() for name, f in claims.of(idea).items()
          if f.claim.scale != "slow"}
QUICK = [name for name, f in CLAIMS.items() if f.claim.scale == "exact" and f.claim.minutes <= 0.02]
WHAT = {"learners": (LEARNERS, learned), "quick": (QUICK, lambda name: alone(CLAIMS[name])),
        "claims": (CLAIMS, lambda name: alone(CLAIMS[name]))}


def elsewhere(what: str, threads: int, hash_seed: int) -> subprocess.Popen:
    """The same, begun in a process of its own, in the opposite order."""
    env = {**os.environ, "PYTHONHASHSEED": str(hash_seed), "OMP_WAIT_POLICY": "passive",
           **{f"{kind}_NUM_THREADS": str(threads) for kind in ("OMP", "OPENBLAS", "MKL", "VECLIB_MAXIMUM")}}
    return subprocess.Popen([sys.executable, __file__, what, str(threads)], stdout=subprocess.PIPE, text=True, env=env)


def answer(process: subprocess.Popen) -> dict:
    out, _ = process.communicate()
    assert process.returncode == 0
    return json.loads(out)


@contextmanager
def untouched(by: str = ""):
    """No hidden generator is drawn from, no setting of the whole process is left changed."""
    def state():
        kind, keys, *rest = np.random.get_state()  # noqa: NPY002
        return (kind, keys.tobytes(), rest, random.getstate(), torch.get_rng_state().numpy().tobytes(),
                torch.get_num_threads(), torch.get_default_dtype(), torch.is_grad_enabled(), np.geterr(),
                torch.are_deterministic_algorithms_enabled(), os.getcwd(),
                sorted(v for v in os.environ.items() if not v[0].startswith("TORCHINDUCTOR_")))  # torch's, at first use

    before = state()
    yield
    for a, b in zip(before, state()):
        assert a == b, by


def alone(f) -> str:
    with untouched(f.__name__):
        return measured(f)


@pytest.fixture(scope="module")
def others():
    """Of other processes, with other hash seeds: one thread, and two."""
    return [answer(p) for p in [elsewhere("learners", 1, 1), elsewhere("learners", 2, 2)]]


# ---------------------------------------------------------------------------------------------- learners

def test_every_learner_of_the_course_is_here():
    """A generator of snapshots is a function of `cfg`, `rng` and `every`; a new one must be added to the table."""
    there = set()
    for package in (rlkit.papers, rlkit.offline):
        for m in pkgutil.iter_modules(package.__path__):
            module = importlib.import_module(f"{package.__name__}.{m.name}")
            there |= {f for _, f in inspect.getmembers(module, inspect.isfunction)
                      if f.__module__ == module.__name__ and {"rng", "every"} <= set(inspect.signature(f).parameters)}
    reached, found = set(), lambda frame, event, arg: reached.add(frame.f_code) if event == "call" else None
    sys.setprofile(found)
    try:
        with claims.one_thread():
            for name in LEARNERS:
                learned(name)
    finally:
        sys.setprofile(None)
    assert {f.__qualname__ for f in there if f.__code__ not in reached} == set() and len(there) > 20


@pytest.mark.parametrize("name", LEARNERS)
def test_a_learner_repeats_its_numbers_and_touches_no_hidden_generator(name):
    """Twice here, after other learners; the global generators are in different states each time."""
    with claims.one_thread():
        twice = []
        for noise in (1, 2):
            np.random.seed(noise), random.seed(noise), torch.manual_seed(noise)  # noqa: NPY002
            with untouched():
                twice.append(learned(name))
        assert twice[0] == twice[1] != learned(name, seed=1)


@pytest.mark.parametrize("name", LEARNERS)
def test_a_learner_gives_the_same_numbers_in_other_processes_on_one_thread_and_on_two(name, others):
    with claims.one_thread():
        assert [other[name] for other in others] == [learned(name)] * 2


@pytest.mark.parametrize("name", LEARNERS)
def test_looking_more_often_never_changes_what_is_learned(name):
    with claims.one_thread():
        often, seldom = (list(LEARNERS[name](np.random.default_rng(0), every))[-1] for every in (1, 10**6))
    assert digest(often) == digest(seldom)


# ---------------------------------------------------------------------------------------------- claims

@pytest.mark.parametrize("name", QUICK)
def test_an_exact_claim_measures_the_same_twice_and_touches_no_hidden_generator(name):
    with claims.one_thread():
        assert measured(CLAIMS[name]) == alone(CLAIMS[name])


def test_exact_claims_measure_the_same_in_another_process():
    there = answer(elsewhere("quick", 1, 3))
    with claims.one_thread():
        assert there == {name: measured(CLAIMS[name]) for name in QUICK} and len(there) > 40


@pytest.mark.slow
def test_every_claim_but_the_slow_ones_measures_the_same_in_two_processes_on_one_thread_and_on_two():
    """And touches no hidden generator and leaves no setting behind: else its process ends in red."""
    one, two = map(answer, [elsewhere("claims", 1, 4), elsewhere("claims", 2, 5)])
    assert len(one) == len(CLAIMS) and [name for name in one if one[name] != two[name]] == []


def test_importing_all_of_rlkit_touches_no_hidden_generator_and_no_setting():
    code = """if True:
        import importlib, os, pkgutil, random
        import numpy as np, torch
        state = lambda: (np.random.get_state()[1].tobytes(), np.random.get_state()[2:], random.getstate(),
                         torch.get_rng_state().numpy().tobytes(), torch.get_num_threads(), torch.get_default_dtype(),
                         torch.are_deterministic_algorithms_enabled(), np.geterr(), os.getcwd())
        before = state()
        import rlkit
        names = [m.name for m in pkgutil.walk_packages(rlkit.__path__, "rlkit.") if not m.name.endswith("__main__")]
        for name in names:
            importlib.import_module(name)
        assert state() == before and len(names) > 60
    """
    subprocess.run([sys.executable, "-c", code], check=True)


if __name__ == "__main__":
    names, numbers_of = WHAT[sys.argv[1]]
    torch.set_num_threads(int(sys.argv[2]))
    print(json.dumps({name: numbers_of(name) for name in reversed(list(names))}))
