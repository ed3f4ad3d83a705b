#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""Runs a program for which this kernel has no seccomp filters: a tool that counts a process's
instructions from within could not write them down in the relay worker's cage.
usage: uncaged.py PROGRAM ARG... (x86-64 only)"""

import ctypes
import os
import struct
import sys

PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS, FILTER = 22, 38, 2
SYS_PRCTL, NUMBER, ARGUMENT = 157, 0, 16
LOAD, EQUALS, RETURN = 0x20, 0x15, 0x06
REFUSE, ALLOW = 0x00050000 | 22, 0x7fff0000

# prctl(PR_SET_SECCOMP) says EINVAL.
CODE = [(LOAD, 0, 0, NUMBER), (EQUALS, 0, 3, SYS_PRCTL), (LOAD, 0, 0, ARGUMENT),
        (EQUALS, 0, 1, PR_SET_SECCOMP), (RETURN, 0, 0, REFUSE), (RETURN, 0, 0, ALLOW)]


class Program(ctypes.Structure):
    _fields_ = [("len", ctypes.c_ushort), ("code", ctypes.c_void_p)]


def main(*argv):
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *c) for c in CODE))
    program = Program(len(CODE), ctypes.addressof(code))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or \
            libc.prctl(PR_SET_SECCOMP, FILTER, ctypes.byref(program), 0, 0):
        sys.exit(f"uncaged: {os.strerror(ctypes.get_errno())}")
    os.execvp(argv[0], argv)


if __name__ == "__main__":
    main(*sys.argv[1:])
