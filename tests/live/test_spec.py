"""Figures as bytes."""

import json

import numpy as np
import plotly.graph_objects as go
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from rlkit.live.spec import LONG, pack, plain, says, spec


def unpack(node):
    return np.frombuffer(node["bytes"], "<" + node["rlkit"]).reshape(node["shape"])


@given(arrays(np.float64, st.integers(1, 60), elements=st.floats(-1e12, 1e12)))
def test_no_number_moves_by_more_than_a_millionth_of_the_range(x):
    """A millionth of an axis is a thousandth of a pixel."""
    assert np.abs(unpack(pack(x)) - x).max() <= 1e-6 * (x.max() - x.min()) + 6e-8 * (x.max() == x.min()) * abs(x[0])


@pytest.mark.parametrize(("a", "kind"), [
    (np.linspace(0, 1, 50), "f4"),
    (1e9 + np.linspace(0, 1, 50), "f8"),  # small steps far from zero
    (np.array([1e-60, 1.0]), "f8"),  # a log axis would lose it
    (np.array([np.nan, 1.0, 2.0]), "f4"),
    (np.arange(9), "i4"), (np.array([2**40]), "f8"), (np.array([True, False]), "u1"), (np.zeros(3, np.uint8), "u1"),
])
def test_each_array_travels_in_a_type_that_shows_it(a, kind):
    packed = pack(a)
    assert packed["rlkit"] == kind
    np.testing.assert_allclose(unpack(packed), a.astype(float), rtol=1e-6)


def test_words_dates_and_nothing_travel_as_lists():
    assert pack(np.array(["a", "b"])) == ["a", "b"]
    assert pack(np.array([])) == []
    assert pack(np.array(["2020-01-02"], "datetime64[D]")) == ["2020-01-02T00:00:00.000"]


def test_a_figure_and_the_dict_it_is_made_of_give_the_same_picture():
    x, z = np.arange(100.0), np.arange(12.0).reshape(3, 4)
    raw = dict(data=[dict(type="scatter", x=x, y=x**2, marker=dict(size=list(range(LONG + 1)))),
                     dict(type="heatmap", z=z)],
               layout=dict(title=dict(text="t"), meta=dict(says="s"), template=dict(layout=dict(font=dict(size=40)))))
    made = spec(go.Figure(raw))
    assert plain(made) == plain(spec(raw))
    assert "template" not in made["layout"]
    assert made["data"][0]["marker"]["size"]["rlkit"] == "i4" and made["data"][1]["z"]["shape"] == [3, 4]
    assert says(raw) == says(go.Figure(raw)) == "s" and says(go.Figure(layout=dict(title="only"))) == "only"


def test_a_plain_figure_is_json_and_plotly_takes_it_back():
    made = plain(spec(dict(data=[dict(type="scatter", y=np.array([1 / 3, np.nan, 2.0]), x=[float("nan"), 1.0])])))
    assert json.loads(json.dumps(made, allow_nan=False)) == made
    assert made["data"][0]["y"] == [0.33333, None, 2.0] and made["data"][0]["x"] == [None, 1.0]
    assert go.Figure(made).data[0].y[2] == 2.0


@pytest.mark.parametrize("wrong", [None, 3, "figure", dict(layout={}), [1]])
def test_what_is_no_figure_is_refused_in_words(wrong):
    with pytest.raises(TypeError, match="expected a plotly Figure"):
        spec(wrong)


@pytest.mark.parametrize("kind", ["f4", "f8", "i4", "u4", "u1"])
def test_a_picture_does_not_change_with_the_array_it_was_made_of(kind):
    x = np.arange(30).astype(kind) + (0 if kind != "f8" else 1e9)
    before, made = x.copy(), pack(x)
    x[:] = 0
    np.testing.assert_array_equal(unpack(made), before)
