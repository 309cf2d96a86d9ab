"""Finite MDPs against brute force, closed forms, QuantEcon and Gymnasium's own worlds."""

import itertools
import subprocess
import sys
import warnings

import gymnasium as gym
import numpy as np
import pytest
import scipy.sparse
from gymnasium.utils.env_checker import check_env
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from rlkit import mdp as m
from rlkit.mdp import MDP, evaluate, from_gymnasium, occupancy, simulate, solve, to_gymnasium
from rlkit.trajectories import Dataset

EXACT = dict(rtol=1e-10, atol=1e-10)        # float64 sums of a few hundred terms of size 1 to 100


def random_mdp(rng, S=5, A=3, batch=(), ends=1, on_arrival=False):
    """Every state can reach every other; the last `ends` states are terminal."""
    P = rng.dirichlet(np.full(S, 0.5), (*batch, S, A))
    P = 0.9 * P + 0.1 / S
    terminal = np.arange(S) >= S - ends
    start = rng.dirichlet(np.ones(S), batch) * ~terminal
    start /= start.sum(-1, keepdims=True)
    if on_arrival:
        return MDP.paying(P, rng.normal(size=(*batch, S, A, S)), start, terminal)
    return MDP(P, rng.normal(size=(*batch, S, A)), start, terminal)


def random_policy(rng, mdp, batch=()):
    return rng.dirichlet(np.ones(mdp.A), (*batch, mdp.S))


def trajectories(mdp, pi, horizon):
    """Every trajectory that can happen: (probability, [(s, a, s'), ...]). pi(t) is the table of step t."""
    def go(t, s):
        if t == horizon or mdp.terminal[s]:
            yield 1.0, []
            return
        for a, s2 in itertools.product(range(mdp.A), range(mdp.S)):
            p = pi(t)[s, a] * mdp.P[s, a, s2]
            for rest, steps in go(t + 1, s2) if p > 0 else ():
                yield p * rest, [(s, a, s2), *steps]
    return [(mdp.start[s] * p, steps) for s in range(mdp.S) if mdp.start[s] > 0 for p, steps in go(0, s)]


def series(mdp, action, gamma, terms):
    """Value of a deterministic policy by its own power series, one term a step."""
    s = np.arange(mdp.S)
    P, r = mdp.P[s, action] * ~mdp.terminal[:, None], mdp.R[s, action] * ~mdp.terminal
    v = np.zeros(mdp.S)
    for _ in range(terms):
        v = r + gamma * P @ v
    return v


# ---- evaluation and occupancy --------------------------------------------------------------------------------------

@pytest.mark.parametrize("gamma", [1.0, 0.8])
@pytest.mark.parametrize("timed", [False, True])
def test_value_and_occupancy_are_sums_over_all_trajectories(gamma, timed):
    rng = np.random.default_rng(0)
    mdp = random_mdp(rng, S=3, A=2, on_arrival=True)
    pi = random_policy(rng, mdp, (4,) if timed else ())
    value, visits, total = 0.0, np.zeros((3, 2)), 0.0
    for p, steps in trajectories(mdp, lambda t: pi[t] if timed else pi, 4):
        total += p
        for t, (s, a, s2) in enumerate(steps):
            value += p * gamma**t * mdp.reward[s, a, s2]
            visits[s, a] += p * gamma**t
    assert total == pytest.approx(1)                                      # the list is complete
    assert mdp.start @ evaluate(mdp, pi, gamma, 4, timed=timed) == pytest.approx(value, **approx())
    np.testing.assert_allclose(occupancy(mdp, pi, gamma, 4, timed=timed), visits, **EXACT)


def approx():
    return dict(rel=EXACT["rtol"], abs=EXACT["atol"])


@pytest.mark.parametrize("p", [0.5, 0.4, 0.7])
def test_a_gambler_is_ruined_as_in_the_closed_form(p):
    N = 10                                                                # fortune 0 … N, bets of 1 until 0 or N
    P = np.zeros((N + 1, 1, N + 1))
    for k in range(1, N):
        P[k, 0, k + 1], P[k, 0, k - 1] = p, 1 - p
    k, r = np.arange(N + 1), (1 - p) / p
    win = k / N if p == 0.5 else (1 - r**k) / (1 - r**N)
    length = k * (N - k) if p == 0.5 else (k - N * win) / (1 - 2 * p)
    terminal = (k == 0) | (k == N)
    pays = np.zeros((N + 1, 1, N + 1))
    pays[N - 1, 0, N] = 1.0                                               # 1 for reaching N
    for s in range(1, N):
        mdp = MDP.paying(P, pays, k == s, terminal)
        assert evaluate(mdp, np.ones((N + 1, 1)))[s] == pytest.approx(win[s])
        assert occupancy(mdp, np.ones((N + 1, 1))).sum() == pytest.approx(length[s])


def test_a_corridor_is_worth_gamma_to_the_distance():
    S, gamma = 6, 0.9                                                     # 0 … 5, action 1 goes right, 5 is the end
    s = np.arange(S)
    P = np.zeros((S, 2, S))
    P[s, 0, np.maximum(s - 1, 0)] = P[s, 1, np.minimum(s + 1, S - 1)] = 1
    R = np.zeros((S, 2))
    R[S - 2, 1] = 1
    mdp = MDP(P, R, s == 0, s == S - 1)
    v, q, pi = solve(mdp, gamma)
    np.testing.assert_allclose(v[:-1], gamma ** (S - 2 - s[:-1]), **EXACT)
    np.testing.assert_allclose(q[:-1, 0], gamma * v[np.maximum(s[:-1] - 1, 0)], **EXACT)
    assert (pi[:-1].argmax(-1) == 1).all() and v[-1] == 0
    assert (solve(mdp, 1.0, horizon=4)[0] == [0, 1, 1, 1, 1, 0]).all()    # from 0 the end is 5 steps away


def test_without_ends_discounted_visits_sum_to_one_over_one_minus_gamma():
    rng = np.random.default_rng(1)
    mdp = random_mdp(rng, ends=0)
    assert occupancy(mdp, random_policy(rng, mdp), 0.97).sum() == pytest.approx(1 / 0.03)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), gamma=st.sampled_from([0.0, 0.5, 0.99, 1.0]),
       horizon=st.sampled_from([None, 1, 7, 50]))
def test_visits_times_rewards_is_the_value_and_no_policy_beats_the_best(seed, gamma, horizon):
    rng = np.random.default_rng(seed)
    mdp = random_mdp(rng, S=int(rng.integers(2, 7)), A=int(rng.integers(1, 4)))
    pi = random_policy(rng, mdp)
    v = evaluate(mdp, pi, gamma, horizon)
    assert (occupancy(mdp, pi, gamma, horizon) * mdp.R).sum() == pytest.approx(mdp.start @ v, rel=1e-8, abs=1e-8)
    assert (solve(mdp, gamma, horizon)[0] >= v - 1e-8).all()


def test_a_long_horizon_comes_down_to_the_discounted_value():
    rng = np.random.default_rng(2)
    mdp = random_mdp(rng, ends=0)
    pi = random_policy(rng, mdp)
    for f in (lambda *x: evaluate(mdp, pi, *x), lambda *x: solve(mdp, *x)[0], lambda *x: occupancy(mdp, pi, *x)):
        np.testing.assert_allclose(f(0.9, 300), f(0.9), rtol=1e-10)       # 0.9^300 / 0.1 is 2e-13


@pytest.mark.parametrize("gamma", [1.0, 0.9])
def test_a_backup_is_one_step_and_the_value_afterwards(gamma):
    rng = np.random.default_rng(18)
    mdp, v = random_mdp(rng, S=4, A=2), rng.normal(size=(3, 4))           # v of the end is not 0: it must not count
    by_hand = [[[mdp.R[s, a] + gamma * sum(mdp.P[s, a, k] * u[k] for k in range(3)) for a in range(2)]
                for s in range(3)] for u in v]
    q = m.backup(mdp, v, gamma)
    np.testing.assert_allclose(q[:, :3], by_hand, **EXACT)
    assert (q[:, 3] == 0).all()
    assert (m.backup(mdp, put(3, np.nan)(v[0].copy()), gamma) == q[0]).all()
    with pytest.raises(ValueError, match=r"v has shape \(3,\), expected \[..., S\] with S=4"):
        m.backup(mdp, v[0, :3])
    pi = random_policy(rng, mdp)
    v = evaluate(mdp, pi, gamma)
    np.testing.assert_allclose((pi * m.backup(mdp, v, gamma)).sum(-1), v, **EXACT)


# ---- planning ------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("gamma", [1.0, 0.9])
def test_the_best_policy_is_the_best_of_all_policies(gamma):
    rng = np.random.default_rng(3)
    for _ in range(5):
        mdp = random_mdp(rng, S=4, A=3)
        v, q, pi = solve(mdp, gamma)
        all_v = [series(mdp, [*a, 0], gamma, 2000) for a in itertools.product(range(3), repeat=3)]
        np.testing.assert_allclose(v, np.max(all_v, 0), **EXACT)
        np.testing.assert_allclose(series(mdp, pi.argmax(-1), gamma, 2000), v, **EXACT)
        np.testing.assert_allclose(q.max(-1), v, **EXACT)


def test_the_best_policy_of_a_finite_horizon_is_the_best_of_all_that_may_change_with_time():
    rng = np.random.default_rng(4)
    mdp, T = random_mdp(rng, S=3, A=2), 3
    best = np.full(3, -np.inf)
    for plan in itertools.product(itertools.product(range(2), repeat=2), repeat=T):
        v = np.zeros(3)
        for actions in reversed(plan):
            s = np.arange(2)
            v = np.r_[mdp.R[s, actions] + mdp.P[s, actions] @ v, 0.0]
        best = np.maximum(best, v)
    v, q, pi = solve(mdp, horizon=T, timed=True)
    np.testing.assert_allclose(v[0], best, **EXACT)
    np.testing.assert_allclose(evaluate(mdp, pi, horizon=T, timed=True), best, **EXACT)
    first = solve(mdp, horizon=T)
    assert all((x == y[0]).all() for x, y in zip(first, (v, q, pi)))


def test_quantecon_finds_the_same_values_and_policies():
    quantecon = pytest.importorskip("quantecon")
    rng = np.random.default_rng(5)
    for gamma in (0.5, 0.95, 0.999):
        mdp = random_mdp(rng, S=30, A=4, ends=0)
        peer = quantecon.markov.DiscreteDP(mdp.R, mdp.P, gamma)
        theirs = peer.policy_iteration()
        v, _, pi = solve(mdp, gamma)
        np.testing.assert_allclose(v, theirs.v, rtol=1e-9)
        assert (pi.argmax(-1) == theirs.sigma).all()
        sigma = rng.integers(4, size=30)
        np.testing.assert_allclose(evaluate(mdp, np.eye(4)[sigma], gamma), peer.evaluate_policy(sigma), rtol=1e-9)
        vs, sigmas = quantecon.markov.backward_induction(peer, 12)
        v, _, pi = solve(mdp, gamma, horizon=12, timed=True)
        np.testing.assert_allclose(v, vs[:12], rtol=1e-9)
        assert (pi.argmax(-1) == sigmas).all()


def test_of_equally_good_actions_the_first_is_taken_whatever_the_unit_of_reward():
    rng = np.random.default_rng(6)
    one = random_mdp(rng, S=6, A=1)
    R = one.R + rng.normal(0, 1e-15, (6, 4)) * [0, 1, 1, 1]               # four times the same action, up to rounding
    for unit in (1e-12, 1.0, 1e12):
        mdp = MDP(np.repeat(one.P, 4, 1), R * unit, one.start, one.terminal)
        for kw in (dict(gamma=0.9), dict(gamma=1.0), dict(horizon=5)):
            assert (solve(mdp, **kw)[2] == np.eye(4)[0]).all()


def test_undiscounted_ties_are_broken_towards_an_end():
    mdp = from_gymnasium(make("FrozenLake-v1", dict(is_slippery=False)))  # a step is free: waiting ties with going
    v, _, pi = solve(mdp)
    assert mdp.start @ v == 1.0
    assert mdp.start @ evaluate(mdp, pi) == 1.0                           # raises if pi never ended
    assert occupancy(mdp, pi).sum() == 6                                  # the shortest way round the holes


def test_where_no_policy_ends_or_one_gains_for_ever_the_error_says_so():
    P = np.zeros((2, 2, 2))
    P[0, 0, 0] = P[0, 1, 1] = 1
    stay_pays = MDP(P, np.array([[1.0, 0.0], [0.0, 0.0]]), [1, 0], np.array([False, True]))
    with pytest.raises(ValueError, match="from state 0 a policy that gains on every round never ends.*horizon"):
        solve(stay_pays)
    assert solve(stay_pays, 0.5)[0][0] == pytest.approx(2.0)              # 1 / (1 - γ)
    assert solve(stay_pays, horizon=7)[0][0] == 7
    P[0, 1] = P[0, 0]
    with pytest.raises(ValueError, match="from state 0 the uniform policy, so every policy, never ends"):
        solve(stay_pays._replace(P=P))


def test_a_discount_next_to_one_is_planned_for_or_refused():
    rng, gamma = np.random.default_rng(19), 1 - 1e-6
    for _ in range(10):                                                   # deterministic, many ties, cycles everywhere
        P = np.eye(20)[rng.integers(0, 20, (20, 3))]
        mdp = MDP(P, rng.integers(-1, 2, (20, 3)), np.eye(20)[0], np.zeros(20, bool))
        v, _, pi = solve(mdp, gamma)
        np.testing.assert_allclose(evaluate(mdp, pi, gamma), v, rtol=1e-6, atol=1e-6)     # 10 of 16 digits are left
        best = solve(mdp, horizon=2000)[0] / 2000                         # the mean reward of the best cycle, nearly
        np.testing.assert_allclose(v * (1 - gamma), best, atol=0.03)      # up to the way to it: 20 steps of 2 in 2000
    with pytest.raises(ValueError, match="gamma is 0.99999999.*use gamma=1, or a horizon"):
        solve(mdp, 1 - 1e-9)


def test_a_policy_that_may_never_end_has_no_undiscounted_value():
    rng = np.random.default_rng(7)
    mdp = random_mdp(rng, S=4)
    P = np.array(mdp.P)
    P[1] = np.eye(4)[1]                                                   # state 1 is a trap
    trap = mdp._replace(P=P)
    pi = random_policy(rng, mdp)
    with pytest.raises(ValueError, match="from state 1 this policy never ends.*give a horizon, or gamma < 1"):
        evaluate(trap, pi)
    with pytest.raises(ValueError, match="from state 1 this policy never ends"):
        occupancy(trap, pi)
    with pytest.raises(ValueError, match=r"from state 1 of MDP \(1,\)"):
        evaluate(mdp._replace(P=np.stack([mdp.P, P])), pi)
    P[:, :, 0] += P[:, :, 1]
    P[:, :, 1] = 0
    P[1] = np.eye(4)[1]                                                   # now no one gets there
    d = occupancy(mdp._replace(P=P, start=np.eye(4)[0]), pi)
    assert d[1].sum() == 0 and d.sum() > 1


# ---- batches -------------------------------------------------------------------------------------------------------

def each(mdp, i):
    """MDP i of a batch, fields that have no batch axis shared."""
    bare = dict(P=3, R=2, start=1, terminal=1, reward=3)
    return MDP(*(x if x is None or np.ndim(x) == bare[k] else x[i] for k, x in mdp._asdict().items()))


@pytest.mark.parametrize("batched", ["P R start", "R", "start", "P", "pi", "P pi", "terminal", "reward"])
@pytest.mark.parametrize("kw", [dict(gamma=0.9), dict(), dict(gamma=0.9, horizon=6), dict(horizon=6)], ids=str)
def test_a_batch_gives_what_a_loop_gives(batched, kw):
    rng, B = np.random.default_rng(8), 4
    mdp, many = random_mdp(rng), random_mdp(rng, batch=(B,))
    pi = random_policy(rng, mdp, (B,) if "pi" in batched else ())
    mdp = mdp._replace(**{k: getattr(many, k) for k in batched.split() if k not in ("pi", "terminal", "reward")})
    if batched == "terminal":
        mdp = mdp._replace(start=np.eye(5)[0], terminal=np.eye(5, dtype=bool)[1:])
    if batched == "reward":
        mdp = MDP.paying(mdp.P, rng.normal(size=(B, 5, 3, 5)), mdp.start, mdp.terminal)
    at = lambda i: pi[i] if "pi" in batched else pi                       # noqa: E731
    for f in (lambda x, y: evaluate(x, y, **kw), lambda x, y: occupancy(x, y, **kw)):
        together = f(mdp, pi)
        for i in range(B):
            one = f(each(mdp, i), at(i))
            np.testing.assert_allclose(np.broadcast_to(together, (B, *one.shape))[i], one, **EXACT)
    if "pi" not in batched:
        together = solve(mdp, **kw)
        for i in range(B):
            for x, y in zip(together, solve(each(mdp, i), **kw)):
                np.testing.assert_allclose(np.broadcast_to(x, (B, *y.shape))[i], y, **EXACT)


@pytest.mark.parametrize("shape", [(dict(P=(7,), R=(7,))), dict(P=(3, 5), R=(3, 5)), dict(P=(), R=(4, 6)),
                                   dict(P=(5,), R=(3, 1)), dict(P=(300,), R=())], ids=str)
def test_a_batch_beyond_the_cache_is_solved_as_each_alone(shape, monkeypatch):
    rng = np.random.default_rng(22)
    P, R = random_mdp(rng, batch=shape["P"]).P, random_mdp(rng, batch=shape["R"]).R
    mdp = MDP(P, R, np.eye(5)[0], np.arange(5) == 4)
    whole, lead = solve(mdp, 0.97), np.broadcast_shapes(*shape.values())
    monkeypatch.setattr(m, "CACHE", 2000)                                 # three MDPs, and less than one row of a grid
    for x, y in zip(whole, solve(mdp, 0.97)):
        np.testing.assert_array_equal(x, y)
    P, R = np.broadcast_to(P, (*lead, 5, 3, 5)), np.broadcast_to(R, (*lead, 5, 3))
    for i in np.ndindex(lead):
        for x, y in zip(whole, solve(MDP(P[i], R[i], *mdp[2:]), 0.97)):
            np.testing.assert_allclose(x[i], y, **EXACT)


def test_two_batch_axes_broadcast_into_a_grid():
    rng = np.random.default_rng(9)
    mdp, pi = random_mdp(rng), None
    slips, policies = random_mdp(rng, batch=(3, 1)).P, random_policy(rng, mdp, (4,))
    grid = mdp._replace(P=slips)
    assert evaluate(grid, policies, 0.9).shape == (3, 4, 5)
    assert occupancy(grid, policies, horizon=3).shape == (3, 4, 5, 3)
    v, q, pi = solve(grid, horizon=4, timed=True)
    assert (v.shape, q.shape, pi.shape) == ((4, 3, 1, 5), (4, 3, 1, 5, 3), (4, 3, 1, 5, 3))
    np.testing.assert_allclose(evaluate(grid, pi, horizon=4, timed=True), v[0], **EXACT)


# ---- simulation ----------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("timed", [False, True])
def test_simulated_returns_and_visits_agree_with_the_exact_ones(timed):
    rng, T, n = np.random.default_rng(10), 6, 20_000
    mdp = random_mdp(rng, on_arrival=True)
    pi = random_policy(rng, mdp, (T,) if timed else ())
    e = simulate(mdp, pi, n, rng, T, timed=timed)
    ret = np.add.reduceat(e.reward, e.starts[:-1])
    four_se = 4 * ret.std() / n**0.5
    assert ret.mean() == pytest.approx(mdp.start @ evaluate(mdp, pi, horizon=T, timed=timed), abs=four_se)
    visits = np.zeros((n, mdp.S, mdp.A))
    np.add.at(visits, (np.repeat(np.arange(n), np.diff(e.starts)), e.obs, e.action), 1)
    off = np.abs(visits.mean(0) - occupancy(mdp, pi, horizon=T, timed=timed)) / (visits.std(0) / n**0.5 + 1e-12)
    assert off.max() < 4.5                                                # the largest of 15 standard errors


def test_rewards_on_arrival_are_sampled_not_averaged():
    coin = np.full((1, 1, 2), 0.5)
    mdp = MDP.paying(np.concatenate([coin, coin]), np.array([0.0, 3.0]), [1, 0], np.array([False, True]))
    e = simulate(mdp, np.ones((2, 1)), 500, np.random.default_rng(0), 50)
    assert set(e.reward) == {0.0, 3.0} and (e.reward[e.terminated] == 3).all()
    mean = simulate(mdp._replace(reward=None), np.ones((2, 1)), 500, np.random.default_rng(0), 50)
    assert set(mean.reward) == {1.5}


def test_the_pay_of_what_cannot_happen_is_not_read():
    rng = np.random.default_rng(21)
    mdp = random_mdp(rng, on_arrival=True)
    P, odd = mdp.P.copy(), mdp.reward.copy()
    P[0, :, 1], odd[0, :, 1] = 0, np.nan
    P[0] /= P[0].sum(-1, keepdims=True)
    odd = MDP.paying(P, odd, mdp.start, mdp.terminal)
    pi = random_policy(rng, mdp)
    zero = MDP.paying(P, np.nan_to_num(odd.reward), mdp.start, mdp.terminal)
    assert (evaluate(odd, pi) == evaluate(zero, pi)).all()
    assert np.isfinite(simulate(odd, pi, 100, rng, 20).reward).all()
    with pytest.raises(ValueError, match="R is not the mean of reward"):
        evaluate(mdp._replace(reward=np.full_like(mdp.reward, np.nan)), pi)


def test_simulated_episodes_are_whole_and_in_order():
    rng, T = np.random.default_rng(11), 5
    mdp = random_mdp(rng)
    e = simulate(mdp, random_policy(rng, mdp), 300, rng, T)
    assert e.starts[0] == 0 and e.starts[-1] == len(e.obs) and len(e.starts) == 301
    last = e.starts[1:] - 1
    length = np.diff(e.starts)
    assert length.min() >= 1 and length.max() == T
    over = e.terminated | e.truncated
    assert over[last].all() and over.sum() == 300                         # each episode ends once, in its last step
    assert not (e.terminated & e.truncated).any()
    assert (e.terminated[last] == mdp.terminal[e.final_obs]).all()
    assert (length[e.truncated[last]] == T).all()
    after = np.r_[e.obs[1:], 0]
    after[last] = e.final_obs
    assert (mdp.P[e.obs, e.action, after] > 0).all() and not mdp.terminal[e.obs].any()
    assert (e.reward == mdp.R[e.obs, e.action]).all()
    assert (e.obs.dtype, e.action.dtype, e.starts.dtype, e.final_obs.dtype) == (np.int64,) * 4


def test_simulated_episodes_are_a_dataset():
    rng = np.random.default_rng(20)
    mdp = random_mdp(rng)
    e = simulate(mdp, random_policy(rng, mdp), 10, rng, 6)
    data = Dataset.from_arrays(**e._asdict())
    assert data.n == 10 and data.m == len(e.obs)
    np.testing.assert_allclose(data.returns, np.add.reduceat(e.reward, e.starts[:-1]), rtol=1e-12)


def test_the_same_seed_gives_the_same_episodes():
    mdp = random_mdp(np.random.default_rng(12))
    pi = random_policy(np.random.default_rng(13), mdp)
    a, b, c = (simulate(mdp, pi, 50, np.random.default_rng(k), 20) for k in (0, 0, 1))
    assert all((x == y).all() for x, y in zip(a, b))
    assert len(a.obs) != len(c.obs) or (a.obs != c.obs).any()


@pytest.mark.parametrize("u", [0.0, np.nextafter(1, 0)])
def test_the_extreme_random_numbers_draw_only_what_can_happen(u):
    class Extreme:
        def random(self, n):
            return np.full(n, u)
    p = np.zeros((5000, 3))
    p[:, 1:2] = 1.0                                                       # neither the first nor the last can happen
    p[::2] = [0.0, 0.3, 0.7]
    drawn = m._Rows(p).draw(np.arange(5000), Extreme())                   # row 4999 + 0.999… rounds to 5000
    assert (p[np.arange(5000), drawn] > 0).all()


# ---- Gymnasium -----------------------------------------------------------------------------------------------------

WORLDS = [("FrozenLake-v1", {}), ("FrozenLake-v1", dict(map_name="8x8", success_rate=0.8)),
          ("FrozenLake-v1", dict(reward_schedule=(5, -2, -0.1))), ("CliffWalking-v1", {}),
          ("CliffWalking-v1", dict(is_slippery=True)), ("Taxi-v4", {}), ("Taxi-v4", dict(is_rainy=True))]


def make(name, kw):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return gym.make(name, **kw)


@pytest.mark.parametrize("name, kw", WORLDS, ids=str)
def test_toy_text_worlds_have_the_values_of_their_own_tables(name, kw):
    env = make(name, kw)
    mdp, table = from_gymnasium(env), env.unwrapped.P
    v = np.zeros(mdp.S)
    for _ in range(20):                                                   # value iteration as their table reads
        v = np.array([max(sum(p * (r + (not done) * v[s2]) for p, s2, r, done in table[s][a]) for a in table[s])
                      for s in range(mdp.S)])
    reached = occupancy(mdp, np.full((mdp.S, mdp.A), 1 / mdp.A), 0.9).sum(-1) > 0
    np.testing.assert_allclose(solve(mdp, horizon=20)[0][reached], v[reached], **EXACT)


@pytest.mark.parametrize("name, kw", [WORLDS[0], WORLDS[5]], ids=str)
def test_the_best_policy_earns_its_value_in_the_world_itself(name, kw):
    env, T, n = make(name, kw), 100, 400
    mdp = from_gymnasium(env)
    _, _, pi = solve(mdp, horizon=T, timed=True)
    action, total = pi.argmax(-1), np.zeros(n)
    for i in range(n):
        s, _ = env.reset(seed=i)
        for t in range(T):
            s, r, terminated, _, _ = env.step(int(action[t, s]))
            total[i] += r
            if terminated:
                break
    exact = mdp.start @ evaluate(mdp, pi, horizon=T, timed=True)
    assert total.mean() == pytest.approx(exact, abs=4 * total.std() / n**0.5)


def test_the_cliff_is_walked_in_thirteen_steps():                         # along its edge: Sutton & Barto, example 6.6
    mdp = from_gymnasium(make("CliffWalking-v1", {}))
    assert mdp.start @ solve(mdp)[0] == pytest.approx(-13)


@pytest.mark.parametrize("name, kw", WORLDS[:5], ids=str)
def test_undiscounted_values_are_the_least_that_no_action_improves(name, kw):
    mdp = from_gymnasium(make(name, kw))                                  # a linear program: min Σ v, v ≥ R_a + P_a v
    go = np.flatnonzero(~mdp.terminal)
    A = (mdp.P[go][:, :, go] - np.eye(len(go))[:, None]).reshape(-1, len(go))
    least = linprog(np.ones(len(go)), A, -mdp.R[go].ravel(), bounds=(None, None))
    np.testing.assert_allclose(solve(mdp)[0][go], least.x, rtol=1e-6, atol=1e-6)      # the program's own tolerance


@pytest.mark.parametrize("name, kw", WORLDS[:-1], ids=str)
def test_a_table_survives_the_way_through_gymnasium(name, kw):
    mdp = from_gymnasium(make(name, kw))
    back = from_gymnasium(to_gymnasium(mdp))
    for x, y in zip(mdp, back):
        np.testing.assert_allclose(y, x, **EXACT) if x is not None else None
    assert (back.reward is None) == (mdp.reward is None)


@pytest.mark.parametrize("on_arrival", [False, True])
def test_a_world_made_from_a_table_is_a_proper_environment(on_arrival):
    rng = np.random.default_rng(14)
    mdp = random_mdp(rng, on_arrival=on_arrival)
    env = to_gymnasium(mdp)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(env, skip_render_check=True)
    back = from_gymnasium(env)
    np.testing.assert_allclose(back.P[:-1], mdp.P[:-1], **EXACT)
    np.testing.assert_allclose(back.R[:-1], mdp.R[:-1], **EXACT)
    assert (back.terminal == mdp.terminal).all() and (back.reward is not None) == on_arrival
    for bad in (3, -1, 0.5, None):
        with pytest.raises(ValueError, match="expected a whole number from 0 to 2"):
            env.step(bad)


def test_a_world_made_from_a_table_pays_what_the_table_says():
    rng, n, T = np.random.default_rng(15), 3000, 8
    mdp = random_mdp(rng, on_arrival=True)
    env, pi = gym.wrappers.TimeLimit(to_gymnasium(mdp), T), random_policy(rng, mdp)
    total = np.zeros(n)
    for i in range(n):
        s, _ = env.reset(seed=i)
        over = False
        while not over:
            s, r, terminated, truncated, _ = env.step(rng.choice(mdp.A, p=pi[s]))
            total[i] += r
            over = terminated or truncated
    exact = mdp.start @ evaluate(mdp, pi, horizon=T)
    assert total.mean() == pytest.approx(exact, abs=4 * total.std() / n**0.5)


def test_worlds_without_a_usable_table_are_refused_with_a_way_out():
    with pytest.raises(ValueError, match="CartPole-v1 has no table.*trajectories.collect"):
        from_gymnasium(gym.make("CartPole-v1"))
    with pytest.raises(ValueError, match="fickle_passenger=False"):
        from_gymnasium(make("Taxi-v4", dict(fickle_passenger=True)))

    class Moody(gym.Env):                                                 # state 1 ends the episode, but not always
        P = {0: {0: [(0.5, 1, 0.0, True), (0.5, 0, 0.0, False)]}, 1: {0: [(1.0, 1, 0.0, False)]}}
        initial_state_distrib = np.array([1.0, 0.0])
    assert from_gymnasium(Moody()).terminal.tolist() == [False, True]     # never left: a terminal state like others
    Moody.P[0][0].append((0.0, 1, 0.0, False))                            # what has no chance says nothing
    assert from_gymnasium(Moody()).terminal.tolist() == [False, True]
    Moody.P[0][0] = [(0.5, 1, 0.0, True), (0.25, 0, 0.0, False), (0.25, 1, 0.0, False)]
    with pytest.raises(ValueError, match="state 1 ends the episode .* not from state 0 by action 0"):
        from_gymnasium(Moody())
    Moody.P[1][1] = Moody.P[1][0]
    with pytest.raises(ValueError, match="states differ in their number of actions, expected 1"):
        from_gymnasium(Moody())
    del Moody.initial_state_distrib
    with pytest.raises(ValueError, match="initial_state_distrib"):
        from_gymnasium(Moody())


# ---- large worlds --------------------------------------------------------------------------------------------------

def sparse(mdp):
    return mdp._replace(P=scipy.sparse.csr_array(np.asarray(mdp.P).reshape(-1, mdp.S)))


def walk(side, rng, ends=True):
    """A side × side grid: moves go astray one time in five, each cell has its price, the last one ends it (or pays)."""
    s, S = np.arange(side**2), side**2
    y, x = np.divmod(s, side)
    to = [np.clip(y + dy, 0, side - 1) * side + np.clip(x + dx, 0, side - 1)
          for dy, dx in ((0, 1), (1, 0), (0, -1), (-1, 0))]
    entries = [(p, 4 * s + a, to[(a + k) % 4]) for a in range(4) for k, p in ((0, 0.8), (1, 0.1), (3, 0.1))]
    p, row, column = (np.concatenate([np.broadcast_to(e[i], S) for e in entries]) for i in range(3))
    R = -rng.uniform(0.01, 0.02, (S, 4))
    R[-1] = 1
    return MDP(scipy.sparse.csr_array((p, (row, column)), shape=(4 * S, S)), R, (s == 0) * 1.0, ends & (s == S - 1))


@pytest.mark.parametrize("kw", [dict(gamma=0.9), dict(gamma=1.0), dict(gamma=0.9, horizon=7)], ids=str)
def test_a_sparse_table_gives_what_the_dense_one_gives(kw):
    rng = np.random.default_rng(23)
    dense = random_mdp(rng, S=30, A=3, ends=2)
    P = np.where(rng.random(dense.P.shape) < 0.1, dense.P, 0.0) + 0.01 * np.eye(30)[-1]
    dense = dense._replace(P=P / P.sum(-1, keepdims=True))                # few successors, one of them an end
    pi, v = random_policy(rng, dense), rng.normal(size=(4, 30))
    one, two = sparse(dense), dense
    assert (one.S, one.A) == (30, 3)
    np.testing.assert_allclose(m.backup(one, v, 0.9), m.backup(two, v, 0.9), **EXACT)
    np.testing.assert_allclose(evaluate(one, pi, **kw), evaluate(two, pi, **kw), **EXACT)
    np.testing.assert_allclose(occupancy(one, pi, **kw), occupancy(two, pi, **kw), **EXACT)
    for x, y in zip(solve(one, **kw), solve(two, **kw)):
        np.testing.assert_allclose(x, y, **EXACT)
    if "horizon" in kw:
        pis = np.stack([random_policy(rng, dense) for _ in range(7)])
        for f in (evaluate, occupancy):
            np.testing.assert_allclose(f(one, pis, timed=True, **kw), f(two, pis, timed=True, **kw), **EXACT)


def test_a_sparse_world_is_played_like_the_dense_one():
    mdp = walk(5, np.random.default_rng(24))
    dense = mdp._replace(P=mdp.P.toarray().reshape(25, 4, 25))
    pi = random_policy(np.random.default_rng(25), dense)
    for x, y in zip(*(simulate(w, pi, 50, np.random.default_rng(26), 40) for w in (mdp, dense))):
        np.testing.assert_array_equal(x, y)
    ours, theirs = to_gymnasium(mdp).P, to_gymnasium(dense).P
    for s, a in itertools.product(range(25), range(4)):
        np.testing.assert_allclose(ours[s][a], theirs[s][a], rtol=1e-12)


@pytest.mark.parametrize("side, gamma", [(55, 0.99), (25, 1.0), (110, 0.9)])
def test_a_large_grid_is_solved_and_proves_it(side, gamma):
    mdp = walk(side, np.random.default_rng(27), ends=gamma == 1)
    v, q, pi = solve(mdp, gamma)
    v = np.where(mdp.terminal, 0.0, v)
    error = np.abs(m.backup(mdp, v, gamma).max(-1) - v).max()             # of a fixed point: none
    assert error < 1e-8 * (1 - gamma if gamma < 1 else 1)                 # then v is within 1e-8 of the best
    np.testing.assert_allclose(evaluate(mdp, pi, gamma), v, atol=1e-8)


def test_quantecon_agrees_on_a_sparse_grid():
    quantecon = pytest.importorskip("quantecon")
    mdp = walk(20, np.random.default_rng(28), ends=False)
    s, a = np.divmod(np.arange(1600), 4)
    theirs = quantecon.markov.DiscreteDP(mdp.R.ravel(), scipy.sparse.csr_matrix(mdp.P), 0.98, s, a).policy_iteration()
    v, _, pi = solve(mdp, 0.98)
    np.testing.assert_allclose(v, theirs.v, atol=1e-8)
    assert (pi.argmax(-1) == theirs.sigma).all()


def test_rows_of_terminal_states_are_never_read_in_a_sparse_table_either():
    mdp = walk(4, np.random.default_rng(29))
    odd = mdp._replace(P=mdp.P.copy())
    odd.P.data[odd.P.indptr[60]] = np.nan                                 # state 15, its first action
    for gamma in (0.9, 1.0):
        assert all((x == y).all() for x, y in zip(solve(odd, gamma), solve(mdp, gamma)))


@pytest.mark.parametrize("change, says", [
    (dict(P=lambda P: P[:-1]), r"a sparse P has shape \(63, 16\), expected \[S·A, S\]: row s·A \+ a"),
    (dict(P=lambda P: put((9, 2), 0.5)(P.tolil())), r"row \[2, 1\] of P sums to 1.5, expected 1.*row s·A \+ a, here 9"),
    (dict(P=lambda P: put((9, 2), -0.5)(P.tolil())), r"P\[2, 1, 2\] is -0.5, expected a probability"),
    (dict(P=lambda P: put((9, 2), np.inf)(P.tolil())), r"P\[2, 1, 2\] is inf, expected a finite number"),
    (dict(R=lambda R: np.stack([R, R])), r"a sparse P goes with one R \[S, A\]"),
    (dict(R=lambda R: R.T), r"R has shape \(4, 16\), expected \[..., 16, 4\]"),
    (dict(reward=lambda _: np.zeros((16, 4, 16))), r"without rewards on arrival: give their mean as R"),
], ids=lambda x: x if isinstance(x, str) else "")
def test_an_improper_sparse_table_is_refused(change, says):
    mdp = walk(4, np.random.default_rng(30))
    bad = mdp._replace(**{k: f(getattr(mdp, k)) for k, f in change.items()})
    for call in (solve, lambda bad: simulate(bad, np.full((16, 4), 0.25), 1, np.random.default_rng(0), 3)):
        with pytest.raises(ValueError, match="(?i)" + says):
            call(bad)


def test_a_sparse_table_goes_with_one_policy_and_pays_by_its_mean():
    mdp = walk(4, np.random.default_rng(31))
    with pytest.raises(ValueError, match=r"pi has shape \(2, 16, 4\), expected \[S, A\]: a sparse P goes with one pol"):
        evaluate(mdp, np.full((2, 16, 4), 0.25), 0.9)
    with pytest.raises(TypeError, match="paying takes dense tables.*R = P.multiply"):
        MDP.paying(mdp.P, np.zeros((64, 16)), mdp.start, mdp.terminal)


# ---- bad input -----------------------------------------------------------------------------------------------------

def broken(**changes):
    mdp = random_mdp(np.random.default_rng(16))
    for name, change in changes.items():
        x = np.array(getattr(mdp, name))
        mdp = mdp._replace(**{name: change(x) if callable(change) else change})
    return mdp


def put(at, value):
    def change(x):
        x[at] = value
        return x
    return change


@pytest.mark.parametrize("mdp, says", [
    (broken(P=put((1, 2, 0), 0.5)), r"row \[1, 2\] of P sums to .*, expected 1"),
    (broken(P=put((1, 2, 0), -0.1)), r"P\[1, 2, 0\] is -0.1, expected a probability"),
    (broken(P=put((1, 2, 0), np.nan)), r"P\[1, 2, 0\] is nan, expected a finite number"),
    (broken(P=lambda P: P[..., :4]), r"P has shape \(5, 3, 4\), expected \[..., S, A, S\]"),
    (broken(P=lambda P: P[0]), r"P has shape \(3, 5\), expected \[..., S, A, S\]"),
    (broken(R=put((0, 1), np.inf)), r"R\[0, 1\] is inf, expected a finite number"),
    (broken(R=lambda R: R.T), r"R has shape \(3, 5\), expected \[..., 5, 3\].*MDP.paying"),
    (broken(R=lambda R: np.zeros((5, 3, 5))), r"R has shape \(5, 3, 5\), expected \[..., 5, 3\].*MDP.paying"),
    (broken(start=np.zeros(5)), r"start sums to 0, expected 1"),
    (broken(start=np.ones(4) / 4), r"start has shape \(4,\), expected \[..., 5\]"),
    (broken(start=np.eye(5)[4]), r"start gives state 4 a chance, which is terminal"),
    (broken(terminal=[4]), r"terminal is int64, expected bool .*np.isin"),
    (broken(terminal=np.zeros(6, bool)), r"terminal has shape \(6,\), expected \[..., 5\]"),
    (broken(reward=np.zeros((5, 3))), r"reward has shape \(5, 3\), expected \[..., 5, 3, 5\]"),
    (broken(reward=np.zeros((5, 3, 5))), r"R is not the mean of reward; make the MDP with MDP.paying"),
    (broken(P=lambda P: np.stack([P] * 2), R=lambda R: np.stack([R] * 3)), r"batch axes do not broadcast"),
], ids=lambda x: x if isinstance(x, str) else "")
def test_an_improper_mdp_is_refused_by_every_function(mdp, says):
    pi = np.full((5, 3), 1 / 3)
    for call in (lambda: evaluate(mdp, pi, 0.9), lambda: solve(mdp, 0.9), lambda: occupancy(mdp, pi, 0.9),
                 lambda: simulate(mdp, pi, 3, np.random.default_rng(0), 5), lambda: to_gymnasium(mdp)):
        with pytest.raises((ValueError, TypeError), match=says):
            call()


@pytest.mark.parametrize("pi, kw, says", [
    (np.ones((5, 3)), {}, r"row \[0\] of pi sums to 3, expected 1"),
    (np.full((5, 3), np.nan), {}, r"pi\[0, 0\] is nan"),
    (np.array([[2.0, -1.0, 0.0]] * 5), {}, r"pi\[0, 1\] is -1.0, expected a probability"),
    (np.zeros(5, int), {}, r"pi has shape \(5,\), expected \[..., S, A\] with S=5, A=3; .*np.eye\(A\)\[action\]"),
    (np.full((5, 2), 0.5), {}, r"pi has shape \(5, 2\)"),
    (np.full((4, 5, 3), 1 / 3), dict(horizon=3, timed=True), r"pi has 4 steps, expected horizon=3"),
    (np.full((5, 3), 1 / 3), dict(horizon=5, timed=True), r"pi has shape \(5, 3\), expected \[T, ..., S, A\]"),
    (np.full((5, 3), 1 / 3), dict(timed=True), r"timed=True needs a horizon"),
    (np.full((5, 3), 1 / 3), dict(gamma=1.1), r"gamma is 1.1, expected a discount from 0 to 1"),
    (np.full((5, 3), 1 / 3), dict(gamma=float("nan")), r"gamma is nan"),
    (np.full((5, 3), 1 / 3), dict(horizon=0), r"horizon is 0, expected a whole number of steps"),
    (np.full((5, 3), 1 / 3), dict(horizon=2.5), r"horizon is 2.5"),
    (np.full((5, 3), 1 / 3), dict(horizon=True), r"horizon is True"),
], ids=lambda x: x if isinstance(x, str) else "")
def test_an_improper_policy_or_clock_is_refused(pi, kw, says):
    mdp = broken()
    for f in (evaluate, occupancy):
        with pytest.raises(ValueError, match=says):
            f(mdp, pi, **kw)


def test_simulate_takes_one_mdp_and_at_least_one_episode():
    mdp, pi, rng = broken(), np.full((5, 3), 1 / 3), np.random.default_rng(0)
    with pytest.raises(ValueError, match="no batch"):
        simulate(mdp, np.stack([pi, pi]), 3, rng, 5)
    with pytest.raises(ValueError, match="n is 0, expected a number of episodes"):
        simulate(mdp, pi, 0, rng, 5)
    with pytest.raises(ValueError, match="horizon is None, expected the most steps"):
        simulate(mdp, pi, 3, rng, None)


def test_rows_of_terminal_states_are_never_read():
    mdp = broken()
    pi = np.full((5, 3), 1 / 3)
    odd = broken(P=put(4, np.nan), R=put(4, np.inf))
    odd_pi = put(4, np.nan)(pi.copy())
    assert (evaluate(odd, odd_pi) == evaluate(mdp, pi)).all()
    assert (occupancy(odd, odd_pi) == occupancy(mdp, pi)).all()
    assert all((x == y).all() for x, y in zip(solve(odd), solve(mdp)))


def test_float32_tables_are_taken_as_the_probabilities_they_round():
    rng = np.random.default_rng(17)
    mdp = random_mdp(rng, S=50, ends=0)
    pi = random_policy(rng, mdp).astype(np.float32)
    single = mdp._replace(P=mdp.P.astype(np.float32))
    d = occupancy(single, pi, horizon=1000)
    assert d.sum() == pytest.approx(1000, rel=1e-12)                      # unscaled rows would drift by 1e-5


def test_functions_leave_their_arguments_alone():
    mdp, pi = broken(), np.full((5, 3), 1 / 3)
    before = [np.array(x) for x in mdp[:4]] + [pi.copy()]
    evaluate(mdp, pi), solve(mdp), occupancy(mdp, pi), simulate(mdp, pi, 3, np.random.default_rng(0), 4)
    assert all((x == y).all() for x, y in zip(before, [*mdp[:4], pi]))


def test_the_maths_imports_numpy_and_nothing_slow():
    slow = "torch scipy gymnasium plotly ipywidgets anywidget minari pandas".split()
    ask = f"import sys, rlkit.mdp, rlkit.returns, rlkit.policies, rlkit.stats; print(*sys.modules.keys() & {set(slow)})"
    assert subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=True).stdout.strip() == ""
