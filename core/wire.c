/* SPDX-License-Identifier: ISC */
#include "wire.h"
#include "limit.h"

#include <string.h>

/* A character that begins behind so many bytes of a line may reach over its limit. */
enum { SAFE = LIMIT_WIRE_LINE - sizeof(((struct wire *)0)->held) };

void
wire_init(struct wire *w, bool dots)
{
	*w = (struct wire){.dots = dots};
}

static void
make(struct wire *w, char c)
{
	w->pending[w->pending_len++] = c;
}

static void
let_go(struct wire *w)
{
	for (unsigned i = 0; i < w->held_len; i++)
		make(w, w->held[i]);
	w->held_len = 0;
}

/* One byte of a line. */
static void
put(struct wire *w, char c)
{
	bool goes_on = w->held_len > 0 && (c & 0xc0) == 0x80; /* the character held does */

	if (!goes_on)
		let_go(w);
	if (w->column == LIMIT_WIRE_LINE) {
		make(w, '\r');
		make(w, '\n');
		make(w, ' ');
		w->column = 1 + w->held_len;
		let_go(w);
	} else if (w->dots && w->column == 0 && c == '.') {
		make(w, '.');
	}
	w->column++;
	if (w->column > SAFE && (w->held_len > 0 || (c & 0xc0) == 0xc0))
		w->held[w->held_len++] = c;
	else
		make(w, c);
}

static void
end_line(struct wire *w)
{
	let_go(w);
	make(w, '\r');
	make(w, '\n');
	w->column = 0;
}

static bool
is_plain(char c)
{
	return (unsigned char)c > '\r' || (c != '\n' && c != '\r' && c != '\0');
}

/* One byte that may be special. False: not taken, show it again. */
static bool
take(struct wire *w, char c)
{
	if (w->cr && c != '\n') {
		w->cr = false;
		put(w, ' ');
		return false;
	}
	w->cr = c == '\r';
	if (c == '\n')
		end_line(w);
	else if (!w->cr)
		put(w, c == '\0' ? ' ' : c);
	return true;
}

/* How many bytes can be copied as they are, at most cap. */
static size_t
run(const struct wire *w, struct str in, size_t cap)
{
	size_t n = 0, max = SAFE - w->column;

	if (w->cr || w->column > SAFE || (w->column == 0 && in.ptr[0] == '.'))
		return 0;
	if (max > cap)
		max = cap;
	if (max > in.len)
		max = in.len;
	while (n < max && is_plain(in.ptr[n]))
		n++;
	return n;
}

static size_t
hand_out(struct wire *w, char *dst, size_t cap)
{
	size_t n = w->pending_len < cap ? w->pending_len : cap;

	memcpy(dst, w->pending, n);
	w->pending_len -= (unsigned)n;
	memmove(w->pending, w->pending + n, w->pending_len);
	return n;
}

size_t
wire_feed(struct wire *w, struct str *in, char *dst, size_t cap)
{
	size_t len = 0, n;

	for (;;) {
		len += hand_out(w, dst + len, cap - len);
		if (len == cap || in->len == 0)
			return len;
		n = run(w, *in, cap - len);
		memcpy(dst + len, in->ptr, n);
		len += n;
		w->column += n;
		if (n == 0)
			n = take(w, in->ptr[0]);
		*in = str_from(*in, n);
	}
}

size_t
wire_finish(struct wire *w, char *dst)
{
	size_t len = hand_out(w, dst, sizeof w->pending);

	if (w->cr)
		put(w, ' ');
	w->cr = false;
	len += hand_out(w, dst + len, sizeof w->pending);
	if (w->column > 0)
		end_line(w);
	return len + hand_out(w, dst + len, sizeof w->pending);
}
