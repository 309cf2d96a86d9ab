"""Settings as controls."""

import dataclasses
import math
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlkit.config import check, knob
from rlkit.live.controls import NOTCHES, controls, difference, number, python

from .conftest import Config


@dataclass(frozen=True)
class Odd:
    """Every kind of field."""

    a: float = knob(0.05, 0.0, 1.0, unit="nats", says="share")
    b: float = knob(3e-4, 1e-5, 1e-1, log=True, above=0)
    c: int = knob(64, 1, 4096, log=True)
    d: int = knob(3, 0, 12)
    e: bool = knob(False, says="a switch: this way or that")
    f: str = knob("x", choices=("x", "y"))
    g: float = knob(math.inf, 0.1, 10.0, above=0, most=math.inf)
    h: tuple = knob(((0, 1),), graph=3, says="edges")
    hidden: float = knob(1.0)
    plain: float = 2.0
    seed: int = knob(7)
    __post_init__ = check


ALL = {c.name: c for c in controls(Odd())[0]}


def test_every_knob_with_a_range_or_choices_is_a_control_and_nothing_else_is():
    assert {n: c.kind for n, c in ALL.items()} == dict(
        a="slider", b="slider", c="slider", d="slider", e="switch", f="choice", g="slider", h="graph",
        seed="seed")


@pytest.mark.parametrize("name", ALL)
def test_every_stop_is_a_valid_setting_that_comes_back_to_its_own_position(name):
    control = ALL[name]
    if control.kind == "seed":
        assert control.at(41) == 41 and control.value(41) == 41 and control.value(10**9) == 9999
        return
    if control.kind == "graph":
        assert control.value(control.at(((0, 2), (1, 2)))) == ((0, 2), (1, 2)) and control.value([]) == ()
        assert control.text(((0, 2), (1, 2))) == "0 → 2, 1 → 2" and control.text(()) == "no edge"
        assert control.nodes(Odd()) == 3
        return
    for i, value in enumerate(control.stops):
        assert getattr(dataclasses.replace(Odd(), **{name: value}), name) == value
        assert control.at(value) == i and control.value(i) == value and type(control.value(i)) is type(value)


@pytest.mark.parametrize("name", ["a", "b", "c", "d"])
def test_a_slider_reaches_both_ends_and_the_default(name):
    stops, field = ALL[name].stops, Odd.__dataclass_fields__[name]
    assert stops[0] == field.metadata["low"] and stops[-1] == field.metadata["high"] and field.default in stops
    assert list(stops) == sorted(set(stops)) and len(stops) <= NOTCHES * 2 + 1


def test_presets_are_reached_exactly():
    (control, *_), _ = controls(Odd(), ["a"], {"p": Odd(a=0.123456)})
    assert 0.123456 in control.stops


def test_a_value_between_the_stops_shows_itself_at_the_nearest():
    assert ALL["b"].text(2.345e-4) == "2.34e−4" or ALL["b"].text(2.345e-4) == "2.35e−4"
    near = ALL["b"].stops[ALL["b"].at(2.345e-4)]
    assert near == pytest.approx(2.345e-4, rel=0.08)
    assert ALL["g"].text(math.inf) == "∞" and ALL["g"].at(math.inf) == len(ALL["g"].stops) - 1
    assert ALL["a"].at(math.inf) == len(ALL["a"].stops) - 1


@pytest.mark.parametrize(("value", "text"), [
    (0.05, "0.05"), (3e-4, "3e−4"), (1.5e-5, "1.5e−5"), (12000, "12\u202f000"), (1.0, "1"), (-0.25, "−0.25"),
    (123.456, "123"), (math.inf, "∞"), (0, "0"), (2500.0, "2500"), ("plain", "plain"), (1.23456e8, "1.23e8"),
])
def test_numbers_have_three_digits(value, text):
    assert number(value) == text


def test_units_and_switches_are_said():
    assert ALL["a"].text(0.5) == "0.5 nats" and ALL["e"].text(True) == "on"


def test_the_order_asked_for_stands_in_front_and_the_rest_is_folded():
    made, front = controls(Odd(), ["f", "a"])
    assert [c.name for c in made[:front]] == ["f", "a"] and len(made) == len(ALL)
    with pytest.raises(ValueError, match="knobs names 'zzz', expected some of a, b"):
        controls(Odd(), ["zzz"])


@given(a=st.floats(0.01, 10), s=st.floats(0, 1), rule=st.sampled_from(["plain", "momentum"]), seed=st.integers(0, 999))
def test_the_line_of_python_rebuilds_the_settings(a, s, rule, seed):
    cfg = Config(alpha=a, sigma=s, rule=rule, seed=seed)
    assert eval(python(cfg)) == cfg  # noqa: S307
    odd = Odd(g=math.inf, b=a)
    assert eval(python(odd)) == odd  # noqa: S307


def test_a_difference_names_only_what_differs():
    made, _ = controls(Config())
    assert difference(Config(alpha=1.0, runs=4), Config(), made) == "α 1, R 4"
    assert difference(Config(), Config(), made) == ""
