"""What Bayesian-network policies say, measured exactly: gradients, two gaps, basins, graphs.

The paper's theorem is about Nash in the limit; worlds, closed forms and the lemmas on dense and sparse graphs are ours.
Where runs start from random logits the tolerance is a number of standard errors of the share; the rest is rounding, or
the error of finite steps. Learned graphs (sampling, networks) are in `bayes_net_mappo`.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from rlkit.claims import Measured, above, below, claim, every, near, not_here
from rlkit.envs.team_games import climbing, coordination, optimum, packet, permutation
from rlkit.papers import bayes_net_exact as exact
from rlkit.papers.bayes_net_graphs import all_dags, checked, collider, complete, fork, line
from rlkit.papers.bayes_net_policy import Config, basin, by_graph, ceiling, learn, separatrix
from rlkit.policies import entropy

CZ = "Chen & Zhang 2023"
OURS = "ours, in the spirit of " + CZ
EDGE = ((0, 1),)


def _is(name: str, holds, value: str, expected: str, why: str = "an order, far from a tie") -> tuple[str, Measured]:
    return name, Measured(value, expected, "strict", why, bool(holds))


def _spawn(seed: int, n: int) -> list[np.random.Generator]:
    return np.random.default_rng(seed).spawn(n)


def _ends(cfg: Config, rng: np.random.Generator):
    """The last snapshot of a run without looking on the way."""
    *_, last = learn(cfg, rng, every=cfg.steps)
    return last


def _values(game, edges, rng, runs, steps, alpha, natural=False) -> np.ndarray:
    """[R] final value of so many teams, as a share of the best."""
    logits = exact.ascend(game, edges, exact.draw(game, edges, runs, rng), steps, alpha, natural)
    return exact.ascent(game, edges, exact.softmax(logits))[0] / optimum(game)


def _at_best(*args, **more) -> np.ndarray:
    """[R] 1.0 where a team ended above 95 % of the best."""
    return (_values(*args, **more) > 0.95).astype(float)


# ---- formulas

@claim(paper=CZ + ", policy gradient of BN policies",
       says="the gradient of a team's policy is a sum over agents, each with its parents, weighed by the one Q")
def gradient_formula(seed):
    rng, h = np.random.default_rng(seed), 1e-30
    worst, rough = 0.0, 0.0
    for game, edges, eta in ((coordination(3), complete(3), 1.0), (coordination(3), collider(3), 0.6),
                             (climbing(3), fork(3), 1.0), (packet(3), line(3), 0.4)):
        logits = exact.draw(game, edges, 1, rng, spare=True)
        _, grad = exact.ascent(game, edges, exact.softmax(logits), eta=eta)
        way = [rng.standard_normal(z.shape) for z in logits]
        slope = sum((w * g).sum() for w, g in zip(way, grad))
        at = lambda t: exact.softmax([z + t * w for z, w in zip(logits, way)])                    # noqa: E731, B023
        up, down, turned = (exact.ascent(game, edges, at(t), eta=eta)[0][0] for t in (1e-5, -1e-5, 1j * h))
        size = np.sqrt(sum((w**2).sum() for w in way) * sum((g**2).sum() for g in grad))
        rough = max(rough, abs((up - down) / 2e-5 - slope) / size)
        worst = max(worst, abs(turned.imag / h - slope) / size)
    return every(("relative error against a complex step", near(worst, 0, 1e-10, "rounding of one linear solve")),
                 ("against central differences", near(rough, 0, 1e-6, "step 1e-5, second order, and cancellation")))


@claim(paper=OURS, says="there are 3, 25 and 543 ways in which 2, 3 and 4 agents can answer each other; along each "
                        "the joint policy sums to 1; a cycle is refused by name")
def graphs_and_joints(seed):
    rng, game, off = np.random.default_rng(seed), permutation(3), 0.0
    for edges in all_dags(3):
        pi = exact.joint(game, exact.softmax(exact.draw(game, edges, 4, rng)))
        off = max(off, np.abs(pi.sum((2, 3, 4)) - 1).max())
    try:
        checked(((0, 2), (2, 0)), 3)
        words = "accepted"
    except ValueError as e:
        words = str(e).partition(";")[0]
    return every(_is("graphs of 2, 3, 4 agents", [len(all_dags(n)) for n in (2, 3, 4)] == [3, 25, 543],
                     ", ".join(str(len(all_dags(n))) for n in (2, 3, 4)), "3, 25, 543", "a count"),
                 ("joint policy over all 25, |sum - 1|", near(off, 0, 1e-12, "rounding")),
                 _is("0 → 2 and 2 → 0", words == "not a DAG: 0 → 2 → 0", words, "not a DAG: 0 → 2 → 0", "words"))


@claim(paper=OURS, says="redrawing the graph in mid-run: a new edge changes nothing at that moment, a dropped one "
                        "leaves each agent its own marginal")
def redrawing_is_continuous(seed):
    rng, game = np.random.default_rng(seed), coordination(3)
    logits = exact.draw(game, EDGE, 8, rng, spare=True)
    act = lambda edges, z: exact.joint(game, exact.mix(game, edges, exact.softmax(z)))            # noqa: E731
    before = act(EDGE, logits)
    more = act(complete(3), exact.rewire(game, EDGE, complete(3), logits))
    less = act((), exact.rewire(game, EDGE, (), logits))
    marginal = [before.sum(tuple(2 + j for j in range(3) if j != i), keepdims=True) for i in range(3)]
    return every(("joint policy after two new edges", near(np.abs(more - before).max(), 0, 1e-12, "rounding")),
                 ("after none is left, against the product of marginals",
                  near(np.abs(less - marginal[0] * marginal[1] * marginal[2]).max(), 0, 1e-12, "rounding")))


# ---- Nash is not the best

@claim(paper=OURS, says="a complete graph can be at Nash and far from the best, where support is lost: climbing at 7, "
                        "gap 0, perfect gap 41")
def nash_off_the_path(seed):
    game = climbing()
    tables = [np.zeros((1, 1, 3, 1)), np.zeros((1, 1, 3, 3))]
    tables[0][..., 1, :] = tables[1][..., 1] = 1.0
    a = exact.audit(game, EDGE, tables)
    exactly = "0 and 1: no rounding to speak of"
    return every(("V", near(a.V[0], 7, 1e-12, exactly)), ("gap", near(a.gap[0], 0, 1e-12, exactly)),
                 ("perfect gap", near(a.perfect[0], 41, 1e-12, "11 - (-30)")))


@claim(paper=OURS + "; Chen & Zhang's guarantee is Nash", scale="statistical",
       says="with the plain gradient the gap goes to 0 long before the value is best: after 3000 steps nearly Nash, "
            "and many still at 7 or less")
def nearly_nash_is_not_optimal(seed):
    game, (rng,) = climbing(), _spawn(seed, 1)
    logits, shares, gaps = exact.draw(game, EDGE, 400, rng), [], []
    for steps in (200, 800, 2000):                                        # 200, 1000, 3000 in all
        logits = exact.ascend(game, EDGE, logits, steps, 0.1)
        a = exact.audit(game, EDGE, exact.softmax(logits))
        shares.append((a.V > 10.45).mean())
        gaps.append(np.median(a.gap))
    stuck = a.V < 10.45
    return every(_is("median gap after 200, 1000, 3000 steps", gaps[0] > gaps[1] > gaps[2] and gaps[2] < 0.05,
                     ", ".join(f"{g:.3f}" for g in gaps), "falling to < .05"),
                 _is("share at the best", shares[0] <= shares[1] <= shares[2] < 0.85,
                     ", ".join(f"{s:.3f}" for s in shares), "rising, and < .85", "more than 5 standard errors"),
                 _is("median perfect gap of the others", np.median(a.perfect[stuck]) > 5,
                     f"{np.median(a.perfect[stuck]):.1f}", "> 5"))


@claim(paper=CZ + ", abstract", scale="statistical", minutes=0.05,
       says="the plain gradient of a BN policy converges to Nash, from any start: the gap falls, and is small after "
            "4000 steps, for every graph tried")
def gap_goes_to_zero(seed):
    parts = []
    for (name, game, edges), rng in zip((("climbing, no edge", climbing(), ()), ("climbing, 0 → 1", climbing(), EDGE),
                                         ("permutation, 0 → 1 → 2", permutation(3), line(3))), _spawn(seed, 3)):
        logits = exact.draw(game, edges, 64, rng)
        worst = []
        for steps in (600, 3400):
            logits = exact.ascend(game, edges, logits, steps, 0.3)
            gap = exact.audit(game, edges, exact.softmax(logits)).gap / optimum(game)
            worst.append(np.median(gap))
        parts.append(_is(f"{name}: median gap ÷ best", worst[1] < worst[0] and worst[1] < 0.01,
                         f"{worst[0]:.2g}, {worst[1]:.2g}", "falling to < .01"))
    return every(*parts)


# ---- what an edge does

@claim(paper=OURS, says="climbing with the natural gradient: one edge takes every team to the best, without it most "
                        "stay below", scale="statistical")
def climbing_natural(seed):
    a, b = _spawn(seed, 2)
    edge = _at_best(climbing(), EDGE, a, 200, 500, 0.05, natural=True)
    none = _at_best(climbing(), (), b, 200, 500, 0.05, natural=True)
    return every(("share at the best with the edge", near(edge.mean(), 1, 0, "all of 200 teams")),
                 _is("without", 0.10 < none.mean() < 0.45, f"{none.mean():.3f}", "between .10 and .45",
                     "5 standard errors of a share near .27, 200 teams"))


@claim(paper=OURS, says="climbing with the plain gradient: an edge more than doubles the share of teams at the best",
       scale="statistical", minutes=0.03)
def climbing_plain(seed):
    a, b = _spawn(seed, 2)
    edge, none = _at_best(climbing(), EDGE, a, 200, 3000, 0.1), _at_best(climbing(), (), b, 200, 3000, 0.1)
    return every(("share, edge minus none", above(edge - none, 0.2, errors=2)),
                 ("share with the edge", above(edge, 0.5, errors=2)), ("without", below(none, 0.45, errors=2)))


@claim(paper=OURS, says="stag(k) without edges: the plain gradient's basins meet on a curve known in closed form, "
                        "through the saddle y* = (2+k)/(12+2k)")
def basins_meet_on_a_known_curve(seed):
    k = float(np.random.default_rng(seed).uniform(0.5, 30))
    b = basin((), k)
    off = (b.V > 9.5) != (b.p[None] > separatrix(k, b.p)[:, None])
    return every(("share of the 41 × 41 cells on the wrong side",
                  near(off.mean(), 0, 0.01, "finite steps: cells on the border")),
                 ("curve at p = y*, minus y*", near(float(separatrix(k, np.array([b.saddle]))[0]) - b.saddle, 0, 1e-6,
                                                   "bisection next to a minimum")))


@claim(paper=OURS, says="an edge widens the good basin of stag(k) for every price k of a miss; without it the basin "
                        "shrinks fast as k grows")
def an_edge_widens_the_basin(seed):
    ks = (0.0, 2.0, 5.0, 10.0, 30.0)
    none, edge = ([basin(e, k).share for k in ks] for e in ((), EDGE))
    words = lambda x: ", ".join(f"{s:.3f}" for s in x)                     # noqa: E731
    falls = lambda x: all(a > b for a, b in zip(x, x[1:]))                 # noqa: E731
    return every(_is("share of the starts, no edge, k = 0, 2, 5, 10, 30", falls(none), words(none), "falling"),
                 _is("with the edge", falls(edge), words(edge), "falling"),
                 _is("least difference", min(np.subtract(edge, none)) > 0.08, f"{min(np.subtract(edge, none)):.3f}",
                     "> .08"))


@claim(paper=OURS, says="from exact symmetry a team without edges cannot move: permutation stays at n!/nⁿ; the "
                        "complete graph finds all n! solutions at once")
def symmetry(seed):
    parts = []
    for n in (2, 3, 4):
        game = permutation(n)
        flat = [np.zeros((1, *exact.shape(game, (), i))) for i in range(n)]
        logits = exact.ascend(game, (), flat, 1000, 3.0)
        V, up = exact.ascent(game, (), exact.softmax(logits))
        parts += [(f"no edges, n = {n}: V - n!/nⁿ", near(V[0] - math.factorial(n) / n**n, 0, 1e-9, "rounding")),
                  ("gradient", near(max(np.abs(g).max() for g in up), 0, 1e-9, "rounding"))]
    game = permutation(3)
    flat = [np.zeros((1, *exact.shape(game, complete(3), i))) for i in range(3)]
    pi = exact.joint(game, exact.softmax(exact.ascend(game, complete(3), flat, 1500, 2.0))).ravel()
    good = pi[game.R.ravel() > 0]
    return every(*parts, ("complete, n = 3: V", near(good.sum(), 1, 0.01, "the last part takes 1/t")),
                 ("entropy", near(float(entropy(pi)), math.log(6), 0.05, "ln 6, plus the 1/t that is left")),
                 ("each of the six", near(np.abs(good - 1 / 6).max(), 0, 0.01, "symmetry")))


# ---- which edges

@claim(paper=OURS + "; proved for other conditions by Ding et al. 2025", scale="statistical", minutes=0.03,
       says="a chain of three: a tree along the chain is as good as all edges; two parents who do not see each other "
            "are not")
def sparse_can_be_enough(seed):
    game, shares = climbing(3), {}
    graphs = {"0 → 1 → 2": line(3), "0 ← 1 → 2": ((1, 0), (1, 2)), "complete": complete(3),
              "0 → 1 ← 2": ((0, 1), (2, 1)), "none": ()}
    for (name, edges), rng in zip(graphs.items(), _spawn(seed, 5)):
        shares[name] = _at_best(game, edges, rng, 200, 300, 0.1, natural=True)
    return every(*((name, near(shares[name].mean(), 1, 0, "all of 200 teams")) for name in list(graphs)[:3]),
                 ("collider minus none", above(shares["0 → 1 ← 2"] - shares["none"], 0.05)),
                 ("collider", below(shares["0 → 1 ← 2"], 0.9)), ("none", below(shares["none"], 0.5)))


@claim(paper=OURS, says="over all 25 graphs of three agents the share of teams at the best rises with the number of "
                        "edges, and is 1 for each of the six complete ones", scale="statistical", minutes=0.1)
def more_edges_are_not_worse(seed):
    a, b = np.random.default_rng(seed).integers(2**31, size=2)
    cfg = Config(n=3, edges=(), method="NPG", alpha=0.1, steps=300, runs=64, seed=int(a))
    g, none = by_graph(cfg), by_graph(replace(cfg, runs=640, seed=int(b)), [()]).share[0]
    count = np.array([len(e) for e in g.edges])
    mean = [none, *(g.share[count == m].mean() for m in (1, 2, 3))]
    return every(_is("mean share with 0, 1, 2, 3 edges", all(a < b for a, b in zip(mean, mean[1:])),
                     ", ".join(f"{m:.3f}" for m in mean), "rising", "3 or more standard errors: 64 teams a graph, 640 "
                     "for the one without edges"),
                 ("least of the complete ones", near(g.share[count == 3].min(), 1, 0, "all of 384 teams")))


# ---- the paper's game

@claim(paper=CZ + ", Coordination Game", says="the best value and the trap of all ones, for two and three agents")
def coordination_values(seed):
    parts = []
    for n, best, trap in ((2, 47.80, 0.682), (3, 43.104, 0.774)):
        game = coordination(n)
        ones = [np.zeros((1, *exact.shape(game, (), i))) for i in range(n)]
        for i, p in enumerate(ones):
            p[(slice(None),) * (2 + i) + (1,)] = 1.0
        parts += [(f"n = {n}: best", near(optimum(game), best, 0.01, "printed to that digit")),
                  ("all ones ÷ best", near(exact.evaluate(game, exact.joint(game, ones)).V[0] / optimum(game), trap,
                                           0.001, "printed to that digit"))]
    return every(*parts)


@claim(paper=CZ + ", Coordination Game", scale="statistical",
       says="natural gradient: the complete graph takes every team to the best, no edges leaves them below")
def coordination_natural(seed):
    parts = []
    for n, (a, b) in zip((2, 3), np.reshape(_spawn(seed, 4), (2, 2))):
        game = coordination(n)
        full = _values(game, complete(n), a, 64, 300, 0.02, natural=True)
        none = _values(game, (), b, 64, 300, 0.02, natural=True)
        parts += [(f"n = {n}: least V ÷ best, complete", near(full.min(), 1, 0.001, "the last part takes 1/t")),
                  ("mean, none", below(none, 1.0))]
    return every(*parts)


@claim(paper=CZ + ", Coordination Game, tabular", scale="statistical", minutes=0.1,
       says="plain gradient, three agents: no edges < a line ≤ the complete graph, in mean V ÷ best")
def coordination_plain(seed):
    game, alpha = coordination(3), 0.04 * 8 / 3          # 2000 steps of 0.01 in 500; their start law sums to 2ⁿ/n
    none, mid, full = (_values(game, e, rng, 240, 500, alpha)
                       for e, rng in zip(((), line(3), complete(3)), _spawn(seed, 3)))
    ahead, error = (full - mid).mean(), (full - mid).std(ddof=1) / len(mid) ** 0.5
    return every(("line minus none", above(mid - none, 0.0)), ("complete minus none", above(full - none, 0.0)),
                 ("complete minus line", Measured(f"{ahead:.3f} ± {error:.2g}", "≥ 0", f"{3.5 * error:.2g}",
                                                  "they are close: 3.5 standard errors", bool(ahead > -3.5 * error))))


@claim(paper=CZ + ", Figures", says="the end values of the paper's learning curves")
def published_curves(seed):
    return not_here("the paper's curves", "the figures' values were not available to us; nothing here is compared to "
                    "them")


# ---- private observations, annealing

@claim(paper=OURS, says="where agents see different things edges raise the ceiling: a packet each with probability q, "
                        "1 - (1-q)ⁿ with edges, q without")
def edges_as_signals(seed):
    q, parts = float(np.random.default_rng(seed).uniform(0.3, 0.8)), []
    for n, values in ((2, 0.84), (3, 0.936), (4, 0.9744)):
        for q_n, best in ((0.6, values), (q, 1 - (1 - q) ** n)):
            game = packet(n, 1.0, q_n)
            V = exact.evaluate(game, exact.joint(game, _first_come(game, n))).V[0]
            parts.append((f"n = {n}, q = {q_n:.2f}", near(V, best, 1e-12, "rounding")))
        parts.append((f"no edges, n = {n}, best of all rules", near(_best_alone(packet(n)), 0.6, 1e-12, "rounding")))
    return every(*parts)


def _first_come(game, n):
    """Tables [1, 2, …] on the complete graph: send with a packet if nobody before sent."""
    out = []
    for i in range(n):
        p = np.zeros((1, *exact.shape(game, complete(n), i)))
        for at in np.ndindex(*p.shape[1:]):
            sends = at[0] == 1 and not any(at[1:1 + i])
            p[(0, *at)] = float(at[1 + i] == int(sends))
        out.append(p)
    return out


def _best_alone(game) -> float:
    """The best deterministic rules without edges, by trying all 4ⁿ."""
    rules, best = np.array(list(np.ndindex(2, 2))), -np.inf               # action without, with a packet
    for choice in np.ndindex(*(4,) * game.n):
        tables = [np.eye(2)[rules[c]].reshape(1, 2, *(2 if j == i else 1 for j in range(game.n)))
                  for i, c in enumerate(choice)]
        best = max(best, float(exact.evaluate(game, exact.joint(game, tables)).V[0]))
    return best


@claim(paper=CZ + ", annealing", scale="statistical", minutes=0.1,
       says="edges can be annealed away and their gain kept, with the plain gradient; cut without annealing it is lost")
def annealing_keeps_the_gain(seed):
    parts, cfg = [], Config(runs=200, steps=3000, alpha=0.2, edges=EDGE)
    for game, rngs in (("climbing", _spawn(seed, 2)), ("penalty", _spawn(seed + 1, 2))):
        c = replace(cfg, game=game, k=100.0)
        best = ceiling(c.game, c.n, c.k)
        soft, alone = _ends(replace(c, schedule="linear"), rngs[0]), _ends(replace(c, density=0.0), rngs[1])
        gain = (soft.cut > 0.95 * best).astype(float) - (alone.cut > 0.95 * best)
        parts.append((f"{game}: share at the best without edges, annealed minus never any", above(gain, 0.15)))
    cold = _ends(replace(cfg, steps=1000), _spawn(seed + 2, 1)[0])
    parts.append(_is("climbing, cut at the end: mean V", cold.cut.mean() < 0, f"{cold.cut.mean():.1f}", "< 0"))
    return every(*parts)


@claim(paper=OURS, says="a team that holds several plans at once cannot lose its edges: penalty(-100) with the natural "
                        "gradient falls from 1 when annealed", scale="statistical")
def many_plans_do_not_survive(seed):
    cfg = Config(game="penalty", k=100.0, method="NPG", alpha=0.05, runs=200, steps=1000, edges=EDGE)
    a, b = _spawn(seed, 2)
    with_edges, soft = _ends(cfg, a), _ends(replace(cfg, schedule="linear"), b)
    return every(("share at the best with the edge", near((with_edges.V > 9.5).mean(), 1, 0, "all of 200 teams")),
                 ("annealed", below((soft.cut > 9.5).astype(float), 0.75)))
