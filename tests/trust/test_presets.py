"""Presets of every panel of the course: each, taken up while each other one runs, shows what it shows when alone."""

import sys
import time
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import networkx as nx
import pytest
from digest import digest
from panels import CHAPTERS, panel_cells

import notebooks
from rlkit import live
from rlkit.config import needs_restart
from rlkit.live.runs import Diverged
from rlkit.live.spec import plain, spec

HEAVY = {                                # titles of panels that take seconds to a picture: a round over each preset
    "Three ways to draw a minibatch", "Promised and earned, exactly", "On the ice", "Ask for a return",
    "Bold or cautious?", "Learned: whom to ask", "A language model runs out of curiosity",
}
DIVERGES = "No limit"                    # the preset that is there to be seen diverging
LESSONS = 20                             # of a warm start here; its 600 take half a minute and show nothing more
PATIENCE = 180                           # s for one answer of a panel


@pytest.fixture
def panels(monkeypatch):
    """panels(chapter) -> its panels with more than one preset, made by its own cells, not shown."""
    made = []

    def of(chapter: Path) -> list:
        for kind in (live.Panel, live.Explorer):
            def recorded(self, *args, begin=kind.__init__, **kwargs):
                begin(self, *args, **kwargs)
                made.append(self)
            monkeypatch.setattr(kind, "__init__", recorded)
        monkeypatch.syspath_prepend(notebooks.NOTEBOOKS)
        space = {"__name__": "__main__"}
        for cell in panel_cells(chapter):
            exec(compile(cell, chapter, "exec"), space)
        return [p for p in made if len(p._driver.presets) > 1]

    yield of
    for p in made:
        p.close()


def first(panel, cfg) -> str:
    """What a panel of these settings shows by itself: a digest of two snapshots, or of an Explorer's picture."""
    run = panel._run
    if run.sweeps:
        return digest(plain(spec(run.picture(cfg))))
    alone = panel._copy()
    try:
        alone.reset(cfg)
        alone.pull()
    except Diverged:
        pass
    shown = digest(alone.history[:2])
    alone.close()
    return shown


def plays(panel) -> None:
    """Run, until there is something that another preset could spoil."""
    panel.run()
    end = time.monotonic() + PATIENCE
    while not (panel.state in ("done", "error") or panel.state == "running" and panel._run.played > 0):
        assert time.monotonic() < end, f"{panel._title} does not begin: {panel.status}"
        time.sleep(0.002)


def takes_up(panel, name: str, cfg, alone: str) -> str | None:
    """Press a preset in mid-run. What is wrong with what the panel then shows; None: nothing.  alone: `first` of it."""
    run, before = panel._run, panel._run.cfg
    was, running, step = run.history[:1], panel.state == "running", run.step
    panel.preset(name)
    (panel.pause if run.sweeps else panel.step)()
    if not panel.wait(PATIENCE):
        return "does not answer"
    if run.sweeps:
        if run.name:                                            # a notch or two may have passed meanwhile: put it back
            panel.set(**{run.name: getattr(cfg, run.name)})
            assert panel.wait(PATIENCE)
        shown = digest(plain(panel._driver.figure))
    else:
        anew = run.history[0] is not was[0]
        if needs_restart(cfg, before) and not anew:
            return "goes on where it has to begin anew"
        if not anew and run.step <= step and running:
            return "stands still"
        shown = digest(run.history[:2]) if anew else None
    if panel.state == "error" and not (name == DIVERGES and "then Reset" in panel.status):
        return panel.status
    if panel.cfg != cfg:
        return f"has other settings: {panel.cfg}"
    return None if shown in (None, alone) else "shows something else than alone"


@pytest.mark.slow
@pytest.mark.parametrize("chapter", [pytest.param(source, id=name) for name, source in CHAPTERS.items()])
def test_each_preset_taken_up_while_each_other_one_runs_shows_what_it_shows_alone(chapter, panels, capsys):
    """A walk over each ordered pair once; of heavy panels a round over each preset (all 692 pairs take 12 minutes)."""
    wrong, pairs = [], 0
    for panel in panels(chapter):
        presets, began = panel._driver.presets, time.monotonic()
        presets.update({name: replace(cfg, lessons=LESSONS) for name, cfg in presets.items()
                        if getattr(cfg, "lessons", 0) > LESSONS})
        if panel._title in HEAVY:
            walk = [*pairwise([*presets, next(iter(presets))])]
        else:
            walk = list(nx.eulerian_circuit(nx.complete_graph(list(presets), nx.DiGraph)))
        if not panel._run.sweeps:
            panel._run.every = -(-panel._run.every // 20)
        alone = {name: first(panel, cfg) for name, cfg in presets.items()}
        panel.preset(walk[0][0])
        for a, b in walk:
            plays(panel)
            if problem := takes_up(panel, b, presets[b], alone[b]):
                wrong.append(f"{panel._title}: {b} after {a} {problem}")
        pairs += len(walk)
        panel.close()
        with capsys.disabled():
            print(f"\n{panel._title}: {len(walk)} pairs, {time.monotonic() - began:.1f} s", file=sys.__stderr__)
    assert wrong == [] and pairs > 0
