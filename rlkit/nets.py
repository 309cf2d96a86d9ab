"""R independent small networks as one batched matmul: how thirty seeds train for little more than the price of a few.

Everything carries a leading axis of runs: weights [R, in, out], inputs [R, B, in]. Run r sees its own parameters, its
own minibatch and its own gradient; the runs only share the call. All parameters of an MLP live in one matrix
`flat` [R, P], one row per run, so that Adam, the target average and a photograph are one operation each.
float32 throughout, as torch's default. Read `MLP`, then `_Layers`, which is backpropagation through it by hand.
"""

from __future__ import annotations

from itertools import pairwise

import torch


class MLP:
    """n independent perceptrons with ReLU between the layers and none at the end.

        h_0 = x,   h_{l+1} = relu(h_l W_l + b_l),   f(x) = h_L W_L + b_L

    n: number of networks (R runs; 2R for twin critics).  sizes: widths, for instance (11, 64, 64, 3).
    gen: the torch.Generator the first weights are drawn from. x: [n, B, in] float32, gives [n, B, out].
    The first weights and biases are uniform in ±1/√in, independently per run, which is what torch.nn.Linear draws.
    """

    def __init__(self, n: int, sizes: tuple[int, ...], gen: torch.Generator):
        self.sizes = tuple(sizes)
        count = sum((i + 1) * o for i, o in pairwise(sizes))
        flat = torch.empty(n, count)
        self.layers = _views(flat, self.sizes)
        for W, b in self.layers:
            bound = W.shape[1] ** -0.5
            W.uniform_(-bound, bound, generator=gen)
            b.uniform_(-bound, bound, generator=gen)
        self.flat = flat.requires_grad_()                                 # [n, P], shares its memory with the layers

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        return _Layers.apply(x, self.flat, self.layers)

    def frozen(self, x: torch.Tensor) -> torch.Tensor:
        """The same values; gradients flow to x and not to the weights (an actor looks at its critic so).

        x [m, B, in] with m < n is for the first m networks: the first critic of each pair of twins.
        """
        m = len(x)
        return _Layers.apply(x, None, self.layers if m == len(self.flat) else [(W[:m], b[:m]) for W, b in self.layers])

    def copy(self) -> MLP:
        """A network of the same values that learns nothing by itself: a target."""
        twin = object.__new__(MLP)
        twin.sizes, twin.flat = self.sizes, self.flat.detach().clone()
        twin.layers = _views(twin.flat, self.sizes)
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


def _views(flat: torch.Tensor, sizes: tuple[int, ...]) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Windows on flat [n, P]: a W [n, in, out] and a b [n, 1, out] for each layer."""
    layers, k = [], 0
    for i, o in pairwise(sizes):
        layers.append((flat[:, k : k + i * o].unflatten(1, (i, o)), flat[:, k + i * o : k + (i + 1) * o].unsqueeze(1)))
        k += (i + 1) * o
    return layers


class _Layers(torch.autograd.Function):
    """Forward and backward of `MLP` in place: the same numbers as autograd's, in half of the memory traffic."""

    @staticmethod
    def forward(ctx, x, flat, layers):
        ctx.layers, ctx.seen = layers, [x]                                # h_0, h_1, ... which backward needs
        for W, b in layers[:-1]:
            x = torch.baddbmm(b, x, W).relu_()
            ctx.seen.append(x)
        W, b = layers[-1]
        return torch.baddbmm(b, x, W)

    @staticmethod
    def backward(ctx, g):                                                 # g = ∂loss/∂f [n, B, out]
        grad = g.new_empty(g.shape[0], sum(W[0].numel() + b[0].numel() for W, b in ctx.layers))
        slots = _views(grad, (ctx.layers[0][0].shape[1], *(W.shape[2] for W, _ in ctx.layers)))
        for (W, _), (gW, gb), h in reversed(list(zip(ctx.layers, slots, ctx.seen))):
            if ctx.needs_input_grad[1]:
                torch.bmm(h.mT, g, out=gW)                                # ∂loss/∂W = hᵀ g
                torch.sum(g, 1, keepdim=True, out=gb)                     # ∂loss/∂b = Σ_B g
            if h is not ctx.seen[0]:
                g = torch.ops.aten.threshold_backward(torch.bmm(g, W.mT), h, 0)      # through relu: where h > 0
            elif ctx.needs_input_grad[0]:
                g = torch.bmm(g, W.mT)
        return g if ctx.needs_input_grad[0] else None, grad if ctx.needs_input_grad[1] else None, None
