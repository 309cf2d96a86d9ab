"""Distributions over actions against SciPy, limits and symmetries."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special, stats

from rlkit.policies import cov, entropy, entropy_step, epsilon_soft, greedy, kl, log_softmax, softmax

seeds = given(seed=st.integers(0, 2**32 - 1))
many = settings(max_examples=30, deadline=None)


@seeds
@many
def test_softmax_entropy_and_kl_agree_with_scipy(seed):
    rng = np.random.default_rng(seed)
    z = rng.normal(0, 10 ** rng.uniform(-3, 3), (4, 3, 5))
    p, q = softmax(z), rng.dirichlet(np.ones(5), (4, 3))
    np.testing.assert_allclose(p, special.softmax(z, -1), rtol=1e-12)
    np.testing.assert_allclose(log_softmax(z), special.log_softmax(z, -1), rtol=1e-12)
    np.testing.assert_allclose(p.sum(-1), 1, rtol=1e-14)
    np.testing.assert_allclose(entropy(p), stats.entropy(p, axis=-1), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(kl(q, q[0, 0]), stats.entropy(q, np.broadcast_to(q[0, 0], q.shape), axis=-1), atol=1e-12)
    assert (kl(p, q) >= -1e-12).all()


def test_softmax_does_not_overflow_and_ignores_a_common_shift():
    z = np.array([1e6, 1e6 - 1, -1e6])
    np.testing.assert_allclose(softmax(z), softmax(z - 1e6), rtol=1e-12)
    assert softmax(z)[1] / softmax(z)[0] == pytest.approx(np.exp(-1))
    assert log_softmax([0.0, 1e4])[0] == -1e4                             # a log where the probability is 0 in float64


def test_minus_infinity_rules_an_action_out():
    z = np.array([0.0, -np.inf, 0.0])
    assert (softmax(z) == [0.5, 0, 0.5]).all() and log_softmax(z)[1] == -np.inf
    assert entropy(softmax(z)) == pytest.approx(np.log(2))


@pytest.mark.parametrize("row", [[np.nan, 0], [np.inf, 0], [-np.inf, -np.inf]])
def test_logits_without_a_finite_maximum_are_refused_with_their_place(row):
    with pytest.raises(ValueError, match=r"the logits at \[1\] have maximum (nan|inf|-inf), expected a finite one"):
        softmax([[0, 0], row])


def test_entropy_runs_from_certain_to_uniform():
    assert entropy([0, 1, 0]) == 0 and not np.signbit(entropy([0, 1, 0]))
    assert entropy(np.full(7, 1 / 7)) == pytest.approx(np.log(7))


def test_kl_is_zero_for_equals_and_infinite_for_the_impossible():
    assert kl([0.5, 0.5, 0], [0.5, 0.5, 0]) == 0
    assert kl([0.5, 0.5], [1, 0]) == np.inf
    assert kl([1, 0], [0.5, 0.5]) == pytest.approx(np.log(2))             # q may do what p does not
    assert kl([1.0, 0.0], [1e-320, 1.0]) == pytest.approx(-np.log(1e-320))      # 1 / 1e-320 would be inf


@seeds
@many
def test_cov_is_numpys_weighted_covariance(seed):
    rng = np.random.default_rng(seed)
    p, x, y = rng.dirichlet(np.ones(6)), *rng.normal(size=(2, 6))
    assert cov(p, x, y) == pytest.approx(np.cov(x, y, aweights=p, bias=True)[0, 1], abs=1e-12)
    assert cov(p, x + 7, 2 * y) == pytest.approx(2 * cov(p, x, y), abs=1e-12)
    assert cov(p, x, np.full(6, 3.0)) == pytest.approx(0, abs=1e-12)


def test_cov_does_not_read_what_has_no_probability():
    p = np.array([0.5, 0.5, 0.0])
    assert cov(p, [-1.0, 1.0, -np.inf], [-2.0, 2.0, np.nan]) == 2.0
    assert cov(p, np.zeros((4, 3)), np.ones(3)).shape == (4,)


@seeds
@many
def test_one_step_of_the_logits_lowers_entropy_by_the_covariance_with_log_pi(seed):
    rng = np.random.default_rng(seed)                                     # Cui et al. (2025), lemma 1
    z, dz = rng.normal(size=(2, 5))
    step = 1e-5
    change = (entropy(softmax(z + step * dz)) - entropy(softmax(z - step * dz))) / (2 * step)
    assert change == pytest.approx(-cov(softmax(z), log_softmax(z), dz), abs=1e-8)    # central difference: O(step²)


def test_greedy_shares_a_tie_and_is_the_limit_of_softmax():
    q = np.array([[1.0, 3.0, 3.0], [2.0, 1.0, -np.inf]])
    np.testing.assert_array_equal(greedy(q), [[0, 0.5, 0.5], [1, 0, 0]])
    np.testing.assert_allclose(greedy(q), softmax(q / 1e-3), atol=1e-12)
    np.testing.assert_array_equal(greedy([1.0, 1.0 - 1e-12, 0.0], tie=1e-9), [0.5, 0.5, 0])
    with pytest.raises(ValueError, match="q holds NaN"):
        greedy([np.nan, 1.0])


def test_an_epsilon_soft_policy_keeps_every_action_alive():
    pi = np.array([[1.0, 0, 0, 0]])
    np.testing.assert_allclose(epsilon_soft(pi, 0.2), [[0.85, 0.05, 0.05, 0.05]])
    assert (epsilon_soft(pi, 0) == pi).all() and (epsilon_soft(pi, 1) == 0.25).all()
    with pytest.raises(ValueError, match="epsilon is 1.2, expected a probability from 0 to 1"):
        epsilon_soft(pi, 1.2)


# ---- the entropy of a policy that moves

@seeds
@many
def test_entropy_step_is_the_taylor_series_of_scipys_entropy(seed):
    rng = np.random.default_rng(seed)
    z, dz = rng.normal(0, 1.5, (2, 3, 6))
    H = lambda h: stats.entropy(special.softmax(z + h * dz, -1), axis=-1)                # noqa: E731
    h, step = 1e-3, entropy_step(softmax(z), dz)
    # central differences: their own error is h² times a third or fourth derivative, of size |Δz|⁴ at most
    size = np.abs(dz).max() ** 4
    np.testing.assert_allclose((H(h) - H(-h)) / (2 * h), step.first, atol=20 * h**2 * size)
    np.testing.assert_allclose((H(h) + H(-h) - 2 * H(0)) / h**2 / 2, step.second - step.first, atol=20 * h**2 * size)
    np.testing.assert_allclose(step.exact, H(1) - H(0), atol=1e-12)
    np.testing.assert_allclose(entropy_step(softmax(z), dz + 7.0), step, atol=1e-12)     # a common shift is no move


def test_at_a_uniform_policy_the_first_order_is_zero_and_entropy_falls():
    step = entropy_step(np.full(4, 0.25), [0.375, -0.125, -0.125, -0.125])
    assert step.first == pytest.approx(0, abs=1e-16)
    assert step.second == pytest.approx(-0.5 * (0.375**2 / 4 + 3 * 0.125**2 / 4))        # half the variance
    assert step.exact == pytest.approx(stats.entropy([np.exp(0.5), 1, 1, 1]) - np.log(4))


def test_an_action_ruled_out_stays_out_of_the_entropy_step():
    with_it = entropy_step([0.7, 0.3, 0.0], [1.0, -1.0, np.nan])
    assert with_it == pytest.approx(entropy_step([0.7, 0.3], [1.0, -1.0]))
