/* SPDX-License-Identifier: ISC */
#include "file.h"
#include "fmt.h"
#include "site.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

static char dir[32], conf[48], aliases[48];
static struct site_options options;
static struct site site;
static int refusal;           /* errno for whoever opens /etc/passwd, or 0 */
static unsigned waits;
static void (*during_wait)(void);

int
openat(int at, const char *path, int flags, ...)
{
	va_list ap;

	va_start(ap, flags);
	mode_t mode = flags & O_CREAT ? va_arg(ap, mode_t) : 0;
	va_end(ap);
	if (refusal && strcmp(path, "/etc/passwd") == 0) {
		errno = refusal;
		return -1;
	}
	return (int)syscall(SYS_openat, at, path, flags, mode);
}

/* Time passes at once, and somebody is busy meanwhile. */
int
poll(struct pollfd *fds, nfds_t count, int ms)
{
	void (*act)(void) = during_wait;

	if (count > 0) /* log asks for standard error */
		return (int)syscall(SYS_ppoll, fds, count, &(struct timespec){0, 0}, NULL, 8);
	assert_in_range(ms, 1, 2000);
	waits++;
	during_wait = NULL;
	if (act)
		act();
	return 0;
}

/* seconds: how long ago. */
static void
set_file(const char *path, const char *text, time_t seconds)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	time_t then = time(NULL) - seconds;

	assert_true(fd >= 0);
	assert_int_equal(file_write(fd, str_of(text)), 0);
	assert_int_equal(futimens(fd, (struct timespec[]){{then, 0}, {then, 0}}), 0);
	close(fd);
}

static void
set_conf(const char *lines, time_t seconds)
{
	char text[256];

	fmt_print(text, sizeof text, "aliases %s\nlog_file %s/log\n%s", aliases, dir, lines);
	set_file(conf, text, seconds);
}

static int
set_up(void **state)
{
	(void)state;
	strcpy(dir, "/tmp/site.XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	fmt_print(conf, sizeof conf, "%s/conf", dir);
	fmt_print(aliases, sizeof aliases, "%s/aliases", dir);
	options = (struct site_options){.conf_path = conf};
	set_conf("workers 3\n", 100);
	set_file(aliases, "root: joe\n", 100);
	waits = 0;
	return site_load(&site, &options) || site_load_aliases(&site, NULL, NULL);
}

static int
tear_down(void **state)
{
	char log[48];

	(void)state;
	site_free(&site);
	fmt_print(log, sizeof log, "%s/log", dir);
	unlink(log);
	unlink(conf);
	unlink(aliases);
	rmdir(aliases);
	refusal = 0;
	during_wait = NULL;
	return rmdir(dir);
}

static unsigned
count_said(const char *words)
{
	struct buf text = {0};
	char log[48];
	unsigned n = 0;

	fmt_print(log, sizeof log, "%s/log", dir);
	assert_int_equal(file_load(log, 1 << 20, &text), 0);
	for (const char *at = buf_cstr(&text); (at = strstr(at, words)); at++)
		n++;
	buf_free(&text);
	return n;
}

static void
test_nothing_new(void **state)
{
	(void)state;
	assert_false(site_reload(&site));
	assert_int_equal(waits, 0);
}

static void
test_new_conf(void **state)
{
	(void)state;
	set_conf("workers 4\n", 50);
	assert_true(site_reload(&site));
	assert_int_equal(site.conf.workers, 4);
	assert_int_equal(waits, 0);
	set_conf("workers 5\n", -1000); /* by another clock */
	assert_true(site_reload(&site));
	assert_int_equal(site.conf.workers, 5);
	assert_int_equal(waits, 0);
	set_conf("workers 6\n", 0);
	assert_true(site_reload(&site));
	assert_int_equal(site.conf.workers, 6);
	assert_int_equal(waits, 1);
}

static void
write_the_rest(void)
{
	set_conf("workers 4\nmailname new.example\n", 0);
}

static void
test_conf_half_written(void **state)
{
	(void)state;
	set_conf("workers 4\n", 0);
	during_wait = write_the_rest;
	assert_false(site_reload(&site));
	assert_int_equal(site.conf.workers, 3);
	assert_true(site_reload(&site));
	assert_int_equal(site.conf.workers, 4);
	assert_string_equal(site.conf.mailname, "new.example");
}

static void
test_conf_empty_or_gone(void **state)
{
	(void)state;
	set_file(conf, "", 50);
	assert_false(site_reload(&site));
	unlink(conf);
	assert_false(site_reload(&site));
	assert_int_equal(site.conf.workers, 3);
	assert_int_equal(waits, 0);
	assert_false(site_reload(&site));
	set_conf("workers 4\n", 50);
	assert_true(site_reload(&site));
	assert_int_equal(site.conf.workers, 4);
}

static void
test_new_aliases(void **state)
{
	(void)state;
	set_file(aliases, "root: joe\namy: joe\n", 50);
	assert_true(site_reload(&site));
	assert_int_equal(site.aliases.count, 2);
}

static void
bring_aliases_back(void)
{
	set_file(aliases, "root: joe\namy: joe\n", 0);
}

/* An editor that renames leaves no file for a moment. */
static void
test_aliases_gone(void **state)
{
	(void)state;
	unlink(aliases);
	during_wait = bring_aliases_back;
	assert_false(site_reload(&site));
	assert_int_equal(site.aliases.count, 1);
	assert_int_equal(waits, 1);
	assert_true(site_reload(&site));
	assert_int_equal(site.aliases.count, 2);
	unlink(aliases);
	assert_true(site_reload(&site)); /* two seconds later it is still gone */
	assert_int_equal(site.aliases.count, 0);
	waits = 0;
	assert_false(site_reload(&site));
	assert_int_equal(waits, 0);
}

static void
test_aliases_unreadable(void **state)
{
	(void)state;
	unlink(aliases);
	assert_int_equal(mkdir(aliases, 0700), 0);
	assert_false(site_reload(&site));
	assert_false(site_reload(&site));
	assert_int_equal(site.aliases.count, 1);
	assert_int_equal(count_said("going on with the aliases as they were"), 1);
	assert_int_equal(rmdir(aliases), 0);
	set_file(aliases, "root: joe\namy: joe\n", 50);
	assert_true(site_reload(&site));
	assert_int_equal(site.aliases.count, 2);
}

static void
test_passwd(void **state)
{
	static const int troubles[] = {EIO, ENFILE, EACCES};
	struct user_file f = {0};
	struct user u;

	(void)state;
	assert_int_equal(user_by_name(&f, STR("root"), &u), USER_FOUND);
	user_free(&u);
	user_unload(&f);
	refusal = ENOENT;
	assert_int_equal(user_by_name(&f, STR("joe"), &u), USER_NO_FILE);
	assert_int_equal(u.uid, geteuid());
	user_free(&u);
	user_unload(&f);
	for (size_t i = 0; i < sizeof troubles / sizeof *troubles; i++) {
		refusal = troubles[i];
		assert_int_equal(user_by_name(&f, STR("root"), &u), USER_ERROR);
		assert_int_equal(errno, troubles[i]);
		assert_int_equal(u.name.len, 0);
		assert_int_equal(user_by_id(&f, 0, &u), USER_ERROR);
		user_unload(&f);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_nothing_new),
		TEST(test_new_conf),
		TEST(test_conf_half_written),
		TEST(test_conf_empty_or_gone),
		TEST(test_new_aliases),
		TEST(test_aliases_gone),
		TEST(test_aliases_unreadable),
		TEST(test_passwd),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
