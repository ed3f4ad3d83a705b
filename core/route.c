/* SPDX-License-Identifier: ISC */
#include "route.h"
#include "addr.h"

/* FNV-1a, kept off the reserved keys and UINT32_MAX, by which others mean "not known". */
static uint32_t
domain_key(struct str domain)
{
	uint32_t h = 2166136261u;

	for (size_t i = 0; i < domain.len; i++)
		h = (h ^ (unsigned char)str_lower(domain.ptr[i])) * 16777619u;
	return h % (UINT32_MAX - ROUTE_FIRST_KEY) + ROUTE_FIRST_KEY;
}

struct route
route_find(const struct conf *c, struct str address)
{
	bool local = conf_is_local(c, addr_domain(address));

	if (local && c->adminaddr[0]) {
		address = str_of(c->adminaddr);
		local = conf_is_local(c, addr_domain(address));
	}
	struct route r = {.address = address};
	if (local && !c->nullclient) {
		r.kind = ROUTE_LOCAL;
		r.key = ROUTE_LOCAL_KEY;
	} else if (c->smarthost_count > 0 || c->nullclient) {
		r.kind = ROUTE_SMARTHOST;
		r.key = ROUTE_SMARTHOST_KEY;
	} else {
		r.kind = ROUTE_MX;
		r.domain = addr_domain(address);
		r.key = domain_key(r.domain);
	}
	return r;
}

bool
route_same(const struct route *a, const struct route *b)
{
	return a->kind == b->kind && str_ieq(a->domain, b->domain);
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

/* A user's name as part of a path must not lead elsewhere. */
static bool
is_file_name(struct str s)
{
	return s.len > 0 && !str_eq(s, STR(".")) && !str_eq(s, STR("..")) &&
	       str_find(s, '/') == s.len && str_find(s, '\0') == s.len;
}

int
route_mailbox(const struct conf *c, struct str address, struct buf *path)
{
	struct str template = str_of(c->mailbox);
	struct buf user = {0};
	bool usable;

	addr_print_user(address, &user);
	for (size_t i = 0; i < user.len; i++)
		user.ptr[i] = str_lower(user.ptr[i]);
	usable = is_file_name(buf_view(&user));
	while (usable && template.len > 0) {
		buf_str(path, str_cut(&template, '%'));
		if (str_starts(template, STR("u")))
			buf_str(path, buf_view(&user));
		else if (template.len > 0)
			buf_putc(path, template.ptr[0]);
		template = str_from(template, 1);
	}
	buf_free(&user);
	return usable ? 0 : -1;
}
