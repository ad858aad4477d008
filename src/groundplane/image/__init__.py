"""The base image all machines share: one generic root tree.

``build`` is the whole face of this room::

    image = await build(spec.image, design.packages, cache, emit)
    image.path      # the root tree, to be read only
"""

from __future__ import annotations

from groundplane.image.build import build
from groundplane.image.inputs import BASE_PACKAGES, BaseImage

__all__ = ["BASE_PACKAGES", "BaseImage", "build"]
