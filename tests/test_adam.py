"""Adam for tables, against torch's."""

import numpy as np
import pytest
import torch

from rlkit.adam import Adam


def test_adam_is_torchs_and_leaves_what_it_was_given_as_it_was():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2, 7))
    ours, twin = Adam(x), torch.tensor(x, requires_grad=True)
    theirs = torch.optim.Adam([twin], lr=0.03)
    for _ in range(50):
        gradient = rng.normal(size=(2, 7))
        given, before = x, x.copy()
        x, twin.grad = ours.step(x, gradient, 0.03), torch.tensor(gradient)
        theirs.step()
        assert x == pytest.approx(twin.detach().numpy(), rel=1e-12)
        assert (given == before).all()
