# SPDX-License-Identifier: ISC
"""A disk that keeps a record of what is written to it, and when it is told to flush.

It is one file of a FUSE file system of our own (its root is that file), and a loop device shows
that to the kernel as a disk: all that a real file system writes comes here, block for block, in
order, with its flushes between. (dm-log-writes does the same where a kernel has it.)
"""
import ctypes
import os
import struct
import subprocess
import threading

LIBC = ctypes.CDLL(None, use_errno=True)
GETATTR, OPEN, READ, WRITE, RELEASE, FSYNC, FLUSH, INIT = 3, 14, 15, 16, 18, 20, 25, 26
FORGET, INTERRUPT, BATCH_FORGET = 2, 36, 42
HEADER = struct.Struct("<IIQQIIIHH")   # fuse_in_header
REPLY = struct.Struct("<IiQ")          # fuse_out_header
ATTR = struct.Struct("<QII6Q10I")       # fuse_attr_out
ENOSYS, MNT_DETACH = 38, 2
CHUNK = 1 << 17


class Disk:
    """log: [(offset, bytes)], or None: a flush. Use it with "with". The file's content is what the
    disk has at the beginning: before."""

    def __init__(self, path):
        self.path, self.size = path, os.path.getsize(path)
        self.before, self.log = load(path), []
        self.blocks, self.loop = dict(self.before), None

    def __enter__(self):
        self.fd = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
        options = f"fd={self.fd},rootmode=100000,user_id=0,group_id=0".encode()
        if LIBC.mount(b"log", self.path.encode(), b"fuse", 0, options):
            os.close(self.fd)
            raise OSError(ctypes.get_errno(), "mounting FUSE")
        threading.Thread(target=self.serve, daemon=True).start()
        try:
            self.loop = attach(self.path)
        except subprocess.CalledProcessError:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        if self.loop:
            subprocess.run(["losetup", "-d", self.loop])
        LIBC.umount2(self.path.encode(), MNT_DETACH)
        os.close(self.fd)
        os.unlink(self.path)

    def serve(self):
        while True:
            try:
                request = os.read(self.fd, CHUNK + 4096)
                _, code, unique, *_ = HEADER.unpack_from(request)
                if code in (FORGET, INTERRUPT, BATCH_FORGET):
                    continue
                error, body = self.answer(code, request[HEADER.size:])
                os.write(self.fd, REPLY.pack(REPLY.size + len(body), -error, unique) + body)
            except OSError:
                return

    def answer(self, code, body):
        if code == INIT:
            # Version 7.19; background requests; the largest write.
            return 0, struct.pack("<IIIIHHI", 7, 19, CHUNK, 0, 16, 12, CHUNK)
        if code == GETATTR:
            return 0, ATTR.pack(3600, 0, 0, 1, self.size, self.size // 512, 0, 0, 0, 0, 0, 0,
                                0o100600, 1, 0, 0, 0, 4096, 0)
        if code == OPEN:
            return 0, struct.pack("<QII", 1, 0, 0)
        if code == READ:
            _, offset, length = struct.unpack_from("<QQI", body)
            return 0, read(self.blocks, offset, min(length, self.size - offset))
        if code == WRITE:
            _, offset, length = struct.unpack_from("<QQI", body)
            data = body[40:40 + length]
            self.log.append((offset, data))
            write(self.blocks, offset, data)
            return 0, struct.pack("<II", length, 0)
        if code == FSYNC:
            self.log.append(None)
            return 0, b""
        return (0 if code in (RELEASE, FLUSH) else ENOSYS), b""


def attach(path):
    run = subprocess.run(["losetup", "-f", "--show", path], check=True, capture_output=True)
    return run.stdout.decode().strip()


def read(blocks, offset, length):
    out = bytearray()
    while len(out) < length:
        at = offset + len(out)
        block = blocks.get(at // 512, bytes(512))
        out += block[at % 512:at % 512 + length - len(out)]
    return bytes(out)


def write(blocks, offset, data):
    """Whole sectors, as a disk is given them."""
    for at in range(0, len(data), 512):
        sector = data[at:at + 512]
        if sector.strip(b"\0"):
            blocks[(offset + at) // 512] = sector
        else:
            blocks.pop((offset + at) // 512, None)


def load(path):
    blocks, at = {}, 0
    with open(path, "rb") as file:
        try:
            while True:
                at = file.seek(os.lseek(file.fileno(), at, os.SEEK_DATA))
                data = file.read(CHUNK)
                write(blocks, at, data)
                at += len(data)
        except OSError:
            return blocks


def after(disk, at, tear, random):
    """The content when the power fails after so many of its log: what was flushed is there; of the
    rest all, nothing, some writes, or some pieces of them."""
    flushed = max((n + 1 for n in range(at) if disk.log[n] is None), default=0)
    how = random.choice(["all", "none", "some", "some", "pieces"])
    out = dict(disk.before)
    for n in range(at):
        if disk.log[n] is None or (n >= flushed and how == "none"):
            continue
        offset, data = disk.log[n]
        if n < flushed or how == "all":
            write(out, offset, data)
        elif how == "some":
            if random.random() < .5:
                write(out, offset, data)
        else:
            for piece in range(0, len(data), tear):
                if random.random() < .7:
                    write(out, offset + piece, data[piece:piece + tear])
    return out


def save(blocks, size, path):
    with open(path, "wb") as file:
        file.truncate(size)
        for number in sorted(blocks):
            file.seek(number * 512)
            file.write(blocks[number])
