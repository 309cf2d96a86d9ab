"""The frozen grid is Gymnasium's map with our rewards, and its experts and references are what brute force says."""

import gymnasium
import numpy as np
import pytest
from gymnasium.envs.toy_text.frozen_lake import MAPS

import rlkit.envs  # noqa: F401
from rlkit.envs import frozen_grid as grid
from rlkit.mdp import evaluate, simulate, solve

LAKE = [row for row in MAPS["8x8"]]


def test_the_map_is_gymnasiums():
    letters = np.full((8, 8), "F")
    letters[0, 0] = "S"
    letters[grid.GOAL] = "G"
    for hole in grid.HOLES:
        letters[hole] = "H"
    assert ["".join(row) for row in letters] == LAKE


@pytest.mark.parametrize(("slip", "slippery"), [(0.0, False), (2 / 3, True)])
def test_moves_are_gymnasiums(slip, slippery):
    table = gymnasium.make("FrozenLake-v1", map_name="8x8", is_slippery=slippery).unwrapped.P
    P = np.zeros((64, 4, 64))
    for s, actions in table.items():
        for a, outcomes in actions.items():
            for p, s2, *_ in outcomes:
                P[s, a, s2] += p
    mdp = grid.frozen_grid(slip)
    free = ~mdp.terminal
    np.testing.assert_allclose(mdp.P[free], P[free], atol=1e-12)


def test_a_step_costs_a_hundredth_and_the_goal_pays_one():
    mdp = grid.frozen_grid()
    assert mdp.reward[63 - 8, 1, 63] == pytest.approx(0.99)               # down into the goal
    assert mdp.reward[0, 2, 1] == pytest.approx(-0.01)
    assert mdp.reward[2 * 8 + 2, 2, 2 * 8 + 3] == pytest.approx(-0.01)    # right into a hole: the step, and the end
    assert mdp.terminal.sum() == 11


def test_starts_are_uniform_over_free_cells_or_the_corner():
    assert np.unique(grid.frozen_grid().start) == pytest.approx([0, 1 / 53])
    assert grid.frozen_grid(starts="corner").start[0] == 1


def test_the_expert_walks_shortest_paths():
    """Undiscounted, an optimal return is 1 - 0.01 · distance; distances by breadth-first search."""
    mdp, expert = grid.frozen_grid(), grid.world().expert
    distance, frontier = {63: 0}, [63]
    while frontier:
        goal = frontier.pop(0)
        for s in np.argwhere((mdp.P[:, :, goal] > 0).any(1)).ravel():
            if s not in distance and not mdp.terminal[s]:
                distance[int(s)] = distance[goal] + 1
                frontier.append(int(s))
    v = evaluate(mdp, expert, horizon=100)
    assert len(distance) == 54
    for s, d in distance.items():
        assert s == 63 or v[s] == pytest.approx(1 - 0.01 * d, abs=1e-12)


def test_references_agree_with_a_million_random_steps():
    """Mean of 60,000 random episodes, five standard errors."""
    world = grid.world()
    play = simulate(world.mdp, np.full((64, 4), 0.25), 60_000, np.random.default_rng(0), 400)
    G = np.add.reduceat(play.reward, play.starts[:-1])
    assert abs(G.mean() - world.J_random) < 5 * G.std() / 60_000**0.5
    assert world.score(world.J_random) == 0 and world.score(world.J_expert) == 100


def test_rich_starts_add_one_to_the_first_move_only():
    plain, rich = grid.frozen_grid(0.1), grid.frozen_grid(0.1, rich=True)
    assert rich.S == 128
    assert rich.start[:64] == pytest.approx(plain.start / 2) and rich.start[64:] == pytest.approx(plain.start / 2)
    assert rich.P[:, :, 64:].sum() == 0                                   # the flag is gone after one move
    pi = np.random.default_rng(0).dirichlet(np.ones(4), 64)
    v, v2 = evaluate(plain, pi, horizon=50), evaluate(rich, np.concatenate([pi, pi]), horizon=50)
    assert v2[:64] == pytest.approx(v) and v2[64:] == pytest.approx(v + ~plain.terminal)


def test_features_are_row_column_and_flag():
    assert grid.features(np.array([0, 63, 64 + 10])).tolist() == [[0, 0, 0], [7, 7, 0], [1, 2, 1]]


def test_slip_goes_to_either_side():
    mdp = grid.frozen_grid(0.2)
    s = 8 * 1 + 3                                                         # free on all sides
    assert mdp.P[s, 2, s + 1] == pytest.approx(0.8)
    assert mdp.P[s, 2, s + 8] == mdp.P[s, 2, s - 8] == pytest.approx(0.1)


def test_bad_settings_say_what_was_expected():
    with pytest.raises(ValueError, match=r"slip is 1.5, expected a probability"):
        grid.frozen_grid(1.5)
    with pytest.raises(ValueError, match="expected 'uniform' or 'corner'"):
        grid.frozen_grid(0.0, "middle")


def test_shared_arrays_cannot_be_written():
    with pytest.raises(ValueError, match="read-only"):
        grid.frozen_grid().P[0, 0, 0] = 1


def test_gymnasium_makes_it():
    env = gymnasium.make("rlkit/FrozenGrid-v0", slip=0.1, rich=True)
    obs, _ = env.reset(seed=0)
    assert env.observation_space.n == 128 and env.observation_space.contains(obs)
    total, over = 0.0, False
    while not over:
        obs, r, terminated, truncated, _ = env.step(env.action_space.sample())
        total, over = total + r, terminated or truncated
    assert -4 <= total <= 2


def test_the_best_policy_is_best_on_slippery_ice():
    world = grid.world(0.3)
    v, _, _ = solve(world.mdp, gamma=0.99)
    rng = np.random.default_rng(0)
    for _ in range(20):
        other = rng.dirichlet(np.ones(4) * 0.3, 64)
        assert (evaluate(world.mdp, other, gamma=0.99) <= v + 1e-9).all()
    assert evaluate(world.mdp, world.expert, gamma=0.99) == pytest.approx(v)
