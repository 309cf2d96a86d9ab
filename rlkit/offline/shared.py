"""What the four offline algorithms share: the dataset as minibatches, the frozen policy, the Gaussian.

Observations are standardised with the *unweighted* statistics of the data, so that reweighting changes what is drawn
and not what a network sees. Actions are scaled to [-1, 1]. Rewards are multiplied by one factor. All float32.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch


class Batch(NamedTuple):
    """A minibatch for each run; windows on one gathered block, not copies."""
    obs: torch.Tensor             # [R, B, F] standardised
    action: torch.Tensor          # [R, B, A] in [-1, 1]
    obs_action: torch.Tensor      # [R, B, F+A] both, side by side
    next_obs: torch.Tensor        # [R, B, F]
    reward: torch.Tensor          # [R, B] scaled
    go_on: torch.Tensor           # [R, B] 0 where the episode terminated, else 1: truncation bootstraps


class Minibatches:
    """The dataset packed for drawing.

    data: anything with the attributes of `trajectories.Dataset`.  runs: R.
    sampler: None draws uniformly; else `.draw(rng, n)` gives indices [n], or [G, n] for G groups of R/G successive
    runs each. It is asked anew at each update, so that it may be reweighted in mid-run.
    reward_scale: 0 takes max T_i / (max G - min G), which on tasks of 1000 steps is IQL's 1000/(max G - min G).
    low, high: bounds of the action, numbers or [A]; None takes those of the data's `action_space` where it has a
    bounded one, else the smallest and largest action in the data.
    Raises ValueError where the data cannot be what a continuous offline learner needs.
    """

    def __init__(self, data, runs: int, rng: np.random.Generator, sampler=None, reward_scale: float = 0.0,
                 low=None, high=None):
        self.rng, self.runs, self.sampler, self.groups = rng, runs, sampler, 1
        if sampler is not None:
            shape = np.shape(sampler.draw(rng, 1))
            self.groups = shape[0] if len(shape) == 2 else 1
            if runs % self.groups:
                raise ValueError(f"the sampler serves {self.groups} groups, expected a divisor of runs={runs}; "
                                 f"try runs={self.groups * max(1, runs // self.groups)}")
        if np.asarray(data.action).dtype.kind != "f":
            raise ValueError(f"data.action has dtype {np.asarray(data.action).dtype}, expected floats: these "
                             "algorithms act in a continuous space")
        obs, action, next_obs = (_matrix(getattr(data, name), name) for name in ("obs", "action", "next_obs"))
        self.m, self.F, self.A = len(obs), obs.shape[1], action.shape[1]
        self.mean = obs.mean(0, dtype=np.float64)                         # [F]
        self.std = obs.std(0, dtype=np.float64) + 1e-3                    # [F]; 1e-3: a constant feature stays 0
        self.mid, self.half = _range(action, *_bounds(data, low, high))   # [A]
        self.scale = reward_scale or _reward_scale(data)
        packed = np.empty((self.m, 2 * self.F + self.A + 2), np.float32)  # one row a transition: one gather a minibatch
        end = np.cumsum([self.F, self.A, self.F])
        packed[:, : end[0]] = (obs - self.mean) / self.std
        packed[:, end[0] : end[1]] = (action - self.mid) / self.half
        packed[:, end[1] : end[2]] = (next_obs - self.mean) / self.std
        packed[:, -2] = np.asarray(data.reward, np.float64) * self.scale
        packed[:, -1] = ~np.asarray(data.terminated, bool)
        self.packed = torch.from_numpy(packed)

    def draw(self, n: int) -> Batch:
        """n transitions for each run."""
        R, F, A = self.runs, self.F, self.A
        if self.sampler is None:
            idx = self.rng.integers(self.m, size=R * n)
        else:
            idx = np.asarray(self.sampler.draw(self.rng, R * n // self.groups)).reshape(R * n)
        x = self.packed.index_select(0, torch.from_numpy(idx)).view(R, n, -1)
        return Batch(x[..., :F], x[..., F : F + A], x[..., : F + A], x[..., F + A : 2 * F + A], x[..., -2], x[..., -1])

    def policy(self, net) -> Policy:
        """A photograph of an actor: the mode of its action, as a function of the raw observation."""
        return Policy(net.numpy(), *(a.astype(np.float32) for a in (self.mean, self.std, self.mid, self.half)))


@dataclass(frozen=True)
class Policy:
    """R frozen deterministic policies, a(s) = mid + half · tanh(f(s)), numpy in and numpy out; can be pickled.

    Called with obs [B, F] (all runs see the same) or [R, B, F], gives the action [R, B, A] in the environment's
    units, float32. Training on does not change it.
    """
    layers: tuple                 # ((W [R, in, out], b [R, 1, out]), ...)
    mean: np.ndarray              # [F] of the observations
    std: np.ndarray               # [F]
    mid: np.ndarray               # [A] middle of the action's range
    half: np.ndarray              # [A] half of its width

    def __call__(self, obs: np.ndarray) -> np.ndarray:
        R, F = self.layers[0][0].shape[:2]
        x = np.asarray(obs, np.float32)
        if x.ndim not in (2, 3) or x.shape[-1] != F or (x.ndim == 3 and x.shape[0] != R):
            raise ValueError(f"obs has shape {x.shape}, expected [B, {F}] or [{R}, B, {F}]; "
                             "for one observation use obs[None]")
        x = (x - self.mean) / self.std
        for W, b in self.layers[:-1]:
            x = np.maximum(x @ W + b, 0.0)
        W, b = self.layers[-1]
        return self.mid + self.half * np.tanh((x @ W + b)[..., : len(self.mid)])


def generator(rng: np.random.Generator) -> torch.Generator:
    """torch's generator for the weights and the noise, seeded by numpy's."""
    return torch.Generator().manual_seed(int(rng.integers(2**63)))


def gaussian_logp(a: torch.Tensor, mean: torch.Tensor, log_std: torch.Tensor) -> torch.Tensor:
    """log N(a | mean, σ²) summed over the action:  Σ_A  -((a - mean)/σ)²/2 - log σ - log √2π.   [..., A] -> [...]"""
    z = (a - mean) * torch.exp(-log_std)
    return -(0.5 * z * z + log_std).sum(-1) - 0.5 * math.log(2 * math.pi) * a.shape[-1]


def _matrix(x, name: str) -> np.ndarray:
    x = np.asarray(x)
    x = x[:, None] if x.ndim == 1 else x
    if x.ndim != 2 or not len(x):
        raise ValueError(f"data.{name} has shape {x.shape}, expected [M, n], M > 0; flatten it, x.reshape(len(x), -1)")
    if not np.isfinite(x).all():
        raise ValueError(f"data.{name} has a NaN or infinity in row {np.argwhere(~np.isfinite(x))[0][0]}; drop it")
    return x


def _bounds(data, low, high):
    """The given bounds, else those of a bounded action space, else None."""
    space = getattr(data, "action_space", None)
    known = getattr(space, "low", None) is not None and np.isfinite([space.low, space.high]).all()
    return (low if low is not None or not known else space.low), (high if high is not None or not known else space.high)


def _range(action: np.ndarray, low, high) -> tuple[np.ndarray, np.ndarray]:
    """Middle and half width [A] of the action's range; 1 where the width is 0."""
    A = action.shape[1]
    low, high = (np.broadcast_to(np.asarray(given if given is not None else data, np.float64), A)
                 for given, data in ((low, action.min(0)), (high, action.max(0))))
    slack = 1e-5 * np.maximum(1.0, high - low)
    if (action < low - slack).any() or (action > high + slack).any():
        raise ValueError(f"actions run from {action.min(0)} to {action.max(0)}, outside of low={low}, high={high}; "
                         "give the bounds of the environment, or clip the actions")
    half = (high - low) / 2
    return (low + high) / 2, np.where(half > 0, half, 1.0)


def _reward_scale(data) -> float:
    """max T_i / (max G - min G): 1 where all returns are equal."""
    ret = np.asarray(data.returns, np.float64)
    span = ret.max() - ret.min()
    return float(np.max(data.lengths) / span) if span > 1e-12 * max(1.0, np.abs(ret).max()) else 1.0
