"""Everything that can go wrong, in one tree.

    GroundplaneError
    ├─ SpecError          the cluster file has problems (all of them, each with its line)
    │  └─ InvalidCluster  in spec.problem, which knows what a problem is
    ├─ HostError          this machine lacks something groundplane needs
    ├─ BundleError        the software bundle can't be obtained, or is damaged
    ├─ ImageError         the base image can't be built
    ├─ StateError         composing the desired state found a contradiction
    ├─ StoreError         our own state on this machine can't be read or written
    │  └─ LockHeld        another groundplane works on the same platform
    ├─ MachineError       a provider could not make, start, stop or remove a machine
    ├─ TransportError     a machine could not be reached, or a command there did not end well
    │  ├─ Unreachable
    │  ├─ CommandFailed
    │  └─ CommandTimeout
    ├─ ApplyError         a machine could not be looked at, or not be brought to its desired state
    ├─ StepError          a cluster-wide step did not take hold
    ├─ ConditionTimeout   something did not come true before its deadline
    └─ Interrupted        the user asked to stop

An error says what happened, where, and what to do next. Only ``cli/`` turns one into an exit code.
Foreign exceptions are mapped to these at the boundary where they appear.
"""

from __future__ import annotations


class GroundplaneError(Exception):
    """Base of the tree.

    ``what`` is one sentence a user understands, ``where`` the machine, file or part it happened to,
    ``hint`` what to do next, ``detail`` the raw words of the component behind it (log lines, stderr).
    """

    def __init__(self, what: str, *, where: str = "", hint: str = "", detail: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.hint = hint
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.where}: {self.what}" if self.where else self.what


class SpecError(GroundplaneError):
    """The cluster file has problems. ``spec.Problem`` describes each of them."""


class HostError(GroundplaneError):
    """This machine lacks something groundplane needs."""


class BundleError(GroundplaneError):
    """The software bundle can't be obtained, or is damaged."""


class ImageError(GroundplaneError):
    """The base image can't be built."""


class StateError(GroundplaneError):
    """Two components want different things of one machine."""


class StoreError(GroundplaneError):
    """Our own state on this machine can't be read or written."""


class LockHeld(StoreError):
    """Another groundplane works on the same platform."""


class MachineError(GroundplaneError):
    """A provider could not make, start, stop or remove a machine."""


class TransportError(GroundplaneError):
    """A machine could not be reached, or a command there did not end well."""


class Unreachable(TransportError):
    """The machine does not answer at all."""


class CommandFailed(TransportError):
    """A command on a machine ended with another status than zero."""

    def __init__(self, what: str, *, status: int, where: str = "", hint: str = "", detail: str = "") -> None:
        super().__init__(what, where=where, hint=hint, detail=detail)
        self.status = status


class CommandTimeout(TransportError):
    """A command on a machine did not end in time and was stopped."""


class ApplyError(GroundplaneError):
    """A machine could not be looked at, or not be brought to its desired state; the agent on it says why."""


class StepError(GroundplaneError):
    """A cluster-wide step did not take hold."""


class ConditionTimeout(GroundplaneError):
    """Something did not come true before its deadline; ``detail`` holds what was seen last."""


class Interrupted(GroundplaneError):
    """The user asked to stop; running the command again goes on."""
