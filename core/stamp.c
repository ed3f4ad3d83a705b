/* SPDX-License-Identifier: ISC */
#include "stamp.h"

enum { SLACK = 600 }; /* seconds that a wall clock may be corrected by */

int64_t
stamp_between(const struct stamp *a, const struct stamp *b)
{
	int64_t seconds = 0;

	if (a->boot_id && a->boot_id == b->boot_id)
		seconds = (b->boot - a->boot) / 1000;
	else if (a->believable && b->believable)
		seconds = b->wall - a->wall;
	return seconds > 0 ? seconds : 0;
}

bool
stamp_is_steady(const struct stamp *a, const struct stamp *b)
{
	int64_t step = b->wall - a->wall - (b->boot - a->boot) / 1000;

	return (a->boot_id == b->boot_id || !a->boot_id || !b->boot_id) && b->boot >= a->boot &&
	       step > -SLACK && step < SLACK;
}

void
stamp_print(const struct stamp *s, struct buf *out)
{
	buf_print(out, "%lld %lld %016llx %d", (long long)s->wall, (long long)s->boot,
		  (unsigned long long)s->boot_id, s->believable);
}

static int
parse_hex16(struct str s, uint64_t *value)
{
	if (s.len != 16)
		return -1;
	*value = 0;
	for (size_t i = 0; i < s.len; i++) {
		int digit = str_hex(s.ptr[i]);
		if (digit < 0 || str_lower(s.ptr[i]) != s.ptr[i])
			return -1;
		*value = *value << 4 | (unsigned)digit;
	}
	return 0;
}

/* A decimal with an optional minus sign, small enough that differences cannot overflow. */
static int
parse_signed(struct str s, int64_t *value)
{
	uint64_t u;
	bool negative = s.len > 0 && s.ptr[0] == '-';

	if (str_number(str_from(s, negative), INT64_MAX / 4, &u))
		return -1;
	*value = negative ? -(int64_t)u : (int64_t)u;
	return 0;
}

int
stamp_parse(struct str *in, struct stamp *s)
{
	struct str rest = *in;
	struct str wall = str_cut(&rest, ' '), boot = str_cut(&rest, ' ');
	struct str id = str_cut(&rest, ' '), believable = str_cut(&rest, ' ');

	if (parse_signed(wall, &s->wall) || parse_signed(boot, &s->boot) ||
	    parse_hex16(id, &s->boot_id))
		return -1;
	s->believable = str_eq(believable, STR("1"));
	if (!s->believable && !str_eq(believable, STR("0")))
		return -1;
	*in = rest;
	return 0;
}
