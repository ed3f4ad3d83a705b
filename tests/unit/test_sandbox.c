/* SPDX-License-Identifier: ISC */
#include "sandbox.h"
#include "clock.h"
#include "log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

enum { CANNOT_RUN = 99 };

/* In a child: an expectation that fails says where and ends it. */
#define expect(condition) \
	(void)((condition) || (dprintf(STDERR_FILENO, "# line %d: " #condition " (%s)\n", \
				       __LINE__, strerror(errno)), _exit(1), 0))

#define expect_refused(call, error) \
	(errno = 0, expect((call) == -1), expect(errno == (error)))

/* Runs f in a child; returns its exit status, or 1000 plus a signal. */
static int
in_child(void (*f)(void))
{
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		alarm(20);
		f();
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

static bool
is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

static void
close_and_look(void)
{
	static const int keep[] = {250, -1, 4, 20, 1};
	int fd = open("/dev/null", O_RDONLY);

	for (int i = 3; i < 300; i++)
		expect(dup2(fd, i) == i);
	sandbox_close(keep, 5);
	for (int i = 0; i < 300; i++)
		expect(is_open(i) == (i < 3 || i == 4 || i == 20 || i == 250));
	sandbox_close(NULL, 0);
	for (int i = 0; i < 300; i++)
		expect(is_open(i) == (i < 3));
}

/* As on a kernel before 5.9: there is no close_range. */
static void
close_one_by_one(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_close_range, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {4, code};

	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0))
		_exit(CANNOT_RUN);
	expect_refused(syscall(SYS_close_range, 1000, 1000, 0), ENOSYS);
	close_and_look();
}

static void
test_close(void **state)
{
	(void)state;
	assert_int_equal(in_child(close_and_look), 0);
	int status = in_child(close_one_by_one);
	if (status == CANNOT_RUN) {
		print_message("# SKIP no seccomp to hide close_range with\n");
		skip();
	}
	assert_int_equal(status, 0);
}

static void
become_nobody(void)
{
	int death = 0;
	gid_t groups[] = {1, 2};

	expect(setgroups(2, groups) == 0);
	sandbox_follow(getppid());
	expect(sandbox_become(65534, 65533) == 0);
	expect(getuid() == 65534 && geteuid() == 65534);
	expect(getgid() == 65533 && getegid() == 65533);
	expect(getgroups(0, NULL) == 0);
	expect_refused(setuid(0), EPERM);
	expect_refused(setgid(0), EPERM);
	expect(prctl(PR_GET_PDEATHSIG, &death, 0, 0, 0) == 0);
	expect(death == SIGKILL);

	expect(sandbox_become(65534, 65533) == 0);
	expect_refused(sandbox_become(0, 0), EPERM);
	expect_refused(sandbox_become(65535, 65533), EPERM);
}

static void
become_root(void)
{
	expect(sandbox_become(0, 7) == 0);
	expect(geteuid() == 0 && getegid() == 7 && getgroups(0, NULL) == 0);
}

static void
test_become(void **state)
{
	(void)state;
	if (geteuid() != 0) {
		print_message("# SKIP needs root\n");
		skip();
	}
	assert_int_equal(in_child(become_nobody), 0);
	assert_int_equal(in_child(become_root), 0);
}

static void
follow_a_stranger(void)
{
	sandbox_follow(getpid());
}

/* The grandchild holds the pipe open until it is killed. */
static void
die_before_child(void)
{
	int ready[2];
	pid_t self = getpid();
	char byte;

	expect(pipe(ready) == 0);
	if (fork() == 0) {
		sandbox_follow(self);
		expect(write(ready[1], "x", 1) == 1);
		alarm(20);
		pause();
	}
	expect(read(ready[0], &byte, 1) == 1);
}

static void
test_follow(void **state)
{
	int fds[2];
	struct pollfd p;

	(void)state;
	assert_int_equal(in_child(follow_a_stranger), EX_TEMPFAIL);
	assert_int_equal(pipe(fds), 0);
	assert_int_equal(in_child(die_before_child), 0);
	close(fds[1]);
	p = (struct pollfd){.fd = fds[0], .events = POLLIN};
	assert_int_equal(poll(&p, 1, 10000), 1);
	assert_true(p.revents & POLLHUP);
	close(fds[0]);
}

static void
enter(void)
{
	if (!sandbox_enter())
		_exit(CANNOT_RUN);
}

static void
expect_refusals(void)
{
	char *argv[] = {"/bin/true", NULL};

	enter();
	expect_refused(open("/dev/null", O_RDONLY), EPERM);
	expect_refused(openat(AT_FDCWD, "/etc/passwd", O_RDONLY), EPERM);
	expect_refused(unlink("/nonexistent"), EPERM);
	expect_refused(rename("/nonexistent", "/tmp/x"), EPERM);
	expect_refused(chdir("/"), EPERM);
	expect_refused(execve("/bin/true", argv, NULL), EPERM);
	expect_refused(syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0), EPERM);
	expect_refused(kill(getppid(), 0), EPERM);
	expect_refused(ptrace(PTRACE_TRACEME, 0, NULL, NULL), EPERM);
	expect_refused(prctl(PR_SET_DUMPABLE, 1, 0, 0, 0), EPERM);
	expect_refused(setuid(0), EPERM);
	expect_refused(socket(AF_NETLINK, SOCK_RAW, 0), EPERM);
	expect_refused(socket(AF_PACKET, SOCK_RAW, 0), EPERM);
	expect_refused(listen(0, 1), EPERM);
	expect_refused(syscall(SYS_bpf, 0, NULL, 0), EPERM);
}

/* All that a relay worker does once it is in. */
static void
expect_work(void)
{
	struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof sa;
	int pair[2], fd, log, one = 1;
	char bytes[100] = "", path[] = "/tmp/test_sandbox.XXXXXX";
	struct stamp now;

	expect((log = mkstemp(path)) >= 0);
	expect(log_open(path) == 0);
	expect(unlink(path) == 0);
	expect(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
	enter();

	expect((fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) >= 0);
	expect(bind(fd, (struct sockaddr *)&sa, sizeof sa) == 0);
	expect(getsockname(fd, (struct sockaddr *)&sa, &len) == 0);
	expect(connect(fd, (struct sockaddr *)&sa, len) == 0);
	expect(send(fd, "abc", 3, 0) == 3);
	expect(poll(&(struct pollfd){.fd = fd, .events = POLLIN}, 1, 5000) == 1);
	expect(recv(fd, bytes, sizeof bytes, 0) == 3);
	expect(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) == 0);
	len = sizeof one;
	expect(getsockopt(fd, SOL_SOCKET, SO_ERROR, &one, &len) == 0);
	expect(fcntl(fd, F_SETFL, O_NONBLOCK) == 0);
	expect(close(fd) == 0);
	expect((fd = socket(AF_INET6, SOCK_STREAM, 0)) >= 0 || errno == EAFNOSUPPORT);
	expect((fd = socket(AF_UNIX, SOCK_STREAM, 0)) >= 0);

	struct iovec part = {"frame", 5};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
	expect(sendmsg(pair[0], &message, MSG_NOSIGNAL) == 5);
	part = (struct iovec){bytes, sizeof bytes};
	expect(recvmsg(pair[1], &message, 0) == 5);
	expect(write(pair[0], "x", 1) == 1 && read(pair[1], bytes, 1) == 1);

	/* The log is a file here, which no limit on file sizes keeps from growing. */
	log_info("still writing");
	expect(pread(log, bytes, sizeof bytes, 0) > 20);
	expect(strstr(bytes, "still writing\n") != NULL);
	clock_random(bytes, sizeof bytes);
	clock_read(&now);
	expect(now.wall > 0 && now.boot > 0 && now.boot_id == 0);
	expect(nanosleep(&(struct timespec){0, 1}, NULL) == 0);
	char *memory = malloc(4 << 20);
	expect(memory != NULL);
	memset(memory, 1, 4 << 20);
	expect((memory = realloc(memory, 16 << 20)) != NULL);
	free(memory);
}

static void
run_in_sandbox(void (*f)(void))
{
	int status = in_child(f);

	if (status == CANNOT_RUN) {
		print_message("# SKIP no seccomp filter on this kernel and machine\n");
		skip();
	}
	assert_int_equal(status, 0);
}

static void
test_refusals(void **state)
{
	(void)state;
	run_in_sandbox(expect_refusals);
}

static void
test_work(void **state)
{
	(void)state;
	run_in_sandbox(expect_work);
}

static bool
file_says(pid_t pid, const char *name, const char *words)
{
	char path[64], text[8192];

	snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, name);
	int fd = open(path, O_RDONLY);
	ssize_t n = read(fd, text, sizeof text - 1);
	close(fd);
	text[n > 0 ? n : 0] = '\0';
	return strstr(text, words) != NULL;
}

/* What the kernel says of such a process, seen from outside. */
static void
test_status(void **state)
{
	int go[2], ready[2], status;
	char byte;

	(void)state;
	assert_int_equal(pipe(go) | pipe(ready), 0);
	pid_t pid = fork();
	if (pid == 0) {
		close(go[1]);
		bool filtered = sandbox_enter();
		expect(write(ready[1], filtered ? "y" : "n", 1) == 1);
		expect(read(go[0], &byte, 1) == 0);
		_exit(0);
	}
	assert_int_equal(read(ready[0], &byte, 1), 1);
	assert_true(file_says(pid, "status", "NoNewPrivs:\t1\n"));
	assert_int_equal(file_says(pid, "status", "Seccomp:\t2\n"), byte == 'y');
	assert_true(file_says(pid, "limits", "Max core file size        0                    0 "));
	assert_true(file_says(pid, "limits", "Max processes             0                    0 "));
	close(go[1]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	close(go[0]);
	close(ready[0]);
	close(ready[1]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_close),
		cmocka_unit_test(test_become),
		cmocka_unit_test(test_follow),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_work),
		cmocka_unit_test(test_status),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
