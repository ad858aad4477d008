"""The cluster file: its types, how it is read, and every way in which it can be wrong."""

from groundplane.spec.annotating import annotate
from groundplane.spec.edits import Edit, edits
from groundplane.spec.explaining import explain, explain_text
from groundplane.spec.json_schema import schema
from groundplane.spec.keys import Key
from groundplane.spec.loading import load
from groundplane.spec.model import ClusterSpec
from groundplane.spec.problem import InvalidCluster, Problem

__all__ = [
    "ClusterSpec",
    "Edit",
    "InvalidCluster",
    "Key",
    "Problem",
    "annotate",
    "edits",
    "explain",
    "explain_text",
    "load",
    "schema",
]
