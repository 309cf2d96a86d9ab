"""What the abuse tests handle panels with: a monkey with a seed and gauges of what is left."""

import contextlib
import copy
import gc
import json
import random
import socket
import statistics
import threading

import psutil

THIS = "document.querySelectorAll('.rlkit-panel')[{}]"
BUSY = "import time; time.sleep({seconds}); print('over')"
GAUGE = """
import contextlib, ctypes, gc, json, os, psutil, threading
gc.collect(); gc.collect()
names = [t.name for t in threading.enumerate() if t.name.startswith("rlkit-live")]
held = psutil.Process().memory_info().rss
with contextlib.suppress(OSError, AttributeError, TypeError):
    ctypes.CDLL(None).malloc_trim(0)  # what is free, and glibc keeps for later, is no memory that was lost
with open("gauge.new", "w") as f: json.dump(dict(pid=os.getpid(), threads=names, held=held), f)
os.replace("gauge.new", "gauge.json")
"""


FIND = """(seed) => {
    const panels = [...document.querySelectorAll(".rlkit-panel")];
    const kinds = "button, input, select, summary, label, [data-edge], [data-agent], .rlkit-plot";
    const all = panels.flatMap((p) => [...p.querySelectorAll(kinds)]).filter((n) => n.checkVisibility() && !n.disabled);
    const node = all[seed % all.length];
    node.scrollIntoView({ block: "center" });
    window.poked = node;
    const box = node.getBoundingClientRect();
    return { tag: node.dataset.edge ? "EDGE" : node.dataset.agent ? "AGENT" : node.tagName, type: node.type ?? "",
             look: node.className?.baseVal ?? node.className, x: box.x, y: box.y, w: box.width, h: box.height,
             options: node.options?.length ?? 0 };
}"""


COUNT = """() => {
    if (window.chosen !== undefined) return;
    window.chosen = 0;
    const active = "jp-mod-active";
    new MutationObserver((all) => {
        for (const m of all) window.chosen += m.target.classList.contains(active) && !m.oldValue.includes(active);
    }).observe(document.querySelector(".jp-Notebook"),
               { subtree: true, attributes: true, attributeOldValue: true, attributeFilter: ["class"] });
}"""


class Monkey:
    """Pokes at everything that can be poked in the panels of a page: by mouse, by drag, by key."""

    KEYS = ("ArrowRight", "ArrowLeft", "Home", "End", "PageUp", "PageDown")

    def __init__(self, page, seed: int):
        self.page, self.rng, self.made = page, random.Random(seed), 0
        self.errors: set[str] = set()  # what panels have complained of, in their own words

    def act(self) -> None:
        page, rng = self.page.page, self.rng
        it = page.evaluate(FIND, rng.randrange(10**6))
        x, y = it["x"] + it["w"] * rng.uniform(0.1, 0.9), it["y"] + it["h"] * rng.uniform(0.1, 0.9)
        if it["type"] == "range" and rng.random() < 0.5 or it["tag"] in ("EDGE", "AGENT") and rng.random() < 0.4:
            page.evaluate("window.poked.focus()")
            for _ in range(rng.randint(1, 4)):
                page.keyboard.press(rng.choice(self.KEYS) if it["tag"] != "EDGE" else rng.choice(("Enter", "Space")))
        elif it["type"] == "range" or it["tag"] in ("AGENT", "DIV"):
            page.mouse.move(x, y)
            page.mouse.down()
            page.mouse.move(it["x"] + it["w"] * rng.random(), y, steps=rng.randint(1, 6))
            page.mouse.up()
        elif it["tag"] == "SELECT":
            page.evaluate("window.poked.focus()")
            page.keyboard.press(rng.choice(("ArrowDown", "ArrowUp", "Home", "End")))
        elif it["type"] == "number":
            page.evaluate("window.poked.focus(); window.poked.select()")
            page.keyboard.type(rng.choice(("7", "0", "-3", "99999999999", "1e3", "", "2.5")))
            page.keyboard.press("Enter")
        elif it["tag"] == "LABEL":
            page.mouse.dblclick(x, y)
        else:
            page.mouse.click(x, y, click_count=rng.choice((1, 1, 1, 2)))
        self.made += 1
        if words := page.evaluate("window.poked.closest('.rlkit-panel')?.dataset.rlkitError"):
            self.errors.add(words)

    def calm(self) -> None:
        """All paused, at the start, with the first preset and without ghosts: a state that can be compared."""
        self.page.page.keyboard.press("Escape")
        for i in range(self.page.page.locator(".rlkit-panel").count()):
            self._calm(i)

    def _calm(self, i: int) -> None:
        panel, ghosts = self.page.panel(i), self.page.panel(i).locator(".rlkit-ghost button")
        heard(self.page, i)
        while n := ghosts.count():
            ghosts.first.click()
            self.page.until(f"{THIS.format(i)}.querySelectorAll('.rlkit-ghost').length < {n}", 120_000)
        if panel.locator(".rlkit-run", has_text="Pause").count():
            panel.locator(".rlkit-run").click()
        if panel.locator(".rlkit-preset").count():
            panel.locator(".rlkit-preset").first.click()
        else:  # every setting back by itself
            for label in panel.locator(".rlkit-field label").all():
                if label.is_visible():
                    label.dblclick()
        panel.locator(".rlkit-reset").click()
        heard(self.page, i)
        self.page.until(f"['idle', 'done'].includes({THIS.format(i)}.dataset.rlkitState)", 120_000)


def heard(page, i: int, timeout: float = 180_000) -> None:
    """Wait until the kernel has answered panel i: its answer to a Copy comes after all that was asked before."""
    this, status = THIS.format(i), f"{THIS.format(i)}.querySelector('.rlkit-status')"
    page.page.evaluate(f"{status}.textContent = '?'")
    page.panel(i).locator(".rlkit-copy").click()
    page.until(f"/^Cop(y|ied)/.test({status}.textContent) || {this}.dataset.rlkitState === 'error'", timeout)
    assert page.panel(i).locator(".rlkit-status").inner_text()


def gauge(page, cell: int) -> dict:
    """{threads, pid, held, rss, heap, nodes, chosen}: what lives in the kernel, and its and the page's memory after
    collection.

    held: the kernel's resident memory with the free blocks that its allocator holds, rss: without.  chosen: how often
    a cell has become the active one since the first gauge.
    """
    page.page.evaluate(COUNT)
    path = page.lab.notebooks / "gauge.json"
    path.unlink(missing_ok=True)
    page.run_cell(cell)
    for _ in range(1200):
        if path.exists():
            break
        page.page.wait_for_timeout(100)
    found = json.loads(path.read_text())
    process = psutil.Process(found["pid"])
    cdp = page.page.context.new_cdp_session(page.page)
    cdp.send("Performance.enable")
    readings = []
    for _ in range(3):
        cdp.send("HeapProfiler.collectGarbage")
        page.page.wait_for_timeout(200)
        metrics = {m["name"]: m["value"] for m in cdp.send("Performance.getMetrics")["metrics"]}
        readings.append((process.memory_info().rss, metrics["JSHeapUsedSize"], metrics["Nodes"]))
    cdp.detach()
    gc.collect()
    rss, heap, nodes = (statistics.median(r) for r in zip(*readings))
    return dict(found, rss=rss, heap=heap, nodes=nodes, chosen=page.page.evaluate("window.chosen"))


class Line:
    """The network between a page and a Lab: a door on a port of its own that passes everything on, and can be cut."""

    def __init__(self, lab):
        self.to, self.open, self.pairs = lab.port, True, []
        self.door = socket.create_server(("127.0.0.1", 0))
        self.lab = copy.copy(lab)
        self.lab.url = f"http://127.0.0.1:{self.door.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                near, _ = self.door.accept()
            except OSError:
                return
            if not self.open:
                near.close()
                continue
            far = socket.create_connection(("127.0.0.1", self.to))
            self.pairs.append((near, far))
            for a, b in ((near, far), (far, near)):
                threading.Thread(target=self._pass, args=(a, b), daemon=True).start()

    @staticmethod
    def _pass(a, b):
        with contextlib.suppress(OSError):
            while data := a.recv(65536):
                b.sendall(data)
        Line._end(a, b)

    @staticmethod
    def _end(*sockets):
        for s in sockets:
            with contextlib.suppress(OSError):  # the other side was quicker
                s.shutdown(socket.SHUT_RDWR)

    def cut(self) -> None:
        self.open = False
        for pair in self.pairs:
            self._end(*pair)
            for s in pair:
                s.close()
        self.pairs = []

    def restore(self) -> None:
        self.open = True

    def close(self) -> None:
        self.cut()
        self.door.close()
