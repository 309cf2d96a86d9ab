"""What the entropy mechanism says, measured without a language model: in tables, where all is exact, and on CartPole.

Bandits have 20 actions, first logits 1.5 N(0, 1) and 3 right answers where nothing else is said; the tree has depth 3
and 4 tokens, 64 responses of which 6 are right. Entropies are in nats. Exact claims draw their policies from the seed
and hold for each of them, by more than rounding; orders in η are slopes over two decades.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np

from rlkit.claims import Measured, above, claim, every, near, not_here, one_thread
from rlkit.papers import entropy_mechanism as em
from rlkit.policies import entropy, entropy_step, log_softmax, softmax
from rlkit.stats import fit_exp_entropy, loglog_slope

CUI = "Cui et al. 2025"
TREE = em.Config(K=4, depth=3, right=6, runs=40)


def _run(seed: int, cfg: em.Config, **more) -> dict[str, np.ndarray]:
    """A whole run: field of the snapshot -> [T+1, R]; row 0 is the start, where nothing has changed yet."""
    history = list(em.mechanism(cfg, np.random.default_rng(seed), **more))
    return {k: np.array([getattr(s, k) for s in history]) for k in em.Snapshot._fields[1:-2]}


def _agreement(predicted, true) -> tuple[np.ndarray, np.ndarray]:
    """Correlation, and slope of true on predicted through 0, of each run [R].  predicted, true: [T, R]."""
    x, y = predicted - predicted.mean(0), true - true.mean(0)
    corr = (x * y).sum(0) / np.sqrt((x * x).sum(0) * (y * y).sum(0))
    return corr, (predicted * true).sum(0) / (predicted**2).sum(0)


def _least(name: str, value: float, floor: float, why: str) -> tuple[str, Measured]:
    return name, Measured(f"{value:.4f}", f"> {floor:g}", "strict", why, bool(value > floor))


def _most(name: str, value: float, top: float, why: str) -> tuple[str, Measured]:
    return name, Measured(f"{value:.4f}", f"< {top:g}", "strict", why, bool(value < top))


def _r2(H, R, law) -> float:
    return float(1 - ((R - law.at(H)) ** 2).sum() / ((R - R.mean()) ** 2).sum())


# ---- the lemma

@claim(paper=CUI + ", Lemma 1 and Theorems 1, 2", minutes=0.03,
       says="the covariance predicts the change of entropy at every step of a run: policy gradient with η up to 1, "
            "natural policy gradient up to 0.1")
def covariance_predicts_entropy(seed):
    parts = []
    for method, eta in (("PG", 0.1), ("PG", 0.5), ("PG", 1.0), ("NPG", 0.05), ("NPG", 0.1)):
        h = _run(seed, em.Config(method=method, eta=eta, runs=20))
        corr, slope = _agreement(h["first"][1:], h["exact"][1:])
        parts += [_least(f"{method}, η = {eta}: correlation, 9 in 10 tasks", np.quantile(corr, 0.1), 0.99, "of 20"),
                  ("median slope", near(np.median(slope), 1, 0.05, "curvature at the largest of these η"))]
    return every(*parts)


@claim(paper=CUI + ", Lemma 1; the second order is ours",
       says="the error of the lemma is of order η², and with the second-order term of order η³")
def orders_of_the_error(seed):
    rng = np.random.default_rng(seed)
    pi, direction = softmax(rng.normal(0, 1.5, (64, 20))), rng.standard_normal((64, 20))
    etas = np.geomspace(3e-3, 3e-2, 6)
    change = [entropy_step(pi, eta * direction) for eta in etas]
    miss = {name: [np.abs(c.exact - getattr(c, name)).mean() for c in change] for name in ("first", "second")}
    slope = {name: loglog_slope(etas, np.array(y)).slope for name, y in miss.items()}
    return every(("first", near(slope["first"], 2, 0.1, "the next order, at η ≤ 0.03")),
                 ("second", near(slope["second"], 3, 0.1, "the next order, at η ≤ 0.03")))


@claim(paper="ours, on Lemma 1",
       says="at a uniform policy the covariance is zero and entropy falls all the same, by half of the variance of the "
            "move")
def uniform_policy_falls(seed):
    rng = np.random.default_rng(seed)
    K = int(rng.integers(3, 30))
    dz = 0.05 * (rng.random(K) - 0.5)
    some = entropy_step(np.full(K, 1 / K), dz)
    four = entropy_step(np.full(4, 0.25), 0.5 * (np.eye(4)[0] - 0.25))
    return every((f"K = {K}: first order", near(some.first, 0, 1e-15, "rounding")),
                 ("exact ÷ (-½ Var)", near(some.exact / (-dz.var() / 2), 1, 0.05, "third order, |Δz| ≤ 0.025")),
                 ("4 actions, NPG, η = 0.5: second order", near(four.second, -0.0234, 5e-5, "printed digits")),
                 ("exact", near(four.exact, -0.0270, 5e-5, "printed digits")))


@claim(paper=CUI + ", Theorems 1, 2",
       says="rewarding the most likely action lowers entropy, rewarding the least likely one raises it: for every "
            "policy, under both gradients")
def rare_and_right_raises_entropy(seed):
    rng, n = np.random.default_rng(seed), 1000
    logp = log_softmax(rng.normal(0, 2, (n, 20)))
    rows, parts = np.arange(n), []
    for name, at, sign in (("most likely", logp.argmax(1), -1), ("least likely", logp.argmin(1), 1)):
        r = np.zeros((n, 20))
        r[rows, at] = 1
        for method in em.METHODS:
            (dz,) = em.step([logp[:, None]], r, method, 1.0)
            first = entropy_step(np.exp(logp), dz[:, 0]).first
            share = (sign * first > 0).mean()
            parts.append((f"{name}, {method}: share of 1000 policies", near(share, 1, 0, "a theorem")))
    p = np.log([[[0.7, 0.2, 0.1]]])
    for i, method, value in ((0, "PG", -0.00991), (2, "PG", 0.00321), (0, "NPG", -0.03155), (2, "NPG", 0.01514)):
        (dz,) = em.step([p], np.eye(3)[[i]], method, 0.1)
        parts.append((f"π = (.7, .2, .1), action {i + 1}, {method}",
                      near(entropy_step(np.exp(p[0, 0]), dz[0, 0]).exact, value, 6e-6, "printed digits")))
    return every(*parts)


@claim(paper=CUI + ", Section 3",
       says="where right answers are rare, entropy first rises; it falls once they are likely")
def entropy_rises_first(seed):
    h = _run(seed, em.Config(method="NPG", eta=0.1, align=-2.0, runs=64))
    rose = (h["H"].max(0) > h["H"][0] + 0.02).mean()
    fell = (h["H"][-1] < h["H"][0]).mean()
    return every(_least("share of tasks in which H rises by 0.02", rose, 0.75, "about 19 in 20 do; 64 tasks"),
                 _least("share in which it ends below its start", fell, 0.8, "nearly all do"))


# ---- which right answer

@claim(paper="ours, on Theorems 1, 2",
       says="among equally right answers policy gradient makes the rich richer until one is left; natural policy "
            "gradient leaves their proportions alone")
def several_right_answers(seed):
    pg, npg = (_run(seed, em.Config(method=m, eta=eta, runs=40))["among"] for m, eta in (("PG", 0.5), ("NPG", 0.1)))
    return every(("NPG: largest change", near(np.abs(npg[-1] - npg[0]).max(), 0, 1e-8, "rounding over 400 steps")),
                 _least("PG: share of tasks in which it falls", (pg[-1] < pg[0]).mean(), 0.999, "a theorem"),
                 _most("PG: median of end ÷ start", np.median(pg[-1] / pg[0]), 0.1, "about 0.01"))


@claim(paper="ours; the usual remedy", says="an entropy bonus α ends at π ∝ exp(r/α), wherever it starts")
def bonus_has_a_fixed_point(seed):
    alpha = float(np.random.default_rng(seed).uniform(0.1, 0.3))
    h = _run(seed, em.Config(method="NPG", eta=0.5, alpha=alpha, runs=16))
    best = softmax((np.arange(20) < 3) / alpha)
    return every((f"α = {alpha:.3f}: worst |H - exact|", near(np.abs(h["H"][-1] - entropy(best)).max(), 0, 1e-6,
                                                              "(1 - ηα)^400, at most e^-20")),
                 ("worst |J - exact|", near(np.abs(h["J"][-1] - best[:3].sum()).max(), 0, 1e-6, "as above")))


# ---- trees of tokens

@claim(paper=CUI + ", entropy of a response; the missing term is ours",
       says="summing the lemma over prefixes with their visits frozen is wrong by a *first*-order term; taking the "
            "whole response for one action is not")
def frozen_visits_miss_a_term(seed):
    etas, rows = np.geomspace(1e-3, 1e-1, 5), []
    for eta in etas:
        levels, good = em.start(replace(TREE, eta=eta), np.random.default_rng(seed))
        dz = em.step(levels, good.astype(float), "PG", eta)
        after = [log_softmax(lp + d) for lp, d in zip(levels, dz)]
        old, new = em.responses(levels), em.responses(after)
        change, frozen = entropy_step(np.exp(old), new - old), em._frozen(levels, dz)
        moved = sum(((d1 - d0)[..., 0] * entropy(np.exp(lp))).sum(-1)
                    for d0, d1, lp in zip(em.visits(levels), em.visits(after), levels))
        rows.append([np.abs(change.exact - x).sum() / np.abs(change.exact).sum()
                     for x in (frozen, change.first, frozen + moved)])
    frozen, whole, both = np.array(rows).T
    slope = lambda error: near(loglog_slope(etas, error).slope, 1, 0.1, "second order ÷ first")    # noqa: E731
    return every(_least("frozen: relative error at η = 0.001", frozen[0], 0.05, "it does not vanish"),
                 ("the same ÷ that at η = 0.1", near(frozen[0] / frozen[-1], 1, 0.05, "first order, to second")),
                 ("whole response: slope of its relative error", slope(whole)),
                 ("frozen + Σ Δd(s) H(s): slope", slope(both)))


@claim(paper=CUI + ", entropy of a response", minutes=0.03,
       says="over whole runs on the tree the frozen sum looks right, by its correlation, and is too small by a tenth "
            "to a third; the whole-response covariance has slope 1")
def frozen_visits_look_right(seed):
    parts = []
    for method, eta in (("PG", 0.5), ("NPG", 0.1)):
        h = _run(seed, replace(TREE, method=method, eta=eta))
        corr, slope = _agreement(h["frozen"][1:], h["exact"][1:])
        _, whole = _agreement(h["first"][1:], h["exact"][1:])
        parts += [_least(f"{method}: median correlation, frozen", np.median(corr), 0.98, "a shape, not a size"),
                  _least("slope, frozen", np.median(slope), 1.06, "far from 1"),
                  ("slope, whole response", near(np.median(whole), 1, 0.05, "curvature at this η"))]
    return every(*parts)


# ---- what the theorems need

@claim(paper=CUI + ", Theorem 1", minutes=0.03,
       says="with exact expectations a wrong baseline changes no update, yet it spoils the "
            "formula Cov(log π, π A); Cov(log π, A) does not mind")
def formula_needs_a_baseline(seed):
    parts = []
    for method, eta in (("PG", 0.5), ("NPG", 0.1)):
        right, wrong = (_run(seed, em.Config(method=method, eta=eta, c=c, runs=20)) for c in (0.0, 0.5))
        _, slope = _agreement(wrong["formula"][1:], wrong["exact"][1:])
        parts.append((f"{method}: change of the run", near(np.abs(right["H"] - wrong["H"]).max(), 0, 1e-9, "rounding")))
        slope = float(np.median(slope))
        parts.append(_most("slope with A + 0.5", slope, 0.5, "about a quarter") if method == "PG" else
                     ("slope with A + 0.5", near(slope, 1, 0.05, "curvature at this η")))
    return every(*parts)


@claim(paper=CUI + ", Section 3", scale="statistical",
       says="with sampled gradients the lemma holds for the realised move; the theorem's expected value holds the "
            "better the more is sampled, and the sampled covariance of log π and A only tells the direction")
def sampling_blurs_the_theorem(seed):
    corr = {}
    for n in (8, 512):
        h = _run(seed, em.Config(eta=0.5, samples=n, runs=20))
        corr[n] = {k: float(np.median(_agreement(sign * h[k][1:], h["exact"][1:])[0]))
                   for k, sign in (("first", 1), ("formula", 1), ("sampled", -1))}
    return every(_least("n = 8: correlation, realised", corr[8]["first"], 0.99, "the lemma"),
                 _most("expected", corr[8]["formula"], 0.97, "noise"),
                 _most("sampled", corr[8]["sampled"], 0.85, "noise"),
                 _least("n = 512: expected", corr[512]["formula"], 0.98, "little noise"),
                 _most("sampled", corr[512]["sampled"], 0.97, "it lacks the factor π of the gradient"))


@claim(paper=CUI + ", Table 1; the bound is ours", scale="statistical",
       says="a token with positive advantage has covariance at most 2.475 times the mean of -log π, groups of 8: the "
            "largest of a batch are rare tokens of failed answers")
def covariance_is_bounded(seed):
    rng = np.random.default_rng(seed)
    p = softmax(rng.normal(0, 2, (2048, 1, 20)))
    a = (rng.random((2048, 8, 1)) > p.cumsum(-1)).sum(-1).clip(0, 19)
    logp, adv = np.take_along_axis(np.log(p)[:, 0], a, 1).ravel(), em.group_advantages(a < 3).ravel()
    c = em.token_covariances(logp, adv)
    bound = -logp.mean() * 7 / 8**0.5
    top = np.argsort(c)[-len(c) // 50 :]
    largest = em.group_advantages(np.eye(8)[0]).max()
    return every(("largest advantage of 8", near(largest, 2.475, 1e-3, "printed digits")),
                 _most(f"largest with A > 0 ÷ {bound:.2f}", c[adv > 0].max() / bound, 1.0, "a theorem, mean A = 0"),
                 _least(f"largest with A < 0 ÷ {bound:.2f}", c[adv < 0].max() / bound, 1.0, "16,384 answers"),
                 _least("share of A < 0 in the top 2 %", (adv[top] < 0).mean(), 0.7, "most of 328"))


# ---- the law

@claim(paper=CUI + ", R = -a e^H + b",
       says="the law needs no language model: 64 bandits, mean reward against mean entropy, follow it; where right "
            "answers keep some entropy its ceiling is more than can be had")
def law_fits_bandits(seed):
    parts = []
    for method, eta in (("PG", 0.5), ("NPG", 0.1)):
        h = _run(seed, em.Config(method=method, eta=eta, runs=64))
        H, R = h["H"][::4].mean(1), h["J"][::4].mean(1)
        law = fit_exp_entropy(H, R)
        parts.append(_least(f"{method}: R²", _r2(H, R, law), 0.95, "the fit is good"))
        if method == "PG":
            parts.append(("ceiling - reached", near(law.ceiling - R[-1], 0, 0.05, "the tolerance asked of the law")))
        else:
            parts.append(_least("ceiling, of at most 1", law.ceiling, 1.05, "right answers keep entropy"))
    return every(*parts)


@claim(paper=CUI + ", early prediction",
       says="the paper foretells the end from the first 15 % of a run; on bandits the first third promises too little, "
            "and its interval misses the end")
def early_fit_is_too_low(seed):
    h = _run(seed, em.Config(runs=64))
    H, R = h["H"][::4].mean(1), h["J"][::4].mean(1)
    third = fit_exp_entropy(H[: len(H) // 3], R[: len(H) // 3])
    return every(_least("R² on the first third", _r2(H[: len(H) // 3], R[: len(H) // 3], third), 0.95, "it looks good"),
                 _least("reached - foretold at the entropy reached", R[-1] - third.at(H[-1]), 0.03, "about 0.08"),
                 _least("reached - upper end of the interval", R[-1] - third.ceiling_high, 0.0, "it misses"))


@claim(paper=CUI + ", authors' own caution",
       says="the law is not universal: a policy that is sure of a wrong answer must gain entropy to learn, and nothing "
            "is bought with it")
def law_breaks_without_noise(seed):
    k = np.random.default_rng(seed).uniform(4.6, 5.4)
    z = np.zeros((1, 1, 20))
    z[..., 10] = k
    h = _run(seed, em.Config(runs=1), begin=([log_softmax(z)], (np.arange(20) < 3)[None]))
    H, R = h["H"][::4, 0], h["J"][::4, 0]
    try:
        law = fit_exp_entropy(H, R)
        words, r2 = f"a = {law.a:.3f}", _r2(H, R, law)
    except ValueError as refused:
        words, r2 = str(refused).split(",")[0], 0.0
    return every(_least("reward gained", R[-1] - R[0], 0.5, "it learns"),
                 _most(f"R² ({words})", r2, 0.3, "e^H and R go up together, then apart"))


# ---- neighbours

@claim(paper="ROVER, arXiv 2509.24981",
       says="on a finite tree with right and wrong ends, acting greedily on the values of the *random* policy is "
            "optimal")
def random_values_are_enough(seed):
    rng, found, tried = np.random.default_rng(seed), 0, 0
    for _ in range(300):
        K, D = int(rng.integers(2, 5)), int(rng.integers(1, 5))
        good = rng.random(K**D) < 1.5 / K**D
        if good.any():
            at, tried = 0, tried + 1
            for t in range(D):                                            # Q^u(s, a) = share of right ends below
                at = at * K + good.reshape(K**t, K, -1).mean(-1)[at].argmax()
            found += good[at]
    return near(found / tried, 1, 0, f"a theorem; {tried} random trees")


@claim(paper="The Policy Cliff, arXiv 2507.20150",
       says="paid for entropy, the best policy moves by at most ‖ΔR‖ / 2α in total variation, with slope 1/4α at a "
            "tie; unpaid, it jumps")
def softmax_has_no_cliff(seed):
    rng = np.random.default_rng(seed)
    alpha, R = np.exp(rng.uniform(-3, 1, (5000, 1))), rng.normal(0, 1, (5000, 4))
    dR = rng.normal(0, 1, (5000, 4)) * np.exp(rng.uniform(-4, 0, (5000, 1)))
    tv = np.abs(softmax((R + dR) / alpha) - softmax(R / alpha)).sum(1) / 2
    ratio = tv / (np.abs(dR).max(1) / (2 * alpha[:, 0]))
    slope = (softmax([[1e-4 / 0.3, 0.0]])[0, 0] - 0.5) / 1e-4 * 4 * 0.3
    return every(_most("largest TV ÷ bound, of 5000", ratio.max(), 1.0, "a theorem"),
                 ("slope at a tie × 4α", near(slope, 1, 1e-6, "third order")))


@claim(paper="EMPG, arXiv 2509.09265",
       says="how far a policy gradient moves the logits depends on how sure the policy is: E‖∇ log π‖² = 1 - Σ π²")
def sure_steps_move_little(seed):
    p = softmax(np.random.default_rng(seed).normal(0, 2, (200, 12)))
    score = np.eye(12) - p[:, None]                                       # ∇_z log π(a), for each a
    return near(np.abs((p * (score**2).sum(-1)).sum(-1) - (1 - (p**2).sum(-1))).max(), 0, 1e-12, "rounding")


# ---- a real task

@cache
def _poles(seed: int) -> dict[str, np.ndarray]:
    """Field of the snapshot -> [200, 8]; kept, since two claims read the same run."""
    from rlkit.papers.entropy_control import ControlConfig, control  # here: tables should not wait for torch

    with one_thread():
        history = list(control(ControlConfig(runs=8, steps=200), np.random.default_rng(seed), every=1))
    return {k: np.array([getattr(s, k) for s in history]) for k in ("J", "H", "exact", "first", "second", "sampled")}


@claim(paper=CUI + ", Lemma 1", scale="statistical", minutes=0.05,
       says="CartPole, networks and Adam: with the realised move of the logits the lemma holds, and its second order "
            "nearly exactly; the sampled covariance does not tell the size")
def lemma_holds_on_cartpole(seed):
    h = _poles(seed)
    corr, slope = _agreement(h["first"], h["exact"])
    second, _ = _agreement(h["second"], h["exact"])
    seen, _ = _agreement(-h["sampled"], h["exact"])
    return every(_least("median correlation", np.median(corr), 0.97, "8 runs of 200 updates"),
                 ("median slope", near(np.median(slope), 1, 0.1, "curvature of Adam's steps at η = 0.005")),
                 _least("second order: least correlation", second.min(), 0.999, "third order is left"),
                 _most("sampled covariance: median correlation", np.median(seen), 0.7, "Adam rescales each step"))


@claim(paper=CUI + ", abstract", scale="statistical", minutes=0.05,
       says="CartPole: entropy falls as reward rises, in every run; and the ceiling of the fitted law is far more than "
            "the task can pay")
def cartpole_collapses(seed):
    h = _poles(seed)
    ceilings = []
    for H, J in zip(h["H"].T, h["J"].T / 500):
        try:
            ceilings.append(fit_exp_entropy(H, J).ceiling)
        except ValueError:                                                # refused: no trade-off in this run
            ceilings.append(np.nan)
    return every(("fall of H", above(h["H"][0] - h["H"][-20:].mean(0), 0.05, errors=4.0, unit=" nats")),
                 ("rise of J", above(h["J"][-20:].mean(0) - h["J"][0], 80, errors=2.0, unit=" steps")),
                 _least("median ceiling ÷ 500 steps", np.nanmedian(ceilings), 1.2, "it is no bound"))


# ---- not at this scale

@claim(paper=CUI + ", Section 2", says="a and b grow with the logarithm of the model's size, from 0.5 to 32 billion")
def coefficients_grow_with_size(seed):
    return not_here("a straight line in log size", "the paper plots five models of one family and prints no table; "
                    "read off by eye, b - a in mathematics is 0.145 at 0.5 and 0.455 at 32 billion parameters")
