"""Adam for tables: NumPy arrays whose gradient is written by hand. Networks have `nets.adam`, which is torch's."""

from __future__ import annotations

import numpy as np


class Adam:
    """Adam's memory of the gradients of one array, each element on its own.

        m ← 0.9 m + 0.1 g,   v ← 0.999 v + 0.001 g²,   x ← x - α m̂ / (√v̂ + 1e-8),   m̂, v̂: freed of their start at 0

    x: an array of the shape of what is to be learned, or that array itself (its numbers are not kept).
    Source: Kingma & Ba (2015), Adam: a method for stochastic optimization, with their β₁, β₂ and ε.
    """

    def __init__(self, x: np.ndarray):
        self.m, self.v, self.t = np.zeros_like(x), np.zeros_like(x), 0

    def step(self, x: np.ndarray, gradient: np.ndarray, alpha: float) -> np.ndarray:
        """The array after one update downhill, a new one."""
        self.t += 1
        self.m = 0.9 * self.m + 0.1 * gradient
        self.v = 0.999 * self.v + 0.001 * gradient**2
        return x - alpha * self.m / (1 - 0.9**self.t) / (np.sqrt(self.v / (1 - 0.999**self.t)) + 1e-8)
