"""A figure is read by its numbers: what is drawn is what was given, wherever it stands and whatever it is called."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from rlkit import figures as f
from rlkit.live.spec import plain, spec


def test_a_band_holds_the_middle_half_of_the_runs():
    y = np.arange(20.0).reshape(1, 20).repeat(3, axis=0)  # [T=3, R=20]
    band, line = f.curves([0, 1, 2], {"AW": y}, "steps", "score").traces
    assert line["y"] == pytest.approx([9.5] * 3)
    inside = (y[0] >= band["y"].min()) & (y[0] <= band["y"].max())
    assert inside.mean() == pytest.approx(0.5)


def test_histogram_bars_sum_to_one_before_and_after_weighting():
    rng = np.random.default_rng(0)
    G, w = rng.normal(size=100), rng.random(100)
    after, before = f.histogram(G, w).traces
    assert after["y"].sum() == pytest.approx(1) and before["y"].sum() == pytest.approx(1)


def test_equal_returns_can_be_drawn():
    fig = f.board(
        [f.histogram(np.ones(5), np.ones(5)), f.weights(np.ones(5), np.full(5, 0.2), np.zeros(5, int), ["random"])]
    ).figure
    assert np.isfinite(fig.layout.xaxis.range).all() and np.isfinite(fig.layout.xaxis2.range).all()


def test_uniform_weights_lie_on_the_line_at_one():
    pane = f.weights(np.arange(4.0), np.full(4, 0.25), np.zeros(4, int), ["random"])
    assert pane.traces[0]["y"] == pytest.approx(np.ones(4)) and pane.shapes[0]["y0"] == 1


def test_the_longest_arrow_is_the_likeliest_move_and_points_where_it_leads():
    pi = np.zeros((2, 2, 4))
    pi[..., 2] = 1  # always right
    arrows = f.grid(np.ones((2, 2)), pi, {(1, 1): "★"}).traces[1]
    size, angle = arrows["marker"]["size"].reshape(3, 4), arrows["marker"]["angle"].reshape(3, 4)
    assert (size.argmax(1) == 2).all() and (angle[:, 2] == 90).all()
    right = arrows["x"].reshape(3, 4)[:, 2] - np.array([0, 1, 0])
    assert (right > 0).all()


def test_a_board_keeps_every_pane_in_its_own_axes_and_names_each_method_once():
    pane = f.curves([0, 1], {"AW": [0, 1], "uniform": [1, 0]}, "steps", "score", steps=True)
    fig = f.board([pane, pane, pane], says="two lines cross").figure
    assert [t.xaxis for t in fig.data] == ["x", "x", "x2", "x2", "x3", "x3"]
    assert [t.name for t in fig.data if t.showlegend] == ["AW", "uniform"]
    assert fig.layout.meta["steps"] == ["x", "x2", "x3"] and fig.layout.meta["says"] == "two lines cross"
    left, right = fig.layout.xaxis.domain, fig.layout.xaxis2.domain
    assert left[1] < right[0] and fig.layout.yaxis3.domain[1] < fig.layout.yaxis.domain[0]


def test_no_two_methods_look_alike_without_colour():
    assert len({(v.dash, v.symbol) for v in f.LOOK.values()}) == len(f.LOOK)


def test_every_colour_is_told_apart_on_a_light_and_on_a_dark_page():
    """WCAG 2.1 asks 3:1 of what colour alone tells; ours reach 2:1 and carry dash and marker too."""

    def luminance(c):
        v = np.array([int(c[i : i + 2], 16) / 255 for i in (1, 3, 5)])
        return np.where(v <= 0.03928, v / 12.92, ((v + 0.055) / 1.055) ** 2.4) @ [0.2126, 0.7152, 0.0722]

    for name, seen in f.LOOK.items():
        if seen.color == f.EXACT:  # ink follows the theme
            continue
        L = luminance(seen.color)
        assert 1.05 / (L + 0.05) > 2 and (L + 0.05) / (luminance("#111111") + 0.05) > 2, name


def test_no_notebook_chooses_a_colour_of_its_own():
    for text in Path(__file__).parents[1].glob("notebooks/text/*.py"):
        assert not re.search(r"#[0-9a-fA-F]{6}\b", text.read_text()), text.name


def test_ink_is_never_mixed_so_that_a_dark_page_can_swap_it():
    """The live plot and the book turn exactly #000000 into light ink; an rgba of black would stay black on black."""
    lines = f.curves([0, 1], {"exact": np.zeros((2, 4)) + [[0, 1, 2, 3]]}, "x", "y")
    panes = [f.bars(["Σ w G"], [1.0], looks=["bound"]), lines, f.level(lines, 0.5, "exact")]
    assert "rgba(0,0,0,0.85)" not in str(panes) and f.EXACT in str(panes[0])


def test_clouds_keep_their_points_and_look_different():
    at = np.array([[0.0, 1.0], [2.0, 3.0]])
    pane = f.clouds({"good arm": at, "bad arm": -at}, "x", "y", low=-5, high=5)
    one, other = pane.traces
    assert one["x"].tolist() == [0, 2] and other["y"].tolist() == [-1, -3] and pane.x["range"] == [-5, 5]
    assert one["marker"]["symbol"] != other["marker"]["symbol"]


def test_a_prediction_that_comes_true_lies_on_the_line():
    true = np.array([-2.0, 0.0, 1.0, np.nan])
    pane = f.parity({"first order": true, "formula": 2 * true}, true, "predicted", "came")
    (line,), (same, double) = pane.shapes, pane.traces
    assert line["x0"] == line["y0"] < -4 and line["x1"] == line["y1"] > 2 and (pane.x["range"] == pane.y["range"])
    np.testing.assert_array_equal(same["x"], same["y"])
    np.testing.assert_array_equal(double["x"], 2 * double["y"])
    assert same["marker"]["symbol"] != double["marker"]["symbol"]
    nothing = f.board([f.parity({"first order": [np.nan]}, [np.nan], "p", "c")])
    assert np.isfinite(nothing["layout"]["xaxis"]["range"]).all()


def test_an_edge_is_as_wide_as_it_is_likely_and_points_at_the_child():
    p = np.zeros((4, 4))
    p[0, 1], p[2, 3], p[3, 2], p[1, 3] = 1.0, 0.5, 0.4, 0.01
    pane = f.graph(p, links=np.ones((4, 4), bool))
    lines = {t["line"]["width"]: np.isfinite(t["x"]).sum() // 2 for t in pane.traces[1:9]}
    assert lines == {8: 1, 4: 2, 1: 0, 2: 0, 3: 0, 5: 0, 6: 0, 7: 0}       # 0.01 is not drawn; .4 and .5 stand apart
    heads, nodes = pane.traces[9], pane.traces[10]
    assert heads["text"] == ["0 → 1: 1.00", "2 → 3: 0.50", "3 → 2: 0.40"]
    for text, x, y in zip(heads["text"], heads["x"], heads["y"]):
        to = [np.hypot(x - a, y - b) for a, b in zip(nodes["x"], nodes["y"])]
        assert int(np.argmin(to)) == int(text[4])
    assert len(f.graph(np.zeros((3, 3))).traces) == 10                    # the same traces in every frame


def test_a_table_shows_its_numbers_and_its_words_at_the_same_place():
    pane = f.heat([[0.1, 0.9], [0.0, 0.0]], ["l", "r"], ["up", "down"], "x", "y", text=[["a", "b"], ["c", "d"]])
    heat, words = pane.traces
    assert heat["z"][0, 1] == 0.9 and (heat["x"][1], heat["y"][0]) == ("r", "up")
    assert dict(zip(words["text"], zip(words["x"], words["y"])))["b"] == ("r", "up")
    assert pane.y["autorange"] == "reversed"                               # the first row stands on top


def test_squares_have_the_area_of_their_chance_and_fade_where_seldom_met():
    p = np.array([[0.25, 0.75], [1.0, np.nan]])
    (squares,) = f.chances(["met", "never"], p, [1.0, 0.0], ["l", "r"], "action").traces
    assert len(squares["x"]) == 3                                          # no square where there is no action
    area = (np.array(squares["marker"]["size"]) - 2) ** 2
    assert area[1] / area[0] == pytest.approx(3) and area[2] / area[0] == pytest.approx(4)
    assert squares["marker"]["opacity"][2] < 0.2 < squares["marker"]["opacity"][0]


def every_pane():
    """One pane of each kind."""
    rng = np.random.default_rng(0)
    G, w, runs = rng.normal(size=9), rng.random(9), rng.random((3, 4))
    lines = f.curves([1, 2, 3], {"AW": runs, "uniform": runs[:, 0]}, "steps", "score", log_x=True)
    return [
        lines, f.level(lines, 0.5, "exact"), f.weights(G, w / w.sum(), np.arange(9) % 2, ["random", "expert"]),
        f.histogram(G, w), f.bars(["a", "b"], [1.0, 2.0]), f.bars(["a"], [1.0], low=[0.5], high=[2.0]),
        f.points(G, w, "x", "y"), f.points(G, w, "x", "y", labels=list("abcdefghi"), name="AW"),
        f.clouds({"a": runs[:, :2]}, "x", "y"), f.parity({"first order": G}, w, "x", "y"),
        f.grid(np.ones((2, 2)), np.full((2, 2, 4), 0.25), {(1, 1): "★"}), f.heat([[0.1, 0.9]], [0, 1], [0], "x", "y"),
        f.heat([[0.1, 0.9]], ["l", "r"], ["up"], "x", "y", text=[["a", "b"]]), f.graph(runs[:, :3]),
        f.chances(["a"], [[0.2, 0.8]], [1.0], ["l", "r"], "action"),
    ]  # fmt: skip


def test_a_board_is_the_picture_that_plotly_makes_of_it_after_checking_every_property():
    board = f.board(every_pane(), columns=3, says="one of each", title="all")
    assert plain(spec(board)) == plain(spec(board.figure))
    with pytest.raises(ValueError, match="Invalid property"):  # the checker does check
        print(f.board([f.bars(["a"], [1.0])._replace(traces=[dict(type="bar", colour="red")])]).figure)


def test_a_board_says_how_to_get_what_only_a_plotly_figure_has():
    board = f.board([f.bars(["a"], [1.0])], says="one bar")
    with pytest.raises(AttributeError, match="no update_layout, expected a plotly Figure; board.figure is one"):
        board.update_layout(height=300)
    assert repr(board) == "Board(one bar)" and board.figure.update_layout(height=300).layout.height == 300


def test_a_picture_is_drawn_without_loading_the_thousand_classes_of_plotly():
    code = ("import sys, rlkit.figures as f; from rlkit.live.spec import spec; spec(f.board([f.bars(['a'], [1.0])]));"
            "print([m for m in sys.modules if m.startswith('plotly')])")
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
