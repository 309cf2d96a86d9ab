"""Each measure against its closed form, its limits, and a count by hand."""

import numpy as np
import pytest
from gymnasium.spaces import Discrete
from hypothesis import given, settings
from hypothesis import strategies as st

from rlkit.measures import describe, ess, psv, saco, tq, unique_pairs
from rlkit.trajectories import Dataset, mix

QUICK = settings(max_examples=150, deadline=None)
numbers = st.floats(-1e6, 1e6).map(lambda x: round(x, 3))
returns = st.lists(numbers, min_size=1, max_size=20).map(np.array)


def table(G, T=3, truncated=False, action_space=None):
    """A dataset of whole-number observations: episode i has return G[i] and T (or T[i]) steps."""
    T = np.broadcast_to(T, len(G))
    g = np.random.default_rng(0)
    return Dataset.from_episodes(
        [dict(obs=g.integers(0, 4, n + 1), action=g.integers(0, 2, n), reward=[0.0] * (n - 1) + [x],
              terminated=not truncated, truncated=truncated) for x, n in zip(G, T)], action_space=action_space)


# ---- effective sample size

def test_ess_is_n_for_equal_weights_and_one_for_a_single_one():
    assert ess(np.full(7, 0.3)) == pytest.approx(7) and ess([0, 0, 5.0, 0]) == 1 and ess([2.0]) == 1
    assert ess([1, 1, 0, 0]) == pytest.approx(2)
    assert ess([[1, 1, 0], [1, 1, 1]]) == pytest.approx([2, 3])


@QUICK
@given(st.lists(st.floats(0, 1), min_size=1, max_size=9).filter(lambda w: max(w) > 1e-3),
       st.sampled_from([1e-300, 1, 1e300]))
def test_ess_lies_between_one_and_n_and_ignores_the_scale_of_the_weights(w, scale):
    assert 1 <= ess(w) * (1 + 1e-12) and ess(w) <= len(w) * (1 + 1e-12)               # one rounding
    assert ess(np.array(w) * scale) == pytest.approx(ess(w), rel=1e-9)


def test_duplicates_overstate_the_effective_sample_size_but_not_the_coverage():
    d = table([0.0, 1.0, 3.0])
    twice = d.select([0, 1, 2, 0, 1, 2])
    assert ess(np.ones(twice.n)) == 2 * ess(np.ones(d.n))
    assert unique_pairs(twice.obs, twice.action) == unique_pairs(d.obs, d.action)


# ---- positive-sided variance

@pytest.mark.parametrize("share, factor", [(0.01, 0.009801), (0.05, 0.045125), (0.1, 0.081), (0.25, 0.140625),
                                           (0.5, 0.125)])
def test_psv_of_two_valued_returns_has_its_closed_form(share, factor):
    high, low, n = 3.0, -1.0, 1000
    G = np.where(np.arange(n) < share * n, high, low)
    assert share * (1 - share) ** 2 == pytest.approx(factor)
    assert psv(G) == pytest.approx(factor * (high - low) ** 2, rel=1e-12)


def test_psv_of_two_valued_returns_is_largest_at_one_third():
    shares = np.arange(1, 300) / 300
    found = [psv(np.where(np.arange(300) < s * 300, 1.0, 0.0)) for s in shares]
    assert shares[np.argmax(found)] == pytest.approx(1 / 3) and max(found) == pytest.approx(4 / 27)


@QUICK
@given(returns)
def test_positive_and_negative_sided_variance_add_up_to_the_variance(G):
    assert psv(G) + psv(-G) == pytest.approx(G.var(), abs=1e-9 * np.ptp(G) ** 2 + 1e-15)      # (1e-16 of 1e6) squared


@QUICK
@given(returns, st.floats(0.1, 100), numbers)
def test_psv_is_quadratic_in_the_unit_of_reward_and_blind_to_its_origin(G, a, b):
    assert psv(a * G + b) == pytest.approx(a**2 * psv(G), rel=1e-6, abs=1e-6 * max(np.ptp(a * G) ** 2, 1e-3))


@pytest.mark.parametrize("G", [[0.1] * 3, [-1e9] * 7, [5.0], [0.1, 0.1 + 1e-16, 0.1]])
def test_psv_of_equal_returns_is_exactly_zero(G):
    assert psv(G) == 0


@QUICK
@given(returns, st.data())
def test_no_weights_raise_the_mean_return_by_more_than_psv_allows(G, data):
    w = np.array(data.draw(st.lists(st.floats(0, 1), min_size=len(G), max_size=len(G)).filter(lambda w: max(w) > 1e-3)))
    w /= w.sum()
    room = np.sqrt(psv(G) * len(G) / ess(w))
    assert w @ G - G.mean() <= room + 1e-9 * max(1, np.abs(G).max())    # rounding of sums of that size


def test_the_bound_is_met_by_weight_on_the_good_half_alone():
    G = np.array([1.0, 1.0, 0.0, 0.0])                                  # (G - mean)+ is proportional to w: equality
    w = np.array([0.5, 0.5, 0.0, 0.0])
    assert w @ G - G.mean() == pytest.approx(np.sqrt(psv(G) * 4 / ess(w)), rel=1e-12) == 0.5


@QUICK
@given(st.lists(st.tuples(numbers, st.integers(0, 4)), min_size=1, max_size=9).filter(lambda x: any(k for _, k in x)))
def test_a_weight_of_k_counts_a_trajectory_k_times(pairs):
    G, k = (np.array(x) for x in zip(*pairs))
    expected = psv(np.repeat(G, k))
    assert psv(G, k) == pytest.approx(expected, rel=1e-9, abs=1e-9 * max(1, np.ptp(G) ** 2))


# ---- quality and coverage

def test_tq_is_zero_at_random_and_one_at_the_best_and_may_leave_the_interval():
    assert tq([2.0, 4.0], low=3, high=9) == 0 and tq([9.0], low=3, high=9) == 1
    assert tq([0.0], 3, 9) == pytest.approx(-0.5) and tq([12.0], 3, 9) == pytest.approx(1.5)


def test_pairs_are_counted_as_a_python_set_counts_them():
    g = np.random.default_rng(0)
    obs, action = g.integers(-3, 3, (5000, 4)), g.integers(0, 3, 5000)
    assert unique_pairs(obs, action) == len({(*o, a) for o, a in zip(obs.tolist(), action.tolist())})
    wide = np.zeros((2, 70), int)                                       # more columns than bits in one number
    wide[1, 0] = 1
    wide = np.concatenate([wide, np.ones((1, 70), int)])
    assert unique_pairs(wide, np.zeros(3, int)) == 3 and unique_pairs(wide[:, ::-1], np.zeros(3, int)) == 3


@pytest.mark.parametrize("values", [[-128, 127, 0], [0, 2**63 - 1, 2], [-(2**63), 2**63 - 1, 0], [2**64 - 1, 2**63, 0],
                                    [False, True, True]])
def test_whole_numbers_of_any_width_are_told_apart(values):
    dtypes = {-128: np.int8, 2**64 - 1: np.uint64, False: bool}
    obs = np.array(values, np.int64 if values[1] == 2**63 - 1 else dtypes[values[0]])
    assert unique_pairs(obs, np.array([0, 0, 0], np.int8)) == len(set(values))
    pairs = [(o, a) for o in values for a in (0, 1, 2)]
    assert unique_pairs(np.repeat(obs, 3), np.tile(obs, 3)) == len(set((o, a) for o in values for a in values))
    assert unique_pairs(np.tile([0, 1, 2], 3), np.repeat(obs, 3)) == len(set(pairs))


def test_state_and_action_are_joined_not_added():
    assert unique_pairs(np.array([0, 1, 2]), np.array([2, 1, 0])) == 3


def test_real_numbers_are_counted_in_bins_of_equal_width():
    obs, action = np.array([[0.0], [0.24], [0.26], [0.5], [0.99], [1.0]]), np.zeros(6, int)
    assert unique_pairs(obs, action, bins=4) == 4                       # 0 | 0 | .25 | .5 | .75 | .75: the end belongs
    outside = np.array([[-5.0], [-7.0], [0.1], [9.0]])
    assert unique_pairs(outside, action[:4], bins=4, limits=(0, 1)) == 3         # below, inside, above


def test_real_numbers_need_a_stated_number_of_bins():
    with pytest.raises(ValueError, match="expected how many bins.*state it"):
        unique_pairs(np.zeros((3, 1)), np.zeros(3, int))
    assert unique_pairs(np.zeros((3, 1)), np.zeros(3), bins=5) == 1     # a constant dimension is one bin


def test_saco_compares_with_the_limits_of_the_reference():
    def of(x):
        x = np.array(x, float)[:, None]
        return Dataset.from_arrays(x, np.zeros(10, int), np.zeros(10), np.arange(10) == 9, final_obs=x[-1:])
    reference = of([0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
    assert saco(reference, reference, bins=10) == 1
    assert saco(of([0] * 5 + [9] * 5), reference, bins=10) == pytest.approx(0.2)
    assert saco(of([0, 0.1] * 5), reference, bins=10) == pytest.approx(0.1)      # with its own limits it would be 2


def test_saco_of_unequal_sizes_is_given_with_a_warning():
    d = table(np.arange(40.0))
    with pytest.warns(UserWarning, match="SACo of 6 transitions against 120: compare datasets of equal size"):
        assert 0 < saco(d.select([0, 1]), d) <= 1


# ---- demands

@pytest.mark.parametrize("call, words", [
    (lambda: ess([]), "expected weights"), (lambda: ess([1, -1]), "expected weights"), (lambda: ess([0]), "all zero"),
    (lambda: ess([np.nan, 1]), "not finite"), (lambda: psv([]), "at least one"), (lambda: psv([np.inf]), "not finite"),
    (lambda: psv([1, 2], [0, 0]), "expected weights"), (lambda: tq([1.0], 3, 3), "high > low"),
    (lambda: tq([1.0], 0, np.nan), "high > low"), (lambda: tq([], 0, 1), "at least one"),
    (lambda: unique_pairs(np.zeros(3, int), np.zeros(2, int)), "3 rows and action 2"),
    (lambda: describe(table([1.0, 2.0]), low=0.0), "both reference returns")])
def test_what_makes_no_sense_is_refused(call, words):
    with pytest.raises(ValueError, match=words):
        call()


# ---- all of them, for one dataset

def test_describe_agrees_with_the_measures_and_with_the_papers_weights():
    tw = pytest.importorskip("rlkit.papers.trajectory_weighting")
    rng = np.random.default_rng(0)
    d = mix(table(rng.normal(9, 1, 30)), table(rng.normal(0, 1, 200)), 0.1, 400, rng)
    x = describe(d, low=0, high=9, reference=d)
    w = tw.return_weights(d.returns, x["alpha"])
    assert x["alpha"] == 0.1                                            # enough good ones: the paper's value stands
    assert x["ess"] == pytest.approx(ess(w), rel=1e-9)
    assert x["ess_transitions"] == pytest.approx(ess(np.repeat(w, d.lengths)), rel=1e-9)
    assert x["weighted_return"] == pytest.approx(w @ d.returns, rel=1e-9)
    assert x["psv"] == psv(d.returns) and x["tq"] == tq(d.returns, 0, 9) and x["saco"] == 1
    assert x["room"] >= x["weighted_return"] - x["returns"]["mean"] > 0
    assert x["returns"]["median"] == np.median(d.returns) and x["lengths"]["mean"] == 3
    assert x["sources"] == {"good": int((d.source == 0).sum()), "bad": int((d.source == 1).sum())}
    assert (x["episodes"], x["transitions"], x["terminated"], x["notes"]) == (d.n, d.m, 1.0, [])


def test_one_huge_outlier_raises_the_suggested_temperature_and_is_pointed_at():
    G = np.r_[np.linspace(0, 1, 99), 100.0]
    w = np.exp((G - 100) / 100 / 0.1)
    assert ess(w) == pytest.approx(1.01, abs=0.005)                     # what the paper's 0.1 would do
    x = describe(table(G))
    assert x["alpha"] > 0.1 and x["ess"] >= 5 and "lies far from the rest" in " ".join(x["notes"])


def test_one_huge_negative_outlier_leaves_the_rest_nearly_uniform():
    x = describe(table(np.r_[np.linspace(0, 1, 99), -1000.0]))
    assert x["ess"] == pytest.approx(99, rel=0.01) and x["psv_scaled"] < 1e-3


@pytest.mark.parametrize("G", [[3.0], [3.0] * 4, [-0.1] * 3])
def test_equal_returns_leave_no_room(G):
    x = describe(table(G))
    assert x["psv"] == x["room"] == 0 and x["ess"] == len(G) and x["weighted_return"] == pytest.approx(G[0])
    assert "change nothing" in x["notes"][0]


def test_negative_returns_are_no_special_case():
    G = np.array([-1244.0, -300.0, -153.0, -900.0, -1000.0])
    x, y = describe(table(G)), describe(table(G + 5000))
    assert x["ess"] == pytest.approx(y["ess"]) and x["room"] == pytest.approx(y["room"]) and x["alpha"] == y["alpha"]


def test_episodes_cut_at_different_times_are_pointed_at():
    G = np.arange(6.0)
    assert "unequal time compare badly" in " ".join(describe(table(G, T=[3, 9, 3, 4, 5, 6], truncated=True))["notes"])
    assert "unequal" not in " ".join(describe(table(G, T=3, truncated=True))["notes"])
    assert "unequal" not in " ".join(describe(table(G, T=[3, 9, 3, 4, 5, 6]))["notes"])      # ended by themselves


@QUICK
@given(st.lists(numbers, min_size=1, max_size=12))
def test_describe_gives_plain_finite_numbers_for_any_returns(G):
    x = describe(table(G, action_space=Discrete(2)))
    for key, value in x.items():
        for v in value.values() if isinstance(value, dict) else [value]:
            assert isinstance(v, list | int | str) or np.isfinite(v) or (key == "alpha" and v == np.inf), (key, v)
    assert type(x["alpha"]) is float and x["ess"] >= min(5, (len(G) + 1) / 2) * (1 - 1e-12)
