# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Papers you can play with
#
# Each chapter of this course is one reinforcement-learning paper. You see its idea move, drag its parameters while it
# learns, rebuild its core in a few lines, watch it break, and end at a table: **what the paper claims, what was just
# measured on this machine, and whether it holds.**
#
# This page takes five minutes. Run the two cells below (*Run ▸ Run All Cells*), then press **Run** in the panel.

# %% tags=["core"]
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from rlkit import figures, live, policies
from rlkit.config import check, knob


@dataclass(frozen=True)
class Config:
    alpha: float = knob(0.02, 0.001, 3, log=True, symbol="α", says="step size: how far one update moves the policy", above=0)
    tau: float = knob(0.0, 0, 0.5, symbol="τ", says="entropy bonus: how much curiosity is worth, in reward", least=0)
    noise: float = knob(1.0, 0.1, 3, symbol="σ", unit="reward", says="noise: standard deviation of a reward", least=0)
    seed: int = knob(0, 0, 99, symbol="seed", says="draw: which random numbers", restart=True, least=0)
    steps: int = 40_000
    __post_init__ = check


class Snapshot(NamedTuple):
    step: int
    pi: np.ndarray                                            # [R, A] the policy of each run
    H: np.ndarray                                             # [R] its entropy, nats


def bandit(cfg, rng, every=10, R=16):
    """REINFORCE on four arms, R runs at once: θ ← θ + α (r - τ log π(a) - b) ∇log π(a)."""
    q = np.array([0.0, 0.5, 0.8, 1.0])                        # mean reward of each arm
    theta, b = np.zeros((R, len(q))), np.zeros((R, 1))
    for step in range(cfg.steps + 1):
        pi = policies.softmax(theta)                                                              # [R, A]
        if step % every == 0:
            cfg = (yield Snapshot(step, pi, policies.entropy(pi))) or cfg                         # whoever looks may answer
        a = (pi.cumsum(1) > rng.random((R, 1))).argmax(1)[:, None]                                # [R, 1] one arm a run
        r = q[a] + cfg.noise * rng.normal(size=(R, 1)) - cfg.tau * np.log(np.take_along_axis(pi, a, 1))
        theta += cfg.alpha * (r - b) * ((np.arange(len(q)) == a) - pi)
        b += 0.05 * (r - b)


# %% tags=["hide-input"]
def draw(history, cfg):
    steps, pi, H = ([s.step for s in history], np.array([s.pi for s in history]), np.array([s.H for s in history]))
    best = figures.curves(steps, {"best arm": pi[..., 3]}, "updates", "probability of the best arm", "Does it find the best arm?",
                          y_range=(0, 1.05), x_range=(0, cfg.steps), steps=True)
    curious = figures.curves(steps, {"entropy": H}, "updates", "entropy (nats)", "How curious is it still?",
                             y_range=(0, 1.5), x_range=(0, cfg.steps), steps=True)
    says = (f"After {steps[-1]} updates the best arm has probability {np.median(pi[-1, :, 3]):.2f} in the median of 16 runs; "
            f"entropy {np.median(H[-1]):.2f} nats.")
    return figures.board([best, curious], says=says, height=400)


presets = {"Calm": Config(), "Too bold": Config(alpha=3.0), "Curious": Config(tau=0.2)}
live.Panel(bandit, Config(), draw, presets=presets, title="Four arms, sixteen runs")

# %% [markdown]
# **Play.** Press **Run**. While it learns, drag `α` up: a marker line shows where you did. **Pin** keeps a run as a grey
# ghost to compare with, **Reset** starts again, **Copy** gives you the line of Python that rebuilds what you see.
# The preset *Too bold* finds an arm quickly, and often the wrong one: its entropy is gone before it has looked around.
# *Curious* keeps looking. The band is the middle half of sixteen runs, never one lucky curve.
#
# Two kinds of control: those that act on the **next update**, and those marked *applies on Reset* (here the seed),
# because a run cannot change its past.

# %% [markdown]
# ## One loop, many readers
#
# The learner above is a *generator*: now and then it says where it is, and whoever looks may answer with changed
# settings. The panel is one reader; here is another, a plain loop. Every method of the course has this shape, so that
# you can take it into your own experiments without the panel.

# %%
run = bandit(Config(steps=2000, alpha=0.3), np.random.default_rng(0), every=500)
snap = next(run)
while snap.step < 2000:
    changed = Config(steps=2000, alpha=0.3, tau=0.5) if snap.step == 1000 else None       # an answer, in mid-run
    snap = run.send(changed)
    print(f"update {snap.step:4d}: entropy {snap.H.mean():.2f} nats, best arm {snap.pi[:, 3].mean():.2f}")

# %% [markdown]
# ## The chapters
#
# | chapter | question | minutes |
# |---|---|---|
# | [1. Trajectory weighting](01_trajectory_weighting.ipynb) | A dataset has a few good trajectories among many poor ones. Can an offline learner be told which to trust, without touching its loss? | 45 |
# | [2. Dichotomy of control](02_dichotomy_of_control.ipynb) | Some past episodes ended well by skill, some by luck. Ask a policy for a high return, and it gambles. How does one ask only for what can be kept? | 45 |
# | [3. Martingale TD](03_martingale_td.ipynb) | TD learning makes its own error small. What does it learn when the clock ticks faster and faster, and what to do instead? | 45 |
# | [4. Bayesian-network policies](04_bayes_net_policy.ipynb) | A team has settled where nobody gains alone. What changes if one member may see what another has chosen, and can that help be taken away again? | 45 |
# | [5. The entropy mechanism](05_entropy_mechanism.ipynb) | A small language model learns to reason, and runs out of randomness. Why, how far can it get like that, and what rescues it? | 60 |
#
# Each has the same rhythm: the question and a live panel; the idea, equation beside code; its core in a few lines;
# exact truth first, then the learned version; guided experiments; a real task; where it breaks; exercises with an
# automatic check; the table of claims; further reading.

# %% [markdown]
# ## The table of claims
#
# A claim is a function that measures one sentence of a paper, for any seed. `holds` means that the measured value lies
# within a tolerance that comes from the sampling error, and the last column says why that tolerance. What does not hold at
# our scale stays in the table and says so. From a terminal: `python -m rlkit claims trajectory_weighting --seed 7`.

# %% tags=["hide-input"]
import os
import platform

print(f"Python {platform.python_version()} on {platform.system()}, {os.cpu_count()} cores. A chapter with networks needs about 0.6 GB of memory.")
