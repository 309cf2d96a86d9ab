"""The claims on learned graphs hold for a seed that nobody tuned them on, and fail where the method is broken."""

import numpy as np
import pytest

from rlkit import claims
from rlkit.claims import bayes_net_mappo as chapter
from rlkit.papers import bayes_net_mappo as bn
from rlkit.papers import dag_network as dag

FAST = [name for name, f in claims.of("bayes_net_mappo").items() if f.claim.scale != "slow"]


@pytest.mark.parametrize("name", FAST)
def test_claim_holds_for_a_seed_of_no_meaning(name):
    assert getattr(chapter, name)(20_230_601).holds is not False


def test_claims_are_the_same_for_the_same_seed():
    assert chapter.graphs_have_no_cycle(7) == chapter.graphs_have_no_cycle(7)


def test_children_shown_other_actions_than_they_saw_break_the_gain(monkeypatch):
    old = bn.update
    monkeypatch.setattr(bn, "update", lambda team, seen, after, cfg, *rest: old(
        team, seen, after, bn.replace(cfg, resample=True), *rest))
    assert chapter.told_is_better(0).holds is False


def test_a_graph_without_gradient_finds_no_ring(monkeypatch):
    monkeypatch.setattr(dag, "straight", lambda hard, soft: hard + 0 * soft)
    assert chapter.interference_graph(0).holds is False
    assert chapter.graphs_have_no_cycle(0).holds is False


def test_edges_against_the_order_are_found_out(monkeypatch):
    monkeypatch.setattr(dag.DagNetwork, "draw", lambda net, x, noise: dag.Graph(
        np.float32(noise[:, :, 0] > 0), np.tile(np.arange(4), (2, 1000, 1)), np.float32(noise[:, :, 0] > 0),
        noise))
    assert chapter.graphs_have_no_cycle(0).holds is False
