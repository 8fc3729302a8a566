package pages

import (
	"fmt"
	"strings"
	"time"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/payments"
)

// when formats the time of a booking, with the name of the zone.
func when(b booking.Booking, zone *time.Location) string {
	start, end := b.Start.In(zone), b.End.In(zone)
	layout := "15:04"
	if start.Format(time.DateOnly) != end.Format(time.DateOnly) {
		layout = "Monday, 2 January 2006, 15:04"
	}
	return start.Format("Monday, 2 January 2006, 15:04") + " to " + end.Format(layout) + " (" + zone.String() + ")"
}

func length(d time.Duration) string {
	switch {
	case d%(24*time.Hour) == 0:
		return plural(int(d/(24*time.Hour)), "day")
	case d%time.Hour == 0:
		return plural(int(d/time.Hour), "hour")
	}
	return plural(int(d/time.Minute), "minute")
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// statusText is the status of a booking for its customer.
func statusText(s booking.Status) string {
	switch s {
	case booking.StatusPending:
		return "waiting for payment"
	case booking.StatusNoShow:
		return "no-show"
	}
	return string(s)
}

// paymentText is the status of a payment for the customer.
func paymentText(s payments.Status) string {
	switch s {
	case payments.StatusOpen:
		return "not paid yet"
	case payments.StatusFailed, payments.StatusExpired:
		return "not paid"
	case payments.StatusParked:
		return "being checked"
	}
	return strings.ReplaceAll(string(s), "_", " ")
}

// price is [amount] for a booking that may cost nothing.
func price(m booking.Money) string {
	if m.IsZero() {
		return "Free of charge"
	}
	return amount(m)
}

// amount formats money: EUR 12.50, JPY 1250.
func amount(m booking.Money) string { return strings.ToUpper(m.Currency) + " " + m.Decimal() }
