/* SPDX-License-Identifier: ISC */
/*
 * Any caller's bytes to the text that the spool keeps: CRLF and LF become LF, a lone CR a
 * space, the last line gets its LF; a lone dot (before LF, CRLF or the end) may end the
 * message. Streams: any cut of the input gives the same output. Notes what delivery needs to
 * know of the content. Strict, for a client that is not on this device: only CRLF ends a line,
 * lest a bare LF or CR make two messages of one (SMTP smuggling).
 */
#ifndef TEXT_H
#define TEXT_H

#include "str.h"

struct text_facts {
	bool eightbit;    /* a byte above 127 */
	bool utf8;        /* all of those are UTF-8 (RFC 3629) */
	bool nul;         /* a NUL byte, kept */
	bool long_line;   /* a line over LIMIT_WIRE_LINE, without its LF */
};

struct text {
	struct text_facts facts;
	bool dots;     /* a line "." ends the message, a leading ".." is "." */
	bool ended;    /* by that line */
	bool strict;
	bool bare;     /* strict, and a bare CR or LF is next: no message can come of it */
	unsigned char state;
	/* Within a character: how many bytes are to come, and what the next one may be. */
	unsigned char more, low, high;
	uint64_t line; /* bytes of the line so far */
};

/* dots: sendmail without -i (in DATA of -bs as well). */
void text_init(struct text *t, bool dots);

/* SMTP's DATA from a socket: with dots, strict. */
void text_init_strict(struct text *t);

/* Takes bytes off *in and writes text to dst; returns how many, at most cap. Call again while
 * in->len > 0 and neither ended nor bare; needs cap of at least 4. After the end, and from a
 * bare CR or LF on: takes nothing. */
size_t text_feed(struct text *t, struct str *in, char *dst, size_t cap);

/* The input is over: what was held back and the missing LF; at most 4 bytes. */
size_t text_finish(struct text *t, char *dst);

#endif
