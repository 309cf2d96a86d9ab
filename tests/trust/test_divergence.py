"""Divergence: a learner that is driven too far stops within one snapshot and says so; Reset recovers; NaN stays NaN."""

import ast
import math
import pickle
import re
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
from learners import DATA, DISCRETE, learners, small, start

from rlkit.live.runs import Diverged, Run

LEARNERS = learners()
ABSURD = 1e30

# Whatever the step: a policy of bounded logits, weights, a clipped θ, a step of bounded length, Adam on a softmax.
BOUNDED = {
    "bayes_net_policy.learn": "softmax of logits that are as large as the step, whose gradient then is 0",
    "dichotomy_of_control.dichotomy": "Adam's step of Q, which a softmax reads",
    "entropy_mechanism.mechanism": "a softmax of finite numbers",
    "martingale_option.learn_price": "θ is kept in [0.02, 2]",
    "martingale_control.actor_critic": "no step is longer than clip",
    "martingale_online.online": "a run whose |θ| passes 10⁶ stops there, and is shown as diverged",
}
NO_STEP = {"martingale_control.policy_iteration": "one linear system, no step size",
           "martingale_control.control": "the learner that cfg.method names: by default policy iteration",
           "weighted_offline.weighted_offline": "its algorithm's settings are not knobs"}


def steps_of(cls) -> list[str]:
    return [f.name for f in fields(cls) if f.metadata.get("step")]


def a_run(name: str, **changes) -> Run:
    learner, cls = LEARNERS[name]
    long = {k: 30 for k in ("steps", "lots") if k in {f.name for f in fields(cls)}}
    if name.startswith("entropy_language"):
        long["lessons"] = 0                                               # the shipped model: a new one is never right
    cfg = small(cls, **long | changes)
    return Run(lambda cfg, rng, every: start(learner, cfg, rng, every), None, cfg, every=1)


def test_every_learner_has_a_marked_step_size_or_needs_none():
    assert {n for n, (_, cls) in LEARNERS.items() if not steps_of(cls)} | {
        "martingale_control.policy_iteration", "martingale_control.control"} == set(NO_STEP)


DRIVEN = [n for n in LEARNERS if n not in BOUNDED and n not in NO_STEP]


@pytest.mark.parametrize("name", DRIVEN)
def test_an_absurd_step_size_stops_the_run_at_once_and_is_named_and_reset_gives_an_undisturbed_run(name):
    knobs = steps_of(LEARNERS[name][1])
    run = a_run(name)
    sane = run.cfg
    run.reset(sane)
    run.pull()
    undisturbed = pickle.dumps([vars(s) if hasattr(s, "__dict__") else tuple(s) for s in run.history])
    absurd = replace(sane, **dict.fromkeys(knobs, ABSURD))
    before = run.step
    run.change(absurd)
    with pytest.raises(Diverged) as e:
        for _ in range(3):                                                # numbers of before the update may come first
            run.pull()
    says = str(e.value)
    assert re.search(r"\w.* (became (NaN|infinite)|is lost)", says) and re.search(r"step \d+|lot \d+", says)
    assert re.search("|".join(rf"\b{k}\b" for k in knobs), says) and says.endswith("then Reset"), says
    assert run.step <= before + 3
    run.reset(sane)
    run.pull()
    assert pickle.dumps([vars(s) if hasattr(s, "__dict__") else tuple(s) for s in run.history]) == undisturbed


@pytest.mark.parametrize("name", DRIVEN)
def test_a_run_that_diverges_with_nothing_moved_is_told_to_make_its_step_smaller(name):
    knobs = steps_of(LEARNERS[name][1])
    run = a_run(name, **dict.fromkeys(knobs, ABSURD))
    with pytest.raises(Diverged, match=rf"try a smaller {knobs[0]} \(it is 1e\+30\)"):
        run.reset(run.cfg)
        for _ in range(3):
            run.pull()


@pytest.mark.parametrize("name", BOUNDED)
def test_a_learner_that_is_bounded_by_construction_shows_finite_numbers_at_any_step_size(name):
    run = a_run(name, **dict.fromkeys(steps_of(LEARNERS[name][1]), ABSURD))
    run.reset(run.cfg)                                                    # Run checks every snapshot
    while run.pull():
        pass
    assert run.step >= 3
    if name == "martingale_online.online":
        assert run.history[-1].diverged.all() and (np.abs(run.history[-1].theta).max(1) > 1e6).all()


# ---- nothing turns NaN into a number

FOLDERS = ("papers", "offline", "live", "envs")
SOURCES = [p for d in FOLDERS for p in (Path(__file__).parents[2] / "rlkit" / d).glob("*.py")]
MEANT = {("martingale_experiment.py", "nan_to_num"),                      # to 10⁶, the mark of a run that diverged
         ("spec.py", "isfinite")}                                         # a gap in a picture


def test_no_source_swaps_a_number_that_is_none_for_another():
    found = set()
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            name = getattr(getattr(node, "func", None), "attr", "")
            if name in ("nan_to_num", "nansum", "nanmean", "nanmax", "nanmin", "nanmedian", "nanquantile", "fmax",
                        "fmin"):
                found.add((path.name, name))
            if name == "where" and node.args and "isfinite" in ast.unparse(node.args[0]):
                found.add((path.name, "isfinite"))
    assert found <= MEANT


@pytest.mark.parametrize("name", ["iql.iql", "td3bc.td3bc", "cql.cql", "density_ratio_weighting.density_ratio"])
def test_a_reward_that_is_nan_reaches_the_screen_as_divergence_wherever_it_sits(name):
    learner, cls = LEARNERS[name]
    table = name.endswith("density_ratio")
    data = DISCRETE if table else DATA

    class Poisoned:
        def __getattr__(self, what):
            return np.full(data.m, np.nan) if what == "reward" else getattr(data, what)

    cfg = small(cls) if table else small(cls, reward_scale=1.0)
    run = Run(lambda cfg, rng, every: learner(cfg, Poisoned(), rng, every), None, cfg, every=1)
    with pytest.raises(Diverged, match="became NaN at step 1"):
        run.reset(cfg)
        run.pull()


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_weights_that_are_none_reach_the_screen_as_divergence(bad):
    from rlkit.papers.martingale_td import Config

    run = a_run("martingale_online.online")
    online = LEARNERS["martingale_online.online"][0]
    run.learner = lambda cfg, rng, every: online(cfg, rng, every, np.array([bad, 0.0]))
    with pytest.raises(Diverged, match="theta became"):
        run.reset(small(Config))


def test_the_knob_moved_last_is_named_before_the_step_size():
    run = a_run("entropy_mechanism.mechanism")
    run.reset(run.cfg)
    run.change(replace(run.cfg, eta=1.0))
    run.change(replace(run.cfg, alpha=0.2))
    assert run.advice().startswith("put alpha back towards 0")
