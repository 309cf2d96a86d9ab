"""An actor and a critic choose between a stock and an account: least variance of wealth for a mean of z.

    J = (x-w)² e^{-θ₃(T-t)} + θ₂(t² - T²) + θ₁(t - T) - (w-z)²      policy N(-φ₁(x-w), e^{φ₂ + φ₃(T-t)})

J is a cost: E(X_T - w)² - (w-z)² + τ ∫ log π. After each lot of whole years, with δ_k = J_{k+1} - J_k + τ log π_k Δt,

    θ ← θ + α_θ Σ ∂J δ  (CTD(0); with MSTDE  θ ← θ - α_θ Σ u δ)      φ ← φ - α_φ Σ ∂_φ log π δ

and each `wait` lots the multiplier moves, w ← w - α_w (mean X_T - z). The truth: φ₁ = ρ/σ, θ₃ = φ₃ = ρ².

`PUBLISHED` is the table of the sequel, to be put beside ours with three cautions. Its rival differs in the critic *and*
in the actor; here `critic` changes nothing but the critic. What riskless rate it takes, and how it measures the Sharpe
ratio, was not available to us; ours is exact (`Market.sharpe`), of the mean of the policy, with r_f = 0 unless said.
And its online variant misses the target mean, so its Sharpe ratios cannot be read alone.
Source: Jia & Zhou (2022b), Policy Gradient and Actor-Critic Learning in Continuous Time and Space, JMLR 23(275),
section 5.1; the first w and the number of lots are ours.  Axes: K steps, R runs, N paths of a lot.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from rlkit.config import accept, check, knob
from rlkit.envs.portfolio import Market

# out-of-sample Sharpe ratio, mean (sd over 100 repeats): MSTDE-based, martingale-based, its online variant
PUBLISHED = {                                                             # by (μ, σ)
    (0.5, 0.2): ((3.03, 0.13), (3.58, 0.041), (4.80, 0.11)),
    (0.3, 0.1): ((3.06, 0.046), (3.71, 0.025), (4.31, 0.056)),
    (0.3, 0.2): ((1.54, 0.055), (1.78, 0.012), (1.94, 0.052)),
    (-0.5, 0.1): ((6.69, 0.096), (8.15, 0.06), (7.43, 0.04)),
    (0.1, 0.2): ((0.40, 0.0014), (0.35, 0.21), (0.36, 0.19)),
    (0.0, 0.2): ((0.10, 0.00006), (0.04, 0.094), (0.04, 0.091)),
}


@dataclass(frozen=True)
class PortfolioConfig:
    """The sequel's settings, but for `lots` (it takes 20000), `riskless` and `critic`."""

    mu: float = knob(0.3, -0.5, 0.5, symbol="μ", unit="1/year", least=-10, most=10, restart=True,
                     says="drift of the stock")
    sigma: float = knob(0.2, 0.1, 0.4, symbol="σ", least=1e-3, most=10, restart=True, says="volatility of the stock")
    riskless: float = knob(0.0, 0.0, 0.05, symbol="r_f", unit="1/year", least=-10, most=10, restart=True,
                           says="riskless rate; ours")
    x0: float = knob(1.0, symbol="x₀", restart=True, says="wealth at the start")
    z: float = knob(1.4, 1.05, 2.0, symbol="z", restart=True, says="target for mean wealth: after a year")
    critic: str = knob("CTD", choices=("CTD", "MSTDE"), restart=True, says="how the critic learns; one actor")
    temperature: float = knob(0.1, 0.01, 1.0, log=True, symbol="τ", above=0, restart=True, says="price of entropy")
    alpha_theta: float = knob(0.1, 1e-3, 1.0, log=True, symbol="α_θ", above=0, step=True,
                              says="step size of the critic")
    alpha_phi: float = knob(0.1, 1e-3, 1.0, log=True, symbol="α_φ", above=0, step=True, says="step size of the policy")
    alpha_w: float = knob(0.05, 1e-3, 1.0, log=True, symbol="α_w", above=0, step=True,
                          says="step size of the multiplier")
    wait: int = knob(10, 1, 50, least=1, says="patience: lots between two moves of the multiplier")
    days: int = knob(252, 12, 252, log=True, symbol="T/Δt", least=1, restart=True, says="trades in the year")
    paths: int = knob(128, 16, 512, log=True, symbol="N", least=2, restart=True, says="years in a lot")
    lots: int = knob(300, 50, 20_000, log=True, least=1, restart=True, says="updates")
    runs: int = knob(4, 1, 32, symbol="R", least=1, restart=True, says="independent learners")
    seed: int = knob(0, 0, 99, least=0, restart=True, says="which random numbers")

    def __post_init__(self):
        check(self)
        if self.z <= self.x0:
            raise ValueError(f"z is {self.z} and x0 {self.x0}, expected a target above the start; "
                             f"try z={self.x0 + 0.4:g}")

    def market(self) -> Market:
        """The stock and the account of these settings."""
        return Market(self.mu, self.sigma, self.riskless)


class PortfolioSnapshot(NamedTuple):
    step: int                     # lots seen
    theta: np.ndarray             # [R, 3] critic
    phi: np.ndarray               # [R, 3] policy; phi[:, 0] is the gain, whose truth is ρ/σ
    w: np.ndarray                 # [R] multiplier
    sharpe: np.ndarray            # [R] exact, of the policy's mean -φ₁(x-w), traded as often as it was learned
    mean: np.ndarray              # [R] exact E X_T of that policy: read it beside the Sharpe ratio


def portfolio(cfg: PortfolioConfig, rng: np.random.Generator, every: int = 10
              ) -> Generator[PortfolioSnapshot, PortfolioConfig | None, None]:
    """R learners at once, each on its own lots of fresh years.

    Raises FloatingPointError naming the lot where a run is lost, and ValueError for what cannot change in mid-run.
    """
    market, R, K, dt, tau = cfg.market(), cfg.runs, cfg.days, 1.0 / cfg.days, cfg.temperature
    theta, phi, w, ends = np.zeros((R, 3)), np.zeros((R, 3)), np.full(R, cfg.z), []
    t = (dt * np.arange(K + 1))[:, None, None]
    left = 1 - t                                                          # T - t
    for step in range(1, cfg.lots + 1):
        e, zeta = rng.standard_normal((2, K, R, cfg.paths))
        Y, sd = market.excess(dt, zeta), np.exp((phi[:, 1:2] + phi[:, 2:] * left[:-1]) / 2)      # sd [K, R, 1]
        keep, push = 1 - phi[:, :1] * Y, sd * e * Y
        far = np.empty((K + 1, R, cfg.paths))                             # x - w
        far[0] = (cfg.x0 - w)[:, None]
        for k in range(K):
            np.multiply(far[k], keep[k], out=far[k + 1])
            far[k + 1] += push[k]
        square = far**2 * np.exp(-theta[:, 2:] * left)
        slope3 = -left * square                                           # ∂J/∂θ₃; of θ₁ and θ₂: t - T, t² - T²
        surprise = (e * e + np.log(2 * np.pi) + 2 * np.log(sd)) / 2       # -log π
        steady = theta[:, 1:2] * np.diff(t * t, axis=0) + theta[:, :1] * dt
        delta = np.diff(square, axis=0) + steady - tau * surprise * dt
        if cfg.critic == "CTD":
            move = [-left[:-1] * delta, (t * t - 1)[:-1] * delta, slope3[:-1] * delta]
        else:
            move = [-dt * delta, -np.diff(t * t, axis=0) * delta, -np.diff(slope3, axis=0) * delta]
        score = [-far[:-1] * e / sd * delta, (e * e - 1) / 2 * delta, left[:-1] * (e * e - 1) / 2 * delta]
        fall = step**-0.51
        theta += cfg.alpha_theta * fall * np.stack([v.sum(0).mean(1) for v in move], 1)
        phi -= cfg.alpha_phi * fall * np.stack([v.sum(0).mean(1) for v in score], 1)
        ends.append(far[-1].mean(1) + w)
        if step % cfg.wait == 0:
            w -= cfg.alpha_w * (np.mean(ends, 0) - cfg.z)
            ends = []
        if step % every == 0 or step == cfg.lots:
            lost = ~(np.isfinite(theta).all(1) & np.isfinite(phi).all(1) & np.isfinite(w))
            if lost.any():
                raise FloatingPointError(f"J or the policy of {int(lost.sum())} of {R} runs is lost by lot {step}; try "
                                         "a smaller alpha_theta or alpha_phi")
            gain = phi[:, 0].copy()
            mean = w + (cfg.x0 - w) * (1 - gain * market.moments(dt)[0]) ** K
            sent = yield PortfolioSnapshot(step, theta.copy(), phi.copy(), w.copy(), market.sharpe(gain, dt), mean)
            cfg = accept(sent, cfg)
