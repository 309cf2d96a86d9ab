"""Do the chapters run on other releases? Makes an environment of them, runs every chapter there, reports.

    python tools/newest.py                       the newest release of everything, this Python, so ipykernel 7
    python tools/newest.py --pins --python python3.12            the pinned releases on another Python

The environment is build/newest-PYTHON (or pins-PYTHON), made anew each time; the report is printed and kept beside it
as JSON: which releases differ from the pins, and for each chapter the seconds, or the cell that failed. Exit status 1
if one failed. torch stays at its pin: another one would be its build for CUDA, gigabytes of it.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
KEPT = ("torch",)
NAMES = ("import importlib.metadata as m, sys; print(*(f'{n}=={m.version(n)}' for n in sys.argv[1:]))")


def requirements(pins: bool, text: str) -> list[str]:
    """What pip is asked for: the lines as they are, or without their versions but for those in KEPT."""
    lines = [line.split("#")[0].strip() for line in text.splitlines()]
    name = lambda line: re.match(r"[\w.-]+", line).group()                                           # noqa: E731
    return [line if pins or name(line) in KEPT else line.split("==")[0] for line in lines if line]


def environment(python: str, pins: bool) -> Path:
    """Its Python."""
    version = subprocess.run([python, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"], check=True,
                             capture_output=True, text=True).stdout.strip()
    folder = ROOT / "build" / f"{'pins' if pins else 'newest'}-{version}"
    shutil.rmtree(folder, ignore_errors=True)
    subprocess.run([python, "-m", "venv", str(folder)], check=True)
    own = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    wanted = requirements(pins, (ROOT / "requirements.txt").read_text())
    subprocess.run([own, "-m", "pip", "install", "-q", "--disable-pip-version-check", *wanted], check=True)
    return own


def releases(python: Path, text: str) -> dict[str, dict[str, str]]:
    """name -> pinned and installed release, where they differ."""
    pinned = dict(re.findall(r"^([\w.-]+)(?:\[[\w,]+\])?==(\S+)", text, re.M))
    out = subprocess.run([python, "-c", NAMES, *pinned], check=True, capture_output=True, text=True).stdout
    got = dict(pair.split("==") for pair in out.split())
    return {n: dict(pinned=v, installed=got[n]) for n, v in pinned.items() if got[n].split("+")[0] != v}


def chapter(python: Path, notebook: Path, folder: Path) -> dict:
    """Run one chapter with nbval: seconds, and what failed in words."""
    command = [python, "-m", "pytest", "--nbval-lax", "--nbval-current-env", "-p", "no:cacheprovider", "-o", "addopts=",
               "-q", "--nbval-cell-timeout=900", "--rootdir", folder, notebook]
    env = {k: v for k, v in os.environ.items() if not k.startswith(("JUPYTER_", "PYTEST_"))}
    env |= dict(RLKIT_HEADLESS="1", OMP_NUM_THREADS="1", PYTHONPATH=str(ROOT), IPYTHONDIR=str(folder / "ipython"))
    start = time.monotonic()
    done = subprocess.run([str(c) for c in command], cwd=folder, env=env, capture_output=True, text=True)
    return dict(seconds=round(time.monotonic() - start, 1), ok=done.returncode == 0,
                failure="" if done.returncode == 0 else done.stdout[-3000:])


def main(argv=None) -> int:
    parser = argparse.ArgumentParser(prog="newest", description=__doc__.splitlines()[0])
    parser.add_argument("--python", default=sys.executable, help="the Python to make the environment of")
    parser.add_argument("--pins", action="store_true", help="the pinned releases instead of the newest")
    args = parser.parse_args(argv)
    text = (ROOT / "requirements.txt").read_text()
    python = environment(args.python, args.pins)
    folder = python.parents[1]
    differ = releases(python, text)
    print(f"{folder.name}:", ", ".join(f"{n} {v['pinned']} -> {v['installed']}" for n, v in differ.items())
          or "every release as pinned", flush=True)
    chapters = {}
    for notebook in sorted((ROOT / "notebooks").glob("*.ipynb")):
        chapters[notebook.stem] = found = chapter(python, notebook, folder)
        print(f"  {notebook.stem:<28} {found['seconds']:6.1f} s  {'runs' if found['ok'] else 'FAILS'}", flush=True)
        print(found["failure"], end="\n" * (not found["ok"]), flush=True)
    report = dict(date=time.strftime("%Y-%m-%d"), differ=differ, chapters=chapters)
    (ROOT / "build" / f"{folder.name}.json").write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n")
    return int(not all(c["ok"] for c in chapters.values()))


if __name__ == "__main__":
    sys.exit(main())
