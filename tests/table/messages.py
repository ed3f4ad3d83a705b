#!/usr/bin/python3 -EsSB
# SPDX-License-Identifier: ISC
"""Messages of every shape, as a table. Each is sent once, for a mailbox of this device and for a
server: what both get is compared byte by byte, and the server's list of recipients with it. What
is refused is not in the queue.

usage: messages.py       prints TAP
"""
import email
import email.policy
import sys

from box import Box, ME, Result, Tap, arrivals, same, shown

AWAY = "away@x.example"  # every message is for ME and for this one, who is at the server


def crlf(text):
    return text.replace(b"\n", b"\r\n")


def mime(charset=b"utf-8", encoding=b"8bit"):
    return (b"MIME-Version: 1.0\r\nContent-Type: text/plain; charset=" + charset +
            b"\r\nContent-Transfer-Encoding: " + encoding + b"\r\n")


def folded(line):
    """A line for SMTP: at most 998 bytes, CRLF and a blank where it goes on."""
    text = line[:998]
    for at in range(998, len(line), 997):
        text += b"\r\n " + line[at:at + 997]
    return text


class Decoded:
    """A message that is quoted-printable on the wire: its header, and its body as read."""

    def __init__(self, header, body):
        self.header, self.body = header, body

    def same(self, wire):
        header, _, body = wire.partition(b"\r\n\r\n")
        same("header at the server", header + b"\r\n", self.header)
        same("longest line at the server", max(map(len, body.split(b"\r\n"))) <= 76, True)
        read = email.message_from_bytes(wire, policy=email.policy.compat32)
        same("body at the server, decoded", read.get_payload(decode=True), crlf(self.body))


class Row:
    def __init__(self, name, text, kept=None, wire=None, args="-i", rcpts=(), status=0, words=""):
        self.name, self.text, self.args = name, text, args.split()
        self.kept = text if kept is None else kept
        self.wire = crlf(self.kept).replace(b"\0", b" ") if wire is None else wire
        self.rcpts, self.status, self.words = list(rcpts), status, words


def refused(name, text, words, status=65, args="-i -t"):
    return Row(name, text, args=args, status=status, words=words)


def header(name, fields, *rcpts, text=b"hello\n"):
    """For -t: fields with To and the like, and the recipients they come to."""
    return Row("-t: " + name, fields + b"\n" + text, args="-i -t", rcpts=rcpts)


X = b"Subject: x\n\n"
PARTS = b"Content-Type: multipart/mixed; boundary=z\n\n"
ZOE = "Zoë".encode()
ALL_BYTES = bytes(c for c in range(256) if c not in b"\r\n\0")
LINES = [b"y" * n for n in (997, 998, 999, 1000)]
MANY = [f"r{n}@x.example" for n in range(9998)]

ROWS = [
    # Line ends.
    Row("LF", X + b"hello\n"),
    Row("CRLF", crlf(X) + b"hello\r\n", X + b"hello\n"),
    Row("CRLF and LF mixed", b"Subject: x\r\nA: b\n\r\none\r\ntwo\nthree\r\n",
        b"Subject: x\nA: b\n\none\ntwo\nthree\n"),
    Row("CRLF in the header, LF in the body", crlf(X) + b"one\ntwo\n", X + b"one\ntwo\n"),
    Row("a lone CR becomes a blank", b"Subject: a\rb\n\none\rtwo\r\rthree\n",
        b"Subject: a b\n\none two  three\n"),
    Row("CR CR LF", X + b"one\r\r\ntwo\n", X + b"one \ntwo\n"),
    Row("a CR at the end", X + b"one\r", X + b"one \n"),
    Row("LF CR", X + b"one\n\rtwo\n", X + b"one\n two\n"),
    Row("no final line end", X + b"hello", X + b"hello\n"),
    Row("empty lines at the end", X + b"hello\n\n\n"),
    Row("blanks at the ends of lines", X + b"hello \t\n \n"),

    # Bytes.
    Row("NUL, in header and body", b"Subject: a\0b\n\none\0\0two\n\0\n"),
    Row("all bytes but NUL, CR and LF", X + ALL_BYTES + b"\n",
        wire=b"Subject: x\r\n" + mime(b"unknown-8bit") + b"\r\n" + ALL_BYTES + b"\r\n"),
    Row("8-bit header", b"Subject: " + ZOE + b"\n\nhello\n",
        wire=b"Subject: " + ZOE + b"\r\n" + mime() + b"\r\nhello\r\n"),
    Row("8-bit body", X + ZOE + b"\n", wire=b"Subject: x\r\n" + mime() + b"\r\n" + ZOE + b"\r\n"),
    Row("8-bit body, declared", b"MIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\n"
        b"Content-Transfer-Encoding: 8bit\n\n" + ZOE + b"\n"),
    Row("8-bit body, ISO 8859-1 declared", b"MIME-Version: 1.0\nContent-Type: text/plain; "
        b"charset=iso-8859-1\nContent-Transfer-Encoding: 8bit\n\nZo\xeb\n"),
    Row("malformed UTF-8", X + b"\xc3\n\xff\xfe\n",
        wire=b"Subject: x\r\n" + mime(b"unknown-8bit") + b"\r\n\xc3\r\n\xff\xfe\r\n"),
    Row("8-bit, no header", ZOE + b"\n", b"\n" + ZOE + b"\n", mime() + b"\r\n" + ZOE + b"\r\n"),

    # Is there a header?
    Row("no header", b"hello there\nmore\n", b"\nhello there\nmore\n"),
    Row("an empty message", b"", b"\n"),
    Row("one byte", b"x", b"\nx\n"),
    Row("an empty line alone", b"\n"),
    Row("a CRLF alone", b"\r\n", b"\n"),
    Row("an empty line first: what follows is text", b"\nSubject: x\n\nhello\n"),
    Row("a header alone", b"Subject: x\n", X),
    Row("a header alone, without a line end", b"Subject: x", X),
    Row("a header that ends inside a name", b"Subject: x\nSub", X + b"Sub\n"),
    Row("a header and its empty line, no text", X),
    Row("a line without a colon ends the header", b"Subject: x\nno field\nA: b\n\nhello\n",
        b"Subject: x\n\nno field\nA: b\n\nhello\n"),
    Row("a colon first is no field", b"Subject: x\n: y\n\nhello\n",
        b"Subject: x\n\n: y\n\nhello\n"),
    Row("a field's name of 256 bytes", b"x" * 256 + b": y\n\nhello\n"),
    Row("a longer one starts the text", X[:-1] + b"x" * 257 + b": y\n\nhello\n",
        X + b"x" * 257 + b": y\n\nhello\n"),
    Row("a byte order mark before the header goes", b"\xef\xbb\xbf" + X + b"hello\n",
        X + b"hello\n",
        # It was seen before it went.
        b"Subject: x\r\n" + mime() + b"\r\nhello\r\n"),
    Row("a byte order mark before text stays", b"\xef\xbb\xbfhello\n", b"\n\xef\xbb\xbfhello\n",
        mime() + b"\r\n\xef\xbb\xbfhello\r\n"),
    Row("half a byte order mark", b"\xef\xbbSubject: x\n\nhello\n",
        b"\n\xef\xbbSubject: x\n\nhello\n",
        mime(b"unknown-8bit") + b"\r\n\xef\xbbSubject: x\r\n\r\nhello\r\n"),

    # Fields.
    Row("folded fields", b"Subject: a\n b\n\tc\nX: y\n\nhello\n"),
    Row("a folded field with a line of blanks", b"Subject: a\n \n b\n\nhello\n"),
    Row("a continuation first", b" folded\nSubject: x\n\nhello\n",
        b"\n folded\nSubject: x\n\nhello\n"),
    Row("a field without a value, a blank before the colon", b"Subject:\nX : y\n\nhello\n"),
    Row("Bcc goes, with its folds", b"Subject: x\nBcc: b@x.example,\n c@x.example\nA: b\n\nhello\n",
        b"Subject: x\nA: b\n\nhello\n"),
    Row("Bcc goes with -t", b"Bcc: b@x.example,\n c@x.example\nA: b\n\nhello\n", b"A: b\n\nhello\n",
        args="-i -t", rcpts=["b@x.example", "c@x.example"]),
    Row("Bcc in any case, at the end of input", b"A: b\nbCC : b@x.example", b"A: b\n\n"),
    Row("Bcc alone", b"Bcc: b@x.example\n\nhello\n", b"\nhello\n"),
    Row("Bcc in the text stays", X + b"Bcc: b@x.example\n"),
    Row("Resent-Bcc goes", b"A: b\nResent-Bcc: b@x.example\n\nhello\n", b"A: b\n\nhello\n"),
    Row("Return-Path and Content-Length go",
        b"Return-Path: <r@x.example>\nContent-Length: 6\nA: b\n\nhello\n", b"A: b\n\nhello\n"),

    # From_.
    Row("a leading From_ line goes", b"From joe Thu Jan  1 00:00:00 1970\n" + X + b"hello\n",
        X + b"hello\n"),
    Row("a leading >From_ line goes", b">From joe Thu Jan  1 00:00:00 1970\r\n" + X + b"hello\n",
        X + b"hello\n"),
    Row("a From_ line without a header behind it is text", b"From here on\nit is text\n",
        b"\nFrom here on\nit is text\n"),
    Row("a From_ line alone", b"From joe", b"\nFrom joe\n"),
    Row("From_ lines in the text", X + b"From a\n\nFrom b\n>From c\n>>From d\n> From e\nFrom\n"),

    # Dots.
    Row("a lone dot ends it without -i", X + b"one\n.\ntwo\n", X + b"one\n", args=""),
    Row("a lone dot ends it with -t alone", b"To: b@x.example\n\none\n.\ntwo\n",
        b"To: b@x.example\n\none\n", args="-t", rcpts=["b@x.example"]),
    Row("a lone dot and CRLF", crlf(X) + b"one\r\n.\r\ntwo\r\n", X + b"one\n", args=""),
    Row("a lone dot at the end of input", X + b"one\n.", X + b"one\n", args=""),
    Row("a lone dot in the header", b"Subject: x\n.\n\nhello\n", b"Subject: x\n\n", args=""),
    Row("nothing but a dot", b".", b"\n", args=""),
    Row("two dots stand for one", X + b"..\n...\n..x\n.x\n. \n", X + b".\n..\n.x\n.x\n. \n",
        args=""),
    Row("dots are text with -i", X + b".\n..\n.a\n.", X + b".\n..\n.a\n.\n"),
    Row("dots are text with -oi", X + b".\r\n..\r\n", X + b".\n..\n", args="-oi"),
    Row("dot and lone CR", X + b".\rx\n\r.\n", X + b". x\n .\n", args=""),

    # Sizes.
    *(Row(f"a line of {len(line)} bytes", X + line + b"\n",
          wire=None if len(line) < 999 else Decoded(
              b"Subject: x\r\n" + mime(b"us-ascii", b"quoted-printable"), line + b"\n"))
      for line in LINES),
    Row("a line of 1 MB", X + b"y" * 1048576 + b"\nend",  X + b"y" * 1048576 + b"\nend\n",
        Decoded(b"Subject: x\r\n" + mime(b"us-ascii", b"quoted-printable"),
                b"y" * 1048576 + b"\nend\n")),
    Row("a line of 1 MB in an attachment: folded", PARTS + b"y" * 1048576 + b"\n",
        wire=crlf(PARTS) + folded(b"y" * 1048576) + b"\r\n"),
    Row("300 kB of header",
        b"".join(b"X-%d: %s\n" % (n, b"z" * 290) for n in range(1000)) + b"\nhi\n"),
    Row("300 kB of header, one folded field", b"X:" + b" zzz\n" * 60000 + b"\nhi\n"),
    Row("300 kB of header in one line", b"X: " + b"z" * 300000 + b"\n\nhi\n",
        wire=folded(b"X: " + b"z" * 300000) + b"\r\n" + mime(b"us-ascii", b"quoted-printable") +
        b"\r\nhi\r\n"),
    Row("10 000 recipients", b"To: " + ",\n ".join(MANY).encode() + b"\n\nhello\n", args="-i -t",
        rcpts=MANY),

    # Recipients.
    header("To", b"To: a@x.example\n", "a@x.example"),
    header("a header that ends with the input",
           b"Subject: x\nTo: a@x.example, b@x.example\n", "a@x.example", "b@x.example", text=b""),
    Row("-t: and without a line end", b"Subject: x\nTo: a@x.example, b@x.example",
        b"Subject: x\nTo: a@x.example, b@x.example\n\n", args="-i -t",
        rcpts=["a@x.example", "b@x.example"]),
    Row("-t: CRLF", b"To: a@x.example,\r\n b@x.example\r\nCc: c@x.example\r\n\r\nhello\r\n",
        b"To: a@x.example,\n b@x.example\nCc: c@x.example\n\nhello\n", args="-i -t",
        rcpts=["a@x.example", "b@x.example", "c@x.example"]),
    header("To, Cc in any case", b"tO: a@x.example\nCC : b@x.example\n",
           "a@x.example", "b@x.example"),
    header("several To", b"To: a@x.example\nSubject: x\nTo: b@x.example\nTo:c@x.example\n",
           "a@x.example", "b@x.example", "c@x.example"),
    header("folded", b"To: a@x.example,\n\tb@x.example\n ,c\n @\n x.example\n",
           "a@x.example", "b@x.example", "c@x.example"),
    header("groups", b"To: friends: a@x.example, Bob <b@x.example>;, c@x.example\n"
           b"Cc: nobody:;, \"a, b\": d@x.example;\n",
           "a@x.example", "b@x.example", "c@x.example", "d@x.example"),
    header("comments, nested, with quotes in them",
           b"To: a@x.example (one (two) \"three), (\\)) b@x.example (, z@x.example)\n",
           "a@x.example", "b@x.example"),
    header("quoted commas",
           b'To: "Q, Joe" <a@x.example>, "b,c"@x.example, "x\\", y" <d@x.example>\n',
           "a@x.example", '"b,c"@x.example', "d@x.example"),
    header("a comma in an encoded word", b"To: =?utf-8?q?Q=2C_Jo=C3=AB?= <a@x.example>\n",
           "a@x.example"),
    header("names with dots and apostrophes", b"To: J. R. O'Neil <a@x.example>, Jo <b@x.example>\n",
           "a@x.example", "b@x.example"),
    header("the address as its own name", b"To: a@x.example <a@x.example>\n", "a@x.example"),
    header("semicolons and empty elements", b"To: a@x.example; b@x.example,, ,\n",
           "a@x.example", "b@x.example"),
    header("a route", b"To: <@r.example,@s.example:a@x.example>\n", "a@x.example"),
    header("odd local parts", b"To: o'neil#x/y@x.example, a+b=c@x.example, {x}|~@x.example\n",
           "o'neil#x/y@x.example", "a+b=c@x.example", "{x}|~@x.example"),
    header("a literal", b"To: a@[192.0.2.1]\n", "a@[192.0.2.1]"),
    header("duplicates: domains without case, local parts with",
           b"To: a@x.example, a@X.EXAMPLE\nCc: A@x.example, a@x.example\n",
           "a@x.example", "A@x.example"),
    header("nobody more", b"To: undisclosed-recipients:;\n"),
    header("Resent-To instead of To", b"Resent-To: a@x.example\nTo: z@x.example\n", "a@x.example"),
    header("Resent- fields behind the others", b"To: z@x.example\nResent-To: a@x.example\n"
           b"Resent-Cc: b@x.example\n", "a@x.example", "b@x.example"),
    header("the newest Resent- block", b"Resent-From: j@y.example\nResent-To: a@x.example\n"
           b"Resent-From: k@y.example\nResent-To: z@x.example\nTo: z@x.example\n", "a@x.example"),
    header("Resent-From alone", b"Resent-From: j@y.example\nTo: a@x.example\n", "a@x.example"),
    header("a To in the text is none", b"Subject: x\n", text=b"To: z@x.example\n"),
    Row("To without -t is no recipient", b"To: z@x.example\n\nhello\n"),

    # What is refused.
    refused("an address that cannot be read", b"To: a@x.example, b c d\n\nhi\n", "b c d"),
    refused("a quote without its end", b'To: a@x.example, "b <c@x.example>\n\nhi\n', '"b'),
    refused("a comment without its end", b"To: a@x.example (b, c@x.example\n\nhi\n", "(b"),
    refused("an address for a group's name", b"To: a@x.example: b@x.example;\n\nhi\n",
            "a@x.example: b"),
    refused("NUL in an address", b"To: a\0b@x.example\n\nhi\n", "control character"),
    refused("an address of 1001 bytes", b"To: " + b"a" * 991 + b"@x.example\n\nhi\n",
            "longer than"),
    refused("over 1 MB of header", b"Subject: " + b"x" * 1100000 + b"\n\nhi\n",
            "header is too long"),
    refused("over 1 MB of header in small fields", b"To: a@x.example\n" * 70000,
            "header is too long"),
]


def submit(box, row, ids):
    rcpts = [] if row.status else [ME, AWAY]
    got = box.sendmail(row.args + ["-f", "joe@y.example"] + rcpts, row.text)
    same("exit status", got.status, row.status)
    new = [n for n in box.names() if n[1:] not in ids.values()]
    if row.status:
        same("queued", new, [])
        same("standard output", got.out, b"")
        if row.words not in got.err.decode():
            raise AssertionError("standard error: " + shown(got.err))
        return
    same("what is said", got, Result(0, b"", b""))
    same("queued", [n[0] for n in new], ["Q"])
    ids[row.name] = new[0][1:]


def compare(row, number, mailbox, server):
    if number is None:
        raise AssertionError("was not accepted")
    if number not in mailbox or number not in server:
        raise AssertionError(f"LOST: mailbox {number in mailbox}, server {number in server}")
    same("the mailbox", mailbox[number], row.kept)
    sender, rcpts, content = server[number]
    same("sender", sender, "joe@y.example")
    same("recipients", rcpts, [AWAY] + row.rcpts)
    if isinstance(row.wire, Decoded):
        row.wire.same(content)
    else:
        same("the server", content, row.wire)


def main():
    tap = Tap()
    ids = {}
    with Box() as box:
        directory, port = box.serve()
        box.configure(f"smarthost smtp://127.0.0.1:{port}")
        for row in ROWS:
            tap.test(f"{row.name}: {'refused' if row.status else 'taken'}", submit, box, row, ids)
        tap.test("one pass over the queue", box.flush)
        tap.test("the queue is empty", lambda: same("it holds", box.names(), []))
        mailbox, server = box.mailbox(), arrivals(directory)
        for row in ROWS:
            if not row.status:
                tap.test(row.name, compare, row, ids.get(row.name), mailbox, server)
        tap.test("nothing else has arrived", lambda: same(
            "arrived", (set(mailbox), set(server)), (set(ids.values()),) * 2))
    tap.end()


if __name__ == "__main__":
    main()
