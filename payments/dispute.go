package payments

import (
	"context"
	"time"

	"github.com/booking-platform/booking-platform/booking"
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
