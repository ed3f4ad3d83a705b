/* SPDX-License-Identifier: ISC */
/*
 * Recipient to transport: which recipients are this device's own, and which server takes the
 * others. Pure: whether a local user exists is delivery's to find out.
 */
#ifndef ROUTE_H
#define ROUTE_H

#include "conf.h"
#include "outcome.h"

enum route_kind { ROUTE_LOCAL, ROUTE_SMARTHOST, ROUTE_MX };

struct route {
	enum route_kind kind;
	struct str user;    /* LOCAL: the address; its local part names the mailbox */
	struct str domain;  /* MX: where to */
	uint32_t key;       /* equal for recipients that one connection serves */
};

struct route route_find(const struct conf *c, struct str address);

/* The mailbox's path: mailbox with %u replaced by the user (quotes removed, lower case).
 * 0, or -1 where the name cannot be part of a path ('/', NUL, "." or ".."). */
int route_mailbox(const struct conf *c, struct str address, struct buf *path);

#endif
