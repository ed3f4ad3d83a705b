#!/usr/bin/python3 -sSB
# SPDX-License-Identifier: ISC
"""Power cuts: every state of the disk that one may leave, and what becomes of the mail then.

usage: suite.py [STATES [SEED [WORDS]]]
           STATES: at most so many of each operation and kind of disk (default 50; 0: all that
           are found; order: none, only the order is checked); SEED chooses among them (1);
           WORDS: only operations with these in the name

Each operation is done once, with its changes of files recorded (trace.py). For the moment after
each of them the states that the disk may be in are made (disk.py), each different one once, and
the queue is run on it. Then each mail that was promised (exit 0 was reported, or it was in the
queue before) must be in each of its mailboxes, or at the server, whole and once; one that was not
promised the same or nowhere; other mail must be as it was, the queue empty, no draft left. A
server may have a second copy only if it had said 250 and our record of that was not yet synced.
On some of these states the queue's run is recorded in turn, and cut off at some moments: the mail
must survive that as well.

Besides, the order of changes and syncs itself is checked (order.py), and that this check would
notice each sync that is left out.
"""
import collections
import copy
import multiprocessing
import os
import pwd
import random
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import zlib

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "../applet")]
import disk
import mbox
import order
import trace

MTABOX = os.path.realpath(os.environ.get("MTABOX", os.path.join(HERE, "../../build/mtabox")))
ME = pwd.getpwuid(os.geteuid()).pw_name
OTHER = "daemon"
ROOT = os.geteuid() == 0
MIX = 16                       # combinations of names, and of content, at one moment; or four
                               # times as many, where all states are wanted
CUTS = 6                       # moments of a run after a cut at which it is cut again
FOREIGN = b"From joe Thu Jan  1 00:00:00 1970\n\nold mail\n\n"


def text(number, lines=3):
    return b"Subject: %d\n\n" % number + b"".join(
        b"From line %d of %d\n" % (n, number) for n in range(lines))


# --- a mail server ---------------------------------------------------------------------------

class Server(threading.Thread):
    """Takes all but recipients "refused", and for as long as it is strict "later"; the 250 of the
    second message, and of those behind it, comes after so many seconds. What it took is in taken:
    [(content, recipients)]."""

    def __init__(self, seconds):
        super().__init__(daemon=True)
        self.seconds = seconds
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.taken, self.strict = [], True
        self.start()

    def run(self):
        while True:
            try:
                connection = self.listener.accept()[0]
            except OSError:
                return
            threading.Thread(target=self.serve, args=[connection], daemon=True).start()

    def close(self):
        """Once it is no more in accept: the next server may get the same descriptor."""
        self.listener.shutdown(socket.SHUT_RDWR)
        self.join()
        self.listener.close()

    def serve(self, connection):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        file = connection.makefile("rwb")
        try:
            self.talk(file)
        except OSError:
            pass
        connection.close()

    def talk(self, file):
        def say(line):
            file.write(line.encode() + b"\r\n")
            file.flush()

        rcpts = []
        say("220 mx ESMTP")
        for line in file:
            verb = line.split(b" ")[0].strip().upper()
            if verb == b"EHLO":
                say("250-mx\r\n250-PIPELINING\r\n250 8BITMIME")
            elif verb == b"RCPT":
                name = re.search(rb"<(.*?)@", line)[1].decode()
                if name == "refused":
                    say("550 5.1.1 no")
                elif name == "later" and self.strict:
                    say("450 4.2.0 later")
                else:
                    rcpts.append(name)
                    say("250 2.1.5 ok")
            elif verb == b"DATA":
                if not rcpts:
                    say("554 5.5.1 nobody")
                    continue
                say("354 go on")
                content = []
                while (line := file.readline()) not in (b".\r\n", b""):
                    content.append(line.removeprefix(b".")[:-2] + b"\n")
                if not line:
                    return
                self.taken.append((b"".join(content), rcpts))
                if self.strict and len(self.taken) > 1:
                    time.sleep(self.seconds)
                say(f"250 2.0.0 taken {len(self.taken) - 1}")
            elif verb == b"QUIT":
                say("221 bye")
                return
            else:
                rcpts = [] if verb in (b"MAIL", b"RSET") else rcpts
                say("250 ok")


# --- one operation ---------------------------------------------------------------------------

class Box:
    """A place for an operation: its files, what is expected of its mail."""

    def __init__(self, name):
        self.name = name
        base = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
        self.scratch = tempfile.mkdtemp(prefix="mtabox.", dir=base)
        os.chmod(self.scratch, 0o755)
        self.top = self.scratch + "/disk"
        self.server = None
        self.expected = {}       # number: (text, places, places of a bounce, of a warning)
        self.queued = set()      # numbers that were safe before the operation
        self.allowed = None      # what may become of mail that an operator meddles with
        self.leaves_links = False
        self.at_once = False     # there is no queue: what is cut off leaves what it leaves
        self.uncut = False       # only the order is looked at
        os.mkdir(self.top)
        for sub, mode in ("spool", 0o700), ("mail", 0o1777), ("home", 0o755):
            os.mkdir(f"{self.top}/{sub}")
            os.chmod(f"{self.top}/{sub}", mode)
        self.configure()

    def configure(self, *lines):
        with open(self.scratch + "/conf", "w") as conf:
            print(f"spooldir {self.top}/spool", f"mailbox {self.top}/mail/%u",
                  f"aliases {self.scratch}/aliases", f"log_file {self.scratch}/log",
                  "mailname router.example", "spool_min_free 0", *lines, sep="\n", file=conf)

    def serve(self, *lines, seconds=0):
        self.server = Server(seconds)
        self.configure(f"smarthost smtp://127.0.0.1:{self.server.port}", *lines)

    def aliases(self, *lines):
        with open(self.scratch + "/aliases", "w") as aliases:
            print(*lines, sep="\n", file=aliases)

    def mailbox(self, user, content=FOREIGN):
        path = f"{self.top}/mail/{user}"
        with open(path, "wb") as file:
            file.write(content)
        os.chmod(path, 0o600)
        if ROOT:
            os.chown(path, *pwd.getpwnam(user)[2:4])

    def command(self, applet, *arguments):
        return [MTABOX, applet, "-C", self.scratch + "/conf", *arguments]

    def expect(self, number, content, *places, bounce=(), warning=()):
        self.expected[number] = content, places, bounce, warning

    def queue(self, number, to, content, *places, **reports):
        """Before the operation."""
        subprocess.run(self.command("sendmail", "-odq", "-oem", "-i", *to), input=content,
                       check=True)
        self.expect(number, content, *places, **reports)
        self.queued.add(number)

    def grow_old(self):
        """What is queued has been tried, and has waited for 1000 seconds by both clocks."""
        subprocess.run(self.command("deliver", "-q", "-O", "defer=yes"), check=True)
        for name in os.listdir(self.top + "/spool"):
            if name[0] != "Q":
                continue
            with open(f"{self.top}/spool/{name}", "r+b") as file:
                data = file.read()
                m = re.search(rb"(?m)^arrived (\d+) (\d+) ", data)
                file.seek(m.start())
                file.write(b"arrived %0*d %0*d " % (
                    len(m[1]), int(m[1]) - 1000, len(m[2]), int(m[2]) - 1000000))

    def start(self):
        self.base = disk.Tree.load(self.top)
        self.inodes = dict(self.real_inodes(self.base))
        self.recorder = trace.Recorder(self.top, self.base.copy())

    def do(self, applet, *arguments, stdin=b"", tamper=(), told=None):
        return self.recorder.run(self.command(applet, *arguments), stdin, tamper, told)

    def run_queue(self, **how):
        return self.do("deliver", "-q", "-O", "defer=yes", **how)

    def end(self):
        """What was recorded must be what is there."""
        self.effects, self.tree = self.recorder.effects, self.base
        there, seen = disk.Tree.load(self.top), self.recorder.tree
        if there.digest() != seen.digest():
            for tree in there, seen:
                print("#", [(p, n.mode, n.uid, len(n.data)) for p, _, n in tree.walk()],
                      file=sys.stderr)
            raise ValueError("the recording is not what happened")
        self.note_all(seen)

    def note_all(self, seen):
        self.inodes.update(self.real_inodes(seen))
        self.ids = {}  # of a node in the spool: the message's number
        for e in self.effects:
            if e[0] == "write":
                self.note_id(e[3], self.content_of(e[3]))
        for _, number, node in self.tree.walk(b"", 0):
            if node.names is None:
                self.note_id(number, node.data)
        self.spool = next((e[5] for e in self.effects if e[0] == "create" and e[4] == b"spool"),
                          self.tree.nodes[0].names.get(b"spool"))
        self.files_of_spool = frozenset(
            [e[5] for e in self.effects if e[0] == "create" and e[3] == self.spool] +
            [n for p, n, _ in self.tree.walk() if p.startswith(b"/spool/")])
        self.before = list(self.server.taken) if self.server else []

    def again(self):
        """The same mail on the disk that is there now: the queue's run on it is recorded."""
        box = copy.copy(self)
        if box.server:
            box.server.taken.clear()
            box.server.strict = False
        box.tree = disk.Tree.load(box.top)
        box.inodes = dict(box.real_inodes(box.tree))
        box.recorder = trace.Recorder(box.top, box.tree.copy())
        box.run_queue()
        box.effects = box.recorder.effects
        box.note_all(box.recorder.tree)
        return box

    def states(self, at, model, limit, rng):
        """What there may be after so many effects."""
        return disk.states(self.tree, self.effects[:at], model, limit, rng, self.files_of_spool)

    def content_of(self, node):
        data = self.tree.nodes[node].data if node in self.tree.nodes else b""
        for e in self.effects:
            if e[0] == "write" and e[3] == node:
                data = disk.overlay(data, e[4], e[5])
        return data

    def note_id(self, node, data):
        subject = re.search(rb"^Subject: (\d+)$", data, re.M)
        if data.startswith(b"mtabox ") and subject:
            self.ids[node] = int(subject[1])

    def real_inodes(self, tree):
        for path, number, node in tree.walk():
            yield number, os.lstat(os.fsencode(self.top) + path).st_ino

    # --- a state, and what becomes of it ---

    def put(self, tree):
        top = os.fsencode(self.top)
        for name in os.listdir(top):
            shutil.rmtree(top + b"/" + name)
        made, links = {}, {}
        for path, number, node in tree.walk():
            path = top + path
            if number in links:
                os.link(links[number], path)
                continue
            if number == 0:
                continue
            if node.names is not None:
                os.mkdir(path)
            else:
                data = node.data
                if path.startswith(top + b"/spool/"):
                    data = self.readdress(data, path[-16:], tree)
                with open(path, "wb") as file:
                    file.write(data)
                links[number] = path
            if ROOT:
                os.chown(path, node.uid, node.gid)
            os.chmod(path, node.mode)

    def readdress(self, data, name, tree):
        """Journals name mailboxes by their inodes, which those files have not got here: mail/ is
        made before spool/, in the order of names. The device is another one after the boot."""
        inodes = {real: number for number, real in self.inodes.items()}
        paths = {number: path for path, number, node in tree.walk()}

        def change(line):
            number = inodes.get(int(line[2]))
            path = os.fsencode(self.top) + paths[number] if number in paths else None
            st = os.stat(path if path and os.path.exists(path) else self.scratch)
            if path is None:
                return line[0]
            new = b"%s %d %d %s" % (line[1].rsplit(b" ", 1)[0], st.st_dev + 1, st.st_ino, line[3])
            if zlib.crc32(name + line[0][:-9]) != int(line[4], 16):
                return line[0]
            return b"%s %08x" % (new, zlib.crc32(name + new))

        return re.sub(rb"(?m)^(mailbox \S+ \S+ \S+ \S+ \S+ \d+) (\d+) (\d+) ([0-9a-f]{8})$",
                      change, data)

    def recover(self):
        """Runs the queue. (what became of the mail, [what is wrong])."""
        if self.server:
            self.server.taken.clear()
            self.server.strict = False
        run = subprocess.run(self.command("deliver", "-q", "-O", "defer=yes"), timeout=30,
                             stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                             stderr=subprocess.PIPE)
        wrong = [] if run.returncode == 0 else [f"exit status {run.returncode}"]
        found = collections.Counter()
        for path, content in self.files():
            try:
                if path.startswith("spool/"):
                    self.look_at_spool(path[6:], content, found)
                elif path.startswith("mail/"):
                    self.look_at_mbox(path, content, found)
                else:
                    self.look_at_file(path, content, found)
            except (SystemExit, ValueError, TypeError) as e:
                wrong.append(f"{path}: {e}: {content[-300:]!r}")
        for content, rcpts in self.server.taken if self.server else ():
            number = self.whole(content, "server")
            found.update((number, "server:" + rcpt) for rcpt in rcpts)
        return found, wrong

    def files(self):
        for at, directories, names in os.walk(self.top):
            for name in sorted(names):
                path = os.path.join(at, name)
                yield os.path.relpath(path, self.top), open(path, "rb").read()

    def look_at_spool(self, name, content, found):
        if name == "runner":
            return
        if name[0] == "T":
            raise ValueError("a draft is left")
        subject = re.search(rb"^Subject: (\d+)$", content, re.M)
        found[int(subject[1]) if subject else -1, "spool " + name[0]] += 1

    def look_at_mbox(self, path, content, found):
        old = [n.data for p, _, n in self.base.walk() if p == b"/" + path.encode()]
        foreign = old[0] if old and not self.fragment else FOREIGN if old else b""
        if path.endswith(".lock"):  # of ours: the next delivery knows it by its mode
            if os.stat(f"{self.top}/{path}").st_mode & 0o7777 != 0o500:
                raise ValueError("a lock of somebody else's")
            return
        if not content.startswith(foreign):
            raise ValueError("other mail was changed")
        for message in mbox.messages(f"{self.top}/{path}"):
            if message.rstrip(b"\n") in (FOREIGN.rstrip(b"\n"), self.behind.rstrip(b"\n")):
                found["foreign", path] += 1
                continue
            what = mbox.content(message).rstrip(b"\n") + b"\n"
            found[self.whole(what, path), path] += 1

    def look_at_file(self, path, content, found):
        """Of a Maildir."""
        directory, name = os.path.split(path)
        if directory.endswith("/tmp"):
            if not self.leaves_links:
                raise ValueError("left in tmp")
            return
        found[self.whole(content, directory), directory] += 1

    def whole(self, content, where):
        """The number of a mail; ("bounce", number) of a bounce."""
        if b"report-type=delivery-status" in content:
            boundary = re.search(rb'boundary="([^"]+)"', content)[1]
            if not content.rstrip(b"\n").endswith(b"--" + boundary + b"--"):
                raise ValueError("a bounce is not whole")
            return "bounce", int(re.search(rb"(?m)^Subject: (\d+)$", content)[1])
        number = int(re.search(rb"(?m)^Subject: (\d+)$", content)[1])
        want = self.expected[number][0]
        ok = content == want if where.startswith("mail/") else content.endswith(want)
        if not ok:
            raise ValueError(f"mail {number} is not whole")
        return number

    fragment, behind = False, b"\0"
    twice = False  # what was synced may be synced again

    # --- what is promised at a moment ---

    def promise(self, at):
        """(numbers promised, and ("warning", number), operations ended, what the server is known
        to have taken, of which the record is on disk)."""
        ended = any(e[0] == "seen" and e[3] in ("exit 0", "told") for e in self.effects[:at])
        taken, settled, warned = collections.Counter(), set(), set()
        for n, e in enumerate(self.effects[:at]):
            if e[0] == "write" and e[5].startswith(b"warning ") and \
                    any(x[0] == "data" and x[3] == e[3] for x in self.effects[n:at]):
                warned.add(("warning", self.ids[e[3]]))
            if e[0] == "seen" and e[3].startswith("taken"):
                content, rcpts = self.before[int(e[3].split()[1])]
                number = self.whole(content, "server")
                taken.update((number, rcpt) for rcpt in rcpts)
                if self.is_settled(number, rcpts, n, at):
                    settled.add(number)
        promised = frozenset(number for number in self.expected
                             if number in self.queued or self.is_promised(number, at))
        return promised | warned, ended, frozenset(taken.items()), frozenset(settled)

    def is_promised(self, number, at):
        """Whether success was reported since it was queued, if it was."""
        names = [n for n, e in enumerate(self.effects)
                 if e[0] == "rename" and e[6][:1] == b"Q" and self.ids.get(e[7]) == number]
        since = names[0] if names else 0 if self.at_once else at
        return any(e[0] == "seen" and e[3] in ("exit 0", "told") for e in self.effects[since:at])

    def is_settled(self, number, rcpts, since, at):
        """Whether it is on disk that they have it: their verdicts come one by one."""
        wrote, removed, covered = False, False, set()
        bounce = isinstance(number, tuple)
        number = number[1] if bounce else number
        node = next(n for n, message in self.ids.items() if message == number)
        names = re.findall(rb"(?m)^(?:rcpt|alias) ([^@\n]*)", self.content_of(node))
        for e in self.effects[since:at]:
            if e[0] in disk.EVENTS:
                continue
            ours = self.ids.get(e[5] if e[0] == "unlink" else e[3]) == number
            if ours and e[0] == "write" and re.match(rb"\n?(sent|passed) ", e[5]):
                said = e[5].split(b" ")[5]
                covered.update(n for n in range(100) if order.in_set(n, said))
                wrote = any(n >= len(names) for n in covered) if bounce else \
                    all(names.index(rcpt.encode()) in covered for rcpt in rcpts)
            elif ours and e[0] == "unlink":
                removed = True
            elif (ours and wrote and e[0] in ("data", "sync")) or \
                    (removed and e[0] == "sync" and e[3] == self.spool):
                return True
        return False

    def judge(self, promise, found, tally):
        """[what is wrong] with what was found, given what was promised."""
        promised, ended, taken, settled = promise
        taken = dict(taken)
        if self.allowed:
            return self.judge_meddling(ended, found)
        wrong, left = [], found.copy()
        for number, (content, places, bounces, warnings) in self.expected.items():
            counts = []
            for where in warnings:
                count = left.pop((("bounce", number), where), 0)
                if count > 1 or (count == 0 and ("warning", number) in promised):
                    wrong.append(f"the warning of {number} is {count} times in {where}")
            for what, where in [(number, place) for place in places] + \
                    [(("bounce", number), place) for place in bounces]:
                count = left.pop((what, where), 0)
                if taken.get((what, where.removeprefix("server:"))):
                    if count > (what not in settled):
                        wrong.append(f"{what} at {where} again, {count} times")
                    tally["twice in the window"] += count
                    count = 1
                counts.append((what, where, count))
            for what, where, count in counts:
                if count > 1:
                    wrong.append(f"{what} is {count} times in {where}")
                if count == 0 and (number in promised or any(c for _, _, c in counts)):
                    wrong.append(f"{what} is not in {where}")
        olds = sum(c for (what, _), c in left.items() if what == "foreign")
        for what, where in list(left):
            if what == "foreign" or where == "spool C" and what not in promised:
                tally["set aside"] += where == "spool C"
                del left[what, where]
        if olds != self.olds:
            wrong.append(f"other mail: {olds}, not {self.olds}")
        wrong += [f"{what} is {count} times in {where}" for (what, where), count in left.items()]
        return wrong

    def judge_meddling(self, ended, found):
        for number in self.expected:
            where = sorted((place, count) for (what, place), count in found.items()
                           if what == number)
            if where not in self.allowed[ended]:
                return [f"{number} is in {where}, which is none of {self.allowed[ended]}"]
        return []

    @property
    def olds(self):
        texts = [n.data for p, _, n in self.base.walk() if p.startswith(b"/mail/")]
        return sum(t.count(b"old mail\n") + t.count(b"foreign mail\n") for t in texts)

    # --- the order itself ---

    def check_order(self, effects):
        return order.Order(self.base, effects, self.inodes, self.spool, self.at_once).wrong

    def check_each_sync(self):
        """[syncs that could be left out without being noticed]. Of a directory with removals it is
        open which come together; of one that several others are made in, the last counts."""
        missed = []
        for at, e in enumerate(self.effects):
            rest = self.effects[:at] + self.effects[at + 1:]
            if e[0] not in ("sync", "data") or self.check_order(rest) or \
                    (e[3] == self.spool and any(x[0] == "unlink" for x in rest[:at])):
                continue
            others = [x for x in rest if x[:1] + x[3:] != e[:1] + e[3:]]
            if self.recorder.tree.nodes[e[3]].names is None or not self.check_order(others):
                missed.append(f"{e[0]} of {self.where(e[3])}, effect {at}")
        return missed

    def where(self, node):
        return next((p for p, n, _ in self.recorder.tree.walk() if n == node), self.ids.get(node))


# --- the operations --------------------------------------------------------------------------

OPERATIONS = {}
DELIVERED, HELD, GONE = [(f"mail/{ME}", 1)], [("spool H", 1)], []


def operation(name, needs_root=False):
    def keep(function):
        if ROOT or not needs_root:
            OPERATIONS[name] = function
    return keep


@operation("submission of a small message")
def _(box):
    box.expect(1, text(1), f"mail/{ME}")
    box.start()
    box.do("sendmail", "-odq", "-i", ME, stdin=text(1))


@operation("submission of a large message")
def _(box):
    box.expect(1, text(1, 4000), f"mail/{ME}")
    box.start()
    box.do("sendmail", "-odq", "-i", ME, stdin=text(1, 4000))


@operation("submission by an alias", needs_root=True)
def _(box):
    box.expect(1, text(1), f"mail/{ME}", f"mail/{OTHER}")
    box.aliases(f"all: {ME}, {OTHER}")
    box.start()
    box.do("sendmail", "-odq", "-i", "all", stdin=text(1))


@operation("submission to a spool that is not there")
def _(box):
    os.rmdir(box.top + "/spool")
    box.expect(1, text(1), f"mail/{ME}")
    box.start()
    box.do("sendmail", "-odq", "-i", ME, stdin=text(1))


@operation("submission to a spool whose maker is killed before its name is on disk")
def _(box):
    os.rmdir(box.top + "/spool")
    box.expect(1, text(1), f"mail/{ME}")
    box.start()
    box.do("sendmail", "-odq", "-i", ME, stdin=text(1), tamper=kill_at("fsync", 1))
    box.do("sendmail", "-odq", "-i", ME, stdin=text(1))


@operation("submission where the directory cannot be synced")
def _(box):
    box.expect(1, text(1), f"mail/{ME}")
    box.start()
    box.do("sendmail", "-odq", "-i", ME, stdin=text(1),
           tamper=["-e", "inject=fsync:error=EIO:when=2"])


@operation("submission by the header's recipients")
def _(box):
    content = b"To: <%s@router.example>\n" % ME.encode() + text(1)
    box.expect(1, content, f"mail/{ME}")
    box.start()
    box.do("sendmail", "-odq", "-t", "-i", stdin=content)


@operation("submission and delivery in the background")
def _(box):
    box.mailbox(ME)
    box.expect(1, text(1), f"mail/{ME}")
    box.start()
    box.do("sendmail", "-i", ME, stdin=text(1))


@operation("deliver: to an mbox")
def _(box):
    box.mailbox(ME)
    box.at_once = True
    box.expect(1, text(1), f"mail/{ME}")
    box.start()
    box.do("deliver", ME, stdin=text(1))


@operation("deliver: to a new Maildir")
def _(box):
    box.configure(f"mailbox {box.top}/home/%u/")
    box.at_once = box.leaves_links = True
    box.expect(1, text(1), f"home/{ME}/new")
    box.start()
    box.do("deliver", ME, stdin=text(1))


@operation("submission by SMTP on standard input")
def _(box):
    box.expect(1, text(1), f"mail/{ME}")
    box.start()
    lines = ["EHLO me", f"MAIL FROM:<{ME}>", f"RCPT TO:<{ME}>", "DATA",
             *text(1).decode().splitlines(), ".", "QUIT", ""]
    box.do("sendmail", "-odq", "-bs", stdin="\r\n".join(lines).encode(), told=rb"queued as")


@operation("delivery to an mbox")
def _(box):
    box.mailbox(ME)
    box.queue(1, [ME], text(1, 600), f"mail/{ME}")
    box.start()
    box.run_queue()


@operation("delivery to an mbox that is not there", needs_root=True)
def _(box):
    box.queue(1, [OTHER], text(1, 600), f"mail/{OTHER}")
    box.start()
    box.run_queue()


@operation("delivery of three messages to two mboxes", needs_root=True)
def _(box):
    box.twice = True  # several workers at once: one may sync what another has done
    box.mailbox(ME)
    for n in 1, 2, 3:
        box.queue(n, [ME, OTHER], text(n, 20 * n), f"mail/{ME}", f"mail/{OTHER}")
    box.start()
    box.run_queue()


@operation("delivery to a new Maildir")
def _(box):
    box.configure(f"mailbox {box.top}/home/%u/")
    box.leaves_links = True
    if ROOT:
        os.chmod(box.top + "/home", 0o777)
    box.queue(1, [ME], text(1, 600), f"home/{ME}/new")
    box.start()
    box.run_queue()


@operation("delivery to two Maildirs", needs_root=True)
def _(box):
    box.configure(f"mailbox {box.top}/home/%u/")
    box.leaves_links = True
    for user in ME, OTHER:
        for sub in "", "/tmp", "/new", "/cur":
            os.mkdir(f"{box.top}/home/{user}{sub}", 0o700)
            os.chown(f"{box.top}/home/{user}{sub}", *pwd.getpwnam(user)[2:4])
    box.twice = True  # several workers at once: one may sync what another has done
    for n in 1, 2:
        box.queue(n, [ME, OTHER], text(n), f"home/{ME}/new", f"home/{OTHER}/new")
    box.start()
    box.run_queue()


@operation("relay of three messages")
def _(box):
    box.serve()
    for n in 1, 2, 3:
        box.queue(n, ["a@far.example", "b@far.example"], text(n), "server:a", "server:b")
    box.start()
    box.run_queue()


@operation("relay with mixed verdicts and a bounce")
def _(box):
    box.serve()
    box.mailbox(ME)
    box.queue(1, ["a@far.example", "refused@far.example", "later@far.example"], text(1),
              "server:a", "server:later", bounce=[f"mail/{ME}"])
    box.start()
    box.run_queue()


@operation("relay where all wait")
def _(box):
    box.serve()
    for n in 1, 2:
        box.queue(n, ["later@far.example"], text(n), "server:later")
    box.start()
    box.run_queue()
    box.run_queue()


@operation("relay to a slow server: removals")
def _(box):
    box.serve(seconds=.3)
    for n in 1, 2, 3:
        box.queue(n, ["a@far.example"], text(n), "server:a")
    box.start()
    box.run_queue()


@operation("relay of 20 messages: removals")
def _(box):
    box.serve()
    for n in range(20):
        box.queue(n, ["a@far.example"], text(n), "server:a")
    box.start()
    box.run_queue()


@operation("a bounce")
def _(box):
    box.mailbox(ME)
    box.queue(1, ["nobody-of-that-name", ME], text(1), f"mail/{ME}", bounce=[f"mail/{ME}"])
    box.start()
    box.run_queue()


@operation("a bounce to a server")
def _(box):
    box.serve()
    box.queue(1, ["-f", "ann@far.example", "nobody-of-that-name"], text(1), bounce=["server:ann"])
    box.start()
    box.run_queue()


@operation("a bounce of a bounce: to bounce_to")
def _(box):
    box.configure(f"bounce_to {ME}")
    box.mailbox(ME)
    box.queue(1, ["-f", "nobody-either", "nobody-of-that-name"], text(1), bounce=[f"mail/{ME}"])
    box.start()
    box.run_queue()


@operation("a bounce of a bounce: nobody to tell, held")
def _(box):
    box.configure("postmaster nobody-at-all")
    box.queue(1, ["-f", "nobody-either", "nobody-of-that-name"], text(1))
    box.allowed = {False: [HELD], True: [HELD]}
    box.start()
    box.run_queue()


@operation("expiry", needs_root=True)
def _(box):
    box.configure("queue_lifetime 10m")
    os.mkdir(f"{box.top}/mail/{ME}")
    box.queue(1, ["-f", OTHER, ME], text(1), bounce=[f"mail/{OTHER}"])
    box.grow_old()
    box.start()
    box.run_queue()


@operation("a warning of delay")
def _(box):
    box.serve("delay_warning 10m")
    box.mailbox(ME)
    box.queue(1, ["later@far.example"], text(1), "server:later", warning=[f"mail/{ME}"])
    box.grow_old()
    box.start()
    box.run_queue()


@operation("a report of success", needs_root=True)
def _(box):
    box.mailbox(ME)
    box.queue(1, ["-N", "success", OTHER], text(1), f"mail/{OTHER}", bounce=[f"mail/{ME}"])
    box.start()
    box.run_queue()


@operation("delivery by an alias: a user, a file, a list", needs_root=True)
def _(box):
    box.aliases(f'all: {ME}, "{box.top}/mail/file", list@localhost', f"list: {OTHER}")
    box.mailbox(ME)
    box.twice = True  # several workers at once: one may sync what another has done
    # So long that the expansion's lines begin in one block of the disk and end in the next.
    box.queue(1, ["all"], text(1) + b"x" * 3400 + b"\n", f"mail/{ME}", "mail/file",
              f"mail/{OTHER}")
    box.start()
    box.run_queue()


@operation("start and exit of a runner: a draft is swept")
def _(box):
    with open(box.top + "/spool/T01lg6a8e4mfh5rbh", "wb") as file:
        file.write(b"mtabox 2 0000")
    box.start()
    box.run_queue()


@operation("half a mail in an mbox: it is cut off")
def _(box):
    box.mailbox(ME)
    box.queue(1, [ME], text(1, 1500), f"mail/{ME}")
    die_at_write(box)
    box.start()
    box.run_queue()


@operation("half a mail in an mbox, other mail behind it: it is blanked")
def _(box):
    box.mailbox(ME)
    box.queue(1, [ME], text(1, 600), f"mail/{ME}")
    die_at_write(box)
    box.behind = b"From ann Thu Jan  1 00:00:00 1970\n\nforeign mail\n\n"
    with open(f"{box.top}/mail/{ME}", "ab") as file:
        file.write(b"\n" + box.behind)
    box.start()
    box.run_queue()


def die_at_write(box):
    box.fragment = box.twice = True
    subprocess.run(["strace", "-f", "-qqq", "-o", "/dev/null", "-P", f"{box.top}/mail/{ME}",
                    "-e", "inject=write:signal=KILL:when=2",
                    *box.command("deliver", "-q", "-O", "defer=yes")],
                   stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def kill_at(call, nth):
    return ["-e", f"inject={call}:signal=KILL:when={nth}"]


@operation("a new mbox, kill -9 before its sync, and once more", needs_root=True)
def _(box):
    box.queue(1, [OTHER], text(1), f"mail/{OTHER}")
    box.start()
    box.twice = True
    box.run_queue(tamper=kill_at("fsync", 1))
    box.run_queue()


@operation("a new mbox, kill -9 before its directory's sync, and once more", needs_root=True)
def _(box):
    box.queue(1, [OTHER], text(1), f"mail/{OTHER}")
    box.start()
    box.twice = True
    box.run_queue(tamper=kill_at("fsync", 2))
    box.run_queue()


@operation("a Maildir, kill -9 before the sync of new, and once more")
def _(box):
    box.configure(f"mailbox {box.top}/home/%u/")
    box.leaves_links = True
    box.queue(1, [ME], text(1), f"home/{ME}/new")
    box.start()
    box.twice = True
    box.run_queue(tamper=kill_at("fsync", 6))
    box.run_queue()


@operation("a Maildir, kill -9 before the sync of new, its reader comes, and once more")
def _(box):
    box.configure(f"mailbox {box.top}/home/%u/")
    # A power cut may take the journal's first line as well: then nobody looks in cur, and the
    # reader has it twice.
    box.leaves_links = box.twice = box.uncut = True
    box.queue(1, [ME], text(1), f"home/{ME}/new")
    box.start()
    box.run_queue(tamper=kill_at("fsync", 6))
    new, cur = (f"{box.top}/home/{ME}/{sub}" for sub in ("new", "cur"))
    name = os.listdir(new)[0]
    box.recorder.run(["mv", f"{new}/{name}", f"{cur}/{name}:2,S"])
    box.run_queue()


@operation("an mbox whose file may not become so large: it is cut off")
def _(box):
    box.behind = FOREIGN.replace(b"old mail", b"x" * 20000 + b"\nold mail")
    box.mailbox(ME, box.behind)
    box.queue(1, [ME], text(1, 1500), f"mail/{ME}")
    box.start()
    box.recorder.run(["prlimit", "--fsize=40000", *box.command("deliver", "-q", "-O", "defer=yes")])
    box.run_queue()


def half_made(box, nth):
    """Two messages for a new Maildir: who delivers one dies with some of its names not synced,
    the other finds them there, and is tried for the first time."""
    box.configure(f"mailbox {box.top}/home/%u/")
    box.leaves_links = box.twice = True
    box.queue(1, [ME], text(1), f"home/{ME}/new")
    box.expect(2, text(2), f"home/{ME}/new")
    box.start()
    box.run_queue(tamper=kill_at("fsync", nth))
    box.do("sendmail", "-odq", "-i", ME, stdin=text(2))
    box.run_queue()


@operation("a new Maildir, kill -9 before its own name is synced, and others")
def _(box):
    half_made(box, 1)


@operation("a new Maildir, kill -9 before the name of new is synced, and others")
def _(box):
    half_made(box, 3)


def operate(box, flag, before, after):
    """mailq's verb, and what may be found before and after its exit 0."""
    box.queue(1, [ME], text(1), f"mail/{ME}")
    if flag == "-H":
        subprocess.run(box.command("mailq", "-h", "ALL"), check=True, stdout=subprocess.DEVNULL)
    box.allowed = {False: before, True: after}
    box.start()
    box.do("mailq", flag, "ALL")




@operation("a message is held")
def _(box):
    operate(box, "-h", [DELIVERED, HELD], [HELD])


@operation("a message is released")
def _(box):
    operate(box, "-H", [DELIVERED, HELD], [DELIVERED])


@operation("a message is deleted")
def _(box):
    operate(box, "-d", [DELIVERED, GONE], [GONE])


@operation("a message is due now: mailq -i")
def _(box):
    box.mailbox(ME)
    box.queue(1, [ME], text(1), f"mail/{ME}")
    box.start()
    box.do("mailq", "-i", "ALL")


@operation("a message is due now: sendmail -qI")
def _(box):
    box.mailbox(ME)
    for n in 1, 2:
        box.queue(n, [ME], text(n), f"mail/{ME}")
    names = [name for name in os.listdir(box.top + "/spool") if name[0] == "Q"]
    box.start()
    box.do("sendmail", "-qI", names[0][1:])


@operation("a message that cannot be read is set aside")
def _(box):
    box.mailbox(ME)
    box.queue(1, [ME], text(1), f"mail/{ME}")
    with open(box.top + "/spool/Q01lg6a8e4mfh5rbh", "wb") as file:
        file.write(b"mtabox 9 mess")
    os.chmod(box.top + "/spool/Q01lg6a8e4mfh5rbh", 0o600)
    box.start()
    box.run_queue()


# --- all of it -------------------------------------------------------------------------------

def collect(box, model, limit, rng):
    """[(tree, {promises})], limit of them, and how many different ones there were."""
    chosen, known, last = {}, set(), None
    moments = range(len(box.effects) + 1)
    if limit and len(moments) > 2 * limit:
        moments = sorted(rng.sample(moments, 2 * limit))
    for at in moments:
        promise = box.promise(at)
        changes = sum(e[0] not in disk.EVENTS for e in box.effects[:at])
        if (promise, changes) == last or (box.at_once and not promise[1]):
            continue
        last = promise, changes
        for tree in box.states(at, model, MIX if limit else 4 * MIX, rng):
            digest = tree.digest()
            if digest in chosen:
                chosen[digest][1].add(promise)
            elif digest not in known:
                known.add(digest)
                if limit and len(chosen) == limit:  # each has the same chance to stay
                    if rng.randrange(len(known)) >= limit:
                        continue
                    del chosen[rng.choice(list(chosen))]
                chosen[digest] = tree, {promise}
    return list(chosen.values()), len(known)


def both(first, second):
    """What is promised after two cuts."""
    promised, ended, taken, settled = first
    more, _, later, recorded = second
    again = {number for (number, _), _ in later}
    return (promised | {p for p in more if isinstance(p, tuple)}, ended, taken | later,
            frozenset(settled - again) | recorded)


def cut_twice(box, chosen, model, limit, rng):
    """[(what is wrong, the tree)], how many states were tried: of the queue's run on limit of the
    chosen states, cut off in its turn."""
    wrong, count = [], 0
    for tree, promises in rng.sample(chosen, min(limit, len(chosen))):
        box.put(tree)
        again = box.again()
        states = []
        for at in sorted(rng.sample(range(len(again.effects) + 1),
                                    min(CUTS, len(again.effects) + 1))):
            promise = again.promise(at)
            found = list(again.states(at, model, 4, rng))
            states.append((rng.choice(found), {both(p, promise) for p in promises}))
        some, _ = try_states(again, states)
        wrong += [(["after two cuts: " + t for t in troubles], t) for troubles, t in some]
        count += len(states)
        if wrong:
            break
    return wrong, count


def try_states(box, states):
    """[(what is wrong, the tree)], tally"""
    wrong, tally = [], collections.Counter()
    for tree, promises in states:
        box.put(tree)
        try:
            found, troubles = box.recover()
        except subprocess.TimeoutExpired:
            found, troubles = None, ["the queue's run does not end"]
        seen = collections.Counter()
        if found is not None:
            troubles += sorted({t for p in promises for t in box.judge(p, found, seen)})
        tally.update(words for words, count in seen.items() if count)
        if troubles:
            wrong.append((troubles, tree))
            if len(wrong) == 3:
                break
    return wrong, tally


def describe(tree):
    return "; ".join(f"{p.decode()} {len(n.data)} bytes, {n.data.count(0)} zeros, of {n.uid}"
                     for p, _, n in tree.walk() if n.names is None)


def play(job):
    """One operation: [(name, [what is wrong])], and what there was."""
    name, limit, seed = job
    box, begun, out, tried = Box(name), time.time(), [], 0
    try:
        OPERATIONS[name](box)
        box.end()
        out.append((f"{name}: order", box.check_order(box.effects)))
        if not box.twice:
            out.append((f"{name}: each sync is needed for it", box.check_each_sync()))
        for model in disk.MODELS if limit is not None and not box.uncut else ():
            rng = random.Random(f"{seed} {name} {model}")
            states, count = collect(box, model, limit, rng)
            wrong, tally = try_states(box, states)
            twice, cuts = [], 0
            if not wrong and not box.at_once:
                twice, cuts = cut_twice(box, states, model, limit // 75 + 1 if limit else 100,
                                         rng)
            wrong += twice
            tried += len(states) + cuts
            extra = f", {cuts} after two cuts" + \
                "".join(f", {words}: {n}" for words, n in tally.items() if n)
            out.append((f"{name}: {model}, {len(states)} of {count} states{extra}",
                        [f"{t} on {describe(tree)}" for t, tree in wrong]))
    except Exception as e:
        out.append((name, traceback.format_exc().splitlines()))
    finally:
        if box.server:
            box.server.close()
        shutil.rmtree(box.scratch)
    return out, len(box.effects) if hasattr(box, "effects") else 0, tried, time.time() - begun


def main(limit="50", seed="1", words=""):
    if subprocess.run(["strace", "-qqq", "-o", "/dev/null", "true"]).returncode:
        print("1..0 # skip strace may not trace here")
        return 0
    limit = None if limit == "order" else int(limit)
    jobs = [(name, limit, seed) for name in OPERATIONS if words in name]
    number = bad = states = 0
    with multiprocessing.Pool(os.cpu_count()) as pool:
        for results, effects, tried, seconds in pool.imap(play, jobs):
            states += tried
            for name, wrong in results:
                number += 1
                bad += bool(wrong)
                print(f"{'not ok' if wrong else 'ok'} {number} {name}", flush=True)
                for line in wrong:
                    print("#", line)
            print(f"# {effects} effects, {tried} states, {seconds:.1f} s")
    print(f"# {len(jobs)} operations, {states} states")
    print(f"1..{number}")
    return bad > 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
