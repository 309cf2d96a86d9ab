"""A preparation passes its updates through, tells whoever watches how far it is, and ends when it is given up."""

import itertools

import pytest

from rlkit.preparing import GivenUp, preparing, watched


def test_where_nobody_watches_the_updates_pass_through():
    assert list(preparing("abc", "letter", of=3)) == list("abc")
    assert list(itertools.islice(preparing(itertools.count(), "update"), 3)) == [0, 1, 2]


@pytest.mark.parametrize("of, said", [(3, ["letter 1 of 3", "letter 2 of 3", "letter 3 of 3"]),
                                      (None, ["letter 1", "letter 2", "letter 3"])])
def test_each_update_is_said_before_it_is_passed_on(of, said):
    heard, updates = [], []
    with watched(heard.append):
        for letter in preparing("abc", "letter", of):
            updates.append((letter, len(heard)))
    assert heard == said and updates == [("a", 1), ("b", 2), ("c", 3)]


def test_only_what_happens_while_it_is_watched_is_said_and_an_inner_watch_ends_with_its_block():
    outer, inner, updates = [], [], preparing(range(5), "update")
    next(updates)
    with watched(outer.append):
        next(updates)
        with watched(inner.append):
            next(updates)
        next(updates)
    next(updates)
    assert (outer, inner) == (["update 2", "update 4"], ["update 3"])


def test_who_gives_up_ends_it_and_the_learner_around_it_cannot_swallow_that_as_an_error():
    begun = []

    def learner():
        try:
            for k in preparing(range(9), "update"):
                begun.append(k)
        except Exception:
            begun.append("swallowed")
        yield

    def watch(words):
        if words == "update 3":
            raise GivenUp

    with watched(watch), pytest.raises(GivenUp):
        next(learner())
    assert begun == [0, 1]
