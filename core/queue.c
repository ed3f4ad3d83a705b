/* SPDX-License-Identifier: ISC */
#include "queue.h"
#include "agenda.h"
#include "choice.h"
#include "clock.h"
#include "date.h"
#include "dispatch.h"
#include "file.h"
#include "held.h"
#include "log.h"
#include "nap.h"
#include "retry.h"
#include "watch.h"

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
	SWEEP_MS = 3600 * 1000, /* between two looks for drafts that nobody holds */
	LONG_MS = 1000,    /* a sleep that memory is given back for */
	YIELD_MS = 1000,   /* for others to take the lock that we could do without */
};

struct queue {
	struct spool *spool;
	int runner;              /* the lock by which others know us */
	struct buf place;        /* its path */
	const struct queue_options *options;
	const struct conf *conf;
	struct watch watch;
	struct agenda agenda;
	struct dispatch dispatch;
	struct held held;
	int64_t alike;           /* until then all that is due is for one destination, which
				    takes no more for the moment; 0: not known */
	unsigned unsynced;       /* removals not yet on disk */
	int64_t sync_due;
	struct stamp urged;      /* when an operator last asked for something */
	int64_t stop_due;        /* SIGTERM came: end then at the latest; else 0 */
	int64_t sweep_due;
	int64_t look_due;        /* without inotify */
	bool rescan;             /* the directory is to be read, */
	bool blind;              /* as it could not be the last time; */
	bool woken;              /* then all is due */
	size_t looked;           /* where admit ended for want of room; 0: it did not */
};

/* --- a message's life -------------------------------------------------------------------- */

static struct retry_policy
policy(const struct queue *q)
{
	return (struct retry_policy){q->conf->retry_min, q->conf->retry_max};
}

/* A changed password must not bounce the queue: mail that our login keeps from going out has
 * a lifetime of its own. */
static uint64_t
lifetime(const struct queue *q, const struct journal_rcpt *r)
{
	struct outcome last = journal_outcome(r);

	return outcome_is_login(&last) ? q->conf->auth_fail_lifetime : q->conf->queue_lifetime;
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

/* Those whose last attempt has failed. Nobody is given up, or called late, by the first attempt
 * of a boot or after the clock was set: that may be wrong, and be set right. True: there were
 * some. */
static bool
expire_all(struct queue *q, struct attempt *a)
{
	bool any = false;
	struct stamp now;

	clock_read(&now);
	for (size_t n = 0; n < a->journal.count && stamp_is_steady(&a->before, &now); n++) {
		const struct journal_rcpt *r = &a->journal.rcpts[n];
		if (r->fate != JOURNAL_PENDING || attempt_has_verdict(a, n) ||
		    !retry_outlived(lifetime(q, r), &a->journal, r, &now))
			continue;
		expire(a, n, &now);
		any = true;
	}
	return any;
}

/* Tells the sender once what is late. True: there is a warning to deliver now. */
static bool
warn(const struct queue *q, struct attempt *a)
{
	const struct journal *j = &a->journal;
	struct stamp now;
	size_t n = 0;

	if (q->conf->delay_warning == 0 || !journal_may_warn(j))
		return false;
	clock_read(&now);
	if (!stamp_is_steady(&a->before, &now))
		return false;
	while (n < j->count && !(journal_warns_of(&j->rcpts[n]) &&
				 retry_outlived(q->conf->delay_warning, j, &j->rcpts[n], &now)))
		n++;
	if (n == j->count)
		return false;
	int64_t left = (int64_t)lifetime(q, &j->rcpts[n]) - journal_age(j, &now);
	return attempt_add_warning(a, now.believable ? now.wall + left : 0);
}

static bool
tried_since(const struct journal_rcpt *r, const struct stamp *urged)
{
	return r->last_at.boot_id == urged->boot_id && r->last_at.boot >= urged->boot;
}

/* Decides of each pending recipient: due, or not yet. An urgent message may come here several
 * times, until there was room for all of its recipients; each is tried once. */
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
		if ((urgent && !tried_since(r, &q->urged)) || retry_wait(&p, r, salt, &now) == 0)
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
		uint32_t k = dispatch_route(&q->dispatch, a, n).key;
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

/* Stopped: what happened so far is on disk, the rest stays queued. */
static void
give_up(struct queue *q, struct attempt *a)
{
	attempt_write(a, true);
	dispatch_drop(&q->dispatch, a);
}

static void
postpone(struct queue *q, struct agenda_item *item, int64_t due)
{
	item->due = due;
	q->alike = due < q->alike ? due : q->alike;
}

/* Lets go of a message that stays queued. */
static void
put_back(struct queue *q, struct attempt *a, int64_t due)
{
	struct agenda_item *item = agenda_find(&q->agenda, str_of(a->id));

	item->active = false;
	postpone(q, item, due);
	item->key = key_of(q, a);
	item->alone = a->alone;
	item->known = true;
	dispatch_drop(&q->dispatch, a);
}

/* What stands in the queue's way stays there, and is looked at again when it is touched. */
static void
leave_alone(struct queue *q, struct attempt *a)
{
	struct agenda_item *item = agenda_find(&q->agenda, str_of(a->id));

	item->active = false;
	item->refused = true;
	dispatch_drop(&q->dispatch, a);
}

static void
forget(struct queue *q, struct attempt *a)
{
	agenda_drop(&q->agenda, str_of(a->id));
	dispatch_drop(&q->dispatch, a);
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
	bool locked = dispatch_keeps_lock(&q->dispatch, a);

	if (q->unsynced++ == 0)
		q->sync_due = clock_ms() + SYNC_MS;
	if (locked || q->unsynced >= SYNC_COUNT)
		sync_removals(q);
	dispatch_release(&q->dispatch, a);
	forget(q, a);
}

static void
on_held(struct queue *q, struct attempt *a)
{
	held_add(&q->held, q->spool, str_of(a->id));
	forget(q, a);
}

/* The end of a pass. True: there is more to do for this message at once. */
static bool
conclude(struct queue *q, struct attempt *a)
{
	int64_t due;

	switch (attempt_conclude(a)) {
	case ATTEMPT_STUCK:
		break;
	case ATTEMPT_REMOVED:
		on_removed(q, a);
		break;
	case ATTEMPT_LATER:
		if (expire_all(q, a))
			return true;
		dispatch_release(&q->dispatch, a);
		/* Before: what is not on disk is not due. */
		due = next_due(q, a);
		if (warn(q, a)) {
			plan(q, a, false);
			return true;
		}
		put_back(q, a, due);
		break;
	case ATTEMPT_BOUNCE:
		/* The bounce may go to the very mailbox that is still locked. */
		dispatch_release(&q->dispatch, a);
		if (attempt_add_bounce(a)) {
			/* What is not on disk is not due. */
			if (a->write_again == 0 && !a->gone)
				plan(q, a, false);
			return a->write_again == 0;
		}
		if (journal_pending(&a->journal))
			put_back(q, a, next_due(q, a));
		else if (attempt_hold(a) == SPOOL_GONE)
			on_held(q, a);
		else
			leave_alone(q, a);
		break;
	}
	return false;
}

/* Claims and plans what an item of the agenda stands for. */
static void
start(struct queue *q, struct agenda_item *item)
{
	struct attempt *a = buf_array(NULL, 1, sizeof *a);
	struct str id = {item->id, SPOOL_ID};

	switch (attempt_open(a, q->spool, q->conf, id)) {
	case SPOOL_OK:
		item->active = true;
		item->busy = 0;
		dispatch_add(&q->dispatch, a);
		a->urgent = item->urgent;
		a->alone = item->alone || (!item->known && dispatch_is_suspect(a));
		item->urgent = false;
		plan(q, a, a->urgent);
		/* At once: whether there is room for the next one depends on it. */
		dispatch_assign(&q->dispatch, a);
		return;
	case SPOOL_BUSY:
		postpone(q, item, clock_ms() +
			 (item->busy < 7 ? BUSY_MS << item->busy : BUSY_MAX_MS));
		item->busy++;
		break;
	case SPOOL_ERROR:
		item->refused = true;
		item->busy = 0;
		break;
	case SPOOL_GONE:
		agenda_drop(&q->agenda, id);
		break;
	}
	buf_release(a);
}

/* Starts what is due and is likely to find a worker, from where the last time ended for want of
 * room. Where a queue of thousands is for one destination, the answer for one is that for all, and
 * once that is known nobody looks at them all for each that is delivered. */
static void
admit(struct queue *q)
{
	const struct agenda_item *refused = NULL;
	int64_t now = clock_ms(), later = INT64_MAX;

	if (agenda_tidy(&q->agenda))
		q->looked = 0;
	bool alike = q->looked == 0;
	for (; q->looked < q->agenda.count; q->looked++) {
		struct agenda_item *item = &q->agenda.items[q->looked];
		if (q->dispatch.attempt_count >= dispatch_capacity(&q->dispatch))
			return;
		bool due = agenda_is_due(item, now);
		if (due && refused && item->key == refused->key && item->alone == refused->alone)
			continue;
		if (due && item->key != AGENDA_ANY &&
		    !dispatch_has_room(&q->dispatch, item->key, item->alone)) {
			if (q->alike > now)
				break;
			alike = alike && !refused;
			refused = item;
			continue;
		}
		if (due)
			start(q, item);
		if (agenda_due(item) < later)
			later = agenda_due(item);
	}
	if (q->looked == q->agenda.count)
		q->alike = refused && alike ? later : 0;
	q->looked = 0;
}

/* No worker has room for it: others may have better luck meanwhile. Where its destination is
 * known it is due again as soon as there is room, as far as the key can tell. */
static void
make_way(struct queue *q, struct attempt *a)
{
	struct agenda_item *item = agenda_find(&q->agenda, str_of(a->id));

	dispatch_release(&q->dispatch, a);
	item->urgent = item->urgent || a->urgent;
	item->busy = 1;
	put_back(q, a, clock_ms());
	if (item->key == AGENDA_ANY || dispatch_has_room(&q->dispatch, item->key, item->alone))
		item->due += BUSY_MS;
}

/* Moves every claimed message on as far as it goes: on the way out no new one begins, but what is
 * done is concluded. */
static void
advance(struct queue *q)
{
	struct attempt *next;

	for (struct attempt *a = q->dispatch.attempts; a; a = next) {
		next = a->next;
		bool over;
		do {
			if (!q->stop_due)
				dispatch_assign(&q->dispatch, a);
			over = a->waiting == 0 && a->taken == 0;
		} while (over && conclude(q, a));
		if (!over && a->taken == 0 && attempt_write(a, false))
			make_way(q, a);
	}
}

/* --- the loop ---------------------------------------------------------------------------- */

static void
add_name(void *ctx, char state, struct str id)
{
	struct queue *q = ctx;

	if (state == 'Q')
		agenda_add(&q->agenda, id);
}

/* Again and again until it works: nothing else tells of what came before us. */
static void
scan(struct queue *q)
{
	static const struct choice queued = {.states = "Q"};
	/* By arrival, so that each that is new goes behind all others; or as far as that goes. */
	bool blind = choice_walk(&queued, q->spool, add_name, q) != 0 &&
		     spool_walk(q->spool, add_name, q) != 0;

	q->alike = 0;
	if (blind && !q->blind)
		log_error("cannot read the spool directory %s, will try again:", q->spool->path);
	q->rescan = q->blind = blind;
	q->look_due = clock_ms() + RESCAN_MS;
}

/* Drafts of writers who were killed go; what was left alone may be sound by now. */
static void
sweep(struct queue *q)
{
	spool_sweep(q->spool);
	for (size_t n = 0; n < q->agenda.count; n++)
		q->agenda.items[n].refused = false;
	q->sweep_due = clock_ms() + SWEEP_MS;
}

static void
urge(struct queue *q, struct agenda_item *item)
{
	clock_read(&q->urged);
	item->urgent = true;
}

static void
wake_all(struct queue *q)
{
	q->woken = false;
	q->alike = 0;
	dispatch_forgive(&q->dispatch);
	for (size_t n = 0; n < q->agenda.count; n++)
		urge(q, &q->agenda.items[n]);
}

/* What the caller of the first pass wants tried at once. */
static void
wake_first(struct queue *q)
{
	struct str ids = q->options->first;

	q->alike = 0;
	if (q->options->now)
		wake_all(q);
	for (; ids.len >= SPOOL_ID; ids = str_from(ids, SPOOL_ID)) {
		struct agenda_item *item = agenda_find(&q->agenda, str_upto(ids, SPOOL_ID));
		if (item)
			urge(q, item);
	}
}

static void
on_event(void *ctx, enum watch_event event, struct str id, bool touched)
{
	struct queue *q = ctx;
	struct agenda_item *item;

	switch (event) {
	case WATCH_NAME:
		item = agenda_add(&q->agenda, id);
		item->refused = false;
		postpone(q, item, 0);
		if (touched) {
			urge(q, item);
			dispatch_forgive(&q->dispatch);
		}
		break;
	case WATCH_WAKE:
		sweep(q);
		q->rescan = q->woken = true;
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

static int64_t
earlier(int64_t a, int64_t b)
{
	return b && b < a ? b : a;
}

/* Messages that no worker took have made way, and behind them are some of which nobody knows yet
 * where they go. */
static bool
has_room_again(const struct queue *q, int64_t now)
{
	size_t n = q->looked;

	if (n == 0 || q->dispatch.attempt_count >= dispatch_capacity(&q->dispatch))
		return false;
	while (n < q->agenda.count &&
	       (q->agenda.items[n].known || !agenda_is_due(&q->agenda.items[n], now)))
		n++;
	return n < q->agenda.count;
}

/* When something must be done though nothing is heard. What is due and was not started waits
 * for a worker's word. */
static int64_t
next_wake(const struct queue *q)
{
	int64_t now = clock_ms(), wake = agenda_next_due(&q->agenda, now);

	if (wake <= now && !dispatch_is_idle(&q->dispatch) && !has_room_again(q, now))
		wake = now + BUSY_MAX_MS;
	if (q->unsynced)
		wake = earlier(wake, q->sync_due);
	wake = earlier(wake, q->stop_due);
	if (q->watch.names < 0 || q->rescan)
		wake = earlier(wake, q->look_due);
	return earlier(wake, dispatch_deadline(&q->dispatch));
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

	fds[0] = (struct pollfd){.fd = q->watch.names, .events = POLLIN};
	fds[1] = (struct pollfd){.fd = q->watch.signals, .events = POLLIN};
	nfds_t count = 2 + dispatch_poll(&q->dispatch, fds + 2);
	int time = poll_time(q);
	bool light = time >= LONG_MS && dispatch_is_idle(&q->dispatch);
	if ((light ? nap_poll : poll)(fds, count, time) < 0)
		nap(BUSY_MS); /* a kernel without memory is asked again, not at once */
	if (q->watch.names < 0 && clock_ms() >= q->look_due)
		watch_look(&q->watch, q->spool, on_event, q);
	if (fds[0].revents || fds[1].revents)
		watch_read(&q->watch, on_event, q);
	dispatch_hear(&q->dispatch, fds + 2);
}

/* Verdicts of messages that others are still busy with go to disk before we sleep. */
static void
record_progress(struct queue *q)
{
	for (struct attempt *a = q->dispatch.attempts; a; a = a->next)
		if ((a->waiting || a->taken) && attempt_write(a, false))
			dispatch_release(&q->dispatch, a);
}

/* With defer, one attempt for each message: what is not due any more has had its own, unless
 * somebody else has it locked just now. */
static bool
all_tried(const struct agenda *a)
{
	for (size_t n = 0; n < a->count; n++)
		if (a->items[n].busy)
			return false;
	int64_t now = clock_ms();
	return agenda_next_due(a, now) > now;
}

/* And with the lock no longer than that takes. */
static bool
is_for_one_pass(const struct queue *q)
{
	return q->conf->defer || q->options->yields;
}

/* The directory is still to be read. Somebody who waits for our end is told that it cannot be. */
static bool
is_unread(const struct queue *q)
{
	bool waits = !q->options->stay && !q->options->hush;

	return q->rescan && !(q->blind && waits);
}

/* But for workers that take their leave of servers. */
static bool
is_done(const struct queue *q)
{
	if (q->options->stay || q->dispatch.attempt_count > 0 || is_unread(q))
		return false;
	return is_for_one_pass(q) ? all_tried(&q->agenda) : agenda_live(&q->agenda) == 0;
}

static bool
is_over(const struct queue *q)
{
	if (q->stop_due && (q->dispatch.attempt_count == 0 || clock_ms() >= q->stop_due))
		return true;
	return dispatch_is_idle(&q->dispatch) && is_done(q);
}

static void
reload(struct queue *q)
{
	if (!site_reload(q->options->site))
		return;
	q->spool->path = q->conf->spooldir;
	dispatch_renew(&q->dispatch);
	dispatch_forgive(&q->dispatch);
	log_info("configuration read again");
}

/* Somebody has put another directory in the queue's place, or mounted a file system over it: mail
 * comes there, and whoever comes with it finds our lock free. */
static void
look_around(struct queue *q)
{
	if (q->stop_due || file_is(q->runner, AT_FDCWD, buf_cstr(&q->place)) != 0)
		return;
	log_error("%s is not our lock any more: this queue runner ends", buf_cstr(&q->place));
	q->stop_due = clock_ms();
}

/* -v: whoever watches has seen the first attempts, and may wait for our end of his pipe. */
static void
hush(struct queue *q)
{
	int null = q->options->hush && log_is_verbose() ? file_open_null(O_RDWR | O_CLOEXEC) : -1;

	if (null < 0)
		return;
	log_verbose(false);
	log_session(NULL);
	dup2(null, STDERR_FILENO);
	close(null);
}

/* Until the queue is empty, or as the options say. */
static void
run(struct queue *q)
{
	q->rescan = true;
	for (;;) {
		if (dispatch_is_idle(&q->dispatch)) {
			reload(q);
			look_around(q);
		}
		if (clock_ms() >= q->sweep_due)
			sweep(q);
		if (q->rescan)
			scan(q);
		if (q->woken && !q->blind)
			wake_all(q);
		if (q->dispatch.attempts_made == 0)
			wake_first(q);
		if (!q->stop_due)
			admit(q);
		advance(q);
		if (q->unsynced && clock_ms() >= q->sync_due)
			sync_removals(q);
		if (is_over(q))
			break;
		if (dispatch_is_idle(&q->dispatch) && q->dispatch.attempts_made > 0)
			hush(q);
		/* Somebody may wait for the end of -q: no worker waits for more mail. */
		if ((is_for_one_pass(q) || q->options->now) && is_done(q))
			dispatch_finish(&q->dispatch);
		wait_and_listen(q);
		record_progress(q);
	}
	dispatch_renew(&q->dispatch);
	while (q->dispatch.attempts)
		give_up(q, q->dispatch.attempts);
	sync_removals(q);
}

/* With defer only -q counts. */
static bool
is_wanted(const struct queue *q)
{
	int64_t now = clock_ms();

	if (is_unread(q))
		return true;
	return q->conf->defer ? agenda_next_due(&q->agenda, now) <= now :
				agenda_live(&q->agenda) > 0;
}

/* Until something is due, or has come: whoever brought it has a runner of his own, which has the
 * lock by the time that we ask for it. */
static void
wait_outside(struct queue *q)
{
	struct pollfd fds[] = {
		{.fd = q->watch.names, .events = POLLIN}, {.fd = q->watch.signals, .events = POLLIN},
	};

	hush(q);
	nap_poll(fds, 2, poll_time(q));
	nap(YIELD_MS); /* a second is little to what waits for its retry, too */
	watch_read(&q->watch, on_event, q);
}

int
queue_run(struct spool *s, int runner, const struct queue_options *o)
{
	struct queue q = {
		.spool = s, .runner = runner, .options = o, .conf = &o->site->conf,
	};

	log_role("qmgr");
	dispatch_init(&q.dispatch, o->site);
	watch_open(&q.watch, s);
	buf_print(&q.place, "%s/runner", s->path);
	for (;;) {
		run(&q);
		close(q.runner);
		/* A message committed while we held the lock counted on us, and so did whoever
		 * woke us: look once more. */
		watch_read(&q.watch, on_event, &q);
		if (!q.conf->defer)
			scan(&q);
		if (o->yields && is_wanted(&q))
			wait_outside(&q);
		if (q.stop_due || !is_wanted(&q) ||
		    spool_lock_runner(s, false, &q.runner) != SPOOL_OK)
			break;
	}
	dispatch_free(&q.dispatch);
	agenda_free(&q.agenda);
	watch_close(&q.watch);
	buf_free(&q.place);
	return q.blind ? -1 : 0;
}
