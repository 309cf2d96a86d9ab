"""The live panels of the course, as the cells of its chapters make them."""

import ast
from pathlib import Path

import notebooks

CHAPTERS = {source.stem: source for source in notebooks.sources()}
HEAVY = {                                # titles of panels that take seconds to a picture
    "Three ways to draw a minibatch", "Promised and earned, exactly", "On the ice", "Ask for a return",
    "Bold or cautious?", "Learned: whom to ask", "A language model runs out of curiosity",
}


def panel_cells(source: Path, heavy: bool = True) -> list[str]:
    """The code cells of a chapter that show a panel, and those that make what they use.

    heavy: whether heavy panels are wanted too; the first of a chapter always is.
    """
    cells = notebooks.code_cells(source)
    first = next(cell for cell in cells if shows_panel(cell))
    kept, wanted = [], set()
    for cell in reversed(cells):
        made, read = _names(cell)
        shows = shows_panel(cell) and (heavy or cell is first or not any(f'title="{t}"' in cell for t in HEAVY))
        if shows or made & wanted:
            kept.append(cell)
            wanted |= read
    return kept[::-1]


def shows_panel(cell: str) -> bool:
    return "live.Panel(" in cell or "live.Explorer(" in cell


def _names(cell: str) -> tuple[set, set]:
    """(names that a cell makes, names that it reads)."""
    made, read = set(), set()
    for node in ast.walk(ast.parse(cell)):
        if isinstance(node, ast.Name):
            (read if isinstance(node.ctx, ast.Load) else made).add(node.id)
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            made.add(node.name)
        elif isinstance(node, ast.alias):
            made.add((node.asname or node.name).split(".")[0])
    return made, read
