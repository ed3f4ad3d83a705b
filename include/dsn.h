/* SPDX-License-Identifier: ISC */
/*
 * The text of a bounce (RFC 3464 multipart/report, RFC 3834 Auto-Submitted), rendered from
 * the envelope and the journal of the message that failed, or is late, or arrived where its
 * sender asked to be told, the same bytes each time. Server words in it, and what the sender
 * gave to have it back (ENVID, ORCPT), are made safe: one line, no control characters.
 */
#ifndef DSN_H
#define DSN_H

#include "journal.h"

struct dsn {
	const struct envelope *envelope;
	const struct journal *journal;
	size_t bounce;            /* index in journal->rcpts: who is sent it */
	struct str id, host;      /* of the message; our name */
	int64_t date;             /* of the bounce */
	struct str header;        /* the original's header as stored, for Message-ID; bounded */
	bool full;                /* the whole original goes back, else its header */
	bool eightbit;            /* what goes back holds bytes above 127 */
};

/* Everything before the original (header, the part for people, message/delivery-status, the
 * third part's own header: message/rfc822 or text/rfc822-headers), and everything behind it.
 * The caller puts the original between them: it may be large. LF line ends. The head may
 * hold UTF-8 (a server's words, an address) where d->eightbit is false. */
void dsn_render_head(const struct dsn *d, struct buf *out);
void dsn_render_tail(const struct dsn *d, struct buf *out);

#endif
