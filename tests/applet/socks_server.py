#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""A SOCKS5 proxy for tests, on a port of 127.0.0.1. Every name and address is one of this machine:
it connects to 127.0.0.1 and the port it is told.

usage: socks_server.py DIR [KEY=VALUE...]

    user=NAME           who must log in; the password is the first line of standard input
    port=NUMBER         connects to that port whatever it is told
    code=NUMBER         refuses to connect, with this code
    say=HEX             instead of connecting says these bytes and closes
    cut=NUMBER          closes after so many bytes of its own
    stall=NUMBER        is silent after so many bytes of its own, until the client has gone
    drip=yes            says its own bytes one at a time

DIR gets port, and events: a line for each thing it was asked, "login joe right" or
"connect mail.example 587".
"""

import ctypes
import os
import select
import signal
import socket
import sys
import threading


class Gone(Exception):
    pass


class Proxy:
    def __init__(self, args):
        self.directory = args[0]
        self.options = dict(a.split("=", 1) for a in args[1:])
        self.password = sys.stdin.readline().rstrip("\n").encode()

    def event(self, *words):
        with open(os.path.join(self.directory, "events"), "a", encoding="utf-8") as f:
            f.write(" ".join(words) + "\n")


class Session:
    def __init__(self, sock, proxy):
        self.sock, self.proxy = sock, proxy
        self.said = 0

    def take(self, count):
        data = self.sock.recv(count, socket.MSG_WAITALL)
        if len(data) < count:
            raise Gone
        return data

    def say(self, data):
        o = self.proxy.options
        for end in ("cut", "stall"):
            left = int(o.get(end, 10000)) - self.said
            if left < len(data):
                self.sock.sendall(data[:left])
                if end == "stall":
                    self.sock.recv(1)
                raise Gone
        self.said += len(data)
        for i in range(0, len(data), 1 if "drip" in o else len(data)):
            self.sock.sendall(data[i:i + 1] if "drip" in o else data)

    def log_in(self):
        user = self.take(self.take(2)[1])
        password = self.take(self.take(1)[0])
        right = user == self.proxy.options["user"].encode() and password == self.proxy.password
        self.proxy.event("login", user.decode(), "right" if right else "wrong")
        self.say(b"\1\0" if right else b"\1\1")
        if not right:
            raise Gone

    def greet(self):
        methods = self.take(self.take(2)[1])
        method = b"\2" if "user" in self.proxy.options else b"\0"
        self.say(b"\5" + (method if method in methods else b"\xff"))
        if method not in methods:
            raise Gone
        if method == b"\2":
            self.log_in()

    def where(self):
        kind = self.take(4)[3]
        if kind == 3:
            return self.take(self.take(1)[0]).decode()
        family, length = (socket.AF_INET6, 16) if kind == 4 else (socket.AF_INET, 4)
        return socket.inet_ntop(family, self.take(length))

    def run(self):
        o = self.proxy.options
        if "say" in o:
            self.take(self.take(2)[1])
            self.say(bytes.fromhex(o["say"]))
            return
        self.greet()
        host, port = self.where(), int.from_bytes(self.take(2), "big")
        self.proxy.event("connect", host, str(port))
        code = int(o.get("code", 0))
        try:
            server = None if code else socket.create_connection(
                ("127.0.0.1", int(o.get("port", port))), 20)
        except ConnectionRefusedError:
            code = 5
        self.say(bytes([5, code, 0, 1]) + b"\x7f\0\0\1" + port.to_bytes(2, "big"))
        if not code:
            self.copy(server)

    def copy(self, server):
        while True:
            for one in select.select([self.sock, server], [], [], 60)[0]:
                data = one.recv(65536)
                if not data:
                    server.close()
                    return
                (server if one is self.sock else self.sock).sendall(data)

    def whole(self):
        with self.sock:
            try:
                try:
                    self.run()
                except Gone:
                    pass
                # What is unread at a close would make it a reset, and take the last words along.
                self.sock.shutdown(socket.SHUT_WR)
                while self.sock.recv(4096):
                    pass
            except OSError:
                pass


def main():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG: goes with the test
    signal.alarm(600)
    proxy = Proxy(sys.argv[1:])
    os.makedirs(proxy.directory)
    listener = socket.create_server(("127.0.0.1", 0))
    with open(os.path.join(proxy.directory, "port.new"), "w", encoding="ascii") as f:
        f.write(str(listener.getsockname()[1]))
    os.rename(f.name, os.path.join(proxy.directory, "port"))
    while True:
        sock, _ = listener.accept()
        threading.Thread(target=Session(sock, proxy).whole, daemon=True).start()


main()
