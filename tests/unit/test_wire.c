/* SPDX-License-Identifier: ISC */
#include "wire.h"
#include "buf.h"
#include "limit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

/* in cut into pieces of in_piece bytes, out into pieces of cap. */
static void
convert_with(bool dots, struct str in, size_t in_piece, size_t cap, struct buf *out)
{
	struct wire w;

	wire_init(&w, dots);
	out->len = 0;
	while (in.len) {
		struct str piece = str_upto(in, in_piece);
		in = str_from(in, piece.len);
		for (size_t n = cap; n == cap;) {
			n = wire_feed(&w, &piece, buf_room(out, cap), cap);
			assert_true(n <= cap);
			out->len += n;
			/* Early only for one of the two reasons. */
			assert_true(piece.len == 0 || n == cap);
		}
	}
	size_t n = wire_finish(&w, buf_room(out, 20));
	assert_true(n <= 20);
	out->len += n;
}

static void
convert(struct str in, size_t in_piece, size_t cap, struct buf *out)
{
	convert_with(true, in, in_piece, cap, out);
}

static const size_t pieces[] = {1, 2, 3, 7, 997, 998, 999, 100000};

/* The same for every cut. */
static void
expect(struct str in, struct str want)
{
	struct buf out = {0};

	for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
		for (size_t k = 0; k < sizeof pieces / sizeof *pieces; k++) {
			convert(in, pieces[i], pieces[k], &out);
			assert_int_equal(out.len, want.len);
			assert_true(str_eq(buf_view(&out), want));
		}
	}
	buf_free(&out);
}

static void
test_table(void **state)
{
	(void)state;
	expect(STR(""), STR(""));
	expect(STR("\n"), STR("\r\n"));
	expect(STR("a"), STR("a\r\n"));
	expect(STR("a\n"), STR("a\r\n"));
	expect(STR("a\n\nb"), STR("a\r\n\r\nb\r\n"));
	expect(STR("."), STR("..\r\n"));
	expect(STR(".\n"), STR("..\r\n"));
	expect(STR("\n.\n"), STR("\r\n..\r\n"));
	expect(STR("a.\n..\n.b\n"), STR("a.\r\n...\r\n..b\r\n"));
	expect(STR("a\r\n.\r\n"), STR("a\r\n..\r\n"));
	expect(STR("a\r.\nb"), STR("a .\r\nb\r\n"));
	expect(STR("\r.\n"), STR(" .\r\n"));
	expect(STR("a\r\r\nb\r"), STR("a \r\nb \r\n"));
	expect(STR("\r"), STR(" \r\n"));
	expect(STR("\r\r"), STR("  \r\n"));
	expect(STR("\0.\0\n"), STR(" . \r\n"));
	expect(STR("\n\r\n.\r\n\r\n"), STR("\r\n\r\n..\r\n\r\n"));
	expect(STR("\tx\x80\xff\x7f\x01\n"), STR("\tx\x80\xff\x7f\x01\r\n"));
}

static void
fill(struct buf *b, const char *start, size_t len)
{
	buf_puts(b, start);
	while (len-- > strlen(start))
		buf_putc(b, 'x');
}

/* len bytes that begin with start, then end. */
static void
expect_fold(const char *start, size_t len, const char *end, const char *want_end)
{
	struct buf in = {0}, want = {0};

	fill(&in, start, len);
	buf_puts(&in, end);
	if (*start == '.')
		buf_putc(&want, '.');
	fill(&want, start, len);
	buf_puts(&want, want_end);
	expect(buf_view(&in), buf_view(&want));
	buf_free(&in);
	buf_free(&want);
}

static void
test_fold(void **state)
{
	(void)state;
	expect_fold("", LIMIT_WIRE_LINE, "", "\r\n");
	expect_fold("", LIMIT_WIRE_LINE, "\n", "\r\n");
	expect_fold("", LIMIT_WIRE_LINE, "\r\n", "\r\n");
	expect_fold("", LIMIT_WIRE_LINE, "y", "\r\n y\r\n");
	expect_fold("", LIMIT_WIRE_LINE, ".\n", "\r\n .\r\n");
	expect_fold("", LIMIT_WIRE_LINE, ".\n.", "\r\n .\r\n..\r\n");
	expect_fold("", LIMIT_WIRE_LINE, "\r", "\r\n  \r\n");
	expect_fold("", LIMIT_WIRE_LINE, "\ry", "\r\n  y\r\n");
	expect_fold(".", LIMIT_WIRE_LINE, "\n", "\r\n");
	expect_fold(".", LIMIT_WIRE_LINE, "y\n", "\r\n y\r\n");
}

/* A line of n times x, then end; folded before its byte "before", if there is one. */
static void
expect_whole(size_t n, const char *end, size_t before)
{
	struct buf in = {0}, want = {0};
	struct str tail = str_of(end);

	fill(&in, "", n);
	buf_str(&want, buf_view(&in));
	buf_str(&in, tail);
	buf_str(&want, str_upto(tail, before));
	if (before < tail.len)
		buf_puts(&want, "\r\n ");
	buf_str(&want, str_from(tail, before));
	buf_puts(&want, "\r\n");
	expect(buf_view(&in), buf_view(&want));
	buf_puts(&in, "\r\n");
	expect(buf_view(&in), buf_view(&want));
	buf_free(&in);
	buf_free(&want);
}

/* Characters of UTF-8 stay whole. */
static void
test_fold_characters(void **state)
{
	(void)state;
	/* They end with the line. */
	expect_whole(LIMIT_WIRE_LINE - 2, "\xc3\xa4", 2);
	expect_whole(LIMIT_WIRE_LINE - 3, "\xe2\x82\xac", 3);
	expect_whole(LIMIT_WIRE_LINE - 4, "\xf0\x9f\x90\xa7", 4);
	expect_whole(LIMIT_WIRE_LINE - 2, "\xc3\xa4y", 2);
	expect_whole(LIMIT_WIRE_LINE - 4, "\xc3\xa4\xc3\xa4\xc3\xa4", 4);
	/* They reach over its end by 1, 2, 3 bytes. */
	expect_whole(LIMIT_WIRE_LINE - 1, "\xc3\xa4", 0);
	expect_whole(LIMIT_WIRE_LINE - 3, "\xc3\xa4\xc3\xa4y", 2);
	expect_whole(LIMIT_WIRE_LINE - 2, "\xe2\x82\xac", 0);
	expect_whole(LIMIT_WIRE_LINE - 1, "\xe2\x82\xac\xe2\x82\xac", 0);
	expect_whole(LIMIT_WIRE_LINE - 3, "\xf0\x9f\x90\xa7z", 0);
	expect_whole(LIMIT_WIRE_LINE - 2, "\xf0\x9f\x90\xa7z", 0);
	expect_whole(LIMIT_WIRE_LINE - 1, "\xf0\x9f\x90\xa7z", 0);
	/* The line that they go to is as long as any. */
	struct buf in = {0}, want = {0};
	fill(&in, "", LIMIT_WIRE_LINE - 1);
	buf_str(&want, buf_view(&in));
	buf_puts(&in, "\xe2\x82\xac");
	buf_puts(&want, "\r\n \xe2\x82\xac");
	fill(&in, "", LIMIT_WIRE_LINE - 4);
	fill(&want, "", LIMIT_WIRE_LINE - 4);
	buf_puts(&in, "yz");
	buf_puts(&want, "\r\n yz\r\n");
	expect(buf_view(&in), buf_view(&want));
	buf_free(&in);
	buf_free(&want);
	/* Other bytes above 127: a line that fits is not folded, one that does not in its place. */
	expect_whole(LIMIT_WIRE_LINE - 1, "\xe9", 1);
	expect_whole(LIMIT_WIRE_LINE - 2, "\xe9\xe9", 2);
	expect_whole(LIMIT_WIRE_LINE - 3, "\xf4\xf4\xf4", 3);
	expect_whole(LIMIT_WIRE_LINE - 1, "\xe9y", 1);
	expect_whole(LIMIT_WIRE_LINE - 3, "\xe9\xe9\xe9\xe9", 3);
	expect_whole(LIMIT_WIRE_LINE - 4, "\x80\x80\x80\x80\x80", 4);
}

/* What a server makes of it (RFC 5321 4.5.2): dots undone, CRLF to LF. Fails on anything that
 * is no line. */
static void
undo(struct str in, struct buf *out)
{
	out->len = 0;
	while (in.len) {
		size_t n = str_find(in, '\n');
		assert_true(n > 0 && n < in.len && in.ptr[n - 1] == '\r');
		struct str line = str_upto(in, n - 1);
		in = str_from(in, n + 1);
		assert_int_equal(str_find(line, '\r'), line.len);
		assert_int_equal(str_find(line, '\0'), line.len);
		assert_false(str_eq(line, STR(".")));
		if (str_starts(line, STR(".")))
			line = str_from(line, 1);
		assert_true(line.len <= LIMIT_WIRE_LINE);
		buf_str(out, line);
		buf_putc(out, '\n');
	}
}

static unsigned
dice(unsigned *seed, unsigned sides)
{
	*seed = *seed * 1664525u + 1013904223u;
	return (*seed >> 16) % sides;
}

/* Lines of bytes from alphabet; runs now and then, so that lines reach their limit. */
static void
make_text(unsigned *seed, struct str alphabet, size_t longest, struct buf *text)
{
	text->len = 0;
	for (unsigned i = dice(seed, 30); i > 0; i--) {
		char c = alphabet.ptr[dice(seed, (unsigned)alphabet.len)];
		for (size_t n = dice(seed, 4) ? 1 : 1 + dice(seed, (unsigned)longest); n > 0; n--)
			buf_putc(text, c);
	}
}

static void
test_property(void **state)
{
	struct buf in = {0}, whole = {0}, cut = {0}, back = {0};
	unsigned seed = 1;

	(void)state;
	for (unsigned i = 0; i < 3000; i++) {
		make_text(&seed, (struct str){"x..\n\n\r\0", 7}, 1200, &in);
		convert(buf_view(&in), 1 << 20, 1 << 20, &whole);
		undo(buf_view(&whole), &back);
		convert(buf_view(&in), 1 + dice(&seed, 1100), 1 + dice(&seed, 1100), &cut);
		assert_true(str_eq(buf_view(&whole), buf_view(&cut)));

		make_text(&seed, (struct str){"xx\n\r\x80\xc3\xe2\xf0", 8}, 1200, &in);
		convert(buf_view(&in), 1 << 20, 1 << 20, &whole);
		undo(buf_view(&whole), &back);
		convert(buf_view(&in), 1 + dice(&seed, 1100), 1 + dice(&seed, 1100), &cut);
		assert_true(str_eq(buf_view(&whole), buf_view(&cut)));

		make_text(&seed, STR("xy..\n\n"), 30, &in);
		convert(buf_view(&in), 1 << 20, 1 << 20, &whole);
		undo(buf_view(&whole), &back);
		if (in.len && in.ptr[in.len - 1] != '\n')
			buf_putc(&in, '\n');
		assert_true(str_eq(buf_view(&back), buf_view(&in)));
	}
	buf_free(&in);
	buf_free(&whole);
	buf_free(&cut);
	buf_free(&back);
}

/* For BDAT: the same but for the dots. */
static void
test_dots_alone(void **state)
{
	struct buf in = {0}, doubled = {0}, undone = {0}, plain = {0};
	unsigned seed = 2;

	(void)state;
	convert_with(false, STR(".\n..\na.\n.\0\r.\n.x"), 1, 1, &plain);
	assert_true(str_eq(buf_view(&plain), STR(".\r\n..\r\na.\r\n.  .\r\n.x\r\n")));
	for (unsigned i = 0; i < 3000; i++) {
		make_text(&seed, (struct str){"x....\n\n\r\0", 9}, 1200, &in);
		convert(buf_view(&in), 1 << 20, 1 << 20, &doubled);
		undone.len = 0;
		for (size_t k = 0; k < doubled.len; k++)
			if (doubled.ptr[k] != '.' || (k > 0 && doubled.ptr[k - 1] != '\n'))
				buf_putc(&undone, doubled.ptr[k]);
		convert_with(false, buf_view(&in), 1 + dice(&seed, 1100), 1 + dice(&seed, 1100),
			     &plain);
		assert_true(str_eq(buf_view(&undone), buf_view(&plain)));
	}
	buf_free(&in);
	buf_free(&doubled);
	buf_free(&undone);
	buf_free(&plain);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_fold),
		cmocka_unit_test(test_fold_characters),
		cmocka_unit_test(test_property),
		cmocka_unit_test(test_dots_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
