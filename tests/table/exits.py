#!/usr/bin/python3 -EsSB
# SPDX-License-Identifier: ISC
"""Each exit status of sendmail, with what provokes it. Each of them but 0 means that nothing was
queued, that nobody got anything, and that there is a reason on standard error.

usage: exits.py          prints TAP
"""
import os
import resource
import shutil

from box import Box, ME, MTABOX, Tap, arrivals, same, shown

LETTER = b"Subject: x\n\nhello\n"
DIRECT = ["-odd", "-Osmarthost=127.0.0.1:%p"]
FEW = [3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 14, 16]
SIZES = [0, 1, 50, 97, 150, 250, 1000, 4096]


def no_more_processes():
    if os.getuid() == 0:
        os.setuid(65534)  # root may always have more
    resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))


def limited(limit, value):
    return lambda: resource.setrlimit(limit, (value, value))


def full():
    return {"stdout": os.open("/dev/full", os.O_WRONLY)}


# status, why, arguments ("%s": the scratch directory, "%p": the server's port), the reason,
# how it is called
ROWS = [
    (64, "nobody to send to", [], "no recipients"),
    (64, "nobody in the header", ["-t"], "neither To, Cc nor Bcc",
     {"text": b"Subject: x\n\nTo: a@x.example\n"}),
    (64, "an option without its value", ["a@x.example", "-f"], "-f needs a value"),
    (64, "a mode that there is not", ["-bd", ME], "-bd is not supported"),
    (65, "a bad recipient", ["a b"], "'a b'"),
    (65, "a bad sender", ["-f", "a b", ME], "'a b'"),
    (65, "a bad recipient in the header", ["-t"], "a b", {"text": b"To: a b\n\nhello\n"}),
    (65, "a header that is too long", [ME], "too long", {"text": b"A: " + b"x" * 1100000}),
    (66, "standard input is a directory", [ME], "Is a directory", {"stdin": "/"}),
    (66, "standard input is closed", [ME], "cannot read",
     {"stdin": None, "preexec_fn": lambda: os.close(0)}),
    (67, "no such user", ["nosuchuser"], "no such user here: nosuchuser"),
    (67, "-odd: no such user there", [*DIRECT, "nobody@x.example"], "550 5.1.1"),
    (69, "-odd: refused for good", [*DIRECT, "never@x.example"], "554 5.3.0"),
    (71, "no process for -q", ["-q", "-Ospooldir=%s/nobody"], "cannot start",
     {"preexec_fn": no_more_processes, "executable": "%s/mtabox"}),
    (73, "the queue is a file", [ME, "-Ospooldir=%s/conf"], "cannot use the queue"),
    (73, "the queue is below a file", [ME, "-Ospooldir=%s/conf/q"], "cannot use the queue"),
    (74, "a full disk below standard output", ["-bP"], "", full),
    (75, "an aliases file that cannot be read", [ME, "-Oaliases=%s"],
     "cannot read the aliases file"),
    (75, "too many recipients", ["a@x.example,b@x.example", "-Orecipient_limit=1"],
     "recipient_limit"),
    (75, "too large", [ME, "-Omessage_size_limit=5"], "message_size_limit"),
    (75, "the disk is too full", [ME, "-Ospool_min_free=1000000G"], "spool_min_free"),
    (75, "files may not grow", [ME], "File too large",
     {"text": LETTER + b"y\n" * 9999, "preexec_fn": limited(resource.RLIMIT_FSIZE, 4096)}),
    (75, "-odd: not now", [*DIRECT, "later@x.example"], "450 4.2.0"),
    (75, "-odd: nobody there", ["-odd", "-Osmarthost=127.0.0.1:1", "a@x.example"], "<a@x.example>"),
    (77, "-odd: not allowed", [*DIRECT, "foreign@x.example"], "550 5.7.1"),
    (78, "no such configuration", ["-C%s/none", ME], "cannot read the configuration"),
    (78, "a security setting that cannot be read", ["-Otls_verify=perhaps", ME], "tls_verify"),
]


def refused(box, server, port, status, args, reason, how=None):
    how = dict(how() if callable(how) else how or {})
    text = how.pop("text", LETTER)
    if "executable" in how:
        how["executable"] = how["executable"].replace("%s", box.dir)
    if isinstance(how.get("stdin"), str):
        how["stdin"] = os.open(how["stdin"], os.O_RDONLY)
    args = [a.replace("%s", box.dir).replace("%p", port) for a in args]
    before = box.names(), box.mailbox(), set(arrivals(server)), os.listdir(box.dir)
    got = box.sendmail(["-i", *args], text, **how)
    for name in "stdin", "stdout":
        if how.get(name):
            os.close(how[name])
    same("exit status", got.status, status)
    if reason not in got.err.decode() or not (got.err or not reason):
        raise AssertionError("standard error: " + shown(got.err))
    same("queue, mailbox, server", (box.names(), box.mailbox(), set(arrivals(server)),
                                    os.listdir(box.dir)), before)


def taken_or_not(box, server, port, direct, limit, values):
    """With any limit: 0, and it is there; or not, with a reason, and it is nowhere."""
    taken = 0
    for value in values:
        before = len(arrivals(server)), len(box.names())
        got = box.sendmail(["-i", "-odd" if direct else "-odq", f"-Osmarthost=127.0.0.1:{port}",
                            "a@x.example"], LETTER, preexec_fn=limited(limit, value))
        new = len(arrivals(server)) - before[0], len(box.names()) - before[1]
        want = (direct, not direct) if got.status == 0 else (0, 0)
        same(f"limit {value}, exit status {got.status}, {got.err}: server, queue", new, want)
        if got.status and (got.status < 70 or not got.err and value > 2):
            raise AssertionError(f"limit {value}: {got}")
        taken += got.status == 0
    same("any was taken", taken > 0, True)
    box.clear()


def main():
    tap = Tap()
    with Box() as box:
        server, port = box.serve("rcpt:nobody=550 5.1.1 who?", "rcpt:never=554 5.3.0 no",
                                 "rcpt:later=450 4.2.0 not now", "rcpt:foreign=550 5.7.1 not you")
        os.mkdir(box.path("nobody"))
        shutil.copy(MTABOX, box.path("mtabox"))  # another user may not come where it was built
        if os.getuid() == 0:
            os.chown(box.path("nobody"), 65534, 65534)
        os.chmod(box.path("conf"), 0o644)
        same("a message as usual", box.sendmail([ME], LETTER).status, 0)
        box.clear()
        for status, why, *row in ROWS:
            tap.test(f"{status}: {why}", refused, box, server, port, status, *row)
        for direct in False, True:
            words = "-odd" if direct else "queued"
            tap.test(f"{words}: few descriptors", taken_or_not, box, server, port, direct,
                     resource.RLIMIT_NOFILE, FEW + [32])
            tap.test(f"{words}: files may not grow", taken_or_not, box, server, port, direct,
                     resource.RLIMIT_FSIZE, SIZES + [1 << 20])
    tap.end()


if __name__ == "__main__":
    main()
