"""n transformers in one product are n transformers; what a token sees is what came before it."""

import pytest
import torch

from rlkit.transformer import Linear, Table, Transformer, fork

CLOSE = dict(rtol=1e-4, atol=1e-5)                                        # float32 through a few layers


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def small(n=3, layers=2, **kw):
    return Transformer(n, width=16, layers=layers, heads=4, length=10, gen=seeded(), **kw)


def tokens(n, B, T, width=16, seed=1):
    return torch.randn(n, B, T, width, generator=seeded(seed))


def oracle(net, r):
    """Run r of `net`, built of torch's own layers."""
    position, *rest = (p[r].detach() for p in net.parts)
    layers = []
    for i in range(net.layers):
        qkv_W, qkv_b, out_W, out_b, in_W, in_b, up_W, up_b = rest[8 * i : 8 * i + 8]
        layer = torch.nn.TransformerEncoderLayer(net.width, net.heads, in_W.shape[1], dropout=0, activation="gelu",
                                                 batch_first=True, norm_first=True)
        layer.self_attn.in_proj_weight.data, layer.self_attn.in_proj_bias.data = qkv_W.T.clone(), qkv_b[0].clone()
        layer.self_attn.out_proj.weight.data, layer.self_attn.out_proj.bias.data = out_W.T.clone(), out_b[0].clone()
        layer.linear1.weight.data, layer.linear1.bias.data = in_W.T.clone(), in_b[0].clone()
        layer.linear2.weight.data, layer.linear2.bias.data = up_W.T.clone(), up_b[0].clone()
        layers.append(layer)

    def forward(x):
        T = x.shape[1]
        h = x + position[0, :T]
        for layer in layers:
            h = layer(h, src_mask=torch.nn.Transformer.generate_square_subsequent_mask(T), is_causal=True)
        return torch.nn.functional.layer_norm(h, (net.width,))

    return forward, [p for layer in layers for p in layer.parameters()]


@pytest.mark.parametrize("r", range(3))
def test_each_run_computes_what_torch_computes_and_has_its_gradient(r):
    net, x = small(), tokens(3, 5, 7).requires_grad_()
    weight = tokens(3, 5, 7, seed=2)
    forward, _ = oracle(net, r)
    xr = x[r].detach().clone().requires_grad_()
    out, expected = net(x), forward(xr)
    torch.testing.assert_close(out[r], expected, **CLOSE)
    (out * weight).sum().backward()
    (expected * weight[r]).sum().backward()
    torch.testing.assert_close(x.grad[r], xr.grad, **CLOSE)


def test_the_gradient_of_every_parameter_is_the_one_that_torch_finds():
    net, x, weight = small(n=1), tokens(1, 5, 7), tokens(1, 5, 7, seed=2)
    forward, parameters = oracle(net, 0)
    (net(x) * weight).sum().backward()
    (forward(x[0]) * weight[0]).sum().backward()
    grads = [w.view(s) for w, s in zip(net.flat.grad[0].split(net.sizes), net.shapes)][1:]
    per_layer = [p.grad for p in parameters]
    for i in range(net.layers):                                           # torch: in_proj, out_proj, two linears, norms
        for ours, theirs in zip(grads[8 * i : 8 * i + 8], per_layer[12 * i : 12 * i + 8]):
            torch.testing.assert_close(ours.squeeze(0) if theirs.dim() == 1 else ours.T, theirs, **CLOSE)


@pytest.mark.parametrize("gradients", [True, False])
def test_token_by_token_with_a_cache_equals_the_full_pass(gradients):
    net, x = small(), tokens(3, 5, 10)
    with torch.set_grad_enabled(gradients):
        cache, out = net.start(5), []
        for t in range(10):
            h, cache = net.step(x[:, :, t], cache)
            out.append(h)
    torch.testing.assert_close(torch.stack(out, 2), net(x), **CLOSE)


def test_a_prompt_read_once_and_forked_equals_reading_it_for_every_answer_and_so_do_the_gradients():
    net, prompt, answer = small(), tokens(3, 4, 5), tokens(3, 4 * 6, 3, seed=2)
    h, cache = net.extend(prompt, net.start(4))
    forked, _ = net.extend(answer, fork(cache, 6))
    repeated = prompt.repeat_interleave(6, 1)
    whole = net(torch.cat([repeated, answer], 2))
    torch.testing.assert_close(forked, whole[:, :, 5:], **CLOSE)
    (g1,) = torch.autograd.grad(forked.square().sum() + 2 * h.sin().sum(), net.flat)
    (g2,) = torch.autograd.grad(whole[:, :, 5:].square().sum() + 2 * whole[:, ::6, :5].sin().sum(), net.flat)
    torch.testing.assert_close(g1, g2, rtol=1e-3, atol=1e-3)              # sums of hundreds of terms in float32


@torch.no_grad()
def test_two_answers_to_one_prompt_do_not_write_into_each_others_cache():
    net, prompt, answers = small(), tokens(3, 4, 5), tokens(3, 8, 4, seed=2)
    _, cache = net.extend(prompt, net.start(4))
    both, apart = fork(cache, 2), []
    for t in range(4):
        h, both = net.step(answers[:, :, t], both)
        apart.append(h)
    whole = net(torch.cat([prompt.repeat_interleave(2, 1), answers], 2))
    torch.testing.assert_close(torch.stack(apart, 2), whole[:, :, 5:], **CLOSE)


def test_no_token_sees_a_later_one():
    net, x = small(), tokens(3, 5, 10)
    before = net(x)
    for t in range(1, 10):
        later = x.clone()
        later[:, :, t:] = 100 * tokens(3, 5, 10, seed=3)[:, :, t:]
        assert torch.equal(net(later)[:, :, :t], before[:, :, :t])
        assert not torch.allclose(net(later)[:, :, t], before[:, :, t])


def test_runs_do_not_see_each_other():
    net, x = small(), tokens(3, 5, 6).requires_grad_()
    net(x)[1].sum().backward()
    assert x.grad[1].abs().sum() > 0 or net.flat.grad[1].abs().sum() > 0
    for quiet in (x.grad, net.flat.grad):
        assert (quiet[0] == 0).all() and (quiet[2] == 0).all()


def test_attention_in_closed_form_where_all_keys_are_equal():
    """With no weights on queries and keys, attention is the mean of the values seen so far."""
    net, x = small(n=1, layers=1), tokens(1, 2, 6)
    with torch.no_grad():
        parts = net.parts
        parts[0].zero_()
        for W in parts[1:]:
            W.zero_()
        parts[1][0, :, 32:] = torch.eye(16)                               # v = norm x
        parts[3][0] = torch.eye(16)                                       # added to the stream as it is
        v = torch.nn.functional.layer_norm(x, (16,))
        mean = v.cumsum(2) / torch.arange(1, 7)[:, None]
        torch.testing.assert_close(net(x), torch.nn.functional.layer_norm(x + mean, (16,)), **CLOSE)


def test_scores_out_of_the_range_of_exp_give_numbers_and_the_best_key_wins():
    net, x = small(n=1, layers=1), tokens(1, 2, 6)
    with torch.no_grad():
        net.parts[1].mul_(1000)
    out = net(x)
    out.sum().backward()
    assert out.isfinite().all() and net.flat.grad.isfinite().all()


def test_too_long_a_sequence_and_heads_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="11 tokens, expected at most 10"):
        small()(tokens(3, 1, 11))
    with pytest.raises(ValueError, match="expected heads that divide"):
        Transformer(1, 16, 1, 3, 4, seeded())


def test_tables_and_linear_maps_are_those_of_torch_for_each_run():
    table, linear = Table(3, 11, 16, seeded()), Linear(3, 16, 5, seeded())
    words = torch.randint(11, (3, 4, 6), generator=seeded())
    out = linear(table(words))
    for r in range(3):
        vectors = torch.nn.functional.embedding(words[r], table.parts[0][r])
        torch.testing.assert_close(out[r], vectors @ linear.parts[0][r] + linear.parts[1][r], **CLOSE)
