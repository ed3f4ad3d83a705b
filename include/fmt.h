/* SPDX-License-Identifier: ISC */
/*
 * Text from values: a printf without floating point, locale, allocation or stdio, so that a
 * static binary carries 1 kB for it and not 10. Understands %s %.*s %c %d %u %x %X %%
 * with the flags 0 and -, a width, and the lengths l, ll, z, j. Any other conversion is
 * copied as it stands.
 */
#ifndef FMT_H
#define FMT_H

#include <stdarg.h>
#include <stddef.h>

/* Writes at most cap bytes including a final NUL (cap 0: nothing); returns the length that
 * the whole text has without its NUL, as snprintf does. */
size_t fmt_print(char *dst, size_t cap, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
size_t fmt_vprint(char *dst, size_t cap, const char *fmt, va_list ap)
	__attribute__((format(printf, 3, 0)));

#endif
