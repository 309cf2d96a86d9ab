"""What the papers of the first chapter say, measured: trajectory weights, quality and coverage, density ratios.

Exact claims check an identity to rounding on a drawn example; statistical ones average over datasets on the frozen
grid and must hold by two standard errors; slow ones train networks. Scores: 0 plays as the random policy, 100 as the
expert. σ is the share of expert trajectories, α the temperature of the weights; where nothing else is said, 200
trajectories, σ = 5 %, α = 0.1, returns exact over 400 steps from the true starts.
"""

from __future__ import annotations

import numpy as np

from rlkit import claims
from rlkit.claims import above, below, claim, every, near, not_here
from rlkit.empirical import model, visits, weighted_policy
from rlkit.envs import frozen_grid as grid
from rlkit.envs import gamble as gamble_world
from rlkit.improve import flow_weights, improve_cql, improve_iql, improve_kl
from rlkit.mdp import evaluate
from rlkit.measures import ess, psv, saco, tq
from rlkit.papers import dataset_perspective as perspective
from rlkit.papers import trajectory_weighting as tw
from rlkit.papers.trajectory_weighting import dataset, trajectory_weights
from rlkit.sampling import Sampler, transition_probs
from rlkit.stats import spearman
from rlkit.trajectories import Dataset

TW, DP, DW = "Hong et al. 2023a, trajectory weighting", "Schweighofer et al. 2022", "Hong et al. 2023b, density ratios"
ROUNDING = 1e-9              # exact identities: sums of some 10^4 float64 terms of size 1, with room
S, A = grid.CELLS, len(grid.ACTIONS)


def _seeds(seed: int, n: int = 20) -> list[int]:
    """n seeds of datasets, different for every seed of the claim."""
    return [int(s) for s in np.random.SeedSequence(seed).generate_state(n)]


def _returns(seed: int, n: int = 200) -> np.ndarray:
    return dataset(0.05, n=n, seed=_seeds(seed, 1)[0]).returns


def _scores(data: Dataset, schemes=("uniform", "rw", "aw"), alpha: float = 0.1, slip: float = 0.0, rich: bool = False):
    """Score [schemes] of the policy cloned from the weighted data."""
    world = grid.world(slip, rich=rich)
    pi = [weighted_policy(data, trajectory_weights(data, s, alpha), world.mdp.S, A) for s in schemes]
    return world.score(grid.expected_return(world.mdp, np.stack(pi)))


# ---- the weights

@claim(paper=TW, says="weights are probabilities, and the best trajectory weighs exp(1/α) times the worst")
def weights_are_probabilities(seed):
    G = _returns(seed)
    error = 0.0
    for alpha in (0.05, 0.1, 0.5, 2.0):
        w = tw.return_weights(G, alpha)
        error = max(error, abs(w.sum() - 1), abs(w.max() / w.min() * np.exp(-1 / alpha) - 1))
    return near(error, 0, ROUNDING, "rounding, relative")


@claim(paper=TW, says="weights maximise weighted return plus α times entropy over all weights that sum to 1")
def weights_solve_their_problem(seed):
    rng, G = np.random.default_rng(seed), _returns(seed)
    x, worst = tw.scale01(G), -np.inf
    value = lambda w, alpha: w @ x - alpha * (w * np.log(w)).sum()                 # noqa: E731
    for alpha in (0.05, 0.1, 1.0):
        w = tw.return_weights(G, alpha)
        others = [*rng.dirichlet(np.ones(len(G)), 100), *(w * np.exp(rng.normal(0, 0.01, (100, len(G)))))]
        worst = max(worst, *(value(o / o.sum(), alpha) - value(w, alpha) for o in others))
    return claims.Measured(f"best of 600 others: {worst:.2g}", "≤ 0", ROUNDING, "rounding", bool(worst <= ROUNDING))


@claim(paper=TW, says="weights do not depend on the unit or the zero of the return (RW and AW)")
def weights_ignore_the_unit_of_reward(seed):
    data, rng = dataset(0.05, seed=_seeds(seed, 1)[0]), np.random.default_rng(seed)
    G, s0 = data.returns, grid.features(data.first_obs)
    a, b = rng.uniform(0.1, 100), rng.uniform(-1000, 1000)
    error = max(np.abs(tw.return_weights(a * G + b, 0.1) / tw.return_weights(G, 0.1) - 1).max(),
                np.abs(tw.advantage_weights(a * G + b, s0, 0.1) / tw.advantage_weights(G, s0, 0.1) - 1).max())
    return near(error, 0, 1e-7, "rounding of returns shifted by up to 1000, times 1/α")


@claim(paper=TW, says="advantages have mean zero: V is fitted by least squares with an intercept")
def advantages_have_mean_zero(seed):
    data = dataset(0.05, seed=_seeds(seed, 1)[0])
    return near(tw.advantages(data.returns, grid.features(data.first_obs)).mean(), 0, ROUNDING, "rounding")


@claim(paper=TW, says="a transition is drawn with probability q_i / Σ_j T_j q_j: its trajectory's weight, not divided "
                      "by the length")
def sampler_uses_weights_of_trajectories(seed):
    data, n = dataset(0.05, seed=_seeds(seed, 1)[0]), 200_000
    q = tw.return_weights(data.returns, 0.1)
    exact = np.repeat(q, data.lengths) / (q * data.lengths).sum()
    p = transition_probs(q, data.lengths)
    drawn = np.bincount(data.episode[Sampler(p).draw(np.random.default_rng(seed), n)], minlength=data.n)
    mass = np.bincount(data.episode, exact)                                         # T_i q_i / Σ T q
    large = mass * n >= 10
    chi2 = ((drawn - n * mass)[large] ** 2 / (n * mass)[large]).sum() / large.sum()
    limit = 5 * (2 / large.sum()) ** 0.5
    return every(("formula", near(np.abs(p / exact - 1).max(), 0, 1e-12, "rounding, relative")),
                 ("χ²/degrees of 200,000 draws", near(chi2, 1, limit, "5 standard deviations of χ²")))


# ---- the theory

@claim(paper=TW + ", abstract", says="in a deterministic world the cloned weighted data earn exactly the weighted mean "
                                     "return, so raising it raises the behaviour policy")
def flow_identity(seed):
    mdp, error = grid.frozen_grid(), 0.0
    for s in _seeds(seed, 3):
        data = dataset(0.05, seed=s)
        for scheme in ("uniform", "rw", "aw", "topk"):
            w = trajectory_weights(data, scheme)
            start = np.bincount(data.first_obs, w, S)
            pi = weighted_policy(data, w, S, A)
            J = start @ evaluate(mdp, pi, horizon=4000)
            error = max(error, abs(J - w @ data.returns))
    return near(error, 0, ROUNDING, "rounding; what is left of episodes after 4000 steps is less")


@claim(paper=TW, says="on slippery ice the same identity holds inside the weighted data's own model of the world")
def flow_identity_in_the_weighted_model(seed):
    error = 0.0
    for s in _seeds(seed, 2):
        data = dataset(0.1, 0.4, seed=s)
        for alpha in (0.1, 0.02):
            w = trajectory_weights(data, "rw", alpha)
            seen = model(data, w, grid.frozen_grid(0.4).terminal, A)
            J = seen.start @ evaluate(seen, weighted_policy(data, w, S, A), horizon=4000)
            error = max(error, abs(J - w @ data.returns))
    return near(error, 0, ROUNDING, "rounding")


@claim(paper=TW, says="the weighted mean return never falls as α falls, from the plain mean to the best return")
def weighted_return_rises_as_alpha_falls(seed):
    x = tw.scale01(_returns(seed))
    means = np.array([tw.boltzmann(x, alpha) @ x for alpha in (np.inf, *np.geomspace(100, 1e-3, 60), 0.0)])
    drop = max(0.0, -np.diff(means).min())
    return every(("largest drop", near(drop, 0, 1e-12, "rounding")),
                 ("at α = ∞, less the mean", near(means[0] - x.mean(), 0, 1e-12, "rounding")),
                 ("at α = 0, less the best", near(means[-1] - 1, 0, 1e-12, "rounding")))


@claim(paper=TW, says="no weights gain more over the plain mean than sqrt(PSV · N / ESS)")
def psv_bounds_the_gain(seed):
    rng, worst = np.random.default_rng(seed), 0.0
    for s in _seeds(seed, 4):
        G = dataset(float(rng.uniform(0, 0.9)), n=100, seed=s).returns
        room = psv(G)
        weights = [tw.boltzmann(G, alpha) for alpha in (0.01, 0.05, 0.1, 0.5, 2)] + [*rng.dirichlet(np.ones(100), 5)]
        worst = max(worst, *((w @ G - G.mean()) / (room * 100 / ess(w)) ** 0.5 for w in weights))
    return claims.Measured(f"largest gain is {worst:.3f} of the bound", "≤ 1", ROUNDING, "rounding",
                           bool(worst <= 1 + ROUNDING))


@claim(paper=TW, says="PSV is the upper half of the variance; of two-valued returns it is σ(1-σ)²(H-L)², "
                      "largest at σ = ⅓")
def psv_splits_the_variance(seed):
    rng, G = np.random.default_rng(seed), _returns(seed)
    split = psv(G) + psv(-G) - G.var()
    low, high = np.sort(rng.normal(0, 10, 2))
    error, values = 0.0, []
    for good in range(1, 60):
        sigma = good / 60
        values.append(psv(np.repeat([high, low], [good, 60 - good])) / (high - low) ** 2)
        error = max(error, abs(values[-1] - sigma * (1 - sigma) ** 2))
    return every(("PSV(G) + PSV(-G) - Var", near(split, 0, ROUNDING, "rounding")),
                 ("two values", near(error, 0, ROUNDING, "rounding")),
                 ("largest at", near((1 + np.argmax(values)) / 60, 1 / 3, ROUNDING, "rounding")))


@claim(paper=TW + ", abstract", says="the guarantee needs determinism: on a gamble the weighted return rises while the "
                                     "policy falls below the data's")
def gamble_fools_the_weights(seed):
    world, error, rows = gamble_world.gamble(), 0.0, []
    episode = lambda s, a, r: dict(obs=[*s, 3], action=a, reward=r, terminated=True, truncated=False)      # noqa: E731
    data = Dataset.from_episodes([episode([0], [0], [0.6])] * 100 + [episode([0, 1], [1, 0], [0.0, 1.0])] * 30
                                 + [episode([0, 2], [1, 0], [0.0, 0.0])] * 70)      # the behaviour's exact shares
    for alpha in (1.0, 0.3, 0.1, 0.05):
        w = tw.return_weights(data.returns, alpha)
        pi = weighted_policy(data, w, 4, 2)
        got = (pi[0, 1], evaluate(world, pi, horizon=2)[0], w @ data.returns)
        rows.append(got)
        error = max(error, np.abs(np.subtract(got, tw.gamble_policy(alpha))).max())
    J, promise = rows[2][1:]
    return every(("against closed form", near(error, 0, ROUNDING, "rounding")),
                 ("J at α = 0.1", claims.Measured(J, "< 0.45, the data's", 0.0, "exact", bool(J < 0.45))),
                 ("Σ w G there", claims.Measured(promise, "> 0.9", 0.0, "exact", bool(promise > 0.9))))


# ---- the frozen grid

@claim(paper=TW + ", abstract", scale="statistical",
       says="with few good trajectories uniform sampling wastes them; weighting lifts the behaviour policy (σ = 5 %)")
def weighting_lifts_the_behaviour_policy(seed):
    uniform, rw, aw = np.transpose([_scores(dataset(0.05, seed=s)) for s in _seeds(seed)])
    return every(("uniform", below(uniform, 12)), ("RW", above(rw, 60)), ("AW", above(aw, 60)),
                 ("AW - RW", above(aw - rw, -5)))


@claim(paper=TW, scale="statistical",
       says="at σ = 50 % a hard filter keeps only the starts near the goal and falls below uniform; weights do not")
def filters_lose_starts(seed):
    schemes = ("uniform", "rw", "aw", "topk")
    uniform, rw, aw, topk = np.transpose([_scores(dataset(0.5, seed=s), schemes) for s in _seeds(seed)])
    return every(("RW", above(rw, 95)), ("AW", above(aw, 95)), ("top 10 % - uniform", below(topk - uniform, 0)))


@claim(paper=TW, scale="statistical", minutes=0.03,
       says="there is a best temperature: too large wastes the weights, too small rests "
            "on one trajectory, though Σ w G still rises")
def temperature_has_an_optimum(seed):
    J, promise = [], []
    for s in _seeds(seed, 80):
        data = dataset(0.05, seed=s)
        J.append([_scores(data, ("rw",), alpha)[0] for alpha in (1.0, 0.05, 0.001)])
        promise.append([trajectory_weights(data, "rw", alpha) @ data.returns for alpha in (0.05, 0.001)])
    (large, best, small), promise = np.transpose(J), np.transpose(promise)
    return every(("J(.05) - J(1)", above(best - large, 50)), ("J(.05) - J(.001)", above(best - small, 0)),
                 ("Σ w G(.001) - Σ w G(.05)", above(promise[1] - promise[0], 0)))


@claim(paper=TW + ", abstract", scale="statistical", minutes=0.03,
       says="the room for improvement goes with the positive-sided variance of the returns")
def psv_predicts_the_gain(seed):
    rng, room, gain = np.random.default_rng(seed), [], []
    for s in _seeds(seed, 100):
        data = dataset(float(rng.choice([0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.7, 0.95])), n=100, seed=s)
        uniform, rw = _scores(data, ("uniform", "rw"))
        room.append(psv(data.returns))
        gain.append(rw - uniform)
    rho = spearman(room, gain)
    se = (1 - rho**2) / len(room) ** 0.5
    return claims.Measured(f"rank correlation {rho:.2f}", "> 0.5", f"{2 * se:.2f}",
                           "2 standard errors over 100 datasets", bool(rho - 2 * se > 0.5))


@claim(paper=TW, scale="statistical", says="where starts are lucky or not, RW rewards the luck; AW subtracts it, and "
                                           "wins although its Σ w G is lower")
def advantages_discount_luck(seed):
    scores, promise = [], []
    for s in _seeds(seed):
        data = dataset(0.05, rich=True, seed=s)
        scores.append(_scores(data, ("rw", "aw"), rich=True))
        promise.append([trajectory_weights(data, scheme) @ data.returns for scheme in ("rw", "aw")])
    (rw, aw), (rw_G, aw_G) = np.transpose(scores), np.transpose(promise)
    return every(("J(AW) - J(RW)", above(aw - rw, 30)), ("Σ w G, RW - AW", above(rw_G - aw_G, 0)))


@claim(paper=TW + ", abstract", scale="statistical",
       says="on slippery ice the weighted data promise more than their policy earns, yet the policy still improves")
def slip_makes_promises_too_good(seed):
    rows = {}
    for slip in (0.0, 0.1, 0.4):
        world = grid.world(slip)
        for s in _seeds(seed):
            data = dataset(0.1, slip, seed=s)
            for scheme in ("uniform", "rw"):
                w = trajectory_weights(data, scheme)
                pi = weighted_policy(data, w, S, A)
                v = evaluate(world.mdp, pi, horizon=400)
                gap = w @ data.returns - np.bincount(data.first_obs, w, S) @ v
                rows.setdefault((scheme, slip), []).append((gap, world.score(world.mdp.start @ v)))
    gap = {k: np.array(v)[:, 0] for k, v in rows.items()}
    gain = np.subtract(rows["rw", 0.4], rows["uniform", 0.4])[:, 1]
    return every(("promise - J, RW, slip 0", near(np.abs(gap["rw", 0.0]).max(), 0, ROUNDING, "rounding")),
                 ("RW, slip .1", above(gap["rw", 0.1], 0.03)), ("RW, slip .4", above(gap["rw", 0.4], 0.15)),
                 ("|uniform|, slip .4", below(np.abs(gap["uniform", 0.4]), 0.05)),
                 ("J, RW - uniform, slip .4", above(gain, 25)))


# ---- under an offline algorithm

def _improved(seed: int, sigma: float, improve, schemes=("uniform", "rw", "aw"), n: int = 10) -> np.ndarray:
    """Score [schemes, seeds] of improve(model, pi_w, seen) on the weighted data."""
    world, pi = grid.world(), []
    for s in _seeds(seed, n):
        data = dataset(sigma, seed=s)
        for scheme in schemes:
            w = trajectory_weights(data, scheme)
            seen = visits(data, w, S, A) > 0
            pi.append(improve(model(data, w, world.mdp.terminal, A), weighted_policy(data, w, S, A), seen.any(-1)))
    return world.score(grid.expected_return(world.mdp, np.stack(pi), horizon=100)).reshape(n, -1).T


@claim(paper=TW + ", abstract", scale="statistical",
       says="what the algorithm gives depends on the behaviour policy as far as it is constrained: under a tight "
            "constraint sampling decides, under a loose one it does not matter")
def constraint_decides_how_much_sampling_matters(seed):
    tight, loose = (_improved(seed, 0.05, lambda m, pi, seen, lam=lam: improve_kl(m, pi, lam)) for lam in (1.0, 0.01))
    return every(("RW - uniform, λ = 1", above(tight[1] - tight[0], 50)),
                 ("AW - uniform, λ = 1", above(tight[2] - tight[0], 50)),
                 ("RW - uniform, λ = .01", below(loose[1] - loose[0], 5)))


@claim(paper=TW + ", abstract", scale="statistical",
       says="IQL gains from either weighting (IQL in a table, σ = 5 %)")
def weighting_helps_iql_in_a_table(seed):
    uniform, rw, aw = _improved(seed, 0.05, lambda m, pi, seen: improve_iql(m, pi))
    return every(("RW - uniform", above(rw - uniform, 40)), ("AW - uniform", above(aw - uniform, 40)))


@claim(paper=TW + ", abstract", scale="statistical", minutes=0.2,
       says="CQL with a strong push (c = 0.5) gains from either weighting; with a weak one all samplers are alike "
            "(CQL in a table, σ = 10 %)")
def weighting_helps_cql_in_a_table(seed):
    strong = _improved(seed, 0.1, lambda m, pi, seen: improve_cql(m, pi, seen, 0.5), n=6)
    weak = _improved(seed, 0.1, lambda m, pi, seen: improve_cql(m, pi, seen, 0.02), ("uniform", "rw"), n=6)
    return every(("RW - uniform, c = .5", above(strong[1] - strong[0], 50)),
                 ("AW - uniform, c = .5", above(strong[2] - strong[0], 50)),
                 ("RW - uniform, c = .02", below(weak[1] - weak[0], 5)))


@claim(paper=TW, scale="statistical",
       says="drawing a trajectory first and a transition of it second (q_i / T_i) is another, here worse, weighting")
def trajectory_first_sampling_is_worse(seed):
    world, gain = grid.world(), []
    for s in _seeds(seed):
        data = dataset(0.05, seed=s)
        w = trajectory_weights(data, "rw")
        pi = [weighted_policy(data, q, S, A) for q in (w, w / data.lengths)]
        gain.append(-np.diff(world.score(grid.expected_return(world.mdp, np.stack(pi))))[0])
    return above(gain, 5)


# ---- density-ratio weighting

@claim(paper=DW, scale="statistical", says="trajectory weights lose most of their power when episodes are cut into "
                                           "five steps; state-action weights lose nothing")
def cutting_episodes_hurts_trajectory_weights_only(seed):
    world, rows = grid.world(), []
    for s in _seeds(seed):
        whole = dataset(0.05, seed=s)
        pi = []
        for data in (whole, whole.cut(5)):
            pi += [weighted_policy(data, w, S, A)
                   for w in (trajectory_weights(data, "aw"), flow_weights(data, world.mdp, 0.1))]
        rows.append(world.score(grid.expected_return(world.mdp, np.stack(pi), horizon=100)))
    aw, dw, aw_cut, dw_cut = np.transpose(rows)
    return every(("AW, whole - cut", above(aw - aw_cut, 30)),
                 ("DW, change", near(np.abs(dw - dw_cut).max(), 0, 1e-6, "the same sums in another order")),
                 ("DW - AW, cut", above(dw_cut - aw_cut, 10)))


@claim(paper=DW + ", abstract", says="gains on 72 imbalanced datasets with three algorithms")
def seventy_two_imbalanced_datasets(seed):
    return not_here("better than uniform and trajectory weighting", "needs the D4RL datasets and a million gradient "
                    "steps each; the exact form on the frozen grid is measured above, the trained form is shown in the "
                    "chapter and gains little there")


# ---- quality and coverage

@claim(paper=DP + ", abstract", scale="statistical", minutes=0.2,
       says="behaviour cloning follows trajectory quality (TQ): it ranks five datasets alike and scores 100 TQ")
def cloning_follows_quality(seed):
    world = grid.world(starts="corner")
    low, high = grid.expected_return(world.mdp, np.stack([np.full((S, A), 1 / A), world.expert]), horizon=100)
    same, error = [], []
    for s in _seeds(seed, 4):
        data = perspective.collections(world, 20_000, np.random.default_rng(s)).values()
        pi = np.stack([weighted_policy(d, np.ones(d.n), S, A) for d in data])
        score = (grid.expected_return(world.mdp, pi, horizon=100) - low) / (high - low)
        quality = np.array([tq(d.returns, low, high) for d in data])
        same.append(spearman(score, quality))
        error.append(np.abs(score - quality).max())
    return every(("rank correlation, worst of 4", near(min(same), 1, ROUNDING, "the order")),
                 ("|score - TQ|, in 1, worst", near(max(error), 0, 0.02, "episodes that the clock cuts at 100 steps")))


@claim(paper=DP + ", abstract", scale="statistical", minutes=0.2,
       says="a learner without constraint needs coverage (SACo): it does better on a poor replay than on good narrow "
            "data; a constrained one does not need it")
def unconstrained_learning_needs_coverage(seed):
    world = grid.world(starts="corner")
    low, high = grid.expected_return(world.mdp, np.stack([np.full((S, A), 1 / A), world.expert]), horizon=100)
    score = lambda pi: 100 * (grid.expected_return(world.mdp, pi, horizon=100) - low) / (high - low)       # noqa: E731
    free, held, cover = [], [], []
    for s in _seeds(seed, 12):
        rng = np.random.default_rng(s)
        data = perspective.collections(world, 20_000, rng)
        data = {k: data[k] for k in ("replay", "noisy", "expert")}
        free.append([score(perspective.extrapolate(d, world, 20, rng)).mean() for d in data.values()])
        held.append([score(improve_kl(model(d, np.ones(d.n), world.mdp.terminal, A),
                                      weighted_policy(d, np.ones(d.n), S, A), 0.1)) for d in data.values()])
        cover.append([saco(d, data["replay"]) for d in data.values()])
    (replay, noisy, expert), held, cover = np.transpose(free), np.transpose(held), np.transpose(cover)
    return every(("SACo, replay - noisy", above(cover[0] - cover[1], 0.1)),
                 ("no constraint, replay - noisy", above(replay - noisy, 20)),
                 ("no constraint, replay - expert", above(replay - expert, 20)),
                 ("constrained on noisy", above(held[1], 90)), ("constrained on expert", above(held[2], 90)))


@claim(paper=DP, says="the same on six environments with nine algorithms")
def six_environments_with_nine_algorithms(seed):
    return not_here("BC follows TQ, the DQN family SACo", "needs online DQN runs and five times as many offline "
                    "updates on each, MinAtar among them; the three kinds of learners are measured above in tables")


@claim(paper=TW + ", abstract", says="CQL, IQL and TD3+BC on 32 mixed D4RL datasets reach what the data hold, with "
                                     "weighting only")
def thirty_two_mixed_datasets(seed):
    return not_here("better with AW than without on most of them", "needs the D4RL datasets and a million gradient "
                    "steps for each of 32 datasets, three algorithms and five seeds; on Pendulum it is measured below")


# ---- networks, on Pendulum and HalfCheetah

def _learned(seed: int, **settings) -> np.ndarray:
    """Score [3, seeds] of (uniform, AW, RW) on data of which 5 % are an expert's, 6 seeds; a mean over the last five
    evaluations, 200 updates apart: single ones jump, a policy that swings up may miss the top a little later."""
    from rlkit.papers.weighted_offline import WeightedConfig, weighted_offline
    snaps = weighted_offline(WeightedConfig(seeds=6, **settings), np.random.default_rng(seed), every=200)
    return np.mean([s.score for s in snaps][-5:], axis=0)


def _weighting_helps(scores: np.ndarray, gain: float) -> claims.Measured:
    uniform, aw, rw = scores
    return every(("uniform", below(uniform, 15)), ("RW - uniform", above(rw - uniform, gain)),
                 ("AW - uniform", above(aw - uniform, gain)))


@claim(paper=TW, scale="slow", minutes=0.3,
       says="behaviour cloning with networks on Pendulum: nothing is learned from uniform draws at σ = 5 %, much from "
            "weighted ones")
def pendulum_cloning(seed):
    return _weighting_helps(_learned(seed, algorithm="bc", steps=3000), 15)


@claim(paper=TW + ", abstract", scale="slow", minutes=0.5,
       says="IQL with networks on Pendulum exploits the data with weighting, and only a part of them without")
def pendulum_iql(seed):
    return _weighting_helps(_learned(seed, algorithm="iql", steps=2000), 15)


@claim(paper=TW + ", abstract", scale="slow", minutes=0.6,
       says="TD3+BC with networks on Pendulum exploits the data with weighting, and only a part of them without")
def pendulum_td3bc(seed):
    return _weighting_helps(_learned(seed, algorithm="td3bc", steps=3000), 15)


@claim(paper=TW + ", abstract", scale="slow", minutes=0.6,
       says="CQL with networks on HalfCheetah's first 200 steps learns from weighted draws (σ = 5 %), not from uniform "
            "ones; scores are means over 1000 updates")
def cheetah_cql(seed):
    return _weighting_helps(_learned(seed, algorithm="cql", task="halfcheetah", size=20_000, max_steps=200,
                                     steps=1000, episodes=2), 5)


@claim(paper=TW + ", abstract", says="CQL with networks on Pendulum likewise")
def pendulum_cql(seed):
    return not_here("as IQL and TD3+BC", "in a minute our CQL learns too little on Pendulum to tell samplers apart, "
                    "even from an expert's data alone: it has to find the expert's switching torques through its "
                    "critic; it is measured on HalfCheetah and, without sampling error, in a table above")
