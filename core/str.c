/* SPDX-License-Identifier: ISC */
#include "str.h"

#include <string.h>

struct str
str_of(const char *z)
{
	return (struct str){z, z ? strlen(z) : 0};
}

char
str_lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

int
str_hex(char c)
{
	c = str_lower(c);
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool
str_is_blank(char c)
{
	return c == ' ' || c == '\t';
}

bool
str_is_control(char c)
{
	return (unsigned char)c < ' ' || c == 0x7f;
}

bool
str_eq(struct str a, struct str b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

bool
str_ieq(struct str a, struct str b)
{
	return a.len == b.len && str_istarts(a, b);
}

/* The cases of a letter differ in one bit. Names are looked for in tables by this: it is smaller
 * as well where no call is made of it. */
__attribute__((always_inline)) static inline bool
is_same(char a, char b)
{
	int differ = a ^ b, lower = a | ('a' - 'A');

	return differ == 0 || (differ == 'a' - 'A' && lower >= 'a' && lower <= 'z');
}

bool
str_is(struct str s, const char *z)
{
	size_t n = 0;

	if (!z)
		return false;
	/* In tables of names most differ in the first letter: no look for an end before that. */
	while (n < s.len && z[n] && is_same(s.ptr[n], z[n]))
		n++;
	return n == s.len && z[n] == '\0';
}

bool
str_starts(struct str s, struct str prefix)
{
	return s.len >= prefix.len && str_eq(str_upto(s, prefix.len), prefix);
}

bool
str_istarts(struct str s, struct str prefix)
{
	if (s.len < prefix.len)
		return false;
	for (size_t i = 0; i < prefix.len; i++)
		if (!is_same(s.ptr[i], prefix.ptr[i]))
			return false;
	return true;
}

size_t
str_find(struct str s, char c)
{
	const char *p = s.len ? memchr(s.ptr, c, s.len) : NULL;

	return p ? (size_t)(p - s.ptr) : s.len;
}

struct str
str_from(struct str s, size_t start)
{
	if (start > s.len)
		start = s.len;
	return (struct str){s.ptr ? s.ptr + start : NULL, s.len - start};
}

struct str
str_upto(struct str s, size_t len)
{
	return (struct str){s.ptr, len < s.len ? len : s.len};
}

struct str
str_cut(struct str *s, char c)
{
	size_t at = 0;

	/* Words are short: a call costs more than to look. */
	while (at < s->len && s->ptr[at] != c)
		at++;
	struct str before = {s->ptr, at};

	*s = str_from(*s, at + 1);
	return before;
}

static bool
is_space(char c)
{
	return str_is_blank(c) || c == '\r' || c == '\n';
}

struct str
str_trim(struct str s)
{
	while (s.len && is_space(s.ptr[0]))
		s = str_from(s, 1);
	while (s.len && is_space(s.ptr[s.len - 1]))
		s.len--;
	return s;
}

int
str_number(struct str s, uint64_t max, uint64_t *value)
{
	uint64_t v = 0;

	if (s.len == 0)
		return -1;
	for (size_t i = 0; i < s.len; i++) {
		unsigned digit = (unsigned char)s.ptr[i] - '0';
		if (digit > 9 || v > UINT64_MAX / 10 || v * 10 > UINT64_MAX - digit)
			return -1;
		v = v * 10 + digit;
	}
	if (v > max)
		return -1;
	*value = v;
	return 0;
}

bool
str_is_ascii(struct str s)
{
	for (size_t i = 0; i < s.len; i++)
		if (s.ptr[i] & 0x80)
			return false;
	return true;
}

size_t
str_printable(struct str s)
{
	unsigned char c = (unsigned char)s.ptr[0];
	size_t n = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : 2;
	unsigned char low = c == 0xc2 || c == 0xe0 ? 0xa0 : c == 0xf0 ? 0x90 : 0x80;
	unsigned char high = c == 0xed ? 0x9f : c == 0xf4 ? 0x8f : 0xbf;

	if (c < 0x80)
		return !str_is_control(s.ptr[0]);
	if (c < 0xc2 || c > 0xf4 || s.len < n)
		return 0;
	for (size_t i = 1; i < n; i++, low = 0x80, high = 0xbf)
		if ((unsigned char)s.ptr[i] < low || (unsigned char)s.ptr[i] > high)
			return 0;
	return n;
}

size_t
str_printables(struct str s)
{
	size_t at = 0, n = 1;

	for (; at < s.len && n > 0; at += n) {
		n = 1;
		if (s.ptr[at] < ' ' || s.ptr[at] > '~')
			n = str_printable(str_from(s, at));
	}
	return at;
}
