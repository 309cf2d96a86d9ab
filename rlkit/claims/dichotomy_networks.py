"""What dichotomy of control says, measured with networks: a latent in the plane, encoders on the lake, a decision
transformer, a pendulum in gusts.

The worlds and the sizes are ours. Where a claim compares methods, each dataset is one sample, and a difference must
exceed its floor by two standard errors. The exact and the tabular half of the chapter is in `dichotomy_of_control`.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from rlkit.claims import Measured, above, below, claim, every, near, not_here

PAPER = "Yang et al. 2023"


def _end(learner, cfg, seed):
    """The last snapshot; one thread of torch, put back afterwards."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        *_, last = learner(cfg, np.random.default_rng(seed), every=10**6)
    finally:
        torch.set_num_threads(threads)
    return last


def _all(x, low: float, why: str) -> Measured:
    """Every run is at least `low`."""
    return Measured(_range(x), f"≥ {low:g}", "each run", why, bool(np.min(x) >= low))


def _most(x, high: float, why: str) -> Measured:
    return Measured(_range(x), f"≤ {high:g}", "each run" if np.ndim(x) else "strict", why, bool(np.max(x) <= high))


def _range(x) -> str:
    return f"{np.min(x):.3g} to {np.max(x):.3g}" if np.ndim(x) else f"{x:.3g}"


def _plane(seed, **changes):
    """(distance of luck-twins / distance of arms [R], the snapshot) of the latent in the plane."""
    from rlkit.papers.dichotomy_networks import GaussianConfig, gaussian

    s = _end(gaussian, GaussianConfig(**changes), seed)
    twins = np.linalg.norm(s.mu[:, :, 0] - s.mu[:, :, 1], axis=-1).max(1)
    arms = np.linalg.norm(s.mu[:, 0].mean(1) - s.mu[:, 1].mean(1), axis=-1)
    return twins / arms, s


# ---- the plane

@claim(paper=PAPER + ", MI constraints", scale="statistical", minutes=0.05,
       says="under a price on luck a Gaussian latent parts the arms and not the lucky from the unlucky: it earns 1 - p")
def in_the_plane_luck_leaves(seed):
    return every(*_leaves(seed, 0.3, 3.0, runs=3, steps=400))


@claim(paper=PAPER + ", MI constraints", scale="slow", minutes=0.5,
       says="so it does for other odds and prices, sixteen runs each")
def in_the_plane_for_other_odds(seed):
    odds = (0.3, 10.0), (0.1, 5.0), (0.45, 5.0)
    return every(*(part for p, beta in odds for part in _leaves(seed, p, beta, runs=16)))


def _leaves(seed, p, beta, **more):
    ratio, s = _plane(seed, p=p, beta=beta, **more)
    return ((f"p = {p}: luck-twins ÷ arms", _most(ratio, 0.2, "a fifth: clouds of that size look like one")),
            (f"p = {p}: median 1 - p - earned", _most(np.median(1 - p - s.earned), 0.02, "a logistic is never sure")),
            (f"p = {p}: mean", below(1 - p - s.earned, 0.1)))             # now and then the best of K is a stray


@claim(paper=PAPER + ", future-VAE and RCSL", scale="slow", minutes=0.1,
       says="without the price the lucky and the unlucky of one arm drift apart, and the best z promises 1")
def without_the_price_luck_stays(seed):
    ratio, s = _plane(seed, p=0.3, beta=0.0, runs=8, steps=500)
    most = -0.3 * np.log(0.3) - 0.7 * np.log(0.7)                         # H(r | a): all the luck there is
    return every(("luck-twins ÷ arms", _all(ratio, 0.5, "apart in at least one arm")),
                 ("promised", _all(s.promised, 0.95, "the most is 1")),
                 ("luck in z ÷ H(r|a)", _all(s.luck / most, 0.8, "all of it, less what f has not learned yet")),
                 ("promised - earned", above(s.promised - s.earned, 0.3)))


# ---- the lake

def _lake(seed, **changes):
    from rlkit.papers.dichotomy_networks import LakeConfig, lake

    return _end(lake, LakeConfig(**{"runs": 6, "steps": 350} | changes), seed)


@claim(paper=PAPER + ", FrozenLake", scale="slow", minutes=0.2,
       says="with an encoder network DoC earns more than return-conditioned learning and all but keeps its promise")
def on_the_lake_networks_keep_their_promise(seed):
    s = _lake(seed)
    return every(("DoC - RCSL, earned", above(s.earned - s.rcsl, 0)),
                 ("DoC, |promised - earned|", below(np.abs(s.promised - s.earned), 0.12)),
                 ("RCSL, promised 1 - earned", above(1 - s.rcsl, 0.7)))


@claim(paper=PAPER + ", tractable penalty", scale="statistical", minutes=0.1,
       says="the energy that climbs reads the mutual information of z and the next states")
def the_energy_reads_the_information(seed):
    s = _lake(seed, beta=0.0, runs=3, steps=150, n=400, f_steps=10, lr_f=0.1)
    return every(("luck in z, by counting", _all(s.luck, 0.1, "nats an episode: at β = 0 it is full of luck")),
                 ("read ÷ counted, off from 1", _most(np.abs(s.read / s.luck - 1), 0.1, "what is left to climb")))


@claim(paper=PAPER + ", released code", scale="statistical", minutes=0.15,
       says="if q climbs with f instead of descending, z fills with luck, and its promises are not kept")
def the_wrong_sign_promises_the_sky(seed):
    s = _lake(seed, sign=-1, runs=16, steps=200, n=500)
    return every(("luck in z, nats", _all(s.luck, 0.3, "ten times what is left with the right sign")),
                 ("promised - earned", above(s.promised - s.earned, 0.15)))


@claim(paper=PAPER + ", deterministic worlds", scale="slow", minutes=0.1,
       says="on dry ground there is no luck to pay for: DoC and return-conditioned learning both arrive")
def on_dry_ground_all_agree(seed):
    s = _lake(seed, slip=0.0, runs=4, steps=500)
    return every(("DoC earned", _all(s.earned, 0.95, "networks are never quite sure")),
                 ("RCSL earned", _all(s.rcsl, 0.97, "but for a state seen in few successes")),
                 ("luck", near(float(np.abs(s.luck).max()), 0, 1e-4, "rounding")))


@claim(paper=PAPER + ", future-VAE", scale="slow", minutes=0.5,
       says="a future-VAE is not hopeless: without the wish to foretell the return (λ = 0) its clusters are as good")
def a_vae_can_be_fine(seed):
    vae, doc = _lake(seed, method="VAE", beta=1.0, lam=0.0, steps=600), _lake(seed, steps=600)
    bad = _lake(seed, method="VAE", beta=1.0, steps=600)
    return every(("VAE, λ = 0: earned - RCSL", above(vae.earned - vae.rcsl, 0)),
                 ("less what DoC earns", above(vae.earned - doc.earned, -0.06)),
                 ("λ = 10: promised - earned", above(bad.promised - bad.earned, 0.5)))


@claim(paper=PAPER + ", FrozenLake", scale="slow", minutes=1.0,
       says="the same with a network for the energy, and with ten datasets")
def on_the_lake_in_full(seed):
    parts = []
    for energy in ("table", "MLP"):
        s = _lake(seed, energy=energy, runs=10, steps=600)
        parts += [(f"{energy}: DoC - RCSL, earned", above(s.earned - s.rcsl, 0.015)),
                  (f"{energy}: |promised - earned|", below(np.abs(s.promised - s.earned), 0.1))]
    return every(*parts)


# ---- the decision transformer

def _transformer(seed, **changes):
    from rlkit.papers.decision_transformer import Config, decision_transformer

    return _end(decision_transformer, Config(**changes), seed)


@claim(paper=PAPER + ", decision transformer", scale="slow", minutes=0.3,
       says="a decision transformer that sees one step comes out where counting does, and keeps no promise")
def a_short_memory_is_counting(seed):
    s = _transformer(seed, K=1, batch=512, lr=1e-2, steps=250, runs=3, games=400)
    return every(("transformer - RCSL by counting", _most(np.abs(s.earned_by_pi - s.rcsl), 0.05,
                                                          "a tenth of the successes are 8 % of the data")),
                 ("asked 1 - earned", above(1 - s.earned, 0.7)), ("parameters", _most(s.parameters, 200_000, "small")))


@claim(paper=PAPER + ", decision transformer", scale="slow", minutes=2.0,
       says="with a longer memory it recognises who drives and earns more; the promise of 1 is as empty")
def a_long_memory_recognises_the_driver(seed):
    short = _transformer(seed, K=1, batch=512, lr=1e-2, steps=400, runs=4, games=1000)
    long = _transformer(seed, K=8, steps=800, runs=4, games=1000)
    return every(("8 steps - 1 step, earned", above(long.earned - short.earned, 0.03)),
                 ("asked 1 - earned", above(1 - long.earned, 0.6)))


@claim(paper=PAPER + ", greedy decoding", scale="slow", minutes=1.0,
       says="taking the likeliest action hides the fault: the same network that is asked for 1 earns far more")
def greedy_decoding_hides_the_fault(seed):
    cfg = dict(K=1, batch=512, lr=1e-2, steps=400, runs=4, games=400)
    drawn, best = _transformer(seed, **cfg), _transformer(seed, decode="best", **cfg)
    return above(best.earned_by_pi - drawn.earned_by_pi, 0.1)


# ---- the pendulum

def _gusts(seed, **changes):
    from rlkit.papers.dichotomy_continuous import Config, doc

    return _end(doc, replace(Config(), **changes), seed)


@claim(paper=PAPER + ", continuous control", scale="statistical", minutes=0.15,
       says="in gusts RCSL asks for the returns of the bold and lucky, and gets those of the bold; DoC is cautious")
def in_gusts_doc_keeps_its_promise(seed):
    return _in_gusts(_gusts(seed, runs=10, steps=400, games=60))   # one fit in fifty stays half-way


def _in_gusts(s, lead=0):
    return every(("RCSL, promised - earned", above(s.asked - s.rcsl, 80)),
                 ("DoC, median |promised - earned|", _most(np.median(np.abs(s.promised - s.earned)), 30,
                                                           "imitation; one fit in twenty keeps some luck")),
                 ("DoC - RCSL, earned", above(s.earned - s.rcsl, lead)),
                 ("DoC - BC, earned", above(s.earned - s.clone, 50)),
                 ("luck left in z, share of the bold's spread", below(s.lucky, 0.35)))


@claim(paper=PAPER + ", continuous control", scale="slow", minutes=0.5,
       says="without the price, or with the wrong sign, the code of the lucky is taken and its promise is broken")
def in_gusts_the_price_is_what_helps(seed):
    parts = []
    for name, change in (("β = 0", dict(beta=0.0)), ("wrong sign", dict(sign=-1))):
        s = _gusts(seed, runs=12, **change)
        parts += [(f"{name}: promised - earned", above(s.promised - s.earned, 40)),
                  (f"{name}: luck, share of the spread", above(s.lucky, 0.2))]
    return every(*parts)


@claim(paper=PAPER + ", continuous control", scale="slow", minutes=2.0,
       says="the same in full: three times the training; RCSL's promise stays empty, but where its luck fails it has "
            "learned to carry on like the cautious, and DoC's lead melts")
def in_gusts_in_full(seed):
    return _in_gusts(_gusts(seed, runs=16, steps=1200, games=400), lead=-30)


@claim(paper=PAPER + ", continuous control", scale="slow", minutes=0.2,
       says="in still air, where full torque holds, the bold earn what they seem to: all keep their promises")
def in_still_air_all_agree(seed):
    s = _gusts(seed, sigma=0.0, lean=0.36, runs=6, steps=1000)
    return every(("RCSL, promised - earned", below(np.abs(s.asked - s.rcsl), 40)),
                 ("DoC, promised - earned", below(np.abs(s.promised - s.earned), 40)),
                 ("least of both", _all(np.minimum(s.rcsl, s.earned), -60, "the cautious earn -125")))


@claim(paper=PAPER + ", MuJoCo", scale="statistical",
       says="on Reacher, Hopper, HalfCheetah, Humanoid and AntMaze with injected noise DoC is ahead of the transformer")
def mujoco(seed):
    return not_here("DoC ≥ decision transformer", "days of training; the pendulum in gusts stands in for it")
