# SPDX-License-Identifier: ISC
"""Whether a trace does things in the order that DESIGN asks for, whatever comes of it.

- A message has its content on disk before it gets its name (Q in the spool, new in a Maildir).
- Its name, and those of the directories around it, are on disk before exit 0 and before the 250;
  so is what mailq has done to it. What the runner itself sets aside or holds needs no sync: by
  either name the message is there, and the next runner finds the same.
- A final verdict, a bounce, a warning, an expansion, a place in an mbox is on disk before its
  process changes anything else, or says anything to a worker; that a recipient is expanded is not
  in one write with to whom.
- Nothing goes into an mbox before its place is on disk, or in front of that place; who has changed
  one, or cut it, says nothing before that is on disk; it stays locked until the verdict is.
- A message that could not be made safe, and so was not accepted, is off the disk before that is
  said.
- What is delivered with no queue (deliver USER) is on disk with its name before exit 0.
- A mail is on disk, with all names around it, before its verdict is recorded or replaced by the
  removal of the message.
- Removals are on disk before there are more than 16, before the runner sleeps longer than 200 ms,
  and before it ends.
"""
import re

SYNC_COUNT, SYNC_MS = 16, 200
SYNCED = b"sent", b"passed", b"failed", b"bounce", b"warning", b"expand", b"mailbox"


def in_set(rcpt, printed):
    """printed: of a journal; None: all."""
    if printed in (None, b"*"):
        return True
    for piece in printed.split(b","):
        first, _, last = piece.partition(b"-")
        if int(first) <= rcpt <= int(last or first):
            return True
    return False


class Order:
    def __init__(self, base, effects, inodes, spool, at_once=False):
        """inodes: {node: inode} of all files that have a name in the end. at_once: there is no
        queue that a mailbox's place could stand in, and mail must be on disk at exit 0."""
        self.effects, self.spool, self.inodes = effects, spool, inodes
        self.at_once = at_once
        self.wrong = []
        self.dirty = set()      # nodes with data that is not synced
        self.loose = {}         # node: the directory in which its name is not synced
        self.parent, self.name = {0: None}, {0: b""}
        self.places = {}        # (journal's node, recipient): [inode, start, is durable]
        self.removals, self.remover = 0, 0
        self.writer = {}        # of a journal, last
        self.recorded = set()   # (journal's node, recipient) with a verdict of its own
        self.unsure = set()     # inodes of mailboxes whose mail has no verdict on disk yet
        for _, number, node in base.walk():
            for name, child in (node.names or {}).items():
                self.parent[child], self.name[child] = number, name
            if node.data.startswith(b"mtabox "):
                self.note_places(number, node.data, True)
        for at, e in enumerate(effects):
            getattr(self, "on_" + e[0])(at, e[1], *e[3:])

    def say(self, words):
        if words not in self.wrong:
            self.wrong.append(words)

    def path(self, node):
        return b"" if node == 0 else self.path(self.parent[node]) + b"/" + self.name[node]

    def named(self, directory, name):
        return next((n for n, d in self.parent.items()
                     if d == directory and self.name.get(n) == name), None)

    def is_loose(self, node):
        return node is not None and (node in self.loose or self.is_loose(self.parent[node]))

    # --- effects ---

    def on_create(self, at, pid, directory, name, node, *rest):
        self.parent[node], self.name[node] = directory, name
        self.loose[node] = directory
        if directory == 0 and name == b"spool":
            self.spool = node

    def on_rename(self, at, pid, _, __, directory, name, node):
        self.on_create(at, pid, directory, name, node)
        if directory == self.spool and name[:1] == b"H" and self.writer.get(node) == pid:
            del self.loose[node]
        if node in self.dirty and (name[:1] == b"Q" or self.name[directory] == b"new"):
            self.say(f"{self.path(node)} gets its name before its content is synced (fsync)")

    def on_unlink(self, at, pid, directory, name, node):
        self.loose.pop(node, None)
        if directory != self.spool:
            box = self.named(directory, name.removesuffix(b".lock"))
            if self.inodes.get(box) in self.unsure:
                self.say(f"{self.path(box)} is unlocked before its verdict is on disk")
            del self.name[node]
            self.dirty.discard(node)
        elif name[:1] in b"QHC":
            self.check_verdict(node, None)
            self.removals, self.remover = self.removals + 1, pid
            self.unsure |= {place[0] for key, place in self.places.items()
                            if key[0] == node and key not in self.recorded}
            if self.removals > SYNC_COUNT:
                self.say(f"{self.removals} removals that are not synced")

    def on_write(self, at, pid, node, offset, data):
        path = self.path(node)
        self.dirty.add(node)
        self.writer[node] = pid
        if path.startswith(b"/spool/Q"):
            self.on_lines(at, pid, node, path.decode(), data)
        elif path.startswith(b"/mail/") and not path.endswith(b".lock") and not self.at_once:
            places = [p for p in self.places.values() if p[0] == self.inodes[node]]
            if not places or not places[-1][2]:
                self.say(f"{path} is written to before its place is on disk")
            elif offset < places[-1][1]:
                self.say(f"{path} is written to before its place")

    def on_lines(self, at, pid, node, path, data):
        self.note_places(node, data, False)
        if re.search(rb"(?m)^expand ", data) and re.search(rb"(?m)^sent ", data):
            self.say("an expansion and its end are one write")
        for line in data.split(b"\n"):
            words = line.split(b" ")
            if words[0] not in SYNCED:
                continue
            if words[0] in (b"sent", b"passed"):
                self.check_verdict(node, words[5])
                self.recorded |= {key for key in self.places
                                  if key[0] == node and in_set(key[1], words[5])}
            after = next((e for e in self.effects[at + 1:] if e[1] == pid), None)
            if not after or after[0] not in ("data", "sync") or after[3] != node:
                self.say(f"{path}: its line \"{words[0].decode()}\" is not on disk (fdatasync) "
                         f"before the process goes on to: {after[0] if after else 'its end'}")

    def on_cut(self, at, pid, node, size):
        self.dirty.add(node)
        self.writer[node] = pid

    def on_owner(self, *_):
        pass

    def on_sends(self, at, pid, call):
        for node in self.dirty:
            path = self.path(node)
            if self.writer[node] == pid and path.startswith(b"/mail/") and \
                    not path.endswith(b".lock"):
                self.say(f"whoever has changed {path} says something before it is synced (fsync)")

    def on_sync(self, at, pid, node):
        self.dirty.discard(node)
        self.loose = {n: directory for n, directory in self.loose.items() if directory != node}
        if node == self.spool:
            self.removals = 0
            self.unsure.clear()
        for (journal, _), place in self.places.items():
            place[2] = place[2] or journal == node

    on_data = on_sync

    def on_poll(self, at, pid, milliseconds):
        if self.removals and pid == self.remover and not 0 <= milliseconds <= SYNC_MS:
            self.say(f"sleeps {milliseconds} ms with {self.removals} removals that are not synced")

    def on_seen(self, at, pid, words):
        if self.removals and words.startswith("exit "):
            self.say(f"{words} before the spool directory is synced, where something was removed")
        if not words.startswith("exit 0") and words != "told":
            return
        if self.is_loose(self.spool) or \
                any(self.parent[n] == self.spool and self.name[n][:1] in b"QH" for n in self.loose):
            self.say(f"{words} before the spool directory is synced, or a name on the way to it")
        for node in self.name if self.at_once else ():
            path = self.path(node)
            if path.startswith((b"/mail/", b"/home/")) and not path.endswith(b".lock") and \
                    (node in self.dirty or self.is_loose(node)):
                self.say(f"{words} before {path} is synced, or a name on the way to it")

    # --- mail in its place ---

    def note_places(self, node, data, durable):
        for line in re.findall(rb"(?m)^mailbox .*$", data):
            words = line.split(b" ")
            self.places.pop((node, int(words[5])), None)  # the newest is the last
            self.places[node, int(words[5])] = [int(words[7]), int(words[8]), durable]

    def check_verdict(self, journal, rcpts):
        """Of these recipients, is recorded now."""
        inodes = {place[0] for (j, rcpt), place in self.places.items()
                  if j == journal and in_set(rcpt, rcpts)}
        file = re.compile(rb"\.%sR(\d+)\." % self.name[journal][1:])
        for node, name in self.name.items():
            m = file.search(name)
            if self.inodes.get(node) not in inodes and not (m and in_set(int(m[1]), rcpts)):
                continue
            if node in self.dirty or self.is_loose(node):
                self.say(f"{self.path(node)} is not synced, or a name on the way to it, before its "
                         "verdict is recorded")
