/* SPDX-License-Identifier: ISC */
#include "envelope.h"
#include "limit.h"

#include <stdlib.h>
#include <string.h>

/* Lines of fixed width: # is a digit, ? is 0 or 1, all else stands for itself. At most 17 digits
 * are one number, so neither it nor a sum of two overflows. */
static const char fixed_shape[] = "mtabox 1 message ########## #################\n"
				  "text 8bit=? utf8=? nul=? longest=#################\n";
enum { FIRST_LINE = 46, TEXT_VALUES = 4 };

_Static_assert(sizeof fixed_shape - 1 == ENVELOPE_FIXED, "the length of fixed_shape");

static const char header_shape[] = "header present=? date=? message-id=? from=? to=? cc=? "
				   "mime=? type=? 8bit=? opaque=?\n";
static const unsigned char header_values[] = {
	offsetof(struct header_facts, present), offsetof(struct header_facts, date),
	offsetof(struct header_facts, message_id), offsetof(struct header_facts, from),
	offsetof(struct header_facts, to), offsetof(struct header_facts, cc),
	offsetof(struct header_facts, mime), offsetof(struct header_facts, type),
	offsetof(struct header_facts, eightbit), offsetof(struct header_facts, opaque),
};
enum { HEADER_VALUES = sizeof header_values };

void
envelope_print_fixed(const struct envelope *e, struct buf *out)
{
	buf_print(out, "mtabox 1 message %010llu %017llu\n", (unsigned long long)e->offset,
		  (unsigned long long)e->length);
	buf_print(out, "text 8bit=%d utf8=%d nul=%d longest=%017llu\n", e->text.eightbit,
		  e->text.utf8, e->text.nul, (unsigned long long)e->text.longest);
}

/* A caller's words: whatever they hold, they stay on their line. */
static void
print_words(struct str words, struct buf *out)
{
	for (size_t i = 0; i < words.len; i++)
		buf_putc(out, str_is_control(words.ptr[i]) ? ' ' : words.ptr[i]);
}

static void
print_line(const char *keyword, struct str value, struct buf *out)
{
	buf_puts(out, keyword);
	if (value.len > 0)
		buf_putc(out, ' ');
	print_words(value, out);
	buf_putc(out, '\n');
}

static void
print_notify(const struct notify *n, enum notify_of of, struct buf *out)
{
	char text[NOTIFY_TEXT];

	notify_print(n, of, text);
	if (*text)
		buf_print(out, "dsn%s\n", text);
}

void
envelope_print_head(const struct envelope *e, struct buf *out)
{
	const unsigned char *at = header_values;

	envelope_print_fixed(e, out);
	for (const char *p = header_shape; *p; p++)
		buf_putc(out, *p != '?' ? *p : *((const bool *)&e->header + *at++) ? '1' : '0');
	buf_puts(out, "arrived ");
	stamp_print(&e->arrived, out);
	buf_print(out, "\nsubmitter %u", (unsigned)e->uid);
	print_line("", e->login, out);
	if (e->name.len > 0)
		print_line("name", e->name, out);
	print_line("sender", e->sender, out);
	print_notify(&e->notify, NOTIFY_MAIL, out);
}

void
envelope_print_rcpt(const struct envelope_rcpt *r, struct buf *out)
{
	print_line(r->alias ? "alias" : "rcpt", r->address, out);
	print_notify(&r->notify, NOTIFY_RCPT, out);
}

void
envelope_print_end(struct envelope *e, struct buf *out)
{
	struct buf fixed = {0};

	buf_putc(out, '\n');
	e->offset = out->len;
	envelope_print_fixed(e, &fixed);
	memcpy(out->ptr, fixed.ptr, ENVELOPE_FIXED);
	buf_free(&fixed);
}

/* Takes what has that shape off *rest, and its numbers, one for each run of # or ?. */
static bool
take_shape(struct str *rest, struct str shape, uint64_t *value)
{
	const char *p = rest->ptr, *s = shape.ptr;

	if (rest->len < shape.len)
		return false;
	while (s < shape.ptr + shape.len) {
		char mark = *s;
		if (mark != '#' && mark != '?') {
			if (*s++ != *p++)
				return false;
			continue;
		}
		for (*value = 0; *s == mark; s++) {
			unsigned digit = (unsigned char)*p++ - '0';
			if (digit > (mark == '#' ? 9 : 1))
				return false;
			*value = *value * 10 + digit;
		}
		value++;
	}
	*rest = str_from(*rest, shape.len);
	return true;
}

int
envelope_parse_fixed(struct str head, uint64_t *offset, uint64_t *length)
{
	uint64_t value[2];

	if (head.len < ENVELOPE_FIXED ||
	    !take_shape(&head, str_upto(STR(fixed_shape), FIRST_LINE), value))
		return -1;
	*offset = value[0];
	*length = value[1];
	return *offset > ENVELOPE_FIXED && *offset <= LIMIT_ENVELOPE ? 0 : -1;
}

bool
envelope_is_address(struct str s)
{
	struct buf canonical = {0};
	const char *why;

	if (addr_is_plain(s))
		return true;
	bool is = !addr_parse(s, &canonical, &why) && str_eq(buf_view(&canonical), s);

	buf_free(&canonical);
	return is;
}

/* Takes a line "keyword" or "keyword value" off *rest. False: the next line is another one,
 * or has no end, or holds what envelope_print does not write. */
static bool
take_line(struct str *rest, struct str keyword, struct str *value)
{
	struct str tail = str_from(*rest, keyword.len);
	size_t end = 0;

	if (!str_starts(*rest, keyword))
		return false;
	while (end < tail.len && !str_is_control(tail.ptr[end]))
		end++;
	if (end == tail.len || tail.ptr[end] != '\n')
		return false;
	if (end == 1 || (end > 1 && tail.ptr[0] != ' '))
		return false;
	*value = str_from(str_upto(tail, end), 1);
	*rest = str_from(tail, end + 1);
	return true;
}

static bool
take_header(struct str *rest, struct header_facts *facts)
{
	uint64_t value[HEADER_VALUES];

	if (!take_shape(rest, STR(header_shape), value))
		return false;
	for (size_t i = 0; i < HEADER_VALUES; i++)
		*((bool *)facts + header_values[i]) = value[i];
	return true;
}

static bool
parse_submitter(struct str value, struct envelope *e)
{
	uint64_t uid;

	if (str_number(str_cut(&value, ' '), UINT32_MAX, &uid))
		return false;
	e->uid = (uint32_t)uid;
	e->login = value;
	return true;
}

/* Takes a line "dsn", if there is one, off *rest. */
static const char *
parse_notify(struct str *rest, enum notify_of of, struct notify *n)
{
	struct str value;

	*n = (struct notify){0};
	return take_line(rest, STR("dsn"), &value) && notify_parse(n, of, value) ?
		       "a line dsn in the envelope is damaged" : NULL;
}

/* Takes a recipient's lines off *rest. NULL, or what is wrong with them. */
static const char *
parse_rcpt(struct str *rest, struct envelope_rcpt *r)
{
	r->alias = take_line(rest, STR("alias"), &r->address);
	if (!r->alias && !take_line(rest, STR("rcpt"), &r->address))
		return "the envelope's recipients are damaged";
	if (!envelope_is_address(r->address) || (r->alias && addr_domain(r->address).len > 0))
		return "a recipient in the envelope is no address";
	return parse_notify(rest, NOTIFY_RCPT, &r->notify);
}

/* What stands behind the sender and his wishes: the recipients and the empty line. */
static const char *
parse_rcpts(struct str rest, struct envelope *e)
{
	size_t lines = 0;
	struct envelope_rcpt *rcpts;
	const char *why = NULL;

	for (size_t i = 0; i < rest.len; i++)
		lines += rest.ptr[i] == '\n';
	if (lines < 2)
		return "the envelope has no recipient";
	if (!str_eq(str_from(rest, rest.len - 2), STR("\n\n")))
		return "the envelope has no empty line";
	e->rcpts = rcpts = buf_array(NULL, lines - 1, sizeof *rcpts);
	do
		why = parse_rcpt(&rest, &rcpts[e->rcpt_count++]);
	while (!why && !str_eq(rest, STR("\n")));
	return why;
}

static const char *
parse(struct str text, struct envelope *e)
{
	struct str rest = str_from(text, FIRST_LINE), value;
	uint64_t facts[TEXT_VALUES];
	const char *why;

	if (envelope_parse_fixed(text, &e->offset, &e->length) ||
	    !take_shape(&rest, str_from(STR(fixed_shape), FIRST_LINE), facts))
		return "not an envelope of this version";
	if (e->offset != text.len)
		return "the envelope has another length than it says";
	e->text = (struct text_facts){
		.eightbit = facts[0], .utf8 = facts[1], .nul = facts[2], .longest = facts[3],
	};
	if (!take_header(&rest, &e->header) || !take_line(&rest, STR("arrived"), &value) ||
	    stamp_parse(&value, &e->arrived) || value.len > 0 ||
	    !take_line(&rest, STR("submitter"), &value) || !parse_submitter(value, e))
		return "the envelope's line header, arrived or submitter is damaged";
	take_line(&rest, STR("name"), &e->name);
	if (!take_line(&rest, STR("sender"), &e->sender))
		return "the envelope's line sender is damaged";
	if (e->sender.len > 0 && !envelope_is_address(e->sender))
		return "the sender in the envelope is no address";
	why = parse_notify(&rest, NOTIFY_MAIL, &e->notify);
	return why ? why : parse_rcpts(rest, e);
}

int
envelope_parse(struct str text, struct envelope *e, const char **why)
{
	*e = (struct envelope){0};
	*why = parse(text, e);
	if (!*why)
		return 0;
	envelope_free(e);
	return -1;
}

void
envelope_free(struct envelope *e)
{
	buf_release((void *)e->rcpts);
	*e = (struct envelope){0};
}
