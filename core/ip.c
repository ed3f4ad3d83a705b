/* SPDX-License-Identifier: ISC */
#include "ip.h"

#include <string.h>

/* Four decimal numbers. */
static int
parse_ip4(struct str s, unsigned char bytes[IP4])
{
	for (int i = 0; i < IP4; i++) {
		struct str part = i < IP4 - 1 ? str_cut(&s, '.') : s;
		uint64_t v;
		if (str_number(part, 255, &v) || (part.len > 1 && part.ptr[0] == '0'))
			return -1;
		bytes[i] = (unsigned char)v;
	}
	return 0;
}

static int
parse_group(struct str s, unsigned char bytes[2])
{
	int v = 0;

	if (s.len == 0 || s.len > 4)
		return -1;
	for (size_t i = 0; i < s.len; i++) {
		int digit = str_hex(s.ptr[i]);
		if (digit < 0)
			return -1;
		v = v << 4 | digit;
	}
	bytes[0] = (unsigned char)(v >> 8);
	bytes[1] = (unsigned char)v;
	return 0;
}

/* Groups of 16 bits between colons; dotted: the last two may be a dotted address. Returns the
 * number of bytes, or -1. */
static int
parse_groups(struct str s, bool dotted, unsigned char bytes[IP6])
{
	int n = 0;
	bool more = s.len > 0;

	while (more) {
		more = str_find(s, ':') < s.len;
		struct str part = str_cut(&s, ':');
		if (dotted && !more && n <= IP6 - IP4 && parse_ip4(part, bytes + n) == 0)
			return n + IP4;
		if (n == IP6 || parse_group(part, bytes + n))
			return -1;
		n += 2;
	}
	return n;
}

static int
parse_ip6(struct str s, unsigned char bytes[IP6])
{
	unsigned char tail[IP6];
	size_t gap = 0;

	while (gap < s.len && !str_starts(str_from(s, gap), STR("::")))
		gap++;
	if (gap == s.len)
		return parse_groups(s, true, bytes) == IP6 ? 0 : -1;
	int before = parse_groups(str_upto(s, gap), false, bytes);
	int behind = parse_groups(str_from(s, gap + 2), true, tail);
	if (before < 0 || behind < 0 || before + behind >= IP6)
		return -1;
	memset(bytes + before, 0, (size_t)(IP6 - before));
	memcpy(bytes + IP6 - behind, tail, (size_t)behind);
	return 0;
}

size_t
ip_parse(struct str s, unsigned char bytes[static IP6])
{
	if (parse_ip4(s, bytes) == 0)
		return IP4;
	return parse_ip6(s, bytes) == 0 ? IP6 : 0;
}

/* The form of RFC 5952: the longest run of zeros becomes "::". */
static void
print_ip6(const unsigned char *bytes, struct buf *out)
{
	unsigned group[IP6 / 2], gap = IP6 / 2, gap_len = 1;

	for (unsigned i = IP6 / 2, run = 0; i-- > 0;) {
		group[i] = (unsigned)bytes[2 * i] << 8 | bytes[2 * i + 1];
		run = group[i] == 0 ? run + 1 : 0;
		if (run > 1 && run >= gap_len) {
			gap = i;
			gap_len = run;
		}
	}
	for (unsigned i = 0; i < IP6 / 2; i++) {
		if (i == gap) {
			buf_puts(out, "::");
			i += gap_len - 1;
		} else {
			bool has_colon = i == 0 || i == gap + gap_len;
			buf_print(out, "%s%x", has_colon ? "" : ":", group[i]);
		}
	}
}

void
ip_print(const unsigned char *bytes, size_t len, struct buf *out)
{
	if (len == IP6)
		print_ip6(bytes, out);
	else
		buf_print(out, "%d.%d.%d.%d", bytes[0], bytes[1], bytes[2], bytes[3]);
}
