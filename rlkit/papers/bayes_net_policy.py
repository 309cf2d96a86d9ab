"""Bayesian-network policies: a team whose members answer each other along the edges of a graph.

n agents share one reward. Without edges each plays on its own, π(a|s) = Π_i π_i(a_i|s), and learns against what the
others do *now*; so the team settles where nobody gains alone. An edge j → i lets i see what j has chosen:

    π(a|s) = Π_i π_i(a_i | s, a_parents(i))        policy gradient: ∇ log π_i · Q(s, a), as ever

With full view of the state the best value is the same for every graph: edges change the landscape, not the ceiling.
They can be learned with, then annealed away: an edge is there with probability η, and η falls to 0.

Read `bayes_net_exact` for the formulas (joint, gradient, gaps), `bayes_net_graphs` for graphs, then here `Config` and
`learn`; the pictures' data are in `basin`, `by_graph` and `contexts`.
Source: Chen & Zhang (2023), Context-Aware Bayesian Network Actor-Critic Methods for Cooperative Multi-Agent RL. Exact
formulas and most worlds are ours.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from typing import NamedTuple

import numpy as np

from rlkit.config import accept, check, knob
from rlkit.envs.team_games import GAMES, TeamGame, optimum
from rlkit.papers import bayes_net_exact as exact
from rlkit.papers.bayes_net_graphs import Edges, all_dags, checked, parents

SCHEDULES = ("hold", "linear", "abrupt")


@dataclass(frozen=True)
class Config:
    """World, graph and learning; PG, steps and the Coordination Game as in the paper's tabular code, the rest ours."""

    game: str = knob("climbing", choices=tuple(GAMES), restart=True, says="game: what the team plays")
    n: int = knob(2, 2, 4, symbol="n", least=2, most=5, restart=True, says="agents: how many play")
    edges: tuple = knob(((0, 1),), graph="n", says="edges: an arrow j → i lets i see what j has chosen")
    method: str = knob("PG", choices=("PG", "NPG"), says="gradient: PG plain, NPG natural")
    alpha: float = knob(0.1, 0.001, 1.0, log=True, symbol="α", above=0, step=True, says="learning rate")
    tau: float = knob(0.0, 0.0, 5.0, symbol="τ", least=0, says="entropy bonus: pays the team for staying mixed")
    density: float = knob(1.0, 0.0, 1.0, symbol="η", least=0, most=1,
                          says="target density: the chance that an edge is there at a decision")
    schedule: str = knob("hold", choices=SCHEDULES,
                         says="annealing: hold η; or take it to 0, in a line or at once")
    keep: float = knob(0.4, 0.0, 1.0, least=0, most=1, says="anneal from: share of the run")
    gone: float = knob(0.9, 0.0, 1.0, least=0, most=1, says="anneal until: share of the run, a line ends there")
    k: float = knob(30.0, 0.0, 100.0, symbol="k", least=0, restart=True,
                    says="price of a miss: in penalty, stag and packet")
    scale: float = knob(1.0, 0.0, 3.0, least=0, restart=True, says="scale of the first logits: 0 is exact symmetry")
    head: float = knob(0.0, 0.0, 20.0, restart=True, says="head start: logit of action 1, for everybody at the start")
    steps: int = knob(3000, 200, 50_000, log=True, least=1, restart=True, says="updates in a run")
    team: int = knob(1, 0, 31, least=0, says="team: the one whose policy is shown")
    runs: int = knob(32, 1, 64, symbol="R", least=1, restart=True, says="independent teams")
    seed: int = knob(0, 0, 99, least=0, restart=True, says="which random numbers")

    def __post_init__(self):
        check(self)
        object.__setattr__(self, "edges", checked(self.edges, self.n))

    def world(self) -> TeamGame:
        """The game of these settings."""
        return world(self.game, self.n, self.k)

    def eta(self, step: int) -> float:
        """Chance of an edge at this update."""
        now = step / self.steps
        if self.schedule == "hold" or now < self.keep:
            return self.density
        if self.schedule == "abrupt" or now >= self.gone:
            return 0.0
        return self.density * (self.gone - now) / (self.gone - self.keep)


@lru_cache(maxsize=32)
def world(game: str, n: int = 2, k: float = 30.0) -> TeamGame:
    """A game by its name; cached, do not write into it."""
    return GAMES[game](n=n, k=k)


@lru_cache(maxsize=32)
def ceiling(game: str, n: int = 2, k: float = 30.0) -> float:
    """What the best team could earn: `optimum` of the world."""
    return optimum(world(game, n, k))


class Snapshot(NamedTuple):
    step: int
    V: np.ndarray                    # [R] as the team acts
    gap: np.ndarray                  # [R] to Nash
    perfect: np.ndarray              # [R] in the worst context, met or not
    cut: np.ndarray                  # [R] value if all edges were taken away now
    entropy: np.ndarray              # [R] of the joint policy, nats
    slope: np.ndarray                # [R] norm of the plain gradient
    joint: np.ndarray                # [R, S, A_0, …]
    tables: tuple                    # each agent's, with a last row for a parent that was not seen
    edges: Edges
    eta: float


def learn(cfg: Config, rng: np.random.Generator, every: int = 10) -> Generator[Snapshot, Config | None, None]:
    """Exact gradient ascent on V, R teams at once; the graph may be redrawn between two updates.

    A new edge copies the child's table, so nothing changes at that moment; a dropped one leaves the marginal.
    """
    game = cfg.world()
    edges, logits = cfg.edges, first_logits(cfg, rng)
    for step in range(cfg.steps + 1):
        if step % every == 0 or step == cfg.steps:
            cfg = accept((yield _photograph(cfg, game, edges, logits, step)), cfg)
            if cfg.edges != edges:
                logits, edges = exact.rewire(game, edges, cfg.edges, logits, cfg.eta(step)), cfg.edges
        natural = cfg.method == "NPG"
        _, up = exact.ascent(game, edges, exact.softmax(logits), natural=natural, tau=cfg.tau, eta=cfg.eta(step))
        logits = exact.climb(logits, up, cfg.alpha, natural)


def first_logits(cfg: Config, rng: np.random.Generator) -> list[np.ndarray]:
    """N(0, scale²) logits with a last row for each parent, agent by agent; `head` is added to action 1 of everybody."""
    logits = exact.draw(cfg.world(), cfg.edges, cfg.runs, rng, cfg.scale, spare=True)
    for i, z in enumerate(logits):
        z[(slice(None),) * (2 + i) + (1,)] += cfg.head
    return logits


def _photograph(cfg, game, edges, logits, step) -> Snapshot:
    eta, tables = cfg.eta(step), exact.softmax(logits)
    seen = exact.audit(game, edges, tables, eta)
    _, slope = exact.ascent(game, edges, tables, tau=cfg.tau, eta=eta)
    norm = np.sqrt(sum((g**2).sum(tuple(range(1, g.ndim))) for g in slope))
    alone = exact.joint(game, exact.mix(game, edges, tables, 0.0))
    acts = exact.joint(game, exact.mix(game, edges, tables, eta))
    return Snapshot(step, seen.V, seen.gap, seen.perfect, exact.evaluate(game, alone).V, seen.entropy, norm,
                    acts, tuple(tables), edges, eta)


# ---- data of the pictures

def payoff(game: TeamGame) -> np.ndarray:
    """[A_0, …] what a joint action is worth on average over states, when the future is played at random."""
    R = np.tensordot(game.start, game.R, 1)
    if game.P is None:
        return R
    return np.tensordot(game.start, game.P @ game.R.reshape(game.S, -1).mean(1), 1)


def contexts(game: TeamGame, edges: Edges, joint: np.ndarray, tables: Sequence[np.ndarray], run: int = 0,
             most: int = 16) -> tuple[list[str], np.ndarray, np.ndarray]:
    """The rows of all local tables of one run: (names, π [rows, A], how often each is met [rows]).

    A row is named agent|what its parents did, in the order of their numbers: `2|01`.
    Averaged over states (observations) as visited from the start law; agents with fewer actions get NaN.
    """
    names, rows, met, A = [], [], [], max(game.actions)
    weight = np.tensordot(game.start, joint[run], 1)                      # [A_0, …]
    for i, pa in enumerate(parents(edges, game.n)):
        p = tables[i][run].mean(0)                                        # [b_0, …]
        for row in product(*(range(game.actions[j]) for j in pa)):
            at = tuple(dict(zip(pa, row)).get(j, slice(None) if j == i else 0) for j in range(game.n))
            names.append(f"{i}|" + "".join(map(str, row)) if pa else str(i))
            rows.append(np.r_[p[at], np.full(A - game.actions[i], np.nan)])
            met.append(weight[tuple(dict(zip(pa, row)).get(j, slice(None)) for j in range(game.n))].sum())
    return names[:most], np.array(rows)[:most], np.array(met)[:most]


@dataclass(frozen=True)
class StagConfig:
    """The stag hunt of two, for its map of basins."""

    edges: tuple = knob(((0, 1),), graph=2, says="edges: an arrow j → i lets i see what j has chosen")
    k: float = knob(10.0, 0.0, 30.0, symbol="k", least=0, says="price of a miss: what both pay if they do not agree")

    def __post_init__(self):
        check(self)
        object.__setattr__(self, "edges", checked(self.edges, 2))


class Basin(NamedTuple):
    p: np.ndarray                    # [N] probability of the stag at the start: agent 0's, agent 1's
    V: np.ndarray                    # [N, N] where the run ends: V[x, y] from (p[x], p[y])
    share: float                     # of the starts that end at the best
    saddle: float                    # the mixed equilibrium of two agents without edges, (2+k)/(12+2k)


@lru_cache(maxsize=64)
def basin(edges: Edges = (), k: float = 10.0, N: int = 41, time: float = 1000.0) -> Basin:
    """Where the policy gradient leads in stag(k) from each of N × N starts.

    Steps of 0.5 that grow by 2 % each, to at most 5, until they add up to `time`: the same map as with 2000 steps of
    0.5, up to a cell or two at the border. A start that has passed 95 % of the best is not followed further.
    """
    game, p = world("stag", 2, float(k)), (np.arange(N) + 0.5) / N
    a, b = (u.ravel() for u in np.meshgrid(p, p, indexing="ij"))
    logits = [np.log([a, 1 - a]).T.reshape(-1, 1, 2, 1), np.log([b, 1 - b]).T.reshape(-1, 1, 1, 2)]
    for j, i in checked(edges, 2):
        logits[i] = np.repeat(logits[i], 2, 2 + j)
    logits = [np.asfortranarray(z) for z in logits]
    V, running, alpha, now, count = np.zeros(N * N), np.arange(N * N), 0.5, 0.0, 0
    while now < time and len(running):
        alpha, count = min(1.02 * alpha, 5.0), count + 1
        now += alpha
        V[running], up = exact.ascent(game, edges, exact.softmax(logits))
        logits = exact.climb(logits, up, alpha, False)
        if count % 10 == 0:
            on = V[running] < 9.5
            running, logits = running[on], [np.asfortranarray(z[on]) for z in logits]
    return Basin(p, V.reshape(N, N), float((V >= 9.5).mean()), (2 + k) / (12 + 2 * k))


def separatrix(k: float, p: np.ndarray) -> np.ndarray:
    """The border between the two basins of stag(k) without edges, in closed form: q [N] for each p.

        ∫ (p - y) / (p(1-p))² dp = ∫ (q - y) / (q(1-q))² dq,   p and q on different sides of the saddle y

    The plain gradient flow moves p by 2 (p(1-p))² ∂V/∂p, and likewise q, with ∂V/∂p = (12+2k)(q - y): the two sides
    can be parted, so their difference is constant along every run, and 0 on those that end in the saddle.
    """
    y = (2 + k) / (12 + 2 * k)

    def F(p):
        odds = np.log(p / (1 - p))
        return odds + 1 / (1 - p) - y * (1 / (1 - p) - 1 / p + 2 * odds)

    p, least = np.asarray(p, float), 1e-12
    low, high = np.where(p > y, least, y), np.where(p > y, y, 1 - least)
    for _ in range(100):                                                  # F falls up to y and rises from there
        mid = (low + high) / 2
        further = (F(mid) > F(p)) == (p > y)
        low, high = np.where(further, mid, low), np.where(further, high, mid)
    return (low + high) / 2


class Graphs(NamedTuple):
    edges: tuple[Edges, ...]
    V: np.ndarray                    # [G, R] final value of each run, as a share of the best
    share: np.ndarray                # [G] of the runs above 95 % of the best


def by_graph(cfg: Config, graphs: Sequence[Edges] | None = None) -> Graphs:
    """The same learning on many graphs (None: all DAGs of n agents), `runs` teams each, without looking on the way."""
    game, best = cfg.world(), ceiling(cfg.game, cfg.n, cfg.k)
    graphs = tuple(all_dags(cfg.n) if graphs is None else (checked(e, cfg.n) for e in graphs))
    V, rngs = [], np.random.default_rng(cfg.seed).spawn(len(graphs))
    for edges, rng in zip(graphs, rngs):
        logits = exact.draw(game, edges, cfg.runs, rng, cfg.scale)
        logits = exact.ascend(game, edges, logits, cfg.steps, cfg.alpha, cfg.method == "NPG")
        V.append(exact.ascent(game, edges, exact.softmax(logits))[0] / best)
    V = np.array(V)
    return Graphs(graphs, V, (V > 0.95).mean(1))
