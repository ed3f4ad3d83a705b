# SPDX-License-Identifier: ISC
"""Reads what mtabox wrote into an mbox file, byte by byte and strictly.

usage: mbox.py count FILE           the number of messages
       mbox.py content FILE N       message N as it was stored: without the lines that
                                    delivery added, quoting undone
       mbox.py added FILE N         the names of the fields that delivery added
       mbox.py bodies FILE          the last line of each message, sorted
"""
import re
import sys

ADDED = re.compile(
    rb"From (\S+) [A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \d{4}\n"
    rb"Return-Path: <[^\n]*>\n"
    rb"(?:Delivered-To: [^\n]+\n)+"
    rb"(Received: by \S+ \(mtabox\) id ([0-9a-v]{16});\n\t[^\n]+\n"
    rb"(?:Date: [^\n]+\n)?(?:From: [^\n]+\n(?: [^\n]*\n)*)?(?:Message-ID: <[^\n]+>\n)?)?")


def messages(path):
    # A fragment at the beginning, blanked after a crash, leaves line feeds there.
    text = open(path, "rb").read().lstrip(b"\n")
    if not text:
        return []
    if not text.startswith(b"From ") or not text.endswith(b"\n\n"):
        sys.exit("does not begin with From_ or end with an empty line")
    starts = [m.start() for m in re.finditer(rb"(?:\A|(?<=\n\n))From ", text)]
    if len(starts) != len(re.findall(rb"^From ", text, re.M)):
        sys.exit("a From_ line with no empty line before it")
    return [text[a:b - 1] for a, b in zip(starts, starts[1:] + [len(text)])]


def content(message):
    head = ADDED.match(message)
    if not head:
        sys.exit("the lines that delivery adds are not there: %r" % message[:300])
    return re.sub(rb"^>(>*From )", rb"\1", message[head.end():], flags=re.M)


def main(verb, path, number="1"):
    all_messages = messages(path)
    if verb == "count":
        print(len(all_messages))
    elif verb == "content":
        sys.stdout.buffer.write(content(all_messages[int(number) - 1]))
    elif verb == "added":
        head = ADDED.match(all_messages[int(number) - 1]).group()
        print(*re.findall(r"^([A-Za-z-]+):", head.decode(), re.M))
    elif verb == "bodies":
        print(*sorted(content(m).decode().split("\n")[-2] for m in all_messages), sep="\n")
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main(*sys.argv[1:])
