#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""Every operation of mtabox, with every system call it makes going wrong in every way.

usage: suite.py [OPERATION...]    a selection, as TAP
       suite.py all [OPERATION...]
                                  each fault at each call; a table on standard output
       suite.py calls OPERATION   what is called, undisturbed
       suite.py one OPERATION FAULT DEPTH CALL N [FAULT DEPTH CALL N]
                                  a single case, with its trace

inject.c makes one call of one run go wrong, or two, or the disk from one on. What there is at
that moment must be whole and nothing lost. Then comes a runner that nobody disturbs, and after it
everything must be in its place, whole and once: INJECT names the program (build/inject),
MTABOX the one under test. FAULT_SEED selects other calls. It needs root, for users of its own.
"""
import base64
import collections
import ctypes
import hashlib
import itertools
import json
import os
import random
import re
import shutil
import signal
import socket
import ssl
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
JOBS = 6 * (os.cpu_count() or 1)  # much of the time is waiting
# Cases of an operation in a selection besides the kills that matter most, and in the table.
SAMPLE = {"one": 24, "disk": 2, "two": 8}
WHOLE = {"disk": 20, "two": 40}

KILLS = ("kill", "killone")
DISK = ("full", "dead")  # from that call on, for a second

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

PASSWORD = b"Waldmeister"


def make_certificate(path):
    """Key and certificate in one file; its fingerprint."""
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=mail.example", "-days", "99",
                    "-keyout", path, "-out", path + ".pem"], check=True,
                   stderr=subprocess.DEVNULL)
    with open(path + ".pem") as pem, open(path, "a") as both:
        text = pem.read()
        both.write(text)
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(text)).hexdigest()


class Server:
    """SMTP and LMTP. Who is called "no" is refused for good, "later" while it is busy, "full"
    and "slow" the same after the message, in LMTP. With STARTTLS nobody gets in without our
    password."""

    def __init__(self, certificate):
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.tls.load_cert_chain(certificate)
        self.socket = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self.socket.getsockname()[1]
        self.threads = []
        self.reset()
        threading.Thread(target=self.accept, daemon=True).start()

    def reset(self):
        self.busy = True
        self.starttls = False
        self.first = True  # connections are of the run that is disturbed
        self.kept = []  # recipient, text
        self.early = set()  # recipients in that run

    def accept(self):
        while True:
            client, _ = self.socket.accept()
            thread = threading.Thread(target=self.serve, args=(client,), daemon=True)
            thread.start()
            self.threads.append(thread)

    def settle(self):
        """Our clients have ended: until all has been heard that they sent."""
        while self.threads:
            self.threads.pop().join(SECONDS)
        self.first = False

    def serve(self, client):
        try:
            with client, client.makefile("rwb") as stream:
                if self.talk(stream, self.kept, self.early if self.first else set()):
                    with self.tls.wrap_socket(client, server_side=True) as secure:
                        with secure.makefile("rwb") as stream:
                            self.talk(stream, self.kept, self.early if self.first else set(),
                                      False)
        except OSError:
            pass

    def verdict(self, rcpt, refused, busy):
        name = rcpt.split("@")[0].lstrip("<")
        if name == refused:
            return b"550 5.1.1 no such user"
        if name == busy and self.busy:
            return b"450 4.2.0 busy"
        return b"250 2.1.5 ok"

    def talk(self, stream, kept, early, plain=True):
        """True: TLS is to begin."""
        def say(*lines):
            stream.write(b"".join(line + b"\r\n" for line in lines))
            stream.flush()
        if plain:
            say(b"220 mail.example ESMTP")
        lmtp, rcpts, known = False, [], not self.starttls
        while line := stream.readline():
            verb = line.split()[0].upper() if line.split() else b""
            if verb in (b"EHLO", b"LHLO"):
                lmtp = verb == b"LHLO"
                say(b"250-mail.example", b"250-PIPELINING", b"250-8BITMIME",
                    *([] if known else [b"250-STARTTLS" if plain else b"250-AUTH PLAIN"]),
                    b"250 SIZE")
            elif verb == b"STARTTLS":
                say(b"220 go ahead")
                return True
            elif verb == b"AUTH" and not plain:
                known = line.split()[2] == base64.b64encode(b"\0user\0" + PASSWORD)
                say(b"235 2.7.0 welcome" if known else b"535 5.7.8 who?")
            elif not known:
                say(b"530 5.7.0 who?")
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
                        return False
                    text.append(line[1:] if line.startswith(b".") else line)
                answers = [self.verdict(r, "full", "slow") if lmtp else b"250 2.0.0 ok"
                           for r in rcpts]
                whole = b"".join(text).replace(b"\r\n", b"\n")
                taken = [r.strip("<>") for r, a in zip(rcpts, answers) if a[:1] == b"2"]
                kept += [(r, whole) for r in taken]
                early.update(taken)
                say(*(answers if lmtp else answers[:1]))
                rcpts = []
            elif verb in (b"MAIL", b"RSET", b"NOOP"):
                rcpts = []
                say(b"250 2.0.0 ok")
            elif verb == b"QUIT":
                say(b"221 2.0.0 bye")
                return False
            else:
                say(b"500 5.5.2 what?")
        return False


# --- messages -----------------------------------------------------------------------------------

def text_of(number, lines=3, to=""):
    return (to + f"Subject: message {number}\n\n" +
            "".join(f"From line {n} of message {number}\n.{n}\n" for n in range(lines))).encode()


LONG = 1200  # lines: several writes to the spool and to a mailbox

Message = collections.namedtuple("Message", "text places")


def message(number, places, lines=3, to=""):
    """PLACES: "mbox joe", "maildir joe", "home NAME", "file NAME", "command NAME", "server RCPT",
    "held"; or a report to somebody: "bounce RCPT", "fullbounce RCPT", "warning RCPT",
    "success RCPT"."""
    return Message(text_of(number, lines, to), places)


# --- operations ---------------------------------------------------------------------------------

class Operation:
    """Queued: arguments and message of each that waits before the command runs; ripen: what else
    becomes of it before, once. Takes: the command takes what it has on standard input (else all is
    queued before). Direct: and it delivers that, and nobody else will. Late: the mailbox is out of
    order, until a warning is out."""

    def __init__(self, name, command, *, queued=(), input=b"", takes=(), conf="", aliases="",
                 forward=None, ripen=None, prepare=None, window=None, output=False, core=False,
                 after=None, direct=False, late=False, tls=False):
        self.name, self.command, self.input = name, command, input
        self.queued, self.takes = queued, takes
        self.conf, self.aliases, self.forward = conf, aliases, forward
        self.ripen, self.prepare, self.window = ripen, prepare, window
        self.output, self.core, self.after = output, core, after
        self.direct, self.late, self.tls = direct, late, tls

    def messages(self):
        return [m for _, m in self.queued] + list(self.takes)


DELIVER = ["deliver", "-q", "-O", "defer=yes"]
RELAY = "smarthost smtp://127.0.0.1:{port}\n"
TLS = "smarthost smtp+starttls://user@127.0.0.1:{port}\ntls_fingerprint {fingerprint}\n"
LMTP = "smarthost lmtp://127.0.0.1:{port}\n"
MAILDIR = "mailbox {S}/home/%u/Maildir/\n"
MANY = 'all: "|{inject} -k {S}/drop/kept", {S}/drop/file, :include:{S}/list, joe@localhost, \\bob\n'
EVERYWHERE = ["command kept", "file file", "mbox root", "mbox joe", "mbox bob"]
THREE = ["ok@far.example", "no@far.example", "later@far.example"]
MIXED = ["server ok@far.example", "bounce no@far.example", "server later@far.example"]
TO_CC = "To: joe@localhost\nCc: root@router.example\n"
FIVE = THREE + ["full@far.example", "slow@far.example"]


def age(box):
    """The message becomes older by 1000 seconds, by both clocks."""
    path = f"{box.S}/spool/{box.in_spool()[0]}"
    with open(path, "rb") as f:
        text = f.read()
    wall, boot = re.search(rb"(?m)^arrived (\d+) (\d+) ", text).groups()
    older = b"arrived %0*d %0*d " % (len(wall), int(wall) - 1000, len(boot), int(boot) - 1000000)
    with open(path, "wb") as f:
        f.write(text.replace(b"arrived %s %s " % (wall, boot), older))


def break_mailbox(box):
    os.mkdir(box.S + "/mail/joe")


def too_old(box):
    """It has been tried, and is older than it may become."""
    break_mailbox(box)
    box.run(DELIVER)
    age(box)


def warned_of(box):
    too_old(box)
    box.run([*DELIVER, "-O", "delay_warning=10m"])
    age(box)


def hold(box):
    box.run(["mailq", "-h", "ALL"], check=True)


def stale_draft(box):
    with open(box.S + "/spool/T01lg5000000000a0", "w") as f:
        f.write("mtabox 2 0000")


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
    Operation("bs-start", ["sendmail", "-bs"], input=b"EHLO x\r\n" + BS + b"QUIT\r\n",
              conf="retry_min 1s\n",
              takes=[message(1, ["mbox joe"], 400), message(2, ["mbox joe"], 400)]),
    Operation("direct-server", ["sendmail", "-odd", "-i", "ok@far.example"], conf=RELAY,
              input=text_of(1, LONG), takes=[message(1, ["server ok@far.example"], LONG)],
              direct=True, window="server"),
    Operation("direct-mbox", ["sendmail", "-odd", "-i", "joe"], direct=True, window="mbox",
              input=text_of(1, LONG), takes=[message(1, ["mbox joe"], LONG)]),
    Operation("lda-mbox", ["deliver", "joe"], direct=True, window="mbox", core=True,
              input=text_of(1, LONG), takes=[message(1, ["mbox joe"], LONG)]),
    Operation("lda-maildir", ["deliver", "joe"], direct=True, window="maildir", conf=MAILDIR,
              input=text_of(1, LONG), takes=[message(1, ["maildir joe"], LONG)]),
    Operation("lda-command", ["deliver", "joe"], direct=True, window="command",
              conf="forward yes\n", forward='"|{inject} -k {S}/drop/kept"\n',
              input=text_of(1, LONG), takes=[message(1, ["command kept"], LONG)]),
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
    Operation("relay-auth", DELIVER, conf=TLS + "auth_file {S}/auth\n", window="tls", tls=True,
              queued=[(["ok@far.example"], message(1, ["server ok@far.example"], LONG))]),
    Operation("relay-password", DELIVER, window="tls", tls=True,
              conf=TLS + "auth_file {S}/none\npassword_command cat {S}/password\n",
              queued=[(["ok@far.example"], message(1, ["server ok@far.example"]))]),
    Operation("relay-forward", DELIVER, conf=RELAY + "forward yes\n", window="server",
              forward="ok@far.example\n",
              queued=[(["joe"], message(1, ["server ok@far.example"]))]),
    Operation("lmtp-mixed", DELIVER, conf=LMTP, window="server",
              queued=[(FIVE, message(1, MIXED + ["bounce full@far.example",
                                                  "server slow@far.example"]))]),
    Operation("bounce", DELIVER, core=True,
              queued=[(["-oem", "ghost"], message(1, ["bounce ghost@router.example"]))]),
    Operation("bounce-relay", DELIVER, conf=RELAY, window="server",
              queued=[(["-f", "alice@far.example", "-oem", "ghost"],
                       message(1, ["bounce ghost@router.example"]))]),
    Operation("bounce-full", DELIVER, conf="fullbounce yes\n",
              queued=[(["-oem", "ghost", "joe"],
                       message(1, ["fullbounce ghost@router.example", "mbox joe"], 300))]),
    Operation("double-bounce", DELIVER,
              queued=[(["-f", "gone@router.example", "-oem", "ghost"], message(1, ["held"]))],
              conf="postmaster nobody-at-all\n"),
    Operation("double-bounce-told", DELIVER, conf="bounce_to bob\n",
              queued=[(["-f", "gone@router.example", "-oem", "ghost"],
                       message(1, ["bounce gone@router.example"]))]),
    Operation("success", DELIVER,
              queued=[(["-N", "success", "joe"],
                       message(1, ["mbox joe", "success joe@router.example"]))]),
    Operation("warning", DELIVER, conf="delay_warning 10m\n", ripen=too_old,
              prepare=break_mailbox, late=True,
              queued=[(["joe"], message(1, ["warning joe@router.example", "mbox joe"]))]),
    Operation("expiry", DELIVER, conf="queue_lifetime 10m\n", ripen=too_old,
              prepare=break_mailbox,
              queued=[(["joe"], message(1, ["bounce joe@router.example"]))]),
    Operation("expiry-warned", DELIVER, conf="queue_lifetime 25m\n", ripen=warned_of,
              prepare=break_mailbox,
              queued=[(["joe"], message(1, ["bounce joe@router.example"]))]),
    Operation("start", ["sendmail", "-i", "joe"], conf="retry_min 1s\n", core=True,
              input=text_of(1), takes=[message(1, ["mbox joe"])]),
    Operation("wake", ["sendmail", "-q"], conf="retry_min 1s\n",
              queued=[(["joe"], message(1, ["mbox joe"]))]),
    Operation("wake-id", ["sendmail", "-qIALL"], conf="retry_min 1s\n",
              queued=[(["joe"], message(1, ["mbox joe"]))]),
    Operation("wake-rcpt", ["sendmail", "-qRjoe"], conf="retry_min 1s\n",
              queued=[(["joe"], message(1, ["mbox joe"])), (["bob"], message(2, ["mbox bob"]))]),
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
    Operation("release", ["mailq", "-H", "ALL"], conf="retry_min 1s\n", ripen=hold,
              queued=[(["joe"], message(1, ["mbox joe"]))]),
    Operation("run-now", ["mailq", "-i", "ALL"], conf="retry_min 1s\n",
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
        self.fingerprint = make_certificate(directory + "/certificate")
        self.server = Server(directory + "/certificate")
        self.write("auth", "user|127.0.0.1:" + PASSWORD.decode())
        self.write("password", PASSWORD.decode() + "\n")
        os.chmod(directory + "/auth", 0o600)
        self.template = {}

    def close(self):
        ctypes.CDLL(None).umount2(self.S.encode(), 2)  # MNT_DETACH
        os.rmdir(self.S)

    def write(self, name, text):
        with open(f"{self.S}/{name}", "w") as f:
            f.write(text.format(S=self.S, port=self.server.port, inject=self.S + "/inject",
                                fingerprint=self.fingerprint))

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
        self.server.starttls = operation.tls

    def fresh(self, operation):
        self.clear(operation)
        if operation.name not in self.template:
            for arguments, queued in operation.queued:
                self.run(["sendmail", "-odq", "-i", *arguments], queued.text, check=True)
            if operation.ripen:
                operation.ripen(self)
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
            operation.prepare(self)

    def command(self, words):
        words = [w for word in words
                 for w in ([word.replace("ALL", i) for i in self.ids()] if "ALL" in word else [word])]
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
        self.server.settle()
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

    # What is in the places. Fragments: those are passed over that somebody left who was killed.

    def mboxes(self, fragments=False):
        """Of each mailbox what was sent, and bounces as they are."""
        found, bounces = collections.defaultdict(list), []
        for where in "mail", "drop", "home/joe":
            for name in os.listdir(f"{self.S}/{where}"):
                path = f"{self.S}/{where}/{name}"
                if name in ("Maildir", ".forward", "kept") or name.endswith(".lock") or \
                        os.path.isdir(path):
                    continue
                kind = {"mail": "mbox", "drop": "file", "home/joe": "home"}[where]
                texts = self.pieces(path) if fragments else self.read_mbox(path)
                for text in texts:
                    if b"\nContent-Type: multipart/report" in text:
                        bounces.append(text)
                    else:
                        found[f"{kind} {name}"].append(self.content(path, text, fragments))
        return found, bounces

    def read_mbox(self, path):
        try:
            return mbox.messages(path)
        except SystemExit as wrong:
            raise Wrong(f"half {path}: {wrong}") from None

    def pieces(self, path):
        with open(path, "rb") as f:
            return [p for p in re.split(rb"(?m)^(?=From )", f.read()) if p.strip(b"\n\0")]

    def content(self, path, text, fragments):
        try:
            # Where a fragment was, line feeds stay behind the message before it.
            return mbox.content(text).rstrip(b"\n") + b"\n"
        except SystemExit as wrong:
            if fragments:
                return text
            raise Wrong(f"half {path}: {wrong}") from None

    def maildirs(self, found, fragments):
        for user in "joe", "bob":
            path = f"{self.S}/home/{user}/Maildir"
            if not os.path.isdir(path):
                continue
            if os.path.isdir(path + "/tmp") and os.listdir(path + "/tmp") and not fragments:
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

    def everything(self, fragments=False):
        found, bounces = self.mboxes(fragments)
        self.maildirs(found, fragments)
        self.commands(found)
        for rcpt, text in list(self.server.kept):
            report = b"\nContent-Type: multipart/report" in text
            (bounces if report else found[f"server {rcpt}"]).append(text)
        return found, bounces


# --- invariants ---------------------------------------------------------------------------------

def parse(line):
    number, depth, name, nth, hit, *about = line.split(" ")
    return int(number), int(depth), name, int(nth), hit == "!", about


def hits_of(trace):
    return [n for n, line in enumerate(trace) if " ! " in line or line.endswith(" !")]


WINDOWS = {"server": " dot", "command": " pipe:", "mbox": "/mail/joe", "maildir": "/Maildir/tmp/"}


def until_gone(trace, hit):
    """Of the trace what came up to the call that was hit; where a runner cannot hear its worker any
    more, what came until that was gone as well."""
    if parse(trace[hit])[1:3] != (0, "recvmsg"):
        return trace[:hit + 1]
    return list(itertools.takewhile(lambda line: " 0 wait4 " not in line, trace[hit:])) + trace[:hit]


def was_in_window(operation, box, status, trace):
    """Was it between a server's 2xx, or a command's end, and our record? Of errors only those that
    keep the runner from hearing of it, or end it. For whom delivers directly a mailbox is the
    same."""
    hits = hits_of(trace)
    if not hits or not operation.window:
        return False
    if operation.window == "tls":
        begun = bool(box.server.early)
    else:
        # While a killed runner's workers hear of it, they go on.
        lines = trace if status == 137 else until_gone(trace, hits[-1])
        begun = any(WINDOWS[operation.window] in line for line in lines if " write " in line)
    sites_hit = [parse(trace[n])[1:3] for n in hits]
    return begun and (status != 0 or
                      any(depth > 0 or name == "recvmsg" for depth, name in sites_hit))


def pending(box):
    """Whom the queue has still to serve."""
    listed = box.run(["mailq", "-j"], check=True).stdout
    return {r["address"] for line in listed.splitlines() for r in json.loads(line)["recipients"]}


REPORTS = {"bounce": b"failed", "fullbounce": b"failed", "warning": b"delayed",
           "success": b"delivered"}


def in_place(place, m, found, bounces, box):
    """How often the message is there, and the texts that it is there as."""
    kind, _, name = place.partition(" ")
    if kind in REPORTS:
        return sum(has_report(b, name, m, kind) for b in bounces), []
    if kind == "held":
        return sum(n[0] == "H" and text_in(f"{box.S}/spool/{n}", m.text)
                   for n in box.in_spool()), []
    mine = [t for t in found[place] if t.endswith(m.text)]
    return len(mine), mine


def expect_message(m, committed, found, bounces, box, twice):
    """Takes what is there out of found; complains of what is not."""
    for place in m.places:
        kind, _, name = place.partition(" ")
        count, mine = in_place(place, m, found, bounces, box)
        for t in mine:
            found[place].remove(t)
        if count == 0 and committed == "yes":
            raise Wrong(f"lost {place}")
        if count > 0 and committed == "no":
            raise Wrong(f"refused, but there: {place}")
        again = name in twice or (kind == "command" and twice) or \
            (kind in REPORTS and twice & box.server.early)
        if count > 1 and not (count == 2 and again):
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
    return bounce.count(b"Final-Recipient: rfc822; %s\nAction: %s\n" %
                        (rcpt.encode(), REPORTS[kind]))


def check_spool(box, clean):
    for name in box.in_spool():
        if not re.fullmatch("[TQH][0-9a-v]{16}", name):
            raise Wrong(f"damaged {name} in the spool")
    if not clean and any(n[0] == "Q" for n in box.in_spool()):
        listed = box.run(["mailq"])
        if listed.returncode or b"unreadable" in listed.stdout or b"cannot" in listed.stderr:
            raise Wrong(f"damaged {listed.stdout.decode()} {listed.stderr.decode()}")


def was_committed(operation, case, status, said, trace):
    """Of each message that the command takes: "yes", "no", "maybe". After two faults one may have
    been committed and could not be taken back."""
    single = len(case.faults) < 2 and not any(f.fault in DISK for f in case.faults)
    count, no = len(operation.takes), "no" if single else "maybe"
    killed = status == 137
    if "-bs" in operation.command:
        answers = re.findall(rb"(?m)^354.*\r\n(?:(\d).*\r\n)?", said)
        if len(answers) < count and not killed:
            return ["maybe"] * count
        known = [{b"2": "yes", b"": "maybe"}.get(a, no) for a in answers]
        return known + [no] * (count - len(known))
    if not killed:
        return [no if status else "yes"] * count
    renamed = [line for line in trace if line.split(" ")[1:3] == ["0", "renameat2"]]
    if not single:
        return ["maybe"] * count
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
        if name[0] == "H" and not any("held" in m.places for m in operation.messages()):
            box.run(["mailq", "-H", name[1:]], check=True)
    if operation.late:
        box.run(DELIVER, check=True)
        os.rmdir(box.S + "/mail/joe")
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


def is_whole(m, found, bounces, box):
    """Is it queued, or wherever it should be?"""
    if any(name[0] in "QH" and text_in(f"{box.S}/spool/{name}", m.text)
           for name in box.in_spool()):
        return True
    return all(in_place(place, m, found, bounces, box)[0] for place in m.places)


def look_at_once(box, operation, committed, deleted, excused):
    """Before anything is mended. True: there is something to mend, for which there is an excuse:
    whoever was killed could not take it back, nor who was not let."""
    found, bounces = box.everything(True)
    owed = [m for m, c in zip(operation.takes, committed) if c == "yes"]
    for m in owed + [m for _, m in operation.queued if not deleted]:
        if not is_whole(m, found, bounces, box):
            raise Wrong(f"lost at once: {m.places}")
    texts = [m.text for m in operation.messages()]
    try:
        if box.locks():
            raise Wrong(f"orphan at once: {box.locks()}")
        if any(n[0] == "T" for n in box.in_spool()) and operation.prepare is not stale_draft:
            raise Wrong(f"orphan at once: {box.in_spool()}")
        found, _ = box.everything()
        for place, there in found.items():
            if not all(any(t.endswith(text) for text in texts) for t in there):
                raise Wrong(f"half at once: {place}")
    except Wrong:
        if excused:
            return True
        raise
    return False


def may_tear(case, status, trace):
    """Somebody was killed (by a runner, too, that hears no more of its worker), or what takes
    things back was among what was refused, or the look that has to be taken before that."""
    taking_back = {"ftruncate", "unlink", "unlinkat", "recvmsg"}
    if len(case.faults) > 1:
        taking_back |= {"fstat", "newfstatat"}
    return (status == 137 or any(f.fault in KILLS for f in case.faults) or
            any(line.split(" ")[2] in taking_back
                for line in trace if " ! " in line or " x " in line))


def check_syncs(box, operation, case, status, trace):
    """What could not be synced is not said to be safe, unless by a later sync."""
    if len(case.faults) != 1 or case.faults[0].fault not in FULL or case.faults[0].call != "fsync":
        return
    for n in hits_of(trace):
        _, depth, _, _, _, about = parse(trace[n])
        path = about[0][len(box.S):]
        again = any(" fsync " in line and line.endswith(about[0]) for line in trace[n + 1:])
        if path.startswith("/spool") and depth == 0 and operation.takes and status == 0 and \
                "-bs" not in operation.command:
            raise Wrong(f"lost: {path} not synced, but taken")
        if path.startswith(("/mail/", "/home/", "/drop/")) and not again and (
                status == 0 if operation.direct else operation.command is DELIVER and
                not any(name[0] == "Q" for name in box.in_spool())):
            raise Wrong(f"lost: {path} not synced, but done")


def check_order(operation, case, trace):
    """Whoever an expansion or a bounce is for gets nothing before that is on disk. (Of its first
    line in a journal a message need not wait.)"""
    if len(case.faults) != 1 or case.faults[0].fault not in FULL or \
            operation.name not in ("relay-forward", "bounce-relay"):
        return
    for n in hits_of(trace):
        _, _, name, nth, _, about = parse(trace[n])
        if name not in ("write", "fdatasync") or (name, nth) == ("write", 1) or \
                "/spool/Q" not in about[0]:
            continue
        for line in trace[n + 1:]:
            if " fdatasync " in line:
                break
            if line.endswith(" dot"):
                raise Wrong("twice: sent before its line was on disk")


def repeat(box, operation, status, committed):
    """Who delivers directly and fails is asked once more, by whoever asked him."""
    found, _ = box.everything(True)
    if "no" in committed and any(found.values()):
        raise Wrong("refused, but there")
    box.server.busy = False
    if status and box.run(operation.command, operation.input).returncode:
        raise Wrong("stays: once more it fails again")


def check_run(box, operation, status, said, trace, undisturbed):
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


def check_places(box, operation, committed, deleted, twice, fragments):
    found, bounces = box.everything(fragments)
    for m, c in zip(operation.takes, committed):
        expect_message(m, c, found, bounces, box, twice)
    for _, m in operation.queued:
        expect_message(m, "no" if deleted else "yes", found, bounces, box, twice)
    more = {place: [t for t in texts if not t.endswith(AGAIN)] for place, texts in found.items()}
    if any(more.values()) and not fragments:
        raise Wrong(f"half {[(p, len(t), t[0][:200], t[0][-100:]) for p, t in more.items() if t]}")
    check_spool(box, True)


def check_case(box, operation, case, status, said, trace, undisturbed=None):
    """True: there was something to mend."""
    check_run(box, operation, status, said, trace, undisturbed)
    check_syncs(box, operation, case, status, trace)
    check_order(operation, case, trace)
    in_window, torn = was_in_window(operation, box, status, trace), may_tear(case, status, trace)
    committed = was_committed(operation, case, status, said, trace) if operation.takes else []
    if operation.direct and status:
        committed = ["maybe" if in_window or torn else "no"]
    deleted = operation.after == "" and not box.in_spool()
    torn = look_at_once(box, operation, committed, deleted, torn)
    twice = pending(box) if in_window and not operation.direct else set()
    if operation.direct:
        if in_window:
            twice = {operation.takes[0].places[0].split(" ")[1]}
        repeat(box, operation, status, committed)
        committed = ["yes"]
    clean_up(box, operation)
    check_places(box, operation, committed, deleted, twice, operation.direct and torn)
    return torn


# --- cases --------------------------------------------------------------------------------------

Fault = collections.namedtuple("Fault", "fault depth call nth")
Case = collections.namedtuple("Case", "operation faults")
UNDISTURBED = Case("", ())


def sites(trace):
    """Of each call depth, name, number, and what it is about."""
    for line in trace:
        if line.startswith("exit"):
            continue
        _, depth, name, nth, _, about = parse(line)
        yield depth, name, nth, " ".join(about)


def faults_of(trace):
    for depth, name, nth, about in sites(trace):
        kills = KILLS if name in CHANGES or name == "exit_group" else ()
        for fault in kills + FAULTS.get(name, ()):
            yield Fault(fault, depth, name, nth)
        if name in LASTING and name not in ("sendmsg", "sendto", "fork") or \
                about.endswith(" create"):
            for fault in DISK:
                yield Fault(fault, depth, name, nth)


def arguments_of(case):
    return [word for f in case.faults
            for word in ("-f", f.fault, "-d", str(f.depth), "-c", f.call, "-n", str(f.nth))]


def run_case(box, case, undisturbed):
    """"" if all is as it should be, "-" if not all faults happened, "torn" if there was something
    to mend, or what is wrong; the trace."""
    operation = BY_NAME[case.operation]
    trace = []
    try:
        box.fresh(operation)
        status, said, trace, _ = box.inject(operation, arguments_of(case))
        torn = check_case(box, operation, case, status, said, trace, undisturbed)
        all_hit = len(hits_of(trace)) == len(case.faults)
        return ("torn" if torn else "") if all_hit else "-", trace
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
    check_case(box, operation, UNDISTURBED, status, said, trace)
    return trace, said


def choose(operation, faults, seed, whole):
    """Kills at each call that changes what is on disk or what another process knows. Besides, of
    those that matter most, all kills of everything and one error at each call; of others some.
    And cases that are to have a second fault, behind the first."""
    order = random.Random(f"{seed} {operation.name}")
    disk = [f for f in faults if f.fault in DISK]
    single = [f for f in faults if f.fault not in DISK]
    first = [f for f in faults if f.fault != "kill"]
    size = WHOLE if whole else SAMPLE
    chosen = order.sample(disk, min(len(disk), size["disk"]))
    two = [order.choice(first) for _ in range(size["two"])]
    if whole:
        return chosen + single, two
    chosen += [f for f in single if f.fault in KILLS and f.call in LASTING]
    rest = [f for f in single if f not in set(chosen)]
    if not operation.core:
        return chosen + order.sample(rest, min(len(rest), size["one"])), two
    errors = collections.defaultdict(list)
    for f in rest:
        if f.fault not in KILLS:
            errors[f.depth, f.call, f.nth].append(f)
    return (chosen + [f for f in rest if f.fault == "kill"] +
            [order.choice(some) for some in errors.values()]), two


def second(case, trace, seed):
    """The same with one more fault, behind the first."""
    hit = hits_of(trace)
    later = list(dict.fromkeys(sites(trace[hit[0] + 1:]))) if hit else []
    order = random.Random(f"{seed} {case}")
    while later:
        site = later.pop(order.randrange(len(later)))
        faults = list(faults_of([f"0 {site[0]} {site[1]} {site[2]} - {site[3]}"]))
        if faults:
            return case._replace(faults=(*case.faults, order.choice(faults)))
    return None


class Player:
    """Plays cases in a box."""

    def __init__(self, directory, whole, seed):
        os.mkdir(directory)
        self.box, self.said = Box(directory), {}
        self.whole, self.seed = whole, seed

    def list(self, name):
        """The operation's cases, and those with a fault to come."""
        operation = BY_NAME[name]
        trace, self.said[name] = undisturbed(self.box, operation)
        again, _ = undisturbed(self.box, operation)
        faults = list(dict.fromkeys([*faults_of(trace), *faults_of(again)]))
        one, two = choose(operation, faults, self.seed, self.whole)
        return ([("case", Case(name, (f,)), "") for f in one] +
                [("two", Case(name, (f,)), str(n)) for n, f in enumerate(two)])

    def play(self, kind, case, seed):
        """The case, and the result."""
        if case.operation not in self.said:
            self.said[case.operation] = undisturbed(self.box, BY_NAME[case.operation])[1]
        result, trace = run_case(self.box, case, self.said[case.operation])
        if kind == "two" and result in ("", "torn"):
            case = second(case, trace, self.seed + seed) or case
            if len(case.faults) == 2:
                result, _ = run_case(self.box, case, self.said[case.operation])
        return case, result


def work(directory, jobs, results, whole, seed):
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # goes with the suite
    player = Player(directory, whole, seed)
    while (job := jobs.get()) is not None:
        kind, what, number = job
        try:
            if kind == "list":
                results.put(("list", what, player.list(what)))
            else:
                results.put(("case", *player.play(kind, what, number)))
        except (Wrong, subprocess.TimeoutExpired) as wrong:
            results.put(("broken" if kind == "list" else "case", what, f"broken {wrong}"))


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
            jobs.put(("list", name, ""))
        while waiting:
            kind, what, value = results.get(timeout=300)
            name = what.operation if kind == "case" else what
            if kind == "list":
                open_cases[name] = len(value)
                for job in value:
                    jobs.put(job)
            elif kind == "broken":
                open_cases[name] = 0
                done[name].append((Case(name, ()), value))
            else:
                open_cases[name] -= 1
                done[name].append((what, value))
            if open_cases.get(name) == 0 and name in waiting:
                waiting.remove(name)
                yield name, done[name]
    finally:
        for w in workers:
            if waiting:
                w.kill()
            jobs.put(None)
        for w in workers:
            w.join(5)
            if w.is_alive():
                w.kill()
                w.join()
        shutil.rmtree(top, ignore_errors=True)


# --- what it says -------------------------------------------------------------------------------

COLUMNS = ("kill", "killone", "EIO", "ENOSPC", "EDQUOT", "EMFILE", "ENOMEM", "EINTR", "short",
           "other", "full", "dead", "two")
WRONGS = ("lost", "twice", "damaged", "half", "orphan", "hang")
FINE = ("", "-", "torn")


def column_of(case):
    if len(case.faults) != 1:
        return "two"
    fault = case.faults[0].fault
    return fault if fault in COLUMNS else "other"


def kind_of(result):
    word = result.split(" ")[0].rstrip(",:")
    return {"refused": "twice", "spin": "hang", "stays": "hang", "crash": "hang",
            "broken": "damaged"}.get(word, word)


def table(played):
    print("# Every fault at every system call\n\nBy `make fault`: how often each fault was made "
          "to happen, and what became of it.\n`kill`: of all processes; `killone`: of the one that "
          "calls; `full`, `dead`: a disk that from\nthere on takes nothing more, or can be changed "
          "no more, for a second (a sample); `two`: one\nfault, and behind it another (a sample). "
          "`torn`: a fragment, a lock or a draft was left, by\nwho was killed or was not let take "
          "it back, and the next run mended it (nobody mends\nfragments of direct and lda: they "
          "have no queue). What is lost, there twice without need,\ndamaged, there by half, left "
          "behind or without end is a defect.\n")
    columns = (*COLUMNS, "torn", *WRONGS)
    print("| operation | " + " | ".join(columns) + " |")
    print("|---" * (1 + len(columns)) + "|")
    total = collections.Counter()
    for name in [o.name for o in OPERATIONS if o.name in played]:
        count = collections.Counter()
        for case, result in played[name]:
            if result != "-":
                count[column_of(case)] += 1
            if result not in ("", "-"):
                count[kind_of(result)] += 1
        total += count
        print(f"| {name} | " + " | ".join(str(count[c]) for c in columns) + " |")
    print("| **all** | " + " | ".join(str(total[c]) for c in columns) + " |")


def describe(case, result):
    words = [str(word) for f in case.faults for word in f]
    return f"{case.operation} {' '.join(words)}: {result}"


def enclose():
    """Processes that are made to go wrong, as root, are in a world of their own: they can reach
    nobody else's, and none of them outlives us."""
    if os.environ.get("FAULT_ENCLOSED") != "1":
        os.environ["FAULT_ENCLOSED"] = "1"
        world = subprocess.Popen(["unshare", "-m", "-p", "-f", "--mount-proc", "--kill-child",
                                  sys.executable, "-sSB", *sys.argv])

        def stop(*_):  # unshare itself is deaf to it
            with open(f"/proc/{world.pid}/task/{world.pid}/children") as f:
                for pid in f.read().split():
                    os.kill(int(pid), signal.SIGTERM)
        signal.signal(signal.SIGTERM, stop)
        sys.exit(world.wait())
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
                words = arguments[2:]
                case = Case(operation.name, tuple(
                    Fault(fault, int(depth), call, int(nth)) for fault, depth, call, nth
                    in zip(words[::4], words[1::4], words[2::4], words[3::4])))
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
        if float(f.read().split()[0]) < 3700:
            # A device that is up for less than an hour bounces nothing, and warns of nothing.
            names = [n for n in names if BY_NAME[n].ripen in (None, hold)]
    print(f"# seed {seed}", file=sys.stderr if whole else sys.stdout)
    if not whole:
        print(f"1..{len(names)}", flush=True)
    played, failed = {}, False
    start = time.monotonic()
    for number, (name, results) in enumerate(play(names, whole, seed), 1):
        played[name] = results
        wrong = [describe(c, r) for c, r in results if r not in FINE]
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
