/* SPDX-License-Identifier: ISC */
/*
 * The configuration: one table of keys, types, defaults and help; the file's grammar, with
 * dma's own keys and their meaning. Knows no file: text comes in, complaints go out.
 */
#ifndef CONF_H
#define CONF_H

#include "limit.h"
#include "url.h"

enum conf_clock { CONF_CLOCK_STRICT, CONF_CLOCK_FLOOR };
enum conf_ip { CONF_IP_ANY, CONF_IP_4, CONF_IP_6 };

struct conf {
	/* Text is never NULL; "" where nothing is set, which all of those share. */

	/* relay */
	size_t smarthost_count; /* of the next two, tried in order */
	struct url *smarthost;
	const char *from[LIMIT_SMARTHOSTS]; /* whose mail each one takes: user@domain, @domain, domain
					 or <>, '*' for any bytes; "": everybody's */
	const char *auth_file, *password_command, *auth_mechanisms;
	bool insecure_auth;
	bool tls_verify;        /* where TLS is required; default true */
	const char *tls_ca_file, *tls_fingerprint, *tls_pin;
	const char *tls_cert, *tls_key; /* key "": in cert */
	unsigned tls_clock;     /* enum conf_clock */
	unsigned ip_version;    /* enum conf_ip */
	const char *source_address; /* IP addresses, a blank between them */
	const char *resolver;       /* the same, each with #port if that is not 53 */
	struct url *proxy;      /* on the way to every server; NULL: none */
	/* names */
	const char *mailname, *helo_name; /* "" until conf_finish where they are not set */
	const char *qualify;    /* so is this; a domain, or "no" */
	const char *masquerade; /* "user@", "@domain", "user@domain" or "" */
	const char *virtual_users;
	bool from_override;     /* else masquerade has a domain */
	/* local */
	const char *aliases, *mailbox, *local_domains, *default_user;
	const char *adminaddr, *postmaster; /* canonical addresses */
	bool nullclient, forward;
	/* queue */
	const char *spooldir, *bounce_to /* canonical */, *log_file;
	bool defer, fullbounce;
	uint64_t workers;
	uint64_t retry_min, retry_max, queue_lifetime, auth_fail_lifetime,
		 delay_warning; /* seconds */
	/* limits; 0 is off */
	uint64_t message_size_limit, recipient_limit;
	uint64_t spool_size_limit, spool_count_limit, spool_min_free;
	uint64_t connect_timeout, command_timeout; /* seconds */
	/* Not keys, borrowed, or NULL: a login that is taken instead of auth_file's, and a
	 * command that speaks SMTP on its standard input and output, which stands in for every
	 * unix socket. */
	const char *login, *password, *helper;
	/* conf.c's own */
	struct conf_dma {
		bool securetransfer, starttls, opportunistic;
		uint64_t port;
		unsigned hosts; /* bit i: smarthost[i] was named by its host alone */
	} dma;
	struct conf_origin {
		const char *source; /* NULL: the default */
		unsigned line;
	} *origins; /* one for each key, then one for each smarthost */
};

enum conf_severity {
	CONF_IGNORED, /* a warning: that line has no effect */
	CONF_FATAL,   /* it concerns security (TLS, authentication): EX_CONFIG */
};

/* source is the file's name or "-O"; line 0: no line. what names the key and the remedy, and
 * never a value: that may be a secret in the wrong place. */
typedef void conf_complain(void *ctx, enum conf_severity severity, const char *source,
			   unsigned line, const char *what);

void conf_init(struct conf *c); /* every key at its default */
void conf_free(struct conf *c);

/* A whole file's text: "key value" (or "key = value") per line, '#' begins a comment at the
 * start of a line or value or behind a blank, outside quotes; a value may stand in double
 * quotes, with \" and \\ in them; a boolean alone is yes. Of several lines for a key the last
 * one counts; smarthosts add up within one source and replace those of another. source stays
 * borrowed as long as c lives. */
void conf_parse(struct conf *c, struct str text, const char *source, conf_complain *complain,
		void *ctx);

/* One "key=value" (or "key value") as -O gives it: a line of a file. */
void conf_set(struct conf *c, struct str assignment, const char *source,
	      conf_complain *complain, void *ctx);

/* After the last file and -O: what follows from several keys together (dma's SMARTHOST with
 * PORT, SECURETRANSFER, STARTTLS; nullclient without a smarthost), and names that are not set:
 * hostname is what the kernel says, or "". A mailname that begins with '/' names a file: the
 * applet reads its first line and gives that to conf_set before; a path that is still here
 * counts as not set. */
void conf_finish(struct conf *c, const char *hostname, conf_complain *complain, void *ctx);

/* auth_file's text: "user|host:password" lines as dma has them. What separates the password
 * is ':', '|' or a blank, and all behind it counts, blanks too; a '#' begins a comment at the
 * start of a line only. Of the entries for host, and for *user if that is not empty, the last
 * one: true, and *user and *password are its. */
bool conf_find_password(struct str text, struct str host, struct str *user,
			struct str *password);

/* "90", "90s", "15m", "4h", "5d" in seconds, as -q15m too. 0, or -1. */
int conf_parse_duration(struct str s, uint64_t *seconds);

/* -bP: "key value  # source:line - help" for every key of the table; read back, it means
 * the same. */
void conf_print(const struct conf *c, struct buf *out);

/* Where a user's mail goes: mailbox with %u replaced by the user (in lower case), %% by '%',
 * appended to *target: "/a/file", "/a/Maildir/", "|a command". 0, or -1 with *target as it was
 * where the name cannot stand there ('/', NUL, "", "." or ".."; in a command, anything but
 * letters, digits and "-._"). */
int conf_mailbox(const struct conf *c, struct str user, struct buf *target);

/* True for the device's own domains: none, mailname, localhost, local_domains (separated by
 * blanks or commas), address literals of loopback. On a nullclient mailname and local_domains
 * are the smarthost's. */
bool conf_is_local(const struct conf *c, struct str domain);

#endif
