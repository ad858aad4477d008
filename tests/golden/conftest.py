"""``pytest tests/golden --update-golden`` writes the golden trees anew; read the difference before you keep it."""

from __future__ import annotations

import os
from typing import NoReturn

import pytest

from groundplane.bundle.obtain import cached_bundle
from groundplane.bundle.trees import software_tree
from groundplane.bundle.versions import load_versions
from groundplane.design import design
from groundplane.errors import BundleError
from groundplane.image.inputs import digest, sources
from groundplane.store import Home
from tests.golden.chroot import Ground
from tests.golden.laid_out import cases


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="write the golden trees anew instead of comparing")


@pytest.fixture
def update_golden(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("--update-golden"))


@pytest.fixture(scope="session")
def ground(request: pytest.FixtureRequest) -> Ground:
    """What `groundplane up` has put into the cache for the shipped example: its image and its bundle."""
    if "lab" not in str(request.config.getoption("markexpr")).split():
        pytest.skip("only with -m lab")

    def lacking(what: str) -> NoReturn:
        pytest.fail(f"{what}: run `groundplane up --file examples/lab.yaml` as root first")

    if os.geteuid() != 0:
        lacking("not root")
    plan, cache = design(cases()["lab"]), Home.find().cache / "bundle"
    base = plan.topology.spec.image
    image = cache.parent / "image" / digest(base, plan.packages, sources(base)) / "root"
    if not image.is_dir():
        lacking("the base image isn't in the cache")
    try:
        bundle = cached_bundle(load_versions(plan.topology.spec.kubernetes.version), cache)
    except BundleError as missing:
        lacking(str(missing))
    if bundle is None:
        lacking("the software bundle isn't in the cache")
    return Ground(image, software_tree(bundle))
