"""The book's pages are complete: formulas converted or refused, recordings that fit, nothing loaded from elsewhere."""

import json
import re

import book
import nbformat
import pytest


def unpack(text):
    run = json.loads(text)
    return [dict(data=[run["traces"][k] for k in names], layout=run["layouts"][layout])
            for layout, *names in run["frames"]], run["first"]


def frames(n, points=3):
    return [dict(data=[dict(y=[1] * 50), dict(y=[i] * points)], layout=dict(title="</script>")) for i in range(n)]


def test_a_recording_gives_back_its_frames_and_stores_what_does_not_change_once():
    text = book.Recording(frames(40), 5).text()
    assert unpack(text) == (frames(40), 5)
    assert len(json.loads(text)["traces"]) == 41 and len(json.loads(text)["layouts"]) == 1
    assert "</" not in text


@pytest.mark.parametrize("first", [0, 1, 2, 3, 9])
def test_thinning_keeps_both_ends_and_the_frame_a_reader_meets(first):
    whole = book.Recording(frames(10), first)
    met = whole.frames[first]
    while len(whole.frames) > 4:
        before = len(whole.frames)
        whole.thin()
        assert len(whole.frames) < before
        assert whole.frames[0] == frames(10)[0] and whole.frames[-1] == frames(10)[9]
        assert whole.frames[whole.first] == met


def test_recordings_are_thinned_until_a_page_holds_them(monkeypatch):
    monkeypatch.setattr(book, "PAGE_BYTES", 60_000)
    large, small = book.Recording(frames(40, points=1000), 39), book.Recording(frames(5), 4)
    book.fit([large, small])
    assert len(large.text()) + len(small.text()) <= 60_000 and 4 <= len(large.frames) < 40 and len(small.frames) == 5
    book.fit([book.Recording(frames(2, points=100_000), 1)])    # cannot be thinned: ends all the same


@pytest.mark.parametrize("tex, parts", [
    (r"w_i = \frac{e^{\tilde x_i/\alpha}}{\sum_j e^{\tilde x_j/\alpha}}", ["<mfrac>", "&#x003B1;", "&#x02211;"]),
    (r"\begin{aligned} a &= b \\ c &= d \end{aligned}", ["<mtable", "<mtr>"]),
    (r"\mathbb{E}_\pi[G] \le \max_w J(w)", ["&#x1D53C;", "&#x02264;"]),
])
def test_formulas_become_mathml(tex, parts):
    out = book.mathml(tex, block=True)
    assert out.startswith("<math") and 'display="block"' in out and all(p in out for p in parts)


@pytest.mark.parametrize("tex, told", [(r"\nosuchthing x", r"uses \\nosuchthing"), (r"a & b", "cannot be converted"),
                                       (r"\frac{", "cannot be converted")])
def test_a_formula_that_cannot_be_converted_is_refused_by_name(tex, told):
    with pytest.raises(ValueError, match=told):
        book.mathml(tex)


def test_markdown_keeps_its_formulas_tables_folds_and_links_to_pages(tmp_path):
    text = book.markdown("# A\n\nwith $x_1 < y$ and\n\n$$z$$\n\n| a | b |\n|---|---|\n"
                         "| 1 | [next](02_next.ipynb#part) |\n\n"
                         "<details><summary>Solution</summary>\n\nYes.\n\n</details>", tmp_path)
    assert text.count("<math") == 2 and "<table>" in text and 'href="02_next.html#part"' in text
    assert "<details><summary>Solution</summary>" in text and "$" not in text


def notebook(*outputs, source="x = 1", tags=()):
    nb = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("# Title & more\n\nThe question."),
                                         nbformat.v4.new_code_cell(source, outputs=list(outputs))])
    nb.cells[1].metadata["tags"] = list(tags)
    return nb


def shown(**data):
    return nbformat.v4.new_output("execute_result", data={k.replace("_", "/"): v for k, v in data.items()})


def test_outputs_appear_in_their_richest_form_and_text_is_escaped(tmp_path):
    page = book.page(notebook(shown(text_html="<b>rich</b>", text_plain="poor"), shown(text_plain="a < b"),
                              shown(image_png="QUJD", text_plain="says"), shown(text_markdown="$x$", text_plain="p"),
                              nbformat.v4.new_output("stream", name="stderr", text="careful <now>")), tmp_path)
    for part in ("<b>rich</b>", "a &lt; b", 'src="data:image/png;base64,QUJD" alt="says"', "<math",
                 "careful &lt;now&gt;", "<title>Title &amp; more</title>"):
        assert part in page
    assert "poor" not in page and "<script src" not in page     # no picture, no plotly


def test_a_folded_cell_is_folded(tmp_path):
    assert '<details class="code">' in book.page(notebook(tags=["hide-input"]), tmp_path)
    assert '<details class="code">' not in book.page(notebook(), tmp_path)


@pytest.mark.parametrize("tag", ['<script src="https://cdn.example/x.js"></script>', "<img src='//example.org/a.png'>",
                                 '<link rel=stylesheet href=http://example.org/a.css>'])
def test_a_page_that_would_load_something_from_elsewhere_is_refused(tmp_path, tag):
    with pytest.raises(ValueError, match="complete without a network"):
        book.page(notebook(shown(text_html=tag)), tmp_path)
    book.page(notebook(shown(text_html='<a href="https://example.org">a link may point there</a>')), tmp_path)


def test_the_contents_name_every_chapter_with_its_question(tmp_path):
    text = book.contents([("01_one", notebook()), ("02_two", notebook())], tmp_path)
    assert re.findall(r'href="(\d\w+)\.html"', text) == ["01_one", "02_two"] and text.count("The question.") == 2
