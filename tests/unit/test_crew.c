/* SPDX-License-Identifier: ISC */
/* Worker processes begin and end, or do not. */
#include "crew.h"

#include <dlfcn.h>
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

/* --- what they do ----------------------------------------------------------------------- */

enum { STAY = -1 }; /* else the status with which they end */
static int task;

static _Noreturn void
work(void)
{
	while (task == STAY)
		pause();
	_exit(task);
}

void
local_run(const struct local_job *job, struct worker_link *link)
{
	(void)job;
	(void)link;
	work();
}

void
relay_run(const struct conf *c, const struct destination *to, const struct outage_list *hosts,
	  struct worker_link *link)
{
	(void)c;
	(void)to;
	(void)hosts;
	(void)link;
	work();
}

/* The kernel has them, in a file system that hangs: they are killed, and stay. */
static bool hangs;

int
kill(pid_t pid, int number)
{
	return hangs ? 0 : ((__typeof__(&kill))dlsym(RTLD_NEXT, "kill"))(pid, number);
}

/* --- tests ------------------------------------------------------------------------------ */

static struct crew crew;

static struct crew_worker *
start_for(const char *user, int what)
{
	struct route r = route_local(str_of(user));
	struct local_job job = {.job = 5, .content = {.fd = -1}};

	task = what;
	return crew_local(&crew, &r, &job);
}

static struct crew_worker *
start(int what)
{
	struct crew_worker *w = start_for("joe", what);

	assert_non_null(w);
	assert_true(crew_has_job(w, 5));
	return w;
}

/* It has ended by itself. */
static void
wait_for_end(const struct crew_worker *w)
{
	siginfo_t info;

	assert_int_equal(waitid(P_PID, (id_t)w->pid, &info, WEXITED | WNOWAIT), 0);
}

static bool
has_room(void)
{
	return crew_has_room(&crew, route_local(STR("bob")).key, false);
}

static void
test_ends(void **state)
{
	(void)state;
	for (int status = 0; status <= 1; status++) {
		struct crew_worker *w = start(status);
		assert_false(has_room());
		assert_false(crew_is_idle(&crew));
		wait_for_end(w);
		assert_int_equal(crew_end(&crew, w), status == 0);
		assert_true(has_room());
		assert_true(crew_is_idle(&crew));
	}
	assert_false(crew_end(&crew, start(STAY)));
	assert_true(crew_is_idle(&crew));
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
}

/* There is an answer at once: not until it is gone. */
static void
is_refused(const char *user)
{
	assert_true(crew_has_room(&crew, route_local(str_of(user)).key, false));
	assert_null(start_for(user, 0));
	assert_int_equal(errno, EBUSY);
}

/* The runner goes on without it, and has one less until it is gone. */
static void
test_cannot_be_ended(void **state)
{
	struct crew_worker *w = start(STAY);
	pid_t pid = w->pid;

	(void)state;
	hangs = true;
	for (unsigned n = 0; n < 3; n++) {
		assert_false(crew_end(&crew, w));
		assert_int_equal(w->pid, pid);
		assert_false(crew_has_job(w, 5));
		assert_true(crew_is_idle(&crew));
		is_refused("joe");
		is_refused("bob");
		assert_true(crew_has_room(&crew, 0, false)); /* for what goes to a server */
	}
	hangs = false;
	kill(pid, SIGKILL);
	wait_for_end(w);
	assert_false(crew_end(&crew, w));
	assert_true(has_room());
	assert_true(crew_is_idle(&crew));
	w = start(0);
	assert_false(crew_is_idle(&crew));
	wait_for_end(w);
	assert_true(crew_end(&crew, w));
}

/* Others have what room is left; no second one goes where the first is lost. */
static void
test_others_go_on(void **state)
{
	static const struct conf conf;
	struct route r = {.key = 7};

	(void)state;
	crew_renew(&crew, 2);
	struct crew_worker *lost = start(STAY);
	pid_t pid = lost->pid;
	hangs = true;
	assert_false(crew_end(&crew, lost));
	hangs = false;
	is_refused("joe");
	assert_true(has_room());
	struct crew_worker *bob = start_for("bob", STAY);
	assert_non_null(bob);
	assert_false(has_room());
	is_refused("joe");
	assert_null(start_for("ann", 0));
	assert_int_equal(errno, 0); /* later: there will be room */
	assert_false(crew_end(&crew, bob));
	struct crew_worker *relay = crew_relay(&crew, &conf, &r, NULL, false);
	assert_non_null(relay);
	kill(pid, SIGKILL);
	wait_for_end(lost);
	assert_false(crew_end(&crew, lost));
	assert_true(crew_has_room(&crew, route_local(STR("joe")).key, false));
	assert_false(crew_end(&crew, start(STAY)));
}

/* It is not forgotten, and there is one less for that long. */
static void
test_renew(void **state)
{
	(void)state;
	crew_renew(&crew, 2);
	assert_int_equal(crew.limit, 2);
	struct crew_worker *lost = start(STAY);
	pid_t pid = lost->pid;
	hangs = true;
	crew_renew(&crew, 3);
	assert_int_equal(crew.limit, 2);
	is_refused("joe");
	crew_renew(&crew, 1);
	assert_int_equal(crew.limit, 1);
	is_refused("bob");
	hangs = false;
	kill(pid, SIGKILL);
	wait_for_end(lost);
	crew_renew(&crew, 3);
	assert_int_equal(crew.limit, 3);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_false(crew_end(&crew, start(STAY)));
}

/* Nor does it keep the runner from its own end. */
static void
test_end_without_it(void **state)
{
	pid_t pid = start(STAY)->pid;

	(void)state;
	hangs = true;
	crew_free(&crew);
	hangs = false;
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static int
set_up(void **state)
{
	(void)state;
	crew_init(&crew, 1);
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	crew_free(&crew);
	return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_ends),
		TEST(test_cannot_be_ended),
		TEST(test_others_go_on),
		TEST(test_renew),
		TEST(test_end_without_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
