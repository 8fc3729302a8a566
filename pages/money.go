package pages

import (
	"strings"

	"github.com/booking-platform/booking-platform/booking"
)

// amount writes money on a page: EUR 12.50, JPY 1250, UGX 50000. The digits are those of
// [booking.Money.Decimal].
func amount(m booking.Money) string { return strings.ToUpper(m.Currency) + " " + m.Decimal() }
