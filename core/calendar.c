/* SPDX-License-Identifier: ISC */
#include "calendar.h"

/* a mod b as mathematics has it: 0 to b - 1. */
static int64_t
modulo(int64_t a, int64_t b)
{
	int64_t r = a % b;

	return r < 0 ? r + b : r;
}

/* The calendar repeats every 400 years of 146097 days. Counted from 1 March 2000, leap days
 * come last in their year, their century and their 400 years. */
struct calendar
calendar_at(int64_t wall)
{
	unsigned second = (unsigned)modulo(wall, 86400);
	int64_t days = wall / 86400 - (wall % 86400 < 0);
	int64_t since_2000 = days - 11017;
	unsigned rest = (unsigned)modulo(since_2000, 146097);
	int64_t cycles = (since_2000 - rest) / 146097;

	unsigned centuries = rest / 36524 - rest / 146096;
	rest -= centuries * 36524;
	unsigned leaps = rest / 1461;
	rest -= leaps * 1461;
	unsigned years = rest / 365 - rest / 1460;
	rest -= years * 365;
	/* From March, 153 days every five months: 31 30 31 30 31. */
	unsigned month = (5 * rest + 2) / 153;

	return (struct calendar){
		.year = 2000 + 400 * cycles + 100 * centuries + 4 * leaps + years +
			(month >= 10), /* January and February */
		.month = (month + 2) % 12 + 1,
		.day = rest - (153 * month + 2) / 5 + 1,
		.weekday = (unsigned)modulo(days + 4, 7),
		.hour = second / 3600,
		.minute = second / 60 % 60,
		.second = second % 60,
	};
}
