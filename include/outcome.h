/* SPDX-License-Identifier: ISC */
/*
 * What happened to one recipient, and every mapping into and out of that. The zero value is
 * a temporary failure "not attempted": forgetting to decide delays mail, never loses it. The
 * class digit of the enhanced status (RFC 3463) follows from the verdict, so that the two
 * cannot disagree.
 */
#ifndef OUTCOME_H
#define OUTCOME_H

#include "buf.h"
#include "limit.h"

enum verdict { TEMPFAIL, DELIVERED, PERMFAIL };

struct outcome {
	enum verdict verdict;
	unsigned short subject, detail; /* the x.SUBJECT.DETAIL of RFC 3463, each 0 to 999 */
	unsigned short code;            /* the server's three digits, or 0: no server spoke */
	bool passed;                    /* DELIVERED to a server that will tell of success */
	char text[LIMIT_OUTCOME_TEXT];  /* words for people: printable ASCII or UTF-8, one line */
};

/* fmt.h's conversions. Control characters become '?', text too long ends in "...". */
struct outcome outcome_make(enum verdict verdict, unsigned subject, unsigned detail,
			    const char *fmt, ...) __attribute__((format(printf, 4, 5)));

/* From errno of a local action; what: "opening /var/mail/joe". Disk full, I/O errors and all
 * else are TEMPFAIL with a status that fits (ENOSPC 4.3.1, EDQUOT 4.2.2, EIO 4.3.0, EACCES
 * 4.2.0…): no errno is reason enough to bounce. */
struct outcome outcome_from_errno(int err, const char *what);
/* The same where what is DOING PATH. */
struct outcome outcome_from_file(int err, const char *doing, const char *path);

/* From a complete SMTP reply: code (200 to 599) and its text, lines joined with " ". An
 * enhanced status at the start of the text is taken where its class agrees with the code
 * (RFC 2034), else one is made from the code (RFC 5321 4.2: 421 is 4.3.2, 450 4.2.0, 451
 * 4.3.0, 452 4.3.1, 550 5.1.1, 552 5.3.4, 553 5.1.3, 554 5.0.0, others x.0.0). 2xx is
 * DELIVERED, 5xx PERMFAIL, all else (3xx out of place as well) TEMPFAIL. A failure always has
 * words. */
struct outcome outcome_from_reply(unsigned code, struct str text);

/* From a delivery command's wait status: 0 delivered; sysexits EX_NOUSER 5.1.1, EX_NOPERM
 * 5.7.1, EX_UNAVAILABLE, EX_DATAERR, EX_USAGE, EX_NOHOST, EX_CANTCREAT, EX_SOFTWARE permanent
 * as Postfix's pipe(8) has them; all others, 75 and signals temporary. */
struct outcome outcome_from_exit(int wait_status, const char *what);

/* The exit status that tells this outcome: 0, EX_TEMPFAIL, or for a permanent failure
 * EX_NOUSER (5.1.1), EX_NOPERM (5.7.x) and else EX_UNAVAILABLE. */
int outcome_sysexit(const struct outcome *o);
/* The same where nothing will be tried again: a password that is refused, or that may not be
 * sent, is EX_NOPERM too. */
int outcome_final_sysexit(const struct outcome *o);

/* The server refuses us rather than the mail, for want of a login that it likes or of TLS: 530,
 * 534, 535 and 538 (RFC 4954 6, RFC 3207 4), or any 5yz with 5.7.8 to 5.7.11 (RFC 5248). 5.7.0
 * and 5.7.1 alone are also what content and relaying are refused with. */
bool outcome_is_login(const struct outcome *o);

/* "4.7.1". */
void outcome_print_status(const struct outcome *o, struct buf *out);
/* "554 5.7.1", or "4.4.1" where no server spoke. */
void outcome_print_reply(const struct outcome *o, struct buf *out);
/* Reads "4.7.1" into verdict, subject and detail. 0, or -1. */
int outcome_parse_status(struct str s, struct outcome *o);

/* "sent", "deferred", "bounced": the words log tools know. */
const char *outcome_word(const struct outcome *o);

#endif
