/* SPDX-License-Identifier: ISC */
/* What buf gives out before the heap: elsewhere the unit tests do without, for the sanitizers'
 * sake. */
#undef FIRST_MEMORY
#define FIRST_MEMORY 4096
#include "../../core/buf.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

enum { PIECES = 24, ROUNDS = 200000 };

static uint32_t seed = 20261122;

static uint32_t
dice(uint32_t sides)
{
	seed ^= seed << 13;
	seed ^= seed >> 17;
	seed ^= seed << 5;
	return seed % sides;
}

static struct {
	unsigned char *bytes;
	size_t len;
	unsigned char mark;
} pieces[PIECES];

static void
check(size_t n)
{
	for (size_t i = 0; i < pieces[n].len; i++)
		assert_int_equal(pieces[n].bytes[i], pieces[n].mark);
	assert_int_equal((uintptr_t)pieces[n].bytes % _Alignof(max_align_t), 0);
}

/* Each keeps what is in it, whatever becomes of the others. */
static void
test_pieces(void **state)
{
	unsigned first_ones = 0, grown = 0;

	(void)state;
	for (unsigned round = 0; round < ROUNDS; round++) {
		size_t n = dice(PIECES), len = dice(dice(8) ? 100 : 3000);
		size_t kept = len < pieces[n].len ? len : pieces[n].len;
		if (pieces[n].bytes && dice(3) == 0) {
			check(n);
			buf_release(pieces[n].bytes);
			pieces[n].bytes = NULL;
			pieces[n].len = 0;
			continue;
		}
		grown += pieces[n].bytes && len > pieces[n].len && is_first(pieces[n].bytes);
		pieces[n].bytes = buf_array(pieces[n].bytes, len, 1);
		for (size_t i = 0; i < kept; i++)
			assert_int_equal(pieces[n].bytes[i], pieces[n].mark);
		pieces[n].len = len;
		pieces[n].mark = (unsigned char)round;
		memset(pieces[n].bytes, pieces[n].mark, len);
		first_ones += is_first(pieces[n].bytes);
		check(dice(PIECES));
	}
	assert_true(first_ones > ROUNDS / 100 && first_ones < ROUNDS);
	assert_true(grown > 100);
	for (size_t n = 0; n < PIECES; n++) {
		check(n);
		buf_release(pieces[n].bytes);
	}
	assert_ptr_equal(first.next, buf_space);
	assert_null(first.top);
}

/* All of it can be had, and not a byte more. */
static void
test_the_end(void **state)
{
	char *all, *one;

	(void)state;
	for (size_t len = FIRST_MEMORY - 64; len < FIRST_MEMORY + 64; len++) {
		all = buf_array(NULL, len, 1);
		memset(all, 1, len);
		one = buf_array(NULL, 1, 1);
		assert_true(first.next <= buf_space + sizeof buf_space);
		assert_true(!is_first(all) || all + len <= buf_space + sizeof buf_space);
		buf_release(all);
		buf_release(one);
		assert_ptr_equal(first.next, buf_space);
	}
	buf_release(NULL);
}

/* What is on top grows where it is, and what has been given back below it is used again. */
static void
test_top(void **state)
{
	(void)state;
	char *low = buf_array(NULL, 100, 1), *top = buf_array(NULL, 100, 1);
	memset(top, 7, 100);
	assert_ptr_equal(buf_array(top, 1000, 1), top);
	buf_release(low);
	char *lower = buf_array(top, 900, 1);
	assert_true(lower <= low && lower >= buf_space);
	for (size_t i = 0; i < 100; i++)
		assert_int_equal(lower[i], 7);
	buf_release(lower);
	assert_ptr_equal(first.next, buf_space);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pieces),
		cmocka_unit_test(test_the_end),
		cmocka_unit_test(test_top),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
