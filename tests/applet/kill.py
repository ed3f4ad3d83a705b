# SPDX-License-Identifier: ISC
"""Ends mtabox at many moments, as kill -9 and power cuts do, and looks what became of the mail.

usage: kill.py MTABOX CONF PLACES USER timed WHO ROUNDS
           messages for USER are queued; the runner is started, and a little later in each round
           WHO is killed: "tree" all its processes, "runner" itself, "worker" one that delivers
       kill.py MTABOX CONF PLACES USER calls sendmail|runner|places
           the same at each system call that changes something, one after the other (strace);
           places: in workers and their commands, at those that have to do with the places

PLACES, with commas between them, are where mail for USER goes: an mbox file; a Maildir, with a
'/' at its end; with a '|' before it, a file to which a command appends its standard input.

After each round a runner that nobody disturbs must bring everything to all places, once and
whole, and leave an empty spool. A command is run again where its end was not recorded: its
file has each message whole at least once, and may have more. Prints what the kills have hit.
"""
import collections
import fcntl
import os
import re
import shutil
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import mbox

PER_ROUND = 2
LINES = 1000  # of a message: more than one write to the spool and to the mailbox
CALLS = {
    "sendmail": "openat flock fchmod write pwrite64 fsync renameat2 close".split(),
    "runner": "flock write fsync fdatasync unlinkat ftruncate sendmsg fork clone".split(),
    "places": "openat mkdirat flock fchown write fsync ftruncate renameat2 close unlink unlinkat".split(),
}

mtabox, conf, places, user, how, *how_arguments = sys.argv[1:]
places = places.split(",")
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


def number_of(content):
    """That of the message, checked to be whole."""
    number = int(re.search(rb"^Subject: (\d+)\n", content, re.M)[1])
    if not content.endswith(text(number)):
        sys.exit(f"message {number} is not whole: {content[:200]} ... {content[-200:]}")
    return number


def in_mbox(path):
    found = []
    for message in mbox.messages(path):
        # Where a fragment was, line feeds stay behind the message before it.
        content = mbox.content(message).rstrip(b"\n") + b"\n"
        found.append(number_of(content))
        if content != text(found[-1]):
            sys.exit(f"message {found[-1]} has more than was sent: {content[:200]}")
    return found


def in_maildir(path):
    left = os.listdir(path + "tmp") + os.listdir(path + "cur")
    if left:
        sys.exit(f"left in {path}: {left}")
    return [number_of(open(path + "new/" + name, "rb").read()) for name in os.listdir(path + "new")]


def in_appended(path):
    """As many as are there whole; but once each."""
    content = open(path, "rb").read()
    return [number for number in set(sent) if text(number) in content]


def numbers(place):
    path = place.lstrip("|")
    look = in_appended if place[0] == "|" else in_maildir if place[-1] == "/" else in_mbox
    return look(path) if os.path.exists(path) else []


def clear(place):
    path = place.lstrip("|")
    if place[-1] == "/":
        shutil.rmtree(path, ignore_errors=True)
    elif os.path.exists(path):
        os.truncate(path, 0)


def watched(place):
    """The paths of a place, those in a Maildir for what is queued."""
    path = place.lstrip("|")
    if place[-1] != "/":
        return [path, path + ".lock"]
    paths = [path[:-1], path + "tmp", path + "new", path + "cur"]
    for name in in_spool():
        arrived = re.search(rb"(?m)^arrived (\d+)", open(f"{spool}/{name}", "rb").read())[1].decode()
        for sub in "tmp", "new":
            paths += [f"{path}{sub}/{arrived}.{name[1:]}R{n}.router.example" for n in range(4)]
    return paths


def check(round_name):
    status = end_of(deliver(defer="no"))
    if status != 0 or in_spool():
        sys.exit(f"{round_name}: status {status}, spool {in_spool()}")
    for place in places:
        try:
            found = collections.Counter(numbers(place))
        except SystemExit as wrong:
            sys.exit(f"{round_name}: {place}: {wrong}")
        lost = [n for n in sent if n not in found]
        twice = [n for n in found if found[n] > 1]
        refused = [n for n in found if n not in sent]
        if lost or twice or refused:
            sys.exit(f"{round_name}: {place}: lost {lost}, twice {twice}, refused {refused}")
        clear(place)
    sent.clear()


def count_what_is_left():
    left = len(in_spool())
    tally["queued_" + ("all" if left == len(sent) else "some" if left else "none")] += 1


def timed(who, rounds):
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
    watch = [path for place in places for path in watched(place)] if program == "places" else []
    paths = [word for path in watch for word in ("-P", path)]
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
