#!/usr/bin/python3 -EsSB
# SPDX-License-Identifier: ISC
"""Somebody on the way: STARTTLS stripped, refused, injected, and a handshake or session that is
damaged, cut or replaced at every point. Where TLS is required neither password nor mail may go in
clear, the mail stays in the queue with words, and arrives once at a good server thereafter.

usage: tls.py [SEED [NUMBER [WORDS]]]    NUMBER of bytes that are damaged, and of cuts; of those
                                         with WORDS in their names only; prints TAP
"""
import base64
import random
import ssl
import subprocess
import sys
import time

from host import Box, Gone, Line, Queue, Server, Tap, check_clean, play_all, same, shown

SEED, NUMBER = 1, 150

PASSWORD = "Waldmeister"
RCPT = "a@x.example"
PATIENCE, SHORT = 20, 3
CLEAR = b"EHLO router.example\r\nSTARTTLS\r\n"
OFFER = b"250-mail.example\r\n250-AUTH PLAIN\r\n250 STARTTLS\r\n"
READY = b"220 2.0.0 go ahead\r\n"
SPACE = 1200  # KiB; BearSSL's buffers, certificates


# --- what is done to the server's bytes -----------------------------------------------------

class Pass:
    """Hands them on; one for each connection. All bytes come here once TLS has begun."""

    def __init__(self):
        self.count = 0

    def __call__(self, line, data):
        line.put(data)


class Flip(Pass):
    def __init__(self, at, mask):
        super().__init__()
        self.at, self.mask = at, mask

    def __call__(self, line, data):
        at = self.at - self.count
        self.count += len(data)
        if 0 <= at < len(data):
            data = data[:at] + bytes([data[at] ^ self.mask]) + data[at + 1:]
        line.put(data)


class Cut(Pass):
    def __init__(self, at, end):
        super().__init__()
        self.at, self.end = at, end

    def __call__(self, line, data):
        left = self.at - self.count
        self.count += len(data)
        if left >= len(data):
            line.put(data)
            return
        line.put(data[:left])
        self.end(line)


class Records(Pass):
    """Does something to record number at."""

    def __init__(self, at, change):
        super().__init__()
        self.at, self.change, self.rest = at, change, b""

    def __call__(self, line, data):
        self.rest += data
        while len(self.rest) >= 5:
            size = 5 + int.from_bytes(self.rest[3:5], "big")
            record, self.rest = self.rest[:size], self.rest[size:]
            line.put(self.change(record) if self.count == self.at else record)
            self.count += 1


class Instead(Pass):
    """At record number at something else comes: act(line)."""

    def __init__(self, at, act):
        super().__init__()
        self.at, self.act = at, act

    def __call__(self, line, data):
        if self.count == self.at:
            self.act(line)
        self.count += 1
        line.put(data)


def close(line):
    line.close()
    raise Gone


def reset(line):
    line.reset()
    raise Gone


def silence(line):
    Line.drain(line)


def text(data):
    def act(line):
        line.put(data)
        Line.drain(line)
    return act


def endless(piece, pause=0):
    def act(line):
        while True:
            line.put(piece)
            time.sleep(pause)
    return act


# --- the server -----------------------------------------------------------------------------

class Secure(Line):
    """The same connection in TLS; tamper has the bytes that go out."""

    def __init__(self, line, context, tamper):
        self.__dict__.update(line.__dict__)
        self.raw, self.tamper = line, tamper
        self.buffer = b""
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_side=True)
        self.incoming.write(line.buffer)
        self.step(self.tls.do_handshake)

    def put(self, data):
        self.raw.send(data)

    def push(self):
        if data := self.outgoing.read():
            self.tamper(self, data)

    def step(self, what, *args):
        while True:
            try:
                result = what(*args)
                self.push()
                return result
            except ssl.SSLWantReadError:
                self.push()
                self.raw.buffer = b""
                self.raw.more()
                self.incoming.write(self.raw.buffer)
            except ssl.SSLError:
                self.push()
                raise Gone from None

    def more(self):
        data = self.step(self.tls.read, 65536)
        if not data:
            raise Gone
        self.buffer += data

    def send(self, data):
        self.step(self.tls.write, data)


class Host:
    def __init__(self, context, offer=OFFER, ready=READY, early=b"", tamper=Pass):
        self.context, self.offer, self.ready, self.early, self.tamper = \
            context, offer, ready, early, tamper
        self.taken = 0  # messages, of which it has said so

    def play(self, line):
        line.send(b"220 mail.example ESMTP\r\n")
        self.commands(line, False)

    def commands(self, line, secure):
        while True:
            command = line.line()
            verb = command[:4]
            if verb == b"EHLO":
                line.send(b"250-mail.example\r\n250 AUTH PLAIN\r\n" if secure else self.offer)
            elif verb == b"STAR":
                line.send(self.ready)
                if not self.ready.startswith(b"220") or self.ready.startswith(b"220-"):
                    continue
                if self.early:
                    line.more()  # in a segment of its own
                    line.send(self.early)
                self.commands(Secure(line, self.context, self.tamper()), True)
            elif verb == b"AUTH":
                line.send(b"235 2.7.0 welcome\r\n")
            elif verb == b"DATA":
                line.send(b"354 go\r\n")
                line.until(b"\r\n.\r\n")
                self.taken += 1
                line.send(b"250 2.0.0 taken\r\n")
            elif verb == b"QUIT":
                raise Gone
            else:
                line.send(b"250 ok\r\n")


# --- cases ----------------------------------------------------------------------------------

class Case:
    """how: Host's arguments; waits: only a time limit ends it; may: it may succeed;
    user: there is a password for the server."""

    def __init__(self, name, waits=False, may=False, url="smtp+starttls", user=True, **how):
        self.name, self.waits, self.may, self.url, self.user, self.how = \
            name, waits, may, url, user, how

    def __str__(self):
        return self.name


def stripped():
    for offer in (b"", b"XSTARTTLS", b"STARTTLSX", b"START TLS", b"STARTTLS\0", b"STARTTL",
                  b"XXXXXXXA", b"AUTH=STARTTLS", b"\tX STARTTLS"):
        lines = b"250-mail.example\r\n250-AUTH PLAIN\r\n250 " + offer + b"\r\n"
        yield Case(f"STARTTLS not offered: {offer!r}", offer=lines)
        yield Case(f"the same, with a password only: {offer!r}", url="smtp", offer=lines)
        yield Case(f"the same, without a password: {offer!r}", user=False, offer=lines)
    for reply in (b"502 5.5.1 no", b"421 4.3.2 bye"):
        yield Case(f"EHLO: {reply!r}", offer=reply + b"\r\n")


def refused():
    for reply in (b"221 ok", b"250 ok", b"235 ok", b"354 go", b"334 ", b"421 no", b"454 4.7.0 no",
                  b"500 what", b"501 no", b"502 no", b"503 no", b"530 first", b"550 no", b"554 no",
                  b"220-a\r\n221 b", b"999 ok", b"200 ok"):
        for url in "smtp+starttls", "smtp":
            yield Case(f"STARTTLS refused by {reply!r}, {url}", url=url, ready=reply + b"\r\n")
        yield Case(f"the same, without a password: {reply!r}", user=False, ready=reply + b"\r\n")


INJECTED = [b"250-mail.example\r\n250 AUTH PLAIN\r\n", b"2", b"\r\n", b"\0", b" ", b"\n",
            b"220 again\r\n", b"220-a\r\n220 b\r\n", b"250 ok\r\n" * 600, b"x" * 5000,
            b"\x15\x03\x03\x00\x02\x01\x00", b"\x16\x03\x03\x00\x00", b"\x17\x03\x03\x00\x00"]


def injected():
    for url in "smtp+starttls", "smtp":
        for piece in INJECTED:
            name = f"{shown(piece)}, {url}"
            yield Case("behind the 220: " + name, url=url, ready=READY + piece)
            yield Case("a segment later: " + name, url=url, early=piece, waits=True,
                       may=piece[0] in b"\x15\x16\x17")


EMPTY = b"\x16\x03\x03\x00\x00"
REPLACED = {
    "plain text": b"250 ok\r\n", "HTTP": b"HTTP/1.1 400 Bad Request\r\n\r\n",
    "an alert: handshake failure": b"\x15\x03\x03\x00\x02\x02\x28",
    "an alert: protocol version": b"\x15\x03\x03\x00\x02\x02\x46",
    "an alert: close": b"\x15\x03\x03\x00\x02\x01\x00",
    "an alert: none such": b"\x15\x03\x03\x00\x02\x07\xff",
    "half an alert": b"\x15\x03\x03\x00\x01\x02", "an empty alert": b"\x15\x03\x03\x00\x00",
    "data": b"\x17\x03\x03\x00\x05hello", "a change of ciphers": b"\x14\x03\x03\x00\x01\x01",
    "a record of 65,535": b"\x16\x03\x03\xff\xff" + bytes(65535),
    "a record of 16,641": b"\x16\x03\x03\x41\x01" + bytes(16641),
    "no such type": b"\x99\x03\x03\x00\x01x", "SSL 2": b"\x80\x2e\x04\x00\x01\x00\x02",
    "TLS 9": b"\x16\x09\x09\x00\x01x", "zeros": bytes(4000), "255s": b"\xff" * 4000,
    "a certificate of 16 MB": b"\x16\x03\x03\x40\x00\x0b\xff\xff\xff" + bytes(16380) +
                              (b"\x16\x03\x03\x40\x00" + bytes(16384)) * 200,
}
# So much that there is always more to read.
ENDLESS = {name: data * 50000 for name, data in {
    "empty handshake records": EMPTY, "warnings": b"\x15\x03\x03\x00\x02\x01\x5a",
    "empty data": b"\x17\x03\x03\x00\x00", "zeros": bytes(5),
    "requests to say hello": b"\x16\x03\x03\x00\x04" + bytes(4),
}.items()}


def replaced():
    for at in range(4):
        for name, data in REPLACED.items():
            # Some begin a record of which the rest never comes.
            yield Case(f"at write {at}: {name}", waits=True, may=at > 0,
                       tamper=lambda at=at, d=data: Instead(at, text(d)))
        for name, data in ENDLESS.items():
            yield Case(f"at write {at} without end: {name}", waits=True, may=at > 2,
                       tamper=lambda at=at, d=data: Instead(at, endless(d)))
        yield Case(f"at write {at} a byte now and then", waits=True, may=at > 2,
                   tamper=lambda at=at: Instead(at, endless(b"\x16", 0.1)))
        yield Case(f"at write {at} empty records now and then", waits=True, may=at > 2,
                   tamper=lambda at=at: Instead(at, endless(EMPTY, 0.1)))


def records():
    for at in range(12):
        for name, change in (("twice", lambda r: r + r), ("missing", lambda r: b""),
                             ("empty ones before", lambda r: EMPTY + r),
                             ("one byte short", lambda r: r[:-1]),
                             ("a byte more", lambda r: r + b"x"),
                             ("another type", lambda r: bytes([r[0] ^ 1]) + r[1:])):
            yield Case(f"record {at}: {name}", waits=True, may=True,
                       tamper=lambda at=at, c=change: Records(at, c))


def damaged(rng, number, total):
    for _ in range(number):
        at, mask = rng.randrange(total), rng.choice([1, 2, 4, 8, 16, 32, 64, 128, 255])
        yield Case(f"byte {at} ^ {mask}", waits=True, may=True,
                   tamper=lambda at=at, m=mask: Flip(at, m))


def cut(rng, number, total):
    ends = [("closed", close), ("reset", reset), ("silence", silence)]
    for n in range(number):
        at, (name, end) = rng.randrange(total), ends[n % 3]
        yield Case(f"{name} at {at}", waits=end is silence, may=True,
                   tamper=lambda at=at, e=end: Cut(at, e))


# --- playing --------------------------------------------------------------------------------

def check_clear(heard):
    """What went out of TLS is nobody's secret."""
    clear = heard.partition(b"\x16\x03")[0]
    if clear not in (CLEAR, CLEAR + b"QUIT\r\n", CLEAR[:21], CLEAR[:21] + b"QUIT\r\n"):
        raise AssertionError(f"in clear: {shown(clear)}")
    for word in (b"AUTH", b"MAIL FROM", b"zebra", b"breakfast", PASSWORD.encode(),
                 base64.b64encode(f"\0joe\0{PASSWORD}".encode())[:-4]):
        if word in heard:
            raise AssertionError(f"in clear: {word!r}")


def attempt(queue, case, host, ca, seconds):
    with Server(host.play) as server:
        queue.configure(f"smarthost {case.url}://127.0.0.1:{server.port}", f"tls_ca_file {ca}",
                        f"auth_file {queue.path('auth')}", f"command_timeout {seconds}",
                        f"connect_timeout {seconds}")
        err = queue.flush("-v", space=SPACE)
        return server.heard(), err


def play(case, directory, template, context, ca):
    queue = Queue(directory, template)
    if case.user:
        queue.allow("joe", PASSWORD)
    host = Host(context, **case.how)
    heard, err = attempt(queue, case, host, ca, SHORT if case.waits else PATIENCE)
    check_clear(heard)
    what, words = queue.fates()[RCPT]
    listing = queue.mailq()
    if what != "deferred" and not (case.may and what == "sent" and host.taken == 1):
        raise AssertionError(f"{what}, taken {host.taken}: {words!r}")
    if what == "deferred" and (words in (b"", b"closed") or words[:20] not in listing):
        raise AssertionError(f"{words!r} is not in {listing!r}")
    if host.taken and not case.may:
        raise AssertionError("taken")
    for name, data in ("log", queue.log()), ("mailq", listing), ("-v", err):
        check_clean(name, data)
        if PASSWORD.encode() in data:
            raise AssertionError("the password is in " + name)
    good = Host(context)
    heard, _ = attempt(queue, Case("good"), good, ca, PATIENCE)
    if what == "deferred":
        check_clear(heard)
    same("at a good server thereafter", good.taken, 1 if what == "deferred" else 0)
    same("the queue", queue.mailq(), b"Mail queue is empty\n")


def make_certificates(box):
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "9")

    def request(name, *more):
        subprocess.run(["openssl", "req", "-x509", *key, "-subj", "/CN=" + name, "-keyout",
                        box.path(name + ".key"), "-out", box.path(name + ".pem"), *more],
                       check=True, capture_output=True)
    request("ca")
    request("good", "-addext", "subjectAltName=IP:127.0.0.1", "-addext",
            "basicConstraints=critical,CA:FALSE", "-CA", box.path("ca.pem"),
            "-CAkey", box.path("ca.key"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(box.path("good.pem"), box.path("good.key"))
    return context


class Measure(Pass):
    """How many bytes a good session has."""
    total = 0

    def __call__(self, line, data):
        Measure.total += len(data)
        line.put(data)


def main():
    seed, number = (list(map(int, sys.argv[1:3])) + [SEED, NUMBER][len(sys.argv) - 1:])[:2]
    words = "".join(sys.argv[3:])
    rng = random.Random(seed)
    tap = Tap()
    with Box() as box:
        context, ca = make_certificates(box), box.path("ca.pem")
        template = Queue(box.path("template"))
        template.configure()
        template.post(RCPT)
        tap.test("a good server", play, Case("good", may=True, tamper=Measure),
                 box.path("first"), template, context, ca)
        groups = {
            "STARTTLS stripped": stripped(), "STARTTLS refused": refused(),
            "text injected": injected(), "something else": replaced(), "records": records(),
            f"seed {seed}: damaged bytes": damaged(rng, number, Measure.total),
            f"seed {seed}: cut": cut(rng, number, Measure.total),
        }
        groups = {name: [case for case in cases if words in f"{name}: {case}"]
                  for name, cases in groups.items()}
        numbers = iter(range(1 << 30))
        play_all(tap, groups, lambda case: play(case, box.path(f"case{next(numbers)}"), template,
                                                context, ca))
    tap.end()


if __name__ == "__main__":
    main()
