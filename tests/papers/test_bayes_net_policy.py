"""Bayesian-network policies: formulas against derivatives, brute force, planning and closed forms."""

import math
from dataclasses import replace
from itertools import product

import networkx as nx
import numpy as np
import pytest
import torch

from rlkit.envs import team_games as games
from rlkit.mdp import MDP, evaluate, occupancy, solve
from rlkit.papers import bayes_net_exact as exact
from rlkit.papers import bayes_net_graphs as graphs
from rlkit.papers import bayes_net_policy as bn

EDGE = ((0, 1),)


def policy(game, edges, seed=0, runs=3, spare=False, scale=1.0):
    return exact.softmax(exact.draw(game, edges, runs, np.random.default_rng(seed), scale, spare))


def slowly(game, edges, tables, run):
    """The joint policy of one run [S, A_0, …], action by action."""
    pi = np.zeros((game.S, *game.actions))
    for s in range(game.S):
        for a in product(*map(range, game.actions)):
            p = 1.0
            for i, pa in enumerate(graphs.parents(edges, game.n)):
                o = s if game.obs is None else game.obs[i][s]
                p *= tables[i][(run, o, *(a[j] if j == i or j in pa else 0 for j in range(game.n)))]
            pi[(s, *a)] = p
    return pi


# ---- worlds

def test_climbing_and_penalty_are_the_tables_of_claus_and_boutilier():
    assert games.climbing().R[0].tolist() == [[11, -30, 0], [-30, 7, 6], [0, 0, 5]]
    assert games.penalty(2, 30).R[0].tolist() == [[10, 0, -30], [0, 2, 0], [-30, 0, 10]]
    assert games.stag(2, 7).R[0].tolist() == [[10, -7], [-7, 2]]


def test_permutation_of_two_is_xor_and_has_n_factorial_solutions():
    assert games.permutation(2).R[0].tolist() == [[0, 1], [1, 0]]
    assert [games.permutation(n).R.sum() for n in (2, 3, 4)] == [2, 6, 24]


def test_the_noisy_matrix_of_the_coordination_game():
    assert bn.payoff(games.coordination(2)) == pytest.approx(np.array([[2.45, 0.45], [0.45, 1.65]]))


def test_transitions_of_the_coordination_game_are_probabilities():
    P = games.coordination(3).P
    assert P.sum(-1) == pytest.approx(np.ones((8, 2, 2, 2))) and P[0, 1, 1, 1, 7] == pytest.approx(0.729)


def test_a_lone_sender_earns_and_an_empty_one_disturbs_nobody():
    game = games.packet(2, 3.0)
    s = {tuple(o): i for i, o in enumerate(game.obs.T)}
    assert game.R[s[1, 1], 1, 1] == -6 and game.R[s[1, 0], 1, 1] == 1 and game.R[s[1, 1], 0, 0] == 0


def test_the_optimum_of_a_markov_game_is_that_of_its_mdp():
    game = games.coordination(2)
    joint = MDP(game.P.reshape(4, 4, 4), game.R.reshape(4, 4), game.start, np.zeros(4, bool))
    assert games.optimum(game) == pytest.approx(game.start @ solve(joint, 0.95)[0])


# ---- graphs

def test_named_graphs_have_the_arrows_of_their_names():
    assert graphs.line(4) == ((0, 1), (1, 2), (2, 3)) and graphs.fork(4) == ((0, 1), (0, 2), (0, 3))
    assert graphs.collider(4) == ((0, 2), (1, 2), (3, 2)) and graphs.complete(3) == ((0, 1), (0, 2), (1, 2))
    assert graphs.parents(graphs.collider(4), 4) == ((), (), (0, 1, 3), ())
    sizes = [len(e) for e in graphs.all_dags(3)]
    assert sizes == sorted(sizes)                                         # the sparsest first


def test_there_are_3_25_and_543_dags():
    assert [len(graphs.all_dags(n)) for n in (2, 3, 4)] == [3, 25, 543]
    assert all(nx.is_directed_acyclic_graph(nx.DiGraph(e)) for e in graphs.all_dags(4))
    assert len(set(graphs.all_dags(4))) == 543


@pytest.mark.parametrize("edges, loop", [
    (((0, 2), (2, 0)), "0 → 2 → 0"), (((1, 1),), "1 → 1"), (((0, 1), (1, 2), (2, 0)), "0 → 1 → 2 → 0"),
    (((0, 1), (1, 2), (2, 1)), "1 → 2 → 1")])
def test_a_cycle_is_named(edges, loop):
    with pytest.raises(ValueError, match=f"not a DAG: {loop};"):
        graphs.checked(edges, 3)


def test_settings_with_a_cycle_are_refused():
    with pytest.raises(ValueError, match="not a DAG: 0 → 2 → 0; turn one of these edges round or take it out"):
        bn.Config(n=3, edges=((0, 2), (2, 0)))


def test_an_edge_to_nobody_is_refused():
    with pytest.raises(ValueError, match="0 → 2 names an agent that is not there, expected 0 to 1"):
        bn.Config(n=2, edges=((0, 2),))


def test_an_edge_gives_its_child_rows_and_not_its_parent():
    tables = policy(games.climbing(), EDGE, runs=1)
    assert [t.shape for t in tables] == [(1, 1, 3, 1), (1, 1, 3, 3)]


# ---- exact formulas

@pytest.mark.parametrize("edges", graphs.all_dags(3))
def test_the_joint_policy_is_the_product_of_local_ones(edges):
    for game in (games.climbing(3), games.packet(3)):
        tables = policy(game, edges)
        pi = exact.joint(game, tables)
        assert pi[1] == pytest.approx(slowly(game, edges, tables, 1), abs=1e-14)
        assert pi.sum((2, 3, 4)) == pytest.approx(np.ones((3, game.S)), abs=1e-12)


def test_value_and_visits_are_those_of_the_joint_mdp():
    game = games.coordination(3)
    pi = exact.joint(game, policy(game, graphs.line(3)))
    value = exact.evaluate(game, pi)
    joint = MDP(game.P.reshape(8, 8, 8), game.R.reshape(8, 8), game.start, np.zeros(8, bool))
    V = evaluate(joint, pi.reshape(3, 8, 8), game.gamma)
    assert value.V == pytest.approx(V @ game.start)
    assert value.d == pytest.approx(0.05 * occupancy(joint, pi.reshape(3, 8, 8), game.gamma).sum(-1))
    assert (pi * value.Q).sum((2, 3, 4)) == pytest.approx(V)


@pytest.mark.parametrize("game, edges, eta, tau", [
    (games.coordination(3), graphs.complete(3), 1.0, 0.0), (games.coordination(3), graphs.collider(3), 0.6, 0.3),
    (games.climbing(3), ((1, 0), (1, 2)), 0.5, 0.0), (games.packet(3), graphs.complete(3), 0.3, 0.5),
    (games.penalty(2), (), 1.0, 1.0)])
def test_the_gradient_is_that_of_central_differences(game, edges, eta, tau):
    rng, h = np.random.default_rng(1), 1e-5
    logits = exact.draw(game, edges, 2, rng, spare=True)
    V = lambda z: exact.ascent(game, edges, exact.softmax(z), eta=eta, tau=tau)[0]                # noqa: E731
    _, up = exact.ascent(game, edges, exact.softmax(logits), eta=eta, tau=tau)
    for i in range(game.n):
        for _ in range(12):
            at = tuple(rng.integers(size) for size in logits[i].shape)
            shifted = [[z + h * sign * (np.indices(z.shape).T == at).all(-1).T if j == i else z
                        for j, z in enumerate(logits)] for sign in (1, -1)]
            slope = (V(shifted[0]) - V(shifted[1]))[at[0]] / (2 * h)
            assert up[i][at] == pytest.approx(slope, abs=1e-8)


def test_the_gradient_is_that_of_autograd_through_the_linear_solve():
    game, edges = games.coordination(3), ((0, 1), (2, 1))
    logits = exact.draw(game, edges, 1, np.random.default_rng(0))
    leaves = [torch.tensor(z.copy(), requires_grad=True) for z in logits]
    pi = math.prod(z.softmax(2 + i) for i, z in enumerate(leaves))[0].expand(8, 2, 2, 2).reshape(8, 8)
    P, R = torch.tensor(game.P.reshape(8, 8, 8)), torch.tensor(game.R.reshape(8, 8))
    chain = torch.einsum("sa,sat->st", pi, P)
    V = torch.linalg.solve(torch.eye(8, dtype=torch.float64) - 0.95 * chain, (pi * R).sum(1))
    grad = torch.autograd.grad((V / 8).sum(), leaves)
    _, up = exact.ascent(game, edges, exact.softmax(logits))
    for ours, theirs in zip(up, grad):
        assert ours == pytest.approx(theirs.numpy(), abs=1e-10)


def test_the_natural_gradient_is_the_advantage_of_a_reply_given_what_was_seen():
    game, edges = games.climbing(), EDGE
    tables = policy(game, edges, runs=1)
    p0, p1, R = tables[0][0, 0, :, 0], tables[1][0, 0], game.R[0]
    _, up = exact.ascent(game, edges, tables, natural=True)
    q0 = (p1 * R).sum(1)                                                  # the child answers: not R @ marginal
    assert up[0][0, 0, :, 0] == pytest.approx(q0 - p0 @ q0)
    assert up[1][0, 0] == pytest.approx(R - (p1 * R).sum(1, keepdims=True))


def test_the_two_gradients_differ_by_how_often_a_row_is_met_and_an_action_taken():
    game, edges = games.penalty(3, 30.0), graphs.line(3)
    tables = policy(game, edges)
    _, plain = exact.ascent(game, edges, tables)
    _, natural = exact.ascent(game, edges, tables, natural=True)
    met = tables[0] * tables[1]
    assert plain[2] == pytest.approx(met.sum(2, keepdims=True) * tables[2] * natural[2])


def test_with_chance_eta_the_team_acts_as_the_mixture_over_graphs():
    game, edges, eta = games.climbing(3), ((0, 1), (1, 2)), 0.3
    tables = policy(game, edges, spare=True)
    value = 0.0
    for there in product((True, False), repeat=2):                        # each edge on its own
        kept = [tables[0], tables[1][:, :, :3] if there[0] else tables[1][:, :, 3:],
                tables[2][:, :, :, :3] if there[1] else tables[2][:, :, :, 3:]]
        chance = math.prod(eta if t else 1 - eta for t in there)
        value = value + chance * exact.evaluate(game, exact.joint(game, kept)).V
    assert exact.ascent(game, edges, tables, eta=eta)[0] == pytest.approx(value)


# ---- gaps

def test_the_gap_is_what_the_best_of_all_deviations_gains():
    game, edges = games.penalty(2, 30.0), EDGE
    tables = policy(game, edges)
    V, best = exact.evaluate(game, exact.joint(game, tables)).V, []
    for u in range(3):
        lone = np.eye(3)[u].reshape(1, 1, 3, 1)
        best.append(exact.evaluate(game, exact.joint(game, [lone, tables[1]])).V)
    for reply in product(range(3), repeat=3):
        table = np.eye(3)[list(reply)].reshape(1, 1, 3, 3)
        best.append(exact.evaluate(game, exact.joint(game, [tables[0], table])).V)
    assert exact.audit(game, edges, tables).gap == pytest.approx(np.max(best, 0) - V)


def test_entropy_is_a_mean_over_the_states_that_are_met():
    game = games.coordination(2)
    tables = exact.softmax([np.zeros_like(p) for p in exact.draw(game, EDGE, 2, np.random.default_rng(0))])
    assert exact.audit(game, EDGE, tables).entropy == pytest.approx(np.log([4, 4]))      # even play, in every state


def test_a_deviator_who_does_not_see_its_parents_would_gain_less():
    game = games.climbing()
    tables = policy(game, EDGE, runs=50)
    p0 = tables[0][:, 0, :, 0]
    blind = (p0 @ game.R[0]).max(1) - exact.evaluate(game, exact.joint(game, tables)).V
    sees = np.einsum("ra,a->r", p0, game.R[0].max(1)) - exact.evaluate(game, exact.joint(game, tables)).V
    assert (exact.audit(game, EDGE, tables).gap >= sees - 1e-12).all() and (sees > blind).all()


def test_the_gap_of_a_markov_game_is_that_of_the_deviators_own_mdp():
    game, edges = games.coordination(2), EDGE
    tables = policy(game, edges)
    gains = []
    for r in range(3):
        p0, p1 = tables[0][r, :, :, 0], tables[1][r]
        V = exact.evaluate(game, exact.joint(game, tables)).V[r]
        # agent 0 decides in s, agent 1 answers by its table; agent 1 decides in (s, a0), drawn by agent 0
        P0, R0 = np.einsum("sab,sabt->sat", p1, game.P), np.einsum("sab,sab->sa", p1, game.R)
        one = game.start @ solve(MDP(P0, R0, game.start, np.zeros(4, bool)), 0.95)[0]
        P1 = np.einsum("sabt,tc->sabtc", game.P, p0).reshape(8, 2, 8)
        start = (game.start[:, None] * p0).ravel()
        two = start @ solve(MDP(P1, game.R.reshape(8, 2), start, np.zeros(8, bool)), 0.95)[0]
        gains.append(max(one, two) - V)
    assert exact.audit(game, edges, tables).gap == pytest.approx(gains, abs=1e-8)


def test_off_the_path_nash_is_not_perfect():
    tables = [np.zeros((1, 1, 3, 1)), np.zeros((1, 1, 3, 3))]
    tables[0][..., 1, :] = tables[1][..., 1] = 1.0
    V, gap, perfect, _ = (float(x[0]) for x in exact.audit(games.climbing(), EDGE, tables))
    assert (V, gap) == (7, 0) and perfect == pytest.approx(41)


def test_without_edges_a_gap_of_zero_is_a_perfect_gap_of_zero():
    tables = policy(games.penalty(3), ())
    seen = exact.audit(games.penalty(3), (), tables)
    assert seen.gap == pytest.approx(seen.perfect)


# ---- redrawing

@pytest.mark.parametrize("game", [games.coordination(3), games.packet(3), games.climbing(3)])
@pytest.mark.parametrize("eta", [1.0, 0.4, 0.0])
def test_a_new_edge_changes_nothing_at_that_moment(game, eta):
    logits = exact.draw(game, EDGE, 2, np.random.default_rng(0), spare=True)
    act = lambda e, z: exact.joint(game, exact.mix(game, e, exact.softmax(z), eta))               # noqa: E731
    after = exact.rewire(game, EDGE, graphs.complete(3), logits, eta)
    assert act(graphs.complete(3), after) == pytest.approx(act(EDGE, logits), abs=1e-12)


def test_a_dropped_edge_leaves_the_marginal_given_the_other_parents():
    game, full, less = games.climbing(3), graphs.complete(3), ((0, 1), (0, 2))
    logits = exact.draw(game, full, 2, np.random.default_rng(0), spare=True)
    pi = exact.joint(game, exact.mix(game, full, exact.softmax(logits)))
    after = exact.softmax(exact.rewire(game, full, less, logits))
    given = pi.sum(3, keepdims=True) / pi.sum((3, 4), keepdims=True)      # agent 2 given agent 0
    assert after[2][:, :, :3] == pytest.approx(given, abs=1e-12)


def test_off_and_on_again_is_not_what_it_was():
    game = games.climbing()
    logits = exact.draw(game, EDGE, 1, np.random.default_rng(0), spare=True)
    again = exact.rewire(game, (), EDGE, exact.rewire(game, EDGE, (), logits))
    assert np.ptp(exact.softmax(again)[1], axis=2).max() == pytest.approx(0, abs=1e-12)


# ---- learning

def last(cfg, every=50):
    return list(bn.learn(cfg, np.random.default_rng(cfg.seed), every))[-1]


def test_looking_more_often_does_not_change_what_is_learned():
    cfg = bn.Config(steps=300, schedule="linear")
    a, b = last(cfg, 7), last(cfg, 300)
    assert (a.V == b.V).all() and all((x == y).all() for x, y in zip(a.tables, b.tables))


def test_the_same_seed_gives_the_same_teams():
    cfg = bn.Config(game="coordination", n=3, edges=graphs.line(3), steps=60)
    assert (last(cfg).V == last(cfg).V).all() and (last(replace(cfg, seed=1)).V != last(cfg).V).any()


def test_a_batch_is_as_many_single_runs():
    game, edges = games.penalty(3), graphs.line(3)
    logits = exact.draw(game, edges, 4, np.random.default_rng(0))
    together = exact.ascend(game, edges, logits, 100, 0.1)
    for r in range(4):
        alone = exact.ascend(game, edges, [z[r:r + 1] for z in logits], 100, 0.1)
        assert all(a[0] == pytest.approx(t[r], abs=1e-9) for a, t in zip(alone, together))


def test_the_learner_takes_the_steps_of_ascend():
    cfg = bn.Config(steps=50, edges=EDGE)
    ours = exact.ascend(cfg.world(), EDGE, bn.first_logits(cfg, np.random.default_rng(0)), 50, cfg.alpha)
    assert all((exact.softmax(ours)[i] == t).all() for i, t in enumerate(last(cfg).tables))


def test_an_edge_drawn_in_mid_run_takes_the_team_out_of_the_bad_equilibrium():
    cfg = bn.Config(edges=(), method="NPG", alpha=0.05, steps=2000)
    run = bn.learn(cfg, np.random.default_rng(0), 500)
    before = [next(run), run.send(None), run.send(None)][-1]
    at_once, *_, end = run.send(replace(cfg, edges=EDGE)), *run
    assert before.step == 1000 and before.V.mean() < 9
    assert end.step == 2000 and end.V == pytest.approx(np.full(32, 11.0), abs=1e-3) and at_once.edges == EDGE


def test_the_plain_gradient_is_too_late_once_everybody_has_settled():
    cfg = bn.Config(edges=(), steps=4000)
    run = bn.learn(cfg, np.random.default_rng(0), 2000)
    next(run)
    before, end = run.send(None), run.send(replace(cfg, edges=EDGE))
    assert ((end.V > 10.45) == (before.V > 10.45)).all()


def test_more_entropy_leaves_more_entropy():
    low, high = (last(bn.Config(steps=500, tau=tau)).entropy.mean() for tau in (0.0, 2.0))
    assert high > low + 0.2


def test_density_follows_its_schedule():
    cfg = bn.Config(steps=1000, schedule="linear", keep=0.4, gone=0.9)
    assert [cfg.eta(s) for s in (0, 399, 525, 650, 900, 1000)] == pytest.approx([1, 1, 0.75, 0.5, 0, 0])
    assert replace(cfg, schedule="abrupt", keep=0.5).eta(500) == 0 and bn.Config(density=0.3).eta(999) == 0.3


def test_when_the_density_is_zero_the_edges_do_not_matter():
    end = last(bn.Config(steps=200, density=0.0))
    assert end.V == pytest.approx(end.cut)


# ---- data of the pictures

def test_basins_meet_at_the_saddle_and_shares_fall_with_the_price():
    shares = [bn.basin((), k).share for k in (0.0, 10.0, 30.0)]
    assert shares == sorted(shares, reverse=True)
    b = bn.basin((), 10.0)
    assert b.saddle == 12 / 32
    good = b.V > 9.5
    assert good[b.p > b.saddle][:, b.p > b.saddle].all() and not good[b.p < b.saddle][:, b.p < b.saddle].any()


@pytest.mark.parametrize("k", [1.0, 10.0, 30.0])
def test_the_border_between_the_basins_is_the_closed_form(k):
    b = bn.basin((), k)
    assert ((b.V > 9.5) != (b.p[None] > bn.separatrix(k, b.p)[:, None])).mean() < 0.01


def test_the_quick_basin_is_that_of_many_small_steps():
    game, b = games.stag(2, 10.0), bn.basin(EDGE, 10.0, N=15)
    x, y = (u.ravel() for u in np.meshgrid(b.p, b.p, indexing="ij"))
    logits = [np.log([x, 1 - x]).T.reshape(-1, 1, 2, 1),
              np.repeat(np.log([y, 1 - y]).T.reshape(-1, 1, 1, 2), 2, 2)]
    V = exact.ascent(game, EDGE, exact.softmax(exact.ascend(game, EDGE, logits, 2000, 0.5)))[0]
    assert (((V > 9.5).reshape(15, 15)) != (b.V > 9.5)).sum() <= 2


def test_contexts_carry_their_chances():
    game, tables = games.climbing(), policy(games.climbing(), EDGE, runs=2)
    names, p, met = bn.contexts(game, EDGE, exact.joint(game, tables), tables, run=1)
    assert names == ["0", "1|0", "1|1", "1|2"]
    assert p[0] == pytest.approx(tables[0][1, 0, :, 0]) and p[2] == pytest.approx(tables[1][1, 0, 1])
    assert met == pytest.approx(np.r_[1, tables[0][1, 0, :, 0]])


def test_every_graph_gets_its_own_teams():
    g = bn.by_graph(bn.Config(n=2, edges=(), steps=20, runs=4))
    assert g.edges == graphs.all_dags(2) and g.V.shape == (3, 4) and g.share.shape == (3,)


def test_a_head_start_is_for_action_one_of_everybody():
    even, ahead = (bn.first_logits(bn.Config(head=h), np.random.default_rng(0)) for h in (0.0, 5.0))
    for i, (z, up) in enumerate(zip(even, ahead)):
        gain = np.moveaxis(up - z, 2 + i, 0)
        assert gain[1] == pytest.approx(5.0) and not np.delete(gain, 1, 0).any()
