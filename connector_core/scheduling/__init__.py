"""When a connector runs: the slots of a schedule, what is due, and the daemon that starts it.

`slots` and `due` are pure functions of the instants they are given; `calendar` reads a connector's settings and the
ledger; `scheduler` is the loop of `connector-core serve`, `workers` its processes.
"""

from connector_core.scheduling.due import Due, History, Skip, due, preview
from connector_core.scheduling.slots import Cron, Grid, Interval, Schedule, following, spec

__all__ = ["Cron", "Due", "Grid", "History", "Interval", "Schedule", "Skip", "due", "following", "preview", "spec"]
