"""Two machines with keepalived and a TLS server each, as network namespaces, measured as a platform's balancers are."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path
from time import monotonic

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from groundplane.drill.measure import gap, steady
from groundplane.drill.model import EVERY, Answer, Sample, Timeline
from groundplane.drill.probe import PATIENCE, Prober, program, read_answer, read_sample
from groundplane.drill.remote.ask_server import Task
from groundplane.verify.condition import NotYet, wait_until

SPACES = Path("/run/groundplane-bench")
"""A folder of our own: ip-netns(8) would lay a mount over all namespaces that are in its folder already."""
LAN = "lan"
MACHINES = ("a", "b")
FLOATING, OPERATOR = IPv4Address("10.99.0.10"), IPv4Address("10.99.0.1")
PORT = 6443
NAME = "api.bench.internal"
STEADY = 2.0
"""Seconds for which clients must have been served before the crash, and again after it."""
SERVER = """
import http.server, ssl, sys
class Ready(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.send_header("Content-Length", "2"); self.end_headers(); self.wfile.write(b"ok")
    def log_message(self, *_): pass
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[1])
server = http.server.ThreadingHTTPServer(("0.0.0.0", int(sys.argv[2])), Ready)
server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
server.serve_forever()
"""


def install() -> None:
    """Install keepalived, without starting the host's own."""
    subprocess.run(
        ["apt-get", "install", "--yes", "--quiet", "--quiet", "--no-install-recommends", "keepalived"],
        check=True,
        env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
        stdout=sys.stderr,
    )


class Pair:
    """``advert``: seconds between two advertisements; after three and a bit without any the other takes over."""

    def __init__(self, advert: float) -> None:
        self._advert = advert
        self._processes: dict[str, list[subprocess.Popen[bytes]]] = {machine: [] for machine in MACHINES}

    async def crash(self) -> float:
        """Build the pair, cut the active one's power, return the gap in seconds, and remove everything."""
        folder = Path(tempfile.mkdtemp(prefix="groundplane-bench-"))
        with ExitStack() as cleaning:
            cleaning.callback(shutil.rmtree, folder)
            cleaning.callback(self._remove)
            certificate = self_signed(folder / "server.pem")
            self._network()
            for number, machine in enumerate(MACHINES):
                self._start(machine, folder, number)
            return await self._measure(certificate)

    async def _measure(self, authority: str) -> float:
        requests: list[Sample] = []
        answers: list[Answer] = []
        task = Task(str(FLOATING), PORT, NAME, EVERY, PATIENCE, authority)
        asking = Prober(within(LAN, program("ask_server.py")), read_sample, requests, asdict(task))
        finding = Prober(
            within(LAN, program("ask_lan.py", str(FLOATING), str(OPERATOR), str(EVERY))), read_answer, answers
        )

        injected = monotonic()

        async def served() -> None:
            if monotonic() - injected < STEADY:
                raise NotYet("it is too early to say")
            if (
                not steady(requests, monotonic(), seconds=STEADY, every=EVERY)
                or not answers
                or len(answers[-1].macs) != 1
            ):
                raise NotYet(f"the last of {len(requests)} requests: {requests[-1].why if requests else 'none'}")

        try:
            await asking.start()
            await finding.start()
            await wait_until("the pair serves", served, deadline=60, every=0.1)
            active = next(machine for machine in MACHINES if mac_of(machine) == answers[-1].macs[0])
            injected = monotonic()
            self._kill(active)
            await wait_until("the other one serves", served, deadline=60, every=0.1)
            ended = monotonic()
        finally:
            await asking.stop()
            await finding.stop()
        seen = Timeline(injected, None, None, ended, tuple(requests), (), tuple(answers))
        return gap(seen)[1]

    def _network(self) -> None:
        SPACES.mkdir(mode=0o700, exist_ok=True)
        for space in (LAN, *MACHINES):
            (SPACES / space).touch()
            run("unshare", f"--net={SPACES / space}", "true")
        run_in(
            LAN,
            "ip",
            "link",
            "add",
            "lan",
            "type",
            "bridge",
            "stp_state",
            "0",
            "forward_delay",
            "0",
            "mcast_snooping",
            "0",
        )
        run_in(LAN, "ip", "address", "add", f"{OPERATOR}/24", "dev", "lan")
        run_in(LAN, "ip", "link", "set", "lan", "up")
        for number, machine in enumerate(MACHINES):
            run_in(
                LAN,
                "ip",
                "link",
                "add",
                cable(machine),
                "type",
                "veth",
                "peer",
                "name",
                "lan0",
                "netns",
                str(SPACES / machine),
            )
            run_in(LAN, "ip", "link", "set", cable(machine), "master", "lan", "up")
            run_in(machine, "ip", "address", "add", f"{OPERATOR + 1 + number}/24", "dev", "lan0")
            run_in(machine, "ip", "link", "set", "lo", "up")
            run_in(machine, "ip", "link", "set", "lan0", "up")

    def _start(self, machine: str, folder: Path, number: int) -> None:
        config = folder / f"keepalived{number}.conf"
        config.write_text(
            # Version 2, its default, knows whole seconds alone.
            f"global_defs {{\n  router_id {machine}\n  vrrp_version {2 if self._advert >= 1 else 3}\n}}\n"
            "vrrp_instance api {\n  state BACKUP\n  nopreempt\n  interface lan0\n  virtual_router_id 51\n"
            f"  priority {100 - number}\n  advert_int {self._advert:g}\n"
            f"  virtual_ipaddress {{\n    {FLOATING}/24 dev lan0\n  }}\n}}\n"
        )
        pids = [f"--{kind}={folder / f'{kind}{number}'}" for kind in ("pid", "vrrp_pid")]
        daemon = ("keepalived", "--dont-fork", "--vrrp", "--log-console", f"--use-file={config}", *pids)
        server = (sys.executable, "-c", SERVER, str(folder / "server.pem"), str(PORT))
        for argv in (server, daemon):
            self._processes[machine].append(
                subprocess.Popen(
                    within(machine, argv),
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    start_new_session=True,
                )
            )

    def _kill(self, machine: str) -> None:
        """Its cable first, as in a drill: a machine without power says no last words."""
        run_in(LAN, "ip", "link", "set", cable(machine), "down")
        for process in self._processes[machine]:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        self._processes[machine] = []

    def _remove(self) -> None:
        for machine in MACHINES:
            for process in self._processes[machine]:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        for space in (*MACHINES, LAN):
            subprocess.run(["umount", str(SPACES / space)], check=False, stderr=subprocess.DEVNULL)
            (SPACES / space).unlink(missing_ok=True)
        SPACES.rmdir()


def cable(machine: str) -> str:
    return f"l-{machine}"


def mac_of(machine: str) -> str:
    shown = subprocess.run(
        within(machine, ("ip", "-json", "link", "show", "dev", "lan0")), check=True, stdout=subprocess.PIPE
    )
    return str(json.loads(shown.stdout)[0]["address"])


def within(space: str, argv: Sequence[str]) -> tuple[str, ...]:
    return ("nsenter", f"--net={SPACES / space}", *argv)


def run(*argv: str) -> None:
    subprocess.run(argv, check=True)


def run_in(space: str, *argv: str) -> None:
    run(*within(space, argv))


def self_signed(path: Path) -> str:
    """Write a key and a certificate that is its own authority to ``path``; return the certificate, PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, NAME)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(NAME)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    public = certificate.public_bytes(serialization.Encoding.PEM)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.touch(mode=0o600)
    path.write_bytes(private + public)
    return public.decode()


if __name__ == "__main__":
    print(asyncio.run(Pair(float(sys.argv[1])).crash()))
