/* SPDX-License-Identifier: ISC */
#include "site.h"
#include "file.h"
#include "log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sysexits.h>
#include <unistd.h>

#define DEFAULT_CONF "/etc/mtabox.conf"
/* dma's, where a device has moved over by changing one binary. */
#define DMA_CONF "/etc/dma/dma.conf"

enum { MAILNAME_MAX = 1024 };

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
		o->setting[o->settings++] = str_of(value);
		return true;
	default:
		return false;
	}
}

bool
site_is_set_id(void)
{
	return getauxval(AT_SECURE) != 0;
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

/* Once: the runner, which works in /, reads the same file again. */
static void
find_path(struct site *s)
{
	const char *named = s->options->conf_path;
	char cwd[4096];

	if (!named && !site_is_set_id())
		named = getenv("MTABOX_CONF");
	s->named = named != NULL;
	if (!named && access(DEFAULT_CONF, F_OK) && access(DMA_CONF, F_OK) == 0)
		named = DMA_CONF;
	if (!named)
		named = DEFAULT_CONF;
	if (named[0] != '/' && getcwd(cwd, sizeof cwd))
		buf_print(&s->path_text, "%s/", cwd);
	buf_puts(&s->path_text, named);
	s->path = buf_cstr(&s->path_text);
}

/* What the person named must be there; the defaults may be missing. */
static int
read_file(struct site *s, struct buf *text)
{
	memset(&s->stamp, 0, sizeof s->stamp);
	stat(s->path, &s->stamp);
	if (file_load(s->path, LIMIT_CONF_FILE, text) == 0)
		return 0;
	if (errno == ENOENT && !s->named)
		return 0;
	log_error("cannot read the configuration %s:", s->path);
	return EX_CONFIG;
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
	struct buf text = {0};
	char hostname[256] = "";
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
	if (gethostname(hostname, sizeof hostname - 1))
		hostname[0] = '\0';
	conf_finish(&s->conf, hostname, complain, s);
	if (status == 0 && s->fatal) {
		log_error("nothing is sent with a configuration that says other than what is meant: correct %s",
			  s->path);
		status = EX_CONFIG;
	}
	return status;
}

int
site_load(struct site *s, const struct site_options *options)
{
	*s = (struct site){.options = options};
	if (options->log_tag)
		log_name(options->log_tag);
	if (site_is_set_id() && getuid() != geteuid() && (options->conf_path || options->settings))
		die(EX_NOPERM, "-C and -O are for those who own the mail system");
	find_path(s);
	int status = load_conf(s);
	if (log_open(s->conf.log_file))
		log_warn("cannot open log_file %s, using the system's log:", s->conf.log_file);
	if (user_by_id(getuid(), &s->self) != USER_FOUND)
		s->self.uid = getuid();
	return status;
}

static void
warn_alias(void *ctx, unsigned line, const char *what, struct str piece)
{
	const struct site *s = ctx;

	log_warn("%s line %u: %s: %.*s", s->conf.aliases, line, what, STR_ARG(piece));
}

int
site_load_aliases(struct site *s, alias_complain *say, void *ctx)
{
	if (stat(s->conf.aliases, &s->alias_stamp))
		memset(&s->alias_stamp, 0, sizeof s->alias_stamp);
	if (*s->conf.aliases &&
	    file_load(s->conf.aliases, LIMIT_ALIASES_FILE, &s->alias_text) && errno != ENOENT)
		return -1;
	alias_parse(&s->aliases, buf_view(&s->alias_text), say ? say : warn_alias, say ? ctx : s);
	return 0;
}

static bool
has_changed(const char *path, const struct stat *seen)
{
	struct stat now = {0};

	if (stat(path, &now))
		memset(&now, 0, sizeof now);
	return now.st_mtim.tv_sec != seen->st_mtim.tv_sec ||
	       now.st_mtim.tv_nsec != seen->st_mtim.tv_nsec || now.st_ino != seen->st_ino ||
	       now.st_size != seen->st_size;
}

static bool
reload_conf(struct site *s)
{
	struct conf old = s->conf;

	if (!has_changed(s->path, &s->stamp))
		return false;
	if (load_conf(s) == 0) {
		conf_free(&old);
		return true;
	}
	log_error("going on with the configuration as it was");
	conf_free(&s->conf);
	s->conf = old;
	return false;
}

bool
site_reload(struct site *s)
{
	bool is_new = reload_conf(s);

	if (!is_new && !has_changed(s->conf.aliases, &s->alias_stamp))
		return false;
	alias_free(&s->aliases);
	s->alias_text.len = 0;
	if (site_load_aliases(s, NULL, NULL))
		log_error("cannot read the aliases file %s:", s->conf.aliases);
	return true;
}

void
site_free(struct site *s)
{
	conf_free(&s->conf);
	alias_free(&s->aliases);
	buf_free(&s->alias_text);
	buf_free(&s->path_text);
	user_free(&s->self);
}
