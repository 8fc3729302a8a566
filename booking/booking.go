package booking

import (
	"encoding/json"
	"fmt"
	"time"
)

// Status is where a booking is in its life:
//
//	pending -> confirmed -> cancelled | completed | no_show
//	pending -> expired | cancelled
//	expired -> confirmed
//	completed -> no_show, no_show -> completed
type Status string

// The statuses of a booking. Pending and Confirmed keep their units. Completed and NoShow
// keep them until the buffer after the slot is over, if there is one. The others have
// given them back.
const (
	// Pending is held, until HoldExpiresAt.
	Pending Status = "pending"
	// Confirmed stands.
	Confirmed Status = "confirmed"
	// Cancelled was ended by [Store.Cancel] or [Store.Release].
	Cancelled Status = "cancelled"
	// Completed took place, as [Store.Complete] or [Store.CompletePast] noted.
	Completed Status = "completed"
	// NoShow was confirmed, and nobody came, as [Store.NoShow] noted.
	NoShow Status = "no_show"
	// Expired was a hold that was released because its time has passed, or ended before
	// by [Tx.Expire].
	Expired Status = "expired"
)

// Kind tells what a booking is.
type Kind string

// The kinds of a booking.
const (
	// Sold was held for a customer.
	Sold Kind = "booking"
	// Block keeps units from being sold, for maintenance say; see [Store.Block].
	Block Kind = "block"
)

// Booking is a slot that was taken for a party.
//
// The column booking_platform.bookings.id may be referenced by foreign keys.
type Booking struct {
	// ID is a UUIDv7 in canonical text; newer ones sort after older ones.
	ID string
	// Kind tells a customer's booking from a block.
	Kind Kind
	// ResourceID is the id of its resource, and Offer the slug of the offer it was sold
	// as; "" is the resource's own slot.
	ResourceID, Offer string
	// Start and End are in UTC; End is the instant after the last.
	Start, End time.Time
	// Party is how many heads.
	Party int
	// Status is where it is in its life. A hold whose time has passed is still pending
	// until it is released.
	Status Status
	// HoldExpiresAt is when the hold ends, in UTC, by the database's clock: never after
	// Start. It keeps its value when the booking is confirmed.
	HoldExpiresAt time.Time
	// Customer is who it is for.
	Customer Customer
	// Amount is what the whole party pays: the resource's price per head, at the time of
	// the hold, times the party.
	Amount Money
	// Policy is the resource's at the time of the hold.
	Policy Policy
	// Refund is what its cancellation gives back of Amount; nil while nobody has decided,
	// and where a hold or a block was cancelled, for which nothing was paid.
	Refund *Money
	// LateRefund is what goes back of money that comes although it was cancelled while it
	// was a hold; nil is all of it. See [Tx.ApplyLateRefund].
	LateRefund *Money
	// Sequence counts the times it was moved or cancelled, as calendar files do.
	Sequence int
	// Reference is the caller's own.
	Reference string
	// IdempotencyKey is the one of its hold; "" when there was none, or the hold was
	// given back by [Store.Release].
	IdempotencyKey string
	// Metadata is what was given; nil when nothing was.
	Metadata map[string]string
	// OwnerToken proves that a link is the customer's own; see [Store.Owned]. Only what
	// [Store.Hold] returns has it, a repeat under an idempotency key too, and what
	// [Store.WithOwnerToken] does, and only where [Options.OwnerSecrets] are given.
	OwnerToken string
	// CreatedAt and UpdatedAt are in UTC, by the database's clock.
	CreatedAt, UpdatedAt time.Time
}

// bookingColumns is what bookingRow reads, of a table or RETURNING with the alias b.
// lapsed and begun are judged by the database's clock.
const bookingColumns = `
    b.id::text AS id, b.kind, b.resource_id::text AS resource_id, b.offer, lower(b.during) AS starts_at, upper(b.during) AS ends_at, b.party, b.status,
    b.hold_expires_at, b.first_name, b.last_name, b.email, b.amount_minor, b.currency, b.policy::text AS policy,
    b.refund_minor, b.late_refund_minor, b.sequence, b.owner_secret, b.owner_nonce, b.reference,
    COALESCE(b.idempotency_key, '') AS idempotency_key, b.request_hash, b.metadata::text AS metadata, b.created_at,
    b.updated_at, b.hold_expires_at <= statement_timestamp() AS lapsed,
    lower(b.during) <= statement_timestamp() AS begun`

type bookingRow struct {
	ID             string    `db:"id"`
	Kind           Kind      `db:"kind"`
	ResourceID     string    `db:"resource_id"`
	Offer          string    `db:"offer"`
	StartsAt       time.Time `db:"starts_at"`
	EndsAt         time.Time `db:"ends_at"`
	Party          int       `db:"party"`
	Status         Status    `db:"status"`
	HoldExpiresAt  time.Time `db:"hold_expires_at"`
	FirstName      string    `db:"first_name"`
	LastName       string    `db:"last_name"`
	Email          string    `db:"email"`
	AmountMinor    int64     `db:"amount_minor"`
	Currency       string    `db:"currency"`
	Policy         string    `db:"policy"`
	RefundMinor    *int64    `db:"refund_minor"`
	LateMinor      *int64    `db:"late_refund_minor"`
	Sequence       int       `db:"sequence"`
	OwnerSecret    string    `db:"owner_secret"`
	OwnerNonce     []byte    `db:"owner_nonce"`
	Reference      string    `db:"reference"`
	IdempotencyKey string    `db:"idempotency_key"`
	RequestHash    []byte    `db:"request_hash"`
	Metadata       string    `db:"metadata"`
	CreatedAt      time.Time `db:"created_at"`
	UpdatedAt      time.Time `db:"updated_at"`
	Lapsed         bool      `db:"lapsed"`
	Begun          bool      `db:"begun"`
}

func (row bookingRow) booking() (Booking, error) {
	var metadata map[string]string
	if row.Metadata != "{}" {
		if err := json.Unmarshal([]byte(row.Metadata), &metadata); err != nil {
			return Booking{}, fmt.Errorf("read metadata of %s: %w", row.ID, err)
		}
	}
	policy, err := readPolicy(row.Policy)
	if err != nil {
		return Booking{}, fmt.Errorf("read policy of %s: %w", row.ID, err)
	}
	money := func(minor *int64) *Money {
		if minor == nil {
			return nil
		}
		return &Money{Minor: *minor, Currency: row.Currency}
	}
	return Booking{
		ID: row.ID, Kind: row.Kind, ResourceID: row.ResourceID, Offer: row.Offer, Start: row.StartsAt.UTC(),
		End: row.EndsAt.UTC(), Party: row.Party,
		Status: row.Status, HoldExpiresAt: row.HoldExpiresAt.UTC(),
		Customer: Customer{FirstName: row.FirstName, LastName: row.LastName, Email: row.Email},
		Amount:   Money{Minor: row.AmountMinor, Currency: row.Currency}, Policy: policy,
		Refund: money(row.RefundMinor), LateRefund: money(row.LateMinor), Sequence: row.Sequence,
		Reference:      row.Reference,
		IdempotencyKey: row.IdempotencyKey, Metadata: metadata,
		CreatedAt: row.CreatedAt.UTC(), UpdatedAt: row.UpdatedAt.UTC(),
	}, nil
}
