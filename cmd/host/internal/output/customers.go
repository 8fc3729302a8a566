package output

import (
	"strconv"

	"github.com/booking-platform/booking-platform/customers"
)

// Erasure prints what an erasure changed, or would change, and why a customer is still
// needed.
func (p Printer) Erasure(r customers.Report) error {
	if p.JSON {
		return printJSON(p.Out, r)
	}
	var fields [][2]string
	for _, count := range []struct {
		name string
		n    int
	}{
		{"bookings", r.Bookings}, {"history", r.History}, {"hold numbers", r.HoldNumbers}, {"payments", r.Payments},
		{"refunds", r.Refunds}, {"events", r.Events}, {"messages", r.Messages}, {"users", r.Users},
		{"sessions", r.Sessions}, {"actors", r.Actors},
	} {
		fields = append(fields, [2]string{count.name, strconv.Itoa(count.n)})
	}
	if err := printFields(p.Out, fields); err != nil || len(r.NotYet) == 0 {
		return err
	}
	rows := make([][]string, 0, len(r.NotYet))
	for _, n := range r.NotYet {
		rows = append(rows, []string{string(n.Reason), n.BookingID, n.PaymentID, yesNo(n.Forceable)})
	}
	return printTable(p.Out, []string{"STILL NEEDED", "BOOKING", "PAYMENT", "FORCE"}, rows)
}
