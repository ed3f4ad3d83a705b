/* SPDX-License-Identifier: ISC */
#include "agenda.h"

#include <stdlib.h>
#include <string.h>

enum {
	FEW = 16, MANY = 1024, /* items that there is room for at first */
	DROPPED = 512,         /* places of others, before they are used again */
};

/* Index of the first item whose id is not before id. */
static size_t
position(const struct agenda *a, struct str id)
{
	size_t low = 0, high = a->count;

	while (low < high) {
		size_t mid = low + (high - low) / 2;
		if (memcmp(a->items[mid].id, id.ptr, SPOOL_ID) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static struct agenda_item *
insert(struct agenda *a, size_t at)
{
	if (a->count == a->cap) {
		/* In few steps: each leaves a hole, and room that is not used costs nothing. */
		a->cap = a->cap == 0 ? FEW : a->cap == FEW ? MANY : 2 * a->cap;
		a->items = buf_array(a->items, a->cap, sizeof *a->items);
	}
	memmove(&a->items[at + 1], &a->items[at], (a->count++ - at) * sizeof *a->items);
	return &a->items[at];
}

/* Dropped ones too. */
static struct agenda_item *
find(struct agenda *a, size_t at, struct str id)
{
	bool is = at < a->count && memcmp(a->items[at].id, id.ptr, SPOOL_ID) == 0;

	return is ? &a->items[at] : NULL;
}

struct agenda_item *
agenda_find(struct agenda *a, struct str id)
{
	struct agenda_item *item = find(a, position(a, id), id);

	return item && !item->dropped ? item : NULL;
}

struct agenda_item *
agenda_add(struct agenda *a, struct str id)
{
	size_t at = position(a, id);
	struct agenda_item *item = find(a, at, id);

	if (item && !item->dropped)
		return item;
	if (item)
		a->dropped--;
	else
		item = insert(a, at);
	*item = (struct agenda_item){.key = AGENDA_ANY};
	memcpy(item->id, id.ptr, SPOOL_ID);
	return item;
}

void
agenda_drop(struct agenda *a, struct str id)
{
	struct agenda_item *item = agenda_find(a, id);

	if (!item)
		return;
	item->busy = 0;
	item->dropped = true;
	a->dropped++;
}

bool
agenda_tidy(struct agenda *a)
{
	size_t kept = 0;

	if (a->dropped < DROPPED && a->dropped < a->count)
		return false;
	for (size_t n = 0; n < a->count; n++)
		if (!a->items[n].dropped)
			a->items[kept++] = a->items[n];
	a->count = kept;
	a->dropped = 0;
	return true;
}

void
agenda_free(struct agenda *a)
{
	buf_release(a->items);
	*a = (struct agenda){0};
}

int64_t
agenda_due(const struct agenda_item *item)
{
	if (item->active || item->refused || item->dropped)
		return INT64_MAX;
	return item->urgent && !item->busy ? 0 : item->due;
}

bool
agenda_is_due(const struct agenda_item *item, int64_t now)
{
	return agenda_due(item) <= now;
}

int64_t
agenda_next_due(const struct agenda *a, int64_t now)
{
	int64_t due = INT64_MAX;

	for (size_t n = 0; n < a->count && due > now; n++) {
		int64_t own = agenda_due(&a->items[n]);
		due = own < due ? own : due;
	}
	return due;
}

size_t
agenda_live(const struct agenda *a)
{
	size_t live = 0;

	for (size_t n = 0; n < a->count; n++)
		live += !a->items[n].refused && !a->items[n].dropped;
	return live;
}
