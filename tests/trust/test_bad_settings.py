"""Bad settings: whatever a Config is given is refused in words, gives finite numbers or is told to have diverged."""

import math
import re
import warnings
from dataclasses import fields, replace
from decimal import Decimal
from fractions import Fraction
from itertools import product

import numpy as np
import pytest
from learners import configs, learners, small, start

from rlkit.live.runs import Diverged, Run

CONFIGS, LEARNERS = configs(), learners()
INF, NAN = math.inf, math.nan
REALS = [0.0, -1.0, 1e-300, 1e-12, 1e-3, 1.0, 1e3, 1e12, 1e30, 1e300, INF, -INF, NAN]
WHOLE = [0, -1, 1, 2, 10**9, 10**400]
FEW = {float: [0.0, 1e-12, 1e12, 1e30], int: [0, 1]}                      # what is not refused already when it is made
EVERY = pytest.mark.parametrize("name", LEARNERS)
SLOW_TO_START = {"compare": 3, "doc": 4, "weighted_offline": 4}           # of these learners each third case, or fourth


def values(field, few: bool) -> list:
    kind = type(field.default)
    if field.metadata.get("choices"):
        return list(field.metadata["choices"])
    return [True, False] if kind is bool else (FEW if few else {float: REALS, int: WHOLE}).get(kind, [])


def play(name: str, cfg) -> str:
    """Two snapshots in a Run: "fine", "diverged" or "refused"; anything else is an error of ours, or a warning."""
    learner, _ = LEARNERS[name]
    run = Run(lambda cfg, rng, every: start(learner, cfg, rng, every), None, cfg, every=1)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            warnings.filterwarnings("ignore", message="V has .* coefficients")       # ours, and meant
            run.reset(cfg)
            run.pull()
    except Diverged as e:
        assert re.search(r"at step|near step|by step|by lot", str(e)) and "then Reset" in str(e), e
        return "diverged"
    except ValueError as e:
        assert "expected" in str(e), e
        return "refused"
    finally:
        run.close()
    return "fine"


def fuzz(name: str, few: bool) -> list[str]:
    _, cls = LEARNERS[name]
    seen, known = [], {f.name for f in fields(cls)}
    for f in fields(cls):
        for v in values(f, few)[:: SLOW_TO_START.get(name.split(".")[1], 1) if few else 1]:
            try:
                cfg = small(cls, **{f.name: v})
            except (TypeError, ValueError) as e:
                assert known & set(re.findall(r"\w+", str(e))) and "expected" in str(e), (f.name, v, e)
                seen.append("refused")
                continue
            if v == "halfcheetah":
                continue                                                  # needs MuJoCo, and seconds
            try:
                seen.append(play(name, cfg))
            except Exception as e:
                raise AssertionError(f"{name} with {f.name} = {v!r}: {type(e).__name__}: {e}") from e
    return seen


@EVERY
def test_an_extreme_value_of_any_one_setting_is_refused_in_words_or_learned_with_in_finite_numbers(name):
    assert "fine" in fuzz(name, few=True)


@pytest.mark.slow
@EVERY
def test_every_value_of_a_long_list_in_every_field_is_refused_in_words_or_learned_with(name):
    assert {"fine", "refused"} <= set(fuzz(name, few=False))


@pytest.mark.parametrize("name", CONFIGS)
def test_no_field_takes_a_value_of_another_type_and_the_error_names_the_field(name):
    cls = CONFIGS[name]
    for f in fields(cls):
        for wrong in ["x" if type(f.default) is not str else 3, None, [1], {}, 1j, Decimal(1), object(), b"1", NAN,
                      np.array([1.0, 2.0])]:
            if (f.name == "max_steps" and wrong is None) or (f.name == "edges" and isinstance(wrong, dict)):
                continue
            with pytest.raises((TypeError, ValueError), match=rf"\b{f.name}\b.*(expected|NaN)"):
                cls(**{f.name: wrong})


@pytest.mark.parametrize("name", CONFIGS)
def test_numbers_of_numpy_and_fractions_are_numbers_and_equal_settings_stay_equal(name):
    cls = CONFIGS[name]
    for f in fields(cls):
        for kind in {float: (np.float64, np.float16, Fraction), int: (np.int64, np.uint8)}.get(type(f.default), ()):
            v = getattr(small(cls), f.name)
            if not math.isfinite(v) or (kind is np.uint8 and v > 255):
                continue
            try:
                same = small(cls, **{f.name: kind(v)})
            except ValueError as e:                                       # 16 bits round a bound away
                assert kind is np.float16 and "expected" in str(e)
                continue
            got = getattr(same, f.name)
            assert type(got) is type(f.default) and got == float(kind(v)) and hash(same) is not None


@pytest.mark.parametrize("name", CONFIGS)
def test_a_misspelt_setting_is_refused_by_name(name):
    for build in (lambda: CONFIGS[name](alhpa=0.1), lambda: replace(small(CONFIGS[name]), alhpa=0.1)):
        with pytest.raises(TypeError, match="alhpa"):
            build()


@pytest.mark.parametrize("name", CONFIGS)
def test_no_whole_number_that_counts_something_is_without_a_bound(name):
    for f in fields(CONFIGS[name]):
        if type(f.default) is int and f.name != "seed":
            with pytest.raises(ValueError, match=rf"\b{f.name} is (1000000000|a number)"):
                small(CONFIGS[name], **{f.name: 10**9})


@EVERY
def test_what_cannot_change_in_mid_run_is_refused_by_name_and_never_half_taken(name):
    learner, cls = LEARNERS[name]
    cfg = small(cls)
    g = start(learner, cfg)
    next(g)
    tried = 0
    for f in fields(cls):
        if not f.metadata.get("restart"):
            continue
        for v in [*values(f, True), *([getattr(cfg, f.name) * k for k in (1.5, 2)] if type(f.default) is float else []),
                  *([getattr(cfg, f.name) + k for k in (1, -1)] if type(f.default) is int else [])]:
            try:
                other = replace(cfg, **{f.name: v})
            except (TypeError, ValueError):
                continue
            if other != cfg:
                with pytest.raises(ValueError, match=f"{f.name} cannot change in mid-run"):
                    g.send(other)
                tried += 1
                g = start(learner, cfg)
                next(g)
                break
    g.close()
    assert tried > 0


@EVERY
def test_one_run_of_one_step_on_sizes_of_one_learns_or_says_why_not(name):
    _, cls = LEARNERS[name]
    cfg = small(cls)
    for f in fields(cls):                                                 # one after another, as far as they are valid
        if type(f.default) is int and f.name not in ("seed", "rescue", "sign"):
            try:
                cfg = replace(cfg, **{f.name: 1})
            except ValueError as e:
                assert "expected" in str(e)
    assert play(name, cfg) in ("fine", "refused")


@EVERY
def test_every_choice_can_be_switched_to_every_other_in_mid_run(name):
    learner, cls = LEARNERS[name]
    live = {f.name: values(f, True) for f in fields(cls)
            if not f.metadata.get("restart") and f.metadata and (f.metadata.get("choices") or type(f.default) is bool)}
    cfg = small(cls, **{k: 40 for k in ("steps", "lots", "iterations") if k in {f.name for f in fields(cls)}})
    g = start(learner, cfg)
    next(g)
    for combination in list(product(*live.values()))[:30]:
        snap = g.send(replace(cfg, **dict(zip(live, combination))))
        assert np.isfinite(snap.step)
    g.close()


# ---- graphs

GRAPHS = {"a cycle of two": ((0, 1), (1, 0)), "a cycle of three": ((0, 1), (1, 2), (2, 0)), "a self-loop": ((1, 1),),
          "a node that is not there": ((0, 3),), "a negative node": ((-1, 0),)}


@pytest.mark.parametrize("kind", GRAPHS)
def test_a_graph_that_is_none_is_refused_and_the_last_valid_one_keeps_running(kind):
    from rlkit.papers.bayes_net_policy import Config, learn

    cfg = Config(n=3, game="permutation", edges=((0, 1),), runs=2, steps=5)
    g = learn(cfg, np.random.default_rng(0), 1)
    next(g)
    with pytest.raises(ValueError, match=r"not a DAG: \d → |not there|two different nodes"):
        g.send(replace(cfg, edges=GRAPHS[kind]))
    assert next(g).step == 1 and cfg.edges == ((0, 1),)                   # the refusal never reached the learner


def test_all_64_graphs_of_three_agents_are_either_one_of_the_25_without_a_cycle_or_refused_with_the_loop_named():
    from rlkit.papers.bayes_net_policy import Config

    arrows, fine = [(i, j) for i in range(3) for j in range(3) if i != j], 0
    for bits in product((0, 1), repeat=6):
        edges = tuple(e for e, b in zip(arrows, bits) if b)
        try:
            Config(n=3, game="permutation", edges=edges)
            fine += 1
        except ValueError as e:
            loop = [int(v) for v in re.search(r"not a DAG: ([\d → ]+);", str(e)).group(1).split(" → ")]
            assert loop[0] == loop[-1] and all(e in edges for e in zip(loop, loop[1:]))
    assert fine == 25                                                     # Robinson's count of labelled DAGs


def test_edges_of_two_nodes_with_three_agents_taken_away_are_refused_with_the_agent_named():
    from rlkit.papers.bayes_net_policy import Config

    with pytest.raises(ValueError, match="0 → 2 names an agent that is not there"):
        replace(Config(n=3, game="permutation", edges=((0, 2),)), n=2)
