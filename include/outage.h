/* SPDX-License-Identifier: ISC */
/*
 * Destinations that could not be used a moment ago: their mail waits without an attempt for
 * each message. A bounded list; the oldest makes room. Known by kind, servers and domain, since
 * a hash is anybody's to match.
 */
#ifndef OUTAGE_H
#define OUTAGE_H

#include "outcome.h"
#include "route.h"

enum { OUTAGES = 32 };

struct outage {
	struct route route;
	char domain[256]; /* of route */
	int64_t until;    /* clock_ms */
	struct outcome why;
};

/* {0} is an empty list. */
struct outage_list {
	struct outage entries[OUTAGES];
};

/* until: clock_ms() terms; now: the same clock. */
void outage_add(struct outage_list *l, const struct route *r, int64_t until,
		const struct outcome *why);

/* Why this destination cannot be used now, or NULL. */
const struct outcome *outage_find(const struct outage_list *l, const struct route *r,
				  int64_t now);

/* The same by key alone, where a wrong guess only costs a look. */
bool outage_may_be(const struct outage_list *l, uint32_t key, int64_t now);

#endif
