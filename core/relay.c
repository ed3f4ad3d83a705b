/* SPDX-License-Identifier: ISC */
#include "relay.h"
#include "clock.h"
#include "config.h"
#include "file.h"
#include "io.h"
#include "log.h"
#include "net.h"
#include "sandbox.h"
#include "secret.h"
#include "smtp.h"
#include "tls.h"
#include "user.h"
#include "wire.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

enum {
	CHUNK = 8 << 10,
	LINGER_MS = 1000,     /* an idle connection waits this long for a further message */
	RESOLVER_MAX = 64 << 10,
	NONCE = 24,
};

/* A message under way. */
struct job {
	bool used;
	uint32_t number;
	struct buf payload;
	struct relay_job job;
	int fd;
	unsigned char *state;
	struct smtp_message message;
	struct source source;
	struct encode encode;
	struct wire wire;
	bool body_begun;
};

struct relay {
	const struct conf *conf;
	const struct relay_destination *to;
	struct worker_link *runner;
	/* Read before rights are given up. */
	int helper;              /* conf's, at work already, or -1 */
	struct buf secrets, resolv_conf, hosts;
	/* Why there are none, with words, or without: there is nothing wrong. */
	struct outcome secrets_problem, no_password;
	struct dns dns;
	struct trust_config trust_config;
	int ca;
	/* The connection. */
	const struct url *server;
	struct buf peer;                /* "mail.example[192.0.2.1]:25" */
	int fd;
	struct tls *tls;
	struct trust trust;
	struct smtp smtp;
	struct smtp_config config;
	struct job jobs[2];
	char nonce[NONCE + 1];
	char body[CHUNK];               /* made for the wire, not yet sent */
	size_t body_start, body_end;
	uint64_t sent;                  /* bytes that the channel took */
	bool any_verdict;               /* this connection got as far as a message */
	bool finishing;                 /* the runner has nothing more */
};

/* --- jobs ------------------------------------------------------------------------------ */

static void
print_notify(const struct notify *n, enum notify_of of, struct buf *out)
{
	char text[NOTIFY_TEXT];

	notify_print(n, of, text);
	buf_print(out, "%s\n", text);
}

/* A blank precedes each parameter. */
static int
take_notify(struct str *payload, enum notify_of of, struct notify *n)
{
	*n = (struct notify){0};
	return notify_parse(n, of, str_from(str_cut(payload, '\n'), 1));
}

void
relay_print_job(const struct relay_job *job, struct buf *out)
{
	buf_print(out, "%llu %llu %u %zu %zu %zu %zu\n", (unsigned long long)job->offset,
		  (unsigned long long)job->length, job->facts, job->rcpt_count,
		  job->sender.len, job->head.len, job->tail.len);
	print_notify(&job->notify, NOTIFY_MAIL, out);
	for (size_t n = 0; n < job->rcpt_count; n++) {
		buf_print(out, "%u %.*s\n", (unsigned)job->numbers[n], STR_ARG(job->rcpts[n]));
		print_notify(&job->notifies[n], NOTIFY_RCPT, out);
	}
	buf_str(out, job->sender);
	buf_str(out, job->head);
	buf_str(out, job->tail);
}

static int
take_number(struct str *line, uint64_t max, uint64_t *value)
{
	return str_number(str_cut(line, ' '), max, value);
}

int
relay_parse_job(struct str payload, struct relay_job *job)
{
	struct str line = str_cut(&payload, '\n');
	uint64_t facts, count, sender, head, tail, number;

	*job = (struct relay_job){0};
	if (take_number(&line, INT64_MAX, &job->offset) ||
	    take_number(&line, INT64_MAX, &job->length) ||
	    take_number(&line, ENCODE_FACTS, &facts) ||
	    take_number(&line, payload.len, &count) ||
	    take_number(&line, payload.len, &sender) ||
	    take_number(&line, payload.len, &head) || take_number(&line, payload.len, &tail) ||
	    count == 0 || take_notify(&payload, NOTIFY_MAIL, &job->notify))
		return -1;
	job->facts = (unsigned)facts;
	job->rcpt_count = (size_t)count;
	job->numbers = buf_array(NULL, job->rcpt_count, sizeof *job->numbers);
	job->rcpts = buf_array(NULL, job->rcpt_count, sizeof *job->rcpts);
	job->notifies = buf_array(NULL, job->rcpt_count, sizeof *job->notifies);
	for (size_t n = 0; n < job->rcpt_count; n++) {
		line = str_cut(&payload, '\n');
		if (take_number(&line, UINT32_MAX, &number) ||
		    take_notify(&payload, NOTIFY_RCPT, &job->notifies[n]))
			return -1;
		job->numbers[n] = (uint32_t)number;
		job->rcpts[n] = line;
	}
	if (payload.len != sender + head + tail)
		return -1;
	job->sender = str_upto(payload, (size_t)sender);
	job->head = str_upto(str_from(payload, (size_t)sender), (size_t)head);
	job->tail = str_from(payload, (size_t)(sender + head));
	return 0;
}

void
relay_free_job(struct relay_job *job)
{
	free(job->numbers);
	free(job->rcpts);
	free(job->notifies);
	*job = (struct relay_job){0};
}

static void
begin_job(struct job *j, const struct worker_frame *f)
{
	j->used = true;
	j->number = f->job;
	j->fd = f->fd;
	j->payload.len = 0;
	buf_str(&j->payload, f->payload);
	if (relay_parse_job(buf_view(&j->payload), &j->job) || f->fd < 0)
		die(EX_SOFTWARE, "the runner sent a job that cannot be read");
	j->state = buf_array(NULL, j->job.rcpt_count, 1);
	memset(j->state, 0, j->job.rcpt_count);
	j->source = (struct source){
		.head = j->job.head, .fd = j->fd, .offset = j->job.offset,
		.length = j->job.length, .tail = j->job.tail,
	};
	j->message = (struct smtp_message){
		.sender = j->job.sender, .rcpts = j->job.rcpts,
		.notify = j->job.notify, .notifies = j->job.notifies,
		.rcpt_count = j->job.rcpt_count, .size = source_size(&j->source),
		.eightbit = j->job.facts & ENCODE_EIGHTBIT, .state = j->state, .ctx = j,
	};
	j->body_begun = false;
}

static void
end_job(struct job *j)
{
	relay_free_job(&j->job);
	free(j->state);
	close(j->fd);
	buf_free(&j->payload);
	j->used = false;
}

static void
tell(struct relay *r, const struct worker_frame *f)
{
	/* Without a runner nothing we do is recorded: stop before we do more of it. */
	if (worker_send_wait(r->runner, f))
		_exit(EX_TEMPFAIL);
}

static void
on_verdict(void *ctx, const struct smtp_message *m, size_t rcpt, const struct outcome *o)
{
	struct relay *r = ctx;
	struct job *j = m->ctx;

	r->any_verdict = true;
	tell(r, &(struct worker_frame){
		.kind = WORKER_OUTCOME, .job = j->number, .number = j->job.numbers[rcpt],
		.place = {o->passed}, .outcome = *o, .relay = buf_view(&r->peer), .fd = -1,
	});
}

static void
on_finished(void *ctx, const struct smtp_message *m, bool tried)
{
	struct job *j = m->ctx;

	tell(ctx, &(struct worker_frame){
		.kind = WORKER_DONE, .job = j->number, .place = {tried}, .fd = -1,
	});
	end_job(j);
}

static void
on_trace(void *ctx, bool from_server, struct str line)
{
	(void)ctx;
	log_debug("%s %.*s", from_server ? "<<<" : ">>>", STR_ARG(line));
}

/* A job that the runner has sent, if there is one and room for it: handed to the engine. */
static void
take_job(struct relay *r)
{
	struct job *j = &r->jobs[r->jobs[0].used];
	struct worker_frame f;
	int got;

	if (j->used || r->finishing || (got = worker_receive(r->runner, &f)) == 0)
		return;
	if (got < 0)
		_exit(EX_TEMPFAIL);
	if (f.kind == WORKER_FINISH) {
		r->finishing = true;
	} else if (f.kind == WORKER_JOB) {
		begin_job(j, &f);
		smtp_send(&r->smtp, &j->message);
	}
}

/* --- preparation, with all rights ------------------------------------------------------ */

static void
load_secrets(struct relay *r)
{
	if (r->conf->login || secret_load(r->conf, &r->secrets, &r->secrets_problem))
		return;
	for (size_t n = 0; n < r->to->server_count && *r->conf->password_command; n++) {
		const struct url *server = &r->to->server[n];
		struct str user = str_of(server->user), password;
		if (user.len > 0 && !conf_find_password(buf_view(&r->secrets),
							str_of(server->host), &user, &password))
			secret_ask(r->conf, server, &r->secrets, &r->no_password);
	}
}

static void
load_trust(struct relay *r)
{
	const struct conf *c = r->conf;
	struct trust_config *t = &r->trust_config;

	t->verify = true;
	t->ca_name = c->tls_ca_file;
	t->clock = c->tls_clock;
	t->floor = BUILD_TIME;
	t->has_fingerprint = *c->tls_fingerprint &&
		trust_parse_sha256(str_of(c->tls_fingerprint), t->fingerprint) == 0;
	t->has_pin = *c->tls_pin && trust_parse_sha256(str_of(c->tls_pin), t->pin) == 0;
	clock_read(&t->now);
	t->ca = file_open(c->tls_ca_file, O_RDONLY | O_NONBLOCK);
}

static void
prepare(struct relay *r)
{
	struct user nobody;

	load_secrets(r);
	if (CONFIG_TLS)
		load_trust(r);
	file_load("/etc/resolv.conf", RESOLVER_MAX, &r->resolv_conf);
	file_load("/etc/hosts", RESOLVER_MAX, &r->hosts);
	dns_init(&r->dns, str_of(r->conf->resolver), buf_view(&r->resolv_conf),
		 buf_view(&r->hosts));
	if (r->conf->helper)
		r->helper = net_start(r->conf->helper);
	user_without_rights(str_of(r->conf->default_user), &nobody);
	if (geteuid() == 0 && sandbox_become(nobody.uid, nobody.gid))
		die(EX_OSERR, "cannot give up root's rights:");
	user_free(&nobody);
	if (!sandbox_enter())
		log_debug("this kernel has no seccomp: going on without");
}

/* --- the connection's bytes, with or without TLS --------------------------------------- */

static void
lose_connection(struct relay *r, const char *doing)
{
	struct outcome o = outcome_make(TEMPFAIL, 4, 2, "connection to %.*s lost while %s: %s",
					STR_ARG(r->peer), doing,
					errno ? strerror(errno) : "closed by the server");

	smtp_fail(&r->smtp, &o);
}

static bool
would_wait(void)
{
	return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR;
}

/* How many bytes the channel took; failures go to the engine. */
static size_t
channel_write(struct relay *r, struct str bytes)
{
	ssize_t n;

	if (CONFIG_TLS && r->tls) {
		size_t taken = tls_write(r->tls, bytes.ptr, bytes.len);
		/* No room: once the records are out there is, or the socket is full. */
		if (taken == 0 && tls_pump(r->tls) == 0)
			taken = tls_write(r->tls, bytes.ptr, bytes.len);
		r->sent += taken;
		return taken;
	}
	n = write(r->fd, bytes.ptr, bytes.len);
	if (n < 0 && !would_wait())
		lose_connection(r, "sending");
	if (n < 0)
		return 0;
	r->sent += (size_t)n;
	return (size_t)n;
}

/* What came in goes to the engine. True if anything did. */
static bool
channel_read(struct relay *r)
{
	char in[CHUNK / 2];
	ssize_t n;

	if (CONFIG_TLS && r->tls) {
		n = (ssize_t)tls_read(r->tls, in, sizeof in);
	} else {
		n = read(r->fd, in, sizeof in);
		if (n == 0 || (n < 0 && !would_wait())) {
			errno = n == 0 ? 0 : errno;
			lose_connection(r, "waiting for its reply");
		}
	}
	if (n > 0)
		smtp_input(&r->smtp, (struct str){in, (size_t)n});
	return n > 0;
}

/* Moves TLS records; false where the connection is over. */
static bool
channel_pump(struct relay *r)
{
	struct outcome o;

	if (!CONFIG_TLS || !r->tls || tls_pump(r->tls) == 0)
		return true;
	while (channel_read(r))
		;
	o = tls_failure(r->tls);
	if (o.verdict == DELIVERED) {
		errno = 0;
		lose_connection(r, "waiting for its reply");
	} else {
		smtp_fail(&r->smtp, &o);
	}
	return false;
}

/* The whole handshake, with its own deadline. */
static void
start_tls(struct relay *r)
{
	int64_t deadline = clock_ms() + (int64_t)r->conf->connect_timeout * 1000;
	struct buf words = {0};

	trust_init(&r->trust, &r->trust_config);
	r->tls = tls_open(r->fd, r->server->host, &r->trust);
	while (tls_pump(r->tls) == 0 && !tls_ready(r->tls)) {
		if (net_wait(r->fd, tls_events(r->tls), -1, deadline) == 0) {
			struct outcome o = outcome_make(TEMPFAIL, 4, 2,
				"no answer from %.*s during the TLS handshake for %llu s",
				STR_ARG(r->peer), (unsigned long long)r->conf->connect_timeout);
			smtp_fail(&r->smtp, &o);
			return;
		}
	}
	if (!tls_ready(r->tls)) {
		struct outcome o = tls_failure(r->tls);
		smtp_fail(&r->smtp, &o);
		return;
	}
	if (log_is_verbose()) {
		tls_describe(r->tls, &words);
		log_debug("TLS with %.*s: %.*s, certificate %s (issued by %s) %s",
			  STR_ARG(r->peer), STR_ARG(words), r->trust.subject, r->trust.issuer,
			  r->trust.verified ? "verified" : "NOT verified");
		buf_free(&words);
	}
	smtp_tls_up(&r->smtp, r->trust.verified,
		    (struct str){(const char *)r->trust.binding, r->trust.binding_len});
}

/* --- the pump -------------------------------------------------------------------------- */

static void
send_output(struct relay *r)
{
	struct str out;
	size_t n;

	while ((out = smtp_output(&r->smtp)).len > 0 && (n = channel_write(r, out)) > 0)
		smtp_sent(&r->smtp, n);
	if (CONFIG_TLS && r->tls)
		tls_flush(r->tls);
}

/* Makes the next piece of the body. False: there is no more. */
static bool
make_body(struct relay *r, struct job *j)
{
	char raw[CHUNK / 4], coded[CHUNK / 4];
	struct str in, piece;
	ssize_t n = source_read(&j->source, raw, sizeof raw);

	r->body_start = r->body_end = 0;
	if (n < 0) {
		struct outcome o = outcome_make(TEMPFAIL, 3, 0, "reading the message: %s",
						strerror(errno));
		smtp_fail(&r->smtp, &o);
		return false;
	}
	/* The wire form of all that was read is less than four times as long. */
	in = (struct str){raw, (size_t)n};
	do {
		size_t len = n > 0 ? encode_feed(&j->encode, &in, coded, sizeof coded) :
				     encode_finish(&j->encode, coded);
		piece = (struct str){coded, len};
		r->body_end += wire_feed(&j->wire, &piece, r->body + r->body_end,
					 sizeof r->body - r->body_end);
	} while (in.len > 0);
	if (n == 0)
		r->body_end += wire_finish(&j->wire, r->body + r->body_end);
	return n > 0;
}

/* Puts as much of the body on the wire as it takes. */
static void
send_body(struct relay *r)
{
	struct job *j = smtp_body_message(&r->smtp)->ctx;
	bool more = true;

	if (!j->body_begun) {
		j->body_begun = true;
		j->source.pos = 0;
		encode_init(&j->encode, j->job.facts, smtp_takes_eightbit(&r->smtp));
		wire_init(&j->wire);
		r->body_start = r->body_end = 0;
	}
	for (;;) {
		while (r->body_start < r->body_end) {
			size_t n = channel_write(r, (struct str){r->body + r->body_start,
								 r->body_end - r->body_start});
			if (n == 0)
				return;
			r->body_start += n;
		}
		if (!more)
			break;
		more = make_body(r, j);
		if (smtp_want(&r->smtp) & SMTP_CLOSED)
			return;
	}
	/* The last look before the server is asked to take responsibility: somebody must be
	 * there to record it. */
	if (net_wait(r->runner->fd, POLLRDHUP, -1, 0) != 0)
		_exit(EX_TEMPFAIL);
	smtp_body_done(&r->smtp);
}

static void
time_out(struct relay *r)
{
	struct outcome o = outcome_make(TEMPFAIL, 4, 2, "no answer from %.*s in time",
					STR_ARG(r->peer));

	smtp_fail(&r->smtp, &o);
}

/* Waits for whatever can happen next. True: something did. */
static bool
wait_for_event(struct relay *r, unsigned want, int64_t deadline)
{
	short events = POLLIN;
	bool for_job = (want & SMTP_MESSAGE) && !r->finishing && !r->jobs[r->jobs[0].used].used;

	if (CONFIG_TLS && r->tls)
		events = tls_events(r->tls);
	else if ((want & (SMTP_SEND | SMTP_BODY)))
		events |= POLLOUT;
	return net_wait(r->fd, events, for_job ? r->runner->fd : -1, deadline) != 0;
}

static int64_t
silence_limit(const struct relay *r, bool idle)
{
	uint64_t seconds = smtp_timeout(&r->smtp);

	if (idle)
		return clock_ms() + LINGER_MS;
	if (r->conf->command_timeout < seconds)
		seconds = r->conf->command_timeout;
	return clock_ms() + (int64_t)seconds * 1000;
}

/* One connection from greeting to QUIT. */
static void
converse(struct relay *r)
{
	int64_t deadline = silence_limit(r, false);
	uint64_t sent = 0;
	unsigned replies = 0;
	bool idle = false;

	for (;;) {
		if (CONFIG_TLS && (smtp_want(&r->smtp) & SMTP_STARTTLS) && !r->tls)
			start_tls(r);
		send_output(r);
		if (smtp_want(&r->smtp) & SMTP_MESSAGE)
			take_job(r);
		if (smtp_want(&r->smtp) & SMTP_BODY)
			send_body(r);
		send_output(r);
		channel_pump(r);
		bool progress = channel_read(r);
		unsigned want = smtp_want(&r->smtp);
		if (want & SMTP_CLOSED)
			break;

		bool now_idle = (want & SMTP_MESSAGE) && !r->jobs[0].used && !r->jobs[1].used;
		if (now_idle && r->finishing) {
			smtp_quit(&r->smtp);
			continue;
		}
		/* A server that drips bytes without completing a reply gains no time, also not
		 * while it takes none of ours. */
		if (now_idle != idle || r->smtp.replies != replies || r->sent != sent)
			deadline = silence_limit(r, now_idle);
		idle = now_idle;
		replies = r->smtp.replies;
		sent = r->sent;
		if (progress)
			continue;
		if (wait_for_event(r, want, deadline))
			continue;
		if (!idle)
			time_out(r);
		else
			r->finishing = true;
	}
	send_output(r);
	channel_pump(r);
}

static void
hang_up(struct relay *r)
{
	if (CONFIG_TLS && r->tls) {
		tls_close(r->tls);
		tls_free(r->tls);
		trust_free(&r->trust);
		r->tls = NULL;
	}
	close(r->fd);
	r->fd = -1;
}

static void
make_nonce(struct relay *r)
{
	unsigned char raw[NONCE];

	clock_random(raw, sizeof raw);
	for (size_t n = 0; n < sizeof raw; n++)
		r->nonce[n] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
			[raw[n] & 63];
	r->config.nonce = (struct str){r->nonce, NONCE};
}

/* What this server may be told, and over what. 0; -1 with *why: it cannot be used. */
static int
configure(struct relay *r, struct outcome *why)
{
	bool found;

	r->config.user = str_of(r->server->user);
	found = r->conf->login || conf_find_password(buf_view(&r->secrets),
			str_of(r->server->host), &r->config.user, &r->config.password);
	if (r->conf->login) {
		r->config.user = str_of(r->conf->login);
		r->config.password = str_of(r->conf->password);
	}
	r->config.host = str_of(r->server->host);
	r->config.helo = str_of(r->conf->helo_name);
	r->config.lmtp = r->server->lmtp;
	r->config.tls = r->server->tls;
	r->config.private_channel = r->server->is_unix;
	r->config.mechanisms = str_of(r->conf->auth_mechanisms);
	r->config.insecure_auth = r->conf->insecure_auth;
	r->config.verdict = on_verdict;
	r->config.finished = on_finished;
	r->config.trace = log_is_verbose() ? on_trace : NULL;
	r->config.ctx = r;
	if (!found)
		r->config.user = r->config.password = (struct str){0};
	if (r->secrets_problem.text[0]) {
		*why = r->secrets_problem;
		return -1;
	}
	if (r->server->user[0] && !found) {
		*why = r->no_password.text[0] ? r->no_password :
		       outcome_make(TEMPFAIL, 7, 8, "no password for %s at %s in auth_file %s",
				    r->server->user, r->server->host, r->conf->auth_file);
		return -1;
	}
	/* Credentials go over verified TLS only: a server that we have a password for must
	 * not be reachable without. */
	if (found && r->config.tls == URL_TLS_OFFERED && !r->conf->insecure_auth)
		r->config.tls = URL_TLS_STARTTLS;
	if (!CONFIG_TLS && (r->config.tls == URL_TLS_STARTTLS || r->config.tls == URL_TLS_IMPLICIT)) {
		*why = outcome_make(TEMPFAIL, 7, 10, "this mtabox was built without TLS");
		return -1;
	}
	if (!CONFIG_TLS)
		r->config.tls = URL_TLS_NONE;
	r->trust_config.verify = r->config.tls != URL_TLS_OFFERED && r->conf->tls_verify;
	return 0;
}

/* One connected server. True: it took us as far as a message, or all is done. */
static bool
session(struct relay *r, struct outcome *why)
{
	make_nonce(r);
	r->any_verdict = false;
	smtp_init(&r->smtp, &r->config);
	if (CONFIG_TLS && r->config.tls == URL_TLS_IMPLICIT)
		start_tls(r);
	if (!(smtp_want(&r->smtp) & SMTP_CLOSED))
		converse(r);
	else
		channel_pump(r);
	*why = *smtp_session(&r->smtp);
	hang_up(r);
	return r->any_verdict || why->verdict == DELIVERED;
}

static void
name_peer(struct relay *r, const struct dns_address *a)
{
	r->peer.len = 0;
	buf_puts(&r->peer, r->server->host);
	if (a) {
		buf_putc(&r->peer, '[');
		dns_print_address(a, &r->peer);
		buf_print(&r->peer, "]:%u", (unsigned)r->server->port);
	}
}

/* The source_address of that family; false: the kernel chooses. */
static bool
find_source(const struct relay *r, int family, struct dns_address *from)
{
	struct str list = str_of(r->conf->source_address);

	while (list.len > 0)
		if (dns_parse_address(str_cut(&list, ' '), from) == 0 &&
		    from->sa.ss_family == family)
			return true;
	return false;
}

static bool
try_address(struct relay *r, const struct dns_address *a, struct outcome *why)
{
	int64_t deadline = clock_ms() + (int64_t)r->conf->connect_timeout * 1000;
	struct dns_address from;
	bool bound = a && find_source(r, a->sa.ss_family, &from);

	name_peer(r, a);
	log_debug("connecting to %.*s", STR_ARG(r->peer));
	if (a)
		r->fd = net_dial(a, r->server->port, bound ? &from : NULL, deadline, why);
	else if (r->conf->helper)
		r->fd = r->helper;
	else
		r->fd = net_dial_unix(r->server->host, deadline, why);
	if (r->conf->helper && r->fd < 0)
		*why = outcome_make(TEMPFAIL, 4, 1, "cannot start the command that leads to the server");
	r->helper = -1;
	if (r->fd < 0) {
		log_debug("%s", why->text);
		return false;
	}
	return session(r, why);
}

/* One server by all its addresses, until one works. */
static bool
try_server(struct relay *r, const struct url *server, struct outcome *why)
{
	static const unsigned char families[] = {
		[CONF_IP_ANY] = AF_UNSPEC, [CONF_IP_4] = AF_INET, [CONF_IP_6] = AF_INET6,
	};
	struct dns_address list[LIMIT_DNS_ADDRESSES];
	int64_t deadline = clock_ms() + (int64_t)r->conf->connect_timeout * 1000;

	r->server = server;
	if (configure(r, why))
		return false;
	if (server->is_unix)
		return try_address(r, NULL, why);
	int count = dns_addresses(&r->dns, str_of(server->host), families[r->conf->ip_version],
				  deadline, list, LIMIT_DNS_ADDRESSES, why);
	r->peer.len = 0;
	for (int n = 0; n < count; n++)
		if (try_address(r, &list[n], why))
			return true;
	return false;
}

static bool
try_exchangers(struct relay *r, struct outcome *why)
{
	struct dns_mx list[LIMIT_DNS_MX];
	int64_t deadline = clock_ms() + (int64_t)r->conf->connect_timeout * 1000;
	uint32_t seed;
	int count;

	clock_random(&seed, sizeof seed);
	count = dns_mail_exchangers(&r->dns, str_of(r->to->domain), seed, deadline, list,
				    LIMIT_DNS_MX, why);
	for (int n = 0; n < count; n++) {
		struct url server = {.tls = URL_TLS_OFFERED, .port = 25};
		struct outcome o;
		memcpy(server.host, list[n].host, sizeof server.host);
		if (try_server(r, &server, &o))
			return true;
		/* As long as one of them may come back, nothing is final. */
		if (n == 0 || o.verdict == TEMPFAIL)
			*why = o;
	}
	return false;
}

static bool
try_all(struct relay *r, struct outcome *why)
{
	if (r->to->domain[0])
		return try_exchangers(r, why);
	*why = outcome_make(TEMPFAIL, 4, 4, "every smarthost line has a from= for other "
			    "senders: add one for this sender, or one without from=");
	for (size_t n = 0; n < r->to->server_count; n++)
		if (try_server(r, &r->to->server[n], why))
			return true;
	/* A smarthost's name that does not exist says nothing of the recipients. */
	why->verdict = TEMPFAIL;
	return false;
}

_Noreturn void
relay_run(const struct conf *c, const struct relay_destination *to, struct worker_link *runner)
{
	static struct relay r;
	struct outcome why = {0};

	r.conf = c;
	r.to = to;
	r.runner = runner;
	r.fd = r.helper = -1;
	prepare(&r);
	if (!try_all(&r, &why))
		tell(&r, &(struct worker_frame){
			.kind = WORKER_SESSION, .outcome = why, .relay = buf_view(&r.peer),
			.fd = -1,
		});
	buf_wipe(&r.secrets);
	_exit(EX_OK);
}
