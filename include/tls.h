/* SPDX-License-Identifier: ISC */
/*
 * A TLS 1.2 (with TLS_LEGACY 1.0 to 1.2) client connection behind read, write and close: BearSSL
 * over a non-blocking socket that the caller polls. Never blocks.
 */
#ifndef TLS_H
#define TLS_H

#include "identity.h"
#include "trust.h"

#include <sys/types.h>

struct tls; /* allocated: some 40 kB, of which only touched pages count */

/* Begins a handshake with the server that name means (also SNI; an address literal has no
 * SNI), as me if the server asks. trust and me must outlive it; fd stays the caller's. */
struct tls *tls_open(int fd, struct str name, struct trust *trust, struct identity *me);
void tls_free(struct tls *t); /* wiped; nothing is sent */

/* Moves records between the engine and the socket as far as that goes without waiting, but
 * not for ever. 0; -1 when the connection is over and all that came has been read:
 * tls_failure says how it ended. */
int tls_pump(struct tls *t);

/* What tls_pump waits for: POLLIN, POLLOUT or both; 0: first read what has come. */
short tls_events(const struct tls *t);

bool tls_ready(const struct tls *t); /* the handshake is complete */

/* Application bytes. How many, 0: none now. Call tls_pump afterwards. */
size_t tls_read(struct tls *t, void *dst, size_t cap);
size_t tls_write(struct tls *t, const void *src, size_t len);
/* Puts what was written into a record even if it is not full. */
void tls_flush(struct tls *t);
/* Sends close_notify as far as the socket takes it; waits for nothing. */
void tls_close(struct tls *t);

/* After -1 from tls_pump: DELIVERED for an orderly close by the server (close_notify), else
 * TEMPFAIL with the words for it; a truncation is a failure. */
struct outcome tls_failure(const struct tls *t);

/* "TLSv1.2 ECDHE-RSA-AES128-GCM-SHA256", or that nothing has been agreed on. */
void tls_describe(const struct tls *t, struct buf *out);

#endif
