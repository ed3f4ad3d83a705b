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
	char id[SPOOL_ID]; /* without a NUL */
	int64_t due;       /* clock_ms */
	uint32_t key;      /* of its destination (route.h); AGENDA_ANY: several, or not known */
	uint16_t busy;     /* times in a row that somebody else had it locked */
	bool urgent : 1;   /* an operator asked: due whatever the journal says */
	bool active : 1;   /* claimed: under way */
	bool alone : 1;    /* an attempt's (attempt.h) */
	bool known : 1;    /* it has been claimed before */
	bool refused : 1;  /* nothing that can be delivered: until it is touched */
	bool dropped : 1;  /* agenda.c's: only its place is left */
};

#define AGENDA_ANY UINT32_MAX

struct agenda {
	struct agenda_item *items;
	size_t count, cap;
	size_t dropped;
};

/* The item of that id, added (due at once, key AGENDA_ANY) where it is new; without delay if it
 * is the last one. Pointers to items are valid until the next add or tidy. */
struct agenda_item *agenda_add(struct agenda *a, struct str id);
struct agenda_item *agenda_find(struct agenda *a, struct str id);
void agenda_drop(struct agenda *a, struct str id);
/* The place of a dropped item stays, never due, until there are many: so a drop moves none. True:
 * others have moved. */
bool agenda_tidy(struct agenda *a);
void agenda_free(struct agenda *a);

/* Whether it could be started now: neither active nor refused, and its time has come, or an
 * operator wants it. */
bool agenda_is_due(const struct agenda_item *item, int64_t now);
/* When that is so by time alone. INT64_MAX: not until something happens. */
int64_t agenda_due(const struct agenda_item *item);
/* When the next one is due; of those that are so now, any one's time. INT64_MAX: none. */
int64_t agenda_next_due(const struct agenda *a, int64_t now);
/* How many are not refused. */
size_t agenda_live(const struct agenda *a);

#endif
