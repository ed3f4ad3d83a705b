/* SPDX-License-Identifier: ISC */
#include "log.h"
#include "calendar.h"
#include "fmt.h"
#include "limit.h"
#include "str.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { PATIENCE_MS = 1000 }; /* with who should read standard error */

enum sink_kind { SINK_NONE, SINK_FILE, SINK_SYSLOG, SINK_KERNEL, SINK_STDERR };

static struct {
	const char *name, *tag, *role, *host;
	enum sink_kind kind;
	int fd;
	int session;
	bool verbose, detached, unread;
} out = {"mtabox", "mtabox", "mtabox", "localhost", SINK_NONE, -1, -1, false, false, false};

/* RFC 3164 priorities: facility mail (2), severities debug, info, warning, error. */
static const unsigned char priority[] = {2 * 8 + 7, 2 * 8 + 6, 2 * 8 + 4, 2 * 8 + 3};

void
log_name(const char *name)
{
	out.name = out.role = name;
}

void
log_tag(const char *tag)
{
	out.name = out.tag = tag;
}

void
log_host(const char *host)
{
	out.host = host;
}

void
log_role(const char *role)
{
	out.role = role;
}

void
log_verbose(bool on)
{
	out.verbose = on;
}

bool
log_is_verbose(void)
{
	return out.verbose || out.session >= 0;
}

void
log_detach(void)
{
	out.detached = true;
}

int
log_fd(void)
{
	return out.fd;
}

int
log_session_fd(void)
{
	return out.session;
}

static int
open_file(const char *path)
{
	return openat(AT_FDCWD, path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW |
		      O_NONBLOCK, 0600);
}

int
log_session(const char *path)
{
	if (out.session >= 0)
		close(out.session);
	out.session = path ? open_file(path) : -1;
	return path && out.session < 0 ? -1 : 0;
}

static int
open_syslog(void)
{
	static const struct sockaddr_un sa = {AF_UNIX, "/dev/log"};
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd >= 0 && connect(fd, (const struct sockaddr *)&sa, sizeof sa)) {
		close(fd);
		return -1;
	}
	return fd;
}

int
log_open(const char *path)
{
	int err = 0;

	if (out.fd >= 0)
		close(out.fd);
	if (path && *path) {
		out.kind = SINK_FILE;
		out.fd = open_file(path);
		if (out.fd >= 0)
			return 0;
		err = errno;
	}
	out.kind = SINK_SYSLOG;
	out.fd = open_syslog();
	if (out.fd < 0 && geteuid() == 0) {
		out.kind = SINK_KERNEL;
		out.fd = openat(AT_FDCWD, "/dev/kmsg", O_WRONLY | O_CLOEXEC | O_NONBLOCK);
	}
	if (out.fd < 0)
		out.kind = SINK_STDERR;
	errno = err;
	return err ? -1 : 0;
}

void
log_renew(const char *path)
{
	struct stat is, named;

	if (out.fd >= 0 && path && *path && out.kind == SINK_FILE && fstat(out.fd, &is) == 0 &&
	    lstat(path, &named) == 0 && is.st_ino == named.st_ino && is.st_dev == named.st_dev)
		return;
	if (out.fd >= 0 && !(path && *path) && out.kind == SINK_SYSLOG)
		return;
	log_open(path);
}

static int
emit(int fd, const char *line, size_t len)
{
	ssize_t n;

	while ((n = write(fd, line, len)) < 0 && errno == EINTR)
		;
	return n < 0 ? -1 : 0;
}

/* To the log. A daemon that was started anew has another socket. */
static void
keep(const char *line, size_t len)
{
	if (out.fd >= 0 && (emit(out.fd, line, len) == 0 || errno == EAGAIN))
		return;
	if (out.kind != SINK_SYSLOG)
		return;
	if (out.fd >= 0)
		close(out.fd);
	out.fd = open_syslog();
	if (out.fd >= 0)
		emit(out.fd, line, len);
}

/* Does anybody read standard error? What he has no room for is dropped, or the queue would stand
 * still; in the foreground he is waited for first, but not again until he reads. (A pipe that takes
 * anything takes PIPE_BUF bytes.) */
static bool
is_read(void)
{
	struct pollfd p = {.fd = STDERR_FILENO, .events = POLLOUT};

	out.unread = poll(&p, 1, out.detached || out.unread ? 0 : PATIENCE_MS) != 1;
	return !out.unread;
}

/* What stands before the text for this sink: "<22>", date and host as syslog's files have them,
 * or nothing; then "tag/role[pid]: ". */
static size_t
prefix(char *dst, size_t cap, enum log_level level)
{
	long pid = (long)gettid(); /* the same, and known to the C library */

	switch (out.kind) {
	case SINK_FILE: {
		struct calendar c = calendar_at(time(NULL));
		return fmt_print(dst, cap, "%04lld-%02u-%02uT%02u:%02u:%02uZ %s %s/%s[%ld]: ",
				 (long long)c.year, c.month, c.day, c.hour, c.minute, c.second,
				 out.host, out.tag, out.role, pid);
	}
	case SINK_SYSLOG:
	case SINK_KERNEL:
		return fmt_print(dst, cap, "<%u>%s/%s[%ld]: ", priority[level], out.tag,
				 out.role, pid);
	default:
		return fmt_print(dst, cap, "%s: ", out.name);
	}
}

static void
log_vprint(enum log_level level, const char *fmt, va_list ap)
{
	char text[LIMIT_LOG_LINE], line[LIMIT_LOG_LINE + 128];
	int err = errno;
	size_t n = fmt_vprint(text, sizeof text, fmt, ap);
	size_t flen = strlen(fmt);

	if (flen > 0 && fmt[flen - 1] == ':' && n < sizeof text)
		n += fmt_print(text + n, sizeof text - n, " %s", strerror(err));
	if (n >= sizeof text) {
		memcpy(text + sizeof text - 4, "...", 4);
		n = sizeof text - 1;
	}
	for (size_t at = 0; (at += str_printables((struct str){text + at, n - at})) < n;)
		text[at++] = '?';

	bool person = out.verbose || (level >= LOG_WARN && !out.detached);
	if (out.kind == SINK_NONE && level > LOG_DEBUG)
		log_open(NULL);
	if (level > LOG_DEBUG && out.kind != SINK_STDERR) {
		size_t len = prefix(line, sizeof line, level);
		len += fmt_print(line + len, sizeof line - len, "%s%s", text,
				 out.kind == SINK_FILE ? "\n" : "");
		keep(line, len);
	}
	if (person || out.session >= 0) {
		size_t len = fmt_print(line, sizeof line, "%s: %s\n", out.name, text);
		if (person && is_read())
			emit(STDERR_FILENO, line, len);
		if (out.session >= 0)
			emit(out.session, line, len);
	}
	errno = err;
}

void
log_print(enum log_level level, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	log_vprint(level, fmt, ap);
	va_end(ap);
}

void
die(int status, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	log_vprint(LOG_ERROR, fmt, ap);
	va_end(ap);
	_exit(status);
}
