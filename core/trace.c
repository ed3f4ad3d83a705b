/* SPDX-License-Identifier: ISC */
#include "trace.h"

void
trace_print(struct str sender, struct str rcpt, struct buf *out)
{
	buf_print(out, "Return-Path: <%.*s>\nDelivered-To: %.*s\n", STR_ARG(sender),
		  STR_ARG(rcpt));
}

struct source
trace_add(const struct source *content, struct str sender, struct str rcpt, struct buf *space)
{
	struct source s = *content;

	trace_print(sender, rcpt, space);
	buf_str(space, content->head);
	s.head = buf_view(space);
	s.pos = 0;
	return s;
}

static bool
is_delivered_to(struct str line, struct str rcpt)
{
	struct str name = str_cut(&line, ':');

	return str_ieq(name, STR("Delivered-To")) && str_ieq(str_trim(line), rcpt);
}

/* In what is left of the header of s. */
static bool
has_delivered_to(struct source s, struct str rcpt)
{
	char chunk[1024], line[LIMIT_ADDRESS + 64]; /* longer lines are cut: no match */
	size_t len = 0;
	ssize_t n = 1;

	while (n > 0 && s.pos < LIMIT_HEADER) {
		n = source_read(&s, chunk, sizeof chunk);
		for (ssize_t i = 0; i < n; i++) {
			if (chunk[i] != '\n') {
				if (len < sizeof line)
					line[len++] = chunk[i];
				continue;
			}
			struct str whole = str_trim((struct str){line, len});
			if (whole.len == 0)
				return false;
			if (is_delivered_to(whole, rcpt))
				return true;
			len = 0;
		}
	}
	return false;
}

bool
trace_is_loop(const struct source *content, struct str rcpt, struct outcome *o)
{
	if (!has_delivered_to(*content, rcpt))
		return false;
	*o = outcome_make(PERMFAIL, 4, 6, "mail loop: %.*s has had this before", STR_ARG(rcpt));
	return true;
}
