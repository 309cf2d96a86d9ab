"""Whatever arrays are given: the Dataset is exactly what they say, or an error of ours says what and where and how."""

import ast
import traceback
import warnings
from pathlib import Path

import numpy as np
import pytest
from gymnasium.spaces import Box, Discrete
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rlkit import empirical, measures
from rlkit.papers import trajectory_weighting as tw
from rlkit.paths import Paths
from rlkit.sampling import Sampler, transition_probs
from rlkit.trajectories import Dataset, mix

ROOT = Path(__file__).parents[2]
MANY = settings(max_examples=400, deadline=None, derandomize=True, database=None,
                suppress_health_check=list(HealthCheck))
TRIED = {"loaded": 0, "refused": 0}
NUMBERS = (0.0, -0.0, 1.0, -2.5, 5e-324, -1e-310, 1e6, -1e6, 1e-6, 1e100, 1e307, 1.7e308)
BROKEN = (float("nan"), float("inf"), float("-inf"))
FIELDS = ("obs", "action", "reward", "terminated", "truncated")


def ours(e: Exception) -> None:
    """Raised in rlkit, in words."""
    assert isinstance(e, ValueError | TypeError | FileNotFoundError), repr(e)
    assert "rlkit" in Path(traceback.extract_tb(e.__traceback__)[-1].filename).parts, repr(e)
    assert any(word in str(e) for word in ("expected", "delete it", "make or copy")), str(e)


def attempt(make):
    """The result, or None where it was refused in words; a warning is a failure."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            out = make()
    except (ValueError, TypeError, FileNotFoundError, Warning) as e:
        TRIED["refused"] += 1
        ours(e)
        return None, e
    TRIED["loaded"] += 1
    return out, None


def bits(x) -> tuple:
    x = np.asarray(x)
    return x.dtype.newbyteorder("=").str, x.shape, x.astype(x.dtype.newbyteorder("=")).tobytes()


def is_exactly(d: Dataset, episodes: list) -> None:
    """Episode by episode, by hand."""
    assert d.n == len(episodes) and d.lengths.tolist() == [len(e["reward"]) for e in episodes]
    for i, e in enumerate(episodes):
        a, b, T = d.starts[i], d.starts[i + 1], len(e["reward"])
        obs = np.asarray(e["obs"])
        for k, expected in dict(obs=obs[:-1], next_obs=obs[1:], action=e["action"]).items():
            expected = np.asarray(expected).astype(getattr(d, k).dtype)
            assert bits(getattr(d, k)[a:b]) == bits(expected), k
        assert bits(d.reward[a:b]) == bits(np.asarray(e["reward"]).astype(d.reward.dtype))
        for k in ("terminated", "truncated"):
            flag = np.asarray(e[k])
            want = flag if flag.ndim else np.append(np.zeros(T - 1, bool), flag)
            assert d.__getattribute__(k)[a:b].tolist() == want.tolist()
        total = np.float64(0)
        size = np.float64(0)
        for r in np.asarray(e["reward"]).astype(np.float64):
            total, size = total + r, size + abs(r)
        assert abs(d.returns[i] - total) <= T * 2.3e-16 * size


@st.composite
def episode(draw, F=2, action="float"):
    T = draw(st.integers(1, 5))
    number = st.sampled_from(NUMBERS)
    x = lambda *shape: np.array(draw(st.lists(number, min_size=int(np.prod(shape)),           # noqa: E731
                                              max_size=int(np.prod(shape))))).reshape(shape)
    a = x(T) if action == "float" else np.array(draw(st.lists(st.integers(0, 2), min_size=T, max_size=T)))
    ends = draw(st.sampled_from([(True, False), (False, True), (True, True)]))
    return dict(obs=x(T + 1, F), action=a, reward=x(T), terminated=ends[0], truncated=ends[1])


def retyped(x: np.ndarray, how: str):
    """The same numbers, otherwise laid out."""
    if how == "big-endian":
        return x.astype(x.dtype.newbyteorder(">"))
    if how == "strided":
        return np.repeat(x, 2, axis=0)[::2]
    if how == "reversed":
        return x[::-1].copy()[::-1]
    if how == "fortran":
        return np.asfortranarray(x)
    if how == "read-only":
        x = x.copy()
        x.flags.writeable = False
        return x
    if how == "masked, no mask":
        return np.ma.array(x)
    return x.tolist() if how == "list" else x


LAYOUTS = ("as it is", "big-endian", "strided", "reversed", "fortran", "read-only", "masked, no mask", "list")


@MANY
@given(st.data())
def test_what_is_accepted_is_exactly_the_episodes_however_they_lie_in_memory(data):
    kind = data.draw(st.sampled_from(["float", "int"]))
    episodes = data.draw(st.lists(episode(action=kind), min_size=1, max_size=5))
    how = data.draw(st.sampled_from(LAYOUTS))
    given = [{k: retyped(v, how) if isinstance(v, np.ndarray) else v for k, v in e.items()} for e in episodes]
    d, e = attempt(lambda: Dataset.from_episodes(given))
    if d is None:
        assert "reward sums to" in str(e)                                 # the one thing here that no float64 can hold
    else:
        is_exactly(d, episodes)


POISONS = ("value", "empty", "too long", "too short", "ragged", "object", "complex", "datetime", "structured", "text",
           "0-d", "masked", "bytes", "missing", "extra axis", "another kind", "no dict", "unordered flags", "no end",
           "torch", "big integers")


def poisoned(e: dict, field: str, how: str, at: int) -> dict | None:
    """One thing wrong with one field; None where there is no such thing."""
    x = np.asarray(e[field]) if np.ndim(e[field]) else np.append(np.zeros(len(e["reward"]) - 1, bool), e[field])
    flag = field[0] == "t"
    if how == "value":
        if x.dtype.kind != "f":
            return None
        x = x.copy()
        x.flat[at % x.size] = BROKEN[at % 3]
    elif how == "big integers":
        if field != "reward":
            return None
        x = np.full(len(x), 2**53 + 1)
    elif how == "missing":
        return {k: v for k, v in e.items() if k != field}
    elif how == "no dict":
        return [None, 3, "obs action reward terminated truncated", [1, 2]][at % 4]
    elif how == "unordered flags":
        if not flag or len(x) < 2:
            return None
        x = np.append(True, np.zeros(len(x) - 1, bool))
    elif how == "no end":
        return e | dict(terminated=False, truncated=False)
    elif how == "another kind":
        x = x.astype(float) if x.dtype.kind in "iub" else x.astype(bool)
        if field == "reward":
            return None                                                   # whole numbers become float: allowed
    elif how == "torch":
        import torch
        x = torch.ones(x.shape, requires_grad=True)
    else:
        x = {"empty": lambda: x[:0], "too long": lambda: np.concatenate([x, x[:1]]), "too short": lambda: x[:-1],
             "ragged": lambda: [[1.0], [1.0, 2.0]] * len(x), "object": lambda: x.astype(object),
             "complex": lambda: x.astype(complex), "datetime": lambda: np.zeros(x.shape, "datetime64[s]"),
             "structured": lambda: np.zeros(x.shape, [("a", float)]), "text": lambda: x.astype(str),
             "0-d": lambda: x.flat[0] if not flag else None, "bytes": lambda: x.astype("S"),
             "masked": lambda: np.ma.array(x, mask=np.arange(x.size).reshape(x.shape) == at % x.size),
             "extra axis": lambda: x[..., None]}[how]()
    return e | {field: x}


@MANY
@given(st.lists(episode(action="int"), min_size=2, max_size=4), st.sampled_from(FIELDS), st.sampled_from(POISONS),
       st.integers(0, 40), st.integers(0, 3))
def test_one_thing_wrong_in_one_episode_is_refused_with_its_episode_and_field(episodes, field, how, at, which):
    which %= len(episodes)
    for e in episodes:
        e["reward"] = np.clip(e["reward"], -1e9, 1e9)
    bad = poisoned(episodes[which], field, how, at)
    if bad is None:
        return
    episodes[which] = bad
    d, error = attempt(lambda: Dataset.from_episodes(episodes))
    assert d is None, f"{how} in {field} went unseen"
    place = f"episode {which}" in str(error) or which == 0 and how in ("another kind", "extra axis")
    assert place, str(error)                                    # where the first is odd, the second is called different
    assert how in ("no end", "no dict", "empty", "too long", "too short", "unordered flags") or field in str(error)


@MANY
@given(st.lists(episode(), min_size=1, max_size=5), st.data())
def test_shuffled_rows_or_starts_are_noticed_in_flat_arrays(episodes, data):
    for e in episodes:
        e["reward"] = np.clip(e["reward"], -1e9, 1e9)
    d = Dataset.from_episodes(episodes)
    how = data.draw(st.sampled_from(["whole", "rows", "starts", "overflow"]))
    flat = {k: getattr(d, k) for k in FIELDS} | dict(next_obs=d.next_obs)
    if how == "rows":
        order = data.draw(st.permutations(range(d.m)))
        flat = {k: x[list(order)] for k, x in flat.items()}
    if how == "starts":
        flat["starts"] = data.draw(st.lists(st.integers(-2, d.m + 2), max_size=5))
    if how == "overflow":
        far = [0, 2**63 - 1, -2, d.m]
        flat["starts"] = data.draw(st.sampled_from([far, np.array([0, 2**64 - 1, d.m], np.uint64), [0, 2**64, d.m]]))
    got, _ = attempt(lambda: Dataset.from_arrays(**flat))
    if how in ("whole", "rows") and got is not None:                      # accepted: then each row is as it was given
        for k in flat:
            assert np.array_equal(getattr(got, k), flat[k]), k
        assert sum(got.lengths) == d.m
    assert how != "whole" or got is not None
    assert how != "overflow" or got is None
    if how == "starts" and got is not None:
        assert got.starts.tolist() == list(flat["starts"]) == d.starts.tolist()


@MANY
@given(st.lists(st.sampled_from([0.0, 1.0, -1.0, 1e6, 5e-324, 1e-300, 1e100, 8e307, -8e307]), min_size=1, max_size=8),
       st.sampled_from([0.0, 1e-3, 0.1, 1.0, float("inf")]), st.integers(0, 99))
def test_weights_and_draws_of_extreme_returns_are_finite_and_right_or_refused(G, alpha, seed):
    episodes = [dict(obs=np.zeros((2, 1)), action=[0], reward=[g], terminated=True, truncated=False) for g in G]
    d = Dataset.from_episodes(episodes)
    w, _ = attempt(lambda: tw.boltzmann(d.returns, alpha))
    assert np.isfinite(w).all() and abs(w.sum() - 1) < 1e-12
    order = np.argsort(G, kind="stable")
    assert (np.diff(w[order]) >= -1e-15).all()                            # better is never less
    if alpha not in (0.0, float("inf")) and max(G) - min(G) > 1e-9:
        assert w.min() / w.max() == pytest.approx(np.exp(-1 / alpha), rel=1e-9)
    p = transition_probs(w, d.lengths)
    drawn = Sampler(p).draw(np.random.default_rng(seed), 50)
    assert (p[drawn] > 0).all() and abs(p.sum() - 1) < 1e-12
    found, refused = attempt(lambda: measures.psv(d.returns))
    assert (found is None) == (max(map(abs, G)) > 1e150) or refused is None
    if found is not None:
        mean = sum(G) / len(G)
        assert found == pytest.approx(sum(max(g - mean, 0) ** 2 for g in G) / len(G), rel=1e-9, abs=1e-23)
    assert measures.unique_pairs(np.array(G), np.zeros(len(G)), bins=3) <= min(3, len(G))
    assert mix(d, d, 0.5, 6, np.random.default_rng(seed)).m >= 6


@MANY
@given(st.lists(st.tuples(st.integers(-2, 6), st.integers(-2, 4), st.sampled_from(NUMBERS[:4])), min_size=1,
                max_size=6), st.sampled_from(["i1", "u1", "i8", "f8", "?"]))
def test_counts_of_a_table_are_those_of_a_loop_or_refused(steps, kind):
    obs, action, reward = map(np.array, zip(*steps))
    obs, action = obs.astype(kind), action.astype(kind)
    d, _ = attempt(lambda: Dataset(obs, action, reward, np.ones(len(obs), bool), np.zeros(len(obs), bool),
                                   np.arange(len(obs) + 1), obs.copy()))
    c, _ = attempt(lambda: empirical.visits(d, np.ones(d.n), 200, 2))
    if c is not None:
        expected = np.zeros((200, 2))
        for s, a in zip(d.obs, d.action):
            expected[int(s), int(a)] += 1
        assert np.array_equal(c, expected)
    fits = kind not in "f8?" and all(0 <= s < 200 and 0 <= a < 2 for s, a in zip(obs, action))
    assert (c is not None) == fits


@MANY
@given(st.lists(st.sampled_from([*NUMBERS, *BROKEN]), min_size=0, max_size=7), st.sampled_from(
    ["plain", "masked", "object", "complex", "text", "datetime", "big integers", "2-d", "int"]))
def test_paths_are_exactly_the_record_or_an_error(values, how):
    x = np.array(values)
    state = {"plain": x, "masked": np.ma.array(x, mask=np.arange(len(x)) == 1), "object": x.astype(object),
             "complex": x.astype(complex), "text": x.astype(str), "datetime": np.zeros(len(x), "M8[s]"),
             "big integers": np.full(len(x), 2**53 + 1), "2-d": x[:, None].repeat(2, 1),
             "int": np.arange(len(x))}[how]
    p, _ = attempt(lambda: Paths.from_arrays(np.arange(len(x)), state, np.zeros(len(x))))
    good = how == "int" or (how in ("plain", "2-d") and np.isfinite(x).all())
    assert (p is not None) == (len(x) >= 2 and good)
    if p is not None:
        assert bits(p.x) == bits(np.asarray(state, float).reshape(p.x.shape))


def test_columns_of_pandas_are_arrays_and_missing_values_are_refused():
    pd = pytest.importorskip("pandas")
    whole = pd.DataFrame(dict(o=[1.0, 2.0], a=[0, 1], r=[0.5, -0.0], end=[False, True]))
    arrays = (whole[["o"]], whole.a, whole.r, whole.end)
    d = Dataset.from_arrays(*arrays, final_obs=[[3.0]])
    assert d.obs.tolist() == [[1.0], [2.0]] and d.action.tolist() == [0, 1] and np.signbit(d.reward[1])
    for bad in (pd.array([1, None], "Int64"), pd.Categorical([1, 2]).astype("str"), pd.to_datetime(["2020", "2021"])):
        with pytest.raises((TypeError, ValueError), match="action .*expected"):      # Int64 with a gap is NaN
            Dataset.from_arrays(whole[["o"]], pd.Series(bad), whole.r, whole.end, final_obs=[[3.0]])


def test_action_spaces_do_not_mix():
    one = Dataset.from_arrays(np.zeros((1, 1)), [1], [0.0], [True], final_obs=[[0.0]], action_space=Discrete(2))
    two = Dataset.from_arrays(np.zeros((1, 1)), [1.0], [0.0], [True], final_obs=[[0.0]], action_space=Box(-1, 1, ()))
    with pytest.raises(ValueError, match="action differs.*expected one"):
        Dataset.concat(one, two)
    with pytest.raises(TypeError, match="space of action is 3, expected a Gymnasium space"):
        Dataset.from_arrays(np.zeros((1, 1)), [1], [0.0], [True], final_obs=[[0.0]], action_space=3)


def test_no_code_of_ours_runs_what_a_file_or_a_text_holds():
    found = []
    sources = [p for folder in ("rlkit", "tools", "notebooks/text") for p in (ROOT / folder).rglob("*.py")]
    assert len(sources) > 80
    for path in sources:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import | ast.ImportFrom):
                named = {a.name.split(".")[0] for a in node.names} | {(getattr(node, "module", "") or "").split(".")[0]}
                if named & {"pickle", "cloudpickle", "dill", "shelve", "marshal"}:
                    found.append((path.name, node.lineno, "imports a pickler"))
            if isinstance(node, ast.Call):
                call, words = ast.unparse(node.func), {k.arg: ast.unparse(k.value) for k in node.keywords}
                if call in ("eval", "exec") or call.endswith(("joblib.load", "pickle.load", "pickle.loads")) \
                        or call == "torch.load" and words.get("weights_only") != "True" \
                        or words.get("allow_pickle", "False") != "False":
                    found.append((path.name, node.lineno, call))
    assert not found


def test_more_than_two_thousand_cases_were_tried():
    """Last in this file: counts the tests above, where all of them ran."""
    if sum(TRIED.values()) < 100:
        pytest.skip("run the whole file")
    assert sum(TRIED.values()) >= 2000 and min(TRIED.values()) >= 500, TRIED
