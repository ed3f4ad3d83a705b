/* SPDX-License-Identifier: ISC */
/* What a runner in the background takes over from whoever starts it, and what that one is told. The
 * system, the queue and its runner are played here. */
#include "runner.h"
#include "log.h"
#include "sandbox.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

/* Shared with the runner. */
static struct world {
	struct rlimit limits[RLIM_NLIMITS];
	bool privileged;             /* may lift hard limits */
	bool net_is_new, mnt_is_new; /* the caller's namespaces are not the first process's, */
	bool init_is_hidden;         /* which cannot be looked at */
	int missing;                 /* this capability is */
	bool root_is_closed;         /* / cannot be the working directory */
	unsigned lives;              /* so many times another runner has the lock */
	int untouchable;             /* errno of waking it, or 0 */
	unsigned touches;
	unsigned ran, warnings;
	bool yields;
} *world;

/* --- the system ------------------------------------------------------------------------- */

int
prlimit(pid_t pid, __rlimit_resource_t which, const struct rlimit *new, struct rlimit *old)
{
	struct rlimit *now = &world->limits[which];

	(void)pid;
	if (new && (new->rlim_cur > new->rlim_max ||
		    (new->rlim_max > now->rlim_max && !world->privileged))) {
		errno = new->rlim_cur > new->rlim_max ? EINVAL : EPERM;
		return -1;
	}
	if (old)
		*old = *now;
	if (new)
		*now = *new;
	return 0;
}

int
prctl(int option, ...)
{
	va_list more;

	va_start(more, option);
	int capability = (int)va_arg(more, long);
	va_end(more);
	assert_int_equal(option, PR_CAPBSET_READ);
	return capability != world->missing;
}

/* Only namespaces are looked at. */
int
stat(const char *path, struct stat *st)
{
	bool inits = strncmp(path, "/proc/1/", 8) == 0;
	bool is_new = strstr(path, "/net") ? world->net_is_new : world->mnt_is_new;

	memset(st, 0, sizeof *st);
	if (inits && world->init_is_hidden) {
		errno = EACCES;
		return -1;
	}
	st->st_ino = inits || !is_new ? 7 : 8;
	return 0;
}

int
chdir(const char *path)
{
	errno = EACCES;
	return world->root_is_closed || strcmp(path, "/") != 0 ? -1 : 0;
}

/* --- the program ------------------------------------------------------------------------ */

bool log_is_verbose(void) { return false; }
int log_fd(void) { return -1; }
int log_session_fd(void) { return -1; }
void log_detach(void) { }

void
log_print(enum log_level level, const char *fmt, ...)
{
	(void)fmt;
	world->warnings += level == LOG_WARN;
}

_Noreturn void
die(int status, const char *fmt, ...)
{
	(void)fmt;
	_exit(status);
}

void
sandbox_close(const int *keep, size_t count)
{
	(void)keep;
	(void)count;
}

bool
spool_may_run(const struct spool *s)
{
	(void)s;
	return true;
}

enum spool_result
spool_lock_runner(struct spool *s, bool wait, int *fd)
{
	(void)s;
	assert_false(wait);
	*fd = -1;
	if (world->lives == 0)
		return SPOOL_OK;
	world->lives--;
	return SPOOL_BUSY;
}

int
spool_touch_runner(struct spool *s)
{
	(void)s;
	world->touches++;
	errno = world->untouchable;
	return world->untouchable ? -1 : 0;
}

int
queue_run(struct spool *s, int runner, const struct queue_options *o)
{
	(void)s;
	(void)runner;
	world->yields = o->yields;
	world->ran++;
	return 0;
}

/* --- tests ------------------------------------------------------------------------------ */

/* Starts one and waits for its end. */
static int
start(bool now)
{
	struct spool spool = {.uid = 0};
	struct queue_options o = {.now = now};
	int rc = runner_start(&spool, &o), err = errno;

	while (wait(NULL) > 0)
		;
	errno = err;
	return rc;
}

static bool
is_limited(int which, rlim_t soft, rlim_t hard)
{
	return world->limits[which].rlim_cur == soft && world->limits[which].rlim_max == hard;
}

static void
limit(int which, rlim_t soft, rlim_t hard)
{
	world->limits[which] = (struct rlimit){soft, hard};
}

static void
test_limits_of_a_user(void **state)
{
	(void)state;
	limit(RLIMIT_NOFILE, 20, 30);
	limit(RLIMIT_FSIZE, 100, RLIM_INFINITY);
	limit(RLIMIT_CPU, 5, 10);
	assert_int_equal(start(false), 0);
	assert_true(is_limited(RLIMIT_NOFILE, 30, 30));
	assert_true(is_limited(RLIMIT_FSIZE, RLIM_INFINITY, RLIM_INFINITY));
	assert_true(is_limited(RLIMIT_CPU, 10, 10));
}

static void
test_limits_of_root(void **state)
{
	(void)state;
	world->privileged = true;
	limit(RLIMIT_NOFILE, 20, 30);
	limit(RLIMIT_FSIZE, 100, 100);
	limit(RLIMIT_AS, 5, RLIM_INFINITY);
	assert_int_equal(start(false), 0);
	assert_true(is_limited(RLIMIT_NOFILE, 1024, 1024));
	assert_true(is_limited(RLIMIT_FSIZE, RLIM_INFINITY, RLIM_INFINITY));
	assert_true(is_limited(RLIMIT_AS, RLIM_INFINITY, RLIM_INFINITY));
	limit(RLIMIT_NOFILE, 20, 4096);
	assert_int_equal(start(false), 0);
	assert_true(is_limited(RLIMIT_NOFILE, 4096, 4096));
}

static bool
yields(void)
{
	world->ran = 0;
	assert_int_equal(start(false), 0);
	assert_int_equal(world->ran, 1);
	return world->yields;
}

static void
test_confined(void **state)
{
	(void)state;
	assert_false(yields());
	world->missing = 7;
	assert_true(yields());
	world->missing = -1;
	world->net_is_new = true;
	assert_true(yields());
	world->net_is_new = false;
	world->mnt_is_new = true;
	assert_true(yields());
}

/* As for a service without CAP_SYS_PTRACE: what is not known confines nobody, and the queue has one
 * runner that stays. */
static void
test_confined_is_not_known(void **state)
{
	(void)state;
	world->init_is_hidden = true;
	assert_false(yields());
}

static void
test_directory_is_kept(void **state)
{
	(void)state;
	assert_int_equal(start(false), 0);
	assert_int_equal(world->warnings, 0);
	world->root_is_closed = true;
	assert_int_equal(start(false), 0);
	assert_int_equal(world->ran, 2);
	assert_int_equal(world->warnings, 1);
}

static void
test_wakes_another(void **state)
{
	(void)state;
	world->lives = 1;
	assert_int_equal(start(false), 1);
	assert_int_equal(world->touches, 0);
	world->lives = 2;
	assert_int_equal(start(true), 1);
	assert_int_equal(world->touches, 1);
	assert_int_equal(world->ran, 0);
	world->lives = 1; /* it ended just then */
	assert_int_equal(start(true), 0);
	assert_int_equal(world->ran, 1);
}

/* Whoever asked for it hears that nothing is tried now. */
static void
test_another_cannot_be_woken(void **state)
{
	(void)state;
	world->lives = 2;
	world->untouchable = EROFS;
	assert_int_equal(start(true), -1);
	assert_int_equal(errno, EROFS);
	assert_int_equal(world->ran, 0);
}

static int
set_up(void **state)
{
	(void)state;
	*world = (struct world){.missing = -1};
	for (int n = 0; n < RLIM_NLIMITS; n++)
		limit(n, RLIM_INFINITY, RLIM_INFINITY);
	return 0;
}

#define TEST(name) cmocka_unit_test_setup(name, set_up)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_limits_of_a_user),
		TEST(test_limits_of_root),
		TEST(test_confined),
		TEST(test_confined_is_not_known),
		TEST(test_directory_is_kept),
		TEST(test_wakes_another),
		TEST(test_another_cannot_be_woken),
	};

	world = mmap(NULL, sizeof *world, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_true(world != MAP_FAILED);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
