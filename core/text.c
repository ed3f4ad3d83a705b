/* SPDX-License-Identifier: ISC */
#include "text.h"
#include "limit.h"

#include <string.h>

/* Where in a line we are; the last three hold back what they are named after. */
enum { START, WITHIN, CR, DOT, DOT_CR };

/* In each byte of a word. */
#define ONES ((size_t)-1 / 255)

void
text_init(struct text *t, bool dots)
{
	*t = (struct text){.facts.utf8 = true, .dots = dots, .state = START};
}

void
text_init_strict(struct text *t)
{
	text_init(t, true);
	t->strict = true;
}

/* No overlong form, no surrogate, nothing above U+10FFFF (RFC 3629 4). */
static void
check_utf8(struct text *t, struct str s)
{
	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.ptr[i];
		if (t->more > 0) {
			t->facts.utf8 &= c >= t->low && c <= t->high;
			t->more--;
			t->low = 0x80;
			t->high = 0xbf;
		} else if (c > 127) {
			t->facts.utf8 &= c >= 0xc2 && c <= 0xf4;
			t->more = c >= 0xf0 ? 3 : c >= 0xe0 ? 2 : 1;
			t->low = c == 0xe0 ? 0xa0 : c == 0xf0 ? 0x90 : 0x80;
			t->high = c == 0xed ? 0x9f : c == 0xf4 ? 0x8f : 0xbf;
		}
	}
}

static char
end_line(struct text *t)
{
	check_utf8(t, STR("\n"));
	t->facts.long_line |= t->line > LIMIT_WIRE_LINE;
	t->line = 0;
	t->state = START;
	return '\n';
}

/* What was held back is ordinary text after all; at most 2 bytes. */
static size_t
release(struct text *t, char *dst)
{
	size_t n = 0;

	if (t->state == DOT || t->state == DOT_CR)
		dst[n++] = '.';
	if (t->state == CR || t->state == DOT_CR)
		dst[n++] = ' ';
	check_utf8(t, (struct str){dst, n});
	t->line += n;
	t->state = WITHIN;
	return n;
}

/* Whether all bytes of a word are above CR and below 128, as those of most text are. */
static bool
is_plain(size_t word)
{
	return !(((word - ONES * ('\r' + 1)) | word) & ONES << 7);
}

/* What comes before a line's end, and what is in it. By words where it can be: every byte of every
 * message comes along here. */
static struct str
find_run(struct str s, bool *eightbit, bool *nul)
{
	size_t n = 0, end, word;

	*eightbit = *nul = false;
	for (; n < s.len; n = end) {
		end = s.len;
		if (s.len - n >= sizeof word) {
			end = n + sizeof word;
			memcpy(&word, s.ptr + n, sizeof word);
			if (is_plain(word))
				continue;
		}
		for (; n < end; n++) {
			unsigned char c = (unsigned char)s.ptr[n];
			if (c == '\n' || c == '\r')
				return str_upto(s, n);
			*eightbit |= c > 127;
			*nul |= c == '\0';
		}
	}
	return s;
}

/* Copies up to max bytes that need no thought. */
static size_t
copy_run(struct text *t, struct str *in, char *dst, size_t max)
{
	bool eightbit, nul;
	struct str run = find_run(str_upto(*in, max), &eightbit, &nul);

	memcpy(dst, run.ptr, run.len);
	if (eightbit || t->more > 0)
		check_utf8(t, run);
	*in = str_from(*in, run.len);
	t->facts.eightbit |= eightbit;
	t->facts.nul |= nul;
	t->line += run.len;
	t->state = WITHIN;
	return run.len;
}

/* Holds c back where what follows decides what it is: a CR, a dot at a line's start. */
static bool
hold(struct text *t, char c)
{
	if (c == '\r' && t->state <= WITHIN)
		t->state = CR;
	else if (c == '\r' && t->state == DOT)
		t->state = DOT_CR;
	else if (c == '.' && t->state == START && t->dots)
		t->state = DOT;
	else
		return false;
	return true;
}

size_t
text_feed(struct text *t, struct str *in, char *dst, size_t cap)
{
	size_t n = 0;

	/* A turn writes at most two bytes, copy_run apart. */
	while (in->len > 0 && !t->ended && cap - n >= 2) {
		char c = in->ptr[0];
		bool cr = t->state == CR || t->state == DOT_CR;
		if (t->strict && cr != (c == '\n')) {
			t->bare = true;
			break;
		}
		if (c == '.' && t->state == DOT)
			t->state = WITHIN; /* of "..", the one held back goes */
		if (c != '\n' && !hold(t, c)) {
			n += t->state <= WITHIN ? copy_run(t, in, dst + n, cap - n)
						: release(t, dst + n);
			continue;
		}
		*in = str_from(*in, 1);
		if (c == '\n' && t->state >= DOT)
			t->ended = true;
		else if (c == '\n')
			dst[n++] = end_line(t);
	}
	return n;
}

size_t
text_finish(struct text *t, char *dst)
{
	size_t n = 0;

	if (t->state == DOT)
		t->ended = true;
	if (t->ended)
		return 0;
	if (t->state > WITHIN)
		n = release(t, dst);
	if (t->state == WITHIN)
		dst[n++] = end_line(t);
	return n;
}
