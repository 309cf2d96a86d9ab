"""Team worlds in the forms others use: PettingZoo's own test, table games against their tables, foraging as it is."""

import warnings

import gymnasium
import numpy as np
import pytest
from pettingzoo.test import parallel_api_test, parallel_seed_test

from rlkit.envs.aloha import Aloha, AlohaTeams
from rlkit.envs.foraging import ForagingTeams
from rlkit.envs.parallel import ParallelTeams
from rlkit.envs.team_games import TeamGame, climbing, coordination, packet
from rlkit.envs.team_tables import TableTeams

RNG = np.random.default_rng
COOP = "Foraging-5x5-2p-1f-coop-v3"
MAKE = {
    "aloha": lambda rngs, envs: AlohaTeams(Aloha.ring(4), rngs, envs),
    "grid of 10": lambda rngs, envs: AlohaTeams(Aloha.paper(), rngs, envs),
    "climbing": lambda rngs, envs: TableTeams(climbing(2), rngs, envs),
    "coordination": lambda rngs, envs: TableTeams(coordination(3), rngs, envs),
}


@pytest.mark.parametrize("make", MAKE.values(), ids=MAKE)
def test_pettingzoo_accepts_our_worlds(make, capsys):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        parallel_api_test(ParallelTeams(make), num_cycles=100)
        parallel_seed_test(lambda: ParallelTeams(make))


def test_a_wrapped_world_pays_everyone_the_team_s_reward_and_says_when_it_is_over():
    env = ParallelTeams(MAKE["climbing"])
    env.reset(seed=0)
    _, rewards, terminations, truncations, _ = env.step({"agent_0": 1, "agent_1": 2})
    assert rewards == {"agent_0": 6.0, "agent_1": 6.0} and all(terminations.values())
    assert not any(truncations.values()) and env.agents == []
    with pytest.raises(ValueError, match="the episode is over"):
        env.step({"agent_0": 1, "agent_1": 2})


def test_a_table_game_pays_what_its_table_says():
    teams = TableTeams(climbing(2), [RNG(0), RNG(1)], 9)
    assert teams.horizon == 1 and teams.reset().shape == (2, 9, 2, 1)
    action = np.stack(np.divmod(np.arange(9), 3), -1)[None].repeat(2, 0)
    _, reward, over = teams.step(action)
    assert reward[0].reshape(3, 3).tolist() == [[11, -30, 0], [-30, 7, 6], [0, 0, 5]] and over.all()


def test_a_table_game_moves_as_its_table_says():
    game = coordination(2)
    teams = TableTeams(game, [RNG(0)], 40_000)
    teams.reset()
    for s in range(4):
        assert (teams.s == s).mean() == pytest.approx(game.start[s], abs=4 * 0.5 / 200)
    before = teams.s.copy()
    teams.step(np.broadcast_to([0, 1], (1, 40_000, 2)))
    for s in range(4):
        assert (teams.s[before == 2] == s).mean() == pytest.approx(game.P[2, 0, 1, s], abs=4 * 0.5 / 90)


def test_agents_see_what_the_game_lets_them():
    teams = TableTeams(packet(2), [RNG(0)], 50)
    obs = teams.reset()
    assert obs.shape == (1, 50, 2, 2)
    assert (obs.argmax(-1) == packet(2).obs.T[teams.s]).all()


def test_unequal_actions_are_refused():
    with pytest.raises(ValueError, match=r"\(2, 3\) actions, expected equally many"):
        TableTeams(TeamGame(None, np.zeros((1, 2, 3)), np.ones(1)), [RNG(0)], 4)


def test_foraging_is_the_package_s_own_game():
    teams = ForagingTeams(COOP, [RNG(0)], 1)
    obs = teams.reset()
    env = gymnasium.make(COOP, disable_env_checker=True)
    expected, _ = env.reset(seed=teams.seeds[0][0])
    rng, finished = RNG(1), 0
    for _ in range(200):
        assert (obs[0, 0] * teams.scale) == pytest.approx(np.array(expected), abs=1e-5)
        action = rng.integers(6, size=2)
        obs, reward, over = teams.step(action[None, None])
        expected, rewards, terminated, truncated, _ = env.step(action)
        assert reward[0, 0] == pytest.approx(sum(rewards)) and over[0, 0] == (terminated or truncated)
        if over[0, 0]:
            expected, finished = env.reset()[0], finished + 1
    assert finished >= 3 and (teams.n, teams.actions, teams.features, teams.horizon) == (2, 6, 9, 50)


def test_the_food_lifted_together_is_worth_one_and_ends_the_episode():
    teams = ForagingTeams(COOP, [RNG(0)], 1)
    teams.reset()
    game = teams.games[0][0]
    row, column = np.argwhere(game.field)[0]                              # food never lies on the rim
    game.players[0].position, game.players[1].position = (row - 1, column), (row, column + 1)
    game._gen_valid_moves()
    obs, reward, over = teams.step(np.array([[[5, 0]]]))                  # one alone cannot
    assert reward[0, 0] == 0 and not over[0, 0]
    obs, reward, over = teams.step(np.array([[[5, 5]]]))
    assert reward[0, 0] == pytest.approx(1) and over[0, 0]
    assert game.field.sum() > 0 and obs.shape == (1, 1, 2, 9)             # and the next one has begun
