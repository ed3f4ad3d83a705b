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

/* Takes a number and the blank behind it. So small a decimal that differences cannot overflow. */
static bool
take_signed(struct str *in, int64_t *value)
{
	bool negative = in->len > 0 && in->ptr[0] == '-';
	size_t start = negative, n = start;
	int64_t v = 0;

	for (; n < in->len && in->ptr[n] != ' '; n++) {
		unsigned digit = (unsigned char)in->ptr[n] - '0';
		if (digit > 9 || v > INT64_MAX / 40)
			return false;
		v = v * 10 + digit;
	}
	*value = negative ? -v : v;
	*in = str_from(*in, n + 1);
	return n > start && v <= INT64_MAX / 4;
}

/* 16 digits, in lower case. */
static bool
take_hex(struct str *in, uint64_t *value)
{
	size_t n = 0;

	*value = 0;
	for (; n < in->len && in->ptr[n] != ' '; n++) {
		unsigned digit = (unsigned char)in->ptr[n] - '0';
		unsigned letter = (unsigned char)in->ptr[n] - 'a';
		if (digit > 9 && letter > 5)
			return false;
		*value = *value << 4 | (digit > 9 ? letter + 10 : digit);
	}
	*in = str_from(*in, n + 1);
	return n == 16;
}

int
stamp_parse(struct str *in, struct stamp *s)
{
	struct str rest = *in;

	if (!take_signed(&rest, &s->wall) || !take_signed(&rest, &s->boot) ||
	    !take_hex(&rest, &s->boot_id))
		return -1;
	struct str believable = str_cut(&rest, ' ');
	s->believable = str_eq(believable, STR("1"));
	if (!s->believable && !str_eq(believable, STR("0")))
		return -1;
	*in = rest;
	return 0;
}
