/* SPDX-License-Identifier: ISC */
/*
 * What a sender wants to be told of his mail (RFC 3461): of each recipient by the parameters
 * NOTIFY and ORCPT of RCPT, of the message by RET and ENVID of MAIL. Owns their grammar, in
 * which command line, -bs, spool and relay have them. What this module took holds nothing that
 * could end a command or a header field.
 */
#ifndef NOTIFY_H
#define NOTIFY_H

#include "buf.h"
#include "limit.h"

enum notify_of { NOTIFY_RCPT, NOTIFY_MAIL };

enum {
	NOTIFY_NEVER = 1, /* RCPT: alone, or any of the next three */
	NOTIFY_SUCCESS = 2,
	NOTIFY_FAILURE = 4,
	NOTIFY_DELAY = 8,
	NOTIFY_FULL = 16, /* MAIL: the whole message comes back where it failed, */
	NOTIFY_HDRS = 32, /* or its header */
};

struct notify {
	unsigned asks;    /* for these; 0: nothing was said */
	struct str id;    /* RCPT: ORCPT, "type;xtext". MAIL: ENVID, xtext. "": was not said */
};

/* One parameter. 0; -1: the value is wrong, or there was one before; 1: there is no such key.
 * n->id is a range of value. */
int notify_set(struct notify *n, enum notify_of of, struct str key, struct str value);

/* As they are printed, but without a first blank; *n is {0} before. 0, or -1. */
int notify_parse(struct notify *n, enum notify_of of, struct str text);

/* " NOTIFY=SUCCESS,DELAY ORCPT=rfc822;joe@x", a blank before each; nothing for {0}. */
enum { NOTIFY_TEXT = LIMIT_ORCPT + 48 };
void notify_print(const struct notify *n, enum notify_of of, char text[NOTIFY_TEXT]);

/* Of a recipient: is he asked for? Without a word, that is for failure and delay. */
bool notify_wants(const struct notify *n, unsigned event);
/* Two that are one and the same recipient: what either wants. */
void notify_merge(struct notify *n, const struct notify *other);
/* Somebody else tells of success. */
void notify_drop_success(struct notify *n);

/* Any bytes as xtext (RFC 3461 4), and back for people: what is not printable ASCII is '?'. */
void notify_print_xtext(struct str s, struct buf *out);
void notify_print_plain(struct str xtext, struct buf *out);

#endif
