"""What learned Bayesian-network policies say, measured: order and edges by a network, MAPPO over them, annealing.

Worlds are ours: small Aloha channels with returns known by dynamic programming, and table games. The paper's own
learning curves were not available to us. Tolerances are standard errors over independent teams, or rounding; where
training may stop in another of a few known local optima the margin says so.
"""

from __future__ import annotations

import numpy as np

from rlkit.claims import Measured, above, below, claim, every, near, one_thread
from rlkit.envs.aloha import Aloha, best, best_product, greedy, value
from rlkit.stats import iqm

CZ = "Chen & Zhang 2023"
OURS = "ours, in the spirit of " + CZ
TABLE = dict(envs=128, lr=3e-3, entropy=1.0, cool=0.6)                    # explore first: children must learn to reply


def _end(seed: int, every: int | None = None, make=None, **settings):
    """The last snapshot of so many teams, or all of them, `every` so many steps."""
    from rlkit.papers.bayes_net_mappo import Config, mappo

    cfg = Config(**settings)
    with one_thread():
        snaps = list(mappo(cfg, np.random.default_rng(seed), every or cfg.steps, make))
    return snaps if every else snaps[-1]


def _true(name: str, holds, value: str, expected: str, why: str = "far from a tie") -> tuple[str, Measured]:
    return name, Measured(value, expected, "strict", why, bool(holds))


# ---- exact

@claim(paper=OURS, says="what a team can earn on a shared channel if nobody is told anything, if neighbours' choices "
                        "are told, and if all is known")
def aloha_exactly(seed):
    clique, ring = Aloha.clique(3), Aloha.ring(4)
    close = lambda v, e: near(v, e, 0.01, "rounding of the figure quoted")                     # noqa: E731
    return every(("clique, no edges", near(best_product(clique), 1 + 19 * 0.6, 1e-9, "one station sends, 1 + 19 · .6")),
                 ("each told", close(value(clique, greedy(clique, range(3))), 19.999)),
                 ("all known", close(best(clique), 19.999)),
                 ("ring, no edges", near(best_product(ring), 2 * (1 + 19 * 0.6), 1e-9, "two stations send")),
                 ("each told, order 0123", close(value(ring, greedy(ring, range(4))), 37.32)),
                 ("order 0213", close(value(ring, greedy(ring, (0, 2, 1, 3))), 30.84)),
                 ("all known", close(best(ring), 39.16)))


@claim(paper=CZ + ", context-aware DAG network",
       says="order times edges never has a cycle; forward the graph is hard, backward both networks learn")
def graphs_have_no_cycle(seed):
    import networkx as nx
    import torch

    from rlkit.papers.dag_network import DagNetwork, sinkhorn

    rng = np.random.default_rng(seed)
    gens = [torch.Generator().manual_seed(int(s)) for s in rng.integers(2**31, size=2)]
    net, x = DagNetwork(3, 4, gens, True, bias=0.5), rng.normal(size=(2, 1000, 3)).astype(np.float32)
    g = net.draw(x, net.noise(rng.random((2, 1000, 2, 4, 4), np.float32)))
    cycles = sum(not nx.is_directed_acyclic_graph(nx.DiGraph(A)) for A in g.A.reshape(-1, 4, 4))
    A = net.soft(torch.from_numpy(x), g)
    (A * torch.from_numpy(rng.normal(size=A.shape).astype(np.float32))).sum().backward()
    P = sinkhorn(torch.from_numpy(rng.gumbel(size=(500, 4, 4)))).numpy()
    off = np.abs(P.sum(-1) - 1).max((-1,))
    return every(("cycles in 2000 graphs", near(cycles, 0, 0, "by construction")),
                 ("straight-through value - hard", near(np.abs(A.detach().numpy() - g.A).max(), 0, 1e-6, "float32")),
                 ("soft order, columns - 1", near(np.abs(P.sum(-2) - 1).max(), 0, 1e-12, "rounding")),
                 ("rows - 1, median of 500", near(np.median(off), 0, 0.05, "20 rounds of rescaling")),
                 *(_true(f"|gradient| of the {n}", p.grad.abs().max() > 1e-3, f"{p.grad.abs().max():.2g}", "> 0")
                   for n, p in zip(("edges", "order"), net.parameters())))


# ---- table games

@claim(paper=OURS, scale="statistical", minutes=0.2,
       says="on a chain of climbing games MAPPO stays at 7; with edges, learned or all, it finds 11; annealed away, it "
            "keeps 11, and agents act alone")
def chain_of_three(seed):
    cfg = dict(world="chain", runs=8, steps=80, **TABLE)
    none, every_, learned = (_end(seed, graph=g, **cfg).ret for g in ("product", "complete", "learned"))
    soft = _end(seed, graph="complete", anneal=True, **cfg)
    found = lambda name, ret: _true(name, (ret > 10.5).sum() >= 6, f"{(ret > 10.5).sum()} of 8", "≥ 6 of 8",       # noqa: E731
                                    "two of eight may commit too early")
    return every(("no edges: mean", near(none.mean(), 7, 0.3, "the safe plan is the optimum of no edges here")),
                 found("all edges: teams above 10.5", every_), found("learned edges and order", learned),
                 found("annealed, alone", soft.alone), ("density left", near(soft.density.max(), 0, 0, "η is 0")))


@claim(paper=OURS, scale="statistical", minutes=0.1,
       says="a child must learn its replies before the root commits: without exploration the edge does not help on "
            "climbing")
def explore_first(seed):
    cfg = dict(world="climbing", runs=16, steps=80, envs=128, lr=3e-3, graph="complete")
    warm, cold = (_end(seed, entropy=h, cool=0.6 if h > 0.1 else 0.0, **cfg).ret > 10.5 for h in (1.0, 0.01))
    return every(("share at 11, entropy bonus 1 falling to .005", above(warm.astype(float), 0.5)),
                 ("bonus .01", below(cold.astype(float), 0.5)))


# ---- Aloha

@claim(paper=CZ + ", Aloha; small world ours", scale="statistical", minutes=0.2,
       says="on the clique, after 50 batches: told is better than not told; and new parents' actions in the update "
            "(the bookkeeping fault) cost all of it")
def told_is_better(seed):
    cfg = dict(runs=4, steps=50)
    none = _end(seed, graph="product", **cfg).ret
    complete, learned = (_end(seed, graph=g, **cfg).ret for g in ("complete", "learned edges"))
    broken = _end(seed, graph="complete", resample=True, **cfg).ret
    return every(("all edges - none", above(complete - none, 3)), ("learned edges - none", above(learned - none, 3)),
                 _true("all edges, re-sampled parents", broken.mean() < 13.2, f"{broken.mean():.1f}", "≤ 12.4",
                       "12.4 is the best told nothing; mean of 128 episodes"))


@claim(paper=OURS, scale="statistical", minutes=0.1,
       says="on the ring of four, with no price on edges, the learned graph is the ring: who disturbs whom")
def interference_graph(seed):
    A = _end(seed, world="ring of 4", graph="learned edges", runs=4, steps=60).adjacency
    both = A + A.swapaxes(1, 2)                                           # [R, n, n] in either direction
    links, across = both[:, [0, 1, 2, 0], [1, 2, 3, 3]], both[:, [0, 1], [2, 3]]
    return every(_true("least of the 4 links, median team", np.median(links.min(1)) > 0.9,
                       f"{np.median(links.min(1)):.2f}", "> 0.9"),
                 _true("mean of the 2 pairs that do not hear each other", np.median(across.mean(1)) < 0.2,
                       f"{np.median(across.mean(1)):.2f}", "< 0.2"))


# ---- the same at full length

def _late(snaps, what: str = "ret") -> np.ndarray:
    """[R] mean over the last five looks: a single batch of episodes is noisy."""
    return np.mean([getattr(s, what) for s in snaps[-5:]], axis=0)


@claim(paper=CZ + ", Aloha; small world ours", scale="slow", minutes=1,
       says="on the clique of three a team without edges ends at the best it can, 12.4; told all before, or as a "
            "network learns, above 18.5; with re-sampled parents back at 12.4")
def clique_at_full_length(seed):
    cfg = dict(runs=8, steps=150, every=10)
    none = _late(_end(seed, graph="product", **cfg | dict(steps=250)))
    complete, learned = (_late(_end(seed, graph=g, **cfg)) for g in ("complete", "learned"))
    broken = _late(_end(seed, graph="complete", resample=True, **cfg))
    return every(("no edges", near(none.mean(), 12.4, 0.8, "12.4 is the best; some have not arrived")),
                 ("all edges", above(complete, 18.5)), ("learned", above(learned, 18.5)),
                 ("all edges, re-sampled parents", below(broken, 13.2)))


@claim(paper=OURS, scale="slow", minutes=1.5,
       says="on the ring of four learned edges earn nearly what a greedy team earns, 37.3 (no edges: 24.8), with the "
            "four links and nothing else")
def ring_at_full_length(seed):
    cfg = dict(world="ring of 4", runs=8, steps=200, every=10)
    none = _late(_end(seed, graph="product", **cfg))
    snaps = _end(seed, graph="learned edges", **cfg)
    both = snaps[-1].adjacency + snaps[-1].adjacency.swapaxes(1, 2)
    links, across = both[:, [0, 1, 2, 0], [1, 2, 3, 3]].min(1), both[:, [0, 1], [2, 3]].mean(1)
    whole = (links > 0.9) & (across < 0.2)
    return every(("no edges", near(none.mean(), 24.8, 1.3, "24.8 is the best; some have not arrived")),
                 ("learned edges", above(_late(snaps), 34)),
                 _true("teams whose graph is the ring", whole.sum() >= 6, f"{whole.sum()} of 8", "≥ 6 of 8",
                       "two of eight may be late"))


@claim(paper=OURS, scale="slow", minutes=1.5,
       says="fewer edges, the right ones, are learned sooner than all edges: on the ring after 75 batches")
def sparse_is_sooner(seed):
    cfg = dict(world="ring of 4", runs=96, steps=75)
    complete, learned = (_end(seed, graph=g, **cfg).ret for g in ("complete", "learned edges"))
    return above(learned - complete, 0)


@claim(paper=CZ + ", random against learned graphs", scale="slow", minutes=1,
       says="which edges matters where not all do: at the density it chose itself the learned graph of the ring earns "
            "far more than edges by chance; on the clique, where every pair disturbs, it earns the same")
def which_edges(seed):
    ring = dict(world="ring of 4", runs=8, steps=100)
    learned = _end(seed, graph="learned edges", **ring)
    chance = _end(seed, graph="random", density=float(min(1, learned.density.mean())), **ring)
    clique = dict(density=0.67, runs=8, steps=150, every=10)
    same = _late(_end(seed, graph="learned edges", alpha=0.3, **clique)) - _late(_end(seed, graph="random", **clique))
    return every(("ring: learned - by chance", above(learned.ret - chance.ret, 5)),
                 ("clique, density .67: learned - by chance", near(same.mean(), 0, 2, "2 of 20 packets")))


@claim(paper=CZ + ", annealing", scale="slow", minutes=1,
       says="annealing to no edges gives agents that act alone, but not what others' choices were worth: clique 12.4, "
            "ring 24.8, the best of teams without edges (but for a run in some tens, which has not arrived by then)")
def annealing_ends_at_the_product(seed):
    parts = []
    for world, ceiling, miss, steps in (("clique of 3", 12.4, 0.8, 250), ("ring of 4", 24.8, 1.3, 300)):
        snaps = _end(seed, world=world, graph="learned edges", alpha=0.1, anneal=True, runs=8, steps=steps, every=10)
        alone = _late(snaps[-3:], "alone")
        parts += [(f"{world}, alone", near(iqm(alone), ceiling, miss, "the best, by the middle half of the runs")),
                  ("its density", near(snaps[-1].density.max(), 0, 0.05, "η is 0"))]
    return every(*parts)


@claim(paper="ours; the task is Papoudakis et al. 2021", scale="slow", minutes=5,
       says="in Foraging-5x5-2p-1f-coop both learn to eat together; the learned graph is no quicker than no edges by "
            "more than three standard errors")
def foraging(seed):
    from rlkit.envs.foraging import ForagingTeams

    ends, arrive = {}, {}
    for graph in ("product", "learned"):
        snaps = _end(seed, every=10, make=lambda rngs, envs: ForagingTeams("Foraging-5x5-2p-1f-coop-v3", rngs, envs),
                     graph=graph, runs=4, steps=220, hidden=64, entropy=0.02, lr=1e-3)
        ends[graph] = _late(snaps)
        arrive[graph] = np.mean([s.ret for s in snaps], axis=0)           # [R] mean return over the run
    gain = arrive["learned"] - arrive["product"]
    se = float(gain.std(ddof=1) / len(gain) ** 0.5)
    return every(*((f"{g}, share of food at the end", above(x, 0.8)) for g, x in ends.items()),
                 ("mean return over the run, learned - none", near(gain.mean(), 0, max(3 * se, 0.15),
                                                                   "three standard errors over 4 seeds")))
