/* SPDX-License-Identifier: ISC */
#include "net.h"
#include "clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

static struct dns_address
address(const char *text)
{
	struct dns_address a;

	assert_int_equal(dns_parse_address(str_of(text), &a), 0);
	return a;
}

/* A bound TCP socket and its port; -1 where there is no such address. */
static int
bound(const char *text, unsigned short *port)
{
	struct dns_address a = address(text);
	int fd = socket(a.sa.ss_family, SOCK_STREAM, 0);

	if (bind(fd, (struct sockaddr *)&a.sa, a.len) ||
	    getsockname(fd, (struct sockaddr *)&a.sa, &a.len)) {
		close(fd);
		return -1;
	}
	*port = ntohs(((struct sockaddr_in *)&a.sa)->sin_port);
	return fd;
}

static void
expect_failure(int fd, const struct outcome *why, const char *text)
{
	assert_int_equal(fd, -1);
	assert_int_equal(why->verdict, TEMPFAIL);
	assert_int_equal(why->subject, 4);
	assert_int_equal(why->detail, 1);
	assert_int_equal(why->code, 0);
	assert_string_equal(why->text, text);
}

static void
expect_connected(int fd)
{
	assert_true(fd >= 0);
	assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	assert_int_equal(write(fd, "x", 1), 1);
}

static void
dial_and_check(const char *text)
{
	struct dns_address a = address(text);
	struct outcome why;
	unsigned short port;
	socklen_t len = sizeof(int);
	char expected[100];
	int no_delay = 0, listener = bound(text, &port);

	if (listener < 0) {
		print_message("# SKIP no %s on this machine\n", text);
		skip();
	}
	snprintf(expected, sizeof expected, "connecting to %s port %u: %s", text, port,
		 strerror(ECONNREFUSED));
	expect_failure(net_dial(&a, port, NULL, clock_ms() + 5000, &why), &why, expected);

	assert_int_equal(listen(listener, 1), 0);
	int fd = net_dial(&a, port, NULL, clock_ms() + 5000, &why);
	expect_connected(fd);
	assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &no_delay, &len), 0);
	assert_true(no_delay);
	close(fd);
	close(listener);
}

static void
test_ip4(void **state)
{
	(void)state;
	dial_and_check("127.0.0.1");
}

static void
test_ip6(void **state)
{
	(void)state;
	dial_and_check("::1");
}

/* From an address of ours, and from one that is not. */
static void
test_source(void **state)
{
	struct dns_address a = address("127.0.0.1"), from = address("127.0.0.2");
	struct dns_address foreign = address("192.0.2.1");
	struct sockaddr_in peer = {0};
	socklen_t len = sizeof peer;
	struct outcome why;
	unsigned short port;
	char expected[120];
	int listener = bound("127.0.0.1", &port);

	(void)state;
	assert_int_equal(listen(listener, 1), 0);
	int fd = net_dial(&a, port, &from, clock_ms() + 5000, &why);
	expect_connected(fd);
	int server = accept(listener, (struct sockaddr *)&peer, &len);
	assert_true(server >= 0);
	assert_int_equal(ntohl(peer.sin_addr.s_addr), INADDR_LOOPBACK + 1);
	close(server);
	close(fd);

	snprintf(expected, sizeof expected, "connecting to 127.0.0.1 port %u from 192.0.2.1: %s",
		 port, strerror(EADDRNOTAVAIL));
	expect_failure(net_dial(&a, port, &foreign, clock_ms() + 5000, &why), &why, expected);
	close(listener);
}

/* A listener whose queue is full leaves a connection attempt hanging. */
static void
test_deadline(void **state)
{
	struct dns_address a = address("127.0.0.1");
	struct outcome why;
	unsigned short port;
	int listener = bound("127.0.0.1", &port), fds[8], n = 0;
	char expected[100];
	int64_t start;

	(void)state;
	assert_int_equal(listen(listener, 0), 0);
	do {
		start = clock_ms();
		fds[n] = net_dial(&a, port, NULL, start + 40, &why);
	} while (fds[n] >= 0 && ++n < 8);
	assert_in_range(n, 1, 7);
	assert_in_range(clock_ms() - start, 40, 5000);
	snprintf(expected, sizeof expected, "connecting to 127.0.0.1 port %u: %s", port,
		 strerror(ETIMEDOUT));
	expect_failure(fds[n], &why, expected);
	while (n > 0)
		close(fds[--n]);
	close(listener);
}

static void
test_unix(void **state)
{
	char directory[] = "/tmp/test_net.XXXXXX", expected[200];
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	struct outcome why;
	int fds[4], n = 0, listener = socket(AF_UNIX, SOCK_STREAM, 0);
	int64_t start;

	(void)state;
	assert_non_null(mkdtemp(directory));
	snprintf(sa.sun_path, sizeof sa.sun_path, "%s/s", directory);
	snprintf(expected, sizeof expected, "connecting to %s: %s", sa.sun_path, strerror(ENOENT));
	expect_failure(net_dial_unix(sa.sun_path, clock_ms() + 5000, &why), &why, expected);

	assert_int_equal(bind(listener, (struct sockaddr *)&sa, sizeof sa), 0);
	assert_int_equal(listen(listener, 0), 0);
	do {
		start = clock_ms();
		fds[n] = net_dial_unix(sa.sun_path, start + 10, &why);
		if (fds[n] >= 0)
			expect_connected(fds[n]);
	} while (fds[n] >= 0 && ++n < 4);
	assert_in_range(n, 1, 3);
	assert_in_range(clock_ms() - start, 10, 5000);
	snprintf(expected, sizeof expected, "connecting to %s: %s", sa.sun_path, strerror(EAGAIN));
	expect_failure(-1, &why, expected);
	while (n > 0)
		close(fds[--n]);
	close(listener);
	assert_int_equal(unlink(sa.sun_path), 0);
	assert_int_equal(rmdir(directory), 0);
}

static void
test_long_path(void **state)
{
	char path[109], expected[200];
	struct outcome why;

	(void)state;
	memset(path, 'x', 108);
	path[108] = '\0';
	snprintf(expected, sizeof expected, "connecting to %s: longer than the 107 bytes a socket's "
		 "path may have", path);
	expect_failure(net_dial_unix(path, clock_ms(), &why), &why, expected);
	path[107] = '\0';
	snprintf(expected, sizeof expected, "connecting to %s: %s", path, strerror(ENOENT));
	expect_failure(net_dial_unix(path, clock_ms(), &why), &why, expected);
}

static void
test_wait(void **state)
{
	int a[2], b[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, a), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, b), 0);
	assert_int_equal(net_wait(a[0], POLLIN, b[0], clock_ms() - 1000), 0);
	assert_int_equal(net_wait(a[0], POLLIN, -1, clock_ms() + 5), 0);
	assert_int_equal(net_wait(a[0], POLLOUT, b[0], INT64_MAX), 1);
	assert_int_equal(write(b[1], "x", 1), 1);
	assert_int_equal(net_wait(a[0], POLLIN, b[0], INT64_MAX), 2);
	assert_int_equal(net_wait(a[0], POLLIN | POLLOUT, b[0], INT64_MAX), 3);
	assert_int_equal(net_wait(b[0], POLLIN, -1, clock_ms() - 1), 1);
	close(a[1]);
	assert_int_equal(net_wait(a[0], POLLIN, -1, INT64_MAX), 1);
	close(a[0]);
	close(b[0]);
	close(b[1]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ip4),
		cmocka_unit_test(test_ip6),
		cmocka_unit_test(test_source),
		cmocka_unit_test(test_deadline),
		cmocka_unit_test(test_unix),
		cmocka_unit_test(test_long_path),
		cmocka_unit_test(test_wait),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
