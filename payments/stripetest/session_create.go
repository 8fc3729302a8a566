package stripetest

import (
	"net/mail"
	"net/url"
	"strings"
	"time"

	"github.com/booking-platform/booking-platform/internal/valid"
)

// createParameters: add one only with its effect. A test compares the names with Stripe's
// description.
var createParameters = setOf(
	"cancel_url", "client_reference_id", "customer_email", "expand[]", "expires_at", "locale", "metadata[]", "mode",
	"payment_method_types[]", "submit_type", "success_url",
	"automatic_tax[enabled]", "billing_address_collection", "custom_text[submit][message]", "customer",
	"customer_creation", "invoice_creation[enabled]", "invoice_creation[invoice_data][description]",
	"invoice_creation[invoice_data][footer]", "invoice_creation[invoice_data][metadata][]",
	"line_items[][quantity]",
	"line_items[][price_data][currency]",
	"line_items[][price_data][tax_behavior]",
	"line_items[][price_data][unit_amount]",
	"line_items[][price_data][product_data][name]",
	"line_items[][price_data][product_data][description]",
	"line_items[][price_data][product_data][images][]",
	"line_items[][price_data][product_data][metadata][]",
	"line_items[][price_data][product_data][tax_code]",
	"payment_intent_data[application_fee_amount]",
	"payment_intent_data[description]",
	"payment_intent_data[metadata][]",
	"payment_intent_data[on_behalf_of]",
	"payment_intent_data[receipt_email]",
	"payment_intent_data[setup_future_usage]",
	"payment_intent_data[statement_descriptor]",
	"payment_intent_data[statement_descriptor_suffix]",
	"payment_intent_data[transfer_data][destination]",
)

const (
	leastLifetime = 30 * time.Minute
	mostLifetime  = 24 * time.Hour
)

func (s *Server) createSession(c *call) (any, error) {
	s.lock()
	sess, err := parseSession(c.form, s.now())
	if err != nil {
		s.mu.Unlock()
		return nil, err
	}
	sess.captureMethod = captureMethod(s.versionOf(c.Request))
	if s.opts.BankDebit && len(c.form.list("payment_method_types")) == 0 {
		sess.paymentMethodTypes = append(sess.paymentMethodTypes, bankDebit)
	}
	base := s.opts.PublicURL
	if base == "" {
		base = "http://" + c.Host
		if c.TLS != nil {
			base = "https://" + c.Host
		}
	}
	sess.URL = base + "/pay/" + sess.ID
	s.add(sess)
	created := sess.snapshot()
	s.mu.Unlock()

	s.log.InfoContext(c.Context(), "stripetest: session created", "session", created.ID,
		"amount", created.AmountTotal, "currency", created.Currency, "stripe_request_id", c.requestID)
	if s.opts.OnCreate != nil {
		s.opts.OnCreate(created.snapshot())
	}
	return created, nil
}

func parseSession(f form, now time.Time) (*Session, error) {
	sess := &Session{
		ID:                 newID("cs_test_a1", 58),
		Status:             Open,
		PaymentStatus:      Unpaid,
		CreatedAt:          now.UTC().Truncate(time.Second),
		locale:             f.get("locale"),
		submitType:         f.get("submit_type"),
		paymentMethodTypes: f.list("payment_method_types"),
		Parameters:         url.Values(f),
	}
	if len(sess.paymentMethodTypes) == 0 {
		sess.paymentMethodTypes = []string{"card"}
	}
	mode, err := f.required("mode")
	if err != nil {
		return nil, err
	}
	if mode != "payment" {
		return nil, invalid("mode", "", "Invalid mode: must be payment. (The stripetest stand-in knows no other.)")
	}
	if _, err = f.required("success_url"); err != nil {
		return nil, err
	}
	if sess.SuccessURL, err = f.address("success_url"); err != nil {
		return nil, err
	}
	if sess.CancelURL, err = f.address("cancel_url"); err != nil {
		return nil, err
	}
	if sess.ClientReferenceID, err = f.text("client_reference_id", 200); err != nil {
		return nil, err
	}
	if sess.CustomerEmail, err = parseEmail(f); err != nil {
		return nil, err
	}
	if sess.CustomerEmail != "" && f.has("customer") {
		return nil, invalid("customer_email", "", "You may only specify one of these parameters: customer, customer_email.")
	}
	if _, err = f.text("custom_text[submit][message]", 1200); err != nil {
		return nil, err
	}
	if sess.Metadata, err = f.metadata("metadata"); err != nil {
		return nil, err
	}
	if sess.PaymentIntentMetadata, err = f.metadata("payment_intent_data[metadata]"); err != nil {
		return nil, err
	}
	if sess.ExpiresAt, err = parseExpiry(f, now); err != nil {
		return nil, err
	}
	if err := parseLineItems(f, sess); err != nil {
		return nil, err
	}
	return sess, nil
}

func parseEmail(f form) (string, error) {
	email := f.get("customer_email")
	if parsed, err := mail.ParseAddress(email); email != "" && (err != nil || parsed.Address != email) {
		return "", invalid("customer_email", "email_invalid", "Invalid email address: %s", email)
	}
	return email, nil
}

// parseExpiry counts from the receipt of the call, as Stripe does: thirty minutes
// computed a second earlier are refused.
func parseExpiry(f form, now time.Time) (time.Time, error) {
	const param = "expires_at"
	if !f.has(param) {
		return now.UTC().Add(mostLifetime).Truncate(time.Second), nil
	}
	seconds, err := f.integer(param, 0, 1<<40)
	if err != nil {
		return time.Time{}, err
	}
	at := time.Unix(seconds, 0).UTC()
	if at.Before(now.Truncate(time.Second).Add(leastLifetime)) {
		return time.Time{}, invalid(param, "",
			"The `expires_at` timestamp must be at least 30 minutes from Checkout Session creation.")
	}
	if at.After(now.Add(mostLifetime)) {
		return time.Time{}, invalid(param, "",
			"The `expires_at` timestamp must be less than 24 hours from Checkout Session creation.")
	}
	return at, nil
}

// LineItem is one line of a purchase, in minor units of the session's currency.
type LineItem struct {
	Name        string
	Description string
	Quantity    int64
	UnitAmount  int64
}

// largestAmount bounds amounts before their currency is known.
const largestAmount = 999_999_999_999

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
	// The account is settled in whatever currency is charged.
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

// formatAmount is for display: 1250 eur is EUR 12.50, 125000 ugx is UGX 1250.
func formatAmount(minor int64, currency string) string {
	return strings.ToUpper(currency) + " " + valid.Decimal(minor, currency)
}

// refuseDigits refuses last digits that Stripe does not accept in a currency.
func refuseDigits(param string, amount int64, currency string) error {
	c := valid.CurrencyOf(currency)
	switch {
	case amount%c.Step == 0:
		return nil
	case c.Digits == 0:
		return invalid(param, "parameter_invalid_integer",
			"Invalid amount. Currency %s has become effectively zero-decimal and charged amounts "+
				"must be evenly divisible by %d.",
			strings.ToUpper(currency), c.Step)
	}
	return invalid(param, "parameter_invalid_integer", "Invalid amount. Amounts in %s have three decimal places, "+
		"and the last digit must be 0.", strings.ToUpper(currency))
}
