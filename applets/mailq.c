/* SPDX-License-Identifier: ISC */
#include "applets.h"
#include "args.h"
#include "attempt.h"
#include "clock.h"
#include "date.h"
#include "file.h"
#include "io.h"
#include "log.h"
#include "retry.h"
#include "site.h"
#include "spool.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

static const char grammar[] = "A:B:b:C:cD:d;E:e:F:f:Gh:IiJ:L:M:mN:nO:o:p:Q:q;R:r:sTtUV:vX:x";

static const char usage_text[] =
	"usage: mailq [-C FILE] [-O KEY=VALUE] [-L TAG]\n"
	"Lists what is queued: id, size, arrival, sender; for each recipient the last reason\n"
	"and when it is tried next. Behind the id: ! held, # cannot be read.\n";

struct name {
	char state;
	char id[SPOOL_ID + 1];
};

struct listing {
	struct spool spool;
	const struct conf *conf;
	struct name *names;
	size_t count, cap;
	uint64_t bytes;
	struct stamp now;
	struct writer out;
	char space[4096];
};

static void
add_name(void *ctx, char state, struct str id)
{
	struct listing *l = ctx;

	if (l->count == l->cap) {
		l->cap = l->cap ? 2 * l->cap : 64;
		l->names = buf_array(l->names, l->cap, sizeof *l->names);
	}
	l->names[l->count] = (struct name){.state = state};
	memcpy(l->names[l->count++].id, id.ptr, SPOOL_ID);
}

/* In a queue of many users, everybody's own messages are those that he can open. */
static void
add_own(void *ctx, char state, struct str id)
{
	struct listing *l = ctx;
	int fd = spool_peek(&l->spool, state, id);

	if (fd < 0 && errno == EACCES)
		return;
	add_name(l, state, id);
	if (fd >= 0)
		close(fd);
}

/* By id, with Shell's method. */
static void
sort(struct name *names, size_t count)
{
	for (size_t gap = count / 2; gap > 0; gap /= 2)
		for (size_t n = gap; n < count; n++) {
			struct name moved = names[n];
			size_t at = n;
			for (; at >= gap && strcmp(names[at - gap].id, moved.id) > 0; at -= gap)
				names[at] = names[at - gap];
			names[at] = moved;
		}
}

/* Bytes from a file for a terminal: what could steer it is made visible. */
static void
put_safe(struct listing *l, struct str s)
{
	for (size_t n = 0; n < s.len; n++) {
		/* U+0080 to U+009f: a second set of controls (ISO 6429), here in UTF-8. */
		bool c1 = s.ptr[n] == '\xc2' && n + 1 < s.len && (s.ptr[n + 1] & 0xe0) == 0x80;
		writer_add(&l->out, c1 || str_is_control(s.ptr[n]) ? STR("?") :
					(struct str){s.ptr + n, 1});
		n += c1;
	}
}

static void
put_reason(struct listing *l, const struct name *name, const struct journal_rcpt *r)
{
	struct outcome o = journal_outcome(r);
	struct retry_policy p = {l->conf->retry_min, l->conf->retry_max, l->conf->queue_lifetime};
	struct buf line = {0};
	int64_t wait = retry_wait(&p, r, attempt_salt(str_of(name->id)), &l->now);

	buf_puts(&line, "                  (");
	if (o.code)
		buf_print(&line, "%u ", (unsigned)o.code);
	buf_puts(&line, r->last.len ? o.text : "not tried yet");
	if (name->state == 'Q' && wait > 0) {
		buf_puts(&line, "; next attempt in ");
		date_print_interval(wait, &line);
	}
	buf_puts(&line, ")\n");
	put_safe(l, str_upto(buf_view(&line), line.len - 1));
	writer_add(&l->out, STR("\n"));
	buf_free(&line);
}

static void
put_head(struct listing *l, const struct name *name, uint64_t size, int64_t arrived,
	 struct str sender)
{
	struct buf line = {0}, when = {0};

	date_print_iso(arrived, &when);
	buf_print(&line, "%s%c %8llu %.*s  ", name->id,
		  name->state == 'H' ? '!' : name->state == 'C' ? '#' : ' ',
		  (unsigned long long)size, STR_ARG(when));
	writer_add(&l->out, buf_view(&line));
	put_safe(l, sender.len ? sender : STR("MAILER-DAEMON"));
	writer_add(&l->out, STR("\n"));
	buf_free(&line);
	buf_free(&when);
}

static void
put_message(struct listing *l, const struct name *name, const struct envelope *e,
	    const struct journal *j)
{
	struct str last = {0};

	put_head(l, name, e->length, e->arrived.wall, e->sender);
	l->bytes += e->length;
	for (size_t n = 0; n < j->count; n++) {
		const struct journal_rcpt *r = &j->rcpts[n];
		if (r->fate == JOURNAL_SENT || (r->fate == JOURNAL_FAILED && !journal_owes(j, r)))
			continue;
		/* One reason for several recipients stands once. */
		if (n == 0 || !str_eq(last, r->last) || !last.len)
			put_reason(l, name, r);
		last = r->last;
		writer_add(&l->out, STR("                                              "));
		put_safe(l, r->address);
		writer_add(&l->out, STR("\n"));
	}
}

static void
put_file(struct listing *l, const struct name *name)
{
	struct buf text = {0}, log = {0};
	struct envelope e;
	struct journal j;
	const char *why = "cannot be opened";
	int fd = spool_peek(&l->spool, name->state, str_of(name->id));

	if (fd < 0 && errno == ENOENT)
		return; /* delivered while we look */
	if (fd >= 0 && spool_read(fd, &text, &log, &e, &j, &why) == 0) {
		put_message(l, name, &e, &j);
		journal_free(&j);
		envelope_free(&e);
	} else {
		put_head(l, name, 0, spool_id_time(str_of(name->id)), STR("?"));
		writer_add(&l->out, STR("                  (cannot be read: "));
		put_safe(l, str_of(why));
		writer_add(&l->out, STR(")\n"));
	}
	buf_free(&text);
	buf_free(&log);
	if (fd >= 0)
		close(fd);
}

static int
list(struct listing *l)
{
	struct buf total = {0};

	writer_init(&l->out, STDOUT_FILENO, l->space, sizeof l->space);
	clock_read(&l->now);
	if (spool_walk(&l->spool, spool_may_run(&l->spool) ? add_name : add_own, l)) {
		log_error("cannot read the spool directory %s:", l->conf->spooldir);
		return EX_NOPERM;
	}
	if (l->count == 0) {
		writer_add(&l->out, STR("Mail queue is empty\n"));
	} else {
		sort(l->names, l->count);
		writer_add(&l->out, STR("----Queue ID----- --Size-- ---Arrival (UTC)---  "
					"-Sender/Recipient-------\n"));
		for (size_t n = 0; n < l->count; n++)
			put_file(l, &l->names[n]);
		buf_print(&total, "-- %llu Kbytes in %zu Request%s.\n",
			  (unsigned long long)(l->bytes + 1023) / 1024, l->count,
			  l->count == 1 ? "" : "s");
		writer_add(&l->out, buf_view(&total));
		buf_free(&total);
	}
	buf_release(l->names);
	if (writer_flush(&l->out) == 0)
		return EX_OK;
	log_error("cannot write the listing:");
	return EX_IOERR;
}

int
mailq_main(int argc, char **argv)
{
	static struct site_options options;
	static struct site site;
	static struct listing l;
	struct args args;
	const char *value;
	int letter, status;

	if (argc == 2 && strcmp(argv[1], "--help") == 0)
		return file_write(STDOUT_FILENO, STR(usage_text)) ? EX_IOERR : EX_OK;
	args_init(&args, argv);
	while ((letter = args_next(&args, grammar, &value)) != ARGS_END) {
		if (!site_take_option(&options, letter, value) && (letter == ARGS_OPERAND ||
		    letter == ARGS_UNKNOWN || letter == ARGS_MISSING)) {
			log_error("'%s' is not understood (see mailq --help)", value);
			return EX_USAGE;
		}
	}
	/* A configuration with which nothing is sent is the best reason to look. */
	if ((status = site_load(&site, &options)) && !site.fatal)
		return status;
	l.conf = &site.conf;
	if ((status = site_open_spool(&site, &l.spool)))
		return status;
	return list(&l);
}
