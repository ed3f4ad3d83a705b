/* SPDX-License-Identifier: ISC */
/*
 * A destination's servers, each by each address in order, until one takes us as far as mail;
 * and that one again, if it ends the connection while there is mail, for as long as something
 * comes of it. What all of that needs (passwords, CA bundle, names) is read first; then rights
 * are given up.
 */
#ifndef REACH_H
#define REACH_H

#include "conf.h"
#include "dns.h"
#include "outage.h"
#include "talk.h"

struct destination {
	struct url server[LIMIT_SMARTHOSTS]; /* tried in order */
	size_t server_count;
	char domain[256];                    /* by its MX, if not "" */
};

struct reach {
	const struct conf *conf;
	const struct destination *to;
	struct talk *talk;
	/* NULL, or the hosts that are out of order, and who is to hear of another one ("[192.0.2.1]:25",
	 * talk's ctx): to be set behind reach_prepare. */
	const struct outage_list *dead;
	void (*lost)(void *ctx, struct str host, const struct outcome *why);
	/* Read before rights are given up. */
	int helper;              /* conf's, at work already, or -1 */
	struct buf secrets, resolv_conf, hosts;
	/* Why there are none, with words, or without: there is nothing wrong. */
	struct outcome secrets_problem, no_password, identity_problem;
	struct dns dns;
	struct trust_config trust;
	struct identity identity;
	/* The server being tried. */
	const struct url *server;
	bool by_proxy;
	struct buf peer;         /* "mail.example[192.0.2.1]:25", by a proxy "mail.example:25"; "":
				    none yet */
	char nonce[25];
	unsigned stumbles;       /* sessions in a row that ended upon a message and took none */
	struct outcome stumble;  /* why the last of them did, where a message came back untried */
};

/* Reads what is needed and gives up all other rights of this process. talk has its callbacks;
 * the rest is filled in here. All of these must outlive r. */
void reach_prepare(struct reach *r, const struct conf *conf, const struct destination *to,
		   struct talk *talk);

/* Sessions with each server in turn. True: one of them took us as far as a message, or a
 * session ended in order, and there is no more mail. Else *why; with r->stumble.text that is not
 * "", it may be true of the first message alone that talk's next has to offer. */
bool reach_run(struct reach *r, struct outcome *why);

void reach_free(struct reach *r); /* secrets are wiped */

#endif
