/* SPDX-License-Identifier: ISC */
/*
 * Who this device is towards a server that asks: the client certificate (tls_cert) and its
 * private key (tls_key). Read before rights are given up; the key stays in one place, which is
 * wiped, and signs nothing but a handshake.
 */
#ifndef IDENTITY_H
#define IDENTITY_H

#include "cert.h"
#include "outcome.h"

enum { IDENTITY_CHAIN = 8 }; /* there are fewer certificates in tls_cert */

struct identity {
	/* Must be first: &vtable goes to the engine. */
	const br_ssl_client_certificate_class *vtable;
	struct buf cert[IDENTITY_CHAIN], key_der;
	br_x509_certificate chain[IDENTITY_CHAIN];
	size_t count;        /* 0: there is none */
	bool asked;          /* by the server of the last handshake */
	struct cert_key key;
};

/* The certificate and whatever chain stands behind it in the PEM file cert, its key from the
 * PEM file key, or with "" from the same; cert "": there is none. 0; or -1 with *why,
 * TEMPFAIL: one of them cannot be used, and what to do; then there is none either. */
int identity_load(struct identity *me, const char *cert, const char *key, struct outcome *why);

void identity_free(struct identity *me);

#endif
