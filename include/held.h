/* SPDX-License-Identifier: ISC */
/*
 * Mail that nobody takes, and of which nobody can be told: the runner holds it as H<id>, with
 * "held" as its journal's last line. Owns how much of that there may be: LIMIT_HELD, then the
 * oldest is removed, and logged. What an operator holds has no such line, and is never touched.
 */
#ifndef HELD_H
#define HELD_H

#include "spool.h"

struct held {
	char ids[LIMIT_HELD][SPOOL_ID]; /* ascending; some may have left since */
	size_t count;
	bool known;                     /* the directory has been looked through */
};

/* H<id> has just been held. */
void held_add(struct held *h, struct spool *s, struct str id);

#endif
