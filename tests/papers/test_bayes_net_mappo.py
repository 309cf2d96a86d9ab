"""The graph network and MAPPO over it, against enumeration, finite sums and what must not change."""

from dataclasses import replace
from itertools import permutations

import networkx as nx
import numpy as np
import pytest
import torch
from scipy.optimize import linear_sum_assignment

from rlkit import distinct_rows as dr
from rlkit.envs.aloha import Aloha, AlohaTeams
from rlkit.nets import adam
from rlkit.papers import bayes_net_mappo as bn
from rlkit.papers import dag_network as dag
from rlkit.papers.bayes_net_mappo import Config, Team, mappo, play, update
from rlkit.preparing import watched

RNG = np.random.default_rng
SMALL = dict(steps=4, envs=4, runs=2, hidden=8)


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def gens(runs, seed=0):
    return [torch.Generator().manual_seed(seed + r) for r in range(runs)]


def drawn(n=4, runs=2, batch=1000, learn_order=True, seed=0):
    net = dag.DagNetwork(3, n, gens(runs, seed), learn_order, bias=0.5)
    x = RNG(seed).normal(size=(runs, batch, 3)).astype(np.float32)
    return net, x, net.draw(x, net.noise(RNG(seed + 1).random((runs, batch, 2, n, n), np.float32)))


# ---- the graph

def test_two_thousand_drawn_graphs_have_no_cycle():
    _, _, g = drawn()
    assert 0.2 < g.A.mean() * 4 / 3 * 2 < 0.9                             # neither empty nor complete
    assert all(nx.is_directed_acyclic_graph(nx.DiGraph(A)) for A in g.A.reshape(-1, 4, 4))


def test_parents_come_before_their_children_in_the_order():
    _, _, g = drawn(batch=200)
    place = np.argsort(g.order, -1)
    r, b, parent, child = np.nonzero(g.A)
    assert (place[r, b, parent] < place[r, b, child]).all()


@pytest.mark.parametrize("n", [2, 3, 4, 5, 7])
def test_the_order_is_the_best_assignment(n):
    scores = RNG(n).normal(size=(3, 20, n, n)).astype(np.float32)
    order = dag.best_order(scores)
    total = np.take_along_axis(scores, order[..., None], -1).sum((-1, -2))
    for r, b in np.ndindex(3, 20):
        rows, columns = linear_sum_assignment(-scores[r, b])
        assert total[r, b] == pytest.approx(scores[r, b][rows, columns].sum(), abs=1e-5)
        if n <= 5:
            assert total[r, b] == pytest.approx(max(scores[r, b][range(n), p].sum() for p in permutations(range(n))),
                                                abs=1e-5)


def test_sinkhorn_gives_a_doubly_stochastic_matrix_and_keeps_one_that_is():
    scores = torch.from_numpy(RNG(0).normal(size=(50, 4, 4)))
    P = dag.sinkhorn(scores, rounds=200)
    assert P.sum(-1).numpy() == pytest.approx(np.ones((50, 4)), abs=1e-12)
    assert P.sum(-2).numpy() == pytest.approx(np.ones((50, 4)), abs=1e-12)
    assert dag.sinkhorn(P.log()).numpy() == pytest.approx(P.numpy(), abs=1e-12)
    rows, columns = torch.from_numpy(RNG(1).normal(size=(2, 50, 4)))      # u_i + v_j is forgotten
    assert dag.sinkhorn(scores + rows[..., None] + columns[:, None], 200).numpy() == pytest.approx(P.numpy(), abs=1e-9)


def test_twenty_rounds_on_real_noise_are_nearly_enough():
    g = RNG(0).gumbel(size=(500, 4, 4))
    P = dag.sinkhorn(torch.from_numpy(g))
    assert P.sum(-2).numpy() == pytest.approx(np.ones((500, 4)), abs=1e-12)
    assert np.abs(P.sum(-1).numpy() - 1).max() < 0.05


@pytest.mark.parametrize("learn_order", [True, False])
def test_straight_through_has_the_value_of_the_hard_graph_and_a_gradient_for_both_networks(learn_order):
    net, x, g = drawn(batch=100, learn_order=learn_order)
    A = net.soft(torch.from_numpy(x), g)
    assert A.detach().numpy() == pytest.approx(g.A, abs=1e-6)
    (A * torch.from_numpy(RNG(5).normal(size=A.shape).astype(np.float32))).sum().backward()
    for flat in net.parameters():
        assert flat.grad.abs().max() > 1e-3
    assert len(net.parameters()) == 1 + learn_order


def test_without_noise_the_order_is_the_likeliest_of_log_sigma_of_the_scores():
    net, x, _ = drawn(batch=50)
    net.order.layers[-1][0].data.mul_(30)                                 # scores of either sign, far from 0
    order = net.draw(x, np.zeros((2, 50, 2, 4, 4), np.float32)).order
    S = torch.nn.functional.logsigmoid(torch.tensor(dag.see(net.order, x))).reshape(2, 50, 4, 4).numpy()
    assert [order[i].tolist() for i in np.ndindex(2, 50)] == [linear_sum_assignment(-S[i])[1].tolist()
                                                              for i in np.ndindex(2, 50)]


def test_an_edge_is_drawn_as_often_as_its_logit_says():
    net, x, _ = drawn(n=2, runs=1, batch=1, learn_order=False)
    x = np.repeat(x, 40_000, axis=1)
    g = net.draw(x, net.noise(RNG(3).random((1, 40_000, 1, 2, 2), np.float32)))
    p = 1 / (1 + np.exp(-(dag.see(net.edges, x[:, :1]).reshape(2, 2)[0, 1] + net.bias)))
    assert g.A[0, :, 0, 1].mean() == pytest.approx(p, abs=4 * 0.5 / 200)
    assert g.A[0, :, 1, 0].max() == 0


# ---- the policy

def team(graph="learned", runs=2, **more):
    cfg = Config(graph=graph, runs=runs, envs=8, **more)
    rngs = RNG(0).spawn(runs)
    world = AlohaTeams(Aloha.clique(3), rngs, cfg.envs)
    return Team(world, cfg, gens(runs)), world, cfg, rngs


def test_a_child_is_asked_about_its_parents_actions_and_nothing_else():
    t, world, cfg, rngs = team()
    obs, seen = play(t, world, world.reset(), 20, 1.0, rngs)
    g = seen.graphs[3]
    shown = []
    actor, bn_see = t.actor, bn.see
    try:                                                                  # watch what the actor is shown
        bn.see = lambda net, x: (shown.append(x.copy()) if net is actor else None, bn_see(net, x))[1]
        action, _ = t.act(seen.obs[3], g, RNG(1).random((2, 8, 3)))
    finally:
        bn.see = bn_see
    for k, x in enumerate(shown):
        for r, b in np.ndindex(2, 8):
            i = g.order[r, b, k]
            told = x[r, b, 4 + 3 :].reshape(3, 2)                         # after 4 features and the agent's number
            assert x[r, b, 4 + i] == 1
            for j in range(3):
                expected = np.eye(2)[action[r, b, j]] if g.A[r, b, j, i] else np.zeros(2)
                assert (told[j] == expected).all()


@pytest.mark.parametrize("graph", bn.GRAPHS)
def test_the_ratio_is_one_before_the_first_update(graph):
    t, world, cfg, rngs = team(graph, density=0.5)
    _, seen = play(t, world, world.reset(), 20, cfg.target(1), rngs)
    for obs, action, old, g in zip(seen.obs, seen.action, seen.logp, seen.graphs):
        A = t.dag.soft(torch.from_numpy(obs).flatten(2), g) if t.dag else None
        asked = torch.from_numpy(t.asked(obs, action, g.A))
        logp = t.logits(asked, A - A.detach() if t.dag else None).view(2, 8, 3, 2).log_softmax(-1)
        rho = (logp.gather(-1, torch.from_numpy(action)[..., None])[..., 0] - torch.from_numpy(old)).exp()
        assert rho.detach().numpy() == pytest.approx(np.ones(rho.shape), abs=1e-4)


@pytest.mark.parametrize("lam", [1.0, 0.6])
def test_the_critic_learns_the_lambda_return_and_advantages_have_one_scale_in_each_run(lam):
    t, world, cfg, rngs = team("complete", lam=lam, gamma=0.9)
    last, seen = play(t, world, world.reset(), 7, 1.0, rngs)
    reward = seen.reward * np.array([1, 50])[:, None]                     # the runs pay on scales of their own
    adv, target = bn._advantages(t, seen._replace(reward=reward), last, cfg)
    with torch.no_grad():
        v = [t.critic(torch.from_numpy(x.reshape(2, 8, -1)))[..., 0].numpy() for x in (*seen.obs, last)]
    G = v[-1]
    for k in range(6, -1, -1):
        G = reward[k] + 0.9 * ~seen.over[k] * (lam * G + (1 - lam) * v[k + 1])
        assert target[k] == pytest.approx(G, rel=1e-4, abs=1e-4)
    assert adv.mean((0, 2)) == pytest.approx([0, 0], abs=1e-5) and adv.std((0, 2)) == pytest.approx([1, 1], abs=1e-5)


def test_actions_are_drawn_with_their_probabilities():
    t, world, cfg, rngs = team("complete", runs=1)
    t.actor.layers[-1][0].mul_(30)                                        # far from uniform
    obs = np.repeat(world.reset()[:, :1], 40_000, axis=1)
    g = t.graph(obs, np.zeros((1, 40_000, 1, 3, 3)), 1.0)
    action, logp = t.act(obs, g, RNG(2).random((1, 40_000, 3)))
    joint = logp.sum(-1)[0]
    for plan in np.ndindex(2, 2, 2):
        hit = (action[0] == plan).all(-1)
        if hit.any():
            p = float(np.exp(joint[hit][0]))
            assert hit.mean() == pytest.approx(p, abs=4 * np.sqrt(p * (1 - p) / 40_000) + 1e-6)
    seen = {tuple(a): float(p) for a, p in zip(action[0], np.exp(joint))}
    assert sum(seen.values()) == pytest.approx(1, abs=0.01)               # a rare plan may be missing


@pytest.mark.parametrize("graph", ["learned", "complete"])
def test_the_gradient_is_that_of_the_actions_put_in_by_hand_row_by_row_or_looked_up(graph):
    t, world, cfg, rngs = team(graph)
    t.actor.layers[-1][0].mul_(30)
    _, seen = play(t, world, world.reset(), 20, 1.0, rngs)
    obs, action, g = seen.obs[4], seen.action[4], seen.graphs[4]
    rows, pull = t.asked(obs, action, g.A), torch.from_numpy(RNG(0).normal(size=(2, 24, 2)).astype(np.float32))
    params, found = [t.actor.flat, *(t.dag.parameters() if t.dag else [])], []
    A = lambda: t.dag.soft(torch.from_numpy(obs).flatten(2), g) if t.dag else torch.from_numpy(g.A)      # noqa: E731
    told = torch.nn.functional.one_hot(torch.from_numpy(action), 2).float()
    by_hand = torch.cat([torch.from_numpy(obs), torch.eye(3).expand(2, 8, 3, 3),
                         torch.stack([A().mT[..., j, None] * told[:, :, None, j] for j in range(3)], 3).flatten(3)], -1)
    table = dr.distinct(rows, share=2.0)
    for z in (t.actor(by_hand.view(2, 24, -1)),
              *(t.logits(asked, A() - A().detach() if t.dag else None) for asked in (torch.from_numpy(rows), table))):
        found.append([z.detach(), *torch.autograd.grad((z * pull).sum(), params)])
    assert isinstance(table, dr.Rows) and len(table.table) < 48
    for hand, all_rows, looked_up in zip(*found):
        assert hand.abs().max() > 1e-3
        for other in (all_rows, looked_up):
            assert other.numpy() == pytest.approx(hand.numpy(), abs=1e-4 * float(hand.abs().max()))


def test_rows_that_do_not_repeat_stay_as_they_are():
    x = RNG(0).normal(size=(2, 50, 3)).astype(np.float32)
    assert (dr.distinct(x).numpy() == x).all()
    alike = np.tile(np.float32([[1e30, 0], [1e30, 1]]), (1, 50, 1))        # the key cannot tell them apart
    assert (dr.distinct(alike).numpy() == alike).all()
    some = dr.distinct(x[:, RNG(1).integers(0, 5, 50)])
    assert len(some.table) == 10 and (some.table[some.index].numpy() == x[:, RNG(1).integers(0, 5, 50)]).all()


def test_learning_the_graph_moves_both_of_its_networks():
    t, world, cfg, rngs = team()
    before = [p.detach().clone() for p in t.parameters()]
    obs, seen = play(t, world, world.reset(), 20, 1.0, rngs)
    opt = adam(t.parameters(), lr=0.01)
    for step in (1, 2):                                                   # the last layer of the actor starts small
        update(t, seen, obs, cfg, step, opt, rngs)
    assert all((a - b.detach()).abs().max() > 1e-3 for a, b in zip(before, t.parameters()))
    assert len(before) == 4


# ---- the learner

@pytest.mark.parametrize("graph", ["learned", "complete"])
def test_a_run_is_the_same_in_any_company(graph):
    three = list(mappo(Config(graph=graph, **SMALL | dict(runs=3)), RNG(7), every=2))
    one = list(mappo(Config(graph=graph, **SMALL | dict(runs=1)), RNG(7), every=2))
    for a, b in zip(three, one):
        for name in ("ret", "alone", "density", "adjacency", "entropy"):
            assert getattr(a, name)[0] == pytest.approx(getattr(b, name)[0], rel=1e-4, abs=1e-5), name
    assert not np.array_equal(three[-1].ret[0], three[-1].ret[1])


def test_same_seed_same_numbers_and_looking_does_not_change_them():
    cfg = Config(anneal=True, alpha=0.1, **SMALL)
    often, again, seldom = (list(mappo(cfg, RNG(1), every=k))[-1] for k in (1, 1, 4))
    for a, b, c in zip(often, again, seldom):
        assert np.array_equal(a, b) and np.array_equal(a, c)


def test_batches_before_the_first_snapshot_are_counted_aloud_and_none_after():
    heard = []
    run = bn.compare(Config(world="ring of 4", runs=1, steps=6, envs=4), np.random.default_rng(0), 2)
    with watched(heard.append):
        next(run)
    assert heard == ["batch 1", "batch 2"] * 3                            # three kinds of teams, one after the other
    assert len(list(run)) == 2 and len(heard) == 6


def test_a_knob_turned_in_mid_run_acts_on_the_next_update():
    cfg = Config(graph="random", density=1.0, **SMALL)
    run = mappo(cfg, RNG(0), every=1)
    assert next(run).density.min() == 1
    assert run.send(replace(cfg, density=0.0)).density.max() == 0
    with pytest.raises(ValueError, match="graph cannot change in mid-run"):
        run.send(replace(cfg, graph="product"))


def test_the_target_falls_between_two_fifths_and_seven_tenths():
    cfg = Config(anneal=True, density=0.8, alpha=0.1, steps=100)
    assert [cfg.target(s) for s in (1, 40, 55, 70, 100)] == pytest.approx([0.8, 0.8, 0.4, 0, 0])
    assert [cfg.price(s) for s in (1, 70, 75, 80, 100)] == pytest.approx([0.1, 0.1, 0.55, 1, 1])
    assert replace(cfg, graph="product").target(1) == 0 and replace(cfg, graph="complete").target(40) == 1


def test_ten_stations_play_too():
    cfg = Config(world="grid of 10", steps=1, envs=2, runs=1)
    end = list(mappo(cfg, RNG(0)))[-1]
    assert end.adjacency.shape == (1, 10, 10) and np.isfinite(end.ret).all()


def test_a_price_on_density_leads_to_its_target():
    cfg = Config(graph="learned edges", density=0.5, alpha=2.0, lr=2e-2, entropy=0.0, **SMALL | dict(steps=25, envs=8))
    seen = np.array([s.density for s in mappo(cfg, RNG(0), every=1)])
    assert seen[0].min() > 0.75 and seen[-8:].mean(0) == pytest.approx([0.5, 0.5], abs=0.15)


def test_told_nothing_means_a_graph_without_edges(monkeypatch):
    t, *_ = team("random", density=1.0)
    seen = []
    monkeypatch.setattr(bn, "play", lambda *a: seen.append(play(*a)) or seen[-1])
    bn.without_edges(t, lambda rngs, envs: AlohaTeams(Aloha.clique(3), rngs, envs), [1, 2], 8)
    assert max(g.A.max() for g in seen[0][1].graphs) == 0


def test_on_climbing_the_edge_is_worth_eleven_and_none_seven():
    cfg = Config(world="climbing", envs=128, lr=3e-3, entropy=1.0, cool=0.6, runs=8, steps=80)
    none, all_, alone = (list(mappo(replace(cfg, graph=g, anneal=a), RNG(0), every=80))[-1]
                         for g, a in (("product", False), ("complete", False), ("complete", True)))
    assert np.median(none.ret) == pytest.approx(7, abs=0.2) and np.median(all_.ret) == pytest.approx(11, abs=0.2)
    assert np.median(alone.alone) == pytest.approx(11, abs=0.2) and alone.density.max() == 0


def test_the_two_ends_are_references_whatever_the_chosen_graph_does():
    cfg = Config(**SMALL, graph="learned edges")
    run = bn.compare(cfg, RNG(0), every=1)
    first = next(run)
    assert first.product.density.max() == 0 and first.complete.density.min() == 1 and first.product.alone is None
    rest = [run.send(replace(cfg, resample=True, alpha=1.0, anneal=True)), *run]
    plain = list(bn.compare(cfg, RNG(0), every=1))
    assert [s.step for s in rest] == [2, 3, 4] and len(plain) == 4
    assert np.array_equal(rest[-1].product.ret, plain[-1].product.ret)
    assert np.array_equal(rest[-1].complete.ret, plain[-1].complete.ret)
    assert not np.array_equal(rest[-1].chosen.entropy, plain[-1].chosen.entropy)


def test_a_tight_clip_keeps_the_policy_nearer_to_the_one_that_played():
    cfg = Config(graph="product", **SMALL | dict(steps=3), epochs=20, lr=1e-2, entropy=0.0)
    held, free = (list(mappo(replace(cfg, clip=c), RNG(0), alone=False))[-1].entropy for c in (1e-4, 0.5))
    assert (held > free).all()                                            # the ratio to the *old* policy is what counts
