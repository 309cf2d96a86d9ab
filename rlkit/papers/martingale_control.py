"""The same martingale condition, used to steer: learn what an action adds, and act on top of it.

In continuous time an ordinary Q(x, a) loses the action: holding a for Δt changes it by order Δt only. What is left is
the rate q(x, a) of the second sequel, Q_Δt = J + q Δt + o(Δt), and one condition ties it to J, for the actions of
*any* behaviour:

    E Σ_k ξ_k δ_k = 0,    δ_k = γ J_{k+1} - J_k + (r_k - q_k) Δt      (average reward: γ = 1, and - V Δt)

with test functions ξ = ∂J, ∂q that look at X_k and a_k only. Three ways to use it, on a world with a known answer:

    policy iteration    J and q of the present policy from one linear system, then step to the top of q; again
    soft q-learning     J and the q of the best policy, π ∝ exp(q/τ), by stochastic approximation from one stored batch
    actor-critic        δ as an advantage: φ ← φ + α ∂_φ log π(a_k|X_k) δ_k, with fresh actions from π

τ pays for entropy. All three learn from samples and never see the constants of the world; and all three have an exact
answer on every grid, the best that actions held for Δt can do (`LQ.solve(dt=...)`), Riccati's as Δt → 0.

Read `policy_iteration` with `tables` and `improve`, then the other two; `control_experiment` is the chapter's picture.
Source: Jia & Zhou (2022b), Policy Gradient and Actor-Critic Learning in Continuous Time and Space, JMLR 23(275), and
(2023), q-Learning in Continuous Time, JMLR 24(161). The discounted world, the closed forms on a grid, the behaviour
policy and the step sizes are ours.  Axes: R runs, K steps, N paths, B samples of an update.
"""

from __future__ import annotations

import math
from collections.abc import Generator
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from rlkit.config import accept, check, knob
from rlkit.envs.linear_quadratic import DISCOUNTED, ERGODIC, LQ
from rlkit.stats import loglog_slope

METHODS = ("policy iteration", "soft q-learning", "actor-critic")


@dataclass(frozen=True)
class ControlConfig:
    """World, grid and method. Step sizes are not divided by Δt."""

    method: str = knob("policy iteration", choices=METHODS, restart=True, says="how the condition is used")
    world: str = knob("discounted", choices=("discounted", "ergodic"), restart=True,
                      says="world: ours, with β = ½; or the sequel's, paid per unit time, the action moves the noise")
    dt: float = knob(0.05, 0.005, 0.25, log=True, symbol="Δt", unit="time", above=0, restart=True,
                     says="mesh of the time grid: an action is held for a step")
    T: float = knob(20.0, 2.0, 40.0, log=True, symbol="T", unit="time", above=0, restart=True,
                    says="length of a path: in the stored batch")
    n: int = knob(200, 20, 2000, log=True, symbol="N", unit="paths", least=2, restart=True,
                  says="paths of the stored batch")
    explore: float = knob(1.0, 0.1, 3.0, log=True, symbol="sd of u", above=0, restart=True,
                          says="spread of the actions: of the batch, N(0, sd²); they need not be good, only different")
    temperature: float = knob(0.1, 0.01, 1.0, log=True, symbol="τ", above=0, restart=True,
                              says="price of entropy: γ in the sequels; policy iteration takes τ = 0")
    iterations: int = knob(5, 1, 10, least=1, restart=True, says="rounds of policy iteration")
    steps: int = knob(4000, 100, 10_000, log=True, least=1, restart=True, says="updates of the other two methods")
    alpha: float = knob(1.0, 0.01, 5.0, log=True, symbol="α", above=0, step=True,
                        says="step size of J and V: at the beginning")
    alpha_q: float = knob(1.0, 0.01, 5.0, log=True, symbol="α_q", above=0, step=True,
                          says="step size of q, or of the policy")
    tau: float = knob(200.0, 1.0, 1000.0, log=True, symbol="j₀", unit="updates", above=0, most=math.inf,
                      says="fall of the step sizes: as (1 + j/j₀)^-⅔; inf leaves them constant")
    batch: int = knob(128, 8, 1024, log=True, symbol="B", least=1, restart=True,
                      says="samples of an update: drawn from the batch, or chains that act")
    life: float = knob(2.0, 0.5, 100.0, log=True, unit="time", above=0, most=math.inf, restart=True,
                       says="life of a chain: mean time after which one of the actor-critic begins anew; inf: never")
    clip: float = knob(0.01, 0.001, 1.0, log=True, above=0, most=math.inf,
                       says="longest step of the actor-critic: where the action moves the noise, tails are heavy; "
                            "inf: no limit")
    runs: int = knob(8, 1, 32, symbol="R", least=1, restart=True, says="independent learners")
    seed: int = knob(0, 0, 99, least=0, restart=True, says="which random numbers")

    def __post_init__(self):
        check(self)
        if self.dt > self.T:
            raise ValueError(f"dt is {self.dt} and T {self.T}, expected dt ≤ T; try dt={self.T / 10}")
        if (size := self.T / self.dt * self.n * self.runs) > 1e8:
            raise ValueError(f"T / dt · n · runs is {size:.2g} transitions of the stored batch, expected at most 1e8, "
                             f"2.4 GB; try n={max(2, int(self.n * 1e7 / size))} or a larger dt")

    def problem(self) -> LQ:
        """The world of these settings."""
        return ERGODIC if self.world == "ergodic" else DISCOUNTED

    @property
    def tau_used(self) -> float:
        """Price of entropy in the answer that this method approaches."""
        return 0.0 if self.method == "policy iteration" else self.temperature


class ControlSnapshot(NamedTuple):
    step: int                     # rounds of policy iteration, or updates
    policy: np.ndarray            # [R, 3] m₁, m₀ and variance of N(m₁x + m₀, s)
    critic: np.ndarray            # [R, 3] k₂, k₁ and k₀, or V
    q: np.ndarray                 # [R, 6] coefficients of q on (1, x, x², a, xa, a²)


def control(cfg: ControlConfig, rng: np.random.Generator, every: int = 10
            ) -> Generator[ControlSnapshot, ControlConfig | None, None]:
    """The learner that cfg.method names."""
    learner = {"policy iteration": policy_iteration, "soft q-learning": soft_q, "actor-critic": actor_critic}
    return learner[cfg.method](cfg, rng, every)


# ---- policy iteration on one batch


def behave(cfg: ControlConfig, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """One stored batch a run: x [R, K+1, N] from 0, u [R, K, N] ~ N(0, explore²), r [R, K, N] per unit time."""
    w, K, shape = cfg.problem(), round(cfg.T / cfg.dt), (cfg.runs, cfg.n)
    x, u = np.zeros((cfg.runs, K + 1, cfg.n)), np.empty((cfg.runs, K, cfg.n))
    for k in range(K):
        z = rng.standard_normal((2, *shape))
        u[:, k] = cfg.explore * z[0]
        x[:, k + 1] = w.step(x[:, k], u[:, k], cfg.dt, z[1])
    return x, u, w.reward(x[:, :-1], u)


class Tables(NamedTuple):
    """All that policy iteration reads of a batch: means of products of g = (1, x, x², a, xa, a²)."""

    G: np.ndarray                 # [R, 6, 6]  E g gᵀ
    Y: np.ndarray                 # [R, 6, 3]  E g (½x'², x', 1), x' the next state
    r: np.ndarray                 # [R, 6]     E g r


def tables(x, u, r) -> Tables:
    """x [R, K+1, N], u and r [R, K, N]; one pass over the batch, whatever the number of rounds."""
    R, K = u.shape[:2]
    S = np.zeros((R, 6, 9))
    for k in np.array_split(np.arange(K), max(1, u.size // 2**17)):       # pieces that stay in the cache
        now, act, then = x[:, k], u[:, k], x[:, k + 1]
        g = np.stack([np.ones_like(now), now, now * now, act, now * act, act * act], 1).reshape(R, 6, -1)
        v = np.stack([then * then / 2, then, r[:, k]], 1).reshape(R, 3, -1)
        S += np.concatenate([g, v], 1)[:, :6] @ np.concatenate([g, v], 1).transpose(0, 2, 1)
    S /= K * u.shape[2]
    return Tables(S[..., :6], np.concatenate([S[..., 6:8], S[..., :1]], -1), S[..., 8])


PHI = np.array([[0, 0, 0.5, 0, 0, 0], [0, 1, 0, 0, 0, 0], [1, 0, 0, 0, 0, 0]])        # Φ = (½x², x, 1) = PHI g


def features_q(policy: np.ndarray) -> np.ndarray:
    """[R, 3, 6]: (a - m, (a - m) x, (a - m)²) = F g with m = m₁x + m₀, so that q(x, m(x)) = 0 by construction."""
    m1, m0 = policy[:, 0], policy[:, 1]
    o, i = np.zeros_like(m1), np.ones_like(m1)
    return np.stack([np.stack([-m0, -m1, o, i, o, o], -1), np.stack([o, -m0, -m1, o, i, o], -1),
                     np.stack([m0**2, 2 * m1 * m0, m1**2, -2 * m0, -2 * m1, i], -1)], 1)


def improve(batch: Tables, policy: np.ndarray, beta: float, dt: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """One round: (J, q) of the policy from E ξ δ = 0 with ξ = (Φ, F g), and the policy on top of that q.

    beta: 0 is the ergodic problem, where the third unknown is V.  Gives policy [R, 3], critic [R, 3], ψ [R, 3] with
    q = (a - m)(ψ₁ + ψ₂x) + ψ₃(a - m)².  A run whose ψ₃ is not negative has no top: its policy stays.
    Raises ValueError where the batch leaves the unknowns open.
    """
    F = features_q(policy)
    X = np.concatenate([np.broadcast_to(PHI, F.shape), F], 1)                         # [R, 6, 6]: ξ = X g
    rise = (np.exp(-beta * dt) * batch.Y - batch.G @ PHI.T) / dt                      # [R, 6, 3] E g (γΦ' - Φ)/Δt
    if beta == 0:
        rise[..., 2] = -batch.G[..., 0]                                               # k₀ makes room for V
    system = X @ np.concatenate([rise, -batch.G @ F.transpose(0, 2, 1)], -1)          # [R, 6, 6]
    if (np.linalg.cond(system) > 1e12).any():
        raise ValueError("the batch leaves J and q open (the system is singular), expected actions that differ from "
                         "each other and from the policy; try more paths or a larger spread of actions")
    both = -np.linalg.solve(system, X @ batch.r[..., None])[..., 0]
    psi = both[:, 3:]
    top = (psi[:, 2:] < 0) * psi[:, 1::-1] / np.where(psi[:, 2:] < 0, 2 * psi[:, 2:], 1.0)
    return policy - np.pad(top, ((0, 0), (0, 1))), both[:, :3], psi


def policy_iteration(cfg: ControlConfig, rng: np.random.Generator, every: int = 1
                     ) -> Generator[ControlSnapshot, ControlConfig | None, None]:
    """From u = 0, `iterations` rounds of `improve`, all on the one batch that `behave` stored.

    A snapshot holds the policy after the round, and critic and q of the one before. Nothing can change in mid-run.
    """
    batch, beta = tables(*behave(cfg, rng)), cfg.problem().beta
    policy = np.zeros((cfg.runs, 3))
    for step in range(1, cfg.iterations + 1):
        F = features_q(policy)
        policy, critic, psi = improve(batch, policy, beta, cfg.dt)
        if step % every == 0 or step == cfg.iterations:
            q = np.einsum("ri,rij->rj", psi, F)
            cfg = accept((yield ControlSnapshot(step, policy.copy(), critic, q)), cfg)


# ---- step by step


def soft_q(cfg: ControlConfig, rng: np.random.Generator, every: int = 10, start: tuple | None = None
           ) -> Generator[ControlSnapshot, ControlConfig | None, None]:
    """Soft q-learning:  θ ← θ + α ∂J δ,  ψ ← ψ + α_q ∂q δ,  on B transitions of the stored batch at a time.

        q = -½ e^{-ψ₃} (a - ψ₁x - ψ₂)² - (τ/2) (log 2πτ + ψ₃),  so that ∫ exp(q/τ) da = 1 and π = N(ψ₁x + ψ₂, τe^{ψ₃})

    start: (policy [3], critic [3]) to begin from; None: all parameters 0.
    Raises FloatingPointError naming the step where a run is lost, as happens when α or α_q is too large.
    """
    w, R, dt, tau = cfg.problem(), cfg.runs, cfg.dt, cfg.temperature
    x, u, r = behave(cfg, rng)
    now, then, act, pay = (v.reshape(R, -1) for v in (x[:, :-1], x[:, 1:], u, r))
    row = np.arange(R)[:, None]
    theta, psi = _first(start, R, tau)
    for step in range(1, cfg.steps + 1):
        i = rng.integers(now.shape[1], size=(R, cfg.batch))
        s, y, a = now[row, i], then[row, i], act[row, i]                  # [R, B]
        d, e = a - psi[:, :1] * s - psi[:, 1:2], np.exp(-psi[:, 2:])
        q = -e * d * d / 2 - tau / 2 * (np.log(2 * np.pi * tau) + psi[:, 2:])
        delta = _delta(w, theta, s, y, pay[row, i] - q, dt)
        fall = (1 + step / cfg.tau) ** (-2 / 3)
        theta += cfg.alpha * fall * _mean(s * s / 2, s, np.ones_like(s), delta)
        psi += cfg.alpha_q * fall * _mean(e * d * s, e * d, e * d * d / 2 - tau / 2, delta)
        if step % every == 0 or step == cfg.steps:
            _finite(theta, psi, step)
            policy = np.concatenate([psi[:, :2], tau * np.exp(psi[:, 2:])], 1)
            cfg = accept((yield ControlSnapshot(step, policy, theta.copy(), soft_coefficients(policy, tau))), cfg)


def actor_critic(cfg: ControlConfig, rng: np.random.Generator, every: int = 10, start: tuple | None = None
                 ) -> Generator[ControlSnapshot, ControlConfig | None, None]:
    """The policy N(φ₁x + φ₂, e^{φ₃}) acts on B chains; its own δ, entropy included, is the advantage of what it did.

        δ_k = γJ_{k+1} - J_k + (r_k - τ log π_k) Δt (- V Δt),   θ ← θ + α ∂J δ,   φ ← φ + α_q ∂_φ log π δ

    The term τ ∂_φ p Δt of the sequel has mean 0 for p = -log π, and is left out.  q in a snapshot is τ log π.
    start, and FloatingPointError: as `soft_q`.
    """
    w, R, dt, tau = cfg.problem(), cfg.runs, cfg.dt, cfg.temperature
    theta, phi = _first(start, R, 1.0)
    x = rng.standard_normal((R, cfg.batch))
    for step in range(1, cfg.steps + 1):
        e, z, begin = rng.standard_normal((3, R, cfg.batch))
        anew = rng.random((R, cfg.batch)) < dt / cfg.life
        sd = np.exp(phi[:, 2:] / 2)
        a = phi[:, :1] * x + phi[:, 1:2] + sd * e
        y = w.step(x, a, dt, z)
        surprise = (e * e + np.log(2 * np.pi) + phi[:, 2:]) / 2           # -log π
        delta = _delta(w, theta, x, y, w.reward(x, a) + tau * surprise, dt)
        fall = (1 + step / cfg.tau) ** (-2 / 3)
        theta += _short(cfg.alpha * fall * _mean(x * x / 2, x, np.ones_like(x), delta), cfg.clip)
        phi += _short(cfg.alpha_q * fall * _mean(e / sd * x, e / sd, (e * e - 1) / 2, delta), cfg.clip)
        x = np.where(anew, begin, y)                                      # after δ: no δ runs across a new start
        if step % every == 0 or step == cfg.steps:
            _finite(theta, phi, step)
            policy = np.concatenate([phi[:, :2], np.exp(phi[:, 2:])], 1)
            cfg = accept((yield ControlSnapshot(step, policy, theta.copy(), soft_coefficients(policy, tau))), cfg)


def soft_coefficients(policy: np.ndarray, tau: float) -> np.ndarray:
    """[R, 6] of τ log π on (1, x, x², a, xa, a²), for π = N(m₁x + m₀, s)."""
    m1, m0, s = policy.T
    c = tau / s
    return np.stack([-c * m0**2 / 2 - tau * np.log(2 * np.pi * s) / 2, -c * m1 * m0, -c * m1**2 / 2, c * m0, c * m1,
                     -c / 2], -1)


# ---- the picture


MOST = 160_000                            # sampled transitions of a picture, over all runs


class ControlExperiment(NamedTuple):
    """Policy iteration at one setting. Policies are (m₁, m₀, s), critics (k₂, k₁, level); I rounds, G actions."""

    paths: int                    # sampled paths a run: N, or fewer where that is more than MOST transitions
    policy: np.ndarray            # [I+1, R, 3] from sampled batches, the first before any round
    grid: np.ndarray              # [I+1, 3] the same from infinitely many paths, with actions held for cfg.dt
    best_grid: np.ndarray         # [3] the best that actions held for cfg.dt can do
    riccati: np.ndarray           # [3] the best in continuous time
    worth: np.ndarray             # [I+1, R] exact J(0), or V, of the sampled policies acting in continuous time
    best: float                   # of the best
    dts: np.ndarray               # [D]
    errors: dict[str, np.ndarray] # "gain", "k₂" -> [D] what the grid costs: |best on the grid - Riccati|
    slopes: dict[str, float]      # slope of log error on log Δt, over the finest four; NaN where there is no error
    actions: np.ndarray           # [G]
    state: float                  # at which the slices below are taken
    q: np.ndarray                 # [G] q of the best policy in continuous time: highest, and 0, at its action
    q_learned: np.ndarray         # [R, G] of the last round, each from its own batch
    advantage: np.ndarray         # [D, G] Q - J of the step Δt, at the best policy: it flattens as Δt falls


def control_experiment(cfg: ControlConfig) -> ControlExperiment:
    """What the chapter shows of control, for one setting. Pure; cfg.method plays no part, this is policy iteration."""
    w, K = cfg.problem(), round(cfg.T / cfg.dt)
    n = int(np.clip(MOST // (K * cfg.runs), 2, cfg.n))
    sampled = replace(cfg, n=n, method="policy iteration")
    snaps = list(policy_iteration(sampled, np.random.default_rng(cfg.seed)))
    policy = np.stack([np.zeros((cfg.runs, 3)), *(s.policy for s in snaps)])
    grid = [np.zeros(3)]
    for _ in range(cfg.iterations):
        grid.append(w.greedy(w.evaluate(grid[-1], dt=cfg.dt), dt=cfg.dt))
    riccati, critic = w.solve()
    dts = 0.2 / 2 ** np.arange(6)
    solved = [w.solve(dt=d) for d in dts]
    errors = {"gain": np.array([abs(p[0] - riccati[0]) for p, _ in solved]),
              "k₂": np.array([abs(k[0] - critic[0]) for _, k in solved])}
    slopes = {name: loglog_slope(dts[-4:], e[-4:]).slope if (e > 1e-9).all() else float("nan")
              for name, e in errors.items()}
    state, a = 1.0, riccati[0] + riccati[1] + np.linspace(-2.5, 2.5, 101)
    g = np.stack([np.ones_like(a), state * np.ones_like(a), state**2 * np.ones_like(a), a, state * a, a * a])
    return ControlExperiment(n, policy, np.array(grid), w.solve(dt=cfg.dt)[0], riccati, w.evaluate(policy)[..., 2],
                             float(critic[2]), dts, errors, slopes, a, state, w.q_of(critic)(state, a), snaps[-1].q @ g,
                             np.array([d * w.q_of(k, d)(state, a) for d, (_, k) in zip(dts, solved)]))


# ---- parts


def _delta(w, theta, x, y, rate, dt):
    """δ [R, B] with everything that is paid, per unit time, in `rate`; the third θ is k₀, or V."""
    g, (k2, k1, level) = np.exp(-w.beta * dt), theta.T[..., None]
    rise = g * (k2 * y / 2 + k1) * y - (k2 * x / 2 + k1) * x
    return rise + rate * dt + ((g - 1) if w.beta else -dt) * level


def _first(start, R, unit):
    """θ and policy parameters [R, 3] to begin from; the third of the policy is log(variance / unit)."""
    policy, critic = ((0.0, 0.0, unit), np.zeros(3)) if start is None else start
    return np.tile(np.asarray(critic, float), (R, 1)), np.tile([policy[0], policy[1], np.log(policy[2] / unit)], (R, 1))


def _mean(a, b, c, delta):
    return np.stack([(v * delta).mean(1) for v in (a, b, c)], 1)


def _short(step, most):
    """step [R, 3], no longer than `most`: a rare far state may not undo the rest."""
    return step / np.maximum(1, np.sqrt((step**2).sum(1, keepdims=True)) / most)


def _finite(theta, policy, step):
    fine = (np.abs(theta).max(1) < 1e6) & (np.abs(policy).max(1) < 50)    # a log variance of 50 is no policy; NaN fails
    if not fine.all():
        raise FloatingPointError(f"J or the policy of {int((~fine).sum())} of {len(fine)} runs is lost by step {step}; "
                                 "try a smaller alpha or alpha_q")
