package booking

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/booking-platform/booking-platform/internal/valid"
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

// Get returns a booking by its id; the error is [ErrNotFound] when there is none. One
// round trip.
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

// NO KEY: a row that refers to the booking by a foreign key may be inserted meanwhile.
const lockSQL = bookingByIDSQL + ` FOR NO KEY UPDATE OF b`

// Lock returns a booking and keeps everyone else from changing it until the caller's
// transaction ends: for who decides on what it sees, as payments does when money arrives.
// It waits for whoever is changing the booking, up to lock_timeout. Lock the booking
// before anything that belongs to it; everybody here does. The error is [ErrNotFound]
// when there is none. One round trip.
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

// LockWithResource is [Tx.Lock] for who may have to [Tx.Retake] or [Tx.Reschedule] the
// booking afterwards: it locks the booking's resource first, as those do, so that two
// such transactions do not wait for each other. Other moves on the resource wait until
// the transaction ends; holds do not. One round trip.
func (t *Tx) LockWithResource(ctx context.Context, id string) (Booking, error) {
	_, row, err := lockBooking(ctx, t.q, id)
	if err != nil {
		return Booking{}, wrap(ctx, "lock", err)
	}
	b, err := row.booking()
	return b, wrap(ctx, "lock", err)
}

var expire = transition{
	op: "expire", from: []Status{Pending}, settled: Expired,
	sql: recorded(`
    UPDATE booking_platform.bookings b SET status = 'expired', updated_at = statement_timestamp()
    WHERE b.id = $1::uuid AND b.status = 'pending'`, `'pending'`),
}

// Expire ends a hold before its time, because nothing can come of it any more: its
// Checkout Session has expired, say. The units are free again. Unlike [Tx.Release] it is
// an end like that of time: the status is Expired, and the idempotency key stays taken.
// Expiring an expired one answers it again. The errors are [ErrNotFound], and a
// [*StatusError] for a booking that is no longer pending. One round trip when it expires.
func (t *Tx) Expire(ctx context.Context, id string) (Booking, error) {
	return expire.do(ctx, t.run, id, actorOf(ctx), "")
}

type actorKey struct{}

// maxActor bounds what is kept of an actor, in characters.
const maxActor = 200

// WithActor says who acts in the calls that are given the context: "customer",
// "user:ada@example.com", "stripe:evt_123". It is written beside each change in the
// booking's history, cut off after 200 characters, and control characters and those that
// hide or reorder text are left out. Without it the actor is empty.
func WithActor(ctx context.Context, actor string) context.Context {
	kept := []rune(valid.WithoutHidden(strings.Map(func(c rune) rune {
		if unicode.IsControl(c) || c == unicode.ReplacementChar {
			return -1
		}
		return c
	}, actor)))
	return context.WithValue(ctx, actorKey{}, string(kept[:min(len(kept), maxActor)]))
}

// Actor returns who acts in a context, as [WithActor] said; "" where nobody was named. It
// is for who names an actor only where the caller has not.
func Actor(ctx context.Context) string { return actorOf(ctx) }

func actorOf(ctx context.Context) string {
	actor, _ := ctx.Value(actorKey{}).(string)
	return actor
}

// Change is one step in the life of a booking.
type Change struct {
	// At is when the statement that made the change began, in UTC, by the database's
	// clock. One that had to wait for another may bear an earlier time than that: the
	// order of the changes is that of the list.
	At time.Time
	// From is the status before, "" for a booking that is new, and To the one after. They
	// are the same where only the time changed.
	From, To Status
	// FromStart and ToStart are when it began before and after, in UTC; both zero where
	// that did not change.
	FromStart, ToStart time.Time
	// Actor is who made the change, by [WithActor]; "" where nobody was named. Holds that
	// are released because their time has passed name "booking" then.
	Actor string
	// Reason is what was said to it.
	Reason string
}

// maxHistory bounds what is read of one booking's changes.
const maxHistory = 1000

// A booking from before there was a history has a row without a change.
const historyOfSQL = `
SELECT h.at, h.from_status, h.to_status, h.from_start, h.to_start, h.actor, h.reason
FROM booking_platform.bookings b LEFT JOIN booking_platform.booking_history h ON h.booking_id = b.id
WHERE b.id = $1::uuid
ORDER BY h.id DESC
LIMIT $2::integer`

type changeRow struct {
	At         *time.Time `db:"at"`
	FromStatus *Status    `db:"from_status"`
	ToStatus   *Status    `db:"to_status"`
	FromStart  *time.Time `db:"from_start"`
	ToStart    *time.Time `db:"to_start"`
	Actor      *string    `db:"actor"`
	Reason     *string    `db:"reason"`
}

func (row changeRow) change() Change {
	c := Change{At: row.At.UTC(), From: *row.FromStatus, To: *row.ToStatus, Actor: *row.Actor, Reason: *row.Reason}
	if row.FromStart != nil && row.ToStart != nil {
		c.FromStart, c.ToStart = row.FromStart.UTC(), row.ToStart.UTC()
	}
	return c
}

// History returns what happened to a booking, the oldest change first: its hold, and
// every change of its status or time since, each written together with the change itself.
// Of more than 1000 they are the last 1000; of a booking from before there was a history,
// those since. That a hold was extended, or seated on other units, is no change. The
// error is [ErrNotFound] when there is no such booking. One round trip.
func (s *Store) History(ctx context.Context, id string) ([]Change, error) {
	return history(ctx, s.read, id)
}

// History is [Store.History] in the caller's transaction, which sees its own changes.
func (t *Tx) History(ctx context.Context, id string) ([]Change, error) {
	return history(ctx, t.run, id)
}

func history(ctx context.Context, run runner, id string) ([]Change, error) {
	var rows []changeRow
	err := run(ctx, func(q Querier) (err error) {
		if isID(id) {
			rows, err = selectAll[changeRow](ctx, q, historyOfSQL, strings.ToLower(id), maxHistory)
		}
		if err == nil && len(rows) == 0 {
			err = ErrNotFound
		}
		return err
	})
	if err != nil {
		return nil, wrap(ctx, "history", err)
	}
	out := []Change{}
	for _, row := range rows {
		if row.At != nil {
			out = append(out, row.change())
		}
	}
	slices.Reverse(out)
	return out, nil
}

// recordSQL begins the row of history that every change of a status or a time writes in
// its own statement: so there is no change without it, none is written for a change that
// is rolled back, and it costs no round trip. The row locks of the booking put the ids of
// its changes in their order.
const recordSQL = `
    INSERT INTO booking_platform.booking_history (booking_id, from_status, to_status, from_start, to_start, actor, reason)`

// sweeper is who acts where a hold ends because its time has passed.
func sweeper(ctx context.Context) string {
	if actor := actorOf(ctx); actor != "" {
		return actor
	}
	return "booking"
}
