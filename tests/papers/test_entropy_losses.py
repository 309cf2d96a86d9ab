"""The losses against their definitions, written out token by token, and against their limits."""

import math
from itertools import combinations

import numpy as np
import pytest
import torch

from rlkit.papers import entropy_losses as losses
from rlkit.papers.entropy_language import Config


def batch(R=2, N=40, seed=0, drift=0.3):
    gen = torch.Generator().manual_seed(seed)
    logp_old = -3 * torch.rand(R, N, generator=gen)
    logp = (logp_old + drift * torch.randn(R, N, generator=gen)).requires_grad_()
    A = torch.randn(R, N, generator=gen)
    mask = (torch.rand(R, N, generator=gen) < 0.8).float()
    return logp, logp_old, A, mask


def expected_loss(method, logp, logp_old, A, mask, cfg):
    """One run, plain Python, from the definitions; Clip-Cov and KL-Cov apart."""
    low, high = cfg.clip_low, cfg.clip_high if method == "clip-higher" else cfg.clip_low
    total = 0.0
    for x, old, a, m in zip(*(u.tolist() for u in (logp, logp_old, A, mask))):
        rho = math.exp(x - old)
        gain = rho * a if method in ("reinforce", "rloo") else min(rho * a, min(max(rho, 1 - low), 1 + high) * a)
        total += -gain * m
    return total / sum(mask.tolist())


@pytest.mark.parametrize("method", ["grpo", "ppo", "clip-higher", "rloo", "reinforce"])
def test_each_loss_is_its_definition_and_masked_tokens_have_no_gradient(method):
    logp, old, A, mask = batch()
    loss, touched = losses.policy_loss(method, logp, old, A, mask, Config())
    for r in range(2):
        expected = expected_loss(method, logp[r], old[r], A[r], mask[r], Config())
        assert loss[r].item() == pytest.approx(expected, 1e-4, 1e-6)
    loss.sum().backward()
    assert (logp.grad[mask == 0] == 0).all() and not touched.any()


def test_kl_cov_holds_the_tokens_of_largest_covariance_and_only_those():
    logp, old, A, mask = batch()
    cfg = Config(kl_share=0.2, beta=0.7)
    loss, touched = losses.policy_loss("kl-cov", logp, old, A, mask, cfg)
    for r in range(2):
        real = mask[r] > 0
        x, a = logp[r][real].detach().numpy(), A[r][real].numpy()
        cov = (x - x.mean()) * (a - a.mean())
        count = int(0.2 * real.sum())
        held = np.zeros(len(cov), bool)
        held[np.argsort(-cov)[:count]] = True
        assert touched[r][real].tolist() == held.tolist() and not touched[r][~real].any()
        d = x - old[r][real].numpy()
        assert loss[r].item() == pytest.approx((-np.exp(d) * a + 0.7 * held * np.abs(d)).mean(), 1e-4)


def test_clip_cov_takes_the_gradient_of_some_tokens_within_the_bounds_and_divides_by_all():
    logp, old, A, mask = batch(N=400, drift=0.1)
    cfg = Config(clip_share=0.1, cov_low=0.2, cov_high=1.0)
    loss, touched = losses.policy_loss("clip-cov", logp, old, A, mask, cfg, torch.Generator().manual_seed(1))
    loss.sum().backward()
    cov = losses.token_cov(logp, A, mask)
    assert (touched.sum(1) == (0.1 * mask.sum(1)).floor()).all()
    assert ((cov[touched] > 0.2) & (cov[touched] < 1.0)).all()
    assert (logp.grad[touched] == 0).all()
    free = (mask > 0) & ~touched                                          # ε = 1: the clip cuts none of these
    torch.testing.assert_close(logp.grad[free], (-(logp - old).exp() * A / mask.sum(1, keepdim=True)).detach()[free])


def test_clip_cov_takes_none_that_the_clip_has_already_cut():
    """All that may be taken are: those within the bounds, but for ρ > 2 with a positive advantage: no slope there."""
    logp, old, A, mask = batch(N=400, drift=1.5)
    cfg = Config(clip_share=1.0, cov_low=0.1, cov_high=1.0)
    _, touched = losses.policy_loss("clip-cov", logp, old, A, mask, cfg, torch.Generator().manual_seed(1))
    cov = losses.token_cov(logp, A, mask)
    within, cut = (cov > 0.1) & (cov < 1.0), ((logp - old).exp() > 2) & (A > 0)
    assert (within & cut).sum() > 10 and (touched == (within & ~cut)).all()


def test_which_tokens_clip_cov_takes_is_a_lot_that_is_even_over_the_candidates():
    logp, old, A, mask = batch(R=1, N=60, drift=0.0)
    cfg, gen = Config(clip_share=0.1, cov_low=0.2, cov_high=20.0), torch.Generator().manual_seed(2)
    draws = torch.stack([losses.policy_loss("clip-cov", logp, old, A, mask, cfg, gen)[1][0] for _ in range(2000)])
    candidates = losses.token_cov(logp, A, mask)[0] > 0.2
    expected = int(0.1 * mask.sum()) / candidates.sum().item()
    freq = draws.float().mean(0)
    assert (freq[~candidates] == 0).all()
    assert (freq[candidates] - expected).abs().max() < 5 * (expected / 2000) ** 0.5       # five standard errors


def test_doubling_the_padding_changes_nothing():
    """Padding holds the most tempting values: huge log-probabilities and advantages, masked."""
    logp, old, A, mask = batch()
    pad = lambda u, value: torch.cat([u.detach(), torch.full_like(u, value)], 1)          # noqa: E731
    wide = pad(logp, 50.0), pad(old, 50.0), pad(A, 1000.0), pad(mask, 0.0)
    for method in losses.METHODS:
        if method == "clip-cov":                                          # its lot is longer: same law, other draw
            continue
        one, two = (losses.policy_loss(method, *b, Config()) for b in ((logp, old, A, mask), wide))
        torch.testing.assert_close(one[0], two[0])
        assert torch.equal(one[1], two[1][:, :40]) and not two[1][:, 40:].any()


def test_at_least_one_token_is_chosen_and_none_where_nothing_is_real():
    logp, old, A, mask = batch()
    mask[1] = 0
    for method in ("kl-cov", "clip-cov"):
        cfg = Config(kl_share=1e-6, clip_share=1e-6, cov_low=-100, cov_high=100)
        loss, touched = losses.policy_loss(method, logp, old, A, mask, cfg)
        assert touched.sum(1).tolist() == [1, 0]
        assert loss.isfinite().all() and loss[1] == 0


def test_kl_cov_has_no_gradient_of_its_own_before_the_policy_has_moved():
    old = torch.full((1, 8), -1.0)
    A, mask = torch.linspace(-1, 1, 8)[None], torch.ones(1, 8)
    grads = []
    for method in ("kl-cov", "rloo"):                                     # rloo's loss is the unclipped -ρA
        logp = old.clone().requires_grad_()
        losses.policy_loss(method, logp, old, A, mask, Config(kl_share=1.0))[0].sum().backward()
        grads.append(logp.grad)
    assert torch.equal(*grads)


def test_no_gradient_flows_through_the_covariance():
    logp, _, A, mask = batch()
    assert not losses.token_cov(logp, A, mask).requires_grad


# ---- advantages

def test_grpo_of_one_success_in_eight_is_the_largest_there_is():
    reward = torch.zeros(1, 1, 8)
    reward[..., 3] = 1
    A = losses.advantages(reward, "grpo")
    assert A.max().item() == pytest.approx(0.875 / (1 / 8) ** 0.5, 1e-4)  # unbiased std of one 1 in eight: √(1/8)
    every = torch.tensor([[[(i >> j) & 1 for j in range(8)] for i in range(1, 255)]]).float()
    assert losses.advantages(every, "grpo").max() == A.max()


def test_rloo_is_the_reward_minus_the_mean_of_the_others():
    reward = torch.rand(2, 3, 5)
    A = losses.advantages(reward, "rloo")
    for k in range(5):
        others = reward[..., [j for j in range(5) if j != k]].mean(-1)
        torch.testing.assert_close(A[..., k], reward[..., k] - others)


def test_groups_all_right_or_all_wrong_teach_nothing_and_a_single_answer_has_its_raw_reward():
    reward = torch.tensor([[[1.0, 1, 1], [0, 0, 0], [0, 1, 0]]])
    for method in ("grpo", "rloo"):
        assert (losses.advantages(reward, method)[0, :2] == 0).all()
        assert losses.teaches(reward, method).tolist() == [[False, False, True]]
        assert torch.equal(losses.advantages(reward[..., :1], method), reward[..., :1])
    assert losses.teaches(reward, "ppo").all()


# ---- what is measured

def test_pass_at_k_is_the_share_of_the_subsets_that_hold_a_right_answer():
    right = torch.rand(6, 9, generator=torch.Generator().manual_seed(3)) < 0.3
    for k in (1, 4, 9):
        expected = [np.mean([any(row[j] for j in c) for c in combinations(range(9), k)]) for row in right.tolist()]
        torch.testing.assert_close(losses.pass_at_k(right, k), torch.tensor(expected, dtype=torch.float64))
    with pytest.raises(ValueError, match="expected 1 to 9"):
        losses.pass_at_k(right, 10)


def test_the_divergence_is_that_of_the_two_distributions_on_average():
    """E_π[k3] = KL(π || π_ref), by enumeration of the words."""
    gen = torch.Generator().manual_seed(4)
    p, q = torch.rand(7, generator=gen).softmax(0), torch.rand(7, generator=gen).softmax(0)
    k3 = losses.reference_kl(p.log()[:, None], q.log()[:, None], torch.ones(7, 1))
    assert (p * k3).sum().item() == pytest.approx((p * (p / q).log()).sum().item(), 1e-4)


def test_an_unknown_method_is_refused_with_those_there_are():
    with pytest.raises(ValueError, match="kl-cov"):
        losses.policy_loss("dapo", *batch(), Config())


def test_ppo_centres_over_all_answers_of_a_run():
    r = torch.rand(2, 3, 4, generator=torch.Generator().manual_seed(0))
    flat = r.double().numpy().reshape(2, -1)
    expected = (flat - flat.mean(1, keepdims=True)) / (flat.std(1, ddof=1, keepdims=True) + 1e-6)
    assert losses.advantages(r, "ppo").numpy().reshape(2, -1) == pytest.approx(expected, abs=1e-5)
    assert losses.teaches(r, "ppo").tolist() == [[True] * 3] * 2          # every group, whatever its spread
