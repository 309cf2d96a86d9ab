"""A linear world with a quadratic reward, steered in continuous time: every answer is known, on every grid.

    dX = (A X + B u) dt + (D u + σ) dW,      r = -(½M x² + R x u + ½N u² + P x + Q u) per unit time

An action is held for a step, so the step is exact: X' = e^{AΔ}X + c u + v (D u + σ) Z.  A policy is normal, with mean
m₁x + m₀ and variance s. Its value is J = ½k₂x² + k₁x + level, where the level is k₀; without discount (β = 0) it is V,
the average reward per unit time, and J is known up to a constant.

All follows from one function, q(x, a) = [γ E J(X') - J(x) + r Δt] / Δt: what an action adds, per unit time. For dt = 0
it is the limit, LJ + r - βJ. It is quadratic in (x, a), so a policy is worth what makes q vanish on average, and the
best one sits on top of q.  Read `LQ.q_of`, `evaluate`, `greedy`, `solve`.  Source of the ergodic example: Jia & Zhou
(2022b), section 5.2; the answers are derived here.  Axes: anything in front; last: policy (m₁, m₀, s), critic 3.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Coefficients(NamedTuple):
    """q(x, a) = ½ aa a² + xa x a + a a + ½ xx x² + x x + one."""

    aa: np.ndarray
    xa: np.ndarray
    a: np.ndarray
    xx: np.ndarray
    x: np.ndarray
    one: np.ndarray

    def __call__(self, x, a):
        """q at states x and actions a, per unit time."""
        return (self.aa * a / 2 + self.xa * x + self.a) * a + (self.xx * x / 2 + self.x) * x + self.one


class LQ(NamedTuple):
    """The constants of the world; beta = 0 is the ergodic problem, of reward per unit time."""

    A: float = -0.5
    B: float = 1.0
    D: float = 0.0
    sigma: float = 0.5
    M: float = 2.0
    R: float = 0.0
    N: float = 1.0
    P: float = 0.0
    Q: float = 0.0
    beta: float = 0.5

    def transition(self, dt: float) -> tuple[float, float, float]:
        """(ρ, c, v) of X' = ρX + c u + v (D u + σ) Z."""
        if self.A == 0:
            return 1.0, self.B * dt, dt**0.5
        return (float(np.exp(self.A * dt)), self.B * float(np.expm1(self.A * dt)) / self.A,
                float(np.sqrt(np.expm1(2 * self.A * dt) / (2 * self.A))))

    def step(self, x, u, dt: float, z):
        """The state after dt under the action u.  z: standard normal, of the shape of x."""
        rho, c, v = self.transition(dt)
        return rho * x + c * u + v * (self.D * u + self.sigma) * z

    def reward(self, x, u):
        """Reward per unit time."""
        return -((self.M * x / 2 + self.R * u + self.P) * x + (self.N * u / 2 + self.Q) * u)

    def q_of(self, critic, dt: float = 0.0) -> Coefficients:
        """q of the value J with these (k₂, k₁, level) [..., 3], with actions held for dt; 0 is the limit."""
        k2, k1, level = np.moveaxis(np.asarray(critic, float), -1, 0)
        h = self._rates(dt)
        return Coefficients(h["aa"] * k2 - self.N, h["xa"] * k2 - self.R, h["a"] * k1 + h["d"] * k2 - self.Q,
                            h["xx"] * k2 - self.M, h["x"] * k1 - self.P, h["s"] * k2 / 2 + h["one"] * level)

    def evaluate(self, policy, temperature: float = 0.0, dt: float = 0.0) -> np.ndarray:
        """(k₂, k₁, level) [..., 3] of a policy (m₁, m₀, s) [..., 3]: E_π[q - τ log π] = 0 for every x.

        temperature: τ, pays τ per unit of entropy and time.  NaN where the policy lets the cost grow without bound.
        """
        m1, m0, s = np.moveaxis(np.asarray(policy, float), -1, 0)
        h = self._rates(dt)
        grows = h["xx"] / 2 + h["xa"] * m1 + h["aa"] * m1**2 / 2
        with np.errstate(divide="ignore", invalid="ignore"):
            k2 = np.where(grows < 0, (self.M / 2 + self.R * m1 + self.N * m1**2 / 2) / grows, np.nan)
            aa, xa = h["aa"] * k2 - self.N, h["xa"] * k2 - self.R
            k1 = (self.P + self.Q * m1 - m0 * (xa + aa * m1) - m1 * h["d"] * k2) / (h["x"] + h["a"] * m1)
            bonus = temperature * np.log(2 * np.pi * np.e * s) / 2 if temperature else 0.0
        a = h["a"] * k1 + h["d"] * k2 - self.Q
        level = -(aa * (m0**2 + s) / 2 + a * m0 + h["s"] * k2 / 2 + bonus) / h["one"]
        return np.stack([k2, k1, level], -1)

    def greedy(self, critic, temperature: float = 0.0, dt: float = 0.0) -> np.ndarray:
        """The policy [..., 3] on top of q: ∝ exp(q/τ), normal; for τ = 0 the best action, s = 0."""
        q = self.q_of(critic, dt)
        return np.stack([-q.xa / q.aa, -q.a / q.aa, -temperature / q.aa], -1)

    def solve(self, temperature: float = 0.0, dt: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
        """(policy [3], critic [3]) at the optimum: Riccati's equation, here a quadratic in k₂.

        For dt > 0 the best that actions held for dt can do.  Raises ValueError where no policy keeps the cost finite.
        """
        h = self._rates(dt)
        for k2 in np.roots([h["xx"] * h["aa"] - h["xa"] ** 2,
                            2 * h["xa"] * self.R - h["xx"] * self.N - h["aa"] * self.M, self.M * self.N - self.R**2]):
            if not np.isreal(k2):
                continue
            k2 = float(np.real(k2))
            aa, xa = h["aa"] * k2 - self.N, h["xa"] * k2 - self.R
            m1 = -xa / aa
            if aa < 0 and h["xx"] / 2 + h["xa"] * m1 + h["aa"] * m1**2 / 2 < 0:
                k1 = (self.P - xa / aa * (self.Q - h["d"] * k2)) / (h["x"] - h["a"] * xa / aa)
                m0 = -(h["a"] * k1 + h["d"] * k2 - self.Q) / aa
                policy = np.array([m1, m0, -temperature / aa])
                return policy, self.evaluate(policy, temperature, dt)
        raise ValueError(f"no policy keeps the cost of {self} finite; try a larger beta, and M, N > 0 with M N > R²")

    def _rates(self, dt: float) -> dict[str, float]:
        """What multiplies k₂, k₁ and the level in q, with actions held for dt; the limits at dt = 0."""
        if dt < 0:
            raise ValueError(f"dt is {dt}, expected ≥ 0; 0 is the limit of continuous time")
        if dt == 0:
            return dict(aa=self.D**2, xa=self.B, a=self.B, d=self.D * self.sigma, xx=2 * self.A - self.beta,
                        x=self.A - self.beta, s=self.sigma**2, one=-self.beta or -1.0)
        (rho, c, v), g = self.transition(dt), float(np.exp(-self.beta * dt))
        return dict(aa=g * (c * c + v * v * self.D**2) / dt, xa=g * rho * c / dt, a=g * c / dt,
                    d=g * v * v * self.D * self.sigma / dt, xx=(g * rho * rho - 1) / dt, x=(g * rho - 1) / dt,
                    s=g * v * v * self.sigma**2 / dt, one=(g - 1) / dt or -1.0)


DISCOUNTED = LQ()                                                         # our example: the best gain is -.8508
ERGODIC = LQ(A=-1.0, B=0.0, D=1.0, sigma=0.0, M=2.0, R=1.0, N=2.0, P=1.0, Q=2.0, beta=0.0)      # the sequel's
