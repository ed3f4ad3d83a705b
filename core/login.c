/* SPDX-License-Identifier: ISC */
#include "login.h"
#include "codec.h"
#include "fmt.h"

#include <string.h>

static const char SECRET[] = "****";

enum {
	/* With 510 bytes for the command line (RFC 5321 4.5.3.1.4), and a long mechanism's
	 * name: before base64. */
	INITIAL_RESPONSE = (510 - 25) / 4 * 3,
	NAME_SHOWN = 64,                   /* of a user or host that is told of */
};

/* Says who could not log in where. verb: how that came; more: the server's own words, or "". */
static enum login_result
fail(struct login *l, const struct outcome *o, const char *verb, const char *more)
{
	l->why = outcome_make(o->verdict, o->subject, o->detail,
		"AUTH %s as %.*s at %.*s %s: %s%s%s%s", sasl_name(&l->sasl),
		STR_ARG(str_upto(l->user, NAME_SHOWN)), STR_ARG(str_upto(l->host, NAME_SHOWN)),
		verb, o->text, *more ? " (" : "", more, *more ? ")" : "");
	l->why.code = o->code;
	return LOGIN_FAILED;
}

static enum login_result
give_up(struct login *l, const char *words)
{
	struct outcome o = outcome_make(TEMPFAIL, 7, 0, "%s", words);

	return fail(l, &o, "failed", "");
}

static enum login_result
cancel(struct login *l, const char *words)
{
	memcpy(l->shown, "*", 2);
	l->line[0] = '*';
	l->len = 1;
	return give_up(l, words);
}

/* Behind what is in line already. */
static void
add_response(struct login *l, char *response, ptrdiff_t len)
{
	memcpy(l->shown + l->len, SECRET, sizeof SECRET);
	l->len += codec_base64((struct str){response, (size_t)len}, l->line + l->len);
	explicit_bzero(response, (size_t)len);
}

/* There is an initial response where there may be one and the line has room for it. One that
 * is too long is made again when the server asks for it (RFC 4954 4). */
enum login_result
login_start(struct login *l)
{
	char response[INITIAL_RESPONSE];
	ptrdiff_t n = -1;
	const char *words;

	l->shown[0] = '\0';
	if (sasl_pick(&l->sasl, l->offered, l->allowed, l->binding)) {
		l->why = outcome_make(TEMPFAIL, 7, 4, "no AUTH that we may use: try port 587 or "
				      "465, or see auth_mechanisms; the server offers: %.*s",
				      STR_ARG(l->offered.len ? l->offered : STR("none")));
		return LOGIN_FAILED;
	}
	sasl_start(&l->sasl, l->user, l->password, l->nonce);
	if (sasl_client_first(&l->sasl))
		n = sasl_step(&l->sasl, STR(""), response, sizeof response, &words);
	l->len = fmt_print(l->shown, sizeof l->shown, "AUTH %s%s", sasl_name(&l->sasl),
			   n < 0 ? "" : " ");
	memcpy(l->line, l->shown, l->len);
	if (n < 0)
		sasl_start(&l->sasl, l->user, l->password, l->nonce);
	else
		add_response(l, response, n);
	if (n == 0)
		l->line[l->len++] = '=';
	return LOGIN_GOES_ON;
}

static enum login_result
take_challenge(struct login *l, struct str words)
{
	char challenge[LIMIT_REPLY_LINE], response[LIMIT_SASL];
	const char *why;

	ptrdiff_t n = codec_unbase64(words, challenge, sizeof challenge);
	if (n < 0 && sasl_takes_prose(&l->sasl))
		n = 0;
	if (n < 0)
		return cancel(l, "the challenge is not base64");
	n = sasl_step(&l->sasl, (struct str){challenge, (size_t)n}, response, sizeof response,
		      &why);
	if (n < 0)
		return cancel(l, why);
	add_response(l, response, n);
	return LOGIN_GOES_ON;
}

/* A server that binds in another way than we do gets the next best mechanism. This takes
 * nothing from whoever wants no other: auth_mechanisms says so. */
static enum login_result
take_refusal(struct login *l, const struct reply *r)
{
	struct outcome o = outcome_from_reply(r->code, str_of(r->text));

	if (o.verdict != PERMFAIL || l->allowed.len > 0 || !sasl_refused_binding(&l->sasl))
		return fail(l, &o, "refused", l->sasl.error);
	l->binding.len = 0;
	return login_start(l);
}

enum login_result
login_reply(struct login *l, const struct reply *r)
{
	const char *words;

	l->shown[0] = '\0';
	l->len = 0;
	if (r->code / 100 == 3)
		return take_challenge(l, reply_words(r));
	if (r->code / 100 != 2)
		return take_refusal(l, r);
	if (sasl_finish(&l->sasl, &words))
		return give_up(l, words);
	login_wipe(l);
	return LOGIN_DONE;
}

void
login_wipe(struct login *l)
{
	sasl_wipe(&l->sasl);
}
