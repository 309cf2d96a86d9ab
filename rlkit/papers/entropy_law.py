"""What a run pays with: reward against entropy, R = -a·e^H + b, and what may be said from it.

    found = law(H, R)                       # all points of a run
    found.words                             # "R = -0.26 e^H + 0.65, ceiling 0.39, R² 0.93"
    early = foresee(H, R, used=8)           # the first 8 of them, and the error at the end of the run
    recorded("race")["KL-Cov"]["entropy"]   # [T, R] curves of runs that a notebook has no time for

The ceiling b - a is the value of a fitted curve at H = 0, not a bound: a change of method or a new strategy passes it.
The fit itself is `rlkit.stats.fit_exp_entropy`. Source: Cui et al. (2025), section 2; the refusals are ours.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

import numpy as np

from rlkit import npz
from rlkit.stats import EntropyLaw, fit_exp_entropy

LEAST, SPAN = 8, 0.2                       # points; range of e^H: below these a line through e^H says nothing


class Law(NamedTuple):
    law: EntropyLaw | None                 # None: refused, and `words` say why
    r2: float                              # share of the variance of R that the curve explains; NaN where refused
    words: str


class Foresight(NamedTuple):
    law: Law                               # of the points used
    predicted: float                       # R that it gives at the entropy where the run ends
    reached: float                         # R there
    missed: float                          # root mean square error on the points not used


def law(H: np.ndarray, R: np.ndarray) -> Law:
    """Fit the law to the points of a run, or refuse, as where a slope a of 0 would fit as well (95 % interval).

    H: [N] nats, R: [N] shares of right answers.
    """
    H, R = np.asarray(H, float), np.asarray(R, float)
    span = np.ptp(np.exp(H)) if len(H) else 0.0
    if len(H) < LEAST:
        return Law(None, np.nan, f"a fit needs {LEAST} points, so far there are {len(H)}")
    if span < SPAN:
        return Law(None, np.nan, f"e^H has moved by {span:.2f} only, {SPAN} are needed for a fit")
    try:
        found = fit_exp_entropy(H, R)
    except ValueError:
        found = None
    if found is None or found.a_low <= 0:  # its interval is too narrow, points follow each other: all the more
        return Law(None, np.nan, "no trade-off visible in these points; ceiling undefined")
    r2 = 1 - found.rmse**2 / max(R.var(), 1e-12)
    over = ", above 1: a curve beyond its points" if found.ceiling > 1 else ""
    words = f"R = −{found.a:.2f} e^H + {found.b:.2f}, ceiling {found.ceiling:.2f}{over}, R² {r2:.2f}"
    return Law(found, float(r2), words)


def foresee(H: np.ndarray, R: np.ndarray, used: int) -> Foresight:
    """Fit the first `used` points and see what they say of the others."""
    H, R = np.asarray(H, float), np.asarray(R, float)
    early = law(H[:used], R[:used])
    if early.law is None or used >= len(H):
        return Foresight(early, np.nan, float(R[-1]), np.nan)
    rest = R[used:] - early.law.at(H[used:])
    return Foresight(early, float(early.law.at(H[-1])), float(R[-1]), float(np.sqrt((rest**2).mean())))


def recorded(which: str) -> dict[str, dict[str, np.ndarray]]:
    """Curves of runs made by tools/train_countdown.py: method -> curve -> [T, R], and "step" [T].

    which: "race", the small model of the chapter by several methods, five runs each; "large", one of 1.8 million
    parameters, one run each.  "about" in place of a method: the settings and the seconds it took.
    """
    file = npz.read(Path(__file__).parent.parent / "envs" / f"countdown_{which}.npz",
                    'the curves of "race" or "large"', "install rlkit again")
    out = {"about": json.loads(str(file.pop("about")))}
    for key, x in file.items():
        method, curve = key.rsplit("/", 1)
        x = x.astype(float)
        out.setdefault(method, {})[curve] = x if curve == "step" else x.reshape(len(x), -1)
    return out
