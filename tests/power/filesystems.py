#!/usr/bin/python3 -sSB
# SPDX-License-Identifier: ISC
"""Real file systems: queue and mailboxes on each, with room, without, read-only, and after power
cuts on the blocks that it has really written (blocks.py).

usage: filesystems.py [STATES [SEED [WORDS]]]; prints TAP. STATES: power cuts for each (default 12).

A kind that this kernel does not have, or that nobody here can make, is counted as skipped. Needs
root; all mounts are in a name space of our own.
"""
import ctypes
import os
import pwd
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "../applet")]
import blocks
import mbox

MTABOX = os.path.realpath(os.environ.get("MTABOX", os.path.join(HERE, "../../build/mtabox")))
ME = pwd.getpwuid(os.geteuid()).pw_name
CLONE_NEWNS, MS_PRIVATE_REC = 0x20000, 0x44000
MB = 1 << 20


class Kind:
    """make: the command that makes one in a file, or none: no blocks. tear: what a write may be
    cut into: disks write 512 bytes at once; those with copies of whole pages count on that."""

    def __init__(self, name, type, *make, options="", size=16, tear=512):
        self.name, self.type, self.make, self.options = name, type, make, options
        self.size, self.tear = size * MB, tear

    def missing(self):
        with open("/proc/filesystems") as file:
            if self.type not in file.read().split():
                return f"this kernel has no {self.type}"
        if self.make and not shutil.which(self.make[0], path="/usr/sbin:/sbin:/usr/bin:/bin"):
            return f"no {self.make[0]}"


EXT = "mke2fs", "-q", "-F", "-t"
KINDS = [
    Kind("ext4", "ext4", *EXT, "ext4"),
    Kind("ext4 data=writeback", "ext4", *EXT, "ext4", options="data=writeback"),
    Kind("ext4 data=journal", "ext4", *EXT, "ext4", options="data=journal"),
    Kind("ext4 nodelalloc", "ext4", *EXT, "ext4", options="nodelalloc"),
    Kind("ext4 without journal", "ext4", *EXT, "ext4", "-O", "^has_journal"),
    Kind("ext3", "ext3", *EXT, "ext3"),
    Kind("ext2", "ext2", *EXT, "ext2"),
    Kind("xfs", "xfs", "mkfs.xfs", "-q", "-f", size=320, tear=4096),
    Kind("btrfs", "btrfs", "mkfs.btrfs", "-q", "-f", size=128, tear=4096),
    Kind("f2fs", "f2fs", "mkfs.f2fs", "-q", size=64, tear=4096),
    Kind("nilfs2", "nilfs2", "mkfs.nilfs2", "-q", size=128, tear=4096),
    Kind("vfat", "vfat", "mkfs.vfat"),
    Kind("ubifs", "ubifs"),
    Kind("jffs2", "jffs2"),
    Kind("tmpfs", "tmpfs", options="size=16m"),
    Kind("overlay", "overlay"),
]


def text(number, lines=200):
    return b"Subject: %d\n\n" % number + b"".join(
        b"line %d of %d\n" % (n, number) for n in range(lines))


def run(*command, **how):
    return subprocess.run(command, capture_output=True, timeout=60, **how)


def must(*command):
    done = run(*command)
    if done.returncode:
        raise AssertionError(f"{' '.join(command)}: {done.stderr.decode().strip()}")


def same(what, is_, wanted):
    if is_ != wanted:
        raise AssertionError(f"{what} is {is_!r}, not {wanted!r}")


class Place:
    """A file system of a kind, mounted. Use it with "with"."""

    def __init__(self, kind, scratch):
        self.kind, self.scratch, self.top = kind, scratch, scratch + "/top"
        self.image, self.loop = scratch + "/image", None
        os.mkdir(self.top)

    def __enter__(self):
        if self.kind.make:
            make_image(self.kind, self.image)
            self.loop = blocks.attach(self.image)
        self.mount(self.loop)
        lay_out(self.top)
        return self

    def mount(self, device):
        options = ["-o", self.kind.options] if self.kind.options else []
        if self.kind.type == "overlay":
            base = self.scratch + "/base"
            os.mkdir(base)
            must("mount", "-t", "tmpfs", "-o", "size=16m", "none", base)
            for sub in "lower", "upper", "work":
                os.mkdir(f"{base}/{sub}")
            options = ["-o", f"lowerdir={base}/lower,upperdir={base}/upper,workdir={base}/work"]
        must("mount", "-t", self.kind.type, *options, device or "none", self.top)

    def __exit__(self, *_):
        run("umount", "-l", self.top)
        run("umount", "-l", self.scratch + "/base")
        if self.loop:
            run("losetup", "-d", self.loop)


def make_image(kind, path):
    with open(path, "wb") as file:
        file.truncate(kind.size)
    must(*kind.make, path)


def lay_out(top):
    for sub in "mail", "home":
        os.mkdir(f"{top}/{sub}")
    with open(f"{top}/mail/{ME}", "wb") as file:
        os.fchmod(file.fileno(), 0o600)


class Box:
    """What is in a Place."""

    def __init__(self, top, scratch):
        self.top, self.scratch = top, scratch
        for name, mailbox in ("mbox", "mail/%u"), ("maildir", "home/%u/"):
            with open(f"{scratch}/{name}", "w") as conf:
                print(f"spooldir {top}/spool", f"mailbox {top}/{mailbox}",
                      f"aliases {scratch}/aliases", f"log_file {scratch}/log",
                      "mailname router.example", "defer yes", sep="\n", file=conf)

    def send(self, number, to=ME, lines=200):
        return run(MTABOX, "sendmail", "-C", f"{self.scratch}/mbox", "-odq", "-oem", "-i", to,
                   input=text(number, lines))

    def flush(self, conf="mbox"):
        return run(MTABOX, "deliver", "-C", f"{self.scratch}/{conf}", "-q").returncode

    def spool(self):
        return "".join(sorted(n[0] for n in os.listdir(self.top + "/spool") if n != "runner"))

    def found(self):
        """Mail in its places: {number, or ("bounce", number): how often}; all of it whole."""
        out = {}
        path = f"{self.top}/mail/{ME}"
        mails = [mbox.content(m).rstrip(b"\n") + b"\n" for m in
                 (mbox.messages(path) if os.path.exists(path) else [])]
        new = f"{self.top}/home/{ME}/new"
        for name in os.listdir(new) if os.path.exists(new) else ():
            with open(f"{new}/{name}", "rb") as file:
                content = file.read()
            mails.append(content[content.index(b"Subject: "):])
        for mail in mails:
            number = int(re.search(rb"(?m)^Subject: (\d+)$", mail)[1])
            if b"report-type=delivery-status" in mail:
                end = re.search(rb'boundary="([^"]+)"', mail)[1]
                if not mail.rstrip(b"\n").endswith(b"--" + end + b"--"):
                    raise AssertionError(f"the bounce of {number} is not whole")
                number = "bounce", number
            elif mail != text(number, len(mail.splitlines()) - 2):
                raise AssertionError(f"mail {number} is not whole: {mail[-200:]!r}")
            elif len(mail.splitlines()) < 202:
                raise AssertionError(f"mail {number} is too short")
            out[number] = out.get(number, 0) + 1
        return out


# --- what is tried ---------------------------------------------------------------------------

def try_mail(box):
    """In a spool that is made for it, to a mailbox and a Maildir that are as well; a bounce."""
    for number, to in (1, ME), (2, "nobody-of-that-name"):
        same("sendmail's exit status", box.send(number, to).returncode, 0)
    same("the queue", box.spool(), "QQ")
    same("the runner's exit status", box.flush(), 0)
    same("sendmail's exit status", box.send(3).returncode, 0)
    same("the runner's exit status", box.flush("maildir"), 0)
    same("the queue", box.spool(), "")
    same("the mail", box.found(), {1: 1, ("bounce", 2): 1, 3: 1})
    same("the spool's mode", oct(os.stat(box.top + "/spool").st_mode & 0o1000), "0o0")


def read(path):
    with open(path, "rb") as file:
        return file.read()


def wait_for(condition):
    end = time.monotonic() + 30
    while not condition():
        if time.monotonic() > end:
            raise AssertionError("waited in vain")
        time.sleep(.01)


def fill(box):
    with open(box.top + "/filler", "wb", buffering=0) as file:
        for size in MB, 4096, 1:
            try:
                while True:
                    if not file.write(b"x" * size):
                        break
            except OSError:
                pass


def try_full(box):
    """No room: refused with a reason, nothing half; what is queued waits and arrives whole. Where
    not even a line fits in, the runner waits for room."""
    box.flush()  # its lock is there
    same("sendmail's exit status", box.send(1, lines=2000).returncode, 0)
    before = box.found()
    fill(box)
    for lines in 200, 20000:
        done = box.send(2, lines=lines)
        if done.returncode not in (73, 74, 75) or not done.stderr:
            raise AssertionError(f"sendmail says {done.returncode}: {done.stderr!r}")
    runner = subprocess.Popen([MTABOX, "deliver", "-C", f"{box.scratch}/mbox", "-q"],
                              stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL)
    try:
        wait_for(lambda: b"status=deferred" in read(box.scratch + "/log"))
        same("the queue", box.spool(), "Q")
        same("the mail", box.found(), before)
        os.unlink(box.top + "/filler")
        os.sync()
        same("the runner's exit status", runner.wait(30), 0)
    finally:
        runner.kill()
    same("the runner's exit status", box.flush(), 0)
    same("the queue", box.spool(), "")
    same("the mail", box.found().get(1), 1)


def try_read_only(box):
    """Refused with a reason; nothing changes, and all is delivered when it can be written to."""
    same("sendmail's exit status", box.send(1).returncode, 0)
    must("mount", "-o", "remount,ro", box.top)
    done = box.send(2)
    if done.returncode not in (71, 73, 74, 75) or not done.stderr:
        raise AssertionError(f"sendmail says {done.returncode}: {done.stderr!r}")
    box.flush()
    same("the queue", box.spool(), "Q")
    must("mount", "-o", "remount,rw", box.top)
    same("the runner's exit status", box.flush(), 0)
    same("the queue", box.spool(), "")
    same("the mail", box.found(), {1: 1})


def record(kind, scratch):
    """(the disk, [(how much of its log there was, what was promised then, configuration)])"""
    image = scratch + "/image"
    make_image(kind, image)
    place = Place(kind, scratch)
    with blocks.Disk(image) as disk:
        place.mount(disk.loop)
        try:
            lay_out(place.top)
            os.sync()
            box, marks, promised = Box(place.top, scratch), [], set()
            start = len(disk.log)
            for number, to in (1, ME), (2, "nobody-of-that-name"), (3, None), (4, ME), (5, None):
                marks.append((len(disk.log), frozenset(promised), "maildir" if number > 3 else
                              "mbox"))
                if to is None:
                    same("the runner's exit status", box.flush("mbox" if number == 3 else
                                                               "maildir"), 0)
                    continue
                same("sendmail's exit status", box.send(number, to).returncode, 0)
                promised.add(("bounce", 2) if number == 2 else number)
            marks.append((len(disk.log), frozenset(promised), "maildir"))
        finally:
            must("umount", place.top)
    os.rmdir(place.top)
    return disk, start, marks


def try_cuts(kind, scratch, states, rng):
    """After each of some power cuts what was promised is there, once; the rest once or not."""
    disk, start, marks = record(kind, scratch)
    if None not in disk.log[start:marks[-1][0]]:
        raise AssertionError("nothing was ever flushed")
    for n in range(states):
        at = rng.randrange(start, marks[-1][0] + 1) if n else marks[-1][0]
        _, promised, conf = [m for m in marks if m[0] <= at][-1]
        image = scratch + "/cut"
        blocks.save(blocks.after(disk, at, kind.tear, rng), disk.size, image)
        place = Place(kind, scratch)
        place.loop = blocks.attach(image)
        try:
            if kind.type.startswith("ext"):
                # As every boot does, and what it asks for where that is not enough.
                if run("e2fsck", "-p", place.loop).returncode > 2:
                    run("e2fsck", "-fy", place.loop)
            place.mount(place.loop)
            check_cut(Box(place.top, scratch), promised, conf,
                      f"cut {n}, after {at - start} writes")
        finally:
            place.__exit__()
            os.rmdir(place.top)


def check_cut(box, promised, conf, what):
    # There may be mail for the mailbox that the runner had delivered, and no more.
    same(f"{what}: the runner's exit status", box.flush(conf), 0)
    same(f"{what}: the queue", box.spool(), "")
    found = box.found()
    for number in {1, ("bounce", 2), 4} | set(found):
        count = found.get(number, 0)
        if count > 1 or (count == 0 and number in promised):
            raise AssertionError(f"{what}: {number} is there {count} times, promised: {promised}")


# --- all of it -------------------------------------------------------------------------------

def main(states="12", seed="1", words=""):
    if os.geteuid():
        print("1..0 # skip mounting needs root")
        return 0
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNS) or libc.mount(b"none", b"/", None, MS_PRIVATE_REC, None):
        print("1..0 # skip no name space for mounts")
        return 0
    number = bad = 0
    for kind in KINDS:
        if words not in kind.name:
            continue
        for name, function in ("mail", try_mail), ("full", try_full), \
                ("read-only", try_read_only), (f"{states} power cuts", try_cuts):
            number += 1
            why = kind.missing()
            if function is try_cuts and not kind.make:
                why = why or "it has no disk"
            trouble = None if why else attempt(kind, function, int(states),
                                               random.Random(f"{seed} {kind.name}"))
            bad += bool(trouble)
            print(f"{'not ok' if trouble else 'ok'} {number} {kind.name}: {name}" +
                  (f" # skip {why}" if why else ""), flush=True)
            for line in trouble or ():
                print("#", line)
    print(f"1..{number}")
    return bad > 0


def attempt(kind, function, states, rng):
    """[what is wrong]"""
    base = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    scratch = tempfile.mkdtemp(prefix="mtabox.", dir=base)
    os.chmod(scratch, 0o755)
    try:
        if function is try_cuts:
            try_cuts(kind, scratch, states, rng)
        else:
            with Place(kind, scratch) as place:
                function(Box(place.top, scratch))
    except (Exception, SystemExit) as e:
        log = f"{scratch}/log"
        said = open(log, errors="replace").read().splitlines()[-8:] if os.path.exists(log) else []
        return [repr(e), *said] if isinstance(e, (AssertionError, SystemExit)) else \
            traceback.format_exc().splitlines() + said
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
