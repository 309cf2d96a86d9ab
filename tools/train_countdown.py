"""Trains the language models of chapter 5 that a notebook has no time for.

    python tools/train_countdown.py warm                 # 1 min: rlkit/envs/countdown_warm.npz, where all runs start
    python tools/train_countdown.py large --minutes 25   # rlkit/envs/countdown_large.npz: curves of a larger model
    python tools/train_countdown.py race                 # rlkit/envs/countdown_race.npz: nine methods, five runs each

`warm` teaches the small model (110,000 parameters) on demonstrations half of which are nonsense, and a smaller one for
modular sums, and keeps them as float16. `large` teaches a model of 1.8 million parameters such lessons, then lets it
learn from the verifier by GRPO, KL-Cov and Clip-Cov in turn, from the same weights; only curves are kept. It stops in
time, and writes what it has. `race` lets the small model learn by each method for 300 rollouts, five runs from the
shipped weights: about 15 minutes.

Keys of both: METHOD/step [T], METHOD/entropy, reward, greedy, pass8, pass16, ways [T, R]; about, JSON: settings and
seconds. One thread; the same seed gives the same numbers on the same machine.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch

from rlkit.envs.countdown import Countdown
from rlkit.envs.modular_sum import ModularSum
from rlkit.papers import entropy_language as el
from rlkit.papers.entropy_language import Config, entropy_language
from rlkit.papers.entropy_model import LM, pretrain

ENVS = Path(__file__).resolve().parent.parent / "rlkit" / "envs"
CURVES = ("step", "entropy", "reward", "greedy", "pass8", "pass16", "ways")


def about(**more) -> np.ndarray:
    return np.array(json.dumps(more | {k: version(k) for k in ("torch", "numpy")}))


def warm(args) -> None:
    arrays = {}
    for name, task, width, lessons, noise in (("countdown", Countdown(), 64, 600, 0.5),
                                              ("modular sum", ModularSum(scratch=1.0), 32, 1500, 0.4)):
        model = LM(1, task, torch.Generator().manual_seed(args.seed), width, 2)
        el.teach(model, task, np.random.default_rng(args.seed), lessons, noise)
        parts = zip(("embed", "body", "head"), model.weights())
        arrays |= {f"{name}/{part}": w[0].astype(np.float16) for part, w in parts}
        print(f"{name}: {lessons} lessons", flush=True)
    lessons = {"countdown": [600, 0.5], "modular sum": [1500, 0.4]}
    np.savez(args.file or ENVS / "countdown_warm.npz", about=about(seed=args.seed, lessons=lessons), **arrays)


def large(args) -> None:
    began = time.process_time()
    task = Countdown()
    model = LM(1, task, torch.Generator().manual_seed(args.seed), args.width, args.layers)
    for step, loss in pretrain(model, task, np.random.default_rng(args.seed), args.lessons, lr=1e-3):
        if step % 100 == 0:
            print(f"lesson {step:5d}  loss {loss[0]:.3f}", flush=True)
    parameters = sum(leaf.shape[1] for leaf in model.parameters())
    cfg = Config(runs=1, steps=args.steps, lr=args.lr, width=args.width, layers=args.layers, evaluation=128,
                 lessons=args.lessons)
    methods = {"GRPO": {}, "KL-Cov": dict(method="kl-cov"), "Clip-Cov": dict(method="clip-cov")}
    record(args, ENVS / "countdown_large.npz", cfg, methods, model.weights(), began, parameters=parameters)


def race(args) -> None:
    methods = {"GRPO": {}, "Clip-Cov": dict(method="clip-cov"), "KL-Cov": dict(method="kl-cov"),
               "bonus": dict(alpha=0.1), "KL-Cov, β = 2": dict(method="kl-cov", beta=2.0), "GRPO, slow": dict(lr=2e-4),
               "reference": dict(reference=0.05), "KL-Cov, paper's k": dict(method="kl-cov", kl_share=0.002),
               "clip-higher": dict(method="clip-higher")}
    record(args, ENVS / "countdown_race.npz", Config(runs=5, steps=300, evaluation=256), methods, None,
           time.process_time())


def record(args, file: Path, base: Config, methods: dict, weights, began: float, **more) -> None:
    """Run every method and keep the curves; the file is written anew at every snapshot."""
    arrays = {}
    for name, changes in methods.items():
        history = []
        for snap in entropy_language(replace(base, **changes), np.random.default_rng(args.seed), 10, weights):
            history.append(snap)
            seconds = time.process_time() - began
            print(f"{name:12s} {snap.step:4d}  H {snap.entropy.mean():.3f}  pass@1 {snap.reward.mean():.3f}  greedy "
                  f"{snap.greedy.mean():.3f}  pass@16 {snap.pass16.mean():.3f}  {seconds:.0f} s", flush=True)
            curves = {k: np.array([getattr(s, k) for s in history], np.float32) for k in CURVES}
            arrays |= {f"{name}/{k}": x for k, x in curves.items()}
            np.savez(args.file or file, **arrays, about=about(seed=args.seed, seconds=round(seconds),
                                                              config=asdict(base), methods=methods, **more))
            if seconds > 60 * args.minutes:
                return


if __name__ == "__main__":
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("verb", choices=["warm", "large", "race"])
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--file", type=Path, help="where to write, in place of the file of the package")
    p.add_argument("--minutes", type=float, default=25, help="CPU minutes after which it stops")
    p.add_argument("--lessons", type=int, default=500, help="large: supervised updates")
    p.add_argument("--steps", type=int, default=200, help="large: rollouts of each method")
    p.add_argument("--lr", type=float, default=2e-4, help="large: learning rate of RL")
    p.add_argument("--width", type=int, default=192, help="large: size of a word")
    p.add_argument("--layers", type=int, default=4, help="large: blocks")
    args = p.parse_args()
    torch.set_num_threads(1)
    {"warm": warm, "large": large, "race": race}[args.verb](args)
