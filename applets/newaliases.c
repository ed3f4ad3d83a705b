/* SPDX-License-Identifier: ISC */
#include "applets.h"
#include "args.h"
#include "file.h"
#include "log.h"
#include "sandbox.h"
#include "site.h"

#include <string.h>
#include <sysexits.h>
#include <unistd.h>

static const char grammar[] = "A:B:b:C:cD:d;E:e:F:f:Gh:IiJ:L:M:mN:nO:o:p:Q:q;R:r:sTtUV:vX:x";

static const char usage_text[] =
	"usage: newaliases [-C FILE] [-O KEY=VALUE] [-L TAG]\n"
	"Checks the aliases file: every problem with its line, and what the file holds. There is\n"
	"no database to build: the file itself is read when a message comes in.\n";

/* ctx: the file's name. */
static void
complain(void *ctx, unsigned line, const char *what, struct str piece)
{
	log_error("%s line %u: %s: %.*s", (const char *)ctx, line, what, STR_ARG(piece));
}

int
newaliases_main(int argc, char **argv)
{
	struct site_options options = {0};
	struct site site;
	struct args args;
	struct buf out = {0};
	const char *value;
	int letter, status;

	if (argc == 2 && strcmp(argv[1], "--help") == 0)
		return file_write(STDOUT_FILENO, STR(usage_text)) ? EX_IOERR : EX_OK;
	sandbox_drop_group();
	args_init(&args, argv);
	while ((letter = args_next(&args, grammar, &value)) != ARGS_END) {
		if (!site_take_option(&options, letter, value) && (letter == ARGS_OPERAND ||
		    letter == ARGS_UNKNOWN || letter == ARGS_MISSING)) {
			log_error("'%s' is not understood (see newaliases --help)", value);
			return EX_USAGE;
		}
	}
	if ((status = site_load(&site, &options)))
		return status;
	if (site_load_aliases(&site, complain, (void *)site.conf.aliases))
		return EX_NOINPUT;
	if ((status = site_load_users(&site, complain, (void *)site.conf.virtual_users)))
		return status;
	buf_print(&out, "%s: %zu aliases, %zu targets, %zu problems\n", site.conf.aliases,
		  site.aliases.count, site.aliases.targets, site.aliases.errors);
	if (site.conf.virtual_users[0])
		buf_print(&out, "%s: %zu users, %zu problems\n", site.conf.virtual_users,
			  site.users.names.count, site.users.errors);
	status = file_write(STDOUT_FILENO, buf_view(&out)) ? EX_IOERR : EX_OK;
	buf_free(&out);
	return site.aliases.errors || site.users.errors ? EX_DATAERR : status;
}
