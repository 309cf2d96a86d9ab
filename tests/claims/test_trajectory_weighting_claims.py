"""The claims of chapter 1 at a seed that nobody chose; the slow ones run with `python -m rlkit claims`."""

import pytest

from rlkit import claims

SEED = 20_221_154                                        # of no meaning: a claim holds for any seed
CLAIMS = claims.of("trajectory_weighting")


@pytest.mark.parametrize("name", [n for n, f in CLAIMS.items() if f.claim.scale != "slow"])
def test_holds(name):
    measured = CLAIMS[name](SEED)
    assert measured.holds is not False, f"seed {SEED}: {measured}"


@pytest.mark.parametrize("name", [n for n, f in CLAIMS.items() if f.claim.scale == "statistical"][:3])
def test_the_same_seed_measures_the_same(name):
    assert CLAIMS[name](7) == CLAIMS[name](7) != CLAIMS[name](8)


def test_every_algorithm_and_every_scale_is_there():
    words = " ".join(f.claim.says for f in CLAIMS.values())
    assert all(a in words for a in ("CQL", "IQL", "TD3+BC", "cloning"))
    assert {f.claim.scale for f in CLAIMS.values()} == set(claims.SCALES)


def test_what_cannot_be_measured_says_why():
    for name in ("thirty_two_mixed_datasets", "seventy_two_imbalanced_datasets",
                 "six_environments_with_nine_algorithms"):
        measured = CLAIMS[name](0)
        assert measured.holds is None and "needs" in measured.why
