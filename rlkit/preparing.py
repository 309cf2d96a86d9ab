"""What a learner does before its first snapshot (a warm start, say) is told while it lasts, and given up on request.

    for _ in preparing(pretrain(model, ...), "lesson", of=600):
        pass

A panel shows "Getting ready: lesson 120 of 600…" meanwhile, and ends the loop when its settings are changed, on Reset,
and when it is closed. Where no panel is watching, the updates pass through as they are. Standard library only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_watch: ContextVar[Callable[[str], None] | None] = ContextVar("watch", default=None)


class GivenUp(BaseException):
    """Nobody wants any more what is being prepared. No Exception: a learner that catches those must not catch it."""


def preparing(updates: Iterable, what: str, of: int | None = None) -> Iterator:
    """Each of `updates`; before it whoever watches hears "`what` k of `of`", k = 1, 2, ..., and may raise GivenUp.

    what: the name of one update, in the singular.  of: how many there will be; None: nobody knows.
    """
    for k, update in enumerate(updates, 1):
        if watch := _watch.get():                               # asked each time: a learner outlives its preparation
            watch(f"{what} {k}" + (f" of {of}" if of is not None else ""))
        yield update


@contextmanager
def watched(by: Callable[[str], None]):
    """Within, `by` is called for every update of a preparation on this thread; it may raise GivenUp."""
    token = _watch.set(by)
    try:
        yield
    finally:
        _watch.reset(token)
