package locale

import "time"

var (
	frenchDays = [...]string{"dimanche", "lundi", "mardi", "mercredi", "jeudi", "vendredi", "samedi"}
	// frenchMonths begins with January.
	frenchMonths = [...]string{"janvier", "février", "mars", "avril", "mai", "juin", "juillet", "août", "septembre",
		"octobre", "novembre", "décembre"}
)

func (l Locale) isFrench() bool { return l.language == french }

// Weekday returns the name of the day of t.
func (l Locale) Weekday(t time.Time) string {
	if l.isFrench() {
		return frenchDays[t.Weekday()]
	}
	return t.Weekday().String()
}

// DayMonth returns "2 January" or "2 janvier".
func (l Locale) DayMonth(t time.Time) string {
	if !l.isFrench() {
		return t.Format("2 January")
	}
	day := t.Format("2")
	if day == "1" {
		day = "1er"
	}
	return day + " " + frenchMonths[t.Month()-1]
}

// Day returns "Monday, 2 January 2006" or "lundi 2 janvier 2006".
func (l Locale) Day(t time.Time) string {
	if l.isFrench() {
		return l.Weekday(t) + " " + l.DayMonth(t) + t.Format(" 2006")
	}
	return t.Format("Monday, 2 January 2006")
}

// Moment formats an instant in a zone, with the zone's abbreviation, because local times
// occur twice when clocks are put back: "Monday, 2 January 2006, 15:04 CET".
func (l Locale) Moment(t time.Time, zone *time.Location) string {
	t = t.In(zone)
	if l.isFrench() {
		return l.Day(t) + t.Format(" à 15:04 MST")
	}
	return l.Day(t) + t.Format(", 15:04 MST")
}

// Span formats a slot with the name of its zone: "Monday, 2 January 2006, 15:04 to 16:04
// (Europe/Paris)".
func (l Locale) Span(start, end time.Time, zone *time.Location) string {
	start, end = start.In(zone), end.In(zone)
	to := end.Format("15:04")
	if start.Format(time.DateOnly) != end.Format(time.DateOnly) {
		to = l.Day(end) + ", " + to
	}
	return l.T("%s, %s to %s (%s)", l.Day(start), start.Format("15:04"), to, zone)
}

// Length formats a duration of whole minutes: "90 minutes", "1 hour", "2 days".
func (l Locale) Length(d time.Duration) string {
	switch {
	case d%(24*time.Hour) == 0:
		return l.N(int(d/(24*time.Hour)), "%d day", "%d days")
	case d%time.Hour == 0:
		return l.N(int(d/time.Hour), "%d hour", "%d hours")
	}
	return l.N(int(d/time.Minute), "%d minute", "%d minutes")
}
