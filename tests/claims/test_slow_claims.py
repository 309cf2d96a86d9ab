"""The claims that train networks, for two seeds of no meaning: minutes, so `make soak` runs them, not `make test`."""

import pytest

from rlkit import claims

SLOW = [pytest.param(f, id=f"{idea}-{name}") for idea in claims.ideas() for name, f in claims.of(idea).items()
        if f.claim.scale == "slow"]


@pytest.mark.slow
@pytest.mark.parametrize("seed", [20_221_154, 8_128])
@pytest.mark.parametrize("measure", SLOW)
def test_a_claim_on_networks_holds_for_a_seed_of_no_meaning(measure, seed):
    assert measure(seed).holds is not False
