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

// DisputeStatus is where a dispute is. It is derived from the dispute's facts, never
// stored.
type DisputeStatus string

// The statuses of a dispute.
const (
	// DisputeStatusInquiry is open, and no money has moved: the customer's bank asks, and
	// may still make a claim of it.
	DisputeStatusInquiry DisputeStatus = "inquiry"
	// DisputeStatusOpen is a claim that is not decided.
	DisputeStatusOpen DisputeStatus = "open"
	// DisputeStatusWon is decided for the account: the money is here.
	DisputeStatusWon DisputeStatus = "won"
	// DisputeStatusLost is over, and the money went to the customer: it was lost, or
	// Stripe withdrew the amount and did not give it back, whatever it calls that.
	DisputeStatusLost DisputeStatus = "lost"
	// DisputeStatusClosed is over without a decision, and the money is here: an inquiry
	// that was closed, a dispute that was prevented, and what Stripe may call otherwise
	// in future.
	DisputeStatusClosed DisputeStatus = "closed"
)

// Open tells whether it is undecided. No refund of the payment is made meanwhile.
func (s DisputeStatus) Open() bool { return s == DisputeStatusInquiry || s == DisputeStatusOpen }

// Dispute is one dispute of a payment at Stripe. A payment can have several. Times are
// UTC, by the database's clock.
type Dispute struct {
	// ID is Stripe's (dp_..., du_...); PaymentID is the payment it is of.
	ID, PaymentID string
	// Amount is what is disputed, which can be less than the payment. Zero when Stripe
	// did not say; it then counts as all of the payment.
	Amount booking.Money
	// Status is derived from what Stripe has said so far.
	Status DisputeStatus
	// Withdrawn and Reinstated tell whether Stripe has taken the amount out of the
	// account's balance, and put it back.
	Withdrawn, Reinstated bool
	// Outcome is Stripe's own status when the dispute was closed, and Reason its word for
	// why the customer disputes; each may be empty.
	Outcome, Reason string
	// CreatedAt is when it was first heard of here.
	CreatedAt, UpdatedAt time.Time
}

// disputeTakenSQL is true of a closed dispute d whose money is with the customer. Both
// "won" and "lost" are said of one dispute only if a decision was reversed; money that
// came back decides.
const disputeTakenSQL = `(d.closed AND (d.lost OR d.withdrawn AND NOT d.won)
	AND NOT (d.reinstated AND (d.withdrawn_minor = 0 OR d.reinstated_minor = 0 OR d.reinstated_minor >= d.withdrawn_minor)))`

// disputeStatusSQL derives a DisputeStatus.
const disputeStatusSQL = `CASE
	WHEN NOT d.closed AND NOT (d.claimed OR d.withdrawn) THEN 'inquiry'
	WHEN NOT d.closed THEN 'open'
	WHEN ` + disputeTakenSQL + ` THEN 'lost'
	WHEN d.won OR d.lost THEN 'won'
	ELSE 'closed' END`

// disputeColumns is what scanDispute reads, in its order.
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

// Disputes returns the disputes of a payment, the oldest first; none is no error. One
// round trip.
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

// disputeFacts is what Stripe says of one dispute: in an event, or in an answer. Nothing
// in it is ever taken back.
type disputeFacts struct {
	id                        string
	amount                    booking.Money
	claimed                   bool
	withdrawn, reinstated     bool
	withdrawnSum, returnedSum int64
	closed, won, lost         bool
	outcome, reason           string
}

// disputeObject is what we use of Stripe's object
// (https://docs.stripe.com/api/disputes/object). Fields that can have another form than
// expected are decoded one by one.
type disputeObject struct {
	Amount   json.RawMessage `json:"amount"`
	Currency json.RawMessage `json:"currency"`
	Status   json.RawMessage `json:"status"`
	Reason   json.RawMessage `json:"reason"`
	Moves    json.RawMessage `json:"balance_transactions"`
}

// word is what Stripe's names of statuses and reasons look like. What does not is left
// out.
var word = regexp.MustCompile(`^[a-z_]{1,100}$`)

func wordOf(raw json.RawMessage) string {
	var s string
	if json.Unmarshal(raw, &s) != nil || !word.MatchString(s) {
		return ""
	}
	return s
}

// readDispute reads a dispute object; false when it is none. The amount of one that names
// none that could be stored is zero.
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
			// One balance transaction takes the money, another gives it back.
			f.withdrawnSum, f.returnedSum = max(f.withdrawnSum, -m.Amount), max(f.returnedSum, m.Amount)
		}
	}
	f.withdrawn, f.reinstated = f.withdrawnSum > 0, f.returnedSum > 0
	return f, true
}

func lowered(raw json.RawMessage) json.RawMessage { return []byte(strings.ToLower(string(raw))) }

// readStatus reads Stripe's status. One that is not known, in an event that does not
// close the dispute, leaves it open.
func (f *disputeFacts) readStatus(status string) {
	switch status {
	case "won", "lost", "warning_closed", "prevented", "charge_refunded":
		f.closed, f.outcome = true, status
	}
	f.won, f.lost = status == "won", status == "lost"
	f.claimed = f.won || f.lost || status == "needs_response" || status == "under_review"
}

// readEvent adds what the type of an event says: charge.dispute.closed closes the
// dispute, whatever its status is called.
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

// Of words that differ the greatest stays: the order in which they come must not matter.
const recordDisputeSQL = `
INSERT INTO booking_platform.disputes AS d (id, payment_id, amount_minor, currency, claimed, withdrawn, reinstated, withdrawn_minor,
	reinstated_minor, closed, won, lost, outcome, reason)
SELECT $1::text, p.id, $3::bigint, coalesce(nullif($4::text, ''), p.currency), $5::boolean, $6::boolean, $7::boolean, $8::bigint, $9::bigint, $10::boolean,
	$11::boolean, $12::boolean, $13::text, $14::text
FROM booking_platform.payments p WHERE p.id = $2::uuid
ON CONFLICT (payment_id, id) DO UPDATE SET
	amount_minor = CASE WHEN d.currency = EXCLUDED.currency OR EXCLUDED.amount_minor = 0 THEN GREATEST(d.amount_minor, EXCLUDED.amount_minor)
		WHEN d.amount_minor = 0 OR d.currency < EXCLUDED.currency THEN EXCLUDED.amount_minor ELSE d.amount_minor END,
	currency = CASE WHEN EXCLUDED.amount_minor > 0 AND (d.amount_minor = 0 OR d.currency < EXCLUDED.currency) THEN EXCLUDED.currency ELSE d.currency END,
	claimed = d.claimed OR EXCLUDED.claimed, withdrawn = d.withdrawn OR EXCLUDED.withdrawn, reinstated = d.reinstated OR EXCLUDED.reinstated,
	withdrawn_minor = GREATEST(d.withdrawn_minor, EXCLUDED.withdrawn_minor), reinstated_minor = GREATEST(d.reinstated_minor, EXCLUDED.reinstated_minor),
	closed = d.closed OR EXCLUDED.closed, won = d.won OR EXCLUDED.won, lost = d.lost OR EXCLUDED.lost,
	outcome = GREATEST(d.outcome, EXCLUDED.outcome), reason = GREATEST(d.reason, EXCLUDED.reason), updated_at = statement_timestamp()
RETURNING ` + disputeColumns

// What a lost dispute took is its amount, less what came back; all of the payment where
// the amount is unknown or in another currency. Never more than there was.
const sumDisputesSQL = `
UPDATE booking_platform.payments AS p SET
	disputes = s.all_of_them, disputes_open = s.open, dispute_lost_minor = LEAST(s.lost, GREATEST(p.amount_minor, p.captured_minor))::bigint,
	updated_at = statement_timestamp()
FROM (
	SELECT o.id, count(*) AS all_of_them, count(*) FILTER (WHERE NOT d.closed) AS open,
		coalesce(sum(CASE WHEN NOT ` + disputeTakenSQL + ` THEN 0
			WHEN d.amount_minor = 0 OR d.currency <> coalesce(nullif(o.captured_currency, ''), o.currency) THEN GREATEST(o.amount_minor, o.captured_minor)
			WHEN d.reinstated THEN d.amount_minor - floor(d.amount_minor::numeric * d.reinstated_minor / d.withdrawn_minor)
			ELSE d.amount_minor END), 0) AS lost
	FROM booking_platform.payments o JOIN booking_platform.disputes d ON d.payment_id = o.id
	WHERE o.id = $1::uuid GROUP BY o.id
) s
WHERE p.id = s.id`

// recordDispute records what Stripe says of a dispute, under the payment's lock, so that
// the sums are right.
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

// disputed handles what Stripe tells of a dispute. When none is open any more, what is
// due is committed to.
func (p *Payments) handleDispute(ctx context.Context, e lockedEvent) (webhook.Outcome, error) {
	f, ok := readDispute(e.event.ObjectID, e.event.Object)
	if !ok {
		// Sent again it would be the same.
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
	level, message := slog.LevelInfo, "a dispute is over"
	switch {
	case d.Status.Open():
		level, message = slog.LevelError, "a payment is disputed"
	case d.Status == DisputeStatusLost:
		level, message = slog.LevelError, "a dispute is lost"
	}
	p.log.LogAttrs(ctx, level, message, slog.String("dispute_id", d.ID),
		slog.String("dispute_status", string(d.Status)),
		slog.String("payment_id", d.PaymentID), slog.String("booking_id", bookingID))
}

// FailureDisputeLost is the Failure of a refund that was due and is not any more: a
// dispute took the money, and so gave it to the customer. Its status is RefundCanceled.
const FailureDisputeLost = "dispute_lost"

// What was due when a dispute was lost is lowered to what still is: never more than is
// left of the payment, and of what a cancellation gives back the part that the dispute
// did not. A refund in the place of another that failed is for what the first one was
// for.
const lowerByLossSQL = `
WITH RECURSIVE chain AS (
	SELECT r.id, r.payment_id, r.origin, r.cause FROM booking_platform.refunds r WHERE r.id = $1::uuid
	UNION ALL
	SELECT o.id, o.payment_id, o.origin, o.cause FROM chain c
	JOIN booking_platform.refunds o ON c.origin = '` + string(OriginRetry) + `' AND o.payment_id = c.payment_id AND c.cause = 'retry:' || o.id::text
), due AS (
	SELECT r.id, LEAST(
		p.captured_minor - p.dispute_lost_minor - (SELECT coalesce(sum(o.amount_minor), 0) FROM booking_platform.refunds o
			WHERE o.payment_id = r.payment_id AND o.id <> r.id AND o.status NOT IN ('failed', 'canceled')),
		CASE WHEN b.status = 'cancelled' AND EXISTS (SELECT FROM chain c WHERE c.origin = '` + string(OriginPayments) + `' AND c.cause = '` + CauseCancelled + `')
			THEN coalesce(b.refund_minor, 0) - p.dispute_lost_minor ELSE r.amount_minor END
	) AS amount
	FROM booking_platform.refunds r JOIN booking_platform.payments p ON p.id = r.payment_id JOIN booking_platform.bookings b ON b.id = p.booking_id
	WHERE r.id = $1::uuid AND r.status = 'due' AND r.attempt = $2::int AND p.disputes_open = 0
)
UPDATE booking_platform.refunds AS r SET
	amount_minor = CASE WHEN d.amount > 0 THEN d.amount ELSE r.amount_minor END,
	status = CASE WHEN d.amount > 0 THEN r.status ELSE 'canceled' END,
	failure = CASE WHEN d.amount > 0 THEN r.failure ELSE '` + FailureDisputeLost + `' END,
	attempt = r.attempt + 1, first_called_at = statement_timestamp(), updated_at = statement_timestamp()
FROM due d WHERE r.id = d.id AND d.amount < r.amount_minor
RETURNING r.status, r.amount_minor, r.attempt`

// lowerByLoss fits a refund that is to be made to what a lost dispute took of its payment;
// false when nothing is left to make of it, because it was made before or is due no more.
// One that may have been made under its old amount is looked for at Stripe first.
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
	err = p.inTx(ctx, "lower a refund by what was lost", func(tx *sql.Tx) error {
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
