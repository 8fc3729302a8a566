package payments

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"log/slog"
	"regexp"
	"strings"
	"time"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/webhook"
)

// DisputeStatus is derived from a dispute's facts; it is not stored.
type DisputeStatus string

// The statuses of a dispute.
const (
	// DisputeStatusInquiry: open without a claim; no money withdrawn.
	DisputeStatusInquiry DisputeStatus = "inquiry"
	// DisputeStatusOpen: a claim that is not decided.
	DisputeStatusOpen DisputeStatus = "open"
	// DisputeStatusWon: the account keeps the money.
	DisputeStatusWon DisputeStatus = "won"
	// DisputeStatusLost: the customer has the money: the dispute was lost, or Stripe
	// withdrew the amount and did not return it.
	DisputeStatusLost DisputeStatus = "lost"
	// DisputeStatusClosed: closed without a decision; the account keeps the money.
	DisputeStatusClosed DisputeStatus = "closed"
)

// Open reports whether the dispute is undecided. No refund is made meanwhile.
func (s DisputeStatus) Open() bool { return s == DisputeStatusInquiry || s == DisputeStatusOpen }

// Dispute is a dispute of a payment, which can have several. Times are UTC.
type Dispute struct {
	// ID is Stripe's (dp_…, du_…).
	ID, PaymentID string
	// Amount can be less than the payment. Zero is unknown and counts as all of it.
	Amount booking.Money
	Status DisputeStatus
	// Withdrawn: Stripe took the amount out of the account's balance. Reinstated:
	// returned it.
	Withdrawn, Reinstated bool
	// Outcome is Stripe's status at the close, Reason Stripe's code for the customer's
	// reason.
	Outcome, Reason string
	// CreatedAt is when the dispute became known here.
	CreatedAt, UpdatedAt time.Time
}

// disputeTakenSQL: the customer has the money of a closed dispute d. Returned money takes
// precedence.
const disputeTakenSQL = `(d.closed AND (d.lost OR d.withdrawn AND NOT d.won)
	AND NOT (d.reinstated AND (d.withdrawn_minor = 0 OR d.reinstated_minor = 0
		OR d.reinstated_minor >= d.withdrawn_minor)))`

const disputeStatusSQL = `CASE
	WHEN NOT d.closed AND NOT (d.claimed OR d.withdrawn) THEN 'inquiry'
	WHEN NOT d.closed THEN 'open'
	WHEN ` + disputeTakenSQL + ` THEN 'lost'
	WHEN d.won OR d.lost THEN 'won'
	ELSE 'closed' END`

const disputeColumns = `d.id, d.payment_id::text, d.amount_minor, d.currency, ` + disputeStatusSQL + `,
	d.withdrawn, d.reinstated, d.outcome, d.reason, d.created_at, d.updated_at`

func scanDispute(row interface{ Scan(...any) error }) (Dispute, error) {
	var d Dispute
	err := row.Scan(&d.ID, &d.PaymentID, &d.Amount.Minor, &d.Amount.Currency, &d.Status,
		&d.Withdrawn, &d.Reinstated, &d.Outcome, &d.Reason, &d.CreatedAt, &d.UpdatedAt)
	d.CreatedAt, d.UpdatedAt = d.CreatedAt.UTC(), d.UpdatedAt.UTC()
	return d, err
}

const disputesOfSQL = `SELECT ` + disputeColumns + ` FROM booking_platform.disputes d
WHERE d.payment_id = $1::uuid ORDER BY d.created_at, d.id`

// Disputes returns the disputes of a payment, oldest first. One round trip.
func (p *Payments) Disputes(ctx context.Context, paymentID string) ([]Dispute, error) {
	if !isID(paymentID) {
		return nil, nil
	}
	var out []Dispute
	err := p.read(ctx, "list disputes", func(q booking.Querier) (err error) {
		out, err = scanDisputes(ctx, q, disputesOfSQL, paymentID)
		return err
	})
	return out, err
}

func scanDisputes(ctx context.Context, q booking.Querier, query string, args ...any) ([]Dispute, error) {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	var out []Dispute
	for rows.Next() {
		d, err := scanDispute(rows)
		if err != nil {
			return nil, err
		}
		out = append(out, d)
	}
	return out, rows.Err()
}

// disputeFacts are what an event or answer says. They are never removed.
type disputeFacts struct {
	id                        string
	amount                    booking.Money
	claimed                   bool
	withdrawn, reinstated     bool
	withdrawnSum, returnedSum int64
	closed, won, lost         bool
	outcome, reason           string
}

// disputeObject is https://docs.stripe.com/api/disputes/object, decoded field by field
// since forms vary.
type disputeObject struct {
	Amount   json.RawMessage `json:"amount"`
	Currency json.RawMessage `json:"currency"`
	Status   json.RawMessage `json:"status"`
	Reason   json.RawMessage `json:"reason"`
	Moves    json.RawMessage `json:"balance_transactions"`
}

// word is Stripe's codes; anything else is left out.
var word = regexp.MustCompile(`^[a-z_]{1,100}$`)

func wordOf(raw json.RawMessage) string {
	var s string
	if json.Unmarshal(raw, &s) != nil || !word.MatchString(s) {
		return ""
	}
	return s
}

// readDispute stores an amount that cannot be stored as zero.
func readDispute(id string, object json.RawMessage) (disputeFacts, bool) {
	var o disputeObject
	if id == "" || json.Unmarshal(object, &o) != nil {
		return disputeFacts{}, false
	}
	f := disputeFacts{id: id, reason: wordOf(o.Reason)}
	var minor int64
	if c := strings.ToLower(wordOf(lowered(o.Currency))); currencyCode.MatchString(c) &&
		json.Unmarshal(o.Amount, &minor) == nil && minor > 0 {
		f.amount = booking.Money{Minor: minor, Currency: c}
	}
	f.readStatus(wordOf(o.Status))
	var moves []struct {
		Amount int64 `json:"amount"`
	}
	if json.Unmarshal(o.Moves, &moves) == nil {
		for _, m := range moves {
			// One balance transaction withdraws the money, another returns it.
			f.withdrawnSum, f.returnedSum = max(f.withdrawnSum, -m.Amount), max(f.returnedSum, m.Amount)
		}
	}
	f.withdrawn, f.reinstated = f.withdrawnSum > 0, f.returnedSum > 0
	return f, true
}

func lowered(raw json.RawMessage) json.RawMessage { return []byte(strings.ToLower(string(raw))) }

// An unknown status leaves the dispute open.
func (f *disputeFacts) readStatus(status string) {
	switch status {
	case "won", "lost", "warning_closed", "prevented", "charge_refunded":
		f.closed, f.outcome = true, status
	}
	f.won, f.lost = status == "won", status == "lost"
	f.claimed = f.won || f.lost || status == "needs_response" || status == "under_review"
}

// charge.dispute.closed closes the dispute whatever its status.
func (f *disputeFacts) readEvent(ev webhook.Event) {
	switch ev.Type {
	case "charge.dispute.closed":
		f.closed = true
		if f.outcome == "" {
			var o disputeObject
			_ = json.Unmarshal(ev.Object, &o)
			f.outcome = wordOf(o.Status)
		}
	case "charge.dispute.funds_withdrawn":
		f.withdrawn = true
	case "charge.dispute.funds_reinstated":
		f.reinstated = true
	}
}

// Of differing codes the greatest is kept, whatever the order of events.
const recordDisputeSQL = `
INSERT INTO booking_platform.disputes AS d (id, payment_id, amount_minor, currency, claimed, withdrawn, reinstated,
	withdrawn_minor, reinstated_minor, closed, won, lost, outcome, reason)
SELECT $1::text, p.id, $3::bigint, coalesce(nullif($4::text, ''), p.currency), $5::boolean, $6::boolean,
	$7::boolean, $8::bigint, $9::bigint, $10::boolean,
	$11::boolean, $12::boolean, $13::text, $14::text
FROM booking_platform.payments p WHERE p.id = $2::uuid
ON CONFLICT (payment_id, id) DO UPDATE SET
	amount_minor = CASE WHEN d.currency = EXCLUDED.currency OR EXCLUDED.amount_minor = 0
		THEN GREATEST(d.amount_minor, EXCLUDED.amount_minor)
		WHEN d.amount_minor = 0 OR d.currency < EXCLUDED.currency THEN EXCLUDED.amount_minor ELSE d.amount_minor END,
	currency = CASE WHEN EXCLUDED.amount_minor > 0 AND (d.amount_minor = 0 OR d.currency < EXCLUDED.currency)
		THEN EXCLUDED.currency ELSE d.currency END,
	claimed = d.claimed OR EXCLUDED.claimed, withdrawn = d.withdrawn OR EXCLUDED.withdrawn,
		reinstated = d.reinstated OR EXCLUDED.reinstated,
	withdrawn_minor = GREATEST(d.withdrawn_minor, EXCLUDED.withdrawn_minor),
		reinstated_minor = GREATEST(d.reinstated_minor, EXCLUDED.reinstated_minor),
	closed = d.closed OR EXCLUDED.closed, won = d.won OR EXCLUDED.won, lost = d.lost OR EXCLUDED.lost,
	outcome = GREATEST(d.outcome, EXCLUDED.outcome), reason = GREATEST(d.reason, EXCLUDED.reason),
		updated_at = statement_timestamp()
RETURNING ` + disputeColumns

// A lost dispute takes its amount less what was returned, or all of the payment if the
// amount is unknown or in another currency.
const sumDisputesSQL = `
UPDATE booking_platform.payments AS p SET
	disputes = s.all_of_them, disputes_open = s.open,
	dispute_lost_minor = LEAST(s.lost, GREATEST(p.amount_minor, p.captured_minor))::bigint,
	updated_at = statement_timestamp()
FROM (
	SELECT o.id, count(*) AS all_of_them, count(*) FILTER (WHERE NOT d.closed) AS open,
		coalesce(sum(CASE WHEN NOT ` + disputeTakenSQL + ` THEN 0
			WHEN d.amount_minor = 0 OR d.currency <> coalesce(nullif(o.captured_currency, ''), o.currency)
				THEN GREATEST(o.amount_minor, o.captured_minor)
			WHEN d.reinstated
				THEN d.amount_minor - floor(d.amount_minor::numeric * d.reinstated_minor / d.withdrawn_minor)
			ELSE d.amount_minor END), 0) AS lost
	FROM booking_platform.payments o JOIN booking_platform.disputes d ON d.payment_id = o.id
	WHERE o.id = $1::uuid GROUP BY o.id
) s
WHERE p.id = s.id`

// recordDispute locks the payment, so the sums are right.
func recordDispute(ctx context.Context, q booking.Querier, paymentID string, f disputeFacts) (Dispute, error) {
	if err := lockPayment(ctx, q, paymentID); err != nil {
		return Dispute{}, err
	}
	d, err := scanDispute(q.QueryRowContext(ctx, recordDisputeSQL, f.id, paymentID, f.amount.Minor, f.amount.Currency,
		f.claimed, f.withdrawn, f.reinstated,
		f.withdrawnSum, f.returnedSum, f.closed, f.won, f.lost, f.outcome, f.reason))
	if err != nil {
		return Dispute{}, err
	}
	_, err = q.ExecContext(ctx, sumDisputesSQL, paymentID)
	return d, err
}

// handleDispute commits the due refund if no dispute is open any more.
func (p *Payments) handleDispute(ctx context.Context, e lockedEvent) (webhook.Outcome, error) {
	f, ok := readDispute(e.event.ObjectID, e.event.Object)
	if !ok {
		// A retry would have the same result.
		return webhook.Unmatched, nil
	}
	f.readEvent(e.event)
	d, err := recordDispute(ctx, e.tx, e.payment.ID, f)
	if err != nil {
		return "", err
	}
	p.logDispute(ctx, d, e.booking.ID)
	return webhook.Processed, commitDueRefund(ctx, e.tx, e.payment.ID, "", "stripe:"+e.event.ID)
}

func (p *Payments) logDispute(ctx context.Context, d Dispute, bookingID string) {
	level, message := slog.LevelInfo, "dispute closed"
	switch {
	case d.Status.Open():
		level, message = slog.LevelError, "payment disputed"
	case d.Status == DisputeStatusLost:
		level, message = slog.LevelError, "dispute lost"
	}
	p.log.LogAttrs(ctx, level, message, slog.String("dispute_id", d.ID),
		slog.String("dispute_status", string(d.Status)),
		slog.String("payment_id", d.PaymentID), slog.String("booking_id", bookingID))
}

// FailureDisputeLost is the Failure of a refund that was canceled because a lost dispute
// gave the customer the money.
const FailureDisputeLost = "dispute_lost"

// Lowers a due refund to what is left of the payment, and for a cancellation to what the
// dispute did not give back. A retry counts for the original's cause.
const lowerByLossSQL = `
WITH RECURSIVE chain AS (
	SELECT r.id, r.payment_id, r.origin, r.cause FROM booking_platform.refunds r WHERE r.id = $1::uuid
	UNION ALL
	SELECT o.id, o.payment_id, o.origin, o.cause FROM chain c
	JOIN booking_platform.refunds o ON c.origin = '` + string(OriginRetry) + `'
		AND o.payment_id = c.payment_id AND c.cause = 'retry:' || o.id::text
), due AS (
	SELECT r.id, LEAST(
		p.captured_minor - p.dispute_lost_minor - (SELECT coalesce(sum(o.amount_minor), 0)
			FROM booking_platform.refunds o
			WHERE o.payment_id = r.payment_id AND o.id <> r.id AND o.status NOT IN ('failed', 'canceled')),
		CASE WHEN b.status = 'cancelled' AND EXISTS (
				SELECT FROM chain c WHERE c.origin = '` + string(OriginPayments) + `'
				AND c.cause = '` + CauseCancelled + `')
			THEN coalesce(b.refund_minor, 0) - p.dispute_lost_minor ELSE r.amount_minor END
	) AS amount
	FROM booking_platform.refunds r JOIN booking_platform.payments p ON p.id = r.payment_id
		JOIN booking_platform.bookings b ON b.id = p.booking_id
	WHERE r.id = $1::uuid AND r.status = 'due' AND r.attempt = $2::int AND p.disputes_open = 0
)
UPDATE booking_platform.refunds AS r SET
	amount_minor = CASE WHEN d.amount > 0 THEN d.amount ELSE r.amount_minor END,
	status = CASE WHEN d.amount > 0 THEN r.status ELSE 'canceled' END,
	failure = CASE WHEN d.amount > 0 THEN r.failure ELSE '` + FailureDisputeLost + `' END,
	attempt = r.attempt + 1, first_called_at = statement_timestamp(), updated_at = statement_timestamp()
FROM due d WHERE r.id = d.id AND d.amount < r.amount_minor
RETURNING r.status, r.amount_minor, r.attempt`

// lowerByLoss adjusts a refund to what a lost dispute took and reports whether it must
// still be made. One that may exist with its old amount is searched at Stripe first.
func (p *Payments) lowerByLoss(ctx context.Context, d *dueRefund) (goOn bool, err error) {
	if d.tries > 1 {
		callCtx, cancel := context.WithTimeout(ctx, p.opts.Timeout)
		defer cancel()
		if err := p.findIntent(callCtx, d); err != nil {
			return false, err
		}
		all, made, err := p.findRefund(callCtx, *d)
		if err != nil {
			return false, err
		}
		if made {
			return false, p.recordAfterCall(ctx, *d, all)
		}
	}
	goOn = true
	err = p.inTx(ctx, "lower a refund after a lost dispute", func(tx *sql.Tx) error {
		return p.observe(ctx, tx, d.bookingID, func() error {
			if err := lockPayment(ctx, tx, d.paymentID); err != nil {
				return err
			}
			var status RefundStatus
			err := tx.QueryRowContext(ctx, lowerByLossSQL, d.id, d.attempt).Scan(&status, &d.amount.Minor, &d.attempt)
			if errors.Is(err, sql.ErrNoRows) {
				return nil
			}
			if err != nil {
				return err
			}
			goOn = status == RefundDue
			_, err = tx.ExecContext(ctx, sumRefundsSQL, d.paymentID)
			return err
		})
	})
	return goOn && err == nil, err
}
