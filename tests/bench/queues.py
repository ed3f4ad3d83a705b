# SPDX-License-Identifier: ISC
"""Lists queues of three programs; see `mailq`. CPU time and wall time are medians; the peak of
the memory is GNU time's, which sees nothing below its own 430 kB; page faults are exact.

usage: queues.py [COUNT...]"""

import fcntl
import os
import shutil
import socket
import struct
import subprocess
import sys
import time
import zlib

RUNS = 15
BASE = 1795341234
BODY = b"Subject: a message\n\n" + b"A line of text as there are many.\n" * 28
SENDER, RCPT = b"alice@router.example", b"bob@mail.example"


def base32(value, digits):
    return "".join("0123456789abcdefghijklmnopqrstuv"[value >> 5 * n & 31] for n in reversed(range(digits)))


def line(name, text):
    return text + b" %08x\n" % zlib.crc32(name.encode() + text)


def two_attempts(name, when):
    """What the journal has of them."""
    journal = line(name, b"facts %d 86401001 5f3a9c0d11e2b3a4 1 * %d k2u9@router router" % (when, when))
    for after in 2, 62:
        journal += line(name, b"deferred %d 86402123 5f3a9c0d11e2b3a4 1 * 4.4.1 0 connecting to "
                        b"192.0.2.1 port 25: Connection refused" % (when + after))
    return journal


def mtabox(count, history=lambda name, when: b""):
    """Messages that were not tried: what other programs' queues know of theirs."""
    os.makedirs("/bench/spool", mode=0o700)
    for n in range(count):
        when = BASE + n
        head = (b"header\narrived %d 86400123 5f3a9c0d11e2b3a4 1\n"
                b"submitter 0 root\nsender %s\nrcpt %s\n\n" % (when, SENDER, RCPT))
        fixed = b"mtabox 2 %08d %012d -u--\n" % (36 + len(head), len(BODY))
        name = base32(when, 8) + base32(n * 2654435761, 8)
        with open(os.open("/bench/spool/Q" + name, os.O_WRONLY | os.O_CREAT, 0o600), "wb") as f:
            f.write(fixed + head + BODY + history(name, when))
    with open("/etc/mtabox.conf", "w") as f:
        f.write("spooldir /bench/spool\nmailname router.example\n")
    return ["/bench/mtabox", "mailq"]


def tried_twice(count):
    """And the time of the next attempt, and why the last one failed."""
    return mtabox(count, two_attempts)


def nullmailer(count):
    os.makedirs("/var/spool/nullmailer/queue")
    for n in range(count):
        with open(f"/var/spool/nullmailer/queue/{BASE + n}.{1000 + n}", "wb") as f:
            f.write(SENDER + b"\n" + RCPT + b"\n\n" + BODY)
    return ["/bench/nullmailer"]


def loopback_up():
    with socket.socket() as s:
        SIOCSIFFLAGS, IFF_UP = 0x8914, 1
        fcntl.ioctl(s, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", IFF_UP))


def postfix(count):
    """One real queue file under many names: in a queue that nobody hashes or delivers."""
    with open("/etc/postfix/main.cf", "w") as f:
        f.write("compatibility_level = 3.6\nmyhostname = router.example\ninet_protocols = ipv4\n"
                "alternate_config_directories =\n")
    for group in "postfix:1240", "postdrop:1241":
        name, number = group.split(":")
        with open("/etc/passwd", "a") as f:
            f.write(f"{name}:x:{number}:{number}::/:/bin/false\n")
        with open("/etc/group", "a") as f:
            f.write(f"{name}:x:{number}:\n")
    shutil.copy("/usr/share/postfix/master.cf.dist", "/etc/postfix/master.cf")
    subprocess.run(["/usr/sbin/postfix", "check"])
    subprocess.run(["/usr/sbin/sendmail", "-f", SENDER, RCPT], input=BODY, check=True)
    drop = "/var/spool/postfix/maildrop/"
    first = drop + os.listdir(drop)[0]
    for n in range(1, count):
        shutil.copy2(first, drop + "%09X" % (0x10000000 + n))
        shutil.chown(drop + "%09X" % (0x10000000 + n), "postfix")
    return ["/usr/sbin/postqueue", "-p"]


def measure(argv):
    """Medians of wall and CPU milliseconds, peak kB and page faults, and the last line said."""
    walls, cpus = [], []
    said = subprocess.run(["/usr/bin/time", "-f", "%M %R", *argv], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, check=True)
    memory = said.stderr.decode().splitlines()[-1].split()
    for _ in range(RUNS):
        start = time.monotonic()
        pid = os.posix_spawn(argv[0], argv, {"PATH": "/usr/bin:/bin"},
                             file_actions=[(os.POSIX_SPAWN_OPEN, fd, "/dev/null", os.O_WRONLY, 0)
                                           for fd in (1, 2)])
        _, status, usage = os.wait4(pid, 0)
        walls.append(1000 * (time.monotonic() - start))
        cpus.append(1000 * (usage.ru_utime + usage.ru_stime))
        if status != 0:
            sys.exit(f"{argv[0]} ended with status {status}")
    return sorted(walls)[RUNS // 2], sorted(cpus)[RUNS // 2], *memory, said.stdout.decode().splitlines()[-1]


def main(counts):
    loopback_up()
    print(f"{'messages':>8} {'program':<12} {'wall ms':>8} {'CPU ms':>8} {'of nullmailer':>14} {'peak kB':>8} {'faults':>7}")
    for count in counts:
        floor = None
        for program, spool in ((nullmailer, "/var/spool/nullmailer"), (mtabox, "/bench/spool"),
                               (tried_twice, "/bench/spool"),
                               (postfix, "/var/spool/postfix/maildrop")):
            argv = program(count)
            wall, cpu, peak, faults, last = measure(argv)
            floor = floor or cpu
            print(f"{count:8} {program.__name__:<12} {wall:8.1f} {cpu:8.1f} {cpu / floor:14.2f} {peak:>8} {faults:>7}   {last}")
            subprocess.run(["/usr/bin/rm", "-rf", *([spool] if program != postfix else
                            [os.path.join(spool, f) for f in os.listdir(spool)])], check=True)


main([int(n) for n in sys.argv[1:]] or [10, 1000, 10000])
