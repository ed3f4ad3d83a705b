/* SPDX-License-Identifier: ISC */
#include "dispatch.h"
#include "clock.h"
#include "log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	RETURNS = 3,       /* times that a message comes back untried before it waits */
	LOCAL_MS = 4 * 60 * 1000, /* without a word from a local worker */
	RELAY_MS = 2 * 3600 * 1000, /* or from a relay: a large message on a slow line */
	LOCK_SECONDS = 100, /* for other programs' mailbox locks */
};

/* --- messages --------------------------------------------------------------------------- */

size_t
dispatch_capacity(const struct dispatch *d)
{
	return d->crew.slots * CREW_JOBS;
}

void
dispatch_init(struct dispatch *d, const struct site *site)
{
	*d = (struct dispatch){.site = site};
	crew_init(&d->crew, site->conf.workers);
}

void
dispatch_free(struct dispatch *d)
{
	crew_free(&d->crew);
}

void
dispatch_renew(struct dispatch *d)
{
	crew_free(&d->crew);
	crew_init(&d->crew, d->site->conf.workers);
}

void
dispatch_add(struct dispatch *d, struct attempt *a)
{
	struct attempt **p = &d->attempts;

	while (*p)
		p = &(*p)->next;
	*p = a;
	a->next = NULL;
	a->number = d->attempts_made++;
	d->attempt_count++;
}

void
dispatch_drop(struct dispatch *d, struct attempt *a)
{
	struct attempt **p = &d->attempts;

	while (*p != a)
		p = &(*p)->next;
	*p = a->next;
	d->attempt_count--;
	attempt_close(a);
	free(a);
}

bool
dispatch_is_idle(const struct dispatch *d)
{
	return d->attempt_count == 0 && d->crew.relays == 0 && d->crew.locals == 0;
}

bool
dispatch_has_room(const struct dispatch *d, uint32_t key)
{
	return outage_may_be(&d->outages, key, clock_ms()) || crew_has_room(&d->crew, key);
}

static bool
keeps_lock(const struct crew_worker *w, const struct attempt *a)
{
	return w->pid && w->keeps_lock && w->job[0] == a->number;
}

bool
dispatch_keeps_lock(const struct dispatch *d, const struct attempt *a)
{
	for (size_t n = 0; n < d->crew.slots; n++)
		if (keeps_lock(&d->crew.slot[n], a))
			return true;
	return false;
}

void
dispatch_release(struct dispatch *d, const struct attempt *a)
{
	for (size_t n = 0; n < d->crew.slots; n++) {
		struct crew_worker *w = &d->crew.slot[n];
		if (!keeps_lock(w, a))
			continue;
		worker_send(&w->link, &(struct worker_frame){.kind = WORKER_GO, .fd = -1});
		w->keeps_lock = false;
	}
}

void
dispatch_finish(struct dispatch *d)
{
	for (size_t n = 0; n < d->crew.slots; n++) {
		struct crew_worker *w = &d->crew.slot[n];
		if (w->pid && !w->local)
			worker_send(&w->link, &(struct worker_frame){.kind = WORKER_FINISH, .fd = -1});
	}
}

/* --- to workers ------------------------------------------------------------------------- */

/* In attempt.h's marks: in whose hands a recipient is. */
static unsigned char
mark_of(const struct crew_worker *w)
{
	return ATTEMPT_TAKEN + w->number;
}

/* Adds to job all that wait for w's destination and are sent the same as first, and takes
 * them. */
static void
fill_job(struct dispatch *d, struct attempt *a, size_t first, const struct crew_worker *w,
	 struct relay_job *job, struct buf *addresses)
{
	size_t *end = buf_array(NULL, a->journal.count, sizeof *end);

	job->numbers = buf_array(NULL, a->journal.count, sizeof *job->numbers);
	job->rcpts = buf_array(NULL, a->journal.count, sizeof *job->rcpts);
	for (size_t n = first; n < a->journal.count; n++) {
		struct route r = route_find(&d->site->conf, attempt_sender(a, n), a->journal.rcpts[n].address);
		if (a->mark[n] != ATTEMPT_WAITING || !route_same(&r, &w->route) ||
		    !attempt_same_content(a, first, n))
			continue;
		route_print_address(&d->site->conf, &r, addresses);
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
send_job(struct dispatch *d, struct attempt *a, size_t first, struct crew_worker *w)
{
	struct attempt_content c;
	struct relay_job job = {0};
	struct buf addresses = {0}, payload = {0};

	attempt_content(a, first, &c);
	fill_job(d, a, first, w, &job, &addresses);
	job.sender = c.sender;
	job.offset = c.offset;
	job.length = c.length;
	job.head = buf_view(&c.head);
	job.facts = c.facts | (is_ascii(job.head) ? 0 : ENCODE_EIGHTBIT);
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
assign_relay(struct dispatch *d, struct attempt *a, size_t n, const struct route *r)
{
	const struct outcome *dead = outage_find(&d->outages, r, clock_ms());
	struct crew_worker *w = dead ? NULL : crew_relay(&d->crew, &d->site->conf, r);

	if (dead)
		attempt_record(a, n, dead, (struct str){0});
	else if (w && !crew_has_job(w, a->number))
		send_job(d, a, n, w);
}

static void
start_local(struct dispatch *d, struct attempt *a, size_t n, const struct route *r,
	    const char *path)
{
	struct attempt_content c;
	struct buf user = {0}, full = {0};

	addr_print_user(r->address, &user);
	route_print_address(&d->site->conf, r, &full);
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
	struct crew_worker *w = crew_local(&d->crew, &job);
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

static void
assign_local(struct dispatch *d, struct attempt *a, size_t n, const struct route *r)
{
	struct buf path = {0};

	if (!crew_has_room(&d->crew, ROUTE_LOCAL_KEY))
		return;
	if (route_mailbox(&d->site->conf, r->address, &path) == 0) {
		start_local(d, a, n, r, buf_cstr(&path));
	} else {
		struct outcome o = outcome_make(PERMFAIL, 1, 1, "no such user here: %.*s",
						STR_ARG(addr_local(r->address)));
		attempt_record(a, n, &o, STR("local"));
	}
	buf_free(&path);
}

static bool
is_local(void *ctx, struct str domain)
{
	return conf_is_local(ctx, domain);
}

/* Lists are not read yet. */
static int
include(void *ctx, struct str path, struct buf *text)
{
	(void)ctx;
	(void)path;
	(void)text;
	return EOPNOTSUPP;
}

static void
take_addresses(struct attempt *a, size_t n, const struct alias_found *found)
{
	struct attempt_target *targets = buf_array(NULL, found->addresses.count, sizeof *targets);

	for (size_t i = 0; i < found->addresses.count; i++)
		targets[i] = (struct attempt_target){
			.address = addr_set_get(&found->addresses, i),
		};
	attempt_expand(a, n, targets, found->addresses.count);
	free(targets);
}

/* Recipient n, to be expanded by the aliases file: is, or waits with a reason; one without an
 * alias goes on as an address. */
static void
expand_alias(struct dispatch *d, struct attempt *a, size_t n)
{
	const struct conf *c = &d->site->conf;
	struct str address = a->journal.rcpts[n].address;
	enum alias_result result;
	struct alias_found found;
	struct buf why = {0};

	if (!conf_is_local(c, addr_domain(address)))
		return;
	result = alias_expand_fully(&d->site->aliases, address, is_local, include, (void *)c,
				    &found, &why);
	if (result == ALIAS_EXPANDED && found.part_count == 0) {
		take_addresses(a, n, &found);
	} else if (result != ALIAS_NONE) {
		if (found.part_count)
			buf_puts(&why, "commands and files are not delivered to yet");
		struct outcome o = outcome_make(TEMPFAIL, 3, 5, "alias %.*s: %s: %s",
						STR_ARG(address), c->aliases, buf_cstr(&why));
		attempt_record(a, n, &o, STR("local"));
	}
	alias_found_free(&found);
	buf_free(&why);
}

void
dispatch_assign(struct dispatch *d, struct attempt *a)
{
	for (size_t n = 0; n < a->journal.count; n++)
		if (a->mark[n] == ATTEMPT_WAITING && a->journal.rcpts[n].kind == JOURNAL_ALIAS)
			expand_alias(d, a, n);
	for (size_t n = 0; n < a->journal.count && a->waiting > 0; n++) {
		if (a->mark[n] != ATTEMPT_WAITING)
			continue;
		struct route r = route_find(&d->site->conf, attempt_sender(a, n), a->journal.rcpts[n].address);
		if (r.kind == ROUTE_LOCAL)
			assign_local(d, a, n, &r);
		else
			assign_relay(d, a, n, &r);
	}
}

/* --- what workers say -------------------------------------------------------------------- */

static struct attempt *
find_attempt(struct dispatch *d, uint32_t number)
{
	for (struct attempt *a = d->attempts; a; a = a->next)
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
on_session(struct dispatch *d, struct crew_worker *w, const struct worker_frame *f)
{
	w->failed = true;
	if (f->outcome.verdict == TEMPFAIL)
		outage_add(&d->outages, &w->route,
			   clock_ms() + (int64_t)d->site->conf.retry_min * 1000, &f->outcome);
	for (struct attempt *a = d->attempts; a; a = a->next)
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
on_frame(struct dispatch *d, struct crew_worker *w, const struct worker_frame *f)
{
	struct attempt *a = find_attempt(d, f->job);
	/* A worker has parsed what a server sent: it may speak of its own work only. */
	bool its_job = crew_has_job(w, f->job);
	bool its_own = a && its_job && f->number < a->journal.count &&
		       a->mark[f->number] == mark_of(w);

	if (f->fd >= 0)
		close(f->fd);
	if (f->kind == WORKER_SESSION && !w->local) {
		on_session(d, w, f);
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
on_end(struct dispatch *d, struct crew_worker *w)
{
	struct crew_worker last = *w;
	bool orderly = crew_end(&d->crew, w);
	struct outcome died = outcome_make(TEMPFAIL, 3, 0, "the delivery process died");

	if (!orderly)
		log_error("a delivery process died");
	for (struct attempt *a = d->attempts; a; a = a->next) {
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
listen_to(struct dispatch *d, struct crew_worker *w)
{
	struct worker_frame f;
	int got;

	while ((got = worker_receive(&w->link, &f)) > 0) {
		renew_deadline(w);
		on_frame(d, w, &f);
	}
	if (got < 0)
		on_end(d, w);
}

/* Each slot has its own place: poll passes over those of the free ones. */
nfds_t
dispatch_poll(const struct dispatch *d, struct pollfd *fds)
{
	for (size_t n = 0; n < d->crew.slots; n++) {
		const struct crew_worker *w = &d->crew.slot[n];
		fds[n] = (struct pollfd){.fd = w->pid ? w->link.fd : -1, .events = POLLIN};
		if (w->pid && worker_wants_write(&w->link))
			fds[n].events |= POLLOUT;
	}
	return d->crew.slots;
}

void
dispatch_hear(struct dispatch *d, const struct pollfd *fds)
{
	for (size_t n = 0; n < d->crew.slots; n++) {
		struct crew_worker *w = &d->crew.slot[n];
		if (!w->pid)
			continue;
		if (fds[n].revents & POLLOUT)
			worker_flush(&w->link);
		if (fds[n].revents)
			listen_to(d, w);
		if (w->pid && w->deadline <= clock_ms())
			on_end(d, w);
	}
}

int64_t
dispatch_deadline(const struct dispatch *d)
{
	int64_t first = INT64_MAX;

	for (const struct attempt *a = d->attempts; a; a = a->next)
		if (a->write_again && a->write_again < first)
			first = a->write_again;
	for (size_t n = 0; n < d->crew.slots; n++)
		if (d->crew.slot[n].pid && d->crew.slot[n].deadline < first)
			first = d->crew.slot[n].deadline;
	return first;
}
