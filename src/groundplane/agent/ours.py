"""What the agent itself remembers on a machine: the manifest of what is ours, and what a run has yet to finish."""

from __future__ import annotations

import json
import os

from groundplane.agent import files
from groundplane.agent.error import AgentError
from groundplane.agent.machine import LocalMachine
from groundplane.agent.pending import Pending, Replaced
from groundplane.state.derived import MANIFEST, MANIFEST_VERSION, MachineManifest, manifest_content

PENDING = f"{files.OURS}/pending.json"
PENDING_VERSION = 1


def read_manifest(machine: LocalMachine) -> MachineManifest:
    """The manifest; an empty one where there is none: then nothing counts as ours, and nothing is removed."""
    document = _document(machine, MANIFEST, MANIFEST_VERSION)
    if document is None:
        return MachineManifest()
    return MachineManifest(*(_words(MANIFEST, document, key) for key in ("files", "links", "units", "masked")))


def write_manifest(machine: LocalMachine, manifest: MachineManifest) -> None:
    files.put(machine, MANIFEST, manifest_content(manifest), 0o644, *_self())


def read_pending(machine: LocalMachine) -> Pending:
    document = _document(machine, PENDING, PENDING_VERSION)
    if document is None:
        return Pending()
    kept = _words(PENDING, document, "kept")
    absent = _words(PENDING, document, "absent")
    return Pending(
        files=(*(Replaced(path, kept=True) for path in kept), *(Replaced(path, kept=False) for path in absent)),
        restart=_words(PENDING, document, "restart"),
        reload=_words(PENDING, document, "reload"),
    )


def write_pending(machine: LocalMachine, pending: Pending) -> None:
    """Remember, or with nothing to remember forget."""
    if pending == Pending():
        files.discard(machine, PENDING)
        return
    document = {
        "version": PENDING_VERSION,
        "kept": [file.path for file in pending.files if file.kept],
        "absent": [file.path for file in pending.files if not file.kept],
        "restart": list(pending.restart),
        "reload": list(pending.reload),
    }
    files.put(machine, PENDING, (json.dumps(document, indent=1) + "\n").encode(), 0o600, *_self())


def _self() -> tuple[int, int]:
    """Whoever the agent is: root on a machine."""
    return os.geteuid(), os.getegid()


def _document(machine: LocalMachine, path: str, version: int) -> dict[str, object] | None:
    try:
        with files.telling(f"{path} can't be read"), open(machine.at(path), "rb") as file:
            found = json.load(file)
    except AgentError as problem:
        if isinstance(problem.__cause__, FileNotFoundError):
            return None
        raise
    except ValueError as error:
        raise _damaged(path) from error
    if not isinstance(found, dict) or not isinstance(found.get("version"), int):
        raise _damaged(path)
    if found["version"] > version:
        raise AgentError(
            f"{path} is of version {found['version']}; this groundplane knows only {version}",
            hint="a newer groundplane has worked on this machine: use that one, or a newer one still",
        )
    return found


def _words(path: str, document: dict[str, object], key: str) -> tuple[str, ...]:
    words = document.get(key)
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise _damaged(path)
    return tuple(words)


def _damaged(path: str) -> AgentError:
    return AgentError(f"{path} is damaged", hint="move it away on the machine, then run the same command again")
