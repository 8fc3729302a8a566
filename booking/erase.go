package booking

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/booking-platform/booking-platform/internal/valid"
)

// Erasure is how many rows [Store.Erase] or [Store.EraseCustomer] changed, and which
// bookings keep their customer.
type Erasure struct {
	// Bookings lost their customer, Changes of their history the reason; HoldNumbers of
	// limits were deleted.
	Bookings, Changes, HoldNumbers int
	// NotOver are the ids, sorted, of bookings that are still held, or neither ended nor
	// cancelled.
	NotOver []string
}

func (e *Erasure) add(o Erasure) {
	e.Bookings += o.Bookings
	e.Changes += o.Changes
	e.HoldNumbers += o.HoldNumbers
	e.NotOver = append(e.NotOver, o.NotOver...)
}

const (
	// overSQL: a booking b can no longer take place.
	overSQL = `(b.status IN ('cancelled', 'expired')
    OR b.status IN ('confirmed', 'completed', 'no_show') AND upper(b.during) <= statement_timestamp())`
	// personalSQL: a booking b has data of its customer, or a hash of it.
	personalSQL = `(b.first_name <> '' OR b.last_name <> '' OR b.email <> '' OR b.phone <> '' OR b.note <> ''
    OR b.reason <> '' OR b.metadata <> '{}'
    OR b.idempotency_key IS NOT NULL OR b.customer_hash IS NOT NULL OR b.request_hash IS NOT NULL
    OR b.owner_nonce IS NOT NULL)`
)

// A booking that another transaction changes is waited for, and judged as it is then.
// Numbers of hold limits are locked without waiting, as by ReleaseExpired: holds lock
// them in another order.
const eraseSQL = `
WITH asked AS MATERIALIZED (
    SELECT a::uuid AS id FROM jsonb_array_elements_text($1::jsonb) AS a
), locked AS MATERIALIZED (
    SELECT b.id, ` + overSQL + ` AS over, ` + personalSQL + ` AS personal
    FROM booking_platform.bookings b
    WHERE b.id IN (SELECT a.id FROM asked a) AND b.kind = 'booking'
    ORDER BY b.id
    FOR NO KEY UPDATE
), erased AS (
    UPDATE booking_platform.bookings b
    SET first_name = '', last_name = '', email = '', phone = '', note = '', reason = '', metadata = '{}', idempotency_key = NULL,
        customer_hash = NULL, request_hash = NULL, owner_secret = '', owner_nonce = NULL,
        updated_at = statement_timestamp()
    FROM locked l WHERE b.id = l.id AND l.over AND l.personal
    RETURNING b.id
), changes AS (
    UPDATE booking_platform.booking_history h SET reason = ''
    FROM locked l WHERE h.booking_id = l.id AND l.over AND h.reason <> ''
    RETURNING h.id
), free AS MATERIALIZED (
    SELECT q.scope, q.key, q.number
    FROM locked l JOIN booking_platform.hold_quota q ON q.booking_id = l.id
    WHERE l.over
    FOR UPDATE OF q SKIP LOCKED
), numbers AS (
    DELETE FROM booking_platform.hold_quota q
    USING free f WHERE q.scope = f.scope AND q.key = f.key AND q.number = f.number
    RETURNING q.number
)
SELECT (SELECT count(*) FROM erased) AS bookings, (SELECT count(*) FROM changes) AS changes,
       (SELECT count(*) FROM numbers) AS numbers,
       (SELECT COALESCE(string_agg(l.id::text, ',' ORDER BY l.id), '') FROM locked l WHERE NOT l.over) AS not_over`

const eraseDrySQL = `
WITH locked AS MATERIALIZED (
    SELECT b.id, ` + overSQL + ` AS over, ` + personalSQL + ` AS personal
    FROM booking_platform.bookings b
    WHERE b.id IN (SELECT a::uuid FROM jsonb_array_elements_text($1::jsonb) AS a) AND b.kind = 'booking'
)
SELECT (SELECT count(*) FROM locked l WHERE l.over AND l.personal) AS bookings,
       (SELECT count(*) FROM locked l JOIN booking_platform.booking_history h ON h.booking_id = l.id
        WHERE l.over AND h.reason <> '') AS changes,
       (SELECT count(*) FROM locked l JOIN booking_platform.hold_quota q ON q.booking_id = l.id
        WHERE l.over) AS numbers,
       (SELECT COALESCE(string_agg(l.id::text, ',' ORDER BY l.id), '') FROM locked l WHERE NOT l.over) AS not_over`

type erasureRow struct {
	Bookings int    `db:"bookings"`
	Changes  int    `db:"changes"`
	Numbers  int    `db:"numbers"`
	NotOver  string `db:"not_over"`
}

// EraseOptions adjust [Store.Erase] and [Store.EraseCustomer].
type EraseOptions struct {
	// DryRun changes nothing and counts what would be erased.
	DryRun bool
}

// Erase removes the customer from bookings that are over: cancelled, expired, or ended.
// Name, address, phone, note, metadata, reasons, idempotency key and the hashes made of
// them become empty, and the customer's link ends. The books keep the resource, times,
// party, status, amounts, refunds, reference, and the history with its actors.
//
// Bookings that are not over are in [Erasure.NotOver]; unknown ids, blocks and erased
// bookings are passed over. A repetition changes nothing. Replaced rows stay in the
// database's files until a vacuum, and in backups.
//
// One statement for up to 500 bookings, which waits for transactions that change them,
// and is repeated until it changes nothing. Safe on several replicas.
func (s *Store) Erase(ctx context.Context, ids []string, opts EraseOptions) (Erasure, error) {
	query := eraseSQL
	if opts.DryRun {
		query = eraseDrySQL
	}
	var all Erasure
	for len(ids) > 0 {
		n := min(len(ids), batchSize)
		one, err := s.eraseBatch(ctx, query, ids[:n])
		all.add(one)
		if err != nil {
			return all, wrap(ctx, "erase", err)
		}
		ids = ids[n:]
	}
	return all, nil
}

// eraseBatch erases again after a change: a statement that waited for a cancellation does
// not see the entry that this added to the history.
func (s *Store) eraseBatch(ctx context.Context, query string, ids []string) (Erasure, error) {
	var e Erasure
	for {
		var row erasureRow
		err := s.run(ctx, func(q Querier) (err error) {
			row, _, err = selectOne[erasureRow](ctx, q, query, idArray(ids))
			return err
		})
		if err != nil {
			return e, err
		}
		e.NotOver = nil
		if row.NotOver != "" {
			e.NotOver = strings.Split(row.NotOver, ",")
		}
		e.add(Erasure{Bookings: row.Bookings, Changes: row.Changes, HoldNumbers: row.Numbers})
		if row.Bookings == 0 || query == eraseDrySQL {
			return e, nil
		}
	}
}

func idArray(ids []string) string {
	known := make([]string, 0, len(ids))
	for _, id := range ids {
		if isID(id) {
			known = append(known, id)
		}
	}
	// Strings cannot fail.
	text, _ := json.Marshal(known)
	return string(text)
}

// EraseCustomer is [Store.Erase] for all bookings of an e-mail address, compared as
// [ListOptions.Customer]. A program that takes payments uses package customers, which
// also erases what payments and the ledger keep.
func (s *Store) EraseCustomer(ctx context.Context, email string, opts EraseOptions) (Erasure, error) {
	ids, err := s.CustomerBookings(ctx, email)
	if err != nil {
		return Erasure{}, err
	}
	return s.Erase(ctx, ids, opts)
}

// CustomerBookings returns the ids of all bookings of an e-mail address, oldest first;
// none for "". One round trip for 500.
func (s *Store) CustomerBookings(ctx context.Context, email string) ([]string, error) {
	if email == "" {
		return nil, nil
	}
	var ids []string
	opts := ListOptions{Customer: email, Kind: KindBooking, Order: OldestFirst, Limit: 500}
	for {
		page, err := s.List(ctx, opts)
		if err != nil {
			return nil, err
		}
		for _, b := range page.Bookings {
			ids = append(ids, b.ID)
		}
		if opts.After = page.Next; opts.After == "" {
			return ids, nil
		}
	}
}

// actorPage is how many rows of the history one statement of EraseActor reads.
const actorPage = 5000

// There is no index on the actor, which every change would have to write.
const eraseActorSQL = `
WITH page AS MATERIALIZED (
    SELECT h.booking_id, h.id, h.actor FROM booking_platform.booking_history h
    WHERE (h.booking_id, h.id) > ($1::uuid, $2::bigint)
    ORDER BY h.booking_id, h.id
    LIMIT $5::integer
), erased AS (
    UPDATE booking_platform.booking_history h SET actor = $4::text
    FROM page p WHERE h.booking_id = p.booking_id AND h.id = p.id AND lower(p.actor) = lower($3::text)
    RETURNING h.id
), last AS (
    SELECT p.booking_id, p.id FROM page p ORDER BY p.booking_id DESC, p.id DESC LIMIT 1
)
SELECT (SELECT count(*) FROM page) AS seen, (SELECT count(*) FROM erased) AS erased,
       (SELECT l.booking_id::text FROM last l) AS booking_id, (SELECT l.id FROM last l) AS id`

type actorPageRow struct {
	Seen      int     `db:"seen"`
	Erased    int     `db:"erased"`
	BookingID *string `db:"booking_id"`
	ID        *int64  `db:"id"`
}

// EraseActor removes a person from the actors of the history, see [WithActor]:
// "user:ada@example.com" becomes "user:erased". It returns how many entries changed. The
// whole history is read, in statements of 5,000 rows. Safe on several replicas.
func (s *Store) EraseActor(ctx context.Context, actor string) (int, error) {
	erased, after, id := 0, "00000000-0000-0000-0000-000000000000", int64(0)
	if actor == "" || actor == valid.ErasedActor(actor) {
		return 0, nil
	}
	for {
		var row actorPageRow
		err := s.run(ctx, func(q Querier) (err error) {
			row, _, err = selectOne[actorPageRow](ctx, q, eraseActorSQL, after, id, actor, valid.ErasedActor(actor),
				actorPage)
			return err
		})
		erased += row.Erased
		if err != nil {
			return erased, wrap(ctx, "erase actor", err)
		}
		if row.Seen < actorPage {
			return erased, nil
		}
		if row.BookingID == nil || row.ID == nil {
			return erased, wrap(ctx, "erase actor", fmt.Errorf("a page has no last row: %w", errRetry))
		}
		after, id = *row.BookingID, *row.ID
	}
}
