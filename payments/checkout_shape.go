package payments

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/stripe/stripe-go/v76"

	"github.com/booking-platform/booking-platform/booking"
)

// ErrParameter means that Options.ShapeCheckout, or Options.Texts, made a parameter of
// the Checkout Session that this package does not accept. The error's text names it as
// Stripe does, such as line_items[0][quantity]. It is also an [ErrRefused]; nothing was
// sent to Stripe.
var ErrParameter = errors.New("parameter of the Checkout not accepted")

func notAccepted(field, why string) error {
	return fmt.Errorf("payments: shape the Checkout: %s %s: %w: %w", field, why, ErrParameter, ErrRefused)
}

var (
	// shapeable are the parameters that Options.ShapeCheckout may set, with all below
	// them. None changes the amount or how it is captured; a parameter that Stripe adds
	// is refused until that is known of it. A test compares the list with Stripe's
	// description.
	shapeable = []string{
		"automatic_tax", "billing_address_collection", "branding_settings", "consent_collection",
		"custom_fields", "custom_text", "customer", "customer_account", "customer_creation",
		"customer_email", "customer_update", "excluded_payment_method_types", "invoice_creation",
		"locale", "name_collection", "payment_method_configuration", "payment_method_data",
		"payment_method_options", "payment_method_types", "phone_number_collection",
		"saved_payment_method_options", "shipping_address_collection", "submit_type",
		"tax_id_collection", "wallet_options",

		"payment_intent_data[application_fee_amount]", "payment_intent_data[capture_method]",
		"payment_intent_data[description]", "payment_intent_data[on_behalf_of]",
		"payment_intent_data[receipt_email]", "payment_intent_data[setup_future_usage]",
		"payment_intent_data[shipping]", "payment_intent_data[statement_descriptor]",
		"payment_intent_data[statement_descriptor_suffix]", "payment_intent_data[transfer_data]",
		"payment_intent_data[transfer_group]",

		"line_items[0][price_data][product]", "line_items[0][price_data][product_data]",
	}
	// metadataPrefixes take any key.
	metadataPrefixes = []string{"metadata", "payment_intent_data[metadata]"}
	// harmless are refused parameters with a value that changes nothing.
	harmless = []pair{{"adaptive_pricing[enabled]", "false"}, {"allow_promotion_codes", "false"}}
	// refusals say why a parameter is refused.
	refusals = []struct{ name, why string }{
		{"adaptive_pricing", "may be false only: another currency is not the amount that was asked"},
		{"after_expiration", "is not allowed: a recovered session would sell a slot that is no longer held"},
		{"allow_promotion_codes", "may be false only: a discount changes the amount; lower the booking's price instead"},
		{"discounts", "is not allowed: a discount changes the amount; lower the booking's price instead"},
		{"optional_items", "is not allowed: it changes the amount"},
		{"shipping_options", "is not allowed: it changes the amount"},
		{paramExpiresAt, "is not allowed: the session ends with the hold"},
		{"ui_mode", "is not allowed: the customer is sent to Stripe's page"},
		{"line_items", "is not allowed: there is one line item, of which only the product may change"},
	}
	metadataName = regexp.MustCompile(`^(.*\bmetadata\]?)\[([^\[\]]*)\]$`)
	customText   = regexp.MustCompile(`^custom_text\[[a-z_]+\]\[message\]$`)
)

// below reports whether key is name or one of its parts.
func below(key, name string) bool {
	rest, ok := strings.CutPrefix(key, name)
	return ok && (rest == "" || rest[0] == '[')
}

// shapeParams returns the parameters as Options.ShapeCheckout leaves them.
func (p *Payments) shapeParams(ctx context.Context, b booking.Booking, params *stripe.CheckoutSessionParams) (
	[]pair, error) {
	before, err := encode(params)
	if err != nil {
		return nil, err
	}
	if p.opts.ShapeCheckout == nil {
		return before, checkLimits(before)
	}
	b.OwnerToken = ""
	after, err := p.callShape(ctx, b, params)
	if err != nil {
		return nil, err
	}
	if err := checkKept(before, after, b.ID, p.appURL); err != nil {
		return nil, err
	}
	for _, field := range after {
		if err := checkAllowed(before, field); err != nil {
			return nil, err
		}
	}
	return after, checkLimits(after)
}

var errShapeEnded = errors.New("the function ended its goroutine")

// callShape runs Options.ShapeCheckout for at most half of the time that is left, so that
// the call to Stripe has the other half. A function that ignores its context is left
// behind with its parameters.
func (p *Payments) callShape(ctx context.Context, b booking.Booking, params *stripe.CheckoutSessionParams) (
	after []pair, err error) {
	limit := p.opts.Timeout / 2
	if end, ok := ctx.Deadline(); ok {
		limit = min(limit, time.Until(end)/2)
	}
	callCtx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	type result struct {
		pairs []pair
		err   error
		stack string
	}
	done := make(chan result, 1)
	go func() {
		// Deferred, because the function may panic or end its goroutine.
		r := result{err: errShapeEnded}
		defer func() {
			if v := recover(); v != nil {
				r.err, r.stack = fmt.Errorf("panic: %v", v), string(debug.Stack())
			}
			done <- r
		}()
		err := p.opts.ShapeCheckout(callCtx, b, params)
		switch {
		case err != nil:
		case params.StripeAccount != nil:
			err = notAccepted("Stripe-Account", "is not allowed: steps and refunds use the account of the key")
		case params.IdempotencyKey != nil:
			err = notAccepted("Idempotency-Key", "is not allowed: it is the payment's")
		case len(params.Headers) > 0:
			err = notAccepted("Headers", "are not allowed: they are not stored")
		default:
			r.pairs, err = encode(params)
		}
		r.err = err
	}()
	var r result
	select {
	case r = <-done:
	case <-callCtx.Done():
		r.err = callCtx.Err()
	}
	switch {
	case r.err == nil:
		return r.pairs, nil
	case errors.Is(r.err, ErrParameter):
		return nil, r.err
	case errors.Is(ctx.Err(), context.Canceled):
		return nil, fmt.Errorf("payments: shape the Checkout: %w", ctx.Err())
	}
	attrs := []slog.Attr{slog.String("booking_id", b.ID), slog.String("error", redact(r.err).Error())}
	if r.stack != "" {
		attrs = append(attrs, slog.String("stack", r.stack))
	}
	p.log.LogAttrs(ctx, slog.LevelError, "Options.ShapeCheckout failed", attrs...)
	if errors.Is(r.err, ErrRefused) {
		return nil, fmt.Errorf("payments: shape the Checkout: %w", r.err)
	}
	return nil, fmt.Errorf("payments: shape the Checkout: %w: %w", ErrUnavailable, r.err)
}

// checkKept refuses parameters that no longer have what a payment needs: those that may
// not be shaped keep their value, and are there once.
func checkKept(before, after []pair, bookingID, appURL string) error {
	values := make(map[string][]string, len(after))
	for _, field := range after {
		values[field.key] = append(values[field.key], field.value)
	}
	for _, field := range before {
		got := values[field.key]
		switch {
		case field.key == "success_url" || field.key == "cancel_url":
			part := sessionPlaceholder
			if field.key == "cancel_url" {
				part = bookingID
			}
			if len(got) != 1 || !strings.HasPrefix(got[0], appURL+"/") || !strings.Contains(got[0], part) {
				return notAccepted(field.key, "must begin with "+appURL+"/ and contain "+part)
			}
		case slices.ContainsFunc(shapeable, func(name string) bool { return below(field.key, name) }):
		case len(got) != 1 || got[0] != field.value:
			return notAccepted(field.key, "must stay as it is")
		}
	}
	return nil
}

func checkAllowed(before []pair, field pair) error {
	kept := slices.ContainsFunc(before, func(b pair) bool { return b.key == field.key })
	if kept || slices.Contains(harmless, field) {
		return nil
	}
	if strings.HasSuffix(field.key, "[capture_method]") && !strings.HasPrefix(field.value, "automatic") {
		return notAccepted(field.key,
			"must be automatic: a booking is confirmed by money, not by an authorization, which ends after days")
	}
	if slices.ContainsFunc(shapeable, func(name string) bool { return below(field.key, name) }) {
		return nil
	}
	if m := metadataName.FindStringSubmatch(field.key); m != nil && slices.Contains(metadataPrefixes, m[1]) {
		return nil
	}
	for _, r := range refusals {
		if below(field.key, r.name) {
			return notAccepted(field.key, r.why)
		}
	}
	return notAccepted(field.key, "is not allowed: it is not on the list of what leaves the amount as it is")
}

// checkLimits refuses what Stripe would refuse.
func checkLimits(pairs []pair) error {
	keys := map[string]int{}
	for _, field := range pairs {
		if m := metadataName.FindStringSubmatch(field.key); m != nil {
			keys[m[1]]++
			switch {
			case keys[m[1]] > maxMetadataKeys:
				return notAccepted(m[1], fmt.Sprintf("has more than %d keys", maxMetadataKeys))
			case m[2] == "" || utf8.RuneCountInString(m[2]) > maxMetadataKey:
				return notAccepted(field.key, fmt.Sprintf("must have a key of 1 to %d characters", maxMetadataKey))
			case utf8.RuneCountInString(field.value) > maxMetadataValue:
				return notAccepted(field.key, fmt.Sprintf("is longer than %d characters", maxMetadataValue))
			}
		}
		if customText.MatchString(field.key) && utf8.RuneCountInString(field.value) > maxCustomText {
			return notAccepted(field.key, fmt.Sprintf("is longer than %d characters", maxCustomText))
		}
	}
	return nil
}
