"""Connections are closed for standing still, never for being new."""

import http.client
import time

from hustings import Server

SECONDS = 8


def test_a_new_connection_is_never_taken_for_an_idle_one(tmp_path):
    with Server(tmp_path / "data", "--limit", "idle_timeout_seconds=1") as server:
        time.sleep(3)  # Longer than the limit: from here on, a connection that was never noted looks old.
        until = time.monotonic() + SECONDS
        refused = 0
        connections = 0
        while time.monotonic() < until:
            connections += 1
            try:
                connection = http.client.HTTPConnection(server.base.removeprefix("http://"), timeout=10)
                connection.request("GET", "/livez")
                assert connection.getresponse().status == 200
                connection.close()
            except (ConnectionError, http.client.RemoteDisconnected):
                refused += 1
        assert refused == 0, f"{refused} of {connections} new connections were closed unanswered"
