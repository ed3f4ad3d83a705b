/* SPDX-License-Identifier: ISC */
/*
 * NTLM version 2 of a client ([MS-NLMP] 2.2.1, 3.1.5.1): two messages out, one in, and of the
 * protocol only what a login needs: no session key, for nothing is signed or sealed with it.
 * MD4 is in here and nowhere else. No allocation, no clock; wipes what it derived.
 */
#ifndef NTLM_H
#define NTLM_H

#include "room.h"

enum { NTLM_NONCE = 8 };

/* NEGOTIATE_MESSAGE, which begins. */
void ntlm_negotiate(struct room *out);

/* AUTHENTICATE_MESSAGE, the answer to the server's CHALLENGE_MESSAGE, into the empty out.
 * user: "name", "name@domain" or "DOMAIN\name", like password in UTF-8; nonce: at least
 * NTLM_NONCE random bytes, of which it takes so many. NULL, or what is wrong. */
const char *ntlm_authenticate(struct str challenge, struct str user, struct str password,
			      struct str nonce, struct room *out);

#endif
