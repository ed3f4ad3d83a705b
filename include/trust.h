/* SPDX-License-Identifier: ISC */
/*
 * Which server certificate is trusted. An X.509 engine for BearSSL (br_x509_class) that
 * buffers the server's chain (at most LIMIT_CHAIN), finds a path through it whatever its
 * order, decodes only those anchors of the CA bundle that the chain names, lets x509_minimal
 * check the path, and adds the checks that one lacks. Or a fingerprint or public key pin.
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
	struct str ca;           /* the PEM bundle's text; "" is an empty one */
	const char *ca_name;     /* its path, for words */
	unsigned char fingerprint[32], pin[32]; /* SHA-256 of the certificate / of its SPKI */
	bool has_fingerprint, has_pin;
	enum conf_clock clock;
	struct stamp now;        /* for validity: see tls_clock in DESIGN 6 */
	int64_t floor;           /* BUILD_TIME */
};

struct trust {
	const br_x509_class *vtable; /* must be first: &t->vtable goes to the engine */
	const struct trust_config *config;
	char name[256];          /* host that must be named in the certificate */
	unsigned char *chain;    /* DER, one behind the other; allocated */
	size_t chain_len;
	struct { size_t start, len; } cert[16];
	size_t cert_count;
	bool too_big;
	br_x509_minimal_context minimal;
	br_x509_decoder_context decoder; /* of the leaf: its key, where nothing is verified */
	const br_x509_pkey *key;
	unsigned key_usages;
	bool verified;
	struct outcome why;      /* TEMPFAIL 4.7.x in words, after a refusal */
	char subject[128], issuer[128]; /* of the leaf, for -v and for words */
	unsigned char leaf_sha256[32];
};

void trust_init(struct trust *t, const struct trust_config *config);
void trust_free(struct trust *t);

/* Hex or PEM-less pins from the configuration: 64 hex digits, ':' allowed. 0, or -1. */
int trust_parse_sha256(struct str s, unsigned char out[32]);

#endif
