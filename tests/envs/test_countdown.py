"""Countdown: the verifier against Python's own arithmetic, and the counts that make the task what it is."""

import numpy as np
import pytest

from rlkit.envs.countdown import Countdown

TASK = Countdown()


def by_hand(prompt, answer):
    """Python reads the expression, with brackets so that it goes from left to right."""
    said = TASK.spell(answer).replace("−", "-").replace("×", "*").split()
    a, b, c, t = TASK.text(prompt).replace("→", "").split()
    digits = {*"123456789"}
    if not ({said[0], said[2], said[4]} <= digits and {said[1], said[3]} <= {*"+-*"}):
        return False
    if any(word >= 9 for word in answer[::2]):                            # a target may read like a number
        return False
    x, p, y, q, z = said
    return sorted([x, y, z]) == sorted([a, b, c]) and eval(f"(({x}{p}{y}){q}{z})") == int(t)


def test_the_verifier_agrees_with_pythons_arithmetic_on_right_wrong_and_nonsensical_answers():
    rng = np.random.default_rng(0)
    prompts, answers = TASK.demonstrations(rng, 600, noise=0.5)
    nonsense = rng.integers(74, size=(200, 5))
    prompts, answers = np.concatenate([prompts, prompts[:200]]), np.concatenate([answers, nonsense])
    expected = [by_hand(p, a) for p, a in zip(prompts, answers)]
    assert TASK.verify(prompts, answers).tolist() == expected
    assert 200 < sum(expected) < 600


def test_demonstrations_without_noise_are_right_and_with_noise_only_as_often_as_chance_allows():
    rng = np.random.default_rng(1)
    assert TASK.verify(*TASK.demonstrations(rng, 1000, noise=0)).all()
    share = TASK.verify(*TASK.demonstrations(rng, 20_000, noise=1)).mean()
    every = TASK.prompts(rng, (20_000,))
    chance = TASK.verify(every[:, None], TASK.expressions(every)).mean()
    assert share == pytest.approx(chance, abs=4 * (chance / 20_000) ** 0.5)         # four standard errors


def test_every_prompt_can_be_solved_and_most_in_several_ways():
    prompts = TASK.prompts(np.random.default_rng(2), (4000,))
    ways = TASK.verify(prompts[:, None], TASK.expressions(prompts)).sum(1)
    assert TASK.verify(prompts, TASK.solution(prompts)).all()
    assert ways.min() >= 1 and 4 < ways.mean() < 5.5 and np.median(ways) in (3, 4, 5)


def test_a_smaller_world_has_smaller_numbers_and_a_size_out_of_range_is_refused():
    assert Countdown(5).prompts(np.random.default_rng(3), (10, 20)).shape == (10, 20, 5)
    assert Countdown(5).prompts(np.random.default_rng(3), (500,))[:, :3].max() == 4
    with pytest.raises(ValueError, match="try size=9"):
        Countdown(10)
