"""The dataset holds what it was given, refuses what is no dataset, and says why."""

import copy
import os
import pickle
import warnings
from dataclasses import FrozenInstanceError, replace

import numpy as np
import pytest
from gymnasium.spaces import Box, Discrete, MultiDiscrete
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from rlkit.trajectories import ARRAYS, Dataset, mix

QUICK = settings(max_examples=150, deadline=None)


def episode(T, seed=0, ends="terminated", F=3):
    g = np.random.default_rng([seed, T])
    return dict(obs=g.normal(size=(T + 1, F)).astype(np.float32), action=g.normal(size=(T, 1)), reward=g.normal(size=T),
                terminated=ends == "terminated", truncated=ends == "truncated")


def dataset(*lengths, **rest):
    return Dataset.from_episodes([episode(T, i, ("terminated", "truncated")[i % 2]) for i, T in enumerate(lengths)],
                                 **rest)


def same(a: Dataset, b: Dataset) -> bool:
    """Bit for bit: -0.0 is not 0.0, float32 is not float64."""
    pairs = [(getattr(a, k), getattr(b, k)) for k in ARRAYS]
    spaces = [getattr(a, k) == getattr(b, k) for k in ("observation_space", "action_space")]
    return all(x.dtype == y.dtype and x.shape == y.shape and x.tobytes() == y.tobytes() for x, y in pairs) \
        and a.names == b.names and all(spaces)


# ---- what it derives

def test_each_derived_quantity_equals_a_loop_over_episodes():
    parts = [episode(T, i) for i, T in enumerate((4, 1, 7))]
    d = Dataset.from_episodes(parts)
    assert (d.n, d.m) == (3, 12)
    assert d.lengths.tolist() == [4, 1, 7] and d.starts.tolist() == [0, 4, 5, 12]
    assert d.returns == pytest.approx([sum(p["reward"].tolist()) for p in parts], rel=1e-14)       # order of summation
    assert d.episode.tolist() == [0] * 4 + [1] + [2] * 7
    np.testing.assert_array_equal(d.first_obs, [p["obs"][0] for p in parts])
    np.testing.assert_array_equal(d.final_obs, [p["obs"][-1] for p in parts])
    np.testing.assert_array_equal(d.next_obs, np.concatenate([p["obs"][1:] for p in parts]))
    assert d.terminated.nonzero()[0].tolist() == [3, 4, 11] and not d.truncated.any()


def test_returns_are_summed_in_double_precision_whatever_the_rewards_are():
    T = 200_000
    d = Dataset.from_arrays(np.zeros((T, 1)), np.zeros(T), np.full(T, 0.1, np.float32), np.arange(T) == T - 1,
                            next_obs=np.zeros((T, 1)))
    assert d.reward.dtype == np.float32 and d.returns.dtype == np.float64
    exact = T * float(np.float32(0.1))
    assert d.returns[0] == pytest.approx(exact, rel=1e-11)              # T rounding errors of 1e-16; float32 gives 1e-3


def test_flat_arrays_with_flags_are_the_same_dataset_as_the_list_of_episodes():
    d = dataset(3, 1, 5)
    again = Dataset.from_arrays(d.obs, d.action, d.reward, d.terminated, d.truncated, next_obs=d.next_obs)
    assert same(d, again)
    assert same(d, Dataset.from_arrays(d.obs, d.action, d.reward, d.terminated, d.truncated, final_obs=d.final_obs))


def test_a_dataset_cannot_be_changed_by_assignment():
    with pytest.raises(FrozenInstanceError):
        dataset(2).reward = np.zeros(2)


def test_a_dataset_is_shown_in_one_line_and_survives_a_copy():
    d = replace(GOOD, names=("expert", "novice"), source=[0, 1, 1])
    assert repr(d).startswith("Dataset(3 episodes (expert 1, novice 2), 17 transitions, obs float32 [3], action float")
    assert same(d, pickle.loads(pickle.dumps(d))) and same(d, copy.deepcopy(d))


@QUICK
@given(st.lists(st.integers(1, 6), min_size=1, max_size=8), st.data())
def test_selecting_episodes_is_selecting_from_the_list(lengths, data):
    idx = data.draw(st.lists(st.integers(-len(lengths), len(lengths) - 1), min_size=1, max_size=10))
    parts = [episode(T, i) for i, T in enumerate(lengths)]
    d = Dataset.from_episodes(parts, source=np.arange(len(parts)), names=[str(i) for i in range(len(parts))])
    expected = Dataset.from_episodes([parts[i] for i in idx], source=np.arange(len(parts))[idx], names=d.names)
    assert same(d.select(idx), expected)


def test_selection_takes_masks_and_slices_and_refuses_to_be_empty():
    d = dataset(3, 1, 5, 2)
    assert same(d.select(d.lengths > 2), d.select([0, 2])) and same(d.select(slice(1, 3)), d.select([1, 2]))
    assert d.select(2).lengths.tolist() == [5]
    for nothing in ([], np.zeros(4, bool), slice(0)):
        with pytest.raises(ValueError, match="no episode selected of 4"):
            d.select(nothing)
    with pytest.raises(IndexError):
        d.select(4)


@QUICK
@given(st.lists(st.integers(1, 9), min_size=1, max_size=6), st.integers(1, 10))
def test_cutting_keeps_every_transition_and_truncates_exactly_where_it_cuts(lengths, length):
    d = dataset(*lengths)
    c = d.cut(length)
    for k in ("obs", "action", "reward", "terminated", "next_obs"):
        np.testing.assert_array_equal(getattr(c, k), getattr(d, k))
    expected = [s for T in lengths for s in [length] * (T // length) + [T % length] * (T % length > 0)]
    assert c.lengths.tolist() == expected
    ends = c.starts[1:] - 1
    assert (c.truncated[ends] == ~d.terminated[ends]).all() and c.truncated.sum() == (~d.terminated[ends]).sum()


def test_joining_keeps_the_sources_by_name():
    a, b = dataset(2, 3, names=("good",)), dataset(1, 4, source=[1, 0], names=("other", "good"))
    joined = Dataset.concat(a, b)
    assert [joined.names[s] for s in joined.source] == ["good", "good", "good", "other"]
    assert joined.lengths.tolist() == [2, 3, 1, 4]
    with pytest.raises(ValueError, match="different action_spaces"):
        Dataset.concat(replace(a, action_space=Box(-9, 9, (1,))), replace(b, action_space=Box(-8, 8, (1,))))
    with pytest.raises(ValueError, match="action differs in shape or kind between the parts"):
        mix(a, replace(b, action=np.zeros((5, 1), int)), 0.5, 10, np.random.default_rng(0))
    with pytest.raises(ValueError, match="obs differs"):
        Dataset.concat(a, replace(b, obs=b.obs[:, :2], final_obs=b.final_obs[:, :2]))


# ---- what it refuses.  Each row: what is broken, how, and the words that must be in the message

def flat(**change):
    d = dataset(2, 3, 1)
    return {k: getattr(d, k).copy() for k in ARRAYS} | change


def broken(name, at, value):
    x = flat()[name]
    if isinstance(value, float) and x.dtype.kind != "f":
        x = x.astype(float)
    x[at] = value
    return {name: x}


NAN, INF = float("nan"), float("inf")
REFUSED = {
    "NaN reward": (lambda: broken("reward", 3, NAN), ValueError, r"reward is nan in episode 1, step 1.*expected"),
    "infinite reward": (lambda: broken("reward", 5, -INF), ValueError, r"reward is -inf in episode 2, step 0"),
    "NaN observation": (lambda: broken("obs", (4, 2), NAN), ValueError, r"obs is nan in episode 1, step 2"),
    "infinite action": (lambda: broken("action", (0, 0), INF), ValueError, r"action is inf in episode 0, step 0"),
    "NaN last observation": (lambda: broken("final_obs", (1, 0), NAN), ValueError, r"final_obs is nan in episode 1"),
    "empty episode": (lambda: dict(starts=[0, 2, 2, 6]), ValueError, r"episode 1 goes from row 2 to row 2.*drop_empty"),
    "falling starts": (lambda: dict(starts=[0, 5, 2, 6]), ValueError, r"episode 1 goes from row 5 to row 2"),
    "starts begin late": (lambda: dict(starts=[1, 2, 5, 6]), ValueError, r"starts .*expected \[N\+1\] numbers from 0"),
    "starts end early": (lambda: dict(starts=[0, 2, 5]), ValueError, r"starts .*from 0 to 6"),
    "ragged starts": (lambda: dict(starts=[[], [0]], source=None), TypeError, "starts is ragged"),
    "no starts": (lambda: dict(starts=np.zeros(0, int)), ValueError, "starts has shape"),
    "real starts": (lambda: dict(starts=[0.0, 2.0, 5.0, 6.0]), TypeError, "starts has dtype float64.*whole"),
    "over before the end": (lambda: broken("terminated", 3, True), ValueError, r"episode 1 is over at step 1 of 3"),
    "cut before the end": (lambda: broken("truncated", 2, True), ValueError, r"episode 1 is over at step 0 of 3"),
    "never over": (lambda: broken("terminated", 5, False), ValueError, r"episode 2 ends with neither.*\[5\] = True"),
    "flags as numbers": (lambda: dict(terminated=flat()["terminated"] * 1.0), TypeError, r"terminated.*astype\(bool\)"),
    "flags in a column": (lambda: dict(truncated=np.zeros((6, 1), bool)), ValueError, r"truncated has shape \(6, 1\)"),
    "too few actions": (lambda: dict(action=np.zeros((5, 1))), ValueError, r"action has shape \(5, 1\), expected 6"),
    "a scalar for obs": (lambda: dict(obs=np.float64(1)), ValueError, r"obs has shape \(\), expected 6 rows"),
    "rewards in a column": (lambda: dict(reward=np.zeros((6, 1))), ValueError, r"reward has shape \(6, 1\), expected"),
    "no transition": (lambda: {k: x[:0] for k, x in flat().items()}, ValueError, "no transition, expected"),
    "ragged observations": (lambda: dict(obs=[[1.0], [1.0, 2.0]] * 3), TypeError, "obs is ragged"),
    "objects": (lambda: dict(action=np.array([None] * 6)), TypeError, "action is ragged or holds objects"),
    "words": (lambda: dict(action=np.array(list("abcdef"))), TypeError, "action has dtype <U1, expected real numbers"),
    "complex rewards": (lambda: dict(reward=np.zeros(6, complex)), TypeError, "reward has dtype complex128"),
    "dates": (lambda: dict(reward=np.zeros(6, "datetime64[s]")), TypeError, "reward has dtype datetime64"),
    "final_obs of another shape": (lambda: dict(final_obs=np.zeros((3, 2), np.float32)), ValueError, "final_obs is"),
    "final_obs of another dtype": (lambda: dict(final_obs=np.zeros((3, 3))), ValueError, "final_obs is float64"),
    "unknown source": (lambda: dict(source=[0, 1, 0]), ValueError, r"source.*indices into the 1 names"),
    "negative source": (lambda: dict(source=[0, -1, 0]), ValueError, "source"),
    "sources of transitions": (lambda: dict(source=np.zeros(6, int)), ValueError, r"source has shape \(6,\)"),
    "names twice": (lambda: dict(names=("a", "a")), ValueError, "names is .*different words"),
    "no names": (lambda: dict(names=()), ValueError, "names is"),
    "actions beyond their space": (lambda: dict(action=[0, 1, 2, 0, 3, 1], action_space=Discrete(3)), ValueError,
                                   r"action is 3 in episode 1, step 2.*Discrete\(3\)"),
    "actions below their space": (lambda: dict(action=[0, 1, 2, 1, 1, 1], action_space=Discrete(3, start=1)),
                                  ValueError, r"action is 0 in episode 0, step 0"),
    "real discrete actions": (lambda: dict(action=np.zeros(6), action_space=Discrete(3)), TypeError, "whole numbers"),
    "actions of another shape": (lambda: dict(action_space=Box(-1, 1, (2,))), ValueError, r"action has shape \(1,\)"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_dataset_is_refused_with_its_place_and_a_remedy(case):
    change, error, words = REFUSED[case]
    with pytest.raises(error, match=words):
        Dataset(**flat(**change()))


def test_discrete_spaces_accept_their_own():
    Dataset(**flat(action=[1, 2, 3, 1, 2, 3], action_space=Discrete(3, start=1), observation_space=Box(-9, 9, (3,))))


kinds = [getattr(hnp, f"{k}_dtypes") for k in ("floating", "integer", "boolean", "complex_number", "unicode_string")]
anything = st.one_of(
    hnp.arrays(st.one_of(*(k() for k in kinds)), hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4)),
    st.none(), st.text(), st.floats(), st.lists(st.lists(st.integers(), max_size=2), max_size=4))


@settings(max_examples=400, deadline=None)
@given(st.dictionaries(st.sampled_from(ARRAYS), anything, min_size=1, max_size=3))
def test_whatever_is_given_a_dataset_is_valid_or_an_error_says_what_was_expected(change):
    try:
        d = Dataset(**flat(**change))
    except (TypeError, ValueError) as e:
        assert "expected" in str(e), e
        assert any(name in str(e) for name in (*ARRAYS, "episode", "dataset")), e
    else:                                                               # accepted: then it keeps what it promises
        assert d.lengths.min() >= 1 and d.lengths.sum() == d.m and len(d.obs) == len(d.action) == d.m
        assert np.isfinite(d.returns).all() and (d.next_obs.shape == d.obs.shape) and d.source.max() < len(d.names)
        assert ((d.terminated | d.truncated).nonzero()[0] == d.starts[1:] - 1).all()


FIELDS = ("obs", "action", "reward", "terminated", "truncated", "source")


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(st.sampled_from(FIELDS), anything, min_size=1, max_size=2), st.booleans())
def test_whatever_an_episode_is_the_list_is_a_dataset_or_an_error_says_what_was_expected(change, drop_empty):
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            d = Dataset.from_episodes([episode(2), episode(3) | change], drop_empty=drop_empty)
    except (TypeError, ValueError) as e:
        assert "expected" in str(e), e
    else:
        assert d.n in (1, 2) and np.isfinite(d.returns).all()


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(st.sampled_from((*FIELDS[:5], "next_obs", "starts")), anything, min_size=1, max_size=2))
def test_whatever_the_flat_arrays_are_they_are_a_dataset_or_an_error_says_what_was_expected(change):
    given = {k: v for k, v in flat().items() if k in FIELDS[:5]} | dict(next_obs=dataset(2, 3, 1).next_obs)
    try:
        d = Dataset.from_arrays(**given | change)
    except (TypeError, ValueError) as e:
        assert "expected" in str(e), e
    else:
        assert d.lengths.sum() == d.m and np.isfinite(d.returns).all()


# ---- making one

def test_an_empty_episode_is_refused_or_left_out_with_its_count():
    parts = [episode(3), episode(0), episode(2), episode(0)]
    with pytest.raises(ValueError, match=r"episode 1 is empty \(2 of 4 .*drop_empty=True"):
        Dataset.from_episodes(parts)
    with pytest.warns(UserWarning, match="left out 2 empty episodes of 4"):
        d = Dataset.from_episodes(parts, drop_empty=True)
    assert same(d, Dataset.from_episodes([parts[0], parts[2]]))         # nothing shifted: rows still meet their episode
    with pytest.raises(ValueError, match="no episode in 1 given"):
        Dataset.from_episodes([episode(0)], drop_empty=True)
    with pytest.raises(ValueError, match="no episode in 0 given"):
        Dataset.from_episodes([])


def test_flags_may_stand_for_the_whole_episode_or_for_each_step():
    whole, steps = episode(3), episode(3) | dict(terminated=[False, False, True], truncated=[False] * 3)
    assert same(Dataset.from_episodes([whole]), Dataset.from_episodes([steps]))


@pytest.mark.parametrize("change, words", [
    (dict(obs=np.zeros((3, 3))), r"episode 1: obs has shape \(3, 3\), expected 4 rows for 3 rewards \(one more"),
    (dict(action=np.zeros((4, 1))), r"episode 1: action has shape \(4, 1\), expected 3 rows"),
    (dict(obs=np.zeros((4, 2))), r"episode 1: one obs has shape \(2,\), expected \(3,\) as in episode 0"),
    (dict(action=[[1.0], [1.0, 2.0], [1.0]]), "episode 1: action is ragged"),
    (dict(reward=[0.0, 1.0, NAN]), "reward is nan in episode 1, step 2"),
    (dict(terminated=False), "episode 1 ends with neither"),
    (dict(reward=2.0), r"episode 1: "),
])
def test_a_bad_episode_is_named(change, words):
    with pytest.raises((ValueError, TypeError), match=words):
        Dataset.from_episodes([episode(3), episode(3) | change])


def test_a_missing_field_is_named():
    e = episode(2)
    del e["truncated"]
    with pytest.raises(ValueError, match="episode 0 has no truncated"):
        Dataset.from_episodes([e])


def test_a_recording_that_stops_in_mid_episode_must_be_marked():
    d = dataset(3, 2)
    arrays = (d.obs, d.action, d.reward, np.array([0, 0, 1, 0, 0], bool))
    with pytest.raises(ValueError, match=r"last transition closes no episode.*truncated\[-1\] = True"):
        Dataset.from_arrays(*arrays, next_obs=d.next_obs)
    marked = Dataset.from_arrays(*arrays, np.array([0, 0, 0, 0, 1], bool), next_obs=d.next_obs)
    assert same(marked, d)                                              # and the time-out step is part of the episode


def test_flat_arrays_need_the_observation_after_the_last_step():
    d = dataset(3)
    for rest in ({}, dict(next_obs=d.next_obs, final_obs=d.final_obs)):
        with pytest.raises(ValueError, match="expected next_obs .* or final_obs .*, one of the two"):
            Dataset.from_arrays(d.obs, d.action, d.reward, d.terminated, **rest)
    with pytest.raises(ValueError, match="next_obs has shape .2, 3., expected 3 rows"):
        Dataset.from_arrays(d.obs, d.action, d.reward, d.terminated, next_obs=d.next_obs[:2])


# ---- files

def many_kinds():
    T = 5
    for obs in (np.float32, np.float64, np.uint8, np.int64, bool, np.float16, ">f4"):
        for action in (np.int64, np.float32):
            g = np.random.default_rng(0)
            yield Dataset.from_arrays(
                g.integers(0, 2, (T, 2, 2)).astype(obs), g.integers(0, 3, T).astype(action),
                np.array([-0.0, 1e-300, -1e300, 0.1, 5e-324]), np.array([0, 1, 0, 0, 1], bool),
                final_obs=np.ones((2, 2, 2), obs), source=[1, 0], names=("Können ☕", "随机\x00 'q\""),
                action_space=Discrete(3) if action is np.int64 else Box(-np.inf, 3, (), np.float32),
                observation_space=MultiDiscrete([[2, 2], [2, 2]]))


def test_a_saved_dataset_comes_back_bit_for_bit(tmp_path):
    for i, d in enumerate(many_kinds()):
        d.save(tmp_path / f"{i}.npz")
        assert same(d, Dataset.load(tmp_path / f"{i}.npz"))
    with np.load(tmp_path / "0.npz", allow_pickle=False) as z:          # and numpy alone can read it
        assert set(ARRAYS) < set(z.files)


def test_a_renamed_file_is_still_the_dataset(tmp_path):
    d = dataset(3, 2)
    d.save(tmp_path / "a.npz")
    os.rename(tmp_path / "a.npz", tmp_path / "b.txt")
    assert same(d, Dataset.load(str(tmp_path / "b.txt")))
    d.save(tmp_path / "no_suffix")
    assert same(d, Dataset.load(tmp_path / "no_suffix"))


def test_another_file_is_refused_by_name(tmp_path):
    others = {"text.npz": b"not a dataset", "empty.npz": b"", "pickle.npz": b"\x80\x04N."}
    for name, content in others.items():
        (tmp_path / name).write_bytes(content)
    np.savez(tmp_path / "foreign.npz", weights=np.ones(3))
    np.savez(tmp_path / "objects.npz", **{k: np.array([{}], object) for k in (*ARRAYS, "about")})
    np.save(tmp_path / "one.npy", np.ones(3))
    (tmp_path / "folder.npz").mkdir()
    for name in (*others, "foreign.npz", "objects.npz", "one.npy", "folder.npz"):
        with pytest.raises(ValueError, match=rf"{name} cannot be read as a dataset.*make or copy it again"):
            Dataset.load(tmp_path / name)
    with pytest.raises(FileNotFoundError, match="missing.npz"):
        Dataset.load(tmp_path / "missing.npz")


class Bomb:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_loading_never_runs_what_a_file_holds(tmp_path):
    dataset(2).save(tmp_path / "a.npz")
    with np.load(tmp_path / "a.npz") as z:
        arrays = dict(z)
    np.savez(tmp_path / "bomb.npz", **arrays | {"reward": np.array([Bomb(tmp_path / "exploded")], object)})
    with pytest.raises(ValueError, match="bomb.npz cannot be read"):
        Dataset.load(tmp_path / "bomb.npz")
    assert not (tmp_path / "exploded").exists()


def test_a_file_cut_short_anywhere_is_refused_by_name(tmp_path):
    dataset(3, 2).save(tmp_path / "a.npz")
    whole = (tmp_path / "a.npz").read_bytes()
    for size in range(0, len(whole), 37):
        (tmp_path / "cut.npz").write_bytes(whole[:size])
        with pytest.raises(ValueError, match="cut.npz cannot be read"):
            Dataset.load(tmp_path / "cut.npz")


def test_a_flipped_bit_anywhere_is_noticed_or_harmless(tmp_path):
    d = dataset(2, 1)
    d.save(tmp_path / "a.npz")
    whole, bad, noticed = (tmp_path / "a.npz").read_bytes(), tmp_path / "bad.npz", 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")                                 # numpy's on odd headers
        for at in range(0, len(whole), 5):
            flipped = bytearray(whole)
            flipped[at] ^= 1 << (at % 8)
            bad.write_bytes(flipped)
            try:
                assert same(Dataset.load(bad), d), f"byte {at} changed the data unseen"
            except ValueError as e:
                assert "bad.npz cannot be read" in str(e)
                noticed += 1
    assert noticed > 0.5 * len(range(0, len(whole), 5))                 # most of a file is data: a flip there must show


def test_a_reader_of_the_old_file_is_not_disturbed_by_a_new_one(tmp_path):
    dataset(3).save(tmp_path / "a.npz")
    old = (tmp_path / "a.npz").read_bytes()
    with open(tmp_path / "a.npz", "rb") as reader:
        start = reader.read(10)
        dataset(4, 4).save(tmp_path / "a.npz")
        assert start + reader.read() == old
    assert Dataset.load(tmp_path / "a.npz").n == 2 and os.listdir(tmp_path) == ["a.npz"]


def test_a_write_that_fails_leaves_the_old_file_and_no_litter(tmp_path, monkeypatch):
    old = dataset(3)
    old.save(tmp_path / "a.npz")

    def full_disk(f, **arrays):
        f.write(b"half of it")
        raise OSError("no space left on device")
    monkeypatch.setattr(np, "savez", full_disk)
    with pytest.raises(OSError, match="no space"):
        dataset(5).save(tmp_path / "a.npz")
    assert same(old, Dataset.load(tmp_path / "a.npz")) and os.listdir(tmp_path) == ["a.npz"]


# ---- mixing

GOOD = Dataset.from_episodes([episode(T, i) for i, T in enumerate((9, 3, 5))])
BAD = Dataset.from_episodes([episode(T, 9 + i) for i, T in enumerate((2, 4, 1, 8))])


@QUICK
@example(sigma=5e-324, size=1, seed=0)
@given(st.floats(0, 1), st.integers(1, 300), st.integers(0, 99))
def test_a_mix_by_transitions_reaches_its_share_and_its_size_and_oversteps_by_less_than_an_episode(sigma, size, seed):
    d = mix(GOOD, BAD, sigma, size, np.random.default_rng(seed))
    good = d.lengths[[d.names[s] == "good" for s in d.source]]
    assert (good.sum() >= sigma * size) if sigma > 0 else (good.size == 0)
    assert size <= d.m < size + 9                                       # 9: the longest episode of all
    assert d.m - d.lengths[-1] < size                                   # the last was needed
    if good.size:
        assert good.sum() - good[-1] < sigma * size                     # as was the last good one


@QUICK
@given(st.floats(0, 1), st.integers(1, 40), st.integers(0, 99))
def test_a_mix_by_trajectories_counts_trajectories_and_repeats_only_if_it_must(sigma, size, seed):
    d = mix(GOOD, BAD, sigma, size, np.random.default_rng(seed), by="trajectories")
    from_good = np.array([d.names[s] == "good" for s in d.source])
    assert d.n == size and from_good.sum() == round(sigma * size)
    for part, of in ((from_good, GOOD), (~from_good, BAD)):
        if part.any():
            times = [int((d.first_obs[part] == x).all(1).sum()) for x in of.first_obs]
            assert sum(times) == part.sum() and max(times) - min(times) <= 1


def test_episodes_of_a_mix_are_whole_and_drawn_uniformly():
    d = mix(GOOD, BAD, 0.5, 60_000, np.random.default_rng(0))
    which = [int(np.flatnonzero((GOOD.first_obs == x).all(1))[0]) for x in d.first_obs[d.source == 0]]
    for i in range(3):                                                  # the whole episode, not a part of it
        one = d.select(which.index(i))
        np.testing.assert_array_equal(one.reward, GOOD.select(i).reward)
    counts = np.bincount(which)
    n = counts.sum()                                                    # 5 standard errors of a share of one third
    assert np.abs(counts / n - 1 / 3).max() < 5 * np.sqrt(2 / 9 / n)


def test_a_mix_keeps_the_sources_it_is_given_and_the_same_seed_gives_the_same_mix():
    good, bad = replace(GOOD, names=("expert",)), replace(BAD, source=[0, 1, 0, 1], names=("lazy", "wild"))
    a, b = (mix(good, bad, 0.3, 50, np.random.default_rng(4)) for _ in range(2))
    assert a.names == ("expert", "lazy", "wild") and same(a, b) and set(a.source) == {0, 1, 2}
    assert not same(a, mix(good, bad, 0.3, 50, np.random.default_rng(5)))


@pytest.mark.parametrize("change, words", [
    (dict(sigma=5), "sigma is 5, expected a share"), (dict(sigma=NAN), "sigma is nan"), (dict(sigma=-0.1), "sigma is"),
    (dict(size=0), "size is 0"), (dict(size=2.5), "size is 2.5"), (dict(by="steps"), "by is 'steps', expected")])
def test_a_mix_that_makes_no_sense_is_refused(change, words):
    with pytest.raises(ValueError, match=words):
        mix(**dict(good=GOOD, bad=BAD, sigma=0.5, size=10, rng=np.random.default_rng(0)) | change)
