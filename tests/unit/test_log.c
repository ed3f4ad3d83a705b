/* SPDX-License-Identifier: ISC */
#include "fmt.h"
#include "limit.h"
#include "log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static char dir[32], file[48], old[48], socket_path[48];
static unsigned opens; /* of files */

/* The system's log is ours. */
int
connect(int fd, const struct sockaddr *sa, socklen_t len)
{
	struct sockaddr_un ours = {.sun_family = AF_UNIX};

	(void)len;
	assert_string_equal(((const struct sockaddr_un *)sa)->sun_path, "/dev/log");
	strcpy(ours.sun_path, socket_path);
	return REAL(connect)(fd, (const struct sockaddr *)&ours, sizeof ours);
}

int
openat(int at, const char *name, int flags, ...)
{
	va_list ap;

	va_start(ap, flags);
	mode_t mode = flags & O_CREAT ? va_arg(ap, mode_t) : 0;
	va_end(ap);
	opens++;
	if (strcmp(name, "/dev/kmsg") == 0) {
		errno = ENOENT;
		return -1;
	}
	return REAL(openat)(at, name, flags, mode);
}

/* A syslog daemon's socket. */
static int
start_daemon(void)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	strcpy(sa.sun_path, socket_path);
	unlink(socket_path);
	assert_int_equal(bind(fd, (const struct sockaddr *)&sa, sizeof sa), 0);
	return fd;
}

static void
expect_heard(int fd, const char *words)
{
	char line[2000];
	ssize_t n = recv(fd, line, sizeof line - 1, 0);

	assert_true(n > 0);
	line[n] = '\0';
	assert_non_null(strstr(line, words));
}

static void
expect_lines(const char *path, unsigned want)
{
	char text[4000];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = read(fd, text, sizeof text);
	unsigned lines = 0;

	close(fd);
	for (ssize_t i = 0; i < n; i++)
		lines += text[i] == '\n';
	assert_int_equal(lines, want);
}

static int
set_up(void **state)
{
	(void)state;
	strcpy(dir, "/tmp/test_log.XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	fmt_print(file, sizeof file, "%s/log", dir);
	fmt_print(old, sizeof old, "%s/log.1", dir);
	fmt_print(socket_path, sizeof socket_path, "%s/socket", dir);
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	unlink(file);
	unlink(old);
	unlink(socket_path);
	return rmdir(dir);
}

/* --- tests --- */

static void
test_daemon_started_anew(void **state)
{
	int fd = start_daemon();

	(void)state;
	assert_int_equal(log_open(NULL), 0);
	log_info("one");
	expect_heard(fd, ": one");
	close(fd);
	log_info("nobody hears this");
	log_info("nor this");
	fd = start_daemon();
	log_info("two");
	expect_heard(fd, ": two");
	/* In the moment between two of them there may be none; and one may be too busy. */
	close(fd);
	fd = start_daemon();
	for (unsigned n = 0; n < 1000; n++)
		log_info("three");
	expect_heard(fd, ": three");
	close(fd);
}

static void
test_file_rotated(void **state)
{
	(void)state;
	assert_int_equal(log_open(file), 0);
	log_info("one");
	opens = 0;
	log_renew(file);
	assert_int_equal(opens, 0);
	assert_int_equal(rename(file, old), 0);
	log_info("two");
	expect_lines(old, 2);
	log_renew(file);
	log_info("three");
	expect_lines(old, 2);
	expect_lines(file, 1);
	assert_int_equal(unlink(file), 0);
	log_renew(file);
	log_info("four");
	expect_lines(file, 1);
	log_renew(old);
	log_info("five");
	expect_lines(old, 3);
}

/* A tag is who called us's. */
static void
test_any_tag(void **state)
{
	char tag[5000], want[200], text[4000];

	(void)state;
	memset(tag, 'x', sizeof tag - 1);
	tag[sizeof tag - 1] = '\0';
	tag[1] = '\n';
	log_tag(tag);
	int fd = start_daemon();
	assert_int_equal(log_open(NULL), 0);
	fmt_print(want, sizeof want, "<22>x?%.62s/mtabox[%d]: one", tag + 2, (int)getpid());
	log_info("one");
	expect_heard(fd, want);
	close(fd);
	assert_int_equal(log_open(file), 0);
	assert_int_equal(log_session(old), 0);
	log_info("two");
	expect_lines(file, 1);
	fmt_print(want, sizeof want, "x?%.62s: two\n", tag + 2);
	fd = open(old, O_RDONLY | O_CLOEXEC);
	ssize_t n = read(fd, text, sizeof text);
	close(fd);
	assert_int_equal(n, strlen(want));
	assert_memory_equal(text, want, strlen(want));
	log_session(NULL);
	log_tag("mtabox");
}

/* Text as long as it may be, and longer, for each kind of sink. */
static void
test_long_text(void **state)
{
	char text[2 * LIMIT_LOG_LINE], line[2 * LIMIT_LOG_LINE];

	(void)state;
	memset(text, 'x', sizeof text);
	assert_int_equal(log_open(file), 0);
	for (int len = LIMIT_LOG_LINE - 2; len <= LIMIT_LOG_LINE + 1; len++) {
		log_info("%.*s", len, text);
		int fd = open(file, O_RDWR | O_CLOEXEC);
		ssize_t n = read(fd, line, sizeof line);
		assert_int_equal(ftruncate(fd, 0), 0);
		close(fd);
		assert_true(n > LIMIT_LOG_LINE);
		assert_int_equal(line[n - 1], '\n');
		const char *shown = strstr(line, ": ") + 2;
		bool cut = len >= LIMIT_LOG_LINE;
		assert_int_equal(line + n - 1 - shown, cut ? LIMIT_LOG_LINE - 1 : len);
		assert_int_equal(line[n - 2], cut ? '.' : 'x');
	}
}

/* Debug lines are for who asks for details. */
static void
test_debug(void **state)
{
	(void)state;
	assert_int_equal(log_open(file), 0);
	errno = EBADF;
	log_debug("one");
	assert_int_equal(errno, EBADF);
	expect_lines(file, 0);
	assert_int_equal(log_session(old), 0);
	log_debug("two");
	expect_lines(file, 0);
	expect_lines(old, 1);
	log_session(NULL);
}

/* From no log at all to a daemon's, and from a file to it. */
static void
test_log_comes_later(void **state)
{
	(void)state;
	log_open("");
	log_info("nobody hears this");
	log_renew("");
	int fd = start_daemon();
	log_renew("");
	log_info("one");
	expect_heard(fd, ": one");
	log_renew(file);
	log_info("two");
	expect_lines(file, 1);
	log_renew(NULL);
	log_info("three");
	expect_heard(fd, ": three");
	opens = 0;
	log_renew(NULL);
	log_info("four");
	expect_heard(fd, ": four");
	close(fd);
}

/* Nobody waits for who does not read, and what he does read is whole lines. */
static void
expect_no_wait(bool background)
{
	char text[2000];
	int fds[2], status;
	unsigned lines = 0;
	ssize_t n;

	memset(text, 'x', sizeof text);
	assert_int_equal(pipe(fds), 0);
	pid_t pid = fork();
	if (pid == 0) {
		alarm(60); /* else it would wait for ever */
		dup2(fds[1], STDERR_FILENO);
		log_verbose(true);
		if (background)
			log_detach();
		for (unsigned i = 0; i < 1000; i++)
			log_info("%.*s", 10 + (int)i, text);
		_exit(0);
	}
	close(fds[1]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	char last = '\n';
	while ((n = read(fds[0], text, sizeof text)) > 0)
		for (ssize_t i = 0; i < n; i++) {
			lines += text[i] == '\n';
			last = text[i];
		}
	close(fds[0]);
	assert_true(lines > 50 && lines < 1000);
	assert_int_equal(last, '\n');
}

static void
test_nobody_reads(void **state)
{
	(void)state;
	expect_no_wait(true);
	expect_no_wait(false);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_daemon_started_anew, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_file_rotated, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_any_tag, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_long_text, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_debug, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_log_comes_later, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_nobody_reads, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
