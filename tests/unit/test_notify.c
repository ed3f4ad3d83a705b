/* SPDX-License-Identifier: ISC */
#include "notify.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static void
test_parameters(void **state)
{
	static const struct {
		enum notify_of of;
		const char *in, *out; /* NULL: wrong */
	} table[] = {
		{NOTIFY_RCPT, "", ""},
		{NOTIFY_RCPT, "NOTIFY=NEVER", " NOTIFY=NEVER"},
		{NOTIFY_RCPT, "notify=delay,Success,failure", " NOTIFY=SUCCESS,FAILURE,DELAY"},
		{NOTIFY_RCPT, "NOTIFY=FAILURE,FAILURE", " NOTIFY=FAILURE"},
		{NOTIFY_RCPT, "ORCPT=rfc822;a+2Bb@x.example", " ORCPT=rfc822;a+2Bb@x.example"},
		{NOTIFY_RCPT, "ORCPT=utf-8;\\x{E9}@x NOTIFY=NEVER",
		 " NOTIFY=NEVER ORCPT=utf-8;\\x{E9}@x"},
		{NOTIFY_MAIL, "RET=full", " RET=FULL"},
		{NOTIFY_MAIL, "ENVID=q+3D1 RET=HDRS", " RET=HDRS ENVID=q+3D1"},
		{NOTIFY_RCPT, "NOTIFY=", NULL},
		{NOTIFY_RCPT, "NOTIFY", NULL},
		{NOTIFY_RCPT, "NOTIFY=,", NULL},
		{NOTIFY_RCPT, "NOTIFY=SUCCESS,,DELAY", NULL},
		{NOTIFY_RCPT, "NOTIFY=NEVER,SUCCESS", NULL},
		{NOTIFY_RCPT, "NOTIFY=SUCCESSES", NULL},
		{NOTIFY_RCPT, "NOTIFY=FULL", NULL},
		{NOTIFY_RCPT, "NOTIFY=DELAY NOTIFY=DELAY", NULL},
		{NOTIFY_RCPT, "RET=FULL", NULL},
		{NOTIFY_RCPT, "ORCPT=a@x.example", NULL},
		{NOTIFY_RCPT, "ORCPT=;a@x.example", NULL},
		{NOTIFY_RCPT, "ORCPT=rfc822;", NULL},
		{NOTIFY_RCPT, "ORCPT=rfc 822;a", NULL},
		{NOTIFY_RCPT, "ORCPT=;", NULL},
		{NOTIFY_RCPT, "ORCPT=rfc822;a=b", NULL},
		{NOTIFY_RCPT, "ORCPT=rfc822;\xc3\xa9", NULL},
		{NOTIFY_RCPT, "ORCPT=rfc822;a ORCPT=rfc822;b", NULL},
		{NOTIFY_MAIL, "RET=FULL,HDRS", NULL},
		{NOTIFY_MAIL, "RET=NEVER", NULL},
		{NOTIFY_MAIL, "ENVID=", NULL},
		{NOTIFY_MAIL, "ENVID=a+", NULL},
		{NOTIFY_MAIL, "ENVID=a+2", NULL},
		{NOTIFY_MAIL, "ENVID=a+2b", NULL},
		{NOTIFY_MAIL, "ENVID=a+G0", NULL},
		{NOTIFY_MAIL, "ENVID=a\r", NULL},
		{NOTIFY_MAIL, "ENVID=a\x7f", NULL},
		{NOTIFY_MAIL, " RET=FULL", NULL},
		{NOTIFY_MAIL, "RET=FULL ", NULL},
		{NOTIFY_MAIL, "RET=FULL  ENVID=x", NULL},
		{NOTIFY_MAIL, "NOTIFY=NEVER", NULL},
	};
	char text[NOTIFY_TEXT];

	(void)state;
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		struct notify n = {0};
		int rc = notify_parse(&n, table[i].of, str_of(table[i].in));
		if ((rc == 0) != (table[i].out != NULL))
			fail_msg("%s: %d", table[i].in, rc);
		notify_print(&n, table[i].of, text);
		if (table[i].out)
			assert_string_equal(text, table[i].out);
	}
}

static void
test_unknown_key(void **state)
{
	struct notify n = {0};

	(void)state;
	assert_int_equal(notify_set(&n, NOTIFY_MAIL, STR("SIZE"), STR("1")), 1);
	assert_int_equal(notify_set(&n, NOTIFY_MAIL, STR("RET"), STR("1")), -1);
	assert_int_equal(notify_set(&n, NOTIFY_MAIL, STR("ORCPT"), STR("a;b")), 1);
}

/* What is as long as may be fits where it is printed; one byte more is wrong. */
static void
test_limits(void **state)
{
	static char id[LIMIT_ORCPT + 2];
	char text[NOTIFY_TEXT];

	(void)state;
	memset(id, 'x', sizeof id);
	id[1] = ';';
	struct notify n = {0};
	struct str all = {id, LIMIT_ORCPT}, more = {id, LIMIT_ORCPT + 1};
	assert_int_equal(notify_set(&n, NOTIFY_RCPT, STR("ORCPT"), more), -1);
	assert_int_equal(notify_set(&n, NOTIFY_RCPT, STR("ORCPT"), all), 0);
	assert_int_equal(notify_set(&n, NOTIFY_RCPT, STR("NOTIFY"), STR("SUCCESS,FAILURE,DELAY")), 0);
	notify_print(&n, NOTIFY_RCPT, text);
	assert_int_equal(strlen(text), 29 + 7 + LIMIT_ORCPT);
	assert_memory_equal(text + 29 + 7, id, LIMIT_ORCPT);
	n = (struct notify){0};
	more.len = LIMIT_ENVID + 1;
	assert_int_equal(notify_set(&n, NOTIFY_MAIL, STR("ENVID"), more), -1);
	more.len = LIMIT_ENVID;
	assert_int_equal(notify_set(&n, NOTIFY_MAIL, STR("ENVID"), more), 0);
}

static void
test_wishes(void **state)
{
	enum { N = NOTIFY_NEVER, S = NOTIFY_SUCCESS, F = NOTIFY_FAILURE, D = NOTIFY_DELAY };
	static const unsigned merged[][3] = {
		{0, 0, 0}, {0, N, F | D}, {N, 0, F | D}, {N, N, N}, {N, S, S}, {S, F, S | F},
		{S, 0, S | F | D}, {F, D, F | D}, {F, F, F},
	};

	(void)state;
	for (size_t i = 0; i < sizeof merged / sizeof *merged; i++) {
		struct notify a = {merged[i][0], STR("a;1")}, b = {merged[i][1], STR("a;2")};
		notify_merge(&a, &b);
		assert_int_equal(a.asks, merged[i][2]);
		assert_true(str_eq(a.id, STR("a;1")));
	}
	for (unsigned asks = 0; asks < 16; asks++) {
		struct notify n = {.asks = asks};
		assert_int_equal(notify_wants(&n, F), asks == 0 || (asks & F));
		assert_int_equal(notify_wants(&n, D), asks == 0 || (asks & D));
		assert_int_equal(notify_wants(&n, S), !!(asks & S));
		notify_drop_success(&n);
		assert_int_equal(n.asks, asks == S ? N : asks & ~(unsigned)S);
	}
}

static void
test_xtext(void **state)
{
	struct buf x = {0}, plain = {0};
	char all[255];

	(void)state;
	notify_print_xtext(STR("a+b=c d~\n\xff"), &x);
	assert_string_equal(buf_cstr(&x), "a+2Bb+3Dc+20d~+0A+FF");
	notify_print_plain(buf_view(&x), &plain);
	assert_string_equal(buf_cstr(&plain), "a+b=c d~??");
	/* Whatever a command line holds becomes a value that is right. */
	for (int c = 1; c <= 255; c++)
		all[c - 1] = (char)c;
	for (size_t i = 0; i < sizeof all; i += 30) {
		struct notify n = {0};
		x.len = 0;
		notify_print_xtext(str_upto(str_from((struct str){all, sizeof all}, i), 30), &x);
		assert_int_equal(notify_set(&n, NOTIFY_MAIL, STR("ENVID"), buf_view(&x)), 0);
	}
	/* Cut short it is no xtext, and nothing behind it is looked at. */
	char *exact = malloc(2);
	memcpy(exact, "+4", 2);
	plain.len = 0;
	notify_print_plain((struct str){exact, 2}, &plain);
	assert_string_equal(buf_cstr(&plain), "+4");
	free(exact);
	buf_free(&x);
	buf_free(&plain);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parameters),
		cmocka_unit_test(test_unknown_key),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_wishes),
		cmocka_unit_test(test_xtext),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
