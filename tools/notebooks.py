"""Build notebooks/*.ipynb from notebooks/text/*.py, executed; or --check that they are in step.

    python tools/notebooks.py            all chapters          python tools/notebooks.py 01          one
    python tools/notebooks.py --check    inputs equal, rules of a chapter kept; runs nothing

The text is the source. A built notebook holds its outputs, with a PNG in place of each live panel, and no widget
state, times or random ids, so that building twice changes little. Tags: core (the method in full), hide-input (folded).
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import time
from pathlib import Path

import jupytext
import nbformat

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = ROOT / "notebooks"
BYTES, LINES, HIDDEN_LINES = 1_000_000, 16, 40
WIDGET = "application/vnd.jupyter.widget-view+json"


def sources(folder: Path = NOTEBOOKS, only: str = "") -> list[Path]:
    found = sorted((folder / "text").glob(f"{only}*.py"))
    if only and not found:
        raise SystemExit(f"no chapter {only!r} in {folder / 'text'}; there are "
                         + ", ".join(p.stem for p in sources(folder)))
    return found


def code_cells(source: Path) -> list[str]:
    """What the code cells of a chapter say, from its text."""
    return [c.source for c in jupytext.read(source, fmt="py:percent").cells if c.cell_type == "code"]


def target(source: Path) -> Path:
    return source.parent.parent / f"{source.stem}.ipynb"


def notebook(source: Path):
    """The notebook that the text says, without outputs; the same text gives the same notebook, ids included."""
    nb = jupytext.read(source, fmt="py:percent")
    nb.metadata = nbformat.from_dict(dict(
        kernelspec=dict(name="python3", display_name="Python 3 (ipykernel)", language="python"),
        language_info=dict(name="python", file_extension=".py", mimetype="text/x-python")))
    nb.nbformat, nb.nbformat_minor = 4, 5
    for i, cell in enumerate(nb.cells):
        tags = list(cell.metadata.get("tags", []))
        cell.id = f"cell-{i:03d}"
        cell.metadata = nbformat.from_dict(dict(tags=tags) if tags else {})
        if "hide-input" in tags:                                # one tag, said in the words of Lab and of Colab
            cell.metadata |= dict(jupyter=dict(source_hidden=True), cellView="form")
    return nb


def execute(nb, folder: Path) -> None:
    """Run all cells in a fresh kernel, panels as PNGs. Raises nbclient's CellExecutionError with the failing cell."""
    from nbclient import NotebookClient
    env = os.environ | dict(RLKIT_HEADLESS="1", RLKIT_PNG="1", OMP_NUM_THREADS="1")
    client = NotebookClient(nb, timeout=600, store_widget_state=False, record_timing=False, coalesce_streams=True,
                            resources=dict(metadata=dict(path=str(folder))))
    client.execute(env=env)
    nb.metadata.language_info = nbformat.from_dict(
        dict(name="python", file_extension=".py", mimetype="text/x-python"))
    nb.metadata.pop("widgets", None)
    for cell in nb.cells:
        for output in cell.get("outputs", ()):
            output.get("data", {}).pop(WIDGET, None)            # names a widget of a kernel that is gone


def build(source: Path) -> Path:
    nb = notebook(source)
    execute(nb, source.parent.parent)
    nbformat.validate(nb)
    new = target(source).with_suffix(".new")
    nbformat.write(nb, new)
    os.replace(new, target(source))
    return target(source)


# ------------------------------------------------------------------------------------------------ the check

def problems(source: Path) -> list[str]:
    """What is wrong with a chapter as stored, one line each."""
    path = target(source)
    name = path.name
    if not path.exists():
        return [f"{name} is missing; run make notebooks"]
    nb = nbformat.read(path, as_version=4)
    found = _out_of_step(nb, notebook(source), name)
    size = path.stat().st_size
    if size > BYTES:
        found.append(f"{name} has {size / 1e6:.1f} MB, at most {BYTES / 1e6:g}; show fewer or smaller pictures")
    if nb.metadata.get("widgets"):
        found.append(f"{name} stores widget state; run make notebooks")
    for i, cell in enumerate(nb.cells):
        found += [f"{name}, cell {i}: {what}" for what in _wrong(cell)]
    cores = sum("core" in c.metadata.get("tags", ()) for c in nb.cells)
    if cores > 1:
        found.append(f"{name} has {cores} cells tagged core; a chapter has one")
    return found


def _out_of_step(nb, expected, name: str) -> list[str]:
    """The first cell whose input is not what the text says."""
    ours, theirs = ([(c.cell_type, c.source, sorted(c.metadata.get("tags", ()))) for c in n.cells]
                    for n in (nb, expected))
    if ours == theirs:
        return []
    at = next((i for i, (a, b) in enumerate(zip(ours, theirs)) if a != b), min(len(ours), len(theirs)))
    return [f"{name}, cell {at}: not what notebooks/text/{Path(name).stem}.py says; edit the text, then make notebooks"]


def _wrong(cell) -> list[str]:
    if cell.cell_type != "code":
        open_solution = re.match(r"\W*solution", cell.source, re.I) and "<details>" not in cell.source
        return ["a solution that is not folded; put it in <details>"] if open_solution else []
    tags, code = cell.metadata.get("tags", ()), [s for s in cell.source.splitlines() if s.strip()]
    found = []
    if cell.source.strip() and cell.get("execution_count") is None:
        found.append("was not run; run make notebooks")
    if any(o.output_type == "error" for o in cell.outputs):
        found.append("stores an error")
    if any(o.get("name") == "stderr" for o in cell.outputs):
        found.append("stores what was written to stderr, with the paths of one machine; run make notebooks")
    if any(WIDGET in o.get("data", {}) for o in cell.outputs):
        found.append("stores a live widget that no reader has; run make notebooks")
    if re.search(r"^\s*[!%]+\s*(pip|conda|apt|apt-get)\b", cell.source, re.M):
        found.append("installs packages; that is requirements.txt's business")
    limit = HIDDEN_LINES if "hide-input" in tags else LINES
    if "core" not in tags and len(code) > limit:
        found.append(f"{len(code)} lines of code, at most {limit}; split it, or move it into the package")
    if re.match(r"# *solution", cell.source, re.I) and "hide-input" not in tags:
        found.append("a solution that is not folded; tag it hide-input")
    return found


def check(folder: Path = NOTEBOOKS) -> list[str]:
    texts = sources(folder)
    orphans = sorted(set(folder.glob("*.ipynb")) - {target(s) for s in texts})
    return [p for s in texts for p in problems(s)] + [f"{o.name} has no text/{o.stem}.py" for o in orphans]


def main(argv=None) -> int:
    parser = argparse.ArgumentParser(prog="notebooks", description=__doc__.splitlines()[0])
    parser.add_argument("only", nargs="?", default="", help="a chapter's number or name")
    parser.add_argument("--check", action="store_true")
    args = parser.parse_args(argv)
    if args.check:
        found = check()
        print("\n".join(found) or f"notebooks: {len(sources())}, in step with their text")
        return bool(found)
    for source in sources(only=args.only):
        start = time.monotonic()
        try:
            path = build(source)
        except Exception as e:                                  # the failing cell and its error, without our own frames
            print(f"  {source.stem}: {e}", file=sys.stderr)
            return 1
        print(f"  {path.relative_to(ROOT)}  {time.monotonic() - start:.1f} s, {path.stat().st_size / 1e3:.0f} kB")
    return check_after(args.only)


def check_after(only: str) -> int:
    found = [p for s in sources(only=only) for p in problems(s)]
    print("\n".join(found), end="\n" * bool(found))
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
