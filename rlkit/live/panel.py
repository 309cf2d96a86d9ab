"""The live panel: one learner, its picture, its sliders; Run, Step, Reset, Pin, Copy.

    live.Panel(learner, Config(), draw, presets={"Paper": Config(), "Break it": Config(alpha=10.0)})

learner(cfg, rng, every) is a generator of snapshots, each with a `.step`; draw(history, cfg) gives a plotly figure of
the snapshots so far. The controls come from the Config itself (`rlkit.config.knob`). A learner whose first snapshot
takes seconds passes that work through `rlkit.preparing`: the panel says how far it is, and other settings end it.
"""

from __future__ import annotations

import os
import sys
import weakref
from collections.abc import Callable, Mapping
from dataclasses import replace

import anywidget
import traitlets

from rlkit.live.controls import Control, controls
from rlkit.live.driver import Driver
from rlkit.live.library import HERE, library
from rlkit.live.plot import Screen, bundle
from rlkit.live.runs import Run
from rlkit.live.spec import plain, spec
from rlkit.live.sync import SyncDriver


class PanelWidget(anywidget.AnyWidget):
    """Picture, transport and controls, in the browser. `face` never changes, `now` often, `frame` most often."""

    _esm = "\n".join(HERE.joinpath(name).read_text() for name in ("plot.js", "graph.js", "panel.js"))
    _css = HERE.joinpath("panel.css").read_text()
    face = traitlets.Any().tag(sync=True)
    now = traitlets.Any(None, allow_none=True).tag(sync=True)
    ghosts = traitlets.Any(None, allow_none=True).tag(sync=True)
    frame = traitlets.Any(None, allow_none=True).tag(sync=True)


class Panel:
    """A learner that can be played.

    knobs: names of the controls to show, in order (the others are folded away); None: all.
    presets: name -> Config, or -> dict of the fields in which it differs from `cfg`; None: {"Paper": cfg}.
    total: the step at which the run ends, or a function of cfg; None: cfg.steps, else where the learner stops.
    every: updates between two snapshots; None: so that a run shows about 400. autorun: start without a click.
    pace: seconds between two snapshots at the least, for a run that is over before one has looked; 0: as it learns.

    run, pause, step, reset, set, preset, pin do what the buttons do and return at once; `wait` waits for the effect.
    """

    def __init__(self, learner: Callable, cfg, draw: Callable, *, knobs=None, presets: Mapping | None = None,
                 title: str = "", total: int | Callable | None = None, every: int | None = None,
                 autorun: bool = False, pace: float = 0.0):
        presets = named(presets, cfg)
        made, front = controls(cfg, knobs, presets)
        self._open(Run(learner, draw, cfg, total, every, pace), made, front, presets, title, autorun)

    def _open(self, run, made: list[Control], front: int, presets: dict, title: str, autorun: bool) -> None:
        self._run, self._first, self._title = run, run.cfg, title
        if os.environ.get("RLKIT_HEADLESS") == "1":
            self._driver = self.widget = self._end = None
            return
        library()
        self.widget = PanelWidget(face=_face(run, made, front, presets, title))
        self._driver = Driver(run, made, presets, Screen(self.widget), _shower(self.widget), title or "panel")
        self.widget.on_msg(_listener(self._driver))
        self._end = weakref.finalize(self, _shut, self._driver, self.widget)
        self._end.atexit = False
        _replace_older(self)
        self._driver.start()
        if autorun:
            self.run()

    # -- the buttons, in Python -------------------------------------------------------------------------------------

    def run(self) -> None:
        """Play on; after the end, play again from the start."""
        self._ask("run")

    def pause(self) -> None:
        self._ask("pause")

    def step(self) -> None:
        """One snapshot further."""
        self._ask("step")

    def reset(self) -> None:
        """Back to the start, with the settings as the controls show them."""
        self._ask("reset")

    def pin(self) -> None:
        """Keep the present curves as a ghost to compare with."""
        self._ask("pin")

    def preset(self, name: str) -> None:
        """Take the settings of a preset and start over with them; a running panel runs on."""
        self._ask("preset", name=name)

    def set(self, **values) -> None:
        """Move controls, all or none: panel.set(alpha=0.2). What cannot change in mid-run waits for Reset."""
        self._ask("knobs", values=values)

    def close(self) -> None:
        """End the thread and take the panel off the page. Happens by itself when its cell is run again."""
        _shown.discard(self)
        if self._end is not None:
            self._end()

    def wait(self, timeout: float = 60.0) -> bool:
        """Until all of the above is done and nothing is running. False if `timeout` seconds were not enough."""
        return self._alive().wait(timeout)

    def _ask(self, what: str, **more) -> None:
        self._alive().put({"do": what, **more})

    def _alive(self) -> Driver:
        if self._driver is None:
            raise RuntimeError("RLKIT_HEADLESS=1: this panel has no thread; use record() or show it")
        if not self._driver.thread.is_alive():
            raise RuntimeError("this panel is closed; run its cell again")
        return self._driver

    # -- what it shows ----------------------------------------------------------------------------------------------

    @property
    def cfg(self):
        """The settings as the controls show them."""
        return self._driver.wanted if self._driver else self._run.cfg

    @property
    def state(self) -> str:
        """idle, running, done or error."""
        return self._driver.state if self._driver else "idle"

    @property
    def status(self) -> str:
        """The sentence in the status line."""
        return self._driver.status if self._driver else ""

    @property
    def history(self) -> list:
        """The snapshots that `draw` is given."""
        return self._run.history

    def record(self, frames: int = 40) -> list[dict]:
        """The whole run from the start as at most `frames` plain figures, for pages without a kernel."""
        return [plain(spec(f)) for f in SyncDriver(self._copy(), self._first).frames(frames)]

    def _still(self):
        """The picture for a page without a kernel: the whole run, from the settings as first given."""
        return SyncDriver(self._copy(), self._first).play()

    def _copy(self):
        run = self._run
        return Run(run.learner, run.draw, run.cfg, run._total, run.every)

    def _repr_mimebundle_(self, **_):
        if self._driver is None:
            return bundle(None, self._still())
        _shown.add(self)
        figure = None
        if os.environ.get("RLKIT_PNG") == "1":
            figure = self._still()
        else:
            self._driver.wait(1.5)
        return bundle(self.widget, figure if figure is not None else self._driver.figure)


def named(presets: Mapping | None, cfg) -> dict:
    """Presets as name -> Config."""
    presets = {"Paper": cfg} if not presets else presets
    return {name: replace(cfg, **p) if isinstance(p, Mapping) else p for name, p in presets.items()}


def _face(run, made: list[Control], front: int, presets: dict, title: str) -> dict:
    """What never changes: names, labels, the values of each slider."""
    base = presets.get("Paper", next(iter(presets.values())))
    rows = [dict(name=c.name, kind=c.kind, symbol=c.symbol, label=c.label, says=c.says, unit=c.unit, live=c.live,
                 texts=[c.text(v) for v in c.stops] if c.kind != "seed" else [],
                 paper=c.position(getattr(base, c.name)) if c.kind == "slider" else None,
                 low=c.stops[0] if c.kind == "seed" else 0, high=c.stops[-1] if c.kind == "seed" else len(c.stops) - 1)
            for c in made]
    return dict(title=title, controls=rows, front=front, presets=list(presets), sweeps=run.sweeps,
                plays=not run.sweeps or run.name is not None, moves=run.name if run.sweeps else None,
                every=getattr(run, "every", 1))


def _shower(widget):
    def show(**traits):
        with widget.hold_sync():
            for name, value in traits.items():
                setattr(widget, name, value)

    return show


def _listener(driver: Driver):
    """What the kernel calls when the browser speaks, on whatever thread: the queue and nothing else."""
    return lambda _, message, __: driver.put(message) if "do" in message else None


def _shut(driver: Driver, widget: PanelWidget) -> None:
    driver.stop()
    if not driver.thread.is_alive():  # else the learner is in the midst of an update, and the thread closes it
        driver.run.close()
    widget.close()


# -- one cell, one set of panels ------------------------------------------------------------------------------------

_shown: set[Panel] = set()  # what is on a page must live, even if no variable holds it
_of_cell: dict[str, tuple[str, list]] = {}  # cell -> (its execution, the panels made by it)


def _replace_older(panel: Panel) -> None:
    """End the panels that an earlier run of this same cell made."""
    cell, execution = _where(panel._title)
    if cell is None:
        return
    before, older = _of_cell.get(cell, ("", []))
    if before != execution:
        for ref in older:
            if (old := ref()) is not None:
                old.close()
        older = []
    _of_cell[cell] = (execution, [*older, weakref.ref(panel)])


def _where(title: str) -> tuple[str | None, str]:
    """The cell that is running, and which run of it this is; (None, '') outside a notebook."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    parent = getattr(shell, "parent_header", None) or {}
    if "header" not in parent:
        return None, ""
    code = (parent.get("content") or {}).get("code", "")
    cell = (parent.get("metadata") or {}).get("cellId") or (f"title {title}" if title else f"code {hash(code)}")
    return cell, parent["header"].get("msg_id", "")


