"""Exercises of chapter 1: their solutions hold, and the answers one gives first do not."""

import numpy as np
import pytest

from rlkit.exercises import trajectory_weighting as ex


@pytest.mark.parametrize("name", ["weights", "winner", "temperature", "gamble"])
def test_the_solution_solves_the_exercise(name):
    exercise = getattr(ex, name)
    assert exercise.check(exercise.solution), exercise.check(exercise.solution)


@pytest.mark.parametrize(
    "wrong, property",
    [
        (lambda G, alpha: G / G.sum(), "exp(1/α)"),
        (lambda G, alpha: np.exp(G / alpha) / np.exp(G / alpha).sum(), "exp(1/α)"),
        (lambda G, alpha: np.ones(len(G)), "sum to one"),
    ],
)
def test_weights_that_are_often_written_are_told_what_is_wrong(wrong, property):
    with np.errstate(all="ignore"):
        result = ex.weights.check(wrong)
    assert not result and property in result.headline


@pytest.mark.parametrize("answer", [(0.002, "b"), (0.05, "a"), (10.0, "b")])
def test_the_smallest_temperature_and_the_wrong_reason_are_refused(answer):
    assert not ex.temperature.check(answer)


@pytest.mark.parametrize("answer", [(0.6, 1.0, 0.9), (0.6, 1.0, 0.001), (0.6, 0.5, 0.3)])
def test_a_good_gamble_a_hopeless_one_and_a_dominated_one_do_not_break_the_method(answer):
    assert not ex.gamble.check(answer)
