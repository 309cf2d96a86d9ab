"""The claims machinery: what holds, what does not, what cannot be measured, what breaks."""

import json
import sys
import types

import numpy as np
import pytest

from rlkit import claims
from rlkit.claims import Measured, above, below, claim, every, near, not_here


def invent(monkeypatch, **functions):
    """A paper of our own, `toy`, with these claims."""
    module = types.ModuleType("rlkit.claims.toy")
    vars(module).update(functions)
    monkeypatch.setitem(sys.modules, "rlkit.claims.toy", module)
    monkeypatch.setattr(claims, "ideas", lambda: ["toy"])


@claim(paper="Euclid", says="one and one < three")
def good(seed):
    return near(2, 2, 0, "exact")


@claim(paper="Euclid & sons", says="one and one is three")
def bad(seed):
    return near(2.0, 3.0, 0.5, "half a unit")


@claim(paper="Euclid", says="all primes", scale="statistical")
def huge(seed):
    return not_here("infinitely many", "needs more <paper>")


@claim(paper="Euclid", says="raises", scale="statistical")
def broken(seed):
    raise RuntimeError("no <ruler>")


@claim(paper="Euclid", says="is slow", scale="slow", minutes=2)
def slow(seed):
    return near(seed, seed, 0, "exact")


def test_a_claim_stays_a_function():
    assert good(0).holds and good.claim.paper == "Euclid" and good.claim.scale == "exact"


def test_a_scale_is_one_of_three():
    with pytest.raises(ValueError, match="scale is 'quick', expected one of 'exact'"):
        claim(paper="", says="", scale="quick")


def test_rows_come_in_the_order_written_with_one_status_each(monkeypatch):
    invent(monkeypatch, good=good, bad=bad, huge=huge, broken=broken, slow=slow, helper=lambda seed: 1)
    rows = list(claims.run("toy", seed=3))
    assert [(r.id, r.status) for r in rows] == [("good", "holds"), ("bad", "does not hold"),
                                                ("huge", "not at this scale"), ("broken", "error"), ("slow", "holds")]
    assert "RuntimeError: no <ruler>" in rows[3].error and rows[3].measured is None
    assert rows[4].measured.value == 3                                    # the seed reaches the claim


def test_fast_leaves_slow_claims_out_and_says_so(monkeypatch):
    invent(monkeypatch, good=good, slow=slow)
    table = claims.table("toy", fast=True)
    assert [r.status for r in table.rows] == ["holds", "not run"] and table.ok
    assert "about 2 min" in str(table)


def test_a_table_is_ok_unless_a_claim_fails_or_breaks(monkeypatch):
    for functions, ok in (((good, huge), True), ((good, bad), False), ((good, broken), False)):
        invent(monkeypatch, **{f.__name__: f for f in functions})
        assert claims.table("toy").ok is ok


def test_the_html_names_each_status_in_words_and_escapes_text(monkeypatch):
    invent(monkeypatch, good=good, bad=bad, huge=huge, broken=broken)
    html = claims.table("toy")._repr_html_()
    for words in ("✔&nbsp;holds", "✘&nbsp;does not hold", "○&nbsp;not at this scale", "‼&nbsp;error",
                  "one and one &lt; three", "Euclid &amp; sons", "no &lt;ruler&gt;", "more &lt;paper&gt;"):
        assert words in html
    assert html.count("<tr>") == 5 and html.count("<td") == 4 * 6


def test_the_text_has_value_expectation_tolerance_and_reason(monkeypatch):
    invent(monkeypatch, bad=bad)
    assert all(x in str(claims.table("toy")) for x in ("measured 2", "expected 3", "0.5", "half a unit", "1 does not"))


def test_json_can_be_read_back_and_holds_no_nan(monkeypatch):
    @claim(paper="x", says="y")
    def nan(seed):
        return near(float("nan"), 0, 1, "why")

    invent(monkeypatch, nan=nan, broken=broken)
    first, second = json.loads(claims.table("toy", seed=5).json(), parse_constant=pytest.fail)
    assert first["measured"]["value"] == "nan" and first["status"] == "does not hold" and first["seed"] == 5
    assert second["status"] == "error" and second["measured"] is None


def test_an_unknown_paper_is_answered_with_what_there_is():
    with pytest.raises(ValueError, match="there are no claims on 'quantum', expected one of: .*trajectory_weighting"):
        claims.of("quantum")


def test_means_need_margins_of_two_standard_errors():
    x = np.array([9.0, 10.0, 11.0, 10.0])                                 # mean 10, standard error √(2/3)/2 = 0.408
    assert above(x, 9.1).holds and not above(x, 9.3).holds
    assert below(x, 10.9).holds and not below(x, 10.7).holds
    assert above(x, 9.1).value == "10 ± 0.41" and "over 4 seeds" in above(x, 9.1).why


def test_one_seed_has_no_error():
    with pytest.raises(ValueError, match="one value per seed"):
        above([1.0], 0)


@pytest.mark.parametrize(("value", "holds"), [(1.0, True), (1.1, True), (1.11, False), (np.nan, False),
                                              (np.inf, False)])
def test_near_holds_up_to_its_tolerance(value, holds):
    assert near(value, 1.0, 0.1 + 1e-12, "why").holds is holds


def test_a_claim_of_several_parts_holds_if_all_do():
    ok, no = near(1, 1, 0, "a"), near(2, 1, 0, "b")
    assert every(("x", ok), ("y", ok)).holds and not every(("x", ok), ("y", no)).holds
    both = every(("x", ok), ("y", no))
    assert both.value == "x: 1; y: 2" and both.why == "a; b"


@pytest.mark.parametrize("scale", claims.SCALES)
def test_torch_has_one_thread_for_a_claim_and_then_its_own_again(monkeypatch, scale):
    torch = pytest.importorskip("torch")
    before, seen = torch.get_num_threads(), []

    @claim(paper="x", says="y", scale=scale)
    def count(seed):
        seen.append(torch.get_num_threads())
        raise RuntimeError

    invent(monkeypatch, count=count)
    try:
        torch.set_num_threads(2)
        list(claims.run("toy"))
        assert seen == [1] and torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_not_here_is_neither_held_nor_failed():
    assert not_here("x", "y") == Measured("-", "x", "-", "y", None)
