"""The two commands mend what they find, say what is wrong in one line, and leave alone what is not theirs."""

import importlib.util
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import check
import nbformat
import newest
import pytest
from make import TARGETS

import notebooks

ROOT = Path(__file__).parents[1]


def load(path, name):
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


bench = load(ROOT / "tests" / "bench" / "run.py", "bench_run")

# A pip that installs labels and empty packages from nowhere, and fails the way a file `mode` asks for.
PIP = """
import os, re, signal, sys, sysconfig
site, args, mode = sysconfig.get_path("purelib"), sys.argv[1:], open("mode").read() if os.path.exists("mode") else "ok"
if args == ["--version"]:
    sys.exit(mode == "broken pip")
open("calls", "a").write(" ".join(args) + "\\n")
if mode == "offline":
    print("WARNING: Retrying after connection broken by 'NewConnectionError(...)': /simple/one/")
    sys.exit("ERROR: No matching distribution found for one==1.0")
if mode == "full":
    sys.exit("ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device")
if mode == "odd":
    sys.exit("ERROR: one==1.0 does not exist")
pins = [a for a in args if "==" in a] + [line for a, f in zip(args, args[1:]) if a == "-r" for line in open(f)]
for pin in pins:
    name, version = re.match(r"(\\w+)==([\\d.]+)", pin).groups()
    label = f"{site}/{name}-{version}.dist-info"
    if os.path.exists(label) and "--force-reinstall" not in args:
        continue
    os.makedirs(f"{site}/{name}", exist_ok=True), os.makedirs(label, exist_ok=True)
    open(f"{site}/{name}/__init__.py", "w").write("")
    open(f"{label}/METADATA", "w").write(f"Metadata-Version: 2.1\\nName: {name}\\nVersion: {version}\\n")
    if mode == "killed":
        os.kill(os.getppid(), signal.SIGKILL)
        sys.exit(1)
if "-e" in args:
    open(f"{site}/rlkit.pth", "w").write(os.getcwd())
"""

DRIVE = """
import os, subprocess, sys, sysconfig
sys.path.insert(0, "tools")
import make

def make_venv(python):
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", make.VENV], check=True)
    site = next(os.path.join(make.VENV, "lib", d, "site-packages") for d in os.listdir(os.path.join(make.VENV, "lib")))
    os.makedirs(os.path.join(site, "pip"))
    open(os.path.join(site, "pip", "__init__.py"), "w").close()
    with open(os.path.join(site, "pip", "__main__.py"), "w") as f:
        f.write(open("pip.txt").read())
    open("calls", "a").write("venv\\n")

make.make_venv, make.cpu_index = make_venv, lambda: []
sys.exit(make.cli(sys.argv[1:]))
"""


class Clone:
    """A small repository with the real tools/make.py and a pip that needs no network."""

    def __init__(self, folder):
        self.folder = folder
        files = {"tools/make.py": (ROOT / "tools" / "make.py").read_text(), "tools/check.py": "", "drive.py": DRIVE,
                 "pip.txt": PIP, "requirements.txt": "one==1.0\ntwo==2.0\n", "tests/requirements.txt": "three==3.0\n",
                 "binder/requirements.txt": "# x\n--extra-index-url x\none==1.0\ntwo==2.0\n", "pyproject.toml": "",
                 "rlkit/__init__.py": ""}
        for name, text in files.items():
            self.write(name, text)
        self.site = folder / ".venv" / "lib" / "python{}.{}".format(*sys.version_info[:2]) / "site-packages"

    def write(self, name, text):
        (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
        (self.folder / name).write_text(text)

    def make(self, *args, mode="ok"):
        """Exit status, what was printed, and what pip was asked for."""
        self.write("mode", mode)
        (self.folder / "calls").unlink(missing_ok=True)
        env = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST")}
        done = subprocess.run([sys.executable, "drive.py", *args], cwd=self.folder, capture_output=True, text=True,
                              stdin=subprocess.DEVNULL, env=env, timeout=120)
        calls = (self.folder / "calls").read_text().splitlines() if (self.folder / "calls").exists() else []
        assert "Traceback" not in done.stderr + done.stdout
        return done.returncode, done.stdout + done.stderr, calls

    def good(self):
        code, out, calls = self.make("setup")
        return code == 0 and calls == [] and "ready" in out and (self.site / "one").exists()


@pytest.fixture
def clone(tmp_path):
    return Clone(tmp_path / "a folder with spaces")


@pytest.fixture
def make(tmp_path):
    """tools/make.py as a module of an empty repository."""
    clone = Clone(tmp_path)
    return load(clone.folder / "tools" / "make.py", "make")


# ---------------------------------------------------------------------------------------------- the set-up

def test_a_first_setup_installs_every_pin_and_a_second_one_starts_no_pip(clone):
    code, out, calls = clone.make("setup")
    assert code == 0 and calls == ["venv", "install --progress-bar off -r requirements.txt",
                                   "install --progress-bar off --no-deps -e ."]
    assert re.search(r"^  packages +\d+\.\d s", out, re.M)
    assert clone.good()


def test_the_tests_add_their_own_pins_and_do_not_disturb_the_students(clone):
    clone.write("tests/requirements-nodeps.txt", "four==4.0\n")
    clone.make("setup")
    calls = clone.make("check")[2]
    assert calls[:2] == ["install --progress-bar off -r requirements.txt -r tests/requirements.txt",
                         "install --progress-bar off --no-deps -r tests/requirements-nodeps.txt"]
    assert clone.make("check")[2] == [] and clone.good()


def test_what_only_the_benchmarks_compare_with_never_reaches_the_course(clone):
    clone.write("tests/bench/requirements.txt", "five==5.0\n")
    clone.write("tests/bench/run.py", "import five, one, sys; print('ran', *sys.argv[1:])")
    code, out, calls = clone.make("bench", "offline")
    assert code == 0 and out.endswith("ran offline\n")
    assert calls[-1] == ("install --progress-bar off -r requirements.txt -r tests/requirements.txt "
                         "-r tests/bench/requirements.txt")
    assert list((clone.folder / ".venv").rglob("five")) and not (clone.site / "five").exists()
    assert clone.make("bench")[2] == [] and clone.good()
    shutil.rmtree(next((clone.folder / ".venv" / "bench").rglob("five-5.0.dist-info")))
    assert len(clone.make("bench")[2]) == 1 and clone.good()


def test_a_changed_pin_is_installed_and_nothing_else_is_touched(clone):
    clone.make("setup")
    clone.write("requirements.txt", "one==1.5\ntwo==2.0\n")
    code, _, calls = clone.make("setup")
    assert code == 0 and "venv" not in calls and (clone.site / "one-1.5.dist-info").exists()


def test_a_setup_killed_half_way_is_finished_by_the_next(clone):
    code, _, _ = clone.make("setup", mode="killed")
    assert code == -9 and not (clone.folder / ".venv" / "rlkit-stamp").exists()
    code, _, calls = clone.make("setup")
    assert code == 0 and "venv" not in calls and clone.good()
    clone.write("requirements.txt", "one==1.5\ntwo==2.0\n")
    clone.make("setup", mode="killed")                          # an update that is killed counts as unfinished too
    assert not (clone.folder / ".venv" / "rlkit-stamp").exists()


@pytest.mark.parametrize("mode, line", [
    ("offline", r"rlkit: no network: pip cannot reach its package index; connect and run the same command again"),
    ("full", r"rlkit: the disk is full: rlkit's environment needs about 2 GB"),
    ("odd", r"rlkit: pip failed: one==1\.0 does not exist; pip's words are in \.venv/setup\.log"),
])
def test_what_pip_cannot_do_is_one_line_and_the_next_run_recovers(clone, mode, line):
    code, out, _ = clone.make("setup", mode=mode)
    assert code == 1 and re.match(line, out.strip().splitlines()[-1])
    assert clone.make("setup")[0] == 0 and clone.good()


def test_a_package_that_was_removed_or_damaged_comes_back(clone):
    clone.make("setup")
    shutil.rmtree(clone.site / "one")                           # its label stays: pip would believe it is there
    code, out, calls = clone.make("setup")
    assert code == 0 and "install --progress-bar off --force-reinstall --no-deps one==1.0" in calls and clone.good()


def test_a_package_that_does_not_import_means_a_new_environment(clone):
    clone.make("setup")
    (clone.site / "two" / "__init__.py").write_text("raise SyntaxError('cut off')")
    (clone.folder / ".venv" / "rlkit-stamp").unlink()
    code, out, calls = clone.make("setup")
    assert code == 0 and "making .venv anew" in out and "venv" in calls and clone.good()


def test_an_environment_whose_python_is_gone_is_made_anew(clone):
    clone.make("setup")
    for python in (clone.folder / ".venv" / "bin").glob("python*"):
        python.unlink()
    code, out, calls = clone.make("setup")
    assert code == 0 and "it holds no Python: making it anew" in out and clone.good()


def test_an_environment_that_moved_with_its_folder_is_made_anew(clone):
    clone.make("setup")
    moved = Clone(clone.folder.parent / "moved")
    (clone.folder / ".venv").rename(moved.folder / ".venv")
    config = moved.folder / ".venv" / "pyvenv.cfg"
    assert config.exists()
    code, out, _ = moved.make("setup")
    assert code == 0 and moved.good()
    assert str(clone.folder) not in (moved.site / "rlkit.pth").read_text()


@pytest.mark.parametrize("told, why", [
    ("echo 3.9; echo PREFIX", "it is of Python 3.9"),
    ("echo 3.12; echo /elsewhere", "it was made in another folder"),
    ("exit 1", "its Python does not start"),
    ('case "$*" in *pip*) exit 1;; esac; echo 3.12; echo PREFIX', "its pip does not start"),
    ("echo 3.12; echo PREFIX", None),
])
def test_an_environment_that_cannot_be_used_says_why(make, told, why):
    python = Path(make.PYTHON)
    python.parent.mkdir(parents=True)
    python.write_text("#!/bin/sh\n" + told.replace("PREFIX", make.VENV) + "\n")
    python.chmod(0o755)
    assert make.broken() == why


def test_what_a_linked_environment_points_to_is_not_deleted(make, tmp_path):
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "thesis.tex").write_text("x")
    os.symlink(tmp_path / "theirs", make.VENV)
    make.remove_venv()
    assert (tmp_path / "theirs" / "thesis.tex").exists() and not os.path.lexists(make.VENV)


def test_an_old_python_looks_for_a_newer_one_and_else_says_so(make, monkeypatch, tmp_path):
    monkeypatch.setattr(make.sys, "version_info", (3, 9, 18, "final", 0))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(make.Stop, match=r"Python 3\.11 or newer is needed, this is .*make lab PYTHON=python3\.12"):
        make.find_python()
    newer = tmp_path / "python3.12"
    newer.write_text("#!/bin/sh\nexit 0\n")
    newer.chmod(0o755)
    assert make.find_python() == str(newer)


def test_a_folder_that_cannot_be_written_is_named(make, monkeypatch):
    monkeypatch.setattr(make.os, "access", lambda *_: False)
    assert make.cli(["setup"]) == f"rlkit: no permission to write in {make.ROOT}; copy rlkit into a folder of your own"


def test_two_setups_at_once_take_turns(make):
    entered = threading.Event()

    def second():
        with make.Lock():
            entered.set()
    thread = threading.Thread(target=second)
    with make.Lock():
        thread.start()
        assert not entered.wait(0.3)
    assert entered.wait(10)
    thread.join()


def test_the_users_own_python_and_jupyter_settings_do_not_leak_in(make, monkeypatch):
    for name in ("PYTHONPATH", "PYTHONHOME", "PIP_TARGET", "PIP_USER", "JUPYTER_CONFIG_DIR"):
        monkeypatch.setenv(name, "/somewhere")
    env = make.clean_env()
    assert "/somewhere" not in env.values() and env["JUPYTER_CONFIG_DIR"].startswith(make.VENV)


def test_an_unknown_target_lists_the_known_ones(make):
    assert make.cli(["labb"]).startswith("rlkit: expected one of: setup lab")


# ---------------------------------------------------------------------------------------------- lab, test, the browser

def test_a_port_in_use_is_passed_over_and_lab_listens_to_this_machine_only(make, monkeypatch, capsys):
    started = {}
    monkeypatch.setattr(make.os, "execve", lambda path, argv, env: started.update(argv=argv, env=env))
    monkeypatch.setattr(make.os, "chdir", lambda folder: None)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        monkeypatch.setenv("PORT", str(port))
        make.lab([])
    told, argv = capsys.readouterr().out, started["argv"]
    chosen = int(re.search(r"taking (\d+)", told).group(1))
    assert f"port {port} is in use" in told and chosen > port
    assert "--ServerApp.ip=127.0.0.1" in argv and f"--ServerApp.port={chosen}" in argv
    token = started["env"]["JUPYTER_TOKEN"]
    assert len(token) == 32 and token in told and not any(token in a for a in argv)    # ps shows argv to everyone


@pytest.mark.parametrize("port", ["many", "0", "99999", "-1"])
def test_a_port_that_is_none_is_refused(make, monkeypatch, port):
    monkeypatch.setenv("PORT", port)
    with pytest.raises(make.Stop, match="expected a number from 1 to 65535"):
        make.lab([])


def test_a_missing_chromium_is_one_line_with_what_to_install(make, monkeypatch):
    monkeypatch.setattr(make, "find_chromium", lambda: None)
    monkeypatch.setattr(make.shutil, "which", lambda name: None)
    monkeypatch.setattr(make.subprocess, "call", lambda *a, **k: 1)
    with pytest.raises(make.Stop, match="sudo apt-get install chromium.*BROWSER_PATH"):
        make.chromium()


def test_a_chrome_named_by_the_user_is_taken(make, monkeypatch, tmp_path):
    chrome = tmp_path / "my chrome"
    chrome.write_text("#!/bin/sh\necho Chromium 156\n")
    chrome.chmod(0o755)
    monkeypatch.setenv("BROWSER_PATH", str(chrome))
    assert make.find_chromium() == str(chrome)


def test_the_makefile_has_every_target_and_the_automatic_check_is_make_test():
    targets = re.search(r"^TARGETS := (.*)$", (ROOT / "Makefile").read_text(), re.M).group(1).split()
    assert set(targets) == set(TARGETS) and targets[0] == "lab"
    commands = [line for line in (ROOT / ".ci" / "run").read_text().splitlines() if line and line[0] != "#"]
    assert commands == ["set -e", 'cd "$(dirname "$0")/.."', "exec make test"]
    assert os.access(ROOT / ".ci" / "run", os.X_OK)


# ---------------------------------------------------------------------------------------------- pins

@pytest.fixture
def repository(tmp_path):
    """A repository whose pins and README are in order, and a function that changes a file and tells what is wrong."""
    clone = Clone(tmp_path)
    link = "https://mybinder.org/v2/gh/me/rlkit/HEAD?urlpath=lab/tree/notebooks/01_one.ipynb"
    clone.write("pyproject.toml", 'Repository = "https://github.com/me/rlkit"')
    clone.write("README.md", f"![x](docs/panel.png) {link} http://127.0.0.1:8888/lab/tree/notebooks/01_one.ipynb")
    clone.write("docs/panel.png", ""), clone.write("notebooks/text/01_one.py", "")

    def told(name, old, new):
        clone.write(name, (tmp_path / name).read_text().replace(old, new))
        return check.pins(tmp_path) + check.readme(tmp_path)
    assert told("README.md", "", "") == []
    return told


@pytest.mark.parametrize("file, old, new, what", [
    ("requirements.txt", "two==2.0", "two>=2", "'two>=2' is not a flat pin"),
    ("requirements.txt", "two==2.0", "-r more.txt", "'-r more.txt' is not a flat pin"),
    ("tests/requirements.txt", "three==3.0", "git+https://example.org/x", "is not a flat pin"),
    ("binder/requirements.txt", "two==2.0", "two==2.1", "out of step with requirements.txt: two==2.0, two==2.1"),
    ("binder/requirements.txt", "one==1.0\ntwo==2.0", "two==2.0\none==1.0", "requirements.txt: the order"),
    ("README.md", "gh/me/", "gh/you/", "links to you/rlkit on Binder, pyproject.toml says the repository is me/rlkit"),
    ("README.md", "http://127.0.0.1:8888/lab/tree/notebooks/01_one", "", "1 links to 01_one, expected 2"),
    ("README.md", "01_one", "01_two", "links to 01_two, which has no notebooks/text"),
    ("README.md", "panel.png", "gone.png", "shows docs/gone.png, which is not there"),
])
def test_pins_and_links_that_are_out_of_step_are_named(repository, file, old, new, what):
    assert any(what in line for line in repository(file, old, new))


# ---------------------------------------------------------------------------------------------- notebooks

TEXT = textwrap.dedent('''\
    # %% [markdown]
    # # A chapter

    # %% tags=["core"]
    def double(x):
        return 2 * x

    # %% tags=["hide-input"]
    import os
    print(double(21), os.environ["RLKIT_HEADLESS"])

    # %%
    class Shown:
        def _repr_mimebundle_(self, **_):
            return {"text/plain": "a picture", "application/vnd.jupyter.widget-view+json": {"model_id": "gone"}}
    Shown()
    ''')


@pytest.fixture
def chapter(tmp_path):
    source = tmp_path / "text" / "01_chapter.py"
    source.parent.mkdir()
    source.write_text(TEXT)
    return source


def test_a_built_notebook_is_executed_small_folded_and_the_same_each_time(chapter):
    path = notebooks.build(chapter)
    first = path.read_bytes()
    nb = nbformat.read(path, as_version=4)
    assert nb.cells[2].outputs[0].text == "42 1\n" and "widgets" not in nb.metadata
    assert nb.cells[2].metadata.jupyter.source_hidden and nb.cells[2].metadata.cellView == "form"
    assert nb.cells[3].outputs[0].data == {"text/plain": "a picture"}
    assert notebooks.problems(chapter) == [] == notebooks.check(chapter.parent.parent)
    assert notebooks.build(chapter).read_bytes() == first


@pytest.fixture
def stored(chapter):
    """A chapter and a function that changes its stored notebook and tells the problems found."""
    nb = notebooks.notebook(chapter)
    for i, cell in enumerate(c for c in nb.cells if c.cell_type == "code"):
        cell.execution_count = i + 1

    def after(change):
        copy = nbformat.from_dict(json.loads(json.dumps(nb)))
        change(copy)
        nbformat.write(copy, notebooks.target(chapter))
        return notebooks.problems(chapter)
    assert after(lambda nb: None) == []
    return after


def output(kind, **content):
    return nbformat.v4.new_output(kind, **content)


@pytest.mark.parametrize("change, told", [
    (lambda nb: nb.cells[1].update(source="def double(x):\n    return 3 * x"), "cell 1: not what notebooks/text/01"),
    (lambda nb: nb.cells[0].update(source="# Another"), "cell 0: not what"),
    (lambda nb: nb.cells.pop(), "cell 3: not what"),
    (lambda nb: nb.cells[2].metadata.update(tags=[]), "cell 2: not what"),
    (lambda nb: nb.cells[1].update(execution_count=None), "cell 1: was not run"),
    (lambda nb: nb.cells[1].outputs.append(output("error", ename="E", evalue="x", traceback=[])), "stores an error"),
    (lambda nb: nb.cells[1].outputs.append(output("stream", name="stderr", text="a.py, line 3")), "written to stderr"),
    (lambda nb: nb.metadata.update(widgets={"a": 1}), "stores widget state"),
    (lambda nb: nb.cells[1].outputs.append(output("display_data", data={notebooks.WIDGET: {}})), "stores a live wid"),
    (lambda nb: nb.cells[1].outputs.append(output("stream", text="x" * 1_100_000)), "has 1.1 MB, at most 1"),
])
def test_a_stored_notebook_that_is_stale_or_carries_too_much_is_told(stored, change, told):
    assert any(told in line for line in stored(change))


@pytest.mark.parametrize("text, told", [
    ("# %%\n!pip install x", "installs packages"),
    ("# %%\n%pip install x", "installs packages"),
    ("# %%\n" + "x = 1\n" * 17, "17 lines of code, at most 16"),
    ("# %% tags=['core']\nx = 1\n# %% tags=['core']\ny = 1", "2 cells tagged core"),
    ("# %%\n# Solution\nx = 1", "a solution that is not folded"),
    ("# %% [markdown]\n# **Solution.** Take one.", "a solution that is not folded"),
])
def test_the_rules_of_a_chapter_are_kept(chapter, text, told):
    chapter.write_text(text)
    nb = notebooks.notebook(chapter)
    nbformat.write(nb, notebooks.target(chapter))
    assert any(told in line for line in notebooks.problems(chapter))


@pytest.mark.parametrize("text", ["# %% tags=['core']\n" + "x = 1\n" * 40,
                                  "# %% [markdown]\n# <details><summary>Solution</summary>\n# One.\n# </details>"])
def test_the_core_may_be_long_and_a_folded_solution_may_stand(chapter, text):
    chapter.write_text(text)
    nb = notebooks.notebook(chapter)
    for cell in nb.cells:
        cell.execution_count = 1 if cell.cell_type == "code" else cell.pop("execution_count", None)
    nb.cells[0].pop("execution_count") if nb.cells[0].cell_type == "markdown" else None
    nbformat.write(nb, notebooks.target(chapter))
    assert notebooks.problems(chapter) == []


def test_a_notebook_without_text_and_a_text_without_notebook_are_told(chapter):
    (chapter.parent.parent / "09_lost.ipynb").write_text("{}")
    assert notebooks.check(chapter.parent.parent) == ["01_chapter.ipynb is missing; run make notebooks",
                                                      "09_lost.ipynb has no text/09_lost.py"]


def test_a_failing_cell_stops_the_build_and_leaves_the_old_notebook(chapter):
    notebooks.target(chapter).write_text("old")
    chapter.write_text("# %%\n1 / 0")
    with pytest.raises(Exception, match="ZeroDivisionError"):
        notebooks.build(chapter)
    assert notebooks.target(chapter).read_text() == "old"


# ---------------------------------------------------------------------------------------------- other releases

def test_the_newest_of_everything_is_asked_for_but_of_torch():
    text = "# pins\ngymnasium[mujoco]==1.4.0   # a comment\n\nnumpy==2.4.6\ntorch==2.13.0\n"
    assert newest.requirements(False, text) == ["gymnasium[mujoco]", "numpy", "torch==2.13.0"]
    assert newest.requirements(True, text) == ["gymnasium[mujoco]==1.4.0", "numpy==2.4.6", "torch==2.13.0"]


def test_the_report_names_the_releases_that_differ():
    import numpy
    import plotly
    text = f"numpy=={numpy.__version__}\nplotly[express]==0.1\n"
    assert newest.releases(Path(sys.executable), text) == {"plotly": dict(pinned="0.1", installed=plotly.__version__)}


def test_a_chapter_that_fails_elsewhere_is_told_with_its_cell(tmp_path):
    for name, code in (("good", "assert 1"), ("bad", "assert 1 == 2")):
        nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)]), tmp_path / f"{name}.ipynb")
    assert newest.chapter(Path(sys.executable), tmp_path / "good.ipynb", tmp_path)["ok"]
    found = newest.chapter(Path(sys.executable), tmp_path / "bad.ipynb", tmp_path)
    assert not found["ok"] and "Cell 0" in found["failure"]


# ---------------------------------------------------------------------------------------------- benchmarks

@pytest.mark.parametrize("ratio, goal, met, words", [
    (3.2, 3, True, "≥ 3"), (2.9, 3.0, False, "≥ 3"), ((2.5, 2.0, 4.0), "≤ 3", True, "≤ 3"), (3.5, "<= 3", False, "≤ 3"),
    ([0.9, 0.8, 1.0], ">= 0.8", True, "≥ 0.8"),
])
def test_a_goal_is_a_bound_from_below_unless_it_says_otherwise(ratio, goal, met, words):
    row = bench.tidy(dict(ratio=ratio, low=1.0, high=5.0, goal=goal))
    assert (row["met"], row["goal"]) == (met, words)
    assert isinstance(row["ratio"], float) and (row["low"], row["high"]) == (tuple(ratio[1:]) if not isinstance(
        ratio, float) else (1.0, 5.0))


def test_benchmarks_are_found_run_apart_and_a_failing_one_is_named(tmp_path):
    (tmp_path / "good.py").write_text("import os\nprint('noise')\ndef bench():\n    return [dict(part='a', job='b', "
                                      "ours=1., peer=2., ratio=2., low=1., high=3., goal=2, pid=os.getpid())]")
    (tmp_path / "bad.py").write_text("def bench():\n    raise OSError('no such data')")
    (tmp_path / "helper.py").write_text("x = 1")
    found = bench.parts(tmp_path)
    assert list(found) == ["bad", "good"]
    row, = bench.measure(found["good"])
    assert row["met"] and row["pid"] != os.getpid()
    with pytest.raises(RuntimeError, match="OSError: no such data"):
        bench.measure(found["bad"])
