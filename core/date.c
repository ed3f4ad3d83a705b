/* SPDX-License-Identifier: ISC */
#include "date.h"

struct date {
	int64_t year;
	unsigned month, day;      /* month from 0 */
	unsigned weekday;         /* from Sunday */
	unsigned hour, minute, second;
};

static const char weekdays[][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
static const char months[][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
				 "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

/* a mod b as mathematics has it: 0 to b - 1. */
static int64_t
modulo(int64_t a, int64_t b)
{
	int64_t r = a % b;

	return r < 0 ? r + b : r;
}

/* The calendar repeats every 400 years of 146097 days. Counted from 1 March 2000, leap days
 * come last in their year, their century and their 400 years. */
static struct date
civil(int64_t wall)
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

	return (struct date){
		.year = 2000 + 400 * cycles + 100 * centuries + 4 * leaps + years +
			(month >= 10), /* January and February */
		.month = (month + 2) % 12,
		.day = rest - (153 * month + 2) / 5 + 1,
		.weekday = (unsigned)modulo(days + 4, 7),
		.hour = second / 3600,
		.minute = second / 60 % 60,
		.second = second % 60,
	};
}

void
date_print(int64_t wall, struct buf *out)
{
	struct date d = civil(wall);

	buf_print(out, "%s, %02u %s %04lld %02u:%02u:%02u +0000", weekdays[d.weekday], d.day,
		  months[d.month], (long long)d.year, d.hour, d.minute, d.second);
}

void
date_print_mbox(int64_t wall, struct buf *out)
{
	struct date d = civil(wall);

	buf_print(out, "%s %s %2u %02u:%02u:%02u %04lld", weekdays[d.weekday], months[d.month],
		  d.day, d.hour, d.minute, d.second, (long long)d.year);
}

void
date_print_iso(int64_t wall, struct buf *out)
{
	struct date d = civil(wall);

	buf_print(out, "%04lld-%02u-%02u %02u:%02u:%02u", (long long)d.year, d.month + 1,
		  d.day, d.hour, d.minute, d.second);
}

void
date_print_interval(int64_t seconds, struct buf *out)
{
	static const struct {
		char unit;
		int32_t seconds;
	} units[] = {{'d', 86400}, {'h', 3600}, {'m', 60}, {'s', 1}};
	size_t i = 0;

	if (seconds < 0)
		seconds = 0;
	while (units[i].unit != 's' && seconds < units[i].seconds)
		i++;
	buf_print(out, "%lld%c", (long long)(seconds / units[i].seconds), units[i].unit);
	seconds %= units[i].seconds;
	/* Days and hours with what is next to them; minutes are exact enough. */
	if (units[i].seconds >= 3600 && seconds >= units[i + 1].seconds)
		buf_print(out, "%lld%c", (long long)(seconds / units[i + 1].seconds),
			  units[i + 1].unit);
}
