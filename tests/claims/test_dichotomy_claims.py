"""The claims of chapter 2 that train no network hold for a seed that nobody chose, and a broken method fails them."""

import zlib

import pytest

from rlkit import claims
from rlkit.claims import dichotomy_of_control as these
from rlkit.papers import dichotomy_of_control as doc

IDS = [name for name, f in claims.of("dichotomy_of_control").items() if f.claim.scale != "slow"]


@pytest.mark.parametrize("name", IDS)
def test_the_claim_holds(name):
    measured = getattr(these, name)(zlib.crc32(name.encode()) % 10_000)
    assert measured.holds is not False, measured


@pytest.mark.parametrize("name", ["doc_on_the_arms", "doc_in_the_lottery", "the_wrong_sign"])
def test_a_method_that_pays_for_luck_fails(name, monkeypatch):
    ratio = doc.luck_ratio
    monkeypatch.setattr(doc, "luck_ratio", lambda rec, b: -ratio(rec, b))
    assert not getattr(these, name)(0).holds
