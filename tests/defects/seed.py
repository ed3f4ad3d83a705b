# SPDX-License-Identifier: ISC
"""Where a program syncs, locks and checks, and each of these places with a defect that can be
turned on.

A place is known by its module, its function, its kind, its text and the how many-th it is with that
text. Kinds:

    sync    a call that brings something to the disk: it is not made, and "succeeded"
    lock    a call that locks or looks again whether the name still means what is locked, or what
            says that a file must be new: it is not made, and the lock "was free", the name "the same"
    check   what tells whether a call has failed: it never has. The call itself is made.

The text of a check is the smallest condition: of "a() || b < 0" there are two. What a call has
given is followed through a function's own variables and members, as far as one assignment goes.
"""
import collections
import json
import re
import subprocess

MODULES = """io file journal envelope spool submit direct session dispatch attempt crew queue runner
    watch worker mbox maildir pipe local relay reach channel talk secret user dsn render parcel
    alias""".split()

SYNCS = {"fsync", "fdatasync", "file_sync", "file_sync_dir", "file_sync_parent", "spool_sync",
         "sync_mail"}
# What a lock that is not taken says: "it is ours".
LOCKS = {"flock": "0", "file_lock": "0", "file_is": "1", "take_dotlock": "0", "fcntl": "0"}
# Words: the kind, what stands there instead, where.
WORDS = (("O_EXCL", "lock", "0", MODULES), (r"1 /\* RENAME_NOREPLACE \*/", "lock", "0", MODULES),
         ("SPOOL_FINAL|SPOOL_SYNCED_NOTE", "sync", "SPOOL_NOTE", ["attempt"]),
         (r"(?<=[,:] )SYNCED(?=[,;)])", "sync", "KEPT", ["attempt"]))

# Not 0 and not -1: what they give is no failure.
QUESTIONS = set("""strcmp strncmp memcmp strchr strrchr memchr memmem strstr getenv isatty waitpid
    geteuid getegid getuid fork worker_wants_write file_is CMSG_FIRSTHDR CMSG_NXTHDR __cmsg_nxthdr
    find needs_newline began_with_newline clock_ms""".split())
# True, or an int that is 1: it went well.
SUCCESS = set("""attempt_write attempt_add_bounce attempt_add_warning reach_run sandbox_enter
    room_fits""".split())
# A pointer: why it failed. Others give one when it went well.
REASONS = {"read_part", "read_first", "read_message", "parse", "parse_rcpt", "parse_rcpts", "parse_notify"}
# These give a number of bytes, of which 0 is the end.
READS = set("""read pread recv recvmsg source_read file_read_at channel_read net_read tls_read read_some
    worker_receive send_some splice reader_bytes write pwrite sendmsg send""".split())
# A failure by name.
FAILURES = {"SPOOL_ERROR", "SPOOL_BUSY", "SPOOL_GONE"}

Place = collections.namedtuple("Place", "module function kind text nth line begin end form")


def name_of(place):
    """By which it is known for as long as its text stays the same."""
    nth = f" ({place.nth})" if place.nth > 1 else ""
    return f"{place.module} {place.function} {place.kind}: {place.text}{nth}"


# --- clang's tree -------------------------------------------------------------------------------

TRANSPARENT = {"ParenExpr", "ImplicitCastExpr", "ConstantExpr", "CStyleCastExpr"}


def strip(node):
    while node["kind"] in TRANSPARENT and node.get("inner"):
        node = node["inner"][-1]
    return node


def parts(node):
    return [n for n in node.get("inner", ()) if n.get("kind")]


def dump(path, flags):
    done = subprocess.run(["clang", "-fsyntax-only", "-w", *flags, "-Xclang", "-ast-dump=json",
                           path], stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout)


class Function:
    def __init__(self, source, node, found):
        self.source, self.found, self.given = source, found, {}
        self.collect(node)
        self.look(node, None)

    def text(self, node):
        begin, end = self.extent(node)
        return " ".join(self.source[begin:end].decode().split())

    def extent(self, node):
        """In the file itself; what comes from a macro as a whole."""
        begin, end = node["range"]["begin"], node["range"]["end"]
        begin = begin.get("expansionLoc", begin)
        last = end.get("expansionLoc", end)
        stop = last["offset"] + last["tokLen"]
        if "expansionLoc" in end and self.source[stop:stop + 1] == b"(":
            stop = self.closing(stop)
        return begin["offset"], stop

    def closing(self, at):
        depth = 0
        while True:
            depth += {40: 1, 41: -1}.get(self.source[at], 0)
            at += 1
            if depth == 0:
                return at

    # What variables have been given.

    def called(self, node):
        """The function whose result this is, if it is one's."""
        node = strip(node)
        if node["kind"] == "CallExpr":
            callee = strip(parts(node)[0])
            return callee.get("referencedDecl", {}).get("name") or callee.get("name") or "?"
        if node["kind"] == "BinaryOperator" and node.get("opcode") == "=":
            return self.called(parts(node)[1])
        if node["kind"] == "ConditionalOperator":
            return self.called(parts(node)[1]) or self.called(parts(node)[2])
        return None

    def source_of(self, node):
        """The function whose result it is, or was."""
        node = strip(node)
        return self.called(node) or self.given.get(self.text(node))

    def collect(self, node):
        inner = parts(node)
        name = value = None
        if node["kind"] == "VarDecl" and node.get("init"):
            name, value = node["name"], inner[-1]
        elif node["kind"] == "BinaryOperator" and node.get("opcode") == "=":
            name, value = self.text(inner[0]), inner[1]
        if name:
            plain = strip(value)
            if plain["kind"] == "BinaryOperator" and plain.get("opcode") in ("||", "&&"):
                self.given[name] = "||"
            elif (called := self.called(value)):
                self.given[name] = called
            elif plain["kind"] == "ConditionalOperator" and self.text(plain).endswith("? -1 : 0"):
                self.given[name] = "||"
        for n in inner:
            self.collect(n)

    # The places.

    def add(self, node, kind, form, wide=False):
        begin, end = self.extent(node)
        if not any((p[0], p[1], p[2]) == (begin, end, kind) for p in self.found):
            self.found.append((begin, end, kind, form))

    def look(self, node, parent):
        kind, inner = node["kind"], parts(node)
        if kind == "CallExpr":
            self.look_at_call(node)
        if kind in ("IfStmt", "WhileStmt", "ConditionalOperator") and inner:
            self.condition(inner[0], kind == "WhileStmt")
        elif kind == "ForStmt":
            condition = node["inner"][2]
            if condition.get("kind"):
                self.condition(condition, True)
        elif kind == "DoStmt":
            self.condition(inner[1], True)
        elif kind == "BinaryOperator" and node.get("opcode") in ("||", "&&"):
            self.condition(node, False)
        for n in inner:
            self.look(n, node)

    def look_at_call(self, node):
        name = self.called(node)
        text = self.text(node)
        if name in SYNCS:
            self.add(node, "sync", "SEEDED_CALL({n}, 0, ")
        elif name in LOCKS and (name != "fcntl" or "F_SETLK" in text):
            self.add(node, "lock", "SEEDED_CALL({n}, %s, " % LOCKS[name])

    def condition(self, node, loop):
        node = strip(node)
        kind = node["kind"]
        if kind == "BinaryOperator" and node.get("opcode") in ("||", "&&"):
            for n in parts(node):
                self.condition(n, loop)
            return
        if kind == "UnaryOperator" and node.get("opcode") == "!":
            under = strip(parts(node)[0])
            if under["kind"] == "BinaryOperator" and under.get("opcode") in ("||", "&&"):
                self.condition(under, loop)
                return
        failed = self.failure(node)
        if failed is None or (loop and failed is False):
            return
        if "st_nlink" in self.text(node):
            kind = "lock"
        else:
            kind = "check"
        self.add(node, kind, "SEEDED_NEVER({n}, " if failed else "SEEDED_ALWAYS({n}, ")

    def failure(self, node):
        """True: the condition says that something failed; False: that it went well."""
        kind, text = node["kind"], self.text(node)
        if re.search(r"st_nlink\b", text):
            return {"== 0": True, "!= 1": True}.get(text[-4:], False)
        if kind == "UnaryOperator" and node.get("opcode") == "!":
            inner = self.truth(strip(parts(node)[0]))
            return None if inner is None else not inner
        if kind == "BinaryOperator":
            return self.comparison(node)
        return self.truth(node)

    def truth(self, node):
        called = self.source_of(node)
        kind = node.get("type", {}).get("desugaredQualType", node.get("type", {}).get("qualType", ""))
        if node["kind"] == "MemberExpr" and node.get("name") == "error":
            return True
        if called is None or called in QUESTIONS:
            return None
        if called in SUCCESS:
            return False
        if kind.endswith("*"):
            return True if called in REASONS else None
        if kind in ("int", "long", "ssize_t"):
            return True
        return None

    def comparison(self, node):
        left, right = (strip(n) for n in parts(node))
        opcode, value = node["opcode"], self.text(right)
        called = self.source_of(left)
        if value in FAILURES and opcode in ("==", "!="):
            return opcode == "=="
        if value == "SPOOL_OK" and opcode in ("==", "!="):
            return opcode == "!="
        if called is None or called in ("fork", "geteuid", "getuid", "strcmp", "memcmp"):
            return None
        kind = left.get("type", {}).get("qualType", "")
        if kind in ("size_t", "char", "uint64_t", "unsigned int", "int64_t", "unsigned long"):
            return None
        if called == "file_is":
            return {"== 1": False, "!= 1": True, "< 0": True, "== 0": True}.get(f"{opcode} {value}")
        if opcode in ("==", ">") and value == "0" and (called in READS or "pid" in self.text(left)):
            return None
        if opcode == ">" and left["kind"] != "CallExpr":
            return None
        known = {"< 0": True, "<= 0": True, "== -1": True, "!= 0": True, "== 0": False,
                 ">= 0": False, "> 0": False}
        if f"{opcode} {value}" in known:
            return known[f"{opcode} {value}"]
        if opcode in ("==", "!=") and kind in ("ssize_t", "long", "int"):
            return opcode == "!="
        return None


def only_closes(source, end):
    """Behind "if (fd >= 0": nothing but close(fd)."""
    return re.match(rb"\)\s*\n\s*close(_quietly)?\(", source[end:])


def places_of(module, path, flags):
    with open(path, "rb") as f:
        source = f.read()
    found, functions = [], []
    for node in dump(path, flags)["inner"]:
        if node["kind"] == "FunctionDecl" and "includedFrom" not in node["loc"] and any(
                n["kind"] == "CompoundStmt" for n in parts(node)):
            begin, end = Function(source, node, found).extent(node)
            functions.append((begin, end, node["name"]))
    for word, kind, instead, where in WORDS:
        for m in re.finditer(word.encode(), source) if module in where else ():
            if any(begin <= m.start() < end for begin, end, _ in functions):
                found.append((m.start(), m.end(), kind, "SEEDED_CALL({n}, %s, " % instead))
    seen, places = collections.Counter(), []
    for begin, end, kind, form in sorted(found, key=lambda f: (f[0], -f[1], f[2])):
        if kind == "check" and only_closes(source, end):
            continue
        text = " ".join(source[begin:end].decode().split())
        function = [name for first, last, name in functions if first <= begin < last][0]
        seen[function, kind, text] += 1
        places.append(Place(module, function, kind, text, seen[function, kind, text],
                            source[:begin].count(b"\n") + 1, begin, end, form))
    return source, places


def seeded(source, places, first):
    """The source with all places, numbered from FIRST on."""
    marks = []
    for n, p in enumerate(places, first):
        marks.append((p.begin, 1, -p.end, p.kind != "sync" and p.kind != "lock", p.form.format(n=n)))
        marks.append((p.end, 0, -p.begin, True, ")"))
    out, last = [], 0
    # At one offset what ends comes first; of what begins, the longest, a check outside of its call.
    for at, begins, _, _, text in sorted(marks, key=lambda m: (m[0], m[1], m[2], not m[3])):
        out += [source[last:at], text.encode()]
        last = at
    return b'#include "seeded.h"\n#line 1\n' + b"".join(out) + source[last:]

