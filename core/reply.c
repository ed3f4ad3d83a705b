/* SPDX-License-Identifier: ISC */
#include "reply.h"

#include <string.h>

bool
reply_is_new(const struct reply *r)
{
	return r->event == REPLY_END || (r->lines == 0 && r->line_len == 0);
}

struct str
reply_words(const struct reply *r)
{
	return str_from((struct str){r->line, r->line_len}, 4);
}

/* The code of a line that has the right form, else 0. */
static unsigned
code_of(struct str line)
{
	uint64_t code;

	if (line.len < 3 || str_number(str_upto(line, 3), 559, &code) || code < 200 ||
	    code / 10 % 10 > 5)
		return 0;
	if (line.len > 3 && line.ptr[3] != ' ' && line.ptr[3] != '-')
		return 0;
	return (unsigned)code;
}

/* An enhanced status is the same in all lines (RFC 2034 4): once is enough. */
static struct str
without_status(const struct reply *r, struct str words)
{
	struct str text = {r->text, r->text_len};
	struct str status = str_upto(text, str_find(text, ' ') + 1);

	if (status.len < sizeof "5.1.1" || status.ptr[1] != '.' ||
	    !str_starts(words, status))
		return words;
	return str_from(words, status.len);
}

static void
add_text(struct reply *r, struct str words)
{
	size_t room = sizeof r->text - 1 - r->text_len;

	if (r->text_len > 0 && room > 0) {
		r->text[r->text_len++] = ' ';
		room--;
	}
	words = str_upto(words, room);
	memcpy(r->text + r->text_len, words.ptr, words.len);
	r->text_len += words.len;
	r->text[r->text_len] = '\0';
}

static int
end_line(struct reply *r, const char **why)
{
	unsigned code = code_of((struct str){r->line, r->line_len});

	if (code == 0 || (r->lines > 0 && code != r->code)) {
		*why = "sent what is no SMTP reply";
		return -1;
	}
	if (r->lines == LIMIT_REPLY_LINES) {
		*why = "sent a reply without end";
		return -1;
	}
	r->code = code;
	r->lines++;
	add_text(r, without_status(r, reply_words(r)));
	r->event = r->line_len > 3 && r->line[3] == '-' ? REPLY_LINE : REPLY_END;
	return (int)r->event;
}

int
reply_take(struct reply *r, char c, const char **why)
{
	if (r->event == REPLY_END)
		r->lines = 0, r->text_len = 0;
	if (r->event != REPLY_MORE)
		r->line_len = 0;
	r->event = REPLY_MORE;

	bool cr = r->line_len > 0 && r->line[r->line_len - 1] == '\r';
	if (cr && c == '\n') {
		r->line_len--;
		return end_line(r, why);
	}
	if (cr || c == '\n' || c == '\0') {
		*why = "sent a bare CR, a bare LF or a NUL";
		return -1;
	}
	if (r->line_len == sizeof r->line) {
		*why = "sent a line without end";
		return -1;
	}
	r->line[r->line_len++] = c;
	return REPLY_MORE;
}
