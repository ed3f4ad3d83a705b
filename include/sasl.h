/* SPDX-License-Identifier: ISC */
/*
 * Picks and computes one AUTH mechanism of a client: SCRAM-SHA-256 and SCRAM-SHA-1 (RFC 5802,
 * 7677), with channel binding too, CRAM-MD5 (RFC 2195), NTLM, PLAIN (RFC 4616), LOGIN,
 * OAUTHBEARER (RFC 7628), XOAUTH2, EXTERNAL (RFC 4422). Bytes in, bytes out, no base64;
 * verifies the server where the mechanism can. No allocation; holds secrets only by
 * reference, wipes what it derived.
 */
#ifndef SASL_H
#define SASL_H

#include "limit.h"
#include "str.h"

enum { SASL_BINDING = 64 }; /* bytes of a channel binding, at most */

struct sasl_mechanism; /* const data of sasl.c */

struct sasl {
	const struct sasl_mechanism *mechanism;
	struct str user, password; /* borrowed; UTF-8; the password is OAuth's token */
	struct str nonce;          /* borrowed; printable, no comma */
	struct str binding;        /* borrowed */
	bool unmatched;            /* we could bind, the server does not offer to */
	unsigned step;
	bool done;                 /* the server has shown that it knows us, where it can */
	bool proved;               /* SCRAM: we have, too */
	char error[64];            /* the server's own words for what is wrong, if it said */
	struct {
		unsigned char server_signature[32]; /* that the server must show */
		char first_bare[512];               /* client-first-message-bare */
		size_t first_bare_len;
	} scram;
};

/* The strongest mechanism of offered ("PLAIN LOGIN CRAM-MD5", any case) that allowed has too;
 * allowed "" is all but EXTERNAL, strongest first, OAuth's last; otherwise allowed's order
 * decides. binding is the TLS channel's as tls-server-end-point has it (RFC 5929), borrowed,
 * at most SASL_BINDING bytes; "": there is none. 0, or -1: none in common. */
int sasl_pick(struct sasl *s, struct str offered, struct str allowed, struct str binding);
const char *sasl_name(const struct sasl *s);

/* Begins. nonce: at least 18 random printable bytes. */
void sasl_start(struct sasl *s, struct str user, struct str password, struct str nonce);

/* True where the client speaks first (initial response). */
bool sasl_client_first(const struct sasl *s);
/* True where the server's next challenge says nothing, and may be no base64 (NTLM's first:
 * "334 NTLM supported"). */
bool sasl_takes_prose(const struct sasl *s);

/* One step: the server's challenge in (empty before the first response), our response out
 * (at most cap bytes, LIMIT_SASL is enough). The response's length, or -1 with *why in words:
 * the server is not who it says, or what it sent is malformed: cancel with "*". */
ptrdiff_t sasl_step(struct sasl *s, struct str challenge, char *out, size_t cap,
		    const char **why);

/* The server says that we are in. 0; -1 with *why where it has not proved itself (SCRAM
 * without a right server signature). */
int sasl_finish(struct sasl *s, const char **why);

/* The server has refused us, and can have meant only the binding: no proof of the password
 * had gone out yet. Many bind in other ways (tls-unique, tls-exporter), and no server says in
 * which before it is tried. */
bool sasl_refused_binding(const struct sasl *s);

void sasl_wipe(struct sasl *s);

#endif
