/* SPDX-License-Identifier: ISC */
#include "fmt.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

struct sink {
	char *dst;
	size_t cap, len;
	va_list ap;
};

/* What stands between % and the conversion. */
struct spec {
	bool left, zero;
	size_t width, precision; /* the latter SIZE_MAX: none */
	unsigned longs;
};

static void
put(struct sink *s, const char *text, size_t len)
{
	if (s->len < s->cap)
		memcpy(s->dst + s->len, text, len < s->cap - s->len ? len : s->cap - s->len);
	s->len += len;
}

static void
pad(struct sink *s, char c, size_t times)
{
	for (; times > 0; times--, s->len++)
		if (s->len < s->cap)
			s->dst[s->len] = c;
}

static void
put_text(struct sink *s, const struct spec *sp, const char *text, size_t len)
{
	size_t blanks = sp->width > len ? sp->width - len : 0;

	if (blanks > 0 && !sp->left)
		pad(s, ' ', blanks);
	put(s, text, len);
	if (blanks > 0 && sp->left)
		pad(s, ' ', blanks);
}

static void
put_number(struct sink *s, const struct spec *sp, uint64_t value, bool negative, unsigned base,
	   const char *digits)
{
	char tmp[24], *p = tmp + sizeof tmp;

	do {
		*--p = digits[value % base];
		value /= base;
	} while (value);
	size_t len = (size_t)(tmp + sizeof tmp - p);
	if (sp->zero && !sp->left) {
		pad(s, '-', negative);
		len += negative;
		pad(s, '0', sp->width > len ? sp->width - len : 0);
		put(s, p, len - negative);
		return;
	}
	if (negative) {
		*--p = '-';
		len++;
	}
	put_text(s, sp, p, len);
}

static const char *
take_number(const char *p, size_t *n)
{
	for (*n = 0; *p >= '0' && *p <= '9'; p++)
		*n = *n * 10 + (size_t)(*p - '0');
	return p;
}

static const char *
take_spec(struct sink *s, const char *p, struct spec *sp)
{
	sp->left = sp->zero = false;
	sp->precision = SIZE_MAX;
	sp->longs = 0;
	for (; *p == '-' || *p == '0'; p++)
		*(*p == '-' ? &sp->left : &sp->zero) = true;
	p = take_number(p, &sp->width);
	if (*p == '.' && p[1] == '*') {
		sp->precision = (size_t)va_arg(s->ap, int); /* below 0: as good as none */
		p += 2;
	} else if (*p == '.') {
		p = take_number(p + 1, &sp->precision);
	}
	for (; *p == 'l' || *p == 'z' || *p == 'j'; p++)
		sp->longs += *p == 'j' ? 2 : 1;
	return p;
}

static void
put_integer(struct sink *s, const struct spec *sp, char conversion)
{
	uint64_t u = sp->longs == 0 ? va_arg(s->ap, unsigned) :
		     sp->longs == 1 ? va_arg(s->ap, unsigned long) :
				      va_arg(s->ap, unsigned long long);
	int64_t d = sp->longs == 0 ? (int)u : sp->longs == 1 ? (long)u : (int64_t)u;
	bool negative = conversion == 'd' && d < 0;

	put_number(s, sp, negative ? -(uint64_t)d : u, negative,
		   conversion == 'd' || conversion == 'u' ? 10 : 16,
		   conversion == 'X' ? "0123456789ABCDEF" : "0123456789abcdef");
}

/* False: there is no such conversion. */
static bool
convert(struct sink *s, const struct spec *sp, char conversion)
{
	const char *text;
	char c;

	switch (conversion) {
	case 'd':
	case 'u':
	case 'x':
	case 'X':
		put_integer(s, sp, conversion);
		return true;
	case 'c':
		c = (char)va_arg(s->ap, int);
		put_text(s, sp, &c, 1);
		return true;
	case 's':
		text = va_arg(s->ap, const char *);
		if (!text)
			text = "(none)";
		put_text(s, sp, text, strnlen(text, sp->precision));
		return true;
	case '%':
		put(s, "%", 1);
		return true;
	}
	return false;
}

size_t
fmt_vprint(char *dst, size_t cap, const char *fmt, va_list ap)
{
	struct sink s;

	s.dst = dst;
	s.cap = cap;
	s.len = 0;
	va_copy(s.ap, ap);
	while (*fmt) {
		const char *start = fmt;
		struct spec sp;

		if (*fmt == '%') {
			fmt = take_spec(&s, fmt + 1, &sp);
			if (convert(&s, &sp, *fmt)) {
				fmt++;
				continue;
			}
		}
		while (*fmt && *fmt != '%')
			fmt++;
		put(&s, start, (size_t)(fmt - start));
	}
	va_end(s.ap);
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
