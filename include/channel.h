/* SPDX-License-Identifier: ISC */
/*
 * A connected server's bytes, with or without TLS. Never blocks, but for the handshake, which
 * has a deadline. What ends the connection is remembered as an outcome, once.
 */
#ifndef CHANNEL_H
#define CHANNEL_H

#include "tls.h"

struct channel {
	int fd;                /* non-blocking; -1: not open */
	struct str peer;       /* "mail.example[192.0.2.1]:25", for words */
	struct tls *tls;       /* NULL: in clear */
	struct trust trust;    /* of the handshake */
	uint64_t sent;         /* bytes taken from the caller */
	int send_error;        /* errno: no more can be sent; what has come is read first */
	bool over;             /* and all that came has been read */
	struct outcome why;    /* TEMPFAIL, where it is over */
};

/* fd becomes the channel's; peer must outlive it. */
void channel_open(struct channel *c, int fd, struct str peer);
void channel_close(struct channel *c); /* says good-bye in TLS as far as the socket takes it */

/* The whole handshake with the server of that name, as me. seconds from now it is over if it is
 * not done. trust and me must outlive the channel. */
void channel_start_tls(struct channel *c, struct str name, const struct trust_config *trust,
		       struct identity *me, uint64_t seconds);

/* How many bytes were taken or given, 0: none now. */
size_t channel_write(struct channel *c, struct str bytes);
size_t channel_read(struct channel *c, char *dst, size_t cap);

/* What was written goes on its way as far as that is possible now. */
void channel_flush(struct channel *c);

/* What to poll fd for; writing: there is more to write. */
short channel_events(const struct channel *c, bool writing);

#endif
