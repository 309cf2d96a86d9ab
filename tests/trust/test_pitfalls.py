"""Pitfalls, paper by paper: what goes wrong with each method, and the test that says our code is clear about it.

"here" is this file; O is tests/test_offline.py; in tests/papers/ stand W test_trajectory_weights.py, B
test_bayes_net_policy.py, M test_bayes_net_mappo.py, D test_dichotomy_of_control.py, N test_dichotomy_networks.py, E
test_entropy_losses.py, L test_entropy_language.py, T test_martingale_td.py; C is a claim in rlkit/claims, which
tests/claims and the command run.  "-": nothing for code to get wrong, and why.  A name cut short ends in "...".

Hong et al. (2023), trajectory weighting; Schweighofer et al. (2022), the dataset perspective
  all returns equal                   W::test_equal_returns_give_equal_weights, ..._equal_up_to_rounding_count_as_equal
  one trajectory                      W::test_one_trajectory_has_all_the_weight
  no trajectory                       W::test_no_trajectory_is_an_error; all empty: tests/test_trajectories.py
  an episode without a step           W::test_empty_episodes_are_refused_or_counted
  negative returns                    W::test_negative_returns_are_no_special_case
  one huge return, one huge loss      W::test_one_huge_return_takes_all_and_we_say_so, ..._loss_flattens_the_others
  NaN or infinite reward              W::test_a_bad_reward_never_becomes_a_dataset
  α → ∞, α → 0, α < 0                 W::test_infinite_temperature_is_uniform, test_zero_temperature_shares_...,
                                      test_a_temperature_is_not_negative
  exp overflows                       W::test_tiny_temperatures_reach_that_limit_without_overflow
  float32 sums of a million weights   tests/test_sampling.py::test_small_weights_among_a_million_survive_in_float32
  V learns the returns by heart       W::test_few_trajectories_for_many_features_are_warned_of
  features that do not vary           W::test_a_fixed_start_makes_aw_and_rw_the_same, test_features_that_are_constant...
  truncated episodes                  O::test_truncation_bootstraps_and_termination_does_not, W::test_the_identity_fa...
  where an episode ends               tests/test_trajectories.py::test_a_recording_that_stops_in_mid_episode_must_be_...
  rewards scaled or shifted           W::test_an_offset_on_every_step_counts_lengths_and_so_changes_weights_...
  statistics for standardising        O::test_observations_are_standardised_by_unweighted_statistics_...
  test data                           -  no dataset is split: policies are judged in the world, not on held-out data
  duplicates in a mix                 W::test_repeating_a_dataset_changes_no_policy_but_flatters_the_effective_sample
  draws without replacement           W::test_a_batch_larger_than_the_effective_sample_repeats_transitions
  a batch larger than the data        here::test_a_batch_larger_than_the_data_...
  few effective trajectories          tests/test_measures.py::test_one_huge_outlier_raises_the_suggested_temperature_...
  weights that leave nothing          here::test_weights_that_leave_no_data_..., tests/test_sampling.py (draws)
  an action that the data never take  here::test_what_the_data_never_do_...

Chen & Zhang (2023), Bayesian-network policies
  a cycle or a self-loop              test_bad_settings.py::test_a_graph_that_is_none_is_refused_...
  A the wrong way round               B::test_an_edge_gives_its_child_rows_and_not_its_parent
  exact symmetry at the start         C::symmetry
  logits that are sure                B::test_the_plain_gradient_is_too_late_...; clipping: here::test_only_the_natur...
  contexts nobody meets               B::test_off_the_path_nash_is_not_perfect, test_contexts_carry_their_chances
  the root commits too early          C::explore_first
  sampling before the parents did     M::test_parents_come_before_their_children_in_the_order
  parents drawn anew in the update    M::test_a_child_is_asked_about_its_parents_actions_and_nothing_else, C::told_is...
  a graph without a gradient          M::test_learning_the_graph_moves_both_of_its_networks
  noise of the others in the credit   here::test_an_agents_own_advantage_...
  children answer                     here::test_a_parent_is_paid_for_what_its_children_answer_...
  several plans at once, annealed     here::test_a_team_with_two_plans_..., C::many_plans_do_not_survive
  annealed too fast                   M::test_the_target_falls_between_two_fifths_and_seven_tenths
  the price of density fights         the same: α is as set until the end, and rises then
  the graph needs everyone's view     -  said by the notebook; `alone` plays the team that is told nothing
  "optimal" for what is only Nash     C::nash_off_the_path
  the clock of the channel            here::test_nothing_is_hoped_for_after_the_last_slot
  a line with one edge too few        B::test_named_graphs_have_the_arrows_of_their_names
  starts that do not sum to 1         here::test_the_coordination_game_starts_somewhere_...
  ratio not 1 in the first epoch      M::test_the_ratio_is_one_before_the_first_update

Yang et al. (2023), dichotomy of control
  q climbs with f                     N::test_without_a_price_or_with_the_wrong_sign_luck_stays_in, test_q_gets_no_sa...
  the posterior collapses             here::test_a_vae_under_a_high_price_...
  few negatives                       here::test_one_negative_..., C::the_energy_that_climbs
  negatives out of the episode        here::test_negatives_are_drawn_from_all_data_...
  f that has not learned reads 0      here::test_an_untrained_energy_reads_nothing_..., D::test_luck_planted_...
  plug-in MI is biased upwards        here::test_luck_counted_in_a_latent_that_knows_nothing_...
  one Gaussian for a prior            here::test_latents_are_proposed_where_episodes_are
  K too small or too large            D::test_the_best_of_k_draws_by_brute_force
  codes nobody uses                   D::test_a_code_of_fewer_than_twenty_episodes_is_never_acted_on
  a world without luck                D::test_in_a_world_without_luck_all_agree
  a request that nobody met           here::test_a_return_that_cannot_be_had_..., test_return_conditioning_asks_for_...
                                      test_where_nobody_arrived_...
  p = ½                               here::test_two_equal_arms_...
  finite data                         D::test_the_world_as_seen_has_the_frequencies_of_the_data
  states never visited                here::test_states_that_nobody_visited_...
  a posterior that names the unseen   D::test_naming_a_plan_for_what_was_not_seen_lets_luck_in
  history or state                    -  in these worlds the state tells the history
  no better than planning             here::test_no_latent_earns_more_than_planning
  the released code's departures      (numbers as in rlkit/papers/dichotomy_of_control.py)  1 above; 2 - p(z) is that of
                                      the data, not trained; 3 D::test_the_best_of_k_draws_by_brute_force;
                                      4 N::test_the_energy_reads_a_planted_push; 5 N::test_a_state_token_sees_...;
                                      6 C::the_vae_has_no_window; 7 N::test_the_likeliest_move_may_be_asked_for

Cui et al. (2025), the entropy mechanism
  a fit to too little                 tests/papers/test_entropy_law.py::test_too_little_is_refused_with_words
  a ≤ 0, or nothing to be seen        the same; here::test_rewards_that_do_not_depend_on_entropy_...
  the ceiling for a bound             tests/papers/test_entropy_law.py::test_a_ceiling_above_one_is_called_what_it_is
  two ways to measure H               L::test_the_probabilities_of_all_answers_sum_to_one_and_their_entropy_is_...
  H at a temperature                  here::test_the_temperature_of_learning_...
  padding                             E::test_doubling_the_padding_changes_nothing; L::..._rests_are_not_counted
  masks before the choice             E::test_at_least_one_token_is_chosen_and_none_where_nothing_is_real;
                                      cut already: here::test_clip_cov_takes_no_token_that_the_clip_has_cut_already
  groups all right or all wrong       E::test_groups_all_right_or_all_wrong_teach_nothing_..., L::test_where_every_an...
  K = 1                               E: the same test
  less than one token                 E::test_at_least_one_token_is_chosen_...
  ranks within a micro-batch          E::test_kl_cov_holds_the_tokens_of_largest_covariance_and_only_those
  percent or fraction                 here::test_a_percentage_for_a_share_...
  a gradient through the covariance   E::test_no_gradient_flows_through_the_covariance
  KL-Cov before the policy moved      L::test_with_one_update_a_rollout_kl_cov_is_grpo_bit_for_bit_...
  dividing by std                     E::test_grpo_of_one_success_in_eight_is_the_largest_there_is
  one learning rate, one seed         -  experiments: the recorded race has five runs each, and GRPO at two rates
  the sign of the bonus               L::test_an_entropy_bonus_raises_entropy, tests/papers/test_entropy_control.py
  0 log 0                             here::test_a_model_that_is_sure_..., tests/test_policies.py

Jia & Zhou (2022), martingale policy evaluation
  Itô, not Stratonovich               T::test_closed_forms_have_the_limits_they_say; the pole: here::test_where_the_r...
  the ends of the grid                here::test_what_is_paid_after_the_last_step_...; ML: T::test_what_cannot_be_sol...
  β = 0 with a constant               T::test_what_cannot_be_solved_is_said
  two discounts                       T::test_the_other_discount_and_reward_have_their_own_closed_forms
  β Δt too large                      T::test_a_coarse_grid_warns
  δ/Δt is noise                       here::test_td_error_over_dt_...; dividing α: T, scaling="α/Δt"
  λ a step or per unit time           T::test_trace_runs_from_the_constant_test_function_to_ctd0
  differentiating through δ           T::test_without_detach_the_network_learns_another_value
  a low loss is no evidence           T::test_the_loss_of_the_truth_is_the_quadratic_variation_..., test_the_mean_of_...
  σ = 0                               here::test_without_noise_all_conditions_agree
  σ small                             T::test_with_wind_the_td_error_critic_gets_worse_on_a_finer_grid
  θ that noise does not touch         here::test_mean_square_td_error_is_right_by_accident_...
  an option that is hardly sensitive  here::test_an_option_far_out_of_the_money_...
  physical or risk-neutral data       T::test_where_data_drift_is_not_the_interest_another_price_is_learned
  a constant step size                here::test_a_constant_step_size_...
  a minimiser at infinity             here::test_an_option_far_...: volatilities stay in [0.02, 2]

The panel
  an unknown knob                     here::test_an_unknown_knob_..., tests/live/test_driver.py (the browser's messages)
"""

import math
import re
import time
import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from rlkit import live
from rlkit.config import accept, check, knob
from rlkit.trajectories import Dataset

RNG = np.random.default_rng


def test_every_test_and_claim_that_the_table_names_is_there():
    root = Path(__file__).parents[2]
    known = {n for folder in ("tests", "rlkit/claims") for f in (root / folder).rglob("*.py")
             for n in (f.stem, *re.findall(r"^def (\w+)", f.read_text(), re.M))}
    named = re.findall(r"test_\w+|(?<=C::)\w+", __doc__)
    assert len(named) > 90 and [n for n in named if not any(k.startswith(n) for k in known)] == []


# ---- Hong et al. (2023): data and weights

def three_steps() -> Dataset:
    return Dataset.from_arrays(np.array([[0.0], [1.0], [2.0]]), np.array([[-1.0], [0.0], [1.0]]), np.arange(3.0),
                               np.array([False, False, True]), next_obs=np.array([[1.0], [2.0], [3.0]]))


def small_grid() -> Dataset:
    """Two episodes of two states and three actions: action 2 is never taken, state 2 never left."""
    return Dataset.from_arrays(np.array([0, 1, 0]), np.array([0, 1, 1]), np.ones(3), np.array([False, True, True]),
                               next_obs=np.array([1, 2, 2]))


def test_a_batch_larger_than_the_data_repeats_transitions_each_about_equally_often():
    from rlkit.offline.bc import BCConfig, bc
    from rlkit.offline.shared import Minibatches

    b = Minibatches(three_steps(), 2, RNG(0)).draw(6000)
    values, count = np.unique(b.obs.numpy(), return_counts=True)
    assert len(values) == 3 and count / 12_000 == pytest.approx(np.full(3, 1 / 3), abs=5 * (2 / 9 / 12_000) ** 0.5)
    last = list(bc(BCConfig(runs=2, batch=64, steps=20), three_steps(), RNG(0)))[-1]
    assert last.step == 20 and np.isfinite(last.loss).all()


@pytest.mark.parametrize("w, says", [([0.0, 0.0], r"all \d weights are 0"), ([1.0, -0.5], "weight 1 is -0.5"),
                                     ([np.nan, 1.0], "weight 0 is nan"), ([1.0, np.inf], "weight 1 is inf")])
def test_weights_that_leave_no_data_or_are_no_weights_are_refused_before_they_become_a_policy_or_a_world(w, says):
    from rlkit.empirical import model, weighted_policy

    for build in (lambda: weighted_policy(small_grid(), w, 3, 3),
                  lambda: model(small_grid(), w, np.array([False, False, True]), 3)):
        with pytest.raises(ValueError, match=f"{says}.*expected"):
            build()


def test_what_the_data_never_do_has_probability_0_leads_nowhere_and_is_infinitely_far():
    from rlkit.empirical import model, weighted_policy
    from rlkit.policies import cov, kl

    pi = weighted_policy(small_grid(), np.ones(2), 3, 3)
    assert pi == pytest.approx(np.array([[0.5, 0.5, 0], [0, 1, 0], [1 / 3, 1 / 3, 1 / 3]]))
    seen = model(small_grid(), np.ones(2), np.array([False, False, True]), 3)
    assert seen.P[0, 2].tolist() == [1, 0, 0] and seen.R[0, 2] == 0       # stays where it is, for nothing
    assert kl(np.full(3, 1 / 3), pi[0]) == np.inf and kl(pi[0], np.full(3, 1 / 3)) == pytest.approx(math.log(1.5))
    with np.errstate(divide="ignore"):
        assert np.isfinite(cov(pi[0], np.log(pi[0]), np.arange(3.0)))


# ---- Chen & Zhang (2023): teams

def climbing_with_an_edge(seed: int):
    """(game, edges, tables, R, π₀ [3], π₁(b|a) [3, 3]) of a random team on climbing, 0 → 1."""
    from rlkit.envs.team_games import climbing
    from rlkit.papers import bayes_net_exact as exact

    game, edges = climbing(2), ((0, 1),)
    tables = exact.softmax(exact.draw(game, edges, 1, RNG(seed)))
    return game, edges, tables, game.R[0], tables[0].ravel(), tables[1][0, 0]


def test_only_the_natural_gradient_keeps_its_logits_within_sixty():
    from rlkit.papers import bayes_net_exact as exact

    z, up = [np.array([[[[0.0], [100.0]]]])], [np.array([[[[-50.0], [50.0]]]])]
    (plain,), (natural,) = (exact.climb(z, up, 1.0, n) for n in (False, True))
    assert plain.ravel().tolist() == [-50, 150] and natural.ravel().tolist() == [-60, 0]


def test_a_parent_is_paid_for_what_its_children_answer_not_for_what_they_do_on_average():
    from rlkit.papers import bayes_net_exact as exact

    game, edges, tables, R, pi0, pi1 = climbing_with_an_edge(0)
    answered, average = (pi1 * R).sum(1), R @ (pi0 @ pi1)                 # Q of each action of the parent: right, wrong
    step = exact.ascent(game, edges, tables, natural=True)[1][0].ravel()
    assert step == pytest.approx(answered - pi0 @ answered, abs=1e-12)
    assert np.abs(step - (average - pi0 @ average)).max() > 0.1


def test_an_agents_own_advantage_has_the_mean_of_the_teams_and_less_noise():
    from rlkit.papers import bayes_net_exact as exact

    for seed in range(20):
        game, edges, tables, R, pi0, pi1 = climbing_with_an_edge(seed)
        joint, own = pi0[:, None] * pi1, exact.ascent(game, edges, tables, natural=True)[1][0].ravel()
        score = np.eye(3) - pi0                                           # [a, logit] ∂ log π₀(a)
        teams = (R - (joint * R).sum())[..., None] * score[:, None]       # [a, b, logit]
        mine = np.broadcast_to((own[:, None] * score)[:, None], teams.shape)
        mean, same = (np.einsum("ab,abk->k", joint, g) for g in (teams, mine))
        assert mean == pytest.approx(same, abs=1e-12)
        assert mean == pytest.approx(exact.ascent(game, edges, tables)[1][0].ravel(), abs=1e-12)
        noise, less = (np.einsum("ab,abk->", joint, (g - mean) ** 2) for g in (teams, mine))
        assert less < noise


def test_a_team_with_two_plans_loses_both_when_its_edge_is_cut():
    """Half of the time both 0, half both 2, each worth 10; alone they meet in half of the cases and else pay k."""
    from rlkit.envs.team_games import penalty
    from rlkit.papers import bayes_net_exact as exact

    k, sure, edges = 30.0, -40.0, ((0, 1),)
    z = [np.array([0.0, sure, 0.0]).reshape(1, 1, 3, 1), np.where(np.eye(3) > 0, 0.0, sure).reshape(1, 1, 3, 3)]
    game, value = penalty(2, k), lambda e, z: exact.ascent(penalty(2, k), e, exact.softmax(z))[0][0]
    assert value(edges, z) == pytest.approx(10)
    assert value((), exact.rewire(game, edges, (), z)) == pytest.approx((10 + 10 - k - k) / 4)


def test_nothing_is_hoped_for_after_the_last_slot():
    import torch

    from rlkit.papers import bayes_net_mappo as mappo

    cfg = mappo.Config(runs=1, envs=2, graph="product")
    rngs = [RNG(0)]
    world = mappo.WORLDS[cfg.world](rngs, cfg.envs)
    team = mappo.Team(world, cfg, [torch.Generator().manual_seed(0)])
    obs, seen = mappo.play(team, world, world.reset(), world.horizon, 0.0, rngs)
    assert seen.over[-1].all() and not seen.over[:-1].any()
    here, there = (mappo._advantages(team, seen, after, cfg) for after in (obs, obs + 100))
    assert np.array_equal(here[0], there[0]) and np.array_equal(here[1], there[1])
    assert here[1][-1] == pytest.approx(seen.reward[-1], abs=1e-5)        # the target is the reward, and no more


@pytest.mark.parametrize("n", [2, 3])
def test_the_coordination_game_starts_somewhere_for_sure_so_that_a_reward_of_one_is_worth_its_discounted_sum(n):
    from rlkit.envs.team_games import coordination
    from rlkit.papers import bayes_net_exact as exact

    game = coordination(n)._replace(R=np.ones((2**n,) + (2,) * n))
    tables = exact.softmax(exact.draw(game, (), 1, RNG(0)))
    assert exact.evaluate(game, exact.joint(game, tables)).V == pytest.approx([1 / (1 - game.gamma)])


# ---- Yang et al. (2023): latents and luck

def end(**settings):
    from rlkit.papers.dichotomy_of_control import Config, dichotomy

    return list(dichotomy(Config(**settings), RNG(0), every=10**6))[-1]


def arms(p: float = 0.3):
    from rlkit.envs import lucky_arms
    from rlkit.papers.dichotomy_exact import enumerate_episodes

    return enumerate_episodes(lucky_arms.lucky_arms(p), lucky_arms.behaviour(p), 1)


def test_a_vae_under_a_high_price_promises_the_mean_return_for_every_code_and_copies_the_data():
    p = 0.1
    s = end(method="VAE", p=p, beta=50.0, Z=4, runs=4, steps=500)
    used = s.book.p > 1e-3
    assert s.book.V[used] == pytest.approx(np.full(used.sum(), 2 * p * (1 - p)), abs=0.01)
    assert s.skill.max() < 1e-3 and s.earned == pytest.approx(s.bc, abs=0.01)      # and the screen shows why


def test_an_untrained_energy_reads_nothing_where_counting_finds_all_the_luck():
    from rlkit.papers.dichotomy_exact import book, return_code
    from rlkit.papers.dichotomy_of_control import Energy

    p, rec = 0.3, arms(0.3)
    b = book(rec, return_code(rec)[None])
    assert not Energy(rec, 1, 2).climb(b, np.inf, RNG(0), steps=0).any()
    assert b.luck == pytest.approx([-p * math.log(p) - (1 - p) * math.log(1 - p)])        # z is the pay: H(r|a)


def test_one_negative_shifts_the_energy_by_the_mean_of_f_and_all_of_them_by_the_log_of_its_mean_exponential():
    from rlkit.papers.dichotomy_exact import book, return_code
    from rlkit.papers.dichotomy_of_control import Energy

    rec, R = arms(0.3), 4000
    b, f, says = book(rec, np.broadcast_to(return_code(rec), (R, 4, 2))), Energy(rec, R, 2), np.array([0.0, 2.0, -2.0])
    f.f[:] = says                                                         # what is said of pull, paid, not paid
    rho = np.array([0.0, 0.42, 0.58])
    few, every = (f.climb(b, k, RNG(2), steps=0) for k in (1.0, np.inf))
    error = 5 * (rho @ says**2 - (rho @ says) ** 2) ** 0.5 / R**0.5
    assert few.mean(0) == pytest.approx(np.tile(says[f.after] - rho @ says, (2, 1)), abs=error)
    assert every[0] == pytest.approx(np.tile(says[f.after] - math.log(rho @ np.exp(says)), (2, 1)), abs=1e-12)


def test_negatives_are_drawn_from_all_data_whatever_the_latent():
    from rlkit.papers.dichotomy_of_control import Energy

    p = 0.3
    f = Energy(arms(p), 2, 5)
    paid = 2 * p * (1 - p)                                                # good and lucky, or bad and lucky
    assert f.rho.shape[1:3] == (1, 1) and f.rho[0, 0, 0] == pytest.approx([0, paid, 1 - paid])


def test_luck_counted_in_a_latent_that_knows_nothing_is_contexts_times_outcomes_less_one_over_twice_the_data():
    """2 n MI is chi-squared with contexts · (outcomes - 1) · (Z - 1) = 2 degrees of freedom: 5 standard errors."""
    from rlkit.envs import lucky_arms
    from rlkit.mdp import simulate
    from rlkit.papers.dichotomy_exact import book, from_episodes

    n, mdp, twice = 1000, lucky_arms.lucky_arms(0.3), []
    for rng in RNG(0).spawn(300):
        rec = from_episodes(mdp, simulate(mdp, lucky_arms.behaviour(0.3), n, rng, 1), 1)
        twice.append(2 * n * book(rec, np.eye(2)[rng.integers(2, size=n)]).luck)
    assert np.mean(twice) == pytest.approx(2, abs=5 * 2 / 300**0.5)


def test_latents_are_proposed_where_episodes_are():
    from rlkit.papers.dichotomy_networks import GaussianConfig, gaussian

    s = next(gaussian(GaussianConfig(sigma=1e-3, steps=1, runs=8), RNG(0), every=1))
    off = np.linalg.norm(s.chosen[:, None] - s.mu.reshape(8, 4, 2), axis=-1).min(1)
    assert off.max() < 6e-3 < np.linalg.norm(s.mu.reshape(8, 4, 2)[:, 0] - s.mu.reshape(8, 4, 2)[:, 3], axis=-1).min()


def test_a_return_that_cannot_be_had_leaves_the_behaviour_and_so_does_one_that_bad_luck_took_away():
    from rlkit.envs import lottery
    from rlkit.papers.dichotomy_exact import rcsl

    mu = lottery.behaviour(0.3, 0.2)
    assert np.array_equal(rcsl(lottery.lottery(0.1), mu, 0.37, 2), mu)
    best = rcsl(lottery.lottery(0.1), mu, 1.0, 2)
    assert np.array_equal(best[lottery.LOST], mu[lottery.LOST]) and best[0].tolist() == [0, 1]
    assert best[lottery.WON].tolist() == [1, 0]


@pytest.mark.parametrize("request_, nearest", [(1.0, max), (0.0, min)])
def test_return_conditioning_asks_for_the_nearest_return_that_its_own_data_hold(request_, nearest):
    s = end(world="lottery", method="RCSL", p=0.02, eps=0.0, n=30, phi=0.9, runs=32, steps=1, request=request_)
    levels = s.records.levels                                             # 0.1, 0.5, 1: of all runs together
    held = [nearest(np.flatnonzero(p > 0)) for p in s.book.p]
    assert s.act.argmax(1).tolist() == held and len(set(held)) > 1        # some had luck, or lost, and some did not
    assert s.promised == pytest.approx(levels[held])


def test_where_nobody_arrived_asking_for_success_is_copying_the_data():
    from rlkit.papers.dichotomy_networks import LakeConfig, lake

    s = next(lake(LakeConfig(n=30, phi=0.0, eps=1.0, runs=8, steps=1, hidden=8), RNG(0), every=1))
    none = (s.value == 0).all(1)                                          # random steps arrive in 1 of 70 episodes
    assert none.any() and np.array_equal(s.rcsl[none], s.clone[none])


@pytest.mark.parametrize("method", ["DoC", "VAE", "RCSL"])
def test_two_equal_arms_earn_one_half_whatever_is_done(method):
    s = end(p=0.5, method=method, beta=3.0, Z=4, runs=4, steps=300)
    assert s.earned == pytest.approx(np.full(4, 0.5)) and np.isfinite(s.promised).all()
    if method == "DoC":
        assert s.promised == pytest.approx(s.earned, abs=0.01)


@pytest.mark.parametrize("method", ["DoC", "VAE", "RCSL"])
@pytest.mark.parametrize("phi, never", [(0.0, 1), (1.0, 2)])              # always a ticket: safe; never: won
def test_states_that_nobody_visited_have_a_row_and_it_is_even(method, phi, never):
    s = end(world="lottery", method=method, phi=phi, n=60, Z=2, runs=2, steps=5)
    assert s.book.pi.shape[-2:] == (9, 2) and s.book.pi[..., never, :] == pytest.approx(0.5)
    assert np.isfinite(s.worth).all()


@pytest.mark.parametrize("world", ["arms", "lottery", "tree", "lake"])
def test_no_latent_earns_more_than_planning(world):
    s = end(world=world, p=0.3, runs=2, steps=30, beta=0.0, **(dict(n=100) if world == "lake" else {}))
    assert (s.worth <= s.optimum + 1e-9).all() and (s.rcsl <= s.optimum + 1e-9).all()
    assert s.book.V.max() > s.optimum - 0.05                              # though promises go beyond


# ---- Cui et al. (2025): entropy

def test_rewards_that_do_not_depend_on_entropy_are_given_a_ceiling_in_no_more_than_one_case_in_forty():
    """Independent noise: a's 95 % interval lies above 0 in 2.5 % of cases; 400 tries, 5 standard errors."""
    from rlkit.papers.entropy_law import law

    H = np.linspace(0.9, 0.1, 20)
    found = [law(H, 0.5 + 0.1 * noise) for noise in RNG(0).standard_normal((400, 20))]
    given = np.mean([f.law is not None for f in found])
    assert given <= 0.025 + 5 * (0.025 * 0.975 / 400) ** 0.5
    assert {f.words for f in found if f.law is None} == {"no trade-off visible in these points; ceiling undefined"}
    assert law(H, 0.65 - 0.26 * np.exp(H) + 0.01 * RNG(1).standard_normal(20)).law is not None


def test_the_temperature_of_learning_is_not_that_of_measuring():
    from rlkit.papers.entropy_language import Config, entropy_language

    cold, warm = (next(entropy_language(Config(temperature=t, runs=1, evaluation=16), RNG(0))) for t in (0.3, 2.0))
    assert cold.entropy == warm.entropy > 0 and cold.reward == warm.reward


@pytest.mark.parametrize("name", ["kl_share", "clip_share"])
def test_a_percentage_for_a_share_is_refused_by_name(name):
    from rlkit.papers.entropy_language import Config

    with pytest.raises(ValueError, match=f"{name} is 20.*expected"):
        Config(**{name: 20.0})


def test_a_model_that_is_sure_has_an_entropy_of_0_and_not_of_nan():
    import torch

    from rlkit.envs.countdown import Countdown
    from rlkit.papers.entropy_model import LM, sample, warm

    task, gen = Countdown(), torch.Generator().manual_seed(0)
    model = LM(1, task, gen).load(warm())
    head = model.head
    model.head = lambda h: 1e6 * head(h)                                  # exp(-1e6) is 0 in any precision
    out = sample(model, torch.from_numpy(task.prompts(RNG(0), (1, 4))), 2, gen)
    assert torch.isfinite(out.logp).all() and (out.entropy.abs() < 1e-6).all()


def test_clip_cov_takes_no_token_that_the_clip_has_cut_already():
    import torch

    from rlkit.papers.entropy_language import Config
    from rlkit.papers.entropy_losses import policy_loss, token_cov

    ratio = torch.tensor([[3.0, 1.0, 1.0, 1.0]])                          # ρ > 2 and A > 0: cut
    logp, A, mask = torch.tensor([[0.0, -0.1, -3.0, -3.0]]), torch.tensor([[1.0, 1.0, -1.0, -1.0]]), torch.ones(1, 4)
    assert (token_cov(logp, A, mask) > 0.5).all()                         # all four are candidates by covariance
    for seed in range(20):
        _, taken = policy_loss("clip-cov", logp, logp - ratio.log(), A, mask, Config(clip_share=1.0),
                               torch.Generator().manual_seed(seed))
        assert taken.tolist() == [[False, True, True, True]]


# ---- Jia & Zhou (2022): values in continuous time

def test_where_the_right_end_has_its_pole_no_number_is_given_and_the_picture_goes_without():
    from rlkit.papers import martingale_exact as exact
    from rlkit.papers.martingale_experiment import experiment
    from rlkit.papers.martingale_td import Config

    w = exact.world("ou", beta=2.0, kappa=1.0, T=2.0)
    for dt in (0.2, 0.05, 0.005):
        assert np.isnan(exact.population(w, dt, "right").theta).all()
        assert not np.isfinite(exact.ou_theta("right", dt, 2.0, 1.0)).any()
    beside = exact.population(exact.world("ou", beta=2.01, kappa=1.0, T=2.0), 0.05, "right").theta
    assert beside == pytest.approx(exact.ou_theta("right", 0.05, 2.01, 1.0), rel=1e-6)
    e = experiment(Config(world="ou", beta=2.0, objective="CTD", test="right", n=50))
    assert all(np.isfinite(J).all() for J in e.surface.values())


def test_what_is_paid_after_the_last_step_of_an_episode_is_not_read():
    from rlkit.envs.diffusions import path
    from rlkit.papers import martingale_exact as exact
    from rlkit.papers.martingale_td import solve
    from rlkit.paths import Paths

    w = exact.world("brownian", x0=0.5)
    t = np.linspace(0, 1, 11)
    x = path(w.process, w.start(40, RNG(0)), 0.1, 10, RNG(1))
    r = np.ones_like(x)
    later = r.copy()
    later[-1] = 1e6
    for test in ("left", "mstde", "ml", "trace"):
        a, b = (solve(Paths(t, x, pay), w.features, test, base=w.base).theta for pay in (r, later))
        assert np.array_equal(a, b)


def test_td_error_over_dt_has_a_spread_that_grows_like_one_over_the_root_of_dt():
    """Of the truth x² + (T-t) on Brownian paths from 0: δ = 2xΔW + ΔW² - Δt, whose variance at x is 4x²Δt + 2Δt²."""
    from rlkit.envs.diffusions import path
    from rlkit.papers import martingale_exact as exact

    w, at = exact.world("brownian"), np.full(40_000, 0.7)
    for dt in (0.1, 0.01, 0.001):
        y = path(w.process, at, dt, 1, RNG(0))[1]
        delta = w.value(w.truth, dt, y) - w.value(w.truth, 0.0, at)
        expected = (4 * 0.7**2 / dt + 2) ** 0.5
        assert np.std(delta / dt) == pytest.approx(expected, rel=0.03)    # 1/√80,000 a standard error, fat tails


def test_without_noise_all_conditions_agree():
    """x falls as e^{-κt}: δ = 0 for θ₁ = Δt / (1 - γρ²), θ₂ = 0, and then any test function will do."""
    from rlkit.papers import martingale_exact as exact

    w, dt = exact.world("ou-wide", sigma=0.0, T=2.0, beta=0.7, kappa=1.3), 0.05
    for test in ("left", "mid", "right", "trace", "mstde"):
        theta = exact.population(w, dt, test).theta
        assert theta == pytest.approx([dt / -math.expm1(-(0.7 + 2 * 1.3) * dt), 0], abs=1e-9)
    still = exact.population(exact.world("brownian", sigma=0.0, x0=1.0, second=False), dt, "ml")
    assert still.theta == pytest.approx([0]) and still.loss("ml", [0.0]) == pytest.approx(0, abs=1e-12)


def test_mean_square_td_error_is_right_by_accident_where_noise_does_not_touch_theta():
    """Critic x² + θ(T-t): its slope in x is free of θ, so that the noise of δ is too."""
    from rlkit.papers import martingale_exact as exact

    w = exact.world("brownian", sigma=0.7, x0=0.4, second=False)
    for test in exact.TESTS:
        assert exact.population(w, 0.05, test).theta == pytest.approx([0.49])


def test_an_option_far_out_of_the_money_is_drawn_without_the_volatility_that_no_path_tells():
    from rlkit.papers import martingale_option as option

    cfg = option.OptionConfig(S0=0.7, T=0.1, sigma=0.05)
    assert option.call(cfg.T, cfg.S0, cfg.sigma, cfg.rate).vega < 1e-12   # 22 deviations below the strike
    e = option.option_experiment(cfg)
    assert np.isnan(e.best["CTD"]) and "CTD" not in e.price
    assert all(0.02 <= v <= 2 for name, v in e.best.items() if name != "CTD")
    assert all(np.isfinite(price).all() for price in e.price.values())


def test_a_constant_step_size_keeps_its_noise_and_the_average_has_less_of_it():
    from rlkit.papers.martingale_online import online
    from rlkit.papers.martingale_td import Config

    cfg = Config(world="ou", objective="CTD", dt=0.1, alpha=0.5, tau=math.inf, chains=4, runs=32, time=400.0)
    last = list(online(cfg, RNG(0), every=10**9))[-1]
    shrinking = list(online(replace(cfg, tau=10.0), RNG(0), every=10**9))[-1]
    noise, averaged, decayed = (x[:, 0].std() for x in (last.theta, last.average, shrinking.theta))
    assert averaged < noise / 2 and decayed < noise / 2


# ---- the panel

@dataclass(frozen=True)
class Walk:
    alpha: float = knob(0.1, 0.01, 10.0, above=0, says="step size")
    low: float = knob(0.0, 0.0, 5.0, says="from")
    high: float = knob(1.0, 0.0, 9.0, says="to: above low")

    def __post_init__(self):
        check(self)
        if self.low >= self.high:
            raise ValueError(f"low is {self.low} and high {self.high}, expected low < high")

    @property
    def width(self):
        return self.high - self.low


class At(NamedTuple):
    step: int
    x: float


def walk(cfg: Walk, rng, every: int = 10):
    for step in range(0, 50, every):
        cfg = accept((yield At(step, cfg.alpha * step)), cfg)


@pytest.fixture
def panel():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        p = live.Panel(walk, Walk(), lambda history, cfg: dict(data=[dict(y=[s.x for s in history])], layout={}))
    assert p.wait(20)
    ask = p._ask
    p._ask = lambda *what, **more: (ask(*what, **more), time.sleep(0.05))  # so that two requests are heard one by one
    yield p
    p.close()


@pytest.mark.parametrize("wrong", ["alhpa", "width"])                     # misspelt; and a name that is no setting
def test_an_unknown_knob_is_named_with_those_there_are_and_the_settings_stay(panel, wrong):
    for first in (wrong, "alpha"):
        panel.set(**{first: 3.0, wrong: 3.0, "alpha": 0.5})
        assert panel.wait(20)
        assert f"there is no setting '{wrong}', expected one of alpha, low, high" in panel.status
        assert panel.cfg == Walk() and panel.state != "error"
    panel.set(alpha=0.5)
    assert panel.wait(20) and panel.cfg.alpha == 0.5


def test_settings_that_are_only_valid_together_are_set_together(panel):
    panel.set(low=3.0, high=4.0)
    assert panel.wait(20) and (panel.cfg.low, panel.cfg.high) == (3, 4)
    panel.set(high=1.0, low=0.0)
    assert panel.wait(20) and panel.cfg == Walk()
