"""A subscriber of other people's making hears every accepted ballot, once."""

import json
import threading
import time

import zmq

from hustings import song_contest, wait_for

BALLOTS = 5_000
QUIET_MS = 1_000


class Subscriber:
    """Collects the messages of one topic in the background."""

    def __init__(self, address, topic):
        self.messages = []
        self.socket = zmq.Context.instance().socket(zmq.SUB)
        self.socket.set_hwm(1_000_000)
        self.socket.connect(address)
        self.socket.setsockopt(zmq.SUBSCRIBE, topic.encode())
        self.heard_at = time.monotonic()
        self.going = True
        self.thread = threading.Thread(target=self._listen, daemon=True)
        self.thread.start()

    def _listen(self):
        while self.going:
            if self.socket.poll(50):
                topic, *frames = self.socket.recv_multipart()
                self.messages.append((topic.decode(), json.loads(frames[-1])))
                self.heard_at = time.monotonic()

    def quiet(self):
        return (time.monotonic() - self.heard_at) * 1_000 > QUIET_MS

    def close(self):
        self.going = False
        self.thread.join(5)
        self.socket.close(0)

    def ballots(self):
        return [body for _, body in self.messages if "leaf_index" in body and "act" not in body]


def joined(server, address, slug):
    """A subscriber that is known to hear: a PUB socket forgets what it says before it knows its listeners."""
    subscriber = Subscriber(address, slug)

    def heard_something():
        server.post(f"/elections/{slug}/pause")
        server.post(f"/elections/{slug}/open")
        time.sleep(0.05)
        return subscriber.messages

    wait_for(heard_something)
    return subscriber


def cast(server, slug):
    choices = ["aurora", "bolero", "canon"]
    ballots = [{"voter": f"v{n}", "choices": {"song": [choices[n % 3]]}} for n in range(BALLOTS)]
    answers = server.bulk(slug, ballots)
    assert len(answers) == BALLOTS and all(answer["ok"] for answer in answers), answers[:3]
    return sorted(answer["leaf_index"] for answer in answers)


def test_every_accepted_ballot_is_heard_once(server_with_zmq):
    server, address = server_with_zmq
    server.post("/elections", song_contest())
    server.post("/elections/song/open")
    subscriber = joined(server, address, "song")
    leaves = cast(server, "song")
    wait_for(lambda: len(subscriber.ballots()) >= BALLOTS, lambda: f"{len(subscriber.ballots())} of {BALLOTS}")
    wait_for(subscriber.quiet)
    subscriber.close()
    assert sorted(body["leaf_index"] for body in subscriber.ballots()) == leaves
    positions = [body["position"] for _, body in subscriber.messages]
    assert positions == sorted(positions), "positions only rise"
    assert all(topic == "song" for topic, _ in subscriber.messages)


def test_a_refused_ballot_is_not_heard(server_with_zmq):
    server, address = server_with_zmq
    server.post("/elections", song_contest())
    server.post("/elections/song/open")
    subscriber = joined(server, address, "song")
    ballot = {"voter": "v1", "choices": {"song": ["aurora"]}}
    answers = server.bulk("song", [ballot, ballot, {"voter": "v2", "choices": {"song": ["nobody"]}}])
    assert [answer["ok"] for answer in answers] == [True, False, False]
    wait_for(lambda: subscriber.ballots())
    wait_for(subscriber.quiet)
    subscriber.close()
    assert len(subscriber.ballots()) == 1


def test_hidden_counts_stay_hidden(server_with_zmq):
    server, address = server_with_zmq
    server.post("/elections", song_contest(results="at-close"))
    server.post("/elections/song/open")
    subscriber = joined(server, address, "song")
    server.bulk("song", [{"voter": f"v{n}", "choices": {"song": ["aurora"]}} for n in range(100)])
    wait_for(lambda: any("100" in json.dumps(body) for _, body in subscriber.messages), lambda: subscriber.messages)
    subscriber.close()
    said = json.dumps([body for _, body in subscriber.messages])
    assert "aurora" not in said and "choices" not in said and "opening" not in said
