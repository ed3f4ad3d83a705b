# SPDX-License-Identifier: ISC
"""Ends mtabox at many moments, as kill -9 and power cuts do, and looks what became of the mail.

usage: kill.py MTABOX CONF MAILBOX USER timed WHO ROUNDS
           messages for USER are queued; the runner is started, and a little later in each round
           WHO is killed: "tree" all its processes, "runner" itself, "worker" one that delivers
       kill.py MTABOX CONF MAILBOX USER calls sendmail|runner|mailbox
           the same at each system call that changes something, one after the other (strace);
           mailbox: in workers, at those that have to do with the mailbox

After each round a runner that nobody disturbs must bring everything to the mailbox, once and
whole, and leave an empty spool. Prints what the kills have hit.
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
LINES = 600  # of a message: more than one write to the mailbox
CALLS = {
    "sendmail": "openat flock fchmod write pwrite64 fsync renameat2 close".split(),
    "runner": "flock write fsync fdatasync unlinkat ftruncate sendmsg fork clone".split(),
    "mailbox": "openat flock fchown write fsync ftruncate close unlink unlinkat".split(),
}

mtabox, conf, mailbox, user, how, *how_arguments = sys.argv[1:]
spool = re.search(r"(?m)^spooldir (\S+)", open(conf).read())[1]
log = re.search(r"(?m)^log_file (\S+)", open(conf).read())[1]
sent = []      # numbers of the messages that are ours to deliver
tally = collections.Counter()


def text(number):
    return b"Subject: %d\n\n" % number + b"".join(
        b"From line %d of %d\n" % (n, number) for n in range(LINES))


def sendmail(number, prefix=()):
    command = [*prefix, mtabox, "sendmail", "-C", conf, "-odq", "-i", user]
    return subprocess.run(command, input=text(number), stderr=subprocess.DEVNULL).returncode


def queue_some():
    for _ in range(PER_ROUND):
        sent.append(len(sent))
        if sendmail(sent[-1]) != 0:
            sys.exit("a message was not taken")


def in_spool():
    return sorted(name for name in os.listdir(spool) if name != "runner")


def deliver(prefix=(), defer="yes"):
    command = [*prefix, mtabox, "deliver", "-C", conf, "-q", "-O", "defer=" + defer]
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


def numbers():
    """The messages in the mailbox, checked to be whole."""
    found = []
    for message in mbox.messages(mailbox):
        # Where a fragment was, line feeds stay behind the message before it.
        content = mbox.content(message).rstrip(b"\n") + b"\n"
        number = int(re.match(rb"Subject: (\d+)\n", content)[1])
        if content != text(number):
            sys.exit(f"message {number} is not whole: {content[:200]} ... {content[-200:]}")
        found.append(number)
    return sorted(found)


def check(round_name):
    status = end_of(deliver(defer="no"))
    try:
        found = collections.Counter(numbers())
    except SystemExit as wrong:
        sys.exit(f"{round_name}: {wrong}")
    lost = [n for n in sent if n not in found]
    twice = [n for n in found if found[n] > 1]
    if status != 0 or lost or twice or in_spool():
        sys.exit(f"{round_name}: status {status}, lost {lost}, twice {twice}, spool {in_spool()}")
    os.truncate(mailbox, 0)
    sent.clear()


def count_what_is_left():
    left = len(in_spool())
    tally["queued_" + ("all" if left == len(sent) else "some" if left else "none")] += 1


def timed(who, rounds):
    open(mailbox, "ab").close()
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


def at_call(call, nth, program):
    paths = ["-P", mailbox, "-P", mailbox + ".lock"] if program == "mailbox" else []
    return ["strace", "-f", "-qqq", "-o", "/dev/null", *paths, "-e", f"trace=?{call}",
            "-e", f"inject=?{call}:signal=KILL:when={nth}"]


def submit_and_kill(call, nth):
    sent.append(0)
    status = sendmail(0, at_call(call, nth, "sendmail"))
    if status not in (0, -9, 137):
        sys.exit(f"{call} {nth}: exit status {status}")
    queued = [name for name in in_spool() if name[0] == "Q"]
    if status == 0 and not queued:
        sys.exit(f"{call} {nth}: exit 0, and nothing is queued")
    tally["queued"] += len(queued)
    if not queued:
        sent.clear()
    return status != 0


def deliver_and_kill(call, nth, program):
    queue_some()
    ended = end_of(deliver(at_call(call, nth, program)))
    died = open(log).read().count("a delivery process died")
    killed = ended != 0 or died > tally["died"]
    tally["died"] = died
    return killed


def calls(program):
    open(mailbox, "ab").close()
    for call in CALLS[program]:
        for nth in range(1, 100):
            if program == "sendmail":
                killed = submit_and_kill(call, nth)
            else:
                killed = deliver_and_kill(call, nth, program)
            wait_for_locks()
            check(f"killed at {call} {nth}")
            if not killed:
                break
            tally[call] += 1


dict(timed=timed, calls=calls)[how](*how_arguments)
print(*(f"{name}={count}" for name, count in sorted(tally.items())))
