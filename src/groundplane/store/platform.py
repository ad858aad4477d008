"""What we remember of one platform between runs: its secrets, the file it was built from, the one it is being brought
to, whether it was verified."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

from groundplane.errors import FileChanged, StoreError
from groundplane.software import Program
from groundplane.store.files import (
    PARTIAL,
    create_private,
    private_folder,
    read_private,
    sync_folder,
    unusable,
    write_private,
)
from groundplane.store.home import Home
from groundplane.store.lock import locked

if TYPE_CHECKING:  # reading the journal needs neither, and both take long to import
    from groundplane.spec.edits import Edit
    from groundplane.spec.model import ClusterSpec
    from groundplane.spec.settling import NewerDefault
    from groundplane.store.remembered import Remembered
    from groundplane.topology.model import Secrets, Traits


class Store:
    """The folder of one platform. Change it only under ``lock``; ``secrets`` alone is safe at any time.

    Making a Store touches nothing on disk; reading does not either. Raises StoreError with what to do wherever
    something there is damaged, foreign or of a newer version; a damaged file is never overwritten.
    """

    def __init__(self, home: Home, name: str) -> None:
        self.home = home
        self.name = name
        self.folder = home.platform(name)

    @property
    def exists(self) -> bool:
        """Whether anything is remembered of this platform."""
        return os.path.isdir(self.folder)  # False, not an error, where we may not look

    def lock(self, command: str) -> AbstractContextManager[None]:
        """Keep every other groundplane off this platform while the block runs; LockHeld where one is there."""
        self.home.prepare()
        return locked(self.home.lock(self.name), command)

    def secrets(self, make: Callable[[], Secrets]) -> Secrets:
        """The platform's secrets, made by ``make`` the first time and never again."""
        from groundplane.topology.secrets_json import secrets_from_json, secrets_to_json

        path = self._prepared() / "secrets.json"
        if (content := read_private(path)) is None:
            create_private(path, secrets_to_json(make()))
            # Read back: another process may have been quicker, and only one set may ever be used.
            content = read_private(path) or b""
        try:
            return secrets_from_json(content)
        except StoreError as error:
            raise StoreError(error.what, where=str(path), hint=error.hint) from None

    def known_secrets(self) -> Secrets | None:
        """The platform's secrets where it has any; nothing is made."""
        self.home.check()
        if read_private(self.folder / "secrets.json") is None:
            return None
        return self.secrets(_never)

    def keep_secrets(self, secrets: Secrets) -> None:
        """Remember ``secrets`` instead of those there are: the same, with some made anew."""
        from groundplane.topology.secrets_json import secrets_to_json

        write_private(self._prepared() / "secrets.json", secrets_to_json(secrets))

    def traits(self, look: Callable[[], Traits]) -> Traits:
        """What the platform's machines are like, as remembered since they were made; what isn't remembered, as ``look``
        finds it now."""
        from groundplane.topology.traits_json import traits_from_json

        self.home.check()
        path = self.folder / "traits.json"
        if (content := read_private(path)) is None:
            return look()
        try:
            return traits_from_json(content, look)
        except StoreError as error:
            raise StoreError(error.what, where=str(path), hint=error.hint) from None

    def remember_traits(self, traits: Traits) -> None:
        from groundplane.topology.traits_json import traits_to_json

        path, content = self._prepared() / "traits.json", traits_to_json(traits)
        if read_private(path) != content:
            write_private(path, content)

    def claim(self, spec: ClusterSpec) -> None:
        """Remember ``spec`` as what this platform is built from; FileChanged where it is another one already."""
        if edits := self.live_changes(spec):
            raise FileChanged(
                f"the cluster file changed since platform {self.name} was built",
                where=self.name,
                hint="`groundplane plan` shows what that means for the platform, `groundplane apply` brings it about",
                detail="\n".join(map(str, edits)),
            )
        self._remember("spec.json", spec)

    def intend(self, spec: ClusterSpec) -> None:
        """Remember ``spec`` as what the platform is being brought to; FileChanged where it can't become that.

        What it was built from stays remembered beside it until ``adopt``.
        """
        self.live_changes(spec)
        self._remember("next.json", spec)

    def adopt(self, spec: ClusterSpec) -> None:
        """Remember ``spec`` as what this platform is from now on; FileChanged where it can't have become that.

        Nothing is intended any more. A crash between the two leaves the same twice.
        """
        self.live_changes(spec)
        self._remember("spec.json", spec)
        self._remove((self.folder / "next.json",))

    def settled(self, spec: ClusterSpec) -> tuple[ClusterSpec, tuple[NewerDefault, ...]]:
        """``spec`` with what the platform was built with wherever nobody wrote anything, and the newer defaults that
        this held back. Give the others here what comes out of it."""
        from groundplane.spec.settling import settled, written

        if (built := self._remembered("spec.json")) is None:
            return spec, ()
        return settled(built.spec, built.written, spec, written(spec))

    def live_changes(self, spec: ClusterSpec) -> tuple[Edit, ...]:
        """How ``spec`` differs from what the platform was built from; FileChanged where a standing one can't follow."""
        from groundplane.spec.edits import refuse

        edits = self.changes(spec)
        refuse(edits, self.name)
        return edits

    def changes(self, spec: ClusterSpec) -> tuple[Edit, ...]:
        """How ``spec`` differs from what the platform was built from; empty too where it was not built."""
        from groundplane.spec.edits import edits

        return () if (old := self.remembered_spec()) is None else edits(old, spec)

    def remembered_spec(self) -> ClusterSpec | None:
        """What the platform was built from; None where it was not built."""
        return found.spec if (found := self._remembered("spec.json")) else None

    def intended_spec(self) -> ClusterSpec | None:
        """What an apply has begun to make of the platform and has not finished; None where there is no such thing."""
        return found.spec if (found := self._remembered("next.json")) else None

    def images(self) -> bytes:
        """The index of the user's own images that the platform serves; empty where there are none."""
        return read_private(self.folder / "images.json") or b""

    def remember_images(self, index: bytes) -> None:
        write_private(self._prepared() / "images.json", index)

    def programs(self) -> tuple[Program, ...]:
        """What the bundle's programs hold that the platform was built with; empty where nobody remembers."""
        path = self.folder / "software.json"
        if (content := read_private(path)) is None:
            return ()
        try:
            rows = json.loads(content)["programs"]
            return tuple(Program(str(row["path"]), str(row["digest"]), int(row["size"])) for row in rows)
        except (ValueError, KeyError, TypeError) as error:
            raise StoreError(
                "what is remembered of the platform's software is damaged",
                where=str(path),
                hint=f"move {path.name} away: programs then count as right whatever they hold, until the next `up`",
                detail=str(error),
            ) from error

    def remember_programs(self, programs: Sequence[Program]) -> None:
        rows = [{"path": one.path, "digest": one.digest, "size": one.size} for one in programs]
        content = json.dumps({"programs": rows}, indent=1).encode() + b"\n"
        write_private(self._prepared() / "software.json", content)

    def balancer_numbers(self) -> dict[str, int]:
        """Corosync's numbers of the balancers there are, by name, as they were given out."""
        from groundplane.spec.addressing import roster
        from groundplane.spec.roles import Role

        path = self.folder / NUMBERS
        if (content := read_private(path)) is not None:
            try:
                return {str(name): int(number) for name, number in json.loads(content).items()}
            except (ValueError, AttributeError, TypeError) as error:
                raise StoreError("is damaged", where=str(path), hint="put it back from a copy") from error
        built = self.remembered_spec()  # by a groundplane that remembered none, and went by their order
        entries = roster(built) if built else ()
        return {entry.name: place for place, entry in enumerate((e for e in entries if e.has(Role.BALANCER)), 1)}

    def remember_balancer_numbers(self, numbers: Mapping[str, int]) -> None:
        write_private(self._prepared() / NUMBERS, json.dumps(numbers, sort_keys=True).encode() + b"\n")

    def verified(self) -> bool:
        """Whether the platform passed its checks after it was last changed."""
        return read_private(self.folder / "verified") is not None

    def verdict(self) -> object:
        """What ``verified`` goes by, another one each time that the platform was found well."""
        try:
            found = (self.folder / "verified").stat()
        except OSError:
            return None
        return found.st_ino, found.st_mtime_ns

    def set_verified(self, ok: bool) -> None:
        path = self._prepared() / "verified"
        if ok:
            self.set_replaced(())  # whatever a `replace` had begun is whole
            write_private(path, b"")
        else:
            self._remove((path,))

    def replaced(self) -> frozenset[str]:
        """The machines that a `replace` removed, to make them anew, and wasn't seen to end well since."""
        path = self.folder / REPLACED
        if (content := read_private(path)) is None:
            return frozenset()
        try:
            return frozenset(map(str, json.loads(content)))
        except (ValueError, TypeError) as error:
            hint = f"move {path.name} away: `groundplane replace` then makes its machines anew once more"
            raise StoreError("is damaged", where=str(path), hint=hint) from error

    def set_replaced(self, names: Collection[str]) -> None:
        path = self._prepared() / REPLACED
        if names:
            write_private(path, json.dumps(sorted(names)).encode() + b"\n")
        elif path.exists():
            self._remove((path,))

    def forget(self) -> None:
        """Remove all that is remembered of the platform, its secrets included. The journal stays.

        StoreError, with nothing removed, while anything that is not ours lies in the folder: a machine may be left.
        """
        if not self.exists:
            return
        ours = [path for path in self.folder.iterdir() if path.name in OURS or path.name.startswith(PARTIAL)]
        if others := sorted(path.name for path in self.folder.iterdir() if path not in ours):
            raise StoreError(
                f"not empty yet: {', '.join(others)}",
                where=str(self.folder),
                hint="run `groundplane down` again; if it stays so, look what these are and remove them yourself",
            )
        self._remove(sorted(ours))
        try:
            self.folder.rmdir()
            sync_folder(self.folder.parent)
        except OSError as error:
            raise unusable(self.folder, error) from error

    def _remember(self, name: str, spec: ClusterSpec) -> None:
        from groundplane.store.remembered import to_json

        write_private(self._prepared() / name, to_json(spec))

    def _remembered(self, name: str) -> Remembered | None:
        from groundplane.store.remembered import from_json

        self.home.check()
        path = self.folder / name
        return None if (content := read_private(path)) is None else from_json(content, path)

    def _prepared(self) -> Path:
        self.home.prepare()
        return private_folder(self.folder)

    def _remove(self, paths: list[Path] | tuple[Path, ...]) -> None:
        try:
            for path in paths:
                path.unlink(missing_ok=True)
            sync_folder(self.folder)
        except OSError as error:
            raise unusable(self.folder, error) from error


NUMBERS = "balancers.json"
REPLACED = "replaced.json"
OURS = (
    NUMBERS,
    "images.json",
    "next.json",
    REPLACED,
    "secrets.json",
    "software.json",
    "spec.json",
    "traits.json",
    "verified",
)
"""The names this module writes in a platform's folder."""


def _never() -> Secrets:
    raise StoreError("the platform's secrets vanished while they were read", hint="run the command again")
