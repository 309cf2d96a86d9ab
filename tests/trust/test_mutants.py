"""Would the tests notice if a formula were wrong? Each mutant of `mutants.py` is put in a copy of the package, and its
tests must fail there (a crash counts, and so does a run that does not end).

    python tests/trust/test_mutants.py                        # all of them, half an hour: how many were caught
    python tests/trust/test_mutants.py papers/entropy_losses  # of one file
    python tests/trust/test_mutants.py 40                     # so many, drawn
"""

import compileall
import importlib.util
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from mutants import EQUIVALENT, MUTANTS, TESTS

ROOT = Path(__file__).resolve().parent.parent.parent
HEAVY = ("numpy", "scipy.optimize", "scipy.special", "scipy.stats", "torch", "gymnasium.vector", "networkx",
         "hypothesis")
PATIENCE = 120                           # s of a processor; the longest tests need a third of it
SHARE = 0.95                             # of the mutants must be caught
DRAW = 40                                # mutants that the long test tries


class Mutant(NamedTuple):
    file: str                            # under rlkit/, without .py
    old: str
    new: str
    broken: str                          # what, in words

    def __str__(self):
        return f"{self.file}: {self.broken}"


ALL = [Mutant(file, *edit) for file, edits in MUTANTS.items() for edit in edits]


def source(file: str, root: Path = ROOT) -> Path:
    return root / "rlkit" / f"{file}.py"


@pytest.mark.parametrize("file", MUTANTS)
def test_every_mutant_is_one_edit_of_a_file_that_is_there_and_still_runs(file):
    text = source(file).read_text(encoding="utf-8")
    for _, old, new, broken in (m for m in ALL if m.file == file):
        assert text.count(old) == 1, f"{broken}: {old!r} occurs {text.count(old)} times in {file}.py, expected once"
        compile(text.replace(old, new), file, "exec")
    assert (ROOT / TESTS[file]).exists()


def test_mutants_are_many_and_none_is_listed_twice():
    edits = [m[:3] for m in ALL]
    assert len(edits) >= 60 and len(set(edits)) == len(edits) and set(EQUIVALENT) <= {m[:2] for m in ALL}
    with_formulas = {f"papers/{p.stem}" for p in (ROOT / "rlkit" / "papers").glob("[!_]*.py")}
    assert with_formulas <= set(MUTANTS)


# ---- the machine


def caught(mutants: list[Mutant | None], lanes: int = 2) -> Iterator[tuple[Mutant, bool, float]]:
    """(mutant, whether its tests failed, seconds of a processor), as they end.  None in place of a mutant and a file:
    nothing is changed.

    Each is tested in a process of its own, forked from one that has the heavy imports behind it and none of ours.
    """
    for name in HEAVY:
        importlib.import_module(name)
    waiting, running = list(mutants)[::-1], {}
    with tempfile.TemporaryDirectory() as folder:
        free = [copy(Path(folder) / str(i)) for i in range(lanes)]
        while waiting or running:
            while waiting and free:
                mutant, place = waiting.pop(), free.pop()
                path = source(mutant.file, place)
                text = path.read_text(encoding="utf-8")
                path.write_text(text.replace(mutant.old, mutant.new) if mutant.old else text, encoding="utf-8")
                Path(importlib.util.cache_from_source(path)).unlink(missing_ok=True)  # or the old code runs on
                running[_test(place, TESTS[mutant.file])] = mutant, place, path, text
            pid, status, used = os.wait4(-1, 0)
            if pid in running:
                mutant, place, path, text = running.pop(pid)
                path.write_text(text, encoding="utf-8")
                Path(importlib.util.cache_from_source(path)).unlink(missing_ok=True)
                free.append(place)
                yield mutant, status != 0, used.ru_utime + used.ru_stime


def copy(place: Path) -> Path:
    """Package and tests as they are, compiled."""
    for part in ("rlkit", "tests"):
        shutil.copytree(ROOT / part, place / part, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", place)
    compileall.compile_dir(str(place / "rlkit"), quiet=2)
    return place


def _test(place: Path, tests: str) -> int:
    """Start the tests in the copy.  Gives the process's number; its status is 0 if all hold."""
    if pid := os.fork():
        return pid
    signal.setitimer(signal.ITIMER_VIRTUAL, PATIENCE)                     # an endless loop ends by SIGVTALRM
    os.chdir(place)
    os.environ |= dict(PYTHONPATH=str(place), PYTHONDONTWRITEBYTECODE="1", PYTEST_DISABLE_PLUGIN_AUTOLOAD="1")
    sys.dont_write_bytecode = True
    sys.path.insert(0, str(place))
    quiet = os.open(os.environ.get("MUTANT_LOG", os.devnull), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(quiet, 1), os.dup2(quiet, 2)
    code = 3
    try:
        code = pytest.main([*"-xq --tb=no -p no:cacheprovider -m".split(), "not slow and not browser", *tests.split()])
    finally:
        os._exit(int(code))


def main(chosen: list[Mutant]) -> int:
    """Prints what became of each; 0 if the tests are green without mutants and enough mutants are caught."""
    begin, lost = time.time(), []
    untouched = [Mutant(file, "", "", "nothing changed") for file in {TESTS[m.file]: m.file for m in chosen}.values()]
    red = [TESTS[m.file] for m, fell, _ in caught(untouched) if fell]
    print("red without any mutant: " + ", ".join(red) if red else "green without any mutant", flush=True)
    for mutant, fell, seconds in caught([] if red else chosen):
        print(f"{'caught' if fell else 'SURVIVED'}  {mutant}  {seconds:.1f} s", flush=True)
        lost += [] if fell or mutant[:2] in EQUIVALENT else [mutant]
    print(f"{len(chosen) - len(lost)} of {len(chosen)} caught, {time.time() - begin:.0f} s")
    return int(bool(red) or len(lost) > (1 - SHARE) * len(chosen))


@pytest.mark.slow
def test_ninety_five_in_a_hundred_mutants_are_caught():
    """A draw of them, in a process that has not met our package: minutes; all of them take a quarter of an hour."""
    run = subprocess.run([sys.executable, __file__, str(DRAW)], capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    wanted = sys.argv[1:]
    if wanted and wanted[0].isdigit():
        sys.exit(main(random.Random(0).sample(ALL, int(wanted[0]))))
    sys.exit(main([m for m in ALL if not wanted or m.file in wanted]))
