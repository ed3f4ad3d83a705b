/* SPDX-License-Identifier: ISC */
#include "date.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <time.h>
#include <cmocka.h>

typedef void printer(int64_t, struct buf *);

static void
expect(printer *print, int64_t value, const char *want)
{
	struct buf b = {0};

	print(value, &b);
	assert_string_equal(buf_cstr(&b), want);
	buf_free(&b);
}

static void
test_rfc5322(void **state)
{
	static const struct {
		int64_t wall;
		const char *text;
	} cases[] = {
		{0, "Thu, 01 Jan 1970 00:00:00 +0000"},
		{-1, "Wed, 31 Dec 1969 23:59:59 +0000"},
		{951782400, "Tue, 29 Feb 2000 00:00:00 +0000"},
		{951868799, "Tue, 29 Feb 2000 23:59:59 +0000"},
		{951868800, "Wed, 01 Mar 2000 00:00:00 +0000"},
		{1709164800, "Thu, 29 Feb 2024 00:00:00 +0000"},
		{2147483648, "Tue, 19 Jan 2038 03:14:08 +0000"},
		{3471292799, "Sun, 31 Dec 2079 23:59:59 +0000"},
		{3471292800, "Mon, 01 Jan 2080 00:00:00 +0000"},
		{4107542399, "Sun, 28 Feb 2100 23:59:59 +0000"},
		{4107542400, "Mon, 01 Mar 2100 00:00:00 +0000"},
		{-2203891201, "Wed, 28 Feb 1900 23:59:59 +0000"},
		{-2203891200, "Thu, 01 Mar 1900 00:00:00 +0000"},
		{253402300799, "Fri, 31 Dec 9999 23:59:59 +0000"},
		{253402300800, "Sat, 01 Jan 10000 00:00:00 +0000"},
		{-62135596800, "Mon, 01 Jan 0001 00:00:00 +0000"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
		expect(date_print, cases[i].wall, cases[i].text);
}

static void
test_other_forms(void **state)
{
	(void)state;
	expect(date_print_mbox, 0, "Thu Jan  1 00:00:00 1970");
	expect(date_print_mbox, 1795341234, "Sun Nov 22 09:53:54 2026");
	expect(date_print_iso, 0, "1970-01-01 00:00:00");
	expect(date_print_iso, 1795341234, "2026-11-22 09:53:54");
	/* The ends of the type neither overflow nor stop us. */
	expect(date_print_iso, INT64_MAX, "292277026596-12-04 15:30:07");
	expect(date_print_iso, INT64_MIN, "-292277022657-01-27 08:29:52");
}

/* Every day of 800 years as the C library has it. */
static void
test_calendar(void **state)
{
	char want[64];

	(void)state;
	for (int64_t day = -146097; day < 146097; day++) {
		time_t t = day * 86400 + 86399 - (day & 1023);
		struct tm tm;
		assert_non_null(gmtime_r(&t, &tm));
		strftime(want, sizeof want, "%a, %d %b %Y %H:%M:%S +0000", &tm);
		expect(date_print, t, want);
	}
}

static void
test_interval(void **state)
{
	static const struct {
		int64_t seconds;
		const char *text;
	} cases[] = {
		{-5, "0s"}, {0, "0s"}, {45, "45s"}, {59, "59s"}, {60, "1m"}, {779, "12m"},
		{3599, "59m"}, {3600, "1h"}, {12000, "3h20m"}, {86399, "23h59m"}, {86400, "1d"},
		{447000, "5d4h"}, {432000 + 3599, "5d"}, {INT64_MAX, "106751991167300d15h"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
		expect(date_print_interval, cases[i].seconds, cases[i].text);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rfc5322),
		cmocka_unit_test(test_other_forms),
		cmocka_unit_test(test_calendar),
		cmocka_unit_test(test_interval),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
