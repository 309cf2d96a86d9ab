"""Paths: what they hold, what a record of one's own may look like, what is refused and in which words."""

import gymnasium
import numpy as np
import pytest

from rlkit.envs.pendulum import expert
from rlkit.paths import Paths, hold, pendulum

T = np.array([0.0, 0.1, 0.4, 2.0, 2.5])
X, R = np.arange(5.0), np.arange(5.0) ** 2
WHO = np.array(["a", "a", "a", "b", "b"])


def test_a_record_of_two_paths_counts_what_lies_within_them():
    p = Paths.from_arrays(T, X, R, WHO)
    assert (p.n, p.m, p.time) == (2, 3, pytest.approx(0.9))
    assert p.dt[:, 0] == pytest.approx([0.1, 0.3, 0.0, 0.5])              # nothing happens between two paths


def test_paths_side_by_side_share_their_grid():
    p = Paths(T, np.zeros((5, 7)), np.zeros((5, 7)))
    assert (p.n, p.m, p.time) == (7, 28, pytest.approx(17.5))


def test_thinning_keeps_every_second_point_of_each_path():
    p = Paths.from_arrays(np.arange(9.0), np.arange(9.0), np.zeros(9), [0] * 5 + [1] * 4).thin(2)
    assert p.x[:, 0].tolist() == [0, 2, 4, 5, 7]
    assert p.starts.tolist() == [0, 3, 5]
    with pytest.raises(ValueError, match="stride is 4, expected a whole number from 1 to 3"):
        Paths.from_arrays(np.arange(9.0), np.arange(9.0), np.zeros(9), [0] * 5 + [1] * 4).thin(4)


def test_npz_and_csv_hold_the_same_record(tmp_path):
    np.savez(tmp_path / "a.npz", time=T, state=X, reward=R, path=WHO)
    lines = ["Path, time,state,reward,note", *(f"{w},{t!r},{x!r},{r!r},hm" for w, t, x, r in zip(
        WHO, T.tolist(), X.tolist(), R.tolist())), ""]
    (tmp_path / "a.csv").write_text("\n".join(lines), encoding="utf-8-sig")
    one, two = Paths.load(tmp_path / "a.npz"), Paths.load(tmp_path / "a.csv")
    for name in ("t", "x", "r", "starts"):
        assert np.array_equal(getattr(one, name), getattr(two, name))
    assert one.starts.tolist() == [0, 3, 5]


def test_several_columns_of_state_become_one_vector(tmp_path):
    (tmp_path / "a.csv").write_text("time,state_x,reward,state_v\n0,1,0,2\n0.5,3,0,4\n")
    assert Paths.load(tmp_path / "a.csv").x.tolist() == [[[1, 2]], [[3, 4]]]
    np.savez(tmp_path / "a.npz", time=T, state=np.ones((5, 3)), reward=R)
    assert Paths.load(tmp_path / "a.npz").x.shape == (5, 1, 3)


@pytest.mark.parametrize("change, message", [
    (dict(time=[0, 1, 1, 2, 3]), r"time goes from 1 to 1 at path 0, point 2, expected increasing; sort the rows"),
    (dict(time=[0, 1, 2, 0, 1]), r"time goes from 2 to 0 .* name them by path"),
    (dict(state=[0, 1, np.nan, 3, 4]), r"state is nan at path 0, point 2, expected finite numbers"),
    (dict(reward=[0, np.inf, 1, 1, 1]), r"reward is inf at path 0, point 1"),
    (dict(reward=[0, 1, 2]), r"expected \[5, N, ...\] and \[5, N\]"),
    (dict(path=["a", "a", "b", "b", "c"]), r"path 2 has 1 point, expected at least two"),
    (dict(path=["a", "a", "b", "b", "a"]), r"the same path begins twice; sort the file"),
    (dict(path=["a"]), r"path has shape \(1,\) and time \(5,\)"),
    (dict(time=[0.0], state=[1.0], reward=[1.0]), r"at least two points"),
])
def test_a_bad_record_is_refused_in_words(tmp_path, change, message):
    good = dict(time=T, state=X, reward=R)
    with pytest.raises(ValueError, match=message):
        Paths.from_arrays(**{**good, **change})
    np.savez(tmp_path / "mine.npz", **{**good, **change})
    with pytest.raises(ValueError, match="mine.npz: .*" + message):
        Paths.load(tmp_path / "mine.npz")


def test_words_in_the_place_of_numbers_are_refused():
    with pytest.raises(TypeError, match="time has dtype <U1, expected an array of numbers"):
        Paths.from_arrays(["a", "b"], [1.0, 2.0], [1.0, 2.0])
    with pytest.raises(TypeError, match="state has dtype object"):
        Paths.from_arrays([0.0, 1.0], [[1.0], [2.0, 3.0]], [1.0, 2.0])


@pytest.mark.parametrize("text, message", [
    ("", "has columns none, expected also time, reward, state"),
    ("time,state\n0,1\n", "has columns time, state, expected also reward"),
    ("time,state,reward\n0,1,2\n1,2\n", "line 3: 2 cells, expected 3"),
    ("time,state,reward\n0,1,2\n1,2,\n", "line 3: reward is '', expected a number"),
    ("time,state,reward\n0,1,2\n1,2,\"3,5\"\n", "line 3: reward is '3,5', expected a number with a decimal point"),
    ("time,state,reward\n", "at least two points"),
])
def test_a_bad_csv_names_its_line(tmp_path, text, message):
    (tmp_path / "mine.csv").write_text(text)
    with pytest.raises(ValueError, match="mine.csv.*" + message):
        Paths.load(tmp_path / "mine.csv")


def test_files_that_are_not_there_or_not_whole(tmp_path):
    with pytest.raises(FileNotFoundError, match="no file"):
        Paths.load(tmp_path / "none.csv")
    (tmp_path / "a.txt").write_text("")
    with pytest.raises(ValueError, match="expected .npz or .csv"):
        Paths.load(tmp_path / "a.txt")
    np.savez(tmp_path / "a.npz", time=T, state=X, reward=R)
    (tmp_path / "cut.npz").write_bytes((tmp_path / "a.npz").read_bytes()[:300])
    with pytest.raises(ValueError, match="cut short, damaged"):
        Paths.load(tmp_path / "cut.npz")
    np.savez(tmp_path / "b.npz", time=T)
    with pytest.raises(ValueError, match="has arrays time, expected also state, reward"):
        Paths.load(tmp_path / "b.npz")
    np.savez(tmp_path / "c.npz", time=T, state=np.array([{}] * 5), reward=R)
    with pytest.raises(ValueError, match="pickled objects"):
        Paths.load(tmp_path / "c.npz")


@pytest.mark.parametrize("dt", [0.05, 0.01])
def test_pendulum_is_gymnasiums_own_at_every_step(dt):
    first = np.array([[3.0, 0.5], [-1.0, 2.0]])
    p = pendulum(dt, 2, 20 * dt, np.random.default_rng(0), controller=expert, start=first)
    for i in range(2):
        env = gymnasium.make("Pendulum-v1").unwrapped
        env.reset(seed=0)
        env.dt, env.state = dt, first[i].copy()
        for k in range(20):
            assert p.x[k, i] == pytest.approx(env.state, abs=1e-6)  # its observations are float32
            obs = np.array([np.cos(env.state[0]), np.sin(env.state[0]), env.state[1]])
            _, reward, *_ = env.step(expert(obs[None])[0].astype(np.float64))
            assert p.r[k, i] == pytest.approx(reward, abs=1e-5)


def test_wind_adds_the_variance_it_says():
    still, wind = (pendulum(0.01, 2000, 0.01, np.random.default_rng(0), wind=w, start=np.zeros((2000, 2)))
                   for w in (0.0, 0.7))
    gust = wind.x[1, :, 1] - still.x[1, :, 1]
    assert gust.std() == pytest.approx(0.7 * 0.1, rel=5 / (2 * 2000) ** 0.5)


def test_the_spring_holds_the_pendulum_up():
    p = pendulum(0.01, 50, 5.0, np.random.default_rng(0), controller=hold, start=np.full((50, 2), 0.1))
    assert np.abs(p.x[-1]).max() < 1e-3


def test_a_pendulum_without_a_step_is_refused():
    with pytest.raises(ValueError, match="at least one step"):
        pendulum(0.1, 1, 0.01, np.random.default_rng(0))
