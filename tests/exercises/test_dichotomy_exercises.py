"""Exercises of chapter 2: their solutions hold, and near misses do not."""

import numpy as np
import pytest

from rlkit.exercises import dichotomy_of_control as ex


@pytest.mark.parametrize("name", ["posterior", "price", "data", "rival"])
def test_the_solution_solves_the_exercise(name):
    exercise = getattr(ex, name)
    assert exercise.check(exercise.solution), exercise.check(exercise.solution)


@pytest.mark.parametrize("name, answer", [
    ("posterior", lambda pi_D, chance: chance / max(chance.sum(), 1e-9)),
    ("posterior", lambda pi_D, chance: pi_D * chance / (pi_D * chance).sum() if chance.any() else np.full(2, 0.5)),
    ("price", 2.0), ("price", 30.0), ("data", 800), ("data", 100), ("data", 300), ("rival", dict(n=500.0)),
    ("rival", dict(K=1.0, beta=1.0)), ("rival", dict(method="VAE")), ("rival", dict(k=1))])
def test_the_answer_one_gives_first_is_refused(name, answer):
    assert not getattr(ex, name).check(answer)
