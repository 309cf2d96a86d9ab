"""The law where it is true, and the words with which it is refused."""

from pathlib import Path

import numpy as np
import pytest

import rlkit.envs
from rlkit.papers.entropy_law import foresee, law, recorded

ENVS = Path(rlkit.envs.__file__).parent

H = np.linspace(0.9, 0.1, 20)


def test_points_on_a_curve_give_the_curve_its_ceiling_and_the_end():
    found = law(H, 0.65 - 0.26 * np.exp(H))
    assert (found.law.a, found.law.b, found.law.ceiling, found.r2) == pytest.approx((0.26, 0.65, 0.39, 1), abs=1e-9)
    early = foresee(H, 0.65 - 0.26 * np.exp(H), 9)
    assert early.predicted == pytest.approx(early.reached) and early.missed == pytest.approx(0, abs=1e-9)


def test_what_an_early_fit_misses_is_the_error_on_the_points_it_has_not_seen():
    R = 0.65 - 0.26 * np.exp(H) + np.where(np.arange(20) >= 10, 0.1, 0.0)
    early = foresee(H, R, 10)
    assert early.missed == pytest.approx(0.1) and early.reached - early.predicted == pytest.approx(0.1)


def test_r2_is_the_squared_correlation_as_of_any_line_by_least_squares():
    R = 0.65 - 0.26 * np.exp(H) + 0.05 * np.random.default_rng(3).standard_normal(len(H))
    assert 0.1 < law(H, R).r2 < 0.99
    assert law(H, R).r2 == pytest.approx(np.corrcoef(np.exp(H), R)[0, 1] ** 2, abs=1e-9)


@pytest.mark.parametrize("H, R, words", [
    (H[:5], np.linspace(0, 1, 5), "a fit needs 8 points, so far there are 5"),
    (0.5 + H / 20, np.linspace(0, 1, 20), "e\\^H has moved by"),
    (H, np.linspace(1, 0, 20), "no trade-off visible"),
    ([], [], "there are 0"),
])
def test_too_little_is_refused_with_words(H, R, words):
    import re
    found = law(H, R)
    assert found.law is None and np.isnan(found.r2) and re.search(words, found.words)


def test_a_ceiling_above_one_is_called_what_it_is():
    assert "above 1" in law(H, 1.5 - 0.4 * np.exp(H)).words


@pytest.mark.parametrize("which, runs", [("race", 5), ("large", 1)])
def test_recorded_curves_are_small_whole_and_what_the_chapter_says_of_them(which, runs):
    file = next(ENVS.glob(f"countdown_{which}.npz"))
    assert file.stat().st_size < 300_000
    curves = recorded(which)
    assert "GRPO" in curves and curves["about"]["config"]["runs"] == runs
    for name, c in curves.items():
        if name != "about":
            assert c["entropy"].shape == c["reward"].shape == (len(c["step"]), runs)
            assert c["step"][0] == 0 and all(np.isfinite(x).all() for x in c.values())
            assert (c["greedy"] <= 1).all() and (c["pass16"] >= c["pass8"]).all() and (c["pass8"] >= c["reward"]).all()
    grpo = curves["GRPO"]
    assert (grpo["entropy"][-1] < grpo["entropy"][0] / 2).all() and (grpo["reward"][-1] > grpo["reward"][0]).all()
