"""A tiny language model learns to solve Countdown, and runs out of entropy on the way: reward R = -a·e^H + b.

A model that has seen some demonstrations answers prompts, K answers each; a verifier says right or wrong; a policy
gradient makes what was right more likely. Nothing protects its randomness, so the entropy of its choices falls towards
0, and with it goes what it could still have found. Clip-Cov and KL-Cov hold on to a few tokens, those whose
log-probability and advantage vary together most, and entropy stays.

    for snap in entropy_language(Config(method="kl-cov"), np.random.default_rng(0), every=10):
        snap.entropy, snap.reward                   # [R] each: nats per word, share of answers that are right

R runs learn as one batch. The losses are in `entropy_losses`, the model in `entropy_model`, the task in
`rlkit.envs.countdown`. Read `Config`, then `entropy_language`, then `_update`.
Source: Cui et al. (2025), The Entropy Mechanism of Reinforcement Learning for Reasoning Language Models. Task, model
and the values of r, k and ω are ours: r and k are 250 and 150 times the paper's, because a minibatch has 300 tokens.

Axes: R runs, G prompts of a rollout, K answers to each, T words of an answer, V words of the language.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch

from rlkit.config import accept, check, knob
from rlkit.envs.countdown import Countdown
from rlkit.envs.modular_sum import ModularSum
from rlkit.papers import entropy_losses as losses
from rlkit.papers.entropy_model import LM, Adam, pretrain, sample, warm
from rlkit.preparing import preparing

SAMPLES = 16                                                              # answers to each prompt of an evaluation
PROBES = 6                                                                # prompts under the microscope
SHIPPED = {"countdown": (64, 2), "modular sum": (32, 2)}                  # width and layers of the models in the file


@dataclass(frozen=True)
class Config:
    method: str = knob("grpo", choices=losses.METHODS, says="method: the loss, and what it does about entropy")
    rescue: int = knob(0, 0, 300, unit="rollouts", least=0, says="Clip-Cov from rollout: takes over there; 0: never")
    lr: float = knob(6e-4, 6e-5, 6e-3, log=True, symbol="η", above=0, step=True, says="learning rate: of Adam")
    alpha: float = knob(0.0, 0.0, 0.4, symbol="α", least=0, says="entropy bonus: added to any method")
    kl_share: float = knob(0.3, 0.002, 1.0, log=True, symbol="k", least=0, most=1,
                           says="KL-Cov, share held: tokens of largest covariance")
    beta: float = knob(1.0, 0.0, 5.0, symbol="β", least=0, says="KL-Cov, how firmly: slope of the penalty")
    clip_share: float = knob(0.05, 0.0002, 0.3, log=True, symbol="r", least=0, most=1,
                             says="Clip-Cov, share: tokens of large covariance that learn nothing")
    cov_low: float = knob(0.5, 0.0, 3.0, symbol="ω low", says="Clip-Cov, from covariance: below it none is chosen")
    cov_high: float = knob(20.0, 1.0, 20.0, symbol="ω high",
                            most=math.inf, says="Clip-Cov, up to: above this covariance none is chosen")
    clip_low: float = knob(0.2, 0.01, 1.0, symbol="ε", least=0, most=1, says="clip: how far ρ may move from 1")
    clip_high: float = knob(0.28, 0.01, 2.0, symbol="ε high", least=0, most=math.inf,
                            says="clip-higher: how far ρ may rise above 1")
    reference: float = knob(0.0, 0.0, 0.3, least=0, says="reference: weight of the divergence from the first model")
    temperature: float = knob(1.0, 0.3, 2.0, symbol="τ", above=0, restart=True,
                              says="temperature: of the answers to learn from")
    K: int = knob(8, 1, 32, symbol="K", unit="answers", least=1, restart=True, says="group size: answers to a prompt")
    prompts: int = knob(64, 8, 128, unit="prompts", least=1, restart=True, says="prompts: of a rollout")
    minibatches: int = knob(4, 1, 8, least=1, restart=True, says="updates per rollout: each on its own prompts")
    task: str = knob("countdown", choices=("countdown", "modular sum"), restart=True,
                     says="task: several right answers (countdown), or two strategies (modular sum)")
    size: int = knob(9, 2, 9, least=1, most=9, restart=True, says="largest number: in a prompt of countdown")
    lessons: int = knob(0, 0, 600, least=0, restart=True,
                        says="lessons: of a warm start anew; 0 takes the shipped model")
    noise: float = knob(0.5, 0.0, 1.0, least=0, most=1, restart=True,
                        says="nonsense in them: share of the demonstrations of new lessons")
    width: int = knob(64, 32, 256, log=True, unit="numbers", most=2048, least=4, restart=True,
                       says="width: of a model with new lessons")
    layers: int = knob(2, 1, 4, least=1, restart=True, says="layers: of a model with new lessons")
    runs: int = knob(2, 1, 8, symbol="R", least=1, restart=True, says="runs side by side")
    steps: int = knob(300, 50, 1000, log=True, unit="rollouts", least=1, restart=True, says="rollouts")
    seed: int = knob(0, 0, 99, least=0, restart=True, says="which random numbers")
    look: int = knob(1, 1, PROBES, least=1, most=PROBES, says="microscope, prompt: which of six")
    word: int = knob(1, 1, 5, least=1, most=5, says="microscope, word: of the answer")
    evaluation: int = knob(64, 16, 512, unit="prompts", log=True, least=PROBES, restart=True,
                           says="fixed prompts of an evaluation, 16 answers each")

    __post_init__ = check


class Microscope(NamedTuple):
    """The first run on the first PROBES prompts of the evaluation, which stay the same."""
    prompts: np.ndarray           # [M, P]
    probe: np.ndarray             # [M, T] one right answer to each, always the same
    pi: np.ndarray                # [M, T, V] distribution of each word, the words before it being the probe's
    words: np.ndarray             # [M, 16, T] answers sampled now
    entropy: np.ndarray           # [M, 16, T] of each choice, nats
    right: np.ndarray             # [M, 16] bool


class Tokens(NamedTuple):
    """The words of the last rollout that taught something, all runs, as they were when their minibatch was learned."""
    word: np.ndarray              # [N] which word
    logp: np.ndarray              # [N] its log-probability
    A: np.ndarray                 # [N] the advantage of its answer
    cov: np.ndarray               # [N] its covariance
    touched: np.ndarray           # [N] bool, whether the method treats it apart


NOTHING = Tokens(np.zeros(0, np.int64), *(np.zeros(0, np.float32) for _ in range(3)), np.zeros(0, bool))


class Snapshot(NamedTuple):
    """All at temperature 1; evaluations are on prompts of their own, the same in every run and snapshot."""
    step: int                     # rollouts
    entropy: np.ndarray           # [R] H, nats per word, of the whole softmax on the model's own answers
    reward: np.ndarray            # [R] share of answers that are right: pass@1
    greedy: np.ndarray            # [R] share of prompts whose likeliest words are right
    pass8: np.ndarray             # [R] chance that one of 8 answers is right
    pass16: np.ndarray            # [R]
    ways: np.ndarray              # [R] different right answers to a prompt in 16
    groups: np.ndarray            # [R, 3] share of the last rollout's groups: all wrong, mixed, all right
    tokens: Tokens
    look: Microscope


def entropy_language(cfg: Config, rng: np.random.Generator, every: int = 10,
                     weights: list[np.ndarray] | None = None) -> Generator[Snapshot, Config | None, None]:
    """Learn from the verifier; a snapshot before the first rollout, then every `every` rollouts and after the last.

    weights: of the model at the start, as `LM.weights` gives them; None: `warm_start` makes them.
    Live: what needs no restart.  A group all of whose answers are right, or wrong, teaches nothing and is left out; a
    run without any other makes no update.  Raises ValueError for a change that needs a restart.
    """
    task = ModularSum() if cfg.task == "modular sum" else Countdown(cfg.size)
    of_prompts, of_lessons, of_evaluation, of_torch = rng.spawn(4)
    gen = torch.Generator().manual_seed(int(of_torch.integers(2**62)))
    weights = warm_start(cfg, of_lessons) if weights is None else weights
    model, first = (LM(cfg.runs, task, gen, *_size(cfg)).load(weights) for _ in range(2))
    adam = Adam(model.parameters())
    test = Evaluation(task, cfg, of_evaluation)
    cfg = accept((yield test(model, 0, np.zeros((cfg.runs, 3)), NOTHING)), cfg)
    for step in range(1, cfg.steps + 1):
        prompts = torch.from_numpy(task.prompts(of_prompts, (cfg.runs, cfg.prompts)))
        answers = sample(model, prompts, cfg.K, gen, cfg.temperature).words              # [R, G, K, T]
        reward = torch.from_numpy(task.verify(prompts[:, :, None].numpy(), answers.numpy())).float()
        mask = torch.from_numpy(task.mask(answers.numpy())).float()
        now = replace(cfg, method="clip-cov") if 0 < cfg.rescue < step else cfg
        seen = _update(model, first, adam, prompts, answers, reward, mask, now, gen)
        if step % every == 0 or step == cfg.steps:
            right = reward.mean(-1)                                       # [R, G]
            groups = torch.stack([(right == 0), (right > 0) & (right < 1), (right == 1)], -1).float().mean(1)
            cfg = accept((yield test(model, step, groups.numpy(), seen)), cfg)


def _update(model: LM, first: LM, adam: Adam, prompts, answers, reward, mask, cfg: Config, gen) -> Tokens:
    """One pass over a rollout, in minibatches of whole groups."""
    A = losses.advantages(reward, cfg.method)                             # [R, G, K]
    parts = list(_minibatches(losses.teaches(reward, cfg.method), cfg.minibatches, gen))
    batches = []
    for index, valid in parts:
        pick = lambda x, i=index: x[torch.arange(len(x))[:, None], i]     # noqa: E731  [R, G, ...] -> [R, g, ...]
        m = pick(mask) * valid[:, :, None, None]
        batches.append((pick(prompts), pick(answers), pick(A)[..., None].expand_as(m).flatten(1), m.flatten(1)))
    with torch.no_grad():                 # by the same forward pass as in training; the first minibatch has it anyway
        old = [None, *(_logp(model, b[0], b[1], cfg)[1] for b in batches[1:])]
    seen = []
    for (x, y, a, m), logp_old in zip(batches, old):
        z, logp = _logp(model, x, y, cfg)
        logp_old = logp.detach() if logp_old is None else logp_old
        loss, touched = losses.policy_loss(cfg.method, logp, logp_old, a, m, cfg, gen)
        if cfg.alpha:
            all_logp = z.log_softmax(-1)
            H = -(all_logp.exp() * all_logp).sum(-1).flatten(1)           # [R, N]
            loss = loss - cfg.alpha * (H * m).sum(-1) / m.sum(-1).clamp(min=1)
        if cfg.reference:
            with torch.no_grad():
                reference = _logp(first, x, y, cfg)[1]
            loss = loss + cfg.reference * losses.reference_kl(logp, reference, m)
        loss.sum().backward()
        adam.step(cfg.lr, active=m.any(-1))
        real = m > 0
        seen.append([u[real] for u in (y.flatten(1), logp.detach(), a, losses.token_cov(logp, a, m), touched)])
    return Tokens(*(torch.cat(u).numpy() for u in zip(*seen))) if seen else NOTHING


def _logp(model: LM, prompts, answers, cfg: Config) -> tuple[torch.Tensor, torch.Tensor]:
    """Scores [R, g, K, T, V], and the log-probability of each word [R, g·K·T] at the temperature it was sampled at."""
    z = model.logits(prompts, answers)
    tempered = z if cfg.temperature == 1 else z / cfg.temperature
    return z, tempered.log_softmax(-1).gather(-1, answers[..., None])[..., 0].flatten(1)


def _minibatches(teaches: torch.Tensor, n: int, gen) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Deal the groups that teach into n heaps, at random.  teaches: [R, G] bool.

    Gives (index [R, g] of groups, valid [R, g] bool) of each heap that is not empty: runs have different numbers of
    such groups, and what a run lacks is filled with others and marked.
    """
    order = (torch.rand(teaches.shape, generator=gen) + 2.0 * ~teaches).argsort(1)        # those that teach come first
    count = teaches.sum(1, keepdim=True)
    most = int(count.max())
    valid = torch.arange(most) < count                                    # [R, most]
    for j in range(min(n, most)):
        yield order[:, j:most:n], valid[:, j::n]


class Evaluation:
    """Fixed prompts and fixed random numbers, so that looking changes nothing and a curve has no new luck in it."""

    def __init__(self, task: Countdown, cfg: Config, rng: np.random.Generator):
        self.task = task
        self.seed = int(rng.integers(2**62))
        prompts = task.prompts(rng, (cfg.evaluation,))                    # [G, P]
        self.prompts = torch.from_numpy(np.tile(prompts, (cfg.runs, 1, 1)))
        self.probe = torch.from_numpy(task.solution(prompts[:PROBES]))    # [M, T]

    @torch.no_grad()
    def __call__(self, model: LM, step: int, groups, tokens: Tokens) -> Snapshot:
        gen = torch.Generator().manual_seed(self.seed)
        verify = lambda words: torch.from_numpy(                          # noqa: E731
            self.task.verify(self.prompts[:, :, None].numpy(), words.numpy()))
        out = sample(model, self.prompts, SAMPLES, gen)
        right, mask = verify(out.words), torch.from_numpy(self.task.mask(out.words.numpy())).float()
        greedy = verify(sample(model, self.prompts, 1, gen, temperature=0).words)
        passes = [losses.pass_at_k(right, k).mean(1).numpy() for k in (8, SAMPLES)]
        H = ((out.entropy * mask).sum(-1) / mask.sum(-1)).mean((1, 2))
        probe = self.probe.expand(model.n, -1, -1)[:, :, None]
        pi = model.logits(self.prompts[:, :PROBES], probe)[0, :, 0].softmax(-1)
        look = Microscope(*(x.numpy().copy() for x in (
            self.prompts[0, :PROBES], self.probe, pi, out.words[0, :PROBES], out.entropy[0, :PROBES],
            right[0, :PROBES])))
        return Snapshot(step, H.numpy(), right.float().mean((1, 2)).numpy(), greedy.float().mean((1, 2)).numpy(),
                        *passes, _ways(out.words, right), groups, tokens, look)


def _ways(words: torch.Tensor, right: torch.Tensor) -> np.ndarray:
    """Different right answers to a prompt, mean over prompts.  words: [R, G, n, T], right: [R, G, n].  Gives [R]."""
    code = (words * 100 ** torch.arange(words.shape[-1])).sum(-1)         # a number for each answer
    code = torch.where(right, code, -1).sort(-1).values
    new = torch.cat([code[..., :1] >= 0, (code[..., 1:] != code[..., :-1]) & (code[..., 1:] >= 0)], -1)
    return new.sum(-1).float().mean(-1).numpy()


def warm_start(cfg: Config, rng: np.random.Generator) -> list[np.ndarray]:
    """Weights to start from: the shipped ones, or after `cfg.lessons` supervised updates; the same for every run."""
    if not cfg.lessons:
        return warm(cfg.task)
    return _taught(cfg.task, _size(cfg), cfg.lessons, cfg.noise, int(rng.integers(2**62)))


@lru_cache(maxsize=8)                                                     # some MB; a Reset need not teach again
def _taught(name: str, size: tuple[int, int], lessons: int, noise: float, seed: int) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    task = Countdown() if name == "countdown" else ModularSum(scratch=1.0)                # all sizes: as shipped
    model = LM(1, task, torch.Generator().manual_seed(int(rng.integers(2**62))), *size)
    teach(model, task, rng, lessons, noise)
    return model.weights()


def _size(cfg: Config) -> tuple[int, int]:
    """Width and layers of the model."""
    return (cfg.width, cfg.layers) if cfg.lessons else SHIPPED[cfg.task]


def teach(model: LM, task, rng: np.random.Generator, lessons: int, noise: float) -> None:
    """Supervised first lessons; on modular sums a tenth as many follow in which most answers are guesses."""
    for _ in preparing(pretrain(model, task, rng, lessons, noise), "lesson", of=lessons):
        pass
    if isinstance(task, ModularSum):
        more = max(1, lessons // 10)
        for _ in preparing(pretrain(model, replace(task, scratch=0.1), rng, more, noise), "later lesson", of=more):
            pass
