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
	uint64_t v;

	if (negative)
		*in = str_from(*in, 1);
	if (str_cut_number(in, ' ', INT64_MAX / 4, &v))
		return false;
	*value = negative ? -(int64_t)v : (int64_t)v;
	return true;
}

static bool
is_end(struct str s, size_t at)
{
	return at == s.len || s.ptr[at] == ' ';
}

/* 16 digits, in lower case. */
static bool
take_hex(struct str *in, uint64_t *value)
{
	size_t n = 0;
	uint64_t v = 0;

	if (in->len < 16 || !is_end(*in, 16))
		return false;
	do {
		unsigned digit = (unsigned char)in->ptr[n] - '0';
		if (digit > 9) {
			digit -= 'a' - '0';
			if (digit > 5)
				return false;
			digit += 10;
		}
		v = v << 4 | digit;
	} while (++n < 16);
	*value = v;
	*in = str_from(*in, 17);
	return true;
}

static bool
take_flag(struct str *in, bool *value)
{
	if (in->len == 0 || (in->ptr[0] & ~1) != '0' || !is_end(*in, 1))
		return false;
	*value = in->ptr[0] & 1;
	*in = str_from(*in, 2);
	return true;
}

int
stamp_parse(struct str *in, struct stamp *s)
{
	struct str rest = *in;

	if (!take_signed(&rest, &s->wall) || !take_signed(&rest, &s->boot) ||
	    !take_hex(&rest, &s->boot_id) || !take_flag(&rest, &s->believable))
		return -1;
	*in = rest;
	return 0;
}
