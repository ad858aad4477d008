"""The vocabulary of desired state, the Steps between machines, and how fragments compose."""

from groundplane.state.compose import compose
from groundplane.state.model import (
    Address,
    Artifact,
    DataFolder,
    Directory,
    File,
    Fragment,
    HostName,
    MachineState,
    Mount,
    Package,
    Resource,
    Symlink,
    Sysctl,
    Unit,
    User,
    Volume,
)
from groundplane.state.step import Completed, Reach, Step

__all__ = [
    "Address",
    "Artifact",
    "Completed",
    "DataFolder",
    "Directory",
    "File",
    "Fragment",
    "HostName",
    "MachineState",
    "Mount",
    "Package",
    "Reach",
    "Resource",
    "Step",
    "Symlink",
    "Sysctl",
    "Unit",
    "User",
    "Volume",
    "compose",
]
