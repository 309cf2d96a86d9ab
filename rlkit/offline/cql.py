"""Conservative Q-learning: push Q down where the policy might go and up where the data is, so that it never flatters.

A soft actor-critic whose critic pays c · (logsumexp_a Q(s, a) - Q(s, a_data)).
Source: Kumar, Zhou, Tucker, Levine (2020), Conservative Q-Learning: CQL(H) without the Lagrange multiplier.
Ours: the target takes the mode of the policy at s', where the authors draw one action.
"""

from __future__ import annotations

import math
from collections.abc import Generator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch.nn.functional import softplus

from rlkit.config import accept, check, knob
from rlkit.nets import MLP, adam
from rlkit.offline.shared import Minibatches, Policy, generator


@dataclass(frozen=True)
class CQLConfig:
    c_cql: float = knob(5.0, 0.0, 20.0, symbol="c", says="weight of the conservative term; 0 is plain SAC", least=0)
    temperature: float = knob(1.0, 0.001, 10.0, log=True, symbol="T", says="price of entropy, or where it starts from",
                              above=0)
    tune: bool = knob(True, says="learn the temperature: entropy -dim(A)")
    samples: int = knob(4, 1, 10, symbol="n", says="actions from each of three sources; the paper's is 10",
                        least=1)
    gamma: float = knob(0.99, 0.8, 0.999, symbol="γ", says="discount", least=0, most=1)
    lr: float = knob(1e-3, 1e-5, 1e-1, log=True, symbol="lr",
                     says="Adam's step; the paper's is 3e-4", above=0, step=True)
    rate: float = knob(0.005, 0.001, 1.0, log=True, says="how fast the target critic follows", above=0, most=1)
    batch: int = knob(256, 16, 1024, log=True, says="transitions a minibatch", least=1)
    reward_scale: float = knob(0.0, 0.0, 10.0, says="factor on rewards; 0: max T / (max G - min G)", least=0,
                               restart=True)
    steps: int = knob(1000, 100, 20_000, log=True, says="updates", restart=True, least=1)
    runs: int = knob(1, 1, 32, symbol="R", says="independent seeds at once", restart=True, least=1)
    hidden: int = knob(64, 8, 256, log=True, says="width of the two hidden layers", restart=True, most=4096, least=1)
    __post_init__ = check


class CQLSnapshot(NamedTuple):
    step: int
    q_loss: np.ndarray            # [R] temporal-difference part, sum over the twins
    gap: np.ndarray               # [R] logsumexp_a Q - Q(s, a), sum over the twins, before its weight c
    pi_loss: np.ndarray           # [R]
    temperature: np.ndarray       # [R]
    q: np.ndarray                 # [R] mean Q(s, a) on the minibatch, in units of reward
    policy: Policy


def squashed(out: torch.Tensor, eps: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Action a = tanh(x), x = μ + σ ε, and its log density.  out: [..., 2A] = (μ, log σ); eps: [..., A] normal.

        log π(a|s) = Σ_A  log N(x | μ, σ²) - log(1 - tanh² x),     log(1 - tanh² x) = 2 (log 2 - x - softplus(-2x))
    """
    mu, log_std = out.chunk(2, -1)
    log_std = log_std.clamp(-20, 2)
    x = mu + log_std.exp() * eps
    logp = -0.5 * eps * eps - log_std - 0.5 * math.log(2 * math.pi) - 2 * (math.log(2) - x - softplus(-2 * x))
    return torch.tanh(x), logp.sum(-1)


def cql_q_losses(cfg: CQLConfig, b, uniform, eps, q, q_target, pi) -> tuple[torch.Tensor, ...]:
    """Temporal-difference loss, conservative gap and mean Q(s, a), each [R].

    uniform: [R, B, n, A] in [-1, 1].  eps: [R, 2, B, n, A] standard normal, for π(·|s) and for π(·|s').
        td:   Σ_k mean (Q_k(s, a) - y)²,   y = r + γ (1 - terminated) min_k Q'_k(s', mode π(s'))
        gap:  Σ_k mean [ log Σ_j exp(Q_k(s, a_j) - log p_j) - Q_k(s, a) ],   a_j ~ p_j: uniform, π(·|s), π(·|s')
    """
    (R, B), n, A = b.reward.shape, uniform.shape[2], uniform.shape[3]
    with torch.no_grad():
        out = pi(torch.cat([b.obs, b.next_obs], 1)).view(R, 2, B, 1, 2 * A)       # at s and at s'
        mode = torch.tanh(out[:, 1, :, 0, :A])
        y = b.reward + cfg.gamma * b.go_on * q_target(torch.cat([b.next_obs, mode], -1)).view(2, R, B).amin(0)
        drawn, logp = squashed(out, eps)                                  # [R, 2, B, n, A], [R, 2, B, n]
        a = torch.cat([b.action.unsqueeze(2), uniform, drawn[:, 0], drawn[:, 1]], 2)        # [R, B, 1+3n, A]
        logp = torch.cat([torch.full((R, B, n), -A * math.log(2)), logp[:, 0], logp[:, 1]], 2)
        sa = torch.cat([b.obs.unsqueeze(2).expand(-1, -1, 1 + 3 * n, -1), a], -1).flatten(1, 2)
    values = q(sa).view(2, R, B, 1 + 3 * n)
    data, other = values[..., 0], values[..., 1:]
    td = (data - y).square().mean(2).sum(0)
    gap = (torch.logsumexp(other - logp, -1) - data).mean(2).sum(0)
    return td, gap, data.mean((0, 2))


def cql_pi_losses(b, eps: torch.Tensor, q, pi, log_temp: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Actor's and temperature's loss, each [R].  eps: [R, B, A] standard normal; log_temp: [R].

        π:  mean T log π(a|s) - min_k Q_k(s, a),   a ~ π(·|s)          T:  -T mean (log π(a|s) - dim A)
    """
    R, B, A = eps.shape
    a, logp = squashed(pi(b.obs), eps)
    q_min = q.frozen(torch.cat([b.obs, a], -1)).view(2, R, B).amin(0)
    temp = log_temp.exp()
    return (temp.detach()[:, None] * logp - q_min).mean(1), -temp * (logp.detach() - A).mean(1)


def cql(cfg: CQLConfig, data, rng: np.random.Generator, every: int = 10, sampler=None, low=None,
        high=None) -> Generator[CQLSnapshot, CQLConfig | None, None]:
    """CQL on the sampled transitions, R runs at once.  `data sampler low high`: see `Minibatches`."""
    gen = generator(rng)
    batches = Minibatches(data, cfg.runs, rng, sampler, cfg.reward_scale, low, high)
    R, F, A, H = cfg.runs, batches.F, batches.A, cfg.hidden
    pi, q = MLP(R, (F, H, H, 2 * A), gen), MLP(2 * R, (F + A, H, H, 1), gen)
    q_target = q.copy()
    log_temp, asked = torch.full((R,), math.log(cfg.temperature), requires_grad=True), cfg.temperature
    opt_q, opt_pi = adam([q.flat], lr=cfg.lr), adam([pi.flat], [log_temp], lr=cfg.lr)
    for step in range(1, cfg.steps + 1):
        b, n = batches.draw(cfg.batch), cfg.samples
        opt_q.param_groups[0]["lr"] = opt_pi.param_groups[0]["lr"] = cfg.lr
        opt_pi.param_groups[1]["lr"] = cfg.lr if cfg.tune else 0.0
        if cfg.temperature != asked:                                      # moved in mid-run: go on from there
            log_temp.data.fill_(math.log(cfg.temperature))
            asked = cfg.temperature
        opt_q.zero_grad()
        uniform = torch.empty(R, cfg.batch, n, A).uniform_(-1, 1, generator=gen)
        td, gap, q_mean = cql_q_losses(cfg, b, uniform, torch.randn(R, 2, cfg.batch, n, A, generator=gen),
                                       q, q_target, pi)
        (td + cfg.c_cql * gap).sum().backward()
        opt_q.step()
        opt_pi.zero_grad()
        pi_loss, temp_loss = cql_pi_losses(b, torch.randn(R, cfg.batch, A, generator=gen), q, pi, log_temp)
        (pi_loss + temp_loss).sum().backward()
        opt_pi.step()
        q_target.follow(q, cfg.rate)
        if step % every == 0 or step == cfg.steps:
            numbers = (x.detach().numpy() for x in (td, gap, pi_loss, log_temp.exp(), q_mean / batches.scale))
            cfg = accept((yield CQLSnapshot(step, *numbers, batches.policy(pi))), cfg)
