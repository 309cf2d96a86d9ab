"""The panel in a real browser: how fast a learner learns while it is watched, and how soon a picture is there.

Chapter 1's first picture is shown once by `live.Explorer` and once as the same figure in plotly's own `FigureWidget`
with ipywidgets' `interact`; the learner is the one that the browser tests play. Wall-clock seconds in Chromium and
JupyterLab: nothing else should run. Each pair is a page of its own with a fresh kernel.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests" / "browser"), str(ROOT / "tools")]
from conftest import FLAGS, Lab, Page, chromium  # noqa: E402  the browser tests' own Lab

import notebooks  # noqa: E402

os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # a student's bytecode is kept
SECONDS = 6
LIVE = """
import learning as L
from rlkit import live
live.Panel(L.learner, L.Config(steps=100_000), L.draw, title="bench", every=10)
"""
ALONE = f"""
import sys, time; sys.path.insert(0, {str(ROOT / "tests" / "browser")!r})
import numpy as np, learning as L
run = L.learner(L.Config(steps=10**6), np.random.default_rng(0), 10); next(run)
start = time.monotonic()
while time.monotonic() - start < {SECONDS}: step = next(run).step
print(step / (time.monotonic() - start))
"""
THEIRS = """
import plotly.graph_objects as go
from ipywidgets import interact
figure = go.FigureWidget(picture(tw.Config()))
def move(alpha=(-2.0, 1.0, 0.01)):
    new = picture(tw.Config(alpha=10**alpha))
    with figure.batch_update():
        for old, trace in zip(figure.data, new["data"]):
            old.update(trace)
interact(move)
figure
"""


def chapter() -> tuple[str, str]:
    """The first two code cells of chapter 1: (imports and picture, the line that shows it)."""
    [source] = notebooks.sources(only="01")
    cells = notebooks.code_cells(source)
    picture, show = cells[1].split("\npresets", 1)
    return cells[0] + "\n" + picture, "presets" + show


class Browser:
    """One Lab and one Chromium for all pages."""

    def __enter__(self):
        from playwright.sync_api import sync_playwright
        self.lab = Lab(Path(tempfile.mkdtemp()))
        self.playwright = sync_playwright().start()
        self.chromium = self.playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
        self.count = 0
        return self

    def __exit__(self, *_):
        self.chromium.close()
        self.playwright.stop()
        self.lab.close()

    def page(self, *cells: str) -> Page:
        self.count += 1
        name = self.lab.notebook(f"page{self.count}", *cells)
        page = Page(self.lab, self.chromium.new_context(), 1300, 900)
        page.open(name)
        return page

    def close(self, page: Page) -> None:
        page.page.context.close()
        self.lab.end_kernels()

    def first_picture(self, code: str, ready: str) -> float:
        """Seconds from running a cell to the first painted picture."""
        page = self.page(code)
        page.cell(0).locator(".cm-content").click()
        start = time.monotonic()
        page.page.keyboard.press("Shift+Enter")
        page.page.locator(ready).first.wait_for(timeout=60_000)
        took = time.monotonic() - start
        self.close(page)
        return took

    def watched(self) -> tuple[float, float, list[float], list[float]]:
        """(steps a second, frames a second, click to paint idle, and while learning, in seconds)."""
        page = self.page(LIVE)
        page.run_cell(0)
        page.ready()
        page.page.evaluate((ROOT / "tests/browser/watch.js").read_text())
        page.page.evaluate("window.w = rlkitWatch(0); undefined")
        move = lambda k: page.page.evaluate(f"w.move('alpha', {k})") / 1000  # noqa: E731
        idle = [move(k) for k in range(40, 80, 2)]
        page.page.evaluate("w.press('.rlkit-run', 'running')")
        step = lambda: int(page.panel().get_attribute("data-rlkit-step"))  # noqa: E731
        page.page.wait_for_timeout(1000)
        first, start = step(), time.monotonic()
        frames = page.page.evaluate(f"w.rate({SECONDS})")
        speed = (step() - first) / (time.monotonic() - start)
        learning = [move(k) for k in range(20, 60, 2)]
        self.close(page)
        return speed, frames, idle, learning


def row(job: str, ours: list[float], peer: list[float], goal: str, ratios: list[float]) -> dict:
    return dict(part="screen", job=job, ours=float(np.median(ours)), peer=float(np.median(peer)), goal=goal,
                ratio=(float(np.median(ratios)), min(ratios), max(ratios)))


def bench(pairs: int = 5) -> list[dict]:
    """Rows; those of click to paint are the 95th percentile in seconds against what is asked."""
    head, show = chapter()
    alone, live, first = [], [], []
    with Browser() as b:
        for _ in range(pairs):
            alone.append(float(subprocess.run([sys.executable, "-c", ALONE], capture_output=True, text=True,
                                              check=True).stdout))
            live.append(b.watched())
            first.append((b.first_picture(f"{head}\n{show}", ".rlkit-panel[data-rlkit-ready]"),
                          b.first_picture(head + THEIRS, ".js-plotly-plot .scatterlayer .point")))
    speed, frames, idle, learning = zip(*live)
    ours, theirs = zip(*first)
    p95 = [[float(np.percentile(run, 95)) for run in what] for what in (idle, learning)]
    return [row("steps a second while watched, against headless", speed, alone, "≥ 0.8",
                [s / a for s, a in zip(speed, alone)]),
            row("frames a second while learning, against 10", frames, [10.0], "≥ 1", [f / 10 for f in frames]),
            row("first picture of chapter 1, against FigureWidget with interact", ours, theirs, "≥ 4",
                [t / o for o, t in first]),
            *(row(f"click to paint, {when}, 95th percentile, against {limit} s", took, [limit], "≤ 1",
                  [t / limit for t in took]) for when, limit, took in zip(("idle", "learning"), (0.15, 0.3), p95))]


if __name__ == "__main__":
    for r in bench():
        print(r)
