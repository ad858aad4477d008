"""Makes the test keys of this folder anew: ``python -m tests.golden.test_keys.make``. See README.md."""

from __future__ import annotations

from datetime import UTC, datetime

from groundplane.topology.pki import make_secrets
from groundplane.topology.secrets_json import secrets_to_json
from tests.golden.laid_out import EXAMPLE, SECRETS, specification


def main() -> None:
    secrets = make_secrets(specification(EXAMPLE), now=datetime(2026, 1, 1, tzinfo=UTC))
    SECRETS.write_bytes(secrets_to_json(secrets))


if __name__ == "__main__":
    main()
