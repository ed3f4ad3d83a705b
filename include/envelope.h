/* SPDX-License-Identifier: ISC */
/*
 * Sender, recipients and facts of one message, and their text form at the head of its spool
 * file (DESIGN 3). The first line has a fixed width, so that what is known only at the
 * message's end can be put in its place: version, offset and length of the message, and of its
 * text whether it has 8-bit bytes, is UTF-8, has NULs, and lines that SMTP has no room for
 * (8, u, n, l). "header" names what is there of that which delivery asks for; without a header
 * there is no such line:
 *
 *	mtabox 2 00000341 000000012345 8u--
 *	header date from to mime type
 *	arrived 1795341234 86400123 5f3a9c0d11e2b3a4 1
 *	submitter 1000
 *	name Alice Liddell
 *	sender alice@router.example
 *	dsn RET=HDRS ENVID=q+2B1
 *	rcpt root
 *	rcpt bob@mail.example
 *	dsn NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;bob@mail.example
 *	alias robot
 *	(empty line, then the message at that offset, then the journal)
 *
 * "rcpt" is somebody for whom the aliases file has nothing more to say, "alias" a local name
 * to be expanded by it at delivery (alias.h). "name" stands only where -F gave one; "sender"
 * alone is the null sender. "dsn" is what the sender wants to be told (notify.h), and belongs
 * to the line before it. Everything a file says is checked: it may have been damaged or
 * written by somebody else. Version 1, which is read as well, began with
 *
 *	mtabox 1 message 0000000412 00000000000012345
 *	text 8bit=0 utf8=1 nul=0 longest=00000000000000078
 *	header present=1 date=1 message-id=0 from=1 to=1 cc=0 mime=1 type=1 8bit=0 opaque=0
 */
#ifndef ENVELOPE_H
#define ENVELOPE_H

#include "addr.h"
#include "header.h"
#include "notify.h"
#include "stamp.h"
#include "text.h"

enum {
	ENVELOPE_FIXED = 36, /* bytes of the line of fixed width */
	ENVELOPE_FIRST = 46, /* of the first line of any version: no file of ours is shorter */
};

struct envelope_rcpt {
	struct str address;
	bool alias;              /* to be expanded by the aliases file; no domain */
	struct notify notify;
};

struct envelope {
	uint64_t offset, length; /* of the message in the file */
	bool binds;              /* its journal's lines to its id: since version 2 */
	struct text_facts text;
	struct header_facts header;
	struct stamp arrived;
	uint32_t uid;            /* who called sendmail */
	struct str name;         /* full name for an added From, may be empty */
	struct str sender;       /* "" is the null sender */
	struct notify notify;    /* of the message */
	const struct envelope_rcpt *rcpts; /* at least one */
	size_t rcpt_count;
};

/* The text form, into an empty *out: its head, then each recipient, then its end with the
 * empty line, which sets e->offset. e->rcpts are not looked at: whoever has thousands has them
 * in his own way. The first line is to be overwritten when length and text facts are known. Control
 * characters in the name become blanks. A text over LIMIT_ENVELOPE is not one that
 * envelope_parse takes: the caller looks. */
void envelope_print_head(const struct envelope *e, struct buf *out);
void envelope_print_rcpt(const struct envelope_rcpt *r, struct buf *out);
void envelope_print_end(struct envelope *e, struct buf *out);

/* The first line again, for offset 0 of the file: ENVELOPE_FIXED bytes, or more where a number
 * has more digits than there is room for. */
void envelope_print_fixed(const struct envelope *e, struct buf *out);

/* Offset and length from the first line alone: how much to read for envelope_parse. 0, or -1:
 * not an envelope of ours. head holds the first line at least. */
int envelope_parse_fixed(struct str head, uint64_t *offset, uint64_t *length);

/* The whole text. Fills *e with ranges of text, which must outlive it; e->rcpts is allocated:
 * envelope_free. 0, or -1 with *why in words. */
int envelope_parse(struct str text, struct envelope *e, const char **why);
void envelope_free(struct envelope *e);

/* True for an address just as addr_parse prints it: no other may stand in a spool file. */
bool envelope_is_address(struct str s);

#endif
