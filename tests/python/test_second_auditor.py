"""The second auditor, in another language, judges records of the program as the first does."""

import json
import subprocess
import sys

import pytest

from hustings import ROOT, run, song_contest, wait_for

AUDITOR = ROOT / "tools/audit.py"


def audited_by_python(record, *more):
    command = [sys.executable, "-I", str(AUDITOR), str(record), *map(str, more)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def outcome_kind(server):
    return server.get("/elections/song/results")["contests"][0]["outcome"]["kind"]


@pytest.fixture
def election(server):
    """A closed election with ties, blanks, weights of several contests and refused ballots."""
    definition = song_contest(draw="server", closing={"after_voters": 60})
    definition["contest"] += [
        {"id": "hosts", "title": "Who hosts?", "method": "approval", "choices": ["Dee", "Eve", "Fay"]},
        {"id": "fence", "title": "A fence", "method": "motion", "majority": ">=2/3", "quorum": 20},
    ]
    server.post("/elections", definition)
    server.post("/elections/song/open")
    receipts = []
    for n in range(10):
        token = server.post("/elections/song/sessions")["token"]
        body = {"choices": {"song": [["aurora", "bolero"][n % 2]], "hosts": ["dee", "eve"][: n % 3], "fence": ["yes"]}}
        _, receipt = server.call("POST", "/api/v1/elections/song/ballots", body, token=token)
        receipts.append(json.loads(receipt))
    lines = [
        {"voter": f"v{n}", "choices": {"song": [["aurora"], ["bolero"], []][n % 3], "hosts": [], "fence": [["no", "yes"][n % 2]]}}
        for n in range(50)
    ]
    answers = server.bulk("song", lines + lines[:3])
    assert sum(answer["ok"] for answer in answers) == 50
    assert server.get("/elections/song/results")["state"] == "closed"
    wait_for(lambda: outcome_kind(server) == "drawn", lambda: outcome_kind(server))
    server.post("/elections/song/publish")
    return server, receipts


def test_both_auditors_pass_a_true_record(election, tmp_path):
    server, receipts = election
    record = server.record("song", tmp_path / "song.record")
    files = []
    for number, receipt in enumerate(receipts):
        file = tmp_path / f"{number}.receipt"
        file.write_text(json.dumps(receipt))
        files += ["--receipt", file]
    ours = run("audit", record, *files)
    theirs = audited_by_python(record, *files)
    assert ours.returncode == 0, ours.stdout + ours.stderr
    assert theirs.returncode == 0, theirs.stdout + theirs.stderr


def test_both_auditors_refuse_each_record_with_one_byte_changed(election, tmp_path):
    server, _ = election
    record = server.record("song", tmp_path / "song.record").read_bytes()
    lines = record.splitlines(keepends=True)
    passed = []
    offset = 0
    for number, line in enumerate(lines):
        place = offset + len(line) // 2
        offset += len(line)
        # A few of each kind of line are enough: every audit is a process.
        if 5 < number < len(lines) - 8 and number % 12:
            continue
        changed = bytearray(record)
        changed[place] ^= 1
        file = tmp_path / "changed.record"
        file.write_bytes(changed)
        codes = (run("audit", file).returncode, audited_by_python(file).returncode)
        if 0 in codes or codes[0] != codes[1]:
            passed.append((number, codes, line[:60]))
    assert not passed


def test_both_auditors_miss_a_receipt_that_is_not_in_the_record(election, tmp_path):
    server, receipts = election
    server.post("/elections", song_contest("other"))
    server.post("/elections/other/open")
    server.bulk("other", [{"voter": "v1", "choices": {"song": ["aurora"]}}])
    server.post("/elections/other/close")
    record = server.record("other", tmp_path / "other.record")
    receipt = tmp_path / "foreign.receipt"
    receipt.write_text(json.dumps(receipts[0]))
    assert run("audit", record, "--receipt", receipt).returncode == 1
    assert audited_by_python(record, "--receipt", receipt).returncode == 1
