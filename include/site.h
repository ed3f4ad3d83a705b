/* SPDX-License-Identifier: ISC */
/*
 * This device as an applet finds it: the configuration with its files, -O settings and names,
 * the aliases file, and who we run as. Which file that is, is decided here: -C, else
 * MTABOX_CONF, else /etc/mtabox.conf; the first two only where we are not set-id.
 */
#ifndef SITE_H
#define SITE_H

#include "alias.h"
#include "conf.h"
#include "rewrite.h"
#include "spool.h"
#include "user.h"

#include <sys/stat.h>

enum { SITE_SETTINGS = 64 }; /* -O on one command line */

struct site_options {
	const char *conf_path;               /* -C, or NULL */
	struct str *setting;                 /* -O key=value */
	size_t settings;
	const char *log_tag;                 /* -L, or NULL */
};

struct site {
	struct conf conf;
	const char *path;                    /* of the configuration file, absolute */
	struct buf path_text;
	bool named;                          /* by -C or MTABOX_CONF: it must be there */
	struct stat stamp, alias_stamp;      /* of that and the aliases file when read */
	const struct site_options *options;
	struct alias_file aliases;
	struct buf alias_text;
	bool alias_unreadable;               /* and that was said */
	struct rewrite_users users;
	struct buf users_text;
	struct buf host;                     /* the machine's name */
	uid_t uid;                           /* the real user's */
	struct user_file passwd;
	struct buf self;                     /* his name; empty: not looked up yet */
	bool fatal;                          /* a complaint that concerns security */
};

/* -C, -O and -L as every applet takes them: true where letter is one of them. */
bool site_take_option(struct site_options *o, int letter, const char *value);

/* Loads the configuration and opens the log. Complaints go to log_warn and log_error with
 * file and line. 0, or EX_CONFIG, EX_NOINPUT…: said already. options must outlive *s. */
int site_load(struct site *s, const struct site_options *options);

/* Opens the queue. EX_OK, or a status with the reason and the remedy said. */
int site_open_spool(const struct site *s, struct spool *spool);

/* The name of the user who called us; without one, "root" or "uid1000". */
struct str site_self(struct site *s);

/* The envelope sender: what was given, or who we are. EX_OK, or EX_DATAERR, said already. */
int site_find_sender(struct site *s, const char *given, struct buf *sender);

/* Loads the aliases file; a missing one is empty. complain may be NULL: then problems go
 * to the log. 0, or EX_TEMPFAIL, said already: it cannot be read. */
int site_load_aliases(struct site *s, alias_complain *complain, void *ctx);

/* Loads virtual_users where it is set: who takes in mail needs it. A missing file is warned
 * of and empty. complain as above, ctx with it. 0, or EX_TEMPFAIL, said already: it cannot be
 * read, and mail would leave under a name that was not meant. */
int site_load_users(struct site *s, alias_complain *complain, void *ctx);

/* Reads configuration and aliases again if a file has changed since; waits up to two seconds
 * for one that has just been written, or is gone. A configuration that cannot be used, or is
 * empty or gone, and aliases that cannot be read change nothing; an error is said once. The log
 * is opened anew where its file has been renamed. True: something is new. */
bool site_reload(struct site *s);

/* Set-id, with rights that the caller has not: the environment and options that choose files
 * are not his to set. */
bool site_is_set_id(void);

void site_free(struct site *s);

#endif
