"""Certificates for corosync-qnetd and corosync-qdevice, which take them from an NSS database only.

A database holds random salts, so its bytes differ each time one is made. The machine's state therefore carries plain
PEM files, and a small script turns them into a database just before the daemon starts, whenever they changed.
The nicknames are those the daemons look for (corosync-qnetd-certutil(8), corosync-qdevice-net-certutil(8)).
"""

from __future__ import annotations

from cryptography import x509
from cryptography.x509.oid import ExtensionOID, NameOID

from groundplane.components.base import templates
from groundplane.errors import StateError
from groundplane.state.model import File
from groundplane.topology.model import KeyPair

SCRIPT = "/usr/lib/groundplane/nss-database"
CA_NICKNAME = "QNet CA"
SERVER_NICKNAME = "QNetd Cert"
CLIENT_NICKNAME = "Cluster Cert"


def script() -> File:
    """The script that makes a database of PEM files."""
    content = templates(__file__).get_template("nss-database.sh").render().encode()
    return File(SCRIPT, content, mode=0o755, check=("sh", "-n", "{}"))


def pem_files(folder: str, authority: KeyPair, pair: KeyPair) -> tuple[File, ...]:
    """What the script reads: ``ca.crt``, ``own.crt`` and ``own.key`` in ``folder``."""
    return (
        File(f"{folder}/ca.crt", authority.certificate),
        File(f"{folder}/own.crt", pair.certificate),
        File(f"{folder}/own.key", pair.key.reveal(), mode=0o600, secret=True),
    )


def server_name(pair: KeyPair) -> str:
    """The name clients must ask a server certificate for: its first DNS name, or its common name where it has none.

    NSS ignores the common name once there are alternative names. Raises ``StateError`` when there is neither.
    """
    certificate = x509.load_pem_x509_certificate(pair.certificate)
    try:
        extension = certificate.extensions.get_extension_for_oid(ExtensionOID.SUBJECT_ALTERNATIVE_NAME)
    except x509.ExtensionNotFound:
        names: list[str] = []
    else:
        assert isinstance(extension.value, x509.SubjectAlternativeName)
        names = extension.value.get_values_for_type(x509.DNSName)
    names += [str(name.value) for name in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    if not names:
        raise StateError(
            "the quorum vote's certificate bears no name", hint="remove it from the store: it is made anew"
        )
    return names[0]
