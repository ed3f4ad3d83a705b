/* SPDX-License-Identifier: ISC */
#include "applets.h"
#include "args.h"
#include "direct.h"
#include "file.h"
#include "log.h"
#include "queue.h"
#include "sandbox.h"
#include "site.h"
#include "submit.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

static const char usage_text[] =
	"usage: deliver -q [option...]\n"
	"       deliver [-f SENDER] [-a DETAIL] [option...] USER... < message\n"
	"  -q            run the queue in the foreground until it is empty\n"
	"  -q15m         stay for good: for init, procd, systemd, runit (retries follow\n"
	"                retry_min and retry_max, not the interval)\n"
	"  -f SENDER     whom bounces go to ('' or '<>': nobody)\n"
	"  -a DETAIL     the message is for USER+DETAIL\n"
	"  -C FILE, -O KEY=VALUE configuration file; one setting\n"
	"  -L TAG, -v    name in the log; show what happens\n"
	"With USERs delivers a message to them now: exit status 0 means that they have it.\n";

struct invocation {
	struct site_options site;
	bool queue, stay;
	const char *sender, *detail;
	struct addr_set users;
};

static void
on_hangup(int signal)
{
	(void)signal;
}

/* Another runner, which sendmail started perhaps, is told to try all now: unless it was on its way
 * out, and deaf. With stay, its end is waited for, and SIGHUP is for it until then. */
static int
lock(struct spool *spool, bool stay, int *runner)
{
	const struct sigaction hangup = {.sa_handler = on_hangup};
	enum spool_result r;
	bool told = false;

	if (stay)
		sigaction(SIGHUP, &hangup, NULL);
	while ((r = spool_lock_runner(spool, stay && told, runner)) == SPOOL_BUSY) {
		if (told && !stay)
			return EX_OK;
		log_debug("another runner is at work: told it to try all now");
		if (spool_touch_runner(spool))
			return EX_TEMPFAIL;
		told = true;
	}
	if (r == SPOOL_OK)
		return EX_OK;
	log_error("cannot lock the queue in %s:", spool->path);
	return EX_TEMPFAIL;
}

static int
run(struct site *site, bool stay)
{
	struct spool spool;
	struct queue_options o = {.site = site, .stay = stay, .now = true};
	int runner = -1;

	int status = site_open_spool(site, &spool);
	if (status)
		return status;
	if ((status = site_load_aliases(site, NULL, NULL)))
		return status;
	status = lock(&spool, stay, &runner);
	if (runner >= 0 && queue_run(&spool, runner, &o))
		status = EX_TEMPFAIL;
	return status;
}

/* A user of this device: without a domain from here on. */
static int
add_user(struct invocation *in, const char *name)
{
	struct buf address = {0};
	const char *why;
	int status = EX_OK;

	if (addr_parse(str_of(name), &address, &why)) {
		log_error("user '%s': %s", name, why);
		status = EX_DATAERR;
	} else {
		addr_set_add(&in->users, buf_view(&address));
	}
	buf_free(&address);
	return status;
}

static int
take_option(struct invocation *in, int letter, const char *value)
{
	if (site_take_option(&in->site, letter, value))
		return EX_OK;
	switch (letter) {
	case 'q':
		in->queue = true;
		in->stay = value[0] >= '0' && value[0] <= '9';
		return EX_OK;
	case 'f': in->sender = value; return EX_OK;
	case 'a': in->detail = value; return EX_OK;
	case 'v': log_verbose(true); return EX_OK;
	case ARGS_OPERAND:
		return add_user(in, value);
	default:
		log_error("-%s %s (see deliver --help)", value, letter == ARGS_MISSING ?
			  "needs a value" : "is no option of deliver");
		return EX_USAGE;
	}
}

/* The users as recipients, with the detail. 0, or a status. */
static int
find_recipients(const struct invocation *in, const struct site *site, struct addr_set *rcpts)
{
	struct buf address = {0}, canonical = {0};
	const char *why;
	int status = EX_OK;

	for (size_t n = 0; n < in->users.count && !status; n++) {
		struct str user = addr_set_get(&in->users, n);
		if (!conf_is_local(&site->conf, addr_domain(user))) {
			log_error("%.*s is no user of this device", STR_ARG(user));
			status = EX_NOUSER;
			break;
		}
		address.len = canonical.len = 0;
		buf_str(&address, addr_local(user));
		if (in->detail && *in->detail)
			buf_print(&address, "+%s", in->detail);
		if (addr_parse(buf_view(&address), &canonical, &why)) {
			log_error("%.*s: %s", STR_ARG(address), why);
			status = EX_DATAERR;
		} else {
			addr_set_add(rcpts, buf_view(&canonical));
		}
	}
	buf_free(&address);
	buf_free(&canonical);
	return status;
}

static int
deliver_now(const struct invocation *in, struct site *site)
{
	struct spool spool;
	struct buf sender = {0}, why = {0};
	struct submission sub = {
		.conf = &site->conf, .aliases = &site->aliases, .passwd = &site->passwd,
		.uid = site->uid, .final = true,
	};
	char id[SPOOL_ID + 1];
	int status = find_recipients(in, site, &sub.rcpts);

	if (!status)
		status = site_find_sender(site, in->sender, &sender);
	if (status)
		return status;
	/* What a .forward names may be an alias. */
	if ((status = site_load_aliases(site, NULL, NULL)))
		return status;
	/* It delivers here, wherever other mail for this device goes. */
	site->conf.nullclient = false;
	conf_set(&site->conf, STR("adminaddr \"\""), NULL, NULL, NULL);
	sub.sender = buf_view(&sender);
	spool_open_memory(&spool);
	status = submit(&sub, STDIN_FILENO, &spool, id, &why);
	if (status) {
		log_error("message not accepted: %.*s", STR_ARG(why));
		return status;
	}
	return direct_run(site, &spool, id);
}

int
deliver_main(int argc, char **argv)
{
	struct invocation in = {0};
	struct site site;
	struct args args;
	const char *value;
	int letter, status;

	if (argc == 2 && strcmp(argv[1], "--help") == 0)
		return file_write(STDOUT_FILENO, STR(usage_text)) ? EX_IOERR : EX_OK;
	sandbox_drop_group();
	args_init(&args, argv);
	while ((letter = args_next(&args, "q;C:O:L:vf:a:", &value)) != ARGS_END)
		if ((status = take_option(&in, letter, value)))
			return status;
	if (in.queue && in.users.count) {
		log_error("-q takes no users (an interval is attached, as in -q15m)");
		return EX_USAGE;
	}
	if (!in.queue && !in.users.count) {
		log_error("nothing to do: give -q, or users (see deliver --help)");
		return EX_USAGE;
	}
	if ((status = site_load(&site, &in.site)))
		return status;
	return in.queue ? run(&site, in.stay) : deliver_now(&in, &site);
}
