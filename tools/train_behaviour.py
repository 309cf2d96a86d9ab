"""Trains the behaviour policies of rlkit/envs/behaviours.npz: a small soft actor-critic on a MuJoCo task.

    pip install stable-baselines3                  # a tool of this script only; nothing in rlkit needs it
    python tools/train_behaviour.py train  --task halfcheetah --minutes 60     # keeps the actor every 10,000 steps
    python tools/train_behaviour.py export --task halfcheetah                  # picks, measures, writes the .npz

`train` keeps the actor of every evaluation, after checking that numpy reproduces it. `export` measures the promising
ones on fresh episodes, takes the best as *expert* and the one nearest to 40 % of its return as *medium*, then measures
these two and the random policy once more on episodes that chose nothing: the references of every score.

Keys of the file: TASK/POLICY/W0, b0, W1, ... the layers; TASK/POLICY/curve and se [T], the mean reward collected in the
first 1, 2, ... T steps and its standard error; TASK/about, JSON: what was chosen and measured, seeds and versions.
"""

from __future__ import annotations

import argparse
import json
import time
from functools import partial
from importlib.metadata import version
from pathlib import Path

import numpy as np

from rlkit.envs import mixed

ROOT = Path(__file__).resolve().parent.parent


def actor_layers(actor) -> list[tuple[np.ndarray, np.ndarray]]:
    """The layers ((W [in, out], b [out]), ...) of an SB3 actor, up to the mode of its action."""
    import torch
    layers = [m for m in actor.latent_pi if isinstance(m, torch.nn.Linear)] + [actor.mu]
    return [(m.weight.detach().numpy().T.copy(), m.bias.detach().numpy().copy()) for m in layers]


def named(layers) -> dict[str, np.ndarray]:
    return {f"{k}{i}": x for i, layer in enumerate(layers) for k, x in zip("Wb", layer)}


def collected(task: str, policy, episodes: int, seed: int) -> np.ndarray:
    """Reward collected in the first 1, 2, ... T steps of each episode, [T, episodes]."""
    rng = np.random.default_rng(seed)
    return mixed.rewards(task, lambda obs: policy(obs, rng), 1, episodes, rng)[:, 0].cumsum(0)


def train(args) -> None:
    import torch
    from stable_baselines3 import SAC
    from stable_baselines3.common.callbacks import BaseCallback

    torch.set_num_threads(1)
    args.out.mkdir(parents=True, exist_ok=True)
    began = time.time()

    class Keep(BaseCallback):
        def _on_step(self) -> bool:
            if self.num_timesteps % args.every == 0:
                layers = actor_layers(self.model.actor)
                obs = self.model.replay_buffer.observations[:self.num_timesteps, 0][-1000:]
                torch_says, _ = self.model.predict(obs, deterministic=True)
                assert np.abs(mixed.network(layers, obs) - torch_says).max() < 1e-5, "numpy and torch disagree"
                J = collected(args.task, partial(mixed.network, layers), 8, seed=1)[-1]
                np.savez(args.out / f"{args.task}-{args.seed}-{self.num_timesteps:07d}.npz", returns=J, **named(layers))
                print(f"{self.num_timesteps:8d} steps {time.time() - began:6.0f} s  return {J.mean():7.0f} "
                      f"(worst {J.min():5.0f})", flush=True)
            return time.time() - began < 60 * args.minutes

    model = SAC("MlpPolicy", mixed.make(args.task), gamma=0.99, learning_rate=3e-4, batch_size=256, seed=args.seed,
                learning_starts=5000, policy_kwargs=dict(net_arch=dict(pi=[64, 64], qf=[256, 256])), device="cpu")
    model.learn(10**7, callback=Keep())


def export(args) -> None:
    kept = {}                                                             # name -> (layers, mean of its evaluation)
    for path in sorted(args.out.glob(f"{args.task}-{args.seed}-*.npz")):
        with np.load(path) as file:
            kept[path.stem] = [(file[f"W{i}"], file[f"b{i}"]) for i in range(3)], file["returns"].mean()
    if not kept:
        raise SystemExit(f"no checkpoint of {args.task} with seed {args.seed} in {args.out}: run `train` first")

    def again(names) -> dict[str, float]:                                 # name -> mean of 20 fresh episodes
        return {k: collected(args.task, partial(mixed.network, kept[k][0]), 20, seed=2)[-1].mean() for k in names}

    means = again(sorted(kept, key=lambda k: kept[k][1])[-3:])
    expert = max(means, key=means.get)
    aim = 0.4 * means[expert]
    means = again(sorted(kept, key=lambda k: abs(kept[k][1] - aim))[:2])
    medium = min(means, key=lambda k: abs(means[k] - aim))

    size = kept[expert][0][-1][1].size
    chosen = {"random": lambda obs, rng: rng.uniform(-1, 1, (*obs.shape[:-1], size)),
              "medium": partial(mixed.network, kept[medium][0]), "expert": partial(mixed.network, kept[expert][0])}
    arrays = dict(np.load(args.file)) if args.file.exists() else {}
    arrays = {k: v for k, v in arrays.items() if not k.startswith(f"{args.task}/")}
    arrays |= {f"{args.task}/medium/{k}": v for k, v in named(kept[medium][0]).items()}
    arrays |= {f"{args.task}/expert/{k}": v for k, v in named(kept[expert][0]).items()}
    for name, policy in chosen.items():
        J = collected(args.task, policy, args.episodes, seed=3)
        se = J.std(1, ddof=1) / args.episodes**0.5
        arrays |= {f"{args.task}/{name}/curve": J.mean(1).astype(np.float32),
                   f"{args.task}/{name}/se": se.astype(np.float32)}
        print(f"{name:8s} return {J[-1].mean():8.1f} ± {se[-1]:.1f}, {J[-1].min():.0f} to {J[-1].max():.0f}")
    about = dict(env=mixed.TASKS[args.task], medium=medium, expert=expert, episodes=args.episodes, seeds=[args.seed, 3])
    about |= {k: version(k) for k in ("gymnasium", "mujoco", "stable-baselines3", "torch", "numpy")}
    np.savez_compressed(args.file, **arrays | {f"{args.task}/about": np.array(json.dumps(about))})
    print(f"{args.file.name}: {args.file.stat().st_size / 1e3:.0f} kB; {about}")


if __name__ == "__main__":
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("verb", choices=["train", "export"])
    p.add_argument("--task", default="halfcheetah")
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--minutes", type=float, default=60, help="train: stop after this long")
    p.add_argument("--every", type=int, default=10_000, help="train: steps between two checkpoints")
    p.add_argument("--out", type=Path, default=ROOT / "build" / "behaviour", help="where the checkpoints lie")
    p.add_argument("--episodes", type=int, default=100, help="export: episodes behind each reference")
    p.add_argument("--file", type=Path, default=ROOT / "rlkit" / "envs" / "behaviours.npz")
    args = p.parse_args()
    {"train": train, "export": export}[args.verb](args)
