"""What goes to Minari comes back the same; what others wrote there is read as it is, or refused by name."""

import json
import os
import shutil
import warnings
from dataclasses import replace

import gymnasium
import minari
import numpy as np
import pytest
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete, Text, Tuple, flatten, flatten_space
from minari.data_collector import EpisodeBuffer
from minari.storage import hosting

from rlkit.envs import pendulum
from rlkit.rollouts import collect
from rlkit.trajectories import ARRAYS, Dataset, mix

RNG = np.random.default_rng


@pytest.fixture(autouse=True)
def store(tmp_path, monkeypatch):
    """An empty store of our own, and no network."""
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "store"))

    def offline(*args, **kwargs):
        raise ConnectionError("no network")
    monkeypatch.setattr(hosting, "download_dataset", offline)
    return tmp_path / "store"


def same(a: Dataset, b: Dataset) -> bool:
    pairs = [(getattr(a, k), getattr(b, k)) for k in (*ARRAYS, "next_obs", "returns")]
    return all(x.dtype == y.dtype and x.shape == y.shape and x.tobytes() == y.tobytes() for x, y in pairs) \
        and a.observation_space == b.observation_space and a.action_space == b.action_space


def foreign(observation_space, action_space, episodes, name="foreign/set-v0"):
    """Written by Minari alone, as anyone else would."""
    buffers = [EpisodeBuffer(observations=o, actions=a, rewards=list(r), terminations=list(te), truncations=list(tr))
               for o, a, r, te, tr in episodes]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        minari.create_dataset_from_buffers(name, buffers, observation_space=observation_space,
                                           action_space=action_space)
    return name


def test_real_data_make_the_round_trip_exactly():
    good = collect("rlkit/Pendulum-v0", pendulum.expert, episodes=4, rng=RNG(0), name="Könner ☕")
    bad = collect("rlkit/Pendulum-v0", pendulum.random, episodes=4, rng=RNG(1), name="随机")
    d = mix(good, bad, 0.5, 1200, RNG(2))
    d.to_minari("course/pendulum/mixed-v0", env="Pendulum-v1", author="a student")
    again = Dataset.from_minari("course/pendulum/mixed-v0")
    assert same(d, again) and again.names == ("Könner ☕", "随机")
    theirs = minari.load_dataset("course/pendulum/mixed-v0")            # and Minari reads it as its own
    assert (theirs.total_episodes, theirs.total_steps) == (d.n, d.m)
    assert [e.rewards.sum() for e in theirs] == pytest.approx(d.returns)
    assert theirs.recover_environment().spec.id == "Pendulum-v1" and theirs.storage.metadata["author"] == {"a student"}


def test_discrete_data_make_the_round_trip_exactly():
    d = collect("FrozenLake-v1", lambda o, g: g.integers(4, size=len(o)), episodes=30, rng=RNG(0))
    assert d.lengths.min() < 4                                          # short ones among them
    d.to_minari("lake-v0")
    again = Dataset.from_minari("lake-v0")
    assert same(d, again) and again.action_space == Discrete(4) and again.observation_space == Discrete(16)


@pytest.mark.parametrize("space, dtype", [
    (Box(0, 255, (40, 40, 3), np.uint8), np.uint8),                     # an image: Minari's default would store a JPEG
    (Box(np.array([-np.inf, 0.1], np.float32), np.array([3, np.inf], np.float32)), np.float32),
    (MultiBinary(3), np.int8), (MultiDiscrete([2, 5], start=[0, -2]), np.int64),
    (Box(-1, 1, (), np.float64), np.float64)])
def test_any_array_space_and_an_episode_of_one_step_make_the_round_trip(space, dtype):
    space.seed(0)
    obs = np.array([space.sample() for _ in range(6)], dtype)
    d = Dataset(obs[:4], obs[:4], np.array([-0.0, 1, 2, 3], np.float32), np.array([0, 0, 1, 0], bool),
                np.array([0, 0, 1, 1], bool), [0, 3, 4], obs[4:], observation_space=space, action_space=space)
    d.to_minari("any/space-v3")
    assert same(d, Dataset.from_minari("any/space-v3"))


def test_a_dataset_is_found_by_its_folder_wherever_it_lies(store, tmp_path):
    d = collect("CartPole-v1", lambda o, g: g.integers(2, size=len(o)), episodes=3, rng=RNG(0))
    d.to_minari("aa/b-v0")
    shutil.move(store / "aa" / "b-v0", tmp_path / "elsewhere")
    for where in (tmp_path / "elsewhere", str(tmp_path / "elsewhere"), tmp_path / "elsewhere" / "data"):
        assert same(d, Dataset.from_minari(where))


@pytest.mark.parametrize("name", ["D4RL/pen/human-v2", "hopper", "no such thing!", ""])
def test_a_dataset_that_is_neither_here_nor_to_be_had_is_one_clear_error(name, store):
    Dataset.from_arrays(np.zeros((2, 1)), np.zeros(2, int), np.zeros(2), [False, True], next_obs=np.zeros((2, 1)),
                        observation_space=Box(-1, 1, (1,)), action_space=Discrete(2)).to_minari("here/one-v0")
    with pytest.raises(FileNotFoundError) as e:
        Dataset.from_minari(name)
    for words in (str(store), "On this machine: here/one-v0", "MINARI_DATASETS_PATH", "minari[hf]"):
        assert words in str(e.value)
    if name.startswith("D4RL"):
        assert "ConnectionError: no network" in str(e.value)


def test_a_folder_without_a_dataset_is_named(tmp_path):
    for where in (tmp_path / "nothing", str(tmp_path / "nothing"), tmp_path):
        with pytest.raises(FileNotFoundError, match=f"no Minari dataset in {where}, expected a folder with"):
            Dataset.from_minari(where)


@pytest.mark.parametrize("damage", ["half a file", "no file", "half the json", "an array is missing"])
def test_a_damaged_dataset_is_named(damage, store):
    d = collect("CartPole-v1", lambda o, g: g.integers(2, size=len(o)), episodes=3, rng=RNG(0))
    d.to_minari("aa/b-v0")
    data = store / "aa" / "b-v0" / "data"
    if damage == "half a file":
        content = (data / "main_data.hdf5").read_bytes()
        (data / "main_data.hdf5").write_bytes(content[: len(content) // 2])
    elif damage == "no file":
        os.remove(data / "main_data.hdf5")
    elif damage == "half the json":
        (data / "metadata.json").write_text((data / "metadata.json").read_text()[:50])
    else:
        import h5py
        with h5py.File(data / "main_data.hdf5", "a") as f:
            del f["episode_1/rewards"]
    for where in ("aa/b-v0", store / "aa" / "b-v0"):
        with pytest.raises(ValueError, match="b-v0.*(is damaged|cannot be read as a Minari dataset)"):
            Dataset.from_minari(where)


MAZE = Dict(observation=Box(-np.inf, np.inf, (4,), np.float64), achieved_goal=Box(-9, 9, (2,), np.float64),
            desired_goal=Box(-9, 9, (2,), np.float64))
NESTED = Dict(door=Discrete(3, start=1), hand=Tuple([Box(-1, 1, (2, 2)), MultiBinary(2)]))


@pytest.mark.parametrize("space, first", [(MAZE, "achieved_goal in columns 0 to 1"),
                                          (NESTED, "door in columns 0 to 2")])
def test_observations_in_parts_are_flattened_as_gymnasium_does_and_the_order_is_said(space, first):
    space.seed(1)
    seen = [space.sample() for _ in range(5)]

    def columns(samples, part):
        if isinstance(part, Dict):
            return {k: columns([s[k] for s in samples], p) for k, p in part.items()}
        if isinstance(part, Tuple):
            return tuple(columns([s[i] for s in samples], p) for i, p in enumerate(part))
        return np.array(samples)
    name = foreign(space, Box(-1, 1, (1,)), [(columns(seen, space), np.zeros((4, 1), np.float32), [0, 1, 2, 3],
                                              [0, 0, 0, 1], [0, 0, 0, 0])])
    with pytest.warns(UserWarning, match=f"are flattened: {first}"):
        d = Dataset.from_minari(name)
    given = minari.load_dataset(name).observation_space
    expected = np.array([flatten(given, s) for s in seen])
    np.testing.assert_array_equal(np.concatenate([d.obs, d.final_obs]), expected)
    assert d.observation_space == flatten_space(given) and d.obs.dtype == expected.dtype


def test_spaces_without_arrays_are_refused_by_name():
    text = Dict(a=Box(-1, 1, (1,)), b=Text(3, charset="x"))
    obs = dict(a=np.zeros((3, 1), np.float32), b=["x", "xx", "x"])
    name = foreign(text, Discrete(2), [(obs, np.zeros(2, int), [0, 0], [0, 1], [0, 0])])
    with pytest.raises(ValueError, match=r"observations of foreign/set-v0 hold Text.*expected Box, Discrete"):
        Dataset.from_minari(name)
    steps = (np.zeros(3, int), dict(a=np.zeros(2, int)), [0, 0], [0, 1], [0, 0])
    name = foreign(Discrete(2), Dict(a=Discrete(2)), [steps], "foreign/acts-v0")
    with pytest.raises(ValueError, match="actions of foreign/acts-v0 are Dict"):
        Dataset.from_minari(name)


def test_a_recording_that_stops_is_marked_truncated_and_counted():
    steps = (np.zeros(4, int), np.zeros(3, int), [1.0, 2.0, 3.0])
    name = foreign(Discrete(2), Discrete(2), [(*steps, [0, 0, 0], [0, 0, 0]), (*steps, [0, 0, 1], [0, 0, 0])])
    with pytest.warns(UserWarning, match="1 of 2 episodes of foreign/set-v0 end with neither.*marked truncated"):
        d = Dataset.from_minari(name)
    assert d.truncated.tolist() == [False, False, True, False, False, False] and d.returns.tolist() == [6, 6]
    assert d.names == ("foreign/set-v0",)


def test_bad_numbers_in_a_foreign_dataset_are_refused_at_their_place():
    steps = (np.zeros(3, int), np.zeros(2, int))
    name = foreign(Discrete(2), Discrete(2), [(*steps, [1.0, 2.0], [0, 1], [0, 0]),
                                              (*steps, [1.0, np.nan], [0, 1], [0, 0])])
    with pytest.raises(ValueError, match="reward is nan in episode 1, step 1"):
        Dataset.from_minari(name)


def test_what_cannot_be_written_leaves_nothing_behind(store):
    d = collect("CartPole-v1", lambda o, g: g.integers(2, size=len(o)), episodes=2, rng=RNG(0))
    with pytest.raises(ValueError, match="the spaces of the data are not known"):
        replace(d, action_space=None).to_minari("x-v0")
    with pytest.raises(gymnasium.error.NameNotFound):
        d.to_minari("x-v0", env="NoSuchWorld-v0")
    with pytest.raises(TypeError):
        d.to_minari("x-v0", colour="blue")
    assert not (store / "x-v0").exists()
    d.to_minari("x-v0")
    with pytest.raises(ValueError, match="there is a Minari dataset x-v0 already, in .*minari delete x-v0"):
        d.to_minari("x-v0")
    assert same(d, Dataset.from_minari("x-v0"))                         # the old one is untouched
    assert json.loads((store / "x-v0" / "data" / "metadata.json").read_text())["total_episodes"] == 2
