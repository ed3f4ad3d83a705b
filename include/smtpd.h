/* SPDX-License-Identifier: ISC */
/*
 * The SMTP server side of `sendmail -bs` (RFC 5321, 1870, 2034, 2920, 3461, 6152, 6531) as an
 * engine: client bytes in, server bytes out, no socket, no clock. What it is told is handed to
 * five callbacks, which decide; it answers 250 to a message only after `end` returned 0. As
 * lenient as its callers need (no HELO, no angle brackets, a blank behind the colon, LF for
 * CRLF), but no control character ever gets into an address or a parameter.
 *
 * Any cut of the input gives the same output and the same calls, pieces of `data` apart. The
 * callbacks are called from within the functions below and must call none of them; what they
 * are handed is valid during the call.
 */
#ifndef SMTPD_H
#define SMTPD_H

#include "buf.h"
#include "notify.h"
#include "text.h"

enum {
	SMTPD_LINE = 4096, /* a command with its CR: RFC 5321's 512 and its extensions' */
	SMTPD_ERRORS = 20, /* of protocol, since the last message accepted */
};

/* Of MAIL or RCPT. */
struct smtpd_path {
	struct str address;       /* canonical; MAIL: "" is null */
	uint64_t size;            /* MAIL: SIZE=, or 0 */
	bool eightbit, utf8;      /* MAIL: BODY=8BITMIME, SMTPUTF8 */
	struct notify notify;
};

/* begin, rcpt and end return 0, or a sysexits status and the reason in *why: EX_USAGE 503,
 * EX_DATAERR 554, EX_NOUSER and EX_NOPERM 550, EX_UNAVAILABLE 554, all others 451. */
struct smtpd_config {
	struct str name;        /* ours, in greeting and EHLO */
	uint64_t size_limit;    /* bytes of a message as the spool keeps it; 0: none */
	bool strict;            /* the client is on a socket: only CRLF ends a line */

	/* MAIL. After a 0, exactly one of end and reset follows. */
	int (*begin)(void *ctx, const struct smtpd_path *sender, struct buf *why);
	/* RCPT. Here "all others" are 452 4.5.3, too many recipients: the client sends the
	 * rest as another message. */
	int (*rcpt)(void *ctx, const struct smtpd_path *rcpt, struct buf *why);
	/* A piece of the message, as text.h makes it: LF line ends, dots undone. What goes
	 * wrong here is for end to tell. */
	void (*data)(void *ctx, struct str piece);
	/* The message is whole and has a recipient. 0: it is safe, and *why holds its id. */
	int (*end)(void *ctx, const struct text_facts *facts, struct buf *why);
	/* It will not come: forget it. */
	void (*reset)(void *ctx);
	void *ctx;
};

struct smtpd {
	const struct smtpd_config *config;
	struct buf out;         /* for the client: the caller writes it, sets out.len to 0,
				   and frees it in the end */
	bool done;              /* write out what is left, and hang up */
	bool mail, in_data;     /* begin returned 0; 354 was said */
	bool utf8;              /* of MAIL: addresses may be beyond ASCII */
	char last;              /* byte of a command */
	unsigned errors;
	uint64_t rcpts, size;   /* accepted; bytes of text so far */
	struct text text;
	size_t len;             /* of line; one more than there is room for: too long */
	char line[SMTPD_LINE];  /* a command; room for text while there is none */
};

/* The greeting is in s->out. config and what it points to must outlive s. */
void smtpd_init(struct smtpd *s, const struct smtpd_config *config);

/* Bytes from the client, any number; all are taken, those behind QUIT without effect. s->out
 * grows by no more than a small multiple of them. */
void smtpd_input(struct smtpd *s, struct str bytes);

/* The client is gone, or the caller gives up: nothing that is not acknowledged is kept. */
void smtpd_close(struct smtpd *s);

#endif
