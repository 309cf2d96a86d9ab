"""What the chapter's pictures show of dichotomy of control: curves without sampling error, tables, episodes in words.

    curves      what each request, and each price of luck, promises and earns, exactly
    standings   method by method, what is promised and what is earned, on the same data
    in_words    an episode of a small world as one reads it
Axes as in `dichotomy_exact`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from rlkit.mdp import solve
from rlkit.papers.dichotomy_exact import Records, best_share, book, kuhn, rcsl, return_code, worth
from rlkit.papers.dichotomy_of_control import Config, dichotomy, problem, small_world, sweep

WORDS = {"arms": ({0: ("good arm", "bad arm")}, {1: "paid", 2: "nothing"}),
         "lottery": ({0: ("safe", "ticket"), 1: ("good", "bad"), 2: ("good", "bad"),
                      3: ("good", "bad")}, {2: "won", 3: "lost"}),
         "tree": ({0: ("left", "right"), 1: ("knows", "errs")}, {2: "luck", 4: "no luck"})}


def in_words(world: str, rec: Records) -> list[str]:
    """[N] each kind of episode: its actions, and what chance made of them after a colon, with its return."""
    acts, chance = WORDS[world]
    out = []
    for count, G in zip(rec.count, rec.ret):
        edge = rec.edge[count > 0].tolist()                               # states are numbered in the order of time
        did = ", ".join(acts[s][a] for s, a, _ in edge)
        fell = [chance[k] for s, a, k in edge if k in chance and (rec.mdp.P[s, a] > 0).sum() > 1]
        out.append(f"{did}{': ' * bool(fell)}{', '.join(fell)} ({G:g})")
    return out


class Curves(NamedTuple):
    p: np.ndarray                # [P] how much luck; cfg.p is one of them
    asked: np.ndarray            # [P] what return-conditioned learning earns, asked for `request` of the best return
    best: np.ndarray             # [P] the optimum, which a clean latent contains and promises
    bc: np.ndarray               # [P] what the data earn
    request: float               # the return that is asked for
    levels: np.ndarray           # [G] what may be asked for at cfg.p
    pays: np.ndarray             # [G] and what that earns
    plans: np.ndarray            # [Z, 2] promised and earned of every plan of the clean latent at cfg.p
    beta: np.ndarray             # [B] prices
    promised: np.ndarray         # [B, R] at cfg.p
    earned: np.ndarray
    luck: np.ndarray


def curves(cfg: Config, points: int = 41, prices: int = 14, runs: int = 4) -> Curves:
    """Exact, in a small world: requests along p, and the latent learned at each price β of luck at cfg.p."""
    if cfg.world == "lake":
        raise ValueError("the lake has too many episodes to enumerate; choose arms, lottery or tree, or run the panel")
    ps, rows = np.union1d(np.linspace(0.01, 0.99 if cfg.world == "arms" else 1.0, points), cfg.p), []
    for p in ps:
        mdp, behaviour, horizon = small_world(replace(cfg, p=float(p)))
        pays = mdp.reward[mdp.P > 0]
        g = pays[np.abs(pays - cfg.request * pays.max()).argmin()]
        rec = Records(None, None, None, None, mdp, horizon, None)
        earns = worth(rec, np.stack([rcsl(mdp, behaviour, g, horizon), behaviour]))
        rows.append([*earns, solve(mdp, horizon=horizon)[0] @ mdp.start])
    asked, bc, best = np.transpose(rows)
    beta = np.geomspace(0.1, 10, prices) * max(cfg.lam, 0.1)
    short = replace(cfg, runs=runs, n=np.inf, Z=min(cfg.Z, 8), method="VAE" if cfg.method == "VAE" else "DoC")
    _, b, act, earned = sweep(short, beta, np.random.default_rng(cfg.seed))
    rec, shape = problem(replace(cfg, n=np.inf), np.random.default_rng(0))[0], (prices, runs)
    told, clean = book(rec, return_code(rec)), book(rec, kuhn(rec, small_world(cfg)[1]))
    plans = np.stack([clean.V, worth(rec, clean.pi)], -1)[clean.p > 0]
    return Curves(ps, asked, best, bc, float(g), rec.levels, worth(rec, told.pi), plans, beta,
                  (act * b.V).sum(-1).reshape(shape), (act * earned).sum(-1).reshape(shape), b.luck.reshape(shape))


def standings(cfg: Config, seed: int = 0) -> tuple[dict[str, tuple[np.ndarray, np.ndarray]], float]:
    """name -> (promised [R], earned [R]) of each method on the same data, and the optimum.

    BC copies the data, 10 % BC the best tenth, RCSL is asked for the best return; VAE has the price that suits it
    without a wish for return (λ = 0, β = 0.9), DoC those of cfg.
    """
    rec, best = problem(cfg, np.random.default_rng(seed).spawn(3)[0])
    rows = {}
    latents = {"BC": np.ones((*rec.ret.shape, 1)), "10 % BC": best_share(rec, 0.1), "RCSL": return_code(rec)}
    for name, q in latents.items():
        b = book(rec, q)
        rows[name] = np.broadcast_arrays(np.zeros(cfg.runs), b.V[..., -1], worth(rec, b.pi)[..., -1])[1:]
    for name, more in (("VAE", dict(method="VAE", lam=0.0, beta=0.9)), ("DoC", {})):
        *_, s = dichotomy(replace(cfg, **more), np.random.default_rng(seed), every=10**9)
        rows[name] = s.promised, s.earned
    return rows, best
