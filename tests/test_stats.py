"""Statistics over runs against SciPy and closed forms, and intervals that hold what they promise."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from rlkit.stats import bootstrap_ci, fit_exp_entropy, iqm, loglog_slope, median_band, prob_improve, spearman

seeds = given(seed=st.integers(0, 2**32 - 1))
many = settings(max_examples=40, deadline=None)


@seeds
@many
def test_iqm_is_scipys_trimmed_mean(seed):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rng.integers(1, 12), rng.integers(1, 9)))
    assert iqm(x) == pytest.approx(scipy_stats.trim_mean(x, 0.25, axis=None), rel=1e-12)
    np.testing.assert_allclose(iqm(x, 0), scipy_stats.trim_mean(x, 0.25, axis=0), rtol=1e-12)
    np.testing.assert_allclose(iqm(x, 1), scipy_stats.trim_mean(x, 0.25, axis=1), rtol=1e-12)


def test_iqm_does_not_see_the_best_and_the_worst_quarter():
    assert iqm([0, 1, 2, 3]) == iqm([-1e9, 1, 2, 1e9]) == 1.5
    assert iqm([5.0]) == 5.0


@seeds
@many
def test_spearman_is_scipys_ties_included(seed):
    rng = np.random.default_rng(seed)
    x, y = rng.integers(0, 5, (2, 20))                                    # many ties
    assert spearman(x, y) == pytest.approx(scipy_stats.spearmanr(x, y).statistic, abs=1e-12)
    assert spearman(x, np.exp(x)) == pytest.approx(1) and spearman(x, -x) == pytest.approx(-1)


@seeds
@many
def test_prob_improve_is_the_mann_whitney_statistic_of_each_task(seed):
    rng = np.random.default_rng(seed)
    x, y = rng.integers(0, 4, (7, 3)), rng.integers(0, 4, (5, 3))
    u = [scipy_stats.mannwhitneyu(x[:, k], y[:, k]).statistic / 35 for k in range(3)]
    assert prob_improve(x, y) == pytest.approx(np.mean(u))
    assert prob_improve(x, y) + prob_improve(y, x) == pytest.approx(1)
    assert prob_improve(x[:, 0], y[:, 0]) == pytest.approx(u[0])
    assert prob_improve(x + 9, y) == 1


def test_median_band_holds_the_middle_half_of_the_runs():
    x = np.arange(9.0)[:, None] * [1, -1]                                 # 0 … 8 and its mirror image
    band = median_band(x)
    assert band.mid.tolist() == [4, -4] and band.low.tolist() == [2, -6] and band.high.tolist() == [6, -2]
    assert (median_band(x.T, axis=1).low == band.low).all()
    whole, one = median_band(x, share=1.0), median_band(x[:1])
    assert (whole.low == x.min(0)).all() and (whole.high == x.max(0)).all()
    assert (one.low == one.mid).all() and (one.high == one.mid).all()


# ---- bootstrap -----------------------------------------------------------------------------------------------------

def test_the_bootstrap_interval_is_scipys_percentile_interval():
    x = np.random.default_rng(0).exponential(size=30)
    low, high = bootstrap_ci(x, np.random.default_rng(1), n=20_000)
    theirs = scipy_stats.bootstrap((x,), np.mean, n_resamples=20_000, method="percentile",
                                   random_state=np.random.default_rng(2)).confidence_interval
    # an estimated 2.5 % quantile has standard error sqrt(.025 · .975 / n) / density: 0.018 standard errors of the mean
    four = 4 * 2**0.5 * 0.02 * x.std() / 30**0.5
    assert low == pytest.approx(theirs.low, abs=four) and high == pytest.approx(theirs.high, abs=four)


def test_the_bootstrap_of_two_runs_is_known_in_full():
    x = np.array([0.0, 1.0])                                              # means 0, ½, 1 with chances ¼, ½, ¼
    assert bootstrap_ci(x, np.random.default_rng(0), level=0.9) == (0, 1)
    assert bootstrap_ci(x, np.random.default_rng(0), level=0.4) == (0.5, 0.5)


def test_the_interval_holds_the_truth_about_as_often_as_it_says():
    rng = np.random.default_rng(3)
    held = 0
    for _ in range(300):
        low, high = bootstrap_ci(rng.normal(size=40), rng, n=300)
        held += low <= 0 <= high
    # it reaches 1.96 s / √n to each side with the s that divides by n, where Student's would be wider: 94 %
    covers = 1 - 2 * scipy_stats.t.sf(1.96 * (39 / 40) ** 0.5, 39)
    assert held / 300 == pytest.approx(covers, abs=4 * (covers * (1 - covers) / 300) ** 0.5)


def test_strata_resample_each_task_on_its_own():
    x = np.array([[0.0, 1.0], [1.0, 0.0]])                                # a run that wins one task loses the other
    rows = bootstrap_ci(x, np.random.default_rng(0))
    each = bootstrap_ci(x, np.random.default_rng(0), strata=True)
    assert rows == (0.5, 0.5) and each == (0, 1)                          # (0, 0) and (1, 1) have a chance of 1/16 each


def test_a_curve_gets_an_interval_at_each_point_and_the_same_seed_the_same_interval():
    x = np.random.default_rng(4).normal(size=(8, 5))
    low, high = bootstrap_ci(x, np.random.default_rng(0), lambda x: x.mean(0))
    assert low.shape == high.shape == (5,) and (low < x.mean(0)).all() and (x.mean(0) < high).all()
    again = bootstrap_ci(x, np.random.default_rng(0), lambda x: x.mean(0))
    assert (again[0] == low).all() and (again[1] == high).all()


# ---- fits ----------------------------------------------------------------------------------------------------------

def test_loglog_slope_is_the_order_of_a_power_with_the_interval_of_scipy():
    rng = np.random.default_rng(5)
    h = 2.0 ** -np.arange(8)
    exact = loglog_slope(h, 3 * h**2)
    assert exact.slope == pytest.approx(2) and exact.factor == pytest.approx(3)
    assert exact.high - exact.low < 1e-12
    y = 3 * h**2 * np.exp(rng.normal(0, 0.2, 8))
    ours, theirs = loglog_slope(h, y, level=0.9), scipy_stats.linregress(np.log(h), np.log(y))
    half = scipy_stats.t.ppf(0.95, 6) * theirs.stderr
    assert ours.slope == pytest.approx(theirs.slope) and np.log(ours.factor) == pytest.approx(theirs.intercept)
    assert (ours.low, ours.high) == pytest.approx((theirs.slope - half, theirs.slope + half))


def test_the_law_of_entropy_gives_back_its_coefficients():
    H = np.linspace(0.05, 2, 12)
    fit = fit_exp_entropy(H, -0.2 * np.exp(H) + 0.7)
    assert (fit.a, fit.b, fit.ceiling) == pytest.approx((0.2, 0.7, 0.5))
    assert fit.rmse < 1e-12 and fit.at(0.0) == pytest.approx(0.5) and fit.at(H).shape == (12,)


def test_the_intervals_of_the_law_are_scipys_and_hold_the_truth_as_often_as_they_say():
    rng = np.random.default_rng(6)
    H, n = np.linspace(0.1, 1.5, 10), 400
    held = np.zeros(3)
    for _ in range(n):
        R = -0.2 * np.exp(H) + 0.7 + rng.normal(0, 0.02, 10)
        fit = fit_exp_entropy(H, R)
        held += [fit.a_low <= 0.2 <= fit.a_high, fit.b_low <= 0.7 <= fit.b_high,
                 fit.ceiling_low <= 0.5 <= fit.ceiling_high]
    line = scipy_stats.linregress(np.exp(H), R)
    t = scipy_stats.t.ppf(0.975, 8)
    assert (fit.a, fit.a_low) == pytest.approx((-line.slope, -line.slope - t * line.stderr))
    assert (fit.b, fit.b_high) == pytest.approx((line.intercept, line.intercept + t * line.intercept_stderr))
    four = 4 * (0.95 * 0.05 / n) ** 0.5                                   # Student intervals of normal noise are exact
    assert held / n == pytest.approx([0.95] * 3, abs=four)


def test_a_curve_that_the_law_does_not_describe_is_refused_in_words():
    H = np.linspace(0.1, 1.5, 10)
    with pytest.raises(ValueError, match="a = -0.3, expected > 0: R does not fall as entropy rises.*fit the part"):
        fit_exp_entropy(H, 0.3 * np.exp(H))
    with pytest.raises(ValueError, match="there are 3 points, expected at least 4"):
        fit_exp_entropy(H[:3], H[:3])
    with pytest.raises(ValueError, match="H has 2 different values in 4 points, expected at least 3"):
        fit_exp_entropy([1, 1, 2, 2], [4, 5, 1, 2])


# ---- bad input -----------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("call, says", [
    (lambda r: iqm([]), r"x has shape \(0,\), expected at least one value"),
    (lambda r: iqm([1.0, np.nan]), r"x\[1\] is nan, expected finite numbers; a run that diverged"),
    (lambda r: median_band([[1.0], [np.inf]]), r"x\[1, 0\] is inf"),
    (lambda r: median_band([1.0], share=2), "share is 2, expected a share of the runs"),
    (lambda r: bootstrap_ci([1.0], r), "x has 1 run, expected at least 2"),
    (lambda r: bootstrap_ci([1.0, 2.0], r, level=95), "level is 95, expected a share between 0 and 1, such as 0.95"),
    (lambda r: bootstrap_ci([1.0, 2.0], r, strata=True), r"expected \[R, K\], runs by tasks"),
    (lambda r: prob_improve(np.ones((3, 2)), np.ones((3, 4))), "with the same tasks"),
    (lambda r: spearman([1, 2, 3], [1, 2]), "expected one value of each per point"),
    (lambda r: spearman([1, 1, 1], [1, 2, 3]), "x has 1 different value in 3 points, expected at least 2"),
    (lambda r: loglog_slope([1, 2, 3], [1, 0, 2]), r"y\[1\] is 0, expected > 0 to take its logarithm"),
    (lambda r: fit_exp_entropy([1, 2, 3, 4], [1, 2, np.nan, 3]), r"R\[2\] is nan"),
    (lambda r: loglog_slope([1, 2], [1, 2]), "there are 2 points, expected at least 3"),
    (lambda r: loglog_slope([2, 2, 2], [1, 2, 3]), "x has 1 different value in 3 points, expected at least 2"),
], ids=lambda x: x if isinstance(x, str) else "")
def test_what_has_no_answer_is_refused_with_its_reason(call, says):
    with pytest.raises(ValueError, match=says):
        call(np.random.default_rng(0))


def test_the_error_of_the_law_is_the_root_of_the_mean_square_of_its_residuals():
    H = np.linspace(0.1, 1.0, 12)
    R = -0.2 * np.exp(H) + 0.7 + 0.05 * np.random.default_rng(1).standard_normal(12)
    line = np.polyval(np.polyfit(np.exp(H), R, 1), np.exp(H))
    assert fit_exp_entropy(H, R).rmse == pytest.approx(np.sqrt(np.mean((R - line) ** 2)))
