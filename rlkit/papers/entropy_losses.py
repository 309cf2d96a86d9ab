"""Policy-gradient losses for a language model, in one place: each method is the few lines in which it differs.

    A = advantages(reward, "grpo")                                # [..., K] from the K rewards of each prompt
    cov = token_cov(logp, A, mask)                                # who moves the entropy
    loss, touched = policy_loss("kl-cov", logp, logp_old, A, mask, cfg, gen)

    method        advantage A of an answer                loss of a token, ρ = exp(logp - logp_old)
    reinforce     its reward                              -ρ A
    rloo          reward - mean of the other K - 1        -ρ A
    ppo           (reward - batch mean) / batch std       -min(ρ A, clip(ρ, 1 - ε, 1 + ε) A)
    grpo          (reward - group mean) / group std       the same
    clip-higher   as grpo                                 the same with 1 + ε_high above
    clip-cov      as grpo                                 as ppo with ε = 1; and 0 for some tokens of large covariance
    kl-cov        as grpo                                 -ρ A, and + β |logp - logp_old| for the largest covariances

To any of them come, if asked, an entropy bonus -α H and a divergence from a reference model. `logp_old` must come from
the same forward pass as `logp`: another way to compute it differs by rounding, and |·| makes of that a gradient.
Source: Cui et al. (2025), The Entropy Mechanism of RL for Reasoning Language Models, and its public code: covariances
are ranked over the minibatch, at least one token is chosen, no gradient flows through the choice. Shao et al. (2024)
for GRPO (unbiased std), Ahmadian et al. (2024) for RLOO, Yu et al. (2025), DAPO, for clip-higher and the token mean.

Axes: R runs, G prompts, K answers to each, T words. All of torch, all batched over what comes first.
"""

from __future__ import annotations

import torch

METHODS = ("grpo", "clip-higher", "clip-cov", "kl-cov", "ppo", "rloo", "reinforce")
SAFETY = 1.0                                                              # ε of Clip-Cov: ρ is kept in [0, 2]


def advantages(reward: torch.Tensor, method: str) -> torch.Tensor:
    """A of each answer.  reward: [R, G, K], gives [R, G, K].

    With K = 1 a group has no spread: GRPO and RLOO then take the raw reward, as verl does.
    """
    K = reward.shape[-1]
    if method == "reinforce" or (K == 1 and method != "ppo"):
        return reward
    if method == "rloo":
        return (reward - reward.mean(-1, keepdim=True)) * (K / (K - 1))   # = reward - mean of the others
    over = (-2, -1) if method == "ppo" else (-1,)
    std = reward.std(over, keepdim=True)                                  # unbiased: K - 1
    return (reward - reward.mean(over, keepdim=True)) / (std + 1e-6)


def teaches(reward: torch.Tensor, method: str) -> torch.Tensor:
    """Which groups have a gradient, [R, G] bool: for GRPO and its kin and RLOO those not all right or all wrong."""
    if method in ("reinforce", "ppo") or reward.shape[-1] == 1:
        return torch.ones(reward.shape[:-1], dtype=torch.bool)
    return reward.amax(-1) != reward.amin(-1)


def token_cov(logp: torch.Tensor, A: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """(logp_i - mean logp)(A_i - mean A) of every token i, means over the tokens of a run; -inf where mask is 0.

    logp, A, mask: [R, N].  Gives [R, N], without gradient: it chooses, it does not teach.
    """
    with torch.no_grad():
        n = mask.sum(-1, keepdim=True).clamp(min=1)
        x, y = (u - (u * mask).sum(-1, keepdim=True) / n for u in (logp, A))
        return torch.where(mask > 0, x * y, -torch.inf)


def largest(score: torch.Tensor, count: torch.Tensor) -> torch.Tensor:
    """Marks the `count` largest of each row.  score: [R, N], -inf never; count: [R].  Gives [R, N] bool."""
    rank = score.argsort(-1, descending=True).argsort(-1)
    return (rank < count[:, None]) & (score > -torch.inf)


def share(fraction: float, mask: torch.Tensor) -> torch.Tensor:
    """⌊fraction · N⌋ of the N tokens of each run, at least one.  mask: [R, N], gives [R]."""
    return (fraction * mask.sum(-1) + 1e-6).floor().clamp(min=1)          # 1e-6: 0.3 · 10 is 3, not 2.9999


def policy_loss(method: str, logp: torch.Tensor, logp_old: torch.Tensor, A: torch.Tensor, mask: torch.Tensor, cfg,
                gen: torch.Generator | None = None) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean loss over the tokens of each run [R], and the tokens that the method treats apart [R, N] bool.

    logp, logp_old, A, mask: [R, N], tokens of a minibatch laid end to end.  gen: for Clip-Cov's draw.
    cfg has clip_low and clip_high (ε), clip_share (r), cov_low and cov_high (ω), kl_share (k) and beta.
    Raises ValueError for a method it does not know.
    """
    if method not in METHODS:
        raise ValueError(f"method is {method!r}, expected one of {', '.join(map(repr, METHODS))}")
    ratio = (logp - logp_old).exp()
    touched = torch.zeros_like(mask, dtype=torch.bool)
    if method in ("reinforce", "rloo"):
        loss = -ratio * A
    elif method == "kl-cov":
        touched = largest(token_cov(logp, A, mask), share(cfg.kl_share, mask))
        loss = -ratio * A + cfg.beta * touched * (logp - logp_old).abs()
    else:
        low = SAFETY if method == "clip-cov" else cfg.clip_low
        high = {"clip-cov": SAFETY, "clip-higher": cfg.clip_high}.get(method, cfg.clip_low)
        free, clipped = -ratio * A, -ratio.clamp(1 - low, 1 + high) * A
        loss = torch.maximum(free, clipped)
        if method == "clip-cov":
            cov = token_cov(logp, A, mask)
            candidate = (cov > cfg.cov_low) & (cov < cfg.cov_high) & (clipped <= free)  # not already cut by the clip
            lot = torch.where(candidate, torch.rand(mask.shape, generator=gen), -torch.inf)
            touched = largest(lot, share(cfg.clip_share, mask))
            loss = loss * ~touched                                        # the mean still divides by all N tokens
    return (loss * mask).sum(-1) / mask.sum(-1).clamp(min=1), touched


def reference_kl(logp: torch.Tensor, logp_ref: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Divergence from the reference, Schulman's k3:  mean of exp(d) - d - 1, d = logp_ref - logp.  [R, N] -> [R]."""
    d = logp_ref - logp
    return ((d.exp() - d - 1) * mask).sum(-1) / mask.sum(-1).clamp(min=1)


def pass_at_k(right: torch.Tensor, k: int) -> torch.Tensor:
    """Chance that at least one of k answers is right, without bias from n ≥ k:  1 - C(n-c, k)/C(n, k).

    right: [..., n] bool, c of them true.  Gives [...].
    """
    n = right.shape[-1]
    if not 1 <= k <= n:
        raise ValueError(f"k is {k}, expected 1 to {n}, the number of answers")
    wrong = n - right.sum(-1).double()
    i = torch.arange(k, dtype=torch.float64)
    return 1 - ((wrong[..., None] - i).clamp(min=0) / (n - i)).prod(-1)
