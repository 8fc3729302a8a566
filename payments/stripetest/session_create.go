package stripetest

import (
	"net/mail"
	"time"
)

// createParameters is what can be said about a new session. Whoever adds one
// must do with it what Stripe does; a test compares the names with Stripe's
// description.
var createParameters = setOf(
	"cancel_url", "client_reference_id", "customer_email", "expand[]", "expires_at", "locale", "metadata[]", "mode",
	"payment_method_types[]", "submit_type", "success_url",
	"line_items[][quantity]",
	"line_items[][price_data][currency]",
	"line_items[][price_data][unit_amount]",
	"line_items[][price_data][product_data][name]",
	"line_items[][price_data][product_data][description]",
	"line_items[][price_data][product_data][images][]",
	"line_items[][price_data][product_data][metadata][]",
	"payment_intent_data[description]",
	"payment_intent_data[metadata][]",
	"payment_intent_data[receipt_email]",
	"payment_intent_data[statement_descriptor]",
	"payment_intent_data[statement_descriptor_suffix]",
)

const (
	leastLifetime = 30 * time.Minute
	mostLifetime  = 24 * time.Hour
)

// createSession answers POST /v1/checkout/sessions.
func (s *Server) createSession(c *call) (any, error) {
	s.lock()
	sess, err := parseSession(c.form, s.now())
	if err != nil {
		s.mu.Unlock()
		return nil, err
	}
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

// parseSession checks the parameters of a new session and returns it, open.
func parseSession(f form, now time.Time) (*Session, error) {
	sess := &Session{
		ID:                 newID("cs_test_a1", 58),
		Status:             Open,
		PaymentStatus:      Unpaid,
		CreatedAt:          now.UTC().Truncate(time.Second),
		locale:             f.get("locale"),
		submitType:         f.get("submit_type"),
		paymentMethodTypes: f.list("payment_method_types"),
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

// parseExpiry returns when the session ends. The limits count from the receipt
// of the call, as Stripe's do: a caller that computed thirty minutes exactly and
// was a second on the way is refused.
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
