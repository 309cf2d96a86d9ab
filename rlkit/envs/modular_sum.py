"""Four digits to add modulo 10, by a guess or with scratch work: a task on which a strategy can be discovered.

    task = ModularSum()
    task.text(prompts[0])                                         # "3 5 7 2 ="
    "> 7"                                                         # a guess
    ": 8 5 7"                                                     # the running sums, the last of which is the answer

Half of the prompts end in two zeros, so that a guess adds two digits only. The other half is too much for a guess. Only
the last word counts for the reward. Words are whole numbers, as in `countdown`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

GUESS, SCRATCH, EQUALS, REST = 10, 11, 12, 13                             # words 0 ... 9 are the digits


@dataclass(frozen=True)
class ModularSum:
    scratch: float = 0.1                                                  # share of demonstrations with scratch work

    words: ClassVar[tuple[str, ...]] = (*map(str, range(10)), ">", ":", "=", "·")
    prompt_length: ClassVar[int] = 5
    answer_length: ClassVar[int] = 4

    def prompts(self, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        """[*shape, 5] prompts: four digits and "="."""
        digits = rng.integers(10, size=(*shape, 4))
        digits[rng.random(shape) < 0.5, 2:] = 0
        return np.concatenate([digits, np.full((*shape, 1), EQUALS)], -1)

    def demonstrations(self, rng: np.random.Generator, n: int, noise: float) -> tuple[np.ndarray, np.ndarray]:
        """Prompts [n, 5] and answers [n, 4]. A guess is right where the last two digits are 0, else any digit; each
        running sum is any digit with probability `noise`, and the next one goes on from it."""
        prompts = self.prompts(rng, (n,))
        hard = (prompts[:, 2:4] > 0).any(-1)
        guess = np.where(hard, rng.integers(10, size=n), prompts[:, :2].sum(-1) % 10)
        answers = np.column_stack([np.full(n, GUESS), guess, np.full((n, 2), REST)])
        s, sums = prompts[:, 0], np.empty((n, 3), np.int64)
        for i in range(3):
            s = (s + prompts[:, i + 1]) % 10
            s = np.where(rng.random(n) < noise, rng.integers(10, size=n), s)
            sums[:, i] = s
        work = rng.random(n) < self.scratch
        answers[work] = np.column_stack([np.full(n, SCRATCH), sums])[work]
        return prompts, answers

    def verify(self, prompts: np.ndarray, answers: np.ndarray) -> np.ndarray:
        """Whether the last word of an answer is the sum: [..., 5] and [..., 4] broadcast, gives [...] bool."""
        first, said = answers[..., 0], np.where(answers[..., 0] == GUESS, answers[..., 1], answers[..., 3])
        return ((first == GUESS) | (first == SCRATCH)) & (said == prompts[..., :4].sum(-1) % 10)

    def mask(self, answers: np.ndarray) -> np.ndarray:
        """1 on the words of an answer: two of a guess, all four with scratch work."""
        return (np.arange(4) < 2) | (answers[..., :1] != GUESS)

    def solution(self, prompts: np.ndarray) -> np.ndarray:
        """[..., 4] the answer with scratch work."""
        sums = prompts[..., :4].cumsum(-1)[..., 1:] % 10
        return np.concatenate([np.full((*prompts.shape[:-1], 1), SCRATCH), sums], -1)

    def text(self, prompt: np.ndarray) -> str:
        return self.spell(prompt)

    def spell(self, answer: np.ndarray) -> str:
        return " ".join(self.words[i] for i in answer if i != REST)
