"""MAPPO with a Bayesian network for a policy: agents of a team learn whom to look at, and may learn to do without.

A team of n agents with one reward. Over a graph A (A[j, i] = 1: j is a parent of i) its joint policy is

    π(a | o) = Π_i π_i(a_i | o_i, {a_j : A[j, i] = 1})

and everything else is PPO with a critic that sees all observations (MAPPO). `graph` is one dial: "product", no edges,
which is MAPPO; "complete", every pair, which is an auto-regressive policy; "random", each forward edge with probability
`density`; "learned edges" in the order 0, 1, 2, …; "learned", order and edges, by `dag_network`. In the loss

    - mean min(ρ_i Â, clip(ρ_i) Â) - entropy · H + α |density(A) - η|,     ρ_i = π_i(a_i | o_i, parents) / the same, old

each ρ_i must be of the question the agent was asked: the graph and the parents' actions that were *drawn* are kept and
used again. `resample` draws new ones in the update instead: one line of bookkeeping, and nothing is learned.
With `anneal` the target density η falls to 0; from there on no agent needs to be told anything.

R runs are one batch of arrays, and run r is the same in any company. Read `play`, the sampling of one slot, then
`logits`, then `mappo`. Worlds have the form of `rlkit.envs.aloha.AlohaTeams`.
Source: Chen & Zhang (2023), Context-Aware Bayesian Network Actor-Critic Methods for Cooperative Multi-Agent
Reinforcement Learning; networks, optimiser and small worlds are ours.

Axes: R runs, E copies of the world, T steps, n agents, K actions.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch

from rlkit.config import accept, check, knob
from rlkit.distinct_rows import Rows, at, distinct, pick, slopes
from rlkit.envs.aloha import Aloha, AlohaTeams
from rlkit.envs.team_games import climbing
from rlkit.envs.team_tables import TableTeams
from rlkit.nets import adam
from rlkit.offline.shared import generator
from rlkit.papers.dag_network import DagNetwork, Graph, see, stack
from rlkit.preparing import preparing
from rlkit.returns import gae

GRAPHS = ("product", "complete", "random", "learned edges", "learned")
WORLDS: dict[str, Callable] = {
    "clique of 3": lambda rngs, envs: AlohaTeams(Aloha.clique(3), rngs, envs),
    "ring of 4": lambda rngs, envs: AlohaTeams(Aloha.ring(4), rngs, envs),
    "grid of 10": lambda rngs, envs: AlohaTeams(Aloha.paper(), rngs, envs),
    "climbing": lambda rngs, envs: TableTeams(climbing(2), rngs, envs),
    "chain": lambda rngs, envs: TableTeams(climbing(3), rngs, envs),
}


@dataclass(frozen=True)
class Config:
    """World, graph and learning. Learning rate, graph target and entropy act in mid-run."""

    world: str = knob("clique of 3", choices=tuple(WORLDS), restart=True,
                      says="world: stations that share a channel, or a table game")
    graph: str = knob("learned", choices=GRAPHS, restart=True,
                      says="graph: nobody is told, all before it, by chance, or as a network learns")
    density: float = knob(1.0, 0.0, 1.0, symbol="η", least=0, most=1,
                          says="target share of edges: of a random graph the probability of each")
    alpha: float = knob(0.0, 0.0, 2.0, symbol="α", least=0,
                        says="price of density: what missing the target costs; 0 sets none")
    anneal: bool = knob(False, says="anneal: the target falls to 0 between 40 % and 70 % of the run, then α rises to 1")
    lr: float = knob(2e-3, 1e-4, 2e-2, log=True, above=0, step=True, says="learning rate: Adam's step")
    entropy: float = knob(0.01, 0.0, 1.0, least=0, says="entropy bonus: for acting at random")
    cool: float = knob(0.0, 0.0, 1.0, least=0, most=1,
                       says="fall of the bonus: share of the run over which it falls to 0.005; 0: it stays as it is")
    resample: bool = knob(False, says="re-sample parents: the broken bookkeeping, new parents' actions in the update")
    clip: float = knob(0.2, 0.05, 0.5, symbol="ε", above=0, most=math.inf, says="the ratio counts within 1 ± ε")
    gamma: float = knob(0.99, 0.9, 1.0, symbol="γ", least=0, most=1, says="discount per step")
    lam: float = knob(0.95, 0.0, 1.0, symbol="λ", least=0, most=1, says="how far advantages look ahead")
    epochs: int = knob(4, 1, 10, least=1, says="updates from one batch")
    envs: int = knob(32, 8, 128, log=True, symbol="E", least=1, restart=True, says="copies of the world per run")
    steps: int = knob(100, 20, 500, log=True, least=1, restart=True, says="batches: of one episode per copy")
    hidden: int = knob(32, 8, 64, log=True, most=4096, least=1, restart=True, says="width of the layers")
    runs: int = knob(4, 1, 8, symbol="R", least=1, restart=True, says="teams: learning at once")
    seed: int = knob(0, 0, 99, least=0, restart=True, says="which random numbers")
    __post_init__ = check

    @property
    def learns_graph(self) -> bool:
        return self.graph.startswith("learned")

    def target(self, step: int) -> float:
        """η at this step: of a random graph the probability of an edge."""
        start = dict(product=0.0, complete=1.0).get(self.graph, self.density)
        return start * (1 - _ramp(step / self.steps, 0.4, 0.7)) if self.anneal else start

    def price(self, step: int) -> float:
        """α at this step; at the end of annealing it rises to 1 to press out the last edges."""
        return self.alpha + max(0.0, 1 - self.alpha) * _ramp(step / self.steps, 0.7, 0.8) if self.anneal else self.alpha

    def bonus(self, step: int) -> float:
        """Weight of the entropy at this step."""
        cooled = _ramp(step / self.steps, 0, self.cool) if self.cool else 0.0
        return self.entropy + (0.005 - self.entropy) * cooled


class Snapshot(NamedTuple):
    step: int
    ret: np.ndarray              # [R] return per episode while learning: with the graph, actions drawn
    alone: np.ndarray | None     # [R] the same team at the same moment, told nothing; None where it was not asked for
    density: np.ndarray          # [R] share of the n(n-1)/2 possible edges that were drawn
    adjacency: np.ndarray        # [R, n, n] how often j was a parent of i
    target: float                # η
    entropy: np.ndarray          # [R] of an agent's action, nats


class Compared(NamedTuple):
    step: int
    product: Snapshot
    complete: Snapshot
    chosen: Snapshot             # the graph that the settings name


class Batch(NamedTuple):
    """What happened in T steps, kept as it was."""

    obs: np.ndarray              # [T, R, E, n, F]
    action: np.ndarray           # [T, R, E, n]
    logp: np.ndarray             # [T, R, E, n] of the action, when it was chosen
    reward: np.ndarray           # [T, R, E]
    over: np.ndarray             # [T, R, E] bool
    graphs: list[Graph]          # T of them


class Team:
    """R teams: actor (shared by the agents of a team, who know their number), critic and graph."""

    def __init__(self, world, cfg: Config, gens: list[torch.Generator]):
        n, K, F = self.n, self.K, self.F = world.n, world.actions, world.features
        self.actor = stack((F + n + n * K, cfg.hidden, cfg.hidden, K), gens, last=0.1)
        self.critic = stack((n * F, cfg.hidden, cfg.hidden, 1), gens)
        self.dag = DagNetwork(n * F, n, gens, cfg.graph == "learned") if cfg.learns_graph else None
        self.above = np.triu(np.ones((n, n), np.float32), 1)
        self.noises = 2 if cfg.graph == "learned" else 1

    def parameters(self) -> list[torch.Tensor]:
        return [self.actor.flat, self.critic.flat, *(self.dag.parameters() if self.dag else [])]

    def graph(self, obs: np.ndarray, u: np.ndarray, eta: float) -> Graph:
        """A graph for each of [R, B] situations.  obs [R, B, n, F]; u [R, B, noises, n, n] uniform."""
        if self.dag:
            return self.dag.draw(obs.reshape(*obs.shape[:2], -1), self.dag.noise(u))
        A = self.above * (u[:, :, 0] < eta)
        return Graph(A.astype(np.float32), np.broadcast_to(np.arange(self.n), A.shape[:-1]), None, u)

    def act(self, obs: np.ndarray, g: Graph, u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """One action for each agent, parents first.  obs [R, B, n, F], u [R, B, n] uniform.

        Gives action [R, B, n] and its log-probability.  A child is shown its parents' actions, zeros for all others.
        """
        R, B, n = obs.shape[:3]
        own = np.concatenate([obs, np.broadcast_to(np.eye(n, dtype=np.float32), (R, B, n, n))], -1)
        told = np.zeros((R, B, n, self.K), np.float32)                    # one-hot actions so far
        action, logp = np.empty((R, B, n), np.int64), np.empty((R, B, n), np.float32)
        fixed = self.dag is None or not self.dag.learn_order
        r, b = np.ogrid[:R, :B]
        for k in range(n):
            at = (slice(None), slice(None), k) if fixed else (r, b, g.order[:, :, k])          # a view, or a gather
            seen = told * g.A.swapaxes(-1, -2)[at][..., None]             # [R, B, n, K]
            z = see(self.actor, np.concatenate([own[at], seen.reshape(R, B, -1)], -1))
            z -= z.max(-1, keepdims=True)
            p = np.exp(z)
            upto = np.cumsum(p, -1)
            a = (upto < u[at][..., None] * upto[..., -1:]).sum(-1)
            action[at] = a
            logp[at] = np.take_along_axis(z, a[..., None], -1)[..., 0] - np.log(upto[..., -1])
            told[at] = np.eye(self.K, dtype=np.float32)[a]
        return action, logp

    def asked(self, obs: np.ndarray, action: np.ndarray, A: np.ndarray) -> np.ndarray:
        """What each agent was shown when it chose [R, B n, ...]: its own view, its number, its parents' actions; and
        behind that all actions, shown or not, which say where an edge would have entered."""
        R, B, n = action.shape
        told = np.broadcast_to(np.eye(self.K, dtype=np.float32)[action][:, :, None], (R, B, n, n, self.K))
        seen = A.swapaxes(-1, -2)[..., None] * told                       # [R, B, i, j, K]
        number = np.broadcast_to(np.eye(n, dtype=np.float32), (R, B, n, n))
        parts = obs, number, seen.reshape(R, B, n, -1), told.reshape(R, B, n, -1)
        return np.concatenate(parts, -1).reshape(R, B * n, -1)

    def logits(self, asked: torch.Tensor | Rows, change: torch.Tensor | None) -> torch.Tensor:
        """All agents' preferences at once [R, B n, K], the parents' actions being known.

        asked: rows of `asked`, or those of them that differ.
        change: A - A.detach() [R, B, n, n], the graph's gradient with value 0; None for a graph that does not learn.
        """
        n, K = self.n, self.K
        if not isinstance(asked, Rows):
            x, told = asked[..., : -n * K], asked[..., -n * K :].unflatten(-1, (n, K))
            if change is not None:                                        # the gradient enters where the actions do
                seen = (change.mT.flatten(1, 2)[..., None] * told).flatten(-2)
                x = x + torch.nn.functional.pad(seen, (x.shape[-1] - n * K, 0))
            return self.actor(x.contiguous())
        x, told = asked.table[:, : -n * K].contiguous(), asked.table[:, -n * K :]
        z = at(self.actor, Rows(x, asked.index))
        if change is not None:                                            # to first order: by the network's slope there
            slope = (slopes(self.actor, x)[..., -n * K :] * told[:, None]).unflatten(-1, (n, K)).sum(-1)  # [R, U, K, j]
            z = z + (pick(slope, asked.index) * change.mT.flatten(1, 2)[:, :, None]).sum(-1)
        return z


def play(team: Team, world, obs: np.ndarray, steps: int, eta: float, rngs) -> tuple[np.ndarray, Batch]:
    """`steps` steps of all copies of the world from `obs`.  Gives the next obs and what happened."""
    n, E = team.n, world.envs
    size = (steps, E, team.noises * n * n + n)
    u = np.stack([rng.random(size, np.float32) for rng in rngs], axis=1)  # [T, R, E, ...]
    u_graph, u_act = u[..., n:].reshape(*u.shape[:3], team.noises, n, n), u[..., :n]
    rows = []
    for t in range(steps):
        g = team.graph(obs, u_graph[t], eta)
        action, logp = team.act(obs, g, u_act[t])
        after, reward, over = world.step(action)
        rows.append((obs, action, logp, reward, over, g))
        obs = after
    *arrays, graphs = zip(*rows)
    return obs, Batch(*map(np.stack, arrays), list(graphs))


def mappo(cfg: Config, rng: np.random.Generator, every: int = 10, world: Callable | None = None,
          alone: bool = True) -> Generator[Snapshot, Config | None, None]:
    """Learn, R teams at once, one episode of every copy of the world per step.

    world: (rngs, envs) -> a world; None takes the one that cfg names.
    alone: whether each snapshot also plays an episode without edges, in copies of the world kept for that.
    """
    make = world or WORLDS[cfg.world]
    rngs = rng.spawn(cfg.runs)
    tests, worlds = ([r.spawn(1)[0] for r in rngs] for _ in range(2))
    seeds = [int(r.integers(2**63)) for r in tests]
    world = make(worlds, cfg.envs)
    team = Team(world, cfg, [generator(r) for r in rngs])
    opt = adam(team.parameters(), lr=cfg.lr)
    obs = world.reset()
    for step in preparing(range(1, cfg.steps + 1), "batch"):                # large teams: seconds to the first snapshot
        opt.param_groups[0]["lr"] = cfg.lr
        eta = cfg.target(step)
        obs, seen = play(team, world, obs, world.horizon, eta, rngs)
        entropy = update(team, seen, obs, cfg, step, opt, rngs)
        if step % every == 0 or step == cfg.steps:
            A = np.mean([g.A.mean(1) for g in seen.graphs], axis=0)       # [R, n, n]
            pairs = team.n * (team.n - 1) / 2
            told_nothing = without_edges(team, make, seeds, cfg.envs) if alone else None
            sent = yield Snapshot(step, _per_episode(seen), told_nothing, A.sum((1, 2)) / pairs, A, eta, entropy)
            cfg = accept(sent, cfg)


def compare(cfg: Config, rng: np.random.Generator, every: int = 10) -> Generator[Compared, Config | None, None]:
    """The graph of `cfg` beside its two ends, no edges and all edges, learning the same world in step.

    The two ends are references: they are neither annealed nor re-sampled, and take no price on edges.
    """
    plain = dict(anneal=False, resample=False, alpha=0.0)
    ways = [lambda c: replace(c, graph="product", **plain), lambda c: replace(c, graph="complete", **plain),
            lambda c: c]
    seed = int(rng.integers(2**63))
    runs = [mappo(way(cfg), np.random.default_rng(seed), every, alone=way is ways[2]) for way in ways]
    snaps = [next(run) for run in runs]
    while True:
        sent = yield Compared(snaps[0].step, *snaps)
        cfg = accept(sent, cfg)
        try:
            snaps = [run.send(way(cfg)) for run, way in zip(runs, ways)]
        except StopIteration:
            return


def update(team: Team, seen: Batch, obs_after: np.ndarray, cfg: Config, step: int, opt, rngs) -> np.ndarray:
    """`cfg.epochs` steps of PPO on one batch.  Gives the entropy [R]."""
    T, R, E, n = seen.action.shape
    flat = lambda x: np.ascontiguousarray(np.moveaxis(x, 1, 0)).reshape(R, T * E, *x.shape[3:])        # noqa: E731
    obs, told, old = flat(seen.obs), flat(seen.action), torch.from_numpy(flat(seen.logp))
    g = Graph(*(flat(np.stack(f)) if f[0] is not None else None for f in zip(*seen.graphs)))
    adv, target = (torch.from_numpy(flat(a)) for a in _advantages(team, seen, obs_after, cfg))
    x, asked = distinct(obs.reshape(R, T * E, -1)), distinct(team.asked(obs, told, g.A))
    action = torch.from_numpy(told)                                       # x: what the critic and the graph see
    for _ in range(cfg.epochs):
        opt.zero_grad()
        if cfg.resample:                                                  # broken: not what the child was told
            g, told = _again(team, obs, g, cfg.target(step), rngs)
            asked = distinct(team.asked(obs, told, g.A))
        A = team.dag.soft(x, g) if team.dag else None
        z = team.logits(asked, A - A.detach() if team.dag else None)
        logp = z.view(R, T * E, n, -1).log_softmax(-1)
        rho = (logp.gather(-1, action[..., None])[..., 0] - old).exp()    # [R, B, n]
        gain = torch.minimum(rho * adv[..., None], rho.clamp(1 - cfg.clip, 1 + cfg.clip) * adv[..., None]).mean((1, 2))
        entropy = -(logp.exp() * logp).sum(-1).mean((1, 2))               # [R]
        miss = torch.nn.functional.huber_loss(at(team.critic, x)[..., 0], target, reduction="none", delta=10.0).mean(1)
        loss = miss - gain - cfg.bonus(step) * entropy
        if team.dag and cfg.price(step) > 0:
            density = A.sum((-1, -2)).mean(1) * 2 / (n * (n - 1))
            loss = loss + cfg.price(step) * (density - cfg.target(step)).abs()
        loss.sum().backward()                                             # a sum: each run gets its own gradient
        opt.step()
    return entropy.detach().numpy()


def without_edges(team: Team, make: Callable, seeds: list[int], envs: int) -> np.ndarray:
    """Return [R] per episode of the teams when nobody is told anything: each acts on its own observation."""
    rngs = [np.random.default_rng(s) for s in seeds]
    world = make(rngs, envs)
    alone = object.__new__(Team)
    alone.__dict__ |= team.__dict__ | dict(dag=None, noises=1)
    return _per_episode(play(alone, world, world.reset(), world.horizon, 0.0, rngs)[1])


def _advantages(team: Team, seen: Batch, obs_after: np.ndarray, cfg: Config) -> tuple[np.ndarray, np.ndarray]:
    """Â, normalised within each run, and the critic's targets, [T, R, E] float32 each."""
    T, R, E = seen.reward.shape
    x = np.concatenate([seen.obs, obs_after[None]]).swapaxes(0, 1).reshape(R, (T + 1) * E, -1)
    with torch.no_grad():
        v = team.critic(torch.from_numpy(x)).numpy().reshape(R, T + 1, E).swapaxes(0, 1).astype(float)
    adv = gae(seen.reward, seen.over, v[:-1], v[1:], np.array([0, T]), cfg.gamma, cfg.lam)
    target = adv + v[:-1]
    adv = adv - adv.mean((0, 2), keepdims=True)
    adv /= adv.std((0, 2), keepdims=True) + 1e-8
    return adv.astype(np.float32), target.astype(np.float32)


def _again(team: Team, obs: np.ndarray, g: Graph, eta: float, rngs) -> tuple[Graph, np.ndarray]:
    """New graphs and new actions in the same situations."""
    R, B, n = obs.shape[:3]
    u = np.stack([rng.random((B, team.noises * n * n + n), np.float32) for rng in rngs])
    g = team.graph(obs, u[..., n:].reshape(R, B, team.noises, n, n), eta)
    return g, team.act(obs, g, u[..., :n])[0]


def _per_episode(seen: Batch) -> np.ndarray:
    """Reward per finished episode [R]."""
    return seen.reward.sum((0, 2)) / np.maximum(1, seen.over.sum((0, 2)))


def _ramp(x: float, low: float, high: float) -> float:
    """0 before low, 1 after high, straight in between."""
    return min(1.0, max(0.0, (x - low) / (high - low)))
