"""python -m rlkit: what there is; python -m rlkit claims [IDEA ...]: what the papers say, measured on this machine."""

from __future__ import annotations

import argparse
import json
import os
import sys


def main(argv: list[str] | None = None) -> int:
    """Gives the exit code: 0, or 1 if a claim does not hold, or 2 if the command cannot be understood."""
    parser = argparse.ArgumentParser(prog="python -m rlkit", description="rlkit, papers you can play with.")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    run = commands.add_parser("claims", help="measure what the papers say; exit code 1 if a claim does not hold")
    run.add_argument("ideas", nargs="*", metavar="IDEA", help="papers, by their names (all by default)")
    run.add_argument("--seed", type=int, default=0, help="any seed will do; the claims hold for all (default 0)")
    run.add_argument("--fast", action="store_true", help="leave out the claims that train networks")
    run.add_argument("--json", action="store_true", help="print one JSON list instead of text")
    args = parser.parse_args(argv)
    if args.command is None:
        overview()
        return 0
    if args.seed < 0:
        parser.error(f"--seed is {args.seed}, expected a whole number ≥ 0")
    return measure(args.ideas, args.seed, args.fast, args.json)


def overview() -> None:
    """What there is: chapters and their claims."""
    import rlkit
    from rlkit import claims

    print(f"rlkit {rlkit.__version__}, papers you can play with. The chapters are in notebooks/: make lab\n")
    print("Papers whose claims can be measured here, python -m rlkit claims IDEA:")
    for idea in claims.ideas():
        scales = [f.claim.scale for f in claims.of(idea).values()]
        count = ", ".join(f"{scales.count(s)} {s}" for s in claims.SCALES if s in scales)
        print(f"  {idea:24} {len(scales)} claims ({count})")
    print("\npython -m rlkit claims --help says what else it can do.")


def measure(ideas: list[str], seed: int, fast: bool, as_json: bool) -> int:
    """Run the claims of the papers, print them as they are measured, and give the exit code."""
    from rlkit import claims

    ideas, known = list(dict.fromkeys(ideas)) or claims.ideas(), claims.ideas()
    if unknown := [i for i in ideas if i not in known]:
        print(f"there are no claims on {', '.join(map(repr, unknown))}, expected one of: {', '.join(known)}",
              file=sys.stderr)
        return 2
    tables = []
    for idea in ideas:
        rows = []
        for row in claims.run(idea, seed, fast):
            rows.append(row)
            if not as_json:
                print(claims.text(row), flush=True)
        tables.append(claims.Table(idea, seed, rows))
        if not as_json:
            print(tables[-1].summary, end="\n\n", flush=True)
    if as_json:
        print(json.dumps([claims.record(t.idea, t.seed, r) for t in tables for r in t.rows], indent=2,
                         ensure_ascii=False))
    return 0 if all(t.ok for t in tables) else 1


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")        # small arrays: more threads only wait for each other
    try:
        code = main()
    except KeyboardInterrupt:
        code = 130
    except BrokenPipeError:                              # the reader, head or less, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 141
    sys.exit(code)
