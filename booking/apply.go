package booking

import (
	"context"
	"errors"
	"fmt"
)

// ApplyOptions are how [Store.ApplyResource] works; the zero value applies.
type ApplyOptions struct {
	// DryRun finds out what would change, and what would be refused, and writes nothing.
	// It locks nothing either: what it says may be out of date by the time it is read.
	DryRun bool
}

// Applied is what [Store.ApplyResource] did, or would do.
type Applied struct {
	// Resource is the resource as stored; of a dry run, as it would be.
	Resource Resource
	// Created tells that there was none with this slug.
	Created bool
	// Changes are the fields that changed, in the order of [Resource]; none where it was
	// so already, or was created.
	Changes []FieldChange
}

// ApplyResource makes the resource with this slug what r says: it is created where there
// is none, and changed in every field that differs. What r leaves out is its default, not
// what was there before. It is idempotent: applying what [Store.Resource] returned
// changes nothing. ID, CreatedAt and UpdatedAt of what is passed are not looked at;
// Active is.
//
// What is sold stays as it is, with its times and its price, however hours, lengths, zone
// or prices change. Nothing is sold by the old rules once ApplyResource has returned, on
// any number of replicas: it waits for the holds that are being made, and they for it. Of
// two calls for one slug at once, one comes after the other.
//
// A smaller capacity needs room: a [*CapacityError] tells that more heads than that are
// sold at some instant from now on, by the database's clock; nothing has changed then.
// What is over does not count, nor do holds whose time has passed, which are released.
// Bookings on units that will be gone get other ones in the same transaction.
//
// A [*ValidationError] names every field that is wrong, as for [Store.CreateResource].
// One transaction of three statements, four to six with a smaller capacity.
func (s *Store) ApplyResource(ctx context.Context, r Resource, opts ApplyOptions) (Applied, error) {
	r = r.withDefaults()
	if err := r.check().err(); err != nil {
		return Applied{}, wrap(ctx, "apply resource", err)
	}
	if opts.DryRun {
		var out Applied
		err := s.read(ctx, func(q Querier) (err error) {
			out, err = planResource(ctx, q, r)
			return err
		})
		return out, wrap(ctx, "apply resource", err)
	}
	out, err := s.applyResource(ctx, r)
	return out, wrap(ctx, "apply resource", err)
}

func (s *Store) applyResource(ctx context.Context, r Resource) (Applied, error) {
	var out Applied
	for n := 0; ; n++ {
		var stored *rules
		err := s.transact(ctx, func(q Querier) (err error) {
			stored, out, err = applyLocked(ctx, q, r)
			return err
		})
		var lapsed *lapsedError
		switch {
		case err == nil:
			s.cache.put(stored)
			out.Resource = stored.copy()
			return out, nil
		case errors.As(err, &lapsed) && n < maxAttempts:
			// Outside of the transaction, as every hold does: who waits for a booking
			// keeps nothing locked.
			if err := s.makeRoom(ctx, lapsed.resource, lapsed.from, lapsed.to); err != nil {
				return Applied{}, err
			}
		case IsRetryable(err) && n < maxReruns:
			s.log.DebugContext(ctx, "booking: run again", "sqlstate", sqlState(err), "run", n+1)
		default:
			return Applied{}, err
		}
	}
}

// planResource says what would happen.
func planResource(ctx context.Context, q Querier, r Resource) (Applied, error) {
	old, err := readRules(ctx, q, r.Slug)
	if errors.Is(err, ErrNotFound) {
		return Applied{Resource: r, Created: true}, nil
	}
	if err != nil {
		return Applied{}, err
	}
	if r.Capacity < old.Capacity {
		sold, err := readSold(ctx, q, old.ID)
		if err == nil {
			err = sold.without(true).fit(ctx, q, r.Capacity)
		}
		if err != nil {
			return Applied{}, err
		}
	}
	r.ID, r.CreatedAt, r.UpdatedAt = old.ID, old.CreatedAt, old.UpdatedAt
	return Applied{Resource: r, Changes: fieldChanges(old.Resource, r)}, nil
}

// FOR UPDATE waits for holds that are being made, because those lock the row FOR KEY
// SHARE, and keeps others waiting. What is read of a resource comes from other tables
// too: a statement of its own, after the lock, sees them as they are.
const lockResourceSQL = `
SELECT r.id::text AS id FROM booking_platform.resources r WHERE r.slug = $1::text FOR UPDATE`

// applyLocked creates the resource, or locks and changes it.
func applyLocked(ctx context.Context, q Querier, r Resource) (*rules, Applied, error) {
	type row struct {
		ID string `db:"id"`
	}
	locked, found, err := selectOne[row](ctx, q, lockResourceSQL, r.Slug)
	if err != nil {
		return nil, Applied{}, err
	}
	if !found {
		id, created, err := insertResource(ctx, q, r, r.Active)
		if err == nil && !created {
			// Somebody else has just made one.
			err = fmt.Errorf("another one was created meanwhile: %w", errRunAgain)
		}
		if err != nil {
			return nil, Applied{}, err
		}
		stored, err := readRules(ctx, q, id)
		return stored, Applied{Created: true}, err
	}
	old, err := readRules(ctx, q, locked.ID)
	if err != nil {
		return nil, Applied{}, err
	}
	changed := fieldChanges(old.Resource, r)
	if len(changed) == 0 {
		return old, Applied{}, nil
	}
	if r.Capacity < old.Capacity {
		if err := lowerCapacity(ctx, q, old.ID, r.Capacity); err != nil {
			return nil, Applied{}, err
		}
	}
	if err := updateResource(ctx, q, old.ID, r); err != nil {
		return nil, Applied{}, err
	}
	stored, err := readRules(ctx, q, old.ID)
	return stored, Applied{Changes: changed}, err
}
