package bookingmail

import (
	"context"
	"errors"
	"fmt"
	"net/mail"
	"slices"
	"strings"
	"time"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/booking/calendar"
	"github.com/booking-platform/booking-platform/notify"
	"github.com/booking-platform/booking-platform/payments"
)

// Content is what a mail tells, read when it is sent.
type Content struct {
	Topic Topic
	// ToOwner: the mail is the owner's, else the customer's.
	ToOwner bool
	To      string
	// Language is a tag for locale.Of.
	Language string
	Booking  booking.Booking
	Resource booking.Resource
	Zone     *time.Location
	// From and Start are the starts before and after a move; From is zero otherwise.
	From time.Time
	// Payment and Refund are nil unless the topic is about one. TopicCancelled has the
	// Payment that the booking's refund is of.
	Payment *payments.Payment
	Refund  *payments.Refund
	// Link is the customer's private link, "" in a mail to the owner.
	Link string
	// Seller is Options.FromName.
	Seller string
	// ReplyTo is the owner's address for the customer and the customer's for the owner, or "".
	ReplyTo string
	// Now is the database's clock.
	Now time.Time
	// Calendar and CalendarMethod are the invitation or its cancellation, or empty.
	Calendar       []byte
	CalendarMethod string
}

func (m *Mailer) composer(topic Topic, toOwner bool) func(context.Context, notify.Message) (notify.Mail, error) {
	return func(ctx context.Context, msg notify.Message) (notify.Mail, error) {
		c, err := m.content(ctx, msg, topic, toOwner)
		if err != nil {
			return notify.Mail{}, err
		}
		return m.opts.Render(ctx, c)
	}
}

// content reads what a message tells, or drops it.
func (m *Mailer) content(ctx context.Context, msg notify.Message, topic Topic, toOwner bool) (c Content, err error) {
	var d data
	if err := msg.Decode(&d); err != nil {
		return c, err
	}
	b, err := m.booking(ctx, msg.Reference)
	if err != nil {
		return c, err
	}
	if reason := outdated(topic, b, d, msg.Now); reason != "" {
		return c, notify.Drop(reason)
	}
	if b.Customer.Email == "" && !toOwner {
		return c, notify.Drop("no_address")
	}
	c = Content{Topic: topic, ToOwner: toOwner, To: b.Customer.Email, Booking: b, Seller: m.opts.FromName, Now: msg.Now,
		Language: msg.Language}
	if c.Resource, err = m.opts.Bookings.Resource(ctx, b.ResourceID); err != nil {
		return c, fmt.Errorf("read the resource: %w", err)
	}
	if c.Zone, err = c.Resource.Zone(); err != nil {
		return c, fmt.Errorf("read the resource: %w", err)
	}
	if topic == TopicMoved && d.From != nil {
		c.From = *d.From
	}
	if err := m.money(ctx, d, &c); err != nil {
		return c, err
	}
	if toOwner {
		c.To, c.ReplyTo = msg.Recipient, b.Customer.Email
	} else {
		if len(m.opts.Owners) > 0 {
			c.ReplyTo = m.opts.Owners[0]
		}
		if c.Link, err = m.link(ctx, b); err != nil {
			return c, err
		}
		err = m.invite(&c)
	}
	c.Booking.OwnerToken = ""
	return c, err
}

// outdated returns why a message is no longer true, or "".
func outdated(topic Topic, b booking.Booking, d data, now time.Time) string {
	over := !b.End.After(now)
	switch topic {
	case TopicConfirmed:
		if b.Status != booking.StatusConfirmed {
			return "now_" + string(b.Status)
		}
	case TopicMoved:
		if b.Status != booking.StatusConfirmed {
			return "now_" + string(b.Status)
		}
		if d.To != nil && !d.To.Equal(b.Start) {
			return "moved_again"
		}
	case TopicReminder:
		if b.Status != booking.StatusConfirmed {
			return "now_" + string(b.Status)
		}
		if d.Start != nil && !d.Start.Equal(b.Start) {
			return "moved"
		}
		over = !b.Start.After(now)
	case TopicCancelled:
		if b.Status != booking.StatusCancelled {
			return "now_" + string(b.Status)
		}
		// What goes back is told in any case.
		over = over && (b.Refund == nil || b.Refund.Minor == 0)
	default:
		// Money and the link matter afterwards too.
		over = false
	}
	if over {
		return "over"
	}
	return ""
}

// money reads the payment and the refund of a topic that is about one.
func (m *Mailer) money(ctx context.Context, d data, c *Content) error {
	if m.opts.Payments == nil {
		return nil
	}
	if b := c.Booking; c.Topic == TopicCancelled && b.Refund != nil && b.Refund.Minor > 0 {
		pay, err := m.opts.Payments.ForBooking(ctx, b.ID)
		if errors.Is(err, payments.ErrNotFound) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read the payment: %w", err)
		}
		c.Payment = &pay
		return nil
	}
	if d.Payment == "" {
		return nil
	}
	pay, err := m.opts.Payments.Get(ctx, d.Payment)
	if errors.Is(err, payments.ErrNotFound) {
		return notify.Drop("payment_not_found")
	}
	if err != nil {
		return fmt.Errorf("read the payment: %w", err)
	}
	c.Payment = &pay
	if c.Topic == TopicParked && pay.ParkedReason == "" {
		return notify.Drop("decided")
	}
	if d.Refund == "" {
		return nil
	}
	refunds, err := m.opts.Payments.Refunds(ctx, d.Payment)
	if err != nil {
		return fmt.Errorf("read the refunds: %w", err)
	}
	i := slices.IndexFunc(refunds, func(r payments.Refund) bool { return r.ID == d.Refund })
	if i < 0 {
		return notify.Drop("refund_not_found")
	}
	c.Refund = &refunds[i]
	failed := c.Refund.Status == payments.RefundFailed || c.Refund.Status == payments.RefundCanceled
	if failed != (c.Topic == TopicRefundFailed) {
		return notify.Drop("refund_" + string(c.Refund.Status))
	}
	return nil
}

// link returns the customer's link. A booking without a working token gets one: its older
// links do not work any more, so nothing is lost by that.
func (m *Mailer) link(ctx context.Context, b booking.Booking) (string, error) {
	token := b.OwnerToken
	if token == "" {
		var err error
		if token, err = m.opts.Bookings.RenewOwnerToken(ctx, b.ID); err != nil {
			return "", fmt.Errorf("renew the link: %w", err)
		}
	}
	return m.opts.BookingURL(b.ID, token), nil
}

// invite adds the calendar object to the topics that change the customer's calendar.
func (m *Mailer) invite(c *Content) (err error) {
	if c.Topic != TopicConfirmed && c.Topic != TopicMoved && c.Topic != TopicCancelled {
		return nil
	}
	// An address that an iCalendar file cannot have, or that is the seller's own, gets the
	// mail without one.
	if parsed, bad := mail.ParseAddress(c.To); bad != nil || strings.ContainsAny(parsed.Address, "\" ") ||
		strings.EqualFold(parsed.Address, m.opts.From) {
		return nil
	}
	c.Calendar, c.CalendarMethod, err = calendar.Invitation(m.opts.Domain, c.Resource, c.Booking,
		calendar.InvitationOptions{Organizer: m.opts.From, OrganizerName: m.opts.FromName, Attendee: c.To})
	var none *calendar.NoFileError
	if errors.As(err, &none) {
		return nil
	}
	return err
}
