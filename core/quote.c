/* SPDX-License-Identifier: ISC */
#include "quote.h"

#include <string.h>

/* Takes what needs no thought off *s: printable characters up to a byte of stop, or to one that
 * belongs to none. */
static void
copy(struct str *s, const char *stop, struct buf *out)
{
	size_t at = 0, n;

	while (at < s->len && (n = str_printable(str_from(*s, at))) > 0 &&
	       !strchr(stop, s->ptr[at]))
		at += n;
	buf_add(out, s->ptr, at);
	*s = str_from(*s, at);
}

void
quote_text(struct str s, const char *keep, struct buf *out)
{
	for (copy(&s, "", out); s.len > 0; copy(&s, "", out)) {
		buf_putc(out, s.ptr[0] && strchr(keep, s.ptr[0]) ? s.ptr[0] : '?');
		s = str_from(s, 1);
	}
}

void
quote_json(struct str s, struct buf *out)
{
	buf_putc(out, '"');
	for (copy(&s, "\"\\", out); s.len > 0; copy(&s, "\"\\", out)) {
		char c = s.ptr[0];
		if (c == '"' || c == '\\')
			buf_print(out, "\\%c", c);
		else
			buf_print(out, "\\u%04x", str_is_control(c) ? (unsigned)c : 0xfffd);
		s = str_from(s, 1);
	}
	buf_putc(out, '"');
}
