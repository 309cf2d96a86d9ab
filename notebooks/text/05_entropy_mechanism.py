# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 5. The entropy mechanism
#
# **The question.** A language model practises on problems that a program can check. It gets better, and surer; after a while it
# always says the same thing, and stops getting better. Its randomness was what it learned with, and it has spent it. *Where did the
# entropy go, step by step, and can it be kept without giving up the reward?*
#
# **You will learn** why a policy that learns from right and wrong runs out of randomness, as one covariance · what is exact in that
# account and what is only a sign · a law that ties reward to entropy, R = -a e^H + b, where it holds and where it misleads · two remedies
# that hold back a few tokens, Clip-Cov and KL-Cov, and how the old ones (entropy bonus, reference KL) compare.  **60 minutes.**
# Paper: Cui et al., *The Entropy Mechanism of Reinforcement Learning for Reasoning Language Models*, 2025, arXiv 2505.22617.
#
# Run the next cell, then press **Run**.

# %% tags=["hide-input"]
import numpy as np
from rlkit import figures, live
from rlkit.envs.countdown import Countdown
from rlkit.envs.modular_sum import ModularSum
from rlkit.papers import entropy_language as el
from rlkit.papers.entropy_law import foresee, law

TASKS = {"countdown": Countdown(), "modular sum": ModularSum()}

# %% tags=["hide-input"]
def against_entropy(history):
    H, R = (np.array([getattr(s, k) for s in history]) for k in ("entropy", "reward"))            # [T, R]
    found = law(H.mean(1), R.mean(1))
    dots = dict(type="scatter", mode="markers", x=H.ravel(), y=R.ravel(), name="a run, now and then", showlegend=False,
                marker=dict(size=6, color=figures.OURS, opacity=np.repeat(np.linspace(.25, 1, len(H)), H.shape[1])))
    note = dict(x=max(1.0, 1.05 * H.max()), y=.68, xanchor="left", yanchor="top", align="left", text=found.words.replace(", ceiling", "<br>ceiling"), font=dict(size=11))
    pane = figures.Pane("Reward against entropy", [dots],
                        figures.axis("entropy H, nats (runs out →)", max(1.0, 1.05 * H.max()), 0), figures.axis("pass@1", 0, 0.7, grid=True), notes=[note])
    if found.law is None:
        return pane
    x = np.linspace(0, H.max(), 40)
    curve = dict(type="scatter", mode="lines", x=x, y=found.law.at(x), name="fitted law", line=dict(color=figures.EXACT, dash="dot", width=2))
    pane = figures.level(pane._replace(traces=[dots, curve]), min(found.law.ceiling, 1), "bound")
    return pane._replace(notes=[note, dict(pane.notes[1], text="its ceiling")])

# %% tags=["hide-input"]
def covariances(snap):
    edges = np.linspace(-4, 6, 41)
    count = lambda c: np.histogram(np.clip(c, -3.99, 5.99), edges)[0]                             # noqa: E731
    bars = [dict(type="bar", x=(edges[1:] + edges[:-1]) / 2, y=count(c), name=name, marker=dict(color=figures.faint(color, .8)), hovertemplate="%{x:.2f}: %{y} tokens")
            for name, color, c in (("all tokens", figures.GHOST, snap.tokens.cov), ("clipped or held", figures.BROKEN, snap.tokens.cov[snap.tokens.touched]))]
    return figures.Pane("Covariances of the tokens", bars, figures.axis("(log π − mean)(A − mean)", -4, 6), figures.axis("tokens", 0.7, 1e4, log=True, grid=True))


def microscope(history, cfg):
    task, m, look = TASKS[cfg.task], cfg.look - 1, history[-1].look
    t = min(cfg.word, look.probe.shape[1]) - 1
    pi = np.array([s.look.pi[m, t] for s in history])                                            # [T, V]
    steps, top = [s.step for s in history], np.argsort(-pi.max(0))[:5]
    said = task.spell(look.probe[m, :t]) + " …" if t else "…"
    pane = figures.curves(steps, {task.words[w]: pi[:, w] for w in top}, "rollouts", "probability of the next word",
                          f"{task.text(look.prompts[m])}: after “{said}” comes", y_range=(0, 1.05), x_range=(0, cfg.steps))
    notes = [dict(x=steps[i], y=pi[i, w], text=f"<b>{task.words[w]}</b>", yanchor="bottom", font=dict(size=13)) for w in top if pi[i := int(pi[:, w].argmax()), w] > .1]
    return pane._replace(traces=[dict(t, showlegend=False) for t in pane.traces], notes=notes)

# %% tags=["hide-input"]
def answers(history, cfg, shown=8):
    task, look, m = TASKS[cfg.task], history[-1].look, cfg.look - 1
    words = [[task.words[w] for w in a] for a in look.words[m, :shown]]
    rows = [f"{'✔' if ok else '✘'} {i + 1}" for i, ok in enumerate(look.right[m, :shown])]
    places = ["1st", "2nd", "3rd", "4th", "5th"][: look.probe.shape[1]]
    return figures.heat(look.entropy[m, :shown], places, rows, "word", "", "Eight answers: blue is unsure", text=words, high=1.2)



def picture(history, cfg):
    steps, s = [s.step for s in history], history[-1]
    of = lambda k: np.array([getattr(s, k) for s in history])                                     # noqa: E731
    H = figures.curves(steps, {"entropy": of("entropy")}, "rollouts", "H, nats a word", "Entropy of the choices", y_range=(0, max(1, 1.05 * of("entropy").max())), x_range=(0, cfg.steps), steps=True)
    R = figures.curves(steps, {"pass@1": of("reward"), "greedy": of("greedy"), "pass@16": of("pass16")}, "rollouts", "right", "Share that is right", y_range=(0, 1), x_range=(0, cfg.steps), steps=True)
    says = (f"Rollout {s.step}: entropy {s.entropy.mean():.2f} nats, pass@1 {s.reward.mean():.2f}, pass@16 {s.pass16.mean():.2f}. Groups all wrong, mixed, all right: "
            + ", ".join(f"{g:.0%}" for g in s.groups.mean(0)) + f"; {s.tokens.touched.sum()} of {len(s.tokens.cov)} tokens clipped or held. {law(of('entropy').mean(1), of('reward').mean(1)).words}.")
    return figures.board([H, R, against_entropy(history), covariances(s), microscope(history, cfg), answers(history, cfg)], says=says, height=840, gap=(.13, .1))

# %% tags=["hide-input"]
quick = el.Config(runs=2, steps=80)
presets = {"Let it collapse": quick, "KL-Cov": dict(method="kl-cov"), "Clip-Cov": dict(method="clip-cov"), "Paper": dict(method="kl-cov", kl_share=0.002),
           "Rescue at half time": dict(rescue=40, clip_share=0.1), "Too much bonus": dict(alpha=0.3), "All correct groups": dict(size=2, lr=1e-3),
           "Full length (1 minute)": dict(steps=300), "Pretrain anew (half a minute first)": dict(lessons=600)}
live.Panel(el.entropy_language, quick, picture, every=5, presets=presets, title="A language model runs out of curiosity",
           knobs=["method", "lr", "kl_share", "beta", "clip_share", "cov_low", "cov_high", "alpha", "rescue", "look", "word", "temperature", "K", "lessons", "noise", "size", "seed"])

# %% [markdown]
# **What you see.** A language model with 74 words plays *Countdown*: use 5, 1 and 9 once each to make 15. It has seen examples, half of them
# nonsense; now it practises, and a program says right or wrong. *Top*: how unsure it is about each word (entropy H), and how often it is right: with one
# answer (pass@1), with its likeliest words (greedy), with one of 16 answers (pass@16). *Middle left*: reward against entropy; the dotted curve
# is $R=-a\,e^H+b$, fitted as you watch, and its end at H = 0 is the ceiling. *Middle right*: which tokens move the entropy. *Bottom*: the
# microscope: how one decision settles, and eight answers to that prompt, blue where the model hesitates. Choose the prompt with `look`, the decision with `word`.
#
# **Try now.** (1) Press *Run*: one answer gets better, **one of sixteen gets worse**: it forgets ways that it knew. (2) *Clip-Cov*: the same start, the
# orange tokens learn nothing; compare pass@16. (3) *Paper*: the paper's own k; a minibatch has 300 tokens here, so it holds *one*. (4) *Rescue at half time*:
# GRPO until rollout 40, then Clip-Cov on a tenth of the tokens: entropy comes back, and pass@16 with it. (5) *Too much bonus*. (6) *All correct groups*: numbers 1 and 2 only; soon every group
# of eight is all right or all wrong, no one differs from his group, and **learning stops**. The share is in the sentence below the picture.

# %% [markdown]
# ## The setting, and the idea
#
# A policy $\pi=\mathrm{softmax}(z)$ chooses among $K$ actions (tokens of a vocabulary). Its entropy $H=-\sum_a\pi_a\log\pi_a$ says how many
# it really uses: $e^H$ is their effective number. Move the logits by $\Delta z$. Since $\partial H/\partial z_a=-\pi_a(\log\pi_a+H)$,
#
# $$\Delta H \;=\; -\,\mathrm{Cov}_{a\sim\pi}\big(\log\pi_a,\ \Delta z_a\big)\;-\;\tfrac12\mathrm{Var}_\pi(\Delta z)-\tfrac12E_\pi\big[(\log\pi-E\log\pi)(\Delta z-E\Delta z)^2\big]+O(\Delta z^3).$$
#
# The first term is the paper's lemma; the others are its second order. What learning does to the logits is an advantage:
#
# | update | Δz | so, to first order, ΔH |
# |---|---|---|
# | policy gradient (PG) | $\eta\,\pi_aA_a$ | $-\eta\,\mathrm{Cov}(\log\pi,\ \pi A)$ |
# | natural policy gradient (NPG) | $\eta\,A_a$ | $-\eta\,\mathrm{Cov}(\log\pi,\ A)$ |
#
# **Likely and good**: the covariance is positive, entropy falls. **Rare and good**: entropy rises. A model that is mostly right about
# what it is sure of is all the time in the first case. That is the mechanism; the rest of the chapter weighs it.
#
# ### One update, by hand
#
# Three actions, one of them right. Move η to the right and see at which step the lemma's straight line leaves the truth; then
# choose `which action is right` = *rare*.

# %% tags=["hide-input"]
from rlkit.papers import entropy_mechanism as em


def one_update(cfg):
    e, names = em.one_step(cfg), ["likely", "middle", "rare"]
    policy = figures.bars(names, e.after, "Policy after (— before)", "probability", (0, 1.1), looks=["AW"] * 3)
    before = dict(type="scatter", mode="markers", x=names, y=e.before, showlegend=False, hoverinfo="skip",
                  marker=dict(symbol="line-ew", size=44, line=dict(width=3, color=figures.GHOST)))
    terms = figures.bars([*names, "sum", "true ΔH"], [*e.terms, e.terms.sum(), e.change.exact], "Each action's part in ΔH", "nats",
                         looks=["formula"] * 3 + ["first order", "exact"])
    kinds = {"exact": "exact", "first order": "first", "second order": "second"}
    low, high = 1.4 * np.min(e.changes.exact) - .05, 1.4 * max(np.max(e.changes.exact), .05)
    path = figures.curves(e.etas, {n: np.clip(getattr(e.changes, k), low, high) for n, k in kinds.items()}, "step size η", "ΔH, nats", "Entropy after a step",
                          log_x=True, y_range=(low, high), x_range=(.01, 30))
    at = dict(type="line", x0=cfg.eta, x1=cfg.eta, yref="domain", y0=0, y1=1, line=dict(color=figures.GHOST, dash="dash", width=1.5))
    miss = {n: np.maximum(np.abs(getattr(e.changes, k) / e.changes.exact - 1), 1e-6) for n, k in kinds.items() if n != "exact"}
    error = figures.curves(e.etas, miss, "step size η", "relative error", "What the lemma misses", log_x=True, log_y=True, y_range=(1e-5, 10), x_range=(.01, 30))
    says = (f"Entropy changes by {e.change.exact:+.4f} nats; the lemma says {e.change.first:+.4f}, with the second order {e.change.second:+.4f}.")
    return figures.board([policy._replace(traces=[*policy.traces, before]), terms, path._replace(shapes=[at]), error._replace(shapes=[at])], says=says, height=540)


live.Explorer(one_update, em.OneStepConfig(), sweep="eta", title="Three actions, one of them right", knobs=["eta", "rewarded", "method", "top", "share", "tau"],
              presets={"Likely and right": em.OneStepConfig(), "Rare and right": dict(rewarded="rare"), "Natural": dict(method="NPG"),
                       "Break it: η = 10": dict(method="NPG", eta=10.0), "Nearly uniform": dict(top=0.34, share=0.5, method="NPG", eta=0.5)})

# %% [markdown]
# **What you see.** *Top left*: the policy before and after. *Top right*: the three terms $-\pi_a(\log\pi_a+H)\,\Delta z_a$; they add up to the lemma. *Bottom*: the
# lemma against the truth at every η, and its relative error: a slope of one decade per decade, two with the second order. *Nearly uniform*: the lemma says 0 and
# entropy falls.
#
# ## The core
#
# The lemma is one line. The methods are a few lines apart: with ρ the ratio of new to old probability of a token, and A its answer's advantage
# within a group of eight answers to the same prompt,
#
# | method | loss of a token |
# |---|---|
# | GRPO | $-\min(\rho A,\ \mathrm{clip}(\rho,1-\varepsilon,1+\varepsilon)A)$, $A=(r-\text{mean})/\text{std}$ of the group |
# | clip-higher | the same, with a wider upper clip |
# | **Clip-Cov** | the same, but a share r of the tokens with covariance between ω low and ω high learns nothing |
# | **KL-Cov** | $-\rho A$, plus $\beta\,\lvert\log\pi-\log\pi_\text{old}\rvert$ on the share k of largest covariance |
# | RLOO, REINFORCE, PPO | $-\rho A$ with the others' mean as baseline; with none; the clip with one baseline for the whole batch |
#
# The covariance of token i is $(\log\pi_i-\text{mean})(A_i-\text{mean})$ over the tokens of the minibatch.

# %% tags=["core"]
import torch


def lemma(pi, dz):
    """ΔH ≈ -Cov_π(log π, Δz)."""
    log_pi = np.log(pi)
    return -(pi * (log_pi - pi @ log_pi) * (dz - pi @ dz)).sum()


def loss(method, logp, logp_old, A, k=.3, beta=1.0, r=.05, low=.5, high=20.0, eps=.2, lot=None):
    """logp, logp_old, A: [N] tokens of a minibatch.  The mean loss, and which tokens are treated apart."""
    rho, apart = (logp - logp_old).exp(), torch.zeros(len(A), dtype=torch.bool)
    cov = ((logp - logp.mean()) * (A - A.mean())).detach()                     # it chooses, it does not teach
    if method == "kl-cov":
        apart[cov.topk(max(1, int(k * len(A)))).indices] = True                # held where they were
        return (-rho * A + beta * apart * (logp - logp_old).abs()).mean(), apart
    eps = 1.0 if method == "clip-cov" else eps                                 # there the clip is a safety net only
    free, clipped = -rho * A, -rho.clamp(1 - eps, 1 + eps) * A
    if method == "clip-cov":
        candidates = (cov > low) & (cov < high) & (clipped <= free)            # not already cut by the clip
        chosen = torch.where(candidates, lot, -1).topk(max(1, int(r * len(A)))).indices
        apart[chosen] = candidates[chosen]                                     # a lot decides which learn nothing
    return (torch.maximum(free, clipped) * ~apart).mean(), apart

# %%
from rlkit.papers import entropy_losses
from rlkit.policies import entropy, entropy_step, log_softmax, softmax

rng = np.random.default_rng(0)
pi, dz = rng.dirichlet(np.ones(9)), 0.01 * rng.normal(size=9)
np.testing.assert_allclose(lemma(pi, dz), entropy_step(pi, dz).first, rtol=1e-9)
print(f"lemma {lemma(pi, dz):+.6f}, with the second order {entropy_step(pi, dz).second:+.6f}, exact {entropy_step(pi, dz).exact:+.6f}")
gen = torch.Generator().manual_seed(0)
old, A = -2 * torch.rand(300, generator=gen), torch.randn(300, generator=gen)
new = old + 0.1 * torch.randn(300, generator=gen)
for method in ("grpo", "clip-cov", "kl-cov"):
    lot = torch.rand(1, 300, generator=torch.Generator().manual_seed(1))[0]
    ours, apart = loss(method, new, old, A, lot=lot)
    theirs, touched = entropy_losses.policy_loss(method, new[None], old[None], A[None], torch.ones(1, 300), el.Config(), torch.Generator().manual_seed(1))
    torch.testing.assert_close(ours, theirs[0])
    assert (apart == touched[0]).all()
    print(f"{method:9s} loss {ours:.4f}, {int(apart.sum())} of 300 tokens treated apart")


# %% [markdown]
# ## Exact truth first
#
# No language yet: a bandit with 20 actions of which 3 are right, policy gradient with exact expectations, sixteen tasks at once. Every nat is accounted for.
# All knobs marked *live* act on the next update; try *Too large a step* and *Natural gradient*.

# %% tags=["hide-input"]
def table_run(history, cfg):
    g = lambda k: np.array([getattr(s, k) for s in history])
    steps, H, J, last = g("step"), g("H"), g("J"), history[-1]
    bar = dict(type="bar", x=np.arange(len(last.pi)), y=last.pi, showlegend=False, marker=dict(color=np.where(last.good, figures.OURS, figures.GHOST).tolist()))
    policy = figures.Pane("First task (blue: right)", [bar], figures.axis("action" if cfg.depth == 1 else "response"), figures.axis("probability", 0, 1, grid=True))
    ent = figures.curves(steps, {"entropy": H, "among the right answers": g("among")}, "updates", "nats", "Entropy runs out", steps=True, x_range=(0, cfg.steps), y_range=(0, None))
    thin, some = slice(0, None, max(1, len(history) // 60)), slice(0, 4)
    other, field = ("visits frozen", "frozen") if cfg.depth > 1 else ("formula", "formula")
    told = {other: g(field)[thin, some].ravel()} if cfg.depth > 1 or cfg.c or cfg.samples else {}
    told["first order"] = g("first")[thin, some].ravel()
    true = figures.parity(told, g("exact")[thin, some].ravel(), "ΔH predicted, nats", "ΔH true, nats", "Predicted and true ΔH")
    reward = figures.curves(H.mean(1), {"": J.mean(1)}, "entropy H, nats (mean over tasks)", "reward R", "Reward against entropy", y_range=(0, 1.2), x_range=(float(H.mean(1).max()) + .2, 0))
    found, x = law(H.mean(1), J.mean(1)), np.linspace(0, H.mean(1).max(), 50)
    if found.law:
        reward = reward._replace(traces=[*reward.traces, *figures.curves(x, {"fitted law": found.law.at(x)}, "", "").traces])
    return figures.board([policy, ent, true, reward], height=560, says=f"After {last.step} updates {np.median(J[-1]):.0%} right, entropy {np.median(H[-1]):.2f} nats, {np.median(last.among):.2f} among the right answers. {found.words}.")


table = em.Config()
live.Panel(em.mechanism, table, table_run, title="Twenty actions, three of them right", every=2, pace=0.025, knobs=["eta", "method", "alpha", "c", "samples", "right", "align", "K", "depth", "steps", "seed"],
           presets={"Policy gradient": table, "Natural gradient": dict(method="NPG", eta=0.1), "Too large a step": dict(method="NPG", eta=5.0), "Rare and right": dict(method="NPG", eta=0.1, align=-2.5),
                    "A tree of tokens": dict(K=4, depth=3, right=6), "Wrong baseline": dict(c=0.5), "Eight samples": dict(samples=8), "Bonus": dict(method="NPG", eta=0.1, alpha=0.2)})

# %% [markdown]
# **What you see.** *Top left*: the policy of one task. *Top right*: entropy falls to 0, and so does entropy *among the three right answers*: policy gradient makes the rich
# richer, $\Delta(z_i-z_j)=\eta(\pi_i-\pi_j)A$. Press *Natural gradient*: it leaves their proportions exactly alone. *Bottom left*: each mark is one update: the lemma
# lies on the line. *Bottom right*, entropy running out from left to right: R = -a e^H + b, in a table of twenty numbers. So part of the paper's law is not about language at all.
#
# **Try now.** (1) While it runs, drag η up: where do the marks leave the line? (2) *Rare and right*: entropy first *rises*. (3) *Wrong baseline*: the run does not change, the
# printed formula Cov(log π, π A) does. It needs E A = 0; the lemma with the realised Δz does not. (4) *Bonus*: it stops at π ∝ exp(r/α).
#
# How good is "lies on the line"? Twenty tasks each, whole runs:

# %%
print("rule  η      correlation (worst)   slope   error of the lemma   with second order   H start → end")
for method, eta in (("PG", .1), ("PG", .5), ("PG", 1.), ("PG", 5.), ("NPG", .05), ("NPG", .1), ("NPG", 1.), ("NPG", 5.)):
    start, *h = em.mechanism(em.Config(method=method, eta=eta, runs=20), rng)
    true, first, second = (np.array([getattr(s, k) for s in h]) for k in ("exact", "first", "second"))
    corr = [np.corrcoef(first[:, i], true[:, i])[0, 1] for i in range(20)]
    slope, size = np.median((first * true).sum(0) / (first**2).sum(0)), np.abs(true).sum(0)
    miss = [np.median(np.abs(true - x).sum(0) / size) for x in (first, second)]
    print(f"{method:4} {eta:5}    {np.median(corr):8.4f} ({min(corr):6.3f})   {slope:6.3f}   {miss[0]:12.2%}   {miss[1]:16.3%}          {np.median(start.H):.2f} → {np.median(h[-1].H):.2f}")

# %% [markdown]
# ### Why a response is more than its tokens
#
# "The entropy of the policy" of a language model is a mean over the tokens of its responses, and the lemma is applied token by token. But
# an update also changes *which prefixes are visited*: $H(y)=\sum_s d(s)H(s)$, so $\Delta H=\sum_s d(s)\,\Delta H(s)+\sum_s\Delta d(s)\,H(s)$. The second sum is of
# **first order** and is dropped when visits are held fixed. On a tree of 3 tokens all 64 responses can be listed, and the whole response taken as one action:

# %%
print("relative error of ΔH      visits frozen   whole response   with the second order")
for eta in (0.001, 0.01, 0.1, 1.0):
    last = list(em.mechanism(em.Config(eta=eta, K=4, depth=3, right=6, runs=40, steps=1), np.random.default_rng(0)))[-1]
    miss = [np.abs(x - last.exact).sum() / np.abs(last.exact).sum() for x in (last.frozen, last.first, last.second)]
    print(f"η = {eta:<20} {miss[0]:13.1%} {miss[1]:15.3%} {miss[2]:19.5%}")

# %% [markdown]
# Over whole runs the frozen sum still has correlation 0.998 with the truth: it looks right, and its size is off by 13 to 30 per cent. A correlation is not a check of a formula; a slope is.

# %% [markdown]
# ## The same in a language model
#
# The model at the top has 110,000 parameters and a vocabulary of 74 words. It has seen 600 batches of worked examples, **half of them nonsense**;
# so it knows the grammar, is right one time in nine, and has 0.8 nats of doubt a word. Then it practises: 64 prompts, 8 answers
# each, a program says right or wrong, and four small steps of Adam make the right answers likelier.
#
# **A trap worth knowing.** At ρ = 1 the penalty of KL-Cov has no slope: with *one* update per rollout it does nothing at all, bit for bit
# (a claim below). And if `logp_old` comes from the sampler instead of the training pass, it differs by 10⁻⁶, and |·| turns that noise into
# gradients of full size. So old and new come from the same function here.
#
# ### Which tokens are they?
#
# A token cannot be likelier than certain, log π ≤ 0. So with A > 0 its covariance is at most $(-\text{mean}\log\pi)\cdot A_{\max}$, about 2.475 H for
# eight answers: small when H is small. The largest covariances must come from the other corner: **rare words in wrong answers**. Look:

# %%
history = list(el.entropy_language(el.Config(runs=1, steps=20, evaluation=16), np.random.default_rng(1), every=20))
t = history[-1].tokens
print("word   log π      A   covariance")
for i in np.argsort(-t.cov)[:6]:
    print(f"{Countdown.words[t.word[i]]:>4s} {t.logp[i]:7.2f} {t.A[i]:6.2f} {t.cov[i]:10.2f}")
top = np.argsort(-t.cov)[: len(t.cov) // 50]
print(f"of the top 2 % of {len(t.cov)} tokens, {np.mean(t.A[top] < 0):.0%} stand in wrong answers; the largest at A > 0 has {t.cov[t.A > 0].max():.2f}")

# %% [markdown]
# So both methods mostly stop the policy from *stamping out rare words of wrong answers*. The popular reading, "what is confident and right", is the bulk and not the tail.
# It must be so in the paper too: its 7B run had H ≈ 0.6 (read off a plot, by eye), so that with A > 0 at most about 1.5 is possible, and its Table 1 puts the mean of the top 0.02 % at 5.654.
#
# ## One start, several methods, five runs each
#
# Three hundred rollouts each from the same start, made by `tools/train_countdown.py race`; bands are the middle half of five runs.
# Predict first: which ends with the most different right answers? Then choose what to look at.

# %% tags=["hide-input"]
from dataclasses import dataclass
from rlkit.config import check, knob
from rlkit.papers.entropy_law import recorded

RACE = recorded("race")
NAMES = [n for n in RACE if n != "about"]
SEEN = {"entropy": "H, nats a word", "pass@1": "right in one try", "greedy": "right, likeliest words", "pass@8": "right in one of 8", "different answers": "different right answers in 16"}


@dataclass(frozen=True)
class Race:
    measure: str = knob("entropy", choices=tuple(SEEN), says="what to look at")
    group: str = knob("the paper's", choices=("the paper's", "older tools", "what does nothing"), says="which methods to set beside GRPO")
    rollout: int = knob(300, 10, 300, unit="rollouts", says="how far to look")
    __post_init__ = check

# %% tags=["hide-input"]
KEY = {"pass@1": "reward", "pass@8": "pass8", "different answers": "ways"}
GROUPS = {"the paper's": ["GRPO", "Clip-Cov", "KL-Cov", "KL-Cov, β = 2"], "older tools": ["GRPO", "Clip-Cov", "bonus", "reference", "GRPO, slow"],
          "what does nothing": ["GRPO", "Clip-Cov", "clip-higher", "KL-Cov, paper's k"]}


def race(cfg):
    names = [n for n in GROUPS[cfg.group] if n in RACE]
    upto = {n: RACE[n]["step"] <= cfg.rollout for n in names}
    y = {n: RACE[n][KEY.get(cfg.measure, cfg.measure)][upto[n]] for n in names}
    left = figures.curves(RACE["GRPO"]["step"][upto["GRPO"]], y, "rollouts", SEEN[cfg.measure], cfg.measure, x_range=(0, 300))
    paths = [dict(type="scatter", mode="lines", x=RACE[n]["reward"][upto[n]].mean(1), y=RACE[n]["pass8"][upto[n]].mean(1), name=n, legendgroup=n,
                  line=dict(color=figures.look(n, i).color, dash=figures.look(n, i).dash)) for i, n in enumerate(names)]
    right = figures.Pane("At equal pass@1", paths, figures.axis("pass@1", 0.05, 0.5), figures.axis("pass@8", 0.35, 0.75, grid=True))
    return figures.board([left, right], height=360, says="; ".join(f"{n}: {v[-1].mean():.2f} ± {v[-1].std(ddof=1) / 5 ** .5:.2f}" for n, v in y.items()))


live.Explorer(race, Race(), sweep="rollout", presets={"Entropy": Race(), "Greedy": dict(measure="greedy"), "Pass@8": dict(measure="pass@8"), "Variety": dict(measure="different answers")}, title="From the same start")

# %% [markdown]
# On the right time is gone: each curve is pass@8 against pass@1. A slower learning rate (*older tools*, "GRPO, slow") follows the upper path too,
# for a while: comparing methods after the same number of steps compares learning rates as well.

# %% tags=["hide-input"]
from IPython.display import Markdown

rows = ["| after 300 rollouts | H | pass@1 | greedy | pass@8 | pass@16 | different right answers in 16 |", "|---|---|---|---|---|---|---|"]
base = RACE["GRPO"]
rows.append("| before | " + " | ".join(f"{base[k][0].mean():.2f}" for k in ("entropy", "reward", "greedy", "pass8", "pass16", "ways")) + " |")
for n in NAMES:
    rows.append(f"| {n} | " + " | ".join(f"{v.mean():.2f} ± {v.std(ddof=1):.2f}" for v in (RACE[n][k][-3:].mean(0) for k in ("entropy", "reward", "greedy", "pass8", "pass16", "ways"))) + " |")
Markdown("\n".join(rows) + "\n\nMean ± standard deviation over five runs, the last three evaluations of each, 256 prompts.")

# %% [markdown]
# ## The law, and what it foresees
#
# $R=-a\,e^H+b$ is linear in $a,b$: least squares on $e^H$. The ceiling $b-a$ is the curve at $H=0$. **Before you drag**: from the first third of the points,
# where will the run end? Filled points are used, hollow ones are not.

# %% tags=["hide-input"]
@dataclass(frozen=True)
class Foresee:
    used: int = knob(10, 4, 31, unit="points", says="points used for the fit, from the start")
    method: str = knob("GRPO", choices=tuple(NAMES), says="whose run")
    run: int = knob(1, 1, 5, says="which of the five runs")
    outcome: str = knob("pass@1", choices=("pass@1", "greedy", "pass@8"), says="which reward")
    __post_init__ = check


def foreseen(cfg):
    H, R = RACE[cfg.method]["entropy"][:, cfg.run - 1], RACE[cfg.method][KEY.get(cfg.outcome, cfg.outcome)][:, cfg.run - 1]
    e, x = foresee(H, R, cfg.used), np.linspace(0, H.max(), 50)
    dots = [dict(type="scatter", mode="markers", x=H[part], y=R[part], name=name, marker=dict(size=8, color=figures.OURS, symbol=symbol))
            for part, name, symbol in ((slice(None, cfg.used), "used", "circle"), (slice(cfg.used, None), "not used", "circle-open"))]
    lines = [] if e.law.law is None else [dict(type="scatter", mode="lines", x=x, y=e.law.law.at(x), name="fitted law", line=dict(color=figures.EXACT, dash="dot", width=2))]
    pane = figures.Pane(e.law.words, dots + lines, figures.axis("entropy H, nats (runs out →)", .9, 0), figures.axis(cfg.outcome, 0, .8, grid=True))
    return figures.board([pane], height=340, says=e.law.words + (f". Foretold for the end {e.predicted:.3f}, reached {e.reached:.3f}; error on the points not used {e.missed:.3f}." if e.missed == e.missed else f"; reached {e.reached:.3f}."))


live.Explorer(foreseen, Foresee(), sweep="used", presets={"First third": Foresee(), "First quarter": dict(used=8), "All": dict(used=31), "Greedy": dict(outcome="greedy")}, title="Where will it end?")

# %% [markdown]
# ## A larger one, recorded
#
# The same lessons and the same task for a model 16 times as large, once per method, at a third of the learning rate (`tools/train_countdown.py large`,
# 7 minutes). It begins better, .18 with one answer, and GRPO spends its entropy faster: pass@16 falls from .82 to .47, and even the likeliest words get worse.
# With Clip-Cov it ends at .41 with one answer and .65 with sixteen. Drag along it, and compare its law with the small one's.

# %% tags=["hide-input"]
LARGE = recorded("large")


@dataclass(frozen=True)
class Scrub:
    rollout: int = knob(200, 0, 200, unit="rollouts", says="how far to look")
    __post_init__ = check


def larger(cfg):
    seen = {n: {k: v[LARGE[n]["step"] <= cfg.rollout] for k, v in LARGE[n].items()} for n in LARGE if n != "about"}
    step = seen["GRPO"]["step"]
    panes = [figures.curves(step, {n: s[k] for n, s in seen.items() if len(s[k]) == len(step)}, "rollouts", title, title, x_range=(0, 200), y_range=(0, 1)) for k, title in (("entropy", "entropy, nats a word"), ("pass8", "pass@8"))]
    laws = {n: law(s["entropy"][:, 0], s["reward"][:, 0]) for n, s in seen.items()}
    dots = [dict(type="scatter", mode="markers", x=s["entropy"][:, 0], y=s["reward"][:, 0], name=n, legendgroup=n, marker=dict(size=7, color=figures.look(n, i).color, symbol=figures.look(n, i).symbol)) for i, (n, s) in enumerate(seen.items())]
    small = dict(type="scatter", mode="lines", x=RACE["GRPO"]["entropy"].mean(1), y=RACE["GRPO"]["reward"].mean(1), name="the small one, GRPO", line=dict(color=figures.GHOST, width=2))
    both = figures.Pane("Reward against entropy", [small, *dots], figures.axis("entropy H, nats (runs out →)", .9, 0), figures.axis("pass@1", 0, .9, grid=True))
    return figures.board([*panes, both], columns=3, height=330, gap=(.1, .19), says="; ".join(f"{n}: {w.words}" for n, w in laws.items()))


live.Explorer(larger, Scrub(), sweep="rollout", title="1.8 million parameters")

# %% [markdown]
# ## Explore
#
# Predict before you look.
#
# | where | do | predict | why |
# |---|---|---|---|
# | language model | *Let it collapse*, then *KL-Cov* | which has more pass@1, which more pass@16? | what sharpening wins in one try it loses in sixteen |
# | language model | *Paper*: k = 0.002 | does it help? | of 300 tokens a minibatch it holds one: k belongs to the batch |
# | language model | *Too much bonus* | where does entropy go? | the bonus has a fixed point of its own, and it is far from right |
# | twenty actions | *Policy gradient*; in mid-run change `method` to NPG | what happens among the right answers? | their proportions freeze where they are: who was ahead stays ahead, no more |
# | twenty actions | *Rare and right*, head start from -4 to 4 | at which head start does entropy no longer rise first? | between 1 and 2: a quarter to a half of the answers are right |
# | twenty actions | *Bonus*, α from 0.1 to 0.3 | where does it end? | at π ∝ exp(r/α), wherever it began |
# | twenty actions | *A tree of tokens* | which marks leave the line? | those with frozen visits: a slope of about 1.15 in place of 1 |
# | three actions | *Nearly uniform* | what does the lemma say? | nothing: the first order is 0, and entropy falls by half the variance of Δz |

# %% [markdown]
# ## A real task: it is no speciality of language
#
# `CartPole-v1` of Gymnasium; sixteen small networks, eight poles each, policy gradient with a critic and Adam. Nothing is tabular any more: weights are
# shared between states, and Adam makes of the gradient another step than $\eta\,\pi A$. The lemma does not mind, as long as it is given the *realised* Δz.

# %% tags=["hide-input"]
from rlkit.papers.entropy_control import ANGLES, ControlConfig, control


def poles(history, cfg):
    g = lambda k: np.array([getattr(s, k) for s in history])
    steps, H, J = g("step"), g("H"), g("J")
    up = figures.curves(steps, {"": J}, "updates", "steps, at most 500", "How long the pole is up", steps=True, x_range=(0, cfg.steps), y_range=(0, 520))
    ent = figures.curves(steps, {"": H}, "updates", "nats, at most log 2", "Entropy runs out here too", steps=True, x_range=(0, cfg.steps), y_range=(0, .72))
    some = slice(0, 4)
    told = {n: g(k)[::2, some].ravel() for n, k in {"first order": "first", "second order": "second"}.items()}
    true = figures.parity(told, g("exact")[::2, some].ravel(), "ΔH predicted, nats", "ΔH true, nats", "Predicted and true ΔH")
    push = figures.curves(ANGLES, {"": history[-1].push.T}, "angle of the pole (rad)", "chance of pushing right", "How sure it has become", y_range=(0, 1))
    says = f"After {steps[-1]} updates the pole stays up {np.median(J[-1]):.0f} steps, entropy is {np.median(H[-1]):.3f} nats."
    return figures.board([up, ent, true, push], says=says, height=540)


live.Panel(control, ControlConfig(), poles, title="Sixteen learners balance a pole", every=3, knobs=["eta", "alpha", "gamma", "lam", "optimiser", "envs", "steps", "seed"],
           presets={"Adam": ControlConfig(), "Plain gradient": dict(optimiser="sgd", eta=0.03), "Bonus": dict(alpha=0.05), "In a hurry": dict(eta=0.02)})

# %% [markdown]
# **What to look for.** At the same states the lemma lies near the line and its second order *on* it. But hold two things apart that are easily confused:
# the change at fixed states, which the covariance predicts, and the change of the mean over *newly visited* states, which is mostly other states.
# And the covariance of the *sampled* log π and A only tells a sign: Adam rescales every step.

# %%
h = list(control(ControlConfig(runs=8, steps=150), np.random.default_rng(1), every=1))
g = lambda k: np.array([getattr(s, k) for s in h])
corr = lambda x, y: np.median([np.corrcoef(a, b)[0, 1] for a, b in zip(x.T, y.T)])
print(f"with the true ΔH at the same states:  lemma {corr(g('first'), g('exact')):.3f}, second order {corr(g('second'), g('exact')):.5f}, "
      f"sampled covariance {corr(-g('sampled'), g('exact')):.2f}")
print(f"lemma with the change of entropy over newly visited states: {corr(g('first')[:-1], np.diff(g('H'), axis=0)):.2f}")
laws = [law(H, J / 500).law for H, J in zip(g("H").T, g("J").T)]
print(f"the law R = -a e^H + b here: ceiling {np.median([f.ceiling for f in laws if f]):.1f} × 500 steps, more than the task can pay")

# %% [markdown]
# ## Where it breaks
#
# | what the paper finds | what this model does |
# |---|---|
# | r = 2·10⁻⁴, k = 2·10⁻³ are enough | they do nothing: one token of 300. Ours are 250 (r) and 150 (k) times larger |
# | Clip-Cov and KL-Cov score higher | more entropy, pass@8 and variety, yes; **greedy accuracy no** at equal steps |
# | tuned bonus and reference KL do not help | a reference of .05 does best of all here (pass@8 .65), a bonus of .1 helps; a bonus of .3 explodes |
# | clip-higher keeps entropy up | inert: hardly any token reaches ρ > 1.2 in four small steps |
# | the first 15 % of a run foretell its end | the early fit is too low: 8 of 31 points, see above |
# | the law is of the task, not of the method | interventions leave the curve; so does a slower learning rate, which by itself keeps entropy |
#
# ### A task where collapse does no harm, and the law sees nothing coming
#
# Add four digits modulo 10. `> 7` is a guess; `: 8 5 7` works out the running sums. Half of the prompts end in two zeros, and a guess will do. The model
# begins with guesses, 9 in 10; its scratch work is right one time in five. It settles into guessing, at .5, **until it discovers scratch work**.

# %% tags=["hide-input"]
sums = list(el.entropy_language(el.Config(task="modular sum", runs=2, steps=90), np.random.default_rng(0), every=5))
H, R = (np.array([getattr(s, k) for s in sums]) for k in ("entropy", "reward"))                    # [T, R]
steps, early = [s.step for s in sums], foresee(H.mean(1), R.mean(1), 8)
left = figures.curves(steps, {"entropy": H, "pass@1": R}, "rollouts", "nats; share right", "Guesses, then a discovery", y_range=(0, 1.02), x_range=(0, 90))
dots = dict(type="scatter", mode="markers", x=H.ravel(), y=R.ravel(), name="runs", marker=dict(size=6, color=figures.OURS))
x, whole = np.linspace(0, 1, 40), law(H.mean(1), R.mean(1))
fits = [dict(type="scatter", mode="lines", x=x, y=w.law.at(x), name=n, line=dict(color=c, dash=d, width=2)) for n, c, d, w in
        (("first 35 rollouts", figures.BROKEN, "dash", early.law), ("whole run", figures.EXACT, "dot", whole)) if w.law is not None]
right = figures.Pane("The law describes, and does not foresee", [dots, *fits], figures.axis("entropy H, nats (runs out →)", 1, 0), figures.axis("pass@1", 0, 1.1, grid=True))
live.Plot(figures.board([left, right], height=340, says=f"First 35 rollouts: {early.law.words}. Whole run: {whole.words}. Reached {R[-1].mean():.2f} with {H[-1].mean():.2f} nats left."))

# %% [markdown]
# Hardly any entropy is left at the end, and nothing was lost: there is one right answer, and one way. Entropy is worth keeping where several ways lead there,
# or where a better one is still to be found. The law fits the whole run; fitted to its first third
# (dashed), it promises a little more than a half.

# %% [markdown]
# ### The ceiling, and a policy without noise
#
# **The ceiling is no bound.** b - a is the value of a fitted curve at H = 0. Where several answers are right, natural gradient never gets to H = 0, and the
# fitted ceiling is above 1. **Early fits promise too little**: under policy gradient, on bandits as on the language model, a fit to the first third misses the end, by more
# than its interval. **And a policy without noise has nothing to sell**: one that is sure and wrong must first *gain* entropy.

# %% tags=["hide-input"]
z = np.zeros((1, 1, 20))
z[..., 10] = 5.0                                                                 # sure of action 10; 0, 1, 2 are right
sure = ([log_softmax(z)], (np.arange(20) < 3)[None])
runs = {"64 tasks, policy gradient": em.mechanism(em.Config(runs=64), np.random.default_rng(0), every=4),
        "64 tasks, natural gradient": em.mechanism(em.Config(runs=64, method="NPG", eta=0.1), np.random.default_rng(0), every=4),
        "sure and wrong, policy gradient": em.mechanism(em.Config(runs=1), np.random.default_rng(0), every=4, begin=sure)}
panes, said, x = [], [], np.linspace(0, 2.7, 60)
for name, run in runs.items():
    H, R = np.array([(s.H.mean(), s.J.mean()) for s in run]).T
    pane = figures.curves(H, {"run": R}, "entropy H, nats", "reward R", name, x_range=(2.7, 0), y_range=(0, 1.3))
    for called, k in (("fitted law", len(H)), ("law of the first third", len(H) // 3)):
        found = law(H[:k], R[:k])
        if found.law:
            pane = pane._replace(traces=[*pane.traces, *figures.curves(x, {called: np.clip(found.law.at(x), -1, 2)}, "", "").traces])
        said.append(f"{name}, {called}: {found.words}; reached {R[-1]:.2f}")
    panes += [pane] * (name != "64 tasks, natural gradient")
print("\n".join(said))
live.Plot(figures.board(panes, height=300, says="Reward against entropy: on random tasks a run follows the law; the run from a policy that is sure and wrong goes there and back."))


# %% [markdown]
# ## Exercises
#
# Each check says which property fails and gives one hint more at every try; the solution is folded below the question.
#
# **1. Two actions.**

# %%
from rlkit.exercises import entropy_mechanism as exercise

exercise.two


# %%
def two_actions(p, dz1, dz2):
    ...                                       # your line here


exercise.two.check(two_actions)

# %% [markdown]
# **2. Choose k** for KL-Cov from a histogram of covariances.

# %%
exercise.k


# %%
def choose_k(c, share):
    ...                                       # your lines here


exercise.k.check(choose_k)

# %% [markdown]
# **3. Foretell the end** from the first third, before you look.

# %%
exercise.ceiling

# %%
exercise.ceiling.check(...)                   # a pair: (1.0, "at")

# %% [markdown]
# **4. Break the law.**

# %%
exercise.broken


# %%
def start():
    ...                                       # twenty logits


exercise.broken.check(start)

# %% [markdown]
# ## What the paper claims, and what was measured here
#
# First the mechanism, in tables and on CartPole.

# %%
from rlkit import claims

claims.table("entropy_mechanism", seed=0, fast=True)

# %% [markdown]
# Then the language model: short runs of two. The full lengths, five runs each, take some minutes: `python -m rlkit claims entropy_language`.

# %%
claims.table("entropy_language", seed=0, fast=True)

# %% [markdown]
# ## Going further: four neighbours
#
# ### EPO: many turns, one reward (arXiv 2509.22576)
#
# An agent of thirty turns with one reward at the end does not only collapse: all turns share their parameters, so entropy swings, early commitment and late chaos. EPO keeps a
# history of the batch means of entropy, $\bar H_W$, and a corridor around it: $P=[\kappa_l\bar H_W-H]_++[H-\kappa_r\bar H_W]_+$ per token. The loss is the PPO or GRPO
# loss minus λ(L_H − β_k · mean of αP), with a weight β_k on the corridor that is larger early in training. Reported averages after convergence: ScienceWorld 38.4 → 96.8 (PPO), ALFWorld
# 63.3 → 75.8 (GRPO). To ask of any such penalty: does it carry a *gradient*? A constant chosen by a comparison does not; the hinge does. To try in
# the first panel: be the corridor yourself. Move α while it runs so that entropy stays between 0.3 and 0.5 nats. Compare pass@16 with a run that was left alone.
#
# ### EMPG: how sure, how far (arXiv 2509.09265)
#
# For a softmax policy $E\|\nabla_z\log\pi\|^2=1-\sum_a\pi_a^2$: sure steps move the logits little and unsure ones much, whatever their merit. EMPG reweighs: with Ĥ the entropy of a step, scaled to
# [0, 1] within the batch, $A'_t=A\,g(H_t)+\zeta f(H_{t+1})$, $g=e^{-k\hat H}/\overline{e^{-k\hat H}}$, $f=e^{-k'\hat H}$, defaults k = k' = 1, ζ = 0.1. Sure steps, right or wrong, count more, and steps
# that lead to clear states are paid. By the lemma this *speeds* the collapse where sure steps are right: the opposite of Clip-Cov. The identity is a row of the table above.
#
# ### ROVER: the random policy knows enough (arXiv 2509.24981)
#
# On a finite tree with right and wrong ends you need no policy improvement at all: the value of the *uniformly random* policy is positive exactly where a right end lies below, so acting greedily on it is
# optimal; sampling from softmax(Q/ρ) gives branches with more solutions more weight and trades quality for diversity. For a language model $Q=\rho(\log\pi_\theta-\log\pi_{old})$. Reported on Qwen3-8B base,
# mathematics: +8.2 pass@1, +16.8 pass@256. On our tree:

# %%
good = np.zeros(64, bool)
good[np.random.default_rng(3).permutation(64)[:6]] = True
for rho in (1.0, 0.2, 0.05, 0.01):
    Q = [good.reshape(4**t, 4, -1).mean(-1) for t in range(3)]                    # share of right ends below each token
    y = np.exp(em.responses([log_softmax(q[None] / rho) for q in Q])[0])        # chance of each response
    print(f"ρ = {rho:5}: right {y[good].sum():6.1%}, entropy among the right {entropy(y[good] / y[good].sum()):.2f} of {np.log(6):.2f} nats")

# %% [markdown]
# ### The policy cliff (arXiv 2507.20150)
#
# The map from rewards to *best policies* jumps: where two answers are equally good, the least extra reward decides for all. Q* moves by at most ‖ΔR‖/(1−γ), its argmax does not.
# Paid for entropy, $\pi\propto e^{Q/\alpha}$, it bends instead: total variation at most $\|\Delta R\|_\infty/2\alpha(1-\gamma)$, slope 1/4α at the tie. Here is who is chosen when one of two right answers is paid ε more:

# %%
for a in (0.1, 0.03, 0.005):
    chance = [softmax([e / a, 0.0])[0] for e in (-0.05, -0.01, 0.0, 0.01, 0.05)]
    print(f"α = {a:5}: chance of the first answer at ε = -.05, -.01, 0, .01, .05:  " + "  ".join(f"{c:.3f}" for c in chance))
print("α = 0, the best only:                                                 0.000  0.000    ?    1.000  1.000")

# %% [markdown]
# ## References
#
# - Cui et al., *The Entropy Mechanism of Reinforcement Learning for Reasoning Language Models*, 2025, [arXiv 2505.22617](https://arxiv.org/abs/2505.22617).
# - EPO, [arXiv 2509.22576](https://arxiv.org/abs/2509.22576); EMPG, *Harnessing Uncertainty*, [arXiv 2509.09265](https://arxiv.org/abs/2509.09265); ROVER, *Random Policy Valuation is Enough*,
#   [arXiv 2509.24981](https://arxiv.org/abs/2509.24981); *The Policy Cliff*, [arXiv 2507.20150](https://arxiv.org/abs/2507.20150).
# - Open: one dial, the entropy you want to keep, instead of r, k, β, α or ε. What should it be set to, and when?
