/* SPDX-License-Identifier: ISC */
/*
 * The address grammar of RFC 5321 (paths) and RFC 5322 (header fields), SMTPUTF8 included
 * (RFC 6531). The only producer of an address: one that this module did not print cannot
 * reach the spool or the wire. A canonical address is "local@domain", or "local" alone where
 * it has no domain; its local part is quoted only where RFC 5321 needs it; it holds no CR,
 * LF, NUL or other control character and at most LIMIT_ADDRESS bytes. Its local part alone is
 * canonical too, and never empty. The null sender is "".
 */
#ifndef ADDR_H
#define ADDR_H

#include "buf.h"

/* One mailbox as people and programs write it: a@b, <a@b>, Name <a@b>, "Name, X" <a@b>,
 * a@b (comment), "quo ted"@b, <@relay:a@b> (route dropped, RFC 5321 F.2), a@[192.0.2.1], joe.
 * Appends its canonical form to *out. 0; -1 with *why in words and *out as it was. "" and
 * "<>" are errors here: see addr_parse_sender. */
int addr_parse(struct str in, struct buf *out, const char **why);

/* The same for an envelope sender: "" and "<>" append nothing, the null sender. */
int addr_parse_sender(struct str in, struct buf *out, const char **why);

/* Called with each address of a list, canonical, valid during the call. */
typedef void addr_visit(void *ctx, struct str address);
/* Called with each piece that cannot be read as an address, and why. */
typedef void addr_complain(void *ctx, struct str piece, const char *why);

/* A comma separated list as in an RFC 5322 field or in argv: groups ("g: a, b;"), nested
 * comments, quoted commas, folding, empty elements, ';' for ','; obsolete forms too, and what
 * people write (a@b <a@b>, names in any charset). A bad element, up to the next comma, is
 * complained of and the others are still visited, behind a quote without its end as well; a
 * list is never cut short without a complaint. Returns the number of complaints. */
size_t addr_parse_list(struct str in, addr_visit *visit, addr_complain *complain, void *ctx);

/* Appends the canonical address that another one becomes to *out, which is empty. False: it
 * stays as it is. */
typedef bool addr_change(void *ctx, struct str address, struct buf *out);

/* A list as above with some of its addresses changed: appended to *out byte for byte, but for
 * the changed ones' local@domain; names, comments, folding, groups and what cannot be read
 * stay, and so does all behind a quote or comment without its end. False, and nothing
 * appended: none has changed. */
bool addr_change_list(struct str in, addr_change *change, void *ctx, struct buf *out);

/* Parts of a canonical address. The domain is empty where there is none. */
struct str addr_local(struct str address);  /* as it stands, quotes included */
struct str addr_domain(struct str address);
/* The local part's meaning: without quotes and backslashes, appended to *out. */
void addr_print_user(struct str address, struct buf *out);
/* The way back: such a user as a canonical local part. */
void addr_print_local(struct str user, struct buf *out);

/* True for what nearly all canonical addresses are: ASCII, and without quotes. */
bool addr_is_plain(struct str s);

/* True for a syntactically valid domain, without a final dot, or address literal; what -f,
 * mailname and the rest of the configuration accept. */
bool addr_is_domain(struct str s);

/* Same domain without regard to case, same local part (without regard to case where there is
 * no domain). */
bool addr_same(struct str a, struct str b);
/* The same number for two that are the same. */
uint32_t addr_hash(struct str address);

/* A set of canonical addresses, no two the same, that keeps their order. */
struct addr_set {
	struct buf text;   /* addresses one behind the other */
	size_t *ends;      /* end offset of each in text */
	uint32_t *slots;   /* hash table of index + 1; slot_count is a power of two */
	size_t count, cap, slot_count;
};

void addr_set_free(struct addr_set *set);
/* True: was not there and is now. */
bool addr_set_add(struct addr_set *set, struct str address);
/* Index of the one that is the same as address, or set->count. */
size_t addr_set_find(const struct addr_set *set, struct str address);
/* The i-th added; valid until the next add. */
struct str addr_set_get(const struct addr_set *set, size_t i);

#endif
