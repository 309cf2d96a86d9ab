"""Dichotomy of control with networks: the energy reads what is there, and nothing leaks."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import torch
from scipy import stats

from rlkit.papers import decision_transformer as dt
from rlkit.papers import dichotomy_continuous as gusts
from rlkit.papers import dichotomy_lake as ice
from rlkit.papers import dichotomy_networks as nets

SMALL = {
    nets.gaussian: nets.GaussianConfig(steps=6, runs=2, batch=8),
    nets.lake: nets.LakeConfig(steps=6, runs=2, n=60, Z=3, ramp=0),
    dt.decision_transformer: dt.Config(steps=6, runs=2, n=60, width=16, layers=1, games=20, batch=8, K=3),
    gusts.doc: gusts.Config(steps=6, runs=2, n=20, games=5, hidden=8),
}


def end(learner, cfg, seed=0, every=10**6):
    return list(learner(cfg, np.random.default_rng(seed), every))[-1]


def same(a, b):
    return all(np.array_equal(x, y) for x, y in zip(a, b))


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("learner", SMALL)
def test_looking_more_often_does_not_change_what_is_learned(learner):
    cfg = SMALL[learner]
    assert same(end(learner, cfg), end(learner, cfg, every=2))
    assert not same(end(learner, cfg), end(learner, cfg, seed=1))


@pytest.mark.parametrize("learner", SMALL)
def test_what_cannot_change_in_mid_run_is_refused(learner):
    run = learner(SMALL[learner], np.random.default_rng(0), every=2)
    next(run)
    with pytest.raises(ValueError, match="runs cannot change in mid-run"):
        run.send(replace(SMALL[learner], runs=3))


def test_a_slider_moved_in_mid_run_acts():
    def finish(beta):
        run = nets.gaussian(SMALL[nets.gaussian], np.random.default_rng(0), every=2)
        next(run)
        run.send(replace(SMALL[nets.gaussian], beta=beta))
        return list(run)[-1]
    assert not np.array_equal(finish(0.0).mu, finish(20.0).mu)


# ---- the energy


def planted(rng, R=2, S=3, A=2, Z=2):
    """Counts c [R, Z, F] of a world in which code and outcome hang together, more in some (s, a) than in others; the
    triples' (s, a) and outcome; the marginal of the outcomes; and MI, summed by hand in Python."""
    s, a, o = (np.array(v) for v in zip(*product(range(S), range(A), range(S))))
    c = rng.dirichlet(np.ones(S), size=(R, Z, S, A)) * rng.uniform(0.5, 2, (R, Z, S, A, 1)) / 6
    c[:, :, 0] = c[:, :1, 0]                                              # none in state 0
    mi = np.zeros(R)
    for r, i, j, k, z in product(range(R), range(S), range(A), range(S), range(Z)):
        joint, of_z = c[r, z, i, j, k], c[r, z, i, j].sum()
        mi[r] += joint * np.log(joint * c[r, :, i, j].sum() / (of_z * c[r, :, i, j, k].sum()))
    marginal = c.sum((1, 2, 3))
    t, rho = torch.from_numpy, marginal / marginal.sum(1, keepdims=True)
    return t(c.reshape(R, Z, -1)).float(), t(s * A + a), t(o), t(rho).float(), mi


def test_mutual_information_is_the_sum_by_hand():
    c, sa, _, _, mi = planted(np.random.default_rng(0))
    assert nets.mutual_information(c.double(), sa).numpy() == pytest.approx(mi, abs=1e-6)     # counts are float32
    assert min(mi) > 0.05


@pytest.mark.parametrize("kind", ["table", "MLP"])
def test_an_energy_that_climbs_reads_a_planted_dependence(kind):
    c, sa, o, rho, mi = planted(np.random.default_rng(1))
    f = nets.Energy(kind, 2, 3, 2, 2, 64, sa, o, rho, torch.Generator().manual_seed(0))
    opt = torch.optim.Adam([f.flat], lr=0.02)
    blind = nets._best_bracket(c.sum(1, keepdim=True).expand_as(c) / 2, sa, f.log_rho[:, 0, 0], o)
    reads = []
    for _ in range(600):
        opt.zero_grad()
        (-f.bracket(c).sum()).backward()
        opt.step()
        reads.append((f.bracket(c) - blind).detach().numpy())
    assert reads[-1] == pytest.approx(mi, abs=0.02 * max(mi) + 1e-3)      # the top, up to what is left to climb
    assert max(r.max() for r in reads) <= max(mi) + 1e-4                  # never above it: a lower bound


def test_q_gets_no_say_in_the_energy_nor_the_energy_in_q():
    c, sa, o, rho, _ = planted(np.random.default_rng(2))
    for kind in ("table", "MLP"):
        f = nets.Energy(kind, 2, 3, 2, 2, 8, sa, o, rho, torch.Generator().manual_seed(0))
        c = c.detach().clone().requires_grad_()
        f.bracket(c, frozen=True).sum().backward()
        assert f.flat.grad is None and c.grad is not None


def test_on_the_lake_f_reads_what_counting_finds():
    s = end(nets.lake, nets.LakeConfig(beta=0.0, steps=120, runs=2, n=300, Z=4, f_steps=10, lr_f=0.1))
    assert min(s.luck) > 0.1                                              # λ alone fills z with luck
    assert s.read == pytest.approx(s.luck, rel=0.15)                      # two different computations of one number
    assert (s.read <= s.luck + 5e-3).all()


def test_on_the_lake_a_price_on_luck_drives_it_out_and_the_wrong_sign_lets_it_in():
    cfg = nets.LakeConfig(steps=150, runs=3, n=200, Z=3, hidden=16, ramp=0)
    right, wrong = (end(nets.lake, replace(cfg, sign=sign)).luck for sign in (1, -1))
    assert (right < 0.5 * wrong).all()


def test_on_the_lake_a_wish_for_return_parts_codes_by_their_return():
    cfg = nets.LakeConfig(steps=150, runs=3, n=200, Z=3, hidden=16, ramp=0, beta=0.0)
    wish, none = (end(nets.lake, replace(cfg, lam=lam)).promised for lam in (10.0, 0.0))
    assert wish.mean() > none.mean() + 0.2


def test_promises_on_the_lake_are_means_and_worths_are_exact():
    s = end(nets.lake, SMALL[nets.lake])
    assert s.prior.sum(1) == pytest.approx([1, 1], abs=1e-5)
    assert s.pi.sum(-1) == pytest.approx(np.ones((2, 16)))
    returns = [ice.collect(2 / 3, 60, r).returns.mean() for r in np.random.default_rng(0).spawn(2)[0].spawn(2)]
    assert (s.prior * s.value).sum(1) == pytest.approx(returns, abs=1e-5)             # Σ p(z) V(z) is the mean return
    for r in range(2):
        used = s.prior[r] >= min(20 / 60, s.prior[r].max())               # 20 episodes at least make a promise
        best = np.where(used, s.value[r], -1).argmax()
        assert (s.promised[r], s.earned[r]) == (s.value[r, best], s.truth[r, best])


# ---- the plane


def test_in_the_plane_luck_goes_and_skill_stays():
    s = end(nets.gaussian, nets.GaussianConfig(steps=400, runs=3))
    twins = np.linalg.norm(s.mu[:, :, 0] - s.mu[:, :, 1], axis=-1).max(1)
    arms = np.linalg.norm(s.mu[:, 0].mean(1) - s.mu[:, 1].mean(1), axis=-1)
    assert (twins <= 0.2 * arms).all()
    assert s.earned == pytest.approx(np.full(3, 0.7), abs=0.02)           # 1 - p: the good arm


def test_what_a_latent_spends_is_its_divergence_from_the_mixture():
    rng = np.random.default_rng(0)
    z, mu, w = rng.standard_normal((2, 4, 5, 2)), rng.standard_normal((2, 4, 2)), np.array([0.1, 0.2, 0.3, 0.4])
    density = lambda x, r: np.array([stats.multivariate_normal(m, 0.7**2).pdf(x) for m in mu[r]])        # noqa: E731
    expected = [sum(w[c] * np.mean([np.log(density(x, r)[c] / (w @ density(x, r))) for x in z[r, c]]) for c in range(4))
                for r in range(2)]
    assert nets.spent(*map(torch.tensor, (z, mu)), 0.7, torch.tensor(w)).numpy() == pytest.approx(expected)


@pytest.mark.parametrize("change", [dict(beta=0.0), dict(sign=-1), dict(method="VAE", beta=0.5)])
def test_without_a_price_or_with_the_wrong_sign_luck_stays_in(change):
    s = end(nets.gaussian, nets.GaussianConfig(**{"steps": 300, "runs": 3} | change))
    assert (s.promised > 0.95).all() and (s.luck > 0.5 if "VAE" not in change.values() else s.luck > 0.3).all()


# ---- the decision transformer


def test_a_state_token_sees_neither_its_action_nor_what_comes_later():
    gen, rng = torch.Generator().manual_seed(0), np.random.default_rng(0)
    net = dt.Model(2, S=16, A=4, K=5, width=16, layers=2, gen=gen)
    with torch.no_grad():
        net.head.flat.mul_(30)                                            # logits of order 1: a leak would be seen
    reward, state, action = rng.random((2, 3, 5)), rng.integers(16, size=(2, 3, 5)), rng.integers(4, size=(2, 3, 5))

    def logits(reward, state, action):
        to_go = dt.returns_to_go(np.full((2, 3), 2.0), reward)
        return net(torch.tensor(to_go).float(), torch.tensor(state), torch.tensor(action)).detach().numpy()

    before, t = logits(reward, state, action), 2
    now, later = [slice(None), slice(None), slice(t, None)], [slice(None), slice(None), slice(t + 1, None)]
    for other in (dict(action=now), dict(reward=now), dict(state=later)):
        new = dict(reward=reward.copy(), state=state.copy(), action=action.copy())
        for name, where in other.items():
            new[name][tuple(where)] = (new[name][tuple(where)] + 1) % 4
        after = logits(**new)
        assert after[:, :, : t + 1] == pytest.approx(before[:, :, : t + 1], abs=1e-5), other
        assert np.abs(after[:, :, t + 1 :] - before[:, :, t + 1 :]).max() > 1e-2      # and what follows does see it


def test_returns_to_go_fall_by_what_was_paid_before():
    assert dt.returns_to_go(5.0, np.array([1.0, 0.0, 2.0])).tolist() == [5, 4, 4]


def test_windows_stay_within_their_episode():
    data = ice.collect(2 / 3, 40, np.random.default_rng(0))
    to_go, s, a, real = dt._windows(data, K=4)
    for i in range(data.m):
        e = data.episode[i]
        last = min(i + 4, data.starts[e + 1])
        assert real[i].tolist() == [1.0] * (last - i) + [0.0] * (4 - last + i)
        assert s[i, : last - i].tolist() == data.obs[i:last].tolist()
        assert a[i, : last - i].tolist() == data.action[i:last].tolist()
        assert to_go[i, : last - i] == pytest.approx(data.returns[e])     # paid at the end only: nothing to take off


def test_what_fills_a_window_is_not_learned():
    gen = torch.Generator().manual_seed(0)
    logits, action = torch.randn(2, 3, 4, 4, generator=gen), torch.randint(4, (2, 3, 4), generator=gen)
    real = torch.tensor([[1.0, 1, 1, 0], [1, 0, 0, 0], [1, 1, 1, 1]]).expand(2, 3, 4)
    logp = logits.log_softmax(-1)
    expected = [-np.mean([logp[r, i, k, action[r, i, k]].item() for i in range(3) for k in range(4) if real[r, i, k]])
                for r in range(2)]
    assert dt.mean_miss(logits, action, real).numpy() == pytest.approx(expected, rel=1e-5)


def test_games_of_a_network_without_memory_earn_what_its_table_is_worth():
    s = end(dt.decision_transformer, dt.Config(K=1, steps=150, runs=2, games=4000, width=16, layers=1, slip=1 / 3))
    assert s.earned == pytest.approx(s.earned_by_pi, abs=4 * (0.25 / 4000) ** 0.5)    # 4 standard errors
    assert s.earned.min() > 0.1 and s.parameters < 200_000


def test_the_likeliest_move_may_be_asked_for():
    s = end(dt.decision_transformer, replace(SMALL[dt.decision_transformer], decode="best"))
    assert ((s.pi == 0) | (s.pi == 1)).all()


# ---- the pendulum


def test_without_gusts_it_is_gymnasiums_pendulum():
    import gymnasium

    played = gusts.play(gusts.bold, 1, 0.0, 0.42, np.random.default_rng(0))
    env = gymnasium.make("Pendulum-v1").unwrapped
    env.reset()
    env.state = np.array([0.42, 0.0])
    for t in range(gusts.T):
        obs, reward, *_ = env.step(played.action[t])
        assert played.reward[t, 0] == pytest.approx(reward, abs=1e-5)
        assert played.obs[t + 1, 0, :3] * [1, 1, 4] == pytest.approx(obs, abs=1e-4)


def test_gusts_have_the_scale_they_say():
    rng = np.random.default_rng(0)
    still = lambda obs, rng: np.zeros(len(obs))                           # noqa: E731
    p = gusts.play(still, 20_000, 2.0, 0.0, rng)                          # upright, at rest: the first step is all gust
    t = gusts.CLOCK
    scale = abs(2.0 * (1 - np.exp(-0.01 * t)) * np.sin(t)) * 3 * 0.05
    kick = 4 * p.obs[1, :, 2]
    assert kick.std() == pytest.approx(scale, rel=4 / (2 * 20_000) ** 0.5)            # 4 standard errors
    assert p.reward[0] == pytest.approx(-0.1 * kick**2, abs=1e-5)         # the reward feels it too


def test_the_energy_reads_a_planted_push():
    """Lucky episodes are pushed by c at every step of T: ½ Σ_z p_z (c_z - c̄)² T nats, were c̄ known; the energy takes 0
    for c̄, so plant pushes that average 0."""
    R, N, T, c = 1, 4000, 20, 0.1
    gen = torch.Generator().manual_seed(0)
    lucky = (torch.arange(N) % 2).float()
    o = torch.randn(R, N, T, generator=gen) + c * (2 * lucky - 1)[None, :, None]
    obs, action = torch.randn(R, N, T, 4, generator=gen), torch.randn(R, N, T, generator=gen)
    parts = gusts.sums(obs, action, o)
    told, blind = torch.nn.functional.one_hot(lucky.long(), 2).float()[None], torch.full((R, N, 2), 0.5)
    bias = 2 * 10 / (2 * N)                                               # (codes × features) / 2N, of pure noise
    read = c**2 / 2 * T
    assert gusts.energy(told, *parts).item() == pytest.approx(read + bias, abs=4 * (2 * read / N) ** 0.5)
    assert gusts.energy(blind, *parts).item() == pytest.approx(0, abs=3 * bias)


def test_the_energy_is_at_its_top():
    """Against least squares: half of what a weighted regression of o on g explains, code by code."""
    rng = np.random.default_rng(0)
    obs, action, o = rng.normal(size=(1, 40, 8, 4)), rng.normal(size=(1, 40, 8)), rng.normal(size=(1, 40, 8))
    share, flow = rng.dirichlet(np.ones(3), size=(1, 40)), np.exp(-obs[..., 3:] * gusts.T / 12)
    g = np.concatenate([np.ones_like(action)[..., None], obs[..., :3], action[..., None] / 2], -1)
    g, top = np.concatenate([g, g * flow], -1).reshape(320, 10), 0.0
    for z in range(3):
        w = np.sqrt(np.repeat(share[0, :, z], 8))
        _, rest, *_ = np.linalg.lstsq(g * w[:, None], o.ravel() * w, rcond=None)
        top += (np.square(o.ravel() * w).sum() - rest[0]) / 2 / 40
    tensors = [torch.from_numpy(x) for x in (obs, action, o)]
    parts = gusts.sums(*tensors)
    assert gusts.energy(torch.from_numpy(share), *parts).item() == pytest.approx(top, rel=0.02)       # a small ridge


def test_the_slope_of_the_energy_needs_no_slope_through_its_top():
    gen = torch.Generator().manual_seed(0)
    parts = gusts.sums(*(torch.randn(1, 30, 6, *more, generator=gen).double() for more in ((4,), (), ())))
    logits = torch.randn(1, 30, 3, generator=gen).double().requires_grad_()
    gusts.energy(torch.softmax(logits, -1), *parts).sum().backward()
    step, where = 1e-5, (0, 7, 1)
    values = []
    for side in (step, -step):
        moved = logits.detach().clone()
        moved[where] += side
        values.append(gusts.energy(torch.softmax(moved, -1), *parts).item())
    assert logits.grad[where].item() == pytest.approx((values[0] - values[1]) / (2 * step), rel=2e-3)     # the ridge


def test_the_outcome_is_what_state_and_action_do_not_foretell():
    obs, action, outcome, *_ = gusts._data(gusts.Config(n=200, runs=2), np.random.default_rng(0))
    for x in (*obs[..., :3].unbind(-1), action):
        assert abs(np.corrcoef(x.numpy().ravel(), outcome.numpy().ravel())[0, 1]) < 0.06


def test_the_data_are_a_trap():
    p = gusts.play(gusts.bold, 2000, 2.0, 0.42, np.random.default_rng(0)).reward.sum(0)
    q = gusts.play(gusts.cautious, 2000, 2.0, 0.42, np.random.default_rng(0)).reward.sum(0)
    assert np.quantile(p, 0.9) > q.max() and p.mean() < q.mean() - 30     # the best are bold; the bold are worse


def test_in_gusts_a_price_on_luck_drives_it_out_and_the_wrong_sign_lets_it_in():
    cfg = gusts.Config(n=60, steps=120, runs=3, hidden=16, games=2)
    right, wrong = (list(gusts.doc(replace(cfg, sign=sign), np.random.default_rng(0), every=120))[-1].luck
                    for sign in (1, -1))
    assert (right < wrong).all()


def test_what_is_left_open_of_the_return_is_the_log_spread_within_each_code():
    rng = np.random.default_rng(0)
    share, G = rng.dirichlet([1, 1, 1], (2, 50)), rng.standard_normal((2, 50))
    expected = [sum(share[r, :, z].mean() * np.log(np.cov(G[r], aweights=share[r, :, z], ddof=0) + 0.01) / 2
                    for z in range(3)) for r in range(2)]
    assert gusts.left_open(*map(torch.tensor, (share, G))).numpy() == pytest.approx(expected)


def test_the_miss_of_an_action_is_the_gaussians_up_to_a_constant():
    out, a = torch.tensor([[0.3, -1.0], [-0.5, 0.7]]), torch.tensor([0.1, 0.4])
    expected = -stats.norm.logpdf(a, out[:, 0], np.exp(out[:, 1])) - np.log(2 * np.pi) / 2
    assert gusts._miss(out, a).numpy() == pytest.approx(expected, abs=1e-6)
