/* SPDX-License-Identifier: ISC */
#include "user.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <cmocka.h>

/* What /etc/passwd is for these tests, or why it cannot be opened or read. */
static const char *passwd;
static int open_error, read_error;

int
openat(int dir, const char *name, int flags, ...)
{
	if (strcmp(name, "/etc/passwd"))
		return (int)syscall(SYS_openat, dir, name, flags, 0);
	if (open_error) {
		errno = open_error;
		return -1;
	}
	int fd = memfd_create("passwd", MFD_CLOEXEC);
	assert_int_equal(write(fd, passwd, strlen(passwd)), strlen(passwd));
	return fd;
}

ssize_t
pread(int fd, void *dst, size_t len, off_t at)
{
	if (read_error) {
		errno = read_error;
		return -1;
	}
	return syscall(SYS_pread64, fd, dst, len, at);
}

static struct user_file file;
static struct user u;

static int
set_up(void **state)
{
	(void)state;
	open_error = read_error = 0;
	passwd = "root:x:0:0:root:/root:/bin/sh\n"
		"no numbers here\n"
		"half:x:12\n"
		"odd:x:1b:12::/odd:\n"
		"odd:x:12:1c::/odd:\n"
		"huge:x:4294967296:1::/:\n"
		"Joe:x:7:8::/home/Joe:/bin/sh\n"
		"joe:x:9:10::/home/joe:/bin/sh\n"
		"odd:x:13:14::/right:\n"
		"ann+x:x:11:11::/x:";
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	user_free(&u);
	user_unload(&file);
	return 0;
}

static enum user_result
by_name(const char *name)
{
	user_free(&u);
	return user_by_name(&file, str_of(name), &u);
}

static enum user_result
of_mail(const char *name)
{
	user_free(&u);
	return user_of_mail(&file, str_of(name), &u);
}

static void
is(unsigned uid, unsigned gid, const char *name, const char *home)
{
	assert_int_equal(u.uid, uid);
	assert_int_equal(u.gid, gid);
	assert_string_equal(buf_cstr(&u.name), name);
	assert_string_equal(buf_cstr(&u.home), home);
}

static void
test_by_name(void **state)
{
	(void)state;
	assert_int_equal(by_name("joe"), USER_FOUND);
	is(9, 10, "joe", "/home/joe");
	assert_int_equal(by_name("JOE"), USER_FOUND);
	is(7, 8, "Joe", "/home/Joe");
	assert_int_equal(by_name("ghost"), USER_UNKNOWN);
	assert_int_equal(by_name(""), USER_UNKNOWN);
}

/* Only when somebody is asked for, and once. */
static void
test_read_once(void **state)
{
	(void)state;
	assert_false(file.known);
	assert_int_equal(by_name("joe"), USER_FOUND);
	assert_true(file.known);
	passwd = "root:x:0:0:root:/root:";
	open_error = EIO;
	assert_int_equal(by_name("joe"), USER_FOUND);
	user_unload(&file);
	assert_int_equal(by_name("root"), USER_ERROR);
	open_error = 0;
	assert_int_equal(by_name("root"), USER_ERROR);
	user_unload(&file);
	assert_int_equal(by_name("joe"), USER_UNKNOWN);
}

/* Lines of another form are nobody; the next one of that name counts. */
static void
test_odd_lines(void **state)
{
	(void)state;
	assert_int_equal(by_name("half"), USER_UNKNOWN);
	assert_int_equal(by_name("huge"), USER_UNKNOWN);
	assert_int_equal(by_name("no numbers here"), USER_UNKNOWN);
	assert_int_equal(by_name("odd"), USER_FOUND);
	is(13, 14, "odd", "/right");
	user_free(&u);
	assert_int_equal(user_by_id(&file, 12, &u), USER_UNKNOWN);
	passwd = "odd:x:none:5::/odd:\nroot:x:0:0:root:/root:";
	user_unload(&file);
	assert_int_equal(user_by_id(&file, 0, &u), USER_FOUND);
	is(0, 0, "root", "/root");
}

static void
test_by_id(void **state)
{
	(void)state;
	assert_int_equal(user_by_id(&file, 9, &u), USER_FOUND);
	is(9, 10, "joe", "/home/joe");
	user_free(&u);
	assert_int_equal(user_by_id(&file, 0, &u), USER_FOUND);
	is(0, 0, "root", "/root");
	user_free(&u);
	assert_int_equal(user_by_id(&file, 10, &u), USER_UNKNOWN);
}

static void
test_of_mail(void **state)
{
	(void)state;
	assert_int_equal(of_mail("joe+list"), USER_FOUND);
	is(9, 10, "joe", "/home/joe");
	assert_int_equal(of_mail("ann+x"), USER_FOUND);
	is(11, 11, "ann+x", "/x");
	assert_int_equal(of_mail("+joe"), USER_UNKNOWN);
	assert_int_equal(of_mail("ghost+joe"), USER_UNKNOWN);
}

static void
test_no_file(void **state)
{
	(void)state;
	open_error = ENOENT;
	assert_int_equal(by_name("joe"), USER_NO_FILE);
	is(geteuid(), getegid(), "joe", "");
	assert_int_equal(of_mail("joe+list"), USER_NO_FILE);
	is(geteuid(), getegid(), "joe", "");
	user_free(&u);
	assert_int_equal(user_by_id(&file, 77, &u), USER_NO_FILE);
	is(geteuid(), getegid(), "", "");
}

/* Nothing is known then, and nobody unknown. */
static void
no_answer(int error)
{
	errno = 0;
	assert_int_equal(by_name("joe"), USER_ERROR);
	assert_int_equal(errno, error);
	assert_int_equal(by_name("ghost"), USER_ERROR);
	assert_int_equal(of_mail("joe+list"), USER_ERROR);
	errno = 0;
	assert_int_equal(user_by_id(&file, 9, &u), USER_ERROR);
	assert_int_equal(errno, error);
	assert_int_equal(u.name.len, 0);
	user_without_rights(&file, STR("joe"), &u);
	is(65534, 65534, "joe", "");
	user_free(&u);
	user_unload(&file);
}

static void
test_no_answer(void **state)
{
	(void)state;
	open_error = EMFILE;
	no_answer(EMFILE);
	open_error = 0;
	read_error = EIO;
	no_answer(EIO);
}

/* Whom a part of the file does not name may stand in the rest of it. */
static void
test_part_of_a_file(void **state)
{
	enum { TOO_BIG = (4 << 20) + 1 };
	char *big = malloc(TOO_BIG + 1);

	(void)state;
	memset(big, '\n', TOO_BIG);
	big[TOO_BIG] = '\0';
	memcpy(big, passwd, strlen(passwd));
	passwd = big;
	no_answer(EFBIG);
	free(big);
}

static void
test_without_rights(void **state)
{
	(void)state;
	user_without_rights(&file, STR("joe"), &u);
	is(9, 10, "joe", "/home/joe");
	user_free(&u);
	user_without_rights(&file, STR("root"), &u);
	is(65534, 65534, "root", "");
	user_free(&u);
	user_without_rights(&file, STR("ghost"), &u);
	is(65534, 65534, "ghost", "");
}

int
main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		T(test_by_name),
		T(test_read_once), T(test_odd_lines), T(test_by_id), T(test_of_mail),
		T(test_no_file), T(test_no_answer), T(test_part_of_a_file),
		T(test_without_rights),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
