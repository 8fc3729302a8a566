package stripetest

import (
	"strings"

	"github.com/booking-platform/booking-platform/internal/valid"
)

// LineItem is one thing that is bought. UnitAmount is in minor units of the
// session's currency.
type LineItem struct {
	Name        string
	Description string
	Quantity    int64
	UnitAmount  int64
}

// largestAmount bounds every amount before its currency is looked at. The limit of
// a currency is that of the table of currencies.
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
			return invalid("line_items", "", "You can't combine currencies on a single Checkout Session: %s and %s.",
				sess.Currency, currency)
		}
		sess.Currency = currency
		sess.LineItems = append(sess.LineItems, item)
		sess.AmountTotal += item.Quantity * item.UnitAmount
		if most := valid.CurrencyOf(currency).Most; sess.AmountTotal > most {
			return invalid("line_items", "amount_too_large",
				"The Checkout Session's total amount due must be no more than %s.", formatAmount(most, currency))
		}
	}
	// The account of the stand-in is paid out in whatever currency is charged.
	if sess.AmountTotal == 0 {
		sess.PaymentStatus = NothingToPay
	} else if least := valid.CurrencyOf(sess.Currency).Least; sess.AmountTotal < least {
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
	currency = strings.ToLower(currency)
	if _, known := valid.LookupCurrency(currency); !known {
		return item, "", invalid(price+"[currency]", "", "Invalid currency: %s.", currency)
	}
	if item.UnitAmount, err = f.integer(price+"[unit_amount]", 0, largestAmount); err != nil {
		return item, "", err
	}
	if err = refuseDigits(price+"[unit_amount]", item.UnitAmount, currency); err != nil {
		return item, "", err
	}
	if _, err = f.required(price + "[product_data][name]"); err != nil {
		return item, "", err
	}
	if item.Name, err = f.text(price+"[product_data][name]", 5000); err != nil {
		return item, "", err
	}
	if item.Description, err = f.text(price+"[product_data][description]", 40_000); err != nil {
		return item, "", err
	}
	return item, currency, nil
}
