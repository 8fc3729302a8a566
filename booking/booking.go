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
type Status string

// The statuses of a booking. Pending and Confirmed keep their units; the others have given them back.
const (
	// Pending is held, until HoldExpiresAt.
	Pending Status = "pending"
	// Confirmed stands.
	Confirmed Status = "confirmed"
	// Cancelled was ended by [Store.Cancel] or [Store.Release].
	Cancelled Status = "cancelled"
	// Completed took place.
	Completed Status = "completed"
	// NoShow was confirmed, and nobody came.
	NoShow Status = "no_show"
	// Expired was a hold that was released because its time has passed, or ended before by [Tx.Expire].
	Expired Status = "expired"
)

// Booking is a slot that was taken for a party.
//
// The column booking_platform.bookings.id may be referenced by foreign keys.
type Booking struct {
	// ID is a UUIDv7 in canonical text; newer ones sort after older ones.
	ID string
	// ResourceID is the id of its resource.
	ResourceID string
	// Start and End are in UTC; End is the instant after the last.
	Start, End time.Time
	// Party is how many heads.
	Party int
	// Status is where it is in its life. A hold whose time has passed is still pending until it is released.
	Status Status
	// HoldExpiresAt is when the hold ends, in UTC, by the database's clock. It keeps its value when the booking is
	// confirmed.
	HoldExpiresAt time.Time
	// Customer is who it is for.
	Customer Customer
	// Amount is what the whole party pays: the resource's price per head, at the time of the hold, times the party.
	Amount Money
	// Reference is the caller's own.
	Reference string
	// IdempotencyKey is the one of its hold; "" when there was none, or the hold was given back by [Store.Release].
	IdempotencyKey string
	// Metadata is what was given; nil when nothing was.
	Metadata map[string]string
	// CreatedAt and UpdatedAt are in UTC, by the database's clock.
	CreatedAt, UpdatedAt time.Time
}

// bookingColumns is what bookingRow reads, of a table or RETURNING with the alias b. lapsed is judged by the
// database's clock.
const bookingColumns = `
    b.id::text AS id, b.resource_id::text AS resource_id, lower(b.during) AS starts_at, upper(b.during) AS ends_at, b.party, b.status,
    b.hold_expires_at, b.first_name, b.last_name, b.email, b.amount_minor, b.currency, b.reference,
    COALESCE(b.idempotency_key, '') AS idempotency_key, b.request_hash, b.metadata::text AS metadata, b.created_at,
    b.updated_at, b.hold_expires_at <= statement_timestamp() AS lapsed`

type bookingRow struct {
	ID             string    `db:"id"`
	ResourceID     string    `db:"resource_id"`
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
	Reference      string    `db:"reference"`
	IdempotencyKey string    `db:"idempotency_key"`
	RequestHash    []byte    `db:"request_hash"`
	Metadata       string    `db:"metadata"`
	CreatedAt      time.Time `db:"created_at"`
	UpdatedAt      time.Time `db:"updated_at"`
	Lapsed         bool      `db:"lapsed"`
}

func (row bookingRow) booking() (Booking, error) {
	var metadata map[string]string
	if row.Metadata != "{}" {
		if err := json.Unmarshal([]byte(row.Metadata), &metadata); err != nil {
			return Booking{}, fmt.Errorf("read metadata of %s: %w", row.ID, err)
		}
	}
	return Booking{
		ID: row.ID, ResourceID: row.ResourceID, Start: row.StartsAt.UTC(), End: row.EndsAt.UTC(), Party: row.Party,
		Status: row.Status, HoldExpiresAt: row.HoldExpiresAt.UTC(),
		Customer: Customer{FirstName: row.FirstName, LastName: row.LastName, Email: row.Email},
		Amount:   Money{Minor: row.AmountMinor, Currency: row.Currency}, Reference: row.Reference,
		IdempotencyKey: row.IdempotencyKey, Metadata: metadata,
		CreatedAt: row.CreatedAt.UTC(), UpdatedAt: row.UpdatedAt.UTC(),
	}, nil
}
