"""The image registry on the gateway: read-only, over TLS, out of the software bundle."""

from groundplane.components.base import Component
from groundplane.components.registry.checks import checks
from groundplane.components.registry.fragment import fragment
from groundplane.components.registry.steps import steps

COMPONENT = Component(
    "registry",
    fragment,
    steps=steps,
    checks=checks,
    interrupts={"groundplane-registry.service": "image pulls, for a second"},
)
