"""Each chapter top to bottom: seconds against the sixty it may take, memory against the 700 MB it may hold.

The notebook runs as a student's "Run All" would, without a browser, in a kernel of its own, on one thread.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[2]
SECONDS, MEGABYTES = 60, 700
RUN = "import nbformat, nbclient, sys; nbclient.NotebookClient(nbformat.read(sys.argv[1], 4), timeout=600).execute()"


def play(notebook: Path) -> tuple[float, float]:
    """(seconds, peak resident MB of the kernel and all it started)."""
    env = os.environ | dict(RLKIT_HEADLESS="1", OMP_NUM_THREADS="1")
    start, peak = time.monotonic(), 0.0
    process = subprocess.Popen([sys.executable, "-c", RUN, str(notebook)], env=env, cwd=ROOT / "notebooks")
    watched = psutil.Process(process.pid)
    while process.poll() is None:
        total = 0
        for child in watched.children(recursive=True) if process.poll() is None else ():
            try:
                total += child.memory_info().rss
            except psutil.Error:                                          # it ended while we looked
                pass
        peak = max(peak, total / 2**20)
        time.sleep(0.1)
    if process.returncode:
        raise RuntimeError(f"{notebook.name} fails; see it with: make notebooks")
    return time.monotonic() - start, peak


def bench(times: int = 1) -> list[dict]:
    """Two rows a chapter; ratio is what it takes over what it may take, (median, least, most) of `times` runs."""
    rows = []
    for notebook in sorted((ROOT / "notebooks").glob("*.ipynb")):
        runs = [play(notebook) for _ in range(times)]
        for k, (unit, limit) in enumerate({"seconds": SECONDS, "MB": MEGABYTES}.items()):
            took = sorted(run[k] for run in runs)
            middle = (took[(times - 1) // 2] + took[times // 2]) / 2
            rows.append(dict(part="course", job=f"{notebook.stem} top to bottom, {unit} against {limit}", ours=middle,
                             peer=limit, ratio=(middle / limit, took[0] / limit, took[-1] / limit), goal="≤ 1"))
    return rows


if __name__ == "__main__":
    for row in bench():
        print(row)
