"""R independent small networks as one batched matmul: how sixteen seeds train for the price of six.

Everything carries a leading axis of runs: weights [R, in, out], inputs [R, B, in]. Run r sees its own parameters, its
own minibatch and its own gradient; the runs only share the call. All parameters of an MLP lie end to end in one
vector `flat`, on which the layers are windows, so that Adam and the target average are one operation each.
float32 throughout, as torch's default. Read `MLP`, then `_Layers`, which is backpropagation through it by hand.
"""

from __future__ import annotations

from itertools import pairwise

import torch

BLOCK = 2**18                 # activations of one layer that go through together: 1 MB, to stay near the core
KEEP = 2**24                  # activations that are kept for the backward pass: 64 MB
NARROW = 16                   # products of fewer columns are taken transposed


class MLP:
    """n independent perceptrons with ReLU between the layers and none at the end.

        h_0 = x,   h_{l+1} = relu(h_l W_l + b_l),   f(x) = h_L W_L + b_L

    n: number of networks (R runs; 2R for twin critics).  sizes: widths, for instance (11, 64, 64, 3).
    gen: the torch.Generator the first weights are drawn from.
    x: [n, B, in] float32, gives [n, B, out]; or [R, B, in] with n = kR, then network i sees x[i mod R], so that twin
    critics share their input and `.view(2, R, B, out)` of the output pairs them.
    The first weights and biases are uniform in ±1/√in, independently per run, which is what torch.nn.Linear draws.
    """

    def __init__(self, n: int, sizes: tuple[int, ...], gen: torch.Generator):
        self.n, self.sizes = n, tuple(sizes)
        flat = torch.empty(n * sum((i + 1) * o for i, o in pairwise(sizes)))
        self.layers = _windows(flat, n, self.sizes)                       # W [n, in, out], b [n, 1, out] of each layer
        for W, b in self.layers:
            bound = W.shape[1] ** -0.5
            W.uniform_(-bound, bound, generator=gen)
            b.uniform_(-bound, bound, generator=gen)
        self.flat = flat.detach().requires_grad_()                        # [P] the same memory, for Adam to move

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        return _Layers.apply(x, self.flat, self.layers)

    def frozen(self, x: torch.Tensor, n: int | None = None) -> torch.Tensor:
        """The same values; gradients flow to x and not to the weights (an actor looks at its critic so).

        n: only the first n networks, as if there were no others (of twins, the first critic of each run).
        """
        return _Layers.apply(x, None, self.layers if n is None else [(W[:n], b[:n]) for W, b in self.layers])

    def copy(self) -> MLP:
        """A network of the same values that learns nothing by itself: a target."""
        twin = object.__new__(MLP)
        twin.n, twin.sizes, twin.flat = self.n, self.sizes, self.flat.detach().clone()
        twin.layers = _windows(twin.flat, self.n, self.sizes)
        return twin

    def follow(self, other: MLP, tau: float) -> None:
        """Polyak average: θ' ← (1 - τ) θ' + τ θ."""
        self.flat.lerp_(other.flat.detach(), tau)

    def numpy(self) -> tuple:
        """A photograph of the layers: ((W [n, in, out], b [n, 1, out]), ...), copies."""
        return tuple((W.detach().numpy().copy(), b.detach().numpy().copy()) for W, b in self.layers)


def adam(*groups: list[torch.Tensor], lr: float) -> torch.optim.Adam:
    """Adam on one or more groups of parameters. `fused`: one pass over memory, half the time of the other forms."""
    return torch.optim.Adam([dict(params=g) for g in groups], lr=lr, fused=True)


def _windows(flat: torch.Tensor, n: int, sizes: tuple[int, ...]) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """flat [P] as a W [n, in, out] and a b [n, 1, out] for each layer."""
    shapes = [shape for i, o in pairwise(sizes) for shape in ((n, i, o), (n, 1, o))]
    parts = [part.view(shape) for part, shape in zip(flat.split([s[0] * s[1] * s[2] for s in shapes]), shapes)]
    return list(zip(parts[::2], parts[1::2]))


class _Layers(torch.autograd.Function):
    """Forward and backward of `MLP` by hand: the numbers of autograd with half of its memory traffic.

    Activations that would not fit in the cache go through in blocks. Up to KEEP they are kept for the backward pass;
    beyond it they are computed again there, so that sixteen runs of large batches need little more memory than one.
    Backward reads the weights as they are then: call it before the optimiser moves them.
    """

    @staticmethod
    def forward(ctx, x, flat, layers):
        n, B = layers[0][0].shape[0], x.shape[1]
        ctx.x, ctx.layers = x, layers
        ctx.seen = [] if n * B * sum(W.shape[2] for W, _ in layers[:-1]) <= KEEP else None
        blocks = _blocks(x, layers)
        out = x.new_empty(n, B, layers[-1][0].shape[2]) if len(blocks) > 1 else None
        for nets, rows, x, some in blocks:
            *seen, last = _activations(x, some)
            if ctx.seen is not None:
                ctx.seen.append(seen)
            if out is None:
                return last.contiguous()
            out[nets, rows] = last
        return out

    @staticmethod
    def backward(ctx, g_out):                                             # ∂loss/∂f [n, B, out]
        need_x, need_flat, _ = ctx.needs_input_grad
        n, sizes = g_out.shape[0], (ctx.x.shape[2], *(W.shape[2] for W, _ in ctx.layers))
        grad = torch.zeros(sum(n * (i + 1) * o for i, o in pairwise(sizes))) if need_flat else None
        slots = _windows(grad, n, sizes) if need_flat else [(None, None)] * len(ctx.layers)
        grad_x = torch.empty(n, g_out.shape[1], sizes[0]) if need_x else None
        for i, (nets, rows, x, layers) in enumerate(_blocks(ctx.x, ctx.layers)):
            g, seen = g_out[nets, rows], _activations(x, layers)[:-1] if ctx.seen is None else ctx.seen[i]
            for (W, _), (gW, gb), h in zip(layers[::-1], slots[::-1], seen[::-1]):
                if need_flat:
                    gW[nets].add_(_product(h.mT, g))                      # ∂loss/∂W = hᵀ g
                    gb[nets].add_(g.sum(1, keepdim=True))                 # ∂loss/∂b = Σ_B g
                if need_x or h is not seen[0]:
                    g = _product(g, W.mT)                                 # ∂loss/∂h = g Wᵀ
                if h is not seen[0]:                                      # through the relu: where h > 0
                    torch.ops.aten.threshold_backward.grad_input(g, h, 0, grad_input=g)
            if need_x:
                grad_x[nets, rows] = g
        if need_x:                                                        # networks of the same input add up
            grad_x = grad_x.unflatten(0, (-1, ctx.x.shape[0])).sum(0)
        return grad_x, grad, None


def _activations(x: torch.Tensor, layers) -> list[torch.Tensor]:
    """h_0 = x, h_1, ..., and the output."""
    seen = [x]
    for W, b in layers[:-1]:
        seen.append(torch.ops.aten._add_relu_.Tensor(_product(seen[-1], W), b))           # + b and relu in one pass
    W, b = layers[-1]
    return [*seen, _product(seen[-1], W).add_(b)]


def _product(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """a b, [n, i, j] [n, j, k] -> [n, i, k]. MKL is five to ten times slower where k is small: then as (bᵀ aᵀ)ᵀ."""
    if b.shape[1] == 1:
        return a * b
    return torch.bmm(a, b) if b.shape[2] > NARROW else torch.bmm(b.mT.contiguous(), a.mT).mT


def _blocks(x: torch.Tensor, layers) -> list[tuple]:
    """(networks, rows, their input, their layers) of each block: all in one where that is small enough."""
    n, (m, B, _), width = layers[0][0].shape[0], x.shape, max(W.shape[2] for W, _ in layers)
    if n * B * width <= BLOCK:
        x = x if m == n else x.expand(n, -1, -1) if m == 1 else x.repeat(n // m, 1, 1)
        return [(slice(None), slice(None), x, layers)]
    k, step = max(1, BLOCK // (B * width)), max(1, BLOCK // width)        # networks and rows in a block
    step = -(-B // -(-B // step))                                         # blocks of equal height
    blocks = []
    for first in range(0, n, m):                                          # twins: networks first ... first + m see x
        for i in range(0, m, k):
            nets = slice(first + i, first + min(i + k, m))
            some = [(W[nets], b[nets]) for W, b in layers]
            for j in range(0, B, step):
                blocks.append((nets, slice(j, j + step), x[i : i + k, j : j + step], some))
    return blocks
