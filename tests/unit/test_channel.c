/* SPDX-License-Identifier: ISC */
/* How a connection ends, with TLS and without, and what is said of it; all that came before
 * the end is read first. */
#include "channel.h"
#include "clock.h"
#include "net.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define PEER "mail.example:25"
#define LAST "421 going down\r\n" /* what each server says before it goes */

enum { PATIENCE = 10 }; /* seconds; nothing waits that long when it works */

static char dir[] = "/tmp/test_channel.XXXXXX";
static struct identity owner; /* the server's certificate and key */
static struct channel c;
static int server;            /* its end of the connection */

static int
set_up(void **state)
{
	char command[400], cert[60], key[60];
	struct outcome why;

	(void)state;
	signal(SIGPIPE, SIG_IGN);
	if (!mkdtemp(dir))
		return -1;
	snprintf(cert, sizeof cert, "%s/cert", dir);
	snprintf(key, sizeof key, "%s/key", dir);
	snprintf(command, sizeof command, "openssl req -x509 -nodes -newkey ec -pkeyopt "
		 "ec_paramgen_curve:prime256v1 -subj /CN=mail.example -keyout %s -out %s "
		 "2>/dev/null && chmod 600 %s", key, cert, key);
	if (system(command) || identity_load(&owner, cert, key, &why))
		return -1;
	owner.key.ec.curve = BR_EC_secp256r1;
	return 0;
}

static int
tear_down(void **state)
{
	char command[60];

	(void)state;
	identity_free(&owner);
	snprintf(command, sizeof command, "rm -r %s", dir);
	return system(command);
}

static void
connect_channel(void)
{
	int ends[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	assert_int_equal(fcntl(ends[0], F_SETFL, O_NONBLOCK), 0);
	channel_open(&c, ends[0], STR(PEER));
	server = ends[1];
}

static void
say(const char *bytes)
{
	assert_int_equal(write(server, bytes, strlen(bytes)), strlen(bytes));
}

/* The channel's end has these words, and comes behind what the server said last. */
static void
expect_end(const char *words)
{
	int64_t deadline = clock_ms() + PATIENCE * 1000;
	char got[100];
	size_t len = 0;

	while (!c.over && clock_ms() < deadline) {
		size_t n = channel_read(&c, got + len, sizeof got - len);
		len += n;
		if (n == 0 && !c.over)
			net_wait(c.fd, channel_events(&c, false), -1, deadline);
	}
	assert_true(c.over);
	assert_int_equal(len, strlen(LAST));
	assert_memory_equal(got, LAST, len);
	assert_int_equal(c.why.verdict, TEMPFAIL);
	assert_string_equal(c.why.text, words);
	assert_int_equal(channel_write(&c, STR("QUIT\r\n")), 0);
	assert_int_equal(channel_read(&c, got, sizeof got), 0);
	assert_string_equal(c.why.text, words);
	channel_close(&c);
}

/* --- in clear --- */

static void
test_closed(void **state)
{
	(void)state;
	connect_channel();
	say(LAST);
	close(server);
	expect_end("connection to " PEER " lost while waiting for its reply: closed by the server");
}

/* The server goes without a look at what we sent. */
static void
test_reset(void **state)
{
	(void)state;
	connect_channel();
	assert_int_equal(channel_write(&c, STR("EHLO x\r\n")), 8);
	say(LAST);
	close(server);
	expect_end("connection to " PEER
		   " lost while waiting for its reply: Connection reset by peer");
}

/* It takes nothing more, but does not close the connection. */
static void
test_deaf(void **state)
{
	(void)state;
	connect_channel();
	say(LAST);
	assert_int_equal(shutdown(server, SHUT_RD), 0);
	assert_int_equal(channel_write(&c, STR("EHLO x\r\n")), 0);
	assert_int_equal(channel_write(&c, STR("EHLO x\r\n")), 0);
	expect_end("connection to " PEER " lost while sending: Broken pipe");
	close(server);
}

/* That there is nothing to read or no room to write is no end. */
static void
test_busy(void **state)
{
	static const char many[4096];
	char got[100];

	(void)state;
	connect_channel();
	while (channel_write(&c, (struct str){many, sizeof many}) > 0)
		;
	assert_int_equal(channel_read(&c, got, sizeof got), 0);
	assert_false(c.over || c.send_error);
	assert_true(c.sent >= sizeof many);
	say(LAST);
	close(server);
	expect_end("connection to " PEER
		   " lost while waiting for its reply: Connection reset by peer");
}

/* --- with TLS --- */

static int
receive(void *ctx, unsigned char *dst, size_t cap)
{
	ssize_t n = read(*(int *)ctx, dst, cap);

	return n > 0 ? (int)n : -1;
}

static int
transmit(void *ctx, const unsigned char *bytes, size_t len)
{
	ssize_t n = write(*(int *)ctx, bytes, len);

	return n > 0 ? (int)n : -1;
}

/* The server, in a process of its own: once it has heard something it goes, orderly or not. */
_Noreturn static void
serve(bool orderly)
{
	static unsigned char buffer[BR_SSL_BUFSIZE_BIDI];
	static br_ssl_server_context s;
	br_sslio_context io;
	char got; /* all that comes: br_sslio_close spins on what was not read */

	alarm(2 * PATIENCE);
	br_ssl_server_init_full_ec(&s, owner.chain, owner.count, BR_KEYTYPE_EC, &owner.key.ec);
	br_ssl_engine_set_buffer(&s.eng, buffer, sizeof buffer, 1);
	br_ssl_server_reset(&s);
	br_sslio_init(&io, &s.eng, receive, &server, transmit, &server);
	if (br_sslio_read(&io, &got, 1) != 1 || br_sslio_write_all(&io, LAST, strlen(LAST)) ||
	    br_sslio_flush(&io))
		_exit(1);
	if (orderly)
		br_sslio_close(&io);
	_exit(0);
}

static void
expect_tls_end(bool orderly, const char *words)
{
	struct trust_config trust = {.ca = -1};
	struct identity me;
	struct outcome why;
	int status;

	connect_channel();
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		close(c.fd);
		serve(orderly);
	}
	close(server);
	assert_int_equal(identity_load(&me, "", "", &why), 0);
	channel_start_tls(&c, STR("mail.example"), &trust, &me, PATIENCE);
	assert_false(c.over);
	assert_int_equal(channel_write(&c, STR("x")), 1);
	channel_flush(&c);
	expect_end(words);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void
test_tls_closed(void **state)
{
	(void)state;
	expect_tls_end(true, "connection to " PEER
		       " lost while waiting for its reply: closed by the server");
}

/* Anybody on the way could have done that. */
static void
test_tls_cut(void **state)
{
	(void)state;
	expect_tls_end(false, "TLS with mail.example: connection lost: it ended without "
		       "close_notify");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_closed),
		cmocka_unit_test(test_reset),
		cmocka_unit_test(test_deaf),
		cmocka_unit_test(test_busy),
		cmocka_unit_test(test_tls_closed),
		cmocka_unit_test(test_tls_cut),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
