"""What Binder will do with this repository, as repo2docker itself says it."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def read(name):
    return (ROOT / "binder" / name).read_text()


def requirements(text):
    return [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]


def dockerfile(folder):
    """repo2docker's log and Dockerfile for a folder; needs neither Docker nor network."""
    r2d = [sys.executable, "-m", "repo2docker", "--no-build", "--debug", "."]
    done = subprocess.run(r2d, cwd=folder, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stderr + done.stdout


@pytest.fixture
def repository(tmp_path):
    shutil.copytree(ROOT / "binder", tmp_path / "binder")
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    shutil.copy(ROOT / "requirements.txt", tmp_path)
    return tmp_path


def installs_before_the_code(text):
    """Whether pip runs in a layer that only binder/requirements.txt can invalidate."""
    pip, code = (re.search(p, text, re.M) for p in (r"^RUN .*pip install .*-r \"binder/requirements.txt\"",
                                                    r"^COPY --chown=\S+ src/ "))
    return pip.start() < code.start()


def test_binder_builds_python_3_11_and_runs_postbuild_last(repository):
    text = dockerfile(repository)
    assert "Building conda environment for python=3.11" in text
    assert text.index("COPY --chown=0:0 src/ ") < text.index("RUN ./binder/postBuild")
    assert "pip install --no-cache-dir ." not in text           # else rlkit's dependencies would be resolved again


def test_a_new_commit_does_not_install_torch_again(repository):
    assert installs_before_the_code(dockerfile(repository))


@pytest.mark.parametrize("line", ["-r ../requirements.txt", "-e .", "./rlkit", "-c constraints.txt"])
def test_the_line_above_would_notice(repository, line):
    with open(repository / "binder" / "requirements.txt", "a") as f:
        f.write(line + "\n")
    assert not installs_before_the_code(dockerfile(repository))


def test_binder_has_the_same_flat_pins_and_torch_from_its_cpu_index():
    index, *pins = requirements(read("requirements.txt"))
    assert index == "--extra-index-url https://download.pytorch.org/whl/cpu"
    assert pins == requirements((ROOT / "requirements.txt").read_text())
    assert all(re.fullmatch(r"[\w.-]+(\[\w+\])?==[\w.]+", pin) for pin in pins)
    assert {"ipykernel==6.31.0", "torch==2.13.0"} <= set(pins)


def test_postbuild_stops_at_the_first_error_and_installs_no_dependency():
    lines = requirements(read("postBuild"))
    assert lines[0] == "set -e" and lines[1] == "pip install --no-cache-dir --no-deps -e ."
    assert (ROOT / "binder" / "postBuild").stat().st_mode & 0o100 and read("postBuild").startswith("#!/bin/bash\n")


def test_nothing_is_tied_to_binders_base_image_and_there_is_one_configuration():
    assert sorted(p.name for p in (ROOT / "binder").iterdir()) == ["postBuild", "requirements.txt", "runtime.txt"]
    assert not (ROOT / ".binder").exists()
