"""python -m rlkit: what it prints and how it exits."""

import json
import subprocess
import sys
import types

import pytest

from rlkit import claims
from rlkit.__main__ import main
from rlkit.claims import claim, near


@pytest.fixture
def toy(monkeypatch):
    """Two papers: one whose claim holds, one whose claim does not."""

    @claim(paper="Euclid", says="two is two")
    def good(seed):
        return near(seed, seed, 0, "exact")

    @claim(paper="Euclid", says="two is three")
    def bad(seed):
        return near(2, 3, 0, "exact")

    for name, f in (("true", good), ("false", bad)):
        module = types.ModuleType(f"rlkit.claims.{name}")
        setattr(module, f.__name__, f)
        monkeypatch.setitem(sys.modules, f"rlkit.claims.{name}", module)
    monkeypatch.setattr(claims, "ideas", lambda: ["false", "true"])


def test_without_a_command_it_lists_what_there_is(toy, capsys):
    assert main([]) == 0
    out = capsys.readouterr().out
    assert "true" in out and "1 claims (1 exact)" in out and "python -m rlkit claims" in out


def test_the_exit_code_says_whether_all_hold(toy, capsys):
    assert main(["claims", "true"]) == 0
    assert "1 holds" in capsys.readouterr().out
    assert main(["claims"]) == 1
    assert "1 does not hold" in capsys.readouterr().out


def test_an_unknown_paper_is_an_error_that_names_the_known(toy, capsys):
    assert main(["claims", "true", "maybe"]) == 2
    io = capsys.readouterr()
    assert io.err == "there are no claims on 'maybe', expected one of: false, true\n" and io.out == ""


def test_json_is_one_list_and_nothing_else(toy, capsys):
    assert main(["claims", "true", "false", "--json", "--seed", "4"]) == 1
    rows = json.loads(capsys.readouterr().out)
    assert [(r["idea"], r["status"], r["seed"]) for r in rows] == [("true", "holds", 4), ("false", "does not hold", 4)]


def test_a_paper_named_twice_runs_once(toy, capsys):
    main(["claims", "true", "true", "--json"])
    assert len(json.loads(capsys.readouterr().out)) == 1


@pytest.mark.parametrize("args", [["claims", "--seed", "-1"], ["claims", "--seed", "x"], ["dance"]])
def test_a_command_it_does_not_understand_exits_with_two(toy, args, capsys):
    with pytest.raises(SystemExit) as exit:
        main(args)
    assert exit.value.code == 2 and "error" in capsys.readouterr().err


def test_as_a_program():
    """Lists the papers without importing torch: a first answer must not wait for it."""
    code = "import sys, runpy; sys.argv = ['rlkit']\ntry: runpy.run_module('rlkit', run_name='__main__')\n"
    code += "except SystemExit as e: assert e.code == 0\nassert 'torch' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "trajectory_weighting" in done.stdout
