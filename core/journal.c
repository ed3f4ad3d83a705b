/* SPDX-License-Identifier: ISC */
#include "journal.h"
#include "codec.h"
#include "date.h"
#include "fmt.h"

#include <stdlib.h>
#include <string.h>

enum {
	CHECKSUM = 1 + 8,      /* " 7a3b9c01" */
	SET_PART = LIMIT_JOURNAL_LINE - LIMIT_ADDRESS - 128, /* of a set, in one line */
	SLOTS = 1024,          /* for hashes: a power of two */
	AGE_MAX = INT32_MAX,   /* 68 years: sums of ages cannot overflow */
	WORD = 3 * 32,         /* a fingerprint with colons */
};

static const char *const kind_words[] = {
	[JOURNAL_ADDRESS] = "address",
	[JOURNAL_ALIAS] = "alias",
	[JOURNAL_MAILBOX] = "mailbox",
	[JOURNAL_ALIAS_PART] = "alias-part",
	[JOURNAL_FORWARD_PART] = "forward-part",
};
enum { KINDS = sizeof kind_words / sizeof *kind_words };

/* One line, its checksum proved and taken off. */
struct event {
	struct stamp at;
	struct str word, set, args;
	size_t number; /* of the word, in events */
};

/* Those first that are one verdict each; passed is sent as well. */
enum { PASSED = PERMFAIL + 1, HELD, RELEASED };

/* Time */

static int64_t
clamp(int64_t value, int64_t max)
{
	return value < 0 ? 0 : value < max ? value : max;
}

/* The boot of the newest line is over. Its wall clock, as it was in the end, dates the arrival:
 * later than the boots before it did by as long as the device was off in between, if no clock
 * lied. One that said 2080 is found out where the next one is right; else it counts for a day. */
static void
end_boot(struct journal *j)
{
	int64_t born = j->newest.wall - j->awake;

	if (!j->newest.believable)
		return;
	if (!j->dated)
		j->born = j->born_last = born;
	j->dated = true;
	j->off = clamp(born - j->born, j->off + clamp(born - j->born_last, LIMIT_TIME_OFF));
	j->born_last = born;
}

/* Moves j's newest moment and age on to at. */
static void
advance(struct journal *j, const struct stamp *at)
{
	bool known = at->boot_id && j->newest.boot_id;
	int64_t seconds = known ? at->boot / 1000 : 0; /* it was there when this boot began */

	if (known && at->boot_id == j->newest.boot_id)
		seconds = stamp_between(&j->newest, at);
	else
		end_boot(j);
	j->awake += clamp(seconds, AGE_MAX - j->awake);
	j->newest = *at;
	j->age = j->awake;
	if (at->believable)
		j->age += clamp(at->wall - j->awake - j->born, j->off);
}

int64_t
journal_age(const struct journal *j, const struct stamp *now)
{
	struct journal then = *j;

	advance(&then, now);
	return then.age;
}

int64_t
journal_rcpt_age(const struct journal *j, const struct journal_rcpt *r, const struct stamp *now)
{
	int64_t age = journal_age(j, now);

	/* An age that shrank was a wrong clock's. */
	return r->bounce && j->bounce_ages[r->bounce - 1] <= age ?
	       age - j->bounce_ages[r->bounce - 1] : age;
}

/* Sets */

typedef void rcpt_visit(void *ctx, size_t rcpt);

/* Takes the first range off *set. Ranges ascend: this one begins at from or later. */
static int
take_range(struct str *set, size_t from, size_t count, size_t *first, size_t *last)
{
	size_t comma = str_find(*set, ',');
	struct str item = str_upto(*set, comma);
	size_t dash = str_find(item, '-');
	uint64_t low, high;

	if (count == 0 || comma + 1 == set->len)
		return -1;
	if (str_number(str_upto(item, dash), count - 1, &low))
		return -1;
	high = low;
	if (dash < item.len && str_number(str_from(item, dash + 1), count - 1, &high))
		return -1;
	if (low < from || high < low)
		return -1;
	*first = (size_t)low;
	*last = (size_t)high;
	*set = str_from(*set, comma + 1);
	return 0;
}

static bool
is_star(struct str set)
{
	return set.len == 1 && set.ptr[0] == '*';
}

/* Visits each index of a set. 0; -1: malformed or out of range, after visiting some. */
static int
visit_set(struct str set, const struct journal *j, rcpt_visit *visit, void *ctx)
{
	size_t next = 0, last;

	if (is_star(set)) {
		for (size_t i = 0; i < j->count; i++)
			if (j->rcpts[i].fate == JOURNAL_PENDING)
				visit(ctx, i);
		return 0;
	}
	do {
		if (take_range(&set, next, j->count, &next, &last))
			return -1;
		while (next <= last)
			visit(ctx, next++);
	} while (set.len > 0);
	return 0;
}

static void
look(void *ctx, size_t rcpt)
{
	(void)ctx;
	(void)rcpt;
}

static bool
is_set(struct str set, const struct journal *j)
{
	return is_star(set) || !visit_set(set, j, look, NULL);
}

static void
set_mark(void *ctx, size_t rcpt)
{
	((unsigned char *)ctx)[rcpt] = 1;
}

int
journal_parse_set(struct str set, const struct journal *j, unsigned char *mark)
{
	memset(mark, 0, j->count);
	return visit_set(set, j, set_mark, mark);
}

static bool
is_all_pending(const struct journal *j, const unsigned char *mark)
{
	for (size_t i = 0; i < j->count; i++)
		if ((mark[i] != 0) != (j->rcpts[i].fate == JOURNAL_PENDING))
			return false;
	return true;
}

void
journal_print_set(const struct journal *j, const unsigned char *mark, bool star,
		  struct buf *out)
{
	const char *comma = "";

	if (star && is_all_pending(j, mark)) {
		buf_putc(out, '*');
		return;
	}
	for (size_t i = 0; i < j->count; i++) {
		if (!mark[i])
			continue;
		size_t first = i;
		while (i + 1 < j->count && mark[i + 1])
			i++;
		buf_print(out, "%s%zu", comma, first);
		if (i > first)
			buf_print(out, "-%zu", i);
		comma = ",";
	}
}

/* The fold: each event's function says whether the line can be. */

static void
copy_text(struct outcome *o, struct str text)
{
	text = str_upto(text, sizeof o->text - 1);
	if (text.len > 0)
		memcpy(o->text, text.ptr, text.len);
	o->text[text.len] = '\0';
}

/* Of "4.4.1 0 connection refused" all but the words. */
static int
take_status(struct str *args, struct outcome *o)
{
	uint64_t code;

	if (outcome_parse_status(str_cut(args, ' '), o) || str_cut_number(args, ' ', 999, &code))
		return -1;
	o->code = (unsigned short)code;
	return 0;
}

struct settle {
	struct journal *j;
	const struct event *ev;
	enum verdict verdict;
};

static void
settle_rcpt(void *ctx, size_t rcpt)
{
	const struct settle *s = ctx;
	struct journal_rcpt *r = &s->j->rcpts[rcpt];

	if (r->fate != JOURNAL_PENDING)
		return;
	if (s->verdict == TEMPFAIL)
		r->attempts++;
	else
		r->fate = s->verdict == DELIVERED ? JOURNAL_SENT : JOURNAL_FAILED;
	r->reported = s->ev->number == PASSED;
	r->last = s->ev->args;
	r->last_at = s->ev->at;
	s->j->deaf = s->j->deaf || (r->bounce && r->fate == JOURNAL_FAILED);
}

static bool
fold_verdict(struct journal *j, const struct event *ev)
{
	struct settle s = {j, ev, ev->number == PASSED ? DELIVERED : (enum verdict)ev->number};
	struct str args = ev->args;
	struct outcome o; /* but for its words, which would take longer than all else */

	o.verdict = TEMPFAIL;
	if (take_status(&args, &o) || o.verdict != s.verdict || !is_set(ev->set, j))
		return false;
	visit_set(ev->set, j, settle_rcpt, &s);
	return true;
}

/* A word for a header field: something, and nothing that could end the field or its <>. */
static bool
is_word(struct str s)
{
	for (size_t i = 0; i < s.len; i++)
		if (str_is_control(s.ptr[i]) || s.ptr[i] == '<' || s.ptr[i] == '>')
			return false;
	return s.len > 0;
}

static bool
fold_facts(struct journal *j, const struct event *ev)
{
	struct str args = ev->args;
	struct str date = str_cut(&args, ' '), id = str_cut(&args, ' '), host = args;
	uint64_t seconds;

	if (!is_star(ev->set) || str_number(date, INT64_MAX, &seconds) ||
	    !is_word(id) || !is_word(host) || str_find(host, ' ') < host.len)
		return false;
	if (j->has_facts)
		return true;
	j->has_facts = true;
	j->date = (int64_t)seconds;
	j->message_id = id;
	j->host = host;
	return true;
}

static bool
fold_mailbox(struct journal *j, const struct event *ev)
{
	struct str args = ev->args;
	struct str device = str_cut(&args, ' '), inode = str_cut(&args, ' ');
	uint64_t rcpt, place[3];

	if (j->count == 0 || str_number(ev->set, j->count - 1, &rcpt) ||
	    str_number(device, UINT64_MAX, &place[0]) ||
	    str_number(inode, UINT64_MAX, &place[1]) ||
	    str_number(args, UINT64_MAX, &place[2]))
		return false;
	struct journal_rcpt *r = &j->rcpts[rcpt];
	if (r->fate != JOURNAL_PENDING)
		return true;
	r->has_mailbox = true;
	r->device = place[0];
	r->inode = place[1];
	r->start = place[2];
	return true;
}

static void
add_rcpt(struct journal *j, const struct journal_rcpt *r)
{
	if (j->count == j->cap) {
		j->cap = 2 * j->cap + 1;
		j->rcpts = buf_array(j->rcpts, j->cap, sizeof *j->rcpts);
	}
	j->rcpts[j->count++] = *r;
}

/* One more that is sent a bounce. covers: "" of a warning. */
static void
add_bounce(struct journal *j, const struct event *ev, struct str covers, struct str address,
	   bool failure)
{
	size_t number = j->bounce_count++;

	j->covers = buf_array(j->covers, number + 1, sizeof *j->covers);
	j->covers[number] = covers;
	j->bounce_ages = buf_array(j->bounce_ages, number + 1, sizeof *j->bounce_ages);
	j->bounce_ages[number] = journal_age(j, &ev->at);
	add_rcpt(j, &(struct journal_rcpt){
		.address = address,
		.kind = JOURNAL_ALIAS,
		.notify.asks = failure ? 0 : NOTIFY_NEVER,
		.bounce = (uint32_t)number + 1,
		.last_at = ev->at,
	});
}

struct cover {
	struct journal *j;
	bool failure; /* there is one */
};

static void
cover_rcpt(void *ctx, size_t rcpt)
{
	struct cover *c = ctx;
	struct journal_rcpt *r = &c->j->rcpts[rcpt];

	if (r->fate != JOURNAL_PENDING)
		r->reported = true;
	c->failure = c->failure || r->fate == JOURNAL_FAILED;
}

static bool
fold_bounce(struct journal *j, const struct event *ev)
{
	if (is_star(ev->set) || !is_set(ev->set, j) ||
	    !envelope_is_address(ev->args))
		return false;
	struct cover c = {.j = j};
	visit_set(ev->set, j, cover_rcpt, &c);

	/* The same line again: its writer was not told that it stood. */
	for (size_t i = 0; i < j->count; i++) {
		const struct journal_rcpt *r = &j->rcpts[i];
		if (r->bounce && !r->parent && str_eq(r->address, ev->args) &&
		    str_eq(j->covers[r->bounce - 1], ev->set))
			return true;
	}
	add_bounce(j, ev, ev->set, ev->args, c.failure);
	return true;
}

static bool
fold_warning(struct journal *j, const struct event *ev)
{
	struct str address = ev->args, until = str_cut(&address, ' ');
	uint64_t seconds;

	if (!is_star(ev->set) || str_number(until, INT64_MAX, &seconds) ||
	    !envelope_is_address(address))
		return false;
	/* Once. */
	if (j->warning)
		return true;
	j->give_up = (int64_t)seconds;
	j->delays = buf_array(NULL, j->count, sizeof *j->delays);
	for (size_t i = 0; i < j->count; i++) {
		const struct journal_rcpt *r = &j->rcpts[i];
		if (!journal_warns_of(r))
			continue;
		j->delays[j->delay_count++] = (struct journal_delay){
			(uint32_t)i, r->last, r->last_at,
		};
	}
	add_bounce(j, ev, (struct str){0}, address, false);
	j->warning = (uint32_t)j->bounce_count;
	return true;
}

/* Where recipients begin that may be the same as r, so that an expansion to thousands does
 * not look at each for each. */
static uint32_t *
find_slot(const struct journal *j, const struct journal_rcpt *r)
{
	return &j->slots[(addr_hash(r->address) + r->part) % SLOTS];
}

static void
hash_all(struct journal *j)
{
	if (!j->slots) {
		j->slots = buf_array(NULL, SLOTS, sizeof *j->slots);
		memset(j->slots, 0, SLOTS * sizeof *j->slots);
	}
	while (j->hashed < j->count) {
		struct journal_rcpt *r = &j->rcpts[j->hashed++];
		uint32_t *slot = find_slot(j, r);
		r->namesake = *slot;
		*slot = (uint32_t)j->hashed;
	}
}

/* The one that is there already to do for what r is there for: from an earlier line for r
 * itself, or from elsewhere. The latter must not have been expanded: of two that lead to each
 * other, both would count as done and nobody would have the mail. */
static struct journal_rcpt *
find_same(struct journal *j, const struct journal_rcpt *r)
{
	hash_all(j);
	for (uint32_t next = *find_slot(j, r); next; next = j->rcpts[next - 1].namesake) {
		struct journal_rcpt *other = &j->rcpts[next - 1];
		if (other->kind == r->kind && other->part == r->part &&
		    other->bounce == r->bounce && addr_same(other->address, r->address) &&
		    (other->parent == r->parent || !other->expanded))
			return other;
	}
	return NULL;
}

/* r is one more that takes parent's place. Of several, none speaks of success for it. */
static void
inherit(struct journal *j, const struct journal_rcpt *parent, struct journal_rcpt *r)
{
	r->notify = parent->notify;
	if (parent->expanded < 2)
		return;
	notify_drop_success(&r->notify);
	for (size_t i = 0; i < j->count && parent->expanded == 2; i++)
		if (j->rcpts[i].parent == r->parent)
			notify_drop_success(&j->rcpts[i].notify);
}

static bool
take_kind(struct str *args, struct journal_rcpt *r)
{
	struct str word = str_cut(args, ' ');
	unsigned kind = 0;
	uint64_t part = 0;

	while (kind < KINDS && !str_same(word, kind_words[kind]))
		kind++;
	if (kind == KINDS)
		return false;
	r->kind = (enum journal_kind)kind;
	if (kind == JOURNAL_ALIAS_PART || kind == JOURNAL_FORWARD_PART)
		if (str_cut_number(args, ' ', UINT32_MAX, &part) || part == 0)
			return false;
	r->part = (unsigned)part;
	return true;
}

static bool
fold_expand(struct journal *j, const struct event *ev)
{
	struct journal_rcpt r = {.address = ev->args, .last_at = ev->at};
	uint64_t n;

	if (j->count == 0 || str_number(ev->set, j->count - 1, &n) ||
	    !take_kind(&r.address, &r) || !envelope_is_address(r.address))
		return false;
	struct journal_rcpt *parent = &j->rcpts[n];
	if (parent->fate != JOURNAL_PENDING)
		return true;
	parent->expanded++;
	r.parent = (uint32_t)n + 1;
	r.bounce = parent->bounce;
	struct journal_rcpt *same = find_same(j, &r);
	if (same && same->parent == r.parent) {
		parent->expanded--;
		return true;
	}
	inherit(j, parent, &r);
	if (same)
		notify_merge(&same->notify, &r.notify);
	else
		add_rcpt(j, &r);
	return true;
}

static bool
fold_held(struct journal *j, const struct event *ev)
{
	(void)j;
	return is_star(ev->set) && ev->args.len == 0;
}

static const struct {
	const char *word;
	bool (*fold)(struct journal *j, const struct event *ev);
} events[] = {
	[TEMPFAIL] = {"deferred", fold_verdict},
	[DELIVERED] = {"sent", fold_verdict},
	[PERMFAIL] = {"failed", fold_verdict},
	[PASSED] = {"passed", fold_verdict},
	[HELD] = {"held", fold_held},
	[RELEASED] = {"released", fold_held},
	{"facts", fold_facts},
	{"mailbox", fold_mailbox},
	{"bounce", fold_bounce},
	{"warning", fold_warning},
	{"expand", fold_expand},
};

static bool
fold_event(struct journal *j, struct event *ev)
{
	for (size_t n = 0; n < sizeof events / sizeof *events; n++) {
		if (!str_same(ev->word, events[n].word))
			continue;
		ev->number = n;
		return events[n].fold(j, ev);
	}
	return false;
}

static const char digits[] = "0123456789abcdef";

static void
print_checksum(const struct journal *j, struct str text, char checksum[CHECKSUM])
{
	uint32_t crc = codec_crc32(j->origin, text);

	checksum[0] = ' ';
	for (size_t i = 1; i < CHECKSUM; i++, crc <<= 4)
		checksum[i] = digits[crc >> 28];
}

/* Whether text's stands behind it. */
static bool
has_checksum(const struct journal *j, struct str text)
{
	uint32_t crc = codec_crc32(j->origin, text);
	size_t at = CHECKSUM;

	while (--at > 0 && text.ptr[text.len + at] == digits[crc & 15])
		crc >>= 4;
	return at == 0 && text.ptr[text.len] == ' ';
}

/* One line without its LF, whose checksum is right. */
static bool
parse_line(const struct journal *j, struct str line, struct event *ev)
{
	if (line.len < CHECKSUM || line.len >= LIMIT_JOURNAL_LINE)
		return false;
	struct str rest = str_upto(line, line.len - CHECKSUM);
	if (!has_checksum(j, rest))
		return false;
	ev->word = str_cut(&rest, ' ');
	if (stamp_parse(&rest, &ev->at))
		return false;
	ev->set = str_cut(&rest, ' ');
	ev->args = rest;
	return true;
}

static bool
fold_line(struct journal *j, struct str line)
{
	struct event ev;

	if (!parse_line(j, line, &ev) || !fold_event(j, &ev))
		return false;
	j->held = ev.number == HELD;
	advance(j, &ev.at);
	return true;
}

void
journal_print_event(const struct journal *j, struct str line, struct buf *out)
{
	struct event ev;

	if (parse_line(j, line, &ev)) {
		date_print_iso(ev.at.wall, out);
		buf_print(out, " %.*s %.*s %.*s", STR_ARG(ev.word), STR_ARG(ev.set),
			  STR_ARG(ev.args));
	} else {
		buf_puts(out, "not believed: ");
		buf_str(out, line);
	}
}

void
journal_fold_more(struct journal *j, struct str text)
{
	while (text.len > 0) {
		size_t end = str_find(text, '\n');
		/* The checksum decides, also of a last line that lost only its LF: the next
		 * append gives it one, and must not change what it says. */
		if (!fold_line(j, str_upto(text, end)))
			j->skipped++;
		text = str_from(text, end + 1);
	}
}

void
journal_fold(struct str text, struct str id, const struct envelope *e, struct journal *j)
{
	*j = (struct journal){
		.origin = codec_crc32(0, id),
		.rcpts = buf_array(NULL, e->rcpt_count, sizeof *j->rcpts),
		.cap = e->rcpt_count,
		.newest = e->arrived,
		.deaf = e->sender.len == 0,
	};
	while (j->count < e->rcpt_count) {
		const struct envelope_rcpt *r = &e->rcpts[j->count];
		j->rcpts[j->count++] = (struct journal_rcpt){
			.address = r->address,
			.kind = r->alias ? JOURNAL_ALIAS : JOURNAL_ADDRESS,
			.notify = r->notify,
			.last_at = e->arrived,
		};
	}
	journal_fold_more(j, text);
}

void
journal_free(struct journal *j)
{
	buf_release(j->rcpts);
	buf_release(j->covers);
	buf_release(j->bounce_ages);
	buf_release(j->delays);
	buf_release(j->slots);
	*j = (struct journal){0};
}

size_t
journal_pending(const struct journal *j)
{
	size_t n = 0;

	for (size_t i = 0; i < j->count; i++)
		n += j->rcpts[i].fate == JOURNAL_PENDING;
	return n;
}

bool
journal_owes(const struct journal *j, const struct journal_rcpt *r)
{
	bool success = r->fate == JOURNAL_SENT && r->expanded != 1 && !j->deaf;

	if (r->reported || (r->fate != JOURNAL_FAILED && !success))
		return false;
	return notify_wants(&r->notify, success ? NOTIFY_SUCCESS : NOTIFY_FAILURE);
}

size_t
journal_owed(const struct journal *j)
{
	size_t n = 0;

	for (size_t i = 0; i < j->count; i++)
		n += journal_owes(j, &j->rcpts[i]);
	return n;
}

bool
journal_warns_of(const struct journal_rcpt *r)
{
	return r->fate == JOURNAL_PENDING && !r->bounce && notify_wants(&r->notify, NOTIFY_DELAY);
}

bool
journal_may_warn(const struct journal *j)
{
	return !j->warning && !j->deaf;
}

enum journal_news
journal_news(const struct journal *j, const struct journal_rcpt *r)
{
	return r->bounce == j->warning ? JOURNAL_DELAY :
	       r->notify.asks == NOTIFY_NEVER ? JOURNAL_SUCCESS : JOURNAL_FAILURE;
}

struct tell {
	const struct journal *j;
	enum journal_fate fate;
	journal_visit *visit;
	void *ctx;
};

static void
tell_rcpt(void *ctx, size_t rcpt)
{
	const struct tell *t = ctx;

	if (t->j->rcpts[rcpt].fate == t->fate)
		t->visit(t->ctx, &t->j->rcpts[rcpt]);
}

void
journal_visit_told(const struct journal *j, const struct journal_rcpt *r, journal_visit *visit,
		   void *ctx)
{
	enum journal_news news = journal_news(j, r);
	struct tell t = {
		j, news == JOURNAL_SUCCESS ? JOURNAL_SENT : JOURNAL_FAILED, visit, ctx,
	};

	if (news != JOURNAL_DELAY)
		visit_set(j->covers[r->bounce - 1], j, tell_rcpt, &t);
	for (size_t i = 0; i < j->delay_count && news == JOURNAL_DELAY; i++) {
		struct journal_rcpt then = j->rcpts[j->delays[i].rcpt];
		then.fate = JOURNAL_PENDING;
		then.last = j->delays[i].last;
		then.last_at = j->delays[i].last_at;
		visit(ctx, &then);
	}
}

bool
journal_has_ancestor(const struct journal *j, size_t n, enum journal_kind kind,
		     struct str address)
{
	for (const struct journal_rcpt *r = &j->rcpts[n];; r = &j->rcpts[r->parent - 1]) {
		if (r->kind == kind && addr_same(r->address, address))
			return true;
		if (!r->parent)
			return false;
	}
}

struct outcome
journal_outcome(const struct journal_rcpt *r)
{
	struct outcome o = {0};
	struct str text = r->last; /* of a line that was believed, or of none */

	if (text.len > 0) {
		take_status(&text, &o);
		copy_text(&o, text);
	}
	return o;
}

/* Lines */

static size_t
begin_line(const char *word, const struct stamp *now, struct str set, struct buf *out)
{
	size_t start = out->len;

	buf_puts(out, word);
	buf_putc(out, ' ');
	stamp_print(now, out);
	buf_putc(out, ' ');
	buf_str(out, set);
	return start;
}

static void
end_line(const struct journal *j, size_t start, struct buf *out)
{
	char checksum[CHECKSUM];

	print_checksum(j, buf_tail(out, start), checksum);
	buf_add(out, checksum, CHECKSUM);
	buf_putc(out, '\n');
}

/* Takes as much of a set as goes into one line. */
static struct str
take_part(struct str *set)
{
	size_t len = set->len;

	if (len > SET_PART)
		for (len = SET_PART; len > 0 && set->ptr[len] != ','; len--)
			;
	if (len == 0)
		len = set->len;
	struct str part = str_upto(*set, len);
	*set = str_from(*set, len + 1);
	return part;
}

/* As much of words as takes len bytes: up to a blank, lest somebody copies half a fingerprint;
 * of a longer word, up to a character. */
static struct str
cut_words(struct str words, size_t len)
{
	size_t end = len, word = 0;

	while (end > 0 && words.ptr[end] != ' ' && word++ < WORD)
		end--;
	if (end == 0 || words.ptr[end] != ' ')
		for (end = len; end > 0 && (words.ptr[end] & 0xc0) == 0x80; end--)
			;
	return str_upto(words, end);
}

/* A blank and the words, all on one line: at most room bytes, "..." for what is cut. */
static void
print_words(struct str words, size_t room, struct buf *out)
{
	struct str whole = words;

	if (whole.len >= room)
		words = cut_words(whole, room > 4 ? room - 4 : 0);
	if (words.len > 0)
		buf_putc(out, ' ');
	for (size_t i = 0; i < words.len; i++)
		buf_putc(out, str_is_control(words.ptr[i]) ? '?' : words.ptr[i]);
	if (words.len > 0 && words.len < whole.len)
		buf_puts(out, "...");
}

void
journal_print_facts(const struct journal *j, const struct stamp *now, int64_t date,
		    struct str message_id, struct str host, struct buf *out)
{
	size_t start = begin_line("facts", now, STR("*"), out);

	buf_print(out, " %lld ", (long long)(date > 0 ? date : 0));
	buf_str(out, message_id);
	buf_putc(out, ' ');
	buf_str(out, host);
	end_line(j, start, out);
}

void
journal_print_outcome(const struct journal *j, const struct stamp *now, struct str set,
		      const struct outcome *o, struct buf *out)
{
	size_t limit = o->verdict == TEMPFAIL ? LIMIT_DEFERRAL_LINE : LIMIT_JOURNAL_LINE;

	while (set.len > 0) {
		struct str part = take_part(&set);
		size_t start = begin_line(events[o->passed ? PASSED : o->verdict].word, now,
					  part, out);
		buf_putc(out, ' ');
		outcome_print_status(o, out);
		buf_print(out, " %u", (unsigned)o->code);
		size_t used = out->len - start + CHECKSUM + 1;
		size_t room = used < limit ? limit - used : 0;
		print_words(str_of(o->text), room, out);
		end_line(j, start, out);
	}
}

/* The same for a set of one. */
static size_t
begin_rcpt_line(const char *word, const struct stamp *now, size_t rcpt, struct buf *out)
{
	char set[24];
	size_t len = fmt_print(set, sizeof set, "%zu", rcpt);

	return begin_line(word, now, (struct str){set, len}, out);
}

void
journal_print_mailbox(const struct journal *j, const struct stamp *now, size_t rcpt,
		      uint64_t device, uint64_t inode, uint64_t start, struct buf *out)
{
	size_t line = begin_rcpt_line("mailbox", now, rcpt, out);

	buf_print(out, " %llu %llu %llu", (unsigned long long)device,
		  (unsigned long long)inode, (unsigned long long)start);
	end_line(j, line, out);
}

void
journal_print_bounce(const struct journal *j, const struct stamp *now, struct str set,
		     struct str address, struct buf *out)
{
	while (set.len > 0) {
		size_t start = begin_line("bounce", now, take_part(&set), out);
		buf_putc(out, ' ');
		buf_str(out, address);
		end_line(j, start, out);
	}
}

void
journal_print_warning(const struct journal *j, const struct stamp *now, int64_t give_up,
		      struct str address, struct buf *out)
{
	size_t start = begin_line("warning", now, STR("*"), out);

	buf_print(out, " %lld %.*s", (long long)(give_up > 0 ? give_up : 0), STR_ARG(address));
	end_line(j, start, out);
}

void
journal_print_expand(const struct journal *j, const struct stamp *now, size_t rcpt,
		     enum journal_kind kind, unsigned part, struct str address,
		     struct buf *out)
{
	size_t line = begin_rcpt_line("expand", now, rcpt, out);

	buf_print(out, " %s ", kind_words[kind]);
	if (part)
		buf_print(out, "%u ", part);
	buf_str(out, address);
	end_line(j, line, out);
}

void
journal_print_held(const struct journal *j, const struct stamp *now, bool held,
		   struct buf *out)
{
	end_line(j, begin_line(events[held ? HELD : RELEASED].word, now, STR("*"), out), out);
}
