/* SPDX-License-Identifier: ISC */
#include "text.h"
#include "limit.h"
#include "buf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

/* Feeds in piece bytes at a time with room for cap; what is left behind the end goes to *rest. */
static struct text
feed(struct str in, bool dots, size_t piece, size_t cap, struct buf *out, struct str *rest)
{
	struct text t;

	text_init(&t, dots);
	out->len = 0;
	while (in.len > 0 && !t.ended) {
		struct str part = str_upto(in, piece);
		size_t given = part.len;
		while (part.len > 0 && !t.ended) {
			size_t n = text_feed(&t, &part, buf_room(out, cap), cap);
			assert_true(n <= cap);
			out->len += n;
		}
		in = str_from(in, given - part.len);
	}
	size_t n = text_finish(&t, buf_room(out, 4));
	assert_true(n <= 4);
	out->len += n;
	*rest = in;
	return t;
}

/* The same output and facts however the input is cut. */
static struct text
feed_all_ways(struct str in, bool dots, struct buf *out, struct str *rest)
{
	static const size_t ways[][2] = {{1, 4}, {1, 5}, {2, 4}, {3, 7}, {SIZE_MAX, 4}, {SIZE_MAX, 5}};
	struct text whole = feed(in, dots, SIZE_MAX, in.len * 2 + 4, out, rest);
	struct buf other = {0};
	struct str left;

	for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
		struct text t = feed(in, dots, ways[i][0], ways[i][1], &other, &left);
		assert_true(str_eq(buf_view(&other), buf_view(out)));
		assert_int_equal(left.len, rest->len);
		assert_int_equal(t.ended, whole.ended);
		assert_int_equal(t.facts.eightbit, whole.facts.eightbit);
		assert_int_equal(t.facts.utf8, whole.facts.utf8);
		assert_int_equal(t.facts.nul, whole.facts.nul);
		assert_int_equal(t.facts.long_line, whole.facts.long_line);
	}
	buf_free(&other);
	return whole;
}

static const struct {
	struct str in, out;
	bool dots, ended;
	struct str rest;
	bool eightbit, not_utf8, nul;
} cases[] = {
	{.in = {"", 0}, .out = {"", 0}},
#define CASE(i, o) .in = {i, sizeof(i) - 1}, .out = {o, sizeof(o) - 1}
	{CASE("a\nbcd\n", "a\nbcd\n")},
	{CASE("a\r\nb\r\n", "a\nb\n")},
	{CASE("no end", "no end\n")},
	{CASE("\n", "\n")},
	{CASE("\r\n\r\n", "\n\n")},
	{CASE("a\rb\n", "a b\n")},
	{CASE("a\r\r\n", "a \n")},
	{CASE("\r\r\r\nx", "  \nx\n")},
	{CASE("a\r", "a \n")},
	{CASE("\r", " \n")},
	{CASE("a\0b\n", "a\0b\n"), .nul = true},
	{CASE("caf\xc3\xa9\n", "caf\xc3\xa9\n"), .eightbit = true},
	{CASE("\xff\r\0\n", "\xff \0\n"), .eightbit = true, .not_utf8 = true, .nul = true},
	/* With -i dots are text. */
	{CASE(".\n..\n.\r\nx\n", ".\n..\n.\nx\n")},
	{CASE(".", ".\n")},
	/* Without, a lone dot ends it, and what follows is not taken. */
	{CASE("a\n.\nrest", "a\n"), .dots = true, .ended = true, .rest = {"rest", 4}},
	{CASE("a\r\n.\r\n\xff", "a\n"), .dots = true, .ended = true, .rest = {"\xff", 1}},
	{CASE(".\n", ""), .dots = true, .ended = true},
	{CASE("a\n.", "a\n"), .dots = true, .ended = true},
	{CASE("a.\n", "a.\n"), .dots = true},
	{CASE("a\n.b\n", "a\n.b\n"), .dots = true},
	{CASE("..\n", ".\n"), .dots = true},
	{CASE("..b\n...\n..", ".b\n..\n.\n"), .dots = true},
	{CASE(".\rb\n", ". b\n"), .dots = true},
	{CASE(".\r\r\nb", ". \nb\n"), .dots = true},
	{CASE(".\r", ". \n"), .dots = true},
	{CASE(".\r.\n", ". .\n"), .dots = true},
	{CASE("\r.\nb\n", " .\nb\n"), .dots = true},
	{CASE(". \n", ". \n"), .dots = true},
	{CASE(".\0\n", ".\0\n"), .dots = true, .nul = true},
};

static void
test_cases(void **state)
{
	struct buf out = {0};
	struct str rest;

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct text t = feed_all_ways(cases[i].in, cases[i].dots, &out, &rest);
		if (!str_eq(buf_view(&out), cases[i].out))
			fail_msg("case %zu: \"%.*s\"", i, STR_ARG(buf_view(&out)));
		assert_true(str_eq(rest, cases[i].rest));
		assert_int_equal(t.ended, cases[i].ended);
		assert_int_equal(t.facts.eightbit, cases[i].eightbit);
		assert_int_equal(t.facts.utf8, !cases[i].not_utf8);
		assert_int_equal(t.facts.nul, cases[i].nul);
		assert_false(t.facts.long_line);
	}
	buf_free(&out);
}

/* Counted as it is kept: without the dot and the CR that go, with the CR that becomes a blank. */
static void
test_long_line(void **state)
{
	static const struct {
		const char *before, *after;
		size_t room; /* for bytes in between */
	} lines[] = {
		{"", "", LIMIT_WIRE_LINE}, {"a\n", "\nb\n", LIMIT_WIRE_LINE},
		{"", "\r\n", LIMIT_WIRE_LINE}, {".", "\n", LIMIT_WIRE_LINE - 1},
		{"..", "\n", LIMIT_WIRE_LINE - 1}, {"\r", "\n", LIMIT_WIRE_LINE - 1},
		{"", "\r\r\n", LIMIT_WIRE_LINE - 1},
	};

	(void)state;
	for (size_t i = 0; i < 2 * sizeof lines / sizeof *lines; i++) {
		struct buf in = {0}, out = {0};
		struct str rest;
		buf_puts(&in, lines[i / 2].before);
		for (size_t n = lines[i / 2].room + i % 2; n > 0; n--)
			buf_putc(&in, 'x');
		buf_puts(&in, lines[i / 2].after);
		struct text t = feed_all_ways(buf_view(&in), true, &out, &rest);
		if (t.facts.long_line != i % 2)
			fail_msg("case %zu", i);
		buf_free(&in);
		buf_free(&out);
	}
}

static void
test_takes_nothing_behind_the_end(void **state)
{
	struct text t;
	struct str in = STR(".\nmore");
	char dst[8];

	(void)state;
	text_init(&t, true);
	assert_int_equal(text_feed(&t, &in, dst, sizeof dst), 0);
	assert_true(str_eq(in, STR("more")));
	assert_int_equal(text_feed(&t, &in, dst, sizeof dst), 0);
	assert_int_equal(in.len, 4);
	assert_int_equal(text_finish(&t, dst), 0);
}

/* Strict: where it stops, and what came of it until then. */
static void
test_strict(void **state)
{
	static const struct {
		const char *in, *out;
		bool ended, bare;
		const char *rest;
	} strict[] = {
		{"a\r\n.\r\nrest", "a\n", true, false, "rest"},
		{"a\r\n..\r\n", "a\n.\n", false, false, ""},
		{"a\n.\n", "a", false, true, "\n.\n"},
		{"a\n.\r\n", "a", false, true, "\n.\r\n"},
		{"a\r\n.\nb", "a\n", false, true, "\nb"},
		{"a\r.\r\n", "a", false, true, ".\r\n"},
		{"a\r\n.\rb", "a\n", false, true, "b"},
		{"a\r\n.\r\r\n", "a\n", false, true, "\r\n"},
		{"a\r\r\n", "a", false, true, "\r\n"},
		{"\n", "", false, true, "\n"},
	};
	char dst[40];

	(void)state;
	for (size_t i = 0; i < sizeof strict / sizeof *strict; i++)
		for (size_t piece = 1; piece < 20; piece++) {
			struct text t;
			struct str in = str_of(strict[i].in);
			size_t n = 0;
			text_init_strict(&t);
			while (in.len > 0 && !t.ended && !t.bare) {
				struct str part = str_upto(in, piece);
				size_t given = part.len;
				n += text_feed(&t, &part, dst + n, sizeof dst - n);
				in = str_from(in, given - part.len);
			}
			assert_true(str_eq((struct str){dst, n}, str_of(strict[i].out)));
			assert_true(str_eq(in, str_of(strict[i].rest)));
			assert_int_equal(t.ended, strict[i].ended);
			assert_int_equal(t.bare, strict[i].bare);
			if (t.bare) /* and it stays so */
				assert_int_equal(text_feed(&t, &in, dst, sizeof dst), 0);
			assert_true(str_eq(in, str_of(strict[i].rest)));
		}
}

/* Each character's first and last, and what no encoder makes (RFC 3629 4, 10). */
static void
test_utf8(void **state)
{
	static const char *const good[] = {
		"\xc2\x80\xdf\xbf", "\xe0\xa0\x80", "\xed\x9f\xbf", "\xee\x80\x80\xef\xbf\xbf",
		"\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf", "a\xc3\xa4z\xe2\x82\xac\xf0\x9f\x90\xa7",
		".\xc3\xa4\r\xc3\xa4",
	}, *const bad[] = {
		"\x80", "\xc3\xa4\xa4", "\xc3", "\xc3z\xa4", "\xc3\n\xa4", "\xc3\r\xa4", "\xe2\x82",
		"\xe2\x82z", "\xc0\x80", "\xc1\xbf", "\xe0\x9f\xbf", "\xed\xa0\x80",
		"\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xff", "\xe4\xf6\xfc",
		"\xc3\xc3\xa4",
	};
	struct buf out = {0};
	struct str rest;

	(void)state;
	for (size_t i = 0; i < sizeof good / sizeof *good; i++)
		if (!feed_all_ways(str_of(good[i]), true, &out, &rest).facts.utf8)
			fail_msg("good %zu", i);
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		if (feed_all_ways(str_of(bad[i]), true, &out, &rest).facts.utf8)
			fail_msg("bad %zu", i);
	buf_free(&out);
}

/* The rules once more, over a whole message, as plainly as can be. */
static void
normalise(struct str in, bool dots, struct buf *out)
{
	out->len = 0;
	while (in.len > 0) {
		struct str line = str_cut(&in, '\n');
		/* str_cut does not tell whether there was an LF: "x\r" at the very end is lone. */
		bool cut = line.ptr + line.len < in.ptr;
		if (cut && line.len > 0 && line.ptr[line.len - 1] == '\r')
			line.len--;
		if (dots && str_eq(line, STR(".")))
			return;
		if (dots && str_starts(line, STR("..")))
			line = str_from(line, 1);
		for (size_t i = 0; i < line.len; i++)
			buf_putc(out, line.ptr[i] == '\r' ? ' ' : line.ptr[i]);
		buf_putc(out, '\n');
	}
}

static void
test_random(void **state)
{
	static const char bytes[] = "..\r\r\n\nab\0";
	uint32_t x = 2463534242u;
	struct buf out = {0}, want = {0};
	struct str rest;
	char in[13]; /* one more than is used: an end to compare with */

	(void)state;
	for (int round = 0; round < 20000; round++) {
		size_t len = (size_t)round % 12;
		for (size_t i = 0; i < len; i++) {
			x ^= x << 13, x ^= x >> 17, x ^= x << 5;
			in[i] = bytes[x % (sizeof bytes - 1)];
		}
		struct str s = {in, len};
		feed_all_ways(s, round & 16, &out, &rest);
		normalise(s, round & 16, &want);
		assert_true(str_eq(buf_view(&out), buf_view(&want)));
	}
	buf_free(&out);
	buf_free(&want);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cases),
		cmocka_unit_test(test_long_line),
		cmocka_unit_test(test_takes_nothing_behind_the_end),
		cmocka_unit_test(test_strict),
		cmocka_unit_test(test_utf8),
		cmocka_unit_test(test_random),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
