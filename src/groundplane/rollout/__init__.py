"""Bringing machines to their desired state: the graph of work and how Steps are carried out."""

from groundplane.rollout.graph import Job, in_order, run_jobs
from groundplane.rollout.steps import carry_out, machine_job, step_job

__all__ = ["Job", "carry_out", "in_order", "machine_job", "run_jobs", "step_job"]
