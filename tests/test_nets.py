"""R networks in one matmul are R networks: each run trains as torch.nn would train it alone."""

import pytest
import torch

from rlkit import nets
from rlkit.nets import MLP

SIZES = (5, 16, 8, 3)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def alone(net, r):
    """Run r of `net` as an ordinary torch.nn network of its own."""
    layers = []
    for W, b in net.layers:
        lin = torch.nn.Linear(W.shape[1], W.shape[2])
        lin.weight.data, lin.bias.data = W[r].detach().T.clone(), b[r, 0].detach().clone()
        layers += [lin, torch.nn.ReLU()]
    return torch.nn.Sequential(*layers[:-1])


def linears(module, grad=False):
    """W and b of each layer of a torch.nn network, or their gradients, as `MLP.layers` has them."""
    get = (lambda p: p.grad) if grad else (lambda p: p.detach())
    return [(get(m.weight).T, get(m.bias)) for m in module if isinstance(m, torch.nn.Linear)]


def run(net, r, grad=False):
    """The same of run r of `net`."""
    return [(W[r], b[r, 0]) for W, b in nets._windows(net.flat.grad if grad else net.flat.detach(), net.n, net.sizes)]


CLOSE = dict(rtol=1e-5, atol=1e-6)                                        # float32, sums of up to 32 terms


def test_each_run_computes_what_torch_nn_computes():
    net, x = MLP(4, SIZES, seeded()), torch.randn(4, 32, 5)
    for r in range(4):
        torch.testing.assert_close(net(x)[r], alone(net, r)(x[r]), **CLOSE)


def test_each_run_has_the_gradient_that_torch_nn_gives():
    net, x, weight = MLP(3, SIZES, seeded()), torch.randn(3, 32, 5, requires_grad=True), torch.randn(3, 32, 3)
    (net(x) * weight).sum().backward()
    for r in range(3):
        single, xr = alone(net, r), x[r].detach().clone().requires_grad_()
        (single(xr) * weight[r]).sum().backward()
        torch.testing.assert_close(run(net, r, grad=True), linears(single, grad=True), **CLOSE)
        torch.testing.assert_close(x.grad[r], xr.grad, **CLOSE)


def test_two_uses_of_a_network_in_one_loss_add_their_gradients():
    net, x, y = MLP(2, SIZES, seeded()), torch.randn(2, 8, 5), torch.randn(2, 8, 5)
    (net(x).square().sum() + net(y).sin().sum()).backward()
    for r in range(2):
        single = alone(net, r)
        (single(x[r]).square().sum() + single(y[r]).sin().sum()).backward()
        torch.testing.assert_close(run(net, r, grad=True), linears(single, grad=True), **CLOSE)


@pytest.mark.parametrize("block", [1, 100, 300, 10_000])
@pytest.mark.parametrize("networks, inputs", [(6, 6), (6, 3), (6, 1)])
@pytest.mark.parametrize("keep, narrow", [(10_000, 0), (0, 0), (10_000, 8), (0, 8), (0, 100)])
def test_networks_that_share_an_input_or_go_through_in_blocks_compute_the_same(monkeypatch, networks, inputs, block,
                                                                               keep, narrow):
    """Network i sees input i mod R; a block may cut rows and networks anywhere; activations may be kept or computed
    again, and narrow products taken transposed."""
    for name, value in (("BLOCK", block), ("KEEP", keep), ("NARROW", narrow)):
        monkeypatch.setattr(nets, name, value)
    net, x = MLP(networks, SIZES, seeded()), torch.randn(inputs, 11, 5, requires_grad=True)
    weight, x_grad = torch.randn(networks, 11, 3), torch.zeros(inputs, 11, 5)
    out = net(x)
    (out * weight).sum().backward()
    for i in range(networks):
        single, xi = alone(net, i), x[i % inputs].detach().clone().requires_grad_()
        (single(xi) * weight[i]).sum().backward()
        torch.testing.assert_close(out[i], single(xi), **CLOSE)
        torch.testing.assert_close(run(net, i, grad=True), linears(single, grad=True), **CLOSE)
        x_grad[i % inputs] += xi.grad
    torch.testing.assert_close(x.grad, x_grad, **CLOSE)


def test_gradients_of_a_run_do_not_leak_into_another():
    net, x = MLP(3, SIZES, seeded()), torch.randn(3, 32, 5, requires_grad=True)
    net(x)[1].square().sum().backward()
    assert all((W != 0).any() and (b != 0).any() for W, b in run(net, 1, grad=True))
    assert all((W == 0).all() and (b == 0).all() for r in (0, 2) for W, b in run(net, r, grad=True))
    assert (x.grad[[0, 2]] == 0).all()


def test_adam_on_the_batch_is_adam_on_each_run():
    net, x, y = MLP(3, SIZES, seeded()), torch.randn(3, 32, 5), torch.randn(3, 32, 3)
    singles = [alone(net, r) for r in range(3)]
    opt, opts = nets.adam([net.flat], lr=1e-2), [torch.optim.Adam(s.parameters(), lr=1e-2) for s in singles]
    for _ in range(20):
        opt.zero_grad()
        (net(x) - y).square().mean((1, 2)).sum().backward()
        opt.step()
        for r, (single, o) in enumerate(zip(singles, opts)):
            o.zero_grad()
            (single(x[r]) - y[r]).square().mean().backward()
            o.step()
    for r in range(3):                       # 20 steps of 1e-2 move weights by up to 0.2; Adam magnifies rounding
        torch.testing.assert_close(run(net, r), linears(singles[r]), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("networks, out", [(1, 1), (4, 1), (4, 3), (4, 40)])
def test_the_output_lies_in_memory_row_by_row(networks, out):
    """So that a loss may `view` it as it likes, however its last product was taken."""
    assert MLP(networks, (5, 8, out), seeded())(torch.randn(networks, 7, 5)).is_contiguous()


@pytest.mark.parametrize("layer, fan_in", [(0, 5), (1, 16), (2, 8)])
def test_first_weights_are_those_of_torch_nn_linear(layer, fan_in):
    """Uniform on ±1/√in: variance 1/(3 in); the mean square of n draws has a relative error of √(4/5n)."""
    for x in MLP(4000, SIZES, seeded()).layers[layer]:
        x = x.detach() * fan_in**0.5
        assert x.abs().max() <= 1 + 1e-6
        assert x.mean().abs() < 5 * (1 / 3 / x.numel()) ** 0.5
        assert abs(3 * x.square().mean() - 1) < 5 * (0.8 / x.numel()) ** 0.5
        runs = x.flatten(1)
        assert abs((runs[::2, 0] * runs[1::2, 0]).mean()) < 5 / 3 / 2000**0.5       # runs are independent


def test_the_same_seed_gives_the_same_network_bit_for_bit_and_no_global_state_is_touched():
    before = torch.get_rng_state()
    a, b, c = MLP(4, SIZES, seeded(1)), MLP(4, SIZES, seeded(1)), MLP(4, SIZES, seeded(2))
    assert torch.equal(a.flat, b.flat) and not torch.equal(a.flat, c.flat)
    assert torch.equal(before, torch.get_rng_state())


def test_a_target_follows_at_its_rate_and_learns_nothing_by_itself():
    net = MLP(2, SIZES, seeded())
    target, first = net.copy(), net.flat.detach().clone()
    net.flat.data += 1.0
    assert torch.equal(target.flat, first)                               # a copy, not a view
    target.follow(net, 0.25)
    torch.testing.assert_close(target.flat, first + 0.25)
    assert not target(torch.randn(2, 4, 5)).requires_grad
    target.follow(net, 1.0)
    torch.testing.assert_close(target(torch.ones(2, 4, 5)), net(torch.ones(2, 4, 5)))


def test_a_frozen_look_gives_the_input_its_gradient_and_the_weights_none():
    net, x = MLP(4, SIZES, seeded()), torch.randn(2, 8, 5, requires_grad=True)
    net.frozen(x, 2).square().sum().backward()
    assert net.flat.grad is None
    for r in range(2):                                                    # two inputs: the first two networks
        xr = x[r].detach().clone().requires_grad_()
        alone(net, r)(xr).square().sum().backward()
        torch.testing.assert_close(x.grad[r], xr.grad, **CLOSE)


def test_a_photograph_does_not_change():
    net = MLP(2, SIZES, seeded())
    photo = net.numpy()
    first = [W.copy() for W, _ in photo]
    net.flat.data.zero_()
    assert all((W == f).all() for (W, _), f in zip(photo, first))
    assert photo[0][0].shape == (2, 5, 16) and photo[0][1].shape == (2, 1, 16) and photo[0][0].dtype == "float32"
