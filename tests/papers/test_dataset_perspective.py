"""Five ways to collect data: sizes, sources, and what they know of the world."""

import numpy as np
import pytest

from rlkit.envs import frozen_grid as grid
from rlkit.measures import tq, unique_pairs
from rlkit.papers import dataset_perspective as dp

WORLD = grid.world(starts="corner")
M = 4000


@pytest.fixture(scope="module")
def five():
    return dp.collections(WORLD, M, np.random.default_rng(0))


def test_all_have_the_size_asked_for_and_whole_episodes(five):
    assert list(five) == ["random", "mixed", "replay", "noisy", "expert"]
    for data in five.values():
        assert M <= data.m < M + 2 * 100 and data.lengths.max() <= 100
        assert (data.first_obs == 0).all()


def test_all_obey_the_world(five):
    """Each transition and reward is one that the deterministic grid makes."""
    mdp = WORLD.mdp
    for data in five.values():
        after = mdp.P[data.obs, data.action].argmax(1)
        assert (data.next_obs == after).all()
        assert data.reward == pytest.approx(mdp.reward[data.obs, data.action, after])
        assert (data.terminated == mdp.terminal[after]).all()


def test_noisy_data_are_the_experts_but_for_one_move_in_five_at_random(five):
    data = five["noisy"]
    agree = WORLD.expert[data.obs, data.action].mean()
    assert agree == pytest.approx(0.8 + 0.2 / 4, abs=4.5 * (0.85 * 0.15 / data.m) ** 0.5)         # 4.5 standard errors


def test_expert_data_are_one_path_and_random_data_are_many(five):
    low, high = grid.expected_return(WORLD.mdp, np.stack([np.full((64, 4), 0.25), WORLD.expert]), horizon=100)
    assert tq(five["expert"].returns, low, high) == pytest.approx(1)
    assert unique_pairs(five["expert"].obs, five["expert"].action) == 14          # the shortest way has 14 steps
    assert unique_pairs(five["random"].obs, five["random"].action) > 100


def test_the_replay_starts_at_random_and_ends_greedy():
    """ε is 1 at first: actions are uniform, within five standard deviations, and follow the generator, not the greedy
    order of an untaught table; near the end it is 0.01."""
    data, other = (dp.q_learning_replay(WORLD.mdp, 20_000, np.random.default_rng(seed)) for seed in (1, 2))
    early = np.bincount(data.action[:500], minlength=4) / 500
    assert early == pytest.approx(np.full(4, 0.25), abs=5 * (0.25 * 0.75 / 500) ** 0.5)
    assert (data.action[:30] != other.action[:30]).sum() > 10             # of 30, 22.5 differ in the mean
    returns = data.returns
    assert returns[-50:].mean() > 0.6 > returns[:50].mean() + 0.6          # 0.86 is the best, random is -0.31


def test_replay_knows_slippery_worlds_too():
    world = grid.world(0.3, "corner")
    data = dp.q_learning_replay(world.mdp, 3000, np.random.default_rng(1))
    assert (world.mdp.P[data.obs, data.action, data.next_obs] > 0).all()


def test_guesses_matter_only_where_nothing_was_seen(five):
    pi = dp.extrapolate(five["random"], WORLD, 8, np.random.default_rng(0))
    assert pi.shape == (8, 64, 4) and (pi.sum(-1) == 1).all()
    narrow = dp.extrapolate(five["expert"], WORLD, 8, np.random.default_rng(0))
    assert len({p.tobytes() for p in narrow}) == 8                         # one policy for each guess
