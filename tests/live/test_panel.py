"""The panel as an object: its Python buttons, its display, its ends. The browser is played by hand."""

import gc
import json
import time

import numpy as np
import plotly.graph_objects as go
import pytest

from rlkit import live
from rlkit.live import panel as module
from rlkit.live import plot as plots
from rlkit.live.plot import Screen

from .conftest import Config, draw, walk

VIEW = "application/vnd.jupyter.widget-view+json"


@pytest.fixture
def make(threads):
    made = []

    def panel(**more):
        made.append(live.Panel(walk, Config(), draw, every=10, **more))
        return made[-1]

    yield panel
    for p in made:
        p.close()
    made.clear()
    assert threads() == 0


def said(panel, **message):
    """What the browser would send."""
    panel.widget._handle_custom_msg(message, [])


# -- the Python buttons ----------------------------------------------------------------------------------------------


def test_what_the_buttons_do_can_be_done_in_python(make):
    p = make(presets={"Paper": Config(), "Break it": dict(alpha=10.0)})
    p.step()
    assert p.wait(10) and p.history[-1].step == 20
    p.set(alpha=0.5, sigma=0.9)
    assert p.wait(10) and p.cfg == Config(alpha=0.5, sigma=0.9)
    p.reset()
    p.run()
    p.pause()
    p.run()
    assert p.wait(20) and p.state == "done" and p.history[-1].step == 200
    p.pin()
    p.preset("Break it")
    assert p.wait(10) and p.cfg == Config(alpha=10.0) and p.state == "idle" and "Break it" in p.status
    p.close()
    with pytest.raises(RuntimeError, match="closed; run its cell again"):
        p.run()


def test_a_pace_slows_what_is_shown_and_not_what_is_learned(make):
    quick, slow = make(), make(pace=0.02)
    for p in (quick, slow):
        began = time.monotonic()
        p.run()
        assert p.wait(20) and p.state == "done"
    assert time.monotonic() - began >= 19 * 0.02, "twenty snapshots, each waited for"
    assert all(np.array_equal(a.theta, b.theta) for a, b in zip(quick.history, slow.history, strict=True))


def test_autorun_starts_by_itself(make):
    p = make(autorun=True)
    assert p.wait(20) and p.state == "done"


def test_the_browser_is_only_listened_to(make):
    """A callback puts the message on the queue and is gone: it works while the driver is busy, and from any thread."""
    p = make()
    said(p, do="knob", name="alpha", position=3, view="v", seq=1)
    said(p, do="run", view="v", seq=2)
    assert p.wait(20) and p.state == "done"
    now = p.widget.now
    assert now["heard"] == {"v": 2} and now["knobs"]["alpha"]["at"] == 3
    face = p.widget.face
    texts = {c["name"]: c["texts"] for c in face["controls"]}
    assert texts["alpha"][3] == now["knobs"]["alpha"]["text"]


def test_the_state_of_the_widget_is_the_whole_present(make):
    """A page that is loaded later gets the state and nothing else: the picture must be in it."""
    p = make()
    p.run()
    assert p.wait(20)
    until_frame = time.monotonic() + 5
    while p.widget.frame["figure"]["data"][0]["x"]["shape"] != [20]:
        assert time.monotonic() < until_frame
    state = p.widget.get_state()
    assert state["now"]["state"] == "done" and state["frame"]["n"] >= 1
    assert json.dumps({k: state[k] for k in ("now", "face", "ghosts")}, allow_nan=False)


# -- one frame at a time ---------------------------------------------------------------------------------------------


@pytest.fixture
def clock(monkeypatch):
    """A clock that we set, and no cell running."""
    now = [100.0]
    monkeypatch.setattr(plots.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(plots.Cell, "running", False)
    monkeypatch.setattr(plots.Cell, "ended", 0.0)
    return now


def test_the_next_frame_waits_for_every_view(clock):
    s = Screen(plots.PlotWidget())
    assert s.wait() == 0
    s.send({})
    s.acknowledge("a", 1)
    s.acknowledge("b", 1)
    assert s.wait() == 0
    s.send({})
    s.acknowledge("a", 2)
    assert s.wait() > 0  # b is still painting
    s.acknowledge("b", 2)
    assert s.wait() == 0


def test_a_view_that_vanished_is_forgotten_and_one_that_speaks_again_is_known(clock):
    s = Screen(plots.PlotWidget())
    s.acknowledge("gone", 0)
    s.send({})
    assert 0 < s.wait() <= plots.FORGET
    clock[0] += plots.FORGET + 0.01
    assert s.wait() == 0
    s.send({})
    assert 0 < s.wait() <= plots.MODEST  # nobody there: modestly
    s.acknowledge("gone", 2)
    assert s.wait() == 0


def test_while_a_cell_runs_frames_go_modestly_without_being_acknowledged(clock, monkeypatch):
    s = Screen(plots.PlotWidget())
    s.acknowledge("a", 0)
    s.send({})
    monkeypatch.setattr(plots.Cell, "running", True)
    assert 0 < s.wait() <= plots.MODEST
    clock[0] += plots.MODEST
    assert s.wait() == 0
    s.acknowledge("a", 1)
    clock[0] -= plots.MODEST
    assert s.wait() == 0  # ipykernel 7 hears it all the same, and need not be modest


def test_a_closed_view_is_not_waited_for(clock):
    s = Screen(plots.PlotWidget())
    s.acknowledge("a", 0)
    s.acknowledge("b", 0)
    s.send({})
    s.acknowledge("a", 1)
    s.leave("b")
    assert s.wait() == 0


def test_a_plot_sends_the_newest_figure_and_skips_the_others(clock):
    plot = live.Plot(draw(list(walk(Config(), np.random.default_rng(0))), Config()))
    plot.widget._handle_custom_msg(dict(do="ack", view="v", frame=1), [])
    sent = []
    plot.widget.observe(lambda change: sent.append(change["new"]["figure"]["layout"]["title"]), "frame")
    for k in range(50):
        plot.update(dict(data=[], layout=dict(title=k)))
    assert sent == [0]
    plot.widget._handle_custom_msg(dict(do="ack", view="v", frame=2), [])
    assert sent == [0, 49]
    with pytest.raises(TypeError, match="expected a plotly Figure"):
        plot.update("figure")
    plot.close()


# -- the ends --------------------------------------------------------------------------------------------------------


def test_running_a_cell_again_ends_the_panel_that_it_made_before(make, monkeypatch, threads):
    where = ["cell a", "first run"]
    monkeypatch.setattr(module, "_where", lambda title: tuple(where))
    one, two = make(), make()
    one._repr_mimebundle_()
    assert threads() == 2  # one cell may make two panels
    where[1] = "second run"
    three = make()
    assert threads() == 1 and three._driver.thread.is_alive() and not one._driver.thread.is_alive()
    assert not two._driver.thread.is_alive() and one not in module._shown
    where[0] = "cell b"
    make()
    assert threads() == 2


def test_a_panel_that_nobody_holds_and_nobody_shows_ends(threads):
    p = live.Panel(walk, Config(), draw)
    p.run()
    assert threads() == 1
    del p
    gc.collect()
    assert threads() == 0


def test_a_panel_on_the_page_lives_without_a_variable(threads):
    p = live.Panel(walk, Config(), draw)
    p._repr_mimebundle_()
    del p
    gc.collect()
    assert threads() == 1
    (shown,) = module._shown
    shown.close()
    assert threads() == 0


# -- display ---------------------------------------------------------------------------------------------------------


def test_it_is_shown_as_a_view_and_a_sentence_in_one_bundle(make):
    bundle = make()._repr_mimebundle_()
    assert bundle[VIEW]["model_id"] and bundle["text/plain"].startswith("at ") and "image/png" not in bundle


def test_headless_plays_the_run_to_its_end_without_a_thread(make, monkeypatch, threads):
    monkeypatch.setenv("RLKIT_HEADLESS", "1")
    p = make()
    assert p._repr_mimebundle_() == {"text/plain": draw(list(walk(Config(), np.random.default_rng(0), 10)), Config())
                                     ["layout"]["meta"]["says"]}
    assert threads() == 0 and p.state == "idle" and p.cfg == Config()
    with pytest.raises(RuntimeError, match="RLKIT_HEADLESS"):
        p.run()


def test_headless_does_not_hide_an_exception(monkeypatch):
    monkeypatch.setenv("RLKIT_HEADLESS", "1")

    def learner(cfg, rng, every):
        yield next(walk(cfg, rng, every))
        raise ZeroDivisionError("here")

    with pytest.raises(ZeroDivisionError, match="here"):
        live.Panel(learner, Config(), draw)._repr_mimebundle_()


def test_a_png_is_made_only_where_it_is_asked_for(make, monkeypatch):
    asked = []
    monkeypatch.setattr(plots, "png", lambda figure: asked.append(figure) or "cG5n")
    p = make()
    p._repr_mimebundle_()
    assert not asked
    monkeypatch.setenv("RLKIT_PNG", "1")
    bundle = p._repr_mimebundle_()
    assert set(bundle) == {VIEW, "image/png", "text/plain"}
    assert "after 200 steps" in bundle["text/plain"] and len(asked[0]["data"][0]["x"]) == 20  # the whole run


def test_a_recording_is_plain_figures_and_leaves_the_panel_alone(make):
    p = make()
    p.set(alpha=5.0)
    assert p.wait(10)
    frames = p.record(frames=7)
    assert len(frames) <= 7 and json.dumps(frames, allow_nan=False)
    assert frames[-1]["layout"]["meta"]["says"].endswith("after 200 steps") and p.history[-1].step == 10
    assert go.Figure(frames[-1]).data[0].x[-1] == 200


# -- the explorer ----------------------------------------------------------------------------------------------------


def picture(cfg):
    if cfg.alpha > 9:
        raise OverflowError("too hot")
    return dict(data=[dict(type="scatter", y=[cfg.alpha, cfg.sigma], meta=dict(pin=True))],
                layout=dict(meta=dict(says=f"alpha {cfg.alpha:g}")))


def test_an_explorer_answers_every_knob_with_a_picture_and_an_error_with_words():
    e = live.Explorer(picture, Config())
    try:
        e.set(sigma=0.9, alpha=2.0)  # sigma restarts a run; here there is none
        assert e.wait(10) and e._driver.figure["data"][0]["y"] == [2.0, 0.9]
        e.set(alpha=10.0)
        assert e.wait(10) and e.state == "error" and "too hot" in e.status
        e.set(alpha=1.0)
        assert e.wait(10) and e.state == "idle" and e._driver.figure["data"][0]["y"] == [1.0, 0.9]
        e.reset()
        assert e.wait(10) and e.cfg == Config()
        e.pin()
        e.run()
        assert e.wait(10) and "sweep=" in e.status and len(e._driver.ghosts) == 1
    finally:
        e.close()


def test_an_explorer_sweeps_its_knob(monkeypatch):
    e = live.Explorer(picture, Config(alpha=7.0), sweep="alpha")
    try:
        e._run.pace = 0.001
        e.step()
        assert e.wait(10) and 7.0 < e.cfg.alpha < 7.5
        said(e, do="run", view="v", seq=1)
        assert e.wait(20) and e.state == "error" and "too hot" in e.status and e.cfg.alpha > 9
    finally:
        e.close()
    assert [f["data"][0]["y"][0] for f in live.Explorer(lambda c: picture(c), Config(), sweep="sigma").record(3)] == [
        0.1, 0.1, 0.1]
    with pytest.raises(ValueError, match="sweep is 'rule', expected one of alpha"):
        live.Explorer(picture, Config(), sweep="rule")


@pytest.mark.parametrize("sweep", [None, "alpha"])
def test_a_page_without_a_kernel_shows_the_explorer_as_it_was_given(sweep, monkeypatch):
    monkeypatch.setenv("RLKIT_HEADLESS", "1")
    e = live.Explorer(picture, Config(alpha=2.0), sweep=sweep)
    assert e._repr_mimebundle_()["text/plain"] == "alpha 2"
    if sweep is None:
        assert [f["layout"]["meta"]["says"] for f in e.record(5)] == ["alpha 2"]
