/* SPDX-License-Identifier: ISC */
#include "envelope.h"
#include "limit.h"

#include <string.h>

static const char version[] = "mtabox 2";

/* A word of the spool file, and the fact for which it stands, by its place in its struct. */
struct word {
	const char *name;
	size_t at;
};

/* By their first letters. */
static const struct word text_words[] = {
	{"8bit", offsetof(struct text_facts, eightbit)},
	{"utf8", offsetof(struct text_facts, utf8)},
	{"nul", offsetof(struct text_facts, nul)},
	{"long", offsetof(struct text_facts, long_line)},
};
enum { TEXT_WORDS = sizeof text_words / sizeof *text_words };

/* In their order. "present" is what the line itself says; version 1 had it as a word. */
static const struct word header_words[] = {
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
fact(const void *facts, const struct word *word)
{
	return (bool *)((char *)facts + word->at);
}

void
envelope_print_fixed(const struct envelope *e, struct buf *out)
{
	buf_print(out, "%s %08llu %012llu ", version, (unsigned long long)e->offset,
		  (unsigned long long)e->length);
	for (size_t i = 0; i < TEXT_WORDS; i++)
		buf_putc(out, *fact(&e->text, &text_words[i]) ? text_words[i].name[0] : '-');
	buf_putc(out, '\n');
}

static void
print_header_facts(const struct header_facts *facts, struct buf *out)
{
	if (!facts->present)
		return;
	buf_puts(out, "header");
	for (size_t i = 1; i < HEADER_WORDS; i++)
		if (*fact(facts, &header_words[i]))
			buf_print(out, " %s", header_words[i].name);
	buf_putc(out, '\n');
}

/* A caller's words: whatever they hold, they stay on their line. */
static void
print_words(struct str words, struct buf *out)
{
	size_t i = out->len;

	buf_str(out, words);
	for (; i < out->len; i++)
		if (str_is_control(out->ptr[i]))
			out->ptr[i] = ' ';
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
	envelope_print_fixed(e, out);
	print_header_facts(&e->header, out);
	buf_puts(out, "arrived ");
	stamp_print(&e->arrived, out);
	buf_print(out, "\nsubmitter %u\n", (unsigned)e->uid);
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

bool
envelope_is_address(struct str s)
{
	if (addr_is_plain(s))
		return true;

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
	if (!str_starts(*rest, keyword))
		return false;
	struct str tail = str_from(*rest, keyword.len);
	size_t end = str_plain(tail);
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

/* Words off *value, in their order; "=0" behind one says that it is not so. */
static void
take_facts(struct str *value, const struct word *words, size_t count, void *facts)
{
	for (size_t i = 0; i < count && value->len > 0; i++) {
		struct str rest = *value, word = str_cut(&rest, ' ');
		struct str name = str_cut(&word, '=');
		if (!str_same(name, words[i].name))
			continue;
		*fact(facts, &words[i]) = !str_eq(word, STR("0"));
		*value = rest;
	}
}

static bool
parse_flags(struct str value, struct text_facts *facts)
{
	for (size_t i = 0; i < TEXT_WORDS && value.len == TEXT_WORDS; i++) {
		bool is = value.ptr[i] == text_words[i].name[0];
		if (!is && value.ptr[i] != '-')
			return false;
		*fact(facts, &text_words[i]) = is;
	}
	return value.len == TEXT_WORDS;
}

/* Version 1: words with 0 or 1, then the length of the longest line. */
static bool
parse_text_line(struct str value, struct text_facts *facts)
{
	uint64_t longest;

	take_facts(&value, text_words, TEXT_WORDS, facts);
	if (!str_eq(str_cut(&value, '='), STR("longest")) ||
	    str_number(value, UINT64_MAX, &longest))
		return false;
	facts->long_line = longest > LIMIT_WIRE_LINE;
	return true;
}

/* Takes the line of either version off *rest; what stands behind the numbers is in *flags. */
static bool
take_first(struct str *rest, uint64_t *offset, uint64_t *length, struct str *flags)
{
	return (take_line(rest, STR(version), flags) ||
		take_line(rest, STR("mtabox 1 message"), flags)) &&
	       !str_cut_number(flags, ' ', LIMIT_ENVELOPE, offset) &&
	       !str_cut_number(flags, ' ', INT64_MAX / 2, length);
}

int
envelope_parse_fixed(struct str head, uint64_t *offset, uint64_t *length)
{
	struct str flags;

	return take_first(&head, offset, length, &flags) ? 0 : -1;
}

static bool
parse_header_facts(struct str *rest, struct header_facts *facts)
{
	struct str value;

	if (!take_line(rest, STR("header"), &value))
		return true;
	facts->present = true;
	take_facts(&value, header_words, HEADER_WORDS, facts);
	return value.len == 0;
}

/* A word more was the name. */
static bool
parse_submitter(struct str value, struct envelope *e)
{
	uint64_t uid;

	if (str_cut_number(&value, ' ', UINT32_MAX, &uid))
		return false;
	e->uid = (uint32_t)uid;
	return str_find(value, ' ') == value.len;
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
	struct str rest = text, value;
	const char *why;

	if (!take_first(&rest, &e->offset, &e->length, &value))
		return "not an envelope of this version";
	e->binds = str_starts(text, STR(version));
	if (e->offset != text.len)
		return "the envelope has another length than it says";
	if (take_line(&rest, STR("text"), &value) ? !parse_text_line(value, &e->text) :
						     !parse_flags(value, &e->text))
		return "the envelope's facts of the text are damaged";
	if (!parse_header_facts(&rest, &e->header) ||
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
