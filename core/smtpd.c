/* SPDX-License-Identifier: ISC */
#include "smtpd.h"
#include "addr.h"

#include <sysexits.h>

enum { WORDS_MAX = 400 }; /* of a callback, in a reply line of 512 */

/* What begin, rcpt and end mean by their status; all others are trouble that may pass. */
static const struct refusal {
	int status;
	char reply[10];
} refusals[] = {
	{EX_USAGE, "503 5.5.1"}, {EX_DATAERR, "554 5.6.0"}, {EX_NOUSER, "550 5.1.1"},
	{EX_NOPERM, "550 5.7.1"}, {EX_UNAVAILABLE, "554 5.0.0"}, {0, ""},
};
static const char trouble[] = "451 4.3.0";

/* Replies. */

static void
say(struct smtpd *s, const char *reply)
{
	buf_print(&s->out, "%s\r\n", reply);
}

/* With any words, or none, behind it. */
static void
say_words(struct smtpd *s, const char *reply, struct str words)
{
	words = str_upto(words, WORDS_MAX);
	buf_print(&s->out, words.len > 0 ? "%s " : "%s", reply);
	for (size_t i = 0; i < words.len; i++) {
		char c = words.ptr[i];
		buf_putc(&s->out, c < ' ' || c > '~' ? '?' : c);
	}
	say(s, "");
}

/* Says what a callback decided; later: the reply to trouble that may pass. A no is not counted
 * as an error: of a list's addresses many may be bad. */
static void
answer(struct smtpd *s, int status, const char *ok, const char *later, struct buf *words)
{
	const struct refusal *r = refusals;

	while (r->status && r->status != status)
		r++;
	say_words(s, status == 0 ? ok : r->status ? r->reply : later, buf_view(words));
	buf_free(words);
}

static void
abandon(struct smtpd *s)
{
	if (s->mail)
		s->config->reset(s->config->ctx);
	s->mail = s->in_data = false;
}

static void
hang_up(struct smtpd *s, const char *reply)
{
	abandon(s);
	say(s, reply);
	s->done = true;
}

static void
complain(struct smtpd *s, const char *reply)
{
	say(s, reply);
	if (++s->errors == SMTPD_ERRORS)
		hang_up(s, "421 4.7.0 too many errors");
}

/* Arguments. */

/* Length of the path that s begins with, which ends at '>' where it begins with '<', else at
 * a blank. */
static size_t
path_length(struct str s)
{
	size_t angle = str_starts(s, STR("<"));
	bool quoted = false;

	for (size_t i = 0; i < s.len; i++) {
		if (s.ptr[i] == '"')
			quoted = !quoted;
		else if (quoted && s.ptr[i] == '\\')
			i++;
		else if (!quoted && s.ptr[i] == (angle ? '>' : ' '))
			return i + angle;
	}
	return s.len;
}

typedef int parse_address(struct str in, struct buf *out, const char **why);

/* Takes "FROM:<a@b>" or the like off *args. 0; -1: it has been refused. */
static int
take_path(struct smtpd *s, struct str *args, struct str word, parse_address *parse,
	  struct buf *address)
{
	struct str rest = str_trim(str_from(*args, word.len));
	size_t len = path_length(rest);
	const char *why;

	if (!str_istarts(*args, word) || len == 0) {
		complain(s, "501 5.5.4 syntax: MAIL FROM:<address> or RCPT TO:<address>");
		return -1;
	}
	*args = str_from(rest, len);
	if (parse(str_upto(rest, len), address, &why) == 0)
		return 0;
	say_words(s, parse == addr_parse ? "501 5.1.3 recipient:" : "501 5.1.7 sender:",
		  str_of(why));
	return -1;
}

/* Takes the next "KEY" or "KEY=value" off *args. False: there is none. */
static bool
take_parameter(struct str *args, struct str *key, struct str *value)
{
	*args = str_trim(*args);
	*value = str_cut(args, ' ');
	bool any = value->len > 0;
	*key = str_cut(value, '=');
	return any;
}

static const char bad_value[] = "501 5.5.4 a parameter has a wrong value";

/* NULL, or the refusal. */
static const char *
set_notify(struct smtpd_path *p, enum notify_of of, struct str key, struct str value)
{
	int rc = notify_set(&p->notify, of, key, value);

	return rc == 0 ? NULL : rc < 0 ? bad_value : "555 5.5.4 unknown parameter";
}

/* The same. */
static const char *
set_mail_parameter(const struct smtpd *s, struct smtpd_path *p, struct str key,
		   struct str value)
{
	uint64_t limit = s->config->size_limit;

	if (str_ieq(key, STR("SIZE"))) {
		if (str_number(value, UINT64_MAX, &p->size))
			return bad_value;
		return limit && p->size > limit ? "552 5.3.4 the message is too large" : NULL;
	}
	if (str_ieq(key, STR("BODY"))) {
		p->eightbit = str_ieq(value, STR("8BITMIME"));
		return p->eightbit || str_ieq(value, STR("7BIT")) ? NULL : bad_value;
	}
	if (str_ieq(key, STR("SMTPUTF8")))
		p->utf8 = true;
	else if (!str_ieq(key, STR("AUTH")))
		return set_notify(p, NOTIFY_MAIL, key, value);
	return NULL;
}

/* Commands. args has no blanks at its ends. */

/* HELO and EHLO both begin anew. False: refused. */
static bool
greet(struct smtpd *s, struct str args, const char *code)
{
	abandon(s);
	if (args.len == 0)
		complain(s, "501 syntax: EHLO name, or HELO name");
	else
		buf_print(&s->out, "%s%.*s\r\n", code, STR_ARG(s->config->name));
	return args.len > 0;
}

static void
run_helo(struct smtpd *s, struct str args)
{
	greet(s, args, "250 ");
}

static void
run_ehlo(struct smtpd *s, struct str args)
{
	uint64_t limit = s->config->size_limit;

	if (!greet(s, args, "250-"))
		return;
	if (limit)
		buf_print(&s->out, "250-SIZE %llu\r\n", (unsigned long long)limit);
	say(s, "250-PIPELINING\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250-DSN\r\n"
	    "250 ENHANCEDSTATUSCODES");
}

/* MAIL with its arguments understood. */
static void
begin(struct smtpd *s, const struct smtpd_path *p)
{
	struct buf why = {0};
	int status = s->config->begin(s->config->ctx, p, &why);

	s->mail = status == 0;
	s->rcpts = 0;
	answer(s, status, "250 2.1.0 Ok", trouble, &why);
}

/* RCPT with its arguments understood. */
static void
add_rcpt(struct smtpd *s, const struct smtpd_path *p)
{
	struct buf why = {0};
	int status = s->config->rcpt(s->config->ctx, p, &why);

	s->rcpts += status == 0;
	answer(s, status, "250 2.1.5 Ok", "452 4.5.3", &why);
}

/* MAIL where there is none yet, else RCPT. */
static void
take_envelope(struct smtpd *s, struct str args, struct str word, parse_address *parse)
{
	struct smtpd_path p = {0};
	struct buf address = {0};
	struct str key, value;
	const char *refusal = NULL;

	if (take_path(s, &args, word, parse, &address) == 0) {
		p.address = buf_view(&address);
		while (!refusal && take_parameter(&args, &key, &value))
			refusal = s->mail ? set_notify(&p, NOTIFY_RCPT, key, value)
					  : set_mail_parameter(s, &p, key, value);
		s->utf8 = s->mail ? s->utf8 : p.utf8;
		if (refusal)
			complain(s, refusal);
		else if (!s->utf8 && !str_is_ascii(p.address))
			say(s, "553 5.6.7 an address beyond ASCII needs SMTPUTF8 in MAIL");
		else if (s->mail)
			add_rcpt(s, &p);
		else
			begin(s, &p);
	}
	buf_free(&address);
}

static void
run_mail(struct smtpd *s, struct str args)
{
	if (s->mail)
		complain(s, "503 5.5.1 there is a MAIL already: DATA or RSET first");
	else
		take_envelope(s, args, STR("FROM:"), addr_parse_sender);
}

static void
run_rcpt(struct smtpd *s, struct str args)
{
	if (s->mail)
		take_envelope(s, args, STR("TO:"), addr_parse);
	else
		complain(s, "503 5.5.1 MAIL first");
}

static void
run_data(struct smtpd *s, struct str args)
{
	(void)args;
	if (!s->mail || s->rcpts == 0) {
		complain(s, "503 5.5.1 MAIL and RCPT first: there is no recipient");
		return;
	}
	if (s->config->strict)
		text_init_strict(&s->text);
	else
		text_init(&s->text, true);
	s->size = 0;
	s->in_data = true;
	say(s, "354 end it with a dot on a line of its own");
}

static void
run_rset(struct smtpd *s, struct str args)
{
	(void)args;
	abandon(s);
	say(s, "250 2.0.0 Ok");
}

static void
run_quit(struct smtpd *s, struct str args)
{
	(void)args;
	hang_up(s, "221 2.0.0 Bye");
}

static const char not_implemented[] = "502 5.5.1 not implemented";

static const struct command {
	char name[9];
	bool bare;         /* takes no arguments */
	void (*run)(struct smtpd *s, struct str args);
	const char *reply; /* where there is nothing to run */
} commands[] = {
	{"HELO", false, run_helo, NULL},
	{"EHLO", false, run_ehlo, NULL},
	{"MAIL", false, run_mail, NULL},
	{"RCPT", false, run_rcpt, NULL},
	{"DATA", true, run_data, NULL},
	{"RSET", true, run_rset, NULL},
	{"QUIT", true, run_quit, NULL},
	{"NOOP", false, NULL, "250 2.0.0 Ok"},
	{"VRFY", false, NULL, "252 2.1.5 send it, and see"},
	{"HELP", false, NULL, "214 2.0.0 HELO EHLO MAIL RCPT DATA RSET NOOP VRFY HELP QUIT"},
	{"EXPN", false, NULL, not_implemented},
	{"AUTH", false, NULL, not_implemented},
	{"STARTTLS", false, NULL, not_implemented},
};

static void
run_command(struct smtpd *s, const struct command *c, struct str args)
{
	if (c->bare && args.len > 0)
		complain(s, "501 5.5.4 this command has no arguments");
	else if (c->run)
		c->run(s, args);
	else
		say(s, c->reply);
}

static bool
has_control(struct str s)
{
	for (size_t i = 0; i < s.len; i++)
		if (str_is_control(s.ptr[i]))
			return true;
	return false;
}

static void
run_line(struct smtpd *s, struct str line)
{
	struct str args = str_trim(line), name = str_cut(&args, ' ');

	if (has_control(line)) {
		complain(s, "500 5.5.2 a control character");
		return;
	}
	for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
		if (str_is(name, commands[i].name)) {
			run_command(s, &commands[i], str_trim(args));
			return;
		}
	complain(s, "500 5.5.2 unknown command");
}

/* Input. */

/* A bare CR or LF: other servers may have seen a line end there, or none. What follows may be
 * a message within a message, so nothing of it is read. */
static void
hang_up_bare(struct smtpd *s)
{
	hang_up(s, "521 5.5.2 a bare CR or LF: lines end in CRLF");
}

static void
take_byte(struct smtpd *s, char c)
{
	bool cr = s->last == '\r';

	s->last = c;
	if (s->config->strict && cr != (c == '\n')) {
		hang_up_bare(s);
	} else if (c != '\n') {
		if (s->len < sizeof s->line)
			s->line[s->len] = c;
		s->len += s->len <= sizeof s->line;
	} else {
		struct str line = {s->line, s->len - cr};
		bool overlong = s->len > sizeof s->line;
		s->len = 0;
		if (overlong)
			complain(s, "500 5.5.2 the line is too long");
		else
			run_line(s, line);
	}
}

static void
end_message(struct smtpd *s)
{
	const struct smtpd_config *c = s->config;
	struct buf words = {0};

	if (c->size_limit && s->size > c->size_limit) {
		abandon(s);
		say(s, "552 5.3.4 the message is too large");
		return;
	}
	s->mail = s->in_data = false;
	int status = c->end(c->ctx, &s->text.facts, &words);
	if (status == 0)
		s->errors = 0;
	answer(s, status, "250 2.0.0 Ok: queued as", trouble, &words);
}

static void
take_data(struct smtpd *s, struct str *in)
{
	struct str piece = {s->line, text_feed(&s->text, in, s->line, sizeof s->line)};
	uint64_t limit = s->config->size_limit, room = limit > s->size ? limit - s->size : 0;

	s->size += piece.len;
	if (limit && piece.len > room)
		piece.len = (size_t)room;
	if (piece.len > 0)
		s->config->data(s->config->ctx, piece);
	if (s->text.bare)
		hang_up_bare(s);
	else if (s->text.ended)
		end_message(s);
}

void
smtpd_input(struct smtpd *s, struct str in)
{
	while (in.len > 0 && !s->done) {
		if (s->in_data) {
			take_data(s, &in);
		} else {
			take_byte(s, in.ptr[0]);
			in = str_from(in, 1);
		}
	}
}

void
smtpd_close(struct smtpd *s)
{
	abandon(s);
	s->done = true;
}

void
smtpd_init(struct smtpd *s, const struct smtpd_config *config)
{
	*s = (struct smtpd){.config = config};
	buf_print(&s->out, "220 %.*s ESMTP mtabox\r\n", STR_ARG(config->name));
}
