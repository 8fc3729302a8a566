package bookingmail

import (
	"context"
	"errors"
	"time"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/notify"
	"github.com/booking-platform/booking-platform/payments"
)

// The kinds of messages in the outbox. Changes are expanded into the others.
const (
	KindBookingChange = "booking.change"
	KindPaymentChange = "payment.change"
	// kindCustomer and kindOwner are followed by a [Topic].
	kindCustomer = "customer."
	kindOwner    = "owner."
)

// Topic is what a mail tells.
type Topic string

// The topics. The owner gets all but TopicReminder and TopicLink, and TopicRefundFailed is
// the owner's only.
const (
	TopicConfirmed Topic = "confirmed"
	TopicMoved     Topic = "moved"
	TopicCancelled Topic = "cancelled"
	// TopicRefunded: a refund was made.
	TopicRefunded     Topic = "refunded"
	TopicRefundFailed Topic = "refund_failed"
	// TopicParked: the payment is being checked.
	TopicParked Topic = "parked"
	// TopicUnapplied: money that came too late or twice goes back.
	TopicUnapplied Topic = "unapplied"
	TopicReminder  Topic = "reminder"
	// TopicLink: the private link again.
	TopicLink Topic = "link"
)

var customerTopics = []Topic{TopicConfirmed, TopicMoved, TopicCancelled, TopicRefunded, TopicParked, TopicUnapplied,
	TopicReminder, TopicLink}

var ownerTopics = []Topic{TopicConfirmed, TopicMoved, TopicCancelled, TopicRefunded, TopicRefundFailed, TopicParked,
	TopicUnapplied}

// DefaultReminder is how long before the start a reminder is sent.
const DefaultReminder = 24 * time.Hour

// Options configure [New]. Bookings, BookingURL, Domain and From are required.
type Options struct {
	Bookings *booking.Store
	// Payments may be nil if nothing is paid.
	Payments *payments.Payments
	// BookingURL returns the address of a customer's page, such as
	// payments.Payments.BookingURL.
	BookingURL func(bookingID, token string) string
	// Domain ends the UIDs of calendar events: the one given to package calendar elsewhere.
	Domain string
	// From is the sender's address without a name, FromName the name of the seller. Both
	// are in calendar files; FromName ends each mail.
	From, FromName string
	// Owners get a mail for each change.
	Owners []string
	// OwnerLanguage is that of the owners' mails, such as "fr"; "" is English. Customers are
	// written to in booking.Booking.Language.
	OwnerLanguage string
	// Reminder returns how long before the start a customer is reminded; 0 is never. nil is
	// [DefaultReminder] for each resource.
	Reminder func(r booking.Resource) time.Duration
	// Render makes the mails; nil is [Render]. Call Render in it to change what it returns.
	Render func(ctx context.Context, c Content) (notify.Mail, error)
}

// Mailer composes the mails. It is safe for concurrent use.
type Mailer struct{ opts Options }

// New returns a Mailer.
func New(opts Options) (*Mailer, error) {
	if opts.Bookings == nil || opts.BookingURL == nil || opts.Domain == "" || opts.From == "" {
		return nil, errors.New("bookingmail: options Bookings, BookingURL, Domain and From are required")
	}
	if opts.Reminder == nil {
		opts.Reminder = func(booking.Resource) time.Duration { return DefaultReminder }
	}
	if opts.Render == nil {
		opts.Render = func(_ context.Context, c Content) (notify.Mail, error) { return Render(c) }
	}
	return &Mailer{opts: opts}, nil
}

// Kinds returns the kinds for notify.Options. Add your own to the map.
func (m *Mailer) Kinds() map[string]notify.Kind {
	kinds := map[string]notify.Kind{
		KindBookingChange: {Expand: m.expand}, KindPaymentChange: {Expand: m.expand},
	}
	for _, topic := range customerTopics {
		kinds[kindCustomer+string(topic)] = notify.Kind{Compose: m.composer(topic, false)}
	}
	for _, topic := range ownerTopics {
		kinds[kindOwner+string(topic)] = notify.Kind{Compose: m.composer(topic, true)}
	}
	return kinds
}

// LinkAgain is the draft of a mail that gives a customer the private link again, as it is
// when the mail is sent. Messages with the same occurrence are sent once: use the id of a
// request, or the day.
func LinkAgain(b booking.Booking, occurrence string) notify.Draft {
	return notify.Draft{Kind: kindCustomer + string(TopicLink), Reference: b.ID, Occurrence: occurrence,
		Language: b.Language}
}
