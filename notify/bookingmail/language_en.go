package bookingmail

import (
	"fmt"
	"strings"
	"time"

	"github.com/booking-platform/booking-platform/booking"
)

var english = language{
	tag: "en",
	subject: map[Topic]string{
		TopicConfirmed: "Your booking is confirmed: %s",
		TopicMoved:     "Your booking was moved: %s",
		TopicCancelled: "Your booking was cancelled: %s",
		TopicRefunded:  "Your refund: %s",
		TopicParked:    "Your payment is being checked: %s",
		TopicUnapplied: "Your payment goes back to you: %s",
		TopicReminder:  "Reminder: %s",
		TopicLink:      "Your link: %s",
	},
	lead: map[Topic]string{
		TopicConfirmed: "Your booking of %s is confirmed.",
		TopicMoved:     "Your booking of %s has a new time.",
		TopicCancelled: "Your booking of %s was cancelled.",
		TopicRefunded:  "A refund for your booking of %s was made.",
		TopicParked:    "Your payment for %s has arrived and is being checked.",
		TopicUnapplied: "Your payment for %s could not be used for the booking.",
		TopicReminder:  "This is a reminder of your booking of %s.",
		TopicLink:      "This is the private link of your booking of %s.",
	},
	owner: map[Topic]string{
		TopicConfirmed:    "New booking: %s",
		TopicMoved:        "Booking moved: %s",
		TopicCancelled:    "Booking cancelled: %s",
		TopicRefunded:     "Refund made: %s",
		TopicRefundFailed: "Refund failed: %s",
		TopicParked:       "A payment needs a decision: %s",
		TopicUnapplied:    "A payment came too late or twice and goes back: %s",
	},
	hello:              "Hello,",
	helloName:          "Hello %s,",
	labelWhat:          "What",
	labelWhen:          "When",
	labelBefore:        "Before",
	labelParty:         "People",
	labelNumber:        "Booking",
	labelTotal:         "Total",
	labelRefund:        "Refund",
	labelReceived:      "Received",
	labelCustomer:      "Customer",
	labelPhone:         "Phone",
	labelNote:          "Note",
	labelReason:        "Reason",
	free:               "Free of charge",
	button:             "Your booking",
	keep:               "This link is yours alone: with it the booking can be seen, moved and cancelled. Do not forward this mail.",
	soon:               "We look forward to seeing you.",
	noRefund:           "Nothing is paid back.",
	refundComes:        "%s goes back to the means of payment that you used. It usually arrives within 5 to 10 working days.",
	refundDesk:         "%s will be paid back to you.",
	calendar:           "The attached file puts the time into your calendar.",
	calendarOff:        "The attached file removes the time from your calendar.",
	checking:           "You need not pay again. We write to you as soon as it is decided.",
	goesBack:           "%s goes back in full to the means of payment that you used. It usually arrives within 5 to 10 working days.",
	refundProblem:      "The refund of %s failed. It has to be paid in another way.",
	neverChange:        "This booking can be neither cancelled nor moved.",
	changeUntil:        "You may cancel or move it until %s.",
	changeFree:         "You may cancel or move it free of charge until %s, and not after that.",
	changeFreeThenFee:  "You may cancel or move it free of charge until %s. After that, and until %s, %s of %s is kept.",
	changeFeeUntil:     "You may cancel it until %s; %s of %s is kept.",
	changeTooLate:      "It is too late to cancel or move this booking.",
	footer:             "You receive this mail because of a booking made with this address.",
	to:                 "to",
	reasonLate:         "It arrived after the time was given up.",
	reasonTwice:        "The booking had been paid already.",
	reasonCancelled:    "The booking had been cancelled.",
	reasonAmountDiffer: "The amount differs from the price.",
	weekdays:           [7]string{"Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"},
	months: [12]string{"January", "February", "March", "April", "May", "June", "July", "August", "September", "October",
		"November", "December"},
	date: func(l language, t time.Time) string { return l.day(l, t) + ", " + t.Format("15:04") },
	day: func(l language, t time.Time) string {
		return fmt.Sprintf("%s, %d %s %d", l.weekdays[t.Weekday()], t.Day(), l.months[t.Month()-1], t.Year())
	},
	money: func(m booking.Money) string { return strings.ToUpper(m.Currency) + " " + m.Decimal() },
}
