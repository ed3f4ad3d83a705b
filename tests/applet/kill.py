# SPDX-License-Identifier: ISC
"""Ends mtabox at many moments, as kill -9 and power cuts do, and looks what became of the mail.

usage: kill.py MTABOX CONF MAILBOX USER WHO ROUNDS

In each round messages for USER are queued; the runner is started, and a little later WHO is
killed: "tree" all its processes, "runner" itself, "worker" one that delivers. Then a runner that
nobody disturbs must bring everything to the mailbox, once and whole, and leave an empty spool.
Prints what the kills have hit.
"""
import collections
import fcntl
import os
import re
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import mbox

PER_ROUND = 2
LINES = 1000  # of a message: more than one write to the spool and to the mailbox
mtabox, conf, mailbox, user, who, rounds = sys.argv[1:]
spool = re.search(r"(?m)^spooldir (\S+)", open(conf).read())[1]
sent = []      # numbers of the messages that are ours to deliver
tally = collections.Counter()


def text(number):
    return b"Subject: %d\n\n" % number + b"".join(
        b"From line %d of %d\n" % (n, number) for n in range(LINES))


def sendmail(number):
    command = [mtabox, "sendmail", "-C", conf, "-odq", "-i", user]
    return subprocess.run(command, input=text(number), stderr=subprocess.DEVNULL).returncode


def queue_some():
    for _ in range(PER_ROUND):
        sent.append(len(sent))
        if sendmail(sent[-1]) != 0:
            sys.exit("a message was not taken")


def in_spool():
    return sorted(name for name in os.listdir(spool) if name != "runner")


def deliver(defer="yes"):
    command = [mtabox, "deliver", "-C", conf, "-q", "-O", "defer=" + defer]
    return subprocess.Popen(command, stderr=subprocess.DEVNULL, start_new_session=True)


def children(pid):
    try:
        return [int(p) for p in open(f"/proc/{pid}/task/{pid}/children").read().split()]
    except OSError:
        return []


def kill(pid, group=False):
    try:
        (os.killpg if group else os.kill)(pid, signal.SIGKILL)
        return True
    except ProcessLookupError:
        return False


def wait_for_locks():
    """Killed processes take a while to end, and until then they have what they had locked."""
    for name in os.listdir(spool):
        with open(f"{spool}/{name}", "rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX)


def end_of(runner):
    """Its exit status; None if it does not end."""
    try:
        return runner.wait(60)
    except subprocess.TimeoutExpired:
        kill(runner.pid, group=True)
        return None


def number_of(content):
    """That of the message, checked to be whole."""
    number = int(re.search(rb"^Subject: (\d+)\n", content, re.M)[1])
    if not content.endswith(text(number)):
        sys.exit(f"message {number} is not whole: {content[:200]} ... {content[-200:]}")
    return number


def in_mailbox():
    found = []
    for message in mbox.messages(mailbox) if os.path.exists(mailbox) else ():
        # Where a fragment was, line feeds stay behind the message before it.
        content = mbox.content(message).rstrip(b"\n") + b"\n"
        found.append(number_of(content))
        if content != text(found[-1]):
            sys.exit(f"message {found[-1]} has more than was sent: {content[:200]}")
    return found


def check(round_name):
    status = end_of(deliver(defer="no"))
    if status != 0 or in_spool():
        sys.exit(f"{round_name}: status {status}, spool {in_spool()}")
    found = collections.Counter(in_mailbox())
    lost = [n for n in sent if n not in found]
    twice = [n for n in found if found[n] > 1]
    refused = [n for n in found if n not in sent]
    if lost or twice or refused:
        sys.exit(f"{round_name}: lost {lost}, twice {twice}, refused {refused}")
    if os.path.exists(mailbox):
        os.truncate(mailbox, 0)
    sent.clear()


def count_what_is_left():
    left = len(in_spool())
    tally["queued_" + ("all" if left == len(sent) else "some" if left else "none")] += 1


def play():
    queue_some()
    start = time.perf_counter()
    deliver().wait()
    whole_time = time.perf_counter() - start
    check("undisturbed")
    for n in range(int(rounds)):
        queue_some()
        moment = time.perf_counter() + 1.2 * whole_time * n / int(rounds)
        runner = deliver()
        while time.perf_counter() < moment:
            pass
        if who == "worker":
            victims = children(runner.pid)[:1]
            tally["hit"] += len(victims) and kill(victims[0])
            if end_of(runner) is None:
                sys.exit(f"round {n}: the runner does not end after its worker did")
        else:
            tally["hit"] += runner.poll() is None
            kill(runner.pid, group=who == "tree")
            runner.wait()
        wait_for_locks()
        count_what_is_left()
        check(f"round {n}, killed after {1.2 * whole_time * n / int(rounds) * 1000:.2f} ms")


play()
print(*(f"{name}={count}" for name, count in sorted(tally.items())))
