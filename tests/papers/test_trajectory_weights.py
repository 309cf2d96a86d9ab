"""Weights: limits, invariances, hard cases; the experiment against brute force."""

import warnings
from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import softmax

from rlkit.empirical import weighted_policy
from rlkit.envs import frozen_grid as grid
from rlkit.envs.gamble import gamble
from rlkit.improve import flow_weights
from rlkit.mdp import evaluate
from rlkit.measures import ess, psv, tq
from rlkit.papers import trajectory_weighting as tw
from rlkit.sampling import Sampler, transition_probs
from rlkit.trajectories import Dataset

pytestmark = pytest.mark.filterwarnings("ignore:these weights rest on fewer")      # asserted where it is the point
RNG = np.random.default_rng(0)
G = RNG.normal(-3, 5, 40)
S0 = RNG.normal(size=(40, 3))
FLOAT = 1e-12                # a few roundings of numbers of size 1


# ---- the formula

def test_scaled_numbers_run_from_zero_to_one_in_proportion():
    assert tw.scale01(np.array([-2.0, 8.0, 3.0])).tolist() == [0, 1, 0.5]


@pytest.mark.parametrize("alpha", [0.02, 0.1, 1.0, 30.0])
def test_return_weights_are_a_softmax_of_scaled_returns(alpha):
    expected = softmax((G - G.min()) / np.ptp(G) / alpha)
    np.testing.assert_allclose(tw.return_weights(G, alpha), expected, rtol=1e-10)


def test_weights_maximise_return_plus_entropy():
    """Against a general optimiser on the simplex (softmax parameters); its own tolerance is about 1e-5."""
    x, alpha = np.array([0.0, 0.3, 0.9, 1.0]), 0.3
    objective = lambda z: -(softmax(z) @ x - alpha * (softmax(z) * np.log(softmax(z))).sum())      # noqa: E731
    best = softmax(minimize(objective, np.zeros(4), tol=1e-12).x)
    assert tw.boltzmann(x, alpha) == pytest.approx(best, abs=1e-4)


@pytest.mark.parametrize("alpha", [0.02, 0.1, 0.5, 1.0])
def test_the_best_weighs_exp_of_one_over_alpha_times_the_worst(alpha):
    w = tw.return_weights(G, alpha)
    assert w.sum() == pytest.approx(1, abs=FLOAT)
    assert w.max() / w.min() == pytest.approx(np.exp(1 / alpha), rel=1e-9)


def test_advantage_weights_subtract_a_linear_fit():
    X = np.column_stack([np.ones(40), S0])
    A = G - X @ np.linalg.solve(X.T @ X, X.T @ G)                         # the normal equations
    np.testing.assert_allclose(tw.advantages(G, S0), A, atol=1e-10)
    np.testing.assert_allclose(tw.advantage_weights(G, S0, 0.1), softmax((A - A.min()) / np.ptp(A) / 0.1), rtol=1e-8)


def test_advantages_have_mean_zero_and_no_trend_in_the_features():
    A = tw.advantages(G, S0)
    assert A.mean() == pytest.approx(0, abs=1e-9)
    assert (S0 - S0.mean(0)).T @ A == pytest.approx(np.zeros(3), abs=1e-9)


@pytest.mark.parametrize(("a", "b"), [(1000.0, -3.0), (0.001, 7.0), (2.0, 1e4)])
def test_weights_ignore_unit_and_zero_of_the_return(a, b):
    np.testing.assert_allclose(tw.return_weights(a * G + b, 0.1), tw.return_weights(G, 0.1), rtol=1e-6)
    np.testing.assert_allclose(tw.advantage_weights(a * G + b, S0, 0.1), tw.advantage_weights(G, S0, 0.1), rtol=1e-6)


def test_weights_follow_their_trajectories():
    order = RNG.permutation(40)
    np.testing.assert_allclose(tw.return_weights(G[order], 0.1), tw.return_weights(G, 0.1)[order], rtol=1e-12)


def test_advantages_ignore_how_features_are_written():
    """Any invertible affine change of the features spans the same functions."""
    M = RNG.normal(size=(3, 3))
    np.testing.assert_allclose(tw.advantages(G, S0 @ M + 5), tw.advantages(G, S0), atol=1e-9)


# ---- limits

def test_infinite_temperature_is_uniform():
    assert tw.return_weights(G, np.inf) == pytest.approx(np.full(40, 1 / 40), abs=0)
    assert tw.return_weights(G, 1e9) == pytest.approx(np.full(40, 1 / 40), rel=1e-8)


def test_zero_temperature_shares_among_the_best():
    assert tw.return_weights(np.array([1.0, 3.0, 2.0, 3.0]), 0.0).tolist() == [0, 0.5, 0, 0.5]


@pytest.mark.parametrize("alpha", [1e-3, 1e-6, 1e-300, 5e-324])
def test_tiny_temperatures_reach_that_limit_without_overflow(alpha):
    x = np.array([1000.0, 3000.0, 2000.0, 3000.0])
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        assert tw.boltzmann(x, alpha) == pytest.approx([0, 0.5, 0, 0.5], abs=1e-200)      # e^{-500} at most


@pytest.mark.parametrize("alpha", [0.0, 0.01, 0.1, np.inf])
@pytest.mark.parametrize("value", [0.0, -7.0, 1e9])
def test_equal_returns_give_equal_weights(alpha, value):
    assert tw.return_weights(np.full(5, value), alpha) == pytest.approx(np.full(5, 0.2), abs=FLOAT)
    assert psv(np.full(5, value)) == 0


def test_returns_equal_up_to_rounding_count_as_equal():
    x = 1e6 + np.array([0.0, 1e-10, 2e-10])                               # ptp below 1e-12 of their size
    assert tw.return_weights(x, 0.01) == pytest.approx(np.full(3, 1 / 3), abs=FLOAT)


def test_one_trajectory_has_all_the_weight():
    with pytest.warns(UserWarning, match="5 trajectories for each"):
        assert tw.advantage_weights(np.array([3.0]), np.ones((1, 2)), 0.1).tolist() == [1]
    assert tw.return_weights(np.array([3.0]), 0.1).tolist() == [1]
    assert psv(np.array([3.0])) == 0 and tq(np.array([3.0]), 1.0, 5.0) == 0.5


def test_negative_returns_are_no_special_case():
    np.testing.assert_allclose(tw.return_weights(G - 1000, 0.1), tw.return_weights(G, 0.1), rtol=1e-9)


def test_weighted_return_rises_as_alpha_falls():
    """d/dβ Σ w x = Var_w(x) ≥ 0, checked by finite differences too."""
    x, beta, h = tw.scale01(G), 8.0, 1e-5
    means = [tw.boltzmann(G, a) @ x for a in (np.inf, *np.geomspace(50, 1e-3, 80), 0)]
    assert (np.diff(means) >= -FLOAT).all()
    assert means[0] == pytest.approx(x.mean()) and means[-1] == pytest.approx(1)
    slope = (tw.boltzmann(G, 1 / (beta + h)) @ x - tw.boltzmann(G, 1 / (beta - h)) @ x) / (2 * h)
    w = tw.boltzmann(G, 1 / beta)
    assert slope == pytest.approx(w @ x**2 - (w @ x) ** 2, rel=1e-5)      # central difference: error of order h²


# ---- bad and hard input

@pytest.mark.parametrize("alpha", [-0.1, np.nan])
def test_a_temperature_is_not_negative(alpha):
    with pytest.raises(ValueError, match="expected a temperature ≥ 0"):
        tw.return_weights(G, alpha)


def test_no_trajectory_is_an_error():
    with pytest.raises(ValueError, match="at least one"):
        tw.return_weights(np.array([]), 0.1)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_bad_return_is_named(bad):
    x = G.copy()
    x[7] = bad
    for f in (lambda: tw.return_weights(x, 0.1), lambda: tw.topk_weights(x, 0.1)):
        with pytest.raises(ValueError, match="trajectory 7"):
            f()
    with pytest.raises(ValueError, match="NaN or infinity"):
        tw.advantage_weights(x, S0, 0.1)


def test_a_bad_reward_never_becomes_a_dataset():
    with pytest.raises(ValueError, match="episode 1, step 0"):
        Dataset.from_episodes([dict(obs=[0, 1], action=[0], reward=[r], terminated=True, truncated=False)
                               for r in (1.0, np.nan)])


def test_empty_episodes_are_refused_or_counted():
    empty = dict(obs=[0], action=[], reward=[], terminated=True, truncated=False)
    whole = dict(obs=[0, 1], action=[0], reward=[1.0], terminated=True, truncated=False)
    with pytest.raises(ValueError, match="empty"):
        Dataset.from_episodes([whole, empty])
    with pytest.warns(UserWarning, match="left out 1 empty"):
        assert Dataset.from_episodes([whole, empty], drop_empty=True).n == 1


def test_one_huge_return_takes_all_and_we_say_so():
    """99 returns in 0..1 and one of 100: scaled, the others lie within 0.01, so they differ by at most e^{0.1}."""
    x = np.append(np.linspace(0, 1, 99), 100.0)
    with pytest.warns(UserWarning, match="fewer than two trajectories"):
        w = tw.return_weights(x, 0.1)
    assert ess(w) == pytest.approx(1.01, abs=0.005)
    assert w[98] / w[0] == pytest.approx(np.exp(0.1), rel=1e-6)


def test_one_huge_loss_flattens_the_others():
    x = np.append(np.linspace(0, 1, 99), -1000.0)
    w = tw.return_weights(x, 0.1)
    assert ess(w) == pytest.approx(99, abs=0.1)
    assert w[98] / w[0] == pytest.approx(1.01, abs=0.001)


def test_clipping_is_the_remedy_and_off_by_default():
    x = np.append(np.linspace(0, 1, 99), 100.0)
    w = tw.return_weights(x, 0.1, clip=0.02)
    low, high = np.quantile(x, [0.02, 0.98])
    np.testing.assert_allclose(w, softmax(np.clip((x - low) / (high - low), 0, 1) / 0.1), rtol=1e-9)
    assert ess(w) > 5
    with pytest.raises(ValueError, match=r"clip is 0.6, expected a share"):
        tw.return_weights(x, 0.1, clip=0.6)


def test_few_trajectories_for_many_features_are_warned_of():
    """One-hot starts with one trajectory each: V learns the returns by heart, and nothing is left to weigh by."""
    with pytest.warns(UserWarning, match="5 trajectories for each"):
        A = tw.advantages(G, np.eye(40))
    assert np.abs(A).max() < 1e-10
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tw.advantages(G, S0)                                              # 40 ≥ 5 · 4
        assert np.abs(tw.advantages(G, np.eye(40), ridge=1.0)).max() > 1  # the remedy leaves something


@pytest.mark.parametrize(("n", "warned"), [(19, True), (20, False)])
def test_five_trajectories_for_each_coefficient_are_enough(n, warned):
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        tw.fit_value(S0[:n], G[:n])                                       # 3 features and an intercept
    assert bool(seen) is warned


def test_ridge_shrinks_towards_the_mean():
    assert tw.fit_value(S0, G, ridge=1e12) == pytest.approx(np.full(40, G.mean()), abs=1e-6)
    X, y, ridge = S0 - S0.mean(0), G - G.mean(), 3.0
    closed = G.mean() + X @ np.linalg.solve(X.T @ X + ridge * np.eye(3), X.T @ y)
    np.testing.assert_allclose(tw.fit_value(S0, G, ridge), closed, rtol=1e-9)


def test_a_fixed_start_makes_aw_and_rw_the_same():
    s0 = np.tile([0.1, -0.7], (40, 1))
    assert tw.fit_value(s0, G) == pytest.approx(np.full(40, G.mean()), abs=FLOAT)
    np.testing.assert_allclose(tw.advantage_weights(G, s0, 0.1), tw.return_weights(G, 0.1), rtol=1e-9)


def test_features_that_are_constant_or_repeated_change_nothing():
    more = np.column_stack([S0, np.full(40, 0.3), S0[:, 0], 2 * S0[:, 1]])
    np.testing.assert_allclose(tw.fit_value(more, G), tw.fit_value(S0, G), atol=1e-9)


def test_shapes_are_checked():
    with pytest.raises(ValueError, match="one first observation per return"):
        tw.fit_value(S0[:5], G)


# ---- the filter

def test_topk_keeps_the_best_share():
    w = tw.topk_weights(G, 0.25)
    assert set(np.flatnonzero(w)) == set(np.argsort(G)[-10:]) and w[w > 0] == pytest.approx(np.full(10, 0.1))


@pytest.mark.parametrize(("n", "k", "kept"), [(5, 0.1, 1), (100, 0.29, 29), (10, 0.3, 3), (7, 1.0, 7), (19, 0.1, 1)])
def test_topk_keeps_at_least_one(n, k, kept):
    assert (tw.topk_weights(np.arange(n, dtype=float), k) > 0).sum() == kept


@pytest.mark.parametrize("k", [0.0, -0.1, 1.1, np.nan])
def test_topk_wants_a_share(k):
    with pytest.raises(ValueError, match="expected a share"):
        tw.topk_weights(G, k)


# ---- the sampler

def test_sampling_is_one_softmax_over_all_transitions():
    """The authors' formula: every transition carries its trajectory's scaled return, one softmax over all M."""
    data = tw.dataset(0.05)
    z = tw.scale01(data.returns)[data.episode]
    p = transition_probs(tw.return_weights(data.returns, 0.1), data.lengths)
    np.testing.assert_allclose(p, softmax(z / 0.1), rtol=1e-10)
    per_trajectory = np.bincount(data.episode, p)
    assert not np.allclose(per_trajectory, tw.return_weights(data.returns, 0.1), rtol=0.1)


def test_draws_have_those_probabilities():
    data = tw.dataset(0.05)
    p = transition_probs(tw.return_weights(data.returns, 0.1), data.lengths)
    drawn = np.bincount(Sampler(p).draw(np.random.default_rng(1), 100_000), minlength=data.m)
    mass = np.bincount(data.episode, 100_000 * p)
    got = np.bincount(data.episode, drawn)
    ok = mass > 10
    chi2, free = ((got - mass)[ok] ** 2 / mass[ok]).sum(), ok.sum()
    assert abs(chi2 - free) < 5 * (2 * free) ** 0.5                       # five standard deviations of χ²


def test_a_batch_larger_than_the_effective_sample_repeats_transitions():
    """With replacement: without it the probabilities could not be kept."""
    data = tw.dataset(0.05)
    p = transition_probs(tw.boltzmann(data.returns, 0.01), data.lengths)
    assert ess(p) < 50
    assert len(np.unique(Sampler(p).draw(np.random.default_rng(0), 1000))) < 200


def test_an_offset_on_every_step_counts_lengths_and_so_changes_weights_unless_episodes_are_equally_long():
    data = tw.dataset(0.05)
    same = tw.return_weights(np.random.default_rng(0).normal(size=10) + 0.5 * 7, 0.1)
    assert same == pytest.approx(tw.return_weights(np.random.default_rng(0).normal(size=10), 0.1))       # T = 7
    shifted = tw.return_weights(data.returns + 0.1 * data.lengths, 0.1)
    assert np.abs(shifted / tw.return_weights(data.returns, 0.1) - 1).max() > 0.5


def test_repeating_a_dataset_changes_no_policy_but_flatters_the_effective_sample():
    data = tw.dataset(0.05)
    twice = data.select(np.tile(np.arange(data.n), 2))
    one, two = (tw.return_weights(d.returns, 0.1) for d in (data, twice))
    assert weighted_policy(twice, two, 64, 4) == pytest.approx(weighted_policy(data, one, 64, 4), abs=FLOAT)
    assert ess(two) == pytest.approx(2 * ess(one))


# ---- the theory

@pytest.mark.parametrize("scheme", ["uniform", "rw", "aw", "topk"])
@pytest.mark.parametrize("rich", [False, True])
def test_the_flow_identity(scheme, rich):
    mdp, data = grid.frozen_grid(rich=rich), tw.dataset(0.05, rich=rich, seed=3)
    w = tw.trajectory_weights(data, scheme)
    start = np.bincount(data.first_obs, w, mdp.S)
    J = start @ evaluate(mdp, weighted_policy(data, w, mdp.S, 4), horizon=4000)
    assert J == pytest.approx(w @ data.returns, abs=1e-9)


def test_the_discounted_flow_identity_needs_discounted_counts():
    mdp, data, gamma = grid.frozen_grid(), tw.dataset(0.05, seed=3), 0.95
    w = tw.trajectory_weights(data, "rw")
    t = np.arange(data.m) - data.starts[data.episode]
    discounted = w @ np.add.reduceat(data.reward * gamma**t, data.starts[:-1])
    start = np.bincount(data.first_obs, w, 64)
    J = [start @ evaluate(mdp, weighted_policy(data, w, 64, 4, g), gamma) for g in (gamma, 1.0)]
    assert J[0] == pytest.approx(discounted, abs=1e-9)
    assert abs(J[1] - discounted) > 1e-6


def test_the_identity_fails_for_episodes_cut_by_the_clock_unless_the_policy_knows_the_time():
    mdp, data = grid.frozen_grid(), tw.dataset(0.05, seed=3)
    first = data.cut(8).select(np.searchsorted(data.cut(8).starts[:-1], data.starts[:-1]))     # the first 8 steps
    w = tw.return_weights(first.returns, 0.1)
    start = np.bincount(first.first_obs, w, 64)
    J = start @ evaluate(mdp, weighted_policy(first, w, 64, 4), horizon=8)
    t = np.arange(first.m) - first.starts[first.episode]
    counts = np.zeros((8, 64, 4))
    np.add.at(counts, (t, first.obs, first.action), w[first.episode])
    n = counts.sum(-1, keepdims=True)
    timed = np.where(n > 0, counts / np.where(n > 0, n, 1), 0.25)
    assert start @ evaluate(mdp, timed, horizon=8, timed=True) == pytest.approx(w @ first.returns, abs=1e-9)
    assert abs(J - w @ first.returns) > 1e-3


@pytest.mark.parametrize("alpha", [0.01, 0.1, 1.0])
def test_psv_bounds_what_weights_can_gain(alpha):
    for seed in range(20):
        x = np.random.default_rng(seed).gamma(0.3, size=50)
        w = tw.boltzmann(x, alpha)
        assert w @ x - x.mean() <= (psv(x) * 50 / ess(w)) ** 0.5 + FLOAT


def test_the_bound_is_reached_when_weights_follow_the_excess():
    """Equality in Cauchy-Schwarz needs weights proportional to (G - mean)₊ ."""
    above = np.maximum(G - G.mean(), 0)
    w = above / above.sum()
    assert w @ G - G.mean() == pytest.approx((psv(G) * 40 / ess(w)) ** 0.5, rel=1e-12)


# ---- the gamble

TABLE = {1.0: (0.4541, 0.4638, 0.5719), 0.3: (0.5521, 0.4344, 0.7784), 0.2: (0.6925, 0.3923, 0.8663),
         0.1: (0.9425, 0.3173, 0.9769), 0.05: (0.9989, 0.3003, 0.9996)}


@pytest.mark.parametrize("alpha", TABLE)
def test_the_gamble_by_hand(alpha):
    """π_w(gamble) = ½(.3 e^{1/α} + .7) / (½(.3 e^{1/α} + .7) + ½ e^{.6/α}), worked out to four decimals."""
    top, safe = 0.3 * np.exp(1 / alpha) + 0.7, np.exp(0.6 / alpha)
    p = top / (top + safe)
    by_hand = (p, 0.6 * (1 - p) + 0.3 * p, (0.6 * safe + 0.3 * np.exp(1 / alpha)) / (top + safe))
    assert tw.gamble_policy(alpha) == pytest.approx(by_hand, rel=1e-9)
    assert np.round(by_hand, 4) == pytest.approx(TABLE[alpha], abs=1e-9)


def test_the_gamble_at_both_ends_of_temperature():
    assert tw.gamble_policy(np.inf) == pytest.approx((0.5, 0.45, 0.45))
    assert tw.gamble_policy(0.0) == pytest.approx((1.0, 0.3, 1.0))
    assert tw.gamble_policy(0.1, chance=0.0) == pytest.approx((1 / (1 + np.exp(10)), 0.6 / (1 + np.exp(-10)),
                                                              0.6 / (1 + np.exp(-10))))


def test_a_gamble_worth_taking_is_taken():
    p, J, promise = tw.gamble_policy(0.1, safe=0.2, prize=1.0, chance=0.5)
    assert p > 0.99 and J > 0.35 and promise > J


def test_sampled_gambles_approach_the_closed_form():
    from rlkit.mdp import simulate
    play = simulate(gamble(), np.full((4, 2), 0.5), 40_000, np.random.default_rng(2), 5)
    data = Dataset.from_arrays(**play._asdict())
    w = tw.return_weights(data.returns, 0.3)
    pi = weighted_policy(data, w, 4, 2)
    expected = tw.gamble_policy(0.3)
    assert (pi[0, 1], w @ data.returns) == pytest.approx((expected[0], expected[2]), abs=0.02)     # 5 / sqrt(40,000)


# ---- the dataset of the grid and the experiment

def test_the_dataset_has_its_share_of_experts_who_reach_the_goal():
    data = tw.dataset(0.25, n=80)
    assert data.n == 80 and (data.source == 1).sum() == 20 and data.names == ("random", "expert")
    assert (data.final_obs[data.source == 1] == 63).all() and data.terminated[data.starts[1:] - 1].all()


def test_rich_starts_are_half_and_random():
    data = tw.dataset(0.05, rich=True)
    rich = data.first_obs >= 64
    assert rich.sum() == 100 and (data.source[rich] == 0).all() and (data.source == 1).sum() == 10
    with pytest.raises(ValueError, match="expected ≤ 0.5"):
        tw.Config(rich=True, sigma=0.6)


def test_a_seed_is_a_dataset():
    tw.dataset.cache_clear()
    a = tw.dataset(0.05, seed=4)
    tw.dataset.cache_clear()
    b, c = tw.dataset(0.05, seed=4), tw.dataset(0.05, seed=5)
    assert (a.obs == b.obs).all() and (a.reward == b.reward).all()
    assert a.m != c.m or (a.obs != c.obs).any()


@pytest.mark.parametrize("change", [{}, dict(scheme="rw", slip=0.3), dict(rich=True), dict(scheme="topk", sigma=0.3),
                                    dict(scheme="uniform", n=50), dict(scheme="dw")])
def test_the_experiment_agrees_with_its_parts(change):
    """Every number of the panel, computed again from the dataset by plain means."""
    cfg = tw.Config(**change)
    e = tw.experiment(cfg)
    world = grid.world(cfg.slip, rich=cfg.rich)
    S = world.mdp.S
    J = lambda pi: world.mdp.start @ evaluate(world.mdp, pi, horizon=400)          # noqa: E731
    assert e.w.sum() == pytest.approx(1) and e.w.shape == e.returns.shape == e.source.shape == (cfg.n,)
    assert e.returns == pytest.approx([r.sum() for r in np.split(e.data.reward, e.data.starts[1:-1])])
    assert e.J_uniform == pytest.approx(J(weighted_policy(e.data, np.ones(cfg.n), S, 4)))
    if cfg.scheme != "dw":
        assert e.J_weighted == pytest.approx(J(weighted_policy(e.data, e.w, S, 4)))
    else:                                                                 # it weighs what its steps do on average
        u = flow_weights(e.data, world.mdp, cfg.alpha)
        each = np.array([part.mean() for part in np.split(u, e.data.starts[1:-1])])
        assert e.w == pytest.approx(each / each.sum())
        assert e.J_weighted == pytest.approx(J(weighted_policy(e.data, u, S, 4)))
    assert e.estimate == pytest.approx((e.w * e.returns).sum())
    assert e.ess == pytest.approx(1 / (e.w**2).sum())
    assert e.psv == pytest.approx(np.mean(np.maximum(e.returns - e.returns.mean(), 0) ** 2))
    assert e.estimate - e.returns.mean() <= e.bound + FLOAT
    assert e.policy.shape == (64, 4) and e.policy.sum(1) == pytest.approx(np.ones(64))
    assert e.heat.shape == (64,) and (e.heat >= 0).all()
    if not cfg.rich:
        d = world.mdp.start.copy()                                        # expected visits, step by step
        heat, P = np.zeros(64), np.einsum("sa,sat->st", e.policy, world.mdp.P) * ~world.mdp.terminal[:, None]
        for _ in range(400):
            heat, d = heat + d * ~world.mdp.terminal, d @ P
        assert e.heat == pytest.approx(heat, abs=1e-9)
        assert e.J_learned == pytest.approx(J(e.policy))


def test_uniform_weights_are_the_limit_of_every_scheme():
    uniform = tw.experiment(tw.Config(scheme="uniform"))
    for scheme in ("rw", "aw"):
        e = tw.experiment(tw.Config(scheme=scheme, alpha=float("inf")))
        assert e.J_weighted == pytest.approx(uniform.J_weighted) and e.ess == pytest.approx(200)


def test_a_high_price_gives_the_weighted_policy_back():
    e = tw.experiment(tw.Config(lam=float("inf")))
    assert e.J_learned == pytest.approx(e.J_weighted)


def test_moving_alpha_or_lambda_does_not_draw_the_data_again():
    cfg = tw.Config(seed=9)
    a = tw.experiment(cfg)
    assert tw.experiment(replace(cfg, alpha=0.3)).data is a.data is tw.experiment(replace(cfg, lam=0.2)).data
    assert tw.experiment(replace(cfg, sigma=0.1)).data is not a.data


@pytest.mark.parametrize(("name", "value"), [("alpha", -1.0), ("sigma", 1.5), ("scheme", "best"), ("lam", 0.0),
                                             ("n", 1)])
def test_settings_out_of_range_are_named(name, value):
    with pytest.raises(ValueError, match=name):
        tw.Config(**{name: value})


def test_an_unknown_scheme_is_named():
    with pytest.raises(ValueError, match="expected one of 'uniform'"):
        tw.trajectory_weights(tw.dataset(0.05), "best")
