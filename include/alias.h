/* SPDX-License-Identifier: ISC */
/*
 * The aliases file of sendmail(8): "name: target, target…", continuation lines that begin with
 * a blank, lines whose first mark is '#' as comments, names and targets in quotes. Names are
 * compared without regard to case; "joe+x" without an entry is looked up as "joe". "*" is the
 * entry of every name that has none. Whatever is wrong is complained of with its line and
 * loses no mail. Expansion is bounded in depth and number and survives loops: a name that
 * leads to itself keeps the local mailbox, and \user is that user's mailbox in any case. So
 * "root: root, me@example.org" is both, and "joe: joe" keeps joe out of "*".
 */
#ifndef ALIAS_H
#define ALIAS_H

#include "addr.h"

struct alias_entry {
	struct str name;    /* in the file's text, unquoted */
	struct str targets; /* in the file's text: all of its lines behind the colon */
	unsigned line;      /* where it begins, from 1 */
};

struct alias_file {
	struct alias_entry *entries; /* in the file's order */
	size_t count, errors;
	size_t targets;              /* in all entries, for newaliases' counts */
	/* The rest is alias.c's own. */
	struct addr_set names;       /* of the entries, by the same index */
	size_t cap;
};

typedef void alias_complain(void *ctx, unsigned line, const char *what, struct str piece);

/* text must outlive the result. Complains of every problem. A line without a name, colon or
 * target, or with a name that an earlier one has, is disabled. Where a target is no address
 * (or "|command", "/file", ":include:file", which are not delivered yet) the entry stays in
 * force as "held", so that its mail waits in the queue until the line is mended. */
void alias_parse(struct alias_file *file, struct str text, alias_complain *complain, void *ctx);
void alias_free(struct alias_file *file);

enum alias_result {
	ALIAS_NONE,     /* the name has no alias: it stands for itself */
	ALIAS_EXPANDED, /* *out has what it stands for */
	ALIAS_HELD,     /* it leads to a target that cannot be used: keep the name itself */
	ALIAS_TOO_MANY, /* over LIMIT_ALIAS_FANOUT or LIMIT_ALIAS_DEPTH: keep the name itself */
};

/* Expands a local name (no domain; a user as addr_print_user gives it) completely: targets
 * that is_local says are local are looked up in turn. Adds canonical addresses to *out: users
 * to be delivered locally without a domain, all others with theirs. Nothing is added unless
 * ALIAS_EXPANDED is returned. is_local(ctx, domain). */
enum alias_result alias_expand(const struct alias_file *file, struct str name,
			       bool (*is_local)(void *ctx, struct str domain), void *ctx,
			       struct addr_set *out);

#endif
