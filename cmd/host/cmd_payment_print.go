package main

import (
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/payments"
)

// paymentLine is a payment in JSON. Amounts are in minor units.
type paymentLine struct {
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
	AskedAt         time.Time       `json:"askedAt,omitzero"`
	CreatedAt       time.Time       `json:"createdAt"`
	UpdatedAt       time.Time       `json:"updatedAt"`
	Refunds         []refundLine    `json:"refunds,omitempty"`
	Disputes        []disputeLine   `json:"disputes,omitempty"`
}

// disputeLine is a dispute in JSON.
type disputeLine struct {
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

// refundLine is a refund in JSON.
type refundLine struct {
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

func paymentLineOf(p payments.Payment, refunds []payments.Refund, disputes []payments.Dispute) paymentLine {
	line := paymentLine{
		ID: p.ID, BookingID: p.BookingID, Account: p.Account, Status: p.Status(), Amount: p.Amount.Minor,
		Currency: p.Amount.Currency, Captured: p.Captured.Minor,
		CaptureCurrency: p.Captured.Currency, Refunded: p.Refunded.Minor,
		Lost: p.Lost.Minor, OpenDisputes: p.OpenDisputes, ParkedReason: p.ParkedReason, Unapplied: p.Unapplied,
		StripeSessionID: p.SessionID, PaymentIntentID: p.PaymentIntentID, AskedAt: p.AskedAt, CreatedAt: p.CreatedAt,
		UpdatedAt: p.UpdatedAt,
	}
	for _, r := range refunds {
		line.Refunds = append(line.Refunds, refundLineOf(r))
	}
	for _, d := range disputes {
		line.Disputes = append(line.Disputes, disputeLine{
			ID: d.ID, Status: d.Status, Amount: d.Amount.Minor, Currency: d.Amount.Currency, Withdrawn: d.Withdrawn,
			Reinstated: d.Reinstated,
			Outcome:    d.Outcome, Reason: d.Reason, CreatedAt: d.CreatedAt, UpdatedAt: d.UpdatedAt,
		})
	}
	return line
}

func refundLineOf(r payments.Refund) refundLine {
	line := refundLine{
		ID: r.ID, PaymentID: r.PaymentID, Status: r.Status, Amount: r.Amount.Minor, Asked: r.Asked,
		Currency: r.Amount.Currency,
		Origin:   r.Origin, Cause: r.Cause,
		StripeRefundID: r.StripeID, Failure: r.Failure, Tries: r.Tries, LastError: r.LastError, CreatedAt: r.CreatedAt,
	}
	if r.Status == payments.RefundDue {
		line.NextTry = r.NextTry
	}
	return line
}

// printTroubled says what waits for a person; nothing is said as such.
func printTroubled(out io.Writer, troubled []payments.Payment, refunds []payments.Refund, asJSON bool) error {
	if asJSON {
		lines := json.NewEncoder(out)
		for _, p := range troubled {
			if err := lines.Encode(paymentLineOf(p, nil, nil)); err != nil {
				return err
			}
		}
		for _, r := range refunds {
			if err := lines.Encode(refundLineOf(r)); err != nil {
				return err
			}
		}
		return nil
	}
	if len(troubled) == 0 && len(refunds) == 0 {
		_, err := fmt.Fprintln(out, "nothing waits for a person")
		return err
	}
	if len(troubled) > 0 {
		table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
		fmt.Fprintln(table, "PAYMENT\tBOOKING\tSTATUS\tREASON\tASKED\tCAME\tWENT BACK")
		for _, p := range troubled {
			fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", p.ID, p.BookingID, p.Status(), plain(p.ParkedReason),
				p.Amount, p.Captured, p.Refunded)
		}
		if err := table.Flush(); err != nil {
			return err
		}
	}
	if len(refunds) == 0 {
		return nil
	}
	return printRefunds(out, refunds)
}

func printRefunds(out io.Writer, refunds []payments.Refund) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "REFUND\tPAYMENT\tSTATUS\tAMOUNT\tCAUSE\tTRIES\tERROR")
	for _, r := range refunds {
		problem := r.Failure
		if problem == "" {
			problem = r.LastError
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%d\t%s\n", r.ID, r.PaymentID, r.Status, r.Amount, plain(r.Cause),
			r.Tries, plain(problem))
	}
	return table.Flush()
}

func printPayment(out io.Writer, p payments.Payment, refunds []payments.Refund, disputes []payments.Dispute,
	asJSON bool) error {
	if asJSON {
		return json.NewEncoder(out).Encode(paymentLineOf(p, refunds, disputes))
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, field := range [][2]string{
		{"payment", p.ID}, {"booking", p.BookingID}, {"status", string(p.Status())},
		{"parked because", plain(p.ParkedReason)},
		{"not applied because", plain(p.Unapplied)}, {"asked for", p.Amount.String()}, {"came", p.Captured.String()},
		{"went back", p.Refunded.String()},
		{"lost to disputes", unlessZero(p.Lost)},
		{"Stripe account", plain(p.Account)}, {"session", plain(p.SessionID)},
		{"payment intent", plain(p.PaymentIntentID)}, {"told by asking Stripe", instant(p.AskedAt)},
		{"created", instant(p.CreatedAt)}, {"changed", instant(p.UpdatedAt)},
	} {
		if field[1] != "" {
			fmt.Fprintf(table, "%s:\t%s\n", field[0], field[1])
		}
	}
	if err := table.Flush(); err != nil {
		return err
	}
	if len(disputes) > 0 {
		if err := printDisputes(out, disputes); err != nil {
			return err
		}
	}
	if len(refunds) == 0 {
		return nil
	}
	return printRefunds(out, refunds)
}

func unlessZero(m booking.Money) string {
	if m.Minor == 0 {
		return ""
	}
	return m.String()
}

func printDisputes(out io.Writer, disputes []payments.Dispute) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "DISPUTE\tSTATUS\tAMOUNT\tREASON\tCLOSED AS\tSINCE")
	for _, d := range disputes {
		amount := "all"
		if d.Amount.Minor > 0 {
			amount = d.Amount.String()
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\n", plain(d.ID), d.Status, amount, d.Reason, d.Outcome,
			instant(d.CreatedAt))
	}
	return table.Flush()
}
