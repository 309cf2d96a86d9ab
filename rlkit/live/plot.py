"""A figure in the browser, one frame at a time.

Plotly.js is the one that the `plotly` package carries. It travels once per kernel, compressed, in a hidden widget, and
is evaluated once per page. A frame leaves only when the browser has painted the one before: a slow browser sees fewer
frames, never older ones.
"""

from __future__ import annotations

import os
import sys
import threading
import time
import weakref
from functools import cache

import anywidget
import traitlets

from rlkit.live.library import HERE, library
from rlkit.live.spec import says, spec

FORGET = 2.5  # seconds without an answer after which a view counts as gone
MODEST = 0.2  # seconds between frames that nobody can acknowledge


class Once(dict):
    """A dict that equals only itself: comparing two frames number by number would cost more than sending one."""

    __eq__ = object.__eq__
    __hash__ = object.__hash__


class Cell:
    """Whether a cell is running: then, on ipykernel 6, nothing that the browser says can be heard."""

    running, ended, waiting = False, 0.0, weakref.WeakSet()

    @classmethod
    @cache
    def watch(cls) -> None:
        """Start listening to the shell that runs the cells, once. Without one, no cell ever runs."""
        shell = _shell()
        if shell is None or not hasattr(shell, "kernel"):
            return
        cls.running = True  # the cell that got us here
        shell.events.register("pre_run_cell", cls._begin)
        shell.events.register("post_run_cell", cls._end)

    @classmethod
    def _begin(cls, *_):
        cls.running = True

    @classmethod
    def _end(cls, *_):
        cls.running, cls.ended = False, time.monotonic()
        for plot in list(cls.waiting):
            plot.flush()


def send_ahead() -> None:
    """In a notebook: plotly.js leaves now, and the page evaluates it while the kernel computes the first picture."""
    if hasattr(_shell(), "kernel") and os.environ.get("RLKIT_HEADLESS") != "1":
        library()


def _shell():
    ipython = sys.modules.get("IPython")
    return ipython.get_ipython() if ipython else None


class Screen:
    """The way from here to every view of one widget, with at most one frame under way.

    A view is known from its first acknowledgement on. `wait()` says how long to hold the next frame back.
    """

    def __init__(self, widget):
        self.widget = widget
        self.sent, self.sent_at, self._views, self._lock = 0, -1e9, {}, threading.Lock()
        Cell.watch()

    def acknowledge(self, view: str, frame: int) -> None:
        """`view` has painted `frame`. Called from whichever thread the kernel likes."""
        with self._lock:
            self._views[view] = max(frame, self._views.get(view, 0))

    def leave(self, view: str) -> None:
        """`view` was closed."""
        with self._lock:
            self._views.pop(view, None)

    @property
    def empty(self) -> bool:
        """Nobody looks."""
        return not self._views

    def wait(self) -> float:
        """Seconds until the next frame may leave (0: now). An acknowledgement may make it sooner."""
        now = time.monotonic()
        with self._lock:
            late = [v for v, seen in self._views.items() if seen < self.sent]
            if self._views and not late:
                return 0.0
            pause = MODEST - (now - self.sent_at)
            if not late or Cell.running:  # nobody there to acknowledge, or nobody can
                return max(0.0, pause)
            patience = FORGET - (now - max(self.sent_at, Cell.ended))
            if patience > 0:
                return patience
            for v in late:
                del self._views[v]
            return max(0.0, pause)

    def send(self, picture: dict, **traits) -> None:
        """Send a frame (a `spec`) and, in the same message, other traits of the widget."""
        with self._lock:
            self.sent, self.sent_at = self.sent + 1, time.monotonic()
        traits["frame"] = Once(figure=picture, n=self.sent)
        with self.widget.hold_sync():
            for name, value in traits.items():
                setattr(self.widget, name, value)


class PlotWidget(anywidget.AnyWidget):
    """The figure alone, in the browser."""

    _esm = HERE.joinpath("plot.js").read_text() + "\nexport default { render: renderPlot };\n"
    _css = HERE.joinpath("panel.css").read_text()
    frame = traitlets.Any(None, allow_none=True).tag(sync=True)


class Plot:
    """A plotly figure that follows the page's theme and can be redrawn as often as you like.

        plot = Plot(figure); plot            # shows it
        plot.update(another)                 # from any thread; the browser draws the newest it has time for
    """

    def __init__(self, figure):
        library()
        self._lock, self._waiting = threading.RLock(), None
        self.figure, self.widget = figure, PlotWidget()
        self._screen = Screen(self.widget)
        self._screen.send(spec(figure))
        self.widget.on_msg(self._heard)
        Cell.waiting.add(self)

    def update(self, figure) -> None:
        """Show `figure` instead. Raises TypeError if it is none."""
        picture = spec(figure)
        with self._lock:
            self.figure, self._waiting = figure, picture
            self.flush()

    def flush(self) -> None:
        """Send what is waiting, if the browser is ready for it."""
        with self._lock:
            if self._waiting is not None and self._screen.wait() == 0:
                picture, self._waiting = self._waiting, None
                self._screen.send(picture)

    def _heard(self, _, message: dict, __) -> None:
        if message.get("do") == "ack":
            self._screen.acknowledge(message["view"], message["frame"])
        elif message.get("do") == "bye":
            self._screen.leave(message["view"])
        self.flush()

    def close(self) -> None:
        """Take the figure off the page."""
        Cell.waiting.discard(self)
        self.widget.close()

    def _repr_mimebundle_(self, **_):
        return bundle(self.widget, self.figure)


def bundle(widget, figure) -> dict:
    """One output in three forms: the live view, a PNG where notebooks are built (RLKIT_PNG=1), one sentence."""
    out = {"text/plain": says(figure) or "a figure"}
    if os.environ.get("RLKIT_PNG") == "1" and figure is not None:
        out["image/png"] = png(figure)
    if widget is not None:
        out["application/vnd.jupyter.widget-view+json"] = dict(
            version_major=2, version_minor=0, model_id=widget.model_id)
    return out


def png(figure) -> str:
    """The figure as a PNG in base64, 960 wide, on white, in at most 256 colours; needs kaleido, Chromium and Pillow."""
    import base64
    import io
    import logging

    import plotly.graph_objects as go
    from PIL import Image

    from rlkit.live.spec import plain

    logging.getLogger("choreographer").setLevel(logging.CRITICAL)    # it reports what it ignores, half a message say
    drawn = go.Figure(plain(spec(figure)), skip_invalid=False)
    drawn.update_layout(template="none", paper_bgcolor="white", plot_bgcolor="white")
    image = Image.open(io.BytesIO(drawn.to_image("png", width=960, height=drawn.layout.height or 440)))
    small = io.BytesIO()                                # a quarter of the bytes, and no difference that one sees
    image.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(small, "PNG", optimize=True)
    return base64.b64encode(small.getvalue()).decode()
