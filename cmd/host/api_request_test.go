package main_test

import (
	"bytes"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/booking"
)

// Each field alone is a 400 with that field only, and nothing is stored.
func TestAPICreate_EachFieldInvalid(t *testing.T) {
	t.Parallel()
	h := startHost(t, nil)
	c := h.client()
	start := c.slot(0)
	at := mustTime(t, start)
	long := strings.Repeat("x", 201)
	for name, w := range map[string]struct {
		changes m
		field   string
	}{
		"resource of another type":  {m{"resource": 7}, "resource"},
		"resource unknown":          {m{"resource": "cellar"}, "resource"},
		"resource with a NUL":       {m{"resource": "a\x00b"}, "resource"},
		"offer of another type":     {m{"offer": 1}, "offer"},
		"offer unknown":             {m{"offer": "royal"}, "offer"},
		"start missing":             {m{"start": nil}, "start"},
		"start of another type":     {m{"start": 1764579600}, "start"},
		"start without a zone":      {m{"start": "2026-12-01T10:00:00"}, "start"},
		"start is no slot":          {m{"start": at.Add(time.Minute).Format(time.RFC3339)}, "start"},
		"start in the past":         {m{"start": at.AddDate(0, 0, -30).Format(time.RFC3339)}, "start"},
		"start too far ahead":       {m{"start": at.AddDate(3, 0, 0).Format(time.RFC3339)}, "start"},
		"start in the year 99999":   {m{"start": "99999-12-01T10:00:00Z"}, "start"},
		"start and date":            {m{"date": "2026-12-01", "time": "10:00"}, "start"},
		"date missing":              {m{"start": nil, "time": "10:00"}, "date"},
		"date malformed":            {m{"start": nil, "date": "1.12.2026", "time": "10:00"}, "date"},
		"date of another type":      {m{"start": nil, "date": true, "time": "10:00"}, "date"},
		"time missing":              {m{"start": nil, "date": "2026-12-01"}, "time"},
		"time malformed":            {m{"start": nil, "date": "2026-12-01", "time": "25:00"}, "time"},
		"time that is left out":     {m{"start": nil, "date": "2027-03-28", "time": "02:30"}, "time"},
		"firstName missing":         {m{"firstName": nil}, "firstName"},
		"firstName of another type": {m{"firstName": m{}}, "firstName"},
		"firstName blank":           {m{"firstName": " "}, "firstName"},
		"firstName too long":        {m{"firstName": long}, "firstName"},
		"firstName with a NUL":      {m{"firstName": "A\x00"}, "firstName"},
		"firstName with a CR":       {m{"firstName": "A\rB"}, "firstName"},
		"lastName missing":          {m{"lastName": nil}, "lastName"},
		"lastName of another type":  {m{"lastName": []string{"x"}}, "lastName"},
		"lastName blank":            {m{"lastName": "\t"}, "lastName"},
		"phone of another type":     {m{"phone": 1}, "phone"},
		"phone malformed":           {m{"phone": "call me"}, "phone"},
		"note of another type":      {m{"note": []string{"x"}}, "note"},
		"note with a NUL":           {m{"note": "A\x00"}, "note"},
		"note too long":             {m{"note": strings.Repeat("x", 1001)}, "note"},
		"lastName too long":         {m{"lastName": long}, "lastName"},
		"email missing":             {m{"email": nil}, "email"},
		"email malformed":           {m{"email": "ada"}, "email"},
		"email with a name":         {m{"email": "Ada <ada@example.com>"}, "email"},
		"email of another type":     {m{"email": 1}, "email"},
		"party of another type":     {m{"party": "two"}, "party"},
		"party broken":              {m{"party": 1.5}, "party"},
		"party zero":                {m{"party": 0}, "party"},
		"party negative":            {m{"party": -1}, "party"},
		"party too large":           {m{"party": 2}, "party"},
		"party enormous":            {m{"party": 1e30}, "party"},
		"price is not the client's": {m{"price": 1}, "price"},
		"status neither":            {m{"status": "confirmed"}, "status"},
		"amount neither":            {m{"amount": 1}, "amount"},
		"another case":              {m{"Email": "ada@example.com"}, "Email"},
	} {
		for _, path := range []string{"/api/bookings", "/create-checkout-session"} {
			a := c.post(path, wish(start, w.changes))
			require.Equal(t, http.StatusBadRequest, a.status, "%s: %s", name, a.body)
			code, fields := a.code(t)
			require.Equal(t, "validation_failed", code, name)
			require.Len(t, fields, 1, "%s: %v", name, fields)
			require.NotEmpty(t, fields[w.field], "%s: %v", name, fields)
		}
	}
	for name, key := range map[string]string{"empty": "", "too long": strings.Repeat("k", 201),
		"not ASCII": "schlüssel"} {
		a := c.post("/api/bookings", wish(start, nil), "Idempotency-Key", key)
		require.Equal(t, http.StatusBadRequest, a.status, name)
		_, fields := a.code(t)
		require.Contains(t, fields, "Idempotency-Key", name)
	}
	h.nothingStored(t)
}

func (r *running) nothingStored(t *testing.T) {
	t.Helper()
	for _, table := range []string{"bookings", "payments", "payment_events", "hold_deadlines"} {
		require.Zero(t, r.count(table), table)
	}
}

// Wrong types, unknown fields and wrong values in one answer.
func TestAPICreate_AllFieldsInvalid(t *testing.T) {
	t.Parallel()
	h := startHost(t, nil)
	c := h.client()
	a := c.post("/api/bookings", m{
		"start": "tomorrow", "firstName": 1, "lastName": "", "email": "x", "party": 99, "price": 1, "coupon": "x",
	}, "Idempotency-Key", "\t")
	require.Equal(t, http.StatusBadRequest, a.status)
	_, fields := a.code(t)
	require.ElementsMatch(t, []string{"start", "firstName", "lastName", "email", "party", "price", "coupon",
		"Idempotency-Key"}, keys(fields), "%v", fields)

	a = c.post("/api/bookings", m{"resource": "nowhere", "date": "x", "time": "y", "firstName": "", "lastName": true,
		"email": nil, "party": "many"})
	_, fields = a.code(t)
	require.ElementsMatch(t, []string{"resource", "date", "time", "firstName", "lastName", "email", "party"},
		keys(fields), "%v", fields)

	// With several resources, resource is required.
	h.addResource(booking.Resource{Slug: "second", Name: "Second"})
	_, fields = c.post("/api/bookings", wish(c.slot(0), nil)).code(t)
	require.Equal(t, map[string]string{"resource": "is required"}, fields)
	h.nothingStored(t)
}

func keys(fields map[string]string) []string {
	var out []string
	for name := range fields {
		out = append(out, name)
	}
	return out
}

func TestAPICreate_InvalidBodies(t *testing.T) {
	t.Parallel()
	h := startHost(t, nil)
	c := h.client()
	const jsonType = "application/json"
	good := `{"start":"` + c.slot(0) + `","firstName":"A","lastName":"B","email":"a@example.com"}`
	for name, w := range map[string]struct {
		contentType, body string
		status            int
		code              string
	}{
		"empty":               {jsonType, "", 400, "invalid_body"},
		"not JSON":            {jsonType, "start=now", 400, "invalid_body"},
		"cut off":             {jsonType, good[:40], 400, "invalid_body"},
		"something after":     {jsonType, good + good, 400, "invalid_body"},
		"an array":            {jsonType, "[" + good + "]", 400, "invalid_body"},
		"null":                {jsonType, "null", 400, "invalid_body"},
		"a string":            {jsonType, `"x"`, 400, "invalid_body"},
		"bad UTF-8":           {jsonType, strings.Replace(good, "A", "\xff", 1), 400, "invalid_body"},
		"deep":                {jsonType, strings.Repeat("[", 20000), 400, "invalid_body"},
		"gzip":                {jsonType, "\x1f\x8b\x08\x00", 400, "invalid_body"},
		"10 MB":               {jsonType, `{"firstName":"` + strings.Repeat("x", 10<<20) + `"}`, 413, "body_too_large"},
		"just over":           {jsonType, `{"firstName":"` + strings.Repeat("x", 64<<10) + `"}`, 413, "body_too_large"},
		"a form":              {"application/x-www-form-urlencoded", good, 415, "unsupported_media_type"},
		"text":                {"text/plain", good, 415, "unsupported_media_type"},
		"no type":             {"", good, 415, "unsupported_media_type"},
		"a type that is none": {"application/json; charset", good, 415, "unsupported_media_type"},
	} {
		t.Run(name, func(t *testing.T) {
			a := c.do(http.MethodPost, "/api/bookings", w.contentType, strings.NewReader(w.body))
			require.Equal(t, w.status, a.status, a.body)
			code, _ := a.code(t)
			require.Equal(t, w.code, code)
		})
	}
	h.nothingStored(t)
	// The same body as application/json is accepted.
	a := c.do(http.MethodPost, "/api/bookings", "application/json; charset=utf-8", bytes.NewReader([]byte(good)))
	require.Equal(t, http.StatusCreated, a.status, a.body)
}

// Invalid parameters are named, and not sent to Postgres.
func TestAPI_InvalidQueries(t *testing.T) {
	t.Parallel()
	h := startHost(t, nil)
	c := h.admin()
	for path, field := range map[string]string{
		"/api/resources/studio/availability?from=x":                        "from",
		"/api/resources/studio/availability?to=x":                          "to",
		"/api/resources/studio/availability?from=2027-01-01&to=2026-01-01": "to",
		"/api/resources/studio/availability?from=2027-01-01&to=2027-12-01": "to",
		"/api/resources/studio/availability?party=0":                       "party",
		"/api/resources/studio/availability?party=x":                       "party",
		"/api/resources/studio/availability?offer=royal":                   "offer",
		"/api/resources/studio/next?after=x":                               "after",
		"/api/resources/studio/next?after=9999-06-01":                      "after",
		"/api/resources/studio/next?party=0":                               "party",
		"/api/resources/studio/next?offer=royal":                           "offer",
		"/api/resources/studio/next?offer=%00":                             "offer",
		"/api/bookings?limit=0":                                            "limit",
		"/api/bookings?limit=501":                                          "limit",
		"/api/bookings?before=x":                                           "before",
		"/api/bookings?status=x":                                           "status",
		"/api/bookings?reference=%00":                                      "reference",
		"/payments?limit=x":                                                "limit",
		"/payments?before=%00":                                             "before",
		"/payments?type=%ff":                                               "type",
	} {
		a := c.get(path)
		require.Equal(t, http.StatusBadRequest, a.status, "%s: %s", path, a.body)
		_, fields := a.code(t)
		require.Equal(t, []string{field}, keys(fields), path)
	}
	for _, path := range []string{
		"/api/resources/cellar/availability", "/api/resources/cellar/next", "/booking/cancel",
		"/booking/move?booking=x&token=y", "/booking/move?booking=%00&token=%00",
		"/api/resources/%00/availability", "/api/bookings/x", "/api/bookings/%00", "/success?session_id=%00",
		"/success?session_id=cs_unknown", "/success", "/success?booking=x&token=y", "/nothing", "/api", "//",
		"/api//bookings", "/static/", "/static/none", "/static/../main.go",
	} {
		a := c.get(path)
		require.Equal(t, http.StatusNotFound, a.status, "%s: %s", path, a.body)
	}
	require.NotContains(t, h.log.String(), `"status":503`)
}
