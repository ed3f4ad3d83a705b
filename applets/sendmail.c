/* SPDX-License-Identifier: ISC */
#include "applets.h"
#include "args.h"
#include "clock.h"
#include "direct.h"
#include "file.h"
#include "log.h"
#include "nap.h"
#include "runner.h"
#include "sandbox.h"
#include "session.h"
#include "site.h"
#include "submit.h"
#include "verify.h"

#include <errno.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

enum { WAIT_MS = 60 * 1000 }; /* for the first attempt: -v, -odi */

/* Letters that take a value, ours and those that others' sendmails have: their values must
 * never be taken for recipients. */
static const char grammar[] =
	"A:a:B:b:C:cD:d;E:e:F:f:GH:h:IiJ:L:M:mN:nO:o:p:Q:q;R:r:S:sTtUV:vw:X:x";

static const char usage_text[] =
	"usage: sendmail [option...] [recipient...] < message\n"
	"  -t            take recipients from To, Cc and Bcc as well\n"
	"  -f ADDRESS    envelope sender ('' or '<>': none); also -r\n"
	"  -F NAME       full name, where the message has no From\n"
	"  -i, -oi       a line with a lone dot does not end the message\n"
	"  -bm -bp -bi -bq -bP   send; mailq; newaliases (also -I); queue only; print the\n"
	"                        configuration\n"
	"  -bv           say who would get mail for the recipients, and send none\n"
	"  -bv -v        the same, and try the servers: does the configuration work?\n"
	"  -bs           speak SMTP on standard input and output\n"
	"  -odb -odi -odq        deliver in the background, wait for it, only queue\n"
	"  -odd          deliver now, without a queue: the exit status says what came of it\n"
	"  -q[f], -q15m  try all that is queued now; keep running\n"
	"  -qI ID, -qR TEXT, -qS TEXT  try one message; those with TEXT in a recipient or sender\n"
	"  -oem, -em     for a user who does not exist, mail the sender instead of exit status 67\n"
	"  -oeq, -eq     no words about errors, only the exit status\n"
	"  -N never, -N success,failure,delay    when to tell the sender\n"
	"  -R full, -R hdrs, -V ID       what a bounce holds; a name for the message in reports\n"
	"  -S HOST, -H COMMAND, -au USER, -ap PASSWORD, -am METHOD, -w SECONDS\n"
	"                a server for this message, or a command that talks to one; its login\n"
	"                and patience; as with -odd\n"
	"  -C FILE, -O KEY=VALUE configuration file; one setting\n"
	"  -L TAG        name in the log\n"
	"  -v, -X FILE   show what happens; write that to a file\n"
	"Other options of sendmail are accepted without effect.\n";

enum { SERVER, AUTH_MECHANISM, CONNECT_TIME, COMMAND_TIME, SETTINGS };

struct invocation {
	struct site_options site;
	char mode;              /* of -b: m p i q s v P */
	char delivery;          /* of -od: b i q d */
	bool run_queue, stay;
	bool some;              /* not all that is queued: */
	const char *wanted[3];  /* of -qI, -qR, -qS */
	const char *login;      /* -au */
	const char *helper;     /* -H */
	struct buf password;    /* -ap */
	struct buf settings[SETTINGS]; /* what -S, -am and -w come to, as -O has it */
	const char *session_log; /* -X */
	bool take_recipients, dots, verbose;
	bool local;             /* one of rcpts, or of those to come, may be of this device */
	bool mail_errors;       /* -oem */
	const char *sender, *name;
	struct notify notify, all; /* of the message: -R, -V; of each recipient: -N */
	struct buf envid;
	struct addr_set rcpts;
	struct buf complaint;   /* the first bad argument */
	int status;             /* of the command line: 0, or what to exit with */
};

static void
refuse(struct invocation *in, int status, const char *fmt, const char *what)
{
	if (in->status)
		return;
	in->status = status;
	log_error(fmt, what);
}

static void
add_recipient(void *ctx, struct str address)
{
	struct invocation *in = ctx;

	addr_set_add(&in->rcpts, address);
}

static void
complain(void *ctx, struct str piece, const char *why)
{
	struct invocation *in = ctx;

	if (in->status)
		return;
	in->status = EX_DATAERR;
	log_error("recipient '%.*s': %s", STR_ARG(piece), why);
}

static void
take_mode(struct invocation *in, const char *value)
{
	if (strchr("mpiqsvP", value[0]) && value[0])
		in->mode = value[0];
	else
		refuse(in, EX_USAGE, "-b%s is not supported (see sendmail --help)", value);
}

/* A value that may be attached to the letter before it, or stand in the next argument. */
static const char *
rest_of(const char *value, struct args *args)
{
	if (value[1])
		return value + 1;
	return args->argv[args->at] ? args->argv[args->at++] : "";
}

static void
take_queue(struct invocation *in, const char *value, struct args *args)
{
	static const char keys[] = "IRS";
	char key = value[0];
	const char *at = key ? strchr(keys, key) : NULL;

	in->run_queue = true;
	if (key >= '0' && key <= '9') {
		in->stay = true;
	} else if (at) {
		const char **wanted = &in->wanted[at - keys];
		if (*wanted)
			refuse(in, EX_USAGE, "-q%s: a second one of its kind", value);
		*wanted = rest_of(value, args);
		in->some = true;
	} else if (key && key != 'f') {
		refuse(in, EX_USAGE, "-q%s is not supported: -q, -qf, -q15m, -qI ID, -qR or -qS TEXT",
		       value);
	}
}

/* -oi, the delivery modes, where errors go; all others are accepted without effect. */
static void
take_old_option(struct invocation *in, const char *value)
{
	if (strcmp(value, "i") == 0)
		in->dots = false;
	else if (strcmp(value, "em") == 0)
		in->mail_errors = true;
	else if (strcmp(value, "eq") == 0)
		log_detach();
	else if (value[0] == 'd' && value[1] && strchr("biqd", value[1]))
		in->delivery = value[1];
}

/* BusyBox's options become settings, and delivery without a queue. */
static void
set(struct invocation *in, unsigned n, const char *key, const char *value)
{
	in->settings[n].len = 0;
	buf_print(&in->settings[n], "%s=%s", key, value);
	in->delivery = 'd';
}

static void
take_login(struct invocation *in, const char *value, struct args *args)
{
	const char *rest = rest_of(value, args);

	in->delivery = 'd';
	if (value[0] == 'u') {
		in->login = rest;
	} else if (value[0] == 'p') {
		/* Out of what ps shows, at once. */
		in->password.len = 0;
		buf_puts(&in->password, rest);
		explicit_bzero((char *)rest, strlen(rest));
	} else if (value[0] == 'm') {
		set(in, AUTH_MECHANISM, "auth_mechanisms", rest);
	} else {
		refuse(in, EX_USAGE, "-a%s is not supported: -au USER, -ap PASSWORD, -am METHOD",
		       value);
	}
}

/* -N, -R, -V. A value that makes no sense is no reason not to take the mail. */
static void
take_notify(struct invocation *in, int letter, const char *value)
{
	const char *key = letter == 'N' ? "NOTIFY" : letter == 'R' ? "RET" : "ENVID";
	struct notify *n = letter == 'N' ? &in->all : &in->notify;
	struct str text = str_of(value);

	if (letter == 'V') {
		in->envid.len = 0;
		notify_print_xtext(text, &in->envid);
		text = buf_view(&in->envid);
		n->id.len = 0;
	} else {
		n->asks = 0;
	}
	if (notify_set(n, letter == 'N' ? NOTIFY_RCPT : NOTIFY_MAIL, str_of(key), text))
		log_warn("-%c %s makes no sense, and is ignored (see sendmail --help)", letter,
			 value);
}

static void
take_option(struct invocation *in, int letter, const char *value, struct args *args)
{
	if (site_take_option(&in->site, letter, value))
		return;
	switch (letter) {
	case ARGS_OPERAND:
		addr_parse_list(str_of(value), add_recipient, complain, in);
		break;
	case ARGS_UNKNOWN:
		log_warn("unknown option -%s ignored", value);
		break;
	case ARGS_MISSING:
		refuse(in, EX_USAGE, "option -%s needs a value (see sendmail --help)", value);
		break;
	case 't': in->take_recipients = true; break;
	case 'i': in->dots = false; break;
	case 'v': in->verbose = true; break;
	case 'f':
	case 'r': in->sender = value; break;
	case 'F': in->name = value; break;
	case 'b': take_mode(in, value); break;
	case 'I': in->mode = 'i'; break;
	case 'q': take_queue(in, value, args); break;
	case 'o': take_old_option(in, value); break;
	case 'e': take_old_option(in, (char[]){'e', value[0], '\0'}); break;
	case 'N':
	case 'R':
	case 'V': take_notify(in, letter, value); break;
	case 'X': in->session_log = value; break;
	case 'S': set(in, SERVER, "smarthost", value); break;
	case 'H':
		in->helper = value;
		set(in, SERVER, "smarthost", "smtp+unix:/-H");
		break;
	case 'w':
		set(in, CONNECT_TIME, "connect_timeout", value);
		set(in, COMMAND_TIME, "command_timeout", value);
		break;
	case 'a': take_login(in, value, args); break;
	}
}

static void
parse(struct invocation *in, char **argv)
{
	struct args args;
	const char *value;
	int letter;

	*in = (struct invocation){.mode = 'm', .delivery = 'b', .dots = true};
	args_init(&args, argv);
	while ((letter = args_next(&args, grammar, &value)) != ARGS_END)
		take_option(in, letter, value, &args);
	for (unsigned n = 0; n < SETTINGS; n++)
		if (in->settings[n].len)
			site_take_option(&in->site, 'O', buf_cstr(&in->settings[n]));
}

/* True when the message has had an attempt or has left the queue. */
static bool
was_tried(struct spool *spool, const char *id, bool say)
{
	struct buf text = {0}, journal = {0};
	struct envelope e;
	struct journal j;
	const char *why;
	struct spool_claim c;
	bool tried = true;

	if (spool_peek(spool, 'Q', str_of(id), &c)) {
		if (say)
			log_debug("%s: is queued no more", id);
		return true;
	}
	if (spool_read(&c, &text, &journal, &e, &j, &why) == 0) {
		for (size_t n = 0; n < j.count; n++) {
			const struct journal_rcpt *r = &j.rcpts[n];
			tried = tried && (r->fate != JOURNAL_PENDING || r->attempts);
			if (say && r->fate == JOURNAL_PENDING)
				log_debug("%s: to=<%.*s> waits: %s", id, STR_ARG(r->address),
					  r->attempts ? journal_outcome(r).text : "not tried yet");
		}
		journal_free(&j);
		envelope_free(&e);
	}
	buf_free(&text);
	buf_free(&journal);
	spool_release(&c);
	return tried;
}

static void
wait_for_attempt(struct spool *spool, const char *id, bool say)
{
	int64_t deadline = clock_ms() + WAIT_MS;
	int pause_ms = 10;

	if (say)
		log_debug("another queue runner is at work: the log has what it does");
	while (!was_tried(spool, id, false) && clock_ms() < deadline)
		nap_longer(&pause_ms);
	if (say)
		was_tried(spool, id, true);
}

/* The message is in the queue. */
static void
deliver_later(struct invocation *in, struct site *site, struct spool *spool, const char *id)
{
	struct queue_options o = {.site = site};

	log_debug("queued as %s", id);
	if (in->mode == 'q' || in->delivery == 'q' || site->conf.defer)
		return;
	/* The runner goes by what was read here. */
	if (!in->local && site_load_aliases(site, NULL, NULL)) {
		log_warn("%s is queued, but no queue runner is started", id);
		return;
	}
	int rc = runner_start(spool, &o);
	if (rc < 0)
		log_warn("%s is queued, but no queue runner could be started:", id);
	else if (in->verbose || in->delivery == 'i')
		wait_for_attempt(spool, id, rc > 0);
}

/* False: who is named is not of this device, and the aliases file has no say in it. */
static bool
may_be_local(const struct invocation *in, const struct conf *c)
{
	bool local = in->take_recipients;

	for (size_t n = 0; n < in->rcpts.count; n++)
		local = local || conf_is_local(c, addr_domain(addr_set_get(&in->rcpts, n)));
	return local;
}

static int
send_message(struct invocation *in, struct site *site)
{
	struct spool spool;
	struct buf sender = {0}, why = {0};
	char id[SPOOL_ID + 1];
	bool direct = in->delivery == 'd';
	int status = site_find_sender(site, in->sender, &sender);

	in->local = may_be_local(in, &site->conf);
	if (direct)
		spool_open_memory(&spool);
	else if (!status)
		status = site_open_spool(site, &spool);
	if (status || (in->local && (status = site_load_aliases(site, NULL, NULL))) ||
	    (status = site_load_users(site, NULL, NULL)))
		return status;
	struct submission sub = {
		.conf = &site->conf, .aliases = &site->aliases, .passwd = &site->passwd,
		.users = &site->users, .sender = buf_view(&sender),
		.name = str_of(in->name), .uid = site->uid,
		.take_recipients = in->take_recipients, .dots = in->dots,
		.mail_errors = in->mail_errors, .rcpts = in->rcpts,
		.notify = in->notify, .all = in->all,
	};
	status = submit(&sub, STDIN_FILENO, &spool, id, &why);
	if (status) {
		log_error("message not accepted: %.*s", STR_ARG(why));
		return status;
	}
	if (direct)
		return direct_run(site, &spool, id);
	deliver_later(in, site, &spool, id);
	return EX_OK;
}

struct client {
	struct invocation *in;
	struct site *site;
	struct spool spool;
};

static void
on_queued(void *ctx)
{
	struct client *c = ctx;
	struct queue_options o = {.site = c->site};

	if (c->in->delivery != 'q' && !c->site->conf.defer && runner_start(&c->spool, &o) < 0)
		log_warn("no queue runner could be started:");
}

static int
serve(struct invocation *in, struct site *site)
{
	struct client c = {.in = in, .site = site};
	struct session session = {
		.site = site, .spool = &c.spool, .queued = on_queued, .ctx = &c,
	};
	int status = site_open_spool(site, &c.spool);

	if (status || (status = site_load_aliases(site, NULL, NULL)) ||
	    (status = site_load_users(site, NULL, NULL)))
		return status;
	return session_run(&session, STDIN_FILENO, STDOUT_FILENO);
}

static int
run_queue(struct invocation *in, struct site *site)
{
	struct spool spool;
	struct queue_options o = {.site = site, .stay = in->stay, .now = true};
	int status;

	if (in->rcpts.count) {
		log_error("-q takes no recipients (an interval is attached, as in -q15m)");
		return EX_USAGE;
	}
	if (in->some)
		return mailq_urge(site, in->wanted);
	if ((status = site_open_spool(site, &spool)) ||
	    (status = site_load_aliases(site, NULL, NULL)))
		return status;
	if (!spool_may_run(&spool)) {
		log_error("only root runs the queue %s", site->conf.spooldir);
		return EX_NOPERM;
	}
	if (runner_start(&spool, &o) < 0) {
		log_error("cannot start the queue runner in %s:", site->conf.spooldir);
		return EX_OSERR;
	}
	return EX_OK;
}

static int
verify(struct invocation *in, struct site *site)
{
	struct buf given = {0}, sender = {0}, out = {0};
	struct rewrite rewrite = {&site->conf, &site->users};
	struct probe probe = {0};
	int status = site_find_sender(site, in->sender, &given);

	if (status || (status = site_load_aliases(site, NULL, NULL)) ||
	    (status = site_load_users(site, NULL, NULL)))
		return status;
	if (in->rcpts.count == 0 && in->verbose)
		probe.servers = (1u << site->conf.smarthost_count) - 1;
	if (in->rcpts.count == 0 && !probe.servers) {
		log_error(in->verbose ?
			  "-bv -v: there is no smarthost to try: name a recipient" :
			  "-bv: name the recipients to look at");
		return EX_USAGE;
	}
	rewrite_sender(&rewrite, buf_view(&given), &sender);
	for (size_t n = 0; n < in->rcpts.count; n++) {
		int one = verify_address(site, buf_view(&sender), addr_set_get(&in->rcpts, n), &out,
					 &probe);
		status = status ? status : one;
	}
	if (file_write(STDOUT_FILENO, buf_view(&out)))
		return EX_IOERR;
	int tried = in->verbose ? probe_run(&probe, &site->conf) : EX_OK;
	return status ? status : tried;
}

static int
print_conf(const struct site *site)
{
	struct buf out = {0};

	conf_print(&site->conf, &out);
	int rc = file_write(STDOUT_FILENO, buf_view(&out));
	buf_free(&out);
	return rc ? EX_IOERR : EX_OK;
}

int
sendmail_main(int argc, char **argv)
{
	/* From the memory that all else comes from as well: side by side, it is fewer pages. */
	struct invocation *in = buf_array(NULL, 1, sizeof *in);
	struct site *site = buf_array(NULL, 1, sizeof *site);
	int status;

	if (argc == 2 && strcmp(argv[1], "--help") == 0)
		return file_write(STDOUT_FILENO, STR(usage_text)) ? EX_IOERR : EX_OK;
	parse(in, argv);
	if (in->status)
		return in->status;
	if (in->mode == 'p')
		return mailq_list(&in->site);
	if (in->mode == 'i')
		return newaliases_main(argc, argv);
	/* Only the queue needs the group. */
	if (in->delivery == 'd' || in->mode == 'v' || in->mode == 'P')
		sandbox_drop_group();
	log_verbose(in->verbose);
	if (in->session_log && site_is_set_id() && getuid() != 0)
		die(EX_NOPERM, "-X is for those who own the mail system");
	if (in->session_log && log_session(in->session_log))
		log_warn("cannot write to %s (-X):", in->session_log);
	status = site_load(site, &in->site);
	if (in->mode == 'P' && status == EX_CONFIG)
		print_conf(site);
	if (status)
		return status;
	if (in->mode == 'P')
		return print_conf(site);
	if (in->run_queue && in->mode != 'v')
		return run_queue(in, site);
	site->conf.helper = in->helper;
	if (in->login || in->password.len) {
		site->conf.login = in->login ? in->login : "";
		site->conf.password = buf_cstr(&in->password);
	}
	if (in->mode == 'v')
		return verify(in, site);
	if (in->mode == 's')
		return serve(in, site);
	return send_message(in, site);
}
