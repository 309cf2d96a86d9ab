import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import gymnasium
import numpy as np
import pytest
import torch

from rlkit.envs import mixed
from rlkit.trajectories import mix

STORED = Path(mixed.__file__).with_name("behaviours.npz")
MUJOCO = [task for task in mixed.TASKS if task != "pendulum"]


def rng(seed=0):
    return np.random.default_rng(seed)


def play(task, name, episodes, max_steps=None, seed=1):
    generator, policy = rng(seed), mixed.behaviour(task, name)
    return mixed.evaluate_policy(task, lambda obs: policy(obs, generator), 1, episodes, generator, max_steps)[0]


def assert_same_mean(x, reference):
    """Within four standard errors of the difference: one false alarm in 15,000."""
    assert x.mean() == pytest.approx(reference.J, abs=4 * np.hypot(reference.se, x.std(ddof=1) / len(x)**0.5))


# ---- references and scores


@pytest.mark.parametrize("name", ["random", "expert"])
@pytest.mark.parametrize("steps", [200, 40])
def test_pendulum_references_hold_on_fresh_episodes(name, steps):
    assert_same_mean(play("pendulum", name, 500, steps), mixed.reference("pendulum", name, steps))


@pytest.mark.parametrize("task", MUJOCO)
@pytest.mark.parametrize("name", ["random", "medium", "expert"])
def test_stored_references_hold_on_fresh_episodes(task, name):
    assert_same_mean(play(task, name, 12, 100), mixed.reference(task, name, 100))


@pytest.mark.parametrize("task", mixed.TASKS)
def test_the_score_is_0_for_the_random_policy_and_100_for_the_expert(task):
    low, high = (mixed.reference(task, name).J for name in ("random", "expert"))
    assert mixed.score([low, (low + high) / 2, high], task) == pytest.approx([0, 50, 100])


@pytest.mark.parametrize("task", MUJOCO)
def test_medium_stands_between_a_quarter_and_half_way_to_the_expert(task):
    assert 25 < mixed.score(mixed.reference(task, "medium").J, task) < 50


@pytest.mark.parametrize("task", MUJOCO)
def test_references_come_from_at_least_fifty_episodes_and_say_how_they_were_made(task):
    with np.load(STORED) as file:
        about = json.loads(str(file[f"{task}/about"]))
    assert about["env"] == mixed.TASKS[task] and about["episodes"] >= 50
    assert {"seeds", "gymnasium", "mujoco", "torch", "stable-baselines3"} <= about.keys()


def test_the_stored_policies_are_small():
    assert STORED.stat().st_size < 300_000


# ---- policies


def test_a_stored_network_is_what_torch_makes_of_its_weights():
    layers = mixed._weights("halfcheetah", "expert")
    linear = [torch.nn.Linear(*W.shape) for W, _ in layers]
    for module, (W, b) in zip(linear, layers):
        module.weight.data, module.bias.data = torch.from_numpy(W.T.copy()), torch.from_numpy(b)
    network = torch.nn.Sequential(linear[0], torch.nn.ReLU(), linear[1], torch.nn.ReLU(), linear[2], torch.nn.Tanh())
    obs = rng().normal(size=(2, 5, 17)).astype(np.float32)
    ours = mixed.behaviour("halfcheetah", "expert")(obs, rng())
    assert ours == pytest.approx(network(torch.from_numpy(obs)).detach().numpy(), abs=1e-5)     # float32 sums


def test_the_random_policy_fills_the_action_space():
    action = mixed.behaviour("halfcheetah", "random")(np.zeros((1000, 17)), rng())
    assert action.shape == (1000, 6) and action.min() < -0.99 and action.max() > 0.99 and np.abs(action).max() <= 1


# ---- evaluation


def test_evaluation_is_gymnasiums_own_loop():
    policy, generator = mixed.behaviour("halfcheetah", "medium"), rng(3)
    expected = []
    for seed in generator.integers(2**31, size=2):
        env = mixed.make("halfcheetah")
        obs, total = env.reset(seed=int(seed))[0], 0.0
        for _ in range(15):
            obs, reward, *_ = env.step(policy(obs[None], None)[0])
            total += reward
        expected.append(total)
    J = mixed.evaluate_policy("halfcheetah", policy, 2, 1, rng(3), 15)
    assert J[:, 0] == pytest.approx(expected, abs=1e-4)                   # float32 actions: a batch may round otherwise


@pytest.mark.parametrize("task", mixed.TASKS)
def test_the_same_seed_gives_the_same_returns_and_a_cut_episode_its_first_rewards(task):
    whole = mixed.rewards(task, mixed.behaviour(task, "expert"), 2, 2, rng(), 20)
    again = mixed.rewards(task, mixed.behaviour(task, "expert"), 2, 2, rng(), 20)
    part = mixed.evaluate_policy(task, mixed.behaviour(task, "expert"), 2, 2, rng(), 8)
    assert np.array_equal(whole, again) and np.array_equal(whole[:8].sum(0), part)


def test_each_run_is_given_its_own_observations_and_starts():
    seen = []
    mixed.evaluate_policy("pendulum", lambda obs: seen.append(obs) or np.zeros((3, 4, 1)), 3, 4, rng(), 2)
    assert seen[0].shape == (3, 4, 3) and len(np.unique(seen[0].reshape(12, 3), axis=0)) == 12


@pytest.mark.parametrize("task, size, limit", [("pendulum", 1, 2.0), ("halfcheetah", 6, 1.0)])
def test_actions_beyond_the_motors_count_as_their_limit(task, size, limit):
    far, limit = (mixed.evaluate_policy(task, lambda obs, u=u: np.full((1, 2, size), u), 1, 2, rng(), 10)
                  for u in (1e6, limit))
    assert np.array_equal(far, limit)


# ---- data


@pytest.mark.parametrize("task, size, steps", [("pendulum", 20_000, None), ("halfcheetah", 400, 20)])
def test_a_mix_holds_the_wanted_share_of_whole_episodes_of_each(task, size, steps):
    good, bad, low, high = mixed.datasets(task, rng(), size, 0.1, max_steps=steps)
    length = steps or mixed.HORIZON[task]
    for part in (good, bad):
        assert (part.lengths == length).all() and part.truncated.sum() == part.n and not part.terminated.any()
    data = mix(good, bad, 0.1, size, rng())
    assert data.names == ("expert", "random") and data.m == size and (data.source == 0).mean() == pytest.approx(0.1)
    assert good.returns.mean() > bad.returns.mean() and low < high
    assert good.n >= 4 * (data.source == 0).sum()                         # drawn with replacement, yet few twice


def test_without_a_share_there_are_enough_of_both_for_any():
    good, bad, *_ = mixed.datasets("pendulum", rng(), 4000)
    assert good.m == bad.m == 4000


def test_collected_data_earn_what_the_reference_says():
    good, bad, low, high = mixed.datasets("pendulum", rng(), 60_000)
    assert_same_mean(good.returns, mixed.reference("pendulum", "expert"))
    assert_same_mean(bad.returns, mixed.reference("pendulum", "random"))
    assert (low, high) == (mixed.reference("pendulum", "random").J, mixed.reference("pendulum", "expert").J)


# ---- manners


def test_importing_waits_neither_for_mujoco_nor_for_torch():
    code = "import sys, rlkit.envs.mixed; assert not {'mujoco', 'torch'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_cheetah_is_made_in_silence_and_leaves_no_log(tmp_path, monkeypatch, capfd, recwarn):
    monkeypatch.chdir(tmp_path)
    mixed.make("halfcheetah").close()
    assert capfd.readouterr() == ("", "") and not list(tmp_path.iterdir()) and not recwarn.list


def test_without_mujoco_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r'HalfCheetah-v5 needs .* mujoco.*pip install "gymnasium\[mujoco\]"'):
        mixed.datasets("halfcheetah", rng(), 100)
    assert isinstance(mixed.make("pendulum"), gymnasium.Env)


@pytest.mark.parametrize("call, message", [
    (lambda: mixed.behaviour("hopper", "expert"), "task is 'hopper', expected one of 'pendulum', 'halfcheetah'"),
    (lambda: mixed.behaviour("pendulum", "medium"), "no behaviour 'medium' on pendulum, expected .*'expert'"),
    (lambda: mixed.reference("pendulum", "expert", 201), "max_steps is 201, expected 1 to 200 on pendulum"),
    (lambda: mixed.evaluate_policy("pendulum", lambda obs: np.zeros((2, 1)), 1, 2, rng()),
     r"actions of shape \(2, 1\), expected \(1, 2, 1\)"),
])
def test_errors_say_what_was_expected(call, message):
    with pytest.raises(ValueError, match=message):
        call()
