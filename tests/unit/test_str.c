/* SPDX-License-Identifier: ISC */
#include "buf.h"
#include "fmt.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

static void
test_cut_and_trim(void **state)
{
	struct str s = STR("a=b=c");

	(void)state;
	assert_true(str_eq(str_cut(&s, '='), STR("a")));
	assert_true(str_eq(s, STR("b=c")));
	assert_true(str_eq(str_cut(&s, ':'), STR("b=c")));
	assert_int_equal(s.len, 0);
	assert_true(str_eq(str_trim(STR(" \t\r\n x y \n")), STR("x y")));
	assert_int_equal(str_trim(STR(" \n")).len, 0);
	assert_true(str_ieq(STR("MaIl"), STR("mAiL")));
	assert_false(str_ieq(STR("mail"), STR("mails")));
	assert_true(str_istarts(STR("Bcc: x"), STR("bcc:")));
}

static void
test_case(void **state)
{
	(void)state;
	for (int a = 1; a < 256; a++)
		for (int b = 1; b < 256; b++) {
			char x[] = {(char)a, '\0'}, y[] = {(char)b, '\0'};
			bool same = str_lower(x[0]) == str_lower(y[0]);
			assert_int_equal(str_is((struct str){x, 1}, y), same);
			assert_int_equal(str_ieq((struct str){x, 1}, (struct str){y, 1}), same);
		}
	assert_true(str_is(STR("Mail"), "mAIL"));
	assert_false(str_is(STR("mail"), "mails"));
	assert_false(str_is(STR("mails"), "mail"));
	assert_false(str_is(STR("m\0"), "m"));
	assert_false(str_is(STR("mail"), NULL));
	assert_false(str_is(STR(""), NULL));
	assert_true(str_is(STR(""), ""));
}

static void
test_number(void **state)
{
	uint64_t v;

	(void)state;
	assert_int_equal(str_number(STR("0"), 0, &v), 0);
	assert_int_equal(str_number(STR("18446744073709551615"), UINT64_MAX, &v), 0);
	assert_true(v == UINT64_MAX);
	assert_int_equal(str_number(STR("18446744073709551616"), UINT64_MAX, &v), -1);
	assert_int_equal(str_number(STR("100"), 99, &v), -1);
	assert_int_equal(str_number(STR("9"), 5, &v), -1);
	assert_int_equal(str_number(STR(""), 9, &v), -1);
	assert_int_equal(str_number(STR("-1"), 9, &v), -1);
	assert_int_equal(str_number(STR("1 "), 9, &v), -1);
	assert_int_equal(str_number(STR("10"), UINT64_MAX, &v), 0);
	assert_true(v == 10);
	assert_int_equal(str_number(STR("0018446744073709551615"), UINT64_MAX, &v), 0);
	assert_int_equal(str_number(STR("18446744073709551620"), UINT64_MAX, &v), -1);
	assert_int_equal(str_number(STR("99999999999999999999"), UINT64_MAX, &v), -1);
	assert_int_equal(str_number((struct str){0}, 9, &v), -1);
}

/* What is left of text behind the number, or NULL: there is none, and text is still whole. */
static const char *
cut(const char *text, uint64_t max, uint64_t *value)
{
	struct str s = str_of(text);

	if (str_cut_number(&s, ' ', max, value) == 0)
		return s.ptr;
	assert_ptr_equal(s.ptr, text);
	assert_int_equal(s.len, strlen(text));
	return NULL;
}

static void
test_cut_number(void **state)
{
	static const char *const bad[] = {"", " ", " 1", "-1", "1,2", "1x 2", "x", "100", "100 1"};
	uint64_t v = 0;

	(void)state;
	assert_string_equal(cut("12 34", 99, &v), "34");
	assert_true(v == 12);
	assert_string_equal(cut("0099  1", 99, &v), " 1");
	assert_true(v == 99);
	assert_string_equal(cut("7", 99, &v), "");
	assert_string_equal(cut("8 ", 99, &v), "");
	assert_true(v == 8);
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_null(cut(bad[i], 99, &v));
	assert_true(v == 8);
}

static void
test_same(void **state)
{
	(void)state;
	assert_true(str_same(STR("sent"), "sent"));
	assert_true(str_same((struct str){0}, ""));
	assert_false(str_same(STR("sent"), "Sent"));
	assert_false(str_same(STR("sent"), "sen"));
	assert_false(str_same(STR("sen"), "sent"));
	assert_false(str_same((struct str){"sent\0", 5}, "sent"));
	assert_true(str_starts(STR("sent"), STR("sen")));
	assert_true(str_starts(STR("sent"), STR("")));
	assert_false(str_starts(STR("sen"), STR("sent")));
	assert_false(str_starts(STR("send"), STR("sent")));
}

/* Each byte at each place among others. */
static void
test_plain(void **state)
{
	char text[24];

	(void)state;
	for (unsigned n = 0; n < 256 * 24; n++) {
		size_t at = n / 256, len = 24 - n % 3;
		bool plain = n % 256 >= ' ' && n % 256 <= '~';
		memset(text, n % 2 ? ' ' : '~', sizeof text);
		text[at] = (char)(n % 256);
		assert_int_equal(str_plain((struct str){text, len}), plain || at > len ? len : at);
		/* One more does not hide the first, from either side. */
		text[23] = n % 2 ? '\177' : '\200';
		text[0] = n % 5 ? text[0] : '\0';
		assert_int_equal(str_plain((struct str){text, 24}), n % 5 == 0 ? 0 : plain ? 23 : at);
	}
	assert_int_equal(str_plain((struct str){0}), 0);
}

static void
test_printables(void **state)
{
	(void)state;
	assert_int_equal(str_printables(STR("")), 0);
	assert_int_equal(str_printables(STR("a ~\xc3\xbc\xe2\x82\xac")), 8);
	assert_int_equal(str_printables(STR("ab\tc")), 2);
	assert_int_equal(str_printables(STR("ab\x7f")), 2);
	assert_int_equal(str_printables(STR("ab\x9f")), 2);
	assert_int_equal(str_printables(STR("a\xc2\x9f")), 1);
	assert_int_equal(str_printables(STR("a\xc3")), 1);
}

static void
expect_format(const char *want, const char *got, size_t len)
{
	assert_string_equal(got, want);
	assert_int_equal(len, strlen(want));
}

static void
test_format(void **state)
{
	char b[64];

	(void)state;
	expect_format("-5|   7|007|2a", b, fmt_print(b, sizeof b, "%d|%4d|%03u|%x", -5, 7, 7u, 42u));
	expect_format("ab   |   ab|ab", b, fmt_print(b, sizeof b, "%-5s|%5s|%.*s", "ab", "ab", 2, "abc"));
	expect_format("-9223372036854775808", b, fmt_print(b, sizeof b, "%lld", (long long)INT64_MIN));
	expect_format("-007", b, fmt_print(b, sizeof b, "%04d", -7));
	expect_format("100%", b, fmt_print(b, sizeof b, "%d%%", 100));
	assert_int_equal(fmt_print(b, 4, "%s", "abcdef"), 6);
	assert_string_equal(b, "abc");
	assert_int_equal(fmt_print(NULL, 0, "%zu", (size_t)12345), 5);
}

static void
test_buf(void **state)
{
	struct buf b = {0};

	(void)state;
	for (int i = 0; i < 1000; i++)
		buf_print(&b, "%d,", i);
	assert_int_equal(b.len, 10 * 2 + 90 * 3 + 900 * 4);
	assert_true(str_starts(buf_tail(&b, b.len - 4), STR("999,")));
	assert_int_equal(strlen(buf_cstr(&b)), b.len);
	buf_wipe(&b);
	assert_null(b.ptr);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cut_and_trim),
		cmocka_unit_test(test_case),
		cmocka_unit_test(test_number),
		cmocka_unit_test(test_cut_number),
		cmocka_unit_test(test_same),
		cmocka_unit_test(test_plain),
		cmocka_unit_test(test_printables),
		cmocka_unit_test(test_format),
		cmocka_unit_test(test_buf),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
