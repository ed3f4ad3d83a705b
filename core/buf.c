/* SPDX-License-Identifier: ISC */
#include "buf.h"
#include "fmt.h"
#include "log.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

void *
buf_array(void *old, size_t count, size_t size)
{
	if (count > SIZE_MAX / size)
		die(EX_TEMPFAIL, "out of memory");
	void *p = realloc(old, count == 0 ? 1 : count * size);
	if (!p)
		die(EX_TEMPFAIL, "out of memory");
	return p;
}

void
buf_free(struct buf *b)
{
	free(b->ptr);
	*b = (struct buf){0};
}

void
buf_wipe(struct buf *b)
{
	if (b->ptr)
		explicit_bzero(b->ptr, b->cap);
	buf_free(b);
}

char *
buf_room(struct buf *b, size_t len)
{
	if (len > SIZE_MAX / 2 - b->len)
		die(EX_TEMPFAIL, "out of memory");
	size_t need = b->len + len, cap = b->cap ? b->cap : 64;
	if (need > b->cap) {
		while (cap < need)
			cap += cap / 2;
		b->ptr = buf_array(b->ptr, cap, 1);
		b->cap = cap;
	}
	return b->ptr + b->len;
}

void
buf_add(struct buf *b, const void *bytes, size_t len)
{
	if (len == 0)
		return;
	memcpy(buf_room(b, len), bytes, len);
	b->len += len;
}

void
buf_str(struct buf *b, struct str s)
{
	buf_add(b, s.ptr, s.len);
}

void
buf_puts(struct buf *b, const char *z)
{
	buf_add(b, z, strlen(z));
}

void
buf_putc(struct buf *b, char c)
{
	buf_add(b, &c, 1);
}

void
buf_print(struct buf *b, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	size_t n = fmt_vprint(NULL, 0, fmt, ap);
	va_end(ap);
	char *at = buf_room(b, n + 1);
	va_start(ap, fmt);
	fmt_vprint(at, n + 1, fmt, ap);
	va_end(ap);
	b->len += n;
}

const char *
buf_cstr(struct buf *b)
{
	*buf_room(b, 1) = '\0';
	return b->ptr;
}

struct str
buf_view(const struct buf *b)
{
	return (struct str){b->ptr, b->len};
}

struct str
buf_tail(const struct buf *b, size_t start)
{
	return str_from(buf_view(b), start);
}
