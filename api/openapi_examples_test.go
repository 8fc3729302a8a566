package api_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/auth"
	"github.com/booking-platform/booking-platform/internal/openapi"
)

var exampleDate = regexp.MustCompile(`2026-12-(\d\d)`)

// ahead moves the examples' dates into the coming days.
func ahead(text string) string {
	return exampleDate.ReplaceAllStringFunc(text, func(date string) string {
		day, _ := strconv.Atoi(strings.TrimPrefix(date, "2026-12-"))
		return time.Now().AddDate(0, 0, 9+day).UTC().Format(time.DateOnly)
	})
}

// examples sends the examples of all parameters and bodies.
func (w *answers) examples() {
	sent := 0
	for path, methods := range w.doc.Paths {
		for method, op := range methods {
			bodies := map[string]openapi.Example{"": {}}
			if op.RequestBody != nil {
				bodies = op.RequestBody.Content["application/json"].Examples
				require.NotEmpty(w.t, bodies, path)
			}
			for name, example := range bodies {
				target, header := w.exampleTarget(path, op)
				rec := w.ask(strings.ToUpper(method), target, ahead(string(example.Value)), header)
				require.Equal(w.t, op.Success(), strconv.Itoa(rec.Code), "%s %s, example %q: %s", method, target, name,
					rec.Body)
				sent++
			}
		}
	}
	require.Greater(w.t, sent, len(w.doc.Paths))
}

// exampleTarget returns the path, query and header of an operation's examples.
func (w *answers) exampleTarget(path string, op *openapi.Operation) (target string, header http.Header) {
	header, query := http.Header{}, url.Values{}
	if len(op.Security) > 0 {
		header = w.as("ADMIN")
	}
	if op.OperationID == "login" {
		users, err := auth.NewUsers(w.db, auth.UsersOptions{})
		require.NoError(w.t, err)
		_, err = users.Add(w.t.Context(), "admin@example.org", password, "ADMIN")
		require.NoError(w.t, err)
	}
	for _, p := range op.Parameters {
		value := ""
		if p.Example != nil {
			raw, err := json.Marshal(p.Example)
			require.NoError(w.t, err)
			require.NoError(w.t, w.doc.Validate(p.Schema, raw), p.Name)
			value = ahead(strings.Trim(string(raw), `"`))
		}
		switch {
		case p.In == "path" && p.Name == "id":
			path = strings.ReplaceAll(path, "{id}", w.book("free", instant(7, 10)).ID)
		case p.In == "path" && p.Name == "token":
			token, err := w.store.CreateFeed(w.t.Context(), "studio")
			require.NoError(w.t, err)
			path = strings.ReplaceAll(path, "{token}", token)
		case p.In == "path":
			require.NotEmpty(w.t, value, p.Name)
			path = strings.ReplaceAll(path, "{"+p.Name+"}", value)
		case p.In == "header":
			header.Set(p.Name, value+op.OperationID+strconv.Itoa(len(w.seen)+w.people))
		case value != "":
			query.Set(p.Name, value)
		}
	}
	w.people++
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	return path, header
}

func (w *answers) withoutDatabase() {
	b := w.book("studio", instant(8, 10))
	feed, err := w.store.CreateFeed(w.t.Context(), "studio")
	require.NoError(w.t, err)
	for path, methods := range w.doc.Paths {
		for method, op := range methods {
			if op.Responses["503"] == nil {
				continue
			}
			body := ""
			if op.RequestBody != nil {
				for _, example := range op.RequestBody.Content["application/json"].Examples {
					body = ahead(string(example.Value))
				}
			}
			target := strings.NewReplacer("{id}", b.ID, "{resource}", "studio", "{token}", feed).Replace(path)
			rec := w.askOf(w.broken, strings.ToUpper(method), target, body, w.as("ADMIN"))
			require.Equal(w.t, 503, rec.Code, "%s %s: %s", method, target, rec.Body)
		}
	}
}
