package output

import (
	"strconv"
	"time"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/payments"
)

type bookingJSON struct {
	ID        string         `json:"id"`
	Number    string         `json:"number"`
	Kind      booking.Kind   `json:"kind"`
	Resource  string         `json:"resource"`
	Offer     string         `json:"offer"`
	Start     time.Time      `json:"start"`
	End       time.Time      `json:"end"`
	Party     int            `json:"party"`
	Status    booking.Status `json:"status"`
	FirstName string         `json:"firstName"`
	LastName  string         `json:"lastName"`
	Email     string         `json:"email"`
	Phone     string         `json:"phone"`
	Note      string         `json:"note"`
	Language  string         `json:"language"`
	Reference string         `json:"reference"`
	Amount    string         `json:"amount"`
	// Payment and PaymentStatus are empty without a payment.
	Payment       string              `json:"payment"`
	PaymentStatus payments.Status     `json:"paymentStatus"`
	History       []bookingChangeJSON `json:"history"`
}

type bookingChangeJSON struct {
	At   time.Time      `json:"at"`
	From booking.Status `json:"from"`
	To   booking.Status `json:"to"`
	// MovedFrom is the start before a move.
	MovedFrom time.Time `json:"movedFrom,omitzero"`
	Actor     string    `json:"actor"`
	Reason    string    `json:"reason"`
}

// Booking prints a booking with its payment, which is the zero Payment if there is none,
// and its history. Times are in the zone of the resource.
func (p Printer) Booking(b booking.Booking, r booking.Resource, pay payments.Payment, history []booking.Change) error {
	zone, err := r.Zone()
	if err != nil {
		return err
	}
	status := payments.Status("")
	if pay.ID != "" {
		status = pay.Status()
	}
	if p.JSON {
		v := bookingJSON{ID: b.ID, Number: b.Number, Kind: b.Kind, Resource: r.Slug, Offer: b.Offer,
			Start: b.Start.In(zone), End: b.End.In(zone), Party: b.Party, Status: b.Status,
			FirstName: b.Customer.FirstName, LastName: b.Customer.LastName, Email: b.Customer.Email,
			Phone: b.Customer.Phone, Note: b.Note, Language: b.Language, Reference: b.Reference,
			Amount: b.Amount.String(), Payment: pay.ID, PaymentStatus: status, History: []bookingChangeJSON{}}
		for _, h := range history {
			change := bookingChangeJSON{At: h.At, From: h.From, To: h.To, Actor: h.Actor, Reason: h.Reason}
			if isMove(h) {
				change.MovedFrom = h.FromStart.In(zone)
			}
			v.History = append(v.History, change)
		}
		return printJSON(p.Out, v)
	}
	until := ""
	if b.Status == booking.StatusPending {
		until = formatTime(b.HoldExpiresAt.In(zone))
	}
	err = printFields(p.Out, [][2]string{
		{"booking", b.ID}, {"number", b.Number}, {"resource", Escape(r.Slug)}, {"offer", b.Offer},
		{"start", formatTime(b.Start.In(zone))}, {"end", formatTime(b.End.In(zone))},
		{"party", strconv.Itoa(b.Party)}, {"status", string(b.Status)}, {"held until", until},
		{"name", Escape(b.Customer.Name())}, {"e-mail", Escape(b.Customer.Email)}, {"phone", Escape(b.Customer.Phone)},
		{"note", Escape(OneLine(b.Note))}, {"language", b.Language}, {"reference", Escape(b.Reference)},
		{"amount", b.Amount.String()}, {"payment", pay.ID}, {"payment status", string(status)},
		{"created", formatTime(b.CreatedAt)},
	})
	if err != nil || len(history) == 0 {
		return err
	}
	var rows [][]string
	for _, h := range history {
		movedFrom := ""
		if isMove(h) {
			movedFrom = formatTime(h.FromStart.In(zone))
		}
		rows = append(rows, []string{formatTime(h.At), string(h.From), string(h.To), movedFrom, Escape(h.Actor),
			Escape(OneLine(h.Reason))})
	}
	return printTable(p.Out, []string{"AT", "FROM", "TO", "MOVED FROM", "BY", "REASON"}, rows)
}

func isMove(h booking.Change) bool { return !h.FromStart.IsZero() && !h.FromStart.Equal(h.ToStart) }
