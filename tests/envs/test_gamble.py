"""The gamble: two actions, three ends, closed-form values."""

import gymnasium
import numpy as np
import pytest

import rlkit.envs  # noqa: F401
from rlkit.envs.gamble import GAMBLE, SAFE, gamble
from rlkit.mdp import evaluate, simulate


@pytest.mark.parametrize("p", [0.0, 0.5, 1.0])
def test_the_value_of_gambling_with_probability_p(p):
    pi = np.full((4, 2), 0.5)
    pi[0] = 1 - p, p
    v = evaluate(gamble(safe=0.6, prize=1.0, chance=0.3), pi)
    assert v[0] == pytest.approx((1 - p) * 0.6 + p * 0.3)


def test_returns_are_safe_prize_or_nothing_in_their_shares():
    """Frequencies of 20,000 episodes, five standard deviations of a share."""
    play = simulate(gamble(2.0, 5.0, 0.25), np.full((4, 2), 0.5), 20_000, np.random.default_rng(0), 5)
    G = np.add.reduceat(play.reward, play.starts[:-1])
    first = play.action[play.starts[:-1]]
    assert set(G) == {2.0, 5.0, 0.0} and set(G[first == SAFE]) == {2.0}
    assert abs((G[first == GAMBLE] == 5.0).mean() - 0.25) < 5 * (0.25 * 0.75 / 10_000) ** 0.5
    assert play.terminated[play.starts[1:] - 1].all()


def test_a_chance_is_a_probability():
    with pytest.raises(ValueError, match="chance is 1.2, expected a probability"):
        gamble(chance=1.2)


def test_gymnasium_makes_it():
    env = gymnasium.make("rlkit/Gamble-v0", safe=0.7)
    env.reset(seed=0)
    assert env.step(SAFE)[1:3] == (0.7, True)
