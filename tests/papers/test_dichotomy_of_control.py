"""Dichotomy of control against brute force, automatic differentiation, closed forms and the theorem."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from rlkit.envs import lottery, luck_tree, lucky_arms
from rlkit.mdp import evaluate, simulate, solve
from rlkit.papers import dichotomy_exact as exact
from rlkit.papers import dichotomy_of_control as doc
from rlkit.papers.dichotomy_exact import book, chosen, enumerate_episodes, from_episodes, kuhn, return_code, worth
from rlkit.papers.dichotomy_experiment import curves, in_words, standings
from rlkit.papers.dichotomy_of_control import Config, dichotomy

RNG = np.random.default_rng
HALF = np.full((5, 2), 0.5)


def bandit(p=0.1):
    return enumerate_episodes(lucky_arms.lucky_arms(p), lucky_arms.behaviour(p), 1)


def ticket(p=0.1, gamble=0.5, bad=0.5):
    return enumerate_episodes(lottery.lottery(p), lottery.behaviour(gamble, bad), 2)


def some_q(rec, Z=3, seed=0, runs=()):
    Q = RNG(seed).normal(size=(*runs, len(rec.ret), Z))
    return np.exp(Q) / np.exp(Q).sum(-1, keepdims=True)


def last(cfg, seed=0):
    return list(dichotomy(cfg, RNG(seed), every=10**9))[-1]


# ---- records

def test_every_episode_of_a_small_world_is_there_once_with_its_probability():
    rec = bandit(0.1)
    seen = sorted(zip(rec.weight.round(12), rec.ret))
    assert seen == [(0.01, 0.0), (0.09, 1.0), (0.09, 1.0), (0.81, 0.0)]
    assert ticket().weight.sum() == pytest.approx(1, abs=1e-12) and len(ticket().weight) == 6


def test_sampled_episodes_become_the_same_sums():
    mdp, pi = lottery.lottery(0.4), lottery.behaviour()
    play = simulate(mdp, pi, 50_000, RNG(0), 2)
    sampled, true = doc.merged(from_episodes(mdp, play, 2)), ticket(0.4)
    assert len(sampled.weight) == 6
    for count, w in zip(true.count, true.weight):
        i = int(np.flatnonzero((sampled.count == count).all(1))[0])
        assert abs(sampled.weight[i] - w) < 5 * (w / 50_000) ** 0.5       # five standard errors of a frequency
    assert set(sampled.levels) == set(true.levels)


def test_episodes_of_another_world_are_refused():
    play = simulate(lottery.lottery(0.5), lottery.behaviour(), 50, RNG(0), 2)
    with pytest.raises(ValueError, match="which this world cannot do"):
        from_episodes(lottery.lottery(0.0), play, 2)


# ---- a latent, read off

def test_a_book_is_the_conditional_probabilities_summed_by_hand():
    rec, z = ticket(0.3), 1
    q = some_q(rec)
    b = book(rec, q)
    w = rec.weight * q[:, z]
    assert b.p[z] == pytest.approx(w.sum()) and b.V[z] == pytest.approx((w * rec.ret).sum() / w.sum())
    joint = np.zeros((9, 2, 9, 3))
    for i in range(len(rec.ret)):
        for e, n in zip(rec.edge, rec.count[i]):
            joint[*e] += n * rec.weight[i] * q[i]
    visits = joint.sum(2)
    for s in range(4):
        assert b.pi[z, s] == pytest.approx(visits[s, :, z] / visits[s, :, z].sum())
    mi = nll = 0.0
    for s, a, k, c in np.argwhere(joint > 0):
        P_z, P = joint[s, a, k, c] / visits[s, a, c], joint[s, a, k].sum() / visits[s, a].sum()
        mi += joint[s, a, k, c] * np.log(P_z / P)
        nll -= joint[s, a, k, c] * np.log(visits[s, a, c] / visits[s, :, c].sum())
    assert b.luck == pytest.approx(mi, abs=1e-12) and b.nll == pytest.approx(nll, abs=1e-12)
    assert b.kl == pytest.approx((rec.weight[:, None] * q * np.log(q / b.p)).sum(), abs=1e-12)


def test_rows_of_probabilities_sum_to_one():
    rec = ticket()
    b = book(rec, some_q(rec))
    assert b.pi[:, :4].sum(-1) == pytest.approx(np.ones((3, 4)), abs=1e-12) and b.p.sum() == pytest.approx(1)
    assert kuhn(rec, lottery.behaviour()).sum(-1) == pytest.approx(np.ones(6))


def test_a_batch_of_latents_is_each_latent_alone():
    rec = ticket()
    q = some_q(rec, runs=(4,))
    together = book(rec, q)
    for r in range(4):
        for one, all_ in zip(book(rec, q[r]), together):
            assert one == pytest.approx(all_[r], abs=1e-12)
    assert worth(rec, together.pi)[2] == pytest.approx(worth(rec, together.pi[2]))


@pytest.mark.parametrize("p", [0.1, 0.6])
def test_all_that_a_latent_knows_is_luck_and_skill(p):
    """The chain rule, in a world where the state tells all that has been: MI(τ; z) = luck + skill."""
    b = book(ticket(p), some_q(ticket(p)))
    assert b.luck > 1e-3 and b.skill > 1e-3 and b.luck + b.skill == pytest.approx(b.kl)


def test_the_luck_of_a_latent_that_knows_nothing_is_nothing():
    rec = ticket()
    b = book(rec, np.full((6, 4), 0.25))
    assert b.luck == pytest.approx(0, abs=1e-12) and b.skill == pytest.approx(0, abs=1e-12)
    assert worth(rec, b.pi) == pytest.approx(np.full(4, evaluate(rec.mdp, lottery.behaviour(), horizon=2)[0]))


@pytest.mark.parametrize("p", [0.05, 0.1, 0.3, 0.444, 0.6, 0.9, 1.0])
def test_kuhns_latent_is_clean_and_keeps_its_promises(p):
    rec = ticket(p, 0.3, 0.2)
    b = book(rec, kuhn(rec, lottery.behaviour(0.3, 0.2)))
    assert b.luck < 1e-9 and abs(b.nll) < 1e-9 and np.abs(b.V - worth(rec, b.pi)).max() < 1e-9
    best = solve(rec.mdp, horizon=2)[0][0]
    assert worth(rec, b.pi).max() == pytest.approx(best, abs=1e-12)      # every plan is in it, so the best one is


def test_naming_a_plan_for_what_was_not_seen_lets_luck_in():
    """Kuhn's latent completes at random. "The plan whose other leaf is good" would know where the episode came."""
    rec = ticket(0.5)
    plans = kuhn(rec, lottery.behaviour())
    sure = np.eye(plans.shape[1])[plans.argmax(1)]                        # the first plan that agrees, for sure
    assert book(rec, plans).luck < 1e-9 < 0.1 < book(rec, sure).luck


@pytest.mark.parametrize("seed", range(20))
def test_broken_promises_stay_under_the_bound(seed):
    for rec in (bandit(0.2), ticket(0.3), enumerate_episodes(luck_tree.luck_tree(0.05), HALF, 2)):
        b = book(rec, some_q(rec, seed=seed) ** 4 / (some_q(rec, seed=seed) ** 4).sum(-1, keepdims=True))
        assert b.p @ np.abs(b.V - worth(rec, b.pi)) <= exact.bound(rec, b.luck) + 1e-12


def test_the_bound_does_not_mind_a_constant_added_to_every_return():
    rec = ticket(0.3)
    for shift in (-5.0, 7.0):
        assert exact.bound(rec._replace(levels=rec.levels + shift), 0.08) == pytest.approx(np.ptp(rec.levels) * 0.2)


def test_the_world_as_seen_has_the_frequencies_of_the_data():
    mdp, pi = lottery.lottery(0.4), lottery.behaviour()
    rec = from_episodes(mdp, simulate(mdp, pi, 300, RNG(1), 2), 2)
    blind = book(rec, np.ones((300, 1)))
    assert worth(rec, blind.pi, seen=True)[0] == pytest.approx(rec.ret.mean(), abs=1e-12)
    assert abs(worth(rec, blind.pi)[0] - rec.ret.mean()) > 1e-6


def test_the_best_of_k_draws_by_brute_force():
    p, V = np.array([0.2, 0.5, 0.3]), np.array([0.7, 0.1, 0.4])
    for K in (1, 2, 5):
        draws = RNG(K).choice(3, p=p, size=(40_000, K))
        best = draws[np.arange(40_000), V[draws].argmax(1)]
        assert np.bincount(best, minlength=3) / 40_000 == pytest.approx(chosen(p, V, K), abs=5 * 0.5 / 200)
    assert chosen(p, V, np.inf).tolist() == [1, 0, 0]
    assert chosen(p, V, np.inf, floor=0.25).tolist() == [0, 0, 1]         # the best code is dead


@pytest.mark.parametrize("p", [0.05, 0.1, 0.3, 0.5])
def test_return_conditioning_on_the_arms_is_a_coin(p):
    rec = bandit(p)
    b = book(rec, return_code(rec))
    assert b.V.tolist() == [0.0, 1.0] and worth(rec, b.pi)[1] == pytest.approx(0.5, abs=1e-12)
    assert b.pi[0, 0, 0] == pytest.approx(p**2 / (p**2 + (1 - p) ** 2), abs=1e-12)


def test_copying_the_best_share_is_asking_for_success_where_one_in_so_many_succeeds():
    rec = bandit(0.1)                                                     # 18 % succeed
    for share in (0.05, 0.1, 0.18):
        best = book(rec, exact.best_share(rec, share))
        assert best.p[1] == pytest.approx(share) and best.V[1] == pytest.approx(1) and worth(rec, best.pi)[1] == (
            pytest.approx(0.5))
    assert book(rec, exact.best_share(rec, 0.36)).V[1] == pytest.approx(0.5)
    assert book(rec, exact.best_share(rec, 1.0)).V[1] == pytest.approx(0.18)


def test_episodes_are_told_in_words_and_the_curves_are_those_of_the_worlds():
    for world, n in (("arms", 4), ("lottery", 6), ("tree", 4)):
        rec, _ = doc.problem(Config(world=world), RNG(0))
        assert len(set(in_words(world, rec))) == n
    assert "ticket, good: lost (0.1)" in in_words("lottery", ticket())
    for p in (0.1, 0.62):
        c = curves(Config(steps=300, lam=1.0, p=p), points=5)
        assert p in c.p and c.p[-1] == 0.99 and c.best == pytest.approx(np.maximum(c.p, 1 - c.p))
        assert c.asked == pytest.approx(np.full(6, 0.5)) and c.plans[:, 1].max() == max(p, 1 - p)
    c = curves(Config(steps=300, lam=1.0), points=5)
    assert (c.promised[0] > 0.9).all() and c.earned[-1] == pytest.approx(np.full(4, 0.9), abs=0.02)
    with pytest.raises(ValueError, match="the lake has too many episodes"):
        curves(Config(world="lake"))


def test_the_standings_of_the_lottery():
    rows, best = standings(Config(world="lottery", phi=0.5, eps=0.5))
    assert best == 0.5 and rows["RCSL"][1] == pytest.approx(np.full(8, 0.145)) and rows["BC"][1][0] == (
        pytest.approx(0.2225))
    assert rows["DoC"][1] == pytest.approx(np.full(8, 0.5), abs=0.02)
    rec, left, tenth = ticket(), 0.1, 0.0
    for G, w in sorted(zip(rec.ret, rec.weight), reverse=True):           # what the best tenth of the data earned
        tenth, left = tenth + G * min(w, left) / 0.1, left - min(w, left)
    assert rows["10 % BC"][0] == pytest.approx(np.full(8, tenth))


@pytest.mark.parametrize("p", [0.1, 0.3, 0.6])
def test_bayes_is_the_counts_of_the_data(p):
    rec = ticket(p)
    b = book(rec, return_code(rec))
    for g, pi in zip(rec.levels, b.pi):
        assert exact.rcsl(rec.mdp, lottery.behaviour(), g, 2)[:4] == pytest.approx(pi[:4], abs=1e-12)


def test_a_request_is_a_share_of_the_best_return():
    """Ten times the returns, and the same code is acted on and promises ten times as much."""
    rec, cfg = ticket(0.3), replace(Config(), method="RCSL", world="lottery", runs=1)
    rich = rec._replace(ret=10 * rec.ret, levels=10 * rec.levels)
    one, ten = (doc.photograph(cfg, 0, r, return_code(r), book(r, return_code(r)), 1.0) for r in (rec, rich))
    assert (one.act == ten.act).all() and ten.promised == pytest.approx(10 * one.promised)


def test_bayes_counts_the_steps_that_are_left():
    """Against Pr(R = 1 | s, a) summed forwards over the steps of an episode, goal and holes keeping what falls in."""
    world = doc.ice.lake(2 / 3)
    P, behaviour, h = world.mdp.P, 0.5 * world.hasty + 0.125, 8
    step = np.where(world.mdp.terminal[:, None], np.eye(16), np.einsum("sa,sat->st", behaviour, P))
    paid = (P @ np.linalg.matrix_power(step, h - 1))[..., 15]
    expected = behaviour * paid / (behaviour * paid).sum(-1, keepdims=True).clip(1e-300)
    late = ~world.mdp.terminal & (paid.max(-1) > 0)
    assert late.sum() > 8 and exact.rcsl(world.mdp, behaviour, 1.0, h)[late] == pytest.approx(expected[late])


def test_a_share_phi_of_the_episodes_on_the_lake_is_the_experts_who_arrive_more_often():
    data = doc.ice.collect(2 / 3, 4000, RNG(4), phi=0.2, eps=0.0)
    experts = np.array(data.names)[data.source] == "expert"
    assert experts.mean() == pytest.approx(0.2, abs=4.5 * (0.2 * 0.8 / 4000) ** 0.5)      # 4.5 standard errors
    world = doc.ice.lake(2 / 3)
    for who, pi in ((experts, world.expert), (~experts, world.hasty)):
        J = evaluate(world.mdp, pi, horizon=100) @ world.mdp.start
        assert data.returns[who].mean() == pytest.approx(J, abs=4.5 * (J * (1 - J) / who.sum()) ** 0.5)


def test_bayes_on_ice_is_one_soft_step_of_the_behaviour():
    world = doc.ice.lake(2 / 3)
    behaviour = 0.5 * world.hasty + 0.125
    pi = exact.rcsl(world.mdp, behaviour, 1.0, 100)
    play = simulate(world.mdp, behaviour, 60_000, RNG(0), 100)
    rec = from_episodes(world.mdp, play, 100)
    assert rec.n == 60_000
    counted = book(rec, return_code(rec)).pi[1]
    assert np.abs(counted[0] - pi[0]).max() < 0.03                        # 5 standard errors of ~3000 successes


# ---- the learner

@pytest.mark.parametrize("method", ["DoC", "VAE"])
@pytest.mark.parametrize("lam", [0.0, 1.3])
def test_the_gradient_is_that_of_automatic_differentiation(method, lam):
    rec, beta = ticket(0.3), 0.7
    Q = torch.tensor(RNG(3).normal(size=(6, 4)), requires_grad=True)
    w, M = torch.tensor(rec.weight), torch.tensor(rec.count)
    level = torch.tensor(return_code(rec))
    q = Q.softmax(-1)
    wq = w[:, None] * q
    c, p, g = wq.T @ M, wq.sum(0), wq.T @ level
    pair = torch.tensor(np.eye(18)[rec.edge[:, 0] * 2 + rec.edge[:, 1]])
    h = lambda x: (x * x.clamp_min(1e-300).log()).sum()                   # noqa: E731
    state = (c @ pair).reshape(4, 9, 2).sum(-1)
    total = h(state) - h(c @ pair) + lam * (h(p) - h(g))
    total = total + beta * (h(c) - h(c @ pair) - h(c.sum(0)) + h(c.sum(0) @ pair) if method == "DoC" else
                            (wq * q.log()).sum() - h(p))
    total.backward()
    b = book(rec, q.detach().numpy())
    cost = doc.cost(rec, q.detach().numpy(), b, beta, lam, method)
    qn = q.detach().numpy()
    ours = rec.weight[:, None] * qn * (cost - (qn * cost).sum(-1, keepdims=True))
    assert doc.loss(b, beta, lam, method) == pytest.approx(total.item(), abs=1e-12)
    assert ours == pytest.approx(Q.grad.numpy(), abs=1e-12)


def test_the_energy_that_climbs_finds_the_log_ratio():
    rec = ticket(0.3)
    b = book(rec, some_q(rec, runs=(2,)))
    f = doc.Energy(rec, 2, 3)
    learned = f.climb(b, np.inf, RNG(0), steps=20_000)
    ratio = doc.luck_ratio(rec, b)
    off = learned - ratio                                                 # log P(o|s, a) / ρ(o): the same for every z
    assert np.abs(off - off.mean(1, keepdims=True)).max() < 1e-3


def test_luck_planted_in_a_latent_is_found():
    rec = bandit(0.3)
    b = book(rec, np.stack([rec.ret, 1 - rec.ret], 1))
    by_hand = sum(w * np.log(1 / (0.7 if (a == 0) == (r == 1) else 0.3)) for w, a, r in
                  ((0.21, 0, 1), (0.09, 0, 0), (0.21, 1, 1), (0.49, 1, 0)))
    mutual = by_hand                                                      # H(r|a): z is r, so all of it
    assert b.luck == pytest.approx(mutual, abs=1e-12)


@pytest.mark.parametrize("p", [0.1, 0.3, 0.45])
@pytest.mark.parametrize("energy", ["best", "climbs"])
def test_past_the_threshold_doc_earns_what_it_promises(p, energy):
    s = last(Config(p=p, beta=3.0, Z=4, steps=700, energy=energy))
    assert s.earned == pytest.approx(np.full(8, 1 - p), abs=0.01)         # 200 runs stay within 0.002
    assert s.promised == pytest.approx(s.earned, abs=0.01) and s.luck.max() < 1e-3


def test_without_a_price_the_latent_is_luck():
    s = last(Config(beta=0.0, Z=4, K=np.inf))
    assert (s.promised > 0.99).all() and s.luck.mean() > 0.15 and (s.promised - s.earned).mean() > 0.25


def test_in_a_world_without_luck_all_agree():
    for cfg in (Config(world="lottery", p=1.0, phi=0.5, eps=0.5), Config(world="lake", p=0.0, n=300, lam=10.0, runs=2)):
        asked = last(replace(cfg, method="RCSL"))
        for beta in (0.0, 5.0):
            s = last(replace(cfg, beta=beta, K=np.inf))
            assert s.earned == pytest.approx(asked.earned, abs=0.02) and s.luck.max() < 1e-9


def test_beta_moved_in_mid_run_squeezes_luck_out():
    run = dichotomy(Config(beta=0.0, Z=4, steps=900), RNG(0), every=300)
    before = [next(run), next(run)][-1]
    run.send(replace(Config(beta=0.0, Z=4, steps=900), beta=5.0))
    after = list(run)[-1]
    assert before.luck.min() > 0.1 and after.luck.max() < 1e-3


def test_looking_more_often_does_not_change_what_is_learned():
    cfg = Config(world="lake", p=0.5, n=100, lam=10.0, beta=20.0, steps=30, runs=2, energy="climbs", negatives=8.0)
    often, seldom = ([*dichotomy(cfg, RNG(0), every=k)][-1] for k in (1, 30))
    assert np.array_equal(often.q, seldom.q) and np.array_equal(often.earned, seldom.earned)


def test_a_run_of_a_batch_is_a_run():
    """Same start, same numbers: the first of eight runs is what it would be alone."""
    rec, _ = doc.problem(Config(), RNG(0))
    q = some_q(rec, Z=4, runs=(8,))
    together = doc.cost(rec, q, book(rec, q), 2.0, 1.0)
    assert together[3] == pytest.approx(doc.cost(rec, q[3], book(rec, q[3]), 2.0, 1.0), abs=1e-12)


def test_the_sweep_is_the_learner():
    cfg = Config(Z=4, runs=3, steps=200, K=np.inf)
    _, b, act, earns = doc.sweep(cfg, np.array([0.5, 2.0]), RNG(0))
    s = last(replace(cfg, beta=2.0))
    assert np.sort((act * earns).sum(-1)[3:]) == pytest.approx(np.sort(s.earned), abs=0.05)
    assert b.luck[3:].max() < 0.05 < b.luck[:3].min()


def test_a_code_of_fewer_than_twenty_episodes_is_never_acted_on():
    s = last(Config(world="lake", p=0.5, n=300, lam=10.0, beta=0.0, steps=20, runs=4, K=np.inf))
    assert doc.floor(s.records) == 20 / 300 and doc.floor(bandit()) == 1e-3
    assert not s.act[s.book.p <= 20 / 300].any() and s.act.sum(1) == pytest.approx(np.ones(4))


def test_what_cannot_change_in_mid_run_is_refused():
    run = dichotomy(Config(), RNG(0), every=1)
    next(run)
    with pytest.raises(ValueError, match="cannot change in mid-run"):
        run.send(Config(p=0.2))


def test_nothing_tabular_imports_torch():
    code = "import sys, rlkit.papers.dichotomy_of_control; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
