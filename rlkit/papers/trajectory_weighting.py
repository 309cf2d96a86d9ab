"""Trajectory weighting: draw the better trajectories of a mixed dataset more often, change nothing else.

An offline algorithm must stay near the policy that made its data. If most of the data are poor, so is that policy. But
nobody says that the data must be drawn uniformly: give each trajectory a weight that grows with its return, and the
algorithm stays near a better policy, one that never was, made of the good trajectories.

Read in this order: `return_weights` and `advantage_weights` (the method, ten lines), `Config` and `experiment` (all of
it on the frozen grid, exactly, for any setting). Elsewhere: how a weight becomes the probability of a transition is
`sampling.transition_probs`, what the weighted data say is `empirical`, the improvement under a constraint `improve`.
Source: Hong, Agrawal, Tachet des Combes, Laroche (2023), Harnessing Mixed Offline Reinforcement Learning Datasets via
Trajectory Weighting, ICLR.

Axes: N trajectories, M transitions, S states, A actions.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from rlkit.config import check, knob
from rlkit.empirical import model, per_transition, weighted_policy
from rlkit.envs import frozen_grid as grid
from rlkit.improve import flow_weights, improve_kl
from rlkit.mdp import occupancy, simulate
from rlkit.measures import ess, psv
from rlkit.trajectories import Dataset

# ---- the weights


def scale01(x: np.ndarray, clip: float = 0.0) -> np.ndarray:
    """x moved and scaled to [0, 1]:  (x - min x) / (max x - min x); zeros where all x are equal to 1e-12 of their size.

    x: [N] finite numbers.  clip: first move what lies outside the clip and 1 - clip quantiles of x onto them; off by
    default, for the single outlier that would press all others together.
    Raises ValueError for no x, or one that is not finite.
    """
    x = np.asarray(x, np.float64)
    if x.ndim != 1 or x.size == 0:
        raise ValueError(f"there are numbers of shape {x.shape}, expected [N], one per trajectory, at least one")
    if not np.isfinite(x).all():
        i = np.flatnonzero(~np.isfinite(x))[0]
        raise ValueError(f"trajectory {i} has {x[i]}, expected a finite number: one such value poisons every weight")
    if not 0 <= clip < 0.5:
        raise ValueError(f"clip is {clip}, expected a share in [0, 0.5); try clip=0.01")
    if clip:
        x = np.clip(x, *np.quantile(x, [clip, 1 - clip]))
    if np.abs(x).max() > 1e307:                                           # or the span could be infinite
        x = x / 16
    span = x.max() - x.min()
    if span < 1e-12 * max(1.0, np.abs(x).max()):
        return np.zeros_like(x)
    return (x - x.min()) / span


def boltzmann(x: np.ndarray, alpha: float, clip: float = 0.0) -> np.ndarray:
    """The weights that trade a high mean of x against entropy: they maximise Σ w_i x̃_i + α H(w) over the simplex.

        w_i = exp(x̃_i / α) / Σ_j exp(x̃_j / α),      x̃ = x scaled to [0, 1]

    So the best has exp(1/α) times the weight of the worst, whatever the unit of x.
    alpha: temperature ≥ 0, no unit.  inf is uniform; 0 is the limit: all weight on the best, shared among equals.
    Gives [N], sums to 1.
    """
    if not alpha >= 0:
        raise ValueError(f"alpha is {alpha}, expected a temperature ≥ 0; the paper's is 0.1, float('inf') is uniform")
    z = scale01(x, clip)
    if alpha == 0:
        w = (z == z.max()).astype(float)
    else:
        with np.errstate(over="ignore"):                                  # -1/1e-320 = -inf, whose exp is the right 0
            w = np.exp((z - z.max()) / alpha)                             # the largest is 1: no overflow
    return w / w.sum()


def return_weights(G: np.ndarray, alpha: float, clip: float = 0.0) -> np.ndarray:
    """RW: weight of each trajectory from its return, `boltzmann(G, alpha)`.

    G: [N] returns, reward units.  Gives [N], sums to 1.  Warns when the weights rest on fewer than two trajectories.
    Source: Hong et al. (2023), with the scaling of their later public code.
    """
    return _heavy(boltzmann(G, alpha, clip), alpha)


def advantage_weights(G: np.ndarray, s0: np.ndarray, alpha: float, ridge: float = 0.0,
                      clip: float = 0.0) -> np.ndarray:
    """AW: weight of each trajectory from how much better it went than its start promised, `boltzmann(G - V(s0))`.

    A good start is luck, which no policy can choose; RW credits it, AW does not.
    G: [N].  s0: [N, ...] first observations, as features.  ridge: see `fit_value`.  Gives [N], sums to 1.
    """
    return _heavy(boltzmann(advantages(G, s0, ridge), alpha, clip), alpha)


def advantages(G: np.ndarray, s0: np.ndarray, ridge: float = 0.0) -> np.ndarray:
    """A_i = G_i - V(s0_i) [N], reward units; their mean is 0."""
    return np.asarray(G, np.float64) - fit_value(s0, G, ridge)


def fit_value(s0: np.ndarray, G: np.ndarray, ridge: float = 0.0) -> np.ndarray:
    """V(s0_i) [N]: least squares with intercept from first observations to returns, on all trajectories at once.

    s0: [N, ...], flattened to d features.  G: [N].  ridge: price of squared coefficients (not of the intercept).
    Features that do not vary, or repeat each other, do no harm (pseudo-inverse). Warns when N < 5 (d + 1): V then
    learns the returns by heart, no advantage is left, and AW silently turns uniform.
    """
    G = np.asarray(G, np.float64)
    x = np.asarray(s0, np.float64).reshape(len(s0), -1)
    n, d = x.shape
    if G.shape != (n,):
        raise ValueError(f"s0 has {n} rows and G shape {G.shape}, expected one first observation per return")
    if not (np.isfinite(x).all() and np.isfinite(G).all()):
        raise ValueError("s0 or G has a NaN or infinity, expected finite numbers; leave that trajectory out")
    if n < 5 * (d + 1) and not ridge:
        warnings.warn(f"V has {d + 1} coefficients for {n} trajectories, expected at least 5 trajectories for each: "
                      "AW tends to uniform; give ridge > 0 or fewer features, or use return_weights", stacklevel=2)
    x = np.where(np.ptp(x, axis=0) == 0, 0.0, x - x.mean(0))              # an exact 0 where a feature is constant
    y = G - G.mean()
    if ridge:
        x, y = np.concatenate([x, ridge**0.5 * np.eye(d)]), np.concatenate([y, np.zeros(d)])
    return G.mean() + (x @ np.linalg.lstsq(x, y, rcond=None)[0])[:n]


def topk_weights(G: np.ndarray, k: float) -> np.ndarray:
    """The filter one would think of first: equal weight on the best share k of trajectories, none on the others.

    G: [N].  k: share in (0, 1]; max(1, ⌊N k⌋) are kept, of equal returns the first.  Gives [N], sums to 1.
    """
    if not 0 < k <= 1:
        raise ValueError(f"k is {k}, expected a share in (0, 1]; the paper's is 0.1")
    G = scale01(G)
    w = np.zeros(len(G))
    w[np.argsort(-G, kind="stable")[: max(1, int(len(G) * k + 1e-9))]] = 1.0       # 1e-9: 100 · 0.29 is 28.99…
    return w / w.sum()


def _heavy(w, alpha):
    if alpha > 0 and len(w) > 2 and ess(w) < 2:
        warnings.warn("these weights rest on fewer than two trajectories: try a larger alpha, or clip=0.01 if one "
                      "return lies far from all others", stacklevel=3)
    return w


# ---- where it goes wrong, in closed form


def gamble_policy(alpha: float, safe: float = 0.6, prize: float = 1.0,
                  chance: float = 0.3) -> tuple[float, float, float]:
    """RW on the gamble (`envs.gamble`), behaviour half and half, in closed form: (π_w(gamble), J(π_w), Σ w G).

        π_w(gamble) ∝ ½ (chance e^{prize/α} + (1 - chance) e^{0/α}),    π_w(safe) ∝ ½ e^{safe/α}      (returns scaled)

    Limit of many trajectories. Where Σ w G rises and J falls, the weighted data promise what the world does not keep.
    """
    G, share = np.array([safe, prize, 0.0]), np.array([0.5, 0.5 * chance, 0.5 * (1 - chance)])
    G, share = G[share > 0], share[share > 0]                             # what never happens sets no scale
    w = share * boltzmann(G, alpha)
    w = w / w.sum()
    p = 1 - w[0]
    return float(p), float((1 - p) * safe + p * chance * prize), float(w @ G)


# ---- the whole of it on the frozen grid

SCHEMES = ("uniform", "rw", "aw", "topk", "dw")


@dataclass(frozen=True)
class Config:
    sigma: float = knob(0.05, 0.005, 0.5, log=True, symbol="σ", least=0, most=1, restart=True,
                        says="share of experts: of the trajectories; the others move at random")
    alpha: float = knob(0.1, 0.001, 10.0, log=True, symbol="α", least=0, most=math.inf,
                        says="temperature of the weights: small trusts the best trajectories, large is uniform")
    scheme: str = knob("aw", symbol="weights", choices=SCHEMES,
                       says="how to weigh: by return, advantage, filter, state-action flow, or not at all")
    lam: float = knob(1.0, 0.01, 10.0, log=True, symbol="λ", above=0, most=math.inf,
                      says="price of leaving the weighted data: small lets the learner trust its values")
    slip: float = knob(0.0, 0.0, 0.66, least=0, most=1, restart=True,
                       symbol="slip", says="chance to slide sideways: then some good trajectories are luck")
    n: int = knob(200, 20, 1000, log=True, symbol="N", unit="trajectories", least=2, restart=True,
                  says="size of the dataset")
    k: float = knob(0.1, 0.01, 1.0, log=True, symbol="k", above=0, most=1, says="share kept by the filter (topk)")
    rich: bool = knob(False, symbol="rich", restart=True,
                      says="lucky starts: half of them pay 1 more on the first move; all experts start poor")
    seed: int = knob(0, 0, 99, least=0, symbol="seed", says="draw: another dataset", restart=True)

    def __post_init__(self):
        check(self)
        if self.rich and self.sigma > 0.5:
            raise ValueError(f"sigma is {self.sigma} with rich starts, expected ≤ 0.5: experts only start poor, and "
                             "half of the trajectories start rich")


class Experiment(NamedTuple):
    """What one setting gives. All J are expected undiscounted returns from the true starts, reward units."""
    data: Dataset
    w: np.ndarray                # [N] weights, sum 1
    returns: np.ndarray          # [N]
    source: np.ndarray           # [N] index into data.names: 0 random, 1 expert
    J_random: float
    J_expert: float
    J_uniform: float             # of the cloned unweighted data
    J_weighted: float            # of π_w
    estimate: float              # Σ w G: what the weighted data promise
    J_learned: float             # after improvement at price λ
    policy: np.ndarray           # [64, A] the learned policy in each cell (of starts without the flag)
    heat: np.ndarray             # [64] expected visits of the learned policy in each cell
    ess: float                   # effective number of trajectories
    ess_transitions: float
    psv: float                   # of the returns, reward units squared
    bound: float                 # Σ w G - mean G ≤ bound = sqrt(PSV · N / ESS)


@lru_cache(maxsize=32)
def dataset(sigma: float, slip: float = 0.0, n: int = 200, rich: bool = False, seed: int = 0) -> Dataset:
    """n trajectories on the frozen grid, round(σ n) of them by the expert; source 0 is "random", 1 "expert".

    σ is a share of trajectories here (the paper's mixes count transitions). Rich: half of all trajectories start rich
    and move at random, the experts are among the poor half.  Cached; do not write into it.
    """
    w, experts, luck = grid.world(slip, rich=rich), round(sigma * n), n // 2 if rich else 0
    uniform = np.full_like(w.expert, 1 / w.mdp.A)
    poor = w.mdp.start * (np.arange(w.mdp.S) < grid.CELLS)
    groups = [(experts, 1, w.expert, poor), (luck, 0, uniform, w.mdp.start - poor),
              (n - luck - experts, 0, uniform, poor)]
    parts = []
    for (size, source, pi, start), rng in zip(groups, np.random.default_rng(seed).spawn(3)):
        if size:
            episodes = simulate(w.mdp._replace(start=start / start.sum()), pi, size, rng, horizon=10_000)
            parts.append(Dataset.from_arrays(**episodes._asdict(), source=np.full(size, source),
                                             names=("random", "expert")))
    return Dataset.concat(*parts)


def trajectory_weights(data: Dataset, scheme: str, alpha: float = 0.1, k: float = 0.1) -> np.ndarray:
    """Weights [N] of grid trajectories by scheme "uniform", "rw", "aw" (V linear in row, column, flag) or "topk"."""
    if scheme == "uniform":
        return np.full(data.n, 1 / data.n)
    if scheme == "topk":
        return topk_weights(data.returns, k)
    if scheme == "rw":
        return boltzmann(data.returns, alpha)
    if scheme == "aw":
        return boltzmann(advantages(data.returns, grid.features(data.first_obs)), alpha)
    raise ValueError(f"scheme is {scheme!r}, expected one of 'uniform', 'rw', 'aw', 'topk'; 'dw' weighs transitions: "
                     "see improve.flow_weights")


def experiment(cfg: Config) -> Experiment:
    """Everything that the first panel of the chapter shows, for one setting. Pure; the dataset is cached."""
    world, data = grid.world(cfg.slip, rich=cfg.rich), dataset(cfg.sigma, cfg.slip, cfg.n, cfg.rich, cfg.seed)
    mdp, G = world.mdp, data.returns
    if cfg.scheme == "dw":                                                # α is the price of leaving the data's visits
        u = flow_weights(data, mdp, cfg.alpha)
        w = np.add.reduceat(u, data.starts[:-1]) / data.lengths           # as if its transitions had one weight
        w = w / w.sum()
    else:
        w = trajectory_weights(data, cfg.scheme, cfg.alpha, cfg.k)
        u = per_transition(data, w)
    pi_w = weighted_policy(data, u, mdp.S, mdp.A)
    learned = improve_kl(model(data, u, mdp.terminal, mdp.A), pi_w, cfg.lam)
    uniform = weighted_policy(data, np.ones(data.n), mdp.S, mdp.A)
    J = grid.expected_return(mdp, np.stack([uniform, pi_w, learned]))
    heat = occupancy(mdp, learned, horizon=400).sum(-1).reshape(-1, grid.CELLS).sum(0)
    size, room = float(ess(w)), float(psv(G))
    return Experiment(data, w, G, data.source, world.J_random, world.J_expert,
                      float(J[0]), float(J[1]), float(w @ G), float(J[2]), learned[: grid.CELLS], heat,
                      size, float(ess(u)), room, (room * data.n / size) ** 0.5)
