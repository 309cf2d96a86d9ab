"""Exercises of chapter 3: their solutions hold, and near misses do not."""

import numpy as np
import pytest

from rlkit.exercises import martingale_td as ex
from rlkit.papers.martingale_exact import ou_theta, ou_trace


@pytest.mark.parametrize("name", ["place", "per_step", "budget", "word", "steer"])
def test_the_solution_solves_the_exercise(name):
    exercise = getattr(ex, name)
    assert exercise.check(exercise.solution), exercise.check(exercise.solution)


def detached(J, J_next, pay):
    return 0.5 * ((getattr(J_next, "detach", lambda: J_next)() - J + pay) ** 2).mean()


@pytest.mark.parametrize("name, answer", [
    ("place", lambda eta, beta, kappa: 1 / (beta + 2 * kappa)), ("per_step", 5 / 9), ("budget", (0.01, 0.01)),
    ("budget", (0.05, 0.4)), ("word", detached)])
def test_the_answer_one_gives_first_is_refused(name, answer):
    assert not getattr(ex, name).check(answer)


def test_the_limits_asked_for_are_those_of_the_package():
    assert ex.limit(0.5) == pytest.approx(ou_theta("mid", 0.0)[0]) and ou_trace(np.inf) == pytest.approx(3 / 7)
