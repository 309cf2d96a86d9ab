"""Paths in continuous time: when, where, and at what rate reward flowed. Simulated, or a student's own record.

    t [P, 1] or [P, N]     time of each point, in any unit, increasing along a path; steps need not be equal
    x [P, N, ...]          state at that time
    r [P, N]               reward *rate* there: a step of length Δt is paid r Δt
    starts [n+1]           rows starts[i] to starts[i+1] of each column are one path; by default one path a column

Two layouts in one: N simulated paths side by side on one grid (starts = [0, P]), or records of any lengths one below
the other (N = 1). A `Paths` checks all this when it is made; nothing is dropped or mended in silence.

Read `Paths`, then its makers `from_arrays` and `load` (a .npz or CSV of your own), then `pendulum`.
"""

from __future__ import annotations

import csv
import os
import re
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from rlkit import npz


@dataclass(frozen=True, eq=False)
class Paths:
    """n paths of P points a column.  Raises TypeError for a wrong dtype, ValueError for the rest.

    joined: the first row repeats the last row of the block before: a long record that comes in pieces.
    """

    t: np.ndarray
    x: np.ndarray
    r: np.ndarray
    starts: np.ndarray | None = None
    joined: bool = False

    def __post_init__(self):
        t, x, r = (_numbers(v, name) for v, name in ((self.t, "time"), (self.x, "state"), (self.r, "reward")))
        starts = np.array([0, len(t)]) if self.starts is None else _numbers(self.starts, "starts", "iu")
        t, r = (v[:, None] if v.ndim == 1 else v for v in (t, r))
        x = x[:, None] if x.ndim == 1 else x
        for name, value in dict(t=t, x=x, r=r, starts=starts).items():
            object.__setattr__(self, name, value)
        _check(self)

    @property
    def n(self) -> int:
        """Number of paths."""
        return self.x.shape[1] * (len(self.starts) - 1)

    @property
    def m(self) -> int:
        """Number of transitions, over all paths."""
        return self.x.shape[1] * (len(self.t) - len(self.starts) + 1)

    @property
    def dt(self) -> np.ndarray:
        """[P-1, 1 or N] length of each step; 0 from the end of one path to the start of the next."""
        dt = np.diff(self.t, axis=0)
        dt[self.starts[1:-1] - 1] = 0.0
        return dt

    @property
    def time(self) -> float:
        """Total observed time, over all paths."""
        return float(np.broadcast_to(self.dt, (len(self.t) - 1, self.x.shape[1])).sum())

    def thin(self, stride: int) -> Paths:
        """Every stride-th point of each path from its first on: the same record, watched less often.

        What follows the last whole stride of a path is left out.  Raises ValueError where a path has fewer steps.
        """
        if stride < 1 or stride != int(stride) or np.diff(self.starts).min() <= stride:
            raise ValueError(f"stride is {stride}, expected a whole number from 1 to {np.diff(self.starts).min() - 1}, "
                             "the steps of the shortest path")
        rows = [np.arange(a, b, int(stride)) for a, b in zip(self.starts[:-1], self.starts[1:])]
        starts = np.cumsum([0] + [len(i) for i in rows])
        i = np.concatenate(rows)
        return replace(self, t=self.t[i], x=self.x[i], r=self.r[i], starts=starts)

    # ---- makers

    @classmethod
    def from_arrays(cls, time, state, reward, path=None) -> Paths:
        """From flat columns, one row a point.

        time: [P].  state: [P] or [P, d].  reward: [P], the rate at each point.  path: [P] which path a row belongs to
        (anything comparable); a path is a run of equal values. None: all rows are one path.
        """
        time = _numbers(time, "time")
        starts = None
        if path is not None:
            path = np.asarray(path)
            if path.shape != time.shape or time.ndim != 1:
                raise ValueError(f"path has shape {path.shape} and time {time.shape}, expected [P] each, one per row")
            first = np.flatnonzero(np.append(True, path[1:] != path[:-1])) if len(path) else np.zeros(0, int)
            if len(np.unique(path[first])) < len(first):
                raise ValueError("the rows of one path do not stand together: the same path begins twice; sort the "
                                 "file by path, then by time")
            starts = np.append(first, len(path))
        state = _numbers(state, "state")
        return cls(time, state[:, None] if state.ndim > 1 else state, reward, starts)

    @classmethod
    def load(cls, path: str | os.PathLike) -> Paths:
        """A record of your own.

        .npz: arrays time [P], state [P] or [P, d], reward [P], and path [P] if there are several.
        .csv: a header naming columns time, reward, state (or several that begin with "state"), and perhaps path.
        Raises ValueError naming the file, the line or array, and what was expected.
        """
        path = Path(path)
        if not os.path.lexists(path):
            raise FileNotFoundError(f"no file {os.path.abspath(path)}, expected a .npz or .csv with time, state and "
                                    "reward")
        if path.suffix.lower() not in (".npz", ".csv"):
            raise ValueError(f"{path.name} ends in {path.suffix!r}, expected .npz or .csv")
        if not path.is_file():                                            # a pipe would wait for ever
            raise ValueError(f"{path.name} is a folder or no plain file, expected a .npz or .csv")
        columns = (_npz if path.suffix.lower() == ".npz" else _csv)(path)
        try:
            return cls.from_arrays(**columns)
        except (ValueError, TypeError) as e:
            raise type(e)(f"{path.name}: {e}") from e


def _npz(path: Path) -> dict:
    columns = npz.read(path, "a record", "write it with np.savez(file, time=..., state=..., reward=...)")
    absent = [k for k in ("time", "state", "reward") if k not in columns]
    if absent:
        raise ValueError(f"{path.name} has arrays {', '.join(columns) or 'none'}, expected also {', '.join(absent)}")
    return {k: columns[k] for k in ("time", "state", "reward", "path") if k in columns}


# float() also reads "1_000" as 1000; nan and inf pass here, so that their place can be told
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?|[+-]?(nan|inf|infinity)", re.IGNORECASE | re.ASCII)


def _csv(path: Path) -> dict:
    try:
        return _columns(path)
    except (UnicodeDecodeError, csv.Error, OSError) as e:
        raise ValueError(f"{path.name} cannot be read as text in UTF-8 with commas ({type(e).__name__}: {e}); save it "
                         "again as CSV UTF-8") from e


def _columns(path: Path) -> dict:
    with open(path, newline="", encoding="utf-8-sig") as f:
        rows = csv.reader(f)
        head = [name.strip().lower() for name in next(rows, [])]
        states = [i for i, name in enumerate(head) if name.startswith("state")]
        absent = [k for k in ("time", "reward") if k not in head] + ([] if states else ["state"])
        if absent:
            raise ValueError(f"{path.name} has columns {', '.join(head) or 'none'}, expected also {', '.join(absent)}")
        used = [name for name in head if name in ("time", "reward", "path") or name.startswith("state")]
        if len(set(used)) < len(used):
            raise ValueError(f"{path.name} has columns {', '.join(head)}, expected each name once: which of the two "
                             "is meant? Rename one")
        number = sorted({head.index("time"), head.index("reward"), *states})
        values, names = [], []
        for row in rows:
            if not any(cell.strip() for cell in row):
                continue                                                  # an empty line, as at the end of many files
            if len(row) != len(head):
                raise ValueError(f"{path.name}, line {rows.line_num}: {len(row)} cells, expected {len(head)}")
            for i in number:
                if not NUMBER.fullmatch(row[i].strip()):
                    raise ValueError(f"{path.name}, line {rows.line_num}: {head[i]} is {row[i]!r}, expected a number "
                                     "with a decimal point")
            values.append([float(row[i]) for i in number])
            names.append(row[head.index("path")].strip() if "path" in head else "")
    table = np.array(values).reshape(len(values), len(number))
    column = {i: table[:, j] for j, i in enumerate(number)}
    state = column[states[0]] if len(states) == 1 else np.stack([column[i] for i in states], 1)
    return dict(time=column[head.index("time")], state=state, reward=column[head.index("reward")],
                path=np.array(names) if "path" in head else None)


# ---- a real environment, watched more and more often


def pendulum(dt: float, n: int, horizon: float, rng: np.random.Generator, wind: float = 0.0, controller=None,
             start=None) -> Paths:
    """n records of Gymnasium's own Pendulum-v1, re-stepped at `dt` through its attribute of that name.

    State (θ, θ̇) with θ unwrapped, rad and rad/s; reward rate -(θ² + 0.1 θ̇² + 0.001 u²) per second (Gymnasium pays it
    once a step of 0.05 s; as a rate it does not depend on the step).  horizon: seconds.
    controller: obs [n, 3] -> torque [n, 1]; by default `hold`.  start: [n, 2] states; by default |θ| ≤ 0.3, |θ̇| ≤ 0.5.
    wind: gusts, θ̇ += wind √Δt Z after each step, rad/s per √s; 0 is the pendulum as it comes, a noiseless world.
    """
    from gymnasium.envs.classic_control import PendulumEnv

    if not dt > 0 or not n >= 1 or round(horizon / dt) < 1:
        raise ValueError(f"dt is {dt}, n {n}, horizon {horizon}, expected dt > 0, n ≥ 1 and at least one step")
    env, steps, controller = PendulumEnv(), round(horizon / dt), controller or hold
    env.dt = dt
    state = rng.uniform((-0.3, -0.5), (0.3, 0.5), (n, 2)) if start is None else np.asarray(start, float)
    env.state = state.T.copy()                                            # [2, n]: its step is elementwise
    x, r = np.empty((steps + 1, n, 2)), np.empty((steps + 1, n))
    for k in range(steps + 1):
        theta, speed = x[k].T[:] = env.state
        u = controller(np.stack([np.cos(theta), np.sin(theta), speed], 1))
        _, r[k], *_ = env.step(u.T)
        if wind:
            env.state[1] += wind * dt**0.5 * rng.standard_normal(n)
    return Paths(dt * np.arange(steps + 1), x, r)


def hold(obs: np.ndarray) -> np.ndarray:
    """A spring and a damper that hold it upright: u = -(8θ + 2θ̇), obs [n, 3] -> torque [n, 1], not clipped here."""
    return -(8 * np.arctan2(obs[:, 1], obs[:, 0]) + 2 * obs[:, 2])[:, None]


# ---- checks


def _numbers(value, name: str, kinds: str = "biuf") -> np.ndarray:
    if np.ma.is_masked(value):
        raise ValueError(f"{name} has masked entries, expected none: leave those points out (steps need not be equal)")
    try:
        x = np.asarray(value)
    except Exception:                                                     # ragged, or no array at all
        x = np.empty(0, object)
    if x.dtype.kind not in kinds:
        raise TypeError(f"{name} has dtype {x.dtype}, expected an array of {'whole ' * (kinds == 'iu')}numbers")
    if x.dtype.kind in "iu" and x.size and (x.max() > 2**53 or x.min() < -(2**53)):
        raise ValueError(f"{name} holds whole numbers from {x.min()} to {x.max()}, expected none beyond 2^53, where "
                         "they lose digits as float64; count from another start, as time - time[0]")
    return x.astype(np.int64 if kinds == "iu" else float, copy=False)


def _check(p: Paths) -> None:
    P, N = len(p.t), p.x.shape[1]
    if p.t.ndim != 2 or P < 2 or p.t.shape[1] not in (1, N):
        raise ValueError(f"time has shape {p.t.shape}, expected [P] or [P, {N}] with at least two points")
    if p.x.shape[:2] != (P, N) or N == 0 or p.r.shape != (P, N):
        raise ValueError(f"time has {P} points, state has shape {p.x.shape} and reward {p.r.shape}, expected "
                         f"[{P}, N, ...] and [{P}, N]: state and reward at each time")
    s = p.starts
    if s.ndim != 1 or s.dtype.kind not in "iu" or len(s) < 2 or s[0] != 0 or s[-1] != P:
        raise ValueError(f"starts is {s}, expected whole numbers from 0 to {P}, the number of points")
    s = s.astype(np.int64)
    if (short := (s[1:] <= s[:-1]) | (np.diff(s) < 2)).any():
        i = int(np.argmax(short))
        raise ValueError(f"path {i} has {np.diff(s)[i]} point, expected at least two: from one point nothing moves")
    for name, x in (("time", p.t), ("state", p.x), ("reward", p.r)):
        with np.errstate(over="ignore", invalid="ignore"):
            fine = np.isfinite(x.sum())                                   # one pass; the slow look only where it fails
        if not fine and not (good := np.isfinite(x)).all():
            at = np.argwhere(~good)[0]
            raise ValueError(f"{name} is {x[tuple(at)]} at {_place(p, at)}, expected finite numbers; one such value "
                             "spoils every sum: leave that point out (steps need not be equal)")
    forward = np.diff(p.t, axis=0) > 0
    forward[s[1:-1] - 1] = True
    if not forward.all():
        k, j = np.argwhere(~forward)[0]
        raise ValueError(f"time goes from {p.t[k, j]:g} to {p.t[k + 1, j]:g} at {_place(p, (k + 1, j))}, expected "
                         "increasing; sort the rows by time, and if several paths follow each other, name them by path")


def _place(p: Paths, at) -> str:
    i = int(np.searchsorted(p.starts, at[0], side="right")) - 1
    return f"path {i * p.x.shape[1] + (at[1] if p.x.shape[1] > 1 else 0)}, point {at[0] - p.starts[i]}"
