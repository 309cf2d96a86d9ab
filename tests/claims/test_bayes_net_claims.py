"""The claims on Bayesian-network policies hold for a seed of no meaning, and fail where the method is broken."""

import numpy as np
import pytest

from rlkit import claims
from rlkit.claims import bayes_net_policy as chapter
from rlkit.papers import bayes_net_exact as exact

FAST = [name for name, f in claims.of("bayes_net_policy").items() if f.claim.scale != "slow"]


@pytest.mark.parametrize("name", FAST)
def test_claim_holds_for_a_seed_of_no_meaning(name):
    assert getattr(chapter, name)(20_230_192).holds is not False


def test_claims_are_the_same_for_the_same_seed():
    assert chapter.climbing_natural(7) == chapter.climbing_natural(7)


def deaf(game, acts, i, d):
    """The others as if they did not answer: each child plays the average of its rows."""
    acts = [p if j == i else np.broadcast_to(p.mean(2 + i, keepdims=True), p.shape) for j, p in enumerate(acts)]
    return EVER(game, acts, i, d)


def blind(game, edges, x, p, i, eta):
    """Every context counts alike: the average over the parents' actions stands in each row."""
    rows = SUMS(game, edges, x, p, i, eta)
    over = tuple(2 + j for j in exact.parents(edges, game.n)[i])
    return np.broadcast_to(rows.mean(over, keepdims=True), rows.shape) if over else rows


EVER, SUMS = exact._others, exact._rows


@pytest.mark.parametrize("name, part, wrong", [
    ("gradient_formula", "_others", deaf), ("gradient_formula", "_rows", blind), ("climbing_natural", "_rows", blind),
    ("nash_off_the_path", "_rows", blind), ("sparse_can_be_enough", "_rows", blind), ("symmetry", "_rows", blind)])
def test_a_broken_method_breaks_its_claim(name, part, wrong, monkeypatch):
    monkeypatch.setattr(exact, part, wrong)
    assert getattr(chapter, name)(0).holds is False
