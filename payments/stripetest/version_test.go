package stripetest_test

import (
	"encoding/json"
	"io"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/payments/stripetest"
)

// described is the version of Stripe's published description that the tests have.
const described = "2026-08-26.dahlia"

// With version "" no header is sent.
func (s standIn) objectIn(t *testing.T, path, version string) (object map[string]any, answered string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url+path, nil)
	require.NoError(t, err)
	req.Header.Set("Authorization", "Bearer "+secretKey)
	if version != "" {
		req.Header.Set("Stripe-Version", version)
	}
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.NoError(t, json.Unmarshal(body, &object))
	return object, resp.Header.Get("Stripe-Version")
}

// The account's version is for its events and for calls that name none. An event stays as
// it was made.
func TestVersion_OfTheAccountAndOfTheCall(t *testing.T) {
	t.Parallel()
	s := start(t, stripetest.Options{APIVersion: described})
	created := s.create(t)
	_, err := s.Pay(within(t), created.ID)
	require.NoError(t, err)
	for version, want := range map[string]struct{ uiMode, answered string }{
		"":                  {"hosted_page", described},
		"2023-10-16":        {"hosted", "2023-10-16"},
		"2026-02-25.clover": {"hosted", "2026-02-25.clover"},
		"2026-03-25.dahlia": {"hosted_page", "2026-03-25.dahlia"},
		"whatever":          {"hosted_page", described},
	} {
		object, answered := s.objectIn(t, "/v1/checkout/sessions/"+created.ID, version)
		require.Equal(t, want.uiMode, object["ui_mode"], version)
		require.Equal(t, want.answered, answered)
		list, _ := s.objectIn(t, "/v1/checkout/sessions", version)
		require.Equal(t, want.uiMode, list["data"].([]any)[0].(map[string]any)["ui_mode"], "in a list")

		event, _ := s.objectIn(t, "/v1/events/"+s.Events()[0].ID, version)
		require.Equal(t, described, event["api_version"])
		require.Equal(t, "hosted_page", event["data"].(map[string]any)["object"].(map[string]any)["ui_mode"])
	}
	old := start(t, stripetest.Options{})
	_, err = old.Pay(within(t), old.create(t).ID)
	require.NoError(t, err)
	event, _ := old.objectIn(t, "/v1/events/"+old.Events()[0].ID, described)
	require.Equal(t, "2023-10-16", event["api_version"])
	require.Equal(t, "hosted", event["data"].(map[string]any)["object"].(map[string]any)["ui_mode"])
}

func TestVersion_CaptureMethod(t *testing.T) {
	t.Parallel()
	s := start(t, stripetest.Options{APIVersion: described})
	for version, want := range map[string]string{"2023-10-16": "automatic", "2024-06-20": "automatic_async"} {
		params := order()
		params.Headers = http.Header{"Stripe-Version": {version}}
		created, err := s.sessions.New(params)
		require.NoError(t, err)
		paid, err := s.Pay(within(t), created.ID)
		require.NoError(t, err)
		object, _ := s.objectIn(t, "/v1/payment_intents/"+paid.PaymentIntentID, "")
		require.Equal(t, want, object["capture_method"], version)
	}
}

// refund.failed is sent for every refund since 2024-10-28.acacia only.
func TestVersion_RefundFailed(t *testing.T) {
	t.Parallel()
	for version, want := range map[string]bool{"": false, "2024-09-30.acacia": false, "2024-10-28.acacia": true} {
		s := start(t, stripetest.Options{APIVersion: version, PendingRefunds: true})
		id, err := s.RefundFromDashboard(s.paid(t).ID, 100)
		require.NoError(t, err)
		_, err = s.FailRefund(id, "")
		require.NoError(t, err)
		found := false
		for _, e := range s.Events() {
			found = found || e.Type == "refund.failed"
		}
		require.Equal(t, want, found, version)
	}
}

func TestNew_WrongAPIVersion(t *testing.T) {
	t.Parallel()
	for _, version := range []string{"dahlia", "2026-03-25.", "2022-11-15", "2026-03-25 dahlia"} {
		_, err := stripetest.New(stripetest.Options{SecretKey: secretKey, APIVersion: version})
		require.ErrorContains(t, err, "API version", version)
	}
}
