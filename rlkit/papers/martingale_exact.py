"""What each method of policy evaluation converges to, exactly, on every time grid: the worlds whose answers are known.

A `World` is a diffusion with normal states (`envs.diffusions.OU`), a reward and a critic, all of them a(t) + b(t) x².
Then every condition that a method solves is a sum of moments E x_j² x_k² of normal variables, which are known, and
`population` solves it without a single sample, for any Δt, horizon and test function. Where the world is stationary the
answers are one line each (`ou_theta`), and they have limits (`OU_LIMITS`).

    brownian    X = x0 + σW on [0, T], paid X_T² at the end:  J = x² + σ²(T-t);   critic x² + θ₁(T-t) + θ₂(T-t)x²
    ou          stationary dX = -κX dt + σ dW, paid x² per unit time, discount β:  J = x²/c + σ²/(βc), c = β + 2κ;
                critic θ₁x² + θ₂
    ou-wide     the same, started from N(0, 1): where σ → 0 leaves something to see

These are our examples in the spirit of Jia & Zhou (2022), Policy Evaluation and Temporal-Difference Learning in
Continuous Time and Space: A Martingale Approach, JMLR 23(154); the formulas are derived here.
Axes: K steps, p features.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from rlkit.envs.diffusions import OU

WORLDS = ("brownian", "ou", "ou-wide")
TESTS = ("left", "mid", "right", "trace", "constant", "mstde", "ml")


class World(NamedTuple):
    """A problem of policy evaluation; functions of (t, x) work on arrays of any shape that agree."""

    process: OU
    mean0: float                          # X_0 ~ N(mean0, var0)
    var0: float
    features: Callable                    # (t, x) -> [p, ...]
    base: Callable                        # (t, x) -> [...] the part of the critic without parameters
    reward: Callable                      # (t, x) -> [...] rate
    beta: float                           # discount rate
    T: float                              # length of a path
    pinned: bool                          # the critic is right at T for every θ: an episode; else the task goes on
    truth: np.ndarray                     # [p] θ of the value function; NaN where it is not in the class

    def start(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """n first states [n]."""
        return self.mean0 + self.var0**0.5 * rng.standard_normal(n)

    def value(self, theta, t, x) -> np.ndarray:
        """J^θ(t, x) = base + θ · features."""
        return self.base(t, x) + np.tensordot(np.asarray(theta), self.features(t, x), 1)


def world(name: str, *, sigma: float = 1.0, beta: float = 1.0, kappa: float = 1.0, T: float = 1.0, x0: float = 0.0,
          second: bool = True) -> World:
    """One of `WORLDS`.  second=False leaves out the critic's second feature: without a constant the OU critic cannot be
    right, and each test function gives another answer.  brownian has no discount and no κ; x0 is its start."""
    if name not in WORLDS:
        raise ValueError(f"name is {name!r}, expected one of {', '.join(map(repr, WORLDS))}")
    if name == "brownian":
        def features(t, x):
            left = T - t + 0 * x
            return np.stack([left, left * x * x]) if second else left[None]

        return World(OU(0.0, sigma), x0, 0.0, features, lambda t, x: x * x + 0 * t, lambda t, x: 0 * (x + t), 0.0, T,
                     True, np.array([sigma**2, 0.0])[: 1 + second])
    if kappa <= 0 or beta <= 0:
        raise ValueError(f"kappa is {kappa} and beta {beta}, expected both > 0: this task goes on for ever")
    c = beta + 2 * kappa

    def features(t, x):
        out = np.empty((1 + second, *np.broadcast_shapes(np.shape(t), np.shape(x))))
        np.multiply(x, x, out=out[0, ...])
        out[1:] = 1.0
        return out

    truth = np.array([1 / c, sigma**2 / (beta * c)]) if second else np.array([np.nan])
    return World(OU(kappa, sigma), 0.0, 1.0 if name == "ou-wide" else sigma**2 / (2 * kappa), features,
                 lambda t, x: 0 * (x + t), lambda t, x: x * x + 0 * t, beta, T, False, truth)


# ---- any of these worlds, any grid


class Population(NamedTuple):
    """The answer of infinitely many paths.  theta: [p].  mstde, ml: [p+1, p+1], quadratic forms of the two losses."""

    theta: np.ndarray
    mstde: np.ndarray
    ml: np.ndarray

    def loss(self, which: str, theta) -> np.ndarray:
        """½ E Σ (δ/Δt)² Δt ("mstde") or ½ E Σ (M_T - M_k)² Δt ("ml") at theta [..., p]."""
        w = np.concatenate([np.ones((*np.shape(theta)[:-1], 1)), theta], -1)
        return np.einsum("...i,ij,...j->...", w, getattr(self, which), w) / 2


def population(w: World, dt: float, test: str = "left", lam: float = 0.5) -> Population:
    """θ that solves  E Σ_k ξ_k (u_k·θ + R_k) = 0  on the grid of step dt up to w.T, without sampling.

    test: as in `martingale_td.solve`.  All that is needed of X are the second moments of (1, x_k², x_{k+1}²), and for
    tests that look back or ahead  E[x_{k+1}² | x_k] = ρ² x_k² + sd².  Costs K steps, milliseconds.
    NaN where the conditions leave θ open, as "right" does where β = 2κ.
    Raises ValueError for a test that it does not know, or a grid of no step.
    """
    if test not in TESTS:
        raise ValueError(f"test is {test!r}, expected one of {', '.join(map(repr, TESTS))}")
    K = round(w.T / dt)
    if K < 1:
        raise ValueError(f"dt is {dt}, expected at most the horizon T = {w.T}")
    t, g, (Y, rho, sd) = dt * np.arange(K + 1), np.exp(-w.beta * dt), _moments(w, dt, K)
    phi, base, pay = (_squares(f, t) for f in (w.features, w.base, w.reward))         # [p, K+1, 2], twice [K+1, 2]
    td = np.concatenate([(g * _next(base) - _now(base) + dt * _now(pay))[None], g * _next(phi) - _now(phi)])
    J = _conditional(base[-1], dt * pay, g, rho, sd)                                  # [K+1, 2] value on this grid
    mc = np.concatenate([_now(J - base)[None], -_now(phi)])
    weight = g ** (2 * np.arange(K))[:, None] * dt                                    # e^{-2βt} Δt
    if test == "trace":
        S = np.einsum("ikb,jkb->ij", _looking_back(dt * phi, lam**dt, Y, rho, sd), td)
    else:
        xi, v = {"left": lambda: (_now(phi), td), "right": lambda: (_next(phi), td),
                 "mid": lambda: ((_now(phi) + _next(phi)) / 2, td), "constant": lambda: (_ones(len(phi), K), td),
                 "mstde": lambda: (td[1:] / dt, td), "ml": lambda: (weight * _now(phi), mc)}[test]()
        S = _mean(xi, Y, v)                                                           # [p, p+1]: c, then A
    A, size = S[:, 1:], np.sqrt(np.outer(np.abs(S[:, 1:]).max(1), np.abs(S[:, 1:]).max(0)))
    open_ = not (size > 0).all() or np.linalg.cond(A / np.where(size > 0, size, 1.0)) > 1e12
    theta = np.full(len(phi), np.nan) if open_ else -np.linalg.solve(A, S[:, 0])
    ml, jump = _mean(mc * weight, Y, mc), g * _next(J) - _now(J) + dt * _now(pay)
    ml[0, 0] += _mean((jump * weight * np.arange(1, K + 1)[:, None])[None], Y, jump[None])[0, 0]      # the floor
    return Population(theta, _mean(td / dt, Y, td), ml)


def _squares(f, t):
    """f(t, x) = a(t) + b(t) x² as its pairs (a, b) at every time: [..., K+1, 2]."""
    a = np.asarray(f(t, np.zeros(len(t))), float)
    return np.stack([a, f(t, np.ones(len(t))) - a], -1)


def _now(pair):
    """At step k, in terms of (1, x_k², x_{k+1}²): [..., K, 3]."""
    return np.concatenate([pair[..., :-1, :], np.zeros((*pair.shape[:-2], pair.shape[-2] - 1, 1))], -1)


def _next(pair):
    return np.stack([pair[..., 1:, 0], np.zeros_like(pair[..., 1:, 0]), pair[..., 1:, 1]], -1)


def _mean(xi, Y, v):
    """E Σ_k ξ_ik v_jk."""
    return np.einsum("ikb,jkb->ij", np.einsum("ika,kab->ikb", xi, Y), v)


def _ones(p, K):
    if p > 1:
        raise ValueError(f"test='constant' is one condition for {p} unknowns; give a critic of one feature")
    return np.broadcast_to([1.0, 0.0, 0.0], (1, K, 3))


def _conditional(last, pay, g, rho, sd):
    """J_k = pay_k + γ E[J_{k+1} | x_k], backwards from `last`: pairs [K+1, 2]."""
    J = np.array(np.broadcast_to(last, pay.shape))
    for k in range(len(J) - 2, -1, -1):
        a, b = J[k + 1]
        J[k] = pay[k, 0] + g * (a + b * sd**2), pay[k, 1] + g * b * rho**2
    return J


def _looking_back(phi, fade, Y, rho, sd):
    """E z_k (1, x_k², x_{k+1}²) [p, K, 3] of the trace z_k = fade z_{k-1} + φ_k."""
    new = np.einsum("ika,kab->ikb", _now(phi), Y)                                     # E φ_k (1, x_k², ...)
    out, z, s = np.empty_like(new), 0.0, 0.0
    for k in range(new.shape[1]):
        z, s = fade * z + new[:, k, 0], fade * (rho**2 * s + sd**2 * z) + new[:, k, 1]
        out[:, k] = np.stack([z, s, rho**2 * s + sd**2 * z], -1)
    return out


def _moments(w: World, dt: float, K: int):
    """Y [K, 3, 3], second moments of (1, x_k², x_{k+1}²), and the transition ρ, sd."""
    rho, sd = w.process.transition(dt)
    k = np.arange(K + 1)
    v = rho ** (2 * k) * w.var0 + sd**2 * (k if rho == 1 else (1 - rho ** (2 * k)) / (1 - rho**2))
    m2 = (rho**k * w.mean0) ** 2
    two, four = m2 + v, m2**2 + 6 * m2 * v + 3 * v**2                                 # E x_k², E x_k⁴
    cross = rho**2 * four[:-1] + sd**2 * two[:-1]                                     # E x_k² x_{k+1}²
    rows = [[np.ones(K), two[:-1], two[1:]], [two[:-1], four[:-1], cross], [two[1:], cross, four[1:]]]
    return np.moveaxis(np.array(rows), 2, 0), float(rho), float(sd)


# ---- the stationary world, in one line a method

OU_TESTS = ("left", "increment", "trapezoid", "mstde", "right", "mid")


def ou_theta(test: str, dt, beta: float = 1.0, kappa: float = 1.0, sigma: float = 1.0) -> np.ndarray:
    """(θ₁, θ₂) [2, ...] of the stationary OU world with critic θ₁x² + θ₂, at every dt; dt=0 gives the limit.

        left, trace     Δ / (1 - γρ²)                       trapezoid   ½Δ (1 + γρ²) / (1 - γρ²)
        increment       Δ / (1 + βΔ - ρ²)                   mstde       Δ (1 - γρ²) / (1 + γ² - 2γρ²)
        right           -ρ²Δ / (γ - ρ²)                     mid         Δ / (1 - γ)

    with γ = e^{-βΔ}, ρ = e^{-κΔ};  θ₂ = s² (Δ/(1-γ) - θ₁), s² = σ²/2κ: all get the mean level right.
    The trace and the martingale loss give what left gives: x² is an eigenfunction, and the truth is in the class.
    increment: δ = J' - J + rΔ - βJΔ, as the sequel writes it.  trapezoid: reward ½(r_k + γ r_{k+1})Δ.
    right has a pole at β = 2κ, and gives ±inf or NaN there.
    """
    dt = np.asarray(dt, float)
    c, s2 = beta + 2 * kappa, sigma**2 / (2 * kappa)
    d = np.where(dt > 0, dt, 1.0)
    g, q, e = np.exp(-beta * d), np.exp(-2 * kappa * d), -np.expm1(-beta * d)         # γ, ρ², 1 - γ
    f = -np.expm1(-c * d)                                                             # 1 - γρ²
    with np.errstate(divide="ignore", invalid="ignore"):
        slope, limit = {
            "left": lambda: (d / f, 1 / c), "trace": lambda: (d / f, 1 / c), "ml": lambda: (d / f, 1 / c),
            "increment": lambda: (d / (beta * d - np.expm1(-2 * kappa * d)), 1 / c),
            "trapezoid": lambda: (d * (2 - f) / (2 * f), 1 / c),
            "mstde": lambda: (d * f / (2 * f - (1 - g * g)), 0.0),
            "right": lambda: (-q * d / (g - q), np.float64(-1) / (2 * kappa - beta)),
            "mid": lambda: (d / e, 1 / beta)}[test]()
        level = {"increment": lambda: 1 / beta, "trapezoid": lambda: d * (1 + g) / (2 * e)}.get(test, lambda: d / e)()
        one = np.where(dt > 0, slope, limit)
        return np.stack([one, s2 * (np.where(dt > 0, level, 1 / beta) - one)])


def ou_trace(decay, dt: float = 0.0, beta: float = 1.0, kappa: float = 1.0) -> np.ndarray:
    """θ of the stationary OU world with the critic θx² *without* a constant: here the test function decides.

        θ(ℓ) = (3ℓ + 2κ) / (3βℓ + 2βκ + 4κℓ)                        ξ_t = ∫ e^{-ℓ(t-s)} x_s² ds, ℓ = -log λ
        θ(ℓ) = Δ (a + b) / ((1-γ) a + (1-γρ²) b),     a = 1/(1 - e^{-ℓΔ}),  b = 2/(1 - e^{-ℓΔ}ρ²)       on a grid

    decay: ℓ > 0 per unit time; inf is CTD(0), β is the martingale loss, 0 the constant test function.
    """
    l = np.asarray(decay, float)
    with np.errstate(divide="ignore", invalid="ignore"):
        if dt == 0:
            return np.where(np.isinf(l), 3 / (3 * beta + 4 * kappa), (3 * l + 2 * kappa) / (
                3 * beta * l + 2 * beta * kappa + 4 * kappa * l))
        a_over_b = -np.expm1(-(l + 2 * kappa) * dt) / (-2 * np.expm1(-l * dt))
        g, f = -np.expm1(-beta * dt), -np.expm1(-(beta + 2 * kappa) * dt)
        return np.where(l == 0, dt / g, dt * (a_over_b + 1) / (g * a_over_b + f))


def brownian_limit(sigma: float = 1.0, T: float = 1.0, x0: float = 0.0, test: str = "mstde") -> np.ndarray:
    """(θ₁, θ₂) of the Brownian world as Δt → 0, where it is wrong.

        mstde:  θ₂ = -(x0²T²/2 + σ²T³/6) / (x0²T³/3 + σ²T⁴/12),  θ₁ = σ² - θ₂ x0²;   from x0 = 0: (σ², -2/T)
        right:  (-σ², -6/T) from x0 = 0
    """
    if test == "right":
        if x0:
            raise ValueError(f"x0 is {x0}, expected 0: the limit of the right endpoint is written for that start")
        return np.array([-(sigma**2), -6 / T])
    if sigma == 0 and x0 == 0:
        return np.full(2, np.nan)                                         # nothing moves: any critic is as good
    two = -(x0**2 * T**2 / 2 + sigma**2 * T**3 / 6) / (x0**2 * T**3 / 3 + sigma**2 * T**4 / 12)
    return np.array([sigma**2 - two * x0**2, two])
