#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""No wake-up is missed: mail that is queued at any moment of a runner's end or start is delivered,
by that runner or another, though nobody asks again; so is mail that inotify says nothing of. The
runner is made slow by strace, so that there are many moments. And none is for nothing: a runner
that waits sleeps until something is due, and writes nothing. usage: wakes.py [STEPS];
prints TAP."""
import fcntl
import os
import re
import shutil
import signal
import subprocess
import sys
import time

from box import Box, ME, MTABOX, Tap, read, same, until

CALL = 0.002  # seconds that each call of a slow program takes at least
LETTER = b"Subject: wake\n\nwake\n"


def start(box, applet, *args, inject=f"all:delay_enter={int(CALL * 1e6)}"):
    env = {"MTABOX_CONF": box.path("conf"), "PATH": "/usr/bin:/bin"}
    program = subprocess.Popen(["strace", "-f", "-qq", "-o", box.path("calls"), "-e", "inject=" + inject,
                                MTABOX, applet, *args], stdin=subprocess.PIPE,
                               stderr=subprocess.DEVNULL, env=env)
    with program.stdin as pipe:
        if applet == "sendmail":
            pipe.write(LETTER)
    return program


def queue(box, *args):
    same("sendmail", box.sendmail([*args, ME], LETTER).status, 0)


def empty(box):
    until(lambda: not box.names(), "an empty queue")


def at_its_end(box, steps):
    """The first message is gone; what follows until the program has ended are so many moments."""
    before, late, span = len(box.mailbox()), 0, 0
    for step in range(steps):
        queue(box, "-odq")
        runner = start(box, "deliver", "-q")
        empty(box)
        if step == 0:
            begun = time.monotonic()
            same("the first runner", runner.wait(20), 0)
            span = time.monotonic() - begun
        time.sleep(1.2 * span * step / steps)
        late += runner.poll() is not None
        queue(box)
        empty(box)
        same("the runner", runner.wait(20), 0)
    same("delivered", len(box.mailbox()) - before, 2 * steps)
    same("some steps come before its end", late < steps, True)


def at_its_start(box, steps):
    before = len(box.mailbox())
    for step in range(steps):
        first = start(box, "sendmail", ME)
        until(lambda: any(n[0] == "Q" for n in box.names()), "a commit")
        time.sleep(100 * CALL * step / steps)
        queue(box)
        empty(box)
        same("sendmail", first.wait(20), 0)
    until(box.reap, "the end of all processes")
    same("delivered", len(box.mailbox()) - before, 2 * steps)


def without_inotify(box):
    """It looks every few seconds."""
    runner = start(box, "deliver", "-q15m", inject="inotify_init1:error=EMFILE")
    until(lambda: b"signalfd" in read(box.path("calls")), "a runner")
    until(lambda: b"poll(" in read(box.path("calls")), "its sleep")
    queue(box, "-odq")
    empty(box)
    # What waits is tried when somebody asks for it.
    os.mkdir(box.path("mail", "automat"))
    with open(box.path("aliases"), "w") as f:
        f.write(f"automat: {box.path('mail', 'automat')}\n")
    same("sendmail", box.sendmail(["-odq", "automat"], LETTER).status, 0)
    until(lambda: b"deferred" in read(box.path("spool", box.names()[0])), "an attempt")
    os.rmdir(box.path("mail", "automat"))
    same("sendmail -q", box.sendmail(["-q"]).status, 0)
    empty(box)
    end(runner)


def blind(box):
    """The directory cannot be read at first, and nobody says again what is in it."""
    queue(box, "-odq")
    runner = start(box, "deliver", "-q15m", inject="getdents64:error=EIO:when=1..3")
    empty(box)
    end(runner)
    log = read(box.path("log"))
    same("it says so once", log.count(b"cannot read the spool directory"), 1)


def deaf(box):
    """The runner ends before it could hear of the touch of who found its lock taken."""
    box.configure()
    queue(box)
    # The lock is this one's, who hears nothing, and goes while the lock is being touched.
    with open(box.path("spool", "runner"), "a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        urge = start(box, "deliver", "-q", inject="utimensat:delay_enter=1000000")
        until(lambda: b"utimensat(" in read(box.path("calls")), "its touch")
    same("deliver -q", urge.wait(20), 0)
    empty(box)
    queue(box)
    with open(box.path("spool", "runner"), "a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        urge = start(box, "sendmail", "-q", inject="utimensat:delay_enter=1000000")
        until(lambda: b"utimensat(" in read(box.path("calls")), "its touch")
    same("sendmail -q", urge.wait(20), 0)
    empty(box)
    box.configure(defer=False)


def leftovers(box):
    """What a runner that stays has passed over or not seen is looked at when it is woken."""
    queue(box, "-odq")
    name = [n for n in box.names() if n[0] == "Q"][0]
    os.link(box.path("spool", name), box.path("backup"))
    os.link(box.path("spool", "runner"), box.path("backup.2"))
    runner = subprocess.Popen(["deliver", "-q15m", "-C", box.path("conf")], executable=MTABOX,
                              stderr=subprocess.DEVNULL)
    until(lambda: b"left alone" in read(box.path("log")), "a look at a file with two names")
    os.unlink(box.path("backup"))
    # A draft whose writer was killed while there was a runner already.
    with open(box.path("spool", "T0123456789abcdef"), "w"):
        pass
    same("sendmail -q", box.sendmail(["-q"]).status, 0)
    until(lambda: not [n for n in box.names() if n[0] in "QT"], "an empty queue")
    runner.terminate()
    same("the runner", runner.wait(20), 0)


def overflow(box):
    """More happens while it does not run than the kernel keeps for it."""
    with open("/proc/sys/fs/inotify/max_queued_events") as f:
        most = int(f.read())
    runner = subprocess.Popen(["deliver", "-q15m", "-C", box.path("conf")], executable=MTABOX)
    queue(box, "-odq")
    empty(box)
    names = [box.path("spool", n) for n in ("other.1", "other.2")]
    for name in names:
        os.close(os.open(name, os.O_CREAT | os.O_WRONLY))
    runner.send_signal(signal.SIGSTOP)
    for n in range(most + 2):
        os.utime(names[n % 2])
    queue(box, "-odq")
    runner.send_signal(signal.SIGCONT)
    until(lambda: not [n for n in box.names() if n[0] == "Q"], "an empty queue")
    runner.terminate()
    same("the runner", runner.wait(20), 0)


def sleeping(box):
    """The time limit in milliseconds of the poll that the runner is in, or None."""
    calls = read(box.path("calls"))
    first, last = calls.split(b" ", 1)[0], calls.rpartition(b"\n")[2]
    asleep = re.fullmatch(rb"(\d+) +poll\(.*, (\d+)", last)
    return asleep and asleep[1] == first and int(asleep[2])


def snapshot(box):
    found = {}
    for directory, _, names in os.walk(box.dir):
        for name in names:
            path = os.path.join(directory, name)
            if name != "calls":
                found[path] = os.stat(path)[:9]  # without the time of the last look
                found[path] = found[path][:7] + found[path][8:]
    return found


def stays(box):
    """A runner that stays, seen by strace, and in its sleep; how long that will be."""
    runner = subprocess.Popen(["strace", "-f", "-qq", "-s", "5000", "-o", box.path("calls"), MTABOX,
                               "deliver", "-q15m", "-C", box.path("conf")],
                              stderr=subprocess.DEVNULL)
    until(lambda: os.path.exists(box.path("calls")) and sleeping(box), "its sleep")
    return runner, sleeping(box)


def end(runner):
    with open(f"/proc/{runner.pid}/task/{runner.pid}/children") as f:
        os.kill(int(f.read()), signal.SIGTERM)
    same("the runner", runner.wait(20), 0)


def with_nothing(box):
    runner, wait = stays(box)
    same("it sleeps for an hour", wait, 3600 * 1000)
    end(runner)


def idle(box):
    """Held messages, one that cannot be read, one that cannot be opened, one that waits."""
    box.configure("retry_min 20m", defer=False)
    for _ in range(50):
        queue(box, "-odq")
    same("mailq -h", box.run("mailq", ["-h", "ALL"]).status, 0)
    os.mkdir(box.path("mail", "robot"))
    with open(box.path("aliases"), "w") as f:
        f.write(f"robot: {box.path('mail', 'robot')}\n")
    same("sendmail", box.sendmail(["-odq", "robot"], LETTER).status, 0)
    os.mkdir(box.path("spool", "Q0123456789abcdef"))
    with open(box.path("spool", "Q0123456789abcdeg"), "wb") as f:
        f.write(b"no message")
    runner, _ = stays(box)
    until(lambda: any(n[0] == "C" for n in box.names()) and (sleeping(box) or 0) > 600 * 1000,
          "a sleep until the next attempt")
    same("it sleeps until the next attempt", sleeping(box) <= 30 * 60 * 1000, True)
    before, seen = snapshot(box), len(read(box.path("calls")))
    # What happens there is none of its business, but for reading it.
    unrelated = box.path("spool", "unrelated")
    for n in range(20):
        with open(unrelated, "w"):
            pass
        os.chmod(unrelated, 0o600 + n % 2)
        os.rename(unrelated, unrelated + ".2")
        os.utime(box.path("spool", [name for name in box.names() if name[0] == "H"][n]), (n, n))
        os.unlink(unrelated + ".2")
    same("mailq", box.run("mailq", []).status, 0)
    with open(unrelated, "w") as f:
        os.fchmod(f.fileno(), 0o640)
    os.rename(unrelated, unrelated + ".end")
    until(lambda: b"unrelated.end" in read(box.path("calls"))[seen:] and sleeping(box), "its sleep")
    same("it sleeps until the next attempt", sleeping(box) > 600 * 1000, True)
    calls = read(box.path("calls"))[seen:]
    words = set(re.findall(rb"(?m)^\d+ +(\w+)\(", calls))
    harmless = {b"read", b"stat", b"lstat", b"fstat", b"newfstatat", b"madvise", b"poll",
                b"clock_gettime"}
    same("what it calls", words - harmless, set())
    same("sleeps", calls.count(b"poll(") <= 20 * 5 + 10, True)
    after = snapshot(box)
    for path in [p for p in after if "unrelated" in p or "/H" in p or "abcdef" in p]:
        before.pop(path, None), after.pop(path)
    same("files that have changed", sorted(p for p in before.keys() | after.keys()
                                           if before.get(p) != after.get(p)), [])
    end(runner)


def main():
    steps = int(sys.argv[1]) if len(sys.argv) > 1 else 25
    tap = Tap()
    if not shutil.which("strace"):
        print("1..0 # SKIP needs strace")
        return
    with Box() as box:
        box.configure(defer=False)
        tap.test(f"at {steps} moments of its end", at_its_end, box, steps)
        tap.test(f"at {steps} moments of its start", at_its_start, box, steps)
        tap.test("without inotify", without_inotify, box)
        tap.test("a directory that cannot be read at first", blind, box)
        tap.test("of a runner that is on its way out", deaf, box)
        tap.test("what was passed over", leftovers, box)
        tap.test("when inotify has lost events", overflow, box)
        tap.test("none with an empty queue", with_nothing, box)
        tap.test("none before something is due", idle, box)
    tap.end()


if __name__ == "__main__":
    main()
