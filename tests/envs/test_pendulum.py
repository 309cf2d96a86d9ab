"""The batch of pendulums is Gymnasium's Pendulum-v1, step by step; the expert swings it up."""

import gymnasium
import numpy as np
import pytest
from gymnasium.envs.classic_control import PendulumEnv
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode

import rlkit.envs  # noqa: F401  (registers rlkit/Pendulum-v0)
from rlkit.envs.pendulum import PendulumVectorEnv, expert, random

B = 24


def twins(seed, **kwargs):
    """The batch, and the same pendulums one by one, in the same states."""
    batch = gymnasium.make_vec("rlkit/Pendulum-v0", num_envs=B, **kwargs)
    obs, _ = batch.reset(seed=seed)
    ones = [PendulumEnv(**kwargs) for _ in range(B)]
    for one, state in zip(ones, batch.state):
        one.reset()
        one.state = state.copy()
    return batch, ones, obs


@pytest.mark.parametrize("seed, g", [(0, 10.0), (1, 10.0), (2, 3.7)])
@pytest.mark.parametrize("kind", ["random beyond the bounds", "expert", "double precision", "at the speed limit"])
def test_every_step_is_that_of_gymnasium(seed, g, kind):
    batch, ones, obs = twins(seed, **({} if g == 10 else {"g": g}))
    rng = np.random.default_rng(seed)
    for t in range(200):
        action = {"random beyond the bounds": rng.uniform(-3, 3, (B, 1)).astype(np.float32), "expert": expert(obs),
                  "double precision": rng.uniform(-2, 2, (B, 1)), "at the speed limit": np.sign(obs[:, 2:]) * 2}[kind]
        obs, reward, terminated, truncated, info = batch.step(action)
        theirs = [one.step(a) for one, a in zip(ones, action)]
        # chaotic over 200 steps, so the states are set equal again: what is compared is each step, to 1 ulp of float32
        np.testing.assert_allclose(obs, [x[0] for x in theirs], rtol=1.2e-7, atol=1e-7)
        np.testing.assert_allclose(reward, [x[1] for x in theirs], rtol=1e-12, atol=5e-10)    # 0.001 u² in float32
        np.testing.assert_allclose(batch.state, [one.state for one in ones], rtol=1e-12, atol=1e-12)
        for one, state in zip(ones, batch.state):
            one.state = state.copy()
        assert obs.dtype == np.float32 and reward.dtype == np.float64 and not terminated.any()
        assert truncated.all() == (t == 199) and truncated.any() == (t == 199)


def test_an_episode_is_cut_by_the_clock_and_the_next_step_starts_another():
    batch = PendulumVectorEnv(3, max_episode_steps=5)
    first, _ = batch.reset(seed=0)
    zeros = np.zeros((3, 1), np.float32)
    for t in range(5):
        obs, reward, terminated, truncated, _ = batch.step(zeros)
        assert truncated.all() == (t == 4) and not terminated.any() and (reward < 0).all()
    obs, reward, terminated, truncated, _ = batch.step(zeros)
    assert (reward == 0).all() and not truncated.any() and (np.abs(obs[:, 2]) <= 1).all()
    assert (obs != first).any(axis=1).all()
    assert batch.metadata["autoreset_mode"] is AutoresetMode.NEXT_STEP


def test_some_can_start_again_while_the_others_go_on():
    batch = PendulumVectorEnv(4)
    before, _ = batch.reset(seed=0)
    before, *_ = batch.step(np.ones((4, 1)))
    mask = np.array([True, False, False, True])
    after, _ = batch.reset(options={"reset_mask": mask})
    assert (after[~mask] == before[~mask]).all() and (after[mask] != before[mask]).any(axis=1).all()
    assert batch.steps.tolist() == [0, 1, 1, 0]


def test_starts_are_those_of_gymnasium():
    batch = PendulumVectorEnv(20_000)
    batch.reset(seed=3)
    for column, bound in enumerate((np.pi, 1.0)):
        x = batch.state[:, column]
        assert np.abs(x).max() <= bound and np.abs(x).max() > 0.999 * bound
        assert abs(x.mean()) < 4 * bound / np.sqrt(3 * 20_000)          # 4 standard errors of a uniform mean
    batch.reset(seed=3, options={"x_init": 0.1, "y_init": 0.2})
    assert (np.abs(batch.state) <= [0.1, 0.2]).all()


def test_the_same_seed_gives_the_same_episode():
    def play(seed):
        batch, rng = PendulumVectorEnv(5), np.random.default_rng(0)
        obs = [batch.reset(seed=seed)[0]]
        for _ in range(30):
            obs.append(batch.step(random(obs[-1], rng))[0])
        return np.array(obs)
    assert (play(1) == play(1)).all() and (play(1) != play(2)).any()


@pytest.mark.filterwarnings("ignore:.*symmetric and normalized")
def test_one_pendulum_is_made_too_and_the_spaces_agree():
    one = gymnasium.make("rlkit/Pendulum-v0")
    check_env(one.unwrapped, skip_render_check=True)
    batch = gymnasium.make_vec("rlkit/Pendulum-v0", num_envs=2)
    real = gymnasium.make("Pendulum-v1")
    assert one.observation_space == batch.single_observation_space == real.observation_space
    assert one.action_space == batch.single_action_space == real.action_space
    assert one.spec.max_episode_steps == real.spec.max_episode_steps == batch.max_episode_steps == 200
    assert batch.observation_space.contains(batch.reset(seed=0)[0])


@pytest.mark.parametrize("wrong", [np.zeros(3), np.zeros((3, 2)), np.zeros((2, 1)), 0.0])
def test_an_action_of_another_shape_is_refused(wrong):
    batch = PendulumVectorEnv(3)
    batch.reset(seed=0)
    with pytest.raises(ValueError, match=r"expected \(3, 1\), a torque for each"):
        batch.step(wrong)
    with pytest.raises(ValueError, match="the batch draws no pictures"):
        PendulumVectorEnv(3, render_mode="rgb_array")


# ---- the two policies

def play(policy, episodes, seed):
    batch, rng = PendulumVectorEnv(episodes), np.random.default_rng(seed)
    obs, _ = batch.reset(seed=seed)
    J = np.zeros(episodes)
    for _ in range(200):
        obs, reward, *_ = batch.step(policy(obs, rng))
        J += reward
    return J, batch.state


@pytest.mark.parametrize("seed", [11, 12])
def test_the_expert_swings_up_from_every_start_and_stays_there(seed):
    J, state = play(expert, 1000, seed)
    theta = (state[:, 0] + np.pi) % (2 * np.pi) - np.pi
    assert (np.abs(theta) < 0.05).mean() > 0.99 and (np.abs(state[:, 1]) < 0.1).mean() > 0.99
    low, _ = play(random, 1000, seed)
    # no policy can pay less than nothing; 150 is what good learned policies cost, 1200 what a random one does
    assert -200 < J.mean() < -100 and low.mean() < -1000


def test_torques_lie_within_the_bounds_and_pump_energy_towards_the_upright_value():
    g = np.random.default_rng(0)
    theta, speed = g.uniform(-np.pi, np.pi, 5000), g.uniform(-8, 8, 5000)
    obs = np.stack([np.cos(theta), np.sin(theta), speed], axis=1).astype(np.float32)
    u = expert(obs)
    assert u.shape == (5000, 1) and u.dtype == np.float32 and (np.abs(u) <= 2).all()
    assert random(obs, g).shape == (5000, 1) and (np.abs(random(obs, g)) <= 2).all()
    energy = speed**2 / 2 + 15 * np.cos(theta) - 15
    away = (np.abs(theta) > 0.6) & (np.abs(energy) > 1e-3) & (np.abs(speed) > 1e-3)
    change = 3 * u[away, 0] * speed[away]                               # dE/dt
    assert (np.sign(change) == -np.sign(energy[away])).all()


def test_the_expert_is_odd_as_the_pendulum_is_and_starts_from_rest():
    g = np.random.default_rng(1)
    theta, speed = g.uniform(-3, 3, 500), g.uniform(-8, 8, 500)
    at = lambda t, s: np.stack([np.cos(t), np.sin(t), s], axis=-1)       # noqa: E731
    np.testing.assert_allclose(expert(at(-theta, -speed)), -expert(at(theta, speed)), atol=1e-6)
    assert expert(at(np.pi, 0.0)).item() == 2 and expert(at(0.0, 0.0)).item() == 0
    assert expert(at(theta.reshape(5, 100), speed.reshape(5, 100))).shape == (5, 100, 1)      # any leading axes
