"""n independent causal transformers as one batch of matrix products: a decoder small enough to read and to train here.

    h_0 = x + p,   u = h_l + Attention(norm h_l),   h_{l+1} = u + W'' gelu(W' norm u),   out = norm h_L

The axis of the networks comes first, as in `nets`: weights [n, in, out], tokens [n, B, T, width]. The caller embeds its
tokens and reads the output with a `Table` and a `Linear` of this file, or with what it likes. `norm` has no scale and
no shift of its own: each is followed by a linear map, which has both. Read `Transformer.extend`, then `_Attention`.
Source: Vaswani et al. (2017); Radford et al. (2019), GPT-2, for the norm before each block.

Axes: n networks, B sequences, T new tokens, S tokens seen (cache and new), H heads.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch.nn import functional as F

LIMIT = 80.0                  # scores beyond ±80 are taken as ±80: exp stays finite without a search for the maximum


class Cache(NamedTuple):
    """What the tokens so far have left behind, for those to come."""
    seen: int                                              # tokens so far
    kv: list[tuple[torch.Tensor, torch.Tensor]]            # keys and values of each layer, [n·B, H, seen or more, d]


class Weights:
    """Parameters of n networks in one leaf `flat` [n, P], of which `parts` are windows: one step of Adam moves all."""

    def __init__(self, n: int, shapes: list[tuple[int, ...]]):
        self.n, self.shapes = n, shapes
        self.sizes = [torch.Size(s).numel() for s in shapes]
        self.flat = torch.zeros(n, sum(self.sizes), requires_grad=True)

    @property
    def parts(self) -> list[torch.Tensor]:
        return [w.view(self.n, *s) for w, s in zip(self.flat.split(self.sizes, 1), self.shapes)]

    def parameters(self) -> list[torch.Tensor]:
        return [self.flat]


class Table(Weights):
    """n tables of vectors: tokens [n, ...] whole numbers below `rows` -> [n, ..., width]. First N(0, 1) · scale."""

    def __init__(self, n: int, rows: int, width: int, gen: torch.Generator, scale: float = 1.0):
        super().__init__(n, [(rows, width)])
        self.first = torch.arange(n) * rows
        with torch.no_grad():
            self.flat.normal_(0, scale, generator=gen)

    def __call__(self, tokens: torch.Tensor) -> torch.Tensor:
        width = self.shapes[0][1]
        return F.embedding(tokens + self.first.view(-1, *[1] * (tokens.dim() - 1)), self.flat.view(-1, width))


class Linear(Weights):
    """n maps x W + b: x [n, ..., in] -> [n, ..., out]. First W uniform in ±scale/√in, b = 0."""

    def __init__(self, n: int, fan_in: int, fan_out: int, gen: torch.Generator, scale: float = 1.0):
        super().__init__(n, [(fan_in, fan_out), (1, fan_out)])
        with torch.no_grad():
            self.parts[0].uniform_(-scale * fan_in**-0.5, scale * fan_in**-0.5, generator=gen)

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        return _linear(x, *self.parts)


class Transformer(Weights):
    """n independent causal transformers.

    width: of a token.  hidden: of the layer between, 4·width if None.  length: most tokens of a sequence.
    gen: the torch.Generator of the first weights.  Raises ValueError where heads does not divide width.
    """

    def __init__(self, n: int, width: int, layers: int, heads: int, length: int, gen: torch.Generator,
                 hidden: int | None = None):
        if width % heads:
            raise ValueError(f"width is {width} and heads {heads}, expected heads that divide the width")
        hidden = hidden or 4 * width
        block = [(width, 3 * width), (1, 3 * width), (width, width), (1, width),
                 (width, hidden), (1, hidden), (hidden, width), (1, width)]
        super().__init__(n, [(1, length, width), *block * layers])
        self.width, self.layers, self.heads, self.length = width, layers, heads, length
        with torch.no_grad():
            position, *rest = self.parts
            position.normal_(0, 0.1, generator=gen)
            for W in rest[::2]:
                into_stream = W.shape[2] == width                         # smaller where it adds to the residual stream
                bound = (3 / W.shape[1] / (2 * layers if into_stream else 1)) ** 0.5
                W.uniform_(-bound, bound, generator=gen)

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """x: [n, B, T, width] embedded tokens; positions are added here.  Gives [n, B, T, width], causal."""
        return self.extend(x, self.start(x.shape[1]))[0]

    def start(self, B: int) -> Cache:
        """Nothing seen yet, for B sequences a network."""
        room = 0 if torch.is_grad_enabled() else self.length              # without gradients it is filled in place
        new = lambda: torch.empty(self.n * B, self.heads, room, self.width // self.heads)          # noqa: E731
        return Cache(0, [(new(), new()) for _ in range(self.layers)])

    def step(self, x: torch.Tensor, cache: Cache) -> tuple[torch.Tensor, Cache]:
        """One token more: x [n, B, width] -> [n, B, width] and the longer cache."""
        h, cache = self.extend(x[:, :, None], cache)
        return h[:, :, 0], cache

    def extend(self, x: torch.Tensor, cache: Cache) -> tuple[torch.Tensor, Cache]:
        """T tokens more: x [n, B, T, width] -> [n, B, T, width] and the longer cache.

        The tokens see the cache and those before them. Gradients flow, into the cache too. Under no_grad the new keys
        are written behind the old ones: go on from the longer cache, and `fork` to go two ways.
        Raises ValueError past `length` tokens.
        """
        n, B, T, width = x.shape
        past = cache.seen
        if past + T > self.length:
            raise ValueError(f"{past} + {T} tokens, expected at most {self.length}: build it with a larger length")
        position, *rest = self.parts
        mask = torch.ones(T, past + T).tril(past)                         # 1 where token t may look
        h = (x + position[:, :, past : past + T]).view(n, B * T, width)
        longer = []
        for i, kv in enumerate(cache.kv):
            qkv_W, qkv_b, out_W, out_b, in_W, in_b, up_W, up_b = rest[8 * i : 8 * i + 8]
            qkv = torch.baddbmm(qkv_b, _norm(h), qkv_W).view(n * B, T, 3, self.heads, width // self.heads)
            q, *new = qkv.permute(2, 0, 3, 1, 4)                          # each [nB, H, T, width/H]
            longer.append(kv := tuple(_append(old, u, past) for old, u in zip(kv, new)))
            k, v = (u[:, :, : past + T] for u in kv)
            seen = _Attention.apply(q, k, v, mask).transpose(1, 2).reshape(n, B * T, width)
            h = h + torch.baddbmm(out_b, seen, out_W)
            h = h + torch.baddbmm(up_b, F.gelu(torch.baddbmm(in_b, _norm(h), in_W)), up_W)
        return _norm(h).view(n, B, T, width), Cache(past + T, longer)


def fork(cache: Cache, K: int) -> Cache:
    """Each sequence of the cache K times, side by side: one prompt is read once for its K answers."""
    return Cache(cache.seen, [tuple(_copies(u, cache.seen, K) for u in kv) for kv in cache.kv])


def _copies(u: torch.Tensor, seen: int, K: int) -> torch.Tensor:
    u = u[:, None].expand(-1, K, -1, -1, -1)                              # [nB, K, H, S, d]
    if u.shape[3] == seen:
        return u.flatten(0, 1)
    out = torch.empty(u.shape)                                            # room for more, which need not be copied
    out[:, :, :, :seen] = u[:, :, :, :seen]
    return out.flatten(0, 1)


def _append(old: torch.Tensor, new: torch.Tensor, past: int) -> torch.Tensor:
    """new [nB, H, T, d] behind the first `past` of old: in place where there is room and no gradient to keep."""
    if old.shape[2] >= past + new.shape[2] and not new.requires_grad:
        old[:, :, past : past + new.shape[2]] = new
        return old
    return new if past == 0 else torch.cat([old[:, :, :past], new], 2)


class _Attention(torch.autograd.Function):
    """softmax(q kᵀ/√d) v where mask is 1, by hand: q [N, H, T, d], k and v [N, H, S, d] -> [N, H, T, d].

    torch's softmax takes about 150 ns a row however short the row: here rows are a dozen numbers, and an exponential, a
    product with the mask and a division by the sum do the same in a fifth of the time.
    """

    @staticmethod
    def forward(ctx, q, k, v, mask):
        shape = q.shape
        q, k, v = (u.reshape(-1, *u.shape[2:]) for u in (q, k, v))        # [NH, T or S, d]
        p = torch.bmm(q, k.mT).mul_(shape[3] ** -0.5).clamp_(-LIMIT, LIMIT).exp_().mul_(mask)
        p /= p.sum(-1, keepdim=True)
        ctx.save_for_backward(q, k, v, p)
        ctx.heads = shape[1]
        return torch.bmm(p, v).view(shape)

    @staticmethod
    def backward(ctx, g):                                                 # ∂loss/∂out [N, H, T, d]
        q, k, v, p = ctx.saved_tensors
        g = g.reshape(q.shape)
        s = torch.bmm(g, v.mT)                                            # ∂loss/∂p
        s = p * (s - (s * p).sum(-1, keepdim=True)) * q.shape[2] ** -0.5  # ∂loss/∂(q kᵀ), the scale included
        split = lambda u: u.unflatten(0, (-1, ctx.heads))                 # noqa: E731
        return split(torch.bmm(s, k)), split(torch.bmm(s.mT, q)), split(torch.bmm(p.mT, g)), None


def _norm(h: torch.Tensor) -> torch.Tensor:
    return F.layer_norm(h, h.shape[-1:])


def _linear(x: torch.Tensor, W: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return torch.baddbmm(b, x.flatten(1, -2), W).unflatten(1, x.shape[1:-1])
