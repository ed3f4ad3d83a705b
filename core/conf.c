/* SPDX-License-Identifier: ISC */
#include "conf.h"
#include "addr.h"
#include "codec.h"
#include "ip.h"

#include <stdlib.h>
#include <string.h>

/* Bounds of values, where they are not limit.h's. */
enum {
	MINUTE = 60,
	HOUR = 60 * MINUTE,
	DAY = 24 * HOUR,
	TIMEOUT_MAX = HOUR,      /* for one step of a connection */
	LIFETIME_MAX = 365 * DAY,
	PORT_MAX = 65535,
	KEY_SHOWN = 40,          /* bytes of an unknown key that a complaint repeats */
};

enum type {
	BOOLEAN, /* bool */
	CLOCK,   /* unsigned: an index into its words */
	VERSION,
	SERVER,  /* struct url, repeatable */
	PROXY,   /* struct url *, or NULL */
	NUMBER,  /* uint64_t; these three with a range, max 0: none */
	SIZE,
	DURATION,
	STRING,  /* char *, as all below; min 1: not empty */
	PATH,
	MAILBOX,
	DOMAIN,
	MAILNAME,
	QUALIFY,
	MASQUERADE,
	ADDRESS,
	DIGEST,
	MECHANISMS,
	ADDRESSES,
	RESOLVERS,
};

struct key {
	const char *name, *dma; /* its other name in dma.conf */
	unsigned char type;
	unsigned short offset;
	uint32_t min, max;
	const char *initial, *help;
};

/* Our own field, or none. */
#define FIELD(name) offsetof(struct conf, name)

/* scripts/check-conf-page reads this table: the name and the default stand in the first line
 * of an entry. */
static const struct key keys[] = {
	{"smarthost", NULL, SERVER, FIELD(smarthost), 0, 0, "",
	 "server that takes outgoing mail (from=PATTERN: these senders'); tried in order"},
	{"auth_file", "authpath", PATH, FIELD(auth_file), 0, 0, "/etc/mtabox.auth",
	 "user|host:password lines, not to be read by others"},
	{"password_command", NULL, STRING, FIELD(password_command), 0, 0, "",
	 "says the password of user $1 at host $2 where auth_file has none"},
	{"auth_mechanisms", NULL, MECHANISMS, FIELD(auth_mechanisms), 0, 0, "",
	 "those allowed, best first; empty: all"},
	{"insecure_auth", "insecure", BOOLEAN, FIELD(insecure_auth), 0, 0, "no",
	 "passwords may go over connections that are not verified"},
	{"tls_verify", "verifycert", BOOLEAN, FIELD(tls_verify), 0, 0, "yes",
	 "check certificates where TLS is required"},
	{"tls_ca_file", NULL, PATH, FIELD(tls_ca_file), 0, 0, "/etc/ssl/certs/ca-certificates.crt",
	 "certificate authorities that are trusted: PEM, a file or a directory"},
	{"tls_fingerprint", "fingerprint", DIGEST, FIELD(tls_fingerprint), 0, 0, "",
	 "SHA-256 of the one certificate that is trusted"},
	{"tls_pin", NULL, DIGEST, FIELD(tls_pin), 0, 0, "",
	 "SHA-256 of the one public key that is trusted"},
	{"tls_cert", "certfile", PATH, FIELD(tls_cert), 0, 0, "",
	 "our own certificate and its chain, PEM, for servers that ask"},
	{"tls_key", NULL, PATH, FIELD(tls_key), 0, 0, "",
	 "its private key, PEM, not to be read by others; empty: in tls_cert"},
	{"tls_clock", NULL, CLOCK, FIELD(tls_clock), 0, 0, "strict",
	 "while the clock is not set: strict waits, floor goes by the build's date"},

	{"mailname", NULL, MAILNAME, FIELD(mailname), 0, 0, "",
	 "this device's name in mail, or a file that holds it; empty: the hostname"},
	{"helo_name", NULL, DOMAIN, FIELD(helo_name), 0, 0, "",
	 "name given to servers; empty: mailname"},
	{"source_address", NULL, ADDRESSES, FIELD(source_address), 0, 0, "",
	 "addresses that connections come from: one IPv4, one IPv6"},
	{"qualify", NULL, QUALIFY, FIELD(qualify), 0, 0, "",
	 "domain for addresses without one; no: headers stay; empty: mailname"},
	{"masquerade", NULL, MASQUERADE, FIELD(masquerade), 0, 0, "",
	 "domain, user@ or user@domain that senders of this device become"},
	{"virtual_users", "virtpath", PATH, FIELD(virtual_users), 0, 0, "",
	 "file of user address lines: what single senders become"},
	{"from_override", NULL, BOOLEAN, FIELD(from_override), 0, 0, "yes",
	 "callers may send from other domains; no: masquerade is for those too"},

	{"aliases", NULL, PATH, FIELD(aliases), 0, 0, "/etc/aliases", "the aliases file"},
	{"mailbox", NULL, MAILBOX, FIELD(mailbox), 1, 0, "/var/mail/%u",
	 "of user %u: an mbox file, a Maildir (with a '/' at its end), or |command"},
	{"local_domains", NULL, STRING, FIELD(local_domains), 0, 0, "",
	 "further domains delivered here"},
	{"adminaddr", NULL, ADDRESS, FIELD(adminaddr), 0, 0, "",
	 "gets all local mail instead"},
	{"postmaster", NULL, ADDRESS, FIELD(postmaster), 0, 0, "",
	 "gets bounces that have no other taker; empty: they are held"},
	{"default_user", NULL, STRING, FIELD(default_user), 1, 0, "nobody",
	 "whose rights network code runs with, and what the aliases file names"},
	{"forward", NULL, BOOLEAN, FIELD(forward), 0, 0, "yes",
	 "users' .forward files say where their mail goes"},
	{"nullclient", NULL, BOOLEAN, FIELD(nullclient), 0, 0, "no",
	 "nothing is delivered here: all mail goes to the smarthost"},

	{"spooldir", NULL, PATH, FIELD(spooldir), 1, 0, "/var/spool/mtabox", "the queue"},
	{"bounce_to", NULL, ADDRESS, FIELD(bounce_to), 0, 0, "",
	 "gets bounces of bounces; empty: postmaster"},
	{"log_file", NULL, PATH, FIELD(log_file), 0, 0, "", "empty: the system's log"},
	{"defer", NULL, BOOLEAN, FIELD(defer), 0, 0, "no", "deliver only when told to by -q"},
	{"fullbounce", NULL, BOOLEAN, FIELD(fullbounce), 0, 0, "no",
	 "bounces return the whole message, not its header alone"},
	{"workers", NULL, NUMBER, FIELD(workers), 1, LIMIT_WORKERS, "4",
	 "deliveries at the same time"},
	{"retry_min", NULL, DURATION, FIELD(retry_min), 1, LIFETIME_MAX, "1m",
	 "wait after the first failure; grows by half each time"},
	{"retry_max", NULL, DURATION, FIELD(retry_max), 1, LIFETIME_MAX, "4h", "longest wait"},
	{"queue_lifetime", NULL, DURATION, FIELD(queue_lifetime), 1, LIFETIME_MAX, "5d",
	 "then mail is bounced"},
	{"auth_fail_lifetime", NULL, DURATION, FIELD(auth_fail_lifetime), 1, LIFETIME_MAX, "5d",
	 "the same while our password is refused"},
	{"delay_warning", NULL, DURATION, FIELD(delay_warning), 0, LIFETIME_MAX, "4h",
	 "then the sender is told once that mail waits; 0: never"},

	{"message_size_limit", NULL, SIZE, FIELD(message_size_limit), 0, 0, "50M",
	 "of one message; 0: none"},
	{"recipient_limit", NULL, NUMBER, FIELD(recipient_limit), 0, 0, "10000",
	 "of one message; 0: none"},
	{"spool_size_limit", NULL, SIZE, FIELD(spool_size_limit), 0, 0, "0",
	 "of the whole queue; 0: none"},
	{"spool_count_limit", NULL, NUMBER, FIELD(spool_count_limit), 0, 0, "2000",
	 "messages in the queue; 0: none"},
	{"spool_min_free", NULL, SIZE, FIELD(spool_min_free), 0, 0, "1M",
	 "left free on the queue's file system; 0: nothing"},
	{"connect_timeout", NULL, DURATION, FIELD(connect_timeout), 1, TIMEOUT_MAX, "30s",
	 "for a server to take a connection"},
	{"command_timeout", NULL, DURATION, FIELD(command_timeout), 1, TIMEOUT_MAX, "10m",
	 "for a server to answer a command"},
	{"resolver", NULL, RESOLVERS, FIELD(resolver), 0, 0, "",
	 "name servers, with #port if not 53; empty: those of /etc/resolv.conf"},
	{"ip_version", NULL, VERSION, FIELD(ip_version), 0, 0, "any",
	 "4 or 6: servers are reached over that one only"},

	{"port", NULL, NUMBER, FIELD(dma.port), 1, PORT_MAX, "25",
	 "dma's: of smarthosts named by their host alone"},
	{"securetransfer", NULL, BOOLEAN, FIELD(dma.securetransfer), 0, 0, "no",
	 "dma's: TLS is required there"},
	{"starttls", NULL, BOOLEAN, FIELD(dma.starttls), 0, 0, "no", "dma's: by STARTTLS"},
	{"opportunistic_tls", NULL, BOOLEAN, FIELD(dma.opportunistic), 0, 0, "no",
	 "dma's: only if the server offers it"},
	{"proxy", NULL, PROXY, FIELD(proxy), 0, 0, "",
	 "SOCKS5 proxy on the way to servers: socks5://[user@]host[:port]"},
};

enum { KEYS = sizeof keys / sizeof *keys };

struct unit {
	char letter;
	uint32_t factor; /* 1 in the last one, which need not be written */
};

static const struct unit numbers[] = {{'\0', 1}};
static const struct unit sizes[] = {{'G', 1 << 30}, {'M', 1 << 20}, {'k', 1 << 10}, {'\0', 1}};
static const struct unit durations[] = {{'d', DAY}, {'h', HOUR}, {'m', MINUTE}, {'s', 1}};

/* Where a line stands and who hears what is wrong with it. */
struct place {
	const char *source;
	unsigned line;
	conf_complain *complain;
	void *ctx;
};

/* The field of k in c. */
static void *
field(const struct conf *c, const struct key *k)
{
	return (char *)c + k->offset;
}

static bool
is_text(const struct key *k)
{
	return k->type >= STRING;
}

static const struct key *
find_key(struct str name)
{
	for (const struct key *k = keys; k < keys + KEYS; k++)
		if (str_is(name, k->name) || str_is(name, k->dma))
			return k;
	return NULL;
}

/* Of the texts most are empty, and share this. */
static const char nothing[] = "";

static void
free_text(const char *text)
{
	if (text != nothing)
		buf_release((char *)text);
}

static void
set_text(const char **text, struct str value)
{
	char *copy = value.len > 0 ? buf_array(NULL, value.len + 1, 1) : NULL;

	if (copy) {
		memcpy(copy, value.ptr, value.len);
		copy[value.len] = '\0';
	}
	free_text(*text);
	*text = copy ? copy : nothing;
}

static int
parse_scaled(struct str s, const struct unit *u, uint64_t *value)
{
	char last = s.len ? str_lower(s.ptr[s.len - 1]) : '\0';

	while (u->factor > 1 && str_lower(u->letter) != last)
		u++;
	if (last && str_lower(u->letter) == last)
		s.len--;
	if (str_number(s, INT64_MAX / u->factor, value))
		return -1;
	*value *= u->factor;
	return 0;
}

static void
print_scaled(uint64_t value, const struct unit *u, struct buf *out)
{
	while (u->factor > 1 && (value == 0 || value % u->factor))
		u++;
	buf_print(out, "%llu", (unsigned long long)(value / u->factor));
	if (u->letter)
		buf_putc(out, u->letter);
}

static const struct unit *
units_of(const struct key *k)
{
	return k->type == SIZE ? sizes : k->type == DURATION ? durations : numbers;
}

/* The set_ functions: NULL, or what the value must be. */

static const char *
set_scaled(uint64_t *value, const struct key *k, struct str v, struct buf *words)
{
	const struct unit *units = units_of(k);
	uint64_t n, max = k->max ? k->max : INT64_MAX;

	if (parse_scaled(v, units, &n) == 0 && n >= k->min && n <= max) {
		*value = n;
		return NULL;
	}
	buf_puts(words, units == sizes ? "must be a size such as 500k or 10M" :
			units == durations ? "must be a time such as 90s, 15m, 4h or 5d" :
					     "must be a number");
	if (k->max) {
		buf_puts(words, ", from ");
		print_scaled(k->min, units, words);
		buf_puts(words, " to ");
		print_scaled(k->max, units, words);
	}
	return buf_cstr(words);
}

static const char *
set_boolean(bool *value, struct str v)
{
	static const char *const words[] = {
		"no", "yes", "false", "true", "off", "on", "0", "1",
	};

	for (size_t i = 0; i < sizeof words / sizeof *words; i++)
		if (str_is(v, words[i])) {
			*value = i % 2;
			return NULL;
		}
	return "must be yes or no";
}

static const char *const clocks[] = {"strict", "floor", NULL};
static const char *const versions[] = {"any", "4", "6", NULL};

static const char *const *
choices_of(const struct key *k)
{
	return k->type == CLOCK ? clocks : versions;
}

static const char *
set_choice(unsigned *value, const struct key *k, struct str v, struct buf *words)
{
	const char *const *choice = choices_of(k);

	for (unsigned i = 0; choice[i]; i++) {
		if (str_is(v, choice[i])) {
			*value = i;
			return NULL;
		}
		buf_print(words, "%s %s", i > 0 ? " or" : "must be", choice[i]);
	}
	return buf_cstr(words);
}

/* Takes a word off *s, blanks around it too. */
static struct str
take_word(struct str *s)
{
	size_t n = 0;

	while (n < s->len && !str_is_blank(s->ptr[n]))
		n++;
	struct str word = str_upto(*s, n);
	*s = str_trim(str_from(*s, n));
	return word;
}

/* "host" or "[address]", with nothing behind it. */
static bool
is_lone_host(struct str v)
{
	size_t end = str_starts(v, STR("[")) ? str_find(v, ']') : 0;

	return str_find(str_from(v, end), ':') == v.len - end;
}

static const char *
add_smarthost(struct conf *c, struct str v, const struct place *at, struct buf *words)
{
	struct conf_origin *origins = c->origins + KEYS;
	struct str server = take_word(&v), from = take_word(&v);
	size_t n = c->smarthost_count;
	struct url url;
	const char *why;

	if (server.len == 0) {
		c->smarthost_count = 0;
		return NULL;
	}
	if (n > 0 && strcmp(origins[n - 1].source, at->source) != 0)
		n = 0;
	if (n == LIMIT_SMARTHOSTS) {
		buf_print(words, "no more than %d can be named", LIMIT_SMARTHOSTS);
		return buf_cstr(words);
	}
	if (url_parse(server, &url, &why))
		return why;
	if (from.len > 0 && (!str_istarts(from, STR("from=")) || from.len == 5 || v.len > 0))
		return "behind the server stands from=PATTERN, without blanks, or nothing";
	c->smarthost = buf_array(c->smarthost, n + 1, sizeof url);
	c->smarthost[n] = url;
	set_text(&c->from[n], str_from(from, 5));
	origins[n] = (struct conf_origin){at->source, at->line};
	c->dma.hosts &= ~(1u << n);
	c->dma.hosts |= (unsigned)is_lone_host(server) << n;
	c->smarthost_count = n + 1;
	return NULL;
}

static const char *
set_proxy(struct url **proxy, struct str v)
{
	struct url url;
	const char *why;

	if (v.len > 0 && url_parse_proxy(v, &url, &why))
		return "must be socks5://[user@]host[:port]; a password goes into auth_file";
	buf_release(*proxy);
	*proxy = NULL;
	if (v.len > 0)
		*(*proxy = buf_array(NULL, 1, sizeof url)) = url;
	return NULL;
}

static const char *
set_address(const char **text, struct str v)
{
	struct buf canonical = {0};
	const char *why = NULL;

	if (v.len == 0 || addr_parse(v, &canonical, &why) == 0)
		set_text(text, buf_view(&canonical));
	buf_free(&canonical);
	return why;
}

/* A domain, or anything that means yes or no. */
static const char *
set_qualify(const char **text, struct str v)
{
	bool yes;

	if (set_boolean(&yes, v) == NULL)
		v = yes ? STR("") : STR("no");
	else if (v.len > 0 && !addr_is_domain(v))
		return "must be a domain, or no";
	set_text(text, v);
	return NULL;
}

/* "user@domain" with one of the two missing, which is x while the rest is checked; a domain
 * alone gets its '@'. */
static const char *
set_masquerade(const char **text, struct str v)
{
	size_t at = str_find(v, '@');
	bool no_local = at == 0 || at == v.len, no_domain = at + 1 == v.len;
	struct buf full = {0}, address = {0};
	const char *why;

	if (v.len == 0) {
		set_text(text, v);
		return NULL;
	}
	buf_puts(&full, at == v.len ? "x@" : no_local ? "x" : "");
	buf_str(&full, v);
	buf_puts(&full, no_domain ? "x" : "");
	struct str mask = buf_view(&full);
	bool good = addr_parse(mask, &address, &why) == 0 && str_eq(buf_view(&address), mask) &&
		    !(no_local && no_domain);
	if (good)
		set_text(text, str_upto(str_from(mask, no_local), mask.len - no_local - no_domain));
	buf_free(&full);
	buf_free(&address);
	return good ? NULL : "must be a domain, user@ or user@domain";
}

/* %u and %% only. */
static bool
is_mailbox(struct str v)
{
	for (size_t i = 0; i < v.len; i++)
		if (v.ptr[i] == '%' && (++i == v.len || (v.ptr[i] != 'u' && v.ptr[i] != '%')))
			return false;
	return v.len > 1;
}

static bool
are_addresses(struct str list, bool with_ports)
{
	unsigned char bytes[IP6];
	uint64_t port;

	while (list.len > 0) {
		struct str word = str_cut(&list, ' ');
		struct str rest = word, address = with_ports ? str_cut(&rest, '#') : word;
		bool has_port = address.len < word.len;
		if (word.len > 0 && (ip_parse(address, bytes) == 0 ||
				     (has_port && str_number(rest, PORT_MAX, &port))))
			return false;
	}
	return true;
}

/* sasl.c's names: the unit test of sasl compares. */
#define MECHANISM_NAMES "SCRAM-SHA-256-PLUS SCRAM-SHA-1-PLUS SCRAM-SHA-256 SCRAM-SHA-1 CRAM-MD5 " \
	"PLAIN LOGIN NTLM OAUTHBEARER XOAUTH2 EXTERNAL"

static bool
is_mechanism(struct str name)
{
	struct str known = STR(MECHANISM_NAMES);

	while (known.len > 0)
		if (str_ieq(str_cut(&known, ' '), name))
			return true;
	return name.len == 0;
}

/* Blanks or commas between them. */
static bool
are_mechanisms(struct str list)
{
	while (list.len > 0) {
		char next = str_find(list, ' ') < str_find(list, ',') ? ' ' : ',';
		if (!is_mechanism(str_cut(&list, next)))
			return false;
	}
	return true;
}

static const char *
check_text(const struct key *k, struct str v)
{
	unsigned char digest[32];
	bool is_path = str_starts(v, STR("/"));

	if (v.len == 0)
		return k->min > 0 ? "must not be empty" : NULL;
	for (size_t i = 0; i < v.len; i++)
		if (str_is_control(v.ptr[i]))
			return "must not contain control characters";
	switch (k->type) {
	case PATH:
		return is_path ? NULL : "must be a path that begins with '/'";
	case MAILBOX:
		return (is_path || v.ptr[0] == '|') && is_mailbox(v) ? NULL :
		       "must be /a/file, /a/Maildir/ or |a command, with %u for the user and "
		       "%% for '%'";
	case MAILNAME:
		if (is_path)
			return NULL;
		/* fallthrough */
	case DOMAIN:
		return addr_is_domain(v) ? NULL : "must be a name such as router.example";
	case DIGEST:
		return codec_unhex(v, digest, sizeof digest) == sizeof digest ? NULL :
		       "must be a SHA-256: 64 hex digits";
	case MECHANISMS:
		return are_mechanisms(v) ? NULL : "must be among " MECHANISM_NAMES;
	case ADDRESSES:
	case RESOLVERS:
		return are_addresses(v, k->type == RESOLVERS) ? NULL :
		       "must be IP addresses, with a blank between two";
	}
	return NULL;
}

static const char *
set_key(struct conf *c, const struct key *k, struct str v, const struct place *at,
	struct buf *words)
{
	const char *why;

	switch (k->type) {
	case BOOLEAN:
		return set_boolean(field(c, k), v);
	case CLOCK:
	case VERSION:
		return set_choice(field(c, k), k, v, words);
	case SERVER:
		return add_smarthost(c, v, at, words);
	case PROXY:
		return set_proxy(field(c, k), v);
	case NUMBER:
	case SIZE:
	case DURATION:
		return set_scaled(field(c, k), k, v, words);
	case QUALIFY:
		return set_qualify(field(c, k), v);
	case MASQUERADE:
		return set_masquerade(field(c, k), v);
	case ADDRESS:
		return set_address(field(c, k), v);
	}
	why = check_text(k, v);
	if (!why)
		set_text(field(c, k), v);
	return why;
}

void
conf_init(struct conf *c)
{
	size_t origins = KEYS + LIMIT_SMARTHOSTS;

	memset(c, 0, sizeof *c);
	c->origins = buf_array(NULL, origins, sizeof *c->origins);
	memset(c->origins, 0, origins * sizeof *c->origins);
	for (const struct key *k = keys; k < keys + KEYS; k++)
		if (is_text(k))
			set_text(field(c, k), str_of(k->initial));
		else if (*k->initial)
			set_key(c, k, str_of(k->initial), &(struct place){0}, NULL);
}

void
conf_free(struct conf *c)
{
	for (const struct key *k = keys; k < keys + KEYS; k++)
		if (is_text(k))
			free_text(*(const char **)field(c, k));
	for (size_t i = 0; i < LIMIT_SMARTHOSTS; i++)
		free_text(c->from[i]);
	buf_release(c->smarthost);
	buf_release(c->proxy);
	buf_release(c->origins);
	memset(c, 0, sizeof *c);
}

/* The same but for at most two letters next to each other: changed, swapped, too many, too few. */
static bool
is_nearly(struct str name, struct str key)
{
	while (name.len > 0 && key.len > 0 && str_lower(name.ptr[0]) == key.ptr[0]) {
		name = str_from(name, 1);
		key = str_from(key, 1);
	}
	while (name.len > 0 && key.len > 0 &&
	       str_lower(name.ptr[name.len - 1]) == key.ptr[key.len - 1]) {
		name.len--;
		key.len--;
	}
	return name.len <= 2 && key.len <= 2;
}

/* The key that was probably meant, or NULL. */
static const struct key *
guess_key(struct str name)
{
	for (const struct key *k = keys; k < keys + KEYS && name.len > 3; k++)
		if (is_nearly(name, str_of(k->name)))
			return k;
	return NULL;
}

/* Without the line, would mail or passwords travel less protected than its author meant? */
static bool
is_grave(struct str name)
{
	static const char *const prefixes[] = {
		"tls_", "auth", "insecure", "password", "smarthost", "securetransfer",
		"starttls", "opportunistic_tls", "port", "proxy", "spooldir",
	};

	for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++)
		if (str_istarts(name, str_of(prefixes[i])))
			return true;
	return false;
}

static void
refuse(const struct place *at, enum conf_severity severity, struct str name,
       const char *why)
{
	struct buf what = {0};

	buf_print(&what, "%.*s: %s", STR_ARG(str_upto(name, KEY_SHOWN)), why);
	at->complain(at->ctx, severity, at->source, at->line, buf_cstr(&what));
	buf_free(&what);
}

/* in: what follows the opening quote. NULL, or what is wrong. */
static const char *
read_quoted(struct str in, struct buf *value)
{
	size_t i = 0;

	for (; i < in.len && in.ptr[i] != '"'; i++) {
		if (in.ptr[i] == '\\' && i + 1 < in.len &&
		    (in.ptr[i + 1] == '"' || in.ptr[i + 1] == '\\'))
			i++;
		buf_putc(value, in.ptr[i]);
	}
	if (i == in.len)
		return "the closing quote is missing";
	in = str_trim(str_from(in, i + 1));
	return in.len == 0 || in.ptr[0] == '#' ? NULL : "nothing may follow the closing quote";
}

/* in: all that follows a key. *given: there is a value, if an empty one. NULL, or what is
 * wrong. */
static const char *
read_value(struct str in, struct buf *value, bool *given)
{
	size_t i = 0;

	in = str_trim(in);
	*given = str_starts(in, STR("="));
	if (*given)
		in = str_trim(str_from(in, 1));
	if (str_starts(in, STR("\""))) {
		*given = true;
		return read_quoted(str_from(in, 1), value);
	}
	while (i < in.len && !(in.ptr[i] == '#' && (i == 0 || str_is_blank(in.ptr[i - 1]))))
		i++;
	buf_str(value, str_trim(str_upto(in, i)));
	*given |= value->len > 0;
	return NULL;
}

/* rest: all that follows k's name. NULL, or what is wrong. */
static const char *
take_value(struct conf *c, const struct key *k, struct str rest, const struct place *at,
	   struct buf *words)
{
	struct buf value = {0};
	bool given = false;
	const char *why = read_value(rest, &value, &given);

	if (!why && !given && k->type == BOOLEAN)
		buf_puts(&value, "yes");
	else if (!why && !given)
		why = "needs a value; \"\" is an empty one";
	if (!why)
		why = set_key(c, k, buf_view(&value), at, words);
	buf_free(&value);
	return why;
}

static const char *
unknown_key(const struct key *meant, struct buf *words)
{
	if (!meant)
		return "unknown key; sendmail -bP lists them all";
	buf_print(words, "unknown key; did you mean %s?", meant->name);
	return buf_cstr(words);
}

static void
take_line(struct conf *c, struct str line, const struct place *at)
{
	struct buf words = {0};
	size_t n = 0;

	line = str_trim(line);
	if (line.len == 0 || line.ptr[0] == '#')
		return;
	while (n < line.len && !str_is_blank(line.ptr[n]) && line.ptr[n] != '=')
		n++;
	struct str name = str_upto(line, n);
	const struct key *k = find_key(name), *meant = k ? k : guess_key(name);
	const char *why = k ? take_value(c, k, str_from(line, n), at, &words) :
			      unknown_key(meant, &words);

	if (!why)
		c->origins[k - keys] = (struct conf_origin){at->source, at->line};
	else if (is_grave(name) || (meant && is_grave(str_of(meant->name))))
		refuse(at, CONF_FATAL, name, why);
	else
		refuse(at, CONF_IGNORED, name, why);
	buf_free(&words);
}

void
conf_parse(struct conf *c, struct str text, const char *source, conf_complain *complain,
	   void *ctx)
{
	struct place at = {source, 0, complain, ctx};

	while (text.len > 0) {
		at.line++;
		take_line(c, str_cut(&text, '\n'), &at);
	}
}

void
conf_set(struct conf *c, struct str assignment, const char *source, conf_complain *complain,
	 void *ctx)
{
	struct place at = {source, 0, complain, ctx};

	take_line(c, assignment, &at);
}

bool
conf_find_password(struct str text, struct str host, struct str *user, struct str *password)
{
	struct str wanted = *user;
	bool found = false;

	while (text.len > 0) {
		struct str line = str_cut(&text, '\n'), name;
		if (line.len > 0 && line.ptr[line.len - 1] == '\r')
			line.len--;
		name = str_trim(str_cut(&line, '|'));
		if (name.len == 0 || name.ptr[0] == '#' || !str_istarts(line, host) ||
		    (wanted.len > 0 && !str_eq(wanted, name)))
			continue;
		line = str_from(line, host.len);
		if (line.len > 0 && str_find(STR(":| \t"), line.ptr[0]) < 4) {
			*user = name;
			*password = str_from(line, 1);
			found = true;
		}
	}
	return found;
}

int
conf_parse_duration(struct str s, uint64_t *seconds)
{
	return parse_scaled(s, durations, seconds);
}

/* Something is wrong that only several keys together show; said of this one's line. */
static void
refuse_key(const struct conf *c, struct place at, enum conf_severity severity,
	   struct str name, const char *why)
{
	const struct conf_origin *o = &c->origins[find_key(name) - keys];

	at.source = o->source;
	at.line = o->line;
	refuse(&at, severity, name, why);
}

/* dma says in several keys how its smarthost is reached; a URL says it all by itself. What
 * asks for TLS must not be silently without effect on a URL that does not. */
static void
finish_smarthosts(struct conf *c, struct place at)
{
	const struct conf_dma *d = &c->dma;
	bool required = d->starttls ? !d->opportunistic : d->securetransfer;
	enum url_tls tls = url_port_tls((unsigned)d->port);

	if (d->starttls)
		tls = required ? URL_TLS_STARTTLS : URL_TLS_OFFERED;
	else if (d->securetransfer)
		tls = URL_TLS_IMPLICIT;

	if (required && c->smarthost_count == 0)
		refuse_key(c, at, CONF_FATAL,
			   d->starttls ? STR("starttls") : STR("securetransfer"),
			   "needs a smarthost: by MX, TLS is used where a server offers it");
	for (size_t i = 0; i < c->smarthost_count; i++) {
		struct url *u = &c->smarthost[i];
		if (d->hosts >> i & 1) {
			u->port = (unsigned short)d->port;
			u->tls = tls;
		} else if (required && u->tls == URL_TLS_OFFERED) {
			at.source = c->origins[KEYS + i].source;
			at.line = c->origins[KEYS + i].line;
			refuse(&at, CONF_FATAL, STR("smarthost"),
			       "does not require TLS, but SECURETRANSFER or STARTTLS is set: "
			       "write smtps://HOST or smtp+starttls://HOST");
		}
	}
}

void
conf_finish(struct conf *c, const char *hostname, conf_complain *complain, void *ctx)
{
	struct place at = {NULL, 0, complain, ctx};
	struct str host = str_of(hostname);

	if (c->nullclient && c->smarthost_count == 0)
		refuse_key(c, at, CONF_FATAL, STR("nullclient"),
			   "needs a smarthost that takes the mail: add a smarthost line");
	if (*c->tls_key && !*c->tls_cert)
		refuse_key(c, at, CONF_FATAL, STR("tls_key"),
			   "needs the certificate that it belongs to: add a tls_cert line");
	finish_smarthosts(c, at);
	if (!c->from_override && addr_domain(str_of(c->masquerade)).len == 0) {
		refuse_key(c, at, CONF_IGNORED, STR("from_override"),
			   "needs to know what to send from: add a masquerade line with a domain");
		c->from_override = true;
	}
	/* A kernel without a name says "(none)". */
	if (!addr_is_domain(host))
		host = STR("localhost");
	if (!addr_is_domain(str_of(c->mailname)))
		set_text(&c->mailname, host);
	if (c->helo_name[0] == '\0')
		set_text(&c->helo_name, str_of(c->mailname));
	if (c->qualify[0] == '\0')
		set_text(&c->qualify, str_of(c->mailname));
}

/* In quotes where read_value would not give it back otherwise. */
static void
print_text(struct str s, struct buf *out)
{
	bool quotes = s.len == 0 || strchr("\"#=", s.ptr[0]);

	for (size_t i = 0; i < s.len; i++)
		quotes |= str_is_blank(s.ptr[i]);
	if (!quotes) {
		buf_str(out, s);
		return;
	}
	buf_putc(out, '"');
	for (size_t i = 0; i < s.len; i++) {
		if (s.ptr[i] == '"' || s.ptr[i] == '\\')
			buf_putc(out, '\\');
		buf_putc(out, s.ptr[i]);
	}
	buf_putc(out, '"');
}

/* url: NULL where there is none. */
static void
print_server(const struct url *url, const char *from, struct buf *out)
{
	if (!url) {
		print_text(STR(""), out);
		return;
	}
	url_print(url, out);
	if (*from)
		buf_print(out, " from=%s", from);
}

static void
print_value(const struct conf *c, const struct key *k, size_t i, struct buf *out)
{
	const void *value = field(c, k);

	switch (k->type) {
	case BOOLEAN:
		buf_puts(out, *(const bool *)value ? "yes" : "no");
		break;
	case CLOCK:
	case VERSION:
		buf_puts(out, choices_of(k)[*(const unsigned *)value]);
		break;
	case SERVER:
		print_server(i < c->smarthost_count ? &c->smarthost[i] : NULL, c->from[i], out);
		break;
	case PROXY:
		print_server(c->proxy, "", out);
		break;
	case NUMBER:
	case SIZE:
	case DURATION:
		print_scaled(*(const uint64_t *)value, units_of(k), out);
		break;
	default:
		print_text(str_of(*(char *const *)value), out);
	}
}

static void
print_line(const struct conf *c, const struct key *k, size_t i, const struct conf_origin *o,
	   struct buf *out)
{
	buf_print(out, "%s ", k->name);
	print_value(c, k, i, out);
	buf_print(out, "  # %s", o->source ? o->source : "default");
	if (o->line)
		buf_print(out, ":%u", o->line);
	buf_print(out, " - %s\n", k->help);
}

void
conf_print(const struct conf *c, struct buf *out)
{
	for (const struct key *k = keys; k < keys + KEYS; k++) {
		if (k->type == SERVER)
			for (size_t i = 0; i < c->smarthost_count; i++)
				print_line(c, k, i, &c->origins[KEYS + i], out);
		if (k->type != SERVER || c->smarthost_count == 0)
			print_line(c, k, 0, &c->origins[k - keys], out);
	}
}

/* list: words between blanks or commas. */
static bool
is_in(struct str word, struct str list)
{
	while (list.len > 0) {
		size_t n = 0;
		while (n < list.len && !str_is_blank(list.ptr[n]) && list.ptr[n] != ',')
			n++;
		if (n > 0 && str_ieq(str_upto(list, n), word))
			return true;
		list = str_from(list, n + 1);
	}
	return false;
}

/* A user's name must not lead elsewhere as part of a path, nor say more in a command. */
static bool
fits_target(struct str user, bool in_command)
{
	for (size_t i = 0; i < user.len; i++) {
		char c = user.ptr[i], lower = str_lower(c);
		bool word = (lower >= 'a' && lower <= 'z') || (c >= '0' && c <= '9') ||
			    (c == '-' && i > 0) || c == '.' || c == '_';
		if (in_command ? !word : c == '/' || c == '\0')
			return false;
	}
	return user.len > 0 && !str_eq(user, STR(".")) && !str_eq(user, STR(".."));
}

int
conf_mailbox(const struct conf *c, struct str user, struct buf *target)
{
	struct str template = str_of(c->mailbox);

	if (!fits_target(user, template.ptr[0] == '|'))
		return -1;
	while (template.len > 0) {
		buf_str(target, str_cut(&template, '%'));
		for (size_t i = 0; i < user.len && str_starts(template, STR("u")); i++)
			buf_putc(target, str_lower(user.ptr[i]));
		if (!str_starts(template, STR("u")) && template.len > 0)
			buf_putc(target, template.ptr[0]);
		template = str_from(template, 1);
	}
	return 0;
}

bool
conf_is_local(const struct conf *c, struct str domain)
{
	static const char *const own[] = {
		"localhost", "localhost.localdomain", "[::1]", "[ipv6:::1]",
	};

	for (size_t n = 0; n < sizeof own / sizeof *own; n++)
		if (str_is(domain, own[n]))
			return true;
	if (domain.len == 0 || str_starts(domain, STR("[127.")))
		return true;
	return !c->nullclient && (str_is(domain, c->mailname) ||
				  is_in(domain, str_of(c->local_domains)));
}
