# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 1. Trajectory weighting
#
# **The question.** Somebody hands you a dataset: two hundred recorded trajectories, ten of them good. You may not act in
# the world, only learn from the record. Offline algorithms stay close to whoever made the data, and that was mostly
# somebody bad. Can you tell the learner *which trajectories to trust*, without touching its loss?
#
# **You will learn** why a constraint drags a learner down to the average of its data · how to weight trajectories by return or
# by advantage, and draw minibatches so that the weights mean what they say · an identity that makes it exact in a deterministic world
# · and where it goes wrong: luck.  **45 minutes.**  Paper: Hong, Agrawal, Tachet des Combes, Laroche, *Harnessing Mixed
# Offline Reinforcement Learning Datasets via Trajectory Weighting*, ICLR 2023.
#
# Run the next cell, then press **Run**: the temperature α slides along its range.

# %% tags=["hide-input"]
import numpy as np
from rlkit import figures, live
from rlkit.envs import frozen_grid as grid
from rlkit.papers import trajectory_weighting as tw

# %% tags=["hide-input"]
def picture(cfg):
    e = tw.experiment(cfg)
    J = [100 * (x - e.J_random) / (e.J_expert - e.J_random) for x in (e.J_uniform, e.J_weighted, e.estimate, e.J_learned)]
    marks = {hole: "○" for hole in grid.HOLES} | {grid.GOAL: "★"}
    says = (f"{e.ess:.0f} of {cfg.n} trajectories count. The cloned policy scores {J[1]:.0f}, without weights {J[0]:.0f}; "
            f"after learning {J[3]:.0f}.")
    return figures.board([
        figures.weights(e.returns, e.w, e.source, e.data.names, span=(-.6, 2.1) if cfg.rich else (-.6, 1.1)),
        figures.histogram(e.returns, e.w, "What the learner is shown", span=(-.6, 2.1) if cfg.rich else (-.6, 1.1)),
        figures.grid(e.heat.reshape(8, 8), e.policy.reshape(8, 8, 4), marks, "Where the learned policy goes"),
        figures.bars(["uniform", "weighted", "Σ w G", "learned"], J, "What it earns", "score", (-20, 130),
                     looks=["uniform", "AW", "bound", "expert"])], says=says, height=620)


presets = {"Paper": tw.Config(), "Trust one": dict(alpha=0.005), "Top 10 % of good data": dict(scheme="topk", sigma=0.5),
           "Lucky starts": dict(rich=True, scheme="rw", n=200), "Break it: ice": dict(slip=0.6, scheme="rw", alpha=0.05)}
live.Explorer(picture, tw.Config(), sweep="alpha", presets=presets, title="Two hundred trajectories, ten of them good",
              knobs=["alpha", "sigma", "scheme", "lam", "slip", "rich", "n", "k", "seed"])

# %% [markdown]
# **What you see.** *Top left*: one mark per trajectory; its height is how much more than its fair share it is drawn. *Top right*:
# the returns as collected, and as the learner meets them. *Bottom left*: a frozen lake of 64 cells, ○ holes, ★ goal;
# arrows are the learned policy, blue is where it spends its time. *Bottom right*, exact values, nothing sampled:
# scores from 0 (random) to 100 (optimal): the policy cloned from the plain data; from the weighted data; what the weighted data *promise* (Σ w G); and what an offline
# learner makes of it if leaving the data costs λ.
#
# **Try now.** (1) Drag α down slowly. When does *weighted* stop rising although *Σ w G* still rises? (2) Drag λ to 0.01. What happens to
# the difference between weighted and uniform sampling? (3) Press *Lucky starts*, then change `weights` from `rw` to `aw`.

# %% [markdown]
# ## The setting, and the idea
#
# A dataset holds $N$ trajectories; trajectory $i$ has $T_i$ transitions, first state $s_0^i$ and return $G_i=\sum_t r_{i,t}$.
# An offline algorithm maximises what it believes it can earn, minus a price for leaving the behaviour of the data. Where
# the price matters, the result is roughly *behaviour + a bit*. So raise the behaviour: choose weights $w$ on the simplex for
#
# $$\max_w \; \sum_i w_i\,\tilde x_i \;+\; \alpha\, H(w) \qquad\Longrightarrow\qquad w_i = \frac{e^{\tilde x_i/\alpha}}{\sum_j e^{\tilde x_j/\alpha}},$$
#
# with $\tilde x$ scaled to $[0,1]$, so that the best counts $e^{1/\alpha}$ times the worst whatever the unit of reward
# ($\alpha=0.1$: 22 026 times). Return weighting (**RW**) takes $x_i=G_i$; advantage weighting (**AW**) takes $x_i=G_i-V(s_0^i)$, with $V$ a
# linear fit, because a good start is luck that no policy chooses. A minibatch draws each *transition* of trajectory $i$ with probability
#
# $$p_{i,t} = \frac{w_i}{\sum_j T_j\, w_j}.$$
#
# Nothing else changes. No loss is touched, so the weights go with any algorithm.

# %% [markdown]
# ## The core
#
# All of the method, in full. The cell after it asserts that it is the packaged version, so that neither drifts.

# %% tags=["core"]
def weights(x, alpha):
    """w ∝ exp(x̃ / α), x̃ = x scaled to [0, 1].  x: [N] returns (RW) or advantages (AW)."""
    x = (x - x.min()) / (x.max() - x.min())
    w = np.exp((x - x.max()) / alpha)
    return w / w.sum()


def advantage(G, s0):
    """G - V(s0), V linear.  G: [N], s0: [N, d]."""
    X = np.c_[np.ones(len(G)), s0]
    return G - X @ np.linalg.lstsq(X, G)[0]


def probabilities(w, T):
    """p [M]: every transition of trajectory i weighs w_i.  Not w_i / T_i."""
    p = np.repeat(w, T)
    return p / p.sum()


def clone(obs, action, p, S, A):
    """π_w [S, A]: weighted behaviour cloning, exact."""
    c = np.bincount(obs * A + action, p, S * A).reshape(S, A)
    n = c.sum(1, keepdims=True)
    return np.where(n > 0, c / np.where(n > 0, n, 1), 1 / A)


# %%
from rlkit import empirical, sampling

data = tw.dataset(sigma=0.05, seed=1)
G, s0 = data.returns, grid.features(data.first_obs)
w = weights(advantage(G, s0), alpha=0.1)
p = probabilities(w, data.lengths)
pi_w = clone(data.obs, data.action, p, 64, 4)
np.testing.assert_allclose(w, tw.advantage_weights(G, s0, 0.1), rtol=1e-9)
np.testing.assert_allclose(p, sampling.transition_probs(w, data.lengths), rtol=1e-12)
np.testing.assert_allclose(pi_w, empirical.weighted_policy(data, w, 64, 4), rtol=1e-9)
print(f"{data.n} trajectories, {data.m} transitions; the 10 experts hold {w[data.source == 1].sum():.0%} of the weight")

# %% [markdown]
# ## Exact truth first
#
# **The flow identity.** In a deterministic world where every episode ends, weighted visits $c_w(s,a)$ balance: whatever
# enters a state leaves it, because each $(s,a)$ always leads to the same place. So they are the visits of the policy cloned from
# them, $\pi_w(a|s)=c_w(s,a)/\sum_b c_w(s,b)$, and its return *from the weighted starts* is exactly the weighted mean return:
#
# $$J_{\rho_w}(\pi_w) \;=\; \sum_i w_i\, G_i .$$
#
# Not approximately, and not on average over datasets:

# %%
from rlkit import mdp

lake = grid.frozen_grid()
rho_w = np.bincount(data.first_obs, w, 64)
J = (rho_w * mdp.evaluate(lake, pi_w, horizon=4000)).sum()
print(f"J(π_w) from the weighted starts {J:.15f}\nΣ w G                            {w @ G:.15f}")
assert abs(J - w @ G) < 1e-9

# %% [markdown]
# From the *true* starts it earns a little less or more: the weighted data begin elsewhere. How far can α go? Five
# datasets, every α, exact:

# %%
alphas, seeds = np.geomspace(0.002, 10, 16), range(5)
world = grid.world(0.0)
score = lambda J: 100 * (J - world.J_random) / (world.J_expert - world.J_random)
earned, promised = (np.zeros((len(alphas), len(seeds))) for _ in range(2))
for j, seed in enumerate(seeds):
    d = tw.dataset(0.05, seed=seed)
    W = [tw.trajectory_weights(d, "aw", a) for a in alphas]
    policies = np.stack([empirical.weighted_policy(d, w, 64, 4) for w in W])
    earned[:, j], promised[:, j] = score(grid.expected_return(lake, policies)), score(np.array(W) @ d.returns)
sweep = figures.curves(alphas, {"Σ w G": promised, "AW": earned}, "temperature α", "score", "Trust too few, and you know too little", log_x=True, y_range=(-5, 110))
live.Plot(figures.board([sweep], says=f"As α falls the promise rises to {promised[0].mean():.0f}; what is earned peaks at "
                        f"{earned.mean(1).max():.0f} near α = {alphas[earned.mean(1).argmax()]:.2g} and falls back to {earned[0].mean():.0f}.", height=360))

# %% [markdown]
# Why the fall? Two trajectories cannot say what to do in sixty-four cells. **ESS** $=1/\sum w_i^2$ counts how many
# trajectories the weights really use; below about five a policy learns them by heart.
#
# ## Learned, under a constraint
#
# Now improve the policy: KL-constrained policy iteration on the weighted data, $\pi \propto \pi_w\,e^{Q/\lambda}$. Tight constraint, large λ: the
# sampling decides. Loose constraint: the learner finds its own way and all samplers agree. This table is the
# heart of the matter: *weighting helps exactly as much as the constraint hurts.*

# %%
from dataclasses import replace

lams, cfg = [10.0, 1.0, 0.3, 0.1, 0.01], tw.Config(sigma=0.05)
learned = {name: np.array([[score(tw.experiment(replace(cfg, scheme=s, lam=lam, seed=k)).J_learned) for k in range(4)] for lam in lams])
           for name, s in {"uniform": "uniform", "RW": "rw", "AW": "aw"}.items()}
pane = figures.curves(lams, learned, "price λ of leaving the data (reward)", "score after learning", "Weighting helps as much as the constraint hurts",
                      log_x=True, y_range=(-5, 110), markers=True)
live.Plot(figures.board([pane], height=360, says="; ".join(f"λ={lam:g}: " + ", ".join(f"{k} {v[i].mean():.0f}" for k, v in learned.items()) for i, lam in enumerate(lams))))

# %% [markdown]
# ## Explore
#
# Predict before you look. Each line is one experiment in the panel at the top.
#
# | do | predict | why |
# |---|---|---|
# | *Paper*, then drag σ from 0.5 % to 50 % | who gains most from weighting? | with half of the data good there is little left to gain; with one good trajectory there is little to learn from |
# | *Top 10 % of good data* | is a hard filter safer? | with many good trajectories it keeps those that started near the goal, and forgets all other starts |
# | *Lucky starts*, `rw` then `aw` | which one finds the experts? | RW credits the lucky start; its promise Σ w G is even higher, its policy worse |
# | `weights` = `dw` | no trajectories at all | weights of single transitions from the exact flow problem: cutting episodes changes nothing for it |
# | *Break it: ice* | is Σ w G still kept? | the identity needs a deterministic world: lucky trajectories are over-weighted |

# %% [markdown]
# ## A real task: networks that learn live
#
# The grid was exact. Now `Pendulum-v1` from Gymnasium, with networks: the analytic expert (pump energy, then balance) drives
# σ of the transitions, a random policy the rest. Three groups of eight networks learn side by side in one batch;
# they differ in nothing but the weights of their minibatches. Press **Run**; while they learn, move α, or pick another
# algorithm and *Reset*.

# %% tags=["hide-input"]
from rlkit.papers.weighted_offline import WeightedConfig, weighted_offline

NAMES = {"uniform": "uniform", "aw": "AW", "rw": "RW", "topk": "top-k"}


def learning(history, cfg):
    steps, score = [s.step for s in history], np.array([s.score for s in history])                    # [T], [T, 3, seeds]
    curves = {NAMES[s]: score[:, g] for g, s in enumerate(cfg.schemes)}
    now = "; ".join(f"{n} {np.median(c[-1]):.0f}" for n, c in curves.items())
    bands = figures.curves(steps, curves, "gradient steps", "score: 0 random, 100 expert", f"{cfg.algorithm.upper()} on weighted data", steps=True,
                           y_range=(-15, 115), x_range=(0, cfg.steps))
    weights = figures.bars(list(curves), history[-1].ess, "Trajectories that count (ESS)", "trajectories")
    return figures.board([bands, weights], says=f"After {steps[-1]} steps the median scores are: {now}.", height=400)


live.Panel(weighted_offline, WeightedConfig(), learning, title="Three ways to draw a minibatch", every=25,
           knobs=["alpha", "algorithm", "sigma", "steps", "seeds", "size"], presets={"Paper": {}, "IQL": dict(algorithm="iql"), "TD3+BC": dict(algorithm="td3bc"), "CQL": dict(algorithm="cql"),
                    "Trust one": dict(alpha=0.005)})

# %% [markdown]
# **What to look for.** AW beats RW here, for the reason of *Lucky starts*: a pendulum that starts near the top earns a high return
# whoever holds it. Plain cloning hardly learns at all, because averaging an expert's full torque with noise gives a weak torque.
# The ESS on the right says what the weights cost: with *Trust one* the networks see a handful of trajectories.
#
# ### MuJoCo
#
# The same learner on `HalfCheetah-v5` with datasets that two behaviour policies collect now (the first 100 steps of
# each episode, 5 % of them by an expert). The expert is a small network that was trained online; its weights ship with the course.
# A uniform cloner averages expert and noise into no motion at all: 5.6 is exactly what standing still earns.

# %%
cheetah = WeightedConfig(task="halfcheetah", algorithm="bc", sigma=0.05, size=20_000, max_steps=100, seeds=3, steps=500, episodes=5,
                         schemes=("uniform", "aw", "rw", "topk"))
*_, last = weighted_offline(cheetah, np.random.default_rng(0), every=cheetah.steps)
table = {NAMES[s]: last.score[g] for g, s in enumerate(cheetah.schemes)}
pane = figures.bars(list(table), [v.mean() for v in table.values()], f"HalfCheetah-v5, BC, {cheetah.steps} steps, {cheetah.seeds} seeds",
                    "score: 0 random, 100 expert", (-10, 120), low=[v.min() for v in table.values()], high=[v.max() for v in table.values()])
live.Plot(figures.board([pane], height=340, says="; ".join(f"{k}: {v.mean():.0f}" for k, v in table.items())))

# %% [markdown]
# ### Your own data
#
# Put the name of a local [Minari](https://minari.farama.org) dataset, its folder, or an `.npz` written by `Dataset.save` below, and learn
# before any training what weighting can do for it: `room` bounds how far the weighted mean return can rise at this
# temperature (Cauchy–Schwarz: $\sum_i w_i G_i-\bar G\le\sqrt{\mathrm{PSV}\cdot N/\mathrm{ESS}}$, with PSV the part of the variance
# of returns that lies above their mean).

# %%
from rlkit import measures
from rlkit.trajectories import Dataset

WHERE = None                                  # "D4RL/pen/human-v2", a folder, or "mine.npz"
yours = data if WHERE is None else Dataset.load(WHERE) if str(WHERE).endswith(".npz") else Dataset.from_minari(WHERE)
measures.describe(yours)

# %% [markdown]
# ## Where it breaks
#
# **Luck in the transitions.** One decision: *safe* pays 0.6; *gamble* pays 1 with probability 0.3, else nothing. Among the best trajectories stand the lucky
# gamblers. Copying them copies the gamble, not the luck: the promise rises to 1 while the policy falls to 0.3. There is only one
# start, so advantage weighting cannot help.

# %%
alphas = np.geomspace(0.03, 3, 60)
gamble = np.array([tw.gamble_policy(a) for a in alphas])                                       # [60, 3]: π_w(gamble), J, Σ w G
pane = figures.curves(alphas, {"Σ w G": gamble[:, 2], "RW": gamble[:, 1], "behaviour": np.full(60, 0.45)}, "temperature α", "reward",
                      "The gamble: a promise the world does not keep", log_x=True, y_range=(0, 1.05))
live.Plot(figures.board([pane], height=340, says=f"At α = 0.1 the weighted data promise {tw.gamble_policy(0.1)[2]:.2f}, and the policy earns {tw.gamble_policy(0.1)[1]:.2f}; behaviour earned 0.45."))

# %% [markdown]
# **Coverage.** Sharp weights make data good and few. A learner that hardly needs a constraint wants the opposite: many different
# transitions, good or bad. Measured with CQL on Pendulum, raw rewards (so the constraint is loose), 3000 steps, three datasets: uniform 78 ± 6, RW 8 ± 4,
# AW 0 ± 5. With mild weights, α = 0.5, nothing is lost. To see it, give `weighted_offline` the argument
# `base=replace(BASE["cql"], reward_scale=1.0)` (`BASE` stands beside it); half a minute.
#
# **Short pieces.** Cut the same episodes into segments of five steps. A good piece no longer knows that it led to the goal, so
# trajectory weights lose most of their power. Weights of single transitions, from the flow that must balance (*density-ratio weighting*,
# here solved exactly), do not notice the cut.

# %%
from rlkit.improve import flow_weights

whole, cut = tw.dataset(0.05, seed=3), tw.dataset(0.05, seed=3).cut(5)
rows = {}
for name, d in {"whole episodes": whole, "5-step pieces": cut}.items():
    aw = empirical.weighted_policy(d, tw.trajectory_weights(d, "aw", 0.1), 64, 4)
    dw = empirical.weighted_policy(d, flow_weights(d, lake, 0.1), 64, 4)
    rows[name] = score(grid.expected_return(lake, np.stack([aw, dw])))
    print(f"{name:15s}  AW {rows[name][0]:5.1f}   DW, exact {rows[name][1]:5.1f}")

# %% [markdown]
# **The wrong sampler.** Drawing a trajectory first and a transition of it second is $p_{i,t}=w_i/T_i$: short trajectories then
# weigh more than they should. It is an easy slip, and it costs:

# %%
wrong = [score(grid.expected_return(lake, empirical.weighted_policy(d, (tw.trajectory_weights(d, "rw", 0.1) / d.lengths), 64, 4)))
         for d in (tw.dataset(0.05, seed=k) for k in range(5))]
right = [score(grid.expected_return(lake, empirical.weighted_policy(d, tw.trajectory_weights(d, "rw", 0.1), 64, 4)))
         for d in (tw.dataset(0.05, seed=k) for k in range(5))]
print(f"RW, five datasets: p = w_i / Σ T_j w_j scores {np.mean(right):.0f};  w_i / T_i scores {np.mean(wrong):.0f}")

# %% [markdown]
# ## Exercises
#
# Each check says which property fails and gives one hint more at every try; the solution is folded below the question.
#
# **1. Write the weights.**

# %%
from rlkit.exercises import trajectory_weighting as exercise

exercise.weights


# %%
def return_weights(G, alpha):
    ...                                       # your lines here


exercise.weights.check(return_weights)

# %% [markdown]
# **2. Predict the winner** on *Lucky starts*, before you run it.

# %%
exercise.winner

# %%
exercise.winner.check(...)                    # "RW", "AW" or "the same"

# %% [markdown]
# **3. The best temperature**, and why it is not the smallest.

# %%
exercise.temperature

# %%
exercise.temperature.check(...)               # a pair: (0.5, "a")

# %% [markdown]
# **4. Break it** with a gamble of your own.

# %%
exercise.gamble

# %%
exercise.gamble.check(...)                    # three numbers: (safe, prize, chance)

# %% [markdown]
# ## What the paper claims, and what was measured here
#
# Measured now, on this machine. The slow claims, with networks, are left out here; `python -m rlkit claims trajectory_weighting` runs them all,
# for any `--seed`.

# %%
from rlkit import claims

claims.table("trajectory_weighting", seed=0, fast=True)

# %% [markdown]
# ## Going further
#
# - Hong, Agrawal, Tachet des Combes, Laroche, *Harnessing Mixed Offline Reinforcement Learning Datasets via Trajectory Weighting*, ICLR
#   2023, [arXiv 2306.13085](https://arxiv.org/abs/2306.13085).
# - Hong et al., *Beyond Uniform Sampling: Offline Reinforcement Learning with Imbalanced Datasets*, NeurIPS 2023,
#   [arXiv 2310.04413](https://arxiv.org/abs/2310.04413): weights of single transitions, so that trajectories may be short.
# - Schweighofer et al., *A Dataset Perspective on Offline Reinforcement Learning*, CoLLAs 2022,
#   [arXiv 2111.04714](https://arxiv.org/abs/2111.04714): which algorithm suits which data. In miniature: `rlkit.papers.dataset_perspective`.
# - The four algorithms, one page each: `rlkit/offline/`. Many seeds, cached and resumable: `rlkit.study`.
# - Open: in a stochastic world the weights credit luck. What would a weight look like that asks whether a good
#   return could be had again?
