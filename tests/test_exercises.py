"""A check says which property failed, with input, expected and got; helps a little more each time; swallows nothing."""

import html

import numpy as np
import pytest

from rlkit.exercises import Case, Exercise

G = np.array([0.0, 0.5, 0.8])


def softmax(G, alpha):
    e = np.exp((G - G.max()) / alpha)
    return e / e.sum()


def weights():
    return Exercise(
        "Write `softmax(G, alpha)` & sum it.",
        [Case("equal returns give uniform weights", (np.full(4, 7.0), 0.1), np.full(4, 0.25)),
         Case("a shift of all returns changes nothing", (G + 3, 0.1), lambda f: f(G, 0.1)),
         Case("the weights sum to one", (G, 0.1), 1.0, look=np.sum),
         Case("the best trajectory counts most", (G, 0.1), "the largest weight at index 2",
              holds=lambda w: np.argmax(w) == 2)],
        hints=["Think of exp.", "Subtract the largest.", "`np.exp(G - G.max())`"], solution=softmax, why="No overflow.")


def test_a_right_answer_is_solved_and_lists_what_holds():
    ex = weights()
    result = ex.check(softmax)
    assert result and ex.solved and result.state == "solved"
    assert repr(result).startswith("✅ solved: equal returns give uniform weights; a shift")
    assert "✅" in repr(ex) and "✅ solved" in ex._repr_html_()


def test_the_solution_passes_its_own_cases():
    ex = weights()
    assert ex.check(ex.solution)


@pytest.mark.parametrize("wrong, says, facts", [
    (lambda G, alpha: np.ones(len(G)), "equal returns give uniform weights",
     {"input": "G = [7., 7., 7., 7.], alpha = 0.1", "expected": "[0.25, 0.25, 0.25, 0.25]", "got": "[1., 1., 1., 1.]"}),
    (lambda r, a: softmax(r, a) * (1 + r - r.mean()), "a shift of all returns changes nothing", {}),
    (lambda G, alpha: np.full(len(G), 1 / 4), "the weights sum to one", {"expected": "1", "got": "0.75"}),
    (lambda G, alpha: softmax(-G, alpha), "the best trajectory counts most",
     {"expected": "the largest weight at index 2"}),
    (lambda G, alpha: softmax(G, alpha)[:, None], "equal returns give uniform weights", {}),
    (lambda G, alpha: np.full(len(G), np.nan), "equal returns give uniform weights", {"got": "[nan, nan, nan, nan]"}),
])
def test_a_wrong_answer_names_the_property_with_input_expected_and_got(wrong, says, facts):
    ex = weights()
    if says.startswith("a shift"):
        result = Exercise("", weights().cases[1:2]).check(lambda G, alpha: G / G.sum())
    else:
        result = ex.check(wrong)
    assert result.state == "wrong" and not result and says in result.headline and not ex.solved
    told = dict(result.facts)
    assert told.keys() == {"input", "expected", "got"}
    assert {k: told[k] for k in facts} == facts
    for name, value in result.facts:
        assert f"{name}: {value.splitlines()[0]}" in repr(result) and html.escape(value) in result._repr_html_()


def test_a_wrong_shape_is_shown():
    told = dict(weights().check(lambda G, alpha: softmax(G, alpha)[:, None]).facts)
    assert told["got"].endswith("shape (4, 1)") and told["expected"] == "[0.25, 0.25, 0.25, 0.25]"


def test_each_wrong_try_shows_one_hint_more_and_then_the_solution():
    ex = weights()
    seen = [ex.check(lambda G, alpha: G) for _ in range(5)]
    assert [r.hint[:11] for r in seen] == ["Hint 1 of 3", "Hint 2 of 3", "Hint 3 of 3", "Hint 3 of 3", "Hint 3 of 3"]
    assert [bool(r.solution) for r in seen] == [False, False, False, True, True]
    page = seen[3]._repr_html_()
    assert "<details><summary>Solution</summary>" in page and "e / e.sum()" in page and "No overflow." in page
    assert "<code>np.exp(G - G.max())</code>" in page


def test_an_unanswered_question_costs_no_hint_and_does_not_raise():
    ex = weights()

    def stub(G, alpha):
        ...

    def stub2(G, alpha):
        raise NotImplementedError
    for answer in (None, ..., stub, stub2, lambda G, alpha: ...):
        result = ex.check(answer)
        assert result.state == "open" and "not answered yet" in result.headline
    assert ex.check().state == "open" and ex.tries == 0


def test_an_error_inside_the_answer_is_shown_as_its_own_with_line_and_hint():
    def mine(G, alpha):
        w = G / alpha
        return w / undefined                                            # noqa: F821
    result = weights().check(mine)
    told = dict(result.facts)
    assert told["error"] == "NameError: name 'undefined' is not defined"
    assert told["where"].startswith("line 3 of your function: return w / undefined")
    assert "equal returns" in result.headline and result.hint.startswith("Hint 1")


def test_an_answer_of_other_arguments_is_told_so():
    told = dict(weights().check(lambda G: G).facts)
    assert "takes 1 positional argument but 2 were given" in told["error"]
    assert told["input"] == "[7., 7., 7., 7.], 0.1"


def test_what_the_student_interrupts_is_not_swallowed():
    def endless(G, alpha):
        raise KeyboardInterrupt
    with pytest.raises(KeyboardInterrupt):
        weights().check(endless)


def test_an_answer_that_changes_its_input_cannot_spoil_the_cases():
    def greedy(G, alpha):
        w = softmax(G, alpha)
        G[:] = 0
        return w
    ex = weights()
    assert ex.check(greedy) and ex.check(greedy)


@pytest.mark.parametrize("expected, right, wrong", [
    ("AW", " aw", "RW"), (0.1, 0.1 + 1e-12, 0.11), ({"a", "b"}, {"b", "a"}, {"a"}), (True, True, False),
    ([1, 2], (1.0, 2.0), [2, 1]), (np.nan, np.nan, 0.0), (3, np.int64(3), None),
])
def test_a_value_is_an_answer_too(expected, right, wrong):
    ex = Exercise("Which?", [Case("it is the one", None, expected)], solution=expected)
    assert ex.check(right) and not ex.check(wrong)


def test_a_property_of_a_value_can_be_asked():
    ex = Exercise("Find α.", [Case("it is in the range", None, "a number between 0 and 1", holds=lambda a: 0 < a < 1)])
    assert ex.check(0.5) and "a number between 0 and 1" in repr(ex.check(2))


def test_a_function_where_a_value_is_wanted_and_the_reverse():
    assert "a value" in repr(Exercise("?", [Case("x", None, 1)]).check(softmax))
    assert "a function" in repr(weights().check(3.0))


def test_torch_answers_compare():
    import torch
    ex = Exercise("?", [Case("x", (2.0,), np.array([2.0, 4.0]))])
    assert ex.check(lambda a: torch.tensor([a, 2 * a], requires_grad=True))


def test_what_is_shown_is_escaped():
    ex = Exercise("Is 1 < 2 & `a < b`?", [Case("x", None, "yes")])
    assert "Is 1 &lt; 2 &amp; <code>a &lt; b</code>?" in ex._repr_html_()
    assert "<script>" not in ex.check("<script>")._repr_html_()


def test_the_folded_solution_is_in_the_question():
    page = weights()._repr_html_()
    assert "⬜ to do" in page and "<details><summary>Solution</summary>" in page and "open>" not in page
