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

// Hold takes a slot for a party, for as long as the resource's HoldFor, but not beyond
// the start of the slot, and returns the pending booking. All of the party get in, or
// none. On any number of replicas, no unit is ever held twice, and while a hold whose
// time has passed is in the way, it is released at once: nobody is refused because of it.
// Nor is anybody because of where others sit: where enough heads are free and no set of
// units is, neighbours get other units, which nobody notices.
//
// Without contention it is one round trip, once the resource's rules are in memory, and a
// refusal is one too; they are checked with every hold, so that nothing is sold by rules
// that were changed meanwhile: a hold waits for [Store.ApplyResource]. Under contention
// it tries again, until ctx ends at the latest, and it waits for transactions of others
// that have taken the same units, or the same number of a limit, and not ended yet.
// Expired holds and neighbours in the way cost a transaction each, and the statement
// again.
//
// The errors:
//   - [*ValidationError] names every field that is wrong: resource, offer, start, party,
//     firstName, lastName, email, reference, idempotencyKey, metadata, client. An offer
//     that the resource does not have, or that is not active, is wrong. When the resource
//     does not exist, errors.Is(err, [ErrNotFound]) holds too.
//   - [ErrSlotTaken]: the slot exists, but fewer heads are free than the party needs.
//   - [ErrTooManyHolds], a [*HoldLimitError]: the e-mail address or the client has as
//     many open holds and upcoming free bookings as [Options] allow. It is looked at
//     before the slot is.
//   - [ErrIdempotencyMismatch]: the customer used the key for another request.
//
// With an idempotency key, a repeat of the same request by the same customer returns the
// booking the first one made, whatever the limits. It may have moved on since: see its
// Status. After [Store.Release] the key is free again.
//
// The booking has its OwnerToken, where the store has secrets for it, and its history
// begins with the hold, by the actor of ctx ([WithActor]).
//
// A context or a connection that ends while a statement runs leaves open whether the slot
// is held: without a key, it may be held until its time has passed. With one, the same
// request asked again tells.
func (s *Store) Hold(ctx context.Context, req HoldRequest) (Booking, error) {
	h := &holder{store: s, run: s.run}
	b, err := h.hold(ctx, req)
	return b, wrap(ctx, "hold", err)
}

// maxAttempts bounds how often a hold tries again. Each time it does, somebody else has
// got units or given some back, so this many in a row mean that something is wrong.
const maxAttempts = 200

// holder takes a slot: for the store, or in a caller's transaction.
type holder struct {
	store *Store
	run   runner
	// caller is the connection of the caller's transaction; nil for the store's own.
	caller Querier
	// reassigns counts the calls of reassign for a hold in a caller's transaction.
	reassigns int
	// lost are the ids of attempts that got the numbers of an open hold, and then no
	// booking.
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
		// Its transaction has ended with that.
		return Booking{}, lost
	default:
		h.store.log.WarnContext(ctx, "booking: numbers of open holds are left", "error", lost)
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
			// The rules in memory are gone, or the resource is.
			if r, err = h.reload(ctx, req); err != nil {
				return h.refuse(ctx, req, r, err)
			}
			continue
		}
		if b, found, err := h.repeated(ctx, req, r); found || err != nil {
			return b, err
		}
		if row.Repeats {
			// It was given back since, with its key: what was in the way may have been
			// this very booking.
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
			// Somebody took some of the units that were picked, or a number; enough may
			// be left. A new statement sees them: each is a transaction of its own, or
			// one in a caller's READ COMMITTED transaction. Above READ COMMITTED this is
			// never reached: Postgres answers such a conflict with 40001.
		case row.Lapsed:
			from, to := r.blocked(req.Start)
			if err := h.releaseExpiredIn(ctx, r.ID, from, to); err != nil {
				return Booking{}, err
			}
		case row.Heads >= req.Party:
			// Enough heads are free and no set of units is: neighbours get other units.
			if err := h.reassign(ctx, r, req.Start, req.Party); err != nil {
				return Booking{}, err
			}
		default:
			return Booking{}, ErrSlotTaken
		}
	}
	return Booking{}, errContention
}

// attempt runs the statement once; known is false when the resource no longer has the
// rules it names.
func (h *holder) attempt(ctx context.Context, req HoldRequest,
	r *rules) (b Booking, row holdRow, known bool, err error) {
	// Each attempt has an id of its own; see numbersSQL.
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
		IdempotencyKey: req.IdempotencyKey,
	}
	args := []any{
		id, r.ID, r.version, b.Start, b.End, from.UTC(), to.UTC(), b.Party, b.Customer.FirstName, b.Customer.LastName,
		b.Customer.Email, amount.Minor, amount.Currency, b.Reference, b.IdempotencyKey, req.hash(r.ID),
		metadataJSON(req.Metadata), b.Offer, Actor(ctx),
	}
	args = append(append(args, h.store.limits(req)...), secret, nonce)
	err = h.run(ctx, func(q Querier) (err error) {
		row, known, err = selectOne[holdRow](ctx, q, holdSQL, args...)
		return err
	})
	if err != nil || !row.Held {
		if row.Numbers > 0 {
			h.lost = append(h.lost, id)
		}
		return Booking{}, row, known, err
	}
	b.HoldExpiresAt, b.CreatedAt, b.UpdatedAt = row.HoldExpiresAt.UTC(), row.CreatedAt.UTC(), row.UpdatedAt.UTC()
	b.OwnerToken = token
	if len(req.Metadata) > 0 {
		b.Metadata = maps.Clone(req.Metadata)
	}
	return b, row, known, nil
}

// rules returns those in memory if the request is right by them; a refusal is given only
// by rules that were just read.
func (h *holder) rules(ctx context.Context, req HoldRequest) (*rules, error) {
	if r, ok := h.store.cache.get(req.Resource); ok && len(req.check()) == 0 {
		if sold, p := r.selling(req); len(p) == 0 {
			return sold, nil
		}
	}
	return h.reload(ctx, req)
}

// reload reads the rules and checks everything about the request at once.
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
	r, wrong := r.selling(req)
	p.merge(wrong)
	p.add("start", r.timing(req.Start, r.clock))
	return r, p.err()
}

// refuse gives a refusal, unless the same request was accepted before under its key: what
// has been accepted stays so, though the slot may have passed meanwhile, or the rules may
// have changed.
func (h *holder) refuse(ctx context.Context, req HoldRequest, r *rules, refusal error) (Booking, error) {
	if r == nil || len(req.check()) > 0 {
		return Booking{}, refusal
	}
	if b, found, err := h.repeated(ctx, req, r); found || err != nil {
		return b, err
	}
	return Booking{}, refusal
}

// repeated returns the booking that the customer made under the request's key, if there
// is one.
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
	b, err = h.store.told(row)
	return b, true, err
}

// Check returns the [*ValidationError] that [Store.Hold] would return for a request, and
// nil where Hold would go on to look at the limits and the slot. It takes nothing and
// counts nothing, so that a caller can tell a request that is wrong from one that is to
// be limited. What was accepted before under an idempotency key may be refused here and
// answered by Hold. No round trip where the resource's rules are in memory and the
// request is right by them, else one.
func (s *Store) Check(ctx context.Context, req HoldRequest) error {
	if req.Party == 0 {
		req.Party = 1
	}
	h := &holder{store: s, run: s.read}
	_, err := h.rules(ctx, req)
	return wrap(ctx, "check", err)
}
