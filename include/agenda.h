/* SPDX-License-Identifier: ISC */
/*
 * What the runner remembers of each queued message between attempts: its id, when it is due,
 * which destination it is for. Small, since a queue may hold thousands; everything else is
 * read again from the spool. Sorted by id, which is by arrival.
 */
#ifndef AGENDA_H
#define AGENDA_H

#include "spool.h"

struct agenda_item {
	char id[SPOOL_ID + 1];
	bool urgent;      /* an operator asked: due whatever the journal says */
	bool active;      /* claimed: under way */
	bool alone;       /* an attempt's (attempt.h) */
	bool refused;     /* nothing that can be delivered: until it is touched */
	uint16_t busy;    /* times in a row that somebody else had it locked */
	uint32_t key;     /* of its destination (route.h); AGENDA_ANY: several, or not known */
	int64_t due;      /* clock_ms */
};

#define AGENDA_ANY UINT32_MAX

struct agenda {
	struct agenda_item *items;
	size_t count, cap;
};

/* The item of that id, added (due at once, key AGENDA_ANY) where it is new. Pointers to items
 * are valid until the next add or drop. */
struct agenda_item *agenda_add(struct agenda *a, struct str id);
struct agenda_item *agenda_find(struct agenda *a, struct str id);
void agenda_drop(struct agenda *a, struct str id);
void agenda_free(struct agenda *a);

/* The earliest due time of all that are neither active nor refused, an urgent one's is now;
 * INT64_MAX where there is none. */
int64_t agenda_next_due(const struct agenda *a);
/* How many are not refused. */
size_t agenda_live(const struct agenda *a);

#endif
