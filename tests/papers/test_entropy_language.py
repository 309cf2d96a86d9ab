"""The tiny language model: its masks and entropies by enumeration, its learner by its promises."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import torch

from rlkit.envs.countdown import Countdown
from rlkit.envs.modular_sum import ModularSum
from rlkit.papers import entropy_language as el
from rlkit.papers import entropy_losses as losses
from rlkit.papers.entropy_language import Config, entropy_language
from rlkit.papers.entropy_model import LM, WARM, Adam, choose, pretrain, sample, warm
from rlkit.preparing import GivenUp, watched

CLOSE = dict(rtol=1e-4, atol=1e-5)
SHORT = Config(runs=2, prompts=12, steps=4, evaluation=16)


class Spoken:
    """Three words and an end, at most three of them: 1 + 3 + 9 + 27·... answers, few enough to list."""
    words = ("a", "b", "c", ".")
    prompt_length, answer_length = 2, 3

    def mask(self, answers):
        ended = np.cumsum(answers == 3, -1)
        return (ended == 0) | ((ended == 1) & (answers == 3))             # up to and including the first end


@pytest.fixture
def spoken():
    gen = torch.Generator().manual_seed(0)
    model = LM(1, Spoken(), gen, width=8, layers=1, heads=2)
    prompt = torch.tensor([[[0, 2]]])
    answers = torch.tensor(list(product(range(4), repeat=3)))[None, None]             # [1, 1, 64, 3] all sequences
    mask = torch.from_numpy(Spoken().mask(answers.numpy())).float()
    keep = [i for i, m in enumerate(mask[0, 0]) if (answers[0, 0, i] * (1 - m)).sum() == 0]    # one for each answer
    return model, prompt, answers[:, :, keep], mask[:, :, keep]


def test_the_probabilities_of_all_answers_sum_to_one_and_their_entropy_is_that_of_their_words(spoken):
    """H(answer) = E Σ_t mask_t H_t, the chain rule: wrong at any position if the mask is."""
    model, prompt, answers, mask = spoken
    with torch.no_grad():
        logp_all = model.logits(prompt, answers).log_softmax(-1)
    logp = logp_all.gather(-1, answers[..., None])[..., 0]
    P = (logp * mask).sum(-1).exp()                                       # [1, 1, 40]
    assert P.sum().item() == pytest.approx(1, abs=1e-5)
    words = -(logp_all.exp() * logp_all).sum(-1)
    assert (P * (words * mask).sum(-1)).sum().item() == pytest.approx(-(P * P.log()).sum().item(), abs=1e-5)


def test_samples_have_the_probabilities_of_the_full_pass_and_the_entropy_of_the_whole_softmax(spoken):
    model, prompt, answers, mask = spoken
    out = sample(model, prompt, 20_000, torch.Generator().manual_seed(1))
    z = model.logits(prompt, out.words).detach().log_softmax(-1)
    torch.testing.assert_close(out.logp, z.gather(-1, out.words[..., None])[..., 0], **CLOSE)
    torch.testing.assert_close(out.entropy, -(z.exp() * z).sum(-1), **CLOSE)
    logp = model.logits(prompt, answers).detach().log_softmax(-1).gather(-1, answers[..., None])[..., 0]
    P = (logp * mask).sum(-1).exp()[0, 0].numpy()
    seen_mask = torch.from_numpy(Spoken().mask(out.words.numpy()))
    code = lambda w, m: (w * m * 4 ** torch.arange(3)).sum(-1) + 64 * m.sum(-1)           # noqa: E731
    said, known = code(out.words, seen_mask.long()).flatten().numpy(), code(answers, mask.long()).flatten().numpy()
    freq = np.array([(said == k).mean() for k in known])
    assert freq.sum() == 1
    assert (np.abs(freq - P) < 5 * np.sqrt(P / 20_000) + 1e-4).all()      # five standard errors


def test_the_gradient_of_the_loss_is_on_average_the_gradient_of_the_expected_reward(spoken):
    """REINFORCE over all answers, weighted by their probabilities, against autograd through Σ_y P(y) r(y)."""
    model, prompt, answers, mask = spoken
    reward = torch.rand(1, 1, answers.shape[2], generator=torch.Generator().manual_seed(2))
    logp = model.logits(prompt, answers).log_softmax(-1).gather(-1, answers[..., None])[..., 0]
    J = ((logp * mask).sum(-1).exp() * reward).sum()
    exact = torch.autograd.grad(J, model.parameters(), retain_graph=True)
    P, N = (logp * mask).sum(-1).exp().detach(), mask.sum()
    A = (P * reward)[..., None].expand_as(mask)                           # the weight of an answer rides on A
    loss, _ = losses.policy_loss("reinforce", logp.flatten(1), logp.detach().flatten(1), A.flatten(1),
                                 mask.flatten(1), Config())
    for ours, theirs in zip(torch.autograd.grad(loss.sum() * N, model.parameters()), exact):
        torch.testing.assert_close(-ours, theirs, **CLOSE)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_what_is_learned_is_the_policy_at_the_temperature_it_was_sampled_at(temperature):
    task, gen = Countdown(4), torch.Generator().manual_seed(3)
    model = LM(1, task, gen)
    x = torch.from_numpy(task.prompts(np.random.default_rng(3), (1, 2)))
    words = sample(model, x, 3, gen, temperature).words
    logp = el._logp(model, x, words, Config(temperature=temperature))[1]
    p = model.logits(x, words).detach().double().numpy()
    p = np.exp(p / temperature) / np.exp(p / temperature).sum(-1, keepdims=True)          # p^(1/T), rescaled
    chosen = np.take_along_axis(p, words.numpy()[..., None], -1)[..., 0]
    assert logp.detach().numpy().ravel() == pytest.approx(np.log(chosen).ravel(), abs=1e-4)


def test_choosing_follows_the_probabilities_and_never_takes_the_impossible():
    logp = torch.tensor([0.0, 0.5, 0.0, 0.2, 0.3, 0.0]).log().expand(50_000, 6)
    share = torch.bincount(choose(logp, torch.Generator().manual_seed(3)), minlength=6) / 50_000
    assert share[[0, 2, 5]].sum() == 0
    assert (share - torch.tensor([0, 0.5, 0, 0.2, 0.3, 0])).abs().max() < 5 * 0.5 / 50_000**0.5
    assert (choose(logp, None, 0) == 1).all()
    colder = torch.bincount(choose(logp, torch.Generator().manual_seed(3), 0.5), minlength=6) / 50_000
    assert colder[1] == pytest.approx(0.25 / 0.38, abs=0.02)              # p² renormalised


def test_the_smallest_random_number_too_falls_on_a_word_that_is_possible(monkeypatch):
    monkeypatch.setattr(torch, "rand", lambda *shape, generator: torch.zeros(shape))
    assert choose(torch.tensor([[0.0, 0.0, 0.4, 0.6]]).log(), None).item() == 2


# ---- the optimiser

def test_adam_is_torchs_adamw_and_who_sits_out_stays():
    gen = torch.Generator().manual_seed(4)
    leaf = torch.randn(2, 7, generator=gen).requires_grad_()
    twin = leaf.detach().clone().requires_grad_()
    ours, theirs = Adam([leaf], decay=0.1), torch.optim.AdamW([twin], lr=0.01, weight_decay=0.1, eps=1e-8)
    for _ in range(5):
        leaf.grad, twin.grad = (0.01 * torch.randn(2, 7, generator=gen) for _ in range(2))
        twin.grad = leaf.grad.clone()
        ours.step(0.01)
        theirs.step()
        torch.testing.assert_close(leaf, twin, rtol=1e-5, atol=1e-6)
    before = leaf.detach().clone()
    leaf.grad = torch.ones(2, 7)
    norm = ours.step(0.01, active=torch.tensor([False, True]), clip=0.5)
    assert torch.equal(leaf[0], before[0]) and not torch.equal(leaf[1], before[1])
    assert norm.tolist() == pytest.approx([7**0.5] * 2)
    leaf.grad = 0.01 * torch.randn(2, 7, generator=gen)                   # at work again, with the moments of before
    twin.grad = leaf.grad.clone()
    ours.step(0.01)
    theirs.step()
    torch.testing.assert_close(leaf[0], twin[0], rtol=1e-5, atol=1e-6)


# ---- the learner

def last(cfg, seed=0, every=100, **kw):
    *_, snap = entropy_language(cfg, np.random.default_rng(seed), every, **kw)
    return snap


def test_entropy_is_a_mean_over_the_words_up_to_the_end_of_an_answer():
    snap = last(replace(SHORT, task="modular sum", steps=1, runs=1, evaluation=el.PROBES))
    mask = ModularSum().mask(snap.look.words)
    assert 0.2 < mask.mean() < 1
    assert snap.entropy[0] == pytest.approx(((snap.look.entropy * mask).sum(-1) / mask.sum(-1)).mean(), rel=1e-5)


def same(a, b):
    pairs = [*zip(a[1:-2], b[1:-2]), *zip(a.tokens, b.tokens), *zip(a.look, b.look)]
    return all(np.array_equal(x, y) for x, y in pairs)


def test_looking_more_often_does_not_change_what_is_learned_and_a_seed_gives_the_same_bits():
    assert same(last(SHORT, every=1), last(SHORT, every=3))
    assert not same(last(SHORT), last(SHORT, seed=1))


def test_a_model_that_has_not_moved_is_measured_the_same_twice():
    first, *_, final = entropy_language(replace(SHORT, lr=1e-30), np.random.default_rng(0), 2)
    assert all(map(np.array_equal, first[1:7], final[1:7])) and all(map(np.array_equal, first.look, final.look))


def test_with_one_update_a_rollout_kl_cov_is_grpo_bit_for_bit_and_with_two_it_is_not():
    grpo, kl = replace(SHORT, minibatches=1), replace(SHORT, minibatches=1, method="kl-cov", beta=5.0)
    a, b = last(grpo), last(kl)
    assert np.array_equal(a.look.pi, b.look.pi) and b.tokens.touched.any()
    a, b = (last(replace(c, minibatches=2, lr=3e-3)) for c in (grpo, kl))
    assert not np.array_equal(a.look.pi, b.look.pi)


def test_old_log_probabilities_are_the_same_numbers_as_the_new_until_the_policy_moves(monkeypatch):
    """Computed by the sampler they would differ by rounding, and |logp - logp_old| would make a gradient of it."""
    seen, true_loss = [], losses.policy_loss

    def spy(method, logp, logp_old, *rest):
        seen.append((logp - logp_old).abs().max().item())
        return true_loss(method, logp, logp_old, *rest)

    monkeypatch.setattr(losses, "policy_loss", spy)
    last(replace(SHORT, lr=1e-30))                                        # too small to move a float32
    assert len(seen) > 4 and max(seen) == 0


def test_groups_are_dealt_once_each_and_only_those_that_teach():
    teaches = torch.rand(3, 20, generator=torch.Generator().manual_seed(5)) < torch.tensor([0.1, 0.5, 0.9])[:, None]
    dealt = [[] for _ in range(3)]
    for index, valid in el._minibatches(teaches, 4, torch.Generator().manual_seed(6)):
        assert index.shape == valid.shape
        for r in range(3):
            dealt[r] += index[r][valid[r]].tolist()
    assert [sorted(d) for d in dealt] == [torch.nonzero(t)[:, 0].tolist() for t in teaches]


def test_where_every_answer_is_wrong_nothing_is_learned_and_entropy_is_that_of_even_words():
    zeros = [np.zeros_like(w) for w in warm()]
    first, *_, final = entropy_language(SHORT, np.random.default_rng(0), 1, zeros)
    assert (final.groups == [1, 0, 0]).all() and len(final.tokens.cov) == 0
    assert final.entropy == pytest.approx(np.full(2, np.log(74)), abs=1e-5)
    assert np.array_equal(first.look.pi, final.look.pi)


def test_a_live_knob_acts_on_the_next_rollout_and_one_that_restarts_is_refused():
    learner = entropy_language(SHORT, np.random.default_rng(0), 1)
    next(learner)
    moved = learner.send(replace(SHORT, alpha=0.4, lr=3e-3, method="clip-cov"))
    assert not np.array_equal(moved.look.pi, last(replace(SHORT, steps=1)).look.pi)
    with pytest.raises(ValueError, match="size"):
        learner.send(replace(SHORT, size=5))


def test_a_rescue_is_clip_cov_from_its_rollout_on():
    cfg = replace(SHORT, steps=3, lr=3e-3, rescue=2)
    learner = entropy_language(replace(cfg, rescue=0), np.random.default_rng(0), 1)
    for _ in range(3):
        snap = next(learner)                                              # before the first, and two of GRPO
    snap = learner.send(replace(cfg, rescue=0, method="clip-cov"))
    assert same(snap, last(cfg)) and snap.tokens.touched.any()


def test_an_entropy_bonus_raises_entropy():
    cfg = replace(SHORT, lr=1e-3, steps=8)
    assert (last(replace(cfg, alpha=0.4)).entropy > last(cfg).entropy).all()


def test_the_reference_holds_the_policy_where_it_began():
    cfg = replace(SHORT, lr=1e-3, steps=8)
    begin, free = next(entropy_language(cfg, np.random.default_rng(0))), last(cfg)
    held = last(replace(cfg, reference=5.0))
    moved = [np.abs(s.look.pi - begin.look.pi).sum() for s in (held, free)]
    assert moved[0] < moved[1]


@pytest.mark.parametrize("method", losses.METHODS)
def test_every_method_runs_and_gives_a_covariance_for_each_real_token(method):
    snap = last(replace(SHORT, method=method, temperature=0.9, alpha=0.01, reference=0.01))
    taught = SHORT.runs * SHORT.prompts if method in ("ppo", "reinforce") else snap.groups[:, 1].sum() * SHORT.prompts
    assert [len(u) for u in snap.tokens] == [round(taught) * SHORT.K * 5] * 5
    assert np.isfinite(snap.tokens.cov).all() and snap.tokens.touched.any() == (method in ("clip-cov", "kl-cov"))
    assert snap.look.pi.sum(-1) == pytest.approx(np.ones((6, 5)), abs=1e-5)


# ---- the warm start

def test_the_shipped_model_is_small_and_knows_the_task_a_little():
    assert WARM.stat().st_size < 300_000
    cfg = Config(runs=1, steps=1, evaluation=128)
    snap = next(entropy_language(cfg, np.random.default_rng(0)))
    assert 0.06 < snap.reward[0] < 0.2 and snap.pass16[0] > 0.6 and 0.6 < snap.entropy[0] < 1.0
    task = Countdown()
    prompts, probe = snap.look.prompts, snap.look.probe
    assert task.verify(prompts, probe).all()
    assert np.array_equal(task.verify(prompts[:, None], snap.look.words), snap.look.right)


def test_on_modular_sums_the_shipped_model_mostly_guesses_and_rests_are_not_counted():
    cfg = Config(task="modular sum", runs=1, steps=2, prompts=16, evaluation=128)
    first, *_, final = entropy_language(cfg, np.random.default_rng(0), 2)
    guesses = first.look.pi[:, 0, 10]                                     # the first word is ">"
    assert 0.35 < first.reward[0] < 0.6 and (guesses > 0.7).all()
    taught = final.groups[0, 1] * cfg.prompts * cfg.K
    assert 2 * taught <= len(final.tokens.cov) < 4 * taught               # a guess has two words, and most are guesses
    assert (final.tokens.word != 13).all()


def test_lessons_make_a_model_better_at_what_they_show():
    model = LM(2, Countdown(), torch.Generator().manual_seed(0), width=16, layers=1, heads=2)
    lessons = pretrain(model, Countdown(), np.random.default_rng(0), steps=100, batch=64, lr=2e-2)
    seen = np.array([loss for _, loss in lessons])                        # [steps, n]
    kinds = (3 * np.log(9) + 2 * np.log(3)) / 5                           # who knows where numbers and signs stand
    assert (seen[0] > np.log(74) - 0.5).all() and (seen[-10:].mean(0) < kinds + 0.1).all()


def test_a_lesson_is_taught_once_and_every_run_begins_where_it_left(monkeypatch):
    taught = []
    monkeypatch.setattr(el, "pretrain", lambda *args: taught.append(1) or pretrain(*args))
    cfg = Config(lessons=4, width=16, layers=1, runs=2, steps=2, prompts=8, evaluation=16, seed=73)
    first, again = (list(entropy_language(cfg, np.random.default_rng(cfg.seed), 1)) for _ in range(2))
    assert len(taught) == 1
    for a, b in zip(first, again, strict=True):
        np.testing.assert_array_equal(a.entropy, b.entropy)               # learning has not changed the lesson
    list(entropy_language(replace(cfg, lessons=5), np.random.default_rng(cfg.seed), 1))
    assert len(taught) == 2


@pytest.mark.parametrize("task", ["countdown", "modular sum"])
def test_lessons_are_counted_aloud_and_those_that_were_given_up_leave_no_trace(task):
    cfg = Config(task=task, lessons=12, width=16, layers=1, runs=1, steps=1, prompts=8, evaluation=16, seed=74)
    begin = lambda: next(entropy_language(cfg, np.random.default_rng(cfg.seed)))  # noqa: E731
    heard = []

    def enough(words):
        heard.append(words)
        if words == "lesson 4 of 12":
            raise GivenUp

    with watched(enough), pytest.raises(GivenUp):
        begin()
    assert heard == [f"lesson {k} of 12" for k in range(1, 5)]
    with watched(heard.append):
        begun = begin()
    assert heard[4:16] == [f"lesson {k} of 12" for k in range(1, 13)]
    assert heard[16:] == ["later lesson 1 of 1"] * (task == "modular sum")
    el._taught.cache_clear()
    np.testing.assert_array_equal(begun.entropy, begin().entropy)


@pytest.mark.parametrize("task", ["countdown", "modular sum"])
def test_a_model_of_any_size_can_be_taught_anew_and_knows_little_after_three_lessons(task):
    cfg = Config(task=task, lessons=3, width=32, layers=1, runs=1, steps=1, prompts=8, evaluation=16)
    first = next(entropy_language(cfg, np.random.default_rng(0)))
    words = {"countdown": 74, "modular sum": 14}[task]
    assert first.look.pi.shape[-1] == words and 0.7 * np.log(words) < first.entropy[0] <= np.log(words)


def test_different_right_answers_are_counted_once_each():
    words = torch.tensor([[[[1, 2], [1, 2], [3, 4], [5, 6]], [[1, 2]] * 4]])
    right = torch.tensor([[[True, True, True, False], [False] * 4]])
    assert el._ways(words, right).tolist() == [1.0]                       # two, and none


def test_a_single_minibatch_teaches_too():
    """Its old log-probabilities are those of its own forward pass: held fixed, or the ratio would have no slope."""
    cfg = Config(steps=1, minibatches=1, prompts=16, runs=1, evaluation=8)
    before, after = (s.look.pi for s in entropy_language(cfg, np.random.default_rng(2), 1))
    assert np.abs(after - before).max() > 1e-4
