"""The claims on martingale TD hold for a seed that nobody tuned them on, and fail where the method is broken."""

import numpy as np
import pytest

from rlkit import claims
from rlkit.claims import martingale_td as chapter
from rlkit.papers import martingale_td as td

FAST = [name for name, f in claims.of("martingale_td").items() if f.claim.scale != "slow"]


@pytest.mark.parametrize("name", FAST)
def test_claim_holds_for_a_seed_of_no_meaning(name):
    assert getattr(chapter, name)(20_221_154).holds is not False


def test_claims_are_the_same_for_the_same_seed():
    assert chapter.test_function_decides(7) == chapter.test_function_decides(7)


@pytest.mark.parametrize("name, wrong", [
    ("samples_find_the_closed_forms", "ends swapped"), ("test_function_decides", "trace per step"),
    ("samples_agree_with_the_exact_minimisers", "ends swapped"), ("right_end_is_wrong", "ends swapped")])
def test_a_broken_method_breaks_its_claim(name, wrong, monkeypatch):
    if wrong == "ends swapped":
        old = td._test
        swap = dict(left="right", right="left")
        monkeypatch.setattr(td, "_test", lambda test, *rest: old(swap.get(test, test), *rest))
    else:
        old = td._trace
        monkeypatch.setattr(td, "_trace", lambda phi, dt, *rest: old(phi, np.ones_like(dt), *rest))
    assert getattr(chapter, name)(0).holds is False
