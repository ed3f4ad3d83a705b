/* SPDX-License-Identifier: ISC */
/*
 * Recipient to transport: which recipients are this device's own, and which servers take the
 * others, by their domain or by who sends. Pure: whether a local user exists is delivery's to
 * find out. The configuration is one that conf_finish has seen.
 */
#ifndef ROUTE_H
#define ROUTE_H

#include "conf.h"

enum route_kind { ROUTE_LOCAL, ROUTE_SMARTHOST, ROUTE_MX };

/* Whose keys are where; UINT32_MAX is nobody's. */
enum {
	ROUTE_SMARTHOST_KEY, /* and the set of servers on top */
	ROUTE_FIRST_KEY = ROUTE_SMARTHOST_KEY + (1 << LIMIT_SMARTHOSTS), /* domains */
};
#define ROUTE_LOCAL_KEY 0x80000000u /* local recipients, from here on */

struct route {
	enum route_kind kind;
	struct str address; /* whom it goes to: the recipient, or adminaddr instead of a local
			       one. LOCAL: its local part names the mailbox */
	struct str domain;  /* MX: where to; LOCAL: whose mailbox, his name; else empty */
	unsigned servers;   /* SMARTHOST: bit i for smarthost i, to be tried in order. 0: none
			       takes mail of this sender. LOCAL: the caller's, whose mailboxes
			       may be of several kinds */
	uint32_t key;       /* equal for recipients that one connection serves, or one local
			       worker at a time. Two domains may share one by chance or by
			       intent: route_same tells before mail of one goes where mail of
			       the other goes */
};

/* sender: of the envelope; address: the recipient; canonical (addr.h). address and c must
 * outlive the result. The smarthosts are those whose from= matches the sender; if none does,
 * those without from=. */
struct route route_find(const struct conf *c, struct str sender, struct str address);

/* To this local recipient, whatever his domain. */
struct route route_local(struct str address);

/* True where one connection serves both, or both are one mailbox. */
bool route_same(const struct route *a, const struct route *b);

/* The address as a server or Delivered-To is told it: the device's own name stands in for a
 * missing domain, and for localhost towards a server. */
void route_print_address(const struct conf *c, const struct route *r, struct buf *out);

#endif
