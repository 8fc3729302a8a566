package doctor

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// SmokeOptions are the input of [SmokeTest].
type SmokeOptions struct {
	// Base is the address of a running host, without a slash at the end.
	Base string
	// Pay makes one payment: a slot is booked, paid for and cancelled. Resource is its
	// slug, required if there are several.
	Pay      bool
	Resource string
	// Wait is how long a person has to pay, if Stripe is not the stand-in.
	Wait time.Duration
	// StripeKey is the key of the environment. Pay is refused with a live key, and
	// without a test key if Stripe is not the stand-in.
	StripeKey string
	// DB is the host's database, for counting the rows of the payment; nil skips that.
	DB *sql.DB
	// Say prints instructions for a person; nil prints nothing.
	Say func(line string)
	// Timeout bounds each request; 0 is 15 seconds.
	Timeout time.Duration
}

type smokeTest struct {
	SmokeOptions
	http *http.Client
}

// SmokeTest checks a running host over HTTP. It changes nothing without Pay.
func SmokeTest(ctx context.Context, opts SmokeOptions) []Finding {
	if opts.Timeout <= 0 {
		opts.Timeout = 15 * time.Second
	}
	if opts.Say == nil {
		opts.Say = func(string) {}
	}
	t := &smokeTest{opts, &http.Client{
		Timeout:       opts.Timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	found := []Finding{t.reach(ctx)}
	if found[0].Level == OK {
		found = append(found,
			t.healthy(ctx, BaseLive, "/health",
				"Check that this is the address of the host and that the proxy keeps the path."),
			t.healthy(ctx, BaseReady, "/health/db",
				"Run host doctor on the host's machine: the database does not answer, "+
					"or lacks migrations."),
			t.webhook(ctx), t.metrics(ctx))
		if opts.Pay {
			found = append(found, t.pay(ctx)...)
		}
	}
	return redact(found, []namedSecret{{"STRIPE_SECRET_KEY", opts.StripeKey}})
}

// reply is an answer of the host.
type reply struct {
	status int
	header http.Header
	body   string
}

func (r reply) decode(v any) error { return json.Unmarshal([]byte(r.body), v) }

// code returns the code of a JSON error.
func (r reply) code() string {
	var body struct {
		Error string `json:"error"`
	}
	_ = r.decode(&body)
	return body.Error
}

// request sends a request; header is pairs of name and value.
func (t *smokeTest) request(ctx context.Context, method, path, body string, header ...string) (reply, error) {
	req, err := http.NewRequestWithContext(ctx, method, t.Base+path, strings.NewReader(body))
	if err != nil {
		return reply{}, err
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := t.http.Do(req)
	if err != nil {
		return reply{}, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, 4<<20))
	return reply{res.StatusCode, res.Header, string(text)}, err
}

func (t *smokeTest) get(ctx context.Context, path string, header ...string) (reply, error) {
	return t.request(ctx, http.MethodGet, path, "", header...)
}

// failed is the finding of a check that could not be made.
func failed(name Name, err error) Finding {
	return problem(name, "check failed: "+err.Error(), "Check that the host and its proxy run, and run doctor again.")
}

func (t *smokeTest) reach(ctx context.Context) Finding {
	if _, err := t.get(ctx, "/health"); err != nil {
		return problem(BaseReachable, "nothing answers at "+t.Base+": "+err.Error(),
			"Check that the host runs, and the proxy, the firewall and the certificate.")
	}
	u, err := url.Parse(t.Base)
	if err == nil && u.Scheme == "http" && remote(u.Hostname()) {
		return ok(BaseReachable, "answers, without TLS: not an address for customers")
	}
	return ok(BaseReachable, "answers")
}

func (t *smokeTest) healthy(ctx context.Context, name Name, path, remedy string) Finding {
	r, err := t.get(ctx, path)
	if err != nil {
		return failed(name, err)
	}
	var body struct {
		Status string `json:"status"`
	}
	if r.status != http.StatusOK || r.decode(&body) != nil || body.Status != "ok" {
		return problem(name, fmt.Sprintf(`%s answers %d instead of 200 {"status":"ok"}`, path, r.status), remedy)
	}
	return ok(name, path+" answers 200")
}

// webhook checks that an unsigned event reaches the host and is refused.
func (t *smokeTest) webhook(ctx context.Context) Finding {
	r, err := t.request(ctx, http.MethodPost, "/webhook", "{}", "Content-Type", "application/json")
	if err != nil {
		return failed(BaseWebhook, err)
	}
	switch r.status {
	case http.StatusBadRequest:
		return ok(BaseWebhook, "an unsigned event is refused with 400")
	case http.StatusTooManyRequests:
		return warning(BaseWebhook, "an unsigned event is refused with 429: there are many from this address",
			"Find their sender in the host's log, and run doctor again in a minute.")
	}
	return problem(BaseWebhook, fmt.Sprintf("an unsigned event is answered %d instead of 400", r.status),
		"Make the proxy pass POST /webhook on without authentication and with an unchanged body, as Stripe needs it.")
}

// metrics checks that the proxy does not expose the counters.
func (t *smokeTest) metrics(ctx context.Context) Finding {
	for _, path := range []string{"/metrics", "/admin/metrics"} {
		r, err := t.get(ctx, path)
		if err != nil {
			return failed(BaseMetrics, err)
		}
		if r.status < 300 {
			return problem(BaseMetrics, fmt.Sprintf("GET %s is public: it answers %d", path, r.status),
				"Do not forward requests to the private address of the metrics.")
		}
	}
	return ok(BaseMetrics, "the metrics are not public")
}
