"""rlkit, papers you can play with: the small package behind the notebooks.

Read in this order: `mdp`, `returns`, `policies`, `stats` (maths), `trajectories` and `nets` (data and networks),
`papers` (one file per paper), `claims` (what each paper says, measured), `live` and `figures` (the screen).
Importing `rlkit` imports nothing heavy and sets no global state.
"""

__version__ = "0.1.0"
