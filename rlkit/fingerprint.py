"""A fingerprint of code: changes when what a function computes may have changed, and not from process to process.

It covers all of rlkit, the file each function stands in, what the function is bound to (functools.partial, closures,
defaults) and the versions of Python, numpy and torch. A function made in a notebook counts with its bytecode and with
everything it refers to by name, so that moving or reformatting its cell changes nothing. Not covered: other files of
your own that these import.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib.metadata
import inspect
import sys
import types
from pathlib import Path

import joblib
import numpy as np

import rlkit


def fingerprint(*functions) -> str:
    """32 hexadecimal digits that stand for the code of rlkit and of these functions."""
    here = Path(rlkit.__file__).parent
    parts = [sys.version_info[:2], np.__version__]
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        parts.append(importlib.metadata.version("torch"))       # of the label: torch itself is not imported
    parts += [(p.relative_to(here).as_posix(), _digest(p.read_bytes())) for p in sorted(here.rglob("*.py"))]
    return _digest(repr(parts + [_code(f, set()) for f in functions]).encode())[:32]


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _code(f, seen: set):
    """What decides what `f` does, as words and digests: equal code gives equal text."""
    if isinstance(f, functools.partial):
        return [_code(f.func, seen), [_code(a, seen) for a in f.args], [(k, _code(f.keywords[k], seen))
                                                                         for k in sorted(f.keywords)]]
    if isinstance(f, types.MethodType):
        return [_code(f.__func__, seen), _code(f.__self__, seen)]
    if isinstance(f, types.ModuleType):
        return f.__name__
    if not isinstance(f, (type, types.FunctionType)):
        return _data(f)
    if id(f) in seen:                                           # recursion
        return f.__qualname__
    seen.add(id(f))
    if f.__module__ != "__main__":
        return [f.__module__, f.__qualname__, _file(f), _bound(f, seen)]
    if isinstance(f, type):
        inside = [(k, getattr(v, "fget", None) or getattr(v, "__func__", v)) for k, v in sorted(vars(f).items())]
        return [f.__qualname__, [(k, _code(v, seen)) for k, v in inside
                                 if isinstance(v, (types.FunctionType, int, float, str))]]
    named = [n for n in _names(f.__code__) if n in f.__globals__]
    return [_byte(f.__code__), _bound(f, seen), [(n, _code(f.__globals__[n], seen)) for n in named]]


def _bound(f, seen: set):
    if isinstance(f, type):
        return []
    return [_code(c.cell_contents, seen) for c in f.__closure__ or ()] + [
        [_code(d, seen) for d in f.__defaults__ or ()], sorted((k, _code(d, seen))
                                                               for k, d in (f.__kwdefaults__ or {}).items())]


def _file(f) -> str:
    try:
        return _digest(Path(inspect.getsourcefile(f)).read_bytes())
    except (TypeError, OSError):                                # built in C: nothing to read
        return ""


def _byte(code: types.CodeType):
    """Bytecode and constants; no file name and no line number, which change when a cell moves."""
    consts = [_byte(c) if isinstance(c, types.CodeType) else sorted(map(repr, c)) if isinstance(c, frozenset) else c
              for c in code.co_consts]
    return [code.co_code, code.co_names, code.co_varnames, consts]


def _names(code: types.CodeType) -> list[str]:
    inner = [n for c in code.co_consts if isinstance(c, types.CodeType) for n in _names(c)]
    return sorted({*code.co_names, *inner})


def _data(value):
    try:
        return joblib.hash(value)
    except Exception:                                           # a lock, a widget, a generator: nothing to compute with
        return type(value).__qualname__
