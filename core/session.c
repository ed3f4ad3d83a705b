/* SPDX-License-Identifier: ISC */
#include "session.h"
#include "file.h"
#include "io.h"
#include "smtpd.h"
#include "submit.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sysexits.h>

enum { CHUNK = 4 << 10 }; /* small: one command may be answered with much more */

/* The message at hand. */
struct delivery {
	const struct session *session;
	struct submission sub;
	struct buf sender, envid, why;
	struct intake *intake; /* once its first byte has come */
};

static void
forget(void *ctx)
{
	struct delivery *d = ctx;

	if (d->intake)
		submit_abort(d->intake);
	d->intake = NULL;
	addr_set_free(&d->sub.rcpts);
	buf_free(&d->sub.lines);
	d->sender.len = d->envid.len = 0;
}

static int
begin(void *ctx, const struct smtpd_path *sender, struct buf *why)
{
	struct delivery *d = ctx;
	struct site *site = d->session->site;

	(void)why;
	buf_str(&d->sender, sender->address);
	buf_str(&d->envid, sender->notify.id);
	d->sub = (struct submission){
		.conf = &site->conf, .aliases = &site->aliases, .passwd = &site->passwd,
		.users = &site->users, .sender = buf_view(&d->sender),
		.notify = {sender->notify.asks, buf_view(&d->envid)},
		.uid = site->uid,
	};
	return 0;
}

static int
add_rcpt(void *ctx, const struct smtpd_path *rcpt, struct buf *why)
{
	struct delivery *d = ctx;
	uint64_t limit = d->session->site->conf.recipient_limit;
	char line[NOTIFY_TEXT];

	if (limit && d->sub.rcpts.count >= limit) {
		buf_print(why, "recipient_limit is %llu", (unsigned long long)limit);
		return EX_TEMPFAIL;
	}
	if (!submit_is_known(&d->sub, rcpt->address)) {
		buf_puts(why, "no such user here");
		return EX_NOUSER;
	}
	if (addr_set_add(&d->sub.rcpts, rcpt->address)) {
		notify_print(&rcpt->notify, NOTIFY_RCPT, line);
		buf_print(&d->sub.lines, "%s\n", line);
	}
	return 0;
}

static void
open_intake(struct delivery *d)
{
	if (d->intake)
		return;
	d->why.len = 0;
	d->intake = submit_open(&d->sub, d->session->spool, &d->why);
}

/* What is wrong, submit remembers. */
static void
take_data(void *ctx, struct str piece)
{
	struct delivery *d = ctx;

	open_intake(d);
	submit_feed(d->intake, piece);
}

static int
end(void *ctx, const struct text_facts *facts, struct buf *why)
{
	struct delivery *d = ctx;
	char id[SPOOL_ID + 1];
	struct intake *intake;

	(void)facts;
	open_intake(d);
	intake = d->intake;
	d->intake = NULL;
	int status = submit_commit(intake, id);
	if (status == 0) {
		buf_puts(why, id);
		d->session->queued(d->session->ctx);
	} else {
		buf_str(why, buf_view(&d->why));
	}
	forget(d);
	return status;
}

static int
converse(struct smtpd *s, int in, int out)
{
	char space[CHUNK];
	struct reader r;
	struct str bytes;
	int more;

	reader_init(&r, in, space, sizeof space);
	for (;;) {
		if (file_write(out, buf_view(&s->out)))
			return EX_IOERR;
		s->out.len = 0;
		if (s->done)
			return EX_OK;
		if ((more = reader_bytes(&r, &bytes)) <= 0)
			return more < 0 ? EX_IOERR : EX_OK;
		smtpd_input(s, bytes);
	}
}

int
session_run(const struct session *session, int in, int out)
{
	struct smtpd *s = buf_array(NULL, 1, sizeof *s);
	struct delivery d = {.session = session};
	struct stat st = {0};

	/* Of which nothing can be said is no socket. */
	fstat(in, &st);
	struct smtpd_config config = {
		.name = str_of(session->site->conf.mailname),
		.size_limit = session->site->conf.message_size_limit,
		.strict = S_ISSOCK(st.st_mode),
		.begin = begin, .rcpt = add_rcpt, .data = take_data, .end = end,
		.reset = forget, .ctx = &d,
	};

	smtpd_init(s, &config);
	int status = converse(s, in, out);
	smtpd_close(s);
	buf_free(&s->out);
	buf_free(&d.sender);
	buf_free(&d.envid);
	buf_free(&d.why);
	buf_release(s);
	return status;
}
