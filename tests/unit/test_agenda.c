/* SPDX-License-Identifier: ISC */
#include "agenda.h"
#include "fmt.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

enum { MANY = 5000 };

static struct str
id_of(unsigned n)
{
	static char id[SPOOL_ID + 1];

	fmt_print(id, sizeof id, "%016u", n);
	return str_of(id);
}

/* As many as were counted, ascending. */
static size_t
count(const struct agenda *a)
{
	const struct agenda_item *last = NULL;
	size_t n = 0;

	for (size_t i = 0; i < a->count; i++) {
		const struct agenda_item *item = &a->items[i];
		assert_true(!last || memcmp(last->id, item->id, SPOOL_ID) < 0);
		last = item;
		n += !item->dropped;
	}
	return n;
}

static void
test_add_find_drop(void **state)
{
	struct agenda a = {0};
	char there[MANY] = {0};
	size_t left = 0;

	(void)state;
	for (unsigned n = 0; n < 4 * MANY; n++) {
		unsigned number = n * 7919 % MANY;
		struct str id = id_of(number);
		if (n % 3 == 2) {
			agenda_drop(&a, id);
			left -= (size_t)there[number];
			there[number] = 0;
			assert_null(agenda_find(&a, id));
		} else {
			struct agenda_item *item = agenda_add(&a, id);
			assert_memory_equal(item->id, id.ptr, SPOOL_ID);
			/* One that was dropped comes back as a new one. */
			assert_int_equal(item->due, there[number] ? number : 0);
			assert_false(item->dropped);
			item->due = number;
			left += !there[number];
			there[number] = 1;
			assert_ptr_equal(agenda_find(&a, id), item);
		}
		if (n % 97 == 0)
			agenda_tidy(&a);
		if (n % 1000 == 0)
			assert_int_equal(count(&a), left);
	}
	assert_int_equal(agenda_live(&a), left);
	for (unsigned n = 0; n < MANY; n++)
		agenda_drop(&a, id_of(n));
	assert_int_equal(agenda_live(&a), 0);
	assert_true(agenda_next_due(&a, 1000000) == INT64_MAX);
	agenda_tidy(&a);
	assert_int_equal(a.count, 0);
	agenda_free(&a);
}

static void
test_due(void **state)
{
	struct agenda a = {0};
	struct agenda_item *item;

	(void)state;
	assert_true(agenda_next_due(&a, 0) == INT64_MAX);
	agenda_add(&a, id_of(1))->due = 300;
	agenda_add(&a, id_of(2))->due = 200;
	item = agenda_add(&a, id_of(3));
	item->due = 100;
	item->busy = 5;
	assert_int_equal(agenda_next_due(&a, 50), 100);
	assert_false(agenda_is_due(item, 99));
	assert_true(agenda_is_due(item, 100));
	/* Urgent, but somebody else has it. */
	item->urgent = true;
	assert_int_equal(agenda_due(item), 100);
	item->busy = 0;
	assert_true(agenda_is_due(item, 0));
	item->active = true;
	assert_int_equal(agenda_next_due(&a, 50), 200);
	item->active = false;
	item->refused = true;
	assert_int_equal(agenda_next_due(&a, 50), 200);
	assert_int_equal(agenda_live(&a), 2);
	item->refused = false;
	item->busy = 5;
	agenda_drop(&a, id_of(3));
	assert_int_equal(item->busy, 0);
	assert_int_equal(agenda_next_due(&a, 50), 200);
	assert_int_equal(agenda_live(&a), 2);
	agenda_free(&a);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_add_find_drop),
		cmocka_unit_test(test_due),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
