package bookingmail

import (
	"strings"
	"time"

	"github.com/booking-platform/booking-platform/booking"
)

// language has all texts of a language. %s are replaced in order. A test finds fields that
// are empty, and verbs that differ from English.
type language struct {
	tag string

	subject map[Topic]string // The service.
	lead    map[Topic]string // The first sentence of a mail to the customer; the service.
	owner   map[Topic]string // The subject and first sentence of a mail to an owner; the service.

	hello, helloName   string
	labelWhat          string
	labelWhen          string
	labelBefore        string
	labelParty         string
	labelNumber        string
	labelTotal         string
	labelRefund        string
	labelReceived      string
	labelCustomer      string
	labelPhone         string
	labelNote          string
	labelReason        string
	free               string
	button             string
	keep               string
	soon               string
	noRefund           string
	refundComes        string
	refundDesk         string
	calendar           string
	calendarOff        string
	checking           string
	goesBack           string
	refundProblem      string
	neverChange        string
	changeUntil        string
	changeFree         string
	changeFreeThenFee  string
	changeFeeUntil     string
	changeTooLate      string
	footer             string
	to                 string
	weekdays           [7]string
	months             [12]string
	date, day          func(l language, t time.Time) string
	money              func(m booking.Money) string
	reasonLate         string
	reasonTwice        string
	reasonCancelled    string
	reasonAmountDiffer string
}

var languages = []language{english, french}

// languageOf finds the texts of a language tag, such as fr-CA.
func languageOf(tag string) (language, bool) {
	base, _, _ := strings.Cut(strings.ToLower(strings.ReplaceAll(tag, "_", "-")), "-")
	for _, l := range languages {
		if l.tag == base {
			return l, true
		}
	}
	return language{}, false
}

// Languages returns the tags of the languages that have texts.
func Languages() (tags []string) {
	for _, l := range languages {
		tags = append(tags, l.tag)
	}
	return tags
}

// span is a time from start to end, with the name of the zone.
func (l language) span(start, end time.Time, zone *time.Location) string {
	start, end = start.In(zone), end.In(zone)
	last := end.Format("15:04")
	if start.Format(time.DateOnly) != end.Format(time.DateOnly) {
		last = l.date(l, end)
	}
	return l.date(l, start) + " " + l.to + " " + last + " (" + zone.String() + ")"
}
