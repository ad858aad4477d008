"""What kubeadm keeps in the cluster: its own configuration, which joining control planes get, the kubelets', and
kube-proxy's; and which images kube-proxy and CoreDNS run.

kubeadm writes them when the cluster begins. What of them is ours is compared with what it would be today; what somebody
else wrote beside it stays.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from io import StringIO
from typing import Any, Final

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from groundplane.components.cluster.api import ATTEMPTS, ask, kubectl, loads, read
from groundplane.components.kubeadm import config
from groundplane.errors import StepError
from groundplane.state.change import lines_diff
from groundplane.state.step import Reach
from groundplane.topology.model import Topology

DEADLINE: Final = 600.0
_ROLLOUT: Final = 240
"""Seconds kube-proxy or CoreDNS may take to run anew everywhere, one node after the other."""
_SCOPE: Final = "--namespace=kube-system"
PROXY: Final = "daemonset/kube-proxy"
_DNS: Final = "deployment/coredns"
_PLACES: Final[Mapping[str, tuple[str, str]]] = {
    "ClusterConfiguration": ("kubeadm-config", "ClusterConfiguration"),
    "KubeletConfiguration": ("kubelet-config", "kubelet"),
    "KubeProxyConfiguration": ("kube-proxy", "config.conf"),
}
"""In which ConfigMap, and under which key, each kind lies."""


@dataclass(frozen=True, slots=True)
class Document:
    """A configuration as it lies in ConfigMap ``place`` under ``key``, and as it should lie there."""

    place: str
    key: str
    there: str
    wanted: str

    @property
    def differs(self) -> bool:
        return self.there != self.wanted


@dataclass(frozen=True, slots=True)
class Settings:
    """``images``: by the workload's name (``daemonset/kube-proxy``), what it runs and what it should run."""

    documents: tuple[Document, ...]
    images: Mapping[str, tuple[str, str]]

    @property
    def differing(self) -> tuple[Document, ...]:
        return tuple(document for document in self.documents if document.differs)

    @property
    def other_images(self) -> tuple[str, ...]:
        return tuple(name for name, (there, wanted) in self.images.items() if there != wanted)

    @property
    def hold(self) -> bool:
        return not (self.differing or self.other_images)


async def look(reach: Reach, topology: Topology, *, attempts: int = ATTEMPTS) -> Settings:
    """What lies in the cluster beside what would today; StepError where that can't be told."""
    maps = [f"configmap/{place}" for place, _ in _PLACES.values()]
    answer = await read(reach, topology, kubectl("get", _SCOPE, "--output=json", *maps, PROXY, _DNS), attempts=attempts)
    living = {f"{item['kind'].lower()}/{item['metadata']['name']}": item for item in loads(answer.text)["items"]}
    wanted = wanted_documents(topology)
    software = topology.software
    return Settings(
        documents=tuple(
            compared(place, key, living[f"configmap/{place}"].get("data", {}).get(key, ""), wanted[kind])
            for kind, (place, key) in _PLACES.items()
        ),
        images={
            PROXY: (_image(living[PROXY]), f"{software.image_repository}/kube-proxy:v{software.kubernetes}"),
            _DNS: (_image(living[_DNS]), f"{software.coredns_repository}/coredns:{software.coredns_tag}"),
        },
    )


def wanted_documents(topology: Topology) -> dict[str, dict[str, Any]]:
    """Ours, by kind: the same from every control plane."""
    text = config.init_configuration(topology, topology.control_planes[0]).decode()
    documents = YAML(typ="safe", pure=True).load_all(text)
    return {document["kind"]: document for document in documents if document["kind"] in _PLACES}


def compared(place: str, key: str, there: str, wanted: Mapping[str, Any]) -> Document:
    """What lies there, and the same with ours in it."""
    try:
        living = YAML(typ="safe", pure=True).load(there)
    except YAMLError:
        living = None
    if not isinstance(living, dict):
        return Document(place, key, there, _text(wanted))
    merged = _merged(living, wanted)
    # Written by whom it may be: the same words in another form are no difference.
    return Document(place, key, there, there if merged == living else _text(merged))


def _merged(living: Mapping[str, Any], ours: Mapping[str, Any]) -> dict[str, Any]:
    """``living`` with all that is ours. A list is ours as a whole. kubeadm leaves out what is empty, zero or false."""
    found = dict(living)
    for key, value in ours.items():
        if isinstance(value, dict) and isinstance(living.get(key), dict):
            found[key] = _merged(living[key], value)
        elif key in living or value:
            found[key] = value
    return found


def _text(document: Mapping[str, Any]) -> str:
    out = StringIO()
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = False
    yaml.width = 1 << 16
    yaml.dump(dict(document), out)
    return out.getvalue()


def _image(workload: Mapping[str, Any]) -> str:
    return str(workload["spec"]["template"]["spec"]["containers"][0]["image"])


def words(settings: Settings) -> str:
    """What differs, in a line."""
    said = [f"{document.place} has other settings" for document in settings.differing]
    said += [f"{name} runs {settings.images[name][0]}" for name in settings.other_images]
    return "; ".join(said)


def diff(settings: Settings) -> str:
    texts = [
        lines_diff(
            f"configmap/{document.place} {document.key}",
            _same_form(document.there).splitlines(),
            document.wanted.splitlines(),
        )
        for document in settings.differing
    ]
    images = [
        lines_diff(f"{name} image", [there], [wanted])
        for name, (there, wanted) in settings.images.items()
        if name in settings.other_images
    ]
    return "\n".join(filter(None, [*texts, *images]))


def _same_form(text: str) -> str:
    """``text`` as we would write it, so that a diff shows what differs and not how it is written."""
    try:
        document = YAML(typ="safe", pure=True).load(text)
    except YAMLError:
        return text
    return _text(document) if isinstance(document, dict) else text


async def bring(reach: Reach, topology: Topology) -> None:
    """Bring about what differs. kube-proxy and CoreDNS take theirs up one pod after the other; StepError where they
    don't get well with it, and kube-proxy has what it had then."""
    settings = await look(reach, topology)
    for document in settings.differing:
        await _write(reach, topology, document.place, document.key, document.wanted)
    for name in settings.other_images:
        container = name.partition("/")[2]
        argv = kubectl("set", "image", _SCOPE, name, f"{container}={settings.images[name][1]}")
        await ask(reach, topology, argv)
    proxy = next((document for document in settings.differing if document.place == "kube-proxy"), None)
    if proxy is not None:
        await ask(reach, topology, kubectl("rollout", "restart", _SCOPE, PROXY))
    rolling = [PROXY] if proxy is not None or PROXY in settings.other_images else []
    rolling += [_DNS] if _DNS in settings.other_images else []
    try:
        await asyncio.gather(*(_rolled_out(reach, topology, name) for name in rolling))
    except StepError as error:
        if proxy is None or not proxy.there:
            raise
        await _write(reach, topology, proxy.place, proxy.key, proxy.there)
        await ask(reach, topology, kubectl("rollout", "restart", _SCOPE, PROXY))
        raise StepError(
            "kube-proxy doesn't get well with its new configuration, and has the one from before again",
            where="platform",
            hint="`groundplane kubectl -n kube-system logs -l k8s-app=kube-proxy --prefix` has its words",
            detail=error.detail,
        ) from error


async def _write(reach: Reach, topology: Topology, place: str, key: str, text: str) -> None:
    patch = json.dumps({"data": {key: text}}).encode()
    argv = kubectl("patch", _SCOPE, f"configmap/{place}", "--type=merge", "--patch-file=/dev/stdin")
    await ask(reach, topology, argv, stdin=patch)


async def _rolled_out(reach: Reach, topology: Topology, name: str) -> None:
    argv = kubectl("rollout", "status", _SCOPE, name, f"--timeout={_ROLLOUT}s")
    # A watch that lasts: the limit of a single request isn't its.
    argv = tuple(word for word in argv if not word.startswith("--request-timeout"))
    await ask(reach, topology, argv, timeout=_ROLLOUT + 15, attempts=1)
