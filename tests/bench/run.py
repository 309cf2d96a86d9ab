"""Run the benchmarks, print one row each and write results.json:  python tests/bench/run.py [PART ...]

A benchmark is a file beside this one with `bench() -> rows`. A row is a dict: part, job, ours and peer (of one unit of
work, in seconds unless the job names another unit), ratio, low, high (median and range over pairs timed in turn, or the
three as one tuple) and goal: "≥ 3", "≤ 3", or a number, which means at least. More keys are kept as they are.
Each file runs in a process of its own. A missed goal is shown, not an error: the machine may be busy.
"""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results.json"
RUN = ("import importlib.util as u, json, sys\n"
       "spec = u.spec_from_file_location('benchmark', sys.argv[1]); m = u.module_from_spec(spec)\n"
       "sys.modules['benchmark'] = m; spec.loader.exec_module(m)\n"
       "print('\\nROWS' + json.dumps(list(m.bench())))")


def parts(folder: Path = HERE) -> dict[str, Path]:
    return {p.stem: p for p in sorted(folder.glob("*.py")) if p.stem != "run" and "def bench(" in p.read_text()}


def tidy(row: dict) -> dict:
    """The row with its ratio as three numbers, its goal in words and whether it is met."""
    ratio = row["ratio"]
    if isinstance(ratio, (list, tuple)):
        row = row | dict(zip(("ratio", "low", "high"), ratio))
    words = str(row["goal"]).replace(">=", "≥").replace("<=", "≤")
    sign, bound = re.fullmatch(r"\s*([≥≤]?)\s*([\d.]+)\s*", words).groups()
    met = row["ratio"] <= float(bound) if sign == "≤" else row["ratio"] >= float(bound)
    return row | dict(goal=f"{sign or '≥'} {float(bound):g}", met=bool(met))


def measure(path: Path) -> list[dict]:
    """The rows of one benchmark. Raises RuntimeError with the last line of what went wrong."""
    env = os.environ | dict(OMP_NUM_THREADS="1", PYTHONUTF8="1")
    done = subprocess.run([sys.executable, "-c", RUN, str(path)], capture_output=True, text=True, encoding="utf-8",
                          env=env, cwd=HERE.parents[1])
    if done.returncode:
        raise RuntimeError((done.stderr.strip().splitlines() or [f"exit {done.returncode}"])[-1])
    return [tidy(row) for row in json.loads(done.stdout.rsplit("\nROWS", 1)[1])]


def line(row: dict) -> str:
    return (f"{row['part']:<12} {row['job']:<64.64} {row['ours']:>9.3g} {row['peer']:>9.3g} {row['ratio']:>7.2f} "
            f"{row['low']:>7.2f} {row['high']:>7.2f}  {row['goal']:>6}  {'met' if row['met'] else 'MISSED'}")


def main(only: list[str]) -> int:
    found = parts()
    if unknown := set(only) - set(found):
        print(f"no benchmark {', '.join(sorted(unknown))}; there are: {', '.join(found)}", file=sys.stderr)
        return 2
    kept = json.loads(RESULTS.read_text()) if RESULTS.exists() else {"rows": {}}
    kept["machine"] = dict(system=platform.system(), machine=platform.machine(), cores=os.cpu_count(),
                           python=platform.python_version())
    print(f"{'part':<12} {'job':<64} {'ours':>9} {'peer':>9} {'ratio':>7} {'low':>7} {'high':>7}  {'goal':>6}")
    failed = False
    for name, path in found.items():
        if only and name not in only:
            continue
        start = time.monotonic()
        try:
            kept["rows"][name] = measure(path)
        except RuntimeError as e:
            print(f"{name:<12} failed: {e}", file=sys.stderr)
            failed = True
            continue
        for row in kept["rows"][name]:
            print(line(row), flush=True)
        kept.setdefault("parts", {})[name] = dict(seconds=round(time.monotonic() - start),
                                                  date=datetime.now(UTC).isoformat(timespec="minutes"))
        print(f"{name:<12} took {kept['parts'][name]['seconds']} s", flush=True)
    kept["rows"] = {name: rows for name, rows in kept["rows"].items() if name in found}
    RESULTS.write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
