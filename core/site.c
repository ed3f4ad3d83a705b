/* SPDX-License-Identifier: ISC */
#include "site.h"
#include "file.h"
#include "log.h"
#include "nap.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#define DEFAULT_CONF "/etc/mtabox.conf"
/* dma's, where a device has moved over by changing one binary. */
#define DMA_CONF "/etc/dma/dma.conf"

enum {
	MAILNAME_MAX = 1024,
	SETTLE_MS = 2000, /* that a file must have stayed as it is: somebody may be writing it */
};

bool
site_take_option(struct site_options *o, int letter, const char *value)
{
	switch (letter) {
	case 'C':
		o->conf_path = value;
		return true;
	case 'L':
		o->log_tag = value;
		return true;
	case 'O':
		if (o->settings == SITE_SETTINGS)
			die(EX_USAGE, "too many -O options at -O %s", value);
		o->setting = buf_array(o->setting, o->settings + 1, sizeof *o->setting);
		o->setting[o->settings++] = str_of(value);
		return true;
	default:
		return false;
	}
}

bool
site_is_set_id(void)
{
	return getauxval(AT_SECURE) && (geteuid() != getuid() || getegid() != getgid());
}

static void
complain(void *ctx, enum conf_severity severity, const char *source, unsigned line,
	 const char *what)
{
	struct site *s = ctx;

	if (severity == CONF_FATAL)
		s->fatal = true;
	if (line)
		log_print(severity == CONF_FATAL ? LOG_ERROR : LOG_WARN, "%s line %u: %s", source,
			  line, what);
	else
		log_print(severity == CONF_FATAL ? LOG_ERROR : LOG_WARN, "%s: %s", source, what);
}

static void
print_cwd(struct buf *out)
{
	char cwd[4096];

	/* The C library's getcwd can allocate as well, and is larger. */
	if (syscall(SYS_getcwd, cwd, sizeof cwd) > 0 && cwd[0] == '/')
		buf_print(out, "%s/", cwd);
}

/* Once: the runner, which works in /, reads the same file again. */
static void
find_path(struct site *s)
{
	const char *named = s->options->conf_path;

	if (!named && !site_is_set_id())
		named = getenv("MTABOX_CONF");
	s->named = named != NULL;
	if (!named)
		named = DEFAULT_CONF;
	if (named[0] != '/')
		print_cwd(&s->path_text);
	buf_puts(&s->path_text, named);
	s->path = buf_cstr(&s->path_text);
}

/* Nobody needs to do anything about such an error. */
static bool
may_pass(int err)
{
	return err == ENOMEM || err == EMFILE || err == ENFILE || err == EIO;
}

/* What the person named must be there; the defaults may be missing. */
static int
read_file(struct site *s, struct buf *text)
{
	int rc = file_load_seen(s->path, LIMIT_CONF_FILE, text, &s->stamp);

	if (rc && errno == ENOENT && !s->named) {
		struct stat stamp;
		rc = file_load_seen(DMA_CONF, LIMIT_CONF_FILE, text, &stamp);
		if (rc && errno == ENOENT)
			return 0;
		s->path = DMA_CONF;
		s->stamp = stamp;
	}
	if (rc == 0)
		return 0;
	int status = may_pass(errno) ? EX_TEMPFAIL : EX_CONFIG;
	log_error("cannot read the configuration %s:", s->path);
	return status;
}

/* As dma has it, mailname may name a file whose first line is the name. */
static void
read_mailname(struct site *s)
{
	struct conf *c = &s->conf;
	struct buf text = {0}, setting = {0};
	struct str rest, name;

	if (c->mailname[0] != '/')
		return;
	if (file_load(c->mailname, MAILNAME_MAX, &text))
		log_warn("cannot read the mailname file %s:", c->mailname);
	rest = buf_view(&text);
	name = str_trim(str_cut(&rest, '\n'));
	buf_print(&setting, "mailname=%.*s", STR_ARG(name));
	if (text.len)
		conf_set(c, buf_view(&setting), "mailname file", complain, s);
	buf_free(&text);
	buf_free(&setting);
}

static int
load_conf(struct site *s)
{
	struct utsname machine;
	struct buf text = {0};
	int status;

	s->fatal = false;
	conf_init(&s->conf);
	status = read_file(s, &text);
	if (status == 0)
		conf_parse(&s->conf, buf_view(&text), s->path, complain, s);
	for (size_t n = 0; n < s->options->settings; n++)
		conf_set(&s->conf, s->options->setting[n], "-O", complain, s);
	buf_free(&text);
	read_mailname(s);
	uname(&machine);
	s->host.len = 0;
	buf_puts(&s->host, machine.nodename);
	log_host(buf_cstr(&s->host));
	conf_finish(&s->conf, buf_cstr(&s->host), complain, s);
	if (status == 0 && s->fatal) {
		log_error("no mail is accepted until this is corrected");
		status = EX_CONFIG;
	}
	return status;
}

int
site_load(struct site *s, const struct site_options *options)
{
	*s = (struct site){.options = options, .uid = (uid_t)getauxval(AT_UID)};
	if (options->log_tag)
		log_tag(options->log_tag);
	if (site_is_set_id() && getuid() != 0 && (options->conf_path || options->settings))
		die(EX_NOPERM, "-C and -O are for those who own the mail system");
	find_path(s);
	int status = load_conf(s);
	/* Other users cannot write to the system's: nothing that they need to hear of. */
	if (log_open(s->conf.log_file) && (getuid() == 0 || s->named))
		log_warn("cannot open log_file %s, using the system's log:", s->conf.log_file);
	return status;
}

/* ctx: the file's name. */
static void
note_problem(void *ctx, unsigned line, const char *what, struct str piece)
{
	log_info("%s line %u: %s: %.*s", (const char *)ctx, line, what, STR_ARG(piece));
}

struct str
site_self(struct site *s)
{
	struct user u;

	if (s->self.len)
		return buf_view(&s->self);
	user_by_id(&s->passwd, s->uid, &u);
	if (u.name.len)
		buf_str(&s->self, buf_view(&u.name));
	else
		buf_print(&s->self, s->uid ? "uid%u" : "root", (unsigned)s->uid);
	user_free(&u);
	return buf_view(&s->self);
}

int
site_find_sender(struct site *s, const char *given, struct buf *sender)
{
	const char *why;

	if (given) {
		if (addr_parse_sender(str_of(given), sender, &why) == 0)
			return EX_OK;
		log_error("sender '%s': %s", given, why);
		return EX_DATAERR;
	}
	if (addr_parse(site_self(s), sender, &why))
		buf_puts(sender, "postmaster");
	return EX_OK;
}

int
site_open_spool(const struct site *s, struct spool *spool)
{
	struct buf why = {0};

	if (spool_open(spool, &s->conf, &why) == 0)
		return EX_OK;
	int err = errno;
	log_error("cannot use the queue %s: %.*s (the configuration is %s)", s->conf.spooldir,
		  STR_ARG(why), s->path);
	buf_free(&why);
	return may_pass(err) ? EX_TEMPFAIL : EX_CANTCREAT;
}

/* Zeros where there is none. */
static int
look(const char *path, struct stat *st)
{
	int rc = stat(path, st);

	if (rc)
		memset(st, 0, sizeof *st);
	return rc;
}

static bool
differs(const struct stat *a, const struct stat *b)
{
	return a->st_mtim.tv_sec != b->st_mtim.tv_sec ||
	       a->st_mtim.tv_nsec != b->st_mtim.tv_nsec || a->st_ino != b->st_ino ||
	       a->st_size != b->st_size;
}

/* Puts a new set in the old one's place, or leaves all as it was: -1 with errno. */
static int
load_aliases(struct site *s, alias_complain *say, void *ctx)
{
	struct buf text = {0};
	struct stat stamp = {0};

	if (*s->conf.aliases &&
	    file_load_seen(s->conf.aliases, LIMIT_ALIASES_FILE, &text, &stamp) && errno != ENOENT) {
		int err = errno;
		buf_free(&text);
		errno = err;
		return -1;
	}
	alias_free(&s->aliases);
	buf_free(&s->alias_text);
	s->alias_text = text;
	s->alias_stamp = stamp;
	s->alias_unreadable = false;
	alias_parse(&s->aliases, buf_view(&s->alias_text), say, ctx);
	return 0;
}

int
site_load_aliases(struct site *s, alias_complain *say, void *ctx)
{
	if (load_aliases(s, say ? say : note_problem, say ? ctx : (void *)s->conf.aliases) == 0)
		return EX_OK;
	log_error("cannot read the aliases file %s:", s->conf.aliases);
	return EX_TEMPFAIL;
}

int
site_load_users(struct site *s, alias_complain *say, void *ctx)
{
	const char *path = s->conf.virtual_users;

	if (*path && file_load(path, LIMIT_ALIASES_FILE, &s->users_text)) {
		if (errno != ENOENT) {
			log_error("cannot read the virtual_users file %s:", path);
			return EX_TEMPFAIL;
		}
		log_warn("there is no virtual_users file %s", path);
	}
	rewrite_parse_users(&s->users, buf_view(&s->users_text), say ? say : note_problem,
			    say ? ctx : (void *)path);
	return 0;
}

/* How long until a file with that time has stayed as it is for SETTLE_MS; 0 for a time to
 * come, which is that of another clock. */
static int
unsettled_ms(const struct stat *st)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	int64_t age = ((int64_t)now.tv_sec - st->st_mtim.tv_sec) * 1000 +
		      (now.tv_nsec - st->st_mtim.tv_nsec) / 1000000;
	return age >= 0 && age < SETTLE_MS ? (int)(SETTLE_MS - age) : 0;
}

/* Another file (*now) than *seen, or none? Editors truncate, rename and write: waits for up to
 * SETTLE_MS, and what changes in that time is left for the next look. */
static bool
has_changed(const char *path, const struct stat *seen, struct stat *now)
{
	struct stat later;
	bool gone = look(path, now) && errno == ENOENT;

	if (!differs(now, seen))
		return false;
	int wait_ms = gone ? SETTLE_MS : unsettled_ms(now);
	if (wait_ms == 0)
		return true;
	nap(wait_ms);
	look(path, &later);
	return !differs(&later, now);
}

static bool
reload_conf(struct site *s)
{
	struct conf old = s->conf;
	struct stat now;

	/* Empty or gone is not what anybody wants of a configuration in use. */
	look(s->path, &now);
	if ((now.st_size == 0 && s->stamp.st_size > 0) || !has_changed(s->path, &s->stamp, &now))
		return false;
	int status = load_conf(s);
	/* Read while it was being written? */
	look(s->path, &now);
	if (status == 0 && !differs(&now, &s->stamp)) {
		conf_free(&old);
		return true;
	}
	log_error("going on with the configuration as it was");
	conf_free(&s->conf);
	s->conf = old;
	return false;
}

static bool
reload_aliases(struct site *s)
{
	struct stat now;

	if (!has_changed(s->conf.aliases, &s->alias_stamp, &now))
		return false;
	if (load_aliases(s, note_problem, (void *)s->conf.aliases) == 0)
		return true;
	if (!s->alias_unreadable)
		log_error("going on with the aliases as they were: cannot read %s:",
			  s->conf.aliases);
	s->alias_unreadable = true;
	return false;
}

bool
site_reload(struct site *s)
{
	bool is_new = reload_conf(s);

	log_renew(s->conf.log_file);
	return reload_aliases(s) || is_new;
}

void
site_free(struct site *s)
{
	conf_free(&s->conf);
	alias_free(&s->aliases);
	buf_free(&s->alias_text);
	rewrite_free_users(&s->users);
	buf_free(&s->users_text);
	buf_free(&s->path_text);
	buf_free(&s->host);
	user_unload(&s->passwd);
	buf_free(&s->self);
}
