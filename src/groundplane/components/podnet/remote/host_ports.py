"""Says which pods of this node ask for one of its ports and are not reached by it; with ``mend``, has them reached.

CNI's library keeps what it attached each pod with (containernetworking/cni, libcni/api.go: cachedInfo): the network's
configuration, the ports, and what came of it. With just that the plugin itself is asked, by CHECK, whether its rules
are there, and lays them anew by DEL and ADD: the pod and what runs in it are left alone.
"""

from __future__ import annotations

import json
import os
import sys
from base64 import b64decode
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

KEPT = Path("/var/lib/cni/results")
KIND = "cniCacheV1"
PLUGINS = "/opt/cni/bin"
PLUGIN = "portmap"
PROCESSES = Path("/proc")


def attached(folder: Path) -> Iterator[dict[str, Any]]:
    """What is kept of each pod that has ports of the node."""
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        with suppress(OSError, ValueError):  # gone meanwhile, or not whole yet
            kept = json.loads(path.read_bytes())
            if kept.get("kind") == KIND and (kept.get("capabilityArgs") or {}).get("portMappings"):
                yield kept


def requests(kept: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """What CNI's library gives the plugin to read (its SPEC, "Deriving execution configuration")."""
    network = json.loads(b64decode(kept["config"]))
    for plugin in network["plugins"]:
        if plugin["type"] == PLUGIN:
            own = {key: value for key, value in plugin.items() if key != "capabilities"}
            ports = {"portMappings": kept["capabilityArgs"]["portMappings"]}
            common = {"name": network["name"], "cniVersion": network["cniVersion"]}
            yield {**own, **common, "runtimeConfig": ports, "prevResult": kept["result"]}


def ask(kept: dict[str, Any], request: dict[str, Any], command: str) -> str:
    """Have the plugin do it; what it complains of, empty when it is content."""
    import subprocess  # costs its import, and on most nodes no pod has a port

    environment = {
        "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
        "CNI_COMMAND": command,
        "CNI_CONTAINERID": kept["containerId"],
        "CNI_NETNS": kept.get("netns", ""),
        "CNI_IFNAME": kept["ifName"],
        "CNI_ARGS": ";".join(f"{key}={value}" for key, value in kept.get("cniArgs") or ()),
        "CNI_PATH": PLUGINS,
    }
    done = subprocess.run(
        [f"{PLUGINS}/{PLUGIN}"], input=json.dumps(request).encode(), env=environment, capture_output=True, check=False
    )
    return "" if done.returncode == 0 else (done.stdout or done.stderr).decode(errors="replace").strip() or "it failed"


def lives(kept: dict[str, Any]) -> bool:
    """Whether anybody runs in the pod's network still: containerd ends all who do before it takes the rules away."""
    with suppress(OSError):
        network = os.stat(kept["netns"]).st_ino
        for process in PROCESSES.glob("[0-9]*/ns/net"):
            with suppress(OSError):  # ended meanwhile
                if process.stat().st_ino == network:
                    return True
    return False


def pod(kept: dict[str, Any]) -> str:
    """The pod and its ports, for people."""
    words = dict(kept.get("cniArgs") or ())
    # go-cni, containerd's library, gives them no names but Go's own ("HostPort"): a reader in Go takes either.
    mappings = ({key.lower(): value for key, value in port.items()} for port in kept["capabilityArgs"]["portMappings"])
    ports = ", ".join(str(port["hostport"]) for port in mappings)
    return f"{words.get('K8S_POD_NAMESPACE')}/{words.get('K8S_POD_NAME')} ({ports})"


def main(mend: bool) -> int:
    missing, complaints = [], []
    for kept in attached(KEPT):
        for request in requests(kept):
            # Who died, with the machine or by itself, is asked for last: its rules go while one looks.
            if not ask(kept, request, "CHECK") or not lives(kept):
                continue
            missing.append(pod(kept))
            if mend:
                words = [ask(kept, request, command) for command in ("DEL", "ADD")]
                complaints += [f"{pod(kept)}: {said}" for said in words if said]
    if missing and not mend:
        print(f"the node's ports don't reach {'; '.join(missing)}")
    print("\n".join(complaints), end="", file=sys.stderr)
    return 1 if complaints or (missing and not mend) else 0


if __name__ == "__main__":
    sys.exit(main("mend" in sys.argv))
