/* SPDX-License-Identifier: ISC */
/* For a unit test: the calls of the system that what it tests makes, counted, and one of them made
 * to fail. each_call_fails() has an operation done again and again, each time with the next of its
 * calls failing: it must say so, but for calls that it may do without. */
#ifndef CALLS_H
#define CALLS_H

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

static struct {
	bool counting;
	unsigned count, fail_at; /* from 1 on */
	int error;
	bool lasting;            /* and so do all calls behind it */
	char failed[32];         /* its name and its number among those; "": none yet */
	char names[4096];        /* of all, to tell which of a name it is */
	void (*before)(const char *call); /* what others do in between; NULL: nothing */
	int patience;            /* not 0: ms after which a poll's time is over, but for */
	int64_t skipped;         /* what is to be added to the clock */
} calls;

static bool
call_fails(const char *name)
{
	static const char waits[] = " flock fsync fdatasync read pread write pwrite sendmsg recvmsg poll "
		"waitpid ";
	char word[32];
	unsigned same = 1;

	snprintf(word, sizeof word, " %s ", name);
	if (!calls.counting || (calls.error == EINTR && !strstr(waits, word)))
		return false;
	if (calls.before) {
		calls.counting = false;
		calls.before(name);
		calls.counting = true;
	}
	for (const char *p = calls.names; (p = strstr(p, name)); p++)
		same += p[strlen(name)] == ' ' && p[-1] == ' ';
	if (strlen(calls.names) + strlen(name) + 3 < sizeof calls.names)
		sprintf(calls.names + strlen(calls.names), "%s%s ", calls.names[0] ? "" : " ", name);
	calls.count++;
	if (calls.count != calls.fail_at && !(calls.lasting && calls.fail_at &&
					      calls.count > calls.fail_at))
		return false;
	snprintf(calls.failed, sizeof calls.failed, "%s%u", name, same);
	errno = calls.error;
	return true;
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define CALL(type, name, args, ...) \
	type name args \
	{ \
		return call_fails(#name) ? -1 : REAL(name)(__VA_ARGS__); \
	}

/* The same for one that looks: what it should have said is there all the same, so that who does not
 * hear of the failure comes to an end that can be told from a right one. */
#define LOOK(name, args, ...) \
	int name args \
	{ \
		bool fails = call_fails(#name); \
		int err = errno, rc = REAL(name)(__VA_ARGS__); \
		if (fails) \
			errno = err; \
		return fails ? -1 : rc; \
	}

LOOK(fstat, (int fd, struct stat *st), fd, st)
LOOK(lstat, (const char *path, struct stat *st), path, st)
LOOK(stat, (const char *path, struct stat *st), path, st)
LOOK(fstatat, (int dir, const char *name, struct stat *st, int flags), dir, name, st, flags)
CALL(int, fstatfs, (int fd, struct statfs *fs), fd, fs)
CALL(int, flock, (int fd, int operation), fd, operation)
CALL(int, fsync, (int fd), fd)
CALL(int, fdatasync, (int fd), fd)
CALL(int, ftruncate, (int fd, off_t len), fd, len)
CALL(off_t, lseek, (int fd, off_t at, int from), fd, at, from)
CALL(ssize_t, pread, (int fd, void *dst, size_t len, off_t at), fd, dst, len, at)
CALL(ssize_t, pwrite, (int fd, const void *src, size_t len, off_t at), fd, src, len, at)
CALL(ssize_t, read, (int fd, void *dst, size_t len), fd, dst, len)
CALL(ssize_t, write, (int fd, const void *src, size_t len), fd, src, len)
CALL(ssize_t, readlink, (const char *path, char *dst, size_t len), path, dst, len)
CALL(int, unlink, (const char *path), path)
CALL(int, unlinkat, (int dir, const char *name, int flags), dir, name, flags)
CALL(int, mkdir, (const char *path, mode_t mode), path, mode)
CALL(int, mkdirat, (int dir, const char *name, mode_t mode), dir, name, mode)
CALL(int, fchmod, (int fd, mode_t mode), fd, mode)
CALL(int, socketpair, (int domain, int type, int protocol, int fds[2]), domain, type, protocol, fds)
CALL(ssize_t, sendmsg, (int fd, const struct msghdr *m, int flags), fd, m, flags)
CALL(ssize_t, recvmsg, (int fd, struct msghdr *m, int flags), fd, m, flags)
CALL(pid_t, waitpid, (pid_t pid, int *status, int options), pid, status, options)
CALL(int, memfd_create, (const char *name, unsigned flags), name, flags)
CALL(int, fchown, (int fd, uid_t uid, gid_t gid), fd, uid, gid)

static mode_t
mode_of(int flags, va_list more)
{
	return flags & O_CREAT ? va_arg(more, mode_t) : 0;
}

int
openat(int dir, const char *name, int flags, ...)
{
	va_list more;

	va_start(more, flags);
	mode_t mode = mode_of(flags, more);
	va_end(more);
	return call_fails("openat") ? -1 : REAL(openat)(dir, name, flags, mode);
}

int
open(const char *name, int flags, ...)
{
	va_list more;

	va_start(more, flags);
	mode_t mode = mode_of(flags, more);
	va_end(more);
	return call_fails("open") ? -1 : REAL(open)(name, flags, mode);
}

int
fcntl(int fd, int command, ...)
{
	va_list more;

	va_start(more, command);
	void *arg = va_arg(more, void *);
	va_end(more);
	return call_fails("fcntl") ? -1 : REAL(fcntl)(fd, command, arg);
}

int
poll(struct pollfd *fds, nfds_t count, int ms)
{
	bool hurry = calls.patience && calls.counting && ms > calls.patience;

	if (call_fails("poll"))
		return -1;
	int ready = REAL(poll)(fds, count, hurry ? calls.patience : ms);
	if (hurry && ready == 0)
		calls.skipped += ms - calls.patience;
	return ready;
}

/* It is closed none the less. */
int
close(int fd)
{
	bool fails = call_fails("close");
	int err = errno, rc = REAL(close)(fd);

	if (fails)
		errno = err;
	return fails ? -1 : rc;
}

long
syscall(long number, ...)
{
	long a[6];
	va_list more;

	va_start(more, number);
	for (unsigned i = 0; i < 6; i++)
		a[i] = va_arg(more, long);
	va_end(more);
	const char *name = number == SYS_renameat2 ? "renameat2" :
		number == SYS_getdents64 ? "getdents64" : number == SYS_utimensat ? "utimensat" : NULL;
	return name && call_fails(name) ? -1 :
		REAL(syscall)(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

/* From here to calls.counting = false. */
static void
count_calls(void)
{
	calls.count = 0;
	calls.failed[0] = calls.names[0] = '\0';
	calls.counting = true;
}

/* run does the operation once, between count_calls() and calls.counting = false, and says whether it
 * went well: 0, or -1 with errno. MAY: the calls that may fail unheard, by name and number, a blank
 * around each; all of a name without a number may, or not. */
static void __attribute__((unused))
each_call_fails(const char *what, int (*run)(void), int error, const char *may)
{
	for (unsigned n = 1; n < 200; n++) {
		char word[sizeof calls.failed + 2];
		calls.fail_at = n;
		calls.error = error;
		int rc = run(), err = errno;
		assert_false(calls.counting);
		if (!calls.failed[0]) {
			assert_int_equal(rc, 0);
			assert_true(n > 1);
			calls.fail_at = 0;
			return;
		}
		snprintf(word, sizeof word, " %.*s ", (int)strcspn(calls.failed, "123456789"),
			 calls.failed);
		if (strstr(may, word))
			continue;
		snprintf(word, sizeof word, " %s ", calls.failed);
		if (rc == 0 && !strstr(may, word))
			fail_msg("%s: %s fails, and it says all is well", what, calls.failed);
		if (rc != 0 && strstr(may, word))
			fail_msg("%s: %s fails, and it gives up", what, calls.failed);
		if (rc != 0 && err != error)
			fail_msg("%s: %s fails, and errno is %d", what, calls.failed, err);
	}
	fail_msg("%s: too many calls", what);
}

/* Each of its calls that a signal may interrupt is so, once: that changes nothing. */
static void __attribute__((unused))
each_call_interrupted(const char *what, int (*run)(void))
{
	calls.error = EINTR;
	for (unsigned n = 1; n < 200; n++) {
		calls.fail_at = n;
		int rc = run();
		if (rc)
			fail_msg("%s: %s is interrupted, and it fails", what, calls.failed);
		if (!calls.failed[0])
			break;
	}
	calls.fail_at = 0;
	calls.error = 0;
}

#endif
