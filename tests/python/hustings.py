"""Starts the program under test, and calls its interface with the standard library alone."""

import json
import os
import re
import signal
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BINARY = os.environ.get("HUSTINGS_BIN", str(ROOT / "target/debug/hustings"))
OFFICER_TOKEN = "an-officer-token-for-the-tests-only"
START_SECONDS = 20
STOP_SECONDS = 15


class Server:
    """`hustings serve` in a folder of its own, on a free port; a context manager that ends it."""

    def __init__(self, folder, *arguments):
        environment = dict(os.environ, HUSTINGS_OFFICER_TOKEN=OFFICER_TOKEN, NO_COLOR="1")
        command = [BINARY, "serve", "--data", str(folder), "--listen", "127.0.0.1:0", *arguments]
        self.output = ""
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
        )
        # Somebody must read on, or a full pipe would stop the server.
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        try:
            self._wait_until_ready()
        except BaseException:
            self.stop()
            raise

    def _read(self):
        for line in self.process.stdout:
            self.output += line

    def _wait_until_ready(self):
        address = re.compile(r"http://127\.0\.0\.1:\d+")
        wait_for(lambda: address.search(self.output) or self.process.poll() is not None, lambda: self.output)
        found = address.search(self.output)
        assert found, f"it ended:\n{self.output}"
        self.base = found.group()
        wait_for(lambda: self.call("GET", "/readyz", raises=False)[0] == 200, lambda: self.output)

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.reader.join(STOP_SECONDS)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def call(self, method, path, body=None, raises=True, token=OFFICER_TOKEN, content_type="application/json"):
        """Status and bytes of one request; `body` is sent as JSON unless it is bytes."""
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.base + path, data=data, method=method)
        request.add_header("Authorization", f"Bearer {token}")
        if data is not None:
            request.add_header("Content-Type", content_type)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            body = error.read()
            assert not raises, f"{method} {path}: {error.code} {body.decode()}"
            return error.code, body
        except OSError:
            assert not raises
            return 0, b""

    def get(self, path):
        return json.loads(self.call("GET", "/api/v1" + path)[1])

    def post(self, path, body=None):
        return json.loads(self.call("POST", "/api/v1" + path, body)[1])

    def bulk(self, slug, ballots):
        """Casts ballots in bulk; one answer per ballot, in order."""
        lines = "".join(json.dumps(ballot) + "\n" for ballot in ballots).encode()
        path = f"/api/v1/elections/{slug}/ballots/bulk"
        _, answer = self.call("POST", path, lines, content_type="application/x-ndjson")
        return [json.loads(line) for line in answer.splitlines()]

    def record(self, slug, path):
        path.write_bytes(self.call("GET", f"/api/v1/elections/{slug}/record")[1])
        return path


def run(*arguments):
    """Runs a command of the program to its end."""
    return subprocess.run([BINARY, *map(str, arguments)], capture_output=True, text=True, timeout=120)


def wait_for(condition, context=lambda: "", seconds=START_SECONDS):
    """Waits, bounded, until `condition` holds."""
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, f"waited {seconds} s\n{context()}"
        time.sleep(0.02)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def song_contest(slug="song", results="live", **more):
    """A definition with one contest of three choices."""
    contest = {"id": "song", "title": "Which song?", "choices": ["Aurora", "Bolero", "Canon"]}
    return {"slug": slug, "title": "Song of the year", "results": results, "contest": [contest], **more}
