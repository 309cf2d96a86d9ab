"""Plotly.js as it travels to the page: the file that the `plotly` package carries, out of its wrapper, compressed.

Compressing five megabytes takes as long as drawing a picture, so it is done once and kept beside this package's
bytecode. What cannot be kept, or was damaged, is made again.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import re
import sys
from contextlib import suppress
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import anywidget
import traitlets

HERE = Path(__file__).parent
# A page with a module loader must not catch plotly.js: in a function of its own it sees neither of the three.
HEAD, TAIL = "(function (define, module, exports) {", "\n}).call(window);"
WRAPPER = re.compile(r"(\s*/\*.*?\*/)?\s*\(\s*function\(root, factory\).{,300}?\}\s*\(typeof self[^,]*, \(\) => \{\n",
                     re.DOTALL)
END = "return Plotly;\n}));"


def alone(source: str) -> str:
    """plotly.js as one function, which sets window.Plotly.

    Its own wrapper comes off where we know it: a browser parses what is inside a function once more for every function
    around it, and here that is the whole file. (Ours is in parentheses, which says that it will be called at once.)
    """
    head, body = WRAPPER.match(source), source.rstrip()
    if head and body.endswith(END):
        return (head[1] or "") + HEAD + body[head.end() : -len(END)] + TAIL
    return HEAD + source + TAIL


def packed(source: Path, kept: Path) -> bytes:
    """`source`, a plotly.js, alone and compressed; from the folder `kept` if it is there, whole and as new."""
    about = source.stat()
    key = f"{source}{about.st_size}{about.st_mtime_ns}{HEAD}{TAIL}{WRAPPER.pattern}".encode()
    path = kept / f"plotly-{hashlib.sha256(key).hexdigest()[:16]}.js.gz"
    try:
        digest, data = (whole := path.read_bytes())[:32], whole[32:]
        if hashlib.sha256(data).digest() == digest:
            return data
    except OSError:
        pass
    data = gzip.compress(alone(source.read_text("utf-8")).encode(), 6, mtime=0)
    if not sys.dont_write_bytecode:
        part = path.with_name(f"{path.name}.{os.getpid()}")
        with suppress(OSError):  # a read-only installation: this kernel has it anyway
            kept.mkdir(exist_ok=True)
            part.write_bytes(hashlib.sha256(data).digest() + data)
            os.replace(part, path)
        with suppress(OSError):
            part.unlink(missing_ok=True)
    return data


class Library(anywidget.AnyWidget):
    """Carries plotly.js to the page; shows nothing."""

    _esm = HERE.joinpath("library.js").read_text()
    _view_name = traitlets.Unicode(None, allow_none=True).tag(sync=True)
    packed = traitlets.Bytes().tag(sync=True)


@cache
def library() -> Library:
    """The one library widget of this kernel."""
    source = Path(find_spec("plotly").origin).parent / "package_data" / "plotly.min.js"
    return Library(packed=packed(source, HERE / "__pycache__"))
