"""Small worlds show a network few different things very often: compute each once, and look the answers up.

A batch of Mini-Aloha holds some 2000 rows and a few dozen different ones. The network then sees a table of those
[U, F]; values and gradients are the same sums in another order, at a fraction of the price.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch

from rlkit.nets import MLP


class Rows(NamedTuple):
    """Rows [R, B, F] that repeat: row (r, b) is table[index[r, b]]."""

    table: torch.Tensor         # [U, F] the different ones, of all runs together
    index: torch.Tensor         # [R, B] int64


def distinct(x: np.ndarray, share: float = 0.25) -> Rows | torch.Tensor:
    """x [R, B, F] float32 as `Rows`, or as the tensor it is if a run would have to see more than `share` of B rows."""
    R, B, F = x.shape
    flat = x.reshape(R * B, F)
    key = flat.astype(np.float64) @ np.random.default_rng(0).standard_normal(F)             # equal rows, equal keys
    _, first, index = np.unique(key, return_index=True, return_inverse=True)
    if len(first) > share * B or not np.array_equal(flat[first][index], flat):
        return torch.from_numpy(x)
    return Rows(torch.from_numpy(flat[first]), torch.from_numpy(index.reshape(R, B)))


def at(net: MLP, x: Rows | torch.Tensor) -> torch.Tensor:
    """The network's output for each row: [R, B, out]."""
    return pick(net(x.table[None]), x.index) if isinstance(x, Rows) else net(x)


def pick(values: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
    """values [R, U, ...] at index [R, B]: [R, B, ...]."""
    R, U = values.shape[:2]
    flat = (index + U * torch.arange(R)[:, None]).flatten()
    return values.flatten(0, 1).index_select(0, flat).view(*index.shape, *values.shape[2:])


def slopes(net: MLP, table: torch.Tensor) -> torch.Tensor:
    """∂ output_k / ∂ input_f of each network at each row of table [U, F]: [n, U, K, F], without gradient."""
    x = table.expand(net.n, -1, -1).clone().requires_grad_()
    out = net.frozen(x)
    return torch.stack([torch.autograd.grad(out[..., k].sum(), x, retain_graph=True)[0] for k in range(out.shape[-1])],
                       dim=2)
