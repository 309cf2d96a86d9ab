"""Countdown: combine three numbers so that they give a target. A language of 74 words whose answers can be checked.

    task = Countdown()
    prompts = task.prompts(np.random.default_rng(0), (64,))       # [64, 5]: three numbers, the target, "="
    task.text(prompts[0])                                         # "3 5 7 → 22"
    right = task.verify(prompts, answers)                         # answers [64, 5]: number, sign, number, sign, number

An answer is worked out from left to right, and right if it uses the three numbers once each and gives the target. Of
the 54 expressions of a prompt about 4.6 are right: several ways to succeed, and new prompts for ever. Words are whole
numbers; an array of words has the sentence along its last axis.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations, product
from typing import ClassVar

import numpy as np

SIGNS = ("+", "−", "×")
MOST = 60                                                                 # targets are 0 ... 60
TARGET, SIGN, EQUALS = 9, 9 + MOST + 1, 9 + MOST + 1 + len(SIGNS)         # first word of each kind
ORDERS = np.array(list(permutations(range(3))))                           # [6, 3]
PAIRS = np.array(list(product(range(3), repeat=2)))                       # [9, 2] two signs


@dataclass(frozen=True)
class Countdown:
    size: int = 9                                                         # numbers are 1 ... size, at most 9

    words: ClassVar[tuple[str, ...]] = (*map(str, range(1, 10)), *map(str, range(MOST + 1)), *SIGNS, "=")
    prompt_length: ClassVar[int] = 5
    answer_length: ClassVar[int] = 5

    def __post_init__(self):
        if not 1 <= self.size <= 9:
            raise ValueError(f"size is {self.size!r}, expected the largest number, 1 to 9; try size=9")

    def prompts(self, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        """[*shape, 5] prompts: numbers and an expression at random, kept where its value is a target."""
        return self._drawn(rng, int(np.prod(shape)))[0].reshape(*shape, 5)

    def demonstrations(self, rng: np.random.Generator, n: int, noise: float) -> tuple[np.ndarray, np.ndarray]:
        """Prompts [n, 5] and answers [n, 5]; a share `noise` of the answers are expressions at random, others right."""
        if not 0 <= noise <= 1:
            raise ValueError(f"noise is {noise!r}, expected a share from 0 to 1")
        prompts, pick = self._drawn(rng, n)
        wrong = rng.random(n) < noise
        pick[wrong] = rng.integers(54, size=wrong.sum())
        return prompts, np.take_along_axis(self.expressions(prompts), pick[:, None, None], 1)[:, 0]

    def verify(self, prompts: np.ndarray, answers: np.ndarray) -> np.ndarray:
        """Whether each answer is right: prompts [..., 5] and answers [..., 5] broadcast, gives [...] bool."""
        numbers, signs = answers[..., ::2], answers[..., 1::2] - SIGN
        same = (np.sort(numbers, -1) == np.sort(prompts[..., :3], -1)).all(-1)          # and so they are numbers
        spelt = same & ((signs >= 0) & (signs < 3)).all(-1)
        return spelt & (_value(numbers + 1, signs) == prompts[..., 3] - TARGET)

    def mask(self, answers: np.ndarray) -> np.ndarray:
        """1 on the words of an answer up to its end: here all five."""
        return np.ones(answers.shape, bool)

    def expressions(self, prompts: np.ndarray) -> np.ndarray:
        """[..., 54, 5] every expression of the three numbers; equal numbers give some of them twice."""
        order, pair = (u.reshape(54, -1) for u in np.broadcast_arrays(ORDERS[:, None, :], PAIRS[None, :, [0, 1, 1]]))
        out = np.empty((*prompts.shape[:-1], 54, 5), np.int64)
        out[..., ::2] = prompts[..., :3][..., order]
        out[..., 1::2] = pair[:, :2] + SIGN
        return out

    def solution(self, prompts: np.ndarray) -> np.ndarray:
        """[..., 5] the first of the 54 expressions that is right, for prompts that have one."""
        ways = self.expressions(prompts)
        first = self.verify(prompts[..., None, :], ways).argmax(-1)
        return np.take_along_axis(ways, first[..., None, None], -2)[..., 0, :]

    def text(self, prompt: np.ndarray) -> str:
        a, b, c, t = (self.words[i] for i in prompt[:4])
        return f"{a} {b} {c} → {t}"

    def spell(self, answer: np.ndarray) -> str:
        return " ".join(self.words[i] for i in answer)

    def _drawn(self, rng, n):
        """n prompts, and for each the number of the expression whose value became the target."""
        found, picks = np.empty((0, 5), np.int64), np.empty(0, np.int64)
        while len(found) < n:
            m = 2 * n + 16                                                # about two in three are kept
            numbers, pick = rng.integers(self.size, size=(m, 3)), rng.integers(54, size=m)
            value = _value(np.take_along_axis(numbers, ORDERS[pick // 9], 1) + 1, PAIRS[pick % 9])
            kept = (value >= 0) & (value <= MOST)
            new = np.column_stack([numbers, value + TARGET, np.full(m, EQUALS)])[kept]
            found, picks = np.concatenate([found, new])[:n], np.concatenate([picks, pick[kept]])[:n]
        return found, picks


def _value(numbers: np.ndarray, signs: np.ndarray) -> np.ndarray:
    """Left to right: numbers [..., 3], signs [..., 2] 0 plus, 1 minus, 2 times."""
    value = numbers[..., 0]
    for i in (0, 1):
        x, sign = numbers[..., i + 1], signs[..., i]
        value = np.where(sign == 0, value + x, np.where(sign == 1, value - x, value * x))
    return value
