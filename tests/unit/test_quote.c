/* SPDX-License-Identifier: ISC */
#include "quote.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#define REPLACED "\\ufffd"

static const struct {
	struct str in;
	const char *text, *json;
} cases[] = {
	{STR(""), "", "\"\""},
	{STR("plain words, ~"), "plain words, ~", "\"plain words, ~\""},
	{STR("\"a\\b\"/"), "\"a\\b\"/", "\"\\\"a\\\\b\\\"/\""},
	{STR("\n\r\t\033[31m\x7f"), "????[31m?", "\"\\u000a\\u000d\\u0009\\u001b[31m\\u007f\""},
	{STR("a\0b"), "a?b", "\"a\\u0000b\""},
	{STR("\xc3\xbc\xe2\x82\xac\xf0\x9f\x93\xac"), "\xc3\xbc\xe2\x82\xac\xf0\x9f\x93\xac",
	 "\"\xc3\xbc\xe2\x82\xac\xf0\x9f\x93\xac\""},
	/* Latin-1, a control character of ISO 6429 in its two forms. */
	{STR("\xfc"), "?", "\"" REPLACED "\""},
	{STR("\x9b" "31m"), "?31m", "\"" REPLACED "31m\""},
	{STR("\xc2\x9b" "31m"), "??31m", "\"" REPLACED REPLACED "31m\""},
	/* Overlong, a surrogate, beyond U+10FFFF, without its end. */
	{STR("\xc0\xaf"), "??", "\"" REPLACED REPLACED "\""},
	{STR("\xed\xa0\x80"), "???", "\"" REPLACED REPLACED REPLACED "\""},
	{STR("\xf4\x90\x80\x80"), "????", "\"" REPLACED REPLACED REPLACED REPLACED "\""},
	{STR("\xe2\x82"), "??", "\"" REPLACED REPLACED "\""},
	{STR("\xe2\x82\xc3\xbc"), "??\xc3\xbc", "\"" REPLACED REPLACED "\xc3\xbc\""},
};

static void
test_cases(void **state)
{
	struct buf out = {0};

	(void)state;
	for (size_t n = 0; n < sizeof cases / sizeof *cases; n++) {
		out.len = 0;
		quote_text(cases[n].in, "", &out);
		assert_string_equal(buf_cstr(&out), cases[n].text);
		out.len = 0;
		quote_json(cases[n].in, &out);
		assert_string_equal(buf_cstr(&out), cases[n].json);
	}
	buf_free(&out);
}

static void
test_kept(void **state)
{
	struct buf out = {0};

	(void)state;
	quote_text(STR("a\n\tb\r\n\0"), "\n\t", &out);
	assert_string_equal(buf_cstr(&out), "a\n\tb?\n?");
	buf_free(&out);
}

/* Whatever comes in, what comes out is printable. */
static void
test_every_two_bytes(void **state)
{
	struct buf out = {0};
	char in[2];

	(void)state;
	for (unsigned n = 0; n < 65536; n++) {
		in[0] = (char)(n >> 8);
		in[1] = (char)n;
		out.len = 0;
		quote_text((struct str){in, 2}, "", &out);
		quote_json((struct str){in, 2}, &out);
		for (struct str s = buf_view(&out); s.len > 0; s = str_from(s, str_printable(s)))
			assert_true(str_printable(s) > 0);
	}
	buf_free(&out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cases),
		cmocka_unit_test(test_kept),
		cmocka_unit_test(test_every_two_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
