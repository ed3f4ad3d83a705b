/* SPDX-License-Identifier: ISC */
/*
 * HMAC (RFC 2104) of texts that stand in several places, with BearSSL's hashes. Leaves nothing
 * of the key behind.
 */
#ifndef MAC_H
#define MAC_H

#include "str.h"

#include <bearssl.h>

/* Bytes of hash and of an HMAC with it. */
size_t mac_size(const br_hash_class *hash);

/* The HMAC of all parts one behind the other under key. */
void mac(const br_hash_class *hash, struct str key, const struct str *parts, size_t count,
	 void *out);

/* The same under a key that is prepared, for those who need it often. */
void mac_prepared(const br_hmac_key_context *key, const struct str *parts, size_t count,
		  void *out);

#endif
