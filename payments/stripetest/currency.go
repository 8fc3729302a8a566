package stripetest

import (
	"strings"

	"github.com/booking-platform/booking-platform/internal/valid"
)

// formatAmount writes an amount of minor units for people: 1250 eur is EUR 12.50, 1250
// jpy is JPY 1250, 125000 ugx is UGX 1250.
func formatAmount(minor int64, currency string) string {
	return strings.ToUpper(currency) + " " + valid.Decimal(minor, currency)
}

// refuseDigits refuses an amount that is not zero and whose last digits Stripe does not
// take in its currency.
func refuseDigits(param string, amount int64, currency string) error {
	c := valid.CurrencyOf(currency)
	switch {
	case amount%c.Step == 0:
		return nil
	case c.Digits == 0:
		return invalid(param, "parameter_invalid_integer",
			"Invalid amount. Currency %s has become effectively zero-decimal and charged amounts must be evenly divisible by %d.",
			strings.ToUpper(currency), c.Step)
	}
	return invalid(param, "parameter_invalid_integer", "Invalid amount. Amounts in %s have three decimal places, "+
		"and the last digit must be 0.", strings.ToUpper(currency))
}
