/* SPDX-License-Identifier: ISC */
/*
 * The lines of a login. What the mechanisms compute is in test_sasl.c; whole sessions are in
 * tests/dialog.
 */
#include "login.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static char text[LOGIN_LINE];

static struct login
make(const char *offered, const char *user, const char *password)
{
	return (struct login){
		.user = str_of(user), .password = str_of(password), .host = STR("mx.test"),
		.nonce = STR("rOprNGfwEbeRWgbNEkqO"), .offered = str_of(offered), .line = text,
	};
}

static enum login_result
hear(struct login *l, const char *said)
{
	struct reply r = {0};
	const char *why;

	while (*said)
		assert_true(reply_take(&r, *said++, &why) >= 0);
	assert_int_equal(r.event, REPLY_END);
	return login_reply(l, &r);
}

static void
check_line(const struct login *l, const char *line, const char *shown)
{
	assert_string_equal(l->shown, shown);
	assert_int_equal(l->len, strlen(line));
	assert_memory_equal(l->line, line, l->len);
}

static void
test_initial_response(void **state)
{
	struct login l = make("LOGIN PLAIN", "joe", "secret");

	(void)state;
	assert_int_equal(login_start(&l), LOGIN_GOES_ON);
	check_line(&l, "AUTH PLAIN AGpvZQBzZWNyZXQ=", "AUTH PLAIN ****");
	assert_int_equal(hear(&l, "235 in\r\n"), LOGIN_DONE);
	assert_string_equal(l.shown, "");
}

static void
test_empty_initial_response(void **state)
{
	struct login l = make("EXTERNAL", "", "");

	(void)state;
	l.allowed = STR("EXTERNAL");
	assert_int_equal(login_start(&l), LOGIN_GOES_ON);
	check_line(&l, "AUTH EXTERNAL =", "AUTH EXTERNAL ****");
}

/* The longest password that there may be: no room in the command's line, all in the next. */
static void
test_long_response(void **state)
{
	static char password[LIMIT_PASSWORD + 1];
	struct login l;

	(void)state;
	memset(password, 'x', LIMIT_PASSWORD);
	l = make("PLAIN", "joe", password);
	l.line = malloc(LOGIN_LINE);
	assert_int_equal(login_start(&l), LOGIN_GOES_ON);
	check_line(&l, "AUTH PLAIN", "AUTH PLAIN");
	assert_int_equal(hear(&l, "334 \r\n"), LOGIN_GOES_ON);
	assert_string_equal(l.shown, "****");
	assert_int_equal(l.len, (LIMIT_PASSWORD + 5 + 2) / 3 * 4);
	free(l.line);
}

static void
test_challenges(void **state)
{
	struct login l = make("LOGIN", "joe", "secret");

	(void)state;
	assert_int_equal(login_start(&l), LOGIN_GOES_ON);
	check_line(&l, "AUTH LOGIN", "AUTH LOGIN");
	assert_int_equal(hear(&l, "334 VXNlcm5hbWU6\r\n"), LOGIN_GOES_ON);
	check_line(&l, "am9l", "****");
	assert_int_equal(hear(&l, "334 UGFzc3dvcmQ6\r\n"), LOGIN_GOES_ON);
	check_line(&l, "c2VjcmV0", "****");
	assert_int_equal(hear(&l, "334 again\r\n"), LOGIN_FAILED);
	check_line(&l, "*", "*");
	assert_string_equal(l.why.text, "AUTH LOGIN as joe at mx.test failed: the challenge is "
					"not base64");
}

static void
test_refused(void **state)
{
	struct login l = make("PLAIN", "joe", "secret");

	(void)state;
	assert_int_equal(login_start(&l), LOGIN_GOES_ON);
	assert_int_equal(hear(&l, "535 5.7.8 no\r\n"), LOGIN_FAILED);
	assert_string_equal(l.shown, "");
	assert_string_equal(l.why.text, "AUTH PLAIN as joe at mx.test refused: no");
	assert_int_equal(l.why.code, 535);
	assert_int_equal(l.why.verdict, PERMFAIL);

	assert_int_equal(login_start(&l), LOGIN_GOES_ON);
	assert_int_equal(hear(&l, "454 4.7.0 later\r\n"), LOGIN_FAILED);
	assert_int_equal(l.why.verdict, TEMPFAIL);
}

/* The next best mechanism, where the binding may have been meant; once. */
static void
test_refused_binding(void **state)
{
	struct login l = make("SCRAM-SHA-256-PLUS SCRAM-SHA-256", "joe", "secret");

	(void)state;
	l.binding = STR("of this channel");
	assert_int_equal(login_start(&l), LOGIN_GOES_ON);
	assert_string_equal(l.shown, "AUTH SCRAM-SHA-256-PLUS ****");
	assert_int_equal(hear(&l, "535 no\r\n"), LOGIN_GOES_ON);
	assert_string_equal(l.shown, "AUTH SCRAM-SHA-256 ****");
	assert_int_equal(hear(&l, "535 no\r\n"), LOGIN_FAILED);

	l = make("SCRAM-SHA-256-PLUS", "joe", "secret");
	l.binding = STR("of this channel");
	assert_int_equal(login_start(&l), LOGIN_GOES_ON);
	assert_int_equal(hear(&l, "535 no\r\n"), LOGIN_FAILED);
	assert_string_equal(l.shown, "");
	assert_int_equal(l.why.detail, 4);
}

static void
test_unproved(void **state)
{
	struct login l = make("SCRAM-SHA-256", "joe", "secret");

	(void)state;
	assert_int_equal(login_start(&l), LOGIN_GOES_ON);
	assert_int_equal(hear(&l, "235 in\r\n"), LOGIN_FAILED);
	assert_int_equal(l.why.verdict, TEMPFAIL);
}

static void
test_none_in_common(void **state)
{
	struct login l = make("", "joe", "secret");

	(void)state;
	assert_int_equal(login_start(&l), LOGIN_FAILED);
	assert_non_null(strstr(l.why.text, "the server offers: none"));
	l = make("GSSAPI", "joe", "secret");
	assert_int_equal(login_start(&l), LOGIN_FAILED);
	assert_non_null(strstr(l.why.text, "the server offers: GSSAPI"));
	assert_string_equal(l.shown, "");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_initial_response),
		cmocka_unit_test(test_empty_initial_response),
		cmocka_unit_test(test_long_response),
		cmocka_unit_test(test_challenges),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_refused_binding),
		cmocka_unit_test(test_unproved),
		cmocka_unit_test(test_none_in_common),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
