package booking

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"

	"github.com/booking-platform/booking-platform/internal/pg"
	"github.com/google/uuid"
)

// Hold takes a slot for a party, all or nothing, and returns the pending booking. It
// lasts for the resource's HoldFor, but not beyond the start of the slot. On any number
// of replicas no unit is held twice. Expired holds in the way are released, and if enough
// capacity is free but no single set of units is, other bookings get other units.
//
// Without contention and with cached rules, a hold or a refusal is one round trip. The
// statement checks that the rules are current; it waits for [Store.ApplyResource], and
// for transactions that have taken the same units, or that count for the same limit.
// Expired holds and neighbours in the way cost a transaction each, and another attempt.
//
// The errors:
//   - [*ValidationError] for resource, offer, start, party, firstName, lastName, email,
//     phone, note, language, reference, idempotencyKey, metadata or client. If the
//     resource does not exist, errors.Is(err, [ErrNotFound]) is true as well.
//   - [ErrSlotTaken]: fewer units are free than the party needs.
//   - [ErrTooManyHolds], as a [*HoldLimitError]: a limit of [Options] is reached. It is
//     checked before the slot.
//   - [ErrIdempotencyMismatch]: the customer used the key for another request.
//
// The same request of the same customer with the same idempotency key returns the same
// booking, whatever the limits, also one that has expired or was cancelled: look at its
// status, and use a new key for a new attempt. [Store.Release] frees the key. If a
// context or a connection ends during a statement, the slot may be held: repeat the
// request with its key to find out.
//
// The booking has an OwnerToken if the store has secrets.
func (s *Store) Hold(ctx context.Context, req HoldRequest) (Booking, error) {
	h := &holder{store: s, run: s.run}
	b, err := h.hold(ctx, req)
	return b, wrap(ctx, "hold", err)
}

// maxAttempts bounds the repeats after another transaction got or freed units. So many in
// a row mean a defect.
const maxAttempts = 200

// holder makes a hold, for the store or in a caller's transaction.
type holder struct {
	store     *Store
	run       runner
	caller    Querier
	reassigns int
	// lost are the ids of attempts that got numbers of a limit, but no booking.
	lost []string
}

func (h *holder) hold(ctx context.Context, req HoldRequest) (Booking, error) {
	b, err := h.take(ctx, req)
	if ctx.Err() != nil || pg.SQLState(err) != "" {
		return b, err
	}
	switch lost := h.returnNumbers(ctx); {
	case lost == nil:
		return b, err
	case h.caller != nil:
		// The error has ended the caller's transaction.
		return Booking{}, lost
	default:
		h.store.log.WarnContext(ctx, "booking: numbers of hold limits were not returned", "error", lost)
		return b, err
	}
}

func (h *holder) take(ctx context.Context, req HoldRequest) (Booking, error) {
	if req.Party == 0 {
		req.Party = 1
	}
	r, err := h.rules(ctx, req)
	if err != nil {
		return h.refuse(ctx, req, r, err)
	}
	for range maxAttempts {
		if err := ctx.Err(); err != nil {
			return Booking{}, err
		}
		b, row, known, err := h.attempt(ctx, req, r)
		if err != nil || row.Held {
			return b, err
		}
		if !known {
			// The cached rules are out of date, or the resource is gone.
			if r, err = h.reload(ctx, req); err != nil {
				return h.refuse(ctx, req, r, err)
			}
			continue
		}
		if b, found, err := h.repeated(ctx, req, r); found || err != nil {
			return b, err
		}
		if row.Repeats {
			// The booking under the key was released meanwhile; it may have been the one
			// in the way.
			continue
		}
		switch {
		case row.TooSoon:
			return Booking{}, problems{"start": tooSoon}.err()
		case row.TooFar:
			return Booking{}, problems{"start": tooFar}.err()
		case row.LimitScope != "":
			return Booking{}, &HoldLimitError{Scope: row.LimitScope, Limit: *row.LimitAllowed,
				Until: row.LimitUntil.UTC()}
		case row.Free >= req.Party:
			// Another transaction took some of the picked units, or a number of a limit,
			// which the next statement sees, or another booking has the same Number.
			// (Above READ COMMITTED, the error is 40001 instead.)
		case row.Lapsed:
			from, to := r.blocked(req.Start)
			if err := h.releaseExpiredIn(ctx, r.ID, from, to); err != nil {
				return Booking{}, err
			}
		case row.Heads >= req.Party:
			if err := h.reassign(ctx, r, req.Start, req.Party); err != nil {
				return Booking{}, err
			}
		default:
			return Booking{}, ErrSlotTaken
		}
	}
	return Booking{}, errContention
}

// known = false: the resource does not have the rules any more.
func (h *holder) attempt(ctx context.Context, req HoldRequest,
	r *rules) (b Booking, row holdRow, known bool, err error) {
	// Each attempt has another id, see numbersSQL.
	v7, err := uuid.NewV7()
	if err != nil {
		return Booking{}, row, false, fmt.Errorf("make an id: %w", err)
	}
	id := v7.String()
	token, secret, nonce := h.store.newOwnerToken(id)
	from, to := r.blocked(req.Start)
	amount, _ := r.Price.times(req.Party)
	b = Booking{
		ID: id, Kind: KindBooking, ResourceID: r.ID, Offer: req.Offer, Start: req.Start.UTC(),
		End: req.Start.Add(r.SlotLength).UTC(), Party: req.Party, Status: StatusPending,
		Customer: req.Customer, Amount: amount, Policy: r.Policy, Reference: req.Reference,
		IdempotencyKey: req.IdempotencyKey, Note: req.Note, Language: req.Language,
	}
	if len(req.Metadata) > 0 {
		b.Metadata = maps.Clone(req.Metadata)
	}
	args := []any{
		id, r.ID, r.version, b.Start, b.End, from.UTC(), to.UTC(), b.Party, b.Customer.FirstName, b.Customer.LastName,
		b.Customer.Email, amount.Minor, amount.Currency, b.Reference, b.IdempotencyKey, req.hash(r.ID),
		metadataJSON(req.Metadata), b.Offer, Actor(ctx),
	}
	args = append(append(args, h.store.limitArgs(req)...), secret, nonce, req.Customer.Phone, req.Note,
		req.Language)
	run := h.run
	if h.caller == nil {
		run = h.store.change
	}
	err = run(ctx, func(q Querier) (err error) {
		row, known, err = selectOne[holdRow](ctx, q, holdSQL, args...)
		if err == nil && row.Held {
			b.Number, b.HoldExpiresAt = *row.Number, row.HoldExpiresAt.UTC()
			b.CreatedAt, b.UpdatedAt = row.CreatedAt.UTC(), row.UpdatedAt.UTC()
			err = h.store.tell(ctx, q, changed("", b, Actor(ctx), ""))
		}
		return err
	})
	if err != nil || !row.Held {
		if row.Numbers > 0 && !row.Held {
			h.lost = append(h.lost, id)
		}
		return Booking{}, row, known, err
	}
	b.OwnerToken = token
	return b, row, known, nil
}

// rules returns the cached rules if the request is valid by them, else the database's.
func (h *holder) rules(ctx context.Context, req HoldRequest) (*rules, error) {
	if r, ok := h.store.cache.get(req.Resource); ok && len(req.check()) == 0 {
		if sold, p := r.forRequest(req); len(p) == 0 {
			return sold, nil
		}
	}
	return h.reload(ctx, req)
}

func (h *holder) reload(ctx context.Context, req HoldRequest) (*rules, error) {
	p := req.check()
	r, err := h.store.load(ctx, h.run, req.Resource)
	if errors.Is(err, ErrNotFound) {
		p.add("resource", "does not exist")
		return nil, &ValidationError{Fields: p, cause: ErrNotFound}
	}
	if err != nil {
		return nil, err
	}
	r, wrong := r.forRequest(req)
	p.merge(wrong)
	p.add("start", r.timing(req.Start, r.clock))
	return r, p.err()
}

// refuse returns the refusal, unless the request was accepted before under its key.
func (h *holder) refuse(ctx context.Context, req HoldRequest, r *rules, refusal error) (Booking, error) {
	if r == nil || len(req.check()) > 0 {
		return Booking{}, refusal
	}
	if b, found, err := h.repeated(ctx, req, r); found || err != nil {
		return b, err
	}
	return Booking{}, refusal
}

// repeated returns the customer's booking under the request's key.
func (h *holder) repeated(ctx context.Context, req HoldRequest, r *rules) (b Booking, found bool, err error) {
	if req.IdempotencyKey == "" {
		return Booking{}, false, nil
	}
	var row bookingRow
	err = h.run(ctx, func(q Querier) (err error) {
		row, found, err = selectOne[bookingRow](ctx, q, bookingByKeySQL, req.IdempotencyKey,
			quotaKey(customerKey(req.Customer.Email)))
		return err
	})
	if err != nil || !found {
		return Booking{}, false, err
	}
	if !bytes.Equal(row.RequestHash, req.hash(r.ID)) {
		return Booking{}, true, ErrIdempotencyMismatch
	}
	b, err = h.store.bookingWithToken(row)
	return b, true, err
}

// Check returns the [*ValidationError] that [Store.Hold] would return, or nil if Hold
// would go on to the limits and the slot, and changes nothing. A request accepted before
// under its idempotency key may be refused here. No round trip if the cached rules accept
// it, else one.
func (s *Store) Check(ctx context.Context, req HoldRequest) error {
	if req.Party == 0 {
		req.Party = 1
	}
	h := &holder{store: s, run: s.read}
	_, err := h.rules(ctx, req)
	return wrap(ctx, "check", err)
}
