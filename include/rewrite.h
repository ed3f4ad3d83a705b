/* SPDX-License-Identifier: ISC */
/*
 * Which addresses the world sees. One without a domain gets one (qualify). A sender of this
 * device becomes what virtual_users has for him, else what masquerade makes of him; so does
 * every sender where from_override says no. Senders are the envelope's, those in From, and
 * this device's in Sender and Reply-To. Decided once, when a message comes in.
 */
#ifndef REWRITE_H
#define REWRITE_H

#include "alias.h"
#include "conf.h"
#include "header.h"

/* The virtual_users file. */
struct rewrite_users {
	struct addr_set names;
	struct str *addresses; /* in the file's text, by the same index */
	size_t errors;
};

/* "user address" or "user: address" on each line; one whose first mark is '#' is a comment.
 * text must outlive the result. Complains of every line that cannot be used, which has no
 * effect then; of several for a user the first one counts. */
void rewrite_parse_users(struct rewrite_users *users, struct str text,
			 alias_complain *complain, void *ctx);
void rewrite_free_users(struct rewrite_users *users);

struct rewrite {
	const struct conf *conf; /* that conf_finish has seen */
	const struct rewrite_users *users;
};

/* A header_change; ctx is a struct rewrite. Here and below, what would become longer than an
 * address may be stays as it is. */
bool rewrite_address(void *ctx, enum header_role role, struct str address, struct buf *out);

/* Appends the envelope's sender to *out. The null sender stays null; any other has a domain:
 * mailname where headers are not qualified. */
void rewrite_sender(const struct rewrite *r, struct str address, struct buf *out);

#endif
