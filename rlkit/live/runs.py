"""What can be played: a `Run` of a learner, or a `Sweep` through a function. Neither knows a thread or a screen.

Both have the same face, which is all that a driver needs: `cfg`, `step`, `total`, `reset(cfg)`, `pull()` (one snapshot
further; False at the end), `change(cfg)`, `figure()`.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable

import numpy as np

from rlkit.config import changed

STUCK = 200  # snapshots of one and the same step after which a learner counts as stuck
KEPT = 400  # snapshots that `draw` sees at most: more points than pixels would only cost memory


class Diverged(ArithmeticError):
    """A number that the learner showed is NaN or infinite."""


class Run:
    """A learner, its settings and what it has shown so far."""

    sweeps = False

    def __init__(self, learner: Callable, draw: Callable, cfg, total=None, every: int | None = None, pace: float = 0.0):
        self.learner, self.draw, self.cfg = learner, draw, cfg
        self.pace = pace  # seconds between two snapshots; 0: as fast as it learns
        self._total = total
        self.every = every or max(1, (self._bound(cfg) or 4000) // KEPT)
        self._generator = None
        self._clear()

    def _clear(self):
        self.close()
        self.step, self.played, self._answer, self._same = 0, 0, None, 0
        self._kept, self._last, self._stride, self._count = [], None, 1, 0
        self.changes: list[dict] = []  # what was changed in mid-run: step, name, old, new

    def _bound(self, cfg) -> int | None:
        total = self._total if self._total is not None else getattr(cfg, "steps", None)
        return total(cfg) if callable(total) else total

    @property
    def total(self) -> int | None:
        """The step at which the run ends; None where the learner decides."""
        return self._bound(self.cfg)

    def reset(self, cfg) -> None:
        """Start over with `cfg`, up to the first snapshot. The same cfg and seed give the same run."""
        self._clear()
        self.cfg = cfg
        self._generator = self.learner(cfg, np.random.default_rng(getattr(cfg, "seed", 0)), self.every)
        self.pull()
        self.played = 0

    def pull(self) -> bool:
        """One snapshot further; False when the run is over. Raises Diverged, and whatever the learner raises."""
        if self._generator is None or self.over:
            return False
        try:
            with np.errstate(all="ignore"):                      # what overflows is told below, in words
                snapshot = self._generator.send(self._answer if self._count else None)
        except StopIteration:
            self.close()
            return False
        except FloatingPointError as lost:                       # the learner itself saw that its numbers are lost
            raise Diverged(f"{lost}; the run stopped near step {self.step + self.every}: {self.advice()}, then Reset"
                           ) from lost
        self._answer = None
        self._same = self._same + 1 if snapshot.step == self.step else 0
        if self._same >= STUCK:
            raise ValueError(f"the learner has shown step {self.step} {STUCK} times over, so the run stopped; "
                             "yield snapshots whose .step grows, or return")
        self.step, self.played = int(snapshot.step), self.played + 1
        self._keep(snapshot)
        check_finite(snapshot, self.step, self)
        return True

    @property
    def over(self) -> bool:
        return self.total is not None and self.step >= self.total

    def _keep(self, snapshot):
        if self._count % self._stride == 0:
            self._kept.append(snapshot)
            if len(self._kept) > KEPT:
                self._kept, self._stride = self._kept[::2], self._stride * 2
        self._last, self._count = snapshot, self._count + 1

    @property
    def history(self) -> list:
        """The snapshots so far, thinned evenly to at most KEPT; the first and the last are always among them."""
        kept = list(self._kept)
        return kept if not kept or kept[-1] is self._last else [*kept, self._last]

    def change(self, cfg, drag: int | None = None) -> None:
        """Go on with `cfg`; it acts on the next update. A drag of one slider counts as one change."""
        for name, new in changed(cfg, self.cfg).items():
            last = self.changes[-1] if self.changes else None
            if last and last["name"] == name and (last["step"] == self.step or (drag and last["drag"] == drag)):
                last["new"] = new
            else:
                self.changes.append(dict(step=self.step, name=name, old=getattr(self.cfg, name), new=new, drag=drag))
        self.changes = [c for c in self.changes if c["old"] != c["new"]]
        self.cfg = self._answer = cfg

    def figure(self):
        """The picture of now."""
        return self.draw(self.history, self.cfg)

    def advice(self) -> str:
        """Which knob to try when it diverged: the one moved last, else the step size, else those that act live."""
        if self.changes:
            c = self.changes[-1]
            return f"put {c['name']} back towards {c['old']!r} (it is {c['new']!r})"
        steps = [f for f in dataclasses.fields(self.cfg) if f.metadata and f.metadata.get("step")]
        if steps:
            now = " or ".join(f"{f.name} (it is {getattr(self.cfg, f.name):g})" for f in steps)
            return f"try a smaller {now}"
        live = [f.name for f in dataclasses.fields(self.cfg) if f.metadata and not f.metadata["restart"]]
        return f"try another value of {' or '.join(live[:3])}" if live else "try other settings"

    def close(self) -> None:
        if getattr(self, "_generator", None) is not None:
            self._generator.close()
            self._generator = None


class Sweep:
    """A pure function of the settings; playing it moves one of them along its range."""

    sweeps = True

    def __init__(self, picture: Callable, cfg, name: str | None = None, stops: tuple = (), seconds: float = 6.0):
        self.picture, self.cfg, self.name, self.stops = picture, cfg, name, stops
        self.pace = max(1 / 15, seconds / max(1, len(stops)))
        self.played, self.changes, self.history = 0, [], []

    @property
    def step(self) -> int:
        """How many stops lie below the present value."""
        return sum(s < getattr(self.cfg, self.name) for s in self.stops) if self.name else 0

    @property
    def total(self) -> int | None:
        return len(self.stops) - 1 if self.name else None

    @property
    def over(self) -> bool:
        return self.total is None or self.step >= self.total

    def reset(self, cfg) -> None:
        self.cfg, self.played = cfg, 0

    def rewind(self) -> None:
        """Back to the low end of the range. Raises ValueError if there is nothing to move."""
        if self.name is None:
            raise ValueError("there is nothing to play here; give the Explorer sweep=, the name of the knob to move")
        self.cfg = dataclasses.replace(self.cfg, **{self.name: self.stops[0]})

    def pull(self) -> bool:
        """One notch further; False at the high end."""
        if self.over:
            return False
        above = next(s for s in self.stops if s > getattr(self.cfg, self.name))
        self.cfg = dataclasses.replace(self.cfg, **{self.name: above})
        self.played += 1
        return True

    def change(self, cfg, drag: int | None = None) -> None:
        self.cfg = cfg

    def figure(self):
        return self.picture(self.cfg)

    def close(self) -> None:
        pass


def check_finite(snapshot, step: int, run: Run) -> None:
    """Raise Diverged, naming quantity, step and knob, if any number in `snapshot` is NaN or infinite."""
    for name, value in _numbers(snapshot, ""):
        finite = value.isfinite() if _is_tensor(value) else np.isfinite(value)
        if not bool(finite.all()):
            what = "NaN" if bool((value != value).any()) else "infinite"
            raise Diverged(f"{name} became {what} at step {step}, so the run stopped; {run.advice()}, then Reset")


def _numbers(node, path: str):
    """(path, array) of every number below `node`; None, words, flags and functions are skipped."""
    if isinstance(node, float | np.floating):
        yield path, np.asarray(node)
    elif isinstance(node, np.ndarray):
        if node.dtype.kind in "fc":
            yield path, node
    elif isinstance(node, tuple) and hasattr(node, "_fields"):
        for name, value in zip(node._fields, node):
            yield from _numbers(value, f"{path}.{name}" if path else name)
    elif dataclasses.is_dataclass(node) and not isinstance(node, type):
        for f in dataclasses.fields(node):
            yield from _numbers(getattr(node, f.name), f"{path}.{f.name}" if path else f.name)
    elif isinstance(node, dict):
        for name, value in node.items():
            yield from _numbers(value, f"{path}[{name!r}]")
    elif isinstance(node, list | tuple):
        for i, value in enumerate(node):
            yield from _numbers(value, f"{path}[{i}]")
    elif _is_tensor(node) and node.is_floating_point():
        yield path, node


def _is_tensor(value) -> bool:
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)
