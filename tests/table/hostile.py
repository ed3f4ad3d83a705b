#!/usr/bin/python3 -EsSB
# SPDX-License-Identifier: ISC
"""Random messages, whole and damaged, with random arguments. A model of its own says what must
arrive, in a mailbox and at a server; what it is not taken for must be refused, and leave nothing.

usage: hostile.py [SEED [ROUNDS]]     prints TAP
"""
import email.utils
import quopri
import random
import re
import sys

from box import Box, ME, Tap, arrivals, same, shown
from flags import FLAGS, NONE, NOTHING, VALUE

SEED, ROUNDS = 1, 900
BATCH = 300       # messages between two passes over the queue
AWAY = "away@x.example"

TOKENS = [b"\r", b"\n", b"\r\n", b"\n\n", b"\r\n\r\n", b".", b"\n.\n", b"\r\n.\r\n", b"\n..", b"\0",
          b":", b",", b";", b'"', b"(", b")", b"<", b">", b"\\", b"@", b"[", b" ", b"\t", b"\n ",
          b"\xc3\xab", b"\xff", b"\xef\xbb\xbf", b"From ", b"\nFrom joe\n", b">From ", b"y" * 500,
          b"y" * 1001, b"\nBcc: r8@x.example\n", b"\nReturn-Path: <>\n", b"\nTo: r9@x.example",
          b"Content-Type: image/png\n", b"\nContent-Length: 3\n", b"="]
SUBJECTS = [b"x", b"x", b"x", b"", b"a\n b", "Zoë".encode(), b"s" * 1200]
OTHER_FIELDS = [b"Content-Type: multipart/mixed; boundary=z", b"Return-Path: <a@b>",
                b"Content-Transfer-Encoding: base64", b"Content-Transfer-Encoding: 8bit",
                b"MIME-Version: 1.0", b"Content-Length: 9"]
LINES = [b"hello", b"", b".", b"..", b".x", b"From a", b"y" * 997, b"y" * 1500, b"\0",
         "Zoë".encode(), b"\xff", b"a\rb", b"Bcc: z@x.example", b"tail \t", b"=3D"]
DROPPED = {b"bcc", b"resent-bcc", b"return-path", b"content-length"}
IDLE = [row for row in FLAGS if row[3] == NOTHING and row[0] != "-o"]
FIELD = re.compile(rb"(?=[^:]{1,256}:)([!-9;-~]+)[ \t]*:[^\n]*\n(?:[ \t][^\n]*\n)*")
ENCODING = re.compile(rb"(?mi)^Content-Transfer-Encoding *: quoted-printable\r?$")
DECLARED = re.compile(rb"(?mi)^(MIME-Version|Content-Type|Content-Transfer-Encoding)[ \t]*:[^\n]*\n"
                      rb"(?:[ \t][^\n]*\n)*")
PLAIN = re.compile(r"r\d+@[xX]\.example")


# --- the model ------------------------------------------------------------------------------

def normalise(text, dots):
    """Line ends, dots, the missing LF at the end."""
    out = b""
    lines = text.split(b"\n")
    for n, line in enumerate(lines):
        last = n == len(lines) - 1
        if last and not line:
            break
        if line.endswith(b"\r") and not last:
            line = line[:-1]
        if dots and line == b".":
            break
        if dots and line.startswith(b".."):
            line = line[1:]
        out += line.replace(b"\r", b" ") + b"\n"
    return out


def plain_addresses(lists):
    """Ours in those lists, as Python reads them, to whom "a@b <c@d>" is two."""
    lists = [re.sub(r"[^\s,<>]+@[^\s,<>]+\s*(?=<)", "", one.decode("latin-1")) for one in lists]
    return {one for _, one in email.utils.getaddresses(lists) if PLAIN.fullmatch(one)}


class Model:
    """What is kept of a message: its fields, and its body."""

    def __init__(self, text, dots):
        rest = normalise(text, dots)
        self.fields, self.kept, start = [], b"", rest
        if rest.startswith(b"\xef\xbb\xbf"):
            rest = rest[3:]
        while (line := re.match(rb">?From [^\n]*\n", rest)) and line.end() <= 999:
            rest = rest[line.end():]
        while field := FIELD.match(rest):
            rest = rest[field.end():]
            self.fields.append((field[1].lower(), field[0].partition(b":")[2]))
            if field[1].lower() not in DROPPED:
                self.kept += field[0]
        if not self.fields:
            rest = start  # what went before the header goes only where there is one
        self.body = rest[1:] if rest.startswith(b"\n") else rest

    def mailbox(self):
        return self.kept + b"\n" + self.body

    def resent(self):
        return any(name in (b"resent-to", b"resent-cc", b"resent-bcc") for name, _ in self.fields)

    def recipients(self):
        return plain_addresses(v for name, v in self.fields if name in (b"to", b"cc", b"bcc"))


def squeezed(text):
    """Without what folding and NUL may become."""
    return re.sub(rb"[\0\r\n ]", b"", text)


def compare_server(model, wire):
    head, empty, body = wire.partition(b"\r\n\r\n")
    if wire.startswith(b"\r\n"):
        head, empty, body = b"", b"\r\n", wire[2:]
    if max(map(len, wire.split(b"\r\n"))) > 998:
        raise AssertionError("the server gets a line over 998 bytes")
    want = model.body.replace(b"\n", b"\r\n")
    if ENCODING.search(head) and not ENCODING.search(model.kept):
        same("body at the server, decoded", quopri.decodestring(body), want)
    elif max(map(len, model.body.split(b"\n"))) > 998:
        same("body at the server", squeezed(body), squeezed(model.body))
    else:
        same("body at the server", body, want.replace(b"\0", b" "))
    same("header at the server", squeezed(DECLARED.sub(b"", head + b"\r\n")),
         squeezed(DECLARED.sub(b"", model.kept)))


# --- what is sent ---------------------------------------------------------------------------

def decorate(rng, address):
    """An address as people and programs write it."""
    return rng.choice([
        "{}", "{}", "<{}>", "Joe Q <{}>", '"Q, Joe" <{}>', "{} (Joe, Q)", "(z@x.example no) {}",
        '(a (b) "c) {}', "Zoë <{}>", "=?utf-8?q?a=2C?= <{}>", "\n {}", "J. R. <{}>",
        '"a \\" b" <{}>', " {}\t", "{0} <{0}>",
    ]).format(address)


def address_list(rng, addresses):
    words = ""
    for n, address in enumerate(addresses):
        words += rng.choice([",", ", ", ",\n\t", ",,"]) if n else ""
        words += decorate(rng, address)
    return rng.choice(["{}", "{}", "{}", " g: {};", '"a, b": {};', "{},"]).format(words)


class Case:
    """A message with arguments, and the recipients that they come to."""

    def __init__(self, rng):
        self.args, self.operands, self.headers = [], [ME, AWAY], []
        self.sender = "joe@y.example"
        self.dots = rng.random() < 0.4
        self.take = rng.random() < 0.6
        self.damaged = rng.random() < 0.6
        addresses = [f"r{n}@x.example" for n in rng.sample(range(100), rng.randrange(1, 6))]
        self.text = self.message(rng, addresses)
        for _ in range(rng.randrange(1, 7) if self.damaged else 0):
            self.text = damage(rng, self.text)
        self.arguments(rng)

    def message(self, rng, addresses):
        end = rng.choice([b"\n", b"\n", b"\r\n"])
        fields = [b"Subject: " + rng.choice(SUBJECTS)]
        while addresses:
            some, addresses = addresses[:2], addresses[2:]
            name = rng.choice(["To", "To", "cc", "BCC", "To "])
            fields.append(f"{name}:{address_list(rng, some)}".encode())
            self.headers += some
        if rng.random() < 0.2:
            fields.append(rng.choice(OTHER_FIELDS))
        rng.shuffle(fields)
        start = rng.choice([b""] * 6 + [b"From joe Thu\n", b"\xef\xbb\xbf"])
        lines = [rng.choice(LINES) for _ in range(rng.randrange(6))]
        text = start + b"\n".join(fields + [b""] + lines)
        return text.replace(b"\n", end) + rng.choice([end, b""])

    def arguments(self, rng):
        options = [["-f", self.sender], ["-odq"]]
        options += [["-t"]] if self.take else []
        options += [] if self.dots else [[rng.choice(["-i", "-oi"])]]
        for flag, value, takes, _, _ in rng.sample(IDLE, rng.randrange(5)):
            value = rng.choice([value, "z@x.example"])
            apart = takes == VALUE and rng.random() < 0.5
            options.append([flag] if takes == NONE else [flag, value] if apart else [flag + value])
        for n in range(rng.randrange(3)):
            self.operands.append(f"a{n}@x.example")
        words = [[decorate(rng, o)] if "@" in o else [o] for o in self.operands]
        if len(self.operands) > 3:
            words[-2:] = [[words[-2][0] + "," + words[-1][0]]]
        self.torn = b""  # an operand that may be one or not
        if rng.random() < 0.2:
            self.torn = b" " + decorate(rng, "r7@x.example").encode()
            for _ in range(rng.randrange(1, 4)):
                self.torn = damage(rng, self.torn)
            self.torn = self.torn.replace(b"\0", b"").lstrip(b"-")
            words.append([self.torn])
        groups = options + words
        rng.shuffle(groups)
        self.args = [word for group in groups for word in group]

    def check_recipients(self, model, there):
        """All that were meant, nobody else; of a damaged message all that Python finds as well."""
        for one in self.operands:
            if one not in there and one != ME:
                raise AssertionError("LOST recipient: " + one)
        extra = [one for one in there if one not in self.operands]
        if lost := plain_addresses([self.torn]) - set(there):
            raise AssertionError(f"LOST recipients: {lost} of {self.torn}")
        if self.torn:
            pass  # whom else it names, nobody knows
        elif not self.damaged and not self.dots:
            same("recipients of the header", sorted(extra),
                 sorted(self.headers if self.take else []))
        elif not self.take:
            same("recipients of the header", extra, [])
        elif not model.resent():
            if lost := model.recipients() - set(there):
                raise AssertionError(f"LOST recipients: {lost} of {shown(model.fields)}")


def damage(rng, text):
    # Mostly where it hurts.
    at = rng.randrange(min(len(text), rng.choice([60, 300, 300, 9999])) + 1)
    kind = rng.randrange(5)
    if kind == 0:
        return text[:at] + rng.choice(TOKENS) + text[at:]
    if kind == 1:
        return text[:at] + text[at + rng.randrange(1, 9):]
    if kind == 2:
        return text[:at] + rng.choice(TOKENS)[:1] + text[at + 1:]
    if kind == 3:
        end = at + rng.randrange(30)
        return text[:at] + text[at:end] * 2 + text[end:]
    return text[:at] if rng.random() < 0.2 else text[:at] + rng.choice(TOKENS) + text[at:]


def main():
    seed, rounds = (list(map(int, sys.argv[1:])) + [SEED, ROUNDS][len(sys.argv) - 1:])[:2]
    rng = random.Random(seed)
    tap = Tap()
    taken = 0
    with Box() as box:
        directory, port = box.serve()
        box.configure(f"smarthost smtp://127.0.0.1:{port}", "qualify no")
        for first in range(0, rounds, BATCH):
            cases = {}
            words = f"seed {seed}, from {first} on"
            tap.test(words + ": accepted or refused, nothing between",
                     submit_all, box, rng, min(BATCH, rounds - first), cases)
            tap.test(words + ": all that was accepted arrives",
                     compare_all, box, directory, cases)
            taken += len(cases)
        tap.test("a good part was accepted", lambda: same("half of them", taken > rounds / 2, True))
    tap.end()


def submit_all(box, rng, count, cases):
    known = set()
    for _ in range(count):
        case = Case(rng)
        got = box.sendmail(case.args, case.text)
        new = set(box.names()) - known
        known |= new
        what = f"for {case.args}, {shown(case.text)}"
        if got.status == 0:
            same(what + ": queued", [n[0] for n in new], ["Q"])
            cases[new.pop()[1:]] = case
            continue
        same(what + ": queued", new, set())
        may_be = case.torn or (case.take and case.damaged)
        if got.status != 65 or not got.err or not may_be:
            raise AssertionError(f"{what}: {got}")


def compare_all(box, directory, cases):
    box.flush()
    same("the queue", box.names(), [])
    mailbox, server = box.mailbox(), arrivals(directory, bounced := {})
    wrong = []
    for number, case in cases.items():
        try:
            model = Model(case.text, case.dots)
            if number not in mailbox or number not in server:
                raise AssertionError(
                    f"LOST: mailbox {number in mailbox}, server {number in server}")
            same("the mailbox", mailbox[number], model.mailbox())
            sender, rcpts, content = server[number]
            same("sender", sender, case.sender)
            case.check_recipients(model, rcpts + bounced.get(number, []))
            compare_server(model, content)
        except AssertionError as e:
            wrong.append(f"for {case.args}, {case.text!r}:\n{e}")
    if wrong:
        raise AssertionError(f"{len(wrong)} of {len(cases)}\n" + "\n".join(wrong[:5]))


if __name__ == "__main__":
    main()
