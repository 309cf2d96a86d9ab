"""The panel under abuse, in a real browser: whatever is done to it, it stays alive, says what is wrong, and ends."""

import pytest
from monkey import BUSY, CHAPTERS, GAUGE, Monkey, first_panel, gauge

pytestmark = pytest.mark.browser
STATE = "document.querySelector('.rlkit-panel').dataset.rlkitState"
STEP = "Number(document.querySelector('.rlkit-panel').dataset.rlkitStep)"
FLAT = 1.1  # memory afterwards, against memory after warming up


def no_dead_control(page) -> int:
    """Each control changes what the kernel says; gives how many there are."""
    panel = page.panel()
    if panel.locator(".rlkit-more").count() and not panel.locator(".rlkit-more[open]").count():
        panel.locator(".rlkit-more summary").click()
    fields = panel.locator(".rlkit-field")
    for i in range(fields.count()):
        field = fields.nth(i)
        node = field.locator("input, select, [data-edge]").first
        node.scroll_into_view_if_needed()
        page.page.evaluate("document.querySelector('.rlkit-panel .rlkit-status').textContent = '?'")
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
        page.until("!['?', ''].includes(document.querySelector('.rlkit-panel .rlkit-status').textContent)", 180_000)
        field.locator("label").dblclick()  # put back: the next one starts from valid settings
    return fields.count()


def run_runs_and_pause_pauses(page) -> None:
    panel = page.panel()
    if not panel.locator(".rlkit-run").count():
        return
    panel.locator(".rlkit-run").click()
    page.until(f"['running', 'done'].includes({STATE})", 180_000)
    page.until(f"{STATE} === 'done' || {STEP} > 0", 180_000)
    if panel.locator(".rlkit-run", has_text="Pause").count():
        panel.locator(".rlkit-run").click()
    page.until(f"['idle', 'done'].includes({STATE})", 180_000)


def monkey_on(lab, open_page, chapter: str, rounds: int, actions: int, seed: int, merit) -> None:
    lab.notebook(f"monkey-{chapter}", *first_panel(chapter), BUSY.format(seconds=2), GAUGE)
    page = open_page(f"monkey-{chapter}")
    page.run_cell(0)
    page.ready(timeout=180_000)
    page.page.keyboard.press("Control+b")  # the file browser makes room
    monkey, readings = Monkey(page, seed), []
    for _ in range(rounds):
        for k in range(actions):
            if k % 25 == 5:
                page.run_cell(1)  # another cell runs meanwhile
            monkey.act()
        monkey.calm()
        readings.append(gauge(page, 2))
    warm, last = readings[0], readings[-1]
    merit[f"monkey, chapter {chapter[:2]}"] = dict(
        actions=monkey.made, said=sorted(monkey.errors), threads=last["threads"],
        kernel_MB=[round(r["rss"] / 1e6) for r in readings], page_MB=[round(r["heap"] / 1e6, 1) for r in readings],
        nodes=[r["nodes"] for r in readings])
    page.shot(f"monkey_{chapter[:2]}")
    assert len(last["threads"]) == 1
    assert all("Reset" in e or "Error" in e for e in monkey.errors)
    for what in ("rss", "heap", "nodes") if rounds > 1 else ():
        assert last[what] <= FLAT * warm[what], what
    merit[f"monkey, chapter {chapter[:2]}"]["controls alive"] = no_dead_control(page)
    monkey.calm()
    run_runs_and_pause_pauses(page)
    assert page.panel().get_attribute("data-rlkit-error") == ""
    assert page.console == []


@pytest.mark.parametrize("chapter", CHAPTERS[:1])
def test_sixty_random_pokes_leave_every_control_alive_and_one_run(lab, open_page, chapter, merit):
    monkey_on(lab, open_page, chapter, 1, 60, 1, merit)
