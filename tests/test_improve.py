"""Improvement from fixed data: fixed points, limits, and general optimisers as oracles."""

import numpy as np
import pytest
from scipy.optimize import minimize, minimize_scalar

from rlkit import improve
from rlkit.empirical import weighted_policy
from rlkit.envs import frozen_grid as grid
from rlkit.mdp import MDP, backup, evaluate, occupancy, solve
from rlkit.papers.trajectory_weighting import dataset

S, A, GAMMA = 6, 3, 0.9
END = np.arange(S) == S - 1


def world(seed: int) -> MDP:
    rng = np.random.default_rng(seed)
    return MDP(rng.dirichlet(np.full(S, 0.5), (S, A)), rng.normal(size=(S, A)), ~END / (S - 1), END)


def behaviour(seed: int) -> np.ndarray:
    return np.random.default_rng(seed + 100).dirichlet(np.ones(A), S)


SEEDS = pytest.mark.parametrize("seed", range(4))


@SEEDS
def test_the_checked_once_backup_is_the_backup(seed):
    model, v = world(seed), np.random.default_rng(seed).normal(size=(7, S))
    assert improve._ahead(model, GAMMA)(v) == pytest.approx(backup(model, v, GAMMA))


# ---- KL

@SEEDS
@pytest.mark.parametrize("lam", [0.3, 1.0, 5.0])
def test_kl_policy_is_the_tilt_of_the_behaviour_by_its_own_value(seed, lam):
    model, mu = world(seed), behaviour(seed)
    pi = improve.improve_kl(model, mu, lam, GAMMA)
    q = backup(model, evaluate(model, pi, GAMMA), GAMMA)
    expected = mu * np.exp(q / lam)
    assert pi[~END] == pytest.approx((expected / expected.sum(1, keepdims=True))[~END], abs=1e-8)


@SEEDS
def test_kl_limits_are_the_behaviour_and_the_best_policy(seed):
    model, mu = world(seed), behaviour(seed)
    assert improve.improve_kl(model, mu, np.inf, GAMMA) == pytest.approx(mu)
    best = solve(model, GAMMA)[2]
    assert improve.improve_kl(model, mu, 1e-4, GAMMA)[~END] == pytest.approx(best[~END], abs=1e-6)


def test_kl_never_takes_an_action_that_was_not_seen():
    mu = behaviour(0)
    mu[:, 0] = 0
    mu /= mu.sum(1, keepdims=True)
    assert (improve.improve_kl(world(0), mu, 0.01)[:, 0] == 0).all()


@pytest.mark.parametrize("lam", [0.0, -1.0, np.nan])
def test_kl_wants_a_price(lam):
    with pytest.raises(ValueError, match="expected a price"):
        improve.improve_kl(world(0), behaviour(0), lam)


# ---- IQL

def value_of(model, mu, tau, q):
    """Expectile of each row by a general optimiser."""
    loss = lambda v, s: (mu[s] * np.abs(tau - (q[s] < v)) * (q[s] - v) ** 2).sum()                 # noqa: E731
    return np.array([minimize_scalar(loss, args=(s,), bounds=(-50, 50), method="bounded",
                                     options=dict(xatol=1e-10)).x for s in range(S)])


@SEEDS
def test_iql_policy_comes_from_expectiles_of_its_own_q(seed):
    model, mu, tau, beta = world(seed), behaviour(seed), 0.8, 2.0
    v = np.zeros(S)
    for _ in range(200):
        q = backup(model, v, GAMMA)
        v = value_of(model, mu, tau, q)
    expected = mu * np.minimum(np.exp(beta * (q - v[:, None])), 3.0)
    pi = improve.improve_iql(model, mu, tau, beta, 3.0, GAMMA)
    assert pi[~END] == pytest.approx((expected / expected.sum(1, keepdims=True))[~END], abs=1e-4)   # the bounded search


@SEEDS
def test_iql_with_the_mean_weighs_by_plain_advantages(seed):
    model, mu = world(seed), behaviour(seed)
    v = evaluate(model, mu, GAMMA)
    expected = mu * np.exp(backup(model, v, GAMMA) - v[:, None])
    pi = improve.improve_iql(model, mu, 0.5, 1.0, np.inf, GAMMA)
    assert pi[~END] == pytest.approx((expected / expected.sum(1, keepdims=True))[~END], abs=1e-7)


def test_iql_without_trust_in_advantages_is_the_behaviour():
    assert improve.improve_iql(world(1), behaviour(1), beta=0.0) == pytest.approx(behaviour(1))


# ---- CQL

ALL = np.ones(S, bool)


@SEEDS
def test_cql_without_push_is_q_learning(seed):
    model = world(seed)
    pi = improve.improve_cql(model, behaviour(seed), ALL, 0.0, GAMMA, 8000)
    assert (pi[~END] == solve(model, GAMMA)[2][~END]).all()


@SEEDS
def test_cql_with_a_hard_push_does_what_was_done_most(seed):
    model, mu = world(seed), behaviour(seed)
    pi = improve.improve_cql(model, mu, ALL, 500.0, GAMMA, 200)
    assert (pi.argmax(1) == mu.argmax(1))[~END].all()


def test_cql_steps_down_the_gradient_of_its_loss():
    """One step from zero, against a numerical gradient of the loss as written."""
    model, mu, c = world(2), behaviour(2), 0.7
    y = backup(model, np.zeros(S), GAMMA)
    loss = lambda q: (0.5 * (mu * (q - y) ** 2).sum(1) + c * (np.log(np.exp(q).sum(1)) - (mu * q).sum(1))).sum()  # noqa: E731
    h, grad = 1e-6, np.zeros((S, A))
    for i in np.ndindex(S, A):
        e = np.zeros((S, A))
        e[i] = h
        grad[i] = (loss(e) - loss(-e)) / (2 * h)
    pi = improve.improve_cql(model, mu, ALL, c, GAMMA, 1)
    assert (pi.argmax(1) == (-grad).argmax(1)).all()


def test_cql_is_uniform_where_nothing_was_seen():
    seen = np.arange(S) > 1
    assert improve.improve_cql(world(0), behaviour(0), seen, 0.1)[:2] == pytest.approx(np.full((2, A), 1 / A))


# ---- no constraint

def test_blind_q_learning_is_right_where_all_was_seen_and_believes_its_guesses_elsewhere():
    model = world(3)
    seen = np.ones((S, A), bool)
    best = solve(model, GAMMA)[2]
    q0 = np.random.default_rng(0).normal(size=(5, S, A))
    pi = improve.improve_blindly(model, q0, seen, GAMMA)
    assert (pi[:, ~END] == best[~END]).all()
    seen[2, 1] = False
    q0[:, 2, 1] = 1e3, -1e3, 1e3, -1e3, 1e3
    assert improve.improve_blindly(model, q0, seen, GAMMA)[:, 2, 1].tolist() == [1, 0, 1, 0, 1]


# ---- flow

def dual(model, mu, lam, gamma):
    """The dual by a general optimiser (L-BFGS), for comparison."""
    live = ~model.terminal

    def f(nu_live):
        nu = np.zeros(len(live))
        nu[live] = nu_live
        e = (model.R + gamma * model.P @ nu - nu[:, None])[live]
        d = mu[live] * np.exp(e / lam)
        grad = model.start[live] + gamma * (d[..., None] * model.P[live]).sum((0, 1))[live] - d.sum(1)
        return model.start @ nu + lam * d.sum(), grad

    best = minimize(f, np.full(live.sum(), 0.5), jac=True, method="L-BFGS-B",
                    options=dict(maxiter=20_000, maxfun=50_000, ftol=1e-16, gtol=1e-12))
    nu = np.zeros(len(live))
    nu[live] = best.x
    return np.where(live[:, None], mu * np.exp((model.R + gamma * model.P @ nu - nu[:, None]) / lam), 0)


@SEEDS
@pytest.mark.parametrize("lam", [0.5, 2.0])
def test_visits_solve_the_dual_and_balance_their_flow(seed, lam):
    model, mu = world(seed), behaviour(seed) * ~END[:, None]
    d = improve.improve_visits(model, mu, lam, GAMMA)
    flow = model.start + GAMMA * np.einsum("sat,sa->t", model.P, d) - d.sum(1)
    assert flow[~END] == pytest.approx(np.zeros(S - 1), abs=1e-8)
    assert d == pytest.approx(dual(model, mu, lam, GAMMA), rel=1e-4, abs=1e-6)


@SEEDS
def test_visits_of_a_policy_stay_if_leaving_is_dear_and_become_the_best_if_it_is_cheap(seed):
    model, mu = world(seed), behaviour(seed)
    d_data = occupancy(model, mu, GAMMA)
    assert improve.improve_visits(model, d_data, 1e6, GAMMA) == pytest.approx(d_data, rel=1e-4, abs=1e-5)
    d = improve.improve_visits(model, d_data, 1e-3, GAMMA)
    best = model.start @ solve(model, GAMMA)[0]
    assert (d * model.R).sum() == pytest.approx(best, abs=0.02)           # λ times a divergence of a few nats, times 20


def test_visits_need_data_where_episodes_start():
    model, mu = world(0), behaviour(0) * ~END[:, None]
    mu[2] = 0
    with pytest.raises(ValueError, match="start in state 2"):
        improve.improve_visits(model, mu, 1.0)
    with pytest.raises(ValueError, match="expected a finite price"):
        improve.improve_visits(model, behaviour(0), 0.0)


@pytest.mark.parametrize("lam", [0.003, 0.1, 1.0])
def test_state_action_weights_do_not_see_where_episodes_are_cut(lam):
    data, mdp = dataset(0.05, seed=1), grid.frozen_grid()
    whole, cut = (improve.flow_weights(d, mdp, lam) for d in (data, data.cut(5)))
    assert whole == pytest.approx(cut, abs=1e-9)
    assert whole.max() == 1 and (whole >= 0).all()


def test_state_action_weights_lift_the_policy():
    data, world = dataset(0.1, seed=1), grid.world()
    pi = [weighted_policy(data, w, 64, 4) for w in (np.ones(data.n), improve.flow_weights(data, world.mdp, 0.1))]
    uniform, dw = world.score(grid.expected_return(world.mdp, np.stack(pi)))
    assert dw > uniform + 30                                              # some 60 in the mean, with a spread of 4
