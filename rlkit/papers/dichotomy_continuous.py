"""Dichotomy of control on a pendulum in gusts: stand against the fall and be lucky, or fall and swing up again.

Gymnasium's Pendulum starts at rest, leaning a little too far: a full torque almost holds it. Gusts add to the torque,
with the scale in time of the paper's noise, σ (1 - e^{-t/100}) sin t times fresh Gaussian numbers (t starts at 100,
when it is not small any more). The data come from two people, half of the episodes each:

    bold        stands against the fall and brakes: about a quarter are held by gusts and lose nothing, the others
                end up hanging
    cautious    goes with the fall, comes up on the other side and stops there: the same cost nearly every time

so the highest returns are bold *and* lucky. Three policies learn from the same data: BC (imitate), RCSL (a network told
the return; asked for the best twentieth), and DoC, with a few codes z and an energy f that reads luck in o, the
surprise in the next speed: its difference from a linear guess at (s, a) in units of the spread at that time. Reward and
next angle follow from it. Over the data o is about N(0, 1) =: ρ, so that an energy linear in o has an exact normaliser,

    f_z(o; s, a) = θ_z·g(s, a) o,      bracket = E_z[ θ_z·Σ_t g o - ½ θ_zᵀ (Σ_t g gᵀ) θ_z ]

and f climbs to the top at once, θ_z = (E_z Σ g gᵀ)⁻¹ E_z Σ g o: luck that pushes one way on average. (Networks for f
with outcomes drawn from the data to normalise were too noisy here: 60 small steps make 0.3 nats.) q and π descend.
Read `play`, then `energy`, then `doc`.
Source: Yang, Schuurmans, Abbeel & Nachum (2023), who do this in MuJoCo.  Ours: the task, codes for z, λ as in
`dichotomy_networks`. The loss counts -log π in nats a step, luck and return in nats an episode.

Axes: R runs (datasets), N episodes, T steps, Z codes, B transitions of a minibatch.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
import torch

from rlkit.config import accept, check, knob
from rlkit.envs.pendulum import DT, MAX_TORQUE, PendulumVectorEnv
from rlkit.nets import MLP, adam
from rlkit.offline.shared import generator

T, CLOCK = 60, 100                        # steps of an episode; what the clock of the gusts shows at its start


@dataclass(frozen=True)
class Config:
    sigma: float = knob(2.0, 0.0, 4.0, symbol="σ", unit="N m", least=0, most=1000, restart=True,
                        says="luck: size of the gusts")
    lean: float = knob(0.42, 0.36, 0.5, symbol="θ at the start", unit="rad", least=0, most=3, restart=True,
                       says="lean: further down the bold need more luck; below 0.41 full torque holds it in still air")
    beta: float = knob(30.0, 0.0, 100.0, symbol="β", least=0, says="price of a nat of luck in z")
    lam: float = knob(3.0, 0.0, 10.0, symbol="λ", least=0, says="wish for return: what z gains by foretelling it")
    sign: int = knob(1, choices=(1, -1), says="sign of q: 1 descends what f climbs, -1 is the known mistake")
    Z: int = knob(4, 2, 8, symbol="Z", least=1, restart=True, says="codes")
    n: int = knob(300, 100, 1000, symbol="N", log=True, unit="episodes", least=20, restart=True, says="data size")
    at_once: int = knob(2, 1, 20, unit="steps", least=1, says="steps at once: of each episode in a minibatch")
    lr: float = knob(1e-2, 1e-4, 3e-2, log=True, symbol="lr", above=0, step=True,
                     says="Adam's first step; it falls to 0")
    hidden: int = knob(64, 16, 128, log=True, most=4096, least=1, restart=True, says="width of the hidden layers")
    games: int = knob(100, 20, 1000, log=True, least=2, says="games: each policy plays them at each look")
    steps: int = knob(600, 100, 3000, log=True, least=1, restart=True, says="updates")
    runs: int = knob(5, 1, 16, symbol="R", least=1, restart=True, says="datasets and networks")
    seed: int = knob(0, 0, 99, least=0, restart=True, says="which random numbers")
    __post_init__ = check


class Snapshot(NamedTuple):
    step: int
    promised: np.ndarray         # [R] V(z*) of DoC
    asked: np.ndarray            # [R] the return RCSL is asked for, so its promise
    earned: np.ndarray           # [R] mean return of `games` games of π(.|., z*)
    rcsl: np.ndarray             # [R] the same of RCSL
    clone: np.ndarray            # [R] and of BC
    value: np.ndarray            # [R, Z] V(z)
    prior: np.ndarray            # [R, Z] p(z)
    bold: np.ndarray             # [R, Z] share of bold episodes in each code
    lucky: np.ndarray            # [R] how far apart the codes are in return among the bold: 0, or all of its spread, 1
    luck: np.ndarray             # [R] nats an episode, what f makes of MI(r, s'; z | s, a)
    drivers: np.ndarray          # [R, 2] mean return of the cautious and of the bold in the data


class Episodes(NamedTuple):
    obs: np.ndarray              # [T+1, n, 4] cos θ, sin θ, θ̇ / 4, t / T
    action: np.ndarray           # [T, n] N m
    reward: np.ndarray           # [T, n]


class Gusty(PendulumVectorEnv):
    """Pendulums in gusts: each step begins with a kick 3 g Δt to the speed, the torque g acting for Δt, so that both
    the reward and the next state are subject to it.  sigma: σ, N m."""

    def __init__(self, num_envs: int, sigma: float, rng: np.random.Generator):
        super().__init__(num_envs, max_episode_steps=T)
        self.sigma, self.rng = sigma, rng

    def step(self, action):
        t = CLOCK + self.steps
        gust = self.sigma * (1 - np.exp(-0.01 * t)) * np.sin(t) * self.rng.standard_normal(self.num_envs)
        self.state[:, 1] += 3 * gust * DT
        return super().step(action)


def play(policy: Callable, n: int, sigma: float, lean: float, rng: np.random.Generator) -> Episodes:
    """n episodes of T steps, from rest at the angle `lean`.  policy(obs [n, 4], rng) -> torque [n], then clipped."""
    env = Gusty(n, sigma, rng)
    env.reset(seed=0)
    env.state[:] = lean, 0.0
    seen, done, paid = [], [], []
    obs = np.tile([np.cos(lean), np.sin(lean), 0.0], (n, 1))
    for t in range(T + 1):
        seen.append(np.column_stack([obs[:, :2], obs[:, 2] / 4, np.full(n, t / T)]))
        if t < T:
            done.append(np.clip(policy(seen[-1], rng), -MAX_TORQUE, MAX_TORQUE))
            obs, reward, *_ = env.step(done[-1][:, None])
            paid.append(reward)
    return Episodes(np.stack(seen).astype(np.float32), np.stack(done).astype(np.float32), np.stack(paid))


def cautious(obs: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Pump energy, E = θ̇²/2 + 15 cos θ - 15 → 0, by u = -2E sign θ̇; hold by a spring only within 0.3 rad of the top.
    With a trembling hand, 0.2 N m.  obs: [n, 4] -> [n] N m."""
    theta, speed = np.arctan2(obs[:, 1], obs[:, 0]), 4 * obs[:, 2]
    pump = -(speed**2 / 2 + 15 * obs[:, 0] - 15) * np.where(speed >= 0, 1, -1)
    near = (np.abs(theta) < 0.3) & (np.abs(speed) < 3)
    u = MAX_TORQUE * np.clip(np.where(near, -4 * theta - speed, pump), -1, 1)
    return u + 0.2 * rng.standard_normal(len(obs))


def bold(obs: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Against the fall wherever it is, by a spring with a brake: u = -8θ - 6θ̇, and the same trembling hand."""
    theta, speed = np.arctan2(obs[:, 1], obs[:, 0]), 4 * obs[:, 2]
    return np.clip(-8 * theta - 6 * speed, -MAX_TORQUE, MAX_TORQUE) + 0.2 * rng.standard_normal(len(obs))


def sums(obs: torch.Tensor, action: torch.Tensor, outcome: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """What the energy needs of each episode: Σ_t g o [R, N, 10] and Σ_t g gᵀ [R, N, 10, 10].

    g(s, a) = (1, cos θ, sin θ, θ̇, a), and the same times e^{-t/12}: luck at the start counts most.
    """
    g = torch.cat([torch.ones_like(action)[..., None], obs[..., :3], action[..., None] / 2], -1)
    g = torch.cat([g, g * torch.exp(-obs[..., 3:] * T / 12)], -1)         # [R, N, T, 10]
    return torch.einsum("rntg,rnt->rng", g, outcome), torch.einsum("rntg,rnth->rngh", g, g)


def left_open(share: torch.Tensor, G: torch.Tensor) -> torch.Tensor:
    """[R] E[-log Pr(G | z)] up to a constant, a Gaussian for each code:  Σ_z p(z) ½ log(Var[G | z] + .01).

    share: [R, N, Z] q(z | episode).  G: [R, N] standardised returns.
    """
    p = share.mean(1)
    mean = (share * G[..., None]).mean(1) / p
    var = (share * (G[..., None] - mean[:, None]).square()).mean(1) / p
    return (p * torch.log(var + 1e-2)).sum(1) / 2


def energy(share: torch.Tensor, b: torch.Tensor, G: torch.Tensor) -> torch.Tensor:
    """[R] nats an episode: the bracket at the top that f climbs to.  share: [R, N, Z] q; b, G: of `sums`.

        max_θ Σ_z E[q_z (θ_z·b - ½ θ_zᵀ G θ_z)]; no slope goes through θ, which is at its maximum
    """
    N, eye = share.shape[1], torch.eye(b.shape[2])
    bz, Gz = torch.einsum("rnz,rng->rzg", share, b) / N, torch.einsum("rnz,rngh->rzgh", share, G) / N
    theta = torch.linalg.solve(Gz + 1e-3 * eye, bz).detach()              # [R, Z, 10]
    return (theta * bz).sum((1, 2)) - (theta * (Gz @ theta[..., None])[..., 0]).sum((1, 2)) / 2


def doc(cfg: Config, rng: np.random.Generator, every: int = 100) -> Generator[Snapshot, Config | None, None]:
    """A dataset for each run; BC, RCSL and DoC on it.  Live: β, λ, sign, at_once, lr, games."""
    of_data, of_nets, of_play = rng.spawn(3)
    R, N, Z, W = cfg.runs, cfg.n, cfg.Z, cfg.hidden
    obs, action, outcome, ret, was_bold, driver = _data(cfg, of_data)
    gen, look = generator(of_nets), int(of_play.integers(2**63))
    G = ((ret - ret.mean(1, keepdim=True)) / ret.std(1, keepdim=True))    # [R, N] standardised returns
    ask = torch.quantile(G, 0.95, dim=1, keepdim=True)                    # [R, 1]
    episode = torch.cat([obs[:, :, ::3, :3], action[:, :, ::3, None] / 2], -1).flatten(2)      # [R, N, 80]
    q = MLP(R, (episode.shape[2], W, Z), gen)
    pi, bc, rcsl = MLP(R, (4, W, W, 2 * Z), gen), MLP(R, (4, W, W, 2), gen), MLP(R, (5, W, W, 2), gen)
    with torch.no_grad():
        q.layers[-1][0].mul_(0.1)                                         # start overlapping
    opt = adam([q.flat, pi.flat, bc.flat, rcsl.flat], lr=cfg.lr)
    parts, one = sums(obs, action, outcome), torch.arange(R)[:, None]
    for step in range(1, cfg.steps + 1):
        opt.param_groups[0]["lr"] = cfg.lr * (1 + np.cos(np.pi * (step - 1) / cfg.steps)) / 2
        i, t = torch.arange(N).repeat_interleave(cfg.at_once), torch.randint(T, (R, N * cfg.at_once), generator=gen)
        s, a = obs[one, i, t], action[one, i, t]                          # some steps of every episode
        share = torch.softmax(q(episode), -1)                             # [R, N, Z]
        p = share.mean(1)                                                 # [R, Z]
        miss = _miss(pi(s).view(R, -1, Z, 2), a[..., None]).view(R, N, cfg.at_once, Z).mean(2)
        surprise = left_open(share, G)
        luck = energy(share, *parts)
        told = G.repeat_interleave(cfg.at_once, 1)[..., None]
        plain = _miss(bc(s), a).mean(1) + _miss(rcsl(torch.cat([s, told], -1)), a).mean(1)
        opt.zero_grad()
        loss = (share * miss).sum(2).mean(1) + cfg.lam * surprise + cfg.sign * cfg.beta * luck
        (loss + plain).sum().backward()                                   # q and π descend
        opt.step()
        if step % every == 0 or step == cfg.steps:
            with torch.no_grad():
                alive = p >= 0.05
                V = (share * ret[..., None]).mean(1) / p
                best = torch.where(alive, V, -torch.inf).argmax(1)
                asked = ask * ret.std(1, keepdim=True) + ret.mean(1, keepdim=True)
                heads = partial(_code, pi, Z, best), partial(_told, rcsl, ask), bc
                earned = [_games(head, R, cfg, np.random.default_rng(look)) for head in heads]
                of_bold = (share * was_bold[..., None]).mean(1) / p
                photo = Snapshot(step, V[one[:, 0], best].numpy(), asked[:, 0].numpy(), *earned, V.numpy(), p.numpy(),
                                 of_bold.numpy(), _spread(share, ret, was_bold), luck.detach().numpy(), driver)
            cfg = accept((yield photo), cfg)


def _data(cfg, rng):
    """obs [R, N, T, 4], action [R, N, T], outcome [R, N, T], returns [R, N], bold [R, N], drivers [R, 2]."""
    R, half = cfg.runs, cfg.n // 2
    parts = [play(who, R * n, cfg.sigma, cfg.lean, rng) for who, n in ((cautious, half), (bold, cfg.n - half))]
    obs, action, reward = (np.concatenate([x.reshape(len(x), R, -1, *x.shape[2:]) for x in xs], 2)
                           for xs in zip(*parts))                         # [T, R, N, ...]
    s, a = obs[:-1], action[..., None] / 2
    x = np.concatenate([s[..., :3], a, np.ones_like(a)], -1).astype(float)            # [T, R, N, 5]
    y = (obs[1:, ..., 2:3] - s[..., 2:3]).astype(float)                   # change of speed
    rest = y - x @ np.linalg.lstsq(x.reshape(-1, 5), y.reshape(-1, 1), rcond=None)[0]
    rest /= np.sqrt(rest.var((1, 2), keepdims=True) + 0.04 * rest.var() + 1e-6)  # floor: where sin t = 0
    ret = reward.sum(0)                                                   # [R, N]
    was_bold = np.tile(np.arange(cfg.n) >= half, (R, 1))
    by = np.stack([ret[:, :half].mean(1), ret[:, half:].mean(1)], 1)
    rest = rest[..., 0]
    tensors = (torch.from_numpy(np.ascontiguousarray(np.moveaxis(v, 0, 2), np.float32)) for v in (s, action, rest))
    return *tensors, torch.from_numpy(ret.astype(np.float32)), torch.from_numpy(was_bold.astype(np.float32)), by


def _miss(out: torch.Tensor, a: torch.Tensor) -> torch.Tensor:
    """-log N(a | m, s²) without the constant; out [..., 2]: m and log s."""
    log_std = out[..., 1].clamp(-3, 1)
    return ((a - out[..., 0]) * torch.exp(-log_std)).square() / 2 + log_std


def _code(pi, Z: int, best: torch.Tensor, obs: torch.Tensor) -> torch.Tensor:
    """The policy of code `best` [R]: obs [R, B, 4] -> [R, B, 2]."""
    R = len(best)
    return pi(obs).view(R, -1, Z, 2)[torch.arange(R), :, best]


def _told(rcsl, ask: torch.Tensor, obs: torch.Tensor) -> torch.Tensor:
    """RCSL told the standardised return `ask` [R, 1]."""
    return rcsl(torch.cat([obs, ask[:, None].expand(*obs.shape[:2], 1)], -1))


def _games(head, R: int, cfg: Config, rng: np.random.Generator) -> np.ndarray:
    """Mean return [R] of cfg.games games, actions drawn from the Gaussian policy."""
    def policy(obs, rng):
        out = head(torch.from_numpy(obs.astype(np.float32)).view(R, -1, 4)).reshape(-1, 2).numpy()
        return out[:, 0] + np.exp(np.clip(out[:, 1], -3, 1)) * rng.standard_normal(len(obs))

    return play(policy, R * cfg.games, cfg.sigma, cfg.lean, rng).reward.sum(0).reshape(R, -1).mean(1)


def _spread(share, ret, bold) -> np.ndarray:
    """[R] share of the variance of the bold's returns that the codes explain."""
    w = share * bold[..., None]
    p = w.sum(1).clamp_min(1e-9)
    mean = (w * ret[..., None]).sum(1) / p                                # [R, Z]
    all_ = (p * mean).sum(1) / p.sum(1)
    between = (p * (mean - all_[:, None]).square()).sum(1)
    return (between / (bold * (ret - all_[:, None]).square()).sum(1)).numpy()
