/* SPDX-License-Identifier: ISC */
#include "clock.h"
#include "file.h"
#include "fmt.h"
#include "nap.h"
#include "pipe.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define TRACE "Return-Path: <joe@example.org>\nDelivered-To: root+x@router\n"
#define PATH "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

enum { LONG = 30 * 1000 }; /* ms: more than anything here takes */

/* The command's home, and ours: commands leave their files there. */
static char home[32];
static struct user user;

/* What writing to a command fails with, if not 0. */
static int write_error;

ssize_t
write(int fd, const void *bytes, size_t len)
{
	if (write_error && fcntl(fd, F_GETFL) & O_NONBLOCK) {
		errno = write_error;
		return -1;
	}
	return syscall(SYS_write, fd, bytes, len);
}

/* So slow are we that a command has ended before we look at anything, but for the two looks in
 * which it is given its message. */
static unsigned slow;

int
poll(struct pollfd *p, nfds_t count, int ms)
{
	siginfo_t info;

	if (slow == 0 || slow++ < 3)
		return (int)syscall(SYS_poll, p, count, ms);
	waitid(P_ALL, 0, &info, WEXITED | WNOWAIT);
	return 0;
}

static struct pipe_job
job(const char *command, struct str content)
{
	return (struct pipe_job){
		.command = str_of(command), .user = &user,
		.sender = STR("joe@example.org"), .rcpt = STR("root+x@router"),
		.extension = STR("x"),
		.content = {.head = content, .fd = -1, .pos = 1 /* as if read before */},
		.seconds = LONG / 1000,
	};
}

static void
expect_outcome(const struct outcome *o, enum verdict verdict, const char *words)
{
	if (o->verdict != verdict || !strstr(o->text, words))
		fail_msg("verdict %d \"%s\", expected %d \"%s\"", o->verdict, o->text,
			 verdict, words);
}

/* The command's verdict and words, given a small message. */
static void
expect(const char *command, enum verdict verdict, const char *words)
{
	struct pipe_job j = job(command, STR("\nx\n"));
	int64_t start = clock_ms();
	struct outcome o = pipe_deliver(&j);

	expect_outcome(&o, verdict, words);
	assert_true(clock_ms() - start < LONG);
}

static void
expect_file(const char *name, struct str want)
{
	struct buf got = {0};

	assert_int_equal(file_load(name, 1 << 25, &got), 0);
	buf_cstr(&got);
	if (!str_eq(buf_view(&got), want) && want.len < 1000)
		fail_msg("%s is \"%s\"", name, got.ptr);
	assert_true(str_eq(buf_view(&got), want));
	buf_free(&got);
	assert_int_equal(unlink(name), 0);
}

static void
expect_in_file(const char *name, const char *words)
{
	struct buf got = {0};

	assert_int_equal(file_load(name, 1 << 20, &got), 0);
	if (!strstr(buf_cstr(&got), words))
		fail_msg("no \"%s\" in \"%s\"", words, got.ptr);
	buf_free(&got);
}

static void
write_file(const char *name, mode_t mode, const char *text)
{
	int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);

	assert_true(fd >= 0);
	assert_int_equal(file_write(fd, str_of(text)), 0);
	close(fd);
}

static pid_t
read_pid(const char *name)
{
	struct buf text = {0};
	uint64_t pid = 0;

	for (int64_t end = clock_ms() + LONG; pid == 0 && clock_ms() < end; nap(5)) {
		text.len = 0;
		if (file_load(name, 100, &text) == 0 && text.len > 0 &&
		    text.ptr[text.len - 1] == '\n')
			str_number(str_trim(buf_view(&text)), INT32_MAX, &pid);
	}
	buf_free(&text);
	assert_true(pid > 0);
	unlink(name);
	return (pid_t)pid;
}

/* An orphan of the command's: ours now, and dead by this signal. */
static void
expect_killed(pid_t pid, int by)
{
	pid_t ended;
	int status = 0;

	/* Until its parent has ended, it is none of ours. */
	for (int64_t end = clock_ms() + LONG;
	     (ended = waitpid(pid, &status, WNOHANG)) <= 0 && clock_ms() < end;)
		nap(5);
	assert_int_equal(ended, pid);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), by);
}

static void
test_message(void **state)
{
	static const struct str contents[] = {
		{"Subject: x\n\nFrom me\n", 20}, {"\nno end", 7}, {"", 0}, {"\na\0b\r\n\0", 7},
	};

	(void)state;
	for (size_t i = 0; i < sizeof contents / sizeof *contents; i++) {
		struct pipe_job j = job("cat >got", contents[i]);
		struct buf want = {0};

		struct outcome o = pipe_deliver(&j);
		expect_outcome(&o, DELIVERED, "delivered to the command");
		assert_int_equal(o.subject, 0);
		buf_puts(&want, TRACE);
		buf_str(&want, contents[i]);
		expect_file("got", buf_view(&want));
		buf_free(&want);
	}
}

/* 10 MB from memory, a file and memory again, to commands that read all, late, a part, or
 * nothing of it. */
static void
test_large(void **state)
{
	static const struct { const char *command; bool all; } cases[] = {
		{"cat >got", true},
		{"sleep 0.1; cat | (sleep 0.1; cat) >got", true},
		{"exec >&- 2>&-; cat >got", true},
		{"true", false},
		{"exec <&-; sleep 0.1", false},
		{"head -c 100000 >/dev/null", false},
		{"exec <&- >&- 2>&-; sleep 0.1", false},
	};
	struct buf content = {0}, want = {0};

	(void)state;
	while (content.len < 10 << 20)
		buf_print(&content, "line %zu\n", content.len);
	buf_puts(&want, TRACE);
	buf_str(&want, buf_view(&content));
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct pipe_job j = job(cases[i].command, str_upto(buf_view(&content), 5000));
		write_file("content", 0600, content.ptr);
		j.content.fd = open("content", O_RDONLY | O_CLOEXEC);
		j.content.offset = 5000;
		j.content.length = content.len - 10000;
		j.content.tail = buf_tail(&content, content.len - 5000);
		struct outcome o = pipe_deliver(&j);
		expect_outcome(&o, DELIVERED, "delivered to the command");
		close(j.content.fd);
		unlink("content");
		if (cases[i].all)
			expect_file("got", buf_view(&want));
	}
	buf_free(&content);
	buf_free(&want);
}

static void
test_exits(void **state)
{
	static const struct { unsigned char exit, subject, detail; } permanent[] = {
		{64, 3, 5}, {65, 6, 0}, {67, 1, 1}, {68, 1, 2}, {69, 3, 0}, {70, 3, 0},
		{73, 2, 0}, {77, 7, 1},
	};
	static const unsigned char others[] = {1, 2, 66, 71, 72, 74, 75, 76, 78, 126, 127, 255};
	char command[40], words[60];

	(void)state;
	for (size_t i = 0; i < sizeof permanent / sizeof *permanent; i++) {
		fmt_print(command, sizeof command, "exit %u", permanent[i].exit);
		struct pipe_job j = job(command, STR("\n"));
		struct outcome o = pipe_deliver(&j);
		expect_outcome(&o, PERMFAIL, "the command: ");
		assert_int_equal(o.subject, permanent[i].subject);
		assert_int_equal(o.detail, permanent[i].detail);
	}
	for (size_t i = 0; i < sizeof others; i++) {
		fmt_print(command, sizeof command, "exit %u", others[i]);
		fmt_print(words, sizeof words, "exit status %u", others[i]);
		expect(command, TEMPFAIL, words);
	}
	expect("exit 0", DELIVERED, "delivered to the command");
	expect("kill -9 $$", TEMPFAIL, "killed by signal 9");
	expect("kill -SEGV $$", TEMPFAIL, "killed by signal 11");
	expect("kill -PIPE $$", TEMPFAIL, "killed by signal 13");
}

static void
test_said(void **state)
{
	(void)state;
	expect("echo no room; exit 75", TEMPFAIL, "exit status 75: no room");
	expect("echo one; echo two >&2; exit 1", TEMPFAIL, "exit status 1: one two");
	expect("printf '\\n a\\r\\n\\tb\\0\\033[1m\\n\\n'; exit 67", PERMFAIL,
	       "user unknown: a   b  [1m");
	expect("echo hello", DELIVERED, "delivered to the command: hello");
	struct pipe_job j = job("true", STR("\n"));
	struct outcome o = pipe_deliver(&j);
	assert_string_equal(o.text, "delivered to the command");
	slow = 1;
	expect("echo last words; exit 1", TEMPFAIL, "exit status 1: last words");
	slow = 0;
	/* Much more than anybody wants to know. */
	j.command = STR("head -c 5000000 /dev/zero | tr '\\0' x >&2; exit 3");
	o = pipe_deliver(&j);
	expect_outcome(&o, TEMPFAIL, "exit status 3: xxx");
	assert_int_equal(strlen(o.text), LIMIT_OUTCOME_TEXT - 1);
	assert_string_equal(o.text + LIMIT_OUTCOME_TEXT - 5, "x...");
	/* But nothing of the command itself, which is not for everybody who gets a bounce. */
	j.command = STR("secret=1; exit 1");
	o = pipe_deliver(&j);
	assert_string_equal(o.text, "the command: exit status 1");
}

static void
test_words(void **state)
{
	static const struct { const char *command, *args; } cases[] = {
		{"./args", ""},
		{"./args a b", "<a><b>"},
		{" \t./args  a\tb \t", "<a><b>"},
		{"./args 'a b' \"c  d\" e\\ f ''", "<a b><c  d><e f><>"},
		{"./args -x --y=z +1 100% a,b:c@d/e !", "<-x><--y=z><+1><100%><a,b:c@d/e><!>"},
		{"./args J\303\274rgen", "<J\303\274rgen>"},
		{"./args $LOCAL \"$USER\"", "<root+x><joe>"},
		{"./args a; ./args b", "<a><b>"},
		{"echo a | cat >/dev/null && ./args b", "<b>"},
		{"./args *.none [x] {a,b} ~nobody-like", "<*.none><[x]><{a,b}><~nobody-like>"},
		{"X=y ./args z", "<z>"},
		{"exec ./args a", "<a>"},
		{"cd / && cd \"$HOME\" && ./args a # b", "<a>"},
		{"test -x args && ./args a", "<a>"},
		{"(./args a)", "<a>"},
		{"if :; then ./args `echo a`; fi", "<a>"},
		{"./args a\n./args b", "<a><b>"},
		{"./plain a b", "<a><b>"},
	};

	(void)state;
	write_file("args", 0700, "#!/bin/sh\ncat >/dev/null\n"
		   "for a; do printf '<%s>' \"$a\"; done >>said\n: >>said\n");
	/* A shell's script that does not say so. */
	write_file("plain", 0700, "for a; do printf '<%s>' \"$a\"; done >>said\n");
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		write_file("said", 0600, "");
		expect(cases[i].command, DELIVERED, "delivered to the command");
		expect_file("said", str_of(cases[i].args));
	}
	unlink("args");
	unlink("plain");
}

/* Whatever is mended delivers then. */
static void
test_cannot_run(void **state)
{
	(void)state;
	expect("/no/such/program x", TEMPFAIL, "exit status 127: ");
	expect("no-such-program x", TEMPFAIL, "not found");
	expect("no-such-program 'x'", TEMPFAIL, "not found");
	write_file("locked", 0600, "");
	expect("./locked", TEMPFAIL, "exit status 126: ");
	unlink("locked");
	expect("/", TEMPFAIL, "exit status 126: ");
	expect("'", TEMPFAIL, "exit status 2: ");
	expect("", TEMPFAIL, "no command");
	expect(" \t ", TEMPFAIL, "no command");
}

static void
test_environment(void **state)
{
	static const struct { struct str rcpt, sender, extension, want; } cases[] = {
		{STR("root+x@router"), STR("joe@example.org"), STR("x"),
		 STR("SENDER=joe@example.org\0RECIPIENT=root+x@router\0LOCAL=root+x\0"
		     "DOMAIN=router\0EXTENSION=x\0")},
		{STR("root"), STR(""), STR(""),
		 STR("SENDER=\0RECIPIENT=root\0LOCAL=root\0DOMAIN=\0EXTENSION=\0")},
		{STR("-f@-x"), STR("-oQ/tmp-"), STR("-"),
		 STR("SENDER=_oQ/tmp-\0RECIPIENT=_f@-x\0LOCAL=_f\0DOMAIN=_x\0EXTENSION=_\0")},
		{STR("\"a b\\\"*\"@[192.0.2.1]"), STR("$(id)`id`;'|&<>?~#{}\\^@x"),
		 STR("J\303\274rgen"),
		 STR("SENDER=__id__id______________@x\0"
		     "RECIPIENT=_a_b____@_192.0.2.1_\0LOCAL=_a_b____\0"
		     "DOMAIN=_192.0.2.1_\0EXTENSION=J\303\274rgen\0")},
	};

	(void)state;
	setenv("LD_PRELOAD_X", "x", 1);
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		/* Without a shell, which would add a variable of its own. */
		struct pipe_job j = job("/bin/cp /proc/self/environ got", STR("\n"));
		struct buf want = {0};
		j.rcpt = cases[i].rcpt;
		j.sender = cases[i].sender;
		j.extension = cases[i].extension;
		struct outcome o = pipe_deliver(&j);
		expect_outcome(&o, DELIVERED, "delivered to the command");
		buf_print(&want, PATH "%cSHELL=/bin/sh%cHOME=%s%cUSER=joe%cLOGNAME=joe%c", 0, 0,
			  home, 0, 0, 0);
		buf_str(&want, cases[i].want);
		expect_file("got", buf_view(&want));
		buf_free(&want);
	}
}

/* By "status"; without 32 to 34, which C libraries keep for themselves. */
static uint64_t
ignored_signals(void)
{
	struct buf text = {0};
	uint64_t set = 0;

	assert_int_equal(file_load("status", 1 << 20, &text), 0);
	const char *at = strstr(buf_cstr(&text), "SigIgn:\t");
	assert_non_null(at);
	for (at += strlen("SigIgn:\t"); *at != '\n'; at++)
		set = set << 4 | (unsigned)str_hex(*at);
	buf_free(&text);
	return set & ~(7ULL << 31);
}

static void
test_process(void **state)
{
	struct pipe_job j = job("/bin/cp /proc/self/status /proc/self/limits .", STR("\n"));
	struct rlimit core = {1 << 20, 1 << 20};
	sigset_t set, old;
	struct stat st;

	(void)state;
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, &old);
	signal(SIGTERM, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	setrlimit(RLIMIT_CORE, &core);
	int other = open("/", O_RDONLY); /* not close-on-exec */
	mode_t mask = umask(0);
	struct outcome o = pipe_deliver(&j);
	expect_outcome(&o, DELIVERED, "delivered to the command");
	expect_in_file("status", "SigBlk:\t0000000000000000\n");
	assert_int_equal(ignored_signals(), 0);
	expect_in_file("limits", "Max core file size        0                    0  ");
	assert_int_equal(stat("limits", &st), 0);
	assert_int_equal(st.st_mode & 077, 0);
	/* ls has the directory open. */
	j.command = STR("ls /proc/self/fd");
	o = pipe_deliver(&j);
	assert_string_equal(o.text, "delivered to the command: 0 1 2 3");
	j.command = STR("ls -l /proc/self/fd/0 /proc/self/fd/1 >fds");
	o = pipe_deliver(&j);
	expect_in_file("fds", "/fd/0 -> pipe:");
	/* A session and group of its own, and its keeper's. */
	expect("cut -d' ' -f4,5,6 /proc/$$/stat | (read k g s; test $k = $g -a $k = $s)",
	       DELIVERED, "");
	signal(SIGTERM, SIG_DFL);
	signal(SIGHUP, SIG_DFL);
	sigprocmask(SIG_SETMASK, &old, NULL);
	umask(mask);
	close(other);
	unlink("status");
	unlink("limits");
	unlink("fds");
}

static void
test_home(void **state)
{
	(void)state;
	expect("pwd", DELIVERED, home);
	size_t len = user.home.len;
	buf_puts(&user.home, "/none");
	expect("pwd; echo $HOME", DELIVERED, ": / /tmp/");
	user.home.len = 0;
	expect("pwd; echo $HOME", DELIVERED, ": / /");
	user.home.len = len;
}

static void
test_time_limit(void **state)
{
	struct pipe_job j = job("sleep 1000 & echo $! >pid; echo waiting; wait", STR("\n"));
	struct buf content = {0};
	int64_t start = clock_ms();

	(void)state;
	j.seconds = 1;
	struct outcome o = pipe_deliver(&j);
	expect_outcome(&o, TEMPFAIL, "did not end within 1 s: waiting");
	assert_in_range(clock_ms() - start, 1000, LONG);
	expect_killed(read_pid("pid"), SIGKILL);
	/* However busy: it talks all the time, it reads and never ends, it never reads. */
	j.command = STR("/usr/bin/yes");
	o = pipe_deliver(&j);
	expect_outcome(&o, TEMPFAIL, "the command did not end within 1 s: y y y");
	j.command = STR("cat; exec >&- 2>&-; exec sleep 1000");
	o = pipe_deliver(&j);
	expect_outcome(&o, TEMPFAIL, "did not end within 1 s: Return-Path");
	while (content.len < 1 << 20)
		buf_puts(&content, "0123456789\n");
	j.content.head = buf_view(&content);
	j.command = STR("sh -c 'sleep 1000; cat >got'");
	o = pipe_deliver(&j);
	expect_outcome(&o, TEMPFAIL, "did not end within 1 s");
	assert_int_equal(access("got", F_OK), -1);
	buf_free(&content);
}

/* Children that outlive the command, with all that it had open. */
static void
test_leaves_children(void **state)
{
	struct pipe_job j = job("sleep 1000 & echo $! >pid; echo done", STR("\n"));
	int64_t start = clock_ms();

	(void)state;
	struct outcome o = pipe_deliver(&j);
	expect_outcome(&o, DELIVERED, ": done");
	assert_true(clock_ms() - start < LONG / 3);
	pid_t pid = read_pid("pid");
	assert_int_equal(kill(pid, SIGTERM), 0);
	expect_killed(pid, SIGTERM);
	/* One that never stops talking. */
	j.command = STR("yes & echo $! >pid");
	o = pipe_deliver(&j);
	expect_outcome(&o, DELIVERED, "delivered to the command");
	expect_killed(read_pid("pid"), SIGPIPE);
}

/* The command never takes a part for the whole. */
static void
test_content_unreadable(void **state)
{
	struct pipe_job j = job("cat >got; echo >end", STR("Subject: x\n\n"));

	(void)state;
	write_file("content", 0600, "short\n");
	j.content.fd = open("content", O_RDONLY | O_CLOEXEC);
	j.content.length = 7;
	struct outcome o = pipe_deliver(&j);
	expect_outcome(&o, TEMPFAIL, "feeding the command: Input/output error");
	assert_int_equal(access("end", F_OK), -1);
	/* The system has no memory for the pipe. */
	j.content.length = 6;
	write_error = ENOMEM;
	o = pipe_deliver(&j);
	write_error = 0;
	expect_outcome(&o, TEMPFAIL, "feeding the command: Cannot allocate");
	assert_int_equal(access("end", F_OK), -1);
	close(j.content.fd);
	unlink("content");
	unlink("got");
}

static void
test_cannot_start(void **state)
{
	struct pipe_job j = job("true", STR("\n"));
	struct rlimit old, small;

	(void)state;
	int next = dup(0);
	close(next);
	getrlimit(RLIMIT_NOFILE, &old);
	for (unsigned more = 0; more < 6; more++) {
		small = (struct rlimit){(rlim_t)next + more, old.rlim_max};
		setrlimit(RLIMIT_NOFILE, &small);
		struct outcome o = pipe_deliver(&j);
		setrlimit(RLIMIT_NOFILE, &old);
		expect_outcome(&o, TEMPFAIL, "starting the command: Too many open files");
		int now = dup(0);
		close(now);
		assert_int_equal(now, next);
	}
}

/* A worker in our place, with a parent to follow, delivers to the command. Its parent's and
 * its own number in pids. */
static void
start_worker(const char *command, pid_t pids[2])
{
	pids[0] = fork();
	assert_true(pids[0] >= 0);
	if (pids[0] == 0) {
		pid_t runner = getpid();
		pid_t worker = fork();
		if (worker != 0) {
			char text[20];
			fmt_print(text, sizeof text, "%d\n", worker);
			write_file("worker", 0600, text);
			alarm(60);
			pause();
			_exit(0);
		}
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != runner)
			_exit(3);
		char *large = calloc(1, 1 << 20);
		struct pipe_job j = job(command, (struct str){large, 1 << 20});
		struct outcome o = pipe_deliver(&j);
		int death = 0;
		prctl(PR_GET_PDEATHSIG, &death);
		_exit(death != SIGKILL ? 4 : o.verdict == DELIVERED ? 5 : 6);
	}
	pids[1] = read_pid("worker");
}

static void
test_runner_dies(void **state)
{
	pid_t pids[2];
	int status;

	(void)state;
	start_worker("echo $$ >pid; sleep 1000; cat >got", pids);
	pid_t command = read_pid("pid");
	kill(pids[0], SIGKILL);
	waitpid(pids[0], NULL, 0);
	assert_int_equal(waitpid(pids[1], &status, 0), pids[1]);
	assert_true(WIFSIGNALED(status));
	expect_killed(command, SIGKILL);
	assert_int_equal(access("got", F_OK), -1);
}

/* The keeper, whose group is the command's. Never -1: to kill that means everybody. */
static pid_t
keeper_of(pid_t command)
{
	pid_t keeper = getpgid(command);

	assert_true(keeper > 1);
	assert_int_not_equal(keeper, getpgrp());
	return keeper;
}

/* Nor does anybody whom the command has started hear the end of what was not all. */
static void
test_worker_dies(void **state)
{
	pid_t pids[2];

	(void)state;
	start_worker("echo $$ >pid; "
		     "(while test ! -e go; do sleep 0.01; done; cat >part; mv part got); true", pids);
	pid_t command = read_pid("pid"), keeper = keeper_of(command);
	kill(pids[1], SIGKILL);
	expect_killed(command, SIGKILL);
	kill(pids[0], SIGKILL);
	waitpid(pids[0], NULL, 0);
	write_file("go", 0600, "");
	for (int64_t end = clock_ms() + LONG; kill(-keeper, 0) == 0 && clock_ms() < end; nap(5))
		while (waitpid(-keeper, NULL, WNOHANG) > 0)
			;
	assert_int_equal(kill(-keeper, 0), -1);
	assert_int_equal(access("got", F_OK), -1);
	unlink("go");
}

static void
test_keeper_dies(void **state)
{
	pid_t pids[2];
	int status;

	(void)state;
	start_worker("echo $$ >pid; sleep 1000; cat >got", pids);
	pid_t command = read_pid("pid");
	kill(keeper_of(command), SIGKILL);
	expect_killed(command, SIGKILL);
	assert_int_equal(access("got", F_OK), -1);
	kill(pids[0], SIGKILL);
	waitpid(pids[0], &status, 0);
	assert_int_equal(waitpid(pids[1], &status, 0), pids[1]);
}

static int
set_up(void **state)
{
	(void)state;
	signal(SIGPIPE, SIG_IGN);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	strcpy(home, "/tmp/test_pipe.XXXXXX");
	if (!mkdtemp(home) || chdir(home))
		return -1;
	user.uid = geteuid();
	user.gid = getegid();
	buf_puts(&user.name, "joe");
	buf_puts(&user.home, home);
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	user_free(&user);
	return chdir("/") || rmdir(home);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_message),
		cmocka_unit_test(test_large),
		cmocka_unit_test(test_exits),
		cmocka_unit_test(test_said),
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_cannot_run),
		cmocka_unit_test(test_environment),
		cmocka_unit_test(test_process),
		cmocka_unit_test(test_home),
		cmocka_unit_test(test_time_limit),
		cmocka_unit_test(test_leaves_children),
		cmocka_unit_test(test_content_unreadable),
		cmocka_unit_test(test_cannot_start),
		cmocka_unit_test(test_runner_dies),
		cmocka_unit_test(test_worker_dies),
		cmocka_unit_test(test_keeper_dies),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
