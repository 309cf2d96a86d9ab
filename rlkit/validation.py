"""What a dataset must be; each error says in which episode, what is wrong, what was expected, and how to mend it.

`array` is for one field alone, `check` for the whole. Nothing here changes data: what does not fit is refused.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

KINDS = dict(obs="biuf", next_obs="biuf", final_obs="biuf", action="biuf", reward="biuf",
             terminated="b", truncated="b", starts="iu", source="iu")
WORDS = dict(biuf="real numbers", b="bool", iu="whole numbers")


def array(value, name: str, where: str = "") -> np.ndarray:
    """`value` as an array of the kind its field needs; whole numbers become int64, rewards float."""
    if np.ma.is_masked(value):
        raise ValueError(f"{where}{name} has {np.ma.count_masked(value)} masked entries, expected none: what lies "
                         "under a mask is no data; fill it, or leave those episodes out")
    try:
        x = np.asarray(value)
    except Exception:                                                             # ragged, or no array at all
        x = np.empty(0, object)
    kind = KINDS[name]
    if x.dtype == object:
        raise TypeError(f"{where}{name} is ragged or holds objects or missing values, expected one array of "
                        f"{WORDS[kind]}; rows of different shape belong in different datasets or must be padded")
    if x.size == 0 and isinstance(value, list):                                   # [] has no dtype of its own
        x = x.astype(dict(b=bool, iu=np.int64).get(kind, float))
    if x.dtype.kind not in kind:
        fix = "; for 0 and 1 give x.astype(bool)" if kind == "b" and x.dtype.kind in "iuf" else ""
        raise TypeError(f"{where}{name} has dtype {x.dtype}, expected {WORDS[kind]}{fix}")
    x = x.astype(x.dtype.newbyteorder("="), copy=False)            # the same numbers, in the order that torch wants
    if kind == "iu":
        if x.dtype == np.uint64 and x.size and x.max() > np.iinfo(np.int64).max:
            raise ValueError(f"{where}{name} holds {x.max()}, expected whole numbers below 2^63")
        return x.astype(np.int64, copy=False)
    if name == "reward" and x.dtype.kind in "iu" and x.size and (x.max() > 2**53 or x.min() < -(2**53)):
        raise ValueError(f"{where}reward holds whole numbers from {x.min()} to {x.max()}, expected none beyond 2^53, "
                         "where they lose digits as float64; give floats, in a larger unit")
    return x.astype(np.float64) if name == "reward" and x.dtype.kind != "f" else x


def check(d) -> None:
    """Refuse what is not a dataset: d has the fields of `trajectories.Dataset`, each of the right kind by `array`."""
    M, starts = len(d.reward) if d.reward.ndim == 1 else -1, d.starts
    if M < 0:
        raise ValueError(f"reward has shape {d.reward.shape}, expected [M], one number per transition")
    if M == 0:
        raise ValueError("the dataset has no transition, expected at least one episode of one transition")
    for name in ("obs", "action", "terminated", "truncated"):
        x = getattr(d, name)
        if x.ndim == 0 or len(x) != M or (x.ndim != 1 and name[0] == "t"):
            raise ValueError(f"{name} has shape {x.shape}, expected {M} rows as reward has, one per transition")
    if starts.ndim != 1 or len(starts) < 2 or starts[0] != 0 or starts[-1] != M:
        raise ValueError(f"starts has shape {starts.shape} and ends {starts.ravel()[:1]} and {starts.ravel()[-1:]}, "
                         f"expected [N+1] numbers from 0 to {M}, the number of transitions")
    if (at := np.flatnonzero(starts[1:] <= starts[:-1])).size:
        i = int(at[0])
        raise ValueError(f"episode {i} goes from row {starts[i]} to row {starts[i + 1]}, expected increasing starts: "
                         "no episode is empty; from_episodes(..., drop_empty=True) leaves such out and counts them")
    N = len(starts) - 1
    if d.final_obs.shape != (N, *d.obs.shape[1:]) or d.final_obs.dtype != d.obs.dtype:
        raise ValueError(f"final_obs is {d.final_obs.dtype} of shape {d.final_obs.shape}, expected {d.obs.dtype} "
                         f"{(N, *d.obs.shape[1:])}: what was seen after the last transition of each of {N} episodes")
    ends = np.zeros(M, bool)
    ends[starts[1:] - 1] = True
    done = d.terminated | d.truncated
    if (at := np.flatnonzero(done != ends)).size:
        i, t = _place(d, at[0])
        raise ValueError(
            f"episode {i} is over at step {t} of {d.lengths[i]}, expected only its last step to be: starts and flags "
            "disagree; let from_arrays find the starts" if done[at[0]] else
            f"episode {i} ends with neither terminated nor truncated, expected one of them; if the recording stopped "
            f"there, mark its last transition: truncated[{at[0]}] = True")
    for name in ("obs", "action", "reward", "final_obs"):
        x = getattr(d, name)
        if x.dtype.kind == "f" and not np.isfinite(x).all():
            at = np.argwhere(~np.isfinite(x))[0]
            where = f"episode {at[0]}, after its last step" if name == "final_obs" else "episode {}, step {}".format(
                *_place(d, at[0]))
            raise ValueError(f"{name} is {x[tuple(at)]} in {where}, expected finite numbers: one such value poisons "
                             "every weight; mend the recording or leave that episode out")
    with np.errstate(over="ignore", invalid="ignore"):
        total = np.add.reduceat(d.reward, starts[:-1], dtype=np.float64)
    if (at := np.flatnonzero(~np.isfinite(total))).size:
        raise ValueError(f"reward sums to {total[at[0]]} in episode {at[0]}, expected a finite return; give "
                         "rewards in a larger unit")
    if not d.names or not all(isinstance(name, str) for name in d.names) or len(set(d.names)) < len(d.names):
        raise ValueError(f"names is {d.names!r}, expected different words, one per source")
    if d.source.shape != (N,) or d.source.min() < 0 or d.source.max() >= len(d.names):
        raise ValueError(f"source has shape {d.source.shape} and values {np.unique(d.source)[:9]}, expected [{N}] "
                         f"indices into the {len(d.names)} names {d.names}")
    for name, x, space in (("obs", d.obs, d.observation_space), ("action", d.action, d.action_space)):
        _space(name, x, space, lambda row: "episode {}, step {}".format(*_place(d, row)))


def _space(name: str, x: np.ndarray, space, place: Callable[[int], str]) -> None:
    """Shape of one observation or action against its space, and discrete values against their range."""
    if space is None:
        return
    if not hasattr(space, "shape") or not hasattr(space, "contains"):
        raise TypeError(f"the space of {name} is {space!r}, expected a Gymnasium space, as Box(-1, 1, (2,)), or None")
    if space.shape is None or x.shape[1:] != space.shape:
        raise ValueError(f"one {name} has shape {x.shape[1:]}, expected {space.shape} of its space {space}")
    if hasattr(space, "n") and not space.shape:                                    # Discrete: start to start + n - 1
        if x.dtype.kind not in "iu":
            raise TypeError(f"{name} has dtype {x.dtype}, expected whole numbers of its space {space}")
        if (at := np.flatnonzero((x < space.start) | (x >= space.start + space.n))).size:
            raise ValueError(f"{name} is {x[at[0]]} in {place(at[0])}, expected one of its space {space}")


def follow(d, next_obs: np.ndarray) -> None:
    """Refuse next_obs [M, ...] that are not what the dataset then says was seen after each transition."""
    different = (next_obs != d.next_obs).reshape(d.m, -1).any(1)
    if (at := np.flatnonzero(different)).size:
        raise ValueError("next_obs is not the obs of the row below in episode {}, step {}, expected the same within an "
                         "episode: rows are shuffled or left out; sort them, or mark where the recording stopped in "
                         "truncated".format(*_place(d, at[0])))


def _place(d, row: int) -> tuple[int, int]:
    """Episode and step of a transition."""
    i = int(np.searchsorted(d.starts, row, side="right")) - 1
    return i, int(row - d.starts[i])


def still_finite(step: int, **numbers) -> None:
    """Raise FloatingPointError, naming the quantity and the step, where a learner has lost its numbers.

    For a learner that would otherwise hand them on to a formula that refuses NaN in words of its own.
    """
    for name, x in numbers.items():
        x = np.asarray(x)
        if not np.isfinite(x).all():
            raise FloatingPointError(f"{name} became {'NaN' if np.isnan(x).any() else 'infinite'} at step {step}")
