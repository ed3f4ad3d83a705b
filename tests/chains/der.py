# SPDX-License-Identifier: ISC
"""Certificates from their parts, each of which may be wrong, and the P-256 and RSA that sign
them: what libraries that make certificates would not let us make."""

import hashlib
import random

P = 2**256 - 2**224 + 2**192 + 2**96 - 1
N = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551
G = (0x6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296,
     0x4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5)


def tlv(tag, *parts):
    content = b"".join(parts)
    n = len(content)
    size = bytes([n]) if n < 128 else b"\x81" + bytes([n]) if n < 256 else \
        b"\x82" + n.to_bytes(2, "big")
    return bytes([tag]) + size + content


def sequence(*parts):
    return tlv(0x30, *parts)


def integer(n):
    return tlv(2, n.to_bytes(n.bit_length() // 8 + 1, "big"))


def bits(content, unused=0):
    return tlv(3, bytes([unused]), content)


def oid(text):
    first, second, *rest = map(int, text.split("."))
    out = bytes([first * 40 + second])
    for n in rest:
        part = [n & 127]
        while n := n >> 7:
            part.append(n & 127 | 128)
        out += bytes(reversed(part))
    return tlv(6, out)


def name(common):
    """None: of nothing."""
    if common is None:
        return sequence()
    return sequence(tlv(0x31, sequence(oid("2.5.4.3"), tlv(12, common.encode()))))


# Points of P-256: None is the neutral one.

def add(a, b):
    if a is None or b is None:
        return a or b
    if a[0] == b[0]:
        if a != b:
            return None
        slope = (3 * a[0] * a[0] - 3) * pow(2 * a[1], -1, P)
    else:
        slope = (b[1] - a[1]) * pow(b[0] - a[0], -1, P)
    x = (slope * slope - a[0] - b[0]) % P
    return x, (slope * (a[0] - x) - a[1]) % P


POWERS = [G]
for _ in range(255):
    POWERS.append(add(POWERS[-1], POWERS[-1]))


def times_g(k):
    point = None
    for i in range(256):
        if k >> i & 1:
            point = add(point, POWERS[i])
    return point


class Ec:
    """A key that signs with ECDSA and SHA-256."""
    algorithm = sequence(oid("1.2.840.10045.4.3.2"))

    def __init__(self, rng):
        self.secret = rng.randrange(1, N)
        x, y = times_g(self.secret)
        self.point = b"\4" + x.to_bytes(32, "big") + y.to_bytes(32, "big")
        self.spki = sequence(sequence(oid("1.2.840.10045.2.1"), oid("1.2.840.10045.3.1.7")),
                             bits(self.point))

    def pair(self, message):
        h = int.from_bytes(hashlib.sha256(message).digest(), "big")
        k = int.from_bytes(hashlib.sha256(b"%d %d" % (self.secret, h)).digest(), "big") % N
        r = times_g(k)[0] % N
        return r, pow(k, -1, N) * (h + r * self.secret) % N

    def sign(self, message):
        r, s = self.pair(message)
        return sequence(integer(r), integer(s))


def is_prime(n):
    if any(n % p == 0 for p in (3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47)):
        return False
    return pow(2, n - 1, n) == 1 and pow(3, n - 1, n) == 1


def prime(rng, size):
    while True:
        p = rng.getrandbits(size) | 3 << size - 2 | 1
        if p % 3 == 2 and is_prime(p):
            return p


SHA256 = bytes.fromhex("3031300d060960864801650304020105000420")
SHA256_BARE = bytes.fromhex("302f300b0609608648016503040201") + bytes.fromhex("0420")


class Rsa:
    """A key that signs with PKCS#1 v1.5 and SHA-256."""
    oid = oid("1.2.840.113549.1.1.11")
    algorithm = sequence(oid, tlv(5))

    def __init__(self, rng, size=2048, e=65537, modulus=None):
        self.e = e
        if modulus is None:
            p, q = prime(rng, size // 2), prime(rng, size - size // 2)
            self.n = p * q
            self.d = 1 if e == 1 else pow(e, -1, (p - 1) * (q - 1))
        else:
            self.n, self.d = modulus, 1
        self.spki = self.make_spki(tlv(5))

    def make_spki(self, parameters):
        return sequence(sequence(oid("1.2.840.113549.1.1.1"), parameters),
                        bits(sequence(integer(self.n), integer(self.e))))

    def sign(self, message, head=SHA256, pad=0xff):
        size = (self.n.bit_length() + 7) // 8
        digest = head + hashlib.sha256(message).digest()
        padded = b"\0\1" + bytes([pad]) * (size - len(digest) - 3) + b"\0" + digest
        return pow(int.from_bytes(padded, "big"), self.d, self.n).to_bytes(size, "big")


# Extensions.

def extension(number, value, critical=None):
    """number: an OID, or the last of 2.5.29. critical: None where nothing is said."""
    of = oid(number if isinstance(number, str) else f"2.5.29.{number}")
    said = b"" if critical is None else tlv(1, b"\xff" if critical else b"\0")
    return sequence(of, said, tlv(4, value))


def basic(ca, length=None, critical=True):
    return extension(19, sequence(tlv(1, b"\xff") if ca else b"",
                                  b"" if length is None else integer(length)), critical)


def usage(*which, critical=True):
    """Bit numbers: 0 digitalSignature, 2 keyEncipherment, 5 keyCertSign."""
    last = max(which, default=-1)
    value = sum(1 << 15 - w for w in which).to_bytes(2, "big")[:(last + 8) // 8]
    return extension(15, bits(value, 7 - last % 8 if which else 0), critical)


def purposes(*oids, critical=None):
    return extension(37, sequence(*map(oid, oids)), critical)


SERVER, CLIENT, ANY = "1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.2", "2.5.29.37.0"


def dns(text):
    return tlv(0x82, text if isinstance(text, bytes) else text.encode())


def names(*of, critical=None):
    return extension(17, sequence(*of), critical)


def time(text):
    return tlv(0x18 if len(text) == 15 else 0x17, text.encode())


class Cert:
    """What there is to say of one; der() signs it."""

    def __init__(self, issuer, subject, key, signer, extensions):
        self.version = tlv(0xa0, integer(2))
        self.serial = integer(4711)
        self.inner = self.outer = signer.algorithm
        self.issuer, self.subject = name(issuer), name(subject)
        self.begins, self.ends = time("200101000000Z"), time("400101000000Z")
        self.spki, self.signer = key.spki, signer
        self.ids = b""
        self.extensions = list(extensions)
        self.damage = lambda body: body  # before it is signed
        self.sign = signer.sign
        self.unused, self.tail, self.behind = 0, b"", b""

    def der(self):
        listed = tlv(0xa3, sequence(*self.extensions)) if self.extensions else b""
        body = self.damage(sequence(
            self.version, self.serial, self.inner, self.issuer,
            sequence(self.begins, self.ends), self.subject, self.spki, self.ids, listed))
        return sequence(body, self.outer, bits(self.sign(body), self.unused), self.tail) + \
            self.behind
