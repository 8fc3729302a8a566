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

// VisitOptions are what [Visit] needs.
type VisitOptions struct {
	// Base is the address of a host that runs, without a slash at its end.
	Base string
	// Pay has a slot booked, paid for and cancelled; Resource is the slug of what is
	// booked, which may be left out where there is one alone.
	Pay      bool
	Resource string
	// Wait is how long a person may take to pay, where the host has no stand-in.
	Wait time.Duration
	// StripeKey is the key of the environment: a live one refuses Pay, and without a
	// stand-in one of test mode is needed.
	StripeKey string
	// DB is the host's database, in which the payment and its event are counted; nil
	// leaves that out.
	DB *sql.DB
	// Say tells a person what to do meanwhile; nil is silence.
	Say func(line string)
	// Timeout bounds each request; 0 is 15 seconds: paying at the stand-in waits for the
	// webhook.
	Timeout time.Duration
}

// visitor is one visit.
type visitor struct {
	VisitOptions
	http *http.Client
}

// Visit examines a host that runs, over HTTP. Without Pay it changes nothing.
func Visit(ctx context.Context, opts VisitOptions) []Finding {
	if opts.Timeout <= 0 {
		opts.Timeout = 15 * time.Second
	}
	if opts.Say == nil {
		opts.Say = func(string) {}
	}
	v := &visitor{opts, &http.Client{
		Timeout:       opts.Timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	found := v.reach(ctx)
	if !good(found) {
		return found
	}
	for _, ask := range []func(context.Context) Finding{v.live, v.ready, v.headers, v.cookie, v.api, v.page, v.webhook,
		v.metrics} {
		found = append(found, ask(ctx))
	}
	if opts.Pay {
		found = append(found, v.pay(ctx)...)
	}
	secrets := []namedSecret{{"STRIPE_SECRET_KEY", opts.StripeKey}}
	return withoutSecrets(found, secrets)
}

// reply is what the host answered.
type reply struct {
	status int
	header http.Header
	body   string
}

// into decodes a JSON body.
func (r reply) into(v any) error { return json.Unmarshal([]byte(r.body), v) }

// request asks the host; a path without an address is the base's.
func (v *visitor) request(ctx context.Context, method, path, body string, header ...string) (reply, error) {
	if strings.HasPrefix(path, "/") {
		path = v.Base + path
	}
	req, err := http.NewRequestWithContext(ctx, method, path, strings.NewReader(body))
	if err != nil {
		return reply{}, err
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := v.http.Do(req)
	if err != nil {
		return reply{}, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, 4<<20))
	return reply{res.StatusCode, res.Header, string(text)}, err
}

func (v *visitor) get(ctx context.Context, path string, header ...string) (reply, error) {
	return v.request(ctx, http.MethodGet, path, "", header...)
}

// failed is the finding of a question that got no answer.
func failed(name Name, err error) Finding {
	return problem(name, "could not be examined: "+err.Error(),
		"See that the host and what is in front of it run, and run this again.")
}

func (v *visitor) secure() bool { return strings.HasPrefix(v.Base, "https://") }

// reach tells whether anybody answers at all, and whether in the open.
func (v *visitor) reach(ctx context.Context) []Finding {
	if _, err := v.get(ctx, "/health"); err != nil {
		return []Finding{problem(BaseReachable, "nobody answers at "+v.Base+": "+err.Error(),
			"See that the host runs, and that the proxy, the firewall and the certificate in front of it let requests through.")}
	}
	if u, err := url.Parse(v.Base); err == nil && !v.secure() && remote(u.Hostname()) {
		return []Finding{ok(BaseReachable, "answers, without TLS: this is not what customers should be shown")}
	}
	return []Finding{ok(BaseReachable, "answers")}
}

// healthy asks one of the health routes.
func (v *visitor) healthy(ctx context.Context, name Name, path, remedy string) Finding {
	r, err := v.get(ctx, path)
	if err != nil {
		return failed(name, err)
	}
	var body struct {
		Status string `json:"status"`
	}
	if r.status != http.StatusOK || r.into(&body) != nil || body.Status != "ok" {
		return problem(name, fmt.Sprintf("%s answers %d, and not 200 {\"status\":\"ok\"}", path, r.status), remedy)
	}
	return ok(name, path+" is 200")
}

func (v *visitor) live(ctx context.Context) Finding {
	return v.healthy(ctx, BaseLive, "/health",
		"See that this is the address of the host and that the proxy leaves the path as it is.")
}

func (v *visitor) ready(ctx context.Context) Finding {
	return v.healthy(ctx, BaseReady, "/health/db", "Run host doctor where the host runs: the database does not answer, or lacks migrations; the host's log says which.")
}
