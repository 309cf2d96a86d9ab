"""Weighted draws: the right probabilities, exactly and in the long run, at any size and under a moving slider."""

import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2

from rlkit.sampling import Sampler, transition_probs

QUICK = settings(max_examples=150, deadline=None)


class Fixed:
    """A generator whose every number is u."""

    def __init__(self, u):
        self.u = u

    def random(self, shape):
        return np.full(shape, self.u)


EDGES = (0.0, 5e-324, 0.5, np.nextafter(1.0, 0.0))                      # the least and the largest a generator can give


def improbable(counts, p) -> bool:
    """Pearson's chi-square of counts against probabilities, at a level of one in a million."""
    keep = p > 0
    assert counts[~keep].sum() == 0
    statistic = ((counts[keep] - counts.sum() * p[keep]) ** 2 / (counts.sum() * p[keep])).sum()
    return statistic > chi2.ppf(1 - 1e-6, keep.sum() - 1)


# ---- from weights of trajectories to probabilities of transitions

@QUICK
@given(st.lists(st.tuples(st.sampled_from([0.0, 1e-9, 0.3, 1.0, 7.5, 1e6]), st.integers(1, 8)), min_size=1,
                max_size=12).filter(lambda pairs: any(w for w, _ in pairs)))
def test_each_transition_carries_the_weight_of_its_trajectory_undivided(pairs):
    w, T = (np.array(x) for x in zip(*pairs))
    total = sum(wi * Ti for wi, Ti in pairs)
    expected = [wi / total for wi, Ti in pairs for _ in range(Ti)]
    p = transition_probs(w, T)
    np.testing.assert_allclose(p, expected, rtol=1e-12)                 # a few roundings of 1e-16
    assert p.sum() == pytest.approx(1, abs=1e-12)


def test_a_trajectory_ten_times_as_long_fills_ten_times_as_much_of_a_batch():
    p = transition_probs([1.0, 1.0], np.array([1, 10]))
    assert p[0] == pytest.approx(1 / 11) and p[1:].sum() == pytest.approx(10 / 11)


def test_groups_of_weights_give_rows_of_probabilities():
    w, T = np.array([[1.0, 2.0, 0.0], [5.0, 0.0, 1.0]]), np.array([2, 1, 3])
    np.testing.assert_array_equal(transition_probs(w, T), [transition_probs(row, T) for row in w])


def test_huge_and_tiny_weights_do_not_overflow():
    for scale in (1e308, 1e-300):
        np.testing.assert_allclose(transition_probs(np.array([1.0, 0.5]) * scale, [3, 3]), [2 / 9] * 3 + [1 / 9] * 3)


@pytest.mark.parametrize("w, T, words", [
    ([1.0, -0.1], [2, 2], "the weight of trajectory 1 is -0.1"), ([np.nan, 1.0], [2, 2], "trajectory 0 is nan"),
    ([1.0, np.inf], [2, 2], "trajectory 1 is inf"), ([0.0, 0.0], [2, 2], "all 2 weights are zero"),
    ([1.0] * 4, [2, 2], r"w has shape \(4,\), expected \(2,\)"), ([1.0, 1.0], [2, 0], "lengths .* whole numbers ≥ 1"),
    ([1.0, 1.0], [2.0, 2.0], "lengths is float64"), ([], np.array([], int), "lengths is"),
    (1.0, [2], "w has shape")])
def test_weights_that_make_no_sense_are_refused(w, T, words):
    with pytest.raises(ValueError, match=words):
        transition_probs(w, T)


# ---- draws

@pytest.mark.parametrize("M", [1, 2, 37, 5000])
def test_draws_are_those_of_numpy_choice_from_the_same_numbers(M):
    p = np.random.default_rng(M).dirichlet(np.full(M, 0.3))
    ours = Sampler(p).draw(np.random.default_rng(5), 1000)
    np.testing.assert_array_equal(ours, np.random.default_rng(5).choice(M, 1000, p=p))


@pytest.mark.parametrize("seed", range(3))
def test_draws_have_the_given_frequencies(seed):
    rng = np.random.default_rng(seed)
    p = rng.dirichlet(np.ones(50))
    p[[0, 7, 49]] = 0
    p /= p.sum()
    assert not improbable(np.bincount(Sampler(p).draw(rng, 100_000), minlength=50), p)
    assert improbable(np.bincount(Sampler(p > 0).draw(rng, 100_000), minlength=50), p)       # the test can tell


def test_each_group_draws_by_its_own_weights_and_independently():
    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.ones(9), 3)
    drawn = Sampler(p).draw(rng, 60_000)
    assert drawn.shape == (3, 60_000)
    for g in range(3):
        assert not improbable(np.bincount(drawn[g], minlength=9), p[g])
    pairs = np.bincount(9 * drawn[0] + drawn[1], minlength=81)
    assert not improbable(pairs, np.outer(p[0], p[1]).ravel())


@QUICK
@given(st.lists(st.sampled_from([0.0, 0.0, 1e-12, 0.1, 1.0, 7.0]), min_size=1, max_size=9).filter(any),
       st.sampled_from(EDGES))
def test_an_item_of_weight_zero_is_never_drawn_not_even_the_first_or_the_last(weights, u):
    w = np.array(weights)
    assert w[Sampler(w).draw(Fixed(u), 3)].min() > 0
    assert w[Sampler(np.stack([w, w])).draw(Fixed(u), 3)].min() > 0


@pytest.mark.parametrize("weights", [[0, 0, 1], [1, 0, 0], [0, 1, 0], [1]])
def test_the_only_item_with_weight_is_drawn_always(weights):
    for u in EDGES:
        assert (Sampler(np.array(weights)).draw(Fixed(u), 4) == np.argmax(weights)).all()


def test_small_weights_among_a_million_survive_in_float32():
    M = 1_000_000                                                       # in a float32 running sum 1e8 + 1 is 1e8
    p = np.ones(M, np.float32)
    p[0] = 1e8
    small = (Sampler(p).draw(np.random.default_rng(0), 200_000) > 0).mean()
    expected = M / (M + 1e8)
    assert small == pytest.approx(expected, abs=5 * np.sqrt(expected / 200_000))     # 5 standard errors; else it is 0


def test_ten_million_weights_are_drawn_right():
    M = 10_000_000
    w = np.zeros(M, np.float32)
    w[[3, M // 2, M - 2]] = 1, 2, 1                                     # nearly all zero, the last one too
    drawn = Sampler(w).draw(np.random.default_rng(0), 20_000)
    values, counts = np.unique(drawn, return_counts=True)
    assert values.tolist() == [3, M // 2, M - 2] and not improbable(counts, np.array([0.25, 0.5, 0.25]))


def test_the_same_seed_draws_the_same():
    p = np.random.default_rng(0).random((2, 100))
    a, b = (Sampler(p).draw(np.random.default_rng(1), 50) for _ in range(2))
    assert (a == b).all() and a.dtype == np.int64


# ---- new weights in mid-run

def test_new_weights_act_on_the_next_draw():
    s, rng = Sampler(np.array([1.0, 0.0])), np.random.default_rng(0)
    assert (s.draw(rng, 9) == 0).all()
    s.reweight(np.array([0.0, 5.0]))
    assert (s.draw(rng, 9) == 1).all()


def test_refused_weights_leave_the_old_ones():
    s = Sampler(np.array([1.0, 0.0, 2.0]))
    for bad in ([1.0, 0.0], [[1.0, 0.0, 2.0]], [0.0, 0.0, 0.0], [1.0, np.nan, 1.0], [1.0, -1.0, 1.0]):
        with pytest.raises(ValueError, match="expected"):
            s.reweight(np.array(bad))
    assert set(s.draw(np.random.default_rng(0), 200)) == {0, 2}


def test_a_draw_beside_a_moving_slider_sees_the_old_weights_or_the_new_never_a_mixture():
    M = 20_000
    halves = [np.arange(M) < M // 2, np.arange(M) >= M // 2]
    s, stop, rng = Sampler(halves[0]), threading.Event(), np.random.default_rng(0)

    def slide():
        i = 0
        while not stop.is_set():
            i += 1
            s.reweight(halves[i % 2].astype(float))
    thread = threading.Thread(target=slide)
    thread.start()
    try:
        moves, last = 0, None
        while moves < 20:                                               # the threads take turns: this ends
            upper = s.draw(rng, 64) >= M // 2
            assert upper.all() or not upper.any()
            moves, last = moves + (last is not None and last != upper[0]), upper[0]
    finally:
        stop.set()
        thread.join()


@pytest.mark.parametrize("p, words", [
    (np.zeros((0,)), "shape"), (np.zeros((2, 0)), "shape"), (np.ones((2, 2, 2)), "shape"), (np.float64(1), "shape"),
    (np.array(["a"]), "<U1"), (np.array([1.0, np.nan]), "item 1 is nan"), (np.array([[1.0], [0.0]]), "all 1 weights"),
    (np.full(3, 1e308), "sum to infinity")])
def test_probabilities_that_make_no_sense_are_refused(p, words):
    with pytest.raises(ValueError, match=words):
        Sampler(p)


def test_each_group_has_a_sum_of_its_own():
    draws = Sampler(np.array([[0.1, 0.3], [30.0, 10.0]])).draw(np.random.default_rng(0), 10_000)
    assert draws.max() == 1
    assert draws.mean(1) == pytest.approx([0.75, 0.25], abs=4.5 * (0.75 * 0.25 / 10_000) ** 0.5)  # 4.5 standard errors
