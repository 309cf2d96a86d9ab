"""Distributions over actions: from preferences to probabilities, and how random or how different they are.

The last axis is the actions, what comes before is a batch. Logarithms are natural: entropies are in nats.
Source: Cover & Thomas (2006), Elements of Information Theory, chapter 2; Sutton & Barto (2018), chapters 2 and 5.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


def log_softmax(z: np.ndarray) -> np.ndarray:
    """log π(a) = z_a - log Σ_b exp(z_b).

    z: [..., A] logits, no unit; -inf rules an action out. No overflow: the largest logit is subtracted first.
    Gives [..., A].  Raises ValueError where a row holds NaN or +inf, or rules out every action.
    """
    z = np.asarray(z, float)
    top = z.max(-1, keepdims=True)
    if not np.isfinite(top).all():
        at = tuple(map(int, np.argwhere(~np.isfinite(top))[0]))[:-1]
        raise ValueError(f"the logits at {list(at)} have maximum {top[at + (0,)]}, expected a finite one: no NaN, "
                         "no +inf, and at least one action that is not ruled out")
    z = z - top
    return z - np.log(np.exp(z).sum(-1, keepdims=True))


def softmax(z: np.ndarray) -> np.ndarray:
    """π(a) = exp(z_a) / Σ_b exp(z_b).  z: [..., A] logits, -inf rules an action out.  Gives [..., A], rows sum to 1."""
    return np.exp(log_softmax(z))


def greedy(q: np.ndarray, tie: float = 0.0) -> np.ndarray:
    """All probability on the best action; actions within `tie` of it (same unit as q) share it equally.

    q: [..., A].  Gives [..., A].  The limit of softmax(q / τ) as τ falls to 0.
    """
    q = np.asarray(q, float)
    best = q >= q.max(-1, keepdims=True) - tie
    if not best.any(-1).all():
        raise ValueError("q holds NaN, expected numbers")
    return best / best.sum(-1, keepdims=True)


def epsilon_soft(pi: np.ndarray, epsilon: float) -> np.ndarray:
    """A policy that acts at random now and then:  (1 - ε) π(a) + ε / A.  pi: [..., A].  epsilon: ε in [0, 1]."""
    if not 0 <= epsilon <= 1:
        raise ValueError(f"epsilon is {epsilon!r}, expected a probability from 0 to 1")
    pi = np.asarray(pi, float)
    return (1 - epsilon) * pi + epsilon / pi.shape[-1]


def entropy(pi: np.ndarray) -> np.ndarray:
    """H = -Σ_a π(a) log π(a), with 0 log 0 = 0.  pi: [..., A].  Gives [...] nats, from 0 to log A."""
    pi = np.asarray(pi, float)
    return -(pi * np.log(np.where(pi > 0, pi, 1.0))).sum(-1) + 0.0        # + 0.0: no -0.0 on the screen


def kl(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """KL(p || q) = Σ_a p(a) [log p(a) - log q(a)].

    p, q: [..., A], broadcast.  Gives [...] nats, ≥ 0; inf where p does what q never does.
    """
    p, q = np.broadcast_arrays(np.asarray(p, float), np.asarray(q, float))
    log_p, log_q = (np.log(np.where(u > 0, u, 1.0)) for u in (p, q))
    return np.where((p > 0) & (q == 0), np.inf, p * (log_p - log_q)).sum(-1) + 0.0


def cov(pi: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Covariance of x and y under the policy:  Σ_a π(a) (x_a - x̄)(y_a - ȳ),  x̄ = Σ_a π(a) x_a.

    pi, x, y: [..., A], broadcast.  x and y are not read where π(a) = 0, so that x = log π may be -inf there.
    Gives [...], the unit of x times the unit of y.
    """
    pi, x, y = np.broadcast_arrays(*(np.asarray(u, float) for u in (pi, x, y)))
    x, y = (np.where(pi > 0, u, 0.0) for u in (x, y))
    x, y = (u - (pi * u).sum(-1, keepdims=True) for u in (x, y))
    return (pi * x * y).sum(-1)


class EntropyStep(NamedTuple):
    """Change of entropy when logits move: as it is, to first order, to second order [...] nats."""
    exact: np.ndarray
    first: np.ndarray
    second: np.ndarray


def entropy_step(pi: np.ndarray, dz: np.ndarray) -> EntropyStep:
    """What the entropy of π = softmax(z) does when its logits move by Δz.

        ΔH = -Cov_π(log π, Δz) - ½ Var_π(Δz) - ½ E_π[l c²] + O(|Δz|³),   l = log π - E_π[log π],  c = Δz - E_π[Δz]

    The first term is the first order; all three are the second. At a uniform policy the first is 0 and H falls.
    pi, dz: [..., A], broadcast; a constant added to dz changes nothing, and dz is not read where π(a) = 0.
    Source: Cui et al. (2025), Lemma 1; the second order is derived here.
    """
    pi, dz = np.broadcast_arrays(np.asarray(pi, float), np.asarray(dz, float))
    on = pi > 0
    log_pi = np.log(np.where(on, pi, 1.0))
    l, c = (u - (pi * u).sum(-1, keepdims=True) for u in (log_pi, np.where(on, dz, 0.0)))  # noqa: E741
    first = -(pi * l * c).sum(-1)
    second = first - (pi * (1 + l) * c * c).sum(-1) / 2
    after = softmax(np.where(on, log_pi + c, -np.inf))
    return EntropyStep(entropy(after) - entropy(pi), first, second)
