"""A learner small enough to know what it must do, and a screen that remembers what it was sent."""

import dataclasses
import threading
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pytest

from rlkit.config import check, knob
from rlkit.live.controls import controls
from rlkit.live.driver import Driver
from rlkit.live.runs import Run


@dataclass(frozen=True)
class Config:
    alpha: float = knob(0.1, 0.01, 10.0, log=True, symbol="α", says="temperature: small trusts the best", above=0)
    sigma: float = knob(0.5, 0.0, 1.0, symbol="σ", says="share of good data", restart=True, least=0, most=1)
    rule: str = knob("plain", choices=("plain", "momentum"), says="rule")
    runs: int = knob(2, 1, 8, symbol="R", says="runs", restart=True)
    seed: int = knob(0, 0, 999, says="seed", restart=True)
    steps: int = knob(200, 10, 100_000, says="steps", unit="updates", restart=True)
    __post_init__ = check


class Snapshot(NamedTuple):
    step: int
    theta: np.ndarray  # [R]
    alpha: float


def walk(cfg, rng, every=10):
    """A random walk whose steps are as large as alpha."""
    theta = np.zeros(cfg.runs)
    for step in range(1, cfg.steps + 1):
        theta = theta + cfg.alpha * rng.normal(size=cfg.runs)
        if step % every == 0 or step == cfg.steps:
            cfg = (yield Snapshot(step, theta.copy(), cfg.alpha)) or cfg


def draw(history, cfg):
    """The figure as a plain dict."""
    x = np.array([s.step for s in history], float)
    y = np.array([s.theta[0] for s in history])
    return dict(data=[dict(type="scatter", x=x, y=y, name="walk", meta=dict(pin=True))],
                layout=dict(meta=dict(says=f"at {y[-1]:.3f} after {history[-1].step} steps", steps=["x"])))


class FakeScreen:
    """Takes every frame at once; `open` False: nobody acknowledges."""

    def __init__(self):
        self.frames, self.words, self.open, self.empty = [], [], True, False

    def wait(self):
        return 0.0 if self.open else 0.05

    def send(self, picture, **words):
        self.frames.append(picture)
        self.words.append(words["now"])

    def show(self, **words):
        self.words.append(words["now"])

    def acknowledge(self, view, frame):
        self.open = True

    def leave(self, view):
        self.empty = True


@pytest.fixture
def played():
    """played(learner=walk, cfg=Config(), ...) -> a started Driver with a FakeScreen; stopped after the test."""
    drivers = []

    def start(learner=walk, cfg=None, draw=draw, presets=None, total=None, every=10, begin=True):
        cfg = cfg or Config()
        presets = {"Paper": cfg} | {k: dataclasses.replace(cfg, **v) for k, v in (presets or {}).items()}
        made, _ = controls(cfg, None, presets)
        screen = FakeScreen()
        driver = Driver(Run(learner, draw, cfg, total, every), made, presets, screen, screen.show)
        drivers.append(driver)
        driver.screen = screen
        driver.start()
        if begin:
            assert driver.wait(10)
        return driver

    yield start
    for d in drivers:
        d.stop()


@pytest.fixture
def threads():
    """How many of our threads there are now."""
    return lambda: sum(t.name.startswith("rlkit-live") for t in threading.enumerate())
