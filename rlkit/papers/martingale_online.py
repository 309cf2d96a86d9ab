"""Learning a value step by step: what to do with each increment δ_k = γ J_{k+1} - J_k + r_k Δt as it comes.

    CTD(0), CTD(λ)   θ ← θ + α ξ_k δ_k,   ξ_k = Φ_k, or the trace z_k = λ^Δt z_{k-1} + Φ_k Δt
    MSTDE by SGD     θ ← θ - α u_k δ_k    the gradient of δ²/2, through both ends: to the wrong place
    double           θ ← θ - α ½ (u¹δ² + u²δ¹)    two independent next states: the right place, with more noise
    GTD              w ← w + α_w (ξ_k δ_k - w Δt)          θ ← θ - α u_k (ξ_k·w)
    GTD2             w ← w + α_w ξ_k (δ_k - (ξ_k·w) Δt)    θ ← θ - α u_k (ξ_k·w)
    TDC              w as GTD2                             θ ← θ + α [ξ_k δ_k - γ Φ_{k+1} (ξ_k·w) Δt]
    ML               θ ← θ + α Σ_k γ^{2k} (G_k - J_k) Φ_k Δt    at the end of an episode

u_k = γΦ_{k+1} - Φ_k.  ξδ has mean of order Δt and standard deviation of order √Δt: α is *not* divided by Δt, the Δt
beside w keeps its speed and its fixed point the same on every grid, and `scaling="α/Δt"` shows what happens otherwise.

Read `online`; `neural` is the same three ideas with a network, where CTD and MSTDE differ by one word.
Source: Jia & Zhou (2022); the forms on a grid are derived here.  Axes: R runs, B chains, p features.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from rlkit.config import accept, check, knob
from rlkit.papers.martingale_td import Config

LIMIT = 1e6                               # a run whose θ is beyond has diverged: it stops there, the others go on


class Snapshot(NamedTuple):
    step: int
    time: float                   # observed
    theta: np.ndarray             # [R, p]
    average: np.ndarray           # [R, p] mean of θ since half of the run's time; before that, θ
    diverged: np.ndarray          # [R] bool


def online(cfg: Config, rng: np.random.Generator, every: int = 10,
           theta: np.ndarray | None = None) -> Generator[Snapshot, Config | None, None]:
    """Any objective of `Config` on its world, R runs at once, each averaging its step over B chains.

    theta: [p] first parameters, by default 0.  α, τ, λ and the scaling may change in mid-run; what cannot raises
    ValueError, as does a test function that needs what has not been seen yet.
    """
    kind = cfg.test if cfg.objective == "CTD" else cfg.objective
    w, R, B, dt = cfg.problem(), cfg.runs, cfg.chains, cfg.dt
    if kind == "ML" and not w.pinned:
        kind = "trace"                                                    # with λ = e^{-β}: the same condition
    g, K, later = np.exp(-w.beta * dt), max(1, round(cfg.T / dt)), {"mid": 0.5, "right": 1.0}.get(kind, 0.0)
    rho, sd = w.process.transition(dt)
    first = w.features(0.0, np.zeros(1))
    th = np.tile(np.zeros(len(first)) if theta is None else np.asarray(theta, float), (R, 1))
    aux, total, count, fine = np.zeros_like(th), np.zeros_like(th), 0, np.ones(R, bool)
    x = w.start(R * B, rng).reshape(R, B)
    k, z, seen = 0, 0.0, []                                               # place in the path, trace, the path for ML
    phi, J0 = w.features(0.0, x), w.base(0.0, x)                          # [p, R, B], [R, B]
    for step in range(1, cfg.steps + 1):
        if (step - 1) % 64 == 0:                                          # in lots: one call for 64 steps
            noise = rng.standard_normal((64, 1 + (kind == "double"), R, B)) * sd
        t = (k + 1) * dt if w.pinned else 0.0
        y = rho * x + noise[(step - 1) % 64]                              # [1 or 2, R, B]
        pay = w.reward(k * dt, x) * dt
        phi1, J1 = w.features(t, y[0]), w.base(t, y[0])
        u = g * phi1 - phi                                                # [p, R, B]
        delta = np.einsum("rp,prb->rb", th, u) + g * J1 - J0 + pay
        if kind in ("left", "mid", "right"):
            move = ((1 - later) * phi + later * phi1 if later else phi) * delta
        elif kind == "constant":
            move = delta[None]
        elif kind == "trace":
            lam = np.exp(-w.beta) if cfg.objective == "ML" else cfg.lam
            z = lam**dt * z + phi * dt
            move = z * delta
        elif kind == "MSTDE":
            move = -u * delta
        elif kind == "double":
            phi2 = w.features(t, y[1])
            u2 = g * phi2 - phi
            delta2 = np.einsum("rp,prb->rb", th, u2) + g * w.base(t, y[1]) - J0 + pay
            move = -(u * delta2 + u2 * delta) / 2
        elif kind == "ML":
            seen.append((phi, J0, pay))
            move = np.zeros((len(phi), R, 1))
            if k == K - 1:
                move = _whole(seen, J1, th, g, dt)
                seen = []
        else:                                                             # GTD and its kin
            xw = np.einsum("rp,prb->rb", aux, phi)
            pull = (phi * delta).mean(2).T - (aux if kind == "GTD" else (phi * xw).mean(2).T) * dt
            move = phi * delta - g * phi1 * xw * dt if kind == "TDC" else -u * xw
        a = cfg.alpha / (1 + step * dt / cfg.tau) ** 0.6 / (dt if cfg.scaling == "α/Δt" else 1.0)
        th = th + a * fine[:, None] * move.mean(2).T
        if kind in ("GTD", "GTD2", "TDC"):
            aux = aux + 2 * a * fine[:, None] * pull
        fine &= np.abs(th).max(1) < LIMIT
        x, phi, J0, k = y[0], phi1, J1, k + 1
        if k == K and w.pinned:                                           # an episode is over: the next begins
            k, z, x = 0, 0.0, w.start(R * B, rng).reshape(R, B)
            phi, J0 = w.features(0.0, x), w.base(0.0, x)
        if 2 * step > cfg.steps:
            total, count = total + th, count + 1
        if step % every == 0 or step == cfg.steps:
            sent = yield Snapshot(step, step * dt, th.copy(), total / count if count else th.copy(), ~fine)
            cfg = accept(sent, cfg)


def _whole(seen, h, th, g, dt):
    """Σ_k γ^{2k} (G_k - J_k) Φ_k Δt [p, R, B] of an episode of steps (Φ, base, r Δt) that ended with value h."""
    G, out = h, 0.0
    for k in range(len(seen) - 1, -1, -1):
        phi, J0, pay = seen[k]
        G = pay + g * G
        out = out + g ** (2 * k) * dt * (G - J0 - np.einsum("rp,prb->rb", th, phi)) * phi
    return out


# ---- a network for a critic


@dataclass(frozen=True)
class NeuralConfig:
    """J = x² + (T-t) f(t, x) on Brownian paths paid X_T²: right at T whatever f is."""

    objective: str = knob("CTD", choices=("CTD", "ML", "MSTDE"), restart=True,
                          says="semi-gradient (CTD), martingale loss (ML), or the same δ not detached (MSTDE)")
    K: int = knob(20, 5, 100, log=True, unit="steps", least=1, restart=True, says="steps of a path")
    n: int = knob(256, 32, 1024, log=True, symbol="N", unit="paths", least=2, says="new paths for each update")
    sigma: float = knob(1.0, 0.1, 2.0, symbol="σ", above=0, restart=True, says="noise of the world")
    lr: float = knob(3e-3, 1e-4, 3e-2, log=True, symbol="lr", above=0, step=True,
                     says="Adam's first step; it falls to 0")
    hidden: int = knob(32, 8, 128, log=True, most=4096, least=1, restart=True, says="width of the two hidden layers")
    steps: int = knob(300, 50, 1000, log=True, least=1, restart=True, says="updates")
    runs: int = knob(2, 1, 16, symbol="R", least=1, restart=True, says="independent networks")
    seed: int = knob(0, 0, 99, least=0, restart=True, says="which random numbers")
    __post_init__ = check


class NeuralSnapshot(NamedTuple):
    step: int
    rmse: np.ndarray              # [R] of J against x² + σ²(T-t), along 512 paths from N(0, 1), T = 1
    loss: np.ndarray              # [R] of this update; low is no evidence: MSTDE's is lowest where it is wrong
    start: np.ndarray             # [R, 61] J(0, x) at `GRID`


GRID = np.linspace(-3, 3, 61)


def neural(cfg: NeuralConfig, rng: np.random.Generator, every: int = 10
           ) -> Generator[NeuralSnapshot, NeuralConfig | None, None]:
    """Three critics that differ by their loss only; CTD and MSTDE by the word `detach`.

        CTD   -Σ_k J_k · δ_k.detach()        MSTDE  Σ_k δ_k²  (its gradient halved)        ML  Σ_k (G_k - J_k)² Δt
    """
    import torch  # here: nothing tabular waits for it

    from rlkit.nets import MLP, adam

    R, K, dt, T = cfg.runs, cfg.K, 1.0 / cfg.K, 1.0
    gen = torch.Generator().manual_seed(int(rng.integers(2**63)))
    net = MLP(R, (2, cfg.hidden, cfg.hidden, 1), gen)
    opt = adam([net.flat], lr=cfg.lr)
    t = torch.linspace(0, T, K + 1)[:, None]                              # [K+1, 1]

    def paths(n):
        """x [R, K+1, n], exact Brownian paths from N(0, 1)."""
        z = torch.randn(R, K + 1, n, generator=gen)
        z[:, 1:] *= cfg.sigma * dt**0.5
        return z.cumsum(1)

    def J(x, t):
        inputs = torch.stack([t.expand_as(x), x], -1).reshape(R, -1, 2)
        return x.square() + (T - t) * net(inputs).reshape(x.shape)

    held, grid = paths(512), torch.tensor(GRID, dtype=torch.float32).expand(R, 1, len(GRID))
    for step in range(1, cfg.steps + 1):
        opt.param_groups[0]["lr"] = cfg.lr * (1 + np.cos(np.pi * (step - 1) / cfg.steps)) / 2
        opt.zero_grad()
        x = paths(cfg.n)
        v = J(x, t)
        delta = v[:, 1:] - v[:, :-1]                                      # [R, K, n]; no reward on the way, β = 0
        if cfg.objective == "CTD":
            loss = -(v[:, :-1] * delta.detach()).sum(1).mean(1)
        elif cfg.objective == "MSTDE":
            loss = (delta * delta).sum(1).mean(1) / 2
        else:
            loss = ((x[:, -1:].square() - v[:, :-1]) ** 2).sum(1).mean(1) * dt / 2
        loss.sum().backward()                                             # a sum: each run gets its own gradient
        opt.step()
        if step % every == 0 or step == cfg.steps:
            with torch.no_grad():
                miss = J(held, t) - held.square() - cfg.sigma**2 * (T - t)
                at = J(grid, t[:1])
            sent = yield NeuralSnapshot(step, miss.square().mean((1, 2)).sqrt().numpy(), loss.detach().numpy(),
                                        at[:, 0].numpy())
            cfg = accept(sent, cfg)
