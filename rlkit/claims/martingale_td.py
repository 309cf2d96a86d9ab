"""What martingale policy evaluation says, measured: where mean-square TD error goes wrong, and what does not.

The worlds are ours, with answers known in closed form: A, Brownian motion on [0, 1] paid X_T² (truth θ = (σ², 0) in the
critic x² + θ₁(T-t) + θ₂(T-t)x²); B, the stationary Ornstein-Uhlenbeck process paid x² per unit time (truth (1/3, 1/3)
in θ₁x² + θ₂ for β = κ = σ = 1); C, as B without the constant; D, a European call. Tolerances are several standard
deviations of one seed's answer, or rounding. Half of the paper's statements are about limits Δt → 0: there the answers
of infinitely many paths are compared at several Δt.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from rlkit.claims import Measured, claim, every, near, not_here
from rlkit.envs.diffusions import path
from rlkit.envs.linear_quadratic import DISCOUNTED, ERGODIC, LQ
from rlkit.envs.portfolio import Market
from rlkit.papers import martingale_exact as exact
from rlkit.papers import martingale_option as option
from rlkit.papers.martingale_control import ControlConfig, ControlSnapshot, control
from rlkit.papers.martingale_experiment import blow_up
from rlkit.papers.martingale_online import NeuralConfig, neural, online
from rlkit.papers.martingale_portfolio import PortfolioConfig, portfolio
from rlkit.papers.martingale_td import (
    Config,
    double_sampling,
    martingale,
    martingale_loss,
    quadratic_variation,
    solve,
)
from rlkit.paths import Paths
from rlkit.returns import discount
from rlkit.stats import loglog_slope

PE = "Jia & Zhou 2022"
A, B = exact.world("brownian"), exact.world("ou")
TRUE_A, FLAT_A = np.array([1.0, 0.0]), np.array([1.0, -2.0])              # the value function; MSTDE's limit
STEPS = 0.2 / 2 ** np.arange(6)                                           # .2 … .00625


def _paths(w: exact.World, n: int, dt: float, T: float, rng: np.random.Generator) -> Paths:
    K = round(T / dt)
    t, x = dt * np.arange(K + 1), path(w.process, w.start(n, rng), dt, K, rng)
    return Paths(t, x, w.reward(t[:, None], x))


def _solve(w: exact.World, p: Paths, test="left", **more) -> np.ndarray:
    return solve(p, w.features, test, base=w.base, beta=w.beta, **more).theta


def _M(w, p: Paths, theta) -> np.ndarray:
    return martingale(p, w.value(theta, p.t, p.x), w.beta)


def _true(name: str, holds, value: str, expected: str) -> tuple[str, Measured]:
    return name, Measured(value, expected, "strict", "an order, far from a tie", bool(holds))


# ---- the martingale

@claim(paper=PE + ", martingale characterisation", scale="statistical",
       says="the average of M over paths is flat for the value function, and for no other critic")
def only_the_truth_is_a_martingale(seed):
    p = _paths(A, 4000, 0.02, 1.0, np.random.default_rng(seed))
    quarter = round(0.25 / 0.02)
    parts = []
    for name, theta, rise in (("truth", TRUE_A, 0.0), ("flattest critic", FLAT_A, -0.375)):
        M = _M(A, p, theta)
        gain = M[quarter] - M[0]
        t = quarter * 0.02
        rise = rise and -2 * t * (1 - t)                                  # E M_t = σ²T - 2σ²t(T-t)/T
        parts.append((f"mean rise to t = T/4, {name}",
                      near(gain.mean(), rise, 4.5 * gain.std() / 4000**0.5, "4.5 standard errors over 4000 paths")))
    return every(*parts)


@claim(paper=PE + ", mean-square TD error", says="mean-square TD error is lowest where it is wrong: its error is the "
                                                 "quadratic variation of M", scale="statistical")
def wrong_answer_has_less_td_error(seed):
    p = _paths(A, 4000, 0.02, 1.0, np.random.default_rng(seed))
    true, flat = _M(A, p, TRUE_A), _M(A, p, FLAT_A)
    ratio = quadratic_variation(flat) / quadratic_variation(true)
    gap = martingale_loss(flat, p.dt) - martingale_loss(true, p.dt)
    return every(_true("E Σ ΔM², wrong ÷ true", ratio < 0.5, f"{ratio:.3f}", "< 0.5 (1/3 as Δt → 0)"),
                 _true("martingale loss, wrong - true", gap > 0.12, f"{gap:.3f}", "> 0.12 (1/5 as Δt → 0)"))


@claim(paper=PE + ", martingale loss", says="the martingale loss has a floor above zero, ½ E ∫ t d⟨M⟩, reached by the "
                                            "value function")
def martingale_loss_has_a_floor(seed):
    rng = np.random.default_rng(seed)
    sigma, T = rng.uniform(0.5, 2), rng.uniform(0.5, 2)
    w = exact.world("brownian", sigma=sigma, T=T)
    P = exact.population(w, T / 2000, "ml")
    floor = float(P.loss("ml", P.theta))
    return every(("floor ÷ ⅔σ⁴T³", near(floor / (2 / 3 * sigma**4 * T**3), 1, 2e-3, "Δt = T/2000, first order")),
                 ("its θ", near(np.abs(P.theta - w.truth).max(), 0, 1e-7, "rounding")))


# ---- mean-square TD error

@claim(paper=PE + ", mean-square TD error",
       says="as Δt → 0 the minimiser of mean-square TD error tends to the flattest critic, in A a bowl upside down, "
            "(σ², -2/T)")
def mstde_tends_to_the_flattest_critic(seed):
    K = 2 ** np.arange(4, 10)
    theta = np.array([exact.population(A, 1 / k, "mstde").theta for k in K])
    rng = np.random.default_rng(seed)
    sigma, T, x0 = rng.uniform(0.5, 2), rng.uniform(0.5, 2), rng.uniform(-1, 1)
    other = exact.population(exact.world("brownian", sigma=sigma, T=T, x0=x0), T / 4000, "mstde").theta
    limit = exact.brownian_limit(sigma, T, x0)
    return every(("θ₂, 512 steps", near(theta[-1, 1], -2, 0.015, "5 Δt/T², first order")),
                 ("slope of its error in Δt", near(loglog_slope(1 / K, theta[:, 1] + 2).slope, 1, 0.1, "first order")),
                 (f"σ = {sigma:.2f}, T = {T:.2f}, x₀ = {x0:.2f}: relative error",
                  near(np.abs(other / limit - 1).max(), 0, 0.01, "Δt = T/4000, first order")))


@claim(paper=PE + ", mean-square TD error", scale="statistical",
       says="from the same 8000 episodes mean-square TD error learns the bowl, CTD and the martingale loss the truth")
def samples_agree_with_the_exact_minimisers(seed):
    p = _paths(A, 8000, 0.02, 1.0, np.random.default_rng(seed))
    flat = exact.population(A, 0.02, "mstde").theta
    parts = [("MSTDE θ₂", near(_solve(A, p, "mstde")[1], flat[1], 0.03, "5 standard deviations"))]
    for name, test in (("CTD(0)", "left"), ("CTD(λ)", "trace"), ("ML", "ml")):
        theta = _solve(A, p, test)
        parts += [(f"{name} θ₁", near(theta[0], 1, 0.15, "7 or more standard deviations")),
                  (f"{name} θ₂", near(theta[1], 0, 0.30, "6 or more standard deviations"))]
    return every(*parts)


@claim(paper=PE + ", mean-square TD error", says="without noise mean-square TD error is right: at σ = 0 it agrees with "
                                                 "CTD(0) to all digits", scale="statistical")
def without_noise_all_agree(seed):
    w = exact.world("ou-wide", sigma=0.0, T=2.0)
    p = _paths(w, 1000, 0.05, 2.0, np.random.default_rng(seed))
    return near(np.abs(_solve(w, p, "mstde") - _solve(w, p, "left")).max(), 0, 1e-8, "rounding of a 2 × 2 system")


@claim(paper=PE + ", mean-square TD error", says="a little noise looks harmless on a coarse grid, and is not on a fine "
                                                 "one: the error of mean-square TD error grows as Δt falls")
def small_noise_fools_on_coarse_grids(seed):
    w = exact.world("ou-wide", sigma=0.1, T=2.0)
    miss = [abs(exact.population(w, d, "mstde").theta[0] / exact.population(w, d, "left").theta[0] - 1)
            for d in (0.1, 0.02, 0.004)]
    return every(_true("relative gap to CTD(0) at Δt = .1, .02, .004", miss[0] < 0.05 and miss[2] > 0.4
                       and miss[0] < miss[1] < miss[2], ", ".join(f"{m:.3f}" for m in miss), "< .05 … > .4, rising"))


@claim(paper="ours; the usual remedy", scale="statistical",
       says="two independent next states make the TD error unbiased, with noise that grows as Δt falls")
def double_sampling_is_right_and_noisy(seed):
    rng, parts, spread = np.random.default_rng(seed), [], {}
    for dt in (0.1, 0.02):
        x = B.start(20 * 100_000, rng).reshape(20, -1)
        one, two = (B.process.step(x, dt, rng.standard_normal(x.shape)) for _ in range(2))
        learn = lambda x, one, two: double_sampling(x, one, two, B.features, dt, x * x, beta=1.0)[0]   # noqa: B023, E731
        theta = np.array([[learn(*batch), _solve(B, Paths([0, dt], batch[:2], np.square(batch[:2])))[0]]
                          for batch in zip(x, one, two)])
        spread[dt] = theta.std(0)
        # of all samples together: the mean of twenty answers, each a ratio of noisy sums, would be too high
        parts.append((f"θ₁ at Δt = {dt}", near(learn(x.ravel(), one.ravel(), two.ravel()),
                                               exact.ou_theta("left", dt)[0], 4.5 * theta[:, 0].std() / 19**0.5,
                                               "4.5 standard errors, 20 samples")))
    ratio = spread[0.02][0] / spread[0.02][1]
    return every(*parts, _true("its spread at Δt = .02 ÷ CTD(0)'s", ratio > 1.5, f"{ratio:.1f}", "> 1.5"),
                 _true("its spread, Δt = .02 ÷ .1", spread[0.02][0] > 2 * spread[0.1][0],
                       f"{spread[0.02][0] / spread[0.1][0]:.1f}", "> 2"))


# ---- closed forms and orders

@claim(paper="ours, in the spirit of " + PE, says="in B every method has a closed form at every Δt: the moments of the "
                                                  "normal chain and the formulas agree")
def closed_forms_agree_with_moments(seed):
    rng, worst = np.random.default_rng(seed), 0.0
    for _ in range(5):
        beta, kappa, sigma, dt = rng.uniform(0.3, 2), rng.uniform(0.3, 2), rng.uniform(0.3, 2), rng.uniform(0.01, 0.2)
        if abs(beta - 2 * kappa) < 0.2:
            kappa += 0.3                                                  # the right end has a pole there
        w = exact.world("ou", beta=beta, kappa=kappa, sigma=sigma, T=20 * dt)
        for test in ("left", "trace", "mstde", "right", "mid"):
            formula = exact.ou_theta(test, dt, beta, kappa, sigma)
            worst = max(worst, np.abs(exact.population(w, dt, test).theta - formula).max() / np.abs(formula).max())
    return near(worst, 0, 1e-8, "rounding, relative, of 2 × 2 systems of condition up to 10⁴")


@claim(paper="ours, in the spirit of " + PE, says="samples find those closed forms: CTD(0), MSTDE, and both wrong ends "
                                                  "of the step", scale="statistical")
def samples_find_the_closed_forms(seed):
    rng, parts = np.random.default_rng(seed), []
    for dt in (0.1, 0.05):
        p = _paths(B, 500, dt, 40.0, rng)
        for test, tolerance in (("left", 0.02), ("mstde", 0.004), ("mid", 0.03), ("right", 0.20)):
            parts.append((f"{test}, Δt = {dt}", near(_solve(B, p, test)[0], exact.ou_theta(test, dt)[0], tolerance,
                                                     "5 or more standard deviations of 20,000 time units")))
    return every(*parts)


@claim(paper=PE + ", mesh → 0",
       says="the discrete answers approach the continuous one with Δt: order 1, and 2 where the reward is a trapezoid")
def orders_in_the_mesh(seed):
    miss = lambda test, i=0, to=1 / 3: np.abs(exact.ou_theta(test, STEPS)[i] - to)                 # noqa: E731
    rows = dict(ctd0=(miss("left"), 1), increment=(miss("increment"), 1), mstde_to_0=(miss("mstde", to=0), 1),
                right=(miss("right", to=-1), 1), mid=(miss("mid", to=1), 1), trapezoid=(miss("trapezoid"), 2),
                level=(miss("left", 1), 2))
    return every(*((name, near(loglog_slope(STEPS, e).slope, order, 0.08, "curvature from Δt = .2 to .00625"))
                   for name, (e, order) in rows.items()))


@claim(paper=PE + ", mesh → 0", scale="statistical",
       says="the order shows in samples too: one fine record, watched less and less often")
def order_shows_in_one_record(seed):
    fine, dt = _paths(B, 1200, 0.0125, 40.0, np.random.default_rng(seed)), 0.0125
    best, strides = _solve(B, fine)[0], np.array([2, 4, 8, 16])
    error = [abs(_solve(B, fine.thin(int(k)))[0] - best) for k in strides]
    return near(loglog_slope((strides - 1) * dt, np.array(error)).slope, 1, 0.12, "5 standard deviations")


@claim(paper=PE + ", abstract",
       says="a discretised scheme that converges on every grid approaches the continuous answer at a proven speed")
def speed_of_the_theorem(seed):
    return not_here("the speed of the theorem", "the theorem's exponent was not available to us; the orders above are "
                    "derived and measured here, under conditions of our own")


@claim(paper="ours, in the spirit of " + PE, scale="statistical",
       says="the noise of CTD(0) depends on the time observed, not on how finely it is watched")
def noise_depends_on_time_observed(seed):
    rng = np.random.default_rng(seed)
    spread = {dt: np.std([_solve(B, _paths(B, 60, dt, 40.0, rng))[0] for _ in range(48)]) for dt in (0.1, 0.02)}
    ratio = spread[0.02] / spread[0.1]
    return every(_true("spread at Δt = .02 ÷ at .1, same time", 0.5 < ratio < 2, f"{ratio:.2f}", "between ½ and 2"))


@claim(paper="ours, in the spirit of " + PE, scale="statistical", minutes=0.03,
       says="with more episodes CTD(0) and the martingale loss err less, as 1/√N")
def error_falls_as_root_n(seed):
    rng, sizes = np.random.default_rng(seed), np.array([250, 1000, 4000, 16000])
    error = {"CTD(0)": [], "ML": []}
    for n in sizes:
        parts = (_paths(A, n, 0.1, 1.0, rng) for _ in range(48))
        both = np.array([[_solve(A, p, test) for test in ("left", "ml")] for p in parts])           # [48, 2, p]
        for i, name in enumerate(error):
            miss = both[:, i] - TRUE_A
            error[name].append(np.sqrt((miss**2).sum(1).mean()))
    return every(*((name, near(loglog_slope(sizes, np.array(e)).slope, -0.5, 0.15, "4 standard deviations, 48 samples "
                                                                                    "a size"))
                   for name, e in error.items()))


# ---- test functions

@claim(paper=PE + ", test functions", scale="statistical",
       says="where the truth is out of reach the test function decides: CTD(0) < CTD(λ) < martingale loss < constant")
def test_function_decides(seed):
    w, dt = exact.world("ou", second=False), 0.05
    p = _paths(w, 400, dt, 60.0, np.random.default_rng(seed))
    K = len(p.t) - 1
    G = discount(p.r[:-1] * dt, np.array([0, K]), math.exp(-dt))[: K - round(15 / dt)]      # the last 15: cut too early
    x2 = p.x[: len(G)] ** 2
    found = {"CTD(0)": _solve(w, p)[0], "CTD(λ), ℓ = 5": _solve(w, p, "trace", lam=math.exp(-5))[0],
             "ML (regression)": float((G * x2).sum() / (x2 * x2).sum()), "ξ = 1": _solve(w, p, "constant")[0]}
    decay = (np.inf, 5.0, 1.0, 0.0)
    values = [0.0, *found.values()]
    trace = _solve(w, p, "trace", lam=math.exp(-1))[0]
    return every(_true("order", all(a < b for a, b in zip(values, values[1:])), " < ".join(f"{v:.3f}" for v in values),
                       "rising from 0"),
                 *((name, near(v, exact.ou_trace(l, dt), 0.02, "5 standard deviations"))
                   for (name, v), l in zip(found.items(), decay)),
                 ("CTD(λ = e^-β) against that regression", near(trace, found["ML (regression)"], 0.02, "the same")))


@claim(paper="ours, in the spirit of " + PE, says="a λ per step instead of per unit time turns into CTD(0) as Δt falls")
def lambda_per_step_forgets(seed):
    value = [float(exact.ou_trace(-math.log(0.9) / dt, dt)) for dt in (0.1, 0.05, 0.01, 0.001)]
    end = float(exact.ou_trace(np.inf))
    return every(_true("θ at Δt = .1, .05, .01, .001", all(a > b for a, b in zip(value, value[1:])),
                       ", ".join(f"{v:.3f}" for v in value), "falling"),
                 ("the last", near(value[-1], end, 0.003, "order Δt and 1/ℓ")))


@claim(paper="ours; Itô, not Stratonovich", scale="statistical",
       says="a test function at the right end of the step is no function of the past: in A it leads to (-σ², -6/T)")
def right_end_is_wrong(seed):
    rng = np.random.default_rng(seed)
    theta = np.array([_solve(A, _paths(A, 4000, 1 / 200, 1.0, rng), "right") for _ in range(8)]).mean(0)
    return every(("θ₁", near(theta[0], -1, 0.15, "Δt/T and 5 standard errors")),
                 ("θ₂", near(theta[1], -6, 0.40, "15 Δt/T² and 5 standard errors")),
                 ("θ₁ where ξ looks half way", near(exact.population(A, 1 / 200, "mid").theta[0], 3, 0.05, "order Δt")))


# ---- learning step by step

@claim(paper=PE + ", online algorithms", scale="statistical", minutes=0.3,
       says="learned step by step, CTD(0), CTD(λ), TDC and GTD2 come to the answer of their grid, and MSTDE to its own")
def online_learners_arrive(seed):
    base = Config(world="ou", dt=0.1, time=800.0, lam=0.3, runs=8, objective="CTD")
    rows = {"CTD(0)": dict(alpha=0.4), "CTD(λ)": dict(alpha=0.8, test="trace"),
            "TDC": dict(alpha=0.4, objective="TDC"), "GTD2": dict(alpha=0.8, tau=200.0, objective="GTD2"),
            "MSTDE": dict(alpha=0.2, tau=math.inf, objective="MSTDE")}
    parts, rng = [], np.random.default_rng(seed)
    for name, more in rows.items():
        *_, last = online(replace(base, **more), rng, every=10**9)
        goal = exact.ou_theta("mstde" if name == "MSTDE" else "left", 0.1)[0]
        parts.append((name, near(last.average[:, 0].mean(), goal, 0.004 if name == "MSTDE" else 0.025,
                                 "bias left by a finite run, and 4 standard errors over 8 runs")))
    return every(*parts)


@claim(paper="ours, in the spirit of " + PE, scale="statistical",
       says="dividing the step size by Δt makes learning diverge as Δt falls; not dividing it does not")
def dividing_by_dt_diverges(seed):
    _, size = blow_up(0.005, 0.05, seed=seed, time=100.0)
    lost = {name: int((x[-1] >= 1e6).sum()) for name, x in size.items()}
    return every(_true("α/Δt at Δt = .005", lost["α/Δt"] == 8, f"{lost['α/Δt']} of 8 diverge", "all"),
                 _true("α", lost["α"] == 0, f"{lost['α']} of 8", "none"))


# ---- a price, and a network

@claim(paper=PE + ", option pricing (our settings)", scale="statistical", minutes=0.2,
       says="from paths of a stock, CTD and the martingale loss find the volatility of Black and Scholes; mean-square "
            "TD error does not, and errs to either side")
def option_is_priced(seed):
    rng, parts = np.random.default_rng(seed), []
    for S0 in (0.8, 1.0, 1.2):
        cfg = option.OptionConfig(S0=S0, K=12, n=40_000)
        t, S = option.stock(cfg, rng)
        grid = np.linspace(0.16, 0.24, 5)
        low = np.polyfit(grid - 0.2, option.losses(cfg, t, S, grid)[1], 2)            # a parabola through the loss
        parts += [(f"CTD, S₀ = {S0}", near(option.ctd(cfg, t, S), 0.2, 0.02, "4 or more standard deviations")),
                  (f"ML, S₀ = {S0}", near(0.2 - low[1] / (2 * low[0]), 0.2, 0.02, "4 or more standard deviations"))]
    cfg = option.OptionConfig(K=252, n=1000)
    t, S = option.stock(cfg, rng)
    grid = np.linspace(0.1, 0.8, 15)
    best = grid[np.argmin(option.losses(cfg, t, S, grid)[0])]
    limits = [option.mstde_limit(option.OptionConfig(S0=s)) for s in (0.8, 1.2)]
    return every(*parts, _true("MSTDE, S₀ = 1, 252 steps", best > 0.45, f"{best:.2f}", "> .45"),
                 _true("its limit at S₀ = .8, 1.2", limits[0] < 0.15 and limits[1] > 0.9,
                       ", ".join(f"{v:.3f}" for v in limits), "< .15, > .9"))


@claim(paper=PE + ", option pricing (our settings)", scale="statistical",
       says="learned by stochastic gradient from a guess of 0.5, the volatility arrives at 0.2")
def option_is_learned(seed):
    *_, last = option.learn_price(option.OptionConfig(K=12), np.random.default_rng(seed), every=10**9)
    return near(last.theta.mean(), 0.2, 0.015, "4 standard errors over 8 runs")


@claim(paper=PE + ", function approximation", scale="slow", minutes=0.4,
       says="a neural critic learns the value by CTD(0) and by the martingale loss; the same loss without `detach` is "
            "mean-square TD error, and learns a flat one")
def detach_is_the_difference(seed):
    end = {}
    for name in ("CTD", "ML", "MSTDE"):
        *_, last = neural(NeuralConfig(objective=name), np.random.default_rng(seed), every=10**9)
        end[name] = last
    worst = {name: (s.rmse.min() if name == "MSTDE" else s.rmse.max()) for name, s in end.items()}
    low, middle = (float(end["MSTDE"].start[:, i].mean()) for i in (15, 30))
    return every(*(_true(f"RMSE {name}", e > 0.7 if name == "MSTDE" else e < 0.1, f"{e:.3f}",
                         "> 0.7" if name == "MSTDE" else "< 0.1") for name, e in worst.items()),
                 _true("MSTDE's J(0, -1.5) - J(0, 0); truth +2.25", low < middle + 1, f"{low - middle:.2f}", "< 1"))


@claim(paper=PE + ", numerical section", says="the paper's own experiments: option pricing and portfolio selection")
def numbers_of_the_paper(seed):
    return not_here("the paper's tables", "its numerical section was not available to us: the examples here are ours, "
                    "in the spirit of the paper")


# ---- control

PG, QL = "Jia & Zhou 2022b", "Jia & Zhou 2023"


def _end(method: str, world: str, seed: int, **more) -> tuple[ControlConfig, ControlSnapshot]:
    cfg = ControlConfig(method=method, world=world, **more)
    *_, last = control(cfg, np.random.default_rng(seed), every=10**9)
    return cfg, last


@claim(paper="ours, in the spirit of " + QL, says="an action held for Δt costs order Δt: on every grid the answer is "
       "that of a discrete Riccati equation, and it tends to the continuous one")
def grids_tend_to_riccati(seed):
    from scipy.linalg import solve_continuous_are, solve_discrete_are
    rng, worst = np.random.default_rng(seed), 0.0
    for _ in range(5):
        a, b, R = rng.uniform(-1, 1), rng.uniform(0.5, 2), rng.uniform(-0.5, 0.5)
        w = LQ(a, b, 0.0, rng.uniform(0.2, 1), rng.uniform(1, 3), R, rng.uniform(0.5, 2), beta=rng.uniform(0.2, 1))
        k = -solve_continuous_are(*(np.array([[v]]) for v in (a - w.beta / 2, b, w.M, w.N)), s=np.array([[R]]))[0, 0]
        worst = max(worst, abs(w.solve()[0][0] / ((b * k - R) / w.N) - 1))
        dt = rng.uniform(0.01, 0.2)
        (rho, c, _), g = w.transition(dt), math.exp(-w.beta * dt / 2)
        A1, B1 = g * rho, g * c
        k = solve_discrete_are(*(np.array([[v]]) for v in (A1, B1, w.M * dt, w.N * dt)), s=np.array([[R * dt]]))[0, 0]
        worst = max(worst, abs(w.solve(dt=dt)[0][0] / (-(B1 * k * A1 + R * dt) / (w.N * dt + B1 * k * B1)) - 1))
    miss = np.array([abs(DISCOUNTED.solve(dt=d)[0][0] - DISCOUNTED.solve()[0][0]) for d in STEPS])
    return every(("gain against SciPy's Riccati solvers, relative", near(worst, 0, 1e-8, "rounding")),
                 ("slope of the gain's error in Δt", near(loglog_slope(STEPS, miss).slope, 1, 0.08, "curvature")))


@claim(paper=QL + ", the rate q", says="as Δt → 0 an ordinary Q loses the action, its spread over actions falling as "
                                         "Δt; what is left, divided by Δt, is q")
def ordinary_q_loses_the_action(seed):
    rng = np.random.default_rng(seed)
    critic, x, a = DISCOUNTED.solve()[1], rng.normal(size=200), rng.normal(size=(50, 1))
    limit = DISCOUNTED.q_of(critic)(x, a)
    Q = [d * DISCOUNTED.q_of(critic, d)(x, a) for d in STEPS]                                    # Q - J
    spread, miss = np.array([np.ptp(v) for v in Q]), np.array([np.abs(v / d - limit).max() for v, d in zip(Q, STEPS)])
    return every(("slope of the spread of Q - J in Δt", near(loglog_slope(STEPS[1:], spread[1:]).slope, 1, 0.12,
                                                              "curvature")),
                 ("slope of |(Q - J)/Δt - q|", near(loglog_slope(STEPS[1:], miss[1:]).slope, 1, 0.12, "curvature")))


@claim(paper=QL + ", optimality", says="at the optimum that is paid for entropy, exp(q/τ) is the density of the best "
                                         "policy: it integrates to 1 at every state")
def best_policy_is_exp_q(seed):
    rng, parts = np.random.default_rng(seed), []
    for name, w in (("discounted", DISCOUNTED), ("ergodic", ERGODIC)):
        tau, x = rng.uniform(0.05, 1), rng.normal()
        policy, critic = w.solve(tau)
        mean, sd = policy[0] * x + policy[1], policy[2] ** 0.5
        a = mean + sd * np.linspace(-10, 10, 2001)
        density = np.exp(w.q_of(critic)(x, a) / tau)
        normal = np.exp(-(((a - mean) / sd) ** 2) / 2) / (sd * math.sqrt(2 * math.pi))
        parts += [(f"∫ exp(q/τ), {name}", near(np.trapezoid(density, a), 1, 1e-8, "rounding of the integral")),
                  ("its distance to that normal", near(np.abs(density - normal).max() * sd, 0, 1e-8, "rounding"))]
    return every(*parts)


@claim(paper="ours, in the spirit of " + QL, scale="statistical",
       says="policy iteration on (J, q) finds Riccati's gain from one batch of random actions in five rounds")
def lq_gain_is_found(seed):
    cfg, last = _end("policy iteration", "discounted", seed, n=2000, runs=1)
    gain, w = last.policy[0, 0], cfg.problem()
    return every((f"gain at Δt = {cfg.dt}; on this grid {w.solve(dt=cfg.dt)[0][0]:.4f}",
                  near(gain, w.solve()[0][0], 0.06, "order Δt (.036) and 6 standard deviations")),
                 ("its distance to the answer of its grid", near(gain - w.solve(dt=cfg.dt)[0][0], 0, 0.025,
                                                                 "6 standard deviations")),
                 ("intercept", near(last.policy[0, 1], 0, 0.015, "8 standard deviations")))


@claim(paper=PG + ", section 5.2 (its world; our learner)", scale="statistical",
       says="in the ergodic world, where the action moves the noise, the same rounds find the best policy and its "
            "average reward V")
def ergodic_optimum_is_found(seed):
    cfg, last = _end("policy iteration", "ergodic", seed, dt=0.02, n=3000, runs=1)
    policy, critic = cfg.problem().solve()
    return every(("φ₁", near(last.policy[0, 0], policy[0], 0.03, "5 standard deviations; no error of the grid")),
                 ("φ₂", near(last.policy[0, 1], policy[1], 0.03, "7 standard deviations; no error of the grid")),
                 ("V", near(last.critic[0, 2], critic[2], 0.04, "9 standard deviations")))


@claim(paper=QL + ", off-policy learning", scale="statistical",
       says="q is learned from the actions of any behaviour: timid or bold ones lead to the same gain")
def any_behaviour_will_do(seed):
    parts = []
    for sd in (0.5, 2.0):
        cfg, last = _end("policy iteration", "discounted", seed, n=500, runs=4, explore=sd)
        parts.append((f"gain, u ~ N(0, {sd:g}²)", near(last.policy[:, 0].mean(), cfg.problem().solve(dt=cfg.dt)[0][0],
                                                      0.05, "5 or more standard deviations")))
    return every(*parts)


@claim(paper=PG + ", policy gradient", scale="statistical",
       says="∂_φ J = E Σ γ^k ∂_φ log π δ_k: the TD error of what was done is the advantage, exactly so on any grid")
def td_error_is_the_advantage(seed):
    rng, w, dt, n, parts = np.random.default_rng(seed), DISCOUNTED._replace(beta=1.0), 0.05, 8000, []
    for gain in (0.0, -0.5, -1.2):
        J = lambda k: (lambda c: c[0] / 2 + c[1] + c[2])(w.evaluate((k, 0.0, 0.2), dt=dt))     # noqa: E731   at x = 1
        slope = (J(gain + 1e-5) - J(gain - 1e-5)) / 2e-5
        k2, k1, k0 = w.evaluate((gain, 0.0, 0.2), dt=dt)
        x, total = np.ones(n), np.zeros(n)
        for k in range(round(8 / dt)):
            e, z = rng.standard_normal((2, n))
            a = gain * x + 0.2**0.5 * e
            y = w.step(x, a, dt, z)
            g = math.exp(-dt)
            delta = g * (k2 * y * y / 2 + k1 * y + k0) - (k2 * x * x / 2 + k1 * x + k0) + w.reward(x, a) * dt
            total += g**k * e / 0.2**0.5 * x * delta
            x = y
        parts.append((f"∂J/∂φ₁ at φ₁ = {gain}", near(total.mean(), slope, 4.5 * total.std() / n**0.5 + 1e-3,
                                                      "4.5 standard errors, and what is left after T = 8")))
    return every(*parts)


@claim(paper=QL + " (its world and ours; our step sizes)", scale="statistical", minutes=0.2,
       says="soft q-learning, by stochastic approximation from stored random actions, arrives at the best policy that "
            "is paid for entropy")
def soft_q_learning_arrives(seed):
    tolerances = dict(discounted=(0.06, 0.04, 0.01), ergodic=(0.12, 0.12, 0.01))
    return _arrives("soft q-learning", seed, tolerances, steps=3000)


@claim(paper=PG + " (its world and ours; our step sizes, restarts and step limit)", scale="statistical", minutes=0.2,
       says="the actor-critic arrives there too, from its own actions")
def actor_critic_arrives(seed):
    return _arrives("actor-critic", seed, dict(discounted=(0.10, 0.05, 0.03), ergodic=(0.20, 0.10, 0.03)))


def _arrives(method, seed, tolerances, **more):
    parts = []
    for world, tolerance in tolerances.items():
        cfg, last = _end(method, world, seed, **more)
        best = cfg.problem().solve(cfg.temperature, cfg.dt)[0]
        parts += [(f"{name}, {world}", near(np.median(last.policy[:, i]), best[i], tolerance[i],
                                            "bias left by a finite run, and 4 standard errors of a median of 8"))
                  for i, name in enumerate(("slope", "intercept", "variance"))]
    return every(*parts)


@claim(paper=PG + ", section 5.1 (its world; derived here)", scale="statistical",
       says="trading -g(X - w), mean and variance of final wealth are known exactly; as g goes from 0 to ρ/σ the "
            "Sharpe ratio climbs from |ρ| to √(e^{ρ²} - 1)")
def sharpe_is_known(seed):
    rng = np.random.default_rng(seed)
    m = Market(rng.uniform(0.05, 0.2), rng.uniform(0.2, 0.3))
    g, K, n, dt = m.gain * rng.uniform(0.3, 1), 50, 20_000, 1 / 50
    left = np.prod([1 - g * m.excess(dt, rng.standard_normal(n)) for _ in range(K)], 0)          # (w - X_T) / (w - x₀)
    one, two = m.moments(dt)
    mean, square = (1 - g * one) ** K, (1 - 2 * g * one + g * g * two) ** K
    fine = [float(m.sharpe(m.gain * f, 1e-5)) for f in (1e-6, 1.0)]
    return every(("mean of w - X_T", near(left.mean(), mean, 4.5 * left.std() / n**0.5, "4.5 standard errors")),
                 ("its mean square ÷ exact", near((left**2).mean() / square, 1,
                                                  5 * (left**2).std() / n**0.5 / square, "5 standard errors")),
                 ("Sharpe ratio at g → 0, ÷ |ρ|", near(fine[0] / m.rho, 1, 1e-3, "order Δt")),
                 ("at g = ρ/σ, ÷ √(e^{ρ²} - 1)", near(fine[1] / m.ceiling, 1, 1e-3, "order Δt")))


@claim(paper=PG + ", section 5.1 (fewer lots)", scale="statistical", minutes=0.1,
       says="the actor leaves |ρ| for the ceiling; with the same actor the critic's loss hardly matters, for the best "
            "action is the same under either J")
def actor_climbs_whatever_the_critic(seed):
    end = {}
    for critic in ("CTD", "MSTDE"):
        cfg = PortfolioConfig(critic=critic, lots=100, runs=2)
        *_, last = portfolio(cfg, np.random.default_rng(seed), every=10**9)
        end[critic] = last.sharpe.mean()
    m, gap = cfg.market(), end["CTD"] - end["MSTDE"]
    return every(_true("Sharpe ratio, μ = .3, σ = .2, after 100 lots", m.rho + 0.03 < end["CTD"] < m.ceiling,
                       f"{end['CTD']:.3f}", f"> ρ + .03 = {m.rho + 0.03:.2f}, < {m.ceiling:.2f}"),
                 ("CTD less MSTDE", near(gap, 0, 0.005, "a tenth of what was climbed")))


@claim(paper=PG + ", tables 1 to 3",
       says="in most markets the martingale-based algorithm has the higher out-of-sample Sharpe ratio, 1.78 against "
            "1.54 for μ = .3, σ = .2")
def sharpe_table_of_the_sequel(seed):
    return not_here("1.78 (.012) against 1.54 (.055)", "20000 lots, 100 repeats, and a rival whose actor differs too; "
                    "how it measures the ratio and its riskless rate were not available to us")
