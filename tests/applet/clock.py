# SPDX-License-Identifier: ISC
"""Runs a program, and all that it starts, with clocks of our own (ptrace: for x86-64, and static
programs or those whose C library asks the kernel where it is shown no vDSO).

usage: clock.py FILE COMMAND...

FILE has three numbers, which are read anew whenever the program asks for the time: seconds to add
to the wall clock, seconds to add to the time since boot, and the number of the boot, from which
its id is made. The exit status is the command's. 77: clocks cannot be faked here.
"""
import ctypes
import os
import platform
import signal
import struct
import sys

TRACEME, PEEK, POKE, GETREGS, CONT, SYSCALL, SETOPTIONS, GETEVENTMSG = 0, 2, 5, 12, 7, 24, 0x4200, 0x4201
OPTIONS = 1 | 2 | 4 | 8 | 16 | 0x100000  # TRACESYSGOOD, FORK, VFORK, CLONE, EXEC; EXITKILL
READ, OPENAT, CLOCK_GETTIME = 0, 257, 228
AT_IGNORE, AT_SYSINFO_EHDR = 1, 33
REALTIME, BOOT_CLOCKS = 0, (1, 7)

libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.restype = ctypes.c_long
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]

path, *command = sys.argv[1:]
inside = {}  # by process: whether it is in a system call
boot_fds = {}  # by process: the descriptor that it reads the boot's id from


def ptrace(request, pid, address=0, data=0):
    return libc.ptrace(request, pid, address, data)


class Registers(ctypes.Structure):
    _fields_ = [(name, ctypes.c_ulonglong) for name in (
        "r15 r14 r13 r12 rbp rbx r11 r10 r9 r8 rax rcx rdx rsi rdi orig_rax rip cs eflags rsp ss"
        " fs_base gs_base ds es fs gs").split()]


def registers(pid):
    r = Registers()
    ptrace(GETREGS, pid, 0, ctypes.addressof(r))
    return r


def hide_vdso(pid):
    """On the stack of a program that has just begun: argc, argv, environment, auxiliary vector."""
    at = registers(pid).rsp
    with open(f"/proc/{pid}/mem", "r+b", 0) as memory:
        def word(address):
            memory.seek(address)
            return struct.unpack("Q", memory.read(8))[0]
        at += 8 * (word(at) + 2)
        while word(at):
            at += 8
        at += 8
        while word(at):
            if word(at) == AT_SYSINFO_EHDR:
                memory.seek(at)
                memory.write(struct.pack("Q", AT_IGNORE))
            at += 16


def clocks():
    return [int(word) for word in open(path).read().split()]


def after_call(pid):
    r = registers(pid)
    result = ctypes.c_longlong(r.rax).value
    if result < 0 or r.orig_rax not in (READ, OPENAT, CLOCK_GETTIME):
        return
    wall, boot, number = clocks()
    with open(f"/proc/{pid}/mem", "r+b", 0) as memory:
        if r.orig_rax == CLOCK_GETTIME and (r.rdi == REALTIME or r.rdi in BOOT_CLOCKS):
            memory.seek(r.rsi)
            seconds = struct.unpack("q", memory.read(8))[0]
            memory.seek(r.rsi)
            memory.write(struct.pack("q", seconds + (wall if r.rdi == REALTIME else boot)))
        elif r.orig_rax == OPENAT:
            memory.seek(r.rsi)
            if memory.read(36).startswith(b"/proc/sys/kernel/random/boot_id\0"):
                boot_fds[pid] = result
        elif r.orig_rax == READ and boot_fds.pop(pid, None) == r.rdi:
            memory.seek(r.rsi)
            memory.write(b"%08x-1234-1234-1234-123456789abc" % number)


def start():
    pid = os.fork()
    if pid == 0:
        if ptrace(TRACEME, 0) < 0:
            os._exit(77)
        os.kill(os.getpid(), signal.SIGSTOP)
        os.execvp(command[0], command)
    _, status = os.waitpid(pid, 0)
    if not os.WIFSTOPPED(status) or ptrace(SETOPTIONS, pid, 0, OPTIONS) < 0:
        sys.exit(77)
    ptrace(SYSCALL, pid)
    return pid


def on_stop(pid, status):
    """The signal that the process is to get, or 0."""
    sig, event = os.WSTOPSIG(status), status >> 16
    if sig == signal.SIGTRAP | 0x80:
        inside[pid] = not inside.get(pid)
        if not inside[pid]:
            after_call(pid)
    elif event == 4:
        # execve ends behind this.
        inside[pid] = True
        hide_vdso(pid)
    elif event == 0 and sig == signal.SIGSTOP and pid not in inside:
        inside[pid] = False  # a new process
    elif event == 0:
        return sig
    return 0


def main():
    if platform.machine() != "x86_64":
        sys.exit(77)
    first, result = start(), 0
    inside[first] = False
    while True:
        try:
            pid, status = os.waitpid(-1, 0x40000000)  # __WALL
        except ChildProcessError:
            return result
        if os.WIFSTOPPED(status):
            ptrace(SYSCALL, pid, 0, on_stop(pid, status))
            continue
        inside.pop(pid, None)
        if pid == first:
            result = os.WEXITSTATUS(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status)


sys.exit(main())
