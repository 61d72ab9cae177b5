#!/usr/bin/env python3
"""Audits a Hustings record: the checks of docs/formats.md, written from that page, with Python 3.9 and nothing else.
Exit code 0: no check failed. 1: one did. 2: this is not a record of a known version, or cannot be read."""
import argparse, base64, collections, contextlib, datetime, functools, hashlib, json, re, struct, sys

CHECKS = ("form digest definition roll acts epochs tree checkpoints ballots eligibility once time turnout tally draw outcome "
          "publication receipts kept-checkpoints").split()
LINE_BYTES_MAX, FINDINGS_MAX = 16 << 20, 10
MALFORMED = (ValueError, RecursionError, StopIteration, struct.error)  # Something is not as the format says.

def need(condition, what):
    if not condition:
        raise ValueError(what)

# --- Ed25519, RFC 8032, verified strictly. Points are (X, Y, Z, T) with x = X/Z, y = Y/Z, xy = T/Z.
P, ORDER = 2**255 - 19, 2**252 + 27742317777372353535851937790883648493
D, IDENTITY = -121665 * pow(121666, P - 2, P) % P, (0, 1, 1, 0)
def point_add(a, b):
    m, n = (a[1] - a[0]) * (b[1] - b[0]), (a[1] + a[0]) * (b[1] + b[0])
    c, d = 2 * a[3] * b[3] * D, 2 * a[2] * b[2]
    e, f, g, h = n - m, d - c, d + c, n + m
    return e * f % P, g * h % P, f * g % P, e * h % P
def combine(s, a, t, b):
    """[s]a + [t]b."""
    result, table = IDENTITY, [IDENTITY, a, b, point_add(a, b)]
    for bit in range(max(s.bit_length(), t.bit_length()) - 1, -1, -1):
        result = point_add(point_add(result, result), table[(s >> bit & 1) + 2 * (t >> bit & 1)])
    return result
def compress(point):
    inverse = pow(point[2], P - 2, P)
    return (point[1] * inverse % P | (point[0] * inverse % P & 1) << 255).to_bytes(32, "little")
def decompress(data):
    y, sign = int.from_bytes(data, "little") & (2**255 - 1), data[31] >> 7
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(square, (P + 3) // 8, P)
    x = x if (x * x - square) % P == 0 else x * pow(2, (P - 1) // 4, P) % P
    is_valid = y < P and (x * x - square) % P == 0 and (x or not sign)
    x = P - x if x & 1 != sign else x
    return (x, y, 1, x * y % P) if is_valid else None

BASE = decompress((4 * pow(5, P - 2, P) % P).to_bytes(32, "little"))
def signature_holds(key, message, signature):
    a, s, one = decompress(key), int.from_bytes(signature[32:], "little"), compress(IDENTITY)
    if len(signature) != 64 or not a or s >= ORDER:
        return False
    k = int.from_bytes(hashlib.sha512(signature[:32] + key + message).digest(), "little") % ORDER
    r = combine(s, BASE, k, (P - a[0], a[1], 1, P - a[3]))
    return compress(r) == signature[:32] and all(compress(combine(8, it, 0, IDENTITY)) != one for it in (a, r))

# --- Hashes and trees
def h(*parts):
    return hashlib.sha256(b"".join(parts)).digest()
def append(nodes, size, leaf):
    """Adds a leaf to the roots of the perfect subtrees of `size` leaves; the root of them all."""
    while size & 1:
        leaf, size = h(b"\1", nodes.pop(), leaf), size >> 1
    nodes.append(leaf)
    return functools.reduce(lambda right, left: h(b"\1", left, right), reversed(nodes))
def climb(leaf, index, size, path):
    """The root that an inclusion path leads to; None where its length is wrong."""
    if size <= 1 or not path:
        return leaf if size == 1 and not path and index == 0 else None
    split = 1 << (size - 1).bit_length() - 1
    left = climb(leaf, index, split, path[:-1]) if index < split else path[-1]
    right = climb(leaf, index - split, size - split, path[:-1]) if index >= split else path[-1]
    return left and right and h(b"\1", left, right)

# --- Texts and their shapes
def parse(text):
    return json.loads(text, parse_float=int, parse_constant=int)  # Numbers are whole: 1.0 is not.
def compact(line, spec):
    """Reads a compact line: writing it again, fields in their order, gives the same bytes."""
    value = shape(parse(line), spec)
    need(json.dumps(value, ensure_ascii=False, separators=(",", ":")) == line, "not compact, or fields out of order")
    return value
def shape(value, spec):
    """Checks a value against a pattern: a regular expression, (low, high), ("or", patterns), a set of values, [items,
    least, most], {fields, those with ? may be missing} or a function; returns it with its fields in that order."""
    if isinstance(spec, dict):
        need(isinstance(value, dict), "not an object")
        fields = {name.rstrip("?"): inner for name, inner in spec.items() if name[-1] != "?" or name[:-1] in value}
        need(set(value) == set(fields), f"other fields than {list(fields)}")
        return {name: shape(value[name], inner) for name, inner in fields.items()}
    if isinstance(spec, list):
        need(isinstance(value, list) and spec[1] <= len(value) <= spec[2], "a list of another length")
        return [shape(item, spec[0]) for item in value]
    if isinstance(spec, tuple) and spec[0] == "or":
        for one in spec[1:]:
            with contextlib.suppress(*MALFORMED):
                return shape(value, one)
        raise ValueError("none of the possible forms")
    if isinstance(spec, str):
        need(isinstance(value, str) and re.fullmatch(spec, value, re.DOTALL), "a text of another form")
    elif isinstance(spec, tuple):
        need(type(value) is int and spec[0] <= value <= spec[1], "a number out of its range")
    elif isinstance(spec, set):
        need(type(value) in (int, str, type(None)) and value in spec, f"none of {spec}")
    else:
        spec(value)
    return value
def time(value):
    """Milliseconds since 1970 of a time in its one form."""
    shape(value, r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z")
    since = datetime.datetime.fromisoformat(value[:-1]) - datetime.datetime(1970, 1, 1)
    return shape(since // datetime.timedelta(milliseconds=1), COUNT)
def fraction(value):
    numerator, denominator = map(int, shape(value, "[1-9][0-9]{0,6}/[1-9][0-9]{0,6}").split("/"))
    need(numerator <= denominator <= 1_000_000, "a share above one")
    return numerator, denominator
def text(low, high, start=""):
    """A text without control characters, line feeds aside, that is not only spaces."""
    return start + r"(?=.*\S|\Z)[^\0-\x09\x0b-\x1f\x7f-\x9f]{%d,%d}" % (low, high)

ANY, ID, HEX16, HEX32, HEX64 = ".*", "[a-z0-9-]{1,40}", "[0-9a-f]{32}", "[0-9a-f]{64}", "[0-9a-f]{128}"
U16, U32, COUNT, MANY = (0, 2**16 - 1), (0, 2**32 - 1), (0, 2**53 - 1), 2**53
NODE, ROLL_LINE = {"node": U16, "key": HEX32}, {"voter": HEX16, "weight": U32, "group": ("or", {None}, U16)}
EPOCH = {"epoch": U32, "reason": ANY, "first_leaf": COUNT, "nodes": [NODE, 0, MANY]}
HEADER = {"hustings_record": {1}, "ledger": HEX16, "election": HEX16, "slug": ANY, "shard": U32, "secrecy": ANY,
          "definition_hash": HEX32, "leaves": COUNT, "ballots": COUNT, "roll": COUNT, "epochs": [EPOCH, 0, MANY]}
CHECKPOINT_LINE, END = {"checkpoint": ANY}, {"end": {"sha256": HEX32, "node": U16, "signature": HEX64}}
OUTCOME = {"kind": ANY, "sentence": ANY, "winners": [ANY, 0, MANY], "tied": [ANY, 0, MANY], "needed?": COUNT, "base?": COUNT,
           "points?": COUNT}
CONTEST = {"id": ANY, "title": ANY, "method": ANY, "rules": U16, "blank": COUNT,
           "counts": [{"choice": ANY, "name": ANY, "votes": COUNT}, 0, MANY],
           "groups?": [{"group": ANY, "weight": COUNT, "blank": COUNT, "votes": [COUNT, 0, MANY]}, 1, MANY],
           "outcome": ("or", {None}, OUTCOME)}
RESULT = {"state": ANY, "ballots": COUNT, "voters": COUNT, "weight": COUNT, "eligible?": {"voters": COUNT, "weight": COUNT},
          "contests": [CONTEST, 0, MANY]}
BATCH = {"size": U32, "index": U32, "path": [HEX32, 0, MANY], "root": HEX32, "signature": HEX64}
RECEIPT = {"receipt": {1}, "ledger": HEX16, "epoch": U32, "node": U16, "election": HEX16, "slug": ANY, "definition": HEX32,
           "shard": U32, "leaf_index": COUNT, "ballot_index": COUNT, "leaf": HEX32, "nonce": HEX32, "tracker": ANY,
           "promise": {"synced", "majority", "held"}, "batch": BATCH, "key": HEX32, "at": ANY}
RUNNING, OPENED = {"open", "paused"}, {"open", "paused", "closed", "published", "cancelled"}
ACTS = {  # Fields after `by`, the states it is allowed in, and the one it leads to.
    "opened": ({"definition": HEX32, "roll": HEX32, "epoch": U32, **NODE, "rules": U16, "nodes?": [NODE, 1, MANY]},
               {"not opened"}, "open"),
    "paused": ({}, {"open"}, "paused"), "resumed": ({}, {"paused"}, "open"),
    "extended": ({"closes_at": ANY}, RUNNING, None),
    "closed": ({"reason": {"officer", "deadline", "voters"}, "ballots": COUNT, "voters": COUNT}, RUNNING, "closed"),
    "revealed": ({}, RUNNING | {"closed"}, None), "hidden": ({}, RUNNING | {"closed"}, None),
    "drawn": ({"source": {"server", "public"}, "seed": HEX32, "closing_root": HEX32}, {"closed"}, None),
    "published": ({"result": HEX32}, {"closed"}, "published"), "cancelled": ({"reason": ANY}, RUNNING, "cancelled"),
    "epoch": ({"epoch": U32, "reason": {"restored", "recovered"}, **NODE}, OPENED, None), "node": (NODE, OPENED, None)}
HEAD = {"id": ID, "title": text(1, 300), "description?": text(0, 10000)}
PHOTO = text(1, 2000, r"(?=https?://|/pictures/[0-9a-f]{64}\.(?:png|jpg|webp)\Z)")
LINK, CHOOSE = text(1, 2000, "(?=https?://|/(?!/))"), {"min": (0, 1000), "max": (1, 1000)}
CHOICE = {"id": ID, "name": text(1, 200), "description?": text(0, 10000), "party?": text(0, 200), "photo?": PHOTO, "link?": LINK}
ELECT = {**HEAD, "method": {"plurality", "approval"}, "choose": CHOOSE, "seats": (1, 1000), "order?": {"shuffled"},
         "choices": [CHOICE, 1, 1000]}
RATING = {**HEAD, "method": {"rating"}, "choose": CHOOSE, "choices": [{**CHOICE, "id": "0|[1-9][0-9]?|100"}, 2, 11]}
MOTION = {**HEAD, "method": {"motion"}, "choose": CHOOSE, "majority": ">=?[0-9].*", "base": {"yes-no", "cast", "eligible"},
          "quorum?": ("or", COUNT, fraction), "choices": [{"id": ID, "name": text(1, 200)}, 3, 3]}
DEFINITION = {"slug": ID, "title": text(1, 300), "description?": text(0, 10000), "organiser?": text(0, 300), "rules": {1},
              "secrecy": {"open"}, "eligibility": {"open", "list"},
              "results": {"live", "own-ballot", "at-close", "on-publish", "on-reveal"},
              "revote": {"forbid", "last-counts"}, "ballots_per_voter": (1, 1000), "draw": {"server", "public", "none"},
              "closing": {"at?": time, "after_voters?": ("or", (1, MANY - 1), {"all"})}, "groups?": [text(1, 200), 1, 1000],
              "rehearsal_of?": ID, "follows?": ID, "round": (1, 2**32 - 1), "contest": [("or", ELECT, MOTION, RATING), 1, 50]}
def read_definition(line):
    definition = compact(line, DEFINITION)
    is_list, contests = definition["eligibility"] == "list", definition["contest"]
    need(definition["ballots_per_voter"] == 1 or definition["revote"] == "forbid", "last-counts with several ballots")
    need(is_list or definition["closing"].get("after_voters") != "all", "all of no roll")
    groups = [{"id": group} for group in definition.get("groups", [])]
    for named in [groups, contests, *(contest["choices"] for contest in contests)]:
        need(len({it["id"] for it in named}) == len(named), "a name stands twice")
    for contest in contests:
        choose, choices = contest["choose"], contest["choices"]
        need(choose["min"] <= choose["max"] <= len(choices) and contest.get("seats", 1) <= len(choices), "choose, seats")
        if contest["method"] == "rating":
            levels = [int(it["id"]) for it in choices]
            need(levels == sorted(levels) and choose["max"] == 1, "a rating's levels")
        if contest["method"] == "motion":
            need([it["id"] for it in choices] == ["yes", "no", "abstain"] and choose["max"] == 1, "a motion's choices")
            fraction(contest["majority"].lstrip(">="))
            need(is_list or contest["base"] != "eligible" and type(contest.get("quorum", 0)) is int, "needs a roll")
    return definition

# --- Outcomes
NO_VOTES = {"kind": "no_votes", "sentence": "No votes were cast", "winners": [], "tied": []}

def votes_text(votes):
    return "1 vote" if votes == 1 else f"{votes} votes"
def listed(names):
    return " and ".join([", ".join(names[:-1])] * (len(names) > 1) + names[-1:])
def places(contest, votes):
    """Indices of the elected and of the tied, and the seats left for the tied."""
    elected, tied = [], []
    for choice, own in enumerate(votes if "seats" in contest else []):
        above, equal = sum(other > own for other in votes), sum(other == own for other in votes)
        if own and above < contest["seats"]:
            (elected if above + equal <= contest["seats"] else tied).append(choice)
    elected.sort(key=lambda choice: (-votes[choice], choice))
    return elected, tied, contest.get("seats", 0) - len(elected)
def at_least(base, share):
    return -(-base * share[0] // share[1])
def motion_outcome(contest, votes, weight, eligible):
    quorum, share = contest.get("quorum", 0), fraction(contest["majority"].lstrip(">="))
    quorum = quorum if type(quorum) is int else at_least(eligible, fraction(quorum))
    base = {"yes-no": votes[0] + votes[1], "cast": weight, "eligible": eligible}[contest["base"]]
    needed = at_least(base, share) if contest["majority"][1] == "=" else base * share[0] // share[1] + 1
    kind = "passed" if votes[0] >= needed else "failed"
    sentence = f"Motion {kind}: {votes[0]} of {base}, needed {needed}"
    if weight < quorum:
        kind, needed, base = "no_quorum", quorum, weight
        sentence = f"No quorum: {votes_text(weight)} cast, needed {quorum}"
    elif base == 0:
        return NO_VOTES
    return dict(kind=kind, sentence=sentence, winners=["yes"] * (kind == "passed"), tied=[], needed=needed, base=base)
def rating_outcome(contest, votes):
    levels, base = [int(it["id"]) for it in contest["choices"]], sum(votes)
    points = sum(level * own for level, own in zip(levels, votes))
    if base == 0:
        return NO_VOTES
    tenths, given = (20 * points + base) // (2 * base), "1 rating" if base == 1 else f"{base} ratings"
    sentence = f"Average {tenths // 10}.{tenths % 10} of {levels[-1]} from {given}"
    return dict(kind="rated", sentence=sentence, winners=[], tied=[], base=base, points=points)
def outcome(contest, votes, weight, eligible, draw, lot):
    """`lot`: the tied choices that a lot elected, in its order; None where none was drawn."""
    if "seats" not in contest:
        return rating_outcome(contest, votes) if "majority" not in contest else motion_outcome(contest, votes, weight, eligible)
    ids, names = [it["id"] for it in contest["choices"]], [it["name"] for it in contest["choices"]]
    elected, tied, open_seats = places(contest, votes)
    def with_votes(choices):
        return listed([f"{names[choice]} ({votes_text(votes[choice])})" for choice in choices])
    kind, winners = "winner", elected + (lot or [] if tied else [])
    sentence = f"The winners are {with_votes(winners)}"
    if len(winners) == 1:
        sentence = f"The winner is {names[winners[0]]} with {votes_text(votes[winners[0]])}"
    if not elected and not tied:
        return NO_VOTES
    if tied and lot is not None:
        kind, by = "drawn", " by the server" if draw == "server" else ""
        sentence += f", drawn by lot{by} from {listed([names[choice] for choice in tied])}"
    elif tied:
        kind, last = "tie", "the last seat" if open_seats == 1 else f"the last {open_seats} seats"
        sentence = f"t's a tie between {with_votes(tied)}" + (f" for {last}" if contest["seats"] > 1 else "")
        verb = "is" if len(elected) == 1 else "are"
        sentence = f"{with_votes(elected)} {verb} elected, and i{sentence}" if elected else f"I{sentence}"
        sentence += "" if draw == "none" else ", to be drawn by lot"
    return {"kind": kind, "sentence": sentence, "winners": [ids[it] for it in winners], "tied": [ids[it] for it in tied]}

# --- Ballots, checkpoints, receipts
def leb128(data):
    digits = [next(data)]
    while digits[-1] >= 0x80:
        digits.append(next(data))
    need(len(digits) <= 5 and (digits[-1] or len(digits) == 1), "a number too long or not in its shortest form")
    return sum((digit & 0x7F) << 7 * place for place, digit in enumerate(digits))
def read_ballot(definition, header, opening):
    """Tag, key, arrival in milliseconds, and: the choices marked in each contest, weight, group."""
    _, election, shard, tag, key, flags = struct.unpack(">32s16sI16s16sB", opening[:85])
    need(flags & 0xFC == 4, "unknown flags, no stamp, a click time, or encrypted")
    rest = struct.Struct({4: ">Q", 5: ">IQ", 6: ">HQ", 7: ">IHQ"}[flags])
    *optional, stamp = rest.unpack(opening[85:85 + rest.size])
    data, marks = iter(opening[85 + rest.size:]), []
    need(next(data) == len(definition["contest"]), "another number of contests")
    for contest in definition["contest"]:
        need(next(data) == 0, "not a list of choices")
        items, choose, marked = leb128(data), contest["choose"], [-1]
        need(items == 0 or choose["min"] <= items <= choose["max"], "too few or too many choices")
        for _ in range(items):
            marked.append(leb128(data))
            need(marked[-2] < marked[-1] < len(contest["choices"]), "a choice out of place")
        marks.append(marked[1:])
    weight, group = optional[0] if flags & 1 else 1, optional[-1] if flags & 2 else None
    need(not flags & 1 or weight != 1, "a weight of 1 written out")
    need(next(data, None) is None, "bytes follow the answers")
    need((election.hex(), shard) == (header["election"], header["shard"]), "of another election or shard")
    return tag, key, stamp >> 16, (marks, weight, group)
def base64_bytes(value, pad="", altchars=None):
    data = base64.b64decode(value + pad, altchars=altchars, validate=True)
    need(base64.b64encode(data, altchars=altchars).decode() == value + pad, "not base64 in its one form")
    return data
def parse_note(note):
    """Origin (ledger, election, shard), epoch, size, root, signed text, and (name, key id, signature)s."""
    number, signature = "(0|[1-9][0-9]{0,19})", "\u2014 ([^ +\n]+) ([^ \n]+)\n"
    match = re.fullmatch(f"(hustings/({HEX16})/{number}/({HEX16})/{number}\n{number}\n(.*)\n)\n((?:{signature})+)", note)
    need(match and len(note.encode()) <= 4096, "not a note of a checkpoint")
    signed, ledger, epoch, election, shard, size, root, lines = match.groups()[:8]
    need(int(epoch) < 2**32 and int(shard) < 2**32 and int(size) < 2**64, "a number out of its range")
    blobs = [(name, base64_bytes(blob)) for name, blob in re.findall(signature, lines)]
    need(len(base64_bytes(root)) == 32 and all(len(blob) > 4 for _, blob in blobs), "no root or no signature")
    signatures = [(name, blob[:4], blob[4:]) for name, blob in blobs]
    return (ledger, election, int(shard)), int(epoch), int(size), base64_bytes(root), signed.encode(), signatures
def receipt_bytes(r):
    """The statement, and the bytes signed for its batch."""
    head, batch = bytes.fromhex(r["ledger"]) + struct.pack(">IH", r["epoch"], r["node"]), r["batch"]
    ids, place = bytes.fromhex(r["election"] + r["definition"]), struct.pack(">IQ", r["shard"], r["leaf_index"])
    leaf, promise = bytes.fromhex(r["leaf"]), {"synced": b"\1", "majority": b"\2", "held": b"\3"}[r["promise"]]
    signed = b"hustings receipts v1\n" + head + struct.pack(">I", batch["size"]) + bytes.fromhex(batch["root"])
    return b"hustings receipt v1\n" + head + ids + place + leaf + promise, signed
def tracker(leaf):
    digits = ["0123456789ABCDEFGHJKMNPQRSTVWXYZ"[int(leaf[:15], 16) >> 5 * place & 31] for place in range(11, -1, -1)]
    return "-".join("".join(digits[at:at + 4]) for at in (0, 4, 8))

# --- The audit: one pass over the lines, then judgement
class Audit:
    def __init__(self, lines, receipts, kept):
        self.lines, self.receipts, self.kept, self.line_number = lines, receipts, kept, 0
        self.faults, self.skipped, self.outcomes = {check: [] for check in CHECKS}, {}, []
        self.digest, self.nodes, self.leaves, self.roots, self.nonces = hashlib.sha256(), [], [], [], {}
        self.state, self.acts, self.epochs, self.at, self.latest = "not opened", {}, [], 0, (0, "")
        self.definition = self.full_at = self.closes_at = None
        self.ballots, self.cast, self.keys, self.sums, self.curtain = 0, {}, set(), collections.Counter(), "hidden"
        self.header = compact(self.line("its header"), HEADER)
    def expect(self, check, condition, what):
        if not condition:
            self.faults[check].append(what)
    @contextlib.contextmanager
    def catching(self, check, where):
        try:
            yield
        except MALFORMED as error:
            self.faults[check].append(f"{where}: {error}")
    def skip(self, why, *checks):
        self.skipped.update(dict.fromkeys(checks, why))
    def run(self):
        try:
            self.read()
            self.judge()
        except MALFORMED as error:
            self.faults = {**{check: [] for check in CHECKS}, "form": [f"line {self.line_number}: {error}"]}
            self.skip("the file is not complete and well-formed", *CHECKS[1:])
        checks = []
        for number, name in enumerate(CHECKS, 1):
            what, why = self.faults[name], [self.skipped[name]] if name in self.skipped else []
            checks.append({"number": number, "name": name, "more": max(0, len(what) - FINDINGS_MAX),
                           "verdict": "failed" if what else "skipped" if why else "passed",
                           "findings": [{"what": one} for one in (what or why)[:FINDINGS_MAX]]})
        return {"clean": not any(self.faults.values()), "checks": checks, "outcomes": self.outcomes}
    def line(self, what, is_end=False):
        line = self.lines.readline(LINE_BYTES_MAX + 2)
        self.line_number += 1
        need(line.endswith(b"\n"), "the line has no end" if line else f"the file ends before {what}")
        self.digest.update(b"" if is_end else line)
        return line[:-1].decode("utf-8")
    def read(self):
        line = self.line("the definition")
        self.definition_hash = h(line.encode()).hex()
        with self.catching("definition", "definition"):
            definition = self.definition = read_definition(line)
            at, after = definition["closing"].get("at"), definition["closing"].get("after_voters")
            self.closes_at, self.full_at = at and time(at), self.header["roll"] if after == "all" else after
        self.groups = self.definition.get("groups", []) if self.definition else [None] * 2**16
        self.read_roll()
        for leaf in range(self.header["leaves"]):
            self.read_leaf(leaf, self.line("its last leaf"))
        need(self.ballots == self.header["ballots"], f"{self.ballots} ballots, {self.header['ballots']} in the header")
        line, self.notes = self.line("its result"), []
        while line.startswith('{"checkpoint":'):
            self.notes.append(compact(line, CHECKPOINT_LINE)["checkpoint"])
            line = self.line("its result")
        need(line.startswith('{"result":') and line.endswith("}"), "this is not the result")
        self.result, self.result_hash = compact(line[10:-1], RESULT), h(line[10:-1].encode()).hex()
        self.end = compact(self.line("its end line", is_end=True), END)["end"]
        need(not self.lines.read(1), "something follows the end line")
    def read_roll(self):
        self.roll, last, commitment = {}, "", hashlib.sha256()
        for _ in range(self.header["roll"]):
            line = self.line("the end of the roll")
            commitment.update(line.encode() + b"\n")
            voter, weight, group = compact(line, ROLL_LINE).values()
            is_sound = weight and (group is None or group < len(self.groups)) and voter > last
            self.expect("roll", is_sound, f"voter {voter}: no weight, no known group, or out of order")
            self.roll[bytes.fromhex(voter)], last = (weight, group), voter
        self.commitment = commitment.hexdigest() if self.header["roll"] else "0" * 64
        self.eligible = sum(weight for weight, _ in self.roll.values())
    def read_leaf(self, leaf, line):
        match = re.fullmatch(r'\{"leaf":(0|[1-9][0-9]{0,15}),"(?:ballot":"([\w-]*)"|act":(.*))\}', line, re.DOTALL | re.ASCII)
        need(match and int(match[1]) < 2**53, "this is not a leaf line")
        self.expect("tree", int(match[1]) == leaf, f"leaf {leaf}: its line carries another number")
        is_act = match[2] is None
        opening = match[3].encode() if is_act else base64_bytes(match[2], "=" * (-len(match[2]) % 4), b"-_")
        self.leaves.append(h(b"\0\1\2" if is_act else b"\0\1\1", h(opening)))
        self.roots.append(append(self.nodes, leaf, self.leaves[-1]))
        if is_act:
            with self.catching("acts", f"leaf {leaf}"):
                self.take_act(leaf, match[3])
        else:
            self.nonces[leaf] = opening[:32].hex()
            with self.catching("ballots", f"ballot {self.ballots} (leaf {leaf})"):
                self.take_ballot(f"ballot {self.ballots} (leaf {leaf})", opening)
            self.ballots += 1
    def take_act(self, leaf, line):
        act = parse(line)
        name = act.get("act") if isinstance(act, dict) else None
        need(isinstance(name, str) and name in ACTS, "not a known act")
        more, allowed, leads_to = ACTS[name]
        act = compact(line, {"act": {name}, "at": ANY, "by": {"officer", "rule"}, **more})
        named = [{it: node[it] for it in NODE} for node in [act] * ("key" in act) + act.get("nodes", [])]
        nodes = self.epochs[-1][3] if name == "node" and self.epochs else []
        with self.catching("acts", f"leaf {leaf}, `{name}`"):
            self.check_act(act, (name, act.get("reason")), time(act["at"]))
            need(len({it["node"] for it in nodes + named}) == len(nodes + named), "it names a node that has a key already")
            is_allowed = self.state in allowed and not (name == "drawn" and name in self.acts)
            need(is_allowed, f"not possible while the vote is {self.state}")
            is_officers = (self.definition or {}).get("results", "on-reveal") == "on-reveal" and name != self.curtain
            need(name not in ("revealed", "hidden") or is_officers, "not an officer's to do, or done already")
        self.state, self.curtain = leads_to or self.state, name if name in ("revealed", "hidden") else self.curtain
        if name in ("opened", "epoch"):
            self.epochs.append((act["epoch"], act.get("reason"), leaf, named))
        nodes += named  # Of `node`: those of the epoch that holds here.
        self.acts[name] = {**act, "leaf": leaf, "time": self.at, "root": self.roots[-1].hex()}
        self.expect("time", self.latest[0] <= self.at, f"{self.latest[1]}: stamped after the next act")
        self.latest = (0, "")
    def check_act(self, act, kind, at):
        is_later, self.at = at >= self.at, max(at, self.at)
        by_rule = kind in [("closed", "deadline"), ("closed", "voters"), ("node", None)] or act.get("source") == "server"
        self.closes_at = time(act["closes_at"]) if "closes_at" in act else self.closes_at
        need(is_later and act["by"] == ("rule" if by_rule else "officer"), "before the act before it, or done by another")
        need(act.get("rules", 1) == 1, "other rules than the definition's")
        is_before_close = self.closes_at is None or self.closes_at > at
        need(is_before_close or kind[0] not in ("opened", "extended"), "the closing time has passed")
        is_reached = self.closes_at is not None and at >= self.closes_at
        need(is_reached or kind != ("closed", "deadline"), "the closing time is not reached")
        need(self.is_full() or kind != ("closed", "voters"), "too few voters to close")
        need(kind[0] != "epoch" or act["epoch"] > max(epoch[0] for epoch in self.epochs), "epochs do not ascend")
    def is_full(self):
        return self.full_at is not None and len(self.cast) >= self.full_at
    def take_ballot(self, where, opening):
        if not self.definition:
            return
        tag, key, arrival, ballot = read_ballot(self.definition, self.header, opening)
        is_entitled = self.roll.get(tag) == ballot[1:]
        if self.definition["eligibility"] == "open":
            is_entitled = ballot[1] == 1 and (ballot[2] is None or ballot[2] < len(self.groups))
        self.expect("eligibility", is_entitled, f"{where}: not entitled, or with another weight or group")
        self.expect("acts", not self.is_full(), f"{where}: it follows the ballot that closes the vote")
        with self.catching("time", where):
            need(self.state == "open", f"cast while the vote was {self.state}")
            need(arrival >= self.acts.get("opened", {}).get("time", 0), "stamped before the opening")
            need(self.closes_at is None or arrival <= self.closes_at, "stamped after the closing time")
        self.latest = max(self.latest, (arrival, where))
        self.cast.setdefault(tag, []).append(ballot)
        is_last, cap = self.definition["revote"] == "last-counts", self.definition["ballots_per_voter"]
        is_new = (tag, key) not in self.keys or not any(key) or (cap == 1 and not is_last)
        is_within = is_last or len(self.cast[tag]) <= cap
        self.expect("once", is_within and is_new, f"{where}: its voter has more ballots, or the same request counts twice")
        self.keys.add((tag, key))
    def count(self):
        """Sums per group, and None for all: ballots, weight, and per contest blanks and votes of each choice."""
        first = -1 if self.definition["revote"] == "last-counts" else 0
        for marks, weight, group in (ballot for ballots in self.cast.values() for ballot in ballots[first:]):
            for scope in {None, group}:
                self.sums.update({(scope, "ballots"): 1, (scope, "weight"): weight})
                for contest, marked in enumerate(marks):
                    self.sums.update({(scope, contest, choice): weight for choice in marked or ["blank"]})
    def judge(self):
        header, opened, end = self.header, self.acts.get("opened", {}), self.end
        keys = [bytes.fromhex(it["key"]) for epoch in self.epochs for it in epoch[3] if it["node"] == end["node"]]
        message = b"hustings record v1\n" + bytes.fromhex(end["sha256"])
        is_signed = keys and signature_holds(keys[-1], message, bytes.fromhex(end["signature"]))
        self.expect("digest", is_signed and self.digest.hexdigest() == end["sha256"], "the file or its signature was changed")
        hashes = {self.definition_hash, header["definition_hash"], opened.get("definition", self.definition_hash)}
        is_opened = len(hashes) == 1 and (header["shard"], header["secrecy"]) == (0, "open")
        self.expect("definition", is_opened, "its hash is not that of the header and the opening, or shard or secrecy")
        if self.definition:
            slug, is_list = self.definition["slug"], self.definition["eligibility"] == "list"
            election = h(b"hustings election v1\n", bytes.fromhex(header["ledger"]), slug.encode())[:16].hex()
            self.expect("definition", (slug, election) == (header["slug"], header["election"]), "slug or election id")
            self.expect("roll", is_list == (header["roll"] > 0), "a roll without a list, or a list without a roll")
        self.expect("roll", opened.get("roll", self.commitment) == self.commitment, "another roll was opened")
        first = [it["reason"] for it in header["epochs"][:1] if it["reason"] in ("founded", "restored", "recovered")]
        acted = [{"epoch": epoch, "reason": reason or "".join(first), "first_leaf": leaf, "nodes": nodes}
                 for epoch, reason, leaf, nodes in self.epochs]
        self.expect("epochs", acted == header["epochs"], "the header's epochs are not those of the acts")
        self.judge_checkpoints()
        if self.definition:
            self.count()
            self.judge_counts(self.definition["contest"], self.result["contests"], self.acts.get("closed"))
        else:
            self.skip("there is no valid definition to count by", *CHECKS[8:16])
        state, published = self.result["state"], self.acts.get("published", {}).get("result", self.result_hash)
        is_published = (state, published) == (self.state, self.result_hash)
        self.expect("publication", is_published, f"result of {state}, acts of {self.state}, or another was published")
        self.skip("none was given", *["receipts"][len(self.receipts):], *["kept-checkpoints"][len(self.kept):])
        for name, content in self.receipts:
            with self.catching("receipts", name):
                self.check_receipt(shape(parse(content), RECEIPT))
        for name, note in self.kept:
            with self.catching("kept-checkpoints", name):
                size, root = self.check_note(note)
                need(0 < size <= len(self.roots), f"it covers {size} leaves, the record has {len(self.roots)}")
                need(self.roots[size - 1] == root, f"another root at size {size}: history was changed")
    def epoch_of_leaf(self, leaf):
        return next((epoch[0] for epoch in reversed(self.epochs) if epoch[2] <= leaf), None)
    def nodes_of(self, epoch):
        return [(it["node"], it["key"]) for known, _, _, nodes in self.epochs if known == epoch for it in nodes]
    def judge_checkpoints(self):
        sizes, leaves, closed = [0], self.header["leaves"], self.acts.get("closed")
        for index, note in enumerate(self.notes):
            with self.catching("checkpoints", f"checkpoint {index}"):
                _, epoch, size, root, _, _ = parse_note(note)
                is_root = max(sizes) <= size and 0 < size <= leaves and self.roots[size - 1] == root
                self.expect("tree", is_root, f"checkpoint {index}: another root at size {size}, or sizes descend")
                sizes.append(size)
                need(epoch >= (self.epoch_of_leaf(size - 1) or epoch + 1), "of an earlier epoch than its last leaf")
                self.check_note(note)
        self.expect("tree", max(sizes) == leaves, f"the last checkpoint covers {max(sizes)} of {leaves} leaves")
        self.expect("checkpoints", not closed or closed["leaf"] + 1 in sizes, "there is none at the closing size")
    def check_note(self, note):
        origin, in_epoch, size, root, signed, signatures = parse_note(note)
        need(origin == tuple(self.header[it] for it in ("ledger", "election", "shard")), "of another election or shard")
        known = []
        for node, key in self.nodes_of(in_epoch):
            name, key = f"hustings/{origin[0]}/node/{node}", bytes.fromhex(key)
            own = (name, h(name.encode(), b"\n\x01", key)[:4])
            known += [signature_holds(key, signed, signature) for *whose, signature in signatures if tuple(whose) == own]
        need(known and all(known), "no node of its epoch has signed it, or a signature does not hold")
        return size, root
    def judge_counts(self, contests, shown, closed):
        voters, sums = len(self.cast), self.sums
        is_turnout = not closed or (closed["ballots"], closed["voters"]) == (sums[None, "ballots"], voters)
        self.expect("turnout", is_turnout, f"there are {sums[None, 'ballots']} ballots of {voters} voters")
        eligible = {"eligible": {"voters": self.header["roll"], "weight": self.eligible}} if self.roll else {}
        counted = {"state": self.result["state"], "ballots": sums[None, "ballots"], "voters": voters,
                   "weight": sums[None, "weight"], **eligible, "contests": [*map(self.counted, range(MANY), contests)]}
        published = {**self.result, "contests": [{**contest, "outcome": None} for contest in shown]}
        self.expect("tally", published == counted, f"not as recounted: {counted}")
        if [len(it["choices"]) for it in contests] == [len(it["counts"]) for it in shown]:
            self.judge_outcomes(contests, shown, self.definition["draw"], self.acts.get("drawn"))
        else:
            self.skip("the published counts are not those of the contests", "draw", "outcome")
    def counted(self, index, contest):
        choices, sums = contest["choices"], self.sums
        counts = [{"choice": it["id"], "name": it["name"], "votes": sums[None, index, choice]}
                  for choice, it in enumerate(choices)]
        groups = [{"group": name, "weight": sums[group, "weight"], "blank": sums[group, index, "blank"],
                   "votes": [sums[group, index, choice] for choice in range(len(choices))]}
                  for group, name in enumerate(self.groups)]
        return {**{name: contest[name] for name in ("id", "title", "method")}, "rules": self.definition["rules"],
                "blank": sums[None, index, "blank"], "counts": counts, **({"groups": groups} if groups else {}), "outcome": None}
    def judge_outcomes(self, contests, shown, draw, drawn):
        has_tie, is_over = False, self.state in ("closed", "published")
        for index, (contest, published) in enumerate(zip(contests, shown)):
            where, votes = f"contest `{contest['id']}`", [it["votes"] for it in published["counts"]]
            lot, given, (elected, tied, open_seats) = None, published["outcome"], places(contest, votes)
            has_tie = has_tie or bool(tied)
            if tied and given and (drawn or given["kind"] == "drawn"):
                ids = [it["id"] for it in contest["choices"]]
                lot = [ids.index(winner) for winner in given["winners"][len(elected):] if winner in ids]
                is_lot = len(lot) == len(set(lot)) == open_seats and set(lot) <= set(tied)
                self.expect("outcome", is_lot, f"{where}: the lot elected others than the tied, or too many or few")
                is_lot = drawn and (given["kind"] != "drawn" or lot == self.lot(contest, votes))
                self.expect("draw", is_lot, f"{where}: no act tells of the lot, or it elects others")
            expected = outcome(contest, votes, self.result["weight"], self.eligible, draw, lot) if is_over else None
            self.expect("outcome", given == expected, f"{where}: {expected} follows from the counts")
            told = {"contest": contest["id"], "title": contest["title"], "sentence": (expected or {}).get("sentence")}
            self.outcomes += [told] * is_over
        is_drawn = not (has_tie and draw != "none" and self.state == "published")
        if drawn:
            closing_root = self.acts.get("closed", {}).get("root")
            is_drawn = (drawn["source"], drawn["closing_root"], has_tie) == (draw, closing_root, True)
        self.expect("draw", is_drawn, "not drawn as the definition says, or with another root, or without a tie")
    def lot(self, contest, votes):
        """The tied choices that the lot elects, in its order."""
        _, tied, open_seats = places(contest, votes)
        start = b"hustings draw v1\n" + bytes.fromhex(self.acts["drawn"]["seed"] + self.acts["drawn"]["closing_root"])
        names = [f"{contest['id']}\0{it['id']}".encode() for it in contest["choices"]]
        return sorted(tied, key=lambda choice: h(start, names[choice]))[:open_seats]
    def check_receipt(self, r):
        is_here = all(r[name] == self.header[name] for name in ("ledger", "election", "shard"))
        need(is_here and r["definition"] == self.header["definition_hash"], "of another election or definition")
        (statement, message), batch, leaf = receipt_bytes(r), r["batch"], r["leaf_index"]
        root = climb(h(b"\0", statement), batch["index"], batch["size"], [bytes.fromhex(it) for it in batch["path"]])
        need(root and root.hex() == batch["root"] and batch["size"] <= 4096, "its path does not hold")
        holds = signature_holds(bytes.fromhex(r["key"]), message, bytes.fromhex(batch["signature"]))
        need(holds and r["tracker"] == tracker(r["leaf"]), "its signature does not hold, or its tracker is another")
        need((r["node"], r["key"]) in self.nodes_of(r["epoch"]), "no act names its key for that node and epoch")
        is_there = leaf < len(self.leaves) and self.leaves[leaf].hex() == r["leaf"]
        need(is_there, f"the ballot was dropped or changed: leaf {leaf} is another or missing. {r['key']} signed "
                       f"{message.hex()} as {batch['signature']}, the root over {statement.hex()} by {batch['path']}")
        is_it = (self.epoch_of_leaf(leaf) or r["epoch"] + 1) <= r["epoch"] and self.nonces.get(leaf) == r["nonce"]
        need(is_it, "its leaf is of a later epoch, or an act, or has another nonce")

def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("record")
    arguments.add_argument("--receipt", action="append", default=[], metavar="FILE")
    arguments.add_argument("--checkpoint", action="append", default=[], metavar="FILE")
    arguments.add_argument("--json", action="store_true", help="print the report as JSON")
    options = arguments.parse_args()
    try:
        kept = options.receipt, options.checkpoint
        texts = [[(name, open(name, encoding="utf-8", newline="").read()) for name in names] for names in kept]
        report = Audit(open(options.record, "rb"), *texts).run()
    except (OSError, *MALFORMED) as error:
        sys.exit(print(f"not a record of a known version, or cannot be read: {error}", file=sys.stderr) or 2)
    for check in report["checks"] * (not options.json):
        print(f"{check['number']:>3}  {check['verdict']:<7}  {check['name']}")
        print("".join(f"       - {finding['what']}\n" for finding in check["findings"]), end="")
    sentences = [f"Recounted: {it['title']} {it['sentence']}" for it in report["outcomes"]]
    verdict = "Clean: no check failed." if report["clean"] else "NOT clean."
    print(json.dumps(report) if options.json else "\n".join([*sentences, verdict]))
    sys.exit(not report["clean"])

if __name__ == "__main__":
    main()
