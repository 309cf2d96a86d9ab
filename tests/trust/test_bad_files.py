"""A file that was cut, flipped, renamed or made to harm is refused by name, or is exactly what was written."""

import json
import os
import shutil
import subprocess
import sys
import traceback
import warnings
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest
from gymnasium.spaces import Box, Discrete

from rlkit.paths import Paths
from rlkit.trajectories import ARRAYS, Dataset

RNG = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def store(tmp_path, monkeypatch):
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "store"))
    return tmp_path / "store"


def dataset():
    ends, M = np.array([3, 4, 9]), 9
    ends = np.isin(np.arange(M), ends - 1)
    obs = RNG.normal(size=M + 3)
    obs[:3] = -0.0, 5e-324, 1e300
    action = RNG.integers(3, size=M)
    return Dataset(obs[:M], action, RNG.normal(size=M), ends, np.zeros(M, bool), [0, 3, 4, 9], obs[M:], [0, 1, 1],
                   ("Könner ☕", "随机"), Box(-np.inf, np.inf, (), np.float64), Discrete(3))


def same(a, b):
    return all(getattr(a, k).dtype == getattr(b, k).dtype and getattr(a, k).tobytes() == getattr(b, k).tobytes()
               for k in ARRAYS) and a.names == b.names and a.action_space == b.action_space


def outcome(load, name: str):
    """What was loaded, or None where an error of ours names the file; warnings and other errors fail."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            warnings.filterwarnings("ignore", message=".*marked truncated")             # says what it does
            return load()
    except (ValueError, TypeError, FileNotFoundError) as e:
        assert name in str(e) and any(w in str(e) for w in ("expected", "again", "write it with")), str(e)
        assert "rlkit" in Path(traceback.extract_tb(e.__traceback__)[-1].filename).parts, repr(e)


def damaged(whole: bytes, flips: int, cuts: int):
    for size in np.linspace(0, len(whole) - 1, cuts, dtype=int):
        yield whole[:size]
    for at, bit in zip(RNG.integers(len(whole), size=flips), RNG.integers(8, size=flips)):
        yield whole[:at] + bytes([whole[at] ^ 1 << bit]) + whole[at + 1:]


def test_a_damaged_npz_is_refused_or_exactly_what_was_saved(tmp_path):
    d, file = dataset(), tmp_path / "mine.npz"
    d.save(file)
    refused = 0
    for content in damaged(file.read_bytes(), 300, 100):
        file.write_bytes(content)
        got = outcome(lambda: Dataset.load(file), "mine.npz")
        assert got is None or same(got, d)
        refused += got is None
    assert refused > 200


def test_a_header_that_claims_fewer_numbers_is_noticed(tmp_path):
    """numpy alone stops reading before the checksum, and gives other numbers in silence."""
    file = tmp_path / "mine.npz"
    d = Dataset.from_arrays(np.zeros(2000), np.arange(6000.0).reshape(2000, 3), np.zeros(2000),
                            np.arange(2000) == 1999, final_obs=[0.0])
    d.save(file)
    whole = file.read_bytes()
    assert whole.count(b"(2000, 3)") == 1
    file.write_bytes(whole.replace(b"(2000, 3)", b"(2000, 2)"))
    with np.load(file) as z:
        assert z["action"].shape == (2000, 2)                                # what used to become data
    with pytest.raises(ValueError, match="mine.npz cannot be read.*CRC"):
        Dataset.load(file)


def test_what_is_no_such_file_is_refused_by_name(tmp_path):
    import torch
    d = dataset()
    d.save(tmp_path / "a.npz")
    torch.save(dict(a=torch.ones(2)), tmp_path / "torch.npz")
    (tmp_path / "png.npz").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(50))
    (tmp_path / "empty.npz").write_bytes(b"")
    (tmp_path / "folder.npz").mkdir()
    (tmp_path / "folder.csv").mkdir()
    os.symlink(tmp_path / "nowhere", tmp_path / "link.npz")
    os.mkfifo(tmp_path / "pipe.npz")                                      # reading it would never end
    shutil.copy(tmp_path / "a.npz", tmp_path / "npz.csv")
    with zipfile.ZipFile(tmp_path / "twice.npz", "w") as z, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in range(2):
            z.writestr("time.npy", b"")
    for path in sorted(tmp_path.iterdir()):
        if path.name != "a.npz":
            assert outcome(lambda p=path: Dataset.load(p), path.name) is None or path.name == "npz.csv"
        assert outcome(lambda p=path: Paths.load(p), path.name) is None
    for name in ("no such", "n\0ul", "x" * 300):
        assert outcome(lambda n=name: Dataset.load(n), name) is None
    assert outcome(lambda: d.save(tmp_path / "no" / "d.npz"), "d.npz") is None


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="this user may read everything")
def test_a_file_we_may_not_read_is_named(tmp_path):
    dataset().save(tmp_path / "a.npz")
    os.chmod(tmp_path / "a.npz", 0)
    assert outcome(lambda: Dataset.load(tmp_path / "a.npz"), "a.npz") is None


class Bomb:
    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


def test_a_pickle_bomb_is_never_run(tmp_path):
    import torch
    marker = tmp_path / "exploded"
    dataset().save(tmp_path / "a.npz")
    with np.load(tmp_path / "a.npz") as z:
        arrays = dict(z) | dict(time=np.ones(2), state=np.ones(2))
    np.savez(tmp_path / "objects.npz", **arrays | {"reward": np.array([Bomb(marker)], object)})
    torch.save(dict(reward=Bomb(marker)), tmp_path / "zip.npz")
    torch.save(dict(reward=Bomb(marker)), tmp_path / "legacy.npz", _use_new_zipfile_serialization=False)
    for name in ("objects.npz", "zip.npz", "legacy.npz"):
        for load in (Dataset.load, Paths.load):
            assert outcome(lambda n=name, f=load: f(tmp_path / n), name) is None
    assert not marker.exists()
    torch.load(tmp_path / "zip.npz", weights_only=False)                  # it is live
    assert marker.exists()


CSV = "time,state,reward,path\n0,1.5,-0.0,é\n1,2.5,5e-324,é\n0,1,1,随\n2,1,1,随\n"


def test_a_damaged_csv_is_refused_by_name_or_is_what_it_says(tmp_path):
    file, refused = tmp_path / "mine.csv", 0
    for content in damaged(CSV.encode(), 400, 60):
        file.write_bytes(content)
        got = outcome(lambda: Paths.load(file), "mine.csv")               # text has no checksum: a digit may be another
        refused += got is None
        if got is not None:                                               # but then every line that is there is there
            assert len(got.t) == sum(line.strip() != "" for line in content.decode().splitlines()) - 1
    assert refused > 150


@pytest.mark.parametrize("content, words", [
    (CSV.encode("utf-16"), "UTF-8"), (CSV.encode("latin-1", "replace"), "UTF-8"),
    (b"time,state,reward\n0,\x001,2", "mine"),
    (b"time,time,state,reward\n0,0,1,2\n1,1,1,2\n", "each name once"),
    (b"time,state,state,reward\n0,0,1,2\n1,1,1,2\n", "each name once"),
    (b"time,state,reward\n0,1_000,2\n1,1,2\n", "state is '1_000'"),
    (b"time,state,reward\n0,nan,2\n1,1,2\n", "state is nan"),
    (b"time,state,reward\n0,1e999,2\n1,1,2\n", "state is inf"), (b'time,state,reward\n0,"' + b"x" * 200_000, "mine")])
def test_an_odd_csv_is_refused_in_words(tmp_path, content, words):
    (tmp_path / "mine.csv").write_bytes(content)
    with pytest.raises(ValueError, match="mine.csv") as e:
        Paths.load(tmp_path / "mine.csv")
    assert words in str(e.value)


def test_any_damage_to_what_we_wrote_for_minari_is_refused_before_hdf5_meets_it(store):
    d = dataset()
    d.to_minari("aa/b-v0")
    folder = store / "aa" / "b-v0" / "data"
    assert same(Dataset.from_minari(folder), d)
    for name, flips in (("main_data.hdf5", 250), ("metadata.json", 150)):
        whole = (folder / name).read_bytes()
        for content in damaged(whole, flips, 40):
            (folder / name).write_bytes(content)
            got = outcome(lambda: Dataset.from_minari(folder), "b-v0")
            assert got is None or name == "metadata.json" and same(got, d)
        (folder / name).write_bytes(whole)
    assert same(Dataset.from_minari(folder), d)


def foreign(store) -> Path:
    """The same, as Minari writes it: without a checksum."""
    dataset().to_minari("aa/b-v0")
    folder = store / "aa" / "b-v0" / "data"
    about = json.loads((folder / "metadata.json").read_text())
    del about["rlkit_checksum"]
    (folder / "metadata.json").write_text(json.dumps(about))
    return folder


def change(name, value):
    def go(f):
        del f[name]
        if value is not None:
            f[name] = value
    return go


NAN = np.array([np.nan, 0, 0])


@pytest.mark.parametrize("harm", [change("episode_1", None), change("episode_1/rewards", None),
                                  change("episode_1/actions", np.zeros(3, int)), change("episode_0/rewards", NAN),
                                  change("episode_0/observations", np.zeros(3)), change("episode_0/terminations", NAN),
                                  change("episode_0/truncations", np.array([0, 2, 0])),
                                  change("episode_2/actions", np.full(5, 9)),
                                  change("episode_2/rewards", np.array([b"x"] * 5)),
                                  lambda f: f.create_dataset("episode_0/infos/huge", (2**40,), "f4", chunks=(2**16,)),
                                  lambda f: f["episode_0"].attrs.update(source=7),
                                  lambda f: f["episode_0"].attrs.update(source="good")])
def test_a_foreign_dataset_that_contradicts_itself_is_refused_by_name(store, harm):
    folder = foreign(store)
    with h5py.File(folder / "main_data.hdf5", "a") as f:
        harm(f)
    assert outcome(lambda: Dataset.from_minari(folder), "b-v0") is None


@pytest.mark.parametrize("about", [
    "", "[]", "{", b"\xff", '{"total_episodes": 3}', lambda a: a | dict(total_episodes=2),
    lambda a: a | dict(total_steps=8),
    lambda a: a | dict(action_space="{"), lambda a: a | dict(total_episodes=None), lambda a: a | dict(dataset_id=3),
    lambda a: a | dict(source_names=3), lambda a: a | dict(source_names=["one"]), lambda a: a | dict(data_format="x")])
def test_a_bad_metadata_file_is_refused_by_name(store, about):
    file = foreign(store) / "metadata.json"
    text = json.dumps(about(json.loads(file.read_text()))) if callable(about) else about
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    assert outcome(lambda: Dataset.from_minari(file.parent), "b-v0") is None
    file.unlink()
    assert outcome(lambda: Dataset.from_minari(file.parent), str(file.parent)) is None


def test_a_dataset_without_spaces_does_not_run_what_it_names_as_its_environment(store, tmp_path):
    file = foreign(store) / "metadata.json"
    about = json.loads(file.read_text())
    del about["observation_space"]
    about["env_spec"] = json.dumps(dict(id="Bomb-v0", entry_point="os:mkdir",
                                        kwargs=dict(path=str(tmp_path / "exploded")),
                                        additional_wrappers=[], vector_entry_point=None))
    file.write_text(json.dumps(about))
    assert outcome(lambda: Dataset.from_minari(file.parent), "b-v0") is None
    assert not (tmp_path / "exploded").exists()


FLIP = """
import sys, numpy as np
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from test_bad_files import outcome, damaged
from rlkit.trajectories import Dataset
folder = Path(sys.argv[1]); file = folder / "main_data.hdf5"; whole = file.read_bytes()
for content in damaged(whole, 150, 25):
    file.write_bytes(content)
    d = outcome(lambda: Dataset.from_minari(folder), "b-v0")
    assert d is None or d.m == 9 and np.isfinite(d.reward).all() and (d.action < 3).all()
print("through")
"""


def test_damage_to_a_foreign_hdf5_file_is_refused_or_still_a_valid_dataset(store):
    """Without a checksum a number may have become another: that cannot be seen. In a process of its own, in case HDF5
    itself falls."""
    folder = foreign(store)
    run = subprocess.run([sys.executable, "-c", FLIP, str(folder), str(Path(__file__).parent)], capture_output=True,
                         text=True, timeout=300)
    assert run.stdout.strip().endswith("through"), run.stderr[-2000:]
