"""Figures: data in, plotly figure out. A *pane* is one picture with its axes; a *board* sets panes side by side.

    board([curves(x, {"uniform": y}), bars(["uniform"], [0.4])], says="one sentence for who cannot see it")

Panes and boards are plain dicts as plotly writes them, so that a live picture costs a millisecond (a go.Figure, which
checks and copies each of some hundred properties, costs twelve). One look for the whole course: `LOOK` says which
colour, dash and marker a name has, everywhere; the colours are those of Okabe and Ito, told apart by colour-blind
readers too, and never the only difference.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np


class Look(NamedTuple):
    """How one method is drawn in every figure of the course."""

    color: str
    dash: str = "solid"
    symbol: str = "circle"


EXACT, OURS, BASELINE, BROKEN, GHOST = "#000000", "#0072B2", "#E69F00", "#D55E00", "#8a8a8a"
GREEN, PURPLE, SKY = "#009E73", "#CC79A7", "#56B4E9"
LOOK = {
    "exact": Look(EXACT, "dot", "diamond-open"),
    "bound": Look(EXACT, "dash", "line-ew"),
    "behaviour": Look(GHOST, "dash", "x"),
    "random": Look(GHOST, "dot", "circle-open"),
    "expert": Look(GREEN, "dash", "diamond"),
    "uniform": Look(BASELINE, "dash", "square"),
    "AW": Look(OURS, "solid", "circle"),
    "RW": Look(SKY, "dashdot", "triangle-up"),
    "top-k": Look(PURPLE, "longdash", "star"),
    "DW": Look(GREEN, "longdashdot", "pentagon"),
    "Σ w G": Look(EXACT, "longdash", "diamond-tall"),
    "CTD(0)": Look(OURS, "solid", "hexagon"),
    "ML": Look(SKY, "dashdot", "triangle-down"),
    "MSTDE": Look(BROKEN, "dash", "x-thin"),
    "best": Look(EXACT, "dash", "line-ew-open"),
    "no edge": Look(BASELINE, "dash", "square-dot"),
    "with edges": Look(OURS, "solid", "circle-cross"),
    "edges cut now": Look(GHOST, "dot", "circle-x-open"),
    "gap": Look(GREEN, "solid", "pentagon"),
    "perfect gap": Look(PURPLE, "dash", "star"),
    "best told nothing": Look(EXACT, "dash", "line-nw"),
    "product": Look(BASELINE, "dash", "triangle-left"),
    "complete": Look(GREEN, "longdash", "triangle-right"),
    "learned": Look(OURS, "solid", "star-diamond"),
    "edges by chance": Look(PURPLE, "dashdot", "triangle-ne"),
    "without edges": Look(SKY, "dot", "circle-x"),
    "density": Look(OURS, "longdash", "hash"),
    "target": Look(EXACT, "dot", "line-ns"),
    "DoC": Look(OURS, "solid", "octagon"),
    "RCSL": Look(BASELINE, "dash", "square-x"),
    "VAE": Look(PURPLE, "dashdot", "cross"),
    "DT": Look(SKY, "longdash", "bowtie"),
    "earned": Look(OURS, "solid", "hexagon2"),
    "promised": Look(SKY, "dash", "triangle-up-open"),
    "luck": Look(BROKEN, "dash", "hourglass"),
    "skill": Look(GREEN, "solid", "star-square"),
    "clean latent": Look(GREEN, "dashdot", "circle-cross"),
    "broken promise": Look(PURPLE, "solid", "hexagram"),
    "good arm": Look(OURS, "solid", "triangle-up-dot"),
    "bad arm": Look(BASELINE, "dash", "diamond-dot"),
    "it paid": Look(GREEN, "solid", "cross-open"),
    "it did not": Look(BROKEN, "dash", "circle-open-dot"),
    "acted on": Look(EXACT, "dot", "star-open"),
    "BC": Look(GHOST, "longdash", "hexagon-open"),
    "no price": Look(BROKEN, "dash", "triangle-se"),
    "bold": Look(BROKEN, "dashdot", "triangle-sw"),
    "cautious": Look(GREEN, "dash", "triangle-nw"),
    "GRPO": Look(BASELINE, "dash", "square-cross"),
    "KL-Cov": Look(OURS, "solid", "square-dot"),
    "Clip-Cov": Look(SKY, "dashdot", "triangle-up-dot"),
    "broken": Look(BROKEN, "dot", "x"),
    "first order": Look(OURS, "solid", "circle-dot"),
    "second order": Look(GREEN, "longdash", "diamond-wide"),
    "visits frozen": Look(BROKEN, "dot", "x-open"),
    "formula": Look(BASELINE, "dash", "square-open"),
    "fitted law": Look(EXACT, "dash", "asterisk"),
    "law of the first third": Look(BROKEN, "dot", "bowtie-open"),
}
SPARE = [
    Look(OURS),
    Look(BASELINE, "dash", "square"),
    Look(GREEN, "dot", "diamond"),
    Look(PURPLE, "dashdot", "star"),
    Look(BROKEN, "longdash", "x"),
    Look(SKY, "longdashdot", "triangle-up"),
]


def look(name: str, i: int = 0) -> Look:
    """The fixed look of `name`; a name without one takes the i-th spare."""
    return LOOK.get(name, SPARE[i % len(SPARE)])


class Pane(NamedTuple):
    """One picture: its traces, its two axes (plotly dicts), and what lies over it."""

    title: str  # states the finding or the question, not the variable
    traces: list[dict]
    x: dict
    y: dict
    shapes: Sequence[dict] = ()
    notes: Sequence[dict] = ()  # annotations in the pane's own data coordinates
    steps: bool = False  # the x axis counts steps: a live panel draws its markers there


class Board(dict):
    """A figure as plotly writes it, {data, layout}: what a live panel or `live.Plot` draws.

    `.figure` is the same as a go.Figure, every property checked, for all that plotly can do with one (update_layout,
    write_html, ...). A cell that ends in a Board shows that.
    """

    @property
    def figure(self):
        import plotly.graph_objects as go  # only here: its import and its checks would hold up every first picture

        return go.Figure(self)

    def __getattr__(self, name: str):
        raise AttributeError(f"a Board has no {name}, expected a plotly Figure; board.figure is one")

    def __repr__(self) -> str:
        return f"Board({self['layout']['meta']['says'] or 'a figure'})"

    def _ipython_display_(self) -> None:
        self.figure._ipython_display_()


def board(
    panes: Sequence[Pane],
    columns: int = 2,
    says: str = "",
    height: int = 520,
    gap: tuple[float, float] = (0.13, 0.19),
    title: str = "",
) -> Board:
    """Panes in rows of `columns`, left to right, as one figure; `says` is its text twin."""
    columns = min(columns, len(panes))
    rows = -(-len(panes) // columns)
    wide, high = (1 - gap[0] * (columns - 1)) / columns, (1 - gap[1] * (rows - 1)) / rows
    data, layout, steps, named = [], dict(shapes=[], annotations=[]), [], set()
    for i, pane in enumerate(panes):
        n = "" if i == 0 else str(i + 1)
        left, top = (i % columns) * (wide + gap[0]), 1 - (i // columns) * (high + gap[1])
        layout[f"xaxis{n}"] = _AXIS | dict(domain=[left, min(1, left + wide)], anchor=f"y{n}") | pane.x
        square = dict(scaleanchor=f"x{n}") if "scaleratio" in pane.y else {}
        layout[f"yaxis{n}"] = _AXIS | dict(domain=[max(0, top - high), top], anchor=f"x{n}") | pane.y | square
        for t in pane.traces:  # one legend entry a name, however many panes show it
            again = t.get("legendgroup", t.get("name")) in named
            data.append(
                dict(t, xaxis=f"x{n}", yaxis=f"y{n}", showlegend=t.get("showlegend", bool(t.get("name"))) and not again)
            )
            if data[-1]["showlegend"]:
                named.add(t.get("legendgroup", t.get("name")))
        layout["shapes"] += [
            dict(s, xref=_ref(s.get("xref"), "x", n), yref=_ref(s.get("yref"), "y", n)) for s in pane.shapes
        ]
        layout["annotations"] += [dict(dict(showarrow=False), **a, xref=f"x{n}", yref=f"y{n}") for a in pane.notes]
        layout["annotations"].append(
            dict(
                text=f"<b>{pane.title}</b>",
                x=left,
                y=top,
                xref="paper",
                yref="paper",
                xanchor="left",
                yanchor="bottom",
                yshift=6,
                showarrow=False,
                font=dict(size=13),
            )
        )
        steps += [f"x{n}"] if pane.steps else []
    layout |= dict(
        height=height,
        margin=dict(l=58, r=16, t=74 if title else 62, b=46),
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font=dict(size=12, color=EXACT),
        barmode="overlay",
        bargap=0.05,
        hovermode="closest",
        uirevision="keep",
        legend=dict(orientation="h", x=0, xanchor="left", y=1 + 26 / (height - 108), yanchor="bottom"),
        meta=dict(says=says, steps=steps),
    )
    if title:
        layout["title"] = dict(text=title, x=0.01, y=0.99, yanchor="top", font=dict(size=15))
    return Board(data=data, layout=layout)


_AXIS = dict(
    showline=True,
    linecolor=GHOST,
    linewidth=1,
    ticks="outside",
    tickcolor=GHOST,
    ticklen=4,
    nticks=6,
    zeroline=False,
    showgrid=False,
    automargin=True,
)
_GRID = dict(showgrid=True, gridcolor="rgba(138,138,138,.25)")


def _ref(ref, axis, n):
    return ref if ref == "paper" else f"{axis}{n} domain" if ref == "domain" else f"{axis}{n}"


def axis(
    title: str, low: float | None = None, high: float | None = None, *, log: bool = False, grid: bool = False, **more
) -> dict:
    """An axis with its title (unit included) and, where both ends are given, a fixed range."""
    a = dict(title=dict(text=title, standoff=6, font=dict(size=12))) | (_GRID if grid else {}) | more
    if log:
        a |= dict(type="log", exponentformat="power", dtick=more.get("dtick", 1))
    if low is not None and high is not None:
        a["range"] = [float(np.log10(low)), float(np.log10(high))] if log else [low, high]
    return a


# -- curves ----------------------------------------------------------------------------------------------------------


def curves(
    x,
    ys: Mapping[str, np.ndarray],
    x_title: str,
    y_title: str,
    title: str = "",
    *,
    y_range=(None, None),
    x_range=(None, None),
    log_x: bool = False,
    log_y: bool = False,
    steps: bool = False,
    markers: bool = False,
) -> Pane:
    """A line a name. x [T]; ys: name -> [T], or [T, R] for R runs: then the median, in a band of the middle half."""
    traces, x = [], np.asarray(x, float)
    for i, (name, y) in enumerate(ys.items()):
        y, seen = np.asarray(y, float), look(name, i)
        if y.ndim == 2 and y.shape[1] > 1:
            low, y, high = np.quantile(y, [0.25, 0.5, 0.75], axis=1)  # [T] each
            traces.append(
                dict(
                    type="scatter",
                    x=np.r_[x, x[::-1]],
                    y=np.r_[high, low[::-1]],
                    fill="toself",
                    mode="lines",
                    hoverinfo="skip",
                    line=dict(width=0),
                    fillcolor=faint(seen.color, 0.2),
                    name=name,
                    legendgroup=name,
                    showlegend=False,
                )
            )
        y = y.reshape(len(x))
        traces.append(
            dict(
                type="scatter",
                x=x,
                y=y,
                mode="lines+markers" if markers or len(x) == 1 else "lines",
                name=name,
                legendgroup=name,
                line=dict(color=seen.color, dash=seen.dash, width=2.5),
                marker=dict(color=seen.color, symbol=seen.symbol, size=7),
                meta=dict(pin=True),
            )
        )
    return Pane(
        title, traces, axis(x_title, *x_range, log=log_x), axis(y_title, *y_range, log=log_y, grid=True), steps=steps
    )


def level(pane: Pane, value: float, name: str) -> Pane:
    """The pane with a horizontal line at `value`, labelled at its end."""
    seen = look(name)
    line = dict(
        type="line",
        xref="domain",
        x0=0,
        x1=1,
        y0=value,
        y1=value,
        line=dict(color=seen.color, dash=seen.dash, width=1.5),
    )
    where = float(np.log10(value)) if pane.y.get("type") == "log" else value
    note = dict(
        text=name,
        x=pane.x["range"][1] if "range" in pane.x else float(np.max(pane.traces[0]["x"])),
        y=where,
        xanchor="right",
        yanchor="bottom",
        font=dict(size=11),
    )
    return pane._replace(shapes=[*pane.shapes, line], notes=[*pane.notes, note])


def _padded(x) -> tuple[float, float]:
    """The range of x with 4 % of room at both ends."""
    low, high = float(np.min(x)), float(np.max(x))
    room = 0.04 * ((high - low) or 1.0)
    return low - room, high + room


def faint(color: str, opacity: float) -> str:
    """`#rrggbb` with an opacity."""
    r, g, b = (int(color[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({r},{g},{b},{opacity:g})"


# -- datasets --------------------------------------------------------------------------------------------------------


def weights(
    G: np.ndarray,
    w: np.ndarray,
    source: np.ndarray,
    names: Sequence[str],
    title: str = "How much each trajectory counts",
    low: float = 1e-3,
    high: float = 1e3,
    span: tuple[float, float] | None = None,
) -> Pane:
    """Weight of each trajectory, in units of the uniform weight, against its return.

    G, w, source: [N]; names: of the sources; span: the range of returns shown, for pictures that must not jump.

    The scale is logarithmic from `low` to `high`; what lies outside is drawn at the edge.
    """
    times = np.clip(np.asarray(w) * len(w), low, high)
    traces = [
        dict(
            type="scatter",
            mode="markers",
            x=np.asarray(G)[source == k],
            y=times[source == k],
            name=name,
            legendgroup=name,
            marker=dict(color=look(name, k).color, symbol=look(name, k).symbol, size=7, opacity=0.75),
            hovertemplate="return %{x:.3g}<br>%{y:.3g} × uniform",
        )
        for k, name in enumerate(names)
    ]
    even = dict(type="line", xref="domain", x0=0, x1=1, y0=1, y1=1, line=dict(color=GHOST, dash="dot", width=1))
    return Pane(
        title,
        traces,
        axis("return of the trajectory", *(span or _padded(G))),
        axis("weight ÷ uniform weight", low * 0.7, high * 1.4, log=True, grid=True),
        [even],
    )


def histogram(
    G: np.ndarray,
    w: np.ndarray,
    title: str = "What the learner sees",
    bins: int = 24,
    span: tuple[float, float] | None = None,
) -> Pane:
    """Share of trajectories in each bin of the return, as collected and as weighted. G, w: [N]."""
    G, w = np.asarray(G, float), np.asarray(w, float)
    low, high = span or (float(G.min()), float(G.max()))
    edges = np.linspace(low, high if high > low else low + 1, bins + 1)
    mid, G = (edges[1:] + edges[:-1]) / 2, np.clip(G, low, edges[-1])
    before, after = np.histogram(G, edges)[0] / len(G), np.histogram(G, edges, weights=w)[0] / w.sum()
    plain, ours = look("uniform"), look("AW")
    traces = [
        dict(
            type="bar",
            x=mid,
            y=after,
            name="as weighted",
            marker=dict(color=faint(ours.color, 0.8)),
            hovertemplate="return %{x:.2f}: %{y:.1%}",
        ),
        dict(
            type="scatter",
            x=mid,
            y=before,
            mode="lines",
            line=dict(color=plain.color, dash=plain.dash, width=2, shape="hvh"),
            name="as collected",
            hovertemplate="return %{x:.2f}: %{y:.1%}",
        ),
    ]
    return Pane(
        title,
        traces,
        axis("return of the trajectory", *_padded(edges)),
        axis("share", 0, 1, tickformat=".0%", grid=True),
    )


def bars(
    names: Sequence[str],
    values,
    title: str = "",
    y_title: str = "",
    y_range=(None, None),
    low=None,
    high=None,
    looks: Sequence[str] | None = None,
) -> Pane:
    """A bar a name, the value written on it; low, high: its interval, where known; looks: the look of each."""
    values = np.asarray(values, float)
    seen = [look(n, i) for i, n in enumerate(looks or names)]
    error = (
        None
        if low is None
        else dict(
            type="data",
            symmetric=False,
            array=np.asarray(high) - values,
            arrayminus=values - np.asarray(low),
            color=GHOST,
        )
    )
    written = [f"{v:.3g}".replace("-", "−") for v in values]
    trace = dict(
        type="bar",
        x=list(names) if error is None else [f"{n}<br>{t}" for n, t in zip(names, written)],
        y=values,
        marker=dict(color=[s.color for s in seen], opacity=0.85),
        error_y=error,
        width=0.62,
        text=written if error is None else None,  # under the name where an error bar stands in the way
        textposition="outside",
        cliponaxis=False,
        showlegend=False,
        hovertemplate="%{x}: %{y:.3g}<extra></extra>",
    )
    zero = dict(type="line", xref="domain", x0=0, x1=1, y0=0, y1=0, line=dict(color=GHOST, width=1))
    small = dict(size=10.5 if len(names) > 3 else 12)  # four names side by side must not touch in half a panel
    x = axis("", type="category", ticks="", tickfont=small)
    return Pane(title, [trace], x, axis(y_title, *y_range, grid=True), [zero])


def points(
    x, y, x_title: str, y_title: str, title: str = "", labels: Sequence[str] | None = None, name: str = ""
) -> Pane:
    """A cloud of points, each with its label where labels are given. x, y: [N]."""
    seen = look(name)
    trace = dict(
        type="scatter",
        mode="markers+text" if labels else "markers",
        x=np.asarray(x, float),
        y=np.asarray(y, float),
        name=name,
        text=labels,
        textposition="top center",
        marker=dict(color=seen.color, symbol=seen.symbol, size=9),
        showlegend=bool(name),
    )
    return Pane(title, [trace], axis(x_title), axis(y_title, grid=True))


def clouds(
    groups: Mapping[str, np.ndarray], x_title: str, y_title: str, title: str = "", low=None, high=None, size: int = 6
) -> Pane:
    """Points in the plane in one colour and marker a group.  groups: name -> [N, 2]; low, high: of both axes."""
    traces = []
    for i, (name, at) in enumerate(groups.items()):
        seen, at = look(name, i), np.asarray(at, float)
        marker = dict(color=seen.color, symbol=seen.symbol, size=size, opacity=0.6 if len(at) > 20 else 1)
        traces.append(dict(type="scatter", mode="markers", x=at[:, 0], y=at[:, 1], name=name, marker=marker))
    return Pane(title, traces, axis(x_title, low, high), axis(y_title, low, high, grid=True))


def parity(
    predicted: Mapping[str, np.ndarray], true, x_title: str, y_title: str, title: str = "", size: int = 6
) -> Pane:
    """What was predicted against what came, a mark a case, and the line on which the two agree.

    predicted: name -> [N]; true: [N], of the same unit. NaN is left out.
    """
    true, traces = np.asarray(true, float), []
    for i, (name, x) in enumerate(predicted.items()):
        seen = look(name, i)
        marker = dict(color=seen.color, symbol=seen.symbol, size=size, opacity=0.6)
        traces.append(dict(type="scatter", mode="markers", x=np.asarray(x, float), y=true, name=name, marker=marker))
    known = np.concatenate([true, *(t["x"] for t in traces)])
    low, high = _padded(known[np.isfinite(known)] if np.isfinite(known).any() else [0.0])
    agree = dict(type="line", x0=low, x1=high, y0=low, y1=high, line=dict(color=EXACT, dash="dot", width=1.5))
    return Pane(title, traces, axis(x_title, low, high), axis(y_title, low, high, grid=True), [agree])


# -- grid worlds -----------------------------------------------------------------------------------------------------

ARROWS = {
    "left": (-1, 0, -90),
    "down": (0, 1, -180),
    "right": (1, 0, 90),
    "up": (0, -1, 0),
}  # dx, dy, angle; y points down


def grid(
    visits: np.ndarray,
    pi: np.ndarray,
    marks: Mapping[tuple[int, int], str],
    title: str = "",
    actions=("left", "down", "right", "up"),
) -> Pane:
    """A grid world: the darker a cell, the more it is visited; the longer an arrow, the more likely the move.

    visits: [H, W], any unit, shaded on a square-root scale from 0 to its maximum; pi: [H, W, A];
    marks: (row, column) -> a character, drawn in the place of arrows.
    """
    H, W = visits.shape
    heat = np.sqrt(visits / max(visits.max(), 1e-12))
    traces = [
        dict(
            type="heatmap",
            z=heat,
            zmin=0,
            zmax=1,
            colorscale=[[0, faint(OURS, 0)], [1, faint(OURS, 0.75)]],
            showscale=False,
            xgap=1,
            ygap=1,
            customdata=visits,
            hovertemplate="row %{y}, column %{x}<br>%{customdata:.3g} visits<extra></extra>",
            showlegend=False,
        )
    ]
    free = np.array([[(r, c) not in marks for c in range(W)] for r in range(H)])
    r, c = np.nonzero(free)
    p = pi[r, c]  # [F, A]
    dx, dy, angle = (np.array(v) for v in zip(*(ARROWS[a] for a in actions)))
    traces.append(
        dict(
            type="scatter",
            mode="markers",
            x=(c[:, None] + 0.24 * dx).ravel(),
            y=(r[:, None] + 0.24 * dy).ravel(),
            hoverinfo="skip",
            marker=dict(
                symbol="arrow",
                angle=np.tile(angle, len(r)),
                size=(1 + 10 * p).ravel() * np.clip(8 / max(H, W), 0.7, 1.8),  # as large as the cells of the grid
                color=EXACT,
                opacity=np.clip(1.3 * p, 0.08, 1).ravel(),
            ),
            showlegend=False,
        )
    )
    notes = [dict(text=ch, x=col, y=row, font=dict(size=14)) for (row, col), ch in marks.items()]
    frame = dict(type="rect", x0=-0.5, x1=W - 0.5, y0=-0.5, y1=H - 0.5, line=dict(color=GHOST, width=1))
    bare = dict(showticklabels=False, ticks="", showline=False)
    return Pane(
        title,
        traces,
        axis("", -0.5, W - 0.5, constrain="domain", **bare),
        axis("", H - 0.5, -0.5, scaleratio=1, constrain="domain", **bare),
        [frame],
        notes,
    )


# -- tables ----------------------------------------------------------------------------------------------------------


def heat(
    z,
    x: Sequence,
    y: Sequence,
    x_title: str,
    y_title: str,
    title: str = "",
    *,
    text: Sequence[Sequence[str]] | None = None,
    low: float = 0.0,
    high: float = 1.0,
    color: str = OURS,
) -> Pane:
    """A table as colours, from nothing (`low`) to full (`high`), with words on it where `text` gives them.

    z: [Y, X]; x, y: names of columns and rows, or numbers at even steps. Names of rows are read from the top down.
    """
    z, words = np.asarray(z, float), isinstance(y[0], str)
    traces = [
        dict(
            type="heatmap",
            x=list(x),
            y=list(y),
            z=z,
            zmin=low,
            zmax=high,
            colorscale=[[0, faint(color, 0)], [1, faint(color, 0.75)]],
            showscale=False,
            xgap=1 if words else 0,
            ygap=1 if words else 0,
            hovertemplate=f"{x_title} %{{x}}<br>{y_title} %{{y}}<br>%{{z:.3g}}<extra></extra>",
        )
    ]
    if text is not None:
        r, c = (u.ravel() for u in np.indices(z.shape))
        traces.append(
            dict(
                type="scatter",
                mode="text",
                x=[x[i] for i in c],
                y=[y[i] for i in r],
                text=[text[i][j] for i, j in zip(r, c)],
                textfont=dict(color=EXACT, size=12),
                hoverinfo="skip",
                showlegend=False,
            )
        )
    frame = dict(type="rect", xref="domain", yref="domain", x0=0, x1=1, y0=0, y1=1, line=dict(color=GHOST, width=1))
    kind = dict(type="category", autorange="reversed") if words else {}
    return Pane(
        title,
        traces,
        axis(x_title, **(dict(type="category") if isinstance(x[0], str) else {}), nticks=0 if words else 6),
        axis(y_title, **kind, nticks=0 if words else 6),
        [frame],
    )


def chances(names: Sequence[str], p, met, columns: Sequence[str], x_title: str, title: str = "") -> Pane:
    """Rows of probabilities as squares of that area, faded where the row is seldom met.

    names: of the rows, read from the top down; p: [rows, columns], NaN: no such column; met: [rows] in [0, 1].
    """
    p, met = np.asarray(p, float), np.asarray(met, float)
    r, c = (u.ravel() for u in np.indices(p.shape))
    there = ~np.isnan(p.ravel())
    r, c, size = r[there], c[there], p.ravel()[there]
    side = 26 if len(names) <= 8 else 14
    trace = dict(
        type="scatter",
        mode="markers",
        x=[columns[i] for i in c],
        y=[names[i] for i in r],
        marker=dict(
            symbol="square",
            size=2 + (side - 2) * np.sqrt(np.clip(size, 0, 1)),
            color=OURS,
            opacity=0.15 + 0.85 * np.clip(met[r], 0, 1) ** 0.5,
        ),
        customdata=np.stack([size, met[r]], 1),
        hovertemplate="%{y}: %{x} with probability %{customdata[0]:.3g}<br>met with probability %{customdata[1]:.3g}"
        "<extra></extra>",
        showlegend=False,
    )
    return Pane(
        title,
        [trace],
        axis(x_title, type="category", range=[-0.5, len(columns) - 0.5]),
        axis("", type="category", autorange="reversed", nticks=0, grid=True),
    )


# -- graphs ----------------------------------------------------------------------------------------------------------


def graph(p: np.ndarray, title: str = "", names: Sequence[str] | None = None, links: np.ndarray | None = None) -> Pane:
    """Nodes on a circle; the wider an arrow, the more often its edge is there.

    p: [n, n], p[j, i] how often j → i, from 0 to 1 (below 0.03 nothing is drawn); links: [n, n] bool, pairs to show
    as a dotted ghost underneath, for comparison.
    """
    p, n = np.asarray(p, float), len(p)
    turn = np.pi / 2 - 2 * np.pi * np.arange(n) / n + (np.pi / 4 if n == 4 else 0)
    at = np.stack([np.cos(turn), np.sin(turn)], -1)  # [n, 2]
    traces, seen, thick = [], look("learned"), min(1.0, 5 / n)
    if links is not None:
        a, b = np.nonzero(np.triu(links, 1))
        short = 0.2 * (at[b] - at[a]) / np.linalg.norm(at[b] - at[a], axis=1, keepdims=True)
        traces.append(
            dict(
                type="scatter",
                mode="lines",
                **_segments(at[a] + short, at[b] - short),
                line=dict(color=GHOST, width=1.5, dash="dot"),
                hoverinfo="skip",
                name="disturb each other",
            )
        )
    j, i = np.nonzero((p >= 0.03) & ~np.eye(n, dtype=bool))
    along = (at[i] - at[j]) / np.maximum(np.linalg.norm(at[i] - at[j], axis=1, keepdims=True), 1e-9)
    aside = 0.05 * np.stack([along[:, 1], -along[:, 0]], -1) * (p[i, j] >= 0.03)[:, None]  # two ways: side by side
    tail, head = at[j] + (0.05 + 0.2 * thick) * along + aside, at[i] - (0.12 + 0.24 * thick) * along + aside
    width = np.clip(np.ceil(8 * p[j, i]), 1, 8)
    for w in range(1, 9):  # one trace a width: every frame has the same nine, however many edges
        some = width == w
        traces.append(
            dict(
                type="scatter",
                mode="lines",
                **_segments(tail[some], head[some]),
                line=dict(color=seen.color, width=w * thick**1.5),
                opacity=0.25 + 0.09 * w,
                hoverinfo="skip",
                showlegend=False,
            )
        )
    traces.append(
        dict(
            type="scatter",
            mode="markers",
            x=head[:, 0],
            y=head[:, 1],
            marker=dict(
                symbol="triangle-up",
                angle=np.degrees(np.arctan2(along[:, 0], along[:, 1])),
                size=(7 + 10 * p[j, i]) * thick,
                color=seen.color,
                opacity=0.25 + 0.75 * p[j, i],
                line=dict(width=0),
            ),
            text=[f"{a} → {b}: {p[a, b]:.2f}" for a, b in zip(j, i)],
            hovertemplate="%{text}<extra></extra>",
            showlegend=False,
        )
    )
    traces.append(
        dict(
            type="scatter",
            mode="markers+text",
            x=at[:, 0],
            y=at[:, 1],
            text=list(names or map(str, range(n))),
            marker=dict(symbol="circle-open", size=15 + 15 * thick, color=EXACT, line=dict(width=1.5)),
            textfont=dict(size=14, color=EXACT),
            hoverinfo="skip",
            showlegend=False,
        )
    )
    bare = dict(showticklabels=False, ticks="", showline=False, constrain="domain")
    return Pane(title, traces, axis("", -1.35, 1.35, **bare), axis("", -1.35, 1.35, scaleratio=1, **bare))


def _segments(a: np.ndarray, b: np.ndarray) -> dict:
    """x and y of separate lines from a to b, [m, 2] each: NaN between them."""
    xy = np.stack([a, b, np.full_like(a, np.nan)], axis=1).reshape(-1, 2)
    return dict(x=xy[:, 0], y=xy[:, 1])
