"""Messages in, snapshots and words out. No browser."""

import time
from dataclasses import dataclass

import numpy as np
import pytest

from rlkit.config import check
from rlkit.config import knob as knob_of
from rlkit.live import driver as module
from rlkit.live.runs import Run, Sweep
from rlkit.live.sync import SyncDriver
from rlkit.preparing import preparing

from .conftest import Config, draw, walk


def knob(driver, **values):
    for name, value in values.items():
        driver.put({"do": "knob", "name": name, "value": value})


def do(driver, what, **more):
    driver.put({"do": what, **more})
    assert driver.wait(20)


def until(test, seconds=10):
    end = time.monotonic() + seconds
    while not test():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.002)


def hooked(hook):
    """The walk, calling `hook(snapshot)` before it shows a snapshot; what the hook gives is shown instead."""

    def learner(cfg, rng, every):
        source, answer = walk(cfg, rng, every), None
        while True:
            try:
                snapshot = source.send(answer)
            except StopIteration:
                return
            answer = yield hook(snapshot) or snapshot

    return learner


# -- playing ---------------------------------------------------------------------------------------------------------


def test_the_first_picture_comes_without_a_message_and_nothing_runs_yet(played):
    d = played()
    assert (d.state, d.run.step, len(d.screen.frames)) == ("idle", 10, 1)


def test_run_goes_to_its_bound_and_is_done(played):
    d = played()
    do(d, "run")
    assert (d.state, d.run.step) == ("done", 200)
    assert d.screen.words[-1]["step"] == d.screen.words[-1]["total"] == 200
    assert "200 steps" in d.status


def test_the_bound_may_be_a_number_or_a_function_of_the_settings(played):
    for total in (50, lambda cfg: cfg.runs * 25):
        d = played(total=total)
        do(d, "run")
        assert (d.state, d.run.step) == ("done", 50)


def test_clicks_made_while_a_run_takes_long_to_begin_cost_one_beginning(played):
    """A hundred resets, presets and drags in a row, as the first snapshot is awaited: what was wanted last begins."""
    begun = []

    def slow(cfg, rng, every):
        begun.append(cfg)
        time.sleep(0.3)
        yield from walk(cfg, rng, every)

    d = played(slow)
    before = len(begun)
    d.put({"do": "reset"})
    until(lambda: len(begun) == before + 1)
    for k in range(50):
        d.put({"do": "reset"})
        knob(d, seed=k)
        d.put({"do": "preset", "name": "Paper"})
        knob(d, runs=4 + k % 3)
    knob(d, seed=7, runs=5)
    d.put({"do": "step"})
    assert d.wait(20)
    assert len(begun) == before + 2 and (begun[-1].seed, begun[-1].runs) == (7, 5)
    assert (d.run.cfg, d.wanted, d.state, d.run.step) == (begun[-1], begun[-1], "idle", 20)
    assert d.status == "Step 20."


@pytest.fixture
def warming(played, monkeypatch):
    """(a Driver in the midst of a warm start of sixty lessons, the settings and the last lesson of each start)."""
    monkeypatch.setattr(module, "PATIENCE", 0.1)
    starts = []

    def slow(cfg, rng, every):
        if cfg.runs > 2:
            starts.append([cfg, 0])
            for k in preparing(range(1, 61), "lesson", of=60):
                starts[-1][1] = k
                time.sleep(0.01)
        yield from walk(cfg, rng, every)

    d = played(slow, presets={"Many": dict(runs=8)})
    knob(d, runs=5)
    until(lambda: starts and starts[0][1] > 20)
    return d, starts


def test_a_warm_start_is_told_while_it_lasts_and_clicks_on_run_and_copy_leave_it_alone(warming):
    d, starts = warming
    until(lambda: "Getting ready: lesson " in d.screen.words[-1]["status"])
    assert d.screen.words[-1]["status"].endswith(" of 60…") and not d.wait(0)
    d.put({"do": "run"})
    d.put({"do": "copied"})
    assert d.wait(20)
    assert [(cfg.runs, k) for cfg, k in starts] == [(5, 60)]
    assert d.run.step == 200 and "Getting ready" not in d.screen.words[-1]["status"]


@pytest.mark.parametrize("ask, runs", [
    (dict(do="reset"), 5), (dict(do="knob", name="runs", value=6), 6), (dict(do="knob", name="alpha", value=1.0), 5),
    (dict(do="preset", name="Many"), 8), (dict(do="preset", name="Paper"), 2)])
def test_reset_and_other_settings_end_a_warm_start_and_what_follows_is_as_if_it_had_never_been(warming, ask, runs):
    d, starts = warming
    d.put({"do": "pin"})  # asked for before: there is nothing to pin any more
    d.put(ask)
    assert d.wait(20)
    assert starts[0][1] < 60 and [cfg.runs for cfg, k in starts if k == 60] == [runs] * (runs > 2)
    assert d.state == "idle" and d.error == "" and d.run.cfg == d.wanted and d.wanted.runs == runs
    assert d.screen.frames[-1]["layout"] == SyncDriver(Run(walk, draw, d.wanted, every=10)).run.figure()["layout"]
    assert [words["error"] for words in d.screen.words if words["error"]] == []


def test_run_and_then_other_settings_in_a_warm_start_play_the_other_settings(warming):
    d, starts = warming
    d.put({"do": "run"})
    knob(d, runs=6)
    assert d.wait(20)
    assert (d.state, d.run.step, d.run.cfg.runs) == ("done", 200, 6)
    assert {words["step"] for words in d.screen.words if words["state"] in ("error", "done")} == {200}


def test_a_panel_that_is_closed_ends_its_warm_start(warming, threads):
    d, starts = warming
    d.stop()
    assert threads() == 0 and starts[0][1] < 60


def test_pause_acts_within_one_snapshot(played):
    """The learner itself asks for the pause while it works on a snapshot: that snapshot is the last."""

    def hook(snapshot):
        if snapshot.step == 70:
            d.put({"do": "pause"})

    d = played(hooked(hook))
    d.put({"do": "run"})
    until(lambda: d.state == "idle" and d.run.step >= 70)
    assert d.wait(5) and d.run.step == 70
    assert d.status == "Paused at step 70."


def test_pause_does_not_queue_behind_pictures_that_nobody_acknowledges(played):
    d = played(cfg=Config(steps=100_000))
    d.screen.open = False
    d.put({"do": "run"})
    until(lambda: d.run.step > 500)
    d.put({"do": "pause"})
    until(lambda: d.screen.words[-1]["state"] == "idle")
    assert len(d.screen.frames) == 1  # the first picture; the browser was never ready for another


def test_step_goes_one_snapshot_further(played):
    d = played()
    do(d, "step")
    do(d, "step")
    assert (d.state, d.run.step) == ("idle", 30)


def test_reset_starts_the_same_run_again(played):
    d = played()
    do(d, "run")
    first = [s.theta for s in d.run.history]
    do(d, "reset")
    assert (d.state, d.run.step) == ("idle", 10)
    do(d, "run")
    np.testing.assert_array_equal(first, [s.theta for s in d.run.history])


def test_run_after_the_end_starts_over(played):
    d = played()
    do(d, "run")
    d.put({"do": "run"})
    assert d.wait(20) and (d.state, d.run.step) == ("done", 200)
    assert d.run.history[0].step == 10


def test_the_thread_and_the_loop_without_a_thread_play_the_same_run(played):
    d = played()
    do(d, "run")
    alone = Run(walk, draw, Config(), None, 10)
    SyncDriver(alone).play()
    np.testing.assert_array_equal([s.theta for s in d.run.history], [s.theta for s in alone.history])
    plain = list(walk(Config(), np.random.default_rng(0), 10))
    np.testing.assert_array_equal([s.theta for s in plain], [s.theta for s in alone.history])


def test_an_idle_driver_sleeps_for_ever(played):
    d = played()
    assert d._patience() is None
    do(d, "run")
    assert d._patience() is None


def test_frames_leave_no_more_often_than_the_eye_can_follow(played):
    d = played(cfg=Config(steps=20_000))
    began = time.monotonic()
    do(d, "run")
    assert len(d.screen.frames) <= 3 + (time.monotonic() - began) / module.FASTEST


# -- controls --------------------------------------------------------------------------------------------------------


def test_a_live_knob_acts_on_the_next_update_and_leaves_a_mark(played):
    def hook(snapshot):
        if snapshot.step == 40:
            knob(d, alpha=5.0)

    d = played(hooked(hook))
    do(d, "run")
    assert [s.alpha for s in d.run.history] == [0.1] * 4 + [5.0] * 16  # it went on; it did not start over
    (mark,) = d.screen.words[-1]["marks"]
    assert mark == dict(step=40, text="α 5")


def test_a_restart_knob_waits_for_reset_and_says_so(played):
    d = played()
    do(d, "step")
    knob(d, sigma=0.9)
    assert d.wait(5)
    words = d.screen.words[-1]
    assert d.run.cfg.sigma == 0.5 and d.wanted.sigma == 0.9 and d.run.step == 20
    assert words["knobs"]["sigma"]["waits"] and not words["knobs"]["alpha"]["waits"]
    assert "applies on Reset" in words["status"]
    do(d, "reset")
    assert d.run.cfg.sigma == 0.9 and not d.screen.words[-1]["knobs"]["sigma"]["waits"]


def test_a_live_knob_that_belongs_to_a_setting_that_waits_for_reset_waits_with_it(played):
    """An edge to a third agent, while two are at work; what has nothing to do with it acts at once."""

    @dataclass(frozen=True)
    class Team(Config):
        n: int = knob_of(2, 1, 4, says="agents", restart=True)
        edges: tuple = knob_of((), graph="n", says="who sees whom")

        def __post_init__(self):
            check(self)
            if any(max(e) >= self.n for e in self.edges):
                raise ValueError(f"edges name an agent that is not among the {self.n}")

    d = played(cfg=Team())
    do(d, "step")
    knob(d, n=3)
    knob(d, edges=[[0, 2]], alpha=0.7)
    assert d.wait(20) and (d.state, d.error) == ("idle", "")
    assert (d.run.cfg.n, d.run.cfg.edges, d.run.cfg.alpha) == (2, (), 0.7)
    assert d.screen.words[-1]["knobs"]["edges"]["waits"] and not d.screen.words[-1]["knobs"]["alpha"]["waits"]
    knob(d, n=2)  # not without the edge, which is refused in words
    assert d.wait(20) and "not among the 2" in d.error
    do(d, "reset")
    assert (d.run.cfg.n, d.run.cfg.edges, d.state, d.error) == (3, ((0, 2),), "idle", "")


def test_a_fault_of_the_panel_itself_stands_in_the_panel_and_reset_recovers(played, threads, monkeypatch):
    d = played()
    with monkeypatch.context() as broken:
        broken.setattr(module, "changed", lambda *_: 1 / 0)
        knob(d, alpha=0.3)
        assert d.wait(20) and d.state == "error" and "ZeroDivisionError in the panel itself" in d.error
    do(d, "reset")
    assert (d.state, d.error, threads()) == ("idle", "", 1)
    do(d, "run")
    assert d.state == "done"


def test_before_the_first_run_every_knob_applies_at_once(played):
    d = played()
    knob(d, sigma=0.9, runs=5)
    assert d.wait(5)
    assert d.run.cfg == Config(sigma=0.9, runs=5) and len(d.run.history[0].theta) == 5
    assert d.screen.words[-1]["marks"] == []


def test_ten_thousand_slider_events_leave_one_run_and_the_last_value(played, threads):
    starts = []

    def learner(cfg, rng, every):
        starts.append(cfg.alpha)
        yield from walk(cfg, rng, every)

    d = played(learner)
    for k in range(10_000):
        d.put({"do": "knob", "name": "alpha", "position": k % 100, "view": "v", "seq": k})
    assert d.wait(20)
    last = d.controls["alpha"].value(9_999 % 100)
    assert d.run.cfg.alpha == d.wanted.alpha == last == starts[-1]
    assert len(starts) < 500 and threads() == 1
    assert d.heard == {"v": 9_999}


def test_a_drag_is_one_change_with_one_mark(played):
    d = played(cfg=Config(steps=100_000))
    d.put({"do": "run"})
    until(lambda: d.run.step > 100)
    for k, value in enumerate((0.2, 0.4, 0.8)):
        d.put({"do": "knob", "name": "alpha", "value": value, "drag": 7})
        until(lambda value=value: d.run.cfg.alpha == value)
        until(lambda s=d.run.step: d.run.step > s)
        assert len(d.run.changes) == 1, k
    d.put({"do": "knob", "name": "alpha", "value": 3.0, "drag": 8})
    until(lambda: d.run.cfg.alpha == 3.0)
    assert [c["new"] for c in d.run.changes] == [0.8, 3.0]


def test_clicks_that_arrive_in_the_wrong_order_mean_what_was_clicked_last(played):
    d = played(cfg=Config(steps=100_000))
    for seq, what in ((2, "pause"), (1, "run")):
        d.put({"do": what, "view": "v", "seq": seq})
    d.put({"do": "knob", "name": "alpha", "value": 3.0, "view": "v", "seq": 5})
    d.put({"do": "knob", "name": "alpha", "value": 2.0, "view": "v", "seq": 4})
    d.put({"do": "knob", "name": "rule", "value": "momentum", "view": "v", "seq": 3})
    assert d.wait(10)
    assert d.state == "idle" and (d.wanted.alpha, d.wanted.rule) == (3.0, "momentum") and d.heard == {"v": 5}


def test_a_value_that_the_settings_refuse_is_refused_in_words_and_the_run_goes_on(played):
    d = played()
    knob(d, alpha=-1.0)
    assert d.wait(5)
    assert d.wanted.alpha == 0.1 and d.state == "idle"
    assert "alpha is -1.0, expected > 0" in d.error and d.screen.words[-1]["tone"] == "error"
    knob(d, alpha=0.3)
    assert d.wait(5) and d.error == ""


def test_an_unknown_knob_preset_or_button_is_named(played):
    d = played()
    knob(d, beta=1.0)
    assert d.wait(5) and "'beta'" in d.error and "alpha" in d.error
    do(d, "preset", name="Nope")
    assert "'Nope'" in d.error and "Paper" in d.error
    do(d, "reset")
    do(d, "dance")
    assert "'dance'" in d.error


def test_a_preset_sets_everything_and_starts_over(played):
    d = played(presets={"Break it": dict(alpha=10.0, sigma=0.0)})
    do(d, "run")
    do(d, "preset", name="Break it")
    assert d.run.cfg == Config(alpha=10.0, sigma=0.0) and d.run.step == 10 and d.state == "idle"
    assert d.screen.words[-1]["preset"] == "Break it"
    do(d, "preset", name="Paper")
    assert d.run.cfg == Config() and d.screen.words[-1]["preset"] == "Paper"
    assert not any(k["unlike"] for k in d.screen.words[-1]["knobs"].values())


def test_a_preset_chosen_while_learning_learns_on(played):
    d = played(presets={"Wide": dict(runs=8)}, cfg=Config(steps=50_000))
    d.put({"do": "run"})
    until(lambda: d.run.step > 100)
    d.put({"do": "preset", "name": "Wide"})
    until(lambda: d.run.cfg.runs == 8 and d.run.step > 100)
    assert d.state == "running"


def test_double_click_puts_a_knob_back_to_the_paper(played):
    d = played(cfg=Config(alpha=0.4))
    knob(d, alpha=2.0)
    d.put({"do": "knob", "name": "alpha", "reset": True})
    assert d.wait(5) and d.wanted.alpha == 0.4


# -- pin and copy ----------------------------------------------------------------------------------------------------


def test_pin_keeps_the_curves_labelled_with_what_differs_and_at_most_four(played):
    d = played()
    do(d, "pin")
    assert d.ghosts[0]["label"] == "Paper" and d.ghosts[0]["traces"][0]["name"] == "walk"
    for alpha in (0.2, 0.3, 0.4, 0.5):
        knob(d, alpha=alpha)
        do(d, "pin")
        assert d.ghosts[-1]["traces"][0]["y"] == module.spec(d.run.figure())["data"][0]["y"]  # as is said
    assert [g["label"] for g in d.ghosts] == ["α 0.2", "α 0.3", "α 0.4", "α 0.5"]
    assert len({g["key"] for g in d.ghosts}) == 4
    do(d, "reset")
    assert len(d.ghosts) == 4
    do(d, "unpin", key=d.ghosts[0]["key"])
    assert [g["label"] for g in d.ghosts] == ["α 0.3", "α 0.4", "α 0.5"]


def test_pin_without_curves_says_so(played):
    d = played(draw=lambda h, cfg: dict(data=[dict(type="bar", y=[1])], layout={}))
    do(d, "pin")
    assert d.ghosts == [] and "no curves to pin" in d.status


def test_copy_gives_the_python_that_rebuilds_the_settings(played):
    d = played()
    knob(d, alpha=0.2, rule="momentum")
    do(d, "copied")
    assert eval(d.copy) == d.run.cfg == Config(alpha=0.2, rule="momentum")  # noqa: S307
    assert d.copy in d.status
    do(d, "step")
    knob(d, alpha=0.3)
    assert d.wait(5)
    assert eval(d.copy) == Config(alpha=0.2, rule="momentum")  # noqa: S307  the run began with this
    assert d.copy.endswith("# then alpha=0.3 from step 20")


# -- what goes wrong -------------------------------------------------------------------------------------------------


def test_an_exception_in_the_learner_stands_in_the_panel_and_reset_recovers(played):
    fail = [True]

    def hook(snapshot):
        if snapshot.step == 50 and fail[0]:
            raise ZeroDivisionError("nothing left to divide by")

    d = played(hooked(hook))
    do(d, "run")
    assert (d.state, d.run.step) == ("error", 40)
    assert d.error == "ZeroDivisionError in the learner: nothing left to divide by"
    assert "in hook" in d.trace and d.screen.words[-1]["error"] == d.error
    fail[0] = False
    do(d, "reset")
    assert (d.state, d.error, d.trace) == ("idle", "", "")
    do(d, "run")
    assert d.state == "done"


def test_an_exception_before_the_first_snapshot_stands_in_the_panel(played):
    def learner(cfg, rng, every):
        raise FileNotFoundError("no such dataset")
        yield

    d = played(learner)
    assert d.state == "error" and "no such dataset" in d.error


def test_an_exception_while_drawing_stands_in_the_panel_and_reset_recovers(played):
    def picky(history, cfg):
        if len(history) > 5 and cfg.alpha < 1:
            raise KeyError("colour")
        return draw(history, cfg)

    d = played(draw=picky)
    do(d, "run")
    assert d.state == "error" and "KeyError while drawing" in d.error and "picky" in d.trace
    knob(d, alpha=2.0)
    do(d, "reset")
    do(d, "run")
    assert d.state == "done" and d.error == ""


def test_a_draw_that_gives_no_figure_is_told_what_is_expected(played):
    d = played(draw=lambda history, cfg: None)
    assert d.state == "error" and "expected a plotly Figure" in d.error


def test_a_nan_stops_the_run_and_names_the_quantity_the_step_and_the_knob(played):
    def hook(snapshot):
        if snapshot.step >= 80 and snapshot.alpha > 1:
            return snapshot._replace(theta=np.array([0.0, np.nan]))

    d = played(hooked(hook))
    for _ in range(3):
        do(d, "step")
    knob(d, alpha=4.0)
    do(d, "run")
    assert d.state == "error" and d.run.step == 80
    assert "theta became NaN at step 80" in d.error and "alpha" in d.error and d.trace == ""
    do(d, "reset")
    assert d.state == "idle"


# -- threads and memory ----------------------------------------------------------------------------------------------


def test_stop_ends_the_thread_in_mid_run(played, threads):
    d = played(cfg=Config(steps=100_000))
    d.put({"do": "run"})
    until(lambda: d.run.step > 100)
    assert threads() == 1
    d.stop()
    assert threads() == 0


def test_memory_is_flat_over_two_thousand_frames(played, monkeypatch):
    """Allocations after 2,500 frames against those after 500: what a leak of one array a frame would double."""
    import gc
    import tracemalloc

    monkeypatch.setattr(module.Driver, "_due", lambda self: 0.0)
    d = played(cfg=Config(steps=100_000), every=1)
    sent = [0]
    d.screen.send = lambda picture, **words: sent.__setitem__(0, sent[0] + 1)
    d.screen.show = lambda **words: None
    d.show = lambda **words: None
    tracemalloc.start()
    try:
        d.put({"do": "run"})
        until(lambda: sent[0] >= 500, 60)
        gc.collect()
        early = tracemalloc.get_traced_memory()[0]
        until(lambda: sent[0] >= 2_500, 120)
        gc.collect()
        late = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert late - early < 300_000  # 400 snapshots of two arrays are about 150 kB; 2,000 frames of them 6 MB


# -- exploring -------------------------------------------------------------------------------------------------------


def test_a_sweep_moves_its_knob_from_end_to_end():
    seen = []
    sweep = Sweep(lambda cfg: seen.append(cfg.alpha), Config(), "alpha", (0.1, 0.5, 2.0))
    SyncDriver(sweep).play()
    assert sweep.cfg.alpha == 2.0
    assert [f for f in SyncDriver(Sweep(lambda c: c.alpha, Config(), "alpha", (0.1, 0.5, 2.0))).frames(3)] == [
        0.1, 0.5, 2.0]


@pytest.mark.parametrize("n", [1, 2, 7, 20, 50])
def test_a_recording_is_evenly_spread_and_has_both_ends(n):
    frames = SyncDriver(Run(walk, lambda h, cfg: h[-1].step, Config(), None, 10)).frames(n)
    assert len(frames) <= n and frames[-1] == 200 and (n == 1 or frames[0] == 10)
    unbounded = SyncDriver(Run(walk, lambda h, cfg: h[-1].step, Config(), lambda cfg: None, 10)).frames(n)
    assert len(unbounded) <= n and unbounded[-1] == 200


# -- abuse -----------------------------------------------------------------------------------------------------------


def test_a_learner_that_shows_the_same_step_for_ever_is_stopped_in_words_and_reset_recovers(played):
    def stuck(cfg, rng, every):
        snapshot = next(walk(cfg, rng, every))
        while True:
            yield snapshot

    d = played(stuck)
    do(d, "run")
    assert d.state == "error" and "step 10" in d.error and "grows" in d.error
    do(d, "reset")
    assert (d.state, d.error) == ("idle", "")


def test_an_update_that_never_ends_is_ended_with_its_panel(played, threads):
    before = threads()

    def endless(snapshot):
        while snapshot.step > 50:
            pass

    d = played(hooked(endless))
    d.put({"do": "run"})
    until(lambda: d.run.step == 50)
    d.put({"do": "reset"})  # goes unheard
    d.stop(wait=0.1)
    until(lambda: threads() == before)


def unhurried(played):
    """A run that outlasts the test."""
    d = played(hooked(lambda _: time.sleep(0.002)), Config(steps=100_000), every=1)
    d.put({"do": "run"})
    until(lambda: d.run.step > 3)
    return d


def test_a_run_that_nobody_looks_at_any_more_is_paused(played, monkeypatch):
    monkeypatch.setattr(module, "ALONE", 0.05)
    d = unhurried(played)
    d.put({"do": "bye", "view": "a"})
    assert d.wait(20) and d.state == "idle"
    d.put({"do": "run"})  # asked for by a line of Python: it plays without a view
    step = d.run.step
    until(lambda: d.run.step > step + 60)
    assert d.state == "running"


def test_a_view_that_comes_back_at_once_finds_the_run_running(played, monkeypatch):
    """A cell that is moved closes its view and opens another."""
    monkeypatch.setattr(module, "ALONE", 0.05)
    d = unhurried(played)
    d.put({"do": "bye", "view": "a"})
    d.put({"do": "ack", "view": "b", "frame": 1})
    step = d.run.step
    until(lambda: d.run.step > step + 60)
    assert d.state == "running"
