/* SPDX-License-Identifier: ISC */
#include "render.h"
#include "codec.h"
#include "date.h"

#include <string.h>

enum {
	WORD = 39,       /* bytes in one encoded-word, which is 64 characters then */
	PLAIN_NAME = 64, /* what is longer is encoded, since only that can be folded */
};

/* A name as RFC 5322 words: letters and the rest of atext with spaces between. */
static bool
is_phrase(struct str name)
{
	static const char special[] = "\"(),.:;<>@[\\]";

	for (size_t i = 0; i < name.len; i++)
		if (memchr(special, name.ptr[i], sizeof special - 1))
			return false;
	return true;
}

static bool
is_printable_ascii(struct str s)
{
	for (size_t i = 0; i < s.len; i++)
		if (s.ptr[i] < ' ' || s.ptr[i] > '~')
			return false;
	return true;
}

static void
print_quoted(struct str name, struct buf *out)
{
	buf_putc(out, '"');
	for (size_t i = 0; i < name.len; i++) {
		if (name.ptr[i] == '"' || name.ptr[i] == '\\')
			buf_putc(out, '\\');
		buf_putc(out, name.ptr[i]);
	}
	buf_putc(out, '"');
}

/* RFC 2047 encoded-words, each on a line of its own and of whole characters. */
static void
print_encoded(struct str name, struct buf *out)
{
	while (name.len > 0) {
		size_t n = name.len < WORD ? name.len : WORD;
		while (n > WORD - 3 && n < name.len && (name.ptr[n] & 0xc0) == 0x80)
			n--;
		buf_puts(out, "=?utf-8?B?");
		char *dst = buf_room(out, CODEC_BASE64_SIZE(n));
		out->len += codec_base64(str_upto(name, n), dst);
		buf_puts(out, "?=\n ");
		name = str_from(name, n);
	}
}

void
render_address(struct str address, struct str host, struct buf *out)
{
	if (address.len == 0)
		address = STR("MAILER-DAEMON");
	buf_str(out, address);
	if (addr_domain(address).len == 0)
		buf_print(out, "@%.*s", STR_ARG(host));
}

static void
print_from(const struct envelope *e, struct str host, struct buf *out)
{
	struct str name = str_trim(e->name);

	buf_puts(out, "From: ");
	if (name.len == 0) {
		render_address(e->sender, host, out);
		buf_putc(out, '\n');
		return;
	}
	if (!is_printable_ascii(name) || name.len > PLAIN_NAME) {
		print_encoded(name, out);
	} else if (is_phrase(name)) {
		buf_print(out, "%.*s ", STR_ARG(name));
	} else {
		print_quoted(name, out);
		buf_putc(out, ' ');
	}
	buf_putc(out, '<');
	render_address(e->sender, host, out);
	buf_puts(out, ">\n");
}

void
render_id(struct str id, uint32_t bounce, struct buf *out)
{
	buf_str(out, id);
	if (bounce)
		buf_print(out, ".bounce%u", bounce);
}

void
render_received(struct str host, struct str id, uint32_t bounce, int64_t date, struct buf *out)
{
	buf_print(out, "Received: by %.*s (mtabox) id ", STR_ARG(host));
	render_id(id, bounce, out);
	buf_puts(out, ";\n\t");
	date_print(date, out);
	buf_putc(out, '\n');
}

void
render_fields(const struct envelope *e, const struct journal *j, struct str id,
	      struct buf *out)
{
	render_received(j->host, id, 0, j->date, out);
	if (!e->header.date) {
		buf_puts(out, "Date: ");
		date_print(j->date, out);
		buf_putc(out, '\n');
	}
	if (!e->header.from)
		print_from(e, j->host, out);
	if (!e->header.message_id)
		buf_print(out, "Message-ID: <%.*s>\n", STR_ARG(j->message_id));
	/* Else the body's first line would be taken for a field, or for a broken one. */
	if (!e->header.present)
		buf_putc(out, '\n');
}

void
render_message_id(struct str id, uint64_t random, struct str host, struct buf *out)
{
	buf_print(out, "%.*s.%016llx@%.*s", STR_ARG(id), (unsigned long long)random,
		  STR_ARG(host));
}
