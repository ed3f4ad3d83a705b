#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""Copies between a port of this machine and standard input and output. usage: connect.py PORT"""

import os
import select
import socket
import sys

s = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
while True:
    ready, _, _ = select.select([0, s], [], [], 60)
    if not ready:
        break
    if s in ready:
        data = s.recv(65536)
        if not data:
            break
        try:
            os.write(1, data)
        except BrokenPipeError:
            pass  # who has said QUIT does not wait for the answer
    if 0 in ready:
        data = os.read(0, 65536)
        if not data:
            break
        s.sendall(data)
