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

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_steady),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
