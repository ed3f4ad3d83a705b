#!/usr/bin/python3 -B
# SPDX-License-Identifier: ISC
"""What trust says of chains of certificates, well made and not, beside what `openssl verify`
says: nothing passes that OpenSSL refuses, and what we refuse that OpenSSL lets pass stands in a
list here. Prints TAP.

usage: chains.py JUDGE [SEED [COUNT]]    (COUNT random chains besides those of the table)"""

import base64
import os
import random
import re
import subprocess
import sys
import tempfile
from collections import namedtuple
from concurrent.futures import ThreadPoolExecutor

from der import *

HOST, ADDRESS = "mail.example", b"\x7f\0\0\1"
# host; bundle, sent: DER; ours: the words that we must say, "" where it must pass, None: any;
# theirs: whether OpenSSL lets it pass, None: the same as we.
Case = namedtuple("Case", "name host bundle sent ours theirs")
rng = random.Random(1)
KEYS = {k: Ec(rng) for k in ("root", "upper", "leaf", "other")}


def root(**changes):
    return changed(Cert("Root", "Root", KEYS["root"], KEYS["root"], [basic(True), usage(5, 6)]),
                   changes)


def upper(**changes):
    return changed(Cert("Root", "Upper", KEYS["upper"], KEYS["root"],
                        [basic(True, 0), usage(5, 6)]), changes)


def leaf(**changes):
    return changed(Cert("Upper", HOST, KEYS["leaf"], KEYS["upper"],
                        [basic(False), usage(0), purposes(SERVER), names(dns(HOST))]), changes)


def changed(cert, changes):
    for field, value in changes.items():
        if field == "add":
            cert.extensions += value
        elif field == "key":
            cert.spki = value.spki
        elif field == "signer":
            cert.signer, cert.sign = value, value.sign
            cert.inner = cert.outer = value.algorithm
        else:
            assert hasattr(cert, field), field
            setattr(cert, field, value)
    return cert


def san(*of, **changes):
    return leaf(extensions=[basic(False), usage(0), purposes(SERVER), names(*of)], **changes)


def again(cert, number, value):
    """The certificate with another extension in the place of its own."""
    of = oid(f"2.5.29.{number}")
    cert.extensions = [value if of in e else e for e in cert.extensions]
    return cert


def without(cert, number):
    of = oid(f"2.5.29.{number}")
    cert.extensions = [e for e in cert.extensions if of not in e]
    return cert


def table():
    """The directed ones."""
    def case(name, ours="", *, at_leaf=None, at_upper=None, at_root=None, sent=None, bundle=None,
             host=HOST, theirs=None):
        certs = sent or [at_leaf or leaf(), at_upper or upper()]
        anchors = bundle or [at_root or root()]
        return Case(name, host, [c.der() for c in anchors], [c.der() for c in certs], ours, theirs)

    yield case("all is well")

    # DER.
    broken = "malformed"
    yield case("bytes behind the leaf", broken, at_leaf=leaf(behind=b"\0"), theirs=True)
    yield case("something behind the signature", broken, at_leaf=leaf(tail=tlv(5)))
    yield case("bits unused in the signature", broken, at_leaf=leaf(unused=1))
    indefinite = leaf()
    indefinite.damage = lambda body: b"\x30\x80" + body[4:] + b"\0\0"
    yield case("an indefinite length", broken, at_leaf=indefinite, theirs=True)
    long_form = leaf(serial=b"\x02\x81\x01\x05")
    yield case("a length that is not the shortest", broken, at_leaf=long_form, theirs=True)
    yield case("a negative serial number", at_leaf=leaf(serial=tlv(2, b"\x80")))
    yield case("no byte in the serial number", at_leaf=leaf(serial=tlv(2)), theirs=False)
    yield case("a serial number of 30 bytes", at_leaf=leaf(serial=tlv(2, b"\x7f" * 30)))
    for which, version in ("none", b""), ("2", tlv(0xa0, integer(1))):
        yield case(f"version {which}", "version 3", at_leaf=leaf(version=version), theirs=True)
    yield case("version 4", "version 3", at_leaf=leaf(version=tlv(0xa0, integer(3))),
               theirs=True)
    yield case("identifiers behind the key",
               at_leaf=leaf(ids=tlv(0x81, b"\0a") + tlv(0x82, b"\0a")))
    yield case("extensions, but none of them", broken, at_leaf=leaf(ids=tlv(0xa3)))
    yield case("no subject at all", "", at_leaf=leaf(subject=name(None)))
    yield case("the common name is in BMPString", "",
               at_leaf=leaf(subject=sequence(tlv(0x31, sequence(
                   oid("2.5.4.3"), tlv(30, b"\0m\0x"))))))

    # Signatures.
    yield case("the algorithm inside is another", "two signature algorithms",
               at_leaf=leaf(inner=sequence(oid("1.2.840.10045.4.3.3"))))
    yield case("parameters of ECDSA: NULL", "", theirs=None, at_leaf=leaf(
        inner=sequence(oid("1.2.840.10045.4.3.2"), tlv(5)),
        outer=sequence(oid("1.2.840.10045.4.3.2"), tlv(5))))
    r, s = KEYS["upper"].pair(b"nothing")
    for what, pair in {
            "zeros": (0, 0), "r zero": (0, 1), "s zero": (1, 0), "the order": (N, N),
            "ones": (1, 1), "of something else": (r, s),
            "beyond": (N + r, s), "huge": (1 << 600, 1)}.items():
        false = leaf()
        false.sign = lambda body, p=pair: sequence(integer(p[0]), integer(p[1]))
        yield case(f"an ECDSA signature of {what}", "not signed by", at_leaf=false)
    twin = leaf()
    twin.sign = lambda body: (lambda p: sequence(integer(p[0]), integer(N - p[1])))(
        KEYS["upper"].pair(body))
    yield case("the other ECDSA signature with the same r", at_leaf=twin)
    for what, spoil in {
            "nothing": lambda s: b"", "a NULL": lambda s: tlv(5),
            "a byte more": lambda s: s + b"\0", "a byte less": lambda s: s[:-1],
            "negative": lambda s: sequence(tlv(2, b"\xff" * 32), tlv(2, b"\xff" * 32))}.items():
        false = leaf()
        false.sign = lambda body, f=spoil: f(KEYS["upper"].sign(body))
        yield case(f"an ECDSA signature of form: {what}", "not signed by", at_leaf=false)
    point = KEYS["upper"].point
    for what, q in ("off the curve", point[:-1] + bytes([point[-1] ^ 1])), \
            ("zero", b"\4" + bytes(64)), ("infinity", b"\0"), ("compressed", b"\3" + point[1:33]):
        bad = upper()
        bad.spki = sequence(sequence(oid("1.2.840.10045.2.1"), oid("1.2.840.10045.3.1.7")),
                            bits(q))
        yield case(f"an issuer's point: {what}", "signed by" if len(q) == 65 else "no key",
                   at_upper=bad, theirs=what == "compressed")
    explicit = upper()
    explicit.spki = sequence(sequence(oid("1.2.840.10045.2.1"), sequence(integer(1))), bits(point))
    yield case("a curve in numbers", "no key", at_upper=explicit)

    # RSA.
    rsa = Rsa(rng)
    yield case("RSA", at_upper=upper(key=rsa), at_leaf=leaf(signer=rsa))
    for what, kind in ("none", b""), ("another", integer(1)):
        odd = leaf(signer=rsa, inner=sequence(Rsa.oid, kind), outer=sequence(Rsa.oid, kind))
        yield case(f"RSA, parameters of the signature: {what}", None, at_upper=upper(key=rsa),
                   at_leaf=odd, theirs=None)
    bare = upper()
    bare.spki = rsa.make_spki(b"")
    yield case("RSA, parameters of the key: none", at_upper=bare, at_leaf=leaf(signer=rsa))
    for what, options in ("no NULL", {"head": SHA256_BARE}), ("zeros as padding", {"pad": 0}), \
            ("SHA-1's name", {"head": bytes.fromhex("3021300906052b0e03021a05000414")}):
        odd = leaf(signer=rsa)
        odd.sign = lambda body, o=options: rsa.sign(body, **o)
        yield case(f"RSA, inside the signature: {what}", "" if what == "no NULL" else "signed by",
                   at_upper=upper(key=rsa), at_leaf=odd, theirs=False)
    short = leaf(signer=rsa)
    short.sign = lambda body: rsa.sign(body)[1:]
    yield case("RSA, a byte less of signature", "signed by", at_upper=upper(key=rsa),
               at_leaf=short)
    more = leaf(signer=rsa)
    more.sign = lambda body: (int.from_bytes(rsa.sign(body), "big") + rsa.n).to_bytes(257, "big")
    yield case("RSA, a signature beyond the modulus", "signed by", at_upper=upper(key=rsa),
               at_leaf=more)
    three = Rsa(rng, e=3)
    yield case("RSA, exponent 3", at_upper=upper(key=three), at_leaf=leaf(signer=three))
    one = Rsa(rng, e=1, modulus=rsa.n)
    yield case("RSA, exponent 1: anybody signs", "no key", at_upper=upper(key=one),
               at_leaf=leaf(signer=one), theirs=True)
    even = Rsa(rng, e=3, modulus=rsa.n + 1)
    yield case("RSA, an even modulus", "signed by", at_upper=upper(key=even),
               at_leaf=leaf(signer=even))
    weak = Rsa(rng, size=1024)
    yield case("RSA, 1024 bits", "less than 2048", at_upper=upper(key=weak),
               at_leaf=leaf(signer=weak))

    # Dates.
    for what, text, ours, theirs in (
            ("leap second", "200630235960Z", broken, None),
            ("a fraction", "20200101000000.5Z", broken, None),
            ("no seconds", "2001010000Z", broken, None),
            ("an offset", "200101000000+0100", broken, None),
            ("GeneralizedTime before 2050", "20200101000000Z", "", None),
            ("1950", "500101000000Z", "", None), ("31 February", "200231000000Z", "", False),
            ("empty", "", broken, None)):
        odd = leaf(begins=tlv(0x18 if "." in text or len(text) == 15 else 0x17, text.encode()))
        yield case(f"begins: {what}", ours, at_leaf=odd, theirs=theirs)
    yield case("ends: in 2049", at_leaf=leaf(ends=time("491231235959Z")))
    yield case("ends: in 1950, not in 2050", "expired", at_leaf=leaf(ends=time("500101000000Z")))
    yield case("ends: 99991231235959Z", at_leaf=leaf(ends=time("99991231235959Z")))
    yield case("the issuer is expired", "'s CA expired", at_upper=upper(ends=time("210101000000Z")))
    yield case("the root is expired", "'s CA expired", at_root=root(ends=time("210101000000Z")))
    yield case("the root begins tomorrow", "is not valid before",
               at_root=root(begins=time("390101000000Z")))

    # Names.
    yield case("in capitals", at_leaf=san(dns("MAIL.Example")))
    yield case("the second of two", at_leaf=san(dns("a.example"), dns(HOST)))
    no = "does not name this host"
    for what, text in {
            "NUL": b"mail.example\0.evil", "NUL behind": b"mail.example\0",
            "a dot behind": HOST + ".", "a dot before": "." + HOST, "empty": "",
            "a blank behind": HOST + " ", "mai*.example": "mai*.example",
            "*ail.example": "*ail.example", "m*l.example": "m*l.example", "*": "*", "*.": "*.",
            "*.example": "*.example", "*.*": "*.*", "**": "**.example",
            "another's": "evil.example"}.items():
        yield case(f"dNSName: {what}", no, at_leaf=san(dns(text)))
    yield case("dNSName: wildcard", at_leaf=san(dns("*.mail.example")), host="a.mail.example")
    yield case("dNSName: wildcard, two deep", no, at_leaf=san(dns("*.mail.example")),
               host="a.b.mail.example")
    yield case("dNSName: wildcard in the middle", no, at_leaf=san(dns("a.*.example")),
               host="a.mail.example")
    yield case("dNSName: a wildcard alone of a domain", no, at_leaf=san(dns("*.mail.example")))
    yield case("dNSName: xn--*", no, at_leaf=san(dns("xn--*.example")), host="xn--a.example")
    yield case("the address", at_leaf=san(tlv(0x87, ADDRESS)), host="127.0.0.1")
    for what, of in {"as dNSName": dns("127.0.0.1"), "wildcard": dns("*.0.0.1"),
                     "and a mask": tlv(0x87, ADDRESS + b"\xff" * 4), "cut": tlv(0x87, ADDRESS[:3]),
                     "mapped": tlv(0x87, bytes(10) + b"\xff\xff" + ADDRESS)}.items():
        yield case(f"the address: {what}", no, at_leaf=san(of), host="127.0.0.1")
    yield case("the name as e-mail address", no, at_leaf=san(tlv(0x81, HOST.encode())),
               theirs=True)
    yield case("the name as URI", no, at_leaf=san(tlv(0x86, HOST.encode())), theirs=True)
    yield case("an empty SAN", "no subjectAltName", at_leaf=san(), theirs=True)
    yield case("no SAN, a common name", "no subjectAltName", at_leaf=without(leaf(), 17),
               theirs=True)
    yield case("a SAN that is no sequence", broken,
               at_leaf=again(leaf(), 17, extension(17, dns(HOST))))
    yield case("bytes behind the SAN", broken,
               theirs=True,
               at_leaf=again(leaf(), 17, extension(17, sequence(dns(HOST)) + b"\0")))

    # Extensions.
    private = "1.3.6.1.4.1.99999.1"
    for where, maker in ("leaf", leaf), ("upper", upper), ("root", root):
        at = {"at_" + where: maker(add=[extension(private, tlv(5), True)])}
        yield case(f"{where}: an unknown critical extension", "not understood", **at)
        at = {"at_" + where: maker(add=[extension(private, tlv(5))])}
        yield case(f"{where}: an unknown extension", **at)
        at = {"at_" + where: maker(add=[basic(where != "leaf")])}
        yield case(f"{where}: basicConstraints twice", "an extension twice", **at, theirs=None)
        at = {"at_" + where: maker(add=[extension(30, sequence(tlv(
            0xa0, sequence(dns("example")))), True)])}
        yield case(f"{where}: name constraints that permit it", "name constraints", **at,
                   theirs=True)
        at = {"at_" + where: maker(add=[extension(30, sequence(tlv(
            0xa0, sequence(dns("other")))))])}
        yield case(f"{where}: name constraints that forbid it", "name constraints", **at,
                   theirs=where == "leaf")
        at = {"at_" + where: maker(add=[extension(36, sequence(tlv(0x80, b"\0")), True)])}
        yield case(f"{where}: a policy is required", "not understood", **at, theirs=True)
    for what, of in ("for clients", [CLIENT]), ("for nothing", []):
        yield case(f"upper: {what}", "not for servers", at_upper=upper(add=[purposes(*of)]))
        yield case(f"leaf: {what}", "not for servers",
                   at_leaf=again(leaf(), 37, purposes(*of)))
    yield case("root: for clients", "not for servers", at_root=root(add=[purposes(CLIENT)]))
    yield case("upper: for servers", at_upper=upper(add=[purposes(CLIENT, SERVER)]))
    yield case("leaf: for anything", at_leaf=again(leaf(), 37, purposes(ANY)), theirs=False)
    yield case("upper: for anything", at_upper=upper(add=[purposes(ANY)]), theirs=False)
    yield case("leaf: no extended key usage", at_leaf=without(leaf(), 37))
    yield case("leaf: for encipherment only", "for signatures",
               at_leaf=again(leaf(), 15, usage(2)), theirs=True)
    yield case("leaf: key usage of no bit", "for signatures", at_leaf=again(leaf(), 15, usage()))
    yield case("leaf: for certificates only", "for signatures", at_leaf=again(leaf(), 15, usage(5)))
    yield case("leaf: a CA", "is a CA's", at_leaf=again(leaf(), 19, basic(True)), theirs=True)
    yield case("leaf: no basicConstraints", at_leaf=without(leaf(), 19))
    may_not = "may not issue"
    for where, maker in ("upper", upper), ("root", root):
        yield case(f"{where}: no CA", may_not, **{
            "at_" + where: again(maker(), 19, basic(False))})
        yield case(f"{where}: no basicConstraints", may_not, **{
            "at_" + where: without(maker(), 19)}, theirs=where == "root")
        yield case(f"{where}: may not sign", may_not, **{
            "at_" + where: again(maker(), 15, usage(0, 6))})
        yield case(f"{where}: no key usage", **{"at_" + where: without(maker(), 15)})
        yield case(f"{where}: key usage not critical", **{
            "at_" + where: again(maker(), 15, usage(5, critical=False))})
        yield case(f"{where}: a CA, FALSE being said of critical", **{
            "at_" + where: again(maker(), 19, basic(True, critical=False))})
    yield case("root: path length 1", at_root=again(root(), 19, basic(True, 1)))
    yield case("root: path length 0", "path length", at_root=again(root(), 19, basic(True, 0)))
    minus = extension(19, sequence(tlv(1, b"\xff"), tlv(2, b"\xff")), True)
    yield case("root: path length -1", None, at_root=again(root(), 19, minus), theirs=None)
    yield case("upper: path length -1", None, at_upper=again(upper(), 19, minus), theirs=None)
    yield case("upper: path length 2^64", at_upper=again(upper(), 19, basic(True, 1 << 64)),
               theirs=None)

    # Paths.
    yield case("no issuer", "leads to CN=Upper", sent=[leaf()])
    yield case("an unknown root", "leads to CN=Root",
               bundle=[Cert("Else", "Else", KEYS["other"], KEYS["other"], [basic(True)])])
    yield case("the issuer is in the bundle", bundle=[upper()], sent=[leaf()])
    yield case("the leaf is in the bundle", bundle=[leaf()], sent=[leaf()])
    yield case("the leaf is in the bundle, of another name", no, bundle=[leaf()], sent=[leaf()],
               host="else.example")
    impostor = Cert("Root", "Root", KEYS["other"], KEYS["other"], [basic(True)])
    yield case("a root of the same name, another key", "not signed by", bundle=[impostor])
    yield case("the same, and the right one behind it", bundle=[impostor, root()],
               theirs=False)
    yield case("the same, sent", "", sent=[leaf(), impostor, upper()])
    stale = root(ends=time("210101000000Z"))
    yield case("the root, expired, then renewed", bundle=[stale, root()])
    yield case("wrong order, a stranger, a copy", sent=[leaf(), impostor, upper(), leaf(), root()])
    other = Cert("Root", "Upper", KEYS["other"], KEYS["root"], [basic(True)])
    yield case("two CAs of one name, the right one last", sent=[leaf(), other, upper()],
               theirs=False)
    yield case("only the wrong one of two", "not signed by", sent=[leaf(), other], bundle=[root()])
    renewed = Cert("Root", "Root", KEYS["other"], KEYS["root"], [basic(True)])
    under = upper(signer=KEYS["other"])
    yield case("a root renewed by its old key", sent=[leaf(), under, renewed], theirs=False)
    yield case("the same, path length 1 in the old one", sent=[leaf(), under, renewed],
               bundle=[again(root(), 19, basic(True, 1))], theirs=False)
    namesake = leaf(issuer=name(HOST), signer=KEYS["other"])
    home = Cert(HOST, HOST, KEYS["other"], KEYS["other"], [basic(True), usage(5)])
    yield case("a CA that is called as its server", bundle=[home], sent=[namesake],
               theirs=False)
    yield case("a CA that is called as its server, not ours", "self-signed", sent=[namesake])
    own = leaf(issuer=name(HOST), signer=KEYS["leaf"])
    yield case("self-signed", "set tls_fingerprint ", sent=[own])
    yield case("self-signed, in the bundle", sent=[own], bundle=[own])
    yield case("self-signed, as a known CA is called", "not signed by", bundle=[home], sent=[own])
    maze = [Cert("Root", "Root", KEYS["other"], KEYS["other"], [basic(True)]) for _ in range(13)]
    for n, cert in enumerate(maze):
        cert.serial = integer(n)
    lost = upper(signer=KEYS["other"])
    yield case("a maze of CAs that vouch for each other", None, sent=[leaf(), lost, *maze],
               theirs=None)
    long = [Cert(f"C{n + 1}", f"C{n}", KEYS["other"], KEYS["other"], [basic(True)])
            for n in range(9)]
    for count, ours in (7, ""), (8, "too many certificates"):
        top = Cert(f"C{count}", f"C{count}", KEYS["other"], KEYS["other"], [basic(True)])
        yield case(f"{count} CAs between", ours, bundle=[top], theirs=True,
                   sent=[leaf(issuer=name("C0"), signer=KEYS["other"]), *long[:count]])


def spoil(body):
    """A byte or two changed, more or fewer; the outermost length is right again."""
    inside = bytearray(body[body[1] - 0x80 + 2 if body[1] > 0x80 else 2:])
    for _ in range(rng.choice((1, 1, 1, 2))):
        at = rng.randrange(len(inside))
        kind = rng.randrange(4)
        if kind < 2:
            inside[at] ^= 1 << rng.randrange(8)
        elif kind == 2:
            inside[at] = rng.choice((0, 1, 2, 5, 6, 0x17, 0x30, 0x7f, 0x80, 0x81, 0x82, 0xa3, 0xff))
        elif rng.randrange(2):
            inside.insert(at, rng.randrange(256))
        else:
            del inside[at]
    return tlv(0x30, bytes(inside))


def vary(cert):
    """Some of what a CA decides, decided anew."""
    yes = rng.choice((None, True, False))
    kind = rng.randrange(9)
    if kind == 0:
        again(cert, 19, basic(yes, rng.choice((None, 0, 1, 2)), yes))
    elif kind == 1:
        again(cert, 15, usage(*rng.sample(range(9), rng.randrange(4)), critical=yes))
    elif kind == 2:
        again(cert, 37, purposes(*rng.sample((SERVER, CLIENT, ANY, "1.2.3"), rng.randrange(3)),
                                 critical=yes))
    elif kind == 3:
        without(cert, rng.choice((15, 17, 19, 37)))
    elif kind == 4:
        cert.extensions.append(extension(rng.choice((9, 16, 30, 32, 36, 54, 55)),
                                         tlv(rng.choice((4, 5, 0x30))), yes))
    elif kind == 5:
        cert.extensions.append(rng.choice(cert.extensions or [basic(True)]))
    elif kind == 6:
        cert.begins = time(f"{rng.randrange(20, 30):02}0101000000Z")
        cert.ends = time(f"{rng.randrange(20, 30):02}0101000000Z")
    elif kind == 7:
        again(cert, 17, names(*(dns(rng.choice((HOST, "*.example", "*.mail.example", "x", "")))
                                for _ in range(rng.randrange(3)))))
    else:
        cert.signer = rng.choice(list(KEYS.values()))
        cert.sign = cert.signer.sign


def random_case(n):
    certs = [leaf(), upper(), root()]
    for _ in range(rng.choice((1, 1, 2, 3))):
        cert = rng.choice((certs[0], certs[0], *certs))
        if rng.randrange(2):
            vary(cert)
        else:
            cert.damage = spoil
    sent = certs[:2] + rng.sample((certs[2], root()), rng.randrange(3))
    sent = sent[:1] + rng.sample(sent[1:], len(sent) - 1)
    return Case(f"{n}", HOST, [certs[2].der()], [c.der() for c in sent], None, None)


# What each side says.

def ours(judge, folder, cases):
    text = b""
    for n, case in enumerate(cases):
        lengths = " ".join(str(len(c)) for c in case.sent)
        text += f"{case.host} {folder}/{n}.ca {lengths}\n".encode() + b"".join(case.sent)
    done = subprocess.run([judge], input=text, stdout=subprocess.PIPE, timeout=200)
    said = done.stdout.decode(errors="replace").splitlines()
    if done.returncode or len(said) != len(cases):
        at = cases[min(len(said), len(cases) - 1)].name
        raise SystemExit(f"{judge} stopped with {done.returncode} at {at}")
    return said


def pem(certs):
    return b"".join(b"-----BEGIN CERTIFICATE-----\n" + base64.encodebytes(c) +
                    b"-----END CERTIFICATE-----\n" for c in certs)


def put(path, content):
    with open(path, "wb") as f:
        f.write(content)


def theirs(folder, n, case):
    """Why not, or "OK"."""
    at = f"{folder}/{n}"
    of = "ip" if case.host[0].isdigit() else "hostname"
    done = subprocess.run(
        ["openssl", "verify", "-no-CApath", "-no-CAstore", "-CAfile", at + ".ca", "-partial_chain",
         "-untrusted", at + ".chain", "-attime", "1750000000", "-purpose", "sslserver",
         "-auth_level", "2", "-verify_" + of, case.host, at + ".leaf"],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60)
    text = done.stdout.decode(errors="replace")
    if done.returncode == 0:
        return "OK"
    found = re.search(r"^error \d+ at \d+ depth lookup: (.*)$", text, re.M)
    return found[1] if found else "unreadable"


# Of random ones.

# What we refuse and OpenSSL lets pass, in our words. "leads to": a CA in another form of DER.
STRICTER = "malformed|version 3|an extension twice|name constraints|is a CA's|no subjectAltName|" \
    "not understood|must not be used for signatures|no key|does not name this host: |leads to|" \
    "may not issue"
# What passes here and not there, in OpenSSL's: anyExtendedKeyUsage; a leaf's point that is none,
# with which no handshake ends; a name whose inside is no DER.
LAXER = "unsuitable certificate purpose|EE certificate key too weak|unreadable"


def judged(case, we, they):
    """What is wrong with that, or None."""
    ok, passed = we == "ok", they == "OK"
    if case.ours is not None and (case.ours not in we if case.ours else not ok):
        return f"we say: {we}, not: {case.ours or 'ok'}"
    if case.theirs is not None:
        return None if case.theirs == passed else f"OpenSSL says: {they}"
    if ok == passed or case.ours is None and re.search(
            LAXER if ok else STRICTER, they if ok else we):
        return None
    return f"we say: {we}; OpenSSL says: {they}"


def main(judge, seed="1", count="200"):
    rng.seed(1)
    cases = list(table())
    rng.seed(int(seed))
    cases += [random_case(n) for n in range(int(count))]
    with tempfile.TemporaryDirectory(prefix="mtabox.") as folder:
        for n, case in enumerate(cases):
            put(f"{folder}/{n}.ca", pem(case.bundle))
            put(f"{folder}/{n}.leaf", pem(case.sent[:1]))
            put(f"{folder}/{n}.chain", pem(case.sent[1:] or case.sent))
        we = ours(judge, folder, cases)
        with ThreadPoolExecutor(2) as pool:
            they = list(pool.map(lambda n: theirs(folder, n, cases[n]), range(len(cases))))
    faults = [judged(*each) for each in zip(cases, we, they)]
    print(f"1..{len(cases)}")
    for n, (case, fault) in enumerate(zip(cases, faults), 1):
        print(f"{'not ' if fault else ''}ok {n} - {case.name}" + (f"\n# {fault}" if fault else ""))
    return any(faults)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
