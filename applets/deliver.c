/* SPDX-License-Identifier: ISC */
#include "applets.h"
#include "args.h"
#include "file.h"
#include "log.h"
#include "nap.h"
#include "queue.h"
#include "site.h"

#include <errno.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

static const char usage_text[] =
	"usage: deliver -q [-C FILE] [-O KEY=VALUE] [-L TAG] [-v]\n"
	"Runs the queue in the foreground until it is empty. With an interval, as in -q15m, it\n"
	"stays for good: for init, procd, systemd, runit. (Retries follow retry_min and\n"
	"retry_max, not the interval.)\n";

/* With stay, a runner that sendmail started may still be at work: its end is waited for. */
static int
lock(struct spool *spool, bool stay, int *runner)
{
	enum spool_result r;

	while ((r = spool_lock_runner(spool, runner)) == SPOOL_BUSY && stay)
		nap(1000);
	if (r == SPOOL_OK)
		return EX_OK;
	if (r == SPOOL_BUSY) {
		log_debug("another runner is at work: told it to try all now");
		return spool_touch_runner(spool) ? EX_TEMPFAIL : EX_OK;
	}
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
	if (site_load_aliases(site, NULL, NULL)) {
		log_error("cannot read the aliases file %s:", site->conf.aliases);
		return EX_TEMPFAIL;
	}
	status = lock(&spool, stay, &runner);
	if (runner >= 0)
		queue_run(&spool, runner, &o);
	return status;
}

int
deliver_main(int argc, char **argv)
{
	static struct site_options options;
	static struct site site;
	struct args args;
	const char *value;
	bool queue = false, stay = false;
	int letter, status;

	if (argc == 2 && strcmp(argv[1], "--help") == 0)
		return file_write(STDOUT_FILENO, STR(usage_text)) ? EX_IOERR : EX_OK;
	args_init(&args, argv);
	while ((letter = args_next(&args, "q;C:O:L:v", &value)) != ARGS_END) {
		if (site_take_option(&options, letter, value))
			continue;
		switch (letter) {
		case 'q':
			queue = true;
			stay = value[0] >= '0' && value[0] <= '9';
			break;
		case 'v': log_verbose(true); break;
		case ARGS_OPERAND:
			log_error("'%s' is not understood (an interval is attached, as in -q15m)",
				  value);
			return EX_USAGE;
		default:
			log_error("-%s %s (see deliver --help)", value, letter == ARGS_MISSING ?
				  "needs a value" : "is no option of deliver");
			return EX_USAGE;
		}
	}
	if (!queue) {
		log_error("nothing to do: give -q (see deliver --help)");
		return EX_USAGE;
	}
	if ((status = site_load(&site, &options)))
		return status;
	return run(&site, stay);
}
