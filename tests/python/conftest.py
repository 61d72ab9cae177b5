import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from hustings import Server, free_port  # noqa: E402


@pytest.fixture
def server(tmp_path):
    with Server(tmp_path / "data") as running:
        yield running


@pytest.fixture
def server_with_zmq(tmp_path):
    """A server and the address of its ZeroMQ PUB socket."""
    port = free_port()
    with Server(tmp_path / "data", "--zmq", f"127.0.0.1:{port}") as running:
        yield running, f"tcp://127.0.0.1:{port}"
