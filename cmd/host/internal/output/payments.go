package main

import (
	"cmp"
	"fmt"
	"strconv"
	"time"

	"github.com/booking-platform/booking-platform/payments"
)

// paymentJSON is a payment in JSON. Amounts are in minor units.
type paymentJSON struct {
	ID              string          `json:"id"`
	BookingID       string          `json:"bookingId"`
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
	ReconciledAt    time.Time       `json:"askedAt,omitzero"`
	CreatedAt       time.Time       `json:"createdAt"`
	UpdatedAt       time.Time       `json:"updatedAt"`
	Refunds         []refundJSON    `json:"refunds,omitempty"`
	Disputes        []disputeJSON   `json:"disputes,omitempty"`
}

// disputeJSON is a dispute in JSON.
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

// refundJSON is a refund in JSON.
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
	Failure        string                `json:"failure,omitempty"`
	Tries          int                   `json:"tries"`
	LastError      string                `json:"lastError,omitempty"`
	NextTry        time.Time             `json:"nextTry,omitzero"`
	CreatedAt      time.Time             `json:"createdAt"`
}

func newPaymentJSON(p payments.Payment, refunds []payments.Refund, disputes []payments.Dispute) paymentJSON {
	line := paymentJSON{
		ID: p.ID, BookingID: p.BookingID, Account: p.Account, Status: p.Status(), Amount: p.Amount.Minor,
		Currency: p.Amount.Currency, Captured: p.Captured.Minor, CaptureCurrency: p.Captured.Currency,
		Refunded: p.Refunded.Minor, Lost: p.Lost.Minor, OpenDisputes: p.OpenDisputes, ParkedReason: p.ParkedReason,
		Unapplied: p.Unapplied, StripeSessionID: p.SessionID, PaymentIntentID: p.PaymentIntentID, ReconciledAt: p.ReconciledAt,
		CreatedAt: p.CreatedAt, UpdatedAt: p.UpdatedAt,
	}
	for _, r := range refunds {
		line.Refunds = append(line.Refunds, newRefundJSON(r))
	}
	for _, d := range disputes {
		line.Disputes = append(line.Disputes, disputeJSON{
			ID: d.ID, Status: d.Status, Amount: d.Amount.Minor, Currency: d.Amount.Currency, Withdrawn: d.Withdrawn,
			Reinstated: d.Reinstated, Outcome: d.Outcome, Reason: d.Reason, CreatedAt: d.CreatedAt, UpdatedAt: d.UpdatedAt,
		})
	}
	return line
}

func newRefundJSON(r payments.Refund) refundJSON {
	line := refundJSON{
		ID: r.ID, PaymentID: r.PaymentID, Status: r.Status, Amount: r.Amount.Minor, Asked: r.Asked,
		Currency: r.Amount.Currency, Origin: r.Origin, Cause: r.Cause, StripeRefundID: r.StripeID, Failure: r.Failure,
		Tries: r.Tries, LastError: r.LastError, CreatedAt: r.CreatedAt,
	}
	if r.Status == payments.RefundDue {
		line.NextTry = r.NextTry
	}
	return line
}

// printAttention prints the payments and refunds that need attention, or that none does.
func (c *cli) printAttention(found []payments.Payment, refunds []payments.Refund) error {
	if c.json {
		for _, p := range found {
			if err := printJSON(c.out, newPaymentJSON(p, nil, nil)); err != nil {
				return err
			}
		}
		for _, r := range refunds {
			if err := printJSON(c.out, newRefundJSON(r)); err != nil {
				return err
			}
		}
		return nil
	}
	if len(found) == 0 && len(refunds) == 0 {
		_, err := fmt.Fprintln(c.out, "nothing needs attention")
		return err
	}
	if len(found) > 0 {
		var rows [][]string
		for _, p := range found {
			rows = append(rows, []string{p.ID, p.BookingID, string(p.Status()), escape(p.ParkedReason),
				p.Amount.String(), p.Captured.String(), p.Refunded.String()})
		}
		header := []string{"PAYMENT", "BOOKING", "STATUS", "REASON", "REQUESTED", "PAID", "REFUNDED"}
		if err := printTable(c.out, header, rows); err != nil {
			return err
		}
	}
	return c.printRefunds(refunds)
}

func (c *cli) printPayment(p payments.Payment, refunds []payments.Refund, disputes []payments.Dispute) error {
	if c.json {
		return printJSON(c.out, newPaymentJSON(p, refunds, disputes))
	}
	lost := ""
	if p.Lost.Minor != 0 {
		lost = p.Lost.String()
	}
	err := printFields(c.out, [][2]string{
		{"payment", p.ID}, {"booking", p.BookingID}, {"status", string(p.Status())},
		{"parked because", escape(p.ParkedReason)}, {"not applied because", escape(p.Unapplied)},
		{"requested", p.Amount.String()}, {"paid", p.Captured.String()}, {"refunded", p.Refunded.String()},
		{"lost to disputes", lost}, {"Stripe account", escape(p.Account)}, {"session", escape(p.SessionID)},
		{"payment intent", escape(p.PaymentIntentID)}, {"read from Stripe", formatTime(p.ReconciledAt)},
		{"created", formatTime(p.CreatedAt)}, {"changed", formatTime(p.UpdatedAt)},
	})
	if err != nil {
		return err
	}
	if err := c.printDisputes(disputes); err != nil {
		return err
	}
	return c.printRefunds(refunds)
}

func (c *cli) printRefunds(refunds []payments.Refund) error {
	if len(refunds) == 0 {
		return nil
	}
	var rows [][]string
	for _, r := range refunds {
		rows = append(rows, []string{r.ID, r.PaymentID, string(r.Status), r.Amount.String(), escape(r.Cause),
			strconv.Itoa(r.Tries), escape(cmp.Or(r.Failure, r.LastError))})
	}
	return printTable(c.out, []string{"REFUND", "PAYMENT", "STATUS", "AMOUNT", "CAUSE", "TRIES", "ERROR"}, rows)
}

func (c *cli) printDisputes(disputes []payments.Dispute) error {
	if len(disputes) == 0 {
		return nil
	}
	var rows [][]string
	for _, d := range disputes {
		amount := "all"
		if d.Amount.Minor > 0 {
			amount = d.Amount.String()
		}
		rows = append(rows, []string{escape(d.ID), string(d.Status), amount, escape(d.Reason), escape(d.Outcome),
			formatTime(d.CreatedAt)})
	}
	return printTable(c.out, []string{"DISPUTE", "STATUS", "AMOUNT", "REASON", "CLOSED AS", "SINCE"}, rows)
}
