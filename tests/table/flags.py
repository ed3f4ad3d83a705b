#!/usr/bin/python3 -EsSB
# SPDX-License-Identifier: ISC
"""sendmail's command line, as a table: every flag that any sendmail has, and what comes of it
here. Each row is tried in every form that a caller may give it: value attached and separate,
in a bundle, before, behind and between the recipients. The exit status, each word printed,
sender, recipients, full name and content of what is queued must be just what the row says; so
a value is never taken for a recipient, and with an exit status other than 0 nothing is there.

usage: flags.py          prints TAP
       flags.py --table  prints the flags and what they do
"""
import os
import re
import signal
import sys

from box import APPLET, Box, ME, Result, Tap, arrivals, read, same, shown, until

# The message: a recipient for -t, and lines that only -i keeps as they are.
MESSAGE = b"To: Head <head@x.example>\nSubject: x\n\none\n..two\n.\nthree\n"
KEPT = b"To: Head <head@x.example>\nSubject: x\n\none\n.two\n"
RCPT, SECOND = "one@x.example", "two@x.example"

NONE, VALUE, ATTACHED = "none", "value", "attached"  # does it take a value?
NOTHING = "accepted, no effect"

# What an effect changes of a plain submission: the fields of Seen below.
DOTS = {"content": MESSAGE}
HEAD = {"head": True}
AWAY = {"spool": "other"}  # found in another queue, which that configuration names

# flag, its value ("%s": the scratch directory), does it take one, what it does, its effect
FLAGS = [
    ("-A", "c", VALUE, NOTHING, {}),
    ("-A", "m", VALUE, NOTHING, {}),
    ("-B", "7BIT", VALUE, NOTHING, {}),
    ("-B", "8BITMIME", VALUE, NOTHING, {}),
    ("-b", "m", VALUE, "send: the default", {}),
    ("-b", "q", VALUE, "queue only", {}),
    ("-C", "%s/other.conf", VALUE, "another configuration", AWAY),
    ("-c", None, NONE, NOTHING, {}),
    ("-D", "%s/debug", VALUE, NOTHING, {}),
    ("-d", "9.1", ATTACHED, NOTHING, {}),
    ("-E", "x", VALUE, NOTHING, {}),
    ("-e", "m", VALUE, NOTHING, {}),
    ("-e", "p", VALUE, NOTHING, {}),
    ("-e", "q", VALUE, "no words about errors", {}),
    ("-e", "w", VALUE, NOTHING, {}),
    ("-F", "Joe Q", VALUE, "full name, for a From that is missing", {"name": "Joe Q"}),
    ("-f", "joe@y.example", VALUE, "envelope sender", {"sender": "joe@y.example"}),
    ("-f", "joe", VALUE, "envelope sender, qualified", {"sender": "joe@router.example"}),
    ("-f", "<joe@y.example>", VALUE, "the same", {"sender": "joe@y.example"}),
    ("-f", "Joe Q <joe@y.example>", VALUE, "the same", {"sender": "joe@y.example"}),
    ("-f", '"joe q"@y.example', VALUE, "the same", {"sender": '"joe q"@y.example'}),
    ("-f", "<>", VALUE, "the null sender", {"sender": ""}),
    ("-G", None, NONE, NOTHING, {}),
    ("-h", "25", VALUE, NOTHING, {}),
    ("-i", None, NONE, "dots are text", DOTS),
    ("-J", "x", VALUE, NOTHING, {}),
    ("-L", "smartd", VALUE, "name in the log", {"log": b" smartd/pickup["}),
    ("-M", "id", VALUE, NOTHING, {}),
    ("-m", None, NONE, NOTHING, {}),
    ("-N", "failure,delay", VALUE, "reports wanted", {"each": "NOTIFY=FAILURE,DELAY"}),
    ("-N", "never", VALUE, "reports wanted", {"each": "NOTIFY=NEVER"}),
    ("-N", "z@x.example", VALUE, "makes no sense: warns", {"err": b"sendmail: -N z@x.example "}),
    ("-n", None, NONE, NOTHING, {}),
    ("-O", "mailname=other.example", VALUE, "one setting", {"sender": ME + "@other.example"}),
    ("-O", "spooldir=%s/other", VALUE, "one setting", AWAY),
    ("-o", "8", VALUE, NOTHING, {}),
    ("-o", "Ahash:%s/none", VALUE, NOTHING, {}),
    ("-o", "db", VALUE, "deliver in the background: the default", {}),
    ("-o", "df", VALUE, NOTHING, {}),
    ("-o", "di", VALUE, "wait for the first attempt", {}),
    ("-o", "dq", VALUE, "queue only", {}),
    ("-o", "em", VALUE, NOTHING, {}),
    ("-o", "ep", VALUE, NOTHING, {}),
    ("-o", "eq", VALUE, "no words about errors", {}),
    ("-o", "ew", VALUE, NOTHING, {}),
    ("-o", "i", VALUE, "dots are text", DOTS),
    ("-o", "m", VALUE, NOTHING, {}),
    ("-o", "r0s", VALUE, NOTHING, {}),
    ("-o", "t", VALUE, NOTHING, {}),
    ("-p", "esmtp:host", VALUE, NOTHING, {}),
    ("-Q", "reason", VALUE, NOTHING, {}),
    ("-R", "full", VALUE, "what reports contain", {"all": "RET=FULL"}),
    ("-R", "hdrs", VALUE, "what reports contain", {"all": "RET=HDRS"}),
    ("-R", "z@x.example", VALUE, "makes no sense: warns", {"err": b"sendmail: -R z@x.example "}),
    ("-r", "joe@y.example", VALUE, "envelope sender", {"sender": "joe@y.example"}),
    ("-r", "<>", VALUE, "the null sender", {"sender": ""}),
    ("-s", None, NONE, NOTHING, {}),
    ("-T", None, NONE, NOTHING, {}),
    ("-t", None, NONE, "recipients of To, Cc and Bcc as well", HEAD),
    ("-U", None, NONE, NOTHING, {}),
    ("-V", "id:17", VALUE, "what reports call it", {"all": "ENVID=id:17"}),
    ("-v", None, NONE, "verbose on standard error", {"err": b"sendmail: queued as "}),
    ("-X", "%s/traffic", VALUE, "what happens, to a file", {"traffic": b"queued as "}),
    ("-x", None, NONE, NOTHING, {}),
    ("-Z", None, NONE, "unknown: warns", {"err": b"sendmail: unknown option -Z"}),
    ("-Z" + SECOND, None, NONE, "unknown: warns", {"err": b"unknown option -Z" + SECOND.encode()}),
    ("-1", None, NONE, "unknown: warns", {"err": b"sendmail: unknown option -1"}),
    ("--frob", None, NONE, "unknown: warns", {"err": b"sendmail: unknown option --frob ignored"}),
    ("--frob=" + SECOND, None, NONE, "unknown: warns", {"err": b"unknown option --frob="}),
]

LOGIN = ["-S127.0.0.1:%p", "-Oinsecure_auth=yes"]
# As -odd: delivered while the caller waits, to the server that they name. "%p": its port.
DIRECT = [
    ("-S", "127.0.0.1:%p", "a server for this message", []),
    ("-H", "exec /usr/bin/python3 -ISB %a/connect.py %p 2>/dev/null", "a command that leads to it", []),
    ("-a", "ujoe", "its login", [*LOGIN, "-apsecret"]),
    ("-a", "psecret", "its password", [*LOGIN, "-aujoe"]),
    ("-a", "mPLAIN", "one mechanism", [*LOGIN, "-aujoe", "-apsecret"]),
    ("-w", "20", "seconds of patience", ["-S127.0.0.1:%p"]),
    ("-o", "dd", "deliver now, without a queue", ["-Osmarthost=smtp://127.0.0.1:%p"]),
]

# arguments, exit status, standard output, standard error (beginnings; None: something), what it is
MODES = [
    ("-bp", 0, b"Mail queue is empty\n", b"", "mailq"),
    ("-b p", 0, b"Mail queue is empty\n", b"", "mailq"),
    ("-bi", 0, b"", b"", "newaliases"),
    ("-I", 0, b"", b"", "newaliases"),
    ("-bP", 0, b"smarthost ", b"", "print the configuration"),
    ("-bs", 0, b"220 router.example ESMTP", b"", "SMTP on standard input and output"),
    ("-bv one@x.example", 0, b"one@x.example... deliverable", b"", "check, and send nothing"),
    ("-bv", 64, b"", b"sendmail: -bv: ", "needs recipients"),
    ("-bd", 64, b"", b"sendmail: -bd is not supported", "no daemon"),
    ("-bD", 64, b"", b"sendmail: -bD is not supported", ""),
    ("-bl", 64, b"", b"sendmail: -bl is not supported", ""),
    ("-bt", 64, b"", b"sendmail: -bt is not supported", ""),
    ("-bh", 64, b"", b"sendmail: -bh is not supported", ""),
    ("-bH", 64, b"", b"sendmail: -bH is not supported", ""),
    ("-bC", 64, b"", b"sendmail: -bC is not supported", ""),
    ("-b? one@x.example", 64, b"", b"sendmail: -b? is not supported", "never a delivery"),
    ("-q", 0, b"", b"", "run the queue"),
    ("-qf", 0, b"", b"", "the same"),
    ("-q one@x.example", 64, b"", b"sendmail: -q takes no recipients", ""),
    ("-q 15m", 64, b"", b"sendmail: -q takes no recipients", "an interval is attached"),
    ("-q15m", 0, b"", b"", "run the queue for good"),
    ("-qI nosuchid", 65, b"", b"sendmail: nosuchid: no such message", "one message"),
    ("-qInosuchid", 65, b"", b"sendmail: nosuchid: no such message", ""),
    ("-qR x.example -qS joe", 65, b"", b"sendmail: no such message", "both"),
    ("-qRa -qRb", 64, b"", b"sendmail: -qRb: a second one of its kind", ""),
    ("-qR x.example", 65, b"", b"sendmail: no such message", "by recipient"),
    ("-qSx.example", 65, b"", b"sendmail: no such message", "by sender"),
    ("-q!Rx", 64, b"", b"sendmail: -q!Rx is not supported", ""),
    ("-qGx", 64, b"", b"sendmail: -qGx is not supported", ""),
    ("-qLx", 64, b"", b"sendmail: -qLx is not supported", ""),
    ("--help", 0, b"usage: sendmail ", b"", "the options"),
    ("--version", 0, b"mtabox ", b"", "the version"),
    ("-ax one@x.example", 64, b"", b"sendmail: -ax is not supported", ""),
    ("", 64, b"", b"sendmail: message not accepted: no recipients", "nobody to send to"),
    ("-i --", 64, b"", b"sendmail: message not accepted: no recipients", ""),
    ("-C %s/missing one@x.example", 78, b"", b"sendmail: cannot read the configuration", ""),
    *((f"one@x.example -{letter}", 64, b"", f"sendmail: option -{letter} needs a value".encode(),
       "a value is missing") for letter in "ABCDEFHJLMNOQRSVXabefhoprw"),
]

# Several at once, as callers have them: arguments, effect.
TOGETHER = [
    ("-i -t one@x.example", {**DOTS, **HEAD}),
    ("-ti one@x.example", {**DOTS, **HEAD}),
    ("-it one@x.example", {**DOTS, **HEAD}),
    ("-tioem one@x.example", {**DOTS, **HEAD}),
    ("-tioemone@x.example one@x.example", {**DOTS, **HEAD}),
    ("-oi -t one@x.example", {**DOTS, **HEAD}),
    ("-toi one@x.example", {**DOTS, **HEAD}),
    ("-t one@x.example -oi", {**DOTS, **HEAD}),
    ("-tfjoe@y.example one@x.example", {**HEAD, "sender": "joe@y.example"}),
    ("-tf joe@y.example one@x.example", {**HEAD, "sender": "joe@y.example"}),
    ("-f one@y.example -rjoe@y.example one@x.example", {"sender": "joe@y.example"}),
    ("one@x.example -f -- -i", {**DOTS, "sender": "--@router.example"}),
    ("-FCronDaemon -i -odi -oem -oi -t -f joe one@x.example",
     {**DOTS, **HEAD, "name": "CronDaemon", "sender": "joe@router.example"}),
    ("-FCronDaemon -odi -oem -or0s one@x.example", {"name": "CronDaemon"}),
    ("-FCronDaemon -i -B8BITMIME -oem one@x.example", {**DOTS, "name": "CronDaemon"}),
    ("-oem -oi -B8BITMIME -f joe@y.example -N failure,delay -R hdrs -- one@x.example",
     {**DOTS, "sender": "joe@y.example", "all": "RET=HDRS", "each": "NOTIFY=FAILURE,DELAY"}),
    ("-d -h 5 -X %s/traffic -p x -e m -M id -L tag -O workers=2 one@x.example",
     {"log": b" tag/pickup[", "traffic": b"queued as "}),
]

# Operands: arguments, recipients.
OPERANDS = [
    (["one@x.example", "two@x.example"], ["one@x.example", "two@x.example"]),
    (["one@x.example,two@x.example"], ["one@x.example", "two@x.example"]),
    (["one@x.example, two@x.example ,,"], ["one@x.example", "two@x.example"]),
    (["Joe <one@x.example>"], ["one@x.example"]),
    (["<one@x.example>"], ["one@x.example"]),
    (['"Q, Joe" <one@x.example>, two@x.example'], ["one@x.example", "two@x.example"]),
    (["friends: one@x.example, two@x.example;"], ["one@x.example", "two@x.example"]),
    (["one@x.example (Joe (the \"first))"], ["one@x.example"]),
    (["o'neil#x/y@x.example"], ["o'neil#x/y@x.example"]),
    (['"a b"@x.example'], ['"a b"@x.example']),
    (["one@X.Example", "one@x.example"], ["one@X.Example"]),
    (["one@x.example", "One@x.example"], ["one@x.example", "One@x.example"]),
    ([ME, ME.upper(), ME], [ME]),
    (["", "one@x.example", ","], ["one@x.example"]),
    (["one@[192.0.2.1]"], ["one@[192.0.2.1]"]),
    (["zoë@x.example"], ["zoë@x.example"]),
    (["--", "-one@x.example", "-i"], ["-one@x.example", "-i"]),
    (["one@x.example", "--", "two@x.example"], ["one@x.example", "two@x.example"]),
]
REFUSED = [
    "@", "one@", "@x.example", "one two", "a b@x.example", "one@x..example", "<one@x.example",
    "one@x.example>", '"one@x.example', "one@x.example(", "one\ntwo@x.example", "one@x.example\r",
    "one@x\x01.example", "<>", "<one@x.example> two@x.example", "one@-x.example", "one\\@x.example",
    "one@x.example <two@x.example", "|/bin/sh -c id", "one@[x", "a" * 1001,
]
QUIET = ["-eq", "-e q", "-oeq", "-o eq", "-ieq"]  # no words, the exit status only


class Seen:
    """What came of a call."""

    def __init__(self, **fields):
        self.status, self.out, self.err = 0, b"", b""
        self.sender, self.name, self.content = ME + "@router.example", "", KEPT
        self.rcpts, self.spool, self.log, self.traffic = [RCPT], "spool", b"", None
        self.all = self.each = None  # what the sender wants to be told of all, of each recipient
        self.__dict__.update(fields)


def forms(flag, value, takes):
    """Every way to write it: arguments, recipients of the arguments, is -i among them."""
    one, two = [RCPT], [RCPT, SECOND]
    if takes == NONE:
        for args, rcpts in ([flag, RCPT], one), ([RCPT, flag], one), ([RCPT, flag, SECOND], two), \
                ([flag, "--", RCPT], one):
            yield args, rcpts, False
        if not flag.startswith("--"):
            yield ["-i" + flag[1:], RCPT], one, True
            if "Z" not in flag and "1" not in flag:
                yield [flag + "i", RCPT], one, True
        return
    attached = flag + value
    for args, rcpts in ([attached, RCPT], one), ([RCPT, attached], one), \
            ([RCPT, attached, SECOND], two), ([attached, "--", RCPT], one):
        yield args, rcpts, False
    yield ["-i" + attached[1:], RCPT], one, True
    if takes == ATTACHED:
        yield [flag, RCPT], one, False
        yield [RCPT, flag], one, False
        return
    yield [flag, value, RCPT], one, False
    yield [RCPT, flag, value], one, False
    yield [RCPT, flag, value, SECOND], two, False
    yield ["-i" + flag[1:], value, RCPT], one, True


def check(box, args, rcpts, effect):
    """One call. With status 0 all is in the queue; otherwise nothing is."""
    want = Seen(rcpts=rcpts, **{k: v for k, v in effect.items() if k != "head"})
    if effect.get("head"):
        want.rcpts = rcpts + ["head@x.example"]
    for name in "log", "traffic":
        if os.path.exists(box.path(name)):
            os.unlink(box.path(name))
    got = box.sendmail(args, MESSAGE)
    what = f"for sendmail {' '.join(args)}"
    same(what + ": exit status", got.status, want.status)
    same(what + ": standard output", got.out, want.out)
    if want.err and want.err in got.err:
        got = got._replace(err=want.err)
    same(what + ": standard error", got.err, want.err)
    names = box.names(want.spool)
    same(what + ": queued", names and [n[0] for n in names], ["Q"])
    entry = box.entry(names[0], want.spool)
    box.clear(want.spool)
    same(what + ": queues", (box.names("spool"), box.names("other")), ([], []))
    same(what + ": recipients", entry.rcpts, want.rcpts)
    same(what + ": sender", entry.sender, want.sender)
    same(what + ": full name", entry.name, want.name)
    told = [want.all] * bool(want.all) + [want.each] * bool(want.each) * len(want.rcpts)
    same(what + ": what the sender wants to be told", entry.told, told)
    same(what + ": content", entry.content, want.content)
    if want.log not in read(box.path("log")):
        raise AssertionError(f"{what}: {want.log} is not in the log")
    if (want.traffic or b"") not in (read(box.path("traffic")) if want.traffic else b""):
        raise AssertionError(f"{what}: nothing in the session log")
    same(what + ": session log", os.path.exists(box.path("traffic")), want.traffic is not None)


def flag_row(box, flag, value, takes, effect):
    value = value and value.replace("%s", box.dir)
    for args, rcpts, dots in forms(flag, value, takes):
        check(box, args, rcpts, {**effect, **(DOTS if dots else {})})


def together_row(box, args, effect):
    check(box, args.replace("%s", box.dir).split(), [RCPT], effect)


def direct_row(box, server, port, flag, value, more):
    """Nothing is queued: the server has it when the caller hears 0."""
    value = value.replace("%p", port).replace("%a", APPLET)
    more = [m.replace("%p", port) for m in more]
    before = set(arrivals(server))
    for args, rcpts, dots in forms(flag, value, VALUE):
        # "--" ends the options: what else is needed stands before them.
        got = box.sendmail(more + args, MESSAGE)
        what = "for sendmail " + " ".join(more + args)
        same(what, got, Result(0, b"", b""))
        new = set(arrivals(server)) - before
        before |= new
        same(what + ": at the server", len(new), 1)
        _, there, content = arrivals(server)[new.pop()]
        same(what + ": recipients", there, rcpts)
        same(what + ": content", content.replace(b"\r\n", b"\n"), MESSAGE if dots else KEPT)
        same(what + ": queued", box.names(), [])


def mode_row(box, args, status, out, err):
    text = b"" if args.startswith("-bs") else MESSAGE
    got = box.sendmail(args.replace("%s", box.dir).split(), text)
    same("exit status", got.status, status)
    for what, is_, want in ("output", got.out, out), ("error", got.err, err):
        if want is not None and not (is_.startswith(want) if want else is_ == want or status == 0):
            raise AssertionError(f"standard {what}: {shown(is_)}")
    if status and not got.err:
        raise AssertionError("not a word on standard error")
    same("queued", box.names(), [])
    for pid in box.children() if args == "-q15m" else []:
        os.kill(pid, signal.SIGTERM)
    until(box.reap, "the runner's end")


def quiet_row(box, args):
    same("what is said", box.sendmail([*args.split(), "@"], MESSAGE), Result(65, b"", b""))
    same("queued", box.names(), [])


def refused_row(box, operand):
    for args in [operand], [RCPT, operand], [operand, RCPT], ["-i", RCPT + "," + operand]:
        got = box.sendmail(args, MESSAGE)
        same(f"exit status for {shown(args)}", got.status, 65)
        if not got.err.startswith(b"sendmail: recipient '"):
            raise AssertionError("standard error: " + shown(got.err))
        same("queued", box.names(), [])


def value_words(value):
    return "" if value is None else " " + re.sub(r"%s/|:%p|exec .*", "", value)


def print_table():
    """For people: the same rows."""
    for flag, value, takes, words, _ in FLAGS:
        name = (flag + value_words(value)).replace(SECOND, "x")
        print(f"{name:<28}{words}")
    for flag, value, words, _ in DIRECT:
        print(f"{flag + value_words(value):<28}{words}")
    for args, status, _, _, words in MODES:
        if words == "a value is missing":
            break
        print(f"{args.replace(' one@x.example', ' RCPT').replace('%s/', '') or '(none)':<28}"
              f"{words + (', ' if words and status else '')}{f'exit {status}' if status else ''}")


def main():
    if sys.argv[1:] == ["--table"]:
        return print_table()
    tap = Tap()
    with Box() as box:
        with open(box.path("other.conf"), "w") as f:
            f.write(read(box.path("conf")).decode().replace("/spool", "/other"))
        for flag, value, takes, words, effect in FLAGS:
            tap.test(f"{flag}{value_words(value)}: {words}",
                     flag_row, box, flag, value, takes, effect)
        for args, effect in TOGETHER:
            tap.test(args, together_row, box, args, effect)
        for args, rcpts in OPERANDS:
            tap.test(f"recipients: {shown(args)}", check, box, args, rcpts, {})
        tap.test("-f '': the null sender", check, box, ["-f", "", RCPT], [RCPT], {"sender": ""})
        for args in QUIET:
            tap.test(f"{args} and an error", quiet_row, box, args)
        for operand in REFUSED:
            tap.test(f"refused: {shown(operand)}", refused_row, box, operand)
        for args, status, out, err, words in MODES:
            tap.test(f"sendmail {args}: {words}", mode_row, box, args, status, out, err)
        server, port = box.serve("mechanisms=PLAIN", password="secret")
        plain, plain_port = box.serve()
        for flag, value, words, more in DIRECT:
            login = flag == "-a"
            tap.test(f"{flag}{value_words(value)}: {words}", direct_row, box,
                     server if login else plain, port if login else plain_port, flag, value, more)
    tap.end()


if __name__ == "__main__":
    main()
