"""Exercises of chapter 4: their solutions hold, and near misses do not."""

import numpy as np
import pytest

from rlkit.exercises import bayes_net_policy as ex
from rlkit.papers.bayes_net_policy import Config


@pytest.mark.parametrize("name", ["write", "sparsest", "one_way", "farewell"])
def test_the_solution_solves_the_exercise(name):
    exercise = getattr(ex, name)
    assert exercise.check(exercise.solution), exercise.check(exercise.solution)


def deaf(p0, p1, R):
    """A parent that takes its child for somebody who plays the same whatever it does."""
    q0 = R @ (p0 @ p1)
    return p0 * (q0 - p0 @ q0), ex.gradient(p0, p1, R)[1]


def everywhere(p0, p1, R):
    """A child that learns in rows that nobody plays."""
    return ex.gradient(p0, p1, R)[0], p1 * (R - (p1 * R).sum(1, keepdims=True))


@pytest.mark.parametrize("name, answer", [
    ("write", deaf), ("write", everywhere), ("sparsest", ((0, 1), (2, 3))), ("sparsest", ((0, 1), (2, 1), (2, 3))),
    ("sparsest", ((0, 1), (0, 2), (1, 2), (2, 3))), ("sparsest", ((0, 1), (1, 0))),
    ("one_way", [[11, -30, 0], [-30, 7, 6], [0, 0, 5]]), ("one_way", np.full((4, 4), 5.0)),
    ("farewell", Config(game="penalty", k=100.0, method="NPG", alpha=0.05, steps=1000, schedule="linear")),
    ("farewell", Config(game="penalty", k=100.0)), ("farewell", "linear")])
def test_the_answer_one_gives_first_is_refused(name, answer):
    assert not getattr(ex, name).check(answer)
