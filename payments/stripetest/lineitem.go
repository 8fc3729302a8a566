package stripetest

import "strings"

// LineItem is one thing that is bought. UnitAmount is in minor units of the
// session's currency.
type LineItem struct {
	Name        string
	Description string
	Quantity    int64
	UnitAmount  int64
}

// largestAmount is the widest of Stripe's limits, which differ by currency, so
// that nothing is refused here that Stripe would take.
const largestAmount = 999_999_999_999

// parseLineItems sets what is bought, the currency and the total.
func parseLineItems(f form, sess *Session) error {
	indices := f.indices("line_items")
	if len(indices) == 0 {
		return missing("line_items")
	}
	if len(indices) > 100 {
		return invalid("line_items", "", "You passed %d line items; a Checkout Session takes up to 100.", len(indices))
	}
	for _, index := range indices {
		item, currency, err := parseLineItem(f, "line_items["+index+"]")
		if err != nil {
			return err
		}
		if sess.Currency != "" && sess.Currency != currency {
			return invalid("line_items", "", "You can't combine currencies on a single Checkout Session: %s and %s.", sess.Currency, currency)
		}
		sess.Currency = currency
		sess.LineItems = append(sess.LineItems, item)
		sess.AmountTotal += item.Quantity * item.UnitAmount
		if sess.AmountTotal > largestAmount {
			return invalid("line_items", "amount_too_large", "The total amount is too large.")
		}
	}
	if sess.AmountTotal == 0 {
		sess.PaymentStatus = NothingToPay
	} else if least := leastAmount[sess.Currency]; sess.AmountTotal < least {
		return invalid("line_items", "amount_too_small",
			"The Checkout Session's total amount due must add up to at least %s.", formatAmount(least, sess.Currency))
	}
	return nil
}

func parseLineItem(f form, name string) (item LineItem, currency string, err error) {
	price := name + "[price_data]"
	if item.Quantity, err = f.integer(name+"[quantity]", 1, 999_999); err != nil {
		return item, "", err
	}
	if currency, err = f.required(price + "[currency]"); err != nil {
		return item, "", err
	}
	if currency = strings.ToLower(currency); !currencies[currency] {
		return item, "", invalid(price+"[currency]", "", "Invalid currency: %s.", currency)
	}
	if item.UnitAmount, err = f.integer(price+"[unit_amount]", 0, largestAmount); err != nil {
		return item, "", err
	}
	if item.Name, err = f.required(price + "[product_data][name]"); err != nil {
		return item, "", err
	}
	item.Description = f.get(price + "[product_data][description]")
	return item, currency, nil
}
