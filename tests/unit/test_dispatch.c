/* SPDX-License-Identifier: ISC */
/* What a worker may say. It speaks for a user, or has parsed what a stranger sent, and
 * may have been taken over: the message must not suffer for it. */
#include "dispatch.h"
#include "file.h"
#include "submit.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>
#include <cmocka.h>

#include "complain.h"

static struct site site;
static struct spool spool;
static struct dispatch d;
static struct attempt *a;
static struct crew_worker *w; /* a local one, who has recipient 0 */
static struct worker_link worker;

/* A message to joe and bob, in memory. */
static void
take_in(char id[SPOOL_ID + 1])
{
	struct submission sub = {.conf = &site.conf, .final = true, .mail_errors = true};
	struct buf why = {0};
	int fd = memfd_create("mail", MFD_CLOEXEC);

	assert_int_equal(file_write_at(fd, STR("From: ann\n\nhello\n"), 0), 0);
	addr_set_add(&sub.rcpts, STR("joe"));
	addr_set_add(&sub.rcpts, STR("bob"));
	spool_open_memory(&spool);
	assert_int_equal(submit(&sub, fd, &spool, id, &why), 0);
	close(fd);
}

static pid_t
start_idler(void)
{
	pid_t pid = fork();

	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			pause();
	}
	assert_true(pid > 0);
	return pid;
}

static int
set_up(void **state)
{
	char id[SPOOL_ID + 1];

	(void)state;
	conf_init(&site.conf);
	conf_finish(&site.conf, "router.example", complain, NULL);
	take_in(id);
	a = buf_array(NULL, 1, sizeof *a);
	assert_int_equal(attempt_open(a, &spool, &site.conf, str_of(id)), SPOOL_OK);
	dispatch_init(&d, &site);
	dispatch_add(&d, a);
	w = &d.crew.slot[0];
	*w = (struct crew_worker){
		.pid = start_idler(), .local = true, .jobs = 1, .job = {a->number},
	};
	d.crew.locals = 1;
	assert_int_equal(worker_pair(&w->link, &worker), 0);
	attempt_want(a, 0);
	attempt_want(a, 1);
	attempt_take(a, 0, ATTEMPT_TAKEN);
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	dispatch_drop(&d, a);
	dispatch_free(&d);
	worker_close(&worker);
	spool_close(&spool);
	conf_free(&site.conf);
	return 0;
}

static void
say(const struct worker_frame *f)
{
	struct pollfd fds[2 * LIMIT_WORKERS];

	assert_int_equal(worker_send(&worker, f), 0);
	assert_int_equal(poll(fds, dispatch_poll(&d, fds), 10000), 1);
	dispatch_hear(&d, fds);
}

static void
expand(const char *payload)
{
	say(&(struct worker_frame){
		.kind = WORKER_EXPAND, .job = a->number, .payload = str_of(payload), .fd = -1,
	});
}

/* Others take the recipient's place: all of them, or nobody. */
static void
test_expand(void **state)
{
	(void)state;
	expand("address eve@far.example\nleft root\npart 7 robot\nmailbox\n");
	assert_int_equal(a->taken, 0);
	assert_int_equal(a->journal.count, 6);
	assert_int_equal(a->waiting, 5);
	const struct journal_rcpt *r = a->journal.rcpts + 2;
	assert_int_equal(r[0].kind, JOURNAL_ADDRESS);
	assert_true(str_eq(r[0].address, STR("eve@far.example")));
	assert_int_equal(r[1].kind, JOURNAL_ALIAS);
	assert_true(str_eq(r[1].address, STR("root")));
	/* Its own, whatever it says. */
	assert_int_equal(r[2].kind, JOURNAL_FORWARD_PART);
	assert_true(str_eq(r[2].address, STR("joe")));
	assert_int_equal(r[3].kind, JOURNAL_MAILBOX);
	assert_true(str_eq(r[3].address, STR("joe")));
}

static void
is_nonsense(const char *payload)
{
	expand(payload);
	if (!attempt_has_verdict(a, 0))
		fail_msg("taken: %s", payload);
	assert_int_equal(a->verdict.verdict, TEMPFAIL);
	assert_string_equal(a->verdict.text, "the delivery process talks nonsense");
	assert_int_equal(a->journal.count, 2);
	assert_int_equal(a->waiting, 1);
	assert_int_equal(a->taken, 0);
}

static void
again(void **state)
{
	tear_down(state);
	set_up(state);
}

static void
test_nonsense(void **state)
{
	static const char *const table[] = {
		"", "\n", "nobody knows this\n", "address\n", "address a@@b\n",
		"address a@b.example\rx\n", "mailbox of eve\n", "part 0 robot\n", "part x robot\n",
		"address eve@far.example\nleft a b\n",
	};

	for (size_t n = 0; n < sizeof table / sizeof *table; n++) {
		is_nonsense(table[n]);
		again(state);
	}
}

/* For the aliases file there are no mailboxes, and names have been looked up. */
static void
test_nonsense_for_an_alias(void **state)
{
	w->alias = true;
	is_nonsense("mailbox\n");
	again(state);
	w->alias = true;
	is_nonsense("left root\n");
	again(state);
	w->alias = true;
	expand("part 7 robot\n");
	assert_int_equal(a->journal.rcpts[2].kind, JOURNAL_ALIAS_PART);
}

/* Of others' recipients, other messages and what only a relay does, it says nothing. */
static void
test_not_its_own(void **state)
{
	struct worker_frame f = {
		.kind = WORKER_OUTCOME, .job = a->number, .number = 1, .fd = -1,
		.outcome = outcome_make(DELIVERED, 0, 0, "yes"),
	};

	(void)state;
	say(&f);
	f.number = 2;
	say(&f);
	f.number = 0;
	f.job++;
	say(&f);
	f.job--;
	f.kind = WORKER_DONE;
	say(&f);
	f.kind = WORKER_SESSION;
	f.outcome.verdict = TEMPFAIL;
	say(&f);
	assert_false(attempt_has_verdict(a, 0));
	assert_false(attempt_has_verdict(a, 1));
	assert_int_equal(a->waiting, 1);
	assert_int_equal(a->taken, 1);
	f.kind = WORKER_OUTCOME;
	say(&f);
	assert_true(attempt_has_verdict(a, 0));
}

int
main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		T(test_expand), T(test_nonsense), T(test_nonsense_for_an_alias),
		T(test_not_its_own),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
