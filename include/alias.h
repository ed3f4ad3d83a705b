/* SPDX-License-Identifier: ISC */
/*
 * The aliases file of sendmail(8): "name: target, target…", continuation lines that begin with
 * a blank, lines whose first mark is '#' as comments, names and targets in quotes. Names are
 * compared without regard to case; "joe+x" without an entry is looked up as "joe". "*" is the
 * entry of every name that has none. Whatever is wrong is complained of with its line and
 * loses no mail. Expansion is bounded in depth and number and survives loops: a name that
 * leads to itself keeps the local mailbox, and \user is that user's mailbox in any case. So
 * "root: root, me@example.org" is both, and "joe: joe" keeps joe out of "*".
 *
 * Only addresses are expanded as mail comes in. An entry with "|command", "/file" or
 * ":include:/list" among its targets, or with one that cannot be used, stays a name in the
 * queue and is expanded at delivery, by the file as it is then: no text of a command is ever
 * in the spool, where who can write there could change it.
 */
#ifndef ALIAS_H
#define ALIAS_H

#include "addr.h"

struct alias_entry {
	struct str name;    /* in the file's text, unquoted */
	struct str targets; /* in the file's text: all of its lines behind the colon */
	unsigned line;      /* where it begins, from 1 */
	bool plain;         /* all of its targets are addresses */
};

struct alias_file {
	struct alias_entry *entries; /* in the file's order */
	size_t count, errors;
	size_t targets;              /* in all entries, for newaliases' counts */
	bool forward;                /* of one user: see alias_parse_forward */
	/* The rest is alias.c's own. */
	struct addr_set names;       /* of the entries, by the same index */
	size_t cap;
};

typedef void alias_complain(void *ctx, unsigned line, const char *what, struct str piece);

/* text must outlive the result. Complains of every problem. A line without a name, colon or
 * target, or with a name that an earlier one has, is disabled. An entry with a target that
 * cannot be used stays in force, so that its mail waits until the line is mended. */
void alias_parse(struct alias_file *file, struct str text, alias_complain *complain, void *ctx);

/* A user's .forward as a file with one entry, the user's: its targets are separated by commas
 * or line ends. Nobody else has an entry in it. Without any target it has no entry. text and
 * user, the system's name, must outlive the result. */
void alias_parse_forward(struct alias_file *file, struct str text, struct str user);

void alias_free(struct alias_file *file);

/* A "|command" or "/file" of an entry: known by a checksum of its text, never 0, so that
 * an edit of the file while its mail waits does not give that to its neighbour. */
struct alias_part {
	const struct alias_entry *entry;
	unsigned id;
};

/* What a name stands for: addresses and left no two the same. Users of this device have
 * no domain here. parts belong to the alias_file. */
struct alias_found {
	struct addr_set addresses; /* for these the file has nothing more to say */
	struct addr_set left;      /* local names still to be expanded by the aliases file */
	struct alias_part *parts;
	size_t part_count;
};

void alias_found_free(struct alias_found *found);

enum alias_result {
	ALIAS_NONE,     /* the name has no alias: it stands for itself */
	ALIAS_EXPANDED, /* *found has at least one to stand for it */
	ALIAS_TOO_MANY, /* over LIMIT_ALIAS_FANOUT, _DEPTH or _INCLUDE: keep the name */
	ALIAS_UNUSABLE, /* it leads to a target that cannot be used: keep the name */
};

/* Whether a local recipient, of whose canonical address only the local part counts, has an
 * entry, its own or that of "*". */
bool alias_has(const struct alias_file *file, struct str address);

typedef bool alias_is_local(void *ctx, struct str domain);
/* Reads a list by its absolute path: 0, or the errno that says why not. */
typedef int alias_include(void *ctx, struct str path, struct buf *text);

/* Expands a local recipient, of whose canonical address only the local part counts, as it
 * comes in: targets that is_local says are local are looked up in turn, and so on; an entry
 * that is not plain is left, under the name that led to it. *found is empty but for
 * ALIAS_EXPANDED; it is the caller's to free. Never ALIAS_UNUSABLE. */
enum alias_result alias_expand(const struct alias_file *file, struct str address,
			       alias_is_local *is_local, void *ctx, struct alias_found *found);

/* The same at delivery, completely. left is empty, but for a forward file, where all local
 * names but the user's own go there and \name goes to addresses. A file that is included
 * holds addresses and further includes, as a forward file does, but no command and no file.
 * All or nothing: for TOO_MANY and UNUSABLE *why says what is wrong ("line 12: …", or
 * "/etc/list line 3: …"; the name of the file itself is the caller's to put before it). */
enum alias_result alias_expand_fully(const struct alias_file *file, struct str address,
				     alias_is_local *is_local, alias_include *include, void *ctx,
				     struct alias_found *found, struct buf *why);

/* *target becomes the text of a part, "|command with arguments" or "/file", without quotes.
 * name: its entry's, as addr_print_local gives it. 0; -1: there is no such target any more. */
int alias_part(const struct alias_file *file, struct str name, unsigned id,
	       struct buf *target);

#endif
