"""The screen: a learner that can be played (`Panel`), a function that can be explored (`Explorer`), a figure (`Plot`).

Read in this order: `runs` (what is played: a learner, or a sweep), `driver` (the thread that plays it; `sync`: without
one), `controls` (settings as sliders), `spec` (figures as bytes), `library` (plotly.js on its way to the page), `plot`
(the browser, one frame at a time), `panel` (all together).
"""

from rlkit.live.explorer import Explorer
from rlkit.live.panel import Panel
from rlkit.live.plot import Plot, send_ahead
from rlkit.live.sync import SyncDriver

__all__ = ["Explorer", "Panel", "Plot", "SyncDriver"]

send_ahead()
