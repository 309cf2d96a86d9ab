"""The claims on the entropy mechanism hold for a seed of no meaning, and fail where the method is broken."""

import pytest

from rlkit import claims, policies
from rlkit.claims import entropy_mechanism as chapter
from rlkit.papers import entropy_control as control
from rlkit.papers import entropy_mechanism as em

FAST = [name for name, f in claims.of("entropy_mechanism").items() if f.claim.scale != "slow"]


@pytest.mark.parametrize("name", FAST)
def test_claim_holds_for_a_seed_of_no_meaning(name):
    assert getattr(chapter, name)(22_505_617).holds is not False


def test_claims_are_the_same_for_the_same_seed():
    assert chapter.sampling_blurs_the_theorem(7) == chapter.sampling_blurs_the_theorem(7)


def _swapped(levels, r, method="PG", *rest, old=em.step, **more):
    return old(levels, r, {"PG": "NPG", "NPG": "PG"}[method], *rest, **more)


def _upside_down(levels, moves, old=em._frozen):
    return -old(levels, moves)


def _ten_percent_more(pi, dz, old=policies.entropy_step):
    change = old(pi, dz)
    return change._replace(exact=change.exact * 1.1)


@pytest.mark.parametrize("name, where, what, broken", [
    ("several_right_answers", em, "step", _swapped), ("rare_and_right_raises_entropy", em, "step", _swapped),
    ("law_fits_bandits", em, "step", _swapped), ("frozen_visits_look_right", em, "_frozen", _upside_down),
    ("covariance_predicts_entropy", em, "entropy_step", _ten_percent_more),
    ("lemma_holds_on_cartpole", control, "entropy_step", _ten_percent_more),
    ("orders_of_the_error", chapter, "entropy_step", _ten_percent_more)])
def test_a_broken_method_breaks_its_claim(name, where, what, broken, monkeypatch):
    monkeypatch.setattr(where, what, broken)
    chapter._poles.cache_clear()
    assert getattr(chapter, name)(0).holds is False
    chapter._poles.cache_clear()
