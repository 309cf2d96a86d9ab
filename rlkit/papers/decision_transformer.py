"""Decision Transformer on the frozen lake: ask for a return and act as the data did when they got it.

An episode is read as R̂_0 s_0 a_0 R̂_1 s_1 a_1 ...; R̂_t is the return still to come, in training the one that came, when
acting the one asked for, less what has been paid. A causal transformer foretells a_t from the token of s_t, which sees
R̂_0 ... s_t and so neither a_t nor anything a_t causes, its reward least of all.

With one step of context it is RCSL with a network in place of a table, and comes out where counting comes out:

    π(a | s, R̂ = 1)  =  π_D(a | s) Pr(R = 1 | s, a) / Pr(R = 1 | s)

one soft step away from the behaviour, whatever promise the 1 seems to make. Longer context lets it recognise who is
driving. Read `tokens`, then `decision_transformer`.
Source: Chen et al. (2021), Decision Transformer. Ours: small (width 32, 2 layers, no dropout, no clipping), actions are
drawn from π (its authors: the same on Atari; on MuJoCo a mean, which is nearer to `decode="best"`).

Axes: R runs, B windows or games, K steps of context, S states, A actions.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from rlkit.config import accept, check, knob
from rlkit.mdp import MDP, evaluate
from rlkit.nets import adam
from rlkit.offline.shared import generator
from rlkit.papers import dichotomy_lake as ice
from rlkit.papers.dichotomy_networks import counted
from rlkit.transformer import Linear, Table, Transformer
from rlkit.validation import still_finite


@dataclass(frozen=True)
class Config:
    slip: float = knob(2 / 3, 0.0, 2 / 3, symbol="slip", least=0, most=1, restart=True,
                       says="luck: probability that a move goes to one side instead")
    request: float = knob(1.0, 0.0, 1.0, symbol="R̂", says="return asked for: when acting; 0 and 1 are in the data")
    decode: str = knob("draw", choices=("draw", "best"), says="actions drawn from π, or always the likeliest")
    K: int = knob(4, 1, 16, symbol="K", unit="steps", least=1, restart=True, says="context")
    n: int = knob(1000, 200, 4000, symbol="N", log=True, unit="episodes", least=30, restart=True, says="data size")
    phi: float = knob(0.2, 0.0, 1.0, symbol="φ", least=0, most=1, restart=True, says="share of the expert's episodes")
    eps: float = knob(0.2, 0.0, 1.0, symbol="ε", least=0, most=1, restart=True, says="random moves in the data")
    lr: float = knob(3e-3, 1e-4, 1e-2, log=True, symbol="lr", above=0, step=True,
                     says="Adam's first step; it falls to 0")
    batch: int = knob(128, 16, 512, log=True, unit="windows", least=1, says="windows an update")
    width: int = knob(32, 16, 64, log=True, unit="numbers", most=2048, least=2, restart=True, says="size of a token")
    layers: int = knob(2, 1, 3, least=1, restart=True, says="blocks")
    games: int = knob(200, 50, 2000, log=True, least=1, says="games: played by each run at each look")
    steps: int = knob(400, 50, 2000, log=True, least=1, restart=True, says="updates")
    runs: int = knob(3, 1, 8, symbol="R", least=1, restart=True, says="datasets and networks")
    seed: int = knob(0, 0, 99, least=0, restart=True, says="which random numbers")
    __post_init__ = check


class Snapshot(NamedTuple):
    step: int
    loss: np.ndarray             # [R] nats a move
    earned: np.ndarray           # [R] mean return of `games` games
    pi: np.ndarray               # [R, S, A] its moves with nothing seen but R̂ and s
    earned_by_pi: np.ndarray     # [R] what that table earns, exact; with K = 1 it is the policy played
    rcsl: np.ndarray             # [R] what asking for 1 earns on the same data, by counting
    clone: np.ndarray            # [R] what imitating all of it earns
    parameters: int              # of one network


def returns_to_go(request, reward: np.ndarray) -> np.ndarray:
    """R̂_t = request - Σ_{u<t} r_u: what is still to come before a_t.  request: [...], reward: [..., T] -> [..., T].

    In training the request is the return of the episode, and R̂_t the return to go.
    """
    paid = np.cumsum(reward, -1)
    return np.asarray(request)[..., None] - np.concatenate([np.zeros_like(paid[..., :1]), paid[..., :-1]], -1)


class Model:
    """n decision transformers.  Read `__call__`: what a state token sees."""

    def __init__(self, n: int, S: int, A: int, K: int, width: int, layers: int, gen: torch.Generator):
        self.to_go, self.state, self.action = Linear(n, 1, width, gen), Table(n, S, width, gen), Table(n, A, width, gen)
        self.trunk = Transformer(n, width, layers, heads=2, length=3 * K, gen=gen)
        self.head = Linear(n, width, A, gen, scale=0.1)

    def parameters(self) -> list[torch.Tensor]:
        return [p for part in vars(self).values() for p in part.parameters()]

    def __call__(self, to_go: torch.Tensor, state: torch.Tensor, action: torch.Tensor) -> torch.Tensor:
        """Logits [n, B, K, A] of each a_t, given R̂_0 s_0 a_0 ... R̂_t s_t.  All three: [n, B, K]."""
        three = torch.stack([self.to_go(to_go[..., None]), self.state(state), self.action(action)], 3)
        h = self.trunk(three.flatten(2, 3))                               # [n, B, 3K, width]
        return self.head(h[:, :, 1::3])                                   # of the state tokens


def mean_miss(logits: torch.Tensor, action: torch.Tensor, real: torch.Tensor) -> torch.Tensor:
    """[n] cross-entropy of the actions, nats, over those that are real: the rest fills the window.

    logits: [n, B, K, A].  action, real (0 or 1): [n, B, K].
    """
    miss = cross_entropy(logits.flatten(0, 2), action.flatten(), reduction="none").view(real.shape)
    return (miss * real).sum((1, 2)) / real.sum((1, 2))


def decision_transformer(cfg: Config, rng: np.random.Generator,
                         every: int = 50) -> Generator[Snapshot, Config | None, None]:
    """Collect a dataset for each run, fit it, and play.  Live: request, decode, lr, batch, games."""
    of_data, of_nets, of_play = rng.spawn(3)
    world, R, K = ice.lake(cfg.slip), cfg.runs, cfg.K
    S, A = world.mdp.S, world.mdp.A
    data = [ice.collect(cfg.slip, cfg.n, r, cfg.phi, cfg.eps) for r in of_data.spawn(R)]
    windows, known = [_windows(d, K) for d in data], counted(world, data)
    gen, play = generator(of_nets), int(of_play.integers(2**63))
    net = Model(R, S, A, K, cfg.width, cfg.layers, gen)
    opt = adam(net.parameters(), lr=cfg.lr)
    alone = torch.arange(S).view(1, S, 1).expand(R, S, K).contiguous()    # each state, as the first of an episode
    for step in range(1, cfg.steps + 1):
        opt.param_groups[0]["lr"] = cfg.lr * (1 + np.cos(np.pi * (step - 1) / cfg.steps)) / 2
        rows = [[x[i] for x in w] for w, i in zip(windows, (of_nets.integers(d.m, size=cfg.batch) for d in data))]
        to_go, state, action, real = (torch.from_numpy(np.stack(x)) for x in zip(*rows))        # [R, B, K]
        opt.zero_grad()
        loss = mean_miss(net(to_go, state, action), action, real)
        loss.sum().backward()                                             # a sum: each run gets its own gradient
        opt.step()
        if step % every == 0 or step == cfg.steps:
            with torch.no_grad():
                asked = torch.full(alone.shape, cfg.request)
                pi = _act(net(asked, alone, torch.zeros_like(alone))[:, :, 0], cfg.decode)
            still_finite(step, loss=loss.detach(), pi=pi)
            J = evaluate(world.mdp, pi, horizon=ice.HORIZON) @ world.mdp.start
            earned = games(net, world.mdp, R, K, cfg, np.random.default_rng(play))
            photo = Snapshot(step, loss.detach().numpy(), earned, pi, J, *known,
                             sum(p.numel() for p in net.parameters()) // R)
            cfg = accept((yield photo), cfg)


def games(net: Model, mdp: MDP, R: int, K: int, cfg: Config, rng: np.random.Generator) -> np.ndarray:
    """Mean return [R] of cfg.games games of each network, all in lock-step; who is through is not computed any more."""
    B, paid = cfg.games, 0.0
    state = np.zeros((R, B, ice.HORIZON + 1), np.int64)                   # whole episodes; the network sees the last K
    action, reward = np.zeros_like(state), np.zeros(state.shape, np.float32)
    start, P = np.cumsum(mdp.start), np.cumsum(mdp.P, -1)
    pay = np.broadcast_to(mdp.R[..., None], mdp.P.shape) if mdp.reward is None else mdp.reward
    state[:, :, 0] = np.searchsorted(start, rng.random((R, B)) * start[-1], "right")
    live = np.ones((R, B), bool)
    for t in range(ice.HORIZON):
        if not (most := live.sum(1).max()):
            break
        rows = np.argsort(~live, axis=1, kind="stable")[:, :most]         # [R, most]: those who play, then some others
        runs, first = np.arange(R)[:, None], max(0, t + 1 - K)
        part = (runs, rows, slice(first, t + 1))
        to_go = returns_to_go(np.full(rows.shape, cfg.request), reward[runs, rows, : t + 1])[..., first:]
        with torch.no_grad():
            logits = net(*(torch.from_numpy(x) for x in (to_go.astype(np.float32), state[part], action[part])))
        pi = _act(logits[:, :, -1], cfg.decode)                           # [R, most, A]
        u, luck = rng.random((2, R, B))                                   # for all, so that no game shifts another's
        a = np.minimum((pi.cumsum(-1) < u[runs, rows, None]).sum(-1), mdp.A - 1)
        s = state[runs, rows, t]
        after = np.minimum((P[s, a] < luck[runs, rows, None]).sum(-1), mdp.S - 1)
        goes = live[runs, rows]
        action[runs, rows, t] = a
        reward[runs, rows, t] = goes * pay[s, a, after]
        state[runs, rows, t + 1] = after
        live[runs, rows] = goes & ~mdp.terminal[after]
        paid = paid + reward[:, :, t].sum(1)
    return paid / B


def _act(logits: torch.Tensor, decode: str) -> np.ndarray:
    """Probabilities of the actions [..., A]: softmax, or all on the likeliest."""
    if decode == "best":
        return torch.nn.functional.one_hot(logits.argmax(-1), logits.shape[-1]).double().numpy()
    return torch.softmax(logits.double(), -1).numpy()


def _windows(d, K: int) -> list[np.ndarray]:
    """From each transition on, K steps of its episode: (R̂ [M, K], s, a, whether there was such a step)."""
    at = np.arange(d.m)[:, None] + np.arange(K)                           # [M, K]
    real = at < d.starts[1:][d.episode][:, None]
    at = np.minimum(at, d.m - 1)
    paid = np.cumsum(d.reward) - d.reward                                 # before each step, over all episodes
    to_go = d.returns[d.episode] - (paid - paid[d.starts[:-1]][d.episode])
    return [to_go[at].astype(np.float32), d.obs[at], d.action[at], real.astype(np.float32)]
