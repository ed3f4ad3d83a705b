/* SPDX-License-Identifier: ISC */
#include "io.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <cmocka.h>

/* What stands behind descriptor FILE, and its calls, the next so many of which go wrong: with this
 * error, or 0 bytes of what was asked for. */
enum { FILE = 1000, NOTHING = 0 };

static char text[64];
static size_t len, at;
static int error;
static unsigned wrong, writes;

static bool
goes_wrong(void)
{
	if (wrong == 0)
		return false;
	wrong--;
	errno = error;
	return true;
}

ssize_t
write(int fd, const void *bytes, size_t n)
{
	if (fd != FILE)
		return syscall(SYS_write, fd, bytes, n);
	writes++;
	if (goes_wrong())
		return error == NOTHING ? 0 : -1;
	n = n < 5 ? n : 5;
	assert_true(len + n <= sizeof text);
	memcpy(text + len, bytes, n);
	len += n;
	return (ssize_t)n;
}

static ssize_t
give(void *dst, size_t n, size_t from)
{
	if (goes_wrong())
		return error == NOTHING ? 0 : -1;
	n = n < len - from ? n : len - from;
	memcpy(dst, text + from, n);
	return (ssize_t)n;
}

ssize_t
read(int fd, void *dst, size_t n)
{
	if (fd != FILE)
		return syscall(SYS_read, fd, dst, n);
	ssize_t got = give(dst, n, at);
	at += got > 0 ? (size_t)got : 0;
	return got;
}

ssize_t
pread(int fd, void *dst, size_t n, off_t from)
{
	assert_int_equal(fd, FILE);
	return give(dst, n, (size_t)from);
}

static int
set_up(void **state)
{
	(void)state;
	len = at = wrong = writes = 0;
	return 0;
}

static void
let_fail(int code, unsigned times)
{
	error = code;
	wrong = times;
}

static void
test_reader(void **state)
{
	struct reader r;
	struct str piece;
	char space[4];

	(void)state;
	memcpy(text, "012345", len = 6);
	reader_init(&r, FILE, space, sizeof space);
	let_fail(EINTR, 3);
	assert_int_equal(reader_bytes(&r, &piece), 1);
	assert_true(str_eq(piece, STR("0123")));
	let_fail(EIO, 1);
	assert_int_equal(reader_bytes(&r, &piece), -1);
	assert_int_equal(errno, EIO);
	assert_int_equal(piece.len, 0);
	assert_int_equal(reader_bytes(&r, &piece), 1);
	assert_true(str_eq(piece, STR("45")));
	assert_int_equal(reader_bytes(&r, &piece), 0);
	assert_int_equal(piece.len, 0);
}

static void
test_writer(void **state)
{
	struct writer w;
	char space[8];

	(void)state;
	writer_init(&w, FILE, space, sizeof space);
	writer_add(&w, STR("012"));
	writer_add(&w, STR("345"));
	assert_int_equal(writes, 0);
	let_fail(EINTR, 2);
	writer_add(&w, STR("6789"));
	writer_add(&w, STR("more than there is room for"));
	writer_add(&w, STR("."));
	assert_int_equal(writer_flush(&w), 0);
	assert_true(str_eq((struct str){text, len}, STR("0123456789more than there is room for.")));
	assert_int_equal(w.total, len);
}

/* The first error stays, and nothing is written behind it. */
static void
fail_with(int code, int says)
{
	struct writer w;
	char space[8];

	set_up(NULL);
	writer_init(&w, FILE, space, sizeof space);
	let_fail(code, 1);
	writer_add(&w, STR("0123456789"));
	assert_int_equal(wrong, 0);
	assert_int_equal(w.error, says);
	writer_add(&w, STR("0123456789"));
	errno = 0;
	assert_int_equal(writer_flush(&w), -1);
	assert_int_equal(errno, says);
	assert_int_equal(writes, 1);
	assert_int_equal(len, 0);
	assert_int_equal(w.total, 20);
}

static void
test_writer_fails(void **state)
{
	(void)state;
	fail_with(ENOSPC, ENOSPC);
	fail_with(NOTHING, EIO);
}

static void
test_flush_fails(void **state)
{
	struct writer w;
	char space[8];

	(void)state;
	writer_init(&w, FILE, space, sizeof space);
	writer_add(&w, STR("0123"));
	let_fail(EIO, 1);
	errno = 0;
	assert_int_equal(writer_flush(&w), -1);
	assert_int_equal(errno, EIO);
	errno = 0;
	assert_int_equal(writer_flush(&w), -1);
	assert_int_equal(errno, EIO);
}

static void
test_source(void **state)
{
	struct source s = {.head = STR("head"), .fd = FILE, .offset = 2, .length = 4,
		.tail = STR("tail")};
	char piece[8];

	(void)state;
	memcpy(text, "01234567", len = 8);
	assert_int_equal(source_size(&s), 12);
	assert_int_equal(source_read(&s, piece, 0), 0);
	assert_int_equal(source_read(&s, piece, sizeof piece), 4);
	assert_memory_equal(piece, "head", 4);
	let_fail(EIO, 1);
	assert_int_equal(source_read(&s, piece, sizeof piece), -1);
	assert_int_equal(errno, EIO);
	let_fail(EINTR, 3);
	assert_int_equal(source_read(&s, piece, 3), 3);
	assert_memory_equal(piece, "234", 3);
	let_fail(NOTHING, 1); /* the file has become shorter */
	assert_int_equal(source_read(&s, piece, sizeof piece), -1);
	assert_int_equal(errno, EIO);
	assert_int_equal(source_read(&s, piece, sizeof piece), 1);
	assert_int_equal(source_read(&s, piece, 2), 2);
	assert_int_equal(source_read(&s, piece, sizeof piece), 2);
	assert_memory_equal(piece, "il", 2);
	assert_int_equal(source_read(&s, piece, sizeof piece), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_reader, set_up),
		cmocka_unit_test_setup(test_writer, set_up),
		cmocka_unit_test_setup(test_writer_fails, set_up),
		cmocka_unit_test_setup(test_flush_fails, set_up),
		cmocka_unit_test_setup(test_source, set_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
