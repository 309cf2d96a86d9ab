"""What dichotomy of control says, measured: which promises are kept, at what price, and what the method does not give.

In the two arms and the lottery the data are exact probabilities, so that the only chance is the learner's first guess;
on the lake each of the runs has a dataset of its own, and means are given with their errors over runs. `p` is always
the probability of luck: on the lake, of a slip (2/3 is the usual ice). Networks and the continuous task are measured
in `dichotomy_networks`.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np

from rlkit.claims import Measured, above, below, claim, every, near, not_here
from rlkit.envs import lottery, lucky_arms
from rlkit.mdp import solve
from rlkit.papers import dichotomy_lake as ice
from rlkit.papers.dichotomy_exact import book, chosen, enumerate_episodes, kuhn, rcsl, return_code, worth
from rlkit.papers.dichotomy_of_control import Config, Snapshot, dichotomy

DOC = "Yang et al. 2023"
ARMS = Config(Z=4, steps=600)
TICKET = Config(world="lottery", phi=0.5, eps=0.5, steps=500)
LAKE = Config(world="lake", p=ice.ICE, lam=10.0, beta=20.0, steps=200, runs=10)


def _end(cfg: Config, seed: int, **more) -> Snapshot:
    return _run(replace(cfg, **more), seed)


@lru_cache(maxsize=4)
def _run(cfg: Config, seed: int) -> Snapshot:
    *_, last = dichotomy(cfg, np.random.default_rng(seed), every=10**9)
    return last


def _worst(x, expected: float, tolerance: float, why: str) -> Measured:
    """The run furthest from what is expected."""
    x = np.atleast_1d(x)
    return near(x[np.abs(x - expected).argmax()], expected, tolerance, why)


def _most(x, expected: float, tolerance: float) -> Measured:
    """What seven in eight runs are no further from: one in some hundred settles on a lesser plan."""
    x = np.atleast_1d(x)
    far = np.sort(np.abs(x - expected))[int(np.ceil(0.875 * len(x))) - 1]
    return near(expected + far, expected, tolerance, f"seven in eight of {len(x)} runs, each still descending")


def _order(holds, value: str, expected: str, why: str = "an order, far from a tie") -> Measured:
    return Measured(value, expected, "strict", why, bool(holds))


# ---- why asking for the return fails

@claim(paper=DOC + ", bandit", says="asked for a return of 1, return-conditioned learning pulls either arm alike and "
                                    "earns 0.5, for every p")
def rcsl_is_a_coin(seed):
    p = np.random.default_rng(seed).uniform(0.02, 0.5)
    mdp, behaviour = lucky_arms.lucky_arms(p), lucky_arms.behaviour(p)
    rec = enumerate_episodes(mdp, behaviour, 1)
    one, nothing = (worth(rec, rcsl(mdp, behaviour, g, 1)[None])[0] for g in (1.0, 0.0))
    b = book(rec, return_code(rec))
    good = p**2 / (p**2 + (1 - p) ** 2)
    return every((f"p = {p:.3f}: asked for 1, earned", near(one, 0.5, 1e-12, "rounding")),
                 ("asked for 0, earned", near(nothing, good * (1 - p) + (1 - good) * p, 1e-12, "rounding")),
                 ("counts and Bayes differ by", near(np.abs(worth(rec, b.pi) - [nothing, one]).max(), 0, 1e-12,
                                                     "rounding")))


@claim(paper=DOC + ", figure 1", says="return-conditioned learning chases a return of 100 that only luck gives, DoC "
                                      "takes the best it can bring about")
def the_tree_of_figure_one(seed):
    s = _end(Config(world="tree", p=0.01, beta=3.0, steps=500), seed)
    return every(("RCSL asked for 100, earned", near(s.rcsl[0, -1], 1.0, 1e-9, "rounding: 100 · 0.01")),
                 ("DoC earned", _most(s.earned, 10, 0.1)),
                 ("DoC promised", _most(s.promised, 10, 0.1)))


@claim(paper="ours, exact", says="in the lottery a request of 1 earns .145 where .5 is to be had for sure; a modest "
                                 "request is honest; without luck asking is right")
def the_lottery_asked(seed):
    earns = {}
    for p in (0.1, 1.0):
        mdp, behaviour = lottery.lottery(p), lottery.behaviour()
        rec = enumerate_episodes(mdp, behaviour, 2)
        earns |= {(p, g): worth(rec, rcsl(mdp, behaviour, g, 2)[None])[0] for g in (0.5, 1.0)}
    s = _end(TICKET, seed, p=1.0)
    return every(("p = .1, asked 1", near(earns[0.1, 1.0], 0.145, 1e-9, "rounding")),
                 ("p = .1, asked .5", near(earns[0.1, 0.5], 0.5, 1e-9, "rounding")),
                 ("p = 1, asked 1", near(earns[1.0, 1.0], 1.0, 1e-9, "rounding")),
                 ("p = 1, DoC, the median run", near(np.median(s.earned), 1.0, 0.01, "one in some hundred runs settles "
                                                     "on a lesser plan")),
                 ("what any run promises beyond its pay", _worst(s.promised - s.earned, 0.0, 1e-9, "rounding")))


# ---- the theorem

@claim(paper=DOC + ", theorem", says="a latent that knows nothing of luck keeps every promise: Kuhn's mixture of "
                                     "plans, for any lottery and any behaviour")
def clean_latents_keep_their_promises(seed):
    rng, luck, nll, gap, best = np.random.default_rng(seed), 0.0, 0.0, 0.0, 0.0
    for p in (*rng.uniform(0.02, 0.98, 5), 1.0):
        behaviour = lottery.behaviour(*rng.uniform(0.1, 0.9, 2))
        rec = enumerate_episodes(lottery.lottery(p), behaviour, 2)
        b = book(rec, kuhn(rec, behaviour))
        earns = worth(rec, b.pi)
        luck, nll, gap = max(luck, b.luck), max(nll, abs(b.nll)), max(gap, np.abs(b.V - earns).max())
        best = max(best, abs(earns.max() - solve(rec.mdp, horizon=2)[0][0]))
    return every(("MI with luck", near(luck, 0, 1e-9, "rounding")),
                 ("-log π of the data", near(nll, 0, 1e-9, "rounding")),
                 ("largest |V(z) - earned|", near(gap, 0, 1e-9, "rounding")),
                 ("best plan against the optimum", near(best, 0, 1e-9, "rounding")))


@claim(paper="ours, from the proof", says="and a latent that knows MI nats of luck breaks its promises by at most "
                                          "(R_max - R_min) √(MI/2) on average, in every fit",
       scale="statistical", minutes=0.05)
def broken_promises_are_bounded(seed):
    excess, fits = {"small": [], "lake": []}, 0
    for cfg in (replace(ARMS, steps=100), replace(ARMS, p=0.4, steps=100), replace(TICKET, steps=100),
                replace(TICKET, p=0.6, steps=100), replace(LAKE, n=300, steps=50, runs=3)):
        for beta in (0.0, 0.5, 1.2, 5.0):
            for method in ("DoC", "VAE"):
                for s in dichotomy(replace(cfg, beta=beta * cfg.lam, method=method), np.random.default_rng(seed), 25):
                    excess["lake" if cfg.world == "lake" else "small"].append((s.gap - s.bound).max())
                    fits += len(s.gap)
    parts = [(name, _order(max(excess[name]) <= room, f"largest excess {max(excess[name]):.2g}", f"≤ {room:g}", why))
             for name, room, why in (("small", 1e-9, f"rounding; {fits} fits in all"),
                                     ("lake", 0.01, "episodes are cut at 100 steps, which breaks the flow a bit"))]
    return every(*parts)


# ---- DoC where the truth is known

@claim(paper=DOC + ", bandit", minutes=0.05, says="DoC follows the dotted line 1 - p, and promises what it earns")
def doc_on_the_arms(seed):
    parts = []
    for p in (0.1, 0.3, 0.45):
        ends = [_end(ARMS, seed, p=p, beta=beta) for beta in (1.2, 2.0, 10.0)]
        earned, promised, luck = (np.concatenate([getattr(s, k) for s in ends]) for k in ("earned", "promised", "luck"))
        parts += [(f"p = {p}: earned", _most(earned, 1 - p, 0.01)), ("promised", _most(promised, 1 - p, 0.015)),
                  ("MI", _most(luck, 0, 1e-3))]
    return every(*parts)


@claim(paper="ours: the value loss reaches q in the released code", says="with a wish to foretell the return and no "
       "price on luck, the latent is luck: it promises 1 and earns like a coin", scale="statistical")
def without_a_price_the_latent_is_luck(seed):
    s = _end(ARMS, seed, beta=0.0, steps=300, runs=100)
    return every(("promised, mean of 100 runs", above(s.promised, 0.95)),
                 ("promised - earned", above(s.promised - s.earned, 0.3)))


@claim(paper="ours", says="luck leaves once its price exceeds what it is worth: β > λ, for any λ")
def the_threshold_is_lambda(seed):
    lam = np.random.default_rng(seed).uniform(0.5, 4.0)
    parts = []
    for factor in (0.8, 1.5):
        s = _end(ARMS, seed, p=0.3, lam=lam, beta=factor * lam)
        # what a lucky latent knows is H(r|a) = H(p), 0.61 nats: half of that is neither
        parts.append((f"λ = {lam:.2f}, β = {factor} λ: median MI", _order((np.median(s.luck) > 0.3) == (factor < 1),
                                                                       f"{np.median(s.luck):.3f}", "> 0.3" if factor < 1
                                                                       else "< 0.3")))
    return every(*parts)


@claim(paper="ours", says="in the lottery DoC stays safe and says so; without a price it promises the jackpot",
       scale="statistical", minutes=0.03)
def doc_in_the_lottery(seed):
    ends = [_end(TICKET, seed, beta=beta) for beta in (2.0, 3.0, 10.0)]
    free = _end(TICKET, seed, beta=0.0, runs=32, K=np.inf)
    return every(("β ≥ 2 λ: earned", _most(np.concatenate([s.earned for s in ends]), 0.5, 0.01)),
                 ("promised", _most(np.concatenate([s.promised for s in ends]), 0.5, 0.01)),
                 ("β = 0: promised", above(free.promised, 0.8)), ("β = 0: earned", below(free.earned, 0.35)))


@claim(paper="ours", says="just past the threshold is not far enough for every first guess: at β = 1.2 λ in the "
                          "lottery some runs keep a lucky code; at 2 λ none is acted on",
       scale="statistical", minutes=0.05)
def the_threshold_is_soft(seed):
    runs = {beta: _end(TICKET, seed, beta=beta, runs=100).earned for beta in (1.2, 2.0)}
    stuck = {beta: float((x < 0.4).mean()) for beta, x in runs.items()}
    return every(("share of 100 runs stuck, β = 1.2 λ", _order(0.03 < stuck[1.2] < 0.45, f"{stuck[1.2]:.2f}",
                                                               "0.03 … 0.45", "18 of 100: four standard errors")),
                 ("β = 2 λ", _order(stuck[2.0] < 0.03, f"{stuck[2.0]:.2f}", "< 0.03")))


# ---- the rival: one price for everything

@claim(paper=DOC + ", future VAE", minutes=0.03,
       says="alone, the VAE's price is a switch: below 1 the optimum, above 1 a copy of "
            "the data")
def the_vae_is_a_switch(seed):
    parts = []
    for p in (0.1, 0.3, 0.45):
        for beta, expected in ((0.9, 1 - p), (1.1, 2 * p * (1 - p))):
            s = _end(ARMS, seed, p=p, method="VAE", lam=0.0, beta=beta)
            parts.append((f"p = {p}, β = {beta}", _most(s.earned, expected, 0.01)))
    return every(*parts)


@claim(paper=DOC + ", future VAE is sensitive to its weight", scale="statistical", minutes=0.1,
       says="asked to foretell the return as well, the VAE misses: at no price does it come within .03 of 1 - p, and "
            "where it comes nearest it promises too much")
def the_vae_has_no_window(seed):
    parts = []
    for p in (0.1, 0.3):
        ends = [_end(ARMS, seed, p=p, method="VAE", beta=beta, runs=32)
                for beta in (0.5, 0.9, 1.02, 1.2, 1.6)]
        best = max(ends, key=lambda s: s.earned.mean())
        parts += [(f"p = {p}: best of five prices, earned", below(best.earned, 1 - p - 0.03)),
                  ("its promised - earned", above(best.promised - best.earned, 0.1))]
    return every(*parts)


# ---- signs and adversaries

@claim(paper="ours: the released tables, read", says="if q climbs with f, instead of descending, luck fills the latent",
       scale="statistical")
def the_wrong_sign(seed):
    wrong, right = (_end(ARMS, seed, beta=1.2, wrong_sign=sign, steps=300, runs=100) for sign in (True, False))
    return every(("promised", above(wrong.promised, 0.95)),
                 ("promised - earned", above(wrong.promised - wrong.earned, 0.25)),
                 ("MI, nats (all there is: .325)", above(wrong.luck, 0.25)),
                 ("right sign: MI", _most(right.luck, 0, 1e-3)))


@claim(paper=DOC + ", the adversarial objective", says="an energy f that climbs while q and π descend gives what the "
                                                       "closed form gives; with too few negatives it gives a copy of "
                                                       "the data", scale="statistical", minutes=0.15)
def the_energy_that_climbs(seed):
    parts = [(f"arms, β = {beta}, λ = 0: earned", _most(
        _end(ARMS, seed, beta=beta, lam=0.0, energy="climbs").earned, 0.9, 0.01))
             for beta in (0.1, 1.0, 10.0)]
    all_, few = (_end(LAKE, seed, runs=8, energy="climbs", negatives=k, steps=steps)
                 for k, steps in ((np.inf, 150), (4.0, 60)))
    return every(*parts, ("lake, all outcomes: earned - copy of the data", above(all_.earned - all_.bc, 0.15)),
                 ("4 negatives", below(few.earned - few.bc, 0.1)))


# ---- the lake

@claim(paper=DOC + ", FrozenLake", scale="statistical", minutes=0.1,
       says="on ice, where careful data are rare, DoC earns far more than return-conditioned learning and promises "
            "little more than it earns")
def doc_on_the_lake(seed):
    s, firm = _end(LAKE, seed), _end(LAKE, seed, beta=50.0)
    asked = s.rcsl[:, -1]
    return every(("β = 20: earned - RCSL", above(s.earned - asked, 0.08)), ("earned", above(s.earned, 0.25)),
                 ("RCSL earned (promises 1)", below(asked, 0.23)),
                 ("promised - earned", below(s.promised - s.earned, 0.2)),
                 ("β = 50: |promised - earned|", below(np.abs(firm.promised - firm.earned), 0.1)),
                 ("β = 50: earned - RCSL", above(firm.earned - asked, 0.04)))


@claim(paper="ours", says="greedy decoding hides the fault: with the likeliest action for the whole, even a copy of "
                          "the data seems to know the ice", scale="statistical", minutes=0.1)
def greedy_decoding_hides_the_fault(seed):
    drawn, greedy = (_end(LAKE, seed, decode=how, runs=24) for how in ("sample", "argmax"))
    return every(("copy of the data, drawn", below(drawn.bc, 0.12)), ("argmax", above(greedy.bc, 0.3)),
                 ("RCSL, argmax", above(greedy.rcsl[:, -1], 0.5)), ("DoC, argmax", above(greedy.earned, 0.5)))


@claim(paper="ours", scale="statistical", minutes=0.05,
       says="without a price on luck the lake's latent promises success and earns a "
            "fraction of it")
def luck_on_the_lake(seed):
    s = _end(LAKE, seed, beta=0.0)
    return every(("promised", above(s.promised, 0.95)), ("promised - earned", above(s.promised - s.earned, 0.5)))


@claim(paper=DOC + ", theorem", says="on dry ground there is no luck: RCSL and DoC agree, whatever the price")
def without_luck_all_agree(seed):
    ends = [_end(LAKE, seed, p=0.0, n=300, beta=beta, runs=4) for beta in (0.0, 20.0, 50.0)]
    why = "the furthest of 12 runs"
    return every(("RCSL earned", _worst(ends[0].rcsl[:, -1], 1, 0.01, why)),
                 ("DoC earned", _most(np.concatenate([s.earned for s in ends]), 1, 0.02)),
                 ("MI", _worst(np.concatenate([s.luck for s in ends]), 0, 1e-9, "rounding")))


@claim(paper=DOC + ", FrozenLake data noise", says="with one noisy policy in place of two people (ε = .5) the gain is "
                                                  "smaller, and still there", scale="statistical", minutes=0.1)
def one_noisy_policy(seed):
    s = _end(LAKE, seed, phi=1.0, eps=0.5, n=1500, Z=12, beta=50.0, runs=12, steps=200)
    return every(("earned - RCSL", above(s.earned - s.rcsl[:, -1], 0.0)),
                 ("RCSL - copy of the data", above(s.rcsl[:, -1] - s.bc, 0.03)))


# ---- what it does not give

@claim(paper=DOC + ", consistency is not optimality", scale="statistical", minutes=0.03,
       says="a latent may be clean and not the best: some runs pair a good plan for one side of luck with a bad plan "
            "for the other, and say so honestly")
def clean_but_not_optimal(seed):
    s = _end(TICKET, seed, p=0.6, beta=10.0, runs=100)
    short, kept = s.optimum - s.earned > 0.005, np.abs(s.promised - s.earned) < 0.005
    return every(("share of 100 runs that keep their promise and earn under .635 of .640",
                  _order(0.02 <= (short & kept).mean() <= 0.5, f"{(short & kept).mean():.2f}", "0.02 … 0.5",
                         "about 13 of 100: three standard errors")),
                 ("share that earns .635 or more", _order((~short).mean() > 0.5, f"{(~short).mean():.2f}", "> 0.5")))


@claim(paper="ours, exact", says="the best plan is in the clean mixture, but it may be rare there: K draws find it "
                                 "with probability 1 - (1 - p(z*))^K")
def rare_plans_need_many_draws(seed):
    bad = np.random.default_rng(seed).uniform(0.7, 0.95)
    rec = enumerate_episodes(lottery.lottery(0.6), lottery.behaviour(0.5, bad), 2)
    b = book(rec, kuhn(rec, lottery.behaviour(0.5, bad)))
    earns, parts = worth(rec, b.pi), []
    best = earns > earns.max() - 1e-9
    for K in (1, 10, 100):
        found = chosen(b.p, b.V, K)[best].sum()
        parts.append((f"K = {K}: found with", near(found, 1 - (1 - b.p[best].sum()) ** K, 1e-9, "rounding")))
    return every(*parts)


@claim(paper="ours", says="with 100 episodes the advantage on the lake is gone (RCSL is rather ahead), with 1000 it "
                          "is there", scale="statistical", minutes=0.1)
def little_data_no_gain(seed):
    few, many = _end(LAKE, seed, n=100, beta=30.0, runs=48), _end(LAKE, seed)
    return every(("n = 100: earned - RCSL", below(few.earned - few.rcsl[:, -1], 0.03)),
                 ("n = 1000", above(many.earned - many.rcsl[:, -1], 0.08)))


@claim(paper=DOC + ", MuJoCo", says="with noise on the actions of Reacher, Hopper, HalfCheetah, Humanoid and AntMaze "
                                    "DoC is at least as good as a decision transformer")
def mujoco(seed):
    return not_here("DoC ≥ DT on five tasks", "the paper shows curves, no table we could read, and trains for hours; "
                                              "the chapter's continuous task is a pendulum in gusts")
