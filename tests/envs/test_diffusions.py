"""Exact simulation: what SciPy and the algebra of normal variables say of it, at any step."""

import numpy as np
import pytest
from scipy import stats

from rlkit.envs.diffusions import GBM, OU, blocks, path

RNG = np.random.default_rng
P_SMALL = 1e-4                            # a Kolmogorov-Smirnov test of right numbers fails once in 10,000 seeds


@pytest.mark.parametrize("process", [OU(1.3, 0.7), OU(0.0, 0.7)])
def test_two_steps_are_one_long_step(process):
    (r1, s1), (r2, s2), (r, s) = (process.transition(d) for d in (0.3, 0.5, 0.8))
    assert r1 * r2 == pytest.approx(r)
    assert (r2 * s1) ** 2 + s2**2 == pytest.approx(s**2)


def test_a_weak_pull_is_nearly_brownian_motion():
    assert OU(1e-9, 0.7).transition(0.4) == pytest.approx(OU(0.0, 0.7).transition(0.4))


@pytest.mark.parametrize("steps", [1, 7])
def test_ou_has_its_normal_law_whatever_the_grid(steps):
    x = path(OU(0.8, 1.5), np.full(4000, 2.0), 1.2 / steps, steps, RNG(1))[-1]
    law = stats.norm(2 * np.exp(-0.96), 1.5 * np.sqrt((1 - np.exp(-1.92)) / 1.6))
    assert stats.kstest(x, law.cdf).pvalue > P_SMALL


@pytest.mark.parametrize("steps", [1, 7])
def test_gbm_has_its_lognormal_law_whatever_the_grid(steps):
    x = path(GBM(0.1, 0.3), np.full(4000, 1.5), 2.0 / steps, steps, RNG(2))[-1]
    law = stats.lognorm(0.3 * 2**0.5, scale=1.5 * np.exp((0.1 - 0.045) * 2))
    assert stats.kstest(x, law.cdf).pvalue > P_SMALL


def test_stationary_starts_stay_stationary():
    process = OU(2.0, 0.9)
    x = path(process, process.stationary(4000, RNG(3)), 0.1, 5, RNG(4))[-1]
    assert stats.kstest(x, stats.norm(0, 0.9 / 2).cdf).pvalue > P_SMALL


def test_irregular_steps_have_the_variance_of_their_times():
    dt = np.array([0.1, 1.0, 0.02])
    x = path(OU(0.0, 2.0), np.zeros(40_000), dt, None, RNG(5))
    assert x[1:].var(1) == pytest.approx(4 * np.cumsum(dt), rel=5 * (2 / 40_000) ** 0.5)


@pytest.mark.parametrize("process", [OU(1.0, 1.0), GBM()])
@pytest.mark.parametrize("size", [1, 50, 10**6])
def test_blocks_are_the_same_paths_whatever_their_size(process, size):
    x0 = np.linspace(0.5, 1, 7)
    whole = path(process, x0, 0.1, 23, RNG(6))
    parts = list(blocks(process, x0, 0.1, 23, RNG(6), size))
    assert np.concatenate([parts[0][1][:1], *(x[1:] for _, x in parts)]) == pytest.approx(whole, rel=1e-12)
    t = np.concatenate([parts[0][0][:1], *(t[1:] for t, _ in parts)])
    assert t == pytest.approx(0.1 * np.arange(24))


def test_path_repeats_step():
    z = RNG(7).standard_normal((3, 2))
    for process in (OU(0.5, 1.0), GBM(0.2, 0.4)):
        x = path(process, np.ones(2), 0.2, 3, RNG(7))
        for k in range(3):
            assert process.step(x[k], 0.2, z[k]) == pytest.approx(x[k + 1])


def test_what_is_wrong_is_said():
    with pytest.raises(ValueError, match="dt has shape .* expected one step > 0"):
        path(OU(), 0.0, [0.1, -0.1], None, RNG(0))
    with pytest.raises(ValueError, match="steps is 0, expected a whole number"):
        path(OU(), 0.0, 0.1, 0, RNG(0))
    with pytest.raises(ValueError, match="Brownian motion never settles"):
        OU(0.0).stationary(3, RNG(0))
