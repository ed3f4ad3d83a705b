/* SPDX-License-Identifier: ISC */
#include "file.h"
#include "clock.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <cmocka.h>

/* --- system calls that go wrong: the next so many of one name --- */

enum { SHORT = -1, NOTHING = -2 }; /* instead of an error: half of it, 0 bytes */

static struct fault {
	const char *call;
	int error;
	unsigned times;
} fault, second;
static ino_t synced[8];
static unsigned syncs;

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static void
let_fail(const char *call, int error, unsigned times)
{
	fault = (struct fault){call, error, times};
}

/* 0: it is made as ever. */
static int
fails(const char *call)
{
	struct fault *f = fault.times && strcmp(call, fault.call) == 0 ? &fault : &second;

	if (f->times == 0 || strcmp(call, f->call))
		return 0;
	f->times--;
	if (f->error > 0)
		errno = f->error;
	return f->error;
}

int
flock(int fd, int operation)
{
	return fails("flock") ? -1 : REAL(flock)(fd, operation);
}

int
fsync(int fd)
{
	struct stat st;

	if (fails("fsync"))
		return -1;
	if (syncs < 8 && REAL(fstat)(fd, &st) == 0)
		synced[syncs++] = st.st_ino;
	return REAL(fsync)(fd);
}

int
fstat(int fd, struct stat *st)
{
	return fails("fstat") ? -1 : REAL(fstat)(fd, st);
}

int
fstatat(int dir, const char *name, struct stat *st, int flags)
{
	return fails("fstatat") ? -1 : REAL(fstatat)(dir, name, st, flags);
}

int
openat(int dir, const char *name, int flags, ...)
{
	va_list more;

	va_start(more, flags);
	mode_t mode = flags & O_CREAT ? va_arg(more, mode_t) : 0;
	va_end(more);
	return fails("openat") ? -1 : REAL(openat)(dir, name, flags, mode);
}

int
open(const char *name, int flags, ...)
{
	va_list more;

	va_start(more, flags);
	mode_t mode = flags & O_CREAT ? va_arg(more, mode_t) : 0;
	va_end(more);
	return fails("open") ? -1 : REAL(open)(name, flags, mode);
}

ssize_t
write(int fd, const void *bytes, size_t len)
{
	int how = fails("write");

	return how > 0 ? -1 : how == NOTHING ? 0 :
		REAL(write)(fd, bytes, how == SHORT ? (len + 1) / 2 : len);
}

ssize_t
pwrite(int fd, const void *bytes, size_t len, off_t at)
{
	int how = fails("pwrite");

	return how > 0 ? -1 : how == NOTHING ? 0 :
		REAL(pwrite)(fd, bytes, how == SHORT ? (len + 1) / 2 : len, at);
}

ssize_t
pread(int fd, void *dst, size_t len, off_t at)
{
	int how = fails("pread");

	return how > 0 ? -1 : REAL(pread)(fd, dst, how == SHORT ? (len + 1) / 2 : len, at);
}

/* renameat2 and getdents64. */
long
syscall(long number, ...)
{
	long a[6];
	va_list more;

	va_start(more, number);
	for (unsigned i = 0; i < 6; i++)
		a[i] = va_arg(more, long);
	va_end(more);
	if ((number == SYS_renameat2 && fails("renameat2")) ||
	    (number == SYS_getdents64 && fails("getdents64")))
		return -1;
	return REAL(syscall)(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

/* --- where they play --- */

static char top[] = "/tmp/test_file.XXXXXX";
static int dir = -1, fd = -1;

static int
set_up(void **state)
{
	(void)state;
	strcpy(top + sizeof top - 7, "XXXXXX");
	assert_non_null(mkdtemp(top));
	dir = open(top, O_RDONLY | O_DIRECTORY);
	fd = file_create(dir, "file", 0600);
	assert_true(dir >= 0 && fd >= 0);
	syncs = 0;
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	fault.times = 0;
	unlinkat(dir, "file", 0);
	unlinkat(dir, "other", 0);
	close(fd);
	close(dir);
	return rmdir(top);
}

#define FAILS(code, call) \
	do { \
		errno = 0; \
		assert_int_equal(call, -1); \
		assert_int_equal(errno, code); \
		assert_int_equal(fault.times, 0); \
	} while (0)

static ino_t
inode_of(int of)
{
	struct stat st;

	assert_int_equal(REAL(fstat)(of, &st), 0);
	return st.st_ino;
}

static const char *
content(void)
{
	static char text[64];
	ssize_t n = REAL(pread)(fd, text, sizeof text - 1, 0);

	assert_true(n >= 0);
	text[n] = '\0';
	return text;
}

/* --- new files, locks, names --- */

static void
test_create(void **state)
{
	(void)state;
	FAILS(EEXIST, file_create(dir, "file", 0600));
	assert_int_equal(symlinkat("nowhere", dir, "other"), 0);
	FAILS(EEXIST, file_create(dir, "other", 0600));
}

static void
test_lock(void **state)
{
	int other = openat(dir, "file", O_RDONLY);

	(void)state;
	let_fail("flock", EINTR, 2);
	assert_int_equal(file_lock(fd, 0), 0);
	assert_int_equal(fault.times, 0);
	FAILS(EWOULDBLOCK, file_lock(other, 0));
	FAILS(EWOULDBLOCK, file_lock(other, clock_ms() + 20));
	assert_int_equal(flock(fd, LOCK_UN), 0);
	let_fail("flock", EWOULDBLOCK, 2); /* and then it is free */
	assert_int_equal(file_lock(other, clock_ms() + 10000), 0);
	FAILS(EWOULDBLOCK, file_lock(fd, 0));
	let_fail("flock", ENOLCK, 1);
	FAILS(ENOLCK, file_lock(fd, INT64_MAX / 2));
	close(other);
}

static void
test_is(void **state)
{
	(void)state;
	assert_int_equal(file_is(fd, dir, "file"), 1);
	assert_int_equal(file_is(fd, dir, "other"), 0);
	assert_int_equal(file_is(fd, dir, "."), 0);
	let_fail("fstat", EIO, 1);
	FAILS(EIO, file_is(fd, dir, "file"));
	let_fail("fstatat", EIO, 1);
	FAILS(EIO, file_is(fd, dir, "file"));
	let_fail("fstatat", EIO, 1);
	FAILS(EIO, file_is(fd, dir, "other"));
}

/* --- bytes --- */

static void
test_write(void **state)
{
	const struct str text = STR("0123456789");

	(void)state;
	let_fail("write", EINTR, 3);
	assert_int_equal(file_write(fd, text), 0);
	let_fail("write", SHORT, 3);
	assert_int_equal(file_write(fd, text), 0);
	assert_string_equal(content(), "01234567890123456789");
	let_fail("write", ENOSPC, 1);
	FAILS(ENOSPC, file_write(fd, text));
	let_fail("write", NOTHING, 1);
	FAILS(EIO, file_write(fd, text));
	assert_string_equal(content(), "01234567890123456789");
}

static void
test_write_at(void **state)
{
	const struct str text = STR("abcdef");

	(void)state;
	assert_int_equal(file_write(fd, STR("0123456789")), 0);
	let_fail("pwrite", EINTR, 3);
	assert_int_equal(file_write_at(fd, text, 2), 0);
	assert_string_equal(content(), "01abcdef89");
	let_fail("pwrite", SHORT, 3);
	assert_int_equal(file_write_at(fd, text, 0), 0);
	assert_string_equal(content(), "abcdefef89");
	let_fail("pwrite", EDQUOT, 1);
	FAILS(EDQUOT, file_write_at(fd, text, 0));
}

static void
test_read_at(void **state)
{
	char text[16] = "";

	(void)state;
	assert_int_equal(file_write(fd, STR("0123456789")), 0);
	let_fail("pread", EINTR, 3);
	assert_int_equal(file_read_at(fd, text, 4, 2), 4);
	assert_string_equal(text, "2345");
	let_fail("pread", SHORT, 4);
	assert_int_equal(file_read_at(fd, text, 16, 0), 10);
	assert_string_equal(text, "0123456789");
	let_fail("pread", EIO, 1);
	FAILS(EIO, file_read_at(fd, text, 4, 0));
	/* Nor is a part of it all there is. */
	let_fail("pread", SHORT, 1);
	second = (struct fault){"pread", EIO, 1};
	FAILS(EIO, file_read_at(fd, text, 4, 0));
	assert_int_equal(second.times, 0);
}

static void
test_load(void **state)
{
	struct buf text = {0};
	struct stat seen;
	char path[sizeof top + 8];

	(void)state;
	snprintf(path, sizeof path, "%s/file", top);
	assert_int_equal(file_write(fd, STR("0123456789")), 0);
	assert_int_equal(file_load(path, 10, &text), 0);
	assert_int_equal(text.len, 10);
	FAILS(EFBIG, file_load(path, 9, &text));
	let_fail("fstat", EIO, 1);
	FAILS(EIO, file_load_fd(fd, 10, &text));
	let_fail("pread", EIO, 1);
	FAILS(EIO, file_load_fd(fd, 10, &text));
	let_fail("openat", EMFILE, 1);
	FAILS(EMFILE, file_load_seen(path, 10, &text, &seen));
	assert_int_equal(seen.st_ino, 0);
	text.len = 0;
	/* What has no size of its own is read to its end. */
	assert_int_equal(file_load("/proc/self/limits", 1 << 16, &text), 0);
	assert_true(text.len > 100 && text.ptr[text.len - 1] == '\n');
	buf_free(&text);
}

/* --- what must be on the disk --- */

static void
test_sync(void **state)
{
	(void)state;
	let_fail("fsync", EINTR, 3);
	assert_int_equal(file_sync(fd), 0);
	assert_int_equal(syncs, 1);
	assert_true(synced[0] == inode_of(fd));
	let_fail("fsync", EIO, 1);
	FAILS(EIO, file_sync(fd));
	let_fail("fsync", EINVAL, 1);
	FAILS(EINVAL, file_sync(fd));
	assert_int_equal(file_sync_dir(dir), 0);
	assert_int_equal(syncs, 2);
	assert_true(synced[1] == inode_of(dir));
	let_fail("fsync", EINVAL, 1);
	assert_int_equal(file_sync_dir(dir), 0);
	let_fail("fsync", ENOSPC, 1);
	FAILS(ENOSPC, file_sync_dir(dir));
}

static void
test_sync_parent(void **state)
{
	char path[sizeof top + 8];

	(void)state;
	snprintf(path, sizeof path, "%s/file", top);
	assert_int_equal(file_sync_parent(path), 0);
	assert_int_equal(syncs, 1);
	assert_true(synced[0] == inode_of(dir));
	let_fail("fsync", EIO, 1);
	FAILS(EIO, file_sync_parent(path));
	let_fail("openat", EACCES, 1);
	assert_int_equal(file_sync_parent(path), 0);
	assert_int_equal(syncs, 1);
}

static bool
exists(const char *name)
{
	return faccessat(dir, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static void
test_rename_new(void **state)
{
	(void)state;
	assert_int_equal(file_rename_new(dir, "file", dir, "other"), 0);
	assert_true(!exists("file") && exists("other"));
	close(openat(dir, "file", O_CREAT | O_WRONLY, 0600));
	FAILS(EEXIST, file_rename_new(dir, "file", dir, "other"));
	let_fail("renameat2", EIO, 1);
	FAILS(EIO, file_rename_new(dir, "other", dir, "third"));
	/* Kernels and file systems without: */
	for (unsigned i = 0; i < 2; i++) {
		let_fail("renameat2", i ? EINVAL : ENOSYS, 1);
		FAILS(EEXIST, file_rename_new(dir, "other", dir, "file"));
		assert_true(exists("other"));
	}
	unlinkat(dir, "file", 0);
	let_fail("renameat2", ENOSYS, 1);
	assert_int_equal(file_rename_new(dir, "other", dir, "file"), 0);
	assert_true(exists("file") && !exists("other"));
}

/* Where it cannot be told whether the name is free, it is left alone. */
static void
test_rename_new_blind(void **state)
{
	(void)state;
	let_fail("renameat2", ENOSYS, 1);
	second = (struct fault){"fstatat", EIO, 1};
	FAILS(EIO, file_rename_new(dir, "file", dir, "other"));
	assert_int_equal(second.times, 0);
	assert_true(exists("file"));
}

static unsigned names;

static void
count(void *ctx, struct str name)
{
	(void)ctx;
	names += name.len > 0;
}

static void
test_walk(void **state)
{
	(void)state;
	names = 0;
	assert_int_equal(file_walk(dir, count, NULL), 0);
	assert_int_equal(names, 3); /* with dots */
	let_fail("openat", EMFILE, 1);
	FAILS(EMFILE, file_walk(dir, count, NULL));
	let_fail("getdents64", EIO, 1);
	FAILS(EIO, file_walk(dir, count, NULL));
	assert_int_equal(names, 3);
}

static void
test_open_null(void **state)
{
	struct stat st, null;
	char byte;

	(void)state;
	for (unsigned missing = 0; missing < 2; missing++) {
		let_fail("open", ENOENT, missing);
		int null_fd = file_open_null(O_RDONLY);
		assert_true(null_fd >= 0);
		assert_int_equal(REAL(fstat)(null_fd, &st), 0);
		assert_int_equal(stat(missing ? "/" : "/dev/null", &null), 0);
		assert_true(st.st_ino == null.st_ino && st.st_dev == null.st_dev);
		assert_true(read(null_fd, &byte, 1) <= 0);
		close(null_fd);
	}
}

int
main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		T(test_create), T(test_lock), T(test_is), T(test_write), T(test_write_at),
		T(test_read_at), T(test_load), T(test_sync), T(test_sync_parent),
		T(test_rename_new), T(test_rename_new_blind), T(test_walk), T(test_open_null),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
