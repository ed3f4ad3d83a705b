/* SPDX-License-Identifier: ISC */
#include "dsn.h"
#include "date.h"
#include "render.h"

enum { MESSAGE_ID = 250 }; /* longest Message-ID that is quoted in References */

static const struct journal_rcpt *
bounce_of(const struct dsn *d)
{
	return &d->journal->rcpts[d->bounce];
}

/* Nothing in the original can hold this by accident: the id is younger than the original. */
static void
print_boundary(const struct dsn *d, struct buf *out)
{
	buf_print(out, "=_%.*s.%u", STR_ARG(d->id), bounce_of(d)->bounce);
}

static void
print_date(const char *field, int64_t wall, struct buf *out)
{
	buf_print(out, "%s: ", field);
	date_print(wall, out);
	buf_putc(out, '\n');
}

/* The first field of that name, "name:" included, in a header; its first line after the
 * colon, or where that is blank the next one (RFC 5322 allows to fold there). */
static struct str
field_line(struct str header, struct str name)
{
	while (header.len > 0 && header.ptr[0] != '\n') {
		struct str line = str_cut(&header, '\n');
		if (!str_istarts(line, name))
			continue;
		line = str_trim(str_from(line, name.len));
		if (line.len == 0 && header.len > 0 && str_is_blank(header.ptr[0]))
			line = str_trim(str_cut(&header, '\n'));
		return line;
	}
	return (struct str){0};
}

/* The original's Message-ID with its <>, or empty: it is a stranger's text that becomes part
 * of our header, so it must be one short word. */
static struct str
original_id(struct str header)
{
	struct str id = field_line(header, STR("Message-ID:"));

	if (id.len < 3 || id.len > MESSAGE_ID || id.ptr[0] != '<' ||
	    str_find(id, '>') != id.len - 1)
		return (struct str){0};
	for (size_t i = 0; i < id.len; i++)
		if (id.ptr[i] <= ' ' || id.ptr[i] > '~')
			return (struct str){0};
	return id;
}

static const struct {
	const char *subject, *words;
} news_words[] = {
	[JOURNAL_FAILURE] = {"Undelivered Mail Returned to Sender",
		"Your message could not be delivered to the recipients below.\n"},
	[JOURNAL_SUCCESS] = {"Successful Mail Delivery Report",
		"As you asked to be told: your message has been delivered or passed on\n"
		"to the recipients below.\n"},
	[JOURNAL_DELAY] = {"Delayed Mail (still being tried)",
		"Your message could not be delivered yet to the recipients below.\n"
		"It is kept and tried again: you need not send it once more.\n"},
};

/* RFC 3464 2.3.3. */
static const char *
action(const struct journal_rcpt *r, unsigned code)
{
	return r->fate == JOURNAL_FAILED ? "failed" : r->fate == JOURNAL_PENDING ? "delayed" :
	       r->expanded ? "expanded" : code ? "relayed" : "delivered";
}

/* A recipient's last verdict; cleaned once more, since it comes from a file. Where his mailbox
 * is need not be known to who wrote to him. */
static struct outcome
last_words(const struct journal_rcpt *r)
{
	struct outcome o = journal_outcome(r);
	unsigned short code = o.code;
	bool own = code == 0 && r->fate == JOURNAL_SENT;

	o = outcome_make(o.verdict, o.subject, o.detail, "%s", own ? action(r, 0) : o.text);
	o.code = code;
	return o;
}

static void
print_reason(const struct journal_rcpt *r, const struct outcome *o, struct str host,
	     struct buf *out)
{
	buf_putc(out, '<');
	render_address(r->address, host, out);
	buf_puts(out, ">\n    ");
	if (o->code)
		buf_print(out, "The mail server said: %u ", o->code);
	buf_print(out, "%s\n\n", o->text);
}

/* A server's words where programs read: in a report on plain addresses UTF-8 would need a type
 * that most of them do not know (RFC 6533). People have them as they are. */
static void
print_ascii(const char *text, struct buf *out)
{
	for (; *text; text++)
		if ((*text & 0xc0) != 0x80)
			buf_putc(out, *text & 0x80 ? '?' : *text);
}

/* RFC 3464 2.3. */
static void
print_rcpt_fields(const struct dsn *d, const struct journal_rcpt *r, const struct outcome *o,
		  struct buf *out)
{
	int64_t give_up = d->journal->give_up;
	struct str original = r->notify.id, type = str_cut(&original, ';');

	if (type.len > 0) {
		buf_print(out, "\nOriginal-Recipient: %.*s; ", STR_ARG(type));
		notify_print_plain(original, out);
	}
	buf_print(out, "\nFinal-Recipient: %s; ", str_is_ascii(r->address) ? "rfc822" : "utf-8");
	render_address(r->address, d->host, out);
	buf_print(out, "\nAction: %s\nStatus: ", action(r, o->code));
	outcome_print_status(o, out);
	buf_print(out, o->code ? "\nDiagnostic-Code: smtp; %u " :
				 "\nDiagnostic-Code: x-mtabox; ", o->code);
	print_ascii(o->text, out);
	buf_putc(out, '\n');
	if (r->last_at.believable)
		print_date("Last-Attempt-Date", r->last_at.wall, out);
	if (r->fate == JOURNAL_PENDING && give_up)
		print_date("Will-Retry-Until", give_up, out);
}

/* The part for people and the one for programs, as they are made. */
struct parts {
	const struct dsn *d;
	struct buf words, fields;
	bool expired;
};

static void
print_rcpt(void *ctx, const struct journal_rcpt *r)
{
	struct parts *p = ctx;
	struct outcome o = last_words(r);

	print_reason(r, &o, p->d->host, &p->words);
	print_rcpt_fields(p->d, r, &o, &p->fields);
	/* RFC 3463 X.4.7: delivery time expired. */
	p->expired = p->expired || (o.subject == 4 && o.detail == 7);
}

/* Side by side (RFC 3464 2.2). */
static void
print_parts(struct parts *p)
{
	const struct dsn *d = p->d;
	const struct journal *j = d->journal;
	const struct journal_rcpt *r = bounce_of(d);

	buf_print(&p->words, "This is the mail system at %.*s.\n\n%s%s is attached.\n\n",
		  STR_ARG(d->host), news_words[journal_news(j, r)].words,
		  d->full ? "It" : "Its header");
	if (d->envelope->notify.id.len > 0) {
		buf_puts(&p->fields, "Original-Envelope-Id: ");
		notify_print_plain(d->envelope->notify.id, &p->fields);
		buf_putc(&p->fields, '\n');
	}
	buf_print(&p->fields, "Reporting-MTA: dns; %.*s\nX-mtabox-Queue-ID: %.*s\n",
		  STR_ARG(d->host), STR_ARG(d->id));
	if (d->envelope->arrived.believable)
		print_date("Arrival-Date", d->envelope->arrived.wall, &p->fields);
	journal_visit_told(j, r, print_rcpt, p);
	/* The age at that time, not now: each attempt sends the same bytes. */
	if (p->expired && j->bounce_ages[r->bounce - 1] > 0) {
		buf_puts(&p->words, "Delivery was tried for ");
		date_print_interval(j->bounce_ages[r->bounce - 1], &p->words);
		buf_puts(&p->words, " and has been given up.\n");
	}
}

static void
print_header(const struct dsn *d, bool eightbit, struct buf *out)
{
	struct str original = original_id(d->header);
	const struct journal_rcpt *r = bounce_of(d);

	/* To whom it was sent first: all to whom that led are sent the same. */
	while (r->parent)
		r = &d->journal->rcpts[r->parent - 1];
	render_received(d->host, d->id, r->bounce, d->date, out);
	buf_print(out, "From: Mail Delivery System <MAILER-DAEMON@%.*s>\nTo: ",
		  STR_ARG(d->host));
	render_address(r->address, d->host, out);
	buf_print(out, "\nSubject: %s\n", news_words[journal_news(d->journal, r)].subject);
	print_date("Date", d->date, out);
	buf_puts(out, "Message-ID: <");
	render_id(d->id, r->bounce, out);
	buf_print(out, "@%.*s>\n", STR_ARG(d->host));
	if (original.len > 0)
		buf_print(out, "In-Reply-To: %.*s\nReferences: %.*s\n", STR_ARG(original),
			  STR_ARG(original));
	buf_puts(out, "Auto-Submitted: auto-replied\nMIME-Version: 1.0\n"
		      "Content-Type: multipart/report; report-type=delivery-status;\n"
		      "\tboundary=\"");
	print_boundary(d, out);
	buf_print(out, "\"\n%s\nThis is a report in MIME format.\n",
		  eightbit ? "Content-Transfer-Encoding: 8bit\n" : "");
}

/* The beginning of a part. */
static void
print_part(const struct dsn *d, const char *what, const char *type, bool eightbit,
	   struct buf *out)
{
	buf_puts(out, "\n--");
	print_boundary(d, out);
	buf_print(out, "\nContent-Description: %s\nContent-Type: %s\n%s\n", what, type,
		  eightbit ? "Content-Transfer-Encoding: 8bit\n" : "");
}

void
dsn_render_head(const struct dsn *d, struct buf *out)
{
	struct parts p = {.d = d};

	print_parts(&p);
	bool words_ascii = str_is_ascii(buf_view(&p.words));
	bool fields_ascii = str_is_ascii(buf_view(&p.fields));
	print_header(d, d->eightbit || !words_ascii || !fields_ascii, out);
	print_part(d, "Notification", words_ascii ? "text/plain; charset=us-ascii" :
						    "text/plain; charset=utf-8",
		   !words_ascii, out);
	buf_str(out, buf_view(&p.words));
	/* RFC 6533 has its own type for fields that are not ASCII. */
	print_part(d, "Delivery report", fields_ascii ? "message/delivery-status" :
							"message/global-delivery-status",
		   !fields_ascii, out);
	buf_str(out, buf_view(&p.fields));
	print_part(d, d->full ? "Original message" : "Original message header",
		   d->full ? "message/rfc822" : "text/rfc822-headers", d->eightbit, out);
	/* What has no header begins with its empty line here as well. */
	if (d->full && !d->envelope->header.present)
		buf_putc(out, '\n');
	buf_free(&p.words);
	buf_free(&p.fields);
}

void
dsn_render_tail(const struct dsn *d, struct buf *out)
{
	buf_puts(out, "\n--");
	print_boundary(d, out);
	buf_puts(out, "--\n");
}
