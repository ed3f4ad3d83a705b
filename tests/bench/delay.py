#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""A program behind a slow line: runs it in a network of its own, to which every packet takes so
many milliseconds, and as many back. Needs no netem: two tun devices, and this between them.
Here it is 10.9.0.2. usage: delay.py MILLISECONDS PROGRAM ARG..."""

import collections
import ctypes
import fcntl
import os
import select
import struct
import subprocess
import sys
import time

CLONE_NEWNET = 0x40000000
TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454ca, 1, 0x1000


def open_tun(name, address, peer):
    fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TUN | IFF_NO_PI))
    for words in ["address", "add", address, "peer", peer, "dev", name], \
                 ["link", "set", name, "txqueuelen", "10000", "up"]:
        subprocess.run(["/usr/sbin/ip", *words], check=True)
    return fd


def carry(near, far, seconds, over):
    """Until over()."""
    other, late = {near: far, far: near}, collections.deque()
    poll = select.poll()
    for fd in other:
        poll.register(fd, select.POLLIN)
    while not over():
        wait = 100.0 if not late else max(0.0, 1000 * (late[0][0] - time.monotonic()))
        for fd, _ in poll.poll(min(wait, 100.0)):
            try:
                while True:
                    packet = os.read(fd, 65536)
                    late.append((time.monotonic() + seconds, other[fd], packet))
            except BlockingIOError:
                pass
        while late and late[0][0] <= time.monotonic():
            _, fd, packet = late.popleft()
            os.write(fd, packet)


def main(milliseconds, *program):
    near = open_tun("near", "10.9.0.1", "10.9.0.2")
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET):
        sys.exit(f"delay: no network of its own: {os.strerror(ctypes.get_errno())}")
    far = open_tun("far", "10.9.0.2", "10.9.0.1")
    with subprocess.Popen(program) as server:
        carry(near, far, float(milliseconds) / 1000, lambda: server.poll() is not None)
    return server.returncode


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
