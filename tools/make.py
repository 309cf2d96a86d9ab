"""What the Makefile's targets do, on any system:  python tools/make.py setup|lab|test|check|claims|...

Standard library only. Everything it makes is in .venv (and .chromium): delete them and nothing is left behind.
A set-up that was interrupted, moved or damaged is noticed by the next run and mended. Any failure is one line.
"""
import hashlib
import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
import threading
import time
import urllib.request

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
VENV = os.path.join(ROOT, ".venv")
PYTHON = os.path.join(VENV, "Scripts", "python.exe") if os.name == "nt" else os.path.join(VENV, "bin", "python")
LAYER = os.path.join(VENV, "bench")
STAMP, LOG = os.path.join(VENV, "rlkit-stamp"), os.path.join(VENV, "setup.log")
OLDEST = (3, 11)
WHERE = "import sysconfig; print(sysconfig.get_path('purelib'))"
TORCH_CPU = "https://download.pytorch.org/whl/cpu"
BASE = ["requirements.txt"]
TESTS = BASE + ["tests/requirements.txt"]
BENCH = TESTS + ["tests/bench/requirements.txt"]    # the last goes into LAYER, where no student's kernel sees it
NO_DEPS = "tests/requirements-nodeps.txt"           # packages whose own pins would fight ours


class Stop(Exception):
    """A failure with a one-line message: what is wrong and what to do."""


# ---------------------------------------------------------------------------------------------------- small helpers

def path(*parts):
    return os.path.join(ROOT, *parts)


def say(text=""):
    print(text, flush=True)


def read(name):
    with open(path(name), encoding="utf-8") as f:
        return f.read()


def clean_env(**more):
    """The environment of everything we start: nothing of the user's Python or Jupyter leaks in, nothing leaks out."""
    env = {k: v for k, v in os.environ.items() if k not in (
        "PYTHONHOME", "PYTHONPATH", "PIP_USER", "PIP_TARGET", "PIP_PREFIX", "PIP_REQUIRE_VIRTUALENV", "VIRTUAL_ENV")}
    for name in ("CONFIG", "DATA", "RUNTIME"):
        env[f"JUPYTER_{name}_DIR"] = os.path.join(VENV, "jupyter", name.lower())
    env.update(IPYTHONDIR=os.path.join(VENV, "jupyter", "ipython"), PYTHONUTF8="1", PIP_NO_INPUT="1",
               PIP_DISABLE_PIP_VERSION_CHECK="1")
    env["PATH"] = os.path.dirname(PYTHON) + os.pathsep + env.get("PATH", "")
    env.update(more)
    return env


def ask(*cmd):
    """Output of a quick command, or None where it does not start, fails or hangs."""
    try:
        out = subprocess.run(cmd, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL,
                             env=clean_env(), timeout=60)
    except (OSError, subprocess.SubprocessError):
        return None
    return out.stdout.decode("utf-8", "replace").strip() if out.returncode == 0 else None


class Stage:
    """One line per stage, with its seconds; on a terminal the line also says what is going on."""

    def __init__(self, says):
        self.says, self.now, self.over = says, "", threading.Event()

    def line(self):
        return f"  {self.says:<46} {time.time() - self.start:6.1f} s"

    def tick(self):
        while not self.over.wait(1):
            sys.stdout.write(f"\r{self.line()}  {self.now:<24.24}")
            sys.stdout.flush()

    def __enter__(self):
        self.start = time.time()
        if sys.stdout.isatty():
            threading.Thread(target=self.tick, daemon=True).start()
        return self

    def __exit__(self, kind, *_):
        self.over.set()
        back = "\r" if sys.stdout.isatty() else ""
        say(back + self.line() + ("  " if kind is None else "  failed") + " " * 24 * bool(back))


# ---------------------------------------------------------------------------------------------------- the set-up

def find_python():
    """A Python that is new enough: the one running this, else one on the PATH."""
    running = getattr(sys, "_base_executable", None) or sys.executable
    if sys.version_info >= OLDEST:
        return running
    for name in ("python3.13", "python3.12", "python3.11", "python3.14"):
        found = shutil.which(name)
        if found and ask(found, "-c", "import sys; sys.exit(sys.version_info < (3, 11))") is not None:
            return found
    raise Stop(f"Python 3.11 or newer is needed, this is {sys.version.split()[0]} ({sys.executable}); install one "
               "from python.org, then name it: make lab PYTHON=python3.12")


def stamp(files):
    """What the set-up depends on; kept in .venv once it is complete."""
    present = [f for f in files if os.path.exists(path(f))]
    package = read("pyproject.toml").split("[tool.ruff]")[0]   # how the code is checked changes no environment
    text = "\n".join([ROOT, package] + [f + read(f) for f in present])
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def stamps(file=STAMP):
    try:
        with open(file, encoding="utf-8") as f:
            return f.read().split()
    except OSError:
        return []


def pins(files):
    """Name -> version of the flat pins in the requirements files (extras dropped)."""
    lines = [line.split("#")[0].strip() for f in files if os.path.exists(path(f)) for line in read(f).splitlines()]
    found = [re.match(r"([\w.-]+)(\[[\w,-]+\])?\s*==\s*([\w.+!-]+)", line) for line in lines]
    return {m.group(1): m.group(3) for m in found if m}


def modules(files):
    """Name -> the module it is imported as, of the pins whose module has their own name, and of Pillow."""
    return {name: {"pillow": "PIL"}.get(name, name) for name in sorted(pins(files)) if name.isidentifier()}


def missing(files, python=PYTHON):
    """The pins that an environment does not hold, asked of its own Python: None where that does not start."""
    code = ("import importlib.metadata as m, importlib.util as u, sys\n"
            "def v(n):\n"
            "    try: return m.version(n).split('+')[0]\n"
            "    except Exception: return None\n"
            f"bad = [n for n, w in {pins(files)!r}.items() if v(n) != w.split('+')[0]]\n"
            f"bad += [n for n, m in {modules([f for f in files if f in TESTS])!r}.items() if not u.find_spec(m)]\n"
            "s = u.find_spec('rlkit')\n"
            f"bad += [] if s and s.origin and s.origin.startswith({ROOT!r}) else ['rlkit']\n"
            "print(*bad)")
    out = ask(python, "-I", "-c", code)
    return None if out is None else out.split()


def broken():
    """Why .venv cannot be used, or None."""
    if not os.path.lexists(PYTHON):
        return "it holds no Python"
    told = ask(PYTHON, "-I", "-c", "import sys; print('%d.%d' % sys.version_info[:2]); print(sys.prefix)")
    if told is None:
        return "its Python does not start"
    version, prefix = (told.splitlines() + [""])[:2]
    if tuple(int(n) for n in version.split(".")) < OLDEST:
        return "it is of Python " + version
    if os.path.realpath(prefix) != os.path.realpath(VENV):
        return "it was made in another folder"
    pip = [PYTHON, "-I", "-m", "pip", "--version"]
    if ask(*pip) is None and (ask(PYTHON, "-I", "-m", "ensurepip") is None or ask(*pip) is None):
        return "its pip does not start"
    return None


def remove_venv():
    if os.path.islink(VENV) or os.path.isfile(VENV):
        os.unlink(VENV)                                        # what a link points to is not ours to delete
    else:
        with Stage("removing it"):
            shutil.rmtree(VENV)


def make_venv(python):
    version = ask(python, "-c", "import platform; print(platform.python_version())")
    with Stage(f"environment of Python {version}"):
        if ask(python, "-m", "venv", VENV) is None:
            shutil.rmtree(VENV, ignore_errors=True)            # Debian without python3-venv: the host's pip will do
            if (ask(python, "-m", "venv", "--without-pip", VENV) is None or
                    ask(python, "-m", "pip", "--python", PYTHON, "install", "-q", "pip") is None):
                raise Stop(f"{python} cannot make an environment with pip; on Debian or Ubuntu: "
                           "apt-get install python3-venv")


def cpu_index():
    """Torch's CPU index as a pip option, where it answers within seconds (off Linux the plain package is for CPU)."""
    if not sys.platform.startswith("linux"):
        return []
    answers = []

    def probe():
        try:
            with urllib.request.urlopen(TORCH_CPU + "/torch/", timeout=4) as reply:
                answers.append(reply.status == 200)
        except Exception:                                      # no name, no route, no certificate, a proxy's page
            pass
    thread = threading.Thread(target=probe, daemon=True)       # a name look-up obeys no timeout
    thread.start()
    thread.join(6)
    return ["--extra-index-url", TORCH_CPU] if any(answers) else []


OFFLINE = ("name resolution", "Name or service not known", "getaddrinfo failed", "unreachable",
           "ConnectTimeout", "Read timed out", "ReadTimeout", "ProxyError", "Connection refused", "ConnectionError",
           "Connection broken", "IncompleteRead", "nodename nor servname")


def pip(says, *args, python=PYTHON):
    """Run pip in an environment: quiet, its words in the log, one line here; a failure is told in one line."""
    lines = []
    with Stage(says) as stage, open(LOG, "a", encoding="utf-8") as log:
        cmd = [python, "-m", "pip", "install", "--progress-bar", "off"] + list(args)
        job = subprocess.Popen(cmd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                               cwd=ROOT, env=clean_env(PIP_DEFAULT_TIMEOUT=os.environ.get("PIP_DEFAULT_TIMEOUT", "30")))
        for raw in job.stdout:
            lines.append(raw.decode("utf-8", "replace").rstrip())
            log.write(lines[-1] + "\n")
            words = lines[-1].split()
            if words and words[0] in ("Collecting", "Downloading", "Installing", "Building"):
                stage.now = " ".join([words[0].lower()] + [os.path.basename(w) for w in words[1:3]])
        if job.wait() == 0:
            return
        text = "\n".join(lines)
        where = "; pip's words are in " + os.path.relpath(LOG, ROOT)
        if "No space left" in text:
            raise Stop("the disk is full: rlkit's environment needs about 2 GB" + where)
        if any(word in text for word in OFFLINE):
            raise Stop("no network: pip cannot reach its package index; connect and run the same command again" + where)
        errors = [line for line in lines if line.startswith("ERROR")] or lines[-1:] or ["no output"]
        raise Stop("pip failed: " + errors[-1].replace("ERROR: ", "") + where)


def install(files):
    with open(LOG, "w", encoding="utf-8"):
        pass
    if os.path.exists(STAMP):
        os.unlink(STAMP)
    index = cpu_index()
    wanted = [a for f in files for a in ("-r", f)]
    pip("packages" + (" (torch from its CPU index)" if index else ""), *(wanted + index))
    if files != BASE and os.path.exists(path(NO_DEPS)):
        pip("packages without their dependencies", "--no-deps", "-r", NO_DEPS)
    pip("rlkit itself", "--no-deps", "-e", ".")
    lost = missing(files) or []
    if lost:                                                   # pip believes a package's label, we look for the package
        pip("damaged packages again", "--force-reinstall", "--no-deps", *[n + "==" + v for n, v in pins(files).items()
                                                                            if n in lost])
    with Stage("trying every import"):
        lost = missing(files)
        if lost or lost is None or ask(PYTHON, "-c", "import " + ", ".join(modules(BASE).values())) is None:
            raise Damaged("packages do not import" + "".join(": " + n for n in lost or []))
        ask(PYTHON, "-c", "from rlkit.live.library import library; library()")    # compresses plotly.js, once
    settings = os.path.join(VENV, "share", "jupyter", "lab", "settings")
    for folder in (settings, os.path.join(VENV, "jupyter")):               # the second is clean_env's
        os.makedirs(folder, exist_ok=True)
    with open(os.path.join(settings, "overrides.json"), "w", encoding="utf-8") as f:
        f.write('{"@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": false}}\n')
    with open(STAMP + ".new", "w", encoding="utf-8") as f:
        f.write("\n".join({stamp(BASE), stamp(files + [NO_DEPS] * (files != BASE))}))
    os.replace(STAMP + ".new", STAMP)


class Damaged(Stop):
    """The packages are there and do not work: a fresh environment is the cure."""


def setup(files):
    """Make .venv hold exactly the pins; a moment when it already does."""
    if stamp(files + [NO_DEPS] * (files != BASE)) in stamps() and missing(files) == []:
        return
    if not os.access(ROOT, os.W_OK):
        raise Stop(f"no permission to write in {ROOT}; copy rlkit into a folder of your own")
    with Lock():
        python = find_python()
        say("rlkit: setting up .venv" + ("" if stamps() else " (once: a few minutes, about 2 GB)"))
        why = broken() if os.path.lexists(VENV) else None
        if why:
            say(f"  the old .venv is not usable, {why}: making it anew")
            remove_venv()
        if not os.path.exists(VENV):
            make_venv(python)
        try:
            install(files)
        except Damaged as e:
            say(f"  {e}: making .venv anew")
            remove_venv()
            make_venv(python)
            install(files)


def peers():
    """The folder of what only the benchmarks import, made where it is missing.

    An environment that sees all of .venv and adds to it holds them: pip then installs what .venv lacks and no more.
    What runs is .venv's own Python with this folder on its path.
    """
    python = os.path.join(LAYER, os.path.relpath(PYTHON, VENV))
    folder, ours = ask(python, "-c", WHERE), ask(PYTHON, "-c", WHERE)
    mark, wanted = os.path.join(LAYER, "rlkit-stamp"), stamp(BENCH + [NO_DEPS])
    if stamps(mark) == [wanted] and missing(BENCH, python) == []:
        return folder
    with Lock():
        shutil.rmtree(LAYER, ignore_errors=True)
        if ask(PYTHON, "-m", "venv", "--without-pip", LAYER) is None:
            raise Stop(f"{PYTHON} cannot make an environment in {os.path.relpath(LAYER, ROOT)}")
        folder = ask(python, "-c", WHERE)
        with open(os.path.join(folder, "course.pth"), "w", encoding="utf-8") as f:
            f.write(f"import site; site.addsitedir({ours!r})\n")
        pip("packages to compare with", *[a for f in BENCH for a in ("-r", f)], python=python)
        if (lost := missing(BENCH, python)) != []:
            raise Stop("not as asked for: " + ", ".join(lost or ["the environment"]) + "; delete .venv and try again")
        with open(mark, "w", encoding="utf-8") as f:
            f.write(wanted)
    return folder


class Lock:
    """One set-up at a time in this folder; freed by the system when the process ends, however it ends."""

    def __enter__(self):
        self.file = open(path(".setup.lock"), "w")
        try:
            import fcntl
        except ImportError:                                    # Windows: two set-ups at once are not guarded against
            return
        try:
            fcntl.flock(self.file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            say("  another set-up is at work in this folder: waiting for it")
            fcntl.flock(self.file, fcntl.LOCK_EX)

    def __exit__(self, *_):
        self.file.close()


# ---------------------------------------------------------------------------------------------------- the browser

def find_chromium():
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
    places = [os.environ.get("BROWSER_PATH")] + [shutil.which(n) for n in names] + [
        "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
        "/Applications/Chromium.app/Contents/MacOS/Chromium",
        os.path.join(os.environ.get("PROGRAMFILES", "-"), "Google", "Chrome", "Application", "chrome.exe")]
    for folder, _, files in os.walk(path(".chromium")):
        places += [os.path.join(folder, f) for f in files if f in ("chrome", "Chromium", "chrome.exe")]
    for place in places:
        if place and os.path.exists(place) and (os.name == "nt" or ask(place, "--version")):
            return place
    return None


def chromium():
    """Path of a Chromium, installed where it is missing: by apt-get as root, else by playwright into .chromium."""
    found = find_chromium()
    if found:
        return found
    if shutil.which("apt-get"):
        root = [] if os.geteuid() == 0 else ["sudo", "-n"]
        if not root or ask("sudo", "-n", "true") is not None:
            with Stage("Chromium, from the system's packages"):
                env = dict(os.environ, DEBIAN_FRONTEND="noninteractive")
                for args in (["update"], ["install", "-y", "--no-install-recommends", "chromium", "fonts-dejavu-core"]):
                    subprocess.call(root + ["apt-get", "-q"] + args, stdin=subprocess.DEVNULL, env=env,
                                    stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    if not find_chromium():
        with Stage("Chromium, from playwright into .chromium"):
            subprocess.call([PYTHON, "-m", "playwright", "install", "chromium"], stdin=subprocess.DEVNULL,
                            env=clean_env(PLAYWRIGHT_BROWSERS_PATH=path(".chromium")),
                            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    found = find_chromium()
    if not found:
        raise Stop("no Chromium for the browser tests: install it (Debian, Ubuntu: sudo apt-get install chromium) "
                   "or name a Chrome in BROWSER_PATH")
    return found


# ---------------------------------------------------------------------------------------------------- the targets

def run(*cmd, **env):
    """Run in .venv with the terminal; its exit status. Ctrl-C is the child's to answer."""
    env = clean_env(**env)
    try:
        return subprocess.call([PYTHON] + list(cmd), cwd=ROOT, env=env)
    except KeyboardInterrupt:
        return 130


def free_port(first):
    """The first port from `first` on that nobody listens on."""
    for port in range(first, min(first + 100, 65536)):
        with socket.socket() as s:
            if os.name != "nt":
                s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                s.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise Stop(f"no free port from {first} on; choose another: make lab PORT=9000")


def lab(args):
    wanted = os.environ.get("PORT") or "8888"
    if not wanted.isdigit() or not 0 < int(wanted) < 65536:
        raise Stop(f"PORT is {wanted!r}, expected a number from 1 to 65535; try make lab PORT=9000")
    port = free_port(int(wanted))
    if port != int(wanted):
        say(f"port {wanted} is in use: taking {port}")
    first = "notebooks/00_start_here.ipynb"
    token = os.environ.get("JUPYTER_TOKEN") or secrets.token_hex(16)
    where = "/lab/tree/" + first if os.path.exists(path(first)) else "/lab"
    say(f"JupyterLab: http://127.0.0.1:{port}{where}?token={token}   (Ctrl-C twice ends it)")
    cmd = ["-m", "jupyterlab", "--ServerApp.ip=127.0.0.1", f"--ServerApp.port={port}", "--ServerApp.port_retries=0",
           "--ServerApp.root_dir=" + ROOT, "--LabApp.default_url=" + where, "--Application.log_level=ERROR"] + args
    if os.name != "nt" and os.geteuid() == 0:
        cmd.append("--allow-root")
    if os.name == "nt":
        return run(*cmd, JUPYTER_TOKEN=token)
    os.chdir(ROOT)
    os.execve(PYTHON, [PYTHON] + cmd, clean_env(JUPYTER_TOKEN=token))    # Ctrl-C then speaks to JupyterLab alone


TWO = ["-n", "2", "--no-loadscope-reorder", "--durations=15", "--dist"]        # at once, shared by tests/conftest.py


def test(args):
    """The checks; all that needs no browser, two files at a time; then the browser's, which like to be alone."""
    if ended := run("tools/check.py"):
        return ended
    env = dict(BROWSER_PATH=chromium(), OMP_NUM_THREADS="1")
    statuses = []
    for kind, how in {"not browser": [*TWO, "loadfile"], "browser": ["--durations=15"]}.items():
        statuses.append(run("-m", "pytest", "-m", f"not slow and {kind}", *how, *args, **env))
        if statuses[-1] in (2, 130):                           # interrupted
            return statuses[-1]
    return max([s for s in statuses if s != 5] or [5])         # 5: none of the tests that were named are of this kind


def bench(args):
    return run("tests/bench/run.py", *args, BROWSER_PATH=chromium(), OMP_NUM_THREADS="1", PYTHONPATH=peers())


def soak(args):
    return run("-m", "pytest", "-m", "slow", *TWO, "loadscope", *args, BROWSER_PATH=chromium(), OMP_NUM_THREADS="1")


TARGETS = {                                                    # name: (requirements, what to do)
    "setup": (BASE, lambda args: say("rlkit is ready: make lab") or 0),
    "lab": (BASE, lab),
    "claims": (BASE, lambda args: run("-m", "rlkit", "claims", *args)),
    "check": (TESTS, lambda args: run("tools/check.py")),
    "test": (TESTS, test),
    "soak": (TESTS, soak),
    "notebooks": (TESTS, lambda args: run("tools/notebooks.py", *args, BROWSER_PATH=chromium())),
    "book": (TESTS, lambda args: run("tools/book.py", *args, BROWSER_PATH=chromium())),
    "bench": (TESTS, bench),
    "newest": (BASE, lambda args: run("tools/newest.py", *args)),
}


def main(argv):
    if not argv or argv[0] not in TARGETS:
        raise Stop("expected one of: " + " ".join(TARGETS) + "; for example: python tools/make.py lab")
    files, target = TARGETS[argv[0]]
    setup(files)
    return target(argv[1:])


def cli(argv):
    """Exit status, or the one line that says what went wrong."""
    try:
        return main(argv)
    except Stop as e:
        return f"rlkit: {e}"
    except KeyboardInterrupt:
        return "rlkit: stopped; run the same command again to go on"
    except PermissionError as e:
        return f"rlkit: no permission: {e.filename}; copy rlkit into a folder of your own"
    except OSError as e:
        return f"rlkit: {e}"


if __name__ == "__main__":
    sys.exit(cli(sys.argv[1:]))
