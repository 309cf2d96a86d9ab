"""What the entropy mechanism says of language models, measured on one of 110,000 parameters that learns Countdown.

All runs start from the same pretrained weights; a seed changes prompts and answers. The statistical claims are short
runs of two, for a table within seconds: directions that hold for every run. The slow ones are runs of the full length,
five at a time, with two standard errors. Learning rate 6e-4 and 64 prompts · 8 answers in 4 minibatches where nothing
else is said. What the paper says and what is so here are told apart in the words of each claim.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from rlkit.claims import Measured, above, below, claim, every, near, not_here
from rlkit.papers.entropy_law import foresee, law
from rlkit.policies import entropy_step

CUI = "Cui et al. 2025"
SHORT = dict(runs=2, steps=50, evaluation=128)
FULL = dict(runs=5, steps=300, evaluation=256)
KL, CLIP = dict(method="kl-cov", kl_share=0.3), dict(method="clip-cov", clip_share=0.05)
CURVES = ("entropy", "reward", "greedy", "pass8", "pass16")


@cache
def _history(seed: int, look: int = 10, **settings) -> tuple:
    """The snapshots of a run, kept: several claims read the same one."""
    from rlkit.papers.entropy_language import Config, entropy_language  # here, since it waits for torch
    return tuple(entropy_language(Config(**settings), np.random.default_rng([seed, 2505]), look))


def _curves(seed: int, settings: dict, **more) -> dict[str, np.ndarray]:
    """Name -> [T, R], row 0 before the first rollout."""
    history = _history(seed, **settings | more)
    return {name: np.array([getattr(s, name) for s in history], float) for name in CURVES}


def _each(name: str, holds, value, expected: str) -> tuple[str, Measured]:
    """Something that is to hold in every run.  holds, value: [R]."""
    value = ", ".join(f"{v:.3g}" for v in np.ravel(value))
    return name, Measured(value, expected, "strict", "in every run", bool(np.all(holds)))


def _mean_over(x, floor: float) -> Measured:
    """The mean of a few runs above the floor: single runs scatter by a tenth, too few of them for an error."""
    return Measured(f"{x.mean():.3g}", f"> {floor}", "strict", f"mean of {len(x)} runs", bool(x.mean() > floor))


def _higher(name: str, x, y) -> tuple[str, Measured]:
    """Mean of x above the mean of y by two standard errors of the difference.  x, y: [R] independent runs."""
    gap, se = x.mean() - y.mean(), np.sqrt(x.var(ddof=1) / len(x) + y.var(ddof=1) / len(y))
    return name, Measured(f"{x.mean():.3f} against {y.mean():.3f}", "higher", f"{2 * se:.2g}",
                          f"two standard errors, {len(x)} runs each", bool(gap > 2 * se))


# ---- short runs

@claim(paper=CUI + ", section 2", scale="statistical", minutes=0.2,
       says="with nothing to protect it, entropy falls by more than two fifths while pass@1 more than doubles")
def entropy_is_spent_for_reward(seed):
    c = _curves(seed, SHORT)
    H, R = c["entropy"], c["reward"]
    return every(_each("entropy at the end ÷ at the start", H[-1] < 0.6 * H[0], H[-1] / H[0], "< 0.6"),
                 ("pass@1 at the end ÷ at the start", _mean_over(R[-1] / R[0], 2)),
                 _each("pass@16: end - start", c["pass16"][-1] < c["pass16"][0], c["pass16"][-1] - c["pass16"][0],
                       "< 0"))


@claim(paper=CUI + ", section 2", scale="statistical", minutes=0.1,
       says="most of it goes early: the first half of a run takes more than 60 % of the fall, and gives more than half "
            "of the gain")
def most_goes_early(seed):
    c = _curves(seed, SHORT)
    half = len(c["entropy"]) // 2
    spent = [(c[k][half] - c[k][0]).mean() / (c[k][-1] - c[k][0]).mean() for k in ("entropy", "reward")]
    return every(_each("share of the fall of entropy", spent[0] > 0.6, spent[0], "> 0.6"),
                 _each("share of the gain of pass@1", spent[1] > 0.5, spent[1], "> 0.5"))


@claim(paper=CUI + ", section 4", scale="statistical", minutes=0.4,
       says="Clip-Cov and KL-Cov, their shares scaled to 300 tokens a minibatch, keep more entropy than GRPO")
def covariance_methods_keep_entropy(seed):
    H = {name: _curves(seed, SHORT, **more)["entropy"][-1] for name, more in
         (("GRPO", {}), ("Clip-Cov, r = .05", CLIP), ("KL-Cov, k = .3", KL))}
    return every(*((f"{name} ÷ GRPO", _mean_over(H[name] / H["GRPO"].mean(), 1)) for name in list(H)[1:]))


@claim(paper=CUI + ", section 4.3; public code",
       says="with one update per rollout KL-Cov is the plain loss, bit for bit: where ρ = 1 its penalty has no slope")
def kl_cov_on_policy_is_the_plain_loss(seed):
    few = SHORT | dict(minibatches=1, prompts=16, steps=3, evaluation=16)
    one, two = (_history(seed, **few | more)[-1] for more in ({}, KL | dict(beta=5.0)))
    return near(np.abs(one.look.pi - two.look.pi).max(), 0.0, 0.0, "the same floating-point numbers")


@claim(paper="ours", scale="statistical", minutes=0.1,
       says="a token of positive advantage cannot have a covariance above (-mean log π)·A_max; so the largest "
            "covariances are rare words in wrong answers, not what is confident and right")
def largest_covariances_are_rare_words_of_wrong_answers(seed):
    wrong, tight = [], []
    for t in (s.tokens for s in _history(seed, **SHORT)[3:]):
        top = np.argsort(-t.cov)[: max(1, len(t.cov) // 50)]
        wrong.append((t.A[top] < 0).mean())
        good = t.A > 0
        mean = (t.logp - t.cov / t.A)[good]                               # mean log π of a token's minibatch
        tight.append((t.cov[good] / (-mean * 2.475)).max())               # A_max of 8 answers: 0.875 √8
    return every(_each("share of the top 2 % in wrong answers", np.mean(wrong) > 0.8, np.mean(wrong), "> 0.8"),
                 _each("largest at positive A ÷ the bound", max(tight) <= 1.001, max(tight), "≤ 1"))


@claim(paper=CUI + ", Lemma 1; second order ours", scale="statistical", minutes=0.1,
       says="with the logits as they really moved, Adam and shared weights included, the lemma gives the change of "
            "entropy: correlation above .9 and slope 1 ± .2; to second order above .99")
def the_lemma_holds_for_the_realised_step(seed):
    pi = np.array([s.look.pi for s in _history(seed, 1, runs=1, steps=30, evaluation=16, lr=1e-4)],
                  float)                                                  # [steps + 1, M, T, V]
    step = entropy_step(pi[:-1], np.diff(np.log(pi), axis=0))
    exact, first, second = (x.mean((1, 2)) for x in step)                 # over the states of the microscope
    agree = [np.corrcoef(x, exact)[0, 1] for x in (first, second)]
    slope = (first * exact).sum() / (first**2).sum()
    return every(_each("correlation", agree[0] > 0.9, agree[0], "> 0.9"),
                 ("slope", near(slope, 1, 0.2, "second order of four steps of Adam")),
                 _each("correlation to second order", agree[1] > 0.99, agree[1], "> 0.99"))


# ---- full length

@claim(paper=CUI + ", section 2; pass@k ours", scale="slow", minutes=1.5,
       says="GRPO more than triples pass@1 of its base model, and loses pass@16 against it")
def grpo_sharpens_and_narrows(seed):
    c = _curves(seed, FULL)
    return every(("pass@1 ÷ base", above(c["reward"][-1] / c["reward"][0], 3)),
                 ("pass@16 - base", below(c["pass16"][-1] - c["pass16"][0], 0)))


@claim(paper=CUI + ", section 4", scale="slow", minutes=3,
       says="Clip-Cov ends above GRPO in entropy and in pass@8")
def clip_cov_ends_above_grpo(seed):
    return _ends_above(seed, CLIP)


@claim(paper=CUI + ", section 4", scale="slow", minutes=3,
       says="KL-Cov (k = .3, β = 2) ends above GRPO in entropy and in pass@8")
def kl_cov_ends_above_grpo(seed):
    return _ends_above(seed, KL | dict(beta=2.0))


def _ends_above(seed, more):
    ours, grpo = _curves(seed, FULL, **more), _curves(seed, FULL)
    return every(*(_higher(name, ours[k][-3:].mean(0), grpo[k][-3:].mean(0)) for name, k in
                   (("entropy", "entropy"), ("pass@8", "pass8"))))


@claim(paper="against " + CUI + ", table 2", scale="slow", minutes=3,
       says="greedy accuracy, of which the paper reports a rise, is here the same under Clip-Cov and under GRPO, after "
            "as many steps")
def greedy_accuracy_is_the_same(seed):
    ours, grpo = (_curves(seed, FULL, **more)["greedy"][-3:].mean(0) for more in (CLIP, {}))
    return near(ours.mean() - grpo.mean(), 0, 0.07, "4 standard errors of five runs, whose spread is .03")


@claim(paper=CUI + ", equation 2", scale="slow", minutes=1.5,
       says="R = -a·e^H + b describes a run of GRPO (R² > .85), and what it reaches is within .05 of the ceiling b - a")
def the_law_describes_grpo(seed):
    c = _curves(seed, FULL)
    fits = [law(H, R) for H, R in zip(c["entropy"].T, c["reward"].T)]
    gap = np.array([f.law.ceiling for f in fits]) - c["reward"][-1]
    return every(("R²", above(np.array([f.r2 for f in fits]), 0.85)),
                 ("ceiling - reached", near(gap.mean(), 0, 0.05, "the claim's")))


@claim(paper="against " + CUI + ", section 2.3", scale="slow", minutes=1.5,
       says="early prediction: here a fit to the first 8 of 31 points foretells too little")
def early_fits_predict_too_low(seed):
    c = _curves(seed, FULL)
    ends = [foresee(H, R, 8) for H, R in zip(c["entropy"].T, c["reward"].T)]
    return below(np.array([e.predicted - e.reached for e in ends if e.law.law is not None]), 0)


@claim(paper="against " + CUI + ", section 4", scale="slow", minutes=3,
       says="the paper's own r = 2e-4 and k = 2e-3 do nothing here: of 300 tokens they take one")
def paper_values_do_nothing(seed):
    return _does_little(seed, ("KL-Cov, k = .002", dict(method="kl-cov", kl_share=0.002)),
                        ("Clip-Cov, r = .0002", dict(method="clip-cov", clip_share=2e-4, cov_low=1.0, cov_high=5.0)))


@claim(paper="against " + CUI + ", section 4", scale="slow", minutes=1.5,
       says="clip-higher is inert here: few tokens reach ρ > 1.2")
def clip_higher_is_inert(seed):
    return _does_little(seed, ("clip-higher .28", dict(method="clip-higher")))


def _does_little(seed, *methods):
    """Of the entropy that Clip-Cov keeps and GRPO does not, less than a third."""
    end = lambda **more: _curves(seed, FULL, **more)["entropy"][-3:].mean(0)          # noqa: E731
    grpo, kept = end(), end(**CLIP)
    return every(*((name, below((end(**more) - grpo.mean()) / (kept.mean() - grpo.mean()), 1 / 3))
                   for name, more in methods))


@claim(paper="against " + CUI + ", section 3.1", scale="slow", minutes=3,
       says="here older tools do as well: an entropy bonus of .1 or a reference divergence of .05 end above GRPO in "
            "pass@8 too")
def older_tools_do_as_well(seed):
    end = lambda **more: _curves(seed, FULL, **more)["pass8"][-3:].mean(0)            # noqa: E731
    return every(_higher("bonus .1", end(alpha=0.1), end()), _higher("reference .05", end(reference=0.05), end()))


@claim(paper="ours", scale="slow", minutes=1.5,
       says="the learning rate is a confound: plain GRPO at a third of it keeps more entropy and ends with a higher "
            "pass@8; at equal pass@1 it has as much of it as Clip-Cov")
def the_learning_rate_is_a_confound(seed):
    slow, fast, ours = _curves(seed, FULL, lr=2e-4), _curves(seed, FULL), _curves(seed, FULL, **CLIP)
    at = 0.3                                                              # pass@1 that all of them pass on their way
    equal = [np.array([np.interp(at, np.maximum.accumulate(R), p) for R, p in zip(c["reward"].T, c["pass8"].T)])
             for c in (slow, ours)]
    gap, se = equal[0].mean() - equal[1].mean(), np.hypot(*(e.std(ddof=1) / len(e) ** 0.5 for e in equal))
    return every(_higher("entropy", slow["entropy"][-3:].mean(0), fast["entropy"][-3:].mean(0)),
                 _higher("pass@8", slow["pass8"][-3:].mean(0), fast["pass8"][-3:].mean(0)),
                 (f"pass@8 at pass@1 = {at}, less Clip-Cov's", near(gap, 0, max(3 * se, 0.08),
                                                                    "3 standard errors, at least .08")))


@claim(paper=CUI + ", section 3.1", scale="slow", minutes=0.5,
       says="too large an entropy bonus explodes: α = .3 ends above 2 nats, with a pass@1 below the base model's")
def too_much_bonus_explodes(seed):
    c = _curves(seed, FULL, steps=100, evaluation=64, alpha=0.3)
    return every(("entropy", above(c["entropy"][-1], 2.0)),
                 ("pass@1 - base", below(c["reward"][-1] - c["reward"][0], 0)))


@claim(paper="ours", scale="slow", minutes=0.5,
       says="on modular sums the law describes the whole run (R² > .8), and foresees nothing of a strategy that is "
            "discovered: from the first 30 rollouts it promises too little by more than .2; and with almost no entropy "
            "left nothing is lost, pass@1 is above .9")
def the_law_does_not_foresee_a_discovery(seed):
    history = _history(seed, 3, task="modular sum", runs=4, steps=150)
    H, R = (np.array([getattr(s, k) for s in history]) for k in ("entropy", "reward"))
    ends = [foresee(h, r, 11) for h, r in zip(H.T, R.T)]
    kept = [e.predicted - e.reached for e in ends if e.law.law is not None]          # where no trade-off is seen, none
    told = below(np.array(kept), -0.2) if len(kept) > 1 else Measured("refused", "< -0.2", "-", "no trade-off", True)
    return every(("R² of the whole run", above(np.array([law(h, r).r2 for h, r in zip(H.T, R.T)]), 0.8)),
                 ("foretold - reached", told), ("pass@1", above(R[-1], 0.9)), ("entropy", below(H[-1], 0.2)))


@claim(paper=CUI + ", table 2", says="on Qwen2.5-7B and 32B, KL-Cov scores 2.0 and 6.4 points above GRPO on average")
def scores_of_large_models(seed):
    return not_here("+2.0 and +6.4 points", "needs models of 7 and 32 billion parameters; the paper gives no seeds")
