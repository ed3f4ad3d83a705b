/* SPDX-License-Identifier: ISC */
#include "queue.h"
#include "agenda.h"
#include "attempt.h"
#include "clock.h"
#include "crew.h"
#include "date.h"
#include "log.h"
#include "outage.h"
#include "retry.h"
#include "user.h"
#include "watch.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	RESCAN_MS = 5000,  /* without inotify */
	BUSY_MS = 50,      /* first look again at a message that was locked */
	BUSY_MAX_MS = 5000,
	SYNC_MS = 200,     /* removals reach the disk within */
	SYNC_COUNT = 16,
	STOP_MS = 4000,    /* after SIGTERM: for final replies */
	RETURNS = 3,       /* times that a message comes back untried before it waits */
	LOCAL_MS = 4 * 60 * 1000, /* without a word from a local worker */
	RELAY_MS = 2 * 3600 * 1000, /* or from a relay: a large message on a slow line */
	LOCK_SECONDS = 100, /* for other programs' mailbox locks */
	AUTH_REFUSED = 535, /* RFC 4954 6 */
};

struct queue {
	struct spool *spool;
	const struct queue_options *options;
	const struct conf *conf;
	struct watch watch;
	struct agenda agenda;
	struct crew crew;
	struct attempt *attempts;
	size_t attempt_count;
	uint32_t attempts_made;
	unsigned unsynced;       /* removals not yet on disk */
	int64_t sync_due;
	int64_t stop_due;        /* SIGTERM came: end then at the latest; else 0 */
	bool rescan;
	struct outage_list outages;
};

/* --- workers ---------------------------------------------------------------------------- */

/* In attempt.h's marks: in whose hands a recipient is. */
static unsigned char
mark_of(const struct crew_worker *w)
{
	return ATTEMPT_TAKEN + w->number;
}

/* Adds to job all that wait for w's destination and are sent the same as first, and takes
 * them. */
static void
fill_job(struct queue *q, struct attempt *a, size_t first, const struct crew_worker *w,
	 struct relay_job *job, struct buf *addresses)
{
	size_t *end = buf_array(NULL, a->journal.count, sizeof *end);

	job->numbers = buf_array(NULL, a->journal.count, sizeof *job->numbers);
	job->rcpts = buf_array(NULL, a->journal.count, sizeof *job->rcpts);
	for (size_t n = first; n < a->journal.count; n++) {
		struct route r = route_find(q->conf, a->journal.rcpts[n].address);
		if (a->mark[n] != ATTEMPT_WAITING || !route_same(&r, &w->route) ||
		    !attempt_same_content(a, first, n))
			continue;
		route_print_address(q->conf, &r, addresses);
		end[job->rcpt_count] = addresses->len;
		job->numbers[job->rcpt_count++] = (uint32_t)n;
		attempt_take(a, n, mark_of(w));
	}
	for (size_t n = 0, start = 0; n < job->rcpt_count; start = end[n++])
		job->rcpts[n] = (struct str){addresses->ptr + start, end[n] - start};
	free(end);
}

static bool
is_ascii(struct str s)
{
	while (s.len > 0 && (unsigned char)s.ptr[s.len - 1] < 0x80)
		s.len--;
	return s.len == 0;
}

static void
send_job(struct queue *q, struct attempt *a, size_t first, struct crew_worker *w)
{
	struct attempt_content c;
	struct relay_job job = {0};
	struct buf addresses = {0}, payload = {0};

	attempt_content(a, first, &c);
	fill_job(q, a, first, w, &job, &addresses);
	job.sender = c.sender;
	job.offset = c.offset;
	job.length = c.length;
	job.head = buf_view(&c.head);
	job.eightbit = a->envelope.text.eightbit || !is_ascii(job.head);
	job.tail = buf_view(&c.tail);
	relay_print_job(&job, &payload);
	w->job[w->jobs++] = a->number;
	/* Where the worker is gone, its end is heard of like any other. */
	worker_send(&w->link, &(struct worker_frame){
		.kind = WORKER_JOB, .job = a->number, .payload = buf_view(&payload),
		.fd = a->claim.fd,
	});
	relay_free_job(&job);
	buf_free(&addresses);
	buf_free(&payload);
	attempt_free_content(&c);
}

static void
assign_relay(struct queue *q, struct attempt *a, size_t n, const struct route *r)
{
	const struct outcome *dead = outage_find(&q->outages, r, clock_ms());
	struct crew_worker *w = dead ? NULL : crew_relay(&q->crew, q->conf, r);

	if (dead)
		attempt_record(a, n, dead, (struct str){0});
	else if (w && !crew_has_job(w, a->number))
		send_job(q, a, n, w);
}

static void
start_local(struct queue *q, struct attempt *a, size_t n, const struct route *r,
	    const char *path)
{
	struct attempt_content c;
	struct buf user = {0}, full = {0};

	addr_print_user(r->address, &user);
	route_print_address(q->conf, r, &full);
	attempt_content(a, n, &c);
	const struct journal_rcpt *rcpt = &a->journal.rcpts[n];
	struct local_job job = {
		.user = buf_view(&user), .job = a->number, .number = (uint32_t)n,
		.mbox = {
			.path = path, .sender = c.sender, .rcpt = buf_view(&full),
			.date = a->journal.date,
			.content = {
				.head = buf_view(&c.head), .fd = a->claim.fd, .offset = c.offset,
				.length = c.length, .tail = buf_view(&c.tail),
			},
			.has_previous = rcpt->has_mailbox,
			.previous = {rcpt->device, rcpt->inode, rcpt->start},
			.lock_seconds = LOCK_SECONDS,
		},
	};
	struct crew_worker *w = crew_local(&q->crew, &job);
	if (w) {
		attempt_take(a, n, mark_of(w));
	} else if (errno != EAGAIN) {
		struct outcome o = outcome_from_errno(errno, "starting a delivery process");
		attempt_record(a, n, &o, STR("local"));
	}
	attempt_free_content(&c);
	buf_free(&user);
	buf_free(&full);
}

static bool
nothing_is_local(void *ctx, struct str domain)
{
	(void)ctx;
	(void)domain;
	return false;
}

/* Mail for an alias that could not be used when it came in stands in the queue under the
 * alias's own name. It waits: the name is nobody's mailbox. */
static bool
is_held_alias(struct queue *q, struct str address)
{
	struct addr_set targets = {0};
	struct buf name = {0};
	struct user u = {0};
	bool held;

	addr_print_user(address, &name);
	switch (alias_expand(&q->options->site->aliases, buf_view(&name), nothing_is_local, NULL,
			     &targets)) {
	case ALIAS_NONE:
		held = false;
		break;
	case ALIAS_EXPANDED:
		held = user_by_name(buf_view(&name), &u) == USER_UNKNOWN;
		break;
	default:
		held = true;
		break;
	}
	user_free(&u);
	addr_set_free(&targets);
	buf_free(&name);
	return held;
}

static void
assign_local(struct queue *q, struct attempt *a, size_t n, const struct route *r)
{
	struct buf path = {0};

	if (!crew_has_room(&q->crew, ROUTE_LOCAL_KEY))
		return;
	if (is_held_alias(q, r->address)) {
		struct outcome o = outcome_make(TEMPFAIL, 2, 4,
						"the alias %.*s has a target that cannot be used "
						"(newaliases says which)", STR_ARG(r->address));
		attempt_record(a, n, &o, STR("local"));
	} else if (route_mailbox(q->conf, r->address, &path) == 0) {
		start_local(q, a, n, r, buf_cstr(&path));
	} else {
		struct outcome o = outcome_make(PERMFAIL, 1, 1, "no such user here: %.*s",
						STR_ARG(addr_local(r->address)));
		attempt_record(a, n, &o, STR("local"));
	}
	buf_free(&path);
}

/* Gives as much of a to workers as they have room for. */
static void
assign(struct queue *q, struct attempt *a)
{
	for (size_t n = 0; n < a->journal.count && a->waiting > 0 && !q->stop_due; n++) {
		if (a->mark[n] != ATTEMPT_WAITING)
			continue;
		struct route r = route_find(q->conf, a->journal.rcpts[n].address);
		if (r.kind == ROUTE_LOCAL)
			assign_local(q, a, n, &r);
		else
			assign_relay(q, a, n, &r);
	}
}

/* --- a message's life -------------------------------------------------------------------- */

static struct retry_policy
policy(const struct queue *q)
{
	return (struct retry_policy){
		q->conf->retry_min, q->conf->retry_max, q->conf->queue_lifetime,
	};
}

/* A changed password must not bounce the queue: mail that our login keeps from going out has
 * a lifetime of its own. */
static bool
is_expired(const struct queue *q, const struct attempt *a, size_t n, const struct stamp *now)
{
	const struct journal_rcpt *r = &a->journal.rcpts[n];
	struct retry_policy p = policy(q);

	if (journal_outcome(r).code == AUTH_REFUSED)
		p.lifetime = q->conf->auth_fail_lifetime;
	return retry_expired(&p, &a->journal, r, now);
}

static void
expire(struct attempt *a, size_t n, const struct stamp *now)
{
	struct outcome last = journal_outcome(&a->journal.rcpts[n]);
	struct buf age = {0};

	date_print_interval(journal_age(&a->journal, now), &age);
	struct outcome o = outcome_make(PERMFAIL, 4, 7, "not delivered for %s; last: %s",
					buf_cstr(&age), last.text);
	buf_free(&age);
	attempt_record(a, n, &o, (struct str){0});
}

/* Those whose last attempt has failed. True: there were some. */
static bool
expire_all(struct queue *q, struct attempt *a)
{
	bool any = false;
	struct stamp now;

	clock_read(&now);
	for (size_t n = 0; n < a->journal.count; n++) {
		if (a->journal.rcpts[n].fate != JOURNAL_PENDING || attempt_has_verdict(a, n) ||
		    !is_expired(q, a, n, &now))
			continue;
		expire(a, n, &now);
		any = true;
	}
	return any;
}

/* Decides of each pending recipient: due, or not yet. */
static void
plan(struct queue *q, struct attempt *a, bool urgent)
{
	struct retry_policy p = policy(q);
	uint32_t salt = attempt_salt(str_of(a->id));
	struct stamp now;

	clock_read(&now);
	for (size_t n = 0; n < a->journal.count; n++) {
		const struct journal_rcpt *r = &a->journal.rcpts[n];
		if (r->fate != JOURNAL_PENDING || a->mark[n] != ATTEMPT_IDLE ||
		    attempt_has_verdict(a, n))
			continue;
		if (urgent || retry_wait(&p, r, salt, &now) == 0)
			attempt_want(a, n);
	}
}

/* The destination that all pending recipients share, for choosing what to start next. */
static uint32_t
key_of(struct queue *q, const struct attempt *a)
{
	uint32_t key = AGENDA_ANY;

	for (size_t n = 0; n < a->journal.count; n++) {
		if (a->journal.rcpts[n].fate != JOURNAL_PENDING)
			continue;
		uint32_t k = route_find(q->conf, a->journal.rcpts[n].address).key;
		if (key != AGENDA_ANY && k != key)
			return AGENDA_ANY;
		key = k;
	}
	return key;
}

static int64_t
next_due(struct queue *q, const struct attempt *a)
{
	struct retry_policy p = policy(q);
	uint32_t salt = attempt_salt(str_of(a->id));
	struct stamp now;
	int64_t wait = INT32_MAX;

	clock_read(&now);
	for (size_t n = 0; n < a->journal.count; n++) {
		if (a->journal.rcpts[n].fate != JOURNAL_PENDING)
			continue;
		int64_t w = retry_wait(&p, &a->journal.rcpts[n], salt, &now);
		wait = w < wait ? w : wait;
	}
	return clock_ms() + wait * 1000;
}

static void
drop(struct queue *q, struct attempt *a)
{
	struct attempt **p = &q->attempts;

	while (*p != a)
		p = &(*p)->next;
	*p = a->next;
	q->attempt_count--;
	attempt_close(a);
	free(a);
}

/* Stopped: what happened so far is on disk, the rest stays queued. */
static void
give_up(struct queue *q, struct attempt *a)
{
	attempt_write(a, true);
	drop(q, a);
}

/* Lets go of a message that stays queued. */
static void
put_back(struct queue *q, struct attempt *a, int64_t due)
{
	struct agenda_item *item = agenda_find(&q->agenda, str_of(a->id));

	item->active = false;
	item->due = due;
	item->key = key_of(q, a);
	drop(q, a);
}

/* What stands in the queue's way stays there, and is looked at again when it is touched. */
static void
leave_alone(struct queue *q, struct attempt *a)
{
	struct agenda_item *item = agenda_find(&q->agenda, str_of(a->id));

	item->active = false;
	item->refused = true;
	drop(q, a);
}

static void
forget(struct queue *q, struct attempt *a)
{
	agenda_drop(&q->agenda, str_of(a->id));
	drop(q, a);
}

static bool
keeps_lock(const struct crew_worker *w, const struct attempt *a)
{
	return w->pid && w->keeps_lock && w->job[0] == a->number;
}

/* The verdict is on disk: whoever keeps a mailbox locked until then may let go. */
static void
release_locks(struct queue *q, const struct attempt *a)
{
	for (size_t n = 0; n < q->crew.slots; n++) {
		struct crew_worker *w = &q->crew.slot[n];
		if (!keeps_lock(w, a))
			continue;
		worker_send(&w->link, &(struct worker_frame){.kind = WORKER_GO, .fd = -1});
		w->keeps_lock = false;
	}
}

static void
sync_removals(struct queue *q)
{
	if (q->unsynced && spool_sync(q->spool) == 0)
		q->unsynced = 0;
	else
		q->sync_due = clock_ms() + BUSY_MAX_MS;
}

static void
on_removed(struct queue *q, struct attempt *a)
{
	bool locked = false;

	for (size_t n = 0; n < q->crew.slots; n++)
		locked = locked || keeps_lock(&q->crew.slot[n], a);
	if (q->unsynced++ == 0)
		q->sync_due = clock_ms() + SYNC_MS;
	if (locked || q->unsynced >= SYNC_COUNT)
		sync_removals(q);
	release_locks(q, a);
	forget(q, a);
}

/* The end of a pass. True: there is more to do for this message at once. */
static bool
conclude(struct queue *q, struct attempt *a)
{
	switch (attempt_conclude(a)) {
	case ATTEMPT_STUCK:
		break;
	case ATTEMPT_REMOVED:
		on_removed(q, a);
		break;
	case ATTEMPT_LATER:
		if (expire_all(q, a))
			return true;
		release_locks(q, a);
		put_back(q, a, next_due(q, a));
		break;
	case ATTEMPT_BOUNCE:
		/* The bounce may go to the very mailbox that is still locked. */
		release_locks(q, a);
		if (attempt_add_bounce(a)) {
			plan(q, a, false);
			return true;
		}
		if (journal_pending(&a->journal))
			put_back(q, a, next_due(q, a));
		else if (attempt_hold(a) == SPOOL_GONE)
			forget(q, a);
		else
			leave_alone(q, a);
		break;
	}
	return false;
}

/* Behind all others: first come, first served. */
static void
append(struct queue *q, struct attempt *a)
{
	struct attempt **p = &q->attempts;

	while (*p)
		p = &(*p)->next;
	*p = a;
	a->next = NULL;
	q->attempt_count++;
}

/* Claims and plans what an item of the agenda stands for. */
static void
start(struct queue *q, struct agenda_item *item)
{
	struct attempt *a = buf_array(NULL, 1, sizeof *a);

	switch (attempt_open(a, q->spool, q->conf, &q->options->site->aliases,
			     str_of(item->id))) {
	case SPOOL_OK:
		item->active = true;
		item->busy = 0;
		a->number = q->attempts_made++;
		append(q, a);
		a->urgent = item->urgent;
		item->urgent = false;
		plan(q, a, a->urgent);
		return;
	case SPOOL_BUSY:
		item->due = clock_ms() + (item->busy < 7 ? BUSY_MS << item->busy : BUSY_MAX_MS);
		item->busy++;
		break;
	case SPOOL_ERROR:
		item->refused = true;
		break;
	case SPOOL_GONE:
		agenda_drop(&q->agenda, str_of(item->id));
		break;
	}
	free(a);
}

/* Starts what is due and is likely to find a worker. */
static void
admit(struct queue *q)
{
	size_t limit = q->crew.slots * CREW_JOBS, n = 0;
	int64_t now = clock_ms();

	while (n < q->agenda.count && q->attempt_count < limit) {
		struct agenda_item *item = &q->agenda.items[n];
		size_t before = q->agenda.count;
		bool ready = item->due <= now || (item->urgent && !item->busy);
		if (ready && !item->active && !item->refused &&
		    (item->key == AGENDA_ANY || outage_may_be(&q->outages, item->key, now) ||
		     crew_has_room(&q->crew, item->key)))
			start(q, item);
		n += q->agenda.count == before;
	}
}

/* No worker has room for it: others may have better luck meanwhile. */
static void
make_way(struct queue *q, struct attempt *a)
{
	struct agenda_item *item = agenda_find(&q->agenda, str_of(a->id));

	release_locks(q, a);
	item->urgent = item->urgent || a->urgent;
	item->busy = 1;
	put_back(q, a, clock_ms() + BUSY_MS);
}

/* Moves every claimed message on as far as it goes. */
static void
advance(struct queue *q)
{
	struct attempt *next;

	for (struct attempt *a = q->attempts; a; a = next) {
		next = a->next;
		if (q->stop_due && a->taken == 0) {
			give_up(q, a);
			continue;
		}
		bool over;
		do {
			assign(q, a);
			over = a->waiting == 0 && a->taken == 0;
		} while (over && conclude(q, a));
		if (!over && a->taken == 0 && attempt_write(a, false))
			make_way(q, a);
	}
}

/* --- what workers say -------------------------------------------------------------------- */

static struct attempt *
find_attempt(struct queue *q, uint32_t number)
{
	for (struct attempt *a = q->attempts; a; a = a->next)
		if (a->number == number)
			return a;
	return NULL;
}

/* The recipients of a that w still has: a verdict for each, or with o NULL back to waiting. */
static void
take_back(struct attempt *a, const struct crew_worker *w, const struct outcome *o)
{
	struct outcome unlucky = outcome_make(TEMPFAIL, 4, 2,
					      "the connection ended before its turn, repeatedly");
	unsigned char mark = mark_of(w);
	bool any = memchr(a->mark, mark, a->journal.count) != NULL;

	if (any && !o && ++a->returned > RETURNS)
		o = &unlucky;
	for (size_t n = 0; n < a->journal.count && any; n++) {
		if (a->mark[n] != mark)
			continue;
		if (o)
			attempt_record(a, n, o, (struct str){0});
		else
			attempt_untake(a, n);
	}
}

static void
on_session(struct queue *q, struct crew_worker *w, const struct worker_frame *f)
{
	w->failed = true;
	if (f->outcome.verdict == TEMPFAIL)
		outage_add(&q->outages, &w->route,
			   clock_ms() + (int64_t)q->conf->retry_min * 1000, &f->outcome);
	for (struct attempt *a = q->attempts; a; a = a->next)
		take_back(a, w, &f->outcome);
}

static void
on_done(struct attempt *a, struct crew_worker *w,
	const struct worker_frame *f)
{
	struct outcome none = outcome_make(TEMPFAIL, 0, 0, "not attempted");

	crew_drop_job(w, f->job);
	/* The last verdict may have ended the message already. */
	if (a)
		take_back(a, w, f->place[0] ? &none : NULL);
}

static void
on_mailbox(struct attempt *a, struct crew_worker *w,
	   const struct worker_frame *f)
{
	enum worker_kind answer = WORKER_GO;

	if (attempt_write_mailbox(a, f->number, f->place)) {
		/* Not on disk, so it must not write. */
		struct outcome o = outcome_from_errno(errno, "writing the message's journal");
		take_back(a, w, &o);
		answer = WORKER_FINISH;
	}
	worker_send(&w->link, &(struct worker_frame){.kind = answer, .fd = -1});
}

static void
on_frame(struct queue *q, struct crew_worker *w, const struct worker_frame *f)
{
	struct attempt *a = find_attempt(q, f->job);
	/* A worker has parsed what a server sent: it may speak of its own work only. */
	bool its_job = crew_has_job(w, f->job);
	bool its_own = a && its_job && f->number < a->journal.count &&
		       a->mark[f->number] == mark_of(w);

	if (f->fd >= 0)
		close(f->fd);
	if (f->kind == WORKER_SESSION && !w->local) {
		on_session(q, w, f);
	} else if (f->kind == WORKER_DONE && its_job && !w->local) {
		on_done(a, w, f);
	} else if (f->kind == WORKER_MAILBOX && its_own && w->local) {
		on_mailbox(a, w, f);
	} else if (f->kind == WORKER_OUTCOME && its_own) {
		w->keeps_lock = w->local && f->outcome.verdict == DELIVERED;
		attempt_record(a, f->number, &f->outcome, f->relay);
	}
}

/* The worker is gone. A relay that ended in order had not begun what it still has. */
static void
on_end(struct queue *q, struct crew_worker *w)
{
	struct crew_worker last = *w;
	bool orderly = crew_end(&q->crew, w);
	struct outcome died = outcome_make(TEMPFAIL, 3, 0, "the delivery process died");

	if (!orderly)
		log_error("a delivery process died");
	for (struct attempt *a = q->attempts; a; a = a->next) {
		bool in_hand = last.jobs && last.job[0] == a->number;
		take_back(a, w, last.local || (!orderly && in_hand) ? &died : NULL);
	}
}

/* A worker has time limits of its own. This one is for what stops it altogether: a file
 * system that hangs, a recipient who halts his own delivery. */
static void
renew_deadline(struct crew_worker *w)
{
	w->deadline = clock_ms() + (w->local ? LOCAL_MS : RELAY_MS);
}

static void
end_late(struct queue *q)
{
	for (size_t n = 0; n < q->crew.slots; n++) {
		struct crew_worker *w = &q->crew.slot[n];
		if (w->pid && w->deadline <= clock_ms())
			on_end(q, w);
	}
}

static void
listen_to(struct queue *q, struct crew_worker *w)
{
	struct worker_frame f;
	int got;

	while ((got = worker_receive(&w->link, &f)) > 0) {
		renew_deadline(w);
		on_frame(q, w, &f);
	}
	if (got < 0)
		on_end(q, w);
}

/* --- the loop ---------------------------------------------------------------------------- */

static void
add_name(void *ctx, char state, struct str id)
{
	struct queue *q = ctx;

	if (state == 'Q')
		agenda_add(&q->agenda, id);
}

static void
wake_all(struct queue *q)
{
	q->outages = (struct outage_list){0};
	for (size_t n = 0; n < q->agenda.count; n++)
		q->agenda.items[n].urgent = true;
}

/* What the caller of the first pass wants tried at once. */
static void
wake_first(struct queue *q)
{
	struct str id = q->options->first;
	struct agenda_item *item = id.len ? agenda_find(&q->agenda, id) : NULL;

	if (q->options->now)
		wake_all(q);
	else if (item)
		item->urgent = true;
}

static void
on_event(void *ctx, enum watch_event event, struct str id, bool touched)
{
	struct queue *q = ctx;
	struct agenda_item *item;

	switch (event) {
	case WATCH_NAME:
		item = agenda_add(&q->agenda, id);
		item->urgent = item->urgent || touched;
		item->refused = false;
		item->due = 0;
		if (touched)
			q->outages = (struct outage_list){0};
		break;
	case WATCH_WAKE:
		spool_walk(q->spool, add_name, q);
		wake_all(q);
		break;
	case WATCH_RESCAN:
		q->rescan = true;
		break;
	case WATCH_STOP:
		if (!q->stop_due)
			q->stop_due = clock_ms() + STOP_MS;
		break;
	}
}

static bool
at_rest(const struct queue *q)
{
	return q->attempt_count == 0 && q->crew.relays == 0 && q->crew.locals == 0;
}

static int64_t
earlier(int64_t a, int64_t b)
{
	return b && b < a ? b : a;
}

/* When something must be done though nothing is heard. What is due and was not started waits
 * for a worker's word. */
static int64_t
next_wake(const struct queue *q)
{
	int64_t now = clock_ms(), wake = agenda_next_due(&q->agenda);

	if (wake <= now && !at_rest(q))
		wake = now + BUSY_MAX_MS;
	if (q->unsynced)
		wake = earlier(wake, q->sync_due);
	wake = earlier(wake, q->stop_due);
	if (q->watch.names < 0)
		wake = earlier(wake, now + RESCAN_MS);
	for (const struct attempt *a = q->attempts; a; a = a->next)
		wake = earlier(wake, a->write_again);
	for (size_t n = 0; n < q->crew.slots; n++)
		if (q->crew.slot[n].pid)
			wake = earlier(wake, q->crew.slot[n].deadline);
	return wake;
}

static int
poll_time(const struct queue *q)
{
	int64_t wait = next_wake(q) - clock_ms();

	return wait < 0 ? 0 : wait > 3600 * 1000 ? 3600 * 1000 : (int)wait;
}

static void
wait_and_listen(struct queue *q)
{
	struct pollfd fds[2 + 2 * LIMIT_WORKERS];
	struct crew_worker *who[2 + 2 * LIMIT_WORKERS];
	nfds_t count = 2;

	fds[0] = (struct pollfd){.fd = q->watch.names, .events = POLLIN};
	fds[1] = (struct pollfd){.fd = q->watch.signals, .events = POLLIN};
	for (size_t n = 0; n < q->crew.slots; n++) {
		struct crew_worker *w = &q->crew.slot[n];
		short events = POLLIN;
		if (!w->pid)
			continue;
		if (worker_wants_write(&w->link))
			events |= POLLOUT;
		who[count] = w;
		fds[count++] = (struct pollfd){.fd = w->link.fd, .events = events};
	}
	int ready = poll(fds, count, poll_time(q));
	q->rescan = q->rescan || (ready == 0 && q->watch.names < 0);
	if (ready <= 0)
		return;
	if (fds[0].revents || fds[1].revents)
		watch_read(&q->watch, on_event, q);
	for (nfds_t n = 2; n < count; n++) {
		if (fds[n].revents & POLLOUT)
			worker_flush(&who[n]->link);
		if (fds[n].revents)
			listen_to(q, who[n]);
	}
}

/* Verdicts of messages that others are still busy with go to disk before we sleep. */
static void
record_progress(struct queue *q)
{
	for (struct attempt *a = q->attempts; a; a = a->next)
		if ((a->waiting || a->taken) && attempt_write(a, false))
			release_locks(q, a);
}

/* With defer, one attempt for each message: what is not due any more has had its own, unless
 * somebody else has it locked just now. */
static bool
all_tried(const struct agenda *a)
{
	for (size_t n = 0; n < a->count; n++)
		if (a->items[n].busy)
			return false;
	return agenda_next_due(a) > clock_ms();
}

static bool
is_over(const struct queue *q)
{
	if (q->stop_due && (q->attempt_count == 0 || clock_ms() >= q->stop_due))
		return true;
	if (q->options->stay || !at_rest(q) || q->rescan)
		return false;
	if (q->conf->defer)
		return all_tried(&q->agenda);
	return agenda_live(&q->agenda) == 0;
}

static void
reload(struct queue *q)
{
	if (!site_reload(q->options->site))
		return;
	q->spool->path = q->conf->spooldir;
	crew_free(&q->crew);
	crew_init(&q->crew, q->conf->workers);
	q->outages = (struct outage_list){0};
	log_info("configuration read again");
}

/* -v: whoever watches has seen the first attempts, and may wait for our end of his pipe. */
static void
hush(struct queue *q)
{
	int null = q->options->hush && log_is_verbose() ? open("/dev/null", O_RDWR | O_CLOEXEC) : -1;

	if (null < 0)
		return;
	log_verbose(false);
	dup2(null, STDERR_FILENO);
	close(null);
}

/* Until the queue is empty, or as the options say. */
static void
run(struct queue *q)
{
	q->rescan = true;
	while (!is_over(q)) {
		if (at_rest(q))
			reload(q);
		if (q->rescan)
			spool_walk(q->spool, add_name, q);
		q->rescan = false;
		if (q->attempts_made == 0)
			wake_first(q);
		if (!q->stop_due)
			admit(q);
		advance(q);
		if (q->unsynced && clock_ms() >= q->sync_due)
			sync_removals(q);
		if (is_over(q))
			break;
		if (at_rest(q) && q->attempts_made > 0)
			hush(q);
		wait_and_listen(q);
		end_late(q);
		record_progress(q);
	}
	crew_free(&q->crew);
	while (q->attempts)
		give_up(q, q->attempts);
	sync_removals(q);
}

/* With defer only -q counts. */
static bool
is_wanted(const struct queue *q)
{
	return q->conf->defer ? agenda_next_due(&q->agenda) <= clock_ms() :
				agenda_live(&q->agenda) > 0;
}

void
queue_run(struct spool *s, int runner, const struct queue_options *o)
{
	struct queue q = {.spool = s, .options = o, .conf = &o->site->conf};

	watch_open(&q.watch, s);
	spool_sweep(s);
	for (;;) {
		crew_init(&q.crew, q.conf->workers);
		run(&q);
		close(runner);
		/* A message committed while we held the lock counted on us, and so did whoever
		 * woke us: look once more. */
		watch_read(&q.watch, on_event, &q);
		if (!q.conf->defer)
			spool_walk(s, add_name, &q);
		if (q.stop_due || !is_wanted(&q) || spool_lock_runner(s, &runner) != SPOOL_OK)
			break;
	}
	agenda_free(&q.agenda);
	watch_close(&q.watch);
}
