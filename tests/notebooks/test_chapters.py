"""Every chapter runs top to bottom in a fresh kernel, in bounded memory, and is what its text says."""

import importlib.util
import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).parents[2]
MEGABYTES = 700                      # a free Binder machine guarantees 1 GB; JupyterLab's server takes about 150 MB
CELL_SECONDS = 120                   # a chapter takes 60 s on two cores: twice that in one cell is a hang

spec = importlib.util.spec_from_file_location("notebooks", ROOT / "tools" / "notebooks.py")
notebooks = importlib.util.module_from_spec(spec)
spec.loader.exec_module(notebooks)

CHAPTERS = [pytest.param(s, id=s.stem) for s in notebooks.sources()]


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_a_chapter_is_in_step_with_its_text_and_keeps_the_rules(chapter):
    assert notebooks.problems(chapter) == []


def test_no_notebook_lacks_a_text():
    assert {p.stem for p in notebooks.NOTEBOOKS.glob("*.ipynb")} <= {s.stem for s in notebooks.sources()}


def kernel_megabytes(pytest_process) -> float:
    """Resident memory of the kernel and all it started."""
    total = 0
    for process in pytest_process.children(recursive=True):
        try:
            total += process.memory_info().rss
        except psutil.Error:                                    # it ended while we looked
            pass
    return total / 2**20


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_a_chapter_runs_top_to_bottom_in_bounded_memory(chapter, tmp_path, capsys):
    """nbval runs the cells; an output is compared where its cell says `nbval-check-output`."""
    start, peak = time.monotonic(), 0.0
    command = [sys.executable, "-m", "pytest", "--nbval-lax", "--nbval-current-env", "-p", "no:cacheprovider", "-o",
               "addopts=", "-q", f"--nbval-cell-timeout={CELL_SECONDS}", f"--rootdir={tmp_path}",
               str(notebooks.target(chapter))]
    env = os.environ | dict(RLKIT_HEADLESS="1", OMP_NUM_THREADS="1")
    with open(tmp_path / "out", "w+") as out:
        process = subprocess.Popen(command, cwd=tmp_path, env=env, stdout=out, stderr=subprocess.STDOUT)
        try:
            watched = psutil.Process(process.pid)
            while process.poll() is None:
                peak = max(peak, kernel_megabytes(watched))
                time.sleep(0.05)
        finally:
            if process.poll() is None:
                for child in [*watched.children(recursive=True), watched]:
                    child.kill()
        out.seek(0)
        told = out.read()
    with capsys.disabled():
        print(f"\n{chapter.stem}: {time.monotonic() - start:.1f} s, peak {peak:.0f} MB")
    assert process.returncode == 0, told[-6000:]
    assert 30 < peak <= MEGABYTES, f"peak {peak:.0f} MB, at most {MEGABYTES}: keep less, or compute it in smaller parts"
