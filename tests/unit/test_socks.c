/* SPDX-License-Identifier: ISC */
#include "net.h"
#include "clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define LOGIN "\5\2\0\2"
#define NO_LOGIN "\5\1\0"
/* CONNECT mail.example:587, and what a proxy says when it has. */
#define CONNECT "\5\1\0\3\014mail.example\2\113"
#define CONNECTED "\5\0\0\1\177\0\0\1\2\113"

static struct socks
to(const char *user, const char *host)
{
	return (struct socks){
		.user = str_of(user), .password = STR("Waldmeister"), .host = str_of(host),
		.port = 587,
	};
}

/* Plays the proxy that says all of reply: what socks_next comes to, and all it sent in *sent. */
static int
play(struct socks s, struct str reply, struct buf *sent, struct outcome *why)
{
	int n = 0;

	do {
		/* Memory of exactly that size: nothing beyond is looked at. */
		char *got = malloc((size_t)n + (n == 0));
		assert_true((size_t)n <= reply.len && n <= SOCKS_READ);
		memcpy(got, reply.ptr, (size_t)n);
		reply = str_from(reply, (size_t)n);
		size_t before = sent->len;
		n = socks_next(&s, (struct str){got, (size_t)n}, sent, why);
		assert_true(sent->len - before <= SOCKS_WRITE);
		free(got);
	} while (n > 0);
	/* What follows the proxy's own bytes stays. */
	if (n == 0)
		assert_true(str_eq(reply, STR("220 ")));
	return n;
}

static void
expect_connected(struct socks s, struct str reply, struct str sent)
{
	struct buf out = {0};
	struct outcome why;

	if (play(s, reply, &out, &why))
		fail_msg("%s", why.text);
	assert_int_equal(out.len, sent.len);
	assert_memory_equal(out.ptr, sent.ptr, sent.len);
	buf_free(&out);
}

static void
test_connected(void **state)
{
	(void)state;
	expect_connected(to("", "mail.example"), STR("\5\0" CONNECTED "220 "),
			 STR(NO_LOGIN CONNECT));
	/* A proxy need not want the login. */
	expect_connected(to("joe", "mail.example"), STR("\5\0" CONNECTED "220 "),
			 STR(LOGIN CONNECT));
	expect_connected(to("joe", "mail.example"), STR("\5\2\1\0" CONNECTED "220 "),
			 STR(LOGIN "\1\3joe\013Waldmeister" CONNECT));
	/* Every form of its own address, of which we have no use. */
	expect_connected(to("", "192.0.2.1"),
			 STR("\5\0\5\0\0\4" "0123456789abcdef\2\113" "220 "),
			 STR(NO_LOGIN "\5\1\0\1\300\0\2\1\2\113"));
	expect_connected(to("", "2001:db8::1"), STR("\5\0\5\0\0\3\0\2\113" "220 "),
			 STR(NO_LOGIN "\5\1\0\4\40\1\15\270\0\0\0\0\0\0\0\0\0\0\0\1\2\113"));
	expect_connected(to("", "mail.example"), STR("\5\0\5\0\0\3\3abc\2\113" "220 "),
			 STR(NO_LOGIN CONNECT));
}

static void
test_longest(void **state)
{
	char name[256], reply[2 + 5 + 255 + 2 + 4] = "\5\0\5\0\0\3\377";
	struct buf out = {0};
	struct outcome why;

	(void)state;
	memset(name, 'a', 255);
	name[255] = '\0';
	memset(reply + 7, 'b', 255 + 2);
	memcpy(reply + 7 + 255 + 2, "220 ", 4);
	assert_int_equal(play(to("", name), (struct str){reply, sizeof reply}, &out, &why), 0);
	assert_int_equal(out.len, 3 + 4 + 1 + 255 + 2);
	buf_free(&out);

	struct socks s = to(name, "mail.example");
	s.password = str_of(name);
	assert_int_equal(play(s, STR("\5\2\1\1"), &out, &why), -1);
	assert_int_equal(out.len, 4 + SOCKS_WRITE);
	buf_free(&out);
	char longer[256];
	memset(longer, 'p', sizeof longer);
	s.password = (struct str){longer, sizeof longer};
	assert_int_equal(play(s, STR("\5\2"), &out, &why), -1);
	assert_string_equal(why.text, "it cannot be told a password of more than 255 bytes");
	assert_int_equal(out.len, 4);
	buf_free(&out);
}

static void
test_refused(void **state)
{
	static const struct {
		const char *user;
		struct str reply;
		const char *words;
	} cases[] = {
		{"", {"\4\0", 2}, "it does not speak SOCKS5"},
		{"", {"HT", 2}, "it does not speak SOCKS5"},
		{"", {"\5\377", 2}, "it wants a login: write proxy USER@HOST, and the password into auth_file"},
		{"", {"\5\2", 2}, "it wants a login: write proxy USER@HOST, and the password into auth_file"},
		{"", {"\5\1", 2}, "it wants a login: write proxy USER@HOST, and the password into auth_file"},
		{"joe", {"\5\377", 2}, "it does not take a user and password: remove the user"},
		{"joe", {"\5\1", 2}, "it does not take a user and password: remove the user"},
		{"joe", {"\5\2\1\1", 4}, "it refuses our user or password"},
		{"joe", {"\5\2\1\377", 4}, "it refuses our user or password"},
		{"", {"\5\0\4\0\0\1\1", 7}, "it does not speak SOCKS5"},
		{"", {"\5\0\5\0\0\2\1", 7}, "it does not speak SOCKS5"},
		{"", {"\5\0\5\0\0\0\1", 7}, "it does not speak SOCKS5"},
		{"", {"\5\0\5\1\0\1\1", 7}, "it says: general failure"},
		{"", {"\5\0\5\2\0\1\1", 7}, "it says: not allowed by the rules"},
		{"", {"\5\0\5\3\0\1\1", 7}, "it says: network unreachable"},
		{"", {"\5\0\5\4\0\1\1", 7}, "it says: host unreachable"},
		{"", {"\5\0\5\5\0\1\1", 7}, "it says: connection refused"},
		{"", {"\5\0\5\6\0\1\1", 7}, "it says: time to live expired"},
		{"", {"\5\0\5\7\0\1\1", 7}, "it says: command not supported"},
		{"", {"\5\0\5\10\0\1\1", 7}, "it says: address type not supported"},
		{"", {"\5\0\5\11\0\1\1", 7}, "it says: unknown error"},
		{"", {"\5\0\5\377\0\1\1", 7}, "it says: unknown error"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct buf out = {0};
		struct outcome why;

		assert_int_equal(play(to(cases[i].user, "mail.example"), cases[i].reply, &out, &why),
				 -1);
		assert_string_equal(why.text, cases[i].words);
		assert_int_equal(why.verdict, TEMPFAIL);
		assert_int_equal(why.code, 0);
		buf_free(&out);
	}
}

/* --- over a socket -------------------------------------------------------------------------- */

static int
pass_on(struct str reply, size_t len, bool closes, struct outcome *why, struct buf *rest)
{
	struct socks s = to("joe", "mail.example");
	int ends[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
	fcntl(ends[0], F_SETFL, O_NONBLOCK);
	/* All at once, before it was asked: what it takes is counted, not guessed. */
	assert_int_equal(write(ends[1], reply.ptr, len), len);
	if (closes)
		shutdown(ends[1], SHUT_WR);
	int rc = net_pass_on(ends[0], &s, clock_ms() + (closes ? 5000 : 50), why);
	ssize_t n = rc ? 0 : read(ends[0], buf_room(rest, 64), 64);
	rest->len += n > 0 ? (size_t)n : 0;
	close(ends[0]);
	close(ends[1]);
	return rc;
}

static void
test_socket(void **state)
{
	struct str reply = STR("\5\2\1\0" CONNECTED "220 ");
	struct buf rest = {0};
	struct outcome why;

	(void)state;
	for (size_t len = 0; len < reply.len - 4; len++) {
		assert_int_equal(pass_on(reply, len, true, &why, &rest), -1);
		assert_string_equal(why.text, "it closed the connection");
		assert_int_equal(why.verdict, TEMPFAIL);
	}
	assert_int_equal(pass_on(reply, reply.len, true, &why, &rest), 0);
	assert_true(str_eq(buf_view(&rest), STR("220 ")));
	assert_int_equal(pass_on(reply, 5, false, &why, &rest), -1);
	assert_string_equal(why.text, "it does not answer in time");
	buf_free(&rest);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_connected),
		cmocka_unit_test(test_longest),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_socket),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
