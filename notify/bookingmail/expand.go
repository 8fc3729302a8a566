package bookingmail

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/notify"
)

// data is that of all messages: of a change as the triggers write it, and of what is made
// of it.
type data struct {
	What Topic `json:"what,omitempty"`
	// From and To are the starts of a move, or nil.
	From *time.Time `json:"from,omitempty"`
	To   *time.Time `json:"to,omitempty"`
	// Start is that of a reminder.
	Start   *time.Time `json:"start,omitempty"`
	Payment string     `json:"payment,omitempty"`
	Refund  string     `json:"refund,omitempty"`
}

// expand makes the messages of a change: the customer's, one for each owner, and a
// reminder. Blocks have none.
func (m *Mailer) expand(ctx context.Context, msg notify.Message) ([]notify.Draft, error) {
	var d data
	if err := msg.Decode(&d); err != nil {
		return nil, err
	}
	b, err := m.booking(ctx, msg.Reference)
	if err != nil {
		return nil, err
	}
	if b.Kind == booking.KindBlock {
		return nil, nil
	}
	var drafts []notify.Draft
	if slices.Contains(customerTopics, d.What) {
		drafts = append(drafts, notify.Draft{Kind: kindCustomer + string(d.What), Reference: b.ID,
			Occurrence: msg.Occurrence, Language: b.Language, Data: d})
	}
	for _, owner := range m.opts.Owners {
		drafts = append(drafts, notify.Draft{Kind: kindOwner + string(d.What), Reference: b.ID,
			Occurrence: msg.Occurrence + " " + owner, Recipient: owner, Language: m.opts.OwnerLanguage, Data: d})
	}
	if d.What != TopicConfirmed && d.What != TopicMoved {
		return drafts, nil
	}
	reminder, err := m.reminder(ctx, b, msg.Now)
	if reminder != nil {
		drafts = append(drafts, *reminder)
	}
	return drafts, err
}

// reminder returns the reminder of a booking for its start as it is now, or nil if there is
// none or it is too late for it. Two messages about one start are the same.
func (m *Mailer) reminder(ctx context.Context, b booking.Booking, now time.Time) (*notify.Draft, error) {
	r, err := m.opts.Bookings.Resource(ctx, b.ResourceID)
	if err != nil {
		return nil, fmt.Errorf("read the resource: %w", err)
	}
	before := m.opts.Reminder(r)
	at := b.Start.Add(-before)
	if before <= 0 || b.Status != booking.StatusConfirmed || !at.After(now) {
		return nil, nil
	}
	return &notify.Draft{Kind: kindCustomer + string(TopicReminder), Reference: b.ID,
		Occurrence: b.Start.UTC().Format(time.RFC3339), Language: b.Language, DueAt: at,
		Data: data{Start: &b.Start}}, nil
}

// booking reads a booking. Of one that is gone, or whose customer was erased, nothing is
// told.
func (m *Mailer) booking(ctx context.Context, id string) (booking.Booking, error) {
	b, err := m.opts.Bookings.WithOwnerToken(ctx, id)
	switch {
	case errors.Is(err, booking.ErrNotFound):
		return b, notify.Drop("booking_not_found")
	case err != nil:
		return b, fmt.Errorf("read the booking: %w", err)
	}
	return b, nil
}
