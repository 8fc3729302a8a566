package booking

import (
	"fmt"
	"math/bits"
	"strings"

	"github.com/booking-platform/booking-platform/internal/valid"
)

// Money is in minor units of a currency, as Stripe's API counts them
// (https://docs.stripe.com/currencies): cents, yen, fils. Two currencies without
// fractions are counted in hundredths all the same: 50000 UGX is 5000000, 25 ISK is 2500.
type Money struct {
	// Minor is 2500 for 25.00 EUR, 2500 JPY, 2.500 KWD and 25 UGX.
	Minor int64
	// Currency is the ISO 4217 code in lower case.
	Currency string
}

// Equal ignores the currency's case.
func (m Money) Equal(other Money) bool {
	return m.Minor == other.Minor && strings.EqualFold(m.Currency, other.Currency)
}

// IsZero reports whether the amount is 0 in any currency.
func (m Money) IsZero() bool { return m.Minor == 0 }

// times is false if the product of a price, not negative, overflows.
func (m Money) times(heads int) (Money, bool) {
	hi, lo := bits.Mul64(uint64(m.Minor), uint64(heads))
	if hi != 0 || int64(lo) < 0 {
		return Money{}, false
	}
	return Money{Minor: int64(lo), Currency: m.Currency}, true
}

func currencyProblem(code string) string {
	if len(code) != 3 || strings.ContainsFunc(code, notLetter) {
		return "must be three letters, such as eur"
	}
	if _, known := valid.LookupCurrency(code); !known {
		return "is not a currency that Stripe takes"
	}
	return ""
}

// priceProblem refuses a price that cannot be charged to one person, or to a party of the
// whole capacity.
func priceProblem(price Money, capacity int) string {
	if problem := valid.ChargeProblem(price.Minor, price.Currency); problem != "" {
		return problem
	}
	most := Money{Minor: valid.CurrencyOf(price.Currency).Most, Currency: price.Currency}
	if total, fits := price.times(max(1, capacity)); !fits || total.Minor > most.Minor {
		return fmt.Sprintf("times the capacity is more than %s, the most that Stripe charges at once", most)
	}
	return ""
}

// feeProblem refuses a fee that leaves a refund which Stripe cannot make.
func feeProblem(minor int64, currency string) string {
	if problem := valid.ChargeProblem(minor, currency); problem != "" {
		return "keeps a fee that " + problem
	}
	return ""
}

// Warning is a possible mistake in a resource, which is not refused.
type Warning struct {
	Field string
	// Text is such as "is below 0.50 EUR, the least that Stripe charges".
	Text string
}

func (w Warning) String() string { return w.Field + " " + w.Text }

// Warnings returns one for each price below the least that Stripe charges for an account
// paid out in its currency. For other accounts theirs applies, converted, and some
// payment methods have none. A price of 0 is fine.
func (r Resource) Warnings() []Warning {
	r = r.withDefaults()
	var found []Warning
	add := func(field string, price Money) {
		c := valid.CurrencyOf(price.Currency)
		if price.Minor <= 0 || price.Minor >= c.Least {
			return
		}
		text := fmt.Sprintf("is %s: less than %s, the least that Stripe charges for an account paid out in %s",
			price, Money{Minor: c.Least, Currency: c.Code}, strings.ToUpper(c.Code))
		found = append(found, Warning{field, text})
	}
	add("price", r.Price)
	for _, o := range r.Offers {
		add("offers."+o.Slug+".price", o.Price)
	}
	return found
}

// Decimal formats the amount with the digits of its currency: "25.00" in eur, "2500" in
// jpy, "2.500" in kwd, "25" in ugx.
func (m Money) Decimal() string { return valid.Decimal(m.Minor, m.Currency) }

// String formats the amount as "25.00 EUR".
func (m Money) String() string {
	return strings.TrimSpace(m.Decimal() + " " + strings.ToUpper(m.Currency))
}

// ParseMoney parses [Money.Decimal]'s format, with exactly the digits of the currency, so
// that cents are not taken for euros; in isk and ugx "25.00" is "25". The amount is not
// negative. [Resource.Validate] refuses prices that Stripe cannot charge, such as 18.605
// KWD.
func ParseMoney(decimal, currency string) (Money, error) {
	minor, err := valid.ParseDecimal(decimal, currency)
	if err != nil {
		return Money{}, fmt.Errorf("booking: %w", err)
	}
	return Money{Minor: minor, Currency: strings.ToLower(currency)}, nil
}
