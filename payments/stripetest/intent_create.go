package stripetest

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/booking-platform/booking-platform/internal/valid"
)

// intentParameters: see createParameters.
var intentParameters = setOf(
	"amount", "automatic_payment_methods[enabled]", "capture_method", "confirm", "currency", "description", "expand[]",
	"metadata[]", "payment_method", "payment_method_types[]", "receipt_email", "return_url",
)

func (s *Server) createIntent(c *call) (any, error) {
	intent, err := s.parseIntent(c.form)
	if err != nil {
		return nil, err
	}
	if intent.captureMethod == "" {
		intent.captureMethod = captureMethod(s.versionOf(c.Request))
	}
	confirm, err := c.form.boolean("confirm")
	if err != nil {
		return nil, err
	}
	if confirm && intent.paymentMethod == "" {
		return nil, invalid("payment_method", "parameter_missing",
			"You cannot confirm this PaymentIntent because it's missing a payment method.")
	}
	s.lock()
	intent.CreatedAt = s.now().UTC()
	s.intents.add(intent.ID, intent, s.keep)
	s.emit("payment_intent.created", "", intent.ID, intent, c)
	created := intent.snapshot()
	s.mu.Unlock()
	s.log.InfoContext(c.Context(), "stripetest: payment intent created", "payment_intent", created.ID,
		"amount", created.Amount, "currency", created.Currency, "stripe_request_id", c.requestID)
	if s.opts.OnIntent != nil {
		s.opts.OnIntent(created.snapshot())
	}
	if confirm {
		return s.confirm(c, created.ID, intent.paymentMethod)
	}
	return created, nil
}

func (s *Server) parseIntent(f form) (*PaymentIntent, error) {
	intent := &PaymentIntent{
		ID:                 newID("pi_3", 23),
		Status:             IntentRequiresPaymentMethod,
		paymentMethod:      f.get("payment_method"),
		paymentMethodTypes: f.list("payment_method_types"),
		receiptEmail:       f.get("receipt_email"),
		captureMethod:      f.get("capture_method"),
	}
	var err error
	if intent.Amount, err = f.integer("amount", 1, largestAmount); err != nil {
		return nil, err
	}
	if intent.Currency, err = f.required("currency"); err != nil {
		return nil, err
	}
	intent.Currency = strings.ToLower(intent.Currency)
	currency, known := valid.LookupCurrency(intent.Currency)
	switch {
	case !known:
		return nil, invalid("currency", "", "Invalid currency: %s.", intent.Currency)
	case intent.Amount < currency.Least:
		return nil, invalid("amount", "amount_too_small", "Amount must be at least %s.",
			formatAmount(currency.Least, intent.Currency))
	case intent.Amount > currency.Most:
		return nil, invalid("amount", "amount_too_large", "Amount must be no more than %s.",
			formatAmount(currency.Most, intent.Currency))
	case !slices.Contains([]string{"", "automatic", "automatic_async"}, intent.captureMethod):
		return nil, invalid("capture_method", "", "Invalid capture_method: must be automatic or automatic_async. "+
			"(The stripetest stand-in has no manual capture.)")
	}
	if err := refuseDigits("amount", intent.Amount, intent.Currency); err != nil {
		return nil, err
	}
	if intent.Metadata, err = f.metadata("metadata"); err != nil {
		return nil, err
	}
	if intent.description, err = f.text("description", 1000); err != nil {
		return nil, err
	}
	if intent.automaticMethods, err = f.boolean("automatic_payment_methods[enabled]"); err != nil {
		return nil, err
	}
	if len(intent.paymentMethodTypes) == 0 {
		intent.paymentMethodTypes = []string{card}
		if s.opts.BankDebit {
			intent.paymentMethodTypes = append(intent.paymentMethodTypes, bankDebit)
		}
	}
	if intent.paymentMethod != "" {
		if _, ok := testMethods[intent.paymentMethod]; !ok {
			return nil, noPaymentMethod(intent.paymentMethod)
		}
		intent.Status = IntentRequiresConfirmation
	}
	return intent, nil
}

// testMethods are what a call can confirm with: two of Stripe's test cards
// (https://docs.stripe.com/testing) and a bank debit.
var testMethods = map[string]string{
	"pm_card_visa": card, "pm_card_visa_chargeDeclined": "declined", "pm_sepaDebit": bankDebit,
}

func noPaymentMethod(id string) error {
	return invalid("payment_method", "resource_missing", "No such PaymentMethod: '%s'. "+
		"(The stripetest stand-in knows pm_card_visa, pm_card_visa_chargeDeclined and pm_sepaDebit.)", id)
}

var intentConfirmParameters = setOf("expand[]", "payment_method", "receipt_email", "return_url")

func (s *Server) confirmIntent(c *call) (any, error) {
	return s.confirm(c, c.PathValue("id"), c.form.get("payment_method"))
}

func (s *Server) confirm(c *call, id, method string) (any, error) {
	s.lock()
	defer s.mu.Unlock()
	intent, ok := s.intents.byID[id]
	if !ok {
		return nil, noSuchIntent(c)
	}
	if method == "" {
		method = intent.paymentMethod
	}
	how, known := testMethods[method]
	switch {
	case !intent.payable():
		return nil, unexpectedState("You cannot confirm this PaymentIntent because it has a status of %s.",
			intent.Status)
	case method == "":
		return nil, unexpectedState("You cannot confirm this PaymentIntent because it's missing a payment method.")
	case !known:
		return nil, noPaymentMethod(method)
	}
	intent.paymentMethod = ""
	if how == "declined" {
		s.declineIntent(intent, c)
		return nil, &apiError{Status: http.StatusPaymentRequired, Type: "card_error", Code: "card_declined",
			Message: declined}
	}
	s.payIntent(intent, how, c)
	return intent.snapshot(), nil
}

func unexpectedState(format string, args ...any) error {
	return refused(http.StatusBadRequest, "payment_intent_unexpected_state", format, args...)
}

// Callers hold s.mu.
func (s *Server) payIntent(intent *PaymentIntent, method string, c *call) *event {
	charge := s.attempt(intent, intent.receiptEmail, method)
	if method == bankDebit {
		return s.emit("payment_intent.processing", "", intent.ID, intent, c)
	}
	s.succeed(charge)
	return s.emit("payment_intent.succeeded", "", intent.ID, intent, c)
}

// declineIntent leaves a failed charge. Callers hold s.mu.
func (s *Server) declineIntent(intent *PaymentIntent, c *call) {
	s.fail(s.attempt(intent, intent.receiptEmail, card), "card_declined", declined)
	s.emit("payment_intent.payment_failed", "", intent.ID, intent, c)
}

var intentCancelParameters = setOf("cancellation_reason", "expand[]")

func (s *Server) cancelIntent(c *call) (any, error) {
	reason := c.form.get("cancellation_reason")
	if !slices.Contains([]string{"", "abandoned", "duplicate", "fraudulent", "requested_by_customer"}, reason) {
		return nil, invalid("cancellation_reason", "", "Invalid cancellation_reason: must be one of duplicate, "+
			"fraudulent, requested_by_customer, or abandoned")
	}
	s.lock()
	defer s.mu.Unlock()
	intent, ok := s.intents.byID[c.PathValue("id")]
	switch {
	case !ok:
		return nil, noSuchIntent(c)
	case intent.SessionID != "":
		return nil, unexpectedState("You cannot cancel this PaymentIntent because it was created by Checkout. " +
			"Expire its Checkout Session instead.")
	case !intent.payable():
		return nil, unexpectedState("You cannot cancel this PaymentIntent because it has a status of %s. "+
			"Only a PaymentIntent with one of the following statuses may be canceled: requires_payment_method, "+
			"requires_capture, requires_confirmation, requires_action, processing.", intent.Status)
	}
	s.endIntent(intent, reason, c)
	return intent.snapshot(), nil
}

// Callers hold s.mu.
func (s *Server) endIntent(intent *PaymentIntent, reason string, c *call) {
	intent.Status, intent.canceledAt, intent.cancellationReason = IntentCanceled, s.now().UTC(), reason
	s.emit("payment_intent.canceled", "", intent.ID, intent, c)
}

// PayIntent pays an intent of the API by card, as in a Payment Element:
// payment_intent.succeeded is sent. It waits and fails like [Server.Pay].
func (s *Server) PayIntent(ctx context.Context, id string) (PaymentIntent, error) {
	return s.payOpenIntent(ctx, id, card)
}

// PayIntentDelayed pays by bank debit: payment_intent.processing is sent.
// [Server.SettleIntent] or [Server.FailIntent] ends it. It waits and fails like
// [Server.Pay].
func (s *Server) PayIntentDelayed(ctx context.Context, id string) (PaymentIntent, error) {
	return s.payOpenIntent(ctx, id, bankDebit)
}

func (s *Server) payOpenIntent(ctx context.Context, id, method string) (PaymentIntent, error) {
	s.lock()
	intent, err := s.openIntent(id)
	if err != nil {
		defer s.mu.Unlock()
		return orEmpty(intent), err
	}
	ev := s.payIntent(intent, method, nil)
	paid := intent.snapshot()
	s.mu.Unlock()
	return paid, s.awaitFirstAnswer(ctx, ev)
}

func orEmpty(intent *PaymentIntent) PaymentIntent {
	if intent == nil {
		return PaymentIntent{}
	}
	return intent.snapshot()
}

// openIntent also returns an intent with ErrNotOpen. Callers hold s.mu.
func (s *Server) openIntent(id string) (*PaymentIntent, error) {
	intent, ok := s.intents.byID[id]
	if !ok {
		return nil, ErrNotFound
	}
	if !intent.payable() {
		return intent, ErrNotOpen
	}
	return intent, nil
}

// DeclineIntent is a declined card payment: payment_intent.payment_failed is sent, and
// the intent stays payable. It returns ErrNotFound or ErrNotOpen.
func (s *Server) DeclineIntent(id string) error {
	s.lock()
	defer s.mu.Unlock()
	intent, err := s.openIntent(id)
	if err == nil {
		s.declineIntent(intent, nil)
	}
	return err
}

// SettleIntent completes a delayed payment: payment_intent.succeeded is sent, not waited
// for. It returns ErrNotFound or ErrNotPending.
func (s *Server) SettleIntent(id string) (PaymentIntent, error) {
	return s.endDelayedIntent(id, "payment_intent.succeeded", s.succeed)
}

// FailIntent fails a delayed payment: payment_intent.payment_failed is sent, not waited
// for, and the intent can be paid again. It returns ErrNotFound or ErrNotPending.
func (s *Server) FailIntent(id string) (PaymentIntent, error) {
	return s.endDelayedIntent(id, "payment_intent.payment_failed", func(charge *Charge) *PaymentIntent {
		return s.fail(charge, "payment_method_provider_decline", bankRefused)
	})
}

func (s *Server) endDelayedIntent(id, event string, end func(*Charge) *PaymentIntent) (PaymentIntent, error) {
	s.lock()
	defer s.mu.Unlock()
	intent, ok := s.intents.byID[id]
	if !ok {
		return PaymentIntent{}, ErrNotFound
	}
	charge, ok := s.charges.byID[intent.ChargeID]
	if !ok || intent.Status != IntentProcessing || intent.SessionID != "" {
		return intent.snapshot(), ErrNotPending
	}
	end(charge)
	s.emit(event, "", intent.ID, intent, nil)
	return intent.snapshot(), nil
}

// CancelIntent cancels an intent in the dashboard: payment_intent.canceled is sent, not
// waited for. It returns ErrNotFound or ErrNotOpen.
func (s *Server) CancelIntent(id string) error {
	s.lock()
	defer s.mu.Unlock()
	intent, err := s.openIntent(id)
	if err == nil {
		s.endIntent(intent, "requested_by_customer", nil)
	}
	return err
}

// emitOfSession sends only with Options.IntentEvents. Callers hold s.mu.
func (s *Server) emitOfSession(eventType string, intent *PaymentIntent) {
	if s.opts.IntentEvents {
		s.emit(eventType, intent.SessionID, intent.ID, intent, nil)
	}
}
