# SPDX-License-Identifier: ISC
"""Talks to `sendmail -bs`.

usage: bs.py socket COMMAND...   standard input goes to COMMAND over a socket; its answers are
                                 printed; the exit status is COMMAND's
       bs.py smtplib socket|pipe RECIPIENT COMMAND...
                                 the same library that other programs use sends two messages
"""
import smtplib
import socket
import subprocess
import sys

SECONDS = 30
BAD = "bob@x..example"  # as a recipient


class Pipes:
    """As much of a socket as smtplib uses."""

    def __init__(self, child):
        self.child = child

    def sendall(self, data):
        self.child.stdin.write(data)
        self.child.stdin.flush()

    def makefile(self, mode):
        assert mode == "rb"
        return self.child.stdout

    def close(self):
        self.child.stdin.close()


def start_on_socket(command):
    ours, theirs = socket.socketpair()
    ours.settimeout(SECONDS)
    with theirs:
        return ours, subprocess.Popen(command, stdin=theirs, stdout=theirs)


def start(how, command):
    if how == "socket":
        return start_on_socket(command)
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    return Pipes(child), child


def talk(command):
    ours, child = start_on_socket(command)
    try:
        ours.sendall(sys.stdin.buffer.read())
        ours.shutdown(socket.SHUT_WR)
    except OSError:
        pass  # it has hung up, as it may
    try:
        while said := ours.recv(4096):
            sys.stdout.buffer.write(said)
    except ConnectionResetError:
        pass  # there was input that it did not want
    return child.wait(SECONDS)


def use_smtplib(how, rcpt, command):
    ours, child = start(how, command)

    class Client(smtplib.SMTP):
        def _get_socket(self, host, port, timeout):
            return ours

    with Client("mtabox", local_hostname="client.example") as client:
        for n in 1, 2:
            refused = client.sendmail(
                "joe@x.example", [rcpt, BAD], f"Subject: {n}\r\n\r\n.dot\r\n\r\nend {n}",
                ["BODY=8BITMIME"])
            assert list(refused) == [BAD] and refused[BAD][0] == 501, refused
        try:
            client.sendmail("joe@x.example", [BAD], "Subject: nobody\r\n\r\n")
            sys.exit("smtplib thinks that a message without recipients was taken")
        except smtplib.SMTPRecipientsRefused:
            pass
        print(*sorted(client.esmtp_features))
    return child.wait(SECONDS)


if sys.argv[1] == "socket":
    sys.exit(talk(sys.argv[2:]))
sys.exit(use_smtplib(sys.argv[2], sys.argv[3], sys.argv[4:]))
