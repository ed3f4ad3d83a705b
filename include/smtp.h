/* SPDX-License-Identifier: ISC */
/*
 * The SMTP and LMTP client (RFC 5321, 2033, 2920, 3030, 3207, 4954, 1870, 6152, 2034, 3461,
 * 6531) as an engine: server bytes in, client bytes out, no socket, no clock, no allocation. It
 * says what it wants next and one pump (relay) drives it as it drives the TLS engine. It decides
 * verdicts of recipients and nothing else: whether to retry, bounce or try another host is not
 * known here.
 *
 * Messages are pipelined: a second one may be handed over while the first is under way; its
 * MAIL, RCPT and DATA then ride behind the first one's end. By BDAT a short message goes out as
 * a whole, before the server has said anything to it. Each recipient gets exactly one verdict
 * for each message handed over, unless the message is given back untried.
 *
 * The callbacks are called from within the functions below and must call none of them.
 */
#ifndef SMTP_H
#define SMTP_H

#include "login.h"
#include "notify.h"
#include "offer.h"
#include "url.h"

struct smtp_message {
	struct str sender;       /* canonical, "" is null */
	const struct str *rcpts; /* canonical */
	size_t rcpt_count;       /* at least 1 */
	struct notify notify;    /* of the message, and of each recipient: where DSN is offered */
	const struct notify *notifies;
	uint64_t size;           /* octets on the wire, or a good estimate; for SIZE= */
	/* Octets that the body has on the wire, exactly, with dots as they are: it goes by BDAT,
	 * which smtp_takes_chunks must have allowed. 0: by DATA. */
	uint64_t chunk;
	bool eightbit;           /* BODY=8BITMIME where offered */
	unsigned char *state;    /* rcpt_count bytes for the engine's use: zero at first, and as
				    it left them where the rest of the message goes again */
	void *ctx;               /* the caller's */
};

struct smtp_config {
	struct str helo;
	bool lmtp;
	enum url_tls tls;        /* IMPLICIT: TLS is up before the engine sees a byte */
	bool private_channel;    /* a unix socket: as good as verified TLS */
	struct str host;         /* the server's name, for words */
	struct str user, password; /* user "": no AUTH, whatever the server offers */
	struct str mechanisms;   /* allowed, as sasl_pick's; "" is all */
	bool insecure_auth;      /* AUTH even where the channel is neither verified nor private */
	struct str nonce;        /* sasl.h's */

	/* One recipient's verdict. */
	void (*verdict)(void *ctx, const struct smtp_message *m, size_t rcpt,
			const struct outcome *o);
	/* The engine lets go of m. tried false: nothing was accepted, nor can have been, for the
	 * recipients that had no verdict so far: m may go over another connection at once, for
	 * them alone. */
	void (*finished)(void *ctx, const struct smtp_message *m, bool tried);
	/* One line of dialogue for -v, without CRLF, secrets masked. from_server or ours. May be
	 * NULL. */
	void (*trace)(void *ctx, bool from_server, struct str line);
	void *ctx;
};

/* What the engine wants; several at once. */
enum smtp_want {
	SMTP_SEND = 1,      /* smtp_output has bytes for the server */
	SMTP_RECEIVE = 2,   /* it waits for the server: smtp_input */
	SMTP_STARTTLS = 4,  /* do the handshake, then smtp_tls_up */
	SMTP_BODY = 8,      /* all output is out: put the body of smtp_body_message on the wire as
			       wire.h makes it, then smtp_body_done */
	SMTP_MESSAGE = 16,  /* smtp_send is possible */
	SMTP_CLOSED = 32,   /* over; smtp_session says why */
};

struct smtp {
	const struct smtp_config *config;
	unsigned state;              /* of the session, see smtp.c */
	bool tls_up, tls_verified, closed, quit;
	bool decided;                /* there was a verdict for some recipient */
	bool took;                   /* a message, for some recipient */
	bool stumbled;               /* it ended, not as a session should, upon a message */
	bool leaving;                /* once all in hand are answered: session says why */
	size_t rcpt_limit;           /* in one transaction, as the server has shown; 0: none */
	struct str binding;          /* of TLS, as sasl_pick's */
	bool reset;                  /* RSET must precede the next MAIL */
	struct offer offer;          /* of the newest EHLO */
	struct outcome session;
	/* Transactions: [0] is the older. */
	struct smtp_transaction {
		const struct smtp_message *m;
		/* Cursors over RSET, MAIL, RCPT…, and either DATA and dot or BDAT: the next
		 * command to put out, the next to be answered, one past the last to be put out. */
		size_t send, receive, end;
		size_t undecided;    /* recipients without a verdict */
		size_t accepted;     /* RCPTs */
		bool tried;          /* MAIL was accepted, or there was a verdict */
		bool body;           /* is to go out now, or is on its way */
		bool begun;          /* has been asked for */
		bool back;           /* is given back once its commands are answered */
	} tx[2];
	unsigned tx_count;
	struct reply reply;
	unsigned replies;            /* complete ones so far: the pump's measure of progress */
	bool early;                  /* it began before it was asked for */
	/* Commands on their way. */
	char out[2 * LIMIT_SASL];
	size_t out_start, out_end;
	struct login login;
};

/* config and what it points to must outlive s. */
void smtp_init(struct smtp *s, const struct smtp_config *config);

unsigned smtp_want(const struct smtp *s);

/* The server takes bytes above 127 in a body (8BITMIME); and BDAT (CHUNKING, RFC 3030), of which
 * nothing is made in LMTP, where nobody is far away. */
bool smtp_takes_eightbit(const struct smtp *s);
bool smtp_takes_chunks(const struct smtp *s);

/* Bytes for the server, oldest first; smtp_sent takes n of them away (and may make room for
 * more). */
struct str smtp_output(const struct smtp *s);
void smtp_sent(struct smtp *s, size_t n);

/* Bytes from the server, any number; all are taken. Bytes that come where none may (behind
 * the 220 to STARTTLS, while nothing is awaited) and lines that are malformed or over a
 * limit close the session as a failure. But a 5xx in the middle of a body is that message's
 * verdict, and then the session is closed. */
void smtp_input(struct smtp *s, struct str bytes);

/* TLS is up after SMTP_STARTTLS (or before the first byte, with URL_TLS_IMPLICIT): what the
 * server said before is forgotten. verified: its certificate was. binding: as sasl_pick's; it must
 * outlive the session. */
void smtp_tls_up(struct smtp *s, bool verified, struct str binding);

/* Hands m over where SMTP_MESSAGE is wanted (else it comes back untried at once). It must
 * live until finished is called for it. */
void smtp_send(struct smtp *s, const struct smtp_message *m);

/* Whose body is wanted. */
const struct smtp_message *smtp_body_message(struct smtp *s);
/* The body is out, ending in CRLF (or is empty); of a chunk, all of it. */
void smtp_body_done(struct smtp *s);

/* Ready for mail, without a message. */
bool smtp_is_idle(const struct smtp *s);

/* No further message: QUIT once all are done. */
void smtp_quit(struct smtp *s);

/* The pump gives up: connection lost, time-out, TLS failure, cannot read the message. All
 * that has no verdict yet gets o (made TEMPFAIL where it is anything else) or is given back
 * untried; the session is closed. */
void smtp_fail(struct smtp *s, const struct outcome *o);

/* Seconds to wait for the server at this point at most (RFC 5321 4.5.3.2). */
unsigned smtp_timeout(const struct smtp *s);

/* Why the session ended before or between messages: DELIVERED (2.0.0) where all went well;
 * else what is true of every message for this server: greeting, EHLO, TLS or AUTH refused. */
const struct outcome *smtp_session(const struct smtp *s);

#endif
