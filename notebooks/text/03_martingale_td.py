# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 3. Martingale TD: values in continuous time
#
# **The question.** TD learning minimises its own error; or should it? Watch a system more and more often, halve the
# time step, and halve it again. One of the two oldest ideas in the field, *make the squared TD error small*, then
# leads to a value function that is upside down, with a smaller error than the truth. Why, and what to do instead?
#
# **You will learn** what makes a function the value function in continuous time: one process must be a martingale · why
# squared TD error measures noise, not error · how a *test function* turns "martingale" into a small linear system, and
# every TD method into a choice of it · what survives Δt → 0: λ, the step size, the place in the step.  **45 minutes.**
# Paper: Jia and Zhou, *Policy Evaluation and Temporal-Difference Learning in Continuous Time and Space: A Martingale
# Approach*, JMLR 23(154), 2022. The examples are ours, in its spirit.
#
# Run the next cell, then press **Run**: Δt slides from coarse to fine.

# %% tags=["hide-input"]
import numpy as np
from dataclasses import replace
from rlkit import figures, live
from rlkit.papers import martingale_exact as exact, martingale_td as mt
from rlkit.papers.martingale_experiment import experiment

# %% tags=["hide-input"]
def picture(cfg):
    e = experiment(cfg)
    called = lambda n: "exact" if n == "truth" else n
    mean = figures.curves(e.t, {called(n): e.mean[n] for n in ("truth", "CTD(0)", "MSTDE") if n in e.mean}, "time t", "M", "The average of M: flat for the truth", y_range=(None, None))
    thin = [dict(type="scatter", mode="lines", x=e.t, y=e.M[n][:, i], showlegend=False, hoverinfo="skip", opacity=.35,
                 line=dict(width=1, color=figures.look(called(n)).color)) for n in ("truth", "MSTDE") if n in e.M for i in range(8)]
    value = figures.curves(e.surface_x, {called(n): J[0] for n, J in e.surface.items()}, "state x", "J(0, x)", "The value each method learns")
    loss = figures.curves(e.theta, {n: y - y.min() for n, y in e.losses.items()}, f"θ{e.component + 1}", "objective - its least", "Where each objective is lowest")
    error = figures.curves(e.dts, {n: np.maximum(v, 1e-6) for n, v in e.errors.items() if n != "CTD(0), level" and np.nanmax(v) > 1e-9}, "time step Δt", "error of θ", "Error against Δt", log_x=True, log_y=True, markers=True)
    says = (f"Exact minimiser of TD error: θ = {np.round(e.exact['MSTDE'], 3).tolist()}, truth {np.round(e.exact['truth'], 3).tolist()}. "
            + "; ".join(f"E Σ ΔM² under {n} {v:.2f}" for n, v in e.variation.items()))
    return figures.board([mean._replace(traces=thin + mean.traces), value, loss, error], says=says, height=620)


presets = {"Paper": mt.Config(), "Finer and finer": dict(dt=0.005), "Right endpoint": dict(world="ou", T=20.0, objective="CTD", test="right"),
           "No noise": dict(world="ou-wide", sigma=0.0, T=2.0), "A little noise": dict(world="ou-wide", sigma=0.1, T=2.0), "For ever": dict(world="ou", T=20.0),
           "No constant": dict(world="ou", T=20.0, second=False, objective="CTD", test="trace")}
live.Explorer(picture, mt.Config(), sweep="dt", presets=presets, title="Halve the time step, and halve it again",
              knobs=["dt", "sigma", "world", "objective", "test", "lam", "n", "seed"])

# %% [markdown]
# **What you see.** Brownian motion runs on [0, 1] and is paid $X_T^2$. The value is $J=x^2+\sigma^2(T-t)$; the critic is
# $x^2+\theta_1(T-t)+\theta_2(T-t)x^2$, so the truth is in reach: θ = (1, 0). *Top left*: eight paths of M under the truth and
# under the minimiser of squared TD error, and the averages: flat, and sagging by $2t(T-t)$; the wrong bundle is pinched at T/2.
# *Top right*: the value learned: a bowl, and a bowl upside down. *Bottom left*: the objective against θ₂: its minimum
# slides off the truth as Δt falls, and the martingale loss stays. *Bottom right*: error against Δt.
#
# **Try now.** (1) Press *Finer and finer*: θ₂ goes from -1.77 to -1.98, towards -2/T. The wrong critic has a *third* of the
# truth's TD error (2.00 against 0.69). (2) *No noise*: all agree to all digits. (3) *A little noise*, then drag Δt from 0.1 to 0.005.

# %% [markdown]
# ## The setting, and the idea
#
# $dX_t=b\,dt+\sigma\,dW_t$, reward rate $r$, discount β, payment $h(X_T)$ at the end. For a candidate $J^\theta$ put
#
# $$M_t^\theta = e^{-\beta t}J^\theta(t,X_t)+\int_0^t e^{-\beta s}r_s\,ds,\qquad dM^\theta=e^{-\beta t}\underbrace{(\mathcal LJ^\theta-\beta J^\theta+r)}_{\text{drift: the error}}dt+e^{-\beta t}\underbrace{\sigma\,\partial_xJ^\theta}_{\text{noise: no error}}dW .$$
#
# The drift vanishes everywhere exactly when $J^\theta$ is the value function: **M is a martingale**. On a grid the increment of M
# is the TD error, $\delta_k=\gamma J_{k+1}-J_k+r_k\Delta t$, $\gamma=e^{-\beta\Delta t}$. Squaring it, $E\,\delta^2=E[\text{drift}^2]\Delta t^2+E[\text{noise}^2]\Delta t$: as Δt → 0 only the noise is
# left, and the least noise is the flattest J. Asking instead that δ be *uncorrelated with the past* kills the drift and leaves the noise alone:
#
# $$E\sum_k \xi_k\,\delta_k=0\qquad\text{for test functions } \xi_k \text{ of } X_0\dots X_k .$$
#
# CTD(0) takes $\xi=\partial_\theta J$; CTD(λ) a trace that decays by $\lambda^{\Delta t}$ a step; least squares of what came (the martingale loss) is a third choice.

# %% [markdown]
# ## The core

# %% tags=["core"]
def solve(X, r, dt, features, base, beta, test="ctd", lam=0.5):
    """θ = -(Σ ξ uᵀ)⁻¹ Σ ξ R.  X: [K+1, N] paths, r: [K+1, N] reward rates."""
    t = dt * np.arange(len(X))[:, None]
    Phi, J0, g = features(t, X), base(t, X), np.exp(-beta * dt)                  # Φ [p, K+1, N]
    u, R = g * Phi[:, 1:] - Phi[:, :-1], g * J0[1:] - J0[:-1] + r[:-1] * dt       # δ = u·θ + R
    xi = {"ctd": Phi[:, :-1], "mstde": u, "right": Phi[:, 1:]}.get(test)
    if test == "trace":
        xi = Phi[:, :-1] * dt
        for k in range(1, xi.shape[1]):
            xi[:, k] += lam**dt * xi[:, k - 1]
    A, c = np.einsum("ikn,jkn->ij", xi, u), np.einsum("ikn,kn->i", xi, R)
    return -np.linalg.solve(A, c)

# %%
from rlkit.envs.diffusions import path
from rlkit.paths import Paths

w, rng = exact.world("brownian"), np.random.default_rng(0)
X = path(w.process, w.start(4000, rng), 0.02, 50, rng)
record = Paths(0.02 * np.arange(51), X, np.zeros_like(X))
for name, test in {"ctd": "left", "trace": "trace", "mstde": "mstde", "right": "right"}.items():
    ours = solve(X, record.r, 0.02, w.features, w.base, 0.0, name)
    np.testing.assert_allclose(ours, mt.solve(record, w.features, test, base=w.base).theta, rtol=1e-7, atol=1e-9)
    print(f"{name:6s} θ = {ours.round(3)}   infinitely many paths: {exact.population(w, 0.02, test).theta.round(3)}")

# %% [markdown]
# ## Exact truth first
#
# A world that goes on for ever has one formula for each method, at *every* Δt. Stationary $dX=-\kappa X\,dt+\sigma\,dW$,
# $r=x^2$, critic $\theta_1x^2+\theta_2$, $c=\beta+2\kappa$, $\rho=e^{-\kappa\Delta t}$:
#
# | method | θ₁ at Δt | as Δt → 0 |
# |---|---|---|
# | truth | 1/c | 1/3 |
# | CTD(0) | Δt/(1-γρ²) | 1/c, error Δt/2 |
# | trapezoid reward | ½Δt(1+γρ²)/(1-γρ²) | 1/c, order 2 |
# | squared TD error | Δt(1-γρ²)/(1+γ²-2γρ²) | **0**: the constant |
# | ξ at the right end | -ρ²Δt/(γ-ρ²) | **-1/(2κ-β)** |
# | ξ half way | Δt/(1-γ) | **1/β** |

# %%
dts = 0.2 / 2.0 ** np.arange(6)
w, rng = exact.world("ou"), np.random.default_rng(0)
fine = path(w.process, w.start(400, rng), dts[-1], round(40 / dts[-1]), rng)
watched = [Paths(dt * np.arange(len(x)), x, x**2) for dt, x in ((d, fine[:: round(d / dts[-1])]) for d in dts)]
rows = {name: np.array([mt.solve(p, w.features, t, beta=1.0).theta[0] for p in watched]) for name, t in {"CTD(0)": "left", "MSTDE": "mstde", "half way": "mid"}.items()}
theory = {f"{n}, exact": exact.ou_theta(t, dts)[0] for n, t in {"CTD(0)": "left", "MSTDE": "mstde", "half way": "mid"}.items()}
pane = figures.level(figures.curves(dts, rows | theory, "time step Δt", "θ₁", "The same record, watched less often", log_x=True, markers=True), 1 / 3, "exact")
live.Plot(figures.board([pane], height=360, says="; ".join(f"{k}: {v[0]:.3f} at Δt = .2, {v[-1]:.3f} at Δt = .00625" for k, v in rows.items())))

# %% [markdown]
# ## Learned step by step
#
# Sixteen learners, each averaging its step over 32 chains. α, λ and the scaling act live. Note what is *not* there: a division by Δt.

# %% tags=["hide-input"]
from rlkit.papers.martingale_online import online


def learning(history, cfg):
    seen = np.array([s.theta[:, 0] for s in history])                                            # [T, R]
    e = experiment(replace(cfg, n=200))
    bands = figures.curves([s.step for s in history], {cfg.objective: np.clip(seen, -3, 3)}, "updates", "θ₁", "Sixteen learners", steps=True, x_range=(0, cfg.steps))
    for name in ("truth", "chosen"):
        if np.isfinite(e.exact[name]).all():
            bands = figures.level(bands, float(e.exact[name][0]), {"truth": "exact", "chosen": "bound"}[name])
    blow = figures.curves(e.blowup_t, {k: np.maximum(v, 1e-3) for k, v in e.blowup.items()}, "time", "|θ|", "Divide α by Δt?", log_y=True)
    return figures.board([bands, blow], height=380, says=f"After {history[-1].time:.0f} time units θ₁ is {np.median(seen[-1]):.3f}; {history[-1].diverged.sum()} of {cfg.runs} runs have diverged.")


ou = mt.Config(world="ou", objective="CTD", dt=0.05, alpha=0.4, time=200.0)
live.Panel(online, ou, learning, title="Learning from increments", knobs=["alpha", "lam", "scaling", "tau", "objective", "test", "dt", "time", "chains", "seed"],
           presets={"CTD(0)": ou, "CTD(λ)": dict(test="trace", alpha=0.8), "MSTDE": dict(objective="MSTDE", alpha=0.2), "TDC": dict(objective="TDC"),
                    "GTD (slow)": dict(objective="GTD", alpha=1.2), "Divide by Δt": dict(scaling="α/Δt", dt=0.01, chains=1, alpha=0.05, tau=1000.0, time=20.0)})

# %% [markdown]
# ## Explore
#
# | do | predict | why |
# |---|---|---|
# | *No noise*, drag σ from 0 to 0.2 | at which Δt does squared TD error still look right? | noise² is σ²Δt, error² Δt²: the crossover moves left as Δt falls. At σ = 0.1 the gap to CTD(0) is 3 % at Δt = .1, 14 % at .02, 46 % at .004 |
# | *Right endpoint* | what if ξ sees X_{k+1}? | E⟨ξ, M⟩ is added: Itô is not Stratonovich. θ₁ → -1/(2κ-β); drag β to 2κ: a pole |
# | *No constant*, then `test` left, trace (λ = 1, .37, .01), constant | which is right? | none: the truth is out of reach, and the test function decides: .429, …, 5/9 (λ = e^-β, the martingale loss), 1 |
# | N from 50 to 4000 at Δt = .1, then at .01 | which is noisier? | neither: noise depends on the time observed, not on Δt |
# | *Timid*, in the control panel below | does a batch that hardly explores find the same gain? | yes, in a wider band: q is learned from differences between actions |
# | *Divide by Δt* (second panel) | what does α/Δt do at Δt = .01? | noise √Δt/Δt: it diverges, 8 of 8 runs at Δt = .005 |

# %% [markdown]
# ## A real task: a pendulum watched more often
#
# `Pendulum-v1` of Gymnasium has its step as an attribute. A fixed controller swings it up; gusts of wind push it. Both critics see
# the same records through 71 bumps; the truth is a long simulation at a fine step.

# %%
from rlkit.papers.martingale_pendulum import compare

air = compare(wind=1.0, n=200, held=40, dts=(0.1, 0.05, 0.02))
pane = figures.curves(air.dts, air.rmse, "time step (s)", "RMSE of J on new states", "Pendulum-v1 in the wind", log_x=True, markers=True, y_range=(0, 1.6))
live.Plot(figures.board([figures.level(pane, air.value.std(), "bound")], height=340, says="; ".join(f"{k}: {v.round(2).tolist()} at Δt = {air.dts.tolist()} s" for k, v in air.rmse.items()) + f"; a constant would miss by {air.value.std():.2f}"))

# %% [markdown]
# ### Your own paths
#
# A `.csv` with columns time, state (or state_1, state_2 …), reward, and perhaps path; or an `.npz` with arrays of those names. Steps need not be equal.

# %%
WHERE = None                                                                    # "mine.csv" or "mine.npz"
if WHERE is None:
    gaps = rng.exponential(0.05, 20_000) + 1e-3                                  # irregular, as real records are
    x = path(exact.world("ou").process, 0.0, gaps, None, rng)[:, 0]
    yours = Paths.from_arrays(np.r_[0, np.cumsum(gaps)], x, x**2)
else:
    yours = Paths.load(WHERE)
quadratic = lambda t, x: np.stack([x**2, np.ones_like(x)])
{test: mt.solve(yours, quadratic, test, beta=1.0).theta.round(3) for test in ("left", "trace", "mstde")}

# %% [markdown]
# ## Where it breaks
#
# **A price.** A European call under Black and Scholes; the critic is the price formula with volatility θ. CTD (vega for
# test function) and the martingale loss find σ = 0.2 from paths; squared TD error finds 0.11, 0.25, 0.62, 0.88 or 1.08, for S₀ = .8, .9, 1, 1.1, 1.2: a single lucky S₀ proves nothing.

# %% tags=["hide-input"]
from rlkit.papers import martingale_option as mo


def price(cfg):
    e = mo.option_experiment(cfg)
    show = {"exact" if n == "truth" else n: e.price[n] for n in ("truth", "CTD", "ML", "MSTDE, Δt → 0") if n in e.price}
    value = figures.curves(e.S, show, "price of the stock S", "price of the call", "The price each method learns", y_range=(0, 0.9))
    loss = figures.curves(e.theta, {"ML": e.ml / e.ml.min(), "MSTDE": e.square / e.square.min(), "MSTDE, Δt → 0": e.risk / e.risk.min()}, "volatility θ", "objective ÷ its least", "Where each objective is lowest", y_range=(0.98, 1.6))
    return figures.board([value, loss], height=380, says="; ".join(f"{n}: volatility {v:.3f}, price {e.at[n]:.3f}" for n, v in e.best.items() if n in e.at))


live.Explorer(price, mo.OptionConfig(), sweep="S0", title="A call, priced from paths", knobs=["S0", "K", "sigma", "mu", "n", "rate", "T", "seed"])

# %% [markdown]
# **A network.** The same with a neural critic $J=x^2+(T-t)f_\theta(t,x)$. The loss of CTD(0) and of squared TD error differ by one word.

# %%
from rlkit.papers.martingale_online import GRID, NeuralConfig, neural

ends = {o: list(neural(NeuralConfig(objective=o, n=128, steps=150), np.random.default_rng(0), every=150))[-1] for o in ("CTD", "ML", "MSTDE")}
pane = figures.curves(GRID, {"exact": GRID**2 + 1} | {o: e.start.mean(0) for o, e in ends.items()}, "state x", "J(0, x)", "One word: detach", y_range=(0, 10))
live.Plot(figures.board([pane], height=340, says="; ".join(f"RMSE {o} {e.rmse.mean():.2f}" for o, e in ends.items())))

# %% [markdown]
# ## Control: the same condition steers
#
# Hold an action for Δt and its effect is of order Δt: an ordinary $Q(x,a)=J+q(x,a)\Delta t+o(\Delta t)$ **loses the action** as Δt → 0.
# What is left is the rate $q=\mathcal L^aJ+r-\beta J$. One condition ties it to J, for the actions of *any* behaviour:
#
# $$E\sum_k\xi_k\,[\gamma J_{k+1}-J_k+(r_k-q_k)\Delta t]=0,\qquad \xi=\partial J,\ \partial q .$$
#
# The world: $dX=(-\tfrac12X+u)\,dt+\tfrac12dW$, $r=-(x^2+\tfrac12u^2)$, β = ½. Riccati's equation gives the best policy, $u=-0.8508\,x$.
# Policy iteration with $q=(a-m)(\psi_1+\psi_2x)+\psi_3(a-m)^2$ (zero at the policy's own action m): solve for J and q, step to the top of q, again.

# %%
def improve(x, u, r, dt, policy, beta):
    """One round from one batch: x [K+1, N], u and r [K, N].  policy (m₁, m₀), the mean m₁x + m₀."""
    s, y, g = x[:-1].ravel(), x[1:].ravel(), np.exp(-beta * dt)
    d = u.ravel() - policy[0] * s - policy[1]                              # a - m
    phi, phi1 = (np.stack([v**2 / 2, v, np.ones_like(v)]) for v in (s, y))  # ∂J, now and next
    f = np.stack([d, d * s, d * d])                                        # ∂q
    xi = np.concatenate([phi, f])
    rise = np.concatenate([g * phi1 - phi, -f * dt])
    *J, p1, p2, p3 = -np.linalg.solve(xi @ rise.T, xi @ (r.ravel() * dt))
    return np.array([policy[0] - p2 / (2 * p3), policy[1] - p1 / (2 * p3)]), np.array(J)

# %%
from rlkit.papers import martingale_control as mc

small = mc.ControlConfig(n=500, runs=1)
x, u, r = (v[0] for v in mc.behave(small, np.random.default_rng(0)))       # u ~ N(0, 1): it knows nothing
policy, packaged = np.zeros(2), np.zeros((1, 3))
for k in range(5):
    policy, J = improve(x, u, r, small.dt, policy, 0.5)
    packaged, critic, _ = mc.improve(mc.tables(x[None], u[None], r[None]), packaged, 0.5, small.dt)
    np.testing.assert_allclose(policy, packaged[0, :2], rtol=1e-6, atol=1e-8)
    print(f"round {k + 1}: u = {policy[0]:.4f} x {policy[1]:+.4f}")
world = small.problem()
print(f"best with actions held for Δt = {small.dt}: {world.solve(dt=small.dt)[0][0]:.4f}; Riccati: {world.solve()[0][0]:.4f}")

# %% tags=["hide-input"]
def control_picture(cfg):
    e = mc.control_experiment(cfg)
    rounds = np.arange(len(e.grid))
    gain = figures.curves(rounds, {"sampled batches": e.policy[..., 0], "infinite batch": e.grid[:, 0]}, "round", "gain m₁", "The gain, round by round", markers=True)
    gain = figures.level(gain, e.riccati[0], "exact")
    error = figures.curves(e.dts, {n: np.maximum(v, 1e-6) for n, v in e.errors.items() if v.max() > 1e-9}, "time step Δt", "|on the grid - Riccati|", "What a grid costs", log_x=True, log_y=True, markers=True)
    q = figures.curves(e.actions, {"learned q": e.q_learned.T, "exact": e.q}, "action a, at x = 1", "q", "The rate q")
    lost = figures.curves(e.actions, {f"Δt = {d:.3g}": v for d, v in zip(e.dts[:3], e.advantage)}, "action a, at x = 1", "Q - J", "Q loses its action")
    says = f"Gain after {rounds[-1]} rounds {np.median(e.policy[-1, :, 0]):.3f}; on this grid {e.best_grid[0]:.4f}; Riccati {e.riccati[0]:.4f}. Worth {np.nanmedian(e.worth[-1]):.4f} of {e.best:.4f}."
    return figures.board([gain, error, q, lost], says=says)


live.Explorer(control_picture, mc.ControlConfig(), sweep="dt", title="Steering from one batch of random actions",
              knobs=["dt", "n", "explore", "T", "world", "temperature", "iterations", "seed"],
              presets={"Ours": mc.ControlConfig(), "Ergodic": dict(world="ergodic"), "Timid": dict(explore=0.2), "Few paths": dict(n=20, T=5.0)})

# %% tags=["hide-input"]
def steering(history, cfg):
    best, critic = cfg.problem().solve(cfg.tau_used, cfg.dt)
    P, steps = np.array([s.policy for s in history]), [s.step for s in history]
    panes = [figures.level(figures.curves(steps, {name: np.clip(P[..., i], -2, 2)}, "updates", name, f"{name} of the policy", steps=True, x_range=(0, cfg.steps)), best[i], "exact")
             for i, name in ((0, "slope"), (2, "variance"))]
    return figures.board(panes, height=380, says=f"After {steps[-1]} updates N({np.median(P[-1, :, 0]):.3f} x, {np.median(P[-1, :, 2]):.3f}); the best that is paid for entropy: N({best[0]:.3f} x, {best[2]:.3f}).")


soft = mc.ControlConfig(method="soft q-learning", steps=2000)
live.Panel(mc.control, soft, steering, title="Steering, step by step", every=50, knobs=["alpha", "alpha_q", "tau", "method", "world", "dt", "temperature", "explore", "steps", "clip", "seed"],
           presets={"Soft q-learning": soft, "Actor-critic": dict(method="actor-critic", steps=4000), "Ergodic": dict(world="ergodic"), "No limit": dict(method="actor-critic", world="ergodic", clip=np.inf)})

# %% [markdown]
# ### A portfolio, beside the sequel's table
#
# A stock with drift μ and volatility σ, target mean wealth 1.4 after a year of daily trading, least variance. The best policy is $u=-g\,(X-w)$, $g=\rho/\sigma$, ρ = μ/σ.
# Its Sharpe ratio is known for *every* gain: |ρ| as g → 0, $\sqrt{e^{\rho^2}-1}$ at the top. The actor starts at 0 and climbs.

# %%
from rlkit.envs.portfolio import Market
from rlkit.papers import martingale_portfolio as mp

print("   μ    σ | |ρ|   best daily | ours, 50 lots: CTD  MSTDE (mean wealth) | published: MSTDE  martingale  online")
for (mu, sigma), table in list(mp.PUBLISHED.items())[:3]:
    m = Market(mu, sigma)
    end = {c: list(mp.portfolio(mp.PortfolioConfig(mu=mu, sigma=sigma, critic=c, lots=50, runs=1), np.random.default_rng(0)))[-1] for c in ("CTD", "MSTDE")}
    ours = "  ".join(f"{s.sharpe.mean():.2f}" for s in end.values())
    print(f"{mu:4} {sigma:4} | {abs(m.rho):.2f} {float(m.sharpe(m.best(1 / 252))):8.2f}   | {ours:>20} ({end['CTD'].mean.mean():.2f})" + " " * 14 + "| " + "  ".join(f"{v:.2f} ({sd:g})" for v, sd in table))

# %% [markdown]
# Three cautions. The published rival differs in its critic *and* its actor; ours changes the critic alone, and then hardly
# anything changes: the best action is the same under either J. What riskless rate the table takes and how it measures the ratio was not
# available to us: ours is exact, of the policy's mean, with r_f = 0. And the online variant misses the target mean (1.92, 1.83 and 1.79 in these
# rows, where 1.4 was asked), so its ratios cannot be read alone. With the sequel's 20,000 lots (3 minutes) ours reaches gain 3.55 of
# 7.5, Sharpe ratio 2.34 and mean wealth 1.40 for μ = .3, σ = .2.

# %% [markdown]
# ## Exercises
#
# Each check says which property fails and gives one hint more at every try; the solution is folded below the question.
#
# **1. Where the test function looks.**

# %%
from rlkit.exercises import martingale_td as exercise

exercise.place


# %%
def limit(eta, beta, kappa):
    ...                                       # your line here


exercise.place.check(limit)

# %% [markdown]
# **2. λ per step** instead of per unit time.

# %%
exercise.per_step

# %%
exercise.per_step.check(...)                  # a number

# %% [markdown]
# **3. A budget** of samples, or of time.

# %%
exercise.budget

# %%
exercise.budget.check(...)                    # a pair: (0.1, 0.1)

# %% [markdown]
# **4. Delete one word.**

# %%
exercise.word


# %%
def loss(J, J_next, pay):
    ...                                       # your line here


exercise.word.check(loss)

# %% [markdown]
# **5. The top of q.**

# %%
exercise.steer


# %%
def top(aa, xa, a_, tau):
    ...                                       # your line here


exercise.steer.check(top)

# %% [markdown]
# ## What the paper claims, and what was measured here

# %%
from rlkit import claims

claims.table("martingale_td", seed=0, fast=True)

# %% [markdown]
# ## Going further
#
# - Jia, Zhou, *Policy Evaluation and Temporal-Difference Learning in Continuous Time and Space: A Martingale Approach*, JMLR 23(154), 2022, [arXiv 2108.06655](https://arxiv.org/abs/2108.06655).
# - Jia, Zhou, *Policy Gradient and Actor-Critic Learning in Continuous Time and Space*, JMLR 23(275), 2022, [arXiv 2111.11232](https://arxiv.org/abs/2111.11232): the policy gradient is one more evaluation problem.
# - Jia, Zhou, *q-Learning in Continuous Time*, JMLR 24(161), 2023, [arXiv 2207.00713](https://arxiv.org/abs/2207.00713): Q loses its action as Δt → 0; q does not.
# - Zhu, *PhiBE*: a Bellman equation in the form of a PDE, with less bias for the same samples.
# - Open: with the number of samples fixed there is a best Δt (exercise 3). Is there an estimator that needs no such choice?
