"""The chapter's pictures as one pure function of the settings: the truth, what each method converges to, and samples.

Exact answers come from `martingale_exact` at every Δt at once; beside them stand `n` sampled paths, solved by the same
methods. `experiment` takes well below a tenth of a second, so that a slider feels its way through it.
Axes: K steps, N paths, p features, D time steps Δt, G grid points.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from rlkit.envs.diffusions import path
from rlkit.papers.martingale_exact import World, brownian_limit, ou_theta, ou_trace, population, world
from rlkit.papers.martingale_td import Config, martingale, quadratic_variation, solve
from rlkit.papers.martingale_td import martingale_loss as loss_of
from rlkit.paths import Paths
from rlkit.stats import loglog_slope

SHOWN, MOST = 24, 120_000                 # paths drawn; sampled transitions at most


class Experiment(NamedTuple):
    """What one setting gives. Methods are named "truth", "CTD(0)", "MSTDE" and "chosen" (cfg's objective and test)."""

    exact: dict[str, np.ndarray]          # method -> θ [p] of infinitely many paths on the grid cfg.dt
    sample: dict[str, np.ndarray]         # method -> θ [p] of the sampled paths (NaN where they leave it open)
    paths: int                            # how many were sampled: N, or fewer where that is more than MOST transitions
    t: np.ndarray                         # [K'] times at which M is shown, K' ≤ 201
    M: dict[str, np.ndarray]              # "truth", "CTD(0)", "MSTDE" -> [K', SHOWN] paths of M under the exact θ
    mean: dict[str, np.ndarray]           # -> [K'] its mean over all sampled paths: flat, or not
    variation: dict[str, float]           # -> E Σ (ΔM)²: MSTDE has the smallest, and is wrong
    ml: dict[str, float]                  # -> ½ E Σ (M_T - M)² Δt
    surface_t: np.ndarray                 # [25]
    surface_x: np.ndarray                 # [41]
    surface: dict[str, np.ndarray]        # method -> J [25, 41]
    component: int                        # which θ the loss curves move; the other one is at its best
    theta: np.ndarray                     # [G] its values
    losses: dict[str, np.ndarray]         # "MSTDE, Δt = 0.05", ..., "ML" -> [G]; 2Δt · MSTDE, so that it has a limit
    lowest: dict[str, float]              # name -> θ where it is least
    dts: np.ndarray                       # [D]
    by_test: dict[str, np.ndarray]        # "left", "mid", "right", "mstde" -> θ [D, p] at every Δt
    errors: dict[str, np.ndarray]         # what -> [D] |error| at every Δt
    slopes: dict[str, float]              # what -> slope of log error on log Δt, over the finest four
    decays: np.ndarray                    # [G] ℓ = -log λ
    by_decay: np.ndarray                  # [G] θ₁ of the ou critic without constant, trace of decay ℓ, at cfg.dt
    blowup_t: np.ndarray                  # [≤ 201]
    blowup: dict[str, np.ndarray]         # "α", "α/Δt" -> |θ| [≤ 201, 8] of CTD(0) on one stationary ou chain


def experiment(cfg: Config) -> Experiment:
    """Everything the first panel of the chapter shows, for one setting. Pure: the same cfg gives the same numbers."""
    w, rng = cfg.problem(), np.random.default_rng(cfg.seed)
    K = max(1, round(cfg.T / cfg.dt))
    n = int(np.clip(MOST // K, 2, cfg.n))
    x = path(w.process, w.start(n, rng), cfg.dt, K, rng)
    t = cfg.dt * np.arange(K + 1)
    record = Paths(t, x, w.reward(t[:, None], x))
    methods = {"CTD(0)": ("left", cfg.lam), "MSTDE": ("mstde", cfg.lam), "chosen": cfg.method}
    exact = {"truth": w.truth} | {name: answer(cfg, w, cfg.dt, *how) for name, how in methods.items()}
    sample = {name: _solved(record, w, *how) for name, how in methods.items()}

    thin = slice(None, None, max(1, K // 200))
    M, mean, variation, ml = {}, {}, {}, {}
    base, phi = w.base(t[:, None], x), w.features(t[:, None], x)
    for name in ("truth", "CTD(0)", "MSTDE"):
        if np.isfinite(exact[name]).all():
            m = martingale(record, base + np.tensordot(exact[name], phi, 1), w.beta)
            M[name], mean[name] = m[thin, :SHOWN], m[thin].mean(1)
            variation[name], ml[name] = quadratic_variation(m), loss_of(m, record.dt)

    span = max(2.0, 2.5 * float(x.std()) + abs(cfg.x0))
    surface_t, surface_x = np.linspace(0, cfg.T, 25), np.linspace(-span, span, 41)
    at = np.meshgrid(surface_t, surface_x, indexing="ij")
    surface = {name: w.value(theta, *at) for name, theta in exact.items() if np.isfinite(theta).all()}
    if "truth" not in surface:                                            # not in the class, yet known
        c = cfg.beta + 2 * cfg.kappa
        surface["truth"] = np.tile(surface_x**2 / c + cfg.sigma**2 / (cfg.beta * c), (25, 1))

    component, theta, losses, lowest = _losses(cfg, w)
    dts = _grid(cfg)
    by_test = {test: np.array([answer(cfg, w, d, test) for d in dts]) for test in ("left", "mid", "right", "mstde")}
    errors = _errors(cfg, dts, by_test)
    slopes = {what: slope(dts, e) for what, e in errors.items()}
    decays = np.geomspace(0.05, 200, 60)
    by_decay = ou_trace(decays, cfg.dt, cfg.beta, cfg.kappa)
    blowup_t, blowup = blow_up(cfg.dt, cfg.alpha, cfg.beta, cfg.kappa, max(cfg.sigma, 0.1), cfg.seed)
    return Experiment(exact, sample, n, t[thin], M, mean, variation, ml, surface_t, surface_x, surface, component,
                      theta, losses, lowest, dts, by_test, errors, slopes, decays, by_decay, blowup_t, blowup)


def answer(cfg: Config, w: World, dt: float, test: str, lam: float = 0.5) -> np.ndarray:
    """θ [p] of infinitely many paths on the grid dt: one line where the world is stationary, else by moments."""
    if cfg.world != "ou":
        return population(w, dt, test, lam).theta
    if cfg.second:
        return ou_theta("left" if test == "trace" else test, dt, cfg.beta, cfg.kappa, cfg.sigma)
    if test == "trace":
        return np.atleast_1d(ou_trace(-np.log(lam), dt, cfg.beta, cfg.kappa))
    return population(w._replace(T=dt), dt, test).theta                   # stationary: one step says all


def slope(dts: np.ndarray, error: np.ndarray) -> float:
    """Slope of log error against log Δt over the four finest grids; NaN where the error is rounding."""
    e = error[-4:]
    return loglog_slope(dts[-4:], e).slope if np.isfinite(e).all() and (e > 1e-12).all() else float("nan")


def _grid(cfg) -> np.ndarray:
    """[6] steps to compare, halving each time, that divide T where it ends."""
    return cfg.T / (5 * 2 ** np.arange(6)) if cfg.world != "ou" else 0.2 / 2 ** np.arange(6)


def _solved(record, w, test, lam):
    try:
        return solve(record, w.features, test, base=w.base, beta=w.beta, lam=lam).theta
    except ValueError:                                                    # σ = 0 or β = 2κ: the conditions leave θ open
        return np.full(len(w.truth), np.nan)


def _losses(cfg, w):
    """2Δt·MSTDE at four grids and ML, against one θ while the other one is at its best, and where each is least."""
    i = 1 if cfg.world == "brownian" and cfg.second else 0
    forms = {}
    for d in sorted({cfg.T / max(1, round(cfg.T / cfg.dt / k)) for k in (8, 4, 2, 1)}, reverse=True):
        once = w if cfg.world != "ou" else w._replace(T=d)                # stationary: one step says all
        forms[f"MSTDE, Δt = {d:.3g}"] = 2 * d * population(once, d).mstde * (w.T / once.T)
    if w.pinned:
        forms["ML"] = population(w, cfg.dt).ml
    lowest = {}
    for name, Q in forms.items():
        if len(Q) == 3:                                                   # the other θ at its best
            o = 2 - i
            Q = Q - np.outer(Q[:, o], Q[o]) / Q[o, o] if Q[o, o] > 1e-300 else Q
            Q = Q[np.ix_([0, i + 1], [0, i + 1])]
        forms[name] = Q
        lowest[name] = float(-Q[0, 1] / Q[1, 1]) if Q[1, 1] > 1e-300 else float("nan")
    ends = [v for v in (*lowest.values(), w.truth[i] if np.isfinite(w.truth[i]) else 0.0) if np.isfinite(v)]
    low, high = min(ends), max(ends)
    theta = np.linspace(low - 0.4 * (high - low) - 0.05, high + 0.4 * (high - low) + 0.05, 81)
    one = np.stack([np.ones_like(theta), theta])
    return i, theta, {n: np.einsum("ig,ij,jg->g", one, Q, one) / 2 for n, Q in forms.items()}, lowest


def _errors(cfg, dts, by_test) -> dict[str, np.ndarray]:
    c = cfg.beta + 2 * cfg.kappa
    if cfg.world == "brownian":
        out = {"MSTDE to the truth": np.abs(by_test["mstde"][:, 0] - cfg.sigma**2)}
        if cfg.second:
            limit = brownian_limit(cfg.sigma, cfg.T, cfg.x0)[1]
            out = {"MSTDE to the truth": np.abs(by_test["mstde"][:, 1]),
                   "MSTDE to its own limit": np.abs(by_test["mstde"][:, 1] - limit)}
        return out | {"CTD(0)": np.abs(by_test["left"] - [cfg.sigma**2, 0.0][: 1 + cfg.second]).max(1)}
    if not cfg.second:
        return {"CTD(0) to its limit": np.abs(by_test["left"][:, 0] - ou_trace(np.inf, 0.0, cfg.beta, cfg.kappa))}
    theta = {"CTD(0)": by_test["left"], "MSTDE to the truth": by_test["mstde"]}
    if cfg.world == "ou":
        theta |= {name: ou_theta(name, dts, cfg.beta, cfg.kappa).T for name in ("increment", "trapezoid")}
    out = {name: np.abs(th[:, 0] - 1 / c) for name, th in theta.items()}
    if cfg.world == "ou":
        out |= {"CTD(0), level": np.abs(by_test["left"][:, 1] - cfg.sigma**2 / (cfg.beta * c)),
                "MSTDE to its own limit": np.abs(by_test["mstde"][:, 0])}
    return out


@lru_cache(maxsize=64)
def blow_up(dt: float, alpha: float = 0.05, beta: float = 1.0, kappa: float = 1.0, sigma: float = 1.0, seed: int = 0,
            time: float = 20.0, runs: int = 8) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """|θ| of CTD(0) with a constant step, α and α/Δt, on the same chains: (t [≤ 201], name -> [≤ 201, runs]).

    A run whose |θ| passes 10⁶ has diverged and stays there; the other one of the pair goes on.  Cached: do not write.
    """
    w, rng, K = world("ou", sigma=sigma, beta=beta, kappa=kappa), np.random.default_rng(seed), max(1, round(time / dt))
    x = np.tile(path(w.process, w.start(runs, rng), dt, K, rng), 2)       # [K+1, 2 runs] the same for both
    phi = np.ascontiguousarray(np.moveaxis(w.features(0.0, x), 0, 1))     # [K+1, 2, 2 runs]
    u, pay = np.exp(-beta * dt) * phi[1:] - phi[:-1], x[:-1] ** 2 * dt
    push = phi[:-1] * np.repeat([alpha, alpha / dt], runs)
    th, seen, every = np.zeros((2, 2 * runs)), [], max(1, K // 200)
    with np.errstate(over="ignore", invalid="ignore"):
        for k in range(K):
            th += push[k] * ((u[k] * th).sum(0) + pay[k])
            if k % every == 0:
                np.nan_to_num(np.clip(th, -1e6, 1e6, out=th), copy=False, nan=1e6)
                stuck = np.abs(th).max(0) >= 1e6
                if stuck.any():
                    push[k:, :, stuck] = 0.0
                seen.append(np.abs(th).max(0))
    out = np.array(seen)
    return dt * every * np.arange(len(out)), {"α": out[:, :runs], "α/Δt": out[:, runs:]}
