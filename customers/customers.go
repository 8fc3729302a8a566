package customers

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/booking-platform/booking-platform/auth"
	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/notify"
	"github.com/booking-platform/booking-platform/payments"
	"github.com/booking-platform/booking-platform/webhook"
)

var (
	// ErrNotYet means that a customer cannot be erased yet, see [Report.NotYet].
	ErrNotYet = errors.New("customers: the customer's data is still needed")
	// ErrUnknown means that nothing is kept about a customer.
	ErrUnknown = errors.New("customers: nothing is kept about this customer")
)

// Parts are the packages that a program embeds, on one database. Bookings is required;
// nil or empty parts are left out.
type Parts struct {
	Bookings *booking.Store
	Payments *payments.Payments
	// Ledgers are those of all receivers that get events about the payments.
	Ledgers []*webhook.Ledger
	Users   *auth.UserTable
	// Messages is the outbox; its messages refer to bookings by id or have the customer's
	// address.
	Messages *notify.Store
}

// Options adjust [New]. The zero value works.
type Options struct {
	// Logger gets a line per erasure, with counts and without the customer; nil discards.
	Logger *slog.Logger
}

// Customers exports and erases customers. It is safe for concurrent use and on several
// replicas.
type Customers struct {
	parts Parts
	log   *slog.Logger
}

// New returns Customers, or an error without Parts.Bookings. It does not talk to the
// database.
func New(parts Parts, opts Options) (*Customers, error) {
	if parts.Bookings == nil {
		return nil, errors.New("customers: a booking store is required")
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	return &Customers{parts: parts, log: opts.Logger}, nil
}

// Email returns the e-mail address of a booking's customer. The errors are
// booking.ErrNotFound, and [ErrUnknown] if there is none: the booking is a block, or its
// customer was erased. One round trip.
func (c *Customers) Email(ctx context.Context, bookingID string) (string, error) {
	b, err := c.parts.Bookings.Get(ctx, bookingID)
	if err == nil && b.Customer.Email == "" {
		err = ErrUnknown
	}
	return b.Customer.Email, err
}

// person is what identifies a customer in each part.
type person struct {
	email    string
	bookings []string
	account  auth.Account // Its ID is empty if there is none.
	subject  webhook.Subject
}

func (p person) messages() notify.Subject {
	return notify.Subject{References: p.bookings, Addresses: []string{p.email}}
}

// find looks the customer up in all parts.
func (c *Customers) find(ctx context.Context, email string) (person, error) {
	p := person{email: strings.TrimSpace(email)}
	if p.email == "" {
		return p, ErrUnknown
	}
	p.subject.Addresses = []string{p.email}
	names := map[string]bool{}
	err := c.eachPage(ctx, p.email, func(page []booking.Booking) error {
		for _, b := range page {
			p.bookings = append(p.bookings, b.ID)
			for _, text := range textsOf(b) {
				if !names[text] {
					names[text] = true
					p.subject.Texts = append(p.subject.Texts, text)
				}
			}
		}
		return nil
	})
	if err != nil {
		return p, err
	}
	if c.parts.Payments != nil {
		all, err := c.parts.Payments.OfBookings(ctx, p.bookings)
		if err != nil {
			return p, err
		}
		for _, pay := range all {
			p.subject.References = append(p.subject.References, pay.ID)
			p.subject.SessionIDs = append(p.subject.SessionIDs, pay.SessionID)
			p.subject.PaymentIntentIDs = append(p.subject.PaymentIntentIDs, pay.PaymentIntentID)
		}
	}
	if c.parts.Users != nil {
		p.account, err = c.parts.Users.Account(ctx, p.email)
		if err != nil && !errors.Is(err, auth.ErrNotFound) {
			return p, err
		}
	}
	return p, nil
}

// textsOf returns what an event about the customer must not contain. Single words are
// left out: they may be Stripe's, such as the outcome "won".
func textsOf(b booking.Booking) (texts []string) {
	c := b.Customer
	for _, text := range []string{c.FirstName + " " + c.LastName, c.LastName + " " + c.FirstName, c.Phone, b.Note} {
		text = strings.TrimSpace(text)
		if text == c.Phone && text != "" || strings.Contains(text, " ") {
			texts = append(texts, text)
		}
	}
	return texts
}

// eachPage goes through the bookings of an address, oldest first.
func (c *Customers) eachPage(ctx context.Context, email string, do func([]booking.Booking) error) error {
	opts := booking.ListOptions{Customer: email, Kind: booking.KindBooking, Order: booking.OldestFirst, Limit: 100}
	for {
		page, err := c.parts.Bookings.List(ctx, opts)
		if err != nil {
			return fmt.Errorf("customers: list the bookings: %w", err)
		}
		if err := do(page.Bookings); err != nil {
			return err
		}
		if opts.After = page.Next; opts.After == "" {
			return nil
		}
	}
}
