"""The claims that train networks, each for a seed of no meaning; those of over twenty seconds only by `make claims`."""

import pytest

from rlkit import claims

SEED, MINUTES = 20_221_154, 0.3
SLOW = [pytest.param(f, id=f"{idea}-{name}") for idea in claims.ideas() for name, f in claims.of(idea).items()
        if f.claim.scale == "slow" and f.claim.minutes <= MINUTES]


@pytest.mark.slow
@pytest.mark.parametrize("measure", SLOW)
def test_a_claim_on_networks_holds_for_a_seed_of_no_meaning(measure):
    with claims.one_thread():
        assert measure(SEED).holds is not False
