/* SPDX-License-Identifier: ISC */
#include "pipe.h"
#include "addr.h"
#include "clock.h"
#include "file.h"
#include "sandbox.h"
#include "trace.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

enum {
	PAUSE_MAX = 250, /* ms between two looks at a command that says nothing */
};

/* --- the command's process --- */

/* Does c mean nothing to a shell, and part no words? Bytes of UTF-8 do not. */
static bool
is_plain(char c)
{
	static const char marks[] = "!@%-_=+:,./";
	char lower = str_lower(c);

	return (lower >= 'a' && lower <= 'z') || (c >= '0' && c <= '9') ||
	       (unsigned char)c >= 0x80 || memchr(marks, c, sizeof marks - 1);
}

/* "name=value", for good. */
static char *
variable(const char *name, struct str value)
{
	struct buf b = {0};

	buf_print(&b, "%s=%.*s", name, STR_ARG(value));
	buf_cstr(&b);
	return b.ptr;
}

/* The same with a value that strangers chose: scripts forget to quote. It can look like an
 * option no more than like syntax. */
static char *
tame_variable(const char *name, struct str value)
{
	char *z = variable(name, value), *first = z + strlen(name) + 1;

	for (char *p = first; *p; p++)
		if (!is_plain(*p) || (*p == '-' && p == first))
			*p = '_';
	return z;
}

/* The program of a command of plain words, by its path. Returns where the command is another
 * one, or there is no such program: a shell takes it, or says it best. */
static void
run_words(struct str command, char **env)
{
	struct buf text = {0};
	char **argv = buf_array(NULL, command.len / 2 + 2, sizeof *argv);
	size_t argc = 0;
	bool inside = false;

	buf_str(&text, command);
	buf_cstr(&text);
	for (char *p = text.ptr; *p; p++) {
		if (str_is_blank(*p))
			*p = '\0';
		else if (!is_plain(*p))
			return;
		else if (!inside)
			argv[argc++] = p;
		inside = *p;
	}
	argv[argc] = NULL;
	if (strchr(argv[0], '/'))
		execve(argv[0], argv, env);
}

static void
run_shell(struct str command, char **env)
{
	struct buf text = {0};

	buf_str(&text, command);
	execve("/bin/sh", (char *[]){"sh", "-c", (char *)buf_cstr(&text), NULL}, env);
}

static void
run(const struct pipe_job *job, struct str home)
{
	struct str name = buf_view(&job->user->name);
	char *env[] = {
		variable("PATH", STR("/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:"
				     "/sbin:/bin")),
		variable("SHELL", STR("/bin/sh")),
		variable("HOME", home),
		variable("USER", name),
		variable("LOGNAME", name),
		tame_variable("SENDER", job->sender),
		tame_variable("RECIPIENT", job->rcpt),
		tame_variable("LOCAL", addr_local(job->rcpt)),
		tame_variable("DOMAIN", addr_domain(job->rcpt)),
		tame_variable("EXTENSION", job->extension),
		NULL,
	};

	run_words(job->command, env);
	run_shell(job->command, env);
}

/* The whole life of the command's process. */
_Noreturn static void
become_command(const struct pipe_job *job, pid_t parent, int in, int out)
{
	struct buf home = {0};
	sigset_t none;

	sandbox_follow(parent);
	if (dup2(in, 0) < 0 || dup2(out, 1) < 0 || dup2(out, 2) < 0)
		_exit(EX_OSERR);
	sandbox_close(NULL, 0);
	for (int s = 1; s < NSIG; s++)
		signal(s, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	umask(077);
	prlimit(0, RLIMIT_CORE, &(struct rlimit){0, 0}, NULL);
	buf_str(&home, buf_view(&job->user->home));
	if (home.len == 0)
		buf_puts(&home, "/");
	if (chdir(buf_cstr(&home)) && chdir("/"))
		_exit(EX_OSERR);
	run(job, buf_view(&home));
	file_write(STDERR_FILENO, STR("cannot run /bin/sh"));
	_exit(127);
}

/* --- its keeper --- */

/* The kernel closes what a process has before it says that the process is dead. Were the pipe
 * ours alone, a command would take what it has for the whole message if we are killed. So
 * between us and it there is one more, at the head of their session, who holds the pipe open
 * until our word that it was all: the command hears the end from the later of us. */
enum { IN, END, OUT, WORD, KEPT };

/* To whom it may concern, as the command ended. */
_Noreturn static void
end_as(int status)
{
	if (WIFSIGNALED(status)) {
		prlimit(0, RLIMIT_CORE, &(struct rlimit){0, 0}, NULL);
		signal(WTERMSIG(status), SIG_DFL);
		kill(getpid(), WTERMSIG(status));
	}
	_exit(WEXITSTATUS(status));
}

_Noreturn static void
keep_command(const struct pipe_job *job, pid_t parent, const int fd[KEPT])
{
	pid_t self = getpid(), pid;
	int status = EX_OSERR << 8; /* as exit(EX_OSERR): until we know better */
	ssize_t n;
	char word;

	sandbox_close(fd, KEPT);
	/* Whom we might have to kill must be nobody else's group. */
	pid = setsid() < 0 ? -1 : _Fork();
	if (pid == 0)
		become_command(job, self, fd[IN], fd[OUT]);
	if (pid < 0)
		_exit(EX_OSERR);
	close(fd[IN]);
	close(fd[OUT]);
	while ((n = read(fd[WORD], &word, 1)) < 0 && errno == EINTR)
		;
	if (n != 1)
		kill(0, SIGKILL);
	sandbox_follow(parent);
	close(fd[END]);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	end_as(status);
}

/* --- our side --- */

struct talk {
	pid_t pid;       /* of the keeper, and of their session */
	int in, out;     /* our ends of its stdin, and stdout and stderr; -1: closed */
	int word;        /* to the keeper */
	struct source content;
	struct str rest; /* of chunk: to be written yet */
	char chunk[4096];
	char said[LIMIT_OUTCOME_TEXT];
	size_t said_len;
};

static void
hang_up(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* 0, or -1 with errno. */
static int
start(struct talk *t, const struct pipe_job *job)
{
	pid_t self = getpid();
	int in[2] = {-1, -1}, out[2] = {-1, -1}, word[2] = {-1, -1};

	t->pid = -1;
	if (pipe2(in, O_CLOEXEC) == 0 && pipe2(out, O_CLOEXEC) == 0 &&
	    pipe2(word, O_CLOEXEC) == 0) {
		fcntl(in[1], F_SETFL, O_NONBLOCK);
		fcntl(out[0], F_SETFL, O_NONBLOCK);
		t->pid = _Fork();
	}
	if (t->pid == 0)
		keep_command(job, self, (int[KEPT]){in[0], in[1], out[1], word[0]});
	int err = errno;
	hang_up(&in[0]);
	hang_up(&out[1]);
	hang_up(&word[0]);
	t->in = in[1];
	t->out = out[0];
	t->word = word[1];
	errno = err;
	return t->pid < 0 ? -1 : 0;
}

/* That is all, or all that it wants. 0, or -1 with errno. */
static int
end(struct talk *t)
{
	hang_up(&t->in);
	return file_write(t->word, STR("."));
}

/* Some more of the message, or its end. 0, or -1 with errno: it cannot be given whole. */
static int
feed(struct talk *t)
{
	if (t->rest.len == 0) {
		ssize_t n = source_read(&t->content, t->chunk, sizeof t->chunk);
		if (n < 0)
			return -1;
		t->rest = (struct str){t->chunk, (size_t)n};
	}
	ssize_t n = t->rest.len ? write(t->in, t->rest.ptr, t->rest.len) : 0;
	if (n > 0)
		t->rest = str_from(t->rest, (size_t)n);
	else if (n == 0 || errno == EPIPE)
		return end(t);
	else if (errno != EAGAIN && errno != EINTR)
		return -1;
	return 0;
}

/* Takes what it says, keeps the beginning. False: nothing more for now. */
static bool
hear(struct talk *t)
{
	char chunk[512];
	ssize_t n = read(t->out, chunk, sizeof chunk);

	for (ssize_t i = 0; i < n && t->said_len < sizeof t->said; i++)
		t->said[t->said_len++] = str_is_control(chunk[i]) ? ' ' : chunk[i];
	if (n == 0)
		hang_up(&t->out);
	return n > 0;
}

/* Until the command ends: 0 and its wait status. -1 with errno: ETIME, it does not; else
 * feed's. */
static int
talk(struct talk *t, int64_t deadline, int *status)
{
	int pause_ms = 1;
	pid_t ended;

	while ((ended = waitpid(t->pid, status, WNOHANG)) == 0) {
		struct pollfd p[] = {{t->in, POLLOUT, 0}, {t->out, POLLIN, 0}};
		errno = ETIME;
		if (clock_ms() >= deadline)
			return -1;
		if (poll(p, 2, pause_ms) > 0)
			pause_ms = 1;
		else if (pause_ms < PAUSE_MAX)
			pause_ms *= 2;
		if (p[0].revents && feed(t))
			return -1;
		if (p[1].revents)
			hear(t);
	}
	while (t->said_len < sizeof t->said && hear(t))
		;
	return ended < 0 ? -1 : 0;
}

/* All of their session that has not left it. */
static void
stop(const struct talk *t)
{
	kill(-t->pid, SIGKILL);
	/* The keeper if it has no session yet. What became another user stays unstopped. */
	if (kill(t->pid, SIGKILL) == 0)
		waitpid(t->pid, NULL, 0);
}

static struct outcome
deliver(struct talk *t, const struct pipe_job *job)
{
	/* Never its text: the administrator's files are not for everybody who gets a bounce. */
	static const char what[] = "the command";
	int64_t deadline = clock_ms() + (int64_t)job->seconds * 1000;
	int status;

	if (start(t, job))
		return outcome_from_file(errno, "starting", what);
	if (talk(t, deadline, &status) == 0)
		return outcome_from_exit(status, what);
	int err = errno;
	stop(t); /* and only then our ends are closed */
	if (err == ETIME)
		return outcome_make(TEMPFAIL, 3, 0, "%s did not end within %u s", what,
				    job->seconds);
	return outcome_from_file(err, "feeding", what);
}

struct outcome
pipe_deliver(const struct pipe_job *job)
{
	struct talk t = {.in = -1, .out = -1, .word = -1};
	struct buf space = {0};
	struct outcome o;

	if (str_trim(job->command).len == 0)
		return outcome_make(TEMPFAIL, 3, 5, "no command behind '|'");
	t.content = trace_add(&job->content, job->sender, job->rcpt, &space);
	o = deliver(&t, job);
	hang_up(&t.in);
	hang_up(&t.out);
	hang_up(&t.word);
	buf_free(&space);
	struct str said = str_trim((struct str){t.said, t.said_len});
	if (said.len > 0)
		o = outcome_make(o.verdict, o.subject, o.detail, "%s: %.*s", o.text,
				 STR_ARG(said));
	return o;
}
