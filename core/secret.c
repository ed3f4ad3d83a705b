/* SPDX-License-Identifier: ISC */
#include "secret.h"
#include "clock.h"
#include "file.h"
#include "net.h"
#include "sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

enum {
	FILE_MAX = 64 << 10,
	FILE_ROOM = 2 * 4096,   /* what file_load_fd asks for at a time, behind the last byte too */
	/* All that the command says: with a CRLF, and one byte more that must not come. */
	ANSWER_MAX = LIMIT_PASSWORD + 3,
	ENTRY_MAX = ANSWER_MAX + 2 * 256 + 3, /* and user, host, "|", ":", newline */
};

int
secret_load(const struct conf *c, struct buf *text, struct outcome *why)
{
	const char *path = c->auth_file;
	int fd = *path ? file_open(path, O_RDONLY | O_NONBLOCK) : -1;
	bool missing = fd < 0 && (!*path || errno == ENOENT);
	struct stat st = {0};
	bool known = fd >= 0 && fstat(fd, &st) == 0;
	int rc = -1;

	/* All of it at once: memory that moves leaves a copy behind. */
	if (missing || known)
		buf_room(text, (size_t)(st.st_size < FILE_MAX ? st.st_size : FILE_MAX) + FILE_ROOM +
			 (*c->password_command ? (LIMIT_SMARTHOSTS + 1) * ENTRY_MAX : 0));
	if (missing)
		return 0;
	if (st.st_mode & S_IRWXO)
		*why = outcome_make(TEMPFAIL, 7, 0,
				    "auth_file %s can be read by others: chmod 600 it", path);
	else if (!known || file_load_fd(fd, FILE_MAX, text))
		*why = outcome_make(TEMPFAIL, 7, 0, "auth_file %s: %s%s", path, strerror(errno),
				    errno == EACCES ? ": root and its owner may read it" : "");
	else
		rc = 0;
	if (fd >= 0)
		close(fd);
	return rc;
}

/* In the child: becomes a shell that runs the command, with $1 and $2. */
_Noreturn static void
run(const struct conf *c, const struct url *server, int out, pid_t parent)
{
	static const char *const env[] = {
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", NULL,
	};
	const char *const argv[] = {
		"sh", "-c", c->password_command, "sh", server->user, server->host, NULL,
	};

	dup2(out, STDOUT_FILENO);
	sandbox_close(NULL, 0);
	sandbox_follow(parent);
	alarm((unsigned)c->connect_timeout);
	signal(SIGTERM, SIG_DFL); /* a worker ignores it; timeout(1) in a script needs it */
	execve("/bin/sh", (char *const *)argv, (char *const *)env);
	_exit(EX_OSFILE);
}

/* Adds what the command says and makes it end. 0, or -1: too much, too late, or it failed. */
static int
ask(const struct conf *c, const struct url *server, struct buf *text)
{
	int64_t deadline = clock_ms() + (int64_t)c->connect_timeout * 1000;
	pid_t parent = getpid();
	ssize_t n = -1;
	int ends[2], status = -1;

	if (pipe2(ends, O_CLOEXEC))
		return -1;
	pid_t pid = _Fork(); /* fork, without what it does for threads */
	if (pid == 0)
		run(c, server, ends[1], parent);
	close(ends[1]);
	for (size_t left = ANSWER_MAX; left > 0; left -= (size_t)n) {
		n = net_wait(ends[0], POLLIN, -1, deadline) == 1 ?
		    read(ends[0], buf_room(text, left), left) : -1;
		if (n <= 0)
			break;
		text->len += (size_t)n;
	}
	close(ends[0]);
	/* Where it does not end of itself now, its alarm ends it. */
	if (pid > 0 && n != 0)
		kill(pid, SIGKILL);
	if (pid > 0)
		waitpid(pid, &status, 0);
	return n == 0 && status == 0 ? 0 : -1;
}

int
secret_ask(const struct conf *c, const struct url *server, struct buf *text,
	   struct outcome *why)
{
	size_t start = text->len, answer;

	buf_print(text, "\n%s|%s:", server->user, server->host);
	answer = text->len;
	if (ask(c, server, text) == 0) {
		text->len = answer + str_find(buf_tail(text, answer), '\n');
		if (text->len > answer)
			return 0;
	}
	text->len = start;
	*why = outcome_make(TEMPFAIL, 7, 8, "password_command failed, or said nothing, for %s "
			    "at %s", server->user, server->host);
	return -1;
}
