"""Returns, λ-returns and advantages against their sums written out, and against a filter of SciPy."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import lfilter

from rlkit.returns import bootstrap_target, discount, gae, lambda_returns


def record(rng, lengths, more=()):
    """Flat episodes, half of them terminated, half cut by the clock."""
    starts = np.r_[0, np.cumsum(lengths)]
    terminated = np.zeros(starts[-1], bool)
    terminated[starts[1:] - 1] = np.arange(len(lengths)) % 2 == 0
    M = (starts[-1], *more)
    terminated = np.broadcast_to(terminated.reshape(-1, *[1] * len(more)), M)
    v_next = np.where(terminated, np.nan, rng.normal(size=M))             # nothing is worth anything after the end
    return rng.normal(size=M), terminated, rng.normal(size=M), v_next, starts


def test_the_clock_is_not_the_end():
    y = bootstrap_target(np.array([1.0, 1.0, 1.0]), np.array([False, True, False]), np.array([10.0, 10.0, np.nan]), 0.5)
    assert y[0] == 6.0 and y[1] == 1.0 and np.isnan(y[2])                 # a NaN that counts is not hidden
    assert bootstrap_target(1.0, np.True_, np.nan, 0.9) == 1.0
    single = bootstrap_target(np.float32([1]), np.array([False]), np.float32([1]), 0.5)
    assert single.dtype == np.float32


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), lengths=st.lists(st.integers(1, 9), min_size=1, max_size=6),
       gamma=st.sampled_from([0.0, 0.9, 1.0]), lam=st.sampled_from([0.0, 0.7, 1.0]))
def test_returns_and_advantages_are_the_sums_they_stand_for(seed, lengths, gamma, lam):
    reward, terminated, v, v_next, starts = record(np.random.default_rng(seed), lengths)
    G, G_lam = discount(reward, starts, gamma), lambda_returns(reward, terminated, v_next, starts, gamma, lam)
    adv = gae(reward, terminated, v, v_next, starts, gamma, lam)
    for lo, hi in zip(starts[:-1], starts[1:]):
        value = np.where(terminated, 0.0, v_next)
        delta = reward + gamma * value - v
        for t in range(lo, hi):
            n_step = [sum(gamma**k * reward[t + k] for k in range(n)) + gamma**n * value[t + n - 1]
                      for n in range(1, hi - t + 1)]                      # what n steps say, n = 1 … all that are left
            weight = [(1 - lam) * lam ** (n - 1) for n in range(1, hi - t)] + [lam ** (hi - t - 1)]
            close = dict(rel=1e-9, abs=1e-9)                              # at most 9 terms of size 1
            assert G[t] == pytest.approx(sum(gamma ** (k - t) * reward[k] for k in range(t, hi)), **close)
            assert G_lam[t] == pytest.approx(np.dot(weight, n_step), **close)
            assert adv[t] == pytest.approx(sum((gamma * lam) ** (k - t) * delta[k] for k in range(t, hi)), **close)


def test_scipys_filter_gives_the_same_returns():
    rng = np.random.default_rng(0)
    reward, starts = rng.normal(size=2000), np.array([0, 1, 700, 2000])
    theirs = np.concatenate([lfilter([1], [1, -0.99], r[::-1])[::-1] for r in np.split(reward, starts[1:-1])])
    np.testing.assert_allclose(discount(reward, starts, 0.99), theirs, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("gamma", [0.9, 1.0])
def test_lambda_goes_from_one_step_to_the_whole_record(gamma):
    reward, terminated, v, v_next, starts = record(np.random.default_rng(1), [4, 1, 7, 3])
    one, whole = (lambda_returns(reward, terminated, v_next, starts, gamma, lam) for lam in (0.0, 1.0))
    np.testing.assert_array_equal(one, bootstrap_target(reward, terminated, v_next, gamma))
    cut = np.where(terminated, 0.0, np.where(np.isin(np.arange(len(v)), starts[1:] - 1), v_next, 0.0))
    np.testing.assert_allclose(whole, discount(reward + gamma * cut, starts, gamma), rtol=1e-12)


def test_with_one_critic_the_advantage_is_the_lambda_return_less_the_value():
    reward, terminated, v, v_next, starts = record(np.random.default_rng(2), [5, 8, 2])
    last = starts[1:] - 1
    v_next[:-1], v_next[last] = v[1:], np.where(terminated[last], np.nan, 0.3)
    adv = gae(reward, terminated, v, v_next, starts, 0.95, 0.8)
    np.testing.assert_allclose(adv, lambda_returns(reward, terminated, v_next, starts, 0.95, 0.8) - v, rtol=1e-10)


def test_a_perfect_critic_leaves_no_advantage_whatever_lambda():
    starts = np.array([0, 6])
    reward = np.random.default_rng(3).normal(size=6)
    v = discount(reward, starts, 0.9)                                     # the record itself is the only future
    terminated = np.arange(6) == 5
    for lam in (0.0, 0.5, 1.0):
        np.testing.assert_allclose(gae(reward, terminated, v, np.r_[v[1:], np.nan], starts, 0.9, lam), 0, atol=1e-14)


def test_episodes_do_not_leak_into_each_other():
    rng = np.random.default_rng(4)
    reward, terminated, v, v_next, starts = record(rng, [3, 5, 4])
    args = lambda r: ((r, starts, 0.9), (r, terminated, v_next, starts, 0.9, 0.5),    # noqa: E731
                      (r, terminated, v, v_next, starts, 0.9, 0.5))
    other = reward.copy()
    other[3:8] += 100                                                     # the middle episode only
    for f, x, y in zip((discount, lambda_returns, gae), args(reward), args(other)):
        same = f(*x) == f(*y)
        assert same[:3].all() and same[8:].all() and not same[3:8].any()


def test_further_axes_are_runs_side_by_side():
    reward, terminated, v, v_next, starts = record(np.random.default_rng(5), [3, 6, 1], more=(4, 2))
    for f, args in ((discount, (reward,)), (lambda_returns, (reward, terminated, v_next)),
                    (gae, (reward, terminated, v, v_next))):
        more = (starts, 0.9) if f is discount else (starts, 0.9, 0.6)
        for i in np.ndindex(4, 2):
            np.testing.assert_array_equal(f(*args, *more)[:, *i], f(*(x[:, *i] for x in args), *more))


def test_arguments_are_left_alone():
    reward, terminated, v, v_next, starts = record(np.random.default_rng(6), [3, 5])
    before = reward.copy()
    discount(reward, starts), gae(reward, terminated, v, v_next, starts, 1.0, 1.0)
    assert (reward == before).all()


@pytest.mark.parametrize("starts, says", [
    ([0, 2, 5], "expected whole numbers from 0 to 6"), ([1, 6], "from 0 to 6"), ([6], r"for one episode use \[0, len"),
    ([0.0, 6.0], "whole numbers"), ([0, 3, 3, 6], "episode 1 runs from 3 to 3, expected at least one transition"),
    ([0, 4, 2, 6], "episode 1 runs from 4 to 2"), ([[0, 6]], "whole numbers"),
])
def test_starts_that_do_not_cut_the_record_into_episodes_are_refused(starts, says):
    x, no = np.ones(6), np.zeros(6, bool)
    for call in (lambda: discount(x, starts), lambda: lambda_returns(x, no, x, starts, 1.0, 1.0),
                 lambda: gae(x, no, x, x, starts, 1.0, 1.0)):
        with pytest.raises(ValueError, match=says):
            call()


def test_what_does_not_fit_is_refused_with_its_name():
    x, no = np.ones(6), np.zeros(6, bool)
    with pytest.raises(TypeError, match="terminated is float64, expected bool.*clock"):
        bootstrap_target(x, no.astype(float), x, 0.9)
    with pytest.raises(ValueError, match=r"v_next \(6, 1\) differ in shape"):
        bootstrap_target(x, no, x[:, None], 0.9)
    with pytest.raises(ValueError, match=r"v has shape \(6, 1\), expected \(6,\)"):
        gae(x, no, x[:, None], x, [0, 6], 0.9, 0.9)
    with pytest.raises(ValueError, match="gamma is 1.5, expected a number from 0 to 1"):
        discount(x, [0, 6], 1.5)
    with pytest.raises(ValueError, match="lam is -1, expected"):
        lambda_returns(x, no, x, [0, 6], 1.0, -1)


def test_one_bad_reward_spoils_its_own_episode_and_no_other():
    G = discount(np.array([1.0, 1.0, np.nan, 1.0, np.inf, 1.0]), np.array([0, 2, 4, 5, 6]), 0.5)
    np.testing.assert_array_equal(G, [1.5, 1, np.nan, 1, np.inf, 1])
