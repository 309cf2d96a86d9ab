"""What a chapter waits for before its first line runs: the imports of its first cells, against NumPy and plotly alone.

CPU seconds in an interpreter that already is a kernel, as a student's is, from bytecode and files in the disk's cache;
the pair alternates. A chapter whose first cells import torch is left out: it says why it waits. `import
plotly.graph_objects` loads no graph object before one is used, nor does it put one on the screen; so the second row
holds the chapter against what does both and can be moved by a slider: a Figure, and ipywidgets.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
PEERS = {"NumPy and plotly": "import numpy, plotly.graph_objects",
         "NumPy, a plotly Figure and ipywidgets": "import numpy, ipywidgets; from plotly.graph_objects import Figure"}
STUDENT = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}  # whose bytecode is kept


def first_imports(text: str) -> str:
    """The import lines of the cells up to the first picture: the first `live.` call."""
    head = text.split("\nlive.", 1)[0]
    return "\n".join(line for line in head.splitlines() if re.match(r"(import|from) ", line))


def seconds(code: str) -> float:
    """CPU seconds that `code` takes in a fresh kernel."""
    code = ("import time, ipykernel.kernelapp\nstart = time.process_time()\n"
            f"{code}\nprint('SECONDS', time.process_time() - start)")
    out = subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, capture_output=True, text=True,
                         env=STUDENT).stdout
    return float(out.split("SECONDS")[1])


def bench(pairs: int = 5) -> list[dict]:
    """Rows: ratio is the chapter's seconds over those of NumPy and plotly, (median, least, most)."""
    rows = []
    for text in sorted((ROOT / "notebooks" / "text").glob("[0-9]*.py")):
        code = first_imports(text.read_text())
        loads_torch = f"{code}\nimport sys; sys.exit('torch' in sys.modules)"
        if subprocess.run([sys.executable, "-c", loads_torch], cwd=ROOT, env=STUDENT).returncode:
            continue
        took = np.array([[seconds(c) for c in (code, *PEERS.values())] for _ in range(pairs)])
        for peer, theirs in zip(PEERS, took[:, 1:].T):
            ratio = took[:, 0] / theirs
            rows.append(dict(part="start", job=f"imports of chapter {text.stem[:2]}, against {peer}",
                             ours=float(np.median(took[:, 0])), peer=float(np.median(theirs)),
                             ratio=(float(np.median(ratio)), float(ratio.min()), float(ratio.max())), goal="≤ 1.5"))
    return rows


if __name__ == "__main__":
    for row in bench():
        print(row)
