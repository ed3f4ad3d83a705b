/* SPDX-License-Identifier: ISC */
#include "trace.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#define DELIVERED_TO "Delivered-To: root@router\n"

static struct source
message(const char *head, const char *tail)
{
	return (struct source){.head = str_of(head), .fd = -1, .tail = str_of(tail)};
}

static void
test_add(void **state)
{
	static const struct { const char *sender, *want; } cases[] = {
		{"joe@example.org", "Return-Path: <joe@example.org>\n" DELIVERED_TO "A: b\n\nx"},
		{"", "Return-Path: <>\n" DELIVERED_TO "A: b\n\nx"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct source content = message("A: b\n", "\nx");
		struct buf space = {0};
		char got[100];
		size_t len = 0;
		ssize_t n;

		struct source s = trace_add(&content, str_of(cases[i].sender), STR("root@router"),
					    &space);
		assert_int_equal(source_size(&s), strlen(cases[i].want));
		while ((n = source_read(&s, got + len, sizeof got - len)) > 0)
			len += (size_t)n;
		assert_int_equal(n, 0);
		assert_int_equal(len, strlen(cases[i].want));
		assert_memory_equal(got, cases[i].want, len);
		buf_free(&space);
	}
}

static void
test_is_loop(void **state)
{
	static const struct { const char *head, *tail; bool is; } cases[] = {
		{"Subject: x\nDelivered-", "To: root@router\n\nx\n", true},
		{"delivered-to:\tRoot@router \r\n", "\nx\n", true},
		{"Delivered-To: root@router.example\nDelivered-To: joe@router\n", "\nx\n", false},
		{"Subject: x\n", "\nDelivered-To: root@router\n", false},
		{"Subject: x\r\n\r", "\nDelivered-To: root@router\n", false},
		{"X-Delivered-To: root@router\n", "\n", false},
		{"Delivered-To: ", "\n\n", false},
		{"", "", false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct source content = message(cases[i].head, cases[i].tail);
		struct outcome o = {.verdict = DELIVERED};

		assert_int_equal(trace_is_loop(&content, STR("root@router"), &o), cases[i].is);
		assert_int_equal(o.verdict, cases[i].is ? PERMFAIL : DELIVERED);
		if (cases[i].is) {
			assert_int_equal(o.subject, 4);
			assert_int_equal(o.detail, 6);
			assert_string_equal(o.text, "mail loop: root@router has had this before");
		}
	}
}

static void
test_ancestors(void **state)
{
	struct source content = message(DELIVERED_TO "A: b\n", "\nx");
	struct outcome o;

	(void)state;
	assert_true(trace_is_loop(&content, STR("root@router"), &o));
	content.pos = strlen(DELIVERED_TO);
	assert_false(trace_is_loop(&content, STR("root@router"), &o));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_add),
		cmocka_unit_test(test_is_loop),
		cmocka_unit_test(test_ancestors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
