/* SPDX-License-Identifier: ISC */
#include "parcel.h"

#include <stdlib.h>

static void
print_notify(const struct notify *n, enum notify_of of, struct buf *out)
{
	char text[NOTIFY_TEXT];

	notify_print(n, of, text);
	buf_print(out, "%s\n", text);
}

/* A blank precedes each parameter. */
static int
take_notify(struct str *payload, enum notify_of of, struct notify *n)
{
	*n = (struct notify){0};
	return notify_parse(n, of, str_from(str_cut(payload, '\n'), 1));
}

void
parcel_print(const struct parcel *p, struct buf *out)
{
	buf_print(out, "%llu %llu %u %u %zu %zu %zu %zu\n", (unsigned long long)p->offset,
		  (unsigned long long)p->length, p->facts, p->by_data, p->rcpt_count,
		  p->sender.len, p->head.len, p->tail.len);
	print_notify(&p->notify, NOTIFY_MAIL, out);
	for (size_t n = 0; n < p->rcpt_count; n++) {
		buf_print(out, "%u %.*s\n", (unsigned)p->numbers[n], STR_ARG(p->rcpts[n]));
		print_notify(&p->notifies[n], NOTIFY_RCPT, out);
	}
	buf_str(out, p->sender);
	buf_str(out, p->head);
	buf_str(out, p->tail);
}

static int
take_number(struct str *line, uint64_t max, uint64_t *value)
{
	return str_number(str_cut(line, ' '), max, value);
}

int
parcel_parse(struct str payload, struct parcel *p)
{
	struct str line = str_cut(&payload, '\n');
	uint64_t facts, by_data, count, sender, head, tail, number;

	*p = (struct parcel){0};
	if (take_number(&line, INT64_MAX, &p->offset) ||
	    take_number(&line, INT64_MAX, &p->length) ||
	    take_number(&line, ENCODE_FACTS, &facts) || take_number(&line, 1, &by_data) ||
	    take_number(&line, payload.len, &count) ||
	    take_number(&line, payload.len, &sender) ||
	    take_number(&line, payload.len, &head) || take_number(&line, payload.len, &tail) ||
	    count == 0 || take_notify(&payload, NOTIFY_MAIL, &p->notify))
		return -1;
	p->facts = (unsigned)facts;
	p->by_data = by_data;
	p->rcpt_count = (size_t)count;
	p->numbers = buf_array(NULL, p->rcpt_count, sizeof *p->numbers);
	p->rcpts = buf_array(NULL, p->rcpt_count, sizeof *p->rcpts);
	p->notifies = buf_array(NULL, p->rcpt_count, sizeof *p->notifies);
	for (size_t n = 0; n < p->rcpt_count; n++) {
		line = str_cut(&payload, '\n');
		if (take_number(&line, UINT32_MAX, &number) ||
		    take_notify(&payload, NOTIFY_RCPT, &p->notifies[n]))
			return -1;
		p->numbers[n] = (uint32_t)number;
		p->rcpts[n] = line;
	}
	if (payload.len != sender + head + tail)
		return -1;
	p->sender = str_upto(payload, (size_t)sender);
	p->head = str_upto(str_from(payload, (size_t)sender), (size_t)head);
	p->tail = str_from(payload, (size_t)(sender + head));
	return 0;
}

void
parcel_free(struct parcel *p)
{
	buf_release(p->numbers);
	buf_release(p->rcpts);
	buf_release(p->notifies);
	*p = (struct parcel){0};
}
