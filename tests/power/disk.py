# SPDX-License-Identifier: ISC
"""What a disk may hold after a power cut, given what was done to its files until then.

Four models, each as bad as its file system may be. In all of them what a sync has covered is
there; of the rest:

ext4    data=ordered with delayed allocation (Documentation/admin-guide/ext4.rst: data=, delalloc,
        commit=). Changes of directories, owners and truncations are in one journal: a prefix of
        them, in their order, is there. fsync of anything commits all before it (jbd2 has one
        running transaction). A file grows on disk when its data is written back, in order of
        offsets, by whole pages or up to the size it had then ("all data are forced out prior to
        its metadata"); the new size is in the same journal, so all changes of directories
        before that write are there as well. Where a file grows within a block it already has,
        the size is not delayed, nor is it waited for that data: the block's rest may still be
        zeros, also where what follows in other blocks is there. Bytes overwritten in place
        are there or not; either may end between two sectors of 512 bytes, which is what a disk
        writes at once. A rename goes before the data of what is renamed: a new name may be that
        of an empty file (same page, auto_da_alloc: only where another file is replaced is that
        mended, and we replace none). A truncation is one of the changes in the journal.
ubifs   (Documentation/filesystems/ubifs.rst; doc/ubifs.html and faq/ubifs.html of linux-mtd:
        write-back, write-buffer, "holes at the end of files".) Changes of directories are
        nodes of one journal head: a prefix of them, in their order; fsync writes out the
        buffers that hold nodes of that file, and so all before them. A file's data is written
        back in order of offsets. Its size has a node of its own, in no order with the data: a
        file may be longer than its data, with zeros at its end; and where data is there that
        no size speaks of, recovery makes the file longer. A data node is a page with a CRC, so
        whole or not there; a page may be written back between two writes to it, which is a
        tear at any byte: here they are also where no write ends.
written data=writeback of ext4 ("a crash+recovery can cause incorrect data to appear in files which
        were written shortly before the crash"), and what has no journal for data at all (ext2,
        FAT): changes of names are those of ext4; a size does not wait for its data, whose pages
        come in any order, or only some sectors of one. What is missing is zeros; in the spool
        also what some other file had there before. Not in mailboxes: nothing in an mbox says
        which bytes are mail.
posix   what the standard promises and no more. fsync of a file covers its content, size and
        owner, not its name; fsync of a directory covers the names in it. Without that each
        change of a name is there or not, independent of all others, and so is a removal; a
        rename within a directory is one change, one to another directory is two. Of data that
        was not synced each write is there, half there, zeros, or not at all. Only a file's inode
        is one piece: where its new size is there, so is its owner.

Not modelled: media that lie about having written, and damage to what was synced.
"""
import hashlib
import itertools
import os
import zlib

BLOCK, SECTOR = 4096, 512
ALL = 1 << 40
MODELS = "ext4", "ubifs", "written", "posix"
EVENTS = "seen", "poll", "sends"  # nothing that a disk would know of
LINE = b"sent 1795341301 86467123 5f3a9c0d11e2b3a4 1 * 2.0.0 250 ok"
# Of another message, with a whole line of its journal.
STALE = b"\0\xa5\n%s %08x\nmtabox 1 " % (LINE, zlib.crc32(b"01liltsmdljkk0e2" + LINE))


class Node:
    __slots__ = "names", "data", "mode", "uid", "gid"

    def __init__(self, is_dir, mode, uid, gid, data=b""):
        self.names = {} if is_dir else None
        self.data, self.mode, self.uid, self.gid = data, mode, uid, gid

    def copy(self):
        node = Node(False, self.mode, self.uid, self.gid, self.data)
        node.names = None if self.names is None else dict(self.names)
        return node


class Tree:
    """Directories and files; node 0 is the top."""

    def __init__(self, nodes=None):
        self.nodes = nodes or {}

    @classmethod
    def load(cls, top):
        tree = cls()
        tree.load_node(os.fsencode(top))
        return tree

    def load_node(self, path):
        st = os.lstat(path)
        number, is_dir = self.fresh(), os.path.isdir(path)
        node = self.nodes[number] = Node(is_dir, st.st_mode & 0o7777, st.st_uid, st.st_gid)
        if is_dir:
            for name in sorted(os.listdir(path)):
                node.names[name] = self.load_node(os.path.join(path, name))
        else:
            node.data = open(path, "rb").read()
        return number

    def fresh(self):
        return len(self.nodes)

    def copy(self):
        return Tree({number: node.copy() for number, node in self.nodes.items()})

    def find(self, top, path):
        number = 0
        for part in path[len(top):].split(b"/"):
            if part and number is not None:
                number = self.nodes[number].names.get(part)
        return number

    def walk(self, path=b"", number=0):
        """(path, number, node), directories first."""
        node = self.nodes[number]
        yield path, number, node
        for name, child in sorted((node.names or {}).items()):
            yield from self.walk(path + b"/" + name, child)

    def apply(self, effect):
        kind, (first, *rest) = effect[0], effect[3:]
        if kind == "create":
            name, number, is_dir, mode, uid, gid = rest
            self.nodes[number] = Node(is_dir, mode, uid, gid)
            self.nodes[first].names[name] = number
        elif kind == "rename":
            self.nodes[first].names.pop(rest[0], None)
            self.nodes[rest[1]].names[rest[2]] = rest[3]
        elif kind == "unlink":
            self.nodes[first].names.pop(rest[0], None)
        elif kind == "write":
            self.nodes[first].data = overlay(self.nodes[first].data, *rest)
        elif kind == "cut":
            self.nodes[first].data = self.nodes[first].data[:rest[0]].ljust(rest[0], b"\0")
        elif kind == "owner":
            self.nodes[first].mode, self.nodes[first].uid, self.nodes[first].gid = rest

    def digest(self):
        h = hashlib.sha1()
        for path, number, node in self.walk():
            h.update(b"%s\0%d %d %d\0" % (path, node.mode, node.uid, node.gid))
            h.update(b"/" if node.names is not None else hashlib.sha1(node.data).digest())
        return h.digest()


def overlay(data, offset, new):
    return data[:offset].ljust(offset, b"\0") + new + data[offset + len(new):]


NAMES = {"create", "rename", "unlink"}
META = NAMES | {"cut", "owner"}


def nodes_of(effect):
    """Whose inodes such a change of names, or else, writes."""
    kind, arguments = effect[0], effect[3:]
    if kind == "create":
        return arguments[0], arguments[2]
    if kind == "rename":
        return arguments[0], arguments[2], arguments[4]
    if kind == "unlink":
        return arguments[0], arguments[2]
    return arguments[:1]


def steps(start, end, size):
    return range(start - start % size + size, end, size)


def breaks(start, end, model, random):
    """Where a write from start to end may be torn: between pages, between some two sectors, and,
    but for a disk with sectors, anywhere."""
    at, sectors = set(steps(start, end, BLOCK)), steps(start, end, SECTOR)
    if sectors and model != "ubifs":
        at.add(random.choice(sectors))
    if model in ("ubifs", "posix") and end - start > 1:
        at |= {start + (end - start) // 2, random.randrange(start + 1, end)}
    return sorted(at)


class Past:
    """The first effects of a trace, and what is certain of them by a model."""

    def __init__(self, base, effects, model, spool):
        self.base, self.model, self.spool = base, model, spool
        self.effects = [e for e in effects if e[0] not in EVENTS]
        self.certain = set()
        (self.sync_posix if model == "posix" else self.sync_ordered)()

    def sync_ordered(self):
        """fsync: all changes of names and the like up to the last that has to do with the node;
        all there are, where the node's size has changed since."""
        for at, sync in enumerate(self.effects):
            if sync[0] not in ("sync", "data"):
                continue
            node, last = sync[3], -1
            for n, e in enumerate(self.effects[:at]):
                if n in self.certain:
                    continue
                if e[0] == "write" and e[3] == node:
                    last = at
                    self.certain.add(n)
                elif e[0] in META and node in nodes_of(e):
                    last = max(last, n)
            self.certain.update(n for n in range(last + 1)
                                if n < at and self.effects[n][0] in META)

    def sync_posix(self):
        """Halves of a rename go by (number, "to")."""
        for at, sync in enumerate(self.effects):
            if sync[0] not in ("sync", "data"):
                continue
            for n, e in enumerate(self.effects[:at]):
                if e[0] in ("write", "cut", "owner"):
                    if e[3] == sync[3]:
                        self.certain.add(n)
                elif e[0] in NAMES:
                    if e[3] == sync[3]:
                        self.certain.add(n)
                    if e[0] == "rename" and e[5] == sync[3]:
                        self.certain.add((n, "to"))

    # --- content ---

    def history(self, node):
        """[(number, effect)] of a file's content and owner."""
        return [(n, e) for n, e in enumerate(self.effects)
                if e[0] in ("write", "cut", "owner") and e[3] == node]

    def start(self, node):
        if node in self.base.nodes:
            return self.base.nodes[node].copy()
        for e in self.effects:
            if e[0] == "create" and e[5] == node:
                return Node(*e[6:])

    def contents(self, node, limit, random):
        """All that a file may be: [(from, to, Node)]; it goes with names of so many effects.
        Where those are more than limit, some. Owners are not in it but in posix."""
        known, loose = self.start(node), []
        for n, e in self.history(node):
            if n in self.certain and not loose:
                known = done(known, e)
            elif e[0] != "owner" or self.model == "posix":
                loose.append((n, e))
        out, now = [(0, ALL, known)], known
        for n, e in loose:
            if e[0] == "write":
                out += self.with_write(out, now, n, e, random)
            elif e[0] == "owner":
                out += [(low, high, done(node, e)) for low, high, node in out]
            elif self.model == "posix":
                out += [(low, high, done(node, e)) for low, high, node in out]
            else:
                out = [(low, min(high, n), node) for low, high, node in out] + \
                    [(n + 1, high, shrunk(node, e[4])) for low, high, node in out]
            now = done(now, e)
            if len(out) > 2 * limit:
                out = out[:1] + random.sample(out[1:-1], limit) + out[-1:]
        if self.model == "ubifs":
            sizes = {e[4] + len(e[5]) for n, e in loose if e[0] == "write"}
            out += [(low, high, part(node, len(node.data), bytes(size - len(node.data))))
                    for low, high, node in out for size in sizes if len(node.data) < size]
        return out

    def with_write(self, out, now, n, e, random):
        """What comes of a write, besides what there was without it (out); now: with all before."""
        offset, new = e[4], e[5]
        size, end = len(now.data), offset + len(new)
        torn = breaks(offset, end, self.model, random)
        if self.model in ("posix", "written"):
            return self.with_pieces(out, n, e, torn)
        if end <= size:  # in place
            there = [(low, high, node) for low, high, node in out if len(node.data) >= end]
            halves = [(offset, new[:at - offset]) for at in torn] + \
                [(at, new[at - offset:]) for at in torn] + [(offset, new)]
            return [(low, high, part(node, *half)) for half in halves for low, high, node in there]
        low = n if self.model == "ext4" else 0
        grown = [(low, ALL, part(now, offset, new[:at - offset])) for at in torn
                 if at % BLOCK == 0 or self.model == "ubifs"]
        if self.model == "ext4" and size % BLOCK:
            rest = min(size - size % BLOCK + BLOCK, end) - offset
            ways = [bytes(rest)]
            for at in torn:
                if at - offset < rest:  # its sectors come in any order
                    ways += [new[:at - offset] + bytes(rest - (at - offset)),
                             bytes(at - offset) + new[at - offset:rest]]
            for way in ways:
                grown += [(low, ALL, part(now, offset, way)),
                          (low, ALL, part(now, offset, way + new[rest:]))]
        return grown + [(low, ALL, done(now, e))]

    def with_pieces(self, out, n, e, torn):
        """Of a write's pieces each is there, or zeros, or what its block held before."""
        offset, new = e[4], e[5]
        fillers = [bytes(len(new))]
        if self.model == "written" and e[3] in self.spool:
            fillers.append((STALE * (len(new) // len(STALE) + 1))[:len(new)])
        ways = fillers + [new[:at - offset] for at in torn]
        for filler in fillers:
            for at in torn:
                ways += [filler[:at - offset] + new[at - offset:],
                         new[:at - offset] + filler[at - offset:]]
        owner = [old for m, old in self.history(e[3]) if m < n and old[0] == "owner"][-1:] \
            if self.model == "posix" else []
        return [(low, high, part(done(node, owner[0]) if owner else node, offset, way))
                for way in ways + [new] for low, high, node in out]

    def owned(self, node, number, upto):
        """In the ordered models owners change as names do."""
        for n, e in self.history(number) if self.model != "posix" else ():
            if n < upto and e[0] == "owner":
                node = done(node, e)
        return node


def shrunk(node, size):
    node = node.copy()
    node.data = node.data[:size]
    return node


def done(node, effect):
    tree = Tree({effect[3]: node.copy()})
    tree.apply(effect)
    return tree.nodes[effect[3]]


def part(node, offset, data):
    node = node.copy()
    node.data = overlay(node.data, offset, data)
    return node


def name_states(past, limit, random):
    """[(how many effects these names go with, the changes of names that have happened)]."""
    effects = past.effects
    loose = [n for n, e in enumerate(effects) if e[0] in META and n not in past.certain]
    if past.model != "posix":
        for upto in loose + [len(effects)]:
            yield upto, [e for e in effects[:upto] if e[0] in NAMES]
        return
    units = []  # what may be there or not
    for n, e in enumerate(effects):
        if e[0] in NAMES and n not in past.certain:
            units.append(n)
        if e[0] == "rename" and e[3] != e[5] and (n, "to") not in past.certain:
            units.append((n, "to"))
    for missing in subsets(units, limit, random):
        yield len(effects), [e for e in without(effects, missing) if e[0] in NAMES]


def without(effects, missing):
    for n, e in enumerate(effects):
        if e[0] == "rename" and e[3] != e[5]:
            if n not in missing:
                yield ("unlink", *e[1:5], e[7])
            if (n, "to") not in missing:
                yield ("rename", *e[1:3], e[5], None, *e[5:])
        elif n not in missing:
            yield e


def subsets(units, limit, random):
    """All of them, or where those are more than limit: none, all, one less, one more, and some."""
    if 2 ** len(units) <= limit:
        return [set(c) for size in range(len(units) + 1)
                for c in itertools.combinations(units, size)]
    out = [set(), set(units)] + [{u} for u in units] + [set(units) - {u} for u in units]
    while len(out) < limit:
        out.append({u for u in units if random.random() < .5})
    return out


def mixtures(choices, limit, random):
    """One of each list of choices: all combinations, or some as above."""
    count = 1
    for c in choices:
        count *= len(c)
    if count <= limit:
        return list(itertools.product(*choices))
    first, last = tuple(c[0] for c in choices), tuple(c[-1] for c in choices)
    out = [first, last]
    for n, c in enumerate(choices):
        some = c if len(c) <= limit else random.sample(c, limit)
        for one in some:
            out += [first[:n] + (one,) + first[n + 1:], last[:n] + (one,) + last[n + 1:]]
    if len(out) > 2 * limit:
        out = out[:2] + random.sample(out[2:], 2 * limit - 2)
    while len(out) < 2 * limit:
        out.append(tuple(random.choice(c) for c in choices))
    return out


def states(base, effects, model, limit, random, spool=()):
    """Trees that a power cut after these effects may leave, each at least once. spool: the files
    in it."""
    past = Past(base, effects, model, spool)
    made = {e[5]: Node(*e[6:]) for e in past.effects if e[0] == "create"}
    contents = {}
    for upto, names in name_states(past, limit, random):
        tree = base.copy()
        tree.nodes.update((number, node.copy()) for number, node in made.items())
        for e in names:
            if e[0] == "create":
                tree.nodes[e[3]].names[e[4]] = e[5]
            else:
                tree.apply(e)
        own_directories(past, tree, upto, random)
        files, choices = [], []
        for path, number, node in tree.walk():
            if node.names is not None or number in files or not past.history(number):
                continue
            if number not in contents:
                contents[number] = past.contents(number, limit, random)
            files.append(number)
            choices.append(distinct([past.owned(node, number, upto)
                                     for low, high, node in contents[number]
                                     if low <= upto <= high]))
        for mixture in mixtures(choices, limit, random):
            out = Tree(dict(tree.nodes))
            out.nodes.update(zip(files, mixture))
            yield out


def own_directories(past, tree, upto, random):
    """Modes of directories are changed as names are, or (posix) each by itself."""
    for n, e in enumerate(past.effects):
        if e[0] != "owner" or tree.nodes[e[3]].names is None:
            continue
        if n in past.certain or (n < upto if past.model != "posix" else random.random() < .5):
            tree.apply(e)


def distinct(nodes):
    return list({(n.data, n.mode, n.uid, n.gid): n for n in nodes}.values())
