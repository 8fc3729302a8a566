package stripetest

import (
	"cmp"
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"time"
)

// Status is a session's status.
type Status string

// The statuses of a session. Only an open one can be paid, declined or expired.
const (
	Open     Status = "open"
	Complete Status = "complete"
	Expired  Status = "expired"
)

// PaymentStatus is a session's payment_status.
type PaymentStatus string

// The payment statuses of a session. NothingToPay is that of a total of zero.
const (
	Unpaid       PaymentStatus = "unpaid"
	Paid         PaymentStatus = "paid"
	NothingToPay PaymentStatus = "no_payment_required"
)

// Session is a copy of a Checkout Session at one moment. Amounts are in minor units,
// Currency is in lower case, times are UTC. Its JSON is Stripe's object.
type Session struct {
	ID            string
	Status        Status
	PaymentStatus PaymentStatus
	Currency      string
	AmountTotal   int64
	LineItems     []LineItem

	ClientReferenceID string
	CustomerEmail     string            // as the session was created with
	PaidByEmail       string            // as the customer gave it, once complete
	Metadata          map[string]string // never nil

	// PaymentIntentID is empty before a payment. PaymentIntentMetadata becomes the
	// payment intent's metadata.
	PaymentIntentID       string
	PaymentIntentMetadata map[string]string

	SuccessURL string // may contain {CHECKOUT_SESSION_ID}
	CancelURL  string
	URL        string // of the pay page; empty unless open

	CreatedAt time.Time
	ExpiresAt time.Time

	// Parameters are those of the creating call, by flat names such as
	// payment_intent_data[on_behalf_of].
	Parameters url.Values

	locale             string
	submitType         string
	captureMethod      string // of its payment intent
	paymentMethodTypes []string
}

func (s *Session) snapshot() Session {
	c := *s
	c.LineItems = slices.Clone(s.LineItems)
	c.Metadata = maps.Clone(s.Metadata)
	c.PaymentIntentMetadata = maps.Clone(s.PaymentIntentMetadata)
	c.Parameters = maps.Clone(s.Parameters)
	return c
}

// MarshalJSON writes Stripe's object; features left out have default values.
func (s Session) MarshalJSON() ([]byte, error) {
	none := map[string]any{}
	var submit any
	if text := s.Parameters.Get("custom_text[submit][message]"); text != "" {
		submit = map[string]any{"message": text}
	}
	return json.Marshal(map[string]any{
		"id":                  s.ID,
		"object":              "checkout.session",
		"livemode":            false,
		"mode":                "payment",
		"ui_mode":             "hosted",
		"status":              s.Status,
		"payment_status":      s.PaymentStatus,
		"currency":            s.Currency,
		"amount_subtotal":     s.AmountTotal,
		"amount_total":        s.AmountTotal,
		"total_details":       map[string]any{"amount_discount": 0, "amount_shipping": 0, "amount_tax": 0},
		"client_reference_id": orNull(s.ClientReferenceID),
		"customer_email":      orNull(s.CustomerEmail),
		"customer_details":    s.customerDetails(),
		"metadata":            s.Metadata,
		"payment_intent":      orNull(s.PaymentIntentID),
		"success_url":         s.SuccessURL,
		"cancel_url":          orNull(s.CancelURL),
		"url":                 orNull(s.URL),
		"created":             s.CreatedAt.Unix(),
		"expires_at":          s.ExpiresAt.Unix(),

		"locale":               orNull(s.locale),
		"submit_type":          orNull(s.submitType),
		"payment_method_types": s.paymentMethodTypes,

		"automatic_tax": map[string]any{"enabled": s.Parameters.Get("automatic_tax[enabled]") == "true",
			"liability": nil, "status": nil},
		"customer_creation": "if_required",
		"custom_fields":     []any{},
		"custom_text": map[string]any{"shipping_address": nil, "submit": submit,
			"terms_of_service_acceptance": nil, "after_submit": nil},
		"payment_method_collection": "if_required",
		"payment_method_options":    none,
		"phone_number_collection":   map[string]any{"enabled": false},
		"shipping_options":          []any{},

		"after_expiration": nil, "allow_promotion_codes": nil, "billing_address_collection": nil, "client_secret": nil,
		"consent": nil, "consent_collection": nil, "currency_conversion": nil,
		"customer": orNull(s.Parameters.Get("customer")), "invoice": nil,
		"invoice_creation": nil, "payment_link": nil, "payment_method_configuration_details": nil,
		"recovered_from": nil,
		"setup_intent":   nil, "shipping_address_collection": nil, "shipping_cost": nil, "subscription": nil,
	})
}

// customerDetails is null until an e-mail address is known.
func (s Session) customerDetails() any {
	email := cmp.Or(s.PaidByEmail, s.CustomerEmail)
	if email == "" {
		return nil
	}
	return map[string]any{"address": nil, "email": email, "name": nil, "phone": nil, "tax_exempt": "none",
		"tax_ids": nil}
}

func orNull(s string) any {
	if s == "" {
		return nil
	}
	return s
}

var (
	expireParameters = setOf("expand[]")
	listParameters   = setOf("expand[]", "limit", "payment_intent", "starting_after", "status")
)

// Sessions returns the newest 10,000 sessions, newest first.
func (s *Server) Sessions() []Session {
	s.lock()
	defer s.mu.Unlock()
	all := make([]Session, 0, len(s.order))
	for i := len(s.order) - 1; i >= 0; i-- {
		all = append(all, s.sessions[s.order[i]].snapshot())
	}
	return all
}

// Session returns one session, or ErrNotFound.
func (s *Server) Session(id string) (Session, error) {
	s.lock()
	defer s.mu.Unlock()
	sess, ok := s.sessions[id]
	if !ok {
		return Session{}, ErrNotFound
	}
	return sess.snapshot(), nil
}

func (s *Server) retrieveSession(c *call) (any, error) {
	s.lock()
	defer s.mu.Unlock()
	sess, ok := s.sessions[c.PathValue("id")]
	if !ok {
		return nil, noSuch("checkout.session", "session", c.PathValue("id"))
	}
	return sess.snapshot(), nil
}

func (s *Server) listSessions(c *call) (any, error) {
	status := Status(c.form.get("status"))
	if !slices.Contains([]Status{"", Open, Complete, Expired}, status) {
		return nil, invalid("status", "", "Invalid status: must be one of open, complete, or expired")
	}
	intent := c.form.get("payment_intent")

	s.lock()
	defer s.mu.Unlock()
	return page(c, "checkout.session", s.order, func(id string) (Session, bool) {
		sess := s.sessions[id]
		return sess.snapshot(), (status == "" || sess.Status == status) &&
			(intent == "" || sess.PaymentIntentID == intent)
	})
}

func (s *Server) expireSession(c *call) (any, error) {
	s.lock()
	defer s.mu.Unlock()
	sess, err := s.open(c.PathValue("id"))
	if sess == nil {
		return nil, noSuch("checkout.session", "session", c.PathValue("id"))
	}
	if err != nil {
		return nil, refused(http.StatusBadRequest, "",
			"Only Checkout Sessions with a status in [\"open\"] can be expired. "+
				"This Checkout Session has a status of `%s`.", sess.Status)
	}
	s.expire(sess, c)
	return sess.snapshot(), nil
}

// Callers hold s.mu.
func (s *Server) add(sess *Session) {
	s.sessions[sess.ID] = sess
	s.order = append(s.order, sess.ID)
	if len(s.order) > s.keep {
		delete(s.sessions, s.order[0])
		s.order = s.order[1:]
	}
	s.expiresAt(sess.ExpiresAt)
}
