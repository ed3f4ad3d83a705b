/* SPDX-License-Identifier: ISC */
#include "route.h"
#include "addr.h"

/* FNV-1a, of keys from first to before end. */
static uint32_t
key_between(uint32_t first, uint32_t end, struct str name)
{
	uint32_t h = 2166136261u;

	for (size_t i = 0; i < name.len; i++)
		h = (h ^ (unsigned char)str_lower(name.ptr[i])) * 16777619u;
	return h % (end - first) + first;
}

/* Without regard to case; '*' stands for any bytes, or none. */
static bool
matches(struct str pattern, struct str s)
{
	size_t p = 0, i = 0, star = pattern.len, resume = 0;

	while (i < s.len) {
		if (p < pattern.len && pattern.ptr[p] == '*') {
			star = p++;
			resume = i;
		} else if (p < pattern.len &&
			   str_lower(pattern.ptr[p]) == str_lower(s.ptr[i])) {
			p++;
			i++;
		} else if (star < pattern.len) {
			p = star + 1;
			i = ++resume;
		} else {
			return false;
		}
	}
	while (p < pattern.len && pattern.ptr[p] == '*')
		p++;
	return p == pattern.len;
}

/* Is that a pattern for this sender's mail? Only <> is one for mail without a sender. */
static bool
covers(struct str pattern, struct str sender)
{
	size_t at = str_find(pattern, '@');

	if (sender.len == 0)
		return str_eq(pattern, STR("<>"));
	if (at > 0 && at < pattern.len)
		return matches(pattern, sender);
	return matches(str_from(pattern, at == 0), addr_domain(sender));
}

static unsigned
servers_for(const struct conf *c, struct str sender)
{
	unsigned his = 0, everybodys = 0;

	for (unsigned i = 0; i < c->smarthost_count; i++) {
		struct str from = str_of(c->from[i]);
		if (from.len == 0)
			everybodys |= 1u << i;
		else if (covers(from, sender))
			his |= 1u << i;
	}
	return his ? his : everybodys;
}

struct route
route_local(struct str address)
{
	struct str user = addr_local(address);

	return (struct route){
		.kind = ROUTE_LOCAL, .address = address, .domain = user,
		.key = key_between(ROUTE_LOCAL_KEY, UINT32_MAX, user),
	};
}

struct route
route_find(const struct conf *c, struct str sender, struct str address)
{
	bool local = conf_is_local(c, addr_domain(address));

	if (local && c->adminaddr[0]) {
		address = str_of(c->adminaddr);
		local = conf_is_local(c, addr_domain(address));
	}
	struct route r = {.address = address};
	if (local && !c->nullclient) {
		r = route_local(address);
	} else if (c->smarthost_count > 0 || c->nullclient) {
		r.kind = ROUTE_SMARTHOST;
		r.servers = servers_for(c, sender);
		r.key = ROUTE_SMARTHOST_KEY + r.servers;
	} else {
		r.kind = ROUTE_MX;
		r.domain = addr_domain(address);
		r.key = key_between(ROUTE_FIRST_KEY, ROUTE_LOCAL_KEY, r.domain);
	}
	return r;
}

bool
route_same(const struct route *a, const struct route *b)
{
	return a->kind == b->kind && a->servers == b->servers && str_ieq(a->domain, b->domain);
}

void
route_print_address(const struct conf *c, const struct route *r, struct buf *out)
{
	struct str domain = addr_domain(r->address);

	if (domain.len == 0 || (r->kind != ROUTE_LOCAL && conf_is_local(c, domain)))
		domain = str_of(c->mailname);
	buf_str(out, addr_local(r->address));
	buf_putc(out, '@');
	buf_str(out, domain);
}
