"""Every chapter runs top to bottom in a fresh kernel, in bounded memory, alone, and is what its text says.

Alone: without a network, and without writing anywhere but in its own folder and the places meant for it.
"""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

import notebooks

ROOT = Path(__file__).parents[2]
MEGABYTES = 700                      # a free Binder machine guarantees 1 GB; JupyterLab's server takes about 150 MB
CELL_SECONDS = 240                   # a chapter takes 60 s, on two busy cores twice that: so long in one cell is a hang

GUARD = Path(__file__).parent / "guard"
NO_NETWORK = ["unshare", "--map-root-user", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh"]

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


def guarded(folder: Path) -> dict[str, str]:
    """An environment in which Python notes and refuses what guard/sitecustomize.py says; all else is in `folder`."""
    places = dict(HOME="home", TMPDIR="tmp", IPYTHONDIR="ipython", JUPYTER_CONFIG_DIR="jupyter/config",
                  JUPYTER_DATA_DIR="jupyter/data", JUPYTER_RUNTIME_DIR="jupyter/runtime")
    env = {k: v for k, v in os.environ.items() if not k.startswith(("XDG_", "MINARI_", "TORCHINDUCTOR_", "TRITON_"))}
    env |= {name: str(folder / place) for name, place in places.items()}
    for place in places.values():
        (folder / place).mkdir(parents=True, exist_ok=True)
    own = [folder / place for place in ("tmp", "ipython", "jupyter")]
    path = os.pathsep.join(filter(None, [str(GUARD), os.environ.get("PYTHONPATH")]))
    return env | dict(RLKIT_GUARD=str(folder / "guard"), PYTHONDONTWRITEBYTECODE="1", PYTHONPATH=path,
                      RLKIT_HOME=os.pathsep.join(map(str, [*own, notebooks.NOTEBOOKS])))


@pytest.fixture(scope="session")
def no_network(tmp_path_factory) -> list[str]:
    """Words before a command that give it a machine with no network but its own loopback; none where not allowed."""
    if not shutil.which("unshare") or subprocess.run([*NO_NETWORK, "true"], capture_output=True).returncode:
        return []
    return NO_NETWORK


def strays(folder: Path) -> list[str]:
    """What the guard noted, and what lies in the home folder that nobody was to write in."""
    noted = (folder / "guard").read_text().splitlines() if (folder / "guard").exists() else []
    return sorted(set(noted)) + [str(p.relative_to(folder)) for p in (folder / "home").rglob("*") if p.is_file()]


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_a_chapter_runs_top_to_bottom_alone_and_in_bounded_memory(chapter, tmp_path, capsys, no_network):
    """nbval runs the cells; an output is compared where its cell says `nbval-check-output`."""
    start, peak = time.monotonic(), 0.0
    command = [sys.executable, "-m", "pytest", "--nbval-lax", "--nbval-current-env", "-p", "no:cacheprovider", "-o",
               "addopts=", "-q", f"--nbval-cell-timeout={CELL_SECONDS}", f"--rootdir={tmp_path}",
               f"--basetemp={tmp_path / 'tmp' / 'pytest'}", str(notebooks.target(chapter))]
    env = guarded(tmp_path) | dict(RLKIT_HEADLESS="1", OMP_NUM_THREADS="1")
    with open(tmp_path / "out", "w+") as out:
        process = subprocess.Popen([*no_network, *command], cwd=tmp_path, env=env, stdout=out,
                                   stderr=subprocess.STDOUT)
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
    assert strays(tmp_path) == []
    assert 30 < peak <= MEGABYTES, f"peak {peak:.0f} MB, at most {MEGABYTES}: keep less, or compute it in smaller parts"


def test_what_strays_is_seen_and_what_leaves_is_stopped(tmp_path, no_network):
    code = """
import os, pathlib, socket, tempfile, urllib.request
tempfile.TemporaryFile().close()
pathlib.Path.home().joinpath("diary").write_text("x")
os.makedirs("elsewhere")
for call in (lambda: urllib.request.urlopen("http://example.org"), lambda: socket.create_connection(("192.0.2.1", 80))):
    try:
        call()
    except OSError as e:
        print(type(e).__name__)
server = socket.create_server(("127.0.0.1", 0))
socket.create_connection(server.getsockname()).close()
"""
    done = subprocess.run([*no_network, sys.executable, "-c", code], cwd=tmp_path, env=guarded(tmp_path),
                          capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and done.stdout.split() == ["URLError", "OSError"], done.stderr
    assert [line.split("\t")[0] for line in strays(tmp_path)] == [
        "network", "network", "os.mkdir", "write", os.path.join("home", "diary")]
