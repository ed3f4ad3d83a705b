/* SPDX-License-Identifier: ISC */
#include "local.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

static void
test_targets(void **state)
{
	static const struct {
		const char *line;
		enum journal_kind kind;
		unsigned part;
		const char *address;
	} cases[] = {
		{"mailbox\n", JOURNAL_MAILBOX, 0, ""},
		{"mailbox", JOURNAL_MAILBOX, 0, ""},
		{"address joe\n", JOURNAL_ADDRESS, 0, "joe"},
		{"address joe@example.org\n", JOURNAL_ADDRESS, 0, "joe@example.org"},
		{"address \"j o e\"@example.org\n", JOURNAL_ADDRESS, 0, "\"j o e\"@example.org"},
		{"left root\n", JOURNAL_ALIAS, 0, "root"},
		{"part 1 robot\n", JOURNAL_ALIAS_PART, 1, "robot"},
		{"part 4294967295 \"a robot\"\n", JOURNAL_ALIAS_PART, 4294967295, "\"a robot\""},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct str payload = str_of(cases[i].line);
		struct local_target t;
		assert_int_equal(local_parse_target(&payload, &t), 0);
		assert_int_equal(t.kind, cases[i].kind);
		assert_int_equal(t.part, cases[i].part);
		assert_true(str_eq(t.address, str_of(cases[i].address)));
		assert_int_equal(payload.len, 0);
	}
}

/* One line is taken at a time. */
static void
test_lines(void **state)
{
	struct str payload = STR("address joe\nmailbox\nbad\npart 2 robot\n");
	struct local_target t;

	(void)state;
	assert_int_equal(local_parse_target(&payload, &t), 0);
	assert_int_equal(t.kind, JOURNAL_ADDRESS);
	assert_int_equal(local_parse_target(&payload, &t), 0);
	assert_int_equal(t.kind, JOURNAL_MAILBOX);
	assert_int_equal(t.address.len, 0);
	assert_int_equal(local_parse_target(&payload, &t), -1);
	assert_int_equal(local_parse_target(&payload, &t), 0);
	assert_int_equal(t.part, 2);
	assert_int_equal(payload.len, 0);
}

/* A delivery process speaks for a user, who may have taken it over. */
static void
test_malformed(void **state)
{
	static const char *const lines[] = {
		"", "\n", " \n", "mailbox x\n", "Mailbox\n", "mailboxes\n", "address\n",
		"address \n", "address  joe\n", "address a b\n", "address joe \n",
		"address <joe>\n", "address a@@b\n", "address /etc/x y\n",
		"address joe\r\n", "address \x01\n", "left\n", "left a b\n", "part\n", "part 1\n",
		"part 1 \n", "part joe\n", "part 0 joe\n", "part -1 joe\n", "part 4294967296 joe\n",
		"part 4294967297 joe\n", "part 18446744073709551617 joe\n", "part 1x joe\n",
		"part 1 a b\n", "part  1 joe\n", "forward-part 1 joe\n", "alias root\n",
	};

	(void)state;
	for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
		struct str payload = str_of(lines[i]);
		struct local_target t;
		if (local_parse_target(&payload, &t) == 0)
			fail_msg("taken: %s", lines[i]);
		assert_int_equal(payload.len, 0);
	}
}

/* Nor may a NUL hide what stands behind it. */
static void
test_nul(void **state)
{
	struct str payload = {"address joe\0@x\n", 15};
	struct local_target t;

	(void)state;
	assert_int_equal(local_parse_target(&payload, &t), -1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_targets),
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_malformed),
		cmocka_unit_test(test_nul),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
