"""Small worlds, one file each, registered with Gymnasium as rlkit/Name-v0.

    import gymnasium, rlkit.envs
    env = gymnasium.make("rlkit/Pendulum-v0")                        # one world
    envs = gymnasium.make_vec("rlkit/Pendulum-v0", num_envs=64)      # 64 of them in one call of NumPy

Registered by entry-point strings: importing this package imports no world.
"""

from gymnasium.envs.registration import register

register("rlkit/Pendulum-v0", entry_point="gymnasium.envs.classic_control:PendulumEnv", max_episode_steps=200,
         vector_entry_point="rlkit.envs.pendulum:PendulumVectorEnv")
register("rlkit/FrozenGrid-v0", entry_point="rlkit.envs.frozen_grid:env", max_episode_steps=400)
register("rlkit/Gamble-v0", entry_point="rlkit.envs.gamble:env")
register("rlkit/LuckyArms-v0", entry_point="rlkit.envs.lucky_arms:env")
register("rlkit/Lottery-v0", entry_point="rlkit.envs.lottery:env")
register("rlkit/LuckTree-v0", entry_point="rlkit.envs.luck_tree:env")
