"""Named conditions with a deadline and the last thing seen; reports."""

from groundplane.verify.check import Check
from groundplane.verify.condition import NotYet, wait_until
from groundplane.verify.report import Report, Result, run_checks

__all__ = ["Check", "NotYet", "Report", "Result", "run_checks", "wait_until"]
