"""Settings as controls: each knob of a Config becomes a short list of values that one can slide along.

A control is a list of *stops*, the values it can take, and the browser only ever speaks of positions in that list. So
the value that a slider shows, says to a screen reader and sends is one and the same, and presets are reached exactly.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from rlkit.config import changed, knobs

NOTCHES = 120  # stops of a slider over floats: one notch is less than two pixels


@dataclass(frozen=True)
class Control:
    """One knob as the browser sees it. kind: slider, choice, switch, seed or graph."""

    name: str
    kind: str
    symbol: str
    label: str
    says: str
    unit: str
    live: bool  # acts on the next update; otherwise it needs a restart
    log: bool  # the stops grow by a factor rather than by a step
    stops: tuple
    graph: str | int | None = None  # of a graph: who counts its nodes (a field or property), or how many

    def text(self, value) -> str:
        """The value with its unit, as shown and as read aloud."""
        if self.kind == "switch":
            return "on" if value else "off"
        if self.kind == "graph":
            return ", ".join(f"{p} → {c}" for p, c in value) or "no edge"
        return f"{number(value)} {self.unit}".strip()

    def position(self, value) -> int:
        """The stop nearest to `value` (which may lie between two, or outside)."""
        if value in self.stops:
            return self.stops.index(value)
        if self.kind in ("choice", "switch"):
            return 0
        stops = [math.log(s) if 0 < s < math.inf else s for s in self.stops] if self.log and value > 0 else self.stops
        value = math.log(value) if self.log and 0 < value < math.inf else value
        return min(range(len(stops)), key=lambda i: abs(stops[i] - value) if math.isfinite(value) else -stops[i])

    def at(self, value) -> int:
        """What the browser is told: the position of `value`, or the seed or the edges themselves."""
        if self.kind == "graph":
            return [list(edge) for edge in value]
        return int(value) if self.kind == "seed" else self.position(value)

    def nodes(self, cfg) -> int:
        """How many nodes the graph has under `cfg`."""
        return self.graph if isinstance(self.graph, int) else int(getattr(cfg, self.graph))

    def value(self, position: int):
        """The value at a position; a seed is its own position, and so are the edges of a graph."""
        if self.kind == "graph":
            return tuple((int(p), int(c)) for p, c in position)
        if self.kind == "seed":
            return int(np.clip(position, self.stops[0], self.stops[-1]))
        return self.stops[int(np.clip(position, 0, len(self.stops) - 1))]


def number(value) -> str:
    """Three significant digits: 0.05, 3e−4, 12 000, ∞. Words stay words."""
    if isinstance(value, str | bool):
        return str(value)
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    if float(value).is_integer() and abs(value) < 1e6:
        text = f"{int(value):,}".replace(",", "\u202f") if abs(value) >= 1e4 else str(int(value))
    else:
        text = f"{value:.3g}"
        if "e" in text or abs(value) < 1e-3:
            mantissa, exponent = f"{value:.2e}".split("e")
            text = f"{float(mantissa):g}e{int(exponent)}"
    return text.replace("-", "−")


def controls(cfg, show=None, presets: dict[str, Any] | None = None) -> tuple[list[Control], int]:
    """The controls of a Config, and how many of them stand in front (the rest is folded away).

    show: names in the order wanted; the other knobs follow, folded. None: all of them, in front.
    presets: name -> Config; the values that they use become stops. Raises ValueError for a name that is no knob.
    """
    known = knobs(cfg)
    show = list(known) if show is None else list(show)
    if strange := [name for name in show if name not in known]:
        raise ValueError(f"knobs names {strange[0]!r}, expected some of {', '.join(known)}; declare it with knob(...)")
    rest = [name for name in known if name not in show]
    made = [_control(name, known[name], [cfg, *(presets or {}).values()]) for name in show + rest]
    front = sum(c is not None for c in made[: len(show)])
    return [c for c in made if c is not None], front


def _control(name: str, m: dict, configs: list) -> Control | None:
    """The control of one knob; None for a field that has neither a range nor choices."""
    values = [getattr(c, name) for c in configs] + [m["default"]]
    first = values[0]
    label, _, rest = m["says"].partition(":")
    if not rest or len(label) > 34:
        label = name.replace("_", " ") if len(m["says"]) > 34 or not m["says"] else m["says"]
    kind, stops = "slider", ()
    if m["graph"] is not None:
        kind = "graph"
    elif m["choices"] is not None:
        kind, stops = "choice", tuple(m["choices"])
    elif isinstance(first, bool):
        kind, stops = "switch", (False, True)
    elif isinstance(first, str) or m["low"] is None or m["high"] is None:
        if name != "seed":
            return None
        kind, stops = "seed", (0, 9999)
    elif name == "seed":
        kind, stops = "seed", (m["low"], m["high"])
    else:
        grid = _stops(m["low"], m["high"], m["log"], isinstance(first, int))
        stops = tuple(sorted({*grid, *(v for v in values if m["low"] <= v <= m["high"] or math.isinf(v))}))
    return Control(name, kind, m["symbol"], label, m["says"], m["unit"], not m["restart"], m["log"], stops, m["graph"])


def _stops(low, high, log: bool, whole: bool) -> list:
    """About NOTCHES round numbers from low to high, both ends among them."""
    if whole and not log and high - low <= 2 * NOTCHES:
        return list(range(int(low), int(high) + 1))
    if log:
        inner = [float(f"{v:.1e}") for v in np.geomspace(low, high, NOTCHES)[1:-1]]
    else:
        rough = (high - low) / NOTCHES
        tens = 10.0 ** math.floor(math.log10(rough))
        step = next(k * tens for k in (1, 2, 5, 10) if k * tens >= rough * 0.75)
        digits = max(0, 1 - math.floor(math.log10(step)))
        inner = [round(k * step, digits) for k in range(math.ceil(low / step), math.floor(high / step) + 1)]
    stops = [low, *(v for v in inner if low < v < high), high]
    return [round(v) for v in stops] if whole else [float(v) for v in stops]


def difference(cfg, base, made: list[Control]) -> str:
    """What sets `cfg` apart from `base`, in a few words: 'α 1, σ 0.2'; '' where they are the same."""
    by_name = {c.name: c for c in made}
    words = []
    for name, value in changed(cfg, base).items():
        c = by_name.get(name)
        words.append(f"{(c.symbol or c.label) if c else name} {c.text(value) if c else number(value)}")
    return ", ".join(words)


def python(cfg) -> str:
    """The line of Python that rebuilds `cfg`: the fields that are not at their default."""
    given = {f.name: getattr(cfg, f.name) for f in fields(cfg) if getattr(cfg, f.name) != f.default}
    return f"{type(cfg).__name__}({', '.join(f'{k}={_literal(v)}' for k, v in given.items())})"


def _literal(value) -> str:
    if hasattr(value, "item"):  # a NumPy scalar
        value = value.item()
    return f'float("{value}")' if isinstance(value, float) and not math.isfinite(value) else repr(value)
