# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 2. Dichotomy of control: good actions, told from good luck
#
# **The question.** "Show me what people did who ended up rich, and do that." It is advice that many offline RL methods
# follow: condition on a high return, imitate. In a world with luck it tells you to buy lottery tickets. Can a method learn
# from returns, and yet not confuse what was *done* with what *happened*?
#
# **You will learn** why asking for a return promises what it cannot keep, with the exact formula · how to learn *what* to
# condition on: a latent that knows the actions and not the luck · a price β on luck, and the threshold at which luck leaves ·
# a bound on broken promises, and what the method does *not* give.  **45 minutes.**
# Paper: Yang, Schuurmans, Abbeel and Nachum, *Dichotomy of Control: Separating What You Can Control from What You Cannot*,
# ICLR 2023. The worlds' numbers and the closed forms are ours, in its spirit.
#
# Run the next three cells, then press **Run**, and while it runs drag **β** up to 5.

# %% tags=["hide-input"]
import numpy as np
from dataclasses import replace
from rlkit import figures, live
from rlkit.papers import dichotomy_exact as exact, dichotomy_lake as ice, dichotomy_of_control as doc
from rlkit.papers.dichotomy_experiment import curves, in_words, standings

# %% tags=["hide-input"]
def promises(s, cfg):
    """Every living code of every run, and every return RCSL may be asked for: promised against earned."""
    alive = s.book.p > doc.floor(s.records)
    V, W, g = s.book.V[alive], s.worth[alive], np.broadcast_to(s.records.levels, s.rcsl.shape).ravel()
    pads = ({} if cfg.method == "RCSL" else {cfg.method: np.r_[V, g * np.nan]}) | {"RCSL": np.r_[V * np.nan, g]}
    pane = figures.parity(pads, np.r_[W, s.rcsl.ravel()], "promised return", "earned return", "Promises kept?", size=9)
    if cfg.method != "RCSL":
        pane.traces[0]["marker"]["size"] = np.r_[5 + 18 * np.sqrt(s.book.p[alive]), g * 0 + 9]         # as large as p(z)
    return pane


def over_time(history, cfg):
    """What was promised and earned, and how much luck and skill z knew, in all runs."""
    take, steps = lambda name: np.array([getattr(s, name) for s in history]), [s.step for s in history]
    axis = dict(steps=True, x_range=(0, cfg.steps))
    pay = figures.curves(steps, {k: take(k) for k in ("promised", "earned")}, "updates", "return", "The code acted on", **axis)
    know = figures.curves(steps, {k: take(k) for k in ("luck", "skill")}, "updates", "nats an episode", "What z knows", **axis)
    gap = figures.curves(steps, {"broken promise": take("gap"), "bound": take("bound")}, "updates", "return", "Broken promises", **axis)
    return figures.level(pay, history[-1].optimum, "best"), know, gap


def told(s, cfg):
    return (f"{cfg.method}, mean of {cfg.runs} runs: promised {s.promised.mean():.3f}, earned {s.earned.mean():.3f}, at best {s.optimum:.3g}; luck in z {s.luck.mean():.3f} nats, "
            f"skill {s.skill.mean():.3f}. RCSL, asked for {s.records.levels[-1]:g}, earns {s.rcsl[:, -1].mean():.3f}.")


def small(history, cfg):
    if cfg.world == "lake":
        return on_ice(history, cfg)
    s, (pay, know, _) = history[-1], over_time(history, cfg)
    one = s.records if s.records.weight.ndim == 1 else s.records._replace(**{k: getattr(s.records, k)[0] for k in ("weight", "count", "ret")})
    words, keep = in_words(cfg.world, one), one.weight > 0
    rows = sorted(np.flatnonzero(keep), key=lambda i: words[i])
    codes = np.argsort(-s.book.p[0])[:8]
    map_ = figures.heat(s.q[rows][:, codes], [f"{z + 1}" for z in range(len(codes))], [words[i] for i in rows], "code z", "", "Who is in which code")
    return figures.board([map_, promises(s, cfg), pay, know], says=told(s, cfg), height=620)


# %% tags=["hide-input"]
def on_ice(history, cfg):
    s, (pay, know, gap) = history[-1], over_time(history, cfg)
    z, rcsl = int(s.act[0].argmax()), exact.book(s.records, exact.return_code(s.records)).pi[0, -1]
    maps = []
    for pi, title in ((s.book.pi[0, z], f"{cfg.method}: the code it acts on"), (rcsl, "RCSL asked for 1")):
        visits = ice.visits(cfg.p, pi).reshape(4, 4)
        maps.append(figures.grid(visits, pi.reshape(4, 4, 4), ice.MARKS, title))
    return figures.board([*maps, promises(s, cfg), pay, know, gap], says=told(s, cfg), height=860, gap=(0.13, 0.12))


base = doc.Config(Z=4, alpha=0.02, steps=3000)                                          # slow steps, so that there is time to drag
presets = {"λ = 1, β = 2": {}, "Paper": dict(lam=0.0, beta=1.0, n=1000.0), "Free luck": dict(beta=0.01), "All luck": dict(p=0.5),
           "No luck": dict(world="lottery", p=1.0, phi=0.5, eps=0.5, Z=8), "Lottery": dict(world="lottery", phi=0.5, eps=0.5, Z=8), "Figure 1": dict(world="tree", p=0.01),
           "Wrong sign": dict(wrong_sign=True), "Too few negatives": dict(energy="climbs", negatives=1.0)}
presets = {name: replace(base, **changes) for name, changes in presets.items()}
live.Panel(doc.dichotomy, presets["Free luck"], small, title="What z knows, and what its promise is worth", every=2, presets=presets,
           knobs=["beta", "p", "world", "method", "lam", "request", "n", "Z", "K", "wrong_sign", "seed"])

# %% [markdown]
# **What you see.** Two arms: the good one pays 1 with probability 0.9, the bad one with 0.1; the data pull the good arm once in
# ten times. So a payment is as often luck (bad arm) as skill. *Top left*: which code z each kind of episode is given, in the first run.
# *Top right*: what each code promises against what it earns, eight learners at once; the orange square at the right is
# return-conditioned learning (RCSL) asked for 1: it promises 1 and earns 0.5. *Below*: the promise of the code acted on and what it
# earns, and what z knows of luck and of actions (skill), in nats.
#
# **Try now.** (1) At β = 0.01 one code means "was paid": full of luck, promise 1. Press Run and drag β to 5: the luck curve
# falls to 0, the two "paid" rows part, promise and pay meet at 0.9. (2) *Wrong sign*: what a sign in the released code does.
# (3) *Lottery*, then *Figure 1*. (4) *No luck*: all methods agree, as they must.

# %% [markdown]
# ## The setting, and the idea
#
# An episode τ has actions $a_t$, rewards $r_t$ and next states $s_{t+1}$, and a return $R(\tau)$. Return-conditioned learning imitates the
# part of the data that got the return $g$. By Bayes that is
#
# $$\pi(a\mid s,g)=\pi_D(a\mid s)\,\frac{\Pr(R=g\mid s,a)}{\Pr(R=g\mid s)},\qquad\text{with }R\in\{0,1\},\ g=1:\quad \pi_D\,\frac{Q_D}{V_D},$$
#
# one soft step away from the behaviour $\pi_D$, while the promise is $g$ whatever $Q$ is. On the arms $p(1-p)$ stands against $(1-p)p$: a coin.
#
# Dichotomy of control learns a latent z of the whole episode, with $q(z\mid\tau)$ and a policy $\pi(a\mid s,z)$, such that z explains the
# actions and is **independent of what chance added**, step by step:
#
# $$\min_{\pi,q}\ E\sum_t-\log\pi(a_t\mid s_t,z)\qquad\text{subject to}\qquad MI(r_t,s_{t+1};z\mid s_t,a_t)=0 .$$
#
# Then $V(z)=E[R\mid z]$ is the true value of $\pi(\cdot\mid\cdot,z)$: every visit to a state is entered by a transition, and given z the transitions are
# those of the world. So one may safely take the best z. In practice the constraint is a price β, and an adversary f measures it:
#
# $$\min_{\pi,q}\max_f\ E\sum_t\Big[-\log\pi(a_t\mid s_t,z)+\beta\big(f(o_t,z,s_t,a_t)-\log E_{o\sim\rho}e^{f(o,z,s_t,a_t)}\big)\Big],\qquad o=(r,s').$$
#
# **f climbs, q and π descend.** In tables the best f is known, and the price of an episode is $\beta\log\Pr(o\mid z,s,a)/\Pr(o\mid s,a)$: how much z knew.
# One more term matters: the released code also asks z to foretell the return, $\lambda H(R\mid z)$. That is what makes luck tempting. A nat of luck
# earns at most λ and costs β: **luck leaves once β > λ**.

# %% [markdown]
# ## The core
#
# A free table of logits $Q_{iz}$; all else is counting. Each episode leans towards the codes that cost it least.

# %% tags=["core"]
def gradient(Q, w, M, R, s, sa, beta, lam, method="DoC"):
    """∂loss/∂Q, over w.  w [N] weights, M [N, E] transitions of each episode, R [N]; s, sa [E] state and pair of each."""
    q = np.exp(Q - Q.max(1, keepdims=True))
    q /= q.sum(1, keepdims=True)                                          # q(z|τ) [N, Z]
    c = (w[:, None] * q).T @ M                                            # visits c_z(s, a, o) [Z, E]
    within = lambda c, key: c @ (key[:, None] == key)                     # summed over what shares the key
    log_pi = np.log(within(c, sa) / within(c, s))                         # π(a|s, z)
    log_luck = np.log(c / within(c, sa)) - np.log(c.sum(0) / within(c.sum(0), sa))
    p = w @ q                                                             # p(z)
    log_R = np.log(((R[:, None] == R) * w) @ q / p)                       # Pr(R_i | z) [N, Z]
    cost = -M @ log_pi.T - lam * log_R
    cost += beta * (M @ log_luck.T if method == "DoC" else np.log(q / p))
    return q * (cost - (q * cost).sum(1, keepdims=True))

# %%
from rlkit.envs import lottery

rec = exact.enumerate_episodes(lottery.lottery(0.1), lottery.behaviour(), 2)
s, a, _ = rec.edge.T
Q = np.random.default_rng(0).normal(size=(len(rec.ret), 8))
for method in ("DoC", "VAE"):
    q = np.exp(Q) / np.exp(Q).sum(1, keepdims=True)
    cost = doc.cost(rec, q, exact.book(rec, q), 3.0, 1.0, method)
    np.testing.assert_allclose(gradient(Q, rec.weight, rec.count, rec.ret, s, 2 * s + a, 3.0, 1.0, method), q * (cost - (q * cost).sum(1, keepdims=True)), atol=1e-12)
for _ in range(3000):
    Q -= gradient(Q, rec.weight, rec.count, rec.ret, s, 2 * s + a, 3.0, 1.0)
b = exact.book(rec, np.exp(Q) / np.exp(Q).sum(1, keepdims=True))
for z in np.flatnonzero(b.p > 0.01):
    print(f"code {z}: share {b.p[z]:.2f}, promises {b.V[z]:.3f}, earns {exact.worth(rec, b.pi)[z]:.3f}")

# %% [markdown]
# ## Exact truth first
#
# **RCSL** needs no learning in a small world, and a **clean latent** exists without learning too: "which plan was being followed?", where a plan
# names an action for every state and what was not visited is completed at random (Kuhn's theorem). Its luck is 0 to the last digit, and it keeps every promise.

# %%
behaviour = lottery.behaviour()
print("chance  asked for: 0.1    0.2    0.5    1.0  | clean latent: luck, largest broken promise, best | optimum")
for p in (0.1, 0.3, 0.6, 1.0):
    mdp = lottery.lottery(p)
    rec = exact.enumerate_episodes(mdp, behaviour, 2)
    asked = exact.worth(rec, np.stack([exact.rcsl(mdp, behaviour, g, 2) for g in (0.1, 0.2, 0.5, 1.0)]))
    k = exact.book(rec, exact.kuhn(rec, behaviour))
    earns = exact.worth(rec, k.pi)
    print(f"{p:5}  earns  {asked.round(3)} | {k.luck:.0e}, {np.abs(k.V - earns).max():.0e}, {earns.max():.3f} | {max(0.5, p + 0.1 * (1 - p)):.3f}")

# %% [markdown]
# *Explore it*: above, what a request earns as luck changes, and every request and every plan of the clean latent at the p chosen; below, what the *learned* latent
# promises and earns as its price changes. Move p, the request, λ; try the other worlds. The dotted line below is β = λ.

# %% tags=["hide-input"]
def truth(cfg):
    e = curves(cfg)
    left = figures.curves(e.p, {"RCSL": e.asked, "behaviour": e.bc, "exact": e.best}, "p, how much luck decides", "return", f"RCSL asked for {e.request:g}", x_range=(0, e.p[-1]))
    left = left._replace(shapes=[dict(type="line", x0=cfg.p, x1=cfg.p, yref="domain", y0=0, y1=1, line=dict(color=figures.GHOST, dash="dot", width=1))])
    left.traces[2]["name"] = left.traces[2]["legendgroup"] = "best, and clean latent"
    right = figures.curves(e.beta, {"promised": e.promised, "earned": e.earned}, "price β (luck is worth λ)", "return", f"The learned latent, p = {cfg.p:g}", log_x=True, markers=True)
    known = figures.curves(e.beta, {"luck": np.maximum(e.luck, 0)}, "price β", "nats an episode", "Luck in the latent", log_x=True, markers=True)
    edge = dict(type="line", x0=cfg.lam, x1=cfg.lam, yref="domain", y0=0, y1=1, line=dict(color=figures.GHOST, dash="dot", width=1))
    right, known = (pane._replace(shapes=[edge]) if cfg.lam > 0 else pane for pane in (right, known))
    V, nan = e.plans.T, np.full(len(e.levels), np.nan)
    kept = figures.parity({"clean latent": np.r_[V[0], nan], "RCSL": np.r_[V[0] * np.nan, e.levels]}, np.r_[V[1], e.pays], "promised return", "earned return", f"Plans and requests, p = {cfg.p:g}", size=9)
    return figures.board([left, kept, right, known], says=f"Asked for {e.request:g} at p = {cfg.p:g} RCSL earns {np.interp(cfg.p, e.p, e.asked):.3f}, the best is {np.interp(cfg.p, e.p, e.best):.3f}. "
                         f"The latent promises {e.promised[0].mean():.2f} and earns {e.earned[0].mean():.2f} at β = {e.beta[0]:.2g}, {e.promised[-1].mean():.2f} and {e.earned[-1].mean():.2f} at {e.beta[-1]:.2g}.", height=620)


ticket = dict(world="lottery", phi=0.5, eps=0.5)
live.Explorer(truth, doc.Config(Z=4), sweep="p", title="Promised and earned, exactly", knobs=["p", "request", "lam", "world", "method", "phi", "eps", "seed"],
              presets={"Arms": doc.Config(Z=4), "Lottery": ticket, "A modest request": ticket | dict(request=0.5), "Figure 1": dict(world="tree", p=0.01), "VAE": dict(method="VAE")})

# %% [markdown]
# **The bound.** A latent that knows MI nats of luck breaks its promises on average by at most $(R_{max}-R_{min})\sqrt{MI/2}$ (chain rule, Pinsker, Jensen). 400 learners on their way:

# %%
some = [s for p in (0.1, 0.3) for beta in (0.0, 0.5, 1.5) for s in doc.dichotomy(doc.Config(world="lottery", phi=0.5, eps=0.5, p=p, beta=beta, steps=80), np.random.default_rng(0), every=10)]
gap, bound, luck = (np.concatenate([getattr(s, k) for s in some]) for k in ("gap", "bound", "luck"))
assert (gap <= bound + 1e-9).all()
order = np.argsort(luck)
pane = figures.curves(luck[order], {"bound": bound[order]}, "luck in z, MI (nats an episode)", "mean broken promise", f"No promise is broken by more: {len(gap)} latents")
pane = pane._replace(traces=[*pane.traces, *figures.points(luck, gap, "", "", name="broken promise").traces])
live.Plot(figures.board([pane], height=340, says=f"Of {len(gap)} latents the gap is at most {np.max(gap / np.maximum(bound, 1e-12)):.2f} of its bound."))

# %% [markdown]
# ## Learned: a latent one can look at
#
# So far z was a code and f a table. Now both are networks, and z is a point in the plane: one pull of an arm (which arm, did
# it pay?) is read as a cloud $q(z|a,r)=N(\mu_{a,r},\sigma^2)$. Four clouds, shown twice: coloured by **the arm** (skill, a choice) and by
# **whether it paid** (luck, none of your doing). Run it. Predict first: which of the two colourings should fall apart into two clouds?

# %% tags=["hide-input"]
from rlkit.papers import dichotomy_networks as net


def plane(history, cfg):
    s, steps = history[-1], [h.step for h in history]
    z, star = s.z[0], {"acted on": s.chosen[:1]}                       # z [4, batch, 2]: cells (arm, pay) of one run
    arms = {"good arm": np.concatenate(z[:2]), "bad arm": np.concatenate(z[2:])} | star
    pays = {"it paid": np.concatenate(z[1::2]), "it did not": np.concatenate(z[::2])} | star
    show = dict(x_title="z₁", y_title="z₂", low=-8, high=8)
    kept = figures.curves(steps, {k: np.array([getattr(h, k) for h in history]) for k in ("promised", "earned")}, "updates", "return",
                          "Is the promise kept?", y_range=(0, 1.05), x_range=(0, cfg.steps), steps=True)
    luck = figures.curves(steps, {"luck": np.array([h.luck for h in history])}, "updates", "nats", "Luck in z, as f reads it", y_range=(-0.1, 0.75), x_range=(0, cfg.steps), steps=True)
    says = f"After {s.step} updates the best latent promises {np.median(s.promised):.2f} and earns {np.median(s.earned):.2f}; the good arm pays {1 - cfg.p:.2f}."
    return figures.board([figures.clouds(arms, **show, title="Latents, coloured by arm"), figures.clouds(pays, **show, title="The same, by luck"), figures.level(kept, 1 - cfg.p, "exact"), luck], says=says, height=680)


plain = net.GaussianConfig(runs=4, steps=400)
live.Panel(net.gaussian, plain, plane, title="Luck leaves the latent", every=20, knobs=["beta", "lam", "p", "method", "sign", "K", "f_steps", "sigma", "runs", "seed"],
           presets={"DoC": plain, "No price": dict(beta=0.0), "Wrong sign": dict(sign=-1), "Future-VAE": dict(method="VAE", beta=1.02), "VAE, too dear": dict(method="VAE", beta=2.0)})

# %% [markdown]
# **What you see.** With β = 3 the arms part and the lucky lie on top of the unlucky: z can say *which arm*, and cannot say *it will
# pay*. The promise settles near .7 and is kept (a little more is promised: the best of 100 guesses of V is an optimist).
#
# **Try.** (1) *No price*: now the second picture falls apart too, the promise is 1, and mostly the **bad** arm is pulled: the data pull it more often, so
# most lucky pulls are of the bad arm. (2) *No price* again, and near update 150 drag β to 3: the clouds merge and the promise falls from 1 to .75, which is
# kept. Do not wait too long: after 400 updates without a price two runs in eight never came back, for between clouds that lie far apart f is sure of itself and has no slope to push by. (3) *Future-VAE*: β = 1.02 is nearly right, at 2 all four clouds lie
# on one spot, and z means nothing. The VAE has one knob for two prices.

# %% [markdown]
# ## Explore
#
# | do (first panel) | predict | why |
# |---|---|---|
# | β from 0.5 to 3 at λ = 1, world lottery | where does luck leave? | the chain rule says β > λ. At 1.2 λ some first guesses are still stuck (about 18 in 100 runs), at 1.5 λ none is acted on |
# | *Paper* (λ = 0, 1000 pulls) | is a price needed at all? | hardly: without a wish for returns luck does not help the actions. V(z) now has sampling error: about 100 pulls of the good arm |
# | method VAE, λ = 0, β 0.9, then 1.1 | the optimum or a copy of the data? | loss $=H(a)-(1-\beta)I(z;a)$: a switch at β = 1 |
# | method VAE, λ = 1, β 1.02 … 2 | is there a good price? | $z=a$ is best only for $1<\beta<1+I(a;r)/H(a)$: (1, 1.45) at p = .1, (1, 1.007) at p = .45; the edges are soft |
# | request 1 → 0.5 with method RCSL in the lottery | which request is honest? | 0.5: nobody gets it by luck alone |
# | K from 100 to 1 | what is lost? | with one proposal you follow a random latent, on average the behaviour itself |

# %% [markdown]
# ## A real task: FrozenLake
#
# Gymnasium's FrozenLake, its own table of probabilities; a move slips with probability p. One episode in five is driven by an expert who knows the
# ice, the others by someone hasty; both err at random. 1000 episodes, a data set for each of the eight runs. Values are exact (dynamic programming), never roll-outs.

# %% tags=["hide-input"]
lake = doc.Config(world="lake", n=1000.0, p=ice.ICE, lam=10.0, beta=20.0, alpha=0.05, steps=400)
live.Panel(doc.dichotomy, lake, small, title="On the ice", every=4, knobs=["beta", "p", "method", "lam", "n", "phi", "eps", "K", "decode", "energy", "negatives", "seed"],
           presets={"β = 2 λ": lake, "Free luck": dict(beta=0.01), "Firm": dict(beta=50.0), "Dry ground": dict(p=0.0), "Little data": dict(n=100.0), "Greedy decoding": dict(decode="argmax"),
                    "Too few negatives": dict(energy="climbs", negatives=4.0), "Wrong sign": dict(wrong_sign=True), "VAE": dict(method="VAE", lam=0.0, beta=1.0), "One noisy policy": dict(phi=1.0, eps=0.5, n=2000.0, beta=50.0, Z=16)})

# %%
worlds = {"two arms, p = .1": doc.Config(Z=4), "lottery, p = .1": doc.Config(**ticket), "figure 1": doc.Config(world="tree", p=0.01, beta=3.0), "lake, usual ice": replace(lake, alpha=0.1, steps=200), "lake, dry": replace(lake, p=0.0, n=300.0, alpha=0.1, steps=200)}
print("promised → earned (mean of 8 runs)\n")
for name, cfg in worlds.items():
    rows, best = standings(cfg)
    told_ = {k: f"{v[0].mean():.3g} → {v[1].mean():.3g}" for k, v in rows.items()}
    print(f"{name:18}" + "".join(f" {k:>7} {v:16}" for k, v in told_.items()) + f" best {best:.3g}")

# %% [markdown]
# On ice DoC earns 0.30 where asking for success earns 0.18, and 0.74 is possible: it finds the better of the people it saw, minus their noise, no more.
# Its promise is too high by 0.1: the best of eight noisy means (the winner's curse), not luck in z. The VAE, with λ = 0 and the right price, is a fair rival here: fragile rather than hopeless.
#
# **Greedy decoding hides the fault.** Play the likeliest action instead of drawing from π and even a copy of the data reaches 0.6: noise is gone, and the majority
# of careful steps wins. The theorem, and the comparison above, speak of drawn actions.

# %% [markdown]
# ## The rival in person: a Decision Transformer on the lake
#
# Return-conditioned learning is best known as a transformer that reads $\hat R_0 s_0 a_0\,\hat R_1 s_1 a_1\dots$ and foretells each $a_t$ from the
# token of $s_t$; $\hat R_t$ is the return still to come. Ours has 26,000 parameters and the same data as before. Asked for $\hat R=1$, it
# promises 1. The dashed line is what *counting* earns (the exact table $\pi\propto\pi_D\,Q_D$ of above, from the same data).

# %% tags=["hide-input"]
from rlkit.mdp import occupancy
from rlkit.papers import decision_transformer as dt


def transformer(history, cfg):
    s, steps = history[-1], [h.step for h in history]
    curve = figures.curves(steps, {"DT": np.array([h.earned for h in history])}, "updates", "chance to arrive", f"Promised {cfg.request:g}, earned", y_range=(0, 0.8), x_range=(0, cfg.steps), steps=True, markers=True)
    visits = occupancy(ice.lake(cfg.slip).mdp, s.pi[0], horizon=ice.HORIZON).sum(-1).reshape(4, 4)
    moves = figures.grid(visits, s.pi[0].reshape(4, 4, 4), ice.MARKS, "What it does where, with no memory yet")
    bars = figures.bars(["asked for", "DT", "RCSL", "BC"], [cfg.request, s.earned.mean(), s.rcsl.mean(), s.clone.mean()], "Promise and pay", "chance to arrive", (0, 1.15), looks=["luck", "DT", "RCSL", "BC"])
    says = f"After {s.step} updates the transformer earns {s.earned.mean():.2f}; counting earns {s.rcsl.mean():.2f}, cloning {s.clone.mean():.2f}."
    return figures.board([figures.level(curve, s.rcsl.mean(), "RCSL"), moves, bars], columns=3, says=says, height=380)


four = dt.Config(runs=2, steps=250, K=4, games=100)
live.Panel(dt.decision_transformer, four, transformer, title="Ask for a return", every=50, knobs=["request", "decode", "K", "slip", "phi", "eps", "n", "steps", "seed"],
           presets={"Four steps of memory": four, "One step": dict(K=1, batch=512, lr=1e-2), "Eight steps": dict(K=8, steps=500), "Greedy": dict(decode="best"), "Dry ground": dict(slip=0.0)})

# %% [markdown]
# **Try.** (1) *One step*: it comes out where counting does, as it must: it is the same estimate with a network in place of a table. (2) *Eight
# steps*: it earns more. Memory lets it see from its own moves who is driving, the hasty or the expert, and successes that took long were mostly the
# expert's. Its promise is as empty as before. (3) *Greedy*: taking the likeliest move hides the fault, and lifts even cloning. (4) R̂ = 0:
# it has learned to fail, too. (5) *Dry ground*: without luck, asking is getting.

# %% [markdown]
# ### DoC with an encoder
#
# The network that reads whole episodes: counts of every $(s,a,s')$ go in, eight codes come out, f is a table of 64 × 16 × 8 numbers that climbs five steps for
# each step that q and π descend. Each dot is one dataset: promise to the right, pay upwards; on the line a promise is kept.

# %%
def kept(groups, title, x_title="promised", y_title="earned", low=0, high=1.05):
    pane = figures.clouds({k: np.stack(v, -1) for k, v in groups.items()}, x_title, y_title, title, low, high, size=11)
    line = dict(type="line", x0=low, x1=high, y0=low, y1=high, line=dict(color=figures.EXACT, dash="dot", width=1.5))
    return pane._replace(shapes=[line])


ends = {b: list(net.lake(net.LakeConfig(beta=b, runs=3, steps=300), np.random.default_rng(0), every=300))[-1] for b in (20.0, 0.0)}
s = ends[20.0]
groups = {"DoC": (s.promised, s.earned), "no price": (ends[0.0].promised, ends[0.0].earned), "RCSL": (np.ones(3), s.rcsl)}
live.Plot(figures.board([kept(groups, "The lake: who keeps a promise?")], height=420, says="; ".join(f"{k}: promised {np.mean(p):.2f}, earned {np.mean(e):.2f}" for k, (p, e) in groups.items())))

# %% [markdown]
# At β = 0 the best code is a list of lucky episodes: it promises 1, and following it is exactly what asking for 1 is. With the price DoC promises a
# quarter, earns a quarter, and that is more. It is *less* than the free table of codes earns (an encoder must say the same of episodes that look alike), and
# less than the transformer with eight steps of memory. Honest is not optimal.

# %% [markdown]
# ## A real task: a pendulum in gusts
#
# `Pendulum-v1` of Gymnasium starts leaning a little too far: full torque *almost* holds it. Gusts push it, with the time-varying
# scale $\sigma(1-e^{-t/100})\sin t$ that the paper adds to MuJoCo's actions. Half of the data come from someone **bold**, who stands against the fall, half from someone **cautious**,
# who lets it fall, swings up on the other side and stops there. All returns, sorted:

# %%
from rlkit.papers import dichotomy_continuous as gusts

rank, rng = np.linspace(0, 1, 500), np.random.default_rng(0)
G = {who.__name__: np.sort(gusts.play(who, 500, 2.0, 0.42, rng).reward.sum(0)) for who in (gusts.bold, gusts.cautious)}
pane = figures.curves(rank, G, "share of the episodes", "return", "The best fifth of the bold beat all the cautious", y_range=(-310, 10))
live.Plot(figures.board([pane], height=340, says="; ".join(f"{k}: mean return {v.mean():.0f}, best tenth {np.quantile(v, 0.9):.0f}" for k, v in G.items())))

# %% [markdown]
# Ask for the best return, and you ask for the bold *and* for their luck. Three learners on the same 300 episodes: cloning
# (BC), a network told the return (RCSL, asked for the best twentieth), and DoC with four codes. The energy reads luck in the surprise of each next speed.

# %% tags=["hide-input"]
def pendulum(history, cfg):
    s, steps = history[-1], [h.step for h in history]
    groups = {"DoC": (s.promised, s.earned), "RCSL": (s.asked, s.rcsl)}
    dots = kept(groups, "A dot a dataset", low=-280, high=10)
    runs = {k: np.array([getattr(h, f) for h in history]) for k, f in (("DoC", "earned"), ("RCSL", "rcsl"), ("BC", "clone"))}
    earned = figures.curves(steps, runs, "updates", "return earned", "What each earns", y_range=(-300, 10), x_range=(0, cfg.steps), steps=True, markers=True)
    for value, name in zip(s.drivers.mean(0), ("cautious", "bold")):
        earned = figures.level(earned, value, name)
    says = "; ".join(f"{k}: promised {p.mean():.0f}, earned {e.mean():.0f}" for k, (p, e) in groups.items()) + f"; BC earned {s.clone.mean():.0f}; luck left in z: {s.lucky.mean():.0%} of the bold's spread"
    return figures.board([dots, earned], says=says, height=420)


windy = gusts.Config(runs=4, steps=400, games=60)
live.Panel(gusts.doc, windy, pendulum, title="Bold or cautious?", every=80, knobs=["beta", "lam", "sign", "sigma", "lean", "Z", "n", "steps", "runs", "seed"],
           presets={"DoC": windy, "No price": dict(beta=0.0), "Wrong sign": dict(sign=-1), "Still air": dict(sigma=0.0, lean=0.36, steps=800), "Storm": dict(sigma=3.0)})

# %% [markdown]
# **In full** (recorded; 16 datasets, mean and 95 % interval; half a minute of one core each, `python -m rlkit claims dichotomy_networks` measures it again):
#
# | method | promises | earns after 400 updates | earns after 1200 |
# |---|---|---|---|
# | DoC, β = 30 | -125 [-126, -125]; -122 [-126, -114] | **-132** [-135, -130] | -131 [-140, -126] |
# | RCSL, the best twentieth | -5 | -191 [-199, -184] | -132 [-149, -117] |
# | BC | no promise | -256 [-259, -253] | -204 [-211, -196] |
# | DoC, β = 0 | -52 [-71, -35] after 1200 | | -189 [-198, -178] |
# | DoC, wrong sign | -66 [-80, -54] after 1200 | | -190 [-200, -176] |
# | the data: cautious, bold | | -126, -196 | |
#
# Read it honestly. DoC **keeps its promise** (one dataset in sixteen kept some luck after the long training); RCSL's is empty
# however long it trains. But in what they *earn* the long training makes them equal, and on single datasets RCSL wins (-103): once the luck has failed, it is where nobody ever got -5, and
# there the network falls back on what the cautious did. That is a lucky way to extrapolate, not a property of the method: nothing in the request says so. BC averages two people into one who does neither.
# A first design, in which the bold swing up with too little torque, was dropped: whether they arrive hangs on 3 % of torque, and an imitator's error outweighs the gusts.
#
# **Try.** (1) *No price*, then *Wrong sign*: a code of the lucky is found, taken and regretted. (2) *Still air*, where full torque holds: RCSL and DoC promise -3
# and earn -3. (3) *Storm*: the gusts now topple the cautious too. What happens to everybody's promise?
#
# **The other recorded runs** (about five minutes for all slow claims): on the lake, ten datasets and 600 updates, DoC earns more than RCSL by .03 to .06 (two seeds; f a table or a network), and misses
# its promise by .02; a VAE with λ = 0 is as good (-.01 and +.02), with λ = 10 it misses its promise by .82. A transformer with eight steps of memory earns .06 ± .01 more
# than one with a single step, and so as much as DoC; the likeliest move instead of a drawn one is worth .53 ± .02.

# %% [markdown]
# ## Where it breaks
#
# | what | preset | measured |
# |---|---|---|
# | the sign: q climbs with f | *Wrong sign* | the arms: promises 1.0, earns 0.5, luck 0.32 of 0.325 nats there are |
# | an f with few negatives | *Too few negatives* | outcomes that were not drawn cost nothing: f runs away, q flees from its noise to a copy of the data (0.12 against 0.08) |
# | little data | *Little data* | with 100 episodes RCSL is ahead by 0.03 to 0.06, at 200 DoC by 0.02, at 400 by 0.05, at 1000 by 0.12 |
# | not optimal | lottery with p = 0.6, β = 10 | about one run in four earns .60 to .635 of .64: it paired "good if won" with "bad if lost". Half of these keep their promise all the same: consistent, not the best |
# | no mixture to find | φ = 0 on the lake | everybody is hasty: no latent can help |
#
# The last two are not faults of the fit: $\{\pi_z,p(z)\}$ splits the behaviour into a mixture of plans, and there are many ways to split it. The clean
# mixture of all plans holds the best one, but its share may be tiny: K draws find it with probability $1-(1-p(z^*))^K$.

# %% [markdown]
# ## Exercises
#
# Each check says which property fails and gives one hint more at every try; the solution is folded below the question.
#
# **1. Asking for a return, by Bayes.**

# %%
from rlkit.exercises import dichotomy_of_control as exercise

exercise.posterior


# %%
def conditioned(pi_D, chance):
    ...                                       # your line here


exercise.posterior.check(conditioned)

# %% [markdown]
# **2. The price of luck.**

# %%
exercise.price

# %%
exercise.price.check(...)                     # a number

# %% [markdown]
# **3. How much data?**

# %%
exercise.data

# %%
exercise.data.check(...)                      # 100, 200, 400, 800 or 1600

# %% [markdown]
# **4. Build a world where RCSL wins.**

# %%
exercise.rival

# %%
exercise.rival.check(...)                     # dict(n=500, K=10)

# %% [markdown]
# ## What the paper claims, and what was measured here

# %%
from rlkit import claims

claims.table("dichotomy_of_control", seed=0, fast=True)

# %%
claims.table("dichotomy_networks", seed=0, fast=True)

# %% [markdown]
# ## Going further
#
# **ESPER** (Paster, McIlraith, Ba, 2022, *You Can't Count on Luck*) has the same aim by another road. It clusters episodes, so that a policy given the
# cluster imitates well, while an adversary keeps the cluster from helping to foretell the next state: again a latent free of luck. Then it does not act on the latent:
# it replaces each episode's return by the *average return of its cluster*, and trains an ordinary return-conditioned policy on these honest labels. At test time one asks for a
# number again, but the numbers now are means that can be reached. In our words: q as here, then RCSL on $V(z(\tau))$ in place of $R(\tau)$. What the two share is the trap:
# whether the adversary sees enough, and with the right sign. What differs: ESPER needs no prior over z at test time, but it needs a request; and what happens between two clusters'
# averages is left to interpolation. Try it: in the lottery label each episode with `b.V` of its likeliest code and call `exact.rcsl` on the relabelled returns; a request of 0.5 buys safety, a
# request of 1 is no longer in the data.
#
# **Decision Mamba** (Lv, Deng, Chen, Wang, Nie, 2024) keeps the return as the condition, and asks instead which *architecture* should read the sequence and how to live with noisy labels. In
# place of attention it uses a state-space model: a coarse branch scans all 3K tokens (return-to-go, state, action), a fine branch pools each triple first, so that what belongs to one
# step is read together; and late in training the target is mixed with the model's own earlier prediction, which by then is less noisy than sub-optimal data (progressive self-evolution). The authors report an average D4RL score of
# 83.2 against 75.8 of a Decision Transformer, and slower decay when more is asked than the data hold. None of it is about luck: asked for 1 on our two arms it must be a coin
# like the others, whatever reads the tokens, because the formula above does not mention a network. Deterministic benchmarks do not show that. If you build it, take the soft target from
# an earlier copy without gradient: as we read the released snapshot, its weight is set to zero just before use, and its target contains the current prediction itself, which only rescales the loss.
#
# - Yang, Schuurmans, Abbeel, Nachum, *Dichotomy of Control*, ICLR 2023, [arXiv 2210.13435](https://arxiv.org/abs/2210.13435).
# - Brandfonbrener, Bietti, Buckman, Laroche, Bruna, *When does return-conditioned supervised learning work for offline RL?*, NeurIPS 2022: near-determinism and coverage are needed.
# - Paster, McIlraith, Ba, *You Can't Count on Luck: Why Decision Transformers and RvS Fail in Stochastic Environments*, NeurIPS 2022.
# - Chen et al., *Decision Transformer*, NeurIPS 2021, [arXiv 2106.01345](https://arxiv.org/abs/2106.01345).
# - Lv et al., *Decision Mamba: A Multi-Grained State Space Model with Self-Evolution Regularization for Offline RL*, NeurIPS 2024, [arXiv 2406.05427](https://arxiv.org/abs/2406.05427).
# - Open: among clean latents, how to learn the one whose best code is best *and* not rare?
