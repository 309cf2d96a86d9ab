"""The quick checks: pins in step, README's links, ruff, notebooks in step with their text.  python tools/check.py"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FLAT = r"[\w.-]+(\[[\w,-]+\])?==[\w.+!-]+"


def pins(root: Path = ROOT) -> list[str]:
    """What is wrong with the requirements: each is a flat pin, and Binder's are ours."""
    files = ["requirements.txt", *(f"tests/{name}.txt" for name in (
        "requirements", "requirements-nodeps", "bench/requirements"))]
    lines = {f: _lines(root / f) for f in [*files, "binder/requirements.txt"]}
    found = [f"{f}: {line!r} is not a flat pin like numpy==2.4.6"
             for f in files for line in lines[f] if not re.fullmatch(FLAT, line)]
    ours, binder = lines["requirements.txt"], [x for x in lines["binder/requirements.txt"] if not x.startswith("--")]
    if ours != binder:
        odd = ", ".join(sorted(set(ours) ^ set(binder))) or "the order"
        found.append(f"binder/requirements.txt is out of step with requirements.txt: {odd}")
    return found


def _lines(path: Path) -> list[str]:
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    return [line for line in (raw.split("#")[0].strip() for raw in text.splitlines()) if line]


def readme(root: Path = ROOT) -> list[str]:
    """What is wrong with README: each chapter has its links, they lead to this repository, each picture is there."""
    text = (root / "README.md").read_text(encoding="utf-8")
    repository = re.search(r'github\.com/([^/"]+/[^/"]+)"', (root / "pyproject.toml").read_text()).group(1)
    found = [f"README.md links to {other} on Binder, pyproject.toml says the repository is {repository}"
             for other in sorted(set(re.findall(r"mybinder\.org/v2/gh/([^/]+/[^/]+)/HEAD", text)) - {repository})]
    linked, there = re.findall(r"lab/tree/notebooks/(\w+)\.ipynb", text), (root / "notebooks" / "text").glob("*.py")
    names = {p.stem for p in there}
    found += [f"README.md has {linked.count(name)} links to {name}, expected 2: on Binder and in your own Lab"
              for name in sorted(names) if linked.count(name) != 2]
    found += [f"README.md links to {name}, which has no notebooks/text" for name in sorted(set(linked) - names)]
    found += [f"README.md shows {name}, which is not there"
              for name in re.findall(r"!\[[^\]]*\]\(([^)]+)\)", text) if not (root / name).exists()]
    return found


def main() -> int:
    found = pins() + readme()
    print("\n".join(found) or "pins and README: in step", flush=True)
    commands = ["-m", "ruff", "check", "--quiet", "."], [Path(__file__).parent / "notebooks.py", "--check"]
    failed = [subprocess.call([sys.executable, *command], cwd=ROOT) for command in commands]
    return int(bool(found) or any(failed))


if __name__ == "__main__":
    sys.exit(main())
