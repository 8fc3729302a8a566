package doctor

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/stripe/stripe-go/v76"
	"github.com/stripe/stripe-go/v76/event"
	"github.com/stripe/stripe-go/v76/webhookendpoint"

	"github.com/booking-platform/booking-platform/cmd/host/internal/config"
	"github.com/booking-platform/booking-platform/payments"
	"github.com/booking-platform/booking-platform/webhook"
)

// hasStripe reports whether there is a Stripe account, not the stand-in.
func (e *examination) hasStripe() bool {
	return e.Config.StripeSecretKey != "" && !e.invalid("STRIPE_SECRET_KEY") && !e.invalid("STRIPE_API_BASE")
}

// backend makes no retries.
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

// stripe lists the webhook endpoints, which also checks the connection, the key and the
// clock.
func (e *examination) stripe(ctx context.Context) ([]Finding, error) {
	if e.Config.StripeSecretKey == "" && !e.Config.Production {
		return []Finding{ok(Stripe, "replaced by the built-in stand-in: no money moves")}, nil
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

// refusal is the finding of an error of Stripe. A restricted key may only lack the right
// for this check.
func refusal(name Name, err error, lacked Name, what string) Finding {
	var se *stripe.Error
	switch {
	case !errors.As(err, &se):
		return problem(name, "cannot be reached: "+err.Error(), unreachableStripe(err))
	case se.HTTPStatusCode == http.StatusForbidden:
		return warning(lacked, "not checked: the restricted key may not "+what,
			"Let the key read webhook endpoints and events in Stripe's dashboard.")
	case se.HTTPStatusCode == http.StatusUnauthorized:
		return problem(name, "refuses STRIPE_SECRET_KEY",
			"Copy the key from Stripe's dashboard again; one that was rolled there is invalid.")
	}
	return problem(name, fmt.Sprintf("answers %d (%s)", se.HTTPStatusCode, se.Type),
		"See https://status.stripe.com, and run doctor again.")
}

// unreachableStripe is the remedy for a connection to Stripe that fails.
func unreachableStripe(err error) string {
	var verification *tls.CertificateVerificationError
	switch text := err.Error(); {
	case strings.Contains(text, "proxyconnect"):
		return "Correct HTTPS_PROXY, or unset it where no proxy is needed, and restart the host."
	case errors.As(err, &verification):
		return "Something between here and Stripe answers with a certificate that is not Stripe's, or this machine lacks " +
			"the public authorities (SSL_CERT_FILE), or its clock is wrong: RUNBOOK.md, \"Stripe does not answer\"."
	}
	return "Check DNS, firewall and HTTPS_PROXY for api.stripe.com: RUNBOOK.md, \"Stripe does not answer\"."
}

// stripeClock checks this machine's clock, by which signatures are valid for five
// minutes.
func (e *examination) stripeClock(date string) []Finding {
	at, err := http.ParseTime(date)
	if err != nil {
		return nil
	}
	apart := e.Now().Sub(at).Abs().Round(time.Second)
	found := fmt.Sprintf("the clocks of this machine and Stripe differ by %s", apart)
	switch {
	case apart > 4*time.Minute:
		return []Finding{problem(StripeClock, found+": webhooks are refused as too old or too new", clockRemedy)}
	case apart > 30*time.Second:
		return []Finding{warning(StripeClock, found, clockRemedy)}
	}
	return []Finding{ok(StripeClock, found)}
}

// endpointFindings checks the webhook endpoint of this host.
func (e *examination) endpointFindings(all []*stripe.WebhookEndpoint) []Finding {
	if e.Config.AppURL == "" {
		if e.Config.Production {
			return nil
		}
		return []Finding{ok(WebhookEndpoint, "not checked, APP_URL is not set; in development use stripe listen")}
	}
	want := e.Config.AppURL + "/webhook"
	var ours, enabled []*stripe.WebhookEndpoint
	var near []string
	for _, endpoint := range all {
		switch {
		case sameURL(endpoint.URL, want):
			ours = append(ours, endpoint)
			if endpoint.Status == "enabled" {
				enabled = append(enabled, endpoint)
			}
		case sameHost(endpoint.URL, want):
			near = append(near, endpoint.URL)
		}
	}
	switch {
	case len(ours) == 0 && !e.Config.Production:
		return []Finding{ok(WebhookEndpoint, "Stripe has none at "+want+"; in development use stripe listen")}
	case len(ours) == 0:
		found := "Stripe has no webhook endpoint at " + want
		if len(near) > 0 {
			found += ", but " + strings.Join(near, ", ")
		}
		return []Finding{problem(WebhookEndpoint, found+": the host does not learn of payments",
			"Add an endpoint with that URL in Stripe's dashboard, with the events in docs/doctor.md, and set "+
				"STRIPE_WEBHOOK_SECRET to its signing secret.")}
	case len(enabled) == 0:
		return []Finding{e.inProduction(WebhookEndpointDisabled, "the endpoint at "+want+" is disabled",
			"Enable it in Stripe's dashboard, and find out why deliveries failed; the host fetches missed events.")}
	}
	found := []Finding{ok(WebhookEndpoint, "Stripe has "+want)}
	if len(enabled) > 1 {
		found = append(found, warning(WebhookEndpointTwice,
			fmt.Sprintf("%d endpoints at Stripe have the URL %s: each event "+
				"is delivered for each of them", len(enabled), want),
			"Remove all but one in Stripe's dashboard, and use the signing secret of that one."))
	}
	best := slices.MinFunc(enabled, func(a, b *stripe.WebhookEndpoint) int { return len(missing(a)) - len(missing(b)) })
	return append(found, e.endpointSettings(best)...)
}

func (e *examination) endpointSettings(endpoint *stripe.WebhookEndpoint) []Finding {
	found := []Finding{ok(WebhookEndpointTypes, "the endpoint has all events that the host handles")}
	if lacks := missing(endpoint); len(lacks) > 0 {
		found[0] = e.inProduction(WebhookEndpointTypes, "the endpoint lacks the events "+strings.Join(lacks, ", "),
			"Add these events to the endpoint in Stripe's dashboard.")
	}
	if extra := surplus(endpoint); extra != "" {
		found = append(found, warning(WebhookEndpointSurplus, "the endpoint also has "+extra+", which the host ignores",
			"Remove the events that docs/doctor.md does not list in Stripe's dashboard."))
	}
	if v := endpoint.APIVersion; v == stripe.APIVersion {
		found = append(found, ok(WebhookEndpointVersion, "events have API version "+stripe.APIVersion))
	} else {
		if v == "" {
			v = "the account's default"
		}
		found = append(found, warning(WebhookEndpointVersion, "events have API version "+v+"; the host expects "+
			stripe.APIVersion, "Create the endpoint again with API version "+stripe.APIVersion+"."))
	}
	if m := mode(e.Config.StripeSecretKey); m != "" && endpoint.Livemode != (m == "live") {
		found = append(found, problem(WebhookEndpointMode,
			"STRIPE_SECRET_KEY is of "+m+" mode, and the endpoint is of the other: the host ignores its events",
			"Use key, endpoint and signing secret of one mode."))
	}
	return found
}

// missing returns the event types that the host handles and the endpoint does not have.
func missing(endpoint *stripe.WebhookEndpoint) (lacks []string) {
	if slices.Contains(endpoint.EnabledEvents, "*") {
		return nil
	}
	for _, eventType := range payments.EventTypes() {
		if !slices.Contains(endpoint.EnabledEvents, eventType) {
			lacks = append(lacks, eventType)
		}
	}
	return lacks
}

// surplus describes the event types that the endpoint has and the host does not handle.
func surplus(endpoint *stripe.WebhookEndpoint) string {
	if slices.Contains(endpoint.EnabledEvents, "*") {
		return "all other events"
	}
	extra := slices.DeleteFunc(slices.Clone(endpoint.EnabledEvents),
		func(t string) bool { return slices.Contains(payments.EventTypes(), t) })
	if len(extra) > 3 {
		return fmt.Sprintf("%s and %d more", strings.Join(extra[:3], ", "), len(extra)-3)
	}
	return strings.Join(extra, ", ")
}

// sameURL ignores the case of scheme and host. A slash at the end is another path.
func sameURL(a, b string) bool {
	x, errX := url.Parse(a)
	y, errY := url.Parse(b)
	return errX == nil && errY == nil && strings.EqualFold(x.Scheme, y.Scheme) && strings.EqualFold(x.Host, y.Host) &&
		x.Path == y.Path && x.RawQuery == y.RawQuery
}

func sameHost(a, b string) bool {
	x, errX := url.Parse(a)
	y, errY := url.Parse(b)
	return errX == nil && errY == nil && strings.EqualFold(x.Hostname(), y.Hostname())
}

// comparable reports whether both Stripe and the ledger can be read.
func (e *examination) comparable() bool { return e.hasStripe() && e.readable() }

// eventsUndelivered compares the newest hundred undelivered events of Stripe with the
// ledger. Stripe lists them for 30 days, even if the host has fetched them.
func (e *examination) eventsUndelivered(ctx context.Context) ([]Finding, error) {
	params := &stripe.EventListParams{
		DeliverySuccess: stripe.Bool(false),
		Types:           stripe.StringSlice(payments.EventTypes()),
		CreatedRange: &stripe.RangeQueryParams{GreaterThanOrEqual: e.Now().Add(-30 * 24 * time.Hour).Unix(),
			LesserThan: e.Now().Add(-backlogLimit).Unix()},
	}
	params.Context = ctx
	params.Limit = stripe.Int64(100)
	params.Single = true
	it := event.Client{B: e.backend(), Key: e.Config.StripeSecretKey}.List(params)
	lost, listed := 0, 0
	var oldest time.Time
	for it.Next() {
		listed++
		settled, err := e.settled(ctx, it.Event().ID)
		if err != nil {
			return nil, err
		}
		if !settled {
			lost++
			oldest = time.Unix(it.Event().Created, 0)
		}
	}
	if err := it.Err(); err != nil {
		var se *stripe.Error
		if errors.As(err, &se) && se.HTTPStatusCode == http.StatusForbidden {
			return []Finding{refusal(Stripe, err, EventsUndelivered,
				"list events, which the host needs to fetch lost ones")}, nil
		}
		return nil, nil // The finding stripe has the error.
	}
	if lost == 0 {
		return []Finding{ok(EventsUndelivered, "all events were delivered or fetched")}, nil
	}
	more := ""
	if listed == 100 {
		more = " at least"
	}
	return []Finding{problem(EventsUndelivered,
		fmt.Sprintf("%d%s of Stripe's events were not delivered and are not settled, "+
			"the oldest of %s", lost, more, oldest.UTC().Format(time.RFC3339)),
		"See in Stripe's dashboard how the endpoint answers: 400 means that STRIPE_WEBHOOK_SECRET is another "+
			"endpoint's; a "+
			"running host fetches missed events within minutes.")}, nil
}

// settled reports whether the ledger has settled an event.
func (e *examination) settled(ctx context.Context, id string) (bool, error) {
	record, err := webhook.NewLedger(e.DB, config.ReceiverName).Find(ctx, id)
	if errors.Is(err, webhook.ErrNotFound) {
		return false, nil
	}
	return err == nil && record.Outcome != webhook.Failed && record.Outcome != webhook.Unmatched, err
}
