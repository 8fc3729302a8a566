package booking

import (
	"fmt"
	"math/bits"
	"strings"

	"github.com/booking-platform/booking-platform/internal/valid"
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

// currencyProblem says why nothing can be sold in a currency: the table of currencies
// defines what minor units are, so an amount of a currency outside of it would have no
// meaning.
func currencyProblem(code string) string {
	if len(code) != 3 || strings.ContainsFunc(code, notLetter) {
		return "must be three letters, such as eur"
	}
	if _, known := valid.LookupCurrency(code); !known {
		return "is not a currency that Stripe takes"
	}
	return ""
}

// priceProblem says why a price per head cannot be charged: to one customer, or to a
// party that takes all of the capacity.
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

// feeProblem says why a fixed fee cannot be kept: what is left of the amount would be a
// refund that Stripe does not make.
func feeProblem(minor int64, currency string) string {
	if problem := valid.ChargeProblem(minor, currency); problem != "" {
		return "keeps a fee that " + problem
	}
	return ""
}

// Warning is something about a resource that may be a mistake, in words for people. It is
// not refused, because whether it is one depends on what this module does not know.
type Warning struct {
	// Field is named as in [FieldChange]: "price", "offers.long.price".
	Field string
	// Text is a phrase such as "is below 0.50 EUR, the least that Stripe charges".
	Text string
}

// String is the field and the text.
func (w Warning) String() string { return w.Field + " " + w.Text }

// Warnings are the prices that Stripe may refuse to charge for one person: an account
// that is paid out in the currency of the price has a least amount in it. An account that
// is paid out in another currency has that one's, converted, and some payment methods
// have none. Free of charge is not below it. nil where there is nothing to warn of. It
// asks no database.
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
