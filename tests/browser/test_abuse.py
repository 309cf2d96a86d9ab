"""The panel under abuse, in a real browser: whatever is done to it, it stays alive, says what is wrong, and ends."""

import os
import re
import time

import psutil
import pytest
from monkey import BUSY, GAUGE, THIS, Line, Monkey, gauge
from panels import CHAPTERS, panel_cells, shows_panel

pytestmark = pytest.mark.browser
STATE = f"{THIS.format(0)}.dataset.rlkitState"
STEP = f"Number({THIS.format(0)}.dataset.rlkitStep)"
FLAT = 1.1  # memory afterwards, against memory after warming up
TEN_MINUTES = 600
PANEL = """
import learning as L
from rlkit import live
panel = live.Panel(L.lasting, L.Config(steps=100_000), L.draw, title="abused", every=10)
panel
"""


def started(page, cell=0) -> None:
    page.run_cell(cell)
    page.ready(timeout=45_000)
    runs(page)


def runs(page) -> None:
    page.panel().locator(".rlkit-run").click()
    page.until(f"{STATE} === 'running' && {STEP} > 50", 45_000)


def goes_on(page) -> None:
    step = page.page.evaluate(STEP)
    page.until(f"{STATE} === 'running' && {STEP} > {step}", 45_000)


def meter(page, process):
    """A function: shares of a core that kernel and page took since now. CPU time does not depend on who else works."""
    cdp = page.page.context.new_cdp_session(page.page)
    cdp.send("Performance.enable", {"timeDomain": "threadTicks"})

    def spent():
        page_s = {m["name"]: m["value"] for m in cdp.send("Performance.getMetrics")["metrics"]}["TaskDuration"]
        return time.monotonic(), sum(process.cpu_times()[:2]), page_s

    began, *before = spent()

    def shares() -> tuple[float, float]:
        now, *after = spent()
        cdp.detach()  # it is read once
        return tuple((b - a) / (now - began) for a, b in zip(before, after))

    return shares


def busy(page, process, seconds: float) -> tuple[float, float]:
    """The shares over so many seconds."""
    shares = meter(page, process)
    page.page.wait_for_timeout(1000 * seconds)
    return shares()


@pytest.fixture(scope="module")
def left_alone(apart):
    """(page, meter, when it began) of a tab whose run is over; it stands there while the monkeys play elsewhere."""
    lab, open_page = apart
    lab.notebook("left", PANEL.replace("100_000", "600"), GAUGE)
    page = open_page("left")
    started(page)
    page.until(f"{STATE} === 'done'", 45_000)
    kernel = psutil.Process(gauge(page, 1)["pid"])
    page.page.wait_for_timeout(2000)
    return page, meter(page, kernel), time.monotonic()


def no_dead_control(page, i: int) -> int:
    """Each control of panel i changes what the kernel says; gives how many there are."""
    panel, status = page.panel(i), f"{THIS.format(i)}.querySelector('.rlkit-status')"
    if panel.locator(".rlkit-more").count() and not panel.locator(".rlkit-more[open]").count():
        panel.locator(".rlkit-more summary").click()
    fields = panel.locator(".rlkit-field")
    for k in range(fields.count()):
        field = fields.nth(k)
        node = field.locator("input, select, [data-edge]").first
        node.scroll_into_view_if_needed()
        page.page.evaluate(f"{status}.textContent = '?'")
        kind = field.get_attribute("class")
        if "rlkit-slider" in kind:
            before = node.get_attribute("aria-valuetext")
            node.press("End" if node.input_value() != node.get_attribute("max") else "Home")
            assert node.get_attribute("aria-valuetext") != before, kind
        elif "rlkit-choice" in kind:
            count = node.locator("option").count()
            node.select_option(index=(int(node.input_value()) + 1) % count)
        elif "rlkit-seed" in kind:
            field.locator(".rlkit-dice").click()
        elif "rlkit-graph" in kind:
            node.press("Enter")
        else:
            node.click()
        page.until(f"!['?', ''].includes({status}.textContent)", 180_000)
        field.locator("label").dblclick()  # put back: the next one starts from valid settings
    return fields.count()


def run_runs_and_pause_pauses(page, i: int = 0) -> None:
    button, this = page.panel(i).locator(".rlkit-run"), THIS.format(i) + ".dataset"
    if not button.count():
        return
    button.click()
    page.until(f"{this}.rlkitState === 'done' || {this}.rlkitState === 'running' && {this}.rlkitStep > 0", 180_000)
    if page.panel(i).locator(".rlkit-run", has_text="Pause").count():
        button.click()
    page.until(f"['idle', 'done'].includes({this}.rlkitState)", 180_000)


def kept_by_lab(page, cell: int, times: int = 20) -> dict:
    """What the page keeps of each cell that is chosen, the panels standing still: Lab lets go of none, of any kind."""
    before = gauge(page, cell)
    for _ in range(times):
        page.panel().locator(".rlkit-status").click()
        page.cell(cell).locator(".jp-InputPrompt").first.click()
    after = gauge(page, cell)
    chosen = after["chosen"] - before["chosen"]
    assert chosen >= 2 * times
    return {what: max(0, after[what] - before[what]) / chosen for what in ("heap", "nodes")} | dict(rss=0)


def monkey_on(lab, open_page, chapter: str, rounds: int, actions: int, seed: int, merit) -> None:
    """Pokes at the first panel of a chapter, or, with ALL_PANELS=1 in the environment, at all of its panels at once.

    Their notebook has the cells that they need. All 24 panels take 25 minutes, more than the long tests may.
    """
    cells = panel_cells(CHAPTERS[chapter], first="ALL_PANELS" not in os.environ)
    panels, busy, gauge_ = sum(map(shows_panel, cells)), len(cells), len(cells) + 1
    lab.notebook(f"monkey-{chapter}", *cells, BUSY.format(seconds=2), GAUGE)
    page = open_page(f"monkey-{chapter}")
    page.page.keyboard.press("Control+b")  # the file browser makes room
    for k in range(len(cells)):
        page.run_cell(k)
    for i in range(panels):
        page.ready(i, timeout=180_000)
    monkey, readings = Monkey(page, seed), []
    for _ in range(rounds):
        for k in range(actions):
            if k % 25 == 5:
                page.run_cell(busy)  # another cell runs meanwhile
            monkey.act()
        monkey.calm()
        readings.append(gauge(page, gauge_))
    warm, last = readings[0], readings[-1]
    by_lab = kept_by_lab(page, gauge_) if rounds > 1 else {}
    merit[f"monkey, chapter {chapter[:2]}"] = found = dict(
        panels=panels, actions=monkey.made, said=sorted(monkey.errors), threads=last["threads"],
        kernel_MB=[round(r["rss"] / 1e6) for r in readings], held_MB=[round(r["held"] / 1e6) for r in readings],
        page_MB=[round(r["heap"] / 1e6, 1) for r in readings],
        nodes=[r["nodes"] for r in readings], cells_chosen=[r["chosen"] for r in readings],
        kept_by_lab_of_each={k: round(v) for k, v in by_lab.items()})
    page.shot(f"monkey_{chapter[:2]}")
    assert len(last["threads"]) == panels
    assert all("Reset" in e or "Error" in e for e in monkey.errors)
    for what, own in by_lab.items():
        assert last[what] - own * (last["chosen"] - warm["chosen"]) <= FLAT * warm[what], what
    found["controls alive"] = [no_dead_control(page, i) for i in range(panels)]
    monkey.calm()
    for i in range(panels):
        run_runs_and_pause_pauses(page, i)
        assert page.panel(i).get_attribute("data-rlkit-error") == ""
    assert page.console == []


@pytest.mark.parametrize("chapter", list(CHAPTERS)[:1])
def test_sixty_random_pokes_leave_every_control_alive_and_one_run(lab, open_page, chapter, merit):
    monkey_on(lab, open_page, chapter, 1, 60, 1, merit)


@pytest.mark.slow
@pytest.mark.usefixtures("left_alone")
@pytest.mark.parametrize("chapter", CHAPTERS)
def test_two_hundred_random_pokes_leave_every_control_alive_one_run_and_no_memory(lab, open_page, chapter, merit):
    monkey_on(lab, open_page, chapter, 3, 70, 2, merit)


# -- the kernel, the page and the line between them ------------------------------------------------------------------


def test_interrupt_reload_cells_rerun_and_restart_in_mid_run_leave_one_run_alive(lab, open_page):
    lab.notebook("abused", PANEL, BUSY.format(seconds=600), GAUGE)
    page = open_page("abused")
    started(page)

    # interrupt: the cell ends, the run does not
    page.run_cell(1)
    page.until("document.querySelector('.jp-Notebook').textContent.includes('[*]')")
    page.menu("Kernel", "Interrupt Kernel")
    page.page.get_by_text("KeyboardInterrupt").first.wait_for(timeout=45_000)
    goes_on(page)

    # reload
    page.page.keyboard.press("Control+s")
    page.page.locator(".jp-mod-dirty").first.wait_for(state="detached")
    page.page.reload()
    page.ready(timeout=45_000)
    goes_on(page)

    # the cell again and again: each ends the run of the one before
    page.connected("abused")
    for _ in range(10):
        page.run_cell(0)
    assert len(gauge(page, 2)["threads"]) == 1
    page.until(f"{STATE} === 'idle' && {STEP} === 10", 45_000)
    assert page.page.locator(".rlkit-panel").count() == 1

    # restart in mid-run: the run is gone with its kernel, and the cell makes another
    runs(page)
    page.menu("Kernel", "Restart Kernel…")
    page.page.locator(".jp-Dialog .jp-mod-accept").click()
    page.page.locator(".jp-Dialog").wait_for(state="detached")
    page.connected("abused")
    page.console.clear()  # Lab speaks of the kernel that went away
    page.run_cell(0)
    page.page.locator(".rlkit-panel[data-rlkit-ready][data-rlkit-step='10']").wait_for(timeout=45_000)
    run_runs_and_pause_pauses(page)
    assert len(gauge(page, 2)["threads"]) == 1
    assert page.console == []


def cut_for(lab, open_page, seconds: float, merit) -> None:
    line = Line(lab)
    try:
        lab.notebook("cut", PANEL)
        page = open_page("cut", by=line.lab)
        # a cut that lasts is told by Lab in a dialog that covers the page until it is closed
        page.page.add_locator_handler(page.page.locator(".jp-Dialog"), lambda d: d.get_by_role("button").click())
        started(page)
        line.cut()
        page.page.wait_for_timeout(1000 * seconds)
        step = page.page.evaluate(STEP)
        line.restore()
        page.until(f"{STATE} === 'running' && {STEP} > {step} + 100", 45_000)
        page.panel().locator(".rlkit-run").click()
        page.until(f"{STATE} === 'idle'", 45_000)
        run_runs_and_pause_pauses(page)
        assert page.panel().get_attribute("data-rlkit-error") == ""
        merit[f"said in the console, line cut for {seconds} s"] = sorted({e[:80] for e in page.console})
        assert not [e for e in page.console if "rlkit" in e]  # Lab may say that it was cut off
    finally:
        line.close()


def test_a_line_that_is_cut_and_mended_leaves_the_panel_alive(lab, open_page, merit):
    cut_for(lab, open_page, 3, merit)


@pytest.mark.slow
def test_a_line_that_is_cut_for_ten_seconds_leaves_the_panel_alive(lab, open_page, merit):
    cut_for(lab, open_page, 10, merit)


@pytest.mark.slow
def test_a_tab_left_for_ten_minutes_after_its_run_costs_nothing_and_still_answers(left_alone, merit):
    page, shares, since = left_alone
    page.page.wait_for_timeout(max(0, 1000 * (since + TEN_MINUTES - time.monotonic())))
    kernel_share, page_share = merit[f"CPU of a tab left for {time.monotonic() - since:.0f} s"] = shares()
    assert kernel_share < 0.005 and page_share < 0.03
    assert len(gauge(page, 1)["threads"]) == 1
    runs(page)
    assert page.console == []


def test_a_finished_run_costs_nothing_and_one_whose_cell_is_deleted_is_paused(lab, open_page, merit):
    short = PANEL.replace("100_000", "600")
    lab.notebook("deleted", short, "from rlkit.live import driver\ndriver.ALONE = 3\n" + PANEL, GAUGE,
                 "print('it is', panel.state)")
    page = open_page("deleted")
    started(page)
    page.until(f"{STATE} === 'done'", 45_000)
    kernel = psutil.Process(gauge(page, 2)["pid"])
    page.page.wait_for_timeout(2000)
    kernel_share, page_share = merit["CPU after a finished run, shares of a core"] = busy(page, kernel, 10)
    assert kernel_share < 0.05 and page_share < 0.05

    page.run_cell(1)
    page.ready(1, timeout=45_000)
    page.panel(1).locator(".rlkit-run").click()
    page.until("document.querySelectorAll('.rlkit-panel')[1].dataset.rlkitState === 'running'", 45_000)
    page.cell(1).locator(".jp-InputPrompt").first.click()
    page.menu("Edit", "Delete Cells?")
    page.until("document.querySelectorAll('.rlkit-panel').length === 1")
    idle = page.page.get_by_text("it is idle", exact=True)
    for _ in range(60):  # a run this slow costs little: what the kernel says is asked, not its CPU time
        page.run_cell(2)  # the cells below have moved up
        page.page.wait_for_timeout(1000)
        if idle.count():
            break
    assert idle.count()
    shares = merit["CPU after its cell was deleted, shares of a core"] = busy(page, kernel, 10)
    assert max(shares) < 0.05
    assert page.console == []


# -- the order of cells ----------------------------------------------------------------------------------------------


def test_run_all_twice_and_cells_out_of_order_leave_one_run_alive(lab, open_page):
    lab.notebook("order", PANEL + "\nNone", "panel", GAUGE)
    page = open_page("order")
    page.run_cell(1)  # before its time: Python says so
    page.page.get_by_text("NameError").first.wait_for(timeout=60_000)
    for _ in range(2):
        page.menu("Run", "Run All Cells")
    assert len(gauge(page, 2)["threads"]) == 1
    page.ready(timeout=45_000)
    page.until(f"{STATE} === 'idle' && {STEP} === 10", 45_000)
    runs(page)
    page.run_cell(0)  # another panel, while the cell below shows the old one
    assert len(gauge(page, 2)["threads"]) == 1
    page.run_cell(1)
    page.page.locator(".rlkit-panel[data-rlkit-ready][data-rlkit-step='10']").wait_for(timeout=45_000)
    run_runs_and_pause_pauses(page)
    assert len(gauge(page, 2)["threads"]) == 1
    assert page.console == []


def test_two_notebooks_at_once_run_apart(lab, open_page):
    pages = []
    for name in ("one", "two"):
        lab.notebook(name, PANEL, GAUGE)
        pages.append(open_page(name))
        started(pages[-1])
    one, two = pages
    goes_on(one)
    one.panel().locator(".rlkit-run").click()
    one.until(f"{STATE} === 'idle'", 45_000)
    stands = one.page.evaluate(STEP)
    goes_on(two)
    assert one.page.evaluate(STEP) == stands
    found = [gauge(page, 1) for page in pages]
    assert [len(f["threads"]) for f in found] == [1, 1] and found[0]["pid"] != found[1]["pid"]
    assert one.console == two.console == []


WARM = """
import time
import learning as L
from rlkit import live
from rlkit.preparing import preparing

def warming(cfg, rng, every):
    for _ in preparing(range(3000 * (cfg.runs == 32)), "lesson", of=3000):
        time.sleep(0.01)
    yield from L.slow(cfg, rng, every)

show = live.Panel(warming, L.Config(steps=100_000), L.draw, title="warm", every=10,
                  presets={"Cold": L.Config(steps=100_000), "Warm": dict(runs=32)})
show
"""


def test_a_warm_start_of_half_a_minute_is_told_and_other_settings_end_it_at_once(lab, open_page, merit):
    lab.notebook("warm", WARM)
    page = open_page("warm")
    page.run_cell(0)
    page.ready(timeout=45_000)
    page.panel().locator(".rlkit-preset", has_text="Warm").click()
    told = page.panel().get_by_text(re.compile(r"Getting ready: lesson \d+ of 3000…"))
    told.wait_for()
    page.panel().locator(".rlkit-run").click()  # heard once it is over, and yet it is seen to be at work
    page.page.wait_for_timeout(3000)
    told.wait_for()
    began = time.monotonic()
    page.panel().locator(".rlkit-preset", has_text="Cold").click()
    page.until(f"{STATE} === 'running' && {STEP} > 50", 20_000)
    merit["from a warm start to other settings that run, s"] = time.monotonic() - began
    assert page.panel().get_attribute("data-rlkit-error") == ""
    assert page.console == []


# -- learners and figures that are no good ---------------------------------------------------------------------------

ODD = """
import numpy as np
import learning as L
from rlkit import live

def stuck(cfg, rng, every):
    snapshot = next(L.slow(cfg, rng, every))
    while True: yield snapshot

def endless(cfg, rng, every):
    for snapshot in L.slow(cfg, rng, every):
        while snapshot.step > 50: pass
        yield snapshot

def raises(history, cfg):
    if history[-1].step > 50: raise KeyError("no such curve")
    return L.draw(history, cfg)

def evil(history, cfg):
    bad = "<img src=x onerror='window.pwned=1'><script>window.pwned=1</script> " + 40 * "very long "
    x = np.arange(len(history) + 1.0)
    return dict(data=[dict(type="scatter", x=x, y=np.full_like(x, np.nan), name=bad)],
                layout=dict(title=dict(text=bad), xaxis=dict(title=dict(text=bad)), meta=dict(says=bad)))

def huge(history, cfg):
    x = np.arange(1e6)
    return dict(data=[dict(type="scatter", x=x, y=np.sin(x / 1e4), mode="lines")], layout=dict(title=dict(text="huge")))

bad = "<img src=x onerror='window.pwned=1'>"
show = lambda learner, draw, title="odd": live.Panel(learner, L.Config(steps=600), draw, title=title, every=10,
                                                     presets={"Paper": L.Config(steps=600), bad: dict(alpha=1.0)})
"""


def test_odd_learners_and_figures_are_told_in_words_and_inject_nothing(lab, open_page):
    lab.notebook("odd", ODD + "show(stuck, L.draw)", "show(L.slow, raises)", "show(L.slow, evil, bad)",
                 "show(L.slow, huge)", "show(endless, L.draw)", GAUGE)
    page = open_page("odd")
    page.page.keyboard.press("Control+b")
    state = lambda i: f"document.querySelectorAll('.rlkit-panel')[{i}].dataset.rlkitState"  # noqa: E731
    for i, words in enumerate(["grows", "no such curve", "", ""]):
        page.run_cell(i)
        page.ready(i, timeout=45_000)
        page.panel(i).locator(".rlkit-run").click()
        page.until(f"['done', 'error'].includes({state(i)})", 45_000)
        assert words in page.panel(i).get_attribute("data-rlkit-error")
        assert bool(words) == bool(page.panel(i).get_attribute("data-rlkit-error"))
        page.panel(i).locator(".rlkit-reset").click()
        page.until(f"{state(i)} === 'idle'", 45_000)
    page.panel(2).scroll_into_view_if_needed()
    page.shot("odd_evil")
    assert page.page.evaluate("window.pwned === undefined && !document.querySelector('.rlkit-panel img')")
    assert page.panel(2).evaluate("(p) => p.scrollWidth <= p.clientWidth + 1")

    # an update that never ends: the panel says so, other cells run, and the cell may be run again
    page.run_cell(4)
    page.ready(4, timeout=45_000)
    page.panel(4).locator(".rlkit-run").click()
    page.until(f"{state(4)} === 'running'", 45_000)
    page.page.wait_for_timeout(3000)  # by then it is past step 50, for good
    page.panel(4).locator(".rlkit-reset").click()
    page.panel(4).get_by_text("Waiting for the cell or the update that is running").wait_for()
    assert len(gauge(page, 5)["threads"]) == 5
    page.run_cell(4)
    assert len(gauge(page, 5)["threads"]) == 5, "the stuck thread has ended"
    page.until("document.querySelectorAll('.rlkit-panel')[4]?.dataset.rlkitStep === '10'", 45_000)
    assert page.console == []
