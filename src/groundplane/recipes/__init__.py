"""The recipes: what each command does, one file each. They alone see components, machines and rollout together."""

from groundplane.recipes.change import apply, drift, plan, watch_drift
from groundplane.recipes.common import Options, existing, named, validate, wanted
from groundplane.recipes.down import down
from groundplane.recipes.drain import drain, undrain
from groundplane.recipes.drill import drill
from groundplane.recipes.render import render
from groundplane.recipes.replace import replace, started_for
from groundplane.recipes.standing import console, kubeconfig, kubectl, power, ssh, status, verify
from groundplane.recipes.up import up

__all__ = [
    "Options",
    "apply",
    "console",
    "down",
    "drain",
    "drift",
    "drill",
    "existing",
    "kubeconfig",
    "kubectl",
    "named",
    "plan",
    "power",
    "render",
    "replace",
    "ssh",
    "started_for",
    "status",
    "undrain",
    "up",
    "validate",
    "verify",
    "wanted",
    "watch_drift",
]
