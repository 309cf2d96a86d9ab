"""The worlds of chapter 2: values by hand, and Gymnasium's own lake."""

import gymnasium
import numpy as np
import pytest

import rlkit.envs  # noqa: F401
from rlkit.envs import lottery, luck_tree, lucky_arms
from rlkit.mdp import evaluate, from_gymnasium, simulate, solve
from rlkit.papers import dichotomy_lake as ice


@pytest.mark.parametrize("p", [0.0, 0.1, 0.5, 1.0])
def test_the_arms_pay_as_their_names_say(p):
    mdp = lucky_arms.lucky_arms(p)
    for a, pays in ((lucky_arms.GOOD, 1 - p), (lucky_arms.BAD, p)):
        assert evaluate(mdp, np.eye(2)[[a] * 3], horizon=1)[0] == pytest.approx(pays, abs=1e-12)
    assert evaluate(mdp, lucky_arms.behaviour(p), horizon=1)[0] == pytest.approx(p * (1 - p) * 2, abs=1e-12)


@pytest.mark.parametrize("p", [0.05, 4 / 9, 0.6, 1.0])
def test_the_ticket_is_worth_its_chance(p):
    v, q, _ = solve(lottery.lottery(p), horizon=2)
    assert q[0] == pytest.approx([0.5, p + 0.1 * (1 - p)])
    assert v[1:4] == pytest.approx([0.5, 1.0, 0.1])
    assert evaluate(lottery.lottery(p), lottery.behaviour(0.5, 0.5), horizon=2)[0] == pytest.approx(
        0.5 * 0.35 + 0.5 * (p * 0.5 + (1 - p) * 0.05))


def test_the_tree_has_four_trajectories_two_of_them_worth_nothing():
    play = simulate(luck_tree.luck_tree(0.3), np.full((5, 2), 0.5), 4000, np.random.default_rng(0), 2)
    returns = np.add.reduceat(play.reward, play.starts[:-1])
    paths = {(*play.action[a:b], play.final_obs[i]) for i, (a, b) in enumerate(zip(play.starts, play.starts[1:]))}
    assert len(paths) == 4 and set(returns) == {0.0, 10.0, 100.0}
    assert solve(luck_tree.luck_tree(0.01), horizon=2)[1][0] == pytest.approx([1.0, 10.0])


@pytest.mark.parametrize("make, where", [(lucky_arms.lucky_arms, "p is 1.5"), (lottery.lottery, "p is -0.1"),
                                         (luck_tree.luck_tree, "p is 2"), (ice.lake, "p is -1")])
def test_luck_is_a_probability(make, where):
    with pytest.raises(ValueError, match=where):
        make(float(where.split()[-1]))


@pytest.mark.parametrize("name, start", [("LuckyArms", 0), ("Lottery", 0), ("LuckTree", 0)])
def test_gymnasium_makes_them(name, start):
    env = gymnasium.make(f"rlkit/{name}-v0", p=0.25)
    assert env.reset(seed=0)[0] == start
    assert env.unwrapped.P[0][0] and len(env.step(1)) == 5


@pytest.mark.parametrize("p", [0.0, 0.25, 2 / 3])
def test_the_lake_is_gymnasiums_own_table(p):
    """Its steps, played with Gymnasium's own generator, have the frequencies of our table: five standard errors."""
    mdp = ice.lake(p).mdp
    env = gymnasium.make("FrozenLake-v1", is_slippery=True, success_rate=1 - p).unwrapped
    again = from_gymnasium(env)
    assert np.allclose(mdp.P, again.P, atol=1e-12) and mdp.P.sum(-1) == pytest.approx(np.ones((16, 4)), abs=1e-12)
    env.reset(seed=0)
    seen = np.zeros(16)
    for _ in range(3000):
        env.s = 6
        seen[env.step(1)[0]] += 1
    error = 5 * np.sqrt(mdp.P[6, 1] * (1 - mdp.P[6, 1]) / 3000)
    assert (np.abs(seen / 3000 - mdp.P[6, 1]) <= error + 1e-12).all()


def test_an_expert_for_ice_never_arrives_on_dry_ground():
    on_ice, dry = ice.lake(ice.ICE), ice.lake(0.0)
    assert on_ice.best == pytest.approx(0.744, abs=5e-4)                  # the known optimum of 100 steps on this map
    assert evaluate(dry.mdp, on_ice.expert, horizon=100)[0] == 0.0
    assert evaluate(dry.mdp, dry.expert, horizon=100)[0] == 1.0
    hasty, expert = (evaluate(on_ice.mdp, pi, horizon=100)[0] for pi in (on_ice.hasty, on_ice.expert))
    assert hasty < 0.1 < 0.7 < expert


def test_the_lake_is_shared_by_two_people_in_their_shares():
    data = ice.collect(ice.ICE, 4000, np.random.default_rng(0), phi=0.25, eps=0.1)
    assert data.n == 4000 and data.lengths.max() <= 100
    careful = np.array(data.names)[data.source] == "expert"
    assert abs(careful.mean() - 0.25) < 5 * (0.25 * 0.75 / 4000) ** 0.5
    assert data.returns[careful].mean() > 2 * data.returns[~careful].mean()
    assert set(ice.collect(0.3, 30, np.random.default_rng(0), phi=1.0).names) == {"expert"}
