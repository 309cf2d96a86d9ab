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
from contextlib import suppress
from dataclasses import MISSING, field, fields, replace
from numbers import Integral, Real
from typing import Any

HUGE = 1e30   # a finite float beyond it overflows as soon as it is squared
LARGE = 100   # times the high end of its slider: a larger whole number would fill the memory, or never end

def knob(default, low=None, high=None, *, symbol: str = "", says: str = "", unit: str = "", log: bool = False,
         restart: bool = False, choices: tuple | None = None, least=None, most=None, above=None,
         graph: str | int | None = None, step: bool = False):
    """A field of a frozen Config that can become a control.

    low, high: the range of the slider (both reachable: where the method works and where it fails).
    least, most, above: what is *valid*, wider than the slider: least ≤ x ≤ most, x > above. None: whole numbers, which
    are sizes and counts, go up to LARGE times the slider's high end (the seed may be any), others up to ±HUGE.
    most=inf: infinity too is valid, a limit of the formula.
    step: True for a step size, the first thing to make smaller when a run diverges.
    restart: True for what cannot change in mid-run (a world's size, the seed); moving it restarts the run.
    choices: the allowed values of a field that is a word. symbol, unit, says: label, unit, one sentence.
    graph: for a field that holds edges, ((parent, child), ...): the number of nodes, or the field or property of the
    Config that counts them. It becomes an editor in which edges are switched and nodes are put in order.
    """
    return field(default=default, metadata=dict(
        low=low, high=high, symbol=symbol, says=says, unit=unit, log=log, restart=restart, choices=choices,
        least=least, most=most, above=above, graph=graph, step=step))


def check(cfg) -> None:
    """Refuse a setting that is not of its type, not a number or out of its valid range; use as `__post_init__`.

    Raises TypeError or ValueError saying which field, what it is, what was expected and what to try.
    A whole number given for a float field is taken as that float.
    """
    for f in fields(cfg):
        value, m = getattr(cfg, f.name), f.metadata
        default = None if f.default is MISSING else f.default
        kind = type(default) if default is not None else None
        number = {int: Integral, float: Real}.get(kind)              # NumPy's numbers too, and 1 for 1.0
        if number and isinstance(value, number) and not isinstance(value, bool):
            try:
                object.__setattr__(cfg, f.name, value := kind(value))
            except OverflowError:                                    # a whole number too large for a float
                raise ValueError(f"{f.name} is {_short(int(value))}, expected a float; try "
                                 f"{f.name}={default!r}") from None
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
            raise ValueError(f"{f.name} is {_short(value)}, expected {_range(m)}; try {f.name}={default!r}")
        if isinstance(value, float) and abs(value) > HUGE and value != m["most"]:
            raise ValueError(f"{f.name} is {value!r}, expected a finite number, at most {HUGE:g} in size: what is "
                             f"larger overflows when squared; try {f.name}={default!r}")
        if (top := _top(f)) is not None and value > top:
            raise ValueError(f"{f.name} is {_short(value)}, expected ≤ {top}, {LARGE} times what its slider goes to: "
                             f"more would fill the memory or never end; try {f.name}={default!r}")


def _top(f) -> int | None:
    """The largest whole number that is taken where the field names none."""
    sized = f.metadata["most"] is None and f.metadata["high"] is not None and f.name != "seed"
    return LARGE * f.metadata["high"] if sized and type(f.default) is int else None


def _short(value) -> str:
    """A number as it is, or in words: hundreds of digits say nothing."""
    if isinstance(value, Integral) and abs(value) >= 10**18:
        return f"a number of {int(math.log10(abs(value))) + 1} digits"
    return repr(value)


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


def joined(cfg, values: dict[str, Any]):
    """`cfg` with all of `values`; where they do not go together, with those that go with it one by one.

    A value may belong to another field that `cfg` has not changed yet: an edge to an agent who is not there, say.
    """
    try:
        return replace(cfg, **values)
    except (ValueError, TypeError):
        for name, value in values.items():
            with suppress(ValueError, TypeError):
                cfg = replace(cfg, **{name: value})
        return cfg


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
