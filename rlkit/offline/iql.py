"""Implicit Q-learning: improve on the data without ever asking the critic about an action that is not in it.

V is an upper expectile of Q over the data's actions, a soft maximum; Q bootstraps from V; the policy copies the data's
actions with weight exp(β · advantage). Source: Kostrikov, Nair, Levine (2022), Implicit Q-Learning.
Ours: the three losses of an update are taken at the same parameters, where the authors update V, then π, then Q.
"""

from __future__ import annotations

import math
from collections.abc import Generator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch

from rlkit.config import accept, check, knob
from rlkit.nets import MLP, adam
from rlkit.offline.shared import Minibatches, Policy, gaussian_logp, generator


@dataclass(frozen=True)
class IQLConfig:
    tau: float = knob(0.7, 0.5, 0.99, symbol="τ", says="expectile: ½ is the mean, 1 the best action", above=0, most=1)
    beta: float = knob(3.0, 0.0, 20.0, symbol="β", says="0 copies the data, large trusts the advantage", least=0)
    clip: float = knob(100.0, 1.0, 1000.0, log=True, says="largest weight exp(β A)", above=0, most=math.inf)
    gamma: float = knob(0.99, 0.8, 0.999, symbol="γ", says="discount", least=0, most=1)
    lr: float = knob(1e-3, 1e-5, 1e-1, log=True, symbol="lr",
                     says="Adam's step; the paper's is 3e-4", above=0, step=True)
    decay: bool = knob(True, says="the actor's step falls to 0 along a cosine, as in the paper")
    rate: float = knob(0.005, 0.001, 1.0, log=True, says="how fast the target critic follows", above=0, most=1)
    batch: int = knob(256, 16, 1024, log=True, says="transitions a minibatch", least=1)
    reward_scale: float = knob(0.0, 0.0, 10.0, says="factor on rewards; 0: max T / (max G - min G)", least=0,
                               restart=True)
    steps: int = knob(2000, 100, 20_000, log=True, says="updates", restart=True, least=1)
    runs: int = knob(1, 1, 32, symbol="R", says="independent seeds at once", restart=True, least=1)
    hidden: int = knob(64, 8, 256, log=True, says="width of the two hidden layers", restart=True, most=4096, least=1)
    __post_init__ = check


class IQLSnapshot(NamedTuple):
    step: int
    v_loss: np.ndarray            # [R]
    q_loss: np.ndarray            # [R] sum over the twins
    pi_loss: np.ndarray           # [R]
    q: np.ndarray                 # [R] mean of the smaller target critic on the minibatch, in units of reward
    policy: Policy


def iql_losses(cfg: IQLConfig, b, q, q_target, v, pi, rho) -> tuple[torch.Tensor, ...]:
    """v_loss, q_loss, pi_loss and mean Q, each [R].  q, q_target: twin critics [2R]; rho: [R, 1, A], σ's parameter.

        Q̄ = min_k Q'_k(s, a),    u = Q̄ - V(s)
        V:  mean |τ - 1[u < 0]| u²
        Q:  Σ_k mean (Q_k(s, a) - y)²,     y = r + γ (1 - terminated) V(s')
        π:  -mean min(exp(β u), clip) log N(a | tanh f(s), σ²),     log σ = -5 + 7 sigmoid(ρ)
    """
    R, B = b.reward.shape
    with torch.no_grad():
        q_min = q_target(b.obs_action).view(2, R, B).amin(0)                        # Q̄ [R, B]
        y = b.reward + cfg.gamma * b.go_on * v(b.next_obs).squeeze(-1)
    u = q_min - v(b.obs).squeeze(-1)
    asym = torch.where(u.detach() < 0, 1 - cfg.tau, cfg.tau)
    v_loss = (asym * u.square()).mean(1)
    q_loss = (q(b.obs_action).view(2, R, B) - y).square().mean(2).sum(0)
    weight = (cfg.beta * u.detach()).exp().clamp(max=cfg.clip)
    logp = gaussian_logp(b.action, torch.tanh(pi(b.obs)), -5 + 7 * torch.sigmoid(rho))
    return v_loss, q_loss, -(weight * logp).mean(1), q_min.mean(1)


def iql(cfg: IQLConfig, data, rng: np.random.Generator, every: int = 10, sampler=None, low=None,
        high=None) -> Generator[IQLSnapshot, IQLConfig | None, None]:
    """Implicit Q-learning on the sampled transitions, R runs at once.  `data sampler low high`: see `Minibatches`."""
    gen = generator(rng)
    batches = Minibatches(data, cfg.runs, rng, sampler, cfg.reward_scale, low, high)
    R, F, A, H = cfg.runs, batches.F, batches.A, cfg.hidden
    pi, v, q = MLP(R, (F, H, H, A), gen), MLP(R, (F, H, H, 1), gen), MLP(2 * R, (F + A, H, H, 1), gen)
    q_target = q.copy()
    rho = torch.zeros(R, 1, A, requires_grad=True)
    opt = adam([q.flat, v.flat], [pi.flat, rho], lr=cfg.lr)
    for step in range(1, cfg.steps + 1):
        fall = (1 + math.cos(math.pi * (step - 1) / cfg.steps)) / 2 if cfg.decay else 1.0
        opt.param_groups[0]["lr"], opt.param_groups[1]["lr"] = cfg.lr, cfg.lr * fall
        opt.zero_grad()
        v_loss, q_loss, pi_loss, q_mean = iql_losses(cfg, batches.draw(cfg.batch), q, q_target, v, pi, rho)
        (v_loss + q_loss + pi_loss).sum().backward()                      # runs and losses share no parameter
        opt.step()
        q_target.follow(q, cfg.rate)
        if step % every == 0 or step == cfg.steps:
            numbers = (x.detach().numpy() for x in (v_loss, q_loss, pi_loss, q_mean / batches.scale))
            cfg = accept((yield IQLSnapshot(step, *numbers, batches.policy(pi))), cfg)
