"""Dichotomy of control: a latent of the whole episode that explains the actions and knows nothing of luck.

"Which actions came before a high return?" mixes good actions with good luck. So do not condition on the return: learn
what to condition on. A posterior q(z|τ) and a policy π(a|s, z) are to make the actions likely, under a price on what z
knows of chance; then V(z) = E[R|z] is a promise that π(.|., z) keeps, and one may safely take the best z.

    min_{π,q} max_f   E Σ_t -log π(a_t|s_t, z)   +   β E Σ_t [ f(o_t, z, s_t, a_t) - log E_{o~ρ} exp f(o, z, s_t, a_t) ]

with o = (r, s') and ρ any fixed distribution of it, here that of the data. **f climbs, q and π descend.** The best f is
log Pr(o|z, s, a) / ρ(o), and then the bracket is MI(o; z | s, a) plus what does not depend on q. With a free table
Q[i, z] for q(z|τ_i) = softmax_z Q_i, everything but q has a closed form, and the gradient is one line: each episode
leans towards the codes that cost it least,

    cost_iz = -log π(a's of τ_i | z) - λ log Pr(R_i|z) + β · { log Pr(luck of τ_i | z) / Pr(luck of τ_i)      DoC
                                                             { log q(z|τ_i) / p(z)                            VAE
    ∂loss/∂Q_iz = w_i q_iz (cost_iz - Σ_z' q_iz' cost_iz')

The future-VAE pays for all that z knows, actions and luck alike; RCSL does not learn z at all, z is the return.
λ asks z to foretell the return. It is 0 in the paper's loss; its released code lets the value loss into q, and that is
what makes luck tempting: a nat of luck earns at most λ and costs β, so luck leaves once β > λ.
Acting: draw K latents from the prior p(z) = E q(z|τ), take the one with the largest V(z), follow it to the end.

Where the released code departs from the equations, as we read it, so that nobody ports it blindly:
  1. in its tables q, π, V and f all descend -f + log E exp f: q makes luck *easier* to foretell (`wrong_sign` here);
  2. the gradient is stopped at the prior, not at q, which drags q to a prior that nobody trains;
  3. the K values are computed from one and the same encoding, so that the best of K is the first;
  4. the neural energy sees no reward, and its positive example pairs a true transition with a shuffled one;
  5. the token of a state comes after the reward that its action caused, and so sees it in training;
  6. the loss of V reaches q: our λ;
  7. actions are decoded greedily, where the theorem speaks of sampling (`decode` shows what that hides).

Read `cost`, then `dichotomy`, then `Config`. What a latent is worth, exactly, is in `dichotomy_exact`.
Source: Yang, Schuurmans, Abbeel & Nachum (2023), Dichotomy of Control: Separating What You Can Control from What You
Cannot, ICLR. The closed forms, the gradient and the threshold β > λ are derived here.

Axes: R runs, N kinds of episodes, Z codes, E kinds of transitions, C contexts (s, a), S states (and outcomes).
"""

from __future__ import annotations

import math
from collections.abc import Generator
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from rlkit.adam import Adam
from rlkit.config import accept, check, knob
from rlkit.envs import lottery, luck_tree, lucky_arms
from rlkit.mdp import MDP, simulate, solve
from rlkit.papers import dichotomy_lake as ice
from rlkit.papers.dichotomy_exact import (
    TINY,
    Book,
    Records,
    along_episodes,
    book,
    bound,
    chosen,
    code_visits,
    enumerate_episodes,
    from_episodes,
    log,
    pair_visits,
    return_code,
    stack,
    worth,
)
from rlkit.policies import greedy

METHODS = ("DoC", "VAE", "RCSL")
WORLDS = ("arms", "lottery", "tree", "lake")
LAKE_N = 1000                             # episodes on the lake when infinitely many are asked for: too many kinds


@dataclass(frozen=True)
class Config:
    """World, data, method. The paper has p = 0.1, 1000 episodes and Z = 4 in the two arms, β = 1; the rest is ours."""

    world: str = knob("arms", choices=WORLDS, restart=True,
                      says="world: two arms, a lottery, the tree of the paper's figure 1, FrozenLake")
    method: str = knob("DoC", choices=METHODS, restart=True,
                       says="method: what z pays for, luck (DoC) or all it knows (VAE); or z is the return (RCSL)")
    p: float = knob(0.1, 0.01, 1.0, symbol="p", least=0, most=1, restart=True,
                    says="luck: bad arm pays, ticket wins, tree's 100, ice slips")
    beta: float = knob(2.0, 0.01, 100.0, log=True, symbol="β", least=0,
                       says="price of luck: per nat that z knows of it (the VAE: of anything)")
    lam: float = knob(1.0, 0.0, 10.0, symbol="λ", least=0,
                      says="wish for return: what a nat that z tells of it is worth")
    request: float = knob(1.0, 0.0, 1.0, symbol="g / best", least=0, most=1,
                          says="return requested: of RCSL, in units of the best in the data")
    n: float = knob(math.inf, 50, 4000, log=True, symbol="n", unit="episodes", least=20, most=math.inf, restart=True,
                    says="size of the data: ∞ is exact probabilities (1000 on the lake)")
    phi: float = knob(0.2, 0.0, 1.0, symbol="φ", least=0, most=1, restart=True,
                      says="share of careful data: expert's episodes, or no ticket")
    eps: float = knob(0.2, 0.0, 1.0, symbol="ε", least=0, most=1, restart=True,
                      says="noise of the behaviour: random move, or bad cash-in")
    Z: int = knob(8, 2, 16, symbol="Z", unit="codes", least=2, restart=True, says="size of the latent")
    K: float = knob(100.0, 1.0, 1000.0, log=True, symbol="K", least=1, most=math.inf,
                    says="proposals: latents drawn from the prior, of which the best is followed")
    energy: str = knob("best", choices=("best", "climbs"), restart=True,
                       says="adversary f: in closed form, or a table that climbs")
    negatives: float = knob(math.inf, 1.0, 1000.0, log=True, above=0, most=math.inf,
                            says="negatives: draws for the normaliser of f that climbs")
    decode: str = knob("sample", choices=("sample", "argmax"),
                       says="how π is followed: drawn from, as the theorem has it, or its likeliest action")
    wrong_sign: bool = knob(False, says="wrong sign: q climbs with f, as in the released code")
    alpha: float = knob(0.1, 0.01, 0.5, log=True, symbol="α", above=0, step=True, says="step size of Adam on q")
    steps: int = knob(300, 100, 5000, log=True, least=1, restart=True, says="updates")
    runs: int = knob(8, 1, 32, symbol="R", least=1, restart=True, says="runs at once: data and first guess of q")
    seed: int = knob(0, 0, 99, least=0, restart=True, says="which random numbers")

    def __post_init__(self):
        check(self)
        if 1e5 < self.n < math.inf or 1e9 < self.negatives < math.inf:
            raise ValueError(f"n is {self.n:g} and negatives {self.negatives:g}, expected n ≤ 1e5 episodes and "
                             "negatives ≤ 1e9 draws, or inf, which takes the exact probabilities and costs less")


class Snapshot(NamedTuple):
    step: int
    promised: np.ndarray         # [R] V of the code acted on, expected over the K draws
    earned: np.ndarray           # [R] its true value
    luck: np.ndarray             # [R] MI(o; z | s, a), nats an episode
    skill: np.ndarray            # [R] what z tells of the actions, nats an episode
    gap: np.ndarray              # [R] Σ_z p(z) |V(z) - earned(z)|, in the world as the data show it
    bound: np.ndarray            # [R] that gap's bound
    worth: np.ndarray            # [R, Z] what each code earns
    act: np.ndarray              # [R, Z] probability that it is the one acted on
    q: np.ndarray                # [N, Z] q(z|τ) of the first run
    book: Book                   # the data conditioned on z
    records: Records
    rcsl: np.ndarray             # [R, G] what return-conditioned learning earns, for each return it may be asked for
    bc: np.ndarray               # [R] what copying the data earns
    optimum: float               # no policy earns more


# ---- the method


def cost(rec: Records, q: np.ndarray, b: Book, beta, lam, method: str = "DoC",
         energy: np.ndarray | None = None) -> np.ndarray:
    """What code z costs episode i, [R, N, Z] nats: the gradient of the loss by q_iz, over w_i.

    b: `book(rec, q)`.  beta, lam: numbers, or [R, 1, 1].  energy: [R, Z, E] log Pr(o|z, s, a) up to a constant in z,
    from an f that was learned; None: the best f, log Pr(o|z, s, a) / Pr(o|s, a).
    """
    s, a, _ = rec.edge.T
    per_edge = -log(b.pi[..., s, a])                                                      # [R, Z, E]
    if method == "DoC":
        per_edge = per_edge + beta * (luck_ratio(rec, b) if energy is None else energy)
    log_g = log(b.ret) - log(b.p)[..., None]                                             # [R, Z, G]
    out = along_episodes(rec, per_edge) - lam * (return_code(rec) @ log_g.swapaxes(-1, -2))
    if method == "VAE":
        out = out + beta * (log(q) - log(b.p)[..., None, :])
    return out


def luck_ratio(rec: Records, b: Book) -> np.ndarray:
    """log Pr(o|z, s, a) / Pr(o|s, a) of each transition, [R, Z, E]: how much z knew of what chance did."""
    s, a, _ = rec.edge.T
    pair, all_c = s * rec.mdp.A + a, b.edge.sum(-2, keepdims=True)
    by_pair = lambda c: pair_visits(rec, c)[..., pair]                                     # noqa: E731
    return log(b.edge) - log(by_pair(b.edge)) - log(all_c) + log(by_pair(all_c))


def loss(b: Book, beta: float, lam: float, method: str = "DoC") -> np.ndarray:
    """[R] E -log π  +  λ H(R|z)  +  β MI(o; z | s, a), or β MI(τ; z) for the VAE: what q descends."""
    return b.nll + lam * b.surprise + beta * (b.luck if method == "DoC" else b.kl)


class Energy:
    """f(o, z, s, a) as a table that climbs E[f - log Σ_o ρ(o) exp f(o)]: five steps to each one of q.

    negatives: the normaliser is a mean over so many draws o ~ ρ, new ones each step; inf: the sum itself.
    """

    def __init__(self, rec: Records, runs: int, Z: int):
        s, a, after = rec.edge.T
        met, self.pair = np.unique(s * rec.mdp.A + a, return_inverse=True)
        self.after, self.f = after, np.zeros((runs, Z, len(met), rec.mdp.S))               # f [R, Z, C, S]
        flow = code_visits(rec, rec.weight[..., None])[..., 0, :]                          # [..., E]
        rho = flow @ np.eye(rec.mdp.S)[after]
        self.rho = np.broadcast_to(rho / rho.sum(-1, keepdims=True), (runs, rec.mdp.S))[:, None, None]

    def climb(self, b: Book, negatives: float, rng: np.random.Generator, steps: int = 5) -> np.ndarray:
        """f after some steps, less its normaliser, where there are data: [R, Z, E], what `cost` takes."""
        true = np.zeros_like(self.f)
        true[..., self.pair, self.after] = b.edge
        met = true.sum(-1, keepdims=True)
        true = true / np.where(met > 0, met, 1.0)                                          # Pr(o | z, s, a)
        for _ in range(steps):
            rho = self._draw(negatives, rng)
            says = rho * np.exp(self.f - self.f.max(-1, keepdims=True))
            self.f += (met > 0) * (true - says / np.maximum(says.sum(-1, keepdims=True), TINY))
        rho = self._draw(negatives, rng)
        top = self.f.max(-1, keepdims=True)
        norm = top[..., 0] + np.log(np.maximum((rho * np.exp(self.f - top)).sum(-1), TINY))
        return self.f[..., self.pair, self.after] - norm[..., self.pair]

    def _draw(self, negatives, rng):
        if math.isinf(negatives):
            return self.rho
        k = max(1, round(negatives))
        rho = np.broadcast_to(self.rho, (*self.f.shape[:-1], self.rho.shape[-1]))
        return rng.multinomial(k, rho) / k


def dichotomy(cfg: Config, rng: np.random.Generator, every: int = 10) -> Generator[Snapshot, Config | None, None]:
    """Fit q by gradient descent (Adam on Q), R runs at once, from random first guesses, and say what each is worth.

    Live: β, λ, K, request, negatives, the sign and α.  On sampled data every run has a dataset of its own.
    """
    of_data, of_q, of_f = rng.spawn(3)
    rec, optimum = problem(cfg, of_data)
    if cfg.method == "RCSL":
        q = np.broadcast_to(return_code(rec), (cfg.runs, *rec.count.shape[-2:-1], len(rec.levels)))
    else:
        Q = of_q.normal(size=(cfg.runs, rec.count.shape[-2], cfg.Z))                        # [R, N, Z]
        q, adam, f = _softmax(Q), Adam(Q), Energy(rec, cfg.runs, cfg.Z)
    for step in range(cfg.steps + 1):
        b = book(rec, q)
        if step % every == 0 or step == cfg.steps:
            cfg = accept((yield photograph(cfg, step, rec, q, b, optimum)), cfg)
        if cfg.method != "RCSL" and step < cfg.steps:
            energy = f.climb(b, cfg.negatives, of_f) if cfg.energy == "climbs" and cfg.method == "DoC" else None
            c = cost(rec, q, b, -cfg.beta if cfg.wrong_sign else cfg.beta, cfg.lam, cfg.method, energy)
            Q = adam.step(Q, q * (c - (q * c).sum(-1, keepdims=True)), cfg.alpha)           # w_i: Adam scales it away
            q = _softmax(Q)


def sweep(cfg: Config, betas: np.ndarray, rng: np.random.Generator) -> tuple[Records, Book, np.ndarray, np.ndarray]:
    """`dichotomy` for many β at once, to the end: (records, book [B·R], code acted on [B·R, Z], its worth [B·R, Z]).

    betas: [B]; every β starts from the same R first guesses, on the data of the first run. f in closed form.
    """
    of_data, of_q = rng.spawn(2)
    rec, _ = problem(replace(cfg, runs=1), of_data)
    if rec.weight.ndim > 1:
        rec = rec._replace(weight=rec.weight[0], count=rec.count[0], ret=rec.ret[0])
    Q = np.tile(of_q.normal(size=(cfg.runs, len(rec.ret), cfg.Z)), (len(betas), 1, 1))
    beta, adam = np.repeat(np.asarray(betas, float), cfg.runs)[:, None, None], Adam(Q)
    for _ in range(cfg.steps):
        q = _softmax(Q)
        c = cost(rec, q, book(rec, q), -beta if cfg.wrong_sign else beta, cfg.lam, cfg.method)
        Q = adam.step(Q, q * (c - (q * c).sum(-1, keepdims=True)), cfg.alpha)
    b = book(rec, _softmax(Q))
    return rec, b, chosen(b.p, b.V, cfg.K, floor(rec)), worth(rec, b.pi)


def photograph(cfg: Config, step: int, rec: Records, q: np.ndarray, b: Book, optimum: float) -> Snapshot:
    """What a latent promises and earns, and which code is acted on: of RCSL the one nearest to the request."""
    decode = (lambda pi: greedy(pi, 1e-9)) if cfg.decode == "argmax" else (lambda pi: pi)
    earns, asked, blind = (worth(rec, decode(pi)) for pi in (b.pi, book(rec, return_code(rec)).pi, blind_pi(rec)))
    if cfg.method == "RCSL":
        near = np.abs(b.V - cfg.request * rec.levels[-1]) + np.where(b.p > 0, 0.0, np.inf)
        act = np.eye(b.p.shape[-1])[near.argmin(-1)]
    else:
        act = chosen(b.p, b.V, cfg.K, floor(rec))
    exact = rec.n == 0 and cfg.decode == "sample"
    gap = (b.p * np.abs(b.V - (earns if exact else worth(rec, b.pi, seen=True)))).sum(-1)
    R = (cfg.runs,)
    return Snapshot(step, (act * b.V).sum(-1), (act * earns).sum(-1), b.luck, b.skill, gap, bound(rec, b.luck), earns,
                    act, q[0], b, rec, np.broadcast_to(asked, R + asked.shape[-1:]),
                    np.broadcast_to(blind[..., 0], R), optimum)


def blind_pi(rec: Records) -> np.ndarray:
    """[..., 1, S, A] the policy of the data: a latent with one code says nothing."""
    return book(rec, np.ones((*rec.ret.shape, 1))).pi


def floor(rec: Records) -> float:
    """Codes with no more than this share of the data are dead: twenty episodes, or 1/1000 of exact data."""
    return max(1e-3, 20 / rec.n if rec.n else 0.0)


# ---- the data


def small_world(cfg: Config) -> tuple[MDP, np.ndarray, int]:
    """(mdp, behaviour [S, A], horizon) of the three small worlds."""
    if cfg.world == "arms":
        return lucky_arms.lucky_arms(cfg.p), lucky_arms.behaviour(cfg.p), 1
    if cfg.world == "lottery":
        return lottery.lottery(cfg.p), lottery.behaviour(1 - cfg.phi, cfg.eps), 2
    return luck_tree.luck_tree(cfg.p), np.full((5, 2), 0.5), 2


def problem(cfg: Config, rng: np.random.Generator) -> tuple[Records, float]:
    """The data of these settings, and the return that no policy beats. Sampled: one dataset for each run."""
    if cfg.world == "lake":
        n, mdp, horizon = round(cfg.n) if cfg.n < math.inf else LAKE_N, ice.lake(cfg.p).mdp, ice.HORIZON
        sample = lambda r: ice.collect(cfg.p, n, r, cfg.phi, cfg.eps)                       # noqa: E731
    else:
        mdp, behaviour, horizon = small_world(cfg)
        if math.isinf(cfg.n):
            return enumerate_episodes(mdp, behaviour, horizon), float(solve(mdp, horizon=horizon)[0] @ mdp.start)
        sample = lambda r: simulate(mdp, behaviour, round(cfg.n), r, horizon)               # noqa: E731
    parts = [merged(from_episodes(mdp, sample(r), horizon)) for r in rng.spawn(cfg.runs)]
    return stack(parts), float(solve(mdp, horizon=horizon)[0] @ mdp.start)


def merged(rec: Records) -> Records:
    """Episodes with the same transitions as one kind, of their weight together: a latent cannot tell them apart."""
    _, first, kind = np.unique(rec.count.astype(np.int16), axis=0, return_index=True, return_inverse=True)
    return rec._replace(weight=np.bincount(kind.ravel(), rec.weight), count=rec.count[first], ret=rec.ret[first])


def _softmax(Q):
    e = np.exp(Q - Q.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)
