"""Behaviour cloning: do what the data did. With weighted sampling, what the *weighted* data did.

Reference point of every offline method: no value, no reward, only  a ≈ π(s)  over the sampled transitions.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch

from rlkit.config import accept, check, knob
from rlkit.nets import MLP, adam
from rlkit.offline.shared import Minibatches, Policy, gaussian_logp, generator


@dataclass(frozen=True)
class BCConfig:
    lr: float = knob(1e-3, 1e-5, 1e-1, log=True, symbol="lr", says="Adam's step", above=0, step=True)
    batch: int = knob(256, 16, 1024, log=True, says="transitions a minibatch", least=1)
    loss: str = knob("mse", says="mse: mean action; nll: Gaussian likelihood", choices=("mse", "nll"), restart=True)
    steps: int = knob(2000, 100, 20_000, log=True, says="updates", restart=True, least=1)
    runs: int = knob(1, 1, 32, symbol="R", says="independent seeds at once", restart=True, least=1)
    hidden: int = knob(64, 8, 256, log=True, says="width of the two hidden layers", restart=True, most=4096, least=1)
    __post_init__ = check


class BCSnapshot(NamedTuple):
    step: int
    loss: np.ndarray              # [R] of this update's minibatch
    policy: Policy


def bc_loss(cfg: BCConfig, b, pi, log_std: torch.Tensor) -> torch.Tensor:
    """Loss [R] of each run's minibatch.

        mse:  mean_{B,A} (tanh f(s) - a)²          nll:  -mean_B log N(a | tanh f(s), σ²),  one σ per action dimension
    """
    mean = torch.tanh(pi(b.obs))                                          # [R, B, A]
    if cfg.loss == "mse":
        return (mean - b.action).square().mean((1, 2))
    return -gaussian_logp(b.action, mean, log_std).mean(1)


def bc(cfg: BCConfig, data, rng: np.random.Generator, every: int = 10, sampler=None, low=None,
       high=None) -> Generator[BCSnapshot, BCConfig | None, None]:
    """Behaviour cloning of the sampled transitions, R runs at once.  `data sampler low high`: see `Minibatches`."""
    gen = generator(rng)
    batches = Minibatches(data, cfg.runs, rng, sampler, 1.0, low, high)
    pi = MLP(cfg.runs, (batches.F, cfg.hidden, cfg.hidden, batches.A), gen)
    log_std = torch.zeros(cfg.runs, 1, batches.A, requires_grad=True)     # log σ
    opt = adam([pi.flat] if cfg.loss == "mse" else [pi.flat, log_std], lr=cfg.lr)
    for step in range(1, cfg.steps + 1):
        opt.param_groups[0]["lr"] = cfg.lr
        opt.zero_grad()
        loss = bc_loss(cfg, batches.draw(cfg.batch), pi, log_std)
        loss.sum().backward()                                             # a sum: each run gets its own gradient
        opt.step()
        if step % every == 0 or step == cfg.steps:
            cfg = accept((yield BCSnapshot(step, loss.detach().numpy(), batches.policy(pi))), cfg)
