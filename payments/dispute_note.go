package payments

import (
	"context"
	"encoding/json"
	"log/slog"
	"regexp"
	"strings"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/webhook"
)

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
const noteDisputeSQL = `
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

// noteDispute records what Stripe says of a dispute, under the payment's lock, so that
// the sums are right.
func noteDispute(ctx context.Context, q booking.Querier, paymentID string, f disputeFacts) (Dispute, error) {
	if err := lockPayment(ctx, q, paymentID); err != nil {
		return Dispute{}, err
	}
	d, err := scanDispute(q.QueryRowContext(ctx, noteDisputeSQL, f.id, paymentID, f.amount.Minor, f.amount.Currency,
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
func (p *Payments) disputed(ctx context.Context, a arrival) (webhook.Outcome, error) {
	f, ok := readDispute(a.event.ObjectID, a.event.Object)
	if !ok {
		// Sent again it would be the same.
		return webhook.Unmatched, nil
	}
	f.readEvent(a.event)
	d, err := noteDispute(ctx, a.tx, a.payment.ID, f)
	if err != nil {
		return "", err
	}
	p.logDispute(ctx, d, a.booking.ID)
	return webhook.Processed, makeDue(ctx, a.tx, a.payment.ID, "", "stripe:"+a.event.ID)
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
