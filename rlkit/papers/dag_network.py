"""A network that draws a graph: who may look at whose action, as a function of what the team sees.

Two small networks read x, the observations of all agents. One gives scores for an order of the agents, the other a
logit for each edge. An edge counts if it points forward in the order, so that the graph has no cycle by construction:

    U = 1[edge logit + logistic noise > 0]            [n, n] which edges are wanted
    P = the permutation with the largest Σ_k S[k, P(k)],  S = log σ(order scores) + Gumbel noise     rows are positions
    A = U ⊙ (Pᵀ M P),   M = ones above the diagonal;  A[j, i] = 1: j is a parent of i

A drawn graph has no derivative. Learning takes the *straight-through* one: forward the hard U and P, backward those of
σ(logit + noise) and of Sinkhorn(S), rows and columns of exp S rescaled in turn until both sum to one.
The noise is kept with the sample, so that an update meets the graph that was drawn and not another one.

Drawing is NumPy, learning is torch; R runs side by side. Read `draw`, then `soft`.
Source: Chen & Zhang (2023), whose network follows Charpentier et al. (2022), Differentiable DAG Sampling.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import permutations
from typing import NamedTuple

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment

from rlkit.distinct_rows import Rows, at
from rlkit.nets import MLP

ENUMERATE = 5          # up to so many agents the best of all n! orders is found by one matrix product


class Graph(NamedTuple):
    """Graphs as drawn, with what is needed to meet them again.  B = samples of one run."""

    A: np.ndarray               # [R, B, n, n] float32 0/1; A[j, i] = 1: j is a parent of i
    order: np.ndarray           # [R, B, n] int; order[k] is the agent in position k
    U: np.ndarray | None        # [R, B, n, n] float32 0/1, edges wanted before the order had its say; None: not learned
    noise: np.ndarray           # [R, B, 1 or 2, n, n] float32: logistic for the edges, then Gumbel for the order


class DagNetwork:
    """R independent pairs of networks.  features: of x, all agents' observations together; learn_order: False keeps
    the order 0, 1, 2, …; bias: added to the edge logits, so that at first most edges are there."""

    def __init__(self, features: int, n: int, gens: Sequence[torch.Generator], learn_order: bool, width: int = 64,
                 bias: float = 2.0):
        self.n, self.learn_order, self.bias = n, learn_order, bias
        sizes = (features, width, n * n)
        self.edges = stack(sizes, gens)
        self.order = stack(sizes, gens) if learn_order else None
        self.above = torch.triu(torch.ones(n, n), 1)                      # M

    def parameters(self) -> list[torch.Tensor]:
        return [net.flat for net in (self.edges, self.order) if net]

    def noise(self, u: np.ndarray) -> np.ndarray:
        """Logistic and Gumbel noise from uniforms: u [..., 1 or 2, n, n] in [0, 1) -> the same shape, float32."""
        u = np.clip(u, 1e-7, 1 - 1e-7)
        low = -np.log(u)                                                  # exponential
        noise = -np.log(low)                                              # Gumbel
        noise[..., 0, :, :] = np.log1p(-u[..., 0, :, :]) + low[..., 0, :, :]             # logistic, -logit u
        return noise.astype(np.float32)

    def draw(self, x: np.ndarray, noise: np.ndarray) -> Graph:
        """Hard graphs.  x: [R, B, features] float32; noise: of `noise`, or zeros for the likeliest graph."""
        n, lead = self.n, x.shape[:2]
        U = (see(self.edges, x).reshape(*lead, n, n) + self.bias + noise[:, :, 0] > 0).astype(np.float32)
        if not self.learn_order:
            return Graph(U * self.above.numpy(), np.broadcast_to(np.arange(n), (*lead, n)), U, noise)
        scores = see(self.order, x).reshape(*lead, n, n)
        order = best_order(-np.logaddexp(0, -scores) + noise[:, :, 1])
        place = np.argsort(order, -1)                                     # [R, B, n] position of each agent
        return Graph(U * (place[..., :, None] < place[..., None, :]), order, U, noise)

    def soft(self, x: torch.Tensor | Rows, g: Graph) -> torch.Tensor:
        """A [R, B, n, n] with the values of g.A and the derivative of the relaxed graph."""
        n, lead = self.n, g.A.shape[:2]
        logit = at(self.edges, x).view(*lead, n, n) + self.bias
        U = straight(torch.from_numpy(g.U), torch.sigmoid(logit + torch.from_numpy(g.noise[:, :, 0])))
        if not self.learn_order:
            return U * self.above
        scores = torch.nn.functional.logsigmoid(at(self.order, x).view(*lead, n, n))
        P = torch.nn.functional.one_hot(torch.from_numpy(g.order), n).float()       # rows positions, columns agents
        P = straight(P, sinkhorn(scores + torch.from_numpy(g.noise[:, :, 1])))
        return U * (P.mT @ self.above @ P)

    def numpy(self) -> tuple:
        """A photograph of the weights, copies."""
        return tuple(net.numpy() for net in (self.edges, self.order) if net)


def straight(hard: torch.Tensor, soft: torch.Tensor) -> torch.Tensor:
    """The straight-through estimator: the value of `hard`, the derivative of `soft`."""
    return hard + (soft - soft.detach())


def sinkhorn(scores: torch.Tensor, rounds: int = 20) -> torch.Tensor:
    """exp(scores) with rows and columns rescaled in turn until they sum to one: a soft permutation.

    scores: [..., n, n], in log space throughout.  Gives [..., n, n]: columns sum to one exactly, rows nearly.
    """
    x = scores.flatten(0, -3).permute(1, 2, 0).contiguous()               # the batch last: nine times as quick
    for _ in range(rounds):
        x = x.log_softmax(1).log_softmax(0)
    return x.exp().permute(2, 0, 1).reshape(scores.shape)


def best_order(scores: np.ndarray) -> np.ndarray:
    """The order [..., n] that maximises Σ_k scores[k, order[k]]: the assignment problem, solved exactly.

    Up to 5 agents by comparing all n! orders at once; beyond, one by one by the Hungarian method.
    """
    n, flat = scores.shape[-1], scores.reshape(-1, scores.shape[-1] ** 2)
    if n <= ENUMERATE:
        orders, picks = _orders(n)
        order = orders[(flat @ picks).argmax(-1)]
    else:
        order = np.stack([linear_sum_assignment(s.reshape(n, n), maximize=True)[1] for s in flat])
    return order.reshape(*scores.shape[:-2], n)


@lru_cache
def _orders(n: int):
    """All orders [n!, n], and the matrix [n², n!] that sums the scores of each."""
    orders = np.array(list(permutations(range(n))))
    return orders, np.eye(n, dtype=np.float32)[orders].reshape(len(orders), n * n).T.copy()


def stack(sizes: Sequence[int], gens: Sequence[torch.Generator], last: float = 1.0) -> MLP:
    """R networks, each drawn by its own generator, so that run r is the same in any company.

    last: factor on the weights of the last layer; small makes a policy nearly uniform at first.
    """
    net = MLP(len(gens), sizes, torch.Generator())
    for r, gen in enumerate(gens):
        for (W, b), (w, c) in zip(net.layers, MLP(1, sizes, gen).layers):
            W[r], b[r] = w[0], c[0]
    W, b = net.layers[-1]
    W *= last
    b *= last
    return net


def see(net: MLP, x: np.ndarray) -> np.ndarray:
    """The network's output in NumPy, which on the small batches of play is quicker.  [R, B, in] -> [R, B, out]"""
    for W, b in net.layers[:-1]:
        x = np.maximum(x @ W.numpy() + b.numpy(), 0)
    W, b = net.layers[-1]
    return x @ W.numpy() + b.numpy()
