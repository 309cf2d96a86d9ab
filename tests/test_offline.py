"""The offline algorithms: what they learn where the answer is known, and update for update what d3rlpy does."""

import math
import pickle
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from rlkit import nets, offline
from rlkit.config import knobs
from rlkit.offline import shared
from rlkit.sampling import Sampler

LEARNERS = dict(bc=(offline.bc, offline.BCConfig), td3bc=(offline.td3bc, offline.TD3BCConfig),
                iql=(offline.iql, offline.IQLConfig), cql=(offline.cql, offline.CQLConfig))
SMALL = dict(steps=6, batch=32, hidden=16)
each = pytest.mark.parametrize("name", LEARNERS)


@pytest.fixture(autouse=True)
def one_thread():
    n = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(n)


def dataset(obs, action, reward, terminated, length, next_obs=None):
    """Episodes of equal length as a stand-in for trajectories.Dataset: the attributes that a learner reads."""
    starts = np.arange(0, len(obs) + 1, length)
    return SimpleNamespace(obs=obs, action=action, reward=reward, terminated=terminated, lengths=np.diff(starts),
                           next_obs=np.roll(obs, -1, 0) if next_obs is None else next_obs,
                           returns=np.add.reduceat(reward, starts[:-1]))


def noise_data(m=400, F=5, A=2, length=20, seed=0):
    rng = np.random.default_rng(seed)
    obs, action = rng.normal(size=(m, F)) * 3 + 1, rng.uniform(-2, 2, (m, A))
    return dataset(obs, action, obs[:, 0] + action[:, 0], np.arange(m) % length == length - 1, length)


def learn(name, data, seed=0, every=10, sampler=None, low=None, high=None, **settings):
    learner, Config = LEARNERS[name]
    return learner(Config(**SMALL | settings), data, np.random.default_rng(seed), every, sampler, low, high)


def numbers(snap):
    return [x for x in snap if isinstance(x, np.ndarray)] + [x for layer in snap.policy.layers for x in layer]


def same(a, b):
    return all(np.array_equal(x, y) for x, y in zip(numbers(a), numbers(b)))


# ---- update for update what d3rlpy does

class Recorded:
    """Records our minibatches, networks and noise, and replays the noise where d3rlpy asks for its own."""

    def __init__(self, monkeypatch):
        self.nets, self.noise, self.batches, self.queue, self.start = [], [], [], [], None
        init, draw, randn, uniform = nets.MLP.__init__, shared.Minibatches.draw, torch.randn, torch.Tensor.uniform_

        def new_init(net, *args):
            init(net, *args)
            self.nets.append(net)

        def new_draw(batches, n):
            self.start = self.start or [net.flat.detach().clone() for net in self.nets]   # before the first update
            self.batches.append(draw(batches, n))
            return self.batches[-1]

        def keep(x, drawn):
            if drawn is not None and self.batches:
                self.noise.append(x)
            return x

        def new_randn(*size, generator=None, **kw):
            if generator is None and self.queue:
                return self.queue.pop(0)
            return keep(randn(*size, generator=generator, **kw), generator)

        def new_uniform(x, *args, generator=None):
            if generator is None and self.queue:
                return self.queue.pop(0)
            return keep(uniform(x, *args, generator=generator), generator)

        monkeypatch.setattr(nets.MLP, "__init__", new_init)
        monkeypatch.setattr(shared.Minibatches, "draw", new_draw)
        monkeypatch.setattr(torch, "randn", new_randn)
        monkeypatch.setattr(torch.Tensor, "uniform_", new_uniform)
        monkeypatch.setattr("torch.distributions.normal._standard_normal", lambda *_, **__: self.queue.pop(0))


@pytest.fixture
def recorded(monkeypatch):
    return Recorded(monkeypatch)


UPDATES, RUNS, LR = 5, 2, 1e-2          # five steps of 1e-2 move parameters by up to 5e-2
AGREE = 1e-5                            # float32; sums run in another order, and Adam magnifies small gradients


def peer(config, **settings):
    """A d3rlpy algorithm with our sizes."""
    from d3rlpy.models import VectorEncoderFactory
    encoder = {f: VectorEncoderFactory(hidden_units=[16, 16]) for f in vars(config()) if f.endswith("encoder_factory")}
    rates = {f: LR for f in vars(config()) if f.endswith("learning_rate")}
    algo = config(**encoder | rates | settings).create(device="cpu")
    algo.create_impl((5,), 2)
    return algo.impl


def linears(*modules):
    return [m for module in modules for m in module.modules() if isinstance(m, torch.nn.Linear)]


def put(net, flat, i, modules):
    """Network i of `net`, with the parameters `flat`, into d3rlpy's Linear layers (two heads share our last layer)."""
    for lin, (W, b) in zip(modules, split(net, flat, i, modules)):
        lin.weight.data, lin.bias.data = W.T.clone(), b.clone()


def split(net, flat, i, modules):
    """W and b of network i for each of d3rlpy's layers: the last of ours is cut into its heads."""
    layers = [(W[i], b[i, 0]) for W, b in nets._windows(flat, net.n, net.sizes)]
    W, b = layers.pop()
    heads = [lin.out_features for lin in modules[len(layers):]]
    return layers + list(zip(W.split(heads, 1), b.split(heads)))


def torch_batch(b, r):
    from d3rlpy.torch_utility import TorchMiniBatch
    nothing = torch.zeros_like(b.reward[r])[:, None]
    return TorchMiniBatch(b.obs[r], b.action[r], b.reward[r][:, None], b.next_obs[r], b.action[r], nothing,
                          1 - b.go_on[r][:, None], nothing + 1, "cpu")


def agree(net, i, modules):
    for lin, (W, b) in zip(modules, split(net, net.flat.detach(), i, modules)):
        torch.testing.assert_close(W, lin.weight.detach().T, rtol=0, atol=AGREE)
        torch.testing.assert_close(b, lin.bias.detach(), rtol=0, atol=AGREE)


def agree_losses(ours, theirs, name, r):
    for k, snap in enumerate(ours):
        assert getattr(snap, name)[r] == pytest.approx(theirs[k], rel=AGREE, abs=AGREE), (name, k)


def run_ours(recorded, name, **settings):
    snaps = list(learn(name, noise_data(), every=1, steps=UPDATES, runs=RUNS, lr=LR, **settings))
    moved = [(net.flat.detach() - start).abs().max() for net, start in zip(recorded.nets, recorded.start)]
    assert min(moved) > 1000 * AGREE                                       # else agreement would say nothing
    return snaps


def test_bc_updates_as_d3rlpy(recorded):
    from d3rlpy.algos import BCConfig
    ours = run_ours(recorded, "bc")
    (pi,), (pi0,) = recorded.nets, recorded.start
    for r in range(RUNS):
        impl = peer(BCConfig)
        put(pi, pi0, r, linears(impl.policy))
        theirs = [impl.update_imitator(torch_batch(b, r))["loss"] for b in recorded.batches]
        agree(pi, r, linears(impl.policy))
        agree_losses(ours, theirs, "loss", r)


def test_td3bc_updates_as_d3rlpy(recorded):
    from d3rlpy.algos import TD3PlusBCConfig
    ours = run_ours(recorded, "td3bc", sigma=1.5, noise_clip=1.2)         # so loud that all three clips act
    (pi, q), (pi0, q0) = recorded.nets, recorded.start
    for r in range(RUNS):
        impl = peer(TD3PlusBCConfig, target_smoothing_sigma=1.5, target_smoothing_clip=1.2)
        for modules in (impl._modules.policy, impl._modules.targ_policy):
            put(pi, pi0, r, linears(modules))
        for twins in (impl._modules.q_funcs, impl._modules.targ_q_funcs):
            for k in range(2):
                put(q, q0, k * RUNS + r, linears(twins[k]))
        recorded.queue, theirs = [noise[r] for noise in recorded.noise], []
        for step, b in enumerate(recorded.batches):
            theirs.append(impl.inner_update(torch_batch(b, r), step))
        agree(pi, r, linears(impl.policy))
        for k in range(2):
            agree(q, k * RUNS + r, linears(impl.q_function[k]))
        agree_losses(ours, [x["critic_loss"] for x in theirs], "q_loss", r)
        agree_losses(ours[::2], [x["actor_loss"] for x in theirs[::2]], "pi_loss", r)
        agree_losses(ours[::2], [x["bc_loss"] for x in theirs[::2]], "bc_loss", r)


def test_iql_updates_as_d3rlpy(recorded):
    """d3rlpy updates V before its actor sees it; we take all losses at the same parameters: so its actor goes first."""
    from d3rlpy.algos import IQLConfig
    ours = run_ours(recorded, "iql", decay=False)
    (pi, v, q), (pi0, v0, q0) = recorded.nets, recorded.start
    for r in range(RUNS):
        impl = peer(IQLConfig)
        put(pi, pi0, r, linears(impl.policy))
        put(v, v0, r, linears(impl._modules.value_func))
        for twins in (impl._modules.q_funcs, impl._modules.targ_q_funcs):
            for k in range(2):
                put(q, q0, k * RUNS + r, linears(twins[k]))
        theirs = []
        for b in recorded.batches:
            tb = torch_batch(b, r)
            theirs.append(impl.update_actor(tb) | impl.update_critic(tb))
            impl.update_critic_target()
        agree(pi, r, linears(impl.policy))
        agree(v, r, linears(impl._modules.value_func))
        for k in range(2):
            agree(q, k * RUNS + r, linears(impl.q_function[k]))
        for mine, its in (("v_loss", "v_loss"), ("q_loss", "q_loss"), ("pi_loss", "actor_loss")):
            agree_losses(ours, [x[its] for x in theirs], mine, r)


@pytest.mark.parametrize("samples", [4, 10])
def test_cql_updates_as_d3rlpy(recorded, samples):
    """d3rlpy updates the temperature before the actor uses it, we after: so its temperature is updated by hand."""
    from d3rlpy.algos import CQLConfig
    ours = run_ours(recorded, "cql", samples=samples, c_cql=5.0)
    (pi, q), (pi0, q0) = recorded.nets, recorded.start
    for r in range(RUNS):
        impl = peer(CQLConfig, n_action_samples=samples, conservative_weight=5.0, alpha_threshold=0.0,
                    alpha_learning_rate=0.0)
        put(pi, pi0, r, linears(impl.policy))
        for twins in (impl._modules.q_funcs, impl._modules.targ_q_funcs):
            for k in range(2):
                put(q, q0, k * RUNS + r, linears(twins[k]))
        update_temp, logps, theirs = impl.update_temp, [], []
        impl.update_temp = lambda logp, logps=logps: (logps.append(logp), torch.tensor(0.0))[1]
        for k, b in enumerate(recorded.batches):
            uniform, eps, actor = (x[r] for x in recorded.noise[3 * k : 3 * k + 3])
            here, there = eps.transpose(1, 2)                             # [B, n, A], where d3rlpy has [n, B, A]
            recorded.queue = [here, there, uniform.reshape(-1, 2), actor]
            theirs.append(impl.inner_update(torch_batch(b, r), k))
            update_temp(logps[-1])
        agree(pi, r, linears(impl.policy))
        for k in range(2):
            agree(q, k * RUNS + r, linears(impl.q_function[k]))
        agree_losses([s._replace(q_loss=s.q_loss + 5.0 * s.gap) for s in ours],
                     [x["critic_loss"] for x in theirs], "q_loss", r)
        agree_losses([s._replace(gap=5.0 * s.gap) for s in ours], [x["conservative_loss"] for x in theirs], "gap", r)
        agree_losses(ours, [x["actor_loss"] for x in theirs], "pi_loss", r)
        temp = next(impl._modules.log_temp.parameters()).exp().item()
        assert ours[-1].temperature[r] == pytest.approx(temp, abs=AGREE)


# ---- what holds whatever the losses are

def settled(name, **settings):
    return learn(name, noise_data(), steps=1000, every=1, **settings)


@each
def test_looking_more_often_does_not_change_what_is_learned(name):
    often, seldom = (list(learn(name, noise_data(), every=k, runs=2))[-1] for k in (1, 1000))
    assert same(often, seldom) and often.step == seldom.step == SMALL["steps"]


@each
def test_the_same_seed_gives_the_same_numbers_bit_for_bit(name):
    a, b, c = (list(learn(name, noise_data(), seed=s, runs=3))[-1] for s in (1, 1, 2))
    assert same(a, b) and not same(a, c)


@each
def test_the_runs_of_a_batch_differ_and_are_distributed_as_single_runs(name):
    """40 single runs against one batch of 40: means and deviations agree within 4.5 of their standard errors."""
    field = "loss" if name == "bc" else "q"
    batch = list(learn(name, noise_data(), seed=1, runs=40, batch=16))[-1]
    single = [list(learn(name, noise_data(), seed=100 + s, batch=16))[-1] for s in range(40)]
    probe = np.ones((1, 5))
    for x, y in ((getattr(batch, field), np.array([getattr(s, field)[0] for s in single])),
                 (batch.policy(probe)[:, 0, 0], np.array([s.policy(probe)[0, 0, 0] for s in single]))):
        assert len(np.unique(x)) == 40                                    # no two runs share their draws
        assert abs(x.mean() - y.mean()) < 4.5 * ((x.var() + y.var()) / 40) ** 0.5
        assert abs(np.log(x.std() / y.std())) < 4.5 * (2 / 2 / 40) ** 0.5  # log of a deviation: error 1/√2n each


@each
def test_everything_is_finite_on_the_dullest_data_and_numbers_are_float32(name):
    """A constant feature, a constant action, equal returns: each divides by a spread of zero."""
    obs = np.c_[np.ones(60), np.linspace(-1, 1, 60)]
    data = dataset(obs, np.full((60, 2), 0.3), np.ones(60), np.arange(60) % 20 == 19, 20)
    snap = list(learn(name, data, runs=2, steps=50))[-1]
    assert all(np.isfinite(x).all() and x.dtype == np.float32 for x in numbers(snap))
    assert all(len(x) == 2 for x in snap[1:-1])                           # one number a run
    action = snap.policy(obs)
    assert np.isfinite(action).all() and action.dtype == np.float32 and action.shape == (2, 60, 2)


def live(name):
    Config = LEARNERS[name][1]
    moved = dict(lr=3e-2, batch=48, gamma=0.5, tau=0.95, beta=0.0, clip=0.2, decay=False, rate=1.0, alpha_bc=0.0,
                 sigma=0.9, noise_clip=0.01, delay=1, c_cql=0.0, temperature=5.0, tune=False, samples=2)
    return [(name, f, moved[f]) for f, m in knobs(Config()).items() if not m["restart"]]


@pytest.mark.parametrize("name, knob, value", [case for name in LEARNERS for case in live(name)])
def test_a_live_knob_acts_on_the_updates_after_it_is_moved(name, knob, value):
    still, moved = settled(name), settled(name)
    assert all(same(next(still), next(moved)) for _ in range(4))
    answers = [LEARNERS[name][1](**SMALL | dict(steps=1000) | {knob: value})] + 5 * [None]
    later = [(next(still), moved.send(answer)) for answer in answers]
    assert all(a.step == b.step for a, b in later) and not same(*later[-1])


@each
def test_a_knob_that_needs_a_restart_is_refused_in_mid_run_by_name(name):
    run = learn(name, noise_data(), every=1)
    next(run)
    with pytest.raises(ValueError, match="^hidden cannot change in mid-run; start a new run"):
        run.send(LEARNERS[name][1](**SMALL | dict(hidden=17, lr=0.5)))


# ---- sampling weights

class Counting(Sampler):
    """A Sampler that remembers what it drew."""

    def draw(self, rng, n):
        self.last = super().draw(rng, n)
        return self.last


def two_actions(m=200):
    """One state, half of the data says +0.5 and half -0.5, in a range of ±1."""
    action = np.where(np.arange(m) % 2 == 0, 0.5, -0.5)[:, None]
    return dataset(np.ones((m, 3)), action, np.zeros(m), np.arange(m) % 2 == 1, 2)


def share(p):
    """Sampling probabilities that give the +0.5 transitions a total of p."""
    return np.where(np.arange(200) % 2 == 0, p, 1 - p) / 100


def test_weighted_cloning_finds_the_weighted_mean_action_of_each_group_of_runs():
    """Closed form: p 0.5 - (1-p) 0.5. A minibatch of 1024 has a standard error of 0.016 and Adam averages many."""
    sampler = Sampler(np.stack([share(0.9), share(0.5)]))
    *_, last = learn("bc", two_actions(), runs=4, batch=1024, steps=400, lr=3e-3, sampler=sampler, low=-1, high=1)
    assert last.policy(np.ones((1, 3)))[:, 0, 0] == pytest.approx([0.4, 0.4, 0.0, 0.0], abs=0.04)


def test_gaussian_cloning_reaches_the_entropy_of_the_weighted_actions():
    """The best Gaussian has the weighted mean and deviation: loss log σ + ½ log 2πe, with σ² = 1 - 0.8² on a = ±1."""
    *_, last = learn("bc", two_actions(), loss="nll", runs=2, batch=1024, steps=600, lr=1e-2, low=-0.5, high=0.5,
                     sampler=Sampler(share(0.9)))
    assert last.loss == pytest.approx(math.log(0.6) + 0.5 * math.log(2 * math.pi * math.e), abs=0.08)
    assert last.policy(np.ones((1, 3)))[:, 0, 0] == pytest.approx([0.4, 0.4], abs=0.04)


@each
def test_new_weights_in_mid_run_act_on_the_next_update(name):
    sampler = Counting(share(1.0))
    run = learn(name, two_actions(), every=1, runs=2, sampler=sampler, batch=32)
    next(run)
    assert (sampler.last % 2 == 0).all()
    sampler.reweight(share(0.0))
    next(run)
    assert (sampler.last % 2 == 1).all() and len(sampler.last) == 64


def test_without_a_sampler_each_transition_is_equally_likely():
    batches = shared.Minibatches(noise_data(m=40), 2, np.random.default_rng(0))
    seen = batches.draw(20_000).reward                                    # rewards are distinct: they name their row
    counts = np.unique(seen.numpy(), return_counts=True)[1]
    assert len(counts) == 40 and ((counts - 1000) ** 2 / 1000).sum() < 39 + 5 * (2 * 39) ** 0.5       # χ², 39 free


# ---- the data as a network sees it

def test_truncation_bootstraps_and_termination_does_not():
    """All values and predictions are v (weights 0, last bias v), so that the target is read off the loss."""
    r, v, gamma = 2.0, 3.0, 0.9
    data = dataset(np.random.default_rng(0).normal(size=(2, 3)), np.array([[-1.0], [1.0]]), np.array([r, r]),
                   np.array([True, False]), 1)
    for row, y in ((0, r), (1, r + gamma * v)):                           # terminated; cut by the clock
        batches = shared.Minibatches(data, 1, np.random.default_rng(0), Sampler(np.eye(2)[row]), reward_scale=1.0)
        b = batches.draw(4)
        q, value, pi = (nets.MLP(n, (i, 8, 8, o), torch.Generator()) for n, i, o in ((2, 4, 1), (1, 3, 1), (1, 3, 2)))
        for net in (q, value):
            net.flat.data.zero_()
            net.layers[-1][1].fill_(v)
        one = nets.MLP(1, (3, 8, 8, 1), torch.Generator())
        zeros = torch.zeros(1, 4, 1)
        iql, td3, cql = (LEARNERS[n][0].__globals__ for n in ("iql", "td3bc", "cql"))
        _, iql_loss, *_ = iql["iql_losses"](offline.IQLConfig(gamma=gamma), b, q, q, value, one, zeros[:, :1])
        td3_loss = td3["td3bc_q_loss"](offline.TD3BCConfig(gamma=gamma), b, zeros, q, q, one)
        cql_loss, *_ = cql["cql_q_losses"](offline.CQLConfig(gamma=gamma), b, zeros[:, :, None],
                                           torch.zeros(1, 2, 4, 1, 1), q, q, pi)
        for loss in (iql_loss, td3_loss, cql_loss):
            assert loss.item() == pytest.approx(2 * (v - y) ** 2, rel=1e-5)          # the sum over the twins


def test_observations_are_standardised_by_unweighted_statistics_and_actions_fill_their_range():
    data, skewed = noise_data(), Sampler(np.r_[np.ones(10), np.zeros(390)])
    batches = shared.Minibatches(data, 1, np.random.default_rng(0), skewed, low=-4, high=[4, 2])
    b = batches.draw(64)
    rows = [int(np.argmin(np.abs(data.reward - r))) for r in b.reward[0].double().numpy() / batches.scale]
    assert max(rows) < 10
    assert b.obs[0].numpy() == pytest.approx((data.obs[rows] - data.obs.mean(0)) / (data.obs.std(0) + 1e-3), abs=1e-5)
    assert b.action[0].numpy() == pytest.approx((data.action[rows] - [0, -1]) / [4, 3], abs=1e-6)
    assert torch.equal(b.obs_action, torch.cat([b.obs, b.action], -1))
    assert b.next_obs[0].numpy() == pytest.approx((data.next_obs[rows] - data.obs.mean(0)) / (data.obs.std(0) + 1e-3),
                                                  abs=1e-5)


def test_the_bounds_of_the_action_are_those_given_else_of_the_space_else_of_the_data():
    data, seen = noise_data(), lambda **kw: shared.Minibatches(data, 1, np.random.default_rng(0), **kw)
    assert seen().mid + seen().half == pytest.approx(data.action.max(0))
    data.action_space = SimpleNamespace(low=np.full(2, -3.0), high=np.full(2, 5.0))
    assert (seen().mid == 1).all() and (seen().half == 4).all()
    assert (seen(low=-9, high=9).half == 9).all()
    data.action_space = SimpleNamespace(low=np.full(2, -np.inf), high=np.full(2, np.inf))
    assert seen().mid - seen().half == pytest.approx(data.action.min(0))


def test_rewards_are_scaled_by_the_longest_episode_over_the_spread_of_returns():
    """Kostrikov et al.: 1000 / (max G - min G), their tasks having 1000 steps."""
    data = dataset(np.zeros((3000, 1)), np.linspace(-1, 1, 3000)[:, None], np.repeat([1.0, 3.0, 2.0], 1000),
                   np.zeros(3000, bool), 1000)
    assert shared.Minibatches(data, 1, np.random.default_rng(0)).scale == pytest.approx(1000 / (3000 - 1000))
    assert shared.Minibatches(data, 1, np.random.default_rng(0), reward_scale=0.1).scale == 0.1


@pytest.mark.parametrize("name", ["td3bc", "iql", "cql"])
def test_the_unit_of_reward_changes_the_reported_q_and_nothing_else(name):
    data, cents = noise_data(), noise_data()
    cents.reward, cents.returns = 64 * cents.reward, 64 * cents.returns   # a power of two: no rounding
    a, b = (list(learn(name, d, runs=2))[-1] for d in (data, cents))
    assert b.q == pytest.approx(64 * a.q, rel=1e-5)
    assert all(np.allclose(x, y, atol=1e-6) for x, y in zip(numbers(a._replace(q=a.q)), numbers(b._replace(q=a.q))))


# ---- the frozen policy

@each
def test_a_snapshot_is_a_photograph_that_can_be_pickled(name):
    run = settled(name, runs=2, lr=1e-2)
    first = next(run)
    obs = np.random.default_rng(0).normal(size=(7, 5))
    action, kept = first.policy(obs), [np.copy(x) for x in first[1:-1]]
    later = [next(run) for _ in range(20)][-1]
    assert np.array_equal(first.policy(obs), action) and not np.array_equal(later.policy(obs), action)
    assert all(np.array_equal(x, y) for x, y in zip(first[1:-1], kept))
    assert np.array_equal(pickle.loads(pickle.dumps(first)).policy(obs), action)


def test_a_policy_takes_one_batch_for_all_runs_or_one_for_each_and_stays_in_range():
    *_, last = learn("cql", noise_data(), runs=3, low=[-2, -4], high=2)
    obs = np.random.default_rng(0).normal(size=(3, 7, 5)) * 100
    assert np.allclose(last.policy(np.stack([obs[0]] * 3)), last.policy(obs[0]))
    assert np.allclose(last.policy(obs)[1], last.policy(obs[1])[1])
    assert (last.policy(obs) >= [-2, -4]).all() and (last.policy(obs) <= 2).all()
    with pytest.raises(ValueError, match=r"expected \[B, 5\] or \[3, B, 5\]"):
        last.policy(obs[0, 0])


# ---- what they learn where the answer is known

@pytest.mark.parametrize("name, settings", [("td3bc", dict(alpha_bc=50.0)), ("iql", dict(tau=0.9, beta=10.0)),
                                            ("cql", dict(c_cql=0.05, temperature=0.01, tune=False))])
def test_with_a_loose_constraint_the_best_action_of_a_one_step_task_is_found(name, settings):
    """Reward -(a - s/2)², actions uniform: the best is s/2; the mean action of the data is 0, on average 0.25 off."""
    rng = np.random.default_rng(0)
    obs, action = rng.uniform(-1, 1, (4000, 1)), rng.uniform(-1, 1, (4000, 1))
    data = dataset(obs, action, -((action - obs / 2) ** 2)[:, 0], np.ones(4000, bool), 1)
    *_, last = learn(name, data, runs=2, batch=128, hidden=32, steps=600, lr=3e-3, low=-1, high=1, reward_scale=10.0,
                     **settings)
    grid = np.linspace(-0.9, 0.9, 19)[:, None]
    assert np.abs(last.policy(grid) - grid / 2).mean((1, 2)) == pytest.approx(0, abs=0.1)


def test_the_constraint_at_full_strength_is_cloning():
    """TD3+BC at alpha 0 has nothing but the distance to the data left: the mean action, p 0.5 - (1-p) 0.5."""
    *_, last = learn("td3bc", two_actions(), alpha_bc=0.0, runs=2, batch=512, steps=600, lr=3e-3, low=-1, high=1,
                     sampler=Sampler(share(0.9)))
    assert last.policy(np.ones((1, 3)))[:, 0, 0] == pytest.approx([0.4, 0.4], abs=0.05)


# ---- errors

@pytest.mark.parametrize("change, settings, message", [
    (dict(action=np.zeros(400, int)), {}, "dtype int64, expected floats"),
    (dict(obs=np.full((400, 5), np.nan)), {}, "data.obs has a NaN or infinity in row 0"),
    (dict(), dict(low=-1, high=1), "outside of low=.*give the bounds"),
    (dict(), dict(runs=3, sampler=Sampler(np.ones((2, 400)))), "2 groups, expected a divisor of runs=3; try runs=2")])
def test_an_error_says_what_is_wrong_and_how_to_mend_it(change, settings, message):
    data = noise_data()
    data.__dict__.update(change)
    with pytest.raises(ValueError, match=message):
        next(learn("iql", data, **settings))
