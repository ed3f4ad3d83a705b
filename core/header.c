/* SPDX-License-Identifier: ISC */
#include "header.h"
#include "limit.h"

/* What the bytes of the line at hand say. Before FIELD they wait in h->line. */
enum {
	START,  /* nothing yet */
	NAME,   /* a field's name, perhaps */
	BLANKS, /* and blanks, which may stand before its colon */
	FROM_,  /* mbox's "From joe Thu Jan  1 …" */
	MARK,   /* a byte order mark, from its first byte on */
	FIELD,  /* the line belongs to a field */
	ENDED,  /* it does not belong to the header */
};

/* Resent- fields stand together, so do those of recipients. */
enum name {
	DATE, MESSAGE_ID, FROM, SENDER, REPLY_TO, MIME, TYPE, ENCODING, TO, CC, BCC, RETURN_PATH,
	CONTENT_LENGTH, RECEIVED,
	RESENT_DATE, RESENT_MESSAGE_ID, RESENT_FROM, RESENT_SENDER,
	RESENT_TO, RESENT_CC, RESENT_BCC,
	OTHER
};

static const char *const names[OTHER] = {
	"Date", "Message-ID", "From", "Sender", "Reply-To", "MIME-Version", "Content-Type",
	"Content-Transfer-Encoding", "To", "Cc", "Bcc", "Return-Path", "Content-Length",
	"Received",
	"Resent-Date", "Resent-Message-ID", "Resent-From", "Resent-Sender",
	"Resent-To", "Resent-Cc", "Resent-Bcc",
};

/* What becomes of a field; CHANGES plus the role of its addresses. */
enum { STAYS, GOES, CHANGES };

static const unsigned char fates[OTHER + 1] = {
	[FROM] = CHANGES + HEADER_FROM,
	[SENDER] = CHANGES + HEADER_SENDER,
	[REPLY_TO] = CHANGES + HEADER_SENDER,
	[TO] = CHANGES + HEADER_RCPT,
	[CC] = CHANGES + HEADER_RCPT,
	[BCC] = GOES,
	[RETURN_PATH] = GOES,
	[CONTENT_LENGTH] = GOES, /* it counts other bytes than will arrive */
	[RESENT_FROM] = CHANGES + HEADER_FROM,
	[RESENT_SENDER] = CHANGES + HEADER_SENDER,
	[RESENT_TO] = CHANGES + HEADER_RCPT,
	[RESENT_CC] = CHANGES + HEADER_RCPT,
	[RESENT_BCC] = GOES,
};

enum { PIECE_SHOWN = 200 }; /* bytes of a bad address in h->complaint */

void
header_init(struct header *h, bool take_recipients)
{
	*h = (struct header){.take_recipients = take_recipients, .name = OTHER};
}

void
header_free(struct header *h)
{
	buf_free(&h->fields);
	addr_set_free(&h->recipients);
	buf_free(&h->complaint);
	buf_free(&h->line);
}

static unsigned char
find_name(struct str s)
{
	unsigned char i = 0;

	while (i < OTHER && !str_is(s, names[i]))
		i++;
	return i;
}

static void
note_fact(struct header_facts *f, unsigned char name, struct str value)
{
	bool eightbit = name == ENCODING && str_ieq(value, STR("8bit"));

	f->date |= name == DATE;
	f->message_id |= name == MESSAGE_ID;
	f->from |= name == FROM;
	f->mime |= name == MIME;
	f->to |= name == TO;
	f->cc |= name == CC;
	f->type |= name == TYPE;
	f->eightbit |= eightbit;
	f->opaque |= (name == TYPE && !str_istarts(value, STR("text/"))) ||
		     (name == ENCODING && !eightbit && !str_ieq(value, STR("7bit")));
}

/* Whether a field of that name, behind one named h->name, says who gets the message. Keeps
 * track of Resent- blocks. */
static bool
names_recipients(struct header *h, unsigned char name)
{
	if (name < RESENT_DATE || name == OTHER)
		return !h->resent && name >= TO && name <= BCC;

	/* A name for the second time is an older block's, unless it is one field in two. */
	unsigned bit = 1u << name;
	if (h->resent_seen & bit && h->name != name)
		h->resent_older = true;
	h->resent_seen |= bit;
	if (name < RESENT_TO)
		return false;
	if (!h->resent) {
		/* Whoever got the message at first does not get it again. */
		h->resent = true;
		addr_set_free(&h->recipients);
		buf_free(&h->complaint);
		h->bad = 0;
	}
	return !h->resent_older;
}

static void
visit(void *ctx, struct str address)
{
	struct header *h = ctx;

	addr_set_add(&h->recipients, address);
}

static void
complain(void *ctx, struct str piece, const char *why)
{
	struct header *h = ctx;

	if (h->bad++ == 0)
		buf_print(&h->complaint, "%s: %.*s: %s", names[h->name],
			  STR_ARG(str_upto(piece, PIECE_SHOWN)), why);
}

static bool
change(void *ctx, struct str address, struct buf *out)
{
	struct header *h = ctx;

	if (h->taken > LIMIT_HEADER ||
	    !h->change(h->ctx, fates[h->name] - CHANGES, address, out))
		return false;
	h->taken += out->len;
	return true;
}

/* value: of the field at hand, with its LF. */
static void
change_field(struct header *h, struct str value)
{
	struct buf changed = {0};

	if (addr_change_list(str_upto(value, value.len - 1), change, h, &changed)) {
		h->fields.len -= value.len;
		buf_str(&h->fields, buf_view(&changed));
		buf_putc(&h->fields, '\n');
		h->changed = true;
	}
	buf_free(&changed);
}

/* The field at hand, if there is one, is complete. */
static void
end_field(struct header *h)
{
	struct str value = buf_tail(&h->fields, h->field_start);
	unsigned char name = find_name(str_trim(str_cut(&value, ':')));
	bool wanted = h->take_recipients && names_recipients(h, name);

	h->name = name;
	h->hops += name == RECEIVED;
	note_fact(&h->facts, name, str_trim(value));
	if (wanted)
		addr_parse_list(str_trim(value), visit, complain, h);
	if (fates[name] == GOES)
		h->fields.len = h->field_start;
	else if (fates[name] >= CHANGES && h->change)
		change_field(h, value);
	h->field_start = h->fields.len;
}

/* RFC 5322 3.6.8 */
static bool
is_ftext(char c)
{
	return c > ' ' && c <= '~' && c != ':';
}

static bool
is_from_line(const struct header *h)
{
	struct str line = buf_tail(&h->line, h->line_start);

	return !h->facts.present &&
	       (str_starts(line, STR("From ")) || str_starts(line, STR(">From ")));
}

/* Some editors put U+FEFF in front of all text. */
static bool
is_mark(const struct header *h)
{
	return !h->facts.present && str_starts(STR("\xef\xbb\xbf"), buf_view(&h->line));
}

/* The state after c, which h->line already ends with. */
static unsigned char
next_state(const struct header *h, char c)
{
	size_t len = h->line.len - h->line_start;

	if (is_mark(h))
		return MARK;
	if (h->state == MARK)
		return ENDED;
	if (h->state == START && str_is_blank(c))
		return h->facts.present ? FIELD : ENDED;
	if (h->state == FROM_)
		return len <= LIMIT_WIRE_LINE ? FROM_ : ENDED;
	if (h->state != START && c == ':')
		return FIELD;
	if (len <= LIMIT_FIELD_NAME && str_is_blank(c))
		return BLANKS;
	if (len <= LIMIT_FIELD_NAME && is_ftext(c) && h->state != BLANKS)
		return NAME;
	return is_from_line(h) ? FROM_ : ENDED;
}

/* Length of what a name goes on with: bytes that change nothing. */
static size_t
more_of_name(const struct header *h, struct str in)
{
	size_t n = 0, len = h->line.len - h->line_start;

	while (h->state == NAME && n < in.len && len + n < LIMIT_FIELD_NAME && is_ftext(in.ptr[n]))
		n++;
	return n;
}

/* Takes a byte of a line that nothing is known of yet. */
static void
take_byte(struct header *h, char c)
{
	buf_putc(&h->line, c);
	h->state = next_state(h, c);
	if ((h->state == FROM_ && c == '\n') || (h->state == MARK && h->line.len == 3)) {
		h->state = START;
		h->line_start = h->line.len;
	} else if (h->state == FIELD) {
		if (c == ':')
			end_field(h);
		h->facts.present = true;
		buf_str(&h->fields, buf_tail(&h->line, h->line_start));
		h->line.len = h->line_start = 0;
	} else if (h->state == ENDED) {
		end_field(h);
		if (h->line.len == 1 && c == '\n')
			h->line.len = 0;
	}
}

static enum header_status
status(const struct header *h)
{
	return h->taken > LIMIT_HEADER ? HEADER_TOO_BIG :
	       h->state == ENDED ? HEADER_DONE : HEADER_MORE;
}

enum header_status
header_feed(struct header *h, struct str *in)
{
	while (in->len > 0 && h->state != ENDED) {
		bool in_field = h->state == FIELD;
		size_t n = in_field ? str_find(*in, '\n') + 1 : more_of_name(h, *in);
		struct str piece = str_upto(*in, n ? n : 1);
		h->taken += piece.len;
		if (h->taken > LIMIT_HEADER)
			return HEADER_TOO_BIG;
		*in = str_from(*in, piece.len);
		buf_str(in_field ? &h->fields : &h->line, str_upto(piece, n));
		if (n == 0)
			take_byte(h, piece.ptr[0]);
		else if (in_field && piece.len == n)
			h->state = START;
	}
	return status(h);
}

enum header_status
header_finish(struct header *h)
{
	if (h->state == FIELD)
		buf_putc(&h->fields, '\n');
	if (h->state != ENDED)
		end_field(h);
	h->state = ENDED;
	return status(h);
}
