/* SPDX-License-Identifier: ISC */
#include "outage.h"
#include "fmt.h"

/* Where this destination is in the list; OUTAGES: nothing is known against it. */
static size_t
find(const struct outage_list *l, const struct route *r)
{
	size_t n = 0;

	while (n < OUTAGES && (l->entries[n].until == 0 || !route_same(&l->entries[n].route, r)))
		n++;
	return n;
}

static struct outage *
oldest(struct outage_list *l)
{
	struct outage *o = l->entries;

	for (size_t n = 1; n < OUTAGES; n++)
		if (l->entries[n].until < o->until)
			o = &l->entries[n];
	return o;
}

void
outage_add(struct outage_list *l, const struct route *r, int64_t now, int64_t min, int64_t max,
	   const struct outcome *why)
{
	size_t n = find(l, r);
	struct outage *o = n < OUTAGES ? &l->entries[n] : oldest(l);
	bool again = n < OUTAGES && o->why.code == why->code;
	int64_t wait = min;

	if (again && outcome_is_login(why)) {
		wait = o->wait + o->wait / 2;
		if (wait > max)
			wait = max;
	}
	*o = (struct outage){.until = now + wait, .wait = wait, .why = *why};
	fmt_print(o->domain, sizeof o->domain, "%.*s", STR_ARG(r->domain));
	o->route = *r;
	o->route.address = (struct str){0};
	o->route.domain = str_of(o->domain);
}

void
outage_end(struct outage_list *l, const struct route *r)
{
	size_t n = find(l, r);

	if (n < OUTAGES)
		l->entries[n].until = 0;
}

const struct outcome *
outage_find(const struct outage_list *l, const struct route *r, int64_t now)
{
	size_t n = find(l, r);

	return n < OUTAGES && l->entries[n].until > now ? &l->entries[n].why : NULL;
}

bool
outage_may_be(const struct outage_list *l, uint32_t key, int64_t now)
{
	for (size_t n = 0; n < OUTAGES; n++)
		if (l->entries[n].until > now && l->entries[n].route.key == key)
			return true;
	return false;
}
