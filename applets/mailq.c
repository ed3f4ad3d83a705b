/* SPDX-License-Identifier: ISC */
#include "applets.h"
#include "args.h"
#include "attempt.h"
#include "choice.h"
#include "clock.h"
#include "date.h"
#include "file.h"
#include "io.h"
#include "log.h"
#include "quote.h"
#include "retry.h"
#include "runner.h"
#include "site.h"

#include <errno.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

/* -A, -b, -q and -v are what other systems' mailq is called with. */
static const char grammar[] = "A:b:C:cdHhijL:O:q;R:S:v";

static const char usage_text[] =
	"usage: mailq [-j] [-R TEXT] [-S TEXT] [ID...]\n"
	"       mailq -c|-d|-H|-h|-i [-R TEXT] [-S TEXT] [ID...|ALL]\n"
	"Lists what is queued: id, size, arrival, sender; for each recipient the last reason\n"
	"and when it is tried next. Behind the id: ! held, # cannot be read.\n"
	"  -j            as JSON, one message on a line\n"
	"  -R TEXT, -S TEXT  only messages with TEXT in a recipient or in the sender\n"
	"  -c            show them whole: envelope, history, content\n"
	"  -d            delete them\n"
	"  -h, -H        hold them; release those that are held\n"
	"  -i            try them now\n"
	"  -C FILE, -O KEY=VALUE configuration file; one setting\n"
	"  -L TAG        name in the log\n";

enum { SAID_MAX = 4000 }; /* bytes of what was done before it must be on disk */

/* From good to bad. */
enum result { DONE, LATER, NONE, DENIED, FAILED };
static const int statuses[] = {EX_OK, EX_TEMPFAIL, EX_DATAERR, EX_NOPERM, EX_IOERR};

/* What is to be done with a message; 0 is listing it. */
static const struct verb {
	char letter;
	char to;         /* the state it puts them in; 0: none */
	char states[4];  /* of messages that it makes sense for */
	char past[9];    /* "": nothing is changed */
} verbs[] = {
	{0, 0, "QHC", ""},
	{'j', 0, "QHC", ""},
	{'c', 0, "QHC", ""},
	{'i', 0, "Q", "due now"},
	{'h', 'H', "Q", "held"},
	{'H', 'Q', "H", "released"},
	{'d', 'D', "QHC", "deleted"},
};
enum { LISTS = 2 }; /* the first ones, which mean all where nothing is said */

/* One message as it was found. */
struct mail {
	char state;
	char id[SPOOL_ID + 1];
	struct spool_claim claim;   /* or just a descriptor */
	struct buf text, log;
	struct envelope envelope;
	struct journal journal;
	const char *why;            /* it cannot be read; or NULL */
};

struct job {
	const struct verb *verb;
	struct choice choice;
	struct site *site;
	struct spool spool;
	struct stamp now;
	struct mail mail;
	size_t count;               /* messages meant */
	uint64_t bytes;
	enum result worst;
	struct buf done;            /* what is to be said as soon as it is on disk */
	struct buf due;             /* ids for a runner to try now */
	struct buf line, words;     /* to be written; to be quoted */
	struct writer out;
	char space[4096];
};

static void
complain(struct job *j, enum result result, struct str id, const char *why)
{
	log_error("%.*s: %s", STR_ARG(id), why);
	if (j->worst < result)
		j->worst = result;
}

/* What may be well the next time, and what may not. */
static enum result
result_of(int err)
{
	return err == EMFILE || err == ENFILE || err == ENOMEM || err == EAGAIN ? LATER : FAILED;
}

static void
complain_errno(struct job *j, const char *doing)
{
	log_error("%s: cannot %s:", j->mail.id, doing);
	j->worst = FAILED;
}

/* Line by line, so that a reader may stop us early. */
static void
put_line(struct job *j)
{
	writer_add(&j->out, buf_view(&j->line));
	j->line.len = 0;
}

/* --- listing --------------------------------------------------------------------------- */

static struct str
sender_of(const struct mail *m)
{
	return m->why ? STR("?") : m->envelope.sender.len ? m->envelope.sender :
							    STR("MAILER-DAEMON");
}

static int64_t
arrival_of(const struct mail *m)
{
	return m->why ? spool_id_time(str_of(m->id)) : m->envelope.arrived.wall;
}

/* "450 mailbox is busy" */
static struct str
reason_of(const struct journal_rcpt *r)
{
	struct str reason = r->last;
	uint64_t none;

	if (reason.len == 0)
		return STR("not tried yet");
	str_cut(&reason, ' '); /* the status */
	str_cut_number(&reason, ' ', 0, &none); /* a code 0: no server spoke */
	return reason;
}

static void
put_reason(struct job *j, const struct journal_rcpt *r)
{
	const struct conf *c = &j->site->conf;
	struct retry_policy p = {c->retry_min, c->retry_max};
	int64_t wait = retry_wait(&p, r, attempt_salt(str_of(j->mail.id)), &j->now);

	buf_str(&j->line, STR("                  ("));
	quote_text(reason_of(r), "", &j->line);
	if (j->mail.state == 'Q' && wait > 0) {
		buf_puts(&j->line, "; next attempt in ");
		date_print_interval(wait, &j->line);
	}
	buf_str(&j->line, STR(")\n"));
}

static void
put_rcpts(struct job *j)
{
	const struct journal *journal = &j->mail.journal;
	struct str last = {0};

	for (size_t n = 0; n < journal->count; n++) {
		const struct journal_rcpt *r = &journal->rcpts[n];
		if (!choice_is_open(journal, r))
			continue;
		/* One reason for several recipients stands once. */
		if (n == 0 || !str_eq(last, r->last) || !last.len)
			put_reason(j, r);
		last = r->last;
		buf_str(&j->line, STR("                                              "));
		quote_text(r->address, "", &j->line);
		buf_putc(&j->line, '\n');
		put_line(j);
	}
}

static void
put_entry(struct job *j)
{
	const struct mail *m = &j->mail;

	buf_add(&j->line, m->id, SPOOL_ID);
	buf_putc(&j->line, m->state == 'H' ? '!' : m->state == 'C' ? '#' : ' ');
	buf_print(&j->line, " %8llu ", (unsigned long long)m->envelope.length);
	date_print_iso(arrival_of(m), &j->line);
	buf_str(&j->line, STR("  "));
	quote_text(sender_of(m), "", &j->line);
	buf_putc(&j->line, '\n');
	j->bytes += m->envelope.length;
	if (m->why)
		buf_print(&j->line, "                  (cannot be read: %s)\n", m->why);
	else
		put_rcpts(j);
	put_line(j);
}

/* By postqueue's names. */
static const char *
queue_name(const struct mail *m)
{
	if (m->why)
		return "corrupt";
	if (m->state == 'H')
		return "hold";
	for (size_t n = 0; n < m->journal.count; n++)
		if (m->journal.rcpts[n].attempts)
			return "deferred";
	return "incoming";
}

static void
put_json(struct job *j)
{
	const struct mail *m = &j->mail;
	const char *before = "";

	buf_print(&j->line, "{\"queue_name\": \"%s\", \"queue_id\": \"%s\", "
		  "\"arrival_time\": %lld, \"message_size\": %llu, \"forced_expire\": false, "
		  "\"sender\": ", queue_name(m), m->id, (long long)arrival_of(m),
		  (unsigned long long)m->envelope.length);
	quote_json(sender_of(m), &j->line);
	if (m->why)
		buf_print(&j->line, ", \"unreadable\": \"%s\"", m->why);
	buf_puts(&j->line, ", \"recipients\": [");
	for (size_t n = 0; n < m->journal.count; n++) {
		const struct journal_rcpt *r = &m->journal.rcpts[n];
		if (!choice_is_open(&m->journal, r))
			continue;
		buf_print(&j->line, "%s{\"address\": ", before);
		quote_json(r->address, &j->line);
		if (r->last.len) {
			buf_puts(&j->line, ", \"delay_reason\": ");
			quote_json(reason_of(r), &j->line);
		}
		buf_putc(&j->line, '}');
		put_line(j);
		before = ", ";
	}
	buf_puts(&j->line, "]}\n");
	put_line(j);
}

static void
end_listing(struct job *j)
{
	if (j->count == 0) {
		buf_puts(&j->line, "Mail queue is empty\n");
	} else {
		/* The one for those who know Postfix, the other sendmail: monitors. */
		buf_print(&j->line, "                  Total requests: %zu\n"
			  "-- %llu Kbytes in %zu Request%s.\n", j->count,
			  (unsigned long long)(j->bytes + 1023) / 1024, j->count,
			  j->count == 1 ? "" : "s");
	}
	put_line(j);
}

/* --- one message whole ------------------------------------------------------------------- */

static void
put_range(struct job *j, uint64_t at, uint64_t end)
{
	char piece[2048];
	ssize_t got;

	for (; at < end; at += (uint64_t)got) {
		size_t len = end - at < sizeof piece ? (size_t)(end - at) : sizeof piece;
		got = file_read_at(j->mail.claim.fd, piece, len, (off_t)at);
		if (got <= 0) {
			complain(j, FAILED, str_of(j->mail.id), got < 0 ? strerror(errno) :
				 "it has become shorter meanwhile");
			return;
		}
		/* A character that goes on behind the piece is the next one's; but not where the
		 * file has become shorter. */
		if ((size_t)got == sizeof piece && (uint64_t)got < end - at)
			for (got--; got > (ssize_t)sizeof piece - 4 &&
				    (piece[got] & 0xc0) == 0x80;)
				got--;
		quote_text((struct str){piece, (size_t)got}, "\n\t", &j->line);
		put_line(j);
	}
}

static void
put_all(struct job *j)
{
	const struct mail *m = &j->mail;
	struct str log = buf_view(&m->log);

	put_entry(j);
	buf_putc(&j->line, '\n');
	if (m->why) {
		off_t end = m->claim.fd < 0 ? 0 : lseek(m->claim.fd, 0, SEEK_END);
		put_range(j, 0, end > 0 ? (uint64_t)end : 0);
		return;
	}
	quote_text(buf_view(&m->text), "\n", &j->line);
	while (log.len > 0) {
		j->words.len = 0;
		journal_print_event(&m->journal, str_cut(&log, '\n'), &j->words);
		quote_text(buf_view(&j->words), "", &j->line);
		buf_putc(&j->line, '\n');
		put_line(j);
	}
	buf_putc(&j->line, '\n');
	put_range(j, m->envelope.offset, m->envelope.offset + m->envelope.length);
}

/* --- changing ---------------------------------------------------------------------------- */

/* What was done is on disk, and said. */
static void
settle(struct job *j)
{
	if (j->done.len && spool_sync(&j->spool)) {
		log_error("what was changed last may not be on disk:");
		j->worst = FAILED;
	} else {
		writer_add(&j->out, buf_view(&j->done));
		writer_flush(&j->out);
	}
	j->done.len = 0;
}

static void
note(struct job *j)
{
	const struct mail *m = &j->mail;
	const char *past = j->verb->past;
	struct str sender = sender_of(m), self = site_self(j->site);

	j->words.len = 0;
	for (size_t n = 0; n < m->envelope.rcpt_count && j->words.len < LIMIT_LOG_LINE; n++)
		buf_print(&j->words, ", to=<%.*s>", STR_ARG(m->envelope.rcpts[n].address));
	log_info("%s: %s by %.*s, from=<%.*s>%.*s", m->id, past, STR_ARG(self),
		 STR_ARG(sender), STR_ARG(j->words));
	buf_print(&j->done, "%s: %s\n", m->id, past);
	if (j->done.len > SAID_MAX)
		settle(j);
}

/* What is held again is held by an operator. */
static int
unmark(struct job *j)
{
	struct buf line = {0};

	journal_print_held(&j->mail.journal, &j->now, false, &line);
	int rc = spool_append(&j->spool, &j->mail.claim, buf_view(&line), SPOOL_FINAL);
	buf_free(&line);
	return rc;
}

/* The claim is ours. */
static void
change(struct job *j)
{
	struct spool_claim *c = &j->mail.claim;
	bool is_delete = j->verb->to == 'D';

	if (j->mail.journal.held && j->verb->to == 'Q' && unmark(j))
		complain_errno(j, "write its journal");
	else if (is_delete ? spool_remove(&j->spool, c) : spool_move(&j->spool, c, j->verb->to))
		complain_errno(j, is_delete ? "delete it" : "rename it");
	else
		note(j);
}

static void
make_due(struct job *j)
{
	/* Gone: it has been delivered, which is as well. */
	if (spool_touch(&j->spool, str_of(j->mail.id)) && errno != ENOENT)
		complain_errno(j, "touch it");
	else
		buf_str(&j->due, str_of(j->mail.id));
}

static void
act(struct job *j, enum spool_result claimed)
{
	j->count++;
	switch (j->verb->letter) {
	case 0:
		if (j->count == 1)
			writer_add(&j->out, STR("----Queue ID----- --Size-- ---Arrival (UTC)---  "
						"-Sender/Recipient-------\n"));
		put_entry(j);
		return;
	case 'j': put_json(j); return;
	case 'c': put_all(j); return;
	case 'i':
		make_due(j);
		buf_print(&j->line, "%s: %s\n", j->mail.id, j->verb->past);
		put_line(j);
		return;
	}
	if (claimed == SPOOL_OK)
		change(j);
	else if (claimed == SPOOL_BUSY)
		complain(j, LATER, str_of(j->mail.id), "is being delivered");
	else
		complain(j, FAILED, str_of(j->mail.id), j->mail.why ? j->mail.why :
			 "cannot be locked");
	if (j->verb->letter == 'H' && claimed == SPOOL_OK)
		make_due(j);
}

/* In a queue of many users, everybody's own are those that he can open. */
static bool
is_hidden(const struct job *j)
{
	return errno == ENOENT || ((errno == EACCES || errno == EINVAL) && !spool_may_run(&j->spool));
}

/* Opens and reads a message, claimed where it is to be changed. SPOOL_GONE with errno: there is
 * none that we may see. What cannot be read at this moment is no fact about the message, but an
 * error. */
static enum spool_result
find(struct job *j, char state, struct str id)
{
	struct mail *m = &j->mail;
	enum spool_result r = SPOOL_BUSY;
	int rc;

	m->state = state;
	memcpy(m->id, id.ptr, SPOOL_ID);
	m->why = NULL;
	if (j->verb->to && strchr(j->verb->states, state))
		r = spool_claim(&j->spool, state, id, &m->claim);
	if (j->verb - verbs < LISTS)
		rc = spool_show(&j->spool, state, id, &m->claim, &m->text, &m->log, &m->envelope,
				&m->journal, &m->why);
	else if (!(rc = r == SPOOL_OK ? 0 : spool_peek(&j->spool, state, id, &m->claim)))
		rc = spool_read(&m->claim, &m->text, &m->log, &m->envelope, &m->journal, &m->why);
	if (rc && !m->why && is_hidden(j))
		return SPOOL_GONE;
	if (rc && !m->why)
		m->why = errno == EINVAL ? "not a file that we deliver" : strerror(errno);
	if (rc && errno != EINVAL)
		complain(j, result_of(errno), id, m->why);
	return r;
}

static void
visit(void *ctx, char state, struct str id)
{
	struct job *j = ctx;
	struct mail *m = &j->mail;
	enum spool_result r = state ? find(j, state, id) : SPOOL_GONE;

	if (r == SPOOL_GONE) {
		/* Of those that nobody named, it was delivered while we look. */
		if (j->choice.id_count && state && errno != ENOENT)
			complain(j, DENIED, id, "is somebody else's");
		else if (j->choice.id_count)
			complain(j, NONE, id, "no such message");
		return;
	}
	if (!strchr(j->verb->states, state))
		complain(j, NONE, id, state == 'H' ? "is held" :
				      state == 'C' ? "cannot be read" : "is not held");
	else if (!choice_is_narrow(&j->choice) ||
		 (!m->why && choice_fits(&j->choice, &m->envelope, &m->journal)))
		act(j, r);
	journal_free(&m->journal);
	envelope_free(&m->envelope);
	spool_release(&m->claim);
}

/* --- the whole --------------------------------------------------------------------------- */

static void
wake_runner(struct job *j)
{
	struct queue_options o = {.site = j->site, .first = buf_view(&j->due)};

	if (j->due.len == 0 || (j->verb->letter == 'H' && j->site->conf.defer))
		return;
	if (site_load_aliases(j->site, NULL, NULL) == 0) {
		if (runner_start(&j->spool, &o) >= 0)
			return;
		log_error("no queue runner could be started:");
	}
	j->worst = LATER;
}

static int
run(struct job *j)
{
	const struct conf *c = &j->site->conf;
	int status = site_open_spool(j->site, &j->spool);
	bool blind = false;

	if (status)
		return status;
	writer_init(&j->out, STDOUT_FILENO, j->space, sizeof j->space);
	clock_read(&j->now);
	j->choice.states = j->verb->states;
	if (choice_walk(&j->choice, &j->spool, visit, j)) {
		log_error("cannot read the spool directory %s:", c->spooldir);
		blind = true;
	}
	/* What was done before that is done, and is said. */
	settle(j);
	if (blind) {
		j->worst = j->worst < DENIED ? DENIED : j->worst;
	} else if (j->count == 0 && choice_is_narrow(&j->choice)) {
		log_error("no such message");
		j->worst = NONE;
	} else if (!j->verb->letter && (j->count || j->worst == DONE)) {
		end_listing(j);
	}
	wake_runner(j);
	if (writer_flush(&j->out) == 0)
		return statuses[j->worst];
	log_error("cannot write to standard output:");
	return EX_IOERR;
}

static int
load_and_run(struct job *j, const struct site_options *options)
{
	struct site site;
	int status = site_load(&site, options);

	/* A configuration with which nothing is sent is the best reason to look. */
	if (status && (!site.fatal || *j->verb->past))
		return status;
	j->site = &site;
	return run(j);
}

static int
take_verb(struct job *j, int letter)
{
	const struct verb *v = verbs;

	while (v->letter != letter)
		v++;
	if (j->verb->letter && j->verb != v) {
		log_error("one of -%c and -%c at a time", j->verb->letter, letter);
		return EX_USAGE;
	}
	j->verb = v;
	return EX_OK;
}

static int
take_text(struct job *j, int letter, const char *value)
{
	*(letter == 'R' ? &j->choice.recipient : &j->choice.sender) = str_of(value);
	if (*value)
		return EX_OK;
	log_error("-%c wants a part of an address", letter);
	return EX_USAGE;
}

int
mailq_list(const struct site_options *options)
{
	struct job j = {.verb = verbs};

	return load_and_run(&j, options);
}

int
mailq_urge(struct site *site, const char *const wanted[3])
{
	struct job j = {
		.verb = verbs, .site = site, .choice.ids = wanted,
		.choice.id_count = wanted[0] != NULL,
	};
	int status = take_verb(&j, 'i');

	for (unsigned n = 1; n < 3 && !status; n++)
		if (wanted[n])
			status = take_text(&j, "IRS"[n], wanted[n]);
	return status ? status : run(&j);
}

static int
take_option(struct job *j, int letter, const char *value)
{
	switch (letter) {
	case 'c':
	case 'd':
	case 'H':
	case 'h':
	case 'i':
	case 'j': return take_verb(j, letter);
	case 'R':
	case 'S': return take_text(j, letter, value);
	case ARGS_UNKNOWN:
	case ARGS_MISSING:
		log_error("'%s' is not understood (see mailq --help)", value);
		return EX_USAGE;
	default:
		return EX_OK;
	}
}

int
mailq_main(int argc, char **argv)
{
	struct site_options options = {0};
	struct job j = {.verb = verbs};
	const char **ids = buf_array(NULL, (size_t)argc, sizeof *ids);
	struct args args;
	const char *value;
	bool all = false;
	int letter, status;

	if (argc == 2 && strcmp(argv[1], "--help") == 0)
		return file_write(STDOUT_FILENO, STR(usage_text)) ? EX_IOERR : EX_OK;
	args_init(&args, argv);
	while ((letter = args_next(&args, grammar, &value)) != ARGS_END) {
		if (letter == ARGS_OPERAND && str_eq(str_of(value), STR("ALL")))
			all = true;
		else if (letter == ARGS_OPERAND)
			ids[j.choice.id_count++] = value;
		else if (!site_take_option(&options, letter, value) &&
			 (status = take_option(&j, letter, value)))
			return status;
	}
	j.choice.ids = ids;
	bool some = j.choice.id_count || choice_is_narrow(&j.choice);
	if (all ? j.choice.id_count > 0 : !some && j.verb - verbs >= LISTS) {
		log_error("name the messages: by ids, -R or -S, or ALL (see mailq --help)");
		return EX_USAGE;
	}
	return load_and_run(&j, &options);
}
