# SPDX-License-Identifier: ISC
"""Reads a message as a mail program does, with Python's email package (CRLF taken as LF).

usage: mime.py body FILE            the body, decoded: its bytes
       mime.py field FILE NAME      a field's values, one on each line
       mime.py check FILE           complains of a quoted-printable body that breaks RFC 2045 6.7
"""
import email
import re
import sys


def check(body):
    for line in body.split(b"\n"):
        if len(line) > 76:
            sys.exit("a line of %d bytes" % len(line))
        if not re.fullmatch(rb"(?:[\t -<>-~]|=[0-9A-F]{2})*(?:(?<![\t ])|=)", line):
            sys.exit("not quoted-printable: %r" % line)


def main(verb, path, name=""):
    text = open(path, "rb").read().replace(b"\r\n", b"\n")
    message = email.message_from_bytes(text)
    if verb == "body":
        sys.stdout.buffer.write(message.get_payload(decode=True))
    elif verb == "field":
        print(*message.get_all(name, []), sep="\n")
    elif verb == "check":
        check(text.partition(b"\n\n")[2])
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main(*sys.argv[1:])
