/* SPDX-License-Identifier: ISC */
/*
 * Which messages of the queue somebody means: those of some ids, those with a part of an
 * address, or all. They are visited from the oldest to the newest, in memory that does not
 * grow with the queue.
 */
#ifndef CHOICE_H
#define CHOICE_H

#include "spool.h"

struct choice {
	const char *states;             /* without ids: of these, as in "QHC" */
	const char *const *ids;         /* only these; or none: any */
	size_t id_count;
	struct str sender, recipient;   /* a part of the sender's, of a recipient's address,
					   without regard to case; empty: any */
};

/* Calls visit with each message chosen by state and id; it may rename and unlink. Each of the
 * ids given is visited, in their order: state is 0 where there is no such message (any more).
 * 0, or -1 with errno: the directory could not be read. */
int choice_walk(const struct choice *c, struct spool *s,
		void (*visit)(void *ctx, char state, struct str id), void *ctx);

/* Whether what a message says has to be looked at, too: with choice_fits. */
bool choice_is_narrow(const struct choice *c);
bool choice_fits(const struct choice *c, const struct envelope *e, const struct journal *j);

/* Recipients count only while somebody waits: r is pending, or has failed and its sender does
 * not know. */
bool choice_is_open(const struct journal *j, const struct journal_rcpt *r);

#endif
