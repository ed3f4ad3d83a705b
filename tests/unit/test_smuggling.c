/* SPDX-License-Identifier: ISC */
/*
 * What looks like the end of a message, behind every number of bytes up to the largest buffer,
 * through encode and wire in pieces as relay reads them. tests/hostile/smuggling.py has ten
 * receivers and the real program; here is what all of them rely on.
 */
#include "buf.h"
#include "encode.h"
#include "limit.h"
#include "wire.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

enum { LARGEST = 16384, PIECE = 2048 };

/* The first are tried at every offset, the others around the edges of buffers. */
enum { EVERYWHERE = 4 };
static const struct str look_alikes[] = {
	STR("\r\n.\r\n"), STR("\n.\r\n"), STR("\r.\r"), STR("\r\n\0.\r\n"),
	STR("\n.\n"), STR("\r\n.\n"), STR("\r\n.\r"), STR("\r.\r\n"), STR("\r.\n"), STR("\n.\r"),
	STR("\r\n.\0\r\n"), STR("\r\0\n.\r\n"), STR("\n\0.\0\n"), STR("\n. \n"), STR("\n.\t\r\n"),
	STR("\n..\n"), STR("\r..\r"), STR("\n.\n.\n"), STR("\r\r.\r\r"), STR("\n\r.\n\r"),
	STR("\r\n.\r\r\n"), STR("\r\r\n.\r\n"), STR("\xc3\x8a.\n"), STR("\n\xae\n"),
};

/* What goes out for in, as relay makes it. */
static void
send(struct str in, unsigned facts, struct buf *out)
{
	char coded[PIECE];
	struct encode e;
	struct wire w;

	encode_init(&e, facts, false);
	wire_init(&w, true);
	out->len = 0;
	for (bool over = false; !over;) {
		struct str raw = str_upto(in, PIECE);
		in = str_from(in, raw.len);
		over = raw.len == 0;
		do {
			size_t n = over ? encode_finish(&e, coded) :
					  encode_feed(&e, &raw, coded, sizeof coded);
			struct str piece = {coded, n};
			out->len += wire_feed(&w, &piece, buf_room(out, 4 * PIECE), 4 * PIECE);
			assert_int_equal(piece.len, 0);
		} while (raw.len > 0);
	}
	out->len += wire_finish(&w, buf_room(out, 20));
}

/* CR and LF only together, no NUL, no line too long, and none that begins with a single dot. */
static void
expect_harmless(struct str wire)
{
	while (wire.len > 0) {
		size_t n = str_find(wire, '\n');
		assert_true(n > 0 && n < wire.len && wire.ptr[n - 1] == '\r');
		struct str line = str_upto(wire, n - 1);
		wire = str_from(wire, n + 1);
		assert_null(memchr(line.ptr, '\r', line.len));
		assert_null(memchr(line.ptr, '\0', line.len));
		assert_true(line.len <= LIMIT_WIRE_LINE + 1);
		assert_false(line.len > 0 && line.ptr[0] == '.' &&
			     (line.len == 1 || line.ptr[1] != '.'));
	}
}

/* The look-alike behind offset bytes, in one line or in several; facts: of encode. */
static void
try(struct str look_alike, size_t offset, bool lines, unsigned facts, struct buf *out)
{
	static char text[LARGEST + 128];
	static const struct str evil = STR("MAIL FROM:<evil@x.example>");

	memset(text, 'x', offset);
	for (size_t i = 70; lines && i < offset; i += 71)
		text[i] = '\n';
	memcpy(text + offset, look_alike.ptr, look_alike.len);
	memcpy(text + offset + look_alike.len, evil.ptr, evil.len);
	size_t len = offset + look_alike.len + evil.len;
	memcpy(text + len, look_alike.ptr, look_alike.len);
	send((struct str){text, len + look_alike.len}, facts, out);
	expect_harmless(buf_view(out));
}

static bool
is_edge(size_t offset)
{
	static const size_t edges[] = {0, LIMIT_WIRE_LINE, 1024, PIECE, 4096, 8192, LARGEST};

	for (size_t i = 0; i < sizeof edges / sizeof edges[0]; i++)
		if (offset + 8 >= edges[i] && offset <= edges[i] + 8)
			return true;
	return false;
}

static void
test_offsets(void **state)
{
	struct buf out = {0};

	(void)state;
	for (size_t i = 0; i < sizeof look_alikes / sizeof look_alikes[0]; i++)
		for (size_t offset = 0; offset <= LARGEST; offset++) {
			if (i < EVERYWHERE || is_edge(offset))
				try(look_alikes[i], offset, i & 1, ENCODE_OPAQUE, &out);
			if (is_edge(offset)) {
				try(look_alikes[i], offset, !(i & 1), ENCODE_OPAQUE, &out);
				try(look_alikes[i], offset, true, ENCODE_EIGHTBIT, &out);
				try(look_alikes[i], offset, false, ENCODE_LONG, &out);
			}
		}
	buf_free(&out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_offsets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
