/* SPDX-License-Identifier: ISC */
#include "mac.h"

#include <string.h>

size_t
mac_size(const br_hash_class *hash)
{
	return hash->desc >> BR_HASHDESC_OUT_OFF & BR_HASHDESC_OUT_MASK;
}

void
mac_prepared(const br_hmac_key_context *key, const struct str *parts, size_t count, void *out)
{
	br_hmac_context ctx;

	br_hmac_init(&ctx, key, 0);
	for (size_t i = 0; i < count; i++)
		br_hmac_update(&ctx, parts[i].ptr, parts[i].len);
	br_hmac_out(&ctx, out);
	explicit_bzero(&ctx, sizeof ctx);
}

void
mac(const br_hash_class *hash, struct str key, const struct str *parts, size_t count, void *out)
{
	br_hmac_key_context prepared;

	br_hmac_key_init(&prepared, hash, key.ptr, key.len);
	mac_prepared(&prepared, parts, count, out);
	explicit_bzero(&prepared, sizeof prepared);
}
