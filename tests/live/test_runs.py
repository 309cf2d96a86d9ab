"""What is played: bounded history, marks, and numbers that are no numbers."""

import sys
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlkit.live.runs import KEPT, Diverged, Run, check_finite

from .conftest import Config, draw, walk


def finished(cfg, every):
    run = Run(walk, draw, cfg, None, every)
    run.reset(cfg)
    while run.pull():
        pass
    return run


@settings(deadline=None)  # a busy machine is no error
@given(st.integers(10, 3000))
def test_history_is_thinned_evenly_and_keeps_both_ends(steps):
    run = finished(Config(steps=steps), every=1)
    at = [s.step for s in run.history]
    assert len(at) <= KEPT + 1 and at[0] == 1 and at[-1] == steps
    assert len(set(np.diff(at[:-1]))) <= 1  # one stride; only the last may stand closer


def test_by_default_a_run_shows_about_four_hundred_snapshots():
    assert Run(walk, draw, Config(steps=40_000)).every == 100
    assert Run(walk, draw, Config(steps=50)).every == 1


def test_a_change_back_and_forth_leaves_no_mark():
    run = Run(walk, draw, Config(), None, 10)
    run.reset(Config())
    run.change(Config(alpha=1.0))
    run.change(Config())
    assert run.changes == []


class Deep(NamedTuple):
    step: int
    inner: Any


@dataclass
class Box:
    q: Any


@pytest.mark.parametrize(("bad", "name"), [
    (float("nan"), "inner"),
    (np.array([1.0, np.inf]), "inner"),
    (np.float32("nan"), "inner"),
    ([0.0, {"loss": float("-inf")}], r"inner\[1\]\['loss'\]"),
    (Box(np.full((2, 2), np.nan)), r"inner\.q"),
    (Deep(1, (1.0, np.nan)), r"inner\.inner\[1\]"),
])
def test_a_number_that_is_none_is_found_wherever_it_hides(bad, name):
    run = Run(walk, draw, Config(), None, 10)
    what = "NaN" if "nan" in repr(bad).lower() else "infinite"
    with pytest.raises(Diverged, match=rf"^{name} became {what} at step 7, .*alpha"):
        check_finite(Deep(7, bad), 7, run)


@pytest.mark.parametrize("fine", [None, print, "nan", 3, True, np.arange(3), np.array(["a"]), [None, 1.0], float])
def test_nothing_and_functions_and_words_are_not_numbers(fine):
    check_finite(Deep(7, fine), 7, Run(walk, draw, Config(), None, 10))


def test_a_tensor_is_looked_into():
    torch = pytest.importorskip("torch")
    run = Run(walk, draw, Config(), None, 10)
    check_finite(Deep(7, torch.zeros(3)), 7, run)
    with pytest.raises(Diverged, match="inner became NaN"):
        check_finite(Deep(7, torch.tensor([0.0, float("nan")])), 7, run)


def test_the_advice_names_the_knob_that_was_moved_last():
    run = Run(walk, draw, Config(), None, 10)
    run.reset(Config())
    assert "try another value of alpha or rule" in run.advice()
    run.change(Config(alpha=9.0))
    assert run.advice() == "put alpha back towards 0.1 (it is 9.0)"


def test_the_live_package_imports_neither_torch_nor_plotly():
    import subprocess

    code = "import sys, rlkit.live; print([m for m in ('torch', 'plotly', 'kaleido') if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip() == "[]"
