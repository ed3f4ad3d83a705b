# SPDX-License-Identifier: ISC
"""Sends mail through the program under test to the servers of servers.py, and looks at what they
have. Runs in the system that `run` lays out.

A cell is one kind of message over one kind of connection to one server, one mechanism of AUTH,
one certificate or kind of TLS, or one answer of a name server. Either all arrives, byte for byte,
or what the program says has the words that the cell expects, the mail is still queued, mailq says
why, and no server has it.

usage: suite.py [table | PATTERN]    (PATTERN: only the cells whose names match)"""

import email
import fcntl
import glob
import itertools
import os
import re
import shutil
import socket
import struct
import subprocess
import sys
import threading
import time
from collections import namedtuple
from concurrent.futures import ThreadPoolExecutor

sys.path.insert(0, "/interop")
import mbox
import servers
from servers import CERTS, PASSWORD, TOKEN, UNKNOWABLE

PROGRAM = "/mtabox"
LEGACY = "/mtabox-legacy"  # built with TLS_LEGACY=1
DOMAIN = "far.example"
# What servers put in front of a message.
TRACE = b"Received", b"Return-Path", b"Delivered-To", b"X-Original-To", b"Envelope-To", \
    b"Delivery-Date"
# Who gets what stunnel and Dovecot's submission server take.
BEHIND = "aiosmtpd"


class Wrong(Exception):
    """What is not as it should be."""


def must(condition, *words):
    if not condition:
        raise Wrong(" ".join(str(w) for w in words))


def read(path):
    with open(path, "rb") as f:
        return f.read()


# The program under test.

class Client:
    """A configuration and a queue of its own. Nothing goes before deliver."""

    def __init__(self, name, *lines, program=PROGRAM):
        self.program = program
        self.ids = {}  # of what was posted, by mark
        self.folder = "/tmp/run/" + re.sub(r"\W+", "-", name)
        self.dialogue = ""
        os.makedirs(self.folder + "/mail")
        os.chmod(self.folder + "/mail", 0o1777)
        servers.write(self.folder + "/conf", "\n".join(
            (f"spooldir {self.folder}/spool", f"log_file {self.folder}/log",
             f"mailbox {self.folder}/mail/%u", "mailname router.example", "defer yes",
             f"tls_ca_file {CERTS}/ca.pem", *lines, "")))

    def call(self, applet, *arguments, stdin=b""):
        done = subprocess.run((self.program, applet, "-C", self.folder + "/conf", *arguments),
                              input=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              timeout=60)
        must(done.returncode == 0, applet, "exits with", done.returncode, done.stderr)
        return done.stdout.decode() + done.stderr.decode(errors="replace")

    def post(self, message, *rcpts):
        self.call("sendmail", "-odq", "-i", *rcpts, stdin=message.text)
        log = read(self.folder + "/log").decode()
        self.ids[message.mark] = re.findall(r" (\w+): uid=\d+ from=", log)[-1]

    def deliver(self):
        """Tries all that waits once."""
        self.dialogue = self.call("deliver", "-q", "-v")

    def queued(self):
        return len(glob.glob(self.folder + "/spool/[!r]*"))

    def outcome(self, message, rcpt):
        """(status, words) of the last attempt."""
        to = rf"{self.ids[message.mark]}: to=<{re.escape(rcpt)}>"
        found = re.findall(to + r".*status=(\w+) \((.*)\)$",
                           read(self.folder + "/log").decode(), re.M)
        must(found, "nothing is logged for", rcpt)
        return found[-1]

    def reason(self, message, rcpt):
        """Why a mail still waits, as the log has it, and mailq where that is not too long for the
        queue; it was not lost."""
        status, words = self.outcome(message, rcpt)
        must(status == "deferred", rcpt, "was not deferred:", status, words)
        must(self.queued(), "nothing is in the queue")
        said = " ".join(self.call("mailq").split())
        must(" ".join(words.split())[:100] in said, "mailq does not say", words, "but", said)
        return words


# Messages.

Message = namedtuple("Message", "mark text")
numbers = itertools.count(1)


def message(body, *fields):
    mark = f"<{next(numbers)}@marks.example>"
    head = [f"From: root@router.example\nTo: joe@{DOMAIN}\nSubject: {mark}\n"
            f"Date: Sun, 22 Nov 2026 10:00:00 +0000\nMessage-ID: {mark}\n"]
    text = "".join(head + [f + "\n" for f in fields] + ["\n"]).encode() + body
    return Message(mark.encode(), text)


UTF8 = ("MIME-Version: 1.0", "Content-Type: text/plain; charset=utf-8",
        "Content-Transfer-Encoding: 8bit")
DOTS = b".\n..\n...\n.a\n\n.\nFrom here\n>From there\n.\n\n.QUIT\n. \n.\n"
BODIES = {
    "small": lambda: message(b"hello\n"),
    "8-bit": lambda: message("Grüße, 你好\n".encode() * 9, *UTF8),
    "long lines": lambda: message(b"a" * 998 + b"\n" + b"b" * 999 + b"\n" + b"c d" * 9000 + b"\n"),
    "dots": lambda: message(DOTS),
    "5 MB": lambda: message(b"".join(b"%071d\n" % n for n in range(5_000_000 // 72))),
}


# What arrived.

def arrived(mark):
    """Its copies, (server, user, content), as the servers have them on disk."""
    found = []
    for path in glob.glob("/srv/*/*/*") + glob.glob("/srv/*/*/new/*"):
        part = path.split("/")
        if os.path.isfile(path) and not part[-1].startswith("dovecot"):
            content = read(path)
            if b"Message-ID: " + mark in content[:8192]:
                found.append((part[2], part[3], content))
    return found


def same(sent, copy):
    """Behind what servers put in front there is what was sent, byte by byte."""
    text = copy.replace(b"\r\n", b"\n")
    at = text.find(b"From: root@router.example\n")
    for field in re.findall(rb"^([^\s:]+):", text[:at], re.M):
        must(field.title() in [t.title() for t in TRACE], "there is a field", field)
    if max(map(len, sent.text.split(b"\n"))) <= 998:
        must(text[at:] == sent.text, "arrived:", text[at:at + 2000])
        return
    # Encoded for the way; the lines are again what they were.
    was, is_now = email.message_from_bytes(sent.text), email.message_from_bytes(text[at:])
    for name, value in was.items():
        must(is_now[name] == value, name, "is", is_now[name])
    must(max(map(len, text.split(b"\n"))) <= 998, "a line is too long")
    must(is_now.get_payload(decode=True).rstrip(b"\n") == was.get_payload().encode().rstrip(b"\n"),
         "the text is not the same")


def came(client, sent, server, users=("joe",), domain=DOMAIN):
    """One copy for each, and no other."""
    for user in users:
        outcome = client.outcome(sent, f"{user}@{domain}")
        must(outcome[0] == "sent", *outcome)
    complete = servers.wait_until(lambda: len(arrived(sent.mark)) >= len(users))
    copies = arrived(sent.mark)
    must(complete and sorted((c[0], c[1]) for c in copies) == sorted((server, u) for u in users),
         "arrived at", [c[:2] for c in copies])
    for copy in copies:
        same(sent, copy[2])


# A table's row: what it says, and a result for each of its cells, (name, why or None).

Row = namedtuple("Row", "table text results")


def attempt(name, check, client):
    """One cell's result."""
    try:
        check()
        return name, None
    except (Wrong, OSError, subprocess.TimeoutExpired) as why:
        return name, f"{why}\n{client.dialogue[-3000:]}"


# The servers' own table.

HOSTS = {"postfix": "127.0.0.2", "exim": "127.0.0.3", "opensmtpd": "127.0.0.4",
         "dovecot": "127.0.0.5", "aiosmtpd": "127.0.0.6", "smtp-server": "127.0.0.7"}
PROXIES = {"microsocks": "127.0.0.9", "dante": "127.0.0.10"}
PROGRAMS = {"postfix": "/usr/sbin/postfix", "exim": "/usr/sbin/exim4",
            "opensmtpd": "/usr/sbin/smtpd", "dovecot": "/usr/sbin/dovecot",
            "aiosmtpd": "/usr/lib/python3/dist-packages/aiosmtpd",
            "smtp-server": "/usr/local/lib/node_modules/smtp-server",
            "stunnel": "/usr/bin/stunnel4", "gnutls-serv": "/usr/bin/gnutls-serv",
            "s_server": "/usr/bin/openssl", "named": "/usr/sbin/named",
            "unbound": "/usr/sbin/unbound", "dnsmasq": "/usr/sbin/dnsmasq",
            "microsocks": "/usr/bin/microsocks", "dante": "/usr/sbin/danted"}
PACKAGES = ("postfix exim4-daemon-heavy opensmtpd dovecot-core python3-aiosmtpd smtp-server "
            "stunnel4 openssl gnutls-bin bind9 unbound dnsmasq-base microsocks dante-server").split()
COLUMNS = [*BODIES, "one of three refused", "all refused", "one connection", "BDAT", "wrong password"]
Way = namedtuple("Way", "server how url")


def is_here(server):
    return os.path.exists(PROGRAMS[server]) and (
        server != "smtp-server" or os.path.exists("/usr/bin/node"))


def ways():
    clear, any_tls = "25, no TLS", "26, STARTTLS if offered"
    for server in "postfix", "exim", "opensmtpd", "aiosmtpd", "smtp-server":
        yield Way(server, clear, f"smtp://{server}.example")
    for server in "postfix", "exim":
        yield Way(server, any_tls, f"smtp://{HOSTS[server]}:26")
    yield Way("postfix", "25, IPv6", "smtp://[::1]")
    for server in "postfix", "exim", "dovecot", "aiosmtpd", "smtp-server":
        yield Way(server, "587, STARTTLS, AUTH", f"smtp+starttls://joe@{server}.example")
        yield Way(server, "465, TLS, AUTH", f"smtps://joe@{server}.example")
    for server in "dovecot", "aiosmtpd", "smtp-server":
        yield Way(server, "LMTP", f"lmtp://{HOSTS[server]}")
    yield Way("dovecot", "LMTP, unix socket", "lmtp+unix:/run/dovecot/lmtp")
    yield Way("aiosmtpd", "LMTP, unix socket", "lmtp+unix:/run/aiosmtpd.lmtp")
    yield Way("aiosmtpd", "SMTP, unix socket", "smtp+unix:/run/aiosmtpd.smtp")


def keeper(server, how):
    """Where its mail ends."""
    return BEHIND if server == "dovecot" and "AUTH" in how else server


def secret(folder, password):
    """The line that names a file of passwords."""
    servers.write(folder + "/auth", "".join(
        f"joe|{server}.example:{password}\n" for server in (*HOSTS, *PROXIES)), 0o600)
    return f"auth_file {folder}/auth"


def refused(client, sent, rcpt):
    """An unknown one. The sender is told, and of nobody else."""
    status, words = client.outcome(sent, rcpt)
    must(status == "bounced", "the unknown one:", status, words)
    must(servers.wait_until(lambda: os.path.exists(client.folder + "/mail/root"), 10),
         "there is no bounce")
    bounces = [b for b in mbox.messages(client.folder + "/mail/root")
               if f"Final-Recipient: rfc822; {rcpt}".encode() in b]
    must(len(bounces) == 1 and bounces[0].count(b"Final-Recipient:") == 1, bounces)


def three(client, sent, where):
    came(client, sent, where, servers.USERS)
    refused(client, sent, f"stranger@{DOMAIN}")


def one_connection(client):
    dialogue = client.dialogue
    must(dialogue.count(": connecting to ") == 1, "not one connection")
    must(dialogue.count(">>> MAIL FROM") == len(BODIES) + 2, "not all messages over it")


def in_chunks(client):
    dialogue = client.dialogue
    must(dialogue.count(">>> BDAT") == len(BODIES) + 2 and ">>> DATA" not in dialogue,
         "not all by BDAT")


def wrong_password(way):
    os.makedirs("/tmp/wrong", exist_ok=True)
    client = Client(f"{way.server} {way.how} wrong", "smarthost " + way.url,
                    secret("/tmp/wrong", "not " + PASSWORD))

    def check():
        sent = message(b"secret\n")
        client.post(sent, f"joe@{DOMAIN}")
        client.deliver()
        words = client.reason(sent, f"joe@{DOMAIN}")
        must(re.search("password|authenti", words, re.I), words)
        must(not arrived(sent.mark), "it went all the same")

    return attempt("wrong password", check, client)


def play_way(way):
    where = keeper(way.server, way.how)
    client = Client(f"{way.server} {way.how}", "smarthost " + way.url,
                    *(["auth_file /etc/passwords"] if "AUTH" in way.how else []))
    sent = {name: make() for name, make in BODIES.items()}
    for one in sent.values():
        client.post(one, f"joe@{DOMAIN}")
    shared = message(b"to three\n")
    client.post(shared, f"joe@{DOMAIN}", f"stranger@{DOMAIN}", f"ann@{DOMAIN}")
    forlorn = message(b"to nobody\n")
    client.post(forlorn, f"outsider@{DOMAIN}")
    client.deliver()
    results = [attempt(name, lambda one=one: came(client, one, where), client)
               for name, one in sent.items()]
    results.append(attempt("one of three refused", lambda: three(client, shared, where), client))
    results.append(attempt("all refused",
                           lambda: refused(client, forlorn, f"outsider@{DOMAIN}"), client))
    results.append(attempt("one connection", lambda: one_connection(client), client))
    if re.search("<<< 250.CHUNKING", client.dialogue) and "LMTP" not in way.how:
        results.append(attempt("BDAT", lambda: in_chunks(client), client))
    if "AUTH" in way.how:
        results.append(wrong_password(way))
    cells = dict(results)
    text = " | ".join([way.server, way.how] + [
        "" if c not in cells else "failed" if cells[c] else "ok" for c in COLUMNS])
    return Row("servers", text, [(f"{way.server}, {way.how}: {n}", why) for n, why in results])


# Does the configuration work?

def play_probe(way):
    client = Client(f"{way.server} {way.how} probe", "smarthost " + way.url,
                    *(["auth_file /etc/passwords"] if "AUTH" in way.how else []))
    said = []

    def check():
        client.dialogue = client.call("sendmail", "-bv", "-v")
        verdicts = re.findall(r"^(?!sendmail: ).+", client.dialogue, re.M)
        must(len(verdicts) == 1 and ": ready for mail " in verdicts[0], verdicts)
        said.append(verdicts[0])
        must(">>> QUIT" in client.dialogue and ">>> MAIL" not in client.dialogue, "what it said")
        must(not os.path.exists(client.folder + "/spool"), "there is a queue")

    result = attempt(f"{way.server}, {way.how}: -bv -v", check, client)
    return Row("probe", f"{way.server} | {way.how} | {said[0] if said else 'failed'}", [result])


# Proxies. words: None where it is delivered, else among what is said.

Proxy = namedtuple("Proxy", "proxy name url server words lines")


def proxy_cases():
    def case(proxy, name, how, server, words=None, *lines):
        return Proxy(proxy, name, f"socks5://{how}", server, words, lines)

    micro, dante = "microsocks.example", "dante.example"
    yield case("microsocks", "takes everybody", micro, "joe@postfix.example")
    yield case("microsocks", "takes us with a login too", "joe@" + micro, "joe@aiosmtpd.example")
    yield case("microsocks", "wants a login", f"joe@{micro}:1081", "joe@exim.example")
    yield case("microsocks", "wants a login, and has none", micro + ":1081", "postfix.example",
               "it wants a login: write proxy USER@HOST")
    yield case("microsocks", "is told a wrong password", f"joe@{micro}:1081", "postfix.example",
               "it refuses our user or password", "auth_file /etc/wrong/auth")
    yield case("microsocks", "does not know the server's name", micro, "nowhere.invalid",
               "reaching nowhere.invalid by proxy microsocks.example: it ")
    yield case("microsocks", "finds nothing at that port", micro, "postfix.example:9",
               "it says: connection refused")
    yield case("dante", "wants a login", "joe@" + dante, "joe@dovecot.example")
    yield case("dante", "wants a login, and has none", dante, "dovecot.example",
               "it wants a login: write proxy USER@HOST")
    yield case("dante", "has a rule against it", "joe@" + dante, "exim.example",
               "it says: not allowed by the rules")


def play_proxy(case):
    client = Client(f"{case.proxy} {case.name}", f"smarthost smtp+starttls://{case.server}",
                    "auth_file /etc/passwords", *case.lines, "proxy " + case.url)
    sent = message(b"by proxy\n")
    said = []

    def check():
        client.post(sent, f"joe@{DOMAIN}")
        client.deliver()
        if case.words is None:
            host = case.server.split("@")[1]
            came(client, sent, keeper(host.split(".")[0], "AUTH"))
            said.append("delivered")
            must(f"connecting to {host}:587\n" in client.dialogue, "not by its name")
            return
        said.append(client.reason(sent, f"joe@{DOMAIN}"))
        must(case.words in said[0], "it says", said[0])
        must(not arrived(sent.mark), "it went all the same")

    result = attempt(f"{case.proxy}: {case.name}", check, client)
    return Row("proxy", f"{case.proxy} | {case.name} | {said[0] if said else 'failed'}", [result])


# AUTH.

USUAL = "PLAIN LOGIN CRAM-MD5 SCRAM-SHA-1 SCRAM-SHA-256"
MECHANISMS = {("dovecot", 465): USUAL + " OAUTHBEARER XOAUTH2",
              ("dovecot", 466): "EXTERNAL",
              ("exim", 466): "EXTERNAL",
              ("postfix", 465): USUAL + " OAUTHBEARER XOAUTH2",
              ("postfix", 467): USUAL + " NTLM",
              ("exim", 465): "PLAIN CRAM-MD5",
              ("aiosmtpd", 465): "PLAIN LOGIN",
              ("smtp-server", 465): "PLAIN LOGIN"}
BEHIND_PORT = {466: ", our certificate", 467: ", Cyrus SASL"}
Login = namedtuple("Login", "server mechanism name user password port words")


def logins():
    """words: None where it is delivered, else among what is said."""
    for (server, port), mechanisms in MECHANISMS.items():
        for mechanism in mechanisms.split():
            if mechanism == "EXTERNAL":
                yield Login(server, mechanism, "none", "joe", "", port, None)
                continue
            good = TOKEN if "OAUTH" in mechanism else PASSWORD
            yield Login(server, mechanism, "right", "joe", good, port, None)
            yield Login(server, mechanism, "wrong", "joe", "not" + good, port,
                        f"AUTH {mechanism} as joe at {server}.example refused: ")
    for server in "dovecot", "postfix":
        for mechanism in "OAUTHBEARER", "XOAUTH2":
            yield Login(server, mechanism, "cannot be checked now", "joe", UNKNOWABLE, 465,
                        f"AUTH {mechanism} as joe at {server}.example refused: ")
    yield Login("exim", "PLAIN", "cannot be checked now", "ann", PASSWORD, 465, "refused: ")
    yield Login("postfix", "PLAIN", "nobody is there to check it", "joe", PASSWORD, 468, "")
    # Version 2 is what we speak.
    yield Login("exim", "NTLM", "right, but version 1 is wanted", "joe", PASSWORD, 465,
                "AUTH NTLM as joe at exim.example refused: ")


def title(login):
    behind = BEHIND_PORT.get(login.port, "")
    return f"{login.server}{behind}: AUTH {login.mechanism}, {login.name}"


def play_login(login):
    name = title(login)
    folder = "/tmp/auth/" + re.sub(r"\W+", "-", name)
    os.makedirs(folder)
    servers.write(folder + "/auth", f"{login.user}|{login.server}.example:{login.password}\n",
                  0o600)
    identity = certified("client") if login.mechanism == "EXTERNAL" else ()
    client = Client(name, *identity, f"auth_file {folder}/auth", f"auth_mechanisms {login.mechanism}",
                    f"smarthost smtps://{login.user}@{login.server}.example:{login.port}")
    sent = message(b"let me in\n")
    said = []

    def check():
        client.post(sent, f"joe@{DOMAIN}")
        client.deliver()
        must(login.port == 468 or f">>> AUTH {login.mechanism}" in client.dialogue,
             "not with this mechanism")
        if login.words is None:
            came(client, sent, keeper(login.server, "AUTH"))
            said.append("delivered")
            return
        words = client.reason(sent, f"joe@{DOMAIN}")
        said.append(mask(words))
        must(login.words in words, "it says", words)
        must(not arrived(sent.mark), "it went all the same")

    result = attempt(name, check, client)
    text = f"{name[:-len(login.name) - 2]} | {login.name} | ".replace(": AUTH ", " | ")
    return Row("auth", text + (said[0] if said else "failed"), [result])


def attempts(user):
    """How often Dovecot was asked to let user in."""
    return read("/var/log/dovecot.log").count(f"({user},".encode())


def play_lockout():
    """A wrong password, more mails than one, and a runner that stays: an attempt for all of them
    together, then less and less often, whatever else is sent meanwhile."""
    name = "dovecot: AUTH PLAIN, wrong for a while"
    folder = "/tmp/auth/lockout"
    os.makedirs(folder)
    servers.write(folder + "/auth", f"ann|dovecot.example:not {PASSWORD}\n", 0o600)
    client = Client(name, f"auth_file {folder}/auth", "auth_mechanisms PLAIN", "defer no",
                    "smarthost smtps://ann@dovecot.example", "retry_min 1s")
    sent = [message(b"let me in\n") for _ in range(6)]
    said = []

    def check():
        for one in sent[:4]:
            client.post(one, f"joe@{DOMAIN}")
        started = time.monotonic()
        client.call("sendmail", "-i", f"joe@{DOMAIN}", stdin=sent[4].text)
        must(servers.wait_until(lambda: attempts("ann") > 0), "no attempt at all")
        client.call("sendmail", "-i", f"joe@{DOMAIN}", stdin=sent[5].text)
        must(servers.wait_until(lambda: attempts("ann") > 2), "only", attempts("ann"))
        took = time.monotonic() - started
        must(took > 2.4, "three attempts in", took, "seconds")  # one more after 1, one after 1.5
        for one in sent[:4]:
            client.reason(one, f"joe@{DOMAIN}")
            must(not arrived(one.mark), "it went all the same")
        must(client.queued() == len(sent), "not all of them wait")
        said.append("an attempt for all mails together, then after 1, 1.5, ... times retry_min")

    result = attempt(name, check, client)
    return Row("auth", "dovecot | PLAIN | wrong for a while | " + (said[0] if said else "failed"),
               [result])


# How much servers take at once. words: what those hear who come too late, or None.

Limit = namedtuple("Limit", "server name url messages rcpts sent words")
LIMITS = (
    Limit("postfix", "3 recipients", "smtp://127.0.0.2:27", 2, 8, 2, None),
    Limit("postfix", "3 recipients, more are errors", "smtp://127.0.0.2:28", 2, 8, 2, None),
    Limit("postfix", "3 messages a minute", "smtp://127.0.0.2:29", 6, 1, 3, "too much mail"),
    Limit("exim", "5 recipients", "smtp://exim.example", 2, 12, 2, None),
    Limit("exim", "10 messages a connection", "smtp://exim.example", 25, 1, 25, None),
    Limit("opensmtpd", "5 recipients", "smtp://opensmtpd.example", 2, 12, 2, None),
    Limit("opensmtpd", "10 messages a connection", "smtp://opensmtpd.example", 25, 1, 25, None),
)


def play_limit(limit):
    client = Client(f"{limit.server} {limit.name}", "smarthost " + limit.url)
    rcpts = [f"joe+{n}@{DOMAIN}" for n in range(limit.rcpts)]
    sent = [message(b"one of many\n") for _ in range(limit.messages)]
    said = []

    def check():
        for one in sent:
            client.post(one, *rcpts)
        client.deliver()
        came_to = [{client.outcome(one, rcpt)[0] for rcpt in rcpts} for one in sent]
        must(came_to.count({"sent"}) == limit.sent, "not all were sent:", came_to)
        for one, status in zip(sent, came_to):
            wanted = len(rcpts) if status == {"sent"} else 0
            servers.wait_until(lambda: len(arrived(one.mark)) >= wanted)
            copies = arrived(one.mark)
            must(len(copies) == wanted, len(copies), "copies for", len(rcpts))
            for copy in copies:
                same(one, copy[2])
            if not wanted:
                must(limit.words in client.reason(one, rcpts[0]), "it says something else")
        said.append(f"{limit.sent} of {limit.messages} messages, recipients: {limit.rcpts}, "
                    f"connections: {client.dialogue.count(': connecting to ')}")

    result = attempt(f"{limit.server}, limit: {limit.name}", check, client)
    return Row("limits", f"{limit.server} | {limit.name} | {said[0] if said else 'failed'}",
               [result])


# Certificates and kinds of TLS. words: None where it is delivered, else among what is said;
# host: or a URL; lines: of the configuration.

Tls = namedtuple("Tls", "server name certificate options words host lines program",
                 defaults=(PROGRAM,))


def digest(certificate, of_key=False):
    """What tls_fingerprint, or tls_pin, is to be."""
    command = f"openssl x509 -in {CERTS}/{certificate}.pem -outform DER"
    if of_key:
        command = (f"openssl x509 -in {CERTS}/{certificate}.pem -noout -pubkey | "
                   "openssl pkey -pubin -outform DER")
    return servers.run("/bin/sh", "-c", command + " | sha256sum").split()[0]


def certified(name):
    """The lines that give us this certificate."""
    return f"tls_cert {CERTS}/{name}.pem", f"tls_key {CERTS}/{name}.key"


def behind_stunnel():
    def case(name, certificate, words=None, *lines, host="mail.example", options=()):
        return Tls("stunnel", name, certificate, options, words, host, lines)

    weak = ("securityLevel = 0",)
    yield case("RSA 2048", "goodrsa")
    yield case("RSA 3072", "rsa3072")
    yield case("RSA 4096", "rsa4096")
    yield case("P-256", "good")
    yield case("P-384", "p384")
    yield case("P-521", "p521")
    yield case("Ed25519", "ed25519", "accepts none of our ciphers")
    yield case("RSA 1024", "weak", "RSA key of less than 2048 bits", options=weak)
    yield case("signed with SHA-1", "sha1", "is signed with SHA-1", options=weak)
    yield case("two intermediates", "chain")
    yield case("two intermediates and the root", "chainroot")
    yield case("wrong order, and a stranger's among them", "shuffled")
    yield case("an expired intermediate and its successor", "doubled")
    yield case("an expired intermediate", "onlyold", "CN=Lower CA, issued by CN=Upper CA, 2010")
    yield case("an intermediate is missing", "missing", "leads to CN=Lower CA")
    yield case("Let's Encrypt, short chain", "short")
    yield case("Let's Encrypt, with the expired cross-sign", "encrypt")
    yield case("Let's Encrypt, cross-sign, only the old root is trusted", "encrypt", "expired on",
               f"tls_ca_file {CERTS}/elder.pem")
    yield case("another host's", "wrongname", "does not name this host, but other.example")
    yield case("wildcard", "wildcard", host="smtp.mail.example")
    yield case("wildcard, two labels deep", "wildcard", "does not name this host",
               host="a.smtp.mail.example")
    yield case("wildcard of a top-level domain", "wildcard", "does not name this host")
    yield case("IP address (SAN)", "address", host="127.0.0.1")
    yield case("IPv6 address (SAN)", "address", host="[::1]")
    yield case("IP address, name only", "good", "does not name this host", host="127.0.0.1")
    yield case("no subjectAltName", "nosan", "has no subjectAltName")
    yield case("expired", "expired", "expired on 2024-01-02 03:04:05 UTC")
    yield case("not yet valid", "future", "is not valid before 2039-01-01 00:00:00 UTC")
    yield case("unknown CA", "unknown", "leads to CN=Unknown CA")
    yield case("a CA that only has the name", "forged", "was not signed by the CA of that name")
    yield case("self-signed", "selfsigned", "the self-signed certificate of mail.example")
    yield case("self-signed, tls_fingerprint", "selfsigned", None,
               "tls_fingerprint " + digest("selfsigned"))
    yield case("self-signed, tls_pin", "selfsigned", None,
               "tls_pin " + digest("selfsigned", True))
    yield case("self-signed, in the bundle", "pinnedself")
    yield case("expired, tls_pin", "expired", None, "tls_pin " + digest("expired", True))
    yield case("another one than tls_fingerprint", "good", "does not match tls_fingerprint",
               "tls_fingerprint " + digest("goodrsa"))
    yield case("another key than tls_pin", "good", "does not match tls_pin",
               "tls_pin " + digest("goodrsa", True))
    yield case("unknown CA, tls_verify no", "unknown", None, "tls_verify no")
    yield case("no bundle on the device", "good", "without the CA bundle",
               "tls_ca_file /nonexistent.pem")
    yield case("CAs in a directory", "chain", None, f"tls_ca_file {CERTS}/ca")
    yield case("name constraints", "constrained", "has name constraints")
    yield case("for clients (extended key usage)", "wrongusage", "is not for servers")
    yield case("a CA's own", "caleaf", "is a CA's, not a server's")
    wanted = "verifyChain = yes", f"CAfile = {CERTS}/ca.pem"
    yield case("client certificate required", "good", "client certificate", options=wanted)
    for kind, client in ("RSA 2048", "clientrsa"), ("RSA 4096", "clientrsa4096"), \
            ("P-256 and its chain", "client"), ("P-384", "clientp384"):
        yield case(f"client certificate: {kind}", "goodrsa", None, *certified(client),
                   options=wanted)
    yield case("client certificate: unknown CA", "good", "does not know the CA of our",
               *certified("clientstranger"), options=wanted)
    yield case("client certificate: expired", "good", "our certificate (tls_cert) has expired",
               *certified("clientold"), options=wanted)
    yield case("client certificate: another one's key", "good", "holds another key",
               f"tls_cert {CERTS}/client.pem", f"tls_key {CERTS}/clientrsa.key", options=wanted)
    yield case("client certificate: nobody asks", "good", None, *certified("client"))
    yield case("TLS 1.3 only", "good", "does not accept TLS 1.2", options=(
        "sslVersionMin = TLSv1.3",))
    yield case("TLS 1.0 only", "good", "TLS 1.2", options=(
        "sslVersionMax = TLSv1", "sslVersionMin = TLSv1", "ciphers = ALL@SECLEVEL=0", *weak))


def of_s_server():
    def case(name, certificate, options, words=None, *lines):
        return Tls("s_server", name, certificate, options.split(), words, "mail.example", lines)

    yield case("RSA 2048", "goodrsa", "-tls1_2")
    yield case("P-256", "good", "-tls1_2")
    for cipher in "ECDHE-RSA-CHACHA20-POLY1305", "ECDHE-RSA-AES128-GCM-SHA256", \
            "ECDHE-RSA-AES256-GCM-SHA384":
        yield case(f"only {cipher}", "goodrsa", f"-tls1_2 -cipher {cipher}")
    for group in "X25519", "P-256", "P-384", "P-521":
        yield case(f"only {group}", "goodrsa", f"-tls1_2 -groups {group}")
    none = "accepts none of our ciphers"
    yield case("only X448", "goodrsa", "-tls1_2 -groups X448", none)
    yield case("only CBC", "goodrsa", "-tls1_2 -cipher ECDHE-RSA-AES128-SHA", none)
    yield case("only RSA key exchange", "goodrsa", "-tls1_2 -cipher AES128-GCM-SHA256", none)
    yield case("only DHE", "goodrsa", "-tls1_2 -cipher DHE-RSA-AES128-GCM-SHA256", none)
    yield case("only RSA-PSS signatures", "goodrsa",
               "-tls1_2 -sigalgs rsa_pss_rsae_sha256", none)
    yield case("TLS 1.3 only", "good", "-tls1_3", "does not accept TLS 1.2")
    yield case("TLS 1.0 only", "good", "-tls1 -cipher ALL@SECLEVEL=0", "TLS 1.2")
    yield case("Ed25519", "ed25519", "-tls1_2", none)
    yield case("client certificate asked for", "good", "-tls1_2 -verify 1")
    wanted = f"-tls1_2 -Verify 3 -verify_return_error -CAfile {CERTS}/ca.pem"
    yield case("client certificate required", "good", wanted, "client certificate")
    yield case("client certificate: RSA 2048", "good", wanted, None, *certified("clientrsa"))
    yield case("client certificate: P-256 and its chain", "good", wanted, None,
               *certified("client"))


def of_the_past():
    def case(name, certificate, options, words=None, *lines):
        return Tls("s_server", "TLS_LEGACY: " + name, certificate, options.split(), words,
                   "mail.example", lines, LEGACY)

    weak, wanted = "-cipher ALL@SECLEVEL=0", f"-Verify 3 -CAfile {CERTS}/ca.pem"
    yield case("TLS 1.0 only", "goodrsa", f"-tls1 {weak}")
    yield case("TLS 1.0 only, P-256", "good", f"-tls1 {weak}")
    yield case("TLS 1.1 only", "goodrsa", f"-tls1_1 {weak}")
    yield case("TLS 1.2", "goodrsa", "-tls1_2")
    for cipher in "ECDHE-RSA-AES128-SHA", "ECDHE-RSA-AES256-SHA384", "AES128-GCM-SHA256", \
            "AES256-SHA256", "AES128-SHA":
        yield case(f"only {cipher}", "goodrsa", f"-tls1_2 -cipher {cipher}")
    yield case("TLS 1.0 and RSA key exchange only", "goodrsa",
               "-tls1 -cipher AES256-SHA@SECLEVEL=0")
    yield case("key for encryption only", "encrypting", "-tls1_2 -cipher AES128-SHA")
    yield case("signed with SHA-1", "sha1", f"-tls1_2 {weak}")
    yield case("signed with MD5", "md5", f"-tls1_2 {weak}", "is signed with SHA-1 or MD5")
    yield case("RSA 1024", "weak", f"-tls1_2 {weak}")
    yield case("RSA 512", "weaker", f"-tls1_2 {weak}", "RSA key of less than 1024 bits")
    for kind, client in ("RSA 2048", "clientrsa"), ("P-256 and its chain", "client"):
        yield case(f"TLS 1.0, client certificate: {kind}", "goodrsa", f"-tls1 {weak} {wanted}",
                   None, *certified(client))
    yield case("TLS 1.3 only", "good", "-tls1_3", "does not accept TLS 1.2")
    yield case("expired", "expired", f"-tls1 {weak}", "expired on")


def of_gnutls():
    def case(name, certificate, priority, words, *lines, options=()):
        return Tls("gnutls-serv", name, certificate, ("--priority", priority, *options), words,
                   "mail.example", lines)

    wanted = "--require-client-cert", "--verify-client-cert", f"--x509cafile={CERTS}/ca.pem"
    yield case("client certificate required", "good", "NORMAL:-VERS-TLS1.3",
               "client certificate", options=wanted)
    # It does not speak SMTP: silence is what comes behind a handshake that has gone well.
    for kind, client in ("RSA 2048", "clientrsa"), ("P-256 and its chain", "client"):
        yield case(f"client certificate: {kind}", "good", "NORMAL:-VERS-TLS1.3",
                   "no answer from", *certified(client), "command_timeout 1", options=wanted)
    yield case("client certificate: unknown CA", "good", "NORMAL:-VERS-TLS1.3",
               "our certificate", *certified("clientstranger"), options=wanted)
    none = "accepts none of our ciphers"
    yield case("TLS 1.3 only", "good", "NORMAL:-VERS-ALL:+VERS-TLS1.3", "TLS 1.2")
    yield case("TLS 1.0 only", "good", "NORMAL:-VERS-ALL:+VERS-TLS1.0", "TLS 1.2")
    yield case("only CBC", "goodrsa", "NORMAL:-CIPHER-ALL:+AES-128-CBC:-VERS-TLS1.3", none)
    yield case("only RSA key exchange", "goodrsa", "NORMAL:-KX-ALL:+RSA:-VERS-TLS1.3", none)
    yield case("Ed25519", "ed25519", "NORMAL:-VERS-TLS1.3", none)


def of_mail_servers():
    """OpenSMTPD 6.8 cannot do TLS with OpenSSL 3, as Debian 12 has it."""
    def case(server, name, url, words=None, *lines):
        return Tls(server, name, None, (), words, url, lines)

    yield case("opensmtpd", "what Debian 12 made of it", "smtps://opensmtpd.example",
               "the server had an internal error")
    yield case("aiosmtpd", "none on that port", "smtps://aiosmtpd.example:25",
               "does not speak TLS here")
    yield case("aiosmtpd", "no STARTTLS", "smtp+starttls://aiosmtpd.example:25",
               "does not offer STARTTLS")
    ours = "smtps://postfix.example:466"
    yield case("postfix", "client certificate required", ours, "client certificate")
    yield case("postfix", "client certificate: RSA 2048", ours, None, *certified("clientrsa"))
    yield case("postfix", "client certificate: P-256 and its chain", ours, None,
               *certified("client"))


def talk(process):
    """The SMTP behind s_server. Keeps the message as the other servers do."""
    def say(words):
        process.stdin.write(words + b"\r\n")
        process.stdin.flush()

    say(b"220 mail.example")
    text = None
    for line in process.stdout:
        if text is not None and line != b".\r\n":
            text.append(line[1:] if line.startswith(b".") else line)
        elif text is not None:
            folder = "/srv/s_server/joe"
            os.makedirs(folder, exist_ok=True)
            servers.write(f"{folder}/{next(numbers)}", b"".join(text).decode())
            text = None
            say(b"250 taken")
        elif line == b"DATA\r\n":
            text = []
            say(b"354 go on")
        elif line == b"QUIT\r\n":
            return  # nobody waits for an answer
        else:
            say(b"250 well")


def start_tls_server(case, port):
    """One for this case. Those behind stunnel run already."""
    pem = f"{CERTS}/{case.certificate}"
    if case.server == "s_server":
        process = subprocess.Popen(
            ["openssl", "s_server", "-quiet", "-naccept", "1", "-accept", f"127.0.0.8:{port}",
             "-cert", pem + ".pem", "-key", pem + ".key", *case.options],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        threading.Thread(target=talk, args=(process,), daemon=True).start()
    else:
        servers.spawn("/usr/bin/gnutls-serv", "--quiet", "--echo", "--port", str(port),
                      "--x509certfile", pem + ".pem", "--x509keyfile", pem + ".key",
                      *case.options)
    must(servers.wait_until(lambda: listening(port)), "the server is not up")


def listening(port):
    """Without a connection, which would be the one that s_server waits for."""
    tables = read("/proc/net/tcp") + read("/proc/net/tcp6")
    return re.search(rb":%04X [0-9A-F]+:0000 0A " % port, tables)


def mask(words):
    """Without what is another in each run."""
    words = re.sub(r"\b[0-9a-f]{64}\b", "(64 digits)", words)
    words = re.sub(r"is the clock right \(.*? UTC\)", "is the clock right (...)", words)
    words = re.sub(r" \[router\.example:[-0-9: ]*\]", "", words)
    return words


def play_tls(case, port):
    url = case.host if ":/" in case.host else f"smtps://{case.host}:{port}"
    client = Client(f"{case.server} {case.name}", "smarthost " + url, *case.lines,
                    program=case.program)
    sent = message(b"under seal\n")
    said = []

    def check():
        if case.server in ("s_server", "gnutls-serv"):
            start_tls_server(case, port)
        client.post(sent, f"joe@{DOMAIN}")
        client.deliver()
        if case.words is None:
            came(client, sent, BEHIND if case.server == "stunnel" else case.server)
            said.append("delivered: " + re.search(r"TLSv1\.\d [^ ,]+", client.dialogue)[0])
            return
        words = client.reason(sent, f"joe@{DOMAIN}")
        said.append(mask(words))
        must(case.words in words, "it says", words)
        must(not arrived(sent.mark), "it went all the same")

    result = attempt(f"{case.server}, TLS: {case.name}", check, client)
    return Row("tls", f"{case.name} | {case.server} | {said[0] if said else 'failed'}", [result])


def tls_cases():
    """(case, port)"""
    cases = [*behind_stunnel(), *of_s_server(), *of_gnutls(), *of_mail_servers()]
    if os.path.exists(LEGACY):
        cases += of_the_past()
    return [(case, 2000 + n) for n, case in enumerate(cases)]


def stunnel_services(cases):
    for case, port in cases:
        if case.server == "stunnel":
            pem = f"{CERTS}/{case.certificate}"
            address = case.host.strip("[]") if case.host[0] in "1[" else "127.0.0.8"
            yield f"{address}:{port}", [f"cert = {pem}.pem", f"key = {pem}.key", *case.options]


# Name servers.

RESOLVERS = {"named": "127.0.0.1", "unbound": "127.0.0.54", "dnsmasq": "127.0.0.55"}
ANSWERS = {
    "far.example": ("two MX, the first does not answer", "sent"),
    "implicit.example": ("no MX, an address", "sent"),
    "many.example": ("61 MX: too many for UDP", "sent"),
    "cname.example": ("CNAME to a domain with MX", "sent"),
    "six.example": ("the MX has only IPv6", "sent"),
    "null.example": ("null MX", "bounced"),
    "nothing.example": ("no such domain", "bounced"),
    "broken.example": ("SERVFAIL", "deferred"),
}


def play_resolver(server):
    client = Client("dns " + server, f"resolver {RESOLVERS[server]}", "connect_timeout 5")
    sent = {domain: message(b"by name\n") for domain in ANSWERS}
    for domain, one in sent.items():
        client.post(one, f"joe@{domain}")
    client.deliver()
    for domain, (name, want) in ANSWERS.items():
        said = []

        def check():
            status, words = client.outcome(sent[domain], f"joe@{domain}")
            said.append("delivered" if status == "sent" else f"{status}: {words}")
            must(status == want, "it was", status, words)
            if want == "sent":
                came(client, sent[domain], "postfix", domain=domain)
            elif want == "deferred":
                client.reason(sent[domain], f"joe@{domain}")

        result = attempt(f"{server}: {name}", check, client)
        yield Row("dns", f"{name} | {server} | {said[0] if said else 'failed'}", [result])


# The system around all this.

def loopback_up():
    with socket.socket() as s:
        SIOCSIFFLAGS, IFF_UP = 0x8914, 1
        fcntl.ioctl(s, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", IFF_UP))


def prepare():
    loopback_up()
    with open("/etc/passwd", "a") as users, open("/etc/group", "a") as groups:
        for local in servers.LOCALS:
            name, number = local.split(":")
            users.write(f"{name}:x:{number}:{number}::/nonexistent:/bin/false\n")
            groups.write(f"{name}:x:{number}:\n")
    with open("/etc/hosts", "a") as f:
        for name, address in (*HOSTS.items(), *PROXIES.items()):
            f.write(f"{address} {name}.example\n")
        f.write("127.0.0.8 mail.example smtp.mail.example a.smtp.mail.example\n")
    for name in "postfix", "exim", "opensmtpd", "dovecot":
        for user in servers.USERS:
            os.makedirs(f"/srv/{name}/{user}")
            shutil.chown(f"/srv/{name}/{user}", "joe" if name != "opensmtpd" else user)
    os.mkdir("/srv/aiosmtpd")
    os.mkdir("/srv/smtp-server")
    secret("/etc", PASSWORD)
    os.rename("/etc/auth", "/etc/passwords")
    secret("/etc/wrong", "not " + PASSWORD)
    servers.run("/interop/make-test-certs", CERTS, *(f"{name}.example" for name in HOSTS))


def complain(server, program):
    sys.stderr.write(f"{server} is not up: " + "".join(
        read(f).decode(errors="replace")[-2000:] for f in glob.glob(f"/var/log/{program}*.out")))


def start_servers(cases):
    """All at once, then each is waited for."""
    for name, address in (*HOSTS.items(), *PROXIES.items()):
        if is_here(name):
            getattr(servers, name.replace("-", "_"))(address)
    for name in RESOLVERS:
        if is_here(name):
            getattr(servers, name)()
    services = [*stunnel_services(cases)]
    if is_here("stunnel"):
        servers.stunnel(services)
        if not servers.wait_until(lambda: listening(2000)):
            complain("stunnel", "stunnel4")
    for name, address in HOSTS.items():
        port = 25 if name == "opensmtpd" else 587
        if is_here(name) and not servers.wait_until(lambda: servers.listens(address, port)):
            complain(name, os.path.basename(PROGRAMS[name]))
    for name, address in PROXIES.items():
        if is_here(name) and not servers.wait_until(lambda: servers.listens(address, 1080)):
            complain(name, os.path.basename(PROGRAMS[name]))


# The run.

TABLES = {
    "servers": ("Servers", "server | over | " + " | ".join(COLUMNS)),
    "probe": ("Does the configuration work (sendmail -bv -v)", "server | over | it says"),
    "auth": ("Passwords", "server | AUTH | the password is | result"),
    "limits": ("Limits", "server | takes | delivered in one run"),
    "proxy": ("Proxies", "proxy | which | result"),
    "tls": ("TLS", "the server has | which is | result"),
    "dns": ("Name servers", "the domain has | asked of | result"),
}
HEAD = "<!-- Written by `make interop-matrix`; tests/README says what it shows. -->\n"


def jobs(cases):
    """(server, name, what gives its rows)"""
    for way in ways():
        yield way.server, f"{way.server}, {way.how}", lambda way=way: [play_way(way)]
        yield way.server, f"{way.server}, {way.how}: -bv -v", lambda way=way: [play_probe(way)]
    for case in proxy_cases():
        yield case.proxy, f"{case.proxy}: {case.name}", lambda c=case: [play_proxy(c)]
    for login in logins():
        yield login.server, title(login), lambda l=login: [play_login(l)]
    yield "dovecot", "dovecot: AUTH PLAIN, wrong for a while", lambda: [play_lockout()]
    for limit in LIMITS:
        yield limit.server, f"{limit.server}, limit: {limit.name}", \
            lambda limit=limit: [play_limit(limit)]
    for case, port in cases:
        yield case.server, f"{case.server}, TLS: {case.name}", \
            lambda c=case, p=port: [play_tls(c, p)]
    for server in RESOLVERS:
        yield server, f"{server}: MX", lambda s=server: play_resolver(s)


def rows_of(job):
    server, name, play = job
    if not is_here(server):
        return [Row(None, None, [(f"{name} # SKIP not on this machine: {server}", None)])]
    try:
        return list(play())
    except (Wrong, OSError, subprocess.TimeoutExpired) as why:
        return [Row(None, None, [(name, why)])]


def result(name, why):
    """TAP's words: good without a reason."""
    if why is None:
        return f"ok - {name}"
    return "\n# ".join([f"not ok - {name}"] + str(why).splitlines())


def matrix(rows):
    text = HEAD
    for table, (title, columns) in TABLES.items():
        count = columns.count("|") + 1
        text += f"\n## {title}\n\n| {columns} |\n" + "|---" * count + "|\n"
        text += "".join(f"| {row.text} |\n" for row in rows if row.table == table)
    versions = read("/interop/versions").decode().splitlines()
    named = {line.split()[0]: line for line in versions}
    return text + "\n## Versions\n\n" + "".join(
        f"- {named.get(p, p + ': not there')}\n" for p in PACKAGES)


def as_committed(rows):
    """One result for each row: is it in MATRIX.md?"""
    known = read("/interop/MATRIX.md").decode().splitlines() \
        if os.path.exists("/interop/MATRIX.md") else []
    for row in rows:
        name = ", ".join(row.text.split(" | ")[:2])
        ok = f"| {row.text} |" in known
        yield result(f"{name}: as in MATRIX.md", None if ok else f"is:  {row.text}")


def main(what=""):
    prepare()
    cases = tls_cases()
    start_servers(cases)
    chosen = [j for j in jobs(cases) if what in ("", "table") or re.search(what, j[1])]
    # Most of the time each waits for a server.
    with ThreadPoolExecutor(6) as pool:
        rows = [row for found in pool.map(rows_of, chosen) for row in found]
    results = [result(name, why) for row in rows for name, why in row.results]
    rows = [row for row in rows if row.table]
    if what == "table":
        sys.stderr.writelines(r + "\n" for r in results if not re.fullmatch("ok[^#]*", r))
        print(matrix(rows), end="")
        return any(not re.fullmatch("ok[^#]*", r) for r in results)
    results += as_committed(rows)
    print(f"1..{len(results)}")
    for number, line in enumerate(results, 1):
        print(line.replace("ok -", f"ok {number} -", 1))
    return any(r.startswith("not") for r in results)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
