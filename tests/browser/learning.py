"""A small learner for the browser tests: the notebooks that they write import it. NumPy only."""

import graphlib
import time
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from rlkit import figures
from rlkit.config import check, knob


@dataclass(frozen=True)
class Config:
    alpha: float = knob(0.1, 0.001, 10.0, log=True, symbol="α", says="learning rate: large is fast and shaky", above=0)
    sigma: float = knob(0.5, 0.0, 2.0, symbol="σ", says="noise of the targets: what has to be averaged out", least=0)
    rule: str = knob("plain", choices=("plain", "momentum"), says="rule: how a step is made")
    scattered: bool = knob(True, says="scattered start: each run begins somewhere else", restart=True)
    runs: int = knob(8, 2, 32, symbol="R", says="runs: how many learn side by side", restart=True)
    seed: int = knob(0, 0, 9999, says="seed: which random numbers", restart=True)
    steps: int = knob(6000, 100, 100000, log=True, says="length: updates of one run", restart=True)
    __post_init__ = check


class Snapshot(NamedTuple):
    step: int
    theta: np.ndarray  # [R]
    error: np.ndarray  # [R]


def learner(cfg, rng, every=10):
    """Find θ = 1 from noisy targets, R runs at once."""
    theta = rng.normal(size=cfg.runs) * cfg.scattered
    speed = np.zeros(cfg.runs)
    for step in range(1, cfg.steps + 1):
        speed = 0.9 * (cfg.rule == "momentum") * speed + theta - 1 - cfg.sigma * rng.normal(size=cfg.runs)
        theta = theta - 0.05 * cfg.alpha * speed
        for _ in range(20):  # as much work as a small network would be
            np.sort(rng.random(600))
        if step % every == 0 or step == cfg.steps:
            cfg = (yield Snapshot(step, theta.copy(), (theta - 1) ** 2)) or cfg


def slow(cfg, rng, every=10, pause=0.004):
    """As `learner`, on a machine that leaves room for the browser."""
    source, answer = learner(cfg, rng, every), None
    while True:
        try:
            answer = yield source.send(answer)
        except StopIteration:
            return
        time.sleep(pause)


def lasting(cfg, rng, every=10):
    """As `slow`, and so slow that 100,000 steps take ten minutes: no run is over before it is looked at."""
    return slow(cfg, rng, every, pause=0.06)


def draw(history, cfg):
    x = np.array([s.step for s in history])
    theta, error = (np.array([getattr(s, k) for s in history]) for k in ("theta", "error"))
    return figures.board(
        [
            figures.curves(x, {"AW": theta}, "updates", "θ", "θ finds 1", steps=True,
                           x_range=(0, cfg.steps), y_range=(-1.5, 2.5)),
            figures.curves(x, {"uniform": error.mean(1) + 1e-9, "exact": np.full(len(x), 1e-3)}, "updates",
                           "squared error", "The error falls", steps=True, x_range=(0, cfg.steps),
                           y_range=(1e-5, 10), log_y=True),
            figures.histogram(theta[-1], np.ones(theta.shape[1]), "Where the runs are now", span=(-1.5, 2.5)),
            figures.bars(["start", "now"], [abs(theta[0] - 1).mean(), abs(theta[-1] - 1).mean()],
                         "Distance from 1", "mean |θ − 1|", (0, 2), looks=["uniform", "AW"]),
        ],
        says=f"After {x[-1]} updates the median of θ is {np.median(theta[-1]):.2f}; it should be 1.",
    )


def picture(cfg):
    x = np.linspace(0, 5, 200)
    y = np.exp(-x / max(cfg.alpha, 1e-3)) * (1 + 0.2 * cfg.sigma * np.sin(8 * x))
    return figures.board(
        [
            figures.curves(x, {"AW": y, "exact": np.exp(-x)}, "time", "distance", "How fast it forgets",
                           x_range=(0, 5), y_range=(0, 1.4)),
            figures.bars(["start", "half way", "end"], y[[0, 100, -1]], "Read off", "distance", (0, 1.4)),
        ],
        says=f"With α = {cfg.alpha:g} the distance at the end is {y[-1]:.2g}.", height=340,
    )


@dataclass(frozen=True)
class Team:
    """Who looks at whom: a graph that must not run in a circle."""

    nodes: int = knob(3, 2, 5, says="agents: how many there are", restart=True)
    edges: tuple = knob(((0, 1),), graph="nodes", says="edges: who sees whose action before choosing")

    def __post_init__(self):
        check(self)
        try:
            graphlib.TopologicalSorter({c: [p for p, d in self.edges if d == c] for _, c in self.edges}).prepare()
        except graphlib.CycleError as e:
            raise ValueError("not a DAG: " + " → ".join(map(str, e.args[1]))) from None


def adjacency(cfg):
    A = np.zeros((cfg.nodes, cfg.nodes))
    for p, c in cfg.edges:
        if max(p, c) < cfg.nodes:
            A[p, c] = 1
    seen = figures.bars([str(i) for i in range(cfg.nodes)], A.sum(0), "Whom they see", "parents", (0, 4))
    return figures.board([seen], says=f"{len(cfg.edges)} edges.", height=240)
