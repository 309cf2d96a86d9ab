"""What a paper says, measured on this machine: each claim is a function, and a chapter ends with their table.

    @claim(paper="Hong et al. 2023, abstract", says="weighting lifts the return of the behaviour policy", scale="exact")
    def flow_identity(seed: int) -> Measured:
        return near(measured, expected, 1e-9, "rounding")

    claims.table("trajectory_weighting", seed=0)         # in a notebook
    python -m rlkit claims trajectory_weighting          # in a shell

A claim holds for any seed: its tolerance comes from rounding or from the sampling error of what was just measured,
never from a past run. What cannot be checked here stays in the table, with the reason (`not_here`).
One file per paper; adding a claim is writing its function there. Read `claim`, `Measured` and its makers, `run`.
"""

from __future__ import annotations

import html
import importlib
import json
import math
import pkgutil
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import NamedTuple

import numpy as np

SCALES = ("exact", "statistical", "slow")
MARKS = {"holds": "✔", "does not hold": "✘", "not at this scale": "○", "not run": "–", "error": "‼"}


class Measured(NamedTuple):
    value: float | str           # what we measured
    expected: float | str        # what the claim says it should be
    tolerance: float | str       # how far it may be from that
    why: str                     # where the tolerance comes from; or why it cannot be measured here
    holds: bool | None           # None: cannot be measured at this scale


class Claim(NamedTuple):
    paper: str                   # author, year, place
    says: str                    # the claim, one sentence of ours
    scale: str                   # "exact", "statistical", or "slow" (trains networks)
    minutes: float               # about how long it takes on one core


class Row(NamedTuple):
    """One line of the table."""
    id: str
    claim: Claim
    status: str                  # "holds", "does not hold", "not at this scale", "not run" or "error"
    measured: Measured | None
    seconds: float
    error: str = ""              # the traceback, if the claim raised one


def claim(*, paper: str, says: str, scale: str = "exact", minutes: float = 0.01) -> Callable:
    """Declare a function (seed: int) -> Measured as a claim; its name is its id.  See `Claim` for the fields."""
    if scale not in SCALES:
        raise ValueError(f"scale is {scale!r}, expected one of {', '.join(map(repr, SCALES))}")

    def mark(f):
        f.claim = Claim(paper, says, scale, minutes)
        return f

    return mark


# ---- makers of Measured

def near(value: float, expected: float, tolerance: float, why: str) -> Measured:
    """A number that should be `expected`: holds if |value - expected| ≤ tolerance."""
    return Measured(float(value), float(expected), float(tolerance), why, bool(abs(value - expected) <= tolerance))


def above(x, floor: float, *, errors: float = 2.0, unit: str = "") -> Measured:
    """A mean over independent seeds that should exceed `floor`: holds if it does by `errors` standard errors.

    x: [n] one value per seed, n ≥ 2.
    """
    mean, se = _mean(x)
    return Measured(f"{mean:.3g} ± {se:.2g}{unit}", f"> {floor:g}{unit}", f"{errors * se:.2g}{unit}",
                    f"{errors:g} standard errors over {len(x)} seeds", bool(mean - errors * se > floor))


def below(x, ceiling: float, *, errors: float = 2.0, unit: str = "") -> Measured:
    """A mean over independent seeds that should stay under `ceiling`, by `errors` standard errors.  x: [n], n ≥ 2."""
    mean, se = _mean(x)
    return Measured(f"{mean:.3g} ± {se:.2g}{unit}", f"< {ceiling:g}{unit}", f"{errors * se:.2g}{unit}",
                    f"{errors:g} standard errors over {len(x)} seeds", bool(mean + errors * se < ceiling))


def every(*parts: tuple[str, Measured]) -> Measured:
    """Several measurements that make one claim: it holds if every one does.  parts: (name, measured).

    Values carry their names; expected values and tolerances follow in the same order.
    """
    join = lambda words: "; ".join(map(_show, words))                      # noqa: E731
    value = join(f"{name}: {_show(m.value)}" for name, m in parts)
    return Measured(value, join(m.expected for _, m in parts), join(m.tolerance for _, m in parts),
                    join(dict.fromkeys(m.why for _, m in parts)), all(m.holds for _, m in parts))


def not_here(expected: str, why: str) -> Measured:
    """A claim that cannot be measured at our scale: it stays in the table with the reason."""
    return Measured("-", expected, "-", why, None)


def _mean(x) -> tuple[float, float]:
    x = np.asarray(x, float)
    if x.ndim != 1 or len(x) < 2:
        raise ValueError(f"x has shape {x.shape}, expected [n], one value per seed, n ≥ 2: one seed has no error")
    return float(x.mean()), float(x.std(ddof=1) / len(x) ** 0.5)


# ---- running them

def ideas() -> list[str]:
    """The papers that have claims, by the names of their files."""
    return sorted(m.name for m in pkgutil.iter_modules(__path__))


def of(idea: str) -> dict[str, Callable]:
    """The claims of one paper, id -> function, in the order they are written.

    Raises ValueError naming what there is, if there is no such paper.
    """
    if idea not in ideas():
        raise ValueError(f"there are no claims on {idea!r}, expected one of: {', '.join(ideas()) or 'none yet'}")
    module = importlib.import_module(f"{__name__}.{idea}")
    return {name: f for name, f in vars(module).items() if isinstance(getattr(f, "claim", None), Claim)}


def run(idea: str, seed: int = 0, fast: bool = False) -> Iterator[Row]:
    """Measure the claims of one paper, one row at a time.  fast: leave out the slow ones (their rows say so).

    A claim that raises becomes a row with status "error"; the others go on.
    """
    for name, f in of(idea).items():
        if fast and f.claim.scale == "slow":
            yield Row(name, f.claim, "not run", None, 0.0)
            continue
        begin = time.perf_counter()
        try:
            # torch is not loaded for a claim that does without; once it is there, it may be what the claim runs on
            with one_thread() if f.claim.scale == "slow" or "torch" in sys.modules else nullcontext():
                measured = f(seed)
            status = {True: "holds", False: "does not hold", None: "not at this scale"}[measured.holds]
            yield Row(name, f.claim, status, measured, time.perf_counter() - begin)
        except Exception:
            yield Row(name, f.claim, "error", None, time.perf_counter() - begin, traceback.format_exc())


@contextmanager
def one_thread():
    """Small networks run many times faster on one thread of torch; put back afterwards what was set."""
    import torch
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


class Table:
    """Rows as text, HTML (what a notebook shows) or JSON."""

    def __init__(self, idea: str, seed: int, rows: list[Row]):
        self.idea, self.seed, self.rows = idea, seed, rows

    @property
    def ok(self) -> bool:
        """No claim failed (those not measured do not count)."""
        return not any(r.status in ("does not hold", "error") for r in self.rows)

    @property
    def summary(self) -> str:
        count = {s: sum(r.status == s for r in self.rows) for s in MARKS}
        return f"{self.idea}, seed {self.seed}: " + ", ".join(f"{n} {s}" for s, n in count.items() if n)

    def __str__(self) -> str:
        return "\n".join([*map(text, self.rows), self.summary])

    __repr__ = __str__

    def json(self) -> str:
        """The rows as JSON, NaN and infinities as words."""
        return json.dumps([record(self.idea, self.seed, r) for r in self.rows], indent=2, ensure_ascii=False)

    def _repr_html_(self) -> str:
        head = "".join(f'<th scope="col" style="text-align:left;width:{share}%;min-width:{least}em">{h}</th>'
                       for h, share, least in (("status", 8, 0), ("the paper says", 34, 18), ("we measured", 26, 0),
                                               ("expected", 12, 0), ("tolerance", 15, 12), ("s", 5, 0)))
        body = []
        for r in self.rows:
            m = r.measured
            about = r.claim.paper + ("" if m and m.holds is None else f"; {r.claim.scale}")
            cells = [f"{MARKS[r.status]}&nbsp;{r.status}",
                     f"{html.escape(r.claim.says)} <small>({html.escape(about)})</small>"]
            if m is None:
                note = r.error.strip().splitlines()[-1] if r.error else "slow: about " + _minutes(r.claim.minutes)
                cells += [html.escape(note), "", ""]
            elif m.holds is None:
                cells += [html.escape(m.why), html.escape(_show(m.expected)), ""]
            else:
                cells += [_lines(m.value), _lines(m.expected),
                          f"{_lines(m.tolerance)} <small>({html.escape(m.why)})</small>"]
            cells.append(f"{r.seconds:.1f}")
            cells = (f'<td style="text-align:left;vertical-align:top">{c}</td>' for c in cells)
            body.append(f"<tr>{''.join(cells)}</tr>")
        return (f'<table><caption>{html.escape(self.summary)}</caption><thead><tr>{head}</tr></thead>'
                f'<tbody>{"".join(body)}</tbody></table>')


def table(idea: str, seed: int = 0, fast: bool = False) -> Table:
    """Measure all claims of one paper; the last expression of a cell shows the table."""
    return Table(idea, seed, list(run(idea, seed, fast)))


def text(r: Row) -> str:
    """A row for the terminal."""
    m = r.measured
    about = "" if m and m.holds is None else f" ({r.claim.scale}, {r.seconds:.1f} s)"
    lines = [f"{MARKS[r.status]} {r.id}: {r.status}{about}", f"    {r.claim.says} [{r.claim.paper}]"]
    if r.error:
        lines.append("    " + r.error.strip().replace("\n", "\n    "))
    elif m is None:
        lines.append(f"    slow, about {_minutes(r.claim.minutes)}; leave out --fast to run it")
    elif m.holds is None:
        lines.append(f"    expected {_show(m.expected)}; {m.why}")
    else:
        lines.append(f"    measured {_show(m.value)}   expected {_show(m.expected)}   tolerance {_show(m.tolerance)}"
                     f" ({m.why})")
    return "\n".join(lines)


def record(idea: str, seed: int, r: Row) -> dict:
    """A row as a dict of plain values."""
    plain = lambda x: x if not isinstance(x, float) or math.isfinite(x) else str(x)        # noqa: E731
    measured = {k: plain(v) for k, v in r.measured._asdict().items()} if r.measured else None
    return dict(idea=idea, id=r.id, seed=seed, status=r.status, **r.claim._asdict(), measured=measured,
                seconds=round(r.seconds, 3), error=r.error)


def _lines(x) -> str:
    """One line for each part of a measurement; short ones are not broken, so that the lines of a row stay level."""
    wrap = lambda part: "nowrap" if len(part) < 48 else "normal"                   # noqa: E731
    return "<br>".join(f'<span style="white-space:{wrap(part)}">{html.escape(part)}</span>'
                       for part in _show(x).split("; "))


def _show(x) -> str:
    return x if isinstance(x, str) else f"{x:.4g}"


def _minutes(minutes: float) -> str:
    return f"{minutes:g} min" if minutes >= 1 else f"{60 * minutes:.0f} s"
