package booking

import (
	"fmt"
	"strings"

	"github.com/booking-platform/booking-platform/internal/valid"
)

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
