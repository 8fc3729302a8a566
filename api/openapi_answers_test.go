package api_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/api"
	"github.com/booking-platform/booking-platform/auth"
	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/internal/openapi"
	"github.com/booking-platform/booking-platform/internal/testdb"
	"github.com/booking-platform/booking-platform/payments"
	"github.com/booking-platform/booking-platform/payments/stripetest"
	"github.com/booking-platform/booking-platform/webhook"
)

// neverHere are documented answers that need a race, by operation and code.
var neverHere = []string{
	"createBooking slot_gone", "createCheckoutSession slot_gone", // The slot begins between check and confirmation.
	"createBooking hold_expired", "createCheckoutSession hold_expired", // The Checkout takes longer than the hold.
}

// answers is an API with everything that its document speaks of, and what it answered.
type answers struct {
	t      *testing.T
	db     *sql.DB
	doc    *openapi.Document
	stripe *stripetest.Server
	store  *booking.Store
	api    *api.API
	// broken has no database, refused a key that Stripe does not know.
	broken, refused *api.API
	tooMany         atomic.Bool
	cookies         map[string]string // By role.
	seen            map[string]bool
	people          int
}

const (
	secretKey = "sk_test_answers"
	password  = "correct horse battery"
)

func newAnswers(t *testing.T) *answers {
	t.Helper()
	address := testdb.URL(t)
	w := &answers{t: t, db: testdb.Open(t, testdb.PQ, address), cookies: map[string]string{}, seen: map[string]bool{}}
	var err error
	w.stripe, err = stripetest.New(stripetest.Options{SecretKey: secretKey})
	require.NoError(t, err)
	calls := httptest.NewServer(w.stripe)
	t.Cleanup(calls.Close)
	closed := testdb.Open(t, testdb.PQ, address)
	require.NoError(t, closed.Close())
	w.api = w.newAPI(w.db, secretKey, calls.URL)
	w.broken = w.newAPI(closed, secretKey, calls.URL)
	w.refused = w.newAPI(w.db, "sk_test_unknown", calls.URL)
	w.doc = described(t, w.api)

	price := booking.Money{Minor: 2500, Currency: "eur"}
	free := booking.Money{Currency: "eur"}
	for _, r := range []booking.Resource{
		{Slug: "studio", Capacity: 50, Price: price, Offers: []booking.Offer{{Slug: "long", Name: "Two hours",
			SlotLength: 2 * time.Hour, SlotStep: time.Hour, Price: booking.Money{Minor: 4000}}}},
		{Slug: "single", Price: price}, {Slug: "free", Capacity: 50, Price: free},
		{Slug: "bound", Capacity: 50, Price: free, Policy: booking.Policy{Never: true}},
		{Slug: "closed", Price: price, Hours: []booking.Hours{}},
	} {
		r.Name, r.TimeZone, r.SlotLength = r.Slug, "Europe/Paris", time.Hour
		_, err := w.store.CreateResource(t.Context(), r)
		require.NoError(t, err)
	}
	users, err := auth.NewUsers(w.db, auth.UsersOptions{})
	require.NoError(t, err)
	for _, role := range []string{"ADMIN", "READONLY"} {
		email := strings.ToLower(role) + "@example.com"
		_, err := users.Add(t.Context(), email, password, role)
		require.NoError(t, err)
		rec := w.ask("POST", "/auth/login", `{"email":"`+email+`","password":"`+password+`"}`, nil)
		require.Equal(t, 200, rec.Code, rec.Body)
		w.cookies[role] = strings.Split(rec.Header().Get("Set-Cookie"), ";")[0]
	}
	return w
}

func (w *answers) newAPI(db *sql.DB, key, stripe string) *api.API {
	w.t.Helper()
	secret := "0123456789abcdef0123456789abcdef"
	store, err := booking.New(db, booking.Options{OwnerSecrets: []string{secret}, MaxHoldsPerEmail: 5})
	require.NoError(w.t, err)
	if w.store == nil {
		w.store = store
	}
	admit := func() error {
		if w.tooMany.Load() {
			return &payments.RateLimitError{RetryAfter: time.Minute}
		}
		return nil
	}
	pay, err := payments.New(db, store, key, baseURL, payments.Options{BaseURL: stripe,
		Admit: func(context.Context, booking.HoldRequest) error { return admit() }})
	require.NoError(w.t, err)
	receiver, err := webhook.New(db, []string{"whsec_answers"}, webhook.Options{})
	require.NoError(w.t, err)
	pay.Register(receiver)
	users, err := auth.NewUsers(db, auth.UsersOptions{})
	require.NoError(w.t, err)
	sessions, err := auth.New(db, []string{secret}, auth.Options{Users: users})
	require.NoError(w.t, err)
	a, err := api.New(api.Deps{Bookings: store, Payments: pay, Receiver: receiver, Auth: sessions}, api.Options{
		URL: baseURL, AdmitMove: func(context.Context) error { return admit() },
		Client: func(context.Context) string { return "192.0.2.7" },
	})
	require.NoError(w.t, err)
	return a
}

// ask sends a request and checks the answer against the document.
func (w *answers) ask(method, path, body string, header http.Header) *httptest.ResponseRecorder {
	w.t.Helper()
	return w.askOf(w.api, method, path, body, header)
}

func (w *answers) askOf(a *api.API, method, path, body string, header http.Header) *httptest.ResponseRecorder {
	w.t.Helper()
	r := httptest.NewRequestWithContext(w.t.Context(), method, "/booking"+path, strings.NewReader(body))
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	maps.Copy(r.Header, header)
	rec := httptest.NewRecorder()
	a.ServeHTTP(rec, r)
	doc := w.doc
	if doc == nil {
		doc = described(w.t, a)
	}
	known, err := doc.Check(r, rec.Code, rec.Header(), rec.Body.Bytes())
	require.NoError(w.t, err)
	require.True(w.t, known, path)
	_, op := doc.Find(method, "/booking"+strings.Split(path, "?")[0])
	var e struct{ Error string }
	if rec.Code >= 400 {
		require.NoError(w.t, json.Unmarshal(rec.Body.Bytes(), &e))
	}
	w.seen[strings.TrimSpace(op.OperationID+" "+strconv.Itoa(rec.Code)+" "+e.Error)] = true
	return rec
}

// expect is ask for one status and code.
func (w *answers) expect(status int, code, method, path, body string, header http.Header) []byte {
	w.t.Helper()
	rec := w.ask(method, path, body, header)
	require.Equal(w.t, status, rec.Code, "%s %s: %s", method, path, rec.Body)
	require.Contains(w.t, rec.Body.String(), code)
	return rec.Body.Bytes()
}

func (w *answers) as(role string) http.Header { return http.Header{"Cookie": {w.cookies[role]}} }

// instant is a slot's start some days ahead at an hour of UTC.
func instant(days, hour int) string {
	day := time.Now().UTC().Truncate(24*time.Hour).AddDate(0, 0, days)
	return day.Add(time.Duration(hour) * time.Hour).Format(time.RFC3339)
}

// request is a valid body for a customer of its own.
func (w *answers) request(resource, start string) string {
	w.people++
	return `{"resource":"` + resource + `","start":"` + start + `","firstName":"Ada","lastName":"Lovelace",` +
		`"email":"ada` + strconv.Itoa(w.people) + `@example.com"}`
}

type owned struct{ ID, Token, StripeSessionID string }

func (o owned) bearer() http.Header { return http.Header{"Authorization": {"Bearer " + o.Token}} }

// book makes a booking.
func (w *answers) book(resource, start string) (b owned) {
	w.t.Helper()
	require.NoError(w.t, json.Unmarshal(
		w.expect(201, "", "POST", "/api/bookings", w.request(resource, start), nil), &b))
	return b
}

// set changes a booking behind the API's back.
func (w *answers) set(b owned, change string) {
	w.t.Helper()
	_, err := w.db.ExecContext(w.t.Context(),
		`UPDATE booking_platform.bookings SET `+change+` WHERE id = $1::uuid`, b.ID)
	require.NoError(w.t, err)
}

// Every answer of every operation is in the document, with its body, and every documented
// one is given.
func TestOpenAPI_EveryAnswer(t *testing.T) {
	t.Parallel()
	w := newAnswers(t)
	w.booking("createBooking", "/api/bookings", 201)
	w.booking("createCheckoutSession", "/create-checkout-session", 200)
	w.reading()
	w.cancelling()
	w.rescheduling()
	w.staff()
	w.sessions()
	w.examples()
	w.withoutDatabase()

	var missing []string
	for _, methods := range w.doc.Paths {
		for _, op := range methods {
			for status, r := range op.Responses {
				for _, code := range append(codesOf(r), "") {
					want := strings.TrimSpace(op.OperationID + " " + status + " " + code)
					if status == "default" || code == "" && status >= "400" ||
						slices.Contains(neverHere, op.OperationID+" "+code) {
						continue
					}
					if !w.seen[want] {
						missing = append(missing, want)
					}
				}
			}
		}
	}
	slices.Sort(missing)
	require.Empty(t, missing, "documented, and not seen")
}

func (w *answers) booking(id, path string, success int) {
	valid := func() string { return w.request("studio", instant(3, 10)) }
	w.expect(success, "cs_", "POST", path, valid(), nil)
	w.expect(success, `"confirmed"`, "POST", path, w.request("free", instant(3, 10)), nil)
	w.expect(400, "validation_failed", "POST", path, `{"resource":"studio","party":0,"x":1}`, nil)
	w.expect(400, "invalid_body", "POST", path, `[]`, nil)
	single := w.request("single", instant(3, len(id)%24))
	w.expect(success, "", "POST", path, single, nil)
	w.expect(409, "slot_taken", "POST", path, w.request("single", instant(3, len(id)%24)), nil)
	w.expect(413, "body_too_large", "POST", path, strings.Repeat(" ", 64<<10)+valid(), nil)
	w.expect(415, "unsupported_media_type", "POST", path, valid(), http.Header{"Content-Type": {"text/plain"}})
	key := http.Header{"Idempotency-Key": {id}}
	once := valid()
	w.expect(success, "", "POST", path, once, key)
	w.expect(success, "", "POST", path, once, key)
	w.expect(422, "idempotency_mismatch", "POST", path, strings.Replace(once, "Ada", "Eve", 1), key)
	many := valid()
	for range 5 {
		w.expect(success, "", "POST", path, many, nil)
	}
	w.expect(429, "too_many_holds", "POST", path, many, nil)
	w.tooMany.Store(true)
	w.expect(429, "too_many_bookings", "POST", path, valid(), nil)
	w.tooMany.Store(false)
	fault := w.stripe.Fault(nil, stripetest.BadGateway, 100)
	w.expect(503, "payment_unavailable", "POST", path, valid(), nil)
	fault.Release()
	rec := w.askOf(w.refused, "POST", path, valid(), nil)
	require.Contains(w.t, rec.Body.String(), "payment_refused")
	require.Empty(w.t, rec.Header().Get("Retry-After"))
}

func (w *answers) reading() {
	w.expect(200, "studio", "GET", "/api/resources", "", nil)
	w.expect(200, "total", "GET", "/api/resources?limit=1&q=s", "", nil)
	w.expect(400, "limit", "GET", "/api/resources?limit=0", "", nil)
	w.expect(400, "q", "GET", "/api/resources?q=%00", "", nil)
	w.expect(304, "", "GET", "/api/resources", "",
		http.Header{"If-None-Match": w.ask("GET", "/api/resources", "", nil).Header()["Etag"]})
	w.expect(200, "remaining", "GET", "/api/resources/studio/availability", "", nil)
	w.expect(400, "party", "GET", "/api/resources/studio/availability?party=0", "", nil)
	w.expect(404, "not_found", "GET", "/api/resources/nothing/availability", "", nil)
	w.expect(200, "remaining", "GET", "/api/resources/studio/next", "", nil)
	w.expect(400, "after", "GET", "/api/resources/studio/next?after=x", "", nil)
	w.expect(404, "not_found", "GET", "/api/resources/nothing/next", "", nil)
	w.expect(404, "no_slot", "GET", "/api/resources/single/next?party=2", "", nil)

	paid, free := w.book("studio", instant(4, 10)), w.book("free", instant(4, 10))
	_, err := w.stripe.Pay(w.t.Context(), paid.StripeSessionID)
	require.NoError(w.t, err)
	for _, b := range []owned{paid, free} {
		w.expect(200, "cancellation", "GET", "/api/bookings/"+b.ID, "", b.bearer())
		w.expect(200, "cancellation", "GET", "/api/bookings/"+b.ID+"?token="+url.QueryEscape(b.Token), "", nil)
		w.expect(200, "cancellation", "GET", "/api/bookings/"+b.ID, "", w.as("READONLY"))
	}
	nothing := "/api/bookings/01936f4e-0000-7000-8000-000000000001"
	for _, path := range []string{"", "/calendar.ics"} {
		w.expect(401, "unauthorized", "GET", nothing+path, "", nil)
		w.expect(404, "not_found", "GET", nothing+path, "", paid.bearer())
	}
	w.expect(200, "VCALENDAR", "GET", "/api/bookings/"+free.ID+"/calendar.ics", "", free.bearer())
	rec := w.ask("GET", "/openapi.json", "", nil)
	require.Equal(w.t, 304, w.ask("GET", "/openapi.json", "",
		http.Header{"If-None-Match": {rec.Header().Get("ETag")}}).Code)
}

func (w *answers) cancelling() {
	b := w.book("studio", instant(4, 10))
	path := "/api/bookings/" + b.ID + "/cancel"
	w.expect(400, "reason", "POST", path, `{"reason":1}`, b.bearer())
	w.expect(400, "invalid_body", "POST", path, `[]`, b.bearer())
	w.expect(401, "unauthorized", "POST", path, "", nil)
	w.expect(403, "forbidden", "POST", path, "", w.as("READONLY"))
	w.expect(404, "not_found", "POST", path, "", http.Header{"Authorization": {"Bearer x"}})
	w.expect(413, "body_too_large", "POST", path, strings.Repeat(" ", 64<<10)+"{}", b.bearer())
	w.expect(415, "unsupported_media_type", "POST", path, "{}",
		http.Header{"Authorization": b.bearer()["Authorization"], "Content-Type": {"text/plain"}})
	w.expect(200, "cancelled", "POST", path, "", b.bearer())
	bound := w.book("bound", instant(4, 10))
	w.expect(409, "not_allowed_by_policy", "POST", "/api/bookings/"+bound.ID+"/cancel", "", bound.bearer())
	for _, status := range []string{"completed", "no_show", "expired"} {
		b := w.book("free", instant(4, 11))
		w.set(b, `status = '`+status+`'`)
		w.expect(409, "status_"+status, "POST", "/api/bookings/"+b.ID+"/cancel", "", b.bearer())
	}
}

func (w *answers) rescheduling() {
	b := w.book("studio", instant(4, 10))
	path, to := "/api/bookings/"+b.ID+"/reschedule", `{"start":"`+instant(5, 10)+`"}`
	w.expect(400, "start", "POST", path, `{"start":1}`, b.bearer())
	w.expect(400, "invalid_body", "POST", path, `null`, b.bearer())
	w.expect(401, "unauthorized", "POST", path, to, nil)
	w.expect(403, "forbidden", "POST", path, to, w.as("READONLY"))
	w.expect(404, "not_found", "POST", path, to, http.Header{"Authorization": {"Bearer x"}})
	w.expect(413, "body_too_large", "POST", path, strings.Repeat(" ", 64<<10)+to, b.bearer())
	w.expect(415, "unsupported_media_type", "POST", path, to,
		http.Header{"Authorization": b.bearer()["Authorization"], "Content-Type": {"text/plain"}})
	w.expect(200, "difference", "POST", path, to, b.bearer())
	w.tooMany.Store(true)
	w.expect(429, "too_many_bookings", "POST", path, to, b.bearer())
	w.tooMany.Store(false)
	first, second := w.book("single", instant(6, 10)), w.book("single", instant(6, 11))
	w.expect(409, "slot_taken", "POST", "/api/bookings/"+first.ID+"/reschedule",
		`{"start":"`+instant(6, 11)+`"}`, first.bearer())
	w.set(second, `hold_expires_at = statement_timestamp() - interval '1 minute'`)
	w.expect(409, "hold_expired", "POST", "/api/bookings/"+second.ID+"/reschedule", to, second.bearer())
	bound := w.book("bound", instant(4, 10))
	w.expect(409, "not_allowed_by_policy", "POST", "/api/bookings/"+bound.ID+"/reschedule", to, bound.bearer())
	for _, status := range []string{"cancelled", "completed", "no_show", "expired"} {
		b := w.book("free", instant(4, 11))
		w.set(b, `status = '`+status+`'`)
		w.expect(409, "status_"+status, "POST", "/api/bookings/"+b.ID+"/reschedule", to, b.bearer())
	}
	from, err := time.Parse(time.RFC3339, instant(9, 10))
	require.NoError(w.t, err)
	block, err := w.store.Block(w.t.Context(), booking.BlockRequest{Resource: "free", From: from,
		To: from.Add(time.Hour), Units: 1})
	require.NoError(w.t, err)
	w.expect(409, "status_confirmed", "POST", "/api/bookings/"+block.ID+"/reschedule", to, w.as("ADMIN"))
	w.expect(200, "confirmed", "GET", "/api/bookings/"+block.ID, "", w.as("ADMIN"))
}

func (w *answers) staff() {
	for _, path := range []string{"/api/bookings", "/reservations"} {
		w.expect(200, "items", "GET", path, "", w.as("READONLY"))
		w.expect(200, "totalIsMore", "GET", path+"?kind=block&total=true&limit=1", "", w.as("READONLY"))
		w.expect(400, "limit", "GET", path+"?limit=0", "", w.as("READONLY"))
		w.expect(401, "unauthorized", "GET", path, "", nil)
	}
	_, err := w.db.Exec(`INSERT INTO booking_platform.payment_events
		(receiver, stripe_event_id, type, outcome, reason, payload, received_at)
		VALUES ('default', 'evt_1', 'charge.captured', 'ignored', 'no_handler', '{}', now())`)
	require.NoError(w.t, err)
	w.expect(200, "items", "GET", "/payments", "", w.as("READONLY"))
	w.expect(400, "limit", "GET", "/payments?limit=0", "", w.as("READONLY"))
	w.expect(401, "unauthorized", "GET", "/payments", "", nil)
	w.expect(200, "http5xx", "GET", "/admin/metrics", "", w.as("ADMIN"))
	b := w.book("studio", instant(4, 10))
	nothing := "01936f4e-0000-7000-8000-000000000001"
	w.expect(200, "token", "POST", "/api/bookings/"+b.ID+"/renew-link", "", w.as("ADMIN"))
	w.expect(404, "not_found", "POST", "/api/bookings/"+nothing+"/renew-link", "", w.as("ADMIN"))
	var feed struct{ URL string }
	require.NoError(w.t, json.Unmarshal(
		w.expect(201, "url", "POST", "/api/resources/studio/feeds", "", w.as("ADMIN")), &feed))
	path := strings.TrimPrefix(feed.URL, baseURL)
	rec := w.ask("GET", path, "", nil)
	require.Equal(w.t, 200, rec.Code)
	known := http.Header{"If-None-Match": {rec.Header().Get("ETag")}}
	require.Equal(w.t, 304, w.ask("GET", path, "", known).Code)
	w.expect(404, "not_found", "GET", "/calendar/x.ics", "", nil)
	w.expect(404, "not_found", "POST", "/api/resources/nothing/feeds", "", w.as("ADMIN"))
	w.expect(200, "deleted", "DELETE", "/api/resources/studio/feeds", "", w.as("ADMIN"))
	w.expect(404, "not_found", "DELETE", "/api/resources/nothing/feeds", "", w.as("ADMIN"))
	for _, route := range []string{"GET /admin/metrics", "POST /api/bookings/" + b.ID + "/renew-link",
		"POST /api/resources/studio/feeds", "DELETE /api/resources/studio/feeds"} {
		method, path, _ := strings.Cut(route, " ")
		w.expect(401, "unauthorized", method, path, "", nil)
		w.expect(403, "forbidden", method, path, "", w.as("READONLY"))
	}
}

func (w *answers) sessions() {
	login := func(password string) string { return `{"email":"eve@example.com","password":"` + password + `"}` }
	w.expect(400, "validation_failed", "POST", "/auth/login", `{"x":1}`, nil)
	w.expect(400, "invalid_body", "POST", "/auth/login", `[]`, nil)
	w.expect(413, "body_too_large", "POST", "/auth/login", login(strings.Repeat("x", 8<<10)), nil)
	w.expect(415, "unsupported_media_type", "POST", "/auth/login", login("x"),
		http.Header{"Content-Type": {"text/plain"}})
	w.expect(401, "invalid_credentials", "POST", "/auth/login", login("wrong"), nil)
	for range 50 { // As many as the budgets have, whichever they are.
		if w.ask("POST", "/auth/login", login("wrong"), nil).Code == 429 {
			break
		}
	}
	w.expect(200, "ADMIN", "GET", "/auth/me", "", w.as("ADMIN"))
	w.expect(401, "unauthorized", "GET", "/auth/me", "", nil)
	w.expect(200, "true", "POST", "/auth/logout", "", nil)
}

// Whatever the document guards answers 401 to a request without credentials, and nothing
// else does; a role is needed where it has roles.
func TestOpenAPI_SecurityIsThatOfTheRoutes(t *testing.T) {
	t.Parallel()
	w := newAnswers(t)
	for path, methods := range w.doc.Paths {
		for method, op := range methods {
			target := strings.NewReplacer("{id}", "01936f4e-0000-7000-8000-000000000001", "{resource}", "studio",
				"{token}", "x").Replace(path)
			code := w.ask(strings.ToUpper(method), target, "{}", nil).Code
			require.Equal(t, len(op.Security) > 0, code == 401, "%s %s: %d", method, path, code)
			if len(op.Security) == 0 {
				continue
			}
			code = w.ask(strings.ToUpper(method), target, "{}", w.as("READONLY")).Code
			require.Equal(t, len(op.Roles) > 0, code == 403, "%s %s: %d", method, path, code)
			byOwner := false
			for _, way := range op.Security {
				_, owner := way["ownerToken"]
				byOwner = byOwner || owner
			}
			code = w.ask(strings.ToUpper(method), target, "{}", http.Header{"Authorization": {"Bearer x"}}).Code
			require.Equal(t, byOwner, code != 401, "%s %s: %d", method, path, code)
		}
	}
}
