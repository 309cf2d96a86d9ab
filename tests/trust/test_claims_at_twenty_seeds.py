"""A claim holds for any seed: here for twenty that nobody chose, each claim that takes about a second; for three of
them if it is exact, where a seed only draws the example."""

import numpy as np
import pytest

from rlkit import claims

SEEDS = np.random.SeedSequence(20_261_128).generate_state(20)
QUICK = 0.01                             # declared minutes: what a claim says that takes no more than a second
CLAIMS = [pytest.param(f, id=f"{idea}-{name}") for idea in claims.ideas() for name, f in claims.of(idea).items()
          if f.claim.scale != "slow" and f.claim.minutes <= QUICK]


@pytest.mark.slow
@pytest.mark.parametrize("measure", CLAIMS)
def test_a_claim_holds_for_twenty_seeds_that_nobody_chose(measure):
    seeds = SEEDS[:3] if measure.claim.scale == "exact" else SEEDS
    failed = [(int(seed), m) for seed in seeds if (m := measure(int(seed))).holds is False]
    assert not failed


def test_most_claims_are_quick_enough_to_be_asked_twenty_times():
    all_ = [f for idea in claims.ideas() for f in claims.of(idea).values() if f.claim.scale != "slow"]
    assert len(CLAIMS) > len(all_) / 2
