"""Playing a run without a thread: for tests, claims, and pages that have no kernel."""

from __future__ import annotations


class SyncDriver:
    """Plays a run on the caller's own thread, as fast as it goes."""

    def __init__(self, run, cfg=None):
        self.run = run
        run.reset(cfg or run.cfg)
        if run.sweeps and run.name:
            run.rewind()

    def play(self) -> object:
        """Play to the end and give the last figure."""
        while self.run.pull():
            pass
        return self.run.figure()

    def frames(self, n: int) -> list:
        """At most n figures, evenly spread over the run, the last among them and, for n > 1, the first."""
        run, cfg = self.run, self.run.cfg
        if run.total is None:  # only the learner knows how long it is: the same run, played once to see
            while run.pull():
                pass
            end = run.step
            run.reset(cfg)
        else:
            end = run.total
        begin, figures = run.step, []
        due = [begin + (end - begin) * k / (n - 1) for k in range(n)] if n > 1 else [end]
        while due:
            if run.step >= due[0]:
                figures.append(run.figure())
                due = [d for d in due if d > run.step]
            elif not run.pull():
                return [*figures[: n - 1], run.figure()]  # it ended before its bound
        return figures
