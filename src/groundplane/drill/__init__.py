"""Drills: something real is broken on a running platform, clients are watched meanwhile, and the result is measured."""

from groundplane.drill.catalogue import DRILLS, chosen
from groundplane.drill.faults import Ground, ground_of
from groundplane.drill.model import Drill, DrillReport, Refused, Suite
from groundplane.drill.run import run_drills

__all__ = [
    "DRILLS",
    "Drill",
    "DrillReport",
    "Ground",
    "Refused",
    "Suite",
    "chosen",
    "ground_of",
    "run_drills",
]
