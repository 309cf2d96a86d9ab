"""The claims on dichotomy of control with networks hold for a seed of no meaning, and fail where it is broken."""

import pytest

from rlkit import claims
from rlkit.claims import dichotomy_networks as chapter
from rlkit.papers import dichotomy_continuous, dichotomy_networks

FAST = [name for name, f in claims.of("dichotomy_networks").items() if f.claim.scale != "slow"]


@pytest.mark.parametrize("name", FAST)
def test_claim_holds_for_a_seed_of_no_meaning(name):
    assert getattr(chapter, name)(20_221_154).holds is not False


def test_an_energy_that_sees_nothing_breaks_its_claim(monkeypatch):
    blind = lambda self, c, frozen=False: 0 * self.flat.sum() + c.sum((1, 2))                 # noqa: E731
    monkeypatch.setattr(dichotomy_networks.Energy, "bracket", blind)
    assert chapter.the_energy_reads_the_information(0).holds is False


def test_luck_that_costs_nothing_breaks_the_promise_in_gusts(monkeypatch):
    real = dichotomy_continuous.energy
    monkeypatch.setattr(dichotomy_continuous, "energy", lambda *parts: 0 * real(*parts))
    assert chapter.in_gusts_doc_keeps_its_promise(0).holds is False
