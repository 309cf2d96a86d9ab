"""Dichotomy of control with networks: a latent one can look at, and a lake whose episodes are read by an encoder.

A latent z of the whole episode should explain the actions and know nothing of what chance added. Two networks pull:

    f climbs      bracket = E[ f(r, s', z, s, a) - log Σ_o ρ(o) exp f(o, z, s, a) ]      how well z foretells chance
    q, π descend  -log π(a | s, z)  +  λ (-log Pr(R | z))  +  β · bracket

so that an optimal f makes the bracket the mutual information of z and the outcome, plus a part that q cannot change.
`sign=-1` lets q climb with f instead, the mistake that fills z with luck. The future-VAE differs in one line: its price
is the whole information in z, KL(q(z|τ) || p(z)), actions and luck alike.

    gaussian    one pull of a two-armed bandit, q(z | a, r) = N(μ[a, r], σ²) in the plane: luck can be seen leave
    lake        FrozenLake; q(z | τ) is an MLP on the counts of the episode, 8 codes, every expectation over codes exact

Acting: draw latents from the mixture the data make of them, take the one of the largest V(z), follow π(.|., z).
Read `gaussian`, then `lake`.  Source: Yang, Schuurmans, Abbeel & Nachum (2023), Dichotomy of Control.  Ours: λ (the
paper's loss has λ = 0; its code lets the return into z), p(z) in closed form (the aggregate of q), β > λ needed.

Axes: R runs, N episodes, Z codes, S states, A actions, O outcomes.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch.nn.functional import logsigmoid

from rlkit.config import accept, check, knob
from rlkit.empirical import clone, visits
from rlkit.mdp import evaluate
from rlkit.nets import MLP, adam
from rlkit.offline.shared import generator
from rlkit.papers import dichotomy_lake as ice
from rlkit.validation import still_finite

# ---- a latent one can look at


@dataclass(frozen=True)
class GaussianConfig:
    """Two arms: the good one pays 1 with probability 1 - p, the bad one with p; the data pull the good one with p."""
    p: float = knob(0.3, 0.05, 0.5, symbol="p", least=1e-6, most=0.5, restart=True,
                    says="luck: the bad arm pays this often, and the data pull the good arm this often")
    beta: float = knob(3.0, 0.0, 20.0, symbol="β", least=0, says="price of a nat of luck in z")
    lam: float = knob(1.0, 0.0, 3.0, symbol="λ", least=0, says="wish for return: what z gains by foretelling it")
    method: str = knob("DoC", choices=("DoC", "VAE"), says="what is paid for: luck alone (DoC) or all that z knows")
    sign: int = knob(1, choices=(1, -1), says="sign of q: 1 descends what f climbs, -1 is the known mistake")
    sigma: float = knob(1.0, 0.2, 2.0, symbol="σ", above=0, restart=True, says="spread of z at the start")
    K: int = knob(100, 1, 300, log=True, symbol="K", least=1, says="latents drawn to choose from")
    f_steps: int = knob(3, 1, 10, least=1, says="steps of f for each step of q and π")
    batch: int = knob(64, 8, 256, log=True, least=1, says="batch: latents drawn for each of the four (arm, pay) cells")
    lr: float = knob(5e-3, 1e-4, 3e-2, log=True, symbol="lr", above=0, step=True, says="Adam's step")
    hidden: int = knob(32, 8, 64, log=True, most=4096, least=1, restart=True, says="width of the two hidden layers")
    steps: int = knob(600, 100, 3000, log=True, least=1, restart=True, says="updates")
    runs: int = knob(8, 1, 32, symbol="R", least=1, restart=True, says="independent runs")
    seed: int = knob(0, 0, 99, least=0, restart=True, says="which random numbers")
    __post_init__ = check


class GaussianSnapshot(NamedTuple):
    step: int
    mu: np.ndarray               # [R, 2, 2, 2] centre of z for (arm, pay); arm 0 is the good one
    z: np.ndarray                # [R, 4, batch, 2] latents of this update, cells (0,0) (0,1) (1,0) (1,1)
    chosen: np.ndarray           # [R, 2] the latent acted on
    promised: np.ndarray         # [R] V(z*)
    earned: np.ndarray           # [R] expected pay of π(.|z*), exact
    nll: np.ndarray              # [R] nats, of the arm given z
    luck: np.ndarray             # [R] nats, what f makes of MI(r; z | a)


CELLS = [(a, r) for a in (0, 1) for r in (0, 1)]


def spent(z: torch.Tensor, mu: torch.Tensor, sigma: float, w: torch.Tensor) -> torch.Tensor:
    """[R] E[log q(z | cell) - log p(z)], nats: what z knows of its cell (a, r); p is the mixture of the four.

    z: [R, 4, n, 2] drawn from N(μ, σ² I) of its cell.  mu: [R, 4, 2].  w: [4] probabilities of the cells.
    """
    far = (z[:, :, :, None] - mu[:, None, None]).square().sum(-1)         # [R, 4, n, 4]
    logq = -far / (2 * sigma**2)
    own = torch.diagonal(logq, dim1=1, dim2=3)                            # [R, n, 4]
    return ((own - torch.logsumexp(logq + w.log(), -1).transpose(1, 2)).mean(1) * w).sum(1)


def gaussian(cfg: GaussianConfig, rng: np.random.Generator,
             every: int = 10) -> Generator[GaussianSnapshot, GaussianConfig | None, None]:
    """The four cells (arm, pay) carry their exact probabilities: only z is drawn.

    Live: β, λ, method, sign, K, f_steps, batch, lr.  Start overlapping (σ large, μ near 0): from clusters that are
    far apart f is sure of itself and has no slope to push q by.
    """
    R, gen, seed = cfg.runs, generator(rng), int(rng.integers(2**63))
    arm, pay = (torch.tensor(v) for v in zip(*CELLS))
    chance = torch.tensor([1 - cfg.p, cfg.p])                             # Pr(r = 1 | arm)
    w = torch.tensor([cfg.p, 1 - cfg.p])[arm] * torch.where(pay == 1, chance[arm], 1 - chance[arm])      # [4]
    rho = torch.log((w * pay).sum()), torch.log((w * (1 - pay)).sum())    # log of the marginal of the pay
    mu = (0.1 * torch.randn(R, 4, 2, generator=gen)).requires_grad_()
    pi, value = (MLP(R, (2, cfg.hidden, cfg.hidden, 1), gen) for _ in range(2))       # logits of arm 0, of pay 1
    f = MLP(R, (4, cfg.hidden, cfg.hidden, 2), gen)                       # (z, one-hot arm) -> f(0), f(1)
    slow, fast = adam([mu, pi.flat, value.flat], lr=cfg.lr), adam([f.flat], lr=cfg.lr)
    one_hot = torch.nn.functional.one_hot(arm, 2).float()[:, None]        # [4, 1, 2]

    def draw(n):
        return mu[:, :, None] + cfg.sigma * torch.randn(R, 4, n, 2, generator=gen)

    def bracket(z, net):
        """[R] E[f(r, z, a) - log Σ ρ(r') exp f(r', z, a)]: where f knows nothing of z, KL(Pr(r | a) || ρ)."""
        e = net(torch.cat([z, one_hot.expand(R, 4, z.shape[2], 2)], -1).flatten(1, 2)).view(R, 4, -1, 2)
        free = torch.logaddexp(e[..., 1] + rho[0], e[..., 0] + rho[1])
        own = torch.where(pay[:, None] == 1, e[..., 1], e[..., 0])
        return ((own - free).mean(2) * w).sum(1)

    def nats(net, z, hit):
        """[R] -log Pr(hit), the probability being a logistic of net(z)."""
        logit = net(z.flatten(1, 2)).view(R, 4, -1)
        return -(logsigmoid(torch.where(hit[:, None], logit, -logit)).mean(2) * w).sum(1)

    base = float((w * torch.log(torch.where(pay == 1, chance[arm], 1 - chance[arm]))).sum()
                 - (w * torch.where(pay == 1, *rho)).sum())               # the bracket of the best f without z
    for step in range(1, cfg.steps + 1):
        for opt in (slow, fast):
            opt.param_groups[0]["lr"] = cfg.lr
        for _ in range(cfg.f_steps):                                      # of a VAE nobody pays for f: it is a meter
            fast.zero_grad()
            (-bracket(draw(cfg.batch).detach(), f).sum()).backward()      # f climbs
            fast.step()
        slow.zero_grad()
        z = draw(cfg.batch)
        nll = nats(pi, z, arm == 0)
        price = cfg.sign * bracket(z, f.frozen) if cfg.method == "DoC" else spent(z, mu, cfg.sigma, w)
        (nll + cfg.lam * nats(value, z, pay == 1) + cfg.beta * price).sum().backward()    # q and π descend
        slow.step()
        if step % every == 0 or step == cfg.steps:
            with torch.no_grad():
                look = torch.Generator().manual_seed(seed)                # the same draws at each look, none of gen's
                cell = torch.multinomial(w, R * cfg.K, replacement=True, generator=look).view(R, cfg.K, 1)
                at = mu.gather(1, cell.expand(-1, -1, 2)) + cfg.sigma * torch.randn(R, cfg.K, 2, generator=look)
                v = torch.sigmoid(value(at))[..., 0]                      # [R, K]
                best = v.argmax(1, keepdim=True)
                good = torch.sigmoid(pi(at))[..., 0].gather(1, best)[:, 0]
                luck = bracket(z, f) - base
                photo = GaussianSnapshot(
                    step, mu.view(R, 2, 2, 2).numpy().copy(), z.numpy(),
                    at[torch.arange(R), best[:, 0]].numpy(), v.gather(1, best)[:, 0].numpy(),
                    (good * (1 - cfg.p) + (1 - good) * cfg.p).numpy(), nll.numpy(), luck.numpy())
            cfg = accept((yield photo), cfg)


# ---- a lake whose episodes are read by a network


@dataclass(frozen=True)
class LakeConfig:
    slip: float = knob(2 / 3, 0.0, 2 / 3, symbol="slip", least=0, most=1, restart=True,
                       says="luck: probability that a move goes to one side instead")
    beta: float = knob(20.0, 0.0, 100.0, symbol="β", least=0, says="price of a nat of luck in z")
    lam: float = knob(10.0, 0.0, 20.0, symbol="λ", least=0, says="wish for return: what z gains by foretelling it")
    method: str = knob("DoC", choices=("DoC", "VAE"), says="what is paid for: luck alone (DoC) or all that z knows")
    sign: int = knob(1, choices=(1, -1), says="sign of q: 1 descends what f climbs, -1 is the known mistake")
    energy: str = knob("table", choices=("table", "MLP"), restart=True, says="what f is")
    phi: float = knob(0.2, 0.0, 1.0, symbol="φ", least=0, most=1, restart=True, says="share of the expert's episodes")
    eps: float = knob(0.2, 0.0, 1.0, symbol="ε", least=0, most=1, restart=True, says="random moves in the data")
    n: int = knob(1000, 200, 4000, symbol="N", log=True, unit="episodes", least=30, restart=True, says="data size")
    Z: int = knob(8, 2, 16, symbol="Z", least=1, restart=True, says="codes")
    ramp: int = knob(200, 0, 600, unit="steps", least=0, says="ramp of β: updates until it has its value")
    f_steps: int = knob(5, 1, 20, least=1, says="steps of f for each step of q and π")
    lr: float = knob(5e-3, 1e-4, 3e-2, log=True, symbol="lr", above=0, step=True, says="Adam's step of q and π")
    lr_f: float = knob(0.05, 1e-3, 0.2, log=True, symbol="lr of f", above=0, step=True,
                       says="Adam's step of the table f")
    hidden: int = knob(64, 8, 128, log=True, most=4096, least=1, restart=True, says="width of the hidden layer")
    steps: int = knob(600, 100, 2000, log=True, least=1, restart=True, says="updates")
    runs: int = knob(4, 1, 16, symbol="R", least=1, restart=True, says="datasets and networks")
    seed: int = knob(0, 0, 99, least=0, restart=True, says="which random numbers")
    __post_init__ = check


class LakeSnapshot(NamedTuple):
    step: int
    promised: np.ndarray         # [R] V(z*)
    earned: np.ndarray           # [R] chance of π(.|., z*) to reach the goal, exact
    value: np.ndarray            # [R, Z] V(z)
    truth: np.ndarray            # [R, Z] what π(.|., z) earns, exact
    prior: np.ndarray            # [R, Z] p(z)
    pi: np.ndarray               # [R, S, A] the policy acted by
    nll: np.ndarray              # [R] nats an episode
    luck: np.ndarray             # [R] MI of z and the next states, nats an episode, from the counts
    read: np.ndarray             # [R] the same as f sees it: bracket less its value for the best f without z
    rcsl: np.ndarray             # [R] what asking for 1 earns on the same data, by counting
    clone: np.ndarray            # [R] what imitating all of it earns


def mutual_information(c: torch.Tensor, sa: torch.Tensor) -> torch.Tensor:
    """MI = Σ c_z(s, a, o) log [ c_z(s, a, o) c(s, a) / (c_z(s, a) c(s, a, o)) ], nats.

    c: [..., Z, F] expected visits of F different (s, a, o) under each code.  sa: [F] which (s, a) each belongs to.
    """
    at = c.new_zeros(*c.shape[:-1], int(sa.max()) + 1).index_add_(-1, sa, c)[..., sa]      # c_z(s, a)
    log = lambda u: torch.log(u.clamp_min(1e-30))                         # noqa: E731
    return (c * (log(c) + log(at.sum(-2, keepdim=True)) - log(at) - log(c.sum(-2, keepdim=True)))).sum((-1, -2))


class Energy:
    """f(s, a, o, z) for R runs, and its bracket; o runs over all S states, weighted by how often the data enter them.

    sa, out: [F] the (s, a) and o of each triple that can happen.  rho: [R, S] marginal of the outcomes.
    """

    def __init__(self, kind: str, R: int, S: int, A: int, Z: int, hidden: int, sa, out, rho, gen: torch.Generator):
        self.kind, self.shape, self.sa, self.out = kind, (R, S * A, Z, S), sa, out
        self.log_rho = torch.log(rho.clamp_min(1e-12))[:, None, None]     # [R, 1, 1, S]
        if kind == "table":
            self.flat = torch.zeros(R, S * A, Z, S, requires_grad=True)
        else:
            self.net = MLP(R, (S + A + Z, hidden, S), gen)
            self.flat = self.net.flat
            s, a, z = torch.meshgrid(torch.arange(S), torch.arange(A), torch.arange(Z), indexing="ij")
            hot = torch.nn.functional.one_hot
            self.x = torch.cat([hot(s, S), hot(a, A), hot(z, Z)], -1).float().view(1, S * A * Z, -1).expand(R, -1, -1)

    def bracket(self, c: torch.Tensor, frozen: bool = False) -> torch.Tensor:
        """[R] Σ c_z(s, a, o) [f - log Σ_o ρ(o) e^f], nats an episode.  c: [R, Z, F].  frozen: no slope into f."""
        f = self.flat if self.kind == "table" else self.net(self.x).view(self.shape)
        f = f.detach() if frozen else f
        f = f - torch.logsumexp(f + self.log_rho, -1, keepdim=True)       # [R, SA, Z, S]
        return (c * f[:, self.sa, :, self.out].permute(1, 2, 0)).sum((1, 2))


def lake(cfg: LakeConfig, rng: np.random.Generator,
         every: int = 10) -> Generator[LakeSnapshot, LakeConfig | None, None]:
    """Collect a dataset for each run, and fit it.  Live: β, λ, method, sign, ramp, f_steps, lr, lr_f.

    The encoder reads how often each (s, a, s') that can happen did happen, standardised; what it says of the N
    episodes is summed to counts c_z, and f, π, V and the bracket are about these alone.
    """
    of_data, of_nets = rng.spawn(2)
    world, R, Z = ice.lake(cfg.slip), cfg.runs, cfg.Z
    S, A = world.mdp.S, world.mdp.A
    s, a, o = (world.mdp.P * ~world.mdp.terminal[:, None, None]).nonzero()                # [F] each
    place = np.zeros((S, A, S), int)
    place[s, a, o] = np.arange(len(s))
    data = [ice.collect(cfg.slip, cfg.n, r, cfg.phi, cfg.eps) for r in of_data.spawn(R)]
    m = np.zeros((R, cfg.n, len(s)), np.float32)                          # [R, N, F] counts of each episode
    for r, d in enumerate(data):
        np.add.at(m[r], (d.episode, place[d.obs, d.action, d.next_obs]), 1)
    ret = torch.tensor(np.stack([d.returns for d in data]), dtype=torch.float32)          # [R, N] 0 or 1
    x = torch.from_numpy((m - m.mean(1, keepdims=True)) / (m.std(1, keepdims=True) + 1e-3))
    m, sa = torch.from_numpy(m), torch.from_numpy(s * A + a)
    rho = torch.zeros(R, S).index_add_(1, torch.from_numpy(o), m.sum(1))
    gen = generator(of_nets)
    q = MLP(R, (len(s), cfg.hidden, Z), gen)
    pi = MLP(R, (S + Z, cfg.hidden, A), gen)
    f = Energy(cfg.energy, R, S, A, Z, cfg.hidden, sa, torch.from_numpy(o), rho / rho.sum(1, keepdim=True), gen)
    state = torch.cat([torch.eye(S)[:, None].expand(-1, Z, -1), torch.eye(Z).expand(S, -1, -1)], -1)
    state = state.view(1, S * Z, S + Z).expand(R, -1, -1)
    slow, fast = adam([q.flat, pi.flat], lr=cfg.lr), adam([f.flat], lr=cfg.lr_f)
    known = counted(world, data)
    for step in range(1, cfg.steps + 1):
        slow.param_groups[0]["lr"] = cfg.lr
        fast.param_groups[0]["lr"] = cfg.lr_f if cfg.energy == "table" else cfg.lr
        logq = torch.log_softmax(q(x), -1)                                # [R, N, Z]
        share = logq.exp()
        p = share.mean(1)                                                 # [R, Z]
        c = torch.bmm(share.mT, m) / cfg.n                                # [R, Z, F]
        for _ in range(cfg.f_steps):
            fast.zero_grad()
            (-f.bracket(c.detach()).sum()).backward()                     # f climbs
            fast.step()
        slow.zero_grad()
        logpi = torch.log_softmax(pi(state).view(R, S, Z, A), -1)
        nll = -(c * logpi[:, s, :, a].permute(1, 2, 0)).sum((1, 2))
        v = (share * ret[..., None]).mean(1) / p.clamp_min(1e-12)         # [R, Z] V(z)
        surprise = (p * _bits(v)).sum(1)                                  # H(R | z)
        if cfg.method == "DoC":
            price = cfg.sign * f.bracket(c, frozen=True)
        else:
            price = (share * (logq - torch.log(p.clamp_min(1e-12))[:, None])).sum(2).mean(1)
        beta = cfg.beta * min(1.0, step / cfg.ramp if cfg.ramp else 1.0)
        (nll + cfg.lam * surprise + beta * price).sum().backward()        # q and π descend
        slow.step()
        if step % every == 0 or step == cfg.steps:
            with torch.no_grad():
                alive = p >= p.amax(1, keepdim=True).clamp_max(max(0.02, 20 / cfg.n))     # unused: no promise
                best = torch.where(alive, v, -1.0).argmax(1).numpy()
                still_finite(step, nll=nll, price=price, logpi=logpi)
                tables = logpi.exp().permute(0, 2, 1, 3).double().numpy()                 # [R, Z, S, A]
                tables /= tables.sum(-1, keepdims=True)
                J = evaluate(world.mdp, tables, horizon=ice.HORIZON) @ world.mdp.start    # [R, Z]
                runs, luck = np.arange(R), mutual_information(c, sa)
                whole = c.sum(1, keepdim=True).expand_as(c) / Z           # no code knows more than another
                blind = _best_bracket(whole, sa, f.log_rho[:, 0, 0], torch.from_numpy(o))
                photo = LakeSnapshot(step, v.numpy()[runs, best], J[runs, best], v.numpy(), J, p.numpy(),
                                     tables[runs, best], nll.numpy(), luck.numpy(),
                                     (f.bracket(c) - blind).numpy(), *known)
            cfg = accept((yield photo), cfg)


def _bits(v):
    """Entropy of a coin that shows 1 with probability v, nats."""
    v = v.clamp(1e-6, 1 - 1e-6)
    return -(v * v.log() + (1 - v) * (1 - v).log())


def _best_bracket(c, sa, log_rho, out):
    """The bracket of the best possible f, Σ c log [ c(o | s, a, z) / ρ(o) ]."""
    at = c.new_zeros(*c.shape[:-1], int(sa.max()) + 1).index_add_(-1, sa, c)[..., sa]
    return (c * (torch.log((c / at.clamp_min(1e-30)).clamp_min(1e-30)) - log_rho[:, None, out])).sum((1, 2))


def counted(world, data):
    """What RCSL asked for 1, and imitation, earn when they count: [R], [R].  Unseen states: the behaviour; uniform."""
    J = []
    for d in data:
        every, hits = (visits(d, w, world.mdp.S, world.mdp.A) for w in (np.ones(d.n), np.maximum(d.returns, 0)))
        pi = clone(every)
        lucky = np.where(hits.sum(-1, keepdims=True) > 0, clone(hits), pi)
        J.append([float(evaluate(world.mdp, u, horizon=ice.HORIZON) @ world.mdp.start) for u in (lucky, pi)])
    return np.array(J).T
