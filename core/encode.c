/* SPDX-License-Identifier: ISC */
#include "encode.h"
#include "fmt.h"

#include <string.h>

enum { LINE_START, WITHIN, BODY, AS_IS };

enum { CODED_LINE = 76 }; /* RFC 2045 6.7 (5), the "=" of a soft line break included */

static const char field[] = "content-transfer-encoding:";
enum { FIELD = sizeof field - 1, OTHER_FIELD };

unsigned
encode_facts(const struct text_facts *text, const struct header_facts *header)
{
	return (text->eightbit ? ENCODE_EIGHTBIT : 0) | (text->utf8 ? ENCODE_UTF8 : 0) |
	       (text->long_line ? ENCODE_LONG : 0) |
	       (header->mime ? ENCODE_VERSION : 0) | (header->type ? ENCODE_TYPE : 0) |
	       (header->eightbit ? ENCODE_8BIT : 0) | (header->opaque ? ENCODE_OPAQUE : 0);
}

void
encode_init(struct encode *e, unsigned facts, bool eightbit)
{
	const unsigned fields = ENCODE_VERSION | ENCODE_TYPE | ENCODE_8BIT;
	bool undeclared = (facts & ENCODE_EIGHTBIT) && (facts & fields) != fields;

	*e = (struct encode){.facts = facts};
	e->quoted = (facts & ENCODE_LONG) || ((facts & ENCODE_EIGHTBIT) && !eightbit);
	if ((facts & ENCODE_OPAQUE) || !(e->quoted || undeclared))
		e->state = AS_IS;
}

static const char *
encoding(const struct encode *e)
{
	return e->quoted ? "quoted-printable" : "8bit";
}

/* The empty line, and before it what the header has not said. */
static size_t
end_header(struct encode *e, char *dst)
{
	size_t n = 0;

	if (!(e->facts & ENCODE_VERSION))
		n += fmt_print(dst, ENCODE_ROOM, "MIME-Version: 1.0\n");
	if (!(e->facts & ENCODE_TYPE))
		n += fmt_print(dst + n, ENCODE_ROOM - n, "Content-Type: text/plain; charset=%s\n",
			       !(e->facts & ENCODE_EIGHTBIT) ? "us-ascii" :
			       e->facts & ENCODE_UTF8 ? "utf-8" : "unknown-8bit");
	if (!e->said)
		n += fmt_print(dst + n, ENCODE_ROOM - n, "Content-Transfer-Encoding: %s\n",
			       encoding(e));
	dst[n] = '\n';
	e->state = e->quoted ? BODY : AS_IS;
	return n + 1;
}

/* A byte of the header. The field that says how the body is encoded keeps its place and
 * gets another value. */
static size_t
put_header(struct encode *e, char c, char *dst)
{
	if (e->state == LINE_START && c == '\n')
		return end_header(e, dst);
	if (e->state == LINE_START && !str_is_blank(c))
		e->matched = 0;
	e->state = c == '\n' ? LINE_START : WITHIN;
	if (e->matched == FIELD)
		return 0; /* its old value */
	*dst = c;
	if (e->matched > FIELD)
		return 1;
	if (str_lower(c) == field[e->matched])
		e->matched++;
	else if (!str_is_blank(c)) /* as may stand before the colon */
		e->matched = OTHER_FIELD;
	if (e->matched != FIELD)
		return 1;
	e->said = true;
	return fmt_print(dst, ENCODE_ROOM, ": %s\n", encoding(e));
}

/* A byte of a line of the body, coded as =XX where asked for; and at a line's beginning, where
 * programs on the way change a dot or "From ". */
static size_t
put_coded(struct encode *e, char c, bool coded, char *dst)
{
	static const char from[] = "From ", digits[] = "0123456789ABCDEF";
	size_t n = 0;

	if (e->column + (coded ? 3 : 1) >= CODED_LINE) {
		dst[n++] = '=';
		dst[n++] = '\n';
		e->column = 0;
	}
	if (e->column == 0)
		e->from = 0;
	if (e->column == e->from && c == from[e->from])
		coded |= from[++e->from] == '\0';
	if (coded || (c == '.' && e->column == 0)) {
		dst[n++] = '=';
		dst[n++] = digits[(unsigned char)c >> 4];
		dst[n++] = digits[c & 15];
		e->column += 3;
	} else {
		dst[n++] = c;
		e->column++;
	}
	return n;
}

/* A byte of the body. A blank waits for what follows: at a line's end it must be coded. */
static size_t
put_body(struct encode *e, char c, char *dst)
{
	size_t n = 0;

	if (e->blank)
		n = put_coded(e, e->blank, c == '\n', dst);
	e->blank = str_is_blank(c) ? c : '\0';
	if (c == '\n') {
		dst[n++] = c;
		e->column = 0;
	} else if (!e->blank) {
		n += put_coded(e, c, c < '!' || c > '~' || c == '=', dst + n);
	}
	return n;
}

size_t
encode_feed(struct encode *e, struct str *in, char *dst, size_t cap)
{
	size_t n = 0;

	while (in->len > 0 && cap - n >= ENCODE_ROOM) {
		struct str piece = str_upto(*in, e->state == AS_IS ? cap - n : 1);
		*in = str_from(*in, piece.len);
		if (e->state == BODY) {
			n += put_body(e, piece.ptr[0], dst + n);
		} else if (e->state != AS_IS) {
			n += put_header(e, piece.ptr[0], dst + n);
		} else {
			memcpy(dst + n, piece.ptr, piece.len);
			n += piece.len;
		}
	}
	return n;
}

size_t
encode_finish(struct encode *e, char *dst)
{
	return e->blank ? put_coded(e, e->blank, true, dst) : 0;
}
