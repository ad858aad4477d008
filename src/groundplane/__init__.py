"""groundplane: one file into a whole Kubernetes platform out of the cloud."""

__version__ = "0.1.0"
