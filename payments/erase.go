package payments

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/google/uuid"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/internal/valid"
	"github.com/booking-platform/booking-platform/webhook"
)

// Matter is why the customer of a payment is still needed.
type Matter string

// The matters of [Payments.Unsettled].
const (
	// MatterCheckout: the Checkout Session can still be paid.
	MatterCheckout Matter = "checkout_open"
	// MatterProcessing: completed with a delayed payment method; money may still come.
	MatterProcessing Matter = "processing"
	// MatterParked: an operator has to decide about the money.
	MatterParked Matter = "parked"
	// MatterDispute: a dispute is open.
	MatterDispute Matter = "dispute_open"
	// MatterRefundDue: a refund is not made at Stripe yet.
	MatterRefundDue Matter = "refund_due"
	// MatterRefundPending: a refund is on its way.
	MatterRefundPending Matter = "refund_pending"
	// MatterRefundFailed: a refund was refused, and no other covers it.
	MatterRefundFailed Matter = "refund_failed"
	// MatterRefundUnknown: Stripe has refunded what has no row here yet.
	MatterRefundUnknown Matter = "refund_unknown"
)

// Forceable reports whether the customer may be erased all the same, because what is left
// to do needs Stripe's ids alone. Money that can still arrive forbids it.
func (m Matter) Forceable() bool { return m != MatterCheckout && m != MatterProcessing }

// Unsettled is a payment with one of its matters.
type Unsettled struct {
	PaymentID, BookingID string
	Matter               Matter
}

// What is left of the parameters of an erased customer's payment p: a mark, by which late
// events do not bring the customer back, and what refunds need.
const erasedParametersSQL = `json_strip_nulls(json_build_object('erased', true, 'transfer', p.parameters -> 'transfer',
		'fee', p.parameters -> 'fee'))`

const (
	askedBookingsSQL = `
asked AS MATERIALIZED (SELECT a::uuid AS id FROM jsonb_array_elements_text($1::jsonb) AS a)`

	// unsettledSQL yields each matter of the payments o of the bookings asked for.
	unsettledSQL = `
of_asked AS MATERIALIZED (
	SELECT o.id, o.booking_id, o.completed, o.expired, o.failed, o.parked, o.captured_minor, o.refund_committed,
		o.dispute_lost_minor, o.disputes_open, o.refunds_unknown
	FROM booking_platform.payments o WHERE o.booking_id IN (SELECT a.id FROM asked a)
), unsettled (payment_id, booking_id, matter) AS (
	SELECT p.id, p.booking_id, 'checkout_open' FROM of_asked p WHERE NOT p.completed AND NOT p.expired AND NOT p.failed
	UNION ALL
	SELECT p.id, p.booking_id, 'processing' FROM of_asked p
	WHERE p.completed AND p.captured_minor = 0 AND NOT p.expired AND NOT p.failed AND NOT p.parked
	UNION ALL
	SELECT p.id, p.booking_id, 'parked' FROM of_asked p WHERE ` + waitsParkedSQL + `
	UNION ALL
	SELECT p.id, p.booking_id, 'dispute_open' FROM of_asked p WHERE ` + waitsDisputedSQL + `
	UNION ALL
	SELECT p.id, p.booking_id, 'refund_unknown' FROM of_asked p WHERE p.refunds_unknown > 0
	UNION ALL
	SELECT DISTINCT p.id, p.booking_id, CASE r.status WHEN 'due' THEN 'refund_due' ELSE 'refund_pending' END
	FROM of_asked p JOIN booking_platform.refunds r ON r.payment_id = p.id WHERE r.status IN ('due', 'pending')
	UNION ALL
	SELECT DISTINCT p.id, p.booking_id, 'refund_failed'
	FROM of_asked p JOIN (` + waitsRefusedSQL + `) f ON f.payment_id = p.id
)`

	listUnsettledSQL = `WITH ` + askedBookingsSQL + `,` + unsettledSQL + `
SELECT u.payment_id::text, u.booking_id::text, u.matter FROM unsettled u ORDER BY u.payment_id, u.matter`
)

// Unsettled returns why the customers of bookings are still needed, by the payments' ids,
// over all accounts. One round trip for up to 500 bookings.
func (p *Payments) Unsettled(ctx context.Context, bookingIDs []string) ([]Unsettled, error) {
	var out []Unsettled
	for chunk := range slices.Chunk(bookingIDs, eraseBatch) {
		err := p.read(ctx, "list what is not settled", func(q booking.Querier) error {
			rows, err := q.QueryContext(ctx, listUnsettledSQL, idArray(chunk))
			if err != nil {
				return err
			}
			defer func() { _ = rows.Close() }()
			for rows.Next() {
				var u Unsettled
				if err := rows.Scan(&u.PaymentID, &u.BookingID, &u.Matter); err != nil {
					return err
				}
				out = append(out, u)
			}
			return rows.Err()
		})
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

// UnsettledBookings returns the bookings that [Payments.Unsettled] has matters of, for
// booking.Options.KeepPersonalData.
func (p *Payments) UnsettledBookings(ctx context.Context, ids []string) ([]string, error) {
	all, err := p.Unsettled(ctx, ids)
	var out []string
	for _, u := range all {
		if !slices.Contains(out, u.BookingID) {
			out = append(out, u.BookingID)
		}
	}
	return out, err
}

const ofBookingsSQL = `SELECT ` + paymentColumns + ` FROM booking_platform.payments p
WHERE p.booking_id IN (SELECT a::uuid FROM jsonb_array_elements_text($1::jsonb) AS a) ORDER BY p.id`

// OfBookings returns all payments of bookings, of every account, by id.
// [Payments.ForBooking] returns the one that counts. One round trip for 500 bookings.
func (p *Payments) OfBookings(ctx context.Context, bookingIDs []string) ([]Payment, error) {
	var out []Payment
	for chunk := range slices.Chunk(bookingIDs, eraseBatch) {
		err := p.read(ctx, "list the payments of bookings", func(q booking.Querier) error {
			rows, err := q.QueryContext(ctx, ofBookingsSQL, idArray(chunk))
			if err != nil {
				return err
			}
			defer func() { _ = rows.Close() }()
			for rows.Next() {
				pay, err := scanPayment(rows)
				if err != nil {
					return err
				}
				out = append(out, pay)
			}
			return rows.Err()
		})
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

// Erasure counts the rows that [Payments.Erase] changed.
type Erasure struct {
	Payments, Refunds int
	// Unsettled has the matters that prevented an erasure, or that EraseOptions.Force
	// passed over.
	Unsettled []Unsettled
}

// EraseOptions adjust [Payments.Erase].
type EraseOptions struct {
	// DryRun changes nothing and counts what would be erased.
	DryRun bool
	// Force also erases payments whose matters are all [Matter.Forceable].
	Force bool
}

// eraseBatch is how many bookings one statement names.
const eraseBatch = 500

const (
	// chosenSQL selects the payments o that may be erased; $2 is Force.
	chosenSQL = `
	SELECT o.id, NOT coalesce(o.parameters ->> 'erased', '') = 'true' OR o.checkout_url <> '' AS personal
	FROM booking_platform.payments o
	WHERE o.booking_id IN (SELECT a.id FROM asked a) AND (o.completed OR o.expired OR o.failed) AND NOT EXISTS (
		SELECT FROM unsettled u WHERE u.payment_id = o.id
			AND NOT ($2::boolean AND u.matter NOT IN ('checkout_open', 'processing')))`

	// refundPersonalSQL: a refund r has an operator's text, which may be about the
	// customer.
	refundPersonalSQL = `(r.reason <> '' OR r.origin = 'request' AND r.cause NOT LIKE 'erased:%')`

	// causeDigestSQL replaces a cause, so that the same cause still finds its refund.
	causeDigestSQL = `'erased:' || encode(sha256(convert_to(%s::text || chr(10) || %s, 'UTF8')), 'hex')`
)

var eraseSQL = `WITH ` + askedBookingsSQL + `,` + unsettledSQL + `,
chosen AS MATERIALIZED (` + chosenSQL + `
	ORDER BY o.id
	FOR NO KEY UPDATE
), erased AS (
	UPDATE booking_platform.payments AS p
	SET parameters = ` + erasedParametersSQL + `, checkout_url = '', updated_at = statement_timestamp()
	FROM chosen c WHERE p.id = c.id AND c.personal
	RETURNING p.id
), texts AS (
	UPDATE booking_platform.refunds AS r SET reason = '', updated_at = statement_timestamp(),
		cause = CASE WHEN r.origin = 'request' AND r.cause NOT LIKE 'erased:%'
			THEN ` + fmt.Sprintf(causeDigestSQL, "r.payment_id", "r.cause") + ` ELSE r.cause END
	FROM chosen c WHERE r.payment_id = c.id AND ` + refundPersonalSQL + `
	RETURNING r.id
)
SELECT (SELECT count(*) FROM erased), (SELECT count(*) FROM texts)`

const eraseDrySQL = `WITH ` + askedBookingsSQL + `,` + unsettledSQL + `,
chosen AS MATERIALIZED (` + chosenSQL + `
)
SELECT (SELECT count(*) FROM chosen c WHERE c.personal),
	(SELECT count(*) FROM chosen c JOIN booking_platform.refunds r ON r.payment_id = c.id WHERE ` + refundPersonalSQL + `)`

// Erase removes the customer from the settled payments of bookings: the parameters of the
// Checkout Session, its URL, and operators' reasons and causes for refunds. A digest
// replaces such a cause, so that a repeated [Payments.Refund] still finds its refund.
// Ids, amounts, statuses, times and actors stay.
//
// Payments with a matter that [Payments.Unsettled] lists stay as they are. A repetition
// changes nothing. Afterwards [Payments.IsErased] recognises late events. Customers at
// Stripe are not deleted: use its dashboard or API.
//
// Two statements for up to 500 bookings, which wait for transactions that change the
// payments. Safe on several replicas.
func (p *Payments) Erase(ctx context.Context, bookingIDs []string, opts EraseOptions) (Erasure, error) {
	query := eraseSQL
	if opts.DryRun {
		query = eraseDrySQL
	}
	var all Erasure
	for chunk := range slices.Chunk(bookingIDs, eraseBatch) {
		err := p.inTxRetry(ctx, "erase", func(tx *sql.Tx) error {
			var one Erasure
			err := tx.QueryRowContext(ctx, query, idArray(chunk), opts.Force).Scan(&one.Payments, &one.Refunds)
			if err == nil {
				all.Payments, all.Refunds = all.Payments+one.Payments, all.Refunds+one.Refunds
			}
			return err
		})
		if err != nil {
			return all, err
		}
	}
	var err error
	all.Unsettled, err = p.Unsettled(ctx, bookingIDs)
	return all, err
}

// FOR SHARE waits for an erasure in progress, and makes one wait for this transaction.
const isErasedSQL = `
SELECT coalesce(p.parameters ->> 'erased', '') = 'true' FROM booking_platform.payments p
WHERE p.stripe_session_id = nullif($1::text, '') OR p.stripe_payment_intent_id = nullif($2::text, '')
	OR p.id = $3::uuid
FOR SHARE`

// IsErased reports whether an event is about a payment whose customer was erased, for
// webhook.Options.Erased. One round trip in the caller's transaction.
func (p *Payments) IsErased(ctx context.Context, q webhook.Querier, ev webhook.Event) (bool, error) {
	ref, err := uuid.Parse(ev.Reference)
	if err != nil {
		ref = uuid.Nil
	}
	rows, err := q.QueryContext(ctx, isErasedSQL, ev.SessionID, ev.PaymentIntentID, ref.String())
	if err != nil {
		return false, wrap(ctx, "read whether the customer was erased", err)
	}
	defer func() { _ = rows.Close() }()
	found := false
	for rows.Next() {
		var erased bool
		if err := rows.Scan(&erased); err != nil {
			return false, wrap(ctx, "read whether the customer was erased", err)
		}
		found = found || erased
	}
	return found, wrap(ctx, "read whether the customer was erased", rows.Err())
}

// actorPage is how many rows one statement of EraseActor reads.
const actorPage = 5000

const eraseRefundActorSQL = `
WITH page AS MATERIALIZED (
	SELECT r.id, lower(r.actor) = lower($2::text) AS made, lower(r.settled_by) = lower($2::text) AS settled
	FROM booking_platform.refunds r WHERE r.id > $1::uuid ORDER BY r.id LIMIT $4::integer
), erased AS (
	UPDATE booking_platform.refunds AS r SET actor = CASE WHEN p.made THEN $3::text ELSE r.actor END,
		settled_by = CASE WHEN p.settled THEN $3::text ELSE r.settled_by END
	FROM page p WHERE r.id = p.id AND (p.made OR p.settled)
	RETURNING r.id
)
SELECT (SELECT count(*) FROM page), (SELECT count(*) FROM erased),
	coalesce((SELECT p.id::text FROM page p ORDER BY p.id DESC LIMIT 1), $1::text)`

const erasePaymentActorSQL = `
WITH page AS MATERIALIZED (
	SELECT o.id, o.actor FROM booking_platform.payments o WHERE o.id > $1::uuid ORDER BY o.id LIMIT $4::integer
), erased AS (
	UPDATE booking_platform.payments AS p SET actor = $3::text
	FROM page o WHERE p.id = o.id AND lower(o.actor) = lower($2::text)
	RETURNING p.id
)
SELECT (SELECT count(*) FROM page), (SELECT count(*) FROM erased),
	coalesce((SELECT o.id::text FROM page o ORDER BY o.id DESC LIMIT 1), $1::text)`

// EraseActor removes a person from the actors of payments and refunds:
// "user:ada@example.com" becomes "user:erased". It returns how many rows changed. All
// rows are read, in statements of 5,000. Safe on several replicas.
func (p *Payments) EraseActor(ctx context.Context, actor string) (int, error) {
	erased := 0
	if actor == "" || actor == valid.ErasedActor(actor) {
		return 0, nil
	}
	for _, query := range []string{erasePaymentActorSQL, eraseRefundActorSQL} {
		n, err := p.eraseActor(ctx, query, actor)
		erased += n
		if err != nil {
			return erased, err
		}
	}
	return erased, nil
}

func (p *Payments) eraseActor(ctx context.Context, query, actor string) (erased int, err error) {
	for after, seen := uuid.Nil.String(), actorPage; seen == actorPage; {
		changed := 0
		err := p.inTxRetry(ctx, "erase an actor", func(tx *sql.Tx) error {
			return tx.QueryRowContext(ctx, query, after, actor, valid.ErasedActor(actor), actorPage).
				Scan(&seen, &changed, &after)
		})
		erased += changed
		if err != nil {
			return erased, err
		}
	}
	return erased, nil
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
