/* SPDX-License-Identifier: ISC */
#include "agenda.h"

#include <stdlib.h>
#include <string.h>

enum { FEW = 16, MANY = 1024 }; /* items that there is room for at first */

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

struct agenda_item *
agenda_find(struct agenda *a, struct str id)
{
	size_t at = position(a, id);

	if (at < a->count && memcmp(a->items[at].id, id.ptr, SPOOL_ID) == 0)
		return &a->items[at];
	return NULL;
}

struct agenda_item *
agenda_add(struct agenda *a, struct str id)
{
	struct agenda_item *item = agenda_find(a, id);
	size_t at = position(a, id);

	if (item)
		return item;
	if (a->count == a->cap) {
		/* In few steps: each leaves a hole, and room that is not used costs nothing. */
		a->cap = a->cap == 0 ? FEW : a->cap == FEW ? MANY : 2 * a->cap;
		a->items = buf_array(a->items, a->cap, sizeof *a->items);
	}
	memmove(&a->items[at + 1], &a->items[at], (a->count - at) * sizeof *a->items);
	a->count++;
	item = &a->items[at];
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
	size_t at = (size_t)(item - a->items);
	memmove(item, item + 1, (a->count - at - 1) * sizeof *item);
	a->count--;
}

void
agenda_free(struct agenda *a)
{
	buf_release(a->items);
	*a = (struct agenda){0};
}

static int64_t
due_of(const struct agenda_item *item)
{
	if (item->active || item->refused)
		return INT64_MAX;
	return item->urgent && !item->busy ? 0 : item->due;
}

bool
agenda_is_due(const struct agenda_item *item, int64_t now)
{
	return due_of(item) <= now;
}

int64_t
agenda_next_due(const struct agenda *a, int64_t now)
{
	int64_t due = INT64_MAX;

	for (size_t n = 0; n < a->count && due > now; n++) {
		int64_t own = due_of(&a->items[n]);
		due = own < due ? own : due;
	}
	return due;
}

size_t
agenda_live(const struct agenda *a)
{
	size_t live = 0;

	for (size_t n = 0; n < a->count; n++)
		live += !a->items[n].refused;
	return live;
}
