/* SPDX-License-Identifier: ISC */
/* A relay worker as a process, between its runner and a server, both of which the test plays:
 * what becomes of a message where one of them goes, or where it cannot be read. */
#include "relay.h"
#include "fmt.h"
#include "log.h"
#include "parcel.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include "complain.h"

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

/* The worker is killed then, which ends whatever the test waits for; in seconds. */
enum { PATIENCE = 15 };

static const char text[] = "Subject: hello\n\nhello\n";
static char dir[] = "/tmp/test_relay.XXXXXX";
static struct conf conf;
static struct destination to;
static int listener, server = -1; /* its two sockets */
static struct worker_link runner;
static pid_t worker;
static int words;         /* the file with what it says on standard error, */
static char said[16384];  /* and what that was */

/* What is wrong with its machine. */
static bool no_seccomp, no_sendmsg;

int
prctl(int option, ...)
{
	va_list more;
	unsigned long a[4];

	va_start(more, option);
	for (unsigned n = 0; n < 4; n++)
		a[n] = va_arg(more, unsigned long);
	va_end(more);
	if (no_seccomp && option == PR_SET_SECCOMP) {
		errno = EINVAL;
		return -1;
	}
	return REAL(prctl)(option, a[0], a[1], a[2], a[3]);
}

ssize_t
sendmsg(int fd, const struct msghdr *m, int flags)
{
	if (no_sendmsg) {
		errno = EIO;
		return -1;
	}
	return REAL(sendmsg)(fd, m, flags);
}

static int
set_up(void **state)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof a;

	(void)state;
	listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (!mkdtemp(dir) || bind(listener, (struct sockaddr *)&a, len) || listen(listener, 5) ||
	    getsockname(listener, (struct sockaddr *)&a, &len))
		return -1;
	to = (struct destination){.server_count = 1, .server[0] = {
		.host = "127.0.0.1", .port = ntohs(a.sin_port), .tls = URL_TLS_NONE,
	}};
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	close(listener);
	return rmdir(dir);
}

/* --- the runner --- */

/* more: lines of its configuration. */
static void
start_worker(const char *more)
{
	struct worker_link link;
	char lines[200];

	fmt_print(lines, sizeof lines, "auth_file %s/auth\n%s", dir, more);
	conf_init(&conf);
	conf_parse(&conf, str_of(lines), "conf", complain, NULL);
	conf_finish(&conf, "router.example", complain, NULL);
	words = memfd_create("words", MFD_CLOEXEC);
	assert_int_equal(worker_pair(&runner, &link), 0);
	worker = fork();
	assert_true(words >= 0 && worker >= 0);
	if (worker == 0) {
		alarm(PATIENCE);
		close(listener);
		worker_close(&runner);
		dup2(words, STDERR_FILENO);
		log_verbose(true);
		relay_run(&conf, &to, NULL, &link);
	}
	worker_close(&link);
}

static void
order(enum worker_kind kind, struct str payload, int fd)
{
	assert_int_equal(worker_send_wait(&runner, &(struct worker_frame){
		.kind = kind, .job = 7, .payload = payload, .fd = fd,
	}), 0);
}

/* A message from joe to jill, in fd, which is closed. less: so many bytes of the order are
 * missing. */
static void
order_parcel(int fd, size_t less)
{
	struct buf payload = {0};

	parcel_print(&(struct parcel){
		.sender = STR("joe@x.example"), .length = sizeof text - 1, .rcpt_count = 1,
		.numbers = &(uint32_t){3}, .rcpts = &STR("jill@y.example"),
		.notifies = &(struct notify){0},
	}, &payload);
	order(WORKER_JOB, str_upto(buf_view(&payload), payload.len - less), fd);
	buf_free(&payload);
	close(fd);
}

static void
order_message(void)
{
	int fd = memfd_create("message", MFD_CLOEXEC);

	assert_int_equal(write(fd, text, sizeof text - 1), sizeof text - 1);
	order_parcel(fd, 0);
}

/* The next that the worker says. */
static struct worker_frame
hear_worker(enum worker_kind kind)
{
	struct worker_frame f = {0};

	assert_int_equal(worker_receive_wait(&runner, &f), 1);
	assert_int_equal(f.kind, kind);
	return f;
}

/* Its exit status, or 1000 and a signal. */
static int
end_of_worker(void)
{
	int status;

	assert_int_equal(waitpid(worker, &status, 0), worker);
	ssize_t n = pread(words, said, sizeof said - 1, 0);
	assert_true(n >= 0);
	said[n] = '\0';
	close(words);
	worker_close(&runner);
	conf_free(&conf);
	if (server >= 0)
		close(server);
	server = -1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

/* --- the server --- */

static void
reply(const char *line)
{
	assert_int_equal(send(server, line, strlen(line), MSG_NOSIGNAL), strlen(line));
}

/* The next line, without CRLF; "" where there is none any more. */
static const char *
hear(void)
{
	static char line[1000];
	size_t n = 0;

	while (n < sizeof line - 1 && recv(server, line + n, 1, 0) == 1 && line[n] != '\n')
		n++;
	line[n > 0 ? n - 1 : 0] = '\0';
	return line;
}

static void
hear_command(const char *word)
{
	const char *line = hear();

	if (strncmp(line, word, strlen(word)))
		fail_msg("\"%s\" and not %s", line, word);
}

/* A connection, as far as the server's extensions. */
static void
greet(const char *extensions)
{
	struct pollfd p = {listener, POLLIN, 0};

	assert_int_equal(poll(&p, 1, PATIENCE * 1000), 1);
	server = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	assert_true(server >= 0);
	reply("220 y.example\r\n");
	hear_command("EHLO router.example");
	reply(extensions);
}

/* A message, as far as the server's leave to send it. */
static void
take_envelope(void)
{
	hear_command("MAIL FROM:<joe@x.example>");
	reply("250 ok\r\n");
	hear_command("RCPT TO:<jill@y.example>");
	reply("250 ok\r\n");
	hear_command("DATA");
}

static void
take_message(void)
{
	take_envelope();
	reply("354 go on\r\n");
	hear_command("Subject: hello");
	hear_command("");
	hear_command("hello");
	hear_command(".");
	reply("250 taken\r\n");
}

static void
expect_delivered(void)
{
	assert_int_equal(hear_worker(WORKER_OUTCOME).outcome.verdict, DELIVERED);
	hear_worker(WORKER_DONE);
}

/* A worker that has delivered a message, and is told nothing more. */
static void
start_and_deliver(void)
{
	start_worker("");
	order_message();
	greet("250 y.example\r\n");
	take_message();
	expect_delivered();
}

/* --- tests --- */

/* There are kernels without. */
static void
test_no_seccomp(void **state)
{
	(void)state;
	no_seccomp = true;
	start_worker("");
	no_seccomp = false;
	order_message();
	order(WORKER_FINISH, STR(""), -1);
	greet("250 y.example\r\n");
	take_message();
	expect_delivered();
	hear_command("QUIT");
	assert_int_equal(end_of_worker(), EX_OK);
	assert_non_null(strstr(said, "this kernel has no seccomp"));
}

/* Of a parcel that lacks its end the sender is not known, nor where the message begins. */
static void
test_damaged_job(void **state)
{
	(void)state;
	start_worker("");
	order_parcel(open("/dev/null", O_RDONLY | O_CLOEXEC), 1);
	greet("250 y.example\r\n");
	assert_string_equal(hear(), "");
	assert_int_equal(end_of_worker(), EX_SOFTWARE);
	assert_non_null(strstr(said, "the runner sent a job that cannot be read"));
}

/* By DATA and where it would go as a chunk, for which its size must be known first. */
static void
test_unreadable_message(void **state)
{
	static const char *const extensions[] = {
		"250 y.example\r\n", "250-y.example\r\n250 CHUNKING\r\n",
	};

	(void)state;
	for (size_t n = 0; n < 2; n++) {
		start_worker("");
		order_parcel(open("/dev/null", O_WRONLY | O_CLOEXEC), 0);
		order(WORKER_FINISH, STR(""), -1);
		greet(extensions[n]);
		take_envelope();
		reply("354 go on\r\n");
		struct worker_frame f = hear_worker(WORKER_OUTCOME);
		assert_int_equal(f.outcome.verdict, TEMPFAIL);
		assert_string_equal(f.outcome.text, "reading the message: Bad file descriptor");
		assert_string_equal(hear(), "");
		assert_int_equal(end_of_worker(), EX_OK);
	}
}

/* Nobody would record that the server has the message, which would get it once more. */
static void
test_no_runner_at_the_end(void **state)
{
	(void)state;
	start_worker("");
	order_message();
	order(WORKER_FINISH, STR(""), -1);
	greet("250 y.example\r\n");
	take_envelope();
	worker_close(&runner);
	reply("354 go on\r\n");
	assert_string_equal(hear(), "");
	assert_int_equal(end_of_worker(), EX_TEMPFAIL);
}

/* Nor that it has the first one: the second is not begun. */
static void
test_verdict_not_heard(void **state)
{
	(void)state;
	no_sendmsg = true;
	start_worker("");
	no_sendmsg = false;
	order_message();
	order_message();
	greet("250 y.example\r\n");
	take_message();
	assert_string_equal(hear(), "");
	assert_int_equal(end_of_worker(), EX_TEMPFAIL);
}

static void
test_no_runner_between_messages(void **state)
{
	(void)state;
	start_and_deliver();
	worker_close(&runner);
	assert_string_equal(hear(), "");
	assert_int_equal(end_of_worker(), EX_TEMPFAIL);
}

/* A server that goes after a message would be called again, if there were another one. */
static void
test_no_server_and_no_message(void **state)
{
	(void)state;
	start_and_deliver();
	close(server);
	server = -1;
	assert_int_equal(end_of_worker(), EX_OK);
}

/* Nothing can come of a password that password_command would give. */
static void
test_readable_passwords(void **state)
{
	char path[40], asked[40], line[80];

	(void)state;
	fmt_print(path, sizeof path, "%s/auth", dir);
	fmt_print(asked, sizeof asked, "%s/asked", dir);
	fmt_print(line, sizeof line, "password_command echo >%s\n", asked);
	close(open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
	assert_int_equal(chmod(path, 0604), 0);
	strcpy(to.server[0].user, "joe");
	start_worker(line);
	to.server[0].user[0] = '\0';
	struct worker_frame f = hear_worker(WORKER_SESSION);
	assert_int_equal(f.outcome.verdict, TEMPFAIL);
	assert_non_null(strstr(f.outcome.text, "can be read by others: chmod 600 it"));
	assert_int_equal(end_of_worker(), EX_OK);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(unlink(asked), -1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_seccomp),
		cmocka_unit_test(test_damaged_job),
		cmocka_unit_test(test_unreadable_message),
		cmocka_unit_test(test_no_runner_at_the_end),
		cmocka_unit_test(test_verdict_not_heard),
		cmocka_unit_test(test_no_runner_between_messages),
		cmocka_unit_test(test_no_server_and_no_message),
		cmocka_unit_test(test_readable_passwords),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
