"""The claims that train networks, for seeds of no meaning, two where that takes less than a minute: `make soak`."""

import pytest

from rlkit import claims

SEEDS, QUICK = (20_221_154, 8_128), 0.6    # minutes
SLOW = [pytest.param(f, seed, id=f"{idea}-{name}-{seed}") for idea in claims.ideas()
        for name, f in claims.of(idea).items() if f.claim.scale == "slow"
        for seed in SEEDS[: 1 + (f.claim.minutes <= QUICK)]]


@pytest.mark.slow
@pytest.mark.parametrize("measure, seed", SLOW)
def test_a_claim_on_networks_holds_for_a_seed_of_no_meaning(measure, seed):
    assert measure(seed).holds is not False
