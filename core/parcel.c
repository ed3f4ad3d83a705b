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
	/* The first line's numbers, in their order. */
	enum { OFFSET, LENGTH, FACTS, BY_DATA, RCPTS, SENDER, HEAD, TAIL, NUMBERS };
	struct str line = str_cut(&payload, '\n');
	const size_t len = payload.len;
	const uint64_t max[NUMBERS] = {INT64_MAX, INT64_MAX, ENCODE_FACTS, 1, len, len, len, len};
	uint64_t first[NUMBERS], number;

	*p = (struct parcel){0};
	for (unsigned n = 0; n < NUMBERS; n++)
		if (take_number(&line, max[n], &first[n]))
			return -1;
	if (first[RCPTS] == 0 || take_notify(&payload, NOTIFY_MAIL, &p->notify))
		return -1;
	p->offset = first[OFFSET];
	p->length = first[LENGTH];
	p->facts = (unsigned)first[FACTS];
	p->by_data = first[BY_DATA];
	p->rcpt_count = (size_t)first[RCPTS];
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
	if (payload.len != first[SENDER] + first[HEAD] + first[TAIL])
		return -1;
	p->sender = str_upto(payload, (size_t)first[SENDER]);
	p->head = str_upto(str_from(payload, p->sender.len), (size_t)first[HEAD]);
	p->tail = str_from(payload, p->sender.len + p->head.len);
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
