/* SPDX-License-Identifier: ISC */
#include "reach.h"
#include "clock.h"
#include "config.h"
#include "file.h"
#include "log.h"
#include "net.h"
#include "pem.h"
#include "sandbox.h"
#include "secret.h"
#include "user.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

enum {
	RESOLVER_MAX = 64 << 10,
	NONCE = sizeof ((struct reach *)0)->nonce - 1,
	STUMBLES = 2, /* of a server, upon one message and then another: it is out of order */
};

/* --- preparation, with all rights ------------------------------------------------------ */

static void
ask_for_password(struct reach *r, const struct url *server)
{
	struct str user = str_of(server->user), password;

	if (user.len > 0 && *r->conf->password_command &&
	    !conf_find_password(buf_view(&r->secrets), str_of(server->host), &user, &password))
		secret_ask(r->conf, server, &r->secrets, &r->no_password);
}

static void
load_secrets(struct reach *r)
{
	bool login = r->conf->login;
	const struct url *proxy = r->conf->proxy;

	if ((login && !(proxy && proxy->user[0])) ||
	    secret_load(r->conf, &r->secrets, &r->secrets_problem))
		return;
	if (proxy)
		ask_for_password(r, proxy);
	for (size_t n = 0; n < r->to->server_count && !login; n++)
		ask_for_password(r, &r->to->server[n]);
}

static void
load_trust(struct reach *r)
{
	const struct conf *c = r->conf;
	struct trust_config *t = &r->trust;

	t->verify = true;
	t->ca_name = c->tls_ca_file;
	t->clock = c->tls_clock;
	t->floor = BUILD_TIME;
	t->has_fingerprint = trust_parse_sha256(str_of(c->tls_fingerprint), t->fingerprint) == 0;
	t->has_pin = trust_parse_sha256(str_of(c->tls_pin), t->pin) == 0;
	clock_read(&t->now);
	t->ca = pem_open(c->tls_ca_file);
	t->ca_error = errno;
	identity_load(&r->identity, c->tls_cert, c->tls_key, &r->identity_problem);
}

void
reach_prepare(struct reach *r, const struct conf *conf, const struct destination *to,
	      struct talk *talk)
{
	struct user_file passwd = {0};
	struct user nobody;

	*r = (struct reach){.conf = conf, .to = to, .talk = talk, .helper = -1};
	load_secrets(r);
	if (CONFIG_TLS)
		load_trust(r);
	file_load("/etc/resolv.conf", RESOLVER_MAX, &r->resolv_conf);
	file_load("/etc/hosts", RESOLVER_MAX, &r->hosts);
	dns_init(&r->dns, str_of(r->conf->resolver), buf_view(&r->resolv_conf),
		 buf_view(&r->hosts));
	if (r->conf->helper)
		r->helper = net_start(r->conf->helper);
	user_without_rights(&passwd, str_of(r->conf->default_user), &nobody);
	/* That works, or ends the process. */
	if (geteuid() == 0)
		sandbox_become(nobody.uid, nobody.gid);
	user_free(&nobody);
	user_unload(&passwd);
	clock_keep_random();
	if (!sandbox_enter())
		log_debug("this kernel has no seccomp: going on without");
}

/* --- one server -------------------------------------------------------------------------- */

/* For a login, if there is to be one. 0, or -1 with *why. */
static int
make_nonce(struct reach *r, struct outcome *why)
{
	unsigned char raw[NONCE];

	if (r->talk->config.user.len == 0)
		return 0;
	if (clock_secret(raw, sizeof raw)) {
		*why = outcome_make(TEMPFAIL, 3, 0, "the kernel gives no random bytes");
		return -1;
	}
	for (size_t n = 0; n < sizeof raw; n++)
		r->nonce[n] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
			[raw[n] & 63];
	r->talk->config.nonce = (struct str){r->nonce, NONCE};
	return 0;
}

static struct outcome
no_password(const struct reach *r, const struct url *server)
{
	if (r->no_password.text[0])
		return r->no_password;
	return outcome_make(TEMPFAIL, 7, 8, "no password for %s at %s in auth_file %s",
			    server->user, server->host, r->conf->auth_file);
}

/* Who we are for this server. False: nobody that it knows. */
static bool
find_login(const struct reach *r, struct smtp_config *c)
{
	const struct conf *conf = r->conf;

	if (conf->login) {
		c->user = str_of(conf->login);
		c->password = str_of(conf->password);
		return true;
	}
	c->user = str_of(r->server->user);
	if (conf_find_password(buf_view(&r->secrets), c->host, &c->user, &c->password))
		return true;
	c->user = c->password = (struct str){0};
	return false;
}

/* Credentials go over verified TLS only: a server that we have a password for must not be
 * reachable without. Nor must one be whose certificate is known. */
static enum url_tls
choose_tls(const struct reach *r, bool login)
{
	const struct trust_config *t = &r->trust;
	enum url_tls tls = r->server->tls;

	if (tls != URL_TLS_OFFERED)
		return tls;
	if (t->has_fingerprint || t->has_pin || (login && !r->conf->insecure_auth))
		return URL_TLS_STARTTLS;
	return CONFIG_TLS ? URL_TLS_OFFERED : URL_TLS_NONE;
}

/* What this server may be told, and over what. 0; -1 with *why: it cannot be used. */
static int
configure(struct reach *r, struct outcome *why)
{
	const struct conf *conf = r->conf;
	const struct url *server = r->server;
	struct talk *t = r->talk;
	struct smtp_config *c = &t->config;

	c->host = str_of(server->host);
	c->helo = str_of(conf->helo_name);
	c->lmtp = server->lmtp;
	c->private_channel = server->is_unix;
	c->mechanisms = str_of(conf->auth_mechanisms);
	c->insecure_auth = conf->insecure_auth;
	bool login = find_login(r, c);
	c->tls = choose_tls(r, login);
	r->trust.verify = c->tls != URL_TLS_OFFERED && conf->tls_verify;
	t->trust = &r->trust;
	t->identity = &r->identity;
	t->connect_timeout = conf->connect_timeout;
	t->command_timeout = conf->command_timeout;
	if (r->secrets_problem.text[0])
		*why = r->secrets_problem;
	else if (server->user[0] && !login)
		*why = no_password(r, server);
	else if (!CONFIG_TLS && c->tls != URL_TLS_NONE)
		*why = outcome_make(TEMPFAIL, 7, 10, "this mtabox was built without TLS");
	else if (c->tls != URL_TLS_NONE && r->identity_problem.text[0])
		*why = r->identity_problem;
	else
		return 0;
	return -1;
}

/* --- in order ---------------------------------------------------------------------------- */

static void
name_peer(struct reach *r, const struct dns_address *a)
{
	r->peer.len = 0;
	buf_puts(&r->peer, r->server->host);
	if (a) {
		buf_putc(&r->peer, '[');
		dns_print_address(a, &r->peer);
		buf_putc(&r->peer, ']');
	}
	if (!r->server->is_unix)
		buf_print(&r->peer, ":%u", (unsigned)r->server->port);
}

/* The source_address of that family; false: the kernel chooses. */
static bool
find_source(const struct reach *r, int family, struct dns_address *from)
{
	struct str list = str_of(r->conf->source_address);

	/* conf has looked at each: what is none here is the nothing between two blanks. */
	from->sa.ss_family = AF_UNSPEC;
	while (list.len > 0 && from->sa.ss_family != family)
		dns_parse_address(str_cut(&list, ' '), from);
	return from->sa.ss_family == family;
}

static int
dial_address(const struct reach *r, const struct dns_address *a, unsigned short port,
	     int64_t deadline, struct outcome *why)
{
	struct dns_address from;

	return net_dial(a, port, find_source(r, a->sa.ss_family, &from) ? &from : NULL,
			deadline, why);
}

/* As dns_addresses, LIMIT_DNS_ADDRESSES at most. */
static int
look_up(const struct reach *r, const char *host, int64_t deadline, struct dns_address *list,
	struct outcome *why)
{
	static const unsigned char families[] = {
		[CONF_IP_ANY] = AF_UNSPEC, [CONF_IP_4] = AF_INET, [CONF_IP_6] = AF_INET6,
	};

	return dns_addresses(&r->dns, str_of(host), families[r->conf->ip_version], deadline,
			     list, LIMIT_DNS_ADDRESSES, why);
}

/* The first address of the proxy that takes us leads to the server, or none does. */
static int
dial_proxy(const struct reach *r, int64_t deadline, struct outcome *why)
{
	const struct url *proxy = r->conf->proxy;
	struct socks s = {
		.user = str_of(proxy->user), .host = str_of(r->server->host),
		.port = r->server->port,
	};
	struct dns_address list[LIMIT_DNS_ADDRESSES];
	struct outcome o;
	int fd = -1;

	if (s.user.len > 0 && !conf_find_password(buf_view(&r->secrets), str_of(proxy->host),
						  &s.user, &s.password)) {
		*why = no_password(r, proxy);
		return -1;
	}
	int count = look_up(r, proxy->host, deadline, list, &o);
	/* One that is silent leaves time for the others. */
	for (int n = 0; n < count && fd < 0; n++) {
		int64_t now = clock_ms(), share = (deadline - now) / (count - n);
		fd = dial_address(r, &list[n], proxy->port, now + share, &o);
	}
	if (fd >= 0 && net_pass_on(fd, &s, deadline, &o)) {
		close(fd);
		fd = -1;
	}
	/* Nothing that a proxy says is final: it may be the wrong one. */
	if (fd < 0)
		*why = outcome_make(TEMPFAIL, o.subject, o.detail,
				    "reaching %s by proxy %s: %s", r->server->host,
				    proxy->host, o.text);
	return fd;
}

/* A socket, or -1 with *why. a: NULL for a unix socket, a command, or a name that the proxy
 * looks up. */
static int
dial(struct reach *r, const struct dns_address *a, struct outcome *why)
{
	int64_t deadline = clock_ms() + (int64_t)r->conf->connect_timeout * 1000;
	int fd = r->helper;

	if (r->by_proxy)
		return dial_proxy(r, deadline, why);
	if (a)
		return dial_address(r, a, r->server->port, deadline, why);
	if (!r->conf->helper)
		return net_dial_unix(r->server->host, deadline, why);
	if (fd < 0)
		*why = outcome_make(TEMPFAIL, 4, 1, "cannot start the command that leads to the server");
	r->helper = -1;
	return fd;
}

/* A session, or none. */
static bool
converse(struct reach *r, const struct dns_address *a, struct outcome *why)
{
	log_debug("connecting to %.*s", STR_ARG(r->peer));
	int fd = make_nonce(r, why) ? -1 : dial(r, a, why);
	if (fd < 0) {
		log_debug("%s", why->text);
		r->talk->smtp.stumbled = false;
		return false;
	}
	*why = talk_run(r->talk, fd, buf_view(&r->peer));
	return true;
}

/* TLS was an offer that turned out to be void. What may go in clear does, as it would without
 * the offer; a password may not. */
static bool
goes_in_clear(struct reach *r, const struct outcome *why)
{
	struct smtp_config *c = &r->talk->config;

	if (!r->talk->tls_failed || c->tls != URL_TLS_OFFERED || c->user.len > 0)
		return false;
	log_warn("TLS with %.*s failed, going on in clear: %s", STR_ARG(r->peer), why->text);
	c->tls = URL_TLS_NONE;
	return true;
}

/* What the last session came to. True: the server is one to have mail with. */
static bool
judge(struct reach *r, const struct outcome *why)
{
	const struct smtp *s = &r->talk->smtp;

	if (s->took)
		r->stumbles = 0;
	else if (s->stumbled)
		r->stumbles++;
	if (s->stumbled && !s->decided)
		r->stumble = *why;
	return (s->decided && r->stumbles < STUMBLES) || why->verdict == DELIVERED;
}

/* The server has ended a session that was worth having, and there is mail. A command that leads
 * to a server does so once. */
static bool
goes_on(const struct reach *r, const struct outcome *why)
{
	return why->verdict != DELIVERED && !r->conf->helper && r->talk->expects(r->talk->ctx);
}

static bool
try_address(struct reach *r, const struct dns_address *a, struct outcome *why)
{
	enum url_tls tls = r->talk->config.tls;
	bool connected, good;

	do {
		connected = converse(r, a, why);
		good = connected && judge(r, why);
	} while (connected && (goes_in_clear(r, why) || (good && goes_on(r, why))));
	r->talk->config.tls = tls;
	if (connected && !good)
		log_debug("%s", why->text);
	return good;
}

/* The same, unless it is known that nothing would come of it. That a host is dead or silent is
 * true of all domains that it serves; what else it says may be meant for this one. */
static bool
try_host(struct reach *r, const struct dns_address *a, struct outcome *why)
{
	const struct outage_list *dead = a && !r->by_proxy ? r->dead : NULL;

	name_peer(r, a);
	struct route host = outage_host(str_from(buf_view(&r->peer), strlen(r->server->host)));
	const struct outcome *known = dead ? outage_find(dead, &host, clock_ms()) : NULL;
	if (known) {
		*why = *known;
		return false;
	}
	if (try_address(r, a, why))
		return true;
	if (dead && why->subject == 4 && why->code == 0 && !r->talk->smtp.stumbled)
		r->lost(r->talk->ctx, host.domain, why);
	return false;
}

/* One server by all its addresses, until one works. */
static bool
try_server(struct reach *r, const struct url *server, struct outcome *why)
{
	struct dns_address list[LIMIT_DNS_ADDRESSES];
	struct str host = str_of(server->host);
	int64_t deadline = clock_ms() + (int64_t)r->conf->connect_timeout * 1000;

	r->server = server;
	/* This device's own servers are none that a proxy could reach. */
	r->by_proxy = r->conf->proxy && !server->is_unix && !dns_is_loopback(host);
	if (configure(r, why))
		return false;
	if (server->is_unix || r->by_proxy)
		return try_host(r, dns_parse_address(host, list) == 0 ? list : NULL, why);
	int count = look_up(r, server->host, deadline, list, why);
	r->peer.len = 0;
	for (int n = 0; n < count; n++)
		if (try_host(r, &list[n], why))
			return true;
	return false;
}

static bool
try_exchangers(struct reach *r, struct outcome *why)
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

bool
reach_run(struct reach *r, struct outcome *why)
{
	r->stumble.text[0] = '\0';
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

void
reach_free(struct reach *r)
{
	buf_wipe(&r->secrets);
	if (CONFIG_TLS)
		identity_free(&r->identity);
	buf_free(&r->resolv_conf);
	buf_free(&r->hosts);
	buf_free(&r->peer);
}
