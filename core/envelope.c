/* SPDX-License-Identifier: ISC */
#include "envelope.h"
#include "limit.h"

#include <stdlib.h>
#include <string.h>

/* The two lines of fixed width: # is a digit, ? is 0 or 1, all else stands for itself. */
static const char shape[] = "mtabox 1 message ########## #################\n"
			    "text 8bit=? utf8=? nul=? longest=#################\n";
enum { AT_OFFSET = 17, AT_LENGTH = 28, AT_EIGHTBIT = 56, AT_UTF8 = 63, AT_NUL = 69,
       AT_LONGEST = 79 };
enum { OFFSET_DIGITS = 10, LENGTH_DIGITS = 17 };

_Static_assert(sizeof shape - 1 == ENVELOPE_FIXED, "ENVELOPE_FIXED is the length of shape");

/* The words of the header line, in their order. */
static const struct {
	const char *name;
	size_t at;
} header_words[] = {
	{"present", offsetof(struct header_facts, present)},
	{"date", offsetof(struct header_facts, date)},
	{"message-id", offsetof(struct header_facts, message_id)},
	{"from", offsetof(struct header_facts, from)},
	{"to", offsetof(struct header_facts, to)},
	{"cc", offsetof(struct header_facts, cc)},
	{"mime", offsetof(struct header_facts, mime)},
	{"type", offsetof(struct header_facts, type)},
	{"8bit", offsetof(struct header_facts, eightbit)},
	{"opaque", offsetof(struct header_facts, opaque)},
};
enum { HEADER_WORDS = sizeof header_words / sizeof *header_words };

static bool *
header_fact(struct header_facts *facts, size_t word)
{
	return (bool *)((char *)facts + header_words[word].at);
}

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
	struct header_facts facts = e->header;

	envelope_print_fixed(e, out);
	buf_puts(out, "header");
	for (size_t i = 0; i < HEADER_WORDS; i++)
		buf_print(out, " %s=%d", header_words[i].name, *header_fact(&facts, i));
	buf_puts(out, "\narrived ");
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

static bool
has_shape(struct str head)
{
	if (head.len < ENVELOPE_FIXED)
		return false;
	for (size_t i = 0; i < ENVELOPE_FIXED; i++) {
		char c = head.ptr[i];
		if (shape[i] == '#' ? c < '0' || c > '9' :
		    shape[i] == '?' ? c < '0' || c > '1' : c != shape[i])
			return false;
	}
	return true;
}

/* Digits of the shape as a number: at most 17, so neither it nor a sum of two overflows. */
static uint64_t
number_at(struct str head, size_t at, size_t digits)
{
	uint64_t value = 0;

	str_number(str_upto(str_from(head, at), digits), UINT64_MAX, &value);
	return value;
}

int
envelope_parse_fixed(struct str head, uint64_t *offset, uint64_t *length)
{
	if (!has_shape(head))
		return -1;
	*offset = number_at(head, AT_OFFSET, OFFSET_DIGITS);
	*length = number_at(head, AT_LENGTH, LENGTH_DIGITS);
	return *offset > ENVELOPE_FIXED && *offset <= LIMIT_ENVELOPE ? 0 : -1;
}

bool
envelope_is_address(struct str s)
{
	struct buf canonical = {0};
	const char *why;
	bool is = !addr_parse(s, &canonical, &why) && str_eq(buf_view(&canonical), s);

	buf_free(&canonical);
	return is;
}

/* Takes a line "keyword" or "keyword value" off *rest. False: the next line is another one,
 * or has no end, or holds what envelope_print does not write. */
static bool
take_line(struct str *rest, struct str keyword, struct str *value)
{
	struct str line = str_upto(*rest, str_find(*rest, '\n'));
	struct str tail = str_from(line, keyword.len);

	if (line.len == rest->len || !str_starts(line, keyword))
		return false;
	if (tail.len == 1 || (tail.len > 1 && tail.ptr[0] != ' '))
		return false;
	for (size_t i = 0; i < tail.len; i++)
		if (str_is_control(tail.ptr[i]))
			return false;
	*value = str_from(tail, 1);
	*rest = str_from(*rest, line.len + 1);
	return true;
}

static bool
parse_header_facts(struct str value, struct header_facts *facts)
{
	for (size_t i = 0; i < HEADER_WORDS; i++) {
		struct str digit = str_cut(&value, ' ');
		struct str name = str_cut(&digit, '=');
		bool is = str_eq(digit, STR("1"));
		if (!str_eq(name, str_of(header_words[i].name)) ||
		    (!is && !str_eq(digit, STR("0"))))
			return false;
		*header_fact(facts, i) = is;
	}
	return value.len == 0;
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
	struct str rest = str_from(text, ENVELOPE_FIXED), value;
	const char *why;

	if (envelope_parse_fixed(text, &e->offset, &e->length))
		return "not an envelope of this version";
	if (e->offset != text.len)
		return "the envelope has another length than it says";
	e->text.eightbit = text.ptr[AT_EIGHTBIT] == '1';
	e->text.utf8 = text.ptr[AT_UTF8] == '1';
	e->text.nul = text.ptr[AT_NUL] == '1';
	e->text.longest = number_at(text, AT_LONGEST, LENGTH_DIGITS);

	if (!take_line(&rest, STR("header"), &value) ||
	    !parse_header_facts(value, &e->header) ||
	    !take_line(&rest, STR("arrived"), &value) ||
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
