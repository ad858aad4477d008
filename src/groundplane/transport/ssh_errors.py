"""What went wrong on the way to a machine, in our terms: what happened, where, and what to do about it.

``explained`` is asked with whatever the SSH library or the system raised. An ``Unreachable`` machine may come back by
itself; any other ``TransportError`` takes somebody who mends it.
"""

from __future__ import annotations

import errno
import socket

from groundplane.errors import TransportError, Unreachable
from groundplane.transport.ssh_library import Gone, HostKeyRefused, HostKeysUnreadable, KeyUnusable
from groundplane.transport.target import Target


def foreign() -> tuple[type[Exception], ...]:
    """Every kind of exception that the library and the system raise on the way to a machine."""
    import asyncssh

    return (OSError, asyncssh.Error, Gone, HostKeyRefused, HostKeysUnreadable, KeyUnusable)


def explained(error: Exception, machine: str, target: Target) -> TransportError:
    """``error``, one of the ``foreign`` kinds, as ours."""
    import asyncssh

    match error:
        case HostKeyRefused():
            return _refused_key(error, machine, target)
        case HostKeysUnreadable():
            return TransportError(
                f"the known host keys can't be read from {target.source}",
                where=machine,
                hint="no machine is trusted without its key: name a file in the form of ssh's known_hosts",
                detail=str(error),
            )
        case KeyUnusable():
            return TransportError(
                f"{target.credentials} can't be used",
                where=machine,
                hint="it must be a private key in OpenSSH's format, readable here; one with a passphrase goes into "
                "ssh-agent (ssh-add FILE), and the target then names no key",
                detail=str(error),
            )
        case asyncssh.PermissionDenied():
            return TransportError(
                f"{target.user}@{target.door} doesn't let us in with {target.credentials}",
                where=machine,
                hint=f"put the public key into {target.user}'s ~/.ssh/authorized_keys on the machine; "
                "for root, its sshd must also have PermitRootLogin prohibit-password",
                detail=error.reason,
            )
        case asyncssh.KeyExchangeFailed() | asyncssh.HostKeyNotVerifiable():
            return TransportError(
                f"no secure connection with {target.door} comes about",
                where=machine,
                hint="does the machine have a host key of the kind known for it? "
                f"Look with `ssh-keygen -l -F {target.known_as} -f FILE` at {target.source}",
                detail=error.reason,
            )
        case asyncssh.ChannelOpenError():
            return TransportError(
                "its SSH server refuses another session",
                where=machine,
                hint="look at MaxSessions and ForceCommand in its sshd_config, and at its journal: journalctl -u ssh",
                detail=error.reason,
            )
        case asyncssh.Error() | Gone() | ConnectionError() if not isinstance(error, ConnectionRefusedError):
            return Unreachable(
                f"the connection to {target.door} was lost",
                where=machine,
                hint="is the machine on? Running the command again connects anew",
                detail=str(error),
            )
        case _:
            return _system(error, machine, target)


def late(machine: str, target: Target, patience: float) -> Unreachable:
    """The machine did not answer within ``patience`` seconds."""
    return Unreachable(
        f"{target.door} does not answer within {patience:g} s",
        where=machine,
        hint="is the machine on, at that address, and no firewall between?",
    )


def _refused_key(error: HostKeyRefused, machine: str, target: Target) -> TransportError:
    """Never trust on first use: both fingerprints, where each comes from, and how to accept the offered one."""
    seen = f"{target.door} offers\n  {error.offered}"
    compare = "compare it with what `ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub` says at the machine's console"
    accept = f"add the line that `ssh-keyscan -p {target.port} {target.host}` prints to {target.source}"
    if not error.known:
        return TransportError(
            f"the host key of {target.door} isn't known",
            where=machine,
            hint=f"{compare}; where they are the same, {accept}",
            detail=f"{seen}\nand {target.source} has none for {target.known_as}",
        )
    known = "\n".join(f"  {fingerprint}" for fingerprint in error.known)
    return TransportError(
        f"the host key of {target.door} is not the one that is known",
        where=machine,
        hint=f"either the machine was made anew, or somebody stands in between: {compare}; "
        f"where they are the same, remove the old line (ssh-keygen -R {target.known_as} -f FILE) and {accept}",
        detail=f"{seen}\nand {target.source} knows\n{known}",
    )


def _system(error: Exception, machine: str, target: Target) -> TransportError:
    if isinstance(error, socket.gaierror):
        return Unreachable(
            f"the name {target.host} isn't known",
            where=machine,
            hint=f"ask for it with `getent hosts {target.host}`, or give the machine's address instead",
            detail=str(error),
        )
    if isinstance(error, ConnectionRefusedError):
        return Unreachable(
            f"nothing listens for SSH at {target.door}",
            where=machine,
            hint="at the machine's console: systemctl status ssh; where it is missing: apt-get install openssh-server",
            detail=str(error),
        )
    number = error.errno if isinstance(error, OSError) else None
    if number in (errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ETIMEDOUT):
        return Unreachable(
            f"there is no way to {target.door}",
            where=machine,
            hint=f"is the machine on, and on this network? `ip route get {target.host}` shows the way taken",
            detail=str(error),
        )
    return TransportError(
        f"the connection to {target.door} can't be made on this computer: {error}",
        where=machine,
        hint="too many open files: raise the limit with `ulimit -n`" if number == errno.EMFILE else "",
        detail=str(error),
    )
