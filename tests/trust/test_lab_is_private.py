"""`make lab` serves this machine alone, behind a token; nothing that it starts listens anywhere else."""

import json
import os
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).parents[2]
LAB = """
import sys
sys.path.insert(0, "tools")
import make
make.PYTHON = sys.executable                                    # the Python that runs the tests, wherever it lives
sys.exit(make.lab(["--no-browser"]))
"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """(process, address, token) of the Lab that `make lab` starts."""
    env = {k: v for k, v in os.environ.items() if k not in ("JUPYTER_TOKEN", "PORT")}
    process = subprocess.Popen([sys.executable, "-c", LAB], cwd=ROOT, env=env, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, text=True)
    try:
        said = next(line for line in process.stdout if "JupyterLab: " in line)
        address, token = re.search(r"(http://127\.0\.0\.1:\d+)/\S*token=(\w+)", said).groups()
        yield process, address, token
    finally:
        for child in [*psutil.Process(process.pid).children(recursive=True), process]:
            child.kill()
        process.wait(20)


def ask(address: str, token: str | None, path: str, method: str = "GET", **more) -> tuple[int, object]:
    """(HTTP status, answer); waits for a server that is still starting."""
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"token {token}"} if token else {})
    request = urllib.request.Request(f"{address}/api/{path}", method=method, headers=headers,
                                     data=json.dumps(more).encode() if more else None)
    for _ in range(300):
        try:
            with urllib.request.urlopen(request, timeout=20) as reply:
                return reply.status, json.loads(reply.read() or "null")
        except urllib.error.HTTPError as e:
            return e.code, None
        except OSError:
            time.sleep(0.2)
    pytest.fail("the Lab never answered")


def listening(pid: int) -> dict[str, set[str]]:
    """Addresses on which a process and all it started listen, by command."""
    found = {}
    for p in [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]:
        addresses = {c.laddr.ip for c in p.net_connections("inet") if c.status == psutil.CONN_LISTEN}
        found[" ".join(p.cmdline()[1:4])] = addresses
    return found


@pytest.mark.parametrize("path, method", [("contents", "GET"), ("kernels", "POST"), ("sessions", "GET"),
                                          ("terminals", "POST")])
@pytest.mark.parametrize("token", [None, "0" * 32])
def test_without_its_token_lab_gives_and_starts_nothing(lab, path, method, token):
    _, address, _ = lab
    assert ask(address, token, path, method)[0] == 403


def test_lab_and_its_kernels_listen_on_this_machine_only(lab):
    process, address, token = lab
    status, kernel = ask(address, token, "kernels", "POST", name="python3")
    assert status == 201
    for _ in range(100):
        found = listening(process.pid)
        kernels = [where for command, where in found.items() if "ipykernel" in command]
        if kernels and kernels[0]:
            break
        time.sleep(0.2)
    assert set().union(*found.values()) == {"127.0.0.1"} and kernels[0] == {"127.0.0.1"}
    ask(address, token, f"kernels/{kernel['id']}", "DELETE")
