"""Trains the language models of chapter 5 that a notebook has no time for.

    python tools/train_countdown.py warm                 # 20 s: rlkit/envs/countdown_warm.npz, where all runs start
    python tools/train_countdown.py large --minutes 25   # rlkit/envs/countdown_large.npz: curves of a larger model

`warm` teaches the small model (110,000 parameters) on demonstrations half of which are nonsense, and keeps it as
float16. `large` teaches a model of 3.2 million parameters the same lessons, then lets it learn from the verifier by
GRPO, KL-Cov and Clip-Cov in turn, from the same weights; only curves are kept. It stops in time, and writes what it
has.

Keys of countdown_large.npz: METHOD/step, entropy, reward, greedy, pass8, pass16, ways [T]; about, JSON: settings and
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
from rlkit.papers.entropy_language import Config, entropy_language
from rlkit.papers.entropy_model import LM, pretrain

ENVS = Path(__file__).resolve().parent.parent / "rlkit" / "envs"
CURVES = ("step", "entropy", "reward", "greedy", "pass8", "pass16", "ways")


def teach(seed: int, steps: int, lr: float, width: int = 64, layers: int = 2) -> LM:
    task = Countdown()
    model = LM(1, task, torch.Generator().manual_seed(seed), width, layers)
    began = time.time()
    for step, loss in pretrain(model, task, np.random.default_rng(seed), steps, lr=lr):
        if step % 100 == 0:
            print(f"lesson {step:5d}  loss {loss[0]:.3f}  {time.time() - began:5.0f} s", flush=True)
    return model


def about(**more) -> np.ndarray:
    return np.array(json.dumps(more | {k: version(k) for k in ("torch", "numpy")}))


def warm(args) -> None:
    model = teach(args.seed, 600, 2e-3)
    parts = zip(("embed", "body", "head"), model.weights())
    arrays = {f"countdown/{name}": w[0].astype(np.float16) for name, w in parts}
    np.savez(args.file or ENVS / "countdown_warm.npz", about=about(seed=args.seed, lessons=600, noise=0.5), **arrays)


def large(args) -> None:
    began = time.process_time()
    model = teach(args.seed, args.lessons, 1e-3, args.width, args.layers)
    parameters = sum(leaf.shape[1] for leaf in model.parameters())
    cfg = Config(runs=1, steps=args.steps, lr=args.lr, width=args.width, layers=args.layers, evaluation=128,
                 lessons=args.lessons)
    arrays = {}
    for method in ("grpo", "kl-cov", "clip-cov"):
        rows = {name: [] for name in CURVES}
        for snap in entropy_language(replace(cfg, method=method), np.random.default_rng(args.seed), 10,
                                     model.weights()):
            for name in CURVES:
                rows[name].append(float(np.ravel(getattr(snap, name))[0]))
            seconds = time.process_time() - began
            print(f"{method:8s} {snap.step:4d}  H {rows['entropy'][-1]:.3f}  pass@1 {rows['reward'][-1]:.3f}  greedy "
                  f"{rows['greedy'][-1]:.3f}  pass@16 {rows['pass16'][-1]:.3f}  {seconds:.0f} s", flush=True)
            arrays |= {f"{method}/{name}": np.array(x, np.float32) for name, x in rows.items()}
            np.savez(args.file or ENVS / "countdown_large.npz", **arrays, about=about(
                parameters=parameters, seed=args.seed, seconds=round(seconds), config=asdict(cfg)))
            if seconds > 60 * args.minutes:
                return


if __name__ == "__main__":
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("verb", choices=["warm", "large"])
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--file", type=Path, help="where to write, in place of the file of the package")
    p.add_argument("--minutes", type=float, default=25, help="large: CPU minutes after which it stops")
    p.add_argument("--lessons", type=int, default=600, help="large: supervised updates")
    p.add_argument("--steps", type=int, default=300, help="large: rollouts of each method")
    p.add_argument("--lr", type=float, default=1e-4, help="large: learning rate of RL")
    p.add_argument("--width", type=int, default=256, help="large: size of a word")
    p.add_argument("--layers", type=int, default=4, help="large: blocks")
    args = p.parse_args()
    torch.set_num_threads(1)
    {"warm": warm, "large": large}[args.verb](args)
