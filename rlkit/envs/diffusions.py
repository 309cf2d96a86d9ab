"""Three diffusions whose steps are known exactly, so that a grid can be as coarse as one likes and no error is ours.

    Ornstein-Uhlenbeck    dX = -κX dt + σ dW      X_{t+Δ} = e^{-κΔ} X_t + σ √((1 - e^{-2κΔ}) / 2κ) Z
    Brownian motion       the same with κ = 0     X_{t+Δ} = X_t + σ √Δ Z
    geometric Brownian    dS = μS dt + σS dW      S_{t+Δ} = S_t exp((μ - σ²/2) Δ + σ √Δ Z)

Z is standard normal: nothing here is an Euler step. N paths move in one call; `blocks` gives long records piece by
piece, so that memory does not grow with time.  Axes: K steps, N paths.  `step`, then `path`, then `blocks`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np


class OU(NamedTuple):
    """Ornstein-Uhlenbeck process; kappa=0 is Brownian motion. kappa ≥ 0 per unit time, sigma ≥ 0."""

    kappa: float = 1.0
    sigma: float = 1.0

    def transition(self, dt) -> tuple[np.ndarray, np.ndarray]:
        """(ρ, sd) of X_{t+Δ} = ρ X_t + sd Z, each of the shape of dt; ρ = e^{-κΔ}, sd² = σ² (1 - ρ²) / 2κ."""
        dt = np.asarray(dt, float)
        variance = dt if self.kappa == 0 else -np.expm1(-2 * self.kappa * dt) / (2 * self.kappa)
        return np.exp(-self.kappa * dt), self.sigma * np.sqrt(variance)

    def step(self, x, dt, z):
        """The state after dt.  x, z: the same shape; dt: a number, or that shape."""
        rho, sd = self.transition(dt)
        return rho * x + sd * z

    def stationary(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """n states [n] of the process after a long time: N(0, σ²/2κ).  Raises ValueError for kappa=0."""
        if self.kappa <= 0:
            raise ValueError(f"kappa is {self.kappa}, expected > 0: Brownian motion never settles")
        return rng.standard_normal(n) * self.sigma / (2 * self.kappa) ** 0.5


class GBM(NamedTuple):
    """Geometric Brownian motion, the price of a stock. mu: drift per unit time, sigma: volatility per √time."""

    mu: float = 0.05
    sigma: float = 0.2

    def step(self, x, dt, z):
        """The price after dt.  x > 0, z: the same shape; dt: a number, or that shape."""
        return x * np.exp((self.mu - self.sigma**2 / 2) * dt + self.sigma * np.sqrt(dt) * z)


def path(process, x0: np.ndarray, dt, steps: int | None, rng: np.random.Generator) -> np.ndarray:
    """N whole paths [K+1, N], the first row x0.

    process: has `.step(x, dt, z)`.  x0: [N] or a number.  dt: a number, with `steps` = K; or [K], an irregular grid.
    Raises ValueError for a step that is not positive and finite.
    """
    x0 = np.atleast_1d(np.asarray(x0, float))
    dt = _grid(dt, steps)
    z = rng.standard_normal((len(dt), *x0.shape))
    if isinstance(process, GBM):                                          # products of factors: one cumulative sum
        z *= process.sigma * np.sqrt(dt)[:, None]
        z += ((process.mu - process.sigma**2 / 2) * dt)[:, None]
        np.cumsum(z, axis=0, out=z)
        return np.concatenate([x0[None], x0 * np.exp(z)])
    x = np.empty((len(dt) + 1, *x0.shape))
    x[0] = x0
    rho, sd = process.transition(dt)
    z *= sd[:, None]
    for k in range(len(dt)):
        np.multiply(x[k], rho[k], out=x[k + 1])
        x[k + 1] += z[k]
    return x


def blocks(process, x0: np.ndarray, dt: float, steps: int, rng: np.random.Generator,
           size: int = 2**16) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The same paths piece by piece: yields (t [k+1], x [k+1, N]), each piece beginning where the last one ended.

    size: transitions of a piece (at least one step of all N).  The same numbers as `path`, whatever the size.
    """
    x, rows, done = np.atleast_1d(np.asarray(x0, float)), max(1, size // max(1, np.size(x0))), 0
    _grid(dt, steps)
    while done < steps:
        k = min(rows, steps - done)
        part = path(process, x, dt, k, rng)
        yield dt * np.arange(done, done + k + 1), part
        x, done = part[-1], done + k


def _grid(dt, steps) -> np.ndarray:
    if np.ndim(dt) == 0 and (steps is None or steps < 1):
        raise ValueError(f"steps is {steps}, expected a whole number ≥ 1; or give dt as the list of all steps")
    dt = np.full(steps, float(dt)) if np.ndim(dt) == 0 else np.asarray(dt, float)
    if dt.ndim != 1 or not (np.isfinite(dt) & (dt > 0)).all():
        raise ValueError(f"dt has shape {dt.shape} and least value {dt.min() if dt.size else None}, expected one step "
                         "> 0 or a list of them")
    return dt
