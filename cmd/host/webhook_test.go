package main_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	stripe "github.com/stripe/stripe-go/v76/webhook"
)

func (r *running) deliver(payload, secret, client string) (status int, retryAfter string) {
	r.t.Helper()
	signed := stripe.GenerateTestSignedPayload(&stripe.UnsignedPayload{Payload: []byte(payload), Secret: secret,
		Timestamp: time.Now()})
	req, err := http.NewRequestWithContext(r.t.Context(), http.MethodPost, r.URL()+"/webhook",
		strings.NewReader(payload))
	require.NoError(r.t, err)
	req.Header.Set("Stripe-Signature", signed.Header)
	req.Header.Set("X-Forwarded-For", client)
	resp, err := http.DefaultClient.Do(req)
	require.NoError(r.t, err)
	require.NoError(r.t, resp.Body.Close())
	return resp.StatusCode, resp.Header.Get("Retry-After")
}

const sessionExpired = `{"id":"evt_1","type":"checkout.session.expired","livemode":LIVE,"data":{"object":{"id":"cs_1","object":"checkout.session","client_reference_id":"0193b3a0-0000-7000-8000-000000000000"}}}`

// Events of the other mode are recorded as ignored.
func TestWebhook_ModeOfKey(t *testing.T) {
	t.Parallel()
	for key, isLive := range map[string]bool{"sk_live_x": true, "rk_live_x": true, "sk_test_x": false, "": false} {
		t.Run(key, func(t *testing.T) {
			t.Parallel()
			environ := map[string]string{"STRIPE_WEBHOOK_SECRET": "whsec_12345678"}
			if key != "" {
				environ["STRIPE_SECRET_KEY"], environ["STRIPE_API_BASE"] = key, "http://127.0.0.1:1"
			}
			h := startHost(t, environ)
			for id, live := range map[string]bool{"evt_live": true, "evt_test": false} {
				payload := strings.NewReplacer("evt_1", id, "LIVE",
					map[bool]string{true: "true", false: "false"}[live]).Replace(sessionExpired)
				status, _ := h.deliver(payload, "whsec_12345678", "192.0.2.1")
				require.Equal(t, http.StatusOK, status)
				var outcome, why string
				require.NoError(t, h.db.QueryRowContext(t.Context(),
					`SELECT outcome, reason FROM booking_platform.payment_events WHERE stripe_event_id = $1`,
					id).Scan(&outcome, &why))
				switch {
				case live == isLive:
					require.Equal(t, "unmatched", outcome, id)
				case live:
					require.Equal(t, "ignored live_mode", outcome+" "+why)
				default:
					require.Equal(t, "ignored test_mode", outcome+" "+why)
				}
			}
		})
	}
}

// A delivery has one line in the log: the receiver's, with the address of the client.
func TestWebhook_OneLogLine(t *testing.T) {
	t.Parallel()
	h := startHost(t, map[string]string{"STRIPE_WEBHOOK_SECRET": "whsec_12345678", "TRUST_PROXY": "1"})
	status, _ := h.deliver(strings.Replace(sessionExpired, "LIVE", "false", 1), "whsec_12345678", "192.0.2.1")
	require.Equal(t, http.StatusOK, status)
	require.NoError(t, h.stop())
	var lines []string
	for line := range strings.Lines(h.log.String()) {
		if strings.Contains(line, `"msg":"webhook delivery"`) || strings.Contains(line, `"route":"/webhook"`) {
			lines = append(lines, line)
		}
	}
	require.Len(t, lines, 1)
	require.Contains(t, lines[0], `"client_ip":"192.0.2.1"`)
}

// Bad signatures count per client, so that they do not limit Stripe.
func TestWebhook_BadSignaturesBehindProxy(t *testing.T) {
	t.Parallel()
	h := startHost(t, map[string]string{
		"STRIPE_SECRET_KEY": "sk_test_x", "STRIPE_API_BASE": "http://127.0.0.1:1",
		"STRIPE_WEBHOOK_SECRET": "whsec_12345678", "TRUST_PROXY": "1",
	})
	payload := strings.Replace(sessionExpired, "LIVE", "false", 1)
	for range 100 {
		status, _ := h.deliver(payload, "whsec_guess", "203.0.113.9")
		require.Equal(t, http.StatusBadRequest, status)
	}
	status, retryAfter := h.deliver(payload, "whsec_guess", "203.0.113.9")
	require.Equal(t, http.StatusTooManyRequests, status)
	require.NotEmpty(t, retryAfter)
	status, _ = h.deliver(payload, "whsec_guess", "203.0.113.10")
	require.Equal(t, http.StatusBadRequest, status, "another client of the same proxy")
	status, _ = h.deliver(payload, "whsec_12345678", "203.0.113.9")
	require.Equal(t, http.StatusOK, status, "a genuine event")

	var metrics struct {
		Webhook       map[string]int
		WebhookDetail struct {
			Reasons map[string]int
			Secrets []int
		}
	}
	h.admin().get("/admin/metrics").into(t, &metrics)
	require.Equal(t, 102, metrics.Webhook["rejected"])
	require.Equal(t, 101, metrics.WebhookDetail.Reasons["signature_wrong"])
	require.Equal(t, 1, metrics.WebhookDetail.Reasons["too_many_bad_signatures"])
	require.Equal(t, []int{1}, metrics.WebhookDetail.Secrets)
}
