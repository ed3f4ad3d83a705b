/* SPDX-License-Identifier: ISC */
/*
 * Which server certificate is trusted. An X.509 engine for BearSSL (br_x509_class) that
 * buffers the server's chain (at most LIMIT_CHAIN), finds a path through it whatever its
 * order, decodes only those anchors of the CA bundle that the chain names, and checks the path
 * (RFC 5280 6): signatures, dates, names, purposes. Or a fingerprint or public key pin.
 * Every refusal is said in words: which certificate, what is wrong, what to do.
 */
#ifndef TRUST_H
#define TRUST_H

#include "conf.h"
#include "outcome.h"
#include "stamp.h"

#include <bearssl.h>

struct trust_config {
	bool verify;             /* false: any certificate passes, verified stays false */
	int ca;                  /* the PEM bundle, open, for pread; -1: there is none */
	int ca_error;            /* and why, an errno */
	const char *ca_name;     /* its path, for words */
	unsigned char fingerprint[32], pin[32]; /* SHA-256 of the certificate / of its SPKI */
	bool has_fingerprint, has_pin; /* what is set must match; then nothing else counts */
	enum conf_clock clock;
	struct stamp now;        /* for validity: see tls_clock in DESIGN 6 */
	int64_t floor;           /* BUILD_TIME */
};

struct trust {
	const br_x509_class *vtable; /* must be first: &t->vtable goes to the engine */
	const struct trust_config *config;
	struct trust_work *work; /* trust.c's own */
	bool verified;
	size_t address_len;      /* 4 or 16 where name is an address literal, else 0 */
	unsigned char address[16];
	char name[256];          /* what the certificate must be for, no dot at its end */
	struct outcome why;      /* TEMPFAIL 4.7.5 in words, after a refusal; else no text */
	unsigned char leaf_sha256[32];
	/* tls-server-end-point (RFC 5929 4.1); no length: it is not defined for the leaf. */
	unsigned char binding[br_sha512_SIZE];
	size_t binding_len;
};

/* config is borrowed until trust_free. */
void trust_init(struct trust *t, const struct trust_config *config);
void trust_free(struct trust *t);

/* The host name or address literal that the next certificate must be for. */
void trust_expect(struct trust *t, struct str name);

/* For people, lines: each certificate that the server sent with subject, issuer and dates, then
 * what tls_fingerprint and tls_pin would be for the first. Nothing where there is none. */
void trust_describe(const struct trust *t, struct buf *out);

/* The hash functions of certificates and handshakes, by BearSSL's numbers; NULL: none that is
 * used. */
struct trust_hash {
	const br_hash_class *class;
	const unsigned char *oid; /* as RSA signatures name it */
	size_t len;
};
const struct trust_hash *trust_hash(unsigned id);

/* Pins from the configuration: 64 hex digits, ':' allowed between bytes. 0, or -1. */
int trust_parse_sha256(struct str s, unsigned char out[32]);

#endif
