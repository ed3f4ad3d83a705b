/* SPDX-License-Identifier: ISC */
#include "encode.h"
#include "buf.h"
#include "limit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

enum { PLAIN8 = ENCODE_EIGHTBIT | ENCODE_UTF8, SAID = ENCODE_VERSION | ENCODE_TYPE };

/* Its input in pieces: first bytes, then so many at a time. */
static void
convert(unsigned facts, bool eightbit, struct str in, size_t first, size_t piece, size_t cap,
	struct buf *out)
{
	struct encode e;

	encode_init(&e, facts, eightbit);
	out->len = 0;
	for (size_t give = first; in.len > 0; give = piece) {
		struct str part = str_upto(in, give);
		in = str_from(in, part.len);
		while (part.len > 0) {
			size_t left = part.len, n = encode_feed(&e, &part, buf_room(out, cap), cap);
			assert_true(n <= cap && part.len < left);
			out->len += n;
		}
	}
	size_t n = encode_finish(&e, buf_room(out, ENCODE_ROOM));
	assert_true(n <= ENCODE_ROOM);
	out->len += n;
}

/* The same for every split of the input, and any room. */
static void
expect(unsigned facts, bool eightbit, struct str in, struct str want)
{
	struct buf out = {0};

	for (size_t first = 0; first <= in.len; first++) {
		convert(facts, eightbit, in, first, SIZE_MAX, 4096, &out);
		if (!str_eq(buf_view(&out), want))
			fail_msg("\"%.*s\"\nnot\n\"%.*s\"", STR_ARG(buf_view(&out)), STR_ARG(want));
	}
	for (size_t cap = ENCODE_ROOM; cap < 2 * ENCODE_ROOM; cap++)
		for (size_t piece = 1; piece < 4; piece++) {
			convert(facts, eightbit, in, piece, cap % 3 ? piece : SIZE_MAX, cap, &out);
			assert_true(str_eq(buf_view(&out), want));
		}
	buf_free(&out);
}

#define QP "Content-Transfer-Encoding: quoted-printable\n"

/* A body that becomes quoted-printable. */
static void
expect_body(struct str in, struct str want)
{
	struct buf message = {0}, coded = {0};

	buf_puts(&message, "\n");
	buf_str(&message, in);
	buf_puts(&coded, QP "\n");
	buf_str(&coded, want);
	expect(ENCODE_LONG | SAID, true, buf_view(&message), buf_view(&coded));
	buf_free(&message);
	buf_free(&coded);
}

static void
test_facts(void **state)
{
	(void)state;
	assert_int_equal(encode_facts(&(struct text_facts){0}, &(struct header_facts){0}), 0);
	assert_int_equal(encode_facts(&(struct text_facts){.long_line = false},
				      &(struct header_facts){.date = true}), 0);
	assert_int_equal(encode_facts(&(struct text_facts){.long_line = true},
				      &(struct header_facts){.mime = true}),
			 ENCODE_LONG | ENCODE_VERSION);
	assert_int_equal(encode_facts(&(struct text_facts){.eightbit = true},
				      &(struct header_facts){.type = true}),
			 ENCODE_EIGHTBIT | ENCODE_TYPE);
	assert_int_equal(encode_facts(&(struct text_facts){.utf8 = true},
				      &(struct header_facts){.eightbit = true}),
			 ENCODE_UTF8 | ENCODE_8BIT);
	assert_int_equal(encode_facts(&(struct text_facts){true, true, true, UINT64_MAX},
				      &(struct header_facts){.mime = true, .type = true,
							     .eightbit = true, .opaque = true}),
			 ENCODE_FACTS);
}

/* When the body is encoded, when declared, when neither. */
static void
test_decision(void **state)
{
	static const char in[] = "A: \xc3\xa4\n\nb\xc3\xa4=\n";
	static const struct {
		unsigned facts;
		const char *seven, *eight; /* to a server without 8BITMIME, and one with it */
	} cases[] = {
		{0, in, in},
		{ENCODE_UTF8 | SAID, in, in},
		{PLAIN8,
		 "A: \xc3\xa4\nMIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\n" QP
		 "\nb=C3=A4=3D\n",
		 "A: \xc3\xa4\nMIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\n"
		 "Content-Transfer-Encoding: 8bit\n\nb\xc3\xa4=\n"},
		{ENCODE_EIGHTBIT,
		 "A: \xc3\xa4\nMIME-Version: 1.0\nContent-Type: text/plain; charset=unknown-8bit\n"
		 QP "\nb=C3=A4=3D\n",
		 "A: \xc3\xa4\nMIME-Version: 1.0\nContent-Type: text/plain; charset=unknown-8bit\n"
		 "Content-Transfer-Encoding: 8bit\n\nb\xc3\xa4=\n"},
		{PLAIN8 | SAID, "A: \xc3\xa4\n" QP "\nb=C3=A4=3D\n",
		 "A: \xc3\xa4\nContent-Transfer-Encoding: 8bit\n\nb\xc3\xa4=\n"},
		{PLAIN8 | ENCODE_TYPE, "A: \xc3\xa4\nMIME-Version: 1.0\n" QP "\nb=C3=A4=3D\n",
		 "A: \xc3\xa4\nMIME-Version: 1.0\nContent-Transfer-Encoding: 8bit\n\nb\xc3\xa4=\n"},
		{PLAIN8 | SAID | ENCODE_8BIT, "A: \xc3\xa4\n" QP "\nb=C3=A4=3D\n", in},
		{ENCODE_LONG | ENCODE_UTF8 | ENCODE_VERSION,
		 "A: \xc3\xa4\nContent-Type: text/plain; charset=us-ascii\n" QP "\nb=C3=A4=3D\n",
		 "A: \xc3\xa4\nContent-Type: text/plain; charset=us-ascii\n" QP "\nb=C3=A4=3D\n"},
		{PLAIN8 | ENCODE_LONG | SAID | ENCODE_8BIT,
		 "A: \xc3\xa4\n" QP "\nb=C3=A4=3D\n", "A: \xc3\xa4\n" QP "\nb=C3=A4=3D\n"},
		{PLAIN8 | ENCODE_OPAQUE, in, in},
		{ENCODE_FACTS, in, in},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		expect(cases[i].facts, false, str_of(in), str_of(cases[i].seven));
		expect(cases[i].facts, true, str_of(in), str_of(cases[i].eight));
	}
}

/* The field that was there says something else in its place; nothing else is touched. */
static void
test_field(void **state)
{
	static const struct {
		const char *in, *out;
	} cases[] = {
		{"Content-Transfer-Encoding: 8bit\nB: c\n\n\n", QP "B: c\n\n\n"},
		{"A: b\ncontent-TRANSFER-encoding:8bit\n\n",
		 "A: b\ncontent-TRANSFER-encoding: quoted-printable\n\n"},
		{"Content-Transfer-Encoding \t: 7bit\nB: c\n\n",
		 "Content-Transfer-Encoding \t: quoted-printable\nB: c\n\n"},
		{"Content-Transfer-Encoding:\n 8bit\n\t \nB: c\n d\n\n", QP "B: c\n d\n\n"},
		{"Content-Transfer-Encoding: 7bit\nContent-Transfer-Encoding: 8bit\n\n", QP QP "\n"},
		{"A: b\n Content-Transfer-Encoding: 8bit\n\n",
		 "A: b\n Content-Transfer-Encoding: 8bit\n" QP "\n"},
		{"A: Content-Transfer-Encoding: 8bit\n\n", "A: Content-Transfer-Encoding: 8bit\n" QP "\n"},
		{"Content-Transfer-Encodings: x\n\n", "Content-Transfer-Encodings: x\n" QP "\n"},
		{"Content-Transfer: x\n\n", "Content-Transfer: x\n" QP "\n"},
		{"X-Content-Transfer-Encoding: x\n\n", "X-Content-Transfer-Encoding: x\n" QP "\n"},
		{"A: =. \nFrom : \xff\n\nContent-Transfer-Encoding: 8bit\n",
		 "A: =. \nFrom : \xff\n" QP "\nContent-Transfer-Encoding: 8bit\n"},
		/* No body, not even an empty line. */
		{"A: b\n", "A: b\n"},
		{"", ""},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		expect(ENCODE_LONG | SAID, true, str_of(cases[i].in), str_of(cases[i].out));
}

static void
fill(struct buf *b, char c, size_t n)
{
	while (n-- > 0)
		buf_putc(b, c);
}

static void
test_body(void **state)
{
	(void)state;
	expect_body(STR(""), STR(""));
	expect_body(STR("\n\n"), STR("\n\n"));
	expect_body(STR("a = b\n"), STR("a =3D b\n"));
	expect_body(STR("\0\1\r\x7f\x80\xff~!\n"), STR("=00=01=0D=7F=80=FF~!\n"));
	expect_body(STR("a \nb\t\n \n\t\t\n"), STR("a=20\nb=09\n=20\n\t=09\n"));
	expect_body(STR(" a\t b\n"), STR(" a\t b\n"));
	expect_body(STR(".\n..\na.\n .\n"), STR("=2E\n=2E.\na.\n .\n"));
	expect_body(STR("From a\nFrom \nFrom\nfrom a\n From a\nFrFrom a\nFrom:\n"),
		    STR("From=20a\nFrom=20\nFrom\nfrom a\n From a\nFrFrom a\nFrom:\n"));
	expect_body(STR("From From From a\n"), STR("From=20From From a\n"));
	/* The last line has no LF. */
	expect_body(STR("a"), STR("a"));
	expect_body(STR("a "), STR("a=20"));
}

/* n times x and end make n times x and want. */
static void
expect_end(size_t n, const char *end, const char *want)
{
	struct buf in = {0}, out = {0};

	fill(&in, 'x', n);
	fill(&out, 'x', n);
	buf_puts(&in, end);
	buf_puts(&out, want);
	expect_body(buf_view(&in), buf_view(&out));
	buf_free(&in);
	buf_free(&out);
}

static void
test_soft_breaks(void **state)
{
	(void)state;
	expect_end(75, "\n", "\n");
	expect_end(75, "y\n", "=\ny\n");
	expect_end(72, "=\n", "=3D\n");
	expect_end(72, "=z\n", "=3D=\nz\n");
	expect_end(73, "=\n", "=\n=3D\n");
	expect_end(74, " \n", "=\n=20\n");
	expect_end(75, " \n", "=\n=20\n");
	expect_end(74, " y\n", " =\ny\n");
	expect_end(75, " y\n", "=\n y\n");
	/* A new line begins here as well. */
	expect_end(75, ".\n", "=\n=2E\n");
	expect_end(75, "From a\n", "=\nFrom=20a\n");
	expect_end(73, "From a\n", "Fr=\nom a\n");
}

/* RFC 2045 6.7 backwards, and its rules. */
static void
undo(struct str in, struct buf *out)
{
	out->len = 0;
	while (in.len > 0) {
		struct str line = str_upto(in, str_find(in, '\n'));
		bool soft = line.len > 0 && line.ptr[line.len - 1] == '=';
		in = str_from(in, line.len + 1);
		assert_true(line.len <= 76);
		assert_false(line.len > 0 && str_is_blank(line.ptr[line.len - 1]));
		assert_false(str_starts(line, STR(".")) || str_starts(line, STR("From ")));
		line.len -= soft;
		for (size_t i = 0; i < line.len; i++) {
			char c = line.ptr[i];
			assert_true((c >= ' ' && c <= '~') || c == '\t');
			if (c == '=') {
				assert_true(i + 2 < line.len);
				int high = str_hex(line.ptr[i + 1]), low = str_hex(line.ptr[i + 2]);
				assert_true(high >= 0 && low >= 0);
				c = (char)(high << 4 | low);
				i += 2;
			}
			buf_putc(out, c);
		}
		if (!soft)
			buf_putc(out, '\n');
	}
}

static unsigned
dice(unsigned *seed, unsigned sides)
{
	*seed = *seed * 1664525u + 1013904223u;
	return (*seed >> 16) % sides;
}

static void
test_property(void **state)
{
	static const struct str alphabets[] = {
		{"x \t.=\n\0\r\x80\xff", 10}, {"From .\n", 7}, {"xxxxxxxxxxxx.= \n", 16}, {"=\xc3", 2},
	};
	struct buf in = {0}, whole = {0}, cut = {0}, back = {0};
	const size_t head = sizeof QP;
	unsigned seed = 1;

	(void)state;
	for (unsigned i = 0; i < 4000; i++) {
		struct str alphabet = alphabets[i % 4];
		in.len = 0;
		buf_putc(&in, '\n');
		for (unsigned n = dice(&seed, 400); n > 0; n--)
			buf_putc(&in, alphabet.ptr[dice(&seed, (unsigned)alphabet.len)]);
		buf_putc(&in, '\n');
		convert(ENCODE_LONG | SAID, true, buf_view(&in), SIZE_MAX, 1, 1 << 16, &whole);
		assert_true(whole.len - head <= in.len * 32 / 10 + 8);
		undo(buf_tail(&whole, head), &back);
		assert_true(str_eq(buf_view(&back), buf_tail(&in, 1)));

		convert(ENCODE_LONG | SAID, true, buf_view(&in), dice(&seed, 100),
			1 + dice(&seed, 100), ENCODE_ROOM + dice(&seed, 100), &cut);
		assert_true(str_eq(buf_view(&whole), buf_view(&cut)));

		convert(ENCODE_FACTS, false, buf_view(&in), dice(&seed, 100),
			1 + dice(&seed, 100), ENCODE_ROOM + dice(&seed, 100), &cut);
		assert_true(str_eq(buf_view(&in), buf_view(&cut)));
	}
	buf_free(&in);
	buf_free(&whole);
	buf_free(&cut);
	buf_free(&back);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_facts),
		cmocka_unit_test(test_decision),
		cmocka_unit_test(test_field),
		cmocka_unit_test(test_body),
		cmocka_unit_test(test_soft_breaks),
		cmocka_unit_test(test_property),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
