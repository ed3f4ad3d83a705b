/* SPDX-License-Identifier: ISC */
#include "smtp.h"
#include "config.h"
#include "fmt.h"

#include <stdarg.h>
#include <string.h>

/* smtp.state: what the session waits for. One command at a time until AT_READY. */
enum {
	AT_GREETING,
	AT_EHLO,
	AT_HELO,
	AT_STARTTLS,
	AT_HANDSHAKE,
	AT_AUTH,
	AT_READY,
	AT_QUIT,
};

/* The commands of a transaction; RCPT is as many steps as there are recipients. BDAT, with the
 * whole body behind it, takes DATA's place, and DOT's. */
enum kind { RSET, MAIL, RCPT, DATA, DOT, BDAT };

/* smtp_message.state: of a recipient, in the transaction at hand. */
enum {
	UNDECIDED,
	DECIDED,
	LATER,  /* one too many for it: asked again in the next */
	/* No RCPT was or will be sent: */
	UNSENT, /* decided */
	HELD,   /* asked in the next */
};

enum {
	COMMAND_MAX = LIMIT_ADDRESS + NOTIFY_TEXT + 100, /* with all parameters */
	AHEAD = 8 << 10,                   /* of a body, for recipients who may be refused */
	TIMEOUT_BODY = 180,
	TIMEOUT_IDLE = 300,
};

/* Ends. */

static void
decide(struct smtp *s, struct smtp_transaction *t, size_t rcpt, unsigned char state,
       const struct outcome *o)
{
	struct outcome told = *o;

	t->m->state[rcpt] = state;
	t->undecided--;
	t->tried = s->decided = true;
	s->took = s->took || o->verdict == DELIVERED;
	told.passed = o->verdict == DELIVERED && (s->offer.flags & OFFER_DSN) &&
		      notify_wants(&t->m->notifies[rcpt], NOTIFY_SUCCESS);
	s->config->verdict(s->config->ctx, t->m, rcpt, &told);
}

static void
decide_all(struct smtp *s, struct smtp_transaction *t, const struct outcome *o)
{
	for (size_t i = 0; i < t->m->rcpt_count; i++)
		if (t->m->state[i] == UNDECIDED)
			decide(s, t, i, DECIDED, o);
}

/* A transaction for all of m that have no verdict. */
static struct smtp_transaction *
begin(struct smtp *s, const struct smtp_message *m)
{
	struct smtp_transaction *t = &s->tx[s->tx_count++];

	*t = (struct smtp_transaction){
		.m = m, .end = m->rcpt_count + (m->chunk > 0 ? DATA : DOT),
	};
	for (size_t i = 0; i < m->rcpt_count; i++) {
		bool decided = m->state[i] == DECIDED || m->state[i] == UNSENT;
		m->state[i] = decided ? UNSENT : UNDECIDED;
		t->undecided += !decided;
	}
	return t;
}

/* From this recipient on, those who have not been asked wait for the next transaction. */
static void
hold_from(struct smtp_transaction *t, size_t rcpt)
{
	for (; rcpt < t->m->rcpt_count; rcpt++) {
		if (t->m->state[rcpt] != UNDECIDED)
			continue;
		t->m->state[rcpt] = HELD;
		t->undecided--;
	}
}

/* No more in one transaction than this server takes. */
static void
obey_limit(const struct smtp *s, struct smtp_transaction *t)
{
	size_t rcpt = 0;

	for (size_t count = 0; s->rcpt_limit && rcpt < t->m->rcpt_count; rcpt++)
		if (t->m->state[rcpt] == UNDECIDED && count++ == s->rcpt_limit)
			hold_from(t, rcpt);
}

static bool
is_decided(const struct smtp_message *m)
{
	for (size_t i = 0; i < m->rcpt_count; i++)
		if (m->state[i] != DECIDED && m->state[i] != UNSENT)
			return false;
	return true;
}

/* The next transaction, where one was not enough, comes behind what is already waiting. */
static void
finish(struct smtp *s, struct smtp_transaction *t)
{
	const struct smtp_message *m = t->m;
	bool decided = is_decided(m), tried = t->tried;

	if (t == &s->tx[0])
		s->tx[0] = s->tx[1];
	s->tx_count--;
	if (tried && !decided && !s->closed && !s->leaving)
		obey_limit(s, begin(s, m));
	else
		s->config->finished(s->config->ctx, m, decided);
}

static void
shut(struct smtp *s)
{
	s->closed = true;
	s->out_start = s->out_end = 0;
	explicit_bzero(s->out, sizeof s->out);
	if (CONFIG_AUTH)
		login_wipe(&s->login);
}

/* The server has acted upon nothing that it has not answered. */
static void
end_session(struct smtp *s, const struct outcome *o)
{
	struct outcome why = *o;

	why.verdict = TEMPFAIL;
	if (s->state != AT_QUIT && !s->leaving) {
		s->session = why;
		s->stumbled = s->tx_count > 0;
	}
	shut(s);
	while (s->tx_count > 0) {
		if (s->tx[0].tried)
			decide_all(s, &s->tx[0], &why);
		finish(s, &s->tx[0]);
	}
}

static bool
is_whole_out(const struct smtp_transaction *t)
{
	return t->m->chunk > 0 && t->send == t->m->rcpt_count + DATA && !t->body;
}

/* A server that has a whole message may accept it, though we do not hear of it. */
static void
count_as_tried(struct smtp *s)
{
	for (unsigned i = 0; i < s->tx_count; i++) {
		struct smtp_transaction *t = &s->tx[i];
		t->tried |= is_whole_out(t) && !t->back;
	}
}

void
smtp_fail(struct smtp *s, const struct outcome *o)
{
	if (s->closed)
		return;
	count_as_tried(s);
	end_session(s, o);
}

static void
broken(struct smtp *s, const char *what)
{
	struct outcome o = outcome_make(TEMPFAIL, 5, 0, "the server %s", what);

	smtp_fail(s, &o);
}

/* Commands. */

/* The line of len bytes at the end of out is ready. shown is what a trace may see. */
static void
end_line(struct smtp *s, size_t len, struct str shown)
{
	memcpy(s->out + s->out_end + len, "\r\n", 2);
	s->out_end += len + 2;
	if (s->config->trace)
		s->config->trace(s->config->ctx, false, shown);
}

static void
command(struct smtp *s, const char *fmt, ...)
{
	char *line = s->out + s->out_end;
	size_t room = sizeof s->out - s->out_end;
	va_list ap;

	va_start(ap, fmt);
	size_t len = fmt_vprint(line, room, fmt, ap);
	va_end(ap);
	if (len + 2 > room) {
		struct outcome o = outcome_make(TEMPFAIL, 5, 0, "a command is too long");
		smtp_fail(s, &o);
		return;
	}
	end_line(s, len, (struct str){line, len});
}

/* Ends a session that cannot carry mail, politely. */
static void
leave(struct smtp *s, const struct outcome *o)
{
	s->session = *o;
	if (o->verdict == PERMFAIL)
		s->session.verdict = TEMPFAIL; /* of a server, not of a mail */
	s->state = AT_QUIT;
	command(s, "QUIT");
}

static bool
is_class(const struct smtp *s, unsigned digit)
{
	return s->reply.code / 100 == digit;
}

/* The reply as an outcome, where it is no verdict. */
static struct outcome
nonsense(const struct smtp *s, const char *words)
{
	struct outcome o = outcome_make(TEMPFAIL, 5, 0, "%s: %u %s", words, s->reply.code,
					s->reply.text);

	o.code = (unsigned short)s->reply.code;
	return o;
}

/* The same, where it should have been another. */
static struct outcome
refusal(const struct smtp *s)
{
	return is_class(s, 2) ? nonsense(s, "unexpected reply") :
		outcome_from_reply(s->reply.code, str_of(s->reply.text));
}

static void
leave_refused(struct smtp *s)
{
	struct outcome o = refusal(s);

	leave(s, &o);
}

/* Ends a session for want of security (RFC 3463 x.7.DETAIL). */
static void
leave_insecure(struct smtp *s, unsigned detail, const char *words, const char *more)
{
	struct outcome o = outcome_make(TEMPFAIL, 7, detail, "%s%s", words, more);

	leave(s, &o);
}

/* AUTH. */

static void
go_on_with_login(struct smtp *s, enum login_result result)
{
	const struct login *l = &s->login;

	if (*l->shown)
		end_line(s, l->len, str_of(l->shown));
	if (result == LOGIN_DONE)
		s->state = AT_READY;
	else if (result == LOGIN_FAILED)
		leave(s, &l->why);
}

/* A user is configured: AUTH, or no mail. */
static void
begin_login(struct smtp *s)
{
	const struct smtp_config *c = s->config;

	if (!CONFIG_AUTH) {
		leave_insecure(s, 4, "a user is configured, but this program was built "
			       "without AUTH", "");
	} else if (!c->private_channel && !s->tls_verified && !c->insecure_auth) {
		leave_insecure(s, 11, "no password goes out without verified TLS: use "
			       "smtps:// or smtp+starttls:// and tls_verify, or accept the "
			       "risk with insecure_auth", "");
	} else {
		s->login = (struct login){
			.user = c->user, .password = c->password, .host = c->host,
			.nonce = c->nonce, .offered = str_of(s->offer.mechanisms),
			.allowed = c->mechanisms, .binding = s->binding, .line = s->out,
		};
		s->state = AT_AUTH;
		go_on_with_login(s, login_start(&s->login));
	}
}

static void
auth_reply(struct smtp *s)
{
	if (CONFIG_AUTH)
		go_on_with_login(s, login_reply(&s->login, &s->reply));
}

/* The session, up to AUTH. */

static void
hello(struct smtp *s)
{
	s->offer = (struct offer){0};
	s->state = AT_EHLO;
	command(s, "%s %.*s", s->config->lmtp ? "LHLO" : "EHLO",
		STR_ARG(s->config->helo));
}

static void
greeting_reply(struct smtp *s)
{
	if (is_class(s, 2))
		hello(s);
	else
		leave_refused(s);
}

/* What the server can do is known: on to TLS, to AUTH, to mail. */
static void
proceed(struct smtp *s)
{
	const struct smtp_config *c = s->config;
	bool clear = !s->tls_up && c->tls != URL_TLS_NONE;

	if (clear && (s->offer.flags & OFFER_STARTTLS)) {
		s->state = AT_STARTTLS;
		command(s, "STARTTLS");
	} else if (clear && c->tls != URL_TLS_OFFERED) {
		leave_insecure(s, 10, "TLS is required, but the server does not offer "
			       "STARTTLS: try smtps:// (port 465)", c->user.len > 0 ? "" :
			       ", or allow clear text with smtp://");
	} else if (c->user.len > 0) {
		begin_login(s);
	} else {
		s->state = AT_READY;
	}
}

static void
ehlo_reply(struct smtp *s)
{
	const struct smtp_config *c = s->config;
	bool needs_tls = !s->tls_up && c->tls == URL_TLS_STARTTLS;

	if (is_class(s, 2)) {
		proceed(s);
	} else if (is_class(s, 5) && !c->lmtp && !needs_tls && c->user.len == 0) {
		s->state = AT_HELO;
		command(s, "HELO %.*s", STR_ARG(c->helo));
	} else {
		leave_refused(s);
	}
}

static void
helo_reply(struct smtp *s)
{
	if (is_class(s, 2))
		proceed(s);
	else
		leave_refused(s);
}

static void
starttls_reply(struct smtp *s)
{
	const struct smtp_config *c = s->config;
	bool optional = c->tls == URL_TLS_OFFERED && c->user.len == 0;

	if (s->reply.code == 220) {
		s->state = AT_HANDSHAKE;
	} else if (optional && s->reply.code >= 400) {
		s->offer.flags &= ~(unsigned)OFFER_STARTTLS;
		proceed(s);
	} else {
		leave_insecure(s, 10, "TLS is required, but the server refused "
			       "STARTTLS: ", s->reply.text);
		s->session.code = (unsigned short)s->reply.code;
	}
}

/* Transactions. */

static enum kind
kind_of(const struct smtp_transaction *t, size_t step)
{
	if (step < RCPT + t->m->rcpt_count)
		return step < RCPT ? (enum kind)step : RCPT;
	if (t->m->chunk > 0)
		return BDAT;
	return (enum kind)(step - t->m->rcpt_count + 1);
}

static size_t
step_after(const struct smtp_transaction *t, size_t step)
{
	do
		step++;
	while (kind_of(t, step) == RCPT && t->m->state[step - RCPT] >= UNSENT);
	return step;
}

/* Puts out no more of t. The server may still hold a part of it. */
static void
cut_short(struct smtp *s, struct smtp_transaction *t)
{
	t->end = t->send;
	s->reset = true;
}

/* What DSN adds to a command, if anything. */
static void
print_notify(const struct smtp *s, const struct notify *n, enum notify_of of,
	     char text[NOTIFY_TEXT])
{
	text[0] = '\0';
	if (s->offer.flags & OFFER_DSN)
		notify_print(n, of, text);
}

/* Whether an address of m is beyond ASCII (RFC 6531 3.4). */
static bool
needs_utf8(const struct smtp_message *m)
{
	bool ascii = str_is_ascii(m->sender);

	for (size_t i = 0; i < m->rcpt_count && ascii; i++)
		ascii = m->state[i] >= UNSENT || str_is_ascii(m->rcpts[i]);
	return !ascii;
}

static void
put_mail(struct smtp *s, const struct smtp_message *m)
{
	char size[32] = "", dsn[NOTIFY_TEXT];

	if (m->size > 0 && (s->offer.flags & OFFER_SIZE))
		fmt_print(size, sizeof size, " SIZE=%ju", (uintmax_t)m->size);
	print_notify(s, &m->notify, NOTIFY_MAIL, dsn);
	command(s, "MAIL FROM:<%.*s>%s%s%s%s", STR_ARG(m->sender), size,
		m->eightbit && smtp_takes_eightbit(s) ? " BODY=8BITMIME" : "",
		needs_utf8(m) ? " SMTPUTF8" : "", dsn);
}

static void
put_rcpt(struct smtp *s, const struct smtp_message *m, size_t rcpt)
{
	char dsn[NOTIFY_TEXT];

	print_notify(s, &m->notifies[rcpt], NOTIFY_RCPT, dsn);
	command(s, "RCPT TO:<%.*s>%s", STR_ARG(m->rcpts[rcpt]), dsn);
}

/* Refused: the old transaction may live, and a MAIL refused for that would bounce. */
static void
rset_reply(struct smtp *s, struct smtp_transaction *t)
{
	struct outcome o = refusal(s);

	(void)t;
	if (!is_class(s, 2))
		smtp_fail(s, &o);
}

/* Whether the server speaks of that. */
static bool
mentions(const struct outcome *o, struct str words)
{
	struct str rest = str_of(o->text);

	while (rest.len > 0 && !str_istarts(rest, words))
		rest = str_from(rest, 1);
	return rest.len > 0;
}

/* A refusal that is about us and not about the mail. */
static bool
wants_login(const struct smtp *s, struct outcome *o)
{
	struct outcome said = *o;

	if (!outcome_is_login(o))
		return false;
	const char *words = "the server wants a login: put user|host:password into auth_file";
	if (s->config->user.len > 0)
		words = "our login is not enough for the server";
	else if (!s->tls_up && mentions(o, STR("TLS")))
		words = "the server wants TLS: use smtp+starttls://";
	*o = outcome_make(TEMPFAIL, said.subject, said.detail, "%s: %s", words, said.text);
	o->code = said.code;
	return true;
}

/* No more goes out on this connection. What was refused is given back once all that is on its way
 * has been answered, and so is what comes behind it; but of that, the server may yet accept what
 * it has as a whole. */
static void
give_up(struct smtp *s, const struct outcome *o)
{
	s->leaving = true;
	s->session = *o;
	for (unsigned i = 0; i < s->tx_count; i++) {
		struct smtp_transaction *t = &s->tx[i];
		t->back = i == 0 || !(t->body || is_whole_out(t));
		if (t->back)
			cut_short(s, t);
	}
}

static void
refuse_mail(struct smtp *s, struct smtp_transaction *t)
{
	struct outcome o = refusal(s);

	/* A server that took others may have had enough for one connection. */
	if (wants_login(s, &o) || (is_class(s, 4) && s->took)) {
		give_up(s, &o);
		return;
	}
	decide_all(s, t, &o);
	for (size_t i = 0; i < t->m->rcpt_count; i++) {
		if (t->m->state[i] == HELD) {
			t->undecided++;
			decide(s, t, i, UNSENT, &o);
		}
	}
}

static void
mail_reply(struct smtp *s, struct smtp_transaction *t)
{
	if (is_class(s, 2))
		t->tried = true;
	else
		refuse_mail(s, t);
}

/* RFC 3463 has x.5.3 for that; without a status, Exim has 452 or 552 with these words. */
static bool
is_one_too_many(const struct outcome *o)
{
	return (o->subject == 5 && o->detail == 3) || mentions(o, STR("too many recipients"));
}

/* Whether rcpt may do better in the next transaction. RFC 5321 4.5.3.1.10 has 452 alone for one
 * too many, others for a full disk: that shows then. Something must come of this one. */
static bool
comes_later(struct smtp *s, struct smtp_transaction *t, size_t rcpt, const struct outcome *o)
{
	bool too_many = is_one_too_many(o);

	if (t->accepted == 0 ||
	    (!too_many && (o->code != 452 || o->subject != 3 || o->detail != 1)))
		return false;
	t->m->state[rcpt] = LATER;
	t->undecided--;
	if (too_many)
		s->rcpt_limit = t->accepted;
	if (too_many && kind_of(t, t->send) == RCPT) {
		hold_from(t, t->send - RCPT);
		t->send = RCPT + t->m->rcpt_count;
	}
	return true;
}

static void
refuse_rcpt(struct smtp *s, struct smtp_transaction *t, size_t rcpt)
{
	struct outcome o = refusal(s);

	if (t->m->state[rcpt] != UNDECIDED || comes_later(s, t, rcpt, &o))
		return;
	wants_login(s, &o);
	decide(s, t, rcpt, DECIDED, &o);
}

static void
rcpt_reply(struct smtp *s, struct smtp_transaction *t)
{
	if (is_class(s, 2))
		t->accepted++;
	else
		refuse_rcpt(s, t, t->receive - RCPT);
}

/* All are refused since some were too many (Exim's recipients_max_reject): again, in parts, which
 * have fewer each time, whatever the others were put off for. */
static bool
goes_in_parts(struct smtp *s, struct smtp_transaction *t, const struct outcome *o)
{
	size_t count = t->m->rcpt_count;

	if (!memchr(t->m->state, LATER, count) || !is_one_too_many(o))
		return false;
	for (size_t i = 0; i < count; i++)
		if (t->m->state[i] == UNDECIDED)
			t->m->state[i] = LATER;
	t->undecided = 0;
	s->rcpt_limit = t->accepted;
	return true;
}

/* From here on the undecided recipients are those that the server accepted. */
static void
data_reply(struct smtp *s, struct smtp_transaction *t)
{
	if (!is_class(s, 3)) {
		struct outcome o = refusal(s);
		if (!goes_in_parts(s, t, &o))
			decide_all(s, t, &o);
		cut_short(s, t);
	} else if (t->undecided > 0) {
		t->body = true;
	} else if (s->config->lmtp) {
		/* Nobody knows how many replies would follow (RFC 2033 4.2). */
		broken(s, "wants data, but accepted no recipient");
	}
}

static void
dot_reply(struct smtp *s, struct smtp_transaction *t)
{
	const unsigned char *state = t->m->state, *next;
	struct outcome o = outcome_from_reply(s->reply.code, str_of(s->reply.text));

	if (!s->config->lmtp)
		decide_all(s, t, &o);
	else if ((next = memchr(state, UNDECIDED, t->m->rcpt_count)))
		decide(s, t, (size_t)(next - state), DECIDED, &o);
}

/* Where the command itself is refused, and not for want of recipients, the server may have read
 * the message as commands: nothing it says from here on can be believed. */
static void
bdat_reply(struct smtp *s, struct smtp_transaction *t)
{
	unsigned code = s->reply.code;
	bool unknown = is_class(s, 3) ||
		       (code / 10 == 50 && !(code == 503 && t->undecided == 0));
	struct outcome o = outcome_from_reply(code, str_of(s->reply.text));

	if (unknown) {
		o = nonsense(s, "the server offers CHUNKING, but says to BDAT");
		smtp_fail(s, &o);
	} else if (!goes_in_parts(s, t, &o)) {
		decide_all(s, t, &o);
	}
}

static const struct {
	char verb[5]; /* "": has arguments */
	unsigned short timeout;
	void (*reply)(struct smtp *s, struct smtp_transaction *t);
} kinds[] = {
	[RSET] = {"RSET", 300, rset_reply},
	[MAIL] = {"", 300, mail_reply},
	[RCPT] = {"", 300, rcpt_reply},
	[DATA] = {"DATA", 120, data_reply},
	[DOT] = {".", 600, dot_reply},
	[BDAT] = {"", 600, bdat_reply},
};

static void
ready_reply(struct smtp *s)
{
	struct smtp_transaction *t = &s->tx[0];
	enum kind kind = kind_of(t, t->receive);

	if (!t->back)
		kinds[kind].reply(s, t);
	else if (is_class(s, 3))
		broken(s, "wants data, but accepted no sender");
	/* LMTP: one dot, a reply for each recipient. */
	if (!s->closed && (kind != DOT || t->undecided == 0))
		t->receive = step_after(t, t->receive);
}

/* May t's next command go out? Here a transaction that has lost all recipients ends. */
static bool
may_put(struct smtp *s, struct smtp_transaction *t)
{
	bool in_step = t == &s->tx[0] && t->receive == t->send;

	if (t->send == RSET && !s->reset)
		t->send = t->receive = MAIL;
	if (t->send == t->end)
		return false;
	enum kind kind = kind_of(t, t->send);
	if (kind == DOT)
		return in_step && !t->body;
	if (t->undecided == 0) {
		cut_short(s, t);
		return false;
	}
	/* Dovecot's submission server, which has BURL, dies of a RCPT behind a dot (2.3.19) once it
	 * has passed the message on: the next attempt would make a second copy. */
	if (t != &s->tx[0] && (s->offer.flags & OFFER_BURL))
		return false;
	if (kind == BDAT && t->m->chunk > AHEAD)
		return in_step;
	return in_step || (s->offer.flags & OFFER_PIPELINING);
}

static bool
has_room(struct smtp *s)
{
	if (s->out_start > sizeof s->out / 2) {
		s->out_end -= s->out_start;
		memmove(s->out, s->out + s->out_start, s->out_end);
		s->out_start = 0;
	}
	return sizeof s->out - s->out_end >= COMMAND_MAX;
}

static void
put(struct smtp *s, struct smtp_transaction *t)
{
	enum kind kind = kind_of(t, t->send);

	if (kind == MAIL)
		put_mail(s, t->m);
	else if (kind == RCPT)
		put_rcpt(s, t->m, t->send - RCPT);
	else if (kind == BDAT)
		command(s, "BDAT %ju LAST", (uintmax_t)t->m->chunk);
	else
		command(s, "%s", kinds[kind].verb);
	t->body = kind == BDAT;
	/* A BDAT that fails leaves nobody knows what (RFC 3030 2), and the next MAIL may not wait
	 * to hear whether it has. */
	if (kind == RSET || kind == BDAT)
		s->reset = kind == BDAT;
	t->send = step_after(t, t->send);
}

/* Puts out what may go: nothing of the second transaction before all of the first. */
static void
fill(struct smtp *s)
{
	for (unsigned i = 0; i < s->tx_count; i++) {
		struct smtp_transaction *t = &s->tx[i];
		while (has_room(s) && may_put(s, t))
			put(s, t);
		if (t->send < t->end || t->body)
			return;
	}
}

/* To be called after whatever may let the session go on. */
static void
advance(struct smtp *s)
{
	if (s->state == AT_READY && !s->closed) {
		fill(s);
		while (s->tx_count > 0 && s->tx[0].receive == s->tx[0].end) {
			finish(s, &s->tx[0]);
			fill(s);
		}
		if ((s->quit || s->leaving) && s->tx_count == 0) {
			struct outcome o = outcome_make(DELIVERED, 0, 0, "done");
			leave(s, s->leaving ? &s->session : &o);
		}
	}
	if (s->state == AT_QUIT && s->out_end == 0)
		shut(s);
}

/* Replies. */

static const struct {
	unsigned short timeout;
	void (*reply)(struct smtp *s);
} states[] = {
	[AT_GREETING] = {300, greeting_reply},
	[AT_EHLO] = {300, ehlo_reply},
	[AT_HELO] = {300, helo_reply},
	[AT_STARTTLS] = {120, starttls_reply},
	[AT_HANDSHAKE] = {120, NULL},
	[AT_AUTH] = {300, auth_reply},
	[AT_READY] = {TIMEOUT_IDLE, ready_reply},
	[AT_QUIT] = {30, NULL},
};

static bool
is_answer_due(const struct smtp *s)
{
	const struct smtp_transaction *t = &s->tx[0];

	/* Not to BDAT, before all of its chunk is out. */
	return s->tx_count > 0 && t->receive + (t->body && t->m->chunk > 0) < t->send;
}

/* Is there a command that the server knows and has not answered? */
static bool
is_awaited(const struct smtp *s)
{
	bool pipelining = s->state == AT_READY && (s->offer.flags & OFFER_PIPELINING);

	if (s->out_end > 0 && !pipelining)
		return false;
	return s->state != AT_READY || is_answer_due(s);
}

/* A server that does not want the rest of a message may say so before it has heard it: the message
 * is refused, for it cannot have taken what it does not have. 50x is no word on a message; and of
 * LMTP's verdicts this would be the first one only. */
static bool
refuses_body(const struct smtp *s)
{
	const struct smtp_transaction *t = &s->tx[0];

	return s->tx_count > 0 && t->body && t->begun && !t->back && !s->config->lmtp &&
	       is_class(s, 5) && s->reply.code >= 510;
}

/* What answers nothing could be taken for the answer to something: no more of this. */
static void
early_reply(struct smtp *s)
{
	struct outcome o = refusal(s);
	bool refused = refuses_body(s) && !wants_login(s, &o);

	if (refused)
		decide_all(s, &s->tx[0], &o);
	o = nonsense(s, "the server spoke out of turn");
	smtp_fail(s, &o);
	s->stumbled = s->stumbled && !refused;
}

static void
take_reply(struct smtp *s)
{
	if (s->reply.code == 421) {
		struct outcome o = refusal(s);
		end_session(s, &o);
	} else if (s->early) {
		early_reply(s);
	} else {
		states[s->state].reply(s);
	}
}

static void
take_byte(struct smtp *s, char c)
{
	const struct reply *r = &s->reply;
	const char *why;

	if (reply_is_new(r))
		s->early = !is_awaited(s);
	int event = reply_take(&s->reply, c, &why);
	if (event == REPLY_MORE)
		return;
	if (s->config->trace)
		s->config->trace(s->config->ctx, true,
				 (struct str){r->line, r->line_len});
	if (event < 0) {
		broken(s, why);
		return;
	}
	if (s->state == AT_EHLO && is_class(s, 2) && r->lines > 1)
		offer_add(&s->offer, reply_words(r));
	if (event == REPLY_END) {
		s->replies++;
		take_reply(s);
		advance(s);
	}
}

void
smtp_input(struct smtp *s, struct str bytes)
{
	for (size_t i = 0; i < bytes.len && !s->closed && s->state != AT_QUIT; i++) {
		/* Anybody on the way may have put it there: kept until TLS is up, it
		 * would be believed. */
		if (s->state == AT_HANDSHAKE)
			broken(s, "or somebody on the way injected text behind STARTTLS");
		else
			take_byte(s, bytes.ptr[i]);
	}
}

/* The pump's side. */

void
smtp_init(struct smtp *s, const struct smtp_config *config)
{
	memset(s, 0, sizeof *s);
	s->config = config;
}

/* The transaction whose body it is time for, or NULL. */
static const struct smtp_transaction *
find_body(const struct smtp *s)
{
	for (unsigned i = 0; i < s->tx_count; i++)
		if (s->tx[i].body)
			return &s->tx[i];
	return NULL;
}

unsigned
smtp_want(const struct smtp *s)
{
	unsigned want = 0;

	if (s->closed)
		return SMTP_CLOSED;
	if (s->out_end > 0)
		want |= SMTP_SEND;
	else if (s->state == AT_HANDSHAKE)
		return SMTP_STARTTLS;
	else if (find_body(s))
		want |= SMTP_BODY;
	if (s->state != AT_QUIT)
		want |= SMTP_RECEIVE;
	if (s->state == AT_READY && !s->quit && !s->leaving && s->tx_count < 2)
		want |= SMTP_MESSAGE;
	return want;
}

bool
smtp_is_idle(const struct smtp *s)
{
	return s->state == AT_READY && !s->quit && s->tx_count == 0;
}

bool
smtp_takes_eightbit(const struct smtp *s)
{
	return s->offer.flags & OFFER_8BITMIME;
}

bool
smtp_takes_chunks(const struct smtp *s)
{
	return !s->config->lmtp && (s->offer.flags & OFFER_CHUNKING);
}

struct str
smtp_output(const struct smtp *s)
{
	return (struct str){s->out + s->out_start, s->out_end - s->out_start};
}

void
smtp_sent(struct smtp *s, size_t n)
{
	if (s->closed)
		return;
	if (s->state == AT_AUTH)
		explicit_bzero(s->out + s->out_start, n);
	s->out_start += n;
	if (s->out_start == s->out_end)
		s->out_start = s->out_end = 0;
	advance(s);
}

void
smtp_tls_up(struct smtp *s, bool verified, struct str binding)
{
	s->tls_up = true;
	s->tls_verified = verified;
	s->binding = binding;
	if (s->state == AT_HANDSHAKE)
		hello(s);
}

/* addr.h makes no address that is none: this is the last wall before the wire. */
static bool
is_path(struct str address)
{
	bool quoted = false, escaped = false;

	for (size_t i = 0; i < address.len; i++) {
		char c = address.ptr[i];
		if (str_is_control(c) || (!quoted && (c == '<' || c == '>' || c == ' ')))
			return false;
		if (c == '"' && !escaped)
			quoted = !quoted;
		escaped = quoted && c == '\\' && !escaped;
	}
	return address.len <= LIMIT_ADDRESS && !quoted;
}

/* Verdicts that need no server. */
static void
refuse_unsendable(struct smtp *s, struct smtp_transaction *t)
{
	const struct smtp_message *m = t->m;
	bool utf8 = s->offer.flags & OFFER_SMTPUTF8;
	bool sendable = utf8 || str_is_ascii(m->sender);
	struct outcome o;

	if (s->offer.size_limit > 0 && m->size > s->offer.size_limit) {
		o = outcome_make(PERMFAIL, 3, 4, "the message has %ju bytes, the server "
				 "takes %ju at most", (uintmax_t)m->size,
				 (uintmax_t)s->offer.size_limit);
		decide_all(s, t, &o);
	} else if (!is_path(m->sender)) {
		o = outcome_make(PERMFAIL, 1, 7, "the sender is no valid address");
		decide_all(s, t, &o);
	}
	for (size_t i = 0; i < m->rcpt_count; i++) {
		if (m->state[i] != UNDECIDED)
			continue;
		if (!is_path(m->rcpts[i]))
			o = outcome_make(PERMFAIL, 1, 3, "no valid address");
		else if (!sendable || !(utf8 || str_is_ascii(m->rcpts[i])))
			o = outcome_make(PERMFAIL, 6, 7, "the %s is not ASCII, and the server "
					 "does not offer SMTPUTF8", sendable ? "address" : "sender");
		else
			continue;
		decide(s, t, i, UNSENT, &o);
	}
}

void
smtp_send(struct smtp *s, const struct smtp_message *m)
{
	if (!(smtp_want(s) & SMTP_MESSAGE)) {
		s->config->finished(s->config->ctx, m, false);
		return;
	}
	struct smtp_transaction *t = begin(s, m);
	refuse_unsendable(s, t);
	obey_limit(s, t);
	if (t->undecided == 0)
		finish(s, t);
	advance(s);
}

const struct smtp_message *
smtp_body_message(struct smtp *s)
{
	struct smtp_transaction *t = &s->tx[!s->tx[0].body];

	t->begun = true;
	return t->m;
}

void
smtp_body_done(struct smtp *s)
{
	s->tx[0].body = s->tx[1].body = false;
	advance(s);
}

void
smtp_quit(struct smtp *s)
{
	s->quit = true;
	advance(s);
}

unsigned
smtp_timeout(const struct smtp *s)
{
	if (find_body(s))
		return TIMEOUT_BODY;
	if (is_answer_due(s))
		return kinds[kind_of(&s->tx[0], s->tx[0].receive)].timeout;
	return states[s->state].timeout;
}

const struct outcome *
smtp_session(const struct smtp *s)
{
	return &s->session;
}
