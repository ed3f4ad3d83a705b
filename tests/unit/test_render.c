/* SPDX-License-Identifier: ISC */
#include "codec.h"
#include "render.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#define ID "0e5vq3kg2ab9c1de"
#define DATE "Sun, 22 Nov 2026 09:53:54 +0000"
#define RECEIVED "Received: by router.example (mtabox) id " ID ";\n\t" DATE "\n"

static const struct journal facts = {
	.has_facts = true,
	.date = 1795341234,
	.message_id = {"unique@router.example", 21},
	.host = {"router.example", 14},
};

static void
expect_fields(const struct envelope *e, const char *want)
{
	struct buf b = {0};

	render_fields(e, &facts, STR(ID), &b);
	assert_string_equal(buf_cstr(&b), want);
	buf_free(&b);
}

static void
test_only_what_is_missing(void **state)
{
	struct envelope e = {
		.header = {.present = true, .date = true, .message_id = true, .from = true},
		.sender = STR("alice@a.example"),
	};

	(void)state;
	expect_fields(&e, RECEIVED);
	e.header.date = false;
	expect_fields(&e, RECEIVED "Date: " DATE "\n");
	e.header.from = false;
	expect_fields(&e, RECEIVED "Date: " DATE "\nFrom: alice@a.example\n");
	e.header.date = true;
	e.header.message_id = false;
	expect_fields(&e, RECEIVED "From: alice@a.example\n"
				   "Message-ID: <unique@router.example>\n");
	/* No header: the body stays the body. */
	e.header = (struct header_facts){0};
	expect_fields(&e, RECEIVED "Date: " DATE "\nFrom: alice@a.example\n"
				   "Message-ID: <unique@router.example>\n\n");
}

static void
test_from(void **state)
{
	static const struct {
		const char *name, *sender, *from;
	} cases[] = {
		{"", "", "MAILER-DAEMON@router.example"},
		{"", "joe", "joe@router.example"},
		{"", "\"j d\"", "\"j d\"@router.example"},
		{"Joe Doe", "joe", "Joe Doe <joe@router.example>"},
		{"  Joe ", "joe@x", "Joe <joe@x>"},
		{"Doe, J.", "joe@x", "\"Doe, J.\" <joe@x>"},
		{"a \"b\" \\c", "joe@x", "\"a \\\"b\\\" \\\\c\" <joe@x>"},
		{"eve@bank.example", "joe@x", "\"eve@bank.example\" <joe@x>"},
		{"J\303\274rgen", "joe@x", "=?utf-8?B?SsO8cmdlbg==?=\n <joe@x>"},
		{"Eve\nBcc: x", "joe@x", "=?utf-8?B?RXZlCkJjYzogeA==?=\n <joe@x>"},
		{"1234567 101234567 201234567 301234567 401234567 501234567 601234", "joe@x",
		 "1234567 101234567 201234567 301234567 401234567 501234567 601234 <joe@x>"},
		{"1234567 101234567 201234567 301234567 401234567 501234567 6012345", "joe@x",
		 "=?utf-8?B?MTIzNDU2NyAxMDEyMzQ1NjcgMjAxMjM0NTY3IDMwMTIzNDU2NyA0?=\n"
		 " =?utf-8?B?MDEyMzQ1NjcgNTAxMjM0NTY3IDYwMTIzNDU=?=\n <joe@x>"},
		{"root", "", "root <MAILER-DAEMON@router.example>"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct envelope e = {
			.header = {.present = true, .date = true, .message_id = true},
			.name = str_of(cases[i].name),
			.sender = str_of(cases[i].sender),
		};
		struct buf want = {0};
		buf_print(&want, RECEIVED "From: %s\n", cases[i].from);
		expect_fields(&e, buf_cstr(&want));
		buf_free(&want);
	}
}

/* The text of the encoded-words of b, which must be whole characters in lines of 76. */
static void
decode_words(struct str in, struct buf *out)
{
	char text[64];

	while (in.len > 0) {
		struct str line = str_cut(&in, '\n');
		assert_true(line.len <= 76);
		size_t at = str_find(line, '=');
		if (at == line.len)
			continue;
		struct str word = str_from(line, at);
		assert_true(str_starts(word, STR("=?utf-8?B?")));
		assert_true(word.len <= 75);
		assert_memory_equal(word.ptr + word.len - 2, "?=", 2);
		word = str_upto(str_from(word, 10), word.len - 12);
		ptrdiff_t n = codec_unbase64(word, text, sizeof text);
		assert_true(n > 0);
		assert_int_not_equal(text[0] & 0xc0, 0x80);
		buf_add(out, text, (size_t)n);
	}
}

static void
test_long_names_fold(void **state)
{
	(void)state;
	for (size_t shift = 0; shift < 4; shift++) {
		struct buf name = {0}, got = {0}, back = {0};
		buf_add(&name, "abcd", shift);
		for (int i = 0; i < 50; i++)
			buf_puts(&name, i & 1 ? "\360\237\230\200" : "\342\202\254");
		struct envelope e = {
			.header = {.present = true, .date = true, .message_id = true},
			.name = buf_view(&name),
			.sender = STR("joe@x"),
		};
		render_fields(&e, &facts, STR(ID), &got);
		decode_words(str_from(buf_view(&got), strlen(RECEIVED)), &back);
		assert_true(str_eq(buf_view(&back), buf_view(&name)));
		assert_string_equal(buf_cstr(&got) + got.len - 9, " <joe@x>\n");
		buf_free(&name);
		buf_free(&got);
		buf_free(&back);
	}
}

static void
test_message_id(void **state)
{
	struct buf b = {0};

	(void)state;
	render_message_id(STR(ID), 0xbeef, STR("router.example"), &b);
	assert_string_equal(buf_cstr(&b), ID ".000000000000beef@router.example");
	buf_free(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_only_what_is_missing),
		cmocka_unit_test(test_from),
		cmocka_unit_test(test_long_names_fold),
		cmocka_unit_test(test_message_id),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
