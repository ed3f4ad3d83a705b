/* SPDX-License-Identifier: ISC */
#include "dispatch.h"
#include "clock.h"
#include "log.h"
#include "parcel.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	RETURNS = 3,       /* times that a message comes back untried before it waits */
	/* Without a word from a worker, and a millisecond more for each byte in its hands. */
	LOCAL_MS = 4 * 60 * 1000,
	RELAY_MS = 2 * 3600 * 1000,
	LOST_MS = 5 * 1000, /* between two looks for one that is lost */
};

static const char died[] = "the delivery process died";

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
dispatch_forgive(struct dispatch *d)
{
	outage_clear(&d->outages);
	outage_clear(&d->hosts);
}

void
dispatch_free(struct dispatch *d)
{
	crew_free(&d->crew);
	dispatch_forgive(d);
}

void
dispatch_renew(struct dispatch *d)
{
	crew_renew(&d->crew, d->site->conf.workers);
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
	buf_release(a);
}

bool
dispatch_is_suspect(const struct attempt *a)
{
	for (size_t n = 0; n < a->journal.count; n++) {
		const struct journal_rcpt *r = &a->journal.rcpts[n];
		struct outcome last = journal_outcome(r);
		if (r->fate == JOURNAL_PENDING &&
		    (r->attempts ? strcmp(last.text, died) == 0 : a->retried))
			return true;
	}
	return false;
}

bool
dispatch_is_idle(const struct dispatch *d)
{
	return d->attempt_count == 0 && crew_is_idle(&d->crew);
}

bool
dispatch_has_room(const struct dispatch *d, uint32_t key, bool alone)
{
	return outage_may_be(&d->outages, key, clock_ms()) || crew_has_room(&d->crew, key, alone);
}

static bool
keeps_lock(const struct crew_worker *w, const struct attempt *a)
{
	return w->pid && w->keeps_lock && w->job[0] == a->number;
}

static void
say(struct crew_worker *w, enum worker_kind kind)
{
	worker_send(&w->link, &(struct worker_frame){.kind = kind, .fd = -1});
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
		say(w, WORKER_GO);
		w->keeps_lock = false;
	}
}

void
dispatch_finish(struct dispatch *d)
{
	for (size_t n = 0; n < d->crew.slots; n++) {
		struct crew_worker *w = &d->crew.slot[n];
		if (w->pid && !w->local)
			say(w, WORKER_FINISH);
	}
}

/* --- to workers ------------------------------------------------------------------------- */

/* Whether the aliases file has a say in it. */
static bool
is_alias(const struct dispatch *d, const struct journal_rcpt *r)
{
	return r->kind == JOURNAL_ALIAS && conf_is_local(&d->site->conf, addr_domain(r->address)) &&
	       alias_has(&d->site->aliases, r->address);
}

struct route
dispatch_route(const struct dispatch *d, const struct attempt *a, size_t n)
{
	const struct journal_rcpt *r = &a->journal.rcpts[n];

	if (r->kind == JOURNAL_ADDRESS || (r->kind == JOURNAL_ALIAS && !is_alias(d, r)))
		return route_find(&d->site->conf, attempt_sender(a, n), r->address);
	/* A part's address says whose it is; the recipient is whose place it takes. */
	while (r->kind == JOURNAL_ALIAS_PART || r->kind == JOURNAL_FORWARD_PART)
		r = &a->journal.rcpts[r->parent - 1];
	return route_local(r->address);
}

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
	 struct parcel *job, struct buf *addresses)
{
	size_t *end = buf_array(NULL, a->journal.count, sizeof *end);

	job->numbers = buf_array(NULL, a->journal.count, sizeof *job->numbers);
	job->rcpts = buf_array(NULL, a->journal.count, sizeof *job->rcpts);
	job->notifies = buf_array(NULL, a->journal.count, sizeof *job->notifies);
	for (size_t n = first; n < a->journal.count; n++) {
		struct route r = dispatch_route(d, a, n);
		if (a->mark[n] != ATTEMPT_WAITING || !route_same(&r, &w->route) ||
		    !attempt_same_content(a, first, n))
			continue;
		route_print_address(&d->site->conf, &r, addresses);
		end[job->rcpt_count] = addresses->len;
		job->notifies[job->rcpt_count] = a->journal.rcpts[n].notify;
		job->numbers[job->rcpt_count++] = (uint32_t)n;
		attempt_take(a, n, mark_of(w));
	}
	for (size_t n = 0, start = 0; n < job->rcpt_count; start = end[n++])
		job->rcpts[n] = (struct str){addresses->ptr + start, end[n] - start};
	buf_release(end);
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

/* A worker has time limits of its own. This one is for what stops it altogether: a file
 * system that hangs, a recipient who halts his own delivery, a server that takes a byte now and
 * then. */
static void
renew_deadline(const struct dispatch *d, struct crew_worker *w)
{
	w->deadline = clock_ms() + (w->local ? LOCAL_MS : RELAY_MS);
	for (const struct attempt *a = d->attempts; a; a = a->next)
		if (crew_has_job(w, a->number))
			w->deadline += (int64_t)a->envelope.length;
}

static void
send_job(struct dispatch *d, struct attempt *a, size_t first, struct crew_worker *w)
{
	struct attempt_content c;
	struct parcel job = {0};
	struct buf addresses = {0}, payload = {0};

	attempt_content(a, first, &c);
	fill_job(d, a, first, w, &job, &addresses);
	job.sender = c.sender;
	if (!a->journal.rcpts[first].bounce)
		job.notify = a->envelope.notify;
	job.offset = c.offset;
	job.length = c.length;
	job.head = buf_view(&c.head);
	job.facts = c.facts | (str_is_ascii(job.head) ? 0 : ENCODE_EIGHTBIT);
	job.by_data = a->retried || d->only_once;
	job.tail = buf_view(&c.tail);
	parcel_print(&job, &payload);
	struct worker_frame frame = {
		.kind = WORKER_JOB, .job = a->number, .payload = buf_view(&payload),
		.fd = a->claim.fd,
	};
	if (worker_send(&w->link, &frame)) {
		struct outcome o = outcome_from_errno(errno, "handing it to a delivery process");
		take_back(a, w, &o);
	} else {
		w->job[w->jobs++] = a->number;
	}
	renew_deadline(d, w);
	parcel_free(&job);
	buf_free(&addresses);
	buf_free(&payload);
	attempt_free_content(&c);
}

/* There is no worker: not now, or the system has no process for one. */
static void
on_refusal(struct attempt *a, size_t n, struct str relay)
{
	if (errno == 0)
		return;
	struct outcome o = outcome_from_errno(errno, errno == EBUSY ?
		"an earlier delivery process cannot be ended" : "starting a delivery process");
	attempt_record(a, n, &o, relay);
}

/* Not to be tried now, and that is recipient n's verdict. */
static bool
is_dead(struct dispatch *d, struct attempt *a, size_t n, const struct route *r)
{
	const struct outcome *why = outage_find(&d->outages, r, clock_ms());

	if (why)
		attempt_record(a, n, why, (struct str){0});
	return why != NULL;
}

static void
assign_relay(struct dispatch *d, struct attempt *a, size_t n, const struct route *r)
{
	if (is_dead(d, a, n, r))
		return;
	struct crew_worker *w =
		crew_relay(&d->crew, &d->site->conf, r, &d->hosts, a->alone);
	if (!w)
		on_refusal(a, n, STR("none"));
	else if (!crew_has_job(w, a->number) && attempt_begin(a))
		send_job(d, a, n, w);
	if (w && a->alone)
		say(w, WORKER_FINISH);
}

static void
assign_local(struct dispatch *d, struct attempt *a, size_t n, const struct route *route)
{
	struct journal_rcpt rcpt = a->journal.rcpts[n];
	bool alias = is_alias(d, &rcpt);
	struct route place = *route;
	struct attempt_content c;
	struct buf full = {0};

	if (rcpt.part)
		place.servers = rcpt.part;
	else
		place.servers = rcpt.kind == JOURNAL_ALIAS && !alias ? JOURNAL_ADDRESS : rcpt.kind;
	if (is_dead(d, a, n, &place) || !crew_has_room(&d->crew, place.key, false) ||
	    !attempt_begin(a))
		return;
	route_print_address(&d->site->conf, route, &full);
	attempt_content(a, n, &c);
	struct local_job job = {
		.conf = &d->site->conf, .aliases = &d->site->aliases,
		.job = a->number, .number = (uint32_t)n, .rcpt = &rcpt,
		.address = route->address, .full = buf_view(&full), .sender = c.sender,
		.id = str_of(a->id), .host = a->journal.host, .date = a->journal.date,
		.content = {
			.head = buf_view(&c.head), .fd = a->claim.fd, .offset = c.offset,
			.length = c.length, .tail = buf_view(&c.tail), .pos = c.ancestors,
		},
		.retried = a->retried,
	};
	struct crew_worker *w = crew_local(&d->crew, &place, &job);
	if (w) {
		w->alias = alias || rcpt.kind == JOURNAL_ALIAS_PART;
		attempt_take(a, n, mark_of(w));
		renew_deadline(d, w);
	} else {
		on_refusal(a, n, STR("local"));
	}
	attempt_free_content(&c);
	buf_free(&full);
}

void
dispatch_assign(struct dispatch *d, struct attempt *a)
{
	for (size_t n = 0; n < a->journal.count && a->waiting > 0; n++) {
		if (a->mark[n] != ATTEMPT_WAITING)
			continue;
		struct route r = dispatch_route(d, a, n);
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

static void
on_outage(const struct dispatch *d, struct outage_list *l, const struct route *r,
	  const struct outcome *why)
{
	const struct conf *c = &d->site->conf;

	if (why->verdict == TEMPFAIL)
		outage_add(l, r, clock_ms(), (int64_t)c->retry_min * 1000,
			   (int64_t)c->retry_max * 1000, why);
}

/* A worker that was taken over could say it of any host: whose mail then waits for as long as
 * that worker goes on saying so, and no longer than retry_min. */
static void
on_host(struct dispatch *d, const struct worker_frame *f)
{
	struct route host = outage_host(f->relay);

	on_outage(d, &d->hosts, &host, &f->outcome);
}

static void
on_session(struct dispatch *d, struct crew_worker *w, const struct worker_frame *f)
{
	w->failed = true;
	on_outage(d, &d->outages, &w->route, &f->outcome);
	for (struct attempt *a = d->attempts; a; a = a->next)
		take_back(a, w, &f->outcome);
}

static void
on_done(struct attempt *a, struct crew_worker *w,
	const struct worker_frame *f)
{
	crew_drop_job(w, f->job);
	/* The last verdict may have ended the message already. */
	if (!a)
		return;
	a->alone = a->alone || f->place[0];
	take_back(a, w, &f->outcome);
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
	say(w, answer);
}

/* Whoever speaks for a user has no say in the aliases file's commands, nor in what is another
 * user's own. False: it makes no sense. */
static bool
take_target(struct str *payload, bool by_alias, struct str recipient, struct local_target *t)
{
	if (local_parse_target(payload, t))
		return false;
	if (by_alias)
		return t->kind == JOURNAL_ADDRESS || t->kind == JOURNAL_ALIAS_PART;
	if (t->kind == JOURNAL_ALIAS_PART)
		t->kind = JOURNAL_FORWARD_PART;
	if (t->kind == JOURNAL_MAILBOX || t->kind == JOURNAL_FORWARD_PART)
		t->address = recipient;
	return true;
}

static void
on_expand(struct attempt *a, const struct crew_worker *w, const struct worker_frame *f)
{
	struct outcome o = outcome_make(TEMPFAIL, 3, 0, "the delivery process talks nonsense");
	struct local_target *targets = NULL;
	struct str payload = f->payload, recipient = a->journal.rcpts[f->number].address;
	size_t count = 0;
	bool sound = true;

	while (payload.len > 0 && sound && count <= LIMIT_ALIAS_FANOUT) {
		targets = buf_array(targets, count + 1, sizeof *targets);
		sound = take_target(&payload, w->alias, recipient, &targets[count++]);
	}
	if (sound && count > 0)
		attempt_expand(a, f->number, targets, count);
	else
		attempt_record(a, f->number, &o, STR("local"));
	buf_release(targets);
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
	} else if (f->kind == WORKER_HOST && !w->local) {
		on_host(d, f);
	} else if (f->kind == WORKER_DONE && its_job && !w->local) {
		on_done(a, w, f);
	} else if (f->kind == WORKER_MAILBOX && its_own && w->local) {
		on_mailbox(a, w, f);
	} else if (f->kind == WORKER_EXPAND && its_own && w->local) {
		on_expand(a, w, f);
	} else if (f->kind == WORKER_OUTCOME && its_own) {
		struct outcome o = f->outcome;
		w->keeps_lock = w->local && o.verdict == DELIVERED;
		/* The mailbox itself: not its owner's quota, where less may fit. */
		if (w->local && o.subject == 2 && o.detail == 0)
			on_outage(d, &d->outages, &w->route, &o);
		else
			outage_end(&d->outages, &w->route);
		o.passed = f->place[0] && o.verdict == DELIVERED;
		attempt_record(a, f->number, &o, f->relay);
	}
}

/* The worker is gone; or lost, and looked for later on. A relay that ended in order had not begun
 * what it still has. */
static void
on_end(struct dispatch *d, struct crew_worker *w)
{
	struct crew_worker last = *w;
	bool orderly = crew_end(&d->crew, w);
	struct outcome why = outcome_make(TEMPFAIL, 3, 0, "%s", died);

	w->deadline = clock_ms() + LOST_MS;
	if (!orderly && last.link.fd >= 0)
		log_error(w->pid ? "a delivery process cannot be ended" : "a delivery process died");
	for (struct attempt *a = d->attempts; a; a = a->next) {
		bool in_hand = last.jobs && last.job[0] == a->number;
		a->alone = a->alone || (!orderly && !last.local && in_hand);
		take_back(a, w, last.local || (!orderly && in_hand) ? &why : NULL);
	}
}

static void
listen_to(struct dispatch *d, struct crew_worker *w)
{
	struct worker_frame f;
	int got;

	while ((got = worker_receive(&w->link, &f)) > 0) {
		on_frame(d, w, &f);
		renew_deadline(d, w);
	}
	if (got < 0)
		on_end(d, w);
}

/* Each slot has its own place: poll passes over those of the free ones. It refuses more places
 * than descriptors are allowed, used or not: it is shown none behind the last that is in use. */
nfds_t
dispatch_poll(const struct dispatch *d, struct pollfd *fds)
{
	nfds_t count = 0;

	for (size_t n = 0; n < d->crew.slots; n++) {
		const struct crew_worker *w = &d->crew.slot[n];
		fds[n] = (struct pollfd){.fd = w->pid ? w->link.fd : -1, .events = POLLIN};
		if (w->pid && worker_wants_write(&w->link))
			fds[n].events |= POLLOUT;
		if (w->pid)
			count = n + 1;
	}
	return count;
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
