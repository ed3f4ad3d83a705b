#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""Eight who send, four runners that are started and ended again and again, and an operator who
holds, releases and deletes, all at the same time: each message that was taken is delivered once,
or deleted as the operator was told. usage: strain.py [SEED [MESSAGES]]; prints TAP."""
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
from collections import Counter

from box import Box, ME, MTABOX, Tap, read, same, until

SENDERS, RUNNERS = 8, 4


class Strain:
    def __init__(self, box, seed, count):
        self.box, self.seed, self.count = box, seed, count
        self.taken, self.deleted, self.failures = [], [], []
        self.over = threading.Event()
        self.random = random.Random(seed)

    def thread(self, work, *args):
        def guarded():
            try:
                work(*args)
            except Exception as why:  # told by the main thread
                self.failures.append(f"{work.__name__}: {why!r}")
        one = threading.Thread(target=guarded)
        one.start()
        return one

    def send(self, first):
        for number in range(first, self.count, SENDERS):
            to = (ME, "robot", "bob@mail.example")[number % 3]
            got = self.box.sendmail([to], b"Subject: strain\n\nnumber %d\n" % number)
            same(f"sendmail, number {number}", tuple(got), (0, b"", b""))
            self.taken.append(number)

    def run(self, seed):
        """Ended by SIGTERM after a while, if it has not ended by itself."""
        how = random.Random(seed)
        while not self.over.is_set():
            with subprocess.Popen(["deliver", "-q", "-C", self.box.path("conf")],
                                  executable=MTABOX) as runner:
                try:
                    runner.wait(how.uniform(0.01, 0.6))
                except subprocess.TimeoutExpired:
                    runner.terminate()
                status = runner.wait(20)
            if status not in (0, -signal.SIGTERM):  # which may come before it is at work
                raise AssertionError(f"a runner: {status}")

    def number_of(self, name):
        try:
            return int(re.search(rb"\nnumber (\d+)\n", read(self.box.path("spool", name)))[1])
        except FileNotFoundError:
            return None

    def operate(self):
        """Statuses: 0 is done, 65 it is not held, 75 it is being delivered."""
        how = random.Random(self.seed)
        while not self.over.is_set():
            names = [n for n in self.box.names() if n[0] in "QH"]
            if not names:
                time.sleep(0.01)
                continue
            name = how.choice(names)
            verb = how.choice(("-d", "-h", "-h", "-H", "-H", "-i"))
            number = self.number_of(name)
            got = self.box.run("mailq", [verb, name[1:]])
            if got.status not in (0, 65, 75) and number is not None:
                raise AssertionError(f"mailq {verb}: {got}")
            if verb == "-d" and got.status == 0:
                if b"deleted" not in got.out:
                    raise AssertionError(f"not what it says: {got}")
                self.deleted.append(number)

    def play(self):
        senders = [self.thread(self.send, n) for n in range(SENDERS)]
        others = [self.thread(self.run, self.seed + n) for n in range(RUNNERS)]
        others.append(self.thread(self.operate))
        for one in senders:
            one.join()
        self.over.set()
        for one in others:
            one.join()
        same("what went wrong", self.failures, [])


def wait_for_the_end(box):
    box.run("mailq", ["-H", "ALL"])
    box.sendmail(["-q"])
    while left := box.names():
        until(lambda: len(box.names()) < len(left), "a queue that gets shorter")
    until(box.reap, "the end of all processes")


def check(strain, directory):
    box = strain.box
    files = [os.path.join(directory, n) for n in os.listdir(directory) if n.startswith("mail.")]
    new = box.path("mail", "robot", "new")
    files += [os.path.join(new, n) for n in os.listdir(new)]
    text = b"".join(map(read, [box.path("mail", ME), *files])).replace(b"\r", b"")
    arrived = Counter(int(n) for n in re.findall(rb"(?m)^number (\d+)$", text))
    same("sent", sorted(strain.taken), list(range(strain.count)))
    same("deleted twice", len(strain.deleted), len(set(strain.deleted)))
    same("more than once", [n for n in arrived if arrived[n] > 1], [])
    same("deleted and delivered", sorted(set(strain.deleted) & set(arrived)), [])
    same("lost", sorted(set(strain.taken) - set(arrived) - set(strain.deleted)), [])
    same("a mailbox's messages", len(box.mailbox()), sum(n % 3 == 0 for n in arrived))


def main():
    seed, count = [int(a) for a in sys.argv[1:]] + [1, 1500][len(sys.argv) - 1:]
    tap = Tap()
    with Box() as box:
        directory, port = box.serve()
        box.configure(f"smarthost smtp://127.0.0.1:{port}", "spool_count_limit 0", defer=False)
        with open(box.path("aliases"), "w") as f:
            f.write(f"robot: {box.path('mail', 'robot')}/\n")
        strain = Strain(box, seed, count)
        tap.test(f"seed {seed}: {count} messages, all at the same time", strain.play)
        tap.test("the queue becomes empty", wait_for_the_end, box)
        tap.test(f"each once, or deleted: {len(strain.deleted)}", check, strain, directory)
    tap.end()


if __name__ == "__main__":
    main()
