"""Keys and certificates: that they verify, name whom they should, and survive being kept."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import cache

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from groundplane.errors import StoreError
from groundplane.spec import ClusterSpec, load
from groundplane.topology import KeyPair, Secrets
from groundplane.topology.pki import certificate_end, make_secrets, renew_leaves
from groundplane.topology.secrets_json import secrets_from_json, secrets_to_json

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def read(text: str) -> ClusterSpec:
    return load(text.encode(), name="cluster.yaml", versions=("1.37.2",))


LAB = read("name: lab\n")


@cache
def made() -> Secrets:
    return make_secrets(LAB, now=NOW)


def certificate(pair: KeyPair) -> x509.Certificate:
    return x509.load_pem_x509_certificate(pair.certificate)


def common_name(pair: KeyPair) -> str:
    (attribute,) = certificate(pair).subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(attribute.value)


@pytest.mark.parametrize(
    ("name", "subject"),
    [
        ("platform_ca", "groundplane-ca"),
        ("kubernetes_ca", "kubernetes"),
        ("front_proxy_ca", "front-proxy-ca"),
        ("etcd_ca", "etcd-ca"),
    ],
)
def test_authorities(name: str, subject: str) -> None:
    pair: KeyPair = getattr(made(), name)
    parsed = certificate(pair)
    assert common_name(pair) == subject
    constraints = parsed.extensions.get_extension_for_class(x509.BasicConstraints)
    assert constraints.critical
    assert (constraints.value.ca, constraints.value.path_length) == (True, 0)
    usage = parsed.extensions.get_extension_for_class(x509.KeyUsage)
    assert usage.critical
    assert usage.value.key_cert_sign
    assert usage.value.crl_sign
    assert parsed.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
    parsed.verify_directly_issued_by(parsed)
    assert timedelta(days=3650) < certificate_end(pair.certificate) - NOW < timedelta(days=3654)


@pytest.mark.parametrize(
    ("name", "subject", "usage"),
    [
        ("registry", "registry.groundplane.internal", ExtendedKeyUsageOID.SERVER_AUTH),
        ("qnetd", "gateway.groundplane.internal", ExtendedKeyUsageOID.SERVER_AUTH),
        ("qdevice", "lab", ExtendedKeyUsageOID.CLIENT_AUTH),
    ],
)
def test_leaves(name: str, subject: str, usage: x509.ObjectIdentifier) -> None:
    pair: KeyPair = getattr(made(), name)
    parsed, authority = certificate(pair), certificate(made().platform_ca)
    parsed.verify_directly_issued_by(authority)
    assert common_name(pair) == subject
    constraints = parsed.extensions.get_extension_for_class(x509.BasicConstraints)
    assert constraints.critical
    assert not constraints.value.ca
    assert list(parsed.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value) == [usage]
    key = parsed.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier
    assert key == authority.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
    assert timedelta(days=1820) < certificate_end(pair.certificate) - NOW < timedelta(days=1830)


def test_names_of_the_registry() -> None:
    names = certificate(made().registry).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == [
        "registry.groundplane.internal",
        "gateway.groundplane.internal",
        "gateway",
    ]
    assert [str(address) for address in names.get_values_for_type(x509.IPAddress)] == ["10.80.0.1"]


def test_the_name_of_qnetd_is_one_word() -> None:
    """corosync-qdevice is told it on its command line, which systemd splits at blanks."""
    names = certificate(made().qnetd).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == [common_name(made().qnetd)]
    assert " " not in common_name(made().qnetd)


def test_every_key_fits_its_certificate() -> None:
    secrets = made()
    for name in ("platform_ca", "kubernetes_ca", "front_proxy_ca", "etcd_ca", "registry", "qnetd", "qdevice"):
        pair: KeyPair = getattr(secrets, name)
        key = load_pem_private_key(pair.key.reveal(), None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        assert key.public_key() == certificate(pair).public_key()
    signer = load_pem_private_key(secrets.service_account.key.reveal(), None)
    assert isinstance(signer, ec.EllipticCurvePrivateKey)
    assert signer.public_key() == load_pem_public_key(secrets.service_account.certificate)
    assert b"BEGIN PUBLIC KEY" in secrets.service_account.certificate


def test_sizes_and_randomness() -> None:
    one, other = made(), make_secrets(LAB, now=NOW)
    assert [len(key.reveal()) for key in (one.corosync_key, one.pacemaker_key, one.encryption_key)] == [256, 256, 32]
    assert one.corosync_key != other.corosync_key
    assert one.kubernetes_ca.key != other.kubernetes_ca.key


def test_nothing_secret_shows() -> None:
    assert "PRIVATE" not in repr(made())
    assert repr(made().corosync_key) == f"{made().corosync_key}" == "***"


def test_the_longest_names_fit() -> None:
    spec = read(f"name: {'n' * 63}\nnetwork: {{domain: {'.'.join(['d' * 60] * 3)}}}\n")
    secrets = make_secrets(spec, now=NOW)
    assert common_name(secrets.qdevice) == "n" * 63
    names = certificate(secrets.registry).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName)[0] == f"registry.{spec.network.domain}"


def test_leaves_are_kept_while_they_fit() -> None:
    assert renew_leaves(LAB, made(), now=NOW) is made()


@pytest.mark.parametrize(
    "text", ["name: lab\nnetwork: {lan: 10.90.0.0/24}\n", "name: lab\nnetwork: {domain: a.test}\n"]
)
def test_leaves_follow_the_lan(text: str) -> None:
    renewed = renew_leaves(read(text), made(), now=NOW)
    assert renewed.platform_ca == made().platform_ca
    assert renewed.registry != made().registry
    certificate(renewed.registry).verify_directly_issued_by(certificate(made().platform_ca))
    assert renew_leaves(read(text), renewed, now=NOW) is renewed


def test_leaves_are_renewed_before_their_end_and_never_outlive_their_authority() -> None:
    later = NOW + timedelta(days=1826 - 100)
    renewed = renew_leaves(LAB, made(), now=later)
    assert renewed is not made()
    assert certificate_end(renewed.registry.certificate) > later + timedelta(days=1800)
    last = renew_leaves(LAB, renewed, now=NOW + timedelta(days=3500))
    assert certificate_end(last.registry.certificate) == certificate_end(made().platform_ca.certificate)


def test_secrets_come_back_exactly() -> None:
    raw = secrets_to_json(made())
    assert secrets_from_json(raw) == made()
    assert secrets_to_json(secrets_from_json(raw)) == raw
    assert json.loads(raw)["version"] == 1


def _without_registry(content: dict[str, dict[str, object]]) -> None:
    del content["secrets"]["registry"]


def _broken_base64(content: dict[str, dict[str, object]]) -> None:
    content["secrets"]["corosync_key"] = "%%%"


def _number(content: dict[str, dict[str, object]]) -> None:
    content["secrets"]["corosync_key"] = 7


def _half_pair(content: dict[str, dict[str, object]]) -> None:
    content["secrets"]["etcd_ca"] = {"certificate": ""}


def _newer(content: dict[str, object]) -> None:
    content["version"] = 2


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (_without_registry, "missing"),
        (_broken_base64, "corosync_key"),
        (_number, "corosync_key"),
        (_half_pair, "etcd_ca"),
        (_newer, "version"),
    ],
)
def test_damaged_secrets_are_refused(spoil: Callable[[object], None], words: str) -> None:
    content = json.loads(secrets_to_json(made()))
    spoil(content)
    with pytest.raises(StoreError, match=words) as caught:
        secrets_from_json(json.dumps(content).encode())
    assert caught.value.hint


@pytest.mark.parametrize("raw", [b"", b"\xff", b"[]", b"{}", b'{"version": 1}', b'{"secrets": []}'])
def test_other_files_are_not_secrets(raw: bytes) -> None:
    with pytest.raises(StoreError):
        secrets_from_json(raw)


def test_what_is_no_certificate() -> None:
    with pytest.raises(StoreError):
        certificate_end(b"nothing")


def test_a_key_of_another_kind_is_refused() -> None:
    with pytest.raises(StoreError):
        renew_leaves(read("name: other\n"), _with_key(made(), b"nothing"), now=NOW)


def _with_key(secrets: Secrets, key: bytes) -> Secrets:
    from dataclasses import replace

    from groundplane.topology import Secret

    return replace(secrets, platform_ca=KeyPair(secrets.platform_ca.certificate, Secret(key)))
