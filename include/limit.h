/* SPDX-License-Identifier: ISC */
/*
 * Whatever input can make grow has its limit here. Crossing one is an outcome or an exit
 * code with a reason, never a truncation. Bytes unless the comment says otherwise.
 */
#ifndef LIMIT_H
#define LIMIT_H

enum {
	LIMIT_LOG_LINE = 1000,         /* one log line; what is longer ends in "..." */
	LIMIT_HEADER = 1 << 20,        /* a message's header, all fields together */
	LIMIT_FIELD_NAME = 256,        /* of a header field; a longer one starts the body */
	LIMIT_HOPS = 100,              /* Received fields of a message: it goes in a circle */
	LIMIT_ADDRESS = 1000,          /* one address, canonical form */
	LIMIT_ORCPT = 500,             /* of RCPT; RFC 3461 4.2 */
	LIMIT_ENVID = 100,             /* of MAIL; RFC 3461 4.4 */
	LIMIT_CONF_FILE = 256 << 10,
	LIMIT_ALIASES_FILE = 4 << 20,
	LIMIT_ALIAS_DEPTH = 20,        /* aliases that lead to aliases */
	LIMIT_ALIAS_FANOUT = 10000,    /* recipients one address may become, or a message gain */
	LIMIT_ALIAS_INCLUDE = 4 << 20, /* of lists that one address leads to */
	LIMIT_SMARTHOSTS = 8,
	LIMIT_ENVELOPE = 16 << 20,     /* spool text before the message */
	LIMIT_JOURNAL = 8 << 20,
	LIMIT_JOURNAL_LINE = 4096,
	LIMIT_DEFERRAL_LINE = 200,     /* what a retry may cost the flash */
	LIMIT_TIME_OFF = 24 * 3600,    /* seconds that a message ages while all is off */
	LIMIT_OUTCOME_TEXT = 240,      /* words kept of why a recipient failed */
	LIMIT_REPLY_LINE = 2048,       /* one line of an SMTP reply; RFC 5321 says 512 */
	LIMIT_REPLY_LINES = 200,       /* lines of one reply */
	LIMIT_WIRE_LINE = 998,         /* RFC 5321 4.5.3.1.6, without CRLF */
	LIMIT_PASSWORD = 4096,         /* or an OAuth token; what password_command may say */
	LIMIT_SASL = LIMIT_PASSWORD + 1024, /* one challenge or response, before base64 */
	LIMIT_CHAIN = 32 << 10,        /* a server's certificates, DER */
	LIMIT_PEM_BLOCK = 16 << 10,    /* one certificate or key on disk, DER */
	LIMIT_PEM_DIRECTORY = 2 << 20, /* all certificates in a directory, PEM */
	LIMIT_DNS_ADDRESSES = 16,      /* addresses tried for one host */
	LIMIT_DNS_MX = 16,
	LIMIT_DSN_HEADER = 64 << 10,   /* of the original that a bounce returns */
	LIMIT_WORKERS = 32,
	LIMIT_HELD = 50,               /* messages that the runner holds: nobody can be told */
};

#endif
