# SPDX-License-Identifier: ISC
"""What the programs of this directory share: servers that tests write as a function, and runs of
the program under test with little memory, each with a queue of its own."""
import concurrent.futures
import os
import re
import shutil
import socket
import struct
import subprocess
import sys
import threading

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.append(os.path.join(os.path.dirname(HERE), "table"))
import box  # noqa: E402
from box import MTABOX, Box, Tap, read, same, shown  # noqa: E402,F401

SECONDS = 60      # for anything that must end
# KiB of address space for every process, which bounds its memory: 500 are enough for clear text,
# and TLS has buffers of 33 KiB and the certificates.
ADDRESS_SPACE = 800
ROOMY = 8 << 10   # where there are thousand recipients
AT_ONCE = 100     # cases: a connection is kept for a second after its last message


class Gone(Exception):
    """The client has closed, or we have."""


class Line:
    """A connection, from the server's end."""

    def __init__(self, sock):
        self.sock, self.buffer, self.heard = sock, b"", bytearray()
        sock.settimeout(SECONDS)
        # What is sent before an RST must be on its way.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def more(self):
        try:
            data = self.sock.recv(65536)
        except OSError:
            data = b""
        if not data:
            raise Gone
        self.heard += data
        self.buffer += data

    def until(self, end):
        start = 0
        while (at := self.buffer.find(end, start)) < 0:
            start = max(0, len(self.buffer) - len(end))
            self.more()
        taken, self.buffer = self.buffer[:at + len(end)], self.buffer[at + len(end):]
        return taken

    def line(self):
        return self.until(b"\r\n")[:-2]

    def send(self, data):
        try:
            self.sock.sendall(data)
        except OSError:
            raise Gone from None

    def drain(self):
        """Waits until the client has gone."""
        while True:
            self.more()
            self.buffer = b""

    def close(self):
        self.sock.close()

    def reset(self):
        """Ends it with an RST."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()


class Server:
    """Plays play(line) for each connection, in a thread of its own. At the end of a "with" no
    thread is left; what one has died of is raised there. small: the sockets hold little."""

    def __init__(self, play, small=False):
        self.play, self.small = play, small
        self.threads, self.lines, self.fault = [], [], None

    def __enter__(self):
        self.sock = socket.socket()
        if self.small:
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 536)
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.sock.bind(("127.0.0.1", 0))
        self.sock.listen(64)
        self.port = self.sock.getsockname()[1]
        self.threads.append(threading.Thread(target=self.accept))
        self.threads[0].start()
        return self

    def accept(self):
        while True:
            try:
                sock = self.sock.accept()[0]
            except OSError:
                return
            self.lines.append(Line(sock))
            self.threads.append(threading.Thread(target=self.talk, args=(self.lines[-1],)))
            self.threads[-1].start()

    def talk(self, line):
        try:
            self.play(line)
        except Gone:
            pass
        except Exception as e:  # it would be lost with the thread
            self.fault = e
        line.close()

    def __exit__(self, kind, *_):
        self.sock.shutdown(socket.SHUT_RDWR)
        self.sock.close()
        self.threads[0].join(SECONDS)
        for line in self.lines:
            try:
                line.sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # closed
        for thread in self.threads:
            thread.join(SECONDS)
        if self.fault and not kind:
            raise AssertionError(f"the server died: {self.fault!r}")

    def heard(self):
        """All bytes that came."""
        return b"".join(bytes(line.heard) for line in self.lines)


class Queue:
    """A directory with configuration, queue, mailbox and log."""

    def __init__(self, directory, copy=None):
        self.dir = directory
        os.mkdir(directory)
        os.mkdir(self.path("mail"))
        os.chmod(self.path("mail"), 0o1777)
        if copy:
            shutil.copytree(copy.path("spool"), self.path("spool"))

    def path(self, *names):
        return os.path.join(self.dir, *names)

    def configure(self, *lines):
        with open(self.path("conf"), "w") as f:
            f.write("\n".join((
                f"spooldir {self.path('spool')}", f"mailbox {self.path('mail')}/%u",
                f"aliases {self.path('aliases')}", f"log_file {self.path('log')}",
                "mailname router.example", "defer yes") + lines) + "\n")

    def allow(self, user, password):
        """In auth_file, for all servers here."""
        with open(os.open(self.path("auth"), os.O_WRONLY | os.O_CREAT, 0o600), "w") as f:
            f.write(f"{user}|127.0.0.1:{password}\n")

    def run(self, applet, *args, text=b"", space=ADDRESS_SPACE):
        """Status, standard output and error."""
        done = subprocess.run(
            ["/bin/sh", "-c", 'ulimit -v "$1"; program=$2; shift 2; exec "$program" "$@"',
             "sh", str(space), MTABOX, *args_of(applet, self, args)],
            input=text, capture_output=True, timeout=SECONDS)
        return done.returncode, done.stdout, done.stderr

    def post(self, *args, text=b"Subject: zebra crossing\n\nbreakfast at noon\n"):
        got = self.run("sendmail", "-odq", "-i", *args, text=text, space=ROOMY)
        same("sendmail", got, (0, b"", b""))

    def flush(self, *args, space=ADDRESS_SPACE):
        """One attempt for everything; standard error."""
        status, _, err = self.run("deliver", "-q", *args, space=space)
        same("deliver -q", status, 0)
        # Not "died" alone: an id may have it.
        if bad := re.search(rb"\]: ((a delivery process|out of memory).*)", self.log()):
            raise AssertionError(bad[1].decode())
        return err

    def log(self):
        path = self.path("log")
        return read(path) if os.path.exists(path) else b""

    def fates(self):
        """recipient -> its last status in the log, with the words."""
        return {m[1].decode(): (m[2].decode(), m[3]) for m in re.finditer(
            rb"(?m): to=<([^>]*)>.*? status=(\w+) \((.*)\)$", self.log())}

    def names(self):
        return [name for name in os.listdir(self.path("spool")) if name != "runner"]

    def mailq(self):
        status, out, err = self.run("mailq")
        same("mailq", (status, err), (0, b""))
        return out

    def mailbox(self):
        path = self.path("mail", box.ME)
        return read(path) if os.path.exists(path) else b""


def args_of(applet, queue, args):
    return (applet, "-C", queue.path("conf")) + args


DIRTY = re.compile("[\0-\x08\x0b-\x1f\x7f-\x9f]")


def check_clean(what, data):
    """Nothing that a terminal would obey, and UTF-8."""
    try:
        text = data.decode()
    except UnicodeDecodeError as e:
        raise AssertionError(f"{what}: {e}")
    if bad := DIRTY.search(text):
        near = text[max(0, bad.start() - 80):][:200]
        raise AssertionError(f"{what} has {bad[0]!r}: {shown(near)}")


def play_all(tap, groups, play):
    """groups: name -> cases. play(case) for each, some at a time; a test for each group."""
    def one(case):
        try:
            play(case)
        except (AssertionError, OSError, subprocess.TimeoutExpired) as e:
            return f"{case}: {e}"
        return None

    def report(results):
        if wrong := [failure for result in results if (failure := result.result())]:
            raise AssertionError(f"{len(wrong)} of {len(results)}\n" + "\n".join(wrong[:8]))
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        running = {name: [pool.submit(one, case) for case in cases]
                   for name, cases in groups.items()}
        for name, results in running.items():
            tap.test(f"{name}: {len(results)} ways", report, results)
