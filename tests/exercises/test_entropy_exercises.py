"""Exercises of chapter 5: their solutions hold, and near misses do not."""

import numpy as np
import pytest

from rlkit.exercises import entropy_mechanism as ex
from rlkit.policies import entropy_step


@pytest.mark.parametrize("name", ["two", "k", "ceiling", "broken"])
def test_the_solution_solves_the_exercise(name):
    exercise = getattr(ex, name)
    assert exercise.check(exercise.solution), exercise.check(exercise.solution)


def count_of_all(c, share):
    return share


def uniform():
    return np.zeros(20)


def hopeless():
    z = np.zeros(20)
    z[10] = 12.0
    return z


@pytest.mark.parametrize("name, answer", [
    ("two", lambda p, dz1, dz2: -ex.two_actions(p, dz1, dz2)), ("k", count_of_all), ("broken", uniform),
    ("broken", hopeless), ("ceiling", (ex.ceiling.solution[0], "at")), ("ceiling", (1.0, "above"))])
def test_the_answer_one_gives_first_is_refused(name, answer):
    assert not getattr(ex, name).check(answer)


def test_two_actions_are_the_lemma_of_the_package():
    p = 0.83
    assert ex.two_actions(p, 0.4, -0.1) == pytest.approx(entropy_step([p, 1 - p], [0.4, -0.1]).first)


def test_the_run_really_ends_above_what_its_first_third_promises():
    H, R = ex.run()
    np.testing.assert_array_equal(ex.first_third()[1], R[:33])
    assert R[-1] > ex.ceiling.solution[0] + 0.02 and H[-1] < H[32]


def test_steepest_descent_of_entropy_is_where_the_solution_says():
    p = np.linspace(0.5, 0.999, 2000)
    assert p[ex.two_actions(p, 1.0, 0.0).argmin()] == pytest.approx(0.82, abs=0.005)
