/* SPDX-License-Identifier: ISC */
/*
 * Picks and computes one AUTH mechanism of a client: SCRAM-SHA-256 (RFC 5802, 7677), CRAM-MD5
 * (RFC 2195), PLAIN (RFC 4616), LOGIN. Bytes in, bytes out, no base64; verifies the server
 * where the mechanism can. No allocation; holds secrets only by reference, wipes what it
 * derived.
 */
#ifndef SASL_H
#define SASL_H

#include "limit.h"
#include "str.h"

struct sasl_mechanism; /* const data of sasl.c */

struct sasl {
	const struct sasl_mechanism *mechanism;
	struct str user, password; /* borrowed; UTF-8 */
	struct str nonce;          /* borrowed; printable, no comma */
	unsigned step;
	bool done;                 /* the server has shown that it knows us, where it can */
	struct {
		unsigned char server_signature[32]; /* that the server must show */
		char first_bare[512];               /* client-first-message-bare */
		size_t first_bare_len;
	} scram;
};

/* The strongest mechanism of offered ("PLAIN LOGIN CRAM-MD5", any case) that allowed has too;
 * allowed "" is all that sasl.h knows, strongest first; otherwise allowed's order decides.
 * 0, or -1: none in common. */
int sasl_pick(struct sasl *s, struct str offered, struct str allowed);
const char *sasl_name(const struct sasl *s);

/* Begins. nonce: at least 18 random printable bytes. */
void sasl_start(struct sasl *s, struct str user, struct str password, struct str nonce);

/* True where the client speaks first (initial response). */
bool sasl_client_first(const struct sasl *s);

/* One step: the server's challenge in (empty before the first response), our response out
 * (at most cap bytes, LIMIT_SASL is enough). The response's length, or -1 with *why in words:
 * the server is not who it says, or what it sent is malformed: cancel with "*". */
ptrdiff_t sasl_step(struct sasl *s, struct str challenge, char *out, size_t cap,
		    const char **why);

/* The server says that we are in. 0; -1 with *why where it has not proved itself (SCRAM
 * without a right server signature). */
int sasl_finish(struct sasl *s, const char **why);

void sasl_wipe(struct sasl *s);

#endif
