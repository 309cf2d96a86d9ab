"""A team's policy over a graph, exactly: what it earns, where its gradient points, who could do better.

Agent i plays π_i(a_i | s, a_parents). As an array that is a table with one axis an agent, of size 1 for those who are
not its parents; so the joint policy is a product of arrays, and editing the graph changes sizes, no code:

    tables[i]  [R, O, b_0, …, b_{n-1}]     b_j = A_j for i and its parents, 1 for the others
    joint      [R, S, A_0, …, A_{n-1}]     = Π_i tables[i]

An edge may also be there by chance, with probability η at each decision. Then the axis of a parent has one row more,
the last: what the child does when it did not see that parent. Since every edge has one child, the chances multiply, and
the team as it acts on average is again a policy over the graph, with tables η · row + (1-η) · last row (`mix`).

Read `joint`, `evaluate`, `ascent`, then `audit`. Source: Chen & Zhang (2023); formulas derived here.
Axes: R runs, S states, O what agent i observes (S where it sees everything), then one axis an agent.
"""

from __future__ import annotations

from math import prod
from typing import NamedTuple

import numpy as np

from rlkit.envs.team_games import TeamGame
from rlkit.papers.bayes_net_graphs import Edges, parents

TINY = 1e-300           # a context that is less likely than this is never met
NEVER = 1e-40           # what has no chance at all is given this one, to ask what would be best there
FLOOR = -60.0           # logits of the natural gradient stay above it: it drives them off at constant speed


class Value(NamedTuple):
    V: np.ndarray       # [R] expected discounted return from the start law
    Q: np.ndarray       # [R, S, A_0, …] value of each joint action (R is 1 in a one-shot game without bonus)
    d: np.ndarray       # [R, S] discounted visits, sum 1


class Audit(NamedTuple):
    V: np.ndarray       # [R]
    gap: np.ndarray     # [R] what the best deviation of one agent, who sees its parents, would gain; 0: Nash
    perfect: np.ndarray  # [R] the same for the worst context, met or not
    entropy: np.ndarray  # [R] of the joint policy, nats, mean over visited states


# ---- tables

def shape(game: TeamGame, edges: Edges, i: int, spare: bool = False) -> tuple[int, ...]:
    """[O, b_0, …] of agent i's table; spare: with a last row for each parent that was not seen."""
    pa = parents(edges, game.n)[i]
    return game.O[i], *(A + (spare and j in pa) if j == i or j in pa else 1 for j, A in enumerate(game.actions))


def draw(game: TeamGame, edges: Edges, runs: int, rng: np.random.Generator, scale: float = 1.0,
         spare: bool = False) -> list[np.ndarray]:
    """Logits N(0, scale²), agent by agent.

    Runs lie side by side in memory (Fortran's order), and all that is computed from them does too: sums over a few
    actions then are sums of long rows, many times faster.
    """
    shapes = (shape(game, edges, i, spare) for i in range(game.n))
    return [np.asfortranarray(scale * rng.standard_normal((runs, *s))) for s in shapes]


def softmax(logits: list[np.ndarray]) -> list[np.ndarray]:
    """Each agent's table, summing to 1 over its own axis."""
    out = []
    for i, z in enumerate(logits):
        p = np.exp(z - z.max(2 + i, keepdims=True))
        p /= p.sum(2 + i, keepdims=True)
        out.append(p)
    return out


def mix(game: TeamGame, edges: Edges, tables: list[np.ndarray], eta: float = 1.0) -> list[np.ndarray]:
    """Tables without their last rows: as the team acts when each edge is there with probability η."""
    out = []
    for p, pa in zip(tables, parents(edges, game.n)):
        for j in pa:
            p = _average(p, 2 + j, game.actions[j], eta)
        out.append(p)
    return out


def joint(game: TeamGame, tables: list[np.ndarray]) -> np.ndarray:
    """π(a | s) = Π_i π_i(a_i | s, a_parents)  [R, S, A_0, …]; tables without last rows."""
    full = prod(_states(game, i, p) for i, p in enumerate(tables))
    return np.broadcast_to(full, (len(full), game.S, *game.actions))


# ---- what it is worth

def evaluate(game: TeamGame, pi: np.ndarray, bonus: np.ndarray | float = 0.0) -> Value:
    """V, Q and visits of a joint policy pi [R, S, A_0, …], by one linear solve a run; bonus: added to the reward.

        V = (I - γ P_π)⁻¹ r_π,    Q = r + γ P V,    d = (1-γ) (I - γ P_πᵀ)⁻¹ start
    """
    over, R = tuple(range(2, pi.ndim)), np.asfortranarray(game.R)[None] + bonus
    r = (pi * R).sum(over)                                                # [R, S]
    if game.P is None:
        return Value(r @ game.start, R, np.broadcast_to(game.start, r.shape))
    P = game.P.reshape(game.S, -1, game.S)
    chain = (pi.reshape(*r.shape, -1).swapaxes(0, 1) @ P).swapaxes(0, 1)  # [R, S, S]
    chain = np.eye(game.S) - game.gamma * chain
    V = np.linalg.solve(chain, r[..., None])[..., 0]
    d = np.linalg.solve(chain.swapaxes(1, 2), np.broadcast_to(game.start[:, None], (*r.shape, 1)))[..., 0]
    ahead = V @ P.reshape(-1, game.S).T
    Q = R + game.gamma * np.asfortranarray(ahead.reshape(pi.shape))
    return Value(V @ game.start, Q, np.asfortranarray((1 - game.gamma) * d))


def ascent(game: TeamGame, edges: Edges, tables: list[np.ndarray], *, natural: bool = False, tau: float = 0.0,
           eta: float = 1.0) -> tuple[np.ndarray, list[np.ndarray]]:
    """V [R], and the direction in which each agent's logits climb.

        plain     d(s) π(p|s) π_i(u|s,p) A_i(s,p,u) / (1-γ)       natural     A_i(s,p,u) / (1-γ)

    with A_i = Q_i - Σ_u π_i Q_i and Q_i(s,p,u) = E[Q(s,a) | s, a_parents = p, a_i = u]: descendants react to u.
    tau: bonus for the entropy of the joint policy.  eta: chance of each edge; needs tables with last rows if < 1.
    """
    acts = mix(game, edges, tables, eta)
    pi = joint(game, acts)
    bonus = -tau * np.log(np.maximum(pi, TINY)) if tau else 0.0
    value = evaluate(game, pi, bonus)
    far = 1.0 if game.P is None else 1 / (1 - game.gamma)
    steps = []
    for i, p in enumerate(tables):
        others = _others(game, acts, i, value.d)
        G = _rows(game, edges, others * value.Q, p, i, eta)
        if natural:
            G = _conditional(G, _rows(game, edges, others, p, i, eta))
        step = G - (p * G).sum(2 + i, keepdims=True)
        steps.append(far * step if natural else far * p * step)
    return value.V, steps


def climb(logits: list[np.ndarray], steps: list[np.ndarray], alpha: float, natural: bool) -> list[np.ndarray]:
    """One step up; the natural gradient's logits are kept in [FLOOR, 0]."""
    out = [z + alpha * g for z, g in zip(logits, steps)]
    if natural:
        out = [np.maximum(z - z.max(2 + i, keepdims=True), FLOOR) for i, z in enumerate(out)]
    return out


def ascend(game: TeamGame, edges: Edges, logits: list[np.ndarray], steps: int, alpha: float,
           natural: bool = False) -> list[np.ndarray]:
    """The logits after so many exact steps: what the learner does, without looking."""
    for _ in range(steps):
        logits = climb(logits, ascent(game, edges, softmax(logits), natural=natural)[1], alpha, natural)
    return logits


# ---- who could do better

def audit(game: TeamGame, edges: Edges, tables: list[np.ndarray], eta: float = 1.0) -> Audit:
    """Value, Nash gap and perfect gap.

        gap = max_i ( max_{π_i'} V(π_i', π_-i) - V ),    perfect = max_{i,s,p} ( max_u Q_i(s,p,u) - Σ_u π_i Q_i )

    A deviator sees its parents, and its children answer it. The gap weighs a context by how often it is met; the
    perfect gap does not: it also finds the mistakes that nobody gets to see. Only contexts that η allows count.
    """
    acts = [np.maximum(p, NEVER) for p in mix(game, edges, tables, eta)]
    pi = joint(game, acts)
    value = evaluate(game, pi)
    gaps, worst = [], []
    for i, p in enumerate(tables):
        rest, others = tuple(range(1, p.ndim)), _others(game, acts, i, value.d)
        G = _rows(game, edges, others * value.Q, p, i, eta)
        q = _conditional(G, _rows(game, edges, others, p, i, eta))
        worst.append((q.max(2 + i, keepdims=True) - (p * q).sum(2 + i, keepdims=True)).max(rest))
        if game.P is None:
            gaps.append(G.max(2 + i, keepdims=True).sum(rest) - value.V)
        else:
            gaps.append(_best_response(game, edges, tables, acts, i, eta, value))
    H = -(pi * np.log(np.maximum(pi, TINY))).sum(tuple(range(2, pi.ndim)))
    tidy = lambda x: np.maximum(np.max(x, 0), 0.0)                         # noqa: E731  rounding leaves -1e-16
    return Audit(value.V, tidy(gaps), tidy(worst), (value.d * H).sum(1))


def _best_response(game, edges, tables, acts, i, eta, value):
    """What the best reply of agent i gains [R], by policy iteration on its own problem, whose states are (s, p)."""
    if game.obs is not None:
        raise ValueError("the gap of a game with private observations that goes on is not computed; expected P = None")
    V, others = value.V, list(acts)
    for _ in range(1000):                                                 # each round gains; five are many
        weight = _others(game, others, i, np.ones_like(value.d))
        G = _rows(game, edges, weight * value.Q, tables[i], i, eta)
        reply = np.eye(G.shape[2 + i])[G.argmax(2 + i)]                   # own axis comes out last
        reply = np.moveaxis(reply, -1, 2 + i)
        others[i] = mix(game, edges, [reply if k == i else p for k, p in enumerate(tables)], eta)[i]
        value = evaluate(game, joint(game, others))
        if (value.V <= V + 1e-11 * np.abs(V)).all():
            break
        V = np.maximum(V, value.V)
    return V - evaluate(game, joint(game, acts)).V


# ---- redrawing the graph

def rewire(game: TeamGame, before: Edges, after: Edges, logits: list[np.ndarray], eta: float = 1.0) -> list[np.ndarray]:
    """Logits for the graph `after` of a team that acted on `before`.

    A new edge copies the table along the new axis: nothing changes yet. A dropped one leaves the marginal over that
    parent, as the team acts; contexts that are never met count alike.
    """
    tables = softmax(logits)
    pi = joint(game, mix(game, before, tables, eta))
    weight = pi * evaluate(game, pi).d.reshape(*pi.shape[:2], *(1,) * game.n)
    old, new, out = parents(before, game.n), parents(after, game.n), []
    for i, z in enumerate(logits):
        lost = [j for j in old[i] if j not in new[i]]
        if lost:
            p, w = tables[i], _observed(game, i, _marginal(weight, old[i]))
            for j in old[i]:
                if j in lost:
                    p = _average(p, 2 + j, game.actions[j], eta)
                elif p.shape[2 + j] > game.actions[j]:
                    w = np.concatenate([w, w.sum(2 + j, keepdims=True)], 2 + j)
            w = np.where(w.sum(tuple(2 + j for j in lost), keepdims=True) > TINY, w, 1.0)
            over = tuple(2 + j for j in lost)
            p = (p * w).sum(over, keepdims=True) / w.sum(over, keepdims=True)
            z = np.log(np.maximum(p, np.exp(FLOOR)))
        for j in new[i]:
            if j not in old[i]:
                z = np.repeat(z, game.actions[j] + 1, 2 + j)
        out.append(np.asfortranarray(z))
    return out


# ---- the parts

def _average(p, axis, A, eta):
    """η · row + (1-η) · last row along the axis of a parent with A actions; as it is where there is no last row."""
    if p.shape[axis] == A:
        return p
    rows = (slice(None),) * axis
    return p[*rows, :A] if eta == 1 else eta * p[*rows, :A] + (1 - eta) * p[*rows, A:]


def _states(game, i, p):
    """[R, O, …] -> [R, S, …]: what agent i does in each state."""
    return p if game.obs is None else p[:, game.obs[i]]


def _observed(game, i, x):
    """[R, S, …] -> [R, O, …]: summed over the states that look the same to agent i."""
    if game.obs is None:
        return x
    same = np.eye(game.O[i])[game.obs[i]].T                               # [O, S]
    return (same @ x.reshape(*x.shape[:2], -1)).reshape(len(x), len(same), *x.shape[2:])


def _marginal(x, keep):
    """Summed over the agents that are not in `keep`, whose axes stay, of size 1."""
    return x.sum(tuple(2 + j for j in range(x.ndim - 2) if j not in keep), keepdims=True)


def _others(game, acts, i, d):
    """d · Π_{j≠i} π_j  [R, S, …], the axis of agent i of size 1 or, where it has children, its own."""
    out = d.reshape(*d.shape, *(1,) * game.n)
    for j, p in enumerate(acts):
        if j != i:
            out = out * _states(game, j, p)
    return out


def _rows(game, edges, x, p, i, eta):
    """x [R, S, …] summed into the rows of agent i's table p, its last rows too. With x = d Π_{j≠i} π_j Q the value of a
    one-shot game is Σ p · rows, linear in the table; that is all that the gradient and the gap need."""
    pa = parents(edges, game.n)[i]
    x = _observed(game, i, _marginal(x, (*pa, i)))
    for j in pa:
        if p.shape[2 + j] > game.actions[j]:
            x = np.concatenate([eta * x, (1 - eta) * x.sum(2 + j, keepdims=True)], 2 + j)
    return x


def _conditional(G, reach):
    """G / reach: Q given the context; 0 where no context is."""
    return np.divide(G, reach, out=np.zeros_like(G), where=reach > TINY)
