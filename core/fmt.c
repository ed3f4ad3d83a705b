/* SPDX-License-Identifier: ISC */
#include "fmt.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

struct sink {
	char *dst;
	size_t cap, len;
};

struct spec {
	bool left, zero, has_precision;
	size_t width, precision;
};

static void
put(struct sink *s, char c, size_t times)
{
	for (; times > 0; times--, s->len++)
		if (s->len + 1 < s->cap)
			s->dst[s->len] = c;
}

static void
put_text(struct sink *s, const struct spec *sp, const char *text, size_t len)
{
	size_t pad = sp->width > len ? sp->width - len : 0;

	if (!sp->left)
		put(s, ' ', pad);
	for (size_t i = 0; i < len; i++)
		put(s, text[i], 1);
	if (sp->left)
		put(s, ' ', pad);
}

static void
put_number(struct sink *s, const struct spec *sp, uint64_t value, bool negative, unsigned base,
	   const char *digits)
{
	char tmp[24], *p = tmp + sizeof tmp;
	struct spec rest = *sp;

	do {
		*--p = digits[value % base];
		value /= base;
	} while (value);
	size_t len = (size_t)(tmp + sizeof tmp - p);
	if (negative && sp->zero && !sp->left) {
		put(s, '-', 1);
		rest.width -= rest.width > 0;
	} else if (negative) {
		*--p = '-';
		len++;
	}
	if (sp->zero && !sp->left) {
		put(s, '0', rest.width > len ? rest.width - len : 0);
		rest.width = 0;
	}
	put_text(s, &rest, p, len);
}

size_t
fmt_vprint(char *dst, size_t cap, const char *fmt, va_list ap)
{
	struct sink s = {dst, cap, 0};

	while (*fmt) {
		if (*fmt != '%') {
			put(&s, *fmt++, 1);
			continue;
		}
		const char *start = fmt++;
		struct spec sp = {0};
		unsigned longs = 0;
		bool is_negative = false;
		uint64_t u;

		for (; *fmt == '-' || *fmt == '0'; fmt++)
			*(*fmt == '-' ? &sp.left : &sp.zero) = true;
		for (; *fmt >= '0' && *fmt <= '9'; fmt++)
			sp.width = sp.width * 10 + (size_t)(*fmt - '0');
		if (*fmt == '.' && fmt[1] == '*') {
			int n = va_arg(ap, int);
			sp.has_precision = n >= 0;
			sp.precision = n >= 0 ? (size_t)n : 0;
			fmt += 2;
		} else if (*fmt == '.') {
			sp.has_precision = true;
			for (fmt++; *fmt >= '0' && *fmt <= '9'; fmt++)
				sp.precision = sp.precision * 10 + (size_t)(*fmt - '0');
		}
		for (; *fmt == 'l' || *fmt == 'z' || *fmt == 'j'; fmt++)
			longs += *fmt == 'l' ? 1 : *fmt == 'z' ? 1 : 2;

		switch (*fmt) {
		case 'd':
		case 'u':
		case 'x':
		case 'X':
			u = longs == 0 ? va_arg(ap, unsigned) :
			    longs == 1 ? va_arg(ap, unsigned long) :
					 va_arg(ap, unsigned long long);
			if (*fmt == 'd') {
				int64_t d = longs == 0 ? (int)u : longs == 1 ? (long)u : (int64_t)u;
				is_negative = d < 0;
				u = is_negative ? -(uint64_t)d : (uint64_t)d;
			}
			put_number(&s, &sp, u, is_negative, *fmt == 'd' || *fmt == 'u' ? 10 : 16,
				   *fmt == 'X' ? "0123456789ABCDEF" : "0123456789abcdef");
			break;
		case 'c': {
			char c = (char)va_arg(ap, int);
			put_text(&s, &sp, &c, 1);
			break;
		}
		case 's': {
			const char *text = va_arg(ap, const char *);
			if (!text)
				text = "(none)";
			put_text(&s, &sp, text,
				 sp.has_precision ? strnlen(text, sp.precision) : strlen(text));
			break;
		}
		case '%':
			put(&s, '%', 1);
			break;
		default:
			for (; start < fmt; start++)
				put(&s, *start, 1);
			continue;
		}
		fmt++;
	}
	if (cap > 0)
		dst[s.len < cap ? s.len : cap - 1] = '\0';
	return s.len;
}

size_t
fmt_print(char *dst, size_t cap, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	size_t n = fmt_vprint(dst, cap, fmt, ap);
	va_end(ap);
	return n;
}
