/* SPDX-License-Identifier: ISC */
#include "submit.h"
#include "clock.h"
#include "file.h"
#include "io.h"
#include "limit.h"
#include "log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

enum {
	SHORT = 2 << 10, /* read first: most messages are no longer, and take little stack */
	CHUNK = 8 << 10, /* read at a time from then on */
	PLAIN = 512,     /* settled at a time */
	OUT = 16 << 10,  /* written at a time: a message of that size needs no second look at its start */
};

/* Addresses, and by the same index what is asked of each; NULL: nothing of any. */
struct rcpts {
	struct addr_set set;
	struct notify *notifies;
};

/* Everything that lives while one message comes in. */
struct intake {
	struct submission *sub;
	struct spool *spool;
	struct buf *why;
	struct stamp now;
	struct rewrite rewrite;
	struct buf sender;       /* rewritten */
	struct text text;
	struct header header;
	bool in_header;          /* the header is not over yet */
	struct rcpts rcpts;      /* as they go into the envelope: aliases expanded */
	struct rcpts left;       /* local names to be expanded at delivery */
	struct envelope envelope;
	struct spool_draft draft;
	struct buf head;         /* the envelope's text, at the end its first line anew */
	struct writer body;      /* to the draft */
	char *out;               /* its OUT bytes: the last to be asked for, so that what is in use lies
				    side by side */
	int status;              /* the first refusal */
	char plain[PLAIN];
};

static int
refuse(struct intake *i, int status, const char *why)
{
	i->why->len = 0;
	buf_puts(i->why, why);
	return status;
}

static bool
asks_nothing(const struct notify *n)
{
	return n->asks == 0 && n->id.len == 0;
}

static struct notify
notify_of(const struct rcpts *r, size_t at)
{
	return r->notifies ? r->notifies[at] : (struct notify){0};
}

/* Room for one more than there are addresses. */
static void
set_notify(struct rcpts *r, size_t at, const struct notify *n)
{
	bool first = r->notifies == NULL;

	if (first && asks_nothing(n))
		return;
	r->notifies = buf_array(r->notifies, r->set.cap, sizeof *r->notifies);
	if (first)
		memset(r->notifies, 0, r->set.cap * sizeof *r->notifies);
	r->notifies[at] = *n;
}

static void
add(struct rcpts *r, struct str address, const struct notify *n)
{
	size_t at = addr_set_find(&r->set, address);
	struct notify both = *n;

	if (!addr_set_add(&r->set, address)) {
		both = notify_of(r, at);
		notify_merge(&both, n);
	}
	set_notify(r, at, &both);
}

static bool
is_alias_domain(void *ctx, struct str domain)
{
	const struct conf *c = ctx;

	return domain.len == 0 || conf_is_local(c, domain);
}

/* On a null client no mailbox is on this device: a name that stands for itself belongs to
 * the device's own name, at the smarthost. */
static void
add_local(struct intake *i, struct str local, const struct notify *n)
{
	const struct conf *c = i->sub->conf;
	struct buf full = {0};

	buf_str(&full, local);
	if (c->nullclient)
		buf_print(&full, "@%s", c->mailname);
	add(&i->rcpts, buf_view(&full), n);
	buf_free(&full);
}

static void
add_found(struct intake *i, const struct alias_found *found, const struct notify *n)
{
	for (size_t at = 0; at < found->addresses.count; at++) {
		struct str address = addr_set_get(&found->addresses, at);
		if (addr_domain(address).len == 0)
			add_local(i, address, n);
		else
			add(&i->rcpts, address, n);
	}
	for (size_t at = 0; at < found->left.count; at++)
		add(&i->left, addr_set_get(&found->left, at), n);
}

static void
add_recipient(struct intake *i, struct str address, const struct notify *n)
{
	const struct conf *c = i->sub->conf;
	struct alias_found found;

	if (i->sub->final) {
		add(&i->rcpts, addr_local(address), n);
		return;
	}
	if (!is_alias_domain((void *)c, addr_domain(address))) {
		add(&i->rcpts, address, n);
		return;
	}
	/* What an alias became is reported from the journal: expanded when it is delivered. */
	if (notify_wants(n, NOTIFY_SUCCESS) && alias_has(i->sub->aliases, address)) {
		add(&i->left, addr_local(address), n);
		return;
	}
	switch (alias_expand(i->sub->aliases, address, is_alias_domain, (void *)c, &found)) {
	case ALIAS_EXPANDED:
		add_found(i, &found, n);
		break;
	case ALIAS_NONE:
		add_local(i, addr_local(address), n);
		break;
	case ALIAS_TOO_MANY:
	case ALIAS_UNUSABLE:
		log_warn("%s: the alias %.*s leads too far: its mail waits until that is mended",
			 c->aliases, STR_ARG(addr_local(address)));
		add(&i->left, addr_local(address), n);
		break;
	}
	alias_found_free(&found);
}

bool
submit_is_known(const struct submission *sub, struct str address)
{
	const struct conf *c = sub->conf;
	struct buf name = {0};
	struct user u = {0};

	if (!is_alias_domain((void *)c, addr_domain(address)) || c->nullclient || *c->adminaddr ||
	    alias_has(sub->aliases, address))
		return true;
	addr_print_user(address, &name);
	bool known = user_of_mail(sub->passwd, buf_view(&name), &u) != USER_UNKNOWN;
	user_free(&u);
	buf_free(&name);
	return known;
}

/* Mail that nobody at all would get is not taken. */
static int
check_known(struct intake *i)
{
	const struct submission *sub = i->sub;
	struct str address = {0};

	for (size_t n = 0; n < sub->rcpts.count; n++) {
		address = addr_set_get(&sub->rcpts, n);
		if (submit_is_known(sub, address))
			return 0;
	}
	i->why->len = 0;
	buf_print(i->why, "no such user here: %.*s", STR_ARG(address));
	return EX_NOUSER;
}

static size_t
count_recipients(const struct intake *i)
{
	return i->rcpts.set.count + i->left.set.count;
}

static void
add_recipients(struct intake *i)
{
	struct submission *sub = i->sub;
	struct str lines = buf_view(&sub->lines);

	for (size_t n = 0; n < sub->rcpts.count; n++) {
		struct str line = str_cut(&lines, '\n');
		struct notify notify = line.len ? (struct notify){0} : sub->all;
		/* A blank precedes each parameter. */
		notify_parse(&notify, NOTIFY_RCPT, str_from(line, 1));
		add_recipient(i, addr_set_get(&sub->rcpts, n), &notify);
	}
	addr_set_free(&sub->rcpts);
}

/* All recipients there will be are known: the envelope's list. 0, or a status. */
static int
collect_recipients(struct intake *i)
{
	struct submission *sub = i->sub;
	uint64_t limit = sub->conf->recipient_limit;

	/* RFC 5321 6.3: aliases lead out, and something out there brings it back. */
	if (i->header.hops > LIMIT_HOPS)
		return refuse(i, EX_DATAERR, "a mail loop: over 100 Received fields");
	if (i->header.bad > 0)
		return refuse(i, EX_DATAERR, buf_cstr(&i->header.complaint));
	for (size_t n = 0; n < i->header.recipients.count && sub->take_recipients; n++)
		addr_set_add(&sub->rcpts, addr_set_get(&i->header.recipients, n));
	addr_set_free(&i->header.recipients);
	if (sub->rcpts.count == 0)
		return refuse(i, EX_USAGE, sub->take_recipients ?
			      "no recipients: neither To, Cc nor Bcc names any" :
			      "no recipients: name them as arguments, or use -t to take those of To, Cc and Bcc");
	int status = sub->mail_errors ? EX_OK : check_known(i);
	if (status)
		return status;
	add_recipients(i);
	if (limit && count_recipients(i) > limit) {
		i->why->len = 0;
		buf_print(i->why, "%zu recipients: recipient_limit is %llu", count_recipients(i),
			  (unsigned long long)limit);
		return EX_TEMPFAIL;
	}
	return 0;
}

static void
print_rcpts(const struct rcpts *r, bool alias, struct buf *out)
{
	for (size_t n = 0; n < r->set.count; n++)
		envelope_print_rcpt(&(struct envelope_rcpt){
			.address = addr_set_get(&r->set, n), .alias = alias,
			.notify = notify_of(r, n),
		}, out);
}

static void
print_envelope(struct intake *i, struct buf *out)
{
	i->envelope = (struct envelope){
		.header = i->header.facts,
		.arrived = i->now,
		.uid = i->sub->uid,
		.name = i->sub->name,
		.sender = buf_view(&i->sender),
		.notify = i->sub->notify,
		.rcpt_count = count_recipients(i),
	};
	envelope_print_head(&i->envelope, out);
	print_rcpts(&i->rcpts, false, out);
	print_rcpts(&i->left, true, out);
	envelope_print_end(&i->envelope, out);
}

/* Rewritten fields may have longer lines than those that came in, and other domains. */
static void
note_rewritten(struct text_facts *facts, struct str fields)
{
	facts->eightbit |= !str_is_ascii(fields);
	while (fields.len > 0)
		facts->long_line |= str_cut(&fields, '\n').len > LIMIT_WIRE_LINE;
}

/* What could not be read back must not be taken: aliases, rewriting and the configuration have
 * all had their say in it. 0, or a status. */
static int
check_envelope(struct intake *i, struct str text)
{
	struct envelope back;
	const char *why = "its envelope is over 16 MB";

	if (text.len <= LIMIT_ENVELOPE && envelope_parse(text, &back, &why) == 0) {
		envelope_free(&back);
		return 0;
	}
	i->why->len = 0;
	buf_print(i->why, "the message cannot be kept: %s, or is over a limit", why);
	return EX_DATAERR;
}

/* 0, or a status. */
static int
create_draft(struct intake *i)
{
	if (spool_room(i->spool, i->why))
		return EX_TEMPFAIL;
	/* Without memory we end: before there is something to be left behind. */
	i->out = buf_array(NULL, OUT, 1);
	if (spool_create(i->spool, &i->now, &i->draft) == 0)
		return 0;
	int err = errno;
	i->why->len = 0;
	buf_print(i->why, "cannot create a file in %s: %s", i->spool->path, strerror(err));
	return err == ENOSPC || err == EDQUOT ? EX_TEMPFAIL : EX_CANTCREAT;
}

static void
write_head(struct intake *i)
{
	writer_init(&i->body, i->draft.fd, i->out, OUT);
	writer_add(&i->body, buf_view(&i->head));
	writer_add(&i->body, buf_view(&i->header.fields));
	if (i->header.facts.present)
		writer_add(&i->body, STR("\n"));
	writer_add(&i->body, buf_view(&i->header.line));
}

/* The header is over: the draft begins with envelope and header. 0, or a status. */
static int
begin_draft(struct intake *i)
{
	int status = collect_recipients(i);

	if (status)
		return status;
	if (i->header.changed)
		note_rewritten(&i->text.facts, buf_view(&i->header.fields));
	print_envelope(i, &i->head);
	status = check_envelope(i, buf_view(&i->head));
	if (status == 0)
		status = create_draft(i);
	if (status == 0) {
		write_head(i);
		header_free(&i->header);
		i->in_header = false;
	}
	return status;
}

/* Message text, line ends settled: to the header's pass, what follows it to the draft. */
static int
take_text(struct intake *i, struct str piece)
{
	uint64_t limit = i->sub->conf->message_size_limit;

	if (i->in_header) {
		switch (header_feed(&i->header, &piece)) {
		case HEADER_MORE:
			return 0;
		case HEADER_TOO_BIG:
			return refuse(i, EX_DATAERR, "the message's header is too long: over 1 MB");
		case HEADER_DONE: {
			int status = begin_draft(i);
			if (status)
				return status;
		}
		}
	}
	writer_add(&i->body, piece);
	if (limit && i->body.total - i->envelope.offset > limit) {
		i->why->len = 0;
		buf_print(i->why, "the message is too large: message_size_limit is %llu bytes",
			  (unsigned long long)limit);
		return EX_TEMPFAIL;
	}
	return 0;
}

/* The input is over. */
static int
end_text(struct intake *i)
{
	char last[4];
	int status = take_text(i, (struct str){last, text_finish(&i->text, last)});

	if (status || !i->in_header)
		return status;
	if (header_finish(&i->header) == HEADER_TOO_BIG)
		return refuse(i, EX_DATAERR, "the message's header is too long: over 1 MB");
	return begin_draft(i);
}

/* From the end of input to "the mail is ours". */
static int
commit(struct intake *i)
{
	struct buf *fixed = &i->head;

	fixed->len = 0;
	i->envelope.length = i->body.total - i->envelope.offset;
	i->envelope.text = i->text.facts;
	envelope_print_fixed(&i->envelope, fixed);
	i->draft.fixed = writer_patch(&i->body, 0, buf_view(fixed));
	int rc = writer_flush(&i->body);
	if (rc)
		spool_abort(i->spool, &i->draft);
	else
		rc = spool_commit(i->spool, &i->draft, buf_view(fixed));
	if (rc == 0)
		return 0;
	int err = errno;
	i->why->len = 0;
	buf_print(i->why, "cannot keep the message in %s: %s", i->spool->path, strerror(err));
	return err == ENOSPC || err == EDQUOT || err == EFBIG ? EX_TEMPFAIL : EX_IOERR;
}

struct intake *
submit_open(struct submission *sub, struct spool *spool, struct buf *why)
{
	struct intake *i = buf_array(NULL, 1, sizeof *i);

	/* Not the buffers: memory that a short message does not touch is never there. */
	memset(i, 0, offsetof(struct intake, plain));
	i->sub = sub;
	i->spool = spool;
	i->why = why;
	i->in_header = true;
	i->draft.fd = -1;
	clock_read(&i->now);
	text_init(&i->text, sub->dots);
	header_init(&i->header, sub->take_recipients);
	i->rewrite = (struct rewrite){sub->conf, sub->users};
	if (sub->final) {
		buf_str(&i->sender, sub->sender);
	} else {
		i->header.change = rewrite_address;
		i->header.ctx = &i->rewrite;
		rewrite_sender(&i->rewrite, sub->sender, &i->sender);
	}
	return i;
}

bool
submit_feed(struct intake *i, struct str bytes)
{
	while (bytes.len > 0 && !i->text.ended && i->status == 0) {
		size_t n = text_feed(&i->text, &bytes, i->plain, sizeof i->plain);
		i->status = take_text(i, (struct str){i->plain, n});
	}
	/* A disk that is full stays full: no need to hear the rest. */
	return !i->text.ended && i->status == 0 && (i->in_header || !i->body.error);
}

static void
free_rcpts(struct rcpts *r)
{
	addr_set_free(&r->set);
	buf_release(r->notifies);
}

static void
close_intake(struct intake *i)
{
	if (i->draft.fd >= 0)
		spool_abort(i->spool, &i->draft);
	header_free(&i->header);
	buf_free(&i->sender);
	free_rcpts(&i->rcpts);
	free_rcpts(&i->left);
	buf_free(&i->head);
	buf_release(i->out);
	buf_release(i);
}

void
submit_abort(struct intake *i)
{
	close_intake(i);
}

int
submit_commit(struct intake *i, char id[SPOOL_ID + 1])
{
	int status = i->status ? i->status : end_text(i);

	if (status == 0)
		status = commit(i);
	if (status == 0) {
		/* From here on the mail is ours. */
		memcpy(id, i->draft.id, SPOOL_ID + 1);
		log_role("pickup");
		log_info("%s: uid=%u from=<%.*s>", id, (unsigned)i->envelope.uid,
			 STR_ARG(i->sender));
	}
	close_intake(i);
	return status;
}

/* What comes behind the first SHORT bytes. Inline, its stack would be a short message's too. */
__attribute__((noinline)) static int
take_rest(struct intake *i, int fd)
{
	struct reader in;
	struct str piece;
	char space[CHUNK];
	int more;

	reader_init(&in, fd, space, sizeof space);
	while ((more = reader_bytes(&in, &piece)) > 0 && submit_feed(i, piece))
		;
	return more;
}

int
submit(struct submission *sub, int fd, struct spool *spool, char id[SPOOL_ID + 1],
       struct buf *why)
{
	struct intake *i = submit_open(sub, spool, why);
	struct reader in;
	struct str piece;
	char space[SHORT];
	int more;

	reader_init(&in, fd, space, sizeof space);
	while ((more = reader_bytes(&in, &piece)) > 0 && submit_feed(i, piece))
		if (piece.len == sizeof space) {
			more = take_rest(i, fd);
			break;
		}
	if (more >= 0)
		return submit_commit(i, id);
	why->len = 0;
	buf_print(why, "cannot read the message: %s", strerror(errno));
	submit_abort(i);
	return EX_NOINPUT;
}
