"""Martingale TD against sums written out, quadrature, automatic differentiation and closed forms."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import integrate, optimize, stats

from rlkit.envs.diffusions import blocks, path
from rlkit.papers import martingale_exact as exact
from rlkit.papers import martingale_experiment as experiment_module
from rlkit.papers import martingale_online as online_module
from rlkit.papers import martingale_option as option
from rlkit.papers import martingale_pendulum as swing
from rlkit.papers import martingale_td as td
from rlkit.papers.martingale_experiment import blow_up, experiment
from rlkit.papers.martingale_online import NeuralConfig, neural, online
from rlkit.papers.martingale_td import Config, double_sampling, martingale, martingale_loss, quadratic_variation, solve
from rlkit.paths import Paths

RNG = np.random.default_rng
ALL = ("left", "mid", "right", "trace", "mstde")
ROUNDING = dict(rel=1e-9, abs=1e-9)


def regular(w, n=30, K=20, seed=0):
    t = np.linspace(0, w.T, K + 1)
    x = path(w.process, w.start(n, RNG(seed)), w.T / K, K, RNG(seed + 1))
    return Paths(t, x, w.reward(t[:, None], x))


def ragged(seed=0):
    """Five records of an OU process at irregular times, one below the other."""
    rng, process, parts = RNG(seed), exact.world("ou").process, []
    for i, n in enumerate((5, 300, 40, 2, 77)):
        dt = rng.exponential(0.05, n - 1) + 1e-3
        parts.append((np.r_[0, np.cumsum(dt)] + 3 * i, path(process, rng.normal(), dt, None, rng)[:, 0], np.full(n, i)))
    t, x, who = (np.concatenate(v) for v in zip(*parts))
    return Paths.from_arrays(t, x, x**2, who)


def by_hand(p, w, test, lam=0.5, beta=0.0):
    """The linear system of each method, summed step by step and path by path."""
    A = c = 0
    for j in range(p.x.shape[1]):
        time = p.t[:, 0 if p.t.shape[1] == 1 else j]
        for a, b in zip(p.starts[:-1], p.starts[1:]):
            z, before = 0, None
            for k in range(a, b - 1):
                t, t1 = time[k], time[k + 1]
                d, g = t1 - t, np.exp(-beta * (t1 - t))
                f, f1 = w.features(t, p.x[k, j]), w.features(t1, p.x[k + 1, j])
                z = (0 if before is None else lam ** (t - before) * z) + f * d
                before = t
                u, R = g * f1 - f, g * w.base(t1, p.x[k + 1, j]) - w.base(t, p.x[k, j]) + p.r[k, j] * d
                xi = {"left": f, "right": f1, "mid": (f + f1) / 2, "trace": z, "mstde": u / d,
                      "constant": np.ones(len(f))}[test]
                A, c = A + np.outer(xi, u), c + xi * R
    return -np.linalg.solve(A, c)


# ---- solve

@pytest.mark.parametrize("test", ALL)
def test_solve_is_the_sum_written_out_on_episodes(test):
    w = exact.world("brownian", x0=0.3)
    p = regular(w)
    assert solve(p, w.features, test, base=w.base).theta == pytest.approx(by_hand(p, w, test), **ROUNDING)


@pytest.mark.parametrize("chunk", [2**14, 37, 1])
@pytest.mark.parametrize("test", ALL)
def test_solve_takes_records_of_any_length_and_any_steps(test, chunk, monkeypatch):
    monkeypatch.setattr(td, "CHUNK", chunk)
    w, p = exact.world("ou", beta=0.7), ragged()
    assert solve(p, w.features, test, beta=0.7).theta == pytest.approx(by_hand(p, w, test, beta=0.7), **ROUNDING)


def test_a_number_looks_at_that_fraction_of_the_step():
    w = exact.world("ou")
    p = regular(w)
    for eta, test in ((0, "left"), (0.5, "mid"), (1, "right")):
        assert solve(p, w.features, eta, beta=1).theta == pytest.approx(solve(p, w.features, test, beta=1).theta)


@pytest.mark.parametrize("test", ALL)
def test_a_long_record_may_come_in_pieces(test):
    w = exact.world("ou")
    x0 = w.start(20, RNG(0))
    t, x = 0.1 * np.arange(101), path(w.process, x0, 0.1, 100, RNG(1))
    whole = solve(Paths(t, x, x**2), w.features, test, beta=1)
    pieces = (Paths(t, x, x**2, joined=bool(t[0] > 0)) for t, x in blocks(w.process, x0, 0.1, 100, RNG(1), 300))
    parts = solve(pieces, w.features, test, beta=1)
    assert parts.theta == pytest.approx(whole.theta, **ROUNDING)
    assert parts.transitions == whole.transitions == 2000


def test_martingale_loss_is_weighted_least_squares_of_what_came():
    w = exact.world("brownian")
    w = w._replace(reward=lambda t, x: np.cos(x) + t, beta=0.8)
    t = np.sort(np.r_[0, RNG(0).uniform(0, 1, 15), 1])
    x = path(w.process, np.zeros(40), np.diff(t), None, RNG(1))
    p = Paths(t, x, w.reward(t[:, None], x))
    rows, goal = [], []
    for j in range(40):
        for k in range(16):
            d = np.diff(t)[k:]
            G = (np.exp(-0.8 * (t[k:-1] - t[k])) * p.r[k:-1, j] * d).sum() + np.exp(-0.8 * (1 - t[k])) * x[-1, j] ** 2
            weight = np.exp(-0.8 * t[k]) * (t[k + 1] - t[k]) ** 0.5
            rows.append(weight * w.features(t[k], x[k, j]))
            goal.append(weight * (G - w.base(t[k], x[k, j])))
    by_lstsq = np.linalg.lstsq(np.array(rows), np.array(goal), rcond=None)[0]
    assert solve(p, w.features, "ml", base=w.base, beta=0.8).theta == pytest.approx(by_lstsq, **ROUNDING)
    flat = Paths.from_arrays(np.tile(t, 40), x.T.ravel(), p.r.T.ravel(), np.repeat(np.arange(40), 17))
    assert solve(flat, w.features, "ml", base=w.base, beta=0.8).theta == pytest.approx(by_lstsq, **ROUNDING)


@pytest.mark.parametrize("test", ["mstde", "ml"])
def test_no_other_critic_has_a_smaller_loss(test):
    w = exact.world("brownian", x0=0.5)
    p = regular(w)
    best = solve(p, w.features, test, base=w.base).theta

    def loss(theta):
        M = martingale(p, w.value(theta, p.t, p.x))
        return quadratic_variation(M) if test == "mstde" else martingale_loss(M, p.dt)

    found = optimize.minimize(loss, [0.5, 0.5], tol=1e-12).x
    assert found == pytest.approx(best, abs=1e-4)


def test_the_other_discount_and_reward_have_their_own_closed_forms():
    w = exact.world("ou")
    p = regular(w._replace(T=40.0), n=2000, K=400)
    for how, name in ((dict(form="linear"), "increment"), (dict(reward="trapezoid"), "trapezoid")):
        theta = solve(p, w.features, "left", beta=1.0, **how).theta
        assert theta == pytest.approx(exact.ou_theta(name, 0.1), abs=5 * 0.57 / 80_000**0.5)       # its spread, 5 times


@pytest.mark.parametrize("known", [0.0, 0.3])
def test_double_sampling_is_the_minimiser_of_the_product_of_errors(known):
    """Also where a part of the value, known·x³, is given."""
    w, rng = exact.world("ou"), RNG(0)
    x = w.start(500, rng)
    y1, y2 = (w.process.step(x, 0.1, rng.standard_normal(500)) for _ in range(2))
    best = double_sampling(x, y1, y2, w.features, 0.1, x * x, beta=1.0, base=lambda t, v: known * v**3)

    def product(theta):
        J, J1, J2 = (w.value(theta, 0, v) + known * v**3 for v in (x, y1, y2))
        return ((np.exp(-0.1) * J1 - J + x * x * 0.1) * (np.exp(-0.1) * J2 - J + x * x * 0.1)).sum()

    h = 1e-4
    slope = [(product(best + h * e) - product(best - h * e)) / (2 * h) for e in np.eye(2)]
    assert slope == pytest.approx([0, 0], abs=1e-6)


def test_the_clock_of_a_martingale_starts_with_its_path():
    p = Paths([0.0, 0.5, 2.0], [1.0, 2.0, 3.0], [10.0, 20.0, 99.0])
    late = Paths([5.0, 5.5, 7.0], [1.0, 2.0, 3.0], [10.0, 20.0, 99.0])
    assert martingale(late, late.x, beta=0.3) == pytest.approx(martingale(p, p.x, beta=0.3))


def test_martingale_adds_discounted_reward_to_discounted_value():
    p = Paths([0.0, 0.5, 2.0], [1.0, 2.0, 3.0], [10.0, 20.0, 99.0])
    M = martingale(p, p.x, beta=0.3)[:, 0]
    assert M == pytest.approx([1, 2 * np.exp(-0.15) + 5, 3 * np.exp(-0.6) + 5 + 20 * 1.5 * np.exp(-0.15)])


@pytest.mark.parametrize("call, message", [
    (lambda p, w: solve(p, w.features, "middle"), "test is 'middle', expected one of 'left'"),
    (lambda p, w: solve(p, w.features, 1.5), "or a number from 0 to 1"),
    (lambda p, w: solve(p, w.features, "trace", lam=0.0), "lam is 0.0, expected in"),
    (lambda p, w: solve(p, w.features, form="euler"), "form is 'euler'"),
    (lambda p, w: solve(p, w.features, "left", beta=0.0), "leave θ open, feature 1 never changes.*β = 0"),
    (lambda p, w: solve(p, lambda t, x: np.stack([x, 2 * x]), beta=1.0), "repeats another"),
    (lambda p, w: solve(p, w.features, "ml", beta=1.0), "vanish at the end of each path.*lam=exp"),
    (lambda p, w: solve(p, w.features, "constant", beta=1.0), "one condition for 2 unknowns"),
    (lambda p, w: solve(p, lambda t, x: x, beta=1.0), "features gave shape .* expected"),
    (lambda p, w: solve([], w.features), "there are no paths"),
    (lambda p, w: martingale(ragged(), np.zeros((424, 1))), "5 paths stand one below the other"),
])
def test_what_cannot_be_solved_is_said(call, message):
    w = exact.world("ou")
    with pytest.raises(ValueError, match=message):
        call(regular(w), w)


def test_a_coarse_grid_warns():
    w = exact.world("ou", beta=3.0)
    with pytest.warns(UserWarning, match="the grid is coarse"):
        solve(regular(w._replace(T=10.0)), w.features, beta=3.0)


# ---- exact answers

EPISODES, ONGOING = dict(name="brownian", x0=0.7, sigma=0.8, T=1.5), dict(name="ou-wide", T=2.0, beta=0.6)


@pytest.mark.parametrize("world, test", [(EPISODES, "ml"), (EPISODES | dict(beta=1.5), "ml"),
                                         *((w, test) for w in (EPISODES, ONGOING) for test in ALL)])
def test_population_is_where_many_samples_go(world, test):
    """4.5 standard errors over 20 samples of 20,000 paths; a coarse grid, so that an error of order Δt would show."""
    w, K = exact.world(**world)._replace(beta=world.get("beta", 0.0)), 4   # the Brownian world itself has no discount
    theta = np.array([solve(regular(w, 20_000, K, seed), w.features, test, base=w.base, beta=w.beta).theta
                      for seed in range(0, 40, 2)])
    error = theta.std(0) / 19**0.5
    assert theta.mean(0) == pytest.approx(exact.population(w, w.T / K, test).theta, abs=float(4.5 * error.max()))


def test_losses_of_the_population_are_those_of_many_paths():
    w = exact.world("brownian", x0=0.4)
    p, theta = regular(w, 200_000, 5), np.array([0.5, -1.0])
    M = martingale(p, w.value(theta, p.t, p.x))
    P = exact.population(w, 0.2)
    assert quadratic_variation(M) / 0.2 / 2 == pytest.approx(P.loss("mstde", theta), rel=0.02)      # 4 standard errors
    assert martingale_loss(M, p.dt) == pytest.approx(P.loss("ml", theta), rel=0.02)


def test_four_steps_of_brownian_motion_by_fractions():
    """Normal equations with E x⁴ = 3v², E x²y² = vv' + 2v²: θ₂ = -1.12 for K = 4 and -40/27 for K = 8."""
    w = exact.world("brownian")
    assert exact.population(w, 1 / 4, "mstde").theta == pytest.approx([1, -1.12])
    assert exact.population(w, 1 / 8, "mstde").theta == pytest.approx([1, -40 / 27])


def test_the_limit_of_mstde_is_where_a_fine_grid_goes():
    """Its error is of order Δt: half the step, half of it, so twice the one less the other is the limit."""
    w = exact.world("brownian", x0=0.7, sigma=0.8, T=1.5)
    one, two = (exact.population(w, 1.5 / K, "mstde").theta for K in (400, 800))
    assert exact.brownian_limit(0.8, 1.5, 0.7) == pytest.approx(2 * two - one, rel=1e-4)


def test_truth_of_a_world_solves_its_equation():
    """L J - βJ + r = 0 by finite differences, at a point of each world."""
    for w in (exact.world("brownian", sigma=0.7, T=2.0), exact.world("ou", sigma=0.7, beta=0.4, kappa=1.3)):
        t, x, h = 0.6, 0.9, 1e-4
        J = lambda t, x: float(w.value(w.truth, np.array(t), np.array(x)))                      # noqa: E731, B023
        dt, dx = (J(t + h, x) - J(t - h, x)) / (2 * h), (J(t, x + h) - J(t, x - h)) / (2 * h)
        dxx = (J(t, x + h) - 2 * J(t, x) + J(t, x - h)) / h**2
        residual = dt - w.process.kappa * x * dx + 0.245 * dxx - w.beta * J(t, x) + float(w.reward(t, x))
        assert residual == pytest.approx(0, abs=1e-6)


def test_closed_forms_have_the_limits_they_say():
    for test in (*exact.OU_TESTS, "trace", "ml"):
        near, at = (exact.ou_theta(test, dt, 0.7, 1.1, 0.8) for dt in (1e-6, 0))
        assert near == pytest.approx(at, abs=1e-5)
    assert exact.ou_theta("left", 0.0) == pytest.approx([1 / 3, 1 / 3])
    assert exact.ou_theta("mstde", 0.0) == pytest.approx([0, 1 / 2])
    assert exact.ou_theta("mid", 0.0)[0] == pytest.approx(1)
    assert exact.ou_theta("right", 0.0)[0] == pytest.approx(-1)


def test_trace_runs_from_the_constant_test_function_to_ctd0():
    assert exact.ou_trace([0.0, 1.0, np.inf]) == pytest.approx([1, 5 / 9, 3 / 7])
    assert exact.ou_trace([1e-9, 1e9], 0.05) == pytest.approx(exact.ou_trace([0.0, np.inf], 0.05), rel=1e-6)
    w = exact.world("ou", second=False, T=60.0)
    moments = exact.population(w, 0.05, "trace", np.exp(-5.0)).theta
    assert moments == pytest.approx(exact.ou_trace([5.0], 0.05), rel=1e-3)


@pytest.mark.parametrize("call, message", [
    (lambda: exact.world("lq"), "name is 'lq', expected one of 'brownian'"),
    (lambda: exact.world("ou", beta=0.0), "goes on for ever"),
    (lambda: exact.population(exact.world("ou"), 3.0), "dt is 3.0, expected at most the horizon"),
    (lambda: exact.population(exact.world("ou"), 0.1, "constant"), "one condition for 2 unknowns"),
    (lambda: exact.brownian_limit(x0=1.0, test="right"), "expected 0"),
    (lambda: Config(dt=0.2, T=0.1), "expected dt ≤ T"),
    (lambda: Config(sigma=0.0), "nothing moves"),
    (lambda: Config(objective="CTD", test="constant"), "second=False"),
])
def test_a_world_that_cannot_be_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


# ---- the picture

@pytest.mark.parametrize("more", [
    dict(), dict(world="ou", T=20.0), dict(world="ou", second=False, objective="ML"), dict(world="ou-wide", sigma=0.0),
    dict(world="ou", beta=2.0, objective="CTD", test="right"), dict(dt=0.25, n=2), dict(second=False),
    dict(world="brownian", second=False, objective="CTD", test="constant"), dict(T=0.5, dt=0.005, x0=-2.0, sigma=2.0)])
def test_every_setting_has_its_picture(more):
    cfg = Config(**more)
    e, again = experiment(cfg), experiment(cfg)
    assert e.exact["CTD(0)"].shape == e.sample["CTD(0)"].shape == (1 + cfg.second,)
    for name, J in e.surface.items():
        assert J.shape == (25, 41) and np.isfinite(J).all(), name
    assert "truth" in e.surface
    assert all(len(v) == len(e.dts) for v in e.errors.values())
    assert all(v.shape == e.theta.shape for v in e.losses.values())
    assert np.array_equal(e.sample["MSTDE"], again.sample["MSTDE"], equal_nan=True)


def test_the_curves_of_the_picture_are_lowest_where_it_says():
    for cfg in (Config(), Config(world="ou", T=20.0)):
        e = experiment(cfg)
        for name, y in e.losses.items():
            assert e.theta[np.argmin(y)] == pytest.approx(e.lowest[name], abs=np.diff(e.theta)[0])
        finest = list(e.lowest)[-1 if cfg.world == "ou" else -2]
        assert e.lowest[finest] == pytest.approx(e.exact["MSTDE"][e.component])


def test_the_loss_of_the_truth_is_the_quadratic_variation_of_m_on_every_grid():
    e = experiment(Config(world="brownian", sigma=1.0, T=1.0, second=False, n=50))
    for name, y in e.losses.items():
        if name != "ML":                                                  # E Σ (x'² - x² - σ²Δt)² = 2σ⁴T²
            assert np.polyval(np.polyfit(e.theta, y, 2), 1.0) == pytest.approx(2.0, abs=1e-6)


def test_the_mean_of_m_is_flat_for_the_truth_and_sags_for_mstde():
    e = experiment(Config(n=4000, T=1.0, dt=0.05))
    rise = {k: v - v[0] for k, v in e.mean.items()}
    spread = 4.5 * 2**0.5 / 2400**0.5                                     # M_T has variance 2; 2400 paths are drawn
    assert np.abs(rise["truth"]).max() < spread
    assert rise["MSTDE"][10] == pytest.approx(e.exact["MSTDE"][1] * 0.25, abs=spread)


def test_blow_up_is_ctd0_step_by_step():
    """The same as `online` with one chain and a constant step, on the same noise."""
    t, size = blow_up(0.1, 0.05, time=5.0, seed=3)
    rng, w = RNG(3), exact.world("ou")
    x, th = path(w.process, w.start(8, rng), 0.1, 50, rng), np.zeros((2, 8))
    for k in range(50):
        f, f1 = w.features(0, x[k]), w.features(0, x[k + 1])
        th = th + 0.05 * f * (np.exp(-0.1) * (th * f1).sum(0) - (th * f).sum(0) + x[k] ** 2 * 0.1)
        assert size["α"][k] == pytest.approx(np.abs(th).max(0))


# ---- step by step

QUICK = Config(world="ou", dt=0.1, time=20.0, runs=3, chains=4, objective="CTD")


@pytest.mark.parametrize("objective", td.OBJECTIVES)
@pytest.mark.parametrize("world", ["ou", "brownian"])
def test_looking_more_often_does_not_change_what_is_learned(objective, world):
    cfg = replace(QUICK, objective=objective, world=world)
    often, seldom = (list(online(cfg, RNG(0), every=k))[-1] for k in (1, 77))
    for a, b in zip(often, seldom):
        assert np.array_equal(a, b)


def test_one_step_of_each_method_is_its_formula():
    """θ after three steps from θ = (1, -1), numbers put in: w moves with the first and fades with the second."""
    cfg = replace(QUICK, runs=1, chains=1, alpha=0.1, tau=np.inf, time=0.3, lam=0.3)
    w, g = cfg.problem(), np.exp(-0.1)
    rng = RNG(5)
    x = [w.start(1, rng)[0]]
    noise = rng.standard_normal((64, 1, 1, 1))
    rho, sd = w.process.transition(0.1)
    for k in range(3):
        x.append(rho * x[-1] + sd * noise[k, 0, 0, 0])
    F = [np.array([v * v, 1.0]) for v in x]
    for name in ("left", "trace", "MSTDE", "GTD", "GTD2", "TDC"):
        th, aux, z = np.array([1.0, -1.0]), np.zeros(2), np.zeros(2)
        for k in range(3):
            f, f1, u = F[k], F[k + 1], g * F[k + 1] - F[k]
            delta = th @ u + x[k] ** 2 * 0.1
            z = 0.3**0.1 * z + f * 0.1
            fw = f @ aux
            step = {"left": f * delta, "trace": z * delta, "MSTDE": -u * delta, "GTD": -u * fw, "GTD2": -u * fw,
                    "TDC": f * delta - g * f1 * fw * 0.1}[name]
            aux = aux + 0.2 * ((f * delta - aux * 0.1) if name == "GTD" else f * (delta - fw * 0.1))
            th = th + 0.1 * step
        how = dict(test=name) if name in ("left", "trace") else dict(objective=name)
        *_, last = online(replace(cfg, **how), RNG(5), theta=[1.0, -1.0])
        assert last.theta[0] == pytest.approx(th, **ROUNDING), name


def test_one_step_of_double_sampling_is_half_the_gradient_of_the_product_of_errors():
    cfg = replace(QUICK, runs=1, chains=1, alpha=0.1, tau=np.inf, time=0.1, objective="double")
    w, rng = cfg.problem(), RNG(5)
    x, z = w.start(1, rng)[0], rng.standard_normal((64, 2, 1, 1))[0, :, 0, 0]
    rho, sd = w.process.transition(0.1)
    theta = torch.tensor([1.0, -1.0], dtype=torch.float64, requires_grad=True)
    J = lambda v: theta[0] * v * v + theta[1]                                                      # noqa: E731
    one, two = (np.exp(-0.1) * J(rho * x + sd * v) - J(x) + x * x * 0.1 for v in z)
    (one * two).backward()
    *_, last = online(cfg, RNG(5), theta=[1.0, -1.0])
    assert last.theta[0] == pytest.approx((theta - 0.05 * theta.grad).detach().numpy(), **ROUNDING)


def test_the_average_is_over_the_second_half_of_the_time():
    *_, last = seen = list(online(QUICK, RNG(0), every=1))
    half = [s.theta for s in seen if 2 * s.step > QUICK.steps]
    assert last.average == pytest.approx(np.mean(half, 0)) and np.abs(last.average - last.theta).max() > 1e-3


def test_an_episode_of_the_martingale_loss_is_one_gradient_step():
    cfg = Config(objective="ML", dt=0.25, time=1.0, runs=1, chains=3, alpha=0.1, tau=np.inf)
    rng = RNG(5)
    cfg.problem().start(3, rng)                                           # the draw of the starts, all at x0
    x = np.concatenate([np.zeros((1, 3)), np.cumsum(0.5 * rng.standard_normal((64, 1, 1, 3))[:4, 0, 0], 0)])
    t = 0.25 * np.arange(4)[:, None]
    theta = torch.tensor([0.5, -0.5], dtype=torch.float64, requires_grad=True)
    J = torch.tensor(x[:4] ** 2) + theta[0] * torch.tensor(1 - t) + theta[1] * torch.tensor((1 - t) * x[:4] ** 2)
    (((torch.tensor(x[4] ** 2) - J) ** 2).sum(0).mean() * 0.25 / 2).backward()
    *_, last = online(cfg, RNG(5), theta=[0.5, -0.5])
    assert last.theta[0] == pytest.approx((theta - 0.1 * theta.grad).detach().numpy(), **ROUNDING)


def test_the_martingale_loss_discounts_what_comes_later():
    """½ Σ_k γ^{2k} (G_k - J_k)² Δt by automatic differentiation, one path."""
    rng, g, dt = RNG(0), 0.8, 0.25
    phi, base, pay, h = rng.normal(size=(3, 2)), rng.normal(size=3), rng.normal(size=3), 1.7
    theta = torch.tensor([0.4, -0.9], dtype=torch.float64, requires_grad=True)
    loss = 0.0
    for k in range(3):
        G = sum(g ** (j - k) * pay[j] for j in range(k, 3)) + g ** (3 - k) * h
        loss = loss + g ** (2 * k) * (G - base[k] - theta @ torch.tensor(phi[k])) ** 2 * dt / 2
    loss.backward()
    seen = [(phi[k][:, None, None], base[k], pay[k]) for k in range(3)]
    move = online_module._whole(seen, np.full((1, 1), h), theta.detach().numpy()[None], g, dt)
    assert move[:, 0, 0] == pytest.approx(-theta.grad.numpy())


def test_a_batch_of_runs_is_so_many_single_runs():
    """Mean and spread of 64 runs in one batch against 64 alone, by two-sample tests that fail once in 10,000 times."""
    cfg = replace(QUICK, time=5.0)
    *_, batch = online(replace(cfg, runs=64), RNG(0))
    single = np.array([list(online(replace(cfg, runs=1), g))[-1].theta[0] for g in RNG(1).spawn(64)])
    for i in range(2):
        assert stats.ks_2samp(batch.theta[:, i], single[:, i]).pvalue > 1e-4


def test_a_step_size_moved_in_mid_run_acts_on_the_next_update():
    run = online(replace(QUICK, tau=np.inf), RNG(0), every=1)
    first = next(run)
    second = run.send(replace(QUICK, tau=np.inf, alpha=1e-12))
    assert second.theta == pytest.approx(first.theta, abs=1e-9)
    with pytest.raises(ValueError, match="sigma.*cannot change in mid-run"):
        run.send(replace(QUICK, tau=np.inf, sigma=0.5))


def test_a_run_that_diverges_stops_alone():
    *_, last = online(replace(QUICK, dt=0.02, chains=1, runs=16, alpha=0.05, tau=np.inf, scaling="α/Δt"), RNG(0))
    assert 0 < last.diverged.sum() < 16
    assert np.isfinite(last.theta).all()


def test_no_neural_network_is_imported_before_it_is_asked_for():
    code = ("import sys; from rlkit.papers import martingale_td, martingale_online, martingale_experiment, "
            "martingale_option, martingale_pendulum; import rlkit.claims.martingale_td; "
            "print(any(m in sys.modules for m in ('torch', 'plotly', 'gymnasium.envs.classic_control')))")
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "False"


def test_without_detach_the_network_learns_another_value():
    torch.set_num_threads(1)
    quick = NeuralConfig(steps=80, n=64, runs=2, lr=1e-2)
    rmse = {name: list(neural(replace(quick, objective=name), RNG(0), every=80))[-1].rmse
            for name in ("CTD", "ML", "MSTDE")}
    assert max(rmse["CTD"].max(), rmse["ML"].max()) < 0.5 < 0.8 < rmse["MSTDE"].min()


def test_looking_at_the_network_does_not_change_it():
    torch.set_num_threads(1)
    quick = NeuralConfig(steps=6, n=8, runs=2)
    often, seldom = (list(neural(quick, RNG(0), every=k))[-1] for k in (1, 6))
    assert np.array_equal(often.start, seldom.start) and np.array_equal(often.rmse, seldom.rmse)


# ---- the option

def test_black_scholes_is_the_discounted_mean_of_what_is_paid():
    for S, theta, left in ((0.8, 0.3, 0.7), (1.3, 0.1, 2.0)):
        law = stats.lognorm(theta * left**0.5, scale=S * np.exp((0.05 - theta**2 / 2) * left))
        paid = integrate.quad(lambda s, law=law: (s - 1) * law.pdf(s), 1, np.inf)[0]
        assert option.call(left, S, theta).price == pytest.approx(np.exp(-0.05 * left) * paid, rel=1e-6)


def test_slopes_of_the_price_are_its_differences():
    h = 1e-5
    g = option.call(0.7, 0.9, 0.25)
    up, down = option.call(0.7, 0.9 + h, 0.25), option.call(0.7, 0.9 - h, 0.25)
    more, less = option.call(0.7, 0.9, 0.25 + h), option.call(0.7, 0.9, 0.25 - h)
    assert g.delta == pytest.approx((up.price - down.price) / (2 * h), rel=1e-6)
    assert g.vega == pytest.approx((more.price - less.price) / (2 * h), rel=1e-6)
    end = option.call(0.0, np.array([0.5, 1.5]), 0.2)
    assert end.price.tolist() == [0, 0.5] and end.vega.tolist() == [0, 0]


def test_hedging_risk_is_what_td_error_tends_to():
    cfg = option.OptionConfig(K=400, n=2000)
    t, S = option.stock(cfg, RNG(0))
    for theta in (0.2, 0.6):
        square = option.losses(cfg, t, S, [theta])[0][0]
        assert square == pytest.approx(option.hedging_risk(cfg, theta)[0], rel=0.06)        # 5 standard deviations


def test_where_data_drift_is_not_the_interest_another_price_is_learned():
    found = []
    for mu in (0.05, 0.10):
        cfg = option.OptionConfig(mu=mu, K=12, n=10_000)
        found.append(option.ctd(cfg, *option.stock(cfg, RNG(0))))
    assert found[0] == pytest.approx(0.2, abs=0.03) and found[1] > 0.25


def test_the_option_has_its_picture():
    e = option.option_experiment(option.OptionConfig())
    assert e.theta.shape == e.risk.shape == e.square.shape == e.ml.shape
    assert e.best["MSTDE, Δt → 0"] == pytest.approx(e.theta[np.argmin(e.risk)], abs=0.05)
    with pytest.raises(ValueError, match="expected both > 0"):
        option.call(1.0, 1.0, 0.0)


# ---- the pendulum

def test_with_wind_the_td_error_critic_gets_worse_on_a_finer_grid():
    c = swing.compare(wind=1.0, dts=(0.1, 0.02), n=100, held=20)
    assert c.rmse["MSTDE"][1] > 1.2 * c.rmse["MSTDE"][0] and c.rmse["MSTDE"][1] > 1.5 * c.rmse["CTD(0)"][1]


def test_bumps_close_the_circle():
    x = np.array([[0.3, 1.0], [0.3 + 2 * np.pi, 1.0]])
    f = swing.features(0.0, x)
    assert f.shape == (71, 2) and f[:, 0] == pytest.approx(f[:, 1])


def test_the_error_of_a_true_value_is_how_far_such_values_lie_apart():
    """Sixty times the same start in wind, 16 runs each: the spread of the sixty means."""
    value, error = swing.truth(np.tile([0.5, 0.0], (60, 1)), 1.0, np.random.default_rng(0), repeats=16, dt=0.05)
    assert (error**2).mean() ** 0.5 == pytest.approx(value.std(ddof=1), rel=0.4)   # 4 standard errors of a spread


def test_the_two_learners_that_blow_up_differ_by_the_time_step():
    _, lines = experiment_module.blow_up(0.1)
    assert lines["α/Δt"][0] == pytest.approx(10 * lines["α"][0])          # after the first step, from 0


def test_blow_up_remembers():
    assert experiment_module.blow_up(0.1) is experiment_module.blow_up(0.1)


def test_the_discounted_price_of_an_option_is_a_martingale_where_the_drift_is_the_rate():
    cfg = option.OptionConfig(rate=0.15, mu=0.15, K=12, n=20_000)
    dM, _ = option.increments(cfg, *option.stock(cfg, np.random.default_rng(3)), cfg.sigma)
    gain = dM.sum(0)
    assert gain.mean() == pytest.approx(0, abs=4.5 * gain.std() / len(gain) ** 0.5)       # 4.5 standard errors


def test_the_option_is_read_where_its_parabola_is_least_and_its_loss_is_half_a_mean_square():
    x = np.linspace(0.1, 1.0, 10)
    assert option._least(x, 3 * (x - 0.37) ** 2 + 1) == pytest.approx(0.37)
    cfg = option.OptionConfig(K=6, n=50)
    t, S = option.stock(cfg, np.random.default_rng(1))
    M = np.exp(-cfg.rate * t)[:, None] * option.call(cfg.T - t[:, None], S, 0.3, cfg.rate).price
    by_hand = sum((M[-1] - M[k]) ** 2 * (t[k + 1] - t[k]) for k in range(6)).mean() / 2   # ½ E Σ (M_T - M_k)² Δt
    assert option.losses(cfg, t, S, [0.3])[1] == pytest.approx([by_hand])
