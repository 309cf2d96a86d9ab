"""Figures as bytes: a plotly figure becomes plain dicts in which every long array is a typed buffer.

The browser draws typed arrays as they come, so a frame is neither written as text nor parsed. Numbers travel as float32
where nobody could see the difference, as float64 where one could.
"""

from __future__ import annotations

from typing import Any

import numpy as np

LONG = 24  # lists up to this length travel as JSON, longer ones as a buffer


def spec(figure) -> dict[str, Any]:
    """{data, layout} of a go.Figure, or of a dict that looks like one, ready for a widget's state.

    The template is left behind: colours, fonts and grid follow the theme of the page. Raises TypeError for anything
    that is not a figure.
    """
    if hasattr(figure, "_data") and hasattr(figure, "_layout"):
        # a go.Figure: its own dicts, since the public way out copies everything and writes arrays as base64 text
        figure = dict(data=figure._data, layout=figure._layout)
    if not isinstance(figure, dict) or "data" not in figure:
        raise TypeError(f"the picture is a {type(figure).__name__}, expected a plotly Figure or a dict with "
                        "'data' and 'layout'; return the figure instead of showing it")
    layout = {k: v for k, v in (figure.get("layout") or {}).items() if k != "template"}
    return dict(data=[_walk(t) for t in figure["data"]], layout=_walk(layout))


def says(figure) -> str:
    """The sentence that stands for the figure where it cannot be seen: layout.meta['says'], else its title."""
    if figure is None:
        return ""
    layout = figure["layout"] if isinstance(figure, dict) else figure.layout
    meta = _get(layout, "meta") or {}
    title = _get(layout, "title")
    return str(_get(meta, "says") or (title if isinstance(title, str) else _get(title, "text")) or "")


def plain(node):
    """A spec with its buffers unpacked into lists: what a static page stores. Numbers keep five digits."""
    if isinstance(node, dict):
        if "rlkit" in node:
            a = np.frombuffer(node["bytes"], _FROM[node["rlkit"]]).reshape(node["shape"])
            return _listed(a)
        return {k: plain(v) for k, v in node.items()}
    return [plain(v) for v in node] if isinstance(node, list | tuple) else node


def _listed(a: np.ndarray) -> list:
    if a.dtype.kind != "f":
        return a.tolist()
    if a.ndim > 1:
        return [_listed(row) for row in a]
    return [float(f"{v:.5g}") if np.isfinite(v) else None for v in a.tolist()]


def _get(node, key):
    if node is None or isinstance(node, str):
        return None
    return node.get(key) if isinstance(node, dict) else getattr(node, key, None)


def _walk(node):
    if isinstance(node, dict):
        return {k: _walk(v) for k, v in node.items() if v is not None}  # to plotly None is "not given", null is not
    if isinstance(node, np.ndarray):
        return pack(node)
    if isinstance(node, float | np.floating):
        return float(node) if np.isfinite(node) else None
    if isinstance(node, list | tuple):
        if len(node) > LONG and all(type(v) in (int, float) for v in node):
            return pack(np.array(node))
        return [_walk(v) for v in node]
    if hasattr(node, "to_numpy"):  # a pandas column
        return pack(node.to_numpy())
    return node.item() if isinstance(node, np.generic) else node


_TO = {"f": "f4", "i": "i4", "u": "u4"}
_FROM = {"f4": "<f4", "f8": "<f8", "i4": "<i4", "u1": "u1", "u4": "<u4"}


def pack(a: np.ndarray):
    """One array as {rlkit: dtype, shape, bytes}; words, dates and empty arrays as a list."""
    if a.dtype.kind not in "fiub" or a.size == 0:
        return a.tolist() if a.dtype.kind != "M" else a.astype("datetime64[ms]").astype(str).tolist()
    if a.dtype.kind == "b":
        a, kind = a.astype("u1"), "u1"
    elif a.dtype == np.uint8:
        kind = "u1"
    else:
        kind = _TO[a.dtype.kind]
        if a.dtype.kind in "iu" and not (-(2**31) <= a.min() and a.max() < 2**31):
            a, kind = a.astype("f8"), "f8"
        elif a.dtype == np.float64 and not _fits(a):
            kind = "f8"
    a = np.array(a, dtype=_FROM[kind], order="C")  # a copy: the picture must not change when its owner's array does
    return {"rlkit": kind, "shape": list(a.shape), "bytes": memoryview(a.reshape(-1)).cast("B")}


def _fits(x: np.ndarray) -> bool:
    """Whether float32 shows the same picture: rounding below a millionth of the range, and nothing lost to zero."""
    if not np.isfinite(x).all():
        x = x[np.isfinite(x)]
        if x.size == 0:
            return True
    size = np.abs(x)
    top, least = size.max(), size[size > 0].min(initial=1.0)
    span = x.max() - x.min()
    return top < 3e38 and least > 1e-37 and (top * 6e-8 <= 1e-6 * span or span == 0)
