package booking

import (
	"fmt"
	"strings"

	"github.com/booking-platform/booking-platform/internal/valid"
)

// Decimal writes the amount in whole units with the digits of its currency: "25.00" in
// euros, "2500" in yen, "2.500" in dinars, "25" in shillings of Uganda.
func (m Money) Decimal() string { return valid.Decimal(m.Minor, m.Currency) }

// String writes the amount for people: "25.00 EUR".
func (m Money) String() string {
	return strings.TrimSpace(m.Decimal() + " " + strings.ToUpper(m.Currency))
}

// ParseMoney reads what [Money.Decimal] writes: an amount that is not negative and has
// exactly the digits of its currency, "25.00" in eur, "2500" in jpy. Cents can so not be
// taken for euros. In isk and ugx, which have no fractions, "25.00" is read as "25" is.
// What Stripe never charges, such as 18.605 KWD, is refused where it becomes a price: see
// [Resource.Validate].
func ParseMoney(decimal, currency string) (Money, error) {
	minor, err := valid.ParseDecimal(decimal, currency)
	if err != nil {
		return Money{}, fmt.Errorf("booking: %w", err)
	}
	return Money{Minor: minor, Currency: strings.ToLower(currency)}, nil
}
