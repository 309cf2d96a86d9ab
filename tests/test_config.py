"""Settings: what a Config refuses, what a slider and a presets button need to know about it."""

from dataclasses import FrozenInstanceError, dataclass, replace

import numpy as np
import pytest

from rlkit.config import accept, changed, check, knob, knobs, needs_restart


@dataclass(frozen=True)
class Config:
    alpha: float = knob(0.1, 0.01, 10, log=True, symbol="α", says="temperature", unit="", above=0)
    sigma: float = knob(0.05, 0.01, 0.5, symbol="σ", restart=True, least=0, most=1)
    scheme: str = knob("rw", choices=("uniform", "rw", "aw"))
    size: int = knob(200, 10, 500, restart=True, least=1)
    rich: bool = knob(False)
    lam: float = knob(1.0, 0.1, 10, above=0, most=float("inf"), step=True)
    note: str = "no knob"                                                 # a plain field is a setting without a slider
    __post_init__ = check


def test_the_defaults_are_valid_and_frozen():
    cfg = Config()
    assert (cfg.alpha, cfg.sigma, cfg.scheme, cfg.size, cfg.rich) == (0.1, 0.05, "rw", 200, False)
    with pytest.raises(FrozenInstanceError):
        cfg.alpha = 1.0


def test_a_whole_number_is_taken_for_a_float_and_equal_settings_are_equal():
    cfg = Config(alpha=1)
    assert type(cfg.alpha) is float and cfg == Config(alpha=1.0) and hash(cfg) == hash(Config(alpha=1.0))


def test_valid_is_wider_than_the_slider():
    assert replace(Config(), alpha=1e6).alpha == 1e6
    assert replace(Config(), sigma=0.0).sigma == 0 and replace(Config(), sigma=1.0).sigma == 1
    assert replace(Config(), lam=float("inf")).lam == float("inf")        # a limit of the method, not an error


@pytest.mark.parametrize("change, kind, says", [
    (dict(alpha=0.0), ValueError, "alpha is 0.0, expected > 0; try alpha=0.1"),
    (dict(alpha=float("inf")), ValueError, "alpha is inf, expected a finite number, at most 1e+30 in size"),
    (dict(alpha=1e31), ValueError, "alpha is 1e+31, expected a finite number"),
    (dict(size=50_001), ValueError, "size is 50001, expected ≤ 50000, 100 times what its slider goes to"),
    (dict(alpha=-1), ValueError, "alpha is -1.0, expected > 0"),
    (dict(alpha=float("nan")), ValueError, "alpha is NaN, expected a number; try alpha=0.1"),
    (dict(sigma=1.5), ValueError, "sigma is 1.5, expected ≥ 0 and ≤ 1; try sigma=0.05"),
    (dict(sigma=-0.1), ValueError, "sigma is -0.1, expected ≥ 0 and ≤ 1"),
    (dict(scheme="RW"), ValueError, "scheme is 'RW', expected one of 'uniform', 'rw', 'aw'"),
    (dict(size=0), ValueError, "size is 0, expected ≥ 1; try size=200"),
    (dict(size=10.0), TypeError, "size is 10.0, expected int; try size=200"),
    (dict(size=True), TypeError, "size is True, expected int"),
    (dict(alpha="0.1"), TypeError, "alpha is '0.1', expected float; try alpha=0.1"),
    (dict(alpha=True), TypeError, "alpha is True, expected float"),
    (dict(rich=1), TypeError, "rich is 1, expected bool"),
    (dict(scheme=1), TypeError, "scheme is 1, expected str"),
    (dict(note=3), TypeError, "note is 3, expected str"),
], ids=str)
def test_a_setting_that_is_not_valid_is_refused_with_a_way_out(change, kind, says):
    for build in (lambda: Config(**change), lambda: replace(Config(), **change)):
        with pytest.raises(kind) as error:
            build()
        assert str(error.value).startswith(says)


@pytest.mark.parametrize(("name", "says"), [("size", "expected ≤ 50000"), ("alpha", "expected a float")])
def test_a_number_that_python_would_not_even_print_is_refused_in_words(name, says):
    with pytest.raises(ValueError, match=f"{name} is a number of 5001 digits, {says}"):
        Config(**{name: 10**5000})


def test_a_misspelt_setting_is_refused():
    with pytest.raises(TypeError, match="alhpa"):
        Config(alhpa=0.1)


def test_knobs_are_the_fields_with_a_control_in_order():
    all_knobs = knobs(Config())
    assert list(all_knobs) == ["alpha", "sigma", "scheme", "size", "rich", "lam"]
    assert all_knobs == knobs(Config)                                     # of the class as of an instance
    alpha = all_knobs["alpha"]
    assert (alpha["default"], alpha["low"], alpha["high"], alpha["log"], alpha["symbol"]) == (0.1, 0.01, 10, True, "α")
    assert all_knobs["scheme"]["choices"] == ("uniform", "rw", "aw")


def test_knobs_hands_out_copies():
    knobs(Config())["alpha"]["low"] = -1
    assert knobs(Config())["alpha"]["low"] == 0.01


def test_changed_names_the_difference_and_only_it():
    base = Config()
    assert changed(base, base) == {} == changed(Config(alpha=float("0.1")), base)
    assert changed(replace(base, alpha=1, note="x"), base) == {"alpha": 1.0, "note": "x"}


def test_only_restart_fields_need_a_restart():
    base = Config()
    assert not needs_restart(replace(base, alpha=1.0, scheme="aw", rich=True, note="x"), base)
    assert needs_restart(replace(base, sigma=0.1), base) and needs_restart(replace(base, size=11), base)
    assert not needs_restart(base, base)


@pytest.mark.parametrize("value", [np.float64(0.3), np.float32(0.5)])
def test_a_number_of_numpy_is_a_number(value):
    assert replace(Config(), alpha=value).alpha == float(value)


def test_a_whole_number_of_numpy_is_a_whole_number():
    assert replace(Config(), size=np.int64(30)).size == 30


@dataclass(frozen=True)
class Graph:
    n: int = knob(3, 2, 5)
    edges: tuple = knob(((0, 1),), graph="n")
    __post_init__ = check


def test_edges_are_sorted_pairs_of_whole_numbers_however_they_are_given():
    given = Graph(edges=[[1, 2], (0, np.int64(1)), (1.0, 2)])
    assert given.edges == ((0, 1), (1, 2)) and {type(v) for e in given.edges for v in e} == {int}
    assert given == Graph(edges=((0, 1), (1, 2))) and hash(given) == hash(Graph(edges=((0, 1), (1, 2))))


@pytest.mark.parametrize("edges, word", [(3, "pairs"), (((0, 1, 2),), "pairs"), ("01", "pairs"), (((0, 0.5),), "pairs"),
                                         (((1, 1),), "two different"), (((0, -1),), "two different"),
                                         (((0, float("nan")),), "pairs"),
                                         (((0, float("inf")),), "pairs"), (None, "pairs")])
def test_what_is_not_an_edge_is_refused_with_the_way_out(edges, word):
    with pytest.raises((TypeError, ValueError), match=word) as e:
        Graph(edges=edges)
    assert "edges" in str(e.value)


def test_a_learner_goes_on_with_what_it_was_sent_unless_that_needs_a_new_run():
    cfg = Config()
    assert accept(None, cfg) is cfg
    sent = replace(cfg, alpha=1.0)
    assert accept(sent, cfg) is sent
    with pytest.raises(ValueError, match="sigma, size cannot change in mid-run"):
        accept(replace(cfg, alpha=1.0, sigma=0.1, size=7), cfg)
