"""Aloha against its own rules written out, and against dynamic programming known from outside."""

from itertools import product

import numpy as np
import pytest

from rlkit.envs.aloha import Aloha, AlohaTeams, best, best_product, greedy, value

RNG = np.random.default_rng


def by_hand(spec, queue, action, u):
    """One slot, station by station."""
    reward, after = 0.0, list(queue)
    for i in range(spec.n):
        if action[i] and queue[i] > 0:
            if any(action[j] for j in range(spec.n) if spec.links[i, j]):
                reward -= spec.cost
            else:
                reward += spec.gain
                after[i] -= 1
    return [min(spec.cap, q + int(x < spec.arrival)) for q, x in zip(after, u)], reward


@pytest.mark.parametrize("spec", [Aloha.clique(3), Aloha.ring(4), Aloha.paper()], ids=["clique", "ring", "paper"])
def test_a_slot_is_the_rules_written_out(spec):
    rng = RNG(0)
    queue, action = rng.integers(0, spec.cap + 1, (200, spec.n)), rng.integers(0, 2, (200, spec.n))
    u = rng.random((200, spec.n))
    after, reward = spec.step(queue, action, u)
    for b in range(200):
        expected, pay = by_hand(spec, queue[b], action[b], u[b])
        assert after[b].tolist() == expected and reward[b] == pytest.approx(pay)


def test_the_channel_of_the_paper_has_fourteen_links():
    links = Aloha.paper().links
    assert links.sum() == 2 * (5 + 4 + 4 + 1) and (links == links.T).all() and not links.diagonal().any()


def test_exact_returns_of_the_clique_and_the_ring():
    clique, ring = Aloha.clique(3), Aloha.ring(4)
    assert best_product(clique) == pytest.approx(1 + 19 * 0.6)            # one station sends: 1 packet, then 0.6 a slot
    assert best_product(ring) == pytest.approx(2 * (1 + 19 * 0.6))        # two that do not hear each other
    assert best_product(Aloha.ring(4, cost=10.0)) == pytest.approx(24.8)  # and never collide, whatever it costs
    assert value(clique, greedy(clique, range(3))) == pytest.approx(19.999, abs=0.01)
    assert best(clique) == pytest.approx(19.999, abs=0.01)
    assert value(ring, greedy(ring, range(4))) == pytest.approx(37.32, abs=0.01)
    assert value(ring, greedy(ring, (0, 2, 1, 3))) == pytest.approx(30.84, abs=0.01)
    assert best(ring) == pytest.approx(39.16, abs=0.01)


def test_dynamic_programming_is_the_mean_over_all_arrivals():
    spec = Aloha.clique(2, slots=3, cap=2, arrival=0.3)
    rule = greedy(spec, (1, 0))
    total = 0.0
    for come in product((0, 1), repeat=6):                                # every arrival of three slots
        u, queue, ret = np.where(np.reshape(come, (3, 2)), 0.0, 0.9), np.ones(2, int), 0.0
        for t in range(3):
            queue, reward = by_hand(spec, queue, rule(queue[None])[0], u[t])
            queue, ret = np.array(queue), ret + reward
        total += ret * 0.3 ** sum(come) * 0.7 ** (6 - sum(come))
    assert value(spec, rule) == pytest.approx(total, rel=1e-12)


def test_played_returns_agree_with_dynamic_programming():
    spec = Aloha.ring(4)
    teams, rule = AlohaTeams(spec, [RNG(0), RNG(1)], 1000), greedy(spec, range(4))
    obs, ret = teams.reset(), 0.0
    for _ in range(spec.slots):
        assert (obs.argmax(-1) == teams.queue).all()
        obs, reward, over = teams.step(rule(teams.queue))
        ret = ret + reward
    assert over.all() and (teams.queue == 1).all()                        # and the next episode has begun
    assert ret.mean() == pytest.approx(value(spec, rule), abs=4 * ret.std() / 2000**0.5)


def test_a_run_is_the_same_in_any_company():
    both, alone = (AlohaTeams(Aloha.clique(3), [RNG(s) for s in seeds], 5) for seeds in ((3, 4), (4,)))
    both.reset(), alone.reset()
    for _ in range(25):
        action = RNG(0).integers(0, 2, (5, 3))
        (a, r, _), (b, s, _) = both.step(np.stack([action, action])), alone.step(action[None])
        assert (a[1] == b[0]).all() and (r[1] == s[0]).all()
