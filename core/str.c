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
str_same(struct str s, const char *z)
{
	size_t n = 0;

	/* In tables of words most differ in the first letter: no look for an end before that. */
	while (n < s.len && z[n] && s.ptr[n] == z[n])
		n++;
	return n == s.len && z[n] == '\0';
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
	while (n < s.len && z[n] && is_same(s.ptr[n], z[n]))
		n++;
	return n == s.len && z[n] == '\0';
}

bool
str_starts(struct str s, struct str prefix)
{
	size_t n = 0;

	if (s.len < prefix.len)
		return false;
	/* Mostly it does not, from the first letter on. */
	while (n < prefix.len && s.ptr[n] == prefix.ptr[n])
		n++;
	return n == prefix.len;
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
str_upto(struct str s, size_t len)
{
	return (struct str){s.ptr, len < s.len ? len : s.len};
}

struct str
str_cut(struct str *s, char c)
{
	struct str in = *s;
	size_t at = 0;

	/* Words are short: a call costs more than to look. */
	while (at < in.len && in.ptr[at] != c)
		at++;
	*s = str_from(in, at + 1);
	return (struct str){in.ptr, at};
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
	/* Behind a number there is no digit: nothing may be there. */
	return str_cut_number(&s, '0', max, value);
}

int
str_cut_number(struct str *s, char c, uint64_t max, uint64_t *value)
{
	const uint64_t most = UINT64_MAX / 10;
	struct str in = *s;
	uint64_t v = 0;
	size_t n = 0, digit;

	/* What has a fixed width begins with many. */
	while (n < in.len && in.ptr[n] == '0')
		n++;
	for (; n < in.len && (digit = (unsigned char)in.ptr[n] - (size_t)'0') <= 9; n++) {
		if (v >= most && (v > most || digit > UINT64_MAX % 10))
			return -1;
		v = v * 10 + digit;
	}
	if (n == 0 || v > max || (n < in.len && in.ptr[n++] != c))
		return -1;
	*value = v;
	*s = (struct str){in.ptr + n, in.len - n};
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
str_plain(struct str s)
{
	const size_t each = SIZE_MAX / 255; /* 1 in each byte */
	size_t at = 0, word;

	for (; s.len - at >= sizeof word; at += sizeof word) {
		memcpy(&word, s.ptr + at, sizeof word);
		/* The highest bit is there in what is above 127, one below it, and below space;
		 * in the lowest such byte, whatever that carries to others. */
		if ((word | (word + each) | (word - ' ' * each)) & 128 * each)
			break;
	}
	while (at < s.len && s.ptr[at] >= ' ' && s.ptr[at] <= '~')
		at++;
	return at;
}

size_t
str_printables(struct str s)
{
	size_t at = 0, n = 1;

	for (; at < s.len && n > 0; at += n) {
		at += str_plain(str_from(s, at));
		n = at < s.len ? str_printable(str_from(s, at)) : 0;
	}
	return at;
}
