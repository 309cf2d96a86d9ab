"""Exercises of chapter 4, teams that answer each other: a gradient, a sparsest graph, a one-way street, a farewell."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np

from rlkit.envs.team_games import one_shot
from rlkit.exercises import Case, Exercise
from rlkit.papers import bayes_net_exact as exact
from rlkit.papers.bayes_net_graphs import checked
from rlkit.papers.bayes_net_policy import Config, by_graph, learn


def gradient(p0, p1, R):
    G = p0[:, None] * R                       # value of each row, weighed by how often it is met
    q0 = (p1 * R).sum(1)                      # what a0 is worth: the child answers it
    g0 = p0 * (q0 - p0 @ q0)
    g1 = p1 * (G - (p1 * G).sum(1, keepdims=True))
    return g0, g1


def _cases():
    rng = np.random.default_rng(0)
    for name, shape in (("two actions each", (2, 2)), ("three and two", (3, 2))):
        logits = [rng.standard_normal((1, 1, shape[0], 1)), rng.standard_normal((1, 1, *shape))]
        p0, p1 = exact.softmax(logits)
        R = rng.normal(0, 5, shape).round(1)
        _, up = exact.ascent(one_shot(R), ((0, 1),), [p0, p1])
        given = (p0[0, 0, :, 0], p1[0, 0], R)
        for i, who, expected in ((0, "the parent", up[0][0, 0, :, 0]), (1, "the child", up[1][0, 0])):
            yield Case(f"{name}: {who}", given, expected, look=lambda g, i=i: g[i], tol=1e-8)
    unmet = (np.array([0.0, 1.0]), np.array([[0.3, 0.7], [0.6, 0.4]]), np.array([[10.0, 0.0], [0.0, 2.0]]))
    yield Case("a row that is never met does not learn", unmet, [0.0, 0.0], look=lambda g: g[1][0])


write = Exercise(
    "Two agents, one edge 0 → 1, one decision with payoff R [A0, A1]. Agent 0 plays p0 [A0], agent 1 answers by "
    "p1 [A0, A1], each row a distribution. Write `gradient(p0, p1, R)` giving (∂V/∂θ₀ [A0], ∂V/∂θ₁ [A0, A1]) for "
    "softmax logits θ. Both agents in five lines.",
    list(_cases()),
    hints=["V = Σ p0(a) p1(b|a) R(a, b). Softmax: ∂V/∂θ_u = p_u (g_u - Σ p g) with g_u = ∂V/∂p_u.",
           "For agent 0: g(a) = Σ_b p1(b|a) R(a, b). The child answers; its average over rows would be wrong.",
           "For agent 1: g(a, b) = p0(a) R(a, b), each row by itself."],
    solution=gradient,
    why="The factor p0(a) in agent 1's gradient is why answers to moves that nobody makes are not learned.",
)


@lru_cache
def _share(edges) -> float:
    cfg = Config(n=4, edges=(), method="NPG", alpha=0.05, steps=600, runs=64)
    return float(by_graph(cfg, [edges]).share[0])


sparsest = Exercise(
    "Four agents in a chain of climbing games (`game='climbing', n=4`). Give the *fewest* edges, as pairs "
    "(parent, child), with which all of 64 teams reach the best by the natural gradient (α = 0.05, 600 updates).",
    [
        Case("all teams reach the best", None, 1.0, look=lambda e: _share(checked(e, 4))),
        Case("with as few edges as possible", None, "as few as possible", look=lambda e: len(checked(e, 4)),
             holds=lambda count: count == 3),
    ],
    hints=["Who must know what? The payoff joins 0 with 1, 1 with 2, 2 with 3.",
           "With two edges somebody has no link to the rest, or two agents start without seeing each other.",
           "A tree with one root that follows the chain."],
    solution=((0, 1), (1, 2), (2, 3)),
    why="Every rooted tree along the chain does it: one agent begins, each answers its neighbour. Of the 60 graphs "
        "with two edges the best takes about 80 % of the teams there.",
)


@lru_cache(maxsize=64)
def _both_ways(R: tuple) -> tuple[float, float]:
    """Share of 200 teams at the best with 0 → 1, and with 1 → 0: plain gradient, α = 0.1, 1000 updates."""
    game, out = one_shot(R), []
    for edges in (((0, 1),), ((1, 0),)):
        logits = exact.draw(game, edges, 200, np.random.default_rng(0))
        logits = exact.ascend(game, edges, logits, 1000, 0.1)
        V = exact.ascent(game, edges, exact.softmax(logits))[0]
        out.append(float((V > 0.95 * game.R.max()).mean()))
    return out[0], out[1]


def _table(R) -> np.ndarray:
    R = np.asarray(R, float)
    if R.ndim != 2 or max(R.shape) > 3 or not np.isfinite(R).all() or R.min() < -30 or not 0 < R.max() <= 11:
        raise ValueError("expected a table of at most 3 × 3 payoffs from -30 to 11, the best above 0")
    return R


def _difference(R) -> float:
    one, other = _both_ways(tuple(map(tuple, _table(R).tolist())))
    return other - one


one_way = Exercise(
    "Construct a game, a table R of at most 3 × 3 payoffs from -30 to 11, in which the edge 1 → 0 takes far more teams "
    "to the best than the edge 0 → 1 (plain gradient, α = 0.1, 1000 updates, 200 teams): by 25 points or more.",
    [
        Case("the edge 1 → 0 is better by 0.25", None, "a difference of shares ≥ 0.25", look=_difference,
             holds=lambda difference: difference >= 0.25),
    ],
    hints=["The parent gives up a move before its child has learned to answer it.",
           "Give agent 0 one move that is safe whatever the other does, and one that is good with one answer only.",
           "Rows: [10, -30, -30] and [7, 7, 7]. Who should answer whom?"],
    solution=((10, -30, -30), (7, 7, 7), (7, 7, 7)),
    why="If agent 0 moves first, its good row looks terrible until agent 1 knows the answer, and by then it is never "
        "played. If agent 0 moves last, it answers each column in safety, and agent 1 sees which column is best then.",
)


@lru_cache(maxsize=64)
def _farewell(cfg: Config) -> float:
    *_, end = learn(cfg, np.random.default_rng(cfg.seed), every=cfg.steps)
    return float((end.cut > 9.5).mean())


def _legal(cfg) -> bool:
    if not isinstance(cfg, Config):
        raise TypeError(f"expected a Config, got {type(cfg).__name__}; try Config(game='penalty', k=100.0)")
    asked = dict(game="penalty", n=2, k=100.0, edges=((0, 1),), scale=1.0, head=0.0)
    return (all(getattr(cfg, name) == value for name, value in asked.items()) and cfg.steps <= 3000
            and cfg.alpha <= 0.3 and cfg.eta(cfg.steps) == 0)


farewell = Exercise(
    "`penalty` with k = 100: without edges about a third of the teams end well (plain gradient). Give a `Config` that "
    "learns with the edge 0 → 1 and takes it away, so that at least 88 % of 200 teams are at the best *without* it. "
    "At most 3000 updates, α ≤ 0.3, random first logits as they are.",
    [
        Case("that game, within the limits, and density 0 at the end", None, True, look=_legal),
        Case("the gain is kept", None, "a share ≥ 0.88", look=lambda cfg: _farewell(replace(cfg, runs=200)),
             holds=lambda share: share >= 0.88),
    ],
    hints=["`schedule='linear'` takes the density from 1 to 0 between `keep` and `gone`, shares of the run.",
           "Try NPG first, look at its share, and at the joint policy: how many cells are lit?",
           "The plain gradient has settled on one plan before the edge goes: method='PG', alpha=0.2, steps=3000."],
    solution=Config(game="penalty", k=100.0, edges=((0, 1),), method="PG", alpha=0.2, steps=3000, schedule="linear"),
    why="The natural gradient keeps both plans, 0 with 0 and 2 with 2, alive at once. Only the edge holds them apart.",
)
