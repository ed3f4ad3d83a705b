/* SPDX-License-Identifier: ISC */
#include "rewrite.h"

#include <stdlib.h>

static bool
is_gap(char c)
{
	return str_is_blank(c) || c == ':';
}

/* NULL, or what is wrong with it. */
static const char *
take_line(struct rewrite_users *users, struct str line, struct buf *scratch)
{
	const char *why;
	size_t n = 0;

	while (n < line.len && !is_gap(line.ptr[n]))
		n++;
	struct str name = str_upto(line, n);
	while (n < line.len && is_gap(line.ptr[n]))
		n++;
	line = str_from(line, n);
	if (addr_parse(line, scratch, &why))
		return why;
	if (addr_domain(buf_view(scratch)).len == 0)
		return "an address without a domain";
	if (name.len == 0 || str_find(name, '@') < name.len)
		return "not the name of a user";
	if (!addr_set_add(&users->names, name))
		return "defined before, which counts";
	users->addresses = buf_array(users->addresses, users->names.cap, sizeof line);
	users->addresses[users->names.count - 1] = line;
	return NULL;
}

void
rewrite_parse_users(struct rewrite_users *users, struct str text, alias_complain *complain,
		    void *ctx)
{
	struct buf scratch = {0};

	*users = (struct rewrite_users){0};
	for (unsigned number = 1; text.len > 0; number++, scratch.len = 0) {
		struct str line = str_trim(str_cut(&text, '\n'));
		if (line.len == 0 || line.ptr[0] == '#')
			continue;
		const char *why = take_line(users, line, &scratch);
		if (why) {
			users->errors++;
			complain(ctx, number, why, line);
		}
	}
	buf_free(&scratch);
}

void
rewrite_free_users(struct rewrite_users *users)
{
	addr_set_free(&users->names);
	buf_release(users->addresses);
	*users = (struct rewrite_users){0};
}

/* On a null client, too, mailname is what it sends from. */
static bool
is_own(const struct conf *c, struct str domain)
{
	return conf_is_local(c, domain) || str_is(domain, c->mailname);
}

/* Appends what the address becomes. home: the domain for one without, or "". */
static void
print(const struct rewrite *r, enum header_role role, struct str address, struct str home,
      struct buf *out)
{
	const struct conf *c = r->conf;
	const struct addr_set *names = &r->users->names;
	struct str local = addr_local(address), domain = addr_domain(address);
	bool own = role != HEADER_RCPT && is_own(c, domain);
	size_t user = own ? addr_set_find(names, local) : names->count;
	const char *why;

	if (user < names->count) {
		addr_parse(r->users->addresses[user], out, &why);
		return;
	}
	if (own || (role == HEADER_FROM && !c->from_override)) {
		struct str mask = str_of(c->masquerade);
		struct str mask_local = addr_local(mask), mask_domain = addr_domain(mask);
		local = mask_local.len > 0 ? mask_local : local;
		domain = mask_domain.len > 0 ? mask_domain : domain;
	}
	if (domain.len == 0)
		domain = home;
	buf_print(out, "%.*s%s%.*s", STR_ARG(local), domain.len > 0 ? "@" : "",
		  STR_ARG(domain));
}

/* unqualified: the domain where headers are not to be qualified, or "". */
static bool
change(const struct rewrite *r, enum header_role role, struct str address,
       const char *unqualified, struct buf *out)
{
	struct str home = str_of(r->conf->qualify);
	size_t start = out->len;

	if (role == HEADER_RCPT && addr_domain(address).len > 0)
		return false; /* as most are */
	print(r, role, address, str_eq(home, STR("no")) ? str_of(unqualified) : home, out);
	struct str result = buf_tail(out, start);
	if (result.len <= LIMIT_ADDRESS && !str_eq(result, address))
		return true;
	out->len = start;
	return false;
}

bool
rewrite_address(void *ctx, enum header_role role, struct str address, struct buf *out)
{
	return change(ctx, role, address, "", out);
}

void
rewrite_sender(const struct rewrite *r, struct str address, struct buf *out)
{
	if (address.len == 0 || !change(r, HEADER_FROM, address, r->conf->mailname, out))
		buf_str(out, address);
}
