/* SPDX-License-Identifier: ISC */
#include "verify.h"

#include <errno.h>
#include <string.h>
#include <sysexits.h>

static bool
is_local(void *ctx, struct str domain)
{
	return conf_is_local(ctx, domain);
}

static int
print_local(struct site *site, const struct route *r, struct buf *out)
{
	const struct conf *c = &site->conf;
	struct buf name = {0}, target = {0};
	struct user u;
	int status = EX_OK;

	addr_print_user(r->address, &name);
	enum user_result who = user_of_mail(&site->passwd, buf_view(&name), &u);
	if (who == USER_ERROR) {
		status = EX_TEMPFAIL;
		buf_print(out, "waits: cannot read /etc/passwd: %s\n", strerror(errno));
	} else if (who == USER_UNKNOWN || conf_mailbox(c, buf_view(&u.name), &target)) {
		status = EX_NOUSER;
		buf_puts(out, "not deliverable: no such user here\n");
	} else {
		buf_print(out, "deliverable: mailbox %.*s\n", STR_ARG(target));
	}
	user_free(&u);
	buf_free(&name);
	buf_free(&target);
	return status;
}

static int
print_recipient(struct site *site, struct str sender, struct str address, struct buf *out,
		struct probe *where)
{
	struct route r = route_find(&site->conf, sender, address);

	buf_print(out, "%.*s... ", STR_ARG(address));
	if (r.kind == ROUTE_LOCAL)
		return print_local(site, &r, out);
	if (r.kind == ROUTE_SMARTHOST && r.servers == 0) {
		buf_puts(out, "waits: every smarthost has a from= for other senders\n");
		return EX_TEMPFAIL;
	}
	probe_add(where, &r);
	buf_puts(out, "deliverable: ");
	if (r.kind == ROUTE_MX) {
		buf_print(out, "mail servers of %.*s\n", STR_ARG(r.domain));
		return EX_OK;
	}
	for (size_t n = 0, count = 0; n < site->conf.smarthost_count; n++) {
		if (!(r.servers & 1u << n))
			continue;
		buf_puts(out, count++ ? ", " : "");
		url_print(&site->conf.smarthost[n], out);
	}
	buf_putc(out, '\n');
	return EX_OK;
}

int
verify_address(struct site *site, struct str sender, struct str address, struct buf *out,
	       struct probe *where)
{
	struct alias_found found = {0};
	enum alias_result aliased = ALIAS_NONE;
	int status = EX_OK;

	if (conf_is_local(&site->conf, addr_domain(address)))
		aliased = alias_expand(&site->aliases, address, is_local, (void *)&site->conf,
				       &found);
	if (aliased == ALIAS_NONE)
		return print_recipient(site, sender, address, out, where);
	if (aliased != ALIAS_EXPANDED) {
		buf_print(out, "%.*s... waits: the alias leads too far\n", STR_ARG(address));
		return EX_TEMPFAIL;
	}
	for (size_t n = 0; n < found.left.count; n++)
		buf_print(out, "%.*s... deliverable: by the aliases file\n",
			  STR_ARG(addr_set_get(&found.left, n)));
	for (size_t n = 0; n < found.addresses.count; n++) {
		int one = print_recipient(site, sender, addr_set_get(&found.addresses, n), out,
					  where);
		status = status ? status : one;
	}
	alias_found_free(&found);
	return status;
}
