# SPDX-License-Identifier: ISC
"""What a command does to the files below one directory, in order, as strace sees it.

An effect is a tuple; files and directories go by numbers (disk.Tree):

    create  DIR NAME NODE IS_DIR MODE UID GID
    rename  DIR NAME DIR NAME NODE
    unlink  DIR NAME NODE
    write   NODE OFFSET BYTES
    cut     NODE SIZE              ftruncate
    owner   NODE MODE UID GID      fchmod, fchown: what it is then
    sync    NODE                   fsync of a file or a directory
    data    NODE                   fdatasync
    seen    WORDS                  not a change: what the world outside was told, or has told
    poll    MILLISECONDS           nor this: how long a process may sleep
    sends   CALL                   nor this: something to another process, or a server

Each is (kind, pid, time, arguments...), and is there once the call has succeeded.
"""
import os
import re
import subprocess

CALLS = ("openat,open,creat,mkdir,mkdirat,rmdir,unlink,unlinkat,rename,renameat,renameat2,link,"
         "linkat,symlink,symlinkat,write,pwrite64,writev,pwritev,pwritev2,sendfile,"
         "copy_file_range,fallocate,truncate,ftruncate,lseek,fchmod,fchown,chmod,chown,fchmodat,"
         "fchownat,lchown,fsync,fdatasync,sync,syncfs,sync_file_range,msync,setresuid,setresgid,"
         "poll,read,recvfrom,recvmsg,sendto,sendmsg,exit_group")
SILENT = {"read", "recvfrom", "recvmsg", "poll", "setresuid", "setresgid", "lseek"}
LINE = re.compile(r"(\d+) +(\d+\.\d+) (.*)\n")
CALL = re.compile(r"(\w+)\((.*)\) += (-?\d+)")
STRING = re.compile(r'"((?:\\x[0-9a-f]{2})*)"(\.\.\.)?')
FILE = re.compile(r"(-?\w+)<((?:\\x[0-9a-f]{2})+)>(\(deleted\))?")


def unhex(text):
    return bytes.fromhex(text.replace("\\x", ""))


class Recorder:
    """Effects on what is below top, which tree is a picture of and follows."""

    def __init__(self, top, tree):
        self.top, self.tree = os.fsencode(top), tree
        self.effects = []
        self.position = {}  # (pid, descriptor): [offset, appends]
        self.rights = {}    # pid: [uid, gid]

    def run(self, command, stdin=b"", tamper=(), told=None):
        """The command's exit status. told: what it says on standard output that counts."""
        log = os.path.join(os.path.dirname(os.fsdecode(self.top)), "trace")
        self.told = told
        done = subprocess.run(
            ["strace", "-f", "-qqq", "-xx", "-y", "-ttt", "-s", "1000000", "-o", log,
             "-e", "trace=" + CALLS, *tamper, *command],
            input=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60)
        self.read(log)
        os.unlink(log)
        return done

    def add(self, kind, pid, time, *arguments):
        effect = (kind, pid, time, *arguments)
        self.effects.append(effect)
        self.tree.apply(effect)

    def read(self, log):
        begun, first = {}, None
        self.position.clear()
        self.rights.clear()
        for line in open(log):
            pid, time, text = LINE.fullmatch(line).groups()
            first = first or pid
            if text.startswith(("---", "+++")):
                continue
            if pid == first and text.startswith("exit_group("):
                self.add("seen", int(pid), float(time), "exit " + text[11:].split(")")[0])
            resumed = re.match(r"<\.\.\. \w+ resumed>", text)
            if resumed:
                text = begun.pop(pid) + text[resumed.end():]
            if text.endswith("<unfinished ...>"):
                begun[pid] = text.removesuffix("<unfinished ...>")
                continue
            call = CALL.match(text)
            if call:
                self.take(int(pid), float(time), call[1], call[2].rstrip(), int(call[3]), text)

    def inside(self, path):
        return path == self.top or path.startswith(self.top + b"/")

    def split(self, path):
        """(directory, name) of a path inside."""
        return self.tree.find(self.top, os.path.dirname(path)), os.path.basename(path)

    def take(self, pid, time, name, text, result, line):
        strings = [unhex(m[1]) for m in STRING.finditer(text)]
        files = list(FILE.finditer(text))
        if name == "poll":
            self.add("poll", pid, time, int(text.rsplit(", ", 1)[1]))
        if result < 0:
            return
        if name in ("setresuid", "setresgid"):
            rights = self.rights.setdefault(pid, [os.geteuid(), os.getegid()])
            rights[name == "setresgid"] = int(text.split(",")[0])
        if name in ("sendto", "sendmsg"):
            self.add("sends", pid, time, name)
            return
        if name in ("read", "recvfrom", "recvmsg"):
            for words in strings:
                for m in re.finditer(rb"250 [^\r\n]*taken \d+", words):
                    self.add("seen", pid, time, m[0].decode().split("250 2.0.0 ")[1])
            return
        if name == "write" and self.told and text.startswith("1<") and \
                re.search(self.told, strings[0]):
            self.add("seen", pid, time, "told")
        place = unhex(files[0][2]) if files else None
        if name in ("openat", "open", "creat", "mkdir", "mkdirat", "unlink", "unlinkat", "rmdir"):
            path = os.path.normpath(os.path.join(place or b"/", strings[0]))
            if not self.inside(path):
                return
            if name in ("openat", "open", "creat"):
                self.opened(pid, time, path, text, result)
            elif name.startswith("mkdir"):
                self.created(pid, time, path, True, int(text.rsplit(" ", 1)[1], 8))
            else:
                directory, last = self.split(path)
                self.add("unlink", pid, time, directory, last, self.tree.find(self.top, path))
        elif name == "renameat2":
            paths = [os.path.normpath(os.path.join(unhex(f[2]), s))
                     for f, s in zip(files, strings)]
            if self.inside(paths[0]):
                self.add("rename", pid, time, *self.split(paths[0]), *self.split(paths[1]),
                         self.tree.find(self.top, paths[0]))
        elif place and self.inside(place) and not files[0][3]:
            self.on_file(pid, time, name, text, int(files[0][1]), strings, result,
                         self.tree.find(self.top, place))
        elif name not in SILENT and any(self.inside(s) for s in strings):
            raise ValueError(f"what does this do? {line[:200]}")

    def opened(self, pid, time, path, text, result):
        descriptor = result
        self.position[pid, descriptor] = [0, "O_APPEND" in text]
        if "O_CREAT" in text and self.tree.find(self.top, path) is None:
            self.created(pid, time, path, False, int(re.search(r", (0\d+)\)?", text)[1], 8))
        if "O_TRUNC" in text:
            self.add("cut", pid, time, self.tree.find(self.top, path), 0)

    def created(self, pid, time, path, is_dir, mode):
        uid, gid = self.rights.get(pid, [os.geteuid(), os.getegid()])
        self.add("create", pid, time, *self.split(path), self.tree.fresh(), is_dir,
                 mode & ~0o022, uid, gid)

    def on_file(self, pid, time, name, text, descriptor, strings, result, node):
        if name in ("write", "pwrite64"):
            place = self.position[pid, descriptor]
            offset = int(text.rsplit(", ", 1)[1]) if name == "pwrite64" else \
                len(self.tree.nodes[node].data) if place[1] else place[0]
            self.add("write", pid, time, node, offset, strings[-1][:result])
            if name == "write":
                place[0] = offset + result
        elif name == "lseek":
            self.position[pid, descriptor][0] = result
        elif name == "ftruncate":
            self.add("cut", pid, time, node, int(text.rsplit(", ", 1)[1]))
        elif name in ("fchmod", "fchown"):
            old = self.tree.nodes[node]
            words = text.split(", ")[1:]
            new = (int(words[0], 8), old.uid, old.gid) if name == "fchmod" else \
                (old.mode, int(words[0]), int(words[1]))
            self.add("owner", pid, time, node, *new)
        elif name in ("fsync", "fdatasync"):
            self.add("sync" if name == "fsync" else "data", pid, time, node)
        elif name not in SILENT:
            raise ValueError(f"what does this do? {name}({text[:200]}")
