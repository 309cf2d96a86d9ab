"""Settings of a paper: a frozen dataclass whose fields carry the paper's symbols and know how to be a slider.

    @dataclass(frozen=True)
    class Config:
        alpha: float = knob(0.1, 0.01, 10, log=True, symbol="α", says="temperature: small trusts the best", above=0)
        sigma: float = knob(0.05, 0.01, 0.5, symbol="σ", says="share of good transitions", restart=True)
        __post_init__ = check

The maths reads `cfg.alpha`; a live panel reads the field's metadata and draws the slider. This file knows neither.
"""

from __future__ import annotations

import math
from dataclasses import MISSING, field, fields
from numbers import Integral, Real
from typing import Any


def knob(default, low=None, high=None, *, symbol: str = "", says: str = "", unit: str = "", log: bool = False,
         restart: bool = False, choices: tuple | None = None, least=None, most=None, above=None,
         graph: str | int | None = None):
    """A field of a frozen Config that can become a control.

    low, high: the range of the slider (both reachable: where the method works and where it fails).
    least, most, above: what is *valid*, wider than the slider: least ≤ x ≤ most, x > above. None: no limit.
    restart: True for what cannot change in mid-run (a world's size, the seed); moving it restarts the run.
    choices: the allowed values of a field that is a word. symbol, unit, says: label, unit, one sentence.
    graph: for a field that holds edges, ((parent, child), ...): the number of nodes, or the field or property of the
    Config that counts them. It becomes an editor in which edges are switched and nodes are put in order.
    """
    return field(default=default, metadata=dict(
        low=low, high=high, symbol=symbol, says=says, unit=unit, log=log, restart=restart, choices=choices,
        least=least, most=most, above=above, graph=graph))


def check(cfg) -> None:
    """Refuse a setting that is not of its type, not a number or out of its valid range; use as `__post_init__`.

    Raises TypeError or ValueError saying which field, what it is, what was expected and what to try.
    A whole number given for a float field is taken as that float. Infinity is valid unless `most` forbids it: it is
    the limit of many a formula.
    """
    for f in fields(cfg):
        value, m = getattr(cfg, f.name), f.metadata
        default = None if f.default is MISSING else f.default
        kind = type(default) if default is not None else None
        number = {int: Integral, float: Real}.get(kind)              # NumPy's numbers too, and 1 for 1.0
        if number and isinstance(value, number) and not isinstance(value, bool):
            object.__setattr__(cfg, f.name, value := kind(value))
        if kind in (bool, int, float, str) and type(value) is not kind:
            raise TypeError(f"{f.name} is {value!r}, expected {kind.__name__}; try {f.name}={default!r}")
        if isinstance(value, float) and math.isnan(value):
            raise ValueError(f"{f.name} is NaN, expected a number; try {f.name}={default!r}")
        if not m:
            continue
        if m["graph"] is not None:
            object.__setattr__(cfg, f.name, _edges(f.name, value))
            continue
        if m["choices"] is not None and value not in m["choices"]:
            raise ValueError(f"{f.name} is {value!r}, expected one of {', '.join(map(repr, m['choices']))}")
        wrong = ((m["least"] is not None and value < m["least"]) or (m["most"] is not None and value > m["most"])
                 or (m["above"] is not None and value <= m["above"]))
        if wrong:
            raise ValueError(f"{f.name} is {value!r}, expected {_range(m)}; try {f.name}={default!r}")


def _edges(name: str, value) -> tuple[tuple[int, int], ...]:
    """Edges as sorted pairs of ints. What a graph may be beyond that (no cycle, say) is its paper's to say."""
    try:
        edges = tuple(sorted({(int(p), int(c)) for p, c in value}))
        whole = all(p == int(p) and c == int(c) for p, c in value)
    except (TypeError, ValueError, OverflowError):
        whole = False
    if not whole:
        raise TypeError(f"{name} is {value!r}, expected pairs (parent, child) of node numbers; try {name}=((0, 1),)")
    if wrong := [e for e in edges if e[0] == e[1] or min(e) < 0]:
        raise ValueError(f"{name} has the edge {wrong[0]}, expected two different nodes, counted from 0; leave it out")
    return edges


def _range(m) -> str:
    words = [f"> {m['above']}" if m["above"] is not None else "", f"≥ {m['least']}" if m["least"] is not None else "",
             f"≤ {m['most']}" if m["most"] is not None else ""]
    return " and ".join(w for w in words if w)


def knobs(cfg) -> dict[str, dict[str, Any]]:
    """Name -> metadata of the fields of `cfg` that were declared with `knob`, in order."""
    return {f.name: dict(f.metadata) | {"default": f.default} for f in fields(cfg) if f.metadata}


def changed(cfg, base) -> dict[str, Any]:
    """The fields in which `cfg` differs from `base`: name -> value in `cfg`."""
    return {f.name: getattr(cfg, f.name) for f in fields(cfg) if getattr(cfg, f.name) != getattr(base, f.name)}


def needs_restart(cfg, base) -> bool:
    """Whether going from `base` to `cfg` touches a field that cannot change in mid-run."""
    restart = {f.name for f in fields(cfg) if f.metadata.get("restart")}
    return bool(restart & changed(cfg, base).keys())


def accept(sent, cfg):
    """The settings to go on with: those a learner was sent in mid-run, or its present ones where None was sent.

    Raises ValueError where `sent` differs in a field that cannot change in mid-run.
    """
    if sent is None:
        return cfg
    if needs_restart(sent, cfg):
        fixed = [name for name in changed(sent, cfg) if knobs(cfg).get(name, {}).get("restart")]
        raise ValueError(f"{', '.join(fixed)} cannot change in mid-run; start a new run with this Config")
    return sent
