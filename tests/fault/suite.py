#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""Every operation of mtabox, with every system call it makes going wrong in every way.

usage: suite.py [OPERATION...]    a selection, as TAP
       suite.py all [OPERATION...]
                                  each fault at each call; a table on standard output
       suite.py calls OPERATION   what is called, undisturbed
       suite.py one OPERATION FAULT DEPTH CALL N
                                  a single case, with its trace

inject.c makes one call of one run go wrong. Then comes a runner that nobody disturbs, and after
it everything must be in its place, whole and once: INJECT names the program (build/inject),
MTABOX the one under test. FAULT_SEED selects other calls. It needs root, for users of its own.
"""
import collections
import ctypes
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import multiprocessing

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, TOP + "/tests/applet")
import mbox

MTABOX = os.path.abspath(os.environ.get("MTABOX", TOP + "/build/mtabox"))
INJECT = os.path.abspath(os.environ.get("INJECT", TOP + "/build/inject"))
SECONDS = 25     # for a run; a retry is due after one
CALLS = 6000     # of a run: no operation needs a tenth of that
JOBS = 4 * (os.cpu_count() or 1)  # much of the time is waiting
SAMPLE = 60      # cases of an operation in a selection, besides the kills that matter most

KILLS = ("kill", "killone")

# What may become of a call, besides the kills. Those that only look have fewer ways.
FULL = ("EIO", "ENOSPC", "EDQUOT")
FAULTS = {
    "read": ("EIO", "EINTR", "short"), "pread64": ("EIO", "EINTR", "short"),
    "readv": ("EIO", "EINTR", "short"),
    "write": FULL + ("EINTR", "short"), "pwrite64": FULL + ("EINTR", "short"),
    "writev": FULL + ("EINTR", "short"),
    "open": ("EIO", "EMFILE", "ENOMEM", "EINTR"), "openat": ("EIO", "EMFILE", "ENOMEM", "EINTR"),
    "close": ("EIO", "EINTR", "ENOSPC"),
    "stat": ("EIO", "ENOMEM"), "lstat": ("EIO", "ENOMEM"), "fstat": ("EIO", "ENOMEM"),
    "newfstatat": ("EIO", "ENOMEM"), "fstatfs": ("EIO", "EINTR"), "statfs": ("EIO", "EINTR"),
    "poll": ("EINTR", "ENOMEM"), "ppoll": ("EINTR", "ENOMEM"),
    "mmap": ("ENOMEM",), "mremap": ("ENOMEM",), "brk": ("ENOMEM",),
    "nanosleep": ("EINTR",), "clock_nanosleep": ("EINTR",),
    "pipe": ("EMFILE", "ENFILE"), "pipe2": ("EMFILE", "ENFILE"),
    "dup": ("EMFILE",), "dup2": ("EMFILE", "EINTR"), "dup3": ("EMFILE",),
    "fcntl": ("EMFILE", "EINTR", "ENOLCK"), "flock": ("EINTR", "ENOLCK"),
    "fsync": FULL + ("EINTR",), "fdatasync": FULL + ("EINTR",),
    "ftruncate": ("EIO", "ENOSPC", "EINTR"), "fallocate": FULL,
    "getdents64": ("EIO", "ENOMEM"),
    "rename": FULL, "renameat": FULL, "renameat2": FULL + ("ENOSYS", "EINVAL"), "link": FULL,
    "linkat": FULL, "unlink": ("EIO", "ENOMEM", "EROFS"), "unlinkat": ("EIO", "ENOMEM", "EROFS"),
    "mkdir": FULL, "mkdirat": FULL, "rmdir": ("EIO",), "symlink": FULL,
    "chmod": ("EIO", "EPERM"), "fchmod": ("EIO", "EPERM"), "fchown": ("EIO", "EPERM", "EDQUOT"),
    "utimensat": ("EIO", "EACCES"), "chdir": ("EIO", "EACCES"),
    "socket": ("EMFILE", "ENOBUFS"), "socketpair": ("EMFILE", "ENOMEM"),
    "connect": ("EINTR", "ETIMEDOUT", "ECONNREFUSED"),
    "sendto": ("ECONNRESET", "EPIPE", "EINTR", "ENOBUFS", "short"),
    "recvfrom": ("ECONNRESET", "ETIMEDOUT", "EINTR", "short"),
    "sendmsg": ("EPIPE", "EINTR", "ENOBUFS", "EAGAIN", "short"),
    "recvmsg": ("ECONNRESET", "EINTR", "ENOMEM", "short"),
    "setsockopt": ("ENOBUFS",), "getsockopt": ("ENOBUFS",),
    "fork": ("EAGAIN", "ENOMEM"), "vfork": ("EAGAIN", "ENOMEM"), "clone": ("EAGAIN", "ENOMEM"),
    "execve": ("EIO", "ENOMEM"), "wait4": ("EINTR",), "setsid": ("EPERM",),
    "setgroups": ("EPERM",), "setresgid": ("EAGAIN",), "setresuid": ("EAGAIN",),
    "inotify_init1": ("EMFILE", "ENOSYS"), "inotify_add_watch": ("ENOSPC", "ENOMEM"),
    "signalfd4": ("EMFILE",), "memfd_create": ("EMFILE", "ENOMEM"),
    "getrandom": ("EINTR", "ENOSYS"),
}
# Before these something has changed, or will: here processes are killed. (Between two calls that
# only look, nothing differs.)
CHANGES = set("""write pwrite64 writev open openat close fcntl flock fsync fdatasync ftruncate
    rename renameat renameat2 link linkat unlink unlinkat mkdir mkdirat rmdir symlink fchmod
    fchown utimensat socketpair connect sendto recvfrom sendmsg recvmsg fork vfork clone execve
    wait4 pipe pipe2 inotify_add_watch exit_group read poll""".split())
LASTING = set("""write pwrite64 fsync fdatasync ftruncate renameat renameat2 unlink unlinkat
    mkdir mkdirat sendmsg sendto fork""".split())


class Wrong(Exception):
    """An invariant does not hold. Its first word is the column of the table."""


# --- a server -----------------------------------------------------------------------------------

class Server:
    """SMTP and LMTP. Who is called "no" is refused for good, "later" while it is busy, "full"
    and "slow" the same after the message, in LMTP."""

    def __init__(self):
        self.socket = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self.socket.getsockname()[1]
        self.reset()
        threading.Thread(target=self.accept, daemon=True).start()

    def reset(self):
        self.busy = True
        self.kept = []  # recipient, text

    def accept(self):
        while True:
            client, _ = self.socket.accept()
            threading.Thread(target=self.serve, args=(client,), daemon=True).start()

    def serve(self, client):
        try:
            with client, client.makefile("rwb") as stream:
                self.talk(stream, self.kept)
        except OSError:
            pass

    def verdict(self, rcpt, refused, busy):
        name = rcpt.split("@")[0].lstrip("<")
        if name == refused:
            return b"550 5.1.1 no such user"
        if name == busy and self.busy:
            return b"450 4.2.0 busy"
        return b"250 2.1.5 ok"

    def talk(self, stream, kept):
        def say(*lines):
            stream.write(b"".join(line + b"\r\n" for line in lines))
            stream.flush()
        say(b"220 mail.example ESMTP")
        lmtp, rcpts = False, []
        while line := stream.readline():
            verb = line.split()[0].upper() if line.split() else b""
            if verb in (b"EHLO", b"LHLO"):
                lmtp = verb == b"LHLO"
                say(b"250-mail.example", b"250-PIPELINING", b"250-8BITMIME", b"250 SIZE")
            elif verb == b"RCPT":
                rcpt = line[8:].split()[0].decode()
                answer = self.verdict(rcpt, "no", "later")
                rcpts += [rcpt] if answer[:1] == b"2" else []
                say(answer)
            elif verb == b"DATA" and not rcpts:
                say(b"554 5.5.1 no valid recipients")
            elif verb == b"DATA":
                say(b"354 go ahead")
                text = []
                while (line := stream.readline()) != b".\r\n":
                    if not line:
                        return
                    text.append(line[1:] if line.startswith(b".") else line)
                answers = [self.verdict(r, "full", "slow") if lmtp else b"250 2.0.0 ok"
                           for r in rcpts]
                whole = b"".join(text).replace(b"\r\n", b"\n")
                kept += [(r.strip("<>"), whole) for r, a in zip(rcpts, answers) if a[:1] == b"2"]
                say(*(answers if lmtp else answers[:1]))
                rcpts = []
            elif verb in (b"MAIL", b"RSET", b"NOOP"):
                rcpts = []
                say(b"250 2.0.0 ok")
            elif verb == b"QUIT":
                say(b"221 2.0.0 bye")
                return
            else:
                say(b"500 5.5.2 what?")


# --- messages -----------------------------------------------------------------------------------

def text_of(number, lines=3, to=""):
    return (to + f"Subject: message {number}\n\n" +
            "".join(f"From line {n} of message {number}\n.{n}\n" for n in range(lines))).encode()


LONG = 1200  # lines: several writes to the spool and to a mailbox

Message = collections.namedtuple("Message", "text places")


def message(number, places, lines=3, to=""):
    """PLACES: "mbox joe", "maildir joe", "file NAME", "command NAME", "server RCPT", "bounce RCPT",
    "held"."""
    return Message(text_of(number, lines, to), places)


# --- operations ---------------------------------------------------------------------------------

class Operation:
    """Queued: arguments and message of each that waits before the command runs. Takes: the command
    takes what it has on standard input (else all is queued before)."""

    def __init__(self, name, command, *, queued=(), input=b"", takes=(), conf="", aliases="",
                 forward=None, prepare=None, window=None, output=False, core=False, after=None):
        self.name, self.command, self.input = name, command, input
        self.queued, self.takes = queued, takes
        self.conf, self.aliases, self.forward = conf, aliases, forward
        self.prepare, self.window = prepare, window
        self.output, self.core, self.after = output, core, after


DELIVER = ["deliver", "-q", "-O", "defer=yes"]
RELAY = "smarthost smtp://127.0.0.1:{port}\n"
LMTP = "smarthost lmtp://127.0.0.1:{port}\n"
MAILDIR = "mailbox {S}/home/%u/Maildir/\n"
MANY = 'all: "|{inject} -k {S}/drop/kept", {S}/drop/file, :include:{S}/list, joe@localhost, \\bob\n'
EVERYWHERE = ["command kept", "file file", "mbox root", "mbox joe", "mbox bob"]
THREE = ["ok@far.example", "no@far.example", "later@far.example"]
MIXED = ["server ok@far.example", "bounce no@far.example", "server later@far.example"]
TO_CC = "To: joe@localhost\nCc: root@router.example\n"
FIVE = THREE + ["full@far.example", "slow@far.example"]


def too_old(box):
    """It has been tried, and is older than it may become: 1000 seconds, by both clocks."""
    os.mkdir(box.S + "/mail/joe")
    box.run(DELIVER)
    path = f"{box.S}/spool/{box.in_spool()[0]}"
    with open(path, "rb") as f:
        text = f.read()
    wall, boot = re.search(rb"(?m)^arrived (\d+) (\d+) ", text).groups()
    older = b"arrived %0*d %0*d " % (len(wall), int(wall) - 1000, len(boot), int(boot) - 1000000)
    with open(path, "wb") as f:
        f.write(text.replace(b"arrived %s %s " % (wall, boot), older))


def break_mailbox(box):
    os.mkdir(box.S + "/mail/joe")


def stale_draft(box):
    with open(box.S + "/spool/T01lg5000000000a0", "w") as f:
        f.write("mtabox 1 message")


BS = b"".join(
    b"MAIL FROM:<root>\r\nRCPT TO:<joe>\r\nDATA\r\n" +
    re.sub(rb"(?m)^\.", b"..", text_of(n, 400)).replace(b"\n", b"\r\n") + b".\r\n" for n in (1, 2))

OPERATIONS = [
    Operation("submit", ["sendmail", "-odq", "-i", "root", "joe"], core=True,
              input=text_of(1, LONG), takes=[message(1, ["mbox root", "mbox joe"], LONG)]),
    Operation("submit-first", ["sendmail", "-odq", "-i", "joe"],
              prepare=lambda box: os.rmdir(box.S + "/spool"),
              input=text_of(1), takes=[message(1, ["mbox joe"])]),
    Operation("submit-aliases", ["sendmail", "-odq", "-i", "all"], aliases=MANY,
              input=text_of(1), takes=[message(1, EVERYWHERE)]),
    Operation("submit-t", ["sendmail", "-odq", "-i", "-t"],
              input=b"Bcc: bob\n" + text_of(1, to=TO_CC),
              takes=[message(1, ["mbox joe", "mbox root", "mbox bob"], to=TO_CC)]),
    Operation("submit-bs", ["sendmail", "-bs", "-odq"], input=b"EHLO x\r\n" + BS + b"QUIT\r\n",
              takes=[message(1, ["mbox joe"], 400), message(2, ["mbox joe"], 400)]),
    Operation("mbox", DELIVER, core=True,
              queued=[(["joe"], message(1, ["mbox joe"], LONG))]),
    Operation("mbox-two", DELIVER,
              queued=[(["joe"], message(1, ["mbox joe"])), (["joe"], message(2, ["mbox joe"]))]),
    Operation("maildir", DELIVER, conf=MAILDIR,
              queued=[(["joe"], message(1, ["maildir joe"], LONG))]),
    Operation("command", DELIVER, aliases='all: "|{inject} -k {S}/drop/kept"\n', window="command",
              queued=[(["all"], message(1, ["command kept"], LONG))]),
    Operation("aliases", DELIVER, aliases=MANY, window="command",
              queued=[(["all"], message(1, EVERYWHERE))]),
    Operation("forward", DELIVER, conf="forward yes\n",
              forward="\\joe, bob@localhost\n{S}/home/joe/copy\n",
              queued=[(["joe"], message(1, ["mbox joe", "mbox bob", "home copy"]))]),
    Operation("relay", DELIVER, conf=RELAY, window="server",
              queued=[(["ok@far.example", "two@far.example"],
                       message(1, ["server ok@far.example", "server two@far.example"], LONG))]),
    Operation("relay-two", DELIVER, conf=RELAY, window="server",
              queued=[(["ok@far.example"], message(1, ["server ok@far.example"])),
                      (["two@far.example"], message(2, ["server two@far.example"]))]),
    Operation("relay-mixed", DELIVER, conf=RELAY, window="server", core=True,
              queued=[(THREE, message(1, MIXED))]),
    Operation("lmtp-mixed", DELIVER, conf=LMTP, window="server",
              queued=[(FIVE, message(1, MIXED + ["bounce full@far.example",
                                                  "server slow@far.example"]))]),
    Operation("bounce", DELIVER, core=True,
              queued=[(["-oem", "ghost"], message(1, ["bounce ghost@router.example"]))]),
    Operation("bounce-full", DELIVER, conf="fullbounce yes\n",
              queued=[(["-oem", "ghost", "joe"],
                       message(1, ["fullbounce ghost@router.example", "mbox joe"], 300))]),
    Operation("double-bounce", DELIVER,
              queued=[(["-f", "gone@router.example", "-oem", "ghost"], message(1, ["held"]))],
              conf="postmaster nobody-at-all\n"),
    Operation("expiry", DELIVER, conf="queue_lifetime 10m\n", prepare=too_old,
              queued=[(["joe"], message(1, ["bounce joe@router.example"]))]),
    Operation("start", ["sendmail", "-i", "joe"], conf="retry_min 1s\n", core=True,
              input=text_of(1), takes=[message(1, ["mbox joe"])]),
    Operation("wake", ["sendmail", "-q"], conf="retry_min 1s\n",
              queued=[(["joe"], message(1, ["mbox joe"]))]),
    Operation("sweep", DELIVER, prepare=stale_draft,
              queued=[(["joe"], message(1, ["mbox joe"]))]),
    Operation("mailq", ["mailq"], output=True,
              queued=[(["joe"], message(1, ["mbox joe"])),
                      (["ghost", "-oem"], message(2, ["bounce ghost@router.example"]))]),
    Operation("newaliases", ["newaliases"], output=True,
              aliases="all: joe, bob\nmore: all, root\n", queued=[]),
    Operation("hold", ["mailq", "-h", "ALL"], after="H",
              queued=[(["joe"], message(1, ["mbox joe"]))]),
    Operation("delete", ["mailq", "-d", "ALL"], after="",
              queued=[(["joe"], message(1, ["mbox joe"]))]),
]
BY_NAME = {o.name: o for o in OPERATIONS}


# --- where it plays -----------------------------------------------------------------------------

class Box:
    """Scratch directory and users of one process, which nobody else sees: it is in memory, in a
    mount namespace of our own, and goes with us."""

    def __init__(self, directory):
        self.S = directory
        libc = ctypes.CDLL(None, use_errno=True)

        def mount(source, target, kind, flags):
            if libc.mount(source.encode(), target.encode(), kind.encode(), flags, None):
                raise OSError(ctypes.get_errno(), "mount")
        if libc.unshare(0x00020000):  # CLONE_NEWNS
            raise OSError(ctypes.get_errno(), "unshare")
        mount("none", "/", "none", 0x4000 | 0x40000)  # MS_REC, MS_PRIVATE
        mount("tmpfs", directory, "tmpfs", 0)
        with open(directory + "/passwd", "w") as f:
            f.write("root:x:0:0::/root:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n"
                    f"joe:x:7001:7001::{directory}/home/joe:/bin/sh\n"
                    f"bob:x:7002:7002::{directory}/home/bob:/bin/sh\n")
        mount(directory + "/passwd", "/etc/passwd", "none", 0x1000)  # MS_BIND
        os.chmod(directory, 0o755)
        shutil.copy(INJECT, directory + "/inject")
        os.chmod(directory + "/inject", 0o755)
        self.server = Server()
        self.template = {}

    def close(self):
        ctypes.CDLL(None).umount2(self.S.encode(), 2)  # MNT_DETACH
        os.rmdir(self.S)

    def write(self, name, text):
        with open(f"{self.S}/{name}", "w") as f:
            f.write(text.format(S=self.S, port=self.server.port, inject=self.S + "/inject"))

    def clear(self, operation):
        """As before the operation, but for what is queued."""
        for name in "spool", "mail", "home", "drop":
            shutil.rmtree(f"{self.S}/{name}", ignore_errors=True)
        for name, mode in ("spool", 0o700), ("mail", 0o1777), ("home", 0o755), ("drop", 0o1777):
            os.mkdir(f"{self.S}/{name}")
            os.chmod(f"{self.S}/{name}", mode)
        for name, uid in ("joe", 7001), ("bob", 7002):
            os.mkdir(f"{self.S}/home/{name}", 0o755)
            os.chown(f"{self.S}/home/{name}", uid, uid)
        self.write("conf", "spooldir {S}/spool\nmailbox {S}/mail/%u\naliases {S}/aliases\n"
                   "log_file {S}/log\nmailname router.example\nworkers 1\n"
                   "connect_timeout 5\ncommand_timeout 5\n" + operation.conf)
        self.write("aliases", operation.aliases)
        self.write("list", "root@localhost\n")
        if operation.forward:
            self.write("home/joe/.forward", operation.forward)
            os.chown(self.S + "/home/joe/.forward", 7001, 7001)
        with open(self.S + "/log", "w"):
            pass
        self.server.reset()

    def fresh(self, operation):
        self.clear(operation)
        if operation.name not in self.template:
            for arguments, queued in operation.queued:
                self.run(["sendmail", "-odq", "-i", *arguments], queued.text, check=True)
            if operation.prepare is too_old:
                too_old(self)
            files = {}
            for name in os.listdir(self.S + "/spool"):
                with open(f"{self.S}/spool/{name}", "rb") as f:
                    files[name] = f.read()
            self.template[operation.name] = files
            self.clear(operation)
        for name, data in self.template[operation.name].items():
            with open(f"{self.S}/spool/{name}", "wb") as f:
                f.write(data)
            os.chmod(f"{self.S}/spool/{name}", 0o600)
        if operation.prepare:
            (break_mailbox if operation.prepare is too_old else operation.prepare)(self)

    def command(self, words):
        words = [w for word in words for w in (self.ids() if word == "ALL" else [word])]
        return [MTABOX, words[0], "-C", self.S + "/conf", *words[1:]]

    def log(self):
        with open(self.S + "/log") as f:
            return f.read()[-2000:]

    def locks(self):
        return [(where, name[:-5]) for where in ("mail", "drop", "home/joe")
                for name in os.listdir(f"{self.S}/{where}") if name.endswith(".lock")]

    def ids(self):
        return [name[1:] for name in self.in_spool()]

    def run(self, words, text=b"", check=False, seconds=SECONDS):
        done = subprocess.run(self.command(words), input=text, cwd=self.S, timeout=seconds,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        if check and done.returncode:
            raise Wrong(f"broken {words}: {done.returncode} {done.stderr.decode()}")
        return done

    def inject(self, operation, fault=()):
        """The operation's command, with the fault: status, what it said, its trace."""
        trace = self.S + "/trace"
        with open(self.S + "/in", "wb") as f:
            f.write(operation.input)
        with open(self.S + "/in", "rb") as stdin, open(self.S + "/out", "wb") as out:
            done = subprocess.run(
                [self.S + "/inject", "-o", trace, "-t", str(SECONDS), "-m", str(CALLS), *fault,
                 *self.command(operation.command)], stdin=stdin, stdout=out, cwd=self.S,
                stderr=subprocess.PIPE, timeout=2 * SECONDS, start_new_session=True)
        with open(self.S + "/out", "rb") as f:
            said = f.read()
        with open(trace, errors="replace") as f:
            lines = f.read().split("\n")[:-1]
        return done.returncode, said, lines, done.stderr.decode(errors="replace")

    def in_spool(self):
        try:
            return sorted(n for n in os.listdir(self.S + "/spool") if n != "runner")
        except FileNotFoundError:
            return []

    # What is in the places.

    def mboxes(self):
        """Of each mailbox what was sent, and bounces as they are."""
        found, bounces = collections.defaultdict(list), []
        for where in "mail", "drop", "home/joe":
            for name in os.listdir(f"{self.S}/{where}"):
                path = f"{self.S}/{where}/{name}"
                if name in ("Maildir", ".forward", "kept") or os.path.isdir(path):
                    continue
                kind = {"mail": "mbox", "drop": "file", "home/joe": "home"}[where]
                self.read_mbox(path, found[f"{kind} {name}"], bounces)
        return found, bounces

    def read_mbox(self, path, found, bounces):
        try:
            for text in mbox.messages(path):
                if b"\nContent-Type: multipart/report" in text:
                    bounces.append(text)
                else:
                    # Where a fragment was, line feeds stay behind the message before it.
                    found.append(mbox.content(text).rstrip(b"\n") + b"\n")
        except SystemExit as wrong:
            raise Wrong(f"half {path}: {wrong}") from None

    def maildirs(self, found):
        for user in "joe", "bob":
            path = f"{self.S}/home/{user}/Maildir"
            if not os.path.isdir(path):
                continue
            if os.path.isdir(path + "/tmp") and os.listdir(path + "/tmp"):
                raise Wrong(f"orphan {os.listdir(path + '/tmp')}")
            for name in os.listdir(path + "/new") if os.path.isdir(path + "/new") else ():
                with open(f"{path}/new/{name}", "rb") as f:
                    found[f"maildir {user}"].append(f.read())

    def commands(self, found):
        path = self.S + "/drop/kept"
        if not os.path.exists(path):
            return
        with open(path, "rb") as f:
            while head := f.read(12):
                found["command kept"].append(f.read(int(head[5:11])))

    def everything(self):
        found, bounces = self.mboxes()
        self.maildirs(found)
        self.commands(found)
        for rcpt, text in list(self.server.kept):
            found[f"server {rcpt}"].append(text)
        return found, bounces


# --- invariants ---------------------------------------------------------------------------------

def parse(line):
    number, depth, name, nth, hit, *about = line.split(" ")
    return int(number), int(depth), name, int(nth), hit == "!", about


def hit_of(trace):
    for n, line in enumerate(trace):
        if " ! " in line or line.endswith(" !"):
            return n
    return None


def was_in_window(operation, status, trace):
    """Was it between a server's 2xx, or a command's end, and our record? Of errors only those that
    keep the runner from hearing of it, or end it."""
    hit = hit_of(trace)
    if hit is None or not operation.window:
        return False
    begin = " dot" if operation.window == "server" else " pipe:"
    # While a killed runner's workers hear of it, they go on.
    until = len(trace) if status == 137 else hit + 1
    if not any(begin in line for line in trace[:until] if " write " in line):
        return False
    depth, name = parse(trace[hit])[1:3]
    return status != 0 or depth > 0 or name == "recvmsg"


def pending(box):
    """Whom the queue has still to serve."""
    listed = box.run(["mailq", "-j"], check=True).stdout
    return {r["address"] for line in listed.splitlines() for r in json.loads(line)["recipients"]}


def expect_message(m, committed, found, bounces, box, twice):
    """Takes what is there out of found; complains of what is not."""
    for place in m.places:
        kind, _, name = place.partition(" ")
        if kind in ("bounce", "fullbounce"):
            count = sum(has_report(b, name, m, kind) for b in bounces)
        elif kind == "held":
            count = sum(n[0] == "H" and text_in(f"{box.S}/spool/{n}", m.text)
                        for n in box.in_spool())
        else:
            mine = [t for t in found[place] if t.endswith(m.text)]
            count = len(mine)
            for t in mine:
                found[place].remove(t)
        if count == 0 and committed == "yes":
            raise Wrong(f"lost {place}")
        if count > 0 and committed == "no":
            raise Wrong(f"refused, but there: {place}")
        if count > 1 and not (count == 2 and (name in twice or kind == "command" and twice)):
            raise Wrong(f"twice {place}: {count}")
        if committed == "maybe":
            committed = "yes" if count else "no"
    return committed


def text_in(path, text):
    with open(path, "rb") as f:
        return text in f.read()


def has_report(bounce, rcpt, m, kind):
    """How often this bounce reports that recipient; it is checked to be whole."""
    boundary = re.search(rb'boundary="?([^"\n;]+)', bounce)[1]
    if not bounce.rstrip(b"\n").endswith(b"--" + boundary + b"--"):
        raise Wrong("half a bounce")
    subject = m.text.split(b"\n\n")[0].split(b"\n")[-1]
    # Where the message could not be read, its header is not in it.
    if subject not in bounce and b"\nSubject: message" in bounce:
        return 0
    if kind == "fullbounce" and m.text not in re.sub(rb"(?m)^>(>*From )", rb"\1", bounce):
        raise Wrong("half the message in a bounce")
    return bounce.count(b"Final-Recipient: rfc822; " + rcpt.encode() + b"\n")


def check_spool(box, clean):
    for name in box.in_spool():
        if not re.fullmatch("[TQH][0-9a-v]{16}", name):
            raise Wrong(f"damaged {name} in the spool")
    if not clean and any(n[0] == "Q" for n in box.in_spool()):
        listed = box.run(["mailq"])
        if listed.returncode or b"unreadable" in listed.stdout or b"cannot" in listed.stderr:
            raise Wrong(f"damaged {listed.stdout.decode()} {listed.stderr.decode()}")


def was_committed(operation, status, said, trace):
    """Of each message that the command takes: "yes", "no", "maybe"."""
    count = len(operation.takes)
    killed = status == 137
    if operation.name == "submit-bs":
        answers = re.findall(rb"(?m)^354.*\r\n(?:(\d).*\r\n)?", said)
        if len(answers) < count and not killed:
            return ["maybe"] * count
        known = [{b"2": "yes", b"": "maybe"}.get(a, "no") for a in answers]
        return known + ["no"] * (count - len(known))
    if not killed:
        return ["no" if status else "yes"] * count
    renamed = [line for line in trace if line.split(" ")[1:3] == ["0", "renameat2"]]
    return ["yes" if renamed and " ! " not in renamed[0] else "no"] * count


def settle(box):
    """A runner that nobody disturbs, until there is nothing to do."""
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        box.run(DELIVER, check=True)
        if not any(n[0] in "QT" for n in box.in_spool()):
            return
        time.sleep(0.05)  # another runner is at work
    raise Wrong(f"stays {box.in_spool()}: {box.log()}")


AGAIN = text_of(99)


def clean_up(box, operation):
    box.server.busy = False
    for name in box.in_spool():
        if name[0] == "H" and operation.after is not None:
            box.run(["mailq", "-H", name[1:]], check=True)
    settle(box)
    locks = box.locks()
    if locks:
        # A .lock of who was killed with it stops nobody: it goes with the next message.
        to = [name for place, name in locks if place == "mail"]
        to += ["all" if place == "drop" else "joe" for place, _ in locks if place != "mail"]
        box.run(["sendmail", "-odq", "-i", *to], AGAIN, check=True)
        settle(box)
    if box.locks():
        raise Wrong(f"orphan {box.locks()}")


def check_case(box, operation, status, said, trace, undisturbed=None):
    if "hang" in trace or "spin" in trace:
        raise Wrong("hang" if "hang" in trace else "spin")
    if status in (132, 134, 135, 136, 139):
        raise Wrong(f"crash {status}")
    check_spool(box, False)
    if operation.output and status == 0 and undisturbed not in (None, said) and \
            b"cannot be read" not in said:
        raise Wrong(f"damaged output: {said.decode()}")
    left = "".join(n[0] for n in box.in_spool())
    if operation.after is not None and status == 0 and left != operation.after:
        raise Wrong(f"damaged: done, but {left}")
    twice = pending(box) if was_in_window(operation, status, trace) else set()
    clean_up(box, operation)
    found, bounces = box.everything()
    committed = was_committed(operation, status, said, trace) if operation.takes else []
    for m, c in zip(operation.takes, committed):
        expect_message(m, c, found, bounces, box, twice)
    for _, m in operation.queued:
        gone = operation.after == "" and not left
        expect_message(m, "no" if gone else "yes", found, bounces, box, twice)
    found = {p: [t for t in texts if not t.endswith(AGAIN)] for p, texts in found.items()}
    more = {place: texts for place, texts in found.items() if texts}
    if more:
        raise Wrong(f"half {[(p, len(t), t[0][:200], t[0][-100:]) for p, t in more.items()]}")
    check_spool(box, True)


# --- cases --------------------------------------------------------------------------------------

Case = collections.namedtuple("Case", "operation fault depth call nth")


def sites(trace):
    """Depth, name and number of each call, but for what concerns our own log alone."""
    for line in trace:
        if line.startswith("exit"):
            continue
        _, depth, name, nth, _, _ = parse(line)
        yield depth, name, nth


def cases_of(operation, trace):
    for depth, name, nth in sites(trace):
        kills = KILLS if name in CHANGES or name == "exit_group" else ()
        for fault in kills + FAULTS.get(name, ()):
            yield Case(operation.name, fault, depth, name, nth)


def run_case(box, case, undisturbed):
    """"" if all is as it should be, "-" if the call was not made, or what is wrong; the trace."""
    operation = BY_NAME[case.operation]
    fault = ["-f", case.fault, "-d", str(case.depth), "-c", case.call, "-n", str(case.nth)]
    trace = []
    try:
        box.fresh(operation)
        status, said, trace, _ = box.inject(operation, fault)
        check_case(box, operation, status, said, trace, undisturbed)
        return "" if hit_of(trace) is not None else "-", trace
    except Wrong as wrong:
        return str(wrong), trace
    except subprocess.TimeoutExpired as e:
        return f"hang {e}", trace
    except Exception as e:  # ours; the others still count
        return f"broken {e!r}", trace


def undisturbed(box, operation):
    """Its trace and what it says. It must be right itself."""
    box.fresh(operation)
    status, said, trace, err = box.inject(operation)
    if status:
        raise Wrong(f"broken {operation.name}: status {status} {err}")
    check_case(box, operation, status, said, trace)
    return trace, said


def choose(operation, cases, seed):
    """Kills at each call that changes what is on disk or what another process knows. Besides, of
    those that matter most, all kills of everything and one error at each call; of others some."""
    order = random.Random(f"{seed} {operation.name}")
    chosen = [c for c in cases if c.fault in KILLS and c.call in LASTING]
    rest = [c for c in cases if c not in set(chosen)]
    if not operation.core:
        return chosen + order.sample(rest, min(len(rest), SAMPLE))
    errors = collections.defaultdict(list)
    for c in rest:
        if c.fault not in KILLS:
            errors[c.depth, c.call, c.nth].append(c)
    return (chosen + [c for c in rest if c.fault == "kill"] +
            [order.choice(faults) for faults in errors.values()])


def work(directory, jobs, results, whole, seed):
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # goes with the suite
    os.mkdir(directory)
    box = Box(directory)
    said = {}
    while (job := jobs.get()) is not None:
        kind, what = job
        if kind == "list":
            operation = BY_NAME[what]
            try:
                trace, said[what] = undisturbed(box, operation)
                again, _ = undisturbed(box, operation)
                cases = [*cases_of(operation, trace), *cases_of(operation, again)]
                cases = list(dict.fromkeys(cases))
                results.put(("list", what, cases if whole else choose(operation, cases, seed)))
            except (Wrong, subprocess.TimeoutExpired) as wrong:
                results.put(("broken", what, str(wrong)))
            continue
        operation = BY_NAME[what.operation]
        if what.operation not in said:
            try:
                said[what.operation] = undisturbed(box, operation)[1]
            except (Wrong, subprocess.TimeoutExpired) as wrong:
                results.put(("case", what, f"broken {wrong}"))
                continue
        result, trace = run_case(box, what, said[what.operation])
        results.put(("case", what, result))


def play(names, whole, seed):
    """(operation, [(case, result)]) of each, in the order in which they are over."""
    top = tempfile.mkdtemp(prefix="mtabox-fault.")
    os.chmod(top, 0o755)
    jobs, results = multiprocessing.Queue(), multiprocessing.Queue()
    workers = [multiprocessing.Process(target=work, daemon=True,
                                       args=(f"{top}/{n}", jobs, results, whole, seed))
               for n in range(JOBS)]
    for w in workers:
        w.start()
    try:
        waiting, open_cases, done = set(names), {}, {name: [] for name in names}
        for name in names:
            jobs.put(("list", name))
        while waiting:
            kind, what, value = results.get(timeout=300)
            name = what.operation if kind == "case" else what
            if kind == "list":
                open_cases[name] = len(value)
                for case in value:
                    jobs.put(("case", case))
            elif kind == "broken":
                open_cases[name] = 0
                done[name].append((Case(name, "none", 0, "-", 0), value))
            else:
                open_cases[name] -= 1
                done[name].append((what, value))
            if open_cases.get(name) == 0 and name in waiting:
                waiting.remove(name)
                yield name, done[name]
    finally:
        for _ in workers:
            jobs.put(None)
        for w in workers:
            w.join(5)
            if w.is_alive():
                w.kill()
                w.join()
        shutil.rmtree(top, ignore_errors=True)


# --- what it says -------------------------------------------------------------------------------

COLUMNS = ("kill", "killone", "EIO", "ENOSPC", "EDQUOT", "EMFILE", "ENOMEM", "EINTR", "short",
           "other")
WRONGS = ("lost", "twice", "damaged", "half", "orphan", "hang")


def kind_of(result):
    word = result.split(" ")[0].rstrip(",:")
    return {"refused": "twice", "spin": "hang", "stays": "hang", "crash": "hang",
            "broken": "damaged"}.get(word, word)


def table(played):
    print("# Every fault at every system call\n\nBy `make fault`: how often each fault was made "
          "to happen, and what became of it.\n`kill`: of all processes; `killone`: of the one that "
          "calls. What is lost, there twice\nwithout need, damaged, there by half, left behind or "
          "without end is a defect.\n")
    print("| operation | " + " | ".join(COLUMNS) + " | " + " | ".join(WRONGS) + " |")
    print("|---" * (1 + len(COLUMNS) + len(WRONGS)) + "|")
    total = collections.Counter()
    for name in [o.name for o in OPERATIONS if o.name in played]:
        count = collections.Counter()
        for case, result in played[name]:
            if result != "-":
                count[case.fault if case.fault in COLUMNS else "other"] += 1
            if result not in ("", "-"):
                count[kind_of(result)] += 1
        total += count
        print(f"| {name} | " + " | ".join(str(count[c]) for c in COLUMNS + WRONGS) + " |")
    print("| **all** | " + " | ".join(str(total[c]) for c in COLUMNS + WRONGS) + " |")


def describe(case, result):
    return f"{case.operation} {case.fault} {case.depth} {case.call} {case.nth}: {result}"


def enclose():
    """Processes that are made to go wrong, as root, are in a world of their own: they can reach
    nobody else's, and none of them outlives us."""
    if os.environ.get("FAULT_ENCLOSED") != "1":
        os.environ["FAULT_ENCLOSED"] = "1"
        os.execvp("unshare", ["unshare", "-m", "-p", "-f", "--mount-proc", "--kill-child",
                              sys.executable, "-sSB", *sys.argv])
    # As the first process of that world we are deaf to what we do not ask for.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))


def main(arguments):
    if os.geteuid() != 0 or os.uname().machine != "x86_64":
        print("1..0 # skip needs root, and x86-64")
        return 0
    enclose()
    if arguments[:1] in (["calls"], ["one"]):
        top = tempfile.mkdtemp(prefix="mtabox-fault.")
        os.chmod(top, 0o755)
        box = Box(top)
        operation = BY_NAME[arguments[1]]
        try:
            trace, said = undisturbed(box, operation)
            result = ""
            if arguments[0] == "one":
                fault, depth, call, nth = arguments[2:]
                case = Case(operation.name, fault, int(depth), call, int(nth))
                result, trace = run_case(box, case, said)
                print(open(box.S + "/log").read(), end="")
            print(*trace, result, sep="\n")
        except Wrong as wrong:
            print(wrong, open(box.S + "/log").read())
            subprocess.run(["find", box.S, "-ls"])
        box.close()
        return 0
    whole = arguments[:1] == ["all"]
    names = arguments[whole:] or [o.name for o in OPERATIONS]
    seed = os.environ.get("FAULT_SEED", "1")
    with open("/proc/uptime") as f:
        if float(f.read().split()[0]) < 3700 and "expiry" in names:
            names.remove("expiry")  # a device that is up for less than an hour bounces nothing
    print(f"# seed {seed}", file=sys.stderr if whole else sys.stdout)
    if not whole:
        print(f"1..{len(names)}", flush=True)
    played, failed = {}, False
    start = time.monotonic()
    for number, (name, results) in enumerate(play(names, whole, seed), 1):
        played[name] = results
        wrong = [describe(c, r) for c, r in results if r not in ("", "-")]
        failed = failed or bool(wrong)
        hit = sum(r != "-" for _, r in results)
        bad = bool(wrong) or hit == 0
        line = f"{'not ok' if bad else 'ok'} {number} - {name}: {hit} faults"
        print(line, *("# " + w.replace("\n", "\n# ") for w in wrong), sep="\n",
              file=sys.stderr if whole else sys.stdout, flush=True)
    print(f"# {time.monotonic() - start:.0f} s", file=sys.stderr if whole else sys.stdout)
    if whole:
        table(played)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
