"""The entropy mechanism on a real task: policy gradient balances a pole, and its randomness runs out the same way.

CartPole of Gymnasium, B copies for each of R runs in one vector environment; R small networks as one batched matmul.
Each update takes T steps in every copy, forms advantages with a critic (GAE), and moves the policy once:

    loss = -mean(A log π(a|s)) - α mean(H(π(·|s))),     A scaled to mean 0 and deviation 1 within each run

At the states just visited we know the policy before and after, so that what entropy did there is exact, and the lemma
can be asked to predict it from the *realised* change of the logits: shared weights and Adam make it something else than
η π A, and the lemma does not mind. How the mean over *newly* visited states changes is another number, and noisy.

    for snap in control(ControlConfig(), np.random.default_rng(0)):
        snap.H, snap.J                                  # [R] entropy (nats), steps the pole stays up

Source: Cui et al. (2025) for the mechanism; the task is ours.  Axes: R runs, B environments each, T steps, F features.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import NamedTuple

import gymnasium
import numpy as np
import torch

from rlkit.config import accept, check, knob
from rlkit.nets import MLP, adam
from rlkit.policies import entropy_step
from rlkit.returns import gae
from rlkit.validation import still_finite

SCALE = np.array([2.4, 2.0, 0.21, 2.0], np.float32)                       # position, speed, angle (rad), its speed
ANGLES = np.linspace(-0.2, 0.2, 41)                                       # rad, of the probe: all else at rest


@dataclass(frozen=True)
class ControlConfig:
    eta: float = knob(5e-3, 3e-4, 3e-2, log=True, symbol="η", above=0, step=True, says="step size of the policy")
    alpha: float = knob(0.0, 0.0, 0.1, symbol="α", says="entropy bonus: paid for randomness")
    gamma: float = knob(0.99, 0.9, 0.999, symbol="γ", least=0, most=1, says="discount of a step")
    lam: float = knob(0.95, 0.0, 1.0, symbol="λ", least=0, most=1, says="advantage: 0 trusts the critic, 1 the returns")
    optimiser: str = knob("adam", choices=("adam", "sgd"), restart=True,
                          says="optimiser: who turns gradients into steps")
    envs: int = knob(8, 2, 32, symbol="B", least=1, restart=True, says="poles watched by each run")
    T: int = knob(32, 8, 128, symbol="T", unit="steps", least=2, restart=True, says="steps of each pole an update")
    hidden: int = knob(32, 8, 128, log=True, most=4096, least=1, restart=True, says="width of the hidden layer")
    steps: int = knob(300, 50, 2000, log=True, least=1, restart=True, says="updates")
    runs: int = knob(16, 1, 32, symbol="R", least=1, restart=True, says="independent learners")
    seed: int = knob(0, 0, 99, least=0, restart=True, says="which random numbers")

    __post_init__ = check


class Snapshot(NamedTuple):
    step: int
    J: np.ndarray                 # [R] steps the pole stays up, mean of the last finished episode of each environment
    H: np.ndarray                 # [R] entropy at the states of this update, before it, nats: at most log 2
    exact: np.ndarray             # [R] its change by this update, at the same states
    first: np.ndarray             # [R] the lemma: mean of -Cov(log π, Δz)
    second: np.ndarray            # [R] with the second order
    sampled: np.ndarray           # [R] covariance of log π(a|s) and A over the sampled actions
    push: np.ndarray              # [R, 41] chance of pushing right, by the pole's angle, after the update


def control(cfg: ControlConfig, rng: np.random.Generator,
            every: int = 10) -> Generator[Snapshot, ControlConfig | None, None]:
    """R learners on B poles each. η, α, γ and λ act live; what cannot change in mid-run raises ValueError."""
    R, B, T = cfg.runs, cfg.envs, cfg.T
    gen = torch.Generator().manual_seed(int(rng.integers(2**63)))
    actor, critic = MLP(R, (4, cfg.hidden, 2), gen), MLP(R, (4, cfg.hidden, 1), gen)
    with torch.no_grad():
        for net in (actor, critic):
            net.layers[-1][0].mul_(0.1)                                   # first an even policy, and values near 0
    moves = adam([actor.flat], lr=cfg.eta) if cfg.optimiser == "adam" else torch.optim.SGD([actor.flat], lr=cfg.eta)
    learns = adam([critic.flat], lr=1e-2)
    env = gymnasium.make_vec("CartPole-v1", num_envs=R * B, vectorization_mode="vector_entry_point")
    game = _Game(env, R, B, T, rng)
    probe = torch.zeros(1, len(ANGLES), 4)
    probe[0, :, 2] = torch.from_numpy(ANGLES.astype(np.float32) / SCALE[2])
    try:
        for step in range(1, cfg.steps + 1):
            obs, action, reward, terminated, over, real = game.play(actor)
            adv, target, valid = _advantages(critic, obs, reward, terminated, over, real, cfg)
            x = torch.from_numpy(obs[:, :T].reshape(R, T * B, 4))
            z = actor(x)
            logp = z.log_softmax(-1)
            mean = torch.from_numpy(valid / valid.sum(1, keepdims=True))  # [R, TB] a mean over the steps that count
            chosen = logp.gather(2, torch.from_numpy(action.reshape(R, T * B, 1)))[..., 0]
            H = -(logp.exp() * logp).sum(-1)
            loss = -(mean * (torch.from_numpy(adv) * chosen + cfg.alpha * H)).sum()
            loss.backward()
            for group in moves.param_groups:
                group["lr"] = cfg.eta
            moves.step()
            moves.zero_grad()
            learns.zero_grad()
            (mean * (critic(x)[..., 0] - torch.from_numpy(target)) ** 2).sum().backward()
            learns.step()
            if step % every == 0 or step == cfg.steps:
                with torch.no_grad():
                    dz, push = (actor(x) - z).numpy(), actor(probe.expand(R, -1, -1)).softmax(-1)[..., 1].numpy()
                still_finite(step, H=H.detach(), advantage=adv, Δlogits=dz)
                m, lp = mean.numpy().astype(float), chosen.detach().numpy()
                change = [(m * u).sum(1) for u in entropy_step(logp.exp().detach().numpy(), dz)]
                seen = (m * (lp - (m * lp).sum(1, keepdims=True)) * adv).sum(1)
                now = (mean * H).sum(1).detach().numpy()
                cfg = accept((yield Snapshot(step, game.returns(), now, *change, seen, push)), cfg)
    finally:
        env.close()


def _advantages(critic, obs, reward, terminated, over, real, cfg):
    """adv [R, TB] scaled within each run, targets of the critic and 1 for the steps that count, else 0, all float32.

    The critic speaks in units of 1/(1 - γ), the most it can be; a truncated episode still counts the value of its end.
    """
    R, T1, B, _ = obs.shape
    T, unit = T1 - 1, 1 - cfg.gamma + 1e-3
    with torch.no_grad():
        v = critic(torch.from_numpy(obs.reshape(R, T1 * B, 4))).numpy().reshape(R, T1, B) / unit
    flat = lambda u: u.transpose(0, 2, 1).ravel()                         # noqa: E731  [R, T, B] -> each pole's record
    ends = flat(over)                                                     # what only resets comes first in a record
    ends.reshape(R * B, T)[:, -1] = True                                  # records end here, episodes may not
    starts = np.r_[0, np.flatnonzero(ends) + 1]
    A = gae(flat(reward), flat(terminated), flat(v[:, :-1]), flat(v[:, 1:]), starts, cfg.gamma, cfg.lam)
    A = A.reshape(R, B, T).transpose(0, 2, 1).reshape(R, T * B)
    valid = real.reshape(R, T * B).astype(np.float32)
    target = (A + v[:, :-1].reshape(R, T * B)) * unit
    n = valid.sum(1, keepdims=True)
    A = A - (A * valid).sum(1, keepdims=True) / n
    A = A / (np.sqrt((A**2 * valid).sum(1, keepdims=True) / n) + 1e-6)
    return (A * valid).astype(np.float32), target.astype(np.float32), valid


class _Game:
    """R · B poles that go on from update to update. After an episode's end one call only resets: it is no step."""

    def __init__(self, env, R: int, B: int, T: int, rng: np.random.Generator):
        self.env, self.shape, self.T, self.rng = env, (R, B), T, rng
        self.obs = env.reset(seed=int(rng.integers(2**31)))[0] / SCALE
        self.resetting = np.zeros(R * B, bool)
        self.length, self.last = np.zeros(R * B), np.zeros(R * B)

    def play(self, actor: MLP):
        """obs [R, T+1, B, 4] scaled; action, reward, terminated, over (either end), real [R, T, B]."""
        rows, seen, (R, B) = [], [], self.shape
        u = self.rng.random((self.T, R * B), dtype=np.float32)
        for t in range(self.T):
            seen.append(self.obs)
            with torch.no_grad():
                z = actor(torch.from_numpy(self.obs).view(R, B, 4)).numpy()
            action = (u[t] < 1 / (1 + np.exp((z[..., 0] - z[..., 1]).ravel()))).astype(np.int64)
            real = ~self.resetting
            obs, reward, terminated, truncated, _ = self.env.step(action)
            self.obs, over = obs / SCALE, terminated | truncated
            rows.append((action, reward.astype(float), terminated.copy(), over, real))
            self.length += real
            self.last = np.where(over, self.length, self.last)
            self.length[over] = 0
            self.resetting = over
        lay = lambda u: np.stack(u).reshape(-1, R, B, *u[0].shape[1:]).swapaxes(0, 1)      # noqa: E731
        obs = np.ascontiguousarray(lay([*seen, self.obs]))
        return obs, *(np.ascontiguousarray(lay(list(c))) for c in zip(*rows))

    def returns(self) -> np.ndarray:
        """[R] mean length of the last episode that each pole finished; of one that has not, its length so far."""
        return np.where(self.last > 0, self.last, self.length).reshape(self.shape).mean(1)
