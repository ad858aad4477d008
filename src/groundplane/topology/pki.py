"""The keys a platform's machines share: made once, before any machine, and kept by ``store/``.

All keys are ECDSA on P-256: kubeadm, etcd, the registry and NSS (corosync-qnetd, -qdevice) all take them, and kubeadm
takes them for signing service-account tokens too. Authorities last ten years, the certificates below ``platform_ca``
five; ``renew_leaves`` issues those anew when they near their end or when the LAN they name has changed.

``cryptography`` is imported inside the functions: checking a cluster file needs none of this and shall start at once.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from secrets import token_bytes
from typing import TYPE_CHECKING

from groundplane.errors import StoreError
from groundplane.spec.addressing import gateway_address, roster
from groundplane.spec.model import ClusterSpec
from groundplane.spec.roles import Role
from groundplane.topology.model import KeyPair, Secret, Secrets

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

AUTHORITY_LIFE = timedelta(days=3652)
LEAF_LIFE = timedelta(days=1826)
# Leaves with less than this left are issued anew: half a year of runs in which to notice.
LEAF_RESERVE = timedelta(days=183)
# Machines whose clocks lag a little accept the certificates at once.
_BACKDATE = timedelta(hours=1)


def make_secrets(spec: ClusterSpec, *, now: datetime | None = None) -> Secrets:
    """Make every key of a platform: random, so call it once and keep the outcome."""
    now = now or datetime.now(UTC)
    platform_ca = _authority("groundplane-ca", spec.name, now)
    registry, qnetd, qdevice = _leaves(spec, platform_ca, now)
    return Secrets(
        platform_ca=platform_ca,
        # The three names are those kubeadm gives them.
        kubernetes_ca=_authority("kubernetes", None, now),
        front_proxy_ca=_authority("front-proxy-ca", None, now),
        etcd_ca=_authority("etcd-ca", None, now),
        service_account=_plain_pair(),
        registry=registry,
        qnetd=qnetd,
        qdevice=qdevice,
        corosync_key=Secret(token_bytes(256)),
        pacemaker_key=Secret(token_bytes(256)),
        encryption_key=Secret(token_bytes(32)),
    )


def renew_leaves(spec: ClusterSpec, secrets: Secrets, *, now: datetime | None = None) -> Secrets:
    """The same secrets when the certificates below ``platform_ca`` still fit the file and last long enough;
    otherwise with those three issued anew. Authorities and keys of the cluster never change here."""
    now = now or datetime.now(UTC)
    leaves = (secrets.registry, secrets.qnetd, secrets.qdevice)
    lasting = all(certificate_end(leaf.certificate) - now > LEAF_RESERVE for leaf in leaves)
    if lasting and _names(secrets.registry) == _registry_names(spec) and _common_name(secrets.qdevice) == spec.name:
        return secrets
    registry, qnetd, qdevice = _leaves(spec, secrets.platform_ca, now)
    return replace(secrets, registry=registry, qnetd=qnetd, qdevice=qdevice)


def certificate_end(pem: bytes) -> datetime:
    """When the first certificate in ``pem`` ceases to be valid (UTC). Raises ``StoreError`` for anything else."""
    return _certificate(pem).not_valid_after_utc


def _leaves(spec: ClusterSpec, authority: KeyPair, now: datetime) -> tuple[KeyPair, KeyPair, KeyPair]:
    from cryptography.x509.oid import ExtendedKeyUsageOID as Usage

    names, addresses = _registry_names(spec)
    registry = _leaf(names[0], authority, now, Usage.SERVER_AUTH, names, addresses)
    # A name without blanks: corosync-qdevice is told it on its command line (net_nss_qnetd_cn).
    gateway = names[1]
    qnetd = _leaf(gateway, authority, now, Usage.SERVER_AUTH, (gateway,))
    # qnetd takes a client for the member of the cluster its common name states: the name in corosync.conf.
    qdevice = _leaf(spec.name, authority, now, Usage.CLIENT_AUTH)
    return registry, qnetd, qdevice


def _registry_names(spec: ClusterSpec) -> tuple[tuple[str, ...], tuple[IPv4Address, ...]]:
    """What the registry is called: its own DNS name, those of the gateway it runs on, and the gateway's address."""
    gateway = next(entry.name for entry in roster(spec) if entry.has(Role.GATEWAY))
    domain = spec.network.domain
    return (f"registry.{domain}", f"{gateway}.{domain}", gateway), (gateway_address(spec),)


def _certificate(pem: bytes) -> x509.Certificate:
    from cryptography import x509

    try:
        return x509.load_pem_x509_certificate(pem)
    except ValueError as error:
        raise StoreError("a certificate can't be read", hint="restore it from a backup", detail=str(error)) from error


def _key(pair: KeyPair) -> EllipticCurvePrivateKey:
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(pair.key.reveal(), None)
    except (ValueError, TypeError) as error:  # TypeError: it asks for a passphrase
        raise StoreError("a private key can't be read", hint="restore it from a backup") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise StoreError("a private key is of another kind than groundplane makes", hint="restore it from a backup")
    return key


def _names(pair: KeyPair) -> tuple[tuple[str, ...], tuple[IPv4Address, ...]]:
    from cryptography import x509

    try:
        names = _certificate(pair.certificate).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return (), ()
    addresses = tuple(address for address in names.get_values_for_type(x509.IPAddress))
    return tuple(names.get_values_for_type(x509.DNSName)), tuple(a for a in addresses if isinstance(a, IPv4Address))


def _common_name(pair: KeyPair) -> str:
    from cryptography.x509.oid import NameOID

    found = _certificate(pair.certificate).subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(found[0].value) if found else ""


def _new_key() -> EllipticCurvePrivateKey:
    from cryptography.hazmat.primitives.asymmetric import ec

    return ec.generate_private_key(ec.SECP256R1())


def _private_pem(key: EllipticCurvePrivateKey) -> Secret:
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    return Secret(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))


def _plain_pair() -> KeyPair:
    """A key and its public half, without a certificate: ``sa.key`` and ``sa.pub``."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    key = _new_key()
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return KeyPair(public, _private_pem(key))


def _authority(name: str, organisation: str | None, now: datetime) -> KeyPair:
    """A self-signed authority that may sign leaves only (path length 0)."""
    from cryptography import x509
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.serialization import Encoding

    key = _new_key()
    subject = _subject(name, organisation)
    builder = (
        _builder(subject, subject, key, now, AUTHORITY_LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(authority=True), critical=True)
        # An authority names itself as its signer: verifiers that look for the signer by key find it at once.
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False)
    )
    return KeyPair(builder.sign(key, SHA256()).public_bytes(Encoding.PEM), _private_pem(key))


def _leaf(
    name: str,
    authority: KeyPair,
    now: datetime,
    usage: x509.ObjectIdentifier,
    names: tuple[str, ...] = (),
    addresses: tuple[IPv4Address, ...] = (),
) -> KeyPair:
    """A certificate signed by ``authority``; its end is never later than the authority's."""
    from cryptography import x509
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.serialization import Encoding

    key, signer, issuer = _new_key(), _key(authority), _certificate(authority.certificate)
    life = min(LEAF_LIFE, issuer.not_valid_after_utc - now)
    identifier = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    builder = (
        _builder(_subject(name, None), issuer.subject, key, now, life)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(authority=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False)
    )
    alternatives = [*(x509.DNSName(text) for text in names), *(x509.IPAddress(address) for address in addresses)]
    if alternatives:
        builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
    return KeyPair(builder.sign(signer, SHA256()).public_bytes(Encoding.PEM), _private_pem(key))


def _builder(
    subject: x509.Name, issuer: x509.Name, key: EllipticCurvePrivateKey, now: datetime, life: timedelta
) -> x509.CertificateBuilder:
    from cryptography import x509

    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATE)
        .not_valid_after(now + life)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _subject(name: str, organisation: str | None) -> x509.Name:
    """The platform's name goes into the organisation: with more words around it, it could exceed the 64 characters
    X.509 grants a common name."""
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    attributes = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, organisation)] if organisation else []
    # Where a DNS name is longer than a common name may be, its alternative names alone count, as RFC 6125 wants anyway.
    return x509.Name([*attributes, x509.NameAttribute(NameOID.COMMON_NAME, name[:64])])


def _usage(*, authority: bool) -> x509.KeyUsage:
    from cryptography import x509

    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,  # of no use with elliptic curves
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=authority,
        crl_sign=authority,
        encipher_only=False,
        decipher_only=False,
    )
