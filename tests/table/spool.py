#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""A queue with hundreds of files that no sendmail made, and good mail between them: a message cut
at every byte and damaged at random places, what is no plain file of our own, names that are nearly
ours, files of 10 GB without content. The good mail is delivered once; what cannot be read and what
is no file is set aside, what is not ours alone is left alone, each said once; nothing is followed,
nothing is lost.
usage: spool.py [SEED [DAMAGED]]; prints TAP."""
import os
import random
import re
import resource
import socket
import stat
import sys

from box import Box, ME, Tap, read, same

DIGITS = "0123456789abcdefghijklmnopqrstuv"
GOOD = 20
HUGE = 10 << 30
MEMORY = 8 << 20  # of address space, for a program and its stack and all it reads


def name(number, state="Q"):
    """Spread among each other: the order of names is not that of kinds."""
    number = number * 2654435761 % (1 << 40)
    return state + "00000000" + "".join(DIGITS[number >> 5 * n & 31] for n in range(8))


class Spool:
    def __init__(self, box):
        self.box, self.count = box, 0

    def path(self, name):
        return self.box.path("spool", name)

    def add(self, data):
        self.count += 1
        fd = os.open(self.path(name(self.count)), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(fd, "wb") as f:
            f.write(data)
        return name(self.count)

    def run(self, applet, args):
        return self.box.run(applet, args, timeout=60, preexec_fn=lambda: resource.setrlimit(
            resource.RLIMIT_AS, (MEMORY, MEMORY)))

    def flush(self):
        """What is wrong is said on standard error as well."""
        same("deliver -q", self.run("deliver", ["-q"]).status, 0)

    def states(self, names):
        """Which of them are there, by their new names."""
        there = set(os.listdir(self.path("")))
        return {n: [s for s in "QHC" if s + n[1:] in there] for n in names}

    def said(self, names):
        """How often the log has a complaint of each."""
        log = read(self.box.path("log")).decode()
        said = re.findall(r" ([0-9a-v]{16}): .*(?:kept as|left alone)", log)
        return {n: said.count(n[1:]) for n in names}

    def delivered(self):
        return sorted(int(n) for content in self.box.mailbox().values()
                      for n in re.findall(rb"(?m)^good (\d+)$", content))


def fill(spool):
    """Good mail, and the bytes of a message with a journal."""
    box = spool.box
    os.mkdir(box.path("mail", ME))
    same("sendmail", box.sendmail(["-odq", "-f", "joe@x.example", ME],
                                  b"Subject: model\n\nmodel\n").status, 0)
    box.flush()
    (one,) = box.names()
    os.rmdir(box.path("mail", ME))
    model = read(spool.path(one))
    os.unlink(spool.path(one))
    os.unlink(box.path("log"))
    return model


def add_good(spool, model):
    for number in range(GOOD):
        same("sendmail", spool.box.sendmail(["-odq", ME], b"\ngood %d\n" % number).status, 0)


def all_good(spool):
    same("good mail", spool.delivered(), list(range(GOOD)))


def empty(spool):
    for one in spool.box.names():
        path = spool.path(one)
        (os.rmdir if stat.S_ISDIR(os.lstat(path).st_mode) else os.unlink)(path)
    for path in spool.box.path("mail", ME), spool.box.path("log"):
        if os.path.exists(path):
            os.unlink(path)


def cut(spool, model):
    """At every byte: what lacks a byte of envelope or message is set aside, once and for all; a
    journal that is cut is one with less in it."""
    offset, length = map(int, model[9:30].split())
    whole = offset + length
    add_good(spool, model)
    names = [spool.add(model[:n]) for n in range(len(model))]
    spool.flush()
    all_good(spool)
    want = {n: ["C"] if size < whole else [] for size, n in enumerate(names)}
    same("states", spool.states(names), want)
    spool.flush()
    same("said", spool.said(names), {n: len(want[n]) for n in names})
    same("as they were", [read(spool.path("C" + n[1:])) for n in names[:whole]],
         [model[:n] for n in range(whole)])
    listed = spool.run("mailq", []).out.decode()
    same("not listed", [n for n in names[:whole] if n[1:] not in listed], [])


def damage(spool, model, seed, count):
    """One to three bits: it is delivered, comes back, waits or is set aside, and no bit of the
    journal is worth more than its line."""
    how = random.Random(seed)
    offset, length = map(int, model[9:30].split())
    add_good(spool, model)
    where = {}
    for _ in range(count):
        data = bytearray(model)
        places = [how.randrange(len(model)) for _ in range(how.choice((1, 1, 2, 3)))]
        for place in places:
            data[place] ^= 1 << how.randrange(8)
        where[spool.add(bytes(data))] = min(places)
    spool.flush()
    all_good(spool)
    states = spool.states(where)
    same("twice", [n for n in where if len(states[n]) > 1], [])
    same("set aside though only the journal is damaged",
         [n for n in where if where[n] >= offset and states[n]], [])
    said = spool.said(where)
    same("said", {n: said[n] for n in where}, {n: int(states[n] in (["C"], ["H"])) for n in where})
    same("mailq", spool.run("mailq", ["-j"]).status, 0)


def strange(spool, model):
    """What is no file is set aside, what is no plain file of our own alone is left alone; neither is
    followed."""
    box = spool.box
    add_good(spool, model)
    outside = box.path("outside")
    with open(outside, "wb") as f:
        f.write(model)
    makers = [lambda p: os.symlink(outside, p), lambda p: os.symlink("/nowhere", p),
              lambda p: os.symlink(p, p), lambda p: os.link(outside, p), os.mkfifo, os.mkdir,
              lambda p: socket.socket(socket.AF_UNIX).bind(p)]
    if os.getuid() == 0:
        makers.append(lambda p: os.mknod(p, stat.S_IFCHR | 0o600, os.makedev(1, 5)))
        makers.append(lambda p: (os.close(os.open(p, os.O_CREAT | os.O_WRONLY)),
                                 os.chown(p, 65534, 65534)))
    names, cwd = [], os.getcwd()
    os.chdir(spool.path(""))  # a socket's name has little room
    for make in makers * 10:
        spool.count += 1
        names.append(name(spool.count))
        make(names[-1])
    for make in makers:
        for state in "THC":
            spool.count += 1
            make(name(spool.count, state))
    os.chdir(cwd)
    before = sorted(n for n in os.listdir(spool.path("")))
    spool.flush()
    all_good(spool)
    files = {n for n in os.listdir(spool.path("")) if os.path.isfile(spool.path(n))
             and not os.path.islink(spool.path(n))}
    same("states", spool.states(names), {n: ["Q" if n in files else "C"] for n in names})
    same("said", spool.said(names), {n: 1 for n in names})
    same("outside", read(outside), model)
    listed = spool.run("mailq", []).out.decode()
    same("not listed", [n for n in names if n[1:] not in listed], [])
    left = set(os.listdir(spool.path("")))
    gone = [n for n in before if n not in left]
    same("drafts and others that are gone", [n for n in gone if n[0] != "Q"], [])


def nearly(spool, model):
    """Names that are not ours: nobody looks at them."""
    add_good(spool, model)
    id = name(1)[1:]
    names = [f"Q{id}x", f"Q{id[:-1]}", f"Q{id.upper()}A"[:17], f"Q{id[:-1]}w", f"q{id}", f"X{id}", "Q", "T", "C",
             "H", f"Q{id[:-1]}\n", f"Q{id[:-1]}é", "runner.old", f".Q{id}", "Q" + "0" * 200,
             "-rf", "*"]
    for one in names:
        with open(spool.path(one), "wb") as f:
            f.write(model)
    spool.flush()
    all_good(spool)
    same("left", sorted(spool.box.names()), sorted(names))
    same("contents", {read(spool.path(n)) for n in names}, {model})


def huge(spool, model):
    """10 GB of nothing: no memory is taken for it."""
    offset, length = map(int, model[9:30].split())
    add_good(spool, model)
    heads = (b"", model[:60], model[:offset + length], b"mtabox 2 %08d %012d -u--\n" % (
        99999999, 5), b"mtabox 2 %08d %012d -u--\n" % (5000000, HUGE - 5000000))
    names = []
    for head in heads:
        names.append(spool.add(head))
        os.truncate(spool.path(names[-1]), HUGE)
    spool.flush()
    all_good(spool)
    same("states", spool.states(names), {n: ["C"] for n in names})
    same("said", spool.said(names), {n: 1 for n in names})
    same("sizes", {os.stat(spool.path("C" + n[1:])).st_size for n in names}, {HUGE})
    same("mailq", spool.run("mailq", []).status, 0)


def main():
    seed, count = [int(a) for a in sys.argv[1:]] + [1, 600][len(sys.argv) - 1:]
    tap = Tap()
    with Box() as box:
        spool = Spool(box)
        box.configure("spool_count_limit 0", "smarthost smtp://127.0.0.1:1")
        model = fill(spool)
        for title, function, *args in (
                (f"cut at each of {len(model)} bytes", cut),
                (f"{count} with damaged bits, seed {seed}", damage, seed, count),
                ("links, FIFOs, directories, sockets, devices", strange),
                ("names that are nearly ours", nearly),
                ("10 GB without content", huge)):
            tap.test(title, function, spool, model, *args)
            empty(spool)
    tap.end()


if __name__ == "__main__":
    main()
