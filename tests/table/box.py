# SPDX-License-Identifier: ISC
"""What the tables of this directory play with: a scratch directory with a configuration that
points only into it, the program under test, its queue, mailboxes and a mail server."""
import ctypes
import os
import pwd
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import namedtuple

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
APPLET = os.path.join(TOP, "tests", "applet")
MTABOX = os.path.abspath(os.environ.get("MTABOX", os.path.join(TOP, "build", "mtabox")))
ME = pwd.getpwuid(os.getuid()).pw_name
SECONDS = 20  # for anything we wait for

sys.path.append(APPLET)
import mbox  # noqa: E402

Result = namedtuple("Result", "status out err")
Entry = namedtuple("Entry", "id sender name rcpts told content")


def until(condition, what="a condition"):
    end = time.monotonic() + SECONDS
    while not (value := condition()):
        if time.monotonic() > end:
            raise AssertionError("waited in vain for " + what)
        time.sleep(0.005)
    return value


def read(path):
    with open(path, "rb") as f:
        return f.read()


def same(what, is_, wanted):
    if is_ != wanted:
        raise AssertionError(f"{what}:\n  is  {shown(is_)}\n  not {shown(wanted)}")


def shown(value):
    text = repr(value)
    return text if len(text) < 600 else f"{text[:400]}...{text[-150:]} ({len(text)} characters)"


class Box:
    """Use it with "with": at the end nothing is left, no process either."""

    def __enter__(self):
        # Whoever loses a parent becomes our child.
        ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER
        self.dir = tempfile.mkdtemp(prefix="mtabox.")
        os.chmod(self.dir, 0o755)  # deliveries run as the recipient
        os.mkdir(self.path("mail"))
        os.chmod(self.path("mail"), 0o1777)
        os.umask(0o22)
        self.servers = []
        self.configure()
        return self

    def __exit__(self, *_):
        for server in self.servers:
            server.terminate()
            server.wait()
        self.end_processes()
        shutil.rmtree(self.dir)

    def path(self, *names):
        return os.path.join(self.dir, *names)

    def configure(self, *lines, defer=True):
        with open(self.path("conf"), "w") as f:
            f.write("\n".join((
                f"spooldir {self.path('spool')}", f"mailbox {self.path('mail')}/%u",
                f"aliases {self.path('aliases')}", f"log_file {self.path('log')}",
                "mailname router.example") + ("defer yes",) * defer + lines) + "\n")

    # Doing.

    def run(self, applet, args, text=b"", env=(), timeout=SECONDS, **how):
        """args: strings, or bytes where they are no text; how: as subprocess.run has it."""
        if "stdin" not in how:
            how["input"] = text
        how.setdefault("stdout", subprocess.PIPE)
        how.setdefault("stderr", subprocess.PIPE)
        how.setdefault("executable", MTABOX)
        environment = {"MTABOX_CONF": self.path("conf"), "PATH": "/usr/bin:/bin", **dict(env)}
        done = subprocess.run([applet, *args], env=environment, timeout=timeout, **how)
        return Result(done.returncode, done.stdout or b"", done.stderr or b"")

    def sendmail(self, args, text=b"", **how):
        return self.run("sendmail", args, text, **how)

    def flush(self):
        """One attempt for everything that waits, which is over when this returns."""
        same("deliver -q", self.run("deliver", ["-q"], timeout=120), Result(0, b"", b""))

    def serve(self, *script, password=""):
        """Starts server.py; its directory and port."""
        directory = self.path(f"server{len(self.servers)}")
        self.servers.append(subprocess.Popen(
            ["/usr/bin/python3", "-ISB", os.path.join(APPLET, "server.py"), directory, *script],
            stdin=subprocess.PIPE))
        with self.servers[-1].stdin as pipe:
            pipe.write(password.encode())
        port = os.path.join(directory, "port")
        until(lambda: os.path.exists(port), "the server")
        return directory, read(port).decode().strip()

    # What is the case.

    def names(self, spool="spool"):
        """Of the messages in the queue, whatever their state."""
        try:
            return sorted(n for n in os.listdir(self.path(spool)) if n != "runner")
        except FileNotFoundError:
            return []

    def entry(self, name, spool="spool"):
        """A queue file: what it says of envelope and content."""
        data = read(self.path(spool, name))
        offset, length = map(int, data[9:30].split())
        head = data[:offset]

        def field(word):
            return [m.decode("utf-8", "surrogateescape")
                    for m in re.findall(rb"^%s(?: ([^\n]*))?$" % word, head, re.M)]
        return Entry(name[1:], field(b"sender")[0], (field(b"name") or [""])[0],
                     field(b"rcpt") + field(b"alias"), field(b"dsn"),
                     data[offset:offset + length])

    def clear(self, spool="spool"):
        for name in self.names(spool):
            os.unlink(self.path(spool, name))

    def mailbox(self, user=ME):
        """id -> content, of the messages in a mailbox."""
        path = self.path("mail", user)
        if not os.path.exists(path):
            return {}
        return {mbox.ADDED.match(m).group(3).decode(): mbox.content(m) for m in mbox.messages(path)}

    # Processes.

    def children(self):
        with open(f"/proc/self/task/{os.getpid()}/children") as f:
            ours = {server.pid for server in self.servers}
            return [int(pid) for pid in f.read().split() if int(pid) not in ours]

    def end_processes(self):
        """Runners that were started stay as long as there is mail."""
        while children := self.children():
            for pid in children:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)

    def reap(self):
        """True when no process is left."""
        for pid in self.children():
            os.waitpid(pid, os.WNOHANG)
        return not self.children()


# What a delivery adds before the message as it came.
ADDED = re.compile(
    rb"Received: by router\.example \(mtabox\) id ([0-9a-v]{16});\r\n\t[^\r\n]+\r\n"
    rb"(?:Date: [^\r\n]+\r\n)?(?:From: [^\r\n]+\r\n)?(?:Message-ID: <[^\r\n]+>\r\n)?")


BOUNCE = re.compile(rb"X-mtabox-Queue-ID: ([0-9a-v]{16})")


def arrivals(directory, bounced=None):
    """id -> (sender, recipients, content), of the messages that a server took. Of bounces:
    bounced gets id -> those who did not get it."""
    found = {}
    for name in os.listdir(directory):
        if not name.startswith("mail."):
            continue
        data = read(os.path.join(directory, name))
        sender, *rcpts = read(os.path.join(directory, "envelope" + name[4:])).decode().splitlines()
        head, bounce = ADDED.match(data), BOUNCE.search(data)
        if not head and bounce and bounced is not None:
            failed = re.findall(rb"(?m)^Final-Recipient: [^;]+; ([^\r]*)\r$", data)
            bounced.setdefault(bounce[1].decode(), []).extend(one.decode() for one in failed)
            continue
        if not head:
            raise AssertionError("without the fields that delivery adds: " + shown(data[:300]))
        number = head.group(1).decode()
        if number in found:
            raise AssertionError("arrived twice: " + number)
        found[number] = (sender.strip("<>"), [r[1:-1] for r in rcpts], data[head.end():])
    faults = [line for line in read(os.path.join(directory, "events")).splitlines()
              if b" fault " in line]
    same("the server's complaints", faults, [])
    return found


class Tap:
    """Test results in the Test Anything Protocol; a test fails by AssertionError."""

    def __init__(self):
        self.count = self.failed = 0

    def test(self, name, function, *args):
        self.count += 1
        try:
            function(*args)
            print("ok", self.count, "-", name, flush=True)
        except (AssertionError, OSError, SystemExit, subprocess.TimeoutExpired) as e:
            self.failed += 1
            lines = [f"not ok {self.count} - {name}", *str(e).splitlines()]
            print("\n# ".join(lines), flush=True)

    def end(self):
        print(f"1..{self.count}")
        sys.exit(self.failed > 0)
