package doctor

import (
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/stripe/stripe-go/v76"

	"github.com/booking-platform/booking-platform/payments"
)

// endpointFindings looks for the endpoint that this host is, among those that Stripe
// knows.
func (e *examination) endpointFindings(all []*stripe.WebhookEndpoint) []Finding {
	if e.Config.AppURL == "" {
		if e.Config.Production {
			return nil
		}
		return []Finding{ok(WebhookEndpoint,
			"not looked for, as APP_URL is not set: stripe listen brings events to a host in development")}
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
		return []Finding{ok(WebhookEndpoint,
			"Stripe knows none at "+want+": stripe listen brings events to a host in development")}
	case len(ours) == 0:
		found := "Stripe knows no webhook endpoint at " + want
		if len(near) > 0 {
			found += ", but " + strings.Join(near, ", ")
		}
		return []Finding{problem(WebhookEndpoint, found+": payments are not told to the host",
			"Add an endpoint with that URL in Stripe's dashboard, for the events that docs/doctor.md lists, and put its signing secret into STRIPE_WEBHOOK_SECRET.")}
	case len(enabled) == 0:
		return []Finding{e.inProduction(WebhookEndpointDisabled,
			"the endpoint at "+want+" is disabled: payments are not told to the host",
			"Enable it in Stripe's dashboard, and see why its deliveries failed; what was missed is fetched by the host.")}
	}
	found := []Finding{ok(WebhookEndpoint, "Stripe knows "+want)}
	if len(enabled) > 1 {
		found = append(found, warning(WebhookEndpointTwice, fmt.Sprintf("%d endpoints at Stripe have the URL %s: each event comes as often, and each endpoint has a secret of its own", len(enabled), want),
			"Remove all but one in Stripe's dashboard, and keep the signing secret of that one."))
	}
	// Of several, the one that serves best counts: what it has need not be in the others.
	best := slices.MinFunc(enabled, func(a, b *stripe.WebhookEndpoint) int { return len(missing(a)) - len(missing(b)) })
	return append(found, e.endpointSettings(best)...)
}

// endpointSettings looks at how the endpoint is set.
func (e *examination) endpointSettings(endpoint *stripe.WebhookEndpoint) []Finding {
	var found []Finding
	if lacks := missing(endpoint); len(lacks) > 0 {
		found = append(found, e.inProduction(WebhookEndpointTypes,
			"the endpoint is not subscribed to "+strings.Join(lacks, ", "),
			"Add these events to the endpoint in Stripe's dashboard."))
	} else {
		found = append(found, ok(WebhookEndpointTypes,
			"the endpoint is subscribed to every event that the host handles"))
	}
	if extra := surplus(endpoint); extra != "" {
		found = append(found, warning(WebhookEndpointSurplus,
			"the endpoint is subscribed to "+extra+" besides: each is a delivery and a row that nobody needs",
			"Take what docs/doctor.md does not list from the endpoint in Stripe's dashboard."))
	}
	switch endpoint.APIVersion {
	case stripe.APIVersion:
		found = append(found, ok(WebhookEndpointVersion, "events are written in API version "+stripe.APIVersion))
	case "":
		found = append(found, warning(WebhookEndpointVersion, "the endpoint's events are written in the account's API version, which changes when somebody upgrades it; the host is made for "+stripe.APIVersion,
			"Make the endpoint anew with API version "+stripe.APIVersion+": it can be chosen only then."))
	default:
		found = append(found, warning(WebhookEndpointVersion, "the endpoint's events are written in API version "+
			endpoint.APIVersion+"; the host is made for "+stripe.APIVersion,
			"Make the endpoint anew with API version "+stripe.APIVersion+": it can be chosen only then."))
	}
	if m := mode(e.Config.StripeSecretKey); m != "" && endpoint.Livemode != (m == "live") {
		found = append(found, problem(WebhookEndpointMode,
			"STRIPE_SECRET_KEY is of "+m+" mode and the endpoint is of the other: the host ignores its events",
			"Use key, endpoint and signing secret of one mode."))
	}
	return found
}

// missing are the types that the host handles and the endpoint is not subscribed to.
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

// surplus names what the endpoint is subscribed to and the host does not handle.
func surplus(endpoint *stripe.WebhookEndpoint) string {
	if slices.Contains(endpoint.EnabledEvents, "*") {
		return "every other event of the account"
	}
	var extra []string
	for _, eventType := range endpoint.EnabledEvents {
		if !slices.Contains(payments.EventTypes(), eventType) {
			extra = append(extra, eventType)
		}
	}
	if len(extra) > 3 {
		return fmt.Sprintf("%s and %d more", strings.Join(extra[:3], ", "), len(extra)-3)
	}
	return strings.Join(extra, ", ")
}

// sameURL compares as a client does: scheme and host without case. A slash more at the
// end is another path, which the host has not.
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
