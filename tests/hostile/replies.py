#!/usr/bin/python3 -EsSB
# SPDX-License-Identifier: ISC
"""Servers that are bad in every way wherever a reply is due. A model says what must come of each
recipient: sent exactly where the server said so, bounced where it refused, else in the queue with
words; and with a good server thereafter each of those arrives, once.

usage: replies.py [SEED [PERCENT [WORDS]]]    PERCENT of all cases, or of those with WORDS in their
                                              names; prints TAP
"""
import base64
import os
import random
import re
import sys
import time

from host import ROOMY, Box, Gone, Queue, Server, Tap, check_clean, play_all, same, shown

SEED, PERCENT = 1, 15
PATIENCE, SHORT = 20, 3  # command_timeout; of cases that wait for it

RCPTS = ["a@x.example", "b@x.example", "c@x.example"]
REFUSED = RCPTS[1]  # by every server
PASSWORD = "Waldmeister"
BROKEN = None       # in place of a code: no reply that could be understood follows
OVER = 10 << 20     # bytes of a line, or of lines, without end


# --- ways to be bad -------------------------------------------------------------------------

class Kind:
    """make(good) is sent in place of the good reply; then: what the server does next; codes(code
    of the good one) is what the client can make of it, in order."""

    def __init__(self, name, make, then="go", codes=lambda code: [BROKEN]):
        self.name, self.make, self.then, self.codes = name, make, then, codes

    def act(self, line, good):
        """The code that the server stands by."""
        if self.then == "flood":
            line.send(good[:3] + b"-")
            flood(line, b"x" * 65536)
        if self.then == "endless":
            flood(line, (good[:3] + b"-more\r\n") * 4096)
        if self.then == "drip":
            for byte in good[:3] + b" " + b"x" * 2000:
                line.send(bytes([byte]))
                time.sleep(0.1)
        text = self.make(good)
        line.send(text)
        if self.then == "close":
            line.close()
            raise Gone
        if self.then == "reset":
            line.reset()
            raise Gone
        codes = self.codes(int(good[:3]))
        if BROKEN in codes:
            line.drain()
        return codes[0]


def flood(line, piece):
    for _ in range(0, OVER, len(piece)):
        line.send(piece)
    line.drain()


def words(text):
    """Those instead of "ok"; a reply all the same."""
    return lambda good: good.replace(b"ok", text, 1)


def instead(text):
    return lambda good: text


MALFORMED = [(name, instead(text)) for name, text in {
    "no digits": b"abc ok\r\n", "a letter O": b"25O ok\r\n", "a blank in front": b" 250 ok\r\n",
    "a plus": b"+250 ok\r\n", "a minus": b"-250 ok\r\n", "nothing": b"\r\n", "blanks": b"   \r\n",
    "one digit": b"2 ok\r\n", "two digits": b"25 ok\r\n", "two digits and a minus": b"25-ok\r\n",
    "four digits": b"2500 ok\r\n", "no separator": b"250ok\r\n", "a tab": b"250\tok\r\n",
    "an underscore": b"250_ok\r\n", "000": b"000 ok\r\n",
    "100": b"100 ok\r\n", "199": b"199 ok\r\n",
    "160": b"160 ok\r\n", "260": b"260 ok\r\n", "560": b"560 no\r\n", "599": b"599 no\r\n",
    "600": b"600 ok\r\n", "999": b"999 ok\r\n", "two codes": b"250-ok\r\n550 no\r\n",
    "two codes, the other way": b"550-no\r\n250 ok\r\n", "250 and 251": b"250-ok\r\n251 ok\r\n",
    "no code behind a first line": b"250-ok\r\nok\r\n", "an empty line within": b"250-ok\r\n\r\n",
    "dots within": b"250-ok\r\n...\r\n250 ok\r\n", "a bare LF": b"250 ok\n",
    "two LF": b"250 ok\n\n",
    "LF CR": b"250 ok\n\r", "a bare LF within": b"250-ok\n250 ok\r\n", "a bare CR": b"250 ok\r\r",
    "a bare CR within": b"250 o\rk\r\n", "CR CR LF": b"250 ok\r\r\n", "a CR first": b"\r250 ok\r\n",
    "NUL within": b"250 o\0k\r\n", "NUL first": b"\0" b"250 ok\r\n", "NUL last": b"250 ok\0\r\n",
    "NUL in the code": b"25\0 ok\r\n", "full-width digits": "２５０ ok\r\n".encode(),
    "a byte order mark": b"\xef\xbb\xbf250 ok\r\n", "UTF-16": "250 ok\r\n".encode("utf-16-le"),
    "arabic digits": "٢٥٠ ok\r\n".encode(),
    "HTTP": b"HTTP/1.1 400 Bad Request\r\nServer: x\r\n\r\n", "SSH": b"SSH-2.0-OpenSSH_9.2\r\n",
    "POP3": b"+OK ready\r\n", "a TLS alert": b"\x15\x03\x03\x00\x02\x02\x28",
    "a line of 2,049": b"250 " + b"x" * 2045 + b"\r\n",
    "201 lines": b"250-x\r\n" * 200 + b"250 x\r\n",
}.items()]

DIRT = {
    "control characters": bytes(c for c in range(1, 32) if c not in b"\r\n"), "DEL": b"\x7f",
    "an escape sequence": b"\x1b[2J\x1b]0;x\x07", "C1": bytes(range(0x80, 0xa0)),
    "C1 in UTF-8": "\x9b31m\x85".encode(), "Latin-1": bytes(range(0xa0, 0x100)),
    "half a character": b"\xe2\x82", "log lines": b" to=<c@x.example>, status=sent (250",
    "format": b"%s%n%99999d", "2,000 letters": b"y" * 2000,
}

WAITS = [
    Kind("silence", instead(b"")), Kind("silence behind the code", lambda good: good[:3]),
    Kind("silence before the LF", lambda good: good[:-1]),
    Kind("silence before the last line", lambda good: good[:3] + b"-more\r\n"),
    Kind("a byte now and then", instead(b""), "drip"),
    Kind("eighth bits", instead(bytes(b | 128 for b in b"250 ok\r\n"))),
    Kind("half a second reply", lambda good: good + b"25", codes=lambda c: [c, BROKEN]),
]
FLOODS = [
    Kind("10 MB in a line", instead(b""), "flood"), Kind("10 MB of lines", instead(b""), "endless"),
]


def keep(code):
    return [code]


def ways(good):
    """All of them, where this is the good reply."""
    code = int(good[:3])
    yield from WAITS + FLOODS
    for name, make in MALFORMED:
        yield Kind(name, make)
    for name, text in DIRT.items():
        yield Kind(name, words(text), codes=keep)
        for other in (450, 554):
            if code // 100 != other // 100:
                line = b"%d 5.1.1 " % other + text + b"\r\n"
                yield Kind(f"{other} with {name}", instead(line), codes=lambda _, c=other: [c])
    yield Kind("an empty text", lambda good: good[:4] + b"\r\n" if good[3:4] == b" " else good,
               codes=keep)
    for text in (b"450\r\n", b"554\r\n", b"554 \r\n", b"554-\r\n554\r\n"):
        yield Kind(f"only {text!r}", instead(text), codes=lambda _, t=text: [int(t[:3])])
    for other in (220, 250, 251, 354, 334, 450, 452, 550, 552):
        if code // 100 != other // 100:
            yield Kind(f"{other}", instead(b"%d ok\r\n" % other), codes=lambda _, c=other: [c])
    yield Kind("421", instead(b"421 4.3.2 bye\r\n"), "close")
    yield Kind("421 and silence", instead(b"421 4.3.2 bye\r\n"))
    for second in (b"250 ok\r\n", b"550 5.1.1 no\r\n", b"354 ok\r\n"):
        yield Kind(f"a second reply, {second[:3].decode()}", lambda good, s=second: good + s,
                   codes=lambda c, s=second: [c, int(s[:3])])
    for then in ("close", "reset"):
        for n in range(len(good)):
            yield Kind(f"{then} after {n} bytes", lambda good, n=n: good[:n], then)
        yield Kind(f"{then} after the reply", lambda good: good, then, lambda c: [c, BROKEN])


# --- kinds of session -----------------------------------------------------------------------

class Profile:
    def __init__(self, name, url="smtp", pipelining=True, helo=False, auth=()):
        self.name, self.url, self.pipelining, self.helo = name, url, pipelining, helo
        self.lmtp = url == "lmtp"
        self.auth = auth  # the replies to AUTH and to each response
        ehlo = b"250-ok mail.example\r\n" + (b"250-PIPELINING\r\n" if pipelining else b"")
        if auth:
            ehlo += b"250-AUTH " + name.encode() + b"\r\n"
        self.good = {
            "greeting": b"220 ok mail.example ESMTP\r\n",
            "ehlo": b"502 5.5.1 ok?\r\n" if helo else ehlo + b"250 SIZE\r\n",
            **({"helo": b"250 ok mail.example\r\n"} if helo else {}),
            **{f"auth {n}": reply for n, reply in enumerate(auth, 1)},
            "mail": b"250 2.1.0 ok\r\n", "rcpt 1": b"250 2.1.5 ok\r\n",
            "rcpt 2": b"550 5.1.1 ok?\r\n", "rcpt 3": b"250 2.1.5 ok\r\n", "data": b"354 ok\r\n",
            "dot 1": b"250-2.0.0 ok\r\n250 2.0.0 taken\r\n",
            **({"dot 2": b"250 2.0.0 ok\r\n"} if self.lmtp else {}),
            "quit": b"221 2.0.0 ok\r\n",
        }

    def before(self):
        """The stages before the first message."""
        return [stage for stage in self.good if stage.partition(" ")[0] in
                ("greeting", "ehlo", "helo", "auth")]

    def lines(self, port):
        yield f"smarthost {self.url}://127.0.0.1:{port}"
        if self.auth:
            yield from ("insecure_auth yes", f"auth_mechanisms {self.name}")


CHALLENGE = base64.b64encode(b"<1.2@mail.example>")
WELCOME = b"235 2.7.0 ok\r\n"
PROFILES = [
    Profile("SMTP"), Profile("SMTP without PIPELINING", pipelining=False),
    Profile("LMTP", "lmtp"), Profile("LMTP without PIPELINING", "lmtp", pipelining=False),
    Profile("HELO", helo=True, pipelining=False),
    Profile("PLAIN", auth=(WELCOME,)),
    Profile("LOGIN", auth=(b"334 VXNlcm5hbWU6\r\n", b"334 UGFzc3dvcmQ6\r\n", WELCOME)),
    Profile("CRAM-MD5", auth=(b"334 " + CHALLENGE + b"\r\n", WELCOME)),
]


class Host:
    """The server's part of a case: stage is where kind replaces the reply, on each connection."""

    def __init__(self, profile, stage="", kind=None):
        self.profile, self.stage, self.kind = profile, stage, kind
        self.promised = []  # whom it says 2xx for, wholly

    def reply(self, line, stage, good=b""):
        good = good or self.profile.good.get(stage, b"250 2.0.0 ok\r\n")
        if stage == self.stage:
            return self.kind.act(line, good)
        line.send(good)
        return int(good[:3])

    def play(self, line):
        self.reply(line, "greeting")
        while True:
            command = line.line()
            verb = command[:4].upper()
            if verb in (b"EHLO", b"LHLO"):
                self.reply(line, "ehlo")
            elif verb == b"HELO":
                line.send(self.profile.good.get("helo", b"250 ok\r\n")) \
                    if self.stage != "helo" else self.reply(line, "helo")
            elif verb == b"AUTH":
                self.authenticate(line)
            elif verb == b"MAIL":
                self.taken = []
                self.mail = self.reply(line, "mail") // 100 == 2
            elif verb == b"RCPT":
                rcpt = command[9:-1].decode()
                good = b"" if self.mail else b"503 5.5.1 ok? MAIL first\r\n"
                if self.reply(line, f"rcpt {RCPTS.index(rcpt) + 1}", good) // 100 == 2:
                    self.taken.append(rcpt)
            elif verb == b"DATA":
                self.data(line)
            elif verb == b"RSET":
                line.send(b"250 ok\r\n")
            elif verb == b"QUIT":
                self.reply(line, "quit")
                raise Gone
            else:
                raise AssertionError(f"no command: {command!r}")

    def authenticate(self, line):
        for n in range(1, len(self.profile.auth) + 1):
            if self.reply(line, f"auth {n}") // 100 != 3:
                return
            line.line()

    def data(self, line):
        good = b"" if self.taken else b"554 5.5.1 ok? nobody\r\n"
        if self.reply(line, "data", good) != 354:
            return
        line.until(b"\r\n.\r\n")
        rcpts = [[rcpt] for rcpt in self.taken] if self.profile.lmtp else [self.taken]
        for n in range(1, len(rcpts) + 1):
            stage = f"dot {n}"
            codes = self.kind.codes(250) if stage == self.stage else [250]
            for code in codes:
                if is_class(code, 2) and rcpts:
                    self.promised += rcpts[0]
                rcpts = rcpts[1:]
            self.reply(line, stage)


# --- the model ------------------------------------------------------------------------------

def is_class(code, digit):
    return code is not BROKEN and code // 100 == digit


def fate(code, refusal=False):
    """Of a recipient whose last word this is; refusal: of a reply that should have been another."""
    if is_class(code, 5):
        return "bounced"
    return "sent" if is_class(code, 2) and not refusal else "deferred"


def transaction(profile, stage, codes, pipelining):
    """The replies from MAIL to DATA as the client reads them, and whom the server has taken."""
    replies, mail, taken = [], True, []
    for step in ("mail", "rcpt 1", "rcpt 2", "rcpt 3", "data"):
        good = int(profile.good[step][:3])
        if step != "mail" and not mail:
            good = 503
        elif step == "data" and not taken:
            good = 554
        got = codes if step == stage else [good]
        if step == "mail":
            mail = is_class(got[0], 2)
        elif step != "data" and is_class(got[0], 2):
            taken.append(RCPTS[int(step[5:]) - 1])
        # Without PIPELINING a second reply comes before it can be one to anything.
        replies += got[:1] + [BROKEN] if len(got) > 1 and not pipelining else got
    return replies, taken


def model(profile, stage, codes):
    """What becomes of each recipient where that stage's reply reads as those codes."""
    fates = {}

    def rest(what):
        return {rcpt: fates.get(rcpt, what) for rcpt in RCPTS}

    pipelining = profile.pipelining
    for step in profile.before():
        good = int(profile.good[step][:3])
        got = codes if step == stage else [good]
        if step == "ehlo" and len(got) == 1 and not profile.lmtp and not profile.auth and \
                (is_class(got[0], 5) or is_class(got[0], 2)):
            pipelining &= is_class(got[0], 2)  # else HELO
        elif len(got) > 1 or not is_class(got[0], good // 100):
            return rest("deferred")
    replies, taken = transaction(profile, stage, codes, pipelining)
    mail, *rcpts = replies[:4]
    if not is_class(mail, 2):
        return rest(fate(mail, refusal=True))
    for rcpt, code in zip(RCPTS, rcpts):
        if code is BROKEN:
            return rest("deferred")
        if not is_class(code, 2):
            fates[rcpt] = fate(code, refusal=True)
    if len(fates) == len(RCPTS):
        return fates
    if not is_class(replies[4], 3):
        return rest(fate(replies[4], refusal=True))
    if len(replies) > 5:
        return rest("deferred")
    dots = [code for n in range(1, len(taken) + 1)
            for code in (codes if stage == f"dot {n}" else [250])]
    if not profile.lmtp:
        return rest(fate(dots[0]))
    for rcpt, code in zip(taken, dots):
        if code is BROKEN:
            break
        fates[rcpt] = fate(code)
    return rest("deferred")


# --- playing --------------------------------------------------------------------------------

class Case:
    def __init__(self, number, profile, stage, kind):
        self.number, self.profile, self.stage, self.kind = number, profile, stage, kind

    def __str__(self):
        return f"{self.profile.name}, {self.stage}, {self.kind.name}"

    def expected(self):
        good = int(self.profile.good[self.stage][:3])
        return model(self.profile, self.stage, self.kind.codes(good))


def open_ended(case):
    """A server that lets us in before we have said who we are: as it likes."""
    return case.stage.startswith("auth") and case.kind.codes(334)[0] in (220, 250, 251)


def check_first(case, queue, host, err):
    fates, listing, mailbox = queue.fates(), queue.mailq(), queue.mailbox()
    waiting = re.findall(r"(?m)^ +(\S+@\S+)$", listing.decode())
    want = case.expected()
    if not open_ended(case):
        same("what came of them", {r: fates.get(r, ("nothing",))[0] for r in RCPTS}, want)
    for rcpt in RCPTS:
        what, words = fates[rcpt]
        same(f"{rcpt} in mailq", rcpt in waiting, what == "deferred")
        same(f"{rcpt} in a bounce", b"Final-Recipient: rfc822; " + rcpt.encode() in mailbox,
             what == "bounced")
        if what != "sent" and not words:
            raise AssertionError("no words for " + rcpt)
        if what == "deferred" and words[:20] not in listing:
            raise AssertionError(f"{words!r} is not in {listing!r}")
    same("sent, and said so by the server", [r for r in RCPTS if fates[r][0] == "sent"],
         sorted(host.promised))
    for what, data in ("log", queue.log()), ("mailq", listing), ("mailbox", mailbox):
        check_clean(what, data)
        if PASSWORD.encode() in data or PASSWORD.encode() in err:
            raise AssertionError("the password is in " + what)
    return [rcpt for rcpt in RCPTS if fates[rcpt][0] == "deferred"]


def run(case, queue, host, *args):
    patience = SHORT if host.kind in WAITS else PATIENCE
    with Server(host.play) as server:
        queue.configure(*case.profile.lines(server.port), f"auth_file {queue.path('auth')}",
                        f"command_timeout {patience}")
        return queue.flush(*args)


def play(case, directory, template):
    queue = Queue(directory, template)
    if case.profile.auth:
        queue.allow("joe", PASSWORD)
    host, good = Host(case.profile, case.stage, case.kind), Host(case.profile)
    err = run(case, queue, host, "-v")
    left = check_first(case, queue, host, err)
    run(case, queue, good)
    same("at a good server thereafter", sorted(good.promised),
         [rcpt for rcpt in left if rcpt != REFUSED])
    same("the queue", queue.mailq(), b"Mail queue is empty\n")
    same("bounces", queue.mailbox().count(b"Final-Recipient: rfc822; " + REFUSED.encode()),
         0 if REFUSED in host.promised else 1)


def post_in_order(queue):
    """Two messages of which the first is tried first: they go by name."""
    queue.configure()
    queue.post("first@x.example")
    first = queue.names()
    while sorted(queue.names())[:1] != first or len(queue.names()) < 2:
        for name in set(queue.names()) - set(first):
            os.unlink(queue.path("spool", name))
        queue.post(*(f"{n}@{'x' * 60}.{'y' * 60}.{'z' * 60}.example" for n in range(1000)))


def answered_and_reset(directory, template):
    """The server takes the first message and resets the connection while the second one's
    recipients, more than the sockets hold, ride behind: the first has been sent all the same."""
    good = Profile("SMTP").good
    taken = []

    def play(line):
        if taken:
            raise Gone
        line.send(good["greeting"])
        line.line()
        line.send(good["ehlo"])
        line.until(b"DATA\r\n")
        line.send(good["mail"] + good["rcpt 1"] + good["data"])
        line.until(b"\r\n.\r\n")
        line.until(b"RCPT")
        taken.append("first@x.example")
        line.send(b"250 ok\r\n")
        line.reset()
    queue = Queue(directory, template)
    with Server(play, small=True) as server:
        queue.configure(f"smarthost smtp://127.0.0.1:{server.port}")
        queue.flush(space=ROOMY)
    fates = queue.fates()
    same("taken", taken, ["first@x.example"])
    same("the first", fates.pop("first@x.example"), ("sent", b"ok"))
    same("the others", {what for what, _ in fates.values()}, {"deferred"})
    same("how many", len(fates), 1000)


def main():
    seed, percent = (list(map(int, sys.argv[1:3])) + [SEED, PERCENT][len(sys.argv) - 1:])[:2]
    names = "".join(sys.argv[3:])
    rng = random.Random(seed)
    tap = Tap()
    number, groups = 0, {}
    with Box() as box:
        template = Queue(box.path("template"))
        template.configure()
        template.post(*RCPTS)
        for profile in PROFILES:
            for stage, good in profile.good.items():
                if stage in ("greeting", "quit") and profile.auth:
                    continue  # no different
                cases = groups.setdefault(f"{profile.name}, {stage}", [])
                for kind in ways(good):
                    number += 1
                    case = Case(number, profile, stage, kind)
                    if rng.randrange(100) < percent and names in str(case):
                        cases.append(case)
        play_all(tap, {name: cases for name, cases in groups.items() if cases},
                 lambda case: play(case, box.path(f"case{case.number}"), template))
        long = Queue(box.path("long"))
        post_in_order(long)
        play_all(tap, {"an answer and a reset while more is sent": range(8)},
                 lambda n: answered_and_reset(box.path(f"reset{n}"), long))
    tap.end()


if __name__ == "__main__":
    main()
