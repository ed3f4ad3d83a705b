/* SPDX-License-Identifier: ISC */
#include "direct.h"
#include "clock.h"
#include "dispatch.h"
#include "log.h"

#include <sysexits.h>

enum { FINISH_MS = 2000 }; /* for workers to take their leave of a server */

/* What is still in the way when no worker could be started. */
static void
give_up(struct attempt *a)
{
	struct outcome o = outcome_make(TEMPFAIL, 3, 0, "cannot start a delivery process");

	for (size_t n = 0; n < a->journal.count; n++)
		if (a->mark[n] == ATTEMPT_WAITING)
			attempt_record(a, n, &o, (struct str){0});
}

static void
listen_until(struct dispatch *d, int64_t deadline)
{
	struct pollfd fds[2 * LIMIT_WORKERS];
	int64_t now = clock_ms(), first = dispatch_deadline(d);

	deadline = first < deadline ? first : deadline;
	int64_t wait = deadline - now < 0 ? 0 : deadline - now;
	poll(fds, dispatch_poll(d, fds), wait > INT32_MAX ? INT32_MAX : (int)wait);
	dispatch_hear(d, fds);
}

/* One attempt for everybody, those included whom a name turns out to stand for. */
static void
deliver(struct dispatch *d, struct attempt *a)
{
	for (size_t n = 0; n < a->journal.count; n++)
		attempt_want(a, n);
	while (a->waiting > 0 || a->taken > 0) {
		dispatch_assign(d, a);
		/* A worker whose work is done can take more, or makes room by its end. */
		if (a->taken == 0 && crew_is_idle(&d->crew))
			give_up(a);
		else
			listen_until(d, INT64_MAX);
		/* Nobody but us counts on it. */
		attempt_write(a, true);
		dispatch_release(d, a);
	}
}

static void
say(struct str address, const struct outcome *o)
{
	struct buf status = {0};

	outcome_print_reply(o, &status);
	log_error("not delivered to <%.*s>: %s (%s)", STR_ARG(address), o->text, buf_cstr(&status));
	buf_free(&status);
}

/* Says what went wrong. The status of one of the worst. */
static int
report(const struct attempt *a)
{
	int temporary = EX_OK, permanent = EX_OK;

	for (size_t n = 0; n < a->journal.count; n++) {
		const struct journal_rcpt *r = &a->journal.rcpts[n];
		struct outcome o = journal_outcome(r);
		if (r->fate == JOURNAL_SENT)
			continue;
		*(o.verdict == PERMFAIL ? &permanent : &temporary) = outcome_final_sysexit(&o);
		say(r->address, &o);
	}
	return permanent ? permanent : temporary;
}

int
direct_run(const struct site *site, struct spool *spool, const char *id)
{
	struct attempt *a = buf_array(NULL, 1, sizeof *a);
	struct dispatch d;

	if (attempt_open(a, spool, &site->conf, str_of(id)) != SPOOL_OK) {
		log_error("the message cannot be read back from memory");
		return EX_SOFTWARE;
	}
	dispatch_init(&d, site);
	d.only_once = true;
	dispatch_add(&d, a);
	deliver(&d, a);
	int status = report(a);
	int64_t deadline = clock_ms() + FINISH_MS;
	dispatch_finish(&d);
	while (!crew_is_idle(&d.crew) && clock_ms() < deadline)
		listen_until(&d, deadline);
	dispatch_drop(&d, a);
	dispatch_free(&d);
	return status;
}
