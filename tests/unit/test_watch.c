/* SPDX-License-Identifier: ISC */
/* What the runner hears of the world where the system gives it less than it asks for. */
#include "watch.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/signalfd.h>
#include <unistd.h>
#include <cmocka.h>

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define ID "0123456789abcdef"

/* --- the system ------------------------------------------------------------------------- */

static struct {
	bool proc, path, signals; /* what there is no watching of */
} without;

int
inotify_add_watch(int fd, const char *path, uint32_t events)
{
	if (strncmp(path, "/proc/", 6) == 0 ? without.proc : without.path) {
		errno = ENOENT;
		return -1;
	}
	return REAL(inotify_add_watch)(fd, path, events);
}

int
signalfd(int fd, const sigset_t *set, int flags)
{
	if (without.signals) {
		errno = ENODEV;
		return -1;
	}
	return REAL(signalfd)(fd, set, flags);
}

/* --- what is heard ---------------------------------------------------------------------- */

static char dir[] = "/tmp/test_watch.XXXXXX";
static struct spool spool = {.dir = -1, .path = dir};
static struct watch watch;
static char heard[64]; /* a letter for each event, and a name's id */

static void
hear(void *ctx, enum watch_event event, struct str id, bool touched)
{
	assert_ptr_equal(ctx, &watch);
	snprintf(heard + strlen(heard), sizeof heard - strlen(heard), "%c%.*s%s",
		 "NWRS"[event], STR_ARG(id), touched ? "!" : "");
}

static const char *
listen(void)
{
	heard[0] = '\0';
	watch_read(&watch, hear, &watch);
	return heard;
}

static const char *
look(void)
{
	heard[0] = '\0';
	watch_look(&watch, &spool, hear, &watch);
	return heard;
}

/* A message is queued, as spool does it. */
static void
enqueue(void)
{
	int fd = openat(spool.dir, "T", O_CREAT | O_WRONLY, 0600);

	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(renameat(spool.dir, "T", spool.dir, "Q" ID), 0);
}

static bool
is_blocked(int number)
{
	sigset_t set;

	sigprocmask(SIG_SETMASK, NULL, &set);
	return sigismember(&set, number);
}

/* --- tests ------------------------------------------------------------------------------ */

static void
test_names_without_proc(void **state)
{
	(void)state;
	without.proc = true;
	watch_open(&watch, &spool);
	enqueue();
	assert_string_equal(listen(), "N" ID);
}

/* Names is -1: by this the runner knows that it must look for itself. */
static void
test_looking_instead(void **state)
{
	(void)state;
	without.proc = without.path = true;
	watch_open(&watch, &spool);
	assert_int_equal(watch.names, -1);
	enqueue();
	assert_string_equal(listen(), "");
	assert_string_equal(look(), "R");
	assert_int_equal(watch.names, -1);
	assert_int_equal(spool_touch_runner(&spool), 0);
	assert_string_equal(look(), "W");
	without.path = false;
	look();
	enqueue();
	assert_string_equal(listen(), "N" ID);
}

static void
test_signals(void **state)
{
	(void)state;
	watch_open(&watch, &spool);
	assert_true(is_blocked(SIGTERM));
	raise(SIGTERM);
	assert_string_equal(listen(), "S");
	raise(SIGHUP);
	assert_string_equal(listen(), "W");
}

/* Where they cannot be heard they act as they do on any program: a runner can be ended. */
static void
test_signals_unheard(void **state)
{
	(void)state;
	without.signals = true;
	watch_open(&watch, &spool);
	assert_false(is_blocked(SIGTERM));
	assert_false(is_blocked(SIGINT));
	assert_false(is_blocked(SIGHUP));
}

static int
set_up(void **state)
{
	(void)state;
	memset(&without, 0, sizeof without);
	spool.uid = geteuid();
	assert_non_null(mkdtemp(dir));
	spool.dir = open(dir, O_RDONLY | O_DIRECTORY);
	return spool.dir < 0;
}

static int
tear_down(void **state)
{
	(void)state;
	watch_close(&watch);
	unlinkat(spool.dir, "Q" ID, 0);
	unlinkat(spool.dir, "runner", 0);
	close(spool.dir);
	int rc = rmdir(dir);
	memcpy(strchr(dir, '.'), ".XXXXXX", sizeof ".XXXXXX");
	return rc;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_names_without_proc),
		TEST(test_looking_instead),
		TEST(test_signals),
		TEST(test_signals_unheard),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
