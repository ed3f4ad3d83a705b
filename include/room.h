/* SPDX-License-Identifier: ISC */
/*
 * Bytes put into room of a fixed size, for those who must not allocate. The error is latched:
 * whoever has filled it looks once, at the end, whether all had room.
 */
#ifndef ROOM_H
#define ROOM_H

#include "str.h"

struct room {
	char *ptr;
	size_t len, cap; /* len over cap: something had no room, and nothing more will */
};

void room_add(struct room *r, const void *bytes, size_t len);
void room_str(struct room *r, struct str s);
/* Room for len more bytes, which count as put and which the caller fills; NULL: there is
 * none. */
char *room_take(struct room *r, size_t len);

bool room_fits(const struct room *r); /* all of it had room */
struct str room_view(const struct room *r); /* only where it did */

#endif
