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

enum {
	PATIENCE_MS = 1000, /* with who should read standard error */
	PREFIX = 192,       /* what stands before a line's text, and a NUL */
};

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
emit(int fd, struct str line)
{
	ssize_t n;

	while ((n = write(fd, line.ptr, line.len)) < 0 && errno == EINTR)
		;
	return n < 0 ? -1 : 0;
}

/* To the log. A daemon that was started anew has another socket. */
static void
keep(struct str line)
{
	if (out.fd >= 0 && (emit(out.fd, line) == 0 || errno == EAGAIN))
		return;
	if (out.kind != SINK_SYSLOG)
		return;
	if (out.fd >= 0)
		close(out.fd);
	out.fd = open_syslog();
	if (out.fd >= 0)
		emit(out.fd, line);
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

static void
make_printable(char *text, size_t n)
{
	for (size_t at = 0; (at += str_printables((struct str){text + at, n - at})) < n;)
		text[at++] = '?';
}

/* What stands before the text: "<22>", date and host as syslog's files have them, or nothing;
 * then "tag/role[pid]: ". The tag is the caller's: of any length, of any bytes. */
static size_t
prefix(char *dst, enum sink_kind kind, enum log_level level)
{
	long pid = (long)gettid(); /* the same, and known to the C library */

	switch (kind) {
	case SINK_FILE: {
		struct calendar c = calendar_at(time(NULL));
		return fmt_print(dst, PREFIX, "%04lld-%02u-%02uT%02u:%02u:%02uZ %s %.64s/%s[%ld]: ",
				 (long long)c.year, c.month, c.day, c.hour, c.minute, c.second,
				 out.host, out.tag, out.role, pid);
	}
	case SINK_SYSLOG:
	case SINK_KERNEL:
		return fmt_print(dst, PREFIX, "<%u>%.64s/%s[%ld]: ", priority[level], out.tag,
				 out.role, pid);
	default:
		return fmt_print(dst, PREFIX, "%.64s: ", out.name);
	}
}

/* space's first PREFIX bytes are for the prefix, and n bytes of text stand behind them: the line
 * of both. */
static struct str
join(char *space, size_t n, enum sink_kind kind, enum log_level level)
{
	size_t len = prefix(space, kind, level);
	char *line = space + PREFIX - len;

	memmove(line, space, len);
	make_printable(line, len);
	return (struct str){line, len + n};
}

/* Its length, which is below LIMIT_LOG_LINE. */
static size_t
print_text(char text[LIMIT_LOG_LINE], int err, const char *fmt, va_list ap)
{
	size_t cap = LIMIT_LOG_LINE, n = fmt_vprint(text, cap, fmt, ap), flen = strlen(fmt);

	if (flen > 0 && fmt[flen - 1] == ':' && n < cap)
		n += fmt_print(text + n, cap - n, " %s", strerror(err));
	if (n >= cap) {
		memcpy(text + cap - 4, "...", 4);
		n = cap - 1;
	}
	make_printable(text, n);
	return n;
}

static void
log_vprint(enum log_level level, const char *fmt, va_list ap)
{
	char space[PREFIX + LIMIT_LOG_LINE], *text = space + PREFIX;
	bool person = out.verbose || (level >= LOG_WARN && !out.detached);
	int err = errno;

	if (level == LOG_DEBUG && !person && out.session < 0)
		return;
	size_t n = print_text(text, err, fmt, ap);
	text[n] = '\n';
	if (out.kind == SINK_NONE && level > LOG_DEBUG)
		log_open(NULL);
	if (level > LOG_DEBUG && out.kind != SINK_STDERR)
		keep(join(space, n + (out.kind == SINK_FILE), out.kind, level));
	if (person || out.session >= 0) {
		struct str line = join(space, n + 1, SINK_STDERR, level);
		if (person && is_read())
			emit(STDERR_FILENO, line);
		if (out.session >= 0)
			emit(out.session, line);
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
