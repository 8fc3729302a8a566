package bookingmail

import (
	"strings"

	"github.com/booking-platform/booking-platform/locale"
	"github.com/booking-platform/booking-platform/payments"
)

// subject returns the subject of a mail to the customer. what is the service and its time.
func subject(l locale.Locale, topic Topic, what string) string {
	switch topic {
	case TopicConfirmed:
		return l.T("Your booking is confirmed: %s", what)
	case TopicMoved:
		return l.T("Your booking was moved: %s", what)
	case TopicCancelled:
		return l.T("Your booking was cancelled: %s", what)
	case TopicRefunded:
		return l.T("Your refund: %s", what)
	case TopicParked:
		return l.T("Your payment is being checked: %s", what)
	case TopicUnapplied:
		return l.T("Your payment goes back to you: %s", what)
	case TopicReminder:
		return l.T("Reminder: %s", what)
	}
	return l.T("Your link: %s", what)
}

// lead returns the first sentence of a mail to the customer. what is the service.
func lead(l locale.Locale, topic Topic, what string) string {
	switch topic {
	case TopicConfirmed:
		return l.T("Your booking of %s is confirmed.", what)
	case TopicMoved:
		return l.T("Your booking of %s has a new time.", what)
	case TopicCancelled:
		return l.T("Your booking of %s was cancelled.", what)
	case TopicRefunded:
		return l.T("A refund for your booking of %s was made.", what)
	case TopicParked:
		return l.T("Your payment for %s has arrived and is being checked.", what)
	case TopicUnapplied:
		return l.T("Your payment for %s could not be used for the booking.", what)
	case TopicReminder:
		return l.T("This is a reminder of your booking of %s.", what)
	}
	return l.T("This is the private link of your booking of %s.", what)
}

// ownerLead returns the subject and the first sentence of a mail to an owner.
func ownerLead(l locale.Locale, topic Topic, what string) string {
	switch topic {
	case TopicConfirmed:
		return l.T("New booking: %s", what)
	case TopicMoved:
		return l.T("Booking moved: %s", what)
	case TopicCancelled:
		return l.T("Booking cancelled: %s", what)
	case TopicRefunded:
		return l.T("Refund made: %s", what)
	case TopicRefundFailed:
		return l.T("Refund failed: %s", what)
	case TopicParked:
		return l.T("A payment needs a decision: %s", what)
	}
	return l.T("A payment came too late or twice and goes back: %s", what)
}

// reason is why money does not pay for the booking.
func reason(l locale.Locale, p payments.Payment) string {
	why := p.ParkedReason
	if why == "" {
		why = p.Unapplied
	}
	switch why {
	case payments.ReasonLate:
		return l.T("It arrived after the time was given up.")
	case payments.ReasonPaidTwice:
		return l.T("The booking had been paid already.")
	case payments.ReasonCancelled:
		return l.T("The booking had been cancelled.")
	case payments.ReasonAmount:
		return l.T("The amount differs from the price.")
	}
	return ""
}

const maxName = 40

// isName reports whether a name can be shown to the recipient. One that looks like an
// advertisement is not, because the address can be that of another person.
func isName(name string) bool {
	name = oneLine(name)
	return name != "" && len([]rune(name)) <= maxName && !strings.ContainsAny(name, ":/.@<>!?$€£0123456789")
}

// hello greets by name, if it can be shown.
func hello(l locale.Locale, name string) string {
	if !isName(name) {
		return l.T("Hello,")
	}
	return l.T("Hello %s,", oneLine(name))
}
