"""A small platform laid out by hand, with real certificates, for the balancers' components."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache
from ipaddress import IPv4Address, IPv4Network

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from groundplane.software import software_of
from groundplane.spec.model import Balancers, ClusterSpec, Standby
from groundplane.spec.roles import Role
from groundplane.topology.model import KeyPair, Lan, Machine, Secret, Secrets, Topology, Traits

NAME = "example"
LAN = Lan(
    range=IPv4Network("10.80.0.0/24"),
    domain="groundplane.internal",
    gateway=IPv4Address("10.80.0.1"),
    floating=IPv4Address("10.80.0.10"),
    pool_first=IPv4Address("10.80.0.192"),
    pool_last=IPv4Address("10.80.0.254"),
)


def topology(
    *, balancers: int = 2, standby: Standby = Standby.HOT, dns_name: bool = False, release: str = "trixie"
) -> Topology:
    """A gateway, ``balancers`` balancers and three control planes."""
    machines = [_machine("gateway", Role.GATEWAY, 1)]
    machines += [_machine(f"lb{n}", Role.BALANCER, 10 + n) for n in range(1, balancers + 1)]
    machines += [_machine(f"cp{n}", Role.CONTROL_PLANE, 20 + n) for n in range(1, 4)]
    spec = ClusterSpec.model_validate(
        {
            "name": NAME,
            "image": {"release": release},
            "balancers": {"standby": standby.value, "accept-single-point-of-failure": balancers == 1},
        }
    )
    assert isinstance(spec.balancers, Balancers)
    return Topology(
        spec=spec,
        lan=LAN,
        machines=tuple(machines),
        traits=Traits(),
        secrets=_secrets(dns_name),
        software=software_of(spec.kubernetes.version),
    )


def _machine(name: str, role: Role, last: int) -> Machine:
    return Machine(
        name=name,
        roles=(role,),
        mac=f"52:54:00:00:00:{last:02x}",
        address=IPv4Address(f"10.80.0.{last}"),
        cpus=1,
        memory=512 << 20,
        fqdn=f"{name}.{LAN.domain}",
    )


@cache
def _secrets(dns_name: bool) -> Secrets:
    platform = authority("groundplane")
    kubernetes = authority("kubernetes")
    return Secrets(
        platform_ca=platform,
        kubernetes_ca=kubernetes,
        front_proxy_ca=kubernetes,
        etcd_ca=kubernetes,
        service_account=kubernetes,
        registry=platform,
        qnetd=signed("Qnetd Server", platform, ("gateway.groundplane.internal",) if dns_name else ()),
        qdevice=signed(NAME, platform),
        corosync_key=Secret(bytes(range(256))),
        pacemaker_key=Secret(bytes(reversed(range(256)))),
        encryption_key=Secret(bytes(32)),
    )


def authority(name: str) -> KeyPair:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = _builder(key, subject, subject).add_extension(x509.BasicConstraints(ca=True, path_length=0), True)
    return _pair(key, builder.sign(key, hashes.SHA256()))


def signed(name: str, by: KeyPair, dns_names: tuple[str, ...] = ()) -> KeyPair:
    issuer = x509.load_pem_x509_certificate(by.certificate).subject
    signer = serialization.load_pem_private_key(by.key.reveal(), None)
    assert isinstance(signer, ec.EllipticCurvePrivateKey)
    key = ec.generate_private_key(ec.SECP256R1())
    builder = _builder(key, x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]), issuer)
    if dns_names:
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(dns) for dns in dns_names]), False)
    return _pair(key, builder.sign(signer, hashes.SHA256()))


def _builder(key: ec.EllipticCurvePrivateKey, subject: x509.Name, issuer: x509.Name) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=30))
    )


def _pair(key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate) -> KeyPair:
    return KeyPair(
        certificate=certificate.public_bytes(serialization.Encoding.PEM),
        key=Secret(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        ),
    )
