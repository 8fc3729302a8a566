package booking

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode"

	"github.com/booking-platform/booking-platform/internal/valid"
)

// Status is the state of a booking. The transitions are:
//
//	pending -> confirmed -> cancelled | completed | no_show
//	pending -> expired | cancelled
//	expired -> confirmed
//	completed -> no_show, no_show -> completed
type Status string

// Pending and confirmed bookings have units. Completed ones and no-shows keep theirs
// until the buffer after the slot is over.
const (
	// StatusPending: held until HoldExpiresAt.
	StatusPending Status = "pending"
	// StatusConfirmed: sold.
	StatusConfirmed Status = "confirmed"
	// StatusCancelled: cancelled by [Store.Cancel], or a hold released by
	// [Store.Release].
	StatusCancelled Status = "cancelled"
	// StatusCompleted: took place, see [Store.Complete] and [Store.CompletePast].
	StatusCompleted Status = "completed"
	// StatusNoShow: confirmed, but the customer did not come, see [Store.NoShow].
	StatusNoShow Status = "no_show"
	// StatusExpired: a hold that was released after its time, or ended by [Tx.Expire].
	StatusExpired Status = "expired"
)

// Kind separates customers' bookings from blocks.
type Kind string

// The kinds of a booking.
const (
	// KindBooking is a customer's booking.
	KindBooking Kind = "booking"
	// KindBlock keeps units from sale, see [Store.Block].
	KindBlock Kind = "block"
)

// Booking is a slot taken for a party.
//
// encoding/json leaves out what lets its reader act for the customer, the idempotency key
// and the owner token, so that a booking in a log, a message or a response gives nothing
// away.
//
// The column booking_platform.bookings.id may be referenced by foreign keys.
type Booking struct {
	// ID is a UUIDv7 in canonical form; later ones sort after earlier ones.
	ID string
	// Number is what people read out to each other: eight of the digits 2 to 9 and the
	// capital letters without I, L, O and U. It is unique, and gives no access. Bookings
	// made before version 4 of the schema have none, "". See [Store.ByNumber].
	Number string
	Kind   Kind
	// Offer is the slug of the offer it was sold as; "" is the resource's own slot.
	ResourceID, Offer string
	// Start and End are UTC; End is exclusive.
	Start, End time.Time
	// Party is how many people, and units.
	Party int
	// Status of an expired hold is pending until it is released.
	Status Status
	// HoldExpiresAt is in UTC, at Start at the latest. A confirmation keeps it.
	HoldExpiresAt time.Time
	Customer      Customer
	// Note and Language are the [HoldRequest]'s.
	Note, Language string
	// Amount is the price per person at the hold, times Party.
	Amount Money
	// Policy is the resource's at the hold.
	Policy Policy
	// Refund is what the cancellation refunds of Amount; nil if not cancelled, or nothing
	// had been paid.
	Refund *Money
	// LateRefund is the refund of a payment that comes after the hold was cancelled; nil
	// means all. See [Tx.ApplyLateRefund].
	LateRefund *Money
	// Sequence counts moves and cancellations, as SEQUENCE of iCalendar does.
	Sequence int
	// Reference, IdempotencyKey and Metadata are the [HoldRequest]'s; the key is "" after
	// [Store.Release].
	Reference      string
	IdempotencyKey string `json:"-"`
	Metadata       map[string]string
	// OwnerToken is the secret of the customer's link, see [Store.Owned]. Only
	// [Store.Hold] and [Store.WithOwnerToken] set it.
	OwnerToken string `json:"-"`
	// CreatedAt and UpdatedAt are UTC.
	CreatedAt, UpdatedAt time.Time
}

const bookingColumns = `
    b.id::text AS id, b.number, b.kind, b.resource_id::text AS resource_id, b.offer, lower(b.during) AS starts_at,
    upper(b.during) AS ends_at, b.party, b.status,
    b.hold_expires_at, b.first_name, b.last_name, b.email, b.phone, b.note, b.language, b.amount_minor, b.currency,
    b.policy::text AS policy,
    b.refund_minor, b.late_refund_minor, b.sequence, b.owner_secret, b.owner_nonce, b.reference,
    COALESCE(b.idempotency_key, '') AS idempotency_key, b.request_hash, b.metadata::text AS metadata, b.created_at,
    b.updated_at, b.hold_expires_at <= statement_timestamp() AS lapsed,
    lower(b.during) <= statement_timestamp() AS begun`

type bookingRow struct {
	ID             string    `db:"id"`
	Number         string    `db:"number"`
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
	Phone          string    `db:"phone"`
	Note           string    `db:"note"`
	Language       string    `db:"language"`
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
		ID: row.ID, Number: row.Number, Kind: row.Kind, ResourceID: row.ResourceID, Offer: row.Offer,
		Start: row.StartsAt.UTC(), End: row.EndsAt.UTC(), Party: row.Party,
		Status: row.Status, HoldExpiresAt: row.HoldExpiresAt.UTC(),
		Customer: Customer{FirstName: row.FirstName, LastName: row.LastName, Email: row.Email, Phone: row.Phone},
		Note:     row.Note, Language: row.Language,
		Amount: Money{Minor: row.AmountMinor, Currency: row.Currency}, Policy: policy,
		Refund: money(row.RefundMinor), LateRefund: money(row.LateMinor), Sequence: row.Sequence,
		Reference:      row.Reference,
		IdempotencyKey: row.IdempotencyKey, Metadata: metadata,
		CreatedAt: row.CreatedAt.UTC(), UpdatedAt: row.UpdatedAt.UTC(),
	}, nil
}

func bookingsOf(rows []bookingRow) ([]Booking, error) {
	out := make([]Booking, len(rows))
	for i, row := range rows {
		var err error
		if out[i], err = row.booking(); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// Get returns a booking by its id, or [ErrNotFound]. One round trip.
func (s *Store) Get(ctx context.Context, id string) (Booking, error) { return get(ctx, s.read, id) }

func get(ctx context.Context, run runner, id string) (Booking, error) {
	var b Booking
	err := run(ctx, func(q Querier) error {
		if !isID(id) {
			return ErrNotFound
		}
		row, found, err := selectOne[bookingRow](ctx, q, bookingByIDSQL, strings.ToLower(id))
		if err == nil && !found {
			err = ErrNotFound
		}
		if err == nil {
			b, err = row.booking()
		}
		return err
	})
	return b, wrap(ctx, "get", err)
}

// NO KEY permits concurrent inserts that reference the booking.
const lockSQL = bookingByIDSQL + ` FOR NO KEY UPDATE OF b`

// Lock selects a booking FOR NO KEY UPDATE, so that it cannot change until the
// transaction ends. Use it before a decision that depends on the booking's status. Locks
// are taken in the order resource, booking, payment, refund. The error is [ErrNotFound].
// One round trip.
func (t *Tx) Lock(ctx context.Context, id string) (Booking, error) {
	if !isID(id) {
		return Booking{}, wrap(ctx, "lock", ErrNotFound)
	}
	row, found, err := selectOne[bookingRow](ctx, t.q, lockSQL, strings.ToLower(id))
	if err == nil && !found {
		err = ErrNotFound
	}
	if err != nil {
		return Booking{}, wrap(ctx, "lock", err)
	}
	b, err := row.booking()
	return b, wrap(ctx, "lock", err)
}

// LockWithResource is [Tx.Lock] before a possible [Tx.Retake] or [Tx.Reschedule]: it
// locks the resource first, so that two such transactions cannot deadlock. Other
// relocations on it wait until the transaction ends; holds do not. One round trip.
func (t *Tx) LockWithResource(ctx context.Context, id string) (Booking, error) {
	_, row, err := lockBooking(ctx, t.q, id)
	if err != nil {
		return Booking{}, wrap(ctx, "lock", err)
	}
	b, err := row.booking()
	return b, wrap(ctx, "lock", err)
}

type actorKey struct{}

const maxActor = 200

// WithActor sets the actor in the history of changes made with the context, for example
// "customer" or "user:ada@example.com". It is cut to 200 characters; control characters
// and those that hide or reorder text are removed.
func WithActor(ctx context.Context, actor string) context.Context {
	kept := []rune(valid.WithoutHidden(strings.Map(func(c rune) rune {
		if unicode.IsControl(c) || c == unicode.ReplacementChar {
			return -1
		}
		return c
	}, actor)))
	return context.WithValue(ctx, actorKey{}, string(kept[:min(len(kept), maxActor)]))
}

// Actor returns the actor set by [WithActor], or "".
func Actor(ctx context.Context) string {
	actor, _ := ctx.Value(actorKey{}).(string)
	return actor
}
