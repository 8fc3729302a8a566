package stripetest_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/payments/stripetest"
)

func TestAPI_OtherKeysAreUnauthorized(t *testing.T) {
	t.Parallel()
	s := start(t, stripetest.Options{})
	_, err := client(s.url, "sk_test_another").New(order())
	refused := stripeError(t, err)
	require.Equal(t, http.StatusUnauthorized, refused.HTTPStatusCode)
	require.NotContains(t, refused.Msg, "another")

	for want, authorize := range map[int]func(*http.Request){
		http.StatusUnauthorized: func(*http.Request) {},
		http.StatusOK:           func(r *http.Request) { r.SetBasicAuth(secretKey, "") },
	} {
		req, err := http.NewRequest(http.MethodGet, s.url+"/v1/checkout/sessions", nil)
		require.NoError(t, err)
		authorize(req)
		require.Equal(t, want, do(t, req).StatusCode)
	}
	require.Empty(t, s.Sessions())
}

func TestAPI_ErrorsHaveStripesFormat(t *testing.T) {
	t.Parallel()
	s := start(t, stripetest.Options{})
	for name, c := range map[string]struct {
		method, path, contentType, body string
		status                          int
	}{
		"unknown route":  {"GET", "/v1/charges", "", "", 404},
		"unknown method": {"DELETE", "/v1/checkout/sessions", "", "", 404},
		"JSON":           {"POST", "/v1/checkout/sessions", "application/json", `{"mode":"payment"}`, 400},
		"bad escapes":    {"POST", "/v1/checkout/sessions", "application/x-www-form-urlencoded", "mode=%zz", 400},
		"bad query":      {"GET", "/v1/checkout/sessions?a=%zz", "", "", 400},
		"huge": {"POST", "/v1/checkout/sessions", "application/x-www-form-urlencoded",
			"mode=" + strings.Repeat("a", 2<<20), 413},
	} {
		t.Run(name, func(t *testing.T) {
			req, err := http.NewRequest(c.method, s.url+c.path, strings.NewReader(c.body))
			require.NoError(t, err)
			req.Header.Set("Authorization", "Bearer "+secretKey)
			req.Header.Set("Content-Type", c.contentType)
			resp := do(t, req)
			require.Equal(t, c.status, resp.StatusCode)
			require.NotEmpty(t, resp.Header.Get("Request-Id"))
			var answer struct {
				Error struct{ Type, Message string }
			}
			require.NoError(t, json.Unmarshal([]byte(read(t, resp)), &answer))
			require.Equal(t, "invalid_request_error", answer.Error.Type)
			require.NotEmpty(t, answer.Error.Message)
		})
	}
}

func get(t *testing.T, url string) *http.Response {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, url, nil)
	require.NoError(t, err)
	req.Header.Set("Authorization", "Bearer "+secretKey)
	return do(t, req)
}

// do sends a request without following redirects.
func do(t *testing.T, req *http.Request) *http.Response {
	t.Helper()
	resp, err := http.DefaultTransport.RoundTrip(req)
	require.NoError(t, err, fmt.Sprint(req.URL))
	t.Cleanup(func() { _ = resp.Body.Close() })
	return resp
}

func read(t *testing.T, resp *http.Response) string {
	t.Helper()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return string(body)
}
