"""Counts, clones and models of weighted data, against loops over the transitions."""

import numpy as np
import pytest

from rlkit import empirical
from rlkit.mdp import MDP, evaluate, simulate
from rlkit.trajectories import Dataset

S, A = 5, 3


def world(rng):
    """A random stochastic MDP whose last state is the end, and rewards that depend on where one arrives."""
    P = rng.dirichlet(np.ones(S), (S, A))
    return MDP.paying(P, rng.normal(size=(S, A, S)), np.array([0.5, 0.3, 0.2, 0, 0]), np.arange(S) == S - 1)


@pytest.fixture(params=range(3))
def data(request):
    rng = np.random.default_rng(request.param)
    return Dataset.from_arrays(**simulate(world(rng), np.full((S, A), 1 / A), 30, rng, 500)._asdict())


def by_hand(data, w, gamma=1.0):
    c, n, r = np.zeros((S, A)), np.zeros((S, A, S)), np.zeros((S, A))
    for i in range(data.n):
        for t, m in enumerate(range(data.starts[i], data.starts[i + 1])):
            s, a = data.obs[m], data.action[m]
            s2 = data.final_obs[i] if m + 1 == data.starts[i + 1] else data.obs[m + 1]
            c[s, a] += w[i] * gamma**t
            n[s, a, s2] += w[i]
            r[s, a] += w[i] * data.reward[m]
    return c, n, r


@pytest.mark.parametrize("gamma", [1.0, 0.9])
def test_visits_are_weighted_counts(data, gamma):
    w = np.random.default_rng(9).random(data.n)
    assert empirical.visits(data, w, S, A, gamma) == pytest.approx(by_hand(data, w, gamma)[0], abs=1e-12)


def test_the_clone_does_what_was_done_as_often(data):
    w = np.random.default_rng(9).random(data.n)
    c = by_hand(data, w)[0]
    pi = empirical.weighted_policy(data, w, S, A)
    assert pi[:-1] == pytest.approx(c[:-1] / c[:-1].sum(1, keepdims=True), abs=1e-12)
    assert pi[-1] == pytest.approx([1 / A] * A)                           # nobody acts at the end


def test_the_model_is_frequencies_and_mean_rewards(data):
    w = np.random.default_rng(9).random(data.n)
    _, n, r = by_hand(data, w)
    m = empirical.model(data, w, np.arange(S) == S - 1, A)
    total = n.sum(-1)
    seen = total > 0
    assert m.P[seen] == pytest.approx((n / np.where(seen, total, 1)[..., None])[seen], abs=1e-12)
    assert m.R[seen] == pytest.approx((r / np.where(seen, total, 1))[seen], abs=1e-12)
    assert m.start == pytest.approx(np.bincount(data.obs[data.starts[:-1]], w, S) / w.sum())
    assert m.P[~seen] == pytest.approx(np.repeat(np.eye(S), A, 0).reshape(S, A, S)[~seen]) and (m.R[~seen] == 0).all()


def test_in_its_own_model_the_weighted_data_earn_what_they_promise(data):
    """The identity that makes trajectory weighting exact, in a stochastic world too, if the model is weighted alike."""
    w = np.random.default_rng(9).random(data.n)
    m = empirical.model(data, w, np.arange(S) == S - 1, A)
    J = m.start @ evaluate(m, empirical.weighted_policy(data, w, S, A), horizon=5000)
    assert J == pytest.approx(w @ data.returns / w.sum(), abs=1e-9)


def test_only_proportions_of_weights_matter(data):
    w = np.random.default_rng(9).random(data.n)
    a, b = (empirical.model(data, k * w, np.arange(S) == S - 1, A) for k in (1.0, 37.0))
    assert a.P == pytest.approx(b.P, abs=1e-12) and a.start == pytest.approx(b.start, abs=1e-12)


def test_weights_of_trajectories_are_weights_of_their_transitions(data):
    w = np.random.default_rng(9).random(data.n)
    u = np.repeat(w, data.lengths)
    assert empirical.visits(data, u, S, A) == pytest.approx(empirical.visits(data, w, S, A))


def test_weighting_by_counts_is_repeating_trajectories(data):
    k = np.random.default_rng(9).integers(0, 4, data.n)
    repeated = data.select(np.repeat(np.arange(data.n), k))
    assert empirical.weighted_policy(data, k, S, A) == pytest.approx(
        empirical.weighted_policy(repeated, np.ones(repeated.n), S, A), abs=1e-12)


def test_other_shapes_are_refused(data):
    with pytest.raises(ValueError, match="one weight per trajectory"):
        empirical.visits(data, np.ones(data.n + 1), S, A)
