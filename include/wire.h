/* SPDX-License-Identifier: ISC */
/*
 * Message text (LF, or CRLF) to SMTP data (RFC 5321 2.3.8, 4.5.2): CRLF line ends, NUL and a
 * lone CR as spaces, lines over LIMIT_WIRE_LINE folded with CRLF and a space, not within a
 * character of UTF-8. Nothing but CRLF ends a line in what comes out. For DATA, where a dot
 * ends the message, dots are doubled: "CRLF . CRLF" is never in it.
 * Streams: any cut of input or output gives the same bytes.
 */
#ifndef WIRE_H
#define WIRE_H

#include "str.h"

struct wire {
	bool dots;          /* are doubled */
	size_t column;      /* bytes of the output line so far, doubled dot not counted */
	bool cr;            /* a CR came; the next byte says whether it stands alone */
	char held[3];       /* of the line: the beginning of a character at the limit, which may
			       go to the next line */
	char pending[8];    /* made, not yet handed out */
	unsigned held_len, pending_len;
};

void wire_init(struct wire *w, bool dots);

/* Takes bytes off *in and writes at most cap to dst; returns how many. Goes on until *in is
 * empty or dst is full. */
size_t wire_feed(struct wire *w, struct str *in, char *dst, size_t cap);

/* The message is over: CRLF where the last line has none; cap of at least 20. Returns how many
 * bytes. The final dot is not this module's. */
size_t wire_finish(struct wire *w, char *dst);

#endif
