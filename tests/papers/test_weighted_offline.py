"""Three weightings in one batch: who draws from where, what may change in mid-run, and the learner's contract."""

from dataclasses import replace

import numpy as np
import pytest

from rlkit.measures import ess
from rlkit.papers import weighted_offline as wo
from rlkit.papers.trajectory_weighting import advantage_weights, return_weights, topk_weights
from rlkit.sampling import transition_probs
from rlkit.trajectories import Dataset

TINY = wo.WeightedConfig(seeds=2, steps=6, size=4000, sigma=0.3, episodes=2)


def run(cfg, seed=0, every=3, **rest):
    return list(wo.weighted_offline(cfg, np.random.default_rng(seed), every, **rest))


def episodes(n, length, offset):
    """n episodes whose observations are all different numbers."""
    ids = offset + np.arange(n * length, dtype=float).reshape(n, length, 1)
    return Dataset.from_episodes([dict(obs=np.r_[x, x[-1:]], action=np.zeros((length, 1)), reward=np.ones(length),
                                       terminated=False, truncated=True) for x in ids])


def test_each_run_draws_from_its_own_dataset_by_its_groups_weights():
    """Frequencies within five standard deviations of a share."""
    parts, rng, n = [episodes(4, 3, 0), episodes(5, 2, 100)], np.random.default_rng(0), 20_000
    w = [rng.random((3, 4)), rng.random((3, 5))]
    draws = wo.Draws(parts, w)
    for _ in range(2):
        idx = draws.draw(rng, n)                                          # [G · seeds, n]
        assert idx.shape == (6, n)
        for g in range(3):
            for k, (first, d) in enumerate(zip((0, 12), parts)):
                p = transition_probs(w[k][g], d.lengths)
                got = np.bincount(idx[2 * g + k] - first, minlength=d.m) / n
                assert len(got) == d.m and np.abs(got - p).max() < 5 * (0.25 / n) ** 0.5
        w = [rng.random((3, 4)), rng.random((3, 5))]
        draws.reweight(w)


def test_weights_are_those_of_trajectory_weighting():
    s = run(replace(TINY, schemes=("uniform", "aw", "rw", "topk"), steps=1))[-1]
    G, s0 = s.data.returns, s.data.first_obs
    expected = [np.full(len(G), 1 / len(G)), advantage_weights(G, s0, 0.1), return_weights(G, 0.1),
                topk_weights(G, 0.1)]
    np.testing.assert_allclose(s.w, expected, rtol=1e-12)
    assert s.schemes == ("uniform", "aw", "rw", "topk") and s.score.shape == (4, 2)


@pytest.mark.parametrize("algorithm", ["bc", "iql", "td3bc", "cql"])
def test_every_algorithm_runs_and_scores_each_run(algorithm):
    snaps = run(replace(TINY, algorithm=algorithm))
    assert [s.step for s in snaps] == [3, 6]
    for s in snaps:
        assert s.score.shape == (3, 2) and np.isfinite(s.score).all() and s.ess.shape == (3,)


def test_looking_more_often_changes_nothing_that_is_learned():
    often, seldom = run(TINY, every=1), run(TINY, every=6)
    assert len(often) == 6 and (often[-1].score == seldom[-1].score).all()


def test_the_same_seed_gives_the_same_numbers():
    a, b, c = run(TINY), run(TINY), run(TINY, seed=1)
    assert (a[-1].score == b[-1].score).all() and (a[-1].score != c[-1].score).any()


def test_alpha_reweights_in_mid_run():
    learner = wo.weighted_offline(TINY, np.random.default_rng(0), every=3)
    first = next(learner)
    uniform = learner.send(replace(TINY, alpha=1e9))
    assert ess(first.w[1]) < 0.9 * first.data.n
    assert uniform.ess == pytest.approx(np.full(3, first.data.n), rel=1e-6)
    assert uniform.w[2] == pytest.approx(uniform.w[0], rel=1e-6)


def test_reweighting_in_mid_run_reaches_the_minibatches_of_those_groups_only():
    plain = run(TINY)[-1].score
    learner = wo.weighted_offline(TINY, np.random.default_rng(0), every=3)
    next(learner)
    changed = learner.send(replace(TINY, alpha=1e9)).score
    assert (changed[0] == plain[0]).all() and (changed[1] != plain[1]).all() and (changed[2] != plain[2]).all()


def test_what_made_the_data_cannot_change_in_mid_run():
    learner = wo.weighted_offline(TINY, np.random.default_rng(0), every=3)
    next(learner)
    with pytest.raises(ValueError, match="sigma"):
        learner.send(replace(TINY, sigma=0.1))


def test_mixes_hold_the_share_of_the_expert():
    d = run(replace(TINY, sigma=0.25, steps=1))[-1].data
    assert d.lengths[d.source == d.names.index("expert")].sum() == 0.25 * 4000 and d.m == 4000


def test_settings_of_the_algorithm_can_be_given():
    base = replace(wo.BASE["bc"], lr=1e-9)
    still = run(replace(TINY, steps=20), every=10, base=base)
    assert still[0].score == pytest.approx(still[1].score, abs=0.5)       # nothing moves, the starts are the same


def test_unknown_schemes_are_named():
    with pytest.raises(ValueError, match="expected some of 'uniform'"):
        wo.WeightedConfig(schemes=("best",))


def test_weighting_beats_uniform_cloning_early():
    """500 updates, 4 seeds: RW is near 25, uniform near 5; the seeds' spread is below 8."""
    cfg = wo.WeightedConfig(steps=500, seeds=4, episodes=20, schemes=("uniform", "rw"))
    uniform, rw = run(cfg, every=500)[-1].score.mean(1)
    assert rw > uniform + 5
