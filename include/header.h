/* SPDX-License-Identifier: ISC */
/*
 * One streaming pass over a message's header (RFC 5322, as text.h gives it: LF line ends):
 * recipients for -t, addresses that change, fields that must go (Bcc, Resent-Bcc,
 * Return-Path, Content-Length, and before the first field a byte order mark and "From " and
 * ">From " lines), what is missing. Ends at the empty line, or before the first line that
 * cannot belong to a header: then that line starts the body, and nothing of it is lost; nor is
 * a mark or From_ line that no field follows. Any cut of the input gives the same result.
 */
#ifndef HEADER_H
#define HEADER_H

#include "addr.h"

struct header_facts {
	bool present;    /* there is at least one field */
	bool date, message_id, from, to, cc, mime;
	bool type;       /* Content-Type */
	bool eightbit;   /* Content-Transfer-Encoding: 8bit */
	bool opaque;     /* the body is no text, has parts, or is encoded (RFC 2045) */
};

enum header_status {
	HEADER_MORE,    /* give more */
	HEADER_DONE,    /* what is left of the input is body */
	HEADER_TOO_BIG, /* over LIMIT_HEADER; changed addresses count as well */
};

/* What an address stands for in its field, a Resent- one included. */
enum header_role {
	HEADER_FROM,   /* From */
	HEADER_SENDER, /* Sender, Reply-To */
	HEADER_RCPT,   /* To, Cc */
};

/* addr_change with the address's role. */
typedef bool header_change(void *ctx, enum header_role role, struct str address,
			   struct buf *out);

struct header {
	bool take_recipients;
	header_change *change;      /* to be set, with ctx, behind header_init; NULL: none.
				       Recipients are taken as they were written */
	void *ctx;
	struct header_facts facts;
	struct buf fields;          /* the fields that stay, each with its LF, folding kept; no
				       empty line behind them */
	struct addr_set recipients; /* of To, Cc, Bcc, or where there are Resent- fields of the
				       newest (first) Resent- block instead; filled by the end */
	unsigned hops;              /* Received fields */
	size_t bad;                 /* addresses of those fields that could not be read */
	struct buf complaint;       /* the first of them, in words: field, text, why */
	struct buf line;            /* at the end: bytes of the body */
	bool changed;               /* there is an address in fields that was not in the input */
	/* The rest is header.c's own. */
	size_t line_start;          /* of the line at hand in line, behind From_ lines
				       and mark */
	size_t field_start;         /* of the field at hand in fields */
	size_t taken;               /* bytes so far, in and by change */
	unsigned resent_seen;       /* names in the newest Resent- block */
	bool resent, resent_older;
	unsigned char name, state;
};

/* take_recipients: -t. */
void header_init(struct header *h, bool take_recipients);
void header_free(struct header *h);

/* Takes bytes off *in. HEADER_DONE: *in begins with the body's first byte where the header
 * ended with an empty line (which is dropped). Where a line ended it that is no field, what
 * header.c had already taken of the body is in h->line and goes before *in. */
enum header_status header_feed(struct header *h, struct str *in);

/* The input is over within the header. What is in h->line afterwards is body. */
enum header_status header_finish(struct header *h);

#endif
