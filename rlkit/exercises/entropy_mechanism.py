"""Exercises of chapter 5, the entropy mechanism: two actions, choose k, foretell the end, break the law."""

from __future__ import annotations

from functools import cache

import numpy as np

from rlkit.exercises import Case, Exercise
from rlkit.papers import entropy_mechanism as em
from rlkit.policies import entropy, log_softmax, softmax
from rlkit.stats import fit_exp_entropy

# ---- 1. two actions


def two_actions(p, dz1, dz2):
    return -p * (1 - p) * np.log(p / (1 - p)) * (dz1 - dz2)


def _slope(p, dz1, dz2, h=1e-5):
    """dH/dt at t = 0 along z + t Δz, by central differences: no formula of ours."""
    z = np.log([p, 1 - p])
    H = [entropy(softmax(z + t * np.array([dz1, dz2]))) for t in (-h, h)]
    return (H[1] - H[0]) / (2 * h)


two = Exercise(
    "A policy has two actions with probabilities p and 1 - p. Their logits move by Δz₁ and Δz₂. Derive the first-order "
    "change of entropy, minus the covariance of log π and Δz, and write it without a sum: `two_actions(p, dz1, dz2)`.",
    [Case("an even policy: no first order", (0.5, 0.1, -0.1), 0.0),
     Case("the likely action rises: entropy falls", (0.9, 0.1, 0.0), _slope(0.9, 0.1, 0.0), tol=1e-7),
     Case("the rare action rises: entropy rises", (0.9, 0.0, 0.1), _slope(0.9, 0.0, 0.1), tol=1e-7),
     Case("both rise together: nothing happens", (0.8, 0.3, 0.3), 0.0),
     Case("names do not matter", (0.3, 0.2, 0.5), lambda f: f(0.7, 0.5, 0.2))],
    hints=["A covariance of two variables on two points: each is 'high' with probability p, 'low' with 1 - p.",
           "Cov(X, Y) = p (1 - p) (x₁ - x₂)(y₁ - y₂) for two points.",
           "x is log π: x₁ - x₂ = log p - log(1 - p). Mind the minus in front."],
    solution=two_actions,
    why="p(1-p) is how undecided the policy is, log p/(1-p) how far it leans already: entropy falls "
        "fastest at p ≈ 0.82.",
)

# ---- 2. choose k


@cache
def batch() -> np.ndarray:
    """Covariances of a batch, 512 prompts with 8 answers each: (log π - mean)(A - mean) [4096], read only."""
    rng = np.random.default_rng(0)
    p = softmax(rng.normal(0, 2, (512, 1, 20)))
    a = (rng.random((512, 8, 1)) > p.cumsum(-1)).sum(-1).clip(0, 19)
    c = em.token_covariances(np.take_along_axis(np.log(p)[:, 0], a, 1).ravel(), em.group_advantages(a < 3).ravel())
    c.setflags(write=False)
    return c


def choose_k(c, share):
    c = np.sort(c)[::-1]
    carried = np.cumsum(np.maximum(c, 0)) / np.maximum(c, 0).sum()
    return (np.searchsorted(carried, share - 1e-12) + 1) / len(c)


k = Exercise(
    "KL-Cov holds back the ⌊kN⌋ tokens with the largest covariance. Write `choose_k(c, share)`: the smallest k whose "
    "tokens carry at least `share` of all the positive covariance in c. Then look at "
    "`choose_k(exercise.batch(), 0.5)`: how much larger is it than the paper's 0.002?",
    [Case("one outlier carries it all: one token", (np.r_[np.full(99, -0.1), 5.0], 0.9), 0.01),
     Case("equal covariances: k is the share", (np.ones(200), 0.25), 0.25),
     Case("negative ones do not count", (np.r_[np.full(50, -9.0), np.full(50, 1.0)], 0.5), 0.25),
     Case("a batch of 4096 answers, half of the covariance", (batch(), 0.5), choose_k(batch(), 0.5)),
     Case("the order of the tokens does not matter", (batch()[::-1], 0.3), lambda f: f(batch(), 0.3))],
    hints=["Sort from the largest down. What is the running sum, and where does it pass the share?",
           "np.sort(c)[::-1]; np.cumsum of np.maximum(c, 0), divided by its total; np.searchsorted finds the place.",
           "The place counts from 0, tokens count from 1; divide by N."],
    solution=choose_k,
    why="In a small batch 0.002 is a handful of tokens that carry a few per cent of the covariance: k has to grow as "
        "batches shrink and as covariance spreads over more tokens. k belongs to the histogram, not to the method.",
)

# ---- 3. foretell the end


@cache
def run() -> tuple[np.ndarray, np.ndarray]:
    """(H, R), 101 points each: mean entropy and reward of 64 bandits under policy gradient."""
    history = list(em.mechanism(em.Config(runs=64), np.random.default_rng(5), every=4))
    return np.array([s.H.mean() for s in history]), np.array([s.J.mean() for s in history])


def first_third() -> tuple[np.ndarray, np.ndarray]:
    """(H, R) of the first 33 points: what you may look at."""
    H, R = run()
    return H[:33], R[:33]


_early = fit_exp_entropy(*first_third())

ceiling = Exercise(
    "`H, R = exercise.first_third()` is the first third of a run on 64 bandits. Fit R = -a e^H + b to it "
    "(`rlkit.stats.fit_exp_entropy`) and, before you look at the rest, say what the law promises at H = 0 and where "
    "the run will really end. Answer a pair: (b - a, \"above\"), \"below\", or \"at\" for within 0.02.",
    [Case("the promise, b - a", None, _early.ceiling, look=lambda answer: float(answer[0]), tol=2e-3),
     Case("where it ends", None, "above" if run()[1][-1] > _early.ceiling + 0.02 else "other",
          look=lambda answer: str(answer[1]))],
    hints=["fit_exp_entropy(H, R).ceiling.",
           "Plot the points and the curve: on which side of it do the last ones lie? Does the curve bend enough?",
           "R² is 0.99, and yet the last points of the third lie above the curve. They go on doing so."],
    solution=(round(_early.ceiling, 4), "above"),
    why="It ends near 0.98. The interval of the fit speaks of the scatter around the curve, not of the curve being the "
        "right one, and misses the end. The bias is the same in every run we measured: the early price of reward, in "
        "units of e^H, is not the late one.",
)

# ---- 4. break the law


def no_noise():
    z = np.zeros(20)
    z[10] = 5.0
    return z


def played(z) -> tuple[float, float]:
    """(rise of the reward, R² of the law; 0 where it refuses) of 400 exact updates, η = 0.5, from the logits z [20]."""
    z = np.asarray(z, float)
    if z.shape != (20,):
        raise ValueError(f"the logits have shape {z.shape}, expected (20,): one for each action")
    begin = ([log_softmax(z)[None, None]], (np.arange(20) < 3)[None])
    history = list(em.mechanism(em.Config(runs=1), np.random.default_rng(0), every=4, begin=begin))
    H, R = (np.array([getattr(s, k)[0] for s in history]) for k in ("H", "J"))
    try:
        law = fit_exp_entropy(H, R)
    except ValueError:
        return float(R[-1] - R[0]), 0.0
    return float(R[-1] - R[0]), float(1 - ((R - law.at(H)) ** 2).sum() / ((R - R.mean()) ** 2).sum())


broken = Exercise(
    "The law says that reward is bought with randomness. Take the randomness away: write `start()`, the 20 first "
    "logits of a bandit whose actions 0, 1, 2 are right, from which policy gradient (400 updates, η = 0.5) still gains "
    "at least 0.5 of reward, yet R = -a e^H + b explains less than a fifth of it, or refuses. `exercise.played(z)` "
    "gives (gain, R²).",
    [Case("it learns", (), "a gain of at least 0.5", look=lambda z: played(z)[0], holds=lambda gain: gain >= 0.5),
     Case("the law does not describe it", (), "R² below 0.2, or a refusal", look=lambda z: played(z)[1],
          holds=lambda r2: r2 < 0.2)],
    hints=["A policy that starts with little entropy has nothing to pay with. What must it do first?",
           "Sure, and wrong: one large logit on an action that is not right.",
           "Too sure, and 400 updates are not enough to leave. Try 3, 4, 5, 6."],
    solution=no_noise,
    why="Reward and entropy rise together, then entropy falls while reward goes on rising: no single curve goes there "
        "and back. The paper warns of it: other starting models, off-policy data and new strategies leave the law.",
)
