"""Exercises: a question, cases that check an answer by name, hints that come one at a time, a solution to unfold.

    weights = Exercise(
        "Write `return_weights(G, alpha)`: one weight per trajectory, from its return.",
        [Case("equal returns give uniform weights", (np.full(4, 7.0), 0.1), np.full(4, 0.25)),
         Case("the unit of reward does not matter", (100 * G - 3, 0.1), lambda f: f(G, 0.1)),
         Case("the weights sum to one", (G, 0.1), 1.0, look=np.sum)],
        hints=["Rescale first.", "…", "…"], solution=return_weights)

    weights                              # in a cell: the question, its state, the folded solution
    weights.check(my_return_weights)     # in a cell: what holds, or what does not, with input, expected and got

Each chapter's exercises are one file here, named like its paper. A check never raises: what the student's function
raises is shown as the answer's own error. `exercise.check(exercise.solution)` holds: that is the test of an exercise.
"""

from __future__ import annotations

import copy
import html
import inspect
import linecache
import re
import textwrap
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Case:
    """One property of a right answer.

    says: the property in words. given: the arguments of the student's function; None: the answer is a value.
    expected: the value, or a function of the answer that gives it (to compare the answer with itself).
    look: what to compare of the result, e.g. np.sum. tol: relative and absolute, for numbers.
    holds: in place of comparing, holds(result) decides, and `expected` says in words what was wanted.
    """
    says: str
    given: tuple | None
    expected: Any
    look: Callable | None = None
    tol: float = 1e-9
    holds: Callable | None = None


@dataclass(frozen=True)
class Result:
    """What a check found. state: "solved", "open" (nothing answered yet) or "wrong"."""
    state: str
    headline: str
    facts: tuple[tuple[str, str], ...] = ()     # ("input", "G = [0, 1]"), ("expected", …), ("got", …)
    hint: str = ""
    solution: str = ""

    def __bool__(self) -> bool:
        return self.state == "solved"

    def __repr__(self) -> str:
        width = max((len(name) for name, _ in self.facts), default=0)
        lines = [f"{_badge(self.state)} {self.headline}"]
        lines += [textwrap.indent(f"{name:>{width}}: {value}", "    ") for name, value in self.facts]
        return "\n".join(lines + [self.hint] * bool(self.hint))

    def _repr_html_(self) -> str:
        rows = "".join(f"<tr><th style='text-align:right'>{_rich(name)}</th>"
                       f"<td style='text-align:left'><pre style='margin:0'>{html.escape(value)}</pre></td></tr>"
                       for name, value in self.facts)
        return _box(self.state, f"<b>{_badge(self.state)} {_rich(self.headline)}</b>"
                    + (f"<table>{rows}</table>" if rows else "")
                    + (f"<p>{_rich(self.hint)}</p>" if self.hint else "")
                    + _folded("Solution", self.solution))


class Exercise:
    """A question with its cases. It remembers how often it was tried and whether it is solved, nothing else.

    hints: from the first push to nearly the answer. solution: a function or a value that passes every case.
    why: the reason behind it, shown with the solution.
    """

    def __init__(self, question: str, cases: Sequence[Case], hints: Sequence[str] = (), solution: Any = None,
                 why: str = ""):
        self.question, self.cases, self.hints, self.solution, self.why = question, cases, hints, solution, why
        self.solved, self.tries = False, 0

    def check(self, answer: Any = None) -> Result:
        """Try an answer: a function of your own, or a value. Each wrong try shows one hint more."""
        if answer is None or answer is ...:
            return Result("open", "not answered yet: put your answer in place of the dots and run the cell again")
        for case in self.cases:
            if callable(answer) != (case.given is not None):
                kind = "a function" if case.given is not None else "a value"
                return self._wrong("the answer is of the wrong kind", [("expected", kind), ("got", _show(answer))])
            try:
                got, expected = _ask(case, answer)
            except NotImplementedError:
                return Result("open", "not answered yet: your function raises NotImplementedError")
            except Exception as e:
                return self._wrong(f"your answer stops with an error: {case.says}", [
                    ("input", _arguments(answer, case.given)), ("error", f"{type(e).__name__}: {e}"),
                    *_line(answer, e)])
            if got is None or got is ...:
                return Result("open", "not answered yet: your function returns nothing; does it end in return?")
            if not (case.holds(got) if case.holds else _same(got, expected, case.tol)):
                return self._wrong(f"does not hold: {case.says}", [
                    ("input", _arguments(answer, case.given)), ("expected", _show(expected, case.holds)),
                    ("got", _show(got))])
        self.solved = True
        return Result("solved", "solved: " + "; ".join(case.says for case in self.cases))

    def _wrong(self, headline: str, facts: list) -> Result:
        self.tries += 1
        n, all_hints = min(self.tries, len(self.hints)), len(self.hints)
        hint = f"Hint {n} of {all_hints}: {self.hints[n - 1]}" if n else ""
        shown = tuple((name, value) for name, value in facts if value)
        return Result("wrong", headline, shown, hint, self._answer() if self.tries > all_hints else "")

    def _answer(self) -> str:
        return "" if self.solution is None else "\n\n".join(filter(None, [_source(self.solution), self.why]))

    def __repr__(self) -> str:
        return f"{_badge('solved' if self.solved else 'open')} {self.question}"

    def _repr_html_(self) -> str:
        state = "solved" if self.solved else "open"
        words = "solved" if self.solved else "to do"
        return _box(state, f"<b>{_badge(state)} {words}</b><p>{_rich(self.question)}</p>"
                    + _folded("Solution", self._answer()))


# ------------------------------------------------------------------------------------------------ asking and comparing

def _ask(case: Case, answer: Any) -> tuple[Any, Any]:
    """What the answer gives and what it should give. A student's function gets copies: it may change them in place."""
    def ask(*given):
        return answer(*copy.deepcopy(given))

    got = answer if case.given is None else ask(*case.given)
    if got is None or got is ...:
        return None, None
    got = case.look(got) if case.look else got
    compute = callable(case.expected) and case.holds is None
    return got, case.expected(ask) if compute else case.expected


def _same(got: Any, expected: Any, tol: float) -> bool:
    if isinstance(expected, str):
        return isinstance(got, str) and got.strip().casefold() == expected.strip().casefold()
    try:
        a, b = _array(got), _array(expected)
    except (TypeError, ValueError):                             # not numbers: sets, dictionaries, ragged lists
        return bool(got == expected)
    return a.shape == b.shape and np.allclose(a, b, rtol=tol, atol=tol, equal_nan=True)


def _array(x: Any) -> np.ndarray:
    return np.asarray(x.detach() if hasattr(x, "detach") else x, dtype=float)


# ------------------------------------------------------------------------------------------------ words

def _badge(state: str) -> str:
    return "✅" if state == "solved" else "⬜"


def _show(x: Any, in_words: Any = False) -> str:
    """A value, short; an array with its shape where that is not plain to see."""
    if in_words and isinstance(x, str):
        return x
    if hasattr(x, "detach"):
        x = np.asarray(x.detach())
    if isinstance(x, np.ndarray):
        text = np.array2string(x, precision=5, threshold=40, separator=", ")
        return text if x.ndim == 1 and x.size <= 8 else f"{text}   shape {x.shape}"
    if isinstance(x, (float, np.floating)):
        return f"{x:.8g}"
    if isinstance(x, np.generic):
        return str(x.item())
    return textwrap.shorten(repr(x), 300)


def _arguments(answer: Any, given: tuple | None) -> str:
    """G = [0, 1], alpha = 0.1: by the names the student gave them."""
    if given is None:
        return ""
    try:
        names = list(inspect.signature(answer).bind(*given).arguments)
    except (TypeError, ValueError):
        names = []
    named = len(names) == len(given)
    return ", ".join(f"{names[i]} = {_show(x)}" if named else _show(x) for i, x in enumerate(given))


def _line(answer: Any, e: Exception) -> list[tuple[str, str]]:
    """The line of the student's own function where it stopped, if it got that far."""
    code = getattr(answer, "__code__", None)
    inside = [f for f in traceback.extract_tb(e.__traceback__) if code and f.filename == code.co_filename
              and f.lineno >= code.co_firstlineno]
    if not inside:
        return []
    text = linecache.getline(inside[-1].filename, inside[-1].lineno).strip()
    return [("where", f"line {inside[-1].lineno - code.co_firstlineno + 1} of your function: {text}")]


def _source(solution: Any) -> str:
    if not callable(solution):
        return _show(solution)
    try:
        return textwrap.dedent(inspect.getsource(solution)).rstrip()
    except (OSError, TypeError):
        return repr(solution)


def _rich(text: str) -> str:
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(text, quote=False))


def _folded(title: str, text: str) -> str:
    return f"<details><summary>{title}</summary><pre>{html.escape(text)}</pre></details>" if text else ""


def _box(state: str, inside: str) -> str:
    colour = {"solved": "#009E73", "wrong": "#D55E00"}.get(state, "#8a8a8a")
    return (f"<div class='rlkit-exercise' data-rlkit-state='{state}' "
            f"style='border-left:4px solid {colour};padding:4px 12px'>{inside}</div>")
