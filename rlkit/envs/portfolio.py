"""Mean and variance of wealth after a year: a stock, a riskless account, and a target.

    dS = μS dt + σS dW,     u dollars in the stock for a step:     X' = X + u (e^{-r_f Δt} S'/S - 1)

X is discounted wealth and a step is exact. To make Var X_T least at E X_T = z, minimise E(X_T - w)² and choose the
multiplier w so that the mean is z. With ρ = (μ - r_f)/σ the best policy is u = -(ρ/σ)(X - w): it lets the distance to w
shrink, whatever w is. For any u = -g (X - w), X_T - w is a product of independent factors, so mean, variance and the
Sharpe ratio (E X_T - x₀) / sd X_T are known exactly, for any gain g and step Δt, and free of w and z.

Source: Jia & Zhou (2022b), section 5.1, for the example; the exact answers on a grid are derived here.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Market(NamedTuple):
    """mu, sigma: drift and volatility of the stock, per year; riskless: r_f, per year."""

    mu: float = 0.3
    sigma: float = 0.2
    riskless: float = 0.0

    @property
    def rho(self) -> float:
        """The stock's Sharpe ratio a year, ρ = (μ - r_f)/σ."""
        return (self.mu - self.riskless) / self.sigma

    @property
    def gain(self) -> float:
        """The best gain in continuous time, ρ/σ."""
        return self.rho / self.sigma

    def excess(self, dt: float, z):
        """Discounted gain of one dollar in the stock over dt.  z: standard normal, any shape."""
        return np.expm1((self.mu - self.riskless - self.sigma**2 / 2) * dt + self.sigma * dt**0.5 * z)

    def moments(self, dt: float) -> tuple[float, float]:
        """E Y and E Y² of that gain Y."""
        m, s = (self.mu - self.riskless) * dt, self.sigma**2 * dt
        return float(np.expm1(m)), float(np.expm1(2 * m + s) - 2 * np.expm1(m))

    def best(self, dt: float) -> float:
        """The gain of the highest Sharpe ratio when the stock is traded every dt: E Y / E Y²; ρ/σ as Δt → 0."""
        one, two = self.moments(dt)
        return one / two

    def sharpe(self, gain, dt: float = 1 / 252, T: float = 1.0):
        """(E X_T - x₀) / sd X_T of u = -g (X - w), exact, for w above x₀.  gain: any shape; 0 gives its limit."""
        one, two = self.moments(dt)
        K, g = round(T / dt), np.asarray(gain, float)
        mean = (1 - g * one) ** K                                         # (w - E X_T) / (w - x₀)
        with np.errstate(divide="ignore", invalid="ignore"):
            square = np.expm1(K * np.log1p(g * g * (two - one * one) / (1 - g * one) ** 2))      # variance / mean²
            limit = K**0.5 * one / (two - one * one) ** 0.5               # of g → 0, where 1 - mean has no digits left
            return np.where(np.abs(g) < 1e-12, limit, (1 - mean) / np.abs(mean * square**0.5))

    @property
    def ceiling(self) -> float:
        """The highest Sharpe ratio of a year of trading at all times, √(e^{ρ²} - 1); |ρ| is that of g → 0."""
        return float(np.sqrt(np.expm1(self.rho**2)))
