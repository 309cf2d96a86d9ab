"""A JupyterLab of our own and a Chromium to look at it with. Both are ended with the tests."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parents[2]
SCREENS = ROOT / "build" / "screens"
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync"]


class Lab:
    """JupyterLab on a free port, with settings of its own, serving one folder."""

    def __init__(self, folder: Path):
        self.folder = folder
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.port = s.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.notebooks = folder / "notebooks"
        self.notebooks.mkdir(parents=True)
        shutil.copy(Path(__file__).parent / "learning.py", self.notebooks)
        private = {name: str(folder / name.lower()) for name in (
            "JUPYTER_CONFIG_DIR", "JUPYTERLAB_SETTINGS_DIR", "JUPYTERLAB_WORKSPACES_DIR", "JUPYTER_DATA_DIR",
            "JUPYTER_RUNTIME_DIR", "IPYTHONDIR")}
        self.settings = Path(private["JUPYTERLAB_SETTINGS_DIR"])
        env = {k: v for k, v in os.environ.items() if not k.startswith(("RLKIT_", "PYTEST_"))}
        env |= private | dict(OMP_NUM_THREADS="1", JUPYTER_PATH=str(folder / "jupyter_path"),
                              PYDEVD_DISABLE_FILE_VALIDATION="1")
        self.setting("apputils-extension/notification", fetchNews="false", checkForUpdates=False)
        self.log = (folder / "lab.log").open("w")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "jupyterlab", "--no-browser", f"--port={self.port}", "--allow-root",
             "--IdentityProvider.token=", "--ServerApp.password=", "--ServerApp.disable_check_xsrf=True",
             f"--ServerApp.root_dir={self.notebooks}"],
            env=env, stdout=self.log, stderr=self.log, start_new_session=True)
        for _ in range(240):
            if self.process.poll() is not None:
                break
            try:
                urllib.request.urlopen(f"{self.url}/api/status", timeout=2).close()
                return
            except OSError:
                time.sleep(0.25)
        self.close()
        raise RuntimeError("JupyterLab did not start; its log ends: " + (folder / "lab.log").read_text()[-800:])

    def setting(self, name: str, **values) -> None:
        """Write a user setting of Lab; pages loaded from now on see it."""
        path = self.settings / "@jupyterlab" / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(values))

    def theme(self, dark: bool) -> None:
        self.setting("apputils-extension/themes", theme="JupyterLab Dark" if dark else "JupyterLab Light")

    def api(self, path: str, method: str = "GET"):
        request = urllib.request.Request(f"{self.url}/api/{path}", method=method)
        with urllib.request.urlopen(request, timeout=20) as reply:
            return json.loads(reply.read() or "null")

    def notebook(self, name: str, *cells: str, kernel: str = "python3") -> str:
        """Write a notebook of code cells; gives its name."""
        nb = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c) for c in cells])
        nb.metadata.kernelspec = dict(name=kernel, display_name=kernel, language="python")
        nbformat.write(nb, self.notebooks / f"{name}.ipynb")
        return name

    def kernel7(self) -> None:
        """A kernel spec `k7` with ipykernel 7, which is put under build/ once and shadows the pinned 6."""
        target = ROOT / "build" / "ipykernel7"
        if not (target / "ipykernel").exists():
            pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(target)]
            got = subprocess.run([*pip, "ipykernel==7.4.0"], capture_output=True, text=True)
            if got.returncode:
                shutil.rmtree(target, ignore_errors=True)
                pytest.skip("ipykernel 7 could not be installed: " + (got.stderr.strip().splitlines() or ["?"])[-1])
        spec = self.folder / "jupyter_path" / "kernels" / "k7"
        spec.mkdir(parents=True, exist_ok=True)
        argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        (spec / "kernel.json").write_text(json.dumps(dict(
            argv=argv, display_name="ipykernel 7", language="python", env=dict(PYTHONPATH=str(target)))))

    def end_kernels(self) -> None:
        for session in self.api("sessions"):
            self.api(f"sessions/{session['id']}", "DELETE")

    def close(self) -> None:
        if self.process.poll() is None:
            try:
                self.end_kernels()
            except OSError:
                pass
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait(10)
        self.log.close()


@pytest.fixture(scope="session")
def lab(tmp_path_factory):
    lab = Lab(tmp_path_factory.mktemp("lab"))
    yield lab
    lab.close()


def chromium() -> str | None:
    """The system's Chromium or Chrome, else the one of Playwright (None: it knows where)."""
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@pytest.fixture(scope="session")
def browser():
    from playwright.sync_api import Error, sync_playwright

    with sync_playwright() as p:
        try:
            browser = p.chromium.launch(executable_path=chromium(), args=FLAGS)
        except Error as e:
            pytest.fail("no Chromium to test with; install one: python -m playwright install --with-deps chromium "
                        f"({str(e).splitlines()[0]})", pytrace=False)
        yield browser
        browser.close()


class Page:
    """One notebook in the browser."""

    def __init__(self, lab: Lab, context, width: int, height: int):
        self.lab, self.page = lab, context.new_page()
        self.page.set_viewport_size(dict(width=width, height=height))
        self.page.set_default_timeout(30_000)
        self.console: list[str] = []
        self.page.on("console", lambda m: self.console.append(f"{m.type}: {m.text}") if m.type == "error" else None)
        self.page.on("pageerror", lambda e: self.console.append(f"uncaught: {e}"))

    def open(self, name: str) -> None:
        self.page.goto(f"{self.lab.url}/lab/tree/{name}.ipynb?reset")
        self.page.wait_for_selector(".jp-Notebook .jp-CodeCell")
        self.connected(name)

    def connected(self, name: str) -> None:
        """Wait until the notebook's kernel is idle and the page listens to it: before, Lab drops what is run."""
        for _ in range(300):
            mine = [s["kernel"] for s in self.lab.api("sessions") if s["path"] == f"{name}.ipynb"]
            if mine and mine[0]["execution_state"] == "idle" and mine[0]["connections"]:
                break
            self.page.wait_for_timeout(100)
        self.page.get_by_text("| Idle", exact=False).first.wait_for()  # the status bar

    def cell(self, i: int):
        return self.page.locator(".jp-Notebook .jp-CodeCell").nth(i)

    def run_cell(self, i: int) -> None:
        self.cell(i).locator(".cm-content").click()
        self.page.keyboard.press("Shift+Enter")

    def menu(self, name: str, item: str) -> None:
        """Choose an item of one of Lab's menus; `item` is a regular expression for all of its words."""
        self.page.get_by_role("menuitem", name=name, exact=True).click()
        self.page.locator(".lm-Menu-itemLabel").get_by_text(re.compile(f"^{item}$")).first.click()

    def panel(self, i: int = 0):
        return self.page.locator(".rlkit-panel").nth(i)

    def ready(self, i: int = 0, timeout: float = 30_000):
        """The panel once its first picture is painted."""
        panel = self.panel(i)
        panel.locator("xpath=self::*[@data-rlkit-ready]").wait_for(timeout=timeout)
        return panel

    def until(self, script: str, timeout: float = 30_000):
        """Wait until a JavaScript expression is true; gives its value."""
        return self.page.wait_for_function(script, timeout=timeout, polling=30).json_value()

    def shot(self, name: str) -> Path:
        SCREENS.mkdir(parents=True, exist_ok=True)
        path = SCREENS / f"{name}.png"
        self.page.screenshot(path=path)
        return path


def _opener(lab, browser):
    contexts = []

    def opened(name: str, width: int = 1300, height: int = 900, by: Lab | None = None) -> Page:
        contexts.append(browser.new_context())
        page = Page(by or lab, contexts[-1], width, height)
        page.open(name)
        return page

    yield opened
    for context in contexts:
        context.close()
    lab.end_kernels()


@pytest.fixture
def open_page(lab, browser):
    """open_page(notebook, width=1300, height=900) -> Page; closed, with its kernels, after the test."""
    yield from _opener(lab, browser)


@pytest.fixture(scope="module")
def apart(browser, tmp_path_factory):
    """(a Lab of its own, its open_page): what is opened there stays open until the last test of the file."""
    lab = Lab(tmp_path_factory.mktemp("apart"))
    for opened in _opener(lab, browser):
        yield lab, opened
    lab.close()


@pytest.fixture(scope="session")
def merit():
    """What was measured in the browser; printed at the end and written to build/browser.json."""
    found: dict = {}
    yield found
    path = ROOT / "build" / "browser.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(found, indent=1, ensure_ascii=False))
    print("\n" + "\n".join(f"{k}: {v}" for k, v in found.items()), file=sys.__stderr__)
