"""The published density-ratio loss: its gradients, and its learner's contract."""

from dataclasses import replace

import numpy as np
import pytest

from rlkit.papers import density_ratio_weighting as dr
from rlkit.papers.trajectory_weighting import dataset


def numbers(seed=0, B=6):
    rng = np.random.default_rng(seed)
    g, f, f2 = rng.normal(0, 0.5, (3, 2, B))
    return g, f, f2, rng.random((2, B))


@pytest.mark.parametrize("lam_K", [0.0, 0.7])
def test_gradients_are_those_of_the_loss(lam_K):
    cfg, (g, f, f2, r) = dr.Config(lam_F=1.3, lam_K=lam_K), numbers()
    z = g + f
    value = lambda z=z, g=g, f2=f2: dr.loss(cfg, z, g, f, f2, r)[0]                # noqa: E731
    _, _, _, _, by_z, by_out, by_next = dr.loss(cfg, z, g, f, f2, r)
    h = 1e-6
    for b in range(6):
        e = h * (np.arange(6) == b)
        assert by_z[:, b] == pytest.approx((value(z=z + e) - value(z=z - e)) / (2 * h), abs=1e-7)
        assert by_out[:, b] == pytest.approx((value(g=g + e) - value(g=g - e)) / (2 * h), abs=1e-7)
        assert by_next[:, b] == pytest.approx((value(f2=f2 + e) - value(f2=f2 - e)) / (2 * h), abs=1e-7)


def test_the_loss_by_hand():
    cfg = dr.Config(lam_F=2.0, lam_K=0.5)
    z, g, f, f2, r = (np.array([x]) for x in ([0.0, np.log(3)], [0.0, 0.0], [0.0, np.log(2)], [0.0, 0.0], [1.0, 0.0]))
    u = np.array([0.25, 0.75])
    flow = ((1 - 1) ** 2 + (2 - 1) ** 2) / 2
    total, gain, got_flow, kl, *_ = dr.loss(cfg, z, g, f, f2, r)
    assert gain[0] == pytest.approx(0.25) and got_flow[0] == pytest.approx(flow)
    assert kl[0] == pytest.approx((u * np.log(u)).sum() + np.log(2))
    assert total[0] == pytest.approx(-0.25 + 2 * flow + 0.5 * (u * np.log(u)).sum())


def last(cfg, seed=0, every=100):
    *_, snap = dr.density_ratio(cfg, dataset(0.1, n=40), np.random.default_rng(seed), every)
    return snap


def test_looking_more_often_changes_nothing():
    cfg = dr.Config(steps=150, runs=2)
    assert (last(cfg, every=1).u == last(cfg, every=1000).u).all()


def test_the_same_seed_gives_the_same_numbers():
    cfg = dr.Config(steps=50, runs=2)
    a, b, c = last(cfg), last(cfg), last(cfg, seed=1)
    assert (a.u == b.u).all() and (a.u != c.u).any()


def test_the_first_step_of_adam_is_as_long_as_the_learning_rate():
    """Whatever the slope: so log-weights, sums of a g and an f, differ by whole learning rates."""
    lengths = np.log(last(dr.Config(steps=1, lr=0.01, runs=2)).u) / 0.01
    assert lengths == pytest.approx(lengths.round(), abs=0.02) and lengths.min() <= -1


def test_weights_are_bounded_by_the_clip():
    """g and f each in ±clip: the largest ratio is e^{4 clip}."""
    u = last(dr.Config(steps=400, clip=0.3, lam_F=0.01, lam_K=0.0, lr=0.1)).u
    assert u.max() == 1 and u.min() >= np.exp(-1.2) - 1e-12 and u.min() < 0.9


def test_beyond_the_clip_the_weights_pull_no_further():
    """Without the flow term g and f stop a few of Adam's steps behind the clip; else 400 steps take them to 40."""
    *_, snap = dr.density_ratio(dr.Config(steps=400, clip=0.3, lam_F=0.0, lam_K=0.0, lr=0.1), dataset(0.1, n=40),
                                np.random.default_rng(0))
    assert snap.flow[0] < np.exp(2 * 2 * 2)                               # |g|, |f| < 2


def test_without_reward_or_flow_weights_stay_uniform():
    data = replace(dataset(0.1, n=40), reward=np.zeros(dataset(0.1, n=40).m))
    *_, snap = dr.density_ratio(dr.Config(steps=50, lam_F=0.0), data, np.random.default_rng(0))
    assert snap.u == pytest.approx(np.ones_like(snap.u), abs=1e-9)


def test_runs_of_a_batch_differ_and_a_change_acts_at_once():
    learner = dr.density_ratio(dr.Config(steps=40, runs=3), dataset(0.1, n=40), np.random.default_rng(0), every=20)
    first = next(learner)
    assert (first.u[0] != first.u[1]).any() and first.u.shape[0] == 3
    stopped = learner.send(dr.Config(steps=40, runs=3, lr=1e-9))
    assert stopped.u == pytest.approx(first.u, abs=1e-5)
