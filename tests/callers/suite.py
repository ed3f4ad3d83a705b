# SPDX-License-Identifier: ISC
"""Plays the cases of cases.py and looks at what arrives. Runs in the system that `run` lays
out, where /usr/sbin/sendmail writes each call down in /calls.

A message belongs to the case whose mark is in it. What arrived at the server and in the mailboxes
is compared with what the caller wrote, field by field and byte by byte.

usage: suite.py [table | PATTERN]    (PATTERN: only the cases whose names match)"""

import fcntl
import glob
import os
import re
import shlex
import socket
import struct
import subprocess
import sys
import time
from collections import namedtuple

sys.path.insert(0, "/callers")
import cases
import mbox

HOST = b"router.example"
ONCE = b"Date", b"From", b"Message-ID"
ADDRESSES = b"From To Cc Reply-To Sender Resent-From Resent-To Resent-Cc".lower().split()
REMOVED = b"Bcc", b"Resent-Bcc", b"Return-Path"
# What says that a text is UTF-8, for a server, where its writer has not.
DECLARED = (b"MIME-Version: 1.0\n", b"Content-Type: text/plain; charset=utf-8\n",
            b"Content-Transfer-Encoding: 8bit\n")

Call = namedtuple("Call", "argv stdin")
Copy = namedtuple("Copy", "sender rcpts text")  # an arrived message, LF line ends


class Wrong(Exception):
    """What is not as it should be."""


def must(condition, *words):
    if not condition:
        raise Wrong(" ".join(str(w) for w in words))


def read(path):
    with open(path, "rb") as f:
        return f.read()


# The system around the callers.

def loopback_up():
    with socket.socket() as s:
        SIOCSIFFLAGS, IFF_UP = 0x8914, 1
        fcntl.ioctl(s, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", IFF_UP))


def wait_until(condition, seconds):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


def start_server():
    os.mkdir("/tmp/server")
    subprocess.Popen(["/usr/bin/python3", "/callers/server.py", "/tmp/server"],
                     stdin=subprocess.DEVNULL)
    must(wait_until(lambda: os.path.exists("/tmp/server/port"), 20), "the server is not up")
    with open("/etc/mtabox.conf", "w") as f:
        f.write(f"smarthost smtp://127.0.0.1:{int(read('/tmp/server/port'))}\n"
                "mailname router.example\nlog_file /var/log/mtabox\n")


# What was called, and what arrived.

def calls(mark):
    found = []
    for closed in glob.glob("/calls/*/closed"):
        folder = os.path.dirname(closed)
        argv = folder + "/argv"
        call = Call(read(argv).decode().split("\0")[:-1] if os.path.exists(argv) else [],
                    read(folder + "/stdin"))
        if mark in call.stdin:
            found.append(call)
    return found


def relayed(mark):
    for name in glob.glob("/tmp/server/mail.*"):
        text = read(name)
        if mark in text:
            sender, *rcpts = read(name.replace("/mail.", "/envelope.")).decode().split()
            yield Copy(sender, rcpts, text.replace(b"\r\n", b"\n"))


def stored(mark):
    """In mailboxes, without what only these have: From_, Return-Path, Delivered-To, quoting."""
    for user in "joe", "root":
        try:
            messages = mbox.messages("/var/mail/" + user)
        except (FileNotFoundError, SystemExit):  # none, or being written
            messages = []
        for message in messages:
            if mark in message:
                head = re.match(rb"From .*\nReturn-Path: (.*)\nDelivered-To: .*\n", message)
                text = re.sub(rb"^>(>*From )", rb"\1", message[head.end():], flags=re.M)
                yield Copy(head[1].decode(), [user], text)


# What should arrive, made from what the caller wrote.

def split(text):
    """Fields, each with its continuation lines, and the body."""
    fields, at = [], 0
    for line in re.findall(rb"[^\n]*\n", text):
        if line == b"\n":
            at += 1
            break
        if fields and line[:1] in b" \t":
            fields[-1] += line
        elif re.match(rb"[!-9;-~]+:", line):
            fields.append(line)
        else:
            break
        at += len(line)
    return fields, text[at:]


def name_of(field):
    return field.split(b":")[0]


def is_one_of(field, names):
    return name_of(field).lower() in [n.lower() for n in names]


def from_smtp(dialogue):
    """The one message of an SMTP client's side of a conversation."""
    data = re.search(rb"^DATA\r?\n(.*?^)\.\r?\n", dialogue, re.S | re.M | re.I)
    must(data, "no DATA was sent")
    return re.sub(rb"^\.", b"", data[1], flags=re.M)


def written(call):
    """The caller's message with LF line ends, as sendmail's rules read it."""
    dialogue = "-bs" in call.argv
    text = from_smtp(call.stdin) if dialogue else call.stdin
    text = re.sub(rb"\r(?!\n)", b" ", text.replace(b"\r\n", b"\n"))
    if not dialogue and not {"-i", "-oi", "-ti"} & set(call.argv):
        text = re.split(rb"^\.\n", text, flags=re.M)[0]
        text = re.sub(rb"^\.\.", b".", text, flags=re.M)
    text = re.sub(rb"\A>*From [^\n]*\n", b"", text)
    return text if text.endswith(b"\n") else text + b"\n"


def bare(field):
    """A field as it is before unqualified addresses get the device's name: whether they do
    is left open here, that is for the tests of `qualify`."""
    if name_of(field).lower() not in ADDRESSES:
        return field
    return field.replace(b"@" + HOST, b"")


def compare(call, copy, to_server):
    want_fields, want_body = split(written(call))
    fields, body = split(copy.text)
    kept = [f for f in want_fields if not is_one_of(f, REMOVED)]
    if to_server and re.search(rb"[\x80-\xff]", want_body):
        kept += [d for d in DECLARED if not any(is_one_of(f, [name_of(d)]) for f in kept)]
    missing = [n for n in ONCE if not any(is_one_of(f, [n]) for f in kept)]
    must(is_one_of(fields[0], [b"Received"]), "does not begin with Received:", fields[0])
    added, rest = fields[1:1 + len(missing)], fields[1 + len(missing):]
    must(sorted(map(name_of, added)) == sorted(missing), "added fields:", added)
    must([bare(f) for f in rest] == [bare(f) for f in kept],
         "the header is", rest, "not", kept)
    must(body == want_body, "the body is", body, "not", want_body)
    for name in ONCE:
        must(sum(is_one_of(f, [name]) for f in fields) == 1, "not exactly one", name)


# A case.

def kind(call):
    """How the message was written."""
    ends = set(re.findall(rb"\r?\n", call.stdin))
    words = [{frozenset([b"\n"]): "LF", frozenset([b"\r\n"]): "CRLF"}.get(
        frozenset(ends), "LF and CRLF")]
    if "-bs" in call.argv:
        words.insert(0, "SMTP")
    if re.search(rb"[\x80-\xff]", call.stdin):
        words.append("8-bit")
    return ", ".join(words)


def package(case):
    """Name and version."""
    found = re.search(rf"^{case.package} \S+$", read("/callers/versions").decode(), re.M)
    return found[0] if found else "unknown"


def start(case):
    os.makedirs(f"/tmp/{case.mark}")
    return subprocess.Popen(case.command, shell=True, cwd=f"/tmp/{case.mark}",
                            env=dict(os.environ, MARK=case.mark), stdin=subprocess.PIPE,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def finish(case, process):
    """What the caller saw."""
    if case.daemon:
        return
    said, _ = process.communicate(case.stdin, timeout=60)
    must(process.returncode == 0, "the caller's exit status is", process.returncode, said.decode())


def arrivals(case):
    mark = case.mark.encode()
    return calls(mark), list(relayed(mark)), list(stored(mark))


def complete(case):
    called, far, near = arrivals(case)
    return called and len(far) >= bool(case.far) and len(near) >= len(case.near)


def judge(case):
    """Everything about a case whose caller has done its part. The row for the table."""
    wait_until(lambda: complete(case), 75 if case.daemon else 15)
    called, far, near = arrivals(case)
    must(len(called) == 1, "sendmail was called", len(called), "times")
    call = called[0]
    must(len(far) == bool(case.far), len(far), "messages at the server; called with", call)
    local = [user for copy in near for user in copy.rcpts]
    must(sorted(local) == sorted(case.near), "in mailboxes:", local)
    for copy in far + near:
        must(copy.sender == f"<{case.sender}>", "the sender is", copy.sender)
        compare(call, copy, copy in far)
        for field in case.fields:
            must(any(re.fullmatch(field.encode(), f[:-1]) for f in split(copy.text)[0]),
                 "no field", field, "in", copy.text)
        if case.body is not None:
            must(split(copy.text)[1] == case.body, "the body is", split(copy.text)[1])
    for copy in far:
        must(sorted(copy.rcpts) == sorted(f"<{r}>" for r in case.far), "recipients:", copy.rcpts)
    must(not case.argv or call.argv == case.argv, "the arguments are", call.argv)
    how = "argv" if case.argv else package(case)
    row = (case.name, how, f"`{shlex.join(call.argv)}`", kind(call),
           f"0; `<{case.sender}>` to {', '.join(case.far + case.near)}")
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |"


# The run.

HEAD = """<!-- Written by `make callers-table`; tests/README says what it shows. -->

| caller | how | arguments it passed | its message | exit status; what arrived |
|---|---|---|---|---|
"""


def name_in(row):
    return row.split(" | ")[0][2:]


def without_version(row):
    name, how, *rest = row.split(" | ")
    return name, how == "argv", rest


def result(name, why=None):
    """TAP's words: good without a reason."""
    if why is None:
        return f"ok - {name}"
    return "\n# ".join([f"not ok - {name}"] + str(why).splitlines())


def start_if_here(case):
    return start(case) if all(map(os.path.exists, case.needs.split())) else None


def play(case, process, rows):
    if process is None:
        return f"ok - {case.name} # SKIP not on this machine: {case.needs}"
    try:
        finish(case, process)
        rows.append(judge(case))
    except (Wrong, subprocess.TimeoutExpired) as why:
        return result(case.name, why)
    return result(case.name)


def nothing_else(played):
    """No message besides those of the cases, no call, nothing in the queue, and a server that
    found no fault."""
    try:
        must(wait_until(lambda: not glob.glob("/var/spool/mtabox/[!r]*"), 15),
             "in the queue:", os.listdir("/var/spool/mtabox"))
        must(len(glob.glob("/calls/*")) == len(played), "calls:", len(glob.glob("/calls/*")))
        arrived = len(glob.glob("/tmp/server/mail.*"))
        must(arrived == sum(bool(c.far) for c in played), "messages at the server:", arrived)
        own = len(mbox.messages("/var/mail/joe")) if os.path.exists("/var/mail/joe") else 0
        must(own == sum(c.near.count("joe") for c in played), "messages for Joe:", own)
        must(b"fault" not in read("/tmp/server/events"), read("/tmp/server/events").decode())
    except Wrong as why:
        return result("nothing else arrived", why)
    return result("nothing else arrived")


def as_committed(rows):
    """One result for each row: does TABLE.md have it, in whatever version?"""
    known = {name_in(r): r for r in read("/callers/TABLE.md").decode().splitlines() if " | " in r}
    for row in rows:
        was = known.get(name_in(row), "no such row | ? |")
        same = without_version(was) == without_version(row)
        yield result(name_in(row) + ": as in TABLE.md",
                     None if same else f"is:  {row}\nnot: {was}")


def main(what=""):
    loopback_up()
    start_server()
    chosen = [c for c in cases.CASES if what in ("", "table") or re.search(what, c.name)]
    # The daemons' minute passes while the others are at work.
    chosen.sort(key=lambda c: c.daemon)
    daemons = {c.name: start_if_here(c) for c in chosen if c.daemon}
    rows, played, results = [], [], []
    for case in chosen:
        process = daemons[case.name] if case.daemon else start_if_here(case)
        results.append(play(case, process, rows))
        if process:
            played.append(case)
    results.append(nothing_else(played))
    if what == "table":
        sys.stderr.writelines(r + "\n" for r in results if not re.fullmatch("ok[^#]*", r))
        order = [c.name for c in cases.CASES]
        print(HEAD + "\n".join(sorted(rows, key=lambda row: order.index(name_in(row)))))
        return len(rows) < len(chosen)
    results += as_committed(rows)
    print(f"1..{len(results)}")
    for number, line in enumerate(results, 1):
        print(line.replace("ok -", f"ok {number} -", 1))
    return any(r.startswith("not") for r in results)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
