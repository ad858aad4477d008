"""The software Debian doesn't carry, as one OCI image layout in the user's cache.

``obtain.obtain`` gets it (from a file, the official releases or the published Go modules), ``bundle.Bundle`` is what
comes of it, ``versions.load_versions`` is the data it's made from. Everything is content-addressed: what a part is made
from decides its name, and each blob's name its content.

Nothing is imported here: who only asks which versions there are needs ``versions`` and none of the builders.
"""
