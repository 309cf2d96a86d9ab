"""TD3+BC: an online algorithm made offline by one term, which keeps the policy near the data's actions.

Twin critics learn by temporal differences; the policy climbs the first of them and pays the squared distance to the
data. alpha_bc sets the exchange rate. Source: Fujimoto, Gu (2021), A Minimalist Approach to Offline RL.
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
from rlkit.offline.shared import Minibatches, Policy, generator


@dataclass(frozen=True)
class TD3BCConfig:
    alpha_bc: float = knob(2.5, 0.0, 20.0, symbol="α", says="0 copies the data, large trusts the critic", least=0)
    sigma: float = knob(0.2, 0.0, 1.0, symbol="σ", says="noise on the target's action", unit="half ranges", least=0)
    noise_clip: float = knob(0.5, 0.0, 1.0, says="largest such noise", unit="half ranges", least=0, most=math.inf)
    delay: int = knob(2, 1, 10, says="critic updates for one of the actor and the targets", least=1)
    gamma: float = knob(0.99, 0.8, 0.999, symbol="γ", says="discount", least=0, most=1)
    lr: float = knob(1e-3, 1e-5, 1e-1, log=True, symbol="lr",
                     says="Adam's step; the paper's is 3e-4", above=0, step=True)
    rate: float = knob(0.005, 0.001, 1.0, log=True, says="how fast the targets follow", above=0, most=1)
    batch: int = knob(256, 16, 1024, log=True, says="transitions a minibatch", least=1)
    reward_scale: float = knob(0.0, 0.0, 10.0, says="factor on rewards; 0: max T / (max G - min G)", least=0,
                               restart=True)
    steps: int = knob(2000, 100, 20_000, log=True, says="updates", restart=True, least=1)
    runs: int = knob(1, 1, 32, symbol="R", says="independent seeds at once", restart=True, least=1)
    hidden: int = knob(64, 8, 256, log=True, says="width of the two hidden layers", restart=True, most=4096, least=1)
    __post_init__ = check


class TD3BCSnapshot(NamedTuple):
    step: int
    q_loss: np.ndarray            # [R] sum over the twins
    pi_loss: np.ndarray           # [R] of the actor's last update
    bc_loss: np.ndarray           # [R] its second term, the distance to the data
    q: np.ndarray                 # [R] mean Q_1(s, π(s)), in units of reward
    policy: Policy


def td3bc_q_loss(cfg: TD3BCConfig, b, noise: torch.Tensor, q, q_target, pi_target) -> torch.Tensor:
    """Critics' loss [R].  noise: [R, B, A] standard normal.

        Σ_k mean (Q_k(s, a) - y)²,   y = r + γ (1 - terminated) min_k Q'_k(s', a'),
                                   a' = π'(s') + clip(σ ε, ±noise_clip), clipped to ±1
    """
    R, B = b.reward.shape
    with torch.no_grad():
        eps = (cfg.sigma * noise).clamp_(-cfg.noise_clip, cfg.noise_clip)
        a_next = (torch.tanh(pi_target(b.next_obs)) + eps).clamp_(-1, 1)
        q_next = q_target(torch.cat([b.next_obs, a_next], -1)).view(2, R, B)
        y = b.reward + cfg.gamma * b.go_on * q_next.amin(0)
    return (q(b.obs_action).view(2, R, B) - y).square().mean(2).sum(0)


def td3bc_pi_losses(cfg: TD3BCConfig, b, q, pi) -> tuple[torch.Tensor, ...]:
    """Actor's loss, its second term, and mean Q_1(s, π(s)), each [R].

        -λ mean Q_1(s, π(s)) + mean_{B,A} (π(s) - a)²,     λ = α / mean |Q_1|  (a constant: no gradient)
    """
    a = torch.tanh(pi(b.obs))                                             # π(s) [R, B, A]
    q1 = q.frozen(torch.cat([b.obs, a], -1), len(a)).squeeze(-1)          # [R, B] the first twins
    lam = cfg.alpha_bc / q1.detach().abs().mean(1)
    bc = (a - b.action).square().mean((1, 2))
    return bc - lam * q1.mean(1), bc, q1.mean(1)


def td3bc(cfg: TD3BCConfig, data, rng: np.random.Generator, every: int = 10, sampler=None, low=None,
          high=None) -> Generator[TD3BCSnapshot, TD3BCConfig | None, None]:
    """TD3+BC on the sampled transitions, R runs at once.  `data sampler low high`: see `Minibatches`."""
    gen = generator(rng)
    batches = Minibatches(data, cfg.runs, rng, sampler, cfg.reward_scale, low, high)
    R, F, A, H = cfg.runs, batches.F, batches.A, cfg.hidden
    pi, q = MLP(R, (F, H, H, A), gen), MLP(2 * R, (F + A, H, H, 1), gen)
    pi_target, q_target = pi.copy(), q.copy()
    opt_q, opt_pi = adam([q.flat], lr=cfg.lr), adam([pi.flat], lr=cfg.lr)
    for step in range(1, cfg.steps + 1):
        b = batches.draw(cfg.batch)
        opt_q.param_groups[0]["lr"] = opt_pi.param_groups[0]["lr"] = cfg.lr
        opt_q.zero_grad()
        noise = torch.randn(R, cfg.batch, A, generator=gen)
        q_loss = td3bc_q_loss(cfg, b, noise, q, q_target, pi_target)
        q_loss.sum().backward()
        opt_q.step()
        if (step - 1) % cfg.delay == 0:                                   # the actor sees a critic that has settled
            opt_pi.zero_grad()
            pi_loss, bc_loss, q_mean = td3bc_pi_losses(cfg, b, q, pi)
            pi_loss.sum().backward()
            opt_pi.step()
            pi_target.follow(pi, cfg.rate)
            q_target.follow(q, cfg.rate)
        if step % every == 0 or step == cfg.steps:
            numbers = (x.detach().numpy() for x in (q_loss, pi_loss, bc_loss, q_mean / batches.scale))
            cfg = accept((yield TD3BCSnapshot(step, *numbers, batches.policy(pi))), cfg)
