/* SPDX-License-Identifier: ISC */
#include "rr.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

/* A copy of just these bytes on the heap, so that a read behind them is seen. */
static struct str
exact(struct str s)
{
	char *copy = malloc(s.len);

	memmove(copy, s.ptr, s.len);
	return (struct str){copy, s.len};
}

static void
release(struct str s)
{
	free((char *)s.ptr);
}

/* Query 0x1234 for the A records of "m.test". */
static struct str
ask_m_test(unsigned char query[RR_QUERY])
{
	return (struct str){(char *)query, rr_query(query, 0x1234, "m.test", RR_A, false)};
}

#define QUESTION "\1m\4test\0\0\1\0\1"
#define OK "\x12\x34\x81\x80\0\1"
#define A_FIXED "\0\1\0\1\0\0\0\x3c\0\4"

static void
test_names(void **state)
{
	static const struct { const char *text, *name; } rows[] = {
		{"Mail.Example.ORG.", "mail.example.org"},
		{"box", "box"},
		{"_dmarc.x-1", "_dmarc.x-1"},
		{"", NULL}, {".", NULL}, {"a..b", NULL}, {".a", NULL}, {"a..", NULL},
		{"a b", NULL}, {"a\tb", NULL}, {"b\xc3\xbc" "cher.de", NULL}, {"a\x7f", NULL},
	};
	char name[RR_NAME], label[64 + 1], longest[256];

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		int got = rr_name(str_of(rows[i].text), name);
		assert_int_equal(got, rows[i].name ? 0 : -1);
		if (rows[i].name)
			assert_string_equal(name, rows[i].name);
	}
	assert_int_equal(rr_name((struct str){"a\0b", 3}, name), -1);
	memset(label, 'x', sizeof label);
	assert_int_equal(rr_name((struct str){label, 63}, name), 0);
	assert_int_equal(rr_name((struct str){label, 64}, name), -1);
	for (size_t i = 0; i < sizeof longest; i++)
		longest[i] = i % 2 ? '.' : 'y';
	assert_int_equal(rr_name((struct str){longest, 253}, name), 0);
	assert_int_equal(strlen(name), 253);
	assert_int_equal(rr_name((struct str){longest, 255}, name), -1);
}

static void
test_query(void **state)
{
	static const char plain[] = "\x12\x34\1\0\0\1\0\0\0\0\0\0" QUESTION;
	static const char edns[] = "\x12\x34\1\0\0\1\0\0\0\0\0\1" QUESTION
				   "\0\0\x29\4\xd0\0\0\0\0\0\0";
	unsigned char query[RR_QUERY];
	char name[RR_NAME], longest[256];

	(void)state;
	assert_int_equal(rr_query(query, 0x1234, "m.test", RR_A, false), sizeof plain - 1);
	assert_memory_equal(query, plain, sizeof plain - 1);
	assert_int_equal(rr_query(query, 0x1234, "m.test", RR_A, true), sizeof edns - 1);
	assert_memory_equal(query, edns, sizeof edns - 1);
	for (size_t i = 0; i < sizeof longest; i++)
		longest[i] = i % 2 ? '.' : 'y';
	assert_int_equal(rr_name((struct str){longest, 253}, name), 0);
	assert_int_equal(rr_query(query, 0, name, RR_MX, true), RR_QUERY);
}

static void
expect_fate(struct str answer, enum rr_fate fate)
{
	unsigned char query[RR_QUERY];
	struct str copy = exact(answer);

	assert_int_equal(rr_judge(copy, ask_m_test(query)), fate);
	release(copy);
}

static void
test_judge(void **state)
{
	static const struct { struct str answer; enum rr_fate fate; } rows[] = {
		{STR(OK "\0\1\0\0\0\0" QUESTION "\xc0\x0c" A_FIXED "\1\2\3\4"), RR_ANSWER},
		{STR(OK "\0\0\0\0\0\0" QUESTION), RR_ANSWER},
		{STR(OK "\0\0\0\0\0\0" "\1M\4tEST\0\0\1\0\1"), RR_ANSWER},
		{STR("\x12\x34\x81\x83\0\1\0\0\0\0\0\0" QUESTION), RR_NO_NAME},
		{STR("\x12\x34\x81\x82\0\1\0\0\0\0\0\0" QUESTION), RR_FAILED},
		{STR("\x12\x34\x81\x85\0\1\0\0\0\0\0\0" QUESTION), RR_FAILED},
		{STR("\x12\x34\x83\x80\0\1\0\0\0\0\0\0" QUESTION), RR_TRUNCATED},
		/* Neither recursion nor authority: a referral is no answer. */
		{STR("\x12\x34\x81\0\0\1\0\0\0\0\0\0" QUESTION), RR_FAILED},
		{STR("\x12\x34\x84\0\0\1\0\0\0\0\0\0" QUESTION), RR_ANSWER},
		/* Another id, question, type, number of questions; a query; an opcode. */
		{STR("\x12\x35\x81\x80\0\1\0\0\0\0\0\0" QUESTION), RR_SILENT},
		{STR(OK "\0\0\0\0\0\0" "\1n\4test\0\0\1\0\1"), RR_SILENT},
		{STR(OK "\0\0\0\0\0\0" "\1m\4test\0\0\x1c\0\1"), RR_SILENT},
		{STR("\x12\x34\x81\x80\0\2\0\0\0\0\0\0" QUESTION), RR_SILENT},
		{STR("\x12\x34\x81\x80\0\0\0\0\0\0\0\0"), RR_SILENT},
		{STR("\x12\x34\1\x80\0\1\0\0\0\0\0\0" QUESTION), RR_SILENT},
		{STR("\x12\x34\x91\x80\0\1\0\0\0\0\0\0" QUESTION), RR_SILENT},
		{STR(""), RR_SILENT},
		/* Fewer records than counted; an address too short; data beyond the end. */
		{STR(OK "\0\2\0\0\0\0" QUESTION "\xc0\x0c" A_FIXED "\1\2\3\4"), RR_FAILED},
		{STR(OK "\0\1\0\0\0\0" QUESTION "\xc0\x0c\0\1\0\1\0\0\0\0\0\3\1\2\3"), RR_FAILED},
		{STR(OK "\0\1\0\0\0\0" QUESTION "\xc0\x0c" A_FIXED "\1\2\3"), RR_FAILED},
		/* An owner that the end cuts. */
		{STR(OK "\0\1\0\0\0\0" QUESTION "\1"), RR_FAILED},
		{STR(OK "\0\1\0\0\0\0" QUESTION "\3ab"), RR_FAILED},
		{STR(OK "\0\1\0\0\0\0" QUESTION "\xc0"), RR_FAILED},
		/* Names that point to themselves, forward, at each other; a bad label type. */
		{STR(OK "\0\1\0\0\0\0" QUESTION "\xc0\x18" A_FIXED "\1\2\3\4"), RR_FAILED},
		{STR(OK "\0\1\0\0\0\0" QUESTION "\xc0\x20" A_FIXED "\1\2\3\4"), RR_FAILED},
		{STR(OK "\0\1\0\0\0\0" QUESTION "\1x\xc0\x18" A_FIXED "\1\2\3\4"), RR_FAILED},
		{STR(OK "\0\1\0\0\0\0" QUESTION "\x40" "x\0" A_FIXED "\1\2\3\4"), RR_FAILED},
		/* MX: its host goes beyond its data; is missing. */
		{STR(OK "\0\1\0\0\0\0" QUESTION "\xc0\x0c\0\x0f\0\1\0\0\0\0\0\4\0\5\1a\0"), RR_FAILED},
		{STR(OK "\0\1\0\0\0\0" QUESTION "\xc0\x0c\0\x0f\0\1\0\0\0\0\0\1\0"), RR_FAILED},
		{STR(OK "\0\1\0\0\0\0" QUESTION "\xc0\x0c\0\x0f\0\1\0\0\0\0\0\2\0\5"), RR_FAILED},
		/* What is not understood is passed over. */
		{STR(OK "\0\1\0\0\0\0" QUESTION "\xc0\x0c\0\x10\0\1\0\0\0\0\0\2\1x"), RR_ANSWER},
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		expect_fate(rows[i].answer, rows[i].fate);
}

/* However an answer is cut or one byte of it changed: no crash, and no ANSWER from a cut. */
static void
test_hostile(void **state)
{
	struct str whole = STR(OK "\0\3\0\0\0\0" QUESTION
			       "\xc0\x0c\0\5\0\1\0\0\0\0\0\4\1n\xc0\x0e"
			       "\xc0\x24\0\1\0\1\0\0\0\0\0\4\1\2\3\4"
			       "\xc0\x24\0\x0f\0\1\0\0\0\0\0\6\0\1\1a\xc0\x0e");
	unsigned char query[RR_QUERY];
	struct str asked = ask_m_test(query);
	char name[RR_NAME];

	(void)state;
	assert_int_equal(rr_judge(whole, asked), RR_ANSWER);
	for (size_t len = 0; len < whole.len; len++) {
		struct str copy = exact(str_upto(whole, len));
		assert_true(rr_judge(copy, asked) != RR_ANSWER);
		release(copy);
	}
	for (size_t i = 0; i < whole.len; i++)
		for (int bit = 0; bit < 8; bit++) {
			struct str copy = exact(whole);
			((char *)copy.ptr)[i] ^= (char)(1 << bit);
			if (rr_judge(copy, asked) == RR_ANSWER) {
				memcpy(name, "m.test", 7);
				rr_follow(copy, name);
				assert_true(strlen(name) < RR_NAME);
			}
			release(copy);
		}
}

static void
test_records(void **state)
{
	/* m.test is an alias of N.test, which has an address; so it has in another class. */
	struct str answer = STR(OK "\0\3\0\0\0\0" QUESTION
				"\xc0\x0c\0\5\0\1\0\0\0\0\0\4\1N\xc0\x0e"
				"\1n\4TEST\0\0\1\0\3\0\0\0\0\0\4\1\2\3\4"
				"\xc0\x24" A_FIXED "\5\6\7\x08");
	char name[RR_NAME] = "m.test";
	struct rr record;

	(void)state;
	struct rr_walk w = rr_start(answer);
	assert_int_equal(rr_next(&w, &record), 1);
	assert_int_equal(record.type, RR_CNAME);
	assert_string_equal(record.owner, "m.test");
	assert_string_equal(record.host, "n.test");
	assert_true(rr_follow(answer, name));
	assert_string_equal(name, "n.test");
	assert_false(rr_follow(answer, name));

	w = rr_start(answer);
	assert_true(rr_find(&w, "n.test", RR_A, &record));
	assert_true(str_eq(record.address, STR("\5\6\7\x08")));
	assert_false(rr_find(&w, "n.test", RR_A, &record));
}

static void
test_odd_bytes(void **state)
{
	struct str answer = STR(OK "\0\2\0\0\0\0" QUESTION
				"\xc0\x0c\0\x0f\0\1\0\0\0\0\0\x09\1\2\4A.\x07\xff\xc0\x0e"
				"\xc0\x0c\0\x0f\0\1\0\0\0\0\0\3\0\0\0");
	struct rr_walk w = rr_start(answer);
	struct rr record;

	(void)state;
	assert_true(rr_find(&w, "m.test", RR_MX, &record));
	assert_int_equal(record.preference, 0x102);
	assert_string_equal(record.host, "a???.test");
	assert_true(rr_find(&w, "m.test", RR_MX, &record));
	assert_string_equal(record.host, "");
	assert_int_equal(rr_next(&w, &record), 0);
}

/* A name of 255 bytes is read, one of 256 is not. */
static void
test_longest_name(void **state)
{
	for (size_t last = 61; last <= 62; last++) {
		unsigned char query[RR_QUERY];
		char msg[512] = OK "\0\1\0\0\0\0" QUESTION;
		size_t n = sizeof(OK "\0\1\0\0\0\0" QUESTION) - 1;
		for (int i = 0; i < 4; i++) {
			size_t len = i < 3 ? 63 : last;
			msg[n++] = (char)len;
			memset(msg + n, 'x', len);
			n += len;
		}
		n++;
		memcpy(msg + n, A_FIXED "\1\2\3\4", 14);
		enum rr_fate fate = rr_judge((struct str){msg, n + 14}, ask_m_test(query));
		assert_int_equal(fate, last == 61 ? RR_ANSWER : RR_FAILED);
	}
	(void)state;
}

static void
test_alias_loop(void **state)
{
	struct str answer = STR(OK "\0\2\0\0\0\0" QUESTION
				"\xc0\x0c\0\5\0\1\0\0\0\0\0\4\1n\xc0\x0e"
				"\xc0\x24\0\5\0\1\0\0\0\0\0\2\xc0\x0c");
	unsigned char query[RR_QUERY];
	char name[RR_NAME] = "m.test";

	(void)state;
	assert_int_equal(rr_judge(answer, ask_m_test(query)), RR_ANSWER);
	assert_true(rr_follow(answer, name));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_query),
		cmocka_unit_test(test_judge),
		cmocka_unit_test(test_hostile),
		cmocka_unit_test(test_records),
		cmocka_unit_test(test_odd_bytes),
		cmocka_unit_test(test_longest_name),
		cmocka_unit_test(test_alias_loop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
