/* SPDX-License-Identifier: ISC */
/*
 * Destinations that could not be used a moment ago: their mail waits without an attempt for
 * each message. One that refuses our login is left alone for longer each time, for it may lock
 * us out. A bounded list; the oldest makes room. Known by kind, servers and domain, since a
 * hash is anybody's to match. Hosts, which many domains may share, are kept in a list of their
 * own.
 */
#ifndef OUTAGE_H
#define OUTAGE_H

#include "outcome.h"
#include "route.h"

enum { OUTAGES = 32 };

struct outage {
	struct route route;
	char domain[256]; /* of route */
	int64_t until;    /* clock_ms; 0: it works */
	int64_t wait;     /* ms, of the last time */
	struct outcome why;
};

/* {0} is an empty list. */
struct outage_list {
	struct outage *entries; /* NULL before the first */
	size_t count;
};

/* All of them work, as far as is known. */
void outage_clear(struct outage_list *l);

/* now: clock_ms(), here and below. It is over after min ms; where our login is refused again
 * after half as long again as the last time, and at most max. */
void outage_add(struct outage_list *l, const struct route *r, int64_t now, int64_t min,
		int64_t max, const struct outcome *why);

/* It works. */
void outage_end(struct outage_list *l, const struct route *r);

/* Why this destination cannot be used now, or NULL. */
const struct outcome *outage_find(const struct outage_list *l, const struct route *r,
				  int64_t now);

/* The same by key alone, where a wrong guess only costs a look. */
bool outage_may_be(const struct outage_list *l, uint32_t key, int64_t now);

/* What stands for a host in a list of hosts; address: "[192.0.2.1]:25". */
struct route outage_host(struct str address);

#endif
