"""The target's log against the record: what a suite made the server execute is recorded exactly once, and nothing else is."""

import collections
import glob
import json
import os
import re
import time
import urllib.parse
import urllib.request

# What the server must log for it, as JSON in files of its own.
SETTINGS = {
    "log_statement": "'all'",
    "logging_collector": "on",
    "log_destination": "'jsonlog'",
    "log_filename": "'suite'",
    "log_rotation_size": "0",
    "log_rotation_age": "0",
}
# Longest statement text in the record (docs: `EVENT_TEXT_BYTES_MAX`).
TEXT_BYTES_MAX = 64 * 1024
# What stands for a value in the record: a label, cut where the value was shorter, then stars; or stars alone.
MASKED = re.compile(r"\[[A-Z_]+(?:\]\**)?|\*{2,}|\?+")
# Statements of one session (the API shows no more); more would be told as missing.
STATEMENTS_MAX = 1_000_000
# A session of hundreds of thousands of statements takes a while to tell.
API_SECONDS_MAX = 600
SETTLE_SECONDS_MAX = 60
SHOWN_MAX = 12


def read_log(server):
    """Entries of the server's JSON log."""
    entries = []
    for path in glob.glob(os.path.join(server.data, "log", "*.json")):
        with open(path, encoding="utf-8", errors="replace") as log:
            for line in log:
                try:
                    entries.append(json.loads(line))
                except ValueError:
                    # The last one is being written.
                    continue
    return entries


def forget(server):
    """Begins the log anew."""
    for path in glob.glob(os.path.join(server.data, "log", "*.json")):
        os.truncate(path, 0)


# A literal, a quoted name, a dollar-quoted text; or what begins a comment.
TOKEN = re.compile(r"'(?:[^']|'')*'|\"[^\"]*\"|\$(\w*)\$.*?\$\1\$|--[^\n]*|/\*", re.S)


def without_comments(text):
    """A text without the comments in and around it: the record begins with the statement itself."""
    kept, at = [], 0
    while match := TOKEN.search(text, at):
        kept.append(text[at:match.start()])
        at = match.end()
        if match[0] == "/*":
            depth = 1
            while depth and (edge := re.compile(r"/\*|\*/").search(text, at)):
                depth += 1 if edge[0] == "/*" else -1
                at = edge.end()
            at = len(text) if depth else at
            kept.append(" ")
        elif match[0].startswith("--"):
            kept.append(" ")
        else:
            kept.append(match[0])
    return "".join([*kept, text[at:]])


def normal(text):
    """A text without what differs between how log and record tell it: comments, white space, semicolons, and characters outside ASCII."""
    # The log is in UTF-8 whatever the client speaks; of other encodings the record keeps a question mark for each byte.
    text = re.sub(r"(?:[^\x00-\x7f]|\?)+", "?", without_comments(text))
    return re.sub(r"(?:\s*;)+\s*", "; ", " ".join(text.split())).strip("; ")


def executed(entries):
    """Texts that clients over TCP made the server execute, counted."""
    found = collections.Counter()
    for entry in entries:
        if entry.get("error_severity") != "LOG" or entry.get("remote_host") in (None, "[local]"):
            continue
        match = re.match(r"(?:statement|execute [^:]*): (.*)", entry.get("message", ""), re.S)
        # The gateway's own look-up of named columns is marked.
        if match and "sluice catalog lookup" not in match[1]:
            found[normal(match[1])] += 1
    # A text of comments and semicolons alone executes nothing.
    del found[""]
    return found


class Api:
    """The control plane's API as the administrator."""

    def __init__(self, gateway):
        self.url, self.token = gateway.cli_env["SLUICE_URL"], gateway.cli_env["SLUICE_TOKEN"]
        self.gateway = gateway

    def read(self, path, **parameters):
        words = urllib.parse.urlencode({key: value for key, value in parameters.items() if value is not None})
        request = urllib.request.Request(f"{self.url}{path}?{words}", headers={"Authorization": f"Bearer {self.token}"})
        with urllib.request.urlopen(request, timeout=API_SECONDS_MAX) as answer:
            return json.load(answer)

    def sessions(self):
        found, cursor = [], None
        while True:
            page = self.read("/api/sessions", limit=1000, cursor=cursor)
            found += page["items"]
            cursor = page.get("next_cursor")
            if not cursor:
                return found


def on_the_way(gateway):
    """Events that the data plane has written, and those of them that the control plane has."""
    text = gateway.metrics()
    return [int(float(re.search(rf"^sluice_audit_events_{what}_total (\S+)", text, re.MULTILINE)[1])) for what in ("written", "shipped")]


def settled(api):
    """All sessions, once nothing of the record is on its way any more and each is closed and told."""
    deadline = time.monotonic() + SETTLE_SECONDS_MAX
    before = None
    while True:
        now = on_the_way(api.gateway)
        sessions = api.sessions()
        over = now == before and now[0] == now[1] and all(session["status"] == "closed" for session in sessions)
        if over or time.monotonic() > deadline:
            return sessions
        before = now
        time.sleep(0.5)


class Record:
    """What the record says: texts that were executed, and texts of which it says that they failed or were not answered."""

    def __init__(self, api):
        self.executed, self.unsure, self.faults = collections.Counter(), collections.Counter(), []
        self.sessions = settled(api)
        for session in self.sessions:
            if session["status"] != "closed":
                self.faults.append(f"session {session['id']} is still {session['status']}")
            self.take(session["id"], api.read(f"/api/sessions/{session['id']}", statements_max=STATEMENTS_MAX))

    def take(self, name, shown):
        numbers = [statement["number"] for statement in shown["statements"]]
        if shown["statements_truncated"] or shown["events_missing"] or numbers != list(range(1, shown["statement_count"] + 1)):
            self.faults.append(f"session {name}: a statement is missing, or told twice")
        messages = collections.defaultdict(list)
        for statement in shown["statements"]:
            messages[statement["batch"]].append(statement)
        for parts in messages.values():
            self.message(parts)

    def message(self, parts):
        outcomes = {part["outcome"] for part in parts}
        if not outcomes & {"ok", "error", "unfinished"}:
            # Neither a refused statement nor one that the server skipped is executed.
            return
        first = parts[0]
        if first["form"] in ("commit", "function") or first["form"] == "prepare" and first["outcome"] == "error":
            # The log tells of a commit only as an error, of function calls as such, and of what cannot be prepared not at all.
            return
        text = normal("; ".join(normal(part["text"]) for part in parts))
        # A text that cannot be read is an error before the server logs it; an unanswered one may not have been taken.
        certain = first["outcome"] == "ok"
        (self.executed if certain else self.unsure)[text] += 1


def pattern(text):
    """What a recorded text may have been before values in it were masked, or its end was cut."""
    parts, at = [], 0
    for match in MASKED.finditer(text):
        parts += [re.escape(text[at:match.start()]), f"(?s:.{{1,{max(len(match[0]), 2)}}}?)"]
        at = match.end()
    whole = "".join([*parts, re.escape(text[at:])])
    return re.compile(whole + ("(?s:.*)" if len(text) > TEXT_BYTES_MAX // 2 else ""))


def take_masked(left, recorded):
    """Takes from both what is the same but for masks and cuts."""
    for text in list(recorded):
        if not MASKED.search(text) and len(text) <= TEXT_BYTES_MAX // 2:
            continue
        shape = pattern(text)
        for candidate in list(left):
            if recorded[text] <= 0:
                break
            if left[candidate] > 0 and shape.fullmatch(candidate):
                both = min(left[candidate], recorded[text])
                left[candidate] -= both
                recorded[text] -= both
    return +left, +recorded


def compare(gateway, server):
    """How many statements agree, of how many sessions, and in words what does not."""
    record = Record(Api(gateway))
    agree, faults = disagreement(executed(read_log(server)), record)
    return agree, len(record.sessions), faults


def disagreement(log, record):
    """How many statements of the log are in the record once, and in words what is in one of them only."""
    agree = sum(log.values())
    left, claimed = log - record.executed, record.executed - log
    left, claimed = take_masked(left, claimed)
    unsure = record.unsure - left
    left = left - record.unsure
    left, _ = take_masked(left, unsure)
    faults = list(record.faults)
    faults += [f"executed and not recorded, {count} times: {text[:200]}" for text, count in left.most_common(SHOWN_MAX)]
    faults += [f"recorded and not executed, {count} times: {text[:200]}" for text, count in claimed.most_common(SHOWN_MAX)]
    return agree - sum(left.values()), faults
