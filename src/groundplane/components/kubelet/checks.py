"""How we know that the kubelets are closed to strangers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from groundplane.components.cluster.answers import Answer, answers_of
from groundplane.components.cluster.names import API
from groundplane.state.step import Reach
from groundplane.verify.check import RECOVERY, Check


def checks(strangers: Callable[[Reach], Awaitable[tuple[Answer, ...]]]) -> tuple[Check, ...]:
    """``strangers``: what somebody without credentials was answered, in the kinds ``serving`` and ``readonly``."""
    return (
        Check(
            "kubelet-certificates",
            "every kubelet presents a certificate of the cluster's authority and refuses strangers",
            RECOVERY,
            "`groundplane up` approves what a kubelet asked for; `kubectl get csr` shows it",
            answers_of(strangers, "serving", "kubelets present signed certificates and refuse strangers"),
            needs=(API,),
        ),
        Check(
            "kubelet-read-only-port",
            "no kubelet has its unprotected port open",
            RECOVERY,
            "somebody set readOnlyPort in the kubelet's configuration: set it to 0",
            answers_of(strangers, "readonly", "kubelets have no unprotected port"),
            needs=(API,),
        ),
    )
