/* SPDX-License-Identifier: ISC */
#include "room.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static void
test_exact(void **state)
{
	char bytes[] = "......";
	struct room r = {bytes, 0, 5};

	(void)state;
	room_add(&r, "ab", 2);
	room_add(&r, NULL, 0);
	room_str(&r, STR("cde"));
	assert_true(room_fits(&r));
	assert_true(str_eq(room_view(&r), STR("abcde")));
	assert_int_equal(bytes[5], '.');
}

/* What comes too late has no room, though it is short enough. */
static void
test_latched(void **state)
{
	char bytes[] = "......";
	struct room r = {bytes, 0, 5};

	(void)state;
	room_add(&r, "ab", 2);
	room_str(&r, STR("cdef"));
	assert_false(room_fits(&r));
	room_str(&r, STR("x"));
	room_str(&r, STR(""));
	assert_null(room_take(&r, 0));
	assert_false(room_fits(&r));
	assert_string_equal(bytes, "ab....");
}

static void
test_take(void **state)
{
	char bytes[] = "......";
	struct room r = {bytes, 0, 5};

	(void)state;
	assert_ptr_equal(room_take(&r, 3), bytes);
	assert_ptr_equal(room_take(&r, 2), bytes + 3);
	assert_true(room_fits(&r));
	assert_null(room_take(&r, SIZE_MAX));
	assert_false(room_fits(&r));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_exact),
		cmocka_unit_test(test_latched),
		cmocka_unit_test(test_take),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
