"""The claims on the tiny language model, for a seed that no one chose; and that each is a claim."""

import pytest

from rlkit import claims

ALL = claims.of("entropy_language")
FAST = [name for name, f in ALL.items() if f.claim.scale != "slow"]


@pytest.mark.parametrize("name", FAST)
def test_a_fast_claim_holds_for_a_seed_of_no_meaning(name):
    measured = ALL[name](4711)
    assert measured.holds is not False, claims.text(claims.Row(name, ALL[name].claim, "does not hold", measured, 0))


def test_what_is_said_against_the_paper_is_said_so_and_the_long_runs_are_marked():
    against = [f.claim.paper for f in ALL.values() if "against" in f.claim.paper]
    assert len(against) >= 4
    assert all(f.claim.minutes >= 0.5 for f in ALL.values() if f.claim.scale == "slow")
