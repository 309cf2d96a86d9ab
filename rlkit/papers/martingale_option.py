"""A price is a value function: the European call, learned from paths of the stock, with its volatility for a critic.

    dS = rS dt + σS dW,  paid (S_T - K)⁺ at T,  discount r:    J(t, S) = C(t, S; σ), the Black-Scholes price
    critic  J^θ(t, S) = C(t, S; θ):  right at T for every θ, right everywhere for θ = σ

The critic is not linear in θ, so the conditions are not linear either; there is one unknown, and a grid of θ does.
`ctd` takes vega = ∂J/∂θ for its test function, `ml` the martingale loss, `mstde_limit` is what mean-square TD error
picks as Δt → 0: the θ with the least hedging risk E ∫ e^{-2rt} σ²S² (∂_S J^θ)² dt, where nothing is hedged.
Our example in the spirit of Jia & Zhou (2022), who treat option pricing; settings and numbers are ours.
Source of the price: Black & Scholes (1973).  Axes: K steps, N paths, G values of θ, R runs.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.special import ndtr

from rlkit.config import accept, check, knob
from rlkit.envs.diffusions import GBM, path
from rlkit.papers.martingale_td import quadratic_variation


@dataclass(frozen=True)
class OptionConfig:
    S0: float = knob(1.0, 0.7, 1.4, symbol="S₀", least=1e-3, most=1e3, restart=True,
                     says="price of the stock: the strike is 1")
    sigma: float = knob(0.2, 0.05, 0.6, symbol="σ", least=1e-3, most=10, restart=True,
                        says="volatility of the stock, the truth")
    rate: float = knob(0.05, 0.0, 0.15, symbol="r", unit="1/year", least=0, most=10, restart=True, says="interest")
    mu: float = knob(0.05, -0.2, 0.4, symbol="μ", unit="1/year", least=-10, most=10, restart=True,
                     says="drift of the data: a price is learned where μ = r, elsewhere an expectation")
    T: float = knob(1.0, 0.1, 2.0, symbol="T", unit="years", above=0, most=100, restart=True, says="time to expiry")
    K: int = knob(52, 4, 252, log=True, unit="steps", least=1, restart=True, says="grid: 12 months, 52 weeks, 252 days")
    n: int = knob(2000, 100, 8000, log=True, symbol="N", unit="paths", least=2, restart=True, says="sampled paths")
    theta: float = knob(0.5, 0.05, 1.2, symbol="θ", least=0.02, most=2, restart=True,
                        says="first guess of the volatility")
    batch: int = knob(64, 8, 512, log=True, least=1, says="paths of an update")
    alpha: float = knob(2.0, 0.1, 10.0, log=True, symbol="α", above=0, step=True,
                        says="step: α / (1 + j/30)^0.7 at update j")
    steps: int = knob(300, 50, 1000, log=True, least=1, restart=True, says="updates")
    runs: int = knob(8, 1, 32, symbol="R", least=1, restart=True, says="independent learners")
    seed: int = knob(0, 0, 99, least=0, restart=True, says="which random numbers")
    __post_init__ = check


class Greeks(NamedTuple):
    price: np.ndarray
    delta: np.ndarray             # ∂C/∂S
    vega: np.ndarray              # ∂C/∂θ


def call(left, S, theta, rate: float = 0.05, strike: float = 1.0) -> Greeks:
    """Price of a European call with `left` time to expiry, and its slopes in S and in the volatility θ.

        C = S N(d₁) - K e^{-r left} N(d₂),   d₁ = (log(S/K) + (r + θ²/2) left) / (θ √left),   d₂ = d₁ - θ √left

    left ≥ 0, S > 0, theta > 0: shapes that broadcast.  At expiry C = (S - K)⁺, and vega is 0.
    """
    left, S, theta = np.broadcast_arrays(*(np.asarray(v, float) for v in (left, S, theta)))
    if (theta <= 0).any() or (S <= 0).any():
        raise ValueError(f"theta goes down to {theta.min():g} and S to {S.min():g}, expected both > 0")
    over = left <= 0
    width = theta * np.sqrt(np.where(over, 1.0, left))
    d1 = (np.log(S / strike) + (rate + theta**2 / 2) * left) / width
    paid = strike * np.exp(-rate * left)
    delta = np.where(over, S > strike, ndtr(d1))
    price = np.where(over, np.maximum(S - strike, 0.0), S * ndtr(d1) - paid * ndtr(d1 - width))
    vega = np.where(over, 0.0, S * np.exp(-(d1**2) / 2) / (2 * np.pi) ** 0.5 * np.sqrt(np.maximum(left, 0.0)))
    return Greeks(price, delta, vega)


def stock(cfg: OptionConfig, rng: np.random.Generator, n: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """t [K+1] and paths S [K+1, n] of the stock, exact at every grid."""
    return (np.linspace(0, cfg.T, cfg.K + 1),
            path(GBM(cfg.mu, cfg.sigma), np.full(n or cfg.n, cfg.S0), cfg.T / cfg.K, cfg.K, rng))


def increments(cfg: OptionConfig, t, S, theta: float) -> tuple[np.ndarray, np.ndarray]:
    """ΔM_k = e^{-rt_{k+1}} C_{k+1} - e^{-rt_k} C_k and vega_k, both [K, N], for one θ."""
    g = call(cfg.T - t[:, None], S, theta, cfg.rate)
    return np.diff(np.exp(-cfg.rate * t)[:, None] * g.price, axis=0), g.vega[:-1]


def ctd(cfg: OptionConfig, t, S, low: float = 0.02, high: float = 1.5) -> float:
    """The root of Σ vega_k ΔM_k in θ, by bisection to 1e-4; NaN where the sum does not change its sign."""
    def drift(theta):
        dM, vega = increments(cfg, t, S, theta)
        return float((vega * dM).sum())

    if not drift(low) > 0 > drift(high):                                  # too low a price drifts up, too high down
        return float("nan")
    while high - low > 1e-4:
        mid = (low + high) / 2
        low, high = (mid, high) if drift(mid) > 0 else (low, mid)
    return (low + high) / 2


def losses(cfg: OptionConfig, t, S, thetas) -> tuple[np.ndarray, np.ndarray]:
    """On sampled paths, for each θ [G]: 2Δt · MSTDE = E Σ ΔM² and the martingale loss ½ E Σ (M_T - M_k)² Δt."""
    square, ml = [], []
    for theta in thetas:
        M = np.exp(-cfg.rate * t)[:, None] * call(cfg.T - t[:, None], S, theta, cfg.rate).price
        square.append(quadratic_variation(M))
        ml.append(float(((M[-1] - M[:-1]) ** 2).sum(0).mean() * cfg.T / cfg.K / 2))
    return np.array(square), np.array(ml)


def hedging_risk(cfg: OptionConfig, thetas, nodes: int = 121, times: int = 100) -> np.ndarray:
    """E ∫ e^{-2rt} σ²S² N(d₁(θ))² dt [G], the limit of 2Δt·MSTDE, without sampling: sums over normal z and times."""
    z = np.linspace(-6, 6, nodes)                                         # even steps: near expiry N(d₁) is steep
    weight = np.exp(-(z**2) / 2)
    t = (np.arange(times) + 0.5)[:, None] * cfg.T / times                 # [times, 1]
    S = cfg.S0 * np.exp((cfg.mu - cfg.sigma**2 / 2) * t + cfg.sigma * np.sqrt(t) * z)           # [times, nodes]
    scale = np.exp(-2 * cfg.rate * t) * (cfg.sigma * S) ** 2 * weight / weight.sum() * cfg.T / times
    left, log = cfg.T - t, np.log(S)
    out = []
    for theta in np.atleast_1d(thetas):
        out.append((scale * ndtr((log + (cfg.rate + theta**2 / 2) * left) / (theta * np.sqrt(left))) ** 2).sum())
    return np.array(out)


def mstde_limit(cfg: OptionConfig, low: float = 0.02, high: float = 2.0) -> float:
    """The volatility that mean-square TD error picks as Δt → 0, to 1e-3."""
    for _ in range(3):                                                    # a grid, and twice a finer one at its best
        grid = np.linspace(low, high, 21)
        i = int(np.argmin(hedging_risk(cfg, grid)))
        low, high = grid[max(0, i - 1)], grid[min(20, i + 1)]
    return float(grid[i])


class OptionExperiment(NamedTuple):
    """What one setting of the option gives."""

    theta: np.ndarray             # [41] volatilities
    risk: np.ndarray              # [41] limit of 2Δt·MSTDE
    square: np.ndarray            # [41] the same on the sampled paths, at this Δt
    ml: np.ndarray                # [41] martingale loss on the sampled paths
    best: dict[str, float]        # "truth", "CTD", "ML", "MSTDE", "MSTDE, Δt → 0" -> volatility
    S: np.ndarray                 # [61]
    price: dict[str, np.ndarray]  # -> [61] price today
    at: dict[str, float]          # -> price today at S0


def option_experiment(cfg: OptionConfig) -> OptionExperiment:
    """Everything the option's panel shows, for one setting. Pure."""
    rng, n = np.random.default_rng(cfg.seed), max(50, min(cfg.n, 10_000 // cfg.K))
    t, S = stock(cfg, rng, n)
    thetas = np.linspace(0.04, 1.2, 30)
    square, ml = losses(cfg, t, S, thetas)
    best = {"truth": cfg.sigma, "CTD": ctd(cfg, t, S), "ML": _least(thetas, ml), "MSTDE": _least(thetas, square),
            "MSTDE, Δt → 0": mstde_limit(cfg)}
    x = np.linspace(0.5, 1.6, 61)
    fine = {name: v for name, v in best.items() if np.isfinite(v)}
    return OptionExperiment(thetas, hedging_risk(cfg, thetas), square, ml, best, x,
                            {name: call(cfg.T, x, v, cfg.rate).price for name, v in fine.items()},
                            {name: float(call(cfg.T, cfg.S0, v, cfg.rate).price) for name, v in fine.items()})


def _least(x, y) -> float:
    """Where y is least: the vertex of the parabola through the lowest point and its neighbours."""
    i = int(np.clip(np.argmin(y), 1, len(x) - 2))
    a, b, c = y[i - 1:i + 2]
    h = x[i] - x[i - 1]
    return float(np.clip(x[i] + h * (a - c) / (2 * (a - 2 * b + c)) if a - 2 * b + c > 0 else x[np.argmin(y)],
                         x[0], x[-1]))


class OptionSnapshot(NamedTuple):
    step: int
    theta: np.ndarray             # [R] volatility


def learn_price(cfg: OptionConfig, rng: np.random.Generator, every: int = 10
                ) -> Generator[OptionSnapshot, OptionConfig | None, None]:
    """CTD(0) by SGD on fresh paths:  θ ← θ + α_j mean Σ_k vega_k ΔM_k,  α_j = α / (1 + j/30)^0.7, in [0.02, 2]."""
    theta = np.full(cfg.runs, cfg.theta)
    for step in range(1, cfg.steps + 1):
        t, S = stock(cfg, rng, cfg.runs * cfg.batch)
        each = np.repeat(theta, cfg.batch)                                # [R B] every path with its run's θ
        dM, vega = increments(cfg, t, S, each)
        move = (vega * dM).sum(0).reshape(cfg.runs, cfg.batch).mean(1)
        theta = np.clip(theta + cfg.alpha / (1 + step / 30) ** 0.7 * move, 0.02, 2.0)
        if step % every == 0 or step == cfg.steps:
            cfg = accept((yield OptionSnapshot(step, theta.copy())), cfg)
