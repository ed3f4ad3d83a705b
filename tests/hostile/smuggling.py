#!/usr/bin/python3 -EsSB
# SPDX-License-Identifier: ISC
"""Outbound smuggling: whatever looks like the end of a message, at every offset, in body, header
and added fields, with a second message behind it. Ten receivers that differ in what ends a line
and a message read the bytes that the real program sends: each must see one message.

A server that clears the eighth bit before it looks for line ends (BITS) can be served only where
no byte above 127 goes out. Text has none towards a server without 8BITMIME, where it is
quoted-printable. RFC 6152 forbids such a server to offer 8BITMIME; and what is no plain text, and
header fields, have no other form in which we could send them. So it is not asked there, and a
test says which bytes it would fall for.

Not covered, as nothing sent line by line could be safe there: receivers that take the dot off a
line before they look whether it is the end, or blanks off its beginning. With CHUNKING there is
no end to look for: where BDAT is offered the sizes must be right, and no bare CR or LF be in the
octets, as whoever passes them on may not use BDAT (bdat() below is the place).

usage: smuggling.py [SEED]     prints TAP
"""
import random
import re
import sys

from host import ROOMY, Box, Gone, Queue, Server, Tap, play_all, same, shown

SEED = 1
PERIOD = 16384   # the largest of all buffers on the way; the others divide it

EVIL = b"MAIL FROM:<evil@x.example>%sRCPT TO:<root@x.example>%sDATA%sSubject: evil%s%sevil%s"


# --- ten receivers --------------------------------------------------------------------------

def receiver(pattern, drop=b"", table=None):
    """How many octets of those that come behind DATA such a receiver takes for the message, and
    how many it has. It drops some bytes and maps others before it looks."""
    end = re.compile(pattern)

    def read(wire):
        seen = wire.translate(table, drop)
        found = end.search(seen)
        return (found.end() if found else None), len(seen)
    return read


SEVEN = bytes(b & 127 for b in range(256))
ANY = rb"(?:\A|[\r\n])\.[\r\n]"
BITS = "the eighth bit is cleared"
RECEIVERS = {
    "CRLF only": receiver(rb"(?:\A|\r\n)\.\r\n"),
    "LF ends a line, CR before it is dropped": receiver(rb"(?:\A|\n)\.\r?\n"),
    "CR ends a line, LF is dropped": receiver(rb"(?:\A|\r)\.\r", drop=b"\n"),
    "CR, LF and CRLF end a line": receiver(ANY),
    "CRLF . LF": receiver(rb"(?:\A|\r\n)\.\r?\n"),
    "LF . CRLF": receiver(rb"(?:\A|\n)\.\r\n"),
    "NUL is dropped": receiver(ANY, drop=b"\0"),
    BITS: receiver(ANY, drop=b"\0", table=SEVEN),
    "blanks behind the dot": receiver(rb"(?:\A|[\r\n])\.[ \t]*[\r\n]"),
    "CRLF . CR, whatever follows": receiver(rb"(?:\A|\r\n)\.\r"),
}


def check(what, wire, but=()):
    """wire: a message with what ends it, and nothing more. Some need no LF of the last CRLF."""
    for name, read in RECEIVERS.items():
        end, size = read(wire)
        if name not in but and end not in (size, size - 1):
            at = end or 0
            raise AssertionError(f"{what}: to whom {name} the message ends at {end} of {size}: "
                                 f"{shown(wire[max(0, at - 60):at + 40])}")


# --- look-alikes ----------------------------------------------------------------------------

def look_alikes():
    ends = [b"\n", b"\r", b"\r\n", b"\n\r", b"\r\r\n"]
    for before in ends:
        for after in ends:
            yield before + b"." + after
    for text in (b"\r\n\0.\r\n", b"\r\n.\0\r\n", b"\r\0\n.\r\0\n", b"\0\r\n\0.\0\r\0\n\0",
                 b"\n\0.\n",
                 b"\n.\0\n", b"\r\0.\r\0", b"\n\0.\0\n", b"\n\0\0.\n",
                 b"\n .\n", b"\n. \n", b"\n.\t\n", b"\n.  \t\n", b"\n\t.\n", b"\r\n. \r\n",
                 b"\n..\n", b"\n..\r\n", b"\r\n..\r\n", b"\r..\r", b"\n.\n.\n", b"\n.\r.\n",
                 b"\r\n.\r", b"\r\n.\n\r", b"\n.", b"\r\n.", b"\r.",
                 b"\x0b.\x0b", b"\x0c.\x0c", b"\n.\x0b\n", b"\n.\x1a\n", b"\n\x08.\n", b"\n.\x7f\n",
                 b"\x8d\x8a.\x8d\x8a", b"\x8a.\x8a", b"\x8d.\x8d", b"\r\n\xae\r\n", b"\n\xae\n",
                 b"\x8d\x8a\xae\x8d\x8a", b"\n.\x8d\n", b"\n.\x8a", b"\x80\n\x80.\x80\n",
                 "\x85.\x85".encode(), "\u2028.\u2028".encode(), "Ê.\n".encode(),
                 "Í.\r\n".encode(),
                 b"=0A.=0A", b"=0D=0A.=0D=0A", b"=\n.\n", b"=\r\n.\r\n", b"\n=2E\n",
                 b"\r\nQUIT\r\n", b"\n.\nQUIT\n", b"\r\n.\r\nRSET\r\n"):
        yield text


LOOK_ALIKES = list(dict.fromkeys(look_alikes()))


def evil(look_alike):
    end = b"\r\n" if b"\r\n" in look_alike else b"\r" if b"\r" in look_alike else b"\n"
    return look_alike + EVIL.replace(b"%s", end) + look_alike


# --- messages -------------------------------------------------------------------------------

TEXT = b"Subject: x\nTo: y@x.example\n\n"
# What is no plain text goes as it is.
OPAQUE = b"Subject: x\nMIME-Version: 1.0\nContent-Type: application/x\n" \
         b"Content-Transfer-Encoding: 8bit\n\n"


def at_every_offset(look_alike, head):
    """A message where it begins at every offset of a buffer once: with an odd distance."""
    piece = look_alike + b"MAIL FROM:<e@x.example>"
    piece += b"x" * (len(piece) % 2 == 0)
    return head + piece * PERIOD


def at_edges(look_alike, head, rng):
    """Around the edges of the buffers, in short messages and between long lines."""
    for edge in (998, 999, 1024, 2048, 4096, 8192, 16384):
        at = edge + rng.randrange(-6, 7)
        yield head + b"x" * (at - len(head)) + evil(look_alike)
        yield head + (b"x" * 70 + b"\n") * ((at - len(head)) // 71) + \
            b"y" * ((at - len(head)) % 71) + evil(look_alike)


def shapes(look_alike, rng):
    """Where a message may have it: everywhere."""
    bad = evil(look_alike)
    for head in TEXT, OPAQUE:
        yield "first in the body", head + bad
        yield "last", head + b"hello" + look_alike
        yield "all of the body", head + look_alike
        for text in at_edges(look_alike, head, rng):
            yield "at an edge", text
    yield "first of all", bad
    yield "all", look_alike
    yield "in a field", b"Subject: a" + bad + b"\n\nhello\n"
    yield "a field's name", b"X" + bad + b": a\n\nhello\n"
    yield "in a folded field", b"Subject: a\n\t" + bad.replace(b"\n", b"\n ") + b"\n\nhello\n"
    yield "behind a field", b"Subject: a\n" + bad + b"X: y\n\nhello\n"
    yield "in an address", b"From: \"a" + bad + b"\" <a@x.example>\n\nhello\n"
    yield "in a mailbox line", b"From joe" + bad + TEXT + b"hello\n"


# Arguments with it, of which some are refused.
def arguments(look_alike):
    bad = evil(look_alike).replace(b"\0", b"")
    return [
        [b"-F", b"Joe" + bad], [b"-F", bad], [b"-f", b"joe" + bad + b"@x.example"],
        [b"-f", b'"joe' + bad + b'"@x.example'], [b"-f", b"joe@x.example" + bad],
        [b"-r", bad], [b"-V", b"id" + bad], [b"-R", b"full" + bad], [b"-N", b"failure" + bad],
        [b"a" + bad + b"@x.example"], [b'"a' + bad + b'"@x.example'], [b"a@x.example" + bad],
        [b"-L", b"tag" + bad], [b"-B", b"8BITMIME" + bad],
        [b"-Omailname=router.example" + bad], [b"-Ohelo_name=router.example" + bad],
        [b"-Omasquerade=x.example" + bad], [b"-Oqualify=x.example" + bad],
    ]


# --- the server -----------------------------------------------------------------------------

class Host:
    """Strict, and takes all; messages: what came behind each DATA, the end included."""

    def __init__(self, ehlo):
        self.ehlo = ehlo
        self.commands, self.messages = [], []
        self.bounce = False

    def play(self, line):
        line.send(b"220 mail.example ESMTP\r\n")
        while True:
            command = line.line()
            self.commands.append(command)
            if command[:4] == b"EHLO":
                line.send(self.ehlo)
            elif command == b"DATA":
                line.send(b"354 go\r\n")
                self.messages.append(line.until(b"\r\n.\r\n"))
                refused = self.bounce and self.mail != b"MAIL FROM:<>"
                line.send(b"554 5.7.1 " + self.bounce + b"\r\n" if refused else b"250 ok\r\n")
            elif command == b"QUIT":
                raise Gone
            else:
                if command[:4] == b"MAIL":
                    self.mail = command.partition(b" SIZE")[0].partition(b" BODY")[0]
                line.send(b"250 ok\r\n")

    def bdat(self):
        """CHUNKING is not offered."""
        same("BDAT", [c for c in self.commands if c[:4] == b"BDAT"], [])


PLAIN_SERVER = b"250-mail.example\r\n250-PIPELINING\r\n250-DSN\r\n250 SIZE\r\n"
EIGHT_SERVER = b"250-mail.example\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250 SIZE\r\n"
COMMAND = re.compile(
    rb"EHLO \S+|(?:MAIL FROM|RCPT TO):"
    rb"<(?:[^<>\"\0-\x1f\x7f]*|\"(?:[^\"\\\0-\x1f]|\\[ -~])*\"@[^<> ]+)>"
    rb"(?: [!-~]+)*|DATA|RSET|QUIT")


def send_all(queue, host, what):
    """Sends what is queued; each message must be one to all, each command one of ours."""
    with Server(host.play) as server:
        queue.configure(f"smarthost smtp://127.0.0.1:{server.port}")
        queue.flush(space=ROOMY)
    same(f"{what}: the queue", queue.mailq(), b"Mail queue is empty\n")
    host.bdat()
    for command in host.commands:
        if not COMMAND.fullmatch(command):
            raise AssertionError(f"{what}: a command {command!r}")


def eight_bit(wire):
    return any(b > 127 for b in wire)


def check_all(host, what, count):
    same(f"{what}: messages", len(host.messages), count)
    for n, wire in enumerate(host.messages):
        # See above: where bytes above 127 go out, that one is not asked.
        check(f"{what}, message {n}", wire, [BITS] if eight_bit(wire) else [])
        if re.search(rb"\r(?!\n)|(?<!\r)\n|\0", wire):
            raise AssertionError(f"{what}: a bare CR, LF or a NUL: {shown(wire)}")


def test_offsets(queue, look_alike):
    queue.configure("message_size_limit 0")
    for head in TEXT, OPAQUE:
        queue.post("a@x.example", text=at_every_offset(look_alike, head))
    host = Host(len(look_alike) % 2 and PLAIN_SERVER or EIGHT_SERVER)
    send_all(queue, host, repr(look_alike))
    check_all(host, repr(look_alike), 2)


def test_shapes(queue, look_alike, seed):
    rng = random.Random(f"{seed} {look_alike}")
    queue.configure()
    names = []
    for name, text in shapes(look_alike, rng):
        options = rng.choice([[], ["-F", "Joe"], ["-f", "joe@y.example"]])
        status, _, err = queue.run("sendmail", "-odq", "-i", *options, "a@x.example", text=text,
                                   space=ROOMY)
        if status == 0:
            names.append(name)
        elif status != 65 or not err:
            raise AssertionError(f"{name}, {look_alike!r}: {status} {err!r}")
    host = Host(rng.choice([PLAIN_SERVER, EIGHT_SERVER]))
    send_all(queue, host, repr(look_alike))
    check_all(host, repr(look_alike), len(names))
    if len(names) < 30:
        raise AssertionError(f"only {len(names)} were taken")


def test_arguments(queue, look_alike):
    queue.configure()
    taken = 0
    for words in arguments(look_alike):
        status, _, err = queue.run("sendmail", "-odq", "-i", "b@x.example", *words, text=b"hello\n",
                                   space=ROOMY)
        taken += status == 0
        if status not in (0, 65, 78) or (status and not err):
            raise AssertionError(f"{words}: {status} {err!r}")
    host = Host(len(look_alike) % 2 and EIGHT_SERVER or PLAIN_SERVER)
    send_all(queue, host, repr(look_alike))
    check_all(host, repr(look_alike), taken)


def test_smtp(queue, look_alike):
    """The same by sendmail -bs."""
    queue.configure()
    body = TEXT.replace(b"\n", b"\r\n") + b"hello" + evil(look_alike)
    if look_alike.endswith(b"\n.") or look_alike.endswith(b"\r."):
        body += b"x"
    text = b"EHLO x\r\nMAIL FROM:<a@x.example>\r\nRCPT TO:<b@x.example>\r\nDATA\r\n" + \
        re.sub(rb"(?m)^\.", b"..", body) + b"\r\n.\r\nQUIT\r\n"
    status, out, err = queue.run("sendmail", "-bs", "-odq", text=text, space=ROOMY)
    same("-bs", (status, err), (0, b""))
    count = len(queue.names())
    same("taken", count, 1)
    host = Host(PLAIN_SERVER)
    send_all(queue, host, repr(look_alike))
    check_all(host, repr(look_alike), count)


def test_bounce(queue, look_alike):
    """The message comes back to a sender far away, with the server's words."""
    queue.configure()
    queue.post("-f", "joe@y.example", "-R", "full", "a@x.example",
               text=b"Subject: a" + evil(look_alike) + b"\n\n" + evil(look_alike))
    host = Host(len(look_alike) % 2 and EIGHT_SERVER or PLAIN_SERVER)
    host.bounce = re.sub(rb"[\r\n\0]", b"", evil(look_alike))
    send_all(queue, host, repr(look_alike))
    check_all(host, repr(look_alike), 2)


def test_table():
    """The receivers are what they are said to be; a good message is one to all."""
    for name, wires in {
            "CRLF only": [b"\r\n.\r\n"], "LF ends a line, CR before it is dropped": [b"\n.\n"],
            "CR ends a line, LF is dropped": [b"\r.\r", b"\r\n.\n\r"],
            "CR, LF and CRLF end a line": [b"\n.\r", b"\r.\n"], "CRLF . LF": [b"\r\n.\n"],
            "LF . CRLF": [b"\n.\r\n"], "NUL is dropped": [b"\n\0.\0\n"],
            BITS: [b"\x8a.\x8d", b"\xc3\x8a.\r\n", b"\n\xae\n"],
            "blanks behind the dot": [b"\n. \t\n"], "CRLF . CR, whatever follows": [b"\r\n.\rx"],
    }.items():
        for wire in wires:
            if RECEIVERS[name](b"a" + wire + b"MAIL")[0] is None:
                raise AssertionError(f"{name} does not see {wire!r}")
    same("receivers", len(RECEIVERS), 10)
    check("a good one", b"Subject: x\r\n\r\n..\r\n...\r\nhello\r\n.\r\n")


def test_eighth_bit(box):
    """What BITS falls for, and is told of above: what is no text, and fields, go as they are."""
    for number, (text, ehlo, safe) in enumerate((
            (TEXT + b"a\n\xae\nb\n", PLAIN_SERVER, True),
            (TEXT + b"a\n\xae\nb\n", EIGHT_SERVER, False),
            (OPAQUE + b"a\n\xae\nb\n", PLAIN_SERVER, False),
            (b"Subject: a\x8a.\x8ab\n\nhello\n", PLAIN_SERVER, False))):
        queue = Queue(box.path(f"eight{number}"))
        queue.configure()
        queue.post("a@x.example", text=text)
        host = Host(ehlo)
        send_all(queue, host, "8 bits")
        end, size = RECEIVERS[BITS](host.messages[0])
        same(f"{text!r}: one message", end >= size - 1, safe)


def each(test, box, name, *args):
    """The test as a function of one look-alike."""
    return lambda look_alike: test(Queue(box.path(f"{name}{LOOK_ALIKES.index(look_alike)}")),
                                   look_alike, *args)


def main():
    seed = int((sys.argv[1:] + [SEED])[0])
    tap = Tap()
    with Box() as box:
        tap.test("ten receivers", test_table)
        tap.test("bytes above 127", test_eighth_bit, box)
        tests = {
            "everywhere in a message": each(test_shapes, box, "shapes", seed),
            "in the arguments": each(test_arguments, box, "arguments"),
            "by sendmail -bs": each(test_smtp, box, "smtp"),
            "in a bounce": each(test_bounce, box, "bounce"),
            "at every offset": each(test_offsets, box, "offsets"),
        }
        play_all(tap, {name: [(test, one) for one in LOOK_ALIKES] for name, test in tests.items()},
                 lambda case: case[0](case[1]))
    tap.end()


if __name__ == "__main__":
    main()
