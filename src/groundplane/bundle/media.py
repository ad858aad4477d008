"""What the bundle adds to OCI's own words: the kinds of its blobs, and the annotations of its parts."""

from __future__ import annotations

from typing import Final

PART: Final = "application/vnd.groundplane.part.v1+json"
BINARY: Final = "application/vnd.groundplane.binary.v1"
COMPONENTS: Final = "application/vnd.groundplane.components.v1+json"
LICENCES: Final = "application/vnd.groundplane.licences.v1.tar"
SBOM: Final = "application/vnd.cyclonedx+json"

PART_NAME: Final = "dev.groundplane.part"
SOURCE: Final = "dev.groundplane.source"
