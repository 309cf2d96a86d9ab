"""Who answers whom: directed acyclic graphs over a team, as sorted tuples of (parent, child).

    edges = checked(((0, 1), (1, 2)), n=3)      # or an error that names the cycle
    parents(edges, 3)                           # ((), (0,), (1,))
    len(all_dags(3))                            # 25

A child sees what its parents have just chosen, then chooses. No edges: everyone for itself. Every pair joined: the
team can follow any joint plan, by the chain rule.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import combinations, product

import networkx as nx

Edges = tuple[tuple[int, int], ...]


def checked(edges, n: int) -> Edges:
    """The edges, sorted, each once; raises ValueError for a cycle, which it names, or an agent that is not there."""
    edges = tuple(sorted({(int(j), int(i)) for j, i in edges}))
    strange = [e for e in edges if not all(0 <= i < n for i in e)]
    if strange:
        raise ValueError(f"the edge {strange[0][0]} → {strange[0][1]} names an agent that is not there, expected "
                         f"0 to {n - 1} for {n} agents; leave it out")
    graph = nx.DiGraph(edges)
    if not nx.is_directed_acyclic_graph(graph):
        knots = (c for c in nx.strongly_connected_components(graph) if len(c) > 1 or graph.has_edge(*2 * tuple(c)))
        loop = [e[0] for e in nx.find_cycle(graph, min(map(min, knots)))]
        raise ValueError(f"not a DAG: {' → '.join(map(str, [*loop, loop[0]]))}; turn one of these edges round or take "
                         "it out")
    return edges


@lru_cache(maxsize=4096)
def parents(edges: Edges, n: int) -> tuple[tuple[int, ...], ...]:
    """The parents of each agent, in order of their numbers."""
    return tuple(tuple(sorted(j for j, i in edges if i == child)) for child in range(n))


def complete(n: int) -> Edges:
    """Every agent sees all before it."""
    return tuple(combinations(range(n), 2))


def line(n: int) -> Edges:
    """0 → 1 → 2 …"""
    return tuple((i, i + 1) for i in range(n - 1))


def fork(n: int) -> Edges:
    """0 is everybody's parent."""
    return tuple((0, i) for i in range(1, n))


def collider(n: int) -> Edges:
    """The agent in the middle sees all others, who do not see each other."""
    return tuple(sorted((j, n // 2) for j in range(n) if j != n // 2))


def name(edges: Edges) -> str:
    """0→1 1→2, or `no edges`."""
    return " ".join(f"{j}→{i}" for j, i in edges) or "no edges"


@lru_cache
def all_dags(n: int) -> tuple[Edges, ...]:
    """Every labelled DAG: 3, 25 and 543 for n = 2, 3, 4, the sparsest first.  Raises ValueError for n > 4: 29,281."""
    if not 1 <= n <= 4:
        raise ValueError(f"n is {n}, expected 1 to 4: there are 29,281 DAGs of five agents")
    pairs = [((), ((i, j),), ((j, i),)) for i, j in combinations(range(n), 2)]
    oriented = (tuple(sorted(sum(choice, ()))) for choice in product(*pairs))
    return tuple(sorted((e for e in oriented if nx.is_directed_acyclic_graph(nx.DiGraph(e))),
                        key=lambda e: (len(e), e)))
