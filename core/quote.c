/* SPDX-License-Identifier: ISC */
#include "quote.h"

#include <string.h>

/* Takes n bytes, which stay as they are, off *s. */
static void
copy(struct str *s, size_t n, struct buf *out)
{
	buf_add(out, s->ptr, n);
	*s = str_from(*s, n);
}

void
quote_text(struct str s, const char *keep, struct buf *out)
{
	for (copy(&s, str_printables(s), out); s.len > 0; copy(&s, str_printables(s), out)) {
		buf_putc(out, s.ptr[0] && strchr(keep, s.ptr[0]) ? s.ptr[0] : '?');
		s = str_from(s, 1);
	}
}

/* What needs no escape. */
static size_t
plain(struct str s)
{
	size_t at = 0, n;

	while (at < s.len && s.ptr[at] != '"' && s.ptr[at] != '\\' &&
	       (n = str_printable(str_from(s, at))) > 0)
		at += n;
	return at;
}

void
quote_json(struct str s, struct buf *out)
{
	buf_putc(out, '"');
	for (copy(&s, plain(s), out); s.len > 0; copy(&s, plain(s), out)) {
		char c = s.ptr[0];
		if (c == '"' || c == '\\')
			buf_print(out, "\\%c", c);
		else
			buf_print(out, "\\u%04x", str_is_control(c) ? (unsigned)c : 0xfffd);
		s = str_from(s, 1);
	}
	buf_putc(out, '"');
}
