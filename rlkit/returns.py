"""From rewards to targets: returns, λ-returns, advantages, and one rule for what counts after the last step.

Arrays are flat: M transitions, episode after episode, episode i being starts[i]:starts[i+1]; further axes (runs,
agents) come after the first. `terminated` is the world's end, after which nothing is worth anything; an episode cut
by the clock is not over for the value function, so its last step still counts `v_next`, the value of where it was cut.

    target = bootstrap_target(reward, terminated, v_next, gamma)            # one step
    ret = discount(reward, starts, gamma)                                   # to the end of the record
    adv = gae(reward, terminated, v, v_next, starts, gamma, lam)            # in between

Source: Sutton & Barto (2018), chapters 3 and 12; gae: Schulman et al. (2016), Generalized Advantage Estimation.
"""

from __future__ import annotations

import numpy as np


def bootstrap_target(reward: np.ndarray, terminated: np.ndarray, v_next: np.ndarray, gamma: float) -> np.ndarray:
    """One-step target:  y = r + γ v(s') where the world goes on, y = r where it ended.

    reward, terminated (bool), v_next: shapes that agree.  v_next after an end is not read, and may be NaN.
    gamma: γ in [0, 1].  Gives an array of the same shape, reward units.
    """
    reward, v_next, terminated = np.asarray(reward), np.asarray(v_next), np.asarray(terminated)
    if not reward.shape == terminated.shape == v_next.shape:
        raise ValueError(f"reward {reward.shape}, terminated {terminated.shape} and v_next {v_next.shape} differ in "
                         "shape, expected one of each per transition")
    if terminated.dtype != bool:
        raise TypeError(f"terminated is {terminated.dtype}, expected bool: True only where the world ended, "
                        "not where the clock stopped the episode")
    return reward + _share(gamma, "gamma") * np.where(terminated, 0.0, v_next)


def discount(reward: np.ndarray, starts: np.ndarray, gamma: float = 1.0) -> np.ndarray:
    """Return-to-go of each transition:  G_t = Σ_k γ^k r_{t+k}, up to the end of its episode.

    reward: [M, ...], reward units.  starts: [N+1].  gamma: γ in [0, 1].  Gives [M, ...]; the return of episode i is
    G[starts[i]].  Nothing is added for what would have come after a cut: there use `lambda_returns` with lam=1.
    """
    reward = np.asarray(reward, float)
    return _backwards(reward, _share(gamma, "gamma"), _starts(starts, len(reward)))


def lambda_returns(reward: np.ndarray, terminated: np.ndarray, v_next: np.ndarray, starts: np.ndarray,
                   gamma: float, lam: float) -> np.ndarray:
    """λ-return:  G_t = r_t + γ [(1 - λ) v(s_{t+1}) + λ G_{t+1}],  0 in the bracket after the world's end.

    The last step of an episode has no G_{t+1} and takes all of v(s_{t+1}): lam = 0 is the one-step target everywhere,
    lam = 1 the return with the value of the cut added.
    reward, terminated (bool), v_next: [M, ...].  starts: [N+1].  Gives [M, ...], reward units.
    """
    lam, starts = _share(lam, "lam"), _starts(starts, len(reward))
    own = np.full(np.shape(reward)[:1], 1 - lam)                          # [M] weight of v(s_{t+1})
    own[starts[1:] - 1] = 1.0
    own = own.reshape(-1, *[1] * (np.ndim(reward) - 1))
    step = bootstrap_target(reward, terminated, np.asarray(v_next) * own, gamma)
    return _backwards(step, gamma * lam * ~np.asarray(terminated), starts)


def gae(reward: np.ndarray, terminated: np.ndarray, v: np.ndarray, v_next: np.ndarray, starts: np.ndarray,
        gamma: float, lam: float) -> np.ndarray:
    """Generalised advantage:  A_t = Σ_k (γλ)^k δ_{t+k},  δ_t = r_t + γ v(s_{t+1}) - v(s_t), up to the episode's end.

    Where v_next is the v of the next transition (one critic for both) this is the λ-return minus v(s_t).
    reward, terminated (bool), v, v_next: [M, ...].  starts: [N+1].  Gives [M, ...], reward units.
    """
    if np.shape(v) != np.shape(reward):
        raise ValueError(f"v has shape {np.shape(v)}, expected {np.shape(reward)}, one value per transition")
    delta = bootstrap_target(reward, terminated, v_next, gamma) - v
    return _backwards(delta, gamma * _share(lam, "lam") * ~np.asarray(terminated), _starts(starts, len(delta)))


def _backwards(x, c, starts):
    """y_t = x_t + c_t y_{t+1} within each episode, all at once: after round k, y_t holds its next 2^k terms."""
    y, c = x.copy(), np.array(np.broadcast_to(c, x.shape), float)
    c[starts[1:] - 1] = 0.0                                               # nothing follows the last step of an episode
    reach, longest = 1, np.diff(starts).max()
    while reach < longest:
        on = c[:-reach] != 0                                              # 0 · NaN is NaN: a bad episode stays alone
        y[:-reach] += np.multiply(c[:-reach], y[reach:], out=np.zeros_like(y[reach:]), where=on)
        c[:-reach] *= c[reach:]
        reach *= 2
    return y


def _starts(starts, M):
    starts = np.asarray(starts)
    if starts.ndim != 1 or starts.dtype.kind not in "iu" or len(starts) < 2 or starts[0] != 0 or starts[-1] != M:
        raise ValueError(f"starts is {starts}, expected whole numbers from 0 to {M}, the number of transitions; "
                         "for one episode use [0, len(reward)]")
    if (np.diff(starts) < 1).any():
        i = int(np.argmax(np.diff(starts) < 1))
        raise ValueError(f"episode {i} runs from {starts[i]} to {starts[i + 1]}, expected at least one transition")
    return starts


def _share(x, name):
    if not 0 <= x <= 1:
        raise ValueError(f"{name} is {x!r}, expected a number from 0 to 1")
    return x
