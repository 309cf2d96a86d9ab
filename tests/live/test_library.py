"""Plotly.js on its way to the page: what is kept is what would be made, and what is damaged is made again."""

import gzip
import subprocess
import sys
from pathlib import Path

import plotly
import pytest

from rlkit.live.library import HEAD, TAIL, alone, packed

SOURCE = Path(plotly.__file__).parent / "package_data" / "plotly.min.js"


@pytest.fixture(autouse=True)
def bytecode_is_kept(monkeypatch):
    monkeypatch.setattr(sys, "dont_write_bytecode", False)


def test_what_is_kept_is_what_would_be_made(tmp_path):
    made, read = packed(SOURCE, tmp_path / "kept"), packed(SOURCE, tmp_path / "kept")
    (file,) = (tmp_path / "kept").iterdir()
    assert made == read and file.read_bytes().endswith(made)
    assert gzip.decompress(read).decode() == alone(SOURCE.read_text("utf-8"))


@pytest.mark.parametrize("damage", [lambda b: b[:-9], lambda b: b[:60] + bytes([b[60] ^ 1]) + b[61:], lambda b: b""])
def test_a_damaged_file_is_made_again(tmp_path, damage):
    source = tmp_path / "plotly.js"
    source.write_text("window.Plotly = {};" * 500)
    good = packed(source, tmp_path / "kept")
    (file,) = (tmp_path / "kept").iterdir()
    file.write_bytes(damage(whole := file.read_bytes()))
    assert packed(source, tmp_path / "kept") == good and file.read_bytes() == whole


def test_another_plotly_is_not_taken_for_the_one_that_was_kept(tmp_path):
    source = tmp_path / "plotly.js"
    for text in ("window.Plotly = 1", "window.Plotly = 22"):
        source.write_text(text)
        assert gzip.decompress(packed(source, tmp_path)).decode() == HEAD + text + TAIL


def test_where_nothing_can_be_or_should_be_written_it_is_made_all_the_same(tmp_path, monkeypatch):
    source = tmp_path / "plotly.js"
    source.write_text("window.Plotly = {}")
    assert gzip.decompress(packed(source, source / "no folder")).decode() == HEAD + "window.Plotly = {}" + TAIL
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    packed(source, tmp_path / "kept")
    assert not (tmp_path / "kept").exists()


def test_the_wrapper_comes_off_and_nothing_else():
    """The pieces put together again are the file, letter by letter, but for the wrapper's own lines."""
    source = SOURCE.read_text("utf-8")
    text = alone(source)
    licence, body = text.removesuffix(TAIL).split(HEAD, 1)
    front, rest = source.split(body)
    assert licence.strip().startswith("/**") and "MIT license" in licence and front.startswith(licence)
    assert body.startswith('"use strict";') and "window.Plotly = Plotly;" in body[-60:]
    assert rest.strip() == "return Plotly;\n}));" and front.rstrip().endswith("() => {") and len(front) < 500


@pytest.mark.parametrize("source", ["var Plotly = 1;", "(function(root, factory) {\n} (typeof self, () => {\n1"])
def test_a_file_of_unknown_make_stays_whole(source):
    assert alone(source) == HEAD + source + TAIL


def test_outside_a_notebook_nothing_is_sent():
    code = "import rlkit.live.library as l, rlkit.live; print(l.library.cache_info().currsize)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "0\n"
