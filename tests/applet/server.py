#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""An SMTP server that plays a part, good or bad, and writes down every byte it is sent.

usage: server.py DIR [KEY=VALUE...]

    listen=ADDRESS      127.0.0.1 (default), ::1, or unix: the socket DIR/socket
    port=NUMBER         (default: a free one)
    up=go               takes the port at once, but listens only when DIR/go exists
    up=full             listens, but nobody gets through: the queue of connections is full
    tls=no|starttls|implicit
    cert=PATH           PATH.pem and PATH.key
    ehlo=LINES          extensions (default: PIPELINING|8BITMIME|SIZE)
    mechanisms=WORDS    for AUTH: offered, inside TLS where there is any; then no mail without
    user=NAME           (default: joe); the password, or token, is the first line of standard
                        input
    binding=right|wrong|other
                        what the -PLUS mechanisms want: that to our certificate (by SHA-256), to
                        another, or one that is not tls-server-end-point
    lmtp=yes            LHLO, and after the dot a reply for each recipient
    drip=yes            every reply one byte at a time
    rcpts=N             recipients in one transaction
    mails=N             messages in one connection; then, for MAIL,
    enough=ACTION       (default: 421 4.7.0 enough for one connection)
    STAGE[#N][:WORD]=ACTION

STAGE is greeting, handshake, ehlo, starttls, auth, mail, rcpt, data, bdat, body, dot or quit; #N
only its N-th time (over all connections), :WORD only where WORD is in the command (LMTP's dot: in
the recipient). dot is also the end of the last chunk; a reply at bdat leaves the chunk to be read
as commands. ACTION is one of

    550 5.1.1 no        this reply ("|" between its lines); the connection ends after a 421
    hangup              closes without a word
    bye:TEXT            this reply, and closes
    stall               stays silent until the client has gone
    trickle             a byte of a reply that never ends every half second, and does not read
    flood               1 MB of reply in one line
    endless             lines of a reply without a last one
    inject:TEXT         the usual reply and in the same packet TEXT
    hold                waits until DIR/go exists, then does the usual
    await               waits until the client has sent more, then does the usual
    mute                does the usual, but for the reply

DIR gets port; events (one line each: connection, word, words, such as "1 connect" with the
client's address); for each connection N the bytes
clear.N (before TLS was agreed), wire.N (all, encrypted ones as they came), text.N (all,
decrypted); for
each message M that was accepted mail.M (dots undone, CRLF kept) and envelope.M.
"""

import base64
import ctypes
import hashlib
import hmac
import os
import signal
import socket
import ssl
import struct
import sys
import threading
import time

LIMIT = 60  # seconds for any wait; no test needs that long


def md4(data):
    """RFC 1320; hashlib has it only where OpenSSL has kept it."""
    mask = 0xffffffff
    rounds = (
        (range(16), (3, 7, 11, 19), lambda b, c, d: b & c | ~b & d, 0),
        ([i % 4 * 4 + i // 4 for i in range(16)], (3, 5, 9, 13),
         lambda b, c, d: b & c | b & d | c & d, 0x5a827999),
        ([0, 8, 4, 12, 2, 10, 6, 14, 1, 9, 5, 13, 3, 11, 7, 15], (3, 9, 11, 15),
         lambda b, c, d: b ^ c ^ d, 0x6ed9eba1))
    padded = data + b"\x80" + bytes((55 - len(data)) % 64) + struct.pack("<Q", len(data) * 8)
    state = [0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476]
    for start in range(0, len(padded), 64):
        words = struct.unpack_from("<16I", padded, start)
        a, b, c, d = state
        for order, shifts, mix, constant in rounds:
            for i, n in enumerate(order):
                x = (a + mix(b, c, d) + words[n] + constant) & mask
                a, d, c = d, c, b
                b = (x << shifts[i % 4] | x >> 32 - shifts[i % 4]) & mask
        state = [(p + q) & mask for p, q in zip(state, (a, b, c, d))]
    return struct.pack("<4I", *state)


class Gone(Exception):
    """The client has closed, or we have."""


def until(condition):
    end = time.monotonic() + LIMIT
    while not condition() and time.monotonic() < end:
        time.sleep(0.01)


class Script:
    """The options: what happens when."""

    def __init__(self, args):
        self.options = {
            "listen": "127.0.0.1", "port": "0", "up": "", "tls": "no", "cert": "", "mechanisms": "",
            "ehlo": "PIPELINING|8BITMIME|SIZE", "user": "joe", "binding": "right",
            "lmtp": "no", "drip": "no", "rcpts": "1000000000", "mails": "1000000000",
            "enough": "421 4.7.0 enough for one connection",
        }
        self.options["password"] = sys.stdin.readline().rstrip("\n")
        self.actions = []
        self.counts = {}
        self.lock = threading.Lock()
        stages = ("greeting handshake ehlo starttls auth mail rcpt data bdat body dot "
                  "quit").split()
        for arg in args:
            key, _, value = arg.partition("=")
            stage, _, word = key.partition(":")
            stage, _, number = stage.partition("#")
            if key in self.options:
                self.options[key] = value
            elif stage in stages:
                self.actions.append((stage, int(number or 0), word, value))
            else:
                sys.exit(f"server.py: no such option: {arg}")

    def __getattr__(self, name):
        return self.options[name]

    def action(self, stage, words):
        with self.lock:
            count = self.counts[stage] = self.counts.get(stage, 0) + 1
        for name, number, word, action in self.actions:
            if name == stage and number in (0, count) and word in words:
                return action
        return ""


class Record:
    """The files in DIR."""

    def __init__(self, directory):
        self.directory = directory
        self.lock = threading.Lock()
        self.messages = 0

    def path(self, name):
        return os.path.join(self.directory, name)

    def append(self, name, data):
        with open(self.path(name), "ab") as f:
            f.write(data)

    def event(self, number, *words):
        with self.lock:
            self.append("events", " ".join(map(str, (number,) + words)).encode() + b"\n")

    def keep(self, number, sender, recipients, body):
        with self.lock:
            self.messages += 1
            message = self.messages
        lines = [sender] + recipients
        self.append(f"envelope.{message}", "".join(f"{line}\n" for line in lines).encode())
        self.append(f"mail.{message}", body)
        self.event(number, "kept", message)


class Channel:
    """A connection's bytes, before and in TLS."""

    def __init__(self, sock, number, record, drip):
        self.sock, self.number, self.record, self.drip = sock, number, record, drip
        self.tls = None
        self.clear = True
        self.buffer = bytearray()
        for name in "clear", "wire", "text":
            record.append(f"{name}.{number}", b"")

    def raw(self):
        """Some bytes from the socket, all of which are written down."""
        try:
            data = self.sock.recv(65536)
        except OSError:
            data = b""
        if not data:
            raise Gone
        self.record.append(f"wire.{self.number}", data)
        if self.clear:
            self.record.append(f"clear.{self.number}", data)
        return data

    def start_tls(self, context):
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_side=True)
        if self.buffer:
            self.record.event(self.number, "fault", "bytes before the handshake")
        while True:
            try:
                self.tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                self.push()
                self.incoming.write(self.raw())
            finally:
                self.push()
        self.record.event(self.number, "tls", self.tls.version(), self.tls.cipher()[0])

    def push(self):
        data = self.outgoing.read()
        if data:
            self.send_raw(data)

    def send_raw(self, data):
        try:
            self.sock.sendall(data)
        except OSError:
            raise Gone from None

    def more(self):
        """Waits for bytes and adds them to the buffer."""
        data = b""
        while not data:
            if self.tls is None:
                data = self.raw()
                break
            try:
                data = self.tls.read(65536)
                if not data:
                    raise Gone
            except ssl.SSLWantReadError:
                self.incoming.write(self.raw())
            except ssl.SSLError:
                raise Gone from None
        self.record.append(f"text.{self.number}", data)
        self.buffer += data

    def line(self):
        while b"\n" not in self.buffer:
            self.more()
        end = self.buffer.index(b"\n") + 1
        line = bytes(self.buffer[:end])
        del self.buffer[:end]
        if not line.endswith(b"\r\n"):
            self.record.event(self.number, "fault", "line without CRLF")
        return line

    def take(self, size):
        while len(self.buffer) < size:
            self.more()
        data = bytes(self.buffer[:size])
        del self.buffer[:size]
        return data

    def send(self, data):
        pieces = [data[i:i + 1] for i in range(len(data))] if self.drip else [data]
        for piece in pieces:
            if self.tls is None:
                self.send_raw(piece)
            else:
                self.tls.write(piece)
                self.push()

    def drain(self):
        """Reads until the client has gone."""
        while True:
            self.more()
            self.buffer.clear()


class Session:
    def __init__(self, sock, number, script, record, context):
        self.script, self.record, self.context, self.number = script, record, context, number
        self.channel = Channel(sock, number, record, script.drip == "yes")
        self.pipelining = "PIPELINING" in script.ehlo
        self.known = not script.mechanisms
        self.hello = self.muted = False
        self.kept = 0
        self.reset()

    def start_tls(self):
        self.channel.clear = False
        self.play("handshake", "", lambda: self.channel.start_tls(self.context))

    def reset(self):
        self.sender, self.recipients, self.chunks = None, [], b""

    def event(self, *words):
        self.record.event(self.number, *words)

    def run(self):
        peer = self.channel.sock.getpeername()
        self.event("connect", *peer[:1] if isinstance(peer, tuple) else ())
        try:
            if self.script.tls == "implicit":
                self.start_tls()
            self.play("greeting", "", lambda: self.reply("220 mail.example ESMTP"))
            while True:
                self.command()
        except (Gone, ssl.SSLError):
            pass
        self.event("end")
        self.channel.sock.close()

    def reply(self, text, more=b""):
        if self.muted:
            return
        lines = text.split("|")
        code = lines[0][:3]
        for i, line in enumerate(lines):
            words = line if i == 0 else code + " " + line
            if i < len(lines) - 1:
                words = words[:3] + "-" + words[4:]
            lines[i] = words
        self.channel.send("".join(line + "\r\n" for line in lines).encode() + more)
        if code == "421":
            raise Gone

    def play(self, stage, words, usual):
        """What the script says for this stage. True: the usual was done."""
        action = self.script.action(stage, words)
        channel = self.channel
        if not action:
            usual()
            return True
        if stage in ("handshake", "body") or action in ("hold", "stall", "trickle", "await"):
            self.event(action, stage)
        if action == "hangup":
            raise Gone
        if stage == "body" and action.removeprefix("bye:")[0].isdigit() and not channel.buffer:
            channel.more()  # it is a word on what it has heard
        if action.startswith("bye:"):
            self.reply(action[4:])
            raise Gone
        if action == "stall":
            self.stall(stage)
        if action == "trickle":
            for byte in b"2" + LIMIT * 2 * b"5":
                channel.send(bytes([byte]))
                time.sleep(0.5)
            raise Gone
        if action == "flood":
            channel.send(b"250-" + b"x" * (1 << 20))
            channel.drain()
        if action == "endless":
            while True:
                channel.send(b"250-more\r\n" * 100)
        if action == "hold":
            until(lambda: os.path.exists(self.record.path("go")))
            usual()
            return True
        if action == "mute":
            self.muted = True
            usual()
            self.muted = False
            return True
        if action == "await":
            channel.sock.settimeout(LIMIT)
            if not channel.buffer:
                channel.more()
            self.event("more", stage)
            usual()
            return True
        if action.startswith("inject:"):
            text = action[7:].replace("|", "\r\n") + "\r\n"
            self.injected = text.encode()
            usual()
            return True
        self.reply(action)
        return False

    def stall(self, stage):
        """Silent until the client hangs up; in the body, not even reading."""
        if stage == "body":
            until(lambda: self.is_closed())
            raise Gone
        self.channel.drain()

    def is_closed(self):
        # TCP_INFO's first byte is the state: 1 is established.
        info = self.channel.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)
        return info[0] != 1

    # Commands.

    def command(self):
        if self.channel.buffer and not self.pipelining:
            self.event("fault", "pipelined without leave")
        line = self.channel.line().decode("utf-8", "surrogateescape").rstrip("\r\n")
        verb, _, rest = line.partition(" ")
        verb = verb.upper()
        method = getattr(self, "do_" + verb.lower(), None)
        if method is None:
            self.event("fault", "unknown command", repr(line[:80]))
            self.reply("500 5.5.2 what?")
        else:
            method(line, rest)

    def do_ehlo(self, line, rest):
        if (line[:4].upper() == "LHLO") != (self.script.lmtp == "yes"):
            self.event("fault", "greets with", line[:4])
        extensions = self.script.ehlo.split("|")
        in_tls = self.channel.tls is not None
        if self.script.tls == "starttls" and not in_tls:
            extensions.append("STARTTLS")
        if self.script.mechanisms and (in_tls or self.script.tls == "no"):
            extensions.append("AUTH " + self.script.mechanisms)
        self.hello = True
        self.reset()
        self.play("ehlo", line, lambda: self.reply("|".join(["250 mail.example"] + extensions)))

    do_lhlo = do_ehlo

    def do_helo(self, line, rest):
        self.hello = True
        self.reset()
        self.reply("250 mail.example")

    def do_starttls(self, line, rest):
        def usual():
            self.reply("220 go ahead", self.injected)
            self.start_tls()
        if self.script.tls != "starttls" or self.channel.tls is not None:
            self.event("fault", "STARTTLS was not offered")
        self.injected = b""
        self.play("starttls", line, usual)

    def do_auth(self, line, rest):
        self.play("auth", line, lambda: self.authenticate(*(rest.split(" ", 1) + [""])[:2]))

    def ask(self, challenge):
        self.reply("334 " + base64.b64encode(challenge).decode())
        return base64.b64decode(self.channel.line())

    def authenticate(self, mechanism, initial):
        self.event("auth", mechanism)
        first = base64.b64decode(initial) if initial not in ("", "=") else b""
        method = getattr(self, "auth_" + mechanism.lower().replace("-", "_"), None)
        if method is None or mechanism not in self.script.mechanisms.split():
            self.event("fault", "mechanism was not offered")
            self.known = False
        else:
            self.known = method(first)
        self.reply("235 2.7.0 welcome" if self.known else "535 5.7.8 no such user or password")

    def auth_plain(self, first):
        expected = f"\0{self.script.user}\0{self.script.password}".encode()
        return (first or self.ask(b"")) == expected

    def auth_login(self, first):
        user = first or self.ask(b"Username:")
        password = self.ask(b"Password:")
        return (user, password) == (self.script.user.encode(), self.script.password.encode())

    def auth_cram_md5(self, first):
        challenge = b"<1896.697170952@mail.example>"
        user, _, digest = self.ask(challenge).decode().rpartition(" ")
        key = self.script.password.encode()
        right = hmac.new(key, challenge, "md5").hexdigest()
        return user == self.script.user and hmac.compare_digest(digest, right)

    def auth_scram_sha_256(self, first):
        return self.scram("sha256", first)

    def auth_scram_sha_1(self, first):
        return self.scram("sha1", first)

    def auth_scram_sha_256_plus(self, first):
        return self.scram("sha256", first, b"p=tls-server-end-point")

    def auth_scram_sha_1_plus(self, first):
        return self.scram("sha1", first, b"p=tls-server-end-point")

    def scram(self, name, first, bound=None):
        """RFC 5802. A client that was offered to bind must not say that it was not."""
        flag, identity, bare = first.split(b",", 2)
        user, nonce = bare.decode().split(",")
        offers = "-PLUS" in self.script.mechanisms
        if flag not in ((bound,) if bound else (b"n", b"y")) or identity:
            self.event("fault", "header", repr(first[:40]))
            return False
        if flag == b"y" and offers:
            self.event("fault", "y, but we had offered to bind")
        self.event("flag", flag.decode())
        if bound and self.script.binding == "other":
            return False
        if user != "n=" + self.script.user or len(nonce) < 2 + 18:
            return False
        salt, count, password = b"some salt", 4096, self.script.password.encode()
        server_first = (nonce + "server," + "s=" + base64.b64encode(salt).decode() +
                        f",i={count}").encode()
        final = self.ask(server_first)
        without_proof, _, proof = final.rpartition(b",p=")
        binding = flag + b",,"
        if bound:
            with open(self.script.cert + ".pem") as f:
                certificate = ssl.PEM_cert_to_DER_cert(f.read())
            binding += hashlib.sha256(certificate).digest()
        if self.script.binding == "wrong":
            binding += b"?"
        if without_proof != (b"c=" + base64.b64encode(binding) + b"," +
                             (nonce + "server").encode()):
            self.ask(b"e=channel-bindings-dont-match")
            return False
        salted = hashlib.pbkdf2_hmac(name, password, salt, count)
        message = b",".join((bare, server_first, without_proof))

        def keyed(key, text):
            return hmac.new(key, text, name).digest()
        client_key = keyed(salted, b"Client Key")
        signature = keyed(hashlib.new(name, client_key).digest(), message)
        if base64.b64decode(proof) != bytes(a ^ b for a, b in zip(client_key, signature)):
            self.ask(b"e=invalid-proof")
            return False
        self.ask(b"v=" + base64.b64encode(keyed(keyed(salted, b"Server Key"), message)))
        return True

    def auth_ntlm(self, first):
        """[MS-NLMP] 3.2.5, version 2."""
        self.reply("334 NTLM supported")
        negotiate = base64.b64decode(self.channel.line())
        if negotiate[:12] != b"NTLMSSP\0\1\0\0\0":
            return False
        info = (struct.pack("<HH", 2, 8) + "HOME".encode("utf-16le") +
                struct.pack("<HHQ", 7, 8, 0x01d9abcdef012345) + bytes(4))
        nonce = os.urandom(8)
        final = self.ask(b"NTLMSSP\0" + struct.pack("<IQI", 2, 0, 0x00888205) + nonce + bytes(8) +
                         struct.pack("<HHI", len(info), len(info), 48) + info)

        def field(at):
            length, _, offset = struct.unpack_from("<HHI", final, at)
            return final[offset:offset + length]
        response, domain, user = field(20), field(28).decode("utf-16le"), field(36).decode("utf-16le")
        key = hmac.new(md4(self.script.password.encode("utf-16le")),
                       (user.upper() + domain).encode("utf-16le"), "md5").digest()
        proof = hmac.new(key, nonce + response[16:], "md5").digest()
        if response[24:32] != struct.pack("<Q", 0x01d9abcdef012345) or info not in response:
            self.event("fault", "NTLM response", response.hex())
        return (final[:12] == b"NTLMSSP\0\3\0\0\0" and user == self.script.user and
                hmac.compare_digest(proof, response[:16]))

    def auth_external(self, first):
        return first.decode() == self.script.user

    def auth_xoauth2(self, first):
        expected = f"user={self.script.user}\1auth=Bearer {self.script.password}\1\1"
        return self.bearer(first, expected, b"", b'{"status":"401","schemes":"bearer"}')

    def auth_oauthbearer(self, first):
        expected = f"n,a={self.script.user},\1auth=Bearer {self.script.password}\1\1"
        return self.bearer(first, expected, b"\1", b'{"status":"invalid_token"}')

    def bearer(self, first, expected, acknowledged, error):
        if (first or self.ask(b"")) == expected.encode():
            return True
        if self.ask(error) != acknowledged:
            self.event("fault", "error not acknowledged")
        return False

    def do_mail(self, line, rest):
        if not self.hello or self.sender is not None:
            self.event("fault", "MAIL out of order")
        if not self.known:
            self.event("fault", "MAIL without AUTH")
            self.reply("530 5.7.0 authentication required")
            return

        if self.kept >= int(self.script.mails):
            if self.script.enough == "hangup":
                raise Gone
            self.reply(self.script.enough)
            return

        def usual():
            self.sender = line[10:].split(" ")[0]
            self.reply("250 2.1.0 sender ok")
        self.play("mail", line, usual)

    def do_rcpt(self, line, rest):
        if self.sender is None:
            self.reply("503 5.5.1 MAIL first")
            return

        if len(self.recipients) >= int(self.script.rcpts):
            self.reply("452 4.5.3 too many recipients")
            return

        def usual():
            self.recipients.append(line[8:].split(" ")[0])
            self.reply("250 2.1.5 recipient ok")
        self.play("rcpt", line, usual)

    def do_data(self, line, rest):
        if not self.recipients:
            self.reply("554 5.5.1 no valid recipients")
            return

        def usual():
            self.reply("354 go ahead")
            self.body()
        if not self.play("data", line, usual):
            self.reset()

    def body(self):
        self.play("body", "", lambda: None)
        lines = bytearray()
        while (line := self.channel.line()) != b".\r\n":
            if len(line) > 1001:
                self.event("fault", "line of", len(line), "bytes")
            lines += line[1:] if line.startswith(b".") else line
        self.end(lines)

    def do_bdat(self, line, rest):
        """RFC 3030. Where it fails, MAIL is refused until there is a RSET."""
        size, _, last = rest.upper().partition(" ")

        def usual():
            self.play("body", "", lambda: None)
            chunk = self.channel.take(int(size))
            self.chunks += chunk
            if not self.recipients:
                self.reply("503 5.5.1 no valid recipients")
            elif last == "LAST":
                self.end(self.chunks)
            else:
                self.reply("250 2.0.0 go on")
        if "CHUNKING" not in self.script.ehlo or last not in ("", "LAST"):
            self.event("fault", "BDAT", rest)
        self.play("bdat", line, usual)

    def end(self, lines):
        """The whole message is here."""
        sender, recipients = self.sender, self.recipients
        kept = False

        def keep(who):
            nonlocal kept
            if not kept:
                self.kept += 1
                self.record.keep(self.number, sender, who, bytes(lines))
            kept = True

        def usual():
            self.reply("250 2.0.0 taken")
        self.reset()
        if self.script.lmtp == "yes":
            for recipient in recipients:
                if self.play("dot", recipient, usual):
                    keep([recipient])
                    kept = False
        else:
            # Before any hold: a server that is left alone now has the message all the same.
            action = next((a for a in self.script.actions if a[0] == "dot"), None)
            if action is None or action[1] or action[3] in ("hold", "await"):
                keep(recipients)
            self.play("dot", "", usual)

    def do_rset(self, line, rest):
        self.reset()
        self.reply("250 2.0.0 ok")

    def do_noop(self, line, rest):
        self.reply("250 2.0.0 ok")

    def do_quit(self, line, rest):
        self.event("quit")
        self.play("quit", line, lambda: self.reply("221 2.0.0 bye"))
        raise Gone


def make_socket(script, record):
    if script.listen == "unix":
        sock = socket.socket(socket.AF_UNIX)
        sock.bind(record.path("socket"))
        os.chmod(record.path("socket"), 0o777)
        port = 0
    else:
        family = socket.AF_INET6 if ":" in script.listen else socket.AF_INET
        sock = socket.socket(family)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((script.listen, int(script.port)))
        port = sock.getsockname()[1]
    return sock, port


def main():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG: goes with the test
    signal.alarm(600)
    directory, script = sys.argv[1], Script(sys.argv[2:])
    os.makedirs(directory, exist_ok=True)
    record = Record(directory)
    context = None
    if script.cert:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(script.cert + ".pem", script.cert + ".key")
    sock, port = make_socket(script, record)
    if script.up == "full":
        sock.listen(0)
        waiting = [socket.socket() for _ in range(4)]
        for client in waiting:
            client.setblocking(False)
            client.connect_ex(sock.getsockname())
    elif not script.up:
        sock.listen(64)
    record.append("events", b"")
    record.append("port.new", f"{port}\n".encode())
    os.rename(record.path("port.new"), record.path("port"))
    if script.up == "full":
        signal.pause()
    if script.up:
        until(lambda: os.path.exists(record.path("go")))
        sock.listen(64)
        record.event(0, "listening")
    number = 0
    while True:
        client, _ = sock.accept()
        number += 1
        if client.family != socket.AF_UNIX:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        session = Session(client, number, script, record, context)
        threading.Thread(target=session.run, daemon=True).start()


if __name__ == "__main__":
    main()
