/* SPDX-License-Identifier: ISC */
#include "stamp.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static void
test_steady(void **state)
{
	static const struct {
		struct stamp a, b;
		bool is;
	} cases[] = {
		{{1000, 5000, 7, 1}, {1000, 5000, 7, 1}, true},
		{{1000, 5000, 7, 1}, {1060, 65000, 7, 1}, true},
		{{1000, 5000, 7, 0}, {1060, 65000, 7, 1}, true},
		/* Corrected a little, set, set back. */
		{{1000, 5000, 7, 1}, {1659, 65000, 7, 1}, true},
		{{1000, 5000, 7, 1}, {461, 65000, 7, 1}, true},
		{{1000, 5000, 7, 1}, {1660, 65000, 7, 1}, false},
		{{1000, 5000, 7, 1}, {460, 65000, 7, 1}, false},
		{{20, 5000, 7, 0}, {1795341234, 65000, 7, 1}, false},
		/* Another boot, as far as is known. */
		{{1000, 5000, 7, 1}, {1060, 65000, 8, 1}, false},
		{{1000, 5000, 0, 1}, {1060, 65000, 0, 1}, true},
		{{1000, 5000, 7, 1}, {1060, 65000, 0, 1}, true},
		{{1000, 65000, 0, 1}, {1060, 5000, 0, 1}, false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		if (stamp_is_steady(&cases[i].a, &cases[i].b) != cases[i].is)
			fail_msg("case %zu", i);
}

/* What is left of text behind a stamp, or NULL. */
static const char *
parse(const char *text, struct stamp *s)
{
	struct str in = str_of(text);

	if (stamp_parse(&in, s) == 0)
		return in.ptr;
	assert_ptr_equal(in.ptr, text);
	return NULL;
}

static void
test_parse(void **state)
{
	static const char *const bad[] = {
		"", "1", "1 2", "1 2 ", "1 2 5f3a9c0d11e2b3a4", "1 2 5f3a9c0d11e2b3a4 ",
		"1 2 5f3a9c0d11e2b3a4 2", "1 2 5f3a9c0d11e2b3a4 /", "1 2 5f3a9c0d11e2b3a4 01",
		"1 2 5f3a9c0d11e2b3a4 10", "1 2 5f3a9c0d11e2b3a4  1", "1 2 5f3a9c0d11e2b3a 1",
		"1 2 5f3a9c0d11e2b3a41 1", "1 2 5f3a9c0d11e2b3a4,1", "1 2 5f3a9c0d11e2b3aG 1",
		"1 2 5f3a9c0d11e2b3aA 1", "1 2 5f3a9c0d11e2b3a: 1", "1 2 5f3a9c0d11e2b3a` 1",
		"1 2 5f3a9c0d11e2b3a/ 1", "1 2 5f3a9c0d11e2b3ag 1", "1  2 5f3a9c0d11e2b3a4 1",
		" 1 2 5f3a9c0d11e2b3a4 1", "- 2 5f3a9c0d11e2b3a4 1", "--1 2 5f3a9c0d11e2b3a4 1",
		"+1 2 5f3a9c0d11e2b3a4 1", "1 x 5f3a9c0d11e2b3a4 1",
		"2305843009213693952 2 5f3a9c0d11e2b3a4 1", "1 -2305843009213693952 5f3a9c0d11e2b3a4 1",
		"18446744073709551617 2 5f3a9c0d11e2b3a4 1",
	};
	struct stamp s;

	(void)state;
	assert_string_equal(parse("1795341234 86400123 5f3a9c0d11e2b3a4 1 rest", &s), "rest");
	assert_true(s.wall == 1795341234 && s.boot == 86400123);
	assert_true(s.boot_id == 0x5f3a9c0d11e2b3a4 && s.believable);
	assert_string_equal(parse("-2305843009213693951 2305843009213693951 00000000000000ff 0", &s), "");
	assert_true(s.wall == -(INT64_MAX / 4) && s.boot == INT64_MAX / 4);
	assert_true(s.boot_id == 255 && !s.believable);
	assert_string_equal(parse("-0 000000000000000000000000007 0000000000000000 1  x", &s), " x");
	assert_true(s.wall == 0 && s.boot == 7 && s.boot_id == 0 && s.believable);
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		if (parse(bad[i], &s))
			fail_msg("'%s'", bad[i]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse),
		cmocka_unit_test(test_steady),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
