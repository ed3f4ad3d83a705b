/* SPDX-License-Identifier: ISC */
#include "room.h"

#include <string.h>

bool
room_fits(const struct room *r)
{
	return r->len <= r->cap;
}

char *
room_take(struct room *r, size_t len)
{
	char *at = r->ptr + r->len;

	if (!room_fits(r) || len > r->cap - r->len) {
		r->len = r->cap + 1;
		return NULL;
	}
	r->len += len;
	return at;
}

void
room_add(struct room *r, const void *bytes, size_t len)
{
	char *at = room_take(r, len);

	if (at && len > 0)
		memcpy(at, bytes, len);
}

void
room_str(struct room *r, struct str s)
{
	room_add(r, s.ptr, s.len);
}

struct str
room_view(const struct room *r)
{
	return (struct str){r->ptr, r->len};
}
