package e2e

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/cookiejar"
	"testing"

	"github.com/stretchr/testify/require"
)

// customer is a browser with cookies that follows redirects.
type customer struct {
	t    *testing.T
	http *http.Client
	base string
}

func newCustomer(t *testing.T, base string) *customer {
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	return &customer{t: t, http: &http.Client{Jar: jar}, base: base}
}

// get follows redirects and requires 200.
func (c *customer) get(url string) string {
	c.t.Helper()
	status, body := c.do(http.MethodGet, url, "", nil)
	require.Equal(c.t, http.StatusOK, status, "%s: %s", url, body)
	return body
}

func (c *customer) json(method, path string, body any, want int, into any) {
	c.t.Helper()
	var raw []byte
	if body != nil {
		var err error
		raw, err = json.Marshal(body)
		require.NoError(c.t, err)
	}
	status, answer := c.do(method, c.base+path, "application/json", raw)
	require.Equal(c.t, want, status, "%s %s: %s", method, path, answer)
	if into != nil {
		require.NoError(c.t, json.Unmarshal([]byte(answer), into), answer)
	}
}

func (c *customer) do(method, url, contentType string, body []byte) (int, string) {
	c.t.Helper()
	req, err := http.NewRequestWithContext(c.t.Context(), method, url, bytes.NewReader(body))
	require.NoError(c.t, err)
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	resp, err := c.http.Do(req)
	require.NoError(c.t, err)
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	require.NoError(c.t, err)
	return resp.StatusCode, string(answer)
}

// created is the response to a booking.
type created struct {
	ID              string `json:"id"`
	URL             string `json:"url"`
	StripeSessionID string `json:"stripeSessionId"`
	Status          string `json:"status"`
}

func (c *customer) firstSlot() string {
	c.t.Helper()
	var resources struct{ Items []struct{ Slug string } }
	c.json(http.MethodGet, "/api/resources", nil, http.StatusOK, &resources)
	require.NotEmpty(c.t, resources.Items)
	var slots struct{ Items []struct{ Start string } }
	from, to := days(2), days(9)
	c.json(http.MethodGet, "/api/resources/"+resources.Items[0].Slug+"/availability?from="+from+"&to="+to, nil,
		http.StatusOK, &slots)
	require.NotEmpty(c.t, slots.Items)
	return slots.Items[0].Start
}

func (c *customer) book(start string) created {
	c.t.Helper()
	var b created
	c.json(http.MethodPost, "/api/bookings", map[string]any{
		"start": start, "firstName": "Ada", "lastName": "Lovelace", "email": "ada@example.com",
	}, http.StatusCreated, &b)
	require.Equal(c.t, "pending", b.Status)
	require.NotEmpty(c.t, b.StripeSessionID)
	return b
}

// payOnPage returns the page after the payment.
func (c *customer) payOnPage(pageURL string) string {
	c.t.Helper()
	require.Contains(c.t, c.get(pageURL), `<button name="action" value="pay"`)
	status, body := c.do(http.MethodPost, pageURL, "application/x-www-form-urlencoded", []byte("action=pay"))
	require.Equal(c.t, http.StatusOK, status, body)
	return body
}
