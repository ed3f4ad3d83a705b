/* SPDX-License-Identifier: ISC */
#include "file.h"
#include "clock.h"
#include "io.h"
#include "nap.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
	CHUNK = 4096,     /* of a file of unknown size */
	NEW_MODE = 01700, /* of a directory whose name may not be on disk yet */
};

int
file_open(const char *path, int flags)
{
	return openat(AT_FDCWD, path, flags | O_CLOEXEC);
}

int
file_create(int dir, const char *name, mode_t mode)
{
	return openat(dir, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
}

int
file_lock(int fd, int64_t deadline)
{
	int pause_ms = 5;

	while (flock(fd, LOCK_EX | LOCK_NB)) {
		if (errno == EINTR)
			continue;
		if (errno != EWOULDBLOCK || clock_ms() + pause_ms > deadline)
			return -1;
		nap_longer(&pause_ms);
	}
	return 0;
}

int
file_is(int fd, int dir, const char *name)
{
	struct stat a, b;

	if (fstat(fd, &a))
		return -1;
	if (fstatat(dir, name, &b, AT_SYMLINK_NOFOLLOW))
		return errno == ENOENT ? 0 : -1;
	return a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

/* offset -1: at fd's position. */
static int
write_all(int fd, struct str bytes, off_t offset)
{
	while (bytes.len > 0) {
		ssize_t n = offset < 0 ? write(fd, bytes.ptr, bytes.len) :
					 pwrite(fd, bytes.ptr, bytes.len, offset);
		if (n < 0 && io_again(fd, POLLOUT))
			continue;
		if (n <= 0) {
			errno = n == 0 ? EIO : errno;
			return -1;
		}
		bytes = str_from(bytes, (size_t)n);
		offset += offset < 0 ? 0 : n;
	}
	return 0;
}

int
file_write(int fd, struct str bytes)
{
	return write_all(fd, bytes, -1);
}

int
file_write_at(int fd, struct str bytes, off_t offset)
{
	return write_all(fd, bytes, offset);
}

ssize_t
file_read_at(int fd, void *dst, size_t len, off_t offset)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n = pread(fd, (char *)dst + done, len - done, offset + (off_t)done);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		if (n == 0)
			break;
		done += (size_t)n;
	}
	return (ssize_t)done;
}

int
file_sync(int fd)
{
	while (fsync(fd))
		if (errno != EINTR)
			return -1;
	return 0;
}

int
file_sync_dir(int dir)
{
	if (file_sync(dir) && errno != EINVAL)
		return -1;
	return 0;
}

static int
sync_dir_at(int at, const char *name)
{
	int dir = openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (dir < 0)
		return 0;
	int rc = file_sync_dir(dir), err = errno;
	close(dir);
	errno = err;
	return rc;
}

int
file_sync_parent(const char *path)
{
	const char *slash = strrchr(path, '/');
	struct buf parent = {0};

	buf_add(&parent, path, slash ? (size_t)(slash - path) + 1 : 0);
	buf_puts(&parent, ".");
	int rc = sync_dir_at(AT_FDCWD, buf_cstr(&parent)), err = errno;
	buf_free(&parent);
	errno = err;
	return rc;
}

/* The group's bit is inherited. */
static bool
is_new(const struct stat *st)
{
	return (st->st_mode & 01777) == NEW_MODE && st->st_uid == geteuid();
}

int
file_enter(int at, const char *name, int flags, struct stat *st)
{
	bool made = false;
	int fd;

	flags |= O_RDONLY | O_DIRECTORY | O_CLOEXEC;
	fd = openat(at, name, flags);
	if (fd < 0 && errno == ENOENT) {
		made = mkdirat(at, name, NEW_MODE) == 0;
		if (!made && errno != EEXIST)
			return -1;
		fd = openat(at, name, flags);
	}
	if (fd < 0)
		return -1;
	if (fstat(fd, st) == 0) {
		if (!made && !is_new(st))
			return fd;
		if (sync_dir_at(fd, "..") == 0) {
			/* Where that fails, whoever comes next syncs it once more. */
			fchmod(fd, (st->st_mode & S_ISGID) | 0700);
			return fd;
		}
	}
	int err = errno;
	close(fd);
	errno = err;
	return -1;
}

int
file_rename_new(int from_dir, const char *from, int to_dir, const char *to)
{
	struct stat st;

	if (syscall(SYS_renameat2, from_dir, from, to_dir, to, 1 /* RENAME_NOREPLACE */) == 0)
		return 0;
	if (errno != ENOSYS && errno != EINVAL)
		return -1;
	if (fstatat(to_dir, to, &st, AT_SYMLINK_NOFOLLOW) == 0) {
		errno = EEXIST;
		return -1;
	}
	return errno == ENOENT ? renameat(from_dir, from, to_dir, to) : -1;
}

int
file_walk(int dir, void (*visit)(void *ctx, struct str name), void *ctx)
{
	/* Opened anew: a duplicate would share its position with every other walk. */
	int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_Alignas(struct dirent) char entries[2048]; /* the kernel's form is the C library's */
	const struct dirent *entry;
	long len;

	if (fd < 0)
		return -1;
	while ((len = syscall(SYS_getdents64, fd, entries, sizeof entries)) > 0)
		for (long at = 0; at < len; at += entry->d_reclen) {
			entry = (const struct dirent *)(entries + at);
			visit(ctx, str_of(entry->d_name));
		}
	int err = errno;
	close(fd);
	errno = err;
	return len ? -1 : 0;
}

static int
load(int fd, size_t max, struct buf *out, struct stat *st)
{
	size_t start = out->len, want = CHUNK;
	ssize_t n;

	if (fstat(fd, st))
		return -1;
	/* All of it at once, where its size says something, and no more is looked for. */
	if (st->st_size > 0 && (uint64_t)st->st_size <= max)
		want = (size_t)st->st_size;
	do {
		n = file_read_at(fd, buf_room(out, want), want, (off_t)(out->len - start));
		if (n < 0)
			return -1;
		out->len += (size_t)n;
		if (out->len - start > max) {
			errno = EFBIG;
			return -1;
		}
	} while (n > 0 && out->len - start != (size_t)st->st_size);
	return 0;
}

int
file_load_fd(int fd, size_t max, struct buf *out)
{
	struct stat st;

	return load(fd, max, out, &st);
}

int
file_load_seen(const char *path, size_t max, struct buf *out, struct stat *seen)
{
	int fd = file_open(path, O_RDONLY | O_NONBLOCK);

	memset(seen, 0, sizeof *seen);
	if (fd < 0)
		return -1;
	int rc = load(fd, max, out, seen), err = errno;
	close(fd);
	errno = err;
	return rc;
}

int
file_load(const char *path, size_t max, struct buf *out)
{
	struct stat st;

	return file_load_seen(path, max, out, &st);
}

int
file_open_null(int flags)
{
	int fd = open("/dev/null", flags);

	return fd < 0 ? open("/", O_RDONLY | (flags & O_CLOEXEC)) : fd;
}
