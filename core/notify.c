/* SPDX-License-Identifier: ISC */
#include "notify.h"
#include "fmt.h"

/* By bit. */
static const char words[][8] = {"NEVER", "SUCCESS", "FAILURE", "DELAY", "FULL", "HDRS"};
enum { ALONE = NOTIFY_NEVER | NOTIFY_FULL | NOTIFY_HDRS };

static const struct kind {
	char asks[7], id[6];
	unsigned char first, end; /* of words */
	unsigned short id_max;
} kinds[] = {
	[NOTIFY_RCPT] = {"NOTIFY", "ORCPT", 0, 4, LIMIT_ORCPT},
	[NOTIFY_MAIL] = {"RET", "ENVID", 4, 6, LIMIT_ENVID},
};

/* "SUCCESS,DELAY" as bits; 0: wrong. */
static unsigned
parse_words(const struct kind *k, struct str value)
{
	unsigned asks = 0;

	do {
		struct str word = str_cut(&value, ',');
		unsigned n = k->first;
		while (n < k->end && !str_is(word, words[n]))
			n++;
		if (n == k->end)
			return 0;
		asks |= 1u << n;
	} while (value.len > 0);
	return (asks & ALONE) && (asks & (asks - 1)) ? 0 : asks;
}

static bool
is_plain(char c)
{
	return c > ' ' && c <= '~' && c != '+' && c != '=';
}

/* One of the two digits behind a '+'. */
static int
digit(char c)
{
	return c < 'a' ? str_hex(c) : -1;
}

static bool
is_xtext(struct str s)
{
	for (size_t i = 0; i < s.len; i++) {
		if (is_plain(s.ptr[i]))
			continue;
		if (s.ptr[i] != '+' || s.len - i < 3 || digit(s.ptr[i + 1]) < 0 ||
		    digit(s.ptr[i + 2]) < 0)
			return false;
		i += 2;
	}
	return true;
}

int
notify_set(struct notify *n, enum notify_of of, struct str key, struct str value)
{
	const struct kind *k = &kinds[of];

	if (str_is(key, k->asks)) {
		if (n->asks)
			return -1;
		n->asks = parse_words(k, value);
		return n->asks ? 0 : -1;
	}
	if (!str_is(key, k->id))
		return 1;
	struct str text = value;
	bool typed = of == NOTIFY_RCPT && str_cut(&text, ';').len > 0;
	if (n->id.len > 0 || value.len > k->id_max || typed != (of == NOTIFY_RCPT) ||
	    text.len == 0 || !is_xtext(value))
		return -1;
	n->id = value;
	return 0;
}

int
notify_parse(struct notify *n, enum notify_of of, struct str text)
{
	if (text.len > 0 && text.ptr[text.len - 1] == ' ')
		return -1;
	while (text.len > 0) {
		struct str value = str_cut(&text, ' ');
		struct str key = str_cut(&value, '=');
		if (notify_set(n, of, key, value))
			return -1;
	}
	return 0;
}

void
notify_print(const struct notify *n, enum notify_of of, char text[NOTIFY_TEXT])
{
	const struct kind *k = &kinds[of];
	const char *name = k->asks;
	size_t len = 0;

	text[0] = '\0';
	for (unsigned i = k->first; i < k->end; i++) {
		if (!(n->asks & 1u << i))
			continue;
		len += fmt_print(text + len, NOTIFY_TEXT - len, *name ? " %s=%s" : "%s,%s", name,
				 words[i]);
		name = "";
	}
	if (n->id.len > 0)
		fmt_print(text + len, NOTIFY_TEXT - len, " %s=%.*s", k->id, STR_ARG(n->id));
}

static unsigned
asked(const struct notify *n)
{
	return n->asks ? n->asks : NOTIFY_FAILURE | NOTIFY_DELAY;
}

bool
notify_wants(const struct notify *n, unsigned event)
{
	return asked(n) & event;
}

void
notify_merge(struct notify *n, const struct notify *other)
{
	unsigned either = asked(n) | asked(other);

	if (n->asks || other->asks)
		n->asks = either == NOTIFY_NEVER ? either : either & ~(unsigned)NOTIFY_NEVER;
}

void
notify_drop_success(struct notify *n)
{
	if (n->asks == NOTIFY_SUCCESS)
		n->asks = NOTIFY_NEVER;
	n->asks &= ~(unsigned)NOTIFY_SUCCESS;
}

void
notify_print_xtext(struct str s, struct buf *out)
{
	for (size_t i = 0; i < s.len; i++)
		buf_print(out, is_plain(s.ptr[i]) ? "%c" : "+%02X", (unsigned char)s.ptr[i]);
}

void
notify_print_plain(struct str s, struct buf *out)
{
	for (size_t i = 0; i < s.len; i++) {
		char c = s.ptr[i];
		if (c == '+' && s.len - i > 2) {
			c = (char)(str_hex(s.ptr[i + 1]) << 4 | str_hex(s.ptr[i + 2]));
			i += 2;
		}
		buf_putc(out, c < ' ' || c > '~' ? '?' : c);
	}
}
