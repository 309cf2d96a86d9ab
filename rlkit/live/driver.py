"""The thread that plays a run. (Without a thread: `sync.SyncDriver`.)

Everything that a panel wants done (a button, a slider, a line of Python) is a small dict put on the driver's queue; the
thread takes it up within one snapshot. Nothing else ever touches the learner, its random numbers or the figure, so it
does not matter on which thread a kernel calls us back.
"""

from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import math
import queue
import sys
import threading
import time
import traceback

from rlkit.config import changed, joined, needs_restart
from rlkit.live.controls import Control, difference, number, python
from rlkit.live.runs import Diverged
from rlkit.live.spec import spec
from rlkit.preparing import GivenUp, watched

FASTEST = 1 / 18  # seconds between frames: quicker than this the eye gains nothing
GHOSTS = 4
PATIENCE = 0.7  # seconds of a preparation before the panel speaks of it, and before other settings end it
ANEW = {"reset", "preset", "knob", "knobs"}  # messages after which a run that was not played yet begins anew
ALONE = 60.0  # seconds after its last view was closed until a run is paused: a moved cell, a reloaded page come back


def _trace(e: Exception) -> str:
    """The traceback from the first line that is not the panel's own."""
    first = e.__traceback__
    while first and first.tb_next and first.tb_frame.f_globals.get("__package__") == __package__:
        first = first.tb_next
    return "".join(traceback.format_exception(type(e), e, first)).strip()


class Driver:
    """The thread that plays a run and answers messages. `screen` takes frames, `show(**state)` takes words.

    state: idle, running, done or error, as the panel shows it.
    """

    def __init__(self, run, made: list[Control], presets: dict, screen, show, name: str = "panel"):
        self.run, self.controls, self.presets = run, {c.name: c for c in made}, presets
        self.screen, self.show = screen, show
        self.base = presets.get("Paper", next(iter(presets.values())))  # what "different" is measured from
        self.first = run.cfg
        self.wanted = run.cfg  # the settings as the controls show them; run.cfg is what the run uses
        self.state, self.status, self.tone, self.error, self.trace = "idle", "", "info", "", ""
        self.figure, self.ghosts = None, []
        self.heard: dict[str, int] = {}  # view -> number of its last message that was dealt with
        self._newest: dict[str, dict[str, int]] = {}  # the same for each control of a view
        self._queue: queue.SimpleQueue = queue.SimpleQueue()
        self._idle, self._put, self._done = threading.Condition(), 0, 0
        self._stop, self._dirty, self._news = False, False, True
        self._owed = False  # a restart that was asked for and not made yet
        self._preparing = False  # the status tells how far a preparation is
        self._ahead = 0  # messages on the queue after which it would have to be made anew
        self._drawn_at, self._cost, self._next_pull = -math.inf, 0.0, 0.0
        self._played_for, self._pulses = 0.0, []
        self._alone_at = math.inf  # when a run that nobody looks at is paused
        self.thread = threading.Thread(target=self._live, name=f"rlkit-live {name}", daemon=True)

    # -- called from anywhere ---------------------------------------------------------------------------------------

    def start(self) -> None:
        self.put({"do": "begin"})
        self.thread.start()

    def put(self, message: dict) -> None:
        """Ask for {"do": run | pause | step | reset | pin | unpin | knob(s) | preset | copied | ack | bye}."""
        with self._idle:
            self._put += 1
            self._ahead += message["do"] in ANEW
        self._queue.put(message)

    def stop(self, wait: float = 2.0) -> None:
        """End the thread: within one snapshot, or, where none comes, in the midst of an update."""
        self._stop = True
        self._queue.put({"do": "wake"})
        if self.thread.is_alive() and threading.current_thread() is not self.thread:
            self.thread.join(wait)
            if self.thread.is_alive():  # an endless loop, say: the next line of Python that it runs is its last
                ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(self.thread.ident),
                                                           ctypes.py_object(SystemExit))

    def wait(self, timeout: float) -> bool:
        """Until everything asked for is done and nothing runs. False if that took longer than `timeout` seconds."""
        with self._idle:
            return self._idle.wait_for(lambda: self._quiet() or self._stop, timeout)

    def _quiet(self) -> bool:
        return self._done == self._put and self.state != "running" and not self._dirty

    # -- the thread -------------------------------------------------------------------------------------------------

    def _live(self) -> None:
        if torch := sys.modules.get("torch"):
            torch.set_num_threads(1)  # small networks: a second thread only waits for the first
        with contextlib.suppress(SystemExit):  # see stop
            while not self._stop:
                try:
                    self._turn()
                except Exception as e:  # our own fault; the thread lives on, so that Reset can mend it
                    self._fail("in the panel itself", e)
                    time.sleep(FASTEST)  # it may be the telling that fails
                with self._idle:
                    self._idle.notify_all()
        self.run.close()
        with self._idle:
            self._idle.notify_all()

    def _turn(self) -> None:
        self._listen()
        if self._stop or self._owed:
            return
        if time.monotonic() > self._alone_at:
            self._alone_at = math.inf
            self._do_pause(None)
        if self.state == "running":
            self._advance()
        self._publish()

    def _listen(self) -> None:
        """Take every message there is; sleep if there is nothing else to do."""
        moves: dict = {}
        taken, patience = 0, self._patience()
        try:
            message = self._queue.get(timeout=patience) if patience is None or patience > 0 else self._queue.get(False)
            while True:
                taken += message["do"] != "wake"
                with self._idle:
                    self._ahead -= message["do"] in ANEW
                if not self._late(message):
                    if message["do"] == "knob":  # ten thousand moves of a slider are one
                        moves[message["name"]] = message
                    elif message["do"] == "knobs":  # from Python: together, so that none is taken if one is refused
                        moves = self._move(moves)
                        moves = self._move({name: {"value": v} for name, v in message["values"].items()})
                    else:
                        moves = self._move(moves)
                        self._answer(message)
                message = self._queue.get(False)
        except queue.Empty:
            self._move(moves)
            self._settle()
        finally:
            with self._idle:
                self._done += taken

    def _late(self, message: dict) -> bool:
        """Whether a view has already told us something newer: ipykernel 7 may deliver two clicks in the wrong order."""
        if "seq" not in message:
            return False
        view, seq = message["view"], message["seq"]
        about = message["name"] if message["do"] == "knob" else "button"
        self.heard[view] = max(seq, self.heard.get(view, 0))
        known = self._newest.setdefault(view, {})
        late = seq < known.get(about, 0)
        known[about] = max(seq, known.get(about, 0))
        return late

    def _patience(self) -> float | None:
        """Seconds to sleep on the queue: 0 while running, until the next frame may go, or for ever."""
        now = time.monotonic()
        if self._news or (self.state == "running" and not self.run.pace):
            return 0.0
        if self._dirty:
            return max(0.0, self._due() - now, self.screen.wait())
        return max(0.0, self._next_pull - now) if self.state == "running" else None

    def _answer(self, message: dict) -> None:
        what = message["do"]
        if what == "ack":
            self._alone_at = math.inf
            return self.screen.acknowledge(message["view"], message["frame"])
        if what == "bye":
            self.heard.pop(message["view"], None)
            self._newest.pop(message["view"], None)
            self.screen.leave(message["view"])
            if self.screen.empty and self.state == "running":  # its cell was deleted, or the notebook closed
                self._alone_at = time.monotonic() + ALONE
            return None
        if what == "wake":
            return None
        self._news = True
        handler = getattr(self, f"_do_{what}", None)
        if handler is None:
            return self._fail("in a control", ValueError(f"the panel was asked to {what!r}, expected a known button"))
        return self._try("in a control", handler, message)

    def _try(self, where: str, f, *args):
        """f(*args); an exception becomes the panel's error state. Nothing is swallowed."""
        try:
            return f(*args)
        except Exception as e:
            return self._fail(where, e)

    def _fail(self, where: str, e: Exception) -> None:
        self.state, self.tone, self._news = "error", "error", True
        own = isinstance(e, Diverged)
        self.error = self.status = str(e) if own else f"{type(e).__name__} {where}: {e}"
        self.trace = "" if own else _trace(e)

    def _say(self, text: str, tone: str = "info") -> None:
        self.status, self.tone, self._news = text, tone, True

    def _clear(self) -> None:
        self.error = self.trace = ""

    # -- what one can ask for ---------------------------------------------------------------------------------------

    @property
    def fresh(self) -> bool:
        """Nothing was played yet: settings may change without losing anything."""
        return self._owed or (self.run.played == 0 and self.state != "error")

    def _restart(self) -> None:
        """Start over, once everything has been heard: a first snapshot may take long, and many clicks need but one."""
        self._clear()
        self.state, self._dirty, self._played_for, self._pulses = "idle", True, 0.0, []
        self._owed = True

    def _settle(self) -> bool:
        """Make the restart that is owed. False where it was given up for what has come in since: it is still owed."""
        if not self._owed:
            return True
        told, began = (self.status, self.tone), time.monotonic()
        spoke = began

        def watch(words: str) -> None:
            nonlocal spoke
            now = time.monotonic()
            if self._stop or self._ahead and now > began + PATIENCE:
                raise GivenUp
            if now > spoke + PATIENCE:
                spoke, self._preparing = now, True
                self._say(f"Getting ready: {words}…")
                self.show(**self._words())

        self._owed = False
        try:
            with watched(watch):
                self._try("in the learner", self.run.reset, self.wanted)
        except GivenUp:
            self.run.close()
            self._owed = True
        if self._preparing and not self.error:
            self._say(*told)
        self._preparing = False
        return not self._owed

    def _do_begin(self, _) -> None:
        self._restart()
        if self.state != "error":
            self._say("Ready.")

    def _do_run(self, _) -> None:
        if self.state in ("done", "error") or self.run.over:
            self._clear()
            self.state = "idle"
            if self.run.sweeps:
                self.run.rewind()
                self.wanted, self._dirty = self.run.cfg, True
            else:
                self._restart()
        if self.state != "error":
            self.state = "running"
            self._next_pull, self._pulses, self._alone_at = 0.0, [], math.inf
            self._say(f"Moving {self._label(self.run.name)}…" if self.run.sweeps else "Learning…")

    def _do_pause(self, _) -> None:
        if self.state == "running":
            self.state, self._dirty = "idle", True
            self._say(f"Paused at step {number(self.run.step)}.")

    def _do_step(self, _) -> None:
        if not self._settle():
            return None
        if self.state in ("done", "error") or self.run.over:
            return self._say("The run is over. Reset starts a new one." if self.state != "error" else self.status,
                             self.tone)
        self.state = "idle"
        self._pull()
        if self.state == "idle":
            self._say(f"Step {number(self.run.step)}.")

    def _do_reset(self, _) -> None:
        if self.run.sweeps:
            self.wanted = self.first
        self._restart()
        if self.state != "error":
            self._say("Back to the start.")

    def _do_pin(self, _) -> None:
        """Keep the curves of the present picture as a ghost."""
        if not self._settle():
            return None
        if self._dirty:  # the picture on the screen may be of a moment ago, and its label is of now
            self._draw()
        if self.figure is None:
            return self._say("There is no picture to pin yet.", "warn")
        curves = [t for t in self.figure["data"] if (t.get("meta") or {}).get("pin")]
        if not curves:
            return self._say("This picture has no curves to pin.", "warn")
        label = difference(self.run.cfg, self.base, list(self.controls.values()))
        if self.run.changes:
            label += " (changed on the way)"
        used = {g["key"] for g in self.ghosts}
        key = next(k for k in "ABCDE" if k not in used)
        self.ghosts = [*self.ghosts, dict(key=key, label=label or next(iter(self.presets)), traces=curves)][-GHOSTS:]
        return self._say(f"Pinned as {key}: {self.ghosts[-1]['label']}.")

    def _do_unpin(self, message) -> None:
        self.ghosts = [g for g in self.ghosts if g["key"] != message["key"]]
        self._say(f"Ghost {message['key']} removed.")

    def _do_copied(self, message) -> None:
        self._settle()
        self._say(f"Copied: {self.copy}" if message.get("ok", True) else f"Copy this line: {self.copy}")

    def _do_preset(self, message) -> None:
        name = message["name"]
        if name not in self.presets:
            raise ValueError(f"there is no preset {name!r}, expected one of {', '.join(self.presets)}")
        cfg = self.presets[name]
        self._adopt(cfg, restart=self.state != "running" or needs_restart(cfg, self.run.cfg))
        if self.state != "error":
            self._say(f"{name}: {difference(self.wanted, self.base, list(self.controls.values())) or 'as given'}.")

    def _move(self, moves: dict) -> dict:
        """Apply the newest value of each slider that was moved. Settings that are refused leave the old ones."""
        if moves:
            self._news = True
            try:
                values = {}
                settings = {f.name for f in dataclasses.fields(self.wanted)}
                for name, m in moves.items():
                    if name not in settings:
                        raise ValueError(f"there is no setting {name!r}, expected one of {', '.join(self.controls)}")
                    values[name] = self._meant(name, m)
                cfg = dataclasses.replace(self.wanted, **values)
            except (ValueError, TypeError) as e:
                self.error = f"{type(e).__name__}: {e}"
                self._say(str(e), "error")
                return {}
            if self.state != "error":
                self._clear()
                if self.tone == "error":  # what was refused has been taken back
                    self._say("Mended: the settings are valid again.")
            before = self.wanted
            self._adopt(cfg, drag=next(iter(moves.values())).get("drag"))
            self._tell(changed(cfg, before))
        return {}

    def _meant(self, name: str, message: dict):
        """The value that a message asks for: given as such, as a position, or as "put it back"."""
        if "value" in message:
            return message["value"]
        return getattr(self.base, name) if message.get("reset") else self.controls[name].value(message["position"])

    def _tell(self, moved: dict) -> None:
        """Say what the move did, and when it acts."""
        if self.state == "error":
            return
        words = ", ".join(f"{self._label(n)} {self.controls[n].text(v)}" for n, v in moved.items()
                          if n in self.controls)
        waits = not self._owed and changed(self.wanted, self.run.cfg).keys() & moved.keys()
        if words and waits:
            self._say(f"{words} applies on Reset.")
        elif words:
            self._say(f"{words}." if self.fresh or self.run.sweeps else f"{words} from step {number(self.run.step)}.")

    def _adopt(self, cfg, restart: bool = False, drag=None) -> None:
        """Make `cfg` the wanted settings, and the run's as far as that is possible without starting over."""
        self.wanted = cfg
        if self.run.sweeps:
            self.run.change(cfg, drag)
            self._dirty = True
            if self.state in ("error", "done"):
                self.state = "idle"
            self._clear()
        elif restart or self.fresh:
            if restart or self._owed or cfg != self.run.cfg:
                playing = self.state == "running"
                self._restart()
                self.state = "running" if playing and self.state == "idle" else self.state
        elif self.state in ("idle", "running"):
            live = {n: v for n, v in changed(cfg, self.run.cfg).items() if n in self.controls and self.controls[n].live}
            now = joined(self.run.cfg, live)  # what belongs to a setting that waits for Reset waits with it
            if now != self.run.cfg:
                self.run.change(now, drag)
                self._dirty = True

    def _label(self, name: str) -> str:
        c = self.controls[name]
        return c.symbol or c.label

    # -- playing and showing ----------------------------------------------------------------------------------------

    def _advance(self) -> None:
        if self.run.pace:
            if time.monotonic() < self._next_pull or self._dirty:
                return
            self._next_pull = time.monotonic() + self.run.pace
        self._pull()

    def _pull(self) -> None:
        began = time.monotonic()
        more = self._try("in the learner", self.run.pull)
        now = time.monotonic()
        self._played_for += now - began
        self._pulses = [p for p in self._pulses if now - p[0] < 1.5] + [(now, self.run.step)]
        self._dirty = True
        if self.run.sweeps:
            self.wanted = self.run.cfg
        if self.state != "error" and (not more or self.run.over):
            self.state = "done"
            self._say(f"Done: {number(self.run.step)} steps in {self._played_for:.1f} s." if self.run.pace == 0
                      else "Done.")

    def _due(self) -> float:
        """When the next frame is due: seldom enough that drawing takes at most a third of the time."""
        return self._drawn_at + max(FASTEST, 2 * self._cost)

    def _publish(self) -> None:
        now = time.monotonic()
        if self._dirty and now >= self._due() and self.screen.wait() == 0:
            self._dirty = False
            drawn = self._draw()
            if drawn is not None:
                self.screen.send(drawn, **self._words())
                self._news = False
                self._drawn_at = time.monotonic()
                self._cost = 0.7 * self._cost + 0.3 * (self._drawn_at - now)
                return
        if self._news:
            self._news = False
            self.show(**self._words())

    def _draw(self) -> dict | None:
        """The picture of now; None where there is none. A first error is not hidden by one that follows from it."""
        try:
            self.figure = spec(self.run.figure())
            return self.figure
        except Exception as e:
            if self.state != "error":
                self._fail("while drawing", e)
            return None

    @property
    def speed(self) -> float:
        """Steps a second over the last second or so."""
        if self.state != "running" or len(self._pulses) < 2:
            return 0.0
        (t0, s0), (t1, s1) = self._pulses[0], self._pulses[-1]
        return (s1 - s0) / max(t1 - t0, 1e-6)

    @property
    def copy(self) -> str:
        """The line of Python that rebuilds this state; changes made on the way follow as a comment."""
        changes = self.run.changes
        if not changes:
            return python(self.run.cfg)
        start = dataclasses.replace(self.run.cfg, **{c["name"]: c["old"] for c in reversed(changes)})
        way = "; ".join(f"{c['name']}={c['new']!r} from step {c['step']}" for c in changes)
        return f"{python(start)}  # then {way}"

    def _words(self) -> dict:
        """Everything beside the picture that the browser shows."""
        cfg, run = self.wanted, self.run
        pending, unlike = changed(cfg, run.cfg), changed(cfg, self.base)
        knobs = {n: dict(at=c.at(getattr(cfg, n)), text=c.text(getattr(cfg, n)), unlike=n in unlike,
                         waits=n in pending) | (dict(nodes=c.nodes(cfg)) if c.kind == "graph" else {})
                 for n, c in self.controls.items()}
        marks = [dict(step=c["step"], text=f"{self._label(c['name'])} {self.controls[c['name']].text(c['new'])}")
                 for c in run.changes if c["name"] in self.controls]
        return dict(now=dict(
            state=self.state, step=run.step, total=run.total, speed=self.speed, status=self.status, tone=self.tone,
            error=self.error, trace=self.trace, knobs=knobs, copy=self.copy, marks=marks, fresh=self.fresh,
            preset=next((n for n, p in self.presets.items() if p == cfg), ""), heard=dict(self.heard),
            preparing=self._preparing,
        ), ghosts=self.ghosts)
