/* SPDX-License-Identifier: ISC */
#include "net.h"
#include "clock.h"
#include "nap.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/un.h>
#include <sysexits.h>
#include <unistd.h>

enum { BACKLOG_PAUSE = 50 }; /* ms until a unix socket's full queue is tried again */

int
net_wait(int fd, short events, int other, int64_t deadline)
{
	struct pollfd p[2] = {{.fd = fd, .events = events}, {.fd = other, .events = POLLIN}};
	int n;

	do {
		int64_t left = deadline - clock_ms();
		if (left < 0)
			left = 0;
		n = poll(p, 2, left < INT_MAX ? (int)left : INT_MAX);
	} while (n < 0 && errno == EINTR);
	return n <= 0 ? n : (p[0].revents ? 1 : 0) | (p[1].revents ? 2 : 0);
}

/* Connects fd, with errno where that fails. */
static int
connect_until(int fd, const void *sa, socklen_t len, int64_t deadline)
{
	int err = 0;
	socklen_t size = sizeof err;

	/* A unix socket whose queue is full says EAGAIN and cannot be waited for. */
	while ((err = connect(fd, sa, len) ? errno : 0) == EAGAIN && clock_ms() < deadline)
		nap(BACKLOG_PAUSE);
	if (err == EINPROGRESS && net_wait(fd, POLLOUT, -1, deadline) <= 0)
		err = ETIMEDOUT;
	if (err == EINPROGRESS && getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &size))
		err = errno;
	errno = err;
	return err ? -1 : 0;
}

static int
dial(const void *sa, socklen_t len, const struct dns_address *from, int64_t deadline)
{
	int family = ((const struct sockaddr *)sa)->sa_family;
	int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0 ||
	    ((!from || bind(fd, (const struct sockaddr *)&from->sa, from->len) == 0) &&
	     connect_until(fd, sa, len, deadline) == 0))
		return fd;
	int err = errno;
	close(fd);
	errno = err;
	return -1;
}

int
net_dial(const struct dns_address *a, unsigned short port, const struct dns_address *from,
	 int64_t deadline, struct outcome *why)
{
	struct dns_address to = *a;
	struct buf name = {0};

	dns_set_port(&to, port);
	int fd = dial(&to.sa, to.len, from, deadline);
	if (fd >= 0) {
		/* A TLS handshake takes ten times as long with small packets held back. */
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
		return fd;
	}
	int err = errno;
	dns_print_address(a, &name);
	buf_print(&name, " port %u%s", port, from ? " from " : "");
	if (from)
		dns_print_address(from, &name);
	*why = outcome_make(TEMPFAIL, 4, 1, "connecting to %.*s: %s", STR_ARG(name),
			    strerror(err));
	buf_free(&name);
	return -1;
}

int
net_dial_unix(const char *path, int64_t deadline, struct outcome *why)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	size_t len = strlen(path);

	if (len >= sizeof sa.sun_path) {
		*why = outcome_make(TEMPFAIL, 4, 1, "connecting to %s: longer than the %zu "
				    "bytes a socket's path may have", path,
				    sizeof sa.sun_path - 1);
		return -1;
	}
	memcpy(sa.sun_path, path, len);
	int fd = dial(&sa, sizeof sa, NULL, deadline);
	if (fd < 0)
		*why = outcome_make(TEMPFAIL, 4, 1, "connecting to %s: %s", path,
				    strerror(errno));
	return fd;
}

/* Receives len bytes, no more. NULL, or what the other end did instead. */
static const char *
receive(int fd, char *bytes, size_t len, int64_t deadline)
{
	while (len > 0) {
		if (net_wait(fd, POLLIN, -1, deadline) <= 0)
			return "does not answer in time";
		ssize_t n = read(fd, bytes, len);
		if (n <= 0)
			return "closed the connection";
		bytes += n;
		len -= (size_t)n;
	}
	return NULL;
}

int
net_pass_on(int fd, struct socks *s, int64_t deadline, struct outcome *why)
{
	char got[SOCKS_READ];
	struct buf out = {0};
	const char *instead = NULL;
	int wanted = 0;

	/* All at once: a password is among it, and memory that moves leaves a copy behind. */
	buf_room(&out, SOCKS_WRITE + 1);
	while (!instead &&
	       (wanted = socks_next(s, (struct str){got, (size_t)wanted}, &out, why)) > 0) {
		/* All before it has been answered: there is room for so little. */
		instead = write(fd, out.ptr, out.len) == (ssize_t)out.len ?
			  receive(fd, got, (size_t)wanted, deadline) : "closed the connection";
		out.len = 0;
	}
	buf_wipe(&out);
	if (instead)
		*why = outcome_make(TEMPFAIL, 4, 2, "it %s", instead);
	return instead ? -1 : wanted;
}

int
net_start(const char *command)
{
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends))
		return -1;
	pid_t pid = _Fork(); /* fork, without what it does for threads */
	if (pid == 0) {
		dup2(ends[1], STDIN_FILENO);
		dup2(ends[1], STDOUT_FILENO);
		execl("/bin/sh", "sh", "-c", command, (char *)NULL);
		_exit(EX_OSFILE);
	}
	close(ends[1]);
	if (pid > 0 && fcntl(ends[0], F_SETFL, O_NONBLOCK) == 0)
		return ends[0];
	close(ends[0]);
	return -1;
}
