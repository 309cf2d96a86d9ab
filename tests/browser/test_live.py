"""The panel in a real browser: Chromium, JupyterLab, ipykernel 6 (pinned) and once 7.

What is measured here is printed and kept in build/browser.json; it is asserted only with wide margins, since the
machine is shared. The figures to look at are: first picture 5 s, 10 frames a second, click to paint 150 ms (300 while
learning), Pause 300 ms.
"""

import statistics
from pathlib import Path

import pytest

pytestmark = pytest.mark.browser
WATCH = (Path(__file__).parent / "watch.js").read_text()
SLOPPY = 5  # a busy two-core machine is this much slower at times

PANEL = """
import learning as L
from rlkit import live
cfg = L.Config(steps=60_000)
panel = live.Panel(L.slow, cfg, L.draw, title="Finding one number in the noise", every=10,
                   knobs=["alpha", "sigma", "rule", "scattered", "runs", "seed"],
                   presets={"Paper": cfg, "Break it": dict(alpha=10.0, sigma=2.0),
                            "Momentum": dict(rule="momentum")})
panel
"""
EXPLORER = """
explorer = live.Explorer(L.picture, L.Config(alpha=0.5), knobs=["alpha", "sigma"], sweep="alpha",
                         title="How fast it forgets", presets={"Paper": L.Config(alpha=0.5), "Slow": dict(alpha=5.0)})
explorer
"""
BROKEN = PANEL.replace("L.slow", "learner").replace("panel = ", """
def learner(cfg, rng, every):
    for snapshot in L.slow(cfg, rng, every):
        if snapshot.step > 150:
            raise ZeroDivisionError("there is nothing left to divide by")
        cfg = (yield snapshot) or cfg
panel = """)
SLEEP = "import time; time.sleep(8); print('slept')"
THREADS = "import threading; print('threads', sum(t.name.startswith('rlkit') for t in threading.enumerate()))"


def first_picture(page, i=0, cell=0) -> float:
    """Run a cell; seconds from the key press to the first painted picture."""
    page.cell(cell).locator(".cm-content").click()
    page.page.evaluate("window.t0 = performance.now()")
    page.page.keyboard.press("Shift+Enter")
    page.ready(i)
    return page.page.evaluate("performance.now() - window.t0") / 1000


def watch(page, i=0, name="w"):
    page.page.evaluate(WATCH)
    page.page.evaluate(f"window.{name} = rlkitWatch({i}); undefined")


def state(page, i=0):
    return page.panel(i).get_attribute("data-rlkit-state")


def play(page, i=0):
    page.panel(i).locator(".rlkit-run").click()
    page.until(f"document.querySelectorAll('.rlkit-panel')[{i}].dataset.rlkitState === 'running'")


def keeps_moving(page, i=0, seconds=3.0) -> float:
    """Frames a second that are painted from now on."""
    return page.page.evaluate(f"window.w.rate({seconds})")


def median_move(page, name, positions, w="w") -> float:
    return statistics.median(page.page.evaluate(f"window.{w}.move('{name}', {p})") for p in positions)


@pytest.fixture(params=["python3", "k7"])
def kernel(request, lab):
    """The pinned ipykernel 6, and an ipykernel 7 installed beside it."""
    if request.param == "k7":
        lab.kernel7()
    return request.param


def test_the_panel_is_quick_and_keeps_moving(lab, open_page, kernel, merit):
    """First picture, frame rate, click to paint, Pause, a sleeping cell, re-running the cell: on both kernels."""
    tag = "ipykernel 6: " if kernel == "python3" else "ipykernel 7: "
    lab.notebook(f"quick-{kernel}", PANEL, SLEEP, EXPLORER, THREADS, kernel=kernel)
    page = open_page(f"quick-{kernel}")
    merit[tag + "first picture, s"] = first = first_picture(page)
    watch(page)

    idle = median_move(page, "alpha", range(62, 90, 4))
    play(page)
    merit[tag + "frames a second"] = rate = keeps_moving(page, seconds=4)
    learning = median_move(page, "alpha", range(20, 60, 6))
    assert page.panel().locator("text=/α .* from step/").count() or state(page) == "running"
    pauses = []
    for _ in range(5):
        pauses.append(page.page.evaluate("w.press('.rlkit-run', 'idle')"))
        page.page.evaluate("w.press('.rlkit-run', 'running')")
    merit[tag + "click to paint idle, ms"], merit[tag + "click to paint learning, ms"] = idle, learning
    merit[tag + "pause, ms"] = pause = statistics.median(pauses)
    assert first < 5 * SLOPPY and rate > 10 / SLOPPY
    assert idle < 150 * SLOPPY and learning < 300 * SLOPPY and pause < 300 * SLOPPY

    # another cell sleeps; the picture does not
    page.panel().locator(".rlkit-reset").click()
    play(page)
    page.run_cell(1)
    page.until("document.querySelector('.jp-Notebook').textContent.includes('[*]')")
    step = int(page.panel().get_attribute("data-rlkit-step"))
    merit[tag + "frames a second while a cell sleeps"] = rate = keeps_moving(page, seconds=3)
    assert rate > 1 and int(page.panel().get_attribute("data-rlkit-step")) > step
    page.panel().locator(".rlkit-run").click()
    if kernel == "python3":  # 6 cannot hear it before the cell has ended, and says so; 7 can
        page.page.get_by_text("Waiting for the cell or the update that is running").wait_for()
    assert page.page.get_by_text("slept", exact=True).count() == 0, "the cell was over before we looked"
    page.until("document.querySelector('.rlkit-panel').dataset.rlkitState === 'idle'")
    page.page.get_by_text("slept", exact=True).wait_for()

    # a second run of the cell ends the first panel's thread
    first_picture(page)
    page.run_cell(3)
    page.page.get_by_text("threads 1", exact=True).wait_for()
    assert page.console == []


def test_a_slow_browser_is_never_more_than_one_frame_behind(lab, open_page, merit):
    lab.notebook("throttled", PANEL)
    page = open_page("throttled")
    first_picture(page)
    watch(page)
    page.page.context.new_cdp_session(page.page).send("Emulation.setCPUThrottlingRate", {"rate": 6})
    play(page)
    merit["6x slower browser: frames a second"] = keeps_moving(page, seconds=4)
    merit["6x slower browser: pause, ms"] = pause = page.page.evaluate("w.press('.rlkit-run', 'idle')")
    merit["6x slower browser: frames behind, at most"] = behind = page.page.evaluate("w.lag")
    assert behind <= 1
    assert pause < 2000 * SLOPPY
    assert page.page.evaluate("w.painted.length") > 3
    assert page.console == []


def test_run_all_shows_the_picture_before_the_later_cells_are_done(lab, open_page):
    """On ipykernel 6 nothing that the browser says reaches the kernel until they are: the picture must not need it."""
    lab.notebook("run-all", PANEL + "\nNone", "panel", SLEEP, SLEEP.replace("slept", "slept again"))
    page = open_page("run-all")
    page.menu("Run", "Run All Cells")
    page.ready()
    assert page.page.get_by_text("slept again", exact=True).count() == 0


def test_what_is_drawn_while_the_page_shows_later_cells_has_its_words(lab, open_page):
    """Run All leaves the page at its end, and Lab has the browser skip the cells above. Text that is drawn in a cell
    that is skipped has no size, and in long chapters it kept none when one came back to it."""
    tall = "# a long cell\n" * 100
    plot = "live.Plot(L.draw([next(L.slow(cfg, __import__('numpy').random.default_rng(0), 10))], cfg))"
    end = "import time; time.sleep(3); print('the end')"
    lab.notebook("above", tall, PANEL, tall, EXPLORER, tall, plot, *[tall] * 3, end)
    page = open_page("above")
    page.menu("Run", "Run All Cells")
    page.page.get_by_text("the end", exact=True).wait_for(timeout=60_000)
    page.until("document.querySelectorAll('.rlkit-plot').length === 3")
    page.page.wait_for_timeout(1000)
    widths = page.page.evaluate("""[...document.querySelectorAll(".rlkit-plot")].map((plot) =>
        [...plot.querySelectorAll("svg text")].filter((t) => t.textContent.trim())
            .map((t) => t.getBoundingClientRect().width))""")
    assert [len(w) > 5 and min(w) > 2 for w in widths] == [True] * 3
    assert page.console == []


def test_a_reloaded_page_finds_the_panel_again_and_notebooks_share_one_plotly(lab, open_page):
    lab.notebook("other", "import learning as L\nfrom rlkit import live\n" + EXPLORER)
    lab.notebook("again", PANEL)
    page = open_page("again")
    first_picture(page)
    play(page)
    page.page.keyboard.press("Control+s")
    page.page.locator(".jp-mod-dirty").first.wait_for(state="detached")
    step = int(page.panel().get_attribute("data-rlkit-step"))
    page.page.reload()
    page.ready()
    page.until(f"Number(document.querySelector('.rlkit-panel').dataset.rlkitStep) > {step}")
    watch(page)
    assert page.page.evaluate("w.press('.rlkit-run', 'idle')") < 5000
    page.page.evaluate("window.mine = globalThis.rlkitPlotly")
    page.page.get_by_text("other.ipynb").first.dblclick()
    page.connected("other")
    page.page.locator(".jp-NotebookPanel:not(.lm-mod-hidden) .cm-content", has_text="Explorer").click()
    page.page.keyboard.press("Shift+Enter")
    page.page.locator(".jp-NotebookPanel:not(.lm-mod-hidden) .rlkit-panel[data-rlkit-ready]").wait_for()
    assert page.page.evaluate("window.mine === globalThis.rlkitPlotly && window.Plotly === undefined || !!window.mine")
    assert page.console == []


def test_every_control_has_a_name_a_value_in_words_and_keys(lab, open_page):
    lab.notebook("keys", PANEL)
    page = open_page("keys")
    first_picture(page)
    panel = page.panel()
    slider = page.page.get_by_role("slider", name="α learning rate")
    assert slider.get_attribute("aria-valuetext") == "0.1"
    slider.focus()
    page.page.keyboard.press("ArrowRight")  # Lab has a use for this key, too
    page.page.keyboard.press("ArrowRight")
    page.until("document.querySelector('.rlkit-knob-alpha').getAttribute('aria-valuetext') !== '0.1'")
    page.page.get_by_text("α 0.12.", exact=True).wait_for()  # it came back from the kernel
    page.page.keyboard.press("Home")
    page.page.get_by_text("α 0.001.", exact=True).wait_for()
    panel.locator("label", has_text="learning rate").dblclick()
    page.page.get_by_text("α 0.1.", exact=True).wait_for()
    for role, name in [("combobox", "rule"), ("switch", "scattered start"), ("spinbutton", "seed"),
                       ("button", "Another random seed"), ("button", "Step"), ("button", "Reset"),
                       ("button", "Pin"), ("button", "Copy"), ("button", "Momentum"), ("progressbar", "Progress")]:
        assert panel.get_by_role(role, name=name).count() == 1, (role, name)
    runs = page.page.get_by_role("button", name="Run", exact=True).and_(page.page.locator(".rlkit-run"))
    runs.focus()
    page.page.keyboard.press("Enter")
    page.until("document.querySelector('.rlkit-panel').dataset.rlkitState === 'running'")
    page.page.keyboard.press("Space")
    page.until("document.querySelector('.rlkit-panel').dataset.rlkitState === 'idle'")
    assert "the median of θ is" in panel.locator(".rlkit-plot[role=img]").get_attribute("aria-label")
    panel.locator("select").select_option("momentum")
    panel.locator(".rlkit-copy").click()
    page.page.get_by_text('then rule=\'momentum\' from step').wait_for()
    panel.locator(".rlkit-knob-scattered").click()
    page.page.get_by_text("scattered start off applies on Reset.").wait_for()
    assert panel.locator(".rlkit-pill", has_text="applies on Reset").count() == 1
    assert page.console == []


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_it_fits_at_1300_and_700_pixels(lab, open_page, dark):
    """Nothing is cut off, nothing overlaps, the picture has its 60 %; the screens are kept to be looked at."""
    theme = "dark" if dark else "light"
    lab.theme(dark)
    try:
        lab.notebook(f"look-{theme}", PANEL.replace("60_000", "9_000"), EXPLORER)
        page = open_page(f"look-{theme}")
        first_picture(page)
        panel = page.panel()
        panel.locator(".rlkit-preset", has_text="Momentum").click()
        play(page)
        page.until("Number(document.querySelector('.rlkit-panel').dataset.rlkitStep) > 700")
        panel.locator(".rlkit-pin").click()
        panel.locator(".rlkit-preset", has_text="Paper").click()
        page.until("document.querySelector('.rlkit-panel').dataset.rlkitStep > 500 "
                   "&& document.querySelector('.rlkit-preset[aria-pressed=true]')?.textContent === 'Paper'")
        page.page.evaluate(WATCH)
        page.page.evaluate("window.w = rlkitWatch(0); w.move('alpha', 84)")
        page.page.wait_for_timeout(800)
        panel.locator(".rlkit-knob-runs").press("ArrowRight")
        panel.locator(".rlkit-run").click()
        page.until("document.querySelector('.rlkit-panel').dataset.rlkitState !== 'running'")
        boxes = {k: panel.locator(f".rlkit-{k}").bounding_box() for k in ("stage", "side")}
        assert boxes["stage"]["width"] >= 0.6 * panel.bounding_box()["width"] and boxes["side"]["width"] <= 320
        page.shot(f"panel_1300_{theme}")
        first_picture(page, 1, cell=1)
        page.page.wait_for_timeout(300)
        page.shot(f"explorer_1300_{theme}")
        page.page.set_viewport_size(dict(width=700, height=1400))
        page.page.keyboard.press("Escape")
        page.page.keyboard.press("Control+b")  # the file browser goes
        panel.scroll_into_view_if_needed()
        page.page.wait_for_timeout(1200)
        knob, figure = panel.locator(".rlkit-knobs").first.bounding_box(), panel.locator(".rlkit-figure").bounding_box()
        assert knob["y"] >= figure["y"] + figure["height"], "the controls stand under the figure"
        assert page.page.evaluate("""[...document.querySelectorAll('.rlkit-panel')].every(
            (p) => p.scrollWidth <= p.clientWidth + 1)"""), "nothing is cut off"
        page.page.evaluate("document.querySelector('.rlkit-panel').scrollIntoView()")
        page.shot(f"panel_700_{theme}")
        assert page.console == []
    finally:
        lab.theme(False)


def test_an_explorer_an_error_and_a_plot(lab, open_page, merit):
    """Three small things on one page, since the page takes longer than they do."""
    imports = "import learning as L\nfrom rlkit import live\n"
    lab.notebook("three", imports + EXPLORER, BROKEN, imports + "plot = live.Plot(L.picture(L.Config()))\nplot",
                 "for k in range(300):\n    plot.update(L.picture(L.Config(alpha=1 + k / 100)))")
    page = open_page("three")

    # the explorer follows the slider, and sweeps it
    first_picture(page)
    watch(page)
    merit["explorer: click to paint, ms"] = took = median_move(page, "alpha", range(10, 110, 9))
    assert took < 150 * SLOPPY
    panel = page.panel()
    panel.locator(".rlkit-run").click()  # the sweep starts where the slider stands and moves it
    at = panel.locator(".rlkit-knob-alpha").input_value()
    page.until(f"document.querySelector('.rlkit-knob-alpha').value > {at}")
    page.until("document.querySelector('.rlkit-panel').dataset.rlkitState === 'done'")
    assert panel.locator(".rlkit-knob-alpha").get_attribute("aria-valuetext") == "10"

    # an error stands in the panel in words, and Reset recovers
    first_picture(page, 1, cell=1)
    panel = page.panel(1)
    panel.locator(".rlkit-run").click()
    page.until("document.querySelectorAll('.rlkit-panel')[1].dataset.rlkitState === 'error'")
    assert "nothing left to divide by" in panel.get_attribute("data-rlkit-error")
    assert "ZeroDivisionError" in panel.locator(".rlkit-status").inner_text()
    panel.get_by_text("Where it happened").click()
    assert "in learner" in panel.locator(".rlkit-trace pre").inner_text()
    page.shot("error_1300_light")
    panel.locator(".rlkit-reset").click()
    page.until("document.querySelectorAll('.rlkit-panel')[1].dataset.rlkitState === 'idle'")
    assert panel.get_attribute("data-rlkit-error") == ""

    # a plot alone takes the newest figure, not every figure
    page.run_cell(2)
    plot = page.page.locator(".rlkit-alone .rlkit-plot[data-rlkit-frame]")
    plot.wait_for()
    page.run_cell(3)
    page.until("document.querySelector('.rlkit-alone .rlkit-plot').getAttribute('aria-label').includes('α = 3.99 ')")
    assert int(plot.get_attribute("data-rlkit-frame")) < 300
    assert page.console == []


GRAPH = """
import learning as L
from rlkit import live
live.Explorer(L.adjacency, L.Team(), title="Who sees whom", presets={"Paper": L.Team(), "None": dict(edges=())})
"""


def test_a_graph_is_drawn_by_mouse_and_by_keyboard_and_a_cycle_is_refused_in_words(lab, open_page):
    lab.notebook("graph", GRAPH)
    page = open_page("graph")
    first_picture(page)
    panel, value = page.panel(), page.panel().locator(".rlkit-graph-value")
    edge = lambda p, c: panel.get_by_role("switch", name=f"edge from agent {p} to agent {c}")  # noqa: E731
    agent = lambda i: panel.get_by_role("slider", name=f"agent {i}, place in the order")  # noqa: E731
    assert value.inner_text() == "0 → 1" and edge(0, 1).get_attribute("aria-checked") == "true"

    def click(p, c):
        """On the top of the arc, where a hand would."""
        x, y = edge(p, c).locator(".rlkit-hit").evaluate("""(path) => {
            const top = path.getPointAtLength(path.getTotalLength() / 2).matrixTransform(path.getScreenCTM());
            return [top.x, top.y]; }""")
        page.page.mouse.click(x, y)

    click(1, 2)
    panel.get_by_text("edges 0 → 1, 1 → 2.", exact=True).wait_for()
    edge(0, 2).focus()
    page.page.keyboard.press("Space")
    panel.get_by_text("edges 0 → 1, 0 → 2, 1 → 2.", exact=True).wait_for()
    assert edge(0, 2).evaluate("(node) => node === document.activeElement"), "the focus stays where it was"
    page.page.keyboard.press("Enter")
    panel.get_by_text("edges 0 → 1, 1 → 2.", exact=True).wait_for()

    # a cycle stands in red, is named, and the last valid graph is what the picture shows; mending it is one click
    click(2, 0)
    panel.get_by_text("not a DAG: ", exact=False).wait_for()
    assert panel.locator(".rlkit-edge.rlkit-bad").count() == 3
    page.shot("graph_cycle_light")
    assert page.panel().locator(".rlkit-plot").get_attribute("aria-label") == "2 edges."
    click(2, 0)
    panel.get_by_text("Mended: the settings are valid again.").wait_for()
    assert panel.locator(".rlkit-edge.rlkit-bad").count() == 0 and panel.get_attribute("data-rlkit-error") == ""

    # agent 2 goes to the front: by mouse, and back by keys; the edges turn with the order
    box, first = agent(2).bounding_box(), agent(0).bounding_box()
    page.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.page.mouse.down()
    page.page.mouse.move(first["x"] + 30, first["y"] + 10, steps=6)
    page.page.mouse.move(first["x"] + 2, first["y"] + 10, steps=3)
    page.page.mouse.up()
    panel.get_by_text("edges 0 → 1, 2 → 1.", exact=True).wait_for()
    assert agent(2).get_attribute("aria-valuetext") == "agent 2 acts as number 1 of 3"
    agent(2).focus()
    for _ in range(2):
        page.page.keyboard.press("ArrowRight")
    panel.get_by_text("edges 0 → 1, 1 → 2.", exact=True).wait_for()

    panel.locator(".rlkit-preset", has_text="None").click()
    page.until("document.querySelector('.rlkit-graph-value').textContent === 'no edge'")
    panel.locator(".rlkit-knob-nodes").focus()
    page.page.keyboard.press("ArrowRight")
    page.until("document.querySelectorAll('.rlkit-edge').length === 12")
    page.shot("graph_four_light")
    assert page.console == []
