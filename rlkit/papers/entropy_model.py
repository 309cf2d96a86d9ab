"""A language model small enough to train in a minute: n of them side by side, their answers, and their first lessons.

    models = LM(1, task, gen)
    for step, loss in pretrain(models, task, rng): ...          # supervised; half of the demonstrations are noise
    out = sample(models, prompts, K=8, gen=gen)                   # answers, and the entropy of every choice on the way

`sample` reads each prompt once, keeps the keys and values, and writes its K answers word by word; `LM.logits` reads all
at once, with gradients. A task is `rlkit.envs.countdown.Countdown` or anything with its attributes. The weights of a
first model lie in rlkit/envs/countdown_warm.npz, made by tools/train_countdown.py. Read `LM`, then `sample`.

Axes: n models, G prompts, K answers to each, P words of a prompt, T of an answer, V words of the language.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from rlkit import npz
from rlkit.transformer import Linear, Table, Transformer, fork

WARM = Path(__file__).parent.parent / "envs" / "countdown_warm.npz"


class LM:
    """n decoders: words -> vectors -> transformer -> one score for each word that could come next.

    width 64, 2 layers, 4 heads: 109,578 parameters on Countdown.  `parameters()`: three leaves [n, P].
    """

    def __init__(self, n: int, task, gen: torch.Generator, width: int = 64, layers: int = 2, heads: int = 4):
        self.n, self.words = n, len(task.words)
        self.prompt_length, self.answer_length = task.prompt_length, task.answer_length
        self.embed = Table(n, self.words, width, gen)
        self.body = Transformer(n, width, layers, heads, task.prompt_length + task.answer_length - 1, gen)
        self.head = Linear(n, width, self.words, gen)

    def parameters(self) -> list[torch.Tensor]:
        return [leaf for part in (self.embed, self.body, self.head) for leaf in part.parameters()]

    def logits(self, prompts: torch.Tensor, answers: torch.Tensor) -> torch.Tensor:
        """Scores at the positions that choose the words of the answers.

        prompts: [n, G, P], answers: [n, G, K, T].  Gives [n, G, K, T, V]; position t has seen the prompt and the
        answer before word t, so that the last word of an answer is never read.
        """
        n, G, K, T = answers.shape
        h, cache = self.body.extend(self.embed(prompts), self.body.start(G))
        first = h[:, :, None, -1:].expand(-1, -1, K, -1, -1)              # [n, G, K, 1, width]
        if T > 1:
            rest, _ = self.body.extend(self.embed(answers[..., :-1].flatten(1, 2)), fork(cache, K))
            first = torch.cat([first, rest.view(n, G, K, T - 1, -1)], 3)
        return self.head(first)

    def load(self, weights: list[np.ndarray]) -> LM:
        """Take these weights [P], the same in all n models, or [n, P], one array a leaf."""
        with torch.no_grad():
            for leaf, w in zip(self.parameters(), weights, strict=True):
                leaf.copy_(torch.from_numpy(np.asarray(w, np.float32)))
        return self

    def weights(self) -> list[np.ndarray]:
        return [leaf.detach().numpy().copy() for leaf in self.parameters()]


class Answers(NamedTuple):
    words: torch.Tensor           # [n, G, K, T] int64
    logp: torch.Tensor            # [n, G, K, T] log-probability of each word at temperature 1
    entropy: torch.Tensor         # [n, G, K, T] nats, of the whole softmax at temperature 1


@torch.no_grad()
def sample(model: LM, prompts: torch.Tensor, K: int, gen: torch.Generator, temperature: float = 1.0) -> Answers:
    """K answers to each prompt, all models at once.  prompts: [n, G, P].  temperature 0: the likeliest word."""
    n, G, _ = prompts.shape
    h, cache = model.body.extend(model.embed(prompts), model.body.start(G))
    h, cache = h[:, :, -1].repeat_interleave(K, 1), fork(cache, K)        # [n, GK, width]
    out = []
    for t in range(model.answer_length):
        z = model.head(h)                                                 # [n, GK, V]
        logp = z.log_softmax(-1)
        word = choose(logp, gen, temperature)                             # [n, GK]
        out.append((word, logp.gather(-1, word[..., None])[..., 0], -(logp.exp() * logp).sum(-1)))
        if t + 1 < model.answer_length:
            h, cache = model.body.step(model.embed(word), cache)
    return Answers(*(torch.stack(u, -1).view(n, G, K, -1) for u in zip(*out)))


def choose(logp: torch.Tensor, gen: torch.Generator, temperature: float = 1.0) -> torch.Tensor:
    """One word from each row: where a uniform number falls in the running sum of the probabilities.

    logp: [..., V] gives [...].  No word of probability 0 is chosen.
    """
    if temperature == 0:
        return logp.argmax(-1)
    p = logp.exp() if temperature == 1 else (logp / temperature).softmax(-1)
    sums = p.cumsum(-1)
    u = torch.rand(*p.shape[:-1], 1, generator=gen) * sums[..., -1:]      # below the last sum: a word of p > 0
    return torch.searchsorted(sums, u, right=True)[..., 0].clamp_(max=p.shape[-1] - 1)


class Adam:
    """Adam for n models that may sit out: a model with nothing to learn from keeps its weights and its moments.

    decay: AdamW's, times the learning rate.  Source: Kingma & Ba (2015); Loshchilov & Hutter (2019).
    """

    def __init__(self, leaves: list[torch.Tensor], decay: float = 0.0):
        self.leaves, self.decay = leaves, decay
        self.m, self.v = ([torch.zeros_like(leaf) for leaf in leaves] for _ in range(2))
        self.t = torch.zeros(leaves[0].shape[0], 1)                       # updates of each model

    @torch.no_grad()
    def step(self, lr: float, active: torch.Tensor | None = None, clip: float = 1.0) -> torch.Tensor:
        """One update from the leaves' gradients, which are scaled to a norm of at most `clip` in each model.

        active: [n] bool, None: all.  Gives the norms before [n].
        """
        on = torch.ones_like(self.t) if active is None else active[:, None].float()
        norm = sum(leaf.grad.square().sum(1, keepdim=True) for leaf in self.leaves).sqrt()          # [n, 1]
        scale = (clip / (norm + 1e-12)).clamp_(max=1.0)
        self.t += on
        t = self.t.clamp(min=1)
        step, fix = lr / (1 - 0.9**t), 1 / (1 - 0.999**t)
        for leaf, m, v in zip(self.leaves, self.m, self.v):
            g = leaf.grad * scale
            if on.all():
                m.lerp_(g, 0.1)
                v.mul_(0.999).addcmul_(g, g, value=0.001)
                leaf.mul_(1 - lr * self.decay).addcdiv_(m * -step, (v * fix).sqrt_().add_(1e-8))
            else:
                m.lerp_(g, 0.1 * on)
                v.lerp_(g * g, 0.001 * on)
                leaf.mul_(1 - lr * self.decay * on).addcdiv_(m * (-step * on), (v * fix).sqrt_().add_(1e-8))
            leaf.grad = None
        return norm[:, 0]


def pretrain(model: LM, task, rng: np.random.Generator, steps: int = 600, noise: float = 0.5, batch: int = 256,
             lr: float = 2e-3) -> Iterator[tuple[int, np.ndarray]]:
    """Supervised first lessons: AdamW on the log-likelihood of demonstrations, each model on its own.

    noise: share of demonstrations that are expressions at random.  Gives (step, loss [n]) after every update, so that
    a caller may look or stop.  The learning rate rises for 50 steps and falls to 0 in a straight line.
    """
    adam = Adam(model.parameters(), decay=0.01)
    for step in range(steps):
        prompts, answers = task.demonstrations(rng, model.n * batch, noise)
        prompts = torch.from_numpy(prompts).view(model.n, batch, -1)
        answers = torch.from_numpy(answers).view(model.n, batch, 1, -1)
        mask = torch.from_numpy(task.mask(answers.numpy())).float()
        logp = model.logits(prompts, answers).log_softmax(-1).gather(-1, answers[..., None])[..., 0]
        loss = -(logp * mask).sum((1, 2, 3)) / mask.sum((1, 2, 3))        # [n]
        loss.sum().backward()
        adam.step(lr * min((step + 1) / 50, (steps - step) / max(steps - 50, 1), 1.0))
        yield step + 1, loss.detach().numpy()


def warm(task: str = "countdown") -> list[np.ndarray]:
    """The shipped weights of a pretrained model, for `LM.load`; float16 in the file, float32 here."""
    file = npz.read(WARM, "the weights of a first model", "install rlkit again")
    return [file[f"{task}/{part}"].astype(np.float32) for part in ("embed", "body", "head")]
