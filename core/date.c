/* SPDX-License-Identifier: ISC */
#include "date.h"
#include "calendar.h"

static const char weekdays[][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
static const char months[][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
				 "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

void
date_print(int64_t wall, struct buf *out)
{
	struct calendar d = calendar_at(wall);

	buf_print(out, "%s, %02u %s %04lld %02u:%02u:%02u +0000", weekdays[d.weekday], d.day,
		  months[d.month - 1], (long long)d.year, d.hour, d.minute, d.second);
}

void
date_print_mbox(int64_t wall, struct buf *out)
{
	struct calendar d = calendar_at(wall);

	buf_print(out, "%s %s %2u %02u:%02u:%02u %04lld", weekdays[d.weekday], months[d.month - 1],
		  d.day, d.hour, d.minute, d.second, (long long)d.year);
}

void
date_print_iso(int64_t wall, struct buf *out)
{
	struct calendar d = calendar_at(wall);
	const unsigned parts[] = {d.month, d.day, d.hour, d.minute, d.second};
	char text[] = "-00-00 00:00:00";

	for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
		text[3 * i + 1] += (char)(parts[i] / 10);
		text[3 * i + 2] += (char)(parts[i] % 10);
	}
	buf_print(out, "%04lld", (long long)d.year);
	buf_add(out, text, sizeof text - 1);
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
