/* SPDX-License-Identifier: ISC */
#include "addr.h"
#include "ip.h"
#include "limit.h"

#include <stdlib.h>
#include <string.h>

enum { DOMAIN_MAX = 255, LABEL_MAX = 63 }; /* RFC 1035 2.3.4 */

/* A token of RFC 5322 3.2: one of these, or a special character standing for itself. */
enum { END, ATOM = 'a', QUOTED = '"', LITERAL = '[', BAD = '?' };

struct lexer {
	struct str rest;   /* behind the token */
	const char *begin; /* of the token */
	const char *end;   /* of the one before it */
	struct str spec;   /* the last address as it is written: what take_spec took */
	struct str text;   /* ATOM, QUOTED, LITERAL: without quotes or brackets, not unescaped */
	int token;
	bool torn;         /* a quote, comment or literal has no end: none is looked for again,
			      since each look may cost the whole rest */
	const char *why;   /* it is no address */
};

/* A bit for each of ASCII: all but blanks, control characters and ()<>[]:;@\,." */
static const uint32_t atext[4] = {0, 0xa3ffacfa, 0xc7fffffe, 0x7fffffff};
/* Letters, digits, - and _ */
static const uint32_t label[4] = {0, 0x03ff2000, 0x87fffffe, 0x07fffffe};

/* Length of all that s begins with of those whose bit is set, or above ASCII. */
static size_t
span(const uint32_t bits[4], struct str s)
{
	size_t n = 0;

	for (; n < s.len; n++) {
		unsigned char u = (unsigned char)s.ptr[n];
		if (u < 128 && !(bits[u / 32] >> u % 32 & 1))
			break;
	}
	return n;
}

/* Length of the line end that s begins with, where a blank behind it makes it folding. */
static size_t
fold(struct str s)
{
	size_t n = s.len > 0 && s.ptr[0] == '\r' ? 2 : 1;

	return s.len > n && s.ptr[n - 1] == '\n' && str_is_blank(s.ptr[n]) ? n : 0;
}

/* Length of the quoted string, literal or comment (which nest) that s begins with, or 0: it
 * has no end. */
static size_t
enclosed(struct str s)
{
	char open = s.ptr[0], close = open == '(' ? ')' : open == '[' ? ']' : open;
	size_t depth = 1;

	for (size_t i = 1; i < s.len; i++) {
		if (s.ptr[i] == '\\')
			i++;
		else if (s.ptr[i] == close && --depth == 0)
			return i + 1;
		else if (s.ptr[i] == open)
			depth++;
	}
	return 0;
}

static int
fail(struct lexer *l, const char *why)
{
	l->why = why;
	return -1;
}

/* Takes what s.ptr[0] opens; the length taken, or 0. */
static size_t
take_enclosed(struct lexer *l)
{
	size_t n = l->torn ? 0 : enclosed(l->rest);

	if (n == 0) {
		l->torn = true;
		fail(l, "a quote, comment or bracket without its end");
		return 0;
	}
	l->text = (struct str){l->rest.ptr + 1, n - 2};
	l->rest = str_from(l->rest, n);
	return n;
}

/* Steps over blanks, folding and comments. 0, or -1. */
static int
skip_space(struct lexer *l)
{
	while (l->rest.len > 0) {
		size_t n = str_is_blank(l->rest.ptr[0]) ? 1 : fold(l->rest);
		if (n > 0)
			l->rest = str_from(l->rest, n);
		else if (l->rest.ptr[0] != '(')
			break;
		else if (take_enclosed(l) == 0)
			return -1;
	}
	return 0;
}

static int
take_token(struct lexer *l)
{
	int spaced = skip_space(l);

	l->begin = l->rest.ptr;
	if (l->rest.len == 0)
		return END;
	char c = l->rest.ptr[0];
	if (spaced == 0 && (c == '"' || c == '[') && take_enclosed(l))
		return c;
	size_t n = span(atext, l->rest);
	l->text = str_upto(l->rest, n);
	l->rest = str_from(l->rest, n ? n : 1);
	if (n > 0)
		return ATOM;
	if (c && strchr("<>,;:@.", c))
		return c;
	if (!l->torn)
		fail(l, str_is_control(c) ? "a control character" : "a misplaced character");
	return BAD;
}

static void
advance(struct lexer *l)
{
	l->end = l->rest.ptr;
	l->token = take_token(l);
}

/* Steps over all that can stand in front of '<' or a group's ':'. More than RFC 5322 lets
 * stand there: "joe@example.org <joe@example.org>" is common. */
static void
skip_phrase(struct lexer *l)
{
	while (l->token == ATOM || l->token == QUOTED || l->token == LITERAL ||
	       l->token == '.' || l->token == '@')
		advance(l);
}

/* A quoted string's content as meant: folding and backslashes removed. */
static void
unquote(struct str s, struct buf *out)
{
	for (size_t i = 0; i < s.len; i++) {
		size_t n = fold(str_from(s, i));
		if (n > 0)
			i += n;
		else if (s.ptr[i] == '\\' && i + 1 < s.len)
			i++;
		buf_putc(out, s.ptr[i]);
	}
}

/* Words with dots between them, blanks and comments anywhere (RFC 5322's obs-local-part and
 * obs-domain), and dots at the ends or doubled. Quoted words only in a local part. */
static int
take_dotted(struct lexer *l, bool local, struct buf *out)
{
	for (bool word = false;; advance(l)) {
		if (l->token == '.') {
			buf_putc(out, '.');
			word = false;
			continue;
		}
		if (l->token != ATOM && !(local && l->token == QUOTED))
			return 0;
		if (word)
			return fail(l, "more than one word and no address in <>");
		word = true;
		if (l->token == ATOM)
			buf_str(out, l->text);
		else
			unquote(l->text, out);
	}
}

/* RFC 5321's Dot-string: needs no quotes. */
static bool
is_dot_string(struct str s)
{
	size_t n;

	while ((n = span(atext, s)) > 0 && n < s.len && s.ptr[n] == '.')
		s = str_from(s, n + 1);
	return n > 0 && n == s.len;
}

/* Quotes what out holds from start on. */
static void
quote(struct buf *out, size_t start)
{
	struct buf bare = {0};

	buf_str(&bare, buf_tail(out, start));
	out->len = start;
	buf_putc(out, '"');
	for (size_t i = 0; i < bare.len; i++) {
		if (bare.ptr[i] == '"' || bare.ptr[i] == '\\')
			buf_putc(out, '\\');
		buf_putc(out, bare.ptr[i]);
	}
	buf_putc(out, '"');
	buf_free(&bare);
}

static bool
is_printable(struct str s)
{
	return str_printables(s) == s.len;
}

/* Takes a label, and the dot behind it if there is one, off *s, which is not empty. */
static bool
take_label(struct str *s)
{
	struct str in = *s;
	size_t n = span(label, in);

	*s = str_from(in, n + 1);
	return n > 0 && n <= LABEL_MAX && in.ptr[0] != '-' && in.ptr[n - 1] != '-' &&
	       (n == in.len || in.ptr[n] == '.');
}

/* Of printable text. */
static bool
is_domain(struct str s)
{
	unsigned char bytes[IP6];

	if (s.len == 0 || s.len > DOMAIN_MAX || s.ptr[s.len - 1] == '.')
		return false;
	if (s.ptr[0] == '[') {
		struct str inner = str_upto(str_from(s, 1), s.len - 2);
		if (s.ptr[s.len - 1] != ']')
			return false;
		return str_istarts(inner, STR("IPv6:")) ? ip_parse(str_from(inner, 5), bytes) == IP6
						       : ip_parse(inner, bytes) == IP4;
	}
	while (s.len > 0)
		if (!take_label(&s))
			return false;
	return true;
}

bool
addr_is_domain(struct str s)
{
	return is_printable(s) && is_domain(s);
}

bool
addr_is_plain(struct str s)
{
	struct str local = str_upto(s, str_find(s, '@'));

	return s.len <= LIMIT_ADDRESS && str_plain(s) == s.len && is_dot_string(local) &&
	       (local.len == s.len || is_domain(str_from(s, local.len + 1)));
}

/* Appends it behind the '@' that *out ends with. The root's dot is dropped. */
static int
take_domain(struct lexer *l, struct buf *out)
{
	size_t start = out->len;

	if (l->token == LITERAL) {
		buf_putc(out, '[');
		buf_str(out, str_trim(l->text));
		buf_putc(out, ']');
		advance(l);
	} else if (take_dotted(l, false, out)) {
		return -1;
	}
	if (out->ptr[out->len - 1] == '.')
		out->len--;
	return addr_is_domain(buf_tail(out, start)) ? 0 : fail(l, "not a valid domain");
}

/* local, or local@domain, up to a token that belongs to neither. */
static int
take_spec(struct lexer *l, struct buf *out)
{
	const char *begin = l->begin;
	size_t start = out->len;

	if (l->token != ATOM && l->token != QUOTED && l->token != '.')
		return l->token == BAD ? -1 : fail(l, "no address");
	if (take_dotted(l, true, out))
		return -1;
	if (!is_printable(buf_tail(out, start)))
		return fail(l, "a control character or malformed UTF-8");
	if (out->len == start)
		return fail(l, "nothing in front of the '@'");
	if (!is_dot_string(buf_tail(out, start)))
		quote(out, start);
	if (l->token == '@') {
		buf_putc(out, '@');
		advance(l);
		if (take_domain(l, out))
			return -1;
	}
	l->spec = (struct str){begin, (size_t)(l->end - begin)};
	return out->len - start <= LIMIT_ADDRESS ? 0 : fail(l, "longer than an address may be");
}

/* From '<' to '>'. A route in front, "@a,@b:", is dropped. */
static int
take_angle(struct lexer *l, struct buf *out)
{
	advance(l);
	if (l->token == '@') {
		while (l->token == '@' || l->token == ATOM || l->token == LITERAL ||
		       l->token == '.' || l->token == ',')
			advance(l);
		if (l->token != ':')
			return fail(l, "a route without an address");
		advance(l);
	}
	if (take_spec(l, out))
		return -1;
	if (l->token != '>')
		return l->token == BAD ? -1 : fail(l, "no '>' behind the address");
	advance(l);
	return 0;
}

static bool
at_separator(const struct lexer *l)
{
	return l->token == END || l->token == ',' || l->token == ';';
}

/* One mailbox, from its first token to the separator behind it. */
static int
take_mailbox(struct lexer *l, struct buf *out)
{
	struct lexer start = *l;

	skip_phrase(l);
	if (l->token == BAD)
		return -1;
	if (l->token != '<')
		*l = start;
	if (l->token == '<' ? take_angle(l, out) : take_spec(l, out))
		return -1;
	if (!at_separator(l))
		return l->token == BAD ? -1 : fail(l, "something behind the address");
	return 0;
}

/* Steps over a group's name and its colon: what follows is read as if there were no group
 * and its ';' a comma. An address is no group's name: it would be lost as a recipient. */
static bool
take_group(struct lexer *l)
{
	struct lexer ahead = *l;

	while (ahead.token == ATOM || ahead.token == QUOTED || ahead.token == LITERAL ||
	       ahead.token == '.')
		advance(&ahead);
	if (ahead.token != ':' || ahead.begin == l->begin)
		return false;
	advance(&ahead);
	*l = ahead;
	return true;
}

int
addr_parse(struct str in, struct buf *out, const char **why)
{
	struct lexer l = {.rest = in};
	size_t start = out->len;

	advance(&l);
	int failed = take_mailbox(&l, out);
	if (!failed && l.token != END)
		failed = fail(&l, "more than one address");
	if (!failed)
		return 0;
	out->len = start;
	*why = l.why;
	return -1;
}

int
addr_parse_sender(struct str in, struct buf *out, const char **why)
{
	struct str s = str_trim(in);

	return s.len == 0 || str_eq(s, STR("<>")) ? 0 : addr_parse(in, out, why);
}

/* Steps to the next element of a list that is not empty. False: there is none. */
static bool
find_element(struct lexer *l)
{
	while (l->token != END) {
		if (at_separator(l))
			advance(l);
		else if (!take_group(l))
			return true;
	}
	return false;
}

static void
skip_element(struct lexer *l)
{
	while (!at_separator(l))
		advance(l);
}

size_t
addr_parse_list(struct str in, addr_visit *visit, addr_complain *complain, void *ctx)
{
	struct lexer l = {.rest = in};
	struct buf address = {0};
	size_t complaints = 0;

	for (advance(&l); find_element(&l);) {
		const char *begin = l.begin;
		address.len = 0;
		if (take_mailbox(&l, &address) == 0) {
			visit(ctx, buf_view(&address));
			continue;
		}
		const char *why = l.why;
		skip_element(&l);
		struct str piece = {begin, (size_t)(l.begin - begin)};
		complain(ctx, str_trim(piece), why);
		complaints++;
	}
	buf_free(&address);
	return complaints;
}

bool
addr_change_list(struct str in, addr_change *change, void *ctx, struct buf *out)
{
	struct lexer l = {.rest = in};
	struct buf address = {0}, changed = {0};
	struct str rest = in; /* not copied yet */

	for (advance(&l); find_element(&l); skip_element(&l)) {
		address.len = changed.len = 0;
		/* A quote that is new might end one that had no end. */
		if (take_mailbox(&l, &address) || l.torn ||
		    !change(ctx, buf_view(&address), &changed))
			continue;
		size_t n = (size_t)(l.spec.ptr - rest.ptr);
		buf_str(out, str_upto(rest, n));
		buf_str(out, buf_view(&changed));
		rest = str_from(rest, n + l.spec.len);
	}
	bool any = rest.ptr != in.ptr;
	if (any)
		buf_str(out, rest);
	buf_free(&address);
	buf_free(&changed);
	return any;
}

struct str
addr_local(struct str address)
{
	if (address.len == 0 || address.ptr[0] != '"')
		return str_upto(address, str_find(address, '@'));
	return str_upto(address, enclosed(address));
}

struct str
addr_domain(struct str address)
{
	return str_from(address, addr_local(address).len + 1);
}

void
addr_print_user(struct str address, struct buf *out)
{
	struct str local = addr_local(address);

	if (local.len > 1 && local.ptr[0] == '"')
		unquote(str_upto(str_from(local, 1), local.len - 2), out);
	else
		buf_str(out, local);
}

void
addr_print_local(struct str user, struct buf *out)
{
	size_t start = out->len;

	buf_str(out, user);
	if (!is_dot_string(user))
		quote(out, start);
}

void
addr_set_free(struct addr_set *set)
{
	buf_free(&set->text);
	buf_release(set->ends);
	buf_release(set->slots);
	*set = (struct addr_set){0};
}

struct str
addr_set_get(const struct addr_set *set, size_t i)
{
	size_t start = i ? set->ends[i - 1] : 0;

	return str_from(str_upto(buf_view(&set->text), set->ends[i]), start);
}

bool
addr_same(struct str a, struct str b)
{
	size_t local = addr_local(a).len;

	if (a.len != b.len || !str_ieq(a, b))
		return false;
	return local == a.len || str_eq(str_upto(a, local), str_upto(b, local));
}

/* FNV-1a, blind to case as addr_same is in part. */
uint32_t
addr_hash(struct str s)
{
	uint32_t h = 2166136261u;

	for (size_t i = 0; i < s.len; i++)
		h = (h ^ (unsigned char)str_lower(s.ptr[i])) * 16777619u;
	return h ^ h >> 15;
}

/* The slot that names address, or the free one where it would go. */
static uint32_t *
find_slot(const struct addr_set *set, struct str address)
{
	size_t mask = set->slot_count - 1, i = addr_hash(address) & mask;

	while (set->slots[i] && !addr_same(addr_set_get(set, set->slots[i] - 1), address))
		i = (i + 1) & mask;
	return &set->slots[i];
}

/* Room for one more, the table at most half full. */
static void
grow(struct addr_set *set)
{
	if (set->count < set->cap)
		return;
	set->cap = set->cap ? set->cap * 2 : 16;
	set->ends = buf_array(set->ends, set->cap, sizeof *set->ends);
	set->slot_count = set->cap * 2;
	set->slots = buf_array(set->slots, set->slot_count, sizeof *set->slots);
	memset(set->slots, 0, set->slot_count * sizeof *set->slots);
	for (size_t i = 0; i < set->count; i++)
		*find_slot(set, addr_set_get(set, i)) = (uint32_t)i + 1;
}

size_t
addr_set_find(const struct addr_set *set, struct str address)
{
	uint32_t index = set->slot_count ? *find_slot(set, address) : 0;

	return index ? index - 1 : set->count;
}

bool
addr_set_add(struct addr_set *set, struct str address)
{
	grow(set);
	uint32_t *slot = find_slot(set, address);
	if (*slot)
		return false;
	buf_str(&set->text, address);
	set->ends[set->count++] = set->text.len;
	*slot = (uint32_t)set->count;
	return true;
}
