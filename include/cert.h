/* SPDX-License-Identifier: ISC */
/*
 * An X.509 certificate as trust needs it, or a private key: its fields found in hostile DER,
 * nothing copied, nothing judged. Bounded by the bytes given; never reads beyond them.
 * RFC 5280.
 */
#ifndef CERT_H
#define CERT_H

#include "buf.h"

#include <bearssl.h>

/* By the hash, with RSA PKCS#1 or ECDSA. */
enum cert_signature { CERT_OTHER, CERT_MD5, CERT_SHA1, CERT_SHA2 };

enum { /* bits of keyUsage */
	CERT_DIGITAL_SIGNATURE = 0x80,
	CERT_KEY_ENCIPHERMENT = 0x20,
	CERT_KEY_CERT_SIGN = 0x04,
};

/* All ranges point into the DER that was parsed. */
struct cert {
	struct str der;              /* the certificate */
	struct str issuer, subject;  /* names, whole elements: equal names are equal bytes */
	struct str spki;             /* SubjectPublicKeyInfo, whole element */
	struct str names;            /* inside subjectAltName; empty: there is none */
	br_x509_pkey key;            /* key_type 0: none that we could use */
	int64_t not_before, not_after; /* seconds since 1970 */
	enum cert_signature signature;
	unsigned char signer;        /* not OTHER: of which key type, BR_KEYTYPE_RSA or _EC */
	/* SHA2: br_sha256_ID, br_sha384_ID or br_sha512_ID; MD5, SHA1: br_sha256_ID, which
	 * stands in (RFC 5929 4.1); OTHER: 0. */
	unsigned char hash;
	struct str signed_part;      /* what the signature is of */
	struct str signature_bytes;
	bool v3;
	bool ca;
	int path_length;             /* CA certificates that may follow; -1: any number */
	unsigned key_usage;          /* all bits where the extension is absent */
	bool not_for_servers;        /* extKeyUsage without serverAuth */
	bool constrained;            /* nameConstraints */
	bool unknown_critical;       /* an extension that must be understood and is not */
	bool contradictory;          /* an extension twice, or two signature algorithms */
};

/* 0, or -1: malformed. */
int cert_parse(struct cert *c, struct str der);

/* A private key: the parts of one of two kinds, in the DER that was parsed. */
struct cert_key {
	int type;               /* BR_KEYTYPE_RSA or _EC; 0: of another kind */
	struct str modulus;     /* RSA: this much of the public key is in it */
	br_rsa_private_key rsa;
	br_ec_private_key ec;   /* its curve is not read: the certificate says it */
};

/* PKCS#1 (RFC 8017 A.1.2), SEC1 (RFC 5915), or one of them in PKCS#8 (RFC 5958), not
 * encrypted. 0, or -1: malformed. */
int cert_parse_key(struct cert_key *k, struct str der);

/* Whether subjectAltName has host (no dot at its end) as dNSName: any case; "*." stands for
 * exactly one label, and never right before a top-level domain (RFC 6125 6.4.3). */
bool cert_names_host(const struct cert *c, struct str host);
/* Whether subjectAltName has this address: 4 or 16 bytes. */
bool cert_names_address(const struct cert *c, struct str address);

/* For people: "CN=mail.example", without a common name the last part, or "no name"; cut to
 * cap - 1 bytes. Control characters become '?'. */
void cert_print_name(struct str name, char *dst, size_t cap);
/* For people: the first of its dNSNames, or an empty range. */
struct str cert_first_host(const struct cert *c);

#endif
