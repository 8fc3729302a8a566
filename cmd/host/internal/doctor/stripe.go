package doctor

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/stripe/stripe-go/v76"
	"github.com/stripe/stripe-go/v76/webhookendpoint"
)

// hasStripe tells whether there is an account at Stripe to ask: no stand-in, and a key
// that can be one.
func (e *examination) hasStripe() bool {
	return e.Config.StripeSecretKey != "" && !e.wrong("STRIPE_SECRET_KEY") && !e.wrong("STRIPE_API_BASE")
}

// backend is a way to Stripe of our own, which tries once.
func (e *examination) backend() stripe.Backend {
	c := &stripe.BackendConfig{
		HTTPClient:        &http.Client{Timeout: e.Timeout},
		LeveledLogger:     &stripe.LeveledLogger{Level: stripe.LevelNull},
		MaxNetworkRetries: stripe.Int64(0),
		EnableTelemetry:   stripe.Bool(false),
	}
	if e.Config.StripeAPIBase != "" {
		c.URL = stripe.String(e.Config.StripeAPIBase)
	}
	return stripe.GetBackendWithConfig(stripe.APIBackend, c)
}

// stripe asks Stripe for the account's webhook endpoints, which tells as well whether it
// is reached, takes the key, and has our time.
func (e *examination) stripe(ctx context.Context) ([]Finding, error) {
	if e.Config.StripeSecretKey == "" && !e.Config.Production {
		return []Finding{ok(Stripe, "a built-in stand-in takes its place: no money moves")}, nil
	}
	if !e.hasStripe() {
		return nil, nil
	}
	params := &stripe.WebhookEndpointListParams{}
	params.Context = ctx
	params.Limit = stripe.Int64(100)
	var endpoints []*stripe.WebhookEndpoint
	it := webhookendpoint.Client{B: e.backend(), Key: e.Config.StripeSecretKey}.List(params)
	for it.Next() {
		endpoints = append(endpoints, it.WebhookEndpoint())
	}
	if err := it.Err(); err != nil {
		return []Finding{refusal(Stripe, err, WebhookEndpoint, "list webhook endpoints")}, nil
	}
	found := []Finding{ok(Stripe, "answers")}
	if list, isList := it.List().(*stripe.WebhookEndpointList); isList && list.LastResponse != nil {
		found = append(found, e.stripeClock(list.LastResponse.Header.Get("Date"))...)
	}
	return append(found, e.endpointFindings(endpoints)...), nil
}

// refusal says why Stripe could not be asked. A restricted key may be right and lack a
// right that only this check needs.
func refusal(name Name, err error, lacked Name, what string) Finding {
	var se *stripe.Error
	switch {
	case !errors.As(err, &se):
		return problem(name, "cannot be reached: "+err.Error(),
			"See that this machine reaches api.stripe.com over https.")
	case se.HTTPStatusCode == http.StatusForbidden:
		return warning(lacked, "could not be examined: the restricted key may not "+what,
			"Give the key the right to read webhook endpoints and events in Stripe's dashboard.")
	case se.HTTPStatusCode == http.StatusUnauthorized:
		return problem(name, "refuses STRIPE_SECRET_KEY",
			"Copy the key from Stripe's dashboard once more; one that was rolled there is dead.")
	}
	return problem(name, fmt.Sprintf("answers %d (%s)", se.HTTPStatusCode, se.Type),
		"Look at https://status.stripe.com, and run this again.")
}

// A signature is good for five minutes by this machine's clock.
const (
	signatureWarning = 30 * time.Second
	signatureProblem = 4 * time.Minute
)

func (e *examination) stripeClock(date string) []Finding {
	at, err := http.ParseTime(date)
	if err != nil {
		return nil
	}
	apart := e.Now().Sub(at).Abs().Round(time.Second)
	found := fmt.Sprintf("this machine's clock and Stripe's are %s apart", apart)
	const remedy = "Have this machine's clock set by NTP (timedatectl, chrony)."
	switch {
	case apart > signatureProblem:
		return []Finding{problem(StripeClock, found+": webhooks are refused as too old or from the future", remedy)}
	case apart > signatureWarning:
		return []Finding{warning(StripeClock, found, remedy)}
	}
	return []Finding{ok(StripeClock, found)}
}
