"""Build book/: every chapter as a page that needs no kernel, no network and no script for its mathematics.

    python tools/book.py            all chapters          python tools/book.py 01          one

A chapter is executed; where it shows a live panel, the page carries a recorded run that a slider scrubs, drawn by the
panel's own code (rlkit/live/plot.js) with the plotly.js of the installed package. TeX becomes MathML.
"""

from __future__ import annotations

import argparse
import html
import json
import re
import shutil
import string
import sys
import time
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import nbformat
from latex2mathml.converter import convert
from nbconvert.filters.ansi import ansi2html, strip_ansi
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer

import notebooks  # its neighbour

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
FRAMES, PAGE_BYTES = 40, 2_000_000
RECORDING = "application/vnd.rlkit.recording+json"

# Runs in the chapter's kernel before its first cell: what would be live is recorded.
RECORD = f"""
def _record():
    from rlkit.live.panel import Panel
    from rlkit.live.plot import Plot, png
    from rlkit.live.spec import plain, says, spec

    def bundle(frames, first):
        return {{"text/plain": says(frames[first]) or "a figure", "image/png": png(frames[first]),
                {RECORDING!r}: dict(frames=frames, first=first)}}

    def panel(self, **_):
        frames, run = self.record({FRAMES}), self._copy()
        end = len(frames) - 1                                   # a run is met at its end, a sweep at its own setting
        return bundle(frames, round(end * run.step / run.total) if run.sweeps and run.total else end)

    Panel._repr_mimebundle_ = panel
    Plot._repr_mimebundle_ = lambda self, **_: bundle([plain(spec(self.figure))], 0)
_record()
del _record
"""


# ------------------------------------------------------------------------------------------------ mathematics

def mathml(tex: str, block: bool = False) -> str:
    """TeX as MathML. Raises ValueError for what cannot be converted: a page with a wrong formula is worse than none."""
    tex = re.sub(r"(begin|end)\{(aligned|align\*?|split|gather\*?)\}", r"\1{align*}", tex.strip())
    try:
        out = convert(tex, display="block" if block else "inline")
        words = "".join(ElementTree.fromstring(out).itertext())
    except Exception as e:
        raise ValueError(f"the formula {tex!r} cannot be converted: {type(e).__name__} {e}") from e
    if "\\" in words:
        command = re.search(r"\\\w*", words).group()
        raise ValueError(f"the formula {tex!r} uses {command}, which the book does not know; write it another way")
    return out


class Renderer(IPythonRenderer):
    """Markdown with its formulas as MathML and its links to chapters as links to pages."""

    def block_math(self, body):
        return mathml(body, block=True)

    def inline_math(self, body):
        return mathml(body)

    def latex_environment(self, name, body):
        return mathml(f"\\begin{{{name}}}{body}\\end{{{name}}}", block=True)

    def link(self, text, url, title=None):
        return super().link(text, re.sub(r"^([\w-]+)\.ipynb", r"\1.html", url), title)


def markdown(text: str, folder: Path) -> str:
    return MarkdownWithMath(renderer=Renderer(escape=False, embed_images=True, path=str(folder))).render(text)


# ------------------------------------------------------------------------------------------------ recordings

class Recording:
    """The frames of one run, every trace and layout stored once; `first` is the frame a reader meets."""

    def __init__(self, frames: list[dict], first: int):
        self.frames, self.first = frames, first

    def text(self) -> str:
        traces, layouts = {}, {}
        rows = [[_number(layouts, f["layout"]), *(_number(traces, t) for t in f["data"])] for f in self.frames]
        lists = (f"[{','.join(pool)}]" for pool in (traces, layouts))
        rows = json.dumps(rows, separators=(",", ":"))
        packed = '{{"traces":{},"layouts":{},"frames":{},"first":{}}}'.format(*lists, rows, self.first)
        return packed.replace("</", "<\\/")                     # a string must not end the script that carries it

    def thin(self) -> None:
        """Drop every other frame; both ends and the one met first stay."""
        keep = [i for i in range(len(self.frames)) if i % 2 == 0 or i in (self.first, len(self.frames) - 1)]
        self.frames, self.first = [self.frames[i] for i in keep], keep.index(self.first)


def _number(pool: dict, node) -> int:
    return pool.setdefault(json.dumps(node, separators=(",", ":"), ensure_ascii=False), len(pool))


def fit(recordings: list[Recording]) -> None:
    """Thin the largest until all of them fit a page; four frames are the least."""
    while sum(len(r.text()) for r in recordings) > PAGE_BYTES:
        most = max((r for r in recordings if len(r.frames) > 4), key=lambda r: len(r.text()), default=None)
        if most is None:
            return
        most.thin()


def figure(recording: Recording, png: str, says: str) -> str:
    n = len(recording.frames)
    controls = "" if n < 2 else (
        '<div class="controls" hidden><button class="play">▶ Play</button><input type="range" class="scrub" '
        f'aria-label="position in the recorded run" min="0" max="{n - 1}" value="{recording.first}"></div>')
    return (f'<figure class="recording"><img src="data:image/png;base64,{png}" alt="{html.escape(says)}">'
            f'<div class="picture"></div>{controls}<figcaption>{html.escape(says)}</figcaption>'
            f'<script type="application/json">{recording.text()}</script></figure>')


# ------------------------------------------------------------------------------------------------ a page

def code(cell) -> str:
    text = highlight(cell.source, PythonLexer(), HtmlFormatter())
    if "hide-input" in cell.metadata.get("tags", ()):
        return f'<details class="code"><summary>code</summary>{text}</details>'
    return f'<div class="code">{text}</div>'


def output(o, folder: Path, recordings: dict[int, Recording]) -> str:
    """One output of a cell, in the richest form that needs no kernel."""
    if o.output_type == "stream":
        return f"<pre>{ansi2html(o.text)}</pre>"
    if o.output_type == "error":
        return f"<pre>{html.escape(strip_ansi(chr(10).join(o.traceback)))}</pre>"
    data = o.data
    if id(o) in recordings:
        return figure(recordings[id(o)], data.get("image/png", ""), data.get("text/plain", ""))
    if "text/html" in data:
        return data["text/html"]
    if "text/markdown" in data:
        return markdown(data["text/markdown"], folder)
    if "image/png" in data:
        return f'<img src="data:image/png;base64,{data["image/png"]}" alt="{html.escape(data.get("text/plain", ""))}">'
    return f"<pre>{html.escape(data.get('text/plain', ''))}</pre>"


def page(nb, folder: Path, before: str = "", after: str = "") -> str:
    outputs = [o for c in nb.cells for o in c.get("outputs", ()) if "data" in o]
    recordings = {id(o): Recording(**o.data[RECORDING]) for o in outputs if o.data.get(RECORDING)}
    fit(list(recordings.values()))
    parts = []
    for cell in nb.cells:
        if cell.cell_type == "markdown":
            parts.append(markdown(cell.source, folder))
        elif cell.cell_type == "code" and cell.source.strip():
            shown = "".join(output(o, folder, recordings) for o in cell.outputs)
            parts.append(code(cell) + (f'<div class="output">{shown}</div>' if shown else ""))
    return wrap(title(nb), "\n".join(parts), before, after)


def wrap(name: str, body: str, before: str = "", after: str = "") -> str:
    links = [f'<a href="{target}.html"{kind}>{words}</a>' for target, kind, words in (
        ("index", "", "Contents"), (before, "", "← Previous"), (after, ' class="next"', "Next →")) if target]
    scripts = "\n".join(f'<script src="{src}"></script>' for src in ("plotly.min.js", "plot.js", "book.js"))
    shell = string.Template((HERE / "book.html").read_text(encoding="utf-8"))
    text = shell.substitute(title=html.escape(name), links="\n".join(links), body=body,
                            scripts=scripts if '<figure class="recording">' in body else "")
    loaded = re.search(r"<(?:script|link|img|iframe)\b[^>]*\b(?:src|href)\s*=\s*[\"']?((?:https?:)?//[^\"'>]+)", text)
    if loaded:
        raise ValueError(f"{name!r} loads {loaded.group(1)}: a page of the book must be complete without a network")
    return text


def title(nb) -> str:
    heading = next((re.search(r"^# +(.+)$", c.source, re.M) for c in nb.cells if c.cell_type == "markdown"), None)
    return heading.group(1) if heading else "A chapter"


def question(nb) -> str:
    """The first paragraph that is not a heading."""
    texts = [p for c in nb.cells if c.cell_type == "markdown" for p in c.source.split("\n\n") if not p.startswith("#")]
    return texts[0] if texts else ""


# ------------------------------------------------------------------------------------------------ the book

def execute(source: Path):
    """The chapter, run, with recordings in place of live panels."""
    nb = notebooks.notebook(source)
    nb.cells.insert(0, nbformat.v4.new_code_cell(RECORD))
    notebooks.execute(nb, source.parent.parent)
    del nb.cells[0]
    return nb


def contents(chapters: list, folder: Path) -> str:
    rows = "".join(f'<h2><a href="{name}.html">{html.escape(title(nb))}</a></h2>{markdown(question(nb), folder)}'
                   for name, nb in chapters)
    return wrap("Papers you can play with", "<h1>Papers you can play with</h1>" + rows)


def build(sources: list[Path], book: Path, told=print) -> None:
    import plotly
    book.mkdir(parents=True, exist_ok=True)
    shutil.copy(Path(plotly.__file__).parent / "package_data" / "plotly.min.js", book)
    for asset in (ROOT / "rlkit" / "live" / "plot.js", HERE / "book.js"):
        shutil.copy(asset, book)
    dark = HtmlFormatter(style="github-dark").get_style_defs(".highlight")
    (book / "book.css").write_text(
        (HERE / "book.css").read_text() + HtmlFormatter(style="tango").get_style_defs(".highlight")
        + f"\n@media (prefers-color-scheme: dark) {{ {dark} }}\n.highlight {{ background: none; }}\n", encoding="utf-8")
    names = ["", *(s.stem for s in sources), ""]
    chapters = []
    for i, source in enumerate(sources):
        start = time.monotonic()
        nb = execute(source)
        text = page(nb, source.parent.parent, names[i], names[i + 2])
        (book / f"{source.stem}.html").write_text(text, encoding="utf-8")
        chapters.append((source.stem, nb))
        told(f"  {book.name}/{source.stem}.html  {time.monotonic() - start:.1f} s, {len(text.encode()) / 1e6:.2f} MB")
    (book / "index.html").write_text(contents(chapters, sources[0].parent.parent), encoding="utf-8")


def main(argv=None) -> int:
    parser = argparse.ArgumentParser(prog="book", description=__doc__.splitlines()[0])
    parser.add_argument("only", nargs="?", default="", help="a chapter's number or name")
    try:
        build(notebooks.sources(only=parser.parse_args(argv).only), ROOT / "book")
    except Exception as e:                                      # a failing cell, a formula: without our own frames
        print(f"  {e}", file=sys.stderr)
        return 1
    print("read it: book/index.html")
    return 0


if __name__ == "__main__":
    sys.exit(main())
