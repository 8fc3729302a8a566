package output

import (
	"cmp"
	"fmt"
	"strconv"
	"time"

	"github.com/booking-platform/booking-platform/payments"
)

// Amounts are in minor units.
type paymentJSON struct {
	ID              string          `json:"id"`
	BookingID       string          `json:"bookingId"`
	Kind            payments.Kind   `json:"kind"`
	Account         string          `json:"account,omitempty"`
	Status          payments.Status `json:"status"`
	Amount          int64           `json:"amount"`
	Currency        string          `json:"currency"`
	Captured        int64           `json:"captured"`
	CaptureCurrency string          `json:"capturedCurrency"`
	Refunded        int64           `json:"refunded"`
	Lost            int64           `json:"lost"`
	OpenDisputes    int             `json:"openDisputes"`
	ParkedReason    string          `json:"parkedReason,omitempty"`
	Unapplied       string          `json:"unapplied,omitempty"`
	StripeSessionID string          `json:"stripeSessionId,omitempty"`
	PaymentIntentID string          `json:"paymentIntentId,omitempty"`
	Method          string          `json:"method,omitempty"`
	Reference       string          `json:"reference,omitempty"`
	Actor           string          `json:"actor,omitempty"`
	ReconciledAt    time.Time       `json:"askedAt,omitzero"`
	CreatedAt       time.Time       `json:"createdAt"`
	UpdatedAt       time.Time       `json:"updatedAt"`
	Refunds         []refundJSON    `json:"refunds,omitempty"`
	Disputes        []disputeJSON   `json:"disputes,omitempty"`
}

type disputeJSON struct {
	ID         string                 `json:"id"`
	Status     payments.DisputeStatus `json:"status"`
	Amount     int64                  `json:"amount"`
	Currency   string                 `json:"currency"`
	Withdrawn  bool                   `json:"withdrawn"`
	Reinstated bool                   `json:"reinstated"`
	Outcome    string                 `json:"outcome,omitempty"`
	Reason     string                 `json:"reason,omitempty"`
	CreatedAt  time.Time              `json:"createdAt"`
	UpdatedAt  time.Time              `json:"updatedAt"`
}

type refundJSON struct {
	ID             string                `json:"id"`
	PaymentID      string                `json:"paymentId"`
	Status         payments.RefundStatus `json:"status"`
	Amount         int64                 `json:"amount"`
	Asked          int64                 `json:"asked,omitempty"`
	Currency       string                `json:"currency"`
	Origin         payments.RefundOrigin `json:"origin"`
	Cause          string                `json:"cause"`
	StripeRefundID string                `json:"stripeRefundId,omitempty"`
	ByHand         bool                  `json:"byHand,omitempty"`
	Reference      string                `json:"reference,omitempty"`
	SettledBy      string                `json:"settledBy,omitempty"`
	Failure        string                `json:"failure,omitempty"`
	Tries          int                   `json:"tries"`
	LastError      string                `json:"lastError,omitempty"`
	NextTry        time.Time             `json:"nextTry,omitzero"`
	CreatedAt      time.Time             `json:"createdAt"`
}

func newPaymentJSON(p payments.Payment, refunds []payments.Refund, disputes []payments.Dispute) paymentJSON {
	line := paymentJSON{
		ID: p.ID, BookingID: p.BookingID, Kind: p.Kind, Account: p.Account, Status: p.Status(), Amount: p.Amount.Minor,
		Currency: p.Amount.Currency, Captured: p.Captured.Minor, CaptureCurrency: p.Captured.Currency,
		Refunded: p.Refunded.Minor, Lost: p.Lost.Minor, OpenDisputes: p.OpenDisputes, ParkedReason: p.ParkedReason,
		Unapplied: p.Unapplied, StripeSessionID: p.SessionID, PaymentIntentID: p.PaymentIntentID,
		Method: p.Method, Reference: p.Reference, Actor: p.Actor, ReconciledAt: p.ReconciledAt,
		CreatedAt: p.CreatedAt, UpdatedAt: p.UpdatedAt,
	}
	for _, r := range refunds {
		line.Refunds = append(line.Refunds, newRefundJSON(r))
	}
	for _, d := range disputes {
		line.Disputes = append(line.Disputes, disputeJSON{
			ID: d.ID, Status: d.Status, Amount: d.Amount.Minor, Currency: d.Amount.Currency, Withdrawn: d.Withdrawn,
			Reinstated: d.Reinstated, Outcome: d.Outcome, Reason: d.Reason, CreatedAt: d.CreatedAt,
			UpdatedAt: d.UpdatedAt,
		})
	}
	return line
}

func newRefundJSON(r payments.Refund) refundJSON {
	line := refundJSON{
		ID: r.ID, PaymentID: r.PaymentID, Status: r.Status, Amount: r.Amount.Minor, Asked: r.Asked,
		Currency: r.Amount.Currency, Origin: r.Origin, Cause: r.Cause, StripeRefundID: r.StripeID, Failure: r.Failure,
		ByHand: r.ByHand, Reference: r.Reference, SettledBy: r.SettledBy, Tries: r.Tries, LastError: r.LastError,
		CreatedAt: r.CreatedAt,
	}
	if r.Status == payments.RefundDue && !r.ByHand {
		line.NextTry = r.NextTry
	}
	return line
}

// Attention prints what needs attention, or that nothing does.
func (p Printer) Attention(found []payments.Payment, refunds []payments.Refund) error {
	if p.JSON {
		for _, pay := range found {
			if err := printJSON(p.Out, newPaymentJSON(pay, nil, nil)); err != nil {
				return err
			}
		}
		return p.Refunds(refunds)
	}
	if len(found) == 0 && len(refunds) == 0 {
		_, err := fmt.Fprintln(p.Out, "nothing needs attention")
		return err
	}
	if len(found) > 0 {
		var rows [][]string
		for _, pay := range found {
			rows = append(rows, []string{pay.ID, pay.BookingID, string(pay.Status()), Escape(pay.ParkedReason),
				pay.Amount.String(), pay.Captured.String(), pay.Refunded.String()})
		}
		header := []string{"PAYMENT", "BOOKING", "STATUS", "REASON", "REQUESTED", "PAID", "REFUNDED"}
		if err := printTable(p.Out, header, rows); err != nil {
			return err
		}
	}
	return p.Refunds(refunds)
}

// Payment prints a payment with its refunds and disputes.
func (p Printer) Payment(pay payments.Payment, refunds []payments.Refund, disputes []payments.Dispute) error {
	if p.JSON {
		return printJSON(p.Out, newPaymentJSON(pay, refunds, disputes))
	}
	lost := ""
	if pay.Lost.Minor != 0 {
		lost = pay.Lost.String()
	}
	err := printFields(p.Out, [][2]string{
		{"payment", pay.ID}, {"booking", pay.BookingID}, {"status", string(pay.Status())},
		{"parked because", Escape(pay.ParkedReason)}, {"not applied because", Escape(pay.Unapplied)},
		{"requested", pay.Amount.String()}, {"paid", pay.Captured.String()}, {"refunded", pay.Refunded.String()},
		{"lost to disputes", lost}, {"Stripe account", Escape(pay.Account)}, {"session", Escape(pay.SessionID)},
		{"payment intent", Escape(pay.PaymentIntentID)}, {"paid by", Escape(pay.Method)},
		{"reference", Escape(pay.Reference)}, {"recorded by", Escape(pay.Actor)},
		{"read from Stripe", formatTime(pay.ReconciledAt)}, {"created", formatTime(pay.CreatedAt)},
		{"changed", formatTime(pay.UpdatedAt)},
	})
	if err != nil {
		return err
	}
	if err := p.disputes(disputes); err != nil {
		return err
	}
	return p.Refunds(refunds)
}

// Refunds prints nothing without refunds.
func (p Printer) Refunds(refunds []payments.Refund) error {
	var rows [][]string
	for _, r := range refunds {
		if p.JSON {
			if err := printJSON(p.Out, newRefundJSON(r)); err != nil {
				return err
			}
			continue
		}
		status := string(r.Status)
		if r.ByHand {
			status += " by hand"
		}
		rows = append(rows, []string{r.ID, r.PaymentID, status, r.Amount.String(), Escape(r.Cause),
			strconv.Itoa(r.Tries), Escape(cmp.Or(r.Failure, r.LastError))})
	}
	if len(rows) == 0 {
		return nil
	}
	return printTable(p.Out, []string{"REFUND", "PAYMENT", "STATUS", "AMOUNT", "CAUSE", "TRIES", "ERROR"}, rows)
}

func (p Printer) disputes(disputes []payments.Dispute) error {
	if len(disputes) == 0 {
		return nil
	}
	var rows [][]string
	for _, d := range disputes {
		amount := "all"
		if d.Amount.Minor > 0 {
			amount = d.Amount.String()
		}
		rows = append(rows, []string{Escape(d.ID), string(d.Status), amount, Escape(d.Reason), Escape(d.Outcome),
			formatTime(d.CreatedAt)})
	}
	return printTable(p.Out, []string{"DISPUTE", "STATUS", "AMOUNT", "REASON", "CLOSED AS", "SINCE"}, rows)
}
