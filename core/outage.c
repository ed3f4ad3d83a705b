/* SPDX-License-Identifier: ISC */
#include "outage.h"
#include "fmt.h"

/* NULL: nothing is known against this destination. */
static struct outage *
find(const struct outage_list *l, const struct route *r)
{
	for (size_t n = 0; n < l->count; n++)
		if (l->entries[n].until && route_same(&l->entries[n].route, r))
			return &l->entries[n];
	return NULL;
}

/* Room for one more: in place of the oldest where the list is full. */
static struct outage *
make_room(struct outage_list *l)
{
	struct outage *o = l->entries;

	/* All at once, for they are pointed to; a page that is not used costs nothing. */
	if (!o)
		o = l->entries = buf_array(NULL, OUTAGES, sizeof *o);
	if (l->count < OUTAGES)
		return &l->entries[l->count++];
	for (size_t n = 1; n < OUTAGES; n++)
		if (l->entries[n].until < o->until)
			o = &l->entries[n];
	return o;
}

void
outage_clear(struct outage_list *l)
{
	buf_release(l->entries);
	*l = (struct outage_list){0};
}

void
outage_add(struct outage_list *l, const struct route *r, int64_t now, int64_t min, int64_t max,
	   const struct outcome *why)
{
	struct outage *o = find(l, r);
	int64_t wait = min;

	if (o && o->why.code == why->code && outcome_is_login(why)) {
		wait = o->wait + o->wait / 2;
		if (wait > max)
			wait = max;
	}
	if (!o)
		o = make_room(l);
	*o = (struct outage){.until = now + wait, .wait = wait, .why = *why};
	fmt_print(o->domain, sizeof o->domain, "%.*s", STR_ARG(r->domain));
	o->route = *r;
	o->route.address = (struct str){0};
	o->route.domain = str_of(o->domain);
}

void
outage_end(struct outage_list *l, const struct route *r)
{
	struct outage *o = find(l, r);

	if (o)
		o->until = 0;
}

const struct outcome *
outage_find(const struct outage_list *l, const struct route *r, int64_t now)
{
	const struct outage *o = find(l, r);

	return o && o->until > now ? &o->why : NULL;
}

struct route
outage_host(struct str address)
{
	return (struct route){.kind = ROUTE_MX, .domain = address};
}

bool
outage_may_be(const struct outage_list *l, uint32_t key, int64_t now)
{
	for (size_t n = 0; n < l->count; n++)
		if (l->entries[n].until > now && l->entries[n].route.key == key)
			return true;
	return false;
}
