"""The entropy mechanism, in tables: why a policy that learns from right and wrong runs out of randomness.

A softmax policy whose logits move by Δz changes its entropy by minus a covariance, to first order:

    ΔH = -Cov_π(log π, Δz) + O(Δz²)            (`rlkit.policies.entropy_step`, with the second order)

Policy gradient moves a logit by η π(a) A(a), natural policy gradient by η A(a). Where what is likely is also good the
covariance is positive and entropy falls; a rare action that is good raises it. Here everything is exact: a bandit with
several right answers, and a tree of tokens whose every response is enumerated. A bandit is a tree of depth one.

On a tree two accounts differ. Taking each prefix for a state with a fixed share d(s) of the visits, Σ_s d(s) ΔH(s),
leaves out that the visits move too, an error of *first* order; taking the whole response for one action leaves out
nothing.

Read `step`, which is the method, then `mechanism`, the learner; `one_step` is one bandit and one update.
Source: Cui et al. (2025), The Entropy Mechanism of Reinforcement Learning for Reasoning Language Models. The second
order, the term that a tree adds, and the examples are ours.

Axes: R runs, K actions (tokens), D depth, L = K^D responses. A tree policy is a list of D levels: level t is
[R, K^t, K], one row for each prefix of t tokens.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from rlkit.config import accept, check, knob
from rlkit.policies import EntropyStep, cov, entropy, entropy_step, log_softmax, softmax
from rlkit.validation import still_finite

METHODS = ("PG", "NPG")
MOST = 4096                               # responses that are enumerated


@dataclass(frozen=True)
class Config:
    """A task with several right answers and a policy that learns it; the values are ours."""

    method: str = knob("PG", choices=METHODS, says="policy gradient (PG) or natural policy gradient (NPG)")
    eta: float = knob(0.5, 0.01, 20.0, log=True, symbol="η", above=0, step=True, says="step size of an update")
    alpha: float = knob(0.0, 0.0, 0.3, symbol="α", says="entropy bonus: paid for randomness")
    c: float = knob(0.0, -1.0, 1.0, symbol="c", says="error of the baseline: added to each advantage")
    samples: int = knob(0, 0, 256, symbol="n", least=0, says="responses an update: 0 takes the exact expectation")
    right: int = knob(3, 1, 10, least=1, restart=True, says="right answers")
    align: float = knob(0.0, -4.0, 4.0, restart=True, says="head start: added to the logits of what is right")
    K: int = knob(20, 2, 30, symbol="K", least=2, restart=True, says="actions to choose from")
    depth: int = knob(1, 1, 4, symbol="D", least=1, most=30, restart=True, says="tokens of a response")
    spread: float = knob(1.5, 0.0, 4.0, least=0, restart=True, says="spread of the first logits")
    steps: int = knob(400, 50, 4000, log=True, least=1, restart=True, says="updates")
    runs: int = knob(16, 1, 64, symbol="R", least=1, restart=True, says="tasks and policies side by side")
    seed: int = knob(0, 0, 99, least=0, restart=True, says="which random numbers")

    def __post_init__(self):
        check(self)
        if self.K**self.depth > MOST:
            raise ValueError(f"K = {self.K} actions and depth {self.depth} make {self.K**self.depth} responses, "
                             f"expected at most {MOST} to enumerate; try K = {int(MOST ** (1 / self.depth) + 1e-9)}")
        if self.right >= self.K**self.depth:
            raise ValueError(f"right is {self.right} of {self.K**self.depth} responses, expected fewer: something must "
                             "be wrong for there to be something to learn")


class Snapshot(NamedTuple):
    """Entropies in nats, of the response as a whole: the sum over its tokens. Changes are those of the last update."""

    step: int
    H: np.ndarray                 # [R] entropy, after the update
    J: np.ndarray                 # [R] chance of a right answer
    among: np.ndarray             # [R] entropy of the choice among right answers
    exact: np.ndarray             # [R] change of H
    first: np.ndarray             # [R] -Cov(log π, Δ log π) over responses: first order
    second: np.ndarray            # [R] with the second order
    frozen: np.ndarray            # [R] Σ_s d(s) (-Cov_s(log π, Δz)): visits frozen; on a bandit the same as `first`
    formula: np.ndarray           # [R] the same with the formula's Δz = η π (A + c), or η (A + c), in place of the true
    sampled: np.ndarray           # [R] covariance of log π and A over the n sampled responses (n = 0: over all)
    pi: np.ndarray                # [L] responses of the first run
    good: np.ndarray              # [L] bool, which are right


# ---- trees

def responses(levels: list[np.ndarray]) -> np.ndarray:
    """log π(y) of every response [R, L], from the log-probabilities of the tokens."""
    total = np.zeros((len(levels[0]), 1))
    for logp in levels:
        total = (total[:, :, None] + logp).reshape(len(logp), -1)
    return total


def visits(levels: list[np.ndarray]) -> list[np.ndarray]:
    """d(s) of every prefix, a list of [R, K^t, 1]: each level sums to 1."""
    d = [np.ones((len(levels[0]), 1, 1))]
    for logp in levels[:-1]:
        d.append((d[-1] * np.exp(logp)).reshape(len(logp), -1, 1))
    return d


def advantages(levels: list[np.ndarray], r: np.ndarray) -> list[np.ndarray]:
    """A(s, a) = Q(s, a) - V(s) of every prefix and token, exactly, from the end of the response backwards.

    r: [R, L] reward of each response.  Gives a list like `levels`.
    """
    out = []
    for logp in levels[::-1]:
        q = r.reshape(logp.shape)
        v = (np.exp(logp) * q).sum(-1, keepdims=True)
        out.append(q - v)
        r = v
    return out[::-1]


def step(levels: list[np.ndarray], r: np.ndarray, method: str = "PG", eta: float = 0.5, alpha: float = 0.0,
         c: float = 0.0, shares: np.ndarray | None = None) -> list[np.ndarray]:
    """Δz of one update, a list like `levels`.

        PG    Δz_sa = η [f_sa (A_sa + c) - π(a|s) Σ_b f_sb (A_sb + c)]      exactly, f = d π:  η d(s) π(a|s) A(s, a)
        NPG   Δz_sa = η f_sa (A_sa + c) / (d(s) π(a|s))                      exactly:  η A(s, a), and c: no move

    f_sa: share of the responses that pass through (s, a). levels: log-probabilities.  r: [R, L].
    alpha: the entropy bonus; a response y is then paid r(y) - α log π(y), whose advantages give the gradient of J + αH.
    c: error of the baseline. With all responses it changes nothing; with a sample it is noise.
    shares: [R, L] share of each response in a sample; None: π itself, the exact expectation.
    Source: Cui et al. (2025), theorems 1 and 2; the factor d(s) of a true gradient is ours.
    """
    logp_y = responses(levels)
    adv = advantages(levels, r - alpha * logp_y if alpha else r)
    d = visits(levels)
    if shares is None:
        f = [d_t * np.exp(logp) for d_t, logp in zip(d, levels)]
    else:
        f = [shares.reshape(*logp.shape, -1).sum(-1) for logp in levels]
    moves = []
    for logp, a, f_t, d_t in zip(levels, adv, f, d):
        pi, w = np.exp(logp), f_t * (a + c)
        if method == "PG":
            moves.append(eta * (w - pi * w.sum(-1, keepdims=True)))
        else:
            p = np.maximum(d_t * pi, 1e-300)
            moves.append(eta * np.divide(w, p, out=np.zeros_like(w), where=f_t > 0))
    return moves


def start(cfg: Config, rng: np.random.Generator) -> tuple[list[np.ndarray], np.ndarray]:
    """(levels, good): a random policy as log-probabilities, and which responses are right [R, L] bool."""
    R, L = cfg.runs, cfg.K**cfg.depth
    good = rng.permuted(np.tile(np.arange(L) < cfg.right, (R, 1)), axis=1)
    levels = []
    for t in range(cfg.depth):
        shape = (R, cfg.K**t, cfg.K)
        leads = good.reshape(*shape, -1).any(-1)                          # a right answer lies below
        levels.append(log_softmax(cfg.spread * rng.standard_normal(shape) + cfg.align * leads))
    return levels, good


def mechanism(cfg: Config, rng: np.random.Generator, every: int = 1,
              begin: tuple | None = None) -> Generator[Snapshot, Config | None, None]:
    """Learn, R tasks at once, and account for every nat.

    begin: (levels, good) in place of `start`.  Method, η, α, c and n may change in mid-run; what cannot raises
    ValueError.  The first snapshot is that of step 0, where nothing has moved yet.
    """
    of_start, of_samples = rng.spawn(2)
    levels, good = start(cfg, of_start) if begin is None else begin
    r, nothing = good.astype(float), np.zeros(len(good))
    logp = responses(levels)
    sent = yield _photograph(0, logp, good, EntropyStep(nothing, nothing, nothing), nothing, nothing, nothing)
    cfg = accept(sent, cfg)
    for t in range(1, cfg.steps + 1):
        shares = of_samples.multinomial(cfg.samples, np.exp(logp)) / cfg.samples if cfg.samples else None
        moves = step(levels, r, cfg.method, cfg.eta, cfg.alpha, cfg.c, shares)
        still_finite(t, **{f"the step of token {i + 1}": dz for i, dz in enumerate(moves)})
        after = [log_softmax(lp + dz) for lp, dz in zip(levels, moves)]
        new = responses(after)
        if t % every == 0 or t == cfg.steps:
            change = entropy_step(np.exp(logp), new - logp)
            formula = _frozen(levels, _formula(levels, r, cfg))
            p = np.exp(logp) if shares is None else shares
            seen = cov(p, logp, r)
            sent = yield _photograph(t, new, good, change, _frozen(levels, moves), formula, seen)
            cfg = accept(sent, cfg)
        levels, logp = after, new


def _formula(levels, r, cfg):
    """The Δz of the theorems as printed, with an advantage that is wrong by c: π A need not have mean 0 then."""
    return [cfg.eta * (np.exp(logp) * d if cfg.method == "PG" else 1.0) * (a + cfg.c)
            for logp, a, d in zip(levels, advantages(levels, r - cfg.alpha * responses(levels)), visits(levels))]


def _frozen(levels, moves):
    """Σ_s d(s) (-Cov_{π(·|s)}(log π, Δz)) [R]."""
    return -sum((d[..., 0] * cov(np.exp(logp), logp, dz)).sum(-1)
                for logp, dz, d in zip(levels, moves, visits(levels)))


def _photograph(t, logp, good, change, frozen, formula, seen):
    pi = np.exp(logp)
    J = (pi * good).sum(-1)
    among = entropy(softmax(np.where(good, logp, -np.inf)))
    return Snapshot(t, entropy(pi), J, among, *change, frozen, formula, seen, pi[0], good[0])


# ---- one step, to look at closely

@dataclass(frozen=True)
class OneStepConfig:
    """Three actions, one of them right, one update."""

    top: float = knob(0.7, 0.34, 0.98, symbol="p₁", least=0.01, most=0.99, says="likely: chance of the likely action")
    share: float = knob(0.667, 0.5, 0.98, least=0.01, most=0.99, says="middle: its share of what is left")
    rewarded: str = knob("likely", choices=("likely", "middle", "rare"), says="which action is right")
    method: str = knob("PG", choices=METHODS, says="policy gradient (PG) or natural policy gradient (NPG)")
    eta: float = knob(0.1, 0.01, 30.0, log=True, symbol="η", above=0, says="step size of the update")
    tau: float = knob(1.0, 0.3, 3.0, log=True, symbol="τ", above=0,
                      says="temperature: of π = softmax(z/τ); PG's step grows as 1/τ², NPG does not notice")

    __post_init__ = check

    @property
    def pi(self) -> np.ndarray:
        """[3] likely, middle, rare."""
        left = 1 - self.top
        return np.array([self.top, left * self.share, left * (1 - self.share)])


class OneStep(NamedTuple):
    before: np.ndarray            # [3] π
    after: np.ndarray             # [3]
    terms: np.ndarray             # [3] -π (log π + H) Δz, which add up to the first order
    change: EntropyStep           # of this step
    etas: np.ndarray              # [60] step sizes
    changes: EntropyStep          # [60] of each of them


def one_step(cfg: OneStepConfig) -> OneStep:
    """What one update does to entropy, exactly and as predicted. Pure."""
    pi = cfg.pi
    adv = np.eye(3)[("likely", "middle", "rare").index(cfg.rewarded)]
    adv = adv - pi @ adv
    unit = pi * adv / cfg.tau**2 if cfg.method == "PG" else adv           # of Δz/τ, what the softmax sees
    etas = np.geomspace(0.01, 30, 60)
    terms = -pi * (np.log(pi) + entropy(pi)) * cfg.eta * unit
    return OneStep(pi, softmax(np.log(pi) + cfg.eta * unit), terms, entropy_step(pi, cfg.eta * unit), etas,
                   entropy_step(pi, etas[:, None] * unit))


# ---- how large a covariance can be

def group_advantages(r: np.ndarray) -> np.ndarray:
    """GRPO: A_i = (r_i - mean) / (std + 1e-6) within each group of K answers to one prompt; all equal: 0.

    r: [..., K].  The standard deviation divides by K - 1, as the authors' code does. Source: Cui et al. (2025).
    """
    r = np.asarray(r, float)
    if r.shape[-1] < 2:
        raise ValueError(f"r has shape {r.shape}, expected at least 2 answers to each prompt: one has no spread")
    return (r - r.mean(-1, keepdims=True)) / (r.std(-1, ddof=1, keepdims=True) + 1e-6)


def token_covariances(logp: np.ndarray, adv: np.ndarray) -> np.ndarray:
    """(log π_i - mean) (A_i - mean) of each of N sampled tokens: what Clip-Cov and KL-Cov rank by.  logp, adv: [N].

    Where the mean of A is 0 or more, a token with A > 0 cannot exceed -mean(log π) · max A, about H · 2.475 for groups
    of 8: what is larger is a *rare token of a failed answer*.  Source: Cui et al. (2025); the bound is ours.
    """
    logp, adv = np.asarray(logp, float), np.asarray(adv, float)
    return (logp - logp.mean()) * (adv - adv.mean())
