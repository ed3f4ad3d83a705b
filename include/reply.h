/* SPDX-License-Identifier: ISC */
/*
 * One SMTP reply (RFC 5321 4.2) read byte by byte: lines of "250-words", the last one "250
 * words", all with the same code. Strict, for a reply misread is a verdict misplaced: only
 * CRLF ends a line, no NUL, codes are [2-5][0-5][0-9], lines and their number have limits.
 * The words are as the server sent them: outcome.h makes them printable.
 */
#ifndef REPLY_H
#define REPLY_H

#include "limit.h"
#include "str.h"

enum reply_event { REPLY_MORE, REPLY_LINE, REPLY_END };

/* {0} before the first reply; one struct serves for all of a session. */
struct reply {
	unsigned code;
	unsigned lines;            /* complete ones */
	enum reply_event event;    /* of the last byte */
	char line[LIMIT_REPLY_LINE]; /* the newest; the limit counts its CR */
	size_t line_len;
	/* Words of all lines, joined by spaces, NUL-ended; cut where there are more than any
	 * outcome keeps. */
	char text[2 * LIMIT_OUTCOME_TEXT];
	size_t text_len;
};

/* The next byte begins a reply. */
bool reply_is_new(const struct reply *r);

/* Takes one byte. REPLY_LINE: it ends a line that others follow; REPLY_END: the reply. -1
 * with *why ("sent …"): no reply can come of it. */
int reply_take(struct reply *r, char c, const char **why);

/* Of the newest line, without its code. */
struct str reply_words(const struct reply *r);

#endif
