/* SPDX-License-Identifier: ISC */
#include "fmt.h"

#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

/* As the C library has it. */
#define SAME(...) do { \
	char want[80], got[80]; \
	int len = snprintf(want, sizeof want, __VA_ARGS__); \
	assert_int_equal(fmt_print(got, sizeof got, __VA_ARGS__), len); \
	assert_string_equal(got, want); \
} while (0)

static void
test_as_printf(void **state)
{
	(void)state;
	SAME("%s", "");
	SAME("a%%b%c%s|", 'x', "words");
	SAME("%-6s|%6s|%2s|", "abc", "abc", "abc");
	SAME("%.*s|%.*s|%.*s|", 2, "abc", 9, "abc", 0, "abc");
	SAME("%.2s|%.0s|%.s|%5.1s|%-5.1s|", "abc", "abc", "abc", "abc", "abc");
	SAME("%d %d %d %d", 0, 7, INT_MAX, INT_MIN);
	SAME("%u %x %X", UINT_MAX, 0xabcdefu, 0xabcdefu);
	SAME("%ld %lu %lx", LONG_MIN, ULONG_MAX, 0xfedcba9876ul);
	SAME("%lld %llu %llX", LLONG_MIN, ULLONG_MAX, ULLONG_MAX);
	SAME("%zu %zx", SIZE_MAX, SIZE_MAX);
	SAME("%jd %ju", INTMAX_MIN, UINTMAX_MAX);
	SAME("%5d|%-5d|%05d|%5d|%-5d|%05d|%03d", 42, 42, 42, -42, -42, -42, -4200);
	SAME("%02x:%08lx", 10u, 0xbeeful);
}

static void
test_edges(void **state)
{
	const char *volatile nothing = NULL;
	const char *odd = "%q %5y %";
	char got[8];
	int below = -1;

	(void)state;
	assert_int_equal(fmt_print(got, sizeof got, "%s", nothing), 6);
	assert_string_equal(got, "(none)");
	assert_int_equal(fmt_print(got, sizeof got, "%.*s", below, "abc"), 3);
	assert_string_equal(got, "abc");
	/* Too long: the length all the same, and a NUL. */
	assert_int_equal(fmt_print(got, sizeof got, "%s", "12345678"), 8);
	assert_string_equal(got, "1234567");
	assert_int_equal(fmt_print(got, 1, "%010d", 1), 10);
	assert_string_equal(got, "");
	assert_int_equal(fmt_print(NULL, 0, "abc"), 3);
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
#pragma GCC diagnostic ignored "-Wformat-security"
	char text[16];
	assert_int_equal(fmt_print(text, sizeof text, odd), 8);
	assert_string_equal(text, odd);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_as_printf),
		cmocka_unit_test(test_edges),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
