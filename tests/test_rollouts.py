"""Collected episodes are whole, real, in order, and none is more likely to be kept for being short."""

import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import Box, Dict, Discrete, MultiDiscrete
from gymnasium.vector import AutoresetMode, SyncVectorEnv, VectorEnv

from rlkit.envs import pendulum
from rlkit.rollouts import collect

MODES = list(AutoresetMode)


class Counter(gymnasium.Env):
    """Observes (episode, step); episode k lasts 1 + (3 k + offset) mod 7 steps and pays 100 k + step. Even ones end by
    themselves, odd ones are truncated. So every row of a dataset says where it belongs."""

    observation_space, action_space = Box(-np.inf, np.inf, (2,), np.float64), Box(-1.0, 1.0, (1,))

    def __init__(self, offset=0):
        self.k, self.offset, self.closed = -1, offset, False

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.k, self.t = self.k + 1, 0
        return np.array([self.k, self.t], float), {}

    def step(self, action):
        assert self.action_space.contains(np.asarray(action))
        self.t += 1
        over = self.t == 1 + (3 * self.k + self.offset) % 7
        assert self.t <= 1 + (3 * self.k + self.offset) % 7, "stepped after the end"
        return (np.array([self.k, self.t], float), 100 * self.k + self.t, over and self.k % 2 == 0,
                over and self.k % 2 == 1, {})

    def close(self):
        self.closed = True


def nothing(obs, rng):
    return np.zeros((len(obs), 1), np.float32)


def check_rows(d, limit=99):
    """Every episode starts at step 0, has each step once, and ends where its world said or at the limit."""
    for i in range(d.n):
        one, k = d.select(i), int(d.first_obs[i, 0])
        T = d.lengths[i]
        np.testing.assert_array_equal(one.obs, [[k, t] for t in range(T)])
        assert one.final_obs[0].tolist() == [k, T] and one.reward.tolist() == [100 * k + t + 1 for t in range(T)]
        assert one.terminated[-1] == (k % 2 == 0 and one.truncated[-1] == False)      # noqa: E712


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("episodes", [1, 3, 4, 5, 23])
def test_every_autoreset_mode_gives_the_episodes_that_were_played_and_no_other_row(mode, episodes):
    venv = SyncVectorEnv([lambda i=i: Counter(i) for i in range(4)], autoreset_mode=mode)
    d = collect(venv, nothing, episodes=episodes, rng=np.random.default_rng(0))
    assert d.n == episodes and not any(env.closed for env in venv.envs)
    check_rows(d)
    assert d.first_obs[:4, 0].tolist() == [0.0] * min(4, episodes)      # the first four were started first


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("limit", [1, 2, 4])
def test_our_limit_truncates_in_every_autoreset_mode(mode, limit):
    venv = SyncVectorEnv([lambda i=i: Counter(i) for i in range(3)], autoreset_mode=mode)
    d = collect(venv, nothing, episodes=17, max_steps=limit, rng=np.random.default_rng(0))
    check_rows(d)
    assert d.lengths.max() == limit and d.n == 17
    natural = np.array([1 + (3 * k + i) % 7 for k in range(9) for i in range(3)])
    assert set(d.lengths) == set(np.minimum(natural, limit))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("transitions", [1, 2, 7, 50, 51, 52, 53])
def test_a_number_of_transitions_is_met_exactly_and_only_the_last_episode_is_cut(mode, transitions):
    venv = SyncVectorEnv([lambda i=i: Counter(i) for i in range(3)], autoreset_mode=mode)
    d = collect(venv, nothing, transitions=transitions, rng=np.random.default_rng(0))
    assert d.m == transitions
    for i in range(d.n - 1):
        assert d.lengths[i] == 1 + (3 * int(d.first_obs[i, 0]) + i % 3) % 7 or i >= 3        # known for the first three
    check_rows(d.select(slice(d.n - 1))) if d.n > 1 else None
    last = d.select(d.n - 1)
    assert last.terminated[-1] or last.truncated[-1]
    assert last.final_obs[0, 1] == d.lengths[-1]                        # what followed the cut, not a first observation


def test_one_environment_and_a_function_that_makes_one_give_the_same_episodes():
    one = collect(Counter(), nothing, episodes=9, rng=np.random.default_rng(0))
    made = collect(Counter, nothing, episodes=9, num_envs=1, rng=np.random.default_rng(0))
    for d in (one, made):
        assert d.first_obs[:, 0].tolist() == list(range(9))
        assert d.lengths.tolist() == [1 + 3 * k % 7 for k in range(9)]
    env = Counter()
    short = collect(env, nothing, episodes=9, max_steps=2, rng=np.random.default_rng(0))
    assert short.lengths.tolist() == [min(2, T) for T in one.lengths] and not env.closed
    check_rows(short)


class Coin(gymnasium.Env):
    """Half of the episodes last 1 step, half of them 25."""

    observation_space, action_space = Discrete(2), Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.t, self.T = 0, (1, 25)[self.np_random.integers(2)]
        return int(self.T > 1), {}

    def step(self, action):
        self.t += 1
        return int(self.T > 1), 1.0, self.t == self.T, False, {}


def test_long_episodes_are_as_likely_to_be_kept_as_short_ones():
    zeros = lambda obs, rng: np.zeros(len(obs), int)                    # noqa: E731
    d = collect(Coin, zeros, episodes=1200, num_envs=8, rng=np.random.default_rng(0))
    share = (d.lengths == 25).mean()
    assert abs(share - 0.5) < 4 * np.sqrt(0.25 / 1200)                  # 4 standard errors
    small = [collect(Coin, zeros, episodes=8, num_envs=8, rng=np.random.default_rng(s)) for s in range(60)]
    share = np.mean([(d.lengths == 25).mean() for d in small])          # stopping after a number of steps gives < 0.3
    assert abs(share - 0.5) < 4 * np.sqrt(0.25 / 480)


def test_the_same_seed_gives_the_same_data_and_another_seed_other_data():
    play = lambda seed, **kw: collect("CartPole-v1", lambda o, g: g.integers(2, size=len(o)),      # noqa: E731
                                      rng=np.random.default_rng(seed), **kw)
    a, b, c = play(0, episodes=20), play(0, episodes=20), play(1, episodes=20)
    for k in ("obs", "action", "reward", "starts", "final_obs"):
        np.testing.assert_array_equal(getattr(a, k), getattr(b, k))
    assert a.m != c.m or (a.obs != c.obs).any()
    assert np.unique(a.first_obs, axis=0).shape == a.first_obs.shape    # and no two episodes start alike


@pytest.mark.parametrize("env_id", ["CartPole-v1", "FrozenLake-v1", "MountainCarContinuous-v0", "rlkit/Pendulum-v0"])
def test_collected_steps_are_those_the_environment_makes(env_id):
    """Replayed by hand: an environment put in the same way through the same actions sees and pays the same."""
    def policy(obs, rng):
        space = gymnasium.make(env_id, disable_env_checker=True).action_space
        if isinstance(space, Discrete):
            return rng.integers(space.n, size=len(obs))
        return rng.uniform(space.low, space.high, (len(obs), *space.shape))
    d = collect(env_id, policy, episodes=3, num_envs=1, max_steps=30, rng=np.random.default_rng(7))
    seed = int(np.random.default_rng(7).integers(2**31))
    env = gymnasium.make_vec(env_id, num_envs=1, max_episode_steps=30)
    obs, _ = env.reset(seed=seed)
    for t in range(d.lengths[0]):
        np.testing.assert_array_equal(obs[0], d.obs[t])
        obs, reward, terminated, truncated, _ = env.step(d.action[t:t + 1])
        assert reward[0] == d.reward[t] and terminated[0] == d.terminated[t] and truncated[0] == d.truncated[t]
    np.testing.assert_array_equal(obs[0], d.final_obs[0])
    assert d.action_space == env.single_action_space and d.lengths.max() <= 30
    assert d.action.dtype == env.single_action_space.dtype


def test_a_limit_never_lengthens_episodes():
    d = collect("rlkit/Pendulum-v0", pendulum.random, episodes=2, max_steps=1000, rng=np.random.default_rng(0))
    assert d.lengths.tolist() == [200, 200] and d.truncated.sum() == 2


def constant(action):
    return lambda obs, rng: np.broadcast_to(action, (len(obs), *np.shape(action)))


@pytest.mark.parametrize("env, policy, words", [
    ("rlkit/Pendulum-v0", constant(np.array([2.5])), r"action \[2.5\], expected one of Box.*np.clip"),
    ("rlkit/Pendulum-v0", constant(np.array([np.nan])), r"action \[nan\]"),
    ("rlkit/Pendulum-v0", constant(1.0), r"shape \(3,\), expected \(3, 1\)"),
    ("CartPole-v1", constant(2), r"action 2, expected one of Discrete\(2\)"),
    ("CartPole-v1", constant(-1), "action -1"),
    ("CartPole-v1", constant(0.7), "dtype float64, expected int64"),
    ("CartPole-v1", lambda obs, rng: np.zeros((len(obs), 1), int), r"shape \(3, 1\), expected \(3,\)"),
])
def test_an_action_outside_the_space_is_refused_never_clipped_in_silence(env, policy, words):
    with pytest.raises(ValueError, match=words):
        collect(env, policy, episodes=3, rng=np.random.default_rng(0))


def test_an_action_a_rounding_beyond_the_bound_is_taken_in_the_dtype_of_its_space():
    d = collect("rlkit/Pendulum-v0", constant(np.array([2.0 + 1e-12])), episodes=1, max_steps=2,
                rng=np.random.default_rng(0))
    assert d.action.dtype == np.float32 and (d.action == 2).all()


class Odd(gymnasium.Env):
    observation_space = Dict(a=Box(-1, 1, (2,)), b=Discrete(3))
    action_space = MultiDiscrete([2, 3])

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return dict(a=np.zeros(2, np.float32), b=2), {}

    def step(self, action):
        return dict(a=np.ones(2, np.float32), b=0), float(action.sum()), True, False, {}


def test_observations_that_are_no_arrays_are_refused_with_a_remedy_that_works():
    two = lambda obs, rng: np.tile([1, 2], (len(obs), 1))               # noqa: E731
    with pytest.raises(ValueError, match="observation_space is Dict.*FlattenObservation"):
        collect(Odd, two, episodes=2, rng=np.random.default_rng(0))
    d = collect(lambda: gymnasium.wrappers.FlattenObservation(Odd()), two, episodes=2, rng=np.random.default_rng(0))
    assert d.obs.tolist() == [[0, 0, 0, 0, 1]] * 2 and d.final_obs.tolist() == [[1, 1, 1, 0, 0]] * 2
    assert d.reward.tolist() == [3, 3] and d.action_space == Odd.action_space
    with pytest.raises(ValueError, match=r"action \[1 3\], expected one of MultiDiscrete"):
        collect(lambda: gymnasium.wrappers.FlattenObservation(Odd()), lambda o, g: np.tile([1, 3], (len(o), 1)),
                episodes=2, rng=np.random.default_rng(0))


def test_a_vector_environment_that_cannot_restart_some_is_refused_a_limit():
    venv = gymnasium.make_vec("CartPole-v1", num_envs=4)                # its own batch, which knows no reset_mask
    play = lambda obs, rng: np.arange(len(obs)) % 2                     # noqa: E731
    d = collect(venv, play, episodes=9, rng=np.random.default_rng(0))
    assert d.n == 9
    with pytest.raises(ValueError, match="starts all its environments again.*max_episode_steps"):
        collect(venv, lambda o, g: np.where(np.arange(len(o)), (o[:, 2] > 0), 0).astype(int), episodes=9, max_steps=8,
                rng=np.random.default_rng(0))


class Broken(Counter):
    def step(self, action):
        obs, reward, *rest = super().step(action)
        return obs, reward if self.k < 2 else float("nan"), *rest


def test_an_environment_that_pays_nan_is_named_by_episode_and_step():
    with pytest.raises(ValueError, match="reward is nan in episode 2, step 0"):
        collect(Broken, nothing, episodes=5, num_envs=1, rng=np.random.default_rng(0))


@pytest.mark.parametrize("change, error, words", [
    (dict(episodes=None), ValueError, "expected one of the two"),
    (dict(transitions=5), ValueError, "expected one of the two"),
    (dict(episodes=0), ValueError, "episodes is 0"), (dict(max_steps=0), ValueError, "max_steps is 0"),
    (dict(num_envs=0), ValueError, "num_envs is 0"),
    (dict(env=3), TypeError, "env is 3, expected a Gymnasium id"),
    (dict(env=type("Mute", (VectorEnv,), dict(num_envs=1, single_observation_space=Discrete(2),
                                              single_action_space=Discrete(2)))()), ValueError, "autoreset_mode"),
])
def test_a_request_that_makes_no_sense_is_refused(change, error, words):
    with pytest.raises(error, match=words):
        collect(**dict(env=Counter, policy=nothing, episodes=2, rng=np.random.default_rng(0)) | change)


def test_an_exact_model_played_as_an_environment_gives_its_exact_value():
    mdp = pytest.importorskip("rlkit.mdp")
    grid = pytest.importorskip("rlkit.envs.frozen_grid")
    model = grid.frozen_grid()
    pi = np.full(model.R.shape, 1 / model.R.shape[-1])
    d = collect(lambda: mdp.to_gymnasium(model), lambda o, g: g.integers(4, size=len(o)), episodes=400, max_steps=60,
                rng=np.random.default_rng(0))
    J = float(model.start @ mdp.evaluate(model, pi, horizon=60))
    assert d.returns.mean() == pytest.approx(J, abs=4 * d.returns.std() / 20)        # 4 standard errors
