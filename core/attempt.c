/* SPDX-License-Identifier: ISC */
#include "attempt.h"
#include "clock.h"
#include "dsn.h"
#include "encode.h"
#include "file.h"
#include "log.h"
#include "render.h"
#include "route.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { WRITE_AGAIN_MS = 5000 };

/* What goes into the journal in one write. */
struct attempt_lines {
	struct attempt_lines *next; /* younger */
	size_t len;
	char text[];
};

uint32_t
attempt_salt(struct str id)
{
	uint32_t salt = 0;

	for (size_t n = 0; n < id.len; n++)
		salt = salt * 31 + (unsigned char)id.ptr[n];
	return salt;
}

/* --- opening and closing --------------------------------------------------------------- */

/* The arrays that go by recipient follow a journal that has grown. */
static void
fit_marks(struct attempt *a)
{
	size_t count = a->journal.count;

	if (count == a->marks)
		return;
	a->mark = buf_array(a->mark, count, 1);
	a->verdict_set = buf_array(a->verdict_set, count, 1);
	memset(a->mark + a->marks, ATTEMPT_IDLE, count - a->marks);
	memset(a->verdict_set + a->marks, 0, count - a->marks);
	a->marks = count;
}

static enum spool_result
set_aside(struct attempt *a, char state, const char *why)
{
	log_error("%s: %s: kept as %c%s", a->id, why, state, a->id);
	/* Not synced: what a power cut brings back is set aside again. */
	if (spool_move(a->spool, &a->claim, state) == 0)
		return SPOOL_GONE;
	log_error("%s: cannot rename it, left alone:", a->id);
	spool_release(&a->claim);
	return SPOOL_ERROR;
}

static void
free_memory(struct attempt *a)
{
	journal_free(&a->journal);
	envelope_free(&a->envelope);
	while (a->lines) {
		struct attempt_lines *first = a->lines;
		a->lines = first->next;
		buf_release(first);
	}
	buf_free(&a->text);
	buf_free(&a->log);
	buf_free(&a->fields);
	buf_release(a->mark);
	buf_release(a->verdict_set);
}

void
attempt_close(struct attempt *a)
{
	if (a->claim.fd >= 0)
		spool_release(&a->claim);
	free_memory(a);
}

/* Nobody is sent what cannot be said to have been sent: each runner would begin anew. */
static enum spool_result
refuse_unwritable(const struct attempt *a)
{
	/* A file system that is read-only stays so for a while. */
	bool lasts = errno == EROFS || errno == EPERM || errno == EACCES;

	log_error("%s: its journal cannot be written%s:", a->id, lasts ? ", left alone" : " now");
	return lasts ? SPOOL_ERROR : SPOOL_BUSY;
}

/* What is claimed, and then whether it may be delivered. */
static enum spool_result
take_in(struct attempt *a)
{
	const char *why = "";

	if (spool_read(&a->claim, &a->text, &a->log, &a->envelope, &a->journal, &why)) {
		if (errno == EINVAL)
			return set_aside(a, 'C', why);
		log_error("%s: cannot be read now: %s", a->id, why);
		return SPOOL_BUSY;
	}
	a->journal_bytes = a->log.len;
	a->before = a->journal.newest;
	fit_marks(a);
	a->retried = a->journal.has_facts;
	return spool_open_journal(a->spool, &a->claim) ? refuse_unwritable(a) : SPOOL_OK;
}

enum spool_result
attempt_open(struct attempt *a, struct spool *spool, const struct conf *conf, struct str id)
{
	*a = (struct attempt){.spool = spool, .conf = conf};
	memcpy(a->id, id.ptr, SPOOL_ID);
	enum spool_result r = spool_claim(spool, 'Q', id, &a->claim);
	if (r == SPOOL_ERROR && errno != EINVAL) {
		log_error("%s: cannot be locked now:", a->id);
		return SPOOL_BUSY;
	}
	/* A link, a FIFO, a directory: nothing will make mail of it. */
	if (r == SPOOL_ERROR && !spool_is_file(spool, &a->claim))
		return set_aside(a, 'C', "not a file");
	if (r == SPOOL_ERROR)
		log_error("%s: not a file that we deliver, left alone", a->id);
	if (r != SPOOL_OK)
		return r;
	r = take_in(a);
	if (r != SPOOL_OK)
		attempt_close(a);
	return r;
}

enum spool_result
attempt_hold(struct attempt *a)
{
	struct buf line = {0};
	struct stamp now;

	/* Where the line gets lost, it counts as held by an operator, and stays. */
	clock_read(&now);
	journal_print_held(&a->journal, &now, true, &line);
	spool_append(a->spool, &a->claim, buf_view(&line), SPOOL_NOTE);
	buf_free(&line);
	return set_aside(a, 'H', "undeliverable, and neither its sender nor a postmaster can be told");
}

/* --- marks ----------------------------------------------------------------------------- */

static void
set_mark(struct attempt *a, size_t n, unsigned char mark)
{
	a->waiting -= a->mark[n] == ATTEMPT_WAITING;
	a->taken -= a->mark[n] >= ATTEMPT_TAKEN;
	a->mark[n] = mark;
	a->waiting += mark == ATTEMPT_WAITING;
	a->taken += mark >= ATTEMPT_TAKEN;
}

void
attempt_want(struct attempt *a, size_t n)
{
	set_mark(a, n, ATTEMPT_WAITING);
}

void
attempt_take(struct attempt *a, size_t n, unsigned char mark)
{
	set_mark(a, n, mark);
}

void
attempt_untake(struct attempt *a, size_t n)
{
	set_mark(a, n, ATTEMPT_WAITING);
}

/* --- recording ------------------------------------------------------------------------- */

/* Into the journal in memory, whose ranges point into its text: each piece has a place of its
 * own. Only what is new is folded. */
static void
remember(struct attempt *a, struct str lines)
{
	struct attempt_lines *l = buf_array(NULL, 1, sizeof *l + lines.len);

	memcpy(l->text, lines.ptr, lines.len);
	l->len = lines.len;
	l->next = NULL;
	*(a->newest ? &a->newest->next : &a->lines) = l;
	a->newest = l;
	a->journal_bytes += lines.len;
	journal_fold_more(&a->journal, (struct str){l->text, lines.len});
	fit_marks(a);
}

/* What becomes of a line that the disk does not take. */
enum weight {
	LIGHT,  /* let go: a deferral that gets lost costs one early attempt */
	KEPT,   /* written again and again */
	SYNCED, /* the same, and on disk before anything follows from it */
};

/* What was remembered last, to disk: behind what still waits to get there. */
static void
put_newest(struct attempt *a, enum weight weight)
{
	struct str lines = {a->newest->text, a->newest->len};

	a->must_write = a->must_write || (a->unwritten && weight == SYNCED);
	if (a->unwritten || spool_append(a->spool, &a->claim, lines,
					 weight == SYNCED ? SPOOL_FINAL : SPOOL_NOTE) == 0)
		return;
	a->gone = a->gone || errno == ENOENT;
	if (a->gone || weight == LIGHT)
		return;
	a->stalled = errno != ENOSPC && errno != EDQUOT;
	log_error("%s: cannot write its journal, will try again:", a->id);
	a->must_write = weight == SYNCED;
	a->unwritten = a->newest;
	a->write_again = clock_ms() + WRITE_AGAIN_MS;
}

/* Nothing waits to be written any more. */
static void
forget_unwritten(struct attempt *a)
{
	a->unwritten = NULL;
	a->must_write = a->stalled = false;
	a->write_again = 0;
}

/* Lines into the journal, in memory first. */
static void
append(struct attempt *a, struct str lines, enum weight weight)
{
	remember(a, lines);
	put_newest(a, weight);
}

/* The line of the verdicts kept, which are then kept no more. */
static void
print_verdicts(struct attempt *a, struct buf *out)
{
	struct stamp now;
	struct buf set = {0};

	clock_read(&now);
	journal_print_set(&a->journal, a->verdict_set, a->verdict.verdict == TEMPFAIL, &set);
	journal_print_outcome(&a->journal, &now, buf_view(&set), &a->verdict, out);
	memset(a->verdict_set, 0, a->journal.count);
	a->verdicts = 0;
	buf_free(&set);
}

static enum weight
weight_of(const struct outcome *o)
{
	return o->verdict == TEMPFAIL ? LIGHT : SYNCED;
}

static void
write_verdicts(struct attempt *a)
{
	struct buf line = {0};

	if (a->verdicts == 0)
		return;
	print_verdicts(a, &line);
	append(a, buf_view(&line), weight_of(&a->verdict));
	buf_free(&line);
}

/* True: nothing waits to be written any more. Else errno says why. Each piece is on disk before
 * the next is written, as they would have been: some follow from those before, and of one write
 * a power cut may leave the end without the beginning. */
static bool
write_again(struct attempt *a)
{
	for (; a->unwritten && !a->gone; a->unwritten = a->unwritten->next) {
		struct str lines = {a->unwritten->text, a->unwritten->len};
		if (spool_append(a->spool, &a->claim, lines, SPOOL_FINAL) == 0)
			continue;
		int err = errno;
		a->gone = err == ENOENT;
		a->write_again = clock_ms() + WRITE_AGAIN_MS;
		errno = err;
		if (!a->gone)
			return false;
	}
	forget_unwritten(a);
	return true;
}

bool
attempt_write(struct attempt *a, bool at_once)
{
	write_verdicts(a);
	if (a->write_again > clock_ms() && !at_once)
		return false;
	return write_again(a);
}

static bool
same_outcome(const struct outcome *a, const struct outcome *b)
{
	return a->verdict == b->verdict && a->subject == b->subject && a->detail == b->detail &&
	       a->code == b->code && a->passed == b->passed &&
	       strcmp(a->text, b->text) == 0;
}

static void
log_outcome(const struct attempt *a, size_t n, const struct outcome *o, struct str relay)
{
	const struct journal_rcpt *r = &a->journal.rcpts[n];
	struct buf line = {0};
	struct stamp now;

	clock_read(&now);
	render_id(str_of(a->id), r->bounce, &line);
	buf_puts(&line, ": to=<");
	render_address(r->address, str_of(a->conf->mailname), &line);
	if (relay.len == 0)
		relay = STR("none");
	buf_print(&line, ">, relay=%.*s, delay=%lld, dsn=", STR_ARG(relay),
		  (long long)journal_rcpt_age(&a->journal, r, &now));
	outcome_print_status(o, &line);
	log_info("%s, status=%s (%s)", buf_cstr(&line), outcome_word(o), o->text);
	buf_free(&line);
}

void
attempt_record(struct attempt *a, size_t n, const struct outcome *o, struct str relay)
{
	set_mark(a, n, ATTEMPT_IDLE);
	log_outcome(a, n, o, relay);
	if (a->verdicts && !same_outcome(&a->verdict, o))
		write_verdicts(a);
	a->verdict = *o;
	a->verdict_set[n] = 1;
	a->verdicts++;
}

bool
attempt_has_verdict(const struct attempt *a, size_t n)
{
	return a->verdict_set[n];
}

int
attempt_write_mailbox(struct attempt *a, size_t n, const uint64_t place[3])
{
	struct stamp now;
	struct buf line = {0};

	if (!write_again(a))
		return -1;
	clock_read(&now);
	journal_print_mailbox(&a->journal, &now, n, place[0], place[1], place[2], &line);
	int rc = spool_append(a->spool, &a->claim, buf_view(&line), SPOOL_SYNCED_NOTE);
	if (rc == 0)
		remember(a, buf_view(&line));
	buf_free(&line);
	return rc;
}

/* Those that n stands for. */
static void
print_expansion(const struct attempt *a, size_t n, const struct local_target *targets,
		size_t count, struct buf *lines)
{
	struct stamp now;

	clock_read(&now);
	for (size_t i = 0; i < count; i++) {
		const struct local_target *t = &targets[i];
		/* A circle through several .forward files, which none of them shows, or aliases.
		 * In the latter case t is no user; but then n is one, by whose file t came. */
		bool circle = !t->part &&
			      journal_has_ancestor(&a->journal, n, t->kind, t->address);
		struct str end = t->kind == JOURNAL_ALIAS ? a->journal.rcpts[n].address : t->address;
		journal_print_expand(&a->journal, &now, n, circle ? JOURNAL_MAILBOX : t->kind,
				     t->part, circle ? addr_local(end) : t->address, lines);
	}
}

/* The verdict of n, which needs no line in the log. */
static void
write_expanded(struct attempt *a, size_t n, size_t count)
{
	write_verdicts(a);
	a->verdict = outcome_make(DELIVERED, 0, 0, "expanded to %zu", count);
	a->verdict_set[n] = 1;
	a->verdicts = 1;
	write_verdicts(a);
}

void
attempt_expand(struct attempt *a, size_t n, const struct local_target *targets, size_t count)
{
	size_t before = a->journal.count;
	struct buf lines = {0};

	print_expansion(a, n, targets, count, &lines);
	if (before - a->envelope.rcpt_count + count > LIMIT_ALIAS_FANOUT ||
	    a->journal_bytes + lines.len > LIMIT_JOURNAL / 2) {
		struct outcome o = outcome_make(TEMPFAIL, 5, 3, "it stands for too many recipients");
		attempt_record(a, n, &o, STR("local"));
	} else {
		log_info("%s: <%.*s> is expanded to %zu", a->id,
			 STR_ARG(a->journal.rcpts[n].address), count);
		set_mark(a, n, ATTEMPT_IDLE);
		append(a, buf_view(&lines), SYNCED);
		/* When those are on disk: of one write a power cut may leave the end without
		 * the beginning, and n would be done with nobody in its place. */
		write_expanded(a, n, count);
		for (n = before; n < a->journal.count && !a->unwritten; n++)
			attempt_want(a, n);
	}
	buf_free(&lines);
}

/* The last verdicts into the journal: in memory, and on disk where they are not the end of
 * the message: then its removal says it. True: they are that. */
static bool
settle_verdicts(struct attempt *a)
{
	struct buf line = {0};
	bool any = a->verdicts > 0;

	if (any) {
		print_verdicts(a, &line);
		remember(a, buf_view(&line));
		buf_free(&line);
	}
	if (journal_pending(&a->journal) == 0 && journal_owed(&a->journal) == 0)
		return any;
	if (any)
		put_newest(a, weight_of(&a->verdict));
	return false;
}

/* news: the newest line is nowhere else yet. */
static enum attempt_next
finish(struct attempt *a, bool news)
{
	if (a->remove_again > clock_ms())
		return ATTEMPT_STUCK;
	/* Whatever the disk did not take: this says it all, and makes room. */
	if (spool_remove(a->spool, &a->claim) == 0) {
		log_info("%s: removed", a->id);
		return ATTEMPT_REMOVED;
	}
	if (a->remove_again == 0)
		log_error("%s: done, but it cannot be removed, will try again:", a->id);
	if (news)
		put_newest(a, SYNCED);
	else
		write_again(a);
	a->remove_again = a->write_again = clock_ms() + WRITE_AGAIN_MS;
	return ATTEMPT_STUCK;
}

static enum attempt_next
give_way(const struct attempt *a)
{
	log_warn("%s: somebody else has removed it", a->id);
	return ATTEMPT_REMOVED;
}

enum attempt_next
attempt_conclude(struct attempt *a)
{
	bool news = settle_verdicts(a);

	if (a->gone)
		return give_way(a);
	if (journal_pending(&a->journal) == 0 && journal_owed(&a->journal) == 0)
		return finish(a, news);
	/* Facts and deferrals may be other ones next time. */
	if (a->unwritten && !a->must_write)
		forget_unwritten(a);
	if (a->write_again && !attempt_write(a, false))
		return ATTEMPT_STUCK;
	if (a->gone)
		return give_way(a);
	return journal_owed(&a->journal) ? ATTEMPT_BOUNCE : ATTEMPT_LATER;
}

/* --- bounces --------------------------------------------------------------------------- */

/* A bounce to this address, or to somebody whom it led to, has failed for good. A warning may
 * just have been too old. */
static bool
is_unreachable(const struct attempt *a, struct str address)
{
	const struct journal *j = &a->journal;

	for (size_t n = 0; n < j->count; n++)
		if (j->rcpts[n].bounce && j->rcpts[n].fate == JOURNAL_FAILED &&
		    j->rcpts[n].bounce != j->warning &&
		    journal_has_ancestor(j, n, JOURNAL_ALIAS, address))
			return true;
	return false;
}

/* Who is to be told, or empty. */
static struct str
find_target(const struct attempt *a, bool of_bounce)
{
	const struct conf *c = a->conf;
	struct str sender = a->envelope.sender;
	struct str other = str_of(*c->bounce_to ? c->bounce_to : c->postmaster);

	if (!of_bounce && sender.len && !is_unreachable(a, sender))
		return sender;
	return is_unreachable(a, other) ? (struct str){0} : other;
}

/* Those added since there were so many recipients, each with a line of its own: log tools add
 * up sizes. */
static void
log_bounces(struct attempt *a, size_t before)
{
	static const char *const news[] = {
		[JOURNAL_FAILURE] = "undeliverable: a bounce",
		[JOURNAL_SUCCESS] = "delivered: a report",
		[JOURNAL_DELAY] = "late: a warning",
	};

	for (size_t n = before; n < a->journal.count; n++) {
		const struct journal_rcpt *r = &a->journal.rcpts[n];
		struct attempt_content c;
		attempt_content(a, n, &c);
		log_info("%s: %s goes to <%.*s>", a->id, news[journal_news(&a->journal, r)],
			 STR_ARG(r->address));
		log_info("%s.bounce%u: from=<>, size=%llu, nrcpt=1 (queue active)", a->id,
			 r->bounce, (unsigned long long)(c.head.len + c.length + c.tail.len));
		attempt_free_content(&c);
	}
}

/* The line that makes a recipient of who is told. With no second file there is no crash
 * between the failure and the bounce. */
bool
attempt_add_bounce(struct attempt *a)
{
	struct journal *j = &a->journal;
	size_t before = j->count, first = 0;
	unsigned char *covered = buf_array(NULL, before, 1);
	struct buf set = {0}, lines = {0};
	struct stamp now;

	while (!journal_owes(j, &j->rcpts[first]))
		first++;
	bool of_bounce = j->rcpts[first].bounce;
	enum journal_fate fate = j->rcpts[first].fate;
	struct str target = find_target(a, of_bounce);
	for (size_t n = 0; n < before; n++)
		covered[n] = journal_owes(j, &j->rcpts[n]) && j->rcpts[n].fate == fate &&
			     (j->rcpts[n].bounce != 0) == of_bounce;
	if (target.len) {
		clock_read(&now);
		journal_print_set(j, covered, false, &set);
		journal_print_bounce(j, &now, buf_view(&set), target, &lines);
		append(a, buf_view(&lines), SYNCED);
	}
	log_bounces(a, before);
	buf_release(covered);
	buf_free(&set);
	buf_free(&lines);
	return j->count > before;
}

bool
attempt_add_warning(struct attempt *a, int64_t give_up)
{
	size_t before = a->journal.count;
	struct buf line = {0};
	struct stamp now;

	clock_read(&now);
	journal_print_warning(&a->journal, &now, give_up, a->envelope.sender, &line);
	append(a, buf_view(&line), SYNCED);
	buf_free(&line);
	if (a->unwritten || a->gone)
		return false;
	log_bounces(a, before);
	return true;
}

/* --- what is sent ---------------------------------------------------------------------- */

/* The first attempt fixes what every attempt sends. */
static void
settle_facts(struct attempt *a)
{
	const struct stamp *arrived = &a->envelope.arrived;
	struct str host = str_of(a->conf->mailname);
	struct stamp now;
	struct buf message_id = {0}, line = {0};
	uint64_t random;

	if (!a->journal.has_facts) {
		clock_read(&now);
		clock_random(&random, sizeof random);
		/* Taken before the clock was set, tried after: count back from now. */
		int64_t date = arrived->believable || !now.believable ? arrived->wall :
			       now.wall - stamp_between(arrived, &now);
		render_message_id(str_of(a->id), random, host, &message_id);
		journal_print_facts(&a->journal, &now, date, buf_view(&message_id), host, &line);
		append(a, buf_view(&line), KEPT);
		/* Here, where nobody waits for it. */
		log_info("%s: from=<%.*s>, size=%llu, nrcpt=%zu (queue active)", a->id,
			 STR_ARG(a->envelope.sender), (unsigned long long)a->envelope.length,
			 a->envelope.rcpt_count);
		buf_free(&message_id);
		buf_free(&line);
	}
	if (a->fields.len == 0)
		render_fields(&a->envelope, &a->journal, str_of(a->id), &a->fields);
}

bool
attempt_begin(struct attempt *a)
{
	settle_facts(a);
	return !a->stalled;
}

/* The stored header with its empty line: whole lines, as far as LIMIT_DSN_HEADER goes. */
static void
read_header(const struct attempt *a, struct buf *out)
{
	size_t want = a->envelope.length < LIMIT_DSN_HEADER ? (size_t)a->envelope.length :
							      LIMIT_DSN_HEADER;
	char *room = buf_room(out, want);
	ssize_t got = a->envelope.header.present ?
		file_read_at(a->claim.fd, room, want, (off_t)a->envelope.offset) : 0;
	struct str rest = {room, got > 0 ? (size_t)got : 0}, line;

	do {
		line = str_upto(rest, str_find(rest, '\n') + 1);
		if (line.len == 0 || line.ptr[line.len - 1] != '\n')
			break;
		out->len += line.len;
		rest = str_from(rest, line.len);
	} while (line.len > 1);
}

/* The last attempt for the first recipient for whom that is known. */
static void
find_date(void *ctx, const struct journal_rcpt *r)
{
	int64_t *date = ctx;

	if (*date == 0 && r->last_at.believable)
		*date = r->last_at.wall;
}

/* The date of bounce n: when the first of those it tells of was tried, which stays. */
static int64_t
bounce_date(const struct attempt *a, size_t n)
{
	int64_t date = 0;

	journal_visit_told(&a->journal, &a->journal.rcpts[n], find_date, &date);
	return date ? date : a->journal.date;
}

/* Of what failed; other reports have the header alone (RFC 3461 4.3). */
static bool
returns_all(const struct attempt *a, size_t n)
{
	unsigned ret = a->envelope.notify.asks;

	return (ret ? ret == NOTIFY_FULL : a->conf->fullbounce) &&
	       journal_news(&a->journal, &a->journal.rcpts[n]) == JOURNAL_FAILURE;
}

static void
bounce_content(struct attempt *a, size_t n, struct attempt_content *c)
{
	struct buf header = {0};

	read_header(a, &header);
	struct dsn d = {
		.envelope = &a->envelope, .journal = &a->journal, .bounce = n,
		.id = str_of(a->id), .host = a->journal.host,
		.date = bounce_date(a, n),
		.header = buf_view(&header), .full = returns_all(a, n),
		.eightbit = a->envelope.text.eightbit,
	};
	dsn_render_head(&d, &c->head);
	dsn_render_tail(&d, &c->tail);
	c->offset = a->envelope.offset;
	c->length = d.full ? a->envelope.length : header.len;
	c->facts |= ENCODE_OPAQUE;
	buf_free(&header);
}

struct str
attempt_sender(const struct attempt *a, size_t n)
{
	return a->journal.rcpts[n].bounce ? (struct str){0} : a->envelope.sender;
}

/* Whoever the message was for before, so that it is known when it comes back. What ends on
 * this device says so of its last one itself. */
static void
print_ancestors(const struct attempt *a, size_t n, struct buf *out)
{
	const struct journal_rcpt *r = &a->journal.rcpts[n], *rcpts = a->journal.rcpts;

	while (r->parent && r->kind != JOURNAL_ADDRESS && r->kind != JOURNAL_ALIAS)
		r = &rcpts[r->parent - 1];
	for (; r->parent; r = &rcpts[r->parent - 1]) {
		struct route to = {.address = rcpts[r->parent - 1].address};
		buf_puts(out, "Delivered-To: ");
		route_print_address(a->conf, &to, out);
		buf_putc(out, '\n');
	}
}

void
attempt_content(struct attempt *a, size_t n, struct attempt_content *c)
{
	*c = (struct attempt_content){.sender = attempt_sender(a, n)};
	c->facts = encode_facts(&a->envelope.text, &a->envelope.header);
	settle_facts(a);
	print_ancestors(a, n, &c->head);
	c->ancestors = c->head.len;
	if (a->journal.rcpts[n].bounce) {
		bounce_content(a, n, c);
		return;
	}
	c->offset = a->envelope.offset;
	c->length = a->envelope.length;
	buf_str(&c->head, buf_view(&a->fields));
}

void
attempt_free_content(struct attempt_content *c)
{
	buf_free(&c->head);
	buf_free(&c->tail);
}

bool
attempt_same_content(const struct attempt *a, size_t n, size_t m)
{
	const struct journal_rcpt *x = &a->journal.rcpts[n], *y = &a->journal.rcpts[m];

	return n == m || (x->bounce == y->bounce && x->parent == y->parent);
}
