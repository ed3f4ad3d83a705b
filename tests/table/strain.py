#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""Eight who send to a mailbox, a Maildir, an SMTP and an LMTP server, four runners that are started
and ended again and again, an operator who holds, releases, deletes and urges, and somebody who
kills runners and their workers, all at the same time: each message that was taken is delivered
once, or deleted as the operator was told. Only a server may have one twice, and only of kills: it
had taken it before the queue knew. usage: strain.py [SEED [MESSAGES]]; prints TAP."""
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
# By number; the LMTP server is that of a sender.
WHO = ([ME], ["robot"], ["bob@mail.example"], ["-f", "ann@lmtp.example", "bob@mail.example"])
KILLS = 5  # messages under way that one kill can hit: two servers' and three mailboxes', at most


def processes():
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def files(pid):
    """What it has open."""
    found = []
    try:
        for fd in os.listdir(f"/proc/{pid}/fd"):
            found.append(os.readlink(f"/proc/{pid}/fd/{fd}"))
    except OSError:  # it ends
        pass
    return found


def children(pid):
    try:
        return [int(child) for child in read(f"/proc/{pid}/task/{pid}/children").split()]
    except OSError:
        return []


class Strain:
    def __init__(self, box, seed, count):
        self.box, self.seed, self.count = box, seed, count
        self.taken, self.deleted, self.failures, self.kills = [], [], [], 0
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
            got = self.box.sendmail(WHO[number % len(WHO)], b"Subject: strain\n\nnumber %d\n" % number)
            same(f"sendmail, number {number}", tuple(got), (0, b"", b""))
            self.taken.append(number)

    def run(self, seed):
        """Ended by SIGTERM after a while, if it has not ended by itself or was killed."""
        how = random.Random(seed)
        while not self.over.is_set():
            with subprocess.Popen(["deliver", how.choice(("-q", "-q15m")), "-C",
                                   self.box.path("conf")], executable=MTABOX,
                                  stderr=subprocess.DEVNULL) as runner:
                try:
                    runner.wait(how.uniform(0.01, 0.6))
                except subprocess.TimeoutExpired:
                    runner.terminate()
                status = runner.wait(20)
            # SIGTERM may come before it is at work.
            if status not in (0, -signal.SIGTERM, -signal.SIGKILL):
                raise AssertionError(f"a runner: {status}")

    def kill(self):
        """A runner, which holds the lock, or one of its workers."""
        how = random.Random(self.seed + 100)
        lock = self.box.path("spool", "runner")
        while not self.over.wait(how.uniform(0.02, 0.15)):
            found = [pid for pid in processes() if lock in files(pid)]
            found += [child for pid in found for child in children(pid)]
            if not found:
                continue
            victim = how.choice(found)
            try:
                os.kill(victim, signal.SIGKILL)
                self.kills += 1
                if os.getsid(victim) == victim:  # sendmail's: nobody else waits for it
                    os.waitpid(victim, 0)
            except (ProcessLookupError, ChildProcessError):
                pass

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
            verb = how.choice(("-d", "-h", "-h", "-H", "-H", "-i", "-i", "-q", "-qf", "-qI",
                               "-qRbob@"))
            number = self.number_of(name)
            if verb.startswith("-q"):
                got = self.box.sendmail([verb] + [name[1:]] * (verb == "-qI"))
            else:
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
        others += [self.thread(self.operate), self.thread(self.kill)]
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


def numbers(texts):
    return Counter(int(n) for n in re.findall(rb"(?m)^number (\d+)\r?$", b"\n".join(texts)))


def check(strain, servers):
    box, kills = strain.box, strain.kills
    new = box.path("mail", "robot", "new")
    here = numbers([read(box.path("mail", ME)),
                    *(read(os.path.join(new, n)) for n in os.listdir(new))])
    there = numbers([read(os.path.join(directory, n)) for directory in servers
                     for n in os.listdir(directory) if n.startswith("mail.")])
    same("sent", sorted(strain.taken), list(range(strain.count)))
    same("deleted twice", len(strain.deleted), len(set(strain.deleted)))
    same("at two places", set(here) & set(there), set())
    same("more than once", [n for n in here if here[n] > 1], [])
    arrived, deleted = set(here) | set(there), set(strain.deleted)
    same("lost", sorted(set(strain.taken) - arrived - deleted), [])
    same("a mailbox's messages", len(box.mailbox()), sum(n % len(WHO) == 0 for n in here))
    # What a kill kept from being written down.
    twice = sum(there.values()) - len(there)
    print(f"# {len(deleted)} deleted, {kills} kills: {twice} twice at a server, "
          f"{len(deleted & arrived)} deleted that had been delivered")
    if kills == 0:
        raise AssertionError("nothing was killed")
    if twice + len(deleted & arrived) > KILLS * kills:
        raise AssertionError(f"more than {kills} kills explain")


def main():
    seed, count = [int(a) for a in sys.argv[1:]] + [1, 1500][len(sys.argv) - 1:]
    tap = Tap()
    with Box() as box:
        smtp, port = box.serve()
        lmtp, lmtp_port = box.serve("lmtp=yes")
        box.configure(f"smarthost lmtp://127.0.0.1:{lmtp_port} from=*@lmtp.example",
                      f"smarthost smtp://127.0.0.1:{port}", "spool_count_limit 0", "retry_min 1s",
                      defer=False)
        with open(box.path("aliases"), "w") as f:
            f.write(f"robot: {box.path('mail', 'robot')}/\n")
        strain = Strain(box, seed, count)
        tap.test(f"seed {seed}: {count} messages, all at the same time", strain.play)
        tap.test("the queue becomes empty", wait_for_the_end, box)
        tap.test("each once, or deleted", check, strain, (smtp, lmtp))
    tap.end()


if __name__ == "__main__":
    main()
