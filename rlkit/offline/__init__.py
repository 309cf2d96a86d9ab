"""Offline reinforcement learning on a weighted dataset: BC, TD3+BC, IQL and CQL, one page each.

Each is a generator, batched over R runs, that yields a snapshot and may be answered with a changed Config:

    for snap in offline.iql(offline.IQLConfig(runs=8), data, np.random.default_rng(0)):
        action = snap.policy(obs)                       # [R, B, A], numpy in and out

They differ in their losses only. Which transitions fill a minibatch is the sampler's business: any object with
`.draw(rng, n)`, so that a weighting of the data reaches every algorithm unchanged.
Read `bc`, then `iql`; `shared` holds what is common: the minibatch, the frozen policy.
"""

from .bc import BCConfig, BCSnapshot, bc
from .cql import CQLConfig, CQLSnapshot, cql
from .iql import IQLConfig, IQLSnapshot, iql
from .shared import Policy
from .td3bc import TD3BCConfig, TD3BCSnapshot, td3bc

__all__ = ["BCConfig", "BCSnapshot", "CQLConfig", "CQLSnapshot", "IQLConfig", "IQLSnapshot", "Policy", "TD3BCConfig",
           "TD3BCSnapshot", "bc", "cql", "iql", "td3bc"]
