"""The tables of chapter 5 against gradients by finite differences, a Fisher matrix by enumeration, and closed forms."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from rlkit.papers import entropy_mechanism as em
from rlkit.policies import entropy, log_softmax, softmax

TREE = dict(K=3, depth=2, right=2, runs=1)


def tree(seed, **more):
    cfg = em.Config(**TREE | more)
    levels, good = em.start(cfg, np.random.default_rng(seed))
    return cfg, levels, good.astype(float)


def by_hand(flat, K, depth):
    """log π(y) of every response from flat logits, one response at a time."""
    sizes = [K**t * K for t in range(depth)]
    z = [log_softmax(part.reshape(-1, K)) for part in np.split(flat, np.cumsum(sizes)[:-1])]
    out = []
    for y in product(range(K), repeat=depth):
        prefix = total = 0
        for t, token in enumerate(y):
            total += z[t][prefix, token]
            prefix = prefix * K + token
        out.append(total)
    return np.array(out)


def flat(levels):
    return np.concatenate([x.ravel() for x in levels])


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_responses_are_enumerated_in_order_and_their_entropy_is_the_sum_over_tokens(depth):
    _, levels, _ = tree(1, depth=depth)
    logp = em.responses(levels)
    np.testing.assert_allclose(logp[0], by_hand(flat(levels), 3, depth), rtol=1e-12)
    chain = sum((d[..., 0] * entropy(np.exp(lp))).sum() for d, lp in zip(em.visits(levels), levels))
    assert entropy(np.exp(logp))[0] == pytest.approx(chain, rel=1e-12)


@pytest.mark.parametrize("alpha", [0.0, 0.2])
@pytest.mark.parametrize("depth", [1, 3])
def test_pg_is_the_gradient_of_reward_and_bonus(depth, alpha):
    cfg, levels, r = tree(2, depth=depth)

    def objective(z):
        logp = by_hand(z, 3, depth)
        return np.exp(logp) @ (r[0] - alpha * logp)

    z, h = flat(levels), 1e-5
    numeric = [(objective(z + h * e) - objective(z - h * e)) / (2 * h) for e in np.eye(len(z))]
    np.testing.assert_allclose(flat(em.step(levels, r, "PG", 1.0, alpha)), numeric, atol=1e-9)


def test_npg_is_the_inverse_fisher_matrix_times_the_gradient():
    cfg, levels, r = tree(3)
    z, h = flat(levels), 1e-5
    score = np.array([(by_hand(z + h * e, 3, 2) - by_hand(z - h * e, 3, 2)) / (2 * h) for e in np.eye(len(z))])
    fisher = (score * np.exp(by_hand(z, 3, 2))) @ score.T
    natural = np.linalg.pinv(fisher, rcond=1e-8) @ flat(em.step(levels, r, "PG", 1.0))
    ours = [m - m.mean(-1, keepdims=True) for m in em.step(levels, r, "NPG", 1.0)]        # a common shift is no move
    np.testing.assert_allclose(natural, flat(ours), atol=1e-6)


@pytest.mark.parametrize("method", em.METHODS)
def test_a_sample_in_the_proportions_of_the_policy_is_the_exact_step(method):
    cfg, levels, r = tree(4, runs=3, depth=3)
    exact = em.step(levels, r, method, 0.3)
    sampled = em.step(levels, r, method, 0.3, c=0.7, shares=np.exp(em.responses(levels)))
    shift = 0.3 * 0.7 if method == "NPG" else 0.0                         # the same for all actions
    for a, b in zip(exact, sampled):
        np.testing.assert_allclose(b, a + shift, atol=1e-12)


def test_sampled_steps_are_the_exact_one_on_average():
    cfg, levels, r = tree(5, K=4, depth=1)
    rng, n = np.random.default_rng(0), 4000
    shares = rng.multinomial(6, np.exp(levels[0][0, 0]), n) / 6
    many = em.step([np.repeat(levels[0], n, 0)], np.repeat(r, n, 0), "PG", 1.0, shares=shares)[0][:, 0]
    error = many.mean(0) - em.step(levels, r, "PG", 1.0)[0][0, 0]
    assert (np.abs(error) < 4.5 * many.std(0) / n**0.5).all()             # standard errors


# ---- signs and numbers

@pytest.mark.parametrize("rewarded, method, first", [("likely", "PG", -0.00986), ("rare", "PG", 0.00321),
                                                     ("likely", "NPG", -0.03116), ("rare", "NPG", 0.01501)])
def test_likely_and_right_lowers_entropy_rare_and_right_raises_it(rewarded, method, first):
    p, i = np.array([0.7, 0.2, 0.1]), dict(likely=0, rare=2)[rewarded]
    A = np.eye(3)[i] - p[i]
    factor = p if method == "PG" else 1.0
    formula = -0.1 * (p * factor * A * (np.log(p) + entropy(p))).sum()    # theorem 1 and 2, term by term
    e = em.one_step(em.OneStepConfig(0.7, 2 / 3, rewarded, method, 0.1))
    assert e.change.first == pytest.approx(formula) == pytest.approx(first, abs=6e-6)
    assert np.sign(e.change.exact) == np.sign(first) and e.terms.sum() == pytest.approx(e.change.first)
    np.testing.assert_allclose(e.after, softmax(np.log(p) + 0.1 * factor * A))


def test_temperature_scales_pg_by_its_square_and_npg_not_at_all():
    hot = {m: em.one_step(em.OneStepConfig(method=m, tau=2.0)).change.first for m in em.METHODS}
    one = {m: em.one_step(em.OneStepConfig(method=m)).change.first for m in em.METHODS}
    assert hot["PG"] == pytest.approx(one["PG"] / 4) and hot["NPG"] == pytest.approx(one["NPG"])


def test_npg_keeps_the_proportions_of_right_answers_and_pg_does_not():
    for method, kept in (("NPG", True), ("PG", False)):
        first, *_, last = em.mechanism(em.Config(method=method, eta=0.1, steps=100), np.random.default_rng(0))
        if kept:
            np.testing.assert_allclose(last.among, first.among, atol=1e-9)
        else:
            assert (last.among < first.among).all()                       # the rich get richer in every run


def test_the_bonus_ends_at_the_softmax_of_the_reward():
    alpha = 0.2
    *_, last = em.mechanism(em.Config(method="NPG", alpha=alpha, eta=0.5, runs=4), np.random.default_rng(0), every=400)
    best = softmax(last.good / alpha)                                     # the maximum of J + αH, whatever the start
    np.testing.assert_allclose(last.pi, best, atol=1e-9)
    np.testing.assert_allclose(last.H, entropy(best), atol=1e-9)


def test_on_a_bandit_freezing_the_visits_changes_nothing_and_on_a_tree_it_does():
    flat_, deep = (list(em.mechanism(em.Config(K=4, depth=d, right=1, steps=20), np.random.default_rng(1)))[1:]
                   for d in (1, 3))
    np.testing.assert_allclose([s.frozen for s in flat_], [s.first for s in flat_], atol=1e-12)
    np.testing.assert_allclose([s.formula for s in deep], [s.frozen for s in deep], atol=1e-12)
    far = np.abs([s.frozen - s.exact for s in deep]).sum()
    near = np.abs([s.first - s.exact for s in deep]).sum()
    assert far > 5 * near


def test_the_printed_formula_needs_a_baseline_and_the_update_does_not():
    right, wrong = (list(em.mechanism(em.Config(c=c, steps=50), np.random.default_rng(1)))[1:] for c in (0.0, 0.5))
    for a, b in zip(right, wrong):
        np.testing.assert_allclose(b.H, a.H, atol=1e-12)                  # the same run
    np.testing.assert_allclose([s.formula for s in right], [s.first for s in right], atol=1e-12)
    assert np.abs([b.formula - b.first for b in wrong]).max() > 1e-3


# ---- the largest covariance

def test_the_largest_advantage_of_a_group_of_eight_is_2_475():
    r = (np.arange(8) < np.arange(9)[:, None]).astype(float)              # 0 … 8 right answers
    A = em.group_advantages(r)
    assert A.max() == pytest.approx(7 / 8**0.5, rel=1e-5) == pytest.approx(2.475, abs=1e-3)
    assert (A[[0, 8]] == 0).all() and np.abs(A.sum(1)).max() < 1e-12
    with pytest.raises(ValueError, match="at least 2 answers to each prompt"):
        em.group_advantages(np.ones((3, 1)))


def test_a_positive_advantage_bounds_the_covariance_and_a_negative_one_does_not():
    rng = np.random.default_rng(0)
    p = softmax(rng.normal(0, 2, (256, 1, 20)))
    a = (rng.random((256, 8, 1)) > p.cumsum(-1)).sum(-1).clip(0, 19)      # [256, 8] answers
    logp, adv = np.take_along_axis(np.log(p)[:, 0], a, 1).ravel(), em.group_advantages(a < 3).ravel()
    c = em.token_covariances(logp, adv)
    assert c.mean() == pytest.approx(np.cov(logp, adv, ddof=0)[0, 1])
    np.testing.assert_allclose(em.token_covariances(logp - 2, adv + 1), c, atol=1e-9)     # it counts from the means
    assert c[adv > 0].max() <= -logp.mean() * 2.475 < c[adv < 0].max()


# ---- the learner

def test_looking_more_often_does_not_change_what_is_learned():
    cfg = em.Config(samples=8, steps=60)
    often, seldom = ([*em.mechanism(cfg, np.random.default_rng(3), every=k)][-1] for k in (1, 60))
    for a, b in zip(often, seldom):
        np.testing.assert_array_equal(a, b)


def test_a_batch_of_runs_is_as_many_single_runs():
    cfg = em.Config(samples=8, steps=60, runs=200)
    *_, batch = em.mechanism(cfg, np.random.default_rng(4), every=60)
    single = [[*em.mechanism(replace(cfg, runs=1), g, every=60)][-1].H[0] for g in np.random.default_rng(5).spawn(200)]
    error = batch.H.mean() - np.mean(single)
    assert abs(error) < 4.5 * np.hypot(batch.H.std(), np.std(single)) / 200**0.5          # standard errors


def test_a_knob_acts_on_the_next_update_and_a_world_cannot_change():
    learner = em.mechanism(em.Config(), np.random.default_rng(0))
    next(learner)
    held = learner.send(em.Config(eta=1e-9))
    assert np.abs(held.exact).max() < 1e-8                                # hardly a step
    with pytest.raises(ValueError, match="change in mid-run"):
        learner.send(em.Config(K=10))


@pytest.mark.parametrize("wrong, says", [
    (dict(K=20, depth=3), "make 8000 responses, expected at most 4096 to enumerate; try K = 16"),
    (dict(K=3, right=3), "right is 3 of 3 responses, expected fewer"),
    (dict(eta=0.0), "eta is 0.0, expected > 0")])
def test_a_setting_that_cannot_be_is_refused_in_words(wrong, says):
    with pytest.raises(ValueError, match=says):
        em.Config(**wrong)
