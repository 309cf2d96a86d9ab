"""A page of the book in a real browser, from a file, with the network cut off."""

import textwrap

import book
import pytest

pytestmark = pytest.mark.browser

CHAPTER = textwrap.dedent('''\
    # %% [markdown]
    # # A chapter
    #
    # Where $w_i \\\\propto e^{G_i/\\\\alpha}$, and
    #
    # $$\\\\sum_i w_i = 1.$$

    # %% tags=["hide-input"]
    from dataclasses import dataclass
    from typing import NamedTuple
    import numpy as np
    from rlkit import figures, live
    from rlkit.config import check, knob

    @dataclass(frozen=True)
    class Config:
        alpha: float = knob(0.5, 0, 1, symbol="α")
        steps: int = 100
        __post_init__ = check

    class Snapshot(NamedTuple):
        step: int

    def learner(cfg, rng, every=10):
        for step in range(0, cfg.steps + 1, every):
            yield Snapshot(step)

    def bars(height, says):
        return figures.board([figures.bars(["a"], [height], "A pane", "height", (0, 100))], says=says, height=300)

    def draw(history, cfg):
        return bars(history[-1].step, f"after {history[-1].step} steps")

    # %%
    live.Panel(learner, Config(), draw, every=10)

    # %%
    live.Explorer(lambda cfg: bars(100 * cfg.alpha, f"at {cfg.alpha:.3g}"), Config(), sweep="alpha")

    # %%
    live.Plot(bars(7, "seven"))
    ''').replace("\\\\", "\\")


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    folder = tmp_path_factory.mktemp("book")
    (folder / "text").mkdir()
    (folder / "text" / "01_chapter.py").write_text(CHAPTER)
    book.build([folder / "text" / "01_chapter.py"], folder / "book", told=lambda line: None)
    return folder / "book"


@pytest.fixture
def page(browser, pages):
    context = browser.new_context(offline=True)
    page = context.new_page()
    page.trouble, page.asked = [], []
    page.on("console", lambda m: page.trouble.append(m.text) if m.type in ("error", "warning") else None)
    page.on("pageerror", lambda e: page.trouble.append(str(e)))
    page.on("request", lambda r: page.asked.append(r.url))
    page.goto((pages / "01_chapter.html").as_uri())
    page.wait_for_selector("html[data-ready]")
    yield page
    context.close()


def drawn(page, i):
    """The height of the bar that figure i shows, once it is painted."""
    page.wait_for_function(f"document.querySelectorAll('.rlkit-plot')[{i}]?.dataset.rlkitFrame == "
                           f"Number(document.querySelectorAll('figure.recording')[{i}].dataset.frame) + 1")
    return page.evaluate(f"Number(document.querySelectorAll('.rlkit-plot')[{i}].data[0].y[0])")


def test_a_recorded_run_is_scrubbed_without_kernel_and_network(page):
    run = page.locator("figure.recording").nth(0)
    assert drawn(page, 0) == 100 and run.locator("figcaption").inner_text() == "after 100 steps"     # met at its end
    slider = run.get_by_role("slider", name="position in the recorded run")
    slider.focus()
    page.keyboard.press("Home")
    assert drawn(page, 0) == 0 and run.locator("figcaption").inner_text() == "after 0 steps"
    page.keyboard.press("ArrowRight")
    assert drawn(page, 0) == 10 and slider.get_attribute("aria-valuetext") == "picture 2 of 11"
    run.get_by_role("button", name="Play").click()
    page.wait_for_function("document.querySelector('figure.recording').dataset.frame == 10")
    assert drawn(page, 0) == 100
    assert page.trouble == [] and all(url.startswith(("file:", "data:", "blob:")) for url in page.asked)


def test_a_sweep_is_met_at_the_chapters_own_setting_and_a_plain_figure_has_no_slider(page):
    assert abs(drawn(page, 1) - 50) <= 3
    assert drawn(page, 2) == 7 and page.locator("figure.recording").nth(2).locator(".scrub").count() == 0
    assert page.trouble == []


def test_formulas_are_drawn_by_the_browser_itself(page):
    assert page.locator("math").count() == 2
    box = page.locator("math[display=block]").bounding_box()
    assert box["height"] > 15 and "$" not in page.locator("main").inner_text()


def test_without_scripts_each_panel_is_a_picture_with_its_sentence(browser, pages):
    context = browser.new_context(offline=True, java_script_enabled=False)
    page = context.new_page()
    page.goto((pages / "01_chapter.html").as_uri())
    pictures = page.locator("figure.recording img")
    assert pictures.count() == 3 and pictures.nth(0).get_attribute("alt") == "after 100 steps"
    assert pictures.nth(0).bounding_box()["width"] > 300 and not page.locator(".scrub").nth(0).is_visible()
    context.close()


def test_the_contents_lead_to_the_chapter(browser, pages):
    context = browser.new_context(offline=True)
    page = context.new_page()
    page.goto((pages / "index.html").as_uri())
    page.get_by_role("link", name="A chapter").click()
    page.wait_for_selector("html[data-ready]")
    assert page.title() == "A chapter"
    page.get_by_role("link", name="Contents").click()
    assert page.title() == "Papers you can play with"
    context.close()
