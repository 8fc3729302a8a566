package locale

import (
	"strings"

	"github.com/booking-platform/booking-platform/booking"
)

// Money formats an amount: "EUR 1250.00" in English, "1 250,00 €" in French, whose spaces
// do not break.
func (l Locale) Money(m booking.Money) string {
	code := strings.ToUpper(m.Currency)
	if !l.isFrench() {
		return code + " " + m.Decimal()
	}
	if code == "EUR" {
		code = "€"
	}
	whole, fraction, hasFraction := strings.Cut(m.Decimal(), ".")
	sign := ""
	if digits, negative := strings.CutPrefix(whole, "-"); negative {
		sign, whole = "-", digits
	}
	for at := len(whole) - 3; at > 0; at -= 3 {
		whole = whole[:at] + "\u202f" + whole[at:]
	}
	if hasFraction {
		whole += "," + fraction
	}
	return sign + whole + "\u00a0" + code
}

// Price is Money for what may cost nothing.
func (l Locale) Price(m booking.Money) string {
	if m.IsZero() {
		return l.T("Free of charge")
	}
	return l.Money(m)
}
