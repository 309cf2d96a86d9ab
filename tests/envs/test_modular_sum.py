"""Sums modulo 10: the verifier against Python's sum, and what the demonstrations promise."""

import numpy as np
import pytest

from rlkit.envs.modular_sum import ModularSum

TASK = ModularSum()


def by_hand(prompt, answer):
    said = TASK.spell(answer).split()
    total = sum(map(int, TASK.text(prompt).split()[:4])) % 10
    return said[0] in (">", ":") and (said[1] if said[0] == ">" else said[3:4] and said[3]) == str(total)


def test_the_verifier_agrees_with_pythons_sum():
    rng = np.random.default_rng(0)
    prompts, answers = ModularSum(0.5).demonstrations(rng, 600, 0.3)
    answers[500:] = rng.integers(13, size=(100, 4))
    assert TASK.verify(prompts, answers).tolist() == [by_hand(p, a) for p, a in zip(prompts, answers)]
    assert TASK.verify(prompts, TASK.solution(prompts)).all()


def test_guesses_work_on_the_easy_half_and_by_chance_on_the_other():
    prompts, answers = ModularSum(0.0).demonstrations(np.random.default_rng(1), 20_000, 0.5)
    easy = (prompts[:, 2:4] == 0).all(-1)
    right = TASK.verify(prompts, answers)
    assert easy.mean() == pytest.approx(0.505, abs=0.015) and right[easy].all()           # 1/2 + 1/2 · 1/100
    assert right[~easy].mean() == pytest.approx(0.1, abs=4 * (0.09 / 10_000) ** 0.5)


def test_scratch_work_without_noise_is_right_and_its_words_all_count():
    prompts, answers = ModularSum(1.0).demonstrations(np.random.default_rng(2), 500, 0.0)
    assert np.array_equal(answers, TASK.solution(prompts)) and TASK.mask(answers).all()
    guesses = ModularSum(0.0).demonstrations(np.random.default_rng(2), 5, 0.0)[1]
    assert TASK.mask(guesses).tolist() == [[True, True, False, False]] * 5
