/* SPDX-License-Identifier: ISC */
/*
 * Borrowed byte ranges: a pointer and a length, never modified, never owned, not ended by a
 * NUL. All input is seen through them. ASCII rules, no locale.
 */
#ifndef STR_H
#define STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct str {
	const char *ptr;
	size_t len;
};

#define STR(literal) ((struct str){literal, sizeof(literal) - 1})
/* For "%.*s". */
#define STR_ARG(s) (int)(s).len, (s).ptr

struct str str_of(const char *z);  /* z up to its NUL; NULL gives an empty range */
bool str_eq(struct str a, struct str b);
bool str_same(struct str s, const char *z); /* z up to its NUL */
bool str_ieq(struct str a, struct str b); /* ASCII letters without regard to case */
bool str_is(struct str s, const char *z);  /* the same for z up to its NUL; NULL is nobody */
bool str_starts(struct str s, struct str prefix);
bool str_istarts(struct str s, struct str prefix);

/* Index of the first c, or s.len. */
size_t str_find(struct str s, char c);

/* Takes what stands before the first c off *s and returns it; *s becomes what follows that
 * c, or empty. */
struct str str_cut(struct str *s, char c);

/* All from start (at most len) on. In place: a call takes as many bytes, and longer. */
__attribute__((always_inline)) static inline struct str
str_from(struct str s, size_t start)
{
	if (start > s.len)
		start = s.len;
	return (struct str){s.ptr ? s.ptr + start : NULL, s.len - start};
}

struct str str_upto(struct str s, size_t len);   /* the first len (at most all) bytes */
struct str str_trim(struct str s);               /* without blanks (space, tab, CR, LF) at both ends */

/* A whole range of decimal digits as a number. 0, or -1 for an empty range, another
 * character, or a value above max. */
int str_number(struct str s, uint64_t max, uint64_t *value);
/* The same for what str_cut takes off *s, which stays where that is no such number. */
int str_cut_number(struct str *s, char c, uint64_t max, uint64_t *value);

char str_lower(char c);
int str_hex(char c);         /* the value of a hexadecimal digit of either case, or -1 */
bool str_is_blank(char c);   /* space or tab */
bool str_is_control(char c); /* below space, or DEL */
bool str_is_ascii(struct str s); /* no byte above 127 */
/* Length of all printable ASCII, space included, that s begins with. */
size_t str_plain(struct str s);
/* Length of the character that s, not empty, begins with: one of ASCII, or of UTF-8 (RFC 3629).
 * 0: neither, or a control character of ASCII or ISO 6429. */
size_t str_printable(struct str s);
/* Length of all such characters that it begins with. */
size_t str_printables(struct str s);

#endif
