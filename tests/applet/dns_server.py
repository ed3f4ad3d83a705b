#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""A name server for tests, over UDP and TCP of one port of 127.0.0.1.

usage: dns_server.py DIR

DIR/zone is read for each question. Its lines are "NAME TYPE VALUE", TYPE one of

    A, AAAA, CNAME      an address or a name; aliases are followed within the zone
    MX                  "PREFERENCE HOST"; "." as a host is the null MX
    SERVFAIL, DROP      the answer to every question for NAME: a failure, or none
    TRUNCATE            over UDP an answer is cut short; over TCP it is what other lines say

A name without a line does not exist. DIR gets port, and questions: "udp mx name" for each.
"""

import ctypes
import os
import signal
import socket
import struct
import sys
import threading

TYPES = {"A": 1, "CNAME": 5, "MX": 15, "AAAA": 28}
SERVFAIL, NXDOMAIN = 2, 3


def wire_name(name):
    labels = [label.encode() for label in name.split(".") if label]
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"


def data(kind, value):
    if kind == "MX":
        preference, host = value.split()
        return struct.pack(">H", int(preference)) + wire_name(host)
    if kind == "CNAME":
        return wire_name(value)
    return socket.inet_pton(socket.AF_INET6 if kind == "AAAA" else socket.AF_INET, value)


def record(name, kind, value):
    rdata = data(kind, value)
    return wire_name(name) + struct.pack(">HHIH", TYPES[kind], 1, 60, len(rdata)) + rdata


class Server:
    def __init__(self, directory):
        self.directory = directory

    def zone(self):
        with open(os.path.join(self.directory, "zone"), encoding="ascii") as f:
            return [line.split(None, 2) for line in f if line.strip()]

    def answer(self, query, transport):
        """The whole message, or None."""
        labels, at = [], 12
        while query[at]:
            labels.append(query[at + 1:at + 1 + query[at]].decode().lower())
            at += 1 + query[at]
        question = query[12:at + 5]
        number = struct.unpack(">H", query[at + 1:at + 3])[0]
        name = ".".join(labels)
        kind = next((k for k, n in TYPES.items() if n == number), str(number))
        with open(os.path.join(self.directory, "questions"), "a", encoding="ascii") as f:
            f.write(f"{transport} {kind.lower()} {name}\n")

        records, code, flags = [], 0, 0x8180  # response, recursion desired and available
        zone = [(n, t, rest[0].strip() if rest else "") for n, t, *rest in self.zone()]
        while True:
            mine = [(t, v) for n, t, v in zone if n == name]
            kinds = {t for t, _ in mine}
            if "DROP" in kinds:
                return None
            if "SERVFAIL" in kinds:
                code = SERVFAIL
            elif "TRUNCATE" in kinds and transport == "udp":
                flags |= 0x200
                break
            if not mine:
                code = NXDOMAIN
            if "CNAME" not in kinds or kind == "CNAME":
                break
            target = next(v for t, v in mine if t == "CNAME")
            records.append(record(name, "CNAME", target))
            name = target
        if flags & 0x200 == 0 and code == 0:
            records += [record(name, t, v) for t, v in mine if t == kind]
        header = struct.pack(">HHHHHH", struct.unpack(">H", query[:2])[0], flags | code, 1,
                             len(records), 0, 0)
        return header + question + b"".join(records)

    def serve_stream(self, listener):
        while True:
            client, _ = listener.accept()
            with client:
                length = struct.unpack(">H", client.recv(2, socket.MSG_WAITALL))[0]
                reply = self.answer(client.recv(length, socket.MSG_WAITALL), "tcp")
                if reply is not None:
                    client.sendall(struct.pack(">H", len(reply)) + reply)

    def serve_datagrams(self, sock):
        while True:
            query, client = sock.recvfrom(4096)
            reply = self.answer(query, "udp")
            if reply is not None:
                sock.sendto(reply, client)


def make_sockets():
    """UDP and TCP with one port."""
    while True:
        udp, tcp = socket.socket(type=socket.SOCK_DGRAM), socket.socket()
        udp.bind(("127.0.0.1", 0))
        try:
            tcp.bind(udp.getsockname())
            tcp.listen(16)
            return udp, tcp
        except OSError:
            udp.close()
            tcp.close()


def main():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG: goes with the test
    signal.alarm(600)
    server = Server(sys.argv[1])
    udp, tcp = make_sockets()
    threading.Thread(target=server.serve_stream, args=(tcp,), daemon=True).start()
    path = os.path.join(server.directory, "port")
    with open(path + ".new", "w", encoding="ascii") as f:
        f.write(f"{udp.getsockname()[1]}\n")
    os.rename(path + ".new", path)
    server.serve_datagrams(udp)


if __name__ == "__main__":
    main()
