"""Density-ratio weighting: weigh single transitions, so that the data need no trajectories at all.

Trajectory weights need whole trajectories: cut the episodes into pieces of five steps, and a good piece no longer
knows that it led to the goal. The alternative asks which state-action visits d(s, a) would be worth most while they
stay near the data's and balance their flow (what enters a state leaves it), and weighs each transition by
d(s, a) / d_data(s, a). Cutting changes no transition, so it changes nothing.

That problem has an exact solution in a table: `improve.flow_weights`. The paper trains two networks instead, with the
balance as a penalty *per transition*; `density_ratio` is that variant, its networks replaced by tables. The two are
not the same: a squared penalty on e^{g+f}(s, a) against e^f(s') compares one way out of s with all ways into s', and
in a table it moves little. We show it beside the exact form and do not claim that it wins.
Source: Hong et al. (2023), Beyond Uniform Sampling: Offline RL with Imbalanced Datasets, NeurIPS.

Axes: R runs, M transitions, B batch, S states, A actions.
"""

from __future__ import annotations

import math
from collections.abc import Generator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from rlkit.adam import Adam
from rlkit.config import accept, check, knob
from rlkit.trajectories import Dataset


@dataclass(frozen=True)
class Config:
    lam_F: float = knob(1.0, 0.01, 10.0, log=True, symbol="λ_F", least=0, says="price of unbalanced flow")
    lam_K: float = knob(0.2, 0.0, 2.0, symbol="λ_K", least=0, says="price of leaving uniform weights")
    clip: float = knob(1.2, 0.1, 5.0, symbol="clip", above=0, most=math.inf, says="bounds ±clip on each of g and f")
    lr: float = knob(0.01, 1e-4, 0.1, log=True, symbol="lr", above=0, step=True,
                     says="Adam's step; the paper's is 1e-4")
    batch: int = knob(256, 16, 1024, log=True, least=2, says="transitions a minibatch")
    steps: int = knob(2000, 100, 10_000, log=True, least=1, restart=True, says="updates")
    runs: int = knob(1, 1, 32, symbol="R", least=1, restart=True, says="independent seeds at once")
    __post_init__ = check


class Snapshot(NamedTuple):
    step: int
    gain: np.ndarray              # [R] Σ u r̃ of this minibatch, r̃ in [0, 1]
    flow: np.ndarray              # [R] mean squared imbalance
    kl: np.ndarray                # [R] Σ u log u + log B: 0 if the weights are uniform
    u: np.ndarray                 # [R, M] weights of all transitions, largest 1 in each run


def loss(cfg: Config, z: np.ndarray, g: np.ndarray, f: np.ndarray, f_next: np.ndarray, r: np.ndarray):
    """The paper's loss on one minibatch per run, and its gradients.

        u = softmax(clip(g) + clip(f)),    -Σ u r̃ + λ_F mean (e^{g+f} - e^{f'})² + λ_K Σ u log u

    z: [R, B] clip(g) + clip(f).  g, f, f_next: [R, B] g(s, a), f(s), f(s').  r: [R, B] rewards scaled to [0, 1].
    Gives (loss, gain, flow, kl), each [R], and the gradients by z, by g + f inside the flow term, and by f_next.
    """
    B = z.shape[1]
    u = np.exp(z - z.max(1, keepdims=True))
    u = u / u.sum(1, keepdims=True)
    out, into = np.exp(g + f), np.exp(f_next)
    gain, flow, kl = (u * r).sum(1), ((out - into) ** 2).mean(1), (u * np.log(u)).sum(1)
    h = -r + cfg.lam_K * np.log(u)
    by_z = u * (h - (u * h).sum(1, keepdims=True))
    pull = 2 * cfg.lam_F / B * (out - into)
    return -gain + cfg.lam_F * flow + cfg.lam_K * kl, gain, flow, kl + np.log(B), by_z, pull * out, -pull * into


def density_ratio(cfg: Config, data: Dataset, rng: np.random.Generator,
                  every: int = 100) -> Generator[Snapshot, Config | None, None]:
    """The published weights, g(s, a) and f(s) being tables, R runs at once. Uniform minibatches, Adam.

    data: obs and action are whole numbers.
    """
    S, A = int(max(data.obs.max(), data.final_obs.max())) + 1, int(data.action.max()) + 1
    pair, s, s2 = data.obs * A + data.action, data.obs, data.next_obs
    r = (data.reward - data.reward.min()) / (np.ptp(data.reward) or 1.0)
    theta = np.zeros((cfg.runs, S * A + S))                               # g, then f
    adam, run = Adam(theta), np.arange(cfg.runs)[:, None]
    for step in range(1, cfg.steps + 1):
        i = rng.integers(data.m, size=(cfg.runs, cfg.batch))
        g, f, f_next = theta[run, pair[i]], theta[run, S * A + s[i]], theta[run, S * A + s2[i]]
        z = np.clip(g, -cfg.clip, cfg.clip) + np.clip(f, -cfg.clip, cfg.clip)
        _, gain, flow, kl, by_z, by_out, by_next = loss(cfg, z, g, f, f_next, r[i])
        grad = np.zeros_like(theta)
        np.add.at(grad, (run, pair[i]), by_z * (np.abs(g) < cfg.clip) + by_out)
        np.add.at(grad, (run, S * A + s[i]), by_z * (np.abs(f) < cfg.clip) + by_out)
        np.add.at(grad, (run, S * A + s2[i]), by_next)
        theta = adam.step(theta, grad, cfg.lr)
        if step % every == 0 or step == cfg.steps:
            z = np.clip(theta, -cfg.clip, cfg.clip)
            z = z[:, pair] + z[:, S * A + s]                              # [R, M]
            cfg = accept((yield Snapshot(step, gain, flow, kl, np.exp(z - z.max(1, keepdims=True)))), cfg)
