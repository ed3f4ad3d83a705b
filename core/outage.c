/* SPDX-License-Identifier: ISC */
#include "outage.h"
#include "fmt.h"

void
outage_add(struct outage_list *l, const struct route *r, int64_t until,
	   const struct outcome *why)
{
	struct outage *o = l->entries;

	for (size_t n = 1; n < OUTAGES; n++)
		if (l->entries[n].until < o->until)
			o = &l->entries[n];
	*o = (struct outage){.until = until, .why = *why};
	fmt_print(o->domain, sizeof o->domain, "%.*s", STR_ARG(r->domain));
	o->route = *r;
	o->route.address = (struct str){0};
	o->route.domain = str_of(o->domain);
}

const struct outcome *
outage_find(const struct outage_list *l, const struct route *r, int64_t now)
{
	for (size_t n = 0; n < OUTAGES; n++)
		if (l->entries[n].until > now && route_same(&l->entries[n].route, r))
			return &l->entries[n].why;
	return NULL;
}

bool
outage_may_be(const struct outage_list *l, uint32_t key, int64_t now)
{
	for (size_t n = 0; n < OUTAGES; n++)
		if (l->entries[n].until > now && l->entries[n].route.key == key)
			return true;
	return false;
}
