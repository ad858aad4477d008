"""Changes of what lies at paths: files, links and folders. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from groundplane.agent.observed import Form, Observed, PathSeen
from groundplane.state.change import Action, Change, Kind, lines_diff
from groundplane.state.derived import MachineManifest
from groundplane.state.model import File, MachineState

CONTENT = "content differs"
LONGEST_DIFF = 200_000
"""Bytes beyond which no difference is spelled out."""


def content_changes(kind: Kind, key: str, file: File, seen: Observed) -> Iterator[Change]:
    """The Change a file needs, if any. ``kind`` and ``key`` are what the file is for."""
    found = seen.entries.get(file.path)
    if found is None:
        diff = "" if file.secret else text_diff(file.path, b"", file.content)
        yield Change(kind, key, Action.CREATE, "absent", diff)
    elif file.initial:
        return
    elif found.form is not Form.FILE:
        yield Change(kind, key, Action.UPDATE, f"{found.form.value}, not a file", since=found.changed)
    else:
        differs = found.content != file.content
        reasons = [*([CONTENT] if differs else []), *_rights(found, file.mode, file.owner, file.group)]
        if reasons:
            readable = differs and not file.secret and found.content is not None
            diff = text_diff(file.path, found.content or b"", file.content) if readable else ""
            yield Change(kind, key, Action.UPDATE, "; ".join(reasons), diff, since=found.changed)


def rewritten(files: Iterable[File], seen: Observed) -> Iterator[str]:
    """The paths of those whose content changes: a change of mode or owner is no reason for a unit to restart."""
    for file in files:
        found = seen.entries.get(file.path)
        if found is None or (not file.initial and (found.form is not Form.FILE or found.content != file.content)):
            yield file.path


def entry_changes(state: MachineState, seen: Observed) -> Iterator[Change]:
    """Links and folders."""
    for link in state.links:
        found = seen.entries.get(link.path)
        if found is None:
            yield Change(Kind.LINK, link.path, Action.CREATE, "absent")
        elif found.form is not Form.LINK or found.target != link.target:
            why = f"points to {found.target}" if found.form is Form.LINK else f"{found.form.value}, not a link"
            yield Change(Kind.LINK, link.path, Action.UPDATE, why, since=found.changed)
    for folder in state.directories:
        rights = (folder.mode, folder.owner, folder.group)
        yield from _folder(Kind.DIRECTORY, folder.path, rights, seen)
    for data in state.data_folders:
        yield from _folder(Kind.DATA_FOLDER, data.path, (data.mode, data.owner, data.group), seen)


def _folder(kind: Kind, path: str, rights: tuple[int, str, str], seen: Observed) -> Iterator[Change]:
    found = seen.entries.get(path)
    if found is None:
        yield Change(kind, path, Action.CREATE, "absent")
    elif found.form is not Form.FOLDER:
        yield Change(kind, path, Action.UPDATE, f"{found.form.value}, not a folder", since=found.changed)
    elif reasons := _rights(found, *rights):
        yield Change(kind, path, Action.UPDATE, "; ".join(reasons), since=found.changed)


def removals(wanted: MachineManifest, seen: Observed) -> Iterator[Change]:
    """What is ours and no longer wanted. Its content is not shown: it may have been a secret."""
    for kind, ours, still in (
        (Kind.FILE, seen.manifest.files, {*wanted.files, *wanted.links}),
        (Kind.LINK, seen.manifest.links, {*wanted.files, *wanted.links}),
    ):
        for path in ours:
            found = seen.entries.get(path)
            if path not in still and found is not None and found.form is not Form.FOLDER:
                yield Change(kind, path, Action.REMOVE, "no longer wanted")


def _rights(found: PathSeen, mode: int, owner: str, group: str) -> list[str]:
    """What differs of mode and owner; an empty ``owner`` or ``group`` may be anybody."""
    return [
        *([f"mode {found.mode:04o}, not {mode:04o}"] if found.mode != mode else []),
        *([f"owner {found.owner}, not {owner}"] if owner not in ("", found.owner) else []),
        *([f"group {found.group}, not {group}"] if group not in ("", found.group) else []),
    ]


def text_diff(path: str, old: bytes, new: bytes) -> str:
    """A unified diff of two texts; empty where one of them is none, or too long to be read."""
    if len(old) + len(new) > LONGEST_DIFF or b"\0" in old or b"\0" in new:
        return ""
    try:
        before, after = old.decode().splitlines(), new.decode().splitlines()
    except UnicodeDecodeError:
        return ""
    return lines_diff(path, before, after)
