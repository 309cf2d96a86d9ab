"""The explorer: a pure function of the settings, redrawn at once wherever a slider goes.

    live.Explorer(picture, Config(), sweep="alpha")          # picture(cfg) -> figure; Run slides alpha along its range
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from rlkit.live.controls import controls
from rlkit.live.panel import Panel, named
from rlkit.live.runs import Sweep


class Explorer(Panel):
    """A panel without a learner: every control recomputes the picture.

    knobs, presets, title: as for Panel. sweep: the knob that Run moves from its low end to its high end; None: no Run.
    """

    def __init__(self, picture: Callable, cfg, *, knobs=None, presets: Mapping | None = None, title: str = "",
                 sweep: str | None = None):
        presets = named(presets, cfg)
        made, front = controls(cfg, knobs, presets)
        stops = {c.name: c.stops for c in made if c.kind == "slider"}
        if sweep is not None and sweep not in stops:
            raise ValueError(f"sweep is {sweep!r}, expected one of {', '.join(stops)}: a knob with a range")
        self._open(Sweep(picture, cfg, sweep, stops.get(sweep, ())), made, front, presets, title, False)

    def _copy(self):
        return Sweep(self._run.picture, self._run.cfg, self._run.name, self._run.stops)

    def _still(self):
        """The picture of the settings as first given: they are what the words beside it speak of."""
        return self._run.picture(self._first)

    def record(self, frames: int = 40) -> list[dict]:
        """The sweep from end to end as at most `frames` plain figures; without a sweep, the one picture."""
        return super().record(frames)
