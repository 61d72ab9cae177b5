"""Schemathesis against the OpenAPI file and a running server: no crash, and only what the file says."""

import json
import os

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.specs.openapi.checks import positive_data_acceptance

from hustings import OFFICER_TOKEN, ROOT, Server, song_contest

EXAMPLES = int(os.environ.get("HUSTINGS_API_EXAMPLES", "20"))
FILE = ROOT / "crates/server/openapi.json"
SLUG = "song"



@schemathesis.serializer("application/x-ndjson")
def lines_of_json(_context, value):
    """Bulk bodies: text as it is, anything else as one JSON line an item."""
    if isinstance(value, (str, bytes)):
        return value if isinstance(value, bytes) else value.encode(errors="surrogatepass")
    items = value if isinstance(value, list) else [value]
    return "".join(json.dumps(item) + "\n" for item in items).encode()


# An endless stream is not for a client that waits for the end of each answer.
schema = schemathesis.openapi.from_path(FILE).exclude(path_regex="/events$")


@pytest.fixture(scope="session")
def running(tmp_path_factory):
    """One server for all operations, with an open election in it."""
    with Server(tmp_path_factory.mktemp("openapi") / "data", "--limit", "logins_per_minute=1000000") as server:
        server.post("/elections", song_contest(SLUG))
        server.post(f"/elections/{SLUG}/open")
        yield server


def test_the_file_is_the_one_that_is_served(running):
    assert json.loads(running.call("GET", "/openapi.json")[1]) == json.loads(FILE.read_text())


@schema.parametrize()
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_operation_keeps_to_the_file(case, running):
    # Random names would hardly ever meet an election; half of the lawful ones become that of the open one.
    slug = case.path_parameters.get("slug") if case.path_parameters else None
    if isinstance(slug, str) and len(slug) % 2 == 0 and case.meta.generation.mode.is_positive:
        case.path_parameters["slug"] = SLUG
    case.call_and_validate(
        base_url=running.base,
        headers={"Authorization": f"Bearer {OFFICER_TOKEN}"},
        timeout=20,
        # A schema cannot say that a deadline lies ahead or a choice exists: what it allows may still be refused.
        excluded_checks=[positive_data_acceptance],
    )


def test_the_server_is_still_well(running):
    assert running.call("GET", "/readyz")[0] == 200
    assert running.process.poll() is None
    assert "panicked" not in running.output, running.output
