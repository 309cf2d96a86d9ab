"""Policy gradient on CartPole: its record against Gymnasium step by step, its advantages against a loop."""

from dataclasses import replace

import gymnasium
import numpy as np
import pytest
import torch

from rlkit.nets import MLP
from rlkit.papers import entropy_control as ec

SMALL = ec.ControlConfig(runs=3, envs=4, T=32, hidden=8, steps=4)


@pytest.fixture(autouse=True)
def one_thread():
    n = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(n)


@pytest.fixture
def record():
    """Of two rounds of random play the second: obs, action, reward, terminated, over, real; and the mean lengths."""
    env = gymnasium.make_vec("CartPole-v1", num_envs=12, vectorization_mode="vector_entry_point")
    env.max_episode_steps = 25                                            # so that some episodes are cut
    game = ec._Game(env, 3, 4, 40, np.random.default_rng(0))
    actor = MLP(3, (4, 8, 2), torch.Generator().manual_seed(0))
    game.play(actor)
    begun = np.stack([game.length, game.last]).reshape(2, 3, 4)
    yield game.play(actor), begun, game.returns()
    env.close()


def test_every_real_step_is_gymnasiums_own_and_the_others_are_resets(record):
    (obs, action, reward, terminated, over, real), (length, last), returns = record
    plain = gymnasium.make("CartPole-v1").unwrapped
    plain.reset(seed=0)
    for r, t, b in np.ndindex(3, 40, 4):
        if real[r, t, b]:
            plain.state, plain.steps_beyond_terminated = tuple(np.float64(obs[r, t, b] * ec.SCALE)), None
            after, pay, end, _, _ = plain.step(int(action[r, t, b]))
            np.testing.assert_allclose(obs[r, t + 1, b] * ec.SCALE, after, atol=1e-6)    # float32 in between
            assert (pay, end) == (reward[r, t, b], terminated[r, t, b])
        else:
            assert reward[r, t, b] == 0 and (np.abs(obs[r, t + 1, b] * ec.SCALE) <= 0.0501).all()     # a fresh start
    for t in range(40):                                                   # count each episode
        length = length + real[:, t]
        last, length = np.where(over[:, t], length, last), np.where(over[:, t], 0, length)
    assert (last > 0).all() and returns == pytest.approx(last.mean(1))
    assert (real[:, 1:] == ~over[:, :-1]).all() and (over & ~terminated).any()           # some were cut, not over


def test_actions_are_drawn_with_the_actors_probabilities():
    env = gymnasium.make_vec("CartPole-v1", num_envs=40, vectorization_mode="vector_entry_point")
    game = ec._Game(env, 1, 40, 100, np.random.default_rng(0))
    actor = MLP(1, (4, 8, 2), torch.Generator().manual_seed(0))
    with torch.no_grad():
        actor.layers[-1][1][..., 1] += 1.5
    obs, action, *_ = game.play(actor)
    env.close()
    with torch.no_grad():
        p = actor(torch.from_numpy(obs[:, :-1].reshape(1, -1, 4))).softmax(-1)[0, :, 1].numpy()
    assert p.mean() > 0.7 and action.mean() == pytest.approx(p.mean(), abs=4.5 * 0.5 / 4000**0.5)   # standard errors


@pytest.mark.parametrize("lam", [0.0, 0.6, 1.0])
def test_advantages_stop_at_ends_and_count_the_value_of_a_cut(record, lam):
    (obs, _, reward, terminated, over, real), *_ = record
    critic, cfg = MLP(3, (4, 8, 1), torch.Generator().manual_seed(1)), ec.ControlConfig(gamma=0.9, lam=lam)
    adv, target, valid = ec._advantages(critic, obs, reward, terminated, over, real, cfg)
    with torch.no_grad():
        v = critic(torch.from_numpy(obs.reshape(3, -1, 4))).numpy().reshape(3, 41, 4) / (0.1 + 1e-3)
    A = np.zeros((3, 40, 4))
    for r, t, b in sorted(np.ndindex(3, 40, 4), key=lambda i: -i[1]):
        A[r, t, b] = reward[r, t, b] + 0.9 * v[r, t + 1, b] * (not terminated[r, t, b]) - v[r, t, b]
        if t < 39 and not over[r, t, b]:
            A[r, t, b] += 0.9 * lam * A[r, t + 1, b]
    np.testing.assert_allclose((target / (0.1 + 1e-3)).reshape(3, 40, 4)[real], (A + v[:, :-1])[real], rtol=1e-4)
    for r in range(3):
        a = A[r][real[r]]
        np.testing.assert_allclose(adv[r].reshape(40, 4)[real[r]], (a - a.mean()) / a.std(), atol=1e-3)
    assert (adv.reshape(3, 40, 4)[~real] == 0).all() and (valid.reshape(3, 40, 4) == real).all()


def test_the_lemma_is_asked_at_the_states_visited_and_its_second_order_is_nearly_exact():
    cfg = replace(SMALL, steps=12, eta=1e-2)
    history = list(ec.control(cfg, np.random.default_rng(0), every=1))
    exact, first, second = (np.array([getattr(s, k) for s in history]) for k in ("exact", "first", "second"))
    assert np.abs(exact - second).sum() < 0.1 * np.abs(exact - first).sum() < 0.1 * np.abs(exact).sum()
    assert (np.abs([s.H for s in history]) <= np.log(2) + 1e-6).all()


def test_looking_more_often_does_not_change_what_is_learned():
    often, seldom = ([*ec.control(SMALL, np.random.default_rng(3), every=k)][-1] for k in (1, 4))
    for a, b in zip(often, seldom):
        np.testing.assert_array_equal(a, b)


def test_a_batch_of_runs_is_as_many_single_runs():
    cfg, n = replace(SMALL, steps=15, eta=2e-2, hidden=16), 16
    *_, batch = ec.control(replace(cfg, runs=n), np.random.default_rng(4), every=15)
    single = [[*ec.control(replace(cfg, runs=1), g, every=15)][-1].H[0] for g in np.random.default_rng(5).spawn(n)]
    error = batch.H.mean() - np.mean(single)
    assert abs(error) < 4.5 * np.hypot(batch.H.std(ddof=1), np.std(single, ddof=1)) / n**0.5       # standard errors


def test_a_bonus_acts_on_the_next_update_and_raises_entropy():
    ends = {}
    for alpha in (0.0, 1.0):
        learner = ec.control(replace(SMALL, steps=60, eta=2e-2), np.random.default_rng(6), every=10)
        next(learner)
        learner.send(replace(SMALL, steps=60, eta=2e-2, alpha=alpha))
        *_, last = learner
        ends[alpha] = last.H.mean()
    assert ends[1.0] > ends[0.0] + 0.01


def test_what_cannot_change_in_mid_run_is_refused():
    learner = ec.control(SMALL, np.random.default_rng(0), every=1)
    next(learner)
    with pytest.raises(ValueError, match="hidden.*change in mid-run"):
        learner.send(replace(SMALL, hidden=16))
