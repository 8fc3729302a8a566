package stripetest

import "encoding/json"

// WebhookEndpoint is a webhook endpoint of the account, for programs that check its
// settings. Events are sent to Options.WebhookURL only.
type WebhookEndpoint struct {
	// ID is we_…; generated if empty.
	ID  string
	URL string
	// EnabledEvents are the types that are sent; "*" means all.
	EnabledEvents []string
	// APIVersion is the version of its events; empty means the account's default.
	APIVersion string
	Disabled   bool
	Livemode   bool
}

var endpointListParameters = setOf("expand[]", "limit", "starting_after")

// endpoints returns the configured endpoints with ids, or one for WebhookURL.
func (o Options) endpoints() []WebhookEndpoint {
	given := o.WebhookEndpoints
	if given == nil && o.WebhookURL != "" {
		given = []WebhookEndpoint{{URL: o.WebhookURL, EnabledEvents: []string{"*"}, APIVersion: o.APIVersion}}
	}
	all := make([]WebhookEndpoint, 0, len(given))
	for _, e := range given {
		if e.ID == "" {
			e.ID = newID("we_", 24)
		}
		all = append(all, e)
	}
	return all
}

func (s *Server) listEndpoints(c *call) (any, error) {
	ids := make([]string, 0, len(s.endpoints))
	byID := map[string]WebhookEndpoint{}
	for _, e := range s.endpoints {
		ids = append(ids, e.ID)
		byID[e.ID] = e
	}
	return page(c, "webhook endpoint", ids, func(id string) (WebhookEndpoint, bool) { return byID[id], true })
}

// MarshalJSON writes Stripe's object, without the secret, which Stripe shows on creation
// only.
func (e WebhookEndpoint) MarshalJSON() ([]byte, error) {
	object := struct {
		ID            string            `json:"id"`
		Object        string            `json:"object"`
		APIVersion    *string           `json:"api_version"`
		Application   *string           `json:"application"`
		Created       int64             `json:"created"`
		Description   *string           `json:"description"`
		EnabledEvents []string          `json:"enabled_events"`
		Livemode      bool              `json:"livemode"`
		Metadata      map[string]string `json:"metadata"`
		Status        string            `json:"status"`
		URL           string            `json:"url"`
	}{ID: e.ID, Object: "webhook_endpoint", EnabledEvents: e.EnabledEvents, Livemode: e.Livemode,
		Metadata: map[string]string{}, Status: "enabled", URL: e.URL}
	if e.APIVersion != "" {
		object.APIVersion = &e.APIVersion
	}
	if e.Disabled {
		object.Status = "disabled"
	}
	return json.Marshal(object)
}
