"""rlkit, papers you can play with: the small package behind the notebooks. Imports run one way, down this list.

    maths      mdp (large worlds: `sparse`) returns policies stats · improve empirical (tables)
               config (settings that know how to be sliders)
    data       trajectories (the dataset; `validation` refuses, `npz` and `minari_files` read) · rollouts (collect)
               sampling (weighted draws) · measures (what a few numbers say of data) · paths (continuous time)
    networks   nets (R of them as one matmul) · distinct_rows (equal inputs, seen once)
               transformer (R of them, over sequences) · offline/ (BC, TD3+BC, IQL, CQL)
    worlds     envs/
    papers     papers/ (settings, formulas, learner) → claims/ (what the paper says, measured) → exercises/
    screen     figures (data -> plotly) · live/ (panel, explorer, plot): neither knows a paper
    many runs  study (cached, resumable: `run_files` keeps the runs, `fingerprint` says when code has changed)

Importing `rlkit` imports nothing heavy and sets no global state; nothing in tables imports torch.
"""

__version__ = "0.1.0"
