/* SPDX-License-Identifier: ISC */
#include "offer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

static struct offer
take(const char *words)
{
	struct offer o = {0};

	offer_add(&o, str_of(words));
	return o;
}

static void
test_keywords(void **state)
{
	static const struct {
		const char *words;
		unsigned flags;
		uint64_t size_limit;
		const char *mechanisms;
	} table[] = {
		{"PIPELINING", OFFER_PIPELINING, 0, ""},
		{"pipelining", OFFER_PIPELINING, 0, ""},
		{"  8BITMIME  ", OFFER_8BITMIME, 0, ""},
		{"STARTTLS", OFFER_STARTTLS, 0, ""},
		{"DSN", OFFER_DSN, 0, ""},
		{"SMTPUTF8", OFFER_SMTPUTF8, 0, ""},
		{"BURL imap", OFFER_BURL, 0, ""},
		{"CHUNKING", OFFER_CHUNKING, 0, ""},
		{"SIZE", OFFER_SIZE, 0, ""},
		{"SIZE 0", OFFER_SIZE, 0, ""},
		{"SIZE 10240000", OFFER_SIZE, 10240000, ""},
		{"SIZE 18446744073709551615", OFFER_SIZE, UINT64_MAX, ""},
		{"SIZE 18446744073709551616", OFFER_SIZE, 0, ""},
		{"SIZE -1", OFFER_SIZE, 0, ""},
		{"SIZE 10 MB", OFFER_SIZE, 0, ""},
		{"AUTH PLAIN LOGIN", 0, 0, "PLAIN LOGIN"},
		{"auth=login", 0, 0, "login"},
		{"AUTH", 0, 0, ""},
		{"AUTHPLAIN", 0, 0, ""},
		{"PIPELININGS", 0, 0, ""},
		{"PIPELIN", 0, 0, ""},
		{"X PIPELINING", 0, 0, ""},
		{"", 0, 0, ""},
	};

	(void)state;
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		struct offer o = take(table[i].words);
		if (o.flags != table[i].flags || o.size_limit != table[i].size_limit ||
		    strcmp(o.mechanisms, table[i].mechanisms))
			fail_msg("\"%s\"", table[i].words);
	}
}

/* The longest list that there is room for, in one line or in two; a list is never cut. */
static void
test_long_lists(void **state)
{
	char line[512];
	struct offer o = {0};
	size_t fits = sizeof o.mechanisms - 2;

	(void)state;
	memset(line, 'A', sizeof line);
	memcpy(line, "AUTH ", 5);
	offer_add(&o, (struct str){line, 5 + fits + 1});
	assert_string_equal(o.mechanisms, "");
	offer_add(&o, (struct str){line, 5 + fits});
	assert_int_equal(strlen(o.mechanisms), fits);
	offer_add(&o, STR("AUTH=B"));
	assert_int_equal(strlen(o.mechanisms), fits);

	o = take("AUTH PLAIN");
	offer_add(&o, STR("AUTH=LOGIN"));
	assert_string_equal(o.mechanisms, "PLAIN LOGIN");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_keywords),
		cmocka_unit_test(test_long_lists),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
