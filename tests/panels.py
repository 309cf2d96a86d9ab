"""The live panels of the course, as the cells of its chapters make them."""

import ast
from pathlib import Path

import notebooks

CHAPTERS = {source.stem: source for source in notebooks.sources()}


def panel_cells(source: Path, first: bool = False) -> list[str]:
    """The code cells of a chapter that show a panel (first: the first panel), and those that make what they use."""
    cells = notebooks.code_cells(source)
    if first:
        cells = cells[: next(i for i, cell in enumerate(cells) if shows_panel(cell)) + 1]
    kept, wanted = [], set()
    for cell in reversed(cells):
        made, read = _names(cell)
        if shows_panel(cell) or made & wanted:
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
