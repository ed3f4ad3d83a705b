/* SPDX-License-Identifier: ISC */
/*
 * A plain-text message on its way to a server, so that nothing of it is lost: a body with
 * lines over LIMIT_WIRE_LINE, or with bytes above 127 where the server does not take them,
 * becomes quoted-printable (RFC 2045 6.7); bytes above 127 that the header does not declare
 * get the fields that do (RFC 2045, 6152). Whatever is encoded already, has parts or is no
 * text passes as it is; so does the header, but for the fields that say how the body is
 * encoded. Stands between the message (LF line ends, as text.h gives it) and wire. Streams:
 * any cut of input or output gives the same bytes.
 */
#ifndef ENCODE_H
#define ENCODE_H

#include "header.h"
#include "text.h"

/* What must be known of a message before its first byte goes out. Those of the text are true
 * of the header and the body together: a header alone may be why a body is encoded. */
enum encode_fact {
	ENCODE_EIGHTBIT = 1, /* a byte above 127 */
	ENCODE_UTF8 = 2,     /* all of those are UTF-8 */
	ENCODE_LONG = 4,     /* a line over LIMIT_WIRE_LINE */
	ENCODE_VERSION = 8,  /* the header has MIME-Version, */
	ENCODE_TYPE = 16,    /* Content-Type, */
	ENCODE_8BIT = 32,    /* Content-Transfer-Encoding: 8bit */
	ENCODE_OPAQUE = 64,  /* and the body is not plain text */
	ENCODE_FACTS = 127
};

struct encode {
	unsigned facts;
	unsigned char state;
	bool quoted;           /* the body goes out as quoted-printable, else as 8bit */
	bool said;             /* that, by a field that was there */
	unsigned char matched; /* letters of the name that a field may have */
	unsigned char from;    /* letters of "From " that the line has begun with */
	char blank;            /* held back, or NUL: what follows says how it is written */
	size_t column;         /* of the line that goes out */
};

enum { ENCODE_ROOM = 128 }; /* what a byte of the message may become, the fields included */

unsigned encode_facts(const struct text_facts *text, const struct header_facts *header);

/* eightbit: the server takes bytes above 127 (8BITMIME). */
void encode_init(struct encode *e, unsigned facts, bool eightbit);

/* Takes bytes off *in and writes to dst; returns how many, at most cap, which is ENCODE_ROOM
 * or more. Call again while in->len > 0. n bytes of a body become at most
 * 3.2 n and a few. */
size_t encode_feed(struct encode *e, struct str *in, char *dst, size_t cap);

/* The message is over: what was held back of a last line without LF, at most ENCODE_ROOM. */
size_t encode_finish(struct encode *e, char *dst);

#endif
