# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 4. Bayesian-network policies: teams that answer each other
#
# **The question.** Two climbers share one reward. Together on the high ledge they earn 11; one alone up there costs 30; the low
# ledge pays 7. Both learn by exact gradients, nothing is noisy, nothing hidden, and still most teams settle for the low ledge, where
# nobody gains by moving alone. What changes if one of them may *see what the other has chosen*, and answer? And can that help be taken away
# again afterwards?
#
# **You will learn** how a graph over the agents turns into a joint policy, and its gradient · why edges change the landscape and not the
# ceiling, unless agents see different things · why *Nash* is not *best*, and which of two gaps tells them apart · which edges are
# enough · how a team learns its own graph, and how to anneal it away.  **45 minutes.**  Paper: Chen and Zhang, *Context-Aware
# Bayesian Network Actor-Critic Methods for Cooperative Multi-Agent Reinforcement Learning*, ICML 2023. Most worlds are ours.
#
# Run the next cell, then press **Run**. When the curve has settled below 11, **click the arc between 0 and 1**.

# %% tags=["hide-input"]
import numpy as np
from dataclasses import replace
from rlkit import figures, live
from rlkit.papers import bayes_net_exact as exact, bayes_net_graphs as graphs, bayes_net_policy as bn

# %% tags=["hide-input"]
def picture(history, cfg):
    s, game, best = history[-1], cfg.world(), bn.ceiling(cfg.game, cfg.n, cfg.k)
    steps, team, A = [h.step for h in history], min(cfg.team, cfg.runs - 1), list("01234"[: max(cfg.world().actions)])
    plan = np.tensordot(game.start, s.joint[team], 1).reshape(-1, len(A))
    rows = ["".join(map(str, i)) for i in np.ndindex(game.actions[:-1])]
    pay = [[f"{v:.3g}".replace("-", "−") for v in row] for row in bn.payoff(game).reshape(plan.shape)]
    joint = figures.heat(plan, A, rows, f"action of agent {cfg.n - 1}", "action of agent 0" if cfg.n == 2 else "the others' actions",
                         f"Team {team}: plan, and pay", text=pay if len(rows) < 20 else None)
    local = figures.chances(*bn.contexts(game, s.edges, s.joint, s.tables, team), A, "action", f"Team {team}: agent | sees")
    V = {"with edges" if any(h.edges for h in history) else "no edge": np.array([h.V for h in history])}
    if min(h.eta for h in history) < 1:
        V["edges cut now"] = np.array([h.cut for h in history])
    value = figures.level(figures.curves(steps, V, "updates", "value V", f"{cfg.runs} teams", steps=True, x_range=(0, cfg.steps)), best, "best")
    gaps = {n: np.maximum([getattr(h, f) for h in history], 1e-6) for n, f in (("gap", "gap"), ("perfect gap", "perfect"))}
    gap = figures.curves(steps, gaps, "updates", "gap", "Gain of one alone", steps=True, x_range=(0, cfg.steps), log_y=True, y_range=(1e-6, 100))
    says = (f"After {s.step} updates {np.mean(s.V > .95 * best):.0%} of {cfg.runs} teams earn the best, {best:.3g}; the mean is {s.V.mean():.3g}. "
            f"Median gap {np.median(s.gap):.2g}, perfect gap {np.median(s.perfect):.2g}.")
    return figures.board([joint, local, value, gap], says=says, height=620)


alone = bn.Config(edges=(), method="NPG", alpha=0.005, steps=30_000)
off = dict(n=2, edges=((0, 1),), method="PG", alpha=0.1, steps=6000)
presets = {"No edge": alone, "Complete": replace(alone, edges=((0, 1),)), "Nearly Nash is not optimal": replace(alone, head=10.0, scale=0.3, **off),
           "Symmetry": replace(alone, game="permutation", n=3, scale=0.0, method="PG", alpha=0.3, steps=10_000),
           "Anneal": replace(alone, schedule="linear", **off), "Two plans, no edges": replace(alone, game="penalty", k=100.0, schedule="linear", **off | dict(method="NPG", alpha=0.05, steps=1000)),
           "Packets": replace(alone, game="packet", n=3, k=1.0, edges=graphs.complete(3), method="PG", alpha=0.5, steps=4000),
           "Paper": bn.Config(game="coordination", n=3, edges=graphs.complete(3), alpha=0.027, steps=2000)}
live.Panel(bn.learn, alone, picture, title="A team, and who answers whom", presets=presets,
           knobs=["edges", "game", "n", "method", "alpha", "tau", "density", "schedule", "k", "scale", "team", "seed"])

# %% [markdown]
# **What you see.** *Top left*: the joint policy of one team: the bluer a cell, the more often it is played; the number is what it pays. *Top right*: the same as local tables;
# row 1|0 is what agent 1 does if it saw a 0; the area of a square is a probability, and rows that are seldom met are faint. *Bottom left*: the value of 32 teams,
# median and middle half. *Bottom right*: what the best change of one agent would gain, twice: weighed by what is met (*gap*), and in
# the worst context of all, met or not (*perfect gap*).
#
# **Try now.** (1) Press **Run**, and draw the edge 0 → 1 when the curve has settled (or **Pause** first). The value does not jump: a new edge copies
# the table, so nothing changes *at that moment*; then the rows part, and all 32 teams climb. Take the edge away again: they stay. Why? (2) *Nearly
# Nash*: everybody starts at (1, 1). Gap near 0, perfect gap 41. Switch the gradient to NPG while it runs. (3) *Symmetry*: three agents must all differ, and
# start from zeros. Predict the curve; then draw 0 → 1, 0 → 2 and 1 → 2, one by one. (4) Now draw a cycle.

# %% [markdown]
# ## The setting, and the idea
#
# Agents $0,\dots,n-1$ share one reward $r(s,a)$ of the joint action $a=(a_0,\dots,a_{n-1})$. A directed graph without cycles says who sees whom:
#
# $$\pi_G(a\mid s)=\prod_i \pi_i\big(a_i\mid s,\,a_{\mathrm{Pa}(i)}\big),\qquad \mathrm{Pa}(i)=\{j: j\to i\}.$$
#
# No edges: everyone for itself. Every pair joined: by the chain rule any joint plan at all, at the price of tables that grow with the product of
# the parents' actions. Between the two lies a dial, the **density**, the share of pairs that are joined. The gradient of $V$ splits over the agents, since $\log\pi$ is a sum:
#
# $$\frac{\partial V}{\partial\theta_i[s,p,u]}=\frac{1}{1-\gamma}\;d(s)\,\underbrace{\pi(p\mid s)}_{\text{how often met}}\,\underbrace{\pi_i(u\mid s,p)}_{\text{how often done}}\,A_i(s,p,u),\qquad
# A_i=Q_i-\sum_u\pi_iQ_i,\quad Q_i(s,p,u)=E[\,Q(s,a)\mid s,p,u\,].$$
#
# Two factors, two traps: **contexts that nobody visits do not learn**, and neither do **policies that have made up their mind**. The natural gradient drops both: $\Delta\theta_i=\alpha A_i/(1-\gamma)$.
#
# *Why a lone learner is stuck.* Without the edge agent 0 judges a move by what agent 1 does *now*: high ledge, -30. With the edge agent 1 has an answer ready for each move, also
# for those that are not made. Every deterministic plan needs no edges at all, so where all see the state the best value is **the same for every graph**: edges change the landscape, not the ceiling.

# %% [markdown]
# ## The core
#
# Tables of size 1 where an agent is no parent: the joint policy is their product, and drawing an edge changes a size, no code.

# %% tags=["core"]
def gradient(logits, R):
    """V and ∂V/∂θ_i of one decision.  R: [A_0, …]; logits[i]: the same axes, of size 1 unless i itself or a parent."""
    pi = [np.exp(z - z.max(i, keepdims=True)) for i, z in enumerate(logits)]
    pi = [p / p.sum(i, keepdims=True) for i, p in enumerate(pi)]              # π_i(a_i | a_parents)
    joint = np.prod(np.broadcast_arrays(*pi), axis=0)                         # Π_i π_i
    grads = []
    for i, p in enumerate(pi):
        strangers = tuple(j for j, size in enumerate(p.shape) if size == 1)
        M = (joint * R).sum(strangers, keepdims=True)                         # π(p) π_i(u|p) Q_i(p, u)
        grads.append(M - p * M.sum(i, keepdims=True))                         # π(p) π_i(u|p) A_i(p, u)
    return (joint * R).sum(), grads

# %%
game, rng = bn.world("climbing", 3), np.random.default_rng(0)
for edges in graphs.all_dags(3):                                              # all 25 graphs of three agents
    logits = exact.draw(game, edges, 1, rng)
    V, ours = gradient([z[0, 0] for z in logits], game.R[0])
    packaged_V, packaged = exact.ascent(game, edges, exact.softmax(logits))
    np.testing.assert_allclose(V, packaged_V[0], rtol=1e-12)
    for a, b in zip(ours, packaged):
        np.testing.assert_allclose(a, b[0, 0], atol=1e-12)
print(f"{len(graphs.all_dags(3))} graphs: value and gradient agree; {len(graphs.all_dags(4))} graphs of four agents")

# %% [markdown]
# ## Exact truth first: a map of beginnings
#
# The stag hunt pays 10 if both hunt the stag, 2 if both hunt the hare, and costs k if they do not agree. Each point of the map is a start; blue ones
# end with the stag. Without an edge the border runs through the mixed equilibrium $y^*=\frac{2+k}{12+2k}$, and is known in closed form (dotted). Slide k, switch the edge, turn it round.

# %% tags=["hide-input"]
def basins(cfg):
    panes = []
    for edges, name in (((), "no edge"), (cfg.edges, graphs.name(cfg.edges))):
        b = bn.basin(edges, cfg.k)
        pane = figures.heat((b.V > 9.5).T, b.p, b.p, "agent 0 hunts the stag at first", "agent 1 hunts the stag at first", f"{name}: {b.share:.0%} end with the stag")
        seen = figures.look("exact")
        line = dict(type="scatter", mode="lines", x=b.p, y=bn.separatrix(cfg.k, b.p), line=dict(color=seen.color, dash=seen.dash, width=2), name="border without an edge, exact", hoverinfo="skip")
        saddle = dict(type="scatter", mode="markers", x=[b.saddle], y=[b.saddle], marker=dict(color=seen.color, symbol=seen.symbol, size=10), name="saddle y*")
        panes.append(pane._replace(traces=[*pane.traces, line, saddle], x=pane.x | dict(range=[0, 1]), y=pane.y | dict(range=[0, 1])))
    return figures.board(panes, height=420, says=f"k = {cfg.k:g}: without an edge {bn.basin((), cfg.k).share:.1%} of the starts end with the stag, with {graphs.name(cfg.edges)} {bn.basin(cfg.edges, cfg.k).share:.1%}.")


live.Explorer(basins, bn.StagConfig(), sweep="k", title="Where it begins decides where it ends", presets={"Ours": bn.StagConfig(), "Cheap misses": dict(k=0.0), "Dear misses": dict(k=30.0), "No edge": dict(edges=())})

# %% [markdown]
# ### Nash, and best
#
# The paper's guarantee is that the exact gradient goes to **Nash**: no agent, even one that sees its parents, gains by changing its table alone. With a complete graph *and every context met* that is
# the best there is: the last agent's answers are all best, so the one before it chooses among true values, and so on up the order. But a context behind a move that nobody makes is not met:

# %%
tables = [np.zeros((1, 1, 3, 1)), np.zeros((1, 1, 3, 3))]
tables[0][..., 1, :] = tables[1][..., 1] = 1.0                                # agent 0 plays 1; agent 1 plays 1 whatever it sees
stuck = exact.audit(bn.world("climbing"), ((0, 1),), tables)
print(f"V {stuck.V[0]:.0f} of 11   gap {stuck.gap[0]:.0f}: Nash   perfect gap {stuck.perfect[0]:.0f}: answer 0 to a 0, never tried")
logits = exact.draw(bn.world("climbing"), ((0, 1),), 200, np.random.default_rng(0))
for now, more in ((200, 200), (1000, 800), (3000, 2000), (10_000, 7000)):
    logits = exact.ascend(bn.world("climbing"), ((0, 1),), logits, more, 0.1)
    a = exact.audit(bn.world("climbing"), ((0, 1),), exact.softmax(logits))
    print(f"plain gradient, {now:6} updates: {np.mean(a.V > 10.45):.0%} of 200 teams at the best, median gap {np.median(a.gap):.5f}")

# %% [markdown]
# The plain gradient does get out in the end, in *logarithmic* time: a disliked move's chance falls like 1/t, so the row behind it still gets a share that adds up without bound.
#
# ### Which edges?
#
# A chain: agent 1 climbs with 0 and with 2, and 11 needs all three. All 25 graphs, 64 teams each, natural gradient.

# %% tags=["hide-input"]
chain = bn.by_graph(bn.Config(n=3, edges=(), method="NPG", alpha=0.1, steps=300, runs=64))
count = np.array([len(e) for e in chain.edges])
spread = count + 0.55 * np.concatenate([np.linspace(-0.5, 0.5, m) if m > 1 else [0] for m in np.bincount(count)])
named = {graphs.line(3): "0→1→2", graphs.collider(3): "0→1←2", ((1, 0), (1, 2)): "0←1→2", ((0, 2),): "0→2", (): "none", graphs.complete(3): "complete"}
pane = figures.points(spread, chain.share, "edges", "share of teams at the best", "A tree along the chain is as good as all edges", labels=[named.get(e, "") for e in chain.edges])
live.Plot(figures.board([pane._replace(y=pane.y | dict(range=[0, 1.12]), x=pane.x | dict(dtick=1))], height=360,
                        says="; ".join(f"{m} edges: {chain.share[count == m].min():.0%} to {chain.share[count == m].max():.0%}" for m in range(4))))

# %% [markdown]
# More edges help on average, but *which* ones matters more than how many: 0 → 2, along no link of the chain, is no better than nothing, and two parents who do not see each other (0 → 1 ← 2) never agree between themselves.
# Here is the whole tour, graphs × worlds, three agents; the packets are the one world where agents see different things: there a parent's move is a *signal*, and the ceiling itself rises.

# %%
kinds = {"no edges": (), "0 → 1": ((0, 1),), "0 → 1 → 2": graphs.line(3), "0 → 1, 2": graphs.fork(3), "0, 2 → 1": graphs.collider(3), "complete": graphs.complete(3)}
worlds = {g: bn.Config(game=g, n=3, edges=(), method="NPG", alpha=0.1, steps=200, runs=64) for g in ("climbing", "penalty", "stag", "permutation", "packet")}
worlds["coordination"] = replace(worlds["stag"], game="coordination", alpha=0.04, steps=125)
worlds["packet"] = replace(worlds["packet"], k=1.0)
tour = {g: bn.by_graph(c, kinds.values()).V.mean(1) for g, c in worlds.items()}
print(f"{'mean V ÷ best':14}" + "".join(f"{g:>14}" for g in tour))
for i, name in enumerate(kinds):
    print(f"{name:14}" + "".join(f"{v[i]:14.3f}" for v in tour.values()))

# %% [markdown]
# ## Learned edges: a channel that nobody sees whole
#
# Tables end where observations are private and many. Four radio stations stand in a ring; each hears its two neighbours and sees **its own queue only**. In
# every slot all decide at once: send, or wait. A packet sent while both neighbours are silent earns 1; a collision costs each sender 1; with probability 0.6 a new
# packet arrives. Here edges do raise the ceiling, since a neighbour's choice says what its queue cannot. Dynamic programming over all 256 queues says how much:

# %%
from rlkit.envs import aloha

for name, spec in (("clique of 3", aloha.Aloha.clique(3)), ("ring of 4", aloha.Aloha.ring(4))):
    told = aloha.value(spec, aloha.greedy(spec, range(spec.n)))
    print(f"{name}: told nothing {aloha.best_product(spec):.2f}   told what earlier neighbours chose {told:.2f}   if all saw all queues {aloha.best(spec):.2f}")

# %% [markdown]
# Nobody says *whom* to listen to: two small networks look at all queues and **draw a graph**. One wants edges, $U_{ji}\in\{0,1\}$; one puts the agents in an order $P$, a permutation.
# Only edges that point forward count, so a cycle cannot happen (M: ones above the diagonal):
#
# $$A = U\odot(P^{\mathsf T}M\,P),\qquad \pi(a\mid o)=\prod_i\pi_i\big(a_i\mid o_i,\{a_j:A_{ji}=1\}\big).$$
#
# A drawn graph has no derivative. **Straight-through**: forward the hard graph, backward the soft one, a sigmoid for U, and for P Sinkhorn's rescaling of rows and columns. The rest is PPO
# with a critic that sees everything (MAPPO), and one rule of bookkeeping: the ratio $\rho_i$ of new to old probability must be of *the question that was asked*, so **the graph and the parents' actions are kept**.

# %%
import torch


def soft_graph(U, P, edge_logit, order_score, rounds=20):
    """A with the value of the drawn graph (U, P) and the gradient of the soft one; noise is part of both inputs."""
    soft_U, soft_P = torch.sigmoid(edge_logit), order_score
    for _ in range(rounds):                                               # Sinkhorn, in log space
        soft_P = soft_P.log_softmax(-1).log_softmax(-2)
    U = U + (soft_U - soft_U.detach())                                    # straight-through
    P = P + (soft_P.exp() - soft_P.exp().detach())
    M = torch.triu(torch.ones(P.shape[-2:]), 1)
    return U * (P.mT @ M @ P)

# %%
from rlkit.papers import bayes_net_mappo as bm, dag_network

torch.set_num_threads(1)                                                  # small networks: a second thread only waits
net = dag_network.DagNetwork(6, 3, [torch.Generator().manual_seed(0)], learn_order=True)
x, rng = np.random.default_rng(1).normal(size=(1, 500, 6)).astype("float32"), np.random.default_rng(2)
g = net.draw(x, net.noise(rng.random((1, 500, 2, 3, 3), np.float32)))
edge = net.edges(torch.tensor(x)).view(1, 500, 3, 3) + net.bias + torch.tensor(g.noise[:, :, 0])
score = torch.nn.functional.logsigmoid(net.order(torch.tensor(x)).view(1, 500, 3, 3)) + torch.tensor(g.noise[:, :, 1])
ours = soft_graph(torch.tensor(g.U), torch.eye(3)[torch.tensor(g.order)], edge, score)
packaged = net.soft(torch.tensor(x), g)
pull = torch.randn(ours.shape, generator=torch.Generator().manual_seed(3))
a, b = (torch.autograd.grad((A * pull).sum(), net.parameters()) for A in (ours, packaged))
assert (ours == packaged).all() and all(torch.allclose(u, v, atol=1e-4) for u, v in zip(a, b))
print(f"500 graphs, {g.A.sum((2, 3)).mean():.2f} of 3 edges on average; value and gradient agree")

# %% [markdown]
# ### Watch it find out whom to ask
#
# Three kinds of team learn side by side: told nothing (*product*, which is MAPPO), told all before them (*complete*, an auto-regressive policy), and told what the network chooses. Press **Run**.

# %% tags=["hide-input"]
channels = {"clique of 3": (aloha.Aloha.clique(3), 12.4, (-5, 22)), "ring of 4": (aloha.Aloha.ring(4), 24.8, (-5, 42)), "grid of 10": (aloha.Aloha.paper(), None, (-20, 10))}


def learned_picture(history, cfg):
    last, (spec, bound, span) = history[-1].chosen, channels.get(cfg.world, (None, None, (None, None)))
    chosen = "broken" if cfg.resample else {"random": "edges by chance"}.get(cfg.graph, cfg.graph.split()[0])
    over = lambda ys, y, title, y_range: figures.curves([h.step for h in history], ys, "batches", y, title, steps=True, x_range=(0, cfg.steps), y_range=y_range)
    bands = {name: np.array([getattr(h, kind).ret for h in history]) for kind, name in (("product", "product"), ("complete", "complete"), ("chosen", chosen))}
    returns = over(bands, "return of an episode", f"{cfg.runs} teams of each kind", span)
    alone = over({"without edges": np.array([h.chosen.alone for h in history])}, "return of an episode", "The same teams, told nothing", (-60, span[1]) if spec else span)
    if bound:
        returns, alone = (figures.level(pane, bound, "best told nothing") for pane in (returns, alone))
    shares = {"density": np.array([h.chosen.density for h in history])} | ({"target": np.array([h.chosen.target for h in history])} if cfg.alpha else {})
    drawn = figures.graph(last.adjacency.mean(0), "Who is told whose choice", links=spec and spec.links)
    says = f"After {history[-1].step} batches: " + ", ".join(f"{n} {y[-1].mean():.1f}" for n, y in bands.items()) + f" per episode; density {last.density.mean():.2f}; told nothing the same teams earn {last.alone.mean():.1f}."
    return figures.board([returns, drawn, over(shares, "share of the possible edges", "How much is told", (0, 1.05)), alone], says=says, height=640)

# %% tags=["hide-input"]
ring = bm.Config(world="ring of 4", graph="learned edges", runs=3, steps=80)
live.Panel(bm.compare, ring, learned_picture, title="Learned: whom to ask", every=4,
           knobs=["world", "graph", "density", "alpha", "anneal", "resample", "lr", "entropy", "steps", "runs", "seed"],
           presets={"Ring": ring, "Clique": replace(ring, world="clique of 3"), "Order too": replace(ring, world="clique of 3", graph="learned"),
                    "Edges by chance": replace(ring, graph="random", density=0.67), "Annealed away": replace(ring, anneal=True, alpha=0.1, steps=120),
                    "Wrong bookkeeping": replace(ring, world="clique of 3", graph="complete", resample=True, steps=100),
                    "A table: chain": replace(ring, world="chain", graph="learned", envs=128, lr=3e-3, entropy=1.0, cool=0.6),
                    "Ten stations": replace(ring, world="grid of 10", runs=2, steps=120)})

# %% [markdown]
# **What you see.** *Top left*: returns while learning; the dashed line is the best that any team told nothing can earn. *Top right*: the graph, the wider the more often an edge is there; dotted, who really disturbs
# whom. *Bottom left*: the share of the possible edges. *Bottom right*: the same teams in the same moment with every edge cut.
#
# **Try now.** (1) *Ring*: nobody rewards the network for few edges. Which two of the six possible edges does it drop, and after how many batches? (2) *Edges by chance*: as many edges, but the wrong ones.
# (3) Look at the bottom right: why are teams that listen *worse* than nothing when the edges are cut? (4) While it runs, drag the price α to 1 and the target η to 0.

# %% [markdown]
# **It rediscovers the interference graph.** Four teams, each from its own random start; nobody told them who disturbs whom.

# %%
*_, end = bm.mappo(bm.Config(world="ring of 4", graph="learned edges", runs=4, steps=60), np.random.default_rng(0), every=60, alone=False)
panes = [figures.graph(A, f"Team {r}: return {end.ret[r]:.1f}", links=aloha.Aloha.ring(4).links) for r, A in enumerate(end.adjacency)]
both = end.adjacency + end.adjacency.swapaxes(1, 2)
live.Plot(figures.board(panes, columns=4, height=300, gap=(0.03, 0.1), says=f"Links of the ring are there with probability {both[:, [0, 1, 2, 0], [1, 2, 3, 3]].min():.2f} or more, the two diagonals with {both[:, [0, 1], [2, 3]].mean():.2f} on average."))

# %% [markdown]
# ### One line of bookkeeping
#
# In the update one could as well draw a fresh graph and fresh actions of the parents, and then ask how likely the *old* action of the child is now. It looks harmless; released code has done it. But the child is then judged
# for an answer to a question that it was never asked:

# %%
for name, resample in (("kept", False), ("drawn again", True)):
    *_, end = bm.mappo(bm.Config(graph="complete", resample=resample, runs=2, steps=60), np.random.default_rng(0), every=60, alone=False)
    print(f"parents' actions {name:12s} return of 2 teams {end.ret.round(1)}   (told nothing, at best 12.4)")

# %% [markdown]
# ### Act alone in the end
#
# A graph must be sent, and so must the actions: until the density is 0 the team needs a radio. *Annealing* moves the target from 1 to 0 during learning. What is left then?

# %%
table = dict(world="chain", envs=128, lr=3e-3, entropy=1.0, cool=0.6, runs=4, steps=80)
ends = {}
for name, cfg in {"product": bm.Config(graph="product", **table), "complete": bm.Config(graph="complete", **table), "without edges": bm.Config(graph="complete", anneal=True, **table)}.items():
    *_, s = bm.mappo(cfg, np.random.default_rng(0), every=80)
    ends[name] = s.alone if name == "without edges" else s.ret
*radio, s = bm.mappo(bm.Config(graph="learned edges", alpha=0.1, anneal=True, runs=2, steps=100), np.random.default_rng(0), every=5)
chain = figures.bars(list(ends), [v.mean() for v in ends.values()], "Everyone sees everything: 11 is kept", "return", (0, 12.5))
at = [h.step for h in [*radio, s]]
fall = figures.curves(at, {"learned": np.array([h.ret for h in [*radio, s]]), "without edges": np.array([h.alone for h in [*radio, s]])}, "batches", "return", "Private queues: back to 12.4", y_range=(-10, 22), x_range=(0, 100))
live.Plot(figures.board([chain, figures.level(fall, 12.4, "best told nothing")], height=360, says=f"Chain of three: {', '.join(f'{n} {v.mean():.1f}' for n, v in ends.items())}. Clique: annealed to {s.alone.mean():.1f} alone."))

# %% [markdown]
# **The limit.** On the table game annealing is free: who sees the whole state never needed to be told, it only had to be *led* there. On the channel it costs exactly what the neighbours' choices were worth, and the team ends at 12.4, the
# best of teams without edges. On the way the return *dips* (preset *Annealed away*: on the ring to 10 or less, at batch 92): habits built on being told fail when the telling stops. Nor is a density target a free lunch: its pull is constant,
# and on the ring a price α = 1 with target 2/3 from the start leaves the team at 27 after 100 batches, where the unpriced network reaches the same density, and 37, by itself.
#
# Nor are *all* edges always best: on the ring the complete graph is slower than the four right edges (after 75 batches by 2 to 3 of 37, over 96 teams), although it could do whatever they can. And in the
# paper's own channel, ten stations with 0.1 for a packet and -10 for a collision, 500 batches were not enough for any graph: all edges 5.5, learned edges 5.5 (three teams each), while five fixed senders that do not hear each other earn 6.2.

# %% [markdown]
# ## Explore
#
# In the first panel:
#
# | do | predict | why |
# |---|---|---|
# | *No edge*, run, draw 1 → 0 instead of 0 → 1 | does the direction matter? | for the natural gradient no: two agents and one edge are complete. For PG a little; exercise 3 finds a game where it matters much |
# | *No edge* with PG and α = 0.1, draw the edge after 1000 updates | will they climb? | no: the row behind the high ledge is met once in a thousand, and the plain gradient waits for it. Restart with the edge there from the start: about 70 % |
# | *Complete* with density η = 0.8, 0.65, 0.5 from the start | how much edge is needed? | the child learns a second table for what it did not see. All teams climb at η = 0.9, nine of ten at 0.7, a third at 0.6: no better than no edge |
# | *Anneal*, then *Two plans* | who keeps the gain? | a team that has one plan. NPG keeps both good cells of penalty alive, and without the edge they collide |
# | *Symmetry* with scale 0.01 instead of 0 | is the saddle stable? | no: each team finds one of the six solutions. From zeros with all edges it keeps all six, entropy ln 6 |
# | *Packets*, take all edges away when it has settled | what is left? | 0.6, what one fixed sender earns: everyone relied on the signals |
# | *Complete*, then slide τ to 5 in mid-run | what does paid entropy cost? | V falls from 11 to 7.3: the team is paid to stay unsure |

# %% [markdown]
# ## A world that we did not write
#
# Our worlds speak PettingZoo's parallel API, so that other people's algorithms can play them; and our learner plays Level-Based Foraging, two agents on a 5 × 5 grid who must lift their food *together*.
# Twelve batches show that it runs; learning takes two hundred.

# %%
from pettingzoo.test import parallel_api_test
from rlkit.envs.foraging import ForagingTeams
from rlkit.envs.parallel import ParallelTeams

parallel_api_test(ParallelTeams(bm.WORLDS["ring of 4"]), num_cycles=50)
wild = bm.Config(runs=1, envs=16, hidden=64, entropy=0.02, lr=1e-3, steps=12)                    # steps=220, envs=32, runs=4: 5 minutes
for graph in ("product", "learned"):
    *_, s = bm.mappo(replace(wild, graph=graph), np.random.default_rng(0), every=wild.steps, world=lambda rngs, envs: ForagingTeams("Foraging-5x5-2p-1f-coop-v3", rngs, envs))
    print(f"{graph:8s} share of the food after {wild.steps} batches {s.ret.mean():.2f}, told nothing {s.alone.mean():.2f}, density {s.density.mean():.2f}")

# %% [markdown]
# The full run (four teams of each kind, 220 batches, five minutes; it is the claim `foraging`) says: **no difference that four teams could show**. Both learn
# to eat together, 0.96 ± 0.03 of the food without edges and 1.00 with a learned graph at the end; over the whole run the graph is ahead by
# 0.06 ± 0.09. Both agents see the whole grid here, so that edges could only change the way to the top, and the way is not steep.

# %% [markdown]
# ## Where it breaks
#
# **Losing the edges.** A team learns with edges, then acts without. In the first panel a dropped edge left the child's *marginal*, and a team that had settled on one plan did not notice. A network has no marginal: its inputs for "not seen" were never trained, and cut at once the team falls far below
# zero. Annealed, η from 1 to 0, the plain gradient keeps the gain. The natural gradient keeps it in climbing, and loses it in penalty, where two plans are equally good and it holds both: a policy with two peaks cannot survive as a product.

# %%
base = bn.Config(runs=200, k=100.0)
print(f"{'share of 200 teams at the best, all edges gone':50} never an edge   annealed   cut (mean V)")
for game in ("climbing", "penalty"):
    for method, alpha, steps in (("PG", 0.2, 3000), ("NPG", 0.05, 1000)):
        c = replace(base, game=game, method=method, alpha=alpha, steps=steps)
        never, soft, cut = (list(bn.learn(x, np.random.default_rng(0), every=steps))[-1].cut for x in (replace(c, density=0.0), replace(c, schedule="linear"), c))
        plain, annealed = (np.mean(v > 0.95 * bn.ceiling(game, 2, 100.0)) for v in (never, soft))
        print(f"{game + ', ' + method:50} {plain:13.0%} {annealed:10.0%} {cut.mean():14.1f}")

# %% [markdown]
# **Private eyes.** Where agents see different things annealing costs exactly what the signals were worth: no product policy of the packets earns more than 0.6.
#
# **Saturation.** Start climbing with the logits of action 2 at L for both: the gradient's norm is 1.6, 0.09, 0.0006 and 0.00000003 for L = 2, 5, 10, 20. Nothing is wrong with the edges; the factor $\pi_i(u\mid p)$ is.
#
# **Bookkeeping**, above: an old answer judged under a new question throws away all that the edges bring.

# %% [markdown]
# ## Exercises
#
# Each check says which property fails and gives one hint more at every try; the solution is folded below the question.
#
# **1. The gradient of a pair.**

# %%
from rlkit.exercises import bayes_net_policy as exercise

exercise.write


# %%
def gradient(p0, p1, R):
    ...                                       # your lines here


exercise.write.check(gradient)

# %% [markdown]
# **2. The sparsest graph.**

# %%
exercise.sparsest

# %%
exercise.sparsest.check(...)                  # pairs: ((0, 1), (2, 3))

# %% [markdown]
# **3. A one-way street.**

# %%
exercise.one_way

# %%
exercise.one_way.check(...)                   # a table: [[11, -30], [7, 7]]

# %% [markdown]
# **4. A farewell to edges.**

# %%
exercise.farewell

# %%
exercise.farewell.check(...)                  # bn.Config(game="penalty", k=100.0, …)

# %% [markdown]
# ## What the paper claims, and what was measured here
#
# First the exact part.

# %%
from rlkit import claims

claims.table("bayes_net_policy", seed=0)

# %% [markdown]
# Then the learned part. What trains for minutes is left out here; `fast=False` runs it.

# %%
claims.table("bayes_net_mappo", seed=0, fast=True)

# %% [markdown]
# ## Going further
#
# **Action-dependency graphs** (Ding, Tang, Jing, 2025) ask the question of this chapter's 25 dots as a theorem: *how sparse may the graph be?* Write the value as a sum over the links of a *coordination graph*, who shares a payoff with whom: climbing on a chain has the links
# 0-1 and 1-2. They give conditions, in terms of that coordination graph, under which a sparse action-dependency graph loses nothing: where no agent alone can gain, nobody can. You have met the shape of it above: trees along the chain reach 11 every time with two edges instead of three,
# the collider does not, because its two roots never answer each other, and an edge that follows no link is worth nothing. The practical side: each agent's table (or network input) grows with its parents, so a sparse graph that loses nothing is not just enough, it is better: on
# the ring of radio stations the complete graph learned more slowly than the four right edges. What to try: take `bn.by_graph` with `n=4`, write a payoff of your own with a star instead of a chain, and predict from the star which of the 543 graphs are enough before you run them.
#
# **Meta representations for agents, MRA** (Zhang, Shen, Han, Shen, 2021). Here the number of agents was fixed. Let it vary: a policy trained with three and six should work with four and eight, and each size may ask for a different joint plan.
# MRA gives each agent not one policy but a set of them, indexed by a latent z that is drawn to suit the game: what all sizes share sits in the policy, what one size needs in the choice of z. A second, constrained step raises the mutual information $I(z;a\mid o)$, so that the latents do not collapse into one. The authors
# claim that with a large enough latent space this reaches Nash in every game of evaluation, and that with few latents a first-order gradient step adapts fast. The latent enters through a *relation matrix* over the agents, n × n, made from what they observe and from z: attention weights where this chapter has edges. So both papers learn who should matter to whom, in context;
# one lets agents see each other's *choices*, the other weighs each other's *states*. A small version to build: N agents choose among L landmarks, one of worth w pays w ÷ (how many are there); train N = 3 and 6, test 4 and 8, with 1, 2 and 6 latents, and measure by exact best responses, as in `exact.audit`.
#
# - Chen, Zhang, *Context-Aware Bayesian Network Actor-Critic Methods for Cooperative Multi-Agent Reinforcement Learning*, ICML 2023, [arXiv 2306.01920](https://arxiv.org/abs/2306.01920).
# - Charpentier, Kibler, Günnemann, *Differentiable DAG Sampling*, ICLR 2022, [arXiv 2203.08509](https://arxiv.org/abs/2203.08509): where the learned order and edges come from.
# - Fu et al., *Revisiting Some Common Practices in Cooperative Multi-Agent Reinforcement Learning*, ICML 2022, [arXiv 2206.07505](https://arxiv.org/abs/2206.07505): the permutation game, and auto-regressive policies.
# - Ding, Tang, Jing, on action dependency graphs, 2025, [arXiv 2506.00797](https://arxiv.org/abs/2506.00797).
# - Zhang, Shen, Han, Shen, *Learning Meta Representations for Agents in Multi-Agent Reinforcement Learning*, [arXiv 2108.12988](https://arxiv.org/abs/2108.12988).
# - Claus, Boutilier, *The Dynamics of Reinforcement Learning in Cooperative Multiagent Systems*, AAAI 1998: climbing and penalty.
