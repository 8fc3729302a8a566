package booking

import (
	"math/bits"
	"strings"
)

// Money is an amount of one currency in minor units, counted as Stripe's API counts them
// (https://docs.stripe.com/currencies): cents, pence, yen, fils. Two currencies that have
// no fractions are counted in hundredths all the same: 50000 UGX is 5000000, 25 ISK is
// 2500.
type Money struct {
	// Minor is the amount: 2500 with "eur" is 25.00 EUR, with "jpy" 2500 JPY, with "kwd"
	// 2.500 KWD and with "ugx" 25 UGX.
	Minor int64
	// Currency is the ISO 4217 code in lower case, as Stripe writes it. The store always
	// returns it so.
	Currency string
}

// Equal tells whether both are the same amount of the same currency; the case of the
// currency does not matter.
func (m Money) Equal(other Money) bool {
	return m.Minor == other.Minor && strings.EqualFold(m.Currency, other.Currency)
}

// IsZero tells whether the amount is nothing, in whatever currency.
func (m Money) IsZero() bool { return m.Minor == 0 }

// times multiplies a price that is not negative by a count of heads; false when int64
// cannot hold the product.
func (m Money) times(heads int) (Money, bool) {
	hi, lo := bits.Mul64(uint64(m.Minor), uint64(heads))
	if hi != 0 || int64(lo) < 0 {
		return Money{}, false
	}
	return Money{Minor: int64(lo), Currency: m.Currency}, true
}
