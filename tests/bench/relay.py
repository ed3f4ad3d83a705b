# SPDX-License-Identifier: ISC
"""Measures mail systems that send a queue to one server. Runs in the system that `relay` lays
out. usage: relay.py [COUNT [DELAY [CLIENT...]]]"""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time

ADDRESS, FAR_ADDRESS, HOST, PORT = "127.0.0.2", "10.9.0.2", "bench.example", 587
BUNDLE = "/etc/ssl/certs/ca-certificates.crt"
SIZE = 2048
PATIENCE = 300  # seconds for one client
DEAF = subprocess.DEVNULL
FIRST = ["PIPELINING"]


def write(path, text, mode=0o644, owner=None):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="ascii") as f:
        f.write(text)
    os.chmod(path, mode)
    if owner:
        shutil.chown(path, *owner.split(":"))


def run(*argv, **options):
    done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          **{"stdin": DEAF, **options})
    if done.returncode:
        sys.exit(f"relay: {argv}: status {done.returncode}: {done.stdout.decode()}")


def message(number):
    head = f"From: joe@router.example\nTo: ann@far.example\nSubject: log\nNumber: {number}\n\n"
    line = "Nov 22 10:11:12 router daemon[123]: something happened, and then something else\n"
    return (head + line * (SIZE // len(line) + 1))[:SIZE - 1].encode() + b"\n"


def make_certificates():
    key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2".split()
    os.chdir("/bench")
    run("openssl", "req", "-x509", *key, "-subj", "/CN=Bench CA", "-keyout", "ca.key", "-out",
        "ca.pem")
    run("openssl", "req", "-x509", *key, "-subj", f"/CN={HOST}", "-addext",
        f"subjectAltName=DNS:{HOST}", "-addext", "basicConstraints=critical,CA:FALSE", "-CA",
        "ca.pem", "-CAkey", "ca.key", "-keyout", "server.key", "-out", "server.pem")
    with open("all.pem", "wb") as out:
        for name in BUNDLE, "ca.pem":
            with open(name, "rb") as f:
                out.write(f.read())
    os.chmod("all.pem", 0o644)


def keep_log():
    """Whatever is logged by syslog goes to /bench/log; that is nobody's processor time."""
    log = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    log.bind("/dev/log")
    os.chmod("/dev/log", 0o666)
    if os.fork() == 0:
        with open("/bench/log", "wb", buffering=1 << 16) as out:
            while True:
                out.write(log.recv(65536) + b"\n")
                out.flush()
    log.close()


class Group:
    """The client's processes, those that have ended included."""

    def __init__(self, name):
        self.path = f"/bench/cpu/mtabox-bench-{time.monotonic_ns()}-{name}"
        os.mkdir(self.path)
        self.peak = 0
        self.over = threading.Event()
        self.starting = threading.Lock()  # until a child is the program it is to become
        self.watch = threading.Thread(target=self.measure_memory)
        self.watch.start()

    def start(self, *argv, user="root"):
        who = pwd.getpwnam(user)

        def enter():
            write(f"{self.path}/cgroup.procs", "0")
            os.setgid(who.pw_gid)
            os.setuid(who.pw_uid)
        with self.starting:
            return subprocess.Popen(argv, stdin=DEAF, stdout=DEAF, stderr=DEAF,
                                    preexec_fn=enter)

    def processes(self):
        with open(f"{self.path}/cgroup.procs", encoding="ascii") as f:
            return f.read().split()

    def cpu(self):
        with open(f"{self.path}/cpu.stat", encoding="ascii") as f:
            return int(f.readline().split()[1]) / 1e6

    def memory(self):
        """kB of all, what they share counted once."""
        total = 0
        for pid in self.processes():
            try:
                with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as f:
                    total += sum(int(x.split()[1]) for x in f if x.startswith("Pss:"))
            except (FileNotFoundError, ProcessLookupError):
                pass
        return total

    def measure_memory(self):
        while not self.over.wait(0.05):
            with self.starting:
                self.peak = max(self.peak, self.memory())

    def end(self):
        """Whoever is left is ended: nobody but those that start() has begotten is here."""
        self.over.set()
        self.watch.join()
        end = time.monotonic() + 20
        while self.processes() and time.monotonic() < end:
            for pid in self.processes():
                try:
                    os.kill(int(pid), signal.SIGKILL)
                except ProcessLookupError:
                    pass
            time.sleep(0.02)
        os.rmdir(self.path)


class Sink:
    def __init__(self, delay, count, extensions):
        self.address = FAR_ADDRESS if delay else ADDRESS
        slow = ["/usr/bin/python3", "/bench/delay.py", f"{delay / 2}"] if delay else []
        self.process = subprocess.Popen(
            [*slow, "/bench/sink", self.address, str(PORT), "/bench/server.pem",
             "/bench/server.key", str(count), *extensions],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        if self.process.stdout.readline() != "ready\n":
            sys.exit("relay: the server does not start")
        write("/etc/hosts", f"127.0.0.1 localhost router.example router\n{self.address} {HOST}\n")
        self.finished = None
        self.counts = {}
        self.reader = threading.Thread(target=self.read)
        self.reader.start()

    def read(self):
        for text in self.process.stdout:
            words = text.split()
            if words[0] == "all":
                self.finished = int(words[1]) / 1e9
            else:
                self.counts = {k: float(v) for k, v in (w.split("=") for w in words)}

    def end(self):
        self.process.stdin.close()
        self.reader.join()
        self.process.wait()


# The clients. submit(NUMBER) puts a message into the queue; settle(GROUP) waits for what else must
# happen before the clock starts; deliver(GROUP) begins to send what is there; is_over(): the client
# has nothing more to do.

class Client:
    name, program, spool, verified = "", "", "", True
    extensions = FIRST
    worker = None

    def prepare(self, group):
        pass

    def settle(self, group):
        pass

    def submit(self, number):
        run(*self.command, input=message(number), stdin=None)

    def is_over(self):
        return self.worker.poll() is not None

    def queued(self):
        return sum(name != "runner" for _, _, names in os.walk(self.spool) for name in names)

    def stop(self):
        pass


class Mtabox(Client):
    name, spool = "mtabox", "/var/spool/mtabox"
    command = "/mtabox", "sendmail", "-odq", "-i", "-f", "joe@router.example", "ann@far.example"

    def prepare(self, group):
        write("/etc/mtabox.conf", f"smarthost smtp+starttls://{HOST}:{PORT}\n"
              f"tls_ca_file /bench/all.pem\ndefer yes\n")

    def deliver(self, group):
        self.worker = group.start("/mtabox", "deliver", "-q")


class Mtabox_chunking(Mtabox):
    name, extensions = "mtabox, CHUNKING", FIRST + ["CHUNKING"]


class Mtabox_plain(Mtabox):
    name, extensions = "mtabox, no PIPELINING", []


class Postfix(Client):
    name, program = "Postfix", "postfix"
    command = "/usr/sbin/sendmail", "-i", "-f", "joe@router.example", "ann@far.example"
    main = f"""
compatibility_level = 3.6
myhostname = router.example
mydestination =
inet_interfaces = loopback-only
alias_maps =
relayhost = [{HOST}]:{PORT}
smtp_host_lookup = native
smtp_tls_security_level = verify
smtp_tls_CAfile = /bench/all.pem
{{more}}
"""
    more = ""
    master = """
pickup    unix n - n 60 1 pickup
cleanup   unix n - n - 0 cleanup
qmgr      unix n - n 300 1 qmgr
tlsmgr    unix - - n 1000? 1 tlsmgr
tlsproxy  unix - - n - 0 tlsproxy
scache    unix - - n - 1 scache
rewrite   unix - - n - - trivial-rewrite
bounce    unix - - n - 0 bounce
defer     unix - - n - 0 bounce
trace     unix - - n - 0 bounce
proxymap  unix - - n - - proxymap
smtp      unix - - n - - smtp
retry     unix - - n - - error
error     unix - - n - - error
showq     unix n - n - - showq
flush     unix n - n 1000? 0 flush
"""

    def prepare(self, group):
        """Runs, and defers everything for the moment."""
        write("/etc/postfix/main.cf", self.main.format(more="defer_transports = smtp"))
        write("/etc/postfix/master.cf", self.master)
        group.start("/usr/sbin/postfix", "start").wait()

    def files(self, *queues):
        return sum(len(names) for q in queues
                   for _, _, names in os.walk(f"/var/spool/postfix/{q}"))

    def settle(self, group):
        wait_for(lambda: not self.files("maildrop", "incoming", "active"))
        write("/etc/postfix/main.cf", self.main.format(more=self.more))
        group.start("/usr/sbin/postfix", "reload").wait()

    def deliver(self, group):
        group.start("/usr/sbin/postqueue", "-f").wait()

    def queued(self):
        return self.files("maildrop", "incoming", "active", "deferred")

    def is_over(self):
        return self.queued() == 0

    def stop(self):
        run("/usr/sbin/postfix", "stop")


class Postfix_reuse(Postfix):
    name = "Postfix, reuse"
    more = "smtp_tls_connection_reuse = yes\nsmtp_connection_cache_destinations = " + HOST


class Dma(Client):
    name, program, spool, verified = "dma", "dma", "/var/spool/dma", False
    command = "/usr/sbin/dma", "-i", "-f", "joe@router.example", "ann@far.example"
    conf = f"SMARTHOST {HOST}\nPORT {PORT}\nSECURETRANSFER\nSTARTTLS\nMAILNAME router.example\n"

    def prepare(self, group):
        write("/etc/dma/dma.conf", self.conf + "DEFER\n")

    def deliver(self, group):
        self.worker = group.start("/usr/sbin/dma", "-q")
        self.group = group

    def is_over(self):
        """Each message has a process of its own."""
        self.worker.poll()
        return not self.group.processes()

    def queued(self):
        return sum(name[0] == "Q" for name in os.listdir(self.spool))


class Msmtp(Client):
    name, program = "msmtp, one call each", "msmtp"

    def prepare(self, group):
        write("/etc/msmtprc", f"account default\nhost {HOST}\nport {PORT}\ntls on\n"
              "tls_starttls on\ntls_trust_file /bench/all.pem\nfrom joe@router.example\n"
              "syslog on\n")
        self.count = 0

    def submit(self, number):
        """There is no queue: the messages lie in files."""
        with open(f"/bench/message-{number}", "wb") as f:
            f.write(message(number))
        self.count = number + 1

    def deliver(self, group):
        self.worker = group.start(
            "/bin/sh", "-c", f"n=0; while [ $n -lt {self.count} ]; do "
            "msmtp ann@far.example </bench/message-$n; n=$((n + 1)); done")

    def queued(self):
        return 0


class Exim(Client):
    name, program, spool = "Exim -qq", "exim4-daemon-light", "/var/spool/exim4/input"
    command = "/usr/sbin/exim4", "-odq", "-i", "-f", "joe@router.example", "ann@far.example"
    conf = f"""
primary_hostname = router.example
never_users =
keep_environment =
log_file_path = syslog
trusted_users = root
begin routers
all:
  driver = manualroute
  route_list = * {HOST}::{PORT} byname
  transport = out
begin transports
out:
  driver = smtp
  hosts_require_tls = *
  tls_verify_certificates = /bench/all.pem
  tls_verify_hosts = *
  tls_verify_cert_hostnames = *
"""

    def prepare(self, group):
        write("/etc/exim4/exim4.conf", self.conf)
        os.makedirs("/var/spool/exim4", exist_ok=True)
        shutil.chown("/var/spool/exim4", "Debian-exim", "Debian-exim")

    def deliver(self, group):
        self.worker = group.start("/usr/sbin/exim4", "-qq")
        self.group = group

    def is_over(self):
        self.worker.poll()
        return not self.group.processes()


class Nullmailer(Client):
    name, program, spool = "nullmailer", "nullmailer", "/var/spool/nullmailer/queue"
    command = "/usr/bin/nullmailer-inject", "-f", "joe@router.example", "ann@far.example"

    def prepare(self, group):
        write("/etc/nullmailer/remotes",
              f"{HOST} smtp --port={PORT} --starttls --x509cafile=/bench/all.pem\n", 0o600,
              "mail:mail")
        write("/etc/nullmailer/me", "router.example\n")
        os.makedirs("/var/spool/nullmailer", exist_ok=True)
        for name in "queue", "tmp", "failed":
            os.makedirs(f"/var/spool/nullmailer/{name}", exist_ok=True)
        if not os.path.exists("/var/spool/nullmailer/trigger"):
            os.mkfifo("/var/spool/nullmailer/trigger", 0o622)
        run("chown", "-R", "mail:mail", "/var/spool/nullmailer")

    def deliver(self, group):
        group.start("/usr/sbin/nullmailer-send", user="mail")

    def is_over(self):
        return self.queued() == 0


LOCALS = ["postfix:1240", "postdrop:1241", "Debian-exim:1242", "opensmtpd:1243",
          "opensmtpq:1244"]
ALL = [Mtabox, Postfix, Postfix_reuse, Exim, Nullmailer, Msmtp, Dma]
SLOW = [Mtabox, Mtabox_chunking, Mtabox_plain, Postfix, Postfix_reuse, Exim, Nullmailer]


def add_users():
    for entry in LOCALS:
        name, number = entry.split(":")
        with open("/etc/passwd", "a", encoding="ascii") as f:
            f.write(f"{name}:x:{number}:{number}::/nonexistent:/bin/false\n")
        with open("/etc/group", "a", encoding="ascii") as f:
            f.write(f"{name}:x:{number}:\n")
    for owner, mode, path in [
            ("root:postdrop", 0o2755, "/usr/sbin/postdrop"),
            ("root:postdrop", 0o2755, "/usr/sbin/postqueue"),
            ("root:opensmtpq", 0o2755, "/usr/sbin/smtpctl"),
            ("root:mail", 0o2755, "/usr/sbin/dma"), ("root:mail", 0o2775, "/var/spool/dma"),
            ("root:root", 0o4755, "/usr/sbin/exim4"),
            ("mail:mail", 0o4755, "/usr/sbin/nullmailer-queue"),
            ("postfix:root", 0o755, "/var/lib/postfix")]:
        if not os.path.exists(path):
            os.makedirs(path)
        shutil.chown(path, *owner.split(":"))
        os.chmod(path, mode)


def wait_for(condition):
    end = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


def measure(client, count, delay):
    """A row of figures."""
    sink = Sink(delay, count, client.extensions)
    group = Group(client.__class__.__name__)
    try:
        client.prepare(group)
        for number in range(count):
            client.submit(number)
        client.settle(group)
        os.sync()
        start, cpu = time.monotonic(), group.cpu()
        client.deliver(group)
        over = wait_for(lambda: client.is_over() and sink.finished)
        cpu = group.cpu() - cpu
        client.stop()
    finally:
        group.end()
        sink.end()
    c = sink.counts
    if not over or c["distinct"] != count or client.queued():
        run("cp", "/bench/log", "/var/spool/log")
        sys.exit(f"relay: {client.name}: {c}, {client.queued()} still in the queue; "
                 f"see its log:\n" + subprocess.run(["tail", "-n", "20", "/bench/log"],
                                                    stdout=subprocess.PIPE, text=True).stdout)
    return {"wall": sink.finished - start, "cpu": cpu, "peak": group.peak,
            "connections": c["connections"], "handshakes": c["handshakes"],
            "commands": c["commands"], "twice": c["messages"] - count, "server": c["cpu"]}


def version(client):
    with open("/bench/versions", encoding="ascii") as f:
        found = dict(x.split() for x in f)
    return found.get(client.program, "")


def show(name, cells, remark=""):
    print(f"{name:22}" + "".join(f"{x:>10}" for x in cells) + remark, flush=True)


def show_figures(client, r, first, count, delay):
    cells = [f"{r['wall']:.2f}", f"{count / r['wall']:.0f}", f"{r['wall'] / first['wall']:.1f}",
             f"{1000 * r['cpu'] / count:.2f}", f"{r['cpu'] / first['cpu']:.1f}",
             f"{r['connections']:.0f}", f"{r['handshakes']:.0f}", str(r["peak"]),
             f"{1000 * r['server'] / count:.2f}"]
    if delay:
        cells[1:3] = [f"{1000 * r['wall'] / delay / count:.2f}"]
    show(client.name, cells, ("" if client.verified else "  certificate not checked") +
         (f"  {r['twice']:.0f} mails twice" if r["twice"] else ""))


def main(count="1000", delay="0", *names):
    count, delay = int(count), float(delay)
    make_certificates()
    add_users()
    keep_log()
    run("/usr/sbin/ip", "link", "set", "lo", "up")
    clients = [c() for c in (SLOW if delay else ALL)
               if not names or c.__name__.lower() in (n.lower() for n in names)]
    line = f"a line of {delay:.0f} ms there and back" if delay else "the loopback"
    print(f"{count} queued messages of {SIZE} bytes to one server over {line}, STARTTLS, P-256:")
    show("", ["wall, s", *(["trips/msg"] if delay else ["mails/s", "ratio"]), "CPU, ms", "ratio",
              "conn.", "handsh.", "peak, kB", "server"])
    first = None
    for client in clients:
        figures = measure(client, count, delay)
        first = first or figures
        show_figures(client, figures, first, count, delay)
    print("Ratios: to the first line. CPU: for each message, of all the client's processes, by "
          "their\ncgroup; server: that of the server. Peak: of the client's memory, pages that "
          "they share\ncounted once, looked at every 50 ms. Compared:\n" +
          ", ".join(sorted({f"{c.program} {version(c)}" for c in clients if c.program})))


if __name__ == "__main__":
    main(*sys.argv[1:])
