/* SPDX-License-Identifier: ISC */
#include "curve.h"
#include "config.h"

static const br_ec_impl *
of(int curve)
{
	if (curve == BR_EC_curve25519)
		return &br_ec_c25519_m31;
	return CONFIG_FAST_P256 && curve == BR_EC_secp256r1 ? &br_ec_p256_m31 : &br_ec_prime_i31;
}

static const unsigned char *
generator(int curve, size_t *len)
{
	return of(curve)->generator(curve, len);
}

static const unsigned char *
order(int curve, size_t *len)
{
	return of(curve)->order(curve, len);
}

static size_t
x_offset(int curve, size_t *len)
{
	return of(curve)->xoff(curve, len);
}

static uint32_t
mul(unsigned char *point, size_t len, const unsigned char *x, size_t x_len, int curve)
{
	return of(curve)->mul(point, len, x, x_len, curve);
}

static size_t
mul_generator(unsigned char *result, const unsigned char *x, size_t x_len, int curve)
{
	return of(curve)->mulgen(result, x, x_len, curve);
}

static uint32_t
mul_add(unsigned char *a, const unsigned char *b, size_t len, const unsigned char *x,
	size_t x_len, const unsigned char *y, size_t y_len, int curve)
{
	return of(curve)->muladd(a, b, len, x, x_len, y, y_len, curve);
}

const br_ec_impl curve_all = {
	1u << BR_EC_secp256r1 | 1u << BR_EC_secp384r1 | 1u << BR_EC_secp521r1 |
		1u << BR_EC_curve25519,
	generator, order, x_offset, mul, mul_generator, mul_add,
};
